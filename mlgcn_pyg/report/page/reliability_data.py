"""Reliability curves of heads and labels, packed for the page."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.evaluation.reliability import Reliability, reliability
from mlgcn_pyg.report.page.packing import as_units, packed

BINS = 15


def reliability_values(
    heads: Sequence[Tensor], calibrated: Sequence[Tensor | None], targets: Tensor, bins: int = BINS
) -> dict[str, Any]:
    """Returns the curves of all heads, then of those with calibrated logits, each pooled and then of each label.

    Args:
        heads: the logits (N, C) of each head.
        calibrated: its logits after a calibration, or None.
        targets: (N, C) in {-1, 0, 1}.
        bins: the number of bins.
    """
    series = [(place, False, logits) for place, logits in enumerate(heads)]
    series += [(place, True, logits) for place, logits in enumerate(calibrated) if logits is not None]
    found = [curve for _, _, logits in series for curve in _pooled_and_per_label(logits, targets, bins)]
    return {
        "bins": bins,
        "series": [{"head": place, "calibrated": after} for place, after, _ in series],
        "mean": packed(as_units(torch.cat([curve.predicted.reshape(-1, bins) for curve in found])), "u2"),
        "share": packed(as_units(torch.cat([curve.observed.reshape(-1, bins) for curve in found])), "u2"),
        "count": packed(torch.cat([curve.counts.reshape(-1, bins) for curve in found]), "u4"),
        "error": packed(as_units(torch.cat([curve.ece.reshape(-1) for curve in found])), "u2"),
    }


def _pooled_and_per_label(logits: Tensor, targets: Tensor, bins: int) -> list[Reliability]:
    return [reliability(logits.cpu(), targets.cpu(), bins, per_label=each) for each in (False, True)]
