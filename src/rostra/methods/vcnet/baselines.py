"""Comparators and checks that only the claims need."""

__all__ = ["CLASSICAL", "classical_estimator", "linear_adjusted_spline", "pseudo_outcome_curve", "targeted_curve"]

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from . import classical, objective
from .basis import truncated_power
from .data import DoseResponseData, OverlapData
from .doubly_robust import DoublyRobustCurve

CLASSICAL = ("naive_spline", "gps", "forest", "boosting", "kernel_dr")
"""Arms that are no networks, by name."""

Array = NDArray[np.float64]


def classical_estimator(arm: str, seed: int) -> Any:
    """The untrained estimator of a classical arm."""
    match arm:
        case "naive_spline":
            return classical.NaiveSpline()
        case "gps":
            return classical.GPSRegressor()
        case "forest":
            return classical.SLearner(RandomForestRegressor(random_state=seed))
        case "boosting":
            return classical.SLearner(HistGradientBoostingRegressor(random_state=seed))
        case _:
            return classical.KernelDRRegressor(random_state=seed)


def linear_adjusted_spline(d: DoseResponseData, grid: Array) -> Array:
    """A spline of the dose plus a line in each covariate: well specified here, the lower reference."""
    columns = make_column_transformer((SplineTransformer(n_knots=8), [0]), remainder="passthrough")
    model = make_pipeline(columns, LinearRegression())
    model.fit(np.column_stack([d.train.treatment, d.train.X]), d.train.y)
    mean = np.tile(d.test.X.mean(axis=0), (len(grid), 1))
    return model.predict(np.column_stack([grid, mean]))


def targeted_curve(d: OverlapData, grid: Array, *, outcome_right: bool, density_right: bool) -> Array:
    """Plug-in plus epsilon / g, with epsilon at the minimum of the targeted loss (paper, equations 6 and 7)."""

    def basis(t: Array) -> Array:
        return truncated_power(t, 2, (0.2, 0.4, 0.6, 0.8))

    def outcome(t: Array) -> Array:
        return d.outcome(t, d.X) if outcome_right else np.zeros(len(d.y))

    def density(t: Array) -> Array:
        return d.density(t, d.X) if density_right else np.ones(len(d.y))

    t = d.treatment
    y, mu, g, spline = (torch.from_numpy(v)[None] for v in (d.y, outcome(t), density(t), basis(t)))
    weights = torch.full((1, len(t)), 1 / len(t), dtype=torch.float64)
    epsilon = basis(grid) @ objective.targeted_coefficients(y, mu, g, spline, weights, penalty=0.0)[0].numpy()
    means = [(np.mean(outcome(dose)), np.mean(1 / density(dose))) for dose in grid]
    return np.array([m + e * inverse for (m, inverse), e in zip(means, epsilon, strict=True)])


def pseudo_outcome_curve(d: OverlapData, grid: Array, *, outcome_right: bool, density_right: bool) -> Array:
    """Kernel regression of pseudo-outcomes (Kennedy et al. 2017)."""
    even = np.linspace(0.0, 1.0, 101)
    units = d.X[:2000] if len(d.X) > 2000 else d.X  # of the means over x, which are population means here
    mu = d.outcome(d.treatment, d.X) if outcome_right else np.zeros(len(d.y))
    pi = d.density(d.treatment, d.X) if density_right else np.ones(len(d.y))
    mean_mu = np.array([np.mean(d.outcome(t, units)) if outcome_right else 0.0 for t in even])
    mean_pi = np.array([np.mean(d.density(t, units)) if density_right else 1.0 for t in even])
    ones = np.ones(len(d.y))
    curve = DoublyRobustCurve.fitted(
        d.treatment, d.y, ones, mu, pi, even, np.tile(mean_mu, (len(d.y), 1)), np.tile(mean_pi, (len(d.y), 1))
    )
    return curve(grid)
