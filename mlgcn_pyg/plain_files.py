"""Files of plain content, written by ``torch.save``: tensors, numbers, strings and containers of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import atomic_path
from mlgcn_pyg.regular_files import existing_file


def save_plain(path: str | Path, content: Mapping[str, Any]) -> None:
    """Writes tensors, numbers, strings and containers of them atomically with ``torch.save``.

    Raises:
        OSError: if the disk is full or fails; the error names the file.
    """
    import torch

    with atomic_path(path) as partial, open(partial, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            reason = error.__context__  # torch's own message reports only a position in the file
            raise OSError(reason.errno, reason.strerror, str(path)) if isinstance(reason, OSError) else error from None


def load_plain(argument: str, path: str | Path) -> Any:
    """Reads a ``torch.save`` file to the CPU with ``weights_only=True``, so that no code in it can run.

    Raises:
        InputError: if the file is missing, damaged or of a different format, or if its content is not plain.
    """
    import torch

    path = existing_file(argument, path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may raise almost anything
        raise InputError(
            argument, "a file of plain tensors written by torch.save", f"{path} ({first_line(error)})"
        ) from error
