"""One propagation step with any of the kernels."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.kernels.adjacency import Adjacency
from mlgcn_pyg.nn.kernels.bag import BAG
from mlgcn_pyg.nn.kernels.choice import choose_kernel, installed
from mlgcn_pyg.nn.kernels.plain import dense, gather_scatter
from mlgcn_pyg.nn.kernels.products import SparseKernel, sums, transformed
from mlgcn_pyg.nn.kernels.segment import SEGMENT
from mlgcn_pyg.values import shown


def sparse(x: Tensor, adjacency: Adjacency, edge_weight: Tensor, self_weight: Tensor, kernel: SparseKernel) -> Tensor:
    """Returns Âx from a kernel for sparse products."""
    return sums(x, torch.cat([edge_weight, self_weight]), adjacency.pattern, kernel)


def triton(x: Tensor, adjacency: Adjacency, edge_weight: Tensor, self_weight: Tensor) -> Tensor:
    """Returns Âx from the fused kernel.

    On a CPU, the kernel runs only in Triton's interpreter (``TRITON_INTERPRET=1``).

    Raises:
        InputError: if Triton is not installed, or the tensors are on a CPU and the interpreter is not enabled.
    """
    if not installed("triton"):
        raise InputError(
            "kernel", "Triton for kernel 'triton'", "no such module", "pip install triton, or use kernel='auto'"
        )
    from mlgcn_pyg.nn.kernels.fused import FUSED, interpreted

    if not x.is_cuda and not interpreted():
        fix = "move the tensors to a GPU, use kernel='auto', or set TRITON_INTERPRET=1 to test the kernel"
        raise InputError("kernel", "CUDA tensors for kernel 'triton'", f"tensors on {x.device}", fix)
    return sparse(x, adjacency, edge_weight, self_weight, FUSED)


KERNELS: dict[str, Callable[[Tensor, Adjacency, Tensor, Tensor], Tensor]] = {
    "gather_scatter": gather_scatter,
    "segment": partial(sparse, kernel=SEGMENT),
    "dense": dense,
    "bag": partial(sparse, kernel=BAG),
    "triton": triton,
}


def propagate(
    x: Tensor, adjacency: Adjacency, edge_weight: Tensor, self_weight: Tensor | None = None, kernel: str = "auto"
) -> Tensor:
    r"""Propagates features over the label graph by one step, :math:`\mathbf{Y} = \hat{\mathbf{A}} \mathbf{X}`:

    .. math:: \mathbf{y}_i = s_i \mathbf{x}_i + \sum_{e:\ \text{receiver}(e) = i} w_e \mathbf{x}_{\text{sender}(e)}

    The result is differentiable with respect to features, edge weights and self weights.

    Args:
        x: the features (C, F), float32, float64 or bfloat16. They do not have to be contiguous.
        adjacency: the sparsity pattern of Â, which can be reused for any number of steps.
        edge_weight: the weights w (E,), in the order of the ``edge_index`` of the adjacency.
        self_weight: the weights s (C,). Default: zeros.
        kernel: ``"gather_scatter"`` (as in PyG), ``"segment"`` (torch-scatter), ``"dense"``, ``"bag"``, ``"triton"``
            (CUDA), or ``"auto"`` (see :func:`choose_kernel`). All kernels agree up to rounding.

    Returns:
        The propagated features (C, F).

    Raises:
        InputError: if the kernel is unknown; if its library or device is missing; if shapes, types or devices do not
            match; if a weight on a CPU is NaN or Inf.

    >>> adjacency = Adjacency(torch.tensor([[0], [1]]), num_nodes=2)  # label 0 receives from label 1
    >>> propagate(torch.tensor([[1.0], [10.0]]), adjacency, torch.tensor([0.5]), torch.tensor([0.5, 0.5]))
    tensor([[5.5000],
            [5.0000]])
    """
    if not isinstance(kernel, str) or kernel != "auto":
        check_choice("kernel", kernel, KERNELS)
    _check_types(x, adjacency, edge_weight, self_weight)
    if self_weight is None:
        self_weight = edge_weight.new_zeros(adjacency.num_nodes)
    if {edge_weight.dtype, self_weight.dtype} != {x.dtype} and _autocasts(x.device.type):
        # under autocast, features are in half precision, but weights are not
        edge_weight, self_weight = edge_weight.to(x.dtype), self_weight.to(x.dtype)
    if not torch.compiler.is_compiling():
        _check(x, adjacency, edge_weight, self_weight)
    if kernel == "auto":
        kernel = choose_kernel(x, adjacency, edge_weight, self_weight).kernel
    return KERNELS[kernel](x, adjacency, edge_weight, self_weight)


def _autocasts(device_type: str) -> bool:
    return torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)


def _check_types(x: object, adjacency: object, edge_weight: object, self_weight: object) -> None:
    if not isinstance(adjacency, Adjacency):
        raise InputError("adjacency", "an Adjacency", shown(adjacency))
    for name, value in (("x", x), ("edge_weight", edge_weight), ("self_weight", self_weight)):
        optional = name == "self_weight" and value is None
        if not optional and (not isinstance(value, Tensor) or value.layout != torch.strided):
            raise InputError(name, "a dense tensor", shown(value))


def _check(x: Tensor, adjacency: Adjacency, edge_weight: Tensor, self_weight: Tensor) -> None:
    if x.dim() != 2 or x.size(0) != adjacency.num_nodes:
        raise InputError("x", f"shape ({adjacency.num_nodes}, num_features)", f"shape {tuple(x.shape)}")
    if not x.is_floating_point():
        raise InputError("x", "floating-point features", x.dtype, fix="x.float()")
    device = adjacency.rowptr.device
    for name, weight, size in (
        ("edge_weight", edge_weight, adjacency.num_edges),
        ("self_weight", self_weight, adjacency.num_nodes),
    ):
        if tuple(weight.shape) != (size,):
            raise InputError(name, f"shape ({size},)", f"shape {tuple(weight.shape)}")
        if weight.dtype != x.dtype:
            raise InputError(name, f"the type of x, {x.dtype}", weight.dtype, fix=f"{name}.to(x.dtype)")
        if weight.device != x.device or x.device != device:
            found = f"x on {x.device}, {name} on {weight.device}, adjacency on {device}"
            raise InputError(name, "all tensors on one device", found, fix="move them with .to(device)")
        # on CUDA, this check would synchronise with the device
        if _has_values(weight) and not torch.isfinite(weight.detach()).all():
            raise InputError(name, "finite weights", "NaN or Inf")


def _has_values(weight: Tensor) -> bool:
    """Returns whether the values of a tensor can be read without waiting for a GPU, outside ``torch.func``."""
    return weight.device.type not in ("cuda", "meta") and not transformed()
