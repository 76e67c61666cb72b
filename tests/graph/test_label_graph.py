import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch_geometric.data import Data
from torch_geometric.utils import to_networkx

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import CooccurrenceCounter
from mlgcn_pyg.graph.weighting import EDGE_WEIGHTINGS as WEIGHTINGS
from mlgcn_pyg.released import read_released_counts
from tests.graph.oracle import DENSE, adjacency


def released(shared, name):
    return read_released_counts(shared / "reference" / f"{name}_adj.pkl")


@pytest.mark.parametrize("name", ["coco", "voc"])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9])
def test_to_dense_equals_the_dense_formula_on_real_counts(shared, name, weighting, p):
    nums, pairs = released(shared, name)
    for tau in (0.1, 0.4, 0.7):
        graph = LabelGraph.from_counts(nums, pairs, tau=tau, p=p, weighting=weighting)
        expected = DENSE[weighting](adjacency(nums, pairs, tau), p)
        assert np.abs(graph.to_dense().numpy() - expected).max() < 1e-6


def test_coco_has_111_edges_and_person_is_an_end_of_55(shared, coco_targets):
    graph = LabelGraph.from_targets(coco_targets["train_y"], label_names=coco_targets["classes"].tolist())
    summary = graph.summary()
    assert summary.num_edges == 111
    assert len(summary.without_outgoing) == 15 and len(summary.without_incoming) == 57
    assert summary.hubs[0] == ("person", 55, 55 / 111)


def test_voc_has_6_edges(shared):
    summary = LabelGraph.from_counts(*released(shared, "voc")).summary()
    assert summary.num_edges == 6
    assert len(summary.without_outgoing) == 15 and len(summary.without_incoming) == 18


def test_released_differs_from_paper_as_measured(shared):
    graph = LabelGraph.from_counts(*released(shared, "coco"))
    difference = graph.to_dense() - graph.reweighted(weighting="released").to_dense()
    assert float(difference.abs().max()) == pytest.approx(0.224, abs=5e-4)


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.int8, st.tuples(st.integers(0, 10), st.integers(1, 6)), elements=st.integers(-1, 1)),
    st.sampled_from(list(WEIGHTINGS)),
    st.sampled_from([0.0, 0.2, 0.75]),
    st.sampled_from([0.0, 0.01, 0.4, 1.0]),
)
def test_random_targets_equal_the_dense_formula(targets, weighting, p, tau):
    present, known = (targets == 1).astype(int), (targets != -1).astype(int)
    m, k = present.T @ present, present.T @ known
    prob = np.divide(m, k, out=np.zeros(m.shape), where=k > 0)
    a = (prob >= tau).astype(float)
    np.fill_diagonal(a, 0)
    graph = LabelGraph.from_targets(targets, tau=tau, p=p, weighting=weighting)
    assert np.abs(graph.to_dense().numpy() - DENSE[weighting](a, p)).max() < 1e-6
    assert (graph.edge_prob.numpy() == prob[tuple(graph.edge_index.numpy())]).all()


def test_seven_of_ten_reaches_tau_0_7():
    targets = torch.tensor([[1, 1]] * 7 + [[1, 0]] * 3)
    graph = LabelGraph.from_targets(targets, tau=0.7)
    assert graph.edge_index.tolist() == [[0, 1], [1, 0]]
    assert graph.reweighted(tau=0.7).edge_index.size(1) == 2
    assert LabelGraph.from_targets(targets, tau=0.7 + 1e-12).edge_index.size(1) == 1


def test_direction_a_tie_implies_a_person():
    graph = LabelGraph.from_targets([[1, 1], [1, 0], [1, 0]], label_names=["person", "tie"])
    assert graph.edge_index.tolist() == [[1], [0]]
    for weighting, receives_at in (("paper", (1, 0)), ("binary", (1, 0)), ("released", (0, 1))):
        dense = graph.reweighted(weighting=weighting).to_dense()
        assert dense[receives_at] > 0 and dense[receives_at[::-1]] == 0


def test_label_without_outgoing_edge_keeps_one_minus_p():
    graph = LabelGraph.from_targets([[1, 1], [1, 0], [1, 0]], p=0.3)
    assert graph.to_dense()[0].tolist() == pytest.approx([0.7, 0.0])


def test_label_without_positives():
    graph = LabelGraph.from_targets([[1, 0], [1, 0]])
    assert graph.num_labels == 2 and graph.edge_index.shape == (2, 0)
    assert graph.summary().without_positives == ("1",)


def test_no_image_and_one_label():
    graph = LabelGraph.from_targets(torch.zeros(0, 1))
    assert graph.num_nodes == 1 and graph.to_dense().item() == pytest.approx(0.8)
    assert "1 labels, 0 directed edges" in str(graph.summary())


def test_one_hub():
    targets = torch.cat([torch.ones(5, 1), torch.eye(5)], dim=1)
    summary = LabelGraph.from_targets(targets, label_names=["hub", *"abcde"]).summary()
    assert summary.hubs == (("hub", 5, 1.0),)
    assert summary.without_incoming == tuple("abcde")


def test_unknown_targets_leave_the_denominator():
    graph = LabelGraph.from_targets([[1, 1], [1, -1], [1, -1], [1, 0]], tau=0.5)
    assert graph.edge_prob.tolist() == [0.5, 1.0]  # 1 of 2 known, not 1 of 4


def test_lower_tau_needs_the_counts_again():
    graph = LabelGraph.from_targets([[1, 1], [1, 0]], tau=0.6)
    with pytest.raises(InputError, match="tau: expected τ ≥ 0.6, at which this graph was built, found 0.5"):
        graph.reweighted(tau=0.5)


def test_reweighted_equals_a_new_graph(shared):
    nums, pairs = released(shared, "coco")
    low = LabelGraph.from_counts(nums, pairs, tau=0.2)
    for weighting in WEIGHTINGS:
        again = LabelGraph.from_counts(nums, pairs, tau=0.5, p=0.4, weighting=weighting)
        moved = low.reweighted(tau=0.5, p=0.4, weighting=weighting)
        assert torch.equal(again.edge_index, moved.edge_index) and moved.flow == again.flow
        assert torch.equal(again.to_dense(), moved.to_dense())
    assert low.tau == 0.2 and low.weighting == "paper"  # the original is untouched


def test_a_label_graph_is_a_pyg_data(tmp_path):
    graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 0]], label_names=["a", "b", "c"], x=torch.randn(3, 4))
    assert isinstance(graph, Data) and graph.validate()
    moved = graph.to("cpu").clone()
    assert isinstance(moved, LabelGraph) and moved.num_labels == 3
    network = to_networkx(graph)
    assert network.number_of_nodes() == 3 and list(network.edges) == [(0, 1), (1, 0)]
    assert graph.num_node_features == 4 and graph.has_isolated_nodes()


def test_implicit_one_hot_is_never_a_matrix():
    graph = LabelGraph.from_targets(torch.zeros(0, 5))
    assert graph.x is None and graph.embedding_dim == 5


@pytest.mark.parametrize("x", [None, torch.randn(3, 4)])
def test_saved_and_loaded_is_equal(tmp_path, x):
    graph = LabelGraph.from_targets([[1, 1, -1], [1, 0, 1]], label_names=["a", "b", "ü"], x=x, weighting="released")
    graph.save(tmp_path / "g.pt")
    loaded = LabelGraph.load(tmp_path / "g.pt")
    assert torch.load(tmp_path / "g.pt", weights_only=True)["weighting"] == "released"
    assert set(loaded.keys()) == set(graph.keys())
    for key in graph.keys():  # noqa: SIM118 (Data is no mapping)
        same = torch.equal(graph[key], loaded[key]) if torch.is_tensor(graph[key]) else graph[key] == loaded[key]
        assert same, key


def test_foreign_and_damaged_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").touch()
    torch.save({"a": 1}, tmp_path / "dict.pt")
    torch.save(Data(), tmp_path / "object.pt")
    for name in ("text", "empty", "dict.pt", "object.pt", "absent"):
        with pytest.raises(InputError, match="path: expected .*" + name):
            LabelGraph.load(tmp_path / name)
    graph = LabelGraph.from_targets([[1, 1]])
    graph.save(tmp_path / "g.pt")
    content = (tmp_path / "g.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cut.pt"):
        LabelGraph.load(tmp_path / "cut.pt")
    newer = graph.state() | {"version": 2}
    with pytest.raises(InputError, match="version 1, found 2"):
        LabelGraph.from_state(newer)
    incomplete = {k: v for k, v in graph.state().items() if k != "edge_prob"}
    with pytest.raises(InputError, match="no edge_prob"):
        LabelGraph.from_state(incomplete)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tau": -0.1}, r"tau: expected a number in \[0, 1\], found -0.1"),
        ({"tau": float("nan")}, "tau"),
        ({"p": -0.1}, r"p: expected a number in \[0, 1\], found -0.1"),
        ({"p": 1.0, "weighting": "released"}, "p < 1 for weighting 'released'"),
        ({"weighting": "gcn"}, "weighting: expected one of paper, released, binary, none, kernel, found 'gcn'"),
        ({"label_names": ["a"]}, "label_names: expected 2 names, one per label, found 1"),
        ({"label_names": ["a", "a"]}, "unique names, found 'a' twice"),
        ({"label_names": ["a", 1]}, r"strings, found 1 \(int\)"),
        ({"x": torch.zeros(3, 4)}, r"shape \(2, F\), found shape \(3, 4\)"),
        ({"x": torch.full((2, 4), torch.nan)}, "x: expected finite numbers, found NaN or Inf in 2 of 2 rows"),
    ],
)
def test_refused_options(options, message):
    with pytest.raises(InputError, match=message):
        LabelGraph.from_targets([[1, 1], [1, 0]], **options)


COUNTER = CooccurrenceCounter(2).update([[1, 1], [1, 0]])
BUILDERS = {
    "from_targets": lambda **options: LabelGraph.from_targets([[1, 1], [1, 0]], **options),
    "from_counter": lambda **options: LabelGraph.from_counter(COUNTER, **options),
    "from_counts": lambda **options: LabelGraph.from_counts([2, 1], [[0, 1], [1, 0]], **options),
}


@pytest.fixture(params=[*BUILDERS, "from_released"])
def build(request, tmp_path):
    """Builds the same graph in one of four ways."""
    if request.param != "from_released":
        return BUILDERS[request.param]
    content = {"nums": np.array([2, 1]), "adj": np.array([[0, 1], [1, 0]])}
    (tmp_path / "adj.pkl").write_bytes(pickle.dumps(content))
    return lambda **options: LabelGraph.from_released(tmp_path / "adj.pkl", **{"weighting": "paper"} | options)


def test_every_builder_takes_every_option(build):
    x = torch.randn(2, 3)
    options = {"label_names": ["a", "b"], "x": x, "tau": 0.3, "p": 0.4, "weighting": "binary", "probability": "ratio"}
    graph = build(**options, min_count=1, top_k=1)
    assert graph.edge_index.tolist() == [[0, 1], [1, 0]] and graph.edge_prob.tolist() == [0.5, 1.0]
    for name, value in (options | {"label_names": ("a", "b")}).items():
        assert graph[name] is value or graph[name] == value if name != "x" else torch.equal(graph.x, x)
    assert build(min_count=2).edge_index.size(1) == 0 and build(tau=0.6).edge_index.tolist() == [[1], [0]]


@pytest.mark.parametrize("option", ["tua", "taus", "label_name", "weights", "topk"])
def test_a_misspelt_option_is_a_type_error_of_the_builder(build, option):
    with pytest.raises(TypeError, match=rf"LabelGraph\.from_\w+\(\) got an unexpected keyword argument '{option}'"):
        build(**{option: 0.4})


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tau": "0.4"}, r"tau: expected a number in \[0, 1\], found '0.4'"),
        ({"tau": None}, "tau: expected a number"),
        ({"tau": True}, "tau: expected a number"),
        ({"tau": [0.4]}, "tau: expected a number"),
        ({"p": None}, r"p: expected a number in \[0, 1\], found None"),
        ({"p": "0.2"}, "p: expected a number"),
        ({"p": float("nan")}, "p: expected a number"),
        ({"weighting": None}, "weighting: expected one of paper"),
        ({"weighting": ["paper"]}, "weighting: expected one of paper"),
        ({"probability": None}, "probability: expected one of ratio"),
        ({"top_k": "3"}, "top_k: expected an integer ≥ 1, found '3'"),
        ({"top_k": 1.0}, "top_k: expected an integer ≥ 1"),
        ({"min_count": 1.5}, "min_count: expected an integer ≥ 0, found 1.5"),
        ({"min_count": None}, "min_count: expected an integer ≥ 0"),
        ({"label_names": 3}, "label_names: expected a sequence of strings"),
        ({"x": "glove"}, "x: expected label embeddings"),
        ({"x": [[1.0], [1.0, 2.0]]}, "x: expected label embeddings"),
        ({"x": [1.0, 2.0]}, "x: expected a floating-point embedding per label"),
    ],
)
def test_options_of_the_wrong_type(build, options, message):
    with pytest.raises(InputError, match=f"^{message}"):
        build(**options)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"targets": None}, "targets: expected a matrix of targets, found None"),
        ({"targets": "abc"}, "targets: expected a matrix of targets, found 'abc'"),
        ({"targets": np.array([["a", "b"]])}, "targets: expected a tensor, an array"),
        ({"targets": [[1j, 1]]}, "targets: expected values"),
        ({"num_labels": "80"}, "num_labels: expected an integer ≥ 1, found '80'"),
        ({"num_labels": 0}, "num_labels: expected an integer ≥ 1, found 0"),
        ({"targets": 3, "num_labels": 2}, "targets: expected lists of integer label ids"),
        ({"targets": [3], "num_labels": 2}, "targets: expected lists of integer label ids"),
        ({"targets": ["ab"], "num_labels": 2}, "targets: expected lists of integer label ids"),
        ({"max_entries": None}, "max_entries: expected an integer ≥ 1"),
        ({"max_entries": 1e6}, "max_entries: expected an integer ≥ 1"),
    ],
)
def test_targets_of_the_wrong_type(options, message):
    with pytest.raises(InputError, match=f"^{message}"):
        LabelGraph.from_targets(**{"targets": [[1, 1], [1, 0]]} | options)


@pytest.mark.parametrize(
    "nums, pairs, message",
    [
        (None, [[0]], "label_counts: expected one count per label"),
        ("ab", [[0]], "label_counts: expected one count per label"),
        ([1j], [[0]], "label_counts: expected whole numbers"),
        ([1], None, "pair_counts: expected a matrix"),
        ([1], "a", "pair_counts: expected a matrix"),
        ([1], [[1j]], "pair_counts: expected a matrix of numbers"),
    ],
)
def test_counts_of_the_wrong_type(nums, pairs, message):
    with pytest.raises(InputError, match=f"^{message}"):
        LabelGraph.from_counts(nums, pairs)


def test_only_a_counter_is_a_counter():
    with pytest.raises(InputError, match="counter: expected a CooccurrenceCounter, found list"):
        LabelGraph.from_counter([[1, 1]])


@pytest.mark.parametrize("tau", [np.float32(0.5), np.float64(0.5), torch.tensor(0.5)])
def test_numbers_of_other_libraries_are_stored_as_python_numbers(tau, tmp_path):
    graph = LabelGraph.from_targets([[1, 1], [1, 0]], tau=tau, p=tau, top_k=np.int64(1), min_count=np.int8(1))
    assert type(graph.tau) is float and type(graph.p) is float and graph.tau == graph.p == 0.5
    graph.save(tmp_path / "g.pt")
    assert LabelGraph.load(tmp_path / "g.pt").digest() == graph.digest()
    assert type(graph.reweighted(tau=np.float64(0.6)).tau) is float


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda graph: graph.reweighted(tau="0.5"), "tau: expected a number"),
        (lambda graph: graph.reweighted(p="0.5"), "p: expected a number"),
        (lambda graph: graph.reweighted(weighting=3), "weighting: expected one of"),
        (lambda graph: graph.summary("3"), "num_strongest: expected an integer ≥ 0"),
        (lambda graph: graph.summary(-1), "num_strongest: expected an integer ≥ 0"),
        (lambda graph: LabelGraph.from_state(None), "state: expected a label graph"),
        (lambda graph: LabelGraph.from_state(graph.state() | {"p": "0.5"}), "state: expected a number in .* as p"),
    ],
)
def test_methods_with_arguments_of_the_wrong_type(call, message):
    with pytest.raises(InputError, match=f"^{message}"):
        call(LabelGraph.from_targets([[1, 1], [1, 0]]))


def test_the_annotated_fields_are_stored_as_any_other():
    graph = LabelGraph.from_targets([[1, 1], [1, 0]], x=torch.ones(2, 3))
    for name in ("x", "edge_index", "edge_prob", "edge_weight", "self_weight", "label_counts", "tau", "label_names"):
        assert name in graph and name not in vars(graph)
    graph.edge_weight = torch.zeros(2)
    assert graph["edge_weight"].tolist() == [0, 0] and "edge_weight" in graph.to_dict()


def test_validate_finds_changes_made_by_hand():
    graph = LabelGraph.from_targets([[1, 1], [1, 0]])
    graph.edge_weight = graph.edge_weight[:1]
    with pytest.raises(InputError, match=r"edge_weight: expected shape \(2,\), found shape \(1,\)"):
        graph.validate()
    with pytest.warns(UserWarning, match="edge_weight"):
        assert not graph.validate(raise_on_error=False)
    graph = LabelGraph.from_targets([[1, 1], [1, 0]])
    graph.edge_index = torch.tensor([[0, 5], [1, 0]])
    with pytest.raises(InputError, match="edge_index: expected labels in 0…1, found 0 to 5"):
        graph.validate()


@pytest.mark.parametrize(
    "change",
    [
        {"flow": "foo"}, {"flow": "source_to_target"}, {"weighting": "zzz"}, {"p": "zzz"}, {"tau": 7.0},
        {"edge_index": torch.zeros(2, 2)}, {"edge_index": None}, {"edge_index": torch.tensor([[0, 0], [1, 1]])},
        {"label_names": 3}, {"num_labels": 1},
    ],
)  # fmt: skip
def test_invalid_states_are_refused(change):
    state = LabelGraph.from_targets([[1, 1], [1, 0]], tau=0.1).state()
    with pytest.raises(InputError):
        LabelGraph.from_state(state | change)


def test_files_that_start_like_a_pickle_are_refused_without_a_traceback(tmp_path):
    for start in (b"the 0.1 0.2", b"R", b"K", b".", b"PK\x03\x04", b"\x80\x02"):
        (tmp_path / "x").write_bytes(start)
        with pytest.raises(InputError, match="path: expected a file of plain tensors"):
            LabelGraph.load(tmp_path / "x")


def test_the_digest_depends_on_every_field():
    graph = LabelGraph.from_targets([[1, 1], [1, 0]], x=torch.ones(2, 3))
    assert graph.digest() == graph.clone().digest()
    other = LabelGraph.from_targets([[1, 1], [1, 0]], x=torch.ones(2, 3) + 1e-3)
    renamed = LabelGraph.from_targets([[1, 1], [1, 0]], x=torch.ones(2, 3), label_names=["a", "b"])
    assert len({graph.digest(), other.digest(), renamed.digest(), graph.reweighted(p=0.3).digest()}) == 4


def test_double_precision_embeddings_become_the_default_type():
    assert LabelGraph.from_targets([[1, 1]], x=torch.ones(2, 3).double()).x.dtype == torch.float32
