"""Parses and checks the values of options."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_type_hints

from mlgcn_pyg.checks import check_choice, check_count, check_number, check_positive
from mlgcn_pyg.cli.options import choices_of
from mlgcn_pyg.errors import InputError

MOST_WORKERS = 8  # by default


def parse_image_size(text: str) -> tuple[int, int]:
    """Returns height and width in pixels.

    >>> parse_image_size("448"), parse_image_size("320x640")
    ((448, 448), (320, 640))
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() and int(part) for part in parts):
        raise InputError("image_size", "a side such as 448, or HEIGHTxWIDTH", repr(text))
    return int(parts[0]), int(parts[-1])


def parse_widths(text: str) -> tuple[int, ...]:
    """Returns the widths between GCN layers.

    >>> parse_widths("1024,512")
    (1024, 512)
    """
    try:
        return tuple(int(width) for width in text.split(",") if width.strip())
    except ValueError as error:
        raise InputError("hidden", "widths such as 1024 or 1024,1024", repr(text)) from error


def parse_weights(text: str) -> str | None:
    """Returns the file or name of the weights, or None (random weights) for the word ``none``."""
    return None if text == "none" else text


def pick_device(name: str) -> str:
    """Returns the name of an available device. ``auto`` is CUDA if there is a GPU, else the CPU."""
    import torch

    if name in ("auto", "cuda") and torch.cuda.is_available():
        return "cuda"  # no tensor is created here, because this process may use a different GPU
    if name == "auto":
        return "cpu"
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError("device", "auto, cpu or a device of this machine", repr(name)) from error
    return name


def pick_workers(number: int | None, device: str) -> int:
    """Returns the number of worker processes. With None, there are none if the CPU computes the network.

    >>> pick_workers(3, "cuda"), pick_workers(None, "cpu"), 1 <= pick_workers(None, "cuda:1") <= MOST_WORKERS
    (3, 0, True)
    """
    if number is not None or not device.startswith("cuda"):
        return number or 0
    return min(num_cores(), MOST_WORKERS)


def num_cores() -> int:
    """Returns the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# of options that several commands have, or that are used late; others are checked where they are used
CHECKS: dict[str, Callable[[str, Any], object]] = {
    "tau": partial(check_number, low=0, high=1),
    "p": partial(check_number, low=0, high=1),
    "threshold": partial(check_number, low=0, high=1),
    "similar": partial(check_number, low=0, high=1, open_low=True),
    "min_count": check_count,
    "num_workers": check_count,
    "pairs": check_count,
    "top_k": check_positive,
    "batch_size": check_positive,
    "seeds": check_positive,
    "views": check_positive,
    "rows": check_positive,
    "neighbours": check_positive,
    "permutations": check_positive,
    "k": check_positive,
    "queries": check_positive,
    "hidden": lambda name, text: parse_widths(text),
    "image_size": lambda name, text: parse_image_size(str(text)),
}


def check_values(command: Any, values: Mapping[str, Any]) -> None:
    """Checks the values of options before a command loads torch, which takes seconds. The library checks them again.

    Args:
        command: the command, as Click has it.
        values: the values of its parameters.

    Raises:
        InputError: if a value is not valid.
    """
    for name, annotation in get_type_hints(command.callback, include_extras=True).items():
        value = values.get(name)
        if value is None:
            continue
        if choices := choices_of(annotation):
            for chosen in value if isinstance(value, list | tuple) else (value,):
                check_choice(name, chosen, choices)
        elif name in CHECKS:
            CHECKS[name](name, value)
