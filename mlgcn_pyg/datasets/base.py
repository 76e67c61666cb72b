"""The one protocol of all data sets: image paths, targets, label names; items (image, target, index)."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mlgcn_pyg.checks import bad_input, check_label_names, check_targets
from mlgcn_pyg.datasets.images import read_image


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
    """

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
                raise bad_input(name, f"{len(self.image_paths)} rows, one per image", len(values))

    @property
    def num_labels(self) -> int:
        return len(self.label_names)

    def __len__(self) -> int:
        return len(self.image_paths)

    def image(self, index: int) -> Image.Image:
        """The photograph itself, before any transform."""
        return read_image(self.image_paths[index])

    def __getitem__(self, index: int):
        image = self.image(index)
        return (image if self.transform is None else self.transform(image)), self.targets[index], index

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images, {self.num_labels} labels)"
