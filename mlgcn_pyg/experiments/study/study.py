"""Runs a study: computes the runs of a plan that are not finished yet, and reads all of them."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mlgcn_pyg.checks import check_callable, check_positive
from mlgcn_pyg.distributed import Ranks
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.experiments.study.contenders import Contender
from mlgcn_pyg.experiments.study.data import StudyData
from mlgcn_pyg.experiments.study.plan import Plan
from mlgcn_pyg.experiments.study.records import Run, RunKey
from mlgcn_pyg.experiments.study.running import FACTORS
from mlgcn_pyg.experiments.study.storage import GROWING, check_setup, read_run, run_path
from mlgcn_pyg.experiments.study.workers import Task, compute_runs
from mlgcn_pyg.files.atomic import tensor_digest
from mlgcn_pyg.files.locks import locked_folder
from mlgcn_pyg.tensor_checks import check_device

PROTOCOL = 1  # of the runs on disk; it changes when the same data give different results
Progress = Callable[[int, int, RunKey], None]


@dataclass(frozen=True, eq=False)
class Study:
    """The finished runs of a study.

    Attributes:
        data: the data.
        plan: the plan.
        runs: all runs of the plan.
    """

    data: StudyData
    plan: Plan
    runs: tuple[Run, ...]


def run_study(
    data: StudyData,
    plan: Plan,
    folder: str | Path,
    *,
    device: str | torch.device = "cpu",
    workers: int = 1,
    progress: Progress | None = None,
) -> Study | None:
    """Computes the runs of a plan. Runs that are finished in ``folder`` are read from it.

    An interrupted study is resumed by the same call, with the same result: each run depends only on the data and its
    key. A folder may be used again for a different plan, or more splits, of the same data.

    Under ``torchrun``, each process computes a share of the runs.

    Args:
        data: the data of the study.
        plan: the runs.
        folder: the folder of the study.
        device: the device to train on. ``"cuda"`` stands for a different GPU in each process of ``torchrun``.
        workers: the number of processes that compute runs side by side. Results do not depend on it. A program must
            call this function under ``if __name__ == "__main__"`` for more than one.
        progress: a function that is called with the numbers of finished and of all runs, and the last one. Under
            ``torchrun``, these are the runs of the process.

    Returns:
        The study; None in processes of ``torchrun`` but the first.

    Raises:
        InputError: if ``folder`` has runs of different data, or is in use by another process.
        InputError: if a run cannot be computed, or a worker process is killed.

    >>> import tempfile
    >>> from mlgcn_pyg.experiments.study import analyse, data_of_pool, make_plan
    >>> from mlgcn_pyg.features import FeatureCache
    >>> folder = Path(tempfile.mkdtemp())
    >>> x = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
    >>> cache = FeatureCache.from_arrays(folder / "all.h5", x, (x[:, :3] > 0).to(torch.int8), ["a", "b", "c"])
    >>> data = data_of_pool(cache, num_splits=2)
    >>> study = run_study(data, make_plan(data, (), ["linear", "sharing"]), folder / "study")
    >>> [comparison.a for comparison in analyse(study, replicates=20).findings[0].comparisons]
    ['sharing']
    """
    check_callable("progress", progress)
    workers = check_positive("workers", workers)
    folder, keys, num_labels = Path(folder), plan.keys(data), len(data.label_names)
    with Ranks() as ranks, ExitStack() as lock:
        place = ranks.device(check_device("device", device))

        def begin() -> list[RunKey]:
            lock.enter_context(locked_folder(folder, expected="a folder that no other study is using"))
            check_setup(folder, describe_study(data, place))
            return [key for key in keys if read_run(folder, key, num_labels) is None]

        missing = ranks.share(begin)
        own = share_of(keys, plan.contenders, ranks)
        wanted = [key for key in missing if key in own]
        count = itertools.count(len(own) - len(wanted) + 1)

        def done(key: RunKey) -> None:
            if progress is not None:
                progress(next(count), len(own), key)

        ranks.gather(lambda: compute_runs(Task(plan.contenders, data, folder, str(place)), wanted, workers, done))
        if ranks.rank:
            return None
        return Study(data, plan, tuple(_found(folder, key, num_labels) for key in keys))


def share_of(keys: Sequence[RunKey], contenders: Mapping[str, Contender], ranks: Ranks) -> set[RunKey]:
    """Returns the runs of this process: equal numbers of those that are trained by SGD, which take longest."""
    by_kind = sorted(keys, key=lambda key: contenders[key.contender].is_exact)
    return set(by_kind[ranks.rank :: ranks.size])


def _found(folder: Path, key: RunKey, num_labels: int) -> Run:
    run = read_run(folder, key, num_labels)
    if run is None:
        fix = "choose a folder on a shared disk"
        raise InputError("folder", "a folder that all processes share", f"no {run_path(folder, key)}", fix)
    return run


def describe_study(data: StudyData, device: torch.device) -> Mapping[str, Any]:
    """Returns what all runs in a folder share, as plain values, for JSON."""
    graph, x = data.graph, data.embeddings
    further = {name: tensor_digest({"embeddings": other}) for name, other in data.further.items()}
    return {
        "protocol": PROTOCOL,
        "features": {name: [cache.digest() for cache in pool.caches] for name, pool in data.pools.items()},
        "labels": list(data.label_names),
        "shared_test": data.shared_test,
        "graph": None if graph is None else graph.digest(),
        "embeddings": None if x is None else tensor_digest({"embeddings": x}),
        "seed": data.seed,
        "factors": list(FACTORS),
        "device": device.type,
    } | ({GROWING: further} if further else {})
