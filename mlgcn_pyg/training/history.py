"""What happened, epoch by epoch."""

import math
from dataclasses import dataclass, field


@dataclass
class History:
    """One record per epoch: ``epoch`` (from 1), ``lr``, ``loss``, and ``mAP`` where there was a validation set.

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
