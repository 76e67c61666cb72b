"""Content of checkpoint files: parameters with a checksum, and errors that name the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.atomic import tensor_digest

Content = dict[str, Any]  # of tensors, numbers, strings and containers of them


def state_content(module: torch.nn.Module) -> Content:
    """Returns copies of the parameters and buffers of a module, and their checksum."""
    # copies, because torch.save writes whole storages, and stacked heads share one
    state = {name: value.detach().to("cpu", copy=True) for name, value in module.state_dict().items()}
    return {"state_dict": state, "sha256": tensor_digest(state)}  # torch.load does not detect a flipped bit


def load_state(module: torch.nn.Module, content: Content) -> None:
    """Loads the result of :func:`state_content` into a module.

    Raises:
        ValueError: if the checksum differs. Files of earlier versions have no checksum and are not verified.
    """
    state = content["state_dict"]
    if "sha256" in content and tensor_digest(state) != content["sha256"]:
        raise ValueError("the checksum of the parameters does not match")
    module.load_state_dict(state)


@contextmanager
def complete(path: str | Path, expected: str) -> Iterator[None]:
    """Converts any exception in the block to an InputError. Damaged content may raise any type of exception."""
    try:
        yield
    except Exception as error:
        reason = str(error) if isinstance(error, InputError) else first_line(error)
        raise InputError("path", expected, f"{path} ({reason})") from error
