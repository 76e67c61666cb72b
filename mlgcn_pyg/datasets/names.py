"""File names that other people's files give: none of them may lead out of the folder they belong to."""

from pathlib import Path, PureWindowsPath

from mlgcn_pyg.checks import check_text
from mlgcn_pyg.errors import InputError


def inside(argument: str, folder: Path, name: str) -> Path:
    """``folder / name``, for a relative ``name`` without ``..``; judged by its text alone, no file is looked up.

    A name is refused on every system if it would be absolute or climb on any: ``/a``, ``C:a``, ``..\\a``.
    Links that lie in ``folder`` already are its owner's, and are followed.

    Raises InputError for any other name.

    >>> inside("file_name", Path("train2014"), "a.jpg").as_posix()
    'train2014/a.jpg'
    >>> inside("file_name", Path("train2014"), "../a.jpg")
    Traceback (most recent call last):
    mlgcn_pyg.errors.InputError: file_name: expected a file below train2014, found '../a.jpg'
    """
    parsed = PureWindowsPath(check_text(argument, name))  # understands / and \ and drives
    if not parsed.parts or parsed.anchor or ".." in parsed.parts or "\0" in name:
        raise InputError(argument, f"a file below {folder}", repr(name))
    return folder / name
