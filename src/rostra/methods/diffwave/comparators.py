"""What the comparators of generation, WaveGAN and WaveNet, share: checks, the budget of a training, random numbers.

Neither is DiffWave. Both are trained on the same clips as the diffusion model, for an equal number of CPU seconds or
for a number of steps, and share one interface: ``train_...(audio, config, cpu_seconds=...)`` and ``sample(n, seed)``.
"""

__all__ = [
    "TRAINING",
    "check_budget",
    "check_loss",
    "check_positive",
    "checked_audio",
    "fresh",
    "groups_of_draws",
    "within_budget",
]

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from rostra.engine.errors import InputError
from rostra.engine.progress import progress_bar

from .model import check_whole

SAMPLES_AT_ONCE = 100
"""Clips that are generated together; bounds the memory of WaveNet's queues."""

# second entry of the seeds, so that no clip is sampled from numbers that the training drew
TRAINING, SAMPLING = 1, 2

Made = TypeVar("Made")


def check_positive(name: str, value: float) -> None:
    """Check a number that must be above 0.

    Raises:
        InputError: naming it, for 0, negative and infinite numbers and NaN.
    """
    if not 0 < value < math.inf:
        raise InputError(f"{name} must be above 0 and finite, got {value!r}")


def check_budget(cpu_seconds: float | None, steps: int | None) -> None:
    """Check the budget of a training: CPU seconds, or steps.

    Raises:
        InputError: unless exactly one of them is given and is above 0.
    """
    if (cpu_seconds is None) == (steps is None):
        given = "neither" if steps is None else f"cpu_seconds={cpu_seconds!r} and steps={steps!r}"
        raise InputError(f"the budget is either cpu_seconds or steps, got {given}; give exactly one of them")
    if steps is not None:
        check_whole("steps", steps, 1)
    elif cpu_seconds is not None:
        check_positive("cpu_seconds", cpu_seconds)


def checked_audio(audio: NDArray[np.floating[Any]], shortest: int) -> NDArray[np.float32]:
    """The clips to train on, float32, shape (n, L).

    Args:
        audio: floats in [-1, 1], shape (n, L), n at least 1.
        shortest: least L.

    Raises:
        InputError: for another shape, type or range, and values that are not finite.
    """
    clips = np.asarray(audio)
    if clips.ndim != 2 or not len(clips):
        hint = "; put one clip into a batch: audio[None]" if clips.ndim == 1 and len(clips) else ""
        raise InputError(f"audio has shape {clips.shape}; expected (n, L) with at least one clip{hint}")
    if clips.shape[1] < shortest:
        raise InputError(f"the clips of audio have {clips.shape[1]} samples; expected at least {shortest}")
    if clips.dtype.kind != "f":
        raise InputError(f"audio is {clips.dtype}; expected float32 in [-1, 1] (int16 divided by 32768)")
    bad = ~np.isfinite(clips)
    if bad.any():
        clip, sample = np.argwhere(bad)[0]
        raise InputError(
            f"audio holds {bad.sum()} values that are not finite (first in clip {clip}, sample {sample}); "
            "remove or repair those clips"
        )
    peaks = np.abs(clips).max(1)
    if peaks.max() > 1:
        raise InputError(
            f"clip {peaks.argmax()} of audio reaches {peaks.max():.4g}; expected values in [-1, 1]: divide by the peak"
        )
    return clips.astype(np.float32)


def within_budget(
    stage: str, started: float, cpu_seconds: float | None, steps: int | None, metric: Callable[[], str]
) -> Iterator[int]:
    """Numbers of the steps that the budget allows, at least one; the last may end after the CPU seconds.

    Args:
        stage: name of the progress bar.
        started: process time at which the budget began, in seconds.
        cpu_seconds, steps: the budget, as :func:`check_budget` wants it.
        metric: gives the text beside the bar, after each step.
    """
    total = steps if steps is not None else math.ceil(cpu_seconds or 0)
    shown = done = 0
    with progress_bar(stage, total) as advance:
        while True:
            yield done
            done += 1
            spent = time.process_time() - started
            now = done if steps is not None else min(int(spent), total)
            advance(now - shown, metric())
            shown = now
            if done >= steps if steps is not None else spent >= (cpu_seconds or 0):
                return


def check_loss(loss: float, step: int, name: str, lr: float) -> None:
    """Check that a training goes on.

    Raises:
        InputError: naming the model, the step and the learning rate, if the loss is not finite.
    """
    if not math.isfinite(loss):
        raise InputError(f"the loss of {name} is {loss} at step {step}; choose an lr below {lr:g}")


def fresh(make: Callable[[], Made], seed: int) -> Made:
    """What ``make`` gives, such as a network, with first weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def groups_of_draws(n: int, seed: int) -> Iterator[list[np.random.Generator]]:
    """A generator of random numbers for each of n clips, in groups that are to be generated together."""
    for start in range(0, n, SAMPLES_AT_ONCE):
        yield [np.random.default_rng([seed, SAMPLING, i]) for i in range(start, min(start + SAMPLES_AT_ONCE, n))]
