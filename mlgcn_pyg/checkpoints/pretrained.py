"""Content of checkpoints in the folder of a saved model; :mod:`mlgcn_pyg.files.pretrained` describes its files."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from mlgcn_pyg._version import __version__
from mlgcn_pyg.checkpoints.content import Content, complete
from mlgcn_pyg.errors import InputError, first_line
from mlgcn_pyg.files.atomic import atomic_path, tensor_digest, write_text
from mlgcn_pyg.files.pretrained import CONFIG, FORMAT, LARGEST, MOST_CONTAINERS, UNEDITED, WEIGHTS, read_config
from mlgcn_pyg.files.regular import existing_file
from mlgcn_pyg.files.tensor_tree import TensorTree

NUMBERS = "thresholds"  # a vector that readers of config.json want to see, and that store_thresholds replaces


def write_pretrained(folder: Path, content: Content) -> None:
    """Writes ``model.safetensors``, then ``config.json``, each atomically, and verifies them by reading them back.

    Args:
        folder: an existing folder.
        content: the content of a checkpoint.

    Raises:
        InputError: if the content has values that JSON and safetensors cannot hold, or too many label names.
        OSError: if the files cannot be written, or their content differs from what was written.
    """
    tree = _tree(content)
    text = _config_text(tree)
    with atomic_path(folder / WEIGHTS) as partial:
        # save_file() would make the file readable by its owner only
        partial.write_bytes(save(tree.tensors, {"format": "pt"}))
    write_text(folder / CONFIG, text)
    try:
        read_pretrained(folder)
    except InputError as error:
        raise OSError(f"the content of {folder} differs from the content that was written") from error


def read_pretrained(folder: Path) -> Content:
    """Returns the content of the checkpoint in a folder. The tensors are on the CPU.

    Raises:
        InputError: about the argument ``path``, if a file is missing, damaged, or of other software.
    """
    config = read_config(folder)
    tensors = _read_tensors(folder / WEIGHTS)
    with complete(folder, "a complete model"):
        tree = TensorTree(config["content"], tensors)
        changed = config["sha256"] != _digest(tree)
    if changed:
        raise InputError("path", "a complete model", f"{folder}, whose content is not what was saved", UNEDITED)
    with complete(folder, "a complete model"):
        content = tree.join()
        if not isinstance(content, dict):
            raise ValueError("no content")
        if content.get(NUMBERS) is not None:
            content[NUMBERS] = torch.tensor(content[NUMBERS], dtype=torch.float64)
        return content


def replace_in_pretrained(folder: Path, content: Content) -> None:
    """Replaces what is no tensor in the content of a folder. The write is atomic.

    Args:
        folder: the folder.
        content: its content, in which only numbers, strings, lists and the thresholds have changed.
    """
    write_text(folder / CONFIG, _config_text(_tree(content)))


def _tree(content: Content) -> TensorTree:
    numbers = content.get(NUMBERS)
    shown = content if numbers is None else content | {NUMBERS: numbers.tolist()}
    try:
        return TensorTree.split(shown)
    except TypeError as error:
        expected = "a checkpoint of tensors, numbers, strings and containers of them"
        raise InputError("checkpoint", expected, first_line(error)) from error


def _config_text(tree: TensorTree) -> str:
    config = {"format": FORMAT, "version": 1, "mlgcn_pyg": __version__, "sha256": _digest(tree), "content": tree.json}
    text = json.dumps(config, indent=1, allow_nan=False) + "\n"
    if len(text) > LARGEST or text.count("[") + text.count("{") > MOST_CONTAINERS:
        expected = f"label names and settings of at most {LARGEST >> 20} MiB"
        raise InputError(
            "checkpoint", expected, f"{len(text) / 2**20:.0f} MiB", "use save_head, whose files are larger"
        )
    return text


def _digest(tree: TensorTree) -> str:
    texts = json.dumps(tree.json, sort_keys=True).encode()
    ordered = {name: tree.tensors[name] for name in sorted(tree.tensors)}
    return hashlib.sha256(tensor_digest(ordered).encode() + texts).hexdigest()


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors file, which are not larger than the file."""
    path = existing_file("path", path)
    try:
        with safe_open(path, "pt") as file:
            # copies, since the tensors of an open file are its memory map
            return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118, not a dict
    except Exception as error:  # a damaged file
        raise InputError("path", "a safetensors file", f"{path} ({first_line(error)})") from error
