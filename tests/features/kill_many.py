"""Starts extractions and kills them until the wanted number of kills is reached, then finishes one.

python kill_many.py SCENES OUT KILLS prints the number of kills and of files finished.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from mlgcn_pyg.features import extract_features, writer
from tests.features.small import SmallBackbone, drawn_scenes


def start(scenes, path: Path) -> int:
    """A forked process that extracts; torch has done no work in this one that a fork could upset."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        writer.SYNC_SECONDS = 0.01
        backbone = SmallBackbone()
        backbone.register_forward_hook(lambda *_: time.sleep(0.01))  # some of the kills fall between the writes
        extract_features(backbone, scenes, path, batch_size=4)
        os._exit(0)
    return child


def main() -> None:
    root, out, wanted = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    scenes, chance = drawn_scenes(root), random.Random(7)
    killed = finished = 0
    while True:
        path = out / f"{finished}.h5"
        child = start(scenes, path)
        if killed < wanted:
            time.sleep(chance.uniform(0.0, 0.25))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        killed += os.WIFSIGNALED(status)
        if not os.WIFSIGNALED(status):
            assert status == 0, status
            finished += 1
            if killed >= wanted:
                break
    print(killed, finished)


if __name__ == "__main__":
    main()
