"""The paths that a command is given, prepared before it runs: ``~`` expanded, inputs and outputs checked."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

from mlgcn_pyg.cli.embedding_options import SENTENCE
from mlgcn_pyg.cli.outputs import OUTPUTS, check_inputs, check_outputs
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.hub import is_hub_name
from mlgcn_pyg.files.regular import existing_file

# parameters that are text, since they may be a path or something else: a name of weights or of a sentence encoder, a
# pattern of several files
MAYBE_PATHS = {"weights", "path", "embeddings"}
WEIGHTS = (".pth", ".pt", ".safetensors")  # endings of weights that are files, and no names
FOLDERS = {"root", "run", "study"}  # parameters that are folders
CREATED = {("voc2007", "root"), ("coco2014", "root")}  # inputs that --download creates


def prepare_paths(command: Any, values: dict[str, Any]) -> None:
    """Expands ``~`` in the paths of a command, and checks the files.

    Args:
        command: the command, as Click has it.
        values: the values of its parameters, which are changed in place.

    Raises:
        InputError: if an input does not exist, an output would replace an input, or the name of an output is not valid.
    """
    inputs: dict[str, list[str]] = {}
    outputs = OUTPUTS.get(command.name, {})
    written: dict[str, Path] = {}
    for name, annotation in get_type_hints(command.callback).items():
        value = values.get(name)
        if not value or not (name in MAYBE_PATHS or _is_path(annotation)):
            continue
        several = isinstance(value, list | tuple)
        paths = [_expanded(name, path) for path in (value if several else [value])]
        kind = type(value[0] if several else value)
        values[name] = [*map(kind, paths)] if several else kind(paths[0])
        if name in outputs:
            written[name] = Path(paths[0])
        else:
            inputs[name] = paths
    check_outputs(outputs, written)
    for name, paths in inputs.items():
        check_inputs((file for path in paths for file in _files(path)), name)
    for name, output in outputs.items():
        if name in written:
            output.check_ending(name, written[name])
    for name, paths in inputs.items():
        if (command.name, name) not in CREATED:
            for path in paths:
                if not _is_name(name, path):
                    _check_exists(name, path)


def _is_name(name: str, path: str) -> bool:
    """Whether a value names weights or a sentence encoder, and no file."""
    return path.startswith(SENTENCE) if name == "embeddings" else name == "weights" and not path.endswith(WEIGHTS)


def _is_path(annotation: Any) -> bool:
    """Whether a parameter is a path, or several."""
    return annotation is Path or any(map(_is_path, get_args(annotation)))


def _expanded(name: str, path: str | os.PathLike[str]) -> str:
    """Returns a path with the home folder in place of ``~``, which shells expand at the start of a word only."""
    expanded = os.path.expanduser(path)
    if expanded.startswith(SENTENCE):
        return SENTENCE + _expanded(name, expanded.removeprefix(SENTENCE))
    first, *more = Path(expanded).parts or ("",)
    if first.startswith("~") and more and not os.path.exists(first):
        fix = "create the folder if it is meant"
        raise InputError(name, "a path", f"{expanded}, in the home folder of a user who does not exist", fix)
    return expanded


def _files(path: str) -> Iterator[str]:
    """The files that a path or a pattern names."""
    return iter([path] if os.path.exists(path) else glob.glob(path))


def _check_exists(name: str, path: str) -> None:
    if name == "checkpoint" and is_hub_name(path):
        return
    if name == "images":
        if not os.path.exists(path):
            raise InputError(name, "files and folders that exist", f"nothing at {path}")
    elif name in FOLDERS:
        if not os.path.isdir(path):
            found = f"the file {path}" if os.path.isfile(path) else f"no folder {path}"
            raise InputError(name, "a folder that exists", found)
    elif not os.path.isdir(path) and not glob.has_magic(path):
        existing_file(name, path)
