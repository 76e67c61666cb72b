"""Who is told of a fit of heads: a progress bar, trackers, and a callback that may end it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlgcn_pyg.training.history import History, Record
from mlgcn_pyg.training.trackers import Trackers

Progress = Callable[[int, Record], None]
Callback = Callable[[int, Record], bool | None]


@dataclass(frozen=True)
class Observers:
    """The functions and trackers that records of heads are given to, by the number of the head.

    Attributes:
        progress: a function for progress; None for none.
        callback: a function that returns True to end the training of a head; None for none.
        trackers: the trackers, possibly none.
    """

    progress: Progress | None
    callback: Callback | None
    trackers: Trackers

    def track(self, names: Sequence[str], histories: Sequence[History]) -> None:
        """Sends the records that the trackers have not received yet, under the names of the heads."""
        for name, history in zip(names, histories, strict=True):
            self.trackers.log(history.epochs, name)

    def show(self, head: int, record: Record) -> None:
        """Reports progress."""
        if self.progress is not None:
            self.progress(head, record)

    def end(self, names: Sequence[str], histories: Sequence[History]) -> None:
        """Reports the last records of a fit that has no epochs. Nothing is left for the callback to end."""
        self.track(names, histories)
        for head, history in enumerate(histories):
            self.show(head, history.last)
            if self.callback is not None:
                self.callback(head, history.last)


def silent() -> Observers:
    """Returns observers that do nothing."""
    return Observers(None, None, Trackers(None))
