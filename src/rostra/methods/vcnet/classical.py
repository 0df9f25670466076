"""What a practitioner would use instead of a network, with the same interface."""

__all__ = ["GPSRegressor", "KernelDRRegressor", "NaiveSpline", "SLearner"]

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer
from sklearn.utils.validation import check_is_fitted, check_random_state

from rostra.engine.errors import InputError
from rostra.fields.tabular.scaling import deviation

from .doubly_robust import DoublyRobustCurve
from .inputs import TreatmentScale, check_covariates, check_doses, check_new_rows, check_training_data
from .propensity import GaussianDensity, GridDensity

Array = NDArray[np.float64]

_CHUNK_NUMBERS = 5_000_000
"""Numbers in the table that one call of a regressor's predict gets when a curve is averaged."""


class GPSRegressor(RegressorMixin, BaseEstimator):
    """Curves by the generalised propensity score (Hirano and Imbens 2004).

    The score R = r(t, x) is a normal density around a linear mean; the outcome is regressed on
    1, T, T^2, R, R^2, T R; the curve at t averages that polynomial over r(t, x_i).

    Args:
        min_rows: fewest rows that are accepted.
    """

    def __init__(self, min_rows: int = 50) -> None:
        self.min_rows = min_rows

    def fit(self, X: ArrayLike, y: ArrayLike, *, treatment: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit score and outcome polynomial. Arguments and errors as for VCNetRegressor.fit."""
        X, y, t, weights = check_training_data(self, X, y, treatment, sample_weight, min_rows=self.min_rows)
        self._scale = TreatmentScale.fitted(t, "minmax", None)
        self._x, self._weights, t = X, weights, self._scale(t)
        self._score = GaussianDensity.fitted(X, t, weights)
        root = np.sqrt(weights)
        design = self._polynomial(t, self._score(X, t))
        self._coefficients = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
        self.t_range_ = self._scale.range
        return self

    @staticmethod
    def _polynomial(t: Array, score: Array) -> Array:
        return np.stack([np.ones_like(score), t + 0 * score, t**2 + 0 * score, score, score**2, t * score], axis=-1)

    def predict(self, X: ArrayLike, *, treatment: ArrayLike, extrapolate: bool = False) -> Array:
        """The outcome polynomial of each row at its own dose: (rows,)."""
        check_is_fitted(self, "_score")
        x, t = check_new_rows(self, X, treatment, self._scale, extrapolate=extrapolate)
        return self._polynomial(t, self._score(x, t)) @ self._coefficients

    def dose_response(self, t_grid: ArrayLike, X: ArrayLike | None = None, *, extrapolate: bool = False) -> Array:
        """The average dose-response curve: (doses,). X None averages over the training rows."""
        check_is_fitted(self, "_score")
        t = check_doses(t_grid, "t_grid", self._scale, extrapolate=extrapolate)
        x, weights = _sample(self, X)
        # One dose at a time: the polynomial of every row at every dose would be six such matrices.
        return np.array(
            [
                np.average(self._polynomial(dose, score) @ self._coefficients, weights=weights)
                for dose, score in zip(t, self._score.on_grid(x, t).T, strict=True)
            ]
        )


class SLearner(RegressorMixin, BaseEstimator):
    """Curves by any regressor of the outcome on (dose, covariates), averaged over the covariates.

    Args:
        regressor: a scikit-learn regressor; None takes boosted trees.
        min_rows: fewest rows that are accepted.
        random_state: given to the default regressor.
    """

    def __init__(self, regressor: Any = None, min_rows: int = 50, random_state: Any = None) -> None:
        self.regressor = regressor
        self.min_rows = min_rows
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, *, treatment: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the regressor. Arguments and errors as for VCNetRegressor.fit."""
        X, y, t, weights = check_training_data(self, X, y, treatment, sample_weight, min_rows=self.min_rows)
        self._scale = TreatmentScale.fitted(t, "minmax", None)
        self._x, self._weights = X, weights
        self.regressor_ = _regressor(self.regressor, self.random_state)
        options = {} if sample_weight is None else {"sample_weight": weights}
        self.regressor_.fit(np.column_stack([self._scale(t), X]), y, **options)
        self.t_range_ = self._scale.range
        return self

    def predict(self, X: ArrayLike, *, treatment: ArrayLike, extrapolate: bool = False) -> Array:
        """The regressor's prediction of each row at its own dose: (rows,)."""
        check_is_fitted(self, "regressor_")
        x, t = check_new_rows(self, X, treatment, self._scale, extrapolate=extrapolate)
        predicted: Array = self.regressor_.predict(np.column_stack([t, x]))
        return predicted

    def dose_response(self, t_grid: ArrayLike, X: ArrayLike | None = None, *, extrapolate: bool = False) -> Array:
        """The average dose-response curve: (doses,). X None averages over the training rows."""
        check_is_fitted(self, "regressor_")
        t = check_doses(t_grid, "t_grid", self._scale, extrapolate=extrapolate)
        x, weights = _sample(self, X)
        return np.average(_unit_curves(self.regressor_, t, x), axis=0, weights=weights)


class NaiveSpline(RegressorMixin, BaseEstimator):
    """A cubic spline of the outcome on the dose that ignores the covariates.

    No causal method: the comparator that shows whether a benchmark tests confounding at all.

    Args:
        n_knots: of the spline, ends included.
        min_rows: fewest rows that are accepted.
    """

    def __init__(self, n_knots: int = 5, min_rows: int = 50) -> None:
        self.n_knots = n_knots
        self.min_rows = min_rows

    def fit(self, X: ArrayLike, y: ArrayLike, *, treatment: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the spline. Arguments and errors as for VCNetRegressor.fit; X is checked and not used."""
        X, y, t, weights = check_training_data(self, X, y, treatment, sample_weight, min_rows=self.min_rows)
        self._scale = TreatmentScale.fitted(t, "minmax", None)
        self._spline = make_pipeline(SplineTransformer(n_knots=self.n_knots, degree=3), LinearRegression())
        self._spline.fit(self._scale(t)[:, None], y, linearregression__sample_weight=weights)
        self.t_range_ = self._scale.range
        return self

    def predict(self, X: ArrayLike, *, treatment: ArrayLike, extrapolate: bool = False) -> Array:
        """The spline at each row's dose: (rows,)."""
        check_is_fitted(self, "_spline")
        _, t = check_new_rows(self, X, treatment, self._scale, extrapolate=extrapolate)
        predicted: Array = self._spline.predict(t[:, None])
        return predicted

    def dose_response(self, t_grid: ArrayLike, X: ArrayLike | None = None, *, extrapolate: bool = False) -> Array:
        """The spline: (doses,). X changes nothing."""
        check_is_fitted(self, "_spline")
        t = check_doses(t_grid, "t_grid", self._scale, extrapolate=extrapolate)
        curve: Array = self._spline.predict(t[:, None])
        return curve


class KernelDRRegressor(RegressorMixin, BaseEstimator):
    """Doubly robust curves by kernel regression of pseudo-outcomes (Kennedy et al. 2017).

    Consistent if either the outcome model or the density of the dose is. The outcome model is
    cross-fitted: a row's pseudo-outcome uses a model that was not trained on it.

    Args:
        regressor: scikit-learn regressor of the outcome on (dose, covariates); None takes
            boosted trees.
        density: "grid" (a softmax network over nodes of the dose) or "gaussian" (linear mean, one
            variance).
        folds: of the cross-fitting.
        min_rows: fewest rows that are accepted.
        random_state: seed of the density network and the default regressor.

    Attributes:
        bandwidth_: of the kernel, in the scaled dose.
        clipped_ratios_: rows whose density ratio was clipped to 0.01 to 100.
    """

    def __init__(
        self,
        regressor: Any = None,
        density: str = "grid",
        folds: int = 5,
        min_rows: int = 50,
        random_state: Any = None,
    ) -> None:
        self.regressor = regressor
        self.density = density
        self.folds = folds
        self.min_rows = min_rows
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, *, treatment: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit outcome model and density, and choose the bandwidth. Arguments and errors as for VCNetRegressor.fit."""
        if self.density not in ("grid", "gaussian"):
            raise InputError(f"density must be 'grid' or 'gaussian', got {self.density!r}")
        X, y, t, weights = check_training_data(self, X, y, treatment, sample_weight, min_rows=self.min_rows)
        self._scale = TreatmentScale.fitted(t, "minmax", None)
        t = self._scale(t)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.regressor_ = _regressor(self.regressor, seed)
        options = {} if sample_weight is None else {"sample_weight": weights}
        self.regressor_.fit(np.column_stack([t, X]), y, **options)
        mean = np.average(X, axis=0, weights=weights)
        x = (X - mean) / deviation(X, mean, weights)
        density: GridDensity | GaussianDensity
        if self.density == "grid":
            density = GridDensity.fitted(x, t, weights, seed=seed)
        else:
            density = GaussianDensity.fitted(x, t, weights)
        grid = np.linspace(0.0, 1.0, 101)
        mu, mu_on_grid = np.empty(len(t)), np.empty((len(t), len(grid)))
        for others, fold in KFold(self.folds, shuffle=True, random_state=seed).split(X):
            chosen = {name: value[others] for name, value in options.items()}
            model = clone(self.regressor_).fit(np.column_stack([t, X])[others], y[others], **chosen)
            mu[fold] = model.predict(np.column_stack([t, X])[fold])
            mu_on_grid[fold] = _unit_curves(model, grid, X[fold])
        self._curve = DoublyRobustCurve.fitted(
            t,
            y,
            weights,
            mu,
            density(x, t),
            grid,
            mu_on_grid,
            density.on_grid(x, grid),
        )
        self.bandwidth_, self.clipped_ratios_ = self._curve.bandwidth, self._curve.clipped
        self.t_range_ = self._scale.range
        return self

    def predict(self, X: ArrayLike, *, treatment: ArrayLike, extrapolate: bool = False) -> Array:
        """The outcome model's prediction of each row at its own dose: (rows,)."""
        check_is_fitted(self, "_curve")
        x, t = check_new_rows(self, X, treatment, self._scale, extrapolate=extrapolate)
        predicted: Array = self.regressor_.predict(np.column_stack([t, x]))
        return predicted

    def dose_response(self, t_grid: ArrayLike, *, extrapolate: bool = False) -> Array:
        """The average dose-response curve over the training rows: (doses,)."""
        check_is_fitted(self, "_curve")
        return self._curve(check_doses(t_grid, "t_grid", self._scale, extrapolate=extrapolate))

    def confidence_band(
        self, t_grid: ArrayLike, *, level: float = 0.95, extrapolate: bool = False
    ) -> tuple[Array, Array]:
        """Pointwise normal band by the influence function, without the kernel's bias: two (doses,)."""
        check_is_fitted(self, "_curve")
        return self._curve.band(check_doses(t_grid, "t_grid", self._scale, extrapolate=extrapolate), level)


def _regressor(regressor: Any, random_state: Any) -> Any:
    if regressor is None:
        return HistGradientBoostingRegressor(random_state=random_state)
    return clone(regressor)


def _sample(estimator: Any, X: Any) -> tuple[Array, Array | None]:
    """Covariates to average over, with weights: the training rows unless others are given."""
    if X is None:
        return estimator._x, estimator._weights
    return check_covariates(estimator, X), None


def _unit_curves(regressor: Any, t: Array, x: Array) -> Array:
    """The regressor's prediction of every row at every dose: (rows, doses)."""
    size = max(1, _CHUNK_NUMBERS // (len(x) * (x.shape[1] + 1)))
    parts = []
    for start in range(0, len(t), size):
        doses = t[start : start + size]
        table = np.column_stack([np.repeat(doses, len(x)), np.tile(x, (len(doses), 1))])
        parts.append(regressor.predict(table).reshape(len(doses), len(x)))
    return np.concatenate(parts).T
