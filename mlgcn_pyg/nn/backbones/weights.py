"""Backbone weights from local files: plain tensors, checked against the model before they are loaded."""

import re
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.pickle_machine import Unknown
from mlgcn_pyg.files.plain import load_plain
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.values import shown

# torchvision's DenseNet files predate the rule against dots in module names: denselayer1.norm.1 is now norm1
LEGACY_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


def _skipped(name: str, *_: object) -> Unknown:
    return Unknown(name)


# functions that only create objects with data, which are skipped
DATA_CLASSES = {
    name: partial(_skipped, name)
    for name in (
        *("copyreg._reconstructor", "copy_reg._reconstructor", "collections.defaultdict", "collections.Counter"),
        *("pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.Path", "pathlib._local.PosixPath"),
        *("datetime.datetime", "datetime.date", "datetime.timedelta", "numpy.dtype", "numpy.ndarray"),
        *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    )
}


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Reads the tensors of a ``.safetensors`` file or of a ``torch.save`` state dict.

    No code in the file is run.

    Files in which the state dict is one value beside others, such as an epoch, an optimizer or arguments, are read too.
    Objects of other classes are skipped.

    Raises:
        InputError: if the file cannot be read, or has no state dict or several ones.
    """
    path = existing_file("weights", path)
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except Exception as error:  # a damaged file can raise any error
            raise InputError("weights", "a safetensors file", f"{path} ({first_line(error)})") from error
    state = _state_dict(load_plain("weights", path, DATA_CLASSES, skip_unknown=True), path)
    return {LEGACY_DENSENET.sub(r"\1\2.", name): value for name, value in state.items()}


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    """Returns the state dict of a file: the whole content, or its only value that is a state dict."""
    if _is_state_dict(content):
        return content
    inner = [key for key, value in content.items() if _is_state_dict(value)] if isinstance(content, dict) else []
    if len(inner) == 1:
        return content[inner[0]]
    expected = "a state dict of tensors, alone or as one value of a dict"
    if inner:
        fix = f"save one of them in a file of its own, such as torch.load(file)[{inner[0]!r}]"
        raise InputError("weights", expected, f"{len(inner)} of them, {_listed(inner)}, in {path}", fix)
    found = f"{type(content).__name__} in {path}"
    if isinstance(content, dict):
        found = f"a dict with the keys {_listed(list(content))} in {path}" if content else f"an empty dict in {path}"
    raise InputError("weights", expected, found)


def _is_state_dict(content: Any) -> bool:
    tensors = isinstance(content, dict) and all(isinstance(value, Tensor) for value in content.values())
    return tensors and bool(content) and all(isinstance(key, str) for key in content)


def _listed(keys: Sequence[Any]) -> str:
    """Returns the first keys as text."""
    return ", ".join(shown(key) for key in keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")


def without_common_prefix(state: dict[str, Tensor], expected: Collection[str]) -> dict[str, Tensor]:
    """Removes the names of modules around the network, such as ``module.`` or ``_orig_mod.``, if all keys have them.

    >>> without_common_prefix({"module.fc.bias": torch.ones(1), "module.fc.weight": torch.ones(1)}, ["fc.bias"]).keys()
    dict_keys(['fc.bias', 'fc.weight'])
    """
    while state and not state.keys() & set(expected):
        parts = {key.partition(".")[0] for key in state}
        if len(parts) > 1 or not all("." in key for key in state):
            break
        state = {key.partition(".")[2]: value for key, value in state.items()}
    return state


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
    state = without_common_prefix(state, expected)
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
        if not state.keys() & expected.keys():
            found += f"; its keys begin with {_listed(sorted({key.partition('.')[0] for key in state}))}"
        raise InputError("weights", f"a state dict of {name}", f"{path} with {found}")
    model.load_state_dict(state, strict=False)


def _counted(problem: str, keys: Collection[str]) -> str:
    return f"{len(keys)} {problem} (first: {next(iter(keys))})"
