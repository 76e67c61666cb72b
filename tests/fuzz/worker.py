"""Reads damaged files in a process of its own: python worker.py FOLDER MUTATIONS SEED FORMAT …

Prints one line of JSON per format: how many files were refused and read, and a description of each failure. The number
of the mutation is written to ``FOLDER/position`` before a file is read, so that a crash can be repeated.
"""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from mlgcn_pyg.errors import InputError
from tests.fuzz.formats import FORMATS, Format
from tests.fuzz.mutations import mutated

MEMORY = 1 << 30  # bytes that reading a damaged file of a few kilobytes may add
SECONDS = 60


def plain(value: object) -> str:
    """Returns a text in which the bytes of every tensor count."""
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {tuple(value.shape)} {hash(value.contiguous().numpy().tobytes())}"
    if isinstance(value, dict):
        return str([(key, plain(entry)) for key, entry in value.items()])
    return str([plain(entry) for entry in value]) if isinstance(value, list | tuple) else repr(value)


def problem(read: Format, path: Path, whole: str) -> str | None:
    """Reads a damaged file. Returns a description of a failure; None if it was refused; "" if it was read right."""
    try:
        value = read.read(path)
    except InputError as error:
        text = str(error)
        return None if text.isprintable() and len(text) < 2000 else f"not one clean line: {text[:200]!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:200]
    if value is not None and read.has_digest and plain(value) != whole:
        return "read as different content"
    return None if value is None else ""


def run(name: str, folder: Path, count: int, seed: int) -> dict:
    read, folder = FORMATS[name], folder / name
    path = folder / read.name
    path.parent.mkdir(parents=True)
    torch.manual_seed(0)
    read.write(path)
    data, whole = path.read_bytes(), plain(read.read(path))
    result = {"format": name, "refused": 0, "read": 0, "failures": []}
    for number in range(count):
        (folder.parent / "position").write_text(f"{name} {number}")
        path.write_bytes(mutated(data, random.Random(f"{seed} {name} {number}")))
        shutil.rmtree(folder / "out", ignore_errors=True)
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        signal.alarm(SECONDS)
        failure = problem(read, path, whole)
        signal.alarm(0)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        if grown > MEMORY or time.process_time() - start > SECONDS / 4:
            failure = f"{grown >> 20} MiB, {time.process_time() - start:.1f} s"
        if failure:
            result["failures"].append(f"{number}: {failure}")
        else:
            result["refused" if failure is None else "read"] += 1
    return result


def main() -> None:
    folder, count, seed, *names = sys.argv[1:]
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    torch.set_num_threads(1)
    for name in names:
        with open(os.devnull, "w") as silent, contextlib.redirect_stderr(silent):
            result = run(name, Path(folder), int(count), int(seed))
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
