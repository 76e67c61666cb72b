"""``mlgcn``: one file per command."""

import sys
import warnings
from typing import Annotated

import typer
from typer.core import TyperGroup

from mlgcn_pyg._version import __version__
from mlgcn_pyg.cli.cache import cache
from mlgcn_pyg.cli.common import clean_errors
from mlgcn_pyg.cli.data import coco2014, inspect, voc2007
from mlgcn_pyg.cli.demo import demo
from mlgcn_pyg.cli.embed import embed
from mlgcn_pyg.cli.endings import refuse
from mlgcn_pyg.cli.evaluate import evaluate
from mlgcn_pyg.cli.export import export
from mlgcn_pyg.cli.extract import extract
from mlgcn_pyg.cli.graph import graph
from mlgcn_pyg.cli.import_released import import_released
from mlgcn_pyg.cli.predict import predict
from mlgcn_pyg.cli.thresholds import thresholds
from mlgcn_pyg.cli.train import train
from mlgcn_pyg.cli.train_head import train_head

# PyG scripts some functions; that newer torch versions find this outdated is no news for who runs a command
warnings.filterwarnings("ignore", message=".*torch.jit.script.*")


class OneLineErrors(TyperGroup):
    """Says what is wrong with an option in one line, as every other refusal is said."""

    def main(self, *args, standalone_mode: bool = True, **extra):
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")  # what the terminal cannot write is escaped
        try:
            code = super().main(*args, standalone_mode=False, **extra)
        except typer.Abort:
            code = 130
        except Exception as error:
            if not hasattr(error, "format_message"):
                raise
            refuse(error.format_message())
            code = 2
        if code == 130:  # Ctrl-C, which some versions of typer return and some raise
            typer.echo("mlgcn: stopped", err=True)
        sys.exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    help="Multi-label image recognition with graph convolutional networks (ML-GCN).",
    cls=OneLineErrors,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    demo, graph, embed, import_released, extract, train_head, train, evaluate, thresholds, predict, export,
):  # fmt: skip
    app.command(name=command.__name__.replace("_", "-"))(clean_errors(command))
app.add_typer(cache, name="cache")
data = typer.Typer(help="Data sets: fetch and verify published ones, inspect any.")
for command in (voc2007, coco2014, inspect):
    data.command(name=command.__name__)(clean_errors(command))
app.add_typer(data, name="data")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mlgcn_pyg {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    _show_help(context)


@data.callback(invoke_without_command=True)
def _show_help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
