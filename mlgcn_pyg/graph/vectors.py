"""Reads files of word vectors as a stream: only the vectors of the requested words are parsed and kept."""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from mlgcn_pyg.errors import Argument, Fix, InputError, first_line
from mlgcn_pyg.graph.text_vectors import SPACES, Entry, text_entries
from mlgcn_pyg.text import normal_form

READY_FORMATS = ("npy", "pickle", "mlgcn")  # formats of precomputed label embeddings, not of word vectors

CHUNK = 1 << 20
LONGEST = 1 << 16  # the largest number of bytes in a word, and of numbers in a vector
LINE = 1 << 22  # the largest number of bytes in a line; a few MB of gzip can expand to a line that fills the memory
MAX_BYTES = 1 << 34  # 16 GiB after decompression; the largest file of GloVe has 6
STEP = 64  # entries between two checks of the decompressed size
ARCHIVES = (b"PK\x03\x04", b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c")
FASTTEXT_MODEL = (793712314).to_bytes(4, "little")

BinaryFile = BinaryIO | gzip.GzipFile
T = TypeVar("T")


def read_vectors(
    path: Path, wanted: Iterable[str], format: str, max_bytes: int = MAX_BYTES
) -> tuple[dict[str, np.ndarray], int]:
    """Reads the vectors of some words.

    Args:
        path: a file in the format of GloVe, word2vec or fastText (``.vec``), optionally compressed by gzip.
        wanted: the words to look up, in their normal form.
        format: ``"text"`` for lines of ``word v_1 … v_F``, with or without a header line ``count width``, or for a
            table whose columns are separated by tabs, commas or semicolons, with or without a line of column names. A
            word may contain spaces, as a few words of glove.840B do, but may not end in a separator and a number.
            ``"binary"`` for the format of word2vec: a header line ``count width``, then words and little-endian
            float32 numbers.
        max_bytes: a limit on the decompressed size of a file in gzip.

    Returns:
        A dict from the words that are in the file to their vectors (F,) float32, and F. A word that is not in the file
        as it is requested may be there in another form, whose normal form it is.

    Raises:
        InputError: if the file is truncated, has lines of different widths, or does not agree with its header; if
            the vector of a requested word is not numeric or not finite; if a requested word has two different vectors.
    """
    keys = {word.encode(): word for word in wanted}
    vectors: dict[str, np.ndarray] = {}
    other_forms: dict[str, np.ndarray] = {}
    width = 0
    for number, key, raw in entries(path, format, max_bytes):
        width = width or (len(raw) // 4 if format == "binary" else raw.count(b" ") + 1)
        if key not in keys:
            if not key.isascii() and (form := normal_form(key.decode(errors="replace")).encode()) in keys:
                other_forms.setdefault(keys[form], _numbers(path, number, raw, format))
            continue
        vector = _numbers(path, number, raw, format)
        word = keys[key]
        if word in vectors and not np.array_equal(vectors[word], vector):
            raise _file_error(path, "each word once", f"{word!r} again as entry {number}, with a different vector")
        vectors[word] = vector
    if not width:
        raise _file_error(path, "words and their vectors", "none")
    return other_forms | vectors, width


def read_words(path: Path, format: str, max_bytes: int = MAX_BYTES) -> Iterator[str]:
    """Yields all words of a file, in order."""
    return (key.decode(errors="replace") for _, key, _ in entries(path, format, max_bytes))


def embeddings_format(path: str | Path) -> str:
    """Detects the format of a file of word vectors or embeddings by its first bytes.

    The suffix ``.pkl`` also identifies a pickle.

    Args:
        path: the file.

    Returns:
        ``"text"`` or ``"binary"`` for word vectors, ``"npy"``, ``"pickle"`` or ``"mlgcn"`` for embeddings of labels;
        see :func:`~mlgcn_pyg.graph.label_embeddings`. ``"text"`` is also returned for unknown formats.

    Raises:
        InputError: if the file is an archive or a fastText model.
    """
    path = Path(path)
    with _opened(path) as file:
        head = _guarded(path, lambda: file.read(LONGEST))
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK\x03\x04") and b"/data.pkl" in head[:400]:  # written by torch.save
        return "mlgcn"
    if head.startswith(ARCHIVES):
        raise _file_error(path, "a file of word vectors, plain or compressed by gzip", "an archive", "unpack it")
    if path.suffix.lower() == ".pkl" or head.startswith(b"\x80"):
        return "pickle"
    if head.startswith(FASTTEXT_MODEL):
        raise _file_error(path, "a file of word vectors", "a fastText model", "use the .vec file that comes with it")
    first, _, rest = head.partition(b"\n")
    header = _header(first)
    return "binary" if header and not _is_text(rest, header[1]) else "text"


def entries(path: Path, format: str, max_bytes: int = MAX_BYTES) -> Iterator[Entry]:
    """Yields the number, the word and the unparsed vector of each entry of a file."""
    with _opened(path) as file:
        stream = _binary_entries(path, file) if format == "binary" else _text_entries(path, file)
        while (entry := _guarded(path, lambda: next(stream, None))) is not None:
            if entry[0] % STEP == 0 and isinstance(file, gzip.GzipFile) and file.tell() > max_bytes:
                fix: Fix = ["if it is not damaged, pass ", Argument("max_bytes", 4 * max_bytes)]
                raise _file_error(path, f"at most {max_bytes:,} bytes after decompression", "more", fix)
            yield entry


def _text_entries(path: Path, file: BinaryFile) -> Iterator[Entry]:
    lines = _lines(path, file)
    first = list(islice(lines, 1))
    header = _header(first[0]) if first else None
    yield from text_entries(lines if header else chain(first, lines), partial(_file_error, path), header)


def _lines(path: Path, file: BinaryFile) -> Iterator[bytes]:
    """Yields the lines of a text file without the blanks at their ends; fastText ends its lines with a space."""
    for k, line in enumerate(iter(lambda: file.readline(LINE), b"")):
        line = line if k else _start(path, line)
        if len(line) == LINE:
            raise _file_error(path, "a word and numbers in every line", f"over {LINE >> 20} MiB in line {k + 1}")
        if not line.endswith(b"\n"):
            fix = "download it again; if it is complete, add a newline to its last line"
            raise _file_error(path, "a newline at the end", f"a file truncated in line {k + 1}", fix)
        yield line.rstrip()


def _binary_entries(path: Path, file: BinaryFile) -> Iterator[Entry]:
    header = _header(file.readline(LONGEST))
    if not header or header[1] > LONGEST:
        raise _file_error(path, "a first line 'count width', as in word2vec's binary files", "a different first line")
    count, width = header
    buffer, start = b"", 0
    for number in range(1, count + 1):
        while (space := buffer.find(b" ", start)) < 0 or len(buffer) < space + 1 + 4 * width:
            if space < 0 and len(buffer) - start > LONGEST:
                raise _file_error(path, "words and float32 numbers", f"other bytes after entry {number - 1}")
            if not (chunk := file.read(CHUNK)):
                found = f"the end of the file in entry {number}"
                raise _file_error(path, f"the {count} words that the first line announces", found)
            buffer, start = buffer[start:] + chunk, 0
        end = space + 1 + 4 * width
        yield number, buffer[start:space].lstrip(b"\n"), buffer[space + 1 : end]  # some writers end entries with \n
        start = end
    if (buffer[start:] + file.read(2)).strip(b"\n"):
        raise _file_error(path, f"the {count} words that the first line announces", "more bytes")


def _numbers(path: Path, number: int, raw: bytes, format: str) -> np.ndarray:
    try:
        numbers = np.frombuffer(raw, "<f4") if format == "binary" else np.array([float(k) for k in raw.split(b" ")])
    except ValueError as error:
        raise _file_error(path, "a word and numbers in every line", f"other text in entry {number}") from error
    with np.errstate(over="ignore"):
        vector = numbers.astype(np.float64).astype(np.float32)
    if not np.isfinite(vector).all():
        raise _file_error(path, "finite numbers", f"NaN or Inf in entry {number}")
    return vector


def _header(line: bytes) -> tuple[int, int] | None:
    """Returns the count and width of a header line ``count width``, or None for a different line."""
    parts = line.split()
    if len(parts) == 2 and all(part.isdigit() and len(part) < 20 for part in parts) and int(parts[1]):
        return int(parts[0]), int(parts[1])
    return None


def _is_text(rest: bytes, width: int) -> bool:
    """Returns whether the bytes after a header begin like ``word 0.1 0.2``; the word may contain spaces."""
    line, end, _ = rest.partition(b"\n")
    fields = line.translate(SPACES).split()[1:]
    try:
        return bool([float(k) for k in (fields[-width:] if end else fields)[:3]]) or not rest
    except ValueError:
        return False


def _start(path: Path, line: bytes) -> bytes:
    """Returns the first line without a byte order mark."""
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _file_error(path, "a text file in UTF-8", "UTF-16")
    return line.removeprefix(b"\xef\xbb\xbf")


def _opened(path: Path) -> BinaryFile:
    with open(path, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.GzipFile(path, "rb") if compressed else open(path, "rb", buffering=CHUNK)


def _guarded(path: Path, step: Callable[[], T]) -> T:
    """Returns ``step()``; errors of a damaged compressed file become an InputError that names the file."""
    try:
        return step()
    except InputError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _file_error(path, "a complete file", first_line(error)) from error


def _file_error(path: Path, expected: str, found: object, fix: Fix = "") -> InputError:
    return InputError("path", expected, f"{found} ({path})", fix)
