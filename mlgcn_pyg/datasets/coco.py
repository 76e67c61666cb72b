"""COCO 2014 with its 80 categories as labels."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.datasets.base import LabeledImages
from mlgcn_pyg.datasets.names import inside
from mlgcn_pyg.datasets.published import Counts
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import existing_file

# What the official files hold; 702 and 367 images have no object.
COCO_COUNTS = {
    "train": Counts(images=82_783, labelled=82_081, positives=241_035),
    "val": Counts(images=40_504, labelled=40_137, positives=116_592),
}
# Everything that is read of an annotation file. Polygons, boxes and the like are dropped as soon as they are parsed:
# kept, they would take gigabytes.
KEPT = {"images", "annotations", "categories", "id", "file_name", "image_id", "category_id", "name"}


class COCO2014(LabeledImages):
    r"""COCO 2014 through ``annotations/instances_{train,val}2014.json``.

    .. math:: y_{nc} = 1\ \text{where image n has an annotation, crowds included, of category c, else}\ 0

    Args:
        root: the folder that holds ``annotations``, ``train2014`` and ``val2014``. Photographs are opened when an item
            is asked for.
        split: ``"train"`` or ``"val"``.
        transform: PIL image → tensor.
        keep_empty: also keep the images without any object.

    The labels are the file's categories in alphabetical order, the images are in the order of their ids, and ``ids``
    are those numbers as text. The official files have 82,783 train images, of which 82,081 have an object, and 40,504
    val images, of which 40,137 have one; :data:`COCO_COUNTS` states them and ``mlgcn data coco2014`` checks them.
    Reading the 604,907 annotations of train takes seconds, and a small multiple of the file's size in memory.

    Raises:
        InputError: a file that is missing, cut short or no annotation file; an image or a category listed twice; an
            annotation of an image or a category that is not listed; a photograph's name that leads out of its folder.

    >>> import json, tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> (root / "annotations").mkdir()
    >>> _ = (root / "annotations/instances_val2014.json").write_text(json.dumps({
    ...     "images": [{"id": 9, "file_name": "b.jpg"}, {"id": 4, "file_name": "a.jpg"}],
    ...     "annotations": [{"image_id": 9, "category_id": 18}],
    ...     "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}]}))
    >>> data = COCO2014(root, "val")
    >>> data.label_names, data.ids, data.targets.tolist()
    (('cat', 'dog'), ['9'], [[0, 1]])
    >>> COCO2014(root, "val", keep_empty=True).ids
    ['4', '9']

    Source: Lin et al., Microsoft COCO: Common Objects in Context, https://cocodataset.org/#format-data
    """

    def __init__(self, root: str | Path, split: str, transform: Callable | None = None, *, keep_empty: bool = False):
        check_choice("split", split, COCO_COUNTS)
        root = Path(root)
        files, label_names, targets = read_instances(root / "annotations" / f"instances_{split}2014.json")
        paths = [inside("file_name", root / f"{split}2014", name) for name in files.values()]
        keep = np.arange(len(files)) if keep_empty else np.flatnonzero(targets.any(axis=1))
        ids = list(files)
        super().__init__([paths[n] for n in keep], targets[keep], label_names, [str(ids[n]) for n in keep], transform)
        self.split = split


def read_instances(path: str | Path) -> tuple[dict[int, str], tuple[str, ...], np.ndarray]:
    """Photographs ``{image id: file name}`` sorted by id, label names (C) and targets (N, C) int8 of a COCO file.

    Raises InputError, naming the file, for what :class:`COCO2014` refuses.
    """
    path = existing_file("root", path)
    try:
        content = json.loads(path.read_bytes(), object_hook=_needed)
    except (ValueError, RecursionError) as error:
        fix = "it may be cut short: take it from its archive again"
        raise InputError("root", "a whole JSON file", f"{path} ({first_line(error)})", fix) from error
    try:
        if not isinstance(content, dict):
            raise InputError("root", "an object with images, annotations and categories", type(content).__name__)
        files = dict(sorted(_listed(content, "images", "file_name").items()))
        categories = _listed(content, "categories", "name")
        names = tuple(sorted(categories.values()))
        row = {image: n for n, image in enumerate(files)}
        column = {category: names.index(name) for category, name in categories.items()}
        targets = np.zeros((len(row), len(column)), dtype=np.int8)
        annotations = _list(content, "annotations")
        targets[_places(annotations, "image_id", row), _places(annotations, "category_id", column)] = 1
    except InputError as error:
        raise InputError(f"{error} (in {path})") from error
    return files, names, targets


def _needed(item: dict) -> dict:
    return {key: value for key, value in item.items() if key in KEPT}


def _list(content: dict, what: str) -> list:
    if not isinstance(content.get(what), list):
        raise InputError("root", f"a list {what!r}", "none")
    return content[what]


def _listed(content: dict, what: str, key: str) -> dict[int, str]:
    """``{id: text}`` of the images or categories; neither an id nor a text may come twice."""
    found = {}
    for n, item in enumerate(_list(content, what)):
        number, text = (item.get("id"), item.get(key)) if isinstance(item, dict) else (None, None)
        if not isinstance(number, int) or isinstance(number, bool) or not isinstance(text, str) or not text:
            raise InputError("root", f"{what} with a whole number id and a {key}", f"{item!r:.80} as number {n}")
        if number in found:
            raise InputError("root", f"different ids of {what}", f"{number} twice")
        found[number] = text
    if len(set(found.values())) < len(found):
        raise InputError("root", f"a different {key} in each of the {what}", _repeated(found.values()) + " twice")
    return found


def _repeated(texts: Iterable[str]) -> str:
    seen = set()
    return repr(next(text for text in texts if text in seen or seen.add(text)))


def _places(annotations: list, key: str, place: dict[int, int]) -> list[int]:
    """Where each annotation's image (or category) stands."""
    try:
        return [place[item[key]] for item in annotations]
    except (KeyError, TypeError) as error:  # look again, for the message only
        for n, item in enumerate(annotations):
            value = item.get(key) if isinstance(item, dict) else None
            if not isinstance(value, int) or value not in place:
                found = f"{key} {value!r:.60} in annotation number {n}"
                raise InputError("root", f"annotations whose {key} is listed", found) from error
        raise
