"""The checkpoint that the folder of a run stands for."""

from pathlib import Path

from mlgcn_pyg.checks import check_path
from mlgcn_pyg.errors import InputError

RECOMMENDED, NETWORK = "recommended.pt", "last.pt"  # of train-head, and of train


def checkpoint_file(path: str | Path) -> Path:
    """Returns the checkpoint that a path names: a file, or that of a folder, see :func:`checkpoints_in`.

    Raises:
        InputError: if a folder has no checkpoint, or several heads of which none is recommended.
    """
    path = check_path("path", path)
    if not path.is_dir():
        return path
    files = checkpoints_in(path)
    if len(files) != 1:
        fix = f"choose one of {', '.join(file.name for file in files)}" if files else ""
        raise InputError("path", "one checkpoint", f"{len(files) or 'none'} in the folder {path}", fix)
    return files[0]


def checkpoints_in(folder: Path) -> list[Path]:
    """Returns the checkpoint of a folder: the last network of ``train``, or the recommended head of ``train-head``.

    Without a recommended head, returns all heads in the folder.
    """
    for name in (NETWORK, RECOMMENDED):
        if (folder / name).is_file():
            return [folder / name]
    return sorted(folder.glob("*-seed*.pt"))
