"""``mlgcn train`` as a person runs it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
import torchvision

from mlgcn_pyg.checkpoints import load_checkpoint
from mlgcn_pyg.datasets import Scenes
from tests.cli.test_cli import refused, run


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("train")
    for split, count in (("train", 24), ("test", 10)):
        Scenes(root, count, split=split)
    return root


def words(scenes, out, *more):
    data = ("--dataset", "voc2007", "--root", scenes, "--split", "train", "--val-split", "test", "--device", "cpu")
    small = ("--backbone", "squeezenet1_1", "--weights", "none", "--image-size", "64x48", "--hidden", 16)
    return ("train", *data, "--out", out, *small, "--batch-size", 8, "--epochs", 2, *more)


def test_train_predict_and_evaluate_need_nothing_but_the_checkpoint(scenes, tmp_path):
    said = run(*words(scenes, tmp_path / "run"))
    assert "Epoch 2: loss" in said and "mAP" in said and "last.pt" in said
    checkpoint = load_checkpoint(tmp_path / "run" / "last.pt")
    assert checkpoint.image_size == (64, 48) and checkpoint.config["epochs"] == 2
    assert len(checkpoint.label_names) == 16 and checkpoint.head.base_graph().num_edges > 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2] and lines[-1]["mAP"] is not None
    photos = scenes / "VOCdevkit" / "VOC2007" / "JPEGImages"
    out = tmp_path / "labels.jsonl"
    run(
        "predict", photos, "--checkpoint", tmp_path / "run" / "best.pt", "--format", "jsonl", "--top-k", 2, "--out", out
    )
    assert len(out.read_text().splitlines()) == 34
    data = ("--dataset", "voc2007", "--root", scenes, "--split", "test", "--device", "cpu")
    network, cache = tmp_path / "run" / "last.pt", tmp_path / "val.h5"
    run("extract", *data, "--checkpoint", network, "--out", cache)
    assert "no value, since the checkpoint records it" in refused(
        "extract", *data, "--checkpoint", network, "--pool", "avg", "--out", cache
    )
    shown = json.loads(
        (
            run("evaluate", "--checkpoint", network, "--cache", cache, "--out", tmp_path / "e.json"),
            (tmp_path / "e.json").read_text(),
        )[1]
    )
    scored = shown["checkpoints"][str(network)]["all"]["mAP"]
    assert abs(scored - lines[-1]["mAP"]) < 1e-3  # cached in float16, as in training otherwise
    assert "Wrote the thresholds into" in run("thresholds", "--checkpoint", network, "--cache", cache)
    other = ("--backbone", "squeezenet1_1", "--weights", "none", "--seed", 9, "--image-size", "64x48")
    run("extract", *data, *other, "--out", tmp_path / "other.h5")
    assert "weights_sha256" in refused("evaluate", "--checkpoint", network, "--cache", tmp_path / "other.h5")
    assert "Epoch 2" in run(*words(scenes, tmp_path / "run"))  # done already: said again, not trained again


def test_recipes_of_the_command_line(scenes, tmp_path):
    more = (
        "--schedule",
        "one_cycle",
        "--ema-decay",
        0.9,
        "--accumulate",
        2,
        "--frozen-epochs",
        1,
        "--loss",
        "asymmetric",
    )
    run(
        *words(
            scenes, tmp_path / "a", *more, "--clip-norm", 0, "--channels-last", "--num-workers", 1, "--head", "linear"
        )
    )
    config = load_checkpoint(tmp_path / "a" / "last.pt").config
    assert config["schedule"] == "one_cycle" and config["clip_norm"] is None and config["ema_decay"] == 0.9


def test_refusals_are_one_line_and_lose_nothing(scenes, tmp_path):
    run(*words(scenes, tmp_path / "run"))
    before = (tmp_path / "run" / "last.pt").read_bytes()
    assert "a different recipe.lr: 0.01 stored, 0.5 given" in refused(*words(scenes, tmp_path / "run", "--lr", 0.5))
    weights = scenes / "weights.pth"
    torch.save(torchvision.models.squeezenet1_1().state_dict(), weights)
    line = refused(*words(scenes, tmp_path / "run", "--weights", weights))
    assert "a different network.backbone.weights: None stored, weights.pth given" in line
    assert (tmp_path / "run" / "last.pt").read_bytes() == before
    for more, message in [
        (("--image-size", "large"), "--image-size: expected a side such as 448, or HEIGHTxWIDTH"),
        (("--image-size", 8), "--image-size: expected a size that squeezenet1_1 accepts"),
        (("--precision", "fp16"), "--precision: expected float32 or bf16 on this device"),
        (("--schedule", "warm"), "--schedule: expected one of step, cosine, one_cycle"),
        (("--val-split", "none"), "--split: expected one of"),
        (("--graph", tmp_path / "no.pt"), "no file"),
        (("--head", "tree"), "--head: expected one of mlgcn, linear"),
        (("--device", "tpu"), "device"),
    ]:
        assert message in refused(*words(scenes, tmp_path / "other", *more))
    (tmp_path / "file").write_text("")
    assert "mlgcn: error" in refused(*words(scenes, tmp_path / "file"))


def test_a_graph_of_other_labels_and_a_label_without_positives(scenes, tmp_path):
    (tmp_path / "t.csv").write_text("image,labels\n" + "".join(f"train_{n:06d}.jpg,sun;moon\n" for n in range(9)))
    photos = scenes / "VOCdevkit" / "VOC2007" / "JPEGImages"
    run("graph", "--dataset", "voc2007", "--root", scenes, "--split", "train", "--out", tmp_path / "g.pt")
    table = ("--dataset", "table", "--root", photos, "--labels", tmp_path / "t.csv", "--device", "cpu")
    small = ("--backbone", "squeezenet1_1", "--weights", "none", "--image-size", 64, "--epochs", 1, "--hidden", 8)
    said = run("train", *table, *small, "--graph", tmp_path / "g.pt", "--out", tmp_path / "run")
    assert "Warning: no training image has " in said and "tree" in said
    (tmp_path / "t.csv").write_text("image,labels\ntrain_000000.jpg,unicorn\n")
    line = refused("train", *table, *small, "--graph", tmp_path / "g.pt", "--out", tmp_path / "other")
    assert "unicorn" in line


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_reports_how_to_resume(scenes, tmp_path, number, code):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "mlgcn_pyg", *map(str, words(scenes, out, "--epochs", 500, "--image-size", 96))]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    for _ in range(6000):  # a loaded machine takes minutes to import torch
        if (out / "state.pt").exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(number)
    said, errors = process.communicate()
    assert process.returncode == code and "Traceback" not in errors, errors
    assert f"Interrupted. The state is in {out}. Run the same command to resume." in said
    assert load_checkpoint(out / "last.pt").model is not None


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_signal_to_all_processes_of_a_run_waits_for_the_step(scenes, tmp_path, one_by_one):
    """As launchers and shells send it: the workers, too, must live until the state is written."""
    out = tmp_path / "run"
    more = ("--epochs", 500, "--image-size", 96, "--num-workers", 2)
    command = [sys.executable, "-m", "mlgcn_pyg", *map(str, words(scenes, out, *more))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0)
    while process.poll() is None and not (out / "state.pt").exists():
        time.sleep(0.05)
    if one_by_one:
        for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGTERM)
    else:
        os.killpg(process.pid, signal.SIGTERM)
    said, errors = process.communicate()
    assert process.returncode == 143 and "Traceback" not in errors, errors
    assert f"Interrupted. The state is in {out}. Run the same command to resume." in said


def test_damaged_images_are_found_before_training_and_skipped_if_asked_for(tmp_path):
    data = Scenes(tmp_path, 10, split="train")
    broken = data.image_paths[4]
    broken.write_bytes(broken.read_bytes()[:100])
    small = ("--backbone", "squeezenet1_1", "--weights", "none", "--image-size", 64, "--hidden", 16, "--epochs", 1)
    command = ("train", "--dataset", "voc2007", "--root", tmp_path, "--split", "train", "--device", "cpu", *small)
    line = refused(*command, "--out", tmp_path / "run")
    assert line.startswith("mlgcn: error: --dataset: expected images that can be decoded, found 1 of 10")
    assert "skip them with --on-error skip" in line and not list((tmp_path / "run").iterdir())
    said = run(*command, "--out", tmp_path / "run", "--on-error", "skip")
    assert f"Skipped 1 images that cannot be decoded: {data.ids[4]}" in said and "Epoch 1: loss" in said
    assert "one of stop, skip" in refused(*command, "--out", tmp_path / "run", "--on-error", "ignore")
