"""Studies of generated data whose answer is known."""

import numpy as np
import torch

from mlgcn_pyg.experiments.study import Condition, analyse, data_of_pool, make_plan, run_study
from mlgcn_pyg.experiments.study.effects import Scores
from mlgcn_pyg.experiments.study.verdict import answer
from mlgcn_pyg.features import FeatureCache

EXACT = ("linear", "sharing", "sharing shuffled")


def study_of(folder, features, targets, contenders=EXACT, embeddings=None, **options):
    """Returns a study of exact heads on 5 splits."""
    names = [f"label{k}" for k in range(targets.shape[1])]
    cache = FeatureCache.from_arrays(folder / "all.h5", features, torch.from_numpy(targets.astype(np.int8)), names)
    data = data_of_pool(cache, num_splits=5, embeddings=embeddings)
    return run_study(data, make_plan(data, (), contenders, **options), folder / "out")


def compared(study, smallest=0.003):
    """Returns the comparisons by the names of the contenders."""
    (found,) = analyse(study, smallest=smallest, replicates=200).findings
    return {(one.a, one.b): one for one in found.comparisons if one.primary}


def independent(num_images, generator):
    """Each label is a linear function of features of its own, and noise."""
    features = generator.normal(size=(num_images, 12)).astype(np.float32)
    logits = 2.5 * features[:, :8].astype(float) - 1
    return features, generator.random(logits.shape) < 1 / (1 + np.exp(-logits))


def grouped(num_images, generator, num_groups, size):
    """The labels of a group are present for the same reason, which the features tell. Their embeddings are similar."""
    features = generator.normal(size=(num_images, 30)).astype(np.float32)
    reasons = features @ generator.normal(size=(30, num_groups)) / np.sqrt(30)
    logits = 4 * np.repeat(reasons, size, axis=1) - 2
    centres = np.repeat(generator.normal(size=(num_groups, 20)), size, axis=0)
    embeddings = centres + 0.3 * generator.normal(size=centres.shape)
    targets = generator.random(logits.shape) < 1 / (1 + np.exp(-logits))
    return features, targets, torch.from_numpy(embeddings.astype(np.float32))


def test_targets_that_a_linear_model_makes_leave_no_gain(tmp_path):
    found = compared(study_of(tmp_path, *independent(3000, np.random.default_rng(0))), smallest=0.005)
    assert {one.finding for one in found.values()} == {"equivalent"}
    assert answer(list(found.values())) == "does not help"


def test_dependent_labels_of_which_few_are_known_gain_from_their_graph_and_not_from_a_shuffled_one(tmp_path):
    features, targets, embeddings = grouped(600, np.random.default_rng(1), num_groups=5, size=6)
    found = compared(study_of(tmp_path, features, targets, embeddings=embeddings, unknown=0.9))
    gain, of_graph = found["sharing", "linear"], found["sharing", "sharing shuffled"]
    assert gain.finding == of_graph.finding == "higher" and gain.effect.value > 0.05
    assert gain.effect.value - of_graph.effect.value < 0.01  # the shuffled graph gains nothing over the linear head
    assert answer(list(found.values())) == "helps"


def test_an_advantage_in_half_of_the_labels_is_found_there_and_not_elsewhere(tmp_path):
    generator = np.random.default_rng(2)
    (x, dependent, of_groups), (z, alone) = grouped(600, generator, num_groups=2, size=4), independent(600, generator)
    embeddings = torch.cat([of_groups, torch.from_numpy(generator.normal(size=(8, 20)).astype(np.float32))])
    data = np.hstack([x, z]), np.hstack([dependent, alone])
    study = study_of(tmp_path, *data, EXACT[:2], embeddings, unknown=0.9)
    options = {"shared_test": False, "overlap": study.data.overlap(Condition()), "replicates": 200}
    scores = Scores(study.runs, study.data.targets, **options)
    there, elsewhere = (scores.effect("sharing", "linear", labels=np.arange(k, k + 8)) for k in (0, 8))
    assert there.p <= 0.05 and there.value > 0.02
    assert elsewhere.value < 0.25 * there.value
    assert not (elsewhere.p <= 0.05 and elsewhere.value > 0)
