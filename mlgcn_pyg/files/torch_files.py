"""Reads files of ``torch.save`` without running code in them, and without allocating more than the files hold.

The present format is a zip archive (:mod:`mlgcn_pyg.files.torch_archives`): the member ``data.pkl`` is a pickle, in
which each tensor refers to a member ``data/KEY``, the bytes of its storage. In the format of PyTorch before 1.6, the
storages follow the pickle. Sizes are compared with the file before any tensor is created.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.files.pickle_machine import SPARE_BYTES, Unknown, latin1, ordered_dict
from mlgcn_pyg.files.regular import open_file
from mlgcn_pyg.files.torch_archives import read_archive
from mlgcn_pyg.files.unpickling import PlainUnpickler

LEGACY_MAGIC, LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001
TYPES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool, "ComplexDouble": torch.complex128, "ComplexFloat": torch.complex64,
}  # fmt: skip
LARGEST_EMPTY = 1 << 24  # the largest side of a tensor without entries
MOST_REPEATED = 4  # tensors may share storages, as tied weights do, and so be larger than the file


Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Storage:
    """The entries that one or several tensors share, as a vector."""

    entries: Tensor


class TorchUnpickler(PlainUnpickler):
    """Reads the pickle within a file of ``torch.save``.

    Args:
        data: the pickle, which may be followed by other data.
        load_bytes: returns the bytes of the storage with a key, as a vector of a given length.
        file_size: the size of the file in bytes, which limits the size of all tensors.
        functions: functions in addition to those that rebuild tensors.
        skip_unknown: whether to read objects of other classes as :class:`Unknown`.
        start: the position of the pickle in ``data``.
    """

    def __init__(
        self,
        data: bytes | memoryview,
        load_bytes: Callable[[str, int], Tensor],
        file_size: int,
        functions: Mapping[str, Any],
        skip_unknown: bool = False,
        start: int = 0,
    ):
        super().__init__(data, {**PLAIN, **self._rebuilding(), **functions}, start)
        self.load_bytes, self.skip_unknown, self.storages = load_bytes, skip_unknown, dict[tuple[str, Any], Storage]()
        self.tensor_bytes_left = MOST_REPEATED * file_size + SPARE_BYTES

    def _rebuilding(self) -> dict[str, Any]:
        return {
            "torch._utils._rebuild_tensor": self._tensor,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_tensor_v3": self._tensor_of_type,
            "builtins.set": self._set,
            "__builtin__.set": self._set,
            "torch._utils._rebuild_parameter": lambda data, *_: data,
        }

    def unknown(self, name: str) -> Any:
        """Returns an :class:`Unknown`, or refuses the name."""
        return Unknown(name) if self.skip_unknown else super().unknown(name)

    def persistent(self, key: Any) -> Storage:
        """Returns the storage that a tensor refers to."""
        kind, dtype, name, _, count, *view = key
        if kind != "storage" or type(count) is not int or count < 0 or any(part is not None for part in view):
            raise UnpicklingError("a storage of an unexpected kind")
        if (storage := self.storages.get((name, dtype))) is None:
            data = self.load_bytes(name, count * dtype.itemsize)
            storage = self.storages[name, dtype] = Storage(data.view(dtype) if count else torch.empty(0, dtype=dtype))
        return storage

    def _set(self, members: Sequence[Any] = ()) -> set[Any]:
        return set(self.keys(list(members)))

    def _tensor(
        self,
        storage: Storage,
        offset: int,
        size: Sizes,
        stride: Sizes,
        _grad: bool = False,
        _hooks: Any = None,
        mark: Any = None,
    ) -> Tensor:
        return self._view(storage.entries, offset, size, stride, mark)

    def _tensor_of_type(
        self,
        storage: Storage,
        offset: int,
        size: Sizes,
        stride: Sizes,
        _grad: bool,
        _hooks: Any,
        dtype: torch.dtype,
        mark: Any = None,
    ) -> Tensor:
        return self._view(storage.entries.view(dtype), offset, size, stride, mark)

    def _view(self, entries: Tensor, offset: int, size: Sizes, stride: Sizes, mark: Any) -> Tensor:
        if mark:
            raise UnpicklingError(f"a tensor with {mark}, such as a conjugated one"[:200])
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or any(type(n) is not int or not 0 <= n < 1 << 62 for n in numbers):
            raise UnpicklingError(f"a tensor of shape {size} and stride {stride}"[:200])
        count = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if last >= len(entries) if count else max(size) > LARGEST_EMPTY:
            raise UnpicklingError(f"a tensor of shape {size}, whose storage has {len(entries)} entries"[:200])
        self.tensor_bytes_left -= count * entries.itemsize
        if self.tensor_bytes_left < 0:
            raise UnpicklingError(f"tensors that are much larger than the file, such as one of shape {size}"[:200])
        return entries.as_strided(size, stride, offset)


def _text_or_bytes(kind: type) -> Callable[..., Any]:
    def convert(content: str | bytes = b"", encoding: str = "latin1") -> Any:
        return kind(latin1(content, encoding) if isinstance(content, str) else bytes(content))

    return convert


BUILTINS: dict[str, Any] = {
    "bytes": _text_or_bytes(bytes),
    "bytearray": _text_or_bytes(bytearray),
    "complex": lambda real, imaginary: complex(real, imaginary),
}
PLAIN: dict[str, Any] = {
    "collections.OrderedDict": ordered_dict,
    "torch.Size": lambda sizes=(): torch.Size(sizes),
    "torch.device": lambda *names: torch.device(*names),
    "_codecs.encode": latin1,
    "torch.storage.UntypedStorage": torch.uint8,
    **{f"{module}.{name}": value for name, value in BUILTINS.items() for module in ("builtins", "__builtin__")},
    **{f"torch.{name}Storage": dtype for name, dtype in TYPES.items()},
    **{str(dtype): dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)},
}


def read_torch_file(
    argument: str, path: str | Path, functions: Mapping[str, Any] | None = None, skip_unknown: bool = False
) -> Any:
    """Returns the content of a file, with its tensors on the CPU.

    Args:
        argument: the argument that errors name.
        path: the file.
        functions: functions by their names, that the file may call in addition to those that rebuild tensors.
        skip_unknown: whether to read objects of classes that are not plain as :class:`Unknown`.

    Raises:
        InputError: if there is no such file.
        Exception: of any type, if the file is damaged or contains anything but plain content.
    """
    with open_file(argument, path) as file:
        read = _read_zip if file.read(4) == b"PK\3\4" else _read_legacy
        return read(file, functions or {}, skip_unknown)


def _read_zip(file: BinaryIO, functions: Mapping[str, Any], skip_unknown: bool) -> Any:
    archive = read_archive(file)

    def load_bytes(key: str, count: int) -> Tensor:
        if (stored := len(archive.members[f"data/{key}"])) != count:
            raise UnpicklingError(f"a storage of {stored} bytes instead of {count}")
        return torch.from_numpy(archive.members[f"data/{key}"])

    data = archive.members["data.pkl"].data
    return TorchUnpickler(data, load_bytes, archive.size, functions, skip_unknown).load()


def _read_legacy(file: BinaryIO, functions: Mapping[str, Any], skip_unknown: bool) -> Any:
    data = np.memmap(file, np.uint8, "r").data
    position = 0
    for expected in (LEGACY_MAGIC, LEGACY_VERSION, None):  # the third describes the system that wrote the file
        header = PlainUnpickler(data, {}, position)
        if header.load() != expected and expected is not None:
            raise UnpicklingError("a file that torch.save has not written")
        position = header.position
    storages: dict[str, Tensor] = {}

    def load_bytes(key: str, count: int) -> Tensor:
        if key in storages or count > len(data) - sum(map(len, storages.values())):
            raise UnpicklingError("storages that are larger than the file")
        return storages.setdefault(key, torch.empty(count, dtype=torch.uint8))  # its bytes follow the pickle

    unpickler = TorchUnpickler(data, load_bytes, len(data), functions, skip_unknown, position)
    content = unpickler.load()
    keys = PlainUnpickler(data, {}, unpickler.position)
    for key in keys.load():
        keys.take(8)  # the number of entries
        storages[key].numpy()[:] = np.frombuffer(keys.take(len(storages[key])), np.uint8)
        del storages[key]
    if storages:
        raise UnpicklingError("storages without numbers")
    return content
