"""The precision in which a backbone computes features."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

PRECISIONS = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@contextmanager
def precision_of(device: torch.device, name: str) -> Iterator[None]:
    """Sets the precision, and makes results deterministic. TF32, torch's default for convolutions, is disabled."""
    cudnn, dtype = torch.backends.cudnn, PRECISIONS[name]
    with (
        cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False),
        torch.autocast(device.type, dtype, enabled=dtype is not None),
    ):
        yield
