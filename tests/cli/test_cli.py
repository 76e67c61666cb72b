"""The commands as a person runs them, in this process, on real and on generated data."""

import io
import json
import re
import subprocess
import sys

import pytest
import torch
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.checkpoints import load_head
from mlgcn_pyg.cli import console
from mlgcn_pyg.cli.main import app
from mlgcn_pyg.datasets import Scenes
from mlgcn_pyg.evaluation import COUNT_METRICS
from mlgcn_pyg.features import FeatureCache

SMALL = ("--backbone", "resnet18", "--weights", "none", "--image-size", "64")


def run(*words, code=0):
    """Runs ``mlgcn words…``; returns what it printed, stdout and stderr."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


def refused(*words):
    """The one line that a refusal prints."""
    output = run(*words, code=2)
    line = output.strip().splitlines()[-1]
    assert line.startswith("mlgcn: error: ") and "Traceback" not in output
    return line


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("cli")
    for split, count in (("train", 40), ("test", 30)):
        Scenes(root, count, split=split)
    return root


@pytest.fixture(scope="module")
def made(scenes):
    """A graph and two caches, made by the commands."""
    run("graph", "--dataset", "voc2007", "--root", scenes, "--split", "train", "--out", scenes / "g.pt")
    for split in ("train", "test"):
        run(
            "extract",
            "--dataset",
            "voc2007",
            "--root",
            scenes,
            "--split",
            split,
            "--out",
            scenes / f"{split}.h5",
            *SMALL,
        )
    return scenes


def train_words(made, out, *more):
    caches = ("--graph", made / "g.pt", "--train", made / "train.h5", "--val", made / "test.h5")
    return ("train-head", *caches, "--epochs", 2, "--hidden", 16, "--out", out, *more)


def test_version_and_help():
    assert run("--version").startswith("mlgcn_pyg ")
    for command in ("demo", "graph", "extract", "train-head", "evaluate"):
        assert "--help" in run(command, "--help")


def test_the_demo_lists_its_devices(tmp_path):
    assert "cuda:1" not in run("demo", "--help") and "cuda:1" in run("predict", "--help")
    assert "one of auto, cpu, cuda" in refused("demo", "--out", tmp_path / "d", "--device", "cuda:1")


def test_a_progress_bar_cuts_no_number(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=shown, width=80, force_terminal=True))
    with pytest.raises(KeyboardInterrupt), console.progress_bar("training heads", 120_000) as update:
        update(12_345, "mlgcn seed 2 loss 0.0038 mAP 0.419")
        raise KeyboardInterrupt
    assert "12345/120000" in shown.getvalue() and "0.419" in shown.getvalue()


def test_a_progress_bar_ends_complete_after_skips_and_stays_where_it_was_interrupted(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=shown, width=80))
    for completed in (7, 0):
        with console.progress_bar("extracting", 8) as update:
            update(completed)
    with pytest.raises(KeyboardInterrupt), console.progress_bar("extracting", 9) as update:
        update(4)
        raise KeyboardInterrupt
    numbers = re.findall(r"\d/\d", shown.getvalue())
    assert numbers == ["7/7", "0/8", "4/9"]


def test_graph_prints_its_summary_and_draws(scenes, tmp_path):
    output = run("graph", "--dataset", "voc2007", "--root", scenes, "--split", "train", "--out", tmp_path / "g.pt",
                 "--weighting", "released", "--plot", tmp_path / "g.png")  # fmt: skip
    graph = LabelGraph.load(tmp_path / "g.pt")
    assert f"{graph.edge_index.size(1)} directed edges" in output and "boat → sea" in output
    assert graph.weighting == "released"
    with Image.open(tmp_path / "g.png") as picture:
        assert (
            min(picture.size) > 250 and max(picture.size) > 900 and len(picture.convert("RGB").getcolors(1 << 20)) > 50
        )


def test_graph_with_the_weighting_kernel(scenes, tmp_path):
    words = ("graph", "--dataset", "voc2007", "--root", scenes, "--split", "train", "--out", tmp_path / "g.pt")
    output = run(*words, "--weighting", "kernel", "--alpha", 0.3, "--plot", tmp_path / "g.png")
    graph = LabelGraph.load(tmp_path / "g.pt")
    assert graph.weighting == "kernel" and graph.alpha == 0.3
    assert "(weighting kernel, alpha = 0.3; " in output and "boat → sea" in output
    assert "--alpha: expected a number in [0, 1], found 1.5" in refused(*words, "--weighting", "kernel", "--alpha", 1.5)


def test_tau_0_is_the_complete_graph(scenes, tmp_path):
    words = ("graph", "--dataset", "voc2007", "--root", scenes, "--split", "train", "--out", tmp_path / "g.pt")
    run(*words, "--tau", 0)
    graph = LabelGraph.load(tmp_path / "g.pt")
    assert graph.tau == 0 and graph.edge_index.size(1) == graph.num_labels * (graph.num_labels - 1)
    run(*words, "--tau", 0, "--min-count", 1)
    assert LabelGraph.load(tmp_path / "g.pt").edge_prob.min() > 0


def test_extract_train_and_evaluate_agree(made, tmp_path):
    output = run(*train_words(made, tmp_path / "run", "--seeds", 2, "--recipe", "paper"))
    results = json.loads((tmp_path / "run/metrics.json").read_text())
    assert list(results["heads"]) == ["linear", "mlgcn"] and results["setup"]["config"]["epochs"] == 2
    for kind, result in results["heads"].items():
        assert [seed["seed"] for seed in result["seeds"]] == [0, 1]
        assert set(result["mean"]["all"]) == {"mAP", *COUNT_METRICS} and set(result["mean"]["top3"]) == set(
            COUNT_METRICS
        )
        values = [seed["all"]["mAP"] for seed in result["seeds"]]
        assert result["mean"]["all"]["mAP"] == pytest.approx(sum(values) / 2)
        assert result["std"]["all"]["mAP"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
        assert f"{100 * result['mean']['all']['mAP']:.1f} ±" in output
        for seed in result["seeds"]:
            history = (tmp_path / f"run/{kind}-seed{seed['seed']}.jsonl").read_text().splitlines()
            assert len(history) == 2 and json.loads(history[-1]) == seed["last_epoch"]
    files = sorted((tmp_path / "run").glob("*-seed*.pt"))
    words = (*(word for file in files for word in ("--checkpoint", file)), "--cache", made / "test.h5")
    alone = run("evaluate", *words, "--out", tmp_path / "e.json")
    assert "±" in output and "±" not in alone  # nothing is averaged here
    printed = CliRunner().invoke(app, ["evaluate", *map(str, words), "--json"]).stdout
    assert json.loads(printed) == json.loads((tmp_path / "e.json").read_text())
    scored = json.loads(printed)["checkpoints"]
    assert len(scored) == 4
    for kind, result in results["heads"].items():
        for seed in result["seeds"]:
            row = scored[str(tmp_path / f"run/{kind}-seed{seed['seed']}.pt")]
            assert row == {part: seed[part] for part in row}


def test_heads_trained_one_by_one_stand_beside_each_other(made, tmp_path):
    run(*train_words(made, tmp_path / "both"))
    run(*train_words(made, tmp_path / "one", "--head", "linear"))
    output = run(*train_words(made, tmp_path / "one", "--head", "mlgcn"))
    assert "linear" in output
    both, one = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("both", "one"))
    assert one["heads"] == {kind: both["heads"][kind] for kind in ("linear", "mlgcn")}
    assert both["recommendation"]["head"] in both["heads"] and (tmp_path / "both/recommended.pt").exists()
    assert "No head is recommended" in output and one["recommendation"] is None  # the two were not compared
    assert not (tmp_path / "one/recommended.pt").exists()


def test_results_of_a_different_setup_are_not_overwritten(made, tmp_path):
    run(*train_words(made, tmp_path, "--head", "linear"))
    before = (tmp_path / "metrics.json").read_text()
    line = refused(*train_words(made, tmp_path, "--head", "mlgcn", "--lr", 0.5))
    assert "--out: expected a new folder" in line and "--overwrite" in line
    assert (tmp_path / "metrics.json").read_text() == before
    run(*train_words(made, tmp_path, "--head", "mlgcn", "--lr", 0.5, "--overwrite"))
    assert list(json.loads((tmp_path / "metrics.json").read_text())["heads"]) == ["mlgcn"]


def test_a_table_gives_the_same_results(scenes, tmp_path):
    data = Scenes(tmp_path / "s", 12)
    rows = [";".join(n for n, y in zip(data.label_names, row, strict=True) if y == 1) for row in data.targets.tolist()]
    lines = [f"{path.name},{names}" for path, names in zip(data.image_paths, rows, strict=True)]
    (tmp_path / "t.csv").write_text("image,labels\n" + "\n".join(lines) + "\n")
    words = ("--dataset", "table", "--root", data.image_paths[0].parent, "--labels", tmp_path / "t.csv")
    run("graph", *words, "--out", tmp_path / "g.pt")
    run("extract", *words, "--graph", tmp_path / "g.pt", "--out", tmp_path / "t.h5", *SMALL)
    graph, cache = LabelGraph.load(tmp_path / "g.pt"), FeatureCache(tmp_path / "t.h5")
    assert cache.label_names == graph.label_names and len(cache) == 12
    present = (data.targets == 1).sum(dim=0)
    assert graph.label_counts.tolist() == [int(present[data.label_names.index(n)]) for n in graph.label_names]


def test_broken_images_stop_or_are_skipped(tmp_path):
    data = Scenes(tmp_path, 5)
    data.image_paths[2].write_bytes(b"")
    words = (
        "extract",
        "--dataset",
        "voc2007",
        "--root",
        tmp_path,
        "--split",
        "train",
        "--out",
        tmp_path / "x.h5",
        *SMALL,
    )
    line = refused(*words)
    assert (
        "that cannot be decoded: train_000002" in line
        and "--on-error skip" in line
        and not (tmp_path / "x.h5").exists()
    )
    assert "Skipped 1 images that cannot be decoded: train_000002" in run(*words, "--on-error", "skip")


def test_refusals_are_one_line_each(made, tmp_path):
    voc = ("--dataset", "voc2007", "--root", made)
    extract = ("extract", *voc, "--split", "train", "--out", tmp_path / "x.h5")
    torch.save({}, tmp_path / "other.pt")
    small = FeatureCache.from_arrays(tmp_path / "s.h5", torch.zeros(2, 4), torch.zeros(2, 2), ["a", "b"])
    table = [
        (("graph", *voc, "--split", "val", "--out", tmp_path / "g.pt"), "--split: expected one of test, train"),
        (("graph", *voc, "--out", tmp_path / "g.pt"), "--split: expected a split such as trainval"),
        (
            ("graph", "--dataset", "x", "--root", made, "--out", tmp_path / "g.pt"),
            "one of voc2007, coco2014, coco, table",
        ),
        (
            ("graph", *voc, "--split", "train", "--out", tmp_path / "g.pt", "--tau", -1),
            "--tau: expected a number in [0, 1]",
        ),
        (
            ("graph", *voc, "--split", "train", "--out", tmp_path / "g.pt", "--weighting", "gcn"),
            "paper, released, binary",
        ),
        (("graph", *voc, "--split", "train", "--out", tmp_path / "g.pt", "--embeddings", tmp_path / "no"), "no file"),
        (("graph", *voc, "--split", "train", "--out", tmp_path), "a file name, found the folder"),
        (("graph", "--dataset", "table", "--root", made, "--out", tmp_path / "g.pt"), "give --labels photos.csv"),
        ((*extract, "--backbone", "resnet7"), "found 'resnet7'; for example resnet"),
        ((*extract, "--weights", "w.pth"), "a file that exists"),
        ((*extract, *SMALL, "--device", "tpu"), "--device: expected"),
        (("evaluate", "--checkpoint", tmp_path / "other.pt", "--cache", made / "test.h5"), "checkpoint written by"),
        (("evaluate", "--checkpoint", tmp_path / "none", "--cache", made / "test.h5"), "a file that exists"),
        (
            train_words(made, tmp_path / "r", "--head", "gcn"),
            "--head: expected one of all, linear, sharing, mlgcn, both",
        ),
        (train_words(made, tmp_path / "r", "--hidden", "wide"), "--hidden: expected widths"),
        (train_words(made, tmp_path / "r", "--seeds", 0), "--seeds: expected an integer ≥ 1"),
        (train_words(made, tmp_path / "r", "--train", small.path), "labels"),
        (("graph", *voc, "--split", "train"), "Missing option '--out'"),
        (("graph", *voc, "--split", "train", "--out", tmp_path / "g.pt", "--tau", "abc"), "Invalid value for '--tau'"),
        (("mine",), "No such command 'mine'"),
        (
            (*extract, "--backbone", "vgg11", "--weights", "none", "--image-size", 16),
            "--image-size: expected a size that vgg11 accepts",
        ),
        ((*extract, *SMALL, "--num-workers", -1), "--num-workers: expected an integer ≥ 0"),
        ((*extract, *SMALL, "--device", "meta"), "--device: expected"),
        (train_words(made, tmp_path / "r", "--graph", made / "train.h5"), "--graph: expected a file of plain tensors"),
        (("demo", "--out", tmp_path / "d", "--seeds", 0), "--seeds: expected an integer ≥ 1"),
        (("demo", "--out", tmp_path / "d", "--head-epochs", 0), "--head-epochs: expected an integer ≥ 1"),
    ]
    for words, message in table:
        assert message in refused(*words), words


def test_a_file_where_a_folder_should_be_is_one_line(made, tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        output = run(*train_words(made, out, "--head", "linear"), code=2)
        assert "--out: expected a folder that can be written" in output and "training" not in output


def test_the_installed_program_ends_with_2_and_no_traceback(tmp_path):
    words = [sys.executable, "-m", "mlgcn_pyg", "graph", "--dataset", "voc2007", "--root", str(tmp_path), "--out", "g"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1


def test_demo_small(tmp_path):
    sizes = ("--num-train", 60, "--num-test", 40, "--image-size", 32, "--epochs", 1, "--head-epochs", 2, "--seeds", 2)
    output = run("demo", "--out", tmp_path / "demo", *sizes, "--device", "cpu")
    assert "boat → sea" in output and "mlgcn" in output and "linear" in output
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    wanted = {
        "graph.pt",
        "train.h5",
        "test.h5",
        "metrics.json",
        "label_graph.png",
        "per_class_ap.png",
        "mlgcn-seed1.pt",
    }
    assert wanted <= names
    assert json.loads((tmp_path / "demo/metrics.json").read_text())["heads"].keys() == {"linear", "sharing", "mlgcn"}
    assert "Recommended: the " in output and (tmp_path / "demo/recommended.pt").exists()
    page = tmp_path / "demo/report.html"
    assert output.rstrip().endswith(f"Open {page} in a browser to look at the results.")
    assert "data:image/jpeg;base64," in page.read_text(encoding="utf-8")  # scenes as thumbnails


def test_the_whole_path_on_real_photographs(shared, tmp_path):
    """The README's commands at a small image size; their table is at 448 pixels."""
    root, weights = shared / "voc2007", shared / "weights/mobilenet_v2-b0353104.pth"
    voc = ("--dataset", "voc2007", "--root", root)
    glove = shared / "glove/glove.6B.50d.12k.txt"
    run("graph", *voc, "--split", "trainval", "--embeddings", glove, "--out", tmp_path / "g.pt")
    for split in ("sample_trainval", "sample_test"):
        run("extract", *voc, "--split", split, "--backbone", "mobilenet_v2", "--weights", weights,
            "--image-size", 192, "--out", tmp_path / f"{split}.h5")  # fmt: skip
    caches = ("--train", tmp_path / "sample_trainval.h5", "--val", tmp_path / "sample_test.h5")
    out = tmp_path / "run"
    run("train-head", "--graph", tmp_path / "g.pt", *caches, "--epochs", 25, "--out", out)
    heads = json.loads((out / "metrics.json").read_text())["heads"]
    prevalence = 0.08
    assert all(heads[kind]["mean"]["all"]["mAP"] > 5 * prevalence for kind in heads)


def test_another_graph_of_the_same_size_is_another_setup(made, tmp_path):
    run(*train_words(made, tmp_path / "r", "--head", "mlgcn"))
    graph = LabelGraph.load(made / "g.pt")
    graph.label_counts = graph.label_counts + 1
    graph.save(tmp_path / "g2.pt")
    assert "results of a different setup" in refused(
        *train_words(made, tmp_path / "r", "--head", "mlgcn"), "--graph", tmp_path / "g2.pt"
    )


def test_an_undefined_map_is_null_and_costs_nothing(made, tmp_path):
    cache = FeatureCache(made / "test.h5")
    nothing = torch.zeros_like(cache.targets)
    FeatureCache.from_arrays(tmp_path / "n.h5", cache.load()[0], nothing, cache.label_names)
    run(*train_words(made, tmp_path / "r", "--head", "linear"), "--val", tmp_path / "n.h5")
    seed = json.loads((tmp_path / "r/metrics.json").read_text())["heads"]["linear"]["seeds"][0]
    assert seed["all"]["mAP"] is None and seed["last_epoch"]["mAP"] is None and seed["best_epoch"] is None
    assert "NaN" not in (tmp_path / "r/linear-seed0.jsonl").read_text()


def test_checkpoints_hold_their_recipe_and_old_ones_do_not_linger(made, tmp_path):
    run(*train_words(made, tmp_path, "--seeds", 2, "--lr", 0.05))
    content = torch.load(tmp_path / "mlgcn-seed1.pt", weights_only=True)
    assert content["config"]["seed"] == 1 and content["config"]["lr"] == 0.05 and content["config"]["epochs"] == 2
    run(*train_words(made, tmp_path, "--head", "linear", "--overwrite"))
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["linear-seed0.pt", "recommended.pt"]


def test_evaluate_shows_every_checkpoint_of_several_runs(made, tmp_path):
    for name in ("a", "b"):
        run(*train_words(made, tmp_path / name, "--head", "linear"))
    words = ("--checkpoint", tmp_path / "a", "--checkpoint", tmp_path / "b", "--cache", made / "test.h5")
    output = run("evaluate", *words)
    assert "a/recommended.pt" in output and "b/recommended.pt" in output


def test_label_names_with_brackets_are_shown_as_they_are(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("image,labels\na.png,dog [small];[/b]\n")
    words = ("--dataset", "table", "--root", tmp_path, "--labels", tmp_path / "t.csv")
    assert "dog [small] → [/b]" in run("graph", *words, "--out", tmp_path / "[/x]" / "g.pt")


def test_aliases_give_names_their_words(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("image,labels\na.png,tvset\n")
    (tmp_path / "v.txt").write_text("tv 1 0\nset 0 1\n")
    words = (
        "graph",
        "--dataset",
        "table",
        "--root",
        tmp_path,
        "--labels",
        tmp_path / "t.csv",
        "--out",
        tmp_path / "g.pt",
    )
    assert "--alias" in refused(*words, "--embeddings", tmp_path / "v.txt")
    run(*words, "--embeddings", tmp_path / "v.txt", "--alias", "tvset=tv set")
    assert LabelGraph.load(tmp_path / "g.pt").x.tolist() == [[0.5, 0.5]]
    assert "--alias: expected label=words" in refused(*words, "--embeddings", tmp_path / "v.txt", "--alias", "tvset")


def test_learned_edges_from_the_command_line(made, tmp_path):
    run(*train_words(made, tmp_path / "r", "--head", "mlgcn", "--learn-edges", "--learn-p", "--lr", 1.0))
    head = load_head(tmp_path / "r/mlgcn-seed0.pt")
    assert head.learned is not None and not torch.equal(head.label_graph().edge_weight, head.edge_weight)
    assert "a different setup" in refused(*train_words(made, tmp_path / "r", "--head", "mlgcn", "--lr", 1.0))
    LabelGraph.load(made / "g.pt").reweighted(weighting="binary").save(tmp_path / "b.pt")
    words = train_words(made, tmp_path / "b", "--head", "mlgcn", "--learn-edges")
    assert "weighting 'paper'" in refused(*words, "--graph", tmp_path / "b.pt")


def test_files_of_other_programs_are_not_removed(made, tmp_path):
    (tmp_path / "resnet-seed0.pt").touch()
    run(*train_words(made, tmp_path, "--head", "linear"))
    run(*train_words(made, tmp_path, "--head", "linear", "--lr", 0.5, "--overwrite"))
    assert (tmp_path / "resnet-seed0.pt").exists()
    (tmp_path / "metrics.json").unlink()
    assert "heads without a metrics.json" in refused(*train_words(made, tmp_path, "--head", "linear"))
    assert (tmp_path / "linear-seed0.pt").exists()
    assert "other results" in refused("demo", "--out", tmp_path)
