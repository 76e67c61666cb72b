"""Reads pickles of NumPy arrays without running any code in them."""

import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.pickle_machine import latin1
from mlgcn_pyg.files.regular import open_file
from mlgcn_pyg.files.unpickling import PlainUnpickler


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
        if not re.fullmatch(r"[biufcSU][1-9]\d{0,3}", name):
            raise UnpicklingError(f"dtype {name}")
        self.name, self.order = name, "="

    def build(self, state: tuple[Any, ...]) -> None:
        """Sets the byte order."""
        self.order = ">" if state[1] == ">" else "<"

    def real(self) -> np.dtype:
        """Returns the NumPy dtype."""
        return np.dtype(self.order + self.name)


class _PlainArray(np.ndarray):
    """An array that accepts content from a pickle only once, and only as plain bytes."""

    def build(self, state: Any) -> None:
        """Sets the content."""
        _, shape, dtype, fortran, content = state
        if self.size or self.ndim != 1:
            raise UnpicklingError("an array with two contents")
        self.__setstate__((1, shape, dtype.real(), cast(np.bool_, bool(fortran)), content))

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickles the array as an ordinary NumPy array, which also happens when it is sent to another process."""
        return np.asarray(self).__reduce_ex__(protocol)


def plain_scalar(dtype: PlainDtype, data: bytes | str) -> np.generic:
    """Returns a NumPy scalar from its bytes. Pickles of Python 2 store the bytes as text."""
    data = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(data, dtype.real(), count=1)[0]


def _empty_array(*_: object) -> np.ndarray:
    return np.zeros(0).view(_PlainArray)


def _array_of_buffer(
    buffer: object, dtype: PlainDtype, shape: tuple[int, ...], order: str, axis_order: Any = None
) -> np.ndarray:
    """Reads an array of pickle protocol 5. Newer versions of NumPy store the order of permuted axes as well."""
    if not isinstance(buffer, bytes | bytearray):
        raise UnpicklingError(f"an array of {type(buffer).__name__}")
    array = np.frombuffer(buffer, dtype.real())
    if order == "K" and axis_order is not None:
        return array.reshape(shape).transpose(axis_order)
    return array.reshape(shape, order=cast(Literal["C", "F"], order))


# A pickle has no access to the types and functions of NumPy. With them, it could create an object array whose bytes are
# interpreted as addresses.
FUNCTIONS: dict[str, Any] = {
    "numpy.ndarray": "numpy.ndarray",  # an argument of _reconstruct, which is ignored
    "numpy.dtype": PlainDtype,
    "_codecs.encode": latin1,
}
for _core in ("numpy.core", "numpy._core"):
    FUNCTIONS |= {
        f"{_core}.multiarray._reconstruct": _empty_array,
        f"{_core}.multiarray.scalar": plain_scalar,
        f"{_core}.numeric._frombuffer": _array_of_buffer,
    }


def read_array_pickle(path: str | Path) -> Any:
    """Reads a pickle of NumPy arrays, numbers, strings and containers of them, such as ``coco_adj.pkl``.

    No code in the file is run. Pickles of Python 2 are supported.

    Args:
        path: the file.

    Raises:
        InputError: if the file is missing or damaged, or contains anything but such values.
    """
    with open_file("path", path) as file:
        data = file.read()
    try:
        return PlainUnpickler(data, FUNCTIONS).load()
    except Exception as error:  # a damaged pickle can raise any error
        found = f"{path} ({first_line(error)})"
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
