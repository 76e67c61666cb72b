"""Refusals at the boundary: every message names the argument, what was expected, what was found and what to do."""

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import TYPE_CHECKING

from mlgcn_pyg.errors import InputError

if TYPE_CHECKING:  # the command line shows its help without loading torch
    from torch import Tensor


def check_choice(argument: str, value: str, choices: Iterable[str]) -> str:
    """``value`` if it is one of ``choices``; InputError that lists them otherwise."""
    choices = list(choices)
    if value not in choices:
        raise InputError(argument, "one of " + ", ".join(choices), repr(value))
    return value


def check_number(argument: str, value: float, low: float, high: float, *, open_low: bool = False) -> float:
    """``value`` as a float if low ≤ value ≤ high (low < value when ``open_low``); InputError otherwise."""
    number = float(value)
    if not (low <= number <= high) or (open_low and number == low):
        raise InputError(argument, f"a number in {'(' if open_low else '['}{low:g}, {high:g}]", value)
    return number


def check_positive(argument: str, value: int) -> int:
    """``value`` if it is an integer ≥ 1; InputError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(argument, "an integer ≥ 1", value)
    return int(value)


def check_count(argument: str, value: int) -> int:
    """``value`` if it is an integer ≥ 0; InputError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise InputError(argument, "an integer ≥ 0", value)
    return int(value)


def check_targets(argument: str, targets, num_labels: int | None = None) -> "Tensor":
    """Targets (N, C) with values in {-1, 0, 1} as an int8 tensor on their own device.

    −1 means unknown or difficult. Raises InputError for another rank, another number of labels or other values.
    """
    import torch

    targets = torch.as_tensor(targets)
    if targets.dim() != 2 or (num_labels is not None and targets.size(1) != num_labels):
        width = "num_labels" if num_labels is None else num_labels
        raise InputError(argument, f"a matrix of shape (num_images, {width})", f"shape {tuple(targets.shape)}")
    if targets.dtype == torch.int8 and targets.numel() and targets.min() >= -1 and targets.max() <= 1:
        return targets  # the usual case, in two fast passes
    strange = (targets != 1) & (targets != 0)
    if not (targets.dtype == torch.bool or targets.dtype == torch.uint8):
        strange &= targets != -1
    if strange.any():
        row, column = strange.nonzero()[0].tolist()
        raise InputError(
            argument,
            "values in {-1, 0, 1}",
            f"{targets[row, column].item()} at image {row}, label {column}",
            fix="write 1 for present, 0 for absent, -1 for unknown",
        )
    return targets.to(torch.int8)


def check_text(argument: str, text: str) -> str:
    """``text`` if it can be written in UTF-8; InputError for half characters, which JSON and odd terminals let through.

    >>> check_text("label_names", "Straße")
    'Straße'
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(argument, "text that UTF-8 can hold", ascii(text)) from error
    return text


def all_finite(values: "Tensor") -> bool:
    """Whether floating-point ``values`` hold neither NaN nor Inf, in one fast pass: the extremes show both."""
    import torch

    return values.numel() == 0 or bool(torch.stack(values.detach().aminmax()).isfinite().all())


def check_finite(argument: str, values: "Tensor") -> None:
    """InputError that counts and locates the first NaN or Inf row of ``values`` (N, ...)."""
    if not values.is_floating_point() or all_finite(values):
        return
    bad_rows = ~values.flatten(1).isfinite().all(dim=1) if values.dim() > 1 else ~values.isfinite()
    count, first = int(bad_rows.sum()), int(bad_rows.nonzero()[0])
    raise InputError(
        argument, "finite numbers", f"NaN or Inf in {count} of {len(bad_rows)} rows, the first is row {first}"
    )


def check_label_names(names: Sequence[str] | None, num_labels: int) -> tuple[str, ...]:
    """Names as a tuple of C different strings; the numbers 0…C−1 where ``names`` is None."""
    if names is None:
        return tuple(str(i) for i in range(num_labels))
    names = tuple(names)
    if len(names) != num_labels:
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
    """InputError that names the first difference where two label lists disagree."""
    names, expected = list(names), list(expected)
    if names == expected:
        return
    if len(names) != len(expected):
        found = f"{len(names)} labels"
    elif sorted(names) == sorted(expected):
        found = "the same labels in another order"
    else:
        k = next(k for k, (a, b) in enumerate(zip(names, expected, strict=True)) if a != b)
        found = f"{names[k]!r} instead of {expected[k]!r} as label {k}"
    raise InputError(argument, f"the {len(expected)} labels of {where}", found, fix="build both from the same data set")
