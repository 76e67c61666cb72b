"""Checks file names from archives and annotations, which must stay within a folder."""

from pathlib import Path, PureWindowsPath

from mlgcn_pyg.checks import check_text
from mlgcn_pyg.errors import InputError


def path_below(argument: str, folder: Path, name: str) -> Path:
    """Returns ``folder / name`` after checking ``name``. No file is accessed.

    Absolute paths and ``..`` are refused in POSIX and Windows syntax, on every system: ``/a``, ``C:a``, ``..\\a``.
    Symbolic links within ``folder`` are allowed.

    Args:
        argument: the name of the argument, for the error message.
        folder: the folder that must contain the file.
        name: the file's relative name.

    Raises:
        InputError: if ``name`` is absolute, empty or contains ``..``.

    >>> path_below("root", Path("train2014"), "a.jpg").as_posix()
    'train2014/a.jpg'
    >>> path_below("root", Path("train2014"), "../a.jpg")
    Traceback (most recent call last):
    mlgcn_pyg.errors.InputError: root: expected a file below train2014, found '../a.jpg'
    """
    parsed = PureWindowsPath(check_text(argument, name))  # parses /, \ and drive letters
    if not parsed.parts or parsed.anchor or ".." in parsed.parts or "\0" in name:
        raise InputError(argument, f"a file below {folder}", repr(name))
    return folder / name
