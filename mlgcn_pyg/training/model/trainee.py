"""A network in training: precision, processes, optimiser, averaged weights, and one step."""

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import MLGCN, make_loss
from mlgcn_pyg.seeding import derived_seed
from mlgcn_pyg.training.config import ModelConfig
from mlgcn_pyg.training.run_folder import plain_copy

MIXED_PRECISION = {"float32": "no", "bf16": "bf16", "fp16": "fp16"}  # Accelerate's names


class Trainee:
    """``model`` with all that training changes, on the device and with the precision that Accelerate provides.

    Attributes:
        averaged: the exponential average of the weights, or None.
    """

    def __init__(self, model: MLGCN, config: ModelConfig):
        AcceleratorState._reset_state(reset_partial_state=True)  # an earlier call may have had another precision
        if config.precision == "fp16" and (config.cpu or not torch.cuda.is_available()):
            raise InputError("precision", "float32 or bf16 on this device", "'fp16'", "float16 trains on GPUs")
        self.accelerator = Accelerator(mixed_precision=MIXED_PRECISION[config.precision], cpu=config.cpu)
        self.model, self.config, self.loss = model, config, make_loss(config.loss, check=False)
        self.layout = torch.channels_last if config.channels_last else torch.contiguous_format
        model.to(self.accelerator.device, memory_format=self.layout)
        groups = model.param_groups(config.lr, config.backbone_lr_factor)
        self.base_lrs = [group["lr"] for group in groups]
        options = {"momentum": config.momentum, "weight_decay": config.weight_decay}
        self.optimizer = self.accelerator.prepare_optimizer(torch.optim.SGD(groups, **options))
        self.averaged = None
        if config.ema_decay is not None:
            self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
        self.learning = [p for p in model.parameters() if p.requires_grad]  # the caller may hold some fixed
        always = model.head if config.frozen_epochs else model
        if not any(p.requires_grad for p in always.parameters()):
            raise InputError(
                "model", "a parameter that learns in every epoch", "none", "requires_grad_() lets it learn"
            )
        self.wrapped, self.frozen = None, None

    @property
    def rank(self) -> int:
        return self.accelerator.process_index

    @property
    def size(self) -> int:
        return self.accelerator.num_processes

    @property
    def best_weights(self) -> MLGCN:
        """The network to validate and to keep: the averaged one where there is one."""
        return self.model if self.averaged is None else self.averaged.module

    def begin_epoch(self, epoch: int) -> None:
        """Training mode, with the backbone frozen in the first epochs if the recipe says so."""
        frozen = epoch <= self.config.frozen_epochs
        if self.wrapped is None or frozen != self.frozen:
            self._let_learn()
            if frozen:
                self.model.backbone.requires_grad_(False)
            network = torch.compile(self.model) if self.config.compile else self.model
            # wrapped anew, since gradients are exchanged for what learns now; in a shell, which takes Accelerate's
            # changes of its forward in the model's place
            self.wrapped, self.frozen = self.accelerator.prepare_model(torch.nn.Sequential(network)), frozen
        self.wrapped.train()
        if frozen:
            self.model.backbone.eval()
        if frozen or self.config.freeze_batchnorm:
            for part in self.model.backbone.modules():
                if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
                    part.eval()

    def _let_learn(self) -> None:
        for parameter in self.learning:
            parameter.requires_grad_()

    def step(self, pieces: Sequence[tuple[Tensor, Tensor, float]], number: int, lr_factor: float) -> Tensor:
        """One update from this process's pieces of a batch; returns its part of the batch's mean loss.

        Dropout and the like draw from (seed, step, process), so that going on needs no generator's state.
        """
        torch.manual_seed(derived_seed("step", self.config.seed, number, self.rank))
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * lr_factor
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self.accelerator.device)
        for k, (images, targets, weight) in enumerate(pieces, start=1):
            if k < len(pieces):
                with self.accelerator.no_sync(self.wrapped):
                    total += self._backward(images, targets, weight)
            else:
                total += self._backward(images, targets, weight)
        if self.config.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)
        return total

    def _backward(self, images: Tensor, targets: Tensor, weight: float) -> Tensor:
        device = self.accelerator.device
        images = images.to(device, memory_format=self.layout, non_blocking=True)
        with self.accelerator.autocast():
            logits = self.wrapped(images)
        loss = weight * self.loss(logits, targets.to(device, non_blocking=True))
        self.accelerator.backward(loss * self.size)  # gradients are averaged over processes, parts are to be summed
        return loss.detach()

    def share_statistics(self) -> None:
        """Gives every process the first one's batch statistics: those that are kept are those that are scored."""
        if self.size > 1:
            for buffer in self.best_weights.buffers():
                if buffer.is_floating_point() and buffer.numel():
                    torch.distributed.broadcast(buffer, src=0)

    def state(self) -> dict:
        """All that going on exactly needs, plain."""
        state = {"model": plain_copy(self.model.state_dict()), "optimizer": self.optimizer.state_dict()}
        if self.averaged is not None:
            state["averaged"] = plain_copy(self.averaged.state_dict())
        if self.accelerator.scaler is not None:
            state["scaler"] = self.accelerator.scaler.state_dict()
        return state

    def load(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    def finish(self) -> None:
        """Leaves the model as it was handed in, trained."""
        self.wrapped = None
        self._let_learn()
        if self.averaged is not None:
            self.model.load_state_dict(self.averaged.module.state_dict())
