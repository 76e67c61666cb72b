"""Which runs a study consists of."""

from collections import Counter

import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.experiments.study import ALL, CONTENDERS, PRESETS, SWEEPS, Condition, make_plan
from mlgcn_pyg.experiments.study.plan import CURVE, QUICK, num_splits
from tests.experiments.study.small import parts, pool

FEW = Condition(40)


@pytest.fixture
def data(tmp_path):
    return parts(tmp_path)


def names(plan):
    return [name for name, _ in plan.entries]


def test_every_run_occurs_once_and_split_by_split(tmp_path):
    data = parts(tmp_path, num_splits=7)
    keys = make_plan(data).keys(data)
    assert len(set(keys)) == len(keys) and [key.split for key in keys] == sorted(key.split for key in keys)
    assert set(Counter(key.split for key in keys).values()) == {4 + 2 * 3}  # 7 splits × 3 draws ≥ 20 control graphs
    assert {key.contender for key in keys} == set(QUICK)
    assert sorted(key.draw for key in keys if key.contender == "mlgcn shuffled") == sorted([0, 1, 2] * 7)


@pytest.mark.parametrize("number, draws", [(1, 20), (6, 4), (10, 2), (20, 1), (30, 1)])
def test_there_are_at_least_twenty_control_graphs(tmp_path, number, draws):
    data = pool(tmp_path, num_splits=number)
    keys = make_plan(data, (), ["sharing shuffled"]).keys(data)
    assert len(keys) == number * draws >= 20


def test_presets(data):
    assert names(make_plan(data, ("fig5",))) == ["linear", *SWEEPS["tau"].values()]
    assert names(make_plan(data, ("fig6",))) == ["linear", *SWEEPS["p"].values()]
    assert names(make_plan(data, ("table3",))) == ["linear", "mlgcn", "mlgcn 3 layers", "mlgcn 4 layers"]
    assert make_plan(data, ("partial-labels",)).conditions == (Condition(), Condition(None, 0.5), Condition(None, 0.9))
    assert make_plan(data, ("learning-curve",)).conditions == (Condition(20), FEW, Condition())
    curve = make_plan(data, ("learning-curve",), num_images=40)
    assert curve.conditions == (Condition(10), Condition(20), FEW) and set(names(curve)) == set(QUICK)
    both = make_plan(data, ("quick", "fig5"), ["mlgcn"])
    assert len(names(both)) == len(set(names(both)))  # contenders of both presets occur once
    assert CURVE[0] == 300


def test_all_presets_together_have_every_contender_that_the_data_allow(data):
    plan = make_plan(data, (ALL,))
    assert set(names(plan)) == set(CONTENDERS) - {"linear average"}
    assert set(plan.entries) == {entry for preset in PRESETS for entry in make_plan(data, (preset,)).entries}
    assert plan.omitted == {"linear average": "no features with average pooling are given"}


def test_contenders_that_require_embeddings_are_left_out_without_them(tmp_path):
    plan = make_plan(parts(tmp_path, embeddings=None), ("controls", "fig4"))
    assert plan.omitted == {
        "mlgcn permuted embeddings": "no label embeddings are given",
        "mlgcn one-hot": "no label embeddings are given, so that mlgcn is one-hot",
    }
    assert "mlgcn random embeddings" in names(plan) and "mlp" in names(plan)


def test_heads_that_sgd_trains_on_many_images_have_three_splits(tmp_path, monkeypatch):
    monkeypatch.setattr("mlgcn_pyg.experiments.study.plan.MANY_IMAGES", 50)
    data = parts(tmp_path, num_splits=6)
    found = {name: num_splits(CONTENDERS[name], Condition(), data) for name in ("mlgcn", "linear", "sharing")}
    assert found == {"mlgcn": 3, "linear": 6, "sharing": 6}
    assert num_splits(CONTENDERS["mlgcn"], FEW, data) == 6


def test_unknown_names_and_impossible_numbers_are_refused(data):
    with pytest.raises(InputError, match="presets: expected some of quick, .*, all, found 'fast'"):
        make_plan(data, ("fast",))
    with pytest.raises(InputError, match="contenders: expected names of linear, .*, found 'resnet'"):
        make_plan(data, (), ["resnet"])
    with pytest.raises(InputError, match="num_images: expected at most 80, the training images, found 81"):
        make_plan(data, num_images=81)
    with pytest.raises(InputError, match="unknown: expected"):
        make_plan(data, unknown=1.0)
    with pytest.raises(InputError, match="contenders: expected at least one contender that the data allows"):
        make_plan(data, (), ["linear average"])
    with pytest.raises(InputError, match="contenders: expected at least one"):
        make_plan(data, ())
