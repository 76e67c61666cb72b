"""One process of a launch: python gather_worker.py [refused | killed | failed] gathers the ranks."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mlgcn_pyg.distributed import Ranks
from mlgcn_pyg.errors import InputError


def main() -> None:
    how = sys.argv[1] if len(sys.argv) > 1 else ""

    def make() -> int:
        if ranks.rank == 1 and how == "refused":
            raise InputError("rank", "an even number", 1)
        if ranks.rank == 1 and how == "failed":
            raise ZeroDivisionError("a bug")
        if ranks.rank == 1 and how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        return 10 + ranks.rank

    with Ranks() as ranks:
        found = ranks.gather(make)
    os.write(1, f"{ranks.rank}:{found}\n".replace(" ", "").encode())


if __name__ == "__main__":
    main()
