"""Scales of columns."""

__all__ = ["deviation"]

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def deviation(values: Array, mean: Array, weights: Array | None = None) -> Array:
    """Weighted standard deviation of each column; 1 for a column that is constant up to rounding."""
    deviation = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))
    return np.where(deviation <= 1e-12 * np.maximum(np.abs(mean), 1e-300), 1.0, deviation)
