"""Multi-label losses for targets with unknown entries, computed in float32 or float64."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_flag, check_number, check_targets
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.nn.kernels.products import transformed
from mlgcn_pyg.values import real_number, shown

MOST = torch.finfo(torch.float32).max  # the largest weight of a present label


def multilabel_soft_margin(
    logits: Tensor, targets: Tensor, *, pos_weight: float | Tensor | None = None, check: bool = True
) -> Tensor:
    r"""Computes the binary cross-entropy on logits, the multi-label loss of Eq. 5 (with its sign corrected):

    .. math::
        \mathcal{L} = -\frac{1}{BC} \sum_{b,c\ \text{known}}
        w_c \, y_{bc} \log \sigma(z_{bc}) + (1 - y_{bc}) \log(1 - \sigma(z_{bc}))

    Unknown entries (−1) add nothing to the sum. The denominator is always B·C, so the mean over equal parts of a batch
    is the loss of the whole batch.

    Args:
        logits: z (B, C) of any floating-point type, or (H, B, C) for H heads. For half precision, the loss is
            computed and returned in float32.
        targets: y (B, C) in {-1, 0, 1}, of any type that holds these values.
        pos_weight: w, a positive number or (C,), or (H, 1, C) for H heads. None means 1, as in the paper.
        check: if set to False, the values of the targets are not checked. The check synchronises with a GPU. They are
            never checked within ``torch.func``.

    Returns:
        The loss, a scalar, or (H,) for H heads. It is 0 for an empty batch.

    Raises:
        InputError: if the shapes do not match; if the logits are not floating-point numbers; if ``check`` is True and a
            target is not in {-1, 0, 1} or a weight is not positive and finite.

    >>> multilabel_soft_margin(torch.zeros(1, 2), torch.tensor([[1, -1]]))  # log 2 / 2
    tensor(0.3466)
    """
    logits = _checked(logits, targets, check)
    known = (targets >= 0).to(logits.dtype).expand_as(logits)
    truth = targets.clamp(min=0).to(logits.dtype).expand_as(logits)
    weight = None if pos_weight is None else _checked_weight(pos_weight, logits, check)
    terms = F.binary_cross_entropy_with_logits(logits, truth, known, reduction="none", pos_weight=weight)
    return terms.sum(dim=(-2, -1)) / max(targets.numel(), 1)


def asymmetric(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma_neg: float = 4.0,
    gamma_pos: float = 1.0,
    margin: float = 0.05,
    check: bool = True,
) -> Tensor:
    r"""Computes the asymmetric loss of `"Asymmetric Loss For Multi-Label Classification"
    <https://arxiv.org/abs/2009.14119>`_ (Ridnik et al., 2021), as a mean over the B·C entries:

    .. math::
        \mathcal{L} = -\frac{1}{BC} \sum_{b,c\ \text{known}} y (1 - p)^{\gamma_+} \log p
        + (1 - y) \, p_m^{\gamma_-} \log(1 - p_m), \qquad p = \sigma(z), \quad p_m = \max(p - m, 0)

    Easy negatives have a small weight, and negatives with :math:`p \le m` have weight 0. The gradient includes the
    focusing factors. If both γ and m are 0, the loss is :func:`multilabel_soft_margin`.

    Args:
        logits: z; see :func:`multilabel_soft_margin`.
        targets: y; see :func:`multilabel_soft_margin`.
        gamma_neg: γ₋ ≥ 0. The defaults of γ₋, γ₊ and m are those of the authors' released code.
        gamma_pos: γ₊ ≥ 0.
        margin: m in [0, 1), by which the probabilities of negatives are shifted.
        check: see :func:`multilabel_soft_margin`.

    Returns:
        The loss, a scalar, or (H,) for H heads. It is 0 for an empty batch.

    Raises:
        InputError: as for :func:`multilabel_soft_margin`, and if γ or m is out of range.

    >>> asymmetric(torch.zeros(1, 2), torch.tensor([[1, 0]]), gamma_neg=1, gamma_pos=0, margin=0)  # log 2 · 3/4
    tensor(0.5199)
    """
    gamma_neg = check_number("gamma_neg", gamma_neg, 0, float("inf"))
    gamma_pos = check_number("gamma_pos", gamma_pos, 0, float("inf"))
    if (shift := real_number(margin)) is None or not 0 <= shift < 1:
        raise InputError("margin", "a number in [0, 1)", shown(margin))
    margin = shift
    z = _checked(logits, targets, check)
    with torch.autocast(z.device.type, enabled=False):
        log_p, log_q = F.logsigmoid(z), F.logsigmoid(-z)  # log σ(z), log(1 − σ(z)): finite for every finite z
        positive = log_p * (gamma_pos * log_q).exp()
        if margin == 0:
            negative = log_q * (gamma_neg * log_p).exp()
        else:
            shifted = z.sigmoid() - margin
            above = shifted > 0
            p_m = torch.where(above, shifted, 0.5)  # 0.5 is a placeholder whose power has a finite gradient
            # 1 − p_m = σ(−z) + m, which is never 0
            negative = torch.where(above, p_m.pow(gamma_neg) * (z.neg().sigmoid() + margin).log(), 0.0)
        terms = torch.where(targets > 0, positive, torch.where(targets == 0, negative, 0.0))
        return -terms.sum(dim=(-2, -1)) / max(targets.numel(), 1)


LOSSES: dict[str, Callable[..., Tensor]] = {"multilabel_soft_margin": multilabel_soft_margin, "asymmetric": asymmetric}


def make_loss(
    name: str,
    *,
    check: bool = True,
    gamma_neg: float | None = None,
    gamma_pos: float | None = None,
    margin: float | None = None,
    pos_weight: float | Tensor | None = None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """Returns a loss as a function of logits and targets only.

    Args:
        name: a key of :data:`LOSSES`.
        check: if set to False, the values of the targets are not checked.
        gamma_neg: γ₋ of :func:`asymmetric`. None means the default of the loss.
        gamma_pos: γ₊ of :func:`asymmetric`. None means the default of the loss.
        margin: m of :func:`asymmetric`. None means the default of the loss.
        pos_weight: w of :func:`multilabel_soft_margin`. None means the default of the loss.

    Raises:
        InputError: if the name is unknown, an argument is out of range, or the loss does not have the argument.

    >>> loss = make_loss("asymmetric", gamma_neg=2, margin=0)
    >>> loss(torch.zeros(1, 1), torch.tensor([[0]]))  # log 2 / 4
    tensor(0.1733)
    """
    check_choice("name", name, LOSSES)
    options = {"gamma_neg": gamma_neg, "gamma_pos": gamma_pos, "margin": margin, "pos_weight": pos_weight}
    given = {option: value for option, value in options.items() if value is not None}
    for option, value in given.items():
        if (option == "pos_weight") == (name == "asymmetric"):
            raise InputError(option, f"None for the loss {name}, which does not use it", shown(value))
    loss = partial(LOSSES[name], check=check, **given)
    if not isinstance(pos_weight, Tensor):
        loss(torch.zeros(0, 1), torch.zeros(0, 1))  # an empty batch: checks the options now
    return loss


def _checked_weight(pos_weight: float | Tensor, logits: Tensor, check: bool) -> Tensor:
    """Returns w as a tensor like the logits, whose shape fits theirs."""
    if not isinstance(pos_weight, Tensor):
        return torch.full((), check_number("pos_weight", pos_weight, 0, MOST, open_low=True)).to(logits)
    if pos_weight.shape not in (logits.shape[-1:], (logits.size(0), 1, logits.size(-1)), ()):
        expected = f"a number, or shape ({logits.size(-1)},)"
        raise InputError("pos_weight", expected, f"shape {tuple(pos_weight.shape)}")
    if check and not transformed() and not ((pos_weight > 0) & pos_weight.isfinite()).all():
        raise InputError("pos_weight", "positive, finite numbers", f"{pos_weight.min():g} … {pos_weight.max():g}")
    return pos_weight.to(logits)


def _checked(logits: Tensor, targets: Tensor, check: bool) -> Tensor:
    """Returns the logits in float32 or float64, after the checks of both arguments."""
    for name, value in (("logits", logits), ("targets", targets)):
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
            raise InputError(name, "a dense tensor", shown(value))
    if logits.device != targets.device:
        raise InputError("targets", f"a tensor on {logits.device}, as logits", f"a tensor on {targets.device}")
    if logits.dim() not in (2, 3) or logits.shape[-2:] != targets.shape:
        expected = f"the shape of logits, {tuple(logits.shape[-2:])}"
        raise InputError("targets", expected, f"shape {tuple(targets.shape)}")
    if not logits.is_floating_point():
        raise InputError("logits", "floating-point numbers", f"{logits.dtype}")
    if check_flag("check", check) and not transformed():  # torch.func has no values to check
        check_targets("targets", targets)
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
