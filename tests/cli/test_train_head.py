"""``mlgcn train-head``: its options, and interrupted runs that the same command resumes."""

import json
import signal

import pytest
import torch
from typer.testing import CliRunner

from mlgcn_pyg.checkpoints import load_checkpoint, store_thresholds
from mlgcn_pyg.cli.main import app
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.batches import ResidentRows
from mlgcn_pyg.files.locks import locked_folder
from mlgcn_pyg.training.heads.exact.path import StrengthPath
from tests.training.heads.problems import graph, problem


def run(*words, code=0):
    result = CliRunner().invoke(app, ["train-head", *(str(word) for word in words)])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two caches with three views and a graph."""
    folder = tmp_path_factory.mktemp("made")
    for name, seed in (("train", 0), ("val", 1)):
        features, targets = problem(64, seed=seed)
        views = features.unsqueeze(1) + 0.3 * torch.randn(64, 3, 12, generator=torch.Generator().manual_seed(seed))
        FeatureCache.from_arrays(folder / f"{name}.h5", views, targets, list("01234"))
    graph().save(folder / "g.pt")
    return folder


def words(made, out, *more):
    caches = ("--graph", made / "g.pt", "--train", made / "train.h5", "--val", made / "val.h5")
    recipe = ("--recipe", "paper", "--epochs", 5, "--lr", 0.1, "--hidden", 16, "--seeds", 2, "--replicates", 20)
    return (*caches, *recipe, "--out", out, *more)


def auto(made, out, *more):
    caches = ("--train", made / "train.h5", "--val", made / "val.h5")
    return (*caches, "--epochs", 3, "--hidden", 8, "--replicates", 20, "--out", out, *more)


def interrupt(patch, call):
    calls, gather = iter(range(10**9)), ResidentRows.gather

    def interrupting(self, rows):
        if next(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return gather(self, rows)

    patch.setattr(ResidentRows, "gather", interrupting)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".json", ".jsonl")}


def weights(folder):
    return {p.name: torch.load(p, weights_only=True)["state_dict"] for p in sorted(folder.glob("*.pt"))}


@pytest.mark.parametrize("call", [0, 5, 12])  # in the first kind, and in the second after 10 steps of the first
def test_ctrl_c_and_the_same_command_again_equal_one_run(made, tmp_path, monkeypatch, call):
    run(*words(made, tmp_path / "whole"))
    with monkeypatch.context() as patch:
        interrupt(patch, call)
        output = run(*words(made, tmp_path / "run"), code=130)
    assert "Interrupted. Run the same command to resume." in output and "Traceback" not in output
    assert not (tmp_path / "run/metrics.json").exists()
    output = run(*words(made, tmp_path / "run"))
    assert "Resuming from" in output and "unfinished" in output
    assert files(tmp_path / "run") == files(tmp_path / "whole")
    ours, theirs = weights(tmp_path / "run"), weights(tmp_path / "whole")
    assert ours.keys() == theirs.keys() and len(ours) == 5
    assert all(torch.equal(ours[f][name], value) for f in ours for name, value in theirs[f].items())
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        path.name for path in (tmp_path / "whole").iterdir()
    }
    assert "Resuming" not in run(*words(made, tmp_path / "run"))  # a finished run leaves nothing to resume


def test_an_interrupted_run_of_other_arguments_is_refused_and_kept(made, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, 3)
        run(*words(made, tmp_path), code=130)
    state = (tmp_path / "unfinished/linear/state.pt").read_bytes()
    for more, told in (
        (("--weight-decay", 0.5), "weight_decay"),
        (("--seeds", 3), "a different heads"),
        (("--views", "mean"), "views"),
    ):
        output = run(*words(made, tmp_path, *more), code=2)
        assert "error: --out: expected a run with the same setup" in output and told in output
        assert "--overwrite" in output and (tmp_path / "unfinished/linear/state.pt").read_bytes() == state
    run(*words(made, tmp_path, "--weight-decay", 0.5, "--overwrite"))
    assert json.loads((tmp_path / "metrics.json").read_text())["setup"]["config"]["weight_decay"] == 0.5
    assert not (tmp_path / "unfinished").exists()


def test_an_interrupted_overwrite_resumes(made, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    run(*words(made, folder, "--weight-decay", 0.5))
    before = files(folder)
    with monkeypatch.context() as patch:
        interrupt(patch, 8)
        run(*words(made, folder, "--overwrite"), code=130)
    assert files(folder) == before  # nothing is lost before something takes its place
    assert "(linear: epoch 5)" in run(*words(made, folder, "--overwrite"))
    run(*words(made, tmp_path / "whole"))
    assert files(folder) == files(tmp_path / "whole")


def test_a_damaged_state_is_one_line(made, tmp_path):
    (tmp_path / "unfinished/mlgcn").mkdir(parents=True)
    (tmp_path / "unfinished/mlgcn/state.pt").write_bytes(b"junk")
    assert "error: --out: expected a file of plain tensors" in run(*words(made, tmp_path), code=2)
    run(*words(made, tmp_path, "--overwrite"))


def test_streamed_and_loaded_give_the_same_files(made, tmp_path):
    run(*words(made, tmp_path / "a", "--stream"))
    run(*words(made, tmp_path / "b", "--no-stream"))
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_options_of_the_recipe_are_in_the_setup_and_act(made, tmp_path):
    run(*words(made, tmp_path / "a", "--val-every", 3, "--views", "mean", "--precision", "bf16", "--head", "linear"))
    content = json.loads((tmp_path / "a/metrics.json").read_text())
    recipe = {"val_every": 3, "views": "mean", "precision": "bf16", "patience": None}
    assert recipe.items() <= content["setup"]["config"].items()
    history = [json.loads(line) for line in (tmp_path / "a/linear-seed1.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history if "mAP" in record] == [3, 5]
    run(*words(made, tmp_path / "b", "--lr", 1e-9, "--patience", 1, "--head", "linear"))
    assert len((tmp_path / "b/linear-seed0.jsonl").read_text().splitlines()) == 2  # no gain: stopped at once


def test_the_mean_of_views_is_what_evaluation_of_means_gives(made, tmp_path):
    run(*words(made, tmp_path / "mean", "--views", "mean", "--head", "linear"))
    run(*words(made, tmp_path / "first", "--head", "linear"))
    ours, other = (
        json.loads((tmp_path / n / "metrics.json").read_text())["heads"]["linear"] for n in ("mean", "first")
    )
    assert ours["mean"]["all"]["mAP"] != other["mean"]["all"]["mAP"]
    cache = FeatureCache(made / "val.h5")
    means = FeatureCache.from_arrays(
        tmp_path / "m.h5", cache.load()[0].float().mean(1), cache.targets, cache.label_names, dtype="float32"
    )
    run(*words(made, tmp_path / "again", "--head", "linear", "--val", means.path))
    again = json.loads((tmp_path / "again/metrics.json").read_text())["heads"]["linear"]
    assert again["mean"]["all"]["mAP"] == pytest.approx(ours["mean"]["all"]["mAP"], rel=1e-6)


def test_refused_options(made, tmp_path):
    for more, told in (
        (("--precision", "tf32", "--device", "cpu"), "--precision: expected float32 or bf16"),
        (("--precision", "half"), "--precision: expected one of"),
        (("--views", "last"), "--views: expected one of first, mean"),
        (("--patience", 0), "--patience: expected an integer ≥ 1"),
        (("--val-every", 0), "--val-every: expected an integer ≥ 1"),
        (("--lr", 1e25, "--head", "mlgcn"), "--lr: expected a learning rate at which training converges"),
    ):
        output = run(*words(made, tmp_path / "r", *more), code=2)
        assert told in output and "Traceback" not in output


def test_two_at_once_in_one_folder_are_refused(made, tmp_path):
    run(*words(made, tmp_path, "--head", "linear"))
    before = files(tmp_path)
    with locked_folder(tmp_path):
        output = run(*words(made, tmp_path, "--head", "mlgcn"), code=2)
    assert "in use by another process" in output and files(tmp_path) == before
    assert not (tmp_path / ".lock").exists()


@pytest.mark.parametrize("what", ["features", "targets"])
def test_other_data_under_the_same_name_is_another_setup(made, tmp_path, what):
    run(*words(made, tmp_path / "run", "--head", "linear"))
    cache = FeatureCache(made / "train.h5")
    features, targets = cache.load()
    if what == "features":
        features = features * 2
    else:
        targets = 1 - targets
    other = FeatureCache.from_arrays(tmp_path / "train.h5", features, targets, cache.label_names)
    more = ("--head", "mlgcn", "--train", other.path)
    assert "results of a different setup" in run(*words(made, tmp_path / "run", *more), code=2)


def test_thresholds_of_the_same_head_outlive_the_same_command_given_again(made, tmp_path):
    first, second = tmp_path / "mlgcn-seed0.pt", tmp_path / "mlgcn-seed1.pt"
    run(*words(made, tmp_path, "--head", "mlgcn"))
    cuts = torch.tensor([0.5, -1, 0, 2, 3], dtype=torch.float64)
    store_thresholds(first, cuts)
    second.write_bytes(first.read_bytes())  # thresholds that were fitted to other weights
    said = run(*words(made, tmp_path, "--head", "mlgcn"))
    assert torch.equal(load_checkpoint(first).thresholds, cuts) and load_checkpoint(second).thresholds is None
    assert (
        f"Warning: the thresholds in {second} were fitted to a different head and are dropped." in said
        and str(first) not in said
    )


def comparison(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_all_heads_and_a_recommendation_without_a_graph(made, tmp_path):
    output = run(*auto(made, tmp_path, "--seeds", 2))
    content = comparison(tmp_path)
    assert [(kind, len(found["seeds"])) for kind, found in content["heads"].items()] == [
        ("linear", 1), ("sharing", 1), ("mlgcn", 2),
    ]  # fmt: skip
    assert "--epochs, --seeds apply to mlgcn only. Fitted exactly: linear and sharing" in output
    assert "selected on 5 folds of the training images; val.h5 only reports" in output
    chosen = content["recommendation"]
    assert chosen["selection"]["images"] == "folds" and chosen["selection"]["mAP"].keys() == content["heads"].keys()
    assert f"Recommended: the {chosen['head']} head" in output and chosen["reference"] == "linear"
    assert content["intervals"]["reference"] == "linear"
    assert content["intervals"]["differences"].keys() == {"sharing", "mlgcn"}
    head, other = (load_checkpoint(tmp_path / name) for name in ("recommended.pt", f"{chosen['head']}-seed0.pt"))
    assert head.config == other.config and torch.equal(head.head.classifiers(), other.head.classifiers())
    linear = load_checkpoint(tmp_path / "linear-seed0.pt").config
    assert linear["solver"] == "exact" and linear["l2"] == content["heads"]["linear"]["seeds"][0]["last_epoch"]["l2"]


def test_test_images_report_and_validation_images_select(made, tmp_path):
    FeatureCache.from_arrays(tmp_path / "test.h5", *FeatureCache(made / "train.h5").load(), list("01234"))
    heads = ("--head", "linear", "--head", "sharing", "--l2", 0.1)
    output = run(*auto(made, tmp_path / "a", *heads, "--test", tmp_path / "test.h5"))
    assert "selected on val.h5; test.h5 only reports" in output and "test.h5, 64 images" in output
    content = comparison(tmp_path / "a")
    assert list(content["heads"]) == ["linear", "sharing"] and content["setup"]["test"]["file"] == "test.h5"
    assert content["recommendation"]["selection"]["images"] == "val"
    row = content["heads"]["linear"]["seeds"][0]
    assert row["last_epoch"]["l2"] == pytest.approx(0.1) and row["last_epoch"]["mAP"] != row["all"]["mAP"]


def test_one_head_is_the_recommended_one(made, tmp_path):
    output = run(*auto(made, tmp_path, "--head", "sharing", "--alpha", 0.3))
    assert "Recommended: the sharing head, the only one, " in output and (tmp_path / "recommended.pt").exists()
    assert load_checkpoint(tmp_path / "recommended.pt").config["alpha"] == 0.3
    assert comparison(tmp_path)["recommendation"]["selection"]["images"] == "none"


def test_the_sharing_head_of_a_given_graph(made, tmp_path):
    words = auto(made, tmp_path, "--head", "sharing", "--graph", made / "g.pt")
    run(*words)
    setup = comparison(tmp_path)["heads"]["sharing"]["setup"]
    assert setup["weighting"] == "kernel" and setup["embedding_dim"] == 6  # the embeddings of --graph
    run(*words, "--sharing-graph", made / "g.pt", "--overwrite")
    assert comparison(tmp_path)["heads"]["sharing"]["setup"]["weighting"] == "paper"


def test_both_is_linear_and_mlgcn_and_the_paper_has_no_sharing_head(made, tmp_path):
    run(*auto(made, tmp_path / "a", "--head", "both"))
    assert list(comparison(tmp_path / "a")["heads"]) == ["linear", "mlgcn"]
    output = run(*auto(made, tmp_path / "b", "--head", "sharing", "--recipe", "paper"), code=2)
    assert "--head: expected linear or mlgcn for the recipe 'paper', found 'sharing'; pass --recipe auto" in output


def test_the_paper_s_recipe_says_that_validation_images_select_and_report(made, tmp_path):
    output = run(*words(made, tmp_path))
    assert "val.h5 both selected this head and reports its metrics" in output and "Fitted exactly" not in output


def test_an_interrupted_exact_fit_resumes(made, tmp_path, monkeypatch):
    heads = ("--head", "linear", "--head", "sharing")
    run(*auto(made, tmp_path / "whole", *heads))
    advance, calls = StrengthPath.advance, iter(range(10**9))

    def interrupting(self, *arguments):
        if next(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return advance(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(StrengthPath, "advance", interrupting)
        run(*auto(made, tmp_path / "run", *heads), code=130)
    output = run(*auto(made, tmp_path / "run", *heads))
    assert "Resuming from" in output and "(linear: value of λ 3)" in output
    assert files(tmp_path / "run") == files(tmp_path / "whole")
    assert {p.name for p in (tmp_path / "run").iterdir()} == {p.name for p in (tmp_path / "whole").iterdir()}


def test_a_folder_is_its_recommended_head(made, tmp_path):
    run(*auto(made, tmp_path / "run", "--head", "linear", "--head", "sharing"))
    for words in (
        ("evaluate", "--checkpoint", tmp_path / "run", "--cache", made / "val.h5", "--json"),
        ("export", "--checkpoint", tmp_path / "run", "--out", tmp_path / "x.safetensors"),
    ):
        result = CliRunner().invoke(app, list(map(str, words)))
        assert result.exit_code == 0 and "recommended" in result.output
    (tmp_path / "run/recommended.pt").unlink()
    words = ("export", "--checkpoint", tmp_path / "run", "--out", tmp_path / "x.safetensors")
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 2 and "--checkpoint: expected one checkpoint, found 2 in the folder" in result.output
