"""Content without its tensors: what JSON holds, and that both together are the content again."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.tensor_tree import TensorTree

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)


def again(content: object) -> object:
    """Returns the content after its JSON was written and read."""
    tree = TensorTree.split(content)
    return TensorTree(json.loads(json.dumps(tree.json, allow_nan=False)), tree.tensors).join()


@settings(max_examples=200, deadline=None)
@given(TREES)
def test_content_is_the_same_after_it_was_json(content):
    assert again(content) == content


def test_tensors_keep_type_shape_values_and_order():
    content = {
        "b": torch.randn(3, 2, dtype=torch.float64),
        "a": {"x.y": torch.tensor(True), "x": {"y": torch.zeros(0, 4, dtype=torch.bfloat16)}},
        "list": [1, torch.arange(3), math.inf, -math.inf],
        "tuple": (448, 448),
    }
    found = again(content)
    assert list(found) == list(content) and found["tuple"] == [448, 448] and found["list"][2:] == [math.inf, -math.inf]
    for one, other in [
        (found["b"], content["b"]),
        (found["a"]["x.y"], content["a"]["x.y"]),
        (found["a"]["x"]["y"], content["a"]["x"]["y"]),
        (found["list"][1], content["list"][1]),
    ]:
        assert one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    assert math.isnan(again(math.nan))


def test_tensors_that_share_memory_are_stored_apart():
    weights = torch.randn(4, 3)
    tree = TensorTree.split({"all": weights, "same": weights, "row": weights[1], "turned": weights.T})
    assert len({one.untyped_storage().data_ptr() for one in tree.tensors.values()}) == 4
    assert all(one.is_contiguous() and one.untyped_storage().nbytes() == one.nbytes for one in tree.tensors.values())
    assert torch.equal(tree.join()["turned"], weights.T) and torch.equal(tree.join()["row"], weights[1])


def test_other_types_are_refused():
    with pytest.raises(TypeError, match=r"config\.when is a bytes"):
        TensorTree.split({"config": {"when": b"x"}})
    with pytest.raises(TypeError, match="a key is a tuple"):
        TensorTree.split({(1, 2): 3})
    with pytest.raises(InputError, match="sparse"):
        TensorTree.split({"a": torch.eye(2).to_sparse()})
    with pytest.raises(InputError, match="meta"):
        TensorTree.split({"a": torch.zeros(2, device="meta")})


@pytest.mark.parametrize(
    "json_value", [{"$tensor": "b"}, {"$else": 1}, {"$float": "x"}, {"$dict": [1]}, {"$dict": [[[], 1]]}]
)
def test_unknown_objects_are_refused(json_value):
    with pytest.raises((KeyError, ValueError, TypeError)):
        TensorTree([json_value], {"a": torch.zeros(1)}).join()
