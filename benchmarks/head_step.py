"""Compares a training step of the head with the released order of operations and a linear layer. Measures scoring.

python benchmarks/head_step.py [--quick] [--device cuda]

On a GPU the contenders also include the step of ``fit_head``, which gathers its batch from all rows, and the steps of
the released order and of the linear layer in CUDA graphs.
"""

import argparse
import itertools
import subprocess
import sys
import warnings
from collections.abc import Callable

import harness
import torch
import torch.nn.functional as F
from propagation import random_edges

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.allocator import keep_freed_memory
from mlgcn_pyg.features.batches import ResidentRows
from mlgcn_pyg.graph.weighting import reweight
from mlgcn_pyg.nn import LinearHead, multilabel_soft_margin
from mlgcn_pyg.training.config import HeadSettings
from mlgcn_pyg.training.heads import engines
from mlgcn_pyg.training.heads.steps import make_optimizers

EMBEDDING, HIDDEN = 300, 1024
LABELS, BATCHES, FEATURES = (20, 80, 500, 9_605), (8, 32, 128, 1024), 2048
CONTENDERS = ("head", "released order", "linear")
ENGINE, CAPTURED = "fit_head's step", ", captured"
ON_GPU = (ENGINE, *CONTENDERS, "released order" + CAPTURED, "linear" + CAPTURED)
SGD = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4}
MAX_DENSE = 1000  # labels of a dense Â in the released order


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
        self.a = matrix.to_dense() if graph.num_labels <= MAX_DENSE else matrix.to_sparse_csr()
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
    """Returns a module and a training step of it: forward, loss, backward, update.

    A call of the step returns the number of steps that it took if this is not 1.
    """
    graph = make_graph(labels)
    torch.manual_seed(1)
    head = MLGCNHead(graph, features, (HIDDEN,))
    kind = name.removesuffix(CAPTURED)
    modules = {
        "released order": lambda: ReleasedOrder(graph, head),
        "linear": lambda: LinearHead(labels, features, bias=False),
    }
    module = modules.get(kind, lambda: head)().to(device)
    x = torch.randn(batch, features, device=device).half()
    targets = torch.rand(batch, labels, device=device) < 0.03
    if kind == ENGINE:
        return module, engine_step(head, ResidentRows(x, targets.to(torch.int8)))
    x, targets = x.to(torch.get_default_dtype()), targets.to(torch.get_default_dtype())
    # the released code uses plain SGD; the linear layer uses the same fused SGD as the head
    optimizer = torch.optim.SGD(module.parameters(), **SGD, fused=kind != "released order")

    def step():
        optimizer.zero_grad(set_to_none=True)
        multilabel_soft_margin(module(x), targets, check=False).backward()  # a check would synchronise with a GPU
        optimizer.step()

    if name == kind:
        return module, step
    # the backward pass of a sparse product synchronises, which a graph cannot hold
    sparse = kind == "released order" and labels > MAX_DENSE
    return module, unsupported if sparse else harness.Captured(step)


def unsupported() -> None:
    raise harness.Unsupported


def engine_step(head: MLGCNHead, source: ResidentRows) -> Callable:
    """Returns the step of ``fit_head`` without clipping, which no other contender does."""
    configs = [HeadSettings(recipe="paper", **SGD, clip_norm=None, batch_size=source.num_images)]
    engine = engines.make_step([head], source, make_optimizers([head], configs, source.device), configs)
    rows = itertools.repeat(torch.arange(source.num_images, device=source.device))
    lrs = torch.full((256, 1), SGD["lr"], dtype=torch.float64)
    return lambda: len(engine.advance(rows, lrs))


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
    if harness.on_gpu(device):
        prove_captured(labels, features, device)
    torch.set_default_dtype(torch.float32)


def prove_captured(labels: int, features: int, device: str) -> None:
    """Checks that the captured steps give the weights of the eager released order. On CUDA rates are in float32."""
    results, steps = {}, harness.Captured.WARM_UPS + 1
    for name in (ENGINE, "released order", "released order" + CAPTURED):
        module, step = make_step(name, labels, 8, features, device)
        if step is unsupported:
            continue
        taken = harness.Captured.WARM_UPS if name.endswith(CAPTURED) else 0
        while taken < steps:
            taken += step() or 1
        results[name] = [p.detach() for p in module.parameters()]
    harness.agree(results, 1e-7, "released order")


def memory(name: str, labels: int, batch: int, features: int, device: str) -> float:
    """Returns the peak memory of three steps in bytes.

    On a CPU this is measured in a separate process, above the memory before the steps. On a GPU it is that of torch's
    tensors, with the weights.
    """
    if harness.on_gpu(device):
        return gpu_memory(name, labels, batch, features, device)
    arguments = [sys.executable, __file__, "--memory-of", name, str(labels), str(batch), str(features)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def gpu_memory(name: str, labels: int, batch: int, features: int, device: str) -> float:
    harness.forget_peak(device)
    before = harness.resident_memory(device)
    _, step = make_step(name, labels, batch, features, device)
    status = [harness.attempt(step)[1] for _ in range(3)]
    return harness.peak_memory(device) - before if set(status) == {"ok"} else float("nan")


def print_memory(name: str, labels: int, batch: int, features: int) -> None:
    _, step = make_step(name, labels, batch, features, "cpu")
    before = harness.resident_memory()
    harness.forget_peak()
    for _ in range(3):
        step()
    print(harness.peak_memory() - before)


def floor_seconds(labels: int, batch: int, features: int, rate: float, bandwidth: float) -> float:
    """Returns the larger of the seconds of arithmetic and of weight traffic that a step requires.

    Arithmetic consists of the multiply-adds of the cheaper order, at the measured rate of matrix products in float32.
    Weight traffic reads and writes float32 weights and momenta once, at the measured bandwidth of a copy; weights that
    stay in a cache can be faster.

    Args:
        labels: C.
        batch: B.
        features: D.
        rate: multiply-adds per second.
        bandwidth: bytes per second, read and written.
    """
    first = 2 * labels * EMBEDDING * HIDDEN
    images_first = 2 * batch * HIDDEN * features + 3 * batch * labels * HIDDEN
    labels_first = 3 * labels * HIDDEN * features + 2 * batch * labels * features
    traffic = 4 * 4 * HIDDEN * (EMBEDDING + features)
    return max((first + min(images_first, labels_first)) / rate, traffic / bandwidth)


def speeds(device: str) -> tuple[float, float]:
    """Returns and prints the multiply-adds per second in float32 and the bandwidth of a copy."""
    rate, bandwidth = harness.matmul_rate(device), harness.copy_bandwidth(device)
    print(f"products in float32 {2 * rate / 1e12:.3g} TFLOP/s, copies {bandwidth / 1e9:.4g} GB/s", flush=True)
    return rate, bandwidth


def training(args, path) -> None:
    grid = [(20, 8), (80, 32)] if args.quick else [(c, b) for c in LABELS for b in BATCHES]
    features, (rate, bandwidth) = 256 if args.quick else FEATURES, speeds(args.device)
    for labels in sorted({labels for labels, _ in grid}):
        prove(labels, features, args.device)
    for labels, batch in grid:
        floor = floor_seconds(labels, batch, features, rate, bandwidth)
        rows = cell(args, labels, batch, features, floor)
        told = ", ".join(f"{r['contender']} {r['ms']} ({r['released_over_this']}×) {r['peak_MB']}" for r in rows)
        print(f"step C={labels} B={batch}: {told}; floor {1e3 * floor:.3f} ms", flush=True)
        harness.append(path, rows)


def cell(args, labels: int, batch: int, features: int, floor: float) -> list[dict]:
    """Returns one row per contender. A ratio compares with the faster of the eager and the captured rival."""
    names = ON_GPU if harness.on_gpu(args.device) else CONTENDERS
    with_memory = (labels, batch) in ((80, 32), (9_605, 128)) and not args.quick
    peaks = {name: memory(name, labels, batch, features, args.device) for name in names if with_memory}
    steps = {name: make_step(name, labels, batch, features, args.device)[1] for name in names}
    taken = {name: step() for name, step in steps.items() if name == ENGINE}  # steps per call
    seconds, status = harness.interleave(steps, args.device, 0.2 if args.quick else args.budget)
    seconds = {name: time / taken.get(name, 1) for name, time in seconds.items()}

    def rival(kind: str) -> float:
        return min((time for name, time in seconds.items() if name.startswith(kind)), default=float("nan"))

    rows = []
    for name in names:
        time = seconds.get(name, float("nan"))
        rows.append({
            "what": "training step", "labels": labels, "batch": batch, "features": features, "contender": name,
            "status": status[name], "ms": f"{1e3 * time:.4f}",
            "released_over_this": f"{rival('released order') / time:.3f}",
            "over_floor": "" if name.startswith("linear") else f"{time / floor:.2f}",
            "over_linear": f"{time / rival('linear'):.3f}",
            "peak_MB": f"{peaks[name] / 1e6:.0f}" if with_memory else "",
        })  # fmt: skip
    return rows


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

    rows = [r for r in harness.read(path) if r["what"] == "training step"]
    own = ENGINE if any(r["contender"] == ENGINE for r in rows) else "head"
    mine = [r for r in rows if r["contender"] == own]
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for labels in dict.fromkeys(r["labels"] for r in mine):
        last = {int(r["batch"]): float(r["released_over_this"]) for r in mine if r["labels"] == labels}
        axes.plot(sorted(last), [last[b] for b in sorted(last)], marker="o", label=f"{int(labels):,} labels")
    axes.axhline(1, color="#9aa7b1", linewidth=1)
    axes.set(xscale="log", xlabel="batch", ylabel=f"{own}: times faster than the released order")
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
    keep_freed_memory()  # for all contenders, as the command line does
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
