"""Annotation files in COCO's form: small ones by hand, and one of the real file's size."""

import json
from pathlib import Path

import numpy as np

TRAIN = {"num_images": 82_783, "num_empty": 702, "num_annotations": 604_907}  # instances_train2014.json: 332 MB


def write_instances(root: Path, split: str, images, annotations, categories) -> Path:
    """``images`` {id: file name}, ``annotations`` [(image id, category id)], ``categories`` {id: name}."""
    path = root / "annotations" / f"instances_{split}2014.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "info": {"description": "made for a test"},
        "images": [{"id": n, "file_name": name, "height": 8, "width": 8} for n, name in images.items()],
        "annotations": [
            {"id": n, "image_id": i, "category_id": c, "bbox": [0, 0, 4, 4], "segmentation": [[0, 0, 4.5, 0, 4, 4]]}
            for n, (i, c) in enumerate(annotations)
        ],
        "categories": [{"id": n, "name": name, "supercategory": "thing"} for n, name in categories.items()],
    }
    path.write_text(json.dumps(content))
    return path


def write_large(root: Path, num_images: int, num_empty: int, num_annotations: int, seed: int = 0) -> np.ndarray:
    """A train file with polygons as long as COCO's, and the targets (N, 80) it must be read as, images by id."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(600_000, num_images, replace=False)
    rows = np.concatenate([np.arange(num_images - num_empty), rng.integers(0, num_images - num_empty, num_annotations)])
    rows, columns = rows[:num_annotations], rng.integers(0, 80, num_annotations)
    category_ids = np.sort(rng.choice(np.arange(1, 91), 80, replace=False))
    names = [f"label {n:02d}" for n in rng.permutation(80)]  # ids and alphabet disagree
    polygons = [json.dumps(rng.uniform(0, 640, 2 * n).round(2).tolist()) for n in rng.integers(5, 50, 500)]
    path = root / "annotations" / "instances_train2014.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"info": {"year": 2014}, "images": [')
        file.write(", ".join(_image(n) for n in ids.tolist()))
        file.write('], "annotations": [')
        for n, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
            file.write(
                f'{", " if n else ""}{{"segmentation": [{polygons[n % 500]}], "area": {n}.5, "iscrowd": 0, "image_id": '
                f'{ids[row]}, "bbox": [1.5, 2.25, 30.0, 40.0], "category_id": {category_ids[column]}, "id": {n}}}'
            )
        file.write('], "categories": ')
        file.write(json.dumps([{"id": int(c), "name": n} for c, n in zip(category_ids, names, strict=True)]) + "}")
    targets = np.zeros((num_images, 80), dtype=np.int8)
    alphabetical = np.argsort(np.argsort(names))
    targets[rows, alphabetical[columns]] = 1
    return targets[np.argsort(ids)]


def _image(n: int) -> str:
    name = f"COCO_train2014_{n:012d}.jpg"
    url = f"http://images.cocodataset.org/train2014/{name}"
    return f'{{"license": 5, "file_name": "{name}", "coco_url": "{url}", "height": 480, "width": 640, "id": {n}}}'
