"""How fair and how accurate a classifier is: the measures of the Adult protocol, exactly as defined there.

All take weights of the rows, so that a bootstrap is a matrix product; None weighs all rows alike.
"""

__all__ = ["Gaps", "balanced_accuracy", "consistency", "gaps", "hypervolume", "recalls"]

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

FEWEST_ROWS = 10
"""A class with fewer rows, in all or in a group, is left out of the gaps where there are more than two classes."""


def _ratio(numerator: Array, denominator: Array) -> Array:
    """NaN where there is nothing to count."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(denominator > 0, numerator / denominator, np.nan))


def _weights(weights: ArrayLike | None, rows: int) -> Array:
    """Shape (resamples, rows)."""
    return np.ones((1, rows)) if weights is None else np.atleast_2d(np.asarray(weights, dtype=np.float64))


def consistency(predictions: Sequence[ArrayLike], weights: ArrayLike | None = None) -> Array:
    """Share of rows whose copies all get one answer: (resamples,).

    S-Con with a Husband copy and a Wife copy of every row; GR-Con with the four copies of sex and race.

    Args:
        predictions: answers for each copy of the rows, shape (rows,) each.
        weights: shape (resamples, rows) or (rows,).
    """
    first, *others = (np.asarray(prediction) for prediction in predictions)
    same = np.ones(len(first), dtype=bool)
    for other in others:
        same &= first == other
    weight = _weights(weights, len(same))
    return _ratio(weight @ same.astype(float), weight.sum(axis=1))


def recalls(y: ArrayLike, predicted: ArrayLike, classes: Sequence[Any], weights: ArrayLike | None = None) -> Array:
    """Share of each class's rows that get it: (resamples, classes). Of two classes these are TNR and TPR."""
    y, predicted = np.asarray(y), np.asarray(predicted)
    weight = _weights(weights, len(y))
    own = np.stack([y == name for name in classes], axis=1).astype(float)
    right = own * (y == predicted)[:, None]
    return _ratio(weight @ right, weight @ own)


def balanced_accuracy(
    y: ArrayLike, predicted: ArrayLike, classes: Sequence[Any], weights: ArrayLike | None = None
) -> Array:
    """Mean recall over the classes, (TPR + TNR) / 2 of two: (resamples,)."""
    return np.asarray(recalls(y, predicted, classes, weights).mean(axis=1))


@dataclass(frozen=True)
class Gaps:
    """Differences of recall between a group and all other rows.

    Attributes:
        recall: of each class, group minus others, shape (resamples, classes); NaN for classes that are left out.
        rms: root of their mean square, shape (resamples,).
        largest: largest size, shape (resamples,).
    """

    recall: Array
    rms: Array
    largest: Array


def gaps(
    y: ArrayLike, predicted: ArrayLike, group: ArrayLike, classes: Sequence[Any], weights: ArrayLike | None = None
) -> Gaps:
    """Gaps in true positive and true negative rates between a group and all other rows.

    Of more than two classes those with fewer than 10 rows, in all or on one side, are left out.

    Args:
        y, predicted: labels and answers, shape (rows,).
        group: which rows belong to the group, shape (rows,).
        classes: all labels.
        weights: shape (resamples, rows) or (rows,).
    """
    y, predicted, group = np.asarray(y), np.asarray(predicted), np.asarray(group).astype(bool)
    weight = _weights(weights, len(y))
    difference = recalls(y, predicted, classes, weight * group) - recalls(y, predicted, classes, weight * ~group)
    if len(classes) > 2:
        few = [min(((y == name) & side).sum() for side in (group, ~group)) < FEWEST_ROWS for name in classes]
        difference[:, few] = np.nan
    elif weights is None and np.isnan(difference).any():
        warnings.warn("a class has no rows inside or outside the group; its gap is NaN", UserWarning, stacklevel=2)
    with warnings.catch_warnings():
        if len(classes) > 2:
            warnings.simplefilter("ignore", RuntimeWarning)  # all classes may be left out
            squares, sizes = np.nanmean(difference**2, axis=1), np.nanmax(np.abs(difference), axis=1)
        else:
            squares, sizes = (difference**2).mean(axis=1), np.abs(difference).max(axis=1)
    return Gaps(difference, np.sqrt(squares), sizes)


def hypervolume(points: ArrayLike, reference: tuple[float, float]) -> float:
    """Area that points dominate above a reference, both coordinates the larger the better.

    Args:
        points: shape (points, 2).
        reference: a point that is worse in both; points that are not better than it count nothing.
    """
    kept = [(x, y) for x, y in np.asarray(points, dtype=float) if x > reference[0] and y > reference[1]]
    area, height = 0.0, reference[1]
    for x, y in sorted(kept, reverse=True):
        if y > height:
            area += (x - reference[0]) * (y - height)
            height = y
    return area
