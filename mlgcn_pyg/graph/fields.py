"""Protocols for the fields of a label graph and for SciPy's sparse matrices, and the type of array arguments."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import ArrayLike
from torch import Tensor

Array = Tensor | ArrayLike


class SparseMatrix(Protocol):
    """A matrix or array of ``scipy.sparse``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The numbers of rows and columns."""

    def tocsr(self) -> Any:
        """Returns the matrix in compressed sparse row format."""

    def tocoo(self) -> Any:
        """Returns the matrix in coordinate format."""


class GraphFields(Protocol):
    """The fields of :class:`~mlgcn_pyg.graph.LabelGraph`, whose docstring explains them."""

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
    alpha: float | None
    kernel: Tensor | None
    flow: str

    @property
    def num_labels(self) -> int:
        """The number of labels C."""
