"""One training step: gather, forward pass, loss, backward pass, clipping, update."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import multilabel_soft_margin
from mlgcn_pyg.training.config import HeadConfig
from mlgcn_pyg.training.heads.stacked import HeadStack
from mlgcn_pyg.typing import Head, RowSource


class Step:
    """A training step of H heads on the same batch (a :class:`~mlgcn_pyg.typing.TrainingStep`).

    Args:
        heads: the forward pass of all heads.
        source: features and targets.
        optimizers: one optimizer per head.
        configs: one config per head.
    """

    def __init__(
        self, heads: HeadStack, source: RowSource, optimizers: Sequence[torch.optim.SGD], configs: Sequence[HeadConfig]
    ):
        self.heads, self.source, self.optimizers = heads, source, optimizers
        self.use_bf16 = configs[0].precision == "bf16"
        self.dtype = heads.leaves[0].dtype
        norms = [torch.inf if config.clip_norm is None else config.clip_norm for config in configs]
        self.clip_norms = torch.tensor(norms, dtype=self.dtype, device=source.device)
        self.clips = any(config.clip_norm is not None for config in configs)

    def __call__(self, rows: Tensor) -> Tensor:
        """Takes a step on the images of ``rows`` (B,); returns the losses (H,) before the update."""
        return self.on_batch(*self.source.gather(rows))

    def on_batch(self, features: Tensor, targets: Tensor) -> Tensor:
        """Takes a step on features (B, D) and targets (B, C); returns the losses (H,) before the update."""
        # autocast's cache is disabled: no tensor is cast twice, and the cache would outlive a captured graph
        with torch.autocast(features.device.type, torch.bfloat16, enabled=self.use_bf16, cache_enabled=False):
            logits = self.heads.logits(features.to(self.dtype))
        # targets were checked when the source was opened; checking here would synchronise with the GPU
        losses = multilabel_soft_margin(logits.to(self.dtype), targets, check=False)
        self.heads.set_gradients(torch.autograd.grad(losses.sum(), self.heads.leaves, allow_unused=True))
        if self.clips:
            clip_each([optimizer.param_groups[0]["params"] for optimizer in self.optimizers], self.clip_norms)
        for optimizer in self.optimizers:
            optimizer.step()
        return losses.detach()

    def advance(self, rows: Iterator[Tensor]) -> Tensor:
        """Takes one step on the next batch of ``rows``; returns the losses (1, H)."""
        return self(next(rows)).unsqueeze(0)

    def release(self) -> None:
        """Removes all gradients and leaves each parameter with its own storage."""
        self.heads.release()


def make_optimizers(
    heads: Sequence[Head], configs: Sequence[HeadConfig], device: torch.device
) -> list[torch.optim.SGD]:
    """Returns one fused SGD optimizer per head.

    All momentum buffers exist from the start. On CUDA, the learning rate is a tensor, which a captured graph reads
    again at each replay.
    """
    optimizers = []
    for head, config in zip(heads, configs, strict=True):
        params = [p for p in head.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(
            params,
            lr=torch.tensor(config.lr, device=device) if device.type == "cuda" else config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            fused=device.type in ("cpu", "cuda"),
        )
        if config.momentum:
            for p in params:
                optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
        optimizers.append(optimizer)
    return optimizers


def set_lr(optimizer: torch.optim.SGD, lr: float) -> None:
    """Sets the learning rate: in place if it is a tensor, since a captured graph refers to its memory."""
    group = optimizer.param_groups[0]
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


def trained_tensors(optimizers: Sequence[torch.optim.SGD]) -> list[dict[str, Tensor]]:
    """Returns, for each head, the tensors that training changes.

    The names ``p0``, ``p1``, … are those of the parameters, and ``m0``, ``m1``, … those of their momentum buffers.
    """
    of_each_head = []
    for optimizer in optimizers:
        group = optimizer.param_groups[0]
        tensors = {f"p{k}": p for k, p in enumerate(group["params"])}
        if group["momentum"]:
            tensors |= {f"m{k}": optimizer.state[p]["momentum_buffer"] for k, p in enumerate(group["params"])}
        of_each_head.append(tensors)
    return of_each_head


def clip_each(params_of_each: Sequence[Sequence[Tensor]], max_norms: Tensor) -> None:
    """Scales the gradients of each head so that their joint norm is at most its entry of ``max_norms`` (H,)."""
    gradients = [[p.grad for p in params if p.grad is not None] for params in params_of_each]
    norms = torch.stack(torch._foreach_norm([gradient for head in gradients for gradient in head]))
    norms = torch.linalg.vector_norm(norms.view(len(gradients), -1), dim=1)
    factors = (max_norms / (norms + 1e-6)).clamp(max=1)  # as in torch's clip_grad_norm_
    for head, factor in zip(gradients, factors, strict=True):
        # on CUDA the comparison would synchronise; elsewhere the product would cost a pass over memory
        if factor.is_cuda or factor < 1:
            torch._foreach_mul_(head, factor)


@contextmanager
def matmul_precision(config: HeadConfig, device: torch.device) -> Iterator[None]:
    """Sets the precision of float32 matrix products on CUDA to that of ``config`` within the block.

    Raises:
        InputError: if the precision is ``tf32`` and the device is not a CUDA device.
    """
    if config.precision == "tf32" and device.type != "cuda":
        raise InputError("precision", "float32 or bf16 on this device", "'tf32'", "TF32 requires an NVIDIA GPU")
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if config.precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
