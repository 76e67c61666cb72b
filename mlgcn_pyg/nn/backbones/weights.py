"""Backbone weights from local files: plain tensors, checked against the model before one of them is taken."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import existing_file, load_plain

# torchvision's DenseNet files are from before dots were refused in module names: denselayer1.norm.1 is norm1 today
LEGACY_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file or of a ``torch.save`` state dict; nothing in it can run code."""
    path = existing_file("weights", path)
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except Exception as error:  # a damaged file may raise nearly anything
            raise InputError("weights", "a safetensors file", f"{path} ({first_line(error)})") from error
    state = load_plain("weights", path)
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise InputError("weights", "a state dict of tensors", f"other content in {path}")
    return {LEGACY_DENSENET.sub(r"\1\2.", name): value for name, value in state.items()}


def put_weights(
    model: torch.nn.Module,
    features: torch.nn.Module,
    state: dict[str, Tensor],
    path: str | Path,
    name: str,
    classifier: Sequence[str] = (),
) -> None:
    """Puts the weights of a file into ``model``, in whole or not at all.

    Args:
        model: what the keys of the file are those of.
        features: the part of it that is used; weights of the rest (the classifier) may be absent.
        state: what :func:`read_state` read from ``path``.
        name: of the model, for errors.
        classifier: names of further modules that a file may hold although ``model`` has none.

    Raises:
        InputError: missing or unknown keys, other shapes; the first of each are named.
    """
    expected = model.state_dict(keep_vars=True)
    heads = tuple(f"{head}." for head in classifier)
    state = {key: value for key, value in state.items() if key in expected or not key.startswith(heads)}
    used = {id(value) for value in features.state_dict(keep_vars=True).values()}
    needed = {key for key, value in expected.items() if id(value) in used}
    # files from before num_batches_tracked existed are complete without it
    missing = sorted(key for key in needed - state.keys() if not key.endswith("num_batches_tracked"))
    strange = sorted(state.keys() - expected.keys())
    shaped = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & state.keys())
        if state[key].shape != expected[key].shape
    ]
    if missing or strange or shaped:
        parts = [
            f"{len(keys)} {what} (first: {keys[0]})"
            for what, keys in (("missing keys", missing), ("unknown keys", strange), ("other shapes", shaped))
            if keys
        ]
        raise InputError("weights", f"a state dict of {name}", f"{path} with " + ", ".join(parts))
    model.load_state_dict(state, strict=False)
