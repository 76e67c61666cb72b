"""What all heads of a comparison share: data, settings and device."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg.experiments.kinds import HeadDesign
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.training import ExactConfig, HeadConfig, History, fit_heads
from mlgcn_pyg.training.heads.scoring import open_source, source_logits
from mlgcn_pyg.training.history import Record
from mlgcn_pyg.training.trackers import Trackers
from mlgcn_pyg.typing import Head

Progress = Callable[[str, int, Record], None]
LONG = 10**9  # logits to resample, about two seconds


@dataclass(frozen=True)
class Setup:
    """The data and settings of a comparison; see :func:`~mlgcn_pyg.experiments.compare_heads`."""

    train: FeatureCache
    val: FeatureCache
    test: FeatureCache | None
    design: HeadDesign
    config: HeadConfig
    exact: ExactConfig
    device: str | torch.device = "cpu"
    stream: bool | None = None
    folder: Path | None = None
    progress: Progress | None = None
    trackers: Trackers | None = None

    @property
    def reported(self) -> FeatureCache:
        """The images that the results are reported on."""
        return self.val if self.test is None else self.test

    def is_exact(self, kind: str) -> bool:
        """Whether a kind of head is fitted by the exact solver."""
        return solves_exactly(kind, self.config)

    def config_of(self, kind: str) -> HeadConfig | ExactConfig:
        """Returns the settings of the solver of a kind of head. λ and α are selected on ``val`` if there is a test."""
        if not self.is_exact(kind):
            return self.config
        return replace(self.exact, select="folds" if self.test is None else "val")

    def fit(self, kind: str, seeds: int) -> tuple[list[Head], list[History]]:
        """Trains heads of one kind with the seeds 0, 1, … together."""
        names, width = self.train.label_names, self.train.num_features
        heads = [self.design.build(kind, width, self.train.targets, names, seed) for seed in range(seeds)]
        histories = fit_heads(
            heads,
            self.train,
            self.val,
            self.config_of(kind),
            names=[f"{kind}-seed{seed}" for seed in range(seeds)],
            device=self.device,
            progress=None if self.progress is None else partial(self.progress, kind),
            log_with=self.trackers,
            stream=self.stream,
            folder=self.folder_of(kind),
        )
        return list(heads), histories

    def folder_of(self, name: str) -> Path | None:
        """Returns the folder of one run, or None."""
        return None if self.folder is None else self.folder / name

    def resampling(self, kind: str, targets: Tensor, replicates: int) -> Callable[[int], None] | None:
        """Returns a function that reports how many samples are done for a kind of head; None if they take no time."""
        progress = self.progress
        if progress is None or replicates * targets.numel() < LONG:
            return None
        return lambda done: progress(f"{kind} samples", 0, {"done": done, "total": replicates})

    def logits(self, heads: list[Head], cache: FeatureCache) -> list[Tensor]:
        """Returns the logits (N, C) of each head for the images of a cache, on the CPU."""
        source = open_source(cache, heads[0], self.device, self.stream)
        return [logits.cpu() for logits in source_logits(heads, source, self.config.views)[0]]


def solves_exactly(kind: str, config: HeadConfig) -> bool:
    """Returns whether a kind of head is fitted by the exact solver: linear and sharing heads, except for the paper's.

    >>> solves_exactly("linear", HeadConfig()), solves_exactly("linear", HeadConfig(recipe="paper"))
    (True, False)
    """
    return kind in ("linear", "sharing") and config.recipe != "paper"
