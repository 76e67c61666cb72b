"""Calls a function with several values in worker processes, which Ctrl-C ends at once."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.system import starting_without_interrupts

Value = TypeVar("Value")
Result = TypeVar("Result")


def side_by_side(function: Callable[[Value], Result], values: Sequence[Value], workers: int) -> Iterator[Result]:
    """Yields the results in the order of the values.

    Args:
        function: the function, which can be pickled if there is more than one process.
        values: its arguments.
        workers: the number of processes; 1 calls the function in this process.

    Raises:
        InputError: if a worker process ends without a result, for example for lack of memory.
    """
    if workers == 1 or len(values) < 2:
        yield from map(function, values)
        return
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(values)), context, _ignore_interrupts) as pool:
        try:
            with starting_without_interrupts():
                results = pool.map(function, values)
            yield from results
        except BrokenProcessPool as error:
            fix = "use fewer workers, which require less memory"
            raise InputError("workers", "processes that run until they are finished", "one that ended", fix) from error
        except BaseException:
            for process in set(multiprocessing.active_children()) - before:
                process.kill()
            raise


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
