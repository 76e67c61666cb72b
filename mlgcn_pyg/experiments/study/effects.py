"""The metrics of the contenders of one condition, and their effects on each other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlgcn_pyg.checks import check_choice, check_count, check_number, check_positive, check_targets
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation.intervals import mean_of_defined
from mlgcn_pyg.experiments.study.design import Design
from mlgcn_pyg.experiments.study.image_samples import ImageSamples
from mlgcn_pyg.experiments.study.records import Run
from mlgcn_pyg.experiments.study.uncertainty import Effect, effect_of, joint_test

Floats = NDArray[np.float64]
SMALLEST = 0.003  # of mAP: the smallest effect of interest


class Scores:
    """The metrics of the contenders of one condition: on the test images, and on samples of them.

    Samples of a contender are computed when they are first used, and kept: 8 (1 + B + 100) C bytes per split.

    Args:
        runs: the runs of one condition. A contender may lack splits or draws that others have.
        targets: (N_pool, C) in {-1, 0, 1}, of all images of the pool; −1 is ignored.
        shared_test: whether all splits have the same test images.
        overlap: n_test / n_train of overlapping splits of one pool; ignored if ``shared_test``.
        shared_training: the share of a split's training images that another split has too, 1 if all are equal; ignored
            unless ``shared_test``.
        replicates: the number B of bootstrap samples of the images.
        seed: the seed of the samples.

    Raises:
        InputError: if there is no run, two runs are the same, they differ in condition, or in test images where they
            must not, they do not fit the targets, or a number is out of range.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        targets: ArrayLike,
        *,
        shared_test: bool,
        overlap: float = 0.0,
        shared_training: float = 0.0,
        replicates: int = 1000,
        seed: int = 0,
    ):
        check_number("overlap", overlap, 0, float("inf"))
        check_number("shared_training", shared_training, 0, 1)
        self.targets = check_targets("targets", targets).cpu().numpy()
        self.design = Design(shared_test, overlap, shared_training)
        self._runs = _by_split(runs)
        _check_images(runs, self.targets, shared_test)
        images = np.unique(np.concatenate([run.rows for run in runs]))
        self.samples = ImageSamples(images, check_positive("replicates", replicates), check_count("seed", seed))
        self._exact: dict[str, Floats] = {}
        self._sampled: dict[tuple[str, bytes], Floats] = {}

    @property
    def contenders(self) -> tuple[str, ...]:
        """The names of the contenders, in the order of their first runs."""
        return tuple(self._runs)

    @property
    def num_images(self) -> int:
        """The number of test images of all splits."""
        return len(self.samples.rows)

    def splits(self, contender: str) -> tuple[int, ...]:
        """Returns the numbers of the splits that a contender has runs of, ascending."""
        check_choice("contender", contender, self._runs)
        return tuple(self._runs[contender])

    def AP(self, contender: str) -> Floats:
        """Returns the AP (R, C) of each split, a mean over draws; NaN for a label without positive test images."""
        splits = self.splits(contender)
        if (contender, b"") in self._sampled:
            return self._sampled[contender, b""][:, 0]
        if contender not in self._exact:
            rows = [self._split_AP(contender, split, self.targets, resampled=False) for split in splits]
            self._exact[contender] = np.concatenate(rows)
        return self._exact[contender]

    def per_split(self, contender: str) -> Floats:
        """Returns the mAP (R,) of each split, a mean over draws."""
        return mean_of_defined(self.AP(contender), axis=1)

    def undefined(self) -> NDArray[np.int64]:
        """Returns in how many splits each label has no positive test image, (C,); there, it is left out of the mean."""
        rows = {split: few[0].rows for runs in self._runs.values() for split, few in runs.items()}
        present = [(self.targets[images] == 1).any(axis=0) for images in rows.values()]
        return len(rows) - np.sum(present, axis=0)

    def effect(
        self,
        a: str,
        b: str,
        *,
        labels: ArrayLike | None = None,
        context: ArrayLike | None = None,
        smallest: float = SMALLEST,
    ) -> Effect:
        """Returns the effect a − b over the splits that both contenders have.

        Args:
            a: the name of a contender.
            b: the name of another one.
            labels: the numbers of the labels to average over; default: all.
            context: (N_pool, C) whether a target counts. The others are ignored, as −1 is.
            smallest: the smallest effect of interest, a fraction of mAP, > 0.

        Raises:
            InputError: if a contender is absent, the two have no split in common, or an argument is not valid.
        """
        check_number("smallest", smallest, 0, 1, open_low=True)
        differences = self._differences(a, b, context)[:, :, self._columns(labels)]
        defined = ~np.isnan(differences[:, 0])
        constant = all(self._is_constant(name, a, b) for name in (a, b))
        return effect_of(
            mean_of_defined(differences, axis=2),
            self.samples.replicates,
            self.design,
            constant=constant,
            smallest=smallest,
            sizes={"num_images": self.num_images, "num_labels": int(defined.any(axis=0).sum())},
        )

    def label_tests(self, a: str, b: str) -> tuple[Floats, Floats]:
        """Returns the effects (C,) on the AP of each label, and their p values over images and splits together.

        Args:
            a: the name of a contender.
            b: the name of another one.
        """
        differences = self._differences(a, b, None)
        tests = [joint_test(column, self.samples.replicates, self.design) for column in differences.transpose(2, 0, 1)]
        return mean_of_defined(differences[:, 0], axis=0), np.array(tests)

    def _common_splits(self, a: str, b: str) -> list[int]:
        common = sorted(set(self.splits(a)) & set(self.splits(b)))
        if not common:
            raise InputError("b", f"a contender with runs on the splits of {a}", f"{b}, which has none of them")
        return common

    def _is_constant(self, contender: str, a: str, b: str) -> bool:
        """Returns whether all common splits, two at least, have the same AP."""
        rows = self.AP(contender)[np.isin(self.splits(contender), self._common_splits(a, b))]
        return self.design.shared_test and len(rows) > 1 and np.array_equal(rows[1:], rows[:-1], equal_nan=True)

    def _columns(self, labels: ArrayLike | None) -> NDArray[np.int64]:
        num_labels = self.targets.shape[1]
        if labels is None:
            return np.arange(num_labels)
        columns = np.asarray(labels)
        if columns.ndim != 1 or not len(columns) or columns.dtype.kind not in "iu":
            raise InputError("labels", "a list of label numbers", f"{columns.dtype} of shape {columns.shape}")
        if columns.min() < 0 or columns.max() >= num_labels or len(np.unique(columns)) < len(columns):
            raise InputError("labels", f"different numbers in 0…{num_labels - 1}", columns.tolist())
        return columns

    def _differences(self, a: str, b: str, context: ArrayLike | None) -> Floats:
        """Returns the difference in AP (R, 1 + B + J, C) on each common split."""
        common = self._common_splits(a, b)
        first, second = (self._resampled(name, context)[np.isin(self.splits(name), common)] for name in (a, b))
        return first - second

    def _resampled(self, contender: str, context: ArrayLike | None) -> Floats:
        """Returns the AP (R, 1 + B + J, C) of a contender on its splits."""
        targets, key = self.targets, (contender, b"")
        if context is not None:
            counts = np.asarray(context)
            if counts.dtype != bool or counts.shape != self.targets.shape:
                found = f"{counts.dtype} of shape {counts.shape}"
                raise InputError("context", f"booleans of the shape of targets, {self.targets.shape}", found)
            targets, key = np.where(counts, targets, np.int8(-1)), (contender, np.packbits(counts).tobytes())
        if key not in self._sampled:
            self._sampled[key] = np.stack([self._split_AP(contender, r, targets) for r in self.splits(contender)])
        return self._sampled[key]

    def _split_AP(self, contender: str, split: int, targets: NDArray[np.int8], *, resampled: bool = True) -> Floats:
        """Returns the AP (1 + B + J, C) of a contender on one split, a mean over its draws."""
        draws = self._runs[contender][split]
        return np.mean([self.samples.AP(run, targets[run.rows], resampled=resampled) for run in draws], axis=0)


def _by_split(runs: Sequence[Run]) -> dict[str, dict[int, list[Run]]]:
    """Returns the runs of each contender and split, by ascending split and draw."""
    if not runs:
        raise InputError("runs", "at least one run", "none")
    keys = [run.key for run in runs]
    if len({key.condition for key in keys}) > 1:
        raise InputError("runs", "runs of one condition", "; ".join(sorted({str(key.condition) for key in keys})))
    if len(set(keys)) < len(keys):
        raise InputError("runs", "different runs", f"two of {max(keys, key=keys.count)}")
    found: dict[str, dict[int, list[Run]]] = {key.contender: {} for key in keys}
    for run in sorted(runs, key=lambda run: (run.key.split, run.key.draw)):
        found[run.key.contender].setdefault(run.key.split, []).append(run)
    return found


def _check_images(runs: Sequence[Run], targets: NDArray[np.int8], shared_test: bool) -> None:
    """Checks that the runs of a split, or all runs, have the same test images, and that these have targets."""
    first: dict[int, Run] = {}
    for run in runs:
        name = f"{run.key.contender} on split {run.key.split}"
        if run.logits.shape != (len(run.rows), targets.shape[1]) or not np.isfinite(run.logits).all():
            expected = f"finite logits of shape {(len(run.rows), targets.shape[1])}"
            raise InputError("runs", expected, f"shape {run.logits.shape} or NaN, {name}")
        if not len(run.rows) or run.rows[0] < 0 or run.rows[-1] >= len(targets) or (np.diff(run.rows) <= 0).any():
            raise InputError("runs", f"ascending numbers of the {len(targets)} images of targets", f"others, {name}")
        other = first.setdefault(0 if shared_test else run.key.split, run)
        if not np.array_equal(run.rows, other.rows):
            expected = "the same test images on all splits" if shared_test else "the same test images on one split"
            raise InputError("runs", expected, f"other images in {name} than in {other.key.contender}")
