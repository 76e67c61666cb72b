"""Parses and checks the values of options."""

from mlgcn_pyg.errors import InputError


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
