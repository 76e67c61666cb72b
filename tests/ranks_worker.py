"""One process of a launch: python ranks_worker.py SCENES OUT [killed | other] writes RANK:BATCHES."""

import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mlgcn_pyg.features import extract_features
from tests.features.small import SmallBackbone, drawn_scenes


def main() -> None:
    root, out, how = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""
    batches, backbone = [], SmallBackbone(seed=1 if how == "other" else 0)

    def count(*_):
        batches.append(1)
        if how == "killed" and len(batches) == 2:  # both are at their second batch
            time.sleep(1)
            os.kill(os.getpid(), signal.SIGKILL)

    backbone.register_forward_hook(count)
    extract_features(backbone, drawn_scenes(root), out, batch_size=4)
    os.write(1, f"{os.environ['RANK']}:{len(batches)}\n".encode())  # at once: the other process writes there too


if __name__ == "__main__":
    main()
