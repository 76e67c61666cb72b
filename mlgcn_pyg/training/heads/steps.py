"""One training step: gather, forward pass, loss, backward pass, clipping, update."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features.batches import ResidentRows
from mlgcn_pyg.nn import make_loss
from mlgcn_pyg.training.config import HeadConfig, HeadSettings
from mlgcn_pyg.training.heads.groups import LR_FACTOR, parameter_groups
from mlgcn_pyg.training.heads.stacked_heads import HeadStack
from mlgcn_pyg.training.heads.updates import TorchUpdate, flat_update, trained_parameters
from mlgcn_pyg.typing import Head, RowSource

RATE_TYPE = torch.float32  # of learning rates in tensors, as which torch's fused optimizers read them


class Step:
    """A training step of H heads on the same batch (a :class:`~mlgcn_pyg.typing.TrainingStep`).

    Args:
        heads: the forward pass of all heads.
        source: features and targets.
        optimizers: one optimizer per head.
        configs: one config per head.
        fused: the parts that are computed by Triton kernels where these apply: ``"gather"``, ``"loss"``, ``"update"``.
        turn: the number of steps whose learning rates are kept.

    Attributes:
        rates: (turn, G) the learning rates of all groups of parameters in the next steps. Captured graphs read it.
    """

    def __init__(
        self,
        heads: HeadStack,
        source: RowSource,
        optimizers: Sequence[torch.optim.Optimizer],
        configs: Sequence[HeadSettings],
        *,
        fused: Collection[str] = (),
        turn: int = 1,
    ):
        self.heads, self.source, self.optimizers = heads, source, optimizers
        self.use_bf16 = configs[0].precision == "bf16"
        self.dtype = heads.leaves[0].dtype
        self.gather = (_fused_gather(source, self.dtype) if "gather" in fused else None) or source.gather
        weights = _pos_weights(configs, source.targets.size(1))
        self.fused_loss = _fused_loss(configs[0].loss, weights, source.device) if "loss" in fused else None
        weights = None if weights is None else weights.to(source.device, self.dtype)
        self.loss = make_loss(configs[0].loss, check=False, pos_weight=weights)
        max_norms = _max_norms(configs, self.dtype, source.device)
        flat = flat_update(heads, optimizers, max_norms) if "update" in fused else None
        self.update = flat or TorchUpdate(heads, optimizers, max_norms)
        groups = [(k, group) for k, optimizer in enumerate(optimizers) for group in optimizer.param_groups]
        place = source.device if source.device.type == "cuda" else torch.device("cpu")
        self.owners = torch.tensor([k for k, _ in groups], dtype=torch.int64, device=place)
        self.factors = rate_tensor([group[LR_FACTOR] for _, group in groups], place, torch.float64)
        by_torch = flat is None and source.device.type == "cuda"
        self.rates = self.factors.new_zeros(turn, len(groups), dtype=RATE_TYPE if by_torch else torch.float64)

    def __call__(self, rows: Tensor, number: int = 0) -> Tensor:
        """Takes step ``number`` of the turn on the images of ``rows`` (B,).

        Returns:
            The losses (H,) before the update.
        """
        return self.on_batch(*self.gather(rows), number)

    def on_batch(self, features: Tensor, targets: Tensor, number: int = 0) -> Tensor:
        """Takes step ``number`` of the turn on features (B, D) and targets (B, C).

        Returns:
            The losses (H,) before the update.
        """
        # autocast's cache is disabled: no tensor is cast twice, and the cache would outlive a captured graph
        with torch.autocast(features.device.type, torch.bfloat16, enabled=self.use_bf16, cache_enabled=False):
            logits = self.heads.logits(features.to(self.dtype))
        losses, gradients = self._gradients(logits, targets)
        self.update(gradients, self.rates[number])
        return losses

    def _gradients(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Sequence[Tensor | None]]:
        """Returns the losses (H,) and the gradient of their sum with respect to each leaf."""
        if self.fused_loss is not None:
            losses, slopes = self.fused_loss(logits.detach(), targets)
            return losses, torch.autograd.grad(logits, self.heads.leaves, slopes, allow_unused=True)
        # targets were checked when the source was opened; checking here would synchronise with the GPU
        losses = self.loss(logits.to(self.dtype), targets)
        return losses.detach(), torch.autograd.grad(losses.sum(), self.heads.leaves, allow_unused=True)

    def set_rates(self, lrs: Tensor) -> None:
        """Sets the learning rates (n, H) of the next n steps of the turn."""
        self.rates[: len(lrs)] = lrs.to(self.owners.device)[:, self.owners] * self.factors

    def advance(self, rows: Iterator[Tensor], lrs: Tensor) -> Tensor:
        """Takes one step on the next batch of ``rows``; returns the losses (1, H)."""
        self.set_rates(lrs[:1])
        return self(next(rows)).unsqueeze(0)

    def release(self) -> None:
        """Removes all gradients and leaves each parameter with its own storage."""
        self.heads.release()


def rate_tensor(rates: Sequence[float], device: torch.device, dtype: torch.dtype = RATE_TYPE) -> Tensor:
    """Returns learning rates as a tensor whose type does not depend on torch's default type."""
    return torch.tensor(rates, dtype=dtype, device=device)


def _max_norms(configs: Sequence[HeadSettings], dtype: torch.dtype, device: torch.device) -> Tensor | None:
    """Returns the largest norms (H,) of the gradients; None if no head clips them."""
    norms = [config.clip_norm for config in configs]
    if all(norm is None for norm in norms):
        return None
    return torch.tensor([torch.inf if norm is None else norm for norm in norms], dtype=dtype, device=device)


def _fused_gather(source: RowSource, dtype: torch.dtype) -> Callable[[Tensor], tuple[Tensor, Tensor]] | None:
    """Returns the gather of a batch as one kernel; None if there is no kernel for the source."""
    if not isinstance(source, ResidentRows) or not (source.features.is_contiguous() and source.targets.is_contiguous()):
        return None
    from mlgcn_pyg.training.heads.fused.gather import gather

    return partial(gather, source.features, source.targets, source.num_views, dtype)


def _fused_loss(
    loss: str, pos_weight: Tensor | None, device: torch.device
) -> Callable[..., tuple[Tensor, Tensor]] | None:
    """Returns the loss and its gradient as one kernel; None if there is no kernel for the loss."""
    if loss != "multilabel_soft_margin":
        return None
    from mlgcn_pyg.training.heads.fused.loss import soft_margin

    return partial(soft_margin, pos_weight=None if pos_weight is None else pos_weight.to(device))


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
    lr = rate_tensor([config.lr], device)[0] if on_cuda else config.lr
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
    tf32, matmul = config.precision == "tf32", torch.backends.cuda.matmul
    if hasattr(matmul, "fp32_precision"):  # torch ≥ 2.9, where reading the older setting raises if this one is in use
        precision, matmul.fp32_precision = matmul.fp32_precision, "tf32" if tf32 else "ieee"
        try:
            yield
        finally:
            matmul.fp32_precision = precision
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
