"""The largest eigenvalues of features and labels equal those of a dense decomposition."""

import pytest
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.nn import LinearHead, SharingHead
from mlgcn_pyg.training.heads.spectra import Spectrum, feature_spectrum, label_spectrum

TARGETS = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 0, 0]])


def largest(matrix: torch.Tensor) -> float:
    return float(torch.linalg.eigvalsh(matrix.double())[-1])


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("scaled", [False, True])
def test_eigenvalue_of_features(views, scaled):
    features = torch.randn(40, views, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 7) + 2
    head, rows = LinearHead(1, 6), features.flatten(0, 1)
    if scaled:
        mean, std = rows.mean(0), rows.std(0, unbiased=False)
        head.set_statistics(mean, std)
        rows = (rows - mean) / std
    found = feature_spectrum(head, features)
    assert found.largest == pytest.approx(largest(rows.t() @ rows / len(rows)), rel=1e-3)
    assert found.norm == pytest.approx(float((rows.t() @ rows / len(rows)).trace()), rel=1e-4)


def test_constant_features_and_one_image_have_no_spectrum():
    head = LinearHead(1, 3)
    head.set_statistics(torch.ones(3), torch.zeros(3))
    assert feature_spectrum(head, torch.ones(1, 1, 3)) == Spectrum(0, 0)


@pytest.mark.parametrize("weighting", ["paper", "released", "binary", "none"])
@pytest.mark.parametrize("kind", ["sharing", "one layer", "two layers", "embeddings"])
def test_spectrum_of_labels(weighting, kind):
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)) if kind == "embeddings" else None
    graph = LabelGraph.from_targets(TARGETS, weighting=weighting, x=x)
    hidden = () if kind == "one layer" else (7,)
    head = SharingHead(graph, 5) if kind == "sharing" else MLGCNHead(graph, 5, hidden)
    s = graph.to_dense() if kind in ("sharing", "one layer") else head.factors()[0].detach()
    found = label_spectrum(head)
    assert found.largest == pytest.approx(largest(s @ s.t()), rel=0.03)
    assert found.norm == pytest.approx(float((s @ s.t()).diagonal().mean()), rel=1e-5)


def test_a_linear_head_shares_nothing():
    assert label_spectrum(LinearHead(3, 2)) == Spectrum(1, 1)


def test_learned_edges_are_taken_at_their_current_values():
    head = SharingHead(LabelGraph.from_targets(TARGETS, weighting="paper"), 5, learn_edges=True)
    with torch.no_grad():
        for parameter in head.learned.parameters():
            parameter.add_(torch.arange(parameter.numel()).view_as(parameter))
    s = head.label_graph().to_dense()
    assert label_spectrum(head).largest == pytest.approx(largest(s @ s.t()), rel=1e-3)
