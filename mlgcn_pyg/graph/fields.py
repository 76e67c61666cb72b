"""The fields of a label graph, as its checks and its summary read them, and the types of array arguments."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import ArrayLike
from torch import Tensor

Array = Tensor | ArrayLike


class SparseMatrix(Protocol):
    """A matrix or array of ``scipy.sparse``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    def tocsr(self) -> Any:
        """Returns the matrix in compressed sparse row format."""

    def tocoo(self) -> Any:
        """Returns the matrix in coordinate format."""


class GraphFields(Protocol):
    """What :class:`~mlgcn_pyg.graph.LabelGraph` holds; its docstring explains each field."""

    x: Tensor | None
    x_source: Mapping[str, Any]
    edge_index: Tensor
    edge_prob: Tensor
    edge_weight: Tensor
    self_weight: Tensor
    label_counts: Tensor
    label_names: Sequence[str]
    tau: float
    probability: str
    p: float
    weighting: str
    flow: str

    @property
    def num_labels(self) -> int:
        """C."""
