"""The sections of a model card about settings: decisions, features, and the label graph."""

from pathlib import PurePath

from mlgcn_pyg.checkpoints import Checkpoint
from mlgcn_pyg.hub.markdown import UNKNOWN, code, shown
from mlgcn_pyg.nn import LabelGNNHead, StandardizedHead
from mlgcn_pyg.nn.graph_module import GraphModule


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
    return [*lines, *(f"* {text}: {shown(known.get(name))}" for name, text in names.items())]


def graph_lines(head: StandardizedHead) -> list[str]:
    """Returns how the label graph was made."""
    if not isinstance(head, GraphModule):
        return ["None: the head is linear."]
    graph = head.base_graph()
    lines = [
        f"* labels: {graph.num_labels:,}",
        f"* edges: {graph.edge_index.size(1):,}",
        f"* threshold τ of the edges: {shown(graph.tau)}",
    ]
    if isinstance(head, LabelGNNHead):  # it has its own weights
        lines.append(f"* edges weighted by P: {'yes' if head.weighted else 'no'}")
    else:
        lines += [f"* weighting: {shown(graph.weighting)}", f"* weight p of the neighbours: {shown(graph.p)}"]
    if graph.x is None:
        return [*lines, "* embeddings of the labels: one-hot"]
    source = graph.x_source.get("file") or graph.x_source.get("encoder")
    origin = UNKNOWN if source is None else code(PurePath(str(source)).name)
    if prompts := graph.x_source.get("prompts"):
        origin += f", prompts {', '.join(map(code, prompts))}"
    return [*lines, f"* embeddings of the labels: {graph.x.size(1):,} numbers each, source {origin}"]
