"""Means over draws and splits, and the selection of the runs of a table or figure."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.report.study_runs import described_splits, intervals, main_condition, replicates, split_interval, sweep
from tests.report.study_frames import joined, runs_of

P = {"mlgcn": 0.2, "mlgcn p=0": 0.0, "mlgcn p=1": 1.0}


def test_draws_are_averaged_before_splits():
    runs = joined(runs_of("a", [0.2, 0.4]), runs_of("a", [0.4], draw=1), runs_of("a", [0.6], draw=2))
    assert replicates(runs, ["mAP"])["mAP"].tolist() == pytest.approx([0.4, 0.4])
    found = intervals(runs, "mAP", "contender")["a"]
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.4, 0.4))


def test_a_run_that_did_not_converge_is_not_averaged_away():
    runs = joined(runs_of("a", [0.2, 0.4]), runs_of("a", [math.nan], draw=1))
    assert replicates(runs, ["mAP", "CP"])["mAP"].isna().tolist() == [True, False]
    assert math.isnan(intervals(runs, "mAP", "contender")["a"].value)


def test_a_metric_that_no_run_defines_is_nan():
    runs = runs_of("a", [0.2, 0.4]).assign(**{"AP cat": None})
    assert math.isnan(intervals(runs, "AP cat", "contender")["a"].value)


def test_frames_from_files_and_with_nullable_numbers_give_the_same(tmp_path):
    runs = joined(*(runs_of(name, [0.5 - p / 4], parameter="p", value=p) for name, p in P.items()))
    runs.to_csv(tmp_path / "runs.csv", index=False)
    runs["num_images"] = runs["num_images"].astype("Int64")
    for frame in (runs, pd.read_csv(tmp_path / "runs.csv")):
        assert sweep(frame, "p")[["value", "mAP"]].to_numpy().tolist() == [[0.0, 0.5], [0.2, 0.45], [1.0, 0.25]]
        assert replicates(frame, ["mAP"])["mAP"].tolist() == [0.45, 0.5, 0.25]


@pytest.mark.parametrize("overlap", [0.0, 0.25])
def test_the_interval_is_scipys_with_the_variance_of_overlapping_splits(overlap):
    values = np.array([0.61, 0.64, 0.60, 0.66, 0.63])
    scale = math.sqrt((1 / 5 + overlap) * values.var(ddof=1))
    low, high = stats.t.interval(0.95, 4, loc=values.mean(), scale=scale)
    found = split_interval(values.tolist(), overlap)
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))


def test_runs_of_few_images_have_the_interval_of_their_own_ratio_of_test_images():
    values = [0.61, 0.64, 0.60, 0.66, 0.63]
    few, many = (runs_of("a", values, images=images).assign(overlap=20 / images) for images in (10, 80))
    found = intervals(joined(few, many), "mAP", "num_images")
    assert found[10] == split_interval(values, 2.0) and found[80] == split_interval(values, 0.25)


def test_one_split_has_no_interval():
    found = split_interval([0.5])
    assert found.value == 0.5 and math.isnan(found.low) and math.isnan(found.high)


def test_the_main_condition_has_all_images_and_labels():
    parts = [runs_of("a", [0.1], images=300), runs_of("a", [0.2]), runs_of("a", [0.3], unknown=0.9)]
    assert main_condition(joined(*parts))["mAP"].tolist() == [0.2]
    assert main_condition(joined(*parts[::2]))["mAP"].tolist() == [0.1]


def test_a_sweep_includes_the_plain_contender_at_its_value():
    """Values that went through a CSV file with embeddings in the same column are texts."""
    runs = joined(
        runs_of("mlgcn", [0.5]),
        runs_of("mlgcn one-hot", [0.4], parameter="embeddings", value="one-hot"),
        runs_of("mlgcn tau=0.9", [0.3], parameter="tau", value="0.9"),
        runs_of("mlgcn tau=0", [0.1], parameter="tau", value="0.0"),
    )
    assert sweep(runs, "tau")[["value", "mAP"]].to_numpy().tolist() == [[0.0, 0.1], [0.4, 0.5], [0.9, 0.3]]
    assert sweep(runs, "embeddings")["value"].tolist() == ["given", "one-hot"]


def test_a_point_of_a_sweep_is_not_added_twice():
    runs = joined(*(runs_of(name, [p], parameter="p", value=p) for name, p in P.items()))
    assert sweep(runs, "p")["mAP"].tolist() == [0.0, 0.2, 1.0]


def test_two_contenders_are_no_sweep_over_p():
    runs = joined(*(runs_of(name, [p], parameter="p", value=p) for name, p in list(P.items())[:2]))
    with pytest.raises(InputError, match="runs: expected runs of a sweep over p, found mlgcn, mlgcn p=0"):
        sweep(runs, "p")


def test_families_have_their_own_points():
    parts = [runs_of(f"sharing tau={tau}", [0.6], parameter="tau", value=tau) for tau in (0.2, 0.4, 0.9)]
    runs = joined(runs_of("mlgcn", [0.5]), *parts)
    assert sweep(runs, "tau")[["contender", "value"]].to_numpy().tolist() == [
        ["sharing tau=0.2", 0.2], ["mlgcn", 0.4], ["sharing tau=0.4", 0.4], ["sharing tau=0.9", 0.9],
    ]  # fmt: skip


def test_the_number_of_splits_is_stated():
    runs = joined(runs_of("a", [0.5] * 10), runs_of("a", [0.5] * 3, images=5000))
    assert described_splits(runs) == "mean and 95 % t interval over 3 to 10 splits"
    assert described_splits(runs[runs["split"] == 0]) == "one split, without intervals"


def test_frames_without_the_runs_are_refused():
    with pytest.raises(InputError, match="runs: expected runs of a sweep over tau, found mlgcn"):
        sweep(runs_of("mlgcn", [0.5]), "tau")
    with pytest.raises(InputError, match="found no column mAP, OF1"):
        replicates(runs_of("a", [0.5]).drop(columns=["mAP", "OF1"]), ["mAP", "OF1"])
    with pytest.raises(InputError, match="without rows"):
        main_condition(pd.DataFrame({"num_images": [], "unknown": []}))
