"""A network in training: precision, processes, optimizer, averaged weights, and one step."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn import MLGCN, make_loss
from mlgcn_pyg.seeding import derived_seed
from mlgcn_pyg.training.config import ModelConfig
from mlgcn_pyg.training.model.shares import DecodedPiece
from mlgcn_pyg.training.run_folder import plain_copy

MIXED_PRECISION = {"float32": "no", "bf16": "bf16", "fp16": "fp16"}  # Accelerate's names


class Trainee:
    """A network with everything that training changes, on the device and in the precision that Accelerate provides.

    Args:
        model: the network, which is trained in place.
        config: the recipe.

    Attributes:
        averaged: the exponential average of the weights; None without ``ema_decay``.

    Raises:
        InputError: if the precision is not available on the device, or no parameter is trainable in some epoch.
    """

    def __init__(self, model: MLGCN, config: ModelConfig):
        AcceleratorState._reset_state(reset_partial_state=True)  # an earlier call may have used a different precision
        if config.precision == "fp16" and (config.cpu or not torch.cuda.is_available()):
            raise InputError("precision", "float32 or bf16 on this device", "'fp16'", "fp16 requires a GPU")
        self.accelerator = Accelerator(mixed_precision=MIXED_PRECISION[config.precision], cpu=config.cpu)
        self.model, self.config, self.loss = model, config, make_loss(config.loss, check=False)
        model.to(self.accelerator.device)
        groups = model.param_groups(config.lr, config.backbone_lr_factor)
        self.base_lrs = [group["lr"] for group in groups]
        optimizer = torch.optim.SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay, fused=True)
        self.optimizer = self.accelerator.prepare_optimizer(optimizer)
        self.averaged: AveragedModel | None = None
        if config.ema_decay is not None:
            self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
        self.set_layout(bool(config.channels_last))
        # the caller may have frozen the other parameters
        self.trainable = [p for p in model.parameters() if p.requires_grad]
        always_trained = model.head if config.frozen_epochs else model
        if not any(p.requires_grad for p in always_trained.parameters()):
            fix = "requires_grad_() makes parameters trainable"
            raise InputError("model", "a trainable parameter in every epoch", "none", fix)
        self.wrapped: torch.nn.Module | None = None
        self.backbone_frozen = False

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""
        return self.accelerator.process_index

    @property
    def size(self) -> int:
        """The number of processes."""
        return self.accelerator.num_processes

    @property
    def on_gpu(self) -> bool:
        """Whether the network is on a CUDA device."""
        return self.accelerator.device.type == "cuda"

    @property
    def evaluated_model(self) -> MLGCN:
        """The network to validate and save: the averaged network with ``ema_decay``, else the trained network."""
        return self.model if self.averaged is None else cast(MLGCN, self.averaged.module)

    @property
    def layout(self) -> torch.memory_format:
        """The memory layout of images and weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def set_layout(self, channels_last: bool) -> None:
        """Sets the memory layout. It must not change after a step, since momentum has the layout of its weight."""
        self.channels_last = channels_last
        for network in (self.model, self.averaged):
            if network is not None:
                network.to(memory_format=self.layout)

    def begin_epoch(self, epoch: int) -> None:
        """Sets the training mode, and freezes the backbone in the first ``frozen_epochs`` epochs."""
        frozen = epoch <= self.config.frozen_epochs
        if self.wrapped is None or frozen != self.backbone_frozen:
            self._wrap(frozen)
        assert self.wrapped is not None
        self.wrapped.train()
        self.set_mode(self.model, frozen)

    def set_mode(self, model: MLGCN, frozen: bool = False) -> None:
        """Sets the training mode of a network, with a frozen or a trained backbone."""
        model.train()
        if frozen:
            model.backbone.eval()
        if frozen or self.config.freeze_batchnorm:
            for layer in model.backbone.modules():
                if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
                    layer.eval()

    def _wrap(self, frozen: bool) -> None:
        """Wraps the network for several processes, which exchange the gradients of its trainable parameters."""
        self._unfreeze()
        if frozen:
            self.model.backbone.requires_grad_(False)
        # torch.compile returns a module for a module; torch's annotation covers functions only
        network = cast(torch.nn.Module, torch.compile(self.model)) if self.config.compile else self.model
        # Accelerate replaces the forward method of a module; the Sequential leaves the model's method unchanged
        self.wrapped, self.backbone_frozen = self.accelerator.prepare_model(torch.nn.Sequential(network)), frozen

    def _unfreeze(self) -> None:
        for parameter in self.trainable:
            parameter.requires_grad_()

    def step(self, pieces: Sequence[DecodedPiece], number: int, lr_factor: float) -> Tensor:
        """Updates the weights once and returns this process's part of the batch's mean loss.

        The random numbers of dropout depend on (seed, step, process) only, so that no generator state is saved.

        Args:
            pieces: this process's pieces of the batch.
            number: the number of the step in the run, from 0.
            lr_factor: the factor that multiplies all learning rates.
        """
        torch.manual_seed(derived_seed("step", self.config.seed, number, self.rank))
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * lr_factor
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self.accelerator.device)
        for k, piece in enumerate(pieces, start=1):
            # the gradients of all pieces are exchanged after the last piece
            with self.accelerator.no_sync(self.wrapped) if k < len(pieces) else nullcontext():
                total += self._backward(piece)
        if self.config.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)
        return total

    def _backward(self, piece: DecodedPiece) -> Tensor:
        assert self.wrapped is not None, "begin_epoch comes before step"
        device = self.accelerator.device
        images = piece.images.to(device, memory_format=self.layout, non_blocking=True)
        with self.accelerator.autocast():
            logits = self.wrapped(images)
        loss = piece.weight * self.loss(logits, piece.targets.to(device, non_blocking=True))
        # gradients are averaged over processes; the factor turns the mean into the sum
        self.accelerator.backward(loss * self.size)
        return loss.detach()

    def share_statistics(self) -> None:
        """Copies the first process's batch statistics to all processes, which then score the network that is saved."""
        if self.size > 1:
            for buffer in self.evaluated_model.buffers():
                if buffer.is_floating_point() and buffer.numel():
                    torch.distributed.broadcast(buffer, src=0)

    def state(self) -> dict:
        """Returns everything that training changes, as plain values."""
        state = {"model": plain_copy(self.model.state_dict()), "optimizer": self.optimizer.state_dict()}
        state["channels_last"] = self.channels_last
        if self.averaged is not None:
            state["averaged"] = plain_copy(self.averaged.state_dict())
        if self.accelerator.scaler is not None:
            state["scaler"] = self.accelerator.scaler.state_dict()
        return state

    def load_state(self, state: dict) -> None:
        """Restores what :meth:`state` returned."""
        if self.config.channels_last is None:
            self.set_layout(bool(state.get("channels_last")))  # earlier versions used channels-last only if told to
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for parameter, values in self.optimizer.state.items():  # load_state_dict compares neither names nor shapes
            for name, value in values.items():
                if name != "momentum_buffer" or (value is not None and value.shape != parameter.shape):
                    raise ValueError(f"{name} of the optimizer")
                if value is not None:  # the fused kernel requires the layout of the weight, and does not check it
                    values[name] = torch.empty_like(parameter).copy_(value)
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    def finish(self) -> None:
        """Unwraps the model, and copies the averaged weights into it if there are any."""
        self.wrapped = None
        self._unfreeze()
        if self.averaged is not None:
            self.model.load_state_dict(self.averaged.module.state_dict())
