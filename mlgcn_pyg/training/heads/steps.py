"""One training step: gather, forward pass, loss, backward pass, clipping, update."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import make_loss
from mlgcn_pyg.training.config import HeadConfig, HeadSettings
from mlgcn_pyg.training.heads.groups import LR_FACTOR, parameter_groups
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
        self,
        heads: HeadStack,
        source: RowSource,
        optimizers: Sequence[torch.optim.Optimizer],
        configs: Sequence[HeadSettings],
    ):
        self.heads, self.source, self.optimizers = heads, source, optimizers
        self.use_bf16 = configs[0].precision == "bf16"
        self.dtype = heads.leaves[0].dtype
        norms = [torch.inf if config.clip_norm is None else config.clip_norm for config in configs]
        self.clip_norms = torch.tensor(norms, dtype=self.dtype, device=source.device)
        self.clips = any(config.clip_norm is not None for config in configs)
        weights = _pos_weights(configs, source.targets.size(1))
        weights = None if weights is None else weights.to(self.clip_norms)
        self.loss = make_loss(configs[0].loss, check=False, pos_weight=weights)
        self.groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        self.owners = torch.tensor([k for k, optimizer in enumerate(optimizers) for _ in optimizer.param_groups])
        self.factors = torch.tensor([group[LR_FACTOR] for group in self.groups], dtype=torch.float64)
        self.rates = self._shared_rates()

    def __call__(self, rows: Tensor) -> Tensor:
        """Takes a step on the images of ``rows`` (B,); returns the losses (H,) before the update."""
        return self.on_batch(*self.source.gather(rows))

    def on_batch(self, features: Tensor, targets: Tensor) -> Tensor:
        """Takes a step on features (B, D) and targets (B, C); returns the losses (H,) before the update."""
        # autocast's cache is disabled: no tensor is cast twice, and the cache would outlive a captured graph
        with torch.autocast(features.device.type, torch.bfloat16, enabled=self.use_bf16, cache_enabled=False):
            logits = self.heads.logits(features.to(self.dtype))
        # targets were checked when the source was opened; checking here would synchronise with the GPU
        losses = self.loss(logits.to(self.dtype), targets)
        self.heads.set_gradients(torch.autograd.grad(losses.sum(), self.heads.leaves, allow_unused=True))
        if self.clips:
            clip_each([trained_parameters(optimizer) for optimizer in self.optimizers], self.clip_norms)
        for optimizer in self.optimizers:
            optimizer.step()
        return losses.detach()

    def _shared_rates(self) -> Tensor | None:
        """Returns the learning rates (G,) of all groups on CUDA, which all optimizers and captured graphs read."""
        if self.source.device.type != "cuda":
            return None
        # float32, as which fused optimizers read it
        rates = torch.zeros(len(self.groups), dtype=torch.float32, device=self.source.device)
        for k, group in enumerate(self.groups):
            group["lr"] = rates[k]
        return rates

    def set_rates(self, lrs: Tensor) -> None:
        """Sets the learning rates (H,) of the next step."""
        of_groups = lrs[self.owners] * self.factors
        if self.rates is not None:
            self.rates.copy_(of_groups)
            return
        for group, lr in zip(self.groups, of_groups.tolist(), strict=True):
            group["lr"] = lr

    def advance(self, rows: Iterator[Tensor], lrs: Tensor) -> Tensor:
        """Takes one step on the next batch of ``rows``; returns the losses (1, H)."""
        self.set_rates(lrs[0])
        return self(next(rows)).unsqueeze(0)

    def release(self) -> None:
        """Removes all gradients and leaves each parameter with its own storage."""
        self.heads.release()


def _pos_weights(configs: Sequence[HeadSettings], num_labels: int) -> Tensor | None:
    """Returns the weights (H, 1, C) of present labels; None if all are 1."""
    if all(config.pos_weight is None for config in configs):
        return None
    ones = torch.ones(num_labels, dtype=torch.float64)
    given = (1.0 if config.pos_weight is None else config.pos_weight for config in configs)
    return torch.stack([ones * torch.as_tensor(weights, dtype=torch.float64) for weights in given]).unsqueeze(1)


def make_optimizers(
    heads: Sequence[Head], configs: Sequence[HeadSettings], device: torch.device
) -> list[torch.optim.Optimizer]:
    """Returns one fused optimizer per head. Its state exists from the start, so that a CUDA graph can refer to it."""
    return [
        _make_optimizer(parameter_groups(head, config), config, device)
        for head, config in zip(heads, configs, strict=True)
    ]


def _make_optimizer(groups: list[dict[str, Any]], config: HeadSettings, device: torch.device) -> torch.optim.Optimizer:
    on_cuda = device.type == "cuda"
    lr = torch.tensor(config.lr, dtype=torch.float32, device=device) if on_cuda else config.lr
    fused = device.type in ("cpu", "cuda")
    optimizer: torch.optim.Optimizer
    if config.optimizer == "adamw":
        optimizer = torch.optim.AdamW(groups, lr=lr, fused=fused, capturable=on_cuda)
        for p in trained_parameters(optimizer):
            step = torch.zeros((), dtype=torch.float32, device=p.device)
            optimizer.state[p] = {"step": step, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
        return optimizer
    optimizer = torch.optim.SGD(groups, lr=lr, momentum=config.momentum, fused=fused)
    if config.momentum:
        for p in trained_parameters(optimizer):
            optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
    return optimizer


def trained_parameters(optimizer: torch.optim.Optimizer) -> list[Parameter]:
    """Returns the parameters of all groups of an optimizer."""
    return [p for group in optimizer.param_groups for p in group["params"]]


# names in saved states of what an optimizer keeps for each parameter
STATE_NAMES = {"momentum_buffer": "m", "exp_avg": "m", "exp_avg_sq": "v", "step": "s"}


def trained_tensors(optimizers: Sequence[torch.optim.Optimizer]) -> list[dict[str, Tensor]]:
    """Returns, for each head, the tensors that training changes.

    The names ``p0``, ``p1``, … are those of the parameters, and ``m0``, ``m1``, … those of their momentum buffers. For
    AdamW, the latter are the first moments, ``v0``, ``v1``, … the second moments, and ``s0``, ``s1``, … the numbers of
    steps.
    """
    of_each_head = []
    for optimizer in optimizers:
        params = trained_parameters(optimizer)
        tensors: dict[str, Tensor] = {f"p{k}": p for k, p in enumerate(params)}
        for k, p in enumerate(params):
            tensors |= {f"{STATE_NAMES[name]}{k}": value for name, value in optimizer.state[p].items()}
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
