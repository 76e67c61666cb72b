"""The files that the paper's authors published, read without running anything that is in them."""

import io
import pickle
from pathlib import Path

import numpy as np

from mlgcn_pyg.checks import bad_input
from mlgcn_pyg.files import existing_file


def _latin1(text: str, encoding: str) -> bytes:
    """What ``_codecs.encode`` does in an array's pickle, and nothing else that it could do."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"encoding {encoding}")
    return text.encode("latin1")


def _from_buffer(buffer, dtype: np.dtype, shape: tuple[int, ...], order: str, axis_order=None) -> np.ndarray:
    """How protocol 5 writes an array; ``axis_order`` is newer NumPy's way with permuted axes."""
    array = np.frombuffer(buffer, dtype=dtype)
    if order == "K" and axis_order is not None:
        return array.reshape(shape).transpose(axis_order)
    return array.reshape(shape, order=order)


class _ArraysOnly(pickle.Unpickler):
    """Admits NumPy arrays and scalars beside the built-in containers; every other name is refused unseen."""

    _array_parts = {"_reconstruct": np.zeros(0).__reduce__()[0], "scalar": np.float64(0).__reduce__()[0]}

    def find_class(self, module: str, name: str):
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in self._array_parts:
            return self._array_parts[name]
        if module in ("numpy.core.numeric", "numpy._core.numeric") and name == "_frombuffer":
            return _from_buffer
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        raise pickle.UnpicklingError(f"{module}.{name}")


def read_array_pickle(path: str | Path):
    """The arrays of a pickle such as ``coco_adj.pkl``: NumPy arrays, numbers, strings and containers, nothing else.

    Pickles of Python 2 are understood. Raises InputError for a pickle that holds or calls anything else.
    """
    path = existing_file("path", path)
    try:
        return _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except Exception as error:  # a damaged pickle may raise nearly anything
        reason = f"{path} ({type(error).__name__}: {error})"
        raise bad_input("path", "a pickle of NumPy arrays and nothing else", reason) from error


def read_released_counts(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Label counts (C,) and pair counts (C, C) of a released ``*_adj.pkl`` ({"nums", "adj"}).

    Raises InputError for other content. Whether some images could have given the counts is checked where a graph is
    made of them (:meth:`LabelGraph.from_released`).
    """
    content = read_array_pickle(path)
    if not isinstance(content, dict) or not {"nums", "adj"} <= content.keys():
        raise bad_input("path", "a dict with 'nums' and 'adj'", f"{type(content).__name__} ({path})")
    nums, pairs = np.asarray(content["nums"]), np.asarray(content["adj"])
    if not (nums.dtype.kind in "iuf" and pairs.dtype.kind in "iuf"):
        raise bad_input("path", "arrays of numbers as 'nums' and 'adj'", f"{nums.dtype} and {pairs.dtype} ({path})")
    return nums, pairs
