"""The results of a comparison as plain values, for JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mlgcn_pyg.evaluation import mean_and_std
from mlgcn_pyg.experiments.head_comparison import FittedHead, HeadComparison
from mlgcn_pyg.experiments.setup import solves_exactly
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.training import ExactConfig, HeadConfig

CACHE_FIELDS = ("backbone", "weights_sha256", "pool", "image_size", "dtype", "split", "created")
LEVEL, SEED = 0.95, 0  # of the intervals of a comparison


def summarize_heads(fitted: Sequence[FittedHead]) -> dict[str, dict[str, Any]]:
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


def describe_setup(
    train: FeatureCache,
    val: FeatureCache,
    config: HeadConfig,
    seeds: int,
    test: FeatureCache | None = None,
    exact: ExactConfig | None = None,
) -> dict[str, Any]:
    """Returns what all heads of a comparison share, as plain values, for JSON."""
    recipe = {name: value for name, value in asdict(config.known()).items() if name != "seed"}
    setup = {"config": recipe, "seeds": seeds, "train": _describe_cache(train), "val": _describe_cache(val)}
    if test is not None:
        setup["test"] = _describe_cache(test)
    if exact is not None and solves_exactly("linear", config):
        setup["exact"] = {name: value for name, value in asdict(exact).items() if name not in ("seed", "select")}
    return setup


def _describe_cache(cache: FeatureCache) -> dict[str, Any]:
    file = {"file": cache.path.name, "images": len(cache), "sha256": cache.digest()}
    return file | {name: cache.meta.get(name) for name in CACHE_FIELDS}


def describe_comparison(
    comparison: HeadComparison, label_names: Sequence[str], *, compared: bool = True
) -> dict[str, Any]:
    """Returns the intervals and the recommendation as plain values, for JSON.

    Args:
        comparison: the comparison.
        label_names: the C names.
        compared: False omits the recommendation.
    """
    recommendation = describe_recommendation(comparison) if compared else None
    return {"intervals": describe_intervals(comparison, label_names), "recommendation": recommendation}


def describe_intervals(comparison: HeadComparison, label_names: Sequence[str]) -> dict[str, Any]:
    """Returns the intervals of all kinds, and their differences to the first, as plain values, for JSON.

    The content is that of ``"intervals"`` in ``mlgcn evaluate``, with kinds of heads in place of files, and the number
    of positive images of each label.
    """
    return {
        "level": LEVEL,
        "replicates": comparison.replicates,
        "seed": SEED,
        "heads": {kind: _by_label(asdict(found), label_names) for kind, found in comparison.intervals.items()},
        "reference": next(iter(comparison.intervals)),
        "differences": {kind: _by_label(asdict(found), label_names) for kind, found in comparison.differences.items()},
        "positives": dict(zip(label_names, comparison.positives, strict=True)),
    }


def _by_label(metrics: dict[str, Any], label_names: Sequence[str]) -> dict[str, Any]:
    """Returns metrics with the names of the labels in place of their numbers."""
    changes = {name: [label_names[c] for c in metrics[name]] for name in ("gained", "lost") if name in metrics}
    return metrics | {"AP": dict(zip(label_names, metrics["AP"], strict=True))} | changes


def describe_recommendation(comparison: HeadComparison) -> dict[str, Any]:
    """Returns the recommended head, and the scores that selected it, as plain values, for JSON."""
    chosen, found = comparison.recommended, comparison.recommendation
    better = found.kind != found.reference and comparison.differences[found.kind].mAP.low > 0
    return {
        "head": found.kind,
        "seed": chosen.seed,
        "reference": found.reference,
        "clearly_better": bool(better),
        "selection": {"images": found.images, "mAP": found.mAP, "standard_error": found.errors},
    }
