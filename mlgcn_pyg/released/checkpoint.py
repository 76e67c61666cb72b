"""Reads the authors' checkpoints without running any code in them."""

from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from mlgcn_pyg.checks import all_finite
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.torch_files import read_torch_file
from mlgcn_pyg.released.pickles import PlainDtype, plain_scalar

HEAD_KEYS = ("A", "gc1.weight", "gc2.weight")


@dataclass(frozen=True)
class ReleasedWeights:
    """The tensors of a released checkpoint.

    Attributes:
        a (Tensor): the re-weighted matrix A (C, C).
        first (Tensor): W of the first layer, ``gc1.weight`` (F, H).
        second (Tensor): W of the second layer, ``gc2.weight`` (H, D).
        backbone (dict): the state dict of the ResNet. Its keys have no prefix ``features.``.
    """

    a: Tensor
    first: Tensor
    second: Tensor
    backbone: dict[str, Tensor]


def read_released_weights(path: str | Path) -> ReleasedWeights:
    """Reads a released checkpoint and checks the shapes of its head.

    Args:
        path: the file; see :func:`read_released_state`.

    Raises:
        InputError: if the file is not a checkpoint; if keys are missing or unknown; if shapes do not match; if weights
            are not finite.
    """
    state = read_released_state(path)
    if missing := [name for name in HEAD_KEYS if name not in state]:
        expected = "A, gc1.weight and gc2.weight in addition to features.*"
        raise InputError("path", expected, f"no {', '.join(missing)} in {path}")
    a, first, second = (state.pop(name) for name in HEAD_KEYS)
    if a.dim() != 2:
        raise InputError("path", "A of shape (C, C)", f"shape {tuple(a.shape)} in {path}")
    if first.dim() != 2 or second.dim() != 2 or first.size(1) != second.size(0):
        found = f"shapes {tuple(first.shape)} and {tuple(second.shape)} in {path}"
        raise InputError("path", "gc1.weight (F, H) and gc2.weight (H, D)", found)
    for name, weight in (("gc1.weight", first), ("gc2.weight", second)):
        if weight.is_floating_point() and not all_finite(weight):
            raise InputError("path", "finite numbers", f"NaN or Inf in {name} in {path}")
    if unknown := sorted(key for key in state if not key.startswith("features.")):
        raise InputError("path", f"features.* and {', '.join(HEAD_KEYS)}", f"also {', '.join(unknown[:5])} in {path}")
    return ReleasedWeights(a, first, second, _without_prefix(state, "features."))


def read_released_state(path: str | Path) -> dict[str, Tensor]:
    """Reads the state dict of a released checkpoint, and removes the prefix ``module.`` from its keys.

    Files of PyTorch before 1.6 and of Python 2 are supported. NumPy numbers in addition to the state dict, such as
    ``best_score``, are accepted.

    Args:
        path: a file with ``{"state_dict": …}`` or with the state dict alone.

    Raises:
        InputError: if the file is missing or damaged, or contains anything but tensors and plain values.
    """
    try:
        content = read_torch_file("path", path, NUMBERS)
    except InputError:
        raise
    except Exception as error:  # a damaged file can raise any error
        found = f"{path} ({first_line(error)})"
        raise InputError("path", "a checkpoint of tensors and plain values", found) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(k, str) and torch.is_tensor(v) for k, v in state.items()):
        raise InputError("path", "a state dict of tensors, alone or as 'state_dict'", f"other content in {path}")
    in_module = all(key.startswith("module.") for key in state)
    return _without_prefix(state, "module.") if in_module else dict(state)


def _number(dtype: PlainDtype, data: bytes | str) -> float:
    """Converts a real or integer NumPy number to a Python number."""
    if dtype.name[0] not in "if":
        raise UnpicklingError(f"a scalar of dtype {dtype.name}")
    return plain_scalar(dtype, data).item()


NUMBERS = {"numpy.dtype": PlainDtype, "numpy.core.multiarray.scalar": _number, "numpy._core.multiarray.scalar": _number}


def _without_prefix(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items()}
