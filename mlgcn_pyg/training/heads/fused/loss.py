r"""The multi-label soft margin loss and its gradient as one kernel.

For logits z, targets y in {−1, 0, 1} and weights w of present labels, with :math:`s = -z` for present and
:math:`s = z` for absent labels, and :math:`v = w` for present and 1 for absent labels:

.. math::
    \mathcal{L} = \frac{1}{BC} \sum_{b,c\ \text{known}} v \log(1 + e^s), \qquad
    \frac{\partial \mathcal{L}}{\partial z} = \pm \frac{v}{BC} \, \sigma(s),

where the sign is − for present labels, and the gradient is 0 for unknown ones. Both are computed from
:math:`e = e^{-|s|} \le 1`, which cannot overflow:
:math:`\log(1 + e^s) = \max(s, 0) + \log(1 + e)`, and :math:`\sigma(s)` is 1/(1 + e) or e/(1 + e).

Each program computes one block of the B·C entries of one head. A loss of several blocks is the sum of their partial
sums in a fixed order.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096  # entries per program
WARPS = 8


@triton.jit
def _kernel(  # type: ignore[no-untyped-def]  # Triton's
    logits, targets, weights, partials, slopes, head_stride, row_stride, label_stride, weight_stride,
    rows, labels, HAS_WEIGHTS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Writes ∂L/∂z to ``slopes``, which has the strides of the logits, and the sum of a block's terms to ``partials``.

    ``weights`` is (H, C) with rows of ``weight_stride`` entries, which is 0 for one row.
    """
    real: tl.constexpr = partials.dtype.element_ty
    head, entry = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    row, label, inside = entry // labels, entry % labels, entry < rows * labels
    where = head * head_stride + row * row_stride + label * label_stride
    z = tl.load(logits + where, mask=inside, other=0.0).to(real)
    y = tl.load(targets + entry, mask=inside, other=-1)
    s = tl.where(y > 0, -z, z)
    scale = tl.where(y < 0, 0.0, 1.0).to(real)
    if HAS_WEIGHTS:
        weight = tl.load(weights + head * weight_stride + label, mask=inside, other=0.0).to(real)
        scale = tl.where(y > 0, weight, scale)
    scale = scale / (rows * labels)
    e = tl.exp(-tl.abs(s))
    u = 1 + e
    # log(1 + e) to full precision: the rounding error of 1 + e cancels in the quotient
    log1p = tl.where(u == 1, e, tl.log(u) * (e / tl.where(u == 1, 1.0, u - 1)))
    sigmoid = tl.where(s < 0, e, 1.0) / u
    slope = scale * tl.where(y > 0, -sigmoid, sigmoid)
    tl.store(slopes + where, slope, mask=inside)
    # where, since 0 · inf is NaN: an unknown label adds nothing whatever its logit
    terms = tl.where(scale > 0, scale * (tl.maximum(s, 0.0) + log1p), 0.0)
    tl.store(partials + head * tl.num_programs(1) + tl.program_id(1), tl.sum(terms))


def soft_margin(logits: Tensor, targets: Tensor, pos_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Returns the losses of H heads and their gradients, as a backward pass through the sum of the losses would.

    Args:
        logits: (H, B, C), of any strides.
        targets: (B, C) int8 in {-1, 0, 1}.
        pos_weight: (H, 1, C) or (C,); None means 1.

    Returns:
        The losses (H,), in float64 for float64 logits and otherwise in float32, and the gradients (H, B, C) of the
        losses with respect to the logits, in their type.
    """
    heads, rows, labels = logits.shape
    slopes = torch.empty_like(logits)
    if slopes.stride() != logits.stride():  # logits with gaps or repeated entries
        logits = logits.contiguous()
        slopes = torch.empty_like(logits)
    blocks = max(1, triton.cdiv(rows * labels, BLOCK))
    real = torch.float64 if logits.dtype == torch.float64 else torch.float32
    partials = torch.empty(heads, blocks, dtype=real, device=logits.device)
    weights = logits if pos_weight is None else pos_weight.reshape(-1, labels)  # the logits: any pointer
    weight_stride = labels if len(weights) == heads else 0
    with torch.cuda.device_of(logits):  # Triton launches on the current device
        _kernel[heads, blocks](
            logits, targets.contiguous(), weights, partials, slopes, *logits.stride(), weight_stride, rows, labels,
            HAS_WEIGHTS=pos_weight is not None, BLOCK=BLOCK, num_warps=WARPS,
        )  # fmt: skip
    return partials.squeeze(1) if blocks == 1 else partials.sum(1), slopes
