"""Checks of tensors, modules and devices that functions receive."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.values import shown


def check_floats(argument: str, values: Any, shape: Sequence[int | str], like: Tensor | None = None) -> Tensor:
    """Returns ``values`` if it is a dense floating-point tensor of a given shape.

    Args:
        argument: the name of the argument in the error message.
        values: the tensor.
        shape: the size of each dimension, or a name for any size, such as ``"batch"``.
        like: a tensor whose type and device ``values`` must have. Under autocast, the type may differ.

    Raises:
        InputError: if it is not.

    >>> check_floats("x", torch.zeros(2, 3), ("batch", 3)).shape
    torch.Size([2, 3])
    """
    sizes = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    if not isinstance(values, Tensor):
        raise InputError(argument, f"a tensor of shape ({sizes})", shown(values))
    # a size of any value is not read, or torch.export would fix it
    fixed = [(dim, size) for dim, size in enumerate(shape) if not isinstance(size, str)]
    if values.dim() != len(shape) or any(values.size(dim) != size for dim, size in fixed):
        raise InputError(argument, f"shape ({sizes})", f"shape {tuple(values.shape)}")
    if values.layout != torch.strided or not values.is_floating_point():
        raise InputError(argument, "a dense tensor of floating-point numbers", f"{values.dtype}, {values.layout}")
    if like is not None:
        _check_alike(argument, values, like)
    return values


def _check_alike(argument: str, values: Tensor, like: Tensor) -> None:
    if values.device != like.device:
        fix = f"{argument}.to('{like.device}')"
        raise InputError(argument, f"a tensor on {like.device}", f"a tensor on {values.device}", fix)
    kind = values.device.type
    if values.dtype != like.dtype and not (torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)):
        raise InputError(
            argument, f"{like.dtype}, the type of the weights", values.dtype, f"{argument}.to({like.dtype})"
        )


def check_values(argument: str, values: Tensor) -> Tensor:
    """Returns a tensor whose values can be read: dense, not quantised, and not on the device ``"meta"``.

    Raises:
        InputError: if they cannot.
    """
    if values.layout != torch.strided or values.is_quantized or values.is_meta:
        place = "on the device 'meta'" if values.is_meta else f"{values.dtype}, {values.layout}"
        raise InputError(argument, "a dense tensor with values", f"a tensor {place}")
    return values


def check_module(argument: str, module: Any, *attributes: str) -> Any:
    """Returns ``module`` if it is a ``torch.nn.Module`` with the given attributes.

    Raises:
        InputError: if it is not.
    """
    if not isinstance(module, torch.nn.Module):
        raise InputError(argument, "a torch.nn.Module", shown(module))
    if missing := [name for name in attributes if not hasattr(module, name)]:
        raise InputError(argument, f"a module with {' and '.join(missing)}", type(module).__name__)
    return module


def check_device(argument: str, device: str | torch.device) -> torch.device:
    """Returns the device if this machine has it.

    Raises:
        InputError: if it does not exist.

    >>> check_device("device", "cpu")
    device(type='cpu')
    """
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, ValueError, OverflowError) as error:
        raise InputError(argument, "a device of this machine, such as 'cpu' or 'cuda'", shown(device)) from error
    return found


def hardware(device: torch.device) -> str:
    """Returns the kind of device, with what affects the rounding: the GPU's model, or the CPU's instruction set."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.backends.cpu.get_cpu_capability()})" if device.type == "cpu" else device.type
