"""The parameters of a head in groups that differ in learning rate and weight decay."""

from typing import Any

from torch import Tensor

from mlgcn_pyg.nn import LabelGNNHead, LinearHead, MLGCNHead, SharingHead
from mlgcn_pyg.training.config import HeadSettings
from mlgcn_pyg.training.heads.recipe import INNER_LR
from mlgcn_pyg.typing import Head

LR_FACTOR = "lr_factor"  # of a group: its learning rate in units of that of the settings


def parameter_groups(head: Head, settings: HeadSettings) -> list[dict[str, Any]]:
    """Returns the trainable parameters of a head as the parameter groups of an optimizer.

    With the recipe ``"paper"``, and for heads of other types than those of this package, all parameters form one group.
    With ``"auto"``, the weight decay applies only to the classifiers: the weight of a linear or sharing head, that of
    the last layer of ML-GCN, and V of a head with a GNN. The inner layers of ML-GCN, and the GNN, learn at 0.001 of the
    learning rate.
    """
    parameters: list[Tensor] = [p for p in head.parameters() if p.requires_grad]
    decay = settings.weight_decay
    classifiers = _classifiers(head)
    if settings.recipe == "paper" or classifiers is None:
        return [{"params": parameters, LR_FACTOR: 1.0, "weight_decay": decay}]
    inner = _inner(head)
    groups = [
        {"params": _those(parameters, [classifiers]), LR_FACTOR: 1.0, "weight_decay": decay},
        {"params": _those(parameters, inner), LR_FACTOR: INNER_LR, "weight_decay": 0.0},
        {"params": _those(parameters, [classifiers, *inner], others=True), LR_FACTOR: 1.0, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _classifiers(head: Head) -> Tensor | None:
    if isinstance(head, MLGCNHead):
        return head.layers[-1].weight
    if isinstance(head, SharingHead | LabelGNNHead):
        return head.weight
    return head.linear.weight if isinstance(head, LinearHead) else None


def _inner(head: Head) -> list[Tensor]:
    if isinstance(head, LabelGNNHead):
        return list(head.gnn.parameters())
    return [layer.weight for layer in head.layers[:-1]] if isinstance(head, MLGCNHead) else []


def _those(parameters: list[Tensor], chosen: list[Tensor], others: bool = False) -> list[Tensor]:
    """Returns the parameters that are among the chosen ones, or the others."""
    ids = set(map(id, chosen))
    return [p for p in parameters if (id(p) in ids) != others]
