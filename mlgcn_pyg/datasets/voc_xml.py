"""Reads VOC's object annotations, ``Annotations/<image id>.xml``, for copies without label files."""

from pathlib import Path
from xml.etree.ElementTree import ParseError

import torch
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from torch import Tensor

from mlgcn_pyg.datasets.disk_names import DiskNames
from mlgcn_pyg.datasets.sizes import MAX_BYTES, zero_targets
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.text import normal_form


def read_annotations(folder: Path, ids: list[str], label_names: tuple[str, ...], max_bytes: int = MAX_BYTES) -> Tensor:
    """Reads the targets of images from their object annotations.

    Args:
        folder: the folder ``VOC2007``.
        ids: the N image ids.
        label_names: the C labels.
        max_bytes: a limit on the memory of the targets.

    Returns:
        Targets (N, C) int8: 1 if an object of the label is not difficult, −1 if all its objects are difficult, 0 if
        there is none.

    Raises:
        InputError: if a file is missing, is not XML, or contains a label that is not in ``label_names``.
    """
    column = {normal_form(name): c for c, name in enumerate(label_names)}
    disk = DiskNames()
    targets = torch.from_numpy(zero_targets("root", len(ids), len(label_names), max_bytes))
    for n, name in enumerate(ids):
        path = disk.find_listed(folder / "Annotations" / f"{name}.xml", name)
        for label, difficult in read_objects(path):
            if label not in column:
                raise InputError("root", f"objects of the {len(column)} labels", f"{label!r} in {path}")
            c = column[label]
            targets[n, c] = 1 if not difficult or targets[n, c] == 1 else -1
    return targets


def read_objects(path: Path) -> list[tuple[str, bool]]:
    """Reads (label, difficult) of each object in a VOC annotation.

    A document type declaration is refused, because its entities could expand without limit.
    """
    try:
        path = existing_file("root", path)
    except InputError as error:
        raise InputError("root", "VOC annotations of every image", error.found) from error
    try:
        root = fromstring(path.read_bytes(), forbid_dtd=True)
    except (OSError, ValueError, LookupError, ParseError, DefusedXmlException) as error:
        raise InputError("root", "VOC annotations of every image", f"{path} ({first_line(error)})") from error
    objects = []
    for item in root.findall("object"):
        label, mark = item.findtext("name", ""), item.findtext("difficult", "0")
        if not normal_form(label) or mark.strip() not in ("0", "1"):
            found = f"name {label!r} and difficult {mark!r} in {path}"
            raise InputError("root", "objects with a name, and difficult 0 or 1", found)
        objects.append((normal_form(label), mark.strip() == "1"))
    return objects
