"""A folded head in a safetensors file, which any language reads: one classifier per label and nothing else.

=====================  =========================  ==============================================================
tensor ``weight``      (C, D) floating point      W_cls: logits = features @ weight.T (+ bias)
tensor ``bias``        (C,), MAY be absent        of a linear head that learned one
tensor ``thresholds``  (C,) float64, MAY be       label c is predicted where its logit is above ``thresholds[c]``;
                       absent                     0 (a probability of 0.5) without it
metadata ``format``    ``mlgcn_pyg.linear``       MUST be this
metadata ``version``   ``1``                      readers MUST refuse others
``label_names``        JSON list of C strings     in the order of the rows
``config``             JSON object                how the head was trained; ``config["features"]`` says on what
``image_size``         JSON [height, width]       of the photographs, MAY be absent
=====================  =========================  ==============================================================
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from mlgcn_pyg.checks import check_finite
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import atomic_path, existing_file
from mlgcn_pyg.nn.linear_head import LinearHead

FORMAT = "mlgcn_pyg.linear"


def save_linear(
    path: str | Path,
    head: torch.nn.Module,
    *,
    config: dict | None = None,
    thresholds: Tensor | None = None,
    image_size: Sequence[int] | None = None,
) -> None:
    """Writes ``head``, folded by its ``to_linear()``, to a safetensors file, whole or not at all, and read back once.

    Args:
        path: the file. head: :class:`MLGCNHead` or :class:`LinearHead`.
        config: how it was trained; what JSON can hold.
        thresholds: (C,) logits above which labels are predicted. image_size: (height, width) of the photographs.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "head.safetensors")
    >>> save_linear(path, LinearHead(2, 4, ["cat", "dog"]))
    >>> load_linear(path).label_names
    ('cat', 'dog')
    """
    linear = head.to_linear()
    tensors = {"weight": linear.weight, "bias": linear.bias}
    tensors["thresholds"] = None if thresholds is None else thresholds.double()
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items() if value is not None}
    metadata = {"format": FORMAT, "version": "1", "label_names": json.dumps(list(head.label_names))}
    metadata["config"] = json.dumps(config or {}, default=str)
    if image_size is not None:
        metadata["image_size"] = json.dumps(list(image_size))
    with atomic_path(path) as partial:
        partial.write_bytes(save(tensors, metadata))  # save_file() would make a file that only its owner may read
        assert torch.equal(load_linear(partial).linear.weight, tensors["weight"])  # NaN is refused before


def load_linear(path: str | Path) -> LinearHead:
    """The classifiers of a file of :func:`save_linear`. Raises InputError for any other file, and for NaN or Inf."""
    return read_linear(path)[0]


def read_linear(path: str | Path) -> tuple[LinearHead, dict]:
    """The head, and what else the file holds: ``config``, ``thresholds`` and ``image_size`` (None where absent)."""
    path = existing_file("checkpoint", path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
    except Exception as error:  # a damaged or foreign file
        raise InputError("checkpoint", "a safetensors file", f"{path} ({first_line(error)})") from error
    if metadata.get("format") != FORMAT:
        raise InputError("checkpoint", "a linear export (save_linear)", f"another safetensors file, {path}")
    if metadata.get("version") != "1":
        raise InputError("checkpoint", "format version 1", metadata.get("version"), fix="use a newer mlgcn_pyg")
    try:
        rest = {name: json.loads(metadata.get(name, "null")) for name in ("label_names", "config", "image_size")}
        head = _head(tensors, rest.pop("label_names"))
    except InputError:
        raise
    except Exception as error:  # whatever a foreign content leads to
        raise InputError("checkpoint", "a complete linear export", f"{path} ({first_line(error)})") from error
    return head, rest | {"thresholds": tensors.get("thresholds")}


def _head(tensors: dict[str, Tensor], label_names: list[str]) -> LinearHead:
    weight, bias = tensors["weight"], tensors.get("bias")
    for value in (weight, *([] if bias is None else [bias])):
        check_finite("checkpoint", value)
    head = LinearHead(weight.size(0), weight.size(1), label_names, bias=bias is not None).to(weight.dtype)
    head.linear.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
    return head
