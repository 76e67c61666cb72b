"""Labels without images are added to a graph: the other labels keep their edges and weights."""

import pytest
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelEmbeddings
from tests.graph.oracle import DENSE

NAMES = ["person", "tie", "dog"]
TARGETS = [["person", "tie"], ["person"], ["dog", "person"], ["dog"]]
X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
NEW = torch.tensor([[1.0, 0.0, 2.0, 0.0], [0.0, 1.0, 0.0, 0.0]])


def mined(x=X, **options):
    return LabelGraph.from_targets(TARGETS, label_names=NAMES, x=x, **options)


@pytest.mark.parametrize("weighting", DENSE)
def test_the_other_labels_keep_their_weights_and_the_new_ones_have_those_of_labels_without_edges(weighting):
    graph = mined(weighting=weighting)
    wider = graph.with_labels(["zebra", "cat"], NEW)
    a = torch.zeros(5, 5)
    a[tuple(graph.edge_index)] = 1
    assert torch.allclose(wider.to_dense(), torch.as_tensor(DENSE[weighting](a.numpy(), 0.2)).float(), atol=1e-6)
    assert torch.equal(wider.to_dense()[:3, :3], graph.to_dense())
    assert list(wider.label_names) == [*NAMES, "zebra", "cat"] and wider.num_labels == wider.num_nodes == 5
    assert torch.equal(wider.x, torch.cat([X, NEW])) and wider.label_counts.tolist() == [3, 1, 2, 0, 0]
    assert graph.num_labels == 3 and len(graph.x) == 3  # the graph itself does not change


def test_it_equals_a_graph_of_targets_in_which_the_labels_are_absent():
    absent = LabelGraph.from_targets(TARGETS, label_names=[*NAMES, "zebra", "cat"], x=torch.cat([X, NEW]))
    assert mined().with_labels(["zebra", "cat"], NEW).digest() == absent.digest()


def test_edges_of_new_labels_reach_their_classifiers_and_no_others():
    head, features = MLGCNHead(mined(), 6, (8,)), torch.randn(2, 6)
    graph = mined().with_labels(["zebra", "cat"], NEW)
    alone, related = head.with_graph(graph), head.with_graph(graph.with_edges([("zebra", "dog", 0.9)]))
    for wider in (alone, related):
        assert torch.allclose(wider(features)[:, :3], head(features), atol=1e-6)
    assert not torch.allclose(alone(features)[:, 3], related(features)[:, 3], atol=1e-4)
    assert torch.allclose(alone(features)[:, 4], related(features)[:, 4], atol=1e-6)


def test_weights_that_were_learned_are_kept():
    graph = mined()
    graph.edge_weight = graph.edge_weight * 0.5
    assert torch.equal(graph.with_labels(["zebra"], NEW[:1]).to_dense()[:3, :3], graph.to_dense())


def test_one_hot_labels_and_a_graph_without_edges():
    graph = mined(x=None, tau=1.0).with_labels(["zebra"])
    assert graph.x is None and graph.embedding_dim == 4
    empty = LabelGraph.from_targets([["a"], ["b"]]).with_labels(["c"])
    assert torch.allclose(empty.to_dense(), 0.8 * torch.eye(3))


def test_it_can_be_saved(tmp_path):
    graph = mined().with_labels(["zebra"], NEW[:1])
    graph.save(tmp_path / "g.pt")
    assert LabelGraph.load(tmp_path / "g.pt").digest() == graph.digest()


def test_embeddings_have_the_type_of_the_graph_and_names_their_normal_form():
    graph = mined().with_labels([" zebra  foal "], NEW[:1].double())
    assert graph.label_names[-1] == "zebra foal" and graph.x.dtype == torch.float32


def test_the_source_of_the_embeddings_is_kept_where_it_is_that_of_all():
    file = {"file": "glove.txt", "sha256": "ab"}
    graph = mined(x=LabelEmbeddings(tuple(NAMES), X, file))
    zebra = LabelEmbeddings(("zebra",), NEW[:1], file | {"oov": "error"})
    assert graph.with_labels(["zebra"], zebra).x_source == file
    others = ({"file": "glove.txt", "sha256": "cd"}, file | {"prompts": ["a {}"]}, {})
    for x in (*(LabelEmbeddings(("zebra",), NEW[:1], other) for other in others), NEW[:1]):
        assert graph.with_labels(["zebra"], x).x_source == {}
    assert mined().with_labels(["zebra"], LabelEmbeddings(("zebra",), NEW[:1])).x_source == {}


@pytest.mark.parametrize(
    ("names", "x", "error"),
    [
        (["dog"], NEW[:1], "label_names: expected labels that the graph does not have, found 'dog'"),
        (["zebra", "zebra"], NEW, "label_names: expected unique names"),
        ("zebra", NEW[:1], "label_names: expected a sequence of strings, found 'zebra'"),
        (["zebra"], None, "x: expected embeddings of width 4, as those of the graph, found none"),
        (["zebra"], NEW, r"x: expected floating-point embeddings of shape \(1, 4\), found shape \(2, 4\)"),
        (["zebra"], torch.ones(1, 3), r"x: .* found shape \(1, 3\)"),
        (["zebra"], torch.ones(1, 4, dtype=torch.int64), r"x: .* torch.int64"),
        (["zebra"], torch.full((1, 4), torch.nan), "x: expected finite numbers"),
        (["zebra"], torch.zeros(1, 4), "x: expected an embedding other than 0"),
        (["zebra"], LabelEmbeddings(("cat",), NEW[:1]), "x: expected the 1 labels of label_names, found 'cat'"),
    ],
)
def test_wrong_arguments(names, x, error):
    with pytest.raises(InputError, match=error):
        mined().with_labels(names, x)


def test_graphs_that_cannot_have_more_labels():
    with pytest.raises(InputError, match="x: expected None, since the graph has one-hot labels"):
        mined(x=None).with_labels(["zebra"], NEW[:1])
    with pytest.raises(InputError, match="weighting: expected a weighting whose weights follow from the edges"):
        mined(weighting="kernel").with_labels(["zebra"], NEW[:1])
