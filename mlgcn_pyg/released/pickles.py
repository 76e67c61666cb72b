"""The files that the paper's authors published, read without running anything that is in them."""

import io
import pickle
import re
from pathlib import Path

import numpy as np

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import existing_file


class PlainDtype:
    """Stands in for ``numpy.dtype`` while a pickle is read: numbers, truth values and text, no objects or records.

    NumPy's own takes flags and byte order from the pickle, for the whole process and as the truth about memory.
    """

    def __init__(self, name: str, *_):
        if not re.fullmatch(r"[biufcSU]\d{1,4}", name):
            raise pickle.UnpicklingError(f"dtype {name}")
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def real(self) -> np.dtype:
        return np.dtype(self.order + self.name)


def plain_scalar(dtype: PlainDtype, data: bytes | str) -> np.generic:
    """A NumPy number or text from its bytes (text in Python 2's files)."""
    data = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(data, dtype.real(), count=1)[0]


class _PlainArray(np.ndarray):
    """An array that takes its content from a pickle once, and only as plain bytes."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, content = state
        if self.size or self.ndim != 1:
            raise pickle.UnpicklingError("an array with two contents")
        super().__setstate__((1, shape, dtype.real(), bool(fortran), content))

    def __reduce_ex__(self, protocol):
        """Whoever pickles it, or hands it to another process, passes on a plain array."""
        return np.asarray(self).__reduce_ex__(protocol)


class _ArraysOnly(pickle.Unpickler):
    """Admits NumPy arrays and scalars beside the built-in containers; every other name is refused unseen.

    None of NumPy's own types or functions is handed to the pickle: an array "of objects" that a hostile one makes of
    its bytes would be read as addresses.
    """

    def find_class(self, module: str, name: str):
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in ("_reconstruct", "scalar"):
            return self._empty if name == "_reconstruct" else self._scalar
        if module in ("numpy.core.numeric", "numpy._core.numeric") and name == "_frombuffer":
            return self._from_buffer
        if (module, name) == ("numpy", "ndarray"):
            return "numpy.ndarray"  # all that _reconstruct is told
        if (module, name) == ("numpy", "dtype"):
            return PlainDtype
        if (module, name) == ("_codecs", "encode"):
            return self._latin1
        raise pickle.UnpicklingError(f"{module}.{name}")

    def _empty(self, *_) -> np.ndarray:
        return np.zeros(0).view(_PlainArray)

    def _scalar(self, dtype: PlainDtype, data: bytes | str) -> np.generic:
        return plain_scalar(dtype, data)

    def _from_buffer(self, buffer, dtype: PlainDtype, shape: tuple, order: str, axis_order=None) -> np.ndarray:
        """How protocol 5 writes an array; ``axis_order`` is newer NumPy's way with permuted axes."""
        if not isinstance(buffer, bytes | bytearray):
            raise pickle.UnpicklingError(f"an array of {type(buffer).__name__}")
        array = np.frombuffer(buffer, dtype.real())
        if order == "K" and axis_order is not None:
            return array.reshape(shape).transpose(axis_order)
        return array.reshape(shape, order=order)

    def _latin1(self, text: str, encoding: str) -> bytes:
        """What ``_codecs.encode`` does in an array's pickle, and nothing else that it could do."""
        if encoding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError(f"encoding {encoding}")
        return text.encode("latin1")


def read_array_pickle(path: str | Path):
    """The arrays of a pickle such as ``coco_adj.pkl``: NumPy arrays, numbers, strings and containers, nothing else.

    Pickles of Python 2 are understood. Raises InputError for a pickle that holds or calls anything else.
    """
    path = existing_file("path", path)
    try:
        return _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except Exception as error:  # a damaged pickle may raise nearly anything
        reason = f"{path} ({type(error).__name__}: {error})"
        raise InputError("path", "a pickle of NumPy arrays and nothing else", reason) from error


def as_array(values, path: str | Path) -> np.ndarray:
    """What the pickle ``path`` holds, as an array. ValueError for more entries than the file has bytes.

    A few lists that hold each other many times would make an array beyond any memory.
    """
    left, waiting = Path(path).stat().st_size, [values]
    while waiting:
        item = waiting.pop()
        inner = item if isinstance(item, list | tuple) else ()
        left -= item.size if isinstance(item, np.ndarray) else len(inner)
        if left < 0:
            raise ValueError("lists that repeat each other")
        waiting.extend(inner)
    return np.asarray(values)


def read_released_counts(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Label counts (C,) and pair counts (C, C) of a released ``*_adj.pkl`` ({"nums", "adj"}).

    Raises InputError for other content. Whether some images could have given the counts is checked where a graph is
    made of them (:meth:`LabelGraph.from_released`).
    """
    content = read_array_pickle(path)
    if not isinstance(content, dict) or not {"nums", "adj"} <= content.keys():
        what = "an array" if isinstance(content, np.ndarray) else type(content).__name__
        raise InputError("path", "a dict with 'nums' and 'adj'", f"{what} ({path})")
    return _numbers(content["nums"], "nums", path), _numbers(content["adj"], "adj", path)


def _numbers(values, name: str, path: str | Path) -> np.ndarray:
    """``values`` as an array, if it is one of numbers."""
    try:
        array = as_array(values, path)
    except ValueError as error:
        raise InputError("path", f"an array of numbers as {name!r}", f"{path} ({first_line(error)})") from error
    if array.dtype.kind not in "iuf":
        raise InputError("path", f"arrays of numbers, {name!r} too", f"{array.dtype} ({path})")
    return array
