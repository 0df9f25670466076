"""Doubly robust curves by kernel regression of pseudo-outcomes (Kennedy, Ma, McHugh and Small 2017).

Equation numbers are those of Kennedy et al., "Non-parametric methods for doubly robust estimation
of continuous treatment effects", JRSS B 79, 2017.
"""

__all__ = ["DoublyRobustCurve", "dr_pseudo_outcomes"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .kernel import local_linear, select_bandwidth

Array = NDArray[np.float64]


def dr_pseudo_outcomes(
    y: Array, mu: Array, density: Array, marginal: Array, plug_in: Array, *, clip: tuple[float, float] = (0.01, 100.0)
) -> tuple[Array, int]:
    """Doubly robust pseudo-outcomes (Kennedy et al. 2017): (y - mu) m / pi + psi, and how many ratios were clipped.

    Regressed on the dose they give the dose-response curve if either mu or pi is right.

    Args:
        y: outcomes, shape (rows,).
        mu: mu(t_i, x_i).
        density: pi(t_i | x_i), which integrates to 1 over the dose.
        marginal: m(t_i), the mean of pi(t_i | x_j) over j.
        plug_in: the mean of mu(t_i, x_j) over j.
        clip: bounds of m / pi.
    """
    ratio = marginal / np.maximum(density, np.finfo(float).tiny)
    clipped = int(((ratio < clip[0]) | (ratio > clip[1])).sum())
    return (y - mu) * np.clip(ratio, *clip) + plug_in, clipped


@dataclass(frozen=True)
class DoublyRobustCurve:
    """A curve on the scaled dose with what its influence function needs.

    Attributes:
        t: doses of the rows in [0, 1], shape (rows,).
        pseudo_outcomes: shape (rows,).
        weights: of the rows.
        bandwidth: of the Gaussian kernel.
        clipped: how many density ratios were clipped.
        grid: doses of the two below, evenly spaced over [0, 1].
        deviations: mu(t, x_i) - mean_j mu(t, x_j) on the grid, shape (rows, doses).
        marginal: density of the dose on the grid, shape (doses,).
    """

    t: Array
    pseudo_outcomes: Array
    weights: Array
    bandwidth: float
    clipped: int
    grid: Array
    deviations: Array
    marginal: Array

    @classmethod
    def fitted(
        cls,
        t: Array,
        y: Array,
        weights: Array,
        mu: Array,
        density: Array,
        grid: Array,
        mu_on_grid: Array,
        density_on_grid: Array,
    ) -> "DoublyRobustCurve":
        """From an outcome model and a density, whichever they are.

        Args:
            t, y, weights: the rows, shape (rows,).
            mu: mu(t_i, x_i), shape (rows,).
            density: pi(t_i | x_i), shape (rows,).
            grid: evenly spaced doses over [0, 1], shape (doses,).
            mu_on_grid, density_on_grid: mu(t, x_i) and pi(t | x_i), shape (rows, doses).
        """
        mean_mu = np.average(mu_on_grid, axis=0, weights=weights)
        marginal = np.average(density_on_grid, axis=0, weights=weights)
        pseudo, clipped = dr_pseudo_outcomes(y, mu, density, np.interp(t, grid, marginal), np.interp(t, grid, mean_mu))
        bandwidth = select_bandwidth(t, pseudo, weights)
        return cls(t, pseudo, weights, bandwidth, clipped, grid, mu_on_grid - mean_mu, marginal)

    def __call__(self, at: Array) -> Array:
        """The curve at doses in [0, 1]: (doses,)."""
        return local_linear(self.t, self.pseudo_outcomes, at, self.bandwidth, self.weights)

    def standard_errors(self, at: Array) -> Array:
        """Standard error of the curve at doses in [0, 1], by its influence function (theorem 3): (doses,).

        The bias of the kernel regression is not in it.
        """
        share = self.weights / self.weights.sum()
        step = self.grid[1] - self.grid[0]
        trapezoid = np.full(len(self.grid), step)
        trapezoid[[0, -1]] = step / 2
        errors = []
        for dose in at:
            kernel, design = self._local(self.t, dose)
            gram = (design * (share * kernel)[:, None]).T @ design
            beta = np.linalg.lstsq(gram, (design * (share * kernel * self.pseudo_outcomes)[:, None]).sum(0))[0]
            score = design * (kernel * (self.pseudo_outcomes - design @ beta))[:, None]
            grid_kernel, grid_design = self._local(self.grid, dose)
            score += self.deviations @ (grid_design * (grid_kernel * self.marginal * trapezoid)[:, None])
            influence = np.linalg.lstsq(gram, score.T)[0][0]
            errors.append(np.sqrt((share**2 * influence**2).sum()))
        return np.array(errors)

    def band(self, at: Array, level: float) -> tuple[Array, Array]:
        """Pointwise normal band: lower and upper bounds, each (doses,)."""
        curve = self(at)
        half = stats.norm.ppf((1 + level) / 2) * self.standard_errors(at)
        return curve - half, curve + half

    def _local(self, t: Array, dose: float) -> tuple[Array, Array]:
        """Kernel weights and the local line's design (1, (t - dose) / h)."""
        offset = (t - dose) / self.bandwidth
        return np.exp(-0.5 * offset**2) / self.bandwidth, np.column_stack([np.ones_like(offset), offset])
