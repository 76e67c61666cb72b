import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import coo_array, csr_array
from torch_geometric.utils import to_networkx

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import CooccurrenceCounter
from mlgcn_pyg.graph.kernel import MAX_LABELS, kernel_operator, kernel_spectrum, label_kernel
from mlgcn_pyg.graph.twins import indistinct_labels
from tests.graph.oracle import dense_co_kernel, dense_embedding_kernel, dense_kernel

TARGETS = [[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0]]  # label 3 has no positives
PAIRS = np.array([[0, 2, 1, 0], [2, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])


def embeddings(num_labels, seed=0):
    return torch.randn(num_labels, 5, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("has_counts, has_x", [(True, False), (False, True), (True, True)])
def test_the_operator_equals_the_dense_formula(alpha, has_counts, has_x):
    pairs, x = PAIRS if has_counts else None, embeddings(4) if has_x else None
    expected = dense_kernel(pairs, None if x is None else x.numpy(), alpha)
    s = kernel_operator(None if pairs is None else torch.from_numpy(pairs), x, alpha)
    assert s.dtype == torch.float64 and np.abs(s.numpy() - expected).max() < 1e-7
    assert torch.equal(s, s.t())


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.int8, st.tuples(st.integers(0, 8), st.integers(1, 6)), elements=st.integers(-1, 1)),
    st.sampled_from([0.0, 0.2, 0.7, 1.0]),
    st.booleans(),
)
def test_graphs_of_random_targets_equal_the_dense_formula(targets, alpha, has_x):
    present = (targets == 1).astype(int)
    pairs = present.T @ present
    x = embeddings(targets.shape[1]) if has_x else None
    graph = LabelGraph.from_targets(targets, weighting="kernel", alpha=alpha, x=x)
    counted = pairs if present.any() or x is None else None
    expected = dense_kernel(counted, None if x is None else x.numpy(), alpha)
    assert np.abs(graph.to_dense().numpy() - expected).max() < 2e-6
    stored = np.zeros_like(expected, dtype=bool)
    stored[tuple(graph.edge_index.numpy())] = True
    off_diagonal = ~np.eye(len(pairs), dtype=bool)
    assert stored[off_diagonal & (np.abs(expected) > 1.1e-6)].all()
    assert graph.validate()


def test_similarities_of_two_labels_by_hand():
    """I − M/3 has the eigenvalues 0 and 2, and K_co thus 1/(1 + 2·0) and 1/(1 + 2·2): 0.6 and 0.4 before scaling."""
    kernel = label_kernel(torch.tensor([[0.0, 3.0], [3.0, 0.0]]))
    assert kernel.flatten().tolist() == pytest.approx([1, 2 / 3, 2 / 3, 1])
    opposite = label_kernel(None, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))  # centred: ±(½, −½)
    assert opposite.flatten().tolist() == pytest.approx([1, -1, -1, 1])
    both = label_kernel(torch.tensor([[0, 3], [3, 0]]), torch.eye(2))
    assert both.flatten().tolist() == pytest.approx([1, -1 / 6, -1 / 6, 1])


def test_the_three_builders_agree():
    x = embeddings(4)
    options = {"weighting": "kernel", "alpha": 0.4, "x": x}
    counter = CooccurrenceCounter(4).update(TARGETS[:1]).update(TARGETS[1:])
    graphs = [
        LabelGraph.from_targets(TARGETS, **options),
        LabelGraph.from_counter(counter, **options),
        LabelGraph.from_counts([3, 2, 2, 0], PAIRS, **options),
    ]
    assert len({graph.digest() for graph in graphs}) == 1
    assert graphs[0].alpha == 0.4 and torch.equal(graphs[0].kernel, label_kernel(torch.from_numpy(PAIRS), x))


def test_released_counts_with_the_weighting_kernel(tmp_path):
    (tmp_path / "adj.pkl").write_bytes(pickle.dumps({"nums": np.array([3, 2, 2, 0]), "adj": PAIRS}))
    graph = LabelGraph.from_released(tmp_path / "adj.pkl", weighting="kernel", alpha=0.4)
    assert graph.digest() == LabelGraph.from_targets(TARGETS, weighting="kernel", alpha=0.4).digest()


def test_alpha_0_is_the_identity():
    graph = LabelGraph.from_targets(TARGETS, weighting="kernel", alpha=0, x=embeddings(4))
    assert torch.equal(graph.to_dense(), torch.eye(4))


def test_edges_of_the_threshold_keep_their_probability_and_others_have_0():
    graph = LabelGraph.from_targets(TARGETS, weighting="kernel", tau=0.4, x=embeddings(4))
    likely = graph.edge_prob > 0
    assert graph.edge_index.size(1) == 12  # embeddings relate all labels
    paper = LabelGraph.from_targets(TARGETS, tau=0.4, x=embeddings(4))
    assert torch.equal(graph.edge_index[:, likely], paper.edge_index)
    assert torch.equal(graph.edge_prob[likely], paper.edge_prob)
    assert graph.edge_weight.min() < 0


def test_a_label_without_cooccurrence_is_similar_to_itself_only():
    kernel = label_kernel(torch.from_numpy(PAIRS))
    assert kernel[3].tolist() == [0, 0, 0, 1] and (kernel.diagonal() == 1).all()
    assert torch.equal(label_kernel(torch.zeros(3, 3)), torch.eye(3, dtype=torch.float64))


def test_no_image_one_label_and_no_embedding():
    assert LabelGraph.from_targets(torch.zeros(0, 3), weighting="kernel").to_dense().equal(torch.eye(3))
    for x in (None, torch.ones(1, 2)):
        graph = LabelGraph.from_targets([[1]], weighting="kernel", x=x, alpha=1)
        assert graph.to_dense().item() == 1 and graph.edge_index.shape == (2, 0)


def test_without_positives_the_embeddings_alone_decide():
    x = embeddings(3)
    graph = LabelGraph.from_targets(torch.zeros(4, 3), weighting="kernel", x=x, alpha=1)
    assert np.abs(graph.kernel.numpy() - dense_embedding_kernel(x.numpy())).max() < 1e-12


@pytest.mark.parametrize(
    "x",
    [torch.zeros(3, 4), torch.full((3, 4), 0.1), torch.full((3, 1), 1e20), torch.full((3, 2), 1e-30)],
    ids=["zero", "equal", "huge", "tiny"],
)
def test_embeddings_without_differences_relate_no_labels(x):
    assert torch.equal(label_kernel(None, x), torch.eye(3, dtype=torch.float64))


def test_two_equal_embeddings_among_others():
    x = embeddings(4)
    x[1] = x[0]
    x[3] = 0
    kernel = label_kernel(torch.from_numpy(PAIRS), x)
    assert kernel.isfinite().all() and (kernel.diagonal() == 1).all()
    assert kernel[0, 1].item() == pytest.approx(0.5 + 0.5 * dense_co_kernel(PAIRS)[0, 1])
    assert kernel[0, 1] < 1


def test_only_alpha_1_makes_twins_of_equal_embeddings():
    x = torch.cat([embeddings(3), embeddings(3)[:1]])
    options = {"weighting": "kernel", "x": x, "label_names": list("abcd")}
    graph = LabelGraph.from_targets(torch.zeros(0, 4), alpha=1, **options)
    assert indistinct_labels(graph).twins == (("a", "d"),)
    assert indistinct_labels(graph.reweighted(alpha=0.9)).twins == ()


def test_one_spectrum_serves_every_alpha():
    spectrum = kernel_spectrum(label_kernel(torch.from_numpy(PAIRS), embeddings(4)))
    for alpha in (0, 0.25, 1):
        s = spectrum.operator(alpha)
        covariance = (1 - alpha) * torch.eye(4) + alpha * label_kernel(torch.from_numpy(PAIRS), embeddings(4))
        assert torch.allclose(s @ s, covariance, atol=1e-12)


def test_another_alpha_equals_a_new_graph():
    x = embeddings(4)
    graph = LabelGraph.from_targets(TARGETS, weighting="kernel", alpha=0, x=x)
    for alpha in (0.0, 0.6, 1.0):
        again = LabelGraph.from_targets(TARGETS, weighting="kernel", alpha=alpha, x=x)
        assert graph.reweighted(alpha=alpha).digest() == again.digest()
    assert graph.alpha == 0


def test_another_weighting_or_a_higher_tau_equals_a_new_graph():
    options = {"x": embeddings(4), "top_k": 1}
    graph = LabelGraph.from_targets(TARGETS, weighting="kernel", tau=0.3, **options)
    for weighting in ("paper", "released", "binary", "none", "kernel"):
        again = LabelGraph.from_targets(TARGETS, weighting=weighting, tau=0.6, p=0.3, **options)
        assert graph.reweighted(weighting=weighting, tau=0.6, p=0.3).digest() == again.digest()


def test_what_reweighting_refuses():
    paper = LabelGraph.from_targets(TARGETS)
    with pytest.raises(
        InputError, match="weighting: expected a weighting that requires no pair counts.*build the graph"
    ):
        paper.reweighted(weighting="kernel")
    with pytest.raises(InputError, match="alpha: expected weighting 'kernel'"):
        paper.reweighted(alpha=0.5)
    kernel = LabelGraph.from_targets(TARGETS, weighting="kernel")
    with pytest.raises(InputError, match=r"alpha: expected a number in \[0, 1\], found 1.5"):
        kernel.reweighted(alpha=1.5)
    kernel.edge_weight = kernel.edge_weight + 0.1
    with pytest.raises(InputError, match="edge_weight: expected .* alpha = 0.5 and weighting 'kernel' define"):
        kernel.reweighted(alpha=0.2)


@pytest.mark.parametrize("weighting", ["kernel", "paper"])
@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), "0.5", None, True])
def test_refused_alpha(alpha, weighting):
    with pytest.raises(InputError, match=r"^alpha: expected a number in \[0, 1\]"):
        LabelGraph.from_targets(TARGETS, weighting=weighting, alpha=alpha)


def test_more_labels_than_a_dense_matrix_allows():
    message = "expected at most 4,096 labels .* found 4,097 labels; use a sparse weighting"
    with pytest.raises(InputError, match=f"^weighting: {message}"):
        LabelGraph.from_targets([[0, 1]], num_labels=MAX_LABELS + 1, weighting="kernel")
    with pytest.raises(InputError, match=f"^x: {message}"):
        label_kernel(None, torch.zeros(MAX_LABELS + 1, 1))
    with pytest.raises(InputError, match="pair_counts: expected pair counts or label embeddings, found neither"):
        label_kernel(None)


@pytest.mark.parametrize("x", [torch.zeros(3, 4), torch.full((4, 4), torch.nan), torch.zeros(4)])
def test_refused_embeddings(x):
    with pytest.raises(InputError, match="^x: expected"):
        LabelGraph.from_targets(TARGETS, weighting="kernel", x=x)


def test_saved_and_loaded_is_equal(tmp_path):
    graph = LabelGraph.from_targets(TARGETS, weighting="kernel", alpha=0.7, x=embeddings(4))
    graph.save(tmp_path / "g.pt")
    loaded = LabelGraph.load(tmp_path / "g.pt")
    assert loaded.digest() == graph.digest() and set(loaded.keys()) == set(graph.keys())
    assert loaded.reweighted(alpha=0.1).digest() == graph.reweighted(alpha=0.1).digest()
    assert {graph.digest(), graph.reweighted(alpha=0.6).digest()} != {graph.digest()}


def test_files_of_other_weightings_have_neither_kernel_nor_alpha():
    """Earlier versions read them."""
    state = LabelGraph.from_targets(TARGETS).state()
    assert not {"kernel", "alpha"} & state.keys()
    assert LabelGraph.from_state(state).alpha is None and LabelGraph.from_state(state).kernel is None


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kernel": None}, "kernel"),
        ({"kernel": torch.eye(3, dtype=torch.float64)}, r"shape \(4, 4\) as kernel"),
        ({"kernel": torch.eye(4)}, "float64 as kernel"),
        ({"kernel": torch.full((4, 4), torch.nan, dtype=torch.float64)}, "finite numbers as kernel"),
        ({"kernel": torch.eye(4, dtype=torch.float64) * 2}, "diagonal of ones as kernel"),
        ({"alpha": 2.0}, r"a number in \[0, 1\] as alpha"),
        ({"alpha": None}, "a number in"),
        ({"edge_prob": -torch.ones(12, dtype=torch.float64)}, "edge_prob"),
        ({"weighting": "paper"}, "edge_prob|edge_weight"),
    ],
)
def test_invalid_states_are_refused(change, message):
    state = LabelGraph.from_targets(TARGETS, weighting="kernel", x=embeddings(4)).state()
    with pytest.raises(InputError, match=message):
        LabelGraph.from_state(state | change)
    for name in ("kernel", "alpha"):
        with pytest.raises(InputError, match=f"no {name}"):
            LabelGraph.from_state({key: value for key, value in state.items() if key != name})


def test_summary_lists_the_edges_of_the_threshold_only():
    graph = LabelGraph.from_targets(TARGETS, weighting="kernel", x=embeddings(4), label_names=list("abcd"), tau=0.6)
    summary = graph.summary()
    assert summary.num_edges == 12 and summary.num_likely == 2 and summary.alpha == 0.5
    assert summary.isolated == ("c", "d") and len(summary.strongest) == 2
    first, *_ = str(summary).splitlines()
    assert first == "label graph: 4 labels, 12 directed edges (weighting kernel, alpha = 0.5; 2 edges with P ≥ 0.6)"


def test_a_zero_embedding_is_accepted_since_it_is_not_propagated():
    x = embeddings(4)
    x[3] = 0
    assert LabelGraph.from_targets(TARGETS, weighting="kernel", x=x).validate()


def test_networkx_has_every_edge():
    graph = LabelGraph.from_targets(TARGETS, weighting="kernel", x=embeddings(4))
    assert to_networkx(graph).number_of_edges() == 12


@pytest.mark.parametrize("form", [lambda m: m.tolist(), csr_array, coo_array, lambda m: m, torch.from_numpy])
def test_pair_counts_of_any_form(form):
    assert torch.equal(label_kernel(form(PAIRS)), label_kernel(torch.from_numpy(PAIRS)))


@pytest.mark.parametrize(
    "pairs, x, message",
    [
        (np.ones((2, 3)), None, r"pair_counts: expected a symmetric matrix .*shape \(2, 3\)"),
        ([[0, 1], [2, 0]], None, "pair_counts: expected a symmetric matrix"),
        ([[0, -1], [-1, 0]], None, "pair_counts: expected a symmetric matrix"),
        ([[0, np.nan], [np.nan, 0]], None, "pair_counts: expected a symmetric matrix"),
        (None, [[np.inf]], "x: expected finite numbers"),
        (None, [1.0], r"x: expected label embeddings .*shape \(1,\)"),
        (PAIRS, np.ones((3, 2)), "x: expected 4 rows, one per label, found 3 rows"),
    ],
)
def test_sources_that_are_not_valid(pairs, x, message):
    with pytest.raises(InputError, match=f"^{message}"):
        label_kernel(pairs, x)
