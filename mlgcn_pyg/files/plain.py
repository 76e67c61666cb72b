"""Files of plain content, written by ``torch.save``: tensors, numbers, strings and containers of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.atomic import atomic_path


def save_plain(path: str | Path, content: Mapping[str, Any]) -> None:
    """Writes tensors, numbers, strings and containers of them atomically with ``torch.save``, and adds a digest.

    Raises:
        OSError: if the disk is full or fails; the error names the file.
    """
    import torch

    from mlgcn_pyg.files.torch_archives import add_digest

    with atomic_path(path) as partial:
        with open(partial, "wb") as file:
            try:
                torch.save(content, file)
            except RuntimeError as error:
                reason = error.__context__  # torch's own message reports only a position in the file
                if isinstance(reason, OSError):
                    raise OSError(reason.errno, reason.strerror, str(path)) from None
                raise error from None
        add_digest(partial)


def load_plain(
    argument: str, path: str | Path, functions: Mapping[str, Any] | None = None, skip_unknown: bool = False
) -> Any:
    """Reads a file of ``torch.save`` to the CPU. No code in it is run.

    Args:
        argument: the argument that errors name.
        path: the file.
        functions: see :func:`~mlgcn_pyg.files.torch_files.read_torch_file`.
        skip_unknown: whether objects of other classes are read as :class:`~mlgcn_pyg.files.pickle_machine.Unknown`.

    Raises:
        InputError: if the file is missing, damaged or of a different format, or if its content is not plain.
    """
    from mlgcn_pyg.files.torch_files import read_torch_file

    try:
        return read_torch_file(argument, path, functions, skip_unknown)
    except InputError:
        raise
    except Exception as error:  # a damaged file may raise almost anything
        expected = "a file of plain tensors written by torch.save"
        raise InputError(argument, expected, f"{path} ({first_line(error)})") from error
