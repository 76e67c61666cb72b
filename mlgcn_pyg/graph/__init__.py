"""How labels relate: counts, probabilities, weightings, the label graph and its embeddings."""

from mlgcn_pyg.graph.counts import CooccurrenceCounter
from mlgcn_pyg.graph.edges import EdgeRule
from mlgcn_pyg.graph.embeddings import LabelEmbeddings, label_embeddings
from mlgcn_pyg.graph.label_graph import LabelGraph
from mlgcn_pyg.graph.summary import GraphSummary
from mlgcn_pyg.graph.weighting import WEIGHTINGS
from mlgcn_pyg.graph.words import ALIASES, label_words, read_aliases

__all__ = [
    "ALIASES",
    "WEIGHTINGS",
    "CooccurrenceCounter",
    "EdgeRule",
    "GraphSummary",
    "LabelEmbeddings",
    "LabelGraph",
    "label_embeddings",
    "label_words",
    "read_aliases",
]
