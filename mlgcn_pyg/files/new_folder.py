"""Writes folders atomically: under a temporary name beside, then renamed."""

import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.files.atomic import behind_links
from mlgcn_pyg.system import sync_folder


@contextmanager
def new_folder(path: Path, files: Collection[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yields an empty folder, which gets the name ``path`` if the block ends without an exception.

    On any exception, including KeyboardInterrupt, the new folder is removed, and ``path`` is unchanged.

    Args:
        path: the folder. If it exists and is not empty, it is replaced with ``overwrite=True``.
        files: names of the files that may be replaced.
        overwrite: whether to replace a folder with such files.

    Raises:
        InputError: about the argument ``path``, if it is a file, a folder with files and ``overwrite`` is False, or a
            folder with other files.
    """
    path = behind_links(path)
    _check_replaceable(path, files, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, replaced = (path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}.{end}") for end in ("new", "old"))
    temporary.mkdir()
    try:
        yield temporary
        _check_replaceable(path, files, overwrite)  # others may have written to it in the meantime
        if path.exists():
            os.rename(path, replaced)
        try:
            os.rename(temporary, path)
        except OSError:
            if replaced.exists():
                os.rename(replaced, path)
            raise
        sync_folder(path.parent)
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_replaceable(path: Path, files: Collection[str], overwrite: bool) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError("path", "a folder", f"the file {path}")
    found = sorted(os.listdir(path))
    if other := [name for name in found if name not in files or (path / name).is_dir()]:
        raise InputError("path", "a new folder, or one with a saved model only", f"{other[0]} in {path}")
    if found and not overwrite:
        raise InputError("path", "a new or empty folder", f"files in {path}", ["pass ", Argument("overwrite", True)])
