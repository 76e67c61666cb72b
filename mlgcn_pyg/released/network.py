"""Loads the authors' checkpoints (``coco_checkpoint.pth.tar``, ``voc_checkpoint.pth.tar``) as networks."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_tensor
from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.graph import LabelEmbeddings, LabelGraph, label_embeddings
from mlgcn_pyg.graph.fields import Array
from mlgcn_pyg.labels import normal_label_names
from mlgcn_pyg.nn.mlgcn import MLGCN
from mlgcn_pyg.nn.mlgcn_head import MLGCNHead
from mlgcn_pyg.released.checkpoint import ReleasedWeights, read_released_weights
from mlgcn_pyg.released.matrix import graph_of_matrix
from mlgcn_pyg.released.pickles import read_released_counts
from mlgcn_pyg.typing import FeatureExtractor

# the modules of torchvision's ResNet, in their order in the released network's ``features``
RESNET_MODULES = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


def load_released(
    path: str | Path,
    embeddings: str | Path | Array | LabelEmbeddings,
    adj: str | Path | None = None,
    *,
    label_names: Sequence[str] | None = None,
    backbone: str = "resnet101",
    tau: float = 0.4,
) -> MLGCN:
    """Loads a released checkpoint as a network of this package.

    For images of 448 × 448 pixels, the logits equal those of the released network, which pools feature maps of 14 × 14.
    This network pools feature maps of any size. Images must be scaled and normalised, as by
    :func:`mlgcn_pyg.datasets.eval_transform`. No code in the files is run.

    Args:
        path: the checkpoint: ``{"state_dict": …}`` or the state dict alone, with the keys ``features.*``,
            ``gc1.weight``, ``gc2.weight`` and ``A``, all with or all without the prefix ``module.``.
        embeddings: the label embeddings, which are not in the checkpoint: the released ``*_glove_word2vec.pkl`` or
            another file for :func:`~mlgcn_pyg.graph.label_embeddings`; a matrix (C, F); or ``LabelEmbeddings``.
        adj: the released ``*_adj.pkl``, from which the graph gets its label counts and probabilities; edges and weights
            are always those of ``A``.
        label_names: C unique names, in alphabetical order for the released files; default: those of ``embeddings``, or
            the numbers 0…C−1.
        backbone: the name of the ResNet.
        tau: the threshold with which ``A`` was computed from ``adj``.

    Returns:
        The network, in evaluation mode.

    Raises:
        InputError: if a file contains anything but tensors and plain values; if keys are missing or unknown; if shapes
            or edges do not match.
    """
    weights = read_released_weights(path)
    x = _embeddings(embeddings, label_names, len(weights.a))
    if x.x.size(1) != weights.first.size(0):
        expected = f"embeddings of width {weights.first.size(0)}, as gc1.weight requires"
        raise InputError("embeddings", expected, f"width {x.x.size(1)}")
    graph = _graph(weights, x, adj, tau)
    return MLGCN(_backbone(weights, backbone, path), _head(weights, graph)).eval()


def torchvision_state(model: MLGCN) -> dict[str, Tensor]:
    """Returns the state dict of the backbone with the keys of torchvision, without the classifier.

    Args:
        model: a network from :func:`load_released`.

    Returns:
        A state dict. Saved to a file, it can be the ``weights`` of :class:`mlgcn_pyg.nn.Backbone`.
    """
    renamed = {}
    for key, value in model.get_submodule("backbone.features").state_dict().items():
        position, _, name = key.partition(".")
        renamed[f"{RESNET_MODULES[int(position)]}.{name}"] = value.detach().cpu()
    return renamed


def _embeddings(
    embeddings: str | Path | Array | LabelEmbeddings, label_names: Sequence[str] | None, num_labels: int
) -> LabelEmbeddings:
    if isinstance(embeddings, LabelEmbeddings):
        return embeddings if label_names is None else embeddings.select(label_names)
    names = normal_label_names(label_names, num_labels)
    with renamed_arguments(path="embeddings", x="embeddings"):
        if isinstance(embeddings, str | Path):
            return label_embeddings(names, embeddings)
        return LabelEmbeddings(names, check_tensor("embeddings", embeddings).float())


def _graph(weights: ReleasedWeights, x: LabelEmbeddings, adj: str | Path | None, tau: float) -> LabelGraph:
    with renamed_arguments(path="adj", label_counts="adj", pair_counts="adj", counts="adj", a="path", x="embeddings"):
        counts = None if adj is None else read_released_counts(adj)
        return graph_of_matrix(weights.a, label_names=x.label_names, x=x, counts=counts, tau=tau)


def _head(weights: ReleasedWeights, graph: LabelGraph) -> MLGCNHead:
    hidden, num_features = weights.second.shape
    head = MLGCNHead(graph, num_features=num_features, hidden_channels=(hidden,))
    with torch.no_grad():
        for k, weight in enumerate((weights.first, weights.second)):
            head.get_parameter(f"convs.{k}.weight").copy_(weight)
    return head


def _backbone(weights: ReleasedWeights, name: str, path: str | Path) -> FeatureExtractor:
    from mlgcn_pyg.nn.backbones.backbone import Backbone
    from mlgcn_pyg.nn.backbones.weights import put_weights

    with renamed_arguments(name="backbone"):
        backbone = Backbone(name)
    if backbone.num_features != weights.second.size(1):
        expected = f"the ResNet of the checkpoint, with {weights.second.size(1)} features"
        raise InputError("backbone", expected, f"{name}, with {backbone.num_features} features")
    features = backbone.get_submodule("features")
    with renamed_arguments(weights="path"):
        put_weights(features, features, weights.backbone, path, f"the released network with {name}")
    return backbone
