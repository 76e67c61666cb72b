"""The progress bars of a comparison of heads."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from mlgcn_pyg.cli import console


@dataclass(frozen=True)
class Position:
    """The content of a progress bar."""

    title: str
    total: int
    done: float
    note: str = ""


class FitProgress:
    """Shows one progress bar at a time: of the values of λ, of epochs, of folds, or of samples of the images.

    Args:
        epochs: the number of epochs of each kind of head.
        seeds: the number of heads of a kind that are trained together.
        folds: the number of folds.
    """

    def __init__(self, epochs: Mapping[str, int], seeds: int, folds: int):
        self.epochs, self.seeds, self.folds = epochs, seeds, folds
        self.stack, self.title, self.done = ExitStack(), "", 0.0
        self.update: Callable[..., None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stack.__exit__(kind, error, traceback)

    def __call__(self, name: str, number: int, record: Mapping[str, Any]) -> None:
        """Shows a record; see ``progress`` of :func:`~mlgcn_pyg.experiments.compare_heads`."""
        kind, _, task = name.partition(" ")
        if task == "samples":
            position = Position(f"intervals of {kind}", int(record["total"]), record["done"])
        elif "epoch" in record:
            position = self._epochs(kind, task, number, record)
        else:
            position = self._exact(kind, task, number, record)
        if position.title != self.title or self.update is None:
            self.stack.close()
            self.title = position.title
            self.update = self.stack.enter_context(console.progress_bar(position.title, position.total))
        self.done = position.done
        self.update(position.done, position.note)

    def _epochs(self, kind: str, task: str, number: int, record: Mapping[str, Any]) -> Position:
        score = f" mAP {record['mAP']:.3f}" if "mAP" in record else ""
        note = f"loss {record['loss']:.4f}{score}"
        epochs, epoch = self.epochs[kind], record["epoch"]
        if task == "folds":
            return Position(f"{kind} on folds", self.folds, number, f"epoch {epoch} {note}")
        # within an epoch the seeds run one after another; epochs of an interrupted run count as completed
        done = (epoch - 1) * self.seeds + number + 1
        return Position(f"training {kind}", epochs * self.seeds, done, f"seed {number} {note}")

    def _exact(self, kind: str, task: str, number: int, record: Mapping[str, Any]) -> Position:
        ended = "stage" not in record  # the last record
        note = f"iteration {record['iteration']:.0f} gradient {record['gradient']:.1e}"
        if task == "folds":
            return Position(f"{kind} on folds", self.folds, number + ended, note)
        title = f"fitting {kind}"
        if ended:  # a path may end before its smallest λ
            return Position(title, 1, max(self.done, 1) if title == self.title else 1, note)
        return Position(title, int(record["stages"]), record["stage"] - 1, note)
