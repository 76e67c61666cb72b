"""Where features come from: enough to make them again, and to notice when they would differ."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mlgcn_pyg._version import __version__
from mlgcn_pyg.errors import printable_line
from mlgcn_pyg.files import tensor_digest
from mlgcn_pyg.seeding import seeded

LIBRARIES = ("torch", "torchvision", "h5py", "pillow")
# the content key: two extractions that agree in all of these are the same features
KEY = (
    "backbone", "weights_sha256", "pool", "num_features", "transform", "image_size", "dtype", "precision",
    "batch_size", "views", "view_transform", "seed", "dataset_sha256", "shard",
)  # fmt: skip
# what may change last bits besides: half of a file is not made with one of these and half with another
ENVIRONMENT = ("device", "versions")


def provenance(
    backbone: torch.nn.Module,
    dataset: Dataset,
    *,
    batch_size: int,
    dtype: str,
    precision: str = "float32",
    views: int = 1,
    view_transform: Callable | None = None,
    seed: int = 0,
    shard: tuple[int, int] | None = None,
    device: torch.device | str = "cpu",
) -> dict:
    """Everything that decides a feature file's rows, plain enough for JSON."""
    return {
        "backbone": getattr(backbone, "name", type(backbone).__name__),
        "weights_sha256": _weights_digest(backbone),
        "pool": getattr(backbone, "pool", None),
        "num_features": backbone.num_features,
        "transform": _described(getattr(dataset, "transform", None)),
        "image_size": _image_size(dataset),
        "dtype": dtype,
        "precision": precision,
        "batch_size": batch_size,
        "views": views,
        "view_transform": _described(view_transform) if views > 1 else None,
        "seed": seed if views > 1 else None,
        "dataset": repr(dataset),
        "dataset_sha256": manifest_digest(dataset),
        "split": getattr(dataset, "split", None),
        "shard": None if shard is None else list(shard),
        "device": _hardware(torch.device(device)),
        "threads": torch.get_num_threads() if torch.device(device).type == "cpu" else None,
        "versions": {"mlgcn_pyg": __version__} | {name: version(name) for name in LIBRARIES},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def is_extracted(meta: dict) -> bool:
    """Whether an extraction made the file, so that the same one can make its rows again."""
    return set(KEY) <= meta.keys()


def differences(found: dict, wanted: dict, fields: Iterable[str]) -> list[str]:
    """``"batch_size: 32 in the file, 16 asked for"`` for each field that differs."""
    return [
        f"{name}: {_short(found.get(name))} in the file, {_short(wanted[name])} asked for"
        for name in fields
        if found.get(name) != wanted[name]
    ]


def manifest_digest(dataset: Dataset) -> str:
    """sha256 over label names, targets, and each image's id and file size; no photograph is opened."""
    sha = hashlib.sha256(json.dumps(list(dataset.label_names)).encode())
    sha.update(dataset.targets.cpu().contiguous().numpy())
    paths = getattr(dataset, "image_paths", [None] * len(dataset.ids))
    for name, path in zip(dataset.ids, paths, strict=True):
        sha.update(f"{name}\t{_size(path)}\n".encode())
    return sha.hexdigest()


def _size(path: Path | None) -> int | None:
    try:
        return None if path is None else Path(path).stat().st_size
    except OSError:  # missing files are named when they are needed
        return None


def _weights_digest(backbone: torch.nn.Module) -> str:
    """The backbone's own digest if it has one, else that of all tensors in its state."""
    if own := getattr(backbone, "digest", None):
        return own()
    return tensor_digest({name: value for name, value in backbone.state_dict().items() if isinstance(value, Tensor)})


def _hardware(device: torch.device) -> str:
    """The kind of device and, since last bits depend on it, which of its kind: the GPU, or the CPU's instructions."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.backends.cpu.get_cpu_capability()})" if device.type == "cpu" else device.type


def _described(transform: Callable | None) -> str:
    """The transform's own words, without line breaks and addresses in memory."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", printable_line(repr(transform)))


def _short(value) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else text[:16] + "…" + text[-16:]


def _image_size(dataset: Dataset) -> list[int] | None:
    """(height, width) that comes out of the transform, found by giving it a blank picture."""
    transform = getattr(dataset, "transform", None)
    if transform is None:
        return None
    try:
        with seeded("image size"):
            shape = getattr(transform(Image.new("RGB", (64, 64))), "shape", None)
    except Exception:  # too small a picture for a crop of one's own; the transform's words tell its size as well
        return None
    return None if shape is None else list(shape[-2:])
