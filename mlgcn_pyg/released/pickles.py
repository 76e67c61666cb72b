"""Reads pickles of NumPy arrays without running any code in them."""

import io
import pickle
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.regular_files import existing_file


class ReleasedCounts(NamedTuple):
    """The label counts N (C,) and pair counts M (C, C) of a released file."""

    label_counts: np.ndarray
    pair_counts: np.ndarray


class PlainDtype:
    """Replaces ``numpy.dtype`` while a pickle is read, and accepts only numbers, booleans and text.

    A real dtype would accept flags from the pickle. These could change the byte order of a dtype that the whole process
    shares, or make NumPy interpret bytes as addresses of objects.
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
    """Returns a NumPy scalar from its bytes. Pickles of Python 2 store the bytes as text."""
    data = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(data, dtype.real(), count=1)[0]


class _PlainArray(np.ndarray):
    """An array that accepts content from a pickle only once, and only as plain bytes."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        if self.size or self.ndim != 1:
            raise pickle.UnpicklingError("an array with two contents")
        super().__setstate__((1, shape, dtype.real(), cast(np.bool_, bool(fortran)), content))

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickles the array as an ordinary NumPy array, which also happens when it is sent to another process."""
        return np.asarray(self).__reduce_ex__(protocol)


class _ArraysOnly(pickle.Unpickler):
    """Reads NumPy arrays, NumPy scalars and built-in containers, and refuses every other type or function.

    The pickle has no access to the types and functions of NumPy. With them, it could create an object array whose bytes
    are interpreted as addresses.
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
        """Reads an array of pickle protocol 5.

        Newer versions of NumPy store the order of permuted axes as ``axis_order``.
        """
        if not isinstance(buffer, bytes | bytearray):
            raise pickle.UnpicklingError(f"an array of {type(buffer).__name__}")
        array = np.frombuffer(buffer, dtype.real())
        if order == "K" and axis_order is not None:
            return array.reshape(shape).transpose(axis_order)
        return array.reshape(shape, order=cast(Literal["C", "F"], order))

    def _latin1(self, text: str, encoding: str) -> bytes:
        """Replaces ``_codecs.encode``, and supports only the encoding that pickled arrays use."""
        if encoding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError(f"encoding {encoding}")
        return text.encode("latin1")


def read_array_pickle(path: str | Path) -> Any:
    """Reads a pickle of NumPy arrays, numbers, strings and containers of them, such as ``coco_adj.pkl``.

    No code in the file is run. Pickles of Python 2 are supported.

    Args:
        path: the file.

    Raises:
        InputError: if the file is missing or damaged, or contains anything but such values.
    """
    path = existing_file("path", path)
    try:
        return _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except Exception as error:  # a damaged pickle can raise any error
        found = f"{path} ({type(error).__name__}: {error})"
        raise InputError("path", "a pickle of NumPy arrays and nothing else", found) from error


def as_array(values: Any, path: str | Path) -> np.ndarray:
    """Returns the content of a pickle as an array.

    A small pickle of lists that repeatedly contain each other could expand to an array that does not fit into memory.
    The number of entries is therefore limited to the number of bytes in the file.

    Args:
        values: an array, or lists of numbers or arrays.
        path: the pickle.

    Raises:
        ValueError: if there are more entries than the file has bytes.
    """
    entries_left, pending = Path(path).stat().st_size, [values]
    while pending:
        item = pending.pop()
        inner = item if isinstance(item, list | tuple) else ()
        entries_left -= item.size if isinstance(item, np.ndarray) else len(inner)
        if entries_left < 0:
            raise ValueError("lists that contain each other repeatedly")
        pending.extend(inner)
    return np.asarray(values)


def read_released_counts(path: str | Path) -> ReleasedCounts:
    """Reads the label counts and pair counts of a released ``*_adj.pkl``.

    This function does not check that a set of images can have these counts, but
    :meth:`LabelGraph.from_released <mlgcn_pyg.LabelGraph.from_released>` does.

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
        raise InputError("path", f"an array of numbers as {name!r}", f"{array.dtype} ({path})")
    return array
