"""Bases of the dose t in [0, 1]: splines for VCNet, bins for DRNet and TARNet, hats for the density."""

__all__ = ["bin_indicators", "bspline", "hat_functions", "truncated_power"]

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

Array = NDArray[np.float64]


def truncated_power(t: Array, degree: int, knots: Sequence[float]) -> Array:
    """1, t, ..., t^q, (t - k_1)_+^q, ..., (t - k_m)_+^q (paper, section 3.1).

    Args:
        t: doses in [0, 1], shape (...).
        degree: q, at least 1.
        knots: inner knots k_1 < ... < k_m, strictly inside (0, 1).

    Returns:
        Shape (..., q + 1 + m).
    """
    powers = t[..., None] ** np.arange(degree + 1)
    hinges = np.maximum(t[..., None] - np.asarray(knots, dtype=float), 0.0) ** degree
    return np.concatenate([powers, hinges], axis=-1)


def bspline(t: Array, degree: int, knots: Sequence[float]) -> Array:
    """B-splines that span what :func:`truncated_power` spans, better conditioned. Same arguments and shape."""
    ends = np.repeat([0.0, 1.0], degree + 1)
    all_knots = np.insert(ends, degree + 1, np.asarray(knots, dtype=float))
    design = BSpline.design_matrix(t.ravel(), all_knots, degree).toarray()
    return design.reshape(*t.shape, -1)


def hat_functions(t: Array, intervals: int) -> Array:
    """Weights of linear interpolation between the nodes 0, 1/B, ..., 1; shape (..., B + 1).

    With node values s, ``hat_functions(t, B) @ s`` is s_l + (s_u - s_l) w of the paper's density
    estimator (section 3.1), for t = 0 and t = 1 too.
    """
    return np.maximum(1.0 - np.abs(t[..., None] * intervals - np.arange(intervals + 1)), 0.0)


def bin_indicators(t: Array, edges: Sequence[float]) -> Array:
    """1 for the bin that holds t, else 0: [0, e_1), [e_1, e_2), ..., [e_m, 1]; shape (..., m + 1)."""
    head = np.searchsorted(np.asarray(edges, dtype=float), t, side="right")
    return np.eye(len(edges) + 1)[head]
