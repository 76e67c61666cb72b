"""Fields of label graphs with wrong types, weights that were changed, and graphs without edges."""

import numpy as np
import pytest
import torch
from torch_geometric.transforms import ToSparseTensor

from mlgcn_pyg import LabelGraph, MLGCNHead, ReweightedConv
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.training import HeadConfig, fit_head


def graph(**options):
    return LabelGraph.from_targets([[1, 1, 0], [1, 0, 1]], label_names=["a", "b", "c"], tau=0.1, **options)


NUMBERS = ("edge_prob", "edge_weight", "self_weight")
CONVERSIONS = {
    "half": lambda t: t.half(),
    "bfloat16": lambda t: t.bfloat16(),
    "bool": lambda t: t.bool(),
    "int": lambda t: t.long(),
    "complex": lambda t: t.to(torch.complex64),
    "quantised": lambda t: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8),
    "sparse": lambda t: t.to_sparse(),
    "list": lambda t: t.tolist(),
    "none": lambda t: None,
    "negative": lambda t: -t,
    "nan": lambda t: t * torch.nan,
    "float8": lambda t: t.to(torch.float8_e4m3fn),
}
OF_INTEGERS = {
    "float": lambda t: t.double(),
    "int32": lambda t: t.int(),
    "bool": lambda t: t.bool(),
    "negative": lambda t: -t - 1,
    "quantised": lambda t: torch.quantize_per_tensor(t.float(), 1.0, 0, torch.qint32),
    "sparse": lambda t: t.to_sparse(),
    "list": lambda t: t.tolist(),
}
WRONG = [(name, kind, CONVERSIONS[kind]) for name in NUMBERS for kind in CONVERSIONS]
WRONG += [
    ("x", kind, CONVERSIONS[kind]) for kind in ("bool", "int", "complex", "quantised", "sparse", "list", "float8")
]
WRONG += [(name, kind, OF_INTEGERS[kind]) for name in ("edge_index", "label_counts") for kind in OF_INTEGERS]


@pytest.mark.parametrize("name, kind, convert", WRONG, ids=[f"{name}-{kind}" for name, kind, _ in WRONG])
def test_tensors_of_wrong_types_are_refused(name, kind, convert):
    state = graph(x=torch.randn(3, 2)).state()
    changed = LabelGraph.from_state(state)
    with pytest.raises(InputError, match=f"state: expected .* as {name}"):
        LabelGraph.from_state(state | {name: convert(state[name])})
    changed[name] = convert(state[name])
    with pytest.raises(InputError, match=f"^{name}: "):
        changed.validate()


@pytest.mark.parametrize("value", [3.0, "3", True, None, [3], 0, -1])
@pytest.mark.parametrize("name", ["num_labels", "p", "tau"])
def test_settings_of_wrong_types_are_refused(name, value):
    if name in ("p", "tau") and value == 0 and value is not False:
        return
    with pytest.raises(InputError, match="^state: expected "):
        LabelGraph.from_state(graph().state() | {name: value})


def test_files_of_half_precision_embeddings_are_read():
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        state = graph().state() | {"x": torch.ones(3, 2, dtype=dtype)}
        assert MLGCNHead(LabelGraph.from_state(state), 4, (2,))(torch.ones(1, 4)).shape == (1, 3)


def test_weights_of_two_types_are_refused():
    state = graph().state()
    with pytest.raises(InputError, match="dtype of self_weight as edge_weight"):
        LabelGraph.from_state(state | {"edge_weight": state["edge_weight"].double()})


def test_a_graph_whose_edges_a_transform_replaced_is_refused_by_every_method():
    sparse = ToSparseTensor()(graph())
    calls = [
        sparse.validate, sparse.to_dense, sparse.summary, sparse.digest, sparse.state, lambda: sparse.reweighted(p=0.1),
        lambda: MLGCNHead(sparse, 4),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(
            InputError, match="edge_index: expected a dense tensor of int64, found none; .*ToSparseTensor"
        ):
            call()


@pytest.mark.parametrize("weighting", ["paper", "released", "binary"])
def test_changed_weights_are_not_discarded(weighting):
    changed = graph(weighting=weighting)
    changed.edge_weight = changed.edge_weight * 1.01
    for options in ({"p": 0.3}, {"tau": 0.9}, {"weighting": "none"}, {}):
        with pytest.raises(InputError, match="edge_weight: expected the weights that p = 0.2 .* would be lost"):
            changed.reweighted(**options)
    changed = graph(weighting=weighting)
    changed.self_weight[0] += 0.1
    with pytest.raises(InputError, match="edge_weight"):
        changed.reweighted(p=0.3)
    assert graph(weighting=weighting).reweighted(p=0.3).p == 0.3


def test_learned_weights_are_not_discarded():
    head = MLGCNHead(graph(), 4, (2,), learn_edges=True)
    assert head.label_graph().reweighted(p=0.3).p == 0.3  # those of Eq. 8 at the start
    with torch.no_grad():
        head.learned.edge_logits[0] = 1
    with pytest.raises(InputError, match="learned, read or changed by hand"):
        head.label_graph().reweighted(p=0.3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_graph_of_a_head_in_any_precision_can_be_saved(tmp_path, dtype):
    MLGCNHead(graph(), 4, (2,), learn_p=True).to(dtype).label_graph().save(tmp_path / "g.pt")
    assert LabelGraph.load(tmp_path / "g.pt").edge_weight.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_of_any_precision_are_recognised(dtype):
    torch.set_default_dtype(dtype)
    try:
        built = graph(weighting="released")
    finally:
        torch.set_default_dtype(torch.float32)
    assert built.reweighted(weighting="paper").weighting == "paper"


@pytest.mark.parametrize("weighting", ["paper", "released", "binary", "none"])
def test_a_graph_without_edges_does_all_that_others_do(tmp_path, weighting):
    built = LabelGraph.from_targets([[1, 0], [0, 1]], label_names=["sea", "cat"], weighting=weighting)
    assert built.edge_index.shape == (2, 0)
    built.save(tmp_path / "g.pt")
    loaded = LabelGraph.load(tmp_path / "g.pt")
    loaded.edge_index = torch.empty_strided((2, 0), (0, 0), dtype=torch.int64)  # as some files have it
    assert loaded.digest() == built.digest() == built.reweighted().digest()
    assert "0 directed edges" in str(built.summary()) and torch.equal(built.to_dense(), loaded.to_dense())
    head = MLGCNHead(built, 4, (2,))
    history = fit_head(
        head, (torch.randn(6, 4), torch.eye(2).repeat(3, 1)), config=HeadConfig(recipe="paper", epochs=2)
    )
    assert np.isfinite(history.last["loss"]) and head.to_linear().weight.shape == (2, 4)


def test_a_convolution_of_other_objects_is_refused():
    conv, x, built = ReweightedConv(3, 2), torch.eye(3), graph()
    weights = built.edge_weight, built.self_weight
    with pytest.raises(InputError, match="x: expected one tensor"):
        conv((x, x), built.edge_index, *weights)
    with pytest.raises(InputError, match="edge_index: expected a tensor"):
        conv(x, torch.eye(3).to_sparse(), *weights)
    with pytest.raises(InputError, match="edge_index: expected a tensor"):
        conv(x, built.edge_index.tolist(), *weights)
    with pytest.raises(InputError, match="self_weight: expected a tensor"):
        conv(x, built.edge_index, built.edge_weight, None)
