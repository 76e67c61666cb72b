r"""Where in an image a logit comes from: maps over the cells of the feature map, whose sum is the logit without bias.

A head is linear in the pooled features. A pooled feature is a mean over cells, or the value of the winning cell.
Therefore each term of the logit belongs to cells. No gradient and no further forward pass is needed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.labels import label_rows
from mlgcn_pyg.nn.standardized_head import StandardizedHead
from mlgcn_pyg.tensor_checks import check_floats


def pool_maps(maps: Tensor, pool: str) -> Tensor:
    """Returns the pooled features (B, D) of feature maps (B, D, h, w)."""
    return maps.amax(dim=(2, 3)) if pool == "max" else maps.mean(dim=(2, 3))


@torch.no_grad()
def explanation_maps(
    head: StandardizedHead, maps: Tensor, pool: str, labels: Sequence[str | int] | None = None
) -> Tensor:
    r"""Returns what each cell of a feature map contributes to each logit:

    .. math:: m_{c,u} = \sum_d W_{cd} \, s_d \, (f_{d,u} - \mu_d) \, q_{d,u}, \qquad
        \sum_u m_{c,u} = \text{logit}_c - b_c

    f is the feature map, W = W_cls, and μ and s are the statistics of the head, 0 and 1 for a head without statistics.
    For average pooling, q is one over the number of cells, as in `class activation maps
    <https://arxiv.org/abs/1512.04150>`_. For max pooling, q is 1 at the cell with the largest value of the feature, and
    0 elsewhere. Cells with equal largest values share it equally: a feature that is 0 everywhere contributes to all
    cells.

    Args:
        head: any head, which determines W, s, μ and b.
        maps: f (B, D, h, w), from :meth:`mlgcn_pyg.nn.Backbone.maps`.
        pool: ``"max"`` or ``"avg"``, the pooling of the backbone.
        labels: names or numbers of C' labels; default: all.

    Returns:
        (B, C', h, w).

    Raises:
        InputError: if the shape or the type of the maps differs from the head's, the pooling is unknown, or there is no
            such label.

    >>> from mlgcn_pyg.nn import LinearHead
    >>> head, maps = LinearHead(2, num_features=3), torch.rand(1, 3, 4, 5)
    >>> cells = explanation_maps(head, maps, "max")
    >>> torch.allclose(cells.sum(dim=(2, 3)) + head.bias, head(maps.amax(dim=(2, 3))), atol=1e-6)
    True
    """
    check_choice("pool", pool, ("max", "avg"))
    weight = head.classifiers()
    check_floats("maps", maps, ("batch", head.num_features, "height", "width"), weight)
    if 0 in maps.shape[2:]:
        raise InputError("maps", "feature maps with at least one cell", f"shape {tuple(maps.shape)}")
    if labels is not None:
        weight = weight[label_rows("labels", labels, head.label_names)]
    if head.standardize is not None:
        maps = (maps - head.standardize.mean.view(-1, 1, 1)) * head.standardize.scale.view(-1, 1, 1)
    return torch.einsum("cd,bdhw->bchw", weight, maps * _shares(maps, pool))


def _shares(maps: Tensor, pool: str) -> Tensor:
    """Returns the share of each cell in the pooled feature, which broadcasts to (B, D, h, w)."""
    if pool == "avg":
        return maps.new_full((1, 1, 1, 1), 1 / (maps.size(2) * maps.size(3)))
    wins = (maps == maps.amax(dim=(2, 3), keepdim=True)).to(maps.dtype)
    return wins / wins.sum(dim=(2, 3), keepdim=True)
