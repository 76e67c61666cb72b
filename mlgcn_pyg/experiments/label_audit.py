"""Labels of a data set that are probably wrong: heads judge images that they were not trained on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_count, check_positive, check_tensor
from mlgcn_pyg.errors import InputError, warn_of_input
from mlgcn_pyg.evaluation.inputs import check_scores
from mlgcn_pyg.evaluation.parts import check_folds
from mlgcn_pyg.evaluation.suspicion import label_probabilities
from mlgcn_pyg.experiments.kinds import HeadDesign
from mlgcn_pyg.experiments.selection import fold_config, out_of_fold_logits
from mlgcn_pyg.experiments.setup import Progress, Setup
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.batches import ResidentRows, open_rows
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.labels import check_same_labels
from mlgcn_pyg.stratification import stratified_folds
from mlgcn_pyg.training import ExactConfig, HeadConfig

if TYPE_CHECKING:
    import pandas as pd

HEADS = ("linear", "sharing")
GIVEN = {"known": (0, 1), "present": (1,), "absent": (0,), "unknown": (-1,)}
TOLERANCE = 1e-3  # of fits that only judge: at 1e-5, the mAP differs by less than 0.0005
MOST_PAIRED, SPARSE_TAU = 100, 0.1
FEWEST = 5  # known positives, and known negatives, of a label that is judged
COLUMNS = ("image", "label", "given", "P", "expected", "score", "reason")


def audit_labels(
    cache: FeatureCache,
    graph: LabelGraph | None = None,
    *,
    folds: int = 5,
    head: str = "linear",
    l2: float | None = None,
    top: int | None = None,
    given: str = "known",
    logits: Tensor | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> "pd.DataFrame":
    """Returns the given labels of a data set, the most suspicious first.

    Heads are fitted exactly to the images of all folds but one and judge the images of this fold. λ is selected once.
    The score is that of :func:`~mlgcn_pyg.evaluation.suspicion`. Labels with fewer than 5 known positives or 5 known
    negatives cannot be judged and are left out, with a warning.

    Args:
        cache: features and given labels.
        graph: a label graph, whose neighbours make labels expected or unexpected, such as :func:`mined_graph`; None
            judges by the features alone.
        folds: the number of folds, at least 2 and at most the number of images.
        head: ``"linear"``, or ``"sharing"`` for heads that share over ``graph`` if its weighting is ``"kernel"``, else
            over a kernel graph of the given labels.
        l2: the strength λ for all images; default: selected on folds.
        top: the number of rows; default: all.
        given: the labels that are listed: ``"known"``, ``"present"``, ``"absent"``, or ``"unknown"``, the most certain
            first.
        logits: (N, C) of heads that were not trained on the images; default: heads are fitted.
        seed: the seed of the folds.
        device: the device of the heads.
        folder: for the state of the fits, from which an interrupted audit resumes; default: none is written.
        progress: called as ``progress(name, number, record)``, see :func:`~mlgcn_pyg.experiments.compare_heads`.

    Returns:
        A data frame with the columns ``image`` (name), ``label`` (name), ``given`` (1, 0 or −1), ``P`` (probability of
        the label from the features), ``expected`` (from the neighbours of the label that the image has; without a
        graph, the share of the label), ``score`` (in [0, 1], the probability of the other value; of an unknown label,
        of its more probable value) and ``reason`` (the score in words).

    Raises:
        InputError: if an argument is not valid, the graph has different labels, no label can be judged, or the features
            do not fit into memory.
    """
    check_choice("head", head, HEADS)
    check_choice("given", given, GIVEN)
    if top is not None:
        check_positive("top", top)
    if graph is not None:
        if not isinstance(graph, LabelGraph):
            raise InputError("graph", "a LabelGraph, or None", type(graph).__name__)
        check_same_labels("graph", graph.label_names, cache.label_names, "the feature file")
    judged = _judged_labels(cache, check_folds(folds), given)
    if logits is None:
        logits = held_out_logits(
            cache,
            graph,
            folds=folds,
            head=head,
            l2=l2,
            seed=check_count("seed", seed),
            device=device,
            folder=folder,
            progress=progress,
        )
    else:
        logits = _checked_logits(logits, cache)
    return _frame(cache, graph, logits, judged, given, top, folds, seed)


def mined_graph(cache: FeatureCache) -> LabelGraph:
    """Returns the graph of all pairs of up to 100 labels, or of those with P ≥ 0.1, mined from the given labels."""
    tau = 0.0 if cache.num_labels <= MOST_PAIRED else SPARSE_TAU
    return LabelGraph.from_targets(cache.targets, label_names=cache.label_names, tau=tau)


def held_out_logits(
    cache: FeatureCache,
    graph: LabelGraph | None = None,
    *,
    folds: int = 5,
    head: str = "linear",
    l2: float | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Returns logits (N, C) for the images of a cache, each of a head that was fitted to the other folds.

    The arguments are those of :func:`audit_labels`.

    Raises:
        InputError: if the features do not fit into memory.
    """
    rows = open_rows(cache, "cpu", None)
    if not isinstance(rows, ResidentRows):
        raise InputError("cache", "features that fit into memory", f"{len(cache):,} images in {cache.path}")
    where = None if folder is None else Path(folder)
    exact = ExactConfig(folds=folds, seed=seed, l2=l2, tolerance=TOLERANCE)
    design = HeadDesign(graph)
    setup = Setup(cache, cache, None, design, HeadConfig(), exact, device, folder=where, progress=progress)
    if l2 is None or head == "sharing":  # which also selects α
        heads, histories = setup.fit(head, 1)
        config = fold_config(setup, head, heads[0], histories[0])
    else:
        config = replace(exact, l2=l2 * folds / (folds - 1))
    features = rows.features.unflatten(0, (rows.num_images, rows.num_views))
    parts = [torch.from_numpy(fold) for fold in stratified_folds(rows.targets, folds, seed=seed)]
    return out_of_fold_logits(setup, head, config, features, rows.targets, parts)


def reason(label: str, given: int, p: float, expected: float, *, from_graph: bool = True) -> str:
    """Returns a suspicion in words.

    Args:
        label: the name of the label.
        given: 1, 0 or −1.
        p: the probability of the label from the features.
        expected: its probability from the other labels of the image.
        from_graph: whether ``expected`` is that of neighbours in a graph.

    >>> reason("tie", 1, 0.02, 0.004)
    'tie is given, but P is 0.02, and below 0.01 from the other labels'
    >>> reason("person", 0, 0.97, 0.4, from_graph=False)
    'person is not given, but P is 0.97'
    """
    stated = {1: "is given", 0: "is not given", -1: "is unknown"}[given]
    link = "and" if given < 0 else "but"
    text = f"{label} {stated}, {link} P is {_rounded(p)}"
    return f"{text}, and {_rounded(expected)} from the other labels" if from_graph else text


def _rounded(p: float) -> str:
    return "below 0.01" if p < 0.01 else "above 0.99" if p > 0.99 else f"{p:.2f}"


def _judged_labels(cache: FeatureCache, folds: int, given: str) -> Tensor:
    """Returns the numbers of the labels that have enough known targets."""
    if len(cache) < folds:
        raise InputError("folds", f"at most the number of images, {len(cache)}", folds)
    positives, negatives = (cache.targets == 1).sum(0), (cache.targets == 0).sum(0)
    enough = (positives >= FEWEST) & (negatives >= FEWEST)
    if not bool(enough.any()):
        expected = f"a label with at least {FEWEST} known positives and {FEWEST} known negatives"
        raise InputError("cache", expected, f"none among {len(enough)} in {cache.path}")
    if given == "unknown" and not bool((cache.targets[:, enough] < 0).any()):
        raise InputError("given", "a feature file with unknown labels (−1)", f"none in {cache.path}")
    few = [cache.label_names[c] for c in (~enough).nonzero().flatten().tolist()]
    if few:
        warn_of_input(f"labels with fewer than {FEWEST} known positives or negatives are not judged: {_listed(few)}")
    return enough.nonzero().flatten()


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _checked_logits(logits: Tensor, cache: FeatureCache) -> Tensor:
    logits = check_tensor("logits", logits)
    if logits.shape != cache.targets.shape:
        raise InputError("logits", f"shape {tuple(cache.targets.shape)}", f"shape {tuple(logits.shape)}")
    return check_scores(logits, cache.targets)[0]


def _frame(
    cache: FeatureCache,
    graph: LabelGraph | None,
    logits: Tensor,
    judged: Tensor,
    given: str,
    top: int | None,
    folds: int,
    seed: int,
) -> "pd.DataFrame":
    """Returns the rows of the judged labels, the most suspicious first."""
    import pandas as pd

    targets = cache.targets
    alone = label_probabilities(targets, None, logits, folds=folds, seed=seed)
    both = alone if graph is None else label_probabilities(targets, graph, logits, folds=folds, seed=seed)
    expected = label_probabilities(targets, graph, None, folds=folds, seed=seed)
    scores = torch.where(targets == 1, 1 - both, both)
    if given == "unknown":
        scores = torch.maximum(both, 1 - both)
    wanted = torch.zeros_like(targets, dtype=torch.bool)
    wanted[:, judged] = torch.isin(targets[:, judged], torch.tensor(GIVEN[given], dtype=torch.int8))
    images, labels = wanted.nonzero(as_tuple=True)
    order = scores[images, labels].argsort(descending=True, stable=True)[:top]
    images, labels = images[order], labels[order]
    values = (part[images, labels].tolist() for part in (targets, alone, expected, scores))
    names = ([cache.ids[n] for n in images.tolist()], [cache.label_names[c] for c in labels.tolist()])
    rows = [
        (image, label, value, p, likely, score, reason(label, value, p, likely, from_graph=graph is not None))
        for image, label, value, p, likely, score in zip(*names, *values, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
