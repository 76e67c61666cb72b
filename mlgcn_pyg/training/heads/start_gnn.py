r"""The start of a GNN that encodes labels: each of its linear maps receives the labels as uncorrelated vectors.

With random weights, all labels share one direction: embeddings have a large mean, and so have the outputs of
nonlinearities and sums over neighbours. See :mod:`~mlgcn_pyg.training.heads.start` for what this does to SGD.

Measured on coco30k with the recipe ``"auto"`` (18 labels, MobileNetV2, max pooling; two layers of width 1024 with
50-dimensional GloVe embeddings; mAP in per cent on the 5,000 validation images, which chose the start and the
optimizer; one seed):

==========================================  =====  =====  =====  =====
300 training images                         GCN    SAGE   GAT    GIN
==========================================  =====  =====  =====  =====
SGD, random weights                         23.0   29.7   24.4   18.8
SGD, first convolution whitened             26.4   34.5   27.9   17.8
SGD, inputs of all convolutions whitened    39.0   41.4   41.9   22.1
SGD, inputs of all linear maps whitened     39.0   43.2   41.9   42.9
the same, AdamW, lr 0.0001 (the recipe)     43.3   46.5   44.2   46.8
the same, AdamW, lr 0.0002                  43.8   45.9   44.2   –
==========================================  =====  =====  =====  =====

With whitened linear maps, SGD reaches 45.4, 52.8, 49.0 and 52.9 with 2,000 images, and AdamW 53.8, 56.3 and 54.7 (GCN,
SAGE, GAT). With 20,000 images, SGD reaches 54.5, 61.1 and 58.3, and AdamW 62.4, 63.7 and 62.7. A GNN at lr/10 instead
of lr/1000 loses 1.4 with SAGE and 2,000 images, and at lr 4.9.

The learning rate falls with the root of the size of V (N, D): with 2,000 images, GraphSAGE with (N, D) = (64, 128),
(64, 1280) and (1024, 128) reaches 45.5, 55.8 and 46.9. At 0.0001 it reaches 22.9, 51.3 and 38.8.

ML-GCN reaches 48.1 with 300 images and SGD, and 38.9 on the graph with the weighting ``"binary"``, which is that of a
GCN.
"""

from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn import Linear

from mlgcn_pyg.nn import LabelGNNHead

RANK = 1e-3  # directions of the labels below this share of the largest one count as equal


@torch.no_grad()
def whiten_inputs(head: LabelGNNHead) -> None:
    r"""Changes the linear maps of a head's GNN so that they receive orthonormal vectors of labels.

    For a map with the input Z (C, F) and the weight W, a symmetric matrix E is computed for which the rows of ZE are
    orthonormal, if there are at most as many labels as columns and they differ; otherwise, its columns are. W is
    replaced by WE, so that its random draw remains. A GCN, which propagates after its linear map, then acts on the
    labels as on one-hot labels: its output is :math:`\hat{\mathbf{A}} \mathbf{Q}` with nearly orthonormal rows of Q.

    Frozen weights are kept. So are maps that are no ``torch.nn.Linear`` and no ``torch_geometric.nn.Linear``, and those
    whose ``forward`` is called without hooks, as ``TAGConv`` does.

    Args:
        head: a head with the random weights of a new head.
    """
    done: set[torch.nn.Module] = set()

    def before(linear: Any, inputs: tuple[Any, ...]) -> None:
        z = inputs[0]
        if linear in done or not linear.weight.requires_grad or z.dim() != 2 or len(z) != head.num_labels:
            return
        done.add(linear)  # a map that is used twice is changed for its first use
        linear.weight.copy_(linear.weight.cpu().double() @ _whitening(z))

    maps = [module for module in head.gnn.modules() if isinstance(module, torch.nn.Linear | Linear)]
    handles = [linear.register_forward_pre_hook(before) for linear in maps]
    try:
        head.label_codes()  # the maps run in order, each on the output of those that have been changed
    finally:
        for handle in handles:
            handle.remove()


def _whitening(z: Tensor) -> Tensor:
    """Returns E (F, F) for Z (C, F), in float64 on the CPU, since some devices have no float64."""
    _, values, right = torch.linalg.svd(z.detach().cpu().double(), full_matrices=False)
    right = right[values > RANK * values.max()]
    return right.t() @ (right / values[: len(right)].unsqueeze(1))
