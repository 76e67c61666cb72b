"""Label statistics of the parts of a divided data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlgcn_pyg.datasets.sizes import Targets


@dataclass(frozen=True)
class PartStatistics:
    """Statistics of one part of a data set.

    Attributes:
        num_images: number of its images.
        labels_per_image: mean number of present labels per image.
        num_without_labels: number of its images without any label.
        share_deviation: mean over the labels of the absolute difference between the fraction of images with the label
            in the part and in the data set.
        positives: {label: number of images in the part}, in label order.
        without_positives: labels that have images, but none in the part.
    """

    num_images: int
    labels_per_image: float
    num_without_labels: int
    share_deviation: float
    positives: dict[str, int]
    without_positives: tuple[str, ...]


def part_statistics(
    targets: Targets, label_names: Sequence[str], parts: Mapping[str, npt.NDArray[np.int64]]
) -> dict[str, PartStatistics]:
    """Returns the statistics of each part.

    Args:
        targets: (N, C) of all images.
        label_names: C names.
        parts: the indices of the images of each part, by name.

    >>> targets = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, -1, 0]], dtype=np.int8)
    >>> part = part_statistics(targets, ["cat", "dog", "emu"], {"val": np.array([1, 2])})["val"]
    >>> part.num_images, part.positives, part.without_positives, part.num_without_labels
    (2, {'cat': 1, 'dog': 0, 'emu': 0}, ('dog',), 1)
    """
    counts = (targets == 1).sum(axis=0)
    return {name: _statistics(targets[rows] == 1, label_names, counts, len(targets)) for name, rows in parts.items()}


def _statistics(
    present: npt.NDArray[np.bool_], label_names: Sequence[str], counts: npt.NDArray[np.int64], num_images: int
) -> PartStatistics:
    positives = present.sum(axis=0)
    return PartStatistics(
        num_images=len(present),
        labels_per_image=float(positives.sum() / len(present)),
        num_without_labels=int((~present.any(axis=1)).sum()),
        share_deviation=float(np.abs(positives / len(present) - counts / num_images).mean()),
        positives=dict(zip(label_names, positives.tolist(), strict=True)),
        without_positives=tuple(label_names[k] for k in np.flatnonzero((counts > 0) & (positives == 0)).tolist()),
    )
