"""Comparisons: what a claim says of its arms, and the statistics that decide whether it is so.

Every effect is positive where it favours the claim. Intervals: Student's t below 20 values (the
percentile bootstrap is far too narrow there), the BCa bootstrap from 20 on; the exact binomial
interval where all values of an arm are 0 or 1. Other values that are all equal have no interval:
they do not tell how far the next one may lie. A verdict that an interval decides needs 5 values.
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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Verdict = Literal["holds", "fails", "inconclusive", "ran"]
Values = Mapping[int, float]
"""A metric's value by seed."""

LEVEL = 0.95
BOOTSTRAP_FROM = 20
ENOUGH = 5
ROUNDING = 1e-12
"""Values whose spread is this share of their size, or less, count as equal."""


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
    """A mean and its interval; None where the values give none, and ``method`` says why."""

    mean: float
    interval: tuple[float, float] | None
    method: str
    count: int


@dataclass(frozen=True)
class Judgement:
    """One comparison, decided.

    Attributes:
        effect: positive favours the claim; in the metric's units.
        interval: of the effect; None where the values give none.
        method: how the interval was made, or why there is none.
        verdict: "holds", "fails" or "inconclusive".
        count: number of values (of pairs, where paired) behind the effect.
    """

    effect: float
    interval: tuple[float, float] | None
    method: str
    verdict: Verdict
    count: int


def estimate(values: NDArray[np.float64]) -> Estimate:
    """Mean with a 95 % interval; of values that are all 0 or 1, the exact (Clopper-Pearson) one of their share.

    Raises:
        ValueError: if there is no value, or one is not finite (a failed run is never averaged over).
    """
    _check_finite(values)
    count = len(values)
    if count >= 2 and np.isin(values, (0.0, 1.0)).all():
        share = stats.binomtest(int(values.sum()), count).proportion_ci(LEVEL, method="exact")
        return Estimate(float(values.mean()), (float(share.low), float(share.high)), "exact binomial", count)
    return _estimate_mean(values, values)


def _estimate_mean(values: NDArray[np.float64], made_from: NDArray[np.float64]) -> Estimate:
    """Mean with an interval; ``made_from``: the numbers whose size sets the rounding error of the values."""
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return Estimate(mean, None, "none: one value", count)
    if _all_equal(values, made_from):
        return Estimate(mean, None, "none: all values are equal", count)
    if count >= BOOTSTRAP_FROM and (interval := _bootstrap((values,), np.mean)):
        return Estimate(mean, interval, "BCa bootstrap", count)
    students = stats.ttest_1samp(values, 0.0).confidence_interval(LEVEL)
    return Estimate(mean, (float(students.low), float(students.high)), "Student's t", count)


def _estimate_difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> Estimate:
    """Difference of the means of two independent groups, with a 95 % interval."""
    _check_finite(first)
    _check_finite(second)
    difference, count = float(first.mean() - second.mean()), min(len(first), len(second))
    if count < 2:
        return Estimate(difference, None, "none: one value", count)
    if _all_equal(first, first) and _all_equal(second, second):
        return Estimate(difference, None, "none: all values are equal", count)

    def statistic(a: NDArray[np.float64], b: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return np.asarray(a.mean(axis=axis) - b.mean(axis=axis))

    if count >= BOOTSTRAP_FROM and (interval := _bootstrap((first, second), statistic)):
        return Estimate(difference, interval, "BCa bootstrap", count)
    with warnings.catch_warnings():
        # One of the groups may hold equal values, of which SciPy warns.
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
        welchs = stats.ttest_ind(first, second, equal_var=False).confidence_interval(LEVEL)
    return Estimate(difference, (float(welchs.low), float(welchs.high)), "Welch's t", count)


def _bootstrap(samples: Sequence[NDArray[np.float64]], statistic: Callable[..., Any]) -> tuple[float, float] | None:
    """The BCa interval; None where the resamples are too degenerate for one."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            samples, statistic, confidence_level=LEVEL, method="BCa", rng=np.random.default_rng(0)
        ).confidence_interval
    interval = float(found.low), float(found.high)
    return interval if np.isfinite(interval).all() else None


def _all_equal(values: NDArray[np.float64], made_from: NDArray[np.float64]) -> bool:
    """Whether values are the same up to rounding."""
    return bool(np.ptp(values) <= ROUNDING * np.abs(made_from).max())


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
            return _decide(_beyond(estimate(_array(metrics[arm])), bound, lower_is_better), above=0.0)
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
    pairs = np.array([(first[seed], second[seed]) for seed in shared], dtype=float).reshape(-1, 2)
    _check_finite(differences := sign * (pairs[:, 0] - pairs[:, 1]))
    return _estimate_mean(differences, pairs)


def _beyond(result: Estimate, bound: float, lower_is_better: bool) -> Estimate:
    """How far a mean lies beyond a bound, on the claimed side."""
    sign = -1.0 if lower_is_better else 1.0
    interval = result.interval
    if interval is not None:
        low, high = sorted(sign * (end - bound) for end in interval)
        interval = low, high
    return replace(result, mean=sign * (result.mean - bound), interval=interval)


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
