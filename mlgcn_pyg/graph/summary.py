"""What a label graph looks like, in numbers and in words."""

from dataclasses import dataclass

import torch

from mlgcn_pyg.graph.fields import GraphFields


@dataclass(frozen=True)
class GraphSummary:
    """Facts about a label graph; ``str()`` writes them as a few lines.

    Attributes:
        num_labels, num_edges: C and E. tau, p, weighting: the graph's settings.
        without_outgoing, without_incoming, isolated: names of the labels with no edge out, in, or at all.
        without_positives: names of the labels that no image has.
        hubs: (name, edges it is an end of, share of all edges), the busiest first, at most five.
        strongest: (i, j, P(L_j|L_i), N_i), the largest probabilities first, ties by N_i.
    """

    num_labels: int
    num_edges: int
    tau: float
    p: float
    weighting: str
    without_outgoing: tuple[str, ...]
    without_incoming: tuple[str, ...]
    isolated: tuple[str, ...]
    without_positives: tuple[str, ...]
    hubs: tuple[tuple[str, int, float], ...]
    strongest: tuple[tuple[str, str, float, int], ...]

    def __str__(self) -> str:
        lines = [
            f"label graph: {self.num_labels} labels, {self.num_edges} directed edges "
            f"(weighting {self.weighting}, tau = {self.tau:g}, p = {self.p:g})",
            f"labels without outgoing edge {len(self.without_outgoing)}, "
            f"without incoming edge {len(self.without_incoming)}, isolated {len(self.isolated)}",
        ]
        if self.without_positives:
            lines.append("labels in no image: " + ", ".join(self.without_positives))
        if self.hubs:
            hubs = ", ".join(f"{name} ({count} edges, {share:.0%})" for name, count, share in self.hubs)
            lines.append("hubs: " + hubs)
        if self.strongest:
            lines.append("strongest edges, i → j:")
            width = max(len(f"{i} → {j}") for i, j, _, _ in self.strongest)
            lines += [f"  {f'{i} → {j}':<{width}}  P = {prob:.3f}  (N = {n})" for i, j, prob, n in self.strongest]
        return "\n".join(lines)


def summarize(graph: GraphFields, num_strongest: int = 10) -> GraphSummary:
    """The :class:`GraphSummary` of ``graph``, from its edges alone (nothing of size C×C)."""
    names, num_labels = graph.label_names, graph.num_labels
    source, target = graph.edge_index.cpu()
    out_degree = torch.bincount(source, minlength=num_labels)
    in_degree = torch.bincount(target, minlength=num_labels)
    degree = out_degree + in_degree

    def named(mask) -> tuple[str, ...]:
        return tuple(names[k] for k in mask.nonzero().flatten().tolist())

    busiest = degree.argsort(descending=True, stable=True)[:5].tolist()
    prob, counts = graph.edge_prob.cpu(), graph.label_counts.cpu()
    # sorted by probability, then by how many images stand behind it
    by_count = counts[source].argsort(descending=True, stable=True)
    order = by_count[prob[by_count].argsort(descending=True, stable=True)][:num_strongest].tolist()
    return GraphSummary(
        num_labels=num_labels,
        num_edges=graph.edge_index.size(1),
        tau=graph.tau,
        p=graph.p,
        weighting=graph.weighting,
        without_outgoing=named(out_degree == 0),
        without_incoming=named(in_degree == 0),
        isolated=named(degree == 0),
        without_positives=named(counts == 0),
        hubs=tuple((names[k], int(degree[k]), int(degree[k]) / len(source)) for k in busiest if degree[k] > 1),
        strongest=tuple((names[source[e]], names[target[e]], float(prob[e]), int(counts[source[e]])) for e in order),
    )
