"""Opens input files of commands. Errors name the option of the file."""

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.outputs import check_inputs
from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.files import runs
from mlgcn_pyg.files.hub import is_hub_name

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.checkpoints import Checkpoint
    from mlgcn_pyg.datasets.base import LabeledImages
    from mlgcn_pyg.features import FeatureCache
    from mlgcn_pyg.graph import LabelGraph


def open_graph(path: Path, option: str = "graph") -> "LabelGraph":
    from mlgcn_pyg.graph import LabelGraph

    with renamed_arguments(path=option, graph=option):
        return LabelGraph.load(path)


def open_cache(path: Path, option: str = "cache") -> "FeatureCache":
    from mlgcn_pyg.features import FeatureCache

    with renamed_arguments(path=option, cache=option):
        return FeatureCache(path)


def open_checkpoint(path: Path, option: str = "checkpoint") -> "Checkpoint":
    from mlgcn_pyg.checkpoints import load_checkpoint

    with renamed_arguments(path=option, checkpoint=option):
        return load_checkpoint(path)


def check_dataset(data: "LabeledImages", root: Path) -> None:
    """Checks that no result of the command would replace an image or an annotation file of a data set."""
    annotations = ("annotations/*.json", "VOCdevkit/*/ImageSets/Main/*.txt", "VOCdevkit/*/Annotations/*.xml")
    check_inputs(chain(data.image_paths, *map(root.glob, annotations)), "root")


def checkpoint_file(path: Path) -> Path:
    """Returns the checkpoint that a path stands for (:func:`mlgcn_pyg.files.runs.checkpoint_file`), and notes it."""
    with renamed_arguments(path="checkpoint"):
        file = runs.checkpoint_file(path)
    check_inputs(runs.files_of(file), "checkpoint")
    if file != path:
        console.note(f"Using {file}")
    return file


def checkpoint_files(paths: Iterable[Path]) -> dict[str, Path]:
    """Returns the checkpoints that paths stand for, each once, by the names that results show.

    Raises:
        InputError: if there is none, but a path.
    """
    paths, found = list(paths), dict[str, Path]()
    with renamed_arguments(path="checkpoint"):
        for path in paths:
            files = runs.checkpoint_files(path)
            found |= {path.as_posix(): files[0]} if is_hub_name(path) else {str(file): file for file in files}
    if paths and not found:
        missing = f"none in {', '.join(map(str, paths))}"
        raise InputError("checkpoint", "at least one head (*-seed*.pt in a folder)", missing)
    check_inputs((one for file in found.values() for one in runs.files_of(file)), "checkpoint")
    return found


def short_names(files: Mapping[str, object]) -> dict[str, str]:
    """Returns the name of each file without folder and ending; the files as they are if two of these names are equal.

    >>> short_names({"runs/mlgcn-seed0.pt": 0}), short_names({"a/best.pt": 0, "b/best.pt": 0})
    ({'runs/mlgcn-seed0.pt': 'mlgcn-seed0'}, {'a/best.pt': 'a/best.pt', 'b/best.pt': 'b/best.pt'})
    """
    stems = {name: Path(name).name if is_hub_name(name) else Path(name).stem for name in files}
    return stems if len(set(stems.values())) == len(stems) else {name: name for name in files}
