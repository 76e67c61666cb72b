"""Losses over targets with unknown entries, in float32 or better whatever the logits are."""

import functools
import inspect
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mlgcn_pyg.checks import check_choice, check_number, check_targets
from mlgcn_pyg.errors import InputError


def multilabel_soft_margin(logits: Tensor, targets: Tensor, *, check: bool = True) -> Tensor:
    r"""Binary cross-entropy on logits, the multi-label loss of Eq. 5 (with the sign as meant):

    .. math::
        \mathcal{L} = -\frac{1}{BC} \sum_{b,c\ \text{known}}
        y_{bc} \log \sigma(z_{bc}) + (1 - y_{bc}) \log(1 - \sigma(z_{bc}))

    Unknown entries (−1) add nothing; the denominator stays B·C, so that the mean over ranks is the whole batch's.

    Args:
        logits: (B, C) z, of any floating-point type; half precision is computed, and returned, in float32.
        targets: (B, C) y in {-1, 0, 1}, any dtype that holds them.
        check: look at every target here, which waits for a GPU at every step. The training of this package does
            without: its targets were checked where they were read.

    Returns:
        the loss, a scalar; 0 for an empty batch.

    Raises:
        InputError: shapes that differ, logits that are no floating-point numbers; other targets, with ``check``.

    >>> multilabel_soft_margin(torch.zeros(1, 2), torch.tensor([[1, -1]]))  # log 2, over two entries
    tensor(0.3466)
    """
    logits = _checked(logits, targets, check)
    known = (targets >= 0).to(logits.dtype)
    loss = F.binary_cross_entropy_with_logits(logits, targets.clamp(min=0).to(logits.dtype), known, reduction="sum")
    return loss / max(torch.numel(logits), 1)


def asymmetric(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma_neg: float = 4.0,
    gamma_pos: float = 1.0,
    margin: float = 0.05,
    check: bool = True,
) -> Tensor:
    r"""The asymmetric loss of `"Asymmetric Loss For Multi-Label Classification"
    <https://arxiv.org/abs/2009.14119>`_ (Ridnik et al., 2021), as a mean over the B·C entries:

    .. math::
        \mathcal{L} = -\frac{1}{BC} \sum_{b,c\ \text{known}} y (1 - p)^{\gamma_+} \log p
        + (1 - y) \, p_m^{\gamma_-} \log(1 - p_m), \qquad p = \sigma(z), \quad p_m = \max(p - m, 0)

    Easy negatives weigh less, and those with :math:`p \le m` nothing. The gradient is the whole loss's, the focusing
    factors included. With both γ and m at 0 it is :func:`multilabel_soft_margin`.

    Args:
        logits, targets, check: as of :func:`multilabel_soft_margin`.
        gamma_neg, gamma_pos: γ₋ and γ₊ ≥ 0; the defaults are those of the authors' released code.
        margin: m in [0, 1), which shifts the negatives' probabilities.

    Raises:
        InputError: as :func:`multilabel_soft_margin`; γ or m out of range.

    >>> asymmetric(torch.zeros(1, 2), torch.tensor([[1, 0]]), gamma_neg=1, gamma_pos=0, margin=0)  # log 2 · 3/4
    tensor(0.5199)
    """
    _check_asymmetric(gamma_neg, gamma_pos, margin)
    z = _checked(logits, targets, check)
    with torch.autocast(z.device.type, enabled=False):
        log_p, log_q = F.logsigmoid(z), F.logsigmoid(-z)  # log σ(z), log(1 − σ(z)): finite for every finite z
        positive = log_p * (gamma_pos * log_q).exp()
        if margin == 0:
            negative = log_q * (gamma_neg * log_p).exp()
        else:
            shifted = z.sigmoid() - margin
            heard = shifted > 0
            p_m = torch.where(heard, shifted, 0.5)  # any number whose power has a gradient; it is not used
            # 1 − p_m = σ(−z) + m, which never vanishes
            negative = torch.where(heard, p_m.pow(gamma_neg) * (z.neg().sigmoid() + margin).log(), 0.0)
        terms = torch.where(targets > 0, positive, torch.where(targets == 0, negative, 0.0))
        return -terms.sum() / max(terms.numel(), 1)


LOSSES: dict[str, Callable[..., Tensor]] = {"multilabel_soft_margin": multilabel_soft_margin, "asymmetric": asymmetric}


def make_loss(name: str, **options) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of that name as a function of logits and targets alone, its options checked now.

    Raises InputError for an unknown name or option, or an option out of its range.

    >>> loss = make_loss("asymmetric", gamma_neg=2, margin=0)
    >>> loss(torch.zeros(1, 1), torch.tensor([[0]]))  # log 2 / 4
    tensor(0.1733)
    """
    function = LOSSES[check_choice("loss", name, LOSSES)]
    known = [k for k, parameter in inspect.signature(function).parameters.items() if parameter.kind is _OPTION]
    for option in options:
        check_choice(f"option of the loss {name}", option, known)
    loss = functools.partial(function, **options)
    loss(torch.zeros(0, 1), torch.zeros(0, 1))  # an empty batch: only the options are looked at
    return loss


_OPTION = inspect.Parameter.KEYWORD_ONLY


def _checked(logits: Tensor, targets: Tensor, check: bool) -> Tensor:
    """Logits in float32 or float64."""
    if logits.shape != targets.shape:
        raise InputError("targets", f"the shape of logits, {tuple(logits.shape)}", f"shape {tuple(targets.shape)}")
    if not logits.is_floating_point():
        raise InputError("logits", "floating-point numbers", f"{logits.dtype}")
    if check:
        check_targets("targets", targets)
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _check_asymmetric(gamma_neg: float, gamma_pos: float, margin: float) -> None:
    check_number("gamma_neg", gamma_neg, 0, float("inf"))
    check_number("gamma_pos", gamma_pos, 0, float("inf"))
    if not 0 <= margin < 1:
        raise InputError("margin", "a number in [0, 1)", margin)
