"""``mlgcn report``: writes one HTML file about a run, which opens in any browser without a network."""

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.command_line import running_command
from mlgcn_pyg.cli.inputs import open_cache
from mlgcn_pyg.cli.options import DATA, OUTPUT, option
from mlgcn_pyg.cli.values import pick_device
from mlgcn_pyg.cli.verdict import backbone_options
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.runs import NETWORK, RECOMMENDED

if TYPE_CHECKING:  # this loads torch
    from mlgcn_pyg.features import FeatureCache

PAGE = "report.html"


def report(
    run: Annotated[
        Path, typer.Argument(help="A folder of mlgcn train-head, train or study.", show_default=False, metavar="RUN")
    ],
    cache: Annotated[
        Path | None,
        option("Feature file that the results are reported on; for a folder of train, made with its last.pt.", DATA,
               show_default="the --test or --val of train-head, where it was"),
    ] = None,
    train: Annotated[
        Path | None,
        option("Feature file of the training images, for edges of the label graph below its τ.", DATA,
               show_default="that of train-head, if it is where it was"),
    ] = None,
    study: Annotated[Path | None, option("Folder of mlgcn study, whose results are shown, too.", DATA)] = None,
    root: Annotated[
        Path | None,
        option("Folder of the photographs, as for mlgcn extract, for thumbnails.", DATA, show_default="no thumbnails"),
    ] = None,
    out: Annotated[
        Path | None, option("The page (.html).", OUTPUT, show_default=f"{PAGE} in RUN")
    ] = None,
    device: options.Device = "auto",
) -> None:  # fmt: skip
    """Write a page about a run: verdict, metrics, curves, label graph, mistakes and suspicious labels.

    The page is one HTML file. It requests nothing from a network, and can be sent to others. Pictures that are named
    classifiers.png and retrieval.png (mlgcn classifiers, mlgcn retrieve) in RUN or --study are shown, too.
    """
    if not (run / "study.json").is_file():  # the page of a study has no curves
        check_plotly()
    given = {name: open_cache(path, name) for name, path in (("cache", cache), ("train", train)) if path is not None}
    page = write_report(run, out, **given, study=study, root=root, device=pick_device(device))
    console.say(f"Wrote {page} ({page.stat().st_size / 1e6:.1f} MB). Open it in a browser.")
    for line in next_commands(run, root):
        console.say(line)


def check_plotly(argument: str = "plotly") -> None:
    """Raises an InputError about an argument without plotly, before a long computation that ends in a report."""
    if find_spec("plotly") is None:
        raise InputError(argument, "plotly (extra 'report')", "no plotly", 'pip install "mlgcn_pyg[report]"')


def write_report(
    run: Path,
    out: Path | None = None,
    *,
    cache: "FeatureCache | None" = None,
    train: "FeatureCache | None" = None,
    **settings: Any,
) -> Path:
    """Writes the page about a run under a progress bar and returns its path."""
    from mlgcn_pyg.run_report import write_run_report

    with console.progress_bar("report", 100) as update:

        def show(done: int, total: int, what: str) -> None:
            update(100 * done // total, what)

        return write_run_report(
            run, out, cache=cache, train=train, commands=running_command(), progress=show, **settings
        )


def next_commands(run: Path, root: Path | None) -> list[str]:
    """Returns what a reader of the page may do next."""
    folder = shlex.quote(str(run))
    lines = [] if root else [f"With thumbnails of the photographs: mlgcn report {folder} --root PHOTOS"]
    if (run / NETWORK).is_file():
        return [*lines, f"Next: mlgcn explain PHOTO --checkpoint {folder}"]
    if (run / RECOMMENDED).is_file():
        options = backbone_options(_recorded(run / RECOMMENDED))
        return [*lines, f"Next: mlgcn explain PHOTO --checkpoint {folder}{options}"]
    return []


def _recorded(path: Path) -> dict[str, Any]:
    """Returns what the checkpoint of a head records about its features; nothing if it cannot be read."""
    from mlgcn_pyg.checkpoints import load_checkpoint

    try:
        return load_checkpoint(path).provenance
    except InputError:
        return {}
