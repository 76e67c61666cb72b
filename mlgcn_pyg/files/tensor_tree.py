"""Splits plain content, such as that of a checkpoint, into its tensors and a JSON value, and joins the two again.

In the JSON value, an object with one key that begins with ``$`` stands for what JSON does not have:

=============================  ============================================================
``{"$tensor": name}``          the tensor of this name
``{"$float": "inf"}``          an infinite number, or ``nan``
``{"$dict": [[key, …], …]}``   a dict with keys that are no strings, or begin with ``$``
=============================  ============================================================

Tuples become lists.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mlgcn_pyg.tensor_checks import check_values

TENSOR, FLOAT, DICT = "$tensor", "$float", "$dict"


@dataclass
class TensorTree:
    """Content without its tensors, and the tensors.

    Attributes:
        json: the content as a JSON value: dicts with strings as keys, lists, strings, finite numbers, booleans, None.
        tensors: the tensors by their names, dense, contiguous, on the CPU, and in memory of their own.
    """

    json: Any = None
    tensors: dict[str, Tensor] = field(default_factory=dict)
    _memory: set[int] = field(default_factory=set, init=False, repr=False)

    @classmethod
    def split(cls, content: Any) -> "TensorTree":
        """Returns the tree of tensors, numbers, strings, None and containers of them.

        Raises:
            TypeError: if the content has a value of another type.
            InputError: if a tensor is sparse, quantised, or has no values.

        >>> import torch
        >>> tree = TensorTree.split({"weight": torch.zeros(2), "names": ("cat", "dog")})
        >>> tree.json, tree.tensors
        ({'weight': {'$tensor': 'weight'}, 'names': ['cat', 'dog']}, {'weight': tensor([0., 0.])})
        """
        tree = cls()
        tree.json = tree._split(content, "")
        return tree

    def join(self) -> Any:
        """Returns the content of :meth:`split`, with lists in place of tuples.

        Raises:
            KeyError: if a tensor is missing.
            ValueError: if an object with a key that begins with ``$`` is not one of those above.
        """
        return _joined(self.json, self.tensors)

    def _split(self, value: Any, place: str) -> Any:
        if isinstance(value, Tensor):
            return {TENSOR: self._store(value, place)}
        if isinstance(value, Mapping):
            if all(isinstance(key, str) and not key.startswith("$") for key in value):
                return {key: self._split(one, f"{place}.{key}" if place else key) for key, one in value.items()}
            return {DICT: [[self._key(key), self._split(value[key], f"{place}.{n}")] for n, key in enumerate(value)]}
        if isinstance(value, list | tuple):
            return [self._split(one, f"{place}.{n}") for n, one in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):
            return {FLOAT: str(float(value))}
        if value is None or isinstance(value, str | int | float):
            return value
        raise TypeError(f"{place or 'the content'} is a {type(value).__name__}")

    def _key(self, key: Any) -> Any:
        if key is None or isinstance(key, str | int | float):
            return self._split(key, "")
        raise TypeError(f"a key is a {type(key).__name__}")

    def _store(self, value: Tensor, place: str) -> str:
        """Keeps a tensor under a name that no other one has, and returns the name."""
        value = check_values("content", value.detach()).cpu().contiguous()
        if value.untyped_storage().nbytes() > value.nbytes or value.untyped_storage().data_ptr() in self._memory:
            value = value.clone()  # safetensors refuses tensors that share memory
        self._memory.add(value.untyped_storage().data_ptr())
        name = place or "content"
        while name in self.tensors:
            name += "_"
        self.tensors[name] = value
        return name


def _joined(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_joined(one, tensors) for one in value]
    if not isinstance(value, dict):
        return value
    key = next(iter(value), "")
    if not key.startswith("$"):
        return {name: _joined(one, tensors) for name, one in value.items()}
    if len(value) == 1 and key == TENSOR:
        return tensors[value[TENSOR]]
    if len(value) == 1 and key == FLOAT:
        return float(value[FLOAT])
    if len(value) == 1 and key == DICT:
        return {_joined(name, tensors): _joined(one, tensors) for name, one in value[DICT]}
    raise ValueError(f"an object with the keys {', '.join(value)}"[:80])
