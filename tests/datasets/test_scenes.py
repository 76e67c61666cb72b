import numpy as np
import pytest
import torch

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.datasets import VOC2007, Scenes
from mlgcn_pyg.datasets.scene_drawing import LAYERS
from mlgcn_pyg.datasets.scene_model import RULES, SCENE_LABELS, sample_labels, scene_probabilities
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import CooccurrenceCounter


def test_true_probabilities_of_two_labels_by_hand():
    marginal, conditional = scene_probabilities()
    moon, sun, sea, boat = (SCENE_LABELS.index(name) for name in ("moon", "sun", "sea", "boat"))
    assert marginal[sun] == pytest.approx(0.75 * 0.5 + 0.25 * 0.5 * 0.05)
    assert conditional[moon, sun] == pytest.approx(0.5 * 0.05)
    assert conditional[sun, moon] == pytest.approx(0.25 * 0.5 * 0.05 / marginal[sun])
    assert conditional[boat, sea] == pytest.approx(1.0) and conditional[sea, boat] == pytest.approx(0.5)
    assert np.allclose(np.diag(conditional), 1) and conditional.max() <= 1 + 1e-12


def test_rules_name_only_earlier_labels():
    for k, rule in enumerate(RULES.values()):
        assert {*rule.invited_by, *rule.kept_away_by} <= set(SCENE_LABELS[:k])
    assert set(LAYERS) == set(SCENE_LABELS)


def test_estimated_probabilities_lie_within_sampling_error_of_the_true_ones():
    present = sample_labels(20_000, np.random.default_rng(0))
    counter = CooccurrenceCounter(len(SCENE_LABELS)).update(present)
    estimate, (_, truth) = counter.probabilities().toarray(), scene_probabilities()
    error = np.sqrt(truth * (1 - truth) / counter.label_counts.numpy()[:, None])
    off = ~np.eye(len(truth), dtype=bool)
    z = np.abs(estimate - truth)[off] / np.maximum(error[off], 1e-9)
    assert z.max() < 5 and (z < 2).mean() > 0.9  # 240 pairs: 95 % within two standard errors


def test_graph_of_drawn_scenes_has_the_edges_of_the_true_model(tmp_path):
    data = Scenes(tmp_path, 400)
    graph = LabelGraph.from_targets(data.targets, label_names=data.label_names)
    edges = {(graph.label_names[i], graph.label_names[j]) for i, j in graph.edge_index.t().tolist()}
    assert {("boat", "sea"), ("star", "moon"), ("car", "road")} <= edges
    assert ("sea", "moon") not in edges and ("moon", "sun") not in edges


def test_scenes_are_read_back_by_voc(tmp_path):
    data, again = Scenes(tmp_path, 12, seed=3), VOC2007(tmp_path, "train")
    assert again.label_names == SCENE_LABELS and torch.equal(data.targets, again.targets)
    assert again[5][0].size == (64, 64) and again.ids[5] == "train_000005"


def test_the_same_seed_draws_the_same_images_and_splits_differ(tmp_path):
    def pixels(folder, **options):
        data = Scenes(tmp_path / folder, 5, **options)
        return np.stack([np.asarray(data[n][0]) for n in range(5)])

    first = pixels("a", seed=1)
    assert (first == pixels("b", seed=1)).all()
    assert (first != pixels("b", seed=2)).any() and (first != pixels("a", seed=1, split="test")).any()
    assert len(VOC2007(tmp_path / "a", "train")) == len(VOC2007(tmp_path / "a", "test")) == 5


def test_no_scene(tmp_path):
    assert len(Scenes(tmp_path, 0)) == 0


def test_another_data_set_is_not_overwritten(tmp_path):
    main = tmp_path / "VOCdevkit/VOC2007/ImageSets/Main"
    main.mkdir(parents=True)
    (main / "cat_train.txt").write_text("a 1\n")
    with pytest.raises(InputError, match="root: expected an empty folder or one with scenes"):
        Scenes(tmp_path, 1)
    assert (main / "cat_train.txt").read_text() == "a 1\n"


def test_other_splits_and_foreign_images_are_kept(tmp_path):
    hard = Scenes(tmp_path, 3, split="train_hard")
    Scenes(tmp_path, 3, split="train")
    assert all(path.is_file() for path in hard.image_paths)
    mine = tmp_path / "mine/VOCdevkit/VOC2007/JPEGImages/train_mine.jpg"
    mine.parent.mkdir(parents=True)
    mine.touch()
    with pytest.raises(InputError, match="root: expected an empty folder"):
        Scenes(tmp_path / "mine", 1)
    assert mine.exists()
