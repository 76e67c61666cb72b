"""Launches the kernels of a training step as on an H100, except that nothing runs: a process without the interpreter.

Triton's own launcher binds and specialises the arguments, which are tensors on the CPU, and compiles for sm_90.
"""

from collections.abc import Callable

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from mlgcn_pyg.training.heads.fused.gather import gather
from mlgcn_pyg.training.heads.fused.loss import soft_margin
from mlgcn_pyg.training.heads.fused.update import FlatSGD


class NoDevice:
    """A driver without a GPU."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def compiles_only(kernel: triton.JITFunction, grid: tuple[int, ...]) -> Callable[..., None]:
    """Stands for ``kernel[grid]``."""

    def launch(*arguments: object, **options: object) -> None:
        assert "cubin" in kernel.run(*arguments, grid=grid, warmup=True, **options).asm
        print(kernel.__name__)

    return launch


def update(dtype: torch.dtype, shapes: list[tuple[int, ...]], clips: bool, missing: int | None = None) -> None:
    """Clips and updates two heads."""
    leaves = [torch.zeros(2 * shape[0], *shape[1:], dtype=dtype) for shape in shapes]
    groups, rates = torch.arange(2).unsqueeze(1).expand(2, len(shapes)), torch.zeros(2, dtype=torch.float64)
    norms = torch.ones(2, dtype=dtype) if clips else None
    gradients = [None if k == missing else torch.zeros_like(leaf) for k, leaf in enumerate(leaves)]
    FlatSGD(leaves, leaves if clips else None, groups, rates, rates, norms)(gradients, rates)


if __name__ == "__main__":
    driver.set_active(NoDevice())
    triton.JITFunction.__getitem__ = compiles_only
    update(torch.float32, [(300, 1024), (1024, 2048), (2048,)], clips=True)
    update(torch.float64, [(3, 1), (1,)], clips=True, missing=1)  # sizes of 0 and 1 become constants
    update(torch.bfloat16, [(1,)], clips=False)
    targets = torch.zeros(32, 80, dtype=torch.int8)
    soft_margin(torch.zeros(1, 32, 80), targets)
    soft_margin(torch.zeros(2, 32, 80, dtype=torch.float64), targets, torch.ones(80, dtype=torch.float64))
    soft_margin(torch.zeros(1, 1, 1, dtype=torch.bfloat16), targets[:1, :1])
    gather(torch.zeros(8, 2048, dtype=torch.float16), targets[:8], 1, torch.float32, torch.arange(8))
    gather(torch.zeros(8, 12), targets[:4, :1], 2, torch.float64, torch.arange(8))
