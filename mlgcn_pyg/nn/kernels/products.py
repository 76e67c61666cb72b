r"""Sparse products that can be differentiated any number of times, and mapped by ``torch.vmap``, for any kernel.

For a matrix with the entries :math:`w_k` at :math:`(i_k, j_k)` there are two products:

.. math::
    \mathbf{y}_i = \sum_{k:\ i_k = i} w_k \, \mathbf{x}_{j_k} \quad (\text{sums}), \qquad
    d_k = \langle \mathbf{g}_{i_k}, \mathbf{x}_{j_k} \rangle \quad (\text{dots})

Each derivative of one of them is again one of them, possibly with the transposed matrix. A kernel therefore implements
both products without derivatives.
"""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd import forward_ad


class Pattern(NamedTuple):
    """The positions of n entries in a C×C matrix, in CSR and CSC format.

    It is a tuple, so that ``torch.func`` finds the tensors in it.

    Attributes:
        rowptr: (C + 1,) the start of each row in the CSR.
        col: (n,) the column of each entry of the CSR.
        perm: (n,) the index of the weight of each entry of the CSR.
        colptr: (C + 1,) the start of each column in the CSC.
        row: (n,) the row of each entry of the CSC.
        perm_t: (n,) the index of the weight of each entry of the CSC.
        row_of: (n,) the row of each entry of the CSR.
        col_of: (n,) the column of each entry of the CSC.
    """

    rowptr: Tensor
    col: Tensor
    perm: Tensor
    colptr: Tensor
    row: Tensor
    perm_t: Tensor
    row_of: Tensor
    col_of: Tensor

    def transposed(self) -> "Pattern":
        """Returns the pattern of the transposed matrix, with the same weights."""
        return Pattern(self.colptr, self.row, self.perm_t, self.rowptr, self.col, self.perm, self.col_of, self.row_of)

    def repeated(self, count: int) -> "Pattern":
        """Returns the pattern of the block-diagonal matrix with ``count`` copies of the matrix."""
        num_nodes, num_entries = len(self.rowptr) - 1, len(self.col)
        copy = torch.arange(count, device=self.col.device)[:, None]
        end = self.rowptr.new_full((1,), count * num_entries)

        def pointers(pointer: Tensor) -> Tensor:
            return torch.cat([(pointer[:-1] + num_entries * copy).flatten(), end])

        def indices(index: Tensor, size: int) -> Tensor:
            return (index + size * copy).flatten()

        return Pattern(
            pointers(self.rowptr), indices(self.col, num_nodes), indices(self.perm, num_entries),
            pointers(self.colptr), indices(self.row, num_nodes), indices(self.perm_t, num_entries),
            indices(self.row_of, num_nodes), indices(self.col_of, num_nodes),
        )  # fmt: skip


class SparseKernel(Protocol):
    """An implementation of both products on contiguous tensors, without derivatives."""

    def sums(self, x: Tensor, weight: Tensor, pattern: Pattern) -> Tensor:
        """Returns y (C, F) for features x (C, F) and weights (n,)."""

    def dots(self, grad: Tensor, x: Tensor, pattern: Pattern) -> Tensor:
        """Returns d (n,), in the order of the weights, for two matrices (C, F)."""


def transformed() -> bool:
    """Returns whether ``torch.func`` transforms the computation, or it is differentiated in forward mode."""
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def sums(x: Tensor, weight: Tensor, pattern: Pattern, kernel: SparseKernel) -> Tensor:
    """Returns the product y (C, F) of the sparse matrix and x (C, F), differentiable with respect to x and weight."""
    if transformed():
        return _TransformedSums.apply(x, weight, pattern, kernel)
    if torch.is_grad_enabled():
        return _Sums.apply(x, weight, pattern, kernel)
    return kernel.sums(x.contiguous(), weight, pattern)  # such as in a backward pass


def dots(grad: Tensor, x: Tensor, pattern: Pattern, kernel: SparseKernel) -> Tensor:
    """Returns the dot products d (n,) of rows of two matrices (C, F), differentiable with respect to both."""
    if torch.is_grad_enabled() or transformed():
        return _Dots.apply(grad, x, pattern, kernel)
    return kernel.dots(grad.contiguous(), x.contiguous(), pattern)


class _Sums(torch.autograd.Function):
    """The product without ``setup_context``, which would take as long as the product itself for a few labels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, pattern: Pattern, kernel: SparseKernel) -> Tensor:
        _Sums.save(ctx, x, weight, pattern, kernel)
        return kernel.sums(x.contiguous(), weight, pattern)

    @staticmethod
    def save(ctx: Any, x: Tensor, weight: Tensor, pattern: Pattern, kernel: SparseKernel) -> None:
        """Saves what the backward pass uses."""
        ctx.pattern, ctx.kernel = pattern, kernel
        ctx.save_for_backward(x if weight.requires_grad else None, weight)  # only the gradient of weight needs x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        grad_x = sums(grad, weight, ctx.pattern.transposed(), ctx.kernel) if ctx.needs_input_grad[0] else None
        grad_weight = dots(grad, x, ctx.pattern, ctx.kernel) if ctx.needs_input_grad[1] else None
        return grad_x, grad_weight, None, None


class _TransformedSums(_Sums):
    """The product in the form that ``torch.func`` requires."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, pattern: Pattern, kernel: SparseKernel) -> Tensor:  # type: ignore[override]
        return kernel.sums(x.contiguous(), weight, pattern)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _Sums.save(ctx, *inputs)
        ctx.save_for_forward(*inputs[:2])

    @staticmethod
    def jvp(ctx: Any, of_x: Tensor, of_weight: Tensor, *_: None) -> Tensor:
        x, weight = ctx.saved_tensors
        return sums(of_x, weight, ctx.pattern, ctx.kernel) + sums(x, of_weight, ctx.pattern, ctx.kernel)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], x: Tensor, weight: Tensor, pattern: Pattern, kernel: SparseKernel
    ) -> tuple[Tensor, int]:
        if in_dims[1] is None:  # one matrix: all its right-hand sides are one matrix
            x = x.movedim(in_dims[0], 1)
            return sums(x.flatten(1), weight, pattern, kernel).view(x.shape), 1
        size = info.batch_size
        x, weight = _batched(x, in_dims[0], size), _batched(weight, in_dims[1], size)
        return sums(x.flatten(0, 1), weight.flatten(), pattern.repeated(size), kernel).view(x.shape), 0


class _Dots(torch.autograd.Function):
    @staticmethod
    def forward(grad: Tensor, x: Tensor, pattern: Pattern, kernel: SparseKernel) -> Tensor:
        return kernel.dots(grad.contiguous(), x.contiguous(), pattern)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad, x, ctx.pattern, ctx.kernel = inputs
        ctx.save_for_backward(grad, x)
        ctx.save_for_forward(grad, x)

    @staticmethod
    def jvp(ctx: Any, of_grad: Tensor, of_x: Tensor, *_: None) -> Tensor:
        grad, x = ctx.saved_tensors
        return dots(of_grad, x, ctx.pattern, ctx.kernel) + dots(grad, of_x, ctx.pattern, ctx.kernel)

    @staticmethod
    def backward(ctx: Any, weight: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        grad, x = ctx.saved_tensors
        of_grad = sums(x, weight, ctx.pattern, ctx.kernel) if ctx.needs_input_grad[0] else None
        of_x = sums(grad, weight, ctx.pattern.transposed(), ctx.kernel) if ctx.needs_input_grad[1] else None
        return of_grad, of_x, None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], grad: Tensor, x: Tensor, pattern: Pattern, kernel: SparseKernel
    ) -> tuple[Tensor, int]:
        size = info.batch_size
        grad, x = _batched(grad, in_dims[0], size), _batched(x, in_dims[1], size)
        return dots(grad.flatten(0, 1), x.flatten(0, 1), pattern.repeated(size), kernel).view(size, -1), 0


def _batched(value: Tensor, dim: int | None, size: int) -> Tensor:
    """Returns ``value`` with the mapped dimension first; a value without one is expanded."""
    return value.expand(size, *value.shape) if dim is None else value.movedim(dim, 0)
