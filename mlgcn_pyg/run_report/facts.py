"""What a run was computed from: files with digests, features, settings and versions."""

import platform
from collections.abc import Mapping
from typing import Any

import torch

from mlgcn_pyg._version import __version__
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.nn.label_gnn import GNNS
from mlgcn_pyg.report.page.content import Fact
from mlgcn_pyg.run_report.feature_files import WORDS
from mlgcn_pyg.run_report.metrics import RunMetrics

FEATURES = ("backbone", "weights_sha256", "pool", "image_size", "precision", "dtype")  # of the provenance of features
GRAPH = (
    "weighting", "tau", "p", "edges", "embedding_dim", "hidden_channels", "num_layers", "learn_edges", "learn_p",
    "graph_sha256",
)  # fmt: skip
OF_WEIGHTS = {"weighting", "p"}  # a GNN receives the edges without their weights


def run_facts(metrics: RunMetrics, cache: FeatureCache) -> list[Fact]:
    """Returns the facts about a folder of ``train-head``."""
    parts = [(part, metrics.setup[part]) for part in WORDS if part in metrics.setup]
    facts = [
        Fact(f"{WORDS[part]} images", f"{one['file']}, {one['images']} images, SHA-256 {one['sha256']}")
        for part, one in parts
    ]
    settings = {kind: _settings(metrics, kind) for kind in metrics.heads}
    facts += [Fact(f"{kind} head", text) for kind, text in settings.items() if text]
    return [*facts, *_features(cache), *versions()]


def network_facts(cache: FeatureCache, config: Mapping[str, Any]) -> list[Fact]:
    """Returns the facts about a folder of ``train``."""
    facts = [Fact("images", f"{cache.path.name}, {len(cache)} images, SHA-256 {cache.digest()}")]
    recipe = {name: value for name, value in config.items() if isinstance(value, str | int | float | bool)}
    return [*facts, *([Fact("recipe", _listed(recipe))] if recipe else []), *_features(cache), *versions()]


def versions() -> list[Fact]:
    """Returns the versions of the program that made the report."""
    texts = {"mlgcn_pyg": __version__, "torch": torch.__version__, "Python": platform.python_version()}
    return [Fact("report made with", ", ".join(f"{name} {version}" for name, version in texts.items()))]


def _features(cache: FeatureCache) -> list[Fact]:
    """Returns how the features were computed, and with which versions, as far as the file states it."""
    known = {name: cache.meta[name] for name in FEATURES if cache.meta.get(name) is not None}
    made = cache.meta.get("versions")
    facts = [Fact("features", _listed(known))] if known else []
    return [*facts, *([Fact("features made with", _listed(made, " "))] if isinstance(made, dict) and made else [])]


def _settings(metrics: RunMetrics, kind: str) -> str:
    """Returns the settings of a kind of head, and what the exact solver selected."""
    last, own = metrics.heads[kind].last, metrics.heads[kind].setup
    chosen = {letter: last[name] for letter, name in (("λ", "l2"), ("α", "alpha")) if name in last}
    if kind in GNNS:
        widths = own.get("hidden_channels") or ()
        own = {name: value for name, value in own.items() if name not in OF_WEIGHTS}
        own |= {"hidden_channels": widths[0], "num_layers": len(widths) + 1} if widths else {}
    shown = {name: own[name] for name in GRAPH if own.get(name) is not None}
    seeds = {"seeds": len(metrics.heads[kind].seeds)} if "epoch" in last else {}
    return _listed(chosen | seeds | shown)


def _listed(values: Mapping[str, Any], between: str = " = ") -> str:
    return ", ".join(f"{name}{between}{_text(value)}" for name, value in values.items())


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return " × ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
