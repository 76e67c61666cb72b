"""Compares feature files with other formats: writing, loading and random batches. Measures the overhead of extract.

python benchmarks/cache_io.py [--quick] [--folder FOLDER] [--photos VOC_ROOT --weights mobilenet_v2.pth]
python benchmarks/cache_io.py --device cuda [--quick] [--folder FOLDER]

With ``--device cuda``, only loading to the GPU is measured.

All contenders write the same rows, in batches if the format supports it, and end with the same flush (fsync). Files are
read from the page cache, as in repeated training of a head.
"""

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import harness
import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from mlgcn_pyg.features import FeatureCache, extract_features
from mlgcn_pyg.features.batches import ResidentRows
from mlgcn_pyg.features.format import create
from mlgcn_pyg.features.header import checked_header
from mlgcn_pyg.features.writer import FeatureWriter
from mlgcn_pyg.system import sync_folder

SHAPE, QUICK, ON_GPU = (20_000, 2048), (2_000, 256), (82_081, 2048)
BATCH, LABELS, RANDOM, PHOTOS = 256, 80, 256, 48  # rows per batch when writing; labels; rows per batch when training


def flushed(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def write_cache(path: Path, rows: np.ndarray) -> None:
    """Writes a feature file: allocation, rows, checksums, done map, rename."""
    count, width = rows.shape
    partial = path.with_suffix(".partial")
    ids, targets = [str(k) for k in range(count)], np.zeros((count, LABELS), np.int8)
    names = [str(k) for k in range(LABELS)]
    create(partial, checked_header((count, 1, width), "float16", targets, names, ids, {}, BATCH))
    with FeatureWriter(partial) as writer:
        for batch, start in enumerate(range(0, count, BATCH)):
            writer.write_batch(batch, rows[start : start + BATCH, None])
        writer.finish(path)


def write_memmap(path: Path, rows: np.ndarray) -> None:
    out = np.memmap(path, rows.dtype, "w+", shape=rows.shape)
    flushed(path)  # as often as the writer of feature files
    for start in range(0, len(rows), BATCH):
        out[start : start + BATCH] = rows[start : start + BATCH]
    out.flush()
    flushed(path)
    sync_folder(path.parent)


def write_h5py_rows(path: Path, rows: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        out = file.create_dataset("features", rows.shape, rows.dtype, chunks=(1, rows.shape[1]))
        for start in range(0, len(rows), BATCH):
            out[start : start + BATCH] = rows[start : start + BATCH]
    flushed(path)


def write_torch(path: Path, rows: np.ndarray) -> None:
    torch.save(torch.from_numpy(rows), path)
    flushed(path)


def write_safetensors(path: Path, rows: np.ndarray) -> None:
    safetensors.torch.save_file({"features": torch.from_numpy(rows)}, path)
    flushed(path)


WRITERS = {
    "cache": write_cache, "np.memmap": write_memmap, "h5py rows": write_h5py_rows, "torch.save": write_torch,
    "safetensors": write_safetensors,
}  # fmt: skip


def read_h5py(path: Path) -> Tensor:
    with h5py.File(path, "r") as file:
        return torch.from_numpy(file["features"][...])


def loaders(folder: Path, shape: tuple[int, int]) -> dict[str, Callable[[], Tensor]]:
    cache = FeatureCache(folder / "cache")
    return {
        "cache": lambda: cache.load()[0][:, 0],
        "np.fromfile": lambda: torch.from_numpy(np.fromfile(folder / "np.memmap", np.float16)).view(shape),
        "np.memmap": lambda: torch.from_numpy(np.array(np.memmap(folder / "np.memmap", np.float16, "r", 0, shape))),
        "h5py rows": lambda: read_h5py(folder / "h5py rows"),
        "torch.save": lambda: torch.load(folder / "torch.save", weights_only=True),
        "safetensors": lambda: safetensors.torch.load_file(folder / "safetensors")["features"].clone(),
    }


def report(path: Path, what: str, seconds: dict, status: dict, size: float, best: str, floor: float | None) -> None:
    """Returns one row per contender. ``best`` is the rival to compare with, ``floor`` the minimum time in seconds."""
    rows = []
    for name, state in status.items():
        time = seconds.get(name, float("nan"))
        rows.append({
            "what": what, "contender": name, "status": state, "ms": f"{1e3 * time:.3f}",
            "GB_per_s": f"{size / time / 1e9:.3f}", "rival": best,
            "speed_over_rival": f"{seconds[best] / time:.3f}", "over_floor": f"{time / floor:.2f}" if floor else "",
        })  # fmt: skip
    summary = ", ".join(f"{r['contender']} {r['ms']} ms ({r['speed_over_rival']})" for r in rows)
    print(f"{what}: {summary}", flush=True)
    harness.append(path, rows)


def files(args, path: Path) -> None:
    """Measures writing and loading of the same rows."""
    shape = QUICK if args.quick else SHAPE
    rows = np.random.default_rng(0).normal(size=shape).astype(np.float16)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        folder, floor = Path(folder), rows.nbytes / (harness.copy_bandwidth("cpu", 64) / 2)
        runs = {name: lambda name=name: WRITERS[name](folder / name, rows) for name in WRITERS}
        seconds, status = harness.interleave(runs, "cpu", args.budget, 40)
        readers = loaders(folder, shape)
        harness.agree({name: [read()] for name, read in readers.items()}, 0.0, "np.fromfile")
        report(path, "write", seconds, status, rows.nbytes, "np.memmap", None)
        seconds, status = harness.interleave(readers, "cpu", args.budget)
        report(path, "load", seconds, status, rows.nbytes, "np.fromfile", floor)
        batches(args, path, folder, shape)


def to_gpu(args, path: Path) -> None:
    """Measures loading to a GPU. The floor is a copy from pinned memory of all rows."""
    shape = QUICK if args.quick else ON_GPU
    rows = np.random.default_rng(0).standard_normal(size=shape, dtype=np.float32).astype(np.float16)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        folder = Path(folder)
        for name in ("cache", "np.memmap", "safetensors"):
            WRITERS[name](folder / name, rows)
        cache, plain, size = FeatureCache(folder / "cache"), str(folder / "np.memmap"), rows.size
        from_file = torch.from_file
        readers = {
            "cache": lambda: cache.load(args.device)[0][:, 0],
            "torch.from_file": lambda: from_file(plain, size=size, dtype=torch.float16).to(args.device).view(shape),
            "np.fromfile": lambda: torch.from_numpy(np.fromfile(plain, np.float16)).to(args.device).view(shape),
            "safetensors": lambda: safetensors.torch.load_file(folder / "safetensors", args.device)["features"],
        }
        harness.agree({name: [read()] for name, read in readers.items()}, 0.0, "np.fromfile")
        seconds, status = harness.interleave(readers, args.device, args.budget, 40)
        source = torch.from_numpy(rows)
        source = source.pin_memory() if harness.on_gpu(args.device) else source
        target = torch.empty_like(source, device=args.device)
        floor = harness.best_of(5, lambda: target.copy_(source), args.device)
        report(path, f"load to {args.device}", seconds, status, rows.nbytes, "torch.from_file", floor)


def batches(args, path: Path, folder: Path, shape: tuple[int, int]) -> None:
    """Measures a pass over all rows in a random order, in batches, from memory and from the files."""
    cache = FeatureCache(folder / "cache")
    loaded, targets = cache.load()
    source, plain = ResidentRows(loaded, targets), loaded[:, 0].contiguous()
    mapped, file = np.memmap(folder / "np.memmap", np.float16, "r", 0, shape), h5py.File(folder / "h5py rows", "r")
    order = torch.cat(epoch_order(source))

    def from_cache() -> list[Tensor]:
        return [features for features, _ in source.batches(RANDOM, 0, 1)]

    def by(take: Callable) -> Callable:
        return lambda: [take(rows) for rows in order.split(RANDOM)]

    def from_h5py(rows: Tensor) -> Tensor:
        ordered, back = rows.sort()[0].numpy(), rows.argsort().argsort()
        return torch.from_numpy(file["features"][ordered])[back]

    runs = {
        "cache": from_cache,
        "torch.index_select": by(
            lambda rows: (torch.index_select(plain, 0, rows), torch.index_select(targets, 0, rows))[0]
        ),
        "np.memmap": by(lambda rows: torch.from_numpy(mapped[rows.numpy()])),
        "h5py rows": by(from_h5py),
    }
    results = {name: [torch.cat(run()).to(torch.float16)] for name, run in runs.items()}
    harness.agree(results, 0.0, "torch.index_select")
    seconds, status = harness.interleave(runs, "cpu", args.budget)
    report(path, f"random batches of {RANDOM}", seconds, status, plain.numel() * 2, "torch.index_select", None)


def epoch_order(source) -> list[Tensor]:
    """Returns the order in which the cache yields rows, as batches."""
    marked = ResidentRows(torch.arange(len(source.targets), dtype=torch.float32).view(-1, 1, 1), source.targets)
    return [features[:, 0].long() for features, _ in marked.batches(RANDOM, 0, 1)]


def extraction(args, path: Path) -> None:
    """Measures ``extract_features`` on image files against the backbone's inference form on the same decoded images."""
    from mlgcn_pyg.datasets import VOC2007, Scenes, eval_transform
    from mlgcn_pyg.nn import Backbone

    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        if args.photos and not args.quick:
            data = VOC2007(args.photos, "sample_test", eval_transform(448))
            data.image_paths, data.ids, data.targets = (
                data.image_paths[:PHOTOS],
                data.ids[:PHOTOS],
                data.targets[:PHOTOS],
            )
            backbone = Backbone("mobilenet_v2", args.weights)
        else:
            count = 16 if args.quick else 64
            data = Scenes(folder, count, image_size=128, transform=eval_transform(128))
            backbone = Backbone("mobilenet_v2")
        form = backbone.inference_form(tuple(data[0][0].shape[-2:]))
        decoded = torch.stack([data[k][0] for k in range(len(data))]).split(16)

        @torch.inference_mode()
        def bare() -> Tensor:
            return torch.cat([form(images) for images in decoded])

        def extract(workers: int) -> Tensor:
            options = {"batch_size": 16, "overwrite": True, "num_workers": workers}
            return extract_features(backbone, data, Path(folder) / "x.h5", **options).load()[0][:, 0]

        runs = {"bare backbone": bare}
        runs |= {f"extract, {w} workers": lambda w=w: extract(w) for w in (0, 1, 2)}
        harness.agree({name: [run().half()] for name, run in runs.items()}, 0.0, "bare backbone")
        seconds, status = harness.interleave(runs, "cpu", 0)
        size = sum(p.stat().st_size for p in data.image_paths)
        report(path, f"extract, {len(data)} images", seconds, status, size, "bare backbone", None)


def plot(path: Path) -> None:
    """Plots the speeds of the last run, one panel per question."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    last = {(r["what"], r["contender"]): r for r in harness.read(path)}
    questions = list(dict.fromkeys(what for what, _ in last))
    size = (3.4 * len(questions), 3.2)
    figure, panels = plt.subplots(1, len(questions), figsize=size, layout="constrained", squeeze=False)
    for axes, what in zip(panels[0], questions, strict=True):
        names = [name for question, name in last if question == what]
        speeds = [float(last[what, name]["speed_over_rival"]) for name in names]
        bars = axes.barh(
            names,
            speeds,
            color=["#2a7fb8" if k == (0 if "extract" not in what else 1) else "#b9c4cc" for k in range(len(names))],
        )
        axes.bar_label(bars, [f"{speed:.2f}" for speed in speeds], padding=3, fontsize=8)
        axes.axvline(1, color="#e08a2e", linewidth=1)
        axes.set(title=what, xlabel=f"speed over {last[what, names[0]]['rival']}", xlim=(0, max(speeds) * 1.2))
        axes.title.set_fontsize(10)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path.with_suffix(".png"), dpi=130)


def main() -> None:
    parser = harness.options(__doc__)
    parser.add_argument("--folder", default=None, help="folder for the files; default: the system's temporary folder")
    parser.add_argument("--photos", default=None, help="VOC root; default: generated scenes")
    parser.add_argument("--weights", default=None, help="MobileNetV2's state dict")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--budget", type=float, default=30, help="seconds of rounds per question")
    args = parser.parse_args()
    args.budget = 1 if args.quick else args.budget
    warnings.filterwarnings("ignore")
    path = Path(args.out or harness.results_file("cache_io", args.device, args.quick))
    print(harness.device_name(args.device))
    if harness.on_gpu(args.device):
        to_gpu(args, path)
    else:
        files(args, path)
        extraction(args, path)
    plot(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
