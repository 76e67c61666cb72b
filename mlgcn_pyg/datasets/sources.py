"""Addresses of the published data sets, and the archives that are missing in a folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from torchvision.datasets.voc import DATASET_YEAR_DICT

from mlgcn_pyg.datasets.coco import COCO2014
from mlgcn_pyg.datasets.download import Archive
from mlgcn_pyg.datasets.published import missing_images
from mlgcn_pyg.datasets.voc import VOC2007, find_voc
from mlgcn_pyg.errors import InputError

VOC_ARCHIVES = {
    split: Archive(DATASET_YEAR_DICT[key]["url"], DATASET_YEAR_DICT[key]["md5"])
    for split, key in (("trainval", "2007"), ("test", "2007-test"))
}
# No MD5 sums are published for COCO. Files are verified by their checksums in the zip, and the data set by its counts.
COCO_ARCHIVES = {
    "annotations": Archive("http://images.cocodataset.org/annotations/annotations_trainval2014.zip"),
    "train": Archive("http://images.cocodataset.org/zips/train2014.zip"),
    "val": Archive("http://images.cocodataset.org/zips/val2014.zip"),
}


def missing_voc_archives(root: str | Path, splits: Sequence[str]) -> Iterator[Archive]:
    """Yields the archive of each split that lacks a label file or an image."""
    root = Path(root)
    try:
        nested = find_voc(root) == root / "VOCdevkit" / "VOC2007"
    except InputError:
        nested = True  # nothing has been downloaded
    if not nested:
        raise InputError("root", "the folder that contains VOCdevkit", str(root))
    for split in splits:
        try:
            complete = not missing_images(VOC2007(root, split))
        except InputError:
            complete = False
        if not complete:
            yield VOC_ARCHIVES[split]


def missing_coco_archives(root: str | Path, splits: Sequence[str]) -> Iterator[Archive]:
    """Yields the archives with missing annotation files or images.

    Extract each archive before requesting the next.
    """
    root = Path(root)
    if not all((root / "annotations" / f"instances_{split}2014.json").is_file() for split in splits):
        yield COCO_ARCHIVES["annotations"]
    for split in splits:
        if missing_images(COCO2014(root, split, keep_empty=True)):
            yield COCO_ARCHIVES[split]
