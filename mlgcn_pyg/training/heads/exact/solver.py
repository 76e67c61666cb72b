"""Which solver fits which heads, and with which settings."""

from collections.abc import Sequence
from dataclasses import fields

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.nn import LinearHead, SharingHead
from mlgcn_pyg.training.config import HeadConfig
from mlgcn_pyg.training.exact_config import ExactConfig
from mlgcn_pyg.training.heads.exact.operators import ConvexHead
from mlgcn_pyg.typing import Head
from mlgcn_pyg.values import shown

SOLVERS = ("auto", "exact", "sgd")
Config = HeadConfig | ExactConfig | Sequence[HeadConfig] | None


def exact_config(solver: str, config: Config, heads: Sequence[Head]) -> ExactConfig | None:
    """Returns the settings of the exact solver; None if heads are to be trained by SGD.

    ``"auto"`` selects the exact solver if ``config`` is None or an :class:`ExactConfig` and all heads have convex
    problems.

    Args:
        solver: ``"auto"``, ``"exact"`` or ``"sgd"``.
        config: the settings of either solver, or None.
        heads: the heads.

    Raises:
        InputError: if the solver is unknown, or does not support the heads or a setting of ``config``.
    """
    check_choice("solver", solver, SOLVERS)
    given = isinstance(config, ExactConfig)
    if solver == "sgd" and given:
        fix = ("pass a HeadConfig, or ", Argument("solver", "exact"))
        raise InputError("config", "a HeadConfig for the solver 'sgd'", "an ExactConfig", fix)
    if solver == "sgd" or (solver == "auto" and not given and (config is not None or not all(map(is_convex, heads)))):
        return None
    for head in heads:
        if not is_convex(head):
            expected = "linear heads, or sharing heads with fixed edges, for the exact solver"
            raise InputError("solver", expected, described_head(head), ("pass ", Argument("solver", "sgd")))
    if isinstance(config, ExactConfig):
        return config
    return ExactConfig() if config is None else _without_unused(config)


def is_convex(head: Head) -> bool:
    """Returns whether the loss of a head is a convex function of its parameters."""
    return isinstance(head, LinearHead) or (isinstance(head, SharingHead) and head.learned is None)


def convex_heads(heads: Sequence[Head]) -> list[ConvexHead]:
    """Returns heads of :func:`is_convex`, for type checkers."""
    return [head for head in heads if isinstance(head, LinearHead | SharingHead)]


def described_head(head: Head) -> str:
    """Returns the type of a head, and whether its edges are learned."""
    learned = " that learns its edges" if getattr(head, "learned", None) is not None else ""
    return type(head).__name__ + learned


def _without_unused(config: HeadConfig | Sequence[HeadConfig]) -> ExactConfig:
    """Returns the settings of a :class:`HeadConfig` that the exact solver shares.

    Raises:
        InputError: if other settings differ from their defaults, since they would be ignored.
    """
    if not isinstance(config, HeadConfig):
        raise InputError("config", "one config for all heads, for the solver 'exact'", shown(config))
    shared = {f.name for f in fields(ExactConfig)} & {f.name for f in fields(HeadConfig)}
    changed = [f.name for f in fields(config) if getattr(config, f.name) != f.default]
    if unused := [name for name in changed if name not in shared]:
        fix = ("remove them, or pass ", Argument("solver", "sgd"))
        found = ", ".join(f"{name} = {getattr(config, name)!r}" for name in unused)
        raise InputError("config", "settings that the exact solver uses", found, fix)
    return ExactConfig(**{name: getattr(config, name) for name in shared})
