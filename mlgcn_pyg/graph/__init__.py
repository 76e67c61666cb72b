"""The label graph: label counts, probabilities, edges, their weights, and label embeddings."""

from mlgcn_pyg.graph.controls import permuted_embeddings, permuted_labels, random_edges
from mlgcn_pyg.graph.counts import CooccurrenceCounter
from mlgcn_pyg.graph.edges import EdgeRule
from mlgcn_pyg.graph.embedding_files import label_embeddings
from mlgcn_pyg.graph.embeddings import LabelEmbeddings
from mlgcn_pyg.graph.knowledge import edges_from_hierarchy, edges_from_similarity
from mlgcn_pyg.graph.label_graph import LabelGraph
from mlgcn_pyg.graph.sentence_embeddings import sentence_embeddings
from mlgcn_pyg.graph.summary import GraphSummary
from mlgcn_pyg.graph.vectors import READY_FORMATS, embeddings_format
from mlgcn_pyg.graph.weighting import WEIGHTINGS
from mlgcn_pyg.graph.words import ALIASES, label_words, read_aliases

__all__ = [
    "ALIASES",
    "READY_FORMATS",
    "WEIGHTINGS",
    "CooccurrenceCounter",
    "EdgeRule",
    "GraphSummary",
    "LabelEmbeddings",
    "LabelGraph",
    "edges_from_hierarchy",
    "edges_from_similarity",
    "embeddings_format",
    "label_embeddings",
    "label_words",
    "permuted_embeddings",
    "permuted_labels",
    "random_edges",
    "read_aliases",
    "sentence_embeddings",
]
