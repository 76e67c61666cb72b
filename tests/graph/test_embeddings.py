import pickle

import numpy as np
import pytest
import torch

from mlgcn_pyg.checks import InputError
from mlgcn_pyg.datasets.voc import VOC_LABELS
from mlgcn_pyg.graph import glove_embeddings, read_array_pickle


def test_voc_labels_have_glove_vectors_through_the_alias_table(shared):
    path = shared / "glove" / "glove.6B.50d.12k.txt"
    x = glove_embeddings(VOC_LABELS, path)
    assert x.shape == (20, 50) and x.dtype == torch.float32
    table = {line.split(" ")[0]: np.array(line.split(" ")[1:], dtype=float) for line in path.open(encoding="utf-8")}
    assert x[VOC_LABELS.index("dog")].numpy() == pytest.approx(table["dog"], abs=1e-6)
    both = (table["dining"] + table["table"]) / 2
    assert x[VOC_LABELS.index("diningtable")].numpy() == pytest.approx(both, abs=1e-6)


def test_coco_labels_average_their_words(shared, coco_targets):
    path = shared / "glove" / "glove.6B.50d.12k.txt"
    names = ["traffic light", "baseball bat", "person"]
    assert glove_embeddings(names, path).shape == (3, 50)


def test_unknown_words_are_listed_with_near_spellings(tmp_path):
    (tmp_path / "v.txt").write_text("bicycle 1 0\nperson 0 1\n")
    with pytest.raises(InputError, match=r"'bycicle' \(near: bicycle\), 'zzz'"):
        glove_embeddings(["bycicle", "zzz", "person"], tmp_path / "v.txt")


def test_awkward_lines(tmp_path):
    (tmp_path / "v.txt").write_text("3 2\nat name 9 9 9\nat 1 2\nat 5 5\nbad x y\n")
    assert glove_embeddings(["at"], tmp_path / "v.txt").tolist() == [[1, 2]]  # header, spaces in a token, first wins
    with pytest.raises(InputError, match="line 5"):
        glove_embeddings(["bad"], tmp_path / "v.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00dog 1 2\n")
    with pytest.raises(InputError, match="UTF-8"):
        glove_embeddings(["dog"], tmp_path / "binary")
    with pytest.raises(InputError, match="no file"):
        glove_embeddings(["dog"], tmp_path / "absent")
    with pytest.raises(InputError, match="at least one word"):
        glove_embeddings(["_"], tmp_path / "v.txt")


def test_released_embeddings_are_arrays(shared):
    assert read_array_pickle(shared / "reference" / "coco_glove_word2vec.pkl").shape == (80, 300)
    assert read_array_pickle(shared / "reference" / "voc_glove_word2vec.pkl").shape == (20, 300)


class Hostile:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_is_refused_and_nothing_runs(tmp_path, protocol):
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


def test_half_a_pickle(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(np.arange(100))[:-50])
    with pytest.raises(InputError, match="a.pkl"):
        read_array_pickle(tmp_path / "a.pkl")
