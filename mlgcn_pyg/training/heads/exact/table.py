"""The features of a training set as a matrix, and its products."""

from collections.abc import Iterator

import psutil
import torch
from torch import Tensor

from mlgcn_pyg.typing import RowSource

CONSTANT = 1e-5  # a feature whose standard deviation in a part of the data is this share of the whole is constant there


class FeatureTable:
    """The standardised features X (R, D) of R = N·V rows: all V views of N images, in order.

    X is held on the device of the source if it fits in half of the free memory. Otherwise, the source is read again
    for each product.

    Args:
        source: features and targets.
        mean: (D,) subtracted from the features.
        scale: (D,) by which the differences are multiplied.
        dtype: the dtype of all products.

    Attributes:
        targets: (C, R) int8.
    """

    def __init__(self, source: RowSource, mean: Tensor, scale: Tensor, dtype: torch.dtype):
        self.source, self.dtype, self.device = source, dtype, source.device
        self.mean, self.scale = mean.to(source.device, torch.float64), scale.to(source.device, torch.float64)
        self.num_images, self.num_views, self.num_features = source.num_images, source.num_views, source.num_features
        self.num_rows = self.num_images * self.num_views
        self.targets = source.targets.to(source.device).repeat_interleave(self.num_views, 0).t().contiguous()
        self._whole: Tensor | None = None
        if self.num_rows * self.num_features * dtype.itemsize < self._free() / 2:
            self._whole = torch.empty(self.num_rows, self.num_features, dtype=dtype, device=self.device)
            for rows, x in self._standardised():
                self._whole[rows] = x

    def _free(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.mem_get_info(self.device)[0]
        return psutil.virtual_memory().available

    def _standardised(self) -> Iterator[tuple[slice, Tensor]]:
        start = 0
        mean, scale = self.mean.to(self.dtype), self.scale.to(self.dtype)
        for features, _ in self.source.blocks("all"):
            x = (features.flatten(0, 1).to(self.dtype) - mean) * scale
            yield slice(start, start + len(x)), x
            start += len(x)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yields slices of the rows, and X (n, D) of these rows."""
        return self._standardised() if self._whole is None else iter([(slice(0, self.num_rows), self._whole)])

    def times(self, weight: Tensor) -> Tensor:
        """Returns W Xᵀ (K, R) for W (K, D)."""
        if self._whole is not None:
            return weight @ self._whole.t()
        out = torch.empty(len(weight), self.num_rows, dtype=self.dtype, device=self.device)
        for rows, x in self.blocks():
            out[:, rows] = weight @ x.t()
        return out

    def weighted_sums(self, values: Tensor) -> Tensor:
        """Returns R X (K, D) for values R (K, R)."""
        if self._whole is not None:
            return values @ self._whole
        out = torch.zeros(len(values), self.num_features, dtype=torch.float64, device=self.device)
        for rows, x in self.blocks():
            out += values[:, rows] @ x
        return out.to(self.dtype)

    def moments(self, parts: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean (P, D) and the reciprocal standard deviation (P, D) of X in parts of the rows.

        Args:
            parts: (P, R) bool, each with at least one row.
        """
        sums = torch.zeros(2, len(parts), self.num_features, dtype=torch.float64, device=self.device)
        for rows, x in self.blocks():
            inside = parts[:, rows].to(self.dtype)
            sums[0] += inside @ x
            sums[1] += inside @ x.square()
        mean, square = sums / parts.sum(1, keepdim=True)
        std = (square - mean.square()).clamp(min=0).sqrt()
        scale = torch.where(std > CONSTANT, 1 / std, 0.0)
        return mean.to(self.dtype), scale.to(self.dtype)

    def gram(self, most_rows: int) -> Tensor:
        """Returns E[x xᵀ] (D, D) over at most about ``most_rows`` evenly spaced rows."""
        step = max(1, self.num_rows // most_rows)
        out, count = torch.zeros(self.num_features, self.num_features, dtype=self.dtype, device=self.device), 0
        for _, x in self.blocks():
            some = x[::step]
            out.addmm_(some.t(), some)
            count += len(some)
        return out / max(count, 1)
