"""``--log-with`` of ``mlgcn train`` and ``train-head``."""

import json
import re

import pytest

from tests.cli import test_train, test_train_head
from tests.cli.test_cli import refused, run
from tests.cli.test_train import scenes  # noqa: F401  # a fixture
from tests.cli.test_train_head import interrupt, made  # noqa: F401
from tests.training.test_trackers import curves


def head_words(made, out, *more):  # noqa: F811
    return ("train-head", *test_train_head.words(made, out, *more))


def history(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def losses(records):
    return [(record["epoch"], pytest.approx(record["loss"], rel=1e-6)) for record in records]


def test_train_writes_curves_and_warns_of_the_old_option(scenes, tmp_path):  # noqa: F811
    run(*test_train.words(scenes, tmp_path / "a", "--log-with", "tensorboard"))
    assert curves(tmp_path / "a" / "tensorboard")["loss"] == losses(history(tmp_path / "a" / "history.jsonl"))
    said = run(*test_train.words(scenes, tmp_path / "b", "--tensorboard"))
    assert "--tensorboard is deprecated; use --log-with tensorboard" in said
    assert len(curves(tmp_path / "b" / "tensorboard")["mAP"]) == 2


def test_an_unknown_tracker_is_refused_in_one_line(scenes, made, tmp_path):  # noqa: F811
    for words in (test_train.words(scenes, tmp_path), head_words(made, tmp_path)):
        said = refused(*words, "--log-with", "tensorbord")
        assert re.search("--log-with: expected one of aim, .*tensorboard.*, found 'tensorbord'", " ".join(said.split()))
        assert not list(tmp_path.iterdir())


def test_heads_have_curves_by_kind_and_seed(made, tmp_path):  # noqa: F811
    run(*head_words(made, tmp_path, "--log-with", "tensorboard"))
    found = curves(tmp_path / "tensorboard")
    for name in ("linear-seed0", "linear-seed1", "mlgcn-seed0", "mlgcn-seed1"):
        assert found[f"{name}/loss"] == losses(history(tmp_path / f"{name}.jsonl"))
    events = sorted((tmp_path / "tensorboard").glob("events*"))
    run(*head_words(made, tmp_path, "--log-with", "tensorboard"))  # the same results once more
    assert {tag: len(points) for tag, points in curves(tmp_path / "tensorboard").items()} == {
        tag: len(points) for tag, points in found.items()
    }
    assert events


def test_an_interrupted_command_continues_its_curves(made, tmp_path, monkeypatch):  # noqa: F811
    with monkeypatch.context() as patch:
        interrupt(patch, 9)
        said = test_train_head.run(*test_train_head.words(made, tmp_path, "--log-with", "tensorboard"), code=130)
    assert "Run the same command to resume" in said
    run(*head_words(made, tmp_path, "--log-with", "tensorboard"))
    found = curves(tmp_path / "tensorboard")
    for name in ("linear-seed0", "mlgcn-seed1"):
        assert found[f"{name}/loss"] == losses(history(tmp_path / f"{name}.jsonl"))


def test_overwrite_starts_new_curves(made, tmp_path):  # noqa: F811
    run(*head_words(made, tmp_path, "--log-with", "tensorboard"))
    run(*head_words(made, tmp_path, "--log-with", "tensorboard", "--epochs", 3, "--overwrite"))
    assert [step for step, _ in curves(tmp_path / "tensorboard")["mlgcn-seed0/loss"]] == [1, 2, 3]
