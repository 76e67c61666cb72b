"""Numbers of any library as Python numbers, and values as text in messages."""

import math
from numbers import Real


def real_number(value: object) -> float | None:
    """Returns ``value`` as a float, or None if it is not a real number or is NaN.

    >>> real_number(1), real_number("1"), real_number(True)
    (1.0, None, None)
    """
    if not isinstance(value, str) and getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # of a tensor or an array without dimensions, or of a NumPy scalar
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except OverflowError:  # of a huge integer
        return None
    return None if math.isnan(number) else number


def shown(value: object) -> str:
    """Returns ``value`` as text for a message: numbers as they are, other values with their type or shape.

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
