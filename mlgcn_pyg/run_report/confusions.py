"""Labels that predictions confuse, and edges of the label graph that predictions do not keep."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from mlgcn_pyg.evaluation.metrics import predicted_labels
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.report.page.content import BrokenExpectation, Confusion, Thumbnail

MOST, EXAMPLES = 30, 3


def confusions(
    logits: Tensor, targets: Tensor, label_names: Sequence[str], thresholds: Tensor | None = None, most: int = MOST
) -> list[Confusion]:
    """Counts the images where label i is given but not predicted, and label j is predicted but not given.

    Args:
        logits: (N, C).
        targets: (N, C) in {-1, 0, 1}.
        label_names: C names.
        thresholds: (C,) logits above which labels are predicted; default: 0.
        most: the largest number of pairs, the most frequent ones.

    >>> logits, targets = torch.tensor([[-1.0, 2.0], [1.0, 2.0]]), torch.tensor([[1, 0], [1, 0]])
    >>> confusions(logits, targets, ["cat", "dog"])
    [Confusion(missed='cat', instead='dog', images=1)]
    """
    predicted = predicted_labels(logits, targets, None, thresholds)
    missed, wrong = (_sparse(part) for part in ((targets == 1) & ~predicted, predicted & (targets == 0)))
    counts = (missed.T @ wrong).tocoo()
    missing, instead = counts.coords
    order = np.lexsort((instead, missing, -counts.data))[:most]
    return [Confusion(label_names[missing[k]], label_names[instead[k]], int(counts.data[k])) for k in order]


def broken_expectations(
    logits: Tensor,
    graph: LabelGraph,
    thumbnail: Callable[[int], Thumbnail],
    thresholds: Tensor | None = None,
    most: int = MOST,
) -> list[BrokenExpectation]:
    """Counts the images where label i is predicted and label j is not, for the edges i → j of a graph.

    If label i is predicted for n images, n (1 − P(j | i)) images without label j are expected. The edges with more of
    them are returned; those whose count exceeds the expected number most come first.

    Args:
        logits: (N, C).
        graph: the label graph; edges below its τ are left out.
        thumbnail: returns the picture of a row.
        thresholds: (C,) logits above which labels are predicted; default: 0.
        most: the largest number of edges.
    """
    cuts = torch.zeros(logits.size(1), dtype=torch.float64) if thresholds is None else thresholds
    predicted = logits.double() > cuts
    keep = (graph.edge_prob >= graph.tau) & (graph.edge_prob > 0)
    source, target = graph.edge_index[:, keep].cpu().numpy()
    prob = graph.edge_prob[keep].double().cpu().numpy()
    have, both = predicted.sum(dim=0).numpy(), _pairs(predicted, source, target)
    images = have[source] - both
    surprise = np.round(images - have[source] * (1 - prob), 6)  # equal up to rounding: in the order of the labels
    order = [k for k in np.lexsort((target, source, -surprise))[:most] if surprise[k] > 0]
    found = []
    for i, j, p, count in ((int(source[k]), int(target[k]), float(prob[k]), int(images[k])) for k in order):
        margin = (logits[:, i] - logits[:, j]).masked_fill(~predicted[:, i] | predicted[:, j], -torch.inf)
        rows = margin.topk(min(EXAMPLES, count)).indices.tolist()
        names = graph.label_names[i], graph.label_names[j]
        found.append(BrokenExpectation(*names, p, count, count / int(have[i]), [thumbnail(row) for row in rows]))
    return found


def _pairs(predicted: Tensor, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns the number of images with both labels of each edge."""
    if not len(source):  # SciPy 1.13 returns a matrix for an empty selection
        return np.zeros(0, dtype=np.int64)
    present = _sparse(predicted)
    return np.asarray((present.T @ present).tocsr()[source, target]).ravel()


def _sparse(mask: Tensor) -> "csr_array":
    return csr_array(mask.cpu().numpy().astype(np.int32))
