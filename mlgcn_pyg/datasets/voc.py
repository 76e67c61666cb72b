"""Pascal VOC 2007, and any data set that is laid out like it."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.datasets.base import LabeledImages
from mlgcn_pyg.datasets.names import inside
from mlgcn_pyg.datasets.published import Counts
from mlgcn_pyg.datasets.voc_xml import read_annotations
from mlgcn_pyg.errors import InputError

VOC_LABELS = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
# The files' marks, and what they are as targets: 0 marks an image whose only objects of the label are difficult.
MARKS = {"1": 1, "-1": 0, "0": -1}
# What the official label files hold, difficult objects left out.
VOC_COUNTS = {
    "trainval": Counts(images=5_011, labelled=5_011, positives=7_306),
    "test": Counts(images=4_952, labelled=4_952, positives=7_013),
}


class VOC2007(LabeledImages):
    """VOC 2007 through its label files ``ImageSets/Main/<label>_<split>.txt``.

    Where a split has none of them, its list ``ImageSets/Main/<split>.txt`` and the objects in
    ``Annotations/<image id>.xml`` are read instead; both give the same targets.

    Args:
        root: the folder that holds ``VOCdevkit/VOC2007``; ``VOCdevkit`` or ``VOC2007`` itself is understood too.
        split: any split whose label files exist: ``"trainval"``, ``"test"``, …
        transform: PIL image → tensor.
        difficult: what an image is whose only objects of a label are marked difficult: ``"unknown"`` (−1: it leaves
            counts, loss and metrics, as in VOC's own evaluation) or ``"positive"`` (1, as the released code counted
            it in its training loss, though neither in its label graph nor in its metrics).

    The label names are VOC's 20 unless a ``labels.txt`` (one name a line) lies beside the label files. The official
    trainval has 5,011 images, test 4,952; :data:`VOC_COUNTS` states them and ``mlgcn data voc2007`` checks them.

    Raises:
        InputError: no such folder; a label file missing (the splits that exist are listed), malformed, or listing
            other images than its neighbours; an annotation that is missing or names another label.

    Source: Everingham et al., The PASCAL Visual Object Classes Challenge 2007.
    """

    def __init__(self, root: str | Path, split: str, transform: Callable | None = None, *, difficult: str = "unknown"):
        check_choice("difficult", difficult, ("unknown", "positive"))
        folder = find_voc(root)
        label_names = read_label_names(folder)
        ids, targets = read_split(folder, split, label_names)
        if difficult == "positive":
            targets = targets.abs()
        paths = [inside("image id", folder / "JPEGImages", f"{name}.jpg") for name in ids]
        super().__init__(paths, targets, label_names, ids, transform)
        self.split = split


def read_split(folder: Path, split: str, label_names: tuple[str, ...]) -> tuple[list[str], Tensor]:
    """Image ids (N) and targets (N, C), from label files where the split has any, else from annotations."""
    main = folder / "ImageSets" / "Main"
    listed = main / f"{split}.txt"
    labelled = any((main / f"{name}_{split}.txt").is_file() for name in label_names)
    if labelled or not listed.is_file() or not (folder / "Annotations").is_dir():
        return read_label_files(folder, split, label_names)
    ids = [line.split()[0] for line in _lines(listed) if line.strip()]
    if len(set(ids)) != len(ids):
        raise InputError("split", f"each image once in {listed.name}", f"{len(ids) - len(set(ids))} repeated")
    return ids, read_annotations(folder, ids, label_names)


def find_voc(root: str | Path) -> Path:
    """The ``VOC2007`` folder at, in, or two levels below ``root``."""
    root = Path(root)
    for folder in (root / "VOCdevkit" / "VOC2007", root / "VOC2007", root):
        if (folder / "ImageSets" / "Main").is_dir():
            return folder
    raise InputError("root", "a folder with VOCdevkit/VOC2007/ImageSets/Main in it", f"{root} without it")


def read_label_names(folder: Path) -> tuple[str, ...]:
    """The names in ``ImageSets/Main/labels.txt``, or VOC's 20."""
    listed = folder / "ImageSets" / "Main" / "labels.txt"
    if not listed.is_file():
        return VOC_LABELS
    return tuple(line.strip() for line in _lines(listed) if line.strip())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError("root", "label files in UTF-8", f"other bytes in {path}") from error


def read_label_files(folder: Path, split: str, label_names: tuple[str, ...]) -> tuple[list[str], Tensor]:
    """Image ids (N) and targets (N, C) of a split, one label file per column."""
    main = folder / "ImageSets" / "Main"
    ids, columns = [], []
    for name in label_names:
        path = main / f"{name}_{split}.txt"
        if not path.is_file():
            known = sorted(file.name[len(name) + 1 : -4] for file in main.glob(f"{name}_*.txt"))
            raise InputError("split", f"one of {', '.join(known) or 'none'} (label files in {main})", f"no {path.name}")
        named, column = _read_label_file(path)
        if len(set(named)) != len(named):
            raise InputError("split", f"each image once in {path.name}", f"{len(named) - len(set(named))} repeated")
        if columns and named != ids:
            raise InputError("split", f"the same images in every label file of {split}", f"others in {path.name}")
        ids = named
        columns.append(column)
    return ids, torch.tensor(columns, dtype=torch.int8).reshape(len(label_names), len(ids)).t().contiguous()


def _read_label_file(path: Path) -> tuple[list[str], list[int]]:
    ids, column = [], []
    for number, line in enumerate(_lines(path), start=1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 2 or parts[1] not in MARKS:
            raise InputError("split", "lines of an image id and 1, -1 or 0", f"line {number} of {path}: {line[:60]!r}")
        ids.append(parts[0])
        column.append(MARKS[parts[1]])
    return ids, column
