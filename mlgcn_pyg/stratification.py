"""Stratified splits and folds of images with several labels."""

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mlgcn_pyg.checks import check_count, check_positive, check_targets
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.label_allocation import Units, allocate
from mlgcn_pyg.values import real_number, shown

Indices = npt.NDArray[np.int64]


def stratified_split(
    targets: Any, sizes: Sequence[float], *, groups: Iterable[Hashable] | None = None, seed: int = 0
) -> tuple[Indices, ...]:
    """Divides N images into parts in which each label has about the same share of images.

    The parts are filled by iterative stratification: the label l with the fewest images that are not placed yet is
    taken first, and each of these images goes to the part j with the greatest need

        n_lj = N_l · s_j / N − N_lj

    where N_l of N images have the label, N_lj of these are in part j, and s_j is the size of part j. Equal needs are
    decided by the sum of the needs of all labels of the image. Images without any label are treated as images with a
    further label. In contrast to the published algorithm, the parts have exactly the requested sizes, and the first
    part, which is the one for training, receives an image of every label if it has at least C + 1 images.

    Args:
        targets: (N, C) with values 1 (present), 0 (absent) and −1 (unknown). Unknown labels count as absent.
        sizes: size of each part: fractions that sum to 1, or numbers of images that sum to N. Fractions of N are
            rounded to whole images.
        groups: N values, such as photographers or patients. Images with equal values are in the same part. None is
            a group of one image. Each size then differs from the requested one by less than the largest group.
        seed: seed of the random order of the images. The same arguments give the same parts.

    Returns:
        For each part, the ascending indices of its images.

    Raises:
        InputError: if targets, sizes or groups are invalid, or if a part receives no image.

    Source: Sechidis, Tsoumakas, Vlahavas, *On the Stratification of Multi-label Data*, ECML PKDD 2011,
    https://doi.org/10.1007/978-3-642-23808-6_10

    >>> train, val = stratified_split([[1, 0], [1, 0], [1, 0], [1, 0], [0, 1]], (0.6, 0.4))
    >>> len(train), len(val), 4 in train
    (3, 2, True)
    """
    present = _present(targets)
    whole = _whole_sizes(sizes, len(present))
    units = Units.of(present, _unit_of_image(groups, len(present)), check_count("seed", seed))
    return _parts("sizes", allocate(units, whole, first_trains=True), whole)


def stratified_folds(
    targets: Any, num_folds: int, *, groups: Iterable[Hashable] | None = None, seed: int = 0
) -> tuple[Indices, ...]:
    """Divides N images into folds of equal size in which each label has about the same number of images.

    The method is that of :func:`stratified_split`. The training images of fold k are those of all other folds. The
    images of a label are in at least two folds where possible, so that every label has training images.

    Args:
        targets: (N, C) with values 1 (present), 0 (absent) and −1 (unknown). Unknown labels count as absent.
        num_folds: number of folds, from 2 to the number of images or groups.
        groups: N values. Images with equal values are in the same fold. None is a group of one image.
        seed: seed of the random order of the images. The same arguments give the same folds.

    Returns:
        For each fold, the ascending indices of its images. Without groups, the sizes differ by at most 1.

    Raises:
        InputError: if an argument is invalid.

    >>> folds = stratified_folds([[1, 0], [1, 0], [0, 1], [0, 1]], 2)
    >>> [len(fold) for fold in folds], [len(set(fold) & {0, 1}) for fold in folds]
    ([2, 2], [1, 1])
    """
    present = _present(targets)
    unit_of_image = _unit_of_image(groups, len(present))
    most, things = int(unit_of_image.max(initial=-1)) + 1, "images" if groups is None else "groups"
    if check_positive("num_folds", num_folds) == 1 or num_folds > most:
        raise InputError("num_folds", f"at least 2 and at most the number of {things}, {most:,}", num_folds)
    quotient, remainder = divmod(len(present), num_folds)
    sizes = [quotient + (fold < remainder) for fold in range(num_folds)]
    units = Units.of(present, unit_of_image, check_count("seed", seed))
    return _parts("num_folds", allocate(units, sizes, first_trains=False), sizes)


def _present(targets: Any) -> npt.NDArray[np.bool_]:
    present: npt.NDArray[np.bool_] = (check_targets("targets", targets) == 1).cpu().numpy()
    return present


def _whole_sizes(sizes: Sequence[float], num_images: int) -> list[int]:
    """Returns sizes as numbers of images. The largest remainders of fractions are rounded up."""
    numbers = [real_number(size) for size in sizes] if isinstance(sizes, Iterable) else []
    if len(numbers) < 2 or any(number is None or not 0 <= number < math.inf for number in numbers):
        raise InputError("sizes", "two or more numbers ≥ 0", shown(sizes))
    exact = np.array(numbers, dtype=np.float64)
    if exact.sum() == num_images and (exact == exact.round()).all():
        return [int(size) for size in exact]
    if abs(exact.sum() - 1) > 1e-6:
        expected = f"fractions that sum to 1, or numbers of images that sum to {num_images:,}"
        raise InputError("sizes", expected, f"{shown(sizes)}, which sum to {exact.sum():g}")
    exact *= num_images
    whole = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: num_images - whole.sum()]] += 1
    return [int(size) for size in whole]


def _unit_of_image(groups: Iterable[Hashable] | None, num_images: int) -> Indices:
    """Returns the number of each image's group, counted from 0 in the order of occurrence."""
    if groups is None:
        return np.arange(num_images)
    try:
        values = list(groups.tolist() if hasattr(groups, "tolist") else groups)
        # an object is a key that equals no other, and stands for a group of one image
        keys = [object() if value is None else value for value in values]
        numbers: dict[Hashable, int] = {}
        units = [numbers.setdefault(key, len(numbers)) for key in keys]
    except TypeError as error:
        raise InputError("groups", "one text or number for each image", shown(groups)) from error
    if len(units) != num_images:
        raise InputError("groups", f"{num_images:,} values, one per image", f"{len(units):,}")
    return np.array(units, dtype=np.int64)


def _parts(argument: str, part_of_image: Indices, sizes: Sequence[int]) -> tuple[Indices, ...]:
    """Returns the images of each part. An empty part raises an error: it is too small for an image, or for a group."""
    parts = tuple(np.flatnonzero(part_of_image == part) for part in range(len(sizes)))
    for part, (images, size) in enumerate(zip(parts, sizes, strict=True)):
        if not len(images):
            found = f"none in part {part}, which has room for {size:,} of {sum(sizes):,} images"
            raise InputError(argument, "at least one image in every part", found)
    return parts
