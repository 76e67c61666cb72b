"""Gathers what a report page shows about a run, and writes the page. Files are only read, except the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mlgcn_pyg.checks import check_callable, check_path
from mlgcn_pyg.errors import Argument, Fix, InputError, renamed_arguments
from mlgcn_pyg.experiments.label_audit import mined_graph as pairs_of_labels
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.files.runs import NETWORK
from mlgcn_pyg.labels import check_same_labels
from mlgcn_pyg.report import with_limits
from mlgcn_pyg.report.page.content import PageContent
from mlgcn_pyg.run_report.cases import Cases
from mlgcn_pyg.run_report.confusions import broken_expectations, confusions
from mlgcn_pyg.run_report.facts import network_facts, run_facts, versions
from mlgcn_pyg.run_report.feature_files import Given, open_features, reported_cache, training_cache, validation_cache
from mlgcn_pyg.run_report.graphs import expected_edges, mined_graph, tau_of
from mlgcn_pyg.run_report.metrics import METRICS, RunMetrics
from mlgcn_pyg.run_report.pictures import STUDY, read_study, study_content
from mlgcn_pyg.run_report.scored import ScoredHead, scored_heads, scored_network
from mlgcn_pyg.run_report.thumbnails import Thumbnails
from mlgcn_pyg.run_report.verdict import selected_on, verdict

Progress = Callable[[int, int, str], None]
PARTS = 4  # of the work besides the heads: graph, predictions, pictures, page
RUNS = "a folder of mlgcn train-head, train or study"


@dataclass
class Sources:
    """What a report is made of; see :func:`write_run_report`."""

    cache: Given | None
    train: Given | None
    study: Path | None
    root: str | Path | None
    device: str | torch.device
    commands: Sequence[str]
    progress: Progress | None
    done: int = 0
    total: int = PARTS + 1

    def step(self, what: str) -> None:
        """Reports that a part of the work begins."""
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total, what)
        self.done += 1


def write_run_report(
    run: str | Path,
    path: str | Path | None = None,
    *,
    cache: Given | None = None,
    train: Given | None = None,
    study: str | Path | None = None,
    root: str | Path | None = None,
    device: str | torch.device = "cpu",
    commands: Sequence[str] = (),
    progress: Progress | None = None,
) -> Path:
    """Writes a page about a run to one HTML file, atomically. Everything else is only read.

    Args:
        run: a folder of ``mlgcn train-head``, ``train`` or ``study``.
        path: the HTML file; default: ``report.html`` in the folder.
        cache: the feature file that the results are reported on. Default: the one that ``train-head`` recorded, if it
            is still there. A folder of ``train`` requires it, made with its checkpoint.
        train: the feature file of the training images, for the edges of the label graph below its τ; the default is as
            for ``cache``, and without it these edges are omitted.
        study: a folder of ``mlgcn study`` whose results are shown, too.
        root: the folder of the photographs, as given to ``mlgcn extract``; default: no thumbnails.
        device: the device that the heads are evaluated on.
        commands: further commands to show, such as the one that makes the report.
        progress: a function that is called with the finished parts, their number, and what begins.

    Returns:
        The path of the page.

    Raises:
        InputError: if the folder is no such folder, or a file in it is damaged; if the feature file is not found or has
            other images; if the folder of the photographs has none of the images.
    """
    content = run_content(
        run, cache=cache, train=train, study=study, root=root, device=device, commands=commands, progress=progress
    )
    path = Path(run) / "report.html" if path is None else check_path("path", path)
    from mlgcn_pyg.report.page import write_page

    write_page(content, path)
    if progress is not None:
        progress(1, 1, "written")
    return path


def run_content(
    run: str | Path,
    *,
    cache: Given | None = None,
    train: Given | None = None,
    study: str | Path | None = None,
    root: str | Path | None = None,
    device: str | torch.device = "cpu",
    commands: Sequence[str] = (),
    progress: Progress | None = None,
) -> PageContent:
    """Returns what the page of :func:`write_run_report` shows."""
    folder = check_path("run", run)
    check_callable("progress", progress)
    more = None if study is None else check_path("study", study)
    sources = Sources(cache, train, more, root, device, commands, progress)
    if (folder / METRICS).is_file():
        return _heads_content(folder, sources)
    if (folder / STUDY).is_file():
        return _study_content(folder, sources)
    if (folder / NETWORK).is_file():
        return _network_content(folder, sources)
    raise InputError("run", RUNS, _found(folder), _advice(folder))


def _heads_content(folder: Path, sources: Sources) -> PageContent:
    """Returns the content for a folder of ``train-head``."""
    metrics = RunMetrics.read(folder)
    cache = reported_cache(folder, metrics, sources.cache)
    check_same_labels("cache", cache.label_names, metrics.label_names, METRICS)
    sources.total = PARTS + len(metrics.heads)
    train = training_cache(folder, metrics, sources.train)
    val = validation_cache(folder, metrics)
    heads = scored_heads(folder, metrics, cache, val, sources.device, sources.step)
    content = _predictions(folder, cache, train, heads, sources)
    return replace(
        content,
        verdict=list(filter(None, (*verdict(metrics), selected_on(metrics)))),
        images=metrics.reported_file,
        reference=metrics.reference if metrics.differences else "",
        level=metrics.level,
        commands=[*metrics.commands, *sources.commands],
        facts=run_facts(metrics, cache),
    )


def _network_content(folder: Path, sources: Sources) -> PageContent:
    """Returns the content for a folder of ``train``."""
    if sources.cache is None:
        fix: Fix = ["compute it with mlgcn extract --checkpoint, and give it as ", Argument("cache")]
        raise InputError("cache", f"features by the network in {folder / NETWORK}", "none", fix)
    cache = open_features("cache", sources.cache)
    train = None if sources.train is None else open_features("train", sources.train)
    if train is not None:
        check_same_labels("train", train.label_names, cache.label_names, "the other features")
    sources.total = PARTS + 2
    head = scored_network(folder, cache, sources.device, sources.step)
    epochs = [int(record["epoch"]) for record in head.content.history if record["epoch"]]
    when = f" after epoch {max(epochs)}" if epochs else ""
    content = _predictions(folder, cache, train, [head], sources)
    return replace(
        content,
        verdict=[f"The network has {with_limits(head.content.mAP)} mAP on {cache.path.name}{when}."],
        images=cache.path.name,
        commands=list(sources.commands),
        facts=network_facts(cache, head.checkpoint.config),
    )


def _study_content(folder: Path, sources: Sources) -> PageContent:
    """Returns the content for a folder of ``study``, which has no heads."""
    for argument in ("cache", "train", "study", "root"):
        if (value := getattr(sources, argument)) is not None:
            raise InputError(argument, "no value for a folder of mlgcn study", value)
    content = read_study(folder)
    sources.step("figures")
    study = study_content(content, [folder])
    title = f"Study: {folder.resolve().name}"
    commands = [*map(str, content.get("commands") or ()), *sources.commands]
    none = torch.zeros(0, 0, dtype=torch.int8)
    return PageContent(title, content["verdict"], "", (), none, study=study, commands=commands, facts=versions())


def _predictions(
    folder: Path, cache: FeatureCache, train: FeatureCache | None, heads: Sequence[ScoredHead], sources: Sources
) -> PageContent:
    """Returns the content that follows from the predictions of the recommended head, or else of the first one."""
    sources.step("label graph")
    mined = mined_graph(train, heads)
    head = next((head for head in heads if head.content.recommended), heads[0])
    names, logits, cuts = cache.label_names, head.content.logits, head.thresholds
    thumbnail = Thumbnails(cache.ids, sources.root)
    sources.step("predictions")
    cases = Cases(logits, cache.targets, names, thumbnail, cuts)
    confused = confusions(logits, cache.targets, names, cuts)
    sources.step("pictures")
    edges = expected_edges(mined, heads)
    broken = [] if edges is None else broken_expectations(logits, edges, thumbnail, cuts)
    mistakes, suspects = cases.mistakes(), cases.suspects(pairs_of_labels(cache))
    study = None
    if sources.study is not None:
        with renamed_arguments(run="study"):
            study = read_study(sources.study)
    figures = study_content(study, [folder, *([sources.study] if sources.study else [])])
    sources.step("page")
    return PageContent(
        folder.resolve().name, [], "", names, cache.targets, [head.content for head in heads],
        graph=mined, tau=tau_of(heads), confusions=confused, broken=broken, mistakes=mistakes,
        suspects=suspects, study=figures,
    )  # fmt: skip


def _found(folder: Path) -> str:
    if not folder.is_dir():
        return f"the file {folder}" if folder.exists() else f"no folder {folder}"
    return f"neither {METRICS} nor {NETWORK} nor {STUDY} in {folder}"


def _advice(folder: Path) -> str:
    if folder.is_file():
        return f"give its folder, {folder.parent}"
    if (folder / "unfinished").is_dir() or (folder / "state.pt").is_file() or (folder / "setup.json").is_file():
        return "the run is not finished; the same command resumes it"
    return ""
