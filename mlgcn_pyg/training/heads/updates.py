"""The last part of a training step, from gradients to new parameters: clipping, and the update by the optimizers."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

from mlgcn_pyg.training.heads.stacked_heads import HeadStack

# takes the gradient of each leaf and the learning rates (G,) of all groups, and updates the parameters
Update = Callable[[Sequence[Tensor | None], Tensor], None]


class TorchUpdate:
    """Clipping and the update by torch's optimizers.

    Args:
        heads: the heads to update.
        optimizers: one optimizer per head.
        max_norms: (H,) the largest norms of the gradients; None if no head clips them.
    """

    def __init__(self, heads: HeadStack, optimizers: Sequence[torch.optim.Optimizer], max_norms: Tensor | None):
        self.heads, self.optimizers, self.max_norms = heads, optimizers, max_norms
        self.groups = [group for optimizer in optimizers for group in optimizer.param_groups]

    def __call__(self, gradients: Sequence[Tensor | None], rates: Tensor) -> None:
        """Updates the parameters.

        Args:
            gradients: the gradient of each leaf; None if the loss does not depend on the leaf.
            rates: (G,) the learning rates of the groups. On CUDA, the optimizers read this memory.
        """
        for group, rate in zip(self.groups, rates.unbind() if rates.is_cuda else rates.tolist(), strict=True):
            group["lr"] = rate
        self.heads.set_gradients(gradients)
        if self.max_norms is not None:
            clip_each([trained_parameters(optimizer) for optimizer in self.optimizers], self.max_norms)
        for optimizer in self.optimizers:
            optimizer.step()


def flat_update(
    heads: HeadStack, optimizers: Sequence[torch.optim.Optimizer], max_norms: Tensor | None
) -> Update | None:
    """Returns the update by :class:`~mlgcn_pyg.training.heads.fused.update.FlatSGD`; None if it does not apply.

    It applies to SGD, and to contiguous parameters of one type and equal sizes. Learned edges of different graphs have
    different sizes. Parameters and momentum buffers stay in the optimizers.
    """
    leaves = heads.leaves
    if not all(isinstance(optimizer, torch.optim.SGD) for optimizer in optimizers):
        return None
    if len({leaf.dtype for leaf in leaves}) > 1 or not all(leaf.is_contiguous() for leaf in leaves):
        return None
    if any(len({p.numel() for p in params}) > 1 for params in heads.parts):
        return None
    from mlgcn_pyg.training.heads.fused.update import FlatSGD

    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    number = {id(p): k for k, group in enumerate(groups) for p in group["params"]}
    of_each_head = list(zip(*heads.parts, strict=True))
    device = leaves[0].device
    group_of = torch.tensor([[number[id(p)] for p in params] for params in of_each_head], device=device)
    decays = torch.tensor([group["weight_decay"] for group in groups], dtype=torch.float64, device=device)
    momentum_of = torch.tensor([group["momentum"] for group in groups], dtype=torch.float64, device=device)
    momenta = _flat_momenta(heads, optimizers) if any(group["momentum"] for group in groups) else None
    return FlatSGD(leaves, momenta, group_of, decays, momentum_of, max_norms)


def _flat_momenta(heads: HeadStack, optimizers: Sequence[torch.optim.Optimizer]) -> list[Tensor]:
    """Returns the momentum buffers of each leaf as one tensor, of which the optimizers' buffers become views."""
    flat = []
    for params in heads.parts:
        states = [optimizer.state[p] for optimizer, p in zip(optimizers, params, strict=True)]
        known = [state.get("momentum_buffer") for state in states]
        buffers = [torch.zeros_like(p) if b is None else b for p, b in zip(params, known, strict=True)]
        stack = torch.stack(buffers) if len(buffers) > 1 else buffers[0].unsqueeze(0)
        for state, piece in zip(states, stack, strict=True):
            if "momentum_buffer" in state:  # a head without momentum has none
                state["momentum_buffer"] = piece
        flat.append(stack)
    return flat


def trained_parameters(optimizer: torch.optim.Optimizer) -> list[Parameter]:
    """Returns the parameters of all groups of an optimizer."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def clip_each(params_of_each: Sequence[Sequence[Tensor]], max_norms: Tensor) -> None:
    """Scales the gradients of each head so that their joint norm is at most its entry of ``max_norms`` (H,)."""
    gradients = [[p.grad for p in params if p.grad is not None] for params in params_of_each]
    norms = torch.stack(torch._foreach_norm([gradient for head in gradients for gradient in head]))
    norms = torch.linalg.vector_norm(norms.view(len(gradients), -1), dim=1)
    factors = (max_norms / (norms + 1e-6)).clamp(max=1)  # as in torch's clip_grad_norm_
    for head, factor in zip(gradients, factors, strict=True):
        # on CUDA the comparison would synchronise; elsewhere the product would cost a pass over memory
        if factor.is_cuda or factor < 1:
            torch._foreach_mul_(head, factor)
