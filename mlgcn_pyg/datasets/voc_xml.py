"""VOC's object annotations, ``Annotations/<image id>.xml``, for copies that lack the label files."""

from pathlib import Path
from xml.etree import ElementTree

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError, first_line


class _NoDoctype(ElementTree.TreeBuilder):
    """Annotations declare no entities; a file that could is refused before one is expanded."""

    def doctype(self, *_) -> None:
        raise ValueError("a document type, which VOC's files do not have")


def read_annotations(folder: Path, ids: list[str], label_names: tuple[str, ...]) -> Tensor:
    """Targets (N, C) int8 of the images ``ids`` from their objects.

    1 where an object of the label is not difficult, −1 where all its objects are difficult, 0 where it has none.

    Raises InputError for a file that is missing, no XML, or names a label that is not in ``label_names``.
    """
    column = {name: c for c, name in enumerate(label_names)}
    targets = torch.zeros(len(ids), len(label_names), dtype=torch.int8)
    for n, name in enumerate(ids):
        path = folder / "Annotations" / f"{name}.xml"
        for label, difficult in read_objects(path):
            if label not in column:
                raise InputError("root", f"objects of the {len(column)} labels", f"{label!r} in {path}")
            here = targets[n, column[label]]
            targets[n, column[label]] = 1 if not difficult or here == 1 else -1
    return targets


def read_objects(path: Path) -> list[tuple[str, bool]]:
    """(label, difficult) of each object in a VOC annotation."""
    try:
        root = ElementTree.fromstring(path.read_bytes(), ElementTree.XMLParser(target=_NoDoctype()))
    except (OSError, ValueError, LookupError, ElementTree.ParseError) as error:
        raise InputError("root", "VOC's annotations of every image", f"{path} ({first_line(error)})") from error
    objects = []
    for item in root.findall("object"):
        label, mark = (item.findtext(key, default, None) for key, default in (("name", ""), ("difficult", "0")))
        if not label.strip() or mark.strip() not in ("0", "1"):
            found = f"name {label!r} and difficult {mark!r} in {path}"
            raise InputError("root", "objects with a name, and difficult 0 or 1", found)
        objects.append((label.strip(), mark.strip() == "1"))
    return objects
