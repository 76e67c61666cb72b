"""Backbone weights from local files: plain tensors, checked against the model before they are loaded."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files import existing_file, load_plain

# torchvision's DenseNet files are older than the rule against dots in module names: denselayer1.norm.1 is now norm1
LEGACY_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Reads the tensors of a ``.safetensors`` file or of a ``torch.save`` state dict. No code in the file is executed.

    Raises:
        InputError: if the file cannot be read or contains anything else.
    """
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
    """Loads the weights of a file into ``model``: all of them, or none if they do not fit.

    Args:
        model: the model that the keys of the file belong to.
        features: the part of the model that is used; weights of other parts (the classifier) may be absent.
        state: the tensors that :func:`read_state` read from ``path``.
        path: the file, for errors.
        name: the name of the model, for errors.
        classifier: names of modules that the file may contain although ``model`` does not have them.

    Raises:
        InputError: if keys are missing or unknown, or shapes differ; the message names the first of each.
    """
    expected = model.state_dict(keep_vars=True)
    heads = tuple(f"{head}." for head in classifier)
    state = {key: value for key, value in state.items() if key in expected or not key.startswith(heads)}
    used = {id(value) for value in features.state_dict(keep_vars=True).values()}
    needed = {key for key, value in expected.items() if id(value) in used}
    # files that are older than num_batches_tracked are complete without it
    missing = sorted(key for key in needed - state.keys() if not key.endswith("num_batches_tracked"))
    unknown = sorted(state.keys() - expected.keys())
    differing = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & state.keys())
        if state[key].shape != expected[key].shape
    ]
    problems = [("missing keys", missing), ("unknown keys", unknown), ("different shapes", differing)]
    if any(keys for _, keys in problems):
        found = ", ".join(_counted(problem, keys) for problem, keys in problems if keys)
        raise InputError("weights", f"a state dict of {name}", f"{path} with {found}")
    model.load_state_dict(state, strict=False)


def _counted(problem: str, keys: Collection[str]) -> str:
    return f"{len(keys)} {problem} (first: {next(iter(keys))})"
