"""``mlgcn``: one file per command."""

import warnings
from typing import Annotated

import typer

from mlgcn_pyg._version import __version__
from mlgcn_pyg.cli.common import clean_errors
from mlgcn_pyg.cli.demo import demo
from mlgcn_pyg.cli.evaluate import evaluate
from mlgcn_pyg.cli.extract import extract
from mlgcn_pyg.cli.graph import graph
from mlgcn_pyg.cli.train_head import train_head

# PyG scripts some functions; that newer torch versions find this outdated is no news for who runs a command
warnings.filterwarnings("ignore", message=".*torch.jit.script.*")

app = typer.Typer(
    help="Multi-label image recognition with graph convolutional networks (ML-GCN).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (demo, graph, extract, train_head, evaluate):
    app.command(name=command.__name__.replace("_", "-"))(clean_errors(command))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mlgcn_pyg {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
