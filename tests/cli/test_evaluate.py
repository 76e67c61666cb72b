"""``mlgcn evaluate`` with intervals, and as a comparison of heads."""

import json

import numpy as np
import pytest
import torch

from mlgcn_pyg.checkpoints import load_head, save_head, store_thresholds
from mlgcn_pyg.cli import evaluate as command
from mlgcn_pyg.evaluation import bootstrap_metrics, paired_difference, table1_row
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.nn import LinearHead
from mlgcn_pyg.training import score
from tests.cli.test_cli import refused, run

NAMES = ["cat", "[dog]", "never"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A cache whose features are noisy targets, a head that reads them, and one that cannot read "[dog]"."""
    root = tmp_path_factory.mktemp("evaluate")
    generator = np.random.default_rng(0)
    targets = (generator.random((120, 3)) < [0.4, 0.3, 0]).astype(np.int8)
    features = 2.0 * targets - 1 + generator.standard_normal(targets.shape)
    FeatureCache.from_arrays(root / "test.h5", features, targets, NAMES)
    FeatureCache.from_arrays(root / "one.h5", features[:1], targets[:1], NAMES)
    for name, readable in (("good", [1.0, 1.0, 1.0]), ("poor", [1.0, -0.1, 1.0])):
        head = LinearHead(3, 3, NAMES)
        head.linear.weight.data = torch.diag(torch.tensor(readable))
        head.linear.bias.data.zero_()
        save_head(root / f"{name}.pt", head)
    return root


def words(made, *names, cache="test.h5"):
    checkpoints = [word for name in names for word in ("--checkpoint", made / f"{name}.pt")]
    return ("evaluate", *checkpoints, "--cache", made / cache)


def logits_of(made, name, cache="test.h5"):
    return score(load_head(made / f"{name}.pt"), FeatureCache(made / cache))


def test_json_has_the_intervals_of_each_head_and_its_difference_to_the_first(made):
    content = json.loads(run(*words(made, "poor", "good"), "--replicates", 200, "--json"))
    (poor, targets), (good, _) = (logits_of(made, name) for name in ("poor", "good"))
    files = [str(made / f"{name}.pt") for name in ("poor", "good")]
    found = content["intervals"]
    assert (found["level"], found["replicates"], found["seed"], found["reference"]) == (0.95, 200, 0, files[0])
    for file, logits in zip(files, (poor, good), strict=True):
        expected = bootstrap_metrics(logits, targets, replicates=200)
        assert content["checkpoints"][file] == table1_row(logits, targets, NAMES)
        assert found["checkpoints"][file]["mAP"] == vars(expected.mAP)
        assert found["checkpoints"][file]["OF1"] == vars(expected.OF1)
        assert found["checkpoints"][file]["AP"]["[dog]"] == vars(expected.AP[1])
        assert found["checkpoints"][file]["AP"]["never"] == {"value": None, "low": None, "high": None}
        assert found["checkpoints"][file]["mAP"]["value"] == pytest.approx(content["checkpoints"][file]["all"]["mAP"])
    expected = paired_difference(good, poor, targets, replicates=200)
    assert list(found["differences"]) == [files[1]]
    difference = found["differences"][files[1]]
    assert difference["mAP"] == vars(expected.mAP) and difference["OF1"] == vars(expected.OF1)
    assert difference["AP"]["cat"] == {"value": 0, "low": 0, "high": 0, "above": 0}
    assert difference["gained"] == ["[dog]"] and difference["lost"] == []


def test_the_table_shows_intervals_and_names_the_labels(made):
    output = run(*words(made, "poor", "good"))
    poor, good = (bootstrap_metrics(*logits_of(made, name)).mAP for name in ("poor", "good"))
    for one in (poor, good):
        assert f"{100 * one.value:.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}]" in output
    difference = paired_difference(logits_of(made, "good")[0], *logits_of(made, "poor")).mAP
    assert f"+{100 * difference.value:.1f} [+{100 * difference.low:.1f}, +{100 * difference.high:.1f}]" in output
    assert "AP of good against poor: higher for [dog]" in output
    assert "Resampling" not in output  # too short for a progress bar


def test_one_checkpoint_has_no_difference(made):
    output = run(*words(made, "good"))
    assert "95 % bootstrap intervals" in output and "first" not in output
    content = json.loads(run(*words(made, "good", "good"), "--json"))  # the same file twice is one checkpoint
    assert content["intervals"]["differences"] == {} and len(content["checkpoints"]) == 1


def test_no_replicates_no_intervals(made):
    assert "bootstrap" not in run(*words(made, "good", "poor"), "--replicates", 0)
    content = json.loads(run(*words(made, "good", "poor"), "--replicates", 0, "--json"))
    assert content["intervals"] is None and len(content["checkpoints"]) == 2


def test_a_negative_number_is_refused(made):
    assert "--replicates: expected an integer ≥ 0, found -1" in refused(*words(made, "good"), "--replicates", -1)


def test_intervals_use_the_thresholds_of_each_checkpoint(made, tmp_path):
    logits, targets = logits_of(made, "good")
    for name, cuts in (("a", [0.5, 0.0, 0.0]), ("b", [0.0, -3.0, 0.0])):
        (tmp_path / f"{name}.pt").write_bytes((made / "good.pt").read_bytes())
        store_thresholds(tmp_path / f"{name}.pt", torch.tensor(cuts, dtype=torch.float64))
    checkpoints = [word for name in "ab" for word in ("--checkpoint", tmp_path / f"{name}.pt")]
    content = json.loads(run("evaluate", *checkpoints, "--cache", made / "test.h5", "--thresholds", "--json"))
    expected = paired_difference(logits, logits, targets, thresholds_a=[0.0, -3.0, 0.0], thresholds_b=[0.5, 0.0, 0.0])
    (difference,) = content["intervals"]["differences"].values()
    assert difference["OF1"] == vars(expected.OF1) and difference["mAP"]["value"] == 0 != difference["OF1"]["value"]


def test_a_single_image_has_no_interval(made):
    output = run(*words(made, "good", cache="one.h5"))
    assert "[–, –]" in output
    content = json.loads(run(*words(made, "good", cache="one.h5"), "--json"))
    (found,) = content["intervals"]["checkpoints"].values()
    assert found["OF1"]["low"] is None and found["OF1"]["value"] is not None


def test_long_computations_show_their_progress(made, monkeypatch):
    monkeypatch.setattr(command, "LONG", 100)
    assert "Resampling" in run(*words(made, "good", "poor"), "--replicates", 40)
    seen = []
    with command._progress(2, 40, 1000) as progress:
        monkeypatch.setattr("rich.progress.Progress.update", lambda *_, completed=None, **__: seen.append(completed))
        progress(1)(32)
    assert 72 in seen
