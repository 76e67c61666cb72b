"""The checkpoints that a path stands for: a file, a folder of a run, a saved model, or a model on the hub."""

from pathlib import Path

from mlgcn_pyg.checks import check_path
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.hub import hub_folder, is_hub_name
from mlgcn_pyg.files.pretrained import CONFIG, WEIGHTS, is_pretrained

RECOMMENDED, NETWORK = "recommended.pt", "last.pt"  # of train-head, and of train


def checkpoint_file(path: str | Path) -> Path:
    """Returns the one checkpoint that a path stands for; see :func:`checkpoint_files`.

    Raises:
        InputError: if a folder has no checkpoint, or several heads of which none is recommended.
    """
    files = checkpoint_files(path)
    if len(files) != 1:
        fix = f"choose one of {', '.join(file.name for file in files)}" if files else ""
        raise InputError("path", "one checkpoint", f"{len(files) or 'none'} in the folder {path}", fix)
    return files[0]


def checkpoint_files(path: str | Path) -> list[Path]:
    """Returns the checkpoints that a path stands for, each a file or the folder of a saved model.

    Args:
        path: a file, a folder (:func:`checkpoints_in`), or ``hub:OWNER/NAME``, which is downloaded.

    Raises:
        InputError: if a model on the hub cannot be read.
    """
    path = check_path("path", path)
    if is_hub_name(path):
        return [hub_folder(path)]
    return checkpoints_in(path) if path.is_dir() else [path]


def checkpoints_in(folder: Path) -> list[Path]:
    """Returns the checkpoint of a folder.

    That is the last network of ``train``, the recommended head of ``train-head``, or the folder itself if
    ``save_pretrained`` wrote it. Without a recommended head, returns all heads in the folder.
    """
    for name in (NETWORK, RECOMMENDED):
        if (folder / name).is_file():
            return [folder / name]
    return [folder] if is_pretrained(folder) else sorted(folder.glob("*-seed*.pt"))


def files_of(checkpoint: Path) -> list[Path]:
    """Returns the files that a checkpoint is read from."""
    return [checkpoint / CONFIG, checkpoint / WEIGHTS] if checkpoint.is_dir() else [checkpoint]
