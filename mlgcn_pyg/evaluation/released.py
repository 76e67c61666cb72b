"""The metrics as the authors' released code computes them, for comparison with its numbers.

The reference is the class ``AveragePrecisionMeter`` in ``util.py`` of https://github.com/megvii-research/ML-GCN.
"""

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.evaluation.average_precision import BLOCK
from mlgcn_pyg.evaluation.inputs import label_blocks
from mlgcn_pyg.evaluation.results import CountMetrics


def released_average_precision(logits: Tensor, targets: Tensor) -> Tensor:
    """Computes the AP of each class, (C,) float32; NaN for a class without a positive image.

    Unknown entries are left out. Equal logits are ranked as ``torch.sort`` returns them.
    """
    scores, targets = logits.detach().to("cpu", torch.float32), targets.cpu()
    return torch.cat([torch.zeros(0), *(_average_precision(*block) for block in label_blocks(scores, targets, BLOCK))])


def _average_precision(scores: Tensor, targets: Tensor) -> Tensor:
    """Returns the AP of a block of labels, from scores and targets (N, c)."""
    # rows that are contiguous, and not a stable sort: else equal scores are ordered differently than in one column
    order = scores.t().contiguous().sort(dim=1, descending=True).indices
    ranked = targets.t().gather(1, order)
    present = ranked == 1
    tp, rank = (mask.cumsum(dim=1, dtype=torch.int32) for mask in (present, ranked >= 0))  # faster than int64
    precision = (tp.double() / rank.clamp(min=1)) * present
    total = precision.cumsum(dim=1)[:, -1:].sum(dim=1)  # cumsum adds one number after another
    return (total / present.sum(dim=1)).float()


def released_counts(logits: Tensor, targets: Tensor, top_k: int | None) -> CountMetrics:
    """Computes CP, CR, CF1, OP, OR and OF1; a ratio of 0 and 0 is NaN.

    A label counts as predicted if its logit is ≥ 0. Unknown entries count as negative and take ``top_k`` places. A
    class that is never predicted adds 1 to the denominator of OP. CR is the mean over all C classes.
    """
    scores = logits.detach().to("cpu", torch.float32)
    said = scores >= 0
    if top_k is not None and top_k < scores.size(1):
        places = scores.topk(top_k, dim=1).indices  # which of equal logits take the last places is left to torch
        said &= torch.zeros_like(said).scatter_(1, places, True)
    present = targets.cpu() == 1
    tp = (said & present).sum(dim=0).double().numpy()
    predicted = said.sum(dim=0).clamp(min=1).double().numpy()
    positives = present.sum(dim=0).double().numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        op, o_r = tp.sum() / predicted.sum(), tp.sum() / positives.sum()
        cp, cr = np.divide((tp / predicted).sum(), len(tp)), np.divide((tp / positives).sum(), len(tp))
        cf1, of1 = 2 * cp * cr / (cp + cr), 2 * op * o_r / (op + o_r)
    return {"CP": float(cp), "CR": float(cr), "CF1": float(cf1), "OP": float(op), "OR": float(o_r), "OF1": float(of1)}
