"""Resumable download and extraction of published archives.

Received bytes are kept in a temporary file beside the archive. The next run requests only the missing bytes.
"""

import http.client
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from torchvision.datasets.utils import check_md5

from mlgcn_pyg.datasets.archives import Progress, check_room, extract
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.locks import locked_folder

CHUNK = 1 << 20
TIMEOUT = 60  # seconds without received data
RESUME = "run again to resume the download"


@dataclass(frozen=True)
class Archive:
    """A published file.

    Attributes:
        url: where it is published.
        md5: its MD5 sum, or None if none is published.
    """

    url: str
    md5: str | None = None

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


def download_and_extract(archive: Archive, folder: str | Path, progress: Progress | None = None) -> Path:
    """Downloads an archive into a folder, where it is kept, and extracts its files there.

    Args:
        archive: the archive. An existing file is not downloaded again if its MD5 sum matches or none is known.
        folder: created if it does not exist.
        progress: called with (description, bytes done, total bytes or None).

    Returns:
        The path of the archive.

    Raises:
        InputError: if the server does not answer or sends fewer bytes than announced; if the MD5 sum differs; if
            there is not enough free disk space; if another process is downloading into ``folder``; or if
            :func:`~mlgcn_pyg.datasets.archives.extract` refuses the archive.
    """
    folder = Path(folder)
    with locked_folder(folder, ".download.lock", "folder", "a folder that no other process downloads into"):
        path = download(archive, folder, progress)
        extract(path, folder, progress)
    return path


def download(archive: Archive, folder: Path, progress: Progress | None = None) -> Path:
    """Downloads an archive into an existing folder; see :func:`download_and_extract`."""
    path, unfinished = folder / archive.name, folder / f".{archive.name}.partial"
    if path.is_file():
        if archive.md5 and not check_md5(path, archive.md5):
            found = f"a different sum for {path}"
            raise InputError("archive", f"the MD5 sum {archive.md5}", found, fix="move the file away")
        return path
    if unfinished.is_symlink():  # a download would follow it
        unfinished.unlink()
    try:
        _receive(archive.url, unfinished, progress)
    except (URLError, OSError, http.client.HTTPException) as error:
        raise InputError("archive", f"{archive.url} to be available", first_line(error), RESUME) from error
    if archive.md5 and not check_md5(unfinished, archive.md5):
        unfinished.unlink()
        found = f"a different sum for the download from {archive.url}, which was removed"
        raise InputError("archive", f"the MD5 sum {archive.md5}", found, fix="run again")
    os.replace(unfinished, path)
    return path


def _receive(url: str, unfinished: Path, progress: Progress | None) -> None:
    """Appends the missing bytes to ``unfinished``. Starts from the beginning if the server does not support ranges."""
    size = unfinished.stat().st_size if unfinished.is_file() else 0
    headers = {"User-Agent": "mlgcn_pyg"} | ({"Range": f"bytes={size}-"} if size else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if not size or error.code != 416:
            raise
        if error.headers.get("Content-Range") == f"bytes */{size}":  # nothing is missing
            return
        unfinished.unlink()
        return _receive(url, unfinished, progress)
    with response:
        size = size if response.headers.get("Content-Range", "").startswith(f"bytes {size}-") else 0
        total = None if response.length is None else size + response.length  # None: absent or invalid
        check_room(unfinished.parent, (total or 0) - size)
        with open(unfinished, "ab" if size else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                if progress:
                    progress(f"downloading {url.rsplit('/', 1)[-1]}", file.tell(), total)
    if total is not None and unfinished.stat().st_size != total:
        raise InputError("archive", f"{total} bytes of {url}", unfinished.stat().st_size, RESUME)
