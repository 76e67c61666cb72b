"""What a page about a run shows, gathered from small runs of the command line; runs that were moved or damaged."""

import json
import math
import shutil

import pytest
import torch
from PIL import Image

from mlgcn_pyg.checkpoints import load_checkpoint, save_model, store_thresholds
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.evaluation import fit_calibration, mean_average_precision
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.graph import LabelGraph
from mlgcn_pyg.nn import MLGCN, Backbone, LinearHead
from mlgcn_pyg.run_report import run_content
from mlgcn_pyg.training import score
from tests.run_report.runs import NAMES, make_caches, make_run, other_cache, run


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Caches, photographs and a run that reports on test.h5."""
    folder = tmp_path_factory.mktemp("original")
    make_caches(folder)
    make_run(folder)
    return folder


@pytest.fixture
def made(original, tmp_path):
    """A copy of the caches and the run, elsewhere: paths in it are relative."""
    shutil.copytree(original, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_run_of_train_head(made):
    content = run_content(made / "run")
    metrics = json.loads((made / "run/metrics.json").read_text())
    assert content.title == "run" and content.images == "test.h5" and content.num_images == 48
    assert content.label_names == NAMES and torch.equal(content.targets, FeatureCache(made / "test.h5").targets)
    assert [head.name for head in content.heads] == ["linear", "sharing", "mlgcn"]
    assert [head.name for head in content.heads if head.recommended] == [metrics["recommendation"]["head"]]
    assert content.verdict[0].startswith("Recommended: the ") and content.reference == "linear"
    for head in content.heads:
        stored = metrics["heads"][head.name]
        assert mean_average_precision(head.logits, content.targets) == pytest.approx(stored["seeds"][0]["all"]["mAP"])
        assert head.num_seeds == len(stored["seeds"]) == (2 if head.name == "mlgcn" else 1)
        assert head.row == {part: stored["mean"][part] for part in ("all", "top3", "AP")}
        assert head.mAP.low == metrics["intervals"]["heads"][head.name]["mAP"]["low"] and len(head.AP) == 5
    assert content.heads[0].difference is None and content.heads[2].difference.low < 1
    assert [len(head.history) for head in content.heads] == [0, 0, 2] and content.heads[2].graph is not None
    assert content.tau == 0.4 and content.graph.tau == 0.1 and content.mistakes and content.suspects is not None
    assert all(case.thumbnail.picture is None for case in content.mistakes)  # no photographs were given
    assert any(metrics["setup"]["train"]["sha256"] in fact.value for fact in content.facts)
    assert content.study is None and content.commands == []


def test_the_graph_is_that_of_the_training_images(made):
    content = run_content(made / "run")
    targets = FeatureCache(made / "train.h5").targets
    expected = LabelGraph.from_targets(targets, label_names=NAMES, tau=0.1)
    assert torch.equal(content.graph.edge_index, expected.edge_index)
    (made / "train.h5").unlink()
    assert run_content(made / "run").graph.tau == 0.4  # that of the ML-GCN head


def test_photographs_become_thumbnails(made):
    content = run_content(made / "run", root=made / "photos")
    shown = {case.thumbnail.image: case.thumbnail.picture for case in content.mistakes}
    assert all((picture is not None) == (int(name.split()[1]) % 2 == 0) for name, picture in shown.items())
    with pytest.raises(InputError, match="root: expected the folder of the photographs"):
        run_content(made / "run", root=made / "run")


def test_thresholds_of_the_recommended_head_decide(made):
    before = run_content(made / "run")
    store_thresholds(made / "run/recommended.pt", torch.full((5,), torch.inf))
    after = run_content(made / "run")
    assert after.confusions == [] and after.broken == []  # nothing is predicted
    assert before.mistakes and {case.given for case in after.mistakes} == {1}


def test_the_files_are_only_read(made):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in made.rglob("*") if path.is_file()}
    run_content(made / "run", root=made / "photos")
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in made.rglob("*") if p.is_file()} == before


def test_validation_images_that_report_nothing_calibrate(made):
    head = run_content(made / "run").heads[0]
    val = FeatureCache(made / "val.h5")
    logits, targets = score(load_checkpoint(made / "run/linear-seed0.pt").head, val)
    assert torch.allclose(head.calibrated.double(), fit_calibration(logits, targets)(head.logits), atol=1e-5)
    (made / "val.h5").unlink()
    assert run_content(made / "run").heads[0].calibrated is None


def test_progress(made):
    calls = []
    run_content(made / "run", progress=lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == list(range(len(calls))) and {total for _, total, _ in calls} == {7}
    assert calls[0][2] == "scoring linear" and calls[-1][2] == "page"


def test_a_moved_feature_file_is_asked_for(made, tmp_path):
    moved = tmp_path / "elsewhere.h5"
    (made / "test.h5").rename(moved)
    with pytest.raises(InputError) as refused:
        run_content(made / "run")
    digest = FeatureCache(moved).digest()[:12]
    assert refused.value.argument == "cache" and "no such file" in refused.value.found
    assert refused.value.expected == f"the test images of the run, test.h5 (48 images, SHA-256 {digest}…)"
    assert run_content(made / "run", cache=moved).images == "test.h5"
    assert run_content(made / "run", cache=FeatureCache(moved)).num_images == 48


def test_other_images_are_refused(made):
    other = other_cache(made)
    for given, told in ((other, "9 images"), (made / "train.h5", "the training images"), (made / "val.h5", "val")):
        with pytest.raises(InputError, match="cache: expected the test images of the run, .*, found") as refused:
            run_content(made / "run", cache=given)
        assert told in refused.value.found
    with pytest.raises(InputError, match="train: expected the training images of the run"):
        run_content(made / "run", train=other)
    shutil.move(other, made / "test.h5")  # under the same name
    with pytest.raises(InputError, match="cache: .* found other images in .*test.h5; give the path"):
        run_content(made / "run")


def test_heads_of_another_run_are_refused(made):
    shutil.copy(made / "run/mlgcn-seed0.pt", made / "run/linear-seed0.pt")
    shutil.copy(made / "run/mlgcn-seed0.pt", made / "run/recommended.pt")
    with pytest.raises(InputError, match="run: expected the head of metrics.json, with .* mAP, found .* by .*/run/"):
        run_content(made / "run")


@pytest.mark.parametrize("name", ["linear-seed0.pt", "mlgcn-seed0.jsonl", "metrics.json"])
def test_damaged_files_are_one_line(made, name):
    (made / "run/recommended.pt").unlink()
    path = made / "run" / name
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=f"^run: .*{name}") as refused:
        run_content(made / "run")
    assert "\n" not in str(refused.value)
    if name.endswith(".pt"):
        path.unlink()
        with pytest.raises(InputError, match=f"run: expected a file that exists, found no file .*{name}"):
            run_content(made / "run")


def test_numbers_of_a_history_that_are_not_finite_are_left_out(made):
    path = made / "run/mlgcn-seed0.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([first.replace(first.split('"loss": ')[1].split(",")[0].rstrip("}"), "1e999"), *rest]))
    (head,) = [head for head in run_content(made / "run").heads if head.name == "mlgcn"]
    assert head.history[0]["loss"] is None and head.history[1]["loss"] is not None


def test_a_run_without_recommendation(made):
    path = made / "run/metrics.json"
    content = json.loads(path.read_text())
    for part in ("heads", "differences"):
        content["intervals"][part].pop("mlgcn")
    path.write_text(json.dumps(content | {"recommendation": None}))
    found = run_content(made / "run")
    assert not any(head.recommended for head in found.heads) and "No head is recommended" in found.verdict[0]
    assert math.isnan(found.heads[2].mAP.low) and found.heads[2].mAP.value > 0 and len(found.heads[2].AP) == 5


def test_a_run_of_an_earlier_version(made):
    """Without the files, the commands and the counts that later versions record."""
    path = made / "run/metrics.json"
    content = json.loads(path.read_text())
    del content["files"], content["commands"], content["intervals"]["positives"]
    path.write_text(json.dumps(content))
    assert run_content(made / "run").num_images == 48  # found beside the folder


def test_a_study_and_pictures(made, tmp_path):
    study = {"verdict": ["It helps."], "contenders": [], "comparisons": [], "commands": ["mlgcn study"]}
    (tmp_path / "study").mkdir()
    (tmp_path / "study/study.json").write_text(json.dumps(study))
    Image.new("RGB", (5, 5)).save(tmp_path / "study/controls.png")
    Image.new("RGB", (5, 5)).save(made / "run/classifiers.png")
    with_study = run_content(made / "run", study=tmp_path / "study")
    assert with_study.study.verdict == ["It helps."] and len(with_study.study.figures) == 2
    alone = run_content(tmp_path / "study")
    assert (
        alone.commands == ["mlgcn study"]
        and alone.verdict == ["It helps."]
        and alone.heads == ()
        and len(alone.study.figures) == 1
    )
    with pytest.raises(InputError, match="cache: expected no value for a folder of mlgcn study"):
        run_content(tmp_path / "study", cache=made / "test.h5")
    with pytest.raises(InputError, match="study: expected a file that exists"):
        run_content(made / "run", study=tmp_path)


def test_a_network(made, tmp_path):
    backbone = Backbone("squeezenet1_1")
    head = LinearHead(5, 512, NAMES)
    save_model(tmp_path / "last.pt", MLGCN(backbone, head), image_size=64, config={"epochs": 2})
    (tmp_path / "history.jsonl").write_text('{"epoch": 1, "lr": 0.1, "loss": 0.5, "mAP": null}\n')
    targets = torch.randint(-1, 2, (20, 5))
    meta = {"backbone": "squeezenet1_1", "weights_sha256": backbone.digest(), "pool": "max", "image_size": [64, 64]}
    cache = FeatureCache.from_arrays(tmp_path / "f.h5", torch.randn(20, 512), targets, NAMES, meta=meta)
    content = run_content(tmp_path, cache=cache.path, train=cache)
    assert content.verdict[0].startswith("The network has ") and content.verdict[0].endswith(" after epoch 1.")
    assert len(content.heads) == 1 and content.heads[0].mAP.low < content.heads[0].mAP.high
    assert content.graph.tau == 0.1 and content.heads[0].history[0]["epoch"] == 1
    with pytest.raises(InputError, match="cache: expected features by the network in .*last.pt, found none"):
        run_content(tmp_path)
    other = FeatureCache.from_arrays(
        tmp_path / "o.h5", torch.randn(20, 512), targets, NAMES, meta=meta | {"pool": "avg"}
    )
    with pytest.raises(InputError, match="cache: expected features with pool max"):
        run_content(tmp_path, cache=other)


def test_folders_that_are_no_runs(tmp_path, made):
    for folder, told in (
        (tmp_path / "absent", "no folder"),
        (made / "run/metrics.json", "the file .*; give its folder, "),
        (made, "neither metrics.json nor last.pt nor study.json in"),
    ):
        with pytest.raises(InputError, match=f"run: expected a folder of mlgcn train-head, .*, found {told}"):
            run_content(folder)
    (tmp_path / "half/unfinished").mkdir(parents=True)
    with pytest.raises(InputError, match="; the run is not finished; the same command resumes it"):
        run_content(tmp_path / "half")


def test_calls_with_wrong_arguments(made):
    for arguments, argument in (
        ({"run": 3}, "run"),
        ({"run": made / "run", "progress": 3}, "progress"),
        ({"run": made / "run", "study": 3}, "study"),
        ({"run": made / "run", "root": made / "absent"}, "root"),
        ({"run": made / "run", "cache": made / "absent.h5"}, "cache"),
        ({"run": made / "run", "device": "gpu"}, "device"),
    ):
        with pytest.raises(InputError) as refused:
            run_content(**arguments)
        assert refused.value.argument == argument


def test_the_mean_of_views(tmp_path):
    make_caches(tmp_path)
    for part in ("train", "val", "test"):
        cache = FeatureCache(tmp_path / f"{part}.h5")
        features = cache.load()[0].float().repeat(1, 3, 1) + torch.randn(48, 3, cache.num_features)
        FeatureCache.from_arrays(cache.path, features, cache.targets, NAMES, ids=cache.ids)
    folder = make_run(tmp_path, "--views", "mean")
    content = run_content(folder)  # the metrics of the first view would not agree
    head, metrics = content.heads[0], json.loads((folder / "metrics.json").read_text())
    expected = metrics["heads"]["linear"]["seeds"][0]["all"]["mAP"]
    assert mean_average_precision(head.logits, content.targets) == pytest.approx(expected)


def test_a_folder_behind_a_link(made, tmp_path):
    (tmp_path / "link").symlink_to(made / "run")
    assert run_content(tmp_path / "link").num_images == 48


def test_recorded_files_are_relative(original):
    content = json.loads((original / "run/metrics.json").read_text())
    assert content["files"] == {"train": "../train.h5", "val": "../val.h5", "test": "../test.h5"}
    assert content["commands"] == []  # a test is no program
    assert load_checkpoint(original / "run/recommended.pt").head.label_names == NAMES
    assert "mlgcn report" in " ".join(run("train-head", "--help").replace("│", " ").split())
