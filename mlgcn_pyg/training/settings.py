"""Fields of config classes, each with its default, its check and its help text."""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from numbers import Integral
from typing import Any, TypeVar, get_type_hints

from mlgcn_pyg.checks import check_choice, check_flag, check_number
from mlgcn_pyg.errors import InputError

T = TypeVar("T")
Check = Callable[[str, Any], Any]  # (name, value) → the converted value; raises InputError


def setting(default: T, check: Check, help: str, choices: Sequence[str] = (), none: str = "none") -> T:
    """Returns a dataclass field that carries its check, its help text, its choices and its word for None."""
    metadata = {"check": check, "help": help, "choices": tuple(choices), "none": none}
    return field(default=default, metadata=metadata)


def choice(default: str, choices: Sequence[str], help: str) -> str:
    """Returns a :func:`setting` whose value is one of ``choices``."""
    return setting(default, partial(check_choice, choices=choices), help, choices)


def by_recipe(check: Check, help: str, choices: Sequence[str] = ()) -> Any:
    """Returns a :func:`setting` whose default, None, stands for the value of the recipe."""
    return setting(None, optional(check), help, choices, none="recipe")


def optional(check: Check) -> Check:
    """Returns a check that also accepts None."""
    return lambda name, value: None if value is None else check(name, value)


def non_negative(name: str, value: float, *, open_low: bool = False) -> float:
    """Returns ``value`` as a float; raises InputError unless it is a finite number ≥ 0 (> 0 with ``open_low``)."""
    if math.isinf(number := check_number(name, value, 0, math.inf, open_low=open_low)):
        raise InputError(name, "a finite number", value)
    return number


def integer(name: str, value: int) -> int:
    """Returns ``value`` as an int; raises InputError unless it is an integer, which may be negative."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(name, "an integer", repr(value))
    return int(value)


def one_of(choices: Sequence[str]) -> Check:
    """Returns a check that accepts one of ``choices``."""
    return partial(check_choice, choices=choices)


def label_weights(name: str, value: Any) -> float | tuple[float, ...]:
    """Returns a finite number > 0 as a float, or a sequence of them, one per label, as a tuple."""
    if hasattr(value, "tolist"):  # a tensor or an array
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return tuple(positive(name, weight) for weight in value)
    return positive(name, value)


def flag(name: str, value: bool) -> bool:
    """Returns ``value``; raises InputError unless it is True or False."""
    return check_flag(name, value)


positive = partial(non_negative, open_low=True)
fraction = partial(check_number, low=0, high=1)
positive_fraction = partial(check_number, low=0, high=1, open_low=True)
positive_or_inf = partial(check_number, low=0, high=math.inf, open_low=True)


@dataclass(frozen=True)
class Setting:
    """A field of a config class, as the command line needs it.

    Attributes:
        name: the name of the field.
        type: its type, such as ``int`` or ``float | None``.
        default: its default value.
        help: what it does and why it has this default.
        choices: the possible values; empty if the values are not limited to a list.
        none: the word for None.
    """

    name: str
    type: Any
    default: Any
    help: str
    choices: tuple[str, ...]
    none: str


def settings(config: type) -> tuple[Setting, ...]:
    """Returns the fields of a config class in order.

    >>> from mlgcn_pyg.training import HeadConfig
    >>> settings(HeadConfig)[-1].name, settings(HeadConfig)[-1].choices
    ('views', ('first', 'mean'))
    """
    types = get_type_hints(config)
    return tuple(
        Setting(f.name, types[f.name], f.default, f.metadata["help"], f.metadata["choices"], f.metadata["none"])
        for f in fields(config)
    )


C = TypeVar("C", bound=type)


def documented(config: C) -> C:
    """Appends the settings of a config class to its docstring, and returns the class."""
    lines = [config.__doc__ or "", "", "Args:"]
    for s in settings(config):
        kind = s.type.__name__ if isinstance(s.type, type) else str(s.type)
        text = f"{s.name} ({kind}, default {s.default!r}): {s.help}"
        lines += textwrap.wrap(text, 110, initial_indent="    ", subsequent_indent="        ")
    lines += ["", "Raises:", "    InputError: if a value has the wrong type or is out of range."]
    config.__doc__ = "\n".join(lines)
    return config
