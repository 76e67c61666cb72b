"""The fixed label operators of heads, and the choices of α that the solver has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlgcn_pyg.graph import CooccurrenceCounter, LabelGraph
from mlgcn_pyg.graph.kernel import MAX_LABELS, kernel_spectrum, label_kernel
from mlgcn_pyg.nn import LinearHead, SharingHead

ALPHAS = (0.0, 0.3, 0.6, 0.9)
SAME = 1e-9  # the largest difference between kernels of the same counts
ConvexHead = LinearHead | SharingHead


@dataclass(frozen=True)
class Operators:
    """The label operators that a head may have.

    Attributes:
        alphas: the values of α to choose from; (None,) if the operator has none.
        at: returns S of the targets (N, C) of some training images for each of ``alphas``; None stands for the
            identity.
    """

    alphas: Sequence[float | None]
    at: Callable[[Tensor], list[Tensor | None]]


def label_operators(head: ConvexHead, targets: Tensor, alpha: float | None) -> Operators:
    """Returns the operators of a head with a convex problem.

    If the graph of a sharing head was mined from ``targets`` with the weighting ``"kernel"``, its similarities are
    computed again from the targets of each fold's training images, so that no label of a held-out image is used.

    Args:
        head: a linear or a sharing head.
        targets: (N, C) all training targets.
        alpha: the α of a sharing head with the weighting ``"kernel"``; None for all of :data:`ALPHAS`.
    """
    if isinstance(head, LinearHead):
        return Operators((None,), lambda _: [None])
    graph = head.base_graph()
    if graph.kernel is None:
        operator = _fixed_operator(graph)
        return Operators((None,), lambda _: [operator])
    alphas = ALPHAS if alpha is None else (alpha,)
    return Operators(alphas, _KernelOperators(graph.kernel, graph.x, targets, alphas))


class _KernelOperators:
    """Returns the operators of a kernel graph for some training targets.

    Args:
        kernel: the similarities K (C, C) of the graph.
        x: (C, F) its embeddings, or None.
        targets: (N, C) all training targets.
        alphas: the values of α.
    """

    def __init__(self, kernel: Tensor, x: Tensor | None, targets: Tensor, alphas: Sequence[float]):
        self.x, self.alphas, self.kernel = x, alphas, kernel
        self.of_graph = [_unless_identity(s) for s in self._operators(kernel)]
        self.mined_here = bool((self._kernel(targets) - self.kernel).abs().max() <= SAME)
        self.num_images = len(targets)

    def __call__(self, targets: Tensor) -> list[Tensor | None]:
        if not self.mined_here or len(targets) == self.num_images:
            return self.of_graph
        return [_unless_identity(s) for s in self._operators(self._kernel(targets))]

    def _kernel(self, targets: Tensor) -> Tensor:
        counter = CooccurrenceCounter(targets.size(1)).update(targets.cpu())
        counted = bool((targets > 0).any()) or self.x is None  # as when the graph was built
        return label_kernel(counter.pair_counts if counted else None, self.x)

    def _operators(self, kernel: Tensor) -> list[Tensor]:
        spectrum = kernel_spectrum(kernel)
        return [spectrum.operator(alpha) for alpha in self.alphas]


def _fixed_operator(graph: LabelGraph) -> Tensor | None:
    """Returns Â of a graph, dense for up to 4,096 labels."""
    if graph.num_labels <= MAX_LABELS:
        return _unless_identity(graph.to_dense().double())
    order = torch.arange(graph.num_labels).expand(2, -1)
    pairs = graph.edge_index if graph.flow == "target_to_source" else graph.edge_index.flip(0)
    entries = torch.cat([graph.edge_weight, graph.self_weight]).double()
    return torch.sparse_coo_tensor(torch.cat([pairs, order], 1), entries, (graph.num_labels,) * 2).coalesce()


def _unless_identity(s: Tensor) -> Tensor | None:
    return None if torch.equal(s, torch.eye(len(s), dtype=s.dtype)) else s
