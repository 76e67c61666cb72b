"""The recipe "auto": stable for every scale of the features and on awkward data; given values have precedence."""

import math

import pytest
import torch

from mlgcn_pyg.evaluation import multilabel_metrics
from mlgcn_pyg.nn import LinearHead, SharingHead
from mlgcn_pyg.training import HeadConfig, fit_head, fit_heads
from mlgcn_pyg.training.heads.groups import LR_FACTOR, parameter_groups
from mlgcn_pyg.training.heads.recipe import INNER_LR, complete, num_epochs
from mlgcn_pyg.training.heads.spectra import Spectra, Spectrum
from tests.training.heads.problems import fresh, graph, problem

HEADS = {
    "linear": lambda: fresh("linear"),
    "sharing": lambda: SharingHead(graph(), 12),
    "one layer": lambda: fresh(hidden=()),
    "two layers": lambda: fresh(hidden=(32,)),
    "three layers": lambda: fresh(hidden=(32, 32)),
    "one-hot": lambda: fresh(hidden=(32,), graph_of=graph(one_hot=True)),
    "learned edges": lambda: fresh(hidden=(32,), learn_edges=True, learn_p=True),
}
UNIT = torch.nn.functional.normalize
FEATURES = {
    "as they are": lambda x: x,
    "times 100": lambda x: x * 100,
    "shifted": lambda x: x + 50,
    "L2-normalised": UNIT,
    "unequal scales": lambda x: x * torch.logspace(-3, 3, 12),
}


def start_loss(truth: torch.Tensor) -> float:
    """Returns the mean loss of the log-odds of each label, without features."""
    total = 0.0
    for column in truth.t().tolist():
        present, absent = column.count(1), column.count(0)
        odds = (present + 0.5) / (absent + 0.5)
        total += present * math.log1p(1 / odds) + absent * math.log1p(odds)
    return total / truth.numel()


def losses(head, features, truth, **options) -> list[float]:
    return [epoch["loss"] for epoch in fit_head(head, (features, truth), config=HeadConfig(**options)).epochs]


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("kind", HEADS)
def test_the_loss_is_never_above_its_start(kind, features):
    x, truth = problem()
    found = losses(HEADS[kind](), FEATURES[features](x), truth)
    assert max(found) <= start_loss(truth)
    assert found[-1] < 0.8 * start_loss(truth)


@pytest.mark.parametrize("kind", HEADS)
def test_the_scale_and_the_mean_of_the_features_change_nothing(kind):
    x, truth = problem()
    logits = []
    for features in (x, x * 100, x + 50):
        head = HEADS[kind]()
        fit_head(head, (features, truth))
        logits.append(head(features).detach())
    for other in logits[1:]:
        torch.testing.assert_close(other, logits[0], rtol=0, atol=0.02)
        assert multilabel_metrics(other, truth)["mAP"] == pytest.approx(
            multilabel_metrics(logits[0], truth)["mAP"], abs=2e-3
        )


AWKWARD = {
    "one image": (torch.ones(1, 12), torch.tensor([[1, 0, 0, 1, 0]])),
    "two equal images": (torch.ones(2, 12), torch.tensor([[1, 0, 0, 1, 0], [0, 0, 1, 1, 0]])),
    "constant features": (torch.full((40, 12), 7.0), problem(40)[1]),
    "one feature that varies": (torch.full((40, 12), 7.0).index_fill(1, torch.tensor([3]), 0.0), problem(40)[1]),
    "a label without positives": (problem()[0], problem()[1].index_fill(1, torch.tensor([2]), 0)),
    "a label without negatives": (problem()[0], problem()[1].index_fill(1, torch.tensor([2]), 1)),
    "an unknown label": (problem()[0], problem()[1].index_fill(1, torch.tensor([2]), -1)),
    "nothing known": (problem()[0], torch.full((100, 5), -1)),
    "half unknown": (problem()[0], problem()[1].masked_fill(problem(seed=5)[0][:, :5] > 0, -1)),
    "an outlier": (problem()[0].index_put((torch.tensor(0), torch.tensor(0)), torch.tensor(1e4)), problem()[1]),
}


@pytest.mark.parametrize("data", AWKWARD)
@pytest.mark.parametrize("kind", ["linear", "two layers"])
def test_awkward_data_do_not_raise_the_loss(kind, data):
    features, truth = AWKWARD[data]
    head = HEADS[kind]()
    found = losses(head, features, truth.to(torch.int8))
    assert max(found) <= 1.01 * start_loss(truth)  # without features, the start is the minimum, and batches differ
    assert all(p.isfinite().all() for p in head.parameters())


def test_one_label():
    x, truth = problem()
    found = losses(LinearHead(1, 12), x, truth[:, :1])
    assert max(found) <= start_loss(truth[:, :1])


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("pos_weight", [None, 20.0])
def test_other_momenta_and_weights_of_present_labels_are_stable_too(momentum, pos_weight):
    x, truth = problem()
    found = losses(fresh(hidden=(32,)), x, truth, momentum=momentum, pos_weight=pos_weight)
    assert max(found[1:]) <= found[0]


def test_a_head_that_has_statistics_continues_from_its_weights():
    x, truth = problem()
    head = fresh(hidden=(32,))
    first = losses(head, x, truth)
    assert losses(head, x, truth, epochs=1)[0] < 0.8 * first[0]


def test_heads_of_one_call_equal_heads_alone():
    data = problem()
    together, alone = [fresh(seed=seed, hidden=(32,)) for seed in (0, 1)], [fresh(seed=s, hidden=(32,)) for s in (0, 1)]
    fit_heads(together, data)
    for one, other in zip(together, alone, strict=True):
        fit_head(other, data)
        torch.testing.assert_close(one.classifiers(), other.classifiers(), rtol=1e-4, atol=1e-5)


def settings(num_images=300, labels=1.0, row_norm=1.0, **options):
    spectra = Spectra(features=Spectrum(80.0, 1200.0), labels=Spectrum(labels, row_norm))
    return complete(HeadConfig(**options), fresh("linear"), num_images, spectra)


def test_values_by_hand():
    found = settings()  # C = 5: weight decay 1200 / 4 / 300 / 5, curvature 80 / (4 · 5) + 0.2
    assert (found.weight_decay, found.lr) == (0.2, pytest.approx(0.15 / 4.2, rel=5e-3))
    assert (found.optimizer, found.schedule, found.batch_size, found.epochs) == ("sgd", "cosine", 30, 30)
    found = settings(num_images=82_081, labels=2.0, row_norm=0.5)
    assert found.weight_decay == pytest.approx(300 / 82_081 * 0.5 / 5, rel=5e-3)
    assert found.lr == pytest.approx(0.15 / 8, rel=5e-3)
    assert (found.batch_size, found.epochs) == (1014, 12)  # 81 batches of equal size


@pytest.mark.parametrize("num_images", [1, 31, 33, 319, 320, 2_559, 2_561, 20_479, 20_481, 82_081, 1_000_000])
def test_an_epoch_consists_of_almost_equal_batches_and_a_run_of_at_least_300_steps(num_images):
    found = settings(num_images)
    steps = math.ceil(num_images / found.batch_size)
    assert steps * found.batch_size - num_images < steps
    assert steps * found.epochs >= 300 and found.epochs >= 12
    assert num_epochs(HeadConfig(), num_images) == found.epochs


def test_given_values_have_precedence():
    found = settings(lr=0.5, weight_decay=0.3, epochs=7, batch_size=9, schedule="step")
    assert (found.lr, found.weight_decay, found.epochs, found.batch_size) == (0.5, 0.3, 7, 9)
    assert found.schedule == "step"


def test_a_given_batch_size_decides_the_epochs():
    assert settings(batch_size=300).epochs == 300


def test_the_penalty_is_limited_for_a_given_learning_rate():
    assert settings(num_images=1, lr=1.0).weight_decay == pytest.approx(0.15)


def test_the_learning_rate_allows_for_a_given_weight_decay():
    assert settings(weight_decay=10.0).lr == pytest.approx(0.15 / 14, rel=5e-3)


def test_adamw_has_its_own_rate():
    assert (settings(optimizer="adamw").lr, settings(optimizer="adamw").weight_decay) == (1e-4, 0.01)


@pytest.mark.parametrize(
    "kind, decayed, inner",
    [
        ("linear", ["linear.weight"], []),
        ("sharing", ["weight"], []),
        ("one layer", ["convs.0.weight"], []),
        ("three layers", ["convs.2.weight"], ["convs.0.weight", "convs.1.weight"]),
        ("learned edges", ["convs.1.weight"], ["convs.0.weight"]),
    ],
)
def test_only_classifiers_decay_and_inner_layers_are_slow(kind, decayed, inner):
    head = HEADS[kind]()
    groups = parameter_groups(head, settings(weight_decay=0.3))
    names = {id(p): name for name, p in head.named_parameters()}
    found = {names[id(p)]: group for group in groups for p in group["params"]}
    assert found.keys() == dict(head.named_parameters()).keys()
    assert [name for name, group in found.items() if group["weight_decay"]] == decayed
    assert [name for name, group in found.items() if group[LR_FACTOR] == INNER_LR] == inner


def test_the_paper_has_one_group():
    (group,) = parameter_groups(HEADS["three layers"](), settings(recipe="paper"))
    assert (group[LR_FACTOR], group["weight_decay"], len(group["params"])) == (1.0, 1e-4, 3)
