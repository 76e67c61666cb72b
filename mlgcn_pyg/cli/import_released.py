"""``mlgcn import-released``: a checkpoint of the paper's authors to files of this package."""

from pathlib import Path
from typing import Annotated

import typer

from mlgcn_pyg.cli import common, console
from mlgcn_pyg.cli.embed import read_names
from mlgcn_pyg.errors import renamed_arguments
from mlgcn_pyg.files import save_plain


def import_released(
    checkpoint: Annotated[Path, typer.Option(help="The released checkpoint (.pth.tar).")],
    embeddings: Annotated[Path, typer.Option(help="Its label embeddings (*_glove_word2vec.pkl).")],
    out: Annotated[Path, typer.Option(help="Folder for head.pt, backbone.pth and graph.pt.")],
    adj: Annotated[
        Path | None, typer.Option(help="Its label counts (*_adj.pkl): adds probabilities to the graph.")
    ] = None,
    names: Annotated[
        Path | None, typer.Option(help="Text file of label names, one a line; the released order is alphabetical.")
    ] = None,
    backbone: Annotated[str, typer.Option(help="The ResNet of the checkpoint.")] = "resnet101",
    tau: Annotated[float, typer.Option(help="At which --adj was cut.")] = 0.4,
) -> None:
    """Turn a released checkpoint into a head, backbone weights and a label graph; nothing in it can run code."""
    from mlgcn_pyg.checkpoints import save_head
    from mlgcn_pyg.released import load_released
    from mlgcn_pyg.released.network import torchvision_state

    label_names = None if names is None else read_names(names)
    with renamed_arguments(path="checkpoint"), console.err.status(f"reading {checkpoint.name}"):
        model = load_released(checkpoint, embeddings, adj, label_names=label_names, backbone=backbone, tau=tau)
    common.make_folder("out", out)
    save_head(out / "head.pt", model.head, config={"released": checkpoint.name})
    save_plain(out / "backbone.pth", torchvision_state(model))
    graph = model.head.base_graph()
    graph.save(out / "graph.pt")
    console.out.print(str(graph.summary(num_strongest=0)), soft_wrap=True)
    console.out.print(
        f"wrote {out}: head.pt, backbone.pth (mlgcn extract --backbone {backbone} --weights), graph.pt", soft_wrap=True
    )
