"""Label statistics of a data set, computed from its targets. No image is opened."""

from dataclasses import dataclass

import torch

from mlgcn_pyg.checks import check_count
from mlgcn_pyg.datasets.base import LabeledImages


@dataclass(frozen=True)
class LabelStatistics:
    """Statistics of the targets of N images and C labels.

    Attributes:
        num_images: N.
        num_labels: C.
        labels_per_image: mean number of present labels per image.
        images_by_labels: {number of labels: number of images with that many labels}.
        num_unknown: number of targets that are −1.
        positives: {label: number of images with the label}, in label order.
        rare: {label: number of images} of labels in 1 to ``rare_below`` − 1 images, in ascending order of the number.
        rare_below: the exclusive upper bound of ``rare``.
        without_positives: labels that no image has.
    """

    num_images: int
    num_labels: int
    labels_per_image: float
    images_by_labels: dict[int, int]
    num_unknown: int
    positives: dict[str, int]
    rare: dict[str, int]
    rare_below: int
    without_positives: tuple[str, ...]


def label_statistics(data: LabeledImages, rare_below: int = 10) -> LabelStatistics:
    """Returns the :class:`LabelStatistics` of a data set. Labels in fewer than ``rare_below`` images are rare.

    >>> data = LabeledImages(["a.jpg", "b.jpg"], [[1, 1, 0], [1, 0, -1]], ["cat", "dog", "emu"])
    >>> statistics = label_statistics(data, rare_below=2)
    >>> statistics.labels_per_image, statistics.images_by_labels, statistics.rare, statistics.without_positives
    (1.5, {1: 1, 2: 1}, {'dog': 1}, ('emu',))
    """
    check_count("rare_below", rare_below)
    present = data.targets == 1
    per_image = present.sum(dim=1)
    positives = dict(zip(data.label_names, present.sum(dim=0).tolist(), strict=True))
    rare = {name: count for name, count in positives.items() if 0 < count < rare_below}
    return LabelStatistics(
        num_images=len(data),
        num_labels=data.num_labels,
        labels_per_image=float(per_image.double().mean()) if len(data) else 0.0,
        images_by_labels={k: n for k, n in enumerate(torch.bincount(per_image).tolist()) if n},
        num_unknown=int((data.targets == -1).sum()),
        positives=positives,
        rare=dict(sorted(rare.items(), key=lambda item: item[1])),
        rare_below=rare_below,
        without_positives=tuple(name for name, count in positives.items() if not count),
    )
