"""Opens input files of commands. Errors name the option of the file."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.outputs import check_inputs
from mlgcn_pyg.errors import renamed_arguments
from mlgcn_pyg.files import runs

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
    """Returns the checkpoint that a path names (:func:`mlgcn_pyg.files.runs.checkpoint_file`), and notes a choice."""
    with renamed_arguments(path="checkpoint"):
        file = runs.checkpoint_file(path)
    if file != path:
        check_inputs([file], "checkpoint")
        console.note(f"Using {file}")
    return file


def short_names(files: Mapping[str, object]) -> dict[str, str]:
    """Returns the name of each file without folder and ending; the files as they are if two of these names are equal.

    >>> short_names({"runs/mlgcn-seed0.pt": 0}), short_names({"a/best.pt": 0, "b/best.pt": 0})
    ({'runs/mlgcn-seed0.pt': 'mlgcn-seed0'}, {'a/best.pt': 'a/best.pt', 'b/best.pt': 'b/best.pt'})
    """
    stems = {name: Path(name).stem for name in files}
    return stems if len(set(stems.values())) == len(stems) else {name: name for name in files}
