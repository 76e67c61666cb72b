"""Studies that are interrupted, killed, shared among processes, and started twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.experiments.study import run_study
from mlgcn_pyg.experiments.study import workers as workers_module
from mlgcn_pyg.experiments.study.plan import make_plan
from mlgcn_pyg.experiments.study.storage import run_path
from mlgcn_pyg.files.locks import locked_folder
from tests.experiments.study.small import DIES_AFTER, make_small, opened, parts, plan_of, pool

PROGRAM = Path(__file__).with_name("program.py")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    make_small(monkeypatch)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The folder of the caches, and the runs of an uninterrupted study in one process."""
    folder = tmp_path_factory.mktemp("study")
    parts(folder)
    data = opened(folder)
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        return folder, run_study(data, plan_of(data), folder / "one").runs


def start(folder, out, workers, *words):
    command = [sys.executable, str(PROGRAM), str(folder), str(out), str(workers), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def check_equal(folder, runs):
    """Checks that the files of a folder hold exactly these runs, except for their durations."""
    for run in runs:
        with np.load(run_path(folder, run.key)) as found:
            assert found["logits"].tobytes() == run.logits.tobytes() and np.array_equal(found["rows"], run.rows)
            assert found["numbers"][[0, 2, 3]].tolist() == [run.val_mAP, run.factor, run.num_parameters]
    assert len(list((folder / "runs").iterdir())) == len(runs)
    assert sorted(path.name for path in folder.iterdir()) == ["runs", "setup.json"]


def resume(folder, out):
    data = opened(folder)
    return run_study(data, plan_of(data), out)


def children_of(process):
    return [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]


def wait_for_end(processes, seconds=20):
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert not alive


def test_a_finished_study_is_read(reference, tmp_path, monkeypatch):
    folder, runs = reference
    monkeypatch.setattr(workers_module, "compute_run", None)  # nothing is computed
    found = resume(folder, folder / "one").runs
    assert [run.key for run in found] == [run.key for run in runs]
    assert all(np.array_equal(a.logits, b.logits) for a, b in zip(found, runs, strict=True))


def test_a_killed_study_with_worker_processes_is_resumed_with_the_same_result(reference, tmp_path):
    folder, runs = reference
    process = start(folder, tmp_path, 2, "killed")
    said = process.stdout.readline()
    children = children_of(process)
    said += process.communicate(timeout=300)[0]
    assert process.returncode == -signal.SIGKILL and len(children) == 2
    assert said.splitlines() == [f"{k + 1}/{len(runs)}" for k in range(DIES_AFTER)]
    wait_for_end(children)  # they notice that the process that started them is gone
    assert DIES_AFTER <= len(list((tmp_path / "runs").glob("*.npz"))) < len(runs)
    data, seen = opened(folder), []
    run_study(data, plan_of(data), tmp_path, progress=lambda finished, *_: seen.append(finished))
    check_equal(tmp_path, runs)
    assert seen[-1] == len(runs) and len(seen) <= len(runs) - DIES_AFTER


def test_ctrl_c_ends_all_processes_at_once_and_the_study_is_resumed(reference, tmp_path):
    folder, runs = reference
    process = start(folder, tmp_path, 2)
    process.stdout.readline()  # a run is finished
    children = children_of(process)
    assert len(children) == 2
    for one in [*children, process]:  # as a terminal does
        one.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, stderr = process.communicate(timeout=300)
    assert time.monotonic() - began < 10 and process.returncode == -signal.SIGINT
    assert stderr.count("KeyboardInterrupt") == 1  # workers are silent
    wait_for_end(children, 0)
    resume(folder, tmp_path)
    check_equal(tmp_path, runs)


def test_ctrl_c_while_workers_start_is_silent_in_them(reference, tmp_path):
    process = start(reference[0], tmp_path, 2)
    deadline = time.monotonic() + 300
    while len(children := children_of(process)) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    for one in [*children, process]:
        one.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=300)
    assert stderr.count("KeyboardInterrupt") == 1
    wait_for_end(children, 0)


def test_a_worker_that_is_killed_is_an_error_in_words(reference, tmp_path):
    folder, runs = reference
    process = start(folder, tmp_path, 2)
    process.stdout.readline()
    children = children_of(process)
    children[0].kill()
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 1 and stderr.strip().splitlines()[-1] == (
        "InputError: workers: expected processes that compute runs until the study is finished, "
        "found one that was ended by signal 9; use fewer workers, which require less memory"
    )
    wait_for_end(children, 0)
    resume(folder, tmp_path)
    check_equal(tmp_path, runs)


def test_an_error_in_a_worker_ends_the_study_with_its_traceback(reference, tmp_path):
    data = opened(reference[0])
    plan = make_plan(data, (), ["linear"])
    (tmp_path / "runs").write_text("a file, where the folder of the runs should be")
    with pytest.raises(OSError) as caught:
        run_study(data, plan, tmp_path, workers=2)
    assert "in write_run" in "".join(caught.value.__notes__)
    wait_for_end([child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())], 0)


def test_two_processes_of_a_launcher_compute_the_same(reference, tmp_path):
    folder, runs = reference
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(PROGRAM)]
    command += [str(folder), str(tmp_path), "1"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300)
    assert done.returncode == 0, done.stderr
    check_equal(tmp_path, runs)
    half = len(runs) // 2
    steps = [f"{k + 1}/{half}" for k in range(half)]
    assert sorted(done.stdout.splitlines()) == sorted([*steps, *steps, f"{len(runs)} runs", "0 runs"])


def test_a_folder_takes_one_study_at_a_time(reference, tmp_path):
    message = "folder: expected a folder that no other study is using"
    with locked_folder(tmp_path), pytest.raises(InputError, match=message):
        resume(reference[0], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_run_is_computed_again(reference, tmp_path):
    folder, runs = reference
    data = opened(folder)
    plan = make_plan(data, (), ["linear", "sharing"], num_images=60)
    study = run_study(data, plan, tmp_path)
    path = run_path(tmp_path, study.runs[0].key)
    path.write_bytes(path.read_bytes()[:-30])
    seen = []
    run_study(data, plan, tmp_path, progress=lambda *found: seen.append(found))
    assert seen == [(len(study.runs), len(study.runs), study.runs[0].key)]
    check_equal(tmp_path, [run for run in runs if run.key.contender in ("linear", "sharing")])


def test_a_folder_of_different_data_is_refused(reference, tmp_path):
    data = opened(reference[0])
    plan = make_plan(data, (), ["linear"], num_images=60)
    run_study(data, plan, tmp_path)
    for changed, what in (
        (parts(tmp_path / "other", embeddings=None), "embeddings"),
        (parts(tmp_path / "other", seed=1), "seed"),
        (pool(tmp_path / "other"), "features, shared_test, embeddings"),
    ):
        with pytest.raises(InputError, match=f"folder: .*found different {what} in .*setup.json; choose a different"):
            run_study(changed, make_plan(changed, (), ["linear"]), tmp_path)


def test_a_folder_is_used_again_for_more_contenders_and_splits(reference, tmp_path):
    folder, _ = reference
    data = opened(folder)
    first = run_study(data, make_plan(data, (), ["linear"]), tmp_path)
    more, seen = parts(folder, num_splits=5), []
    plan = make_plan(more, (), ["linear", "sharing"])
    study = run_study(more, plan, tmp_path, progress=lambda *found: seen.append(found))
    assert len(study.runs) == 10 and [finished for finished, *_ in seen] == [5, 6, 7, 8, 9, 10]
    assert np.array_equal(study.runs[0].logits, first.runs[0].logits)


def test_wrong_arguments_are_refused_before_anything_is_written(reference, tmp_path):
    data = opened(reference[0])
    plan = make_plan(data, (), ["linear"])
    for name, value in (("workers", 0), ("progress", 1), ("device", "tpu9")):
        with pytest.raises(InputError, match=f"{name}: expected"):
            run_study(data, plan, tmp_path / "out", **{name: value})
    assert not (tmp_path / "out").exists()
