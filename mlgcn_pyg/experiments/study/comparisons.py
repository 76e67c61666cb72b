"""The comparisons of a study: five that are named beforehand, and others to explore."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlgcn_pyg.evaluation.significance import holm
from mlgcn_pyg.experiments.study.effects import SMALLEST, Scores
from mlgcn_pyg.experiments.study.groups import groups
from mlgcn_pyg.experiments.study.uncertainty import Effect
from mlgcn_pyg.graph import LabelGraph

Pair = tuple[str, str]
# Named beforehand, since each further test makes all of them less sensitive.
PRIMARY: tuple[Pair, ...] = (
    ("mlgcn", "mlgcn p=0"),
    ("mlgcn", "mlgcn shuffled"),
    ("mlgcn", "linear"),
    ("sharing", "linear"),
    ("sharing", "sharing shuffled"),
)
LEVEL = 0.05
MIN_POSITIVES = 5  # test images, which a label needs to be called gained or lost


@dataclass(frozen=True)
class Comparison:
    """The comparison of two contenders.

    Attributes:
        a: the name of a contender.
        b: the name of the other one.
        primary: whether the comparison was named beforehand. The others are exploratory.
        effect: the mAP of a minus that of b.
        adjusted_p: p, corrected by Holm for the number of primary comparisons; that of an exploratory one is not
            corrected.
        finding: ``"equivalent"``: smaller than the smallest effect of interest, even if it is not 0; ``"higher"`` or
            ``"lower"``: the adjusted p is at most 0.05; ``"cannot be told"``; ``"descriptive"``: there is no test.
        groups: the effects on parts of the labels and images, which are exploratory; empty unless primary.
        gained: the numbers of the labels whose AP is higher, over images and splits, corrected by Holm for the number
            of labels.
        lost: the numbers of the labels whose AP is lower, likewise.
    """

    a: str
    b: str
    primary: bool
    effect: Effect
    adjusted_p: float
    finding: str
    groups: dict[str, Effect]
    gained: tuple[int, ...]
    lost: tuple[int, ...]


def compare(
    scores: Scores,
    graph: LabelGraph | None,
    positives: ArrayLike,
    pairs: Sequence[Pair] | None = None,
    *,
    smallest: float = SMALLEST,
) -> list[Comparison]:
    """Compares contenders: the primary comparisons first.

    Args:
        scores: the scores of the contenders.
        graph: the label graph of the contenders, for the groups; None for groups by frequency only.
        positives: (C,) the number of positive training images of each label.
        pairs: the pairs (a, b) to compare; default: :func:`default_pairs`. Primary pairs with an absent contender, or
            without a common split, are left out.
        smallest: the smallest effect of interest, a fraction of mAP, > 0.

    Returns:
        The comparisons, in the order of the pairs.

    Raises:
        InputError: if another pair has an absent contender or no common split, the numbers of labels differ, or
            ``smallest`` is out of range.

    Source: Holm 1979; see :func:`~mlgcn_pyg.evaluation.significance.holm`.
    """
    wanted = default_pairs(scores) if pairs is None else pairs
    chosen = [pair for pair in wanted if pair not in PRIMARY or is_possible(scores, pair)]
    effects = [scores.effect(a, b, smallest=smallest) for a, b in chosen]
    corrected = holm(
        [effect.p if pair in PRIMARY else float("nan") for pair, effect in zip(chosen, effects, strict=True)]
    )
    parts = groups(graph, positives, scores.targets)
    found = []
    for (a, b), effect, p in zip(chosen, effects, corrected, strict=True):
        primary = (a, b) in PRIMARY
        adjusted = p if primary else effect.p
        by_group = {
            part.name: scores.effect(a, b, labels=part.labels, context=part.context, smallest=smallest)
            for part in (parts if primary else ())
        }
        gained, lost = _changed_labels(scores, a, b, effect)
        found.append(Comparison(a, b, primary, effect, adjusted, finding(effect, adjusted), by_group, gained, lost))
    return found


def default_pairs(scores: Scores) -> list[Pair]:
    """Returns the possible primary pairs, and one for each other contender.

    A variant such as ``"mlgcn tau=0.3"`` is compared with the contender that begins its name, and others with
    ``"linear"``. Contenders for which this one is absent are not compared.
    """
    pairs = [pair for pair in PRIMARY if is_possible(scores, pair)]
    named = {name for pair in pairs for name in pair}
    for name in scores.contenders:
        base = name.split(" ")[0]
        other = base if base != name and base in scores.contenders else "linear"
        if name not in {*named, other} and other in scores.contenders and is_possible(scores, (name, other)):
            pairs.append((name, other))
    return pairs


def is_possible(scores: Scores, pair: Pair) -> bool:
    """Returns whether both contenders have runs on a common split."""
    return set(pair) <= set(scores.contenders) and bool(set(scores.splits(pair[0])) & set(scores.splits(pair[1])))


def finding(effect: Effect, adjusted_p: float) -> str:
    """Returns the finding of a comparison; see :class:`Comparison`."""
    if np.isnan(adjusted_p):
        return "descriptive"
    if effect.equivalent:
        return "equivalent"
    if adjusted_p <= LEVEL:
        return "higher" if effect.value > 0 else "lower"
    return "cannot be told"


def _changed_labels(scores: Scores, a: str, b: str, effect: Effect) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the labels that a gained and lost; none if the effect is only descriptive."""
    if effect.descriptive:
        return (), ()
    values, p_values = scores.label_tests(a, b)
    enough = (scores.targets[scores.samples.rows] == 1).sum(axis=0) >= MIN_POSITIVES
    changed = np.array(holm(np.where(enough, p_values, np.nan).tolist())) <= LEVEL
    gained, lost = (tuple(np.flatnonzero(changed & (sign * values > 0)).tolist()) for sign in (1, -1))
    return gained, lost
