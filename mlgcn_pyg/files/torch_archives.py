"""The zip archives in which ``torch.save`` stores its files, and a digest of them.

``torch.load`` does not detect numbers that have changed on the disk. Here the CRC-32 of each member is verified. Files
that this package has written also have a member ``sha256``, which other programs ignore.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import BinaryIO

import numpy as np

DIGEST = "sha256"
LOCAL_HEADER = 30  # bytes before the name of a member


@dataclass(frozen=True)
class Archive:
    """The content of an archive.

    Attributes:
        folder: the folder of all members, which ``torch.save`` names like the file.
        members: the bytes of each member by its name in the folder.
        size: the size of the file in bytes.
    """

    folder: str
    members: dict[str, np.ndarray]
    size: int


def read_archive(file: BinaryIO) -> Archive:
    """Reads all members of an archive. None may be compressed, and their sizes are compared with the file.

    Args:
        file: the open file.

    Raises:
        Exception: of any type, if the file is damaged, or is not an archive that ``torch.save`` has written.
    """
    size = file.seek(0, 2)
    infos = zipfile.ZipFile(file).infolist()
    pickles = [info.filename for info in infos if info.filename.partition("/")[2] == "data.pkl"]
    if len(pickles) != 1 or any(info.filename.endswith("/constants.pkl") for info in infos):
        raise UnpicklingError("an archive that torch.save has not written")
    if any(info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size for info in infos):
        raise UnpicklingError("compressed content")
    if sum(info.file_size for info in infos) > size or len({info.filename for info in infos}) < len(infos):
        raise UnpicklingError("overlapping content")
    folder = pickles[0].removesuffix("data.pkl")
    members = {info.filename.removeprefix(folder): _read_member(file, info) for info in infos}
    stored = members.pop(DIGEST, None)
    if stored is not None and stored.tobytes().decode("ascii") != _digest(members):
        raise UnpicklingError("the checksum does not match")
    if members.get("byteorder", np.frombuffer(b"little", np.uint8)).tobytes() != b"little":
        raise UnpicklingError("numbers of a big-endian machine")
    return Archive(folder, members, size)


def add_digest(path: Path) -> None:
    """Adds the digest of an archive to it."""
    with open(path, "rb") as file:
        archive = read_archive(file)
    with zipfile.ZipFile(path, "a") as zipped:
        zipped.writestr(zipfile.ZipInfo(archive.folder + DIGEST), _digest(archive.members))


def _read_member(file: BinaryIO, info: zipfile.ZipInfo) -> np.ndarray:
    file.seek(info.header_offset)
    header = file.read(LOCAL_HEADER)
    file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)  # name and extra
    data = np.fromfile(file, np.uint8, info.file_size)
    if len(data) < info.file_size:
        raise EOFError("the file is truncated")
    if info.CRC and zlib.crc32(data.data) != info.CRC:  # torch.save writes 0 if it is told not to compute it
        raise UnpicklingError("the checksum does not match")
    return data


def _digest(members: Mapping[str, np.ndarray]) -> str:
    """Returns the SHA-256 of the names, sizes and bytes of all members."""
    sha = hashlib.sha256()
    for name in sorted(members):
        sha.update(f"{name} {len(members[name])}\n".encode())
        sha.update(members[name].data)
    return sha.hexdigest()
