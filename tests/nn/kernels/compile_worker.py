"""Compiles every variant of the Triton kernels for sm_90, without a GPU. A process of its own, without the interpreter.

It prints one line per variant: the kernel, the width, the type and whether rows are read with the widest loads.
"""

import itertools

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mlgcn_pyg.nn.kernels import fused

WIDTHS = (7, 300, 1024)
TYPES = ("fp32", "bf16", "fp64")


def compiled(kernel: triton.JITFunction, width: int, number: str, position: str) -> str:
    """Returns the PTX of a kernel with the constants of its launch."""
    constants = fused._constants(width, fused.default_tile(width))
    warps = constants.pop("num_warps")
    types = [f"*{number}", f"*{number}", *[f"*{position}"] * 3, f"*{number}", "i32"]
    signature = dict(zip(kernel.arg_names, types + ["constexpr"] * 3, strict=True))
    # torch's tensors start at multiples of 16 bytes
    aligned = {(argument,): [["tt.divisibility", 16]] for argument in range(6)}
    source = ASTSource(kernel, signature, constants, aligned)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps}).asm["ptx"]


if __name__ == "__main__":
    for kernel, width, number in itertools.product((fused._sums_kernel, fused._dots_kernel), WIDTHS, TYPES):
        ptx = compiled(kernel, width, number, "i64")
        assert ".target sm_90" in ptx
        print(kernel.__name__, width, number, "wide" if "ld.global.v4" in ptx else "narrow")
