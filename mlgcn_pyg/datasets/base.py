"""The one protocol of all data sets: image paths, targets, label names; items (image, target, index)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mlgcn_pyg.checks import check_count, check_label_names, check_targets
from mlgcn_pyg.datasets.images import read_image
from mlgcn_pyg.datasets.transforms import seeded
from mlgcn_pyg.errors import InputError


class LabeledImages(Dataset):
    """Photographs with known labels.

    Args:
        image_paths: N files. They are opened when an item is asked for: a label graph needs no photographs.
        targets: (N, C) in {1, 0, -1}: present, absent, difficult or unknown.
        label_names: C names.
        ids: N different strings that name the images; the file names without folder and ending by default.
        transform: PIL image → anything, usually a tensor (see :mod:`mlgcn_pyg.datasets.transforms`).

    Items:
        ``(transform(image), target (C,) int8, index)``; ImageError for a file that does not decode.

    Random transforms draw from the global generators unless :attr:`seed` is set. Then what is drawn for item k depends
    on (seed, epoch, k) alone: not on the order of the items, the number of workers or processes, or an interruption.
    Give ``data.seed = 0`` before a DataLoader starts its workers, and ``data.epoch = epoch`` before each pass: both
    lie in shared memory, so that workers which persist from pass to pass see the new epoch.

    >>> data = LabeledImages(["a.jpg"], [[1, 0]], ["cat", "dog"])
    >>> data.seed, data.epoch = 0, 3
    >>> data, data.seed, data.epoch
    (LabeledImages(1 images, 2 labels), 0, 3)
    """

    _seed_and_epoch: Tensor | None = None  # (2,) int64 in shared memory

    def __init__(
        self,
        image_paths: Sequence[str | Path],
        targets,
        label_names: Sequence[str],
        ids: Sequence[str] | None = None,
        transform: Callable | None = None,
    ):
        self.image_paths = [Path(path) for path in image_paths]
        self.targets: Tensor = check_targets("targets", targets)
        self.label_names = check_label_names(label_names, self.targets.size(1))
        self.ids = [path.stem for path in self.image_paths] if ids is None else list(ids)
        self.transform = transform
        for name, values in (("targets", self.targets), ("ids", self.ids)):
            if len(values) != len(self.image_paths):
                raise InputError(name, f"{len(self.image_paths)} rows, one per image", len(values))

    @property
    def num_labels(self) -> int:
        return len(self.label_names)

    def __len__(self) -> int:
        return len(self.image_paths)

    def image(self, index: int) -> Image.Image:
        """The photograph itself, before any transform."""
        return read_image(self.image_paths[index])

    def __getitem__(self, index: int):
        index = range(len(self))[index]  # −1 is the last, N an IndexError
        image = self.image(index)
        return self._transformed(image, index), self.targets[index], index

    def _transformed(self, image, index: int):
        if self.transform is None:
            return image
        if self._seed_and_epoch is None:
            return self.transform(image)
        return seeded(self.transform, image, *self._seed_and_epoch.tolist(), index)

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        if self._seed_and_epoch is not None:
            self._seed_and_epoch.share_memory_()  # a deep or unpickled copy is private; a worker's is shared already

    @property
    def seed(self) -> int | None:
        """Where the random draws of the transform start, an integer ≥ 0; None: from the global generators."""
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
        """Which pass over the data, or which view of it, the draws are for; 0 at first. It needs a :attr:`seed`."""
        return 0 if self._seed_and_epoch is None else int(self._seed_and_epoch[1])

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        if self._seed_and_epoch is None:
            raise InputError("epoch", "a data set with a seed", "none", fix="set data.seed first")
        self._seed_and_epoch[1] = check_count("epoch", epoch)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images, {self.num_labels} labels)"
