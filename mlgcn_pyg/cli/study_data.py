"""The data of ``mlgcn study``: one feature file that is divided, or one for each part."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlgcn_pyg.cli.embedding_options import SENTENCE, EmbeddingOptions
from mlgcn_pyg.cli.inputs import open_cache, open_graph
from mlgcn_pyg.errors import Argument, InputError

if TYPE_CHECKING:  # these load torch
    from torch import Tensor

    from mlgcn_pyg.experiments.study import StudyData


def feature_files(features: Path | None, train: Path | None, val: Path | None, test: Path | None) -> dict[str, Path]:
    """Returns the feature files by part: ``features`` alone, or ``train``, ``test`` and perhaps ``val``."""
    parts = {name: path for name, path in (("train", train), ("val", val), ("test", test)) if path is not None}
    if features is not None:
        if parts:
            raise InputError("features", "no other feature files, since it is divided", ", ".join(parts))
        return {"features": features}
    if "train" not in parts or "test" not in parts:
        fix = (
            "pass ",
            Argument("features", "FILE"),
            ", or ",
            Argument("train", "FILE"),
            " and ",
            Argument("test", "FILE"),
        )
        found = f"{' and '.join(parts)} only" if parts else "neither"
        raise InputError("features", "a feature file to divide, or files to train and to report on", found, fix)
    return parts


def open_data(
    parts: dict[str, Path], average: Sequence[Path], graph: Path | None, embeddings: Sequence[str],
    how: EmbeddingOptions, num_splits: int,
) -> "StudyData":  # fmt: skip
    """Opens the data of a study.

    Args:
        parts: the result of :func:`feature_files`.
        average: further files of the same images, in the order of the parts.
        graph: a label graph, or None.
        embeddings: sources of label embeddings.
        how: the options of ``embeddings``.
        num_splits: the number of splits.
    """
    from mlgcn_pyg.experiments.study import data_of_parts, data_of_pool

    if average and len(average) != len(parts):
        raise InputError(
            "average",
            f"one file for each of {', '.join(parts)}",
            f"{len(average)} file{'s' if len(average) > 1 else ''}",
        )
    caches = {name: open_cache(path, option=name) for name, path in parts.items()}
    averages = [open_cache(path, option="average") for path in average]
    names = next(iter(caches.values())).label_names
    shared: dict[str, Any] = {
        "num_splits": num_splits,
        "graph": None if graph is None else open_graph(graph),
        "embeddings": _embeddings(names, embeddings, how) if embeddings else None,
    }
    if "features" in caches:
        return data_of_pool(caches["features"], average=averages[0] if averages else None, **shared)
    of_parts = dict(zip(parts, averages, strict=True)) if averages else None
    return data_of_parts(caches["train"], caches["test"], caches.get("val"), average=of_parts, **shared)


def _embeddings(label_names: Sequence[str], sources: Sequence[str], how: EmbeddingOptions) -> "dict[str, Tensor]":
    """Returns label embeddings by the names of their files or encoders."""
    found: dict[str, Tensor] = {}
    for source in sources:
        name = source_name(source)
        if name in found:
            fix = "rename one, or write it to a file with another name by mlgcn embed"
            raise InputError("embeddings", "files and encoders with different names", f"{name!r} twice", fix)
        found[name] = how.read(label_names, source).x.float()
    return found


def source_name(source: str) -> str:
    """Returns the name of a file without its ending, or the last part of an encoder's name.

    >>> source_name("data/glove.6B.50d.txt"), source_name("sentence:me/all-MiniLM-L6-v2")
    ('glove.6B.50d', 'all-MiniLM-L6-v2')
    """
    encoder = Path(source.removeprefix(SENTENCE))
    return re.sub(r"[^\w.+-]+", "_", encoder.name if source.startswith(SENTENCE) else encoder.stem) or "_"
