"""One step of training: gather, forward, loss, backward, clipping, update."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.batches import Resident, Streamed
from mlgcn_pyg.training.config import HeadConfig
from mlgcn_pyg.training.heads.stacked import OneHead, StackedHeads


class Step:
    """A step of H heads on the same rows; called with rows (B,), it returns the losses (H,) before the update.

    Args:
        program: forward of all heads. source: where rows are gathered. optimizers, configs: one per head.
    """

    def __init__(
        self,
        program: OneHead | StackedHeads,
        source: Resident | Streamed,
        optimizers: Sequence[torch.optim.SGD],
        configs: Sequence[HeadConfig],
    ):
        self.program, self.source, self.optimizers = program, source, optimizers
        self.half = configs[0].precision == "bf16"
        self.dtype = program.leaves[0].dtype
        norms = [torch.inf if config.clip_norm is None else config.clip_norm for config in configs]
        self.clip_norms = torch.tensor(norms, dtype=self.dtype, device=source.device)
        self.clips = any(config.clip_norm is not None for config in configs)

    def __call__(self, rows: Tensor) -> Tensor:
        return self.on(*self.source.gather(rows))

    def on(self, features: Tensor, targets: Tensor) -> Tensor:
        """The step on features (B, D) and targets (B, C)."""
        # nothing is cast twice, and a cache of casts would outlive a captured graph
        with torch.autocast(features.device.type, torch.bfloat16, enabled=self.half, cache_enabled=False):
            logits = self.program.logits(features.to(self.dtype))
        losses = soft_margin_each(logits.to(self.dtype), targets)
        self.program.hand_out(torch.autograd.grad(losses.sum(), self.program.leaves, allow_unused=True))
        if self.clips:
            clip_each([optimizer.param_groups[0]["params"] for optimizer in self.optimizers], self.clip_norms)
        for optimizer in self.optimizers:
            optimizer.step()
        return losses.detach()

    def advance(self, rows: Iterator[Tensor]) -> Tensor:
        """Takes what it needs of ``rows``, batches of an epoch; losses (n, H) of the n ≥ 1 steps that it was."""
        return self(next(rows)).unsqueeze(0)

    def release(self) -> None:
        """Leaves the heads with storage of their own and no gradients."""
        self.program.release()


def make_optimizers(
    heads: Sequence[torch.nn.Module], configs: Sequence[HeadConfig], device: torch.device
) -> list[torch.optim.SGD]:
    """torch's SGD, fused, one per head, every momentum there from the start, and on CUDA a learning rate that a
    captured graph reads anew."""
    optimizers = []
    for head, config in zip(heads, configs, strict=True):
        lr = torch.tensor(config.lr, device=device) if device.type == "cuda" else config.lr
        params = [p for p in head.parameters() if p.requires_grad]
        options = {"momentum": config.momentum, "weight_decay": config.weight_decay}
        optimizer = torch.optim.SGD(params, lr=lr, fused=device.type in ("cpu", "cuda"), **options)
        if config.momentum:
            for p in params:
                optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
        optimizers.append(optimizer)
    return optimizers


def set_lr(optimizer: torch.optim.SGD, lr: float) -> None:
    """Its learning rate, in place where a graph holds its address."""
    group = optimizer.param_groups[0]
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


def trained_tensors(optimizers: Sequence[torch.optim.SGD]) -> list[dict[str, Tensor]]:
    """Per head, what training changes, by name: ``p0``, … the parameters and ``m0``, … their momenta."""
    found = []
    for optimizer in optimizers:
        group = optimizer.param_groups[0]
        tensors = {f"p{k}": p for k, p in enumerate(group["params"])}
        if group["momentum"]:
            tensors |= {f"m{k}": optimizer.state[p]["momentum_buffer"] for k, p in enumerate(group["params"])}
        found.append(tensors)
    return found


def soft_margin_each(logits: Tensor, targets: Tensor) -> Tensor:
    """:func:`~mlgcn_pyg.nn.multilabel_soft_margin` of each head: logits (H, B, C) and targets (B, C) → (H,)."""
    truth, known = targets.clamp(min=0).to(logits.dtype), (targets >= 0).to(logits.dtype)
    loss = F.binary_cross_entropy_with_logits(
        logits, truth.expand_as(logits), known.expand_as(logits), reduction="none"
    )
    return loss.sum(dim=(1, 2)) / targets.numel()


def clip_each(heads: Sequence[Sequence[Tensor]], max_norms: Tensor) -> None:
    """Scales the gradients of each head's parameters so that their common norm is at most its entry of (H,)."""
    grads = [[p.grad for p in params if p.grad is not None] for params in heads]
    norms = torch.stack(torch._foreach_norm([grad for some in grads for grad in some]))
    norms = torch.linalg.vector_norm(norms.view(len(grads), -1), dim=1)
    factors = (max_norms / (norms + 1e-6)).clamp(max=1)  # as torch's clip_grad_norm_
    for some, factor in zip(grads, factors, strict=True):
        if factor.is_cuda or factor < 1:  # looking costs a synchronisation on CUDA, a pass over memory elsewhere
            torch._foreach_mul_(some, factor)


@contextmanager
def matmul_precision(config: HeadConfig, device: torch.device) -> Iterator[None]:
    """CUDA's float32 products in float32 or TF32 as the config says, and as before afterwards."""
    if config.precision == "tf32" and device.type != "cuda":
        raise InputError("precision", "float32 or bf16 on this device", "'tf32'", "TF32 is a type of NVIDIA GPUs")
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if config.precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
