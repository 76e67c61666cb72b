"""Released checkpoints: files of their form are written here, and the authors' forward pass is computed densely."""

import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.models import get_model

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.checkpoints import load_head, save_head
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.pickle_machine import latin1
from mlgcn_pyg.files.unpickling import PlainUnpickler
from mlgcn_pyg.graph import LabelEmbeddings
from mlgcn_pyg.nn import Backbone
from mlgcn_pyg.released import load_released
from mlgcn_pyg.released.checkpoint import NUMBERS, read_released_state
from mlgcn_pyg.released.matrix import graph_of_matrix
from mlgcn_pyg.released.network import torchvision_state
from tests.graph.oracle import adjacency

CHILDREN = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
NUMS = np.array([40, 10, 6, 9, 3])
PAIRS = np.array([[0, 9, 5, 1, 2], [9, 0, 0, 4, 0], [5, 0, 0, 0, 0], [1, 4, 0, 0, 0], [2, 0, 0, 0, 0]])


def released_matrix(nums=NUMS, pairs=PAIRS, tau=0.4):
    """The matrix that the released code stores, with its constants."""
    edges = (pairs / nums[:, None] >= tau).astype(np.float64)
    return torch.from_numpy(edges * 0.25 / (edges.sum(0, keepdims=True) + 1e-6) + np.identity(len(nums))).float()


def released_logits(resnet, a, first, second, x, images):
    """The authors' forward pass: features, 14 × 14 max pooling, D Aᵀ D, two layers, dot products."""
    maps = images
    for name in CHILDREN:
        maps = getattr(resnet, name)(maps)
    pooled = F.max_pool2d(maps, 14 if maps.size(2) == 14 else maps.shape[-2:]).flatten(1)
    d = torch.diag(a.sum(1).pow(-0.5))
    adj = torch.matmul(torch.matmul(a, d).t(), d)
    h = F.leaky_relu(adj @ (x @ first), 0.2)
    return pooled @ (adj @ (h @ second)).t()


def released(name="resnet18", width=512, hidden=8, num_embedding=6, nums=NUMS, pairs=PAIRS):
    """(checkpoint content, embeddings, logits of images) of a network with the released parts."""
    torch.manual_seed(0)
    resnet = get_model(name, weights=None).eval()
    a, x = released_matrix(nums, pairs), torch.randn(len(nums), num_embedding)
    first, second = torch.randn(num_embedding, hidden), torch.randn(hidden, width)
    state = {"A": a, "gc1.weight": first, "gc2.weight": second}
    for k, child in enumerate(CHILDREN):
        state |= {f"features.{k}.{key}": v for key, v in getattr(resnet, child).state_dict().items()}
    content = {"epoch": 7, "arch": None, "state_dict": state, "best_score": 83.0}
    return content, x, lambda images: released_logits(resnet, a, first, second, x, images)


@pytest.fixture(scope="module")
def small():
    return released()


def same_logits(model, oracle, size=(96, 64), batch=2):
    images = torch.randn(batch, 3, *size)
    with torch.no_grad():
        found, expected = model(images), oracle(images)
    return torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    "zip_format, prefix, score",
    [
        (True, "", np.float64(83.1)),
        (False, "module.", np.float64(83.1)),
        (False, "", np.float32(83.1)),
        (True, "module.", torch.tensor(83.1)),
        (False, "", 83.1),
    ],
)
def test_checkpoints_give_the_released_logits(tmp_path, small, zip_format, prefix, score):
    content, x, oracle = small
    content = content | {"state_dict": {prefix + k: v for k, v in content["state_dict"].items()}, "best_score": score}
    torch.save(content, tmp_path / "c.pth.tar", _use_new_zipfile_serialization=zip_format)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(x.numpy(), protocol=2))
    admitted = set(torch.serialization.get_safe_globals())
    model = load_released(tmp_path / "c.pth.tar", tmp_path / "x.pkl", backbone="resnet18")
    assert same_logits(model, oracle) and not model.training
    assert set(torch.serialization.get_safe_globals()) == admitted  # NumPy's numbers, for this one file only


def test_resnet101_with_the_released_shapes(tmp_path, shared):
    """COCO: 80 labels, embeddings of width 300, hidden width 1024, 2048 features, 448 pixels."""
    with open(shared / "reference" / "coco_adj.pkl", "rb") as file:
        counts = pickle.load(file)  # a file of this folder, not of a stranger
    content, _, _ = released("resnet101", 2048, 1024, 300, counts["nums"], counts["adj"])
    for name in ("gc1.weight", "gc2.weight"):
        content["state_dict"][name] /= 30
    torch.save(content, tmp_path / "c.pth.tar", _use_new_zipfile_serialization=False)
    files = shared / "reference" / "coco_glove_word2vec.pkl", shared / "reference" / "coco_adj.pkl"
    model = load_released(tmp_path / "c.pth.tar", *files)
    graph = model.head.base_graph()
    assert graph.edge_index.size(1) == 111 and graph.p == pytest.approx(0.2, abs=1e-6)
    state, resnet = content["state_dict"], get_model("resnet101", weights=None).eval()
    resnet.load_state_dict(torchvision_state(model), strict=False)
    own = [state[name] for name in ("A", "gc1.weight", "gc2.weight")]
    with open(files[0], "rb") as file:
        x = torch.from_numpy(pickle.load(file)).float()
    assert same_logits(model, lambda images: released_logits(resnet, *own, x, images), (448, 448), batch=1)


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes as strings of Python 2."""

    def save_string(self, value):
        data = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        self.memoize(value)

    dispatch = pickle._Pickler.dispatch | {str: save_string, bytes: save_string}


class Python2Pickle:
    __name__ = "pickle"
    Pickler = Python2Pickler
    dump = staticmethod(lambda value, file, protocol: Python2Pickler(file, protocol).dump(value))


@pytest.mark.parametrize("score", [np.float64(83.1), np.float32(1e-30), np.int64(-200)])
def test_files_of_python_2(tmp_path, small, score):
    content, x, oracle = small
    whole = content | {"best_score": score}
    torch.save(
        whole, tmp_path / "c", pickle_module=Python2Pickle, pickle_protocol=2, _use_new_zipfile_serialization=False
    )
    assert same_logits(load_released(tmp_path / "c", x, backbone="resnet18"), oracle)


@pytest.mark.parametrize("number", [np.float64(83.1), np.float32(-1e-30), np.int64(-200), np.dtype(">f8").type(0.5)])
def test_numpy_numbers_are_read_exactly(number):
    """From pickles of these numbers, with the names of NumPy replaced by their substitutes."""
    for protocol in (2, 4):
        read = PlainUnpickler(pickle.dumps(number, protocol), NUMBERS | {"_codecs.encode": latin1}).load()
        assert read == number and type(read) in (int, float)


def test_checkpoints_without_num_batches_tracked(tmp_path, small):
    content, x, oracle = small
    state = {k: v for k, v in content["state_dict"].items() if not k.endswith("num_batches_tracked")}
    torch.save({"state_dict": state}, tmp_path / "c", _use_new_zipfile_serialization=False)
    assert same_logits(load_released(tmp_path / "c", x, backbone="resnet18"), oracle)


def test_edges_p_and_probabilities_with_and_without_counts(tmp_path, small):
    content, x, oracle = small
    torch.save(content, tmp_path / "c")
    (tmp_path / "adj.pkl").write_bytes(pickle.dumps({"nums": NUMS, "adj": PAIRS}, protocol=2))
    with_counts = load_released(tmp_path / "c", x, tmp_path / "adj.pkl", backbone="resnet18")
    assert same_logits(with_counts, oracle)
    graph, mined = with_counts.head.base_graph(), LabelGraph.from_counts(NUMS, PAIRS, weighting="released")
    assert torch.equal(graph.edge_index, mined.edge_index) and torch.equal(graph.edge_prob, mined.edge_prob)
    assert graph.p == pytest.approx(0.2, abs=1e-6) and torch.allclose(graph.to_dense(), mined.to_dense(), atol=1e-6)
    assert (graph.edge_index.numpy() == np.stack(adjacency(NUMS, PAIRS, 0.4).nonzero())).all()
    bare = load_released(tmp_path / "c", x, backbone="resnet18").head.base_graph()
    assert torch.equal(bare.edge_weight, graph.edge_weight) and torch.equal(bare.self_weight, graph.self_weight)
    assert bare.tau == 1 and (bare.edge_prob == 1).all() and (bare.label_counts == 0).all()
    with pytest.raises(InputError, match="tau: expected τ ≥ 1"):  # nothing weaker is known
        bare.reweighted(tau=0.5)
    with pytest.raises(InputError, match="adj: expected the counts from which A was computed.*at tau = 0.6"):
        load_released(tmp_path / "c", x, tmp_path / "adj.pkl", backbone="resnet18", tau=0.6)


def test_the_exact_weights_survive_saving_the_head(tmp_path, small):
    content, x, oracle = small
    torch.save(content, tmp_path / "c")
    model = load_released(tmp_path / "c", x, backbone="resnet18", label_names=list("abcde"))
    save_head(tmp_path / "h.pt", model.head)
    head = load_head(tmp_path / "h.pt")
    assert head.label_names == tuple("abcde")
    assert torch.equal(head.edge_weight, model.head.edge_weight)
    assert torch.equal(head.classifiers(), model.head.classifiers())


def test_the_backbone_is_written_as_a_weights_file(tmp_path, small):
    content, x, _ = small
    torch.save(content, tmp_path / "c")
    model = load_released(tmp_path / "c", x, backbone="resnet18")
    torch.save(torchvision_state(model), tmp_path / "b.pth")
    assert Backbone("resnet18", tmp_path / "b.pth").digest() == model.backbone.digest()


def test_names_and_their_order_come_from_the_embeddings(tmp_path, small):
    content, x, oracle = small
    torch.save(content, tmp_path / "c")
    shuffled = LabelEmbeddings(tuple("edcba"), x.flip(0), {"file": "mine"})
    model = load_released(tmp_path / "c", shuffled, label_names=list("abcde"), backbone="resnet18")
    assert model.label_names == tuple("abcde") and same_logits(model, oracle)
    assert model.head.base_graph().x_source == {"file": "mine"}


def test_entries_of_a_different_matrix_are_kept_with_a_warning():
    a = torch.rand(4, 4) + torch.eye(4)
    with pytest.warns(UserWarning, match="does not have the form of the released code"):
        graph = graph_of_matrix(a)
    d = torch.diag(a.sum(1) ** -0.5)
    assert torch.allclose(graph.to_dense(), d @ a.t() @ d, atol=1e-6)


def test_no_edge_at_all():
    graph = graph_of_matrix(torch.eye(3))
    assert graph.edge_index.shape == (2, 0) and torch.equal(graph.to_dense(), torch.eye(3))


@pytest.mark.parametrize("bad", [torch.ones(2, 3), torch.zeros(2, 2), -torch.eye(2), torch.full((2, 2), torch.nan)])
def test_matrices_that_cannot_be_normalised(bad):
    with pytest.raises(InputError, match="a: expected"):
        graph_of_matrix(bad)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"A": None}, "in addition to features.*, found no A"),
        ({"gc1.bias": torch.zeros(8)}, "also gc1.bias"),
        ({"features.0.weight": None}, r"1 missing keys \(first: 0.weight\)"),
        ({"features.8.weight": torch.zeros(1)}, r"1 unknown keys \(first: 8.weight\)"),
        ({"gc2.weight": torch.zeros(9, 512)}, r"gc1.weight \(F, H\) and gc2.weight"),
        (
            {"gc2.weight": torch.zeros(8, 7)},
            "backbone: expected the ResNet of the checkpoint, with 7 features, found res",
        ),
        ({"A": torch.eye(4)}, "4 names|4 rows"),
        ({"gc2.weight": torch.full((8, 512), torch.nan)}, "path: expected finite numbers, found NaN or Inf in gc2"),
        ({"A": torch.tensor(1.0)}, r"A of shape \(C, C\), found shape \(\)"),
        ({"epoch": 3}, "a state dict of tensors"),
    ],
)
def test_checkpoints_of_other_networks(tmp_path, small, change, message):
    content, x, _ = small
    state = {k: v for k, v in (content["state_dict"] | change).items() if v is not None}
    torch.save({"state_dict": state}, tmp_path / "c")
    with pytest.raises(InputError, match=message):
        load_released(tmp_path / "c", x, backbone="resnet18")


class Hostile:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("zip_format", [True, False])
def test_a_hostile_checkpoint_is_refused_and_runs_no_code(tmp_path, zip_format):
    content = {"state_dict": {}, "best_score": Hostile(tmp_path / "ran")}
    torch.save(content, tmp_path / "c", _use_new_zipfile_serialization=zip_format)
    with pytest.raises(InputError, match="path: expected a checkpoint of tensors and plain values"):
        read_released_state(tmp_path / "c")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", [np.arange(3), np.dtype("O"), np.str_("x"), np.complex128(1)])
def test_of_numpy_objects_only_numbers_are_admitted(tmp_path, value):
    torch.save({"state_dict": {}, "best_score": value}, tmp_path / "c")
    with pytest.raises(InputError, match="path: expected a checkpoint"):
        read_released_state(tmp_path / "c")


def test_damaged_files(tmp_path, small):
    torch.save(small[0], tmp_path / "c", _use_new_zipfile_serialization=False)
    (tmp_path / "half").write_bytes((tmp_path / "c").read_bytes()[:20_000])
    (tmp_path / "text").write_text("no checkpoint")
    for name in ("half", "text", "absent"):
        with pytest.raises(InputError, match=f"path: expected .*{name}"):
            read_released_state(tmp_path / name)


def test_a_matrix_of_counts_with_a_diagonal_has_the_released_form(recwarn):
    pairs = PAIRS + np.diag(NUMS)
    a = released_matrix(pairs=pairs)  # the released code keeps the diagonal
    graph = graph_of_matrix(a)
    assert graph.p == 0.2 and not recwarn.list
    d = torch.diag(a.sum(1).pow(-0.5))
    assert torch.allclose(graph.to_dense(), (a @ d).t() @ d, atol=1e-6)
