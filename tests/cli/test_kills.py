"""Killed commands, run again, write the same and leave no file; see :mod:`tests.cli.kill_commands`."""

import os

from tests.cli.kill_commands import COMMANDS, main


def test_killed_commands_write_the_same_when_run_again():
    """Two commands and two kills in the suite; all commands if ``MLGCN_KILLS`` asks for more."""
    kills = int(os.environ.get("MLGCN_KILLS", 2))
    assert main(kills, ("graph", "embed") if kills == 2 else tuple(COMMANDS)) == kills
