"""The data frames of a study."""

import numpy as np
import pytest

from mlgcn_pyg.experiments.study.frames import METRICS, runs_frame
from mlgcn_pyg.experiments.study.records import Condition, Run, RunKey
from tests.experiments.study.small import pool


def run_of(data, contender, factor):
    rows = data.splits[0].test
    logits = np.zeros((len(rows), len(data.label_names)), np.float32)
    return Run(RunKey(contender, Condition(20, 0.5), 0), rows, logits, 0.5, 1.0, factor, 10)


def test_a_run_that_did_not_converge_has_undefined_metrics(tmp_path):
    data = pool(tmp_path)
    frame = runs_frame([run_of(data, "mlgcn", 1.0), run_of(data, "mlgcn p=1", np.nan)], data)
    assert frame.loc[0, "mAP"] > 0 and frame.loc[1, list(METRICS)].isna().all()


def test_a_run_names_its_condition_and_its_place_in_a_sweep(tmp_path):
    data = pool(tmp_path)
    frame = runs_frame([run_of(data, name, 1.0) for name in ("mlgcn", "mlgcn tau=0.3", "linear")], data)
    assert frame["parameter"].tolist() == ["", "tau", ""] and frame["value"].tolist() == ["", "0.3", ""]
    assert frame["num_images"].tolist() == [20] * 3 and frame["unknown"].tolist() == [0.5] * 3


def test_equal_scores_have_the_share_of_positives_as_average_precision(tmp_path):
    data = pool(tmp_path)
    frame = runs_frame([run_of(data, "linear", 1.0)], data)
    share = (data.targets[data.splits[0].test] == 1).float().mean(dim=0)
    assert frame.loc[0, "mAP"] == pytest.approx(float(share.mean()), abs=1e-6)
