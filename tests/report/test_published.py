"""The packaged figures against the file that they come from, and against the paper's tables."""

import csv
import os
from pathlib import Path

import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.report import published
from mlgcn_pyg.report.published import later_methods, published_table, published_without_graph, released_results

SHARED = Path(os.environ.get("MLGCN_SHARED_DATA", "../shared/data")) / "published" / "published.csv"
PACKAGED = Path(published.__file__).with_name("published.csv")


def lines(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} does not exist")
def test_the_packaged_file_has_the_collected_figures():
    assert lines(PACKAGED) == lines(SHARED)


def test_every_figure_belongs_to_one_block():
    blocks = [*(row for number in (1, 2, 3) for row in published_table(number)), *published_without_graph()]
    blocks += [*released_results(), *later_methods()]
    found = [
        (row.source, row.dataset, row.method, row.backbone, str(row.image_size or ""), *metric, value)
        for row in blocks
        for metric, value in row.percent.items()
    ]
    expected = [
        (*list(line.values())[:5], line["labels"], line["metric"], float(line["percent"])) for line in lines(PACKAGED)
    ]
    assert sorted(found) == sorted(expected) and len(set(found)) == len(found)


def test_table_1_has_the_rows_of_the_paper():
    rows = published_table(1)
    assert [row.method for row in rows] == [
        "CNN-RNN", "RNN-Attention", "Order-Free RNN", "ML-ZSL", "SRN", "ResNet-101", "Multi-Evidence",
        "ML-GCN (Binary)", "ML-GCN (Re-weighted)",
    ]  # fmt: skip
    names = ("CP", "CR", "CF1", "OP", "OR", "OF1")
    last, binary = rows[-1].percent, rows[-2].percent
    assert last["all", "mAP"] == 83.0 and binary["all", "mAP"] == 80.3
    assert [last["all", name] for name in names] == [85.1, 72.0, 78.0, 85.8, 75.4, 80.3]
    assert [last["top-3", name] for name in names] == [89.2, 64.1, 74.6, 90.5, 66.5, 76.7]
    assert ("all", "mAP") not in rows[1].percent  # not published


def test_table_2_has_the_average_precision_of_twenty_labels():
    rows = {row.method: row.percent for row in published_table(2)}
    ours = rows["ML-GCN (Re-weighted)"]
    assert len(ours) == 21 and ours["all", "AP bottle"] == 80.8 and ours["all", "mAP"] == 94.0
    mean = sum(value for (_, name), value in ours.items() if name != "mAP") / 20
    assert mean == pytest.approx(94.0, abs=0.05)


def test_table_3_is_the_depth_on_both_data_sets():
    found = {(row.dataset, row.method): row.percent["all", "mAP"] for row in published_table(3)}
    assert found == {
        ("coco2014", "ML-GCN 2-layer"): 83.0,
        ("coco2014", "ML-GCN 3-layer"): 82.1,
        ("coco2014", "ML-GCN 4-layer"): 81.1,
        ("voc2007", "ML-GCN 2-layer"): 94.0,
        ("voc2007", "ML-GCN 3-layer"): 93.6,
    }


def test_a_backbone_or_size_that_is_unknown_is_left_out():
    networks = {row.method: row.network for row in later_methods("coco2014")}
    assert networks["CSRA"] == "ResNet-101, 448 px"
    assert networks["GKGNet"].endswith(" px") and "," not in networks["GKGNet"]
    assert networks["GATN"] == "ResNeXt-101 (swsl)"


def test_other_tables_and_data_sets_are_refused():
    with pytest.raises(InputError, match="number: expected"):
        published_table(4)
    with pytest.raises(InputError, match="dataset: expected"):
        later_methods("coco")
