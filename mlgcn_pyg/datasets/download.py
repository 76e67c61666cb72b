"""Fetching a published archive and taking its files out, so that stopping at any moment loses nothing.

What has arrived of an archive is kept beside it under another name, and the next run asks for the rest. Each file of
an archive appears under its name when it is whole; the next run skips those that are there.
"""

import http.client
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from torchvision.datasets.utils import check_md5

from mlgcn_pyg.datasets.archives import check_room, extract
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import own_folder

CHUNK = 1 << 20
TIMEOUT = 60  # seconds without a byte
AGAIN = "run the same command again: it goes on where it stopped"

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Archive:
    """A file that somebody publishes, and its MD5 sum where that is published too."""

    url: str
    md5: str | None = None

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


def download_and_extract(archive: Archive, folder: str | Path, progress: Progress | None = None) -> Path:
    """Has the archive's files below ``folder``, and the archive itself, which is not removed, in it.

    Args:
        archive: what to fetch. A file of its name in ``folder`` is taken as it is, if its MD5 sum is right.
        folder: made where it is missing.
        progress: called with (what is being done, bytes done, bytes in all or None).

    Returns:
        The archive's path.

    Raises:
        InputError: no answer, fewer bytes than announced, another MD5 sum, no room, another process that downloads
            into ``folder``, or an archive that :func:`~mlgcn_pyg.datasets.archives.extract` refuses.
    """
    folder = Path(folder)
    with own_folder(folder, ".download.lock", "root", "a folder that nobody else downloads into"):
        path = fetch(archive, folder, progress)
        extract(path, folder, progress)
    return path


def fetch(archive: Archive, folder: Path, progress: Progress | None = None) -> Path:
    """The archive as a whole file in ``folder``; see :func:`download_and_extract`."""
    path, partial = folder / archive.name, folder / f".{archive.name}.partial"
    if path.is_file():
        if archive.md5 and not check_md5(path, archive.md5):
            raise InputError("archive", f"the MD5 sum {archive.md5}", f"another of {path}", fix="move it away")
        return path
    try:
        _receive(archive.url, partial, progress)
    except (URLError, OSError, http.client.HTTPException) as error:
        raise InputError("download", f"{archive.url} to arrive", first_line(error), AGAIN) from error
    if archive.md5 and not check_md5(partial, archive.md5):
        partial.unlink()
        found = f"another, so that what arrived from {archive.url} was removed"
        raise InputError("download", f"the MD5 sum {archive.md5}", found, fix="run the same command again")
    os.replace(partial, path)
    return path


def _receive(url: str, partial: Path, progress: Progress | None) -> None:
    """Appends to ``partial`` what is missing of it; starts anew where the server cannot do that."""
    have = partial.stat().st_size if partial.is_file() else 0
    headers = {"User-Agent": "mlgcn_pyg"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if not have or error.code != 416:
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":  # nothing is missing
            return
        partial.unlink()
        return _receive(url, partial, progress)
    with response:
        have = have if response.headers.get("Content-Range", "").startswith(f"bytes {have}-") else 0
        total = None if response.length is None else have + response.length  # None: not announced, or no number
        check_room(partial.parent, (total or 0) - have)
        with open(partial, "ab" if have else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                if progress:
                    progress(f"downloading {url.rsplit('/', 1)[-1]}", file.tell(), total)
    if total is not None and partial.stat().st_size != total:
        raise InputError("download", f"{total} bytes of {url}", partial.stat().st_size, AGAIN)
