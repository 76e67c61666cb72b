"""Help pages, the version, groups without a command, and shell completion; none of them loads torch."""

import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from mlgcn_pyg import __version__
from mlgcn_pyg.cli.main import app

ROOT = typer.main.get_command(app)
GROUPS = ("cache", "data")
COMMANDS = [
    (),
    *((name,) for name in ROOT.commands),
    *((group, name) for group in GROUPS for name in ROOT.commands[group].commands),
]


def output(*words, width=80):
    result = CliRunner().invoke(app, words, env={"COLUMNS": str(width), "TERMINAL_WIDTH": str(width)})
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_h_is_help_and_fits_the_terminal(words):
    page = output(*words, "-h")
    assert page == output(*words, "--help") and "Usage: " in page
    assert max(map(len, page.splitlines())) <= 80


@pytest.mark.parametrize("words", [(), ("cache",), ("data",)])
def test_a_group_without_a_command_shows_its_help(words):
    assert output(*words).strip() == output(*words, "-h").strip()


def panels(*words):
    lines = output(*words, "-h").splitlines()
    return [line.strip("╭╮─ ") for line in lines if line.startswith("╭")]


def test_options_are_grouped():
    assert panels("train") == ["Options", "Data", "Model", "Training", "Output"]
    assert panels("train-head") == [
        "Options", "Data", "Model", "Linear and sharing heads", "Training", "Computation", "Output",
    ]  # fmt: skip
    assert panels("extract") == ["Options", "Data", "Model", "Computation", "Output"]
    for words in COMMANDS:
        if len(words) == 1 and words[0] not in GROUPS:
            assert set(panels(*words)) <= {
                "Arguments", "Options", "Data", "Model", "Linear and sharing heads", "Training", "Computation",
                "Output",
            }  # fmt: skip


def test_every_option_has_help():
    def parameters(command):
        yield from command.params
        for subcommand in getattr(command, "commands", {}).values():
            yield from parameters(subcommand)

    for parameter in parameters(ROOT):
        assert parameter.help or parameter.hidden, parameter.name


def test_the_version():
    assert output("--version") == f"mlgcn_pyg {__version__}\n"


def complete(line):
    """What a shell offers after ``line``, and the modules that were loaded for it."""
    words = line.split(" ")
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from mlgcn_pyg.cli.main import app\n"
        "app(prog_name='mlgcn')"
    )
    env = {"_MLGCN_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr.split()


@pytest.mark.parametrize(
    "line, offered",
    [
        ("mlgcn tra", {"train", "train-head"}),
        ("mlgcn cache v", {"verify"}),
        ("mlgcn train --sch", {"--schedule"}),
        ("mlgcn train --schedule ", {"step", "cosine", "one_cycle"}),
        ("mlgcn train-head --precision ", {"float32", "tf32", "bf16"}),
        ("mlgcn graph --dataset v", {"voc2007"}),
    ],
)
def test_shells_complete_commands_options_and_values(line, offered):
    found, modules = complete(line)
    assert set(found) == offered
    assert "torch" not in modules and "mlgcn_pyg.cli.main" in modules


def test_completion_can_be_installed():
    page = output("-h")
    assert "--install-completion" in page and "--show-completion" in page


@pytest.mark.parametrize("words", [["--help"], ["train", "-h"], ["cache"], ["evaluate", "--no-such-option"]])
def test_help_and_wrong_options_load_no_torch(words):
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\n"
        "from mlgcn_pyg.cli.main import app\n"
        f"app({words!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.split()[-1] == "False", done.stderr
