"""Reads pickles of NumPy arrays without running any code in them."""

import io
import pickle
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import existing_file


class ReleasedCounts(NamedTuple):
    """Label counts N (C,) and pair counts M (C, C) of a released file."""

    label_counts: np.ndarray
    pair_counts: np.ndarray


class PlainDtype:
    """Stands in for ``numpy.dtype`` while a pickle is read: numbers, truth values and text, no objects or records.

    A real dtype would accept flags and a byte order from the pickle, change the one that the whole process uses, and
    read bytes as addresses of objects.
    """

    def __init__(self, name: str, *_: object):
        if not re.fullmatch(r"[biufcSU]\d{1,4}", name):
            raise pickle.UnpicklingError(f"dtype {name}")
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def real(self) -> np.dtype:
        """Returns the NumPy dtype."""
        return np.dtype(self.order + self.name)


def plain_scalar(dtype: PlainDtype, data: bytes | str) -> np.generic:
    """Returns a NumPy number or text from its bytes, which are text in the files of Python 2."""
    data = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(data, dtype.real(), count=1)[0]


class _PlainArray(np.ndarray):
    """An array that accepts its content from a pickle once, and only as plain bytes."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        if self.size or self.ndim != 1:
            raise pickle.UnpicklingError("an array with two contents")
        super().__setstate__((1, shape, dtype.real(), cast(np.bool_, bool(fortran)), content))

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickles it as an ordinary array, also on the way to a different process."""
        return np.asarray(self).__reduce_ex__(protocol)


class _ArraysOnly(pickle.Unpickler):
    """Admits NumPy arrays and scalars and the built-in containers, and refuses every other name.

    The pickle never receives a type or function of NumPy: it could make an array "of objects" whose bytes are read as
    addresses.
    """

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in ("_reconstruct", "scalar"):
            return self._empty if name == "_reconstruct" else plain_scalar
        if module in ("numpy.core.numeric", "numpy._core.numeric") and name == "_frombuffer":
            return self._from_buffer
        if (module, name) == ("numpy", "ndarray"):
            return "numpy.ndarray"  # an argument of _reconstruct, which is ignored
        if (module, name) == ("numpy", "dtype"):
            return PlainDtype
        if (module, name) == ("_codecs", "encode"):
            return self._latin1
        raise pickle.UnpicklingError(f"{module}.{name}")

    def _empty(self, *_: object) -> np.ndarray:
        return np.zeros(0).view(_PlainArray)

    def _from_buffer(
        self, buffer: object, dtype: PlainDtype, shape: tuple[int, ...], order: str, axis_order: Any = None
    ) -> np.ndarray:
        """Reads an array of pickle protocol 5; newer NumPy writes permuted axes as ``axis_order``."""
        if not isinstance(buffer, bytes | bytearray):
            raise pickle.UnpicklingError(f"an array of {type(buffer).__name__}")
        array = np.frombuffer(buffer, dtype.real())
        if order == "K" and axis_order is not None:
            return array.reshape(shape).transpose(axis_order)
        return array.reshape(shape, order=cast(Literal["C", "F"], order))

    def _latin1(self, text: str, encoding: str) -> bytes:
        """Does what ``_codecs.encode`` does in the pickle of an array, and only that."""
        if encoding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError(f"encoding {encoding}")
        return text.encode("latin1")


def read_array_pickle(path: str | Path) -> Any:
    """Reads a pickle of NumPy arrays, numbers, strings and containers of them, such as ``coco_adj.pkl``.

    No code in the file is run. Pickles of Python 2 are supported.

    Args:
        path: the file.

    Raises:
        InputError: if the file is missing or damaged, or the pickle contains or calls anything else.
    """
    path = existing_file("path", path)
    try:
        return _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except Exception as error:  # a damaged pickle may raise nearly anything
        found = f"{path} ({type(error).__name__}: {error})"
        raise InputError("path", "a pickle of NumPy arrays and nothing else", found) from error


def as_array(values: Any, path: str | Path) -> np.ndarray:
    """Returns the content of a pickle as an array.

    Args:
        values: an array, or lists of numbers or arrays.
        path: the pickle. A few lists that contain each other many times would make an array larger than the memory; an
            honest pickle has no more entries than bytes.

    Raises:
        ValueError: if there are more entries than the file has bytes.
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


def read_released_counts(path: str | Path) -> ReleasedCounts:
    """Reads the label counts and pair counts of a released ``*_adj.pkl``.

    Whether a set of images can have these counts is checked by
    :meth:`LabelGraph.from_released <mlgcn_pyg.LabelGraph.from_released>`.

    Args:
        path: the file, a pickle of ``{"nums": (C,), "adj": (C, C)}``.

    Raises:
        InputError: if it is not such a pickle.
    """
    content = read_array_pickle(path)
    if not isinstance(content, dict) or not {"nums", "adj"} <= content.keys():
        kind = "an array" if isinstance(content, np.ndarray) else type(content).__name__
        raise InputError("path", "a dict with 'nums' and 'adj'", f"{kind} ({path})")
    return ReleasedCounts(_numbers(content["nums"], "nums", path), _numbers(content["adj"], "adj", path))


def _numbers(values: Any, name: str, path: str | Path) -> np.ndarray:
    """Returns ``values`` as an array of numbers."""
    try:
        array = as_array(values, path)
    except ValueError as error:
        raise InputError("path", f"an array of numbers as {name!r}", f"{path} ({first_line(error)})") from error
    if array.dtype.kind not in "iuf":
        raise InputError("path", f"arrays of numbers, {name!r} too", f"{array.dtype} ({path})")
    return array
