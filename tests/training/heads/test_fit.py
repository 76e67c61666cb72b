import pytest
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import multilabel_metrics
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.epochs import epoch_order
from mlgcn_pyg.nn import LinearHead
from mlgcn_pyg.training import HeadConfig, fit_head, score


def problem(num_images=200, num_features=12, num_labels=5, seed=0):
    """Features of which a linear map, with noise, decides the labels."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(num_images, num_features, generator=generator)
    truth = torch.randn(num_features, num_labels, generator=torch.Generator().manual_seed(99))
    noise = 0.3 * torch.randn(num_images, num_labels, generator=generator)
    return features, (features @ truth + noise > 0.5).to(torch.int8)


def fresh(kind, seed=0):
    torch.manual_seed(seed)
    _, targets = problem()
    if kind == "linear":
        return LinearHead(5, 12)
    return MLGCNHead(LabelGraph.from_targets(targets, x=torch.randn(5, 6)), 12, (16,))


@pytest.mark.parametrize("kind", ["linear", "mlgcn"])
def test_a_head_learns_far_beyond_chance(kind):
    head, (features, targets) = fresh(kind), problem(seed=1)
    history = fit_head(head, problem(), (features, targets), HeadConfig(recipe="paper", lr=0.1, epochs=30))
    chance = float(targets.float().mean())
    assert history.last["mAP"] > max(0.85, chance + 0.3)
    assert history.epochs[0]["loss"] > history.last["loss"] and len(history.epochs) == 30
    assert history.best["mAP"] == max(record["mAP"] for record in history.epochs)


def test_each_step_is_torchs_own_sgd():
    """A loop written out with torch's loss, a fresh permutation per epoch, clipping and a step schedule."""
    features, targets = problem(40)
    config = HeadConfig(
        recipe="paper", lr=0.5, epochs=4, batch_size=16, lr_step=2, clip_norm=0.05, weight_decay=0.01, seed=7
    )
    head, twin = fresh("mlgcn"), fresh("mlgcn")
    fit_head(head, (features, targets), config=config)
    velocity = [torch.zeros_like(p) for p in twin.parameters()]
    for epoch in range(4):
        lr = 0.5 if epoch < 2 else 0.05
        for rows in epoch_order(40, seed=7, epoch=epoch + 1).split(16):
            twin.zero_grad()
            loss = torch.nn.functional.multilabel_soft_margin_loss(twin(features[rows]), targets[rows].float())
            loss.backward()
            norm = torch.cat([p.grad.flatten() for p in twin.parameters()]).norm()
            with torch.no_grad():
                for p, v in zip(twin.parameters(), velocity, strict=True):
                    v.mul_(0.9).add_(p.grad * min(1.0, 0.05 / float(norm)) + 0.01 * p)
                    p -= lr * v
    for p, q in zip(head.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-4, atol=1e-6)


def test_equal_seeds_give_equal_heads_and_different_seeds_do_not():
    def weights(seed):
        head = fresh("mlgcn")
        fit_head(head, problem(), config=HeadConfig(recipe="paper", epochs=2, seed=seed))
        return head.classifiers()

    assert torch.equal(weights(0), weights(0)) and not torch.equal(weights(0), weights(1))


def test_a_cache_and_its_tensors_train_the_same_head(tmp_path):
    features, targets = problem()
    cache = FeatureCache.from_arrays(tmp_path / "c.h5", features, targets, list("01234"), dtype="float32")
    from_cache, from_tensors = fresh("mlgcn"), fresh("mlgcn")
    fit_head(from_cache, cache, cache, HeadConfig(recipe="paper", epochs=3))
    fit_head(from_tensors, (features, targets), config=HeadConfig(recipe="paper", epochs=3))
    assert torch.equal(from_cache.classifiers(), from_tensors.classifiers())
    logits, known = score(from_cache, cache)
    assert torch.allclose(logits, from_cache(features), atol=1e-5) and torch.equal(known, targets)


def test_scores_in_blocks_equal_one_pass():
    head, (features, targets) = fresh("mlgcn"), problem(20_000)  # three blocks
    logits, known = score(head, (features, targets))
    assert torch.allclose(logits, head(features), atol=1e-5) and torch.equal(known, targets)
    logits, known = score(head, (features[:0], targets[:0]))
    assert logits.shape == known.shape == (0, 5)


def test_unknown_targets_do_not_change_a_classifier():
    features, targets = problem()
    head, twin = fresh("linear"), fresh("linear")
    unknown = targets.clone()
    unknown[:, 3] = -1
    config = HeadConfig(recipe="paper", epochs=2, weight_decay=0.0, clip_norm=None)
    fit_head(head, (features, unknown), config=config)
    assert torch.equal(head.classifiers()[3], twin.classifiers()[3])
    assert not torch.equal(head.classifiers()[2], twin.classifiers()[2])


def test_one_image():
    history = fit_head(fresh("mlgcn"), problem(1), problem(1), HeadConfig(recipe="paper", epochs=2))
    assert len(history.epochs) == 2


def test_refusals(tmp_path):
    features, targets = problem(10)
    with pytest.raises(InputError, match="train: expected at least one image"):
        fit_head(fresh("linear"), (features[:0], targets[:0]))
    with pytest.raises(InputError, match="train: expected features of width 12, found shape"):
        fit_head(fresh("linear"), (features[:, :4], targets))
    with pytest.raises(InputError, match=r"val: expected targets of shape \(10, 5\)"):
        fit_head(fresh("linear"), (features, targets), (features, targets[:, :2]))
    with pytest.raises(InputError, match=r"train: expected targets of shape \(10, 5\), found shape \(10,\)"):
        fit_head(fresh("linear"), (features, targets[:, 0]))
    with pytest.raises(InputError, match=r"train: expected values in \{-1, 0, 1\}, found [23] at image 0, label 0"):
        fit_head(fresh("linear"), (features, targets + 2))
    with pytest.raises(InputError, match="train: expected finite numbers"):
        fit_head(fresh("linear"), (features * torch.nan, targets))
    cache = FeatureCache.from_arrays(tmp_path / "c.h5", features, targets, list("abcde"))
    with pytest.raises(InputError, match="the 5 labels of the head, found 'a' instead of '0' as label 0"):
        fit_head(fresh("linear"), cache)
    with pytest.raises(
        InputError, match="lr: expected a learning rate at which training converges, found loss .* epoch"
    ):
        fit_head(fresh("mlgcn"), problem(), config=HeadConfig(recipe="paper", lr=1e12, epochs=5, clip_norm=None))


@pytest.mark.parametrize(
    "name, value",
    [
        ("lr", 0),
        ("lr", -1),
        ("lr", float("inf")),
        ("epochs", 0),
        ("batch_size", 1.5),
        ("momentum", 2),
        ("clip_norm", 0),
    ],
)
def test_refused_config(name, value):
    with pytest.raises(InputError, match=name):
        HeadConfig(recipe="paper", **{name: value})


def test_history_names_the_best_epoch_beside_the_last(tmp_path):
    head, data = fresh("linear"), problem(seed=2)
    history = fit_head(head, problem(30), data, HeadConfig(recipe="paper", lr=5.0, epochs=15))
    assert history.last["epoch"] == 15 and history.best["mAP"] >= history.last["mAP"]
    metrics = multilabel_metrics(*score(head, data))
    assert metrics["mAP"] == history.last["mAP"]  # the head that is left is the last epoch's
