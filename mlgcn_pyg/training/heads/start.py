"""The start of an ML-GCN head: its inner layers map the labels to uncorrelated activations, its last layer is 0."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.nn import LabelGNNHead, LinearHead, MLGCNHead
from mlgcn_pyg.nn.gcn import LabelOperator
from mlgcn_pyg.nn.standardized_head import StandardizedHead
from mlgcn_pyg.training.heads.start_gnn import whiten_inputs

MAX_LABELS = 2048  # one-hot labels, above which Â is not inverted: the decomposition takes time in C³
RANK = 1e-3  # directions of the labels below this share of the largest one count as equal
STEEPEST = 0.01  # the least negative slope that is inverted


@torch.no_grad()
def start_weights(head: StandardizedHead) -> None:
    r"""Sets the weights of a new head: classifiers to 0, and the inner layers of ML-GCN so that labels do not share one
    direction.

    With :math:`\mathbf{W}_{cls} = \mathbf{S} \mathbf{V}`, where V is the weight of the last layer, a step on V moves
    the classifiers by :math:`\mathbf{S} \mathbf{S}^\top` times their gradient. With random inner layers,
    :math:`\mathbf{S} \mathbf{S}^\top` is dominated by one direction that all labels share: embeddings have a large
    mean, and the mean of LeakyReLU's output is not 0. For each inner layer with the input
    :math:`\mathbf{Z} = \hat{\mathbf{A}} \mathbf{H}_l`, this function solves

    .. math:: \mathbf{Z} \mathbf{W}_l = h^{-1}(\mathbf{U}),

    where the entries of U (C, N) are independent, symmetric and of variance 1/N. Hence
    :math:`\mathbf{H}_{l+1} \mathbf{H}_{l+1}^\top \approx \mathbf{I}`, and
    :math:`\mathbf{S} \mathbf{S}^\top \approx \hat{\mathbf{A}} \hat{\mathbf{A}}^\top`, as in a head of one layer on
    one-hot labels. V starts at 0. U is computed from the current weights: it differs between heads of different seeds.

    The system has an exact solution if there are at most as many labels as columns of Z, and their embeddings differ.
    Otherwise the solution is that of least squares.

    For a head with a GNN of PyG, see :func:`~mlgcn_pyg.training.heads.start_gnn.whiten_inputs`.

    Args:
        head: a head with the random weights of a new head.
    """
    if isinstance(head, LinearHead):
        head.linear.weight.zero_()
    if isinstance(head, LabelGNNHead):
        whiten_inputs(head)
        head.weight.zero_()
    if not isinstance(head, MLGCNHead):
        return
    *inner, last = head.layers
    operator, h = LabelOperator(head.adjacency, *head.weights()), head.x
    for layer in inner:
        if h is None and head.num_labels > MAX_LABELS:
            pre_activation = _inverse(_unit_rows(layer.weight), head.negative_slope)
            layer.weight.copy_(pre_activation)
        else:
            z = operator(torch.eye(head.num_labels).to(layer.weight) if h is None else h)
            # on the CPU, since some devices have no float64
            solution = _solve(z.cpu().double(), layer.weight.cpu().double(), head.negative_slope)
            layer.weight.copy_(solution)
            pre_activation = z @ layer.weight
        h = F.leaky_relu(pre_activation, head.negative_slope)
    last.weight.zero_()


def _solve(z: Tensor, weight: Tensor, slope: float) -> Tensor:
    """Returns W' (F, N) with ZW' = h⁻¹(U), for Z (C, F) and a random W (F, N), from which U is computed."""
    left, values, right = torch.linalg.svd(z, full_matrices=False)
    rank = int((values > RANK * values.max()).sum())
    left, values, right = left[:, :rank], values[:rank], right[:rank]
    # the rows of left @ right are orthonormal where the labels are independent: U has independent entries
    target = _inverse(_unit_rows(left @ (right @ weight)), slope)
    return right.t() @ ((left.t() @ target) / values.unsqueeze(1))


def _unit_rows(u: Tensor) -> Tensor:
    """Returns U (C, N) with rows of norm 1; rows of 0 stay."""
    return u / torch.linalg.vector_norm(u, dim=1, keepdim=True).clamp(min=torch.finfo(u.dtype).tiny)


def _inverse(u: Tensor, slope: float) -> Tensor:
    """Returns h⁻¹(U) of LeakyReLU."""
    return torch.where(u < 0, u / max(slope, STEEPEST), u)
