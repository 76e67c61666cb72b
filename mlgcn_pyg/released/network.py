"""The authors' released checkpoints (``coco_checkpoint.pth.tar``, ``voc_checkpoint.pth.tar``) as networks."""

import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_finite, check_label_names
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import existing_file
from mlgcn_pyg.graph import LabelEmbeddings, label_embeddings
from mlgcn_pyg.nn.mlgcn import MLGCN
from mlgcn_pyg.nn.mlgcn_head import MLGCNHead
from mlgcn_pyg.released import read_released_counts
from mlgcn_pyg.released.matrix import graph_of_matrix
from mlgcn_pyg.released.pickles import PlainDtype, plain_scalar

# torchvision's ResNet in the order in which the released network lists it as ``features``
RESNET = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
OWN = ("A", "gc1.weight", "gc2.weight")


def load_released(
    path: str | Path,
    embeddings,
    adj: str | Path | None = None,
    *,
    label_names: Sequence[str] | None = None,
    backbone: str = "resnet101",
    tau: float = 0.4,
) -> MLGCN:
    """The network of a released checkpoint, with the released network's logits for images of 448 × 448.

    The released network pools a map of 14 × 14 by its maximum; this one pools a map of any size so. Images are scaled
    and ImageNet-normalised as by ``mlgcn_pyg.datasets.eval_transform``. Nothing in the files can run code.

    Args:
        path: the checkpoint: ``{"state_dict": …}`` or the state dict alone, with or without ``module.`` before its
            keys: ``features.*``, ``gc1.weight``, ``gc2.weight``, ``A``.
        embeddings: its label embeddings, which are not in it: the released ``*_glove_word2vec.pkl`` (or another file
            that :func:`~mlgcn_pyg.graph.label_embeddings` reads), a matrix (C, F), or ``LabelEmbeddings``.
        adj: the released ``*_adj.pkl``, for label counts and probabilities; edges and weights are those of ``A``
            (:func:`~mlgcn_pyg.released.matrix.graph_of_matrix`).
        label_names: C names, in alphabetical order for the released files; the numbers by default.
        backbone: the ResNet that ``features`` is.
        tau: at which ``adj`` was cut.

    Raises:
        InputError: a file with anything but tensors and plain values, missing or unknown keys, shapes or edges that do
            not fit.
    """
    from mlgcn_pyg.nn.backbones.backbone import Backbone
    from mlgcn_pyg.nn.backbones.weights import put_weights

    state = read_released_state(path)
    if missing := [name for name in OWN if name not in state]:
        raise InputError("checkpoint", "A, gc1.weight and gc2.weight beside features.*", f"no {', '.join(missing)}")
    a, first, second = (state.pop(name) for name in OWN)
    if a.dim() != 2:
        raise InputError("checkpoint", "A of shape (C, C)", f"shape {tuple(a.shape)}")
    if first.dim() != 2 or second.dim() != 2 or first.size(1) != second.size(0):
        found = f"shapes {tuple(first.shape)} and {tuple(second.shape)}"
        raise InputError("checkpoint", "gc1.weight (F, H) and gc2.weight (H, D)", found)
    check_finite("gc1.weight", first), check_finite("gc2.weight", second)
    network = Backbone(backbone)
    if network.num_features != second.size(1):
        expected = f"the ResNet of the checkpoint, with {second.size(1)} features"
        raise InputError("backbone", expected, f"{backbone}, with {network.num_features}")
    x = _embeddings(embeddings, label_names, len(a))
    if x.x.size(1) != first.size(0):
        raise InputError("embeddings", f"embeddings of width {first.size(0)}, as gc1.weight has", x.x.size(1))
    counts = None if adj is None else read_released_counts(adj)
    graph = graph_of_matrix(a, label_names=x.label_names, x=x, counts=counts, tau=tau)
    head = MLGCNHead(graph, num_features=second.size(1), hidden_channels=(first.size(1),))
    with torch.no_grad():
        for conv, weight in zip(head.convs, (first, second), strict=True):
            conv.weight.copy_(weight)
    model = MLGCN(network, head)
    if strange := sorted(key for key in state if not key.startswith("features.")):
        raise InputError("checkpoint", f"features.* and {', '.join(OWN)}", f"also {', '.join(strange[:5])} ({path})")
    features = model.backbone.features
    put_weights(features, features, _without(state, "features."), path, f"the released network with {backbone}")
    return model.eval()


def torchvision_state(model: MLGCN) -> dict[str, Tensor]:
    """The backbone of a released network with torchvision's keys, without classifier: a weights file of `Backbone`."""
    state = model.backbone.features.state_dict()
    parts = {key: key.partition(".") for key in state}
    return {f"{RESNET[int(k)]}.{rest}": state[key].detach().cpu() for key, (k, _, rest) in parts.items()}


def read_released_state(path: str | Path) -> dict[str, Tensor]:
    """The state dict of a checkpoint file, without ``module.``; NumPy numbers beside it (``best_score``) are read too.

    Files of old PyTorch (before zip archives) and of Python 2 are understood.
    """
    path = existing_file("checkpoint", path)
    admitted = [(PlainDtype, "numpy.dtype")]
    admitted += [(_number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    try:
        with torch.serialization.safe_globals(admitted), warnings.catch_warnings():
            # torch warns that the encoding does nothing here; it decodes Python 2's strings
            warnings.filterwarnings("ignore", message="pickle_load_args")
            content = torch.load(path, map_location="cpu", weights_only=True, encoding="latin1")
    except Exception as error:  # a damaged or foreign file may raise nearly anything
        expected = "a checkpoint of tensors and plain values"
        raise InputError("checkpoint", expected, f"{path} ({first_line(error)})") from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(k, str) and torch.is_tensor(v) for k, v in state.items()):
        raise InputError(
            "checkpoint", "a state dict of tensors, perhaps under 'state_dict'", f"other content in {path}"
        )
    return _without(state, "module.") if all(key.startswith("module.") for key in state) else dict(state)


def _number(dtype: PlainDtype, data: bytes | str) -> float:
    """A real or whole NumPy number, as Python's."""
    if dtype.name[0] not in "if":
        raise pickle.UnpicklingError(f"a scalar of dtype {dtype.name}")
    return plain_scalar(dtype, data).item()


def _embeddings(given, label_names, num_labels: int) -> LabelEmbeddings:
    if isinstance(given, LabelEmbeddings):
        return given if label_names is None else given.select(label_names)
    names = check_label_names(label_names, num_labels)
    if isinstance(given, str | Path):
        return label_embeddings(names, given)
    return LabelEmbeddings(names, torch.as_tensor(given).float())


def _without(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items()}
