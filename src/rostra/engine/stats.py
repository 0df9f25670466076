"""Comparisons: what a claim says of its arms, and the statistics that decide whether it is so.

Every effect is positive where it favours the claim. Intervals: Student's t below 20 values (the
percentile bootstrap is far too narrow there), the BCa bootstrap from 20 on. A verdict that an
interval decides needs 5 values.
"""

__all__ = [
    "Comparison",
    "Equivalence",
    "Estimate",
    "Judgement",
    "Law",
    "NonInferiority",
    "Superiority",
    "Threshold",
    "estimate",
    "judge",
]

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Verdict = Literal["holds", "fails", "inconclusive", "ran"]
Values = Mapping[int, float]
"""A metric's value by seed."""

LEVEL = 0.95
BOOTSTRAP_FROM = 20
ENOUGH = 5


@dataclass(frozen=True)
class Superiority:
    """The arm's mean is better than the other's."""

    arm: str
    over: str
    metric: str
    lower_is_better: bool = False
    paired: bool = True


@dataclass(frozen=True)
class NonInferiority:
    """The arm's mean is worse than the other's by less than ``margin``, or not at all."""

    arm: str
    to: str
    metric: str
    margin: float
    lower_is_better: bool = False
    paired: bool = True


@dataclass(frozen=True)
class Equivalence:
    """The two means differ by less than ``margin``."""

    arm: str
    to: str
    metric: str
    margin: float
    paired: bool = True


@dataclass(frozen=True)
class Threshold:
    """The arm's mean lies above ``bound``, or below it with ``lower_is_better``."""

    arm: str
    metric: str
    bound: float
    lower_is_better: bool = False


@dataclass(frozen=True)
class Law:
    """Every value of the arm lies within ``tolerance`` of what theory or an exact algorithm gives."""

    arm: str
    metric: str
    value: float
    tolerance: float


Comparison = Superiority | NonInferiority | Equivalence | Threshold | Law


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval; the interval is None where there are too few values for one."""

    mean: float
    interval: tuple[float, float] | None
    method: str
    count: int


@dataclass(frozen=True)
class Judgement:
    """One comparison, decided.

    Attributes:
        effect: positive favours the claim; in the metric's units.
        interval: of the effect; None where there are too few values for one.
        method: how the interval was made.
        verdict: "holds", "fails" or "inconclusive".
        count: number of values (of pairs, where paired) behind the effect.
    """

    effect: float
    interval: tuple[float, float] | None
    method: str
    verdict: Verdict
    count: int


def estimate(values: NDArray[np.float64]) -> Estimate:
    """Mean with a 95 % interval.

    Raises:
        ValueError: if there is no value, or one is not finite (a failed run is never averaged over).
    """
    _check_finite(values)
    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, None, "none: one value", len(values))
    if np.ptp(values) == 0:
        return Estimate(mean, (mean, mean), "all values are equal", len(values))
    if len(values) < BOOTSTRAP_FROM:
        with _quiet_about_equal_values():
            interval = stats.ttest_1samp(values, 0.0).confidence_interval(LEVEL)
        return Estimate(mean, (float(interval.low), float(interval.high)), "Student's t", len(values))
    resampled = stats.bootstrap(
        (values,), np.mean, confidence_level=LEVEL, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    return Estimate(mean, (float(resampled.low), float(resampled.high)), "BCa bootstrap", len(values))


def _estimate_difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> Estimate:
    """Difference of the means of two independent groups, with a 95 % interval."""
    _check_finite(first)
    _check_finite(second)
    difference, count = float(first.mean() - second.mean()), min(len(first), len(second))
    if count < 2:
        return Estimate(difference, None, "none: one value", count)
    if np.ptp(first) == 0 and np.ptp(second) == 0:
        return Estimate(difference, (difference, difference), "all values are equal", count)
    if count < BOOTSTRAP_FROM:
        with _quiet_about_equal_values():
            interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(LEVEL)
        return Estimate(difference, (float(interval.low), float(interval.high)), "Welch's t", count)

    def statistic(a: NDArray[np.float64], b: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return np.asarray(a.mean(axis=axis) - b.mean(axis=axis))

    resampled = stats.bootstrap(
        (first, second), statistic, confidence_level=LEVEL, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    return Estimate(difference, (float(resampled.low), float(resampled.high)), "BCa bootstrap", count)


@contextmanager
def _quiet_about_equal_values() -> Iterator[None]:
    """SciPy warns of values that are equal up to rounding; their interval is narrow, and right."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
        yield


def _check_finite(values: NDArray[np.float64]) -> None:
    if len(values) == 0:
        raise ValueError("no values to average")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} of {len(values)} values are not finite")


def judge(comparison: Comparison, metrics: Mapping[str, Values]) -> Judgement:
    """Decide one comparison.

    Args:
        comparison: what is claimed.
        metrics: arm -> value of the comparison's metric by seed.

    Raises:
        ValueError: if paired arms share no seed, or a value is not finite.
    """
    match comparison:
        case Superiority(arm, over, _, lower_is_better, paired):
            result = _difference(metrics[arm], metrics[over], paired, -1.0 if lower_is_better else 1.0)
            return _decide(result, above=0.0)
        case NonInferiority(arm, to, _, margin, lower_is_better, paired):
            result = _difference(metrics[arm], metrics[to], paired, -1.0 if lower_is_better else 1.0)
            return _decide(result, above=-margin)
        case Equivalence(arm, to, _, margin, paired):
            result = _difference(metrics[arm], metrics[to], paired, 1.0)
            return _decide(result, above=-margin, below=margin)
        case Threshold(arm, _, bound, lower_is_better):
            values = _array(metrics[arm]) - bound
            return _decide(estimate(-values if lower_is_better else values), above=0.0)
        case Law(arm, _, value, tolerance):
            values = _array(metrics[arm])
            _check_finite(values)
            deviation = np.abs(values - value)
            worst = float(deviation.max())
            slack = tolerance - worst
            extent = (float(tolerance - worst), float(tolerance - deviation.min()))
            verdict: Verdict = "holds" if slack >= 0 else "fails"
            return Judgement(slack, extent, "range of tolerance - |deviation|", verdict, len(values))


def _array(values: Values) -> NDArray[np.float64]:
    return np.array([values[seed] for seed in sorted(values)], dtype=float)


def _difference(first: Values, second: Values, paired: bool, sign: float) -> Estimate:
    if not paired:
        return _estimate_difference(sign * _array(first), sign * _array(second))
    shared = sorted(first.keys() & second.keys())
    return estimate(np.array([sign * (first[seed] - second[seed]) for seed in shared], dtype=float))


def _decide(result: Estimate, *, above: float, below: float = float("inf")) -> Judgement:
    """Holds: the interval lies between ``above`` and ``below``. Fails: it lies outside."""
    verdict: Verdict = "inconclusive"
    if result.interval is not None and result.count >= ENOUGH:
        low, high = result.interval
        if above < low and high < below:
            verdict = "holds"
        elif high <= above or low >= below:
            verdict = "fails"
    return Judgement(result.mean, result.interval, result.method, verdict, result.count)
