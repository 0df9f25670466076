"""The mathematics of VCNet and functional targeted regularization (Nie et al., ICLR 2021).

Shapes: ``copies`` independent fits, ``rows`` units each. Row weights sum to 1 over the rows of a
copy, so a weighted sum is a mean.
"""

__all__ = [
    "EPSILON_FLOOR",
    "density_nll",
    "fluctuation",
    "interpolate_density",
    "node_integral",
    "squared_error",
    "targeted_coefficients",
    "targeted_gradient",
    "targeted_loss",
]

import torch
from torch import Tensor

EPSILON_FLOOR = 1e-6
"""Added to the density before it is a divisor or goes into a logarithm (authors' code)."""


def interpolate_density(nodes: Tensor, hats: Tensor) -> Tensor:
    """g(t | x): linear interpolation of the density nodes at each row's dose (section 3.1).

    g is not a density: its nodes sum to 1. Divide by :func:`node_integral` for one that integrates
    to 1.

    Args:
        nodes: shape (copies, rows, B + 1).
        hats: interpolation weights at the doses, shape (copies, rows, B + 1).

    Returns:
        Shape (copies, rows).
    """
    return (nodes * hats).sum(2)


def node_integral(nodes: Tensor) -> Tensor:
    """Integral of the interpolated nodes over [0, 1] (trapezoid rule, exact here): (copies, rows)."""
    intervals = nodes.shape[2] - 1
    return (nodes.sum(2) - 0.5 * (nodes[..., 0] + nodes[..., -1])) / intervals


def squared_error(y: Tensor, mu: Tensor, weights: Tensor) -> Tensor:
    """Mean of (y - mu)^2, the first term of equation 4: (copies,)."""
    return (weights * (y - mu).square()).sum(1)


def density_nll(g: Tensor, weights: Tensor) -> Tensor:
    """Mean of -log g(t | x), the second term of equation 4: (copies,)."""
    return -(weights * torch.log(g + EPSILON_FLOOR)).sum(1)


def fluctuation(spline: Tensor, coefficients: Tensor) -> Tensor:
    """epsilon(t) = a' phi(t), the perturbation of section 3.2.

    Args:
        spline: basis of epsilon at the doses, shape (copies, rows, K).
        coefficients: a, shape (copies, K).

    Returns:
        Shape (copies, rows).
    """
    return torch.bmm(spline, coefficients.unsqueeze(2)).squeeze(2)


def targeted_loss(y: Tensor, mu: Tensor, g: Tensor, epsilon: Tensor, weights: Tensor) -> Tensor:
    """Mean of (y - mu - epsilon(t) / g(t | x))^2, equation 6, without its factor beta: (copies,)."""
    return squared_error(y, mu + epsilon / (g + EPSILON_FLOOR), weights)


def targeted_gradient(
    y: Tensor, mu: Tensor, g: Tensor, spline: Tensor, coefficients: Tensor, weights: Tensor
) -> Tensor:
    """Gradient of :func:`targeted_loss` in the coefficients a: (copies, K)."""
    inverse = 1.0 / (g + EPSILON_FLOOR)
    residual = y - mu - fluctuation(spline, coefficients) * inverse
    return torch.bmm((-2.0 * weights * residual * inverse).unsqueeze(1), spline).squeeze(1)


def targeted_coefficients(y: Tensor, mu: Tensor, g: Tensor, spline: Tensor, weights: Tensor, penalty: float) -> Tensor:
    """The a that minimises ``targeted_loss + penalty / 2 * |a|^2``: (copies, K), in float64.

    The loss is a quadratic in a. At its minimum without penalty the targeted moment equations
    hold: the mean of phi_k(t) (y - mu - epsilon / g) / g is 0 for every k. A copy whose outcome or
    density is not finite gets NaN, and does not disturb the others.
    """
    scaled = (spline / (g + EPSILON_FLOOR).unsqueeze(2)).double()
    weighted = scaled * weights.unsqueeze(2)
    identity = torch.eye(spline.shape[2], dtype=torch.float64, device=spline.device)
    gram = 2.0 * torch.bmm(weighted.transpose(1, 2), scaled) + penalty * identity
    moment = 2.0 * torch.bmm(weighted.transpose(1, 2), (y - mu).double().unsqueeze(2))
    finite = torch.isfinite(gram).flatten(1).all(1) & torch.isfinite(moment).flatten(1).all(1)
    gram = torch.where(finite[:, None, None], gram, identity)
    moment = torch.where(finite[:, None, None], moment, 0.0)
    driver = "gelsd" if gram.device.type == "cpu" else None
    solution = torch.linalg.lstsq(gram, moment, driver=driver).solution.squeeze(2)
    return torch.where(finite[:, None], solution, torch.nan)
