"""Checks of arguments. Each raises an InputError that names the argument, what is expected and what was found."""

import math
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

from mlgcn_pyg.errors import Fix, InputError, first_line
from mlgcn_pyg.values import real_number, shown

if TYPE_CHECKING:  # the command line shows its help without loading torch
    from torch import Tensor


def check_choice(argument: str, value: str, choices: Iterable[str]) -> str:
    """Returns ``value`` if it is one of ``choices``.

    Raises:
        InputError: if it is not; the message lists the choices.
    """
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        raise InputError(argument, "one of " + ", ".join(choices), shown(value))
    return value


def check_number(argument: str, value: float, low: float, high: float, *, open_low: bool = False) -> float:
    """Returns ``value`` as a Python float if it is a real number with low ≤ value ≤ high.

    Args:
        argument: its name in the message.
        value: a number of Python or NumPy, or a tensor with a single entry and no dimensions.
        low: the smallest value.
        high: the largest value.
        open_low: if True, ``low`` itself is not allowed.

    Raises:
        InputError: if the value is outside the range, NaN, or not a real number; strings and booleans are refused.

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


def check_image_size(image_size: int | Sequence[int]) -> tuple[int, int]:
    """Returns the height and width in pixels of a side or a pair.

    Raises:
        InputError: if ``image_size`` is neither, or a side is not an integer ≥ 1.

    >>> check_image_size(448), check_image_size([320, 640])
    ((448, 448), (320, 640))
    """
    if not isinstance(image_size, Sequence) or isinstance(image_size, str):
        side = check_positive("image_size", image_size)
        return side, side
    if len(image_size) != 2:
        raise InputError("image_size", "a side, or (height, width)", tuple(image_size))
    return check_positive("image_size", image_size[0]), check_positive("image_size", image_size[1])


def check_tensor(
    argument: str, values: Any, expected: str = "a tensor, an array or nested lists of numbers", fix: Fix = ""
) -> "Tensor":
    """Returns ``values`` as a tensor that shares their memory if possible.

    Args:
        argument: its name in the message.
        values: a tensor, an array, or nested lists of numbers.
        expected: what it must be, in the message.
        fix: what to do if it is not.

    Raises:
        InputError: if they cannot be converted.
    """
    import torch

    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(argument, expected, f"{shown(values)} ({first_line(error)})", fix) from error


def check_targets(argument: str, targets: Any, num_labels: int | None = None) -> "Tensor":
    """Returns targets (N, C) as an int8 tensor on their device.

    Args:
        argument: its name in the message.
        targets: a tensor, an array or nested lists: 1 for present, 0 for absent, −1 for unknown or difficult.
        num_labels: C; any number of labels by default.

    Raises:
        InputError: if they are not a matrix with C columns, or hold other values.
    """
    import torch

    targets = check_tensor(argument, targets)
    if targets.dim() != 2 or (num_labels is not None and targets.size(1) != num_labels):
        width = "num_labels" if num_labels is None else num_labels
        raise InputError(argument, f"a matrix of shape (num_images, {width})", f"shape {tuple(targets.shape)}")
    if targets.dtype == torch.int8 and targets.numel() and targets.min() >= -1 and targets.max() <= 1:
        return targets  # the usual case, in two fast passes
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
        InputError: if it is not a string, or contains lone surrogates, as JSON texts and file names can.

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

    The minimum and the maximum show both, so that one pass is enough.
    """
    import torch

    return values.numel() == 0 or bool(torch.stack(values.detach().aminmax()).isfinite().all())


def check_finite(argument: str, values: "Tensor", *, rows: "Tensor | None" = None, place: str = "") -> None:
    """Checks that ``values`` (N, …) contain neither NaN nor Inf.

    Args:
        argument: the name of the argument in the error.
        values: the numbers.
        rows: (N,) the number of each row in the error. Default: 0…N−1.
        place: added to the error, e.g. ``" in a.h5"``.

    Raises:
        InputError: if they do; the message counts these rows and names the first.
    """
    if not values.is_floating_point() or all_finite(values):
        return
    finite = values.isfinite()
    bad_rows = ~(finite.flatten(1).all(dim=1) if values.dim() > 1 else finite.flatten())
    count, first = int(bad_rows.sum()), int(bad_rows.nonzero()[0])
    first = first if rows is None else int(rows[first])
    problem = f"NaN or Inf in {count} of {len(bad_rows)} rows, the first is row {first}{place}"
    raise InputError(argument, "finite numbers", problem)


def check_label_names(names: Sequence[str] | None, num_labels: int | None = None) -> tuple[str, ...]:
    """Returns label names as a tuple of C different strings.

    Args:
        names: the names; None stands for the numbers 0…C−1.
        num_labels: C; by default, the number of names.

    Raises:
        InputError: if there are not C names, if one is not a string, or if two are equal.
    """
    if names is None and num_labels is not None:
        return tuple(str(i) for i in range(num_labels))
    if not isinstance(names, Iterable):
        raise InputError("label_names", "a sequence of strings", shown(names))
    names = tuple(names)
    if num_labels is not None and len(names) != num_labels:
        raise InputError("label_names", f"{num_labels} names, one per label", f"{len(names)}")
    for name in names:
        if not isinstance(name, str):
            raise InputError("label_names", "strings", f"{name!r} ({type(name).__name__})")
        check_text("label_names", name)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError("label_names", "different names", f"{twice!r} twice")
    return names


def check_same_labels(argument: str, names: Sequence[str], expected: Sequence[str], where: str) -> None:
    """Checks that two lists of labels are equal, in the same order.

    Args:
        argument: the argument that has ``names``.
        names: the labels that it has.
        expected: the labels that it must have.
        where: what has the expected labels, such as ``"the graph"``.

    Raises:
        InputError: if they differ; the message names the first difference.
    """
    names, expected = list(names), list(expected)
    if names == expected:
        return
    if len(names) != len(expected):
        found = f"{len(names)} labels"
    elif sorted(names) == sorted(expected):
        found = "the same labels in a different order"
    else:
        k = next(k for k, (a, b) in enumerate(zip(names, expected, strict=True)) if a != b)
        found = f"{names[k]!r} instead of {expected[k]!r} as label {k}"
    raise InputError(argument, f"the {len(expected)} labels of {where}", found, fix="build both from the same data set")


def _range(low: float, high: float, open_low: bool) -> str:
    if high == math.inf:
        return f"{'>' if open_low else '≥'} {low:g}"
    return f"in {'(' if open_low else '['}{low:g}, {high:g}]"


def _integer(argument: str, value: object, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < low:
        raise InputError(argument, f"an integer ≥ {low}", shown(value))
    return int(value)
