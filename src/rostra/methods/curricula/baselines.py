"""What the best of many strategies must beat: standard training, as often tried (section 4 of the paper)."""

__all__ = ["SelectionTest", "holm", "matched_baseline", "predictive_law", "selection_test", "standard_baselines"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rostra.engine.errors import InputError

METHODS = ("predictive", "groups", "gaussian", "bootstrap")


def matched_baseline(
    standard: ArrayLike,
    n_strategies: int,
    n_seeds: int,
    method: str = "predictive",
    reps: int = 10_000,
    seed: int = 0,
    strata: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """The law of max over ``n_strategies`` of a mean over ``n_seeds``, if every strategy were standard training.

    Args:
        standard: metric of standard runs that differ in the seed alone, shape (runs,); higher is better.
        n_strategies, n_seeds: of the search that is to be judged.
        method: "predictive" takes a normal law of which it knows no more than the runs tell: their mean and their
            variance are drawn from what few runs leave open (:func:`predictive_law`). The others take the runs for
            the whole truth, as the paper does with its 90: "groups" deals them into groups of ``n_seeds`` and takes
            the best (standard2; needs n_strategies n_seeds runs), "gaussian" draws from their normal law
            (standard3), "bootstrap" draws runs with replacement.
        reps: draws.
        seed: of the draws.
        strata: the seed of each run, if the search had the same seeds, and with them the same noise: what seeds have
            in common then cancels. Only for "predictive".

    Returns:
        Shape (reps,).

    Raises:
        InputError: for fewer than 2 runs (a stratum, a deal), values that are not finite, or an unknown method.
    """
    runs = np.asarray(standard, dtype=np.float64)
    if runs.ndim != 1 or len(runs) < 2 or not np.isfinite(runs).all():
        raise InputError(f"a baseline needs 2 or more finite results of standard runs, got {runs.size}")
    if n_strategies < 1 or n_seeds < 1 or reps < 1:
        raise InputError("n_strategies, n_seeds and reps must be 1 or more")
    rng = np.random.default_rng(seed)
    if method == "predictive":
        return predictive_law(runs, n_strategies, n_seeds, reps, rng, strata)
    best = np.empty(reps)
    if method == "groups":
        needed = n_strategies * n_seeds
        if len(runs) < needed:
            raise InputError(f"method 'groups' needs {needed} standard runs, got {len(runs)}; use 'predictive'")
        for i in range(reps):
            best[i] = rng.permutation(runs)[:needed].reshape(n_strategies, n_seeds).mean(1).max()
    elif method == "gaussian":
        for i in range(reps):
            best[i] = rng.normal(runs.mean(), runs.std(ddof=1), (n_seeds, n_strategies)).mean(0).max()
    elif method == "bootstrap":
        for i in range(reps):
            best[i] = runs[rng.integers(0, len(runs), (n_seeds, n_strategies))].mean(0).max()
    else:
        raise InputError(f"method must be one of {', '.join(METHODS)}, got '{method}'")
    return best


def predictive_law(
    runs: NDArray[np.float64],
    n_strategies: int,
    n_seeds: int,
    reps: int,
    rng: np.random.Generator,
    strata: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Mean of the runs + s' (z / sqrt(runs) + max over strategies of z_k / sqrt(n_seeds)), s'^2 = s^2 df / chi^2_df.

    z and z_k are standard normal, s^2 is the variance of the runs (inside strata, if there are any) with df degrees
    of freedom: the error of the runs' own mean, the uncertainty of their variance, and the best of the search.
    """
    groups = [runs]
    if strata is not None:
        seeds = np.asarray(strata)
        groups = [runs[seeds == each] for each in np.unique(seeds)]
        if len(groups) != n_seeds or min(map(len, groups)) < 2:
            raise InputError(
                f"the search has {n_seeds} seeds, so the standard runs need as many, with 2 runs or more each; they "
                f"have {len(groups)}, with {min(map(len, groups))}"
            )
    freedom = len(runs) - len(groups)
    variance = sum(((group - group.mean()) ** 2).sum() for group in groups) / freedom
    deviation = np.sqrt(variance * freedom / rng.chisquare(freedom, reps))
    best = np.array([rng.standard_normal(n_strategies).max() for _ in range(reps)])
    own = rng.standard_normal(reps) / np.sqrt(len(runs))
    return np.mean([group.mean() for group in groups]) + deviation * (own + best / np.sqrt(n_seeds))


def standard_baselines(standard: ArrayLike, seed: int = 0) -> dict[str, float]:
    """The paper's three baselines from standard runs (it has 90).

    ``standard1``: their mean; ``standard2``: the best mean of groups of 3, matching one pacing family; ``standard3``:
    the median of the best of 180 simulated means of 3, from the normal laws of three groups of runs, matching all
    pacing families.
    """
    runs = np.asarray(standard, dtype=np.float64)
    if len(runs) < 6:
        raise InputError(f"the paper's baselines need 6 or more standard runs, got {len(runs)}")
    groups = runs[: len(runs) // 3 * 3].reshape(-1, 3)
    rng = np.random.default_rng(seed)
    means, deviations = groups.mean(0), groups.std(0, ddof=1)
    best = [rng.normal(means, deviations, (180, 3)).mean(1).max() for _ in range(10_000)]
    return {
        "standard1": float(runs.mean()),
        "standard2": float(groups.mean(1).max()),
        "standard3": float(np.median(best)),
    }


@dataclass(frozen=True)
class SelectionTest:
    """Whether the best of a search beats what the same search would find without any effect.

    Attributes:
        best: of the search.
        expected: mean of the null law.
        gain: their difference.
        interval: of the gain, 95 %: ``best`` less the null law's quantiles.
        p_value: one-sided.
    """

    best: float
    expected: float
    gain: float
    interval: tuple[float, float]
    p_value: float


def selection_test(best_of_grid: float, null: ArrayLike) -> SelectionTest:
    """Compare the best mean of a search with the law of :func:`matched_baseline`.

    Raises:
        InputError: for a value that is not finite, or an empty law.
    """
    law = np.asarray(null, dtype=np.float64)
    if not np.isfinite(best_of_grid) or law.size == 0 or not np.isfinite(law).all():
        raise InputError(f"a test needs a finite best result and a law of finite draws, got {best_of_grid}")
    low, high = np.quantile(best_of_grid - law, (0.025, 0.975))
    p_value = (1 + np.count_nonzero(law >= best_of_grid)) / (1 + len(law))
    return SelectionTest(
        float(best_of_grid),
        float(law.mean()),
        float(best_of_grid - law.mean()),
        (float(low), float(high)),
        float(p_value),
    )


def holm(p_values: Mapping[str, float] | Sequence[float]) -> dict[str, float]:
    """P-values corrected for their number (Holm, 1979)."""
    named = dict(p_values) if isinstance(p_values, Mapping) else {str(i): p for i, p in enumerate(p_values)}
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(named, key=lambda name: named[name])):
        largest = max(largest, min(1.0, (len(named) - rank) * named[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in named}
