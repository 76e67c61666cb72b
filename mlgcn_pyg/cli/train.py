"""``mlgcn train``: backbone and head together, as in the paper (Sec. 4.2)."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.checks import check_choice
from mlgcn_pyg.cli import common, console
from mlgcn_pyg.cli.inputs import open_graph
from mlgcn_pyg.errors import InputError


@common.opens_dataset
def train(
    open_data: Callable,
    out: Annotated[Path, typer.Option(help="Folder for the state, the history and the networks last.pt and best.pt.")],
    val_split: Annotated[str | None, typer.Option(help="Split to score on after each epoch.")] = None,
    val_labels: Annotated[Path | None, typer.Option(help="Table to score on, where it is another file.")] = None,
    graph: Annotated[
        Path | None, typer.Option(help="Label graph (mlgcn graph); without it, one-hot, from the training labels.")
    ] = None,
    head: Annotated[str, typer.Option(help="mlgcn, or linear, the fair baseline.")] = "mlgcn",
    hidden: Annotated[str, typer.Option(help="Widths between the GCN's layers, e.g. 1024 or 1024,1024.")] = "1024",
    backbone: Annotated[str, typer.Option(help="A torchvision classification model, or timm:<name>.")] = "resnet101",
    weights: Annotated[
        str, typer.Option(help="A .pth or .safetensors file, DEFAULT (downloaded), or none for random weights.")
    ] = "DEFAULT",
    pool: Annotated[str, typer.Option(help="max (the paper) or avg.")] = "max",
    image_size: Annotated[str, typer.Option(help="Side in pixels, or HEIGHTxWIDTH.")] = "448",
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 100,
    batch_size: Annotated[int, typer.Option(help="Images per step, over all processes.")] = 32,
    lr: Annotated[float, typer.Option(help="Learning rate of the head.")] = 0.01,
    backbone_lr_factor: Annotated[float, typer.Option(help="The backbone's over the head's.")] = 0.1,
    momentum: Annotated[float, typer.Option(help="Of SGD.")] = 0.9,
    weight_decay: Annotated[float, typer.Option(help="Weight decay.")] = 1e-4,
    schedule: Annotated[str, typer.Option(help="step, cosine or one_cycle.")] = "step",
    lr_step: Annotated[int, typer.Option(help="step: epochs between steps to a tenth.")] = 40,
    clip_norm: Annotated[float, typer.Option(help="The gradient's norm is clipped here; 0 for not.")] = 10.0,
    loss: Annotated[
        str, typer.Option(help="multilabel_soft_margin (the paper) or asymmetric.")
    ] = "multilabel_soft_margin",
    frozen_epochs: Annotated[int, typer.Option(help="Epochs at the start in which the backbone stays as it is.")] = 0,
    freeze_batchnorm: Annotated[bool, typer.Option("--freeze-batchnorm", help="Keep batch statistics.")] = False,
    accumulate: Annotated[int, typer.Option(help="Pieces a batch is computed in, where memory is short.")] = 1,
    ema_decay: Annotated[float | None, typer.Option(help="Average the weights, e.g. 0.999.")] = None,
    val_every: Annotated[int, typer.Option(help="Epochs between validations.")] = 1,
    num_workers: Annotated[int, typer.Option(help="Processes that decode images.")] = 0,
    precision: Annotated[str, typer.Option(help="float32, bf16 or fp16.")] = "float32",
    channels_last: Annotated[bool, typer.Option("--channels-last", help="Memory layout for tensor cores.")] = False,
    compile: Annotated[bool, typer.Option("--compile", help="Through torch.compile.")] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Curves in OUT/tensorboard.")] = False,
    seed: Annotated[int, typer.Option(help="Of weights, order, augmentation and dropout.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; several GPUs through torchrun.")] = "auto",
) -> None:
    """Train a whole network; interrupted and run again, it goes on where it stopped."""
    from mlgcn_pyg.datasets import eval_transform, train_transform
    from mlgcn_pyg.prediction.opening import check_accepts
    from mlgcn_pyg.training import ModelConfig

    device = common.pick_device(check_choice("device", device, ("auto", "cpu", "cuda")))
    config = ModelConfig(
        lr=lr, momentum=momentum, weight_decay=weight_decay, lr_step=lr_step, epochs=epochs, batch_size=batch_size,
        clip_norm=clip_norm or None, seed=seed, backbone_lr_factor=backbone_lr_factor, loss=loss, schedule=schedule,
        frozen_epochs=frozen_epochs, freeze_batchnorm=freeze_batchnorm, accumulate=accumulate, ema_decay=ema_decay,
        val_every=val_every, num_workers=num_workers, precision=precision, channels_last=channels_last,
        compile=compile, cpu=device == "cpu",
    )  # fmt: skip
    size = common.sides(image_size)
    label_graph = None if graph is None else open_graph(graph)
    names = None if label_graph is None else label_graph.label_names
    train_set = open_data(transform=train_transform(size), label_names=names)
    val_set = _open_val(open_data, val_split, val_labels, eval_transform(size), train_set.label_names)
    _warn(train_set)
    common.make_folder("out", out)
    model = _network(head, label_graph, train_set, backbone, weights, pool, common.widths(hidden), seed)
    check_accepts(model.backbone, size)
    _fit(model, train_set, val_set, config, out, tensorboard)


def _open_val(open_data: Callable, split: str | None, labels: Path | None, transform, names):
    if split is None and labels is None:
        return None
    other = {} if labels is None else {"labels": labels}
    return open_data(transform=transform, label_names=names, split=split, **other)


def _warn(data) -> None:
    """Names labels that nothing can be learned of."""
    present = (data.targets == 1).any(dim=0).tolist()
    if missing := [name for name, here in zip(data.label_names, present, strict=True) if not here]:
        console.err.print(f"warning: no training image has {', '.join(missing)}", soft_wrap=True)


def _network(head: str, graph, data, backbone: str, weights: str, pool: str, hidden: tuple[int, ...], seed: int):
    import torch

    from mlgcn_pyg.graph import LabelGraph
    from mlgcn_pyg.nn import MLGCN, Backbone, LinearHead, MLGCNHead

    torch.manual_seed(seed)
    made = Backbone(backbone, None if weights == "none" else weights, pool)
    if check_choice("head", head, ("mlgcn", "linear")) == "linear":
        return MLGCN(made, LinearHead(data.num_labels, made.num_features, data.label_names))
    if graph is None:
        graph = LabelGraph.from_targets(data.targets, label_names=data.label_names)
    return MLGCN(made, MLGCNHead(graph, made.num_features, hidden))


def _fit(model, train_set, val_set, config, out: Path, tensorboard: bool) -> None:
    import torch

    from mlgcn_pyg.training import fit_model

    try:
        with console.progress_bar(f"{model.backbone.name} + head", config.epochs) as update:

            def report(now: dict) -> None:
                done = now["epoch"] - 1 + now["step"] / now["steps"]
                speed = f"{now['images_per_second']:.0f} images/s"
                update(done, f"loss {now['loss']:.4f} lr {now['lr']:.2g} {speed}")

            options = {"folder": out, "tensorboard": tensorboard, "progress": report}
            history = fit_model(model, train_set, val_set, config, **options)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()  # or NCCL complains
    except (KeyboardInterrupt, SystemExit) as stopped:
        where = f"the state is in {out}" if (out / "state.pt").exists() else "no step was done"
        console.out.print(f"stopped; {where}: run the same command to go on", soft_wrap=True)
        raise typer.Exit(stopped.code if isinstance(stopped, SystemExit) else 130) from None
    if not history.epochs:
        raise InputError("epochs", "at least one epoch", "none")
    last, best = history.last, history.best
    told = f"epoch {last['epoch']}: loss {last['loss']:.4f}" + (f", mAP {last['mAP']:.4f}" if "mAP" in last else "")
    if best is not None:
        told += f" (best, chosen on these images: {best['mAP']:.4f} in epoch {best['epoch']})"
    console.out.print(
        f"{told}\nwrote {out / 'last.pt'}: mlgcn predict photos --checkpoint {out / 'last.pt'}", soft_wrap=True
    )
