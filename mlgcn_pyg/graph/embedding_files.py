"""Reads label embeddings from files of word vectors or of precomputed embeddings."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_count, check_positive
from mlgcn_pyg.errors import Argument, InputError, first_line, renamed_arguments
from mlgcn_pyg.files.atomic import file_digest
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.graph.embeddings import LabelEmbeddings
from mlgcn_pyg.graph.spelling import nearest_spellings
from mlgcn_pyg.graph.vectors import MAX_BYTES, embeddings_format, read_vectors, read_words
from mlgcn_pyg.graph.words import ALIASES, normal_aliases, words_of_labels
from mlgcn_pyg.labels import normal_label_names
from mlgcn_pyg.released.pickles import as_array, read_array_pickle

FORMATS = ("auto", "text", "binary", "npy", "pickle", "mlgcn")
OOV = ("error", "zero", "random")
MOST_SPELLINGS = 8  # the largest number of words for which an error lists similar words; each slows down the search


def label_embeddings(
    label_names: Sequence[str],
    path: str | Path,
    *,
    format: str = "auto",
    aliases: Mapping[str, str] = ALIASES,
    oov: str = "error",
    seed: int = 0,
    max_bytes: int = MAX_BYTES,
) -> LabelEmbeddings:
    r"""Reads one embedding per label from a file of word vectors or of precomputed embeddings.

    From word vectors, the embedding of a label is the mean of its words' vectors:

    .. math:: \mathbf{x}_c = \frac{1}{|words(c)|} \sum_{w \in words(c)} \mathbf{v}_w \qquad \text{(Sec. 4.2)}

    A file of word vectors is read as a stream: only the vectors of the labels' words are kept in memory.

    Args:
        label_names: C unique names. Their words are separated by spaces, ``_``, ``-`` or ``/``, and are looked up in
            lower case.
        path: the file.
        format: one of

            * ``"text"``: word vectors of GloVe, word2vec (text) or fastText (``.vec``), optionally compressed by gzip;
            * ``"binary"``: word vectors of word2vec (binary), optionally compressed by gzip;
            * ``"npy"`` or ``"pickle"``: a matrix (C, F) whose rows follow ``label_names``, such as the released
              ``coco_glove_word2vec.pkl``;
            * ``"mlgcn"``: a file written by :meth:`LabelEmbeddings.save`;
            * ``"auto"``: detected from the file (:func:`~mlgcn_pyg.graph.embeddings_format`).

        aliases: maps label names without a vector to words, which are separated by blanks. Their case is kept, and
            a word may be a phrase such as ``New_York`` or ``/c/en/dog``. Names of other labels are ignored.
        oov: how to treat an out-of-vocabulary word, which has no vector. ``"error"`` raises an error. ``"zero"`` uses
            the zero vector. ``"random"`` draws a vector from a normal distribution, scaled to the mean square of the
            known vectors. The draw depends only on ``seed`` and the word.
        seed: the seed for ``oov="random"``.
        max_bytes: a limit on the decompressed size of a file in gzip.

    Returns:
        :class:`LabelEmbeddings` with x (C, F) in float32, or in the type stored in an ``"mlgcn"`` file.

    Raises:
        InputError: if the file is missing, damaged or of a different format; if a word has no vector (the error lists
            similar words that have one); if a matrix does not have one row per label; if an argument is not valid.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "glove.txt")
    >>> _ = file.write_text("potted 1 0\nplant 0 1\ndog 3 3\n")
    >>> label_embeddings(["pottedplant", "dog"], file).x
    tensor([[0.5000, 0.5000],
            [3.0000, 3.0000]])
    """
    path = _existing_file(path)
    names = normal_label_names(label_names)
    check_choice("oov", oov, OOV)
    seed = check_count("seed", seed)
    check_positive("max_bytes", max_bytes)
    if check_choice("format", format, FORMATS) == "auto":
        format = embeddings_format(path)
    if format == "mlgcn":
        return LabelEmbeddings.load(path).select(names)
    source: dict[str, Any] = {"file": path.name, "format": format, "sha256": file_digest(path)}
    if format in ("npy", "pickle"):
        with renamed_arguments(x="path"):
            return LabelEmbeddings(names, _matrix(path, format), source)
    return _mean_vectors(names, path, format, aliases, oov, seed, source, max_bytes)


def _existing_file(path: str | Path) -> Path:
    """Returns ``path`` if it is a file. The error about a sentence encoder names the function that reads it."""
    encoder = isinstance(path, str) and path.startswith("sentence:")
    if encoder or (isinstance(path, str | Path) and Path(path, "modules.json").is_file()):
        fix = f"call sentence_embeddings(label_names, {str(path).removeprefix('sentence:')!r})"
        raise InputError("path", "a file of word vectors or embeddings", f"the sentence encoder {path}", fix)
    return existing_file("path", path)


def _mean_vectors(
    names: Sequence[str],
    path: Path,
    format: str,
    aliases: Mapping[str, str],
    oov: str,
    seed: int,
    source: dict[str, Any],
    max_bytes: int,
) -> LabelEmbeddings:
    """Computes embeddings from a file of word vectors. Records aliases and unknown words in ``source``."""
    aliases = normal_aliases(aliases)
    words = words_of_labels(names, aliases)
    wanted = {word for parts in words.values() for word in parts}
    vectors, width = read_vectors(path, wanted, format, max_bytes)
    unknown = sorted(wanted - vectors.keys())
    if unknown and (oov == "error" or not vectors):
        raise _unknown_words(unknown, path, format)
    known_aliases = {name: aliases.get(name, aliases.get(name.lower())) for name in names}
    source |= {
        "aliases": {name: alias for name, alias in known_aliases.items() if alias is not None},
        "oov": oov,
        "oov_words": unknown,
        "oov_labels": [name for name, parts in words.items() if not vectors.keys() >= set(parts)],
        "seed": seed if unknown and oov == "random" else None,
    }
    vectors |= _substitutes(unknown, vectors, width, oov, seed)
    means = [np.mean([vectors[word] for word in words[name]], axis=0, dtype=np.float64) for name in names]
    return LabelEmbeddings(tuple(names), torch.from_numpy(np.stack(means)).float(), source)


def _matrix(path: Path, format: str) -> Tensor:
    """Returns the matrix of a ``.npy`` file or a pickle, as float32."""
    try:
        # mapped, so that a file of a few bytes cannot claim a huge matrix
        npy = format == "npy"
        rows = np.asarray(np.load(path, mmap_mode="r") if npy else as_array(read_array_pickle(path), path))
    except InputError:
        raise
    except Exception as error:  # a damaged file can raise any error
        raise InputError("path", "a matrix of numbers", f"{path} ({first_line(error)})") from error
    if rows.dtype.kind not in "fiu" or rows.ndim != 2:
        raise InputError("path", "a matrix of numbers", f"shape {rows.shape}, {rows.dtype} in {path}")
    with np.errstate(over="ignore"):
        return torch.from_numpy(rows.astype(np.float32))


def _substitutes(
    unknown: Sequence[str], vectors: Mapping[str, np.ndarray], width: int, oov: str, seed: int
) -> dict[str, np.ndarray]:
    """Returns a vector for each unknown word: zeros, or normally distributed numbers, scaled as the known vectors."""
    mean_squares = [np.square(vector, dtype=np.float64).mean() for vector in vectors.values()]
    scale = 0.0 if oov == "zero" else np.sqrt(np.mean(mean_squares))

    def draw(word: str) -> np.ndarray:
        word_seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
        return np.random.default_rng([seed, word_seed]).normal(scale=scale, size=width).astype(np.float32)

    return {word: draw(word) for word in unknown}


def _unknown_words(unknown: Sequence[str], path: Path, format: str) -> InputError:
    near = nearest_spellings(unknown[:MOST_SPELLINGS], read_words(path, format))
    described = [f"{word!r}" + (f" (similar: {', '.join(near[word])})" if near.get(word) else "") for word in unknown]
    return InputError(
        "path",
        "a vector for every word of the labels",
        f"none for {', '.join(described)} in {path}",
        fix=[
            "map the labels to words that have one and that no other label has, as in ",
            Argument("aliases", {"tvmonitor": "tv monitor"}),
            ", or pass ",
            Argument("oov", "zero"),
            " or ",
            Argument("oov", "random"),
        ],
    )
