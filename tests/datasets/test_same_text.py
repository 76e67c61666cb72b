"""Labels and file names that look the same are the same, however they are written."""

import json
import unicodedata

import pytest
from PIL import Image

from mlgcn_pyg.datasets import COCO2014, VOC2007, TableDataset
from mlgcn_pyg.datasets.disk_names import DiskNames
from mlgcn_pyg.errors import InputError, InputWarning

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def table(folder, text, **options):
    (folder / "t.csv").write_text(text, encoding="utf-8")
    return TableDataset(folder / "t.csv", folder, **options)


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ([COMPOSED, DECOMPOSED], COMPOSED),
        (["traffic light", "traffic\u00a0light", "traffic  light", "traffic\u3000light"], "traffic light"),
        (["dog", "do\u200bg", "\ufeffdog", "do\u00adg"], "dog"),
    ],
)
def test_forms_of_a_label_are_merged_and_said(tmp_path, written, label):
    rows = "".join(f"{k}.jpg,{name};cat\n" for k, name in enumerate(written))
    with pytest.warns(InputWarning, match="count as one") as said:
        data = table(tmp_path, f"image,labels\n{rows}")
    assert data.label_names == tuple(sorted([label, "cat"]))
    assert data.targets.tolist() == [[1, 1]] * len(written)
    assert len(said) == 1 and all(ascii(name).replace("  ", r" \x20") in str(said[0].message) for name in written)


def test_labels_in_one_form_are_not_worth_a_word(tmp_path, recwarn):
    data = table(tmp_path, f"image,labels\na.jpg,{DECOMPOSED}; cat\nb.jpg, cat ;\u200b\n")
    assert data.label_names == (COMPOSED, "cat") or data.label_names == ("cat", COMPOSED)
    assert not recwarn.list


def test_given_labels_match_in_any_form(tmp_path):
    data = table(tmp_path, f"image,labels\na.jpg,{DECOMPOSED}\n", label_names=[COMPOSED, " dog"])
    assert data.label_names == (COMPOSED, "dog") and data.targets.tolist() == [[1, 0]]


def test_given_labels_that_look_the_same_are_refused(tmp_path):
    with pytest.raises(InputError, match="label_names: expected names that look different, found .*cafe.u0301"):
        table(tmp_path, "image,labels\na.jpg,dog\n", label_names=[COMPOSED, DECOMPOSED])
    with pytest.raises(InputError, match="label_names: expected names with a visible character"):
        table(tmp_path, "image,labels\na.jpg,dog\n", label_names=["dog", "\u200b"])


def test_columns_are_labels_in_their_normal_form(tmp_path):
    data = table(tmp_path, f"\u200bimage,{DECOMPOSED},traffic  light\na.jpg,0,1\n", label_names=["traffic\u00a0light"])
    assert data.label_names == ("traffic light",) and data.targets.tolist() == [[1]]
    with pytest.raises(InputError, match="path: expected unique column names, found .*cafe.u0301"):
        table(tmp_path, f"image,{DECOMPOSED},{COMPOSED}\na.jpg,1,0\n")


def test_column_options_match_in_any_form(tmp_path):
    data = table(tmp_path, f"{DECOMPOSED},tags\na.jpg,sea\n", image_column=COMPOSED, labels_column="tags\u200b")
    assert data.ids == ["a.jpg"] and data.label_names == ("sea",)


@pytest.mark.parametrize("on_disk, listed", [(DECOMPOSED, COMPOSED), (COMPOSED, DECOMPOSED)])
def test_photographs_are_found_in_either_form(tmp_path, on_disk, listed):
    (tmp_path / on_disk).mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / on_disk / f"{on_disk}.png")
    data = table(tmp_path, f"image,labels\n{listed}/{listed}.png,sea\n")
    assert data[0][0].size == (4, 4) and data.ids == [f"{listed}/{listed}.png"]


def test_one_file_in_two_rows_is_found_in_either_form(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / f"{DECOMPOSED}.png")
    with pytest.raises(InputError, match="image_column: expected each image in one row"):
        table(tmp_path, f"image,labels\n{COMPOSED}.png,sea\n{DECOMPOSED}.png,sea\n")


def test_two_files_of_both_forms_are_two_photographs(tmp_path):
    for size, name in enumerate((COMPOSED, DECOMPOSED), start=4):
        Image.new("RGB", (size, size)).save(tmp_path / f"{name}.png")
    if len(list(tmp_path.glob("*.png"))) < 2:
        pytest.skip("the file system has one form of names")
    data = table(tmp_path, f"image,labels\n{COMPOSED}.png,sea\n{DECOMPOSED}.png,sea\n")
    assert [data[k][0].size for k in (0, 1)] == [(4, 4), (5, 5)]


def test_a_folder_is_listed_once_and_only_if_needed(tmp_path, monkeypatch):
    listed = []
    import os

    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: listed.append(folder) or real(folder))
    (tmp_path / "e\u0301.jpg").touch()
    disk = DiskNames()
    assert disk.find_listed(tmp_path / "absent.jpg", "absent.jpg") == tmp_path / "absent.jpg" and not listed
    assert disk.find(tmp_path / "e\u0301.jpg").exists() and not listed
    for _ in range(3):
        assert disk.find(tmp_path / "\u00e9.jpg").name == "e\u0301.jpg"
        assert disk.find(tmp_path / "\u00e8.jpg") == tmp_path / "\u00e8.jpg"
    assert listed == [str(tmp_path)]
    assert disk.find("\u00e9-absent/\u00e9.jpg").as_posix() == "\u00e9-absent/\u00e9.jpg"


def coco(root, categories, images=("a.jpg", "b.jpg")):
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    content = {
        "images": [{"id": k, "file_name": name} for k, name in enumerate(images)],
        "annotations": [{"image_id": k % len(images), "category_id": k} for k in range(len(categories))],
        "categories": [{"id": k, "name": name} for k, name in enumerate(categories)],
    }
    (root / "annotations/instances_val2014.json").write_text(json.dumps(content))
    return COCO2014(root, "val")


def test_coco_categories_are_merged_and_said(tmp_path, recwarn):
    data = coco(tmp_path, [" dog ", "cat"])
    assert data.label_names == ("cat", "dog") and not recwarn.list
    with pytest.warns(InputWarning, match="'cat' ."):
        data = coco(tmp_path, [" cat ", "cat"])
    assert data.label_names == ("cat",) and data.targets.tolist() == [[1], [1]]


def test_coco_photographs_are_found_in_either_form(tmp_path):
    (tmp_path / "val2014").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "val2014" / f"{DECOMPOSED}.png")
    assert coco(tmp_path, ["cat"], [f"{COMPOSED}.png"])[0][0].size == (4, 4)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_voc_files_are_found_in_either_form(tmp_path, form):
    main = tmp_path / "ImageSets" / "Main"
    main.mkdir(parents=True)
    (tmp_path / "JPEGImages").mkdir()
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    (main / "labels.txt").write_text(f"{unicodedata.normalize(form, COMPOSED)}\ncat\n", encoding="utf-8")
    label, image = (unicodedata.normalize(other, text) for text in (COMPOSED, "\u00e9"))
    for name in (label, "cat"):
        (main / f"{name}_train.txt").write_text(f"{unicodedata.normalize(form, image)} 1\n", encoding="utf-8")
    Image.new("RGB", (4, 4)).save(tmp_path / "JPEGImages" / f"{image}.jpg")
    data = VOC2007(tmp_path, "train")
    assert data.label_names == (COMPOSED, "cat") and data[0][0].size == (4, 4)


def test_voc_objects_match_labels_in_any_form(tmp_path):
    main = tmp_path / "ImageSets" / "Main"
    main.mkdir(parents=True)
    (tmp_path / "Annotations").mkdir()
    (main / "labels.txt").write_text(f"traffic  light\n{DECOMPOSED}\n", encoding="utf-8")
    (main / "val.txt").write_text("1\n")
    xml = f"<a><object><name>traffic&#160;light</name></object><object><name>{COMPOSED}</name></object></a>"
    (tmp_path / "Annotations" / "1.xml").write_text(xml, encoding="utf-8")
    data = VOC2007(tmp_path, "val")
    assert data.label_names == ("traffic light", COMPOSED) and data.targets.tolist() == [[1, 1]]
