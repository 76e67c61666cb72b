"""The base class of all data sets: image files, targets and label names."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mlgcn_pyg.checks import check_count, check_targets
from mlgcn_pyg.datasets.images import read_image
from mlgcn_pyg.datasets.transforms import apply_seeded
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.labels import normal_label_names


class LabeledImages(Dataset[tuple[Any, Tensor, int]]):
    """Image files with known labels. Items are ``(transform(image), target (C,) int8, index)``.

    Random transforms use the global generators unless :attr:`seed` is set. With a seed, the draws of item k depend
    only on (seed, epoch, k). They do not depend on the order of the items, the number of workers or processes, or
    interruptions. Set ``data.seed = 0`` before a DataLoader starts its workers, and ``data.epoch = epoch`` before each
    pass. Both are in shared memory, so persistent workers see the new epoch.

    Args:
        image_paths: N files. A file is opened when its item is requested. Building a label graph opens no image.
        targets: (N, C) with values 1 (present), 0 (absent) and −1 (difficult or unknown).
        label_names: C names.
        ids: N unique strings that identify the images; default: the file names without folder and extension.
        transform: converts a PIL image, usually to a tensor (see :mod:`mlgcn_pyg.datasets.transforms`).

    Attributes:
        seed: seed of the transform's random draws, or None.
        epoch: the current pass over the data.

    Raises:
        InputError: if the lengths differ, or targets or label names are invalid.
        ImageError: if the file of a requested item cannot be decoded.

    >>> data = LabeledImages(["a.jpg"], [[1, 0]], ["cat", "dog"])
    >>> data.seed, data.epoch = 0, 3
    >>> data, data.seed, data.epoch
    (LabeledImages(1 images, 2 labels), 0, 3)
    """

    _seed_and_epoch: Tensor | None = None  # (2,) int64 in shared memory

    def __init__(
        self,
        image_paths: Sequence[str | Path],
        targets: Tensor | npt.ArrayLike,
        label_names: Sequence[str],
        ids: Sequence[str] | None = None,
        transform: Callable[..., Any] | None = None,
    ):
        self.image_paths = [Path(path) for path in image_paths]
        self.targets: Tensor = check_targets("targets", targets)
        self.label_names = normal_label_names(label_names, self.targets.size(1))
        self.ids = [path.stem for path in self.image_paths] if ids is None else list(ids)
        self.transform = transform
        for name, count in (("targets", len(self.targets)), ("ids", len(self.ids))):
            if count != len(self.image_paths):
                raise InputError(name, f"{len(self.image_paths)} rows, one per image", count)

    @property
    def num_labels(self) -> int:
        """The number of labels C."""
        return len(self.label_names)

    def __len__(self) -> int:
        return len(self.image_paths)

    def image(self, index: int) -> Image.Image:
        """Returns the image of an item as RGB, before any transform."""
        return read_image(self.image_paths[index])

    def __getitem__(self, index: int) -> tuple[Any, Tensor, int]:
        index = range(len(self))[index]  # −1 is the last item, and N raises an IndexError
        return self._transformed(self.image(index), index), self.targets[index], index

    def _transformed(self, image: Image.Image, index: int) -> Any:
        if self.transform is None:
            return image
        if self._seed_and_epoch is None:
            return self.transform(image)
        return apply_seeded(self.transform, image, *self._seed_and_epoch.tolist(), index)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._seed_and_epoch is not None:
            self._seed_and_epoch.share_memory_()  # a deep copy is not in shared memory; in a worker this has no effect

    @property
    def seed(self) -> int | None:
        """Seed ≥ 0 of the transform's random draws, or None to use the global generators."""
        return None if self._seed_and_epoch is None else int(self._seed_and_epoch[0])

    @seed.setter
    def seed(self, seed: int | None) -> None:
        if seed is None:
            self._seed_and_epoch = None
        elif self._seed_and_epoch is None:
            self._seed_and_epoch = torch.tensor([check_count("seed", seed), 0]).share_memory_()
        else:
            self._seed_and_epoch[0] = check_count("seed", seed)

    @property
    def epoch(self) -> int:
        """Number of the pass over the data or of the augmented view; default: 0. Setting it requires :attr:`seed`."""
        return 0 if self._seed_and_epoch is None else int(self._seed_and_epoch[1])

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        if self._seed_and_epoch is None:
            raise InputError("epoch", "a data set with a seed", "none", fix="set data.seed first")
        self._seed_and_epoch[1] = check_count("epoch", epoch)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images, {self.num_labels} labels)"
