"""Compares training steps of the whole network with the ML-GCN head and with nn.Linear on the same backbone.

python benchmarks/end_to_end.py [--quick] [--device cuda]
"""

import warnings
from collections.abc import Callable

import harness
import torch
from head_step import HIDDEN, make_graph

from mlgcn_pyg import MLGCN, MLGCNHead
from mlgcn_pyg.nn import Backbone, LinearHead
from mlgcn_pyg.training import ModelConfig
from mlgcn_pyg.training.model.shares import DecodedPiece
from mlgcn_pyg.training.model.trainee import Trainee

LABELS = 80
# backbone, side, batch, precision
CPU = (("mobilenet_v2", 224, 32, "float32"), ("resnet18", 224, 32, "float32"))
CUDA = (("resnet101", 448, 32, "bf16"), ("resnet101", 448, 32, "float32"), ("mobilenet_v2", 224, 32, "bf16"))
QUICK = (("squeezenet1_1", 64, 4, "float32"),)


def make_step(head: str, name: str, side: int, batch: int, precision: str, cpu: bool) -> Callable:
    """Returns the trainer's step on images on the device. "backbone alone" has neither head nor loss."""
    torch.manual_seed(0)
    backbone = Backbone(name)
    heads = {
        "ML-GCN": lambda: MLGCNHead(make_graph(LABELS), backbone.num_features, (HIDDEN,)),
        "nn.Linear": lambda: LinearHead(LABELS, backbone.num_features),
    }
    config = ModelConfig(batch_size=batch, precision=precision, cpu=cpu, channels_last=not cpu)
    if head == "backbone alone":
        trainee = Trainee(MLGCN(backbone, heads["nn.Linear"]()), config)
        trainee.model.forward = lambda images: backbone(images)
        trainee.loss = lambda features, _: features.float().square().mean()
    else:
        trainee = Trainee(MLGCN(backbone, heads[head]()), config)
    device = trainee.accelerator.device
    images = torch.randn(batch, 3, side, side).to(device, memory_format=trainee.layout)
    targets = (torch.rand(batch, LABELS) < 0.04).to(torch.int8).to(device)
    trainee.begin_epoch(1)
    return lambda: trainee.step([DecodedPiece(images, targets, 1.0)], 0, 1e-3)


def prove() -> None:
    """Checks that the trainer's loss of a linear head is torch's multi-label soft margin loss of its logits."""
    torch.manual_seed(0)
    model = MLGCN(Backbone("squeezenet1_1"), LinearHead(LABELS, 512))
    trainee = Trainee(model, ModelConfig(cpu=True, freeze_batchnorm=True))
    images, targets = torch.randn(4, 3, 64, 64), (torch.rand(4, LABELS) < 0.1).to(torch.int8)
    expected = torch.nn.functional.multilabel_soft_margin_loss(model(images), targets.float()).detach()
    trainee.begin_epoch(1)
    found = trainee.step([DecodedPiece(images, targets, 1.0)], 0, 1.0)
    harness.agree({"trainer": [found.cpu().view(1)], "torch": [expected.view(1)]}, 1e-4, "torch")


def cell(args, path, name: str, side: int, batch: int, precision: str) -> None:
    contenders = {
        head: make_step(head, name, side, batch, precision, args.device == "cpu")
        for head in ("ML-GCN", "nn.Linear", "backbone alone")
    }
    seconds, status = harness.interleave(contenders, args.device, args.budget)
    rows = []
    for head in contenders:
        time = seconds.get(head, float("nan"))
        rows.append({
            "backbone": name, "side": side, "batch": batch, "precision": precision, "contender": head,
            "status": status[head], "ms": f"{1e3 * time:.2f}", "images_per_s": f"{batch / time:.2f}",
            "over_linear": f"{time / seconds.get('nn.Linear', float('nan')):.4f}",
            "over_backbone": f"{time / seconds.get('backbone alone', float('nan')):.4f}",
        })  # fmt: skip
    summary = ", ".join(f"{row['contender']} {row['ms']} ms ({row['over_linear']})" for row in rows)
    print(f"{name} {side} px, batch {batch}, {precision}: {summary}", flush=True)
    harness.append(path, rows)


def plot(path) -> None:
    """Plots images per second of the last run, by backbone and head."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    last = {}
    for r in harness.read(path):
        precision = "float32" if r["precision"] == "no" else r["precision"]  # name in the CSV file
        last[r["backbone"], r["side"], r["batch"], precision, r["contender"]] = r
    cells = list(dict.fromkeys(key[:4] for key in last))
    names = list(dict.fromkeys(key[4] for key in last))
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for k, name in enumerate(names):
        heights = [float(last[*cell, name]["images_per_s"]) for cell in cells]
        color = ("#2a7fb8", "#e08a2e", "#b9c4cc")[k]
        bars = axes.bar([c + 0.27 * k for c in range(len(cells))], heights, width=0.25, label=name, color=color)
        axes.bar_label(bars, fmt="%.1f", fontsize=8)
    titles = [f"{name}\n{side} px, batch {batch}, {precision}" for name, side, batch, precision in cells]
    axes.set(ylabel="images per second", xticks=[c + 0.27 for c in range(len(cells))], xticklabels=titles)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.15)
    axes.legend(frameon=False)
    figure.savefig(path.with_suffix(".png"), dpi=130)


def main() -> None:
    parser = harness.options(__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--budget", type=float, default=60, help="seconds of rounds per cell")
    args = parser.parse_args()
    args.budget = 0.5 if args.quick else args.budget
    warnings.filterwarnings("ignore")
    path = harness.Path(args.out or harness.results_file("end_to_end", args.device, args.quick))
    print(harness.device_name(args.device))
    prove()
    for one in QUICK if args.quick else CPU if args.device == "cpu" else CUDA:
        cell(args, path, *one)
    plot(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
