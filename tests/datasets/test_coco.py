"""COCO 2014 from small files written by hand, and from one of the real size."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlgcn_pyg.datasets import COCO, COCO2014, COCO_COUNTS, eval_transform
from mlgcn_pyg.errors import InputError
from tests.datasets.coco_files import TRAIN, write_instances, write_large

CATEGORIES = {1: "person", 3: "car", 18: "dog"}


def small(root, images=None, annotations=((7, 18), (3, 1), (7, 1), (7, 1)), categories=None, split="val"):
    images = {7: "b.jpg", 3: "a.jpg", 5: "c.jpg"} if images is None else images
    return write_instances(root, split, images, annotations, categories or CATEGORIES)


def test_labels_are_alphabetical_and_images_in_the_order_of_their_ids(tmp_path):
    small(tmp_path)
    data = COCO2014(tmp_path, "val")
    assert data.label_names == ("car", "dog", "person") and data.ids == ["3", "7"]
    assert data.targets.tolist() == [[0, 0, 1], [0, 1, 1]]
    assert data.image_paths == [tmp_path / "val2014/a.jpg", tmp_path / "val2014/b.jpg"]


def test_images_without_objects_are_kept_on_request(tmp_path):
    small(tmp_path)
    data = COCO2014(tmp_path, "val", keep_empty=True)
    assert data.ids == ["3", "5", "7"] and data.targets.tolist() == [[0, 0, 1], [0, 0, 0], [0, 1, 1]]


def test_items_are_image_target_index(tmp_path):
    small(tmp_path)
    (tmp_path / "val2014").mkdir()
    Image.new("RGB", (9, 5), "red").save(tmp_path / "val2014/b.jpg")
    image, target, index = COCO2014(tmp_path, "val", eval_transform(32))[1]
    assert image.shape == (3, 32, 32) and target.tolist() == [0, 1, 1] and index == 1


def test_no_image_and_no_annotation(tmp_path):
    small(tmp_path, images={}, annotations=())
    assert COCO2014(tmp_path, "val").targets.shape == (0, 3)
    small(tmp_path, annotations=())
    assert len(COCO2014(tmp_path, "val")) == 0 and len(COCO2014(tmp_path, "val", keep_empty=True)) == 3


def test_the_published_counts_are_those_of_the_ground_truth(coco_targets):
    """The real annotation files are not available here, but their targets are."""
    for split, empty in (("train", 702), ("val", 367)):
        targets = coco_targets[f"{split}_y"]
        assert COCO_COUNTS[split] == (len(targets) + empty, targets.any(axis=1).sum(), targets.sum())


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c["images"].append(dict(c["images"][0], file_name="d.jpg")), "unique ids of images, found 7 twice"),
        (lambda c: c["images"].append({"id": 99, "file_name": "b.jpg"}), "a unique file_name .*'b.jpg' twice"),
        (
            lambda c: c["annotations"][2].update(category_id=4),
            "a listed category_id, found category_id 4 in .*number 2",
        ),
        (
            lambda c: c["annotations"][1].update(image_id=8),
            "a listed image_id, found image_id 8 in annotation number 1",
        ),
        (
            lambda c: c["annotations"][1].pop("image_id"),
            "a listed image_id, found image_id None in annotation number 1",
        ),
        (lambda c: c["annotations"].append(5), "found image_id None in annotation number 4"),
        (lambda c: c["annotations"][0].update(image_id=[7]), r"found image_id \[7\] in annotation number 0"),
        (lambda c: c["categories"].append({"id": 18, "name": "cat"}), "unique ids of categories, found 18 twice"),
        (
            lambda c: c["categories"].append({"id": 19, "name": "dog"}),
            "a unique name for each of the categories, found 'dog' twice",
        ),
        (lambda c: c["images"][0].update(id="7"), "images with an integer id and a file_name, found"),
        (lambda c: c["images"][0].pop("file_name"), "images with an integer id and a file_name, found"),
        (lambda c: c.pop("categories"), "a list 'categories', found none"),
        (lambda c: c.update(images={}), "a list 'images', found none"),
    ],
)
def test_files_that_contradict_themselves_are_refused_by_name(tmp_path, change, message):
    path = small(tmp_path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"root: expected .*{message}.*instances_val2014.json"):
        COCO2014(tmp_path, "val")


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../a.jpg", "x/../../a.jpg", "..\\a.jpg", "C:\\a.jpg", "C:a.jpg", "a\0.jpg", ".", "\ud83d"]
)
def test_a_file_name_outside_its_folder_is_refused(tmp_path, name):
    small(tmp_path, images={7: "b.jpg", 3: name})
    with pytest.raises(InputError, match="root: expected (a file below .*val2014|text that can be encoded in UTF-8)"):
        COCO2014(tmp_path, "val")


def test_an_annotation_file_cut_short_anywhere_is_refused(tmp_path):
    path = small(tmp_path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(
            InputError, match="root: expected a complete JSON file, found .*instances_val2014.json .*truncated"
        ):
            COCO2014(tmp_path, "val")


@pytest.mark.parametrize("content", [b"\xff\xfe\xff", b"[" * 200_000, b"[1, 2]", b'"x"', b"null", b"7"])
def test_other_files_are_refused(tmp_path, content):
    small(tmp_path).write_bytes(content)
    with pytest.raises(InputError, match="root: expected"):
        COCO2014(tmp_path, "val")


def test_annotations_of_any_name_and_year(tmp_path):
    path = small(tmp_path)
    for name in ("instances_train2017.json", "_annotations.coco.json"):
        path.rename(tmp_path / name)
        data = COCO(tmp_path / name, tmp_path / "photos", keep_empty=True)
        assert data.ids == ["3", "5", "7"] and data.image_paths[0] == tmp_path / "photos/a.jpg"
        path = tmp_path / name
    small(tmp_path, images={7: "../b.jpg"}, annotations=())
    with pytest.raises(InputError, match="image_root: expected a file below .*photos"):
        COCO(tmp_path / "annotations/instances_val2014.json", tmp_path / "photos")
    with pytest.raises(InputError, match="annotations: expected a file that exists"):
        COCO(tmp_path / "absent.json", tmp_path)


def test_categories_have_their_normal_form(tmp_path):
    small(tmp_path, categories={1: " cat ", 3: "cafe\u0301", 18: "traffic\u00a0 light"}, annotations=[(3, 1), (7, 18)])
    data = COCO2014(tmp_path, "val")
    assert data.label_names == ("caf\u00e9", "cat", "traffic light") and data.targets.tolist() == [[0, 1, 0], [0, 0, 1]]
    small(tmp_path, categories={1: "\u200b"}, annotations=())
    with pytest.raises(InputError, match="categories with an integer id and a name"):
        COCO2014(tmp_path, "val")


def test_many_categories_take_linear_time_and_targets_of_absurd_size_are_refused(tmp_path):
    categories = {n: f"category {n}" for n in range(60_000)}
    small(tmp_path, categories=categories, annotations=[(7, 59_999)])
    start = time.perf_counter()
    data = COCO2014(tmp_path, "val")
    assert time.perf_counter() - start < 10 and data.num_labels == 60_000  # a search per category takes a minute
    assert data.label_names[data.targets[0].argmax()] == "category 59999"
    path = small(tmp_path, {n: f"{n}.jpg" for n in range(80_000)}, [(7, 59_999)], categories)
    too_large = (
        r"expected targets of at most {}, found 80,000 images × 60,000 labels \(4.5 GiB\) in .*max_bytes=4800000000"
    )
    with pytest.raises(InputError, match="root: " + too_large.format("4.0 GiB")):
        COCO2014(tmp_path, "val")
    with pytest.raises(InputError, match="annotations: " + too_large.format("100.0 MiB")):
        COCO(path, tmp_path, max_bytes=100 << 20)


def test_special_files_in_place_of_annotations_are_refused(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(InputError, match="annotations: expected a regular file, found the pipe"):
        COCO(tmp_path / "a.json", tmp_path)


def test_missing_files_and_splits(tmp_path):
    with pytest.raises(InputError, match="root: expected a file that exists, found no file .*instances_train2014.json"):
        COCO2014(tmp_path, "train")
    with pytest.raises(InputError, match="split: expected one of train, val, found 'test'"):
        COCO2014(tmp_path, "test")


READ = """
import resource, sys, time
import numpy as np
from mlgcn_pyg.datasets import COCO2014
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
before, start = peak(), time.process_time()
data = COCO2014(sys.argv[1], "train", keep_empty=True)
assert (data.targets.numpy() == np.load(sys.argv[1] + "/targets.npy")).all()
print(time.process_time() - start, peak() - before, peak())
"""


def test_a_file_of_the_real_size_needs_less_than_a_minute_and_four_gibibytes(tmp_path):
    targets = write_large(tmp_path, **TRAIN)
    path = tmp_path / "annotations/instances_train2014.json"
    assert targets.any(axis=1).sum() == COCO_COUNTS["train"].labelled and path.stat().st_size > 330e6
    np.save(tmp_path / "targets.npy", targets)
    words = [sys.executable, "-W", "ignore", "-c", READ, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    path.unlink()
    assert done.returncode == 0, done.stderr
    seconds, grown, peak = map(float, done.stdout.split())
    assert seconds < 60 and grown < 1.5 and peak < 4
