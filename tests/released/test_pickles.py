"""The authors' published files, and hostile pickles."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import LabelGraph, label_embeddings
from mlgcn_pyg.released import read_array_pickle
from tests.graph.oracle import adjacency, dense_released


def test_released_embeddings_are_arrays(shared):
    assert read_array_pickle(shared / "reference" / "coco_glove_word2vec.pkl").shape == (80, 300)
    assert read_array_pickle(shared / "reference" / "voc_glove_word2vec.pkl").shape == (20, 300)


class Hostile:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_is_refused_and_runs_no_code(tmp_path, protocol):
    (tmp_path / "h.pkl").write_bytes(pickle.dumps({"adj": Hostile(tmp_path / "ran")}, protocol=protocol))
    with pytest.raises(InputError, match="a pickle of NumPy arrays and nothing else"):
        read_array_pickle(tmp_path / "h.pkl")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_protocol_are_read(tmp_path, protocol):
    content = {"adj": np.arange(6).reshape(2, 3), "n": np.float64(2.5), "name": "ü"}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    read = read_array_pickle(tmp_path / "a.pkl")
    assert (read["adj"] == content["adj"]).all() and read["n"] == 2.5 and read["name"] == "ü"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_from_pickles_can_be_pickled(tmp_path, protocol):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(np.arange(6).reshape(2, 3)))
    array = read_array_pickle(tmp_path / "a.pkl")
    for again in (pickle.loads(pickle.dumps(array, protocol)), copy.deepcopy(array)):
        assert again.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_truncated_pickle(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(np.arange(100))[:-50])
    with pytest.raises(InputError, match="a.pkl"):
        read_array_pickle(tmp_path / "a.pkl")


def test_a_released_graph_has_the_released_propagation(shared):
    path = shared / "reference" / "voc_adj.pkl"
    graph = LabelGraph.from_released(path, tau=0.4, p=0.2)
    counts = read_array_pickle(path)
    expected = dense_released(adjacency(counts["nums"], counts["adj"], 0.4), 0.2)
    assert graph.weighting == "released" and graph.edge_index.size(1) == 6
    assert graph.to_dense().numpy() == pytest.approx(expected, abs=1e-6)
    assert (graph.label_counts.numpy() == counts["nums"]).all()
    assert LabelGraph.from_released(path, weighting="paper").to_dense().diagonal().tolist() == pytest.approx([0.8] * 20)


def test_released_embeddings_enter_the_graph_with_their_record(shared):
    reference = shared / "reference"
    names = [f"label {k}" for k in range(80)]
    x = label_embeddings(names, reference / "coco_glove_word2vec.pkl")
    graph = LabelGraph.from_released(reference / "coco_adj.pkl", label_names=names, x=x)
    assert (graph.x.numpy() == read_array_pickle(reference / "coco_glove_word2vec.pkl").astype(np.float32)).all()
    assert graph.x_source["file"] == "coco_glove_word2vec.pkl" and graph.x_source["format"] == "pickle"
    with pytest.raises(InputError, match="79 rows, one per label, found 80"):
        label_embeddings(names[1:], reference / "coco_glove_word2vec.pkl")


@pytest.mark.parametrize(
    "content, message",
    [
        ({"nums": np.array([10, 4]), "adj": np.array([[0, 8], [8, 0]])}, "P ≤ 1"),  # a published file has P = 1.95
        ({"nums": np.array([10, 4]), "adj": np.array([[0, 2], [1, 0]])}, "symmetric"),
        ({"nums": np.array([10, 4]), "adj": np.zeros((3, 3))}, r"shape \(2, 2\)"),
        ({"nums": np.array([10.5, 4]), "adj": np.zeros((2, 2))}, "whole numbers"),
        ({"nums": np.array([10, 4]), "adj": np.array([[0, np.nan], [np.nan, 0]])}, "non-finite"),
        ({"nums": np.array(["a", "b"]), "adj": np.zeros((2, 2))}, "an array of numbers as .nums."),
        ({"nums": np.array([10, 4])}, "'nums' and 'adj'"),
        ({"nums": [[1], [1, 2]], "adj": np.zeros((2, 2))}, "an array of numbers as 'nums'"),
        ([1, 2], "'nums' and 'adj', found list"),
        (np.eye(2), "'nums' and 'adj', found an array"),
    ],
)
def test_counts_that_no_images_can_have_are_refused(tmp_path, content, message):
    (tmp_path / "adj.pkl").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError, match=message):
        LabelGraph.from_released(tmp_path / "adj.pkl")


def test_nested_lists_do_not_fill_the_memory(tmp_path):
    """Files of a few kB: lists nested five deep with a hundred entries each, and a list that contains itself."""
    nested, cycle = [1.5] * 100, []
    for _ in range(5):
        nested = [nested] * 100
    cycle.append(cycle)
    for values in (nested, [np.ones(1000)] * 1000, cycle):
        (tmp_path / "h.pkl").write_bytes(pickle.dumps(values))
        with pytest.raises(InputError, match=r"path: expected .*, found .*h.pkl \(.*lists that contain each other"):
            label_embeddings(["a"], tmp_path / "h.pkl")
        (tmp_path / "h.pkl").write_bytes(pickle.dumps({"nums": values, "adj": values}))
        with pytest.raises(InputError, match=r"adj: expected .*, found .*h.pkl \(.*lists that contain each other"):
            LabelGraph.from_released(tmp_path / "h.pkl")


def test_lists_of_numbers_or_arrays_equal_an_array(tmp_path):
    for rows in ([[1, 2.5], [0, 1]], [np.array([1, 2.5]), np.array([0, 1])], ((1, 2.5), (0, 1))):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(rows))
        assert label_embeddings("ab", tmp_path / "x.pkl").x.tolist() == [[1, 2.5], [0, 1]]


def _says(module: str, name: str) -> bytes:
    return b"".join(b"\x8c" + bytes([len(word)]) + word.encode() for word in (module, name)) + b"\x93"


OBJECTS = b"\x8c\x01O"
STATE = b"(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"  # of a dtype; flags 0: "no objects in it"
ADDRESS = b"C\x08AAAAAAAA"


@pytest.mark.parametrize(
    "content",
    [
        # a scalar and an array of objects, whose bytes would be followed as addresses
        _says("numpy._core.multiarray", "scalar") + _says("numpy", "dtype") + OBJECTS + b"\x89\x88\x87R" + STATE + b"b"
        + ADDRESS + b"\x86R",
        _says("numpy", "ndarray") + b"K\x01\x85" + OBJECTS + ADDRESS + b"\x87R",
        _says("numpy", "dtype") + b"\x8c\x05O,f8," + b"\x85R",
    ],
    ids=["scalar", "array", "record"],
)  # fmt: skip
def test_bytes_that_pretend_to_be_objects_are_refused(tmp_path, content):
    (tmp_path / "h.pkl").write_bytes(b"\x80\x04" + content + b".")
    read = "import sys; from mlgcn_pyg.released import read_array_pickle; read_array_pickle(sys.argv[1])"
    ended = subprocess.run([sys.executable, "-c", read, tmp_path / "h.pkl"], capture_output=True, text=True)
    assert ended.returncode == 1 and "InputError: path: expected a pickle of NumPy arrays" in ended.stderr


def test_a_pickle_cannot_reach_the_types_of_this_process(tmp_path):
    """The opcode BUILD on a real dtype would change it for the whole process."""
    swapped = STATE.replace(b"\x01|", b"\x01>")
    pickled = b"\x80\x04" + _says("numpy", "dtype") + b"\x8c\x02f8\x85R" + swapped + b"b."
    (tmp_path / "d.pkl").write_bytes(pickled)
    assert read_array_pickle(tmp_path / "d.pkl") is not np.dtype("f8")
    again = pickle.dumps(np.ones(3), protocol=4)[:-1] + b"(K\x01K\x03\x85NNNtb."  # a second content for the array
    (tmp_path / "a.pkl").write_bytes(again)
    with pytest.raises(InputError, match="two contents"):
        read_array_pickle(tmp_path / "a.pkl")
