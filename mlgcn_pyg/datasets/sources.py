"""Where the published data sets come from, and which of their archives a folder still needs."""

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
# No MD5 sums are published for COCO's: each file's checksum in the zip stands in, and the counts afterwards.
COCO_ARCHIVES = {
    "annotations": Archive("http://images.cocodataset.org/annotations/annotations_trainval2014.zip"),
    "train": Archive("http://images.cocodataset.org/zips/train2014.zip"),
    "val": Archive("http://images.cocodataset.org/zips/val2014.zip"),
}


def missing_voc_archives(root: str | Path, splits: Sequence[str]) -> Iterator[Archive]:
    """The archives of the splits whose label files or photographs are not all there."""
    root = Path(root)
    try:
        nested = find_voc(root) == root / "VOCdevkit" / "VOC2007"
    except InputError:
        nested = True  # nothing there yet
    if not nested:
        raise InputError("root", "the folder above VOCdevkit, into which the archives go", str(root))
    for split in splits:
        try:
            complete = not missing_images(VOC2007(root, split))
        except InputError:
            complete = False
        if not complete:
            yield VOC_ARCHIVES[split]


def missing_coco_archives(root: str | Path, splits: Sequence[str]) -> Iterator[Archive]:
    """The archives with annotation files or photographs that are not there; extract each before asking for the next."""
    root = Path(root)
    if not all((root / "annotations" / f"instances_{split}2014.json").is_file() for split in splits):
        yield COCO_ARCHIVES["annotations"]
    for split in splits:
        if missing_images(COCO2014(root, split, keep_empty=True)):
            yield COCO_ARCHIVES[split]
