r"""Checkpoints whose logits are an increasing affine function of those of another checkpoint:

.. math:: \mathbf{W}' = \mathrm{diag}(\mathbf{a}) \, \mathbf{W}, \qquad \mathbf{b}' = \mathbf{a} \odot \mathbf{b}
    + \mathbf{s}, \qquad \mathbf{t}' = \mathbf{a} \odot \mathbf{t} + \mathbf{s}
"""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from mlgcn_pyg.checkpoints.checkpoint import Checkpoint
from mlgcn_pyg.checkpoints.files import checkpoint_content
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.plain import save_plain
from mlgcn_pyg.nn.linear_head import LinearHead


@torch.no_grad()
def calibrated_checkpoint(checkpoint: Checkpoint, scale: Tensor, shift: Tensor) -> Checkpoint:
    """Returns a checkpoint with calibrated logits. Its head is linear, whatever the head was.

    The predictions at the thresholds of the checkpoint stay the same. Without thresholds, the labels that are predicted
    are those with a calibrated probability above 0.5.

    Args:
        checkpoint: a head or a whole network.
        scale: a (C,) > 0, see :class:`mlgcn_pyg.evaluation.Calibration`.
        shift: s (C,).

    Raises:
        InputError: if ``scale`` or ``shift`` is not one finite number per label, or a scale is not positive.

    >>> checkpoint = Checkpoint(LinearHead(2, 3, ["cat", "dog"]), thresholds=torch.tensor([0.0, 1.0]))
    >>> calibrated_checkpoint(checkpoint, torch.tensor([0.5, 2.0]), torch.tensor([0.0, -1.0])).thresholds
    tensor([0., 1.], dtype=torch.float64)
    """
    head = checkpoint.head
    a, s = _per_label("scale", scale, head.num_labels), _per_label("shift", shift, head.num_labels)
    if not bool((a > 0).all()):
        raise InputError("scale", "numbers > 0", f"{float(a.min()):g}")
    linear = head.to_linear()
    weight, bias = linear.weight.cpu().double(), torch.zeros_like(a) if linear.bias is None else linear.bias.cpu()
    new = LinearHead(head.num_labels, head.num_features, head.label_names).to(linear.weight.dtype)
    new.linear.weight.copy_(a[:, None] * weight)
    new.linear.bias.copy_(a * bias.double() + s)
    thresholds = None if checkpoint.thresholds is None else a * checkpoint.thresholds + s
    config = checkpoint.config | {"calibration": {"scale": a.tolist(), "shift": s.tolist()}}
    return replace(checkpoint, head=new, thresholds=thresholds, config=config)


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Writes a head or, if the checkpoint has a backbone, a whole network. The write is atomic.

    Args:
        path: the file.
        checkpoint: what to write.

    Raises:
        InputError: as :func:`~mlgcn_pyg.checkpoints.save_head` and :func:`~mlgcn_pyg.checkpoints.save_model`, or if a
            network has no image size.
    """
    save_plain(path, checkpoint_content(checkpoint))


def _per_label(argument: str, values: Tensor, num_labels: int) -> Tensor:
    numbers = torch.as_tensor(values).detach().to("cpu", torch.float64)
    if numbers.shape != (num_labels,) or not bool(numbers.isfinite().all()):
        raise InputError(argument, f"one finite number per label, shape ({num_labels},)", f"{numbers.shape}")
    return numbers
