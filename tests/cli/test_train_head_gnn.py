"""``mlgcn train-head --gnn``: GNNs of PyG beside the other heads, in every command that reads the folder."""

import json

import pytest
import torch
from typer.testing import CliRunner

from mlgcn_pyg.checkpoints import load_checkpoint
from mlgcn_pyg.cli import heads
from mlgcn_pyg.cli.main import app
from mlgcn_pyg.nn import LabelGNNHead
from mlgcn_pyg.nn.label_gnn import GNNS
from mlgcn_pyg.run_report import run_content
from tests.cli.test_train_head import auto, interrupt, made, run, words
from tests.training.heads.problems import graph

__all__ = ["made"]  # a fixture


def mlgcn(*arguments, code=0):
    result = CliRunner().invoke(app, [str(word) for word in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_the_names_are_those_of_the_library():
    assert heads.GNNS == GNNS


def test_gnns_beside_the_other_heads(made, tmp_path):
    out = tmp_path / "run"
    output = run(*auto(made, out, "--graph", made / "g.pt", "--gnn", "gat", "--gnn", "gcn", "--seeds", 2))
    assert "--epochs, --seeds apply to mlgcn, gcn and gat only. Fitted exactly: linear and sharing" in output
    assert "; mlgcn, gcn and gat: last epoch, 2 seeds" in output
    content = json.loads((out / "metrics.json").read_text())
    assert list(content["heads"]) == ["linear", "sharing", "mlgcn", "gcn", "gat"]
    assert content["heads"]["gat"]["setup"]["hidden_channels"] == [8]
    assert len(content["heads"]["gat"]["seeds"]) == 2
    assert set(content["intervals"]["differences"]) == {"sharing", "mlgcn", "gcn", "gat"}
    assert content["recommendation"]["head"] in content["heads"]
    for kind in ("gcn", "gat"):
        head = load_checkpoint(out / f"{kind}-seed1.pt").head
        assert isinstance(head, LabelGNNHead) and (head.gnn_name, head.num_layers) == (kind, 2)
    found = json.loads(mlgcn("evaluate", "--cache", made / "val.h5", "--checkpoint", out / "gat-seed0.pt", "--json"))
    row = content["heads"]["gat"]["seeds"][0]
    assert json.dumps(found).count(str(row["all"]["mAP"])[:12]) > 0
    mlgcn("export", "--checkpoint", out / "gat-seed0.pt", "--out", tmp_path / "gat.safetensors")
    linear, head = load_checkpoint(tmp_path / "gat.safetensors").head, load_checkpoint(out / "gat-seed0.pt").head
    features = torch.randn(4, 12)
    assert torch.allclose(linear(features), head(features), atol=1e-5)
    told = mlgcn("report", out)  # the features do not record a backbone
    assert "report.html" in told
    assert f"mlgcn explain PHOTO --checkpoint {out} --backbone BACKBONE --weights WEIGHTS" in told
    text = (out / "report.html").read_text()
    assert "gat" in text and "gcn" in text
    facts = {fact.name: fact.value for fact in run_content(out).facts}  # a GNN receives no weights of edges
    assert "hidden_channels = 8, num_layers = 2" in facts["gat head"] and "weighting" not in facts["gat head"]
    assert "p = " not in facts["gat head"] and "p = 0.2" in facts["mlgcn head"] and "tau = " in facts["gat head"]


def test_a_folder_of_one_gnn_gets_another_and_a_different_one_is_refused(made, tmp_path):
    run(*auto(made, tmp_path, "--graph", made / "g.pt", "--head", "linear", "--gnn", "sage"))
    run(*auto(made, tmp_path, "--graph", made / "g.pt", "--head", "linear", "--gnn", "gin"))
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert list(content["heads"]) == ["linear", "sage", "gin"]
    graph(tau=0.5).save(tmp_path / "other.pt")
    output = run(*auto(made, tmp_path, "--graph", tmp_path / "other.pt", "--gnn", "sage"), code=2)
    assert "results of a different setup" in output
    run(*auto(made, tmp_path, "--graph", made / "g.pt", "--head", "linear", "--overwrite"))
    assert not list(tmp_path.glob("sage-*")) and not list(tmp_path.glob("gin-*"))


def test_an_interrupted_run_is_resumed(made, tmp_path, monkeypatch):
    gnn = ("--head", "linear", "--gnn", "gat")
    run(*words(made, tmp_path / "whole", *gnn))
    with monkeypatch.context() as patch:
        interrupt(patch, 12)  # in the GNN, after 10 steps of the linear head
        run(*words(made, tmp_path / "run", *gnn), code=130)
    assert "gat: epoch" in run(*words(made, tmp_path / "run", *gnn))
    ours, theirs = (torch.load(tmp_path / name / "gat-seed0.pt", weights_only=True)["state_dict"]
                    for name in ("run", "whole"))  # fmt: skip
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--gnn", "gcnn"), "--gnn"),
        (("--gnn", "gat", "--hidden", "16,8"), "--hidden: expected equal widths for a GNN"),
        (("--gnn", "gat", "--graph", "kernel.pt"), "--graph: expected a graph with edges between some of the labels"),
    ],
)
def test_refusals_come_before_any_training(made, tmp_path, options, message):
    graph(weighting="kernel", one_hot=True).save(tmp_path / "kernel.pt")
    options = [str(tmp_path / word) if word == "kernel.pt" else word for word in options]
    output = run(*auto(made, tmp_path / "run", *options), code=2)
    assert message in output and "Traceback" not in output
    assert not list((tmp_path / "run").glob("*.pt"))
