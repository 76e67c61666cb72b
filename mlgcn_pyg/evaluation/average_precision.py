r"""Average precision of all labels at once.

.. math:: AP = \frac{1}{|T|} \sum_{s \in T} \frac{\#\{t \in T : t \ge s\}}{\#\{t \in S : t \ge s\}},

where S are the scores of the images whose target is known, and T those of the positive images. This is the area under
the precision-recall steps, with equal scores at one step. The counts are places in sorted scores, found by
bisection. The order of the images is not needed, so that values are sorted without their indices.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.evaluation.inputs import check_scores, label_blocks
from mlgcn_pyg.evaluation.ordering import count_true, sorted_columns

BLOCK = 1 << 22  # scores that are sorted at once, to bound memory


def mean_average_precision(logits: Any, targets: Any) -> float:
    """Computes mAP alone, the same number as :func:`~mlgcn_pyg.evaluation.multilabel_metrics` in less time.

    Args:
        logits: (N, C), finite.
        targets: (N, C) in {-1, 0, 1}; entries with −1 are ignored.

    Returns:
        The mean AP of the classes with a positive image, a fraction; NaN if there is none.

    Raises:
        InputError: if shapes differ, logits are not finite, or targets have other values.

    >>> mean_average_precision(torch.tensor([[2.0, -1.0], [1.0, 3.0]]), torch.tensor([[1, 1], [0, 0]]))
    0.75
    """
    return float(average_precision(*check_scores(logits, targets)).nanmean())


def average_precision(logits: Tensor, targets: Tensor) -> Tensor:
    """Computes the AP of each class, (C,) float64 on the CPU; NaN for a class without a positive image."""
    none = torch.zeros(0, dtype=torch.float64, device=logits.device)
    return torch.cat([none, *(_average_precision(*block) for block in label_blocks(logits, targets, BLOCK))]).cpu()


def _average_precision(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns the AP of a block of labels, from logits and targets (N, c)."""
    positive = targets == 1
    positives = count_true(positive).unsqueeze(1)
    most = int(positives.max()) if positive.numel() else 0
    if not most:
        return torch.full((logits.size(1),), torch.nan, dtype=torch.float64, device=logits.device)
    scores = sorted_columns(torch.where(targets >= 0, logits, -torch.inf))
    found = sorted_columns(torch.where(positive, logits, torch.inf))[:, :most].contiguous()  # row c: its positives
    place = torch.arange(most, dtype=torch.int32, device=logits.device)
    higher = found[:, 1:] != found[:, :-1]
    first_equal = F.pad(higher * place[1:], (1, 0)).cummax(dim=1).values
    predicted = len(logits) - torch.searchsorted(scores, found, out_int32=True)
    precision = (positives - first_equal).double() / predicted
    return torch.where(place < positives, precision, 0.0).sum(dim=1) / positives.squeeze(1)  # 0 / 0 is NaN
