"""Exceptions and warnings about arguments. The messages of exceptions are composed from their fields."""

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

LONGEST_REASON = 120  # characters of a foreign exception's message
LONGEST_PART = 600  # characters of a part of an error


@dataclass(frozen=True)
class Argument:
    """A reference to an argument in the ``fix`` of an :class:`InputError`, with an optional suggested value.

    The command line shows it as an option, such as ``--overwrite``.

    >>> print(Argument("overwrite", True), Argument("batch_size"))
    overwrite=True batch_size
    """

    name: str
    value: object = ...  # ... means no value; pickling preserves its identity

    @property
    def has_value(self) -> bool:
        """Whether a value is suggested."""
        return self.value is not ...

    def __str__(self) -> str:
        return f"{self.name}={self.value!r}" if self.has_value else self.name


Fix = str | Sequence[str | Argument]


class InputError(ValueError):
    """Raised if an argument is not valid.

    The command line prints the message on one line and exits with code 2.

    Args:
        argument: the name of the Python argument.
        expected: what the argument must be.
        found: what was passed, with shapes. It is converted to a string.
        fix: how to solve the problem. A string, or a sequence of strings and :class:`Argument` objects, which are
            joined. Default: the message suggests nothing.

    >>> print(InputError("tau", "a number in [0, 1]", 1.5, fix="use 0.4, the paper's value"))
    tau: expected a number in [0, 1], found 1.5; use 0.4, the paper's value
    >>> print(InputError("path", "a new file", "a.h5", fix=["pass ", Argument("overwrite", True)]))
    path: expected a new file, found a.h5; pass overwrite=True
    """

    def __init__(self, argument: str, expected: str, found: object, fix: Fix = ""):
        self.argument, self.expected, self.found = argument, expected, str(found)
        self.fix: tuple[str | Argument, ...] = (fix,) if isinstance(fix, str) else tuple(fix)
        super().__init__(self.argument, self.expected, self.found, self.fix)  # unpickling calls __init__ with these

    def __str__(self) -> str:
        return self.text()

    def text(self, show: Callable[[Argument], str] = str) -> str:
        """Returns the error as one line without control characters, each part of it shortened to 600 characters.

        Args:
            show: converts an :class:`Argument` to text. The command line shows ``--overwrite`` for ``overwrite=True``.
        """
        parts = self.parts(show)
        problem = f"{parts['argument']}: expected {parts['expected']}, found {parts['found']}"
        return f"{problem}; {parts['fix']}" if parts["fix"] else problem

    def parts(self, show: Callable[[Argument], str] = str) -> dict[str, str]:
        """Returns the parts of :meth:`text`: ``argument``, ``expected``, ``found`` and ``fix``."""
        fix = "".join(part if isinstance(part, str) else show(part) for part in self.fix)
        texts = {"argument": show(Argument(self.argument)), "expected": self.expected, "found": self.found, "fix": fix}
        return {name: shortened(printable_line(text)) for name, text in texts.items()}


class InputWarning(UserWarning):
    """Warns of input that is accepted but probably has a mistake. The command line prints it on one line."""


def warn_of_input(text: str) -> None:
    """Issues an :class:`InputWarning` at the line outside of the package that called it."""
    package, level = __name__.partition(".")[0], 2
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    warnings.warn(text, InputWarning, stacklevel=level)


@contextmanager
def renamed_arguments(**names: str) -> Iterator[None]:
    """Renames the arguments in an :class:`InputError` that is raised within the block.

    Use this if a function passes its arguments to other functions under different names. The error then shows the
    names that the caller knows.

    Args:
        names: maps each name within the block to the name in the error.

    >>> with renamed_arguments(path="adj"):
    ...     raise InputError("path", "a file that exists", "no file a.pkl")
    Traceback (most recent call last):
    mlgcn_pyg.errors.InputError: adj: expected a file that exists, found no file a.pkl
    """
    try:
        yield
    except InputError as error:
        error.argument = names.get(error.argument, error.argument)
        error.fix = tuple(
            replace(part, name=names.get(part.name, part.name)) if isinstance(part, Argument) else part
            for part in error.fix
        )
        error.args = (error.argument, error.expected, error.found, error.fix, *error.args[4:])
        raise


def printable_line(text: object) -> str:
    """Returns ``text`` on one line: each run of whitespace becomes one space, and non-printable characters are escaped.

    >>> printable_line("two\\n  lines\\x1b[1m")
    'two lines\\\\x1b[1m'
    """
    return printable(" ".join(str(text).split()))


def printable(text: str) -> str:
    """Returns ``text`` with its non-printable characters escaped, except line breaks.

    A terminal obeys such characters, and names in files may contain them.

    >>> printable("a\\x1b[2J")
    'a\\\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def shortened(text: str, longest: int = LONGEST_PART) -> str:
    """Returns ``text`` with at most ``longest`` characters: those in the middle are left out.

    >>> shortened("abcdefghijklmnop", 10)
    'abcde … op'
    """
    if len(text) <= longest:
        return text
    end = longest // 4
    return f"{text[: longest - end - 3]} … {text[-end:]}"


def first_line(error: BaseException) -> str:
    """Returns an exception's type and the first sentence of its message, of at most 120 characters.

    A first line that ends with a colon is continued by the second. A longer text is cut after a word.

    >>> first_line(KeyError("name"))
    "KeyError: 'name'"
    >>> first_line(ValueError("two errors:\\n  the first\\n  the second"))
    'ValueError: two errors: the first'
    """
    lines = str(error).strip().splitlines() or [""]
    message = printable_line(" ".join(lines[:2]) if lines[0].endswith(":") else lines[0])
    if len(message) > LONGEST_REASON:
        words = message[: LONGEST_REASON - 1].rpartition(" ")[0]
        message = f"{words} …" if words else message[:LONGEST_REASON]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
