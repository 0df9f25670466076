"""SenSeI and SenSR around any network of yours, with the names of inFairness.

Where your training loop computes ``loss_fn(network(X), Y)``, it calls ``fair(X, Y).loss`` instead.
"""

__all__ = ["FairResponse", "SenSR", "SenSeI", "SquaredEuclideanDistance", "find_worst_cases"]

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rostra.engine.errors import InputError

from .objective import gradient_update, output_distance, ratio_update

Distance = Callable[[Tensor, Tensor], Tensor]
"""Distances of rows: (b, d), (b, d) -> (b, 1) or (b,)."""


@dataclass
class FairResponse:
    """What a fair module returns.

    Attributes:
        loss: the objective, a scalar; None in evaluation mode.
        y_pred: logits of the rows, (b, K).
    """

    loss: Tensor | None = None
    y_pred: Tensor | None = None


class SquaredEuclideanDistance(nn.Module):
    """d_Y, the squared Euclidean distance, summed over the classes."""

    def forward(self, x1: Tensor, x2: Tensor, itemwise_dist: bool = True) -> Tensor:
        """Item by item, (b, K), (b, K) -> (b, 1), or all pairs, (b1, K), (b2, K) -> (b1, b2)."""
        if itemwise_dist:
            return output_distance(x1, x2).unsqueeze(-1)
        return output_distance(x1.unsqueeze(-2), x2.unsqueeze(-3))


@contextmanager
def _still(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode: no dropout, and batch statistics are neither used nor moved."""
    training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in training.items():
            module.training = mode


def _same_draws(network: nn.Module, x: Tensor, state: "_RandomState") -> Tensor:
    """The network on other rows with the draws of its last pass, and without a mark on its batch statistics.

    With masks of its own, the second pass of a network with dropout would differ from the first by more than the rows.
    """
    tracked = [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats
    ]
    after = _RandomState(x.is_cuda)
    state.restore()
    for module in tracked:
        module.track_running_stats = False
    try:
        found: Tensor = network(x)
    finally:
        for module in tracked:
            module.track_running_stats = True
        after.restore()
    return found


class _RandomState:
    """The state of torch's generators."""

    def __init__(self, cuda: bool) -> None:
        self.cpu = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state_all() if cuda else []

    def restore(self) -> None:
        """Go back to it."""
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)


def find_worst_cases(
    network: nn.Module,
    x: Tensor,
    objective: Callable[[Tensor], Tensor],
    distance_x: Distance,
    dual: Tensor | float,
    *,
    steps: int,
    lr: float,
    noise: float = 0.1,
    optimizer: type[torch.optim.Optimizer] = torch.optim.Adam,
    generator: torch.Generator | None = None,
) -> Tensor:
    """x' that raises objective(network(x')) - lambda d_X(x, x'), from x plus uniform noise.

    Parameters of the network, their gradients and flags, and its batch statistics stay as they are.

    Args:
        network: (b, ...) -> (b, K).
        x: rows.
        objective: of the logits, (b, K) -> (b,) or (b, 1).
        distance_x: d_X.
        dual: lambda.
        steps, lr, optimizer: of the ascent.
        noise: half the width of the start's noise. At x' = x the gradient of an output distance is 0.
        generator: of the noise.

    Returns:
        Rows like x, without a graph.
    """
    start = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    delta = ((2 * start - 1) * noise).requires_grad_(True)
    ascent = optimizer([delta], lr=lr)  # type: ignore[call-arg]
    with _still(network), torch.enable_grad():
        for _ in range(steps):
            worst = x + delta
            gain = objective(network(worst)).flatten() - dual * distance_x(x, worst).flatten()
            (delta.grad,) = torch.autograd.grad(-gain.sum(), [delta])
            ascent.step()
    return (x + delta).detach()


class SenSeI(nn.Module):
    """Sensitive set invariance around a network (inFairness's class of this name, and its defaults).

    Args:
        network: (b, ...) -> logits (b, K).
        distance_x: fair distance of inputs, such as a :class:`FairMetric`.
        distance_y: distance of outputs, such as :class:`SquaredEuclideanDistance`.
        loss_fn: as ``torch.nn.functional.cross_entropy``.
        rho: weight of the regulariser, at least 0.
        eps: transport budget, above 0.
        auditor_nsteps, auditor_lr: Adam of the auditor.
        dual_update: "ratio" (inFairness) or "sgd", projected gradient descent with ``dual_lr``.
        dual_lr: learning rate of "sgd".

    Attributes:
        lamb: lambda; 1 before the first minibatch.
        distance: mean d_X of the last minibatch's worst cases.
    """

    lamb: Tensor

    def __init__(
        self,
        network: nn.Module,
        distance_x: Distance,
        distance_y: Distance,
        loss_fn: Callable[..., Tensor],
        rho: float,
        eps: float,
        auditor_nsteps: int,
        auditor_lr: float,
        *,
        dual_update: str = "ratio",
        dual_lr: float = 1.0,
    ) -> None:
        super().__init__()
        if not rho >= 0 or not float(eps) > 0:
            raise InputError(f"rho must be at least 0 and eps above 0, got {rho} and {eps}")
        if dual_update not in ("ratio", "sgd"):
            raise InputError(f"dual_update must be 'ratio' or 'sgd', got {dual_update!r}")
        self.network = network
        self.distance_x = distance_x
        self.distance_y = distance_y
        self.loss_fn = loss_fn
        self.rho = rho
        self.eps = eps
        self.auditor_nsteps = auditor_nsteps
        self.auditor_lr = auditor_lr
        self.dual_update = dual_update
        self.dual_lr = dual_lr
        self.distance = torch.tensor(0.0)
        self.register_buffer("lamb", torch.tensor(1.0))

    def forward(self, X: Tensor, Y: Tensor | None = None) -> FairResponse:
        """In training mode the objective and the logits; in evaluation mode the logits alone."""
        state = _RandomState(X.is_cuda)
        logits = self.network(X)
        if not self.training:
            return FairResponse(y_pred=logits)
        if Y is None:
            raise InputError("in training mode SenSeI needs labels: call it with X and Y")
        _check_logits(logits)
        with torch.no_grad(), _still(self.network):
            clean = self.network(X)
        worst = find_worst_cases(
            self.network,
            X,
            lambda at: self.distance_y(clean, at),
            self.distance_x,
            self.lamb,
            steps=self.auditor_nsteps,
            lr=self.auditor_lr,
        )
        with torch.no_grad():
            self.distance = self.distance_x(X, worst).mean()
            eps = torch.as_tensor(self.eps, dtype=self.distance.dtype, device=self.distance.device)
            if self.dual_update == "ratio":
                self.lamb = ratio_update(self.lamb, self.distance, eps)
            else:
                self.lamb = gradient_update(self.lamb, self.distance, eps, self.dual_lr)
        unfairness = self.distance_y(logits, _same_draws(self.network, worst, state)).mean()
        return FairResponse(self.loss_fn(logits, Y).mean() + self.rho * unfairness, logits)


class SenSR(nn.Module):
    """Sensitive subspace robustness around a network (Yurochkin, Bower, Sun, ICLR 2020; inFairness's class).

    Args:
        network, distance_x, eps, auditor_nsteps, auditor_lr: as in :class:`SenSeI`.
        loss_fn: a function with ``reduction``, as ``torch.nn.functional.cross_entropy``.
        lr_lamb: learning rate of lambda.
        lr_param: factor of the loss.
    """

    lamb: Tensor

    def __init__(
        self,
        network: nn.Module,
        distance_x: Distance,
        loss_fn: Callable[..., Tensor],
        eps: float,
        lr_lamb: float,
        lr_param: float,
        auditor_nsteps: int,
        auditor_lr: float,
    ) -> None:
        super().__init__()
        if not float(eps) > 0:
            raise InputError(f"eps must be above 0, got {eps}")
        if "reduction" not in inspect.signature(loss_fn).parameters:
            raise InputError("SenSR needs a loss with the argument reduction, as torch.nn.functional.cross_entropy")
        self.network = network
        self.distance_x = distance_x
        self.loss_fn = loss_fn
        self.eps = eps
        self.lr_lamb = lr_lamb
        self.lr_param = lr_param
        self.auditor_nsteps = auditor_nsteps
        self.auditor_lr = auditor_lr
        self.distance = torch.tensor(0.0)
        self.register_buffer("lamb", torch.tensor(1.0))

    def forward(self, X: Tensor, Y: Tensor | None = None) -> FairResponse:
        """In training mode the worst-case loss and the logits; in evaluation mode the logits alone."""
        state = _RandomState(X.is_cuda)
        logits = self.network(X)
        if not self.training:
            return FairResponse(y_pred=logits)
        if Y is None:
            raise InputError("in training mode SenSR needs labels: call it with X and Y")
        _check_logits(logits)
        worst = find_worst_cases(
            self.network,
            X,
            lambda at: self.loss_fn(at, Y, reduction="none"),
            self.distance_x,
            self.lamb,
            steps=self.auditor_nsteps,
            lr=self.auditor_lr,
        )
        with torch.no_grad():
            self.distance = self.distance_x(X, worst).mean()
            eps = torch.as_tensor(self.eps, dtype=self.distance.dtype, device=self.distance.device)
            self.lamb = gradient_update(self.lamb, self.distance, eps, self.lr_lamb)
        return FairResponse((self.lr_param * self.loss_fn(_same_draws(self.network, worst, state), Y)).mean(), logits)


def _check_logits(logits: Tensor) -> None:
    if logits.dim() != 2 or logits.shape[1] < 2:
        raise InputError(
            f"the network must give logits of at least two classes, shape (rows, classes), got {tuple(logits.shape)}"
        )
