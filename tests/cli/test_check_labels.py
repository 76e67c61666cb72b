"""``mlgcn check-labels``, ``calibrate`` and ``thresholds --precision`` as a person runs them."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch

from mlgcn_pyg.checkpoints import load_checkpoint, save_head, store_thresholds
from mlgcn_pyg.evaluation import (
    cross_fitted_precision,
    fit_calibration,
    fit_precision_thresholds,
    mean_average_precision,
)
from mlgcn_pyg.experiments import audit_labels
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn import LinearHead
from mlgcn_pyg.training import score
from tests.cli.test_cli import refused, run
from tests.experiments.test_label_audit import NAMES, data


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("check")
    x, targets, _ = data()
    FeatureCache.from_arrays(root / "c.h5", x, targets, NAMES, dtype="float32")
    LabelGraph.from_targets(targets, label_names=NAMES, tau=0.5).save(root / "g.pt")
    torch.manual_seed(0)
    head = LinearHead(3, 6, NAMES)
    head.linear.weight.data *= 5
    save_head(root / "head.pt", head, config={"lr": 0.1})
    return root


def test_suspects_are_shown_and_written(made, tmp_path):
    out = tmp_path / "s.csv"
    shown = run(
        "check-labels", "--cache", made / "c.h5", "--graph", made / "g.pt", "--folds", 3, "--top", 30, "--out", out
    )
    table = pd.read_csv(out)
    cache = FeatureCache(made / "c.h5")
    expected = audit_labels(cache, LabelGraph.load(made / "g.pt"), folds=3, top=30)
    assert table.label.tolist() == expected.label.tolist() and table.score.tolist() == pytest.approx(
        expected.score.tolist()
    )
    assert len(table) == 30 and "Wrote 30 rows to" in shown and "Look at the images before" in shown
    assert not [path for path in tmp_path.iterdir() if path != out]


def test_the_default_graph_has_all_pairs_and_can_be_left_out(made, tmp_path):
    cache = FeatureCache(made / "c.h5")
    pairs = LabelGraph.from_targets(cache.targets, label_names=NAMES, tau=0)
    for more, graph in (((), pairs), (("--no-graph",), None)):
        run("check-labels", "--cache", made / "c.h5", "--folds", 2, "--out", tmp_path / "s.csv", *more)
        expected = audit_labels(cache, graph, folds=2, top=50)
        assert pd.read_csv(tmp_path / "s.csv").score.tolist() == pytest.approx(expected.score.tolist())
    words = ("check-labels", "--cache", made / "c.h5", "--graph", made / "g.pt", "--no-graph")
    assert "--no-graph: expected no --graph" in refused(*words)


def test_json_and_unknown_labels(made, tmp_path):
    printed = run("check-labels", "--cache", made / "c.h5", "--folds", 2, "--top", 4, "--json")
    records = json.loads(printed[printed.index("[") :])
    assert len(records) == 4 and records[0].keys() == {"image", "label", "given", "P", "expected", "score", "reason"}
    line = refused("check-labels", "--cache", made / "c.h5", "--given", "unknown")
    assert line.startswith("mlgcn: error: --given: expected a feature file with unknown labels (−1)")


def test_refusals_are_one_line(made, tmp_path):
    FeatureCache.from_arrays(tmp_path / "few.h5", torch.randn(3, 6), torch.eye(3), NAMES)
    FeatureCache.from_arrays(tmp_path / "none.h5", torch.randn(9, 6), torch.full((9, 3), -1), NAMES)
    LabelGraph.from_targets(torch.eye(3), label_names=["a", "b", "c"]).save(tmp_path / "other.pt")
    for words, expected in (
        (("--cache", tmp_path / "few.h5"), "--folds: expected at most the number of images, 3, found 5"),
        (("--cache", tmp_path / "none.h5"), "--cache: expected a label with at least 5 known positives"),
        (("--cache", made / "c.h5", "--graph", tmp_path / "other.pt"), "--graph: expected "),
        (("--cache", made / "c.h5", "--folds", 1), "--folds: expected an integer ≥ 2"),
        (("--cache", made / "c.h5", "--out", tmp_path / "x.txt"), "--out: expected a name that ends in .csv"),
    ):
        assert expected in refused("check-labels", *words)


def test_ctrl_c_leaves_nothing(tmp_path):
    x = torch.randn(6000, 400)
    FeatureCache.from_arrays(
        tmp_path / "c.h5", x, (x @ torch.randn(400, 30) > 0).to(torch.int8), [str(k) for k in range(30)]
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "mlgcn_pyg", "check-labels", "--cache", "c.h5", "--out", "s.csv"],
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "100"},
    )  # fmt: skip
    for _ in range(600):  # until the first progress bar
        time.sleep(0.1)
        if process.poll() is not None or os.path.exists(f"/proc/{process.pid}") and _threads(process.pid) > 1:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["c.h5"]


def _threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def test_a_calibrated_head_has_the_same_ranking_and_lower_error(made, tmp_path):
    path, out = tmp_path / "head.pt", tmp_path / "calibrated.pt"
    path.write_bytes((made / "head.pt").read_bytes())
    store_thresholds(path, torch.tensor([0.5, -0.5, torch.inf]))
    shown = run("calibrate", "--checkpoint", path, "--cache", made / "c.h5", "--out", out)
    cache, before, after = FeatureCache(made / "c.h5"), load_checkpoint(path), load_checkpoint(out)
    logits, targets = score(before.head, cache)
    new, _ = score(after.head, cache)
    fitted = fit_calibration(logits, targets, "platt")
    assert torch.allclose(new.double(), fitted(logits), atol=1e-4)
    assert mean_average_precision(new, targets) == pytest.approx(mean_average_precision(logits, targets), abs=1e-6)
    assert torch.allclose(after.thresholds, fitted(before.thresholds))
    assert (
        "before" in shown
        and "cross-fitted" in shown
        and "Scales " in shown
        and f"Wrote {out}" in shown.replace("\n", "")
    )
    numbers = {
        line.split()[0]: line for line in shown.splitlines() if line.strip().startswith(("before", "calibrated"))
    }
    assert float(numbers["calibrated,"].split()[2]) < float(numbers["before"].split()[1])
    assert "Temperature " in run(
        "calibrate", "--checkpoint", path, "--cache", made / "c.h5", "--out", out, "--method", "temperature"
    )


def test_calibrate_refuses(made, tmp_path):
    words = ("calibrate", "--checkpoint", made / "head.pt", "--cache")
    FeatureCache.from_arrays(tmp_path / "none.h5", torch.randn(9, 6), torch.full((9, 3), -1), NAMES)
    assert "--cache: expected at least one known target" in refused(
        *words, tmp_path / "none.h5", "--out", tmp_path / "o.pt"
    )
    assert "--out: expected a different file than the input files" in refused(
        *words, made / "c.h5", "--out", made / "head.pt"
    )
    assert "--method: expected one of platt, temperature" in refused(
        *words, made / "c.h5", "--out", tmp_path / "o.pt", "--method", "isotonic"
    )
    assert not (tmp_path / "o.pt").exists()


def test_thresholds_for_a_precision(made, tmp_path):
    path = tmp_path / "head.pt"
    path.write_bytes((made / "head.pt").read_bytes())
    shown = run("thresholds", "--checkpoint", path, "--cache", made / "c.h5", "--precision", 0.9)
    logits, targets = score(load_checkpoint(path).head, FeatureCache(made / "c.h5"))
    fitted = load_checkpoint(path).thresholds
    assert torch.equal(fitted, fit_precision_thresholds(logits, targets, 0.9))
    crossed = cross_fitted_precision(logits, targets, 0.9)
    assert f"recall {crossed.recall.nanmean():.3f}" in shown
    assert ("never" in shown) and "precision" in shown
    for wrong in (0, 1.5):
        assert "--precision: expected a number in (0, 1]" in refused(
            "thresholds", "--checkpoint", path, "--cache", made / "c.h5", "--precision", wrong
        )
