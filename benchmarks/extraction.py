"""Compares extract, predict and end-to-end steps with a bare loop and with a different checkout of this package.

python benchmarks/extraction.py [--quick] [--against FOLDER] [--photos FOLDER --weights mobilenet_v2.pth]

``--against`` is a folder with a different checkout, such as that of an earlier version. Each contender runs in a
process of its own, as memory allocation is a setting of the process. The processes take turns. Start-up and a first
run, which warms up, are not measured. On a machine with other load, compare the CPU time. The bare loop decodes,
transforms and computes the inference form of the backbone, with the same threads and worker processes, and writes
nothing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import harness
import numpy as np
import torch

# task, backbone, side, images, images per batch
CASES = (
    ("extract", "mobilenet_v2", 224, 500, 32),
    ("extract", "resnet50", 448, 40, 16),
    ("predict", "mobilenet_v2", 224, 500, 32),
    ("step", "mobilenet_v2", 224, 32, 32),
)
QUICK = (
    ("extract", "mobilenet_v2", 64, 8, 4),
    ("predict", "mobilenet_v2", 64, 8, 4),
    ("step", "mobilenet_v2", 64, 4, 4),
)
LABELS, TOLERANCE = 80, 2e-3  # largest difference of results, relative to the largest value
THIS, OTHER, BARE = "this version", "other version", "bare loop"
ROOT = Path(__file__).parents[1]


def photographs(args: argparse.Namespace, side: int, count: int):
    """Returns a data set of photographs, or of generated scenes without ``--photos``."""
    from mlgcn_pyg.datasets import LabeledImages, Scenes, eval_transform

    if args.photos is None:
        return Scenes(Path(args.folder) / f"scenes-{os.getpid()}", count, image_size=96, transform=eval_transform(side))
    paths = sorted(Path(args.photos).glob("*.jpg"))[:count]
    targets = np.zeros((len(paths), LABELS), np.int8)
    return LabeledImages(paths, targets, [str(k) for k in range(LABELS)], transform=eval_transform(side))


def network(args: argparse.Namespace, name: str):
    from mlgcn_pyg.nn import MLGCN, Backbone, LinearHead

    torch.manual_seed(0)
    backbone = Backbone(name, args.weights if name == "mobilenet_v2" else None)
    return MLGCN(backbone, LinearHead(LABELS, backbone.num_features))


def extract(args: argparse.Namespace, name: str, side: int, count: int, batch: int) -> Callable[[], np.ndarray]:
    from mlgcn_pyg.features import extract_features

    data, backbone = photographs(args, side, count), network(args, name).backbone
    path = Path(args.folder) / f"{os.getpid()}.h5"
    options = {"batch_size": batch, "num_workers": args.workers, "dtype": "float32", "overwrite": True}
    return lambda: extract_features(backbone, data, path, **options).load()[0][:, 0].numpy()


def bare_loop(args: argparse.Namespace, name: str, side: int, count: int, batch: int) -> Callable[[], np.ndarray]:
    data, backbone = photographs(args, side, count), network(args, name).backbone
    form = backbone.inference_form((side, side))
    loader = torch.utils.data.DataLoader(data, batch, num_workers=args.workers)

    @torch.inference_mode()
    def run() -> np.ndarray:
        return torch.cat([form(images) for images, _, _ in loader]).numpy()

    return run


def predict(args: argparse.Namespace, name: str, side: int, count: int, batch: int) -> Callable[[], np.ndarray]:
    from mlgcn_pyg.checkpoints import Checkpoint
    from mlgcn_pyg.prediction import Predictor

    model, paths = network(args, name), photographs(args, side, count).image_paths
    predictor = Predictor(Checkpoint(model.head, model.backbone, image_size=side))

    def run() -> np.ndarray:
        found = predictor.predict(paths, top_k=LABELS, batch_size=batch, num_workers=args.workers)
        return np.array([[p for _, p in sorted(prediction.labels)] for prediction in found])

    return run


def step(args: argparse.Namespace, name: str, side: int, count: int, batch: int) -> Callable[[], np.ndarray]:
    """Returns ten steps of end-to-end training on images in memory, which return the first loss of all."""
    from mlgcn_pyg.training import ModelConfig
    from mlgcn_pyg.training.model.shares import DecodedPiece
    from mlgcn_pyg.training.model.trainee import Trainee

    trainee = Trainee(network(args, name), ModelConfig(batch_size=batch, cpu=True))
    if has("training/model/layout.py"):
        from mlgcn_pyg.training.model.layout import channels_last_is_faster

        trainee.set_layout(channels_last_is_faster(trainee, (side, side)))
    images = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    piece = DecodedPiece(images, torch.zeros(count, LABELS, dtype=torch.int8), 1.0)
    trainee.begin_epoch(1)
    losses: list[float] = []

    def run() -> np.ndarray:
        losses.extend(float(trainee.step([piece], 0, 1e-3)) for _ in range(2))
        return np.array(losses[:1])

    return run


TASKS = {"extract": extract, "predict": predict, "step": step, BARE: bare_loop}


def has(file: str) -> bool:
    """Returns whether the checkout has a module. An import could find that of a different, installed version."""
    import mlgcn_pyg

    return (Path(mlgcn_pyg.__file__).parent / file).exists()


def serve(args: argparse.Namespace) -> None:
    """Runs a task once for each line of standard input, and answers with seconds and peak memory."""
    if has("allocator.py"):
        from mlgcn_pyg.allocator import keep_freed_memory

        keep_freed_memory()  # as the command line does
    task, case = json.loads(args.serve)
    run = TASKS[task](args, *case)
    for line in sys.stdin:
        start, cpu = time.perf_counter(), time.process_time()
        result = run()
        spent = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
        np.save(line.strip(), result)
        print(json.dumps(spent | {"peak": harness.peak_memory()}), flush=True)


class Contender:
    """A process that runs a task of one checkout."""

    def __init__(self, args: argparse.Namespace, checkout: str | Path, task: str, case: tuple):
        words = [sys.executable, __file__, "--serve", json.dumps([task, case]), "--workers", str(args.workers)]
        words += ["--folder", args.folder]
        for name in ("photos", "weights"):
            words += [f"--{name}", getattr(args, name)] if getattr(args, name) else []
        self.result = Path(args.folder) / f"{task}-{id(self)}.npy"
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(checkout), "PYTHONWARNINGS": "ignore"},
        )

    def run(self) -> dict[str, float]:
        """Runs the task once and returns its seconds and the peak memory of its process."""
        self.process.stdin.write(f"{self.result}\n")
        self.process.stdin.flush()
        if not (answer := self.process.stdout.readline()):
            raise SystemExit("a contender ended with an error")
        return json.loads(answer)

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def measure(args: argparse.Namespace, task: str, *case) -> list[dict]:
    """Returns one row per contender."""
    contenders = {THIS: Contender(args, ROOT, task, case)}
    if args.against:
        contenders[OTHER] = Contender(args, Path(args.against).resolve(), task, case)
    if task == "extract":
        contenders[BARE] = Contender(args, ROOT, BARE, case)
    for contender in contenders.values():
        contender.run()
    results = {name: [torch.from_numpy(np.load(contender.result))] for name, contender in contenders.items()}
    harness.agree(results, TOLERANCE, THIS)
    times = {name: [] for name in contenders}
    for _ in range(args.rounds):
        for name, contender in contenders.items():
            times[name].append(contender.run())
    for contender in contenders.values():
        contender.end()
    seconds, cpu = (
        {name: statistics.median(run[key] for run in runs) for name, runs in times.items()}
        for key in ("seconds", "cpu")
    )
    backbone, side, count, batch = case
    images = 2 * count if task == "step" else count
    return [
        {
            "task": task, "backbone": backbone, "side": side, "images": images, "batch": batch,
            "workers": args.workers, "contender": name, "status": "ok", "rounds": args.rounds,
            "seconds": f"{seconds[name]:.3f}", "cpu_seconds": f"{cpu[name]:.3f}",
            "ms_per_image": f"{1e3 * seconds[name] / images:.2f}",
            "speed_of_this_version_over_it": f"{seconds[name] / seconds[THIS]:.2f}",
            "cpu_time_over_this_version": f"{cpu[name] / cpu[THIS]:.2f}",
            "peak_MB": f"{max(run['peak'] for run in runs) / 1e6:.0f}",
        }
        for name, runs in times.items()
    ]  # fmt: skip


def plot(path: Path) -> None:
    """Plots the milliseconds per image of the last run."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    last = {(r["task"], r["backbone"], r["side"], r["contender"]): r for r in harness.read(path)}
    cases = list(dict.fromkeys(key[:3] for key in last))
    figure, panels = plt.subplots(1, len(cases), figsize=(3 * len(cases), 3.2), layout="constrained", squeeze=False)
    for axes, case in zip(panels[0], cases, strict=True):
        names = [name for name in (THIS, BARE, OTHER) if (*case, name) in last]
        heights = [float(last[*case, name]["ms_per_image"]) for name in names]
        bars = axes.bar(names, heights, color=["#2a7fb8" if name == THIS else "#b9c4cc" for name in names])
        axes.bar_label(bars, fmt="%.1f", fontsize=8)
        axes.set(title=f"{case[0]}\n{case[1]}, {case[2]} px", ylabel="ms per image")
        axes.title.set_fontsize(10)
        axes.tick_params(axis="x", labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path.with_suffix(".png"), dpi=130)


def main() -> None:
    parser = harness.options(__doc__)
    parser.add_argument("--against", default=None, help="folder of a different checkout to compare with")
    parser.add_argument("--photos", default=None, help="folder of .jpg files; default: generated scenes")
    parser.add_argument("--weights", default=None, help="MobileNetV2's state dict; default: random weights")
    parser.add_argument("--workers", type=int, default=0, help="worker processes that decode images")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--only", default="", help="measure cases with this text in their name, such as 'extract resnet50'"
    )
    parser.add_argument("--folder", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--serve", default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    if args.serve:
        serve(args)
        return
    args.rounds = 2 if args.quick else args.rounds
    path = Path(args.out or harness.results_file("extraction", "cpu", args.quick))
    print(harness.device_name("cpu"))
    for task, *case in QUICK if args.quick else CASES:
        if args.only not in f"{task} {case[0]}":
            continue
        with tempfile.TemporaryDirectory() as folder:
            args.folder = folder
            rows = measure(args, task, *case)
        harness.report(path, rows)
    plot(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
