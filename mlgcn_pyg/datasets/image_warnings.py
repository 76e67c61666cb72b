"""Warnings of Pillow, which do not say which file they are about."""

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlgcn_pyg.errors import InputWarning, printable_line

_reading = threading.local()  # its attribute ``texts`` collects the warnings of the image that a thread reads
_shown: set[str] = set()


@contextmanager
def named_warnings(name: object) -> Iterator[None]:
    """Repeats each warning within the block as an :class:`~mlgcn_pyg.errors.InputWarning` that begins with a name.

    Each text is shown once. If the block raises, its warnings are dropped. ``warnings.catch_warnings`` is not used,
    because it is not safe with threads and makes Python repeat other warnings that were shown already.

    Args:
        name: the name, such as a file.
    """
    _collect()
    texts: list[str] = []
    _reading.texts = texts
    try:
        yield
    finally:
        _reading.texts = None
    if not texts:
        return
    _forget()
    for text in dict.fromkeys(f"{name}: {text}" for text in texts):
        if text not in _shown:
            _shown.add(text)
            warnings.warn(text, InputWarning, stacklevel=4)


def _collect() -> None:
    """Makes Python's warnings go to the list of the thread in which they are raised, if it has one."""
    show = warnings.showwarning
    if getattr(show, "collects_for_images", False):
        return

    def show_or_collect(message: Warning | str, *rest: Any, **options: Any) -> None:
        texts = getattr(_reading, "texts", None)
        if texts is None:
            show(message, *rest, **options)
        else:
            texts.append(printable_line(message))

    vars(show_or_collect)["collects_for_images"] = True
    warnings.showwarning = show_or_collect


def _forget() -> None:
    """Makes Pillow's modules warn again: of two files with the same problem, Python would show the first only."""
    for name, module in list(sys.modules.items()):
        if name.startswith("PIL."):
            vars(module).get("__warningregistry__", {}).clear()
