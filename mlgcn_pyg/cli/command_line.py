"""The command that is running, for the record in its results."""

import shlex
import sys
from pathlib import Path


def running_command() -> list[str]:
    """Returns the running command; nothing if a program called a function of the command line."""
    program = Path(sys.argv[0])
    runs = program.name == "mlgcn" or program.parent.name == "mlgcn_pyg"
    return [shlex.join(["mlgcn", *sys.argv[1:]])] if runs else []
