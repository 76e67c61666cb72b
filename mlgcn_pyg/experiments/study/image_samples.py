"""AP of runs on their test images, on bootstrap samples of them, and without groups of them."""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from mlgcn_pyg.evaluation.resampling import CHUNK, Floats, resampled_metrics, samples
from mlgcn_pyg.experiments.study.records import Run

FEWEST_FOR_BCA = 500  # test images; with fewer, the acceleration says little
KEPT = 1 << 24  # weights that are kept for all runs, 64 MiB; more are drawn again for each run
GROUPS = 100  # that are left out in turn: their skewness has the standard error 0.25, and the acceleration 0.004


class ImageSamples:
    """Samples of the test images of all splits. All runs are scored on the same samples.

    An image is drawn equally often in all splits that test on it, so that the samples show the dependence of splits
    whose test images overlap.

    Args:
        rows: (N,) the numbers of the images that at least one split tests on, ascending.
        replicates: the number B of bootstrap samples.
        seed: the seed of the samples and of the groups.

    Attributes:
        num_groups: the number J of random groups that are left out in turn; 0 for fewer than 500 images.
    """

    def __init__(self, rows: NDArray[np.int64], replicates: int, seed: int):
        self.rows, self.replicates, self.seed = rows, replicates, seed
        self.num_groups = GROUPS if len(rows) >= FEWEST_FOR_BCA else 0
        self._kept: list[Floats] = []

    def AP(self, run: Run, targets: NDArray[np.int8], *, resampled: bool = True) -> NDArray[np.float64]:
        """Returns the AP (1 + B + J, C) of a run: on its test images, on B samples, and without each of J groups.

        Args:
            run: the run.
            targets: (n, C) in {-1, 0, 1}, of its test images.
            resampled: False returns the first row only, (1, C).
        """
        weights = self._weights(run.rows) if resampled else iter([np.ones((len(run.rows), 1), np.float32)])
        ignored = np.zeros(targets.shape, dtype=bool)  # the predicted labels, which AP does not need
        return resampled_metrics(run.logits, ignored, targets, weights)[0]

    def _weights(self, rows: NDArray[np.int64]) -> Iterator[Floats]:
        place = np.searchsorted(self.rows, rows)
        everywhere = len(rows) == len(self.rows)
        for few in self._all_weights():
            yield few if everywhere else few[place]

    def _all_weights(self) -> Iterable[Floats]:
        """Returns weights (N, …) of the images themselves, of the samples, and without the groups."""
        if self._kept:
            return self._kept
        drawn = chain(samples(len(self.rows), self.replicates, self.seed), self._without_groups())
        if len(self.rows) * (1 + self.replicates + self.num_groups) > KEPT:
            return drawn
        self._kept = list(drawn)
        return self._kept

    def _without_groups(self) -> Iterator[Floats]:
        if not self.num_groups:
            return
        group = np.arange(len(self.rows)) % self.num_groups
        np.random.default_rng((self.seed, 1)).shuffle(group)
        for start in range(0, self.num_groups, CHUNK):
            left_out = np.arange(start, min(start + CHUNK, self.num_groups))
            yield (group[:, None] != left_out).astype(np.float32)
