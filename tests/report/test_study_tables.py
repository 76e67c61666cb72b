"""Tables 1 to 3: the published rows above those of a study, and what is said about their difference."""

import math

import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.report.study_tables import Measurement, paper_table1, paper_table2, paper_table3
from tests.report.study_frames import joined, runs_of

COCO30K = Measurement("coco30k", 18, 5000, "MobileNetV2", 224)
RUNS = joined(
    runs_of("mlgcn", [0.40, 0.42, 0.44], images=300),
    runs_of("mlgcn 3 layers", [0.40], images=300, parameter="layers", value=3),
    runs_of("mlgcn tau=0.9", [0.1], images=300, parameter="tau", value=0.9),
    runs_of("mlgcn p=0", [0.41], images=300, parameter="p", value=0.0),
    runs_of("linear", [0.5, math.nan], images=300),
    runs_of("linear", [0.9], images=100),
)


def rows(table, heading):
    return {row[0]: row[1:] for block in table.blocks if heading in block.heading for row in block.rows}


def test_table_1_has_the_published_rows_above_ours():
    table = paper_table1(RUNS, COCO30K)
    assert [block.heading.split()[0] for block in table.blocks] == ["published:"] * 4 + ["ours,"]
    assert rows(table, "Table 1")["ML-GCN (Re-weighted)"] == [
        "83.0", "85.1", "72.0", "78.0", "85.8", "75.4", "80.3", "89.2", "64.1", "74.6", "90.5", "66.5", "76.7",
        "as stated there", "Chen et al. 2019, Table 1",
    ]  # fmt: skip
    later = rows(table, "later methods")["CSRA"]
    assert (later[0], later[1], later[-2:]) == ("83.3", "–", ["ResNet-101, 448 px", "CSRA README"])


def test_ours_are_means_with_half_of_the_t_interval():
    """0.40, 0.42, 0.44 have the standard deviation 0.02; 4.303 · 0.02 / √3 = 0.0497."""
    mine = rows(paper_table1(RUNS, COCO30K), "ours, as measured on coco30k")
    assert mine["mlgcn"][:3] == ["42.0 ±5.0", "43.0", "44.0"] and mine["mlgcn"][12] == "54.0"
    assert mine["mlgcn p=0"][0] == "41.0"  # one split
    assert mine["linear"][0] == "–"  # undefined on one split; the runs on 100 images are left out
    assert list(mine) == ["mlgcn", "mlgcn 3 layers", "mlgcn p=0", "linear"]  # without the sweep over τ


def test_contenders_can_be_named():
    table = paper_table1(RUNS, COCO30K, ["linear", "mlgcn tau=0.9"])
    assert list(rows(table, "ours")) == ["linear", "mlgcn tau=0.9"]
    with pytest.raises(InputError, match="contenders: expected names of mlgcn, .*, found 'sharing'"):
        paper_table1(RUNS, COCO30K, ["sharing"])


def test_the_table_says_that_its_rows_cannot_be_compared():
    notes = paper_table1(RUNS, COCO30K).notes
    assert "copied from their sources" in notes[0]
    assert notes[1].endswith("cannot be compared with them: the protocol, backbone, labels and images differ.")
    assert "18 labels (80 in the published rows), 300 training images, 5,000 test images" in notes[2]
    assert "MobileNetV2, 224 px" in notes[2] and "over 3 splits" in notes[3]
    text = paper_table1(RUNS, COCO30K).markdown()
    assert all(note in text for note in notes)


def test_on_the_same_data_and_backbone_only_the_protocol_differs():
    voc = Measurement("VOC 2007", 20, 4952, "ResNet-101", 448, dataset="voc2007")
    notes = paper_table2(RUNS, voc).notes
    assert "the protocol differs." in notes[1] and "in the published rows" not in notes[2]
    assert (
        "the protocol and images differ." in paper_table2(RUNS, Measurement(**vars(voc) | {"num_test": 120})).notes[1]
    )
    assert "the protocol, labels and images differ." in paper_table1(RUNS, voc).notes[1]


def test_one_split_and_unknown_labels_are_stated():
    runs = runs_of("mlgcn", [0.4], unknown=0.9)
    notes = paper_table1(runs, Measurement("mine", 3, 10)).notes
    assert notes[3] == "Ours are from one split, without an interval." and "90 % of the training labels" in notes[2]


def test_table_2_has_the_average_precision_of_each_label():
    runs = runs_of("mlgcn", [0.4, 0.4]).assign(**{"AP tvmonitor": 0.25})
    table = paper_table2(runs, COCO30K)
    names = [column.name for column in table.columns]
    assert len(names) == 24 and names[1] == "aero" and names[19:] == ["train", "tv", "mAP", "network", "source"]
    assert rows(table, "ours")["mlgcn"][:21] == ["–"] * 19 + ["25.0", "40.0 ±0.0"]
    assert rows(table, "Table 2")["HCP"][19:21] == ["91.5", "90.9"]


def test_table_3_has_a_row_per_depth():
    table = paper_table3(RUNS, COCO30K)
    assert [row[:6] for row in table.blocks[0].rows] == [
        ["ML-GCN 2-layer", "83.0", "78.0", "80.3", "74.6", "76.7"],
        ["ML-GCN 3-layer", "82.1", "76.9", "79.7", "73.7", "76.2"],
        ["ML-GCN 4-layer", "81.1", "76.4", "79.4", "72.5", "75.8"],
    ]
    assert rows(table, "published on VOC")["ML-GCN 3-layer"][:2] == ["93.6", "–"]
    mine = rows(table, "ours")
    assert mine["mlgcn 2-layer"][:3] == ["42.0 ±5.0", "45.0 ±5.0", "48.0 ±5.0"] and mine["mlgcn 3-layer"][0] == "40.0"
