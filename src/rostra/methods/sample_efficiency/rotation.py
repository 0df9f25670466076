"""Does a model use the coordinates of the data, or would any rotation of them do? A test for practitioners."""

__all__ = ["RotatedData", "Rotation", "rotated_data_test"]

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin, clone, is_classifier
from sklearn.model_selection import check_cv, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from rostra.engine.errors import InputError

from .tasks import random_rotation

LEVEL = 0.95
Verdict = Literal["uses the basis", "harmed by the basis", "does not use the basis", "inconclusive"]


class Rotation(TransformerMixin, BaseEstimator):
    """Turns rows by one random rotation; a scikit-learn transformer.

    Args:
        seed: of the rotation.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw the rotation; nothing is learned from X but its width."""
        X = validate_data(self, X)
        self.rotation_ = random_rotation(X.shape[1], np.random.default_rng(self.seed))
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """X times the rotation's transpose, shape (n, D)."""
        check_is_fitted(self)
        return np.asarray(validate_data(self, X, reset=False) @ self.rotation_.T)


@dataclass(frozen=True)
class RotatedData:
    """What rotating the features does to a model.

    Attributes:
        raw, rotated: mean scores over folds (and rotations).
        difference: raw - rotated.
        interval: of the difference, 95 %; folds share training rows, which is allowed for.
        margin: difference that counts as none.
        verdict: "uses the basis" (raw is better), "harmed by the basis" (rotated is better), "does not use the basis"
            (the interval lies within the margin) or "inconclusive".
    """

    raw: float
    rotated: float
    difference: float
    interval: tuple[float, float]
    margin: float
    verdict: Verdict


def rotated_data_test(
    estimator: Any,
    X: Any,
    y: Any,
    n_rotations: int = 5,
    cv: Any = 5,
    *,
    scoring: Any = None,
    standardize: bool = True,
    margin: float = 0.01,
    seed: int = 0,
) -> RotatedData:
    """Score a model on the features and on random rotations of them, on the same folds.

    Args:
        estimator: a scikit-learn classifier or regressor.
        X: numbers, shape (n, D), D of at least 2.
        y: shape (n,).
        n_rotations: random rotations.
        cv: folds, or a splitter of scikit-learn; folds are shuffled by the seed.
        scoring: as in scikit-learn; None takes the estimator's own score.
        standardize: scale features by the training rows first (rotating mixes features, so their units must agree).
        margin: see :class:`RotatedData`.
        seed: of rotations and folds.

    Returns:
        Scores, their difference and a verdict. The interval is the corrected t interval of Nadeau and Bengio (2003).

    Raises:
        InputError: if X is not a finite matrix of at least 2 columns.
    """
    try:
        X = check_array(X, dtype=np.float64)
    except ValueError as error:
        raise InputError(str(error).splitlines()[0]) from None
    if X.shape[1] < 2:
        raise InputError(f"rotations need at least 2 features, got {X.shape[1]}")
    if n_rotations < 1:
        raise InputError(f"n_rotations must be at least 1, got {n_rotations}")
    y = np.asarray(y)
    splitter = check_cv(cv, y, classifier=is_classifier(estimator))
    if hasattr(splitter, "shuffle") and isinstance(cv, int):
        splitter = type(splitter)(cv, shuffle=True, random_state=seed)
    folds = list(splitter.split(X, y))
    first: list[Any] = [StandardScaler()] if standardize else []

    def scores(*steps: Any) -> NDArray[np.float64]:
        pipeline = make_pipeline(*first, *steps, clone(estimator))
        return np.asarray(cross_validate(pipeline, X, y, cv=folds, scoring=scoring, error_score="raise")["test_score"])

    raw = scores()
    rotated = np.mean([scores(Rotation(1000 * seed + r)) for r in range(n_rotations)], axis=0)
    difference = raw - rotated
    train, test = folds[0]
    half = np.inf
    if len(folds) > 1:
        standard_error = np.sqrt((1 / len(folds) + len(test) / len(train)) * difference.var(ddof=1))
        half = float(stats.t.ppf(0.5 + LEVEL / 2, len(folds) - 1) * standard_error)
    mean = float(difference.mean())
    interval = (mean - half, mean + half)
    return RotatedData(float(raw.mean()), float(rotated.mean()), mean, interval, margin, _verdict(*interval, margin))


def _verdict(low: float, high: float, margin: float) -> Verdict:
    if -margin <= low and high <= margin:
        return "does not use the basis"
    if low > 0:
        return "uses the basis"
    return "harmed by the basis" if high < 0 else "inconclusive"
