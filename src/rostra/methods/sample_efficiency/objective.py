"""The mathematics: labels, the gradients of two-layer nets, and the exact laws. Equations of the paper where named.

D is always the whole input dimension (the paper writes d in its introduction and 2d in its theorems). Labels are
-1 and +1, with sign(0) = +1.
"""

__all__ = [
    "activation_gradient",
    "quadratic_gradient",
    "quadratic_matrix",
    "logistic_loss",
    "logistic_slope",
    "onehot_law",
    "orthogonal_pairs_law",
    "quadratic_form",
    "regression_law",
    "sign",
    "traceless_dimension",
]

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


def sign(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """-1 or +1; sign(0) = +1."""
    return np.where(values >= 0, 1, -1)


def logistic_loss(outputs: Tensor, y: Tensor) -> Tensor:
    """log(1 + exp(-y f)) of outputs f and labels y = -1 or +1, elementwise."""
    return torch.nn.functional.softplus(-y * outputs)


def logistic_slope(outputs: Tensor, y: Tensor) -> Tensor:
    """Derivative of :func:`logistic_loss` by the outputs."""
    against = -y
    return against * torch.sigmoid(against * outputs)


def quadratic_form(x: Tensor, matrix: Tensor) -> Tensor:
    """x_i^T M x_i of every row: (..., n, D), (..., D, k D) for k matrices side by side -> (..., n, k)."""
    products = x @ matrix
    return torch.einsum("...nkd,...nd->...nk", products.view(*products.shape[:-1], -1, x.shape[-1]), x)


def quadratic_matrix(weight: Tensor, output_weight: Tensor) -> Tensor:
    """The symmetric matrix of a two-layer net with the activation z^2 and no bias: f(x) = x^T M x, M = W^T diag(a) W.

    Args:
        weight: W, shape (..., m, D).
        output_weight: a, shape (..., m).

    Returns:
        M, shape (..., D, D).
    """
    return (weight * output_weight[..., None]).mT @ weight


def quadratic_gradient(moments: Tensor, weight: Tensor, output_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of a two-layer quadratic net's loss by W and a, without ever forming its activations.

    With delta_i the slope of the loss at row i and G = X^T diag(delta) X, the gradients are 2 diag(a) W G and the
    diagonal of W G W^T.

    Args:
        moments: G, shape (..., D, D).
        weight, output_weight: as in :func:`quadratic_matrix`.

    Returns:
        Gradients of the shapes (..., m, D) and (..., m).
    """
    turned = weight @ moments
    return 2 * output_weight[..., None] * turned, (turned * weight).sum(-1)


def activation_gradient(
    moments: Tensor, weight: Tensor, output_weight: Tensor, *, degree: int
) -> tuple[Tensor, Tensor]:
    """Gradients of a two-layer net's loss by W and a, without bias, for an activation s that is homogeneous.

    With delta_i the slope of the loss at row i and P_j = sum_i delta_i s'(W_j x_i) x_i, they are diag(a) P and, since
    z s'(z) = degree * s(z), the row sums of W * P over the degree.

    Args:
        moments: P, shape (..., m, D).
        weight, output_weight: W and a, shapes (..., m, D) and (..., m).
        degree: 1 for ReLU, 2 for the square.

    Returns:
        Gradients of the shapes (..., m, D) and (..., m).
    """
    return output_weight[..., None] * moments, (moments * weight).sum(-1) / degree


# ------------------------------------------------------- exact laws


def traceless_dimension(dimension: int) -> int:
    """Dimension of the symmetric D x D matrices of trace 0: (D - 1)(D + 2) / 2."""
    return (dimension - 1) * (dimension + 2) // 2


def regression_law(n: int, dimension: int) -> float:
    """Expected relative error of the min-norm traceless quadratic interpolant of n rows x ~ N(0, I).

    For every target y = x^T A x of trace 0: the interpolant is A's projection on the span of n random directions, and
    the law of x looks the same from all sides, so that 1 - n / p of A is lost on average. No orthogonally
    equivariant algorithm does better for all A.
    """
    return max(0.0, 1.0 - n / traceless_dimension(dimension))


def orthogonal_pairs_law(n: int, points: int) -> float:
    """Expected error of an orthogonally equivariant learner that fits the points it saw: half of those it did not.

    Drawn from `points` points with replacement; theorem 4.1's construction makes the labels of the others fair coins.
    """
    return 0.5 * (1 - 1 / points) ** n


def onehot_law(n: int, dimension: int) -> float:
    """Expected error on x = y e_i of an odd learner that fits what it saw and tosses a coin on unseen axes."""
    return 0.5 * (1 - 1 / dimension) ** n
