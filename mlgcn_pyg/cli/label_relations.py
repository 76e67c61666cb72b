"""Relations of labels that their classifiers are compared with: embeddings and co-occurrence."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlgcn_pyg.cli.embedding_options import EmbeddingOptions
from mlgcn_pyg.cli.inputs import open_graph
from mlgcn_pyg.labels import check_same_labels

if TYPE_CHECKING:  # these load torch
    from torch import Tensor

    from mlgcn_pyg.graph import LabelGraph
    from mlgcn_pyg.nn.standardized_head import StandardizedHead


@dataclass(frozen=True)
class Relation:
    """A number for each pair of labels.

    Attributes:
        values: (C, C).
        file: the file that it is from.
        text: what the numbers are.
    """

    values: Any
    file: str
    text: str


def label_relations(
    heads: "Mapping[str, StandardizedHead]", graph: Path | None, embeddings: str | None, how: EmbeddingOptions
) -> dict[str, Relation]:
    """Returns the relations ``"embeddings"`` and ``"co_occurrence"``, as far as there are such files.

    Args:
        heads: file → head, with the same labels.
        graph: a label graph; default: that of the first head that has one.
        embeddings: a file with embeddings; default: those of the graph.
        how: how to read the embeddings.

    Raises:
        InputError: if a file is not valid, or has other labels.
    """
    from mlgcn_pyg.evaluation import cosines

    first, head = next(iter(heads.items()))
    graph_file, used = _own_graph(heads) if graph is None else (str(graph), open_graph(graph))
    found: dict[str, Relation] = {}
    x, file = (None, "") if used is None else (used.x, graph_file)
    if embeddings is not None:
        x, file = how.read(head.label_names, embeddings).x, str(embeddings)
    if used is not None:
        check_same_labels("graph", used.label_names, head.label_names, first)
    if head.num_labels < 2:  # there is no pair
        return {}
    if x is not None:
        found["embeddings"] = Relation(cosines(x), file, f"cosines of the label embeddings in {file}")
    if used is not None:
        every = used.tau == 0 and used.edge_index.size(1) == used.num_labels * (used.num_labels - 1)
        text = f"P(j | i) in {graph_file}" + ("" if every else f", 0 for pairs without an edge (τ = {used.tau:g})")
        found["co_occurrence"] = Relation(_probabilities(used), graph_file, text)
    return found


def _own_graph(heads: "Mapping[str, StandardizedHead]") -> "tuple[str, LabelGraph | None]":
    """Returns the file and the label graph of the first head that has a graph; graphs with embeddings come first."""
    from mlgcn_pyg.nn import LabelGNNHead, MLGCNHead, SharingHead

    with_graph = MLGCNHead | SharingHead | LabelGNNHead
    graphs = [(name, head.base_graph()) for name, head in heads.items() if isinstance(head, with_graph)]
    return min(graphs, key=lambda named: named[1].x is None, default=("", None))


def _probabilities(graph: "LabelGraph") -> "Tensor":
    """Returns P(j | i) (C, C) of the edges i → j, and 0 for other pairs."""
    import torch

    dense = torch.zeros(graph.num_labels, graph.num_labels, dtype=torch.float64)
    dense[graph.edge_index[0], graph.edge_index[1]] = graph.edge_prob.detach().cpu().double()
    return dense
