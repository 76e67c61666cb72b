"""Single labels of single images that deserve a look: confident mistakes, and labels that are probably wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlgcn_pyg.evaluation import expected_labels, suspicion
from mlgcn_pyg.evaluation.metrics import predicted_labels
from mlgcn_pyg.experiments.label_audit import FEWEST
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.report.page.content import Case, Thumbnail

MOST, PER_LABEL, LISTED = 40, 3, 12
LEAST = 0.5  # suspicion: the other value is more probable than the given one


@dataclass(frozen=True, eq=False)
class Cases:
    """The predictions of a head, of which cases are made.

    Attributes:
        logits: (N, C).
        targets: (N, C) in {-1, 0, 1}.
        label_names: C names.
        thumbnail: returns the picture of a row.
        thresholds: (C,) logits above which labels are predicted; None stands for 0.
    """

    logits: Tensor
    targets: Tensor
    label_names: Sequence[str]
    thumbnail: Callable[[int], Thumbnail]
    thresholds: Tensor | None = None

    @property
    def predicted(self) -> Tensor:
        """(N, C) bool: whether a label is predicted, also where its target is unknown."""
        return predicted_labels(self.logits, self.targets, None, self.thresholds)

    def mistakes(self, most: int = MOST, per_label: int = PER_LABEL) -> list[Case]:
        """Returns the labels that are predicted but not given, or given but not predicted, the most confident first."""
        predicted, given = self.predicted, self.targets == 1
        wrong = (self.targets >= 0) & (predicted != given)
        confidence = torch.where(given, -self.logits, self.logits).masked_fill(~wrong, -torch.inf)
        return [self.case(row, label) for row, label in highest(confidence, most, per_label)]

    def suspects(self, graph: LabelGraph | None, most: int = MOST, per_label: int = PER_LABEL) -> list[Case]:
        """Returns the labels that the picture and the other labels together contradict, the most suspicious first.

        Labels with fewer than 5 known positives or negatives are not judged.

        Args:
            graph: the label graph whose edges make labels expected; see :func:`~mlgcn_pyg.evaluation.suspicion`.
            most: the largest number of labels.
            per_label: the largest number of images with the same label.
        """
        if len(self.logits) < 2 or not bool((self.targets >= 0).any()):  # nothing to fit to
            return []
        scores, given = suspicion(self.logits, self.targets, graph), (self.targets == 1).tolist()
        known = torch.minimum((self.targets == 1).sum(0), (self.targets == 0).sum(0))
        scores = scores.masked_fill(~(scores > LEAST) | (known < FEWEST), -torch.inf)  # also where it is NaN
        found = highest(scores, most, per_label)
        expected = expected_labels(self.targets, graph, labels=sorted({label for _, label in found}))
        return [
            self.case(row, label, together(float(scores[row, label]), given[row][label]), float(expected[row, label]))
            for row, label in found
        ]

    def case(self, row: int, label: int, reason: str = "", expected: float | None = None) -> Case:
        """Returns the case of one label of one image."""
        probability = float(self.logits[row, label].double().sigmoid())
        given = int(self.targets[row, label])
        return Case(
            self.thumbnail(row), self.label_names[label], given, probability, expected, reason, self._labels(row)
        )

    def _labels(self, row: int) -> list[tuple[str, int, float]]:
        """Returns the labels of an image that are given or predicted, the given ones first, by falling P."""
        logits, targets = self.logits[row], self.targets[row]
        shown = (targets == 1) | predicted_labels(logits[None], targets[None], None, self.thresholds)[0]
        labels = sorted(shown.nonzero().flatten().tolist(), key=lambda c: (-int(targets[c] == 1), -float(logits[c])))
        P = logits.double().sigmoid()
        return [(self.label_names[c], int(targets[c]), float(P[c])) for c in labels[:LISTED]]


def together(suspicion: float, given: bool) -> str:
    """Returns the sentence about a suspected label.

    Args:
        suspicion: the probability that the label is not as given.
        given: whether it is given as present.

    >>> together(0.75, True), together(0.999, False)
    ('Picture and other labels together: P = 0.25.', 'Picture and other labels together: P > 0.99.')
    """
    p = 1 - suspicion if given else suspicion
    text = "> 0.99" if p > 0.99 else "< 0.01" if p < 0.01 else f"= {p:.2f}"
    return f"Picture and other labels together: P {text}."


def highest(scores: Tensor, most: int, per_label: int) -> list[tuple[int, int]]:
    """Returns the rows and columns of the highest finite scores (N, C), at most ``per_label`` in a column.

    >>> highest(torch.tensor([[3.0, 1.0], [2.0, -torch.inf]]), most=2, per_label=1)
    [(0, 0), (0, 1)]
    """
    if not scores.numel():
        return []
    values, rows = scores.topk(min(per_label, len(scores)), dim=0)
    order = values.flatten().argsort(descending=True, stable=True)[:most].tolist()
    found = [divmod(place, scores.size(1)) for place in order]
    return [(int(rows[k, label]), label) for k, label in found if values[k, label].isfinite()]
