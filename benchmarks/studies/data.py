"""Makes the feature caches of the studies: data sets of several kinds, and generated data with a known answer.

    python benchmarks/studies/data.py NAME --out FOLDER [--source PATH] [--images N] [--seed SEED]

========== ======================================================================== ==================== ===============
name       what                                                                     files                known answer
========== ======================================================================== ==================== ===============
yeast      2,417 genes of yeast, 103 measurements, 14 functional classes            all.h5               –
coco30k    30,000 COCO photographs, 1,280 features of MobileNetV2, 18 labels        train, val, test.h5  –
unrelated  generated: each label is a linear function of the features of its own    train, val, test.h5  no gain
groups     generated: labels of a group have similar classifiers and co-occur       train, val, test.h5  gain, with few
                                                                                                         known targets
half       generated: the first half of the labels as in groups, the rest unrelated train, val, test.h5  gain in the
                                                                                                         first half
========== ======================================================================== ==================== ===============

``yeast`` is in the package river (``pip install river``, or ``pip download --no-deps river`` and ``--source`` with the
wheel): A. Elisseeff and J. Weston, `A kernel method for multi-labelled classification
<https://papers.nips.cc/paper/2001/hash/39dcaf7a053dc372fbc391d4e6b5d693-Abstract.html>`_, 2001, in MULAN's version.
river is not imported. ``coco30k`` is a folder ``--source`` with labels.csv and max_mobilenetv2_224.npy.
"""

import argparse
import gzip
import importlib.util
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from mlgcn_pyg.features import FeatureCache

YEAST = "river/datasets/yeast.csv.gz"
PARTS = {"train": 2, "val": 1, "test": 3}  # shares of the generated images
NUM_LABELS, NUM_FEATURES, GROUP = 24, 64, 3


def yeast(folder: Path, source: Path | None = None) -> list[FeatureCache]:
    """Writes one cache of all genes.

    Args:
        folder: the folder of the cache.
        source: a wheel of river; default: the installed package.
    """
    if source is None:
        spec = importlib.util.find_spec("river")
        if spec is None or not spec.submodule_search_locations:
            raise SystemExit("river is not installed: pip install river, or pass a wheel of it with --source")
        content = (Path(spec.submodule_search_locations[0]).parent / YEAST).read_bytes()
    else:
        with zipfile.ZipFile(source) as wheel:
            content = wheel.read(YEAST)
    lines = gzip.decompress(content).decode().splitlines()
    table = pd.DataFrame([line.split(",") for line in lines[1:]], columns=lines[0].split(","))
    labels = [name for name in table if name.startswith("Class")]
    features = table.drop(columns=labels).to_numpy(np.float32)
    return [_cache(folder / "all.h5", features, table[labels].to_numpy(np.int8), labels, "yeast, of river")]


def coco30k(folder: Path, source: Path) -> list[FeatureCache]:
    """Writes a cache of each split.

    Args:
        folder: the folder of the caches.
        source: a folder with labels.csv and max_mobilenetv2_224.npy.
    """
    table = pd.read_csv(source / "labels.csv")
    targets = table.labels.fillna("").str.get_dummies(";")
    features = np.load(source / "max_mobilenetv2_224.npy", mmap_mode="r")
    caches = []
    for part in PARTS:
        rows = np.flatnonzero(table.split == part)
        ids, y = table.image[rows].tolist(), targets.to_numpy(np.int8)[rows]
        caches.append(_cache(folder / f"{part}.h5", features[rows], y, list(targets), "coco30k", ids))
    return caches


def generated(folder: Path, case: str, images: int = 6000, seed: int = 0) -> list[FeatureCache]:
    r"""Writes caches of training, validation and test images, two, one and three sixths of all.

    .. math:: y_{ni} \sim \text{Bernoulli}(\sigma(4\, w_i \cdot x_n + b_i)), \qquad x_n \sim N(0, I)

    The w_i have length 1. Those of a group are 0.97 times a common vector plus 0.25 times one of their own. The b_i
    give labels that 8 %, 16 % and 30 % of the images have, in every group. The last label is a hub, with 60 %.

    Args:
        folder: the folder of the caches.
        case: ``"unrelated"``, ``"groups"`` or ``"half"``.
        images: the number of images.
        seed: the seed of the random numbers.
    """
    random = np.random.default_rng(seed)
    own, common = random.normal(size=(2, NUM_LABELS, NUM_FEATURES)) / NUM_FEATURES**0.5
    related = np.arange(NUM_LABELS) < {"unrelated": 0, "groups": NUM_LABELS, "half": NUM_LABELS // 2}[case]
    in_group = 0.97 * common[np.arange(NUM_LABELS) // GROUP] + 0.25 * own
    w = np.where(related[:, None], in_group, own)
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    x = random.normal(size=(images, NUM_FEATURES)).astype(np.float32)
    shares = np.tile([0.08, 0.16, 0.3], NUM_LABELS // GROUP)
    shares[-1] = 0.6  # a hub, which most labels imply
    z = 4 * x @ w.T
    bias = np.array([_bias(column, wanted) for column, wanted in zip(z.T, shares, strict=True)])
    y = (random.random(z.shape) < 1 / (1 + np.exp(-z - bias))).astype(np.int8)
    names = [f"{'related' if related[i] else 'alone'} {i}" for i in range(NUM_LABELS)]
    ends = np.cumsum([0, *(images * share // sum(PARTS.values()) for share in PARTS.values())])
    return [
        _cache(folder / f"{part}.h5", x[start:stop], y[start:stop], names, f"generated: {case}, seed {seed}")
        for part, start, stop in zip(PARTS, ends, ends[1:], strict=False)
    ]


def _bias(z: np.ndarray, share: float) -> float:
    """Returns b for which the mean of σ(z + b) is ``share``."""
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-z - middle))).mean() < share else (low, middle)
    return low


def _cache(path: Path, x: np.ndarray, y: np.ndarray, names: list[str], source: str, ids: list | None = None):
    path.parent.mkdir(parents=True, exist_ok=True)
    cache = FeatureCache.from_arrays(path, x, y, names, ids=ids, dtype=str(x.dtype), meta={"source": source})
    print(f"{path}: {cache}")
    return cache


MAKERS: dict[str, Callable[[argparse.Namespace], list[FeatureCache]]] = {
    "yeast": lambda given: yeast(given.out, given.source),
    "coco30k": lambda given: coco30k(given.out, given.source),
} | {
    case: lambda given, case=case: generated(given.out, case, given.images, given.seed)
    for case in ("unrelated", "groups", "half")
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=MAKERS)
    parser.add_argument("--out", type=Path, required=True, help="folder of the caches")
    parser.add_argument("--source", type=Path, help="wheel of river, or folder of coco30k")
    parser.add_argument("--images", type=int, default=6000, help="generated images")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.name == "coco30k" and given.source is None:
        parser.error("coco30k requires --source")
    MAKERS[given.name](given)


if __name__ == "__main__":
    main()
