"""What a report page shows, as plain values. :func:`~mlgcn_pyg.report.page.write_page` makes the page of it.

Nothing is computed here and nothing is read: whoever fills these classes decides what the page says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mlgcn_pyg.evaluation import Difference, Interval
from mlgcn_pyg.graph import LabelGraph


@dataclass(frozen=True, eq=False)
class HeadContent:
    """A head and its results on the images of the page.

    Attributes:
        name: its name.
        logits: (N, C), finite.
        row: its row of :func:`~mlgcn_pyg.evaluation.table1_row`: ``{"all": {mAP, CP, …}, "top3": {CP, …}}``. Other
            parts are ignored; a value may be None.
        mAP: the mean of AP over the labels.
        AP: C intervals; NaN for a label without positives.
        difference: mAP minus that of :attr:`PageContent.reference`; None for the reference itself.
        recommended: whether it is the head to use. At most one head is.
        history: one record per epoch with ``epoch``, and ``lr``, ``loss`` and ``mAP`` where known; may be empty.
        graph: the graph of the head, with learned weights if it has any.
        calibrated: (N, C) logits after a calibration on other images, for a second reliability curve.
        num_seeds: the number of runs with different seeds. The row and the intervals are those of all of them, and the
            logits those of the first.
    """

    name: str
    logits: Tensor
    row: Mapping[str, Mapping[str, float | None]]
    mAP: Interval
    AP: Sequence[Interval]
    difference: Difference | None = None
    recommended: bool = False
    history: Sequence[Mapping[str, float | None]] = ()
    graph: LabelGraph | None = None
    calibrated: Tensor | None = None
    num_seeds: int = 1


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of an image.

    Attributes:
        image: the name of the image.
        picture: a JPEG file; None shows the name only.
    """

    image: str
    picture: bytes | None = None


@dataclass(frozen=True)
class Case:
    """One label of one image that deserves a look.

    Attributes:
        thumbnail: the image.
        label: the label in question.
        given: its target: 1, 0, or −1 for unknown.
        probability: P of the label as predicted, in [0, 1].
        expected: P of the label given the other labels of the image; None if it was not computed.
        reason: one sentence; may be empty.
        labels: name, target and P of the labels of the image that are given or predicted.
    """

    thumbnail: Thumbnail
    label: str
    given: int
    probability: float
    expected: float | None = None
    reason: str = ""
    labels: Sequence[tuple[str, int, float]] = ()


@dataclass(frozen=True)
class BrokenExpectation:
    """An edge i → j of the graph that predictions do not keep: images with i and without j.

    Attributes:
        source: i.
        target: j.
        probability: P(L_j|L_i) of the edge: that of the training images, or the one that was given for a known edge.
        images: the number of images for which i is predicted and j is not.
        share: ``images`` divided by the number of images for which i is predicted.
        examples: some of these images.
    """

    source: str
    target: str
    probability: float
    images: int
    share: float
    examples: Sequence[Thumbnail] = ()

    @property
    def expected(self) -> float:
        """The number of images that P leads one to expect, n (1 − P) for a label that is predicted for n images."""
        return self.images / self.share * (1 - self.probability)


@dataclass(frozen=True)
class Confusion:
    """The number of images where label ``missed`` is given but not predicted, and ``instead`` is predicted wrongly."""

    missed: str
    instead: str
    images: int


@dataclass(frozen=True, eq=False)
class StudyContent:
    """The results of a study.

    Attributes:
        verdict: sentences.
        contenders: the rows of ``study.json``; see :func:`~mlgcn_pyg.report.study_page.study_page`.
        comparisons: likewise.
        figures: caption → a PNG file.
        points: caption → (C, 2), a place for each label, such as t-SNE of the classifiers of a head.
    """

    verdict: Sequence[str] = ()
    contenders: Sequence[Mapping[str, Any]] = ()
    comparisons: Sequence[Mapping[str, Any]] = ()
    figures: Mapping[str, bytes] = field(default_factory=dict)
    points: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Fact:
    """A name and its value, such as a version, a digest or a file."""

    name: str
    value: str


@dataclass(frozen=True, eq=False)
class PageContent:
    """All that a page shows. A section without content is left out.

    Attributes:
        title: the title.
        verdict: sentences, the most important one first.
        images: what the images of the page are, such as ``"test.h5"``.
        label_names: C unique names, in any script.
        targets: (N, C) int8 in {-1, 0, 1}.
        heads: the heads, in the order of the page.
        reference: the name of the head that the differences refer to; empty without differences.
        level: the level of the intervals.
        graph: the mined graph. Built with a τ below :attr:`tau`, it has the edges that the slider adds.
        tau: τ at first; default: that of the graph.
        label_counts: C numbers of training images with each label; default: those of the graph.
        confusions: the most frequent first.
        broken: the most frequent first.
        mistakes: the most confident mistakes first.
        suspects: the labels that are most likely wrong first.
        study: the results of a study.
        commands: the commands that made the run, and this page.
        facts: versions, digests and files.
    """

    title: str
    verdict: Sequence[str]
    images: str
    label_names: Sequence[str]
    targets: Tensor
    heads: Sequence[HeadContent] = ()
    reference: str = ""
    level: float = 0.95
    graph: LabelGraph | None = None
    tau: float | None = None
    label_counts: Sequence[int] | None = None
    confusions: Sequence[Confusion] = ()
    broken: Sequence[BrokenExpectation] = ()
    mistakes: Sequence[Case] = ()
    suspects: Sequence[Case] = ()
    study: StudyContent | None = None
    commands: Sequence[str] = ()
    facts: Sequence[Fact] = ()

    @property
    def num_images(self) -> int:
        """The number of images N."""
        return len(self.targets)
