"""How a command ends that refuses: one line on stderr and exit code 2; of several processes, one line in all."""

import contextlib
import os
import signal
import threading
import time
from datetime import timedelta

import typer

from mlgcn_pyg.errors import first_line, printable_line

_KEY = f"mlgcn_pyg/refused/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"  # in the store of a run's processes
PATIENCE = 5.0  # seconds that the processes of a run wait for each other at its end
# what a RuntimeError begins with or says, and what is to be told of it
TROUBLE = {
    "DataLoader worker": "{}; if memory ran out, give fewer --num-workers or a smaller --batch-size",
    "CUDA out of memory": "{}; give a smaller --batch-size, or train with --accumulate",
    # what gloo and NCCL say where another process, which told why, is gone
    "Connection closed by": "another process of this run has ended",
    "Connection reset by": "another process of this run has ended",
    "remote process exit": "another process of this run has ended",
}


def trouble(error: RuntimeError) -> str | None:
    """What to tell of an error that is nobody's input and no fault of the program; None for any other."""
    told = next((told for word, told in TROUBLE.items() if word in str(error)), None)
    return told and told.format(first_line(error))


def tell(said: str) -> None:
    """The one form of every error."""
    typer.echo(f"mlgcn: error: {printable_line(said)}", err=True)


def refuse(said: str) -> None:
    """Tells why the command ends, unless another process of the same run has told already."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    store = None if size == 1 else _shared_store()
    if store is None or store.add(_KEY, 1) == 1:
        tell(said)
    if store is not None:
        _await_others(store, size)


def _shared_store():
    """The store by which the processes of a run found each other, the launcher's or the first process's; None where it
    cannot be reached, or where the launcher told of none."""
    from torch.distributed import TCPStore

    hosts = os.environ.get("RANK") == "0" and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    options = {"is_master": hosts, "multi_tenant": True, "wait_for_workers": False}
    try:
        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        return TCPStore(*place, timeout=timedelta(seconds=PATIENCE), **options)
    except (KeyError, ValueError, RuntimeError):
        return None


def _await_others(store, size: int) -> None:
    """Waits a little for those that refuse as well: a launcher ends them all when the first one leaves."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # we are leaving, with code 2
    end = time.monotonic() + PATIENCE
    with contextlib.suppress(RuntimeError):  # its host has left
        while store.add(_KEY, 0) < size and time.monotonic() < end:
            time.sleep(0.05)
