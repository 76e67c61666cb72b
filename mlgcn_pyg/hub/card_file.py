"""Files of model cards. The last line of a card says how it was made, so that edits are noticed and kept.

That line is a comment of HTML, which is not shown. It has the arguments of :func:`mlgcn_pyg.hub.model_card` and a
digest of the other lines.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from mlgcn_pyg.checkpoints import Checkpoint
from mlgcn_pyg.checks import check_text
from mlgcn_pyg.errors import InputError, first_line, warn_of_input
from mlgcn_pyg.files.atomic import write_text
from mlgcn_pyg.files.pretrained import CARD
from mlgcn_pyg.files.regular import open_file
from mlgcn_pyg.hub.card_usage import usage_lines
from mlgcn_pyg.hub.markdown import plain

START, END = "<!-- mlgcn_pyg.hub.model_card ", " -->"
LARGEST = 4 << 20  # bytes of a card


@dataclass(frozen=True)
class Origin:
    """How a card was made: arguments of :func:`mlgcn_pyg.hub.model_card`, and a digest of the text that it returned.

    >>> card = Origin("photos", license="mit").sign("# photos")
    >>> Origin.of(card).license, is_edited(card), is_edited(card.replace("#", "##"))
    ('mit', False, True)
    """

    source: str
    license: str | None = None
    dataset_name: str | None = None
    sha256: str = ""

    @classmethod
    def of(cls, card: str) -> "Origin | None":
        """Returns the origin of a card, or None if the card does not state it."""
        line = next(filter(_states_origin, card.split("\n")), None)
        if line is None:
            return None
        try:
            found = cls(**json.loads(line.strip()[len(START) : -len(END)]))
        except (TypeError, ValueError, RecursionError):
            return None
        texts = (found.license or "", found.dataset_name or "", found.source, found.sha256)
        return found if all(isinstance(text, str) for text in texts) else None

    def line(self) -> str:
        """Returns the last line of the card."""
        return START + json.dumps(asdict(self)).replace(">", "\\u003e") + END

    def sign(self, text: str) -> str:
        """Returns a card with this origin."""
        return f"{text.rstrip()}\n\n{Origin(self.source, self.license, self.dataset_name, _digest(text)).line()}\n"


def is_edited(card: str) -> bool:
    """Whether a card is not one that :func:`mlgcn_pyg.hub.model_card` returned."""
    origin = Origin.of(card)
    return origin is None or origin.sha256 != _digest(_body(card))


def read_card(folder: Path) -> str | None:
    """Returns the text of ``README.md``, or None if there is none.

    Raises:
        InputError: about the argument ``path``, if it is no text, or larger than 4 MiB.
    """
    if not (folder / CARD).exists():
        return None
    with open_file("path", folder / CARD) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise InputError("path", "a model card of at most 4 MiB", f"more in {folder / CARD}")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputError("path", "a model card in UTF-8", f"{folder / CARD} ({first_line(error)})") from error


def write_card(folder: Path, card: str) -> None:
    """Writes a model card, unless the folder has another one that was edited."""
    try:
        existing = read_card(folder)
        edited = existing is not None and is_edited(existing)
    except InputError:
        existing, edited = None, True  # not one of this package
    if not edited:
        write_text(folder / CARD, card)
    elif existing != card:
        warn_of_input(
            f"{folder / CARD} was edited, so it is kept; it may describe another model. Remove it and save "
            "again for a new card."
        )


def with_source(card: str, checkpoint: Checkpoint, source: str) -> str:
    """Returns an edited card in which the unchanged lines that name the source name another one."""
    origin = Origin.of(card)
    if origin is None:
        return card
    new_origin = Origin(source, origin.license, origin.dataset_name, origin.sha256)
    old, new = (_lines_with_source(checkpoint, one) for one in (origin, new_origin))
    changes = dict(zip(old, new, strict=True))
    return "\n".join(changes.get(line, line) for line in card.split("\n"))


def name_of(source: str) -> str:
    """Returns the name of the model: the last part of its source, without the revision."""
    return source.rpartition("/")[2].partition("@")[0]


def _lines_with_source(checkpoint: Checkpoint, origin: Origin) -> list[str]:
    name = name_of(origin.source)
    value = name if re.fullmatch(r"[A-Za-z][\w.-]*", name) else json.dumps(name)  # else not plain text in YAML
    return [f"# {plain(name)}", f"- name: {value}", *usage_lines(checkpoint, origin.source), origin.line()]


def _states_origin(line: str) -> bool:
    return line.strip().startswith(START) and line.strip().endswith(END)


def _body(card: str) -> str:
    """Returns a card without its origin, below which others may have written more."""
    return "\n".join(line for line in card.split("\n") if not _states_origin(line))


def _digest(text: str) -> str:
    return hashlib.sha256(text.rstrip().encode()).hexdigest()


def checked_line(argument: str, text: str | None) -> str | None:
    """Returns a text for the metadata of a card, which must be on one line."""
    if text is not None and not (check_text(argument, text).isprintable() and text.strip()):
        raise InputError(argument, "text on one line", repr(text))
    return text
