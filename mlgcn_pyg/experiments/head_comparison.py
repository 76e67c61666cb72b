"""Does the graph help at all? ML-GCN and the fair linear baseline on the same features, seed by seed (Table 1)."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import mean_and_std, table1_row
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn import LinearHead, MLGCNHead
from mlgcn_pyg.training import HeadConfig, History, fit_heads
from mlgcn_pyg.training.heads.scoring import open_source, source_logits

HEADS = ("mlgcn", "linear")


@dataclass
class FittedHead:
    """One head after one run. ``row`` holds its metrics after the last epoch, as :func:`table1_row` has them."""

    kind: str
    seed: int
    head: torch.nn.Module
    history: History
    row: dict


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
    progress: Callable[[str, int, dict], None] | None = None,
) -> list[FittedHead]:
    """Fits every kind of head once per seed on ``train``, all seeds at once, and scores the last epoch on ``val``.

    Args:
        train, val: feature caches over the same labels.
        graph: the label graph, needed for ``"mlgcn"``.
        kinds: of ``"mlgcn"`` and ``"linear"``.
        seeds: how many; seed s draws the initial weights. The order of images and their views are those of the
            config's seed, the same for all heads.
        config: the recipe.
        hidden_channels, learn_edges, learn_p: of the ML-GCN head.
        device: where to train. stream: of the caches, see :func:`~mlgcn_pyg.training.fit_head`.
        folder: where interrupted runs are kept, one folder per kind, to go on from when called again alike.
        progress: called with (kind, seed, epoch record).

    Raises:
        InputError: an unknown kind, no graph for ``"mlgcn"``, labels that disagree, a folder of other runs.
    """
    config, seeds = config or HeadConfig(), check_positive("seeds", seeds)
    fitted = []
    for kind in kinds:
        heads = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            heads.append(build_head(kind, train, graph, hidden_channels, learn_edges=learn_edges, learn_p=learn_p))
        report = None if progress is None else (lambda seed, record, k=kind: progress(k, seed, record))
        options = {"device": device, "stream": stream, "progress": report}
        options |= {"names": run_names(kind, seeds), "folder": None if folder is None else Path(folder) / kind}
        histories = fit_heads(heads, train, val, config, **options)
        logits, targets = source_logits(heads, open_source(val, heads[0], device, stream), config.views)
        for seed, head in enumerate(heads):
            row = table1_row(logits[seed].cpu(), targets.cpu(), head.label_names)
            fitted.append(FittedHead(kind, seed, head, histories[seed], row))
    return fitted


def run_names(kind: str, seeds: int) -> list[str]:
    """What the heads of one kind are called in files and messages."""
    return [f"{kind}-seed{seed}" for seed in range(seeds)]


def build_head(
    kind: str, train: FeatureCache, graph: LabelGraph | None, hidden_channels: Sequence[int], **learn: bool
) -> torch.nn.Module:
    """A fresh head of ``kind`` for the features and labels of ``train``."""
    if check_choice("head", kind, HEADS) == "linear":
        return LinearHead(train.num_labels, train.num_features, train.label_names)
    if graph is None:
        raise InputError("graph", "a label graph for the ML-GCN head", None)
    return MLGCNHead(graph, train.num_features, hidden_channels, **learn)


def summarize_heads(fitted: Sequence[FittedHead]) -> dict[str, dict]:
    """``{kind: {"seeds": [...], "mean": row, "std": row}}``, plain enough for JSON."""
    summary = {}
    for kind in dict.fromkeys(one.kind for one in fitted):
        runs = [one for one in fitted if one.kind == kind]
        mean, std = mean_and_std([one.row for one in runs])
        seeds = [
            {"seed": one.seed, **one.row, "last_epoch": one.history.last, "best_epoch": one.history.best}
            for one in runs
        ]
        summary[kind] = {"seeds": seeds, "mean": mean, "std": std}
    return summary


def describe_setup(train: FeatureCache, val: FeatureCache, config: HeadConfig, seeds: int) -> dict:
    """What the heads of one table share, plain enough for JSON."""
    recipe = {name: value for name, value in asdict(config).items() if name != "seed"}
    return {"config": recipe, "seeds": seeds, "train": _describe_cache(train), "val": _describe_cache(val)}


def _describe_cache(cache: FeatureCache) -> dict:
    told = ("backbone", "weights_sha256", "pool", "image_size", "dtype", "split", "created")
    return {"file": cache.path.name, "images": len(cache), "sha256": cache.digest()} | {
        name: cache.meta.get(name) for name in told
    }
