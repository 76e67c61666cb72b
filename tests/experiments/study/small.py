"""Small studies: features whose first columns tell the labels, and a cache of them."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mlgcn_pyg.experiments.study import Condition, Plan, StudyData, data_of_parts, data_of_pool, make_plan
from mlgcn_pyg.features import FeatureCache

NAMES = ("a", "b", "c", "d")
WIDTH = 12  # of the features
SMALL = {  # values of modules with which heads are narrow and make a few steps
    "mlgcn_pyg.experiments.study.building": {"WIDTH": 8},
    "mlgcn_pyg.training.heads.recipe": {"STEPS": 6, "EPOCHS": 2},
}
ALL = Condition()
CONTENDERS = ("linear", "sharing", "mlp")  # of program.py
DIES_AFTER = 5  # of 12 runs of program.py


def drawn(num_images: int, seed: int, *, num_labels: int = 4, views: int = 1) -> tuple[Tensor, Tensor]:
    """Returns features (N, V, D) and targets (N, C): each label is present in a third of the images."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(num_images, views, WIDTH)).astype(np.float32)
    noisy = features[:, 0, :num_labels] + 0.5 * generator.normal(size=(num_images, num_labels))
    return torch.from_numpy(features), torch.from_numpy((noisy > 0.45).astype(np.int8))


def cache(path: Path, num_images: int, seed: int = 0, *, targets: Tensor | None = None, **options) -> FeatureCache:
    """Writes a cache of drawn features, with other targets if they are given."""
    features, own = drawn(num_images, seed, **options)
    targets = own if targets is None else targets
    names = [NAMES[k % 4] + str(k // 4 or "") for k in range(targets.size(1))]
    ids = [f"{path.stem}{row}" for row in range(num_images)]
    return FeatureCache.from_arrays(path, features, targets, names, ids=ids)


def parts(folder: Path, *, val: bool = True, num_splits: int = 2, **options) -> StudyData:
    """Returns the data of a study of 80 training, 40 validation and 60 test images."""
    caches = {name: cache(folder / f"{name}.h5", n, k) for k, (name, n) in enumerate(SIZES.items())}
    options = {"embeddings": embeddings(), "num_splits": num_splits} | options
    return data_of_parts(caches["train"], caches["test"], caches["val"] if val else None, **options)


def pool(folder: Path, num_images: int = 100, *, num_splits: int = 2, **options) -> StudyData:
    """Returns the data of a study on splits of one cache."""
    return data_of_pool(cache(folder / "all.h5", num_images), num_splits=num_splits, **options)


def embeddings(num_labels: int = 4) -> Tensor:
    """Returns label embeddings (C, 6)."""
    return torch.from_numpy(np.random.default_rng(9).normal(size=(num_labels, 6)).astype(np.float32))


SIZES = {"train": 80, "val": 40, "test": 60}


def opened(folder: Path) -> StudyData:
    """Returns the data of :func:`parts` without writing the caches again."""
    caches = [FeatureCache(folder / f"{name}.h5") for name in ("train", "test", "val")]
    return data_of_parts(*caches, embeddings=embeddings(), num_splits=4)


def make_small(monkeypatch) -> None:
    """Sets the values of :data:`SMALL`."""
    for module, values in SMALL.items():
        for name, value in values.items():
            monkeypatch.setattr(f"{module}.{name}", value)


def plan_of(data: StudyData) -> Plan:
    """Returns the plan of program.py."""
    return make_plan(data, (), CONTENDERS, num_images=60)
