"""The sections of a model card about settings: decisions, training, features, and the label graph."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from mlgcn_pyg.checkpoints import Checkpoint
from mlgcn_pyg.hub.markdown import code, plain
from mlgcn_pyg.hub.results import RunResults
from mlgcn_pyg.nn import StandardizedHead
from mlgcn_pyg.nn.graph_module import GraphModule

ELSEWHERE = {"features", "calibration"}  # parts of a configuration that have a section of their own
PARTS = {"train": "training images", "val": "validation images", "test": "test images"}
UNKNOWN = "unknown"


def decision_lines(checkpoint: Checkpoint) -> list[str]:
    """Returns which labels are predicted, and whether the probabilities were calibrated."""
    cuts = checkpoint.thresholds
    if cuts is None:
        lines = ["A label is predicted if its probability is above 0.5."]
    else:
        low, high = (float(cut) for cut in cuts.sigmoid().aminmax()) if len(cuts) else (0.5, 0.5)
        lines = [
            f"A label is predicted if its probability is above its threshold. The thresholds are between {low:.3f} and "
            f"{high:.3f}; {code('config.json')} has them as logits."
        ]
    if "calibration" in checkpoint.config:
        return [*lines, "The probabilities were calibrated on validation images."]
    return [*lines, "The probabilities are those of the training loss; no calibration is recorded."]


def training_lines(checkpoint: Checkpoint, results: RunResults | None) -> list[str]:
    """Returns the training images and the settings of the training."""
    lines = []
    if results is None:
        lines.append("* training images: unknown")
    else:
        setup = results.metrics.setup
        for part, text in PARTS.items():
            if (one := setup.get(part)) is not None:
                found = f"{code(one['file'])}, {int(one['images']):,} images, SHA-256 {code(one['sha256'])}"
                lines.append(f"* {text}: {found}")
    known = {name: value for name, value in checkpoint.config.items() if name not in ELSEWHERE}
    settings = _settings(known)
    return [*lines, *(settings or ["* settings: unknown"])]


def feature_lines(checkpoint: Checkpoint) -> list[str]:
    """Returns how the features that the head receives are computed."""
    known = checkpoint.provenance
    names = {
        "backbone": "backbone",
        "weights_sha256": "SHA-256 of the backbone's parameters",
        "pool": "pooling of the feature map",
        "image_size": "height and width of the images",
        "transform": "transform of the images",
    }
    lines = [f"* width: {checkpoint.head.num_features:,}"]
    if checkpoint.backbone is not None:
        names.pop("transform")  # always that of predict
    return [*lines, *(f"* {text}: {_value(known.get(name))}" for name, text in names.items())]


def graph_lines(head: StandardizedHead) -> list[str]:
    """Returns how the label graph was made."""
    if not isinstance(head, GraphModule):
        return ["None: the head is linear."]
    graph = head.base_graph()
    lines = [
        f"* labels: {graph.num_labels:,}",
        f"* edges: {graph.edge_index.size(1):,}",
        f"* weighting: {_value(graph.weighting)}",
        f"* threshold τ of the edges: {_value(graph.tau)}",
        f"* weight p of the neighbours: {_value(graph.p)}",
    ]
    if graph.x is None:
        return [*lines, "* embeddings of the labels: one-hot"]
    source = graph.x_source.get("file") or graph.x_source.get("encoder")
    origin = UNKNOWN if source is None else code(PurePath(str(source)).name)
    if prompts := graph.x_source.get("prompts"):
        origin += f", prompts {', '.join(map(code, prompts))}"
    return [*lines, f"* embeddings of the labels: {graph.x.size(1):,} numbers each, source {origin}"]


def _settings(values: Mapping[str, Any]) -> list[str]:
    """Returns one line per setting that is a plain value and not a default of None."""
    plain_values = {
        name: value for name, value in values.items() if isinstance(value, str | int | float | list | tuple)
    }
    return [f"* {plain(name)}: {_value(value)}" for name, value in plain_values.items()]


def _value(value: Any) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return code(", ".join(map(str, value))[:200])
    return plain(value) if isinstance(value, bool | int) else code(str(value)[:500])
