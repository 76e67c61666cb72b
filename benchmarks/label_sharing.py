"""Measures what sharing classifiers over a label graph adds to a linear head, and whether it harms unrelated labels.

    python benchmarks/label_sharing.py [--quick] [--data coco30k]

Labels of generated data belong to groups. In the case "related", the classifiers of a group are similar, and so are the
embeddings of its labels. In "shuffled", the graph has the rows of other labels; in "unrelated", classifiers are random.
``--data`` is a folder with ``labels.csv`` and ``max_mobilenetv2_224.npy``. λ and α are selected on folds of the
training images, and the metrics are those of other images. There are six splits, with seeds 0 to 5.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import harness
import numpy as np
import pandas as pd
import torch

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.nn import LinearHead, SharingHead
from mlgcn_pyg.training import fit_heads

LABELS, GROUPS, FEATURES, IMAGES, TEST = 80, 16, 128, 300, 2700
SPLITS = 6
Data = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]


def generated(case: str, seed: int, images: int) -> Data:
    """Returns features, targets and label embeddings."""
    g = torch.Generator().manual_seed(1000 + seed)
    group = torch.arange(LABELS) % GROUPS
    of_group, own = torch.randn(GROUPS, FEATURES, generator=g), torch.randn(LABELS, FEATURES, generator=g)
    w = own if case == "unrelated" else 0.9 * of_group[group] + 0.4 * own
    x = torch.randn(images, FEATURES, generator=g) * torch.arange(1, FEATURES + 1) ** -0.3
    z = x @ (w / w.norm(dim=1, keepdim=True)).t()
    bias = -torch.linspace(3, 7, LABELS)[torch.randperm(LABELS, generator=g)]
    targets = (torch.rand(z.shape, generator=g) < (4 * z / z.std(0) + bias).sigmoid()).to(torch.int8)
    embeddings = torch.randn(GROUPS, 50, generator=g)[group] + 0.5 * torch.randn(LABELS, 50, generator=g)
    return x, targets, embeddings


def photographs(folder: Path, seed: int) -> Data:
    """Returns features and targets of random training images, followed by the test images."""
    table = pd.read_csv(folder / "labels.csv")
    targets = table.labels.fillna("").str.get_dummies(";").to_numpy(np.int8)
    train = np.random.default_rng(seed).permutation(np.flatnonzero(table.split == "train"))[:IMAGES]
    rows = np.concatenate([train, np.flatnonzero(table.split == "test")])
    features = np.load(folder / "max_mobilenetv2_224.npy", mmap_mode="r")[rows]
    return torch.from_numpy(features), torch.from_numpy(targets[rows]), None


def measure(case: str, data: Data, unknown: float, seed: int) -> dict:
    """Fits both heads to one split, and returns a row of results."""
    x, y, embeddings = data
    g = torch.Generator().manual_seed(seed)
    train = y[:IMAGES].clone()
    train[torch.rand(train.shape, generator=g) < unknown] = -1
    order = torch.randperm(y.size(1), generator=g) if case == "shuffled" else torch.arange(y.size(1))
    names = [str(label) for label in range(y.size(1))]
    own = None if embeddings is None else embeddings[order]
    graph = LabelGraph.from_targets(train[:, order], label_names=names, x=own, weighting="kernel")
    heads = [SharingHead(graph, x.size(1)), LinearHead(y.size(1), x.size(1), names)]
    sharing, linear = (history.last for history in fit_heads(heads, (x[:IMAGES], train), (x[IMAGES:], y[IMAGES:])))
    return {
        "case": case, "status": "ok", "unknown": unknown, "split": seed, "images": IMAGES, "labels": y.size(1),
        "linear": f"{100 * linear['mAP']:.2f}", "sharing": f"{100 * sharing['mAP']:.2f}",
        "difference": f"{100 * (sharing['mAP'] - linear['mAP']):+.2f}", "alpha": sharing["alpha"],
    }  # fmt: skip


def plot(path: Path) -> None:
    """Plots the differences of all splits of the last run in the CSV file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    last = {(r["case"], r["unknown"], r["split"]): float(r["difference"]) for r in harness.read(path)}
    cases = list(dict.fromkeys((case, unknown) for case, unknown, _ in last))
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for place, key in enumerate(cases):
        values = [value for (case, unknown, _), value in last.items() if (case, unknown) == key]
        axes.scatter([place] * len(values), values, color="#2a7fb8", alpha=0.6)
        axes.scatter([place], [np.mean(values)], marker="_", s=600, color="#e08a2e")
    axes.axhline(0, color="#888888", linewidth=0.8)
    ticks = [f"{case}\n{float(unknown):.0%} unknown" for case, unknown in cases]
    axes.set(ylabel="mAP of sharing − linear, in per cent", xticks=range(len(cases)), xticklabels=ticks)
    axes.margins(x=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path.with_suffix(".png"), dpi=130)


def main() -> None:
    parser = harness.options(__doc__)
    parser.add_argument("--data", type=Path, default=None, help="folder of photographs' features and labels")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    path = Path(args.out or harness.results_file("label_sharing", "cpu", args.quick))
    print(harness.device_name("cpu"))
    for case in ("related",) if args.quick else ("related", "unrelated", "shuffled"):
        run(path, case, 0.9, 1 if args.quick else SPLITS, lambda seed, case=case: generated(case, seed, IMAGES + TEST))
    if args.data is not None:
        for unknown in (0.9, 0.0):
            run(path, "photographs", unknown, SPLITS, lambda seed: photographs(args.data, seed))
    plot(path)
    print(f"wrote {path}")


def run(path: Path, case: str, unknown: float, splits: int, load: Callable[[int], Data]) -> None:
    """Measures all splits of a case, prints the mean and appends the rows."""
    rows = [measure(case, load(seed), unknown, seed) for seed in range(splits)]
    harness.append(path, rows)
    differences = [float(row["difference"]) for row in rows]
    each = " ".join(row["difference"] for row in rows)
    print(f"{case}, {unknown:.0%} unknown: sharing − linear {np.mean(differences):+.2f} mAP ({each})", flush=True)


if __name__ == "__main__":
    main()
