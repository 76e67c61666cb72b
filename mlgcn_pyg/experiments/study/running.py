r"""One run of a study: fits the candidates of a contender, selects one on validation images, and scores it.

All contenders have the same candidates: the factors 1/3, 1 and 3 of the penalty under which the classifiers have a
Gaussian prior whose logits have a standard deviation of 2 (:mod:`mlgcn_pyg.training.heads.recipe`),

.. math:: \lambda = \frac{1}{C} \cdot \frac{E \|\tilde{x}\|^2}{4 N} \cdot \frac{\|S\|_F^2}{C}.

It is the weight decay of heads that are trained by SGD, and C λ is the penalty of heads that are fitted exactly. Heads
with a GNN of PyG are trained by AdamW, whose weight decay 0.01 has the same factors.
"""

import copy
import time
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.errors import InputWarning
from mlgcn_pyg.evaluation import mean_average_precision
from mlgcn_pyg.experiments.study.building import build_head
from mlgcn_pyg.experiments.study.contenders import Contender
from mlgcn_pyg.experiments.study.data import StudyData
from mlgcn_pyg.experiments.study.records import Run, RunKey
from mlgcn_pyg.graph.kernel import KERNEL
from mlgcn_pyg.training import ExactConfig, HeadConfig, fit_head, score
from mlgcn_pyg.training.divergence import NonFiniteLossError
from mlgcn_pyg.training.heads.preparation import prepare_heads
from mlgcn_pyg.training.heads.scoring import open_source
from mlgcn_pyg.typing import Head

FACTORS = (1 / 3, 1.0, 3.0)
SMALLEST = 1e-12  # penalty
ALPHA = 0.6  # of a sharing head; its results hardly depend on it

Labelled = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Candidate:
    """A fitted head, its mAP on the validation images, and the seconds of its fit."""

    head: Head
    factor: float
    val_mAP: float
    seconds: float


def compute_run(key: RunKey, contender: Contender, data: StudyData, device: str | torch.device = "cpu") -> Run:
    """Computes a run.

    A candidate whose loss is not finite does not count. If none remains, all logits are 0, and ``val_mAP`` is NaN.

    Args:
        key: the name of the run.
        contender: the contender.
        data: the data of the study.
        device: the device to train on.

    Raises:
        InputError: if the features of the contender are not given.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # few images often lack a label
        return _compute(key, contender, data, device)


def _compute(key: RunKey, contender: Contender, data: StudyData, device: str | torch.device) -> Run:
    pool, part = data.pool(contender.features), data.part(key.split, key.condition)
    trainer = Trainer(contender, (pool.views(part.train), part.train_targets), device, key.split)
    val = (pool.first_views(part.val), part.val_targets)
    rows = data.splits[key.split].test
    start = build_head(contender, data, part.train_targets, key)
    penalty = trainer.prepare(start)
    found = [_candidate(trainer, start, factor, penalty, val) for factor in FACTORS]
    candidates = [candidate for candidate in found if candidate is not None]
    if not candidates:
        nothing = np.zeros((len(rows), len(data.label_names)), np.float32)
        return Run(key, rows, nothing, np.nan, np.nan, np.nan, _size(start))
    best = max(candidates, key=_rank)
    logits = score(best.head, (pool.first_views(rows), data.targets[rows]), device)[0].numpy()
    return Run(key, rows, logits, best.val_mAP, best.seconds, best.factor, _size(best.head))


def _rank(candidate: Candidate) -> tuple[float, float]:
    """Returns the mAP on validation images; the factor next to 1 decides between equal or undefined ones."""
    mean = -1.0 if np.isnan(candidate.val_mAP) else candidate.val_mAP
    return mean, -abs(np.log(candidate.factor))


@dataclass(frozen=True)
class Trainer:
    """Trains the head of a contender.

    Attributes:
        contender: the contender.
        train: features (n, V, D) and targets (n, C).
        device: the device to train on.
        seed: the seed of the order of the images.
    """

    contender: Contender
    train: Labelled
    device: str | torch.device
    seed: int

    def prepare(self, head: Head) -> float:
        """Gives a head its statistics and initial weights, and returns its penalty for the factor 1."""
        source = open_source(self.train, head.to(self.device), self.device)
        (settings,) = prepare_heads([head], [HeadConfig()], source)
        return settings.weight_decay * (head.num_labels if self.contender.is_exact else 1)

    def fit(self, head: Head, penalty: float) -> None:
        """Trains a prepared head in place."""
        config: HeadConfig | ExactConfig = HeadConfig(weight_decay=penalty, seed=self.seed)
        if self.contender.is_exact:
            # features that are constant, as those of one image are, leave no penalty
            config = ExactConfig(l2=max(penalty, SMALLEST), alpha=ALPHA if self.contender.weighting == KERNEL else None)
        fit_head(head, self.train, config=config, device=self.device)


def _candidate(trainer: Trainer, start: Head, factor: float, penalty: float, val: Labelled) -> Candidate | None:
    head = copy.deepcopy(start)
    began = time.perf_counter()
    try:
        trainer.fit(head, factor * penalty)
    except NonFiniteLossError:
        return None
    seconds = time.perf_counter() - began
    if not all(parameter.isfinite().all() for parameter in head.parameters()):
        return None
    return Candidate(head, factor, mean_average_precision(*score(head, val, trainer.device)), seconds)


def _size(head: Head) -> int:
    return sum(p.numel() for p in head.parameters() if p.requires_grad)
