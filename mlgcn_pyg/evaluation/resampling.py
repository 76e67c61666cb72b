"""Metrics on bootstrap samples of the images. The weight of an image is the number of times that it is drawn."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Floats = NDArray[np.floating]

CHUNK = 32  # samples at once: their weights of 40,000 images are 5 MB, which fits the cache of a processor
ENTRIES = 1 << 22  # weights at once, to bound memory: images × samples
EXACT = 1 << 24  # float32 holds all integers up to this one


@dataclass(frozen=True)
class Ranking:
    """The images of one label by falling score, cut below each group of equal scores that has a positive image.

    Attributes:
        images: (G, N) 0/1, row g: the images with a known target between cut g − 1 and cut g.
        positives: (G, N) 0/1, row g: the positive images among them.
    """

    images: sp.csr_array
    positives: sp.csr_array

    @classmethod
    def of(cls, scores: Floats, targets: NDArray[np.int8]) -> "Ranking":
        """Sorts the images of a label once for all samples.

        Args:
            scores: (N,) logits.
            targets: (N,) in {-1, 0, 1}; images with −1 are left out.
        """
        known = np.flatnonzero(targets >= 0)
        order = known[np.argsort(-scores[known], kind="stable")]
        sorted_scores, positive = scores[order], targets[order] == 1
        ends = np.append(np.flatnonzero(sorted_scores[1:] != sorted_scores[:-1]) + 1, len(order))  # of equal scores
        group = np.searchsorted(ends, np.flatnonzero(positive), side="right")
        groups, first = np.unique(group, return_index=True)
        cuts = np.append(0, ends[groups])
        return cls(
            _rows(order[: cuts[-1]], cuts, len(targets)),
            _rows(order[positive], np.append(first, len(group)), len(targets)),
        )

    def average_precision(self, weights: Floats) -> NDArray[np.float64]:
        r"""Returns the AP (R,) of R samples; NaN for a sample without a positive image.

        .. math:: AP = \frac{1}{tp_G} \sum_g (tp_g - tp_{g-1}) \frac{tp_g}{predicted_g},

        where :math:`tp_g` and :math:`predicted_g` are the weights of the positive and of all images above cut g.

        Args:
            weights: (N, R) how often each image is in each sample.
        """
        gained = self.positives @ weights
        tp, predicted = (np.cumsum(sums, axis=0, dtype=np.float64) for sums in (gained, self.images @ weights))
        total = tp[-1].copy() if len(tp) else np.zeros(weights.shape[1])
        tp *= gained
        tp /= np.maximum(predicted, 1, out=predicted)
        return np.divide(tp.sum(axis=0), total, out=np.full(len(total), np.nan), where=total > 0)


def image_counts(predicted: NDArray[np.bool_], targets: NDArray[np.int8]) -> NDArray[np.float64]:
    """Returns tp and predicted + positives (2, N) of each image, from (N, C); entries with −1 are ignored."""
    present = targets == 1
    tp = (predicted & present).sum(axis=1)
    either = (predicted & (targets >= 0)).sum(axis=1) + present.sum(axis=1)
    return np.stack([tp, either]).astype(np.float64)


def samples(
    num_images: int, replicates: int, seed: int, progress: Callable[[int], None] | None = None
) -> Iterator[Floats]:
    """Yields weights (N, R) of a few samples at a time: of the images themselves, then of samples with replacement.

    Each sample has N images. It depends on its number, on N and on ``seed``, and not on how many are drawn.

    Args:
        num_images: N.
        replicates: the number of samples with replacement.
        seed: the seed of the samples.
        progress: called with the number of samples with replacement that the caller is done with.
    """
    dtype = np.float32 if num_images < EXACT else np.float64
    yield np.ones((num_images, 1), dtype)
    generator = np.random.default_rng(seed)
    chunk = min(CHUNK, max(1, ENTRIES // max(num_images, 1)))
    for start in range(0, replicates, chunk):
        weights = np.empty((num_images, min(chunk, replicates - start)), dtype)
        for r in range(weights.shape[1]):
            drawn = generator.integers(max(num_images, 1), size=num_images)
            weights[:, r] = np.bincount(drawn, minlength=num_images)
        yield weights
        if progress is not None:
            progress(start + weights.shape[1])


def resampled_metrics(
    scores: Floats, predicted: NDArray[np.bool_], targets: NDArray[np.int8], weights: Iterable[Floats]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns AP (R, C) and OF1 (R,) of R samples; OF1 is 2 tp / (predicted + positives), and 0 without either.

    Requires up to 16 bytes of memory per entry of ``scores``, since the images of each label are sorted once.

    Args:
        scores: (N, C) logits.
        predicted: (N, C) the predicted labels.
        targets: (N, C) in {-1, 0, 1}.
        weights: how often each image is in each sample, for a few samples at a time.
    """
    rankings = [Ranking.of(scores[:, c], targets[:, c]) for c in range(targets.shape[1])]
    counts = image_counts(predicted, targets)
    ap, of1 = [], []
    for few in weights:
        block = np.empty((few.shape[1], len(rankings)))
        for c, ranking in enumerate(rankings):
            block[:, c] = ranking.average_precision(few)
        tp, either = counts @ few
        ap.append(block)
        of1.append(2 * tp / np.maximum(either, 1))
    return np.concatenate(ap), np.concatenate(of1)


def _rows(columns: NDArray[np.intp], pointer: NDArray[np.intp], width: int) -> sp.csr_array:
    """Returns a sparse 0/1 matrix from the columns of its rows."""
    ones = np.ones(len(columns), np.float32 if width < EXACT else np.float64)
    return sp.csr_array((ones, columns.astype(np.int32), pointer.astype(np.int32)), shape=(len(pointer) - 1, width))
