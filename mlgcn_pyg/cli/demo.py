"""``mlgcn demo``: runs all steps on generated scenes, without downloads."""

import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.head_setup import sources
from mlgcn_pyg.cli.heads import HeadRuns, head_files, remove_heads, save_heads, save_recommended
from mlgcn_pyg.cli.json_output import write_json
from mlgcn_pyg.cli.options import COMPUTATION, DATA, OUTPUT, TRAINING, choice, option
from mlgcn_pyg.cli.outputs import make_folder
from mlgcn_pyg.cli.report import write_report
from mlgcn_pyg.cli.values import pick_device
from mlgcn_pyg.cli.verdict import show_comparison
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.training.config import HeadConfig, ModelConfig

if TYPE_CHECKING:  # these load torch
    from mlgcn_pyg.datasets import Scenes
    from mlgcn_pyg.features import FeatureCache
    from mlgcn_pyg.graph import LabelGraph
    from mlgcn_pyg.nn import Backbone

DEVICES = ("auto", "cpu", "cuda")
KINDS = ("linear", "sharing", "mlgcn")


def demo(
    out: Annotated[Path, option("Folder for all output of the demo.", OUTPUT)] = Path("runs/demo"),
    num_train: Annotated[int, option("Number of training scenes.", DATA)] = 2000,
    num_test: Annotated[int, option("Number of test scenes.", DATA)] = 1000,
    image_size: Annotated[int, option("Side of a scene in pixels.", DATA)] = 64,
    epochs: Annotated[int, option("Epochs of backbone and head together.", TRAINING)] = 8,
    head_epochs: Annotated[int, option("Epochs of the ML-GCN head on cached features.", TRAINING)] = 30,
    seeds: Annotated[int, option("Number of ML-GCN heads on cached features.", TRAINING)] = 3,
    device: Annotated[str, choice("auto, cpu or cuda.", COMPUTATION, DEVICES)] = "auto",
) -> None:
    """Run all steps on generated scenes: label graph, training, cached features, and a comparison of heads."""
    started = time.perf_counter()
    from mlgcn_pyg.report.plots import plot_label_graph, plot_per_class_ap

    device = pick_device(check_choice("device", device, DEVICES))
    for argument, value in (("num_train", num_train), ("num_test", num_test), ("seeds", seeds), ("epochs", epochs)):
        check_positive(argument, value)
    if ((out / "metrics.json").is_file() or head_files(out)) and not (out / "scenes").is_dir():
        raise InputError("out", "a new folder or one of an earlier demo", f"other results in {out}")
    head_config = HeadConfig(epochs=check_positive("head_epochs", head_epochs))
    make_folder("out", out)
    train_set, test_set = _draw(out / "scenes", num_train, num_test, image_size)
    graph = _build_graph(train_set, out)
    plot_label_graph(graph, out / "label_graph.png", title="Labels of the generated scenes: i → j where P(j | i) ≥ 0.4")
    backbone = _train(graph, train_set, test_set, epochs, device)
    train, test = (_extract(backbone, data, out / f"{data.split}.h5", device) for data in (train_set, test_set))
    runs = HeadRuns(train, test, graph, KINDS, seeds, head_config, device)
    metrics = _retrain(runs, out)
    plot_per_class_ap({kind: metrics[kind]["mean"]["AP"] for kind in metrics}, out / "per_class_ap.png")
    page = _report(runs, out)
    console.say(
        f"Wrote to {out}: label_graph.png, per_class_ap.png, metrics.json, graph.pt, feature files and heads "
        f"({time.perf_counter() - started:.0f} s)"
    )
    console.say(page)


def _draw(root: Path, num_train: int, num_test: int, image_size: int) -> "tuple[Scenes, Scenes]":
    from mlgcn_pyg.datasets import Scenes, eval_transform, train_transform

    with console.status("drawing scenes"):
        train_set = Scenes(root, num_train, split="train", image_size=image_size, transform=train_transform(image_size))
        test_set = Scenes(root, num_test, split="test", image_size=image_size, transform=eval_transform(image_size))
    console.say(f"{len(train_set)} training and {len(test_set)} test scenes, {train_set.num_labels} labels")
    return train_set, test_set


def _build_graph(train_set: "Scenes", out: Path) -> "LabelGraph":
    from mlgcn_pyg.datasets.scene_model import scene_probabilities
    from mlgcn_pyg.graph import LabelGraph
    from mlgcn_pyg.report import edge_table

    graph = LabelGraph.from_targets(train_set.targets, label_names=train_set.label_names)
    graph.save(out / "graph.pt")
    console.say(str(graph.summary(num_strongest=0)))
    console.show_table(edge_table(graph, scene_probabilities()[1]))
    return graph


def _train(graph: "LabelGraph", train_set: "Scenes", test_set: "Scenes", epochs: int, device: str) -> "Backbone":
    """Trains a ResNet-18 from scratch at the learning rate of the head. The rate is reduced once, near the end."""
    import torch

    from mlgcn_pyg.nn import MLGCN, Backbone, MLGCNHead
    from mlgcn_pyg.training import fit_model

    torch.manual_seed(0)
    backbone = Backbone("resnet18")
    model = MLGCN(backbone, MLGCNHead(graph, backbone.num_features))
    config = ModelConfig(
        lr=0.05, backbone_lr_factor=1.0, epochs=epochs, lr_step=max(1, round(0.7 * epochs)), cpu=device == "cpu"
    )
    steps = -(-len(train_set) // config.batch_size)
    with console.progress_bar("training ResNet-18 + ML-GCN", epochs * steps) as update:

        def report(step: dict[str, Any]) -> None:
            update((step["epoch"] - 1) * steps + step["step"], f"epoch {step['epoch']} loss {step['loss']:.3f}")

        history = fit_model(model, train_set, test_set, config, progress=report)
    chance = float((test_set.targets == 1).double().mean())
    console.say(f"End to end: mAP {history.last['mAP']:.3f} after {epochs} epochs (chance {chance:.3f})")
    return backbone


def _extract(backbone: "Backbone", data: "Scenes", path: Path, device: str) -> "FeatureCache":
    from mlgcn_pyg.datasets import eval_transform
    from mlgcn_pyg.features import extract_features

    if data.split == "train":  # features of the whole image, not of a random crop
        data.transform = eval_transform(data[0][0].shape[-1])
    with console.progress_bar(f"extracting {data.split}", len(data)) as update:
        return extract_features(backbone, data, path, batch_size=64, device=device, overwrite=True, progress=update)


def _retrain(runs: HeadRuns, out: Path) -> dict[str, dict[str, Any]]:
    from mlgcn_pyg.experiments.summary import describe_comparison, describe_setup, summarize_heads
    from mlgcn_pyg.run_report.metrics import RunMetrics
    from mlgcn_pyg.run_report.verdict import verdict

    found = runs.fit()
    remove_heads(out)
    save_heads(out, found.heads, runs.train)
    save_recommended(out, found.recommended, runs.train)
    results = summarize_heads(found.heads)
    setup = describe_setup(runs.train, runs.val, runs.config, runs.seeds, exact=runs.exact)
    content = {"setup": setup, "heads": results} | describe_comparison(found, runs.train.label_names)
    content |= sources(runs, out, others=False)
    write_json(out / "metrics.json", content)
    metrics = RunMetrics.of(content)
    show_comparison(runs, results, found, metrics)
    for line in verdict(metrics):
        console.say(line)
    return results


def _report(runs: HeadRuns, out: Path) -> str:
    """Writes the page about the demo, and returns what to do with it."""
    if find_spec("plotly") is None:
        return 'No report: no plotly; pip install "mlgcn_pyg[report]"'
    page = write_report(out, cache=runs.val, train=runs.train, root=out / "scenes", device=runs.device)
    return f"Open {page} in a browser to look at the results."
