"""Heads whose label encoder is a GNN of PyG are trained as other heads are."""

import copy

import pytest
import torch
from torch_geometric.nn import Linear, TAGConv
from torch_geometric.nn.models import GCN

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.checkpoints import load_head
from mlgcn_pyg.errors import InputError, InputWarning
from mlgcn_pyg.features.batches import ResidentRows
from mlgcn_pyg.nn import LabelGNNHead, MLGCNHead
from mlgcn_pyg.nn.label_gnn import GNNS
from mlgcn_pyg.training import HeadConfig, fit_head, fit_heads
from mlgcn_pyg.training.config import HeadSettings
from mlgcn_pyg.training.heads import engines as engine
from mlgcn_pyg.training.heads.groups import LR_FACTOR, parameter_groups
from mlgcn_pyg.training.heads.recipe import complete
from mlgcn_pyg.training.heads.spectra import Spectra, Spectrum, label_spectrum
from mlgcn_pyg.training.heads.start import start_weights
from tests.training.heads.problems import graph, problem, same, state
from tests.training.heads.test_resume import interrupt_at

PAPER = HeadConfig(recipe="paper", lr=0.3, epochs=4, batch_size=16, lr_step=2, clip_norm=0.05, weight_decay=0.01)


def fresh(gnn="gcn", seed=0, graph_of=None, **options):
    torch.manual_seed(seed)
    made = gnn() if callable(gnn) else gnn
    sizes = {} if callable(gnn) else {"hidden_channels": 16}
    return LabelGNNHead(graph() if graph_of is None else graph_of, 12, made, **sizes, **options)


def normalised():
    return GCN(6, 16, 2, dropout=0.2, norm="batch_norm")


MODULES = {"hops": lambda: TAGConv(6, 16), "batch norm and dropout": normalised}


@pytest.mark.parametrize("gnn", [*GNNS, *MODULES])
@pytest.mark.parametrize(
    "config", [None, HeadConfig(epochs=10, optimizer="adamw"), HeadConfig(recipe="paper", epochs=40)]
)
def test_a_head_learns_far_beyond_chance(gnn, config):
    head = fresh(MODULES.get(gnn, gnn))
    history = fit_head(head, problem(300), problem(100, seed=1), config)
    assert history.last["mAP"] > 0.6  # the graph is dense; chance is 0.3
    assert history.last["loss"] < history.epochs[0]["loss"]
    head.eval()
    features = problem(20, seed=2)[0]
    assert torch.allclose(head(features), head.to_linear()(features), atol=1e-4)


@pytest.mark.parametrize("arrangement", ["side by side", "one after another"])
@pytest.mark.parametrize("gnn", ["gat", "hops"])
@pytest.mark.parametrize("config", [HeadConfig(epochs=4), PAPER])
def test_heads_together_are_heads_alone(monkeypatch, arrangement, gnn, config):
    if arrangement == "one after another":
        monkeypatch.setattr(engine, "side_by_side", lambda heads, device: False)
    graphs = [graph(), graph(tau=0.5), graph(weighting="released")]
    together, alone = ([fresh(MODULES.get(gnn, gnn), k, g).double() for k, g in enumerate(graphs)] for _ in range(2))
    fit_heads(together, problem(), problem(40, seed=1), config)
    for head, other in zip(together, alone, strict=True):
        fit_head(other, problem(), problem(40, seed=1), config)
        for name, value in state(head).items():
            assert torch.allclose(value, state(other)[name], rtol=1e-9, atol=1e-9), name


@pytest.mark.parametrize("gnn", ["gcn", "gat"])
@pytest.mark.parametrize("call", [0, 6, 13, 27])
@pytest.mark.parametrize("recipe", ["auto", "paper"])
def test_an_interrupted_run_equals_an_uninterrupted_one(tmp_path, monkeypatch, gnn, call, recipe):
    config = PAPER if recipe == "paper" else HeadConfig(epochs=4, batch_size=16)
    whole, half = fresh(gnn), fresh(gnn)
    fit_head(whole, problem(), problem(40, seed=1), config)
    with monkeypatch.context() as patch:
        interrupt_at(patch, call)
        with pytest.raises(KeyboardInterrupt):
            fit_head(half, problem(), problem(40, seed=1), config, folder=tmp_path)
    again = fresh(gnn)
    fit_head(again, problem(), problem(40, seed=1), config, folder=tmp_path)
    assert same(state(again), state(whole))
    assert same(state(load_head(tmp_path / "head-last.pt")), state(whole))
    with pytest.raises(InputError, match="folder"):
        fit_head(fresh("sage"), problem(), problem(40, seed=1), config, folder=tmp_path)


def test_a_module_cannot_be_written_to_a_folder_which_is_said_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(ResidentRows, "gather", lambda *_: pytest.fail("a step was taken"))
    with pytest.raises(InputError, match="head: expected a GNN that was given by name.*folder=None.*save_linear"):
        fit_head(fresh(MODULES["hops"]), problem(), config=HeadConfig(epochs=1), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("gnn", [*GNNS, "hops"])
def test_only_v_decays_and_the_gnn_is_slow(gnn):
    head = fresh(MODULES.get(gnn, gnn), bias=True)
    groups = parameter_groups(head, HeadSettings(weight_decay=0.2, recipe="auto"))
    assert [(group["weight_decay"], group[LR_FACTOR]) for group in groups] == [(0.2, 1.0), (0.0, 1e-3), (0.0, 1.0)]
    found = [set(map(id, group["params"])) for group in groups]
    assert found == [{id(head.weight)}, set(map(id, head.gnn.parameters())), {id(head.bias)}]


def test_the_recipe_trains_a_gnn_by_adamw_unless_another_optimizer_is_given():
    head, spectra = fresh("gat"), Spectra(Spectrum(80.0, 1200.0), Spectrum(1.0, 1.0))
    found = complete(HeadConfig(), head, 300, spectra)
    lr = pytest.approx(1e-4 * (1024 * 1280 / (16 * 12)) ** 0.5, rel=5e-3)
    assert (found.optimizer, found.lr, found.weight_decay, found.schedule) == ("adamw", lr, 0.01, "cosine")
    found = complete(HeadConfig(optimizer="sgd"), head, 300, spectra)
    assert (found.optimizer, found.weight_decay) == ("sgd", 0.2)
    assert complete(HeadConfig(recipe="paper"), head, 300, spectra).optimizer == "sgd"


def test_a_frozen_gnn_is_not_changed():
    head = fresh("sage")
    head.gnn.requires_grad_(False)
    before = copy.deepcopy(head.gnn.state_dict())
    history = fit_head(head, problem(300), problem(100, seed=1), HeadConfig(epochs=20))
    assert same(before, head.gnn.state_dict()) and history.last["mAP"] > 0.8


@pytest.mark.parametrize("gnn", GNNS)
def test_the_spectrum_of_labels_is_that_of_the_codes(gnn):
    head = fresh(gnn)
    codes = head.factors()[0].detach().double()
    found = label_spectrum(head)
    assert found.largest == pytest.approx(float(torch.linalg.eigvalsh(codes @ codes.t())[-1]), rel=0.03)
    assert found.norm == pytest.approx(float(codes.square().sum()) / 5, rel=1e-5)


def test_the_spectrum_is_that_in_training_and_changes_nothing():
    head = fresh(lambda: GCN(6, 16, 2, norm="batch_norm"))
    before = state(head)
    found = label_spectrum(head.eval())
    assert same(before, state(head)) and not head.training
    codes = head.train().label_codes().detach().double()  # which are normalised over the labels
    assert found.largest == pytest.approx(float(torch.linalg.eigvalsh(codes @ codes.t())[-1]), rel=0.03)


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("gnn", [*GNNS, "hops"])
def test_linear_maps_start_with_orthonormal_labels(gnn, one_hot):
    labels = graph(one_hot=one_hot)
    if not one_hot:
        labels.x = 3 + labels.x  # the common mean of real word vectors: all cosines are above 0.9
    made = (lambda: TAGConv(5 if one_hot else 6, 16)) if gnn == "hops" else gnn
    head, random = (fresh(made, graph_of=labels) for _ in range(2))
    start_weights(head)
    assert not head.weight.any()
    received = {}
    maps = {name: part for name, part in head.gnn.named_modules() if isinstance(part, torch.nn.Linear | Linear)}
    for name, part in maps.items():
        part.register_forward_pre_hook(
            lambda _, inputs, name=name: received.update({name: inputs[0].detach().double()})
        )
    head.label_codes()
    assert received.keys() == maps.keys() or gnn == "hops"  # TAGConv calls the forward of further maps, past all hooks
    for name, z in received.items():  # the draw of a new head, applied to orthonormal rows in place of z
        left, values, right = torch.linalg.svd(z, full_matrices=False)
        kept = values > 1e-3 * values.max()
        expected = left[:, kept] @ right[kept] @ random.gnn.get_submodule(name).weight.double().t()
        assert torch.allclose(z @ maps[name].weight.double().t(), expected, atol=1e-3), name


def test_codes_of_a_started_gcn_are_those_of_its_last_propagation():
    """GGᵀ is close to ÂÂᵀ, where random weights give all labels one direction."""
    labels = graph(tau=0.5)
    labels.x = 3 + labels.x
    torch.manual_seed(0)
    head = LabelGNNHead(labels, 12, "gcn", 2000)
    before = head.factors()[0].detach()
    start_weights(head)
    after, a = head.factors()[0].detach(), labels.reweighted(weighting="binary").to_dense()
    torch.testing.assert_close(after @ after.t(), a @ a.t(), rtol=0, atol=0.08)
    assert torch.linalg.cond(before @ before.t()) > 100 * torch.linalg.cond(after @ after.t())


def test_labels_that_the_gnn_cannot_tell_apart_are_reported():
    both = LabelGraph.from_targets(
        [[1, 1, 0], [1, 1, 1]], x=torch.randn(3, 4), label_names=["fork", "knife", "cup"], tau=0.9
    )
    data = (torch.randn(10, 12), torch.randint(2, (10, 3)))
    with pytest.warns(InputWarning, match="the GNN encodes these labels alike.*'fork' = 'knife'"):
        fit_head(LabelGNNHead(both, 12, "gcn", 8), data, config=HeadConfig(epochs=1))


def test_refusals():
    with pytest.raises(InputError, match="solver"):
        fit_head(fresh(), problem(), solver="exact")
    with pytest.raises(InputError, match="gnn gcn of head 0 and sage of head 1"):
        fit_heads([fresh(), fresh("sage")], problem(), config=HeadConfig(epochs=1))
    with pytest.raises(InputError, match="equal shape|different"):
        fit_heads([fresh(), MLGCNHead(graph(), 12, (16,))], problem(), config=HeadConfig(epochs=1))


def test_rounded_products():
    head = fresh("gat")
    history = fit_head(head, problem(300), problem(100, seed=1), HeadConfig(epochs=20, precision="bf16"))
    assert history.last["mAP"] > 0.7 and head.weight.dtype == torch.float32
