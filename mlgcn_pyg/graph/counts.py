"""Sparse counts of labels that occur together, over any number of batches and processes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self, cast

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_positive, check_tensor
from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.graph.edges import EdgeRule
from mlgcn_pyg.graph.fields import Array, SparseMatrix
from mlgcn_pyg.graph.mining import MAX_ENTRIES, mine_edges
from mlgcn_pyg.graph.sparse import stacked, without_diagonal
from mlgcn_pyg.graph.targets import from_label_ids, present_and_unknown

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class CooccurrenceCounter:
    r"""Counts labels and pairs of labels over batches of targets (Sec. 3.3, Eq. 6).

    .. math::
        N_i = \#\{i\ \text{present}\}, \quad M_{ij} = \#\{i, j\ \text{present}\}, \quad
        P_{ij} = M_{ij} / \#\{i\ \text{present}, j\ \text{known}\}

    An unknown target (−1) counts neither for nor against a pair. The counter stores the label ids of each image,
    a few bytes per label, and counts pairs on demand.

    Counters over different images can be merged, and ``a + b`` is a new counter. The counts are integers, so that the
    order and the grouping of additions have no effect. Counters can be pickled. They are therefore the aggregation of
    a table that is divided among workers, of which each counts a part::

        def count(part):
            return CooccurrenceCounter(num_labels).update_ids(read(part))

        with concurrent.futures.ProcessPoolExecutor() as pool:
            counter = sum(pool.map(count, parts), CooccurrenceCounter(num_labels))

        counter = dask.bag.from_sequence(parts).map(count).fold(operator.add).compute()  # a tree of additions

    With Ray, ``count`` and ``operator.add`` are remote functions. ``LabelGraph.from_counter`` builds the graph.

    Args:
        num_labels (int): C ≥ 1.

    Attributes:
        num_labels (int): C.
        num_images (int): the number of counted images.
        label_counts (Tensor): (C,) int64, N_i.

    Raises:
        InputError: if ``num_labels`` is not an integer ≥ 1.

    >>> counter = CooccurrenceCounter(3).update([[1, 1, 0], [1, 0, 0], [1, -1, 1]])
    >>> counter.label_counts.tolist()
    [3, 1, 1]
    >>> counter.probabilities().toarray().round(2).tolist()  # label 1 is known in two of label 0's three images
    [[0.0, 0.5, 0.33], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """

    def __init__(self, num_labels: int):
        self.num_labels = check_positive("num_labels", num_labels)
        self.num_images = 0
        self.label_counts = torch.zeros(self.num_labels, dtype=torch.int64)
        self._present: list[csr_array] = []
        self._unknown: list[csr_array] = []

    def update(self, targets: Array | SparseMatrix) -> Self:
        """Adds a batch of images.

        Args:
            targets: (B, C) in {-1, 0, 1}, dense or a SciPy sparse matrix; B may be 0.

        Returns:
            This counter.

        Raises:
            InputError: if the shape or a value is not valid.
        """
        return self._add(*present_and_unknown(targets, self.num_labels))

    def update_ids(self, rows: Sequence[Sequence[int]]) -> Self:
        """Adds images whose present labels are listed; all other labels are absent.

        Args:
            rows: one list of label ids (0…C−1) per image.

        Returns:
            This counter.

        Raises:
            InputError: if an id is not an integer in 0…C−1.
        """
        from scipy.sparse import csr_array

        present = from_label_ids(rows, self.num_labels)
        return self._add(present, csr_array(present.shape, dtype=np.int32))

    def _add(self, present: "csr_array", unknown: "csr_array") -> Self:
        self.num_images += present.shape[0]
        self.label_counts += torch.from_numpy(np.bincount(present.indices, minlength=self.num_labels))
        self._present.append(present)
        self._unknown.append(unknown)
        return self

    def merge(self, other: "CooccurrenceCounter") -> Self:
        """Adds the images of another counter over the same labels.

        Args:
            other: the other counter; it is not changed.

        Returns:
            This counter.

        Raises:
            InputError: if ``other`` is not a counter over the same number of labels.
        """
        if not isinstance(other, CooccurrenceCounter):
            raise InputError("other", "a CooccurrenceCounter", type(other).__name__)
        if other.num_labels != self.num_labels:
            raise InputError("other", f"a counter over {self.num_labels} labels", f"a counter over {other.num_labels}")
        return self._add(other._all_present(), other._all_unknown())

    def __add__(self, other: "CooccurrenceCounter") -> "CooccurrenceCounter":
        """Returns a new counter of the images of both; see :meth:`merge`."""
        return CooccurrenceCounter(self.num_labels).merge(self).merge(other)

    def _all_present(self) -> "csr_array":
        self._present = [stacked(self._present, self.num_labels)]
        return self._present[0]

    def _all_unknown(self) -> "csr_array":
        self._unknown = [stacked(self._unknown, self.num_labels)]
        return self._unknown[0]

    @property
    def pair_counts(self) -> "csr_array":
        """The pair counts M (C, C), sparse int64, without the diagonal.

        All pairs are in memory at once. For many labels, :meth:`edges` requires less memory.
        """
        present = self._all_present()
        return without_diagonal(present.T.tocsr() @ present).astype(np.int64)

    @property
    def unknown_counts(self) -> "csr_array":
        """The number of images with i present and j unknown (C, C), sparse int64."""
        return (self._all_present().T.tocsr() @ self._all_unknown()).astype(np.int64)

    def probabilities(self) -> "csr_array":
        """Returns P (C, C), sparse, in float64.

        The rows of labels without images are empty."""
        from scipy.sparse import csr_array

        pairs = self.pair_counts.tocoo()
        rows, columns = pairs.coords
        known = self.label_counts.numpy()[rows]
        if len(rows) and (unknown := self.unknown_counts).nnz:  # SciPy 1.13 returns a matrix for an empty selection
            known = known - unknown[rows, columns]
        return csr_array((pairs.data / known.astype(np.float64), (rows, columns)), shape=pairs.shape)

    def edges(self, rule: EdgeRule | None = None, max_entries: int = MAX_ENTRIES) -> tuple[Tensor, Tensor]:
        """Selects the edges, in bounded memory.

        Args:
            rule: which pairs become edges; default: ``EdgeRule()``.
            max_entries: the largest number of pair counts in memory at a time, at about 45 bytes each.

        Returns:
            ``edge_index`` (2, E) and P (E,) float64.

        Raises:
            InputError: if ``rule`` is not an EdgeRule, or ``max_entries`` is not an integer ≥ 1.
        """
        rule = EdgeRule() if rule is None else rule
        if not isinstance(rule, EdgeRule):
            raise InputError("rule", "an EdgeRule", type(rule).__name__)
        present, unknown = self._all_present(), self._all_unknown()
        return mine_edges(present, unknown, rule, check_positive("max_entries", max_entries))


def count_targets(
    targets: Array | SparseMatrix | Sequence[Sequence[int]], num_labels: int | None = None
) -> CooccurrenceCounter:
    """Counts targets in any form that :meth:`LabelGraph.from_targets <mlgcn_pyg.LabelGraph.from_targets>` accepts.

    Args:
        targets: (N, C) in {-1, 0, 1}; if ``num_labels`` is given, also lists of label ids.
        num_labels: C; default: the number of columns.

    Raises:
        InputError: if the shape or a value is not valid.
    """
    if num_labels is not None and not hasattr(targets, "shape"):
        with renamed_arguments(rows="targets"):
            return CooccurrenceCounter(num_labels).update_ids(cast(Sequence[Sequence[int]], targets))
    if not hasattr(targets, "shape"):
        targets = check_tensor("targets", targets, "a matrix of targets", fix="for lists of label ids, pass num_labels")
    shape = tuple(cast(SparseMatrix, targets).shape)
    if len(shape) != 2:
        raise InputError("targets", "a matrix of shape (num_images, num_labels)", f"shape {shape}")
    return CooccurrenceCounter(shape[1] if num_labels is None else num_labels).update(targets)
