"""Compares exact fits of a linear head with a general optimiser and with epochs of SGD.

    python benchmarks/exact_fit.py [--quick] [--device cuda]

Features and targets are generated; the variance of the features decays as 1 / rank. All contenders minimise the same
penalised loss, or, for SGD, the loss without a penalty. SGD is timed for 200 steps, from which 100 epochs are scaled.
On a GPU it is timed for 1 and 4 epochs, whose difference does not contain the capture of its step.
"""

import os
import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path

import harness
import torch

from mlgcn_pyg.nn import LinearHead
from mlgcn_pyg.training import ExactConfig, HeadConfig, fit_head

SHAPES = {"coco30k": (20_000, 1280, 18), "COCO": (82_081, 2048, 80)}
QUICK = {"small": (2_000, 128, 10)}
STRENGTH, STEPS, BATCH, EPOCHS = 300.0, 200, 32, 100
CLOSE = 1e-4  # the relative difference of the losses that all contenders reach
reached: dict[torch.Size, float] = {}  # the loss of the exact fit by shape of the features
iterations: dict[torch.Size, int] = {}  # and its number of iterations
EXACT, PLAIN, SELECT, SGD = "exact fit", "torch L-BFGS", "exact, λ selected", "SGD, 100 epochs"
CONTENDERS = (EXACT, PLAIN, SELECT, SGD)


def scene(images: int, features: int, labels: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns features in float16 and targets whose classifiers are random."""
    random = {"generator": torch.Generator(device).manual_seed(0), "device": device}
    mixing = torch.linalg.qr(torch.randn(features, features, **random)).Q
    x = torch.randn(images, features, **random) * torch.arange(1, features + 1, device=device) ** -0.5
    x = (x @ mixing).abs_()
    z = ((x - x.mean(0)) / x.std(0)) @ torch.randn(labels, features, **random).t()
    z = 3 * z / z.std(0) + torch.linspace(-7, -2, labels, device=device)
    targets = (torch.rand(z.shape, **random) < z.sigmoid()).to(torch.int8)
    return x.half(), targets


def loss(head: LinearHead, x: torch.Tensor, y: torch.Tensor) -> float:
    """Returns the penalised loss of a head, from its classifiers for standardised features."""
    weight, total = head.linear.weight.detach(), 0.0
    for rows in torch.arange(len(x), device=x.device).split(8192):
        logits = head(x[rows].float())
        total += float(torch.nn.functional.binary_cross_entropy_with_logits(logits, y[rows].float(), reduction="sum"))
    return (total + 0.5 * STRENGTH * float(weight.double().square().sum())) / len(x)


def exact(x: torch.Tensor, y: torch.Tensor) -> LinearHead:
    head = LinearHead(y.size(1), x.size(1))
    history = fit_head(head, (x, y), config=ExactConfig(l2=STRENGTH / len(x), tolerance=1e-4), device=x.device)
    iterations[x.shape] = len(history.epochs)
    return head


def selected(x: torch.Tensor, y: torch.Tensor) -> LinearHead:
    head = LinearHead(y.size(1), x.size(1))
    fit_head(head, (x, y), config=ExactConfig(tolerance=1e-4), device=x.device)
    return head


@torch.no_grad()
def plain(x: torch.Tensor, y: torch.Tensor) -> LinearHead:
    """Minimises with torch's L-BFGS on standardised features until its loss is that of the exact fit."""
    head = LinearHead(y.size(1), x.size(1)).to(x.device)
    mean, std = x.double().mean(0), x.double().std(0, correction=0)
    head.set_statistics(mean, std)
    torch.nn.init.zeros_(head.linear.weight)
    present = (y == 1).sum(0)
    head.set_bias(((present + 0.5) / (len(y) - present + 0.5)).log())
    standardised, targets = head.standardized(x.float()), y.float()
    parameters = [head.linear.weight, head.linear.bias]
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=150, tolerance_change=0, tolerance_grad=0, line_search_fn="strong_wolfe"
    )
    wanted = reached[x.shape] * (1 + CLOSE)

    class Reached(Exception):
        pass

    def closure() -> torch.Tensor:
        logits = torch.nn.functional.linear(standardised, *parameters)
        residual = (logits.sigmoid() - targets) / len(x)
        data = torch.nn.functional.softplus(logits).sum() - (targets * logits).sum()
        value = (data + 0.5 * STRENGTH * parameters[0].square().sum()) / len(x)
        parameters[0].grad = residual.t() @ standardised + STRENGTH / len(x) * parameters[0]
        parameters[1].grad = residual.sum(0)
        if float(value) <= wanted:
            raise Reached
        return value

    with suppress(Reached):
        optimizer.step(closure)
    return head


def sgd(x: torch.Tensor, y: torch.Tensor) -> float:
    """Returns the seconds of 100 epochs of SGD, scaled from the faster of 200 and 400 steps."""
    if x.is_cuda:
        return sgd_on_gpu(x, y)
    seconds = []
    for steps in (STEPS, 2 * STEPS):
        rows = slice(0, min(len(x), steps * BATCH))
        head = LinearHead(y.size(1), x.size(1))
        data, config = (x[rows], y[rows]), HeadConfig(recipe="paper", epochs=1)
        run = partial(fit_head, head, data, config=config, device=x.device)
        seconds.append(harness.synchronized(run, x.device.type) / -(-rows.stop // BATCH))
    return min(seconds) * EPOCHS * -(-len(x) // BATCH)


def sgd_on_gpu(x: torch.Tensor, y: torch.Tensor) -> float:
    """Returns the seconds of 100 epochs of SGD, from those of 1 and 10 epochs, which differ in steps alone."""

    def seconds(epochs: int) -> float:
        head, config = LinearHead(y.size(1), x.size(1)), HeadConfig(recipe="paper", epochs=epochs)
        return harness.synchronized(lambda: fit_head(head, (x, y), config=config, device=x.device), "cuda")

    one, ten = (min(seconds(epochs) for _ in range(3)) for epochs in (1, 10))
    return one + (EPOCHS - 1) * max(0.0, ten - one) / 9


def measure(name: str, shape: tuple[int, int, int], device: str) -> list[dict]:
    x, y = scene(*shape, device)
    reached[x.shape] = loss(exact(x, y).to(x.device), x, y)  # also the warm-up
    runs = {EXACT: exact, PLAIN: plain, SELECT: selected}
    seconds = {}
    for contender, fit in runs.items():
        fitted: list[LinearHead] = []
        seconds[contender] = harness.synchronized(lambda fit=fit, out=fitted: out.append(fit(x, y)), device)
        head = fitted[0]
        if contender != SELECT and (found := loss(head, x, y)) > reached[x.shape] * (1 + 2 * CLOSE):
            raise SystemExit(f"{contender} reaches a loss of {found} instead of {reached[x.shape]}")
    seconds[SGD] = sgd(x, y)
    products = 2 * iterations[x.shape] * x.numel() * y.size(1)  # multiplications of both products of each iteration
    floor = products / harness.matmul_rate(device)
    return [
        {
            "shape": name, "images": shape[0], "features": shape[1], "labels": shape[2], "contender": contender,
            "status": "ok", "seconds": f"{value:.2f}", "over_exact": f"{value / seconds[EXACT]:.2f}",
            "over_floor": f"{value / floor:.2f}" if contender == EXACT else "",
            "load": f"{os.getloadavg()[0]:.1f}",
        }
        for contender, value in seconds.items()
    ]  # fmt: skip


def plot(path: Path) -> None:
    """Plots the seconds of the last run in the CSV file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    last = {(r["shape"], r["contender"]): r for r in harness.read(path)}
    shapes = {
        shape: f"{shape}\n{r['images']} × {r['features']}, {r['labels']} labels" for (shape, _), r in last.items()
    }
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for k, name in enumerate(CONTENDERS):
        heights = [float(last[shape, name]["seconds"]) for shape in shapes]
        places = [s + 0.2 * k for s in range(len(shapes))]
        bars = axes.bar(places, heights, width=0.18, label=name, color=("#2a7fb8", "#888888", "#7fb8d8", "#e08a2e")[k])
        axes.bar_label(bars, [f"{height:.3g} s" for height in heights], fontsize=8)
    ticks = [s + 0.3 for s in range(len(shapes))]
    axes.set(yscale="log", ylabel="seconds", xticks=ticks, xticklabels=list(shapes.values()))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path.with_suffix(".png"), dpi=130)


def main() -> None:
    parser = harness.options(__doc__)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    path = Path(args.out or harness.results_file("exact_fit", args.device, args.quick))
    print(harness.device_name(args.device))
    if harness.on_gpu(args.device):
        measure("warm-up", QUICK["small"], args.device)  # loads libraries and compiles kernels
    for name, shape in (QUICK if args.quick else SHAPES).items():
        rows = measure(name, shape, args.device)
        harness.report(path, rows)
    plot(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
