"""Arguments of wrong types: every public function of nn, evaluation, training and prediction accepts or refuses them.

A refusal is an :class:`InputError`. Any other exception comes from within and fails the test.
"""

import fractions

import numpy as np
import pytest
import torch
from PIL import Image

from mlgcn_pyg import evaluation, nn, prediction, training
from mlgcn_pyg.checkpoints import Checkpoint
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.graph.kernel import kernel_operator, label_kernel
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
FAST = HeadConfig(recipe="paper", epochs=1)
ONE_EPOCH = ModelConfig(epochs=1, cpu=True)
BACKBONE = nn.Backbone("squeezenet1_1")
WHOLE = Checkpoint(nn.LinearHead(C, 512), BACKBONE, image_size=64)
PHOTO = Image.new("RGB", (40, 40))


class Flat(torch.nn.Module):
    """A backbone that does not tell its width."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, D)

    def forward(self, images):
        return self.layer(images.mean(dim=(2, 3)))


def whole():
    return nn.MLGCN(Flat(), nn.LinearHead(C, D), num_features=D)


class Images:
    """A data set of two blank images."""

    targets, label_names, ids, transform = TARGETS, ("0", "1", "2"), ("a", "b"), None
    seed, epoch = None, 0

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return torch.zeros(3, 8, 8), self.targets[index], index


def fitted(head=None, train=None, **arguments):
    head = nn.LinearHead(C, D) if head is None else head
    return training.fit_head(head, train, **arguments)


# for each function: a call, and arguments that are right
CALLS = {
    "ReweightedConv": (
        nn.ReweightedConv, {"in_channels": 5, "out_channels": 2, "bias": False, "flow": "target_to_source"}
    ),
    "ReweightedConv.forward": (
        lambda **values: nn.ReweightedConv(5, 2)(**values),
        {"x": torch.ones(C, 5), "edge_index": GRAPH.edge_index, "edge_weight": GRAPH.edge_weight,
         "self_weight": GRAPH.self_weight},
    ),
    "MLGCNHead": (
        nn.MLGCNHead,
        {"graph": GRAPH, "num_features": D, "hidden_channels": (2,), "negative_slope": 0.2, "learn_edges": False,
         "learn_p": False, "bias": False},
    ),
    "MLGCNHead.set_statistics": (
        lambda **values: nn.MLGCNHead(GRAPH, D, (2,)).set_statistics(**values),
        {"mean": torch.zeros(D), "std": torch.ones(D)},
    ),
    "LinearHead.set_bias": (lambda **values: nn.LinearHead(C, D).set_bias(**values), {"bias": torch.zeros(C)}),
    "MLGCNHead.forward": (lambda **values: nn.MLGCNHead(GRAPH, D, (2,))(**values), {"features": torch.ones(2, D)}),
    "MLGCNHead.topk": (
        lambda **values: nn.MLGCNHead(GRAPH, D, (2,)).topk(**values),
        {"features": torch.ones(2, D), "k": 2, "label_chunk": 2},
    ),
    "MLGCNHead.with_graph": (lambda **values: nn.MLGCNHead(GRAPH, D, (2,)).with_graph(**values), {"graph": GRAPH}),
    "LabelGraph.with_labels": (GRAPH.with_labels, {"label_names": ["d"], "x": torch.ones(1, 5)}),
    "LabelGNNHead": (
        nn.LabelGNNHead,
        {"graph": GRAPH, "num_features": D, "gnn": "gcn", "hidden_channels": 4, "num_layers": 2, "weighted": False}
        | {"bias": False},
    ),
    "LabelGNNHead.forward": (lambda **values: nn.LabelGNNHead(GRAPH, D)(**values), {"features": torch.ones(2, D)}),
    "LabelGNNHead.contributions": (
        lambda **values: nn.LabelGNNHead(GRAPH, D, "gat", 4).contributions(**values),
        {"features": torch.ones(2, D)},
    ),
    "LabelGNNHead.with_graph": (lambda **values: nn.LabelGNNHead(GRAPH, D).with_graph(**values), {"graph": GRAPH}),
    "SharingHead": (nn.SharingHead, {"graph": GRAPH, "num_features": D, "learn_edges": False, "learn_p": False}),
    "SharingHead.forward": (lambda **values: nn.SharingHead(GRAPH, D)(**values), {"features": torch.ones(2, D)}),
    "SharingHead.topk": (
        lambda **values: nn.SharingHead(GRAPH, D).topk(**values),
        {"features": torch.ones(2, D), "k": 2, "label_chunk": 2},
    ),
    "SharingHead.with_graph": (lambda **values: nn.SharingHead(GRAPH, D).with_graph(**values), {"graph": GRAPH}),
    "label_kernel": (label_kernel, {"pair_counts": torch.ones(C, C), "x": torch.ones(C, 2)}),
    "kernel_operator": (kernel_operator, {"pair_counts": torch.ones(C, C), "x": torch.ones(C, 2), "alpha": 0.5}),
    "LinearHead": (nn.LinearHead, {"num_labels": C, "num_features": D, "label_names": ["a", "b", "c"], "bias": True}),
    "LinearHead.forward": (lambda **values: nn.LinearHead(C, D)(**values), {"features": torch.ones(2, D)}),
    "MLGCN": (nn.MLGCN, {"backbone": Flat(), "head": nn.LinearHead(C, D), "num_features": D}),
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
    "mean_average_precision": (evaluation.mean_average_precision, {"logits": LOGITS, "targets": TARGETS}),
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
    "fit_precision_thresholds": (
        evaluation.fit_precision_thresholds,
        {"logits": LOGITS, "targets": TARGETS, "precision": 0.9, "min_positives": 1},
    ),
    "cross_fitted_precision": (
        evaluation.cross_fitted_precision,
        {"logits": LOGITS, "targets": TARGETS, "precision": 0.9, "min_positives": 1, "folds": 2},
    ),
    "precision_recall": (
        evaluation.precision_recall, {"logits": LOGITS, "targets": TARGETS, "thresholds": torch.zeros(C)}
    ),
    "fit_temperature": (evaluation.fit_temperature, {"logits": LOGITS, "targets": TARGETS}),
    "fit_calibration": (evaluation.fit_calibration, {"logits": LOGITS, "targets": TARGETS, "method": "platt"}),
    "cross_fitted_calibration": (
        evaluation.cross_fitted_calibration,
        {"logits": LOGITS, "targets": TARGETS, "method": "platt", "folds": 2, "seed": 0},
    ),
    "reliability": (evaluation.reliability, {"logits": LOGITS, "targets": TARGETS, "bins": 3, "per_label": True}),
    "suspicion": (
        evaluation.suspicion, {"logits": LOGITS, "targets": TARGETS, "graph": GRAPH, "folds": 2, "seed": 0}
    ),
    "expected_labels": (evaluation.expected_labels, {"targets": TARGETS, "graph": GRAPH, "folds": 2, "seed": 0}),
    "fit_head": (
        fitted,
        {"head": nn.LinearHead(C, D), "train": (torch.ones(2, D), TARGETS), "val": (torch.ones(2, D), TARGETS),
         "config": FAST, "device": "cpu", "progress": None, "callback": None, "log_with": None, "stream": None,
         "folder": None, "save_seconds": 30.0},
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
    "fit_model": (
        training.fit_model,
        {"model": whole(), "train_set": Images(), "val_set": Images(), "config": ONE_EPOCH, "folder": None,
         "save_seconds": 600.0, "tensorboard": False, "log_with": None, "progress": None, "callback": None,
         "on_error": "stop", "checking": None},
    ),
    "Predictor": (prediction.Predictor, {"checkpoint": WHOLE, "device": "cpu"}),
    "Predictor.predict": (
        lambda **values: list(prediction.Predictor(WHOLE).predict(**values)),
        {"images": PHOTO, "top_k": 1, "threshold": 0.5, "batch_size": 1, "num_workers": 0},
    ),
    "Predictor.predict with thresholds": (
        lambda **values: prediction.Predictor(WHOLE).predict(PHOTO, **values), {"thresholds": torch.zeros(C)}
    ),
    "Predictor.logits": (
        lambda **values: prediction.Predictor(WHOLE).logits(**values),
        {"images": PHOTO, "batch_size": 1, "num_workers": 0},
    ),
    "load": (
        prediction.load, dict.fromkeys(("path", "backbone", "weights", "pool", "image_size")) | {"device": "cpu"}
    ),
    "open_model": (prediction.open_model, dict.fromkeys(("path", "backbone", "weights", "pool", "image_size"))),
    "find_images": (prediction.find_images, {"images": []}),
}  # fmt: skip
CALLED = {"progress", "callback", "checking"}  # functions of the caller, whose errors are the caller's


ARGUMENTS = [(name, argument) for name, (_, right) in CALLS.items() for argument in right]


@pytest.mark.parametrize("name, argument", ARGUMENTS)
def test_an_argument_of_a_wrong_type_works_or_is_named(name, argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a folder may be any text
    call, right = CALLS[name]
    problems = []
    for kind, value in WRONG.items():
        if argument in CALLED and callable(value):
            continue
        try:
            call(**(right | {argument: value}))
        except InputError as error:
            if not str(error).isprintable():
                problems.append(f"{kind}: not one line: {error!r}")
        except Exception as error:
            problems.append(f"{kind}: {type(error).__name__}: {str(error)[:150]}")
    assert not problems, f"{name}({argument}=…), {len(problems)} kinds: " + " | ".join(problems)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("open_model", "load")])
def test_the_right_arguments_work(name):
    call, right = CALLS[name]
    call(**right)


def test_a_backbone_that_does_not_state_its_width_is_told_it():
    head, images = nn.LinearHead(C, D), torch.rand(2, 3, 8, 8)
    model = nn.MLGCN(Flat(), head, num_features=D)
    assert model.num_features == D and torch.equal(model(images), head(model.backbone(images)))
    found = "found a Flat without num_features; pass num_features"
    with pytest.raises(InputError, match=f"num_features: expected the width of the backbone's features, {found}"):
        nn.MLGCN(Flat(), head)
    with pytest.raises(InputError, match="head: expected num_features = 7, as in the backbone, found 4"):
        nn.MLGCN(Flat(), head, num_features=7)
    with pytest.raises(InputError, match="num_features: expected 512, the width of the backbone's features, found 4"):
        nn.MLGCN(BACKBONE, head, num_features=4)
    history = training.fit_model(model, Images(), config=ONE_EPOCH)
    assert len(history.epochs) == 1


def test_arrays_and_lists_train_a_head_as_tensors_do():
    x, y = torch.randn(6, D), torch.randint(-1, 2, (6, C))
    results = []
    for features, targets in ((x, y), (x.numpy(), y.numpy()), (x.tolist(), y.tolist()), (x.numpy(), y)):
        torch.manual_seed(0)
        head = nn.LinearHead(C, D)
        history = training.fit_head(
            head, (features, targets), (features, targets), HeadConfig(recipe="paper", epochs=2, batch_size=2)
        )
        results.append((head.linear.weight, history, training.score(head, (features, targets))[0]))
    for weight, history, logits in results[1:]:
        assert torch.equal(weight, results[0][0]) and history == results[0][1] and torch.equal(logits, results[0][2])


def test_an_empty_history_has_no_last_epoch():
    with pytest.raises(InputError, match="epochs: expected at least one epoch, found an empty history"):
        training.History().last  # noqa: B018
    assert training.History().best is None


def test_a_feature_file_is_no_tensor_of_features(tmp_path):
    cache = FeatureCache.from_arrays(tmp_path / "a.h5", np.ones((2, D), np.float32), TARGETS, ["0", "1", "2"])
    with pytest.raises(InputError, match=r"features: expected a tensor of shape \(batch, 4\), found FeatureCache"):
        nn.LinearHead(C, D)(cache)
    with pytest.raises(InputError, match=r"x: expected one tensor \(num_labels, 5\), found tuple"):
        x = torch.ones(C, 5)
        nn.ReweightedConv(5, 2)((x, x), GRAPH.edge_index, GRAPH.edge_weight, GRAPH.self_weight)


def test_features_of_another_type_than_the_weights_are_named():
    for head in (nn.LinearHead(C, D), nn.MLGCNHead(GRAPH, D, (2,))):
        with pytest.raises(
            InputError, match="features: expected torch.float32, the type of the weights, found torch.float64"
        ):
            head(torch.ones(2, D).double())
        with torch.autocast("cpu", torch.bfloat16):
            assert head(torch.ones(2, D).bfloat16()).dtype == torch.bfloat16
        with pytest.raises(InputError, match="features: expected a tensor on cpu, found a tensor on meta"):
            head(torch.ones(2, D, device="meta"))
