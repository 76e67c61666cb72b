import csv as csv_module

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mlgcn_pyg.datasets import TableDataset
from mlgcn_pyg.datasets.table_file import read_table
from mlgcn_pyg.errors import InputError


@pytest.fixture
def photos(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    return tmp_path


def csv(folder, text):
    (folder / "t.csv").write_text(text)
    return folder / "t.csv"


def test_a_column_of_names(photos):
    data = TableDataset(csv(photos, "image,labels\na.png,sea;traffic light\nb.png,\nc.png, sea \n"), photos)
    assert data.label_names == ("sea", "traffic light")
    assert data.targets.tolist() == [[1, 1], [0, 0], [1, 0]]
    image, target, index = data[1]
    assert image.size == (8, 8) and target.tolist() == [0, 0] and index == 1 and data.ids == ["a.png", "b.png", "c.png"]


def test_a_column_per_label(photos):
    data = TableDataset(csv(photos, "image,dog,cat\na.png,1,0\nb.png,0,-1\nc.png,1,1\n"), photos)
    assert data.label_names == ("dog", "cat") and data.targets.tolist() == [[1, 0], [0, -1], [1, 1]]
    ordered = TableDataset(photos / "t.csv", photos, label_names=["cat", "dog"])
    assert ordered.targets.tolist() == [[0, 1], [-1, 0], [1, 1]]


def test_parquet_and_tsv_equal_csv(photos):
    text = "image,labels\na.png,x|y\nb.png,y\n"
    expected = TableDataset(csv(photos, text), photos, separator="|")
    pd.read_csv(photos / "t.csv").to_parquet(photos / "t.parquet")
    (photos / "t.tsv").write_text(text.replace(",", "\t"))
    for name in ("t.parquet", "t.tsv"):
        assert (
            TableDataset(photos / name, photos, separator="|").targets.tolist()
            == expected.targets.tolist()
            == [[1, 1], [0, 1]]
        )


def test_splits_share_their_labels(photos):
    path = csv(photos, "image,labels,split\na.png,x,train\nb.png,y,test\nc.png,x,train\n")
    train, test = TableDataset(path, photos, split="train"), TableDataset(path, photos, split="test")
    assert len(train) == 2 and len(test) == 1 and train.label_names == test.label_names == ("x", "y")
    with pytest.raises(InputError, match="split: expected one of test, train, found 'val'"):
        TableDataset(path, photos, split="val")


@pytest.mark.parametrize(
    "text, options, message",
    [
        (
            "image,labels\na.png,x\na.png,y\n",
            {},
            "each image in one row, found 'a.png' in rows 1 and 2; merge its labels",
        ),
        ("image,labels\n,x\n", {}, "image_column: expected a file in every row, found none in row 1"),
        ("image,labels\na.png,x\nb\0.png,x\n", {}, r"file names, found 'b.x00.png' in row 2"),
        (
            "image,labels,split\nb.png,x,u\na.png,x,v\na.png,x,u\n./a.png,y,u\n",
            {"split": "u"},
            "'./a.png' in rows 3 and 4",  # of the table, whatever the split
        ),
        ("image,labels\n../a.png,x\n", {}, "files below .*found '../a.png'"),
        ("image,labels\n/etc/passwd,x\n", {}, "files below .*found '/etc/passwd'"),
        (
            "image,labels\na.png,x|y\n",
            {},
            r"separator: expected ';' between label names, found 'x\|y'; the separator may be '\|'",
        ),
        ("image,labels\na.png,x;q\n", {"label_names": ["x"]}, r"every label of the table, found no 'q' \(row 1\)"),
        (
            "image,dog\na.png,1\nb.png,2\n",
            {},
            "path: expected 1, 0 or -1 in every label column, found '2' in column 'dog', row 2",
        ),
        ("image,dog\na.png,\n", {}, "path: expected 1, 0 or -1 in every label column, found '' in column 'dog', row 1"),
        ("image,dog\na.png,yes\n", {}, "found 'yes' in column 'dog', row 1"),
        ("photo,dog\na.png,1\n", {}, "image_column: expected one of the columns photo, dog, found 'image'"),
        ("image,dog\na.png,1\n", {"labels_column": "tags"}, "labels_column: expected one of the columns"),
        ("image,labels\na.png,\n", {}, "a table with at least one label"),
        ("", {}, "path: expected a readable table"),
    ],
)
def test_refused_tables(photos, text, options, message):
    with pytest.raises(InputError, match=message):
        TableDataset(csv(photos, text), photos, **options)


def test_refused_files(photos):
    with pytest.raises(InputError, match="path: expected a file that exists"):
        TableDataset(photos / "absent.csv", photos)
    (photos / "t.xls").touch()
    with pytest.raises(InputError, match="a table that ends in .csv, .tsv, .parquet"):
        TableDataset(photos / "t.xls", photos)
    (photos / "t.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="a readable table"):
        TableDataset(photos / "t.parquet", photos)
    with pytest.raises(InputError, match="image_root: expected a folder that exists"):
        TableDataset(csv(photos, "image,labels\na.png,x\n"), photos / "absent")


def test_a_shuffled_parquet_table_keeps_images_and_labels_together(photos):
    table = pd.DataFrame({"image": ["a.png", "b.png", "c.png"], "labels": ["x", "y", "z"], "split": ["u", "v", "u"]})
    for name, changed in (("s", table.iloc[[2, 0, 1]]), ("t", table[1:])):
        changed.to_parquet(photos / f"{name}.parquet")
        data = TableDataset(photos / f"{name}.parquet", photos, label_names=["x", "y", "z"])
        found = {k: data.label_names[row.index(1)] for k, row in zip(data.ids, data.targets.tolist(), strict=True)}
        assert found == dict(zip(changed["image"], changed["labels"], strict=True))
    rest = TableDataset(photos / "s.parquet", photos, split="u", label_names=["x", "y", "z"])
    assert rest.ids == ["c.png", "a.png"] and rest.targets.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_no_label_is_read_as_a_number_or_a_gap(photos):
    for name in ("000012", "7"):
        Image.new("RGB", (8, 8)).save(photos / f"{name}.png")
        (photos / f"{name}.png").rename(photos / name)
    data = TableDataset(csv(photos, "image,labels,split\n000012,NA;007,1\n7,None,\na.png,,1\n"), photos)
    assert data.label_names == ("007", "NA", "None") and data.ids == ["000012", "7", "a.png"]
    assert TableDataset(photos / "t.csv", photos, split="1").ids == ["000012", "a.png"]


def test_lists_of_names_in_parquet(photos):
    pd.DataFrame({"image": ["a.png", "b.png"], "labels": [["sea", "tall ship"], []]}).to_parquet(photos / "l.parquet")
    data = TableDataset(photos / "l.parquet", photos)
    pd.DataFrame({"image": ["a.png", "b.png"], "labels": [["sea", None], None]}).to_parquet(photos / "gaps.parquet")
    assert TableDataset(photos / "gaps.parquet", photos).label_names == ("sea",)
    assert data.label_names == ("sea", "tall ship") and data.targets.tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize(
    "text, message",
    [
        ("image,labels\na.png,x,more\n", "2 fields in every row, as in the first line, found 3 in row 1"),
        ("image,labels\na.png,x\n\nb.png\n", "2 fields in every row, as in the first line, found 1 in row 2"),
        ("image;labels;split\na.png;x,y;train\n", "columns separated by commas, found semicolons in the first line"),
        ("image\tlabels\na.png\tx\n", "columns separated by commas, found tabs in the first line"),
        ("image, image\na.png,b.png\n", "unique column names, found 'image' twice"),
        ("image,labels,labels\na.png,x,y\n", "unique column names, found 'labels' twice"),
        ("image,dog,dog\na.png,1,0\n", "unique column names, found 'dog' twice"),
        (",image,dog\n0,a.png,1\n1,b.png,0\n", r"a name for each column.*to_csv\(index=False\)"),  # no label ''
        ('image,labels\na.png,"x\nb.png,y\n', "a readable table, found .*unexpected end"),
        ("image,labels\n./a.png,x\na.png,y\n", "each image in one row, found 'a.png' in rows 1 and 2"),
    ],
)
def test_tables_that_would_be_misread(photos, text, message):
    with pytest.raises(InputError, match=message):
        TableDataset(csv(photos, text), photos)
    with pytest.raises(InputError, match="separator: expected a character"):
        TableDataset(csv(photos, "image,labels\na.png,x\n"), photos, separator="")


def test_absolute_paths_are_accepted_below_the_root(photos):
    path = csv(photos, f"image,labels\n{photos / 'a.png'},x\n")
    assert TableDataset(path, "/")[0][0].size == (8, 8)
    assert TableDataset(path, photos)[0][0].size == (8, 8)  # it lies below the root all the same
    with pytest.raises(InputError, match="image_column: expected files below"):
        (photos / "other").mkdir()
        TableDataset(path, photos / "other")


@pytest.mark.parametrize("encoding", ["latin1", "utf-16"])
def test_other_encodings_are_refused_with_advice(photos, encoding):
    (photos / "t.csv").write_bytes("image,labels\na.png,é\n".encode(encoding))
    with pytest.raises(InputError, match="path: expected a table in UTF-8, found .*t.csv .*; save it as UTF-8"):
        TableDataset(photos / "t.csv", photos)


@pytest.mark.parametrize(
    "text",
    [
        '\ufeffimage,labels\na.png,"x;y z"\n',
        '\ufeff"image","labels"\r\n"a.png","x;y z"\r\n',
        'image, labels\na.png, "x;y z"\n',  # a space before the quotes
        "image,labels,,\n\na.png,x;y z,,\n",  # what spreadsheets make of columns that were once used
        ",image,labels\n0,a.png,x;y z\n",  # an index that pandas wrote
    ],
)
def test_tables_as_programs_write_them(photos, text):
    (photos / "t.csv").write_text(text, encoding="utf-8", newline="")
    data = TableDataset(photos / "t.csv", photos)
    assert data.label_names == ("x", "y z") and data.targets.tolist() == [[1, 1]] and data.ids == ["a.png"]


def test_names_that_contain_other_separators(photos):
    data = TableDataset(csv(photos, 'image,labels\na.png,"bow, arrow;x"\nb.png,"bow, arrow"\n'), photos)
    assert data.label_names == ("bow, arrow", "x") and data.targets.tolist() == [[1, 1], [1, 0]]
    pd.DataFrame({"image": ["a.png"], "labels": [["a|b", "c;d"]]}).to_parquet(photos / "l.parquet")
    assert TableDataset(photos / "l.parquet", photos).label_names == (
        "a|b",
        "c;d",
    )  # nothing needs to stand between them


def test_integers_beside_a_gap_stay_integers(photos):
    table = pd.DataFrame({"image": ["a.png", "b.png"], "labels": [7, None], "split": [1, None]})
    table.to_parquet(photos / "t.parquet")
    data = TableDataset(photos / "t.parquet", photos, split="1")
    assert data.label_names == ("7",) and data.ids == ["a.png"]
    table.assign(labels=[[7, None], [8]]).to_parquet(photos / "t.parquet")
    assert TableDataset(photos / "t.parquet", photos).targets.tolist() == [[1, 0], [0, 1]]


def test_parquet_with_image_as_its_index_and_categories(photos):
    table = pd.DataFrame({"image": ["b.png", "a.png"], "labels": pd.Categorical(["x;y", None])})
    table.set_index("image").to_parquet(photos / "t.parquet")
    data = TableDataset(photos / "t.parquet", photos)
    assert data.ids == ["b.png", "a.png"] and data.targets.tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize(
    "columns, message",
    [
        (
            {"image": [{"bytes": b"x", "path": "a.png"}], "labels": ["x"]},
            "image_column.*a record in column 'image', row 1",
        ),
        ({"image": ["a.png"], "labels": [{"category": [1]}]}, "labels_column.*a record in column 'labels', row 1"),
        ({"image": ["a.png"], "labels": [[["x"]]]}, "labels_column.*a list in column 'labels', row 1"),
        ({"image": [["a.png"]], "labels": ["x"]}, "image_column.*a list in column 'image', row 1"),
    ],
)
def test_cells_with_more_than_one_value_are_refused(photos, columns, message):
    pd.DataFrame(columns).to_parquet(photos / "t.parquet")
    with pytest.raises(InputError, match=message):
        TableDataset(photos / "t.parquet", photos)


def test_links_in_the_folder_and_to_it_are_followed(photos, tmp_path_factory):
    """A folder of links to photographs elsewhere is a common way to arrange a data set."""
    root = tmp_path_factory.mktemp("links")
    (root / "x.png").symlink_to(photos / "a.png")
    (root / "more").symlink_to(photos)
    data = TableDataset(csv(photos, "image,labels\nx.png,x\nmore/b.png,y\n"), root)
    assert [data[n][0].size for n in range(2)] == [(8, 8), (8, 8)]
    with pytest.raises(InputError, match="files below .*found 'more/../../a.png' in row 1"):
        TableDataset(csv(photos, "image,labels\nmore/../../a.png,x\n"), root)
    (photos / "way").symlink_to(root)
    path = csv(photos, f"image,labels\n{photos}/way/x.png,x\n{root}/more/b.png,y\n")
    assert len(TableDataset(path, photos / "way")) == 2  # absolute, through the link and not
    with pytest.raises(InputError, match="each image in one row"):
        TableDataset(csv(photos, f"image,labels\n{photos}/way/x.png,x\nx.png,y\n"), photos / "way")


@pytest.mark.parametrize(
    "cell, names",
    [
        ("['sea', 'tall ship']", ["sea", "tall ship"]),
        ('["sea", "tall ship", null]', ["sea", "tall ship"]),  # JSON
        ("['sea' 'tall ship']", ["sea", "tall ship"]),  # NumPy; Python would join the two
        ("[np.str_('sea'), np.str_('dog')]", ["dog", "sea"]),
        ("['sea'\n 'dog']", ["dog", "sea"]),
        ("('sea',)", ["sea"]),
        ("{'sea', 'dog'}", ["dog", "sea"]),
        ("[\"it's\", 'd;e, f']", ["d;e, f", "it's"]),
        ('["caf\\u00e9"]', ["caf\u00e9"]),
        ("['traffic\\xa0light']", ["traffic light"]),
        ("[7, 8.0]", ["7", "8"]),
        ("[deleted]", ["[deleted]"]),
        ("(left)", ["(left)"]),
        ("{a}", ["{a}"]),
    ],
)
def test_printed_lists_are_lists(photos, cell, names):
    for empty in ("[]", "()", "set()", ""):
        pd.DataFrame({"image": ["a.png", "b.png"], "labels": [cell, empty]}).to_csv(photos / "t.csv", index=False)
        data = TableDataset(photos / "t.csv", photos, separator=";")
        assert data.label_names == tuple(names) and data.targets.tolist() == [[1] * len(names), [0] * len(names)]


def test_lists_that_pandas_writes_to_csv_are_read_as_those_in_parquet(photos):
    table = pd.DataFrame({"image": ["a.png", "b.png", "c.png"], "labels": [["sea", "it's; a, 'b'"], ["dog"], []]})
    table.to_csv(photos / "t.csv", index=False)
    table.to_parquet(photos / "t.parquet")
    from_csv, from_parquet = (TableDataset(photos / f"t.{kind}", photos) for kind in ("csv", "parquet"))
    assert from_csv.label_names == from_parquet.label_names == ("dog", "it's; a, 'b'", "sea")
    assert from_csv.targets.tolist() == from_parquet.targets.tolist()


@pytest.mark.parametrize(
    "cell", ["['a' 'b' ... 'z']", "[sea, person]", "['a''b']", "[['a'], ['b']]", "['a', {'b': 1}]", "['a'; 'b']", "['a"]
)
def test_lists_that_cannot_be_read_are_refused(photos, cell):
    """NumPy shortens arrays of more than 1,000 names with dots."""
    path = csv(photos, f'image,labels\na.png,"{cell}"\n')
    if cell.endswith("]"):
        with pytest.raises(InputError, match="labels_column: expected names in quotation marks in a printed list, fou"):
            TableDataset(path, photos)
    else:
        assert TableDataset(path, photos).label_names == (cell,)


def test_a_positive_for_a_label_that_is_not_asked_for_is_refused_in_both_forms(photos):
    names = csv(photos, "image,labels\na.png,sea\nb.png,emu\n")
    with pytest.raises(InputError, match=r"label_names: expected every label of the table, found no 'emu' \(row 2\)"):
        TableDataset(names, photos, label_names=["sea"])
    for cells in ("0,1", "False,True", ",1"):
        first, second = cells.split(",")
        one_hot = csv(photos, f"image,sea,emu\na.png,1,{first}\nb.png,0,{second}\n")
        with pytest.raises(InputError, match=r"label_names: expected every label .* found no 'emu' \(row 2\)"):
            TableDataset(one_hot, photos, label_names=["sea"])


def test_columns_without_positives_or_with_other_values_are_ignored(photos):
    path = csv(photos, "image,sea,emu,width,title,fold\na.png,1,0,640,x,1\nb.png,0,-1,480,y,2\n")
    assert TableDataset(path, photos, label_names=["sea"]).targets.tolist() == [[1], [0]]


def test_booleans_in_csv_are_read_as_those_in_parquet(photos):
    table = pd.DataFrame({"image": ["a.png", "b.png"], "dog": [True, False], "cat": [False, True]})
    table.to_csv(photos / "t.csv", index=False)
    table.to_parquet(photos / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        assert TableDataset(photos / name, photos).targets.tolist() == [[1, 0], [0, 1]]
    mixed = csv(photos, "image,dog\na.png,TRUE\nb.png,false\nc.png,-1\n")
    assert TableDataset(mixed, photos).targets.tolist() == [[1], [0], [-1]]


def test_a_column_of_names_in_place_of_marks_suggests_labels_column(photos):
    with pytest.raises(InputError, match="found 'sea' in column 'title', row 1; .* pass labels_column='title'"):
        TableDataset(csv(photos, "image,title\na.png,sea\n"), photos)
    pd.DataFrame({"image": ["a.png"], "tags": [["x", "y"]]}).to_parquet(photos / "t.parquet")
    with pytest.raises(InputError, match="in column 'tags', row 1; .* pass labels_column='tags'"):
        TableDataset(photos / "t.parquet", photos)


@pytest.mark.parametrize("gap", ["nan", "None", "NULL", ""])
def test_a_gap_in_a_label_column_suggests_a_mark(photos, gap):
    with pytest.raises(InputError, match=f"found '{gap}' in column 'dog', row 1; write -1 for an unknown label"):
        TableDataset(csv(photos, f"image,dog\na.png,{gap}\n"), photos)


def test_names_that_look_the_same_are_one_label_and_said_once(photos):
    text = "image,labels\na.png,cafe\u0301; traffic  light\nb.png,caf\u00e9;traffic\u00a0light\nc.png,do\u200bg;dog\n"
    with pytest.warns(UserWarning, match="label names that look the same count as one: .*cafe.u0301") as said:
        data = TableDataset(csv(photos, text), photos)
    assert data.label_names == ("caf\u00e9", "dog", "traffic light") and len(said) == 1
    assert data.targets.tolist() == [[1, 0, 1], [1, 0, 1], [0, 1, 0]]
    ready = TableDataset(photos / "t.csv", photos, label_names=["traffic\u00a0light", "dog", "cafe\u0301"])
    assert ready.label_names[0] == "traffic light" and ready.targets[0].tolist() == [1, 0, 1]
    one_hot = csv(photos, "image ,cafe\u0301\na.png,1\n")
    assert TableDataset(one_hot, photos, label_names=["caf\u00e9"]).targets.tolist() == [[1]]
    with pytest.raises(InputError, match="unique column names"):
        TableDataset(csv(photos, "image,cafe\u0301,caf\u00e9\na.png,1,0\n"), photos)


def test_a_field_of_any_length_is_read_and_the_limit_of_csv_is_left_as_it_was(photos):
    limit = csv_module.field_size_limit()
    names = ";".join(f"label {n:05d}" for n in range(20_000))
    assert TableDataset(csv(photos, f'image,labels\na.png,"{names}"\n'), photos).num_labels == 20_000
    with pytest.raises(InputError, match="a readable table"):
        TableDataset(csv(photos, 'image,labels\na.png,"x\n'), photos)
    assert csv_module.field_size_limit() == limit


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["x" * 100_000]).take(pa.array([0] * 2_000)),  # one text, and references to it
        pa.array([["x" * 100_000] * 200]).take(pa.array([0] * 10)),
        pa.array([{"a": "x" * 100_000}]).take(pa.array([0] * 2_000)),
        pa.nulls(20_000_000, pa.int8()),
        pa.nulls(20_000_000, pa.string()),
        pa.array([b"x" * 100_000] * 1_000, pa.binary(100_000)),
    ],
    ids=["texts", "lists", "records", "gaps", "gaps in texts", "fixed width"],
)
def test_small_parquet_files_that_expand_are_refused(photos, column):
    pq.write_table(pa.table({"image": column}), photos / "t.parquet")
    assert (photos / "t.parquet").stat().st_size < 200_000
    with pytest.raises(
        InputError, match=r"path: expected a table of at most 64.0 MiB, found [\d,]+ rows in .*max_bytes="
    ):
        TableDataset(photos / "t.parquet", photos, max_bytes=1 << 26)


def test_targets_that_take_too_much_memory_are_refused_with_their_sizes(photos):
    rows = "".join(f"{n}.png,label{n}\n" for n in range(3_000))
    path = csv(photos, "image,labels\n" + rows)
    with pytest.raises(
        InputError, match=r"most 1.0 MiB, found 3,000 images × 3,000 labels \(8.6 MiB\); .*max_bytes=9000000"
    ):
        TableDataset(path, photos, max_bytes=1 << 20)
    assert len(TableDataset(path, photos, max_bytes=9_000_000)) == 3_000
    with pytest.raises(InputError, match="path: expected a table of at most 0.0 MiB"):
        TableDataset(path, photos, max_bytes=1000)


@pytest.mark.parametrize("kind", [pa.string_view(), pa.large_list(pa.string_view()), pa.list_(pa.large_string())])
def test_texts_in_any_layout_of_parquet(photos, kind):
    cells = ["x;y", ""] if kind == pa.string_view() else [["x", "y"], []]
    columns = {"image": pa.array(["a.png", "b.png"], pa.large_string()), "labels": pa.array(cells, kind)}
    other = pa.array([[("k", "v")], []], pa.map_(pa.string(), pa.string()))
    try:
        pq.write_table(pa.table(columns | {"other.column": other}), photos / "t.parquet")
    except pa.ArrowNotImplementedError:
        pytest.skip("this pyarrow reads views of texts, but cannot write them")
    assert TableDataset(photos / "t.parquet", photos).targets.tolist() == [[1, 1], [0, 0]]


def test_a_parquet_table_with_texts_that_are_not_utf_8(tmp_path):
    pd.DataFrame({"image": ["cat.jpg"], "labels": ["cat"]}).to_parquet(tmp_path / "t.parquet", compression=None)
    data = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(data.replace(b"cat.jpg", b"c\xff\xfe.jpg"))
    with pytest.raises(InputError, match="path: expected a readable table"):
        read_table(tmp_path / "t.parquet")
