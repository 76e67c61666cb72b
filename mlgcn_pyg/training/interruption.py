"""Ctrl-C and SIGTERM that end a run between two steps, after its state is saved."""

import signal
import threading
import time
from types import FrameType, TracebackType

ECHO = 1.0  # seconds


class Interruption:
    """Delays Ctrl-C and SIGTERM until :meth:`obey` is called. A context manager.

    A second signal takes effect at once, unless it follows within a second: launchers forward to their processes the
    signals that these have already received. Python delivers signals to the main thread only; in other threads, and
    if ``wanted`` is False, nothing changes.

    Args:
        wanted: whether signals are delayed.

    Attributes:
        asked: the number of the signal that was received; None before.
    """

    def __init__(self, wanted: bool):
        self.asked: int | None = None
        self.asked_at = 0.0
        self.wanted = wanted and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> "Interruption":
        if self.wanted:
            self.before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.wanted:
            for number, handler in self.before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if kind is None:
            self.obey()  # the run is complete, but what follows it must not start

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked is None:
            self.asked, self.asked_at = number, time.monotonic()
        elif time.monotonic() - self.asked_at > ECHO:
            self.asked = number
            self.obey()

    def obey(self) -> None:
        """Ends the run if a signal was received: raises KeyboardInterrupt, or SystemExit with code 143 for SIGTERM."""
        if self.asked == signal.SIGINT:
            raise KeyboardInterrupt
        if self.asked is not None:
            raise SystemExit(128 + self.asked)
