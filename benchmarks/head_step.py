"""Compares a training step of the head with the released order of operations and a linear layer. Measures scoring.

python benchmarks/head_step.py [--quick] [--device cuda]
"""

import argparse
import subprocess
import sys
import warnings
from collections.abc import Callable

import harness
import torch
import torch.nn.functional as F
from propagation import random_edges

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.graph.weighting import reweight
from mlgcn_pyg.nn import LinearHead, multilabel_soft_margin

EMBEDDING, HIDDEN = 300, 1024
LABELS, BATCHES, FEATURES = (20, 80, 500, 9_605), (8, 32, 128, 1024), 2048
CONTENDERS = ("head", "released order", "linear")


class ReleasedOrder(torch.nn.Module):
    """The order of operations in the released code: Â(XW) in every layer, then all classifiers, then the logits.

    Â is a dense matrix for up to 1,000 labels, and a CSR matrix for more. The released code always multiplies dense
    C × C matrices, which would take minutes per step at 9,605 labels.
    """

    def __init__(self, graph: LabelGraph, head: MLGCNHead):
        super().__init__()
        self.weights = torch.nn.ParameterList(conv.weight.detach().clone() for conv in head.convs)
        i, j = torch.cat([graph.edge_index, torch.arange(graph.num_labels).expand(2, -1)], dim=1)
        values = torch.cat([graph.edge_weight, graph.self_weight])
        matrix = torch.sparse_coo_tensor(torch.stack([i, j]), values, (graph.num_labels,) * 2)
        self.a = matrix.to_dense() if graph.num_labels <= 1000 else matrix.to_sparse_csr()
        self.x = graph.x

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        h = F.leaky_relu(self.a @ (self.x @ self.weights[0]), 0.2)
        return features @ (self.a @ (h @ self.weights[1])).t()

    def _apply(self, fn, recurse=True):
        self.a, self.x = fn(self.a), fn(self.x)
        return super()._apply(fn, recurse)


def make_graph(labels: int) -> LabelGraph:
    """Returns a random graph of degree about 5 with weighting ``paper``, built without counting."""
    torch.manual_seed(0)
    edge_index = random_edges(labels, 5)
    edge_index = edge_index[:, (edge_index[0] * labels + edge_index[1]).argsort()]
    graph = LabelGraph.from_targets(torch.zeros(0, labels), x=torch.randn(labels, EMBEDDING))
    graph.edge_index = edge_index
    edge_weight, self_weight, graph.flow = reweight(edge_index, labels, graph.p, graph.weighting)
    graph.edge_weight, graph.self_weight = edge_weight.to(graph.x), self_weight.to(graph.x)
    graph.edge_prob = torch.full((edge_index.size(1),), 0.5, dtype=torch.float64)
    graph.validate()
    return graph


def make_step(name: str, labels: int, batch: int, features: int, device: str) -> tuple[torch.nn.Module, Callable]:
    """Returns a module and a training step of it: forward, loss, backward, update."""
    graph = make_graph(labels)
    torch.manual_seed(1)
    head = MLGCNHead(graph, features, (HIDDEN,))
    modules = {
        "head": lambda: head,
        "released order": lambda: ReleasedOrder(graph, head),
        "linear": lambda: LinearHead(labels, features, bias=False),
    }
    module = modules[name]().to(device)
    options = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4}
    # the released code uses plain SGD; the linear layer uses the same fused SGD as the head
    optimizer = torch.optim.SGD(module.parameters(), **options, fused=name != "released order")
    x = torch.randn(batch, features, device=device)
    targets = (torch.rand(batch, labels, device=device) < 0.03).float()

    def step():
        optimizer.zero_grad(set_to_none=True)
        multilabel_soft_margin(module(x), targets).backward()
        optimizer.step()

    return module, step


def prove(labels: int, features: int, device: str) -> None:
    """Checks in float64 that head and released order agree in logits and gradients at the start and after two steps."""
    torch.set_default_dtype(torch.float64)
    (head, step), (released, step_released) = (make_step(n, labels, 8, features, device) for n in CONTENDERS[:2])
    x = torch.randn(8, features, device=device)
    for steps in (0, 2):
        for _ in range(steps):
            step()
            step_released()
        results = {}
        for name, module in (("head", head), ("released order", released)):
            logits = module(x)
            gradients = torch.autograd.grad(logits.square().mean(), list(module.parameters()))
            results[name] = [logits.detach(), *gradients]
        harness.agree(results, 1e-8, "released order")
    torch.set_default_dtype(torch.float32)


def memory(name: str, labels: int, batch: int, features: int) -> float:
    """Returns the peak memory of three steps in bytes, above the memory before them; measured in a separate process."""
    arguments = [sys.executable, __file__, "--memory-of", name, str(labels), str(batch), str(features)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def print_memory(name: str, labels: int, batch: int, features: int) -> None:
    _, step = make_step(name, labels, batch, features, "cpu")
    before = harness.resident_memory()
    harness.forget_peak()
    for _ in range(3):
        step()
    print(harness.peak_memory() - before)


def floor_seconds(labels: int, batch: int, features: int, rate: float) -> float:
    """Returns the seconds of the multiply-adds that the cheaper order requires, at the measured matrix-product rate."""
    first = 2 * labels * EMBEDDING * HIDDEN
    images_first = 2 * batch * HIDDEN * features + 3 * batch * labels * HIDDEN
    labels_first = 3 * labels * HIDDEN * features + 2 * batch * labels * features
    return (first + min(images_first, labels_first)) / rate


def training(args, path) -> None:
    grid = [(20, 8), (80, 32)] if args.quick else [(c, b) for c in LABELS for b in BATCHES]
    features, rate = 256 if args.quick else FEATURES, harness.matmul_rate(args.device)
    for labels in sorted({labels for labels, _ in grid}):
        prove(labels, features, args.device)
    for labels, batch in grid:
        steps = {name: make_step(name, labels, batch, features, args.device)[1] for name in CONTENDERS}
        seconds, status = harness.interleave(steps, args.device, 0.2 if args.quick else args.budget)
        with_memory = args.device == "cpu" and (labels, batch) in ((80, 32), (9_605, 128)) and not args.quick
        rows = []
        for name in CONTENDERS:
            time = seconds.get(name, float("nan"))
            rows.append({
                "what": "training step", "labels": labels, "batch": batch, "features": features, "contender": name,
                "status": status[name], "ms": f"{1e3 * time:.3f}",
                "released_over_this": f"{seconds.get('released order', float('nan')) / time:.3f}",
                "over_floor": "" if name == "linear" else f"{time / floor_seconds(labels, batch, features, rate):.2f}",
                "over_linear": f"{time / seconds.get('linear', float('nan')):.3f}",
                "peak_MB": f"{memory(name, labels, batch, features) / 1e6:.0f}" if with_memory else "",
            })  # fmt: skip
        told = ", ".join(f"{r['contender']} {r['ms']} ({r['released_over_this']}×) {r['peak_MB']}" for r in rows)
        print(f"step C={labels} B={batch}: {told}", flush=True)
        harness.append(path, rows)


def scoring(args, path) -> None:
    """Measures a pass over a validation set with ``to_linear()``, including folding, and with ``nn.Linear``."""
    images, features = (2_000, 256) if args.quick else (40_137, FEATURES)
    x = torch.randn(images, features, device=args.device)
    head = make_step("head", 80, 32, features, args.device)[0]
    plain = torch.nn.Linear(features, 80, bias=False, device=args.device)
    with torch.no_grad():
        plain.weight.copy_(head.classifiers())

    @torch.no_grad()
    def run(make: Callable) -> torch.Tensor:
        linear = make()
        return torch.cat([linear(block) for block in x.split(1024)])

    contenders = {"to_linear": lambda: run(head.to_linear), "nn.Linear": lambda: run(lambda: plain)}
    harness.agree({name: [f()] for name, f in contenders.items()}, 1e-4, "nn.Linear")
    seconds, status = harness.interleave(contenders, args.device, 0.2 if args.quick else 4 * args.budget)
    rows = [{
        "what": "scoring", "labels": 80, "batch": images, "features": features, "contender": name,
        "status": status[name], "ms": f"{1e3 * time:.3f}", "released_over_this": "",
        "over_floor": "", "over_linear": f"{time / seconds['nn.Linear']:.3f}", "peak_MB": "",
    } for name, time in seconds.items()]  # fmt: skip
    print("scoring: " + ", ".join(f"{r['contender']} {r['ms']} ms ({r['over_linear']}× nn.Linear)" for r in rows))
    harness.append(path, rows)


def plot(path) -> None:
    """Plots the speed relative to the released order over the batch size, one line per number of labels."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    mine = [r for r in harness.read(path) if r["contender"] == "head" and r["what"] == "training step"]
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for labels in dict.fromkeys(r["labels"] for r in mine):
        last = {int(r["batch"]): float(r["released_over_this"]) for r in mine if r["labels"] == labels}
        axes.plot(sorted(last), [last[b] for b in sorted(last)], marker="o", label=f"{int(labels):,} labels")
    axes.axhline(1, color="#9aa7b1", linewidth=1)
    axes.set(xscale="log", xlabel="batch", ylabel="times faster than the released order")
    axes.grid(color="#e6eaed")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path.with_suffix(".png"), dpi=130)


def main() -> None:
    parser = harness.options(__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--budget", type=float, default=1.5, help="seconds of rounds per cell")
    parser.add_argument("--memory-of", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    if args.memory_of:
        name, *sizes = args.memory_of
        return print_memory(name, *map(int, sizes))
    harness.limit_memory(args.device)
    path = harness.Path(args.out or harness.results_file("head_step", args.device, args.quick))
    print(harness.device_name(args.device))
    training(args, path)
    scoring(args, path)
    plot(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
