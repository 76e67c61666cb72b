"""Values as text within a page: JSON that cannot end its script, and arrays of numbers as base64."""

import base64
import json
from typing import Any

import numpy as np

from mlgcn_pyg.html import Html


def packed(values: Any, kind: str) -> str:
    """Returns an array as base64 of its bytes, little-endian, row by row.

    Args:
        values: the array.
        kind: ``"u2"``, ``"u4"``, ``"f4"`` or ``"f8"``.

    >>> packed([1, 258], "u2")
    'AQACAQ=='
    """
    return base64.b64encode(np.ascontiguousarray(values, dtype=f"<{kind}").tobytes()).decode("ascii")


def as_units(fractions: Any) -> np.ndarray:
    """Returns fractions in [0, 1] as integers 0…65,534; NaN is 65,535.

    >>> as_units([0.0, 0.5, 1.0, float("nan")]).tolist()
    [0, 32767, 65534, 65535]
    """
    fractions = np.asarray(fractions, dtype=np.float64)
    return np.where(np.isnan(fractions), 65535, np.round(np.nan_to_num(fractions) * 65534)).astype(np.uint16)


def json_script(name: str, value: Any) -> Html:
    """Returns a script element with JSON, which browsers do not run.

    Args:
        name: its id.
        value: plain values without NaN.

    >>> json_script("a", ["</script>", 1])
    '<script type="application/json" id="a">["\\\\u003c/script>",1]</script>'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="{name}">{text}</script>')
