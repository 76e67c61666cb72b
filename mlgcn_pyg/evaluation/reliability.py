"""Reliability: how often labels are present for which a head states a probability."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_flag, check_positive
from mlgcn_pyg.evaluation.inputs import check_scores


@dataclass(frozen=True, eq=False)
class Reliability:
    r"""Probabilities in K bins of equal width, and the observed shares. All numbers are float64, and counts int64.

    Bin k holds the known entries with :math:`k/K < P \le (k+1)/K`; the first also holds P = 0. The leading dimension
    C is missing for all labels together.

    .. math:: ECE = \sum_k \frac{n_k}{n} \, \lvert \bar{P}_k - y_k \rvert

    Attributes:
        edges: (K + 1,) the limits of the bins.
        counts: (C, K) or (K,), n, the number of known entries in each bin.
        predicted: (C, K) or (K,), the mean probability in each bin; NaN for an empty bin.
        observed: (C, K) or (K,), the share of present labels in each bin; NaN for an empty bin.
        ece: (C,) or (), the expected calibration error; NaN without a known entry.

    Source: Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015.
    """

    edges: Tensor
    counts: Tensor
    predicted: Tensor
    observed: Tensor
    ece: Tensor


def reliability(logits: Any, targets: Any, bins: int = 15, *, per_label: bool = False) -> Reliability:
    """Compares the probabilities of a head, the sigmoid of its logits, with the shares of present labels.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}; entries with −1 are ignored.
        bins: the number K of bins.
        per_label: whether each label has its own bins; by default those of all labels are pooled.

    Raises:
        InputError: if shapes differ, logits are not finite, targets have other values, or ``bins`` < 1.

    >>> found = reliability([[2.0], [2.0], [-2.0]], [[1], [0], [0]], bins=2)
    >>> found.counts.tolist(), found.observed.tolist(), round(found.ece.item(), 4)  # P = 0.1192 and 0.8808
    ([1, 2], [0.0, 0.5], 0.2936)
    """
    logits, targets = check_scores(logits, targets)
    check_positive("bins", bins)
    check_flag("per_label", per_label)
    rows = logits.size(1) if per_label else 1
    p, known = logits.double().sigmoid(), targets >= 0
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=p.device)
    place = torch.searchsorted(edges[1:-1].contiguous(), p.contiguous())
    if per_label:
        place += bins * torch.arange(rows, device=p.device)
    place = place[known]

    def summed(values: Tensor) -> Tensor:
        return (
            torch.zeros(rows * bins, dtype=torch.float64, device=p.device).index_add_(0, place, values).view(rows, bins)
        )

    counts = torch.bincount(place, minlength=rows * bins).view(rows, bins)
    predicted, observed = summed(p[known]) / counts, summed(targets[known].double()) / counts
    gap = (predicted - observed).abs().nan_to_num()
    ece = (gap * counts).sum(1) / counts.sum(1)
    found = (counts, predicted, observed, ece)
    return Reliability(edges, *(values if per_label else values[0] for values in found))
