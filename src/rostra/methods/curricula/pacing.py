"""How much of the ordered data is shown at a step: the six pacing families of the paper (figure 4)."""

__all__ = ["DIRECTIONS", "FAMILIES", "PAPER_A", "PAPER_B", "Pacing", "PacingFunction", "prefix_sizes"]

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rostra.engine.errors import InputError

FAMILIES = ("linear", "quadratic", "root", "step", "exp", "log")
DIRECTIONS = ("grow", "shrink")
PAPER_A = (0.01, 0.1, 0.2, 0.4, 0.8, 1.6)
PAPER_B = (0.0025, 0.1, 0.2, 0.4, 0.8)
"""The paper's grid; its smallest and largest values of each are where orders differ most."""

_POWERS = {"linear": 1.0, "quadratic": 2.0, "root": 0.5}
_RATE = 10.0
"""The constant of the exponential and logarithmic families."""


@dataclass(frozen=True)
class PacingFunction:
    """g(t): the number of examples, from the front of the order, that may be drawn at step t.

    The float operations are those of the authors' code, since another order of them falls one short now and then.

    Attributes:
        family: one of ``FAMILIES``.
        a: share of the steps after which all examples are in; above 1 they never are, 0 means at once.
        b: share of the examples at the start, in (0, 1].

    Raises:
        InputError: for an unknown family, a < 0, or b outside (0, 1].
    """

    family: str
    a: float
    b: float

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InputError(f"there is no pacing family '{self.family}'; there are: {', '.join(FAMILIES)}")
        if not (math.isfinite(self.a) and self.a >= 0):
            raise InputError(f"a, the share of the steps until all data are in, must be 0 or more, got {self.a}")
        if not 0 < self.b <= 1:
            raise InputError(f"b, the share of the data at the start, must lie in (0, 1], got {self.b}")

    def __call__(self, t: ArrayLike, total_steps: int, n: int) -> NDArray[np.int64]:
        """Sizes in [1, n] at the steps t (0 to ``total_steps``), of the shape of t."""
        steps = np.asarray(t, dtype=np.float64)
        if self.a == 0 or self.b == 1:
            return np.full(steps.shape, n, dtype=np.int64)
        end, start = self.a * total_steps, self.b * n
        early = np.minimum(steps, end)  # later steps have the full size, and would overflow the exponential
        if self.family == "step":
            sizes = np.full(steps.shape, start)
        elif self.family == "exp":
            sizes = (n - start) / math.expm1(_RATE) * np.expm1(early * (_RATE / end)) + start
        elif self.family == "log":
            sizes = (n - start) * (1 + np.log(early / end + math.exp(-_RATE)) / _RATE) + start
        else:
            power = _POWERS[self.family]
            sizes = (n - start) / end**power * early**power + start
        sizes = np.where(steps >= end, n, np.floor(sizes))
        return np.clip(sizes, 1, n).astype(np.int64)

    def size(self, t: int, total_steps: int, n: int) -> int:
        """The size at one step."""
        return int(self(t, total_steps, n))

    def sizes(self, total_steps: int, n: int) -> NDArray[np.int64]:
        """g(0), ..., g(T): shape (total_steps + 1,)."""
        return self(np.arange(total_steps + 1), total_steps, n)

    @property
    def name(self) -> str:
        """Such as "step a=0.8 b=0.2"."""
        return f"{self.family} a={self.a:g} b={self.b:g}"


Pacing = PacingFunction | Callable[[int, int, int], int]
"""A :class:`PacingFunction`, or any function (t, total_steps, n) -> size."""


def prefix_sizes(
    pacing: Pacing | None, total_steps: int, n: int, min_size: int, direction: str = "grow"
) -> NDArray[np.int64]:
    """The size at each step 0 to T - 1, at least ``min_size`` (or n, if that is less); shape (total_steps,).

    Args:
        pacing: None shows everything all the time.
        total_steps: T.
        n: examples.
        min_size: floor; the authors' code has 256, two batches.
        direction: "grow", or "shrink": the size at step t is g(T - t), so that examples leave at the far end of
            the order. The paper names this variant without a formula; this one is ours.

    Raises:
        InputError: for another direction, or a function whose sizes are not whole numbers in [1, n].
    """
    if direction not in DIRECTIONS:
        raise InputError(f"direction must be one of {', '.join(DIRECTIONS)}; got '{direction}'")
    steps = np.arange(total_steps) if direction == "grow" else total_steps - np.arange(total_steps)
    if pacing is None:
        return np.full(total_steps, n, dtype=np.int64)
    if isinstance(pacing, PacingFunction):
        sizes = pacing(steps, total_steps, n)
    else:
        sizes = np.array([pacing(int(t), total_steps, n) for t in steps])
        wrong = (sizes != np.floor(sizes)) | (sizes < 1) | (sizes > n)
        if wrong.any():
            t = int(wrong.argmax())
            raise InputError(f"the pacing function gave {sizes[t]} at step {t}; it must give a size from 1 to {n}")
    return np.maximum(sizes, min(n, min_size)).astype(np.int64)
