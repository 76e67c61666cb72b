"""``mlgcn data split`` as a person runs it."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mlgcn_pyg.cli.main import app
from mlgcn_pyg.datasets import TableDataset
from tests.cli.test_cli import refused, run


@pytest.fixture
def table(tmp_path):
    """40 photographs: 20 with a cat, 8 with a dog, 2 with an emu, 1 with a fox, of 10 photographers."""
    labels = [
        ["cat"] * (k < 20) + ["dog"] * (k % 5 == 0) + ["emu"] * (k in (7, 30)) + ["fox"] * (k == 33) for k in range(40)
    ]
    rows = [f"{k}.jpg,{';'.join(some)},by{k // 4}\n" for k, some in enumerate(labels)]
    path = tmp_path / "photos.csv"
    path.write_text("image,labels,photographer\n" + "".join(rows))
    return path


def parts(folder, *names):
    return [(folder / f"{name}.csv").read_text().splitlines()[1:] for name in names]


def test_parts_are_written_and_shown(table):
    output = run("data", "split", table, "--val", 0.15, "--test", 0.15)
    lines = {line.split()[0]: line.split() for line in output.splitlines() if line.strip()}
    assert [lines[name][1] for name in ("train", "val", "test")] == ["28", "6", "6"]
    assert lines["cat"] == ["cat", "20", "14", "3", "3"] and lines["fox"] == ["fox", "1", "1", "0", "0"]
    assert "Warning: no image of val has emu, fox\n" in output  # the shares of 2 images are 1.4, 0.3 and 0.3
    assert "no image of train" not in output and "Wrote" in output
    train, val, test = parts(table.parent, "train", "val", "test")
    assert sorted(train + val + test) == sorted(table.read_text().splitlines()[1:])
    data = TableDataset(table.parent / "train.csv", table.parent)
    assert len(data) == 28 and data.label_names == ("cat", "dog", "emu", "fox")
    assert run("data", "split", table, "--val", 0.15, "--test", 0.15) == output  # the same parts, which are there


def test_folds_and_groups(table, tmp_path):
    out = tmp_path / "new" / "folds"
    output = run("data", "split", table, "--folds", 4, "--test", 0.2, "--group", "photographer", "--out", out)
    names = ("fold1", "fold2", "fold3", "fold4", "test")
    assert sorted(path.name for path in out.iterdir()) == sorted(f"{name}.csv" for name in names)
    assert [len(rows) for rows in parts(out, *names)] == [8] * 5
    photographers = [{row.rpartition(",")[2] for row in rows} for rows in parts(out, *names)]
    assert [len(some) for some in photographers] == [2] * 5 and len(set.union(*photographers)) == 10
    (fold,) = [name for name, rows in zip(names, parts(out, *names), strict=True) if any("fox" in row for row in rows)]
    assert fold != "test" and f"Warning: without {fold}, no image is left that has fox\n" in output


def test_json_and_parquet(tmp_path):
    targets = np.eye(4, dtype=int).repeat(6, axis=0)
    marks = pd.DataFrame(targets, columns=["ant", "bee", "cat", "dog"]).assign(emu=0)
    marks.insert(0, "image", [f"{k}.jpg" for k in range(24)])
    marks.to_parquet(tmp_path / "t.parquet")
    result = CliRunner().invoke(app, ["data", "split", str(tmp_path / "t.parquet"), "--val", "0.5", "--json"])
    assert result.exit_code == 0 and result.stderr == "Warning: no image has emu\n"
    content = json.loads(result.stdout)
    assert content["seed"] == 0 and list(content["parts"]) == ["train", "val"]
    for name, part in content["parts"].items():
        assert part["file"] == str(tmp_path / f"{name}.parquet") and part["num_images"] == 12
        assert part["positives"] == {"ant": 3, "bee": 3, "cat": 3, "dog": 3, "emu": 0}
        assert part["share_deviation"] == 0 and part["without_positives"] == [] and part["labels_per_image"] == 1
        assert pd.read_parquet(part["file"])[["ant", "bee", "cat", "dog"]].sum().tolist() == [3] * 4


def test_refusals_are_one_line_and_write_nothing(table):
    split, before = ("data", "split", table), list(table.parent.iterdir())
    for words, text in [
        ((), "--val: expected a fraction of the images, found none; give --val, --test or --folds"),
        (("--val", 0.5, "--test", 0.5), "--val: expected fractions that sum to less than 1, found 0.5 + 0.5"),
        (("--val", 15), "--val: expected a number in [0, 1], found 15"),
        (("--folds", 41), "--folds: expected at least 2 and at most the number of images, 40, found 41"),
        (("--folds", 11, "--group", "photographer"), "at most the number of groups, 10, found 11"),
        (("--val", 0.2, "--group", "photograper"), "found 'photograper'; the nearest is 'photographer'"),
        (("--val", 0.2, "--image-column", "file"), "--image-column: expected one of the columns image, labels"),
        (("--val", 0.2, "--labels-column", "label"), "--labels-column: expected one of the columns"),
        (("--val", 0.01), "--val: expected at least one image in every part"),
        (("--val", 0.2, "--seed", -1), "--seed: expected an integer"),
        (("--val", 0.2, "--max-bytes", 10), "TABLE: expected a table of at most"),
        (("--val", 0.2, "--out", table), "--out: expected a folder that can be written"),
    ]:
        assert text in refused(*split, *words)
    assert "TABLE: expected a file that exists" in refused("data", "split", "no.csv", "--val", 0.2)
    assert list(table.parent.iterdir()) == before


def test_existing_tables_are_kept(table):
    kept = table.with_name("val.csv")
    kept.write_text("precious")
    line = refused("data", "split", table, "--val", 0.2)
    assert "val.csv exists; choose a different folder, or pass --overwrite to replace it" in line
    assert kept.read_text() == "precious" and not table.with_name("train.csv").exists()
    run("data", "split", table, "--val", 0.2, "--overwrite")
    assert len(parts(table.parent, "val")[0]) == 8
    train = table.rename(table.with_name("train.csv"))
    for words in ((), ("--overwrite",)):
        line = refused("data", "split", train, "--val", 0.2, *words)
        assert "--out: expected a different file than the input file" in line
    run("data", "split", train, "--folds", 2)  # writes fold1.csv and fold2.csv beside train.csv
