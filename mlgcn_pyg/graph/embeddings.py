"""Label embeddings: the input features of the label graph."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg.checks import bad_input, check_positive
from mlgcn_pyg.files import existing_file

# Label names that are no words of a word-vector file, and what they mean.
ALIASES: dict[str, str] = {"diningtable": "dining table", "pottedplant": "potted plant", "tvmonitor": "tv monitor"}


def one_hot(num_labels: int) -> Tensor:
    """One-hot embeddings, the identity (C, C). ``LabelGraph(x=None)`` means the same without the matrix.

    >>> one_hot(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return torch.eye(check_positive("num_labels", num_labels))


def label_words(name: str, aliases: Mapping[str, str] = ALIASES) -> list[str]:
    """The words of a label name, lower case, through the alias table.

    >>> label_words("Traffic_light"), label_words("pottedplant")
    (['traffic', 'light'], ['potted', 'plant'])
    """
    name = aliases.get(name, aliases.get(name.lower(), name))
    return [word for word in re.split(r"[\s_\-/]+", name.lower()) if word]


def glove_embeddings(label_names: Sequence[str], path: str | Path, aliases: Mapping[str, str] = ALIASES) -> Tensor:
    """One embedding per label from a GloVe text file: the mean of its words' vectors (Sec. 4.2).

    Only the vectors that are needed are kept, whatever the size of the file.

    Args:
        label_names: C names; words are separated by spaces, ``_``, ``-`` or ``/``.
        path: lines of ``word v_1 … v_F`` (a first line ``count width`` is skipped).
        aliases: label name → words, for names that are no words.

    Returns:
        (C, F) float32.

    Raises:
        InputError: a missing or malformed file, or words that are not in it (with the nearest spellings).

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "glove.txt")
    >>> _ = file.write_text("potted 1 0\\nplant 0 1\\ndog 3 3\\n")
    >>> glove_embeddings(["pottedplant", "dog"], file)
    tensor([[0.5000, 0.5000],
            [3.0000, 3.0000]])
    """
    path = existing_file("embeddings", path)
    words = {name: label_words(name, aliases) for name in label_names}
    empty = [name for name, parts in words.items() if not parts]
    if empty:
        raise bad_input("label_names", "names with at least one word", f"{empty[0]!r}")
    wanted = {word for parts in words.values() for word in parts}
    vectors = dict(read_vectors(path, wanted))
    if missing := sorted(wanted - vectors.keys()):
        raise bad_input(
            "embeddings",
            f"every word of the labels in {path}",
            _unknown(missing, path),
            fix="say what it means: aliases={'tvmonitor': 'tv monitor'} (--alias 'tvmonitor=tv monitor')",
        )
    return torch.stack([torch.stack([vectors[word] for word in words[name]]).mean(dim=0) for name in label_names])


def read_vectors(path: Path, wanted: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
    """Yields (word, vector (F,)) for the first line of each wanted word; other lines are skipped unparsed."""
    wanted = set(wanted)
    width = None
    for number, line in enumerate(_lines(path), start=1):
        word, _, rest = line.rstrip().partition(" ")
        if width is None:
            if number == 1 and rest.isdigit() and word.isdigit():
                width = int(rest)  # word2vec's and fastText's "count width" line
                continue
            width = len(rest.split(" "))
        if word not in wanted:
            continue
        numbers = rest.split(" ")
        if len(numbers) != width:
            continue  # a token that contains spaces; its first part only looks like our word
        try:
            vector = torch.tensor([float(k) for k in numbers])
        except ValueError as error:
            raise bad_input("embeddings", "lines of a word and numbers", f"line {number} of {path}") from error
        if not vector.isfinite().all():
            raise bad_input("embeddings", "finite numbers", f"NaN or Inf in line {number} of {path}")
        wanted.discard(word)
        yield word, vector


def _lines(path: Path) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise bad_input("embeddings", "a text file in UTF-8", f"other bytes in {path}") from error


def _unknown(missing: list[str], path: Path) -> str:
    """The missing words, each with its nearest spellings in the file."""
    vocabulary = [line.partition(" ")[0] for line in _lines(path)]
    described = []
    for word in missing:
        near = difflib.get_close_matches(word, vocabulary, n=3)
        described.append(f"{word!r}" + (f" (near: {', '.join(near)})" if near else ""))
    return "no " + ", ".join(described)
