"""Errors in runs with several processes: the first process that fails prints the error, the others print nothing."""

import contextlib
import os
import signal
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

from mlgcn_pyg.errors import printable_line, shortened

if TYPE_CHECKING:
    from torch.distributed import TCPStore

# key in the shared store; its value is the number of processes that have failed
_KEY = f"mlgcn_pyg/refused/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
LONGEST = 2000  # characters of an error
PATIENCE = 5.0  # seconds that failing processes wait for each other before they exit


def print_error(text: str) -> None:
    """Prints an error on one line of stderr."""
    typer.echo(f"mlgcn: error: {shortened(printable_line(text), LONGEST)}", err=True)


def print_once(text: str) -> bool:
    """Prints an error, unless another process of the same run has printed one.

    Returns True if this process has printed the error.
    """
    size = int(os.environ.get("WORLD_SIZE", 1))
    store = None if size == 1 else _shared_store()
    first = store is None or store.add(_KEY, 1) == 1
    if first:
        print_error(text)
    if store is not None:
        _await_others(store, size)
    return first


def _shared_store() -> "TCPStore | None":
    """Returns the store of the run, which is hosted by the launcher or by the first process.

    Returns None if the store cannot be reached, or if the environment does not specify it.
    """
    from torch.distributed import TCPStore

    hosts = os.environ.get("RANK") == "0" and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    try:
        return TCPStore(
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=hosts,
            timeout=timedelta(seconds=PATIENCE),
            wait_for_workers=False,
            multi_tenant=True,
        )
    except (KeyError, ValueError, RuntimeError):
        return None


def _await_others(store: "TCPStore", size: int) -> None:
    """Waits for other failing processes, because a launcher terminates all of them when the first one exits."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # this process is about to exit with code 2
    end = time.monotonic() + PATIENCE
    with contextlib.suppress(RuntimeError):  # the host of the store has exited
        while store.add(_KEY, 0) < size and time.monotonic() < end:
            time.sleep(0.05)
