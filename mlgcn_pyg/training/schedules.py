"""Schedules of the learning rate, as factors per step."""

import math

SCHEDULES = ("step", "cosine", "one_cycle")
SCHEDULE_HELP = (
    "Schedule of the learning rate. step multiplies it by lr_gamma every lr_step epochs. cosine lowers it to 0 at the "
    "end. one_cycle raises it for 30 % of the steps and then lowers it to nearly 0."
)


def lr_factor(schedule: str, step: int, steps: int, epochs: int, lr_step: int, lr_gamma: float) -> float:
    """Returns the factor that multiplies the learning rate in one step.

    Args:
        schedule: ``"step"``, ``"cosine"`` or ``"one_cycle"``.
        step: the number of the step in the run, from 0.
        steps: the number of steps per epoch.
        epochs: the number of epochs.
        lr_step: the number of epochs between reductions of the schedule ``"step"``.
        lr_gamma: the factor of each reduction.

    >>> [round(lr_factor("one_cycle", step, 10, 1, 1, 1.0), 3) for step in (0, 3, 9)]
    [0.04, 1.0, 0.05]
    """
    if schedule == "step":
        return lr_gamma ** (step // steps // lr_step)
    progress = step / (epochs * steps)
    if schedule == "cosine":
        return _half_cosine(1.0, 0.0, progress)
    if progress < 0.3:
        return _half_cosine(1 / 25, 1.0, progress / 0.3)
    return _half_cosine(1.0, 1e-4, (progress - 0.3) / 0.7)


def warmup_factor(step: int, warmup_steps: int) -> float:
    """Returns the additional factor of a linear warm-up.

    >>> [warmup_factor(step, 4) for step in (0, 3, 4)]
    [0.25, 1.0, 1.0]
    """
    return 1.0 if step >= warmup_steps else (step + 1) / warmup_steps


def _half_cosine(start: float, end: float, progress: float) -> float:
    """Interpolates from ``start`` (``progress`` 0) to ``end`` (``progress`` 1) along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
