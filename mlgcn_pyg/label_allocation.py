"""Iterative stratification: the allocation of images, or of groups of images, to parts of given sizes."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Units:
    """Groups of images that are not divided, in random order, with the positives of each label.

    The entries of unit u are those from ``first[u]`` to ``first[u + 1]``. Images without labels have the label C.

    Attributes:
        of_image: (N,) the unit of each image.
        sizes: number of images of each unit.
        first: first entry of each unit, and the number of entries.
        labels: label of each entry; the labels of a unit differ.
        counts: number of images of the unit that have the label.
        with_label: for each label, the units that have it. Those with the most images of the label are first, since
            smaller units can compensate for them.
    """

    of_image: npt.NDArray[np.int64]
    sizes: list[int]
    first: list[int]
    labels: list[int]
    counts: list[int]
    with_label: list[npt.NDArray[np.int64]]

    @classmethod
    def of(cls, present: npt.NDArray[np.bool_], unit_of_image: npt.NDArray[np.int64], seed: int) -> "Units":
        """Returns the units of images with the labels ``present`` (N, C).

        Args:
            present: (N, C) which labels the images have.
            unit_of_image: (N,) numbers 0…U−1 of the units.
            seed: seed of the order of the units.
        """
        num_units = int(unit_of_image.max(initial=-1)) + 1
        of_image = np.random.default_rng(seed).permutation(num_units)[unit_of_image]
        num_labels = present.shape[1] + 1
        images, labels = np.nonzero(np.column_stack([present, ~present.any(axis=1)]))
        entries, counts = np.unique(of_image[images] * num_labels + labels, return_counts=True)
        units, labels = np.divmod(entries, num_labels)
        by_label = np.lexsort((-counts, labels))  # keeps the random order of units with equal counts
        ends = np.bincount(labels, minlength=num_labels).cumsum()
        return cls(
            of_image,
            np.bincount(of_image, minlength=num_units).tolist(),
            np.searchsorted(units, np.arange(num_units + 1)).tolist(),
            labels.tolist(),
            counts.tolist(),
            np.split(units[by_label], ends[:-1]),
        )


def allocate(units: Units, sizes: Sequence[int], *, first_trains: bool) -> npt.NDArray[np.int64]:
    """Returns the part (N,) of each image.

    Args:
        units: the images.
        sizes: numbers of images of the parts, which sum to N. Each part differs by less than the largest unit.
        first_trains: if True, the first part is for training and receives a unit of every label where possible. If
            False, each part is left out of training in turn, and the units of a label are in two parts where possible.
    """
    return np.array(_Allocation(units, sizes, first_trains).run(), dtype=np.int64)[units.of_image]


class _Allocation:
    """The state of an allocation.

    Attributes:
        part: the part of each unit, or −1.
        room: number of images that each part can still receive.
        left: for each label, the number of units that are not placed.
        need: for each label and part, N · (N_l · s_j / N − N_lj), an integer, so that equal needs are equal.
        avoid: for each label, the parts, as bits, that must not receive its last unit, since a training set would be
            left without the label.
        lacking: number of labels without a unit in the first part, if it is the training set.
    """

    def __init__(self, units: Units, sizes: Sequence[int], first_trains: bool):
        self.units, self.room, self.total, self.first_trains = units, list(sizes), sum(sizes), first_trains
        self.part = [-1] * len(units.sizes)
        self.left = [len(some) for some in units.with_label]
        positives = np.bincount(units.labels, units.counts, len(self.left)).astype(np.int64).tolist()
        self.need = [[count * size for size in sizes] for count in positives]
        self.everywhere = (1 << len(sizes)) - 1
        if first_trains:  # until the first part has a unit of the label, all others are avoided
            self.avoid = [self.everywhere & ~1] * len(self.left)
            self.still_avoid = [0] + [self.everywhere] * (len(sizes) - 1)
        else:  # as long as all units of the label are in one part, this part is avoided
            self.avoid = [self.everywhere] * len(self.left)
            self.still_avoid = [1 << j for j in range(len(sizes))]
        self.lacking = sum(map(bool, self.left)) if first_trains else 0

    def run(self) -> list[int]:
        rarest = [(count, label) for label, count in enumerate(self.left) if count]
        heapq.heapify(rarest)
        while rarest:
            count, label = heapq.heappop(rarest)
            if count != self.left[label]:  # an entry with the present count is in the heap, or no unit is left
                continue
            touched: set[int] = set()
            for unit in self.units.with_label[label].tolist():
                if self.part[unit] < 0:
                    touched.update(self._place(unit, label))
            for other in touched:
                if self.left[other]:
                    heapq.heappush(rarest, (self.left[other], other))
        return self.part

    def _place(self, unit: int, label: int) -> list[int]:
        """Places a unit in the part with the greatest need of ``label``, and returns the labels of the unit."""
        start, end = self.units.first[unit], self.units.first[unit + 1]
        labels = self.units.labels[start:end]
        parts = self._candidates(unit, labels)
        greatest = max([self.need[label][j] for j in parts])
        neediest = [j for j in parts if self.need[label][j] == greatest]
        best = neediest[0]
        if len(neediest) > 1:
            best = max(neediest, key=lambda j: (sum([self.need[i][j] for i in labels]), self.room[j]))
        self.part[unit] = best
        self.room[best] -= self.units.sizes[unit]
        for i, count in zip(labels, self.units.counts[start:end], strict=True):
            self.left[i] -= 1
            self.need[i][best] -= self.total * count
            if self.avoid[i]:
                self.avoid[i] &= self.still_avoid[best]
                self.lacking -= self.first_trains and not self.avoid[i]
        return labels

    def _candidates(self, unit: int, labels: list[int]) -> list[int]:
        """Returns the parts that may receive a unit.

        A unit that fits in no part goes to the part with the most room: sizes then differ by less than one unit.
        """
        size, parts = self.units.sizes[unit], range(len(self.room))
        fits = [j for j in parts if self.room[j] >= size]
        if not fits:
            return [max(parts, key=lambda j: self.room[j])]
        avoided = 0
        for i in labels:
            if self.left[i] == 1 and self.avoid[i] != self.everywhere:
                avoided |= self.avoid[i]
        if not avoided and self.room[0] - size < self.lacking:  # keep room for the labels that the first part lacks
            avoided = 1
        return [j for j in fits if not avoided >> j & 1] or fits
