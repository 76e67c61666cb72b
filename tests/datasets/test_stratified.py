"""Tables that are divided into parts: what is read, who is in which part, and the rows as they are written."""

import numpy as np
import pandas as pd
import pytest

from mlgcn_pyg.datasets import TableDataset
from mlgcn_pyg.datasets.part_statistics import part_statistics
from mlgcn_pyg.datasets.stratified import LabelTable
from mlgcn_pyg.datasets.table_file import read_table
from mlgcn_pyg.datasets.table_parts import write_parts
from mlgcn_pyg.errors import InputError

NAMES = "image,labels\n" + "".join(f"{k}.jpg,{'cat;dog' if k % 4 == 0 else 'cat'}\n" for k in range(20))
MARKS = "image,split,cat,dog,by\n" + "".join(f"{k}.jpg,x,1,{[1, 0, -1, 0][k % 4]},{'ABC'[k % 3]}\n" for k in range(12))


def written(folder, text, name="t.csv"):
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_names_marks_and_lists_give_the_targets_of_the_data_set(tmp_path):
    tables = [written(tmp_path, NAMES), written(tmp_path, NAMES.replace(",", "\t").replace(";", "|"), "t.tsv")]
    tables.append(tmp_path / "t.parquet")
    pd.DataFrame({"image": ["a.jpg", "b.jpg"], "labels": [["cat"], ["dog", "cat"]]}).to_parquet(tables[2])
    for path in tables:
        separator = "|" if path.suffix == ".tsv" else ";"
        read, data = LabelTable.read(path, separator=separator), TableDataset(path, tmp_path, separator=separator)
        assert read.label_names == data.label_names == ("cat", "dog") and read.groups is None
        assert read.targets.tolist() == data.targets.tolist()


def test_a_column_of_groups_is_no_label(tmp_path):
    read = LabelTable.read(written(tmp_path, MARKS), group="by")
    assert read.label_names == ("cat", "dog") and read.targets[:4, 1].tolist() == [1, 0, -1, 0]
    assert read.groups == list("ABC" * 4)
    parts = read.divide(val=1 / 3)
    assert len(parts["val"]) == 4 and len({read.groups[image] for image in parts["val"]}) == 1
    gaps = LabelTable.read(written(tmp_path, MARKS.replace(",B\n", ", \n")), group="by")
    assert gaps.groups == ["A", None, "C"] * 4
    folds = gaps.divide(folds=6)  # of two groups of 4 images and 4 single images
    assert sorted(map(len, folds.values())) == [1, 1, 1, 1, 4, 4]


def test_the_parts_have_names_and_the_requested_sizes(tmp_path):
    read = LabelTable.read(written(tmp_path, NAMES))
    for wanted, expected in [
        ({"val": 0.2, "test": 0.1}, {"train": 14, "val": 4, "test": 2}),
        ({"test": 0.25}, {"train": 15, "test": 5}),
        ({"val": 0.5}, {"train": 10, "val": 10}),
        ({"folds": 3}, {"fold1": 7, "fold2": 7, "fold3": 6}),
        ({"folds": 2, "test": 0.2}, {"fold1": 8, "fold2": 8, "test": 4}),
    ]:
        parts = read.divide(**wanted)
        assert {name: len(rows) for name, rows in parts.items()} == expected
        assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(20))
    dogs = {name: read.targets[rows, 1].sum() for name, rows in read.divide(val=0.2, test=0.2).items()}
    assert dogs == {"train": 3, "val": 1, "test": 1}  # of 5


@pytest.mark.parametrize(
    "wanted, text",
    [
        ({}, "val: expected a fraction of the images, found none; give val, test or folds"),
        ({"val": 0.5, "test": 0.5}, r"val: expected fractions that sum to less than 1, found 0.5 \+ 0.5"),
        ({"val": 0.7, "test": 0.3}, "val: expected fractions that sum to less than 1"),
        ({"val": 0.9, "test": 0.9}, "val: expected fractions that sum to less than 1"),
        ({"test": 1}, "test: expected fractions that sum to less than 1, found 1"),
        ({"val": -0.1}, r"val: expected a number in \[0, 1\], found -0.1"),
        ({"test": float("nan")}, r"test: expected a number in \[0, 1\]"),
        ({"val": 0.1, "folds": 3}, "val: expected no fraction with folds, found 0.1"),
        ({"folds": 21}, "folds: expected at least 2 and at most the number of images, 20, found 21"),
        ({"folds": 17, "test": 0.2}, "folds: expected at least 2 and at most the number of images, 16, found 17"),
        ({"test": 0.01}, "test: expected at least one image in every part, found none in part 1"),
        ({"val": 0.1, "seed": -1}, "seed: expected an integer ≥ 0"),
    ],
)
def test_parts_that_cannot_be(tmp_path, wanted, text):
    with pytest.raises(InputError, match=text):
        LabelTable.read(written(tmp_path, NAMES)).divide(**wanted)


@pytest.mark.parametrize(
    "text, options, message",
    [
        (MARKS, {"group": "bye"}, "group: expected one of the columns image, split, .*'bye'; the nearest is 'by'"),
        (NAMES, {"group": "photographer"}, "group: expected one of the columns image, labels, found 'photographer'$"),
        (NAMES, {"image_column": "Image"}, "image_column: .* the nearest is 'image'"),
        (MARKS, {}, "path: expected 1, 0 or -1 in every label column, found 'A' in column 'by', row 1"),
        (NAMES + "./0.jpg,dog\n", {}, "image_column: expected each image in one row, found './0.jpg' in rows 1 and 21"),
        (NAMES + ",dog\n", {}, "image_column: expected a file in every row, found none in row 21"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, options, message):
    with pytest.raises(InputError, match=message):
        LabelTable.read(written(tmp_path, text), **options)


@pytest.mark.parametrize(
    "header, rows, end",
    [
        (
            b"image, labels ,note\r\n",
            [b'a.jpg,"cat; dog","says ""hi"""\r\n', b"b.jpg,cat,'x'\r\n", b'c.jpg,  cat ,"two\r\nlines"'],
            b"\r\n",
        ),
        (
            b"\xef\xbb\xbfimage,labels,note\n",
            [b'a.jpg,"c\xc3\xa4t;dog",\n', b"b.jpg,cat,0x1.0\n", b"c.jpg,,1e3"],
            b"\n",
        ),
        (b"image,labels\r", [b"a.jpg,cat\r", b"b.jpg,dog\r", b"c.jpg,"], b"\r"),
    ],
    ids=["windows", "byte order mark", "old mac"],
)
def test_rows_are_copied_byte_for_byte(tmp_path, header, rows, end):
    (tmp_path / "t.csv").write_bytes(header + rows[0] + end + b" " + end + rows[1] + rows[2])
    files = [tmp_path / "parts" / "1.csv", tmp_path / "parts" / "2.csv"]
    write_parts(tmp_path / "t.csv", np.array([0, 1, 0]), files)
    assert files[0].read_bytes() == header + rows[0] + rows[2] + end
    assert files[1].read_bytes() == header + rows[1]
    whole, first, second = map(read_table, [tmp_path / "t.csv", *files])
    assert whole.iloc[[0, 2]].to_numpy().tolist() == first.to_numpy().tolist()
    assert whole.iloc[[1]].to_numpy().tolist() == second.to_numpy().tolist()


def test_parquet_keeps_types_and_order(tmp_path):
    table = pd.DataFrame(
        {
            "image": [f"{k}.jpg" for k in range(7)],
            "labels": [["cat"] * (k % 2) for k in range(7)],
            "taken": pd.date_range("2020-01-01", periods=7),
            "size": pd.array([1, None, 3, 4, 5, 6, 7], dtype="Int16"),
            "by": pd.Categorical(list("ABABABA")),
        }
    )
    table.to_parquet(tmp_path / "t.parquet")
    files = [tmp_path / f"{name}.parquet" for name in ("train", "val")]
    part = np.array([0, 1, 1, 0, 0, 0, 1])
    write_parts(tmp_path / "t.parquet", part, files)
    whole = pd.read_parquet(tmp_path / "t.parquet")
    for k, file in enumerate(files):
        pd.testing.assert_frame_equal(pd.read_parquet(file), whole[part == k].reset_index(drop=True))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_existing_files_are_replaced_only_if_asked(tmp_path, ending):
    path, files = tmp_path / f"t.{ending}", [tmp_path / f"{name}.{ending}" for name in ("train", "val")]
    table = pd.DataFrame({"image": ["a.jpg", "b.jpg"], "labels": ["cat", "dog"]})
    table.to_csv(path, index=False) if ending == "csv" else table.to_parquet(path)
    for _ in range(2):  # the same content again is no conflict
        write_parts(path, np.array([0, 1]), files)
    before = [file.read_bytes() for file in files]
    files[0].unlink()
    with pytest.raises(InputError, match=f"folder: .*found .*val.{ending} exists; .* pass overwrite=True") as refused:
        write_parts(path, np.array([1, 0]), files)
    assert refused.value.argument == "folder" and sorted(tmp_path.iterdir()) == sorted([path, files[1]])
    write_parts(path, np.array([1, 0]), files, overwrite=True)
    assert [file.read_bytes() for file in files] == before[::-1] or ending == "parquet"
    assert read_table(files[0])["image"].tolist() == ["b.jpg"]


@pytest.mark.parametrize("link", ["itself", "link", "hard link"])
def test_a_table_is_never_replaced_by_its_part(tmp_path, link):
    path = written(tmp_path, NAMES)
    if link == "link":
        (tmp_path / "train.csv").symlink_to(path)
    elif link == "hard link":
        (tmp_path / "train.csv").hardlink_to(path)
    files = [path if link == "itself" else tmp_path / "train.csv", tmp_path / "val.csv"]
    with pytest.raises(InputError, match="folder: expected a different file than the input file"):
        write_parts(path, np.arange(20) % 2, files, overwrite=True)
    assert path.read_text() == NAMES and not files[1].exists()


def test_a_table_that_changes_in_between_is_refused(tmp_path):
    with pytest.raises(InputError, match="path: expected the 19 rows that were read, found 20 rows"):
        write_parts(written(tmp_path, NAMES), np.zeros(19, dtype=int), [tmp_path / "a.csv"])


def test_statistics_of_parts_by_hand():
    targets = np.array([[1, 0], [1, 1], [0, 0], [1, -1]], dtype=np.int8)
    found = part_statistics(targets, ("cat", "dog"), {"train": np.array([0, 2]), "val": np.array([1, 3])})
    train, val = found.values()
    assert (train.num_images, train.labels_per_image, train.num_without_labels) == (2, 0.5, 1)
    assert train.positives == {"cat": 1, "dog": 0} and train.without_positives == ("dog",)
    assert train.share_deviation == pytest.approx((0.25 + 0.25) / 2)  # 1/2 and 3/4, 0 and 1/4
    assert (val.labels_per_image, val.num_without_labels, val.without_positives) == (1.5, 0, ())
