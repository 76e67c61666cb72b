"""``mlgcn import-released``: converts a checkpoint that was released with the paper."""

from pathlib import Path
from typing import Annotated

from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.label_names import read_label_names
from mlgcn_pyg.cli.options import DATA, MODEL, OUTPUT, option
from mlgcn_pyg.cli.outputs import make_folder
from mlgcn_pyg.errors import renamed_arguments
from mlgcn_pyg.files.plain import save_plain


def import_released(
    checkpoint: Annotated[Path, option("The released checkpoint (.pth.tar).", MODEL)],
    embeddings: Annotated[Path, option("Its label embeddings (*_glove_word2vec.pkl).", DATA)],
    out: Annotated[Path, option("Folder for head.pt, backbone.pth and graph.pt.", OUTPUT)],
    adj: Annotated[
        Path | None, option("Its label counts (*_adj.pkl), which add probabilities to the graph.", DATA)
    ] = None,
    names: Annotated[
        Path | None, option("Text file of label names, one per line, in the released (alphabetical) order.", DATA)
    ] = None,
    backbone: Annotated[str, option("The ResNet of the checkpoint.", MODEL)] = "resnet101",
    tau: Annotated[float, option("Threshold that was applied to --adj.", MODEL)] = 0.4,
) -> None:
    """Convert a released checkpoint to a head, backbone weights and a label graph. Code in it is not executed."""
    from mlgcn_pyg.checkpoints import save_head
    from mlgcn_pyg.nn import MLGCNHead
    from mlgcn_pyg.released import load_released
    from mlgcn_pyg.released.network import torchvision_state

    label_names = None if names is None else read_label_names(names)
    with renamed_arguments(path="checkpoint"), console.status(f"reading {checkpoint.name}"):
        model = load_released(checkpoint, embeddings, adj, label_names=label_names, backbone=backbone, tau=tau)
    make_folder("out", out)
    head = model.head
    assert isinstance(head, MLGCNHead)  # for the type checker: released heads are of this class
    save_head(out / "head.pt", head, config={"released": checkpoint.name})
    save_plain(out / "backbone.pth", torchvision_state(model))
    graph = head.base_graph()
    graph.save(out / "graph.pt")
    console.say(str(graph.summary(num_strongest=0)))
    console.say(f"Wrote {', '.join(str(out / name) for name in ('head.pt', 'backbone.pth', 'graph.pt'))}")
