"""Several processes of one run: the first to fail prints the error, the others end without a word."""

import contextlib
import os
import signal
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

from mlgcn_pyg.errors import printable_line

if TYPE_CHECKING:
    from torch.distributed import TCPStore

# counts, in the store that the processes share, those that have failed
_KEY = f"mlgcn_pyg/refused/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
PATIENCE = 5.0  # seconds that the processes of a run wait for each other at its end


def print_error(text: str) -> None:
    """Prints an error on one line of stderr."""
    typer.echo(f"mlgcn: error: {printable_line(text)}", err=True)


def print_once(text: str) -> bool:
    """Prints why the command fails, unless another process of the same run has printed its error.

    Returns whether this process has printed.
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
    """The store by which the processes of a run found each other: the launcher's, or the first process's.

    None if it cannot be reached, or if the environment does not name it.
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
    """Waits for other processes that fail as well: a launcher ends all of them when the first one leaves."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # this process is leaving, with code 2
    end = time.monotonic() + PATIENCE
    with contextlib.suppress(RuntimeError):  # the store's host has left
        while store.add(_KEY, 0) < size and time.monotonic() < end:
            time.sleep(0.05)
