r"""The features and targets of a batch as one kernel.

For rows r of the stored features F (N·V, D) with V views per image, and targets T (N, C):

.. math:: \mathbf{x}_b = \mathbf{F}_{r_b}, \qquad \mathbf{y}_b = \mathbf{T}_{\lfloor r_b / V \rfloor}

The features are converted to the type of the head on the way. Each program copies one block of columns of one row; the
first program of a row also copies its targets.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # columns per program
WARPS = 4


@triton.jit
def _gather_kernel(  # type: ignore[no-untyped-def]  # Triton's
    features, targets, rows, batch_features, batch_targets, width, labels, VIEWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Copies block ``program_id(1)`` of row ``program_id(0)`` of the batch."""
    image, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    row = tl.load(rows + image)
    columns = block * BLOCK + tl.arange(0, BLOCK)
    values = tl.load(features + row * width + columns, mask=columns < width)
    tl.store(batch_features + image * width + columns, values.to(batch_features.dtype.element_ty), mask=columns < width)
    if block == 0:
        for start in range(0, labels, BLOCK):
            label = start + tl.arange(0, BLOCK)
            truth = tl.load(targets + row // VIEWS * labels + label, mask=label < labels)
            tl.store(batch_targets + image * labels + label, truth, mask=label < labels)


def gather(
    features: Tensor, targets: Tensor, num_views: int, dtype: torch.dtype, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns features (B, D) in ``dtype`` and targets (B, C) of a batch.

    Args:
        features: (N·V, D), contiguous.
        targets: (N, C), contiguous.
        num_views: V.
        dtype: the type of the returned features.
        rows: (B,) int64 rows of the features.
    """
    width, labels = features.size(1), targets.size(1)
    batch_features = features.new_empty(len(rows), width, dtype=dtype)
    batch_targets = targets.new_empty(len(rows), labels)
    with torch.cuda.device_of(rows):  # Triton launches on the current device
        _gather_kernel[len(rows), triton.cdiv(width, BLOCK)](
            features, targets, rows, batch_features, batch_targets, width, labels,
            VIEWS=num_views, BLOCK=BLOCK, num_warps=WARPS,
        )  # fmt: skip
    return batch_features, batch_targets
