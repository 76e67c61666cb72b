"""Small problems and heads that the tests of training share."""

import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.nn import LinearHead, SharingHead


def problem(num_images=100, num_features=12, num_labels=5, seed=0):
    """Features of which a linear map, with noise, decides the labels."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(num_images, num_features, generator=generator)
    truth = torch.randn(num_features, num_labels, generator=torch.Generator().manual_seed(99))
    noise = 0.3 * torch.randn(num_images, num_labels, generator=generator)
    return features, (features @ truth + noise > 0.5).to(torch.int8)


def graph(tau=0.3, p=0.2, weighting="paper", alpha=0.5, one_hot=False):
    x = None if one_hot else torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    return LabelGraph.from_targets(problem(200)[1], tau=tau, p=p, weighting=weighting, alpha=alpha, x=x)


def fresh(kind="mlgcn", seed=0, hidden=(16,), graph_of=None, **options):
    torch.manual_seed(seed)
    if kind == "linear":
        return LinearHead(5, 12, **options)
    if kind == "sharing":
        options = {"learn_edges": True} | options
        return SharingHead(graph(weighting="kernel") if graph_of is None else graph_of, 12, **options)
    return MLGCNHead(graph() if graph_of is None else graph_of, 12, hidden, **options)


def state(head):
    return {name: value.detach().clone() for name, value in head.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
