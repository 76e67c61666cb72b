"""What happens before the first step: statistics and biases of the heads, and complete settings."""

from collections.abc import Sequence

import torch

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.standardized_head import StandardizedHead
from mlgcn_pyg.training.config import HeadConfig, HeadSettings
from mlgcn_pyg.training.heads.recipe import complete
from mlgcn_pyg.training.heads.spectra import Spectra, Spectrum, feature_spectrum, label_spectrum
from mlgcn_pyg.training.heads.start import start_weights
from mlgcn_pyg.training.heads.statistics import feature_statistics, log_odds
from mlgcn_pyg.typing import Head, RowSource

SAMPLE_IMAGES = 4096  # of which the spectrum of the features is computed


def standardize_heads(heads: Sequence[Head], source: RowSource) -> None:
    """Gives each head without statistics those of the training data, the log-odds of its labels as bias, and its start.

    Heads that have statistics keep them, their bias and their weights. Heads of other types receive the features as
    they are.

    Args:
        heads: heads on the device of the source.
        source: the training data.
    """
    new = [head for head in heads if isinstance(head, StandardizedHead) and not head.has_statistics]
    if not new:
        return
    statistics, bias = feature_statistics(source), log_odds(source.targets)
    for head in new:
        head.set_statistics(statistics.mean, statistics.std)
        head.set_bias(bias)
        start_weights(head)


def prepare_heads(heads: Sequence[Head], configs: Sequence[HeadConfig], source: RowSource) -> list[HeadSettings]:
    """Standardises the heads whose recipe is ``"auto"``, and returns the complete settings of all heads.

    Raises:
        InputError: if ``pos_weight`` is not one number per label.
    """
    pairs = list(zip(heads, configs, strict=True))
    for head, config in pairs:
        weights = config.pos_weight
        if isinstance(weights, tuple) and len(weights) != head.num_labels:
            expected = f"a number, or {head.num_labels} numbers, one per label"
            raise InputError("pos_weight", expected, f"{len(weights)} numbers")
    standardize_heads([head for head, config in pairs if config.recipe == "auto"], source)
    depends = [config.recipe == "auto" and None in (config.lr, config.weight_decay) for config in configs]
    spectra = _spectra(heads, source, depends)
    return [complete(config, head, source.num_images, own) for (head, config), own in zip(pairs, spectra, strict=True)]


def _spectra(heads: Sequence[Head], source: RowSource, wanted: Sequence[bool]) -> list[Spectra]:
    """Returns the spectra of the heads whose settings depend on them; 0 for all others."""
    spectra: list[Spectra] = []
    sample = source.sample(SAMPLE_IMAGES) if any(wanted) else torch.empty(0)
    known: list[tuple[Head, Spectrum]] = []
    for head, compute in zip(heads, wanted, strict=True):
        if not compute:
            spectra.append(Spectra(Spectrum(0.0, 0.0), Spectrum(0.0, 0.0)))
            continue
        # heads of one call usually have the same statistics
        of_features = next((value for other, value in known if _same_statistics(head, other)), None)
        if of_features is None:
            of_features = feature_spectrum(head, sample)
            known.append((head, of_features))
        spectra.append(Spectra(of_features, label_spectrum(head)))
    return spectra


def _same_statistics(a: Head, b: Head) -> bool:
    first, second = getattr(a, "standardize", None), getattr(b, "standardize", None)
    if first is None or second is None:
        return first is second
    return torch.equal(first.mean, second.mean) and torch.equal(first.scale, second.scale)
