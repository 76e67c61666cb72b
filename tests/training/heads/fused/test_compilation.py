"""Every kernel of a training step compiles for a GPU, also where there is none."""

import subprocess
import sys

import pytest

pytest.importorskip("triton")

# in a process of its own, since Triton interprets kernels in this one
SCRIPT = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from mlgcn_pyg.training.heads.fused import loss, update

def compiled(kernel, signature, constants):
    signature = dict(signature) | {name: "constexpr" for name in constants}
    names = kernel.arg_names
    signature = {name: signature[name] for name in names}
    source = ASTSource(kernel, signature, {(names.index(name),): value for name, value in constants.items()})
    assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]

for logits, real in (("*fp32", "*fp32"), ("*bf16", "*fp32"), ("*fp64", "*fp64")):
    for weights in (False, True):
        sizes = dict.fromkeys(("head_stride", "row_stride", "label_stride", "weight_stride", "rows", "labels"), "i32")
        pointers = {"logits": logits, "targets": "*i8", "weights": "*fp64", "partials": real, "slopes": logits}
        compiled(loss._kernel, pointers | sizes, {"HAS_WEIGHTS": weights, "BLOCK": loss.BLOCK})

for leaf, real in (("*fp32", "*fp32"), ("*bf16", "*fp32"), ("*fp64", "*fp64")):
    for count in (1, 3):
        shape = {"sizes": ("i32",) * count, "firsts": ("i32",) * (count + 1), "partials": real}
        leaves = (leaf,) * count
        constants = {"LEAVES": count, "BLOCK": update.BLOCK}
        compiled(update._squares_kernel, shape | {"grads": leaves}, constants)
        tables = {"group_of": "*i32", "rates": "*fp32", "decays": "*fp64", "momentum_of": "*fp64", "max_norms": real}
        lists = {"params": leaves, "grads": leaves, "momenta": leaves}
        for clips in (False, True):
            compiled(update._update_kernel, shape | tables | lists, constants | {"SUMS": update.SUMS, "CLIPS": clips})
print("compiled")
"""


def test_the_kernels_compile_for_sm_90():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, env=without())
    assert done.stdout.strip() == "compiled", done.stderr


def without():
    """The environment without the variable that makes Triton interpret kernels."""
    import os

    return {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
