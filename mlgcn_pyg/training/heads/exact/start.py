"""Starts the training of sharing heads with learned edges at the exact solution for fixed edges."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from mlgcn_pyg.nn import SharingHead
from mlgcn_pyg.training.config import HeadConfig
from mlgcn_pyg.training.exact_config import ExactConfig
from mlgcn_pyg.training.heads.exact.fit import fit_exactly
from mlgcn_pyg.training.heads.exact.run import EXACT_STATE
from mlgcn_pyg.training.heads.observers import silent
from mlgcn_pyg.training.run_folder import RunFolder
from mlgcn_pyg.typing import Head, RowSource


def started_at_solution(heads: Sequence[Head], configs: Sequence[HeadConfig], source: RowSource) -> list[HeadConfig]:
    """Sets the parameters of untrained sharing heads that learn edges to the solution for the edges of their graphs.

    The problem of such a head is not convex. At its start, the edges are those of the graph, and the loss differs from
    that of the exact solver by the factor 1/C. Heads with the recipe ``"paper"`` or with weights are left as they are.

    Args:
        heads: H heads.
        configs: H configs.
        source: the training data.

    Returns:
        The configs. A weight decay that was not given is λ/C of the exact solution.
    """
    return [
        _started(head, config, source) if isinstance(head, SharingHead) and _is_untrained(head, config) else config
        for head, config in zip(heads, configs, strict=True)
    ]


def _is_untrained(head: SharingHead, config: HeadConfig) -> bool:
    return config.recipe == "auto" and head.learned is not None and not bool(head.weight.any())


@torch.no_grad()
def _started(head: SharingHead, config: HeadConfig, source: RowSource) -> HeadConfig:
    graph = head.base_graph()
    fixed = SharingHead(graph, head.num_features).to(head.weight)
    # α of the graph: the learned entries belong to its edges
    settings = ExactConfig(alpha=graph.alpha, pos_weight=config.pos_weight, views=config.views)
    no_folder = RunFolder(None, EXACT_STATE, None, 0.0)
    (history,) = fit_exactly([fixed], ["start"], settings, source, None, no_folder, silent())
    head.standardize = fixed.standardize
    head.weight.copy_(fixed.weight)
    head.set_bias(fixed.bias)
    decay = history.last["l2"] / head.num_labels
    return config if config.weight_decay is not None else replace(config, weight_decay=decay)
