"""Argument checks. Each raises an InputError that states the argument, what was expected and what was found."""

import math
import os
from collections.abc import Iterable, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlgcn_pyg.errors import Fix, InputError, first_line
from mlgcn_pyg.text import nearest_choice
from mlgcn_pyg.values import real_number, shown

if TYPE_CHECKING:  # not imported at run time, so that the command line shows its help without loading torch
    from torch import Tensor


def check_choice(argument: str, value: str, choices: Iterable[str]) -> str:
    """Returns ``value`` if it is one of ``choices``.

    Raises:
        InputError: if it is not; the message lists all choices, and names the one that is spelled similarly, if any.

    >>> check_choice("gnn", "GATT", ["gcn", "gat", "gin"])
    Traceback (most recent call last):
    mlgcn_pyg.errors.InputError: gnn: expected one of gcn, gat, gin, found 'GATT'; did you mean 'gat'?
    """
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        near = nearest_choice(value, choices) if isinstance(value, str) else None
        fix = f"did you mean {near!r}?" if near else ""
        raise InputError(argument, "one of " + ", ".join(choices), shown(value), fix)
    return value


def check_number(argument: str, value: float, low: float, high: float, *, open_low: bool = False) -> float:
    """Returns ``value`` as a Python float if it is a real number with low ≤ value ≤ high.

    Args:
        argument: the name of the argument in the error message.
        value: a Python or NumPy number, or a zero-dimensional array or tensor.
        low: the smallest allowed value.
        high: the largest allowed value.
        open_low: if True, ``low`` itself is not allowed.

    Raises:
        InputError: if the value is out of range, is NaN, or is not a real number; strings and booleans are not.

    >>> check_number("tau", 1, 0, 1)
    1.0
    """
    number = real_number(value)
    if number is None or not (low <= number <= high) or (open_low and number == low):
        raise InputError(argument, f"a number {_range(low, high, open_low)}", shown(value))
    return number


def check_positive(argument: str, value: int) -> int:
    """Returns ``value`` as a Python int if it is an integer ≥ 1.

    Raises:
        InputError: if it is not.
    """
    return _integer(argument, value, 1)


def check_count(argument: str, value: int) -> int:
    """Returns ``value`` as a Python int if it is an integer ≥ 0.

    Raises:
        InputError: if it is not.
    """
    return _integer(argument, value, 0)


def check_flag(argument: str, value: bool) -> bool:
    """Returns ``value`` if it is True or False.

    Raises:
        InputError: if it is not.
    """
    if not isinstance(value, bool):
        raise InputError(argument, "True or False", shown(value))
    return value


def check_callable(argument: str, value: Any) -> Any:
    """Returns ``value`` if it is None or can be called.

    Raises:
        InputError: if it cannot.
    """
    if value is not None and not callable(value):
        raise InputError(argument, "a function, or None", shown(value))
    return value


def check_path(argument: str, value: Any) -> Path:
    """Returns a string or a path as a path.

    Raises:
        InputError: if it is neither, or contains a null character.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or "\0" in text:
        raise InputError(argument, "a path", shown(value))
    return Path(text)


def check_image_size(image_size: int | Sequence[int]) -> tuple[int, int]:
    """Returns an image size as (height, width) in pixels.

    Args:
        image_size: the side of a square, or (height, width).

    Raises:
        InputError: if ``image_size`` is neither an integer ≥ 1 nor a pair of them.

    >>> check_image_size(448), check_image_size([320, 640])
    ((448, 448), (320, 640))
    """
    if not isinstance(image_size, Sequence) or isinstance(image_size, str):
        side = check_positive("image_size", image_size)
        return side, side
    if len(image_size) != 2:
        raise InputError("image_size", "one side, or (height, width)", tuple(image_size))
    return check_positive("image_size", image_size[0]), check_positive("image_size", image_size[1])


def check_tensor(
    argument: str, values: Any, expected: str = "a tensor, an array or nested lists of numbers", fix: Fix = ""
) -> "Tensor":
    """Returns ``values`` as a tensor that shares their memory if possible.

    Args:
        argument: the name of the argument in the error message.
        values: a tensor, an array, a data frame, or nested lists of numbers.
        expected: what the error message states as expected.
        fix: the fix that the error message suggests.

    Raises:
        InputError: if the values cannot be converted to a tensor.
    """
    import torch

    try:
        if hasattr(values, "to_numpy"):  # pandas and polars
            array = values.to_numpy()
            # columns of several types become objects, and views of a data frame are read-only
            values = array.astype(float) if array.dtype == object else array.copy()
        tensor = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(argument, expected, f"{shown(values)} ({first_line(error)})", fix) from error
    if tensor.is_quantized or tensor.is_meta:
        raise InputError(argument, expected, f"{shown(values)}, {'on meta' if tensor.is_meta else 'quantised'}", fix)
    return tensor


def check_targets(argument: str, targets: Any, num_labels: int | None = None) -> "Tensor":
    """Returns targets (N, C) as an int8 tensor on the same device.

    Args:
        argument: the name of the argument in the error message.
        targets: a tensor, an array or nested lists: 1 for present, 0 for absent, −1 for unknown or difficult.
        num_labels: the required number of labels C. Default: any.

    Raises:
        InputError: if the targets are not a matrix with C columns, or contain a value other than −1, 0 and 1.
    """
    import torch

    targets = check_tensor(argument, targets)
    if targets.layout != torch.strided:
        raise InputError(argument, "a dense tensor", f"a tensor of layout {targets.layout}")
    if targets.dim() != 2 or (num_labels is not None and targets.size(1) != num_labels):
        width = "num_labels" if num_labels is None else num_labels
        raise InputError(argument, f"a matrix of shape (num_images, {width})", f"shape {tuple(targets.shape)}")
    if targets.dtype == torch.int8 and targets.numel() and targets.min() >= -1 and targets.max() <= 1:
        return targets  # the usual case, checked in two fast passes
    invalid = (targets != 1) & (targets != 0)
    if not (targets.dtype == torch.bool or targets.dtype == torch.uint8):
        invalid &= targets != -1
    if invalid.any():
        row, column = invalid.nonzero()[0].tolist()
        raise InputError(
            argument,
            "values in {-1, 0, 1}",
            f"{targets[row, column].item()} at image {row}, label {column}",
            fix="write 1 for present, 0 for absent, -1 for unknown",
        )
    return (targets.real if targets.is_complex() else targets).to(torch.int8)


def check_text(argument: str, text: str) -> str:
    """Returns ``text`` if it can be encoded in UTF-8.

    Raises:
        InputError: if it is not a string, or contains lone surrogates, which can come from JSON or from file names.

    >>> check_text("label_names", "Straße")
    'Straße'
    """
    if not isinstance(text, str):
        raise InputError(argument, "a string", shown(text))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(argument, "text that can be encoded in UTF-8", ascii(text)) from error
    return text


def all_finite(values: "Tensor") -> bool:
    """Returns whether floating-point ``values`` contain neither NaN nor Inf.

    NaN and Inf propagate to the minimum or the maximum, so one pass over the values is enough.
    """
    import torch

    return values.numel() == 0 or bool(torch.stack(values.detach().aminmax()).isfinite().all())


def check_finite(argument: str, values: "Tensor", *, rows: "Tensor | None" = None, place: str = "") -> None:
    """Checks that ``values`` (N, …) contain neither NaN nor Inf.

    Args:
        argument: the name of the argument in the error message.
        values: the numbers. Integers are always finite.
        rows: (N,) the row numbers to report. Default: 0…N−1.
        place: text that the error message ends with, e.g. ``" in a.h5"``.

    Raises:
        InputError: if they do; the message states how many rows are affected, and the first of them.
    """
    if not values.is_floating_point() or all_finite(values):
        return
    finite = values.isfinite()
    bad_rows = ~(finite.flatten(1).all(dim=1) if values.dim() > 1 else finite.flatten())
    count, first = int(bad_rows.sum()), int(bad_rows.nonzero()[0])
    first = first if rows is None else int(rows[first])
    problem = f"NaN or Inf in {count} of {len(bad_rows)} rows (first: row {first}){place}"
    raise InputError(argument, "finite numbers", problem)


def _range(low: float, high: float, open_low: bool) -> str:
    if high == math.inf:
        return f"{'>' if open_low else '≥'} {low:g}"
    return f"in {'(' if open_low else '['}{low:g}, {high:g}]"


def _integer(argument: str, value: object, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) < 2**63:
        raise InputError(argument, f"an integer ≥ {low}", shown(value))
    return int(value)
