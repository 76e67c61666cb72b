"""``mlgcn demo``: the whole path on generated scenes, with no network and no data."""

import time
from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.checks import check_choice, check_positive
from mlgcn_pyg.cli import common, console
from mlgcn_pyg.cli.heads import fit_with_bar, head_files, remove_heads, save_heads
from mlgcn_pyg.cli.json_output import write_json
from mlgcn_pyg.errors import InputError


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that the demo writes.")] = Path("runs/demo"),
    num_train: Annotated[int, typer.Option(help="Training scenes.")] = 2000,
    num_test: Annotated[int, typer.Option(help="Test scenes.")] = 1000,
    image_size: Annotated[int, typer.Option(help="Side of a scene in pixels.")] = 64,
    epochs: Annotated[int, typer.Option(help="Epochs of backbone and head together.")] = 8,
    head_epochs: Annotated[int, typer.Option(help="Epochs of the heads on cached features.")] = 30,
    seeds: Annotated[int, typer.Option(help="Runs of each head.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Draw scenes, mine their label graph, train, cache features, retrain heads, and show the paper's table."""
    started = time.perf_counter()
    from mlgcn_pyg.report.plots import plot_label_graph, plot_per_class_ap
    from mlgcn_pyg.training import HeadConfig

    device = common.pick_device(check_choice("device", device, ("auto", "cpu", "cuda")))
    for argument, value in (("num_train", num_train), ("num_test", num_test), ("seeds", seeds), ("epochs", epochs)):
        check_positive(argument, value)
    if ((out / "metrics.json").is_file() or head_files(out)) and not (out / "scenes").is_dir():
        raise InputError("out", "a new folder or one of an earlier demo", f"other results in {out}")
    head_config = HeadConfig(lr=0.05, epochs=head_epochs, lr_step=max(1, round(0.7 * head_epochs)))
    common.make_folder("out", out)
    train_set, test_set = _draw(out / "scenes", num_train, num_test, image_size)
    graph = _mine(train_set, out)
    plot_label_graph(graph, out / "label_graph.png", title="Labels of the generated scenes: i → j where P(j | i) ≥ 0.4")
    model = _train(graph, train_set, test_set, epochs, device)
    train, test = (_extract(model.backbone, data, out / f"{data.split}.h5", device) for data in (train_set, test_set))
    heads = _retrain(graph, train, test, out, head_config, seeds, device)
    plot_per_class_ap({kind: heads[kind]["mean"]["AP"] for kind in heads}, out / "per_class_ap.png")
    console.out.print(
        f"wrote {out}: label_graph.png, per_class_ap.png, metrics.json, graph.pt, the feature files and the heads "
        f"({time.perf_counter() - started:.0f} s)",
        soft_wrap=True,
    )


def _draw(root: Path, num_train: int, num_test: int, image_size: int):
    from mlgcn_pyg.datasets import Scenes, eval_transform, train_transform

    with console.err.status("drawing scenes"):
        train_set = Scenes(root, num_train, split="train", image_size=image_size, transform=train_transform(image_size))
        test_set = Scenes(root, num_test, split="test", image_size=image_size, transform=eval_transform(image_size))
    console.out.print(f"drew {len(train_set)} training and {len(test_set)} test scenes, {train_set.num_labels} labels")
    return train_set, test_set


def _mine(train_set, out: Path):
    from mlgcn_pyg.datasets.scene_model import scene_probabilities
    from mlgcn_pyg.graph import LabelGraph
    from mlgcn_pyg.report import edge_table

    graph = LabelGraph.from_targets(train_set.targets, label_names=train_set.label_names)
    graph.save(out / "graph.pt")
    console.out.print(str(graph.summary(num_strongest=0)), soft_wrap=True)
    console.show_table(edge_table(graph, scene_probabilities()[1]))
    return graph


def _train(graph, train_set, test_set, epochs: int, device: str):
    """A ResNet-18 from scratch: both parts learn at the same rate, and the rate falls once before the end."""
    import torch

    from mlgcn_pyg.nn import MLGCN, Backbone, MLGCNHead
    from mlgcn_pyg.training import ModelConfig, fit_model

    torch.manual_seed(0)
    backbone = Backbone("resnet18")
    model = MLGCN(backbone, MLGCNHead(graph, backbone.num_features))
    config = ModelConfig(
        lr=0.05, backbone_lr_factor=1.0, epochs=epochs, lr_step=max(1, round(0.7 * epochs)), cpu=device == "cpu"
    )
    steps = -(-len(train_set) // config.batch_size)
    with console.progress_bar("training ResNet-18 + ML-GCN", epochs * steps) as update:
        history = fit_model(
            model,
            train_set,
            test_set,
            config,
            progress=lambda r: update((r["epoch"] - 1) * steps + r["step"], f"epoch {r['epoch']} loss {r['loss']:.3f}"),
        )
    chance = float((test_set.targets == 1).double().mean())
    console.out.print(f"end to end: mAP {history.last['mAP']:.3f} after {epochs} epochs (chance {chance:.3f})")
    return model


def _extract(backbone, data, path: Path, device: str):
    from mlgcn_pyg.datasets import eval_transform
    from mlgcn_pyg.features import extract_features

    if data.split == "train":  # features are taken of the whole image, not of a random crop
        data.transform = eval_transform(data[0][0].shape[-1])
    with console.progress_bar(f"extracting {data.split}", len(data)) as update:
        return extract_features(backbone, data, path, batch_size=64, device=device, overwrite=True, progress=update)


def _retrain(graph, train, test, out: Path, config, seeds: int, device: str) -> dict:
    from mlgcn_pyg.experiments.compare_heads import HEADS, describe_setup, summarize_heads
    from mlgcn_pyg.report import table1

    fitted = fit_with_bar(train, test, graph, HEADS, seeds, config, device=device)
    remove_heads(out)
    save_heads(out, fitted, config, train)
    heads = summarize_heads(fitted)
    write_json(out / "metrics.json", {"setup": describe_setup(train, test, config, seeds), "heads": heads})
    console.show_table(table1(heads, f"heads retrained on cached features, {len(test)} test scenes, {seeds} seed(s)"))
    return heads
