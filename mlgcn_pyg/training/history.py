"""What happened, epoch by epoch."""

import json
import math
from dataclasses import dataclass, field


@dataclass
class History:
    """One record per epoch: ``epoch`` (from 1), ``lr``, ``loss``, and ``mAP`` where the epoch was validated.

    The last epoch is the result. The best one is beside it and named so: where the validation set is the test set,
    as in the paper's tables, choosing the best epoch would be choosing on the test set.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)

    @property
    def last(self) -> dict[str, float]:
        return self.epochs[-1]

    @property
    def best(self) -> dict[str, float] | None:
        """The first epoch with the highest mAP; None without a validation set."""
        scored = [record for record in self.epochs if not math.isnan(record.get("mAP", math.nan))]
        return max(scored, key=lambda record: record["mAP"], default=None)

    def waited(self) -> int:
        """Validations since the best one; since the first where no mAP is defined.

        >>> History([{"epoch": 1, "mAP": 0.5}, {"epoch": 2}, {"epoch": 3, "mAP": 0.4}]).waited()
        1
        """
        validated = [record for record in self.epochs if "mAP" in record]
        since = 0 if self.best is None else self.best["epoch"]
        return sum(record["epoch"] > since for record in validated)


def json_line(record: dict[str, float]) -> str:
    """One line of JSON; an undefined number (NaN: an mAP without positives) is null.

    >>> json_line({"epoch": 1, "mAP": math.nan})
    '{"epoch": 1, "mAP": null}\\n'
    """
    plain = {name: None if math.isnan(value) else value for name, value in record.items()}
    return json.dumps(plain, allow_nan=False) + "\n"
