"""Statistics of a label graph, as numbers and as text."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_count
from mlgcn_pyg.graph.edges import selected_edges
from mlgcn_pyg.graph.fields import GraphFields
from mlgcn_pyg.graph.twins import IndistinctLabels, indistinct_labels
from mlgcn_pyg.text import described_groups, look_alikes

MOST_HUBS = 5


@dataclass(frozen=True)
class GraphSummary:
    """Statistics of a label graph. ``str()`` formats them on a few lines.

    A hub is a label at which many edges start or end. In COCO's graph, ``person`` is a hub with 55 of the 111 edges.

    Attributes:
        num_labels (int): the number of labels C.
        num_edges (int): the number of edges E.
        num_likely (int): the number of edges with P ≥ τ, fewer than E for weighting ``"kernel"`` only. The other
            attributes describe these edges.
        tau (float): the threshold τ on P.
        p (float): the share that a label receives from its neighbours.
        weighting (str): the weighting of the edges.
        alpha (float or None): the share of the similarities for weighting ``"kernel"``; None for other weightings.
        without_outgoing (tuple of str): the labels that imply no other label.
        without_incoming (tuple of str): the labels that no other label implies.
        isolated (tuple of str): the labels in both groups.
        without_positives (tuple of str): the labels that no image has; all labels of a graph without counts.
        hubs (tuple): (name, number of edges, fraction of all edges) of the five labels with the most edges. Labels with
            fewer than two edges are left out.
        twins (tuple): groups of labels with equal embeddings and neighbours, to which a GCN gives one classifier.
        silent (tuple of str): labels whose logit is 0 for every image.
        look_alike (tuple): groups of labels that differ only in case, spacing or Unicode form.
        strongest (tuple): (name of i, name of j, P(L_j|L_i), N_i) of the edges with the highest P. Ties are sorted by
            N_i, the largest first.
    """

    num_labels: int
    num_edges: int
    num_likely: int
    tau: float
    p: float
    weighting: str
    alpha: float | None
    without_outgoing: tuple[str, ...]
    without_incoming: tuple[str, ...]
    isolated: tuple[str, ...]
    without_positives: tuple[str, ...]
    hubs: tuple[tuple[str, int, float], ...]
    twins: tuple[tuple[str, ...], ...]
    silent: tuple[str, ...]
    look_alike: tuple[tuple[str, ...], ...]
    strongest: tuple[tuple[str, str, float, int], ...]

    def __str__(self) -> str:
        settings = f"tau = {self.tau:g}, p = {self.p:g}"
        if self.alpha is not None:
            settings = f"alpha = {self.alpha:g}; {self.num_likely} edges with P ≥ {self.tau:g}"
        lines = [
            f"label graph: {self.num_labels} labels, {self.num_edges} directed edges "
            f"(weighting {self.weighting}, {settings})",
            f"labels without outgoing edges: {len(self.without_outgoing)}, "
            f"without incoming edges: {len(self.without_incoming)}, isolated: {len(self.isolated)}",
        ]
        if 0 < len(self.without_positives) < self.num_labels:  # a graph of known edges has no counts
            lines.append("labels in no image: " + ", ".join(self.without_positives))
        lines += IndistinctLabels(self.twins, self.silent).sentences()
        if self.look_alike:
            lines.append(f"only case, spacing or Unicode form differs: {described_groups(self.look_alike)}")
        if self.hubs:
            hubs = ", ".join(f"{name} ({count} edges, {share:.0%})" for name, count, share in self.hubs)
            lines.append("hubs: " + hubs)
        if self.strongest:
            lines.append("strongest edges, i → j:")
            width = max(len(f"{i} → {j}") for i, j, _, _ in self.strongest)
            counted = len(self.without_positives) < self.num_labels
            for i, j, prob, n in self.strongest:
                lines.append(f"  {f'{i} → {j}':<{width}}  P = {prob:.3f}" + (f"  (N = {n})" if counted else ""))
        return "\n".join(lines)


def summarize(graph: GraphFields, num_strongest: int = 10) -> GraphSummary:
    """Returns the :class:`GraphSummary` of a graph.

    Args:
        graph: the graph.
        num_strongest: the number of edges to list.

    Raises:
        InputError: if ``num_strongest`` is not an integer ≥ 0.
    """
    num_strongest = check_count("num_strongest", num_strongest)
    names, num_labels = graph.label_names, graph.num_labels
    likely = selected_edges(graph).cpu()
    source, target = graph.edge_index.cpu()[:, likely]
    out_degree = torch.bincount(source, minlength=num_labels)
    in_degree = torch.bincount(target, minlength=num_labels)
    degree = out_degree + in_degree

    def named(mask: Tensor) -> tuple[str, ...]:
        return tuple(names[k] for k in mask.nonzero().flatten().tolist())

    busiest = degree.argsort(descending=True, stable=True)[:MOST_HUBS].tolist()
    prob, counts = graph.edge_prob.cpu()[likely], graph.label_counts.cpu()
    by_count = counts[source].argsort(descending=True, stable=True)
    indistinct = indistinct_labels(graph)
    order = by_count[prob[by_count].argsort(descending=True, stable=True)][:num_strongest].tolist()
    return GraphSummary(
        num_labels=num_labels,
        num_edges=graph.edge_index.size(1),
        num_likely=len(source),
        tau=graph.tau,
        p=graph.p,
        weighting=graph.weighting,
        alpha=graph.alpha,
        without_outgoing=named(out_degree == 0),
        without_incoming=named(in_degree == 0),
        isolated=named(degree == 0),
        twins=indistinct.twins,
        silent=indistinct.silent,
        look_alike=look_alikes(names),
        without_positives=named(counts == 0),
        hubs=tuple((names[k], int(degree[k]), int(degree[k]) / len(source)) for k in busiest if degree[k] > 1),
        strongest=tuple((names[source[e]], names[target[e]], float(prob[e]), int(counts[source[e]])) for e in order),
    )
