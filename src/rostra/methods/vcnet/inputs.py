"""What every estimator asks of its input, and how doses become numbers in [0, 1]."""

__all__ = [
    "TreatmentScale",
    "check_covariates",
    "check_doses",
    "check_finite",
    "check_new_rows",
    "check_training_data",
    "numeric_column",
    "parse_range",
]

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from rostra.engine.errors import InputError

Array = NDArray[np.float64]

MIN_DISTINCT_DOSES = 10
RANK_NODES = 101


@dataclass(frozen=True)
class TreatmentScale:
    """A piecewise linear map of natural doses to [0, 1]: two nodes for min-max, quantiles for ranks.

    Attributes:
        natural: increasing doses in natural units.
        scaled: their images, from 0 to 1.
    """

    natural: Array
    scaled: Array

    @classmethod
    def fitted(cls, t: Array, kind: str, t_range: tuple[float, float] | None) -> "TreatmentScale":
        """The map for training doses ``t``; ``kind`` is "minmax" or "rank"."""
        if kind not in ("minmax", "rank"):
            raise InputError(f"t_scale must be 'minmax' or 'rank', got {kind!r}")
        low, high = (float(t.min()), float(t.max())) if t_range is None else map(float, t_range)
        if not low < high:
            raise InputError(f"t_range must be (low, high) with low below high, got ({low:g}, {high:g})")
        outside = int(((t < low) | (t > high)).sum())
        if outside:
            raise InputError(f"{outside} of {len(t)} treatments lie outside t_range ({low:g}, {high:g}); widen it")
        if kind == "minmax":
            return cls(np.array([low, high]), np.array([0.0, 1.0]))
        levels = np.linspace(0.0, 1.0, RANK_NODES)
        quantiles = np.quantile(t, levels)
        quantiles[0], quantiles[-1] = low, high
        natural, first = np.unique(quantiles, return_index=True)
        scaled = levels[first]
        scaled[-1] = 1.0
        return cls(natural, scaled)

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest dose, in natural units."""
        return float(self.natural[0]), float(self.natural[-1])

    def __call__(self, t: Array) -> Array:
        """Natural doses to [0, 1]."""
        return np.interp(t, self.natural, self.scaled)

    def slope(self, t: Array) -> Array:
        """Derivative of the map, which turns densities of scaled doses into densities of natural ones."""
        slopes = np.diff(self.scaled) / np.diff(self.natural)
        segment = np.clip(np.searchsorted(self.natural, t, side="right") - 1, 0, len(slopes) - 1)
        return slopes[segment]


def check_training_data(
    estimator: Any, X: Any, y: Any, treatment: Any, sample_weight: Any, *, min_rows: int
) -> tuple[Array, Array, Array, Array]:
    """Covariates, outcomes, treatments and weights as float64; rows of weight 0 are left out.

    Sets ``n_features_in_`` and ``feature_names_in_`` of the estimator.

    Raises:
        ValueError: for unusable input; the message names the column and the first bad row.
    """
    if treatment is None:
        raise InputError("treatment is missing; pass fit(X, y, treatment=doses)")
    _check_table(X)
    if y is None:
        raise InputError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
    if np.ndim(y) == 1 and np.asarray(y).dtype.kind in "fiub":
        check_finite(np.asarray(y, dtype=np.float64), "y")
    X, y = validate_data(estimator, X, y, dtype=np.float64, ensure_all_finite=False, y_numeric=True)
    y = np.asarray(y, dtype=np.float64)
    t = numeric_column(treatment, "treatment")
    if len(t) != len(X):
        raise InputError(f"treatment has {len(t)} rows, X has {len(X)}; they must be equal")
    names = _column_names(estimator, X)
    for column, name in enumerate(names):
        check_finite(X[:, column], f"column '{name}' of X")
    check_finite(t, "treatment")
    weights = np.ones(len(t)) if sample_weight is None else numeric_column(sample_weight, "sample_weight")
    if len(weights) != len(t):
        raise InputError(f"sample_weight has {len(weights)} rows, X has {len(X)}; they must be equal")
    check_finite(weights, "sample_weight")
    if (weights < 0).any() or not weights.any():
        raise InputError("sample_weight must hold no negative number and not only zeros")
    kept = weights > 0
    X, y, t, weights = X[kept], y[kept], t[kept], weights[kept]
    if len(t) < min_rows:
        raise InputError(f"{len(t)} rows (n_samples={len(t)}) are too few for a curve; at least {min_rows} are needed")
    distinct = len(np.unique(t))
    if distinct < min(MIN_DISTINCT_DOSES, min_rows):
        raise InputError(
            f"treatment takes {distinct} distinct value{'s' if distinct > 1 else ''}; a dose-response curve needs "
            f"at least {MIN_DISTINCT_DOSES} (for a categorical treatment use a method for categories, such as AIPW)"
        )
    for column, name in enumerate(names):
        if len(t) > 1 and np.array_equal(X[:, column], t):
            raise InputError(f"column '{name}' of X is the treatment itself; leave it out of the covariates")
    return X, y, t, weights


def check_covariates(estimator: Any, X: Any) -> Array:
    """Covariates of new rows, as the fitted estimator knows them, float64.

    Raises:
        ValueError: for unusable input.
    """
    check_is_fitted(estimator)
    _check_table(X)
    checked = validate_data(estimator, X, dtype=np.float64, ensure_all_finite=False, reset=False)
    for column, name in enumerate(_column_names(estimator, checked)):
        check_finite(checked[:, column], f"column '{name}' of X")
    return checked


def check_doses(doses: Any, name: str, scale: TreatmentScale, *, extrapolate: bool) -> Array:
    """Doses on the scale [0, 1].

    Args:
        doses: in natural units.
        name: of the argument, for messages.
        scale: of the training doses.
        extrapolate: clip doses outside the training range to it, with a warning.

    Raises:
        InputError: for doses that are not finite numbers, or outside the range without ``extrapolate``.
    """
    t = numeric_column(doses, name)
    check_finite(t, name)
    low, high = scale.range
    outside = int(((t < low) | (t > high)).sum())
    if outside and not extrapolate:
        raise InputError(
            f"{outside} of {len(t)} doses in {name} lie outside the training range {low:g} to {high:g}; "
            "pass extrapolate=True to clip them to it"
        )
    if outside:
        warnings.warn(
            f"{outside} of {len(t)} doses in {name} were clipped to the training range {low:g} to {high:g}",
            UserWarning,
            stacklevel=4,
        )
    return scale(np.clip(t, low, high))


def check_new_rows(
    estimator: Any, X: Any, treatment: Any, scale: TreatmentScale, *, extrapolate: bool
) -> tuple[Array, Array]:
    """Covariates of new rows and their doses on the scale [0, 1].

    Raises:
        ValueError: for unusable input.
    """
    x = check_covariates(estimator, X)
    t = check_doses(treatment, "treatment", scale, extrapolate=extrapolate)
    if len(t) != len(x):
        raise InputError(f"treatment has {len(t)} rows, X has {len(x)}; they must be equal")
    return x, t


def _column_names(estimator: Any, X: Array) -> list[str]:
    return [str(name) for name in getattr(estimator, "feature_names_in_", range(X.shape[1]))]


def parse_range(text: str) -> tuple[float, float]:
    """(low, high) from "LOW,HIGH"."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"a range is LOW,HIGH, such as 0,100; got '{text}'") from None
    return low, high


def _check_table(X: Any) -> None:
    """What scikit-learn says less well of a DataFrame: duplicate names, columns that hold no numbers."""
    columns = getattr(X, "columns", None)
    if columns is None:
        return
    duplicates = sorted({str(name) for name in columns[columns.duplicated()]}) if hasattr(columns, "duplicated") else []
    if duplicates:
        raise InputError(f"X has several columns named {', '.join(map(repr, duplicates))}; names must be unique")
    text = [str(name) for name, dtype in zip(columns, X.dtypes, strict=True) if not _is_number(dtype)]
    if text:
        raise InputError(f"X holds no numbers in {', '.join(map(repr, text))}; encode or drop them")


def _is_number(dtype: Any) -> bool:
    return getattr(dtype, "kind", "O") in "biuf" or bool(getattr(dtype, "_is_numeric", False))


def numeric_column(values: Any, name: str) -> Array:
    """One column of numbers as float64, or an InputError that names it."""
    try:
        return column_or_1d(np.asarray(values)).astype(np.float64)
    except (ValueError, TypeError):
        shape = np.shape(values)
        raise InputError(f"{name} must be one column of numbers, got shape {shape}") from None


def check_finite(values: Array, name: str) -> None:
    """An InputError that names the column, the number of bad rows, and the first of them."""
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        kinds = (
            "NaN" if np.isnan(values[bad]).all() else "infinity" if not np.isnan(values[bad]).any() else "NaN, infinity"
        )
        raise InputError(
            f"{name} holds {kinds} in {len(bad)} row{'s' if len(bad) > 1 else ''} "
            f"(first in row {bad[0]}, counted from 0); fill or drop them"
        )
