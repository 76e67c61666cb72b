import os

import numpy as np
import pytest
import torch
from PIL import Image

from mlgcn_pyg.datasets import VOC2007, VOC_COUNTS, VOC_LABELS, eval_transform
from mlgcn_pyg.datasets.published import counts_of
from mlgcn_pyg.errors import InputError

MAIN = "VOCdevkit/VOC2007/ImageSets/Main"


def write_voc(root, lines, names=("cat", "dog"), split="train"):
    main = root / MAIN
    main.mkdir(parents=True, exist_ok=True)
    (main / "labels.txt").write_text("\n".join(names))
    for name in names:
        (main / f"{name}_{split}.txt").write_text(lines[name])


def test_the_real_splits_have_the_published_sizes(shared):
    root = shared / "voc2007"
    trainval, test = VOC2007(root, "trainval"), VOC2007(root, "test")
    assert (len(trainval), len(test)) == (5011, 4952) and trainval.label_names == VOC_LABELS
    assert (trainval.targets == 1).sum().item() / 5011 == pytest.approx(1.458, abs=5e-4)


def test_items_are_image_target_index(shared):
    data = VOC2007(shared / "voc2007", "sample_test", eval_transform(64))
    image, target, index = data[7]
    assert image.shape == (3, 64, 64) and image.dtype == torch.float32
    assert torch.equal(target, data.targets[7]) and index == 7 and len(data) == 120


def test_root_may_be_the_parent_vocdevkit_or_voc2007(shared):
    root = shared / "voc2007"
    for folder in (root, root / "VOCdevkit", root / "VOCdevkit" / "VOC2007"):
        assert len(VOC2007(folder, "sample_test")) == 120


def test_marks_are_present_absent_and_difficult(tmp_path):
    write_voc(tmp_path, {"cat": "a  1\nb -1\nc  0\n", "dog": "a -1\nb  0\nc  1\n"})
    data = VOC2007(tmp_path, "train")
    assert data.targets.tolist() == [[1, 0], [0, -1], [-1, 1]] and data.ids == ["a", "b", "c"]


def test_images_are_not_needed_for_labels_and_named_if_missing(tmp_path):
    write_voc(tmp_path, {"cat": "a 1\n", "dog": "a 1\n"})
    with pytest.raises(InputError, match=r"expected an image that can be decoded, found .*a\.jpg \(missing file\)"):
        VOC2007(tmp_path, "train")[0]


def test_no_image(tmp_path):
    write_voc(tmp_path, {"cat": "", "dog": "\n"})
    assert VOC2007(tmp_path, "train").targets.shape == (0, 2)


def test_refusals(tmp_path, shared):
    with pytest.raises(InputError, match="root: expected a folder with VOCdevkit/VOC2007/ImageSets/Main"):
        VOC2007(tmp_path, "train")
    with pytest.raises(InputError, match="split: expected one of sample_test, sample_trainval, test, trainval .*"
                                         "found no aeroplane_val.txt"):  # fmt: skip
        VOC2007(shared / "voc2007", "val")
    write_voc(tmp_path, {"cat": "a 1\n", "dog": "b 1\n"})
    with pytest.raises(
        InputError, match="the same images in every label file of train, found different images in dog_train.txt"
    ):
        VOC2007(tmp_path, "train")
    write_voc(tmp_path, {"cat": "a 2\n", "dog": "a 1\n"})
    with pytest.raises(InputError, match="lines with image id and 1, -1 or 0, found line 1"):
        VOC2007(tmp_path, "train")


def test_an_image_that_does_not_decode_is_named(tmp_path):
    write_voc(tmp_path, {"cat": "a 1\nb 1\n", "dog": "a 1\nb 1\n"})
    folder = tmp_path / "VOCdevkit/VOC2007/JPEGImages"
    folder.mkdir()
    Image.new("RGB", (64, 64), "red").save(folder / "a.jpg")
    content = (folder / "a.jpg").read_bytes()
    (folder / "b.jpg").write_bytes(content[: len(content) // 2])
    data = VOC2007(tmp_path, "train")
    assert data[0][0].size == (64, 64)
    with pytest.raises(InputError, match="b.jpg"):
        data[1]


def test_repeated_images_and_other_encodings_are_refused(tmp_path):
    write_voc(tmp_path, {"cat": "a 1\na 1\nb 1\n", "dog": "a 1\na 1\nb 1\n"})
    with pytest.raises(InputError, match="each image once in cat_train.txt, found 1 repeated"):
        VOC2007(tmp_path, "train")
    (tmp_path / MAIN / "cat_train.txt").write_bytes("é 1\n".encode("latin-1"))
    with pytest.raises(InputError, match="label files in UTF-8"):
        VOC2007(tmp_path, "train")


@pytest.mark.parametrize("name", ["my cat", "photo 1", "a  b", "caf\u00e9 \u2028 x", "x.y -1"])
def test_a_line_of_a_list_is_one_id_whatever_it_contains(tmp_path, name):
    """The first word of a name may be the id of another image."""
    write_voc(tmp_path, {"cat": "", "dog": ""})
    ids = [name, name.split()[0], "other"]
    for image, label in zip(ids, ("cat", "dog", "dog"), strict=True):
        write_objects(tmp_path, image, [(label, False)])
    (tmp_path / MAIN / "xml.txt").write_text("".join(f" {image} \r\n" for image in ids), encoding="utf-8", newline="")
    data = VOC2007(tmp_path, "xml")
    assert data.ids == ids and data.targets.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert data.image_paths[0].name == f"{name}.jpg"
    write_voc(tmp_path, {"cat": f"{name}  1\n{ids[1]} -1\n", "dog": f"{name} -1\n{ids[1]}  1\n"}, split="marked")
    marked = VOC2007(tmp_path, "marked")
    assert marked.ids == ids[:2] and marked.targets.tolist() == [[1, 0], [0, 1]]


def test_the_images_of_one_label_file(tmp_path):
    write_voc(tmp_path, {"cat": "my cat  1\nb -1\n", "dog": "my cat -1\nb  0\n"})
    for image in ("my cat", "b"):
        write_objects(tmp_path, image, [("cat", False)])
    assert VOC2007(tmp_path, "cat_train").ids == ["my cat", "b"]
    (tmp_path / MAIN / "dog_days.txt").write_text("my cat\nb\n")  # a list, although its name begins with a label
    assert VOC2007(tmp_path, "dog_days").ids == ["my cat", "b"]


def test_labels_have_their_normal_form_and_label_files_the_written_one(tmp_path):
    names = ("traffic  light", "cafe\u0301")
    write_voc(tmp_path, dict.fromkeys(names, "a 1\n"), names)
    assert VOC2007(tmp_path, "train").label_names == ("traffic light", "caf\u00e9")
    write_objects(tmp_path, "a", [("traffic\u00a0light", False), ("caf\u00e9", True)])
    (tmp_path / MAIN / "xml.txt").write_text("a\n")
    assert VOC2007(tmp_path, "xml").targets.tolist() == [[1, -1]]


def test_special_files_in_place_of_annotations_and_lists_are_refused(tmp_path):
    write_voc(tmp_path, {"cat": "", "dog": ""})
    write_objects(tmp_path, "b", [("cat", False)])
    (tmp_path / MAIN / "xml.txt").write_text("b\na\n")
    os.mkfifo(tmp_path / "VOCdevkit/VOC2007/Annotations/a.xml")
    with pytest.raises(InputError, match="root: expected VOC annotations of every image, found the pipe .*a.xml"):
        VOC2007(tmp_path, "xml")
    (tmp_path / MAIN / "xml.txt").unlink()
    os.mkfifo(tmp_path / MAIN / "xml.txt")
    with pytest.raises(InputError, match="split: expected one of"):
        VOC2007(tmp_path, "xml")


def test_targets_of_absurd_size_are_refused(tmp_path):
    write_voc(tmp_path, {}, ())
    (tmp_path / MAIN / "labels.txt").write_text("\n".join(f"label{n}" for n in range(50_000)))
    (tmp_path / MAIN / "xml.txt").write_text("\n".join(map(str, range(100_000))))
    (tmp_path / "VOCdevkit/VOC2007/Annotations").mkdir()
    with pytest.raises(InputError, match="root: expected targets of at most 4.0 GiB, found 100,000 images × 50,000 la"):
        VOC2007(tmp_path, "xml")
    with pytest.raises(InputError, match="root: expected targets of at most 1.0 MiB"):
        VOC2007(tmp_path, "xml", max_bytes=1 << 20)


def test_a_byte_order_mark_is_not_part_of_a_name(tmp_path):
    write_voc(tmp_path, {"cat": "\ufeffa 1\nb -1\n", "dog": "a 1\nb 1\n"})
    (tmp_path / MAIN / "labels.txt").write_text("\ufeffcat\ndog\n", encoding="utf-8")
    data = VOC2007(tmp_path, "train")
    assert data.label_names == ("cat", "dog") and data.ids == ["a", "b"]


def write_objects(root, name, objects):
    folder = root / "VOCdevkit/VOC2007/Annotations"
    folder.mkdir(parents=True, exist_ok=True)
    parts = "<part><name>head</name></part>"
    body = "".join(
        f"<object><name>{label}</name><difficult>{int(hard)}</difficult>{parts}</object>" for label, hard in objects
    )
    (folder / f"{name}.xml").write_text(f"<annotation><filename>{name}.jpg</filename>{body}</annotation>")


def test_xml_and_label_files_give_the_same_targets(tmp_path):
    rng = np.random.default_rng(0)
    names, lines = ("cat", "dog", "emu"), {"cat": "", "dog": "", "emu": ""}
    ids = [f"{n:06d}" for n in range(40)]
    for name in ids:
        objects = [(names[c], bool(hard)) for c, hard in zip(rng.integers(0, 3, 4), rng.integers(0, 2, 4), strict=True)]
        objects = objects[: rng.integers(0, 5)]
        write_objects(tmp_path, name, objects)
        for label in names:
            hard = [h for found, h in objects if found == label]
            lines[label] += f"{name} {-1 if not hard else 0 if all(hard) else 1}\n"
    write_voc(tmp_path, lines, names)
    expected = VOC2007(tmp_path, "train")
    assert set(expected.targets.unique().tolist()) == {-1, 0, 1}
    (tmp_path / MAIN / "xml.txt").write_text("\n".join(ids) + "\n")
    found = VOC2007(tmp_path, "xml")
    assert found.ids == expected.ids and torch.equal(found.targets, expected.targets)


def test_difficult_objects_count_as_positive_on_request(tmp_path):
    write_voc(tmp_path, {"cat": "a  1\nb -1\nc  0\n", "dog": "a -1\nb  0\nc  1\n"})
    assert VOC2007(tmp_path, "train", difficult="positive").targets.tolist() == [[1, 0], [0, 1], [1, 1]]
    with pytest.raises(InputError, match="difficult: expected one of unknown, positive, found 'absent'"):
        VOC2007(tmp_path, "train", difficult="absent")


@pytest.mark.parametrize(
    "text, message",
    [
        ("<annotation><object><name>emu</name></object></annotation>", "objects of the 2 labels, found 'emu'"),
        ("<annotation><object><difficult>0</difficult></object></annotation>", "found name ''"),
        ("<annotation><object><name>cat</name><difficult>2</difficult></object></annotation>", "difficult '2'"),
        ("<annotation><object>", "VOC annotations of every image, found .*a.xml .*ParseError"),
        ('<!DOCTYPE x [<!ENTITY c "cat">]><annotation><object><name>&c;</name></object></annotation>', "DTDForbidden"),
        ('<!DOCTYPE annotation SYSTEM "http://127.0.0.1/a.dtd"><annotation/>', "DTDForbidden"),
        ('<?xml version="1.0" encoding="x"?><annotation/>', "VOC annotations of every image, found .*LookupError"),
        (None, "VOC annotations of every image, found no file .*a.xml"),
    ],
)
def test_refused_annotations(tmp_path, text, message):
    write_voc(tmp_path, {"cat": "", "dog": ""})
    write_objects(tmp_path, "b", [("cat", False)])
    (tmp_path / MAIN / "xml.txt").write_text("b\na\n")
    if text is not None:
        (tmp_path / "VOCdevkit/VOC2007/Annotations/a.xml").write_text(text)
    with pytest.raises(InputError, match=message):
        VOC2007(tmp_path, "xml")


def test_an_image_id_that_leads_out_of_the_folder_is_refused(tmp_path):
    write_voc(tmp_path, {"cat": "../a 1\n", "dog": "../a 1\n"})
    with pytest.raises(InputError, match="root: expected a file below .*JPEGImages, found '../a.jpg'"):
        VOC2007(tmp_path, "train")


def test_the_published_counts_are_those_of_the_official_label_files(shared):
    for split, expected in VOC_COUNTS.items():
        assert counts_of(VOC2007(shared / "voc2007", split)) == expected
