"""Explanations of heads whose label encoder is a GNN of PyG."""

import pytest
import torch

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.nn import LabelGNNHead
from mlgcn_pyg.prediction.explanation import explain_image


@pytest.mark.parametrize("gnn", ["gcn", "sage", "gat", "gin"])
def test_terms_and_cells_sum_to_the_logit(gnn):
    torch.manual_seed(0)
    graph = LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], x=torch.randn(3, 4), label_names=["person", "tie", "cup"])
    head = LabelGNNHead(graph, 5, gnn, 6, bias=True)
    maps = torch.rand(5, 2, 3)
    for one in explain_image(head, maps, "avg", top_k=3):
        row = graph.label_names.index(one.label)
        logit = float(head(maps.mean(dim=(1, 2))[None])[0, row])
        assert one.logit == pytest.approx(logit, abs=1e-5)
        assert one.own + sum(value for _, value in one.neighbours) + one.bias == pytest.approx(logit, abs=1e-5)
        assert float(one.cells.sum()) + one.bias == pytest.approx(logit, abs=1e-5)
        if gnn != "gin":
            senders = [graph.label_names[j] for i, j in graph.edge_index.t().tolist() if i == row]
            assert sorted(name for name, _ in one.neighbours) == sorted(senders)
