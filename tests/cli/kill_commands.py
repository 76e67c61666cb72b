"""Kills every command at random moments, runs it again, and compares what it wrote with an uninterrupted run.

``python -m tests.cli.kill_commands 100`` makes 100 kills over all commands, in about a quarter of an hour. The suite
makes a few (``test_kills.py``); the environment variable ``MLGCN_KILLS`` sets their number.
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SMALL = ("--backbone", "squeezenet1_1", "--weights", "w.pth", "--image-size", "64")
TABLE = ("--dataset", "table", "--root", ".", "--labels", "t.csv")
# in an order in which each command finds what it reads
COMMANDS = {
    "split": ("data", "split", "t.csv", "--val", "0.25", "--test", "0.25", "--out", "parts"),
    "graph": ("graph", *TABLE, "--out", "g.pt", "--plot", "g.png"),
    "embed": ("embed", "--names", "names.txt", "--embeddings", "v.txt", "--out", "e.pt"),
    "extract": ("extract", *TABLE, *SMALL, "--batch-size", "2", "--out", "f.h5"),
    "train-head": ("train-head", "--graph", "g.pt", "--train", "f.h5", "--val", "f.h5", "--epochs", "3",
                   "--hidden", "8", "--out", "heads"),
    "train": ("train", *TABLE, *SMALL, "--graph", "g.pt", "--hidden", "8", "--epochs", "2", "--batch-size", "4",
              "--device", "cpu", "--no-channels-last", "--out", "net"),
    "thresholds": ("thresholds", "--checkpoint", "heads/mlgcn-seed0.pt", "--cache", "f.h5"),
    "evaluate": ("evaluate", "--checkpoint", "heads", "--cache", "f.h5", "--out", "m.json"),
    "export": ("export", "--checkpoint", "net", "--out", "x.safetensors"),
    "predict": ("predict", "photos", "--checkpoint", "net", "--batch-size", "1", "--out", "p.jsonl"),
    "repair": ("cache", "repair", "f.h5"),
}  # fmt: skip


def program(words, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "mlgcn_pyg", *words],
        cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def make_inputs(folder):
    (folder / "photos").mkdir(parents=True)
    noise = np.random.default_rng(0)
    for k in range(8):
        Image.fromarray(noise.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(folder / f"photos/{k}.png")
    rows = [f"photos/{k}.png,{'cat;dog' if k % 2 else 'cat'}\n" for k in range(8)]
    (folder / "t.csv").write_text("image,labels\n" + "".join(rows))
    (folder / "names.txt").write_text("cat\ndog\n")
    (folder / "v.txt").write_text("cat 1 0\ndog 0 1\n")
    from torchvision.models import squeezenet1_1

    torch.manual_seed(0)
    torch.save(squeezenet1_1().state_dict(), folder / "w.pth")


def contents(folder):
    """What each file holds, without times and positions in archives; locks and temporary files are files too."""
    return {str(path.relative_to(folder)): content(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def content(path):
    if path.suffix == ".pt":
        return _text(torch.load(path, weights_only=True))
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return _text({name: data[()] for name, data in file.items()})
    if path.suffix == ".jsonl" and path.parent.name == "net":  # a history has the seconds of each epoch
        return len(path.read_text().splitlines())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _text(value):
    if isinstance(value, dict):
        return {key: _text(item) for key, item in value.items() if key not in ("seconds", "history")}
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return value.tolist() if isinstance(value, np.ndarray) else value


def run_with_kills(name, before, expected, seconds, kills, random_):
    """Runs a command until it ends, killed ``kills`` times before that; then its folder is as expected."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made, "run")
        shutil.copytree(before, folder)
        for _ in range(kills):
            process = program(COMMANDS[name], folder)
            time.sleep(random_.uniform(0.3, 1.0) * seconds)
            process.send_signal(random_.choice(SIGNALS))
            _, told = process.communicate()
            assert "Traceback" not in told, (name, told)
        process = program(COMMANDS[name], folder)
        _, told = process.communicate()
        assert process.returncode == 0, (name, told)
        found = contents(folder)
        assert found.keys() == expected.keys(), (name, found.keys() ^ expected.keys())
        different = [path for path in found if found[path] != expected[path]]
        assert not different, (name, different)


def main(kills, names=tuple(COMMANDS), seed=0):
    random_, done = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as made:
        before = Path(made, "0")
        make_inputs(before)
        for position, (name, words) in enumerate(COMMANDS.items()):
            after = Path(made, str(position + 1))
            shutil.copytree(before, after)
            started = time.monotonic()
            process = program(words, after)
            _, told = process.communicate()
            assert process.returncode == 0, (name, told)
            seconds, expected = time.monotonic() - started, contents(after)
            share = round(kills * (names.index(name) + 1) / len(names)) - done if name in names else 0
            for count in ([2] * (share // 2) + [1] * (share % 2)) if share else ():
                run_with_kills(name, before, expected, seconds, count, random_)
                done += count
            print(f"{name}: {done} kills so far, every result the same and no file left over", flush=True)
            shutil.rmtree(before)
            before = after
            if name == names[-1]:
                break
    return done


if __name__ == "__main__":
    print(main(int(sys.argv[1])))
