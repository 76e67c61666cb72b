"""Published counts of data sets, and the differences of a local copy from them."""

from typing import NamedTuple

from mlgcn_pyg.datasets.base import LabeledImages


class Counts(NamedTuple):
    """The size of a data set.

    Attributes:
        images: number of images.
        labelled: number of images with at least one label.
        positives: total number of present labels.
    """

    images: int
    labelled: int
    positives: int


def counts_of(data: LabeledImages) -> Counts:
    """Returns the :class:`Counts` of a data set, computed from its targets.

    >>> counts_of(LabeledImages(["a.jpg", "b.jpg"], [[1, 1, 0], [0, 0, -1]], "xyz"))
    Counts(images=2, labelled=1, positives=2)
    """
    present = data.targets == 1
    return Counts(len(data), int(present.any(dim=1).sum()), int(present.sum()))


def missing_images(data: LabeledImages) -> dict[str, str]:
    """Returns ``{id: path}`` of the image files that do not exist. No file is opened."""
    return {name: str(path) for name, path in zip(data.ids, data.image_paths, strict=True) if not path.is_file()}


def problems(data: LabeledImages, expected: Counts) -> list[str]:
    """Returns one message for each difference between a data set and its published counts.

    Args:
        data: the data set, including its images without labels.
        expected: the published counts.
    """
    counts, missing = counts_of(data), missing_images(data)
    sentences = [
        f"{getattr(counts, name):,} {what}, {getattr(expected, name):,} expected"
        for name, what in (("images", "images"), ("labelled", "images with labels"), ("positives", "labels present"))
        if getattr(counts, name) != getattr(expected, name)
    ]
    if missing:
        sentences.append(f"images missing: {len(missing):,} (first: {next(iter(missing.values()))})")
    return sentences
