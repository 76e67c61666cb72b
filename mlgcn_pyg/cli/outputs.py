"""Where results go: checked before any work is done."""

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
    argument: str, path: Path, *inputs: Path | None, inputs_are: str = "those that are read", loss: str = "its content"
) -> None:
    """Checks that ``path`` can be the name of a result and is not a file that is read for it.

    Args:
        argument: the option of the result.
        path: the result.
        inputs: the files that are read.
        inputs_are: what the files are, for the error.
        loss: what would be lost, for the error.

    Raises:
        InputError: if ``path`` is a folder or one of ``inputs``.
    """
    check_file_name(argument, path)
    if path.exists() and any(file is not None and file.exists() and path.samefile(file) for file in inputs):
        raise InputError(argument, f"a different file than {inputs_are}", path, f"{loss} would be lost")
