"""A folded head in a safetensors file: one linear classifier per label. Many languages can read the format.

=====================  =========================  ==============================================================
tensor ``weight``      (C, D) floating point      W_cls: logits = features @ weight.T (+ bias)
tensor ``bias``        (C,), MAY be absent        the bias of a linear head
tensor ``thresholds``  (C,) float64, MAY be       label c is predicted if its logit is above ``thresholds[c]``;
                       absent                     0 (a probability of 0.5) if absent
metadata ``format``    ``mlgcn_pyg.linear``       MUST be this
metadata ``version``   ``1``                      readers MUST refuse other versions
``label_names``        JSON list of C strings     in the order of the rows
``config``             JSON object                how the head was trained; ``config["features"]`` describes its
                                                  features
``image_size``         JSON [height, width]       of the images, MAY be absent
``sha256``             digest of the tensors      and of the other metadata; absent in files of earlier versions
other metadata                                    MUST NOT be present
=====================  =========================  ==============================================================
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from mlgcn_pyg.checkpoints.checkpoint import Checkpoint, check_thresholds
from mlgcn_pyg.checkpoints.content import Content, complete
from mlgcn_pyg.checks import check_finite, check_image_size
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.atomic import atomic_path, tensor_digest
from mlgcn_pyg.files.pretrained import is_pretrained
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.nn.linear_head import LinearHead
from mlgcn_pyg.typing import Head

LINEAR_FORMAT = "mlgcn_pyg.linear"
HEADER_START = 8  # bytes before the header, which hold its length
METADATA = {"format", "version", "label_names", "config", "image_size", "sha256"}


def save_linear(
    path: str | Path,
    head: Head,
    *,
    config: Content | None = None,
    thresholds: Tensor | None = None,
    image_size: int | Sequence[int] | None = None,
) -> None:
    """Writes a head, folded by its ``to_linear()``, to a safetensors file and verifies it by reading it back.

    The write is atomic.

    Args:
        path: the file.
        head: :class:`MLGCNHead`, :class:`SharingHead` or :class:`LinearHead`.
        config: the training configuration. Values that JSON cannot represent are stored as strings.
        thresholds: (C,) logits above which labels are predicted; default: 0.
        image_size: side or (height, width) of the images in pixels.

    Raises:
        InputError: if a weight is NaN or infinite, or the thresholds are not one number per label.
        OSError: if the content of the file differs from the content that was written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "head.safetensors")
    >>> save_linear(path, LinearHead(2, 4, ["cat", "dog"]))
    >>> load_linear(path).label_names
    ('cat', 'dog')
    """
    linear = head.to_linear()
    for value in (linear.weight, linear.bias):
        if value is not None:
            check_finite("head", value)
    if thresholds is not None:
        thresholds = check_thresholds(thresholds, head.num_labels)
    values = {"weight": linear.weight, "bias": linear.bias, "thresholds": thresholds}
    tensors = {name: value.detach().cpu().contiguous() for name, value in values.items() if value is not None}
    metadata = {"format": LINEAR_FORMAT, "version": "1", "label_names": json.dumps(list(head.label_names))}
    metadata["config"] = json.dumps(config or {}, default=str)
    if image_size is not None:
        metadata["image_size"] = json.dumps(check_image_size(image_size))
    metadata["sha256"] = _digest(tensors, metadata)
    with atomic_path(path) as partial:
        # save_file() would make the file readable by its owner only
        partial.write_bytes(_with_sorted_header(save(tensors, metadata)))
        try:
            load_linear(partial)  # verifies the digest
        except InputError as error:
            raise OSError(f"the content of {path} differs from the content that was written") from error


def load_linear(path: str | Path) -> LinearHead:
    """Reads the classifiers of a file written by :func:`save_linear`.

    Raises:
        InputError: if the file is not a linear export, or contains NaN or infinite values.
    """
    head = read_linear(path).head
    assert isinstance(head, LinearHead), "read_linear returns a LinearHead"
    return head


def read_linear(path: str | Path) -> Checkpoint:
    """Reads the classifiers, config, thresholds and image size of a file written by :func:`save_linear`."""
    path = existing_file("path", path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    except Exception as error:  # a damaged or foreign file
        raise InputError("path", "a safetensors file", f"{path} ({first_line(error)})") from error
    if metadata.get("format") != LINEAR_FORMAT:
        fix = "give its folder" if is_pretrained(path.parent) else ""
        raise InputError("path", "a linear export (save_linear)", f"a different safetensors file, {path}", fix)
    if metadata.get("version") != "1":
        raise InputError("path", "format version 1", f"{metadata.get('version')} in {path}", "use a newer mlgcn_pyg")
    with complete(path, "a complete linear export"):
        if unknown := sorted(metadata.keys() - METADATA):  # possibly the damaged name of the digest
            raise ValueError(f"unknown metadata {unknown[0][:40]!r}")
        stored = metadata.pop("sha256", None)
        if stored is not None and stored != _digest(tensors, metadata):
            raise ValueError("its numbers are not those that were saved")
        label_names, config, image_size = (
            json.loads(metadata.get(name, "null")) for name in ("label_names", "config", "image_size")
        )
        head = _build_head(tensors["weight"], tensors.get("bias"), label_names)
        return Checkpoint(head, None, image_size, tensors.get("thresholds"), config or {})


def _with_sorted_header(data: bytes) -> bytes:
    """Returns a safetensors file with its header sorted by key: ``save`` writes metadata in random order."""
    end = HEADER_START + int.from_bytes(data[:HEADER_START], "little")
    header = json.dumps(json.loads(data[HEADER_START:end]), sort_keys=True).encode()
    header += b" " * (-len(header) % HEADER_START)  # the tensors after it stay aligned to 8 bytes
    return len(header).to_bytes(HEADER_START, "little") + header + data[end:]


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    texts = json.dumps(sorted(metadata.items())).encode()
    ordered = {name: tensors[name] for name in sorted(tensors)}
    return tensor_digest(ordered | {"metadata": torch.frombuffer(bytearray(texts), dtype=torch.uint8)})


def _build_head(weight: Tensor, bias: Tensor | None, label_names: list[str]) -> LinearHead:
    check_finite("weight", weight)
    if bias is not None:
        check_finite("bias", bias)
    head = LinearHead(weight.size(0), weight.size(1), label_names, bias=bias is not None).to(weight.dtype)
    head.linear.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
    return head
