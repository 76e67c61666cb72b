"""Compares bootstrap intervals of mAP and OF1 with computing the metrics of one sample of the images after another.

    python benchmarks/bootstrap.py [--quick]

The scores are generated. The contenders that compute one sample at a time are timed on two samples.
"""

import warnings
from pathlib import Path

import harness
import numpy as np
import torch
from sklearn.metrics import average_precision_score, f1_score

from mlgcn_pyg.evaluation import bootstrap_replicates, multilabel_metrics
from mlgcn_pyg.evaluation.resampling import samples

SHAPES = {"coco30k": (5_000, 18, 1.55), "COCO": (40_137, 80, 2.9)}
QUICK = {"small": (500, 10, 2.0)}
REPLICATES, FEW = 1000, 2
CONTENDERS = ("bootstrap_replicates", "multilabel_metrics", "scikit-learn")


def scene(images: int, labels: int, average: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns logits in float32 and targets whose labels have frequencies proportional to 1 / (rank + 2)."""
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(3, labels + 3)
    targets = rng.random((images, labels)) < np.minimum(frequency * average / frequency.sum(), 0.9)
    logits = rng.standard_normal((images, labels)) + 3 * targets - 2
    return logits.astype(np.float32), targets.astype(np.int8)


def one_by_one(name: str, logits: np.ndarray, targets: np.ndarray, replicates: int) -> list[torch.Tensor]:
    """Returns mAP and OF1 of the images and of samples of them, each computed on its own."""
    results = []
    for weights in samples(len(logits), replicates, seed=0):
        for weight in weights.T:
            if name == "scikit-learn":
                shown = [c for c in range(targets.shape[1]) if weight[targets[:, c] == 1].any()]
                ap = [average_precision_score(targets[:, c], logits[:, c], sample_weight=weight) for c in shown]
                of1 = f1_score(
                    (targets == 1).ravel(), (logits > 0).ravel(), sample_weight=weight.repeat(len(targets.T))
                )
                results.append((np.mean(ap), of1))
            else:
                rows = np.repeat(np.arange(len(logits)), weight.astype(int))
                metrics = multilabel_metrics(torch.from_numpy(logits[rows]), torch.from_numpy(targets[rows]))
                results.append((metrics["mAP"], metrics["OF1"]))
    return list(torch.tensor(results, dtype=torch.float64).T)


def vectorised(logits: np.ndarray, targets: np.ndarray, replicates: int) -> list[torch.Tensor]:
    found = bootstrap_replicates(logits, targets, replicates=replicates)
    return [torch.from_numpy(found.mAP), torch.from_numpy(found.OF1)]


def prove(logits: np.ndarray, targets: np.ndarray) -> None:
    """Checks that all contenders compute the same mAP and OF1 of every sample."""
    results = {name: one_by_one(name, logits, targets, FEW) for name in CONTENDERS[1:]}
    harness.agree(results | {CONTENDERS[0]: vectorised(logits, targets, FEW)}, 1e-5, "scikit-learn")


def peak(logits: np.ndarray, targets: np.ndarray) -> float:
    """Returns the peak memory of the intervals in MB, above that of logits and targets."""
    before = harness.resident_memory()
    harness.forget_peak()
    vectorised(logits, targets, REPLICATES)
    return (harness.peak_memory() - before) / 1e6


def measure(name: str, shape: tuple[int, int, float], budget: float) -> list[dict]:
    logits, targets = scene(*shape)
    memory = peak(logits, targets)
    prove(logits, targets)
    runs = {other: lambda other=other: one_by_one(other, logits, targets, FEW) for other in CONTENDERS[1:]}
    runs = {CONTENDERS[0]: lambda: vectorised(logits, targets, REPLICATES)} | runs
    seconds, status = harness.interleave(runs, budget=budget)
    computed = {other: 1 + (REPLICATES if other == CONTENDERS[0] else FEW) for other in runs}
    scaled = {other: time * (1 + REPLICATES) / computed[other] for other, time in seconds.items()}
    return [
        {
            "shape": name, "images": shape[0], "labels": shape[1], "contender": other, "status": status[other],
            "samples": computed[other], "seconds": f"{seconds[other]:.3f}",
            "seconds_per_1000_samples": f"{scaled[other]:.3f}",
            "over_best": f"{scaled[other] / min(scaled.values()):.2f}",
            "peak_MB": f"{memory:.0f}" if other == CONTENDERS[0] else "",
        }
        for other in runs
    ]  # fmt: skip


def plot(path: Path) -> None:
    """Plots the seconds per 1,000 samples of the last run in the CSV file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    last = {(r["shape"], r["contender"]): r for r in harness.read(path)}
    shapes = {shape: f"{shape}\n{r['images']} × {r['labels']}" for (shape, _), r in last.items()}
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for k, name in enumerate(CONTENDERS):
        heights = [float(last[shape, name]["seconds_per_1000_samples"]) for shape in shapes]
        places = [s + 0.27 * k for s in range(len(shapes))]
        axes.bar(places, heights, width=0.25, label=name, color=("#2a7fb8", "#e08a2e", "#888888")[k])
    ticks = [s + 0.27 for s in range(len(shapes))]
    axes.set(yscale="log", ylabel="seconds per 1,000 samples", xticks=ticks, xticklabels=list(shapes.values()))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path.with_suffix(".png"), dpi=130)


def main() -> None:
    args = harness.options(__doc__).parse_args()
    warnings.filterwarnings("ignore")
    path = Path(args.out or harness.results_file("bootstrap", "cpu", args.quick))
    print(harness.device_name("cpu"))
    for name, shape in (QUICK if args.quick else SHAPES).items():
        rows = measure(name, shape, 0.5 if args.quick else 5.0)
        harness.report(path, rows)
    plot(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
