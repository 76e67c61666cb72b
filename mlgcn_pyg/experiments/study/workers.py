"""Computes the runs of a study that are not on disk yet, in this process, in worker processes, or under a launcher."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from mlgcn_pyg.allocator import keep_freed_memory
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.experiments.study.contenders import Contender
from mlgcn_pyg.experiments.study.data import StudyData
from mlgcn_pyg.experiments.study.records import RunKey
from mlgcn_pyg.experiments.study.running import compute_run
from mlgcn_pyg.experiments.study.storage import write_run


@dataclass(frozen=True)
class Task:
    """What every process needs to compute runs. Results do not depend on the process, which uses one thread.

    Attributes:
        contenders: the contenders by name.
        data: the data of the study.
        folder: the folder of the study.
        device: the device to train on.
    """

    contenders: Mapping[str, Contender]
    data: StudyData
    folder: Path
    device: str

    def __call__(self, key: RunKey) -> None:
        """Computes and writes a run."""
        write_run(self.folder, compute_run(key, self.contenders[key.contender], self.data, self.device))


def compute_runs(task: Task, keys: Sequence[RunKey], workers: int, done: Callable[[RunKey], None]) -> None:
    """Computes and writes runs.

    Args:
        task: computes a run.
        keys: the runs, of which each worker takes the next one.
        workers: the number of processes; 1 computes in this process.
        done: a function that is called with each finished run.

    Raises:
        InputError: if a run raises one, or a worker ended without a result, for example for lack of memory.
    """
    if workers == 1 or len(keys) < 2:
        with one_thread():
            for key in keys:
                task(key)
                done(key)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(keys)), context, _start, (task,))
    try:
        for key in _finished(pool, keys):
            done(key)
    except BrokenProcessPool as error:
        fix = "use fewer workers, which require less memory; the same command resumes"
        raise InputError(
            "workers", "worker processes that end with a result", "a process that was killed", fix
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finished(pool: ProcessPoolExecutor, keys: Sequence[RunKey]) -> Iterator[RunKey]:
    """Yields runs as they are finished. On an error, runs that have not started are cancelled."""
    waiting = {pool.submit(_run, key): key for key in keys}
    while waiting:
        finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in finished:
            key = waiting.pop(future)
            future.result()
            yield key


@contextmanager
def one_thread() -> Iterator[None]:
    """Computes with one thread, since rounding depends on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_task: Task | None = None  # of a worker process


def _start(task: Task) -> None:
    """Prepares a worker process. The parent process handles Ctrl-C."""
    global _task
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    torch.set_num_threads(1)
    _task = task


def _run(key: RunKey) -> None:
    assert _task is not None
    _task(key)
