r"""What each message of the last convolution of a GNN adds to the scores of labels.

If the output of the last convolution of a GNN is a sum or mean of messages :math:`\mathbf{m}_{ij}`, followed by nothing
but a linear map, then the output of label i is

.. math:: \mathbf{g}_i = \mathbf{r}_i + \sum_j \mathbf{J}_{ij} \mathbf{m}_{ij},

and :math:`\langle \mathbf{q}, \mathbf{J}_{ij} \mathbf{m}_{ij} \rangle` is the term of the edge j → i for a vector q.
Messages are those that PyG's ``MessagePassing`` aggregates: weighted by the attention in a GAT, whose attention counts
as fixed. Whether the output is such a sum is tested with random messages, so that no list of convolutions is needed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn import MessagePassing

TOLERANCE = 1e-4  # of a sum, relative to the largest entry


@dataclass(frozen=True)
class MessageTerms:
    """The terms of messages between different labels.

    Attributes:
        receiver: (M,) the label i.
        sender: (M,) the label j.
        terms: (B, M).
    """

    receiver: Tensor
    sender: Tensor
    terms: Tensor


class _Recorder:
    """Counts the messages of a GNN in one forward pass, keeps the last ones, and can replace those of one number.

    Attributes:
        count: how often messages were computed.
        last: (module, edge_index, messages) of the last time, or None.
    """

    def __init__(self, number: int = -1, replacement: Tensor | None = None):
        self.number, self.replacement = number, replacement
        self.count, self.edges = 0, None
        self.last: tuple[MessagePassing, Any, Any] | None = None

    def before(self, module: MessagePassing, inputs: tuple[Any, ...]) -> None:
        self.edges = inputs[0]

    def message(self, module: MessagePassing, inputs: object, messages: Any) -> Tensor | None:
        self.last = module, self.edges, messages
        self.count += 1
        return self.replacement if self.count == self.number else None

    @contextmanager
    def attached(self, gnn: torch.nn.Module) -> Iterator["_Recorder"]:
        """Records the forward passes in the block."""
        convs = [module for module in gnn.modules() if isinstance(module, MessagePassing)]
        handles = [conv.register_propagate_forward_pre_hook(self.before) for conv in convs]
        handles += [conv.register_message_forward_hook(self.message) for conv in convs]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()


def message_terms(gnn: torch.nn.Module, run: Callable[[], Tensor], queries: Tensor) -> MessageTerms:
    """Returns the terms of the messages of the last convolution; none if the output of the GNN is not a sum of them.

    Args:
        gnn: the GNN, in evaluation.
        run: runs it, and returns its output (C, N).
        queries: q (B, N).
    """
    with torch.no_grad(), _Recorder().attached(gnn) as first:
        run()
    nothing = torch.empty(0, dtype=torch.int64, device=queries.device)
    none = MessageTerms(nothing, nothing, queries.new_empty(len(queries), 0))
    if first.last is None or not _has_rows(*first.last[1:]):
        return none
    module, edge_index, messages = first.last

    def output(replacement: Tensor) -> Tensor:
        with _Recorder(first.count, replacement).attached(gnn):
            return run()

    sender, receiver = edge_index if module.flow == "source_to_target" else edge_index.flip(0)
    if not _is_sum(output, messages, receiver):
        return none
    between = sender != receiver
    return MessageTerms(receiver[between], sender[between], _terms(output, messages, queries)[:, between])


def _has_rows(edge_index: Any, messages: Any) -> bool:
    """Returns whether there is one message, a vector or a matrix, for each column of ``edge_index``."""
    if not isinstance(edge_index, Tensor) or edge_index.layout != torch.strided or not isinstance(messages, Tensor):
        return False
    return messages.dim() > 1 and len(messages) == edge_index.size(1)


@torch.no_grad()
def _is_sum(output: Callable[[Tensor], Tensor], messages: Tensor, receiver: Tensor) -> bool:
    """Returns whether the output of a label is a sum over the messages that it receives, whatever these are."""
    scale = messages.abs().max() if messages.numel() else messages.new_ones(())
    generator = torch.Generator().manual_seed(0)
    other = torch.randn(messages.shape, generator=generator).to(messages) * scale
    without, first, second, both = map(output, (0 * messages, messages, other, messages + other))
    receives = torch.arange(len(without), device=receiver.device) % 2 == 0
    shape = (-1, *[1] * (messages.dim() - 1))
    half = output(other * receives[receiver].view(shape))
    wrong = torch.cat([both - first - second + without, (half - without)[~receives]])
    return bool(wrong.abs().max() <= TOLERANCE * max(float(one.abs().max()) for one in (first, second, both)))


def _terms(output: Callable[[Tensor], Tensor], messages: Tensor, queries: Tensor) -> Tensor:
    """Returns the terms (B, M) of all messages."""
    with torch.enable_grad():
        leaf = messages.detach().clone().requires_grad_()
        sums = (output(leaf) @ queries.t()).sum(0)  # (B,)
        rows = [torch.autograd.grad(one, leaf, retain_graph=True)[0] * messages for one in sums]
    return torch.stack([row.flatten(1).sum(1) for row in rows]) if rows else queries.new_zeros(0, len(messages))
