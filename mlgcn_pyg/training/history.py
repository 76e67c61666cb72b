"""The record of a training run, epoch by epoch."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from mlgcn_pyg import html
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.values import shown

LISTED = 20  # epochs in a notebook
Record = dict[str, float]  # epoch (from 1), lr, loss, and mAP if the epoch was validated


@dataclass
class History:
    """One record per epoch: ``epoch`` (from 1), ``lr``, ``loss``, and ``mAP`` if the epoch was validated.

    The last epoch is the result. Selecting the best epoch instead would be selection on the test set if the validation
    set is the test set, as in the paper's tables.

    Attributes:
        epochs: the records in order.
    """

    epochs: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not isinstance(self.epochs, list) or not all(isinstance(record, dict) for record in self.epochs):
            raise InputError("epochs", "a list of records, one per epoch", shown(self.epochs))

    @property
    def last(self) -> Record:
        """The record of the last epoch.

        Raises:
            InputError: if there is none.
        """
        if not self.epochs:
            raise InputError("epochs", "at least one epoch", "an empty history")
        return self.epochs[-1]

    @property
    def best(self) -> Record | None:
        """The record of the first epoch with the highest mAP; None if no epoch has a defined mAP."""
        scored = [record for record in self.epochs if not math.isnan(record.get("mAP", math.nan))]
        return max(scored, key=lambda record: record["mAP"], default=None)

    def validations_since_best(self) -> int:
        """Returns the number of validations after the best epoch, or of all validations if no mAP is defined.

        >>> History([{"epoch": 1, "mAP": 0.5}, {"epoch": 2}, {"epoch": 3, "mAP": 0.4}]).validations_since_best()
        1
        """
        best_epoch = 0 if self.best is None else self.best["epoch"]
        return sum("mAP" in record and record["epoch"] > best_epoch for record in self.epochs)

    def _repr_html_(self) -> str:
        """Returns the last epochs as HTML, which notebooks show."""
        listed = self.epochs[-LISTED:]
        columns = list(dict.fromkeys(name for record in listed for name in record))
        title = f"{len(self.epochs)} epochs" + (f", the last {LISTED}" if len(self.epochs) > LISTED else "")
        rows = [[record.get(name) for name in columns] for record in listed]
        return html.table(columns, rows, caption=title, decimals=5)


def history_line(record: Record) -> str:
    """Returns a record as one line of JSON. NaN, the mAP if no label is positive, becomes null.

    >>> history_line({"epoch": 1, "mAP": math.nan})
    '{"epoch": 1, "mAP": null}\\n'
    """
    plain = {name: None if math.isnan(value) else value for name, value in record.items()}
    return json.dumps(plain, allow_nan=False) + "\n"


def checked_records(records: Sequence[Record]) -> list[Record]:
    """Returns copies of the records of a saved state.

    Raises:
        ValueError: if they are not one record per epoch with the keys of :class:`History`.
    """
    copies = [dict(record) for record in records]
    for epoch, record in enumerate(copies, start=1):
        numbers = all(isinstance(value, int | float) for value in record.values())
        if record.keys() - {"mAP"} != {"epoch", "lr", "loss"} or record["epoch"] != epoch or not numbers:
            raise ValueError(f"the record {record} of epoch {epoch}"[:200])
    return copies
