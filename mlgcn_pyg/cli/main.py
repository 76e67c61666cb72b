"""The command ``mlgcn``. Each of its commands is defined in a separate file."""

import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from mlgcn_pyg._version import __version__
from mlgcn_pyg.cli import cache, console, data
from mlgcn_pyg.cli.calibrate import calibrate
from mlgcn_pyg.cli.check_labels import check_labels
from mlgcn_pyg.cli.classifiers import classifiers
from mlgcn_pyg.cli.demo import demo
from mlgcn_pyg.cli.embed import embed
from mlgcn_pyg.cli.errors import Command
from mlgcn_pyg.cli.evaluate import evaluate
from mlgcn_pyg.cli.explain import explain
from mlgcn_pyg.cli.export import export
from mlgcn_pyg.cli.extract import extract
from mlgcn_pyg.cli.graph import graph
from mlgcn_pyg.cli.import_released import import_released
from mlgcn_pyg.cli.json_output import print_json
from mlgcn_pyg.cli.predict import predict
from mlgcn_pyg.cli.processes import print_error, print_once
from mlgcn_pyg.cli.push import push
from mlgcn_pyg.cli.report import report
from mlgcn_pyg.cli.retrieve import retrieve
from mlgcn_pyg.cli.split import split
from mlgcn_pyg.cli.streams import flush_output, obey_signals
from mlgcn_pyg.cli.study import study
from mlgcn_pyg.cli.thresholds import thresholds
from mlgcn_pyg.cli.train import train
from mlgcn_pyg.cli.train_head import train_head
from mlgcn_pyg.errors import printable_line

# PyG uses TorchScript, which newer versions of torch deprecate. Users of the command line cannot act on the warning.
warnings.filterwarnings("ignore", message=".*torch.jit.script.*")


class OneLineErrors(TyperGroup):
    """Reports usage errors on one line, as commands report invalid input."""

    def main(self, args: Sequence[str] | None = None, *positional: Any, **settings: Any) -> NoReturn:
        if args is None:  # a program, not a test that calls it
            obey_signals()
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")  # escape what the terminal cannot encode
        try:
            with console.warnings_as_notes():
                code = super().main(args, *positional, **(settings | {"standalone_mode": False}))
        except typer.Abort:
            code = 130
        except OSError as error:  # of --help and --version; commands handle their own
            print_error(str(error))
            code = 2
        except Exception as error:  # exceptions of click, which typer bundles or imports, depending on its version
            if not hasattr(error, "format_message"):
                raise
            code = _usage_error(error.format_message(), sys.argv[1:] if args is None else args)
        if code == 130:  # Ctrl-C: some versions of typer return this code, others raise Abort
            typer.echo("mlgcn: interrupted", err=True)
        sys.exit(_flushed(code if isinstance(code, int) else 0))


def _flushed(code: int) -> int:
    """Flushes standard output and returns the exit code of the program."""
    try:
        flushed = flush_output()
    except OSError as error:
        if not code:
            print_error(str(error))
        return code or 2
    return code or flushed


def _usage_error(message: str, args: Sequence[str]) -> int:
    text = printable_line(message)
    if print_once(text) and "--json" in args:
        print_json({"error": text})
    return 2


app = typer.Typer(
    help="Multi-label image recognition with graph convolutional networks (ML-GCN).",
    cls=OneLineErrors,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for command in (
    demo, graph, embed, import_released, extract, check_labels, train_head, study, train, evaluate, report, classifiers,
    retrieve, calibrate, thresholds, predict, explain, export, push,
):  # fmt: skip
    app.command(name=command.__name__.replace("_", "-"), cls=Command)(command)


def _show_help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _add_group(name: str, help: str, commands: Sequence[Any]) -> None:
    group = typer.Typer(help=help)
    for command in commands:
        group.command(name=command.__name__, cls=Command)(command)
    group.callback(invoke_without_command=True)(_show_help)
    app.add_typer(group, name=name)


_add_group("cache", "Inspect, verify and repair feature files.", (cache.info, cache.verify, cache.repair, cache.head))
_add_group("data", "Fetch, verify, inspect and split data sets.", (data.voc2007, data.coco2014, data.inspect, split))


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"mlgcn_pyg {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    _show_help(context)
