"""Compares building a label graph with SciPy's product of the targets with themselves, up to millions of labels.

    python benchmarks/graph_build.py [--quick] [--data coco2014_multilabel.npz]

The targets of the large shapes are generated. Labels are drawn from a Zipf distribution with exponent 1, with the
mean number of labels per image of the data set. Each contender runs in a separate process, so that its peak memory
can be measured.

The tables of label lists are files with one line of label ids per image. One counter reads all of them in this process;
four counters read one file each in four worker processes, which an engine would have running, and are then added. Both
times include reading, counting and selecting the edges.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import harness
import numpy as np
import scipy.sparse as sp

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.graph import CooccurrenceCounter

SHAPES = {  # images, labels, labels per image
    "AmazonCat-13K": (1_186_239, 13_330, 5.04),
    "Wiki-500K": (1_813_391, 501_070, 4.77),
    "Amazon-3M": (1_717_899, 2_812_281, 36.17),
}
QUICK = {"small": (20_000, 1_000, 5.0)}
CONTENDERS = ("LabelGraph", "SciPy")
LISTS = {"COCO × 4, lists": (328_324, 80, 2.937), "AmazonCat-13K, lists": (1_186_239, 13_330, 5.04)}
QUICK_LISTS = {"small lists": (20_000, 1_000, 5.0)}
COUNTERS = ("1 counter", "4 counters")


def zipf_targets(images: int, labels: int, average: float) -> sp.csr_array:
    """Returns sparse 0/1 targets with labels from a Zipf distribution. Repeated labels of an image count once."""
    rng = np.random.default_rng(0)
    cumulative = np.cumsum(1 / np.arange(1, labels + 1))
    lengths = rng.poisson(average - 1, images) + 1
    ids = np.empty(lengths.sum(), np.int32)
    for start in range(0, len(ids), 1 << 22):
        drawn = rng.random(len(ids[start : start + (1 << 22)])) * cumulative[-1]
        ids[start : start + (1 << 22)] = np.searchsorted(cumulative, drawn)
    pointer = np.concatenate([[0], lengths.cumsum()]).astype(np.int32)
    targets = sp.csr_array((np.ones(len(ids), np.int8), ids, pointer), shape=(images, labels))
    targets.sum_duplicates()
    targets.data[:] = 1
    return targets


def coco_targets(path: str | None) -> np.ndarray:
    """Returns COCO's training targets (82,081 × 80) from an archive with ``train_y``, or generated ones."""
    if path is not None:
        with np.load(path, allow_pickle=False) as archive:
            return archive["train_y"]
    return np.ascontiguousarray(zipf_targets(82_081, 80, 2.937).toarray())


def prove() -> None:
    """Checks that the edges are those of SciPy's product."""
    targets = zipf_targets(5_000, 300, 5.0)
    graph = LabelGraph.from_targets(targets, tau=0.05, max_entries=1_000)
    wide = targets.astype(np.int64)
    pairs = (wide.T @ wide).toarray()
    prob = pairs / np.maximum(np.diag(pairs), 1)[:, None]
    np.fill_diagonal(prob, 0)
    i, j = np.nonzero(prob >= 0.05)
    same = np.array_equal(np.stack([i, j]), graph.edge_index.numpy())
    if not (same and np.array_equal(prob[i, j], graph.edge_prob.numpy())):
        raise SystemExit("the mined graph differs from SciPy's product")


def coco(args, path) -> None:
    """Measures building a graph from dense int8 targets, and SciPy's product of the same targets in CSR format."""
    dense = coco_targets(args.data)
    sparse = sp.csr_array(dense.astype(np.int32))
    contenders = {"LabelGraph": lambda: LabelGraph.from_targets(dense), "SciPy": lambda: sparse.T @ sparse}
    seconds, status = harness.interleave(contenders, budget=0.5 if args.quick else 5.0)
    rows = [row("COCO", dense.shape, name, status[name], t, t / seconds["SciPy"], None) for name, t in seconds.items()]
    finish(path, rows)


def row(shape_name, shape, contender, status, seconds, over_scipy, peak, edges="") -> dict:
    return {
        "shape": shape_name, "images": shape[0], "labels": shape[1], "contender": contender, "status": status,
        "seconds": "" if seconds is None else f"{seconds:.4f}",
        "over_scipy": "" if over_scipy is None else f"{over_scipy:.3f}",
        "peak_GB": "" if peak is None else f"{peak / 1e9:.2f}", "edges": edges,
    }  # fmt: skip


def finish(path, rows: list[dict]) -> None:
    for r in rows:
        print(", ".join(f"{name} {value}" for name, value in r.items() if value != ""), flush=True)
    harness.append(path, rows)


def one(name: str, images: int, labels: int, average: float) -> None:
    """Runs one contender in this process and prints its result as JSON."""
    harness.limit_memory()
    targets = zipf_targets(images, labels, average)
    wide = targets.astype(np.int32) if name == "SciPy" else targets
    runs = {
        "LabelGraph": lambda: LabelGraph.from_targets(targets).edge_index.size(1),
        "SciPy": lambda: (wide.T @ wide).nnz,
    }
    start = time.perf_counter()
    count, status = harness.attempt(runs[name])
    seconds = time.perf_counter() - start
    print(json.dumps({"status": status, "seconds": seconds, "peak": harness.peak_memory(), "count": count}))


def large(args, path) -> None:
    for shape_name, (images, labels, average) in (QUICK if args.quick else SHAPES).items():
        results = {}
        for name in CONTENDERS:
            words = [sys.executable, __file__, "--one", name, str(images), str(labels), str(average)]
            done = subprocess.run(words, capture_output=True, text=True, env=os.environ)
            if done.returncode == -9:  # killed by the system because memory ran out
                results[name] = {"status": "out of memory", "seconds": None, "peak": None, "count": None}
            elif done.returncode:
                raise SystemExit(f"{name} failed on {shape_name}:\n{done.stderr}")
            else:
                results[name] = json.loads(done.stdout.splitlines()[-1])
        base = results["SciPy"]["seconds"] if results["SciPy"]["status"] == "ok" else None
        finish(path, [
            row(
                shape_name, (images, labels), name, r["status"], r["seconds"] if r["status"] == "ok" else None,
                r["seconds"] / base if base and r["status"] == "ok" else None, r["peak"],
                r["count"] if name == "LabelGraph" else "",
            )
            for name, r in results.items()
        ])  # fmt: skip


def write_lists(folder: Path, targets: sp.csr_array) -> list[Path]:
    """Writes label ids to four files, one line per image."""
    paths = [folder / f"{k}.txt" for k in range(4)]
    rows = np.split(targets.indices, targets.indptr[1:-1])
    for k, path in enumerate(paths):
        part = rows[len(rows) * k // 4 : len(rows) * (k + 1) // 4]
        path.write_text("".join(",".join(map(str, row.tolist())) + "\n" for row in part))
    return paths


def count_file(path: Path, num_labels: int) -> CooccurrenceCounter:
    with path.open() as lines:
        rows = [[int(label) for label in line.split(",")] for line in lines]
    return CooccurrenceCounter(num_labels).update_ids(rows)


def lists(args, path) -> None:
    """Measures one counter of four files against four counters in four processes, added as a tree."""
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        for shape_name, shape in (QUICK_LISTS if args.quick else LISTS).items():
            contenders = counters(pool, write_lists(Path(folder), zipf_targets(*shape)), shape[1])
            harness.agree({name: list(run()) for name, run in contenders.items()}, 0.0, "1 counter")
            seconds, status = harness.interleave(contenders, budget=0.5 if args.quick else 30.0)
            finish(path, [row(shape_name, shape, name, status[name], t, None, None) for name, t in seconds.items()])
            print(f"4 counters are {seconds['1 counter'] / seconds['4 counters']:.2f} times as fast as 1")


def counters(pool: ProcessPoolExecutor, files: list[Path], num_labels: int) -> dict:
    width = [num_labels] * len(files)
    return {
        "1 counter": lambda: sum(map(count_file, files, width), CooccurrenceCounter(num_labels)).edges(),
        "4 counters": lambda: tree(list(pool.map(count_file, files, width))).edges(),
    }


def tree(counters: list[CooccurrenceCounter]) -> CooccurrenceCounter:
    first, second, third, fourth = counters
    return (first + second) + (third + fourth)


def plot(path: Path) -> None:
    """Plots the seconds per shape and contender of the last run in the CSV file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    last = {(r["shape"], r["contender"]): r for r in harness.read(path)}
    shapes = list(dict.fromkeys(shape for shape, _ in last))
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for k, (names, colour) in enumerate(
        zip(zip(CONTENDERS, COUNTERS, strict=True), ("#2a7fb8", "#e08a2e"), strict=True)
    ):
        for s, shape in enumerate(shapes):
            (r,) = [last[shape, name] for name in names if (shape, name) in last]
            label = " / ".join(names) if s == 0 else None
            axes.bar(s + 0.4 * k, float(r["seconds"] or "nan"), width=0.38, label=label, color=colour)
            if r["status"] != "ok":
                axes.text(s + 0.4 * k, axes.get_ylim()[0], r["status"], rotation=90, ha="center", fontsize=8)
    axes.set(
        yscale="log",
        ylabel="seconds",
        xticks=[s + 0.2 for s in range(len(shapes))],
        xticklabels=[shape.replace(", ", "\n") for shape in shapes],
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path.with_suffix(".png"), dpi=130)


def main() -> None:
    parser = harness.options(__doc__)
    parser.add_argument("--data", default=None, help="archive with COCO's train_y; default: generated targets")
    parser.add_argument("--lists", action="store_true", help="measure only the tables of label lists")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    if args.one:
        name, images, labels, average = args.one
        return one(name, int(images), int(labels), float(average))
    path = Path(args.out or harness.results_file("graph_build", "cpu", args.quick))
    print(harness.device_name("cpu"))
    prove()
    lists(args, path)
    if not args.lists:
        coco(args, path)
        large(args, path)
    plot(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
