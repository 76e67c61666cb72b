"""Compares retraining a head on cached features of COCO's shape with the usual loop and with running the backbone.

python benchmarks/retraining.py [--quick] [--device cuda]
"""

import itertools
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import h5py
import harness
import torch
from head_step import HIDDEN, ReleasedOrder, floor_seconds, make_graph, speeds
from torch.utils.data import DataLoader, Dataset

from mlgcn_pyg import MLGCNHead
from mlgcn_pyg.allocator import keep_freed_memory
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.batches import ResidentRows, StreamedRows
from mlgcn_pyg.features.epochs import epoch_order
from mlgcn_pyg.nn import Backbone, multilabel_soft_margin
from mlgcn_pyg.training import HeadConfig, fit_head
from mlgcn_pyg.training.config import HeadSettings
from mlgcn_pyg.training.heads.engines import make_step
from mlgcn_pyg.training.heads.steps import make_optimizers
from mlgcn_pyg.typing import TrainingStep

IMAGES, FEATURES, LABELS, BATCH, HEADS = 82_081, 2048, 80, 32, 8
USUAL = "h5py + DataLoader + released order"
CONFIG = HeadSettings(recipe="paper", batch_size=BATCH)


class H5Rows(Dataset):
    """A typical data set with one image per item. Each worker opens the file."""

    def __init__(self, path: Path):
        self.path, self.file = path, None

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self.file is None:
            self.file = h5py.File(self.path, "r")
        row, truth = self.file["features"][index], self.file["targets"][index]
        return torch.from_numpy(row).float(), torch.from_numpy(truth)

    def __len__(self) -> int:
        return 0  # the sampler determines the rows


class Data:
    """Generated features, non-negative and of order 1 like those of a max-pooled ResNet."""

    def __init__(self, folder: Path, images: int, width: int, device: str):
        generator = torch.Generator(device).manual_seed(0)
        random = {"generator": generator, "device": device}
        self.features = torch.randn(images, width, **random).abs_().half().cpu()
        self.targets = (torch.rand(images, LABELS, **random) < 0.037).to(torch.int8).cpu()
        self.rows = folder / "rows.h5"
        with h5py.File(self.rows, "w") as file:
            file["features"], file["targets"] = self.features.numpy(), self.targets.numpy()
        names = [str(label) for label in range(LABELS)]
        self.cache = FeatureCache.from_arrays(folder / "cache.h5", self.features, self.targets, names)

    def resident(self, device: str) -> ResidentRows:
        return ResidentRows(self.features.to(device), self.targets.to(device))


def new_head(width: int, seed: int, device: str) -> MLGCNHead:
    torch.manual_seed(seed)
    return MLGCNHead(make_graph(LABELS), width, (HIDDEN,)).to(device)


def new_step(heads: list[MLGCNHead], source: ResidentRows) -> TrainingStep:
    """Returns the engine's step of these heads."""
    configs = [CONFIG] * len(heads)
    return make_step(heads, source, make_optimizers(heads, configs, source.device), configs)


def endless(make: Callable[[int], Iterator]) -> Iterator:
    """Yields the batches of consecutive epochs."""
    return itertools.chain.from_iterable(make(epoch) for epoch in itertools.count(1))


def take(steps: int, batches: Iterator, step: Callable) -> None:
    for batch in itertools.islice(batches, steps):
        step(batch)


def drive(steps: int, rows: Iterator, engine: TrainingStep, heads: int = 1) -> None:
    """Runs a number of steps of the engine."""
    rows, lrs = itertools.islice(rows, steps), torch.full((steps, heads), CONFIG.lr, dtype=torch.float64)
    while steps:
        steps -= len(engine.advance(rows, lrs))


def usual_step(head: MLGCNHead, device: str) -> tuple[torch.nn.Module, Callable]:
    """Returns the released order of operations with torch's SGD, for batches of a DataLoader."""
    module = ReleasedOrder(head.base_graph(), head).to(device)
    options = {"lr": CONFIG.lr, "momentum": CONFIG.momentum, "weight_decay": CONFIG.weight_decay}
    optimizer = torch.optim.SGD(module.parameters(), **options)
    dtype = next(module.parameters()).dtype

    def step(batch):
        features, targets = (part.to(device) for part in batch)
        loss = multilabel_soft_margin(module(features.to(dtype)), targets, check=False)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), CONFIG.clip_norm)
        optimizer.step()

    return module, step


def usual_loader(data: Data, count: int) -> Callable[[int], Iterator]:
    def epoch(number: int) -> Iterator:
        order = epoch_order(count, CONFIG.seed, number).tolist()
        return iter(DataLoader(H5Rows(data.rows), BATCH, sampler=order, num_workers=2))

    return epoch


def prove(data: Data, width: int, device: str) -> None:
    """Checks in float64 that two epochs of 100 images give the same weights in the usual loop and in the engine."""
    torch.set_default_dtype(torch.float64)
    few = ResidentRows(data.features[:100].to(device), data.targets[:100].to(device))
    heads = [new_head(width, seed, device) for seed in range(3)]
    alone = new_head(width, 0, device)
    module, step = usual_step(alone, device)
    engine, many = new_step([alone], few), new_step(heads, few)
    for epoch in (1, 2):
        for own, count in ((engine, 1), (many, 3)):
            drive(-(-100 // BATCH), few.row_batches(BATCH, CONFIG.seed, epoch), own, count)
        for batch in usual_loader(data, 100)(epoch):
            step(batch)
    weights = {"engine": [p.detach() for p in alone.parameters()], USUAL: [p.detach() for p in module.parameters()]}
    weights["first of three heads"] = [p.detach() for p in heads[0].parameters()]
    # on CUDA the engine's learning rates are in float32
    harness.agree(weights, 1e-6 if harness.on_gpu(device) else 1e-8, USUAL)
    torch.set_default_dtype(torch.float32)


def row(what: str, contender: str, status: str, seconds: float, rival: float, floor: float, note: str) -> dict:
    return {
        "what": what, "contender": contender, "status": status, "seconds": f"{seconds:.6g}",
        "rival_over_this": f"{rival / seconds:.3f}", "over_floor": f"{seconds / floor:.2f}" if floor else "",
        "note": note,
    }  # fmt: skip


def report(path: Path, rows: list[dict]) -> None:
    for one in rows:
        summary = f"{float(one['seconds']):.4g} s, best rival over this {one['rival_over_this']} ({one['note']})"
        print(f"{one['what']}: {one['contender']} {summary}", flush=True)
    harness.append(path, rows)


def rows_of(what: str, seconds: dict, status: dict, own: str, scale: float, floor: float, note: str) -> list[dict]:
    """Returns one row per contender. The ratio is the time of the best rival divided by that of the contender."""
    best = min((time for name, time in seconds.items() if name != own), default=float("nan")) * scale
    nan = float("nan")
    return [row(what, n, status[n], seconds.get(n, nan) * scale, best, floor, note) for n in status]


def epoch(args, data: Data, width: int, steps: int, floor: float, path: Path) -> float:
    """Returns the seconds of an epoch at batch 32, extrapolated from some of its steps."""
    images = len(data.features)
    source, count = data.resident(args.device), -(-images // BATCH)
    engine = new_step([new_head(width, 0, args.device)], source)
    rows = endless(lambda number: source.row_batches(BATCH, CONFIG.seed, number))
    step, batches = usual_step(new_head(width, 0, args.device), args.device)[1], endless(usual_loader(data, images))
    contenders = {"engine": lambda: drive(steps, rows, engine), USUAL: lambda: take(steps, batches, step)}
    seconds, status = harness.interleave(contenders, args.device, args.budget)
    note = f"{steps} of {count} steps measured"
    report(path, rows_of("epoch", seconds, status, "engine", count / steps, floor * count, note))
    return seconds["engine"] * count / steps


@torch.inference_mode()
def no_cache(args, engine: float, path: Path) -> None:
    """Measures the forward passes that an epoch without cached features requires."""
    gpu = harness.on_gpu(args.device)
    size, few = (64, 2) if args.quick else (448, 32 if gpu else 4)
    layout = torch.channels_last if gpu else torch.contiguous_format
    backbone = Backbone("resnet101").to(args.device, memory_format=layout).eval()
    images = torch.randn(few, 3, size, size, device=args.device).to(memory_format=layout)

    def forward() -> torch.Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=gpu):
            return backbone(images)

    seconds, status = harness.interleave({"ResNet-101 again": forward}, args.device, args.budget)
    precision = "bf16" if gpu else "float32"
    note = f"forward only, {few} random images of {size} px in {precision} measured, times {args.images} images"
    rows = rows_of("epoch", seconds, status, "", args.images / few, 0, note)
    rows[0]["rival_over_this"] = f"{engine / float(rows[0]['seconds']):.6f}"
    report(path, rows)


def many_heads(args, data: Data, width: int, steps: int, floor: float, path: Path) -> None:
    source = data.resident(args.device)
    one_by_one = [new_step([new_head(width, seed, args.device)], source) for seed in range(HEADS)]
    at_once = new_step([new_head(width, seed, args.device) for seed in range(HEADS)], source)
    rows = list(itertools.islice(source.row_batches(BATCH, CONFIG.seed, 1), steps))
    contenders = {
        f"{HEADS} heads at once": lambda: drive(steps, iter(rows), at_once, HEADS),
        f"{HEADS} heads one after another": lambda: [drive(steps, iter(rows), step) for step in one_by_one],
    }
    seconds, status = harness.interleave(contenders, args.device, args.budget)
    count = -(-len(data.features) // BATCH)
    note, total = f"{steps} of {count} steps measured", HEADS * floor * count
    report(path, rows_of("epoch of 8 heads", seconds, status, f"{HEADS} heads at once", count / steps, total, note))


def batches(args, data: Data, path: Path) -> None:
    """Measures a shuffled pass in batches of 256."""
    source, streamed = data.resident(args.device), StreamedRows(data.cache, args.device)

    def plain() -> Iterator:
        order = epoch_order(len(data.features), 0, 1).to(args.device)
        for rows in order.split(256):
            yield source.features.index_select(0, rows), source.targets.index_select(0, rows)

    ways = {
        "batches": lambda: source.batches(256, 0, 1),
        "streamed batches": lambda: streamed.batches(256, 0, 1),
        "torch.index_select": plain,
    }
    found = {name: [torch.cat([f[:, :4].float() for f, _ in way()]).cpu()] for name, way in ways.items()}
    harness.agree(found, 0.0, "torch.index_select")

    def drain(way: Callable) -> None:
        for _ in way():
            pass

    contenders = {name: (lambda way=way: drain(way)) for name, way in ways.items()}
    seconds, status = harness.interleave(contenders, args.device, args.budget)
    best = seconds["torch.index_select"]
    floor = 2 * data.features.nbytes / harness.copy_bandwidth(args.device)
    note = f"{len(data.features)} rows; the rival is torch.index_select"
    report(path, [row("pass at 256", n, status[n], t, best, floor, note) for n, t in seconds.items()])


def whole_recipe(args, data: Data, width: int, path: Path) -> None:
    """Measures the whole recipe in ``fit_head``, on a GPU."""
    if not args.device.startswith("cuda"):
        return
    pair = data.features.to(args.device), data.targets.to(args.device)
    for precision, epochs in (("float32", args.epochs), ("tf32", max(1, args.epochs // 5))):
        head, epochs = new_head(width, 0, args.device), 2 if args.quick else epochs
        config = HeadConfig(recipe="paper", epochs=epochs, precision=precision)
        run = partial(fit_head, head, pair, config=config, device=args.device)
        seconds = harness.synchronized(run, args.device)
        note = f"{len(data.features)} images, batch {BATCH}, without validation"
        report(path, [row(f"{epochs} epochs", f"fit_head, {precision}", "ok", seconds, float("nan"), 0, note)])


def plot(path: Path) -> None:
    """Plots the seconds of an epoch and of a pass, by contender."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    last = {f"{r['what']}: {r['contender']}": float(r["seconds"]) for r in harness.read(path) if r["status"] == "ok"}
    figure, axes = plt.subplots(figsize=(8.5, 4.5), layout="constrained")
    names = list(last)[::-1]
    bars = axes.barh(names, [last[name] for name in names], color="#2a6f97")
    axes.bar_label(bars, labels=[f" {last[name]:.3g} s" for name in names], fontsize=8)
    axes.set(xscale="log", xlabel="seconds")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    figure.savefig(path.with_suffix(".png"), dpi=130)


def main() -> None:
    parser = harness.options(__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--budget", type=float, default=None, help="seconds of rounds per cell")
    parser.add_argument("--epochs", type=int, default=100, help="epochs of the whole recipe, on a GPU")
    args = parser.parse_args()
    keep_freed_memory()  # for all contenders, as the command line does
    warnings.filterwarnings("ignore")
    args.budget = args.budget or (0.2 if args.quick else 3.0 if harness.on_gpu(args.device) else 30.0)
    args.images, width, steps = (2_000, 128, 10) if args.quick else (IMAGES, FEATURES, 200)
    path = Path(args.out or harness.results_file("retraining", args.device, args.quick))
    print(harness.device_name(args.device))
    with tempfile.TemporaryDirectory() as folder:
        data = Data(Path(folder), args.images, width, args.device)
        prove(data, width, args.device)
        floor = floor_seconds(LABELS, BATCH, width, *speeds(args.device))
        engine = epoch(args, data, width, steps, floor, path)
        no_cache(args, engine, path)
        many_heads(args, data, width, steps // 5, floor, path)
        batches(args, data, path)
        whole_recipe(args, data, width, path)
    plot(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
