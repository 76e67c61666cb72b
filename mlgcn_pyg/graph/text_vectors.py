"""Parses lines of ``word v_1 … v_F``, in which blanks, tabs, commas or semicolons separate the numbers."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mlgcn_pyg.errors import InputError

NUMBER = re.compile(rb"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
SPACES = bytes.maketrans(b"\t,;", b"   ")

Entry = tuple[int, bytes, bytes]  # its number (from 1), the word, and the unparsed vector, separated by blanks
FileError = Callable[[str, object], InputError]  # makes the error from what was expected and found


@dataclass(frozen=True)
class Layout:
    """How a line is divided.

    Attributes:
        width: F.
        separator: what is between the word and the first number.
        spaced: whether all separators are single spaces, as in the files of GloVe, word2vec and fastText.
    """

    width: int
    separator: bytes = b" "
    spaced: bool = True


def layout_of(line: bytes) -> Layout | None:
    """Returns the layout of a file from its first line with a vector; None if the line names the columns of a table.

    >>> layout_of(b"dog 0.1 0.2"), layout_of(b"New York,0.1,0.2"), layout_of(b"word,d0,d1")
    (Layout(width=2, separator=b' ', spaced=True), Layout(width=2, separator=b',', spaced=False), None)
    """
    for separator in (b"\t", b",", b";", b" "):
        word, *numbers = line.split(separator)
        if not (numbers and all(NUMBER.fullmatch(number.strip()) for number in numbers)):
            continue
        *before, last = re.split(rb"[ \t]+", word)
        if before and NUMBER.fullmatch(last) and (separator != b" " or b"\t" in word):
            break  # two kinds of separators, as in "dog<TAB>0.1 0.2" or "dog 0.1,0.2"
        if word.strip() or separator == b" ":
            return Layout(len(numbers), separator, separator == b" ")
        if separator != b" " and [float(number) for number in numbers] == list(range(len(numbers))):
            return None  # ",0,1,2", as pandas numbers columns
    tokens = line.translate(SPACES).split()
    width = next((k for k, token in enumerate(reversed(tokens)) if not NUMBER.fullmatch(token)), len(tokens) - 1)
    if line.translate(SPACES) == line:
        return Layout(line.count(b" "))  # with NaN, Inf or other text, which is refused later
    return Layout(width, b" ", spaced=False) if width > 0 else None


def text_entries(lines: Iterable[bytes], error: FileError, header: tuple[int, int] | None) -> Iterator[Entry]:
    """Yields the entries of lines that end in no blanks.

    Args:
        lines: the lines after the header line ``count width``.
        error: makes the errors to raise.
        header: the count and width in the header line, if there is one.
    """
    layout, number = None, 0
    for k, line in enumerate(lines, start=2 if header else 1):
        if layout is None:
            layout = layout_of(line)
            if layout is None:
                continue
            if header:
                layout = Layout(header[1], layout.separator, layout.spaced)
        number += 1
        width = layout.width
        split = _split_spaced(line, width) if layout.spaced else _split_other(line, layout)
        if split is None:
            numbers = f"{width} numbers" if width else "at least one number"
            raise error(f"a word and {numbers} in every line", f"{_count(line, layout)} in line {k}")
        yield number, *split
    if header and number != header[0]:
        raise error(f"the {header[0]} words that the first line announces", number)


def _split_spaced(line: bytes, width: int) -> tuple[bytes, bytes] | None:
    """Splits a line into the word and the last ``width`` numbers; None if there are more or fewer.

    A few words of glove.840B contain spaces, such as ``. . .``.
    """
    spaces = line.count(b" ")
    if spaces == width and width:  # the usual case, for which this is faster
        word, _, raw = line.partition(b" ")
        return word, raw
    if spaces < width or not width:
        return None
    word, *numbers = line.rsplit(b" ", width)
    return None if NUMBER.fullmatch(word.rpartition(b" ")[2]) else (word, b" ".join(numbers))


def _split_other(line: bytes, layout: Layout) -> tuple[bytes, bytes] | None:
    """The same for other separators. A word in a table may be quoted."""
    head, *numbers = line.translate(SPACES).rsplit(None, layout.width) or [b""]
    word = line[: len(head)]  # as it is written
    before, separator, last = word.rpartition(layout.separator)
    too_many = separator and before.strip() and NUMBER.fullmatch(last.strip())
    follows = b"" if layout.separator == b" " else layout.separator
    too_few = len(numbers) < layout.width or not line[len(head) :].lstrip(b" ").startswith(follows)
    if too_many or too_few:
        return None
    word = word.strip()
    quoted = len(word) > 1 and word[:1] == word[-1:] == b'"'
    return (word[1:-1].replace(b'""', b'"') if quoted else word), b" ".join(numbers)


def _count(line: bytes, layout: Layout) -> int:
    return line.count(b" ") if layout.spaced else max(len(line.translate(SPACES).split()) - 1, 0)
