"""Compiles the Triton kernels for sm_90, without a GPU. A process of its own, without the interpreter.

It prints one line per variant: the kernel, the width, the type and whether rows are read with the widest loads.
"""

import itertools

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mlgcn_pyg.nn.kernels import fused

KERNELS = ((fused._sums_kernel, fused.sums_tile), (fused._dots_kernel, fused.dots_tile))
BYTES = {"fp32": 4, "bf16": 2, "fp64": 8}
SHAPES = ((80, 7, "fp64"), (80, 300, "fp32"), (100_000, 1024, "bf16"))


def compiled(kernel: triton.JITFunction, tile: fused.Tile, width: int, number: str) -> str:
    """Returns the PTX of a kernel with the constants of its launch."""
    constants = fused._constants(width, tile)
    warps = constants.pop("num_warps")
    integers = len(kernel.arg_names) - 6 - len(constants)
    types = [f"*{number}", f"*{number}", *["*i64"] * 3, f"*{number}", *["i32"] * integers]
    signature = dict(zip(kernel.arg_names, types + ["constexpr"] * 3, strict=True))
    # torch's tensors start at multiples of 16 bytes
    aligned = {(argument,): [["tt.divisibility", 16]] for argument in range(6)}
    source = ASTSource(kernel, signature, constants, aligned)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps}).asm["ptx"]


if __name__ == "__main__":
    for (kernel, tile), (labels, width, number) in itertools.product(KERNELS, SHAPES):
        ptx = compiled(kernel, tile(labels, width, BYTES[number]), width, number)
        assert ".target sm_90" in ptx
        print(kernel.__name__, width, number, "wide" if "ld.global.v4" in ptx else "narrow")
