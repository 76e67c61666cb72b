"""The label graph, with an edge from each label to the labels that it makes likely."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Self

from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.graph.counts import CooccurrenceCounter, count_targets
from mlgcn_pyg.graph.edges import EdgeRule
from mlgcn_pyg.graph.embeddings import LabelEmbeddings
from mlgcn_pyg.graph.fields import Array, SparseMatrix
from mlgcn_pyg.graph.kernel import DEFAULT_ALPHA
from mlgcn_pyg.graph.mining import MAX_ENTRIES
from mlgcn_pyg.graph.named_targets import named_targets
from mlgcn_pyg.graph.ready_counts import checked_label_counts, checked_pair_counts, edges_of_counts, released_loops
from mlgcn_pyg.graph.shown import ShownGraph
from mlgcn_pyg.released.pickles import read_released_counts


class LabelGraph(ShownGraph):
    r"""A directed graph over labels, mined from training annotations.

    From `"Multi-Label Image Recognition with Graph Convolutional Networks" <https://arxiv.org/abs/1904.03582>`_,
    Sec. 3.3. With :math:`N_i` images that have label i and :math:`M_{ij}` images that have both i and j,

    .. math::
        P_{ij} = P(L_j | L_i) = M_{ij} / N_i, \qquad A_{ij} = [P_{ij} \ge \tau,\ i \ne j] \quad \text{(Eqs. 6, 7)}

    An edge i → j means "if i appears, j is likely". A higher threshold τ leaves fewer edges; τ = 0 is the complete
    graph, in which P is 0 for pairs that never occur together. The re-weighted adjacency Â determines how labels mix in
    each graph convolution. With ``weighting="paper"`` (Eq. 8), a label keeps the share 1 − p of its features and
    receives the share p from its neighbours (:mod:`mlgcn_pyg.graph.weighting`). A few labels, hubs, have most edges.

    Build a graph with :meth:`from_targets`, :meth:`from_counter`, :meth:`from_counts`, :meth:`from_edges` or
    :meth:`from_released`. It is a :class:`torch_geometric.data.Data`, with methods such as ``.to(device)``.

    Attributes:
        x (Tensor or None): (C, F) label embeddings; None stands for one-hot embeddings, which are never stored.
        x_source (dict): the origin of x (see :class:`~mlgcn_pyg.graph.LabelEmbeddings`); empty if unknown.
        edge_index (Tensor): (2, E) int64; ``edge_index[0]`` is the condition i, ``edge_index[1]`` the implied label j.
        edge_prob (Tensor): (E,) float64, P(L_j | L_i), or its lower confidence bound for ``probability="wilson"``. For
            weighting ``"kernel"``, it is 0 for pairs of labels that the threshold τ > 0 does not select.
        edge_weight (Tensor): (E,), the entries of Â at the edges.
        self_weight (Tensor): (C,), the diagonal of Â; ``edge_index`` has no self-loops.
        label_counts (Tensor): (C,) int64, N_i.
        label_names (tuple of str): the C names.
        tau (float): the threshold τ.
        probability (str): how P was estimated, ``"ratio"`` or ``"wilson"``.
        p (float): the share that a label receives from its neighbours.
        weighting (str): ``"paper"``, ``"released"``, ``"binary"``, ``"none"`` or ``"kernel"``.
        alpha (float or None): the share of the similarities K for weighting ``"kernel"``; None for other weightings.
        kernel (Tensor or None): (C, C) float64, K (:mod:`mlgcn_pyg.graph.kernel`); None for other weightings.
        flow (str): PyG's name for the direction of messages: with ``"target_to_source"`` i receives from j, with
            ``"source_to_target"`` (weighting ``"released"``) j receives from i.

    >>> graph = LabelGraph.from_targets([[1, 1], [1, 0], [1, 0]], label_names=["person", "tie"], tau=0.4, p=0.2)
    >>> graph.edge_index.tolist(), graph.edge_prob.tolist()  # a tie implies a person, a person does not imply a tie
    ([[1], [0]], [1.0])
    >>> graph.to_dense()
    tensor([[0.8000, 0.0000],
            [0.2000, 0.8000]])
    """

    @classmethod
    def from_targets(
        cls,
        targets: Array | SparseMatrix | Sequence[Collection[int | str]],
        *,
        num_labels: int | None = None,
        label_names: Sequence[str] | None = None,
        x: Array | LabelEmbeddings | None = None,
        tau: float = 0.4,
        p: float = 0.2,
        weighting: str = "paper",
        alpha: float = DEFAULT_ALPHA,
        probability: str = "ratio",
        min_count: int = 0,
        top_k: int | None = None,
        max_entries: int = MAX_ENTRIES,
    ) -> Self:
        """Builds the graph from the targets of a training set.

        Args:
            targets: (N, C) with 1 for present, 0 for absent and −1 for unknown, dense, a SciPy sparse matrix, or a data
                frame; N may be 0. An unknown target counts neither for nor against a pair: ``P_ij = M_ij / #{i present,
                j known}``. Also a list of label names per image, or of label ids (0…C−1) if ``num_labels`` is given.
            num_labels: C; required if ``targets`` are lists of label ids.
            label_names: C unique names; default: those in ``targets``, or the numbers 0…C−1.
            x: (C, F) label embeddings; default: one-hot.
            tau: τ in [0, 1]; pairs with P ≥ τ become edges. 0 is the complete graph, for up to 4,096 labels.
            p: share that a label receives from its neighbours, in [0, 1]; below 1 for weighting ``"released"``.
            weighting: ``"paper"`` (Eq. 8), ``"released"`` (the authors' code), ``"binary"``, ``"none"``, or
                ``"kernel"``, for up to 4,096 labels.
            alpha: share of the similarities K for weighting ``"kernel"``, in [0, 1]; ignored by other weightings.
            probability: ``"ratio"`` (Eq. 6), or ``"wilson"`` for the lower bound of its 95 % confidence interval, which
                avoids edges that a rare label has by chance.
            min_count: the number of images with both labels that an edge requires; for τ > 0 at least 1.
            top_k: the largest number of outgoing edges of a label, of which the most probable are kept; default: all.
            max_entries: the largest number of pair counts in memory at a time, at about 45 bytes each.

        Raises:
            InputError: if an argument is not valid; the error names it.

        >>> LabelGraph.from_targets([[0, 1], [0]], num_labels=2, tau=0.6).edge_index.tolist()  # lists of label ids
        [[1], [0]]
        >>> LabelGraph.from_targets([["sea", "boat"], ["sea"]]).label_names
        ('boat', 'sea')
        """
        named = named_targets(targets, num_labels, label_names)
        return cls.from_counter(
            count_targets(named.targets, named.num_labels), label_names=named.label_names, x=x, tau=tau, p=p,
            weighting=weighting, alpha=alpha, probability=probability, min_count=min_count, top_k=top_k,
            max_entries=max_entries,
        )  # fmt: skip

    @classmethod
    def from_counter(
        cls,
        counter: CooccurrenceCounter,
        *,
        label_names: Sequence[str] | None = None,
        x: Array | LabelEmbeddings | None = None,
        tau: float = 0.4,
        p: float = 0.2,
        weighting: str = "paper",
        alpha: float = DEFAULT_ALPHA,
        probability: str = "ratio",
        min_count: int = 0,
        top_k: int | None = None,
        max_entries: int = MAX_ENTRIES,
    ) -> Self:
        """Builds the graph from targets that were counted in batches or by several processes.

        Args:
            counter: the counts.
            label_names: C unique names; default: the numbers 0…C−1.
            x: (C, F) label embeddings; default: one-hot.
            tau: τ in [0, 1]; pairs with P ≥ τ become edges. 0 is the complete graph, for up to 4,096 labels.
            p: share that a label receives from its neighbours, in [0, 1]; below 1 for weighting ``"released"``.
            weighting: ``"paper"``, ``"released"``, ``"binary"``, ``"none"`` or ``"kernel"``.
            alpha: share of the similarities K for weighting ``"kernel"``, in [0, 1]; ignored by other weightings.
            probability: ``"ratio"`` or ``"wilson"``; see :meth:`from_targets`.
            min_count: the number of images with both labels that an edge requires; for τ > 0 at least 1.
            top_k: the largest number of outgoing edges of a label, of which the most probable are kept; default: all.
            max_entries: the largest number of pair counts in memory at a time, at about 45 bytes each.

        Raises:
            InputError: if an argument is not valid; the error names it.

        >>> from mlgcn_pyg.graph import CooccurrenceCounter
        >>> counter = CooccurrenceCounter(2).update([[1, 1]]).update([[1, 0]])
        >>> LabelGraph.from_counter(counter).edge_prob.tolist()
        [0.5, 1.0]
        """
        if not isinstance(counter, CooccurrenceCounter):
            raise InputError("counter", "a CooccurrenceCounter", type(counter).__name__)
        rule = EdgeRule(tau, probability, min_count, top_k)
        edge_index, edge_prob = counter.edges(rule, max_entries)
        return cls._from_edges(
            edge_index, edge_prob, counter.label_counts.clone(), rule, label_names=label_names, x=x, p=p,
            weighting=weighting, alpha=alpha, pair_counts=lambda: counter.pair_counts,
        )  # fmt: skip

    @classmethod
    def from_counts(
        cls,
        label_counts: Array,
        pair_counts: Array | SparseMatrix,
        *,
        label_names: Sequence[str] | None = None,
        x: Array | LabelEmbeddings | None = None,
        tau: float = 0.4,
        p: float = 0.2,
        weighting: str = "paper",
        alpha: float = DEFAULT_ALPHA,
        probability: str = "ratio",
        min_count: int = 0,
        top_k: int | None = None,
    ) -> Self:
        """Builds the graph from label counts and pair counts that were computed elsewhere.

        Args:
            label_counts: N_i (C,), integers ≥ 0.
            pair_counts: M_ij (C, C), integers ≥ 0, symmetric, M_ij ≤ N_i; a dense or sparse tensor or array, or a SciPy
                sparse matrix. M_ii must be 0 or N_i and has no effect.
            label_names: C unique names; default: the numbers 0…C−1.
            x: (C, F) label embeddings; default: one-hot.
            tau: τ in [0, 1]; pairs with P ≥ τ become edges. 0 is the complete graph, for up to 4,096 labels.
            p: share that a label receives from its neighbours, in [0, 1]; below 1 for weighting ``"released"``.
            weighting: ``"paper"``, ``"released"``, ``"binary"``, ``"none"`` or ``"kernel"``.
            alpha: share of the similarities K for weighting ``"kernel"``, in [0, 1]; ignored by other weightings.
            probability: ``"ratio"`` or ``"wilson"``; see :meth:`from_targets`.
            min_count: the number of images with both labels that an edge requires; for τ > 0 at least 1.
            top_k: the largest number of outgoing edges of a label, of which the most probable are kept; default: all.

        Raises:
            InputError: if an argument is not valid (the error names it); if no set of images can have these counts.

        >>> LabelGraph.from_counts([10, 7], [[0, 7], [7, 0]], tau=0.7).edge_prob.tolist()  # 7/10 ≥ 0.7 holds
        [0.7, 1.0]
        """
        rule = EdgeRule(tau, probability, min_count, top_k)
        counts = checked_label_counts(label_counts)
        rule.check_labels(len(counts))
        pairs = checked_pair_counts(counts, pair_counts)
        edge_index, edge_prob = edges_of_counts(counts, pairs, rule)
        return cls._from_edges(
            edge_index, edge_prob, counts, rule, label_names=label_names, x=x, p=p,
            weighting=weighting, alpha=alpha, pair_counts=lambda: pairs,
        )  # fmt: skip

    @classmethod
    def from_released(
        cls,
        adj: str | Path,
        *,
        label_names: Sequence[str] | None = None,
        x: Array | LabelEmbeddings | None = None,
        tau: float = 0.4,
        p: float = 0.2,
        weighting: str = "released",
        alpha: float = DEFAULT_ALPHA,
        probability: str = "ratio",
        min_count: int = 0,
        top_k: int | None = None,
        diagonal: str | None = None,
    ) -> Self:
        """Builds the graph from the authors' label counts, by default with the weighting of their code.

        No code in the file is run.

        Args:
            adj: the released ``*_adj.pkl``: ``{"nums": N (C,), "adj": M (C, C)}``. For COCO and VOC its rows are the
                labels in alphabetical order.
            label_names: C unique names; default: the numbers 0…C−1.
            x: (C, F) label embeddings; default: one-hot.
            tau: τ in [0, 1]; pairs with P ≥ τ become edges. 0 is the complete graph, for up to 4,096 labels.
            p: share that a label receives from its neighbours, in [0, 1]; below 1 for weighting ``"released"``.
            weighting: ``"released"``, ``"paper"``, ``"binary"``, ``"none"`` or ``"kernel"``.
            alpha: share of the similarities K for weighting ``"kernel"``, in [0, 1]; ignored by other weightings.
            probability: ``"ratio"`` or ``"wilson"``; see :meth:`from_targets`.
            min_count: the number of images with both labels that an edge requires; for τ > 0 at least 1.
            top_k: the largest number of outgoing edges of a label, of which the most probable are kept; default: all.
            diagonal: how M_ii = N_i is read: ``"kept"`` makes each label its own neighbour (P_ii = 1 ≥ τ), as the
                released code does; ``"ignored"`` requires i ≠ j (Eq. 7). The diagonal of the authors' files is 0.

        Raises:
            InputError: if ``adj`` is not such a file; if no set of images can have its counts; if its diagonal is not
                0, ``weighting`` is ``"released"`` and ``diagonal`` is None; if another argument is not valid.
        """
        with renamed_arguments(path="adj", label_counts="adj", pair_counts="adj"):
            label_counts, pair_counts = read_released_counts(adj)
            loops = released_loops(label_counts, pair_counts, diagonal, weighting)
            graph = cls.from_counts(
                label_counts, pair_counts, label_names=label_names, x=x, tau=tau, p=p,
                weighting=weighting, alpha=alpha, probability=probability, min_count=min_count, top_k=top_k,
            )  # fmt: skip
        if loops is not None:
            graph._keep_loops(loops)
        return graph
