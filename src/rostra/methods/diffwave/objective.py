"""DiffWave: the mathematics. Kong et al. (ICLR 2021), sections 2 and 3, algorithms 1 and 2, appendix B.

Diffusion steps are counted from 0 here, where the paper counts from 1: step t of this module is t + 1 there.
"""

__all__ = [
    "FAST_SCHEDULES",
    "NoiseSchedule",
    "align_steps",
    "cumulative_alpha",
    "ddim_step",
    "diffuse",
    "equally_spaced",
    "interpolate_linearly",
    "linear_betas",
    "noise_loss",
    "posterior_variance",
    "reverse_step",
    "stratified_steps",
]

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rostra.engine.errors import InputError

Array = NDArray[np.float64]

FAST_SCHEDULES: dict[str, tuple[float, ...]] = {
    "fast6-base": (1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5),
    "fast6-large": (1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.7),
    "fast12": (1e-4, 5e-4, 8e-4, 1e-3, 5e-3, 8e-3, 1e-2, 5e-2, 8e-2, 0.1, 0.2, 0.5),
}
"""Variances of few-step sampling, by name: the paper's for BASE and LARGE, and a list of twelve in common use."""

ROUNDING = 1e-9
"""Relative slack at both ends of the range that a few-step schedule must lie in."""


def linear_betas(steps: int, first: float, last: float) -> Array:
    """The training variances beta_1 .. beta_T, evenly spaced with both ends included, shape (steps,)."""
    return np.linspace(first, last, steps)


def cumulative_alpha(betas: ArrayLike) -> Array:
    """alpha-bar_t, the product of 1 - beta_s over s <= t, in float64, shape (T,) (section 2)."""
    return np.asarray(np.cumprod(1.0 - np.asarray(betas, dtype=np.float64)), dtype=np.float64)


def posterior_variance(betas: ArrayLike) -> Array:
    """beta-tilde_t = beta_t (1 - alpha-bar_{t-1}) / (1 - alpha-bar_t), and beta_1 at the first step (equation 4)."""
    variances = np.asarray(betas, dtype=np.float64)
    alpha_bar = cumulative_alpha(variances)
    tilde = variances.copy()
    tilde[1:] *= (1.0 - alpha_bar[:-1]) / (1.0 - alpha_bar[1:])
    return tilde


def align_steps(alpha_bar: Array, fast_alpha_bar: Array) -> Array:
    """The real-valued training steps whose noise level is that of a few-step schedule (appendix B).

    Args:
        alpha_bar: of the training schedule, shape (T,), falling.
        fast_alpha_bar: of the few-step schedule, shape (S,), falling.

    Returns:
        Steps in [0, T - 1], shape (S,): between t and t + 1, linear in the square root of alpha-bar.

    Raises:
        InputError: if a noise level lies outside those of the training schedule.
    """
    low, high = alpha_bar[-1] * (1.0 - ROUNDING), alpha_bar[0] * (1.0 + ROUNDING)
    for step, level in enumerate(fast_alpha_bar):
        if not low <= level <= high:
            raise InputError(
                f"step {step} of the inference schedule reaches alpha-bar {level:.6g}; it must lie between "
                f"{alpha_bar[-1]:.6g} and {alpha_bar[0]:.6g}, the range of the {len(alpha_bar)} training steps"
            )
    steps = np.arange(len(alpha_bar), dtype=np.float64)
    return np.interp(np.sqrt(fast_alpha_bar), np.sqrt(alpha_bar[::-1]), steps[::-1])


@dataclass(frozen=True)
class NoiseSchedule:
    """What sampling needs to know: the variances, and the step that the network is told at each of them.

    Attributes:
        betas: variances, first to last, each in (0, 1); shape (S,).
        steps: steps fed to the network, shape (S,): 0 .. T - 1 when training, real numbers when sampling in few steps.
    """

    betas: tuple[float, ...]
    steps: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.betas:
            raise InputError("a schedule needs at least one variance, got none")
        if len(self.betas) != len(self.steps):
            raise InputError(
                f"a schedule needs as many steps as variances, got {len(self.steps)} and {len(self.betas)}"
            )
        for place, beta in enumerate(self.betas):
            if not 0.0 < beta < 1.0:
                raise InputError(f"variance {place} of the schedule is {beta}; it must lie between 0 and 1")

    @classmethod
    def linear(cls, steps: int, first: float, last: float) -> "NoiseSchedule":
        """A training schedule: ``steps`` variances from ``first`` to ``last``."""
        if steps < 2:
            raise InputError(f"a training schedule needs at least 2 steps, got {steps}")
        return cls(tuple(linear_betas(steps, first, last).tolist()), tuple(map(float, range(steps))))

    @classmethod
    def of(cls, betas: Sequence[float]) -> "NoiseSchedule":
        """A training schedule with any variances."""
        return cls(tuple(map(float, betas)), tuple(map(float, range(len(betas)))))

    def fast(self, betas: Sequence[float]) -> "NoiseSchedule":
        """Few-step sampling from a network that was trained with this schedule (section 3.3, appendix B).

        Raises:
            InputError: if a variance lies outside (0, 1), or a noise level outside the training's.
        """
        probe = NoiseSchedule(tuple(map(float, betas)), (0.0,) * len(betas))
        return NoiseSchedule(probe.betas, tuple(align_steps(self.alpha_bar, probe.alpha_bar).tolist()))

    def named(self, name: str) -> "NoiseSchedule":
        """The schedule of that name: "full", one of :data:`FAST_SCHEDULES`, or "fast6" for the paper's six that fit."""
        if name == "full":
            return self
        if name == "fast6":  # the longer training schedules end at more noise, and take the larger last variance
            name = "fast6-large" if len(self.betas) >= 100 else "fast6-base"
        if name not in FAST_SCHEDULES:
            raise InputError(
                f"schedule '{name}' is not known; take full, fast6, {', '.join(FAST_SCHEDULES)}, or numbers"
            )
        return self.fast(FAST_SCHEDULES[name])

    @cached_property
    def alpha_bar(self) -> Array:
        """Shape (S,), float64."""
        return cumulative_alpha(self.betas)

    @cached_property
    def sigma(self) -> Array:
        """Standard deviation of the noise that a reverse step adds, shape (S,), float64 (equation 7)."""
        return np.sqrt(posterior_variance(self.betas))

    def __len__(self) -> int:
        return len(self.betas)


def equally_spaced(schedule: NoiseSchedule, count: int) -> NoiseSchedule:
    """A comparator for few-step sampling: ``count`` steps of the training schedule, evenly spaced, both ends included.

    The variances are those that pass through the same noise levels: eta_s = 1 - alpha-bar_s / alpha-bar_{s-1}.
    """
    if not 2 <= count <= len(schedule):
        raise InputError(f"count is {count}; it must lie between 2 and the schedule's {len(schedule)} steps")
    chosen = np.round(np.linspace(0, len(schedule) - 1, count)).astype(int)
    levels = schedule.alpha_bar[chosen]
    betas = 1.0 - levels / np.concatenate([[1.0], levels[:-1]])
    return NoiseSchedule(tuple(betas.tolist()), tuple(chosen.astype(float).tolist()))


def diffuse(audio: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t = sqrt(alpha-bar_t) x_0 + sqrt(1 - alpha-bar_t) epsilon (equation 6).

    Args:
        audio, noise: shape (B, L).
        alpha_bar: alpha-bar of each item's step, shape (B,).
    """
    return alpha_bar.sqrt()[:, None] * audio + (1.0 - alpha_bar).sqrt()[:, None] * noise


def noise_loss(predicted: Tensor, noise: Tensor, kind: Literal["mse", "l1"] = "mse") -> Tensor:
    """Error of the predicted noise of each item, shape (B,): squared (equation 5, algorithm 1) or absolute."""
    difference = predicted - noise
    return (difference.square() if kind == "mse" else difference.abs()).mean(dim=-1)


def stratified_steps(count: int, steps: int, generator: torch.Generator | None = None) -> Tensor:
    """One step from each of ``count`` equal strata of 0 .. steps - 1, in random order, int64, shape (count,).

    Each item's step is uniform over all steps, as in algorithm 1, but a batch covers them evenly, so that the loss of
    a batch varies less.
    """
    strata = torch.randperm(count, generator=generator, dtype=torch.float64)
    uniform = torch.rand(count, generator=generator, dtype=torch.float64)
    return ((strata + uniform) / count * steps).long().clamp_max(steps - 1)


def reverse_step(x: Tensor, predicted: Tensor, noise: Tensor | None, schedule: NoiseSchedule, step: int) -> Tensor:
    """One step of the reverse process (algorithm 2, equation 7).

    Args:
        x: x_t, shape (..., L).
        predicted: the network's epsilon, same shape.
        noise: standard normal, same shape; unused, and may be None, at step 0.
        schedule: of the sampling.
        step: place in ``schedule``, 0 .. S - 1.

    Returns:
        x_{t-1}, same shape.
    """
    beta, alpha_bar = schedule.betas[step], float(schedule.alpha_bar[step])
    mean = (x - (beta / (1.0 - alpha_bar) ** 0.5) * predicted) * (1.0 / (1.0 - beta) ** 0.5)
    if step == 0:
        return mean
    if noise is None:
        raise ValueError("a reverse step above 0 needs noise")
    return mean + float(schedule.sigma[step]) * noise


def ddim_step(x: Tensor, predicted: Tensor, schedule: NoiseSchedule, step: int) -> Tensor:
    """A deterministic reverse step (Song et al. 2021, DDIM with eta = 0, equation 12). Not in the DiffWave paper.

    Args and result as for :func:`reverse_step`.
    """
    level = float(schedule.alpha_bar[step])
    before = float(schedule.alpha_bar[step - 1]) if step else 1.0
    clean = (x - (1.0 - level) ** 0.5 * predicted) / level**0.5
    return before**0.5 * clean + (1.0 - before) ** 0.5 * predicted


def interpolate_linearly(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """(1 - lambda) a + lambda b (section 5.4)."""
    return (1.0 - weight) * a + weight * b
