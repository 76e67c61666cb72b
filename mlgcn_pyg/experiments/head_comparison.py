"""Compares ML-GCN with a linear baseline on the same features and with several seeds, as in Table 1."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import mean_and_std, table1_row
from mlgcn_pyg.evaluation.table1 import Row
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn import LinearHead, MLGCNHead
from mlgcn_pyg.training import HeadConfig, History, fit_heads
from mlgcn_pyg.training.heads.scoring import open_source, source_logits
from mlgcn_pyg.training.history import Record

HEADS = ("mlgcn", "linear")
CACHE_FIELDS = ("backbone", "weights_sha256", "pool", "image_size", "dtype", "split", "created")


@dataclass
class FittedHead:
    """A trained head.

    Attributes:
        kind: ``"mlgcn"`` or ``"linear"``.
        seed: the seed of the initial weights.
        head: the head after the last epoch.
        history: the record of each epoch.
        row: the metrics after the last epoch; see :func:`~mlgcn_pyg.evaluation.table1_row`.
    """

    kind: str
    seed: int
    head: MLGCNHead | LinearHead
    history: History
    row: Row


def compare_heads(
    train: FeatureCache,
    val: FeatureCache,
    graph: LabelGraph | None = None,
    *,
    kinds: Sequence[str] = HEADS,
    seeds: int = 3,
    config: HeadConfig | None = None,
    hidden_channels: Sequence[int] = (1024,),
    learn_edges: bool = False,
    learn_p: bool = False,
    device: str | torch.device = "cpu",
    stream: bool | None = None,
    folder: str | Path | None = None,
    progress: Callable[[str, int, Record], None] | None = None,
) -> list[FittedHead]:
    """Trains heads of each kind with several seeds on ``train``, and scores them on ``val`` after the last epoch.

    All heads of a kind are trained together. The seed of a head determines its initial weights. The order of the images
    and their views are those of ``config.seed`` for all heads.

    Args:
        train: the training features.
        val: the validation features, with the same labels.
        graph: the label graph; required for ``"mlgcn"``.
        kinds: the kinds of heads to train: ``"mlgcn"``, ``"linear"`` or both.
        seeds: the number of heads of each kind, with the seeds 0, 1, …; at least 2 for a standard deviation.
        config: the settings; default: ``HeadConfig()``, the recipe ``"auto"``.
        hidden_channels: the widths between the layers of the ML-GCN head; (1024,) is the paper's.
        learn_edges: whether the ML-GCN head learns the weights of the edges.
        learn_p: whether the ML-GCN head learns one p per label.
        device: the device to train on.
        stream: True streams the caches in windows, False loads them into memory. Default: depends on free memory.
        folder: the folder for one run per kind. Interrupted runs are resumed. None writes no files.
        progress: a function that is called with the kind and the seed of a head and the record of its epoch.

    Returns:
        The trained heads, kind by kind, in the order of the seeds.

    Raises:
        InputError: if a kind is unknown, or ``graph`` is missing for ``"mlgcn"``.
        InputError: if labels or widths do not match.
        InputError: if ``folder`` holds runs with a different setup.
    """
    config, seeds = config or HeadConfig(), check_positive("seeds", seeds)
    for kind in kinds:
        check_choice("kinds", kind, HEADS)
    fitted = []
    for kind in kinds:
        heads = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            heads.append(build_head(kind, train, graph, hidden_channels, learn_edges=learn_edges, learn_p=learn_p))
        histories = fit_heads(
            heads,
            train,
            val,
            config,
            names=[f"{kind}-seed{seed}" for seed in range(seeds)],
            device=device,
            progress=None if progress is None else partial(progress, kind),
            stream=stream,
            folder=None if folder is None else Path(folder) / kind,
        )
        logits, targets = source_logits(heads, open_source(val, heads[0], device, stream), config.views)
        for seed, head in enumerate(heads):
            row = table1_row(logits[seed].cpu(), targets.cpu(), head.label_names)
            fitted.append(FittedHead(kind, seed, head, histories[seed], row))
    return fitted


def build_head(
    kind: str,
    train: FeatureCache,
    graph: LabelGraph | None = None,
    hidden_channels: Sequence[int] = (1024,),
    *,
    learn_edges: bool = False,
    learn_p: bool = False,
) -> MLGCNHead | LinearHead:
    """Returns a new head for the features and labels of ``train``. The arguments are those of :func:`compare_heads`.

    Raises:
        InputError: if ``kind`` is unknown, or ``graph`` is missing for ``"mlgcn"``.
    """
    if check_choice("kind", kind, HEADS) == "linear":
        return LinearHead(train.num_labels, train.num_features, train.label_names)
    if graph is None:
        raise InputError("graph", "a label graph for the ML-GCN head", None)
    return MLGCNHead(graph, train.num_features, hidden_channels, learn_edges=learn_edges, learn_p=learn_p)


def summarize_heads(fitted: Sequence[FittedHead]) -> dict[str, dict]:
    """Returns ``{kind: {"seeds": [...], "mean": row, "std": row}}`` with plain values, for JSON."""
    summary = {}
    for kind in dict.fromkeys(head.kind for head in fitted):
        of_kind = [head for head in fitted if head.kind == kind]
        mean, std = mean_and_std([head.row for head in of_kind])
        seeds = [
            {"seed": head.seed, **head.row, "last_epoch": head.history.last, "best_epoch": head.history.best}
            for head in of_kind
        ]
        summary[kind] = {"seeds": seeds, "mean": mean, "std": std}
    return summary


def describe_setup(train: FeatureCache, val: FeatureCache, config: HeadConfig, seeds: int) -> dict:
    """Returns what all heads of a comparison share, as plain values, for JSON."""
    recipe = {name: value for name, value in asdict(config.known()).items() if name != "seed"}
    return {"config": recipe, "seeds": seeds, "train": _describe_cache(train), "val": _describe_cache(val)}


def _describe_cache(cache: FeatureCache) -> dict:
    file = {"file": cache.path.name, "images": len(cache), "sha256": cache.digest()}
    return file | {name: cache.meta.get(name) for name in CACHE_FIELDS}
