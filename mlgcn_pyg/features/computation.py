"""Computes the features of batches and writes them."""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.features.forms import form_of
from mlgcn_pyg.features.loading import Progress, Views, image_batches
from mlgcn_pyg.features.precision import precision_of
from mlgcn_pyg.features.writer import FeatureWriter, storable
from mlgcn_pyg.typing import FeatureExtractor


@dataclass
class Stopwatch:
    """The seconds of each stage of an extraction in this process.

    With worker processes, ``decode`` is the time that is spent waiting for their images.
    """

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("decode", "backbone", "write"), 0.0))
    images: int = 0
    last: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        """Adds the time since the last call to a stage."""
        now = time.perf_counter()
        self.seconds[stage] += now - self.last
        self.last = now

    def __str__(self) -> str:
        total = sum(self.seconds.values()) or 1.0
        shares = ", ".join(f"{stage} {100 * seconds / total:.0f} %" for stage, seconds in self.seconds.items())
        return f"{self.images} images in {total:.1f} s, {self.images / total:.1f} images/s: {shares}"


@dataclass(frozen=True)
class Computation:
    """The computation of batches. The fields are arguments of :func:`~mlgcn_pyg.features.extract_features`.

    Attributes:
        forms: the forms of the backbone, by name.
        watch: measures where the time goes.
    """

    forms: Mapping[str, FeatureExtractor]
    source: Views
    device: torch.device
    num_workers: int
    progress: Progress | None
    watch: Stopwatch = field(default_factory=Stopwatch)

    def write(self, writer: FeatureWriter, batches: Sequence[int]) -> None:
        """Computes and writes batches, in the form, the precision and with the threads that the file records."""
        contents = writer.contents
        row_of = {name: row for row, name in enumerate(self.source.dataset.ids)}
        ids = [contents.ids[slice(*contents.rows(batch))] for batch in batches]
        finished = len(contents.ids) - sum(map(len, ids))
        rows = [[row_of[name] for name in names] for names in ids]
        threads = torch.get_num_threads()
        try:
            torch.set_num_threads(contents.meta.get("threads") or threads)  # affects the rounding
            computed = self._features(self.forms[form_of(contents.meta)], rows, contents.meta["precision"])
            for batch, names, features in zip(batches, ids, computed, strict=True):
                writer.write_batch(batch, storable(features, contents.dtype.name, names))
                self.watch.lap("write")
                self.watch.images += len(names)
                finished += len(names)
                if self.progress:
                    self.progress(finished, "extracting")
        finally:
            torch.set_num_threads(threads)

    @torch.inference_mode()
    def _features(self, backbone: FeatureExtractor, rows: Sequence[Sequence[int]], precision: str) -> Iterator[Tensor]:
        """Yields (B, V, D) on the CPU for each list of rows.

        A GPU computes a batch while the features of the batch before it are written.
        """
        training, pinned = backbone.training, self.device.type == "cuda"
        backbone.eval()
        count, ahead = 0, int(pinned)
        computing: deque[Tensor] = deque()
        self.watch.last = time.perf_counter()
        try:
            for images in image_batches(self.source, rows, self.num_workers, pinned, self.progress):
                self.watch.lap("decode")
                count = len(images)
                images = images.to(self.device, non_blocking=True)
                with precision_of(self.device, precision):
                    views = [backbone(view) for view in images.unbind(1)]
                computing.append(torch.stack(views, dim=1).float())
                if len(computing) > ahead:
                    yield self._computed(computing)
            while computing:
                yield self._computed(computing)
        except torch.OutOfMemoryError as error:
            fix = ("pass a smaller ", Argument("batch_size"))
            raise InputError("batch_size", "images that fit in the device's memory", count, fix) from error
        finally:
            backbone.train(training)

    def _computed(self, computing: deque[Tensor]) -> Tensor:
        features = computing.popleft().cpu()
        self.watch.lap("backbone")
        return features
