"""Studies on the scores of any classifier: sharing and propagation over logits, without photographs."""

import numpy as np
import pytest
import torch

from mlgcn_pyg.evaluation import mean_average_precision
from mlgcn_pyg.experiments.study import analyse, data_of_pool, make_plan, run_study
from mlgcn_pyg.features import FeatureCache

NAMES = ("sea", "boat", "harbour", "street", "car", "bus")
NUM_IMAGES, NUM_SPLITS, NUM_TRAIN = 900, 2, 150
HEADS = ("linear", "sharing", "mlgcn")


def scored_images(seed):
    """Returns logits (N, C) of a weak classifier and targets: three labels occur in each of two kinds of scenes."""
    generator = np.random.default_rng(seed)
    is_harbour = generator.random((NUM_IMAGES, 1)) < 0.5
    chance = np.where(is_harbour == (np.arange(len(NAMES)) < 3), 0.75, 0.04)
    targets = (generator.random(chance.shape) < chance).astype(np.int8)
    logits = 1.5 * (2 * targets - 1) + 2.5 * generator.standard_normal(targets.shape) - 3
    return logits.astype(np.float32), targets


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of scores in a feature file, as any other program can write them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlgcn_pyg.experiments.study.building.WIDTH", 16)
        return study_of(tmp_path_factory.mktemp("scores"), scored_images(0)[0], HEADS)


def study_of(folder, logits, names):
    cache = FeatureCache.from_arrays(folder / "scores.h5", logits, scored_images(0)[1], NAMES)
    data = data_of_pool(cache, num_splits=NUM_SPLITS)
    return run_study(data, make_plan(data, (), names, num_images=NUM_TRAIN), folder / "out")


def mean_AP(study, name):
    """The mAP of a contender, or of the scores themselves, over the splits."""
    logits, targets = torch.from_numpy(scored_images(0)[0]), study.data.targets
    found = [
        mean_average_precision(
            logits[run.rows] if name == "scores" else torch.from_numpy(run.logits), targets[run.rows]
        )
        for run in study.runs
        if run.key.contender == (HEADS[0] if name == "scores" else name)
    ]
    return sum(found) / len(found)


@pytest.mark.parametrize("name", HEADS)
def test_heads_on_scores_are_better_than_the_scores(study, name):
    """Three labels of a scene tell of each other, which no score of a label alone does."""
    assert mean_AP(study, name) > mean_AP(study, "scores") + 0.04


@pytest.mark.parametrize("name", ["sharing", "mlgcn"])
def test_heads_with_a_useful_graph_do_not_lose(study, name):
    assert mean_AP(study, name) > mean_AP(study, "linear") - 0.01


def test_the_analysis_compares_them(study):
    (finding,) = analyse(study, replicates=50).findings
    effects = {(one.a, one.b): one.effect.value for one in finding.comparisons}
    expected = mean_AP(study, "sharing") - mean_AP(study, "linear")
    assert effects["sharing", "linear"] == pytest.approx(expected, abs=1e-9)
    assert set(effects) == {("mlgcn", "linear"), ("sharing", "linear")} and finding.verdict


def test_the_scale_of_scores_does_not_matter(study, tmp_path):
    other = study_of(tmp_path, 100 * scored_images(0)[0] + 7, ("linear",))
    assert mean_AP(other, "linear") == pytest.approx(mean_AP(study, "linear"), abs=1e-3)
