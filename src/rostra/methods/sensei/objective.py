"""The mathematics of SenSeI (Yurochkin, Sun, ICLR 2021) and SenSR (Yurochkin, Bower, Sun, ICLR 2020).

Shapes: ``copies`` independent networks, ``rows`` people each, ``K`` classes; d_X is a fair distance between inputs
(:mod:`.metrics`), d_Y the distance between outputs.
"""

__all__ = [
    "LAMBDA_FLOOR",
    "cross_entropy",
    "LogitGradient",
    "gradient_update",
    "invariance_gradient",
    "loss_gradient",
    "output_distance",
    "ratio_update",
]

from collections.abc import Callable

import torch
from torch import Tensor, nn

LAMBDA_FLOOR = 1e-5
"""Least value of the dual variable under the ratio rule (released code)."""


def output_distance(logits: Tensor, other: Tensor, reduction: str = "sum") -> Tensor:
    """d_Y, the squared Euclidean distance of logits: (..., K) -> (...).

    Args:
        logits, other: outputs of two people, shape (..., K).
        reduction: over classes: "sum" (inFairness) or "mean" (the paper's trainer); rho of the one is rho / K
            of the other.
    """
    squares = (logits - other).square()
    return squares.mean(-1) if reduction == "mean" else squares.sum(-1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Loss of each row: (copies, rows, K), (copies, rows) -> (copies, rows)."""
    return nn.functional.cross_entropy(logits.movedim(-1, 1), labels, reduction="none")


def ratio_update(dual: Tensor, distance: Tensor, eps: Tensor, largest_ratio: float = 1e3) -> Tensor:
    """The released code's rule: lambda + (max(m, eps) / min(m, eps)) (m - eps), at least 1e-5.

    No learning rate: the ratio scales the step. It need not settle.

    Args:
        dual: lambda, any shape.
        distance: m, the mean of d_X over the minibatch.
        eps: the transport budget, above 0.
        largest_ratio: bound on the ratio; the released code has none, and gives infinity for m = 0.
    """
    ratio = torch.maximum(distance, eps) / torch.minimum(distance, eps).clamp_min(1e-12)
    return (dual + ratio.clamp_max(largest_ratio) * (distance - eps)).clamp_min(LAMBDA_FLOOR)


def gradient_update(dual: Tensor, distance: Tensor, eps: Tensor, learning_rate: float) -> Tensor:
    """Projected gradient descent on the dual, whose gradient is eps - m: max(0, lambda - eta (eps - m)) (paper)."""
    return (dual - learning_rate * (eps - distance)).clamp_min(0.0)


LogitGradient = Callable[[Tensor], Tensor]
"""Gradient of what an auditor raises in the logits: (copies, K, rows) -> (copies, K, rows)."""


def invariance_gradient(logits: Tensor, reduction: str = "sum") -> LogitGradient:
    """Of d_Y to given logits (copies, K, rows): what SenSeI's auditor raises. It is 0 where nothing has moved yet."""
    scale = 2.0 / (logits.shape[1] if reduction == "mean" else 1)
    return lambda other: (other - logits).mul_(scale)


def loss_gradient(labels: Tensor, classes: int) -> LogitGradient:
    """Of the cross-entropy with labels (copies, rows): what SenSR's auditor raises."""
    targets = nn.functional.one_hot(labels, classes).mT

    def gradient(logits: Tensor) -> Tensor:
        return torch.softmax(logits, dim=1).sub_(targets)

    return gradient
