"""Estimates the duration of a study from short trials, before it starts.

A run trains three candidates, reads features and scores them. The time of a candidate is that of

* SGD: the number of its steps, times the measured time of a step, which depends on the layers of the head, on whether
  its edges are learned, and on the size of a batch;
* the exact solver: a fit to at most 300 images, times a power of the ratio of the numbers of images.

Measured on coco30k (18 labels, 1,280 features) in one process: 2.8 and 11 s were expected of studies at 300 images that
took 2.9 and 9 s, the first with exact heads only. The exponent is that of exact fits to 300, 5,000 and 20,000 images.
The estimate does not know what else the computer does, nor how much worker processes slow each other down: with two of
them on two cores that other programs used too, a study took three times as long.
"""

import math
import os
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from mlgcn_pyg.errors import InputWarning
from mlgcn_pyg.experiments.study.building import build_head
from mlgcn_pyg.experiments.study.contenders import Contender
from mlgcn_pyg.experiments.study.data import StudyData
from mlgcn_pyg.experiments.study.plan import Plan
from mlgcn_pyg.experiments.study.records import Condition, RunKey
from mlgcn_pyg.experiments.study.running import FACTORS, Trainer
from mlgcn_pyg.experiments.study.storage import read_run
from mlgcn_pyg.seeding import one_thread
from mlgcn_pyg.training import HeadConfig, fit_head, score
from mlgcn_pyg.training.heads.recipe import batch_size, num_epochs

MOST_IMAGES = 300  # of an exact trial
GROWTH = 0.85  # exponent of the time of an exact fit by the number of images
STEPS = 12  # of a trial of SGD


def estimate_seconds(
    data: StudyData, plan: Plan, folder: str | Path, *, device: str | torch.device = "cpu", workers: int = 1
) -> float:
    """Returns the expected duration of the runs of a plan that are not finished in ``folder``, in seconds.

    The arguments are those of :func:`~mlgcn_pyg.experiments.study.run_study`. The trials take a few seconds.
    """
    folder, num_labels = Path(folder), len(data.label_names)
    missing = [key for key in plan.keys(data) if read_run(folder, key, num_labels) is None]
    trials, contenders = Trials(data, device), plan.contenders
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        seconds = sum(trials.run_seconds(contenders[key.contender], key.condition) for key in missing)
    return seconds / max(1, min(workers, len(missing), os.cpu_count() or 1))


class Trials:
    """Measured times of parts of runs, each of which is measured once.

    Args:
        data: the data of the study.
        device: the device to train on.
    """

    def __init__(self, data: StudyData, device: str | torch.device):
        self.data, self.device = data, device
        self.measured: dict[tuple[Any, ...], float] = {}

    def run_seconds(self, contender: Contender, condition: Condition) -> float:
        """Returns the expected duration of a run."""
        num_images = self.data.num_train(condition)
        fit = self._exact_seconds if contender.is_exact else self._sgd_seconds
        return len(FACTORS) * fit(contender, num_images) + self._scoring_seconds(contender)

    def _sgd_seconds(self, contender: Contender, num_images: int) -> float:
        config = HeadConfig()
        size = batch_size(config, num_images)
        steps = num_epochs(config, num_images) * math.ceil(num_images / size)
        shape = (contender.num_layers, contender.learn_edges, contender.features, size)

        def trial() -> float:
            trainer, head = self._prepared(contender, min(num_images, STEPS * size))
            steps_per_epoch = math.ceil(len(trainer.train[1]) / size)
            epochs = math.ceil(STEPS / steps_per_epoch)
            given = {"lr": 1e-6, "weight_decay": 0.0, "batch_size": size}  # the recipe has nothing to compute
            self._seconds_of_fit(trainer, head, given | {"epochs": 1})  # the first steps take longer
            return self._seconds_of_fit(trainer, head, given | {"epochs": epochs}) / (epochs * steps_per_epoch)

        return steps * self._once(shape, trial)

    def _seconds_of_fit(self, trainer: Trainer, head: Any, settings: Mapping[str, Any]) -> float:
        began = time.perf_counter()
        fit_head(head, trainer.train, config=HeadConfig(**settings), device=self.device)
        return time.perf_counter() - began

    def _exact_seconds(self, contender: Contender, num_images: int) -> float:
        few = min(num_images, MOST_IMAGES)

        def trial() -> float:
            trainer, head = self._prepared(contender, few)
            penalty = trainer.prepare(head)
            began = time.perf_counter()
            trainer.fit(head, penalty)
            return time.perf_counter() - began

        return (num_images / few) ** GROWTH * self._once((contender.kind, contender.features, few), trial)

    def _scoring_seconds(self, contender: Contender) -> float:
        """Returns the time in which features are read and scored."""
        pool, split = self.data.pool(contender.features), self.data.splits[0]

        def trial() -> float:
            _, head = self._prepared(contender, 1)
            began = time.perf_counter()
            for rows in (split.val, split.test):
                score(head, (pool.first_views(rows), self.data.targets[rows]), self.device)
            return time.perf_counter() - began

        return self._once(("scoring", contender.features), trial)

    def _prepared(self, contender: Contender, num_images: int) -> tuple[Trainer, Any]:
        """Returns what trains a contender on some images of the first split, and its new head."""
        rows = self.data.splits[0].train[:num_images]
        targets = self.data.targets[rows]
        head = build_head(contender, self.data, targets, RunKey(contender.name, Condition(), 0))
        pool = self.data.pool(contender.features)
        return Trainer(contender, (pool.views(rows), targets), self.device, 0), head.to(self.device)

    def _once(self, key: tuple[Any, ...], trial: Callable[[], float]) -> float:
        if key not in self.measured:
            self.measured[key] = trial()
        return self.measured[key]
