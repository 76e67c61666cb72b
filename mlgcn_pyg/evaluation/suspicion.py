r"""How probable it is that a given label is wrong, from the logits of a head and from the other labels of the image.

For label c, with the logit :math:`z_c` and the given values :math:`y_j` of its neighbours in a label graph,

.. math:: \operatorname{logit} P(y_c = 1) = a_c z_c + b_c + \sum_{j \sim c} J_{cj} (y_j - \bar{y}_j)

The numbers a, b and J of a label are the most probable ones with Gaussian priors, for images of other folds than the
one that they are applied to. Each factor of the form :math:`P(y_c \mid \text{other labels})` is that of an Ising model,
so that this is its pseudo-likelihood with the logits as external field
(Besag, Statistical Analysis of Non-Lattice Data, The Statistician 24, 1975).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logit
from torch import Tensor

from mlgcn_pyg.checks import check_targets
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation.calibration import PRECISION, common_scale
from mlgcn_pyg.evaluation.inputs import check_scores
from mlgcn_pyg.evaluation.logistic import logistic_map
from mlgcn_pyg.evaluation.parts import fitted_parts
from mlgcn_pyg.graph import LabelGraph

NEIGHBOUR = 1.0  # precision of J: a neighbour multiplies the odds by at most about e² without evidence in the data


def suspicion(logits: Any, targets: Any, graph: LabelGraph | None = None, *, folds: int = 5, seed: int = 0) -> Tensor:
    """Returns how suspicious each given label is: the probability of the other value.

    The logits must be those of a head that was not trained on these images, since a head fits wrong labels as well.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}, the given labels.
        graph: a label graph of the C labels. An edge in either direction makes two labels neighbours, so that each is
            expected from the other. None uses the logits alone.
        folds: the number of folds, ≥ 2, for the numbers that are fitted.
        seed: the seed of the folds.

    Returns:
        (N, C) float64 in [0, 1], larger for more suspicious labels; NaN for unknown targets, −1.

    Raises:
        InputError: if shapes differ, logits are not finite, targets have other values, ``folds`` < 2, or the graph has
            a different number of labels.

    >>> scores = suspicion([[3.0], [-3.0], [3.0], [-3.0]], [[1], [0], [0], [-1]], folds=2)
    >>> int(scores.nan_to_num().argmax()), scores[3].isnan().item()  # image 2 lacks the label
    (2, True)
    """
    logits, targets = check_scores(logits, targets)
    p = label_probabilities(targets, graph, logits, folds=folds, seed=seed)
    given = targets.cpu()
    return torch.where(given < 0, torch.nan, torch.where(given == 1, 1 - p, p))


def expected_labels(
    targets: Any, graph: LabelGraph | None, *, labels: Sequence[int] | None = None, folds: int = 5, seed: int = 0
) -> Tensor:
    """Returns the probability of each label, given the neighbours of the label that the image has, without its picture.

    Args:
        targets: (N, C) in {-1, 0, 1}, the given labels.
        graph: a label graph of the C labels; see :func:`suspicion`. None gives the share of each label.
        labels: the numbers of the labels to compute; the others are NaN. Default: all.
        folds: the number of folds, ≥ 2.
        seed: the seed of the folds.

    Returns:
        (N, C) float64, also for unknown targets.

    Raises:
        InputError: as :func:`suspicion`.
    """
    targets = check_targets("targets", targets)
    return label_probabilities(targets, graph, None, labels=labels, folds=folds, seed=seed)


def label_probabilities(
    targets: Tensor,
    graph: LabelGraph | None,
    logits: Tensor | None,
    *,
    labels: Sequence[int] | None = None,
    folds: int,
    seed: int,
) -> Tensor:
    """Returns the probability (N, C) of each label, given its neighbours and, if there are any, the logits."""
    near, y = _neighbours(graph, targets.size(1)), targets.cpu().numpy()
    z = None if logits is None else logits.double().cpu().numpy()
    wanted = range(y.shape[1]) if labels is None else labels
    out, last = np.full(y.shape, np.nan), dict.fromkeys(wanted)  # the weights of the last fold, which are close
    for part in fitted_parts(targets.cpu(), folds, seed):
        known = y[part.fitted] >= 0
        present, number = (y[part.fitted] == 1).sum(0), known.sum(0)
        context = np.where(y >= 0, y - present / np.maximum(number, 1), 0.0)  # an unknown neighbour says nothing
        scale = 1.0 if z is None else common_scale(z[part.fitted], y[part.fitted])
        for c in wanted:
            base = np.full(len(y), logit((present[c] + 0.5) / (number[c] + 1))) if z is None else scale * z[:, c]
            own = [np.ones_like(base)] if z is None else [base, np.ones_like(base)]
            features = np.column_stack([*own, context[:, near[c]]])
            precision = np.array([*PRECISION[-len(own) :], *[NEIGHBOUR] * len(near[c])])
            rows = part.fitted[known[:, c]]
            theta = logistic_map(base[rows], features[rows], y[rows, c].astype(np.float64), precision, last[c])
            last[c] = theta
            out[part.held_out, c] = expit(base[part.held_out] + features[part.held_out] @ theta)
    return torch.from_numpy(out)


def _neighbours(graph: LabelGraph | None, num_labels: int) -> list[NDArray[np.int64]]:
    """Returns for each label the numbers of its neighbours.

    Raises:
        InputError: if the graph has a different number of labels.
    """
    if graph is None:
        return [np.zeros(0, dtype=np.int64)] * num_labels
    if not isinstance(graph, LabelGraph) or graph.num_labels != num_labels:
        found = f"{graph.num_labels} labels" if isinstance(graph, LabelGraph) else type(graph).__name__
        raise InputError("graph", f"a label graph of {num_labels} labels", found)
    i, j = graph.edge_index.cpu().numpy()
    return [np.setdiff1d(np.concatenate([j[i == c], i[j == c]]), [c]) for c in range(num_labels)]
