"""``mlgcn check-labels``: lists labels of a feature file that are probably wrong."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich import box
from rich.table import Table

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.fit_progress import FitProgress
from mlgcn_pyg.cli.inputs import open_cache, open_graph
from mlgcn_pyg.cli.json_output import print_json
from mlgcn_pyg.cli.options import COMPUTATION, DATA, MODEL, OUTPUT, choice, option
from mlgcn_pyg.cli.values import pick_device
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.atomic import write_text

if TYPE_CHECKING:  # this is slow to import
    import pandas as pd

    from mlgcn_pyg.features import FeatureCache
    from mlgcn_pyg.graph import LabelGraph

HEADS = ("linear", "sharing")
GIVEN = ("known", "present", "absent", "unknown")
SHOWN = 20  # rows on the terminal if all are written to a file


def check_labels(
    cache: Annotated[Path, option("Feature file of the images and labels to check.", DATA)],
    graph: Annotated[
        Path | None,
        option("Label graph (.pt): a label is also judged by the other labels of the image that an edge connects with "
               "it.", DATA, show_default="mined from --cache: all pairs of up to 100 labels, else those with P ≥ 0.1"),
    ] = None,
    no_graph: Annotated[bool, option("Judge by the features alone.", DATA, "--no-graph")] = False,
    head: Annotated[
        str, choice("Heads that judge: linear, or sharing (linear heads that labels share).", MODEL, HEADS)
    ] = "linear",
    folds: Annotated[
        int, option("Parts of the images, each of which is judged by heads of the others.", COMPUTATION)
    ] = 5,
    seed: Annotated[int, option("Seed of the parts.", COMPUTATION)] = 0,
    top: Annotated[int, option("Number of labels to list.", OUTPUT)] = 50,
    given: Annotated[
        str,
        choice("Labels to list: known, present (possibly wrong), absent (possibly missing), or unknown (the most "
               "certain first).", OUTPUT, GIVEN),
    ] = "known",
    out: Annotated[Path | None, option("Write the list to this file (.csv).", OUTPUT)] = None,
    json: options.Json = False,
    device: options.Device = "auto",
) -> None:  # fmt: skip
    """List the labels that are probably wrong, the most suspicious first.

    Heads are fitted to all images but one part, and judge the labels of this part. No file is changed.
    """
    check_positive("top", top)
    if check_positive("folds", folds) < 2:
        raise InputError("folds", "an integer ≥ 2", folds)
    if graph is not None and no_graph:
        raise InputError("no_graph", "no --graph", graph)
    from mlgcn_pyg.experiments import audit_labels

    features = open_cache(cache)
    neighbours = _neighbours(features, graph, no_graph)
    with FitProgress({}, 1, folds) as progress:
        found = audit_labels(
            features,
            neighbours,
            folds=folds,
            head=head,
            top=top,
            given=given,
            seed=seed,
            device=pick_device(device),
            progress=progress,
        )
    if out is not None:
        write_text(out, found.to_csv(index=False))
    if json:
        print_json(found.to_dict("records"))
        return
    _show(found if out is None else found.head(SHOWN), f"{cache.name}, {len(features)} images")
    if out is not None:
        console.say(f"Wrote {len(found)} rows to {out}")
    console.say("Look at the images before changing a label: rare views of an object are suspicious as well.")


def _neighbours(features: "FeatureCache", graph: Path | None, no_graph: bool) -> "LabelGraph | None":
    from mlgcn_pyg.experiments.label_audit import mined_graph

    if graph is not None:
        return open_graph(graph)
    return None if no_graph else mined_graph(features)


def _show(found: "pd.DataFrame", title: str) -> None:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("image", "label", "given", "P", "expected", "score"):
        table.add_column(column, justify="left" if column in ("image", "label") else "right", no_wrap=True)
    names = {1: "present", 0: "absent", -1: "unknown"}
    for row in found.to_dict("records"):
        numbers = (f"{row[column]:.3f}" for column in ("P", "expected", "score"))
        table.add_row(str(row["image"]), str(row["label"]), names[row["given"]], *numbers)
    console.show_table(table)
