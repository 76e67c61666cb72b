"""Decides which pairs of labels become edges, and how certain their probabilities are."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_count, check_number, check_positive
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.graph.fields import GraphFields

Z = 1.959963984540054  # the two-sided 95 % point of the normal distribution
MAX_COMPLETE = 4096  # labels of a complete graph, whose edges then take about 0.5 GB

EdgeList = tuple[np.ndarray, np.ndarray, np.ndarray]  # i, j, P(L_j | L_i)


@dataclass(frozen=True)
class EdgeRule:
    """Decides which pairs of labels become edges i → j.

    An edge requires P_ij ≥ τ and M_ij ≥ ``min_count``. Each label i has at most ``top_k`` outgoing edges. With τ = 0,
    all pairs are edges, also those that never occur together and those of labels without images, for which P is 0: the
    graph is complete. ``min_count=1`` restricts it to pairs that occur together.

    Args:
        tau (float): τ in [0, 1]; 0 for up to 4,096 labels, unless ``min_count`` is positive.
        probability (str): ``"ratio"`` for P_ij = M_ij / n (Eq. 6), where n images have i present and j known.
            ``"wilson"`` for the lower bound of its 95 % confidence interval, which avoids edges that a rare label has
            by chance.
        min_count (int): the smallest M_ij of an edge. Default: 0, but τ > 0 implies 1.
        top_k (int or None): the largest number of edges of each i. The most probable are kept, ties in the order of the
            labels; None keeps all.

    Raises:
        InputError: if an argument is not valid; the error names it.

    >>> EdgeRule(tau=1).tau
    1.0
    """

    tau: float = 0.4
    probability: str = "ratio"
    min_count: int = 0
    top_k: int | None = None

    def __post_init__(self) -> None:
        # stored as Python numbers, whatever the type of the arguments
        object.__setattr__(self, "tau", check_number("tau", self.tau, 0, 1))
        check_choice("probability", self.probability, PROBABILITIES)
        object.__setattr__(self, "min_count", check_count("min_count", self.min_count))
        if self.top_k is not None:
            object.__setattr__(self, "top_k", check_positive("top_k", self.top_k))

    @property
    def is_complete(self) -> bool:
        """Whether all pairs are edges, before ``top_k`` is applied."""
        return self.tau == 0 and self.min_count == 0

    def check_labels(self, num_labels: int) -> None:
        """Checks that a complete graph over ``num_labels`` labels is small enough.

        Raises:
            InputError: if there are more than 4,096 labels and all pairs are edges.
        """
        if self.is_complete and num_labels > MAX_COMPLETE:
            expected = f"τ > 0 for more than {MAX_COMPLETE:,} labels, since τ = 0 makes every pair of labels an edge"
            fix: list[str | Argument] = ["pass ", Argument("min_count", 1), " for the pairs that occur together only"]
            raise InputError("tau", expected, f"τ = 0 and {num_labels:,} labels", fix)

    def select(self, row: np.ndarray, column: np.ndarray, together: np.ndarray, known: np.ndarray) -> EdgeList:
        """Selects the edges among pairs of labels that occur together.

        Args:
            row: i of each pair, sorted.
            column: j of each pair.
            together: M_ij, the number of images with i and j present.
            known: n, the number of images with i present and j known.

        Returns:
            i, j and P_ij of the edges, sorted by i and then by j.
        """
        keep = (row != column) & (together >= max(self.min_count, 1))
        # both estimates are at most M / n, so most pairs are dropped before the more expensive estimate is computed
        keep &= together >= self.tau * known * (1 - 1e-12)
        row, column, together, known = row[keep], column[keep], together[keep], known[keep]
        prob = PROBABILITIES[self.probability](together.astype(np.float64), known.astype(np.float64))
        keep = prob >= self.tau
        row, column, prob = row[keep], column[keep], prob[keep]
        if self.top_k is not None and len(row):
            order = np.lexsort((column, -prob, row))
            first = np.searchsorted(row, row, side="left")  # the position at which each pair's row begins
            order = order[np.arange(len(row)) - first < self.top_k]
            row, column, prob = row[order], column[order], prob[order]
        order = np.lexsort((column, row))
        return row[order], column[order], prob[order]


def ratio(together: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns P = M / n in float64, in which 7/10 ≥ 0.7 holds."""
    return together / known


def wilson(together: np.ndarray, known: np.ndarray) -> np.ndarray:
    r"""Returns the lower bound of Wilson's 95 % confidence interval for M successes in n trials.

    .. math:: \frac{\hat{P} + z^2/2n - z \sqrt{\hat{P}(1-\hat{P})/n + z^2/4n^2}}{1 + z^2/n},
        \qquad \hat{P} = M / n

    From E. B. Wilson, *Probable inference, the law of succession, and statistical inference*, 1927.

    Args:
        together: M.
        known: n ≥ M.

    >>> wilson(np.array([2.0, 200.0]), np.array([2.0, 200.0])).round(3).tolist()
    [0.342, 0.981]
    """
    ratio, n = together / known, known
    centre = ratio + Z * Z / (2 * n)
    spread = Z * np.sqrt(ratio * (1 - ratio) / n + Z * Z / (4 * n * n))
    return (centre - spread) / (1 + Z * Z / n)


PROBABILITIES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"ratio": ratio, "wilson": wilson}


def certain_probabilities(graph: GraphFields) -> Tensor:
    """Returns (E,) the lower bounds of the 95 % confidence intervals of P(L_j | L_i), given N_i.

    They are ``edge_prob`` itself for ``probability="wilson"`` and for labels without counts.

    Args:
        graph: a label graph.

    >>> from mlgcn_pyg import LabelGraph
    >>> certain_probabilities(LabelGraph.from_targets([[1, 1]])).round(decimals=3)  # one image is little evidence
    tensor([0.2070, 0.2070], dtype=torch.float64)
    """
    known = graph.label_counts[graph.edge_index[0]].cpu().double().numpy()
    if graph.probability == "wilson" or not np.any(known > 0):
        return graph.edge_prob
    prob, n = graph.edge_prob.cpu().double().numpy(), np.maximum(known, 1)
    return torch.from_numpy(np.where(known > 0, wilson(prob * n, n), prob))


def selected_edges(graph: GraphFields) -> Tensor:
    """Returns (E,) which edges the threshold τ selected; the weighting ``"kernel"`` adds others, with P = 0.

    With τ = 0, all edges are selected.

    Args:
        graph: a label graph.
    """
    return graph.edge_prob > 0 if graph.tau > 0 else torch.ones_like(graph.edge_prob, dtype=torch.bool)
