"""Runs a study: computes the runs of a plan that are not finished yet, and reads all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mlgcn_pyg.checks import check_callable, check_positive
from mlgcn_pyg.distributed import Ranks
from mlgcn_pyg.experiments.study.data import StudyData
from mlgcn_pyg.experiments.study.plan import Plan
from mlgcn_pyg.experiments.study.records import Run, RunKey
from mlgcn_pyg.experiments.study.running import FACTORS
from mlgcn_pyg.experiments.study.storage import check_setup, read_run
from mlgcn_pyg.experiments.study.workers import Task, compute_runs
from mlgcn_pyg.tensor_checks import check_device

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

    Under ``torchrun``, each process computes a share of the runs.

    Args:
        data: the data of the study.
        plan: the runs.
        folder: the folder of the study.
        device: the device to train on.
        workers: the number of processes that compute runs side by side. Results do not depend on it.
        progress: a function that is called with the numbers of finished and of all runs, and the last one.

    Returns:
        The study; None in processes of ``torchrun`` but the first.

    Raises:
        InputError: if ``folder`` has runs of different data.
    """
    check_callable("progress", progress)
    check_positive("workers", workers)
    folder, place = Path(folder), str(check_device("device", device))
    num_labels = len(data.label_names)
    with Ranks() as ranks:
        ranks.share(lambda: check_setup(folder, describe_data(data)))
        keys = plan.keys(data)
        missing = [key for key in keys[ranks.rank :: ranks.size] if read_run(folder, key, num_labels) is None]
        finished = len(keys) - len(missing)

        def done(key: RunKey) -> None:
            nonlocal finished
            finished += 1
            if progress is not None:
                progress(finished, len(keys), key)

        task = Task(plan.contenders, data, folder, place)
        ranks.gather(lambda: compute_runs(task, missing, workers, done))
        if ranks.rank:
            return None
    return Study(data, plan, tuple(_found(folder, key, num_labels) for key in keys))


def _found(folder: Path, key: RunKey, num_labels: int) -> Run:
    run = read_run(folder, key, num_labels)
    assert run is not None, f"no result of {key}"
    return run


def describe_data(data: StudyData) -> Mapping[str, Any]:
    """Returns what all runs of a study share, as plain values, for JSON."""
    caches = {name: [cache.digest() for cache in pool.caches] for name, pool in data.pools.items()}
    graph = None if data.graph is None else data.graph.digest()
    return {
        "features": caches,
        "labels": list(data.label_names),
        "splits": len(data.splits),
        "shared_test": data.shared_test,
        "graph": graph,
        "embeddings": None if data.embeddings is None else _digest(data.embeddings),
        "seed": data.seed,
        "factors": list(FACTORS),
    }


def _digest(tensor: torch.Tensor) -> str:
    from mlgcn_pyg.files.atomic import tensor_digest

    return tensor_digest({"embeddings": tensor})
