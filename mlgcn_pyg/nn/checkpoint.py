"""Heads on disk: plain dicts of tensors, numbers and strings, with all that using them needs."""

from pathlib import Path

import torch

from mlgcn_pyg.checks import bad_input, first_line
from mlgcn_pyg.files import load_plain, save_plain
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn.head import MLGCNHead
from mlgcn_pyg.nn.linear_head import LinearHead

FORMAT = "mlgcn_pyg.head"


def save_head(path: str | Path, head: torch.nn.Module, *, config: dict | None = None) -> None:
    """Writes ``head`` with its label names, its label graph (for an MLGCNHead) and the config it was trained with."""
    content = {
        "format": FORMAT,
        "version": 1,
        "label_names": tuple(head.label_names),
        "num_features": head.num_features,
        "config": config or {},
        # copies: of a head that shares its storage with others, torch.save would write theirs as well
        "state_dict": {name: value.detach().to("cpu", copy=True) for name, value in head.state_dict().items()},
    }
    if isinstance(head, MLGCNHead):
        content |= {
            "head": "mlgcn",
            "graph": head.base_graph().state(),
            "hidden_channels": head.hidden_channels,
            "negative_slope": head.negative_slope,
            "learn_edges": head.learn_edges,
            "learn_p": head.learn_p,
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
                learn_edges=content["learn_edges"],
                learn_p=content["learn_p"],
            )
        else:
            names = content["label_names"]
            head = LinearHead(len(names), content["num_features"], names, bias=content["bias"])
        head.load_state_dict(content["state_dict"])
    except Exception as error:  # whatever a damaged or foreign content leads to
        raise bad_input("checkpoint", "a complete head", f"{path} ({first_line(error)})") from error
    return head
