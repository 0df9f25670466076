"""Conditional densities of the dose given the covariates (generalised propensity scores)."""

__all__ = ["GaussianDensity", "GridDensity"]

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .basis import hat_functions

Array = NDArray[np.float64]

_EPOCHS = 1000
_PATIENCE = 50


@dataclass(frozen=True)
class GridDensity:
    """Density of the scaled dose as a softmax over nodes 0, 1/B, ..., 1, linear between them.

    The form of VCNet's density head with a network of its own, trained to the end: Adam, stopped
    by the likelihood of a held-out fifth of the rows. VCNet's own head shares its trunk and rate
    with the outcome, and with the paper's settings stays close to a uniform density.
    """

    network: nn.Module
    intervals: int

    @classmethod
    def fitted(cls, x: Array, t: Array, weights: Array, *, seed: int, intervals: int = 10) -> "GridDensity":
        """Fit to covariates (rows, p) of order 1 and doses in [0, 1] (rows,)."""
        generator = torch.Generator().manual_seed(seed)
        last = nn.Linear(50, intervals + 1)
        network = nn.Sequential(nn.Linear(x.shape[1], 50), nn.ReLU(), nn.Linear(50, 50), nn.ReLU(), last)
        for layer in network:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, generator=generator)
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(last.weight)  # starts as the uniform density, which randomised doses keep
        rows = torch.as_tensor(x, dtype=torch.float32)
        hats = torch.as_tensor(hat_functions(t, intervals), dtype=torch.float32)
        share = torch.as_tensor(weights, dtype=torch.float32)
        order = torch.randperm(len(rows), generator=generator)
        held_out, kept = order[: len(rows) // 5], order[len(rows) // 5 :]
        if len(held_out) == 0:
            held_out = kept

        def loss(index: Tensor) -> Tensor:
            nodes = _normalised(network(rows[index]))
            return -(share[index] * torch.log((nodes * hats[index]).sum(1) + 1e-6)).sum() / share[index].sum()

        optimiser = torch.optim.Adam(network.parameters(), lr=3e-3, weight_decay=1e-4)
        best, best_epoch = float("inf"), 0
        state = {name: value.clone() for name, value in network.state_dict().items()}
        for epoch in range(_EPOCHS):
            with torch.no_grad():
                current = loss(held_out).item()
            if current < best:
                best, best_epoch = current, epoch
                state = {name: value.clone() for name, value in network.state_dict().items()}
            elif epoch - best_epoch >= _PATIENCE:
                break
            optimiser.zero_grad()
            torch.autograd.backward(loss(kept))
            optimiser.step()
        network.load_state_dict(state)
        return cls(network.requires_grad_(False), intervals)

    def nodes(self, x: Array) -> Array:
        """Density of each row at the nodes: (rows, B + 1)."""
        found: Array = _normalised(self.network(torch.as_tensor(x, dtype=torch.float32))).double().numpy()
        return found

    def __call__(self, x: Array, t: Array) -> Array:
        """Density of each row at its own dose: (rows,)."""
        return (self.nodes(x) * hat_functions(t, self.intervals)).sum(1)

    def on_grid(self, x: Array, t: Array) -> Array:
        """Density of each row at every dose: (rows, doses)."""
        return self.nodes(x) @ hat_functions(t, self.intervals).T


def _normalised(logits: Tensor) -> Tensor:
    """Nodes of a density that integrates to 1 over [0, 1] by the trapezoid rule, exact here."""
    nodes = torch.softmax(logits, dim=1)
    integral = (nodes.sum(1, keepdim=True) - 0.5 * (nodes[:, :1] + nodes[:, -1:])) / (nodes.shape[1] - 1)
    return nodes / integral


@dataclass(frozen=True)
class GaussianDensity:
    """T given X is normal around a linear mean with one variance, by least squares (Hirano and Imbens 2004)."""

    coefficients: Array
    variance: float

    @classmethod
    def fitted(cls, x: Array, t: Array, weights: Array) -> "GaussianDensity":
        """Fit to covariates (rows, p) and doses (rows,)."""
        design = _with_intercept(x)
        root = np.sqrt(weights)
        coefficients = np.asarray(np.linalg.lstsq(design * root[:, None], t * root, rcond=None)[0], dtype=float)
        variance = float(np.average((t - design @ coefficients) ** 2, weights=weights))
        # A dose that the covariates determine has no density; the floor keeps it finite.
        return cls(coefficients, max(variance, 1e-8))

    def __call__(self, x: Array, t: Array) -> Array:
        """Density of each row at its own dose: (rows,)."""
        return self._normal(t - _with_intercept(x) @ self.coefficients)

    def on_grid(self, x: Array, t: Array) -> Array:
        """Density of each row at every dose: (rows, doses)."""
        return self._normal(t[None] - (_with_intercept(x) @ self.coefficients)[:, None])

    def _normal(self, residual: Array) -> Array:
        return np.exp(-0.5 * residual**2 / self.variance) / np.sqrt(2 * np.pi * self.variance)


def _with_intercept(x: Array) -> Array:
    return np.column_stack([np.ones(len(x)), x])
