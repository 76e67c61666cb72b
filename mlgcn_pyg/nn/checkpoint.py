"""Heads on disk: plain dicts of tensors, numbers and strings, with all that using them needs."""

from pathlib import Path

import torch

from mlgcn_pyg.checks import bad_input
from mlgcn_pyg.files import load_plain, save_plain
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn.head import LinearHead, MLGCNHead

FORMAT = "mlgcn_pyg.head"


def save_head(
    path: str | Path, head: torch.nn.Module, *, graph: LabelGraph | None = None, config: dict | None = None
) -> None:
    """Writes ``head`` with its label names, its label graph (for an MLGCNHead) and the config it was trained with."""
    content = {
        "format": FORMAT,
        "version": 1,
        "label_names": tuple(head.label_names),
        "num_features": head.num_features,
        "config": config or {},
        "state_dict": {name: value.detach().cpu() for name, value in head.state_dict().items()},
    }
    if isinstance(head, MLGCNHead):
        if graph is None:
            raise bad_input("graph", "the label graph that the head was built from", None)
        content |= {
            "head": "mlgcn",
            "graph": graph.state(),
            "hidden_channels": head.hidden_channels,
            "negative_slope": head.negative_slope,
        }
    else:
        content |= {"head": "linear", "bias": head.linear.bias is not None}
    save_plain(path, content)


def load_head(path: str | Path) -> MLGCNHead | LinearHead:
    """The head of a checkpoint; nothing in the file can run code. Raises InputError for any other file."""
    content = load_plain("checkpoint", path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise bad_input("checkpoint", "a head written by save_head", f"another file, {path}")
    if content.get("version") != 1:
        raise bad_input("checkpoint", "format version 1", content.get("version"), fix="use a newer mlgcn_pyg")
    try:
        if content["head"] == "mlgcn":
            head = MLGCNHead(
                LabelGraph.from_state(content["graph"], f"graph in {path}"),
                content["num_features"],
                content["hidden_channels"],
                negative_slope=content["negative_slope"],
            )
        else:
            names = content["label_names"]
            head = LinearHead(len(names), content["num_features"], names, bias=content["bias"])
        head.load_state_dict(content["state_dict"])
    except (KeyError, RuntimeError) as error:
        raise bad_input("checkpoint", "a complete head", f"{path} ({str(error).splitlines()[0]})") from error
    return head
