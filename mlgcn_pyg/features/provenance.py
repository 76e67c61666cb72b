"""The provenance of features: what is needed to compute them again, and to detect that they would differ."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from mlgcn_pyg._version import __version__
from mlgcn_pyg.errors import printable_line
from mlgcn_pyg.features.forms import PLAIN
from mlgcn_pyg.files.atomic import tensor_digest
from mlgcn_pyg.seeding import seeded
from mlgcn_pyg.tensor_checks import hardware
from mlgcn_pyg.typing import FeatureExtractor, LabeledDataset

LIBRARIES = ("torch", "torchvision", "h5py", "pillow")
# the content key: two extractions that agree in all of these compute the same features
KEY = (
    "backbone", "weights_sha256", "pool", "num_features", "transform", "image_size", "dtype", "precision",
    "batch_size", "views", "view_transform", "seed", "dataset_sha256", "shard", "form",
)  # fmt: skip
EARLIER = {"form": PLAIN}  # values of fields that earlier versions did not write
# these may change the rounding: an extraction is resumed only with the same values
ENVIRONMENT = ("device", "versions")


@dataclass(frozen=True)
class Difference:
    """A field in which the provenance of two files, or of a file and a request, differs."""

    field: str
    stored: object
    wanted: object

    def text(self, stored_in: str = "in the file", wanted_in: str = "requested") -> str:
        """Returns the difference as text, such as ``"batch_size: 32 in the file, 16 requested"``."""
        return f"{self.field}: {_short(self.stored)} {stored_in}, {_short(self.wanted)} {wanted_in}"


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any], fields: Iterable[str]) -> list[Difference]:
    """Returns the fields that differ.

    >>> [difference.text() for difference in differences({"seed": 1}, {"seed": 2}, ["seed"])]
    ['seed: 1 in the file, 2 requested']
    """
    pairs = ((name, *(meta.get(name, EARLIER.get(name)) for meta in (stored, wanted))) for name in fields)
    return [Difference(name, old, new) for name, old, new in pairs if old != new]


def provenance(
    backbone: FeatureExtractor,
    dataset: LabeledDataset,
    *,
    batch_size: int,
    dtype: str,
    precision: str = "float32",
    views: int = 1,
    view_transform: Callable[[Any], Tensor] | None = None,
    seed: int = 0,
    shard: tuple[int, int] | None = None,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Returns everything that determines the rows of a feature file, as a dict that JSON can hold.

    The backbone is taken to be in its plain form.
    The arguments are those of :func:`~mlgcn_pyg.features.extract_features`.
    """
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
        "form": PLAIN,
        "device": hardware(torch.device(device)),
        "threads": torch.get_num_threads() if torch.device(device).type == "cpu" else None,
        "versions": {"mlgcn_pyg": __version__} | {name: version(name) for name in LIBRARIES},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def is_extracted(meta: Mapping[str, Any]) -> bool:
    """Returns whether an extraction wrote the file, so that an extraction can compute its rows again."""
    return set(KEY) <= meta.keys() | EARLIER.keys()


def manifest_digest(dataset: LabeledDataset) -> str:
    """Returns a SHA-256 digest of label names, targets, and the id and file size of each image; opens no image."""
    sha = hashlib.sha256(json.dumps(list(dataset.label_names)).encode())
    sha.update(dataset.targets.cpu().contiguous().numpy().data)
    paths: Sequence[Path | None] = getattr(dataset, "image_paths", [None] * len(dataset.ids))
    for name, path in zip(dataset.ids, paths, strict=True):
        sha.update(f"{name}\t{_size(path)}\n".encode())
    return sha.hexdigest()


def _size(path: Path | None) -> int | None:
    try:
        return None if path is None else Path(path).stat().st_size
    except OSError:  # a missing file is reported when it is read
        return None


def _weights_digest(backbone: FeatureExtractor) -> str:
    """Returns ``backbone.digest()`` if the method exists, else a digest of all tensors in the state of the backbone."""
    if digest := getattr(backbone, "digest", None):
        return str(digest())
    return tensor_digest({name: value for name, value in backbone.state_dict().items() if isinstance(value, Tensor)})


def _described(transform: Callable[..., Any] | None) -> str:
    """Returns the ``repr`` of a transform without line breaks and memory addresses."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", printable_line(repr(transform)))


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else text[:16] + "…" + text[-16:]


def _image_size(dataset: LabeledDataset) -> list[int] | None:
    """Returns the size (height, width) of a transformed 64 × 64 image; None if the transform rejects this image."""
    transform = getattr(dataset, "transform", None)
    if transform is None:
        return None
    try:
        with seeded("image size"):
            shape = getattr(transform(Image.new("RGB", (64, 64))), "shape", None)
    except Exception:  # such as a crop larger than the image; the transform's repr contains the size too
        return None
    return None if shape is None else list(shape[-2:])
