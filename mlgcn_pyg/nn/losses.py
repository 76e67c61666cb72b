"""Losses over targets with unknown entries."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.checks import bad_input


def multilabel_soft_margin(logits: Tensor, targets: Tensor) -> Tensor:
    r"""Binary cross-entropy on logits, the multi-label loss of Eq. 5 (with the sign as meant):

    .. math::
        \mathcal{L} = -\frac{1}{BC} \sum_{b,c\ \text{known}}
        y_{bc} \log \sigma(z_{bc}) + (1 - y_{bc}) \log(1 - \sigma(z_{bc}))

    Unknown entries (−1) add nothing; the denominator stays B·C, so that the mean over ranks is the whole batch's.

    Args:
        logits: (B, C) z. targets: (B, C) y in {-1, 0, 1}, any dtype that holds them. Values are checked where the
            data are read, not here, in the inner loop.

    >>> multilabel_soft_margin(torch.zeros(1, 2), torch.tensor([[1, -1]]))  # log 2, over two entries
    tensor(0.3466)
    """
    if logits.shape != targets.shape:
        raise bad_input("targets", f"the shape of logits, {tuple(logits.shape)}", f"shape {tuple(targets.shape)}")
    known = (targets >= 0).to(logits.dtype)
    loss = F.binary_cross_entropy_with_logits(logits, targets.clamp(min=0).to(logits.dtype), known, reduction="sum")
    return loss / max(torch.numel(logits), 1)
