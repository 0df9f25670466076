"""The auditor: the worst case of every row, for many copies of a network at once.

Everything here has rows last, (copies, d, rows): the layout in which narrow layers are fastest. The same for any
``torch.nn.Module`` by automatic differentiation is in :mod:`.modules`.
"""

__all__ = ["Distances", "Sensitivity", "worst_cases", "worst_cases_in_two_stages"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .metrics import FairMetric
from .model import Classifier, InputGradient
from .objective import LogitGradient

BETAS = (0.9, 0.999)
DENOMINATOR = 1e-8


@dataclass(frozen=True)
class Distances:
    """Fair metrics, one a copy, as products: by directions where all metrics have them, else by Sigma.

    Attributes:
        directions: A of each copy with rows last, shape (copies, k, d); missing directions are 0.
        sigma: shape (copies, d, d), or None where the directions serve.
    """

    directions: Tensor
    sigma: Tensor | None

    @classmethod
    def of(cls, metrics: Sequence[FairMetric], like: Tensor) -> "Distances":
        """Of one metric a copy, in the place and precision of another tensor."""
        d = metrics[0].d
        most = max(0 if metric.directions is None else metric.directions.shape[1] for metric in metrics)
        directions = like.new_zeros(len(metrics), most, d)
        for copy, metric in enumerate(metrics):
            if metric.directions is not None:
                directions[copy, : metric.directions.shape[1]] = metric.directions.mT.to(like)
        if all(metric.directions is not None for metric in metrics):
            return cls(directions, None)
        return cls(directions, torch.stack([metric.sigma.to(like) for metric in metrics]))

    def half_gradient(self, difference: Tensor) -> Tensor:
        """Sigma v, half the gradient of d_X in v: (copies, d, rows) -> (copies, d, rows)."""
        if self.sigma is not None:
            return torch.bmm(self.sigma, difference)
        return torch.baddbmm(difference, self.directions.mT, torch.bmm(self.directions, difference), alpha=-1)

    def __call__(self, difference: Tensor) -> Tensor:
        """v^T Sigma v: (copies, d, rows) -> (copies, rows)."""
        return (difference * self.half_gradient(difference)).sum(1).clamp_min(0.0)

    def penalty(self, dual: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """Takes the gradient of lambda d_X in v from a gradient, in place: (gradient, v) -> gradient."""
        price = (-2 * dual)[:, None, None]
        if self.sigma is not None:
            priced = price * self.sigma
            return lambda gradient, difference: gradient.baddbmm_(priced, difference)
        back = (self.directions * -price).mT

        def take(gradient: Tensor, difference: Tensor) -> Tensor:
            return gradient.addcmul_(difference, price).baddbmm_(back, torch.bmm(self.directions, difference))

        return take


class _Adam:
    """Adam that ascends, in place, in one pass over memory; the update is that of ``torch.optim.Adam``.

    Values and gradients must be contiguous: the fused update goes through memory and does not look at strides.
    """

    def __init__(self, values: Tensor, learning_rate: float) -> None:
        self.values = [values]
        self.learning_rate = learning_rate
        self.mean, self.square = [torch.zeros_like(values)], [torch.zeros_like(values)]
        self.steps = [torch.zeros((), device=values.device)]

    def ascend(self, gradient: Tensor) -> None:
        self.steps[0].add_(1)
        torch._fused_adam_(
            self.values,
            [gradient],
            self.mean,
            self.square,
            [],
            self.steps,
            lr=self.learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=0.0,
            eps=DENOMINATOR,
            amsgrad=False,
            maximize=True,
        )


@torch.no_grad()
def worst_cases(
    network: Classifier,
    x: Tensor,
    noise: Tensor,
    dual: Tensor,
    distances: Distances,
    logit_gradient: LogitGradient,
    *,
    steps: int,
    learning_rate: float,
    plain: bool = False,
) -> Tensor:
    """x' that raises an objective of the logits minus lambda d_X(x, x'), by Adam from x + noise (inFairness).

    Without noise SenSeI's auditor never moves: the gradient of d_Y at x' = x is 0.

    Args:
        network: is left as it is.
        x: shape (copies, d, rows).
        noise: the start's difference from x, shape (copies, d, rows).
        dual: lambda, shape (copies,).
        distances: d_X of each copy.
        logit_gradient: of the objective; see :mod:`.objective`.
        steps, learning_rate: of Adam. A coordinate reaches about ``steps * learning_rate`` at most.
        plain: plain gradient ascent instead of Adam.

    Returns:
        Shape (copies, d, rows).
    """
    worst = (x + noise).contiguous()
    adam = _Adam(worst, learning_rate)
    input_gradient, penalty = InputGradient(network), distances.penalty(dual)
    difference = noise.clone()
    for _ in range(steps):
        gradient = penalty(input_gradient(worst, logit_gradient), torch.sub(worst, x, out=difference))
        if plain:
            worst.add_(gradient, alpha=learning_rate)
        else:
            adam.ascend(gradient)
    return worst


Sensitivity = Callable[[Tensor], Tensor]
"""The objective itself: logits (copies, K, rows) -> (copies, rows)."""


@torch.no_grad()
def worst_cases_in_two_stages(
    network: Classifier,
    x: Tensor,
    noise: Tensor,
    dual: Tensor,
    distances: Distances,
    logit_gradient: LogitGradient,
    sensitivity: Sensitivity,
    *,
    subspace_steps: int,
    subspace_lr: float,
    full_steps: int,
    full_lr: float,
) -> Tensor:
    """x' = x + A w + u, first w alone, which is free, then u at the price of lambda d_X (SenSR's released code).

    A stage that lowered a copy's mean objective is undone.

    Args:
        network, x, dual, distances, logit_gradient: as in :func:`worst_cases`.
        noise: start of w, shape (copies, k, rows).
        sensitivity: the objective.
        subspace_steps, subspace_lr: Adam on w.
        full_steps, full_lr: Adam on u.
    """
    axes = distances.directions

    def value(at: Tensor) -> Tensor:
        return sensitivity(network(at.mT).mT).mean(1)

    moved = noise.clone(memory_format=torch.contiguous_format)
    adam = _Adam(moved, subspace_lr)
    input_gradient, penalty = InputGradient(network), distances.penalty(dual)
    for _ in range(subspace_steps):
        adam.ascend(torch.bmm(axes, input_gradient(torch.baddbmm(x, axes.mT, moved), logit_gradient)))
    inside = torch.baddbmm(x, axes.mT, moved)
    inside = torch.where((value(inside) >= value(x))[:, None, None], inside, x)
    worst = inside.clone(memory_format=torch.contiguous_format)
    adam = _Adam(worst, full_lr)

    def penalised(at: Tensor) -> Tensor:
        return value(at) - dual * distances(at - x).mean(1)

    for _ in range(full_steps):
        adam.ascend(penalty(input_gradient(worst, logit_gradient), worst - x))
    return torch.where((penalised(worst) >= penalised(inside))[:, None, None], worst, inside)
