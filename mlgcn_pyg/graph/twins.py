"""Finds labels that no ML-GCN head can tell apart, and labels whose logit is always 0."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mlgcn_pyg.graph.fields import GraphFields
from mlgcn_pyg.graph.kernel import KERNEL
from mlgcn_pyg.graph.weighting import defined_weights
from mlgcn_pyg.text import described_groups

DIRECTIONS = 3  # random projections that stand for a vector: different vectors differ in them almost surely


@dataclass(frozen=True)
class IndistinctLabels:
    """Labels whose classifiers are equal, or 0, whatever the weights of the GCN are.

    Attributes:
        twins (tuple): groups of labels with one classifier, such as two labels with equal embeddings and equal
            neighbours.
        silent (tuple of str): labels whose classifier is 0, so that their logit is 0 for every image, such as a label
            without edges whose embedding is 0.
        of_rows (bool): whether only the rows of Â decide, since labels are one-hot and there is one layer.
        of_gnn (bool): whether a GNN of PyG encodes the labels. A GCN, for example, gives one code to two labels that
            are connected in both directions and have the same other neighbours.
    """

    twins: tuple[tuple[str, ...], ...]
    silent: tuple[str, ...]
    of_rows: bool = False
    of_gnn: bool = False

    def sentences(self) -> list[str]:
        """Returns one sentence for each of the two kinds that exists."""
        twins = "equal embeddings and neighbours give these labels one classifier: {}; "
        twins += "merge them or give them different embeddings"
        silent = "these labels have the logit 0 for every image: {}; give them a nonzero embedding and p < 1"
        if self.of_gnn:
            twins = (
                "the GNN encodes these labels alike and thus gives them one classifier: {}; use a different GNN, such "
            )
            twins += "as sage, or different edges or embeddings"
        if self.of_rows:
            twins = "these labels have equal rows in Â and thus one classifier: {}; merge them or lower p or alpha"
            silent = "these labels have no classifier, since their rows in Â are 0: {}; lower p"
        found = [twins.format(described_groups(self.twins))] if self.twins else []
        return found + ([silent.format(described_groups([self.silent], ", "))] if self.silent else [])


def indistinct_labels(graph: GraphFields, num_layers: int = 2) -> IndistinctLabels:
    r"""Finds the labels that a GCN cannot tell apart.

    The rows of :math:`\hat{A} x` are compared, then, layer by layer, the rows of :math:`\hat{A} H` for an H whose rows
    are equal exactly where those of the layer before are equal. This is the refinement of colours of Weisfeiler and
    Leman (1968) with the weights of the edges. Vectors are compared through random projections in float64.

    Args:
        graph: the label graph.
        num_layers: the number of layers of the GCN.

    >>> from mlgcn_pyg import LabelGraph
    >>> graph = LabelGraph.from_targets([[1, 0, 1], [0, 1, 1]], x=[[1.0], [1.0], [2.0]], label_names=["a", "A", "b"])
    >>> indistinct_labels(graph).twins
    (('a', 'A'),)
    """
    random = np.random.default_rng(0)
    num_labels = len(graph.label_names)
    if graph.x is None or graph.weighting == KERNEL:  # whose embeddings are not propagated
        h = random.normal(size=(num_labels, DIRECTIONS))
    else:
        h = graph.x.detach().cpu().double().numpy() @ random.normal(size=(graph.x.size(1), DIRECTIONS))
    for _ in range(num_layers):
        classes = _classes(_propagated(graph, h))
        directions = random.normal(size=(int(classes.max()) + 1, DIRECTIONS))
        directions[0] = 0
        h = directions[classes]
    return _named_classes(classes, graph.label_names)


def equal_embeddings(label_names: Sequence[str], x: Tensor) -> tuple[tuple[str, ...], ...]:
    """Returns groups of labels with equal embeddings.

    Args:
        label_names: C names.
        x: (C, F) embeddings.
    """
    directions = np.random.default_rng(0).normal(size=(x.size(1), DIRECTIONS))
    named = _named_classes(_classes(x.double().numpy() @ directions), label_names)
    return named.twins + ((named.silent,) if len(named.silent) > 1 else ())


def _propagated(graph: GraphFields, h: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns ÂH."""
    source, target = graph.edge_index.cpu().numpy()
    receiver, sender = (source, target) if graph.flow == "target_to_source" else (target, source)
    # the rounding of float32 would make 0.2 differ from 3 · (0.2 / 3)
    weights = None if graph.weighting == KERNEL else defined_weights(graph)  # S itself takes long to compute
    weights = weights or (graph.edge_weight, graph.self_weight)
    edge_weight, self_weight = (weight.detach().cpu().double().numpy() for weight in weights)
    messages = edge_weight[:, None] * h[sender]
    sums = [np.bincount(receiver, weights=column, minlength=len(h)) for column in messages.T]
    return self_weight[:, None] * h + np.stack(sums, axis=1)


def _classes(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns equal numbers for rows that are equal up to rounding; 0 for rows of zeros."""
    mantissa, exponent = np.frexp(rows)
    digits = np.concatenate([np.round(mantissa * 2**32).astype(np.int64), exponent.astype(np.int64)], axis=1)
    odd = np.random.default_rng(1).integers(2**62, size=digits.shape[1], dtype=np.int64) * 2 + 1
    _, classes = np.unique((digits * odd).sum(axis=1), return_inverse=True)
    return np.where((rows == 0).all(axis=1), 0, classes.reshape(-1) + 1)


def _named_classes(classes: NDArray[np.int64], names: Sequence[str]) -> IndistinctLabels:
    shared = np.bincount(classes) > 1
    groups: dict[int, list[str]] = {}
    for label in np.flatnonzero(shared[classes] | (classes == 0)).tolist():
        groups.setdefault(int(classes[label]), []).append(names[label])
    silent = tuple(groups.pop(0, ()))
    return IndistinctLabels(tuple(map(tuple, groups.values())), silent)
