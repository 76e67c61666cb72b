"""From photographs to a feature file, whatever interrupts it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mlgcn_pyg.checks import check_choice, check_count, check_positive
from mlgcn_pyg.distributed import Ranks
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import format
from mlgcn_pyg.features.cache import FeatureCache
from mlgcn_pyg.features.loading import ImageBatchError, Views, broken_error, broken_images, image_batches
from mlgcn_pyg.features.plan import Plan, check_shard
from mlgcn_pyg.features.provenance import provenance
from mlgcn_pyg.features.writer import FeatureWriter, storable

PRECISIONS = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def extract_features(
    backbone: torch.nn.Module,
    dataset: Dataset,
    path: str | Path,
    *,
    batch_size: int = 32,
    device: str | torch.device = "cpu",
    dtype: str = "float16",
    precision: str = "float32",
    views: int = 1,
    view_transform: Callable | None = None,
    seed: int = 0,
    num_workers: int = 0,
    on_error: str = "stop",
    shard: tuple[int, int] | None = None,
    overwrite: bool = False,
    progress: Callable[[int, str], None] | None = None,
    notify: Callable[[str], None] | None = None,
) -> FeatureCache:
    """Writes the backbone's features of every image to a feature file (:mod:`mlgcn_pyg.features.format`).

    Killed at any moment and run again, it goes on with the batches that are not proven good by their checksums, and
    the features are byte for byte those of an uninterrupted run (on a CPU with the number of threads that began it,
    whatever torch's is now). Until it is finished the file is called ``<path>.partial``. A finished file of the same
    content key is left as it is. In a ``torchrun`` or ``accelerate launch`` the processes share the batches out
    between them and the first one puts them together.

    Args:
        backbone: images (B, 3, height, width) → features (B, D), with ``num_features`` = D; put in evaluation mode.
        dataset: items ``(image, target, index)``, with ``targets``, ``label_names``, ``ids`` and ``transform``, which
            is told from another transform by its ``repr``.
        path: the file. It appears under this name only when it is complete.
        batch_size: images per pass. Rows depend on it in their last bits, so that it belongs to the content key.
        device: where the backbone runs; ``"cuda"`` is each process's own GPU.
        dtype: ``"float16"`` or ``"float32"`` in the file.
        precision: of the backbone's arithmetic: ``"float32"`` (on CUDA without TF32 in convolutions), or autocast to
            ``"bf16"`` or ``"fp16"``.
        views: V per image. View 0 is the data set's own transform.
        view_transform: PIL image → tensor, random; it makes the other views.
        seed: of the views, with the image's id and the view's number.
        num_workers: processes that decode images.
        on_error: what to do where images do not decode: ``"stop"`` with an error that names and counts them, or
            ``"skip"`` them and list them in ``meta["skipped"]`` (every image is decoded once more to find them first).
        shard: (i, n): only the i-th of n runs of batches, i from 0, for machines that share nothing but the result;
            :class:`FeatureCache` opens the n files as one.
        overwrite: replace a file of another content key; the old one stays until the new one is finished.
        progress: called after each batch with the number of finished images and what is being done to them.
        notify: called with a sentence when there is something to tell: nothing to do, going on, damage found.

    Returns:
        The finished :class:`FeatureCache`.

    Raises:
        InputError: a file of other content under ``path`` (each field that differs is named), another process at
            work on it, images that do not decode, values that ``dtype`` cannot hold (the image is named), a full
            disk, a batch too large for a GPU, bad arguments.
    """
    check_choice("on_error", on_error, ("stop", "skip"))
    check_choice("dtype", dtype, format.DTYPES)
    check_choice("precision", precision, PRECISIONS)
    batch_size, seed = check_positive("batch_size", batch_size), check_count("seed", seed)
    check_count("num_workers", num_workers)
    with Ranks() as ranks:
        device = _own_device(torch.device(device), ranks)
        source = Views(dataset, check_positive("views", views), view_transform, seed)
        wanted = provenance(
            backbone, dataset, batch_size=batch_size, dtype=dtype, precision=precision, views=source.views,
            view_transform=view_transform, seed=seed, shard=check_shard(shard), device=device,
        )  # fmt: skip
        plan = Plan(
            Path(path), source, wanted, on_error, overwrite, num_workers, progress, notify or (lambda text: None)
        )
        compute = partial(_compute, backbone, source, device, num_workers, progress)
        # else every process would also take memory of the first GPU, to pin the host's
        with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            (_lead if ranks.rank == 0 else _help)(plan, ranks, compute)
    return FeatureCache(path)


def _own_device(device: torch.device, ranks: Ranks) -> torch.device:
    """``"cuda"`` is each process's own GPU."""
    if device != torch.device("cuda"):
        return device
    if ranks.local_rank >= (count := torch.cuda.device_count()):
        found = f"{count} GPUs for process {ranks.local_rank} of this machine, counted from 0"
        raise InputError("device", "a GPU for every process", found, "start fewer processes, or give device='cpu'")
    return torch.device("cuda", ranks.local_rank)


def _lead(plan: Plan, ranks: Ranks, compute: Callable) -> None:
    """The first process: decides what is to be done, does its share, and puts everybody's together."""
    nothing = f"{plan.path} is there already, with the same content key: nothing to do"
    if ranks.share(plan.finished):  # also where nothing can be written
        return plan.notify(nothing)
    with ExitStack() as held:

        def begin() -> list[int] | None:
            held.enter_context(plan.locked())
            return plan.prepare()

        missing = ranks.share(begin)
        if missing is None:  # another process finished it just now
            return plan.notify(nothing)
        with FeatureWriter(plan.partial) as writer:
            ours = missing[:: ranks.size]
            compute(writer, ours)
            ranks.barrier()
            left = plan.collect(writer, sorted(set(missing) - set(ours)))
            assert not left, left
            writer.finish(plan.path)
        ranks.barrier()


def _help(plan: Plan, ranks: Ranks, compute: Callable) -> None:
    """The others: their share of the batches, into a file of their own beside the first one's."""
    if ranks.share(None) or (missing := ranks.share(None)) is None:
        return
    with FeatureWriter(plan.helper_file(ranks.rank), reserve=False) as writer:
        compute(writer, missing[ranks.rank :: ranks.size])
    ranks.barrier()  # our rows are there,
    ranks.barrier()  # and now they are where they belong


def _compute(backbone, source: Views, device, num_workers, progress, writer: FeatureWriter, batches: list[int]) -> None:
    """Computes and writes batches."""
    contents, dataset = writer.contents, source.dataset
    number = {name: row for row, name in enumerate(dataset.ids)}
    runs = [contents.ids[slice(*contents.rows(batch))] for batch in batches]
    finished = len(contents.ids) - sum(map(len, runs))
    items = [[number[name] for name in names] for names in runs]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(contents.meta.get("threads") or threads)  # last bits depend on it
        features = _features(backbone, source, items, device, contents.meta["precision"], num_workers)
        for batch, names, rows in zip(batches, runs, features, strict=True):
            writer.write(batch, storable(rows, contents.dtype.name, names))
            finished += len(names)
            if progress:
                progress(finished, "extracting")
    except ImageBatchError as error:
        raise broken_error(dataset, broken_images(dataset, num_workers, progress)) from error
    finally:
        torch.set_num_threads(threads)


@torch.inference_mode()
def _features(
    backbone, source: Views, items, device: torch.device, precision: str, num_workers: int
) -> Iterator[Tensor]:
    """Yields (B, V, D) for each list of items, with the backbone in evaluation mode."""
    training = backbone.training
    backbone.to(device).eval()
    try:
        for images in image_batches(source, items, num_workers, pin_memory=device.type == "cuda"):
            images = images.to(device, non_blocking=True)
            with _arithmetic(device, precision):
                views = [backbone(view) for view in images.unbind(1)]
            yield torch.stack(views, dim=1).float()
    except torch.OutOfMemoryError as error:
        fix = "give a smaller batch_size (--batch-size)"
        raise InputError("batch_size", "images that fit the device's memory", len(images), fix) from error
    finally:
        backbone.train(training)


@contextmanager
def _arithmetic(device: torch.device, precision: str) -> Iterator[None]:
    """A batch computed again is the same to the bit: no trials which kernel is faster; and no TF32, torch's default."""
    cudnn, half = torch.backends.cudnn, PRECISIONS[precision]
    with (
        cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False),
        torch.autocast(device.type, half, enabled=half is not None),
    ):
        yield
