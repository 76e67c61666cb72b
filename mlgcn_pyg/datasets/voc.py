"""Pascal VOC 2007, and other data sets in the same layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.datasets.base import LabeledImages
from mlgcn_pyg.datasets.disk_names import DiskNames
from mlgcn_pyg.datasets.names import path_below
from mlgcn_pyg.datasets.published import Counts
from mlgcn_pyg.datasets.sizes import MAX_BYTES
from mlgcn_pyg.datasets.voc_xml import read_annotations
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.text import normal_form

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
# Targets of the marks in label files. 0 marks an image in which all objects of the label are difficult.
MARKS = {"1": 1, "-1": 0, "0": -1}
# Counts of the official label files without difficult objects.
VOC_COUNTS = {
    "trainval": Counts(images=5_011, labelled=5_011, positives=7_306),
    "test": Counts(images=4_952, labelled=4_952, positives=7_013),
}


class VOC2007(LabeledImages):
    """VOC 2007, read from its label files ``ImageSets/Main/<label>_<split>.txt``.

    If a split has no label files, its list ``ImageSets/Main/<split>.txt``, with one image id per line, and the objects
    in ``Annotations/<image id>.xml`` are read instead. Both give the same targets. A label file is accepted as a list
    too: ``split="cat_train"`` opens the images of ``cat_train.txt``.

    The labels are the 20 of VOC, or those in ``labels.txt`` beside the label files, with one name per line. The
    official splits trainval and test have 5,011 and 4,952 images; see :data:`VOC_COUNTS`.

    Args:
        root: the folder that contains ``VOCdevkit/VOC2007``. ``VOCdevkit`` and ``VOC2007`` themselves are accepted too.
        split: name of a split, such as ``"trainval"`` or ``"test"``.
        transform: PIL image → tensor.
        difficult: the target of an image in which all objects of a label are marked difficult. ``"unknown"`` is −1,
            which counts, loss and metrics ignore, as VOC's evaluation does. ``"positive"`` is 1, as in the training
            loss of the released code. Its label graph and its metrics do not count these images as positive.
        max_bytes: a limit on the memory of targets that are read from annotations (N × C bytes).

    Raises:
        InputError: if the folder does not exist; if a label file is missing (the message lists the available splits),
            malformed, or lists different images than the others; or if an annotation is missing or contains an
            unknown label.

    Source: Everingham et al., The PASCAL Visual Object Classes Challenge 2007.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        transform: Callable[..., Any] | None = None,
        *,
        difficult: str = "unknown",
        max_bytes: int = MAX_BYTES,
    ):
        check_choice("difficult", difficult, ("unknown", "positive"))
        folder = find_voc(root)
        label_names = read_label_names(folder)
        ids, targets = read_split(folder, split, label_names, check_positive("max_bytes", max_bytes))
        if difficult == "positive":
            targets = targets.abs()
        disk = DiskNames()
        paths = [disk.find_listed(path_below("root", folder / "JPEGImages", f"{name}.jpg"), name) for name in ids]
        super().__init__(paths, targets, label_names, ids, transform)
        self.split = split


def read_split(
    folder: Path, split: str, label_names: tuple[str, ...], max_bytes: int = MAX_BYTES
) -> tuple[list[str], Tensor]:
    """Reads image ids (N) and targets (N, C) from label files if the split has any, otherwise from annotations."""
    main, disk = folder / "ImageSets" / "Main", DiskNames(normal_form)
    listed = main / f"{split}.txt"
    labelled = any(disk.find(main / f"{name}_{split}.txt").is_file() for name in label_names)
    if labelled or not listed.is_file() or not (folder / "Annotations").is_dir():
        return read_label_files(folder, split, label_names)
    ids = [line.strip() for line in _lines(listed) if line.strip()]
    named_like_label_file = any(split.startswith(f"{name}_") for name in label_names)
    if named_like_label_file and all(line.split()[-1] in MARKS for line in ids):
        ids, _ = _read_label_file(listed)
    if len(set(ids)) != len(ids):
        raise InputError("split", f"each image once in {listed.name}", f"{len(ids) - len(set(ids))} repeated")
    return ids, read_annotations(folder, ids, label_names, max_bytes)


def find_voc(root: str | Path) -> Path:
    """Returns the folder ``VOC2007``, which is ``root`` or one or two levels below it."""
    root = Path(root)
    for folder in (root / "VOCdevkit" / "VOC2007", root / "VOC2007", root):
        if (folder / "ImageSets" / "Main").is_dir():
            return folder
    raise InputError("root", "a folder with VOCdevkit/VOC2007/ImageSets/Main in it", f"none in {root}")


def read_label_names(folder: Path) -> tuple[str, ...]:
    """Returns the names as written in ``ImageSets/Main/labels.txt``, or VOC's 20 if there is no such file."""
    listed = folder / "ImageSets" / "Main" / "labels.txt"
    if not listed.is_file():
        return VOC_LABELS
    return tuple(line.strip() for line in _lines(listed) if normal_form(line))


def _lines(path: Path) -> list[str]:
    try:
        # not splitlines(): it also splits at characters that may be part of a file's name
        return existing_file("root", path).read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError("root", "label files in UTF-8", f"a different encoding in {path}") from error


def read_label_files(folder: Path, split: str, label_names: tuple[str, ...]) -> tuple[list[str], Tensor]:
    """Reads image ids (N) and targets (N, C) of a split from one label file per label."""
    main, disk = folder / "ImageSets" / "Main", DiskNames(normal_form)
    ids: list[str] = []
    columns: list[list[int]] = []
    for name in label_names:
        path = disk.find(main / f"{name}_{split}.txt")
        if not path.is_file():
            known = sorted(file.name[len(name) + 1 : -4] for file in main.glob(f"{name}_*.txt"))
            raise InputError("split", f"one of {', '.join(known) or 'none'} (label files in {main})", f"no {path.name}")
        listed, column = _read_label_file(path)
        if len(set(listed)) != len(listed):
            raise InputError("split", f"each image once in {path.name}", f"{len(listed) - len(set(listed))} repeated")
        if columns and listed != ids:
            found = f"different images in {path.name}"
            raise InputError("split", f"the same images in every label file of {split}", found)
        ids = listed
        columns.append(column)
    return ids, torch.tensor(columns, dtype=torch.int8).reshape(len(label_names), len(ids)).t().contiguous()


def _read_label_file(path: Path) -> tuple[list[str], list[int]]:
    ids: list[str] = []
    column: list[int] = []
    for number, line in enumerate(_lines(path), start=1):
        parts = line.rsplit(maxsplit=1)  # an id may contain blanks
        if not parts:
            continue
        if len(parts) != 2 or parts[1] not in MARKS:
            raise InputError("split", "lines with image id and 1, -1 or 0", f"line {number} of {path}: {line[:60]!r}")
        ids.append(parts[0].strip())
        column.append(MARKS[parts[1]])
    return ids, column
