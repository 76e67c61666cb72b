"""Model cards: ``README.md`` with metadata for the Hugging Face Hub, made from a checkpoint and the results of its run.

What is not recorded is said to be unknown.
"""

import math
import re
from collections.abc import Sequence

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from mlgcn_pyg._version import __version__
from mlgcn_pyg.checkpoints import Checkpoint
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.hub.card_file import Origin, name_of
from mlgcn_pyg.hub.card_results import reported_images, result_lines
from mlgcn_pyg.hub.card_settings import decision_lines, feature_lines, graph_lines
from mlgcn_pyg.hub.card_training import training_lines
from mlgcn_pyg.hub.card_usage import usage_lines
from mlgcn_pyg.hub.markdown import code, listed, plain
from mlgcn_pyg.hub.results import RunResults
from mlgcn_pyg.nn import MLGCNHead, SharingHead
from mlgcn_pyg.nn.graph_module import GraphModule

MOST_LABELS = 200
TAGS = ("mlgcn", "multi-label-classification", "graph-neural-networks", "pytorch-geometric")
PAPER = "https://arxiv.org/abs/1904.03582"
BIBTEX = """```bibtex
@inproceedings{chen2019multilabel,
  title     = {Multi-Label Image Recognition with Graph Convolutional Networks},
  author    = {Chen, Zhao-Min and Wei, Xiu-Shen and Wang, Peng and Guo, Yanwen},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  pages     = {5177--5186},
  year      = {2019}
}
```"""


def model_card(
    checkpoint: Checkpoint,
    results: RunResults | None = None,
    *,
    source: str = "FOLDER",
    license: str | None = None,
    dataset_name: str | None = None,
) -> ModelCard:
    """Returns the model card of a checkpoint.

    Args:
        checkpoint: a head or a whole network.
        results: the results of the run.
        source: what :func:`mlgcn_pyg.load` in the card loads the model by, such as ``"hub:me/photos"``.
        license: the licence of the model. Default: not stated.
        dataset_name: the name of the data set that the results are reported on. Default: that of the feature file.

    Raises:
        InputError: if ``checkpoint`` is not a :class:`~mlgcn_pyg.checkpoints.Checkpoint`.

    >>> from mlgcn_pyg.nn import LinearHead
    >>> print(model_card(Checkpoint(LinearHead(2, 4, ["cat", "dog"]))).data.library_name)
    mlgcn_pyg
    """
    if not isinstance(checkpoint, Checkpoint):
        raise InputError("checkpoint", "a Checkpoint", type(checkpoint).__name__)
    data = _metadata(results, source, license, dataset_name)
    sections = {
        "Labels": [f"The labels are {listed(map(plain, checkpoint.label_names), MOST_LABELS)}."],
        "Use": usage_lines(checkpoint, source),
        "Results": result_lines(results, dataset_name),
        "Decisions": decision_lines(checkpoint),
        "Training": training_lines(checkpoint, results),
        "Features": feature_lines(checkpoint),
        "Label graph": graph_lines(checkpoint.head),
        "Limits": _limits(checkpoint, results, license, dataset_name),
        "Source": _source(),
    }
    lines = [f"# {plain(name_of(source))}", "", _summary(checkpoint)]
    for title, content in sections.items():
        lines += ["", f"## {title}", "", *content]
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(lines) + "\n")
    return ModelCard(Origin(source, license, dataset_name).sign(str(card)))


def _metadata(results: RunResults | None, source: str, license: str | None, dataset_name: str | None) -> ModelCardData:
    found = [] if results is None else _eval_results(results, dataset_name)
    return ModelCardData(
        library_name="mlgcn_pyg", pipeline_tag="image-classification", tags=list(TAGS), license=license,
        model_name=name_of(source) if found else None, eval_results=found or None, metrics=["mAP"] if found else None,
    )  # fmt: skip


def _eval_results(results: RunResults, dataset_name: str | None) -> list[EvalResult]:
    mAP = results.metrics.interval(results.kind)
    if math.isnan(mAP.value):
        return []
    name = dataset_name or results.metrics.reported_file
    kind = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unknown"
    return [
        EvalResult(
            task_type="image-classification", task_name="Multi-label image classification", dataset_type=kind,
            dataset_name=name, metric_type="mAP", metric_name="mAP", metric_value=round(mAP.value, 4),
        )
    ]  # fmt: skip


def _summary(checkpoint: Checkpoint) -> str:
    head, labels = checkpoint.head, f"{checkpoint.head.num_labels:,} label{'s' * (checkpoint.head.num_labels != 1)}"
    if isinstance(head, MLGCNHead):
        kind = "an ML-GCN head: a graph convolutional network over the labels computes one classifier per label"
    elif isinstance(head, SharingHead):
        kind = "a sharing head: labels that are neighbours in a graph share their linear classifiers"
    elif isinstance(head, GraphModule):
        gnn = getattr(head, "gnn_name", None) or type(head).__name__
        kind = f"a GNN head ({code(gnn)}): a graph neural network over the labels computes one classifier per label"
    else:
        kind = "a linear head: one linear classifier per label"
    if checkpoint.backbone is None:
        start, end = (
            "It is ",
            f" The head receives {head.num_features:,} features of a backbone, which is not included.",
        )
    else:
        start, end = f"The model is a whole network: the backbone {code(checkpoint.backbone.name)} and ", ""
    return (
        f"Predicts which of {labels} are present in an image. An image can have several labels, or none. "
        f"{start}{kind}.{end}"
    )


def _limits(
    checkpoint: Checkpoint, results: RunResults | None, license: str | None, dataset_name: str | None
) -> Sequence[str]:
    lines = [
        "The data are not described beyond what is stated here. How the training images were collected, who or what "
        "they show, and how reliable their labels are is unknown.",
        "How well the model predicts images from other sources is unknown.",
        "Only the labels above are predicted. Other contents of an image are ignored.",
    ]
    if results is None:
        lines.append("No results are recorded, so the quality of the predictions is unknown.")
    else:
        lines += _rare_labels(results, dataset_name)
    if license is None:
        lines.append("The licence is not stated.")
    return [f"* {line}" for line in lines]


def _rare_labels(results: RunResults, dataset_name: str | None) -> list[str]:
    """Returns a sentence about labels whose results are undefined or uncertain."""
    counts = results.metrics.positives
    absent = [plain(name) for name in results.metrics.label_names if counts.get(name) == 0]
    images = reported_images(results, dataset_name)
    return [f"None of {images} has {listed(absent, MOST_LABELS)}, whose results are unknown."] if absent else []


def _source() -> list[str]:
    return [
        f"Written by mlgcn\\_pyg {__version__}. The method is that of Z.-M. Chen, X.-S. Wei, P. Wang and Y. Guo, "
        f"[Multi-Label Image Recognition with Graph Convolutional Networks]({PAPER}), CVPR 2019.",
        "",
        *BIBTEX.splitlines(),
    ]
