"""How labels relate: counts, probabilities, weightings, the label graph and its embeddings."""

from mlgcn_pyg.graph.counts import CooccurrenceCounter
from mlgcn_pyg.graph.edges import EdgeRule
from mlgcn_pyg.graph.embeddings import glove_embeddings, one_hot
from mlgcn_pyg.graph.label_graph import LabelGraph
from mlgcn_pyg.graph.released import read_array_pickle, read_released_counts
from mlgcn_pyg.graph.summary import GraphSummary
from mlgcn_pyg.graph.weighting import WEIGHTINGS

__all__ = [
    "WEIGHTINGS",
    "CooccurrenceCounter",
    "EdgeRule",
    "GraphSummary",
    "LabelGraph",
    "glove_embeddings",
    "one_hot",
    "read_array_pickle",
    "read_released_counts",
]
