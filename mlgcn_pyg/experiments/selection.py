"""Scores of heads on the images that select one of them."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.errors import InputWarning
from mlgcn_pyg.evaluation.intervals import mean_of_defined
from mlgcn_pyg.experiments.recommendation import Samples, replicates_over_seeds
from mlgcn_pyg.experiments.setup import Setup
from mlgcn_pyg.features.batches import ResidentRows, open_rows
from mlgcn_pyg.nn import SharingHead
from mlgcn_pyg.stratification import stratified_folds
from mlgcn_pyg.training import ExactConfig, HeadConfig, History, fit_head, score
from mlgcn_pyg.typing import Head

REPLICATES = 200  # enough for a standard error


@dataclass(frozen=True)
class SelectionScores:
    """Logits for images that no head was fitted to.

    Attributes:
        images: ``"val"``, or ``"folds"`` of the training images.
        logits: for each kind of head, the logits (N, C) of its runs.
        targets: (N, C).
        folds: the numbers of the images of each fold. Logits of different folds are not compared, since they are of
            different heads: their biases are low for a label that is frequent in the fold, since it is then rare in
            the other folds.
    """

    images: str
    logits: dict[str, list[Tensor]]
    targets: Tensor
    folds: list[Tensor]

    def samples(self, kind: str, progress: Callable[[int], None] | None = None) -> Samples:
        """Returns the mAP (1 + R,) of a kind of head, the mean over the folds, on the images and on samples of them."""
        found = [
            replicates_over_seeds([one[fold] for one in self.logits[kind]], self.targets[fold], REPLICATES, k, progress)
            for k, fold in enumerate(self.folds)
        ]
        return mean_of_defined(np.stack([one.mAP for one in found]), axis=0)


def selection_scores(
    setup: Setup, heads: dict[str, list[Head]], histories: dict[str, list[History]]
) -> SelectionScores:
    """Scores the heads of all kinds on the images that select one of them.

    With a test set, these are the validation images. Otherwise, each kind of head is trained again on the training
    images without those of one fold, for each fold, and scored on this fold. λ and α are those
    that were selected for all training images, and other heads are trained with the seed 0.

    Without a test set, the validation images are used in three cases, in which the same images select and report: the
    recipe is ``"paper"``, the training features do not fit into memory, or there are no two folds.

    Args:
        setup: data and settings.
        heads: the heads of each kind, fitted to all training images.
        histories: their histories.
    """
    rows = open_rows(setup.train, "cpu", setup.stream) if setup.test is None and _has_folds(setup) else None
    if not isinstance(rows, ResidentRows):
        logits = {kind: setup.logits(of_kind, setup.val) for kind, of_kind in heads.items()}
        return SelectionScores("val", logits, setup.val.targets, [torch.arange(len(setup.val))])
    features, targets = rows.features.unflatten(0, (rows.num_images, rows.num_views)), rows.targets
    folds = [torch.from_numpy(f) for f in stratified_folds(targets, _num_folds(setup), seed=setup.exact.seed)]
    logits = {}
    for kind in heads:
        config = fold_config(setup, kind, heads[kind][0], histories[kind][0])
        logits[kind] = [out_of_fold_logits(setup, kind, config, features, targets, folds)]
    return SelectionScores("folds", logits, targets, folds)


def _num_folds(setup: Setup) -> int:
    return min(setup.exact.num_folds(len(setup.train)), len(setup.train))


def _has_folds(setup: Setup) -> bool:
    return setup.config.recipe != "paper" and _num_folds(setup) > 1


def fold_config(setup: Setup, kind: str, head: Head, history: History) -> HeadConfig | ExactConfig:
    """Returns the settings of a kind of head for the training images of a fold.

    The best λ is proportional to 1/N. λ per label is selected again within the training images of each fold.
    """
    config = setup.config_of(kind)
    if isinstance(config, HeadConfig):
        return replace(config, patience=None)  # there is no validation set
    if config.per_label:
        return config
    n = _num_folds(setup)
    alpha = head.base_graph().alpha if isinstance(head, SharingHead) else None
    return replace(config, l2=history.last["l2"] * n / (n - 1), alpha=alpha)


def out_of_fold_logits(
    setup: Setup,
    kind: str,
    config: HeadConfig | ExactConfig,
    features: Tensor,
    targets: Tensor,
    folds: Sequence[Tensor],
) -> Tensor:
    """Returns logits (N, C), each of a head that was trained on the images of all other folds.

    Args:
        setup: data and settings.
        kind: the kind of head.
        config: the settings of its solver.
        features: (N, V, D).
        targets: (N, C).
        folds: the numbers of the images of each fold.
    """
    names = setup.train.label_names
    logits = torch.zeros(targets.shape)
    for k, fold in enumerate(folds):
        inside = torch.ones(len(targets), dtype=torch.bool)
        inside[fold] = False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)  # the head of all training images has warned
            head = setup.design.build(kind, features.size(-1), targets[inside], names, whole=targets)
            fit_head(
                head,
                (features[inside], targets[inside]),
                config=config,
                device=setup.device,
                progress=None if setup.progress is None else partial(setup.progress, f"{kind} folds", k),
                folder=setup.folder_of(f"{kind}-fold{k}"),
            )
        views = setup.config.views
        logits[fold] = score(head, (features[fold], targets[fold]), setup.device, views=views)[0]
    return logits
