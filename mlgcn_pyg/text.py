"""The normal form of text that names something: labels, words and aliases."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

# Characters that are never drawn: Unicode's Default_Ignorable_Code_Point, and interlinear annotation marks.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
LONGEST_CHOICE = 50  # letters of a value that are compared with those of choices
SPACING = re.compile(r"(?<!\d)[\s_\-]+|[\s_\-]+(?!\d)")


def normal_form(text: str) -> str:
    """Returns the form in which labels, words and aliases are stored and compared.

    Texts that look the same have the same form: invisible characters are removed, every run of blanks, of any kind,
    becomes one space, both ends are trimmed, and letters with marks are composed (Unicode's form NFC). The case is
    kept.

    Args:
        text: any text.

    >>> normal_form(" traffic\\u00a0 light"), normal_form("do\\u200bg"), normal_form("cafe\\u0301") == "caf\\u00e9"
    ('traffic light', 'dog', True)
    """
    if text.isascii():  # nothing to compose or to remove
        return " ".join(text.split())
    return unicodedata.normalize("NFC", " ".join(INVISIBLE.sub("", text).split()))


def merged_forms(texts: Iterable[str]) -> dict[str, list[str]]:
    """Returns the normal forms that several different texts have, each with these texts in the order of occurrence.

    Args:
        texts: texts as they are written.

    >>> merged_forms(["dog", "do\\u200bg", "cat", "cat"])
    {'dog': ['dog', 'do\\u200bg']}
    """
    forms: dict[str, dict[str, None]] = {}
    for text in texts:
        forms.setdefault(normal_form(text), {})[text] = None
    return {form: list(written) for form, written in forms.items() if len(written) > 1}


def described_forms(merged: dict[str, list[str]], limit: int = 5) -> str:
    """Returns the result of :func:`merged_forms` as text that shows the difference, with at most ``limit`` forms.

    >>> described_forms({"dog": ["dog", "do\\u200bg"]})
    "'dog' ('dog', 'do\\\\u200bg')"
    """
    shown = [f"{form!r} ({', '.join(map(_escaped, written))})" for form, written in list(merged.items())[:limit]]
    return ", ".join(shown) + (f" and {len(merged) - limit} more" if len(merged) > limit else "")


def _escaped(text: str) -> str:
    """Returns ``ascii(text)`` with the second of two spaces escaped, since messages have no runs of spaces."""
    return ascii(text).replace("  ", " \\x20")


def nearest_choice(value: str, choices: Iterable[str]) -> str | None:
    """Returns the choice whose spelling is most similar to ``value``, in any case; None if none is similar.

    >>> nearest_choice("tensorbord", ["wandb", "tensorboard"]), nearest_choice("x", ["wandb", "tensorboard"])
    ('tensorboard', None)
    """
    lower = {choice.lower(): choice for choice in reversed(list(choices))}
    near = get_close_matches(value[:LONGEST_CHOICE].lower(), lower, n=1)
    return lower[near[0]] if near else None


def look_alikes(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Returns groups of names that differ only in case, spacing (blanks, ``_`` and ``-``) or Unicode form.

    A separator between two digits is no spacing.

    Args:
        names: different names.

    >>> look_alikes(["People", "hot dog", "people", "hot_dog", "hotdog", "1-1", "11"])
    (('People', 'people'), ('hot dog', 'hot_dog', 'hotdog'))
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        form = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
        groups.setdefault(SPACING.sub("", form), []).append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def described_groups(groups: Sequence[Sequence[str]], between: str = " = ", limit: int = 5) -> str:
    """Returns groups of names as text, with at most ``limit`` groups of at most ``limit`` names.

    >>> described_groups([("People", "people"), ("a", "b", "c")], limit=2)
    "'People' = 'people'; 'a' = 'b' and 1 more"
    """
    listed = [
        between.join(map(repr, group[:limit])) + (f" and {len(group) - limit} more" if len(group) > limit else "")
        for group in groups[:limit]
    ]
    return "; ".join(listed) + (f"; and {len(groups) - limit} more" if len(groups) > limit else "")
