"""The algorithms of the paper's table 1, and what breaks its symmetries, as the check takes them."""

__all__ = ["ALGORITHMS", "EXPECTED", "Algorithm", "zoo_data"]

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression
from torch import Tensor, nn
from torch.nn.functional import softplus

from .equivariance import Network
from .kernels import NTKRegressor, QuadraticKernel
from .tasks import halves

DIMENSION, POINTS, HELD_OUT, STEPS, BATCH = 12, 96, 40, 60, 16
GROUPS_OF_TABLE = ("sign_flip", "permutation", "orthogonal", "linear", "cyclic_shift")


def zoo_data(seed: int = 0) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Points of the halves task in float64: X, y, X_test, y_test."""
    task = halves(DIMENSION)
    X, y = task.sample(POINTS, seed, dtype=np.float64)
    X_test, y_test = task.sample(HELD_OUT, seed, dtype=np.float64, test=True)
    return X, y, X_test, y_test


class _Standardise(nn.Module):
    """Per-feature standardisation or whitening by the training points, then the net."""

    def __init__(self, net: nn.Module, whiten: bool) -> None:
        super().__init__()
        self.net, self.whiten = net, whiten
        self.register_buffer("mean", torch.zeros(DIMENSION))
        self.register_buffer("map", torch.eye(DIMENSION))

    def adapt(self, X: Tensor) -> None:
        self.mean = X.mean(0)
        covariance = torch.cov(X.T)
        if self.whiten:
            values, vectors = torch.linalg.eigh(covariance)
            self.map = (vectors / values.sqrt()) @ vectors.T  # the symmetric root turns along with a rotation
        else:
            self.map = torch.diag(covariance.diag().rsqrt())

    def forward(self, x: Tensor) -> Tensor:
        return self.net((x - self.mean) @ self.map)


class _InputDropout(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.drop = net, nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.drop(x))


class _RingConv(nn.Module):
    """A convolution over the inputs as a ring, tanh, another, pooled over all positions."""

    def __init__(self, circular: bool = True) -> None:
        super().__init__()
        mode: Literal["circular", "zeros"] = "circular" if circular else "zeros"
        self.first = nn.Conv1d(1, 8, 3, padding=1, padding_mode=mode)
        self.second = nn.Conv1d(8, 8, 3, padding=1, padding_mode=mode)
        self.last = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.second(torch.tanh(self.first(x[:, None]))))
        return self.last(hidden.mean(2))


def _fc(seed: int, *, gaussian: bool = True, norm: bool = False) -> nn.Sequential:
    """Three layers of tanh; the first Gaussian, N(0, 1 / D)."""
    first = nn.Linear(DIMENSION, 32, bias=False)
    if gaussian:
        nn.init.normal_(first.weight, std=DIMENSION**-0.5)
    middle: list[nn.Module] = [nn.BatchNorm1d(32)] if norm else []
    return nn.Sequential(first, *middle, nn.Tanh(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 1))


def _standardised(seed: int, whiten: bool) -> nn.Module:
    return _Standardise(_fc(seed), whiten)


def _train(
    module: nn.Module,
    X: Tensor,
    y: Tensor,
    seed: int,
    *,
    make: Callable[[Any], torch.optim.Optimizer],
    batch: int | None = BATCH,
    l1: float = 0.0,
    clip: str = "",
) -> None:
    """Minibatches of the logistic loss in the seed's order."""
    if isinstance(module, _Standardise):
        module.adapt(X)
    optimizer = make(module.parameters())
    generator = torch.Generator().manual_seed(seed)
    for _ in range(STEPS):
        rows = slice(None) if batch is None else torch.randint(len(X), (batch,), generator=generator)
        loss = softplus(-y[rows] * module(X[rows])[:, 0]).mean()
        if l1:
            loss = loss + l1 * torch.stack([p.abs().sum() for p in module.parameters()]).sum()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        if clip == "value":
            nn.utils.clip_grad_value_(module.parameters(), 0.01)
        elif clip == "norm":
            nn.utils.clip_grad_norm_(module.parameters(), 0.1)
        optimizer.step()


def _sgd(**options: Any) -> Callable[[Any], torch.optim.Optimizer]:
    return functools.partial(torch.optim.SGD, lr=0.1, **options)


def newton(X: NDArray[Any], y: NDArray[Any], X_test: NDArray[Any], seed: int) -> NDArray[Any]:
    """Newton's method on the logistic loss of a linear model, from zero."""
    weight = np.zeros(X.shape[1])
    for _ in range(8):
        p = 1 / (1 + np.exp(y * (X @ weight)))
        hessian = (X * (p * (1 - p))[:, None]).T @ X
        weight = weight + np.linalg.solve(hessian, X.T @ (y * p))
    return X_test @ weight


@dataclass(frozen=True)
class Algorithm:
    """A row of the table.

    Attributes:
        title: what it is.
        algorithm: as :func:`.check_equivariance` takes it.
        equivariant: groups of the table under which theory has it equivariant.
    """

    title: str
    algorithm: Any
    equivariant: tuple[str, ...]


_SIGNED = ("sign_flip", "permutation", "cyclic_shift")
_ORTHOGONAL = ("sign_flip", "permutation", "orthogonal", "cyclic_shift")


def _net(build: Callable[[int], nn.Module] = _fc, **options: Any) -> Network:
    return Network(build, functools.partial(_train, **options))


ALGORITHMS: dict[str, Algorithm] = {
    "gd": Algorithm("FC, gradient descent", _net(make=_sgd(), batch=None), _ORTHOGONAL),
    "sgd": Algorithm("FC, SGD", _net(make=_sgd()), _ORTHOGONAL),
    "momentum": Algorithm("FC, SGD with momentum", _net(make=_sgd(momentum=0.9)), _ORTHOGONAL),
    "nesterov": Algorithm(
        "FC, SGD with Nesterov's momentum", _net(make=_sgd(momentum=0.9, nesterov=True)), _ORTHOGONAL
    ),
    "l2": Algorithm("FC, SGD, l2", _net(make=_sgd(momentum=0.9, weight_decay=1e-2)), _ORTHOGONAL),
    "clip_norm": Algorithm("FC, SGD, gradient clipped by norm", _net(make=_sgd(), clip="norm"), _ORTHOGONAL),
    "batch_norm": Algorithm(
        "FC with batch normalisation, SGD", _net(functools.partial(_fc, norm=True), make=_sgd()), _ORTHOGONAL
    ),
    "whitening": Algorithm(
        "whitening, then FC, SGD", _net(functools.partial(_standardised, whiten=True), make=_sgd()), _ORTHOGONAL
    ),
    "adam": Algorithm("FC, Adam", _net(make=functools.partial(torch.optim.Adam, lr=0.01)), _SIGNED),
    "adagrad": Algorithm("FC, AdaGrad", _net(make=functools.partial(torch.optim.Adagrad, lr=0.05)), _SIGNED),
    "rmsprop": Algorithm("FC, RMSprop", _net(make=functools.partial(torch.optim.RMSprop, lr=0.003)), _SIGNED),
    "l1": Algorithm("FC, SGD, l1", _net(make=_sgd(momentum=0.9), l1=1e-3), _SIGNED),
    "clip_value": Algorithm("FC, SGD, gradient clipped by value", _net(make=_sgd(), clip="value"), _SIGNED),
    "standardised": Algorithm(
        "standardised features, then FC, SGD",
        _net(functools.partial(_standardised, whiten=False), make=_sgd()),
        _SIGNED,
    ),
    "input_dropout": Algorithm(
        "FC with dropout of inputs, SGD", _net(lambda seed: _InputDropout(_fc(seed)), make=_sgd()), ("sign_flip",)
    ),
    "newton": Algorithm("linear model, Newton", newton, (*_ORTHOGONAL, "linear")),
    "least_squares": Algorithm("linear model, least squares", LinearRegression(), (*_ORTHOGONAL, "linear")),
    "quadratic_kernel": Algorithm("quadratic kernel, ridge", QuadraticKernel(), _ORTHOGONAL),
    "ntk": Algorithm("tangent kernel of an FC net", NTKRegressor(depth=3, ridge=1e-3), _ORTHOGONAL),
    "conv": Algorithm(
        "ConvNet on a ring, global pooling, SGD", _net(lambda seed: _RingConv(), make=_sgd()), ("cyclic_shift",)
    ),
    "conv_zeros": Algorithm(
        "the same, padded with zeros", _net(lambda seed: _RingConv(circular=False), make=_sgd()), ()
    ),
}
"""Name -> algorithm."""

EXPECTED: dict[str, tuple[str, ...]] = {name: row.equivariant for name, row in ALGORITHMS.items()}
