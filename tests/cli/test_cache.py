"""``mlgcn extract`` interrupted and run again, and ``mlgcn cache``."""

import json
import os
import signal
import subprocess
import sys
import time

import h5py
import pytest
import torch
from typer.testing import CliRunner

from mlgcn_pyg.cli.main import app
from mlgcn_pyg.datasets import Scenes
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache
from mlgcn_pyg.features.reading import read_contents
from tests.cli.test_cli import SMALL, refused, run


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("cli")
    Scenes(root, 20)
    return root


def words(scenes, out, *more):
    data = ("--dataset", "voc2007", "--root", scenes, "--split", "train", "--batch-size", 4, "--device", "cpu")
    return ("extract", *data, "--out", out, *SMALL, *more)


@pytest.fixture
def cache(scenes, tmp_path):
    run(*words(scenes, tmp_path / "s.h5"))
    return tmp_path / "s.h5"


def test_again_is_nothing_to_do_and_another_key_is_refused(scenes, cache):
    before = cache.read_bytes()
    assert "nothing to do" in run(*words(scenes, cache))
    line = refused(*words(scenes, cache, "--dtype", "float32"))
    assert "dtype: float16 in the file, float32 requested" in line and "--overwrite" in line
    assert cache.read_bytes() == before
    run(*words(scenes, cache, "--dtype", "float32", "--overwrite"))
    assert FeatureCache(cache).meta["dtype"] == "float32"


def test_ctrl_c_reports_how_to_resume(scenes, tmp_path, cache):
    out, slow = tmp_path / "c.h5", ("--backbone", "resnet34", "--views", 10)
    process = subprocess.Popen(
        [sys.executable, "-m", "mlgcn_pyg", *map(str, words(scenes, out, *slow))],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    partial = tmp_path / "c.h5.partial"
    while process.poll() is None:  # until at least one batch is there
        if written(partial) > 0:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate()
    assert process.returncode == 130 and "Traceback" not in errors, errors
    assert (
        f"Interrupted. Finished batches are in {out}.partial. Run the same command to resume." in said
        and not out.exists()
    )
    assert "resuming from" in run(*words(scenes, out, *slow)) and len(FeatureCache(out)) == 20


def test_shards_and_views_from_the_command_line(scenes, cache, tmp_path):
    for i in range(2):
        run(*words(scenes, tmp_path / f"part{i}.h5", "--shard", f"{i}/2"))
    parts, whole = FeatureCache(f"{tmp_path}/part*.h5"), FeatureCache(cache)
    assert torch.equal(parts.load()[0], whole.load()[0])
    assert "i/n such as 0/4" in refused(*words(scenes, tmp_path / "x.h5", "--shard", "two"))
    run(*words(scenes, tmp_path / "v.h5", "--views", 3))
    views = FeatureCache(tmp_path / "v.h5")
    assert views.num_views == 3 and torch.equal(views.load()[0][:, 0], whole.load()[0][:, 0])
    assert "MultiScaleCrop" in views.meta["view_transform"]


def test_info_head_and_verify(cache):
    told = json.loads(run("cache", "info", cache, "--json"))
    assert told["images"] == 20 and told["key"]["backbone"] == "resnet18" and told["batch_size"] == 4
    assert told["key"]["weights_sha256"] and told["meta"]["versions"]["torch"]
    assert "resnet18" in run("cache", "info", cache)
    rows = json.loads(run("cache", "head", cache, "-n", 3, "--json"))
    data = FeatureCache(cache)
    assert [row["id"] for row in rows] == list(data.ids[:3])
    assert rows[0]["labels"] == [n for n, t in zip(data.label_names, data.targets[0], strict=True) if t == 1]
    assert "train_000000" in run("cache", "head", cache)
    assert "20 images, good" in run("cache", "verify", cache)


def test_verify_and_repair_of_a_damaged_file(scenes, cache):
    good = cache.read_bytes()
    with open(cache, "rb+") as file:
        file.seek(read_contents(cache).offset + 7 * 1024)
        file.write(b"\x00\x00")
    said = run("cache", "verify", cache, "--json", code=1)  # with the bar, which goes to stderr
    report = json.loads(said[said.index("[\n") :])
    assert report[0]["damaged"] == [1] and not report[0]["good"]
    assert "1 damaged batches (1)" in run("cache", "verify", cache, code=1)
    said = run("cache", "repair", cache)
    assert (
        f"The unfinished file is {cache}.partial. Run the same mlgcn extract command to complete it." in said
        and not cache.exists()
    )
    assert "4 of 5 batches are verified" in run(*words(scenes, cache))
    assert cache.read_bytes() == good
    assert "good" in run("cache", "repair", cache) and cache.exists()


def test_files_that_are_no_cache_are_one_line(tmp_path):
    (tmp_path / "x.h5").write_text("no")
    for command in ("info", "verify", "repair", "head"):
        assert "an HDF5 feature file" in refused("cache", command, tmp_path / "x.h5")
        assert "no file" in refused("cache", command, tmp_path / "none.h5")


def test_killed_halfway_and_resumed_gives_the_same_map_on_real_photographs(shared, tmp_path):
    """The whole way to the last digit: extraction killed, resumed, a head trained, its mAP."""
    options = (
        "--dataset", "voc2007", "--root", shared / "voc2007", "--backbone", "mobilenet_v2", "--image-size", 112,
        "--weights", shared / "weights" / "mobilenet_v2-b0353104.pth", "--batch-size", 5, "--device", "cpu",
    )  # fmt: skip
    results = []
    for name in ("whole", "killed"):
        files = [tmp_path / f"{name}-{split}.h5" for split in ("sample_trainval", "sample_test")]
        for file in files:
            command = ["extract", *map(str, options), "--split", file.stem.removeprefix(f"{name}-"), "--out", str(file)]
            if name == "killed":
                kill_halfway([sys.executable, "-m", "mlgcn_pyg", *command], file.with_name(file.name + ".partial"))
                assert "resuming from" in run(*command)
            else:
                run(*command)
        out = tmp_path / name
        run("train-head", "--train", files[0], "--val", files[1], "--head", "linear", "--epochs", 5, "--out", out)
        results.append(json.loads((out / "metrics.json").read_text())["heads"]["linear"]["mean"])
    assert results[0] == results[1] and results[0]["all"]["mAP"] > 0.2


def kill_halfway(command, partial):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if written(partial) >= 0.5:
            process.kill()
            break
        time.sleep(0.01)
    process.wait()
    assert process.returncode == -signal.SIGKILL


def written(partial):
    """The share of batches that a file in the making holds, as far as can be seen in the middle of a write."""
    try:
        return read_contents(partial, complete=False).checksums.any(axis=1).mean()
    except InputError:
        return 0


def said(*words, **environment):
    """What a command prints in a process of its own: (exit code, stdout, stderr)."""
    command = [sys.executable, "-m", "mlgcn_pyg", *map(str, words)]
    done = subprocess.run(command, capture_output=True, env=os.environ | environment)
    return done.returncode, done.stdout, done.stderr.decode()


def small_file(path, value=1.0, names=("a",), ids=("x", "y"), **options):
    features, targets = torch.full((2, 3), value), torch.ones(2, len(names))
    features[1] = 0.5
    return FeatureCache.from_arrays(path, features, targets, names, ids=ids, **options).path


def test_json_output_is_valid_json_for_errors_too(tmp_path):
    (tmp_path / "text.h5").write_text("no")
    for command in ("info", "verify", "repair", "head"):
        for path in (tmp_path / "none.h5", tmp_path / "text.h5", tmp_path, f"{tmp_path}/no*"):
            result = CliRunner().invoke(app, ["cache", command, str(path), "--json"])
            told = json.loads(result.stdout)
            assert result.exit_code == 2 and "FILE: expected" in (told[0] if isinstance(told, list) else told)["error"]
            assert "mlgcn: error: FILE: expected" in result.stderr


@pytest.mark.filterwarnings("error")
def test_json_of_numbers_that_json_cannot_represent(tmp_path):
    path = small_file(tmp_path / "f.h5", 3e38, dtype="float32")  # the norm is more than float32 can hold
    (first, second) = json.loads(run("cache", "head", path, "--json"))
    assert first["norm"] == pytest.approx(3e38 * 3**0.5) and second["norm"] == pytest.approx(0.75**0.5, abs=1e-4)
    with h5py.File(path, "r+") as file:
        file["features"][0, 0, 1] = float("inf")
    (first, _) = json.loads(run("cache", "head", path, "--json"))
    assert first["norm"] is None and first["features"][1] is None and first["features"][0] is not None


def test_json_on_a_terminal_of_few_letters(tmp_path):
    names = ("é", "日", "😀")
    path = small_file(tmp_path / "f.h5", names=names)
    code, out, _ = said("cache", "head", path, "--json", PYTHONIOENCODING="ascii")
    assert code == 0 and json.loads(out.decode("ascii"))[0]["labels"] == list(names)


def test_verify_looks_at_every_file_and_whether_they_are_one_cache(tmp_path):
    for k in range(3):
        small_file(tmp_path / f"p{k}.h5", ids=(f"{k}x", f"{k}y"))
    pattern = f"{tmp_path}/p*.h5"
    assert run("cache", "verify", pattern).count("2 images, good") == 3
    content = (tmp_path / "p1.h5").read_bytes()
    (tmp_path / "p1.h5").write_bytes(content[:1000])
    output = run("cache", "verify", pattern, code=2)
    assert output.count("2 images, good") == 2 and "an HDF5 feature file, found" in output
    result = CliRunner().invoke(app, ["cache", "verify", pattern, "--json"])
    assert [one["good"] for one in json.loads(result.stdout)] == [True, False, True]
    small_file(tmp_path / "p1.h5", ids=("0x", "1y"))  # good alone
    output = run("cache", "verify", pattern, code=1)
    assert output.count("2 images, good") == 3 and "each image in one file, found 0x in" in output


def test_ctrl_c_before_there_is_anything_does_not_speak_of_finished_batches(scenes, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mlgcn_pyg.features.plan.broken_images", interrupt)
    output = run(*words(scenes, tmp_path / "s.h5", "--on-error", "skip"), code=130)
    assert "Interrupted. Nothing has been written. Run the same command to resume." in output
    assert list(tmp_path.iterdir()) == []
