"""Statistics of training data: mean and standard deviation of each feature, and the frequency of each label."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mlgcn_pyg.checks import check_targets
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.batches import ALL_VIEWS
from mlgcn_pyg.typing import RowSource

PIECE_NUMBERS = 1 << 19  # features that are converted to float64 at a time: 4 MiB, which fit in a CPU's cache


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of each feature.

    Attributes:
        mean: (D,) float64, on the CPU.
        std: (D,) float64, on the CPU. It is exactly 0 for a constant feature.
    """

    mean: Tensor
    std: Tensor


@torch.no_grad()
def feature_statistics(source: RowSource) -> Statistics:
    r"""Computes mean and standard deviation of each feature over all views of all images, in one pass:

    .. math::
        \mu = s + \frac{1}{n} \sum_k (x_k - s), \qquad
        \sigma^2 = \frac{1}{n} \sum_k (x_k - s)^2 - (\mu - s)^2

    The sums are float64. The shift :math:`s` is the first row. Since it is one of the n rows,
    :math:`(\mu - s)^2 \le n \sigma^2`, and the difference of the two terms has a relative error of at most about
    n · 10⁻¹⁶.

    Args:
        source: features, resident or streamed. Both give the same result.

    Raises:
        InputError: if there is no image.

    >>> from mlgcn_pyg.features.batches import ResidentRows
    >>> source = ResidentRows(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), torch.ones(2, 1, dtype=torch.int8))
    >>> feature_statistics(source)
    Statistics(mean=tensor([2., 5.], dtype=torch.float64), std=tensor([1., 0.], dtype=torch.float64))
    """
    if not source.num_images:
        raise InputError("source", "at least one image", "none")
    size = (max(1, PIECE_NUMBERS // source.num_features), source.num_features)
    # one buffer: an allocation of this size per piece would cost page faults
    buffer = torch.empty(size, dtype=torch.float64, device=source.device)
    shift: Tensor | None = None
    total, squares = torch.zeros_like(buffer[0]), torch.zeros_like(buffer[0])
    for block, _ in source.blocks(ALL_VIEWS):
        for piece in block.flatten(0, 1).split(len(buffer)):
            rows = buffer[: len(piece)].copy_(piece)
            shift = rows[0].clone() if shift is None else shift
            total += rows.sub_(shift).sum(0)
            squares += rows.square_().sum(0)
    assert shift is not None, "there is at least one image"
    offset = total / (source.num_images * source.num_views)
    variance = squares / (source.num_images * source.num_views) - offset.square()
    return Statistics((shift + offset).cpu(), variance.clamp(min=0).sqrt().cpu())


def log_odds(targets: Tensor) -> Tensor:
    r"""Returns the smoothed log-odds of each label, the start of a bias:

    .. math:: b_c = \log \frac{n^+_c + 1/2}{n^-_c + 1/2}

    where :math:`n^+_c` and :math:`n^-_c` are the numbers of images in which the label is known to be present or absent.

    Args:
        targets: (N, C) in {-1, 0, 1}.

    Returns:
        (C,) float64, on the CPU. It is 0 for a label that is unknown in all images.

    Raises:
        InputError: if the targets are not a matrix with these values.

    >>> log_odds(torch.tensor([[1, -1], [0, -1], [0, -1]])).exp()  # 1.5 / 2.5
    tensor([0.6000, 1.0000], dtype=torch.float64)
    """
    targets = check_targets("targets", targets)
    present, absent = ((targets == value).sum(0).double() for value in (1, 0))
    return ((present + 0.5) / (absent + 0.5)).log().cpu()
