"""Backbone weights from local files: plain tensors, checked against the model before they are loaded."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.plain_files import load_plain
from mlgcn_pyg.regular_files import existing_file

# torchvision's DenseNet files predate the rule against dots in module names: denselayer1.norm.1 is now norm1
LEGACY_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Reads the tensors of a ``.safetensors`` file or of a ``torch.save`` state dict.

    No code in the file is run.

    Raises:
        InputError: if the file cannot be read, or contains anything but tensors.
    """
    path = existing_file("weights", path)
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except Exception as error:  # a damaged file can raise any error
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
    """Loads the weights of a file into ``model``.

    If any weight does not fit, the model is not changed.

    Args:
        model: the model whose state dict has the keys of the file.
        features: the part of the model that is used; weights of other parts (the classifier) may be absent.
        state: the tensors that :func:`read_state` read from ``path``.
        path: the file, for error messages.
        name: the name of the model, for error messages.
        classifier: names of modules that the file may contain although ``model`` does not have them.

    Raises:
        InputError: if keys are missing or unknown, or shapes differ; the message states the first of each kind.
    """
    expected = model.state_dict(keep_vars=True)
    heads = tuple(f"{head}." for head in classifier)
    state = {key: value for key, value in state.items() if key in expected or not key.startswith(heads)}
    used = {id(value) for value in features.state_dict(keep_vars=True).values()}
    needed = {key for key, value in expected.items() if id(value) in used}
    # files of PyTorch before 0.4.1 have no num_batches_tracked, which is not required
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
