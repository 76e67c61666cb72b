r"""The graph convolutional network of ML-GCN, as stateless functions of tensors.

One layer is Eq. 2 of `the paper <https://arxiv.org/abs/1904.03582>`_, and Â is the re-weighted matrix of Eq. 8:

.. math::
    \mathbf{H}_{l+1} = h(\hat{\mathbf{A}} \mathbf{H}_l \mathbf{W}_l), \qquad
    \hat{\mathbf{A}}_{ij} = p \, \frac{\mathbf{A}_{ij}}{\sum_{k \ne i} \mathbf{A}_{ik}} \; (i \ne j), \qquad
    \hat{\mathbf{A}}_{ii} = 1 - p

The functions receive Â as an :class:`~mlgcn_pyg.nn.kernels.Adjacency` with ``edge_weight`` (E,) and ``self_weight``
(C,). Both are computed by a label graph or by :class:`~mlgcn_pyg.nn.learned_edges.LearnedEdges`.

The same functions serve one head and a stack of S heads of equal shape. For a stack, every matrix has a leading
dimension of size S, and the adjacency is the disjoint union of the S label graphs, with S·C nodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.nn.kernels import Adjacency, propagate

exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)  # torch < 2.7 has no is_exporting


@dataclass  # not frozen: torch.compile of torch 2.6 cannot construct frozen dataclasses
class LabelOperator:
    """The matrix Â, as a function that propagates over the label graph.

    Args:
        adjacency: the sparsity pattern of Â.
        edge_weight: (E,) the entries off the diagonal.
        self_weight: (C,) the diagonal.
    """

    adjacency: Adjacency
    edge_weight: Tensor
    self_weight: Tensor

    def __call__(self, h: Tensor) -> Tensor:
        """Returns ÂH for a matrix H (C, F), or for a stack of heads (S, C, F)."""
        if h.dim() == 2:
            return propagate(h, self.adjacency, self.edge_weight, self.self_weight)
        return propagate(h.flatten(0, 1), self.adjacency, self.edge_weight, self.self_weight).view(h.shape)


def gcn_layer(h: Tensor | None, weight: Tensor, operator: LabelOperator) -> Tensor:
    r"""Returns :math:`\hat{\mathbf{A}} \mathbf{H} \mathbf{W}`, Eq. 2 without the nonlinearity.

    Since Â(HW) = (ÂH)W, the propagation runs on the narrower side of W.

    Args:
        h: H (C, F), or None for one-hot labels, for which HW = W.
        weight: W (F, N).
        operator: Â.

    >>> import torch
    >>> adjacency = Adjacency(torch.tensor([[0], [1]]), num_nodes=2)  # label 0 receives from label 1
    >>> operator = LabelOperator(adjacency, edge_weight=torch.tensor([0.2]), self_weight=torch.tensor([0.8, 0.8]))
    >>> gcn_layer(torch.tensor([[1.0], [3.0]]), torch.ones(1, 1), operator)
    tensor([[1.4000],
            [2.4000]])
    """
    if h is None:
        return operator(weight)
    if weight.size(-2) <= weight.size(-1):
        return operator(h) @ weight
    return operator(h @ weight)


def gcn_factors(
    x: Tensor | None,
    propagated_x: Tensor | None,
    weights: Sequence[Tensor],
    operator: LabelOperator,
    negative_slope: float,
) -> tuple[Tensor, Tensor | None]:
    r"""Returns the classifiers as two factors, :math:`\mathbf{W}_{cls} = \mathbf{H} \mathbf{W}`.

    H = ÂH_{L−1} (C, N) is the input of the last layer after its propagation, and W (N, D) is the weight of the last
    layer. For one-hot labels and a single layer, there is only one factor: H = W_cls = ÂW (C, D), and W is None.

    Args:
        x: (C, F) label embeddings, or None for one-hot labels.
        propagated_x: (C, F) Âx if it is constant and precomputed, else None.
        weights: the weight of each layer, (F, N₁), (N₁, N₂), …, (N, D).
        operator: Â.
        negative_slope: the negative slope of the LeakyReLU between the layers.
    """
    h, last = gcn_hidden(x, propagated_x, weights, operator, negative_slope), weights[-1]
    if h is None:
        return operator(last), None
    if len(weights) == 1 and propagated_x is not None:
        return propagated_x, last
    return operator(h), last


def gcn_hidden(
    x: Tensor | None,
    propagated_x: Tensor | None,
    weights: Sequence[Tensor],
    operator: LabelOperator,
    negative_slope: float,
) -> Tensor | None:
    r"""Returns :math:`\mathbf{H}_{L-1}` (C, N), the input of the last layer before its propagation.

    None means one-hot labels. The arguments are those of :func:`gcn_factors`.
    """
    h, propagated = x, propagated_x
    for weight in weights[:-1]:
        h = gcn_layer(h, weight, operator) if propagated is None else propagated @ weight
        # in place, since the backward pass of the product does not require the product
        h, propagated = F.leaky_relu_(h, negative_slope), None
    return h


def gcn_logits(features: Tensor, h: Tensor, weight: Tensor | None, *, train_head: bool, train_features: bool) -> Tensor:
    r"""Returns the logits :math:`\mathbf{X} \mathbf{W}_{cls}^\top` (B, C) for the factors of :func:`gcn_factors`.

    The logits are computed as X (HW)ᵀ or as (X Wᵀ) Hᵀ, whichever takes fewer multiplications
    (:func:`features_first`). Within ``torch.export`` they are computed as X (HW)ᵀ.

    Args:
        features: X (B, D). A stack of heads shares X, and its logits are (S, B, C).
        h: H (C, N).
        weight: W (N, D), or None if ``h`` is W_cls.
        train_head: whether H and W require gradients.
        train_features: whether X requires gradients.
    """
    if weight is None:
        return times_transposed(features, h)
    num_labels, hidden = h.shape[-2:]
    sizes = (features.size(0), num_labels, hidden, features.size(-1))
    # an exported program serves batches of any size: a comparison with the batch size would become part of it
    if not exporting() and features_first(*sizes, train_head=train_head, train_features=train_features):
        return times_transposed(times_transposed(features, weight), h)
    return times_transposed(features, h @ weight)


def times_transposed(x: Tensor, weight: Tensor) -> Tensor:
    """Returns x Wᵀ.

    Args:
        x: (B, D), or (S, B, D) for a stack of heads.
        weight: (n, D), or (S, n, D) for a stack of heads.

    Returns:
        (B, n), or (S, B, n) for a stack of heads.
    """
    if weight.dim() == 2:
        return F.linear(x, weight)  # the gradient of ``weight`` has the memory layout of ``weight``
    if x.dim() == 2:  # all heads share x, so a single product is enough
        return F.linear(x, weight.flatten(0, 1)).unflatten(1, (len(weight), -1)).transpose(0, 1)
    return x @ weight.transpose(1, 2)


def features_first(
    batch: int, num_labels: int, hidden: int, num_features: int, *, train_head: bool, train_features: bool
) -> bool:
    r"""Returns whether :math:`(X W^\top) H^\top` takes fewer multiplications than :math:`X (H W)^\top`.

    X is (B, D), H is (C, N), and W is (N, D). In the backward pass, each product costs as much again for every
    factor that requires a gradient.

    Args:
        batch: B.
        num_labels: C.
        hidden: N.
        num_features: D.
        train_head: whether H and W require gradients.
        train_features: whether X requires gradients.

    >>> features_first(32, 80, 1024, 2048, train_head=True, train_features=False)  # COCO, a training step
    True
    >>> features_first(4096, 80, 1024, 2048, train_head=False, train_features=False)  # scoring a large batch
    False
    """
    head, images = int(train_head), int(train_features)
    labels_first = num_labels * hidden * num_features * (1 + 2 * head)
    labels_first += batch * num_labels * num_features * (1 + head + images)
    images_first = batch * hidden * num_features * (1 + head + images)
    images_first += batch * num_labels * hidden * (1 + head + max(head, images))
    return images_first < labels_first
