"""The options of edges that are known, instead of counted in images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.embedding_options import SENTENCE
from mlgcn_pyg.cli.options import DATA, choice, from_dataclass, option
from mlgcn_pyg.errors import Argument, InputError, renamed_arguments

if TYPE_CHECKING:  # these load torch
    from torch import Tensor

    from mlgcn_pyg.graph import LabelEmbeddings, LabelGraph

HOW = ("max", "min", "mean", "replace")


@dataclass(frozen=True)
class KnowledgeOptions:
    """The options of edges that are known. With a data set, they are merged with the edges that are counted."""

    edges: Annotated[
        Path | None,
        option(
            "Known edges: CSV with source, target and optionally prob (P, at least tau) and weight (strength).", DATA
        ),
    ] = None
    hierarchy: Annotated[
        Path | None, option("Hierarchy of labels: CSV with the columns child and parent.", DATA)
    ] = None  # fmt: skip
    similar: Annotated[
        float | None,
        option("Edges between labels whose --embeddings have this cosine or a higher one, in (0, 1].", DATA),
    ] = None  # fmt: skip
    merge: Annotated[
        str, choice("P of an edge that is known and counted: max, min, mean or replace (the known P).", DATA, HOW)
    ] = "max"  # fmt: skip

    @property
    def given(self) -> bool:
        """Whether there are any."""
        return self.edges is not None or self.hierarchy is not None or self.similar is not None

    def label_names(self, embeddings: str | None) -> tuple[str, ...]:
        """Returns the labels of the known edges, sorted; for similarities alone, those of a file of embeddings."""
        from mlgcn_pyg.graph import LabelEmbeddings, edges_from_hierarchy
        from mlgcn_pyg.graph.edge_table import edge_table
        from mlgcn_pyg.graph.known_edges import names_of

        names: set[str] = set()
        if self.edges is not None:
            names |= {*names_of(edge_table(self.edges), None)}
        if self.hierarchy is not None:
            with _renamed("hierarchy"):
                names |= {*names_of(edge_table(edges_from_hierarchy(self.hierarchy)), None)}
        if names or embeddings is None:
            return tuple(sorted(names))
        if embeddings.startswith(SENTENCE):
            fix = "write them with mlgcn embed first"
            raise InputError("embeddings", "a file of embeddings, whose labels the graph has", embeddings, fix)
        with renamed_arguments(path="embeddings"):
            return LabelEmbeddings.load(embeddings).label_names

    def graph(
        self, label_names: Sequence[str], x: "LabelEmbeddings | Tensor | None", tau: float, p: float, weighting: str
    ) -> "LabelGraph":
        """Returns the graph of the known edges, without embeddings. An edge of several sources has its highest P."""
        from mlgcn_pyg.graph import LabelGraph, edges_from_hierarchy, edges_from_similarity

        settings: dict[str, Any] = {"label_names": label_names, "tau": tau, "p": p, "weighting": weighting}
        graphs: list[LabelGraph] = []
        if self.edges is not None:
            graphs.append(LabelGraph.from_edges(self.edges, **settings))
        if self.hierarchy is not None:
            with _renamed("hierarchy"):
                graphs.append(LabelGraph.from_edges(edges_from_hierarchy(self.hierarchy), **settings))
        if self.similar is not None:
            if x is None:
                raise InputError("similar", "embeddings of the labels", "none", ("give ", Argument("embeddings")))
            with _renamed("similar"):
                found = edges_from_similarity(x, label_names, threshold=self.similar)
                graphs.append(LabelGraph.from_edges(found, **settings))
        merged = graphs[0]
        with renamed_arguments(other="edges", edge_weight="edges"):
            for graph in graphs[1:]:
                merged = merged.merge(graph)
        return merged

    def merged_into(self, counted: "LabelGraph") -> "LabelGraph":
        """Returns a graph with the known edges merged into it, and prints their numbers."""
        if not self.given:
            return counted
        known = self.graph(counted.label_names, counted.x, counted.tau, counted.p, "paper")
        with renamed_arguments(other="edges"):
            merged = counted.merge(known, self.merge)
        numbers = [graph.edge_index.size(1) for graph in (counted, known, merged)]
        console.say(f"edges: {numbers[0]} counted, {numbers[1]} known, {numbers[2]} merged ({self.merge})")
        return merged


KNOWLEDGE = from_dataclass(KnowledgeOptions)


@contextmanager
def _renamed(option: str) -> Iterator[None]:
    """Renames the arguments of the functions that read known edges."""
    with renamed_arguments(edges=option, parents=option, threshold=option):
        yield
