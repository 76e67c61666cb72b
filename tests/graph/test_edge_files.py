"""CSV files of edges as people have them: right ones give a graph, wrong ones one line."""

import pytest

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import edge_file, edges_from_hierarchy

GOOD = {
    "plain": b"source,target\ntie,person\n",
    "P and weights": b"source,target,prob,weight\ntie,person,1,3\n",
    "a byte order mark": b"\xef\xbb\xbfsource,target\ntie,person\n",
    "Windows line ends": b"source,target\r\ntie,person\r\n",
    "no last line end": b"source,target\ntie,person",
    "blank lines": b"\nsource,target\n\n  \ntie,person\n\n",
    "blanks": b"source, target\n tie , person\n",
    "quotes": b'"source","target"\n"tie","person"\n',
    "capitals": b"Source,TARGET\ntie,person\n",
    "other columns": b"id,target,note,source\n7,person,\xc3\xbc,tie\n",
}


@pytest.mark.parametrize("case", GOOD)
def test_files_as_people_have_them(case, tmp_path):
    (tmp_path / "k.csv").write_bytes(GOOD[case])
    graph = LabelGraph.from_edges(tmp_path / "k.csv")
    assert graph.label_names == ("person", "tie") and graph.edge_index.tolist() == [[1], [0]]
    assert LabelGraph.from_edges(str(tmp_path / "k.csv")).digest() == graph.digest()


def test_names_are_not_changed(tmp_path):
    names = ["NA", "None", "1e5", "nan", "TRUE", "007", "a,b", 'c"d', "=1+1", "日本"]
    fields = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in names]
    (tmp_path / "k.csv").write_text("source,target\n" + "".join(f"{name},x\n" for name in fields), encoding="utf-8")
    assert LabelGraph.from_edges(tmp_path / "k.csv").label_names == tuple(sorted([*names, "x"]))


BAD = {
    "empty": (b"", "an empty file"),
    "blank": (b"\n \n", "an empty file"),
    "a missing column": (b"source,to\ntie,person\n", "columns source, target, found no column target but source, to"),
    "semicolons": (b"source;target\ntie;person\n", "separate the columns by commas"),
    "a column twice": (b"source,target,target\ntie,person,dog\n", "target twice"),
    "Latin-1": ("source,target\nStraße,person\n".encode("latin-1"), "a table in UTF-8.*save it as UTF-8"),
    "UTF-16": ("source,target\ntie,person\n".encode("utf-16"), "a table in UTF-8"),
    "binary": (bytes(range(256)), "a table in UTF-8"),
    "a zero byte": (b"source,target\ntie,per\0son\n", "edges: expected"),
    "a short row": (b"source,target\ntie\n", "2 fields in every row, as in the first line, found 1 in row 1"),
    "a long row": (b"source,target\nhot dog, sausage,person\n", "found 3 in row 1 .*double quotes"),
    "an open quote": (b'source,target\n"tie,person\n', "a readable CSV file"),
    "a self-loop": (b"source,target\ntie,tie\n", r"tie → tie \(row 1 of k.csv\)"),
    "an edge twice": (b"source,target\ntie,person\ntie,person\n", r"twice tie → person \(row 2 of k.csv\)"),
    "an unknown label": (b"source,target\ntie,pesron\n", "found 'pesron'.*did you mean 'person'"),
    "an empty name": (b"source,target\ntie,\n", "edges: expected names of the 2 labels, found ''"),
    "P = 0": (b"source,target,prob\ntie,person,0\n", r"found '0' for tie → person \(row 1 of k.csv\)"),
    "P = 1.5": (b"source,target,prob\ntie,person,1.5\n", "found '1.5'"),
    "P is nan": (b"source,target,prob\ntie,person,nan\n", "found 'nan'"),
    "no P": (b"source,target,prob\ntie,person,\n", "found '' for"),
    "P is text": (b"source,target,prob\ntie,person,often\n", "found 'often'"),
    "a decimal comma": (b'source,target,prob\ntie,person,"0,9"\n', "found '0,9'.*write decimal points"),
    "P in per cent": (b"source,target,prob\ntie,person,90\n", "found '90'"),
    "escapes": (b"source,target\ntie,\x1b[2Jperson\n", "edges: expected"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_files_are_one_line(case, tmp_path):
    content, message = BAD[case]
    (tmp_path / "k.csv").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        LabelGraph.from_edges(tmp_path / "k.csv", label_names=["person", "tie"])
    assert error.value.argument == "edges" and "\n" not in str(error.value) and str(error.value).isprintable()


def test_files_that_are_none(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv", "\0"):
        with pytest.raises(InputError, match="edges: expected"):
            LabelGraph.from_edges(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    with open(tmp_path / "k.csv", "wb") as file:
        file.truncate(1 << 30)  # sparse: it takes no space
    with pytest.raises(InputError, match="edges: expected a table of at most 256 MiB, found 1,024 MiB"):
        LabelGraph.from_edges(tmp_path / "k.csv")


def test_a_file_of_many_edges(tmp_path):
    rows = [f"{k},{(k * 7 + 1) % 5000}\n" for k in range(5000) if k != (k * 7 + 1) % 5000]
    (tmp_path / "k.csv").write_text("source,target\n" + "".join(rows))
    assert LabelGraph.from_edges(tmp_path / "k.csv").edge_index.size(1) == len(rows)
    assert edge_file.MOST_BYTES >= 1 << 28


def test_a_hierarchy(tmp_path):
    (tmp_path / "h.csv").write_text("child,parent\npoodle,dog\ndog,animal\n")
    assert edges_from_hierarchy(tmp_path / "h.csv").values.tolist() == [["poodle", "dog", 1], ["dog", "animal", 1]]
    (tmp_path / "h.csv").write_text("child,mother\npoodle,dog\n")
    with pytest.raises(InputError, match="parents: expected a CSV file with the columns child, parent, found no colum"):
        edges_from_hierarchy(tmp_path / "h.csv")
