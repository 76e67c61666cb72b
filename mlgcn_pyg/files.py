"""Files that are whole or absent: written beside their final name, synced, then renamed."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlgcn_pyg.checks import bad_input, first_line

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of ``path``; it becomes ``path`` only if the block ends well.

    On any exception, Ctrl-C included, the temporary file is removed and ``path`` is untouched.
    """
    path = Path(path)
    if path.is_dir():
        raise bad_input("path", "a file name", f"the folder {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def existing_file(argument: str, path: str | Path) -> Path:
    """``path`` if it is a file that exists; InputError otherwise."""
    path = Path(path)
    if not path.is_file():
        raise bad_input(
            argument, "a file that exists", "a folder: " + str(path) if path.is_dir() else f"no file {path}"
        )
    return path


def write_text(path: str | Path, text: str) -> None:
    """Writes ``text`` (UTF-8) to ``path``, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def save_plain(path: str | Path, content: dict) -> None:
    """Writes tensors, numbers, strings and containers of them with ``torch.save``, whole or not at all."""
    import torch

    with atomic_path(path) as partial:
        torch.save(content, partial)


def load_plain(argument: str, path: str | Path):
    """Reads a ``torch.save`` file on the CPU with ``weights_only=True``: no code in it can run.

    Raises InputError where the file is missing, is no such file, or holds anything but plain content.
    """
    import torch

    path = existing_file(argument, path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or foreign file may raise nearly anything
        raise bad_input(
            argument, "a file of plain tensors written by torch.save", f"{path} ({first_line(error)})"
        ) from error


def tensor_digest(tensors: Mapping[str, "Tensor"]) -> str:
    """sha256 over names, types, shapes and bytes: it changes when anything does."""
    import torch

    sha = hashlib.sha256()
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        sha.update(value.flatten().view(torch.uint8).numpy())
    return sha.hexdigest()
