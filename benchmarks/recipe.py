"""Measures the recipe "auto" of HeadConfig: mAP of ML-GCN and linear heads, stability of the loss, and time.

    python benchmarks/recipe.py [--quick] [--coco30k FOLDER --glove FILE]
                                [--voc-train CACHE --voc-test CACHE --voc-embeddings FILE]

Without ``--coco30k``, features of one small size are generated. FOLDER holds `labels.csv` and
`max_mobilenetv2_224.npy`. The first n training images are used, and the test images are scored. The caches of VOC hold
average-pooled features of its sample splits.
"""

import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import harness
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.evaluation import multilabel_metrics
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.graph import label_embeddings
from mlgcn_pyg.nn import LinearHead
from mlgcn_pyg.training import HeadConfig, fit_head
from mlgcn_pyg.typing import Head

SIZES = (300, 2_000, 20_000)
HIDDEN = 1024


@dataclass(frozen=True, eq=False)
class Task:
    """Training and test data, and the embeddings of the labels.

    Attributes:
        train: features (n, D).
        truth: targets (n, C).
        test: features (N, D).
        test_truth: targets (N, C).
        x: (C, F).
    """

    name: str
    train: Tensor
    truth: Tensor
    test: Tensor
    test_truth: Tensor
    x: Tensor

    def scaled(self, name: str, factor: float) -> "Task":
        """Returns the task with features multiplied by ``factor``."""
        return replace(self, name=f"{self.name}, {name}", train=self.train * factor, test=self.test * factor)

    def normalised(self) -> "Task":
        """Returns the task with features of norm 1."""
        unit = torch.nn.functional.normalize
        return replace(self, name=f"{self.name}, L2-normalised", train=unit(self.train), test=unit(self.test))

    def graph(self, p: float = 0.2, shuffled: bool = False, one_hot: bool = False) -> LabelGraph:
        """Returns the label graph of the training targets.

        Args:
            p: the share that a label receives from its neighbours.
            shuffled: whether the edges and embeddings of the labels are those of other labels.
            one_hot: whether the graph has no embeddings.
        """
        truth, x = self.truth, self.x
        if shuffled:
            order = torch.randperm(truth.size(1), generator=torch.Generator().manual_seed(0))
            truth, x = truth[:, order], x[order]
        return LabelGraph.from_targets(truth, p=p, x=None if one_hot else x)


def coco30k(folder: Path, glove: Path) -> Task:
    """Returns all training and test images."""
    table = pd.read_csv(folder / "labels.csv")
    targets = table["labels"].str.get_dummies(";")
    features = torch.from_numpy(np.load(folder / "max_mobilenetv2_224.npy"))
    truth = torch.from_numpy(targets.to_numpy(dtype=np.int8))
    train, test = (torch.from_numpy((table["split"] == split).to_numpy()) for split in ("train", "test"))
    x = label_embeddings(list(targets.columns), glove).x
    return Task("coco30k", features[train].float(), truth[train], features[test].float(), truth[test], x)


def voc(train: Path, test: Path, embeddings: Path) -> Task:
    train, test = FeatureCache(train), FeatureCache(test)
    x = label_embeddings(train.label_names, embeddings).x
    features = [torch.from_numpy(np.asarray(cache.features[:, 0])).float() for cache in (train, test)]
    return Task("VOC sample, average", features[0], train.targets, features[1], test.targets, x)


def new_head(kind: str, task: Task, options: dict, seed: int) -> Head:
    torch.manual_seed(seed)
    num_labels, num_features = task.truth.size(1), task.train.size(1)
    if kind == "linear":
        return LinearHead(num_labels, num_features)
    hidden = (HIDDEN,) * {"ML-GCN": 2, "ML-GCN, 3 layers": 3}[kind]
    return MLGCNHead(task.graph(**options), num_features, hidden[1:])


@torch.no_grad()
def mean_ap(head: Head, task: Task) -> float:
    return 100 * multilabel_metrics(head.eval()(task.test), task.test_truth)["mAP"]


def measure(kind: str, task: Task, setting: str, options: dict, seeds: int) -> dict:
    """Returns the row of one table: means over seeds."""
    scores, seconds, epochs = [], [], []
    for seed in range(seeds):
        head = new_head(kind, task, options, seed)
        start = time.perf_counter()
        epochs = fit_head(head, (task.train, task.truth), config=HeadConfig(seed=seed)).epochs
        seconds.append(time.perf_counter() - start)
        scores.append(mean_ap(head, task))
    losses = [epoch["loss"] for epoch in epochs]
    row = {
        "data": task.name, "images": len(task.train), "head": kind, "setting": setting, "status": "ok",
        "seeds": seeds,
        "mAP": f"{statistics.mean(scores):.2f}", "std": f"{statistics.stdev(scores) if seeds > 1 else 0:.2f}",
        "epochs": len(epochs), "lr": epochs[0]["lr"], "first_loss": f"{losses[0]:.4f}",
        "largest_later_loss": f"{max(losses[1:], default=losses[0]):.4f}", "last_loss": f"{losses[-1]:.4f}",
        "seconds": f"{statistics.median(seconds):.1f}",
    }  # fmt: skip
    print(row, flush=True)
    return row


def generated() -> Task:
    """Returns generated data of 300 training images, 64 features and 10 labels."""
    g = torch.Generator().manual_seed(0)
    features, w = torch.randn(1300, 64, generator=g).abs(), torch.randn(10, 64, generator=g)
    targets = (features @ w.t() > 4).to(torch.int8)
    x = torch.randn(10, 20, generator=g)
    return Task("generated", features[:300], targets[:300], features[300:], targets[300:], x)


def main_cases(tasks: Sequence[Task]) -> Iterator[tuple]:
    """Yields the head, data, name of the setting and graph options of each row."""
    for task in tasks:
        yield "linear", task, "", {}
        yield "ML-GCN", task, "", {}


def other_cases(tasks: Sequence[Task]) -> Iterator[tuple]:
    for task in tasks:
        yield "ML-GCN", task.scaled("× 100", 100.0), "", {}
        yield "ML-GCN", task.normalised(), "", {}
        yield "ML-GCN", task, "one-hot", {"one_hot": True}
        yield "ML-GCN", task, "p = 0", {"p": 0.0}
        yield "ML-GCN", task, "labels shuffled", {"shuffled": True}
        yield "ML-GCN, 3 layers", task, "", {}


def main() -> None:
    parser = harness.options(__doc__)
    for name in ("--coco30k", "--glove", "--voc-train", "--voc-test", "--voc-embeddings"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    path = Path(args.out) if args.out else harness.results_file("recipe", "cpu", args.quick)
    data = coco30k(args.coco30k, args.glove) if args.coco30k else generated()
    sizes = SIZES[:1] if args.quick or not args.coco30k else SIZES
    tasks = [replace(data, train=data.train[:size], truth=data.truth[:size]) for size in sizes]
    if args.voc_train:
        tasks.append(voc(args.voc_train, args.voc_test, args.voc_embeddings))
    few = [task for task in tasks if len(task.train) <= 2_000]
    for case in itertools.chain(main_cases(tasks), other_cases(few)):
        harness.append(path, [measure(*case, seeds=1 if args.quick else 3)])
    for case in other_cases([task for task in tasks if task not in few]):
        harness.append(path, [measure(*case, seeds=1)])
    plot(path)


def plot(path: Path) -> None:
    """Plots the mAP of all rows in the CSV file, by data and number of images."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = harness.read(path)
    groups = list(dict.fromkeys((_data(row), row["images"]) for row in rows))
    settings = list(dict.fromkeys(_label(row) for row in rows))
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for place, (data, images) in enumerate(groups):
        own = [row for row in rows if (_data(row), row["images"]) == (data, images)]
        for row in own:
            k = settings.index(_label(row))
            label = settings[k] if place == 0 else None
            axes.scatter(place + 0.06 * (k - len(settings) / 2), float(row["mAP"]), color=f"C{k % 10}", label=label)
    names = [f"{data}\n{images} images" for data, images in groups]
    axes.set(ylabel="test mAP in per cent", xticks=range(len(groups)), xticklabels=names)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.savefig(path.with_suffix(".png"), dpi=130)


def _data(row: dict) -> str:
    """Returns the name of the data without that of a scaling."""
    return row["data"].removesuffix(", × 100").removesuffix(", L2-normalised")


def _label(row: dict) -> str:
    """Returns the head, the scaling of the features and the setting."""
    scaling = row["data"].removeprefix(_data(row)).removeprefix(", ")
    return ", ".join(filter(None, (row["head"], scaling, row["setting"])))


if __name__ == "__main__":
    main()
