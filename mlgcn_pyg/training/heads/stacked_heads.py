"""The interface of stacked heads, and their parameters and statistics as stacked tensors."""

import copy
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import Parameter

from mlgcn_pyg.nn.standardize import Standardize
from mlgcn_pyg.nn.standardized_head import StandardizedHead
from mlgcn_pyg.typing import Head


class HeadStack(Protocol):
    """H heads with one forward pass.

    Attributes:
        leaves: the tensors whose gradients are computed. Each holds the same parameter of all heads.
        parts: for each leaf, the parameter of each head.
    """

    leaves: list[Tensor]
    parts: list[list[Parameter]]

    def logits(self, features: Tensor) -> Tensor:
        """Returns the logits (H, B, C) of features (B, D)."""

    def set_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Sets the gradients of the parameters.

        Args:
            gradients: the gradient of each leaf; None if the loss does not depend on the leaf.
        """

    def release(self) -> None:
        """Removes all gradients and leaves each parameter with its own storage."""


class SingleHead:
    """A stack of one head, which may be any module that maps features (B, D) to logits (B, C)."""

    def __init__(self, head: Head):
        self.head = head
        trained = [p for p in head.parameters() if p.requires_grad]
        self.leaves: list[Tensor] = list(trained)
        self.parts = [[p] for p in trained]

    def logits(self, features: Tensor) -> Tensor:
        """Returns the logits (1, B, C) of features (B, D)."""
        return self.head(features).unsqueeze(0)

    def set_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Sets the gradients of the parameters; see :class:`HeadStack`."""
        for p, gradient in zip(self.leaves, gradients, strict=True):
            p.grad = gradient

    def release(self) -> None:
        """Removes all gradients."""
        for p in self.leaves:
            p.grad = None


class SeparateHeads:
    """H heads with one forward pass each."""

    def __init__(self, heads: Sequence[Head]):
        self.heads = [SingleHead(head) for head in heads]
        self.leaves: list[Tensor] = [leaf for head in self.heads for leaf in head.leaves]
        self.parts = [part for head in self.heads for part in head.parts]

    def logits(self, features: Tensor) -> Tensor:
        """Returns the logits (H, B, C) of features (B, D)."""
        return torch.cat([head.logits(features) for head in self.heads])

    def set_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Sets the gradients of the parameters; see :class:`HeadStack`."""
        for p, gradient in zip(self.leaves, gradients, strict=True):
            p.grad = gradient

    def release(self) -> None:
        """Removes all gradients."""
        for head in self.heads:
            head.release()


class StackedHeads:
    """H heads whose parameters are views of one stacked tensor per parameter name until :meth:`release` is called.

    Args:
        heads: heads of the same kind and shape on the same device. All their parameters are trained.

    Attributes:
        stacked: for each parameter name, the tensor (H·n, …) of H parameters (n, …).
    """

    def __init__(self, heads: Sequence[StandardizedHead]):
        self.num_heads = len(heads)
        named = [dict(head.named_parameters()) for head in heads]
        self.parameters = {name: [parameters[name] for parameters in named] for name in named[0]}
        self.stacked = {name: self._stack(parameters) for name, parameters in self.parameters.items()}
        self.leaves: list[Tensor] = list(self.stacked.values())
        self.parts = list(self.parameters.values())
        self.standardize = _stack_statistics([head.standardize for head in heads])

    @staticmethod
    def _stack(parameters: list[Parameter]) -> Tensor:
        stack = torch.cat([p.detach() for p in parameters])
        for p, piece in zip(parameters, stack.split([len(p) for p in parameters]), strict=True):
            p.data = piece
        return stack.requires_grad_()

    def set_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Sets the gradients of the parameters; see :class:`HeadStack`."""
        for parameters, gradient in zip(self.parameters.values(), gradients, strict=True):
            if gradient is not None:
                for p, piece in zip(parameters, gradient.split([len(p) for p in parameters]), strict=True):
                    p.grad = piece

    def release(self) -> None:
        """Removes all gradients and leaves each parameter with its own storage."""
        for parameters in self.parameters.values():
            for p in parameters:
                p.data, p.grad = p.data.clone(), None

    def by_head(self, stack: Tensor) -> Tensor:
        """Returns a view (H, n, …) of a tensor (H·n, …)."""
        return stack.unflatten(0, (self.num_heads, -1))

    def standardized(self, features: Tensor) -> Tensor:
        """Returns the standardised features: (B, D) if all heads have the same statistics, else (H, B, D)."""
        return features if self.standardize is None else self.standardize(features)


def _stack_statistics(of_each: Sequence[Standardize | None]) -> Standardize | None:
    """Returns the statistics of H heads: those of the first if they are all equal, else with buffers (H, 1, D)."""
    known = [one for one in of_each if one is not None]
    if not known:
        return None
    stacked = copy.deepcopy(known[0])
    if not all(torch.equal(one.mean, stacked.mean) and torch.equal(one.scale, stacked.scale) for one in known):
        stacked.mean = torch.stack([one.mean for one in known]).unsqueeze(1)
        stacked.scale = torch.stack([one.scale for one in known]).unsqueeze(1)
    return stacked
