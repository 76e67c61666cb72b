"""Labels that no head can tell apart, and labels whose logit is always 0."""

import pytest
import torch

from mlgcn_pyg import LabelGraph, MLGCNHead
from mlgcn_pyg.errors import InputError, InputWarning
from mlgcn_pyg.graph import LabelEmbeddings, label_embeddings
from mlgcn_pyg.graph.twins import equal_embeddings, indistinct_labels
from mlgcn_pyg.text import described_groups, look_alikes
from mlgcn_pyg.training import HeadConfig, fit_head

NAMES = ["people", "People", "sea", "boat"]
TARGETS = [[1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 1, 0]]
X = torch.tensor([[1.0, 2.0], [1.0, 2.0], [3.0, 1.0], [0.5, 0.5]])


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def equal_pairs(graph, num_layers):
    """The labels whose classifiers are equal for random weights: a head is asked, not the graph."""
    torch.manual_seed(0)
    head = MLGCNHead(graph, num_features=7, hidden_channels=(5,) * (num_layers - 1))
    w = head.classifiers()
    names = graph.label_names
    pairs = {(names[i], names[j]) for i in range(len(w)) for j in range(i) if torch.allclose(w[i], w[j], 1e-9, 1e-12)}
    return {tuple(sorted(pair)) for pair in pairs}, {n for n, row in zip(names, w, strict=True) if not row.any()}


def pairs_of(groups):
    return {tuple(sorted((a, b))) for group in groups for k, a in enumerate(group) for b in group[:k]}


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("weighting", ["paper", "released", "binary", "none"])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("case", range(6))
def test_twins_are_those_of_a_head_with_random_weights(case, p, weighting, num_layers, float64):
    generator = torch.Generator().manual_seed(case)
    targets = torch.randint(0, 2, (6, 6), generator=generator)
    x = [None, torch.randint(1, 3, (6, 1), generator=generator).double(), torch.ones(6, 2)][case % 3]
    graph = LabelGraph.from_targets(targets, x=x, p=p, weighting=weighting)
    pairs, silent = equal_pairs(graph, num_layers)
    found = indistinct_labels(graph, num_layers)
    zero = {tuple(sorted((a, b))) for a in silent for b in silent if a < b}
    assert pairs_of(found.twins) == pairs - zero and set(found.silent) == silent


def test_equal_embeddings_with_equal_neighbours_are_twins_in_the_summary():
    graph = LabelGraph.from_targets(TARGETS, label_names=NAMES, x=X)
    summary = graph.summary()
    assert summary.twins == (("people", "People"),) and summary.look_alike == (("people", "People"),)
    assert "give these labels one classifier: 'people' = 'People'" in str(summary)
    assert "only case, spacing or Unicode form differs: 'people' = 'People'" in str(summary)
    apart = X.clone()
    apart[0] += 1
    assert not LabelGraph.from_targets(TARGETS, label_names=NAMES, x=apart).summary().twins


def test_equal_embeddings_with_different_neighbours_are_no_twins():
    targets = [[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert not LabelGraph.from_targets(targets, label_names=NAMES, x=X).summary().twins


def test_one_hot_labels_with_a_half_from_each_other_are_twins():
    graph = LabelGraph.from_targets([[1, 1, 0], [0, 0, 1]], p=0.5)  # Â has the rows (½ ½ 0) twice
    assert graph.summary().twins == (("0", "1"),)


def test_two_labels_with_the_words_of_one_are_named(tmp_path):
    (tmp_path / "v.txt").write_text("dog 1 2\ncat 2 1\n")
    x = label_embeddings(["dog", "cat", "terrier"], tmp_path / "v.txt", aliases={"terrier": "dog"})
    assert equal_embeddings(x.label_names, x.x) == (("dog", "terrier"),)
    assert LabelGraph.from_targets(torch.eye(3), label_names=x.label_names, x=x).summary().twins == (
        ("dog", "terrier"),
    )


@pytest.mark.parametrize("weighting, p", [("paper", 0.2), ("released", 0.2), ("none", 0.2), ("paper", 0.0)])
def test_a_zero_embedding_without_edges_is_refused_with_the_remedy(weighting, p):
    x = LabelEmbeddings(("sea", "kite"), torch.tensor([[1.0, 2.0], [0.0, 0.0]]))
    with pytest.raises(InputError, match="x: expected an embedding other than 0 .* found 0 for 'kite'; .*oov='random'"):
        LabelGraph.from_targets([[1, 0], [0, 1]], label_names=x.label_names, x=x, weighting=weighting, p=p)


def test_a_zero_embedding_with_an_edge_is_accepted():
    graph = LabelGraph.from_targets([[1, 1], [1, 0], [1, 0]], x=[[1.0, 2.0], [0.0, 0.0]])  # 1 receives from 0
    assert not graph.summary().silent
    with pytest.raises(InputError, match="found 0 for '1'"):  # in the released weighting 0 receives from 1
        LabelGraph.from_targets([[1, 1], [1, 0], [1, 0]], x=[[1.0, 2.0], [0.0, 0.0]], weighting="released")


def test_labels_without_edges_are_silent_if_they_keep_nothing():
    graph = LabelGraph.from_targets([[1, 0], [0, 1]], p=1, label_names=["sea", "kite"])
    assert graph.summary().silent == ("sea", "kite") and "logit 0 for every image: 'sea', 'kite'" in str(
        graph.summary()
    )


def fitted(graph, **options):
    head = MLGCNHead(graph, 3, (2,), **options)
    fit_head(head, (torch.randn(4, 3), torch.ones(4, graph.num_labels)), config=HeadConfig(recipe="paper", epochs=1))


def test_fitting_a_head_with_twins_warns_once():
    graph = LabelGraph.from_targets(TARGETS, label_names=NAMES, x=X)
    with pytest.warns(InputWarning, match="one classifier: 'people' = 'People'") as said:
        fitted(graph)
    assert len(said) == 1 and said[0].filename == __file__


def test_fitting_a_head_that_can_learn_or_has_no_twins_says_nothing(recwarn):
    fitted(LabelGraph.from_targets(TARGETS, label_names=NAMES, x=X), learn_edges=True)
    fitted(LabelGraph.from_targets(TARGETS, label_names=NAMES))
    assert not [w for w in recwarn if issubclass(w.category, InputWarning)]


def test_names_that_look_alike():
    names = ["T-shirt", "t shirt", "\ufb01sh", "fish", "Stra\u00dfe", "STRASSE", "1-1", "11", "a", "A B", "ab"]
    assert look_alikes(names) == (
        ("T-shirt", "t shirt"), ("\ufb01sh", "fish"), ("Stra\u00dfe", "STRASSE"), ("A B", "ab"),
    )  # fmt: skip
    groups = [tuple(map(str, range(9)))] * 7
    assert described_groups(groups).endswith("'4' and 4 more; and 2 more")
