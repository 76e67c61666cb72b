r"""Retrieval of similar images by their features, with numbers (Fig. 7 shows pictures of it).

The k images with the largest cosines to a query are its neighbours. With s_r the number of labels that the query shares
with its neighbour at rank r, and R the number of images that share a label with it:

=============== ================================================================================================
metric          of one query
=============== ================================================================================================
precision@k     share of the neighbours with s_r > 0
AP@k            Σ_r [s_r > 0] · precision@r / min(R, k)
nDCG@k          Σ_r s_r / log₂(r + 1), divided by the largest value that any k images reach
=============== ================================================================================================

nDCG is that of K. Järvelin and J. Kekäläinen, `Cumulated gain-based evaluation of IR techniques
<https://doi.org/10.1145/582415.582418>`_, 2002, with the number of shared labels as the gain: an image that shares two
labels counts twice as much as one that shares one. Unknown labels (−1) are not shared.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlgcn_pyg.checks import check_targets, check_tensor
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation.nearest import QUERIES, as_rows, blocks, nearest


@dataclass(frozen=True)
class Retrieval:
    """The neighbours of queries, and the metrics of each query.

    Attributes:
        rows: (Q,) the rows of the queries that have a label and with which another image shares one.
        neighbours: (Q, k) the rows of their neighbours, the nearest first.
        shared: (Q, k) the number of labels that query and neighbour share.
        AP: (Q,) AP@k.
        precisions: (Q,) precision@k.
        gains: (Q,) nDCG@k.
        without_labels: the number of queries that were left out because they have no label.
        without_match: the number of queries that were left out because no other image shares a label with them.
    """

    rows: NDArray[np.int64]
    neighbours: NDArray[np.int64]
    shared: NDArray[np.int64]
    AP: NDArray[np.float64]
    precisions: NDArray[np.float64]
    gains: NDArray[np.float64]
    without_labels: int
    without_match: int

    @property
    def mAP(self) -> float:
        """The mean of AP@k over the queries; NaN without queries."""
        return _mean(self.AP)

    @property
    def precision(self) -> float:
        """The mean of precision@k over the queries; NaN without queries."""
        return _mean(self.precisions)

    @property
    def nDCG(self) -> float:
        """The mean of nDCG@k over the queries; NaN without queries."""
        return _mean(self.gains)


def retrieve(features: Any, targets: Any, *, k: int = 10, queries: Any = None) -> Retrieval:
    """Retrieves the nearest images of each image, and counts the labels that they share.

    To compare two networks, pass the features of the same images from each: the queries are the same. Memory does not
    grow with the number of images except for the targets; time grows with the number of queries times that of images.

    Args:
        features: (N, D) or (N, V, D), of which the first view is used: a tensor, an array, or the features of a
            feature cache, which are read in blocks.
        targets: (N, C) in {-1, 0, 1}.
        k: the number of neighbours of a query, which is not its own neighbour.
        queries: row numbers of the queries; default: all rows.

    Raises:
        InputError: if a shape or a value is not valid, or ``k`` is not in 1…N−1.

    >>> found = retrieve([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], [[1, 1], [1, 0], [0, 1], [1, 1]], k=1)
    >>> found.neighbours.tolist(), found.shared.tolist()
    ([[1], [0], [3], [2]], [[1], [1], [1], [1]])
    >>> found.mAP, found.precision, found.nDCG
    (1.0, 1.0, 0.75)
    """
    features, targets = as_rows("features", features, k), check_targets("targets", targets).cpu()
    if len(targets) != features.shape[0]:
        raise InputError("targets", f"{features.shape[0]} rows, as features has", len(targets))
    rows = _checked_rows(queries, len(targets))
    present = targets == 1
    labelled = rows[present[rows].any(dim=1)]
    ideal = _ideal_overlaps(present, labelled, k)
    matched = ideal.relevant > 0
    asked = labelled[matched]
    neighbours = nearest(features, asked, k)
    shared = torch.stack([(present[asked] & present[column]).sum(dim=1) for column in neighbours.t()], dim=1)
    precisions, scores, gains = _metrics(shared.double(), ideal.relevant[matched], ideal.overlaps[matched])
    return Retrieval(
        rows=asked.numpy(),
        neighbours=neighbours.numpy(),
        shared=shared.numpy(),
        AP=scores.numpy(),
        precisions=precisions.numpy(),
        gains=gains.numpy(),
        without_labels=len(rows) - len(labelled),
        without_match=len(labelled) - len(asked),
    )


@dataclass(frozen=True)
class _Ideal:
    """The best neighbours that queries could have.

    Attributes:
        relevant: (Q,) R, the number of images that share a label with the query.
        overlaps: (Q, k) the k largest numbers of shared labels.
    """

    relevant: Tensor
    overlaps: Tensor


def _ideal_overlaps(present: Tensor, rows: Tensor, k: int) -> _Ideal:
    """Returns the best neighbours by the labels of all other images."""
    relevant, overlaps = [torch.zeros(0)], [torch.zeros(0, k)]
    for part in rows.split(QUERIES):
        query, count, best = present[part].float(), torch.zeros(len(part)), torch.zeros(len(part), k)
        for start, stop in blocks(len(present)):
            shared = query @ present[start:stop].float().t()
            own = ((part >= start) & (part < stop)).nonzero().flatten()
            shared[own, part[own] - start] = 0
            count += (shared > 0).sum(dim=1)
            best = torch.cat([best, shared], dim=1).topk(k, dim=1).values
        relevant.append(count)
        overlaps.append(best)
    return _Ideal(torch.cat(relevant).double(), torch.cat(overlaps).double())


def _metrics(shared: Tensor, relevant: Tensor, ideal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns precision@k, AP@k and nDCG@k (Q,) from shared labels (Q, k) in the order of the neighbours."""
    k = shared.size(1)
    hits, ranks = (shared > 0).double(), torch.arange(1, k + 1, dtype=torch.float64)
    precision_at = hits.cumsum(dim=1) / ranks
    discounts = 1 / (ranks + 1).log2()
    average = (precision_at * hits).sum(dim=1) / relevant.clamp(max=k)
    return precision_at[:, -1], average, (shared * discounts).sum(dim=1) / (ideal * discounts).sum(dim=1)


def _checked_rows(queries: Any, num_images: int) -> Tensor:
    """Returns row numbers (Q,) as int64."""
    if queries is None:
        return torch.arange(num_images)
    expected = f"row numbers in 0…{num_images - 1}"
    rows = check_tensor("queries", queries, expected).cpu()
    if rows.dim() != 1 or rows.is_floating_point() or rows.is_complex() or rows.dtype == torch.bool:
        raise InputError("queries", expected, f"shape {tuple(rows.shape)}, {rows.dtype}")
    rows = rows.long()
    if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= num_images):
        raise InputError("queries", expected, f"{int(rows.min())} to {int(rows.max())}")
    return rows


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
