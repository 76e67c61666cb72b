"""Fonts for the names of labels in any script."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache

from mlgcn_pyg.errors import printable_line, warn_of_input

LISTED = 20  # characters in the warning


@contextmanager
def fonts_for(texts: Iterable[str]) -> Iterator[None]:
    """Within the block, matplotlib draws characters that its default font lacks with other installed fonts.

    Args:
        texts: what is drawn.

    Warns:
        InputWarning: if no installed font has some of the characters, which are then drawn as boxes.
    """
    from matplotlib import rc_context, rcParams
    from matplotlib.font_manager import FontProperties, findfont

    missing = {ord(letter) for text in texts for letter in printable_line(text)} - _characters(
        findfont(FontProperties())
    )
    families = list(rcParams["font.family"])
    if missing:
        for name, path in _installed_fonts().items():
            if found := missing & _characters(path):
                families.append(name)
                missing -= found
    if missing:
        listed = " ".join(map(chr, sorted(missing)[:LISTED])) + (" …" if len(missing) > LISTED else "")
        warn_of_input(f"no installed font has the characters {listed} of label names, which are drawn as boxes")
    with rc_context({"font.family": families}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _installed_fonts() -> dict[str, str]:
    """Returns the file of each family in its regular style, without the font that draws a box for every character."""
    from matplotlib.font_manager import fontManager

    fonts = sorted(fontManager.ttflist, key=lambda font: (font.style != "normal", font.weight != 400, font.name))
    return {font.name: font.fname for font in reversed(fonts) if "Last Resort" not in font.name}


@cache
def _characters(path: str) -> frozenset[int]:
    """Returns the characters of a font, as code points."""
    from matplotlib.font_manager import get_font

    return frozenset(get_font(path).get_charmap())
