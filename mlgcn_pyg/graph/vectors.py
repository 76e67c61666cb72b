"""Word-vector files read as a stream: of all their vectors, only the wanted words' are ever parsed or kept."""

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mlgcn_pyg.errors import InputError, first_line

CHUNK = 1 << 20
LONGEST = 1 << 16  # bytes of a word, and numbers of a vector: beyond it is no word-vector file
LINE = 1 << 22  # bytes of a line: a few MB of gzip can hold one that fills the memory
NUMBER = re.compile(rb"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
PACKED = (b"PK\x03\x04", b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c")
FASTTEXT_MODEL = (793712314).to_bytes(4, "little")

Entries = Iterator[tuple[int, bytes, bytes]]


def read_vectors(path: Path, wanted: Iterable[str], format: str) -> tuple[dict[str, np.ndarray], int]:
    """The vectors (F,) float32 of those of the ``wanted`` words that are in the file, and F.

    Args:
        path: a file of GloVe, word2vec or fastText (``.vec``), perhaps compressed by gzip.
        format: ``"text"``: lines of ``word v_1 … v_F``, after a line ``count width`` or without one; a word may have
            spaces in it, as a few of glove.840B have, but no number after a space;
            ``"binary"``: word2vec's, a line ``count width``, then words and little-endian float32 numbers.

    Raises:
        InputError: a file that is cut short, lines of another width, a header that does not hold; for the wanted words
            also numbers that are none or not finite, and a word given twice with different vectors.
    """
    keys, found, width = {word.encode(): word for word in wanted}, {}, 0
    for number, key, raw in entries(path, format):
        width = width or (len(raw) // 4 if format == "binary" else raw.count(b" ") + 1)
        if key not in keys:
            continue
        vector = _numbers(path, number, raw, format)
        word = keys[key]
        if word in found and not np.array_equal(found[word], vector):
            raise _damaged(path, "each word once", f"{word!r} again as entry {number}, with another vector")
        found[word] = vector
    if not width:
        raise _damaged(path, "words and their vectors", "none")
    return found, width


def read_words(path: Path, format: str) -> Iterator[str]:
    """All words of the file, in order."""
    return (key.decode(errors="replace") for _, key, _ in entries(path, format))


def sniff(path: Path) -> str:
    """What the file is, by its first bytes: ``npy``, ``pickle``, ``mlgcn``, ``binary`` or ``text``."""
    with _opened(path) as file:
        head = _guarded(path, lambda: file.read(LONGEST))
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK\x03\x04") and b"/data.pkl" in head[:400]:  # what torch.save begins with
        return "mlgcn"
    if head.startswith(PACKED):
        raise _damaged(path, "a file of word vectors, as it is or compressed by gzip", "an archive", "unpack it")
    if path.suffix.lower() == ".pkl" or head.startswith(b"\x80"):
        return "pickle"
    if head.startswith(FASTTEXT_MODEL):
        raise _damaged(path, "a file of word vectors", "a fastText model", "use the .vec file that comes with it")
    first, _, rest = head.partition(b"\n")
    header = _header(first)
    return "binary" if header and not _is_text(rest, header[1]) else "text"


def entries(path: Path, format: str) -> Entries:
    """(number of the entry, word, its vector as it is written) for every word of the file."""
    with _opened(path) as file:
        stream = _binary_entries(path, file) if format == "binary" else _text_entries(path, file)
        while (entry := _guarded(path, lambda: next(stream, None))) is not None:
            yield entry


def _text_entries(path: Path, file: BinaryIO) -> Entries:
    header = width = None
    number = 0  # of the entry; a header is none
    for k, line in enumerate(iter(lambda: file.readline(LINE), b"")):
        line = line if k else _start(path, line)
        if len(line) == LINE:
            raise _damaged(path, "a word and numbers in every line", f"{LINE >> 20} MiB without an end in line {k + 1}")
        if not line.endswith(b"\n"):
            fix = "fetch it again; if it is whole, end its last line"
            raise _damaged(path, "a newline at the end", f"a file cut short in line {k + 1}", fix)
        line = line.rstrip()  # fastText ends its lines with a space
        if k == 0:
            if header := _header(line):
                width = header[1]
                continue
            width = line.count(b" ")
        number += 1
        spaces = line.count(b" ")
        word, raw = _split(line, spaces, width)
        if spaces < width or not width or (spaces > width and NUMBER.fullmatch(word.rpartition(b" ")[2])):
            found = f"{spaces} in line {k + 1}"
            raise _damaged(path, f"a word and {width or 'more than no'} numbers in every line", found)
        yield number, word, raw
    if header and number != header[0]:
        raise _damaged(path, f"the {header[0]} words that its first line announces", number)


def _split(line: bytes, spaces: int, width: int) -> tuple[bytes, bytes]:
    """The word and the last ``width`` numbers: a few words of glove.840B have spaces in them, such as ``. . .``"""
    if spaces <= width:  # nearly always, and fast
        word, _, raw = line.partition(b" ")
        return word, raw
    word, *numbers = line.rsplit(b" ", width)
    return word, b" ".join(numbers)


def _binary_entries(path: Path, file: BinaryIO) -> Entries:
    header = _header(file.readline(LONGEST))
    if not header or header[1] > LONGEST:
        raise _damaged(path, "a first line 'count width' as word2vec's binary files have", "another one")
    count, width = header
    buffer, at = b"", 0
    for number in range(1, count + 1):
        while (space := buffer.find(b" ", at)) < 0 or len(buffer) < space + 1 + 4 * width:
            if space < 0 and len(buffer) - at > LONGEST:
                raise _damaged(path, "words and float32 numbers", f"other bytes after entry {number - 1}")
            if not (more := file.read(CHUNK)):
                raise _damaged(path, f"the {count} words that its first line announces", f"the end in entry {number}")
            buffer, at = buffer[at:] + more, 0
        end = space + 1 + 4 * width
        yield number, buffer[at:space].lstrip(b"\n"), buffer[space + 1 : end]  # some writers end entries with \n
        at = end
    if (buffer[at:] + file.read(2)).strip(b"\n"):
        raise _damaged(path, f"the {count} words that its first line announces", "more")


def _numbers(path: Path, number: int, raw: bytes, format: str) -> np.ndarray:
    try:
        numbers = np.frombuffer(raw, "<f4") if format == "binary" else [float(k) for k in raw.split(b" ")]
    except ValueError as error:
        raise _damaged(path, "a word and numbers in every line", f"other text in entry {number}") from error
    with np.errstate(over="ignore"):
        vector = np.asarray(numbers, dtype=np.float64).astype(np.float32)
    if not np.isfinite(vector).all():
        raise _damaged(path, "finite numbers", f"NaN or Inf in entry {number}")
    return vector


def _header(line: bytes) -> tuple[int, int] | None:
    """``count width``, if that is what the line says."""
    parts = line.split()
    if len(parts) == 2 and all(part.isdigit() and len(part) < 20 for part in parts) and int(parts[1]):
        return int(parts[0]), int(parts[1])
    return None


def _is_text(rest: bytes, width: int) -> bool:
    """Whether what follows a header begins like ``word 0.1 0.2``; the word may have spaces, if the line is in sight."""
    line, end, _ = rest.partition(b"\n")
    fields = line.split()[1:]
    try:
        return bool([float(k) for k in (fields[-width:] if end else fields)[:3]]) or not rest
    except ValueError:
        return False


def _start(path: Path, line: bytes) -> bytes:
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _damaged(path, "a text file in UTF-8", "UTF-16")
    return line.removeprefix(b"\xef\xbb\xbf")


def _opened(path: Path) -> BinaryIO:
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else open(path, "rb", buffering=CHUNK)


def _guarded(path: Path, step):
    """What ``step()`` returns; a compressed file that is damaged or cut short is refused by name."""
    try:
        return step()
    except InputError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, "a whole file", first_line(error)) from error


def _damaged(path: Path, expected: str, found: object, fix: str = "") -> InputError:
    return InputError("embeddings", expected, f"{found} ({path})", fix)
