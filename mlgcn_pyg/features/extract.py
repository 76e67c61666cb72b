"""From photographs to a feature file."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from mlgcn_pyg._version import __version__
from mlgcn_pyg.checks import InputError, bad_input, check_choice, check_count, check_positive
from mlgcn_pyg.features import format
from mlgcn_pyg.features.cache import FeatureCache, storable
from mlgcn_pyg.files import atomic_path

LIBRARIES = ("torch", "torchvision", "h5py", "pillow")


def extract_features(
    backbone: torch.nn.Module,
    dataset: Dataset,
    path: str | Path,
    *,
    batch_size: int = 32,
    device: str | torch.device = "cpu",
    dtype: str = "float16",
    num_workers: int = 0,
    on_error: str = "stop",
    progress: Callable[[int, str], None] | None = None,
) -> FeatureCache:
    """Writes the backbone's features of every image to an HDF5 file, whole or not at all.

    Args:
        backbone: images (B, 3, height, width) → features (B, D), with ``num_features`` = D; put in evaluation mode.
        dataset: items ``(image, target, index)``, with ``targets``, ``label_names``, ``ids`` and ``transform``.
        path: the file. It appears under this name only when it is complete; an interrupted run leaves none.
        batch_size: images per pass. A float16 row may differ in its last bit between batch sizes.
        device: where the backbone runs.
        dtype: ``"float16"`` or ``"float32"`` in the file.
        num_workers: processes that decode images.
        on_error: what to do where images do not decode: ``"stop"`` with an error that names and counts them, or
            ``"skip"`` them and list them in ``meta["skipped"]`` (every image is decoded once more to find them first).
        progress: called after each batch with the number of finished images and what is being done to them.

    Returns:
        The finished :class:`FeatureCache`.

    Raises:
        InputError: images that do not decode, values that ``dtype`` cannot hold (the image is named), bad arguments.
    """
    check_choice("on_error", on_error, ("stop", "skip"))
    check_choice("dtype", dtype, format.DTYPES)
    check_positive("batch_size", batch_size)
    check_count("num_workers", num_workers)
    keep, skipped = list(range(len(dataset))), []
    if on_error == "skip" and (broken := broken_images(dataset, num_workers, progress)):
        keep = [row for row in keep if row not in broken]
        skipped = [dataset.ids[row] for row in broken]
        if not keep:
            raise _broken_error(dataset, broken)
    ids = [dataset.ids[row] for row in keep]
    shape = (len(keep), 1, backbone.num_features)
    with atomic_path(path) as partial:
        meta = provenance(backbone, dataset, batch_size, dtype) | {"skipped": skipped}
        rows = format.create(partial, shape, dtype, dataset.targets[keep], dataset.label_names, ids, meta)
        with rows.file:
            try:
                for start, features in _batches(backbone, Subset(dataset, keep), batch_size, device, num_workers):
                    stop = start + len(features)
                    rows[start:stop, 0] = storable(features, dtype, ids[start:stop])
                    if progress:
                        progress(stop, "extracting")
            except ImageBatchError as error:
                raise _broken_error(dataset, broken_images(dataset, num_workers, progress)) from error
    return FeatureCache(path)


class ImageBatchError(InputError):
    """An item that could not be read, however far down the loader it happened."""


@torch.inference_mode()
def _batches(backbone, dataset, batch_size, device, num_workers) -> Iterator[tuple[int, Tensor]]:
    """Yields (first row, features (B, D) float32) in order, with the backbone in evaluation mode."""
    training = backbone.training
    backbone.to(device).eval()
    start = 0
    try:
        for images in _image_batches(dataset, batch_size, num_workers, torch.device(device).type == "cuda"):
            features = backbone(images.to(device, non_blocking=True)).float()
            yield start, features
            start += len(features)
    finally:
        backbone.train(training)


def _image_batches(dataset, batch_size: int, num_workers: int, pin_memory: bool) -> Iterator[Tensor]:
    loader = DataLoader(dataset, batch_size, num_workers=num_workers, pin_memory=pin_memory)
    try:
        for images, _, _ in loader:
            yield images
    except InputError as error:
        raise ImageBatchError(str(error)) from error


class _Problems(Dataset):
    """Item k is None if the data set's item k can be read, else the reason why not."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> str | None:
        try:
            self.dataset[index]
        except InputError as error:
            return str(error)
        return None


def broken_images(
    dataset: Dataset, num_workers: int = 0, progress: Callable[[int, str], None] | None = None
) -> dict[int, str]:
    """The items that cannot be read, {index: reason}; every image is decoded to find out."""
    broken = {}
    for row, reason in enumerate(DataLoader(_Problems(dataset), batch_size=None, num_workers=num_workers)):
        if reason is not None:
            broken[row] = reason
        if progress:
            progress(row + 1, f"looking for images that do not decode: {len(broken)}")
    return broken


def _broken_error(dataset: Dataset, broken: dict[int, str]) -> InputError:
    named = [dataset.ids[row] for row in broken]
    listed = ", ".join(named[:5]) + (", …" if len(named) > 5 else "")
    first = next(iter(broken.values()), "none when read again")
    return bad_input(
        "dataset",
        f"{len(dataset)} images that decode",
        f"{len(broken)} that do not: {listed} (the first: {first})",
        fix="mend or remove them, or skip them with on_error='skip' (--on-error skip)",
    )


def provenance(backbone: torch.nn.Module, dataset: Dataset, batch_size: int, dtype: str) -> dict:
    """Where features come from: enough to make them again, and to notice when they would differ."""
    digest = getattr(backbone, "digest", None)
    return {
        "backbone": getattr(backbone, "name", type(backbone).__name__),
        "weights_sha256": digest() if digest else None,
        "pool": getattr(backbone, "pool", None),
        "transform": " ".join(repr(getattr(dataset, "transform", None)).split()),
        "image_size": _image_size(dataset),
        "dtype": dtype,
        "batch_size": batch_size,
        "dataset": repr(dataset),
        "split": getattr(dataset, "split", None),
        "versions": {"mlgcn_pyg": __version__} | {name: version(name) for name in LIBRARIES},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _image_size(dataset: Dataset) -> list[int] | None:
    """(height, width) that comes out of the transform, found by giving it a blank picture."""
    transform = getattr(dataset, "transform", None)
    if transform is None:
        return None
    with torch.random.fork_rng(devices=[]):
        shape = getattr(transform(Image.new("RGB", (64, 64))), "shape", None)
    return None if shape is None else list(shape[-2:])
