r"""Control graphs, which show what a head gains from the right graph and what it gains from any graph.

=============================== ========================================== ===================================
control                         kept                                       drawn at random
=============================== ========================================== ===================================
:func:`permuted_labels`         Â up to the order of labels: degrees,      which label is at which node
                                weights, hubs
:func:`random_edges`            the number of edges, p, the weighting      the edges
:func:`permuted_embeddings`     the edges and their weights                which label has which embedding
=============================== ========================================== ===================================

A graph that helps because of its edges beats :func:`permuted_labels`. If it does not, its gain is due to the mixing of
labels as such. Comparisons with graphs that keep the degrees are described in S. Maslov and K. Sneppen, `Specificity
and Stability in Topology of Protein Networks <https://doi.org/10.1126/science.1065103>`_, 2002.
"""

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_count
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.graph.kernel import KERNEL
from mlgcn_pyg.graph.label_graph import LabelGraph
from mlgcn_pyg.seeding import derived_seed


def permuted_labels(graph: LabelGraph, seed: int) -> LabelGraph:
    r"""Returns the graph with its labels at other nodes.

    .. math:: \hat{A}'_{\pi(i)\,\pi(j)} = \hat{A}_{ij}

    π is a random permutation of the labels other than the identity. The edges, their probabilities and weights, the
    self weights and the similarities K are permuted. The embeddings, names and counts of labels stay with their labels.

    Args:
        graph: the label graph, with any weighting and any weights.
        seed: number of the permutation, an integer ≥ 0. A graph of one label has only the identity.

    Raises:
        InputError: if the graph is not valid, or ``seed`` is not an integer ≥ 0.

    >>> graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 0], [1, 0, 1]])
    >>> graph.edge_index.tolist(), permuted_labels(graph, seed=0).edge_index.tolist()
    ([[1, 2], [0, 0]], [[0, 1], [2, 2]])
    """
    graph.validate()
    moved = graph.clone()
    node = _permutation(graph.num_labels, "permuted labels", seed).to(graph.edge_index.device)
    edges = node[graph.edge_index]
    order = (edges[0] * graph.num_labels + edges[1]).argsort()
    moved.edge_index = edges[:, order].contiguous()
    moved.edge_prob, moved.edge_weight = graph.edge_prob[order], graph.edge_weight[order]
    label = node.argsort()  # of each node
    moved.self_weight = graph.self_weight[label]
    if graph.kernel is not None:
        moved.kernel = graph.kernel[label][:, label]
    return moved


def random_edges(graph: LabelGraph, seed: int) -> LabelGraph:
    r"""Returns a graph with the same number of edges i → j, i ≠ j, which are drawn at random without replacement.

    The weights are those that p and the weighting give to the new edges. The probabilities of the edges are permuted,
    so that ``reweighted(tau=...)`` leaves as many edges as in the given graph. The complete graph has no other edges.

    Args:
        graph: the label graph, with any weighting except ``"kernel"``.
        seed: number of the graph, an integer ≥ 0.

    Raises:
        InputError: if the graph is not valid; if its weighting is ``"kernel"``, whose weights are no function of the
            edges; if its weights are not those that p and the weighting define; if ``seed`` is not an integer ≥ 0.

    >>> graph = LabelGraph.from_targets([[1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 1, 0]])
    >>> random_edges(graph, seed=0).edge_index.tolist()
    [[0, 3], [3, 1]]
    """
    if graph.weighting == KERNEL:
        fix = "use permuted_labels"
        raise InputError("graph", "a weighting whose weights follow from the edges", repr(KERNEL), fix)
    drawn = graph.reweighted()  # a copy, or an error if the weights are different
    num_labels, num_edges = graph.num_labels, graph.edge_index.size(1)
    generator = np.random.default_rng(derived_seed("random edges", check_count("seed", seed)))
    pairs = np.sort(generator.choice(max(num_labels * (num_labels - 1), 1), num_edges, replace=False))
    source, other = np.divmod(pairs, max(num_labels - 1, 1))
    target = other + (other >= source)  # the labels except i are numbered 0…C−2
    drawn.edge_index = torch.from_numpy(np.stack([source, target])).to(graph.edge_index)
    order = torch.from_numpy(generator.permutation(num_edges)).to(graph.edge_prob.device)
    drawn.edge_prob = graph.edge_prob[order]
    drawn._set_weights(graph.p, graph.weighting)
    return drawn


def permuted_embeddings(graph: LabelGraph, seed: int) -> LabelGraph:
    r"""Returns the graph with the embeddings of its labels permuted: :math:`x'_i = x_{\pi(i)}`.

    Args:
        graph: the label graph, with embeddings and any weighting except ``"kernel"``.
        seed: number of the permutation, an integer ≥ 0.

    Raises:
        InputError: if the graph is not valid; if it has no embeddings, since one-hot embeddings are all alike; if its
            weighting is ``"kernel"``, whose similarities K contain the embeddings; if ``seed`` is not an integer ≥ 0.

    >>> graph = LabelGraph.from_targets([[1, 1], [1, 0]], x=[[1.0, 2.0], [3.0, 4.0]])
    >>> permuted_embeddings(graph, seed=0).x.tolist()
    [[3.0, 4.0], [1.0, 2.0]]
    """
    graph.validate()
    if graph.x is None:
        raise InputError("graph", "label embeddings, which can be permuted", "one-hot embeddings (x is None)")
    if graph.weighting == KERNEL:
        fix: list[str | Argument] = ["build the graph from its targets again, with permuted ", Argument("x")]
        raise InputError("graph", "a weighting that does not depend on the embeddings", repr(KERNEL), fix)
    moved = graph.clone()
    order = _permutation(graph.num_labels, "permuted embeddings", seed)
    moved.x = graph.x[order.to(graph.x.device)]
    return moved


def _permutation(num_labels: int, purpose: str, seed: int) -> Tensor:
    """Returns a random permutation (C,), with equal probabilities among all except the identity."""
    generator = np.random.default_rng(derived_seed(purpose, check_count("seed", seed)))
    identity = np.arange(num_labels)
    order = generator.permutation(num_labels)
    while num_labels > 1 and np.array_equal(order, identity):
        order = generator.permutation(num_labels)
    return torch.from_numpy(order)
