"""Compares heads on the same features: linear and sharing heads, and ML-GCN with several seeds, as in Table 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mlgcn_pyg import html
from mlgcn_pyg.checks import check_callable, check_choice, check_positive
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.evaluation import MetricDifferences, MetricIntervals, table1_row
from mlgcn_pyg.evaluation.table1 import Row
from mlgcn_pyg.experiments.kinds import KINDS, PAPER_HEADS, HeadDesign, default_kinds
from mlgcn_pyg.experiments.recommendation import Recommendation, recommend, replicates_over_seeds
from mlgcn_pyg.experiments.selection import REPLICATES, selection_scores
from mlgcn_pyg.experiments.setup import Progress, Setup
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.labels import check_same_labels
from mlgcn_pyg.nn.label_gnn import GNNS
from mlgcn_pyg.training import ExactConfig, HeadConfig, History
from mlgcn_pyg.training.trackers import LogWith, open_trackers
from mlgcn_pyg.typing import Head


@dataclass
class FittedHead:
    """A trained head.

    Attributes:
        kind: ``"linear"``, ``"sharing"``, ``"mlgcn"``, or the name of a GNN (:class:`~mlgcn_pyg.nn.LabelGNNHead`).
        seed: the seed of the initial weights; 0 for a head that is fitted exactly.
        head: the head.
        history: the record of each epoch, or of each iteration of the exact solver.
        row: the metrics on the reported images; see :func:`~mlgcn_pyg.evaluation.table1_row`.
        config: the settings that it was trained with.
    """

    kind: str
    seed: int
    head: Head
    history: History
    row: Row
    config: HeadConfig | ExactConfig


@dataclass
class HeadComparison:
    """The result of :func:`compare_heads`.

    Attributes:
        heads: the trained heads, kind by kind, in the order of the seeds.
        recommendation: which kind of head to use, and why.
        intervals: for each kind, its metrics on the reported images with 95 % intervals, over images and seeds.
        differences: for each kind but the first, its metrics minus those of the first, paired over images and seeds.
        replicates: the number of samples of the intervals.
        positives: (C,) the number of positive images of each label among the reported images.
    """

    heads: list[FittedHead]
    recommendation: Recommendation
    intervals: dict[str, MetricIntervals]
    differences: dict[str, MetricDifferences]
    replicates: int
    positives: list[int]

    @property
    def recommended(self) -> FittedHead:
        """The recommended head. Of several seeds it is the first: the best one would be selected by chance."""
        return next(head for head in self.heads if head.kind == self.recommendation.kind)

    def _repr_html_(self) -> str:
        """Returns the mAP of each kind of head in per cent, with 95 % intervals, as HTML, which notebooks show."""
        rows = []
        for kind, found in self.intervals.items():
            values = [found.mAP.value, found.mAP.low, found.mAP.high]
            if (to_first := self.differences.get(kind)) is not None:
                values += [to_first.mAP.value, to_first.mAP.low, to_first.mAP.high]
            name = f"{kind} (recommended)" if kind == self.recommendation.kind else kind
            rows.append((name, *(100 * value for value in values), *[None] * (6 - len(values))))
        first = next(iter(self.intervals), "")
        header = ("head", "mAP", "low", "high", f"minus {first}", "low", "high")
        return html.table(header, rows, caption="in per cent, with 95 % intervals", decimals=1)


def compare_heads(
    train: FeatureCache,
    val: FeatureCache,
    graph: LabelGraph | None = None,
    *,
    test: FeatureCache | None = None,
    kinds: Sequence[str] | None = None,
    seeds: int = 3,
    config: HeadConfig | None = None,
    exact: ExactConfig | None = None,
    sharing_graph: LabelGraph | None = None,
    hidden_channels: Sequence[int] = (1024,),
    learn_edges: bool = False,
    learn_p: bool = False,
    replicates: int = 1000,
    device: str | torch.device = "cpu",
    stream: bool | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
    log_with: LogWith = None,
) -> HeadComparison:
    """Trains heads of several kinds on ``train``, compares them, and recommends one.

    Linear and sharing heads are fitted by the exact solver, once. ML-GCN heads are trained with several seeds,
    together. The seed of a head determines its initial weights. The order of the images and their views are those of
    ``config.seed`` for all heads. With the recipe ``"paper"``, linear heads are trained like ML-GCN heads, and there is
    no sharing head.

    With ``test``, ``val`` selects λ, α and the recommended head, and the results are reported on ``test``. Without it,
    folds of the training images select, and the results are reported on ``val``. See
    :func:`~mlgcn_pyg.experiments.recommendation.recommend` for the rule, and
    :func:`~mlgcn_pyg.experiments.selection.selection_scores` for the cases in which ``val`` also selects.

    Args:
        train: the training features.
        val: the validation features, with the same labels.
        graph: the label graph of ML-GCN and GNN heads; default: mined from the training targets, with one-hot labels.
        test: the test features, with the same labels.
        kinds: the kinds of heads to train, of ``"linear"``, ``"sharing"`` and ``"mlgcn"``; default: all of these that
            the recipe and the number of labels allow. Also ``"gcn"``, ``"sage"``, ``"gat"``, ``"gatv2"`` and ``"gin"``:
            a GNN of PyG in place of ML-GCN's (:class:`~mlgcn_pyg.nn.LabelGNNHead`), with the same settings.
        seeds: the number of ML-GCN heads, with the seeds 0, 1, …; at least 2 for a standard deviation.
        config: the settings of the ML-GCN head; default: ``HeadConfig()``, the recipe ``"auto"``.
        exact: the settings of linear and sharing heads; default: ``ExactConfig()``, with the views and ``pos_weight``
            of ``config``. ``exact.select`` is ignored.
        sharing_graph: the label graph of the sharing head, with any weighting. Default: ``graph`` if its weighting is
            ``"kernel"``, else a kernel graph of the training targets and the embeddings of ``graph``, if it has any.
        hidden_channels: the widths between the layers of the ML-GCN head; (1024,) is the paper's. A GNN requires equal
            widths.
        learn_edges: whether the ML-GCN head learns the weights of the edges.
        learn_p: whether the ML-GCN head learns one p per label.
        replicates: the number of samples of the images for the intervals.
        device: the device to train on.
        stream: True streams the caches in windows, False loads them into memory. Default: depends on free memory.
        folder: the folder for one run per kind and fold. Interrupted runs are resumed. None writes no files.
        progress: a function that is called with the kind and the seed of a head and a record, which is that of
            :func:`~mlgcn_pyg.training.fit_head`. For fits to folds, the kind is followed by ``" folds"``, and the
            number of the fold replaces the seed. For samples of the images, it is followed by ``" samples"``, and the
            record has ``done`` and ``total``.
        log_with: experiment trackers, as in :func:`~mlgcn_pyg.training.fit_heads`. The name of a head is its kind and
            its seed, as in ``mlgcn-seed0/loss``. Fits to folds are not logged.

    Returns:
        The trained heads, their intervals and differences, and the recommendation.

    Raises:
        InputError: if a kind is unknown, or the recipe does not have it.
        InputError: if labels or widths do not match.
        InputError: if ``folder`` holds runs with a different setup.
        InputError: if a tracker is not installed or does not start, or requires ``folder``.
    """
    config = config or HeadConfig()
    exact = exact or ExactConfig(views=config.views, pos_weight=config.pos_weight)
    kinds = check_kinds(kinds, config.recipe, train.num_labels, sharing_graph=sharing_graph is not None)
    check_callable("progress", progress)
    trackers = open_trackers(log_with, folder)
    for name, number in (("seeds", seeds), ("replicates", replicates)):
        check_positive(name, number)
    if test is not None:
        _check_test(train, test)
    design = HeadDesign(graph, sharing_graph, hidden_channels, learn_edges, learn_p)
    if set(kinds) & set(GNNS):
        design.check_gnns()
    folder = None if folder is None else Path(folder)
    setup = Setup(train, val, test, design, config, exact, device, stream, folder, progress, trackers)
    heads: dict[str, list[Head]] = {}
    histories: dict[str, list[History]] = {}
    with trackers:
        for kind in kinds:
            heads[kind], histories[kind] = setup.fit(kind, 1 if setup.is_exact(kind) else seeds)
    return _compare(setup, heads, histories, replicates)


def check_kinds(
    kinds: Sequence[str] | None, recipe: str, num_labels: int, *, sharing_graph: bool = False
) -> tuple[str, ...]:
    """Returns kinds of heads without repetition, the simplest first.

    Raises:
        InputError: if there is none, a kind is unknown, or the recipe does not have it.

    >>> check_kinds(["mlgcn", "linear"], "auto", 20)
    ('linear', 'mlgcn')
    """
    if kinds is None:
        return default_kinds(recipe, num_labels, sharing_graph=sharing_graph)
    for kind in kinds:
        check_choice("kinds", kind, KINDS)
    if not kinds:
        raise InputError("kinds", f"some of {', '.join(KINDS)}", "none")
    if recipe == "paper" and "sharing" in kinds:
        fix = ("pass ", Argument("recipe", "auto"))
        raise InputError("kinds", f"{' or '.join(PAPER_HEADS)} for the recipe 'paper'", "'sharing'", fix)
    return tuple(kind for kind in KINDS if kind in kinds)


def _check_test(train: FeatureCache, test: FeatureCache) -> None:
    """Checks the test features before any training; the validation features are checked by it."""
    check_same_labels("test", test.label_names, train.label_names, "the training features")
    if not len(test):
        raise InputError("test", "at least one image", "none")
    if test.num_features != train.num_features:
        expected = f"features of width {train.num_features}, as in the training features"
        raise InputError("test", expected, f"width {test.num_features}")


def _compare(
    setup: Setup, heads: dict[str, list[Head]], histories: dict[str, list[History]], replicates: int
) -> HeadComparison:
    """Scores the heads on the reported images, and recommends one of them by its scores on others."""
    names, targets = setup.train.label_names, setup.reported.targets
    fitted, samples = [], {}
    for kind in heads:
        logits = setup.logits(heads[kind], setup.reported)
        samples[kind] = replicates_over_seeds(
            logits, targets, replicates, progress=setup.resampling(kind, targets, replicates)
        )
        for seed, head in enumerate(heads[kind]):
            row = table1_row(logits[seed], targets, names)
            fitted.append(FittedHead(kind, seed, head, histories[kind][seed], row, setup.config_of(kind)))
    first = next(iter(samples))
    return HeadComparison(
        fitted,
        _recommend(setup, heads, histories),
        {kind: found.intervals() for kind, found in samples.items()},
        {kind: found.difference(samples[first]) for kind, found in samples.items() if kind != first},
        replicates,
        samples[first].positives.tolist(),
    )


def _recommend(setup: Setup, heads: dict[str, list[Head]], histories: dict[str, list[History]]) -> Recommendation:
    if len(heads) == 1:  # nothing to select
        return Recommendation(next(iter(heads)), "none", next(iter(heads)), {}, {})
    found = selection_scores(setup, heads, histories)
    reports = {kind: setup.resampling(kind, found.targets, REPLICATES) for kind in heads}
    return recommend({kind: found.samples(kind, reports[kind]) for kind in heads}, found.images)
