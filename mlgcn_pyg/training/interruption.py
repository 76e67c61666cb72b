"""Handles Ctrl-C and SIGTERM so that a run ends between two steps, after its state is saved."""

import signal
import threading
import time
from types import FrameType, TracebackType

from mlgcn_pyg.system import ENDING

ECHO = 1.0  # seconds in which a second signal counts as a forwarded copy of the first


class Interruption:
    """A context manager that delays Ctrl-C and SIGTERM until :meth:`obey` is called.

    A second signal ends the run at once, unless it follows the first within a second: launchers forward signals that
    their processes have already received. Python delivers signals to the main thread only, so in other threads no
    signal is delayed.

    Args:
        wanted: whether to delay signals; False changes nothing.

    Attributes:
        received: the number of the signal that was received; None if there was none.
    """

    def __init__(self, wanted: bool):
        self.received: int | None = None
        self.received_at = 0.0
        self.wanted = wanted and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> "Interruption":
        if self.wanted:
            self.before = {number: signal.signal(number, self._ask) for number in ENDING}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.wanted:
            for number, handler in self.before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if kind is None:
            self.obey()  # the run is complete, but the program must not continue

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self.received_at = number, time.monotonic()
        elif time.monotonic() - self.received_at > ECHO:
            self.received = number
            self.obey()

    def obey(self) -> None:
        """Ends the run if a signal was received: raises KeyboardInterrupt, or SystemExit with code 143 for SIGTERM."""
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is not None:
            raise SystemExit(128 + self.received)
