"""Checks of the arguments of ``fit_heads``."""

from collections.abc import Sequence

import torch

from mlgcn_pyg.errors import InputError, renamed_arguments
from mlgcn_pyg.tensor_checks import check_module
from mlgcn_pyg.training.config import HeadConfig, HeadSettings
from mlgcn_pyg.training.heads.scoring import HEAD, Data, open_source
from mlgcn_pyg.typing import Head, RowSource
from mlgcn_pyg.values import shown

SHARED_SETTINGS = ("epochs", "batch_size", "loss", "seed", "precision", "val_every", "views")


def check_heads(heads: Sequence[Head]) -> None:
    """Raises an InputError unless ``heads`` is a sequence of at least one head."""
    if not isinstance(heads, Sequence) or not heads:
        raise InputError("heads", "a sequence of at least one head", shown(heads))
    for head in heads:
        check_module("heads", head, *HEAD)


def open_images(argument: str, data: Data, head: Head, device: torch.device, stream: bool | None) -> RowSource:
    """Opens data for a head; raises an InputError that names ``argument`` if they do not fit, or there is no image."""
    with renamed_arguments(data=argument):
        source = open_source(data, head, device, stream)
    if not source.num_images:
        raise InputError(argument, "at least one image", "none")
    return source


def config_per_head(config: HeadConfig | Sequence[HeadConfig] | None, count: int) -> list[HeadConfig]:
    """Returns one config per head."""
    if config is None or isinstance(config, HeadConfig):
        return [config or HeadConfig()] * count
    if not isinstance(config, Sequence) or not all(isinstance(one, HeadConfig) for one in config):
        raise InputError("config", "a HeadConfig, or a sequence of them", shown(config))
    configs = list(config)
    if len(configs) != count:
        raise InputError("config", f"one config, or {count} configs (one per head)", f"{len(configs)}")
    return configs


def check_shared(settings: Sequence[HeadSettings]) -> None:
    """Raises an InputError if heads that are trained together differ in a setting that they must share."""
    for k, other in enumerate(settings):
        for name in SHARED_SETTINGS:
            first, value = getattr(settings[0], name), getattr(other, name)
            if first != value:
                found = f"{first} for head 0 and {value} for head {k}"
                raise InputError("config", f"the same {name} for all heads", found, "train them one after another")


def checked_names(names: Sequence[str] | None, count: int) -> list[str]:
    """Returns the names of ``count`` heads; raises an InputError unless they are different file names."""
    if names is not None and (not isinstance(names, Sequence) or isinstance(names, str | bytes)):
        raise InputError("names", f"{count} different file names", shown(names))
    names = [f"head{k}" for k in range(count)] if names is None else [str(name) for name in names]
    if len(names) != count or len(set(names)) != count or any(not name or set(name) & set("/\\\0") for name in names):
        raise InputError("names", f"{count} different file names", names)
    return names
