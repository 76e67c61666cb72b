"""A study in a process of its own: python program.py FOLDER OUT WORKERS [killed] writes the runs as they finish."""

import os
import signal
import sys
from pathlib import Path
from pkgutil import resolve_name

sys.path.insert(0, str(Path(__file__).parents[3]))

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.experiments.study import run_study
from tests.experiments.study.small import DIES_AFTER, SMALL, opened, plan_of

if __name__ in ("__main__", "__mp_main__"):  # not when pytest imports this file for its doctests
    for module, values in SMALL.items():  # in worker processes too, which import this file
        vars(resolve_name(module)).update(values)


def main() -> None:
    folder, out, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

    def report(finished, total, key) -> None:
        os.write(1, f"{finished}/{total}\n".encode())
        if sys.argv[4:] == ["killed"] and finished == DIES_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)

    data = opened(folder)
    try:
        study = run_study(data, plan_of(data), out, workers=workers, progress=report)
    except InputError as error:
        sys.exit(f"InputError: {error}")
    os.write(1, f"{0 if study is None else len(study.runs)} runs\n".encode())


if __name__ == "__main__":
    main()
