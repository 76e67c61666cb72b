"""``mlgcn train-head``: trains heads of several kinds on cached features, compares them, and recommends one.

``metrics.json`` has these keys. Metrics are fractions, and undefined numbers are null.

* ``setup``: ``config`` (the settings of ML-GCN and GNN heads, and of the linear head with the recipe ``"paper"``),
  ``seeds``, ``train``, ``val``, with --test ``test``, and unless the recipe is ``"paper"`` ``exact``, the settings of
  linear and sharing heads.
* ``heads``: kind → ``{"setup", "seeds", "mean", "std"}``: the settings of this kind besides ``setup``, the metrics of
  each seed, and their mean and standard deviation. A head that is fitted exactly has one entry, with the seed 0. Its
  ``last_epoch`` is the last iteration, with the selected ``l2`` and ``alpha``.
* ``intervals``: ``level``, ``replicates``, ``seed``, ``heads``, ``reference`` and ``differences``, as in ``mlgcn
  evaluate``, with kinds of heads in place of files, and ``positives``: label → its number of reported images. Several
  seeds of a head are samples, too.
* ``recommendation``: null if ``heads`` has kinds that earlier commands trained, else ``head`` and ``seed`` of
  ``recommended.pt``, ``reference`` (the simplest kind), ``clearly_better`` (whether the interval of its difference to
  the reference is above 0) and ``selection``: the images that selected it (``"val"``, or ``"folds"`` of the training
  images; ``"none"`` if there was one kind), the ``mAP`` of each kind on them, and the standard error of its difference
  to the reference.
* ``files``: ``train``, ``val`` and ``test`` → the feature file, relative to the folder.
* ``commands``: the commands that wrote the folder.

The rule is that of :func:`~mlgcn_pyg.experiments.recommendation.recommend`.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.cli import console, heads, options
from mlgcn_pyg.cli.head_setup import OVERWRITE, earlier_results, own_setup, sources
from mlgcn_pyg.cli.inputs import open_cache, open_graph
from mlgcn_pyg.cli.json_output import write_json
from mlgcn_pyg.cli.options import COMPUTATION, DATA, EXACT, MODEL, OUTPUT, TRAINING, choice, from_config, option, takes
from mlgcn_pyg.cli.outputs import make_folder
from mlgcn_pyg.cli.report import check_plotly, write_report
from mlgcn_pyg.cli.values import parse_widths, pick_device
from mlgcn_pyg.cli.verdict import commands, listed, show_comparison
from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.files.locks import locked_folder
from mlgcn_pyg.files.runs import RECOMMENDED
from mlgcn_pyg.training.config import HeadConfig
from mlgcn_pyg.training.exact_config import ExactConfig

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.experiments import HeadComparison

KINDS = ("all", "linear", "sharing", "mlgcn", "both")
OF_ALL = ("recipe", "views", "pos_weight")  # settings that linear and sharing heads share with ML-GCN


@takes(
    config=from_config(HeadConfig, without=("seed",), none={"clip_norm": 0}),
    exact=from_config(ExactConfig, without=("select", "pos_weight", "views", "seed"), panel=EXACT),
)
def train_head(
    *,
    train: Annotated[Path, option("Feature file to train on.", DATA)],
    val: Annotated[
        Path, option("Feature file to report on; with --test, to select λ, α and the recommended head on.", DATA)
    ],
    test: Annotated[Path | None, option("Feature file to report on. Nothing is selected on it.", DATA)] = None,
    graph: Annotated[
        Path | None,
        option("Label graph of ML-GCN and GNN heads (mlgcn graph). A graph with the weighting kernel is also that of "
               "the sharing head.", DATA, show_default="mined from --train, one-hot labels"),
    ] = None,
    sharing_graph: Annotated[
        Path | None,
        option("Label graph of the sharing head, with any weighting.", DATA,
               show_default="--graph if its weighting is kernel, else a kernel graph mined from --train with the "
               "embeddings of --graph"),
    ] = None,
    head: Annotated[
        list[str] | None,
        choice("all, linear (the baseline), sharing (linear heads that labels share), mlgcn, or both (linear and "
               "mlgcn); repeatable.", MODEL, KINDS, show_default="all"),
    ] = None,
    gnn: Annotated[
        list[str] | None,
        choice("A GNN of PyG in place of ML-GCN's, beside the heads of --head: gcn, sage (GraphSAGE), gat, gatv2 or "
               "gin; repeatable.", MODEL, heads.GNNS, show_default="none"),
    ] = None,
    hidden: options.Hidden = "1024",
    learn_edges: Annotated[
        bool, option("Learn the weights of the edges of the ML-GCN head.", MODEL, "--learn-edges")
    ] = False,
    learn_p: Annotated[bool, option("Learn one p per label of the ML-GCN head.", MODEL, "--learn-p")] = False,
    exact: Callable[..., ExactConfig],
    config: Callable[..., HeadConfig],
    seeds: Annotated[int, option("Number of runs of each head; heads that are fitted exactly have one.", TRAINING)] = 1,
    replicates: Annotated[int, option("Samples of the images for the 95 % intervals.", COMPUTATION)] = 1000,
    stream: Annotated[
        bool | None,
        option(
            "Read features in parts instead of loading all of them.",
            COMPUTATION,
            "--stream/--no-stream",
            show_default="depends on free memory",
        ),
    ] = None,
    device: options.Device = "auto",
    out: Annotated[Path, option("Folder for metrics.json, checkpoints and histories.", OUTPUT)],
    log_with: options.LogWith = None,
    report: Annotated[bool, option("Write report.html to --out, as mlgcn report does.", OUTPUT, "--report")] = False,
    overwrite: options.Overwrite = False,
) -> None:  # fmt: skip
    """Train linear, sharing and ML-GCN heads on cached features, compare them, and recommend one.

    Linear and sharing heads are fitted exactly, with λ and α selected on folds of --train, or on --val if --test is
    given. The options under "Training" apply to ML-GCN and GNNs only, except --recipe, --pos-weight and --views. With
    --recipe paper, the linear head is trained like ML-GCN, and there is no sharing head.

    The recommended head is recommended.pt, which mlgcn evaluate, predict and export take from the folder. The same
    command resumes an interrupted run.
    """
    from mlgcn_pyg.training.trackers import Trackers

    recipe = config()
    shared = {"views": recipe.views, "pos_weight": recipe.pos_weight, "select": "val" if test else "folds"}
    opened = open_cache(train, option="train")
    graphs = {name: None if path is None else open_graph(path, option=name)
              for name, path in (("graph", graph), ("sharing_graph", sharing_graph))}  # fmt: skip
    runs = heads.HeadRuns(
        **graphs,
        config=recipe,
        exact=exact(**shared),
        train=opened,
        val=open_cache(val, option="val"),
        test=None if test is None else open_cache(test, option="test"),
        kinds=_kinds(head or ["all"], gnn or [], recipe, opened.num_labels, sharing_graph),
        seeds=check_positive("seeds", seeds),
        hidden_channels=parse_widths(hidden),
        learn_edges=learn_edges,
        learn_p=learn_p,
        replicates=check_positive("replicates", replicates),
        device=pick_device(device),
        stream=stream,
        trackers=Trackers(log_with, out),
    )
    if report:
        check_plotly("report")
    make_folder("out", out)
    _note_unused(runs)
    _run(runs, out, overwrite)
    if report:
        page = write_report(out, cache=runs.reported, train=runs.train, device=runs.device)
        console.say(f"Wrote {page}. Open it in a browser.")


def _kinds(
    chosen: Sequence[str], gnns: Sequence[str], recipe: HeadConfig, num_labels: int, sharing_graph: Path | None
) -> tuple[str, ...]:
    """Returns the kinds of heads that --head and --gnn name."""
    from mlgcn_pyg.experiments.head_comparison import check_kinds
    from mlgcn_pyg.experiments.kinds import HEADS, default_kinds

    every = default_kinds(recipe.recipe, num_labels, sharing_graph=sharing_graph is not None)
    groups = {"both": ("linear", "mlgcn"), "all": every}
    if "all" in chosen and recipe.recipe != "paper" and every != HEADS:
        console.note("The sharing head is omitted: a kernel graph has at most 4,096 labels. Give a --sharing-graph.")
    with renamed_arguments(kinds="head"):
        kinds = [kind for name in chosen for kind in groups.get(name, (name,))]
        return check_kinds([*kinds, *gnns], recipe.recipe, num_labels)


def _note_unused(runs: heads.HeadRuns) -> None:
    """Tells which given options do not apply to heads that are fitted exactly."""
    if not runs.exact_kinds:
        return
    given = [f.name for f in fields(HeadConfig) if getattr(runs.config, f.name) != f.default and f.name not in OF_ALL]
    given += ["seeds"] if runs.seeds > 1 else []
    if given:
        flags = ", ".join("--" + name.replace("_", "-") for name in given)
        verb = "applies" if len(given) == 1 else "apply"
        trained = [kind for kind in runs.kinds if kind not in runs.exact_kinds]
        to = f"{verb} to {listed(trained)} only" if trained else f"{verb} to heads that are trained by epochs only"
        console.note(f"{flags} {to}. Fitted exactly: {listed(runs.exact_kinds)}")


def _run(runs: heads.HeadRuns, out: Path, overwrite: bool) -> None:
    """Fits, writes and shows the heads, and those of earlier commands in ``out`` with the same setup."""
    from mlgcn_pyg.experiments.summary import describe_comparison, describe_setup, summarize_heads
    from mlgcn_pyg.run_report.metrics import RunMetrics
    from mlgcn_pyg.run_report.verdict import verdict

    setup = describe_setup(runs.train, runs.val, runs.config, runs.seeds, runs.test, runs.exact)
    own = {kind: own_setup(kind, runs) for kind in runs.kinds}
    with locked_folder(out):  # locked until the results are written
        earlier = {} if overwrite else earlier_results(out / "metrics.json", setup, own)
        found = _fit(runs, out, overwrite)
        if overwrite:
            heads.remove_heads(out)
        heads.save_heads(out, found.heads, runs.train)
        results = earlier | {kind: {"setup": own[kind], **row} for kind, row in summarize_heads(found.heads).items()}
        results = {kind: results[kind] for kind in (*KINDS, *heads.GNNS) if kind in results}
        compared = results.keys() == own.keys()
        heads.save_recommended(out, found.recommended if compared else None, runs.train)
        more = describe_comparison(found, runs.train.label_names, compared=compared)
        content = {"setup": setup, "heads": results} | more | sources(runs, out, results.keys() != own.keys())
        write_json(out / "metrics.json", content)
        heads.remove_unfinished(out, runs.kinds)
    with renamed_arguments(run="out"):
        metrics = RunMetrics.of(content, str(out / "metrics.json"))
    show_comparison(runs, results, found, metrics)
    for line in verdict(metrics):
        console.say(line)
    written = f"{out / 'metrics.json'} and {out / RECOMMENDED}" if compared else out / "metrics.json"
    console.say(f"Wrote {written}")
    for line in commands(runs, out, compared):
        console.say(line)


def _fit(runs: heads.HeadRuns, out: Path, overwrite: bool) -> "HeadComparison":
    """Fits the heads, or resumes an interrupted run in ``out``. ``overwrite`` discards a run that does not match."""
    folder = heads.unfinished_folder(out)
    try:
        if positions := heads.unfinished_positions(out, runs.kinds, runs.exact_kinds):
            text = ", ".join(f"{kind}: {position}" for kind, position in positions.items())
            console.note(f"Resuming from {folder} ({text})")
        elif overwrite and runs.trackers is not None:
            runs.trackers.discard()
        return runs.fit(folder)
    except (KeyboardInterrupt, SystemExit):
        console.note("Interrupted. Run the same command to resume.")
        raise
    except InputError as error:
        if error.argument != "folder":  # "folder": a different setup, or a damaged state
            raise
        if not overwrite:
            fix = ("give the options that it was started with, ", *OVERWRITE)
            raise InputError("out", error.expected, error.found, fix) from error
    heads.remove_unfinished(out, runs.kinds)
    if runs.trackers is not None:
        runs.trackers.discard()
    return _fit(runs, out, overwrite=False)
