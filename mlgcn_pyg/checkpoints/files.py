"""Heads and whole models on disk: plain dicts of tensors, numbers and strings, with all that using them needs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg.checkpoints.checkpoint import Checkpoint, check_thresholds
from mlgcn_pyg.checkpoints.linear_file import read_linear
from mlgcn_pyg.checks import check_image_size
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import load_plain, save_plain, tensor_digest
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn.linear_head import LinearHead
from mlgcn_pyg.nn.mlgcn import MLGCN
from mlgcn_pyg.nn.mlgcn_head import MLGCNHead

FORMAT, MODEL_FORMAT = "mlgcn_pyg.head", "mlgcn_pyg.model"
SETTINGS = ("hidden_channels", "negative_slope", "learn_edges", "learn_p")


def save_head(
    path: str | Path, head: torch.nn.Module, *, config: dict | None = None, thresholds: Tensor | None = None
) -> None:
    """Writes ``head`` with its label names, its label graph (for an MLGCNHead) and the config it was trained with.

    ``thresholds`` (C,) are logits above which labels are predicted (:func:`mlgcn_pyg.evaluation.fit_thresholds`).
    """
    save_plain(path, _head_content(head, config) | _thresholds_content(thresholds, head))


def save_model(
    path: str | Path,
    model: MLGCN,
    *,
    image_size: int | Sequence[int],
    config: dict | None = None,
    thresholds: Tensor | None = None,
) -> None:
    """Writes a whole network, whole or not at all; predicting needs nothing but this file.

    Args:
        path: the file. model: an :class:`MLGCN` on a :class:`Backbone`.
        image_size: side, or (height, width), in pixels, that photographs are resized to
            (:func:`mlgcn_pyg.datasets.eval_transform`).
        config: how it was trained: numbers, strings and containers of them.
        thresholds: (C,) logits above which labels are predicted; 0 by default.

    Raises:
        InputError: another backbone than this package's, thresholds that do not fit.

    >>> import tempfile
    >>> from mlgcn_pyg.nn import Backbone
    >>> path = Path(tempfile.mkdtemp(), "model.pt")
    >>> save_model(path, MLGCN(Backbone("squeezenet1_1"), LinearHead(2, 512, ["cat", "dog"])), image_size=64)
    >>> load_checkpoint(path).image_size, load_model(path)(torch.zeros(1, 3, 64, 64)).shape
    ((64, 64), torch.Size([1, 2]))
    """
    backbone = model.backbone
    from mlgcn_pyg.nn.backbones.backbone import Backbone  # torchvision is slow to import, and in memory already

    if not isinstance(backbone, Backbone):
        raise InputError("model", "a model on mlgcn_pyg.nn.Backbone", f"one on {type(backbone).__name__}")
    content = {
        "format": MODEL_FORMAT,
        "version": 1,
        "image_size": check_image_size(image_size),
        "config": config or {},
        "head": _head_content(model.head, None),
        "backbone": {
            "name": backbone.name,
            "pool": backbone.pool,
            "rescales": any(part.enabled for part in _rescalings(backbone)),
            **_state_content(backbone),
        },
    }
    save_plain(path, content | _thresholds_content(thresholds, model.head))


def load_checkpoint(path: str | Path) -> Checkpoint:
    """A head or a whole model as it was saved, or a linear export (``.safetensors``).

    Nothing in the file can run code. Raises InputError for any other file.
    """
    if Path(path).suffix == ".safetensors":
        head, rest = read_linear(path)
        return _complete(path, lambda: Checkpoint(head, config=rest.pop("config") or {}, **rest))
    content = _content(path, "a checkpoint written by save_head or save_model", FORMAT, MODEL_FORMAT)
    if content["format"] == FORMAT:
        return _complete(path, lambda: _head_checkpoint(content, path))
    return _complete(path, lambda: _model_checkpoint(content, path))


def load_head(path: str | Path) -> MLGCNHead | LinearHead:
    """The head of a checkpoint or of a linear export; nothing in the file can run code.

    Raises InputError for any other file, a whole model's included (``load_model(path).head`` is that one's).
    """
    if Path(path).suffix != ".safetensors":
        _content(path, "a head written by save_head", FORMAT)
    return load_checkpoint(path).head


def load_model(path: str | Path) -> MLGCN:
    """The whole network of a checkpoint, on the CPU; nothing in the file can run code.

    Raises InputError for any other file, a head's included.
    """
    return load_checkpoint(path).model


def store_thresholds(path: str | Path, thresholds: Tensor) -> None:
    """Puts thresholds (C,) into a checkpoint that lies there, a head's or a model's; all else stays as it is."""
    content = _content(path, "a checkpoint written by save_head or save_model", FORMAT, MODEL_FORMAT)
    save_plain(path, content | _thresholds_content(thresholds, load_checkpoint(path).head))


def _thresholds_content(thresholds: Tensor | None, head: torch.nn.Module) -> dict:
    return {} if thresholds is None else {"thresholds": check_thresholds(thresholds, head.num_labels)}


def _state_content(part: torch.nn.Module) -> dict:
    # copies: of a head that shares its storage with others, torch.save would write theirs as well
    state = {name: value.detach().to("cpu", copy=True) for name, value in part.state_dict().items()}
    return {"state_dict": state, "sha256": tensor_digest(state)}  # torch.load does not see a flipped bit


def _load_state(part: torch.nn.Module, content: dict) -> None:
    state = content["state_dict"]
    if "sha256" in content and tensor_digest(state) != content["sha256"]:  # older files have none
        raise ValueError("its numbers are not those that were saved")
    part.load_state_dict(state)


def _head_content(head: torch.nn.Module, config: dict | None) -> dict:
    content = {
        "format": FORMAT,
        "version": 1,
        "label_names": tuple(head.label_names),
        "num_features": head.num_features,
        "config": config or {},
        **_state_content(head),
    }
    if not isinstance(head, MLGCNHead):
        return content | {"head": "linear", "bias": head.linear.bias is not None}
    settings = {name: getattr(head, name) for name in SETTINGS}
    return content | {"head": "mlgcn", "graph": head.base_graph().state()} | settings


def _content(path: str | Path, expected: str, *formats: str) -> dict:
    """What a checkpoint of one of ``formats`` holds, version 1."""
    content = load_plain("checkpoint", path)
    kind = content.get("format") if isinstance(content, dict) else None
    if kind not in formats:
        found = "a whole model" if kind == MODEL_FORMAT else "another file"
        raise InputError("checkpoint", expected, f"{found}, {path}")
    if content.get("version") != 1:
        raise InputError("checkpoint", "format version 1", content.get("version"), fix="use a newer mlgcn_pyg")
    return content


def _complete(path: str | Path, build: Callable[[], Checkpoint]) -> Checkpoint:
    """What ``build`` makes of a checkpoint's content; InputError for whatever a damaged or foreign content leads to."""
    try:
        return build()
    except Exception as error:
        what = str(error) if isinstance(error, InputError) else first_line(error)
        raise InputError("checkpoint", "a complete head or model", f"{path} ({what})") from error


def _head_checkpoint(content: dict, path: str | Path) -> Checkpoint:
    return Checkpoint(_head(content, path), thresholds=content.get("thresholds"), config=content["config"])


def _model_checkpoint(content: dict, path: str | Path) -> Checkpoint:
    from mlgcn_pyg.nn.backbones.backbone import Backbone

    saved = content["backbone"]
    backbone = Backbone(saved["name"], None, saved["pool"])
    _load_state(backbone, saved)
    for part in _rescalings(backbone):
        part.enabled = saved["rescales"]
    head, size = _head(content["head"], path), check_image_size(content["image_size"])
    checkpoint = Checkpoint(head, backbone, size, content.get("thresholds"), content["config"])
    assert checkpoint.model is not None  # their widths agree
    return checkpoint


def _rescalings(backbone: torch.nn.Module) -> list:
    """GoogLeNet's, Inception's and some timm models' own input scaling: a switch that no state dict holds."""
    from mlgcn_pyg.nn.backbones.feature_maps import Rescaling

    return [part for part in backbone.modules() if isinstance(part, Rescaling)]


def _head(content: dict, path: str | Path) -> MLGCNHead | LinearHead:
    if content["head"] == "mlgcn":
        graph = LabelGraph.from_state(content["graph"], str(path))
        settings = {name: content[name] for name in SETTINGS}
        head = MLGCNHead(graph, content["num_features"], settings.pop("hidden_channels"), **settings)
    else:
        names = content["label_names"]
        head = LinearHead(len(names), content["num_features"], names, bias=content["bias"])
    _load_state(head, content)
    return head
