"""What is in the photographs: data sets of images with labels, and their transforms."""

from mlgcn_pyg.datasets.base import LabeledImages
from mlgcn_pyg.datasets.images import ImageError, read_image
from mlgcn_pyg.datasets.scenes import Scenes
from mlgcn_pyg.datasets.table import Table
from mlgcn_pyg.datasets.transforms import MultiScaleCrop, eval_transform, train_transform
from mlgcn_pyg.datasets.voc import VOC2007, VOC_LABELS

__all__ = [
    "VOC2007",
    "VOC_LABELS",
    "ImageError",
    "LabeledImages",
    "MultiScaleCrop",
    "Scenes",
    "Table",
    "eval_transform",
    "read_image",
    "train_transform",
]
