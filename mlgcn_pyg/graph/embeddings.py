"""Label embeddings: the input features of the label graph, and what they were made of."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_count, check_finite, check_label_names, check_text
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import existing_file, load_plain, save_plain
from mlgcn_pyg.graph.spelling import nearest_spellings
from mlgcn_pyg.graph.vectors import read_vectors, read_words, sniff
from mlgcn_pyg.graph.words import ALIASES, label_words
from mlgcn_pyg.released.pickles import as_array, read_array_pickle

FORMATS = ("auto", "text", "binary", "npy", "pickle", "mlgcn")
OOV = ("error", "zero", "random")
FORMAT = "mlgcn_pyg.label_embeddings"
NEAR = 8  # words that get their nearest spellings in an error: more would be no help, and a long wait


@dataclass(frozen=True, eq=False)
class LabelEmbeddings:
    """One embedding per label, with the labels' names and what they were made of.

    A label graph takes it as ``x`` and keeps ``source`` as its ``x_source``.

    Attributes:
        label_names: C names.
        x: (C, F) float32.
        source: ``file``, ``format`` and ``sha256`` of the file; of word vectors also ``aliases`` (those used), ``oov``
            (the rule), ``oov_words`` and ``oov_labels`` (where it had to be used) and ``seed`` (of ``"random"``).

    Raises:
        InputError: names and rows that do not go together; numbers that are not finite.

    >>> embeddings = LabelEmbeddings(("a", "b"), torch.eye(2))
    >>> embeddings.select(["b"]).x
    tensor([[0., 1.]])
    """

    label_names: tuple[str, ...]
    x: Tensor
    source: dict = field(default_factory=dict)

    def __post_init__(self):
        if self.x.dim() != 2 or not self.x.is_floating_point() or self.x.size(1) == 0:
            found = f"shape {tuple(self.x.shape)}, {self.x.dtype}"
            raise InputError("embeddings", f"one row of numbers per label, shape ({len(self.label_names)}, F)", found)
        if self.x.size(0) != len(self.label_names):
            fix = "rows are labels, in the labels' order"
            raise InputError("embeddings", f"{len(self.label_names)} rows, one per label", self.x.size(0), fix)
        check_finite("embeddings", self.x)
        object.__setattr__(self, "label_names", check_label_names(self.label_names, len(self.x)))

    def select(self, label_names: Sequence[str]) -> "LabelEmbeddings":
        """The rows of these labels, in this order. Raises InputError for a name that has none."""
        row = {name: k for k, name in enumerate(self.label_names)}
        if missing := [name for name in label_names if name not in row]:
            where = f" ({self.source['file']})" if "file" in self.source else ""
            found = f"none for {', '.join(map(repr, missing[:5]))}{where}"
            raise InputError("embeddings", "an embedding for every label", found, "make them for these labels")
        rows = [row[name] for name in label_names]
        return LabelEmbeddings(tuple(label_names), self.x[rows], self.source)

    def save(self, path: str | Path) -> None:
        """Writes them as plain tensors and strings, whole or not at all."""
        content = {"format": FORMAT, "version": 1, "label_names": self.label_names, "x": self.x, "source": self.source}
        save_plain(path, content)

    @classmethod
    def load(cls, path: str | Path) -> "LabelEmbeddings":
        """Reads a saved file; nothing in it can run code. Raises InputError for any other file."""
        content = load_plain("embeddings", path)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError("embeddings", "label embeddings written by `mlgcn embed`", f"another file, {path}")
        if content.get("version") != 1:
            raise InputError("embeddings", "format version 1", content.get("version"), fix="use a newer mlgcn_pyg")
        names, x, source = (content.get(name) for name in ("label_names", "x", "source"))
        if not (isinstance(names, tuple) and isinstance(x, Tensor) and isinstance(source, dict)):
            raise InputError("embeddings", "names, tensor and source of label embeddings", f"others in {path}")
        return cls(names, x, source)


def label_embeddings(
    label_names: Sequence[str],
    path: str | Path,
    *,
    format: str = "auto",
    aliases: Mapping[str, str] = ALIASES,
    oov: str = "error",
    seed: int = 0,
) -> LabelEmbeddings:
    r"""One embedding per label from a file of word vectors, or of ready embeddings.

    .. math:: \mathbf{x}_c = \frac{1}{|words(c)|} \sum_{w \in words(c)} \mathbf{v}_w \qquad \text{(Sec. 4.2)}

    Args:
        label_names: C names; words are separated by spaces, ``_``, ``-`` or ``/``.
        path: the file. Of 400,000 words, only those that are needed are kept in memory.
        format: ``"text"`` (GloVe; word2vec's text; fastText's ``.vec``) or ``"binary"`` (word2vec's), both perhaps
            compressed by gzip; ``"npy"`` or ``"pickle"`` (a matrix whose rows are the labels, in their order, such as
            the released ``coco_glove_word2vec.pkl``); ``"mlgcn"`` (:meth:`LabelEmbeddings.save`); ``"auto"`` tells by
            the content.
        aliases: label name → words, for names that are no words.
        oov: what a word without a vector gets: ``"error"`` refuses it, ``"zero"`` is the zero vector, ``"random"`` a
            normal one, as long as the known ones are on average, which depends on ``seed`` and the word alone.
        seed: of ``"random"``.

    Returns:
        :class:`LabelEmbeddings` with x (C, F) float32.

    Raises:
        InputError: a missing, malformed or damaged file; words that are not in it (with the nearest spellings that
            are); rows that are not one per label.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "glove.txt")
    >>> _ = file.write_text("potted 1 0\nplant 0 1\ndog 3 3\n")
    >>> label_embeddings(["pottedplant", "dog"], file).x
    tensor([[0.5000, 0.5000],
            [3.0000, 3.0000]])
    """
    path = existing_file("embeddings", path)
    names = check_label_names(label_names, len(label_names))
    check_choice("oov", oov, OOV), check_count("seed", seed)
    if check_choice("format", format, FORMATS) == "auto":
        format = sniff(path)
    if format == "mlgcn":
        return LabelEmbeddings.load(path).select(names)
    source = {"file": path.name, "format": format, "sha256": _sha256(path)}
    if format in ("npy", "pickle"):
        return LabelEmbeddings(names, _rows(path, format), source)
    words = {name: label_words(name, aliases) for name in names}
    if empty := [name for name, parts in words.items() if not parts]:
        raise InputError("label_names", "names with at least one word", repr(empty[0]))
    wanted = {check_text("aliases", word) for parts in words.values() for word in parts}
    found, width = read_vectors(path, wanted, format)
    unknown = sorted(wanted - found.keys())
    if unknown and (oov == "error" or not found):
        raise _unknown(unknown, path, format)
    known = {name: aliases.get(name, aliases.get(name.lower())) for name in names}
    source |= {
        "aliases": {name: alias for name, alias in known.items() if alias is not None},
        "oov": oov,
        "oov_words": unknown,
        "oov_labels": [name for name, parts in words.items() if not found.keys() >= set(parts)],
        "seed": seed if unknown and oov == "random" else None,
    }
    vectors = found | _stand_ins(unknown, found, width, oov, seed)
    means = [np.mean([vectors[word] for word in words[name]], axis=0, dtype=np.float64) for name in names]
    return LabelEmbeddings(names, torch.from_numpy(np.stack(means)).float(), source)


def _rows(path: Path, format: str) -> Tensor:
    """The matrix of a ``.npy`` file or a pickle, as float32."""
    try:
        rows = np.load(path, allow_pickle=False) if format == "npy" else as_array(read_array_pickle(path), path)
    except Exception as error:  # a damaged file may raise nearly anything
        raise InputError("embeddings", "a matrix of numbers", f"{path} ({first_line(error)})") from error
    if rows.dtype.kind not in "fiu" or rows.ndim != 2:
        raise InputError("embeddings", "a matrix of numbers", f"shape {rows.shape}, {rows.dtype} ({path})")
    with np.errstate(over="ignore"):
        return torch.from_numpy(rows.astype(np.float32))


def _stand_ins(unknown: list[str], found: Mapping[str, np.ndarray], width: int, oov: str, seed: int) -> dict:
    scale = 0.0 if oov == "zero" else np.sqrt(np.mean([np.square(v, dtype=np.float64).mean() for v in found.values()]))

    def draw(word: str) -> np.ndarray:
        own = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
        return np.random.default_rng([seed, own]).normal(scale=scale, size=width).astype(np.float32)

    return {word: draw(word) for word in unknown}


def _unknown(unknown: list[str], path: Path, format: str):
    near = nearest_spellings(unknown[:NEAR], read_words(path, format))
    described = [f"{w!r}" + (f" (near: {', '.join(near[w])})" if near.get(w) else "") for w in unknown]
    return InputError(
        "embeddings",
        f"every word of the labels in {path}",
        "no " + ", ".join(described),
        fix="say what it means: aliases={'tvmonitor': 'tv monitor'} (--alias 'tvmonitor=tv monitor'), "
        "or give it a vector: oov='zero' or 'random' (--oov)",
    )


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
