"""Arguments of wrong types: every public function of nn, evaluation, training and prediction accepts or refuses them.

A refusal is an :class:`InputError`. Any other exception comes from within and fails the test.
"""

import fractions
from pathlib import Path

import numpy as np
import pytest
import torch

from mlgcn_pyg import evaluation, nn, prediction, training
from mlgcn_pyg.checkpoints import Checkpoint
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn import kernels
from mlgcn_pyg.training import HeadConfig, ModelConfig

C, D = 3, 4
WRONG = {
    "None": None,
    "text": "text",
    "an empty text": "",
    "bytes": b"\x00",
    "a float": 0.5,
    "a negative integer": -1,
    "a huge integer": 10**30,
    "NaN": float("nan"),
    "a fraction": fractions.Fraction(1, 3),
    "True": True,
    "complex": 1j,
    "an object": object(),
    "a class": int,
    "an empty list": [],
    "a ragged list": [[1], [1, 2]],
    "a list of texts": ["a", "b"],
    "a list of None": [None],
    "an empty dict": {},
    "a dict": {"a": 1},
    "a set": {1, 2},
    "a generator": (n for n in ()),
    "a module": torch.nn.Linear(2, 2),
    "an empty tensor": torch.zeros(0),
    "a scalar tensor": torch.tensor(1.0),
    "a matrix": torch.zeros(2, 2),
    "integers": torch.ones(C, D, dtype=torch.int32),
    "a half tensor": torch.ones(2, D, dtype=torch.float16),
    "a double tensor": torch.ones(2, D, dtype=torch.float64),
    "a complex tensor": torch.ones(2, D, dtype=torch.complex64),
    "a bool tensor": torch.ones(2, D, dtype=torch.bool),
    "a sparse tensor": torch.ones(2, D).to_sparse(),
    "a CSR tensor": torch.ones(2, D).to_sparse_csr(),
    "a quantised tensor": torch.quantize_per_tensor(torch.ones(2, D), 0.1, 0, torch.qint8),
    "a meta tensor": torch.ones(2, D, device="meta"),
    "many dimensions": torch.zeros(1, 1, 1, 1, 1),
    "an array": np.ones((2, D), dtype=np.float32),
    "an array of texts": np.array([["a"]]),
    "an array of objects": np.array([[object()]], dtype=object),
}
GRAPH = LabelGraph.from_targets(torch.tensor([[1, 1, 0], [1, 0, 1], [0, 1, 1]]), x=torch.ones(C, 5), tau=0.3)
ADJACENCY = kernels.Adjacency(GRAPH.edge_index, C)
E = ADJACENCY.num_edges
LOGITS, TARGETS = torch.tensor([[1.0, -1.0, 2.0], [0.5, 1.0, -2.0]]), torch.tensor([[1, 0, 1], [0, 1, 0]])
ROW = evaluation.table1_row(LOGITS, TARGETS, ["a", "b", "c"])
FAST = HeadConfig(epochs=1)


class Flat(torch.nn.Module):
    """A backbone that does not tell its width."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, D)

    def forward(self, images):
        return self.layer(images.mean(dim=(2, 3)))


def whole():
    return nn.MLGCN(Flat(), nn.LinearHead(C, D), num_features=D)


def data():
    from mlgcn_pyg.datasets import LabeledImages

    return LabeledImages([], torch.zeros(0, C), ["0", "1", "2"])


def fitted(head=None, train=None, **arguments):
    head = nn.LinearHead(C, D) if head is None else head
    return training.fit_head(head, train, **arguments)


# for each function: a call, and arguments that are right
CALLS = {
    "ReweightedConv": (nn.ReweightedConv, {"in_channels": 5, "out_channels": 2, "bias": False, "flow": "target_to_source"}),
    "ReweightedConv.forward": (
        lambda **values: nn.ReweightedConv(5, 2)(**values),
        {"x": torch.ones(C, 5), "edge_index": GRAPH.edge_index, "edge_weight": GRAPH.edge_weight,
         "self_weight": GRAPH.self_weight},
    ),
    "MLGCNHead": (
        nn.MLGCNHead,
        {"graph": GRAPH, "num_features": D, "hidden_channels": (2,), "negative_slope": 0.2, "learn_edges": False,
         "learn_p": False},
    ),
    "MLGCNHead.forward": (lambda **values: nn.MLGCNHead(GRAPH, D, (2,))(**values), {"features": torch.ones(2, D)}),
    "MLGCNHead.topk": (
        lambda **values: nn.MLGCNHead(GRAPH, D, (2,)).topk(**values), {"features": torch.ones(2, D), "k": 2, "label_chunk": 2}
    ),
    "MLGCNHead.with_graph": (lambda **values: nn.MLGCNHead(GRAPH, D, (2,)).with_graph(**values), {"graph": GRAPH}),
    "LinearHead": (nn.LinearHead, {"num_labels": C, "num_features": D, "label_names": ["a", "b", "c"], "bias": True}),
    "LinearHead.forward": (lambda **values: nn.LinearHead(C, D)(**values), {"features": torch.ones(2, D)}),
    "MLGCN": (nn.MLGCN, {"backbone": Flat(), "head": nn.LinearHead(C, D), "num_features": D}),
    "MLGCN.forward": (lambda **values: whole()(**values), {"images": torch.ones(2, 3, 8, 8)}),
    "MLGCN.param_groups": (lambda **values: whole().param_groups(**values), {"lr": 0.1, "backbone_lr_factor": 0.1}),
    "Backbone": (nn.Backbone, {"name": "squeezenet1_1", "weights": None, "pool": "max"}),
    "Backbone.forward": (lambda **values: BACKBONE(**values), {"images": torch.ones(1, 3, 64, 64)}),
    "multilabel_soft_margin": (nn.multilabel_soft_margin, {"logits": LOGITS, "targets": TARGETS, "check": True}),
    "asymmetric": (
        nn.asymmetric,
        {"logits": LOGITS, "targets": TARGETS, "gamma_neg": 4, "gamma_pos": 1, "margin": 0.05, "check": True},
    ),
    "make_loss": (
        nn.make_loss, {"name": "asymmetric", "check": True, "gamma_neg": 4, "gamma_pos": 1, "margin": 0.05}
    ),
    "Adjacency": (kernels.Adjacency, {"edge_index": GRAPH.edge_index, "num_nodes": C, "flow": "target_to_source"}),
    "Adjacency.from_csr": (
        kernels.Adjacency.from_csr,
        {"rowptr": torch.tensor([0, 1, 1]), "col": torch.tensor([1]), "flow": "target_to_source"},
    ),
    "propagate": (
        kernels.propagate,
        {"x": torch.ones(C, 2), "adjacency": ADJACENCY, "edge_weight": torch.ones(E), "self_weight": torch.ones(C),
         "kernel": "bag"},
    ),
    "choose_kernel": (
        kernels.choose_kernel,
        {"x": torch.ones(C, 2), "adjacency": ADJACENCY, "edge_weight": torch.ones(E), "self_weight": torch.ones(C)},
    ),
    "multilabel_metrics": (
        evaluation.multilabel_metrics,
        {"logits": LOGITS, "targets": TARGETS, "top_k": 2, "thresholds": torch.zeros(C), "convention": "paper"},
    ),
    "table1_row": (
        evaluation.table1_row,
        {"logits": LOGITS, "targets": TARGETS, "label_names": ["a", "b", "c"], "thresholds": torch.zeros(C)},
    ),
    "mean_and_std": (evaluation.mean_and_std, {"rows": [ROW, ROW]}),
    "fit_thresholds": (evaluation.fit_thresholds, {"logits": LOGITS, "targets": TARGETS, "min_positives": 1}),
    "cross_fitted_f1": (
        evaluation.cross_fitted_f1, {"logits": LOGITS, "targets": TARGETS, "min_positives": 1, "folds": 2}
    ),
    "f1_per_label": (evaluation.f1_per_label, {"logits": LOGITS, "targets": TARGETS, "thresholds": torch.zeros(C)}),
    "fit_head": (
        fitted,
        {"head": nn.LinearHead(C, D), "train": (torch.ones(2, D), TARGETS), "val": (torch.ones(2, D), TARGETS),
         "config": FAST, "device": "cpu", "progress": None, "stream": None, "folder": None, "save_seconds": 30.0},
    ),
    "fit_heads": (
        training.fit_heads,
        {"heads": [nn.LinearHead(C, D)], "train": (torch.ones(2, D), TARGETS), "config": FAST, "names": ["a"]},
    ),
    "score": (
        training.score,
        {"head": nn.LinearHead(C, D), "data": (torch.ones(2, D), TARGETS), "device": "cpu", "views": "first",
         "stream": None},
    ),
    "History": (lambda **values: training.History(**values).best, {"epochs": [{"epoch": 1, "mAP": 0.5}]}),
    "Predictor": (prediction.Predictor, {"checkpoint": None, "device": "cpu"}),
    "find_images": (prediction.find_images, {"images": []}),
}  # fmt: skip
BACKBONE = nn.Backbone("squeezenet1_1")


@pytest.mark.parametrize("name, argument", [(name, argument) for name, (_, right) in CALLS.items() for argument in right])
def test_an_argument_of_a_wrong_type_works_or_is_named(name, argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a folder may be any text
    call, right = CALLS[name]
    problems = []
    for kind, value in WRONG.items():
        try:
            call(**(right | {argument: value}))
        except InputError as error:
            if not str(error).isprintable():
                problems.append(f"{kind}: not one line: {error!r}")
        except Exception as error:
            problems.append(f"{kind}: {type(error).__name__}: {str(error)[:150]}")
    assert not problems, f"{name}({argument}=…)\n" + "\n".join(problems)
