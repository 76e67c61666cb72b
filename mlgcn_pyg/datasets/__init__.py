"""Data sets of images with labels, and their transforms."""

from mlgcn_pyg.datasets.base import LabeledImages
from mlgcn_pyg.datasets.coco import COCO, COCO2014, COCO_COUNTS
from mlgcn_pyg.datasets.images import ImageError, read_image
from mlgcn_pyg.datasets.scenes import Scenes
from mlgcn_pyg.datasets.table import TableDataset
from mlgcn_pyg.datasets.transforms import MultiScaleCrop, apply_seeded, eval_transform, train_transform
from mlgcn_pyg.datasets.voc import VOC2007, VOC_COUNTS, VOC_LABELS
from mlgcn_pyg.stratification import stratified_folds, stratified_split

__all__ = [
    "COCO",
    "COCO2014",
    "COCO_COUNTS",
    "VOC2007",
    "VOC_COUNTS",
    "VOC_LABELS",
    "ImageError",
    "LabeledImages",
    "MultiScaleCrop",
    "Scenes",
    "TableDataset",
    "apply_seeded",
    "eval_transform",
    "read_image",
    "stratified_folds",
    "stratified_split",
    "train_transform",
]
