"""Studies with several label embeddings: each trains the heads that a study with it alone trains."""

import numpy as np
import pytest
import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.experiments.study import Condition, analyse, make_plan, run_study
from mlgcn_pyg.experiments.study.contenders import find_contender
from mlgcn_pyg.experiments.study.frames import runs_frame
from mlgcn_pyg.experiments.study.label_embeddings import named_embeddings
from mlgcn_pyg.experiments.study.study import describe_study
from tests.experiments.study.small import embeddings, make_small, parts

OTHER = torch.from_numpy(np.random.default_rng(4).normal(size=(4, 3)).astype(np.float32))
BOTH = {"glove": embeddings(), "minilm": OTHER}
CPU = torch.device("cpu")


def test_further_embeddings_are_those_of_contenders_with_their_name(tmp_path, monkeypatch):
    make_small(monkeypatch)
    names = ["mlgcn", "sharing", "sharing embeddings=minilm"]
    data = parts(tmp_path, embeddings=BOTH)
    several = run_study(data, make_plan(data, (), names), tmp_path / "several").runs
    (tmp_path / "more").mkdir()
    alone = parts(tmp_path / "more", embeddings=OTHER)
    single = run_study(alone, make_plan(alone, (), ["mlgcn", "sharing"]), tmp_path / "alone").runs
    given = {(run.key.contender, run.key.split): run.logits for run in several}
    for run in single:
        other = given[f"{run.key.contender} embeddings=minilm", run.key.split]
        assert np.array_equal(run.logits, other)
        assert not np.array_equal(run.logits, given[run.key.contender, run.key.split])


def test_the_plan_has_ml_gcn_with_each_of_the_further_embeddings(tmp_path):
    data = parts(tmp_path, embeddings=BOTH | {"other": OTHER + 1})
    added = ["mlgcn embeddings=minilm", "mlgcn embeddings=other"]
    plan = make_plan(data, ("fig4",))
    fig4 = ["linear", "mlgcn", "mlgcn one-hot", "mlgcn random embeddings"]
    assert [name for name, _ in plan.entries] == [*fig4, *added]
    assert plan.contenders["mlgcn embeddings=other"].embeddings == "other"
    curve = make_plan(data, ("learning-curve",))
    assert {condition for name, condition in curve.entries if name == added[0]} == {*curve.conditions}
    assert [name for name, _ in make_plan(data, (), ["linear"]).entries] == ["linear", *added]
    omitted = make_plan(data, (), ["linear", "mlgcn embeddings=absent"]).omitted
    assert omitted == {"mlgcn embeddings=absent": "no label embeddings absent are given"}


def test_several_numbers_of_images_are_conditions_of_one_study(tmp_path, monkeypatch):
    make_small(monkeypatch)
    data = parts(tmp_path)
    plan = make_plan(data, ("fig4",), ["sharing"], num_images=[20, 40, 20])
    assert plan.conditions == (Condition(20), Condition(40)) and len(plan.entries) == 2 * 5
    assert plan == make_plan(data, ("fig4",), ["sharing"], num_images=(20, 40))
    with pytest.raises(InputError, match="num_images: expected at most 80, the training images, found 81"):
        make_plan(data, num_images=[20, 81])


@pytest.mark.parametrize("name", ["mlgcn embeddings=", "resnet embeddings=minilm", " embeddings=minilm"])
def test_names_of_no_contender(name):
    with pytest.raises(InputError, match="contenders: expected names of linear"):
        find_contender(name)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"a": torch.ones(3, 2)}, r"embeddings: expected shape \(4, F\), found shape \(3, 2\)"),
        ({"a": torch.ones(4, 0)}, r"embeddings: expected shape \(4, F\), found shape \(4, 0\)"),
        ({"a": [[1.0]] * 4}, r"embeddings: expected shape \(4, F\), found"),
        ({"a": torch.full((4, 2), torch.nan)}, "embeddings: expected finite"),
        ({"a b": torch.ones(4, 2)}, "embeddings: expected names of letters and digits.*'a b'"),
        ({"one-hot": torch.ones(4, 2)}, "other than given, one-hot, random, found 'one-hot'"),
        ({"a-b": torch.ones(4, 2), "A_b": torch.ones(4, 2)}, "names that differ in letters or digits.*'a-b' and 'A_b'"),
    ],
)
def test_embeddings_that_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        named_embeddings(given, 4)


def test_embeddings_without_a_name(tmp_path):
    assert named_embeddings(None, 4) == {} and [*named_embeddings(OTHER, 4)] == ["given"]
    data = parts(tmp_path, embeddings=OTHER)
    assert data.embeddings_name == "given" and data.further == {} and data.embeddings is OTHER
    assert "further_embeddings" not in describe_study(data, CPU)  # as in studies of earlier versions


def test_embeddings_can_be_added_to_a_study(tmp_path, monkeypatch):
    make_small(monkeypatch)
    folder = tmp_path / "study"
    data = parts(tmp_path)
    run_study(data, make_plan(data, (), ["mlgcn"]), folder)
    for k, name in enumerate(("minilm", "other")):
        (tmp_path / name).mkdir()
        data = parts(tmp_path / name, embeddings={"glove": embeddings(), name: OTHER + k})
        seen: list[tuple] = []
        run_study(data, make_plan(data, (), ["mlgcn"]), folder, progress=lambda *done, to=seen: to.append(done[2]))
        assert [key.contender for key in seen] == [f"mlgcn embeddings={name}"] * 2
    (tmp_path / "changed").mkdir()
    data = parts(tmp_path / "changed", embeddings={"glove": embeddings(), "minilm": OTHER + 9})
    with pytest.raises(InputError, match="found different further_embeddings in"):
        run_study(data, make_plan(data, (), ["mlgcn"]), folder)


def test_the_analysis_names_the_embeddings_and_compares_each_with_the_given_ones(tmp_path, monkeypatch):
    make_small(monkeypatch)
    data = parts(tmp_path, embeddings=BOTH)
    found = analyse(run_study(data, make_plan(data, ("fig4",)), tmp_path / "study"), replicates=50)
    assert found.describe()["setup"]["embeddings"] == ["glove", "minilm"]
    pairs = {(one.a, one.b): one for one in found.findings[0].comparisons}
    assert not pairs["mlgcn embeddings=minilm", "mlgcn"].primary
    assert {a for a, b in pairs if b == "mlgcn"} == {
        "mlgcn embeddings=minilm", "mlgcn one-hot", "mlgcn random embeddings",
    }  # fmt: skip
    rows = runs_frame(found.study.runs, data)
    columns = rows[["contender", "parameter", "value"]].to_numpy()
    places = {name: (parameter, value) for name, parameter, value in columns}
    assert places["mlgcn embeddings=minilm"] == ("embeddings", "minilm")
    assert places["mlgcn one-hot"] == ("embeddings", "one-hot") and places["mlgcn"] == ("", "")
