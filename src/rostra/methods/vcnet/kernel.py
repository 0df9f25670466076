"""Local-linear regression on the dose, with its bandwidth chosen by leave-one-out cross-validation."""

__all__ = ["effective_sample_size", "local_linear", "select_bandwidth"]

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LARGEST_CROSS_VALIDATION = 2000
"""Rows at which the leave-one-out error is measured; more would cost rows^2 and change little."""
_CHUNK_NUMBERS = 5_000_000
"""Kernel weights that are held at a time."""


def _kernel_weights(t: Array, at: Array, bandwidth: float, weights: Array) -> tuple[Array, Array]:
    """Gaussian kernel weights (doses, rows) and centred doses."""
    offset = t[None] - at[:, None]
    return np.exp(-0.5 * (offset / bandwidth) ** 2) * weights, offset


def local_linear(t: Array, y: Array, at: Array, bandwidth: float, weights: Array | None = None) -> Array:
    """Local-linear fit of y on t with a Gaussian kernel.

    Args:
        t, y: rows, shape (rows,).
        at: doses at which the curve is wanted, shape (doses,).
        bandwidth: standard deviation of the kernel, in units of t.
        weights: of the rows; None weighs all alike.

    Returns:
        Shape (doses,).
    """
    share = np.ones_like(t) if weights is None else weights
    fits = [_intercepts(*_kernel_weights(t, part, bandwidth, share), y) for part in _parts(at, len(t))]
    return np.concatenate(fits)


def _parts(at: Array, rows: int) -> list[Array]:
    """The doses in pieces, so that memory stays flat whatever the number of rows."""
    return np.array_split(at, max(1, -(-len(at) * rows // _CHUNK_NUMBERS)))


def _intercepts(kernel: Array, offset: Array, y: Array) -> Array:
    """Weighted least squares of y on (1, offset), one line a dose: the intercepts."""
    s0, s1, s2 = kernel.sum(1), (kernel * offset).sum(1), (kernel * offset**2).sum(1)
    r0, r1 = kernel @ y, (kernel * offset) @ y
    determinant = s0 * s2 - s1**2
    # Where all weight falls on one dose the line has no slope: the weighted mean.
    flat = determinant <= 1e-12 * s0 * s2
    safe = np.where(flat, 1.0, determinant)
    return np.where(flat, r0 / np.maximum(s0, np.finfo(float).tiny), (s2 * r0 - s1 * r1) / safe)


def select_bandwidth(t: Array, y: Array, weights: Array | None = None, *, seed: int = 0) -> float:
    """Bandwidth with the least leave-one-out error, out of 20 between 0.01 and 0.5 of the range of t."""
    share = np.ones_like(t) if weights is None else weights
    chosen = np.arange(len(t))
    most = min(_LARGEST_CROSS_VALIDATION, max(100, 4 * _CHUNK_NUMBERS // len(t)))
    if len(t) > most:
        chosen = np.random.default_rng(seed).choice(len(t), most, replace=False)
    candidates = np.ptp(t) * np.geomspace(0.01, 0.5, 20)
    errors = []
    for bandwidth in candidates:
        kernel, offset = _kernel_weights(t, t[chosen], bandwidth, share)
        kernel[np.arange(len(chosen)), chosen] = 0.0
        # A row with no neighbour inside the kernel cannot be predicted: this bandwidth is too small.
        lonely = kernel.sum(1) < 1e-8
        residual = y[chosen] - _intercepts(kernel, offset, y)
        error = np.average(residual**2, weights=share[chosen])
        errors.append(np.inf if lonely.any() else error)
    return float(candidates[int(np.argmin(errors))]) if np.isfinite(errors).any() else float(candidates[-1])


def effective_sample_size(t: Array, at: Array, weights: Array | None = None) -> Array:
    """Rows that speak for each dose: (sum w)^2 / sum w^2 of Gaussian kernel weights, Silverman's bandwidth.

    Args:
        t: doses of the rows, shape (rows,).
        at: doses asked about, shape (doses,).
        weights: of the rows.
    """
    share = np.ones_like(t) if weights is None else weights
    spread = min(np.std(t), np.subtract(*np.percentile(t, [75, 25])) / 1.349 or np.std(t))
    sizes = []
    for part in _parts(at, len(t)):
        kernel, _ = _kernel_weights(t, part, 0.9 * spread * len(t) ** -0.2, share)
        squares = (kernel**2).sum(1)
        sizes.append(kernel.sum(1) ** 2 / np.maximum(squares, np.finfo(float).tiny))
    return np.concatenate(sizes)
