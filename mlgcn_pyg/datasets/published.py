"""What a published data set must hold, and what is missing from a copy of it."""

from typing import NamedTuple

from mlgcn_pyg.datasets.base import LabeledImages


class Counts(NamedTuple):
    """Images in all, images with at least one label, and labels present over all images."""

    images: int
    labelled: int
    positives: int


def counts_of(data: LabeledImages) -> Counts:
    """The :class:`Counts` of a data set, from its targets alone.

    >>> counts_of(LabeledImages(["a.jpg", "b.jpg"], [[1, 1, 0], [0, 0, -1]], "xyz"))
    Counts(images=2, labelled=1, positives=2)
    """
    present = data.targets == 1
    return Counts(len(data), int(present.any(dim=1).sum()), int(present.sum()))


def missing_images(data: LabeledImages) -> dict[str, str]:
    """``{id: path}`` of the photographs that are no files; nothing is opened."""
    return {name: str(path) for name, path in zip(data.ids, data.image_paths, strict=True) if not path.is_file()}


def problems(data: LabeledImages, expected: Counts) -> list[str]:
    """One sentence for each way in which ``data``, opened with its images without labels, is not as published."""
    found, missing = counts_of(data), missing_images(data)
    told = [
        f"{getattr(found, name):,} {what}, {getattr(expected, name):,} expected"
        for name, what in (("images", "images"), ("labelled", "images with labels"), ("positives", "labels present"))
        if getattr(found, name) != getattr(expected, name)
    ]
    if missing:
        told.append(f"{len(missing):,} photographs missing, the first is {next(iter(missing.values()))}")
    return told
