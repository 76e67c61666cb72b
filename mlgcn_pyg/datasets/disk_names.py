"""Finds files whose names have a different Unicode form on the disk than in a list."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path


def composed(name: str) -> str:
    """Returns a file name in Unicode's composed form, NFC. Lists are usually composed; macOS decomposes file names."""
    return unicodedata.normalize("NFC", name)


class DiskNames:
    """Looks up files by name; a folder is listed only if a file in it is not found as it is written, and only once.

    Args:
        form: two names are the same if their forms are equal.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "cafe\\u0301.jpg").touch()
    >>> DiskNames().find(folder / "caf\\u00e9.jpg").exists()
    True
    """

    def __init__(self, form: Callable[[str], str] = composed):
        self.form = form
        self._names: dict[str, dict[str, str]] = {}  # {folder: {form: name}}

    def find(self, path: str | Path) -> Path:
        """Returns the path under which the file exists, or ``path`` itself if there is no such file."""
        if os.path.lexists(path):
            return Path(path)
        folder, name = os.path.split(path)
        if not name:  # the root, or a relative path with no folder left
            return Path(path)
        folder = str(self.find(folder)) if folder else "."
        return Path(folder, self._listed(folder).get(self.form(name), name))

    def find_listed(self, path: str | Path, name: str) -> Path:
        """Returns :meth:`find` of ``path``, which ends in ``name``. The disk is not read for a name in ASCII."""
        return Path(path) if name.isascii() else self.find(path)

    def _listed(self, folder: str) -> dict[str, str]:
        if folder not in self._names:
            try:
                names = sorted(os.listdir(folder), reverse=True)  # of several, the first one is kept
            except OSError:  # absent, or not a folder
                names = []
            self._names[folder] = {self.form(name): name for name in names}
        return self._names[folder]
