"""File names in files from elsewhere, none of which may lead out of their folder."""

from pathlib import Path, PureWindowsPath

from mlgcn_pyg.checks import check_text
from mlgcn_pyg.errors import InputError


def path_below(argument: str, folder: Path, name: str) -> Path:
    """Returns ``folder / name``. The check reads the text of ``name`` only; no file is accessed.

    A name is refused on every system if it is absolute or climbs on any system: ``/a``, ``C:a``, ``..\\a``.
    Links within ``folder`` are followed later: they belong to its owner.

    Args:
        argument: the argument that an error names.
        folder: the folder that the file must be in.
        name: the file's relative name.

    Raises:
        InputError: if ``name`` is absolute, empty or contains ``..``.

    >>> path_below("root", Path("train2014"), "a.jpg").as_posix()
    'train2014/a.jpg'
    >>> path_below("root", Path("train2014"), "../a.jpg")
    Traceback (most recent call last):
    mlgcn_pyg.errors.InputError: root: expected a file below train2014, found '../a.jpg'
    """
    parsed = PureWindowsPath(check_text(argument, name))  # parses / and \ and drives
    if not parsed.parts or parsed.anchor or ".." in parsed.parts or "\0" in name:
        raise InputError(argument, f"a file below {folder}", repr(name))
    return folder / name
