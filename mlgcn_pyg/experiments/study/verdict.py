"""The verdict of a study in words: does the label graph help, for whom, and at what price?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlgcn_pyg.evaluation.significance import holm
from mlgcn_pyg.experiments.study.comparisons import LEVEL, Comparison
from mlgcn_pyg.experiments.study.effects import SMALLEST
from mlgcn_pyg.experiments.study.records import Run
from mlgcn_pyg.experiments.study.uncertainty import Effect

# Contenders that use the graph, each with its controls: without messages or sharing, and with shuffled labels.
ROUTES: dict[str, tuple[str, str]] = {
    "mlgcn": ("mlgcn p=0", "mlgcn shuffled"),
    "sharing": ("linear", "sharing shuffled"),
}
HELPS, DOES_NOT, UNKNOWN = "helps", "does not help", "cannot be told"
HEADLINES = {
    HELPS: "The label graph helps on this data.",
    DOES_NOT: "The label graph does not help on this data.",
    UNKNOWN: "Whether the label graph helps cannot be told with this data.",
}
MOST_NAMES = 5


@dataclass(frozen=True)
class Price:
    """What a contender costs.

    Attributes:
        seconds: the mean duration of a fit.
        num_parameters: the number of trained parameters.
    """

    seconds: float
    num_parameters: int


def prices(runs: Sequence[Run]) -> dict[str, Price]:
    """Returns the price of each contender."""
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run.key.contender, []).append(run)
    return {
        name: Price(float(np.mean([run.seconds for run in some])), max(run.num_parameters for run in some))
        for name, some in by_name.items()
    }


def answer(comparisons: Sequence[Comparison]) -> str:
    """Returns ``"helps"``, ``"does not help"`` or ``"cannot be told"``.

    The graph helps if a contender that uses it is higher than both of its controls: ML-GCN than without messages
    (p = 0) and than with shuffled labels, or sharing than the linear head and than with shuffled labels. It does not
    help if, for each contender that uses it, the difference to a control is negative or smaller than the smallest
    effect of interest. A gain that is as high with shuffled labels is not a gain from the graph of this data.
    """
    findings = {(one.a, one.b): one.finding for one in comparisons if one.primary}
    answers = []
    for name, controls in ROUTES.items():
        found = [findings.get((name, control)) for control in controls]
        if any(found):
            answers.append(_route_answer(found))
    if HELPS in answers:
        return HELPS
    return DOES_NOT if answers and set(answers) == {DOES_NOT} else UNKNOWN


def verdict(
    comparisons: Sequence[Comparison],
    prices: Mapping[str, Price],
    label_names: Sequence[str],
    *,
    smallest: float = SMALLEST,
) -> list[str]:
    """Returns the verdict as sentences: the answer, the primary comparisons, the price, and for whom.

    Differences are in mAP, in per cent, with 95 % intervals over test images and splits together.

    Args:
        comparisons: the comparisons of one condition.
        prices: the price of each contender; see :func:`prices`.
        label_names: the names of the labels.
        smallest: the smallest effect of interest that the comparisons were made with, a fraction of mAP.
    """
    primary = [one for one in comparisons if one.primary]
    sentences = [HEADLINES[answer(comparisons)]]
    sentences += [f"There is no comparison of {missing}." for missing in _missing(primary)]
    sentences += _too_coarse(primary)
    sentences += [_finding(one, smallest) for one in primary]
    sentences += _gains_without_the_graph(primary)
    sentences += [_price(name, prices) for name in ROUTES if {name, "linear"} <= prices.keys()]
    for one in primary:
        if one.b in ROUTES[one.a]:
            sentences += _for_whom(one, label_names)
    return sentences


def _route_answer(findings: Sequence[str | None]) -> str:
    if set(findings) == {"higher"}:
        return HELPS
    return DOES_NOT if {"equivalent", "lower"} & set(findings) else UNKNOWN


def _missing(primary: Sequence[Comparison]) -> list[str]:
    """Returns the absent comparisons with a control, of contenders that use the graph."""
    pairs = {(one.a, one.b) for one in primary}
    used = [name for name, controls in ROUTES.items() if any(a == name for a, _ in pairs)] or list(ROUTES)
    return [f"{name} with {control}" for name in used for control in ROUTES[name] if (name, control) not in pairs]


def _too_coarse(primary: Sequence[Comparison]) -> list[str]:
    """Returns a sentence if some differences could not be significant, however large."""
    tested = [one.effect for one in primary if not np.isnan(one.effect.p)]
    least = [p for p in holm([effect.least_p for effect in tested]) if p > LEVEL]
    if not least:
        return []
    splits = min(effect.num_splits for effect in tested)
    return [
        f"With {splits} splits, the adjusted p of {len(least)} comparisons cannot be below {min(least):.2f}: "
        "more splits, or more samples of the images, are required."
    ]


def _gains_without_the_graph(primary: Sequence[Comparison]) -> list[str]:
    """Returns a sentence for each contender that is higher than one of its controls, and surely not than the other."""
    findings = {(one.a, one.b): one.finding for one in primary}
    found = []
    for name, (without, shuffled) in ROUTES.items():
        against = findings.get((name, without)), findings.get((name, shuffled))
        if against[0] == "higher" and against[1] in ("equivalent", "lower"):
            reason = "the gain does not depend on which labels are connected"
            found.append(f"{name} gains over {without} but not over {shuffled}: {reason}.")
        if against[1] == "higher" and against[0] in ("equivalent", "lower"):
            reason = "wrong edges lower mAP, and the given ones do not raise it"
            found.append(f"{name} gains over {shuffled} but not over {without}: {reason}.")
    return found


def _finding(one: Comparison, smallest: float) -> str:
    """Returns the finding of a primary comparison as a sentence or two."""
    numbers, limit = f"{_points(one.effect)}, adjusted p {_p(one.adjusted_p)}", f"{100 * smallest:.1f} mAP"
    if one.finding == "descriptive":
        return f"{one.a} against {one.b}, without a test: {_points(one.effect)}; {one.effect.descriptive}."
    if one.finding == "equivalent":
        return f"{one.a} and {one.b} differ by less than {limit}: {numbers}."
    if one.finding in ("higher", "lower"):
        return f"{one.a} is {one.finding} than {one.b}: {numbers}."
    return f"Whether {one.a} is better than {one.b} cannot be told: {numbers}. {_needed(one.effect, limit)}".strip()


def _needed(effect: Effect, limit: str) -> str:
    """Returns a sentence with the numbers of images and splits for an interval of the width that is needed."""
    images = f"{effect.images_needed:,} test images (now {effect.num_images:,})"
    splits = f"{effect.splits_needed} splits (now {effect.num_splits})"
    parts = [images] if effect.images_needed > effect.num_images else []
    parts += [splits] if effect.splits_needed > effect.num_splits else []
    return f"An interval of ± {limit} takes about {' and '.join(parts)}." if parts else ""


def _price(name: str, prices: Mapping[str, Price]) -> str:
    own, linear = prices[name], prices["linear"]
    return (
        f"A fit of {name} takes {own.seconds:.3g} s and {own.num_parameters:,} parameters; one of linear "
        f"{linear.seconds:.3g} s and {linear.num_parameters:,}."
    )


def _for_whom(one: Comparison, label_names: Sequence[str]) -> list[str]:
    """Returns the groups whose joint interval excludes 0, and the labels whose AP changed."""
    seen = [
        f"{name} {_points(effect, short=True)}"
        for name, effect in one.groups.items()
        if not effect.descriptive and (effect.joint.low > 0 or effect.joint.high < 0)
    ]
    found = [f"Exploratory, {one.a} against {one.b} differs on {', '.join(seen)}."] if seen else []
    for word, labels in (("higher", one.gained), ("lower", one.lost)):
        if labels:
            names = ", ".join(label_names[k] for k in labels[:MOST_NAMES])
            more = f" and {len(labels) - MOST_NAMES} more" if len(labels) > MOST_NAMES else ""
            found.append(f"The AP of {one.a} is {word} than that of {one.b} for {names}{more}.")
    return found


def _points(effect: Effect, short: bool = False) -> str:
    """Returns a difference with its joint interval, in per cent."""
    value, low, high = (_signed(x) for x in (effect.value, effect.joint.low, effect.joint.high))
    over = "" if effect.splits else " over test images"
    return f"{value} ({low} to {high})" if short else f"{value} mAP (95 % interval{over} {low} to {high})"


def _signed(fraction: float) -> str:
    """Returns a fraction in per cent with one decimal and its sign.

    >>> _signed(0.0123), _signed(-0.0123), _signed(-0.0001), _signed(float("nan"))
    ('+1.2', '−1.2', '0.0', 'undefined')
    """
    if np.isnan(fraction):
        return "undefined"
    digits = f"{100 * fraction:+.1f}"
    return "0.0" if digits in ("+0.0", "-0.0") else digits.replace("-", "−")


def _p(p: float) -> str:
    """Returns a p value with its sign of relation.

    >>> _p(0.0312), _p(0.00004), _p(0.5)
    ('= 0.031', '< 0.001', '= 0.50')
    """
    if p < 0.001:
        return "< 0.001"
    return f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"
