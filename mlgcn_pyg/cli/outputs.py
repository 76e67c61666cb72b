"""Checks of output paths, which run before any computation."""

from pathlib import Path

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files import check_file_name


def make_folder(argument: str, path: Path) -> None:
    """Creates the folder for results."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(argument, "a folder that can be written", f"{path} ({error.strerror})") from error


def check_output(
    argument: str, path: Path, *inputs: Path | None, inputs_are: str = "the input files", loss: str = "its content"
) -> None:
    """Checks that ``path`` is a valid output file and is not one of the input files.

    Args:
        argument: the name of the argument, for the error message.
        path: the output file.
        inputs: the input files.
        inputs_are: description of the input files, for the error message.
        loss: description of what would be lost, for the error message.

    Raises:
        InputError: if ``path`` is a folder or one of ``inputs``.
    """
    check_file_name(argument, path)
    if path.exists() and any(file is not None and file.exists() and path.samefile(file) for file in inputs):
        raise InputError(argument, f"a different file than {inputs_are}", path, f"{loss} would be lost")
