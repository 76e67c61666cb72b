"""Extracts features: images → backbone → feature file, resumable after any interruption."""

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_count, check_positive
from mlgcn_pyg.distributed import Ranks
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.cache import FeatureCache
from mlgcn_pyg.features.computation import Computation
from mlgcn_pyg.features.forms import backbone_forms
from mlgcn_pyg.features.header import DTYPES
from mlgcn_pyg.features.loading import Progress, Views
from mlgcn_pyg.features.plan import Plan
from mlgcn_pyg.features.precision import PRECISIONS
from mlgcn_pyg.features.provenance import provenance
from mlgcn_pyg.features.shards import check_shard
from mlgcn_pyg.features.writer import FeatureWriter
from mlgcn_pyg.typing import FeatureExtractor, LabeledDataset


def extract_features(
    backbone: FeatureExtractor,
    dataset: LabeledDataset,
    path: str | Path,
    *,
    batch_size: int = 32,
    device: str | torch.device = "cpu",
    dtype: str = "float16",
    precision: str = "float32",
    views: int = 1,
    view_transform: Callable[[Any], Tensor] | None = None,
    seed: int = 0,
    num_workers: int = 0,
    on_error: str = "stop",
    shard: tuple[int, int] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    notify: Callable[[str], None] | None = None,
) -> FeatureCache:
    """Writes the backbone's features of every image to a feature file (:mod:`mlgcn_pyg.features.format`).

    The file is called ``<path>.partial`` until it is finished. If the process is killed, the next call verifies the
    batches in that file by their checksums, and computes only the batches that are missing or damaged. The features
    then equal those of an uninterrupted run byte for byte. For this reason, a resumed extraction on a CPU uses as many
    threads as the first call.

    The *content key* is the part of the provenance that determines the features: the backbone and its weights, the
    transform, the data set, and arguments such as ``batch_size``. If a finished file has the same content key, nothing
    is computed.

    New files are computed in the inference form of the backbone if it has one
    (:meth:`mlgcn_pyg.nn.Backbone.inference_form`). It is faster and rounds differently. An unfinished file is completed
    in its own form.

    Under ``torchrun`` or ``accelerate launch``, the processes share the batches, and the first process merges their
    files.

    Args:
        backbone: maps images (B, 3, height, width) to features (B, D), with ``num_features`` = D; used in evaluation
            mode.
        dataset: items ``(image, target, index)``, with ``targets``, ``label_names``, ``ids`` and ``transform``. The
            ``repr`` of the transform is part of the content key.
        path: the feature file, which appears under this name only when it is complete.
        batch_size: B, images per pass. The rounding of a row depends on it, so it is part of the content key.
        device: the device of the backbone. ``"cuda"`` stands for a different GPU in each process.
        dtype: type of the stored features, ``"float16"`` or ``"float32"``.
        precision: precision of the backbone: ``"float32"`` (without TF32), or autocast to ``"bf16"`` or ``"fp16"``.
        views: V, views per image. View 0 is the result of the data set's transform.
        view_transform: random transform of a PIL image to a tensor, for the other views.
        seed: seed of the views. The random numbers of a view depend on the seed, the image's id and the view's number.
        num_workers: worker processes that decode images; 0 decodes in this process.
        on_error: what to do with images that cannot be decoded. ``"stop"`` raises an error that names and counts them.
            ``"skip"`` leaves them out and lists them in ``meta["skipped"]``; to find them, it first decodes all images.
        shard: (i, n) computes only part i of n, with 0 ≤ i < n, for machines without a shared file system. Each part
            consists of consecutive batches. :class:`FeatureCache` opens the n files as one cache.
        overwrite: whether to replace a finished file, whatever its content key. The old file stays until the new file
            is finished.
        progress: a function that is called after each batch with the number of finished images and a description.
        notify: a function that is called with a sentence if the file exists, is resumed, or is damaged, and at the end
            with the speed and where the time went.

    Returns:
        The finished cache.

    Raises:
        InputError: if an argument is invalid.
        InputError: if ``path`` holds a file with a different content key; the error names each field that differs.
        InputError: if ``path`` is in use by another process or cannot be written, or the disk is full.
        InputError: if images cannot be decoded.
        InputError: if ``dtype`` cannot hold a value; the error names the image.
        InputError: if a batch does not fit in the device's memory.

    >>> import tempfile
    >>> from mlgcn_pyg.datasets import Scenes, eval_transform
    >>> from mlgcn_pyg.nn import Backbone
    >>> folder = Path(tempfile.mkdtemp())
    >>> scenes = Scenes(folder / "scenes", 4, transform=eval_transform(64))
    >>> extract_features(Backbone("squeezenet1_1"), scenes, folder / "scenes.h5")
    FeatureCache(4 images, 1 view, 512 features, 16 labels)
    """
    check_choice("on_error", on_error, ("stop", "skip"))
    check_choice("dtype", dtype, DTYPES)
    check_choice("precision", precision, PRECISIONS)
    batch_size, seed = check_positive("batch_size", batch_size), check_count("seed", seed)
    check_count("num_workers", num_workers)
    with Ranks() as ranks:
        device = ranks.device(torch.device(device))
        source = Views(dataset, check_positive("views", views), view_transform, seed)
        wanted = provenance(
            backbone, dataset, batch_size=batch_size, dtype=dtype, precision=precision, views=source.views,
            view_transform=view_transform, seed=seed, shard=check_shard(shard), device=device,
        )  # fmt: skip
        plan = Plan(
            path=Path(path),
            source=source,
            wanted=wanted,
            on_error=on_error,
            overwrite=overwrite,
            num_workers=num_workers,
            progress=progress,
            notify=notify or _ignore,
        )
        # otherwise, pinning memory would allocate memory on the first GPU in every process
        with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            # checked before the backbone is prepared, and before locking, since a finished file may be in a folder that
            # is read-only
            if ranks.share(plan.finished):
                _nothing_to_do(plan, ranks)
            else:
                forms = backbone_forms(backbone, wanted["image_size"], device, ranks)
                plan = replace(plan, wanted=wanted | {"form": list(forms)[-1]})
                _extract(plan, ranks, Computation(forms, source, device, num_workers, progress))
    return FeatureCache(path)


def _ignore(sentence: str) -> None:
    pass


def _nothing_to_do(plan: Plan, ranks: Ranks) -> None:
    if ranks.rank == 0:
        plan.notify(f"{plan.path} already exists with the same content key: nothing to do")


def _extract(plan: Plan, ranks: Ranks, computation: Computation) -> None:
    """Computes the missing batches with all processes."""
    with ExitStack() as lock:

        def begin() -> list[int] | None:
            lock.enter_context(plan.locked())
            return plan.prepare()

        if (missing := ranks.share(begin)) is None:  # another run has finished the file meanwhile
            _nothing_to_do(plan, ranks)
            return
        batches = missing[ranks.rank :: ranks.size]
        if ranks.rank > 0:
            with FeatureWriter(plan.helper_file(ranks.rank), reserve=False) as writer:
                computation.write(writer, batches)
            ranks.barrier()  # all files are complete; the first process merges them
        else:
            with FeatureWriter(plan.partial) as writer:
                computation.write(writer, batches)
                ranks.barrier()  # the files of the other processes are complete
                _merge(plan, writer, sorted(set(missing) - set(batches)))
            if computation.watch.images:
                plan.notify(str(computation.watch))
        ranks.barrier()


def _merge(plan: Plan, writer: FeatureWriter, missing: list[int]) -> None:
    """Merges the files of the other processes and finishes the file."""
    if lost := plan.collect(writer, missing):
        fix = "check that all processes use the same disk, and run again"
        raise InputError("path", "the batches of every process", f"{len(lost)} missing or damaged, {lost[:5]}", fix)
    writer.finish(plan.path)
