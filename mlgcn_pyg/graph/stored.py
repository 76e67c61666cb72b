"""The fields of a label graph, and how they are checked, written and read."""

import warnings
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch_geometric.data import Data

from mlgcn_pyg.errors import InputError, first_line, renamed_arguments
from mlgcn_pyg.files.atomic import tensor_digest
from mlgcn_pyg.files.plain import load_plain, save_plain
from mlgcn_pyg.graph.state import TENSORS, fields_of_state, state_of_fields
from mlgcn_pyg.graph.validation import check_fields, check_graph


class StoredGraph(Data):
    """The fields of :class:`~mlgcn_pyg.graph.LabelGraph`, whose docstring explains them."""

    # stored by Data like every attribute; the annotations are for type checkers
    x: Tensor | None
    x_source: dict[str, Any]
    edge_index: Tensor
    edge_prob: Tensor
    edge_weight: Tensor
    self_weight: Tensor
    label_counts: Tensor
    label_names: tuple[str, ...]
    num_nodes: int
    tau: float
    probability: str
    p: float
    weighting: str
    flow: str

    @property
    def num_labels(self) -> int:
        """The number of labels C, which are the nodes."""
        return self.num_nodes

    @property
    def embedding_dim(self) -> int:
        """The width F of the label embeddings; C if they are one-hot."""
        return self.num_labels if self.x is None else self.x.size(1)

    @property
    def alpha(self) -> float | None:
        """α of the weighting ``"kernel"``; None for other weightings."""
        return self._store.get("alpha")

    @alpha.setter
    def alpha(self, alpha: float | None) -> None:
        self._store.alpha = alpha

    @property
    def kernel(self) -> Tensor | None:
        """The similarities K (C, C) of the weighting ``"kernel"``; None for other weightings."""
        return self._store.get("kernel")

    @kernel.setter
    def kernel(self, kernel: Tensor | None) -> None:
        self._store.kernel = kernel

    def validate(self, raise_on_error: bool = True) -> bool:
        """Checks the shapes and values of all fields.

        Args:
            raise_on_error: if False, issues a warning and returns False instead of raising.

        Returns:
            True if the graph is valid.

        Raises:
            InputError: if the graph is not valid; the error's ``argument`` is the name of the field.
        """
        try:
            check_graph(self)
        except InputError as error:
            if raise_on_error:
                raise
            warnings.warn(str(error), stacklevel=2)
            return False
        return super().validate(raise_on_error)

    def digest(self) -> str:
        """Returns the SHA-256 of all tensors and settings; ``x_source`` is ignored."""
        check_fields(self)
        of_kernel = [] if self.alpha is None else [self.alpha]
        names = [tuple(self.label_names), self.tau, self.probability, self.p, self.weighting]
        settings = repr(names + of_kernel).encode()
        tensors = {name: self[name] for name in (*TENSORS, "kernel") if name in self}
        return tensor_digest(tensors | {"settings": torch.frombuffer(bytearray(settings), dtype=torch.uint8)})

    def state(self) -> dict[str, Any]:
        """Returns the graph as a dict of tensors, numbers and strings, for ``torch.load(weights_only=True)``."""
        check_fields(self)
        return state_of_fields(self)

    @classmethod
    def from_state(cls, state: dict[str, Any], where: str = "") -> Self:
        """Builds a graph from its :meth:`state`.

        Args:
            state: the dict.
            where: the origin of the dict, such as a file name, for error messages.

        Raises:
            InputError: if ``state`` is not the state of a valid graph.
        """
        place = f" in {where}" if where else ""
        fields = fields_of_state(state, place)
        try:
            graph = cls(**fields)
            graph.validate()
        except InputError as error:
            expected = f"{error.expected} as {error.argument}"
            raise InputError("state", expected, f"{error.found}{place}", error.fix) from error
        except Exception as error:  # fields of unexpected types can raise any error
            raise InputError("state", "a complete label graph", f"{first_line(error)}{place}") from error
        return graph

    def save(self, path: str | Path) -> None:
        """Writes the graph to a file, atomically: the file is complete or absent.

        Args:
            path: the file.
        """
        save_plain(path, self.state())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a graph that :meth:`save` has written. No code in the file is run.

        Args:
            path: the file.

        Raises:
            InputError: if there is no such file, or it does not contain a valid graph.
        """
        with renamed_arguments(state="path"):
            return cls.from_state(load_plain("path", path), str(path))
