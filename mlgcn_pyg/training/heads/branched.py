"""One ML-GCN head on a GPU as two branches that are computed at the same time."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlgcn_pyg.nn import MLGCNHead
from mlgcn_pyg.nn.gcn import features_first, times_transposed
from mlgcn_pyg.training.heads.stacked_heads import SingleHead
from mlgcn_pyg.typing import Head


class BranchedMLGCN(SingleHead):
    r"""One ML-GCN head, whose factors of the logits are computed on two streams of a GPU:

    .. math:: \text{logits} = (\tilde{\mathbf{X}} \mathbf{W}^\top) \, \mathbf{H}^\top \; (+ \mathbf{b})

    :math:`\tilde{\mathbf{X}} \mathbf{W}^\top` depends on the images, and H on the label graph. Neither depends on the
    other, and neither fills a GPU. Autograd runs the backward pass of each operation on the stream of its forward pass,
    so that the two branches of the backward pass are computed at the same time as well.

    Args:
        head: a head with two factors (:meth:`~mlgcn_pyg.nn.MLGCNHead.factors`).
        labels: the stream on which H is computed.
    """

    def __init__(self, head: MLGCNHead, labels: torch.cuda.Stream):
        super().__init__(head)
        self.mlgcn, self.labels = head, labels

    def logits(self, features: Tensor) -> Tensor:
        """Returns the logits (1, B, C) of features (B, D)."""
        images = torch.cuda.current_stream(features.device)
        self.labels.wait_stream(images)
        with torch.cuda.stream(self.labels):
            h, _ = self.mlgcn.factors()
        projected = times_transposed(self.mlgcn.standardized(features), self.mlgcn.layers[-1].weight)
        images.wait_stream(self.labels)
        logits = times_transposed(projected, h)
        return (logits if self.mlgcn.bias is None else logits + self.mlgcn.bias).unsqueeze(0)


def has_branches(heads: Sequence[Head], batch_size: int) -> bool:
    """Returns whether the heads are one ML-GCN head that projects a batch before it is multiplied with the labels."""
    head = heads[0]
    if len(heads) > 1 or not isinstance(head, MLGCNHead) or (head.x is None and len(head.layers) == 1):
        return False
    sizes = (batch_size, head.num_labels, head.layers[-1].in_channels, head.num_features)
    return features_first(*sizes, train_head=True, train_features=False)
