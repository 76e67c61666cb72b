"""Compares propagation kernels with each other, torch.sparse and PyG's EdgeIndex, from 20 labels to a million.

python benchmarks/propagation.py [--quick] [--device cuda] [--labels 80 500] [--degrees 10] [--gradients x all]
"""

import warnings
from collections.abc import Callable

import harness
import torch
from torch_geometric import EdgeIndex

from mlgcn_pyg.graph.data import MAX_DENSE
from mlgcn_pyg.nn.kernels import KERNELS, Adjacency, choose_kernel, propagate
from mlgcn_pyg.nn.kernels.choice import installed

GRADIENTS = ("none", "x", "all")
# labels → degrees
GRID = {20: (2, 10), 80: (2, 10), 500: (2, 10), 9_605: (10, 20), 100_000: (10,), 1_000_000: (5,)}
WIDTHS = (300, 1024)
ROTATED = 1 << 28  # bytes of all copies of the features on a GPU, several times its cache
MAX_NUMBERS = 1 << 27  # of features: 512 MiB in float32
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2}


def random_edges(labels: int, degree: int) -> torch.Tensor:
    """Returns about ``degree`` edges per label in random order, without self-loops or duplicates."""
    pairs = torch.randint(labels * labels, (labels * degree,)).unique()
    pairs = pairs[torch.randperm(len(pairs))]
    edge_index = torch.stack([pairs // labels, pairs % labels])
    return edge_index[:, edge_index[0] != edge_index[1]]


class Cell:
    """A graph with its features and weights."""

    def __init__(self, labels: int, degree: int, width: int, dtype: torch.dtype, gradients: str, device: str):
        torch.manual_seed(0)
        self.num_labels, self.gradients = labels, gradients
        edge_index = random_edges(labels, degree)
        self.adjacency = Adjacency(edge_index, labels).to(device)
        options = {"dtype": dtype, "device": device}
        self.copies = torch.randn(self.num_copies(labels * width, dtype, device), labels, width, **options).unbind()
        self.calls = 0
        self.edge_weight = torch.rand(edge_index.size(1), **options) / degree
        self.self_weight = torch.rand(labels, **options)
        weights = (self.edge_weight, self.self_weight) if gradients == "all" else ()
        for leaf in (*(self.copies if gradients != "none" else ()), *weights):
            leaf.requires_grad_()
        self.weights = list(weights)

    @staticmethod
    def num_copies(numbers: int, dtype: torch.dtype, device: str) -> int:
        """Returns 1 on a CPU, and on a GPU so many copies of the features that none is still in the cache when used."""
        return 1 if device == "cpu" else max(2, ROTATED // (numbers * dtype.itemsize))

    @property
    def x(self) -> torch.Tensor:
        """The features of the current call."""
        return self.copies[self.calls % len(self.copies)]

    def run(self, forward: Callable[[], torch.Tensor]) -> list[torch.Tensor]:
        """Returns the result for the next features and its gradients. The gradient of the result is the result."""
        self.calls += 1
        out = forward()
        leaves = [] if self.gradients == "none" else [self.x, *self.weights]
        return [out.detach(), *(torch.autograd.grad(out, leaves, out.detach()) if leaves else ())]

    def sorted_entries(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the (2, E + C) entries of Â by row and column, and their positions in the weights."""
        a, loops = self.adjacency, torch.arange(self.num_labels, device=self.x.device)
        rows, columns = torch.cat([a.receiver, loops]), torch.cat([a.sender, loops])
        order = (rows * self.num_labels + columns).argsort()
        return torch.stack([rows[order], columns[order]]), order

    def all_weights(self, order: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.edge_weight, self.self_weight])[order]

    def contenders(self) -> dict[str, Callable]:
        absent = {
            "triton": not (self.x.is_cuda and installed("triton")),
            "dense": self.num_labels > MAX_DENSE,
            "segment": not installed("torch_scatter"),
        }

        def kernel(name: str) -> Callable:
            if absent.get(name, False):

                def unsupported():
                    raise harness.Unsupported

                return unsupported
            return lambda: self.run(lambda: propagate(self.x, self.adjacency, self.edge_weight, self.self_weight, name))

        found = {name: kernel(name) for name in (*KERNELS, "auto")}
        return found | {"torch.sparse CSR": self.sparse_csr(), "EdgeIndex.matmul": self.edge_index_matmul()}

    def sparse_csr(self) -> Callable:
        a, size = self.adjacency, (self.num_labels, self.num_labels)
        index, order = self.sorted_entries()

        def forward():
            if self.gradients == "all" and self.num_labels > 10_000:
                raise harness.Unsupported  # its value gradient is about C×C
            return torch.sparse_csr_tensor(a.rowptr, index[1], self.all_weights(order), size) @ self.x

        return lambda: self.run(forward)

    def edge_index_matmul(self) -> Callable:
        pairs, order = self.sorted_entries()
        size = (self.num_labels, self.num_labels)
        index = EdgeIndex(pairs, sparse_size=size, sort_order="row").fill_cache_()
        return lambda: self.run(lambda: index.matmul(self.x, self.all_weights(order)))


def measure(cell: Cell, device: str, budget: float, bandwidth: float) -> list[dict]:
    """Returns one row per contender."""
    contenders, results = cell.contenders(), {}
    for name, run in contenders.items():
        cell.calls = 0  # all compute with the same features
        result, status = harness.attempt(run)
        if status == "ok":
            results[name] = result
    reference = "bag" if "bag" in results else next(name for name in KERNELS if name in results)
    harness.agree(results, TOLERANCE[cell.x.dtype], reference)
    results.clear()
    seconds, status = harness.interleave(contenders, device, budget)
    # minimum traffic: features read once and result written once, in each computed direction
    passes = {"none": 1, "x": 2, "all": 3}[cell.gradients]
    row = passes * cell.x.size(1) * cell.x.element_size() / bandwidth
    floor = 2 * cell.num_labels * row
    # without any cache, each pass reads a row per entry of Â, and reads or writes a row per label
    gathered = (cell.adjacency.num_edges + 2 * cell.num_labels) * row
    single = {name: seconds[name] for name in KERNELS if name in seconds}
    best = min(seconds, key=seconds.get)
    chosen = choose_kernel(cell.x, cell.adjacency, cell.edge_weight, cell.self_weight).kernel
    rows = []
    for name in contenders:
        time = seconds.get(name)
        rows.append({
            "labels": cell.num_labels, "edges": cell.adjacency.num_edges, "width": cell.x.size(1),
            "dtype": str(cell.x.dtype).removeprefix("torch."), "gradients": cell.gradients, "contender": name,
            "status": status[name], "ms": "" if time is None else f"{1e3 * time:.4f}",
            "over_best": "" if time is None else f"{time / seconds[best]:.3f}", "best": best,
            "over_best_kernel": "" if time is None else f"{time / min(single.values()):.3f}",
            "over_floor": "" if time is None else f"{time / floor:.2f}", "auto_takes": chosen,
            "over_gathered": "" if time is None else f"{time / gathered:.3f}",
        })  # fmt: skip
    return rows


def plot(path) -> None:
    """Plots the time per entry and feature of every contender in the CSV file, in float32 with the gradient of x."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    shown = [r for r in harness.read(path) if r["dtype"] == "float32" and r["gradients"] == "x" and r["ms"]]
    for name in dict.fromkeys(r["contender"] for r in shown if r["contender"] != "auto"):
        best = {}
        for r in shown:
            if r["contender"] == name:
                key = int(r["labels"])
                per_edge = 1e6 * float(r["ms"]) / ((int(r["edges"]) + key) * int(r["width"]))
                best.setdefault(key, []).append(per_edge)
        labels = sorted(best)
        axes.plot(labels, [sum(best[k]) / len(best[k]) for k in labels], marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="labels C", ylabel="ns per entry of Â and feature, forward + backward")
    axes.grid(color="#e6eaed")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path.with_suffix(".png"), dpi=130)


def main() -> None:
    parser = harness.options(__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--labels", type=int, nargs="*", default=list(GRID))
    parser.add_argument("--degrees", type=int, nargs="*", default=None, help="instead of those of the grid")
    parser.add_argument("--dtypes", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--gradients", nargs="*", default=list(GRADIENTS), choices=GRADIENTS)
    parser.add_argument("--budget", type=float, default=1.0, help="seconds of rounds per cell")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    harness.limit_memory(args.device)
    path = args.out or harness.results_file("propagation", args.device, args.quick)
    path = harness.Path(path)
    bandwidth = harness.copy_bandwidth(args.device)
    print(f"{harness.device_name(args.device)}, copy bandwidth {bandwidth / 1e9:.1f} GB/s")
    grid = {k: args.degrees or GRID.get(k, (10,)) for k in args.labels}
    if args.quick:
        grid = {20: (2,), 80: (2,), 500: (10,)}
    everything = []
    for labels, degrees in grid.items():
        for degree in degrees:
            for width in (64,) if args.quick else (*WIDTHS, *((64,) if labels >= 100_000 else ())):
                if labels * width > MAX_NUMBERS:
                    print(f"C={labels} width={width}: skipped, features of over 512 MiB")
                    continue
                for dtype in args.dtypes:
                    for gradients in args.gradients:
                        cell = Cell(labels, degree, width, getattr(torch, dtype), gradients, args.device)
                        rows = measure(cell, args.device, 0.05 if args.quick else args.budget, bandwidth)
                        times = ", ".join(f"{r['contender']} {r['ms'] or r['status']}" for r in rows)
                        print(f"C={labels} degree={degree} width={width} {dtype} gradients={gradients}: {times}")
                        harness.append(path, rows)
                        everything += rows
    plot(path)
    print(f"{verdict(everything)}\nwrote {path}")


def verdict(rows: list[dict]) -> str:
    """Returns a text on the selection of auto (C ≥ 80) and on the difference between two measurements of one kernel."""
    time = {(cell_of(r), r["contender"]): float(r["ms"]) for r in rows if r["ms"]}
    chosen, noise = [1.0], [1.0]
    for (key, name), ms in time.items():
        if name == "auto" and int(key[0]) >= 80:
            best = min(time[key, kernel] for kernel in KERNELS if (key, kernel) in time)
            taken = time[key, key[-1]]
            if taken - best > 0.02:  # 20 µs
                chosen.append(taken / best)
            noise.append(max(ms / taken, taken / ms))
    spread = sorted(noise)[len(noise) // 2]
    return (
        f"the kernel that auto takes over the best single kernel, C ≥ 80: at worst {max(chosen):.2f}; "
        f"auto against that same kernel, which is noise: median {spread:.2f}, at worst {max(noise):.2f}"
    )


def cell_of(row: dict) -> tuple:
    return tuple(str(row[name]) for name in ("labels", "edges", "width", "dtype", "gradients", "auto_takes"))


if __name__ == "__main__":
    main()
