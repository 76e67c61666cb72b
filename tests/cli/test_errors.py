"""Errors on the command line: arguments become options, with ``--json`` as JSON too, always on one line."""

import json

import pytest
import typer
from rich.table import Table
from typer.testing import CliRunner

from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.errors import OPTION_NAMES, Command, CommandOptions, failure_text, options_of
from mlgcn_pyg.cli.json_output import print_json
from mlgcn_pyg.cli.main import app
from mlgcn_pyg.cli.processes import print_error
from mlgcn_pyg.errors import Argument, InputError


class ArrayMemoryError(MemoryError):
    """As NumPy has it."""


def command(name):
    """The Click command ``name`` of ``mlgcn``, a subcommand of a group too."""
    root = typer.main.get_command(app)
    groups = [root, root.commands["cache"], root.commands["data"]]
    return next(group.commands[name] for group in groups if name in group.commands)


def options(name):
    parameters = {parameter.name: parameter for parameter in command(name).params}
    return CommandOptions(parameters, OPTION_NAMES.get(name, {}))


@pytest.mark.parametrize(
    "name, argument, text",
    [
        ("graph", Argument("tau"), "--tau"),
        ("graph", Argument("path"), "--out"),
        ("graph", Argument("image_column", "file"), "--image-column file"),
        ("graph", Argument("aliases", {"tvmonitor": "tv monitor"}), "--alias 'tvmonitor=tv monitor'"),
        ("graph", Argument("format", "npy"), "--embeddings-format npy"),
        ("embed", Argument("oov", "zero"), "--oov zero"),
        ("extract", Argument("overwrite", True), "--overwrite"),
        ("extract", Argument("on_error", "skip"), "--on-error skip"),
        ("extract", Argument("batch_size"), "--batch-size"),
        ("train-head", Argument("folder"), "--out"),
        ("train-head", Argument("stream", False), "--no-stream"),
        ("train-head", Argument("hidden_channels", (512, 256)), "--hidden 512,256"),
        ("train", Argument("folder"), "--out"),
        ("inspect", Argument("decode", False), "--no-decode"),
        ("info", Argument("path"), "FILE"),
        ("predict", Argument("images"), "IMAGES"),
        ("thresholds", Argument("overwrite", True), "overwrite=True"),  # not an option of this command
        ("export", Argument("kernel"), "kernel"),
    ],
)
def test_arguments_are_written_as_the_options_of_the_command(name, argument, text):
    assert options(name).show(argument) == text


def test_every_renamed_argument_is_a_parameter_of_its_command():
    for name, names in OPTION_NAMES.items():
        parameters = {parameter.name for parameter in command(name).params}
        assert set(names.values()) <= parameters, name


def test_every_command_reports_errors_on_one_line():
    root = typer.main.get_command(app)
    for group in (root, root.commands["cache"], root.commands["data"]):
        for name, subcommand in group.commands.items():
            assert isinstance(subcommand, Command) or name in ("cache", "data")


def failing(error):
    """An application whose only command raises ``error``."""
    fails = typer.Typer()

    @fails.command(cls=Command)
    def fail(overwrite: bool = False, num_workers: int = 0, json: bool = False) -> None:
        raise error

    return fails


def test_json_holds_the_fields_with_options():
    fix = ["remove it or pass ", Argument("overwrite", True)]
    error = InputError("num_workers", "a\nnumber", "\x1b[1mfour", fix)
    result = CliRunner().invoke(failing(error), ["--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "error": "--num-workers: expected a number, found \\x1b[1mfour; remove it or pass --overwrite",
        "argument": "--num-workers",
        "expected": "a number",
        "found": "\\x1b[1mfour",
        "fix": "remove it or pass --overwrite",
    }
    text = "--num-workers: expected a number, found \\x1b[1mfour; remove it or pass --overwrite"
    assert result.stderr == f"mlgcn: error: {text}\n"
    assert CliRunner().invoke(failing(error), []).stdout == ""


@pytest.mark.parametrize("error", [OSError(28, "No space\nleft", "a\x1bb"), RuntimeError("CUDA out of memory. 2 GiB")])
def test_other_errors_are_one_line_and_json_without_fields(error):
    result = CliRunner().invoke(failing(error), ["--json"])
    report = json.loads(result.stdout)
    assert result.exit_code == 2 and list(report) == ["error"]
    assert result.stderr == f"mlgcn: error: {report['error']}\n" and result.stderr[:-1].isprintable()


def test_defects_are_not_hidden():
    assert isinstance(CliRunner().invoke(failing(RuntimeError("a defect")), []).exception, RuntimeError)
    assert isinstance(CliRunner().invoke(failing(KeyError("name")), []).exception, KeyError)


def test_wrong_options_are_json_too():
    result = CliRunner().invoke(app, ["cache", "info", "--json"])
    assert result.exit_code == 2 and "FILE" in json.loads(result.stdout)["error"]
    assert result.stderr == f"mlgcn: error: {json.loads(result.stdout)['error']}\n"


@pytest.mark.parametrize(
    "name, message, report",
    [
        (
            "extract",
            "DataLoader worker (pid(s) 7) exited unexpectedly",
            "; if memory ran out, reduce --num-workers or reduce --batch-size",
        ),
        ("train", "CUDA out of memory. Tried to allocate 2 GiB", "; reduce --batch-size or increase --accumulate"),
        ("extract", "CUDA out of memory. Tried to allocate 2 GiB", "; reduce --batch-size"),
        ("evaluate", "CUDA out of memory. Tried to allocate 2 GiB", "2 GiB"),  # nothing can be reduced
        (
            "train",
            "[gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:24486",
            "another process of this run has ended",
        ),
    ],
)
def test_failures_of_torch_come_with_options_of_the_command(name, message, report):
    assert failure_text(RuntimeError(message), options(name)).endswith(report)
    assert failure_text(RuntimeError("mat1 and mat2 shapes cannot be multiplied"), options(name)) is None


def test_options_of_reads_the_running_command():
    shown = []
    run = typer.Typer()

    @run.command(cls=Command)
    def show(context: typer.Context, batch_size: int = 1) -> None:
        shown.append(options_of(context).show(Argument("batch_size", 4)))

    CliRunner().invoke(run, [])
    assert shown == ["--batch-size 4"]


def test_the_earlier_use_of_json_in_evaluate_is_explained(tmp_path):
    for name in ("a.pt", "a.h5"):
        (tmp_path / name).touch()
    words = ["evaluate", "--checkpoint", f"{tmp_path}/a.pt", "--cache", f"{tmp_path}/a.h5", "--json", "e.json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    text = "--json: expected no value, found e.json; write the metrics to a file with --out e.json"
    assert result.stderr == f"mlgcn: error: {text}\n"


@pytest.mark.parametrize(
    "error, text",
    [
        (MemoryError(), "out of memory (MemoryError)"),
        (
            ArrayMemoryError("Unable to allocate 8.00 TiB"),
            "out of memory (ArrayMemoryError: Unable to allocate 8.00 TiB)",
        ),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory (Runtime"),
        (RuntimeError("can't start new thread"), "can't start new thread; reduce --num-workers"),
    ],
)
def test_too_little_memory_is_one_line(error, text):
    result = CliRunner().invoke(failing(error), [])
    assert result.exit_code == 2 and text in result.stderr and result.stderr.count("\n") == 1


def test_lines_are_clean_and_short_whatever_names_hold(capsys):
    hostile = "\x1b]0;OWNED\x07\x9b2J\x7f\u202e"
    console.note(f"Warning: {hostile}" + "x" * 10_000)
    console.say(f"a [b] {hostile}\nsecond")
    table = Table(hostile, title=hostile)
    table.add_row(hostile)
    console.show_table(table)
    with console.status(hostile):
        pass
    with console.progress_bar(hostile, 2) as update:
        update(1, hostile)
    print_error(hostile * 1000)
    print_json({"error": hostile})
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert not {"\x07", "\x9b", "\x7f", "\u202e"} & set(text) and "OWNED" in text and "]0;" in text
    assert "\x1b" not in shown.out and "a [b] " in shown.out and "\nsecond" in shown.out
    assert max(map(len, shown.err.splitlines())) < 2100 and len(shown.err) < 6000
    assert json.loads(shown.out[shown.out.index("{") :]) == {"error": hostile}
