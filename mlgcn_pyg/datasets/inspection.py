"""Label statistics of a data set, computed from its targets. No image is opened."""

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256

import torch

from mlgcn_pyg.checks import check_count
from mlgcn_pyg.datasets.base import LabeledImages
from mlgcn_pyg.text import look_alikes


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
        look_alike: groups of labels that differ only in case, spacing or Unicode form.
        same_targets: groups of labels that no image tells apart: at least one image has them, and their targets are
            equal in every image.
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
    look_alike: tuple[tuple[str, ...], ...]
    same_targets: tuple[tuple[str, ...], ...]


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
        look_alike=look_alikes(data.label_names),
        same_targets=_same_targets(data, {name for name, count in positives.items() if count}),
    )


def _same_targets(data: LabeledImages, names: Collection[str]) -> tuple[tuple[str, ...], ...]:
    groups: dict[str, list[str]] = {}
    for name, column in zip(data.label_names, data.targets.t(), strict=True):
        if name in names:
            groups.setdefault(sha256(column.contiguous().numpy().tobytes()).hexdigest(), []).append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
