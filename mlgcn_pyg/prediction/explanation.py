"""Explanations of predictions: which labels and which parts of an image raise or lower a logit, exactly."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from torch import Tensor

from mlgcn_pyg.checks import all_finite
from mlgcn_pyg.datasets import read_image
from mlgcn_pyg.errors import InputError, printable_line
from mlgcn_pyg.nn import StandardizedHead, explanation_maps
from mlgcn_pyg.nn.contributions import BIAS, NEIGHBOUR, OWN
from mlgcn_pyg.nn.maps import pool_maps

if TYPE_CHECKING:
    import pandas as pd

STRONGEST = 5  # neighbours in the text


@dataclass(frozen=True)
class LabelExplanation:
    """The terms of one logit: ``logit = own + the sum of the neighbours + bias``, up to rounding.

    If the head standardises its features, the terms are 0 for an image with average features: positive terms and cells
    speak for the label more than those of an average training image do.

    Attributes:
        label: the name of the label.
        logit: the logit.
        probability: its sigmoid.
        own: the contribution of the label's own classifier.
        neighbours: pairs (name, contribution), one per edge of the label graph; the largest absolute value first.
        bias: the bias; 0 for a head without one.
        cells: (h, w), the contribution of each cell of the feature map; their sum is ``logit − bias``
            (:func:`mlgcn_pyg.nn.explanation_maps`). None if the backbone has no feature maps.
    """

    label: str
    logit: float
    probability: float
    own: float
    neighbours: Sequence[tuple[str, float]]
    bias: float
    cells: Tensor | None = field(default=None, repr=False, compare=False)

    def terms(self, count: int = STRONGEST) -> list[tuple[str, float]]:
        """Returns pairs (name, contribution) whose sum is the logit: all but the first neighbours are one term.

        Args:
            count: the number of neighbours that are terms of their own.
        """
        others = [value for _, value in self.neighbours[count:]]
        terms = [("own classifier", self.own), *self.neighbours[:count]]
        if others:
            terms.append((f"{len(others)} other neighbour{'s' if len(others) > 1 else ''}", sum(others)))
        return [*terms, ("bias", self.bias)] if self.bias else terms

    def __str__(self) -> str:
        title = f"{printable_line(self.label)}: probability {self.probability:.3f}, logit {self.logit:+.2f}"
        return "\n".join(
            [title, *(f"  {round(value, 2) + 0.0:+8.2f}  {printable_line(name)}" for name, value in self.terms())]
        )


@dataclass(frozen=True)
class Explanation:
    """The explained labels of one image.

    Attributes:
        image: the file, or the image as a Pillow image.
        labels: the explained labels, the most probable first. Empty if the image could not be read.
        error: the reason why the image could not be read, or None.
    """

    image: Path | Image.Image
    labels: Sequence[LabelExplanation] = ()
    error: str | None = None

    def picture(self) -> Image.Image:
        """Returns the image as RGB, upright.

        Raises:
            ImageError: if it cannot be read.
        """
        return read_image(self.image)

    def __str__(self) -> str:
        if self.error is not None:
            return printable_line(self.error)
        return "\n".join(map(str, self.labels))


def explain_image(
    head: StandardizedHead, output: Tensor, pool: str, rows: Sequence[int] | None = None, top_k: int = 3
) -> list[LabelExplanation]:
    """Returns the explanations of labels of one image.

    Args:
        head: the head.
        output: the feature maps (D, h, w) of the image, or its features (D,), in the type of the head.
        pool: the pooling of the feature maps.
        rows: numbers of labels; default: the ``top_k`` most probable labels.
        top_k: see above.

    Raises:
        InputError: if the logits are not finite.
    """
    maps = output[None] if output.dim() == 3 else None
    contributions = head.contributions(output[None] if maps is None else pool_maps(maps, pool))
    logits = contributions.logits()[0]
    if not all_finite(logits):
        raise InputError("checkpoint", "finite logits", "NaN or Inf")
    if rows is None:
        rows = logits.argsort(descending=True, stable=True)[:top_k].tolist()
    cells = [None] * len(rows) if maps is None else explanation_maps(head, maps, pool, rows)[0]
    return [
        _explanation(contributions.frame(0, row), head.label_names[row], logits[row], of_label)
        for row, of_label in zip(rows, cells, strict=True)
    ]


def _explanation(frame: "pd.DataFrame", label: str, logit: Tensor, cells: Tensor | None) -> LabelExplanation:
    """Returns the explanation of a label for the table of its terms."""
    value = {term: float(frame.contribution[frame.term == term].iloc[0]) for term in (OWN, BIAS)}
    near = frame[frame.term == NEIGHBOUR].sort_values("contribution", key=abs, ascending=False, kind="stable")
    return LabelExplanation(
        label=label,
        logit=float(logit),
        probability=float(logit.sigmoid()),
        own=value[OWN],
        neighbours=tuple(zip(near.label, near.contribution.tolist(), strict=True)),
        bias=value[BIAS],
        cells=cells,
    )
