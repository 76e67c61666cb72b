"""Computes the runs of a study that are not on disk yet, in this process or in worker processes.

The main process sends each worker one run at a time, and the worker writes the result to the disk. Workers ignore
Ctrl-C. The main process ends them as soon as it is interrupted or a run fails, and they end if it is killed.
"""

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path

import torch

from mlgcn_pyg.allocator import keep_freed_memory
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.experiments.study.contenders import Contender
from mlgcn_pyg.experiments.study.data import StudyData
from mlgcn_pyg.experiments.study.records import RunKey
from mlgcn_pyg.experiments.study.running import compute_run
from mlgcn_pyg.experiments.study.storage import write_run
from mlgcn_pyg.seeding import one_thread
from mlgcn_pyg.system import starting_without_interrupts


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
    with _started(min(workers, len(keys))) as team:
        for key in _finished(team, task, keys):
            done(key)


class Worker:
    """A worker process, and the pipe to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, there = context.Pipe()
        self.process = context.Process(target=_work, args=(there,), daemon=True)
        self.process.start()
        there.close()

    def send(self, content: bytes) -> None:
        """Sends a pickled task or run."""
        try:
            self.pipe.send_bytes(content)
        except OSError as error:
            raise self._lost() from error

    def receive(self) -> None:
        """Waits for the end of a run, and raises its exception if it failed."""
        try:
            failure = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if failure is not None:
            raise failure

    def end(self) -> None:
        """Ends the process at once. What it was writing has a temporary name."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def _lost(self) -> InputError:
        self.process.join()
        code = self.process.exitcode or 0
        if code < 0:
            found, fix = f"one that was ended by signal {-code}", "use fewer workers, which require less memory"
        else:
            found = f"one that ended with code {code}"
            fix = 'in a program of your own, start the study under `if __name__ == "__main__"`'
        return InputError("workers", "processes that compute runs until the study is finished", found, fix)


@contextmanager
def _started(number: int) -> Iterator[list[Worker]]:
    team: list[Worker] = []
    try:
        with starting_without_interrupts():
            for _ in range(number):
                team.append(Worker())
        yield team
    finally:
        for worker in team:
            worker.end()


def _finished(team: Sequence[Worker], task: Task, keys: Sequence[RunKey]) -> Iterator[RunKey]:
    """Yields runs as they are finished."""
    content = pickle.dumps(task)  # by pickle, since a pipe's own `send` moves tensors to shared memory
    for worker in team:
        worker.send(content)
    waiting = iter(keys)
    busy = {worker.pipe: (worker, key) for worker in team if (key := _send_next(worker, waiting))}
    while busy:
        for pipe in connection.wait(list(busy)):
            worker, key = busy.pop(pipe)  # type: ignore[call-overload]
            worker.receive()
            if following := _send_next(worker, waiting):
                busy[worker.pipe] = (worker, following)
            yield key


def _send_next(worker: Worker, waiting: Iterator[RunKey]) -> RunKey | None:
    key = next(waiting, None)
    if key is not None:
        worker.send(pickle.dumps(key))
    return key


def _work(pipe: connection.Connection) -> None:
    """Computes runs in a worker process until it is ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    torch.set_num_threads(1)
    task = pickle.loads(pipe.recv_bytes())
    while True:
        key = pickle.loads(pipe.recv_bytes())
        try:
            task(key)
            pipe.send(None)
        except Exception as error:
            error.add_note("".join(traceback.format_exception(error)))  # pickling keeps notes, and loses tracebacks
            pipe.send(error)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
