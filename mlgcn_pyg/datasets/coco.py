"""COCO 2014 with its 80 categories as labels, and any data set with annotations in COCO's format."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.datasets.base import LabeledImages
from mlgcn_pyg.datasets.disk_names import DiskNames
from mlgcn_pyg.datasets.label_text import normal_labels
from mlgcn_pyg.datasets.names import path_below
from mlgcn_pyg.datasets.published import Counts
from mlgcn_pyg.datasets.sizes import MAX_BYTES, Targets, zero_targets
from mlgcn_pyg.errors import InputError, first_line, renamed_arguments
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.text import normal_form

# Counts of the official files. 702 train images and 367 val images have no object.
COCO_COUNTS = {
    "train": Counts(images=82_783, labelled=82_081, positives=241_035),
    "val": Counts(images=40_504, labelled=40_137, positives=116_592),
}
# Keys of an annotation file that are kept. Polygons and boxes would take gigabytes, so they are dropped during
# parsing.
KEPT = {"images", "annotations", "categories", "id", "file_name", "image_id", "category_id", "name"}


class COCO(LabeledImages):
    r"""Images with annotations in COCO's format, such as ``instances_train2017.json``.

    .. math:: y_{nc} = 1\ \text{if image n has an annotation of category c, crowds included, else}\ 0

    The labels are the file's categories in alphabetical order. The images are sorted by their COCO ids, and ``ids``
    contains these numbers as strings.

    Args:
        annotations: the annotation file.
        image_root: the folder that the file names are relative to. An image is opened when its item is requested.
        transform: PIL image → tensor.
        keep_empty: if True, keeps images without objects.
        max_bytes: a limit on the memory of the targets (N × C bytes).

    Raises:
        InputError: if the annotation file is missing, truncated or in a different format; if an image or a category is
            listed twice; if an annotation refers to an image or a category that is not listed; if a file name is
            outside ``image_root``; or if the targets are larger than ``max_bytes``.

    >>> import json, tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> _ = (root / "instances.json").write_text(json.dumps({
    ...     "images": [{"id": 9, "file_name": "b.jpg"}, {"id": 4, "file_name": "a.jpg"}],
    ...     "annotations": [{"image_id": 9, "category_id": 18}],
    ...     "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}]}))
    >>> data = COCO(root / "instances.json", root)
    >>> data.label_names, data.ids, data.targets.tolist()
    (('cat', 'dog'), ['9'], [[0, 1]])
    >>> COCO(root / "instances.json", root, keep_empty=True).ids
    ['4', '9']

    Source: Lin et al., Microsoft COCO: Common Objects in Context, https://cocodataset.org/#format-data
    """

    def __init__(
        self,
        annotations: str | Path,
        image_root: str | Path,
        transform: Callable[..., Any] | None = None,
        *,
        keep_empty: bool = False,
        max_bytes: int = MAX_BYTES,
    ):
        with renamed_arguments(path="annotations"):
            files, label_names, targets = read_instances(annotations, check_positive("max_bytes", max_bytes))
        folder, disk = Path(image_root), DiskNames()
        paths = [disk.find_listed(path_below("image_root", folder, name), name) for name in files.values()]
        keep = np.arange(len(files)) if keep_empty else np.flatnonzero(targets.any(axis=1))
        ids = list(files)
        super().__init__([paths[n] for n in keep], targets[keep], label_names, [str(ids[n]) for n in keep], transform)


class COCO2014(COCO):
    """COCO 2014, read from ``annotations/instances_{train,val}2014.json``; see :class:`COCO`.

    The official files have 82,783 train images, of which 82,081 have an object, and 40,504 val images, of which 40,137
    have an object; see :data:`COCO_COUNTS`. Reading the 604,907 annotations of train takes seconds, and needs
    a few times the size of the file in memory.

    Args:
        root: the folder that contains ``annotations``, ``train2014`` and ``val2014``.
        split: ``"train"`` or ``"val"``.
        transform: PIL image → tensor.
        keep_empty: if True, keeps images without objects.
        max_bytes: a limit on the memory of the targets (N × C bytes).

    Raises:
        InputError: see :class:`COCO`.

    Source: Lin et al., Microsoft COCO: Common Objects in Context, https://cocodataset.org/#format-data
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        transform: Callable[..., Any] | None = None,
        *,
        keep_empty: bool = False,
        max_bytes: int = MAX_BYTES,
    ):
        check_choice("split", split, COCO_COUNTS)
        name = f"{split}2014"
        with renamed_arguments(annotations="root", image_root="root"):
            images = Path(root) / name
            super().__init__(annotations_of(root, name), images, transform, keep_empty=keep_empty, max_bytes=max_bytes)
        self.split = split


def annotations_of(root: str | Path, name: str) -> Path:
    """Returns the path of the annotations of the images in ``root / name`` in COCO's folders.

    >>> annotations_of("coco", "val2017").as_posix()
    'coco/annotations/instances_val2017.json'
    """
    return Path(root) / "annotations" / f"instances_{name}.json"


def read_instances(path: str | Path, max_bytes: int = MAX_BYTES) -> tuple[dict[int, str], tuple[str, ...], Targets]:
    """Reads a COCO annotation file.

    Args:
        path: the file.
        max_bytes: a limit on the memory of the targets.

    Returns:
        The file names of N images by image id, in ascending order of the ids; the C label names; targets (N, C).

    Raises:
        InputError: see :class:`COCO`.
    """
    path = existing_file("path", path)
    try:
        content = json.loads(path.read_bytes(), object_hook=_read_keys)
    except (ValueError, RecursionError) as error:
        fix = "it may be truncated; extract it from its archive again"
        raise InputError("path", "a complete JSON file", f"{path} ({first_line(error)})", fix) from error
    try:
        if not isinstance(content, dict):
            raise InputError("path", "an object with images, annotations and categories", type(content).__name__)
        files = dict(sorted(_named_entries(content, "images", "file_name").items()))
        categories = _named_entries(content, "categories", "name")
        forms = normal_labels(categories.values())
        names = tuple(sorted(set(forms.values())))
        position = {name: c for c, name in enumerate(names)}
        row = {image: n for n, image in enumerate(files)}
        column = {category: position[forms[name]] for category, name in categories.items()}
        targets = zero_targets("path", len(row), len(names), max_bytes)
        annotations = _list(content, "annotations")
        targets[_positions(annotations, "image_id", row), _positions(annotations, "category_id", column)] = 1
    except InputError as error:
        raise InputError(error.argument, error.expected, f"{error.found} in {path}", error.fix) from error
    return files, names, targets


def _read_keys(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key in KEPT}


def _list(content: dict[str, Any], key: str) -> list[Any]:
    value = content.get(key)
    if not isinstance(value, list):
        raise InputError("path", f"a list {key!r}", "none")
    return value


def _named_entries(content: dict[str, Any], key: str, name_key: str) -> dict[int, str]:
    """Returns ``{id: name}`` of the images or categories. Raises an InputError unless ids and names are unique."""
    names: dict[int, str] = {}
    for n, item in enumerate(_list(content, key)):
        number, name = (item.get("id"), item.get(name_key)) if isinstance(item, dict) else (None, None)
        if (
            not isinstance(number, int)
            or isinstance(number, bool)
            or not isinstance(name, str)
            or not normal_form(name)
        ):
            raise InputError("path", f"{key} with an integer id and a {name_key}", f"{item!r:.80} as entry {n}")
        if number in names:
            raise InputError("path", f"unique ids of {key}", f"{number} twice")
        names[number] = name
    if len(set(names.values())) < len(names):
        repeated = next(name for name, count in Counter(names.values()).items() if count > 1)
        raise InputError("path", f"a unique {name_key} for each of the {key}", f"{repeated!r} twice")
    return names


def _positions(annotations: list[Any], key: str, position: dict[int, int]) -> list[int]:
    """Returns the row (column) of the image (category) of each annotation."""
    try:
        return [position[item[key]] for item in annotations]
    except (KeyError, TypeError) as error:  # find the invalid annotation for the message
        for n, item in enumerate(annotations):
            value = item.get(key) if isinstance(item, dict) else None
            if not isinstance(value, int) or value not in position:
                found = f"{key} {value!r:.60} in annotation number {n}"
                raise InputError("path", f"annotations with a listed {key}", found) from error
        raise
