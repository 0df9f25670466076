"""Sampling: algorithm 2 of Kong et al. (2021), in all steps or few, from noise or from a given point on the way."""

__all__ = ["ItemNoise", "Steps", "chosen_schedule", "reverse", "schedule_of"]

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from rostra.engine.errors import InputError
from rostra.engine.progress import progress

from .fast import Predictor
from .model import DiffWaveConfig, check_whole
from .objective import FAST_SCHEDULES, NoiseSchedule, ddim_step, reverse_step

Steps = str | Sequence[float] | NoiseSchedule
"""How to sample: "full", "fast6" (the model's own few steps), a name of FAST_SCHEDULES, variances, or a schedule."""

Solver = Literal["ddpm", "ddim"]

_NAMED = f"name a schedule (full, fast6, {', '.join(FAST_SCHEDULES)}) or give each step's variance, such as "


class ItemNoise:
    """A stream of standard normal noise for each item of a batch: an item's noise does not depend on the others.

    Args:
        seed: of all.
        items: numbers of the items; item i of a seed has the same stream in any batch.
    """

    def __init__(self, seed: int, items: Sequence[int]) -> None:
        seed = check_whole("seed", seed, 0)
        streams = [int(np.random.SeedSequence([seed, item]).generate_state(1, np.uint64)[0] >> 1) for item in items]
        self.generators = [torch.Generator().manual_seed(stream) for stream in streams]

    def draw(self, length: int) -> Tensor:
        """The next noise of every item, float32, shape (B, length)."""
        return torch.stack([torch.randn(length, generator=generator) for generator in self.generators])


def schedule_of(config: DiffWaveConfig, steps: Steps) -> NoiseSchedule:
    """The schedule that ``steps`` stands for, with a model's training schedule.

    Raises:
        InputError: for an unknown name, something else, variances outside (0, 1), or noise levels outside those of the
            training.
    """
    if isinstance(steps, NoiseSchedule):
        return steps
    if steps == "fast6":
        return config.schedule.fast(config.inference_noise_schedule)
    if isinstance(steps, str):
        return config.schedule.named(steps)
    try:
        betas = [float(beta) for beta in steps]
    except (TypeError, ValueError):
        raise InputError(f"steps is {steps!r}; {_NAMED}[1e-4, 1e-3, 1e-2]") from None
    return config.schedule.fast(betas)


def chosen_schedule(text: str) -> Steps:
    """What a user typed: a name, or variances separated by commas or spaces."""
    parts = text.replace(",", " ").split()
    if len(parts) == 1 and parts[0] in ("full", "fast6", *FAST_SCHEDULES):
        return parts[0]
    try:
        betas = [float(part) for part in parts]
    except ValueError:
        betas = []
    if len(betas) == 1 and betas[0] >= 1:
        raise InputError(f"steps '{text}' is a number of steps; {_NAMED}'1e-4,1e-3,1e-2'")
    if not betas:
        known = ", ".join(FAST_SCHEDULES)
        raise InputError(f"steps '{text}' are neither full, fast6, {known}, nor numbers such as '1e-4,1e-3,1e-2'")
    return betas


@torch.no_grad()
def reverse(
    predict: Predictor,
    start: Tensor,
    schedule: NoiseSchedule,
    noise: ItemNoise,
    *,
    begin: int | None = None,
    clamp: bool = False,
    solver: Solver = "ddpm",
    stage: str = "sample",
    watch: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Run the reverse process from x at ``begin`` down to x_0.

    Args:
        predict: the network under its condition, see :data:`.Predictor`.
        start: x at step ``begin``, shape (B, L).
        schedule: of the sampling.
        noise: for the steps; drawn from once a step above 0 ("ddpm").
        begin: place in the schedule to begin at; None for its last.
        clamp: cut to [-1, 1] after every step (lmnt).
        solver: "ddpm" (the paper), or "ddim", without noise (not in the paper).
        stage: what the progress display calls this.
        watch: called with the place and x after each step.

    Returns:
        Shape (B, L).

    Raises:
        InputError: for another solver, if ``begin`` lies outside the schedule, or the result is not finite.
    """
    if solver not in ("ddpm", "ddim"):
        raise InputError(f"solver is {solver!r}; it must be ddpm or ddim")
    first = len(schedule) - 1 if begin is None else begin
    if not 0 <= first < len(schedule):
        raise InputError(f"begin is {first}; it must lie between 0 and {len(schedule) - 1}, the schedule's places")
    x = start
    for place in progress(range(first, -1, -1), stage, total=first + 1):
        predicted = predict(x, schedule.steps[place])
        if solver == "ddim":
            x = ddim_step(x, predicted, schedule, place)
        else:
            x = reverse_step(x, predicted, noise.draw(x.shape[-1]).to(x) if place else None, schedule, place)
        if clamp:
            x = x.clamp(-1.0, 1.0)
        if watch is not None:
            watch(place, x)
    if not torch.isfinite(x).all():
        raise InputError("sampling gave values that are not finite; the model or its schedule is broken")
    return x
