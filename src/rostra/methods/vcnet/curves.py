"""Curves of fitted networks: the estimators of the average dose-response function, for many fits at once."""

__all__ = [
    "dose_response",
    "epsilon",
    "jumps",
    "outcomes",
    "unit_curves",
]

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import objective
from .basis import hat_functions
from .training import FittedNetworks

Array = NDArray[np.float64]

_CHUNK_NUMBERS = 2_000_000
"""Numbers that one chunk of a layer's output may hold; keeps it in the cache and memory flat."""


def _tensor(values: Array, like: Tensor) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(values), dtype=like.dtype, device=like.device)


def _chunks(fitted: FittedNetworks, x: Array, doses: int) -> Iterator[tuple[slice, Tensor]]:
    """(rows, features) for pieces of the rows; x has shape (copies or 1, rows, p)."""
    copies = len(fitted.restarts)
    widest = max(fitted.config.head, default=1)
    size = max(1, _CHUNK_NUMBERS // (copies * doses * widest))
    for start in range(0, x.shape[1], size):
        rows = slice(start, start + size)
        part = _tensor(x[:, rows], fitted.coefficients)
        yield rows, fitted.network.features(part.expand(copies, -1, -1))


def _each(fitted: FittedNetworks, x: Array) -> Iterator[tuple[int, FittedNetworks, Array]]:
    """(number, fit, its covariates) one copy at a time: many copies at every dose would outgrow the cache."""
    for copy in range(len(fitted.restarts)):
        own = copy if len(x) > 1 else 0
        yield copy, fitted.select(copy), x[own : own + 1]


@torch.no_grad()
def dose_response(fitted: FittedNetworks, t: Array, x: Array, weights: Array | None = None, *, targeted: bool) -> Array:
    """psi(t), averaged over a sample's covariates.

    Plug-in: the mean of mu(t, x). Targeted: the mean of mu(t, x) + epsilon(t) / g(t | x)
    (paper, equation 7).

    Args:
        fitted: trained networks.
        t: doses in [0, 1], shape (doses,).
        x: covariates, shape (copies or 1, rows, p).
        weights: of the rows, shape (copies or 1, rows); None weighs all alike.
        targeted: which of the two.

    Returns:
        Shape (copies, doses).
    """
    share = np.ones((1, x.shape[1])) if weights is None else weights
    share = np.repeat(share / share.sum(axis=1, keepdims=True), len(fitted.restarts) // len(share), axis=0)
    phi = _tensor(fitted.config.dose_basis(t), fitted.coefficients)
    doses = _tensor(t, fitted.coefficients)
    hats = _tensor(hat_functions(t, fitted.config.n_grid), fitted.coefficients)
    total = torch.zeros(len(fitted.restarts), len(t), dtype=torch.float64, device=doses.device)
    for copy, one, own_x in _each(fitted, x):
        layers = one.network.head_at(phi, doses)
        inverse = torch.zeros_like(total[copy])
        for rows, z in _chunks(one, own_x, len(t)):
            w = _tensor(share[copy, rows], doses)
            total[copy] += (one.network.outcome_curves(z, layers)[0] * w).sum(1)
            if targeted:
                g = one.network.density_nodes(z)[0] @ hats.T  # (rows, doses)
                inverse += (w[:, None] / (g + objective.EPSILON_FLOOR)).sum(0)
        if targeted:
            total[copy] += _epsilon(one, t)[0].double() * inverse
    return total.cpu().numpy()


def _epsilon(fitted: FittedNetworks, t: Array) -> Tensor:
    return fitted.coefficients @ _tensor(fitted.config.epsilon_basis(t), fitted.coefficients).T


def epsilon(fitted: FittedNetworks, t: Array) -> Array:
    """epsilon(t) of each fit at doses t in [0, 1]: (copies, doses)."""
    return _epsilon(fitted, t).double().cpu().numpy()


@torch.no_grad()
def unit_curves(fitted: FittedNetworks, t: Array, x: Array) -> Array:
    """mu(t, x) of every row at every dose: (copies, doses, rows). Same arguments as :func:`dose_response`."""
    phi = _tensor(fitted.config.dose_basis(t), fitted.coefficients)
    doses = _tensor(t, fitted.coefficients)
    found = np.empty((len(fitted.restarts), len(t), x.shape[1]))
    for copy, one, own_x in _each(fitted, x):
        layers = one.network.head_at(phi, doses)
        for rows, z in _chunks(one, own_x, len(t)):
            found[copy, :, rows] = one.network.outcome_curves(z, layers)[0].double().cpu().numpy()
    return found


def jumps(fitted: FittedNetworks, t: Array, x: Array) -> Array:
    """|psi(t) - psi(t - 1e-9)| of the plug-in curve, worked out in float64: (copies, doses)."""
    exact = fitted.double()
    right = dose_response(exact, t, x, targeted=False)
    left = dose_response(exact, t - 1e-9, x, targeted=False)
    return np.abs(right - left)


@torch.no_grad()
def outcomes(fitted: FittedNetworks, t: Array, x: Array) -> Array:
    """mu(t, x) of each row at its own dose in [0, 1]; t has shape (copies or 1, rows); returns (copies, rows).

    Worked out in float64, so that a row's value does not depend on the rows beside it.
    """
    fitted, copies = fitted.double(), len(fitted.restarts)
    phi = fitted.config.dose_basis(t)
    parts = []
    for rows, z in _chunks(fitted, x, phi.shape[2]):
        basis = _tensor(phi[:, rows], z).expand(copies, -1, -1)
        doses = _tensor(t[:, rows, None], z).expand(copies, -1, -1)
        parts.append(fitted.network.outcome(z, basis, doses).double().cpu().numpy())
    return np.concatenate(parts, axis=1)
