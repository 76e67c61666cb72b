"""Label graphs as data frames, networkx graphs and HTML."""

from typing import TYPE_CHECKING

from mlgcn_pyg import html
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph.edited import EditedGraph
from mlgcn_pyg.graph.summary import GraphSummary
from mlgcn_pyg.graph.validation import check_fields

if TYPE_CHECKING:
    import pandas as pd
    from networkx import DiGraph


class ShownGraph(EditedGraph):
    """The methods of :class:`~mlgcn_pyg.graph.LabelGraph` that present it to other libraries and to readers."""

    def to_frame(self) -> "pd.DataFrame":
        """Returns the edges as a data frame, which :meth:`from_edges` accepts.

        Returns:
            One row per edge i → j, in the order of ``edge_index``: ``source`` and ``target``, the names of i and j;
            ``prob``, P(L_j|L_i); ``count``, N_i; ``weight``, the entry of Â. Labels without edges are not listed:
            ``LabelGraph.from_edges(graph.to_frame(), label_names=graph.label_names)`` has them.

        Raises:
            InputError: if a tensor is missing.

        >>> from mlgcn_pyg import LabelGraph
        >>> LabelGraph.from_targets([["a", "b"], ["b"]], p=0.5).to_frame()
          source target  prob  count  weight
        0      a      b   1.0      1     0.5
        1      b      a   0.5      2     0.5
        """
        import pandas as pd

        check_fields(self)
        source, target = self.edge_index.cpu().tolist()
        columns = {
            "source": pd.Series([self.label_names[i] for i in source], dtype=object),
            "target": pd.Series([self.label_names[j] for j in target], dtype=object),
            "prob": self.edge_prob.detach().cpu().double().numpy(),
            "count": self.label_counts.cpu().numpy()[source],
            "weight": self.edge_weight.detach().cpu().double().numpy(),
        }
        return pd.DataFrame(columns)

    def to_networkx(self) -> "DiGraph":
        """Returns the graph as a networkx ``DiGraph``, which :meth:`from_edges` accepts.

        Returns:
            A graph over the ids 0…C−1 of the labels, with the attributes ``name`` and ``count`` (N_i) of nodes, and
            ``prob`` (P(L_j|L_i)) and ``weight`` (the entry of Â) of edges.

        Raises:
            InputError: if networkx is not installed, or a tensor is missing.

        >>> from mlgcn_pyg import LabelGraph
        >>> network = LabelGraph.from_targets([["a", "b"], ["b"]], p=0.5).to_networkx()
        >>> network.nodes[1], network.edges[1, 0]
        ({'name': 'b', 'count': 2}, {'prob': 0.5, 'weight': 0.5})
        """
        try:
            import networkx as nx
        except ImportError as error:
            raise InputError("to_networkx", "networkx", "none", 'pip install "mlgcn_pyg[plot]"') from error
        check_fields(self)
        network: DiGraph = nx.DiGraph()
        for k, (name, count) in enumerate(zip(self.label_names, self.label_counts.tolist(), strict=True)):
            network.add_node(k, name=name, count=count)
        probs, weights = (values.detach().double().tolist() for values in (self.edge_prob, self.edge_weight))
        for i, j, prob, weight in zip(*self.edge_index.tolist(), probs, weights, strict=True):
            network.add_edge(i, j, prob=prob, weight=weight)
        return network

    def _repr_html_(self) -> str:
        """Returns the summary as HTML, which notebooks show."""
        return _summary_html(self.summary())


def _summary_html(summary: GraphSummary) -> html.Html:
    setting = f"p = {summary.p:g}" if summary.alpha is None else f"α = {summary.alpha:g}"
    title = f"{summary.num_labels} labels, {summary.num_edges} edges i → j"
    settings = f"weighting {summary.weighting}, τ = {summary.tau:g}, {setting}"
    isolated = f"{len(summary.isolated)} labels without edges"
    hubs = ", ".join(f"{name} ({count})" for name, count, _ in summary.hubs)
    lines = [html.element("b", "Label graph"), f": {title}; {settings}; {isolated}", f"; hubs: {hubs}" if hubs else ""]
    if not summary.strongest:
        return html.element("div", *lines)
    rows = [(i, j, prob, count) for i, j, prob, count in summary.strongest]
    more = f", the strongest {len(rows)} of {summary.num_likely}" if len(rows) < summary.num_likely else ""
    table = html.table(("i", "j", "P(j | i)", "N of i"), rows, caption=f"edges{more}")
    return html.element("div", *lines, table)
