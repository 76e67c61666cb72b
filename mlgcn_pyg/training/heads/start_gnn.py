r"""The start of a GNN that encodes labels: each of its convolutions receives the labels as uncorrelated vectors.

With random weights, all labels share one direction: embeddings have a large mean, and so have the outputs of
nonlinearities and of sums over neighbours. See :mod:`~mlgcn_pyg.training.heads.start` for what this does to SGD.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn import Linear, MessagePassing

from mlgcn_pyg.nn import LabelGNNHead

RANK = 1e-3  # directions of the labels below this share of the largest one count as equal


@torch.no_grad()
def whiten_inputs(head: LabelGNNHead) -> None:
    r"""Changes the linear maps of all convolutions of a head's GNN so that they receive orthonormal vectors of labels.

    For a convolution with the input H (C, F), a symmetric matrix E is computed for which the rows of HE are
    orthonormal, if there are at most as many labels as columns and they differ; otherwise, its columns are. The weight
    W of each linear map is replaced by WE. A convolution then acts on the labels as on one-hot labels: the output of a
    last layer GCN is :math:`\hat{\mathbf{A}} \mathbf{Q}` with nearly orthonormal rows of Q. The random draw of W
    remains.

    Frozen weights are kept. Modules that are no ``MessagePassing`` convolution are kept, too.

    Args:
        head: a head with the random weights of a new head.
    """
    done: set[torch.nn.Module] = set()

    def before(conv: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        h = args[0] if args else kwargs.get("x")
        if conv in done or not isinstance(h, Tensor) or h.dim() != 2 or len(h) != head.num_labels:
            return
        done.add(conv)  # a convolution that is used twice is changed for its first use
        maps = [one for one in _input_maps(conv) if one.weight.requires_grad and one.weight.size(1) == h.size(1)]
        if maps:
            _multiply([one.weight for one in maps], _whitening(h))

    convs = [module for module in head.gnn.modules() if isinstance(module, MessagePassing)]
    handles = [conv.register_forward_pre_hook(before, with_kwargs=True) for conv in convs]
    try:
        head.label_codes()  # the convolutions run in order, each with the output of those that have been changed
    finally:
        for handle in handles:
            handle.remove()


def _input_maps(conv: torch.nn.Module) -> Iterator[Any]:
    """Yields the linear maps of a convolution that receive its input, or sums of it over neighbours.

    In PyG these are the linear children of a convolution, or the first layer of a network, as in ``GINConv``.
    """
    found = False
    for child in conv.children():
        for part in child if isinstance(child, torch.nn.ModuleList) else [child]:
            if isinstance(part, torch.nn.Linear | Linear):
                found = True
                yield part
    if not found:
        inner = (part for part in conv.modules() if isinstance(part, torch.nn.Linear | Linear))
        yield from list(inner)[:1]


def _whitening(h: Tensor) -> Tensor:
    """Returns E (F, F) for H (C, F), in float64 on the CPU, since some devices have no float64."""
    _, values, right = torch.linalg.svd(h.detach().cpu().double(), full_matrices=False)
    right = right[values > RANK * values.max()]
    return right.t() @ (right / values[: len(right)].unsqueeze(1))


def _multiply(weights: Sequence[Tensor], e: Tensor) -> None:
    for weight in weights:
        weight.copy_(weight.cpu().double() @ e)
