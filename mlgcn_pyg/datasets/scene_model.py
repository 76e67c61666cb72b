r"""The labels of generated scenes: a small Bayesian network whose probabilities are known exactly.

Labels are drawn in the order of :data:`RULES`. The probability of label c given the labels before it is

.. math::
    P(L_c = 1 | \text{earlier}) = \Big(1 - (1 - b_c) \prod_{a\ \text{present}} (1 - w_{ac})\Big)
    \prod_{a\ \text{present}} (1 - h_{ac})

where :math:`b_c` is its base rate, :math:`w_{ac}` the probability with which label a causes it (noisy-or), and
:math:`h_{ac}` the probability with which a prevents it. The relations are directed: a boat requires the sea, but the
sea does not require a boat.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Rule:
    """The base rate of a label, and its relations to earlier labels.

    Attributes:
        rate: :math:`b_c`.
        invited_by: :math:`w_{ac}` of each earlier label a.
        kept_away_by: :math:`h_{ac}` of each earlier label a.
    """

    rate: float
    invited_by: dict[str, float] = field(default_factory=dict)
    kept_away_by: dict[str, float] = field(default_factory=dict)


RULES: dict[str, Rule] = {
    "moon": Rule(0.25),
    "sun": Rule(0.50, kept_away_by={"moon": 0.95}),
    "star": Rule(0.01, {"moon": 0.75}, {"sun": 0.90}),
    "cloud": Rule(0.20, {"sun": 0.30}),
    "sea": Rule(0.35),
    "boat": Rule(0.00, {"sea": 0.50}),
    "mountain": Rule(0.25, kept_away_by={"sea": 0.60}),
    "tree": Rule(0.15, {"mountain": 0.55}),
    "house": Rule(0.30, kept_away_by={"sea": 0.60}),
    "road": Rule(0.04, {"house": 0.55}, {"sea": 0.80}),
    "car": Rule(0.01, {"road": 0.65}),
    "bird": Rule(0.05, {"sea": 0.35, "tree": 0.20}),
    "person": Rule(0.12, {"boat": 0.45, "car": 0.45, "house": 0.25}),
    "dog": Rule(0.02, {"person": 0.35}),
    "umbrella": Rule(0.01, {"person": 0.15, "sea": 0.15}, {"moon": 0.80}),
    "kite": Rule(0.01, {"person": 0.20}, {"moon": 0.90}),
}
SCENE_LABELS = tuple(RULES)


def presence(label: str, present: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Returns P(label | earlier labels) (N,) for scenes ``present`` (N, C) bool. Later columns are ignored."""
    rule = RULES[label]
    column = {name: present[:, k] for k, name in enumerate(SCENE_LABELS)}
    absent = np.full(len(present), 1 - rule.rate)
    for name, weight in rule.invited_by.items():
        absent = absent * np.where(column[name], 1 - weight, 1.0)
    kept = np.ones(len(present))
    for name, weight in rule.kept_away_by.items():
        kept = kept * np.where(column[name], 1 - weight, 1.0)
    return (1 - absent) * kept


def sample_labels(num_images: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Draws labels (num_images, C) bool of scenes in the order of :data:`RULES`."""
    present = np.zeros((num_images, len(SCENE_LABELS)), dtype=bool)
    for c, label in enumerate(SCENE_LABELS):
        present[:, c] = rng.random(num_images) < presence(label, present)
    return present


@cache
def scene_probabilities() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns the true P(L_i) (C,) and P(L_j | L_i) (C, C), computed over all 2^C scenes.

    >>> marginal, conditional = scene_probabilities()
    >>> sea, boat = SCENE_LABELS.index("sea"), SCENE_LABELS.index("boat")
    >>> round(float(conditional[sea, boat]), 3), round(float(conditional[boat, sea]), 3)
    (0.5, 1.0)
    """
    num_labels = len(SCENE_LABELS)
    scenes = (np.arange(2**num_labels)[:, None] >> np.arange(num_labels)) & 1 == 1
    weight = np.ones(len(scenes))
    for c, label in enumerate(SCENE_LABELS):
        given = presence(label, scenes)
        weight = weight * np.where(scenes[:, c], given, 1 - given)
    both = (scenes * weight[:, None]).T @ scenes
    marginal = np.diag(both).copy()
    return marginal, both / marginal[:, None]
