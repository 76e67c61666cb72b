"""``mlgcn study``: trains contenders and controls on the same splits, compares them, and says whether the graph helps.

The folder ``--out`` receives these files. Metrics are fractions.

* ``study.json``: ``setup``; ``contenders``, one entry per contender and condition; ``comparisons``, one entry per pair
  and condition; ``verdicts``, one list of sentences per condition; ``omitted``, the contenders that the data does not
  allow; ``commands``, the command that was run.
* ``study.csv``: the contenders as a table. ``runs.csv``: every run.
* ``study.md``: the same as a page, with the figures ``*.png``.
* ``runs/*.npz``: the logits of every run, from which an interrupted study is resumed. ``setup.json``: what they share.
"""

import math
import os
import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mlgcn_pyg._version import __version__
from mlgcn_pyg.checks import check_number, check_positive
from mlgcn_pyg.cli import console, options
from mlgcn_pyg.cli.command_line import running_command
from mlgcn_pyg.cli.embedding_options import EMBEDDINGS, SOURCES, EmbeddingOptions
from mlgcn_pyg.cli.json_output import print_json, write_json
from mlgcn_pyg.cli.options import COMPUTATION, DATA, MODEL, OUTPUT, choice, option, takes
from mlgcn_pyg.cli.outputs import make_folder
from mlgcn_pyg.cli.study_data import feature_files, open_data
from mlgcn_pyg.cli.study_tables import paper_tables, show_study
from mlgcn_pyg.cli.values import num_cores, pick_device
from mlgcn_pyg.cli.verdict import listed
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.atomic import write_text
from mlgcn_pyg.files.locks import locked_folder

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.experiments.study import Analysis, Plan, Study, StudyData

# the names in mlgcn_pyg.experiments.study.plan, which loads torch
PRESETS = ("quick", "table1", "table3", "fig4", "fig5", "fig6", "controls", "gnn", "learning-curve",
           "partial-labels", "all")  # fmt: skip


@takes(how=EMBEDDINGS)
def study(
    *,
    features: Annotated[
        Path | None,
        option("Feature file that is divided into training (60 %), validation and test images, once per split.", DATA),
    ] = None,
    train: Annotated[Path | None, option("Feature file to train on; with --test instead of --features.", DATA)] = None,
    val: Annotated[
        Path | None, option("Feature file that selects.", DATA, show_default="a fifth of the images of --train")
    ] = None,
    test: Annotated[Path | None, option("Feature file to report on, the same for all splits.", DATA)] = None,
    average: Annotated[
        list[Path] | None,
        option("Features of the same images with average pooling, one file for each of the others, in their order.",
               DATA),
    ] = None,
    graph: Annotated[
        Path | None,
        option("Label graph (mlgcn graph) that is not built from test images.", DATA,
               show_default="mined from the training images of each run"),
    ] = None,
    embeddings: Annotated[
        list[str] | None,
        option(f"{SOURCES} Repeatable: all contenders have the first, and mlgcn is trained with each of the others.",
               DATA, show_default="those of --graph, else one-hot"),
    ] = None,
    how: EmbeddingOptions,
    preset: Annotated[
        list[str] | None, choice("What to train; repeatable.", MODEL, PRESETS, show_default="quick")
    ] = None,
    contender: Annotated[list[str] | None, option("A further contender, such as mlgcn tau=0.3; repeatable.", MODEL)]
    = None,
    images: Annotated[
        list[int] | None,
        option("Number of training images, drawn anew for each split; repeatable.", DATA, show_default="all"),
    ] = None,
    unknown: Annotated[float, option("Share of the training labels that are hidden, in [0, 0.99].", DATA)] = 0.0,
    splits: Annotated[int, option("Number of splits, which are also the seeds.", COMPUTATION)] = 10,
    effect: Annotated[
        float, option("Smallest effect of interest, in points of mAP; smaller ones count as none.", COMPUTATION)
    ] = 0.3,
    replicates: Annotated[int, option("Samples of the images for the intervals.", COMPUTATION)] = 1000,
    workers: Annotated[
        int | None,
        option("Processes that train side by side. Results do not depend on it.", COMPUTATION,
               show_default="one per CPU core, or 1 on CUDA"),
    ] = None,
    device: options.Device = "cpu",
    out: Annotated[Path, option("Folder for the results.", OUTPUT)],
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:  # fmt: skip
    """Does the label graph help on this data? Train contenders and controls, compare them, and tell.

    All contenders have the same splits, hidden labels, seeds and number of candidates, which validation images select.
    Intervals are over images and over splits. The same command resumes an interrupted study.

    Under torchrun, each process trains a share of the contenders.
    """
    from mlgcn_pyg.experiments.study import make_plan

    check_number("effect", effect, 0, 100, open_low=True)
    check_positive("replicates", replicates)
    place = pick_device(device)
    data = open_data(feature_files(features, train, val, test), average or [], graph, embeddings or [], how, splits)
    presets = preset or (() if contender else ("quick",))
    plan = make_plan(data, presets, contender or (), num_images=images, unknown=unknown)
    if data.graph is not None and (unknown or "partial-labels" in presets or "all" in presets):
        console.note("The targets that are hidden influence --graph if it was mined from them. Omit it to avoid this.")
    for name, reason in plan.omitted.items():
        console.note(f"Omitted: {name}, since {reason}.")
    make_folder("out", out)
    if overwrite and os.environ.get("RANK", "0") == "0":
        with locked_folder(out):
            shutil.rmtree(out / "runs", ignore_errors=True)
            (out / "setup.json").unlink(missing_ok=True)
    processes = _num_workers(workers, place)
    found = _run(data, plan, out, place, processes)
    if found is not None:
        _report(found, out, effect / 100, replicates, place, processes, json)


def _num_workers(workers: int | None, device: str) -> int:
    if workers is not None:
        return check_positive("workers", workers)
    return 1 if device.startswith("cuda") else num_cores()


def _run(data: "StudyData", plan: "Plan", out: Path, device: str, workers: int) -> "Study | None":
    """Trains what is not finished, after an estimate of the time."""
    from mlgcn_pyg.experiments.study import estimate_seconds, run_study

    with console.status("estimating the time"):
        seconds = estimate_seconds(data, plan, out, device=device, workers=workers)
    if seconds:
        console.note(f"{len(plan.keys(data))} runs, about {minutes(seconds)}")
    start = time.perf_counter()
    with console.progress_bar("training", len(plan.keys(data))) as update:
        try:
            found = run_study(
                data, plan, out, device=device, workers=workers,
                progress=lambda done, _, key: update(done, f"{key.contender}, {key.condition}, split {key.split}"),
            )  # fmt: skip
        except (KeyboardInterrupt, SystemExit):
            console.note("Interrupted. Run the same command to resume.")
            raise
    if seconds:
        console.note(f"Trained in {minutes(time.perf_counter() - start)}")
    return found


def minutes(seconds: float) -> str:
    """Returns a duration in words.

    >>> minutes(40), minutes(400), minutes(8000)
    ('40 seconds', '7 minutes', '2.2 hours')
    """
    if seconds < 90:
        return f"{max(2, math.ceil(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _report(study: "Study", out: Path, effect: float, replicates: int, device: str, workers: int, json: bool) -> None:
    """Writes and shows the results."""
    import torch

    from mlgcn_pyg.experiments.study import analyse
    from mlgcn_pyg.report.study_figures import CAPTIONS
    from mlgcn_pyg.report.study_page import study_page
    from mlgcn_pyg.tensor_checks import hardware

    with console.progress_bar("intervals", len(study.plan.conditions)) as update:
        found = analyse(
            study, smallest=effect, replicates=replicates, workers=workers, progress=lambda done, _: update(done)
        )
    content = found.describe()
    content["setup"] |= {"device": hardware(torch.device(device)), "workers": workers, "version": __version__}
    content["commands"] = running_command()
    write_text(out / "runs.csv", found.runs.to_csv(index=False, float_format="%.6g"))
    write_text(out / "study.csv", found.contenders.to_csv(index=False, float_format="%.6g"))
    write_json(out / "study.json", content)
    figures = _figures(found, out)
    study_page(
        content,
        out / "study.md",
        title=f"Does the label graph help? A study of {listed(content['setup']['files']['features'])}",
        figures={CAPTIONS[name]: path for name, path in figures.items()},
        tables=paper_tables(found),
        commands=content["commands"],
    )
    if json:
        print_json(content)
        return
    _show(content, out, [path.name for path in figures.values()])


def _show(content: dict[str, Any], out: Path, figures: Sequence[str]) -> None:
    """Prints the results, the names of the files, and the next command."""
    show_study(content)
    for line in content["verdict"]:
        console.say(line)
    console.say(f"Wrote {listed(['study.md', 'study.json', 'study.csv', 'runs.csv', *figures])} to {out}")
    console.say(f"Next, as a page for a browser: mlgcn report {shlex.quote(str(out))}")


def _figures(found: "Analysis", out: Path) -> dict[str, Path]:
    """Writes the figures, or tells that the libraries for plots are not installed."""
    from mlgcn_pyg.experiments.study import Condition
    from mlgcn_pyg.report.study_figures import write_figures

    data = found.study.data
    try:
        return write_figures(found.runs, out, all_images=data.num_train(Condition()))
    except InputError as error:
        if error.argument != "plot":
            raise
        console.note(f"No figures: {error}")
        return {}
