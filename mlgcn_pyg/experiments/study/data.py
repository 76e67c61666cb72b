"""The images of a study, and its splits into training, validation and test images."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.checks import check_positive
from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.experiments.study.label_embeddings import Embeddings, named_embeddings
from mlgcn_pyg.experiments.study.pool import Indices, Pool, check_caches, check_positives
from mlgcn_pyg.experiments.study.records import Condition
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.labels import check_same_labels
from mlgcn_pyg.seeding import derived_seed
from mlgcn_pyg.stratification import stratified_split

SHARES = (0.6, 0.2, 0.2)  # of training, validation and test images, if one cache is split
FEWEST = 4  # images that can be divided with these shares
VAL_SHARE = 0.2  # of the training images, if there are no validation images


@dataclass(frozen=True, eq=False)
class Split:
    """The numbers of the images of each part, ascending."""

    train: Indices
    val: Indices
    test: Indices


@dataclass(frozen=True, eq=False)
class Part:
    """The training and validation data of a run.

    Attributes:
        train: the numbers of the training images.
        train_targets: (n, C), with −1 for hidden targets.
        val: the numbers of the validation images.
        val_targets: (m, C), likewise.
    """

    train: Indices
    train_targets: Tensor
    val: Indices
    val_targets: Tensor


@dataclass(frozen=True, eq=False)
class StudyData:
    """The data of a study.

    Attributes:
        pools: features of the same images by name: ``"features"``, and optionally ``"average"``.
        targets: (N, C) of all images.
        label_names: the C names.
        splits: the splits, which are the same for all contenders.
        shared_test: whether all splits have the same test images.
        graph: a given label graph; None mines one from the training targets of each run.
        embeddings: (C, F) label embeddings; None for one-hot labels.
        further: further label embeddings by name, for contenders that are compared with those of ``embeddings``.
        embeddings_name: the name of ``embeddings``.
        seed: the seed of splits, hidden targets and controls.
    """

    pools: Mapping[str, Pool] = field(repr=False)
    targets: Tensor = field(repr=False)
    label_names: tuple[str, ...]
    splits: tuple[Split, ...] = field(repr=False)
    shared_test: bool
    graph: LabelGraph | None = None
    embeddings: Tensor | None = None
    seed: int = 0
    further: Mapping[str, Tensor] = field(default_factory=dict)
    embeddings_name: str = "given"
    _drawings: dict[tuple[str, int, int], Indices] = field(default_factory=dict, init=False, repr=False)

    def pool(self, name: str) -> Pool:
        """Returns the features ``"features"`` or ``"average"``.

        Raises:
            InputError: if they are not given.
        """
        if name not in self.pools:
            raise InputError(name, "further features of the same images", "none")
        return self.pools[name]

    def num_train(self, condition: Condition) -> int:
        """Returns the number of training images of a condition."""
        most = min(len(split.train) for split in self.splits)
        return most if condition.num_images is None else min(condition.num_images, most)

    def overlap(self, condition: Condition) -> float:
        """Returns the test images per training image of splits of one pool; 0 for fixed test images."""
        return 0.0 if self.shared_test else len(self.splits[0].test) / self.num_train(condition)

    def part(self, split: int, condition: Condition) -> Part:
        """Returns the training and validation data of a run.

        With ``num_images`` = n, n training images and at most n validation images are drawn with the shares of the
        labels. Targets of both are hidden. The targets that are hidden for a small share of unknown targets are also
        hidden for a larger one.
        """
        whole = self.splits[split]
        train = self._drawn(whole.train, condition.num_images, "train", split)
        val = self._drawn(whole.val, condition.num_images, "val", split)
        return Part(train, self._known(train, condition, split), val, self._known(val, condition, split))

    def _drawn(self, rows: Indices, num_images: int | None, name: str, split: int) -> Indices:
        if num_images is None or num_images >= len(rows):
            return rows
        place = (name, split, num_images)
        if place not in self._drawings:  # all contenders draw the same images, which takes longer than some fits
            sizes = (num_images, len(rows) - num_images)
            drawn = stratified_split(self.targets[rows], sizes, seed=derived_seed(self.seed, name, split))[0]
            self._drawings[place] = rows[drawn]
        return self._drawings[place]

    def _known(self, rows: Indices, condition: Condition, split: int) -> Tensor:
        targets = self.targets[rows].clone()
        if condition.unknown:
            seed = derived_seed(self.seed, "unknown", split)
            shares = np.random.default_rng(seed).random((len(self.targets), targets.size(1)), np.float32)
            targets[torch.from_numpy(shares[rows] < condition.unknown)] = -1
        return targets


def data_of_parts(
    train: FeatureCache,
    test: FeatureCache,
    val: FeatureCache | None = None,
    *,
    average: Mapping[str, FeatureCache] | None = None,
    num_splits: int = 10,
    graph: LabelGraph | None = None,
    embeddings: Embeddings = None,
    seed: int = 0,
) -> StudyData:
    """Returns the data of a study with a fixed test set. Splits differ in the images that a condition draws.

    Args:
        train: the training features.
        test: the test features.
        val: the validation features; None takes a fifth of the training images of each split.
        average: further features of the same images by part (``"train"``, ``"test"`` and ``"val"``), such as those
            with average pooling.
        num_splits: the number R of splits.
        graph: a label graph that is not built from test images, for the contenders with the default τ and its kind of
            weighting, kernel or not. The others, and all by default, mine one from the training targets of each run.
        embeddings: (C, F) label embeddings; default: those of ``graph``. A dict of several by name trains all
            contenders with the first, and ``"mlgcn"`` with each of the others too.
        seed: the seed of the splits.

    Raises:
        InputError: if caches differ in labels or widths, have no images, or are the same; if no test image has a
            label; if ``average`` has other images.
    """
    check_positive("num_splits", num_splits)
    parts = {"train": train, "val": val, "test": test}
    given = {name: cache for name, cache in parts.items() if cache is not None}
    check_caches(given)
    check_positives("test", test.targets)
    pool = Pool(tuple(given.values()))
    rows = {
        name: np.arange(start, start + len(cache))
        for (name, cache), start in zip(given.items(), pool.starts, strict=True)
    }
    splits = tuple(_fixed_split(rows, train.targets, derived_seed(seed, "split", r)) for r in range(num_splits))
    data = _study_data(pool, splits, True, graph, embeddings, seed)
    return data if average is None else _with_average(data, {name: average.get(name) for name in given})


def data_of_pool(
    cache: FeatureCache,
    *,
    average: FeatureCache | None = None,
    num_splits: int = 10,
    graph: LabelGraph | None = None,
    embeddings: Embeddings = None,
    seed: int = 0,
) -> StudyData:
    """Returns the data of a study on stratified splits of one cache: 60 % training, 20 % validation, 20 % test images.

    Args:
        cache: the features.
        average: further features of the same images.
        num_splits: the number R of splits.
        graph: as in :func:`data_of_parts`.
        embeddings: as in :func:`data_of_parts`.
        seed: the seed of the splits.

    Raises:
        InputError: if the cache has fewer than 4 images, or none with a label; if ``average`` has other images.
    """
    check_positive("num_splits", num_splits)
    if len(cache) < FEWEST:
        raise InputError("cache", f"at least {FEWEST} images, which are divided into three parts", len(cache))
    check_positives("cache", cache.targets)
    seeds = (derived_seed(seed, "split", r) for r in range(num_splits))
    splits = tuple(Split(*stratified_split(cache.targets, SHARES, seed=one)) for one in seeds)
    data = _study_data(Pool((cache,)), splits, False, graph, embeddings, seed)
    return data if average is None else _with_average(data, {"train": average})


def _with_average(data: StudyData, caches: Mapping[str, FeatureCache | None]) -> StudyData:
    """Adds further features of the same images."""
    expected = "features of the same images in the same order for each part"
    given = {name: cache for name, cache in caches.items() if cache is not None}
    if lacking := caches.keys() - given.keys():
        raise InputError("average", expected, f"none for {', '.join(sorted(lacking))}")
    pool, found = data.pools["features"], Pool(tuple(given.values()))
    if found.ids != pool.ids or not torch.equal(found.targets, pool.targets):
        raise InputError("average", expected, "other images or targets")
    if len(widths := {cache.num_features for cache in found.caches}) > 1:
        raise InputError("average", "features of one width", f"widths {', '.join(map(str, sorted(widths)))}")
    return replace(data, pools={**data.pools, "average": found})


def _study_data(
    pool: Pool,
    splits: tuple[Split, ...],
    shared_test: bool,
    graph: LabelGraph | None,
    embeddings: Embeddings,
    seed: int,
) -> StudyData:
    names = pool.caches[0].label_names
    if graph is not None:
        check_same_labels("graph", graph.label_names, names, "the features")
        embeddings = graph.x if embeddings is None else embeddings
    named = named_embeddings(embeddings, len(names))
    first = next(iter(named), "given")
    x, pools = named.pop(first, None), {"features": pool}
    return StudyData(pools, pool.targets, names, splits, shared_test, graph, x, seed, named, first)


def _fixed_split(rows: Mapping[str, Indices], targets: Tensor, seed: int) -> Split:
    if "val" in rows:
        return Split(rows["train"], rows["val"], rows["test"])
    if len(targets) < 3:
        raise InputError("train", "at least three images, to validate too", len(targets), ("pass ", Argument("val")))
    train, val = stratified_split(targets, (1 - VAL_SHARE, VAL_SHARE), seed=seed)
    return Split(rows["train"][train], rows["train"][val], rows["test"])
