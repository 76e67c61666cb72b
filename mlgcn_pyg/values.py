"""Conversions of values to Python numbers, and to text for error messages."""

import math
from numbers import Real


def real_number(value: object) -> float | None:
    """Returns ``value`` as a float, or None if it is not a real number or is NaN.

    >>> real_number(1), real_number("1"), real_number(True)
    (1.0, None, None)
    """
    if not isinstance(value, str) and getattr(value, "shape", None) == () and hasattr(value, "item"):
        if getattr(value, "is_meta", False):
            return None
        value = value.item()  # a zero-dimensional tensor or array, or a NumPy scalar
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the range of floats
        return None
    return None if math.isnan(number) else number


def shown(value: object) -> str:
    """Returns ``value`` as text for an error message.

    Numbers, strings, booleans and None are shown as they are, tensors and arrays by their type and shape, and other
    values with their type, shortened to 60 characters.

    >>> shown(1.5), shown("1.5"), shown([1.5])
    ('1.5', "'1.5'", '[1.5] (list)')
    """
    kind = type(value).__name__
    if getattr(value, "shape", ()) != ():
        return f"a {kind} of shape {tuple(value.shape)}"  # type: ignore[attr-defined]  # tensors and arrays have one
    if value is None or isinstance(value, bool | str):
        return repr(value)
    if isinstance(value, Real):
        return str(value)
    return f"{ascii(value)[:60]} ({kind})"
