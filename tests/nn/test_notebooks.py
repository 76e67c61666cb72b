"""What notebooks show of heads."""

import pytest
import torch

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.nn import LinearHead, MLGCNHead, SharingHead
from tests.test_html import HOSTILE, Parsed

NAMES = ["person", "<script>", "dog"]
GRAPH = LabelGraph.from_targets(torch.tensor([[1, 1, 0], [1, 0, 1]]), label_names=NAMES)


@pytest.mark.parametrize("head, parts", [
    (LinearHead(3, 7, NAMES), ["LinearHead", "3", "7", "24", "person, <script>, dog"]),
    (SharingHead(GRAPH, 7), ["SharingHead", "4 edges, weighting paper, τ = 0.4, p = 0.2", "nothing of the graph"]),
    (MLGCNHead(GRAPH, 7, (5,), learn_edges=True, learn_p=True), ["MLGCNHead", "edges and p", "person, <script>, dog"]),
])  # fmt: skip
def test_heads_are_shown_as_tables(head, parts):
    parsed = Parsed(head._repr_html_())
    assert set(parts) <= set(parsed.texts) and "script" not in parsed.opened


def test_a_head_with_statistics_says_so():
    head = LinearHead(3, 2)
    head.set_statistics([0.0, 0.0], [1.0, 1.0])
    texts = Parsed(head._repr_html_()).texts
    assert texts[texts.index("features are standardised") + 1] == "yes"


def test_many_labels_are_not_all_listed():
    texts = Parsed(LinearHead(1000, 2)._repr_html_()).texts
    assert texts[texts.index("first labels") + 1].endswith("18, 19")


@pytest.mark.parametrize("name", HOSTILE)
def test_names_stay_text(name):
    assert name in Parsed(LinearHead(1, 2, [name])._repr_html_()).texts
