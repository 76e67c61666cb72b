r"""Logits as exact sums over the label graph.

The last step of a head is linear: it propagates classifiers :math:`\mathbf{v}_j`, the rows of
:math:`\mathbf{V} = \mathbf{H}_{L-1} \mathbf{W}_L`, over the graph. For an image with the features x̃ and the scores
:math:`z_j = \langle \tilde{\mathbf{x}}, \mathbf{v}_j \rangle`,

.. math:: \text{logit}_i = \underbrace{\hat{A}_{ii} \, z_i}_{\text{own}}
    + \sum_{j \ne i} \underbrace{\hat{A}_{ij} \, z_j}_{\text{edge } j \to i} + b_i

Each term is what the logit loses if this entry of Â is set to 0 in the last layer, and the other layers are unchanged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_count
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.labels import label_row
from mlgcn_pyg.nn.gcn import LabelOperator

if TYPE_CHECKING:
    import pandas as pd

OWN, NEIGHBOUR, BIAS = "own", "neighbour", "bias"


@dataclass(frozen=True)
class Contributions:
    """The terms whose sum is the logit, for B images, C labels and E edges of the label graph.

    Attributes:
        own: (B, C) Â_ii z_i, the contribution of the label's own classifier.
        edges: (B, E) Â_ij z_j, the contribution of each edge to the logit of its receiver.
        bias: (C,) the bias; zeros for a head without one.
        receiver: (E,) the label i whose logit the edge contributes to.
        sender: (E,) the label j whose classifier the edge contributes.
        edge_weight: (E,) Â_ij.
        self_weight: (C,) Â_ii.
        label_names: the C names.
    """

    own: Tensor
    edges: Tensor
    bias: Tensor
    receiver: Tensor
    sender: Tensor
    edge_weight: Tensor
    self_weight: Tensor
    label_names: tuple[str, ...]

    def logits(self) -> Tensor:
        """Returns the sums of all terms, which are the logits (B, C)."""
        return (self.own + self.bias).index_add(1, self.receiver, self.edges)

    def frame(self, row: int, label: str | int) -> "pd.DataFrame":
        """Returns the terms of one logit as a table, from the most positive to the most negative.

        Args:
            row: the number of the image.
            label: the name of the label, or its number.

        Columns:
            - **term**: ``"own"``, ``"neighbour"`` or ``"bias"``.
            - **label**: the label whose classifier contributes.
            - **contribution**: the term; the sum of the column is the logit.
            - **weight**: Â_ii or Â_ij; NaN for the bias.

        Raises:
            InputError: if there is no such image or label; the message lists names with a similar spelling.
        """
        import pandas as pd

        if check_count("row", row) >= len(self.own):
            raise InputError("row", f"the number of one of {len(self.own)} images", row)
        i = label_row("label", label, self.label_names)
        edges = (self.receiver == i).nonzero().flatten()
        senders = self.sender[edges].tolist()
        content = {
            "term": [OWN, *[NEIGHBOUR] * len(senders), BIAS],
            "label": [self.label_names[j] for j in (i, *senders, i)],
            "contribution": [self.own[row, i].item(), *self.edges[row, edges].tolist(), self.bias[i].item()],
            "weight": [self.self_weight[i].item(), *self.edge_weight[edges].tolist(), float("nan")],
        }
        frame = pd.DataFrame(content)
        return frame.sort_values("contribution", ascending=False, kind="stable", ignore_index=True)

    def __repr__(self) -> str:
        (images, labels), edges = self.own.shape, len(self.receiver)
        return f"Contributions({images} images, {labels} labels, {edges} edges)"


def contributions_of(
    scores: Tensor, operator: LabelOperator | None, bias: Tensor | None, label_names: Sequence[str]
) -> Contributions:
    """Returns the terms of the logits Â z + b.

    Args:
        scores: z (B, C).
        operator: Â; None means the identity.
        bias: b (C,), or None.
        label_names: C names.
    """
    if operator is None:
        receiver = sender = torch.empty(0, dtype=torch.int64, device=scores.device)
        edge_weight, self_weight = scores.new_empty(0), scores.new_ones(scores.size(1))
    else:
        receiver, sender = operator.adjacency.receiver, operator.adjacency.sender
        edge_weight, self_weight = operator.edge_weight, operator.self_weight
    return Contributions(
        own=scores * self_weight,
        edges=scores[:, sender] * edge_weight,
        bias=scores.new_zeros(scores.size(1)) if bias is None else bias.clone(),
        receiver=receiver,
        sender=sender,
        edge_weight=edge_weight,
        self_weight=self_weight,
        label_names=tuple(label_names),
    )
