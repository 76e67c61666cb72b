"""The places in the ranking of the images at which a threshold of a label can lie."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Cuts:
    """All cuts of N ≥ 1 images, for each of C labels. Cut k of a label predicts its k + 1 highest logits.

    Attributes:
        above: (N, C) the lowest logit that a cut predicts.
        below: (N, C) the next logit; −∞ below the last one and above unknown entries.
        tp: (N, C) the number of positives that a cut predicts.
        predicted: (N, C) the number of known entries that a cut predicts.
        possible: (N, C) whether a threshold can lie there: not below an unknown entry, and not between equal logits.
    """

    above: Tensor
    below: Tensor
    tp: Tensor
    predicted: Tensor
    possible: Tensor

    def thresholds(self, chosen: Tensor) -> Tensor:
        """Returns the thresholds (C,) of the chosen cuts (1, C): the middle between the two logits.

        The threshold of a cut that predicts all known entries is just below the lowest logit, and at most 0.
        """
        above, below = self.above.gather(0, chosen)[0], self.below.gather(0, chosen)[0]
        lowest = torch.nextafter(above, above.new_full((), -torch.inf)).clamp(max=0)
        middle = below + (above - below) / 2
        middle = torch.where(middle < above, middle, below)  # no number lies between adjacent floating-point numbers
        return torch.where(below.isinf(), lowest, middle)


def cuts_of(logits: Tensor, targets: Tensor) -> Cuts:
    """Returns the cuts of logits (N, C) float64 with targets (N, C) in {-1, 0, 1}, N ≥ 1."""
    above, order = logits.masked_fill(targets < 0, -torch.inf).sort(dim=0, descending=True)
    truth = targets.gather(0, order)
    below = torch.cat([above[1:], above.new_full((1, above.size(1)), -torch.inf)])
    tp, predicted = (truth == 1).cumsum(dim=0), (truth >= 0).cumsum(dim=0)
    return Cuts(above, below, tp, predicted, (truth >= 0) & (above != below))
