"""Average precision of all labels at once, against scikit-learn per label and tables worked by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mlgcn_pyg.evaluation import average_precision as module
from mlgcn_pyg.evaluation import mean_average_precision, multilabel_metrics, table1_row
from mlgcn_pyg.evaluation.average_precision import average_precision
from mlgcn_pyg.evaluation.metrics import predicted_labels


def by_label(logits, targets):
    """AP of each label from scikit-learn, on its known images; NaN without a positive one."""
    ap = []
    for scores, truth in zip(logits.double().numpy().T, targets.numpy().T, strict=True):
        shown = truth >= 0
        positive = (truth == 1).any()
        ap.append(average_precision_score(truth[shown], scores[shown]) if positive else math.nan)
    return ap


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 6), st.sampled_from([1, 3, 1000]),
    st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]), st.sampled_from([1, 50, 1 << 22]),
)  # fmt: skip
def test_random_tables_equal_scikit_learn(seed, num_images, num_labels, distinct, dtype, block):
    generator = np.random.default_rng(seed)
    logits = torch.tensor(generator.integers(-distinct, distinct + 1, (num_images, num_labels)) / 4).to(dtype)
    targets = torch.tensor(generator.integers(-1, 2, (num_images, num_labels)), dtype=torch.int8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)  # one label at a time, several, or all
        found = average_precision(logits, targets)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx(by_label(logits, targets), rel=1e-12, nan_ok=True)


def test_float64_logits_that_float32_would_tie():
    logits = torch.tensor([[1.0], [1.0 + 1e-12], [1.0 + 2e-12]], dtype=torch.float64)
    assert average_precision(logits, torch.tensor([[0], [1], [0]])).tolist() == [0.5]


def test_equal_scores_share_a_step():
    # above 2: 1 of 1 found; at 1: three images, two of them positive, so 3 of 4; at 0: 3 of 5
    logits, targets = torch.tensor([[2.0, 1.0, 1.0, 1.0, 0.0]]).t(), torch.tensor([[1, 1, 0, 1, 0]]).t()
    assert average_precision(logits, targets).item() == pytest.approx((1 + 3 / 4 + 3 / 4) / 3)


def test_constant_scores_give_the_share_of_positives():
    assert average_precision(torch.zeros(8, 1), torch.tensor([[1, 0, 0, 1, -1, 0, 0, 0]]).t()).item() == 2 / 7


def test_negative_zero_equals_zero():
    logits = torch.tensor([[0.0], [-0.0]])
    assert average_precision(logits, torch.tensor([[1], [0]])).item() == 0.5
    assert average_precision(logits.flip(0), torch.tensor([[1], [0]])).item() == 0.5


def test_labels_without_positives_without_negatives_and_without_known_targets():
    logits = torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
    targets = torch.tensor([[0, 1, -1], [0, 1, -1]])
    ap = average_precision(logits, targets)
    assert ap[0].isnan() and ap[1] == 1 and ap[2].isnan()
    assert mean_average_precision(logits, targets) == 1


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (1, 1)])
def test_empty_tables(shape):
    assert average_precision(torch.zeros(shape), torch.zeros(shape)).isnan().tolist() == [True] * shape[1]
    assert math.isnan(mean_average_precision(torch.zeros(shape), torch.zeros(shape)))


def test_the_lowest_finite_logit_of_a_known_image_is_above_unknown_ones():
    lowest = torch.finfo(torch.float32).min
    logits, targets = torch.tensor([[lowest], [5.0], [lowest]]), torch.tensor([[1], [-1], [0]])
    assert average_precision(logits, targets).item() == 0.5


def test_arguments_are_not_changed():
    logits, targets = torch.randn(3, 20).t(), torch.randint(-1, 2, (3, 20)).t()  # rows of labels, as exact fits have
    before = logits.clone(), targets.clone()
    average_precision(logits, targets)
    assert torch.equal(logits, before[0]) and torch.equal(targets, before[1])


def test_the_same_map_as_all_metrics():
    torch.manual_seed(0)
    logits, targets = torch.randn(70, 6), torch.randint(-1, 2, (70, 6))
    alone = mean_average_precision(logits, targets)
    assert alone == multilabel_metrics(logits, targets)["mAP"]
    assert alone == table1_row(logits, targets, list("abcdef"))["all"]["mAP"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 7), st.integers(1, 7))
def test_top_k_with_ties_equals_a_stable_sort_of_each_image(seed, num_images, num_labels, k):
    generator = np.random.default_rng(seed)
    logits = torch.tensor(generator.integers(1, 4, (num_images, num_labels)) / 2)
    targets = torch.tensor(generator.integers(-1, 2, (num_images, num_labels)))
    found = predicted_labels(logits, targets, k)
    for n in range(num_images):
        known = [c for c in range(num_labels) if targets[n, c] >= 0]
        first = sorted(known, key=lambda c: -logits[n, c].item())[:k]
        assert [c for c in known if found[n, c]] == sorted(first)


def test_counts_beyond_what_float32_holds():
    from mlgcn_pyg.evaluation.metrics import count_metrics

    images = (1 << 24) + 3  # the sum of as many float32 ones is 2²⁴
    targets = torch.ones(images, 1, dtype=torch.int8)
    targets[-1] = 0
    assert count_metrics(torch.ones(images, 1, dtype=torch.bool), targets)["OP"] == (images - 1) / images


def test_unsorted_released_ties_are_those_of_single_columns():
    """One sort of the matrix must order equal scores as ``torch.sort`` orders those of one label."""
    torch.manual_seed(3)
    for images in (5, 17, 100, 3000):
        logits, targets = torch.randn(images, 7).round(), torch.randint(-1, 2, (images, 7))
        targets[0] = 1
        together = multilabel_metrics(logits, targets, convention="released")["AP"]
        alone = [multilabel_metrics(logits[:, [c]], targets[:, [c]], convention="released")["mAP"] for c in range(7)]
        assert together.tolist() == alone
        for c in range(7):  # in the words of the definition
            order = logits[:, c].sort(descending=True).indices
            ranked = targets[order, c][targets[order, c] >= 0]
            found = [(ranked[: n + 1] == 1).sum().item() / (n + 1) for n in range(len(ranked)) if ranked[n] == 1]
            assert together[c].item() == pytest.approx(sum(found) / len(found), rel=1e-6)
