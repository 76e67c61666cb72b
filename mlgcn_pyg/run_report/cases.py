"""Single labels of single images that deserve a look: confident mistakes, and labels that are probably wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlgcn_pyg.evaluation import expected_labels, suspicion
from mlgcn_pyg.evaluation.metrics import predicted_labels
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.report.page.content import Case, Thumbnail

MOST, PER_LABEL, LISTED = 40, 3, 12
LEAST = 0.5  # suspicion: labels that are more likely wrong than right


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
        return [
            self.case(row, label, f"{'Given, but not' if given[row, label] else 'Not given, but'} predicted.")
            for row, label in highest(confidence, most, per_label)
        ]

    def suspects(self, graph: LabelGraph | None, most: int = MOST, per_label: int = PER_LABEL) -> list[Case]:
        """Returns the given labels that are more likely wrong than right, the most suspicious first.

        Args:
            graph: the label graph whose edges make labels expected; see :func:`~mlgcn_pyg.evaluation.suspicion`.
            most: the largest number of labels.
            per_label: the largest number of images with the same label.
        """
        if len(self.logits) < 2 or not bool((self.targets >= 0).any()):  # nothing to fit to
            return []
        scores = suspicion(self.logits, self.targets, graph)
        expected = expected_labels(self.targets, graph)
        scores = scores.masked_fill(~(scores > LEAST), -torch.inf)  # also where it is NaN
        return [
            self.case(row, label, _wrong(float(scores[row, label])), float(expected[row, label]))
            for row, label in highest(scores, most, per_label)
        ]

    def case(self, row: int, label: int, reason: str, expected: float | None = None) -> Case:
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


def _wrong(probability: float) -> str:
    """Returns the sentence about a suspected label.

    >>> _wrong(0.75), _wrong(0.999)
    ('Wrong with a probability of 0.75.', 'Wrong with a probability of > 0.99.')
    """
    return f"Wrong with a probability of {'> 0.99' if probability > 0.99 else format(probability, '.2f')}."


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
