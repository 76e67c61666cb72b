"""Compares mAP, and all metrics of the paper's Table 1, with torchmetrics, scikit-learn and one sort of the logits.

    python benchmarks/metrics.py [--quick] [--device cuda]

The logits are generated. The floor is one ``torch.sort`` of the matrix. scikit-learn computes on a CPU.
"""

import warnings
from pathlib import Path

import harness
import torch
from bootstrap import scene
from sklearn.metrics import average_precision_score
from torchmetrics.functional.classification import binary_average_precision, multilabel_average_precision

from mlgcn_pyg.evaluation import mean_average_precision, multilabel_metrics, table1_row

SHAPES = {"VOC": (4_952, 20, 1.5), "COCO": (40_137, 80, 2.9), "NUS-WIDE": (59_347, 81, 2.4)}
QUICK = {"small": (500, 10, 2.0)}
MAP = (
    "mean_average_precision",
    "multilabel_metrics",
    "table1_row",
    "torchmetrics",
    "torchmetrics by label",
    "scikit-learn",
)
COLOURS = ("#2a7fb8", "#57a6d8", "#9ccbea", "#e08a2e", "#f0b878", "#888888", "#333333")


def by_label(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """Returns mAP from one call per label, with ranks as scores, which a float32 sigmoid cannot tie."""
    ap = []
    for scores, truth in zip(logits.t(), targets.t(), strict=True):
        ranks = scores.unique(return_inverse=True)[1].double() / len(scores)
        ap.append(binary_average_precision(ranks, truth.int(), validate_args=False))
    return float(torch.stack(ap).mean())


def on_cpu(logits: torch.Tensor, targets: torch.Tensor) -> float:
    scores, truth = logits.cpu().numpy(), targets.cpu().numpy()
    ap = [average_precision_score(truth[:, c], scores[:, c]) for c in range(truth.shape[1])]
    return sum(ap) / len(ap)


def contenders(logits: torch.Tensor, targets: torch.Tensor) -> dict:
    names = [str(c) for c in range(logits.size(1))]
    return {
        "mean_average_precision": lambda: mean_average_precision(logits, targets),
        "multilabel_metrics": lambda: multilabel_metrics(logits, targets)["mAP"],
        "table1_row": lambda: table1_row(logits, targets, names)["all"]["mAP"],
        "torchmetrics": lambda: float(multilabel_average_precision(logits, targets.int(), logits.size(1))),
        "torchmetrics by label": lambda: by_label(logits, targets),
        "scikit-learn": lambda: on_cpu(logits, targets),
        "torch.sort": lambda: logits.sort(dim=0),
    }


def measure(name: str, shape: tuple[int, int, float], device: str, budget: float) -> list[dict]:
    logits, targets = (torch.from_numpy(values).to(device) for values in scene(*shape))
    runs = contenders(logits, targets)
    found = {other: [torch.tensor([runs[other]()], dtype=torch.float64)] for other in MAP}
    harness.agree(found, 1e-5, "scikit-learn")
    seconds, status = harness.interleave(runs, device, budget)
    return [
        {
            "shape": name, "images": shape[0], "labels": shape[1], "contender": other, "status": status[other],
            "ms": f"{1e3 * seconds[other]:.3f}", "over_sort": f"{seconds[other] / seconds['torch.sort']:.3f}",
        }
        for other in runs
    ]  # fmt: skip


def plot(path: Path) -> None:
    """Plots the milliseconds per contender and shape of the last run in the CSV file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    last = {(r["shape"], r["contender"]): r for r in harness.read(path)}
    shapes = {shape: f"{shape}\n{r['images']} × {r['labels']}" for (shape, _), r in last.items()}
    names = list(dict.fromkeys(name for _, name in last))
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for k, name in enumerate(names):
        places = [s + 0.12 * k for s in range(len(shapes))]
        axes.bar(places, [float(last[shape, name]["ms"]) for shape in shapes], width=0.11, label=name, color=COLOURS[k])
    ticks = [s + 0.36 for s in range(len(shapes))]
    axes.set(yscale="log", ylabel="milliseconds", xticks=ticks, xticklabels=list(shapes.values()))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path.with_suffix(".png"), dpi=130)


def main() -> None:
    parser = harness.options(__doc__)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    path = Path(args.out or harness.results_file("metrics", args.device, args.quick))
    print(harness.device_name(args.device))
    for name, shape in (QUICK if args.quick else SHAPES).items():
        rows = measure(name, shape, args.device, 0.5 if args.quick else 5.0)
        harness.report(path, rows)
    plot(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
