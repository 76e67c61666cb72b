"""The error that both kinds of training raise when a loss is not finite."""

from collections.abc import Sequence

from torch import Tensor

from mlgcn_pyg.errors import InputError


class NonFiniteLossError(InputError):
    """Raised when training diverges.

    Attributes:
        loss: the first loss that is NaN or infinite.
        epoch: the epoch of that loss, from 1.
        step: the step of that loss within the epoch, from 1.
        lr: the learning rate of the epoch.
        name: the name of the head; empty for a network.
    """

    loss: float
    epoch: int
    step: int
    lr: float
    name: str


def check_losses(
    losses: Tensor, epoch: int, lrs: Sequence[float], names: Sequence[str] = ("",), last_saved: str = ""
) -> None:
    """Checks that the losses of an epoch are finite.

    Args:
        losses: (steps, H), one column per head; H = 1 for a network.
        epoch: the epoch, from 1.
        lrs: H learning rates.
        names: H names for the message.
        last_saved: where the last state was saved; empty if the run saves no state.

    Raises:
        NonFiniteLossError: if a loss is not finite; the error reports the first such loss.
    """
    bad = (~losses.isfinite()).nonzero()
    if not len(bad):
        return
    step, k = bad[0].tolist()
    loss, lr, name = float(losses[step, k]), lrs[k], names[k]
    position = f"epoch {epoch}, step {step + 1}" + (f" ({name})" if name else "")
    fix = "try a tenth of this learning rate" + (f"; last saved state: {last_saved}" if last_saved else "")
    found = f"loss {loss} in {position} at lr {lr:g}"
    error = NonFiniteLossError("lr", "a learning rate at which training converges", found, fix)
    error.loss, error.epoch, error.step, error.lr, error.name = loss, epoch, step + 1, lr, name
    raise error
