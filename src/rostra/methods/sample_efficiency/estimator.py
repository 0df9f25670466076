"""Learners that a user holds: fully-connected and convolutional nets, and the ConvNet's exact risk minimiser."""

__all__ = ["ConvClassifier", "ConvERM", "FCClassifier", "fit_margin", "fit_ratio"]

import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data
from torch import nn

from rostra.engine.errors import InputError
from rostra.engine.runtime import resolve_device

from .classification import SignOutput, as_signs
from .model import PooledConv, plain_network
from .training import FCConfig, train_fc, train_module

Array = NDArray[np.float64]


class FCClassifier(SignOutput):
    """A fully-connected net without biases and with a Gaussian first layer (paper, section 3.1).

    Args:
        hidden: widths of the hidden layers; None takes one of 4 D.
        activation, optimizer, steps, batch_size, weight_decay, clip_norm, cosine, bias, init: see :class:`.FCConfig`.
        lr: learning rate.
        seed: of the weights and of the order of minibatches.
        device: torch device; None takes CUDA where there is one.

    After ``fit``: ``module_``, a torch module (n, D) -> (n, 1); ``train_accuracy_``.
    """

    def __init__(
        self,
        hidden: tuple[int, ...] | None = None,
        activation: Any = "quadratic",
        optimizer: Any = "momentum",
        lr: float = 0.1,
        steps: int = 400,
        batch_size: int | None = None,
        weight_decay: float = 0.0,
        clip_norm: float | None = 1.0,
        cosine: bool = False,
        bias: bool = False,
        init: str = "gaussian",
        seed: int = 0,
        device: str | None = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.optimizer = optimizer
        self.lr = lr
        self.steps = steps
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.cosine = cosine
        self.bias = bias
        self.init = init
        self.seed = seed
        self.device = device

    def config(self, dimension: int) -> FCConfig:
        """The settings as the batched training takes them."""
        return FCConfig(
            hidden=(4 * dimension,) if self.hidden is None else tuple(self.hidden),
            activation=self.activation,
            optimizer=self.optimizer,
            steps=self.steps,
            batch_size=self.batch_size,
            weight_decay=self.weight_decay,
            clip_norm=self.clip_norm,
            cosine=self.cosine,
            bias=self.bias,
            init=self.init,
            checkpoints=min(10, self.steps),
        )

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to points (n, D) and labels of two classes.

        Raises:
            InputError: for settings that do not exist, or labels of more than two classes.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        self.classes_, signs = as_signs(y)
        device = resolve_device(self.device)
        x = torch.tensor(X, device=device)[None]
        run = train_fc(
            x, torch.as_tensor(signs, device=device)[None].to(x), self.config(X.shape[1]), [self.seed], [self.lr]
        )
        if run.diverged.any():
            warnings.warn(f"training diverged at lr={self.lr}; the net is useless, lower lr", stacklevel=2)
        self.module_ = plain_network(run.ensemble, 0)
        self.module_.to(device)
        self.train_accuracy_ = float(run.train_accuracy[-1, 0, 0])
        return self

    def _outputs(self, X: NDArray[Any]) -> Array:
        return module_outputs(self.module_, X)


class ConvClassifier(SignOutput):
    """The paper's one-filter ConvNet (section 3.1), or any module, trained by gradient descent.

    Args:
        blocks, taps, squared: see :class:`.PooledConv`.
        module: makes another network of the input dimension, (n, D) -> (n, 1); None takes the paper's.
        lr, steps, batch_size, optimizer, weight_decay, clip_norm, cosine, seed: of the training.
        device: torch device; None takes CUDA where there is one.

    After ``fit``: ``module_``; ``train_accuracy_``; ``diverged_``, whether the last loss was not finite.
    """

    def __init__(
        self,
        blocks: int = 2,
        taps: int = 1,
        squared: bool = True,
        module: Callable[[int], nn.Module] | None = None,
        lr: float = 0.1,
        steps: int = 400,
        batch_size: int | None = None,
        optimizer: str = "momentum",
        weight_decay: float = 0.0,
        clip_norm: float | None = 1.0,
        cosine: bool = False,
        seed: int = 0,
        device: str | None = None,
    ) -> None:
        self.blocks = blocks
        self.taps = taps
        self.squared = squared
        self.module = module
        self.lr = lr
        self.steps = steps
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.cosine = cosine
        self.seed = seed
        self.device = device

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to points (n, D) and labels of two classes; D must be a multiple of ``blocks``."""
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        self.classes_, signs = as_signs(y)
        device = resolve_device(self.device)
        x = torch.tensor(X, device=device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            made = (
                PooledConv(X.shape[1], self.blocks, self.taps, self.squared)
                if self.module is None
                else self.module(X.shape[1])
            )
        self.module_ = made.to(x)
        labels = torch.as_tensor(signs, device=device).to(x)
        loss = train_module(
            self.module_,
            x,
            labels,
            lr=self.lr,
            steps=self.steps,
            batch_size=self.batch_size,
            seed=self.seed,
            optimizer=self.optimizer,
            weight_decay=self.weight_decay,
            clip_norm=self.clip_norm,
            cosine=self.cosine,
        )
        self.diverged_ = not np.isfinite(loss)
        if self.diverged_:
            warnings.warn(f"training diverged at lr={self.lr}; the net is useless, lower lr", stacklevel=2)
        self.train_accuracy_ = float(np.mean((module_outputs(self.module_, X) >= 0) == (signs > 0)))
        return self

    def _outputs(self, X: NDArray[Any]) -> Array:
        return module_outputs(self.module_, X)


@torch.no_grad()
def module_outputs(module: nn.Module, X: NDArray[Any], size: int = 4096) -> Array:
    """A module's outputs of points (n, D) as float64, shape (n,), in blocks of rows."""
    parameter = next(module.parameters())
    rows = torch.split(torch.tensor(X).to(parameter), size)
    return np.concatenate([module(block)[:, 0].double().cpu().numpy() for block in rows])


class ConvERM(SignOutput):
    """Empirical risk minimisation in the paper's ConvNet class, exactly: no training, no luck.

    Args:
        features: what the pooled net sees of points, (n, D) to (n, r), such as a task's ``conv_features``; None
            takes the mean squares of the two halves.
        method: "ratio", the threshold on the ratio of two features in the middle between the two classes (no bias);
            "margin", the separating plane of largest margin; None takes "ratio" of two features and "margin" else.

    After ``fit``: ``weight_`` (r,) and ``bias_`` of the decision ``features @ weight_ + bias_``.
    """

    def __init__(self, features: Callable[[Array], Array] | None = None, method: str | None = None) -> None:
        self.features = features
        self.method = method

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to points (n, D) and labels; a single class is always answered."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        self.classes_, signs = as_signs(y)
        features = self._features(X)
        method = self.method or ("ratio" if features.shape[1] == 2 else "margin")
        if method not in ("ratio", "margin") or (method == "ratio" and features.shape[1] != 2):
            raise InputError(f"method must be 'ratio' (of two features) or 'margin', got '{method}'")
        if len(self.classes_) == 1:
            self.weight_, self.bias_ = np.zeros(features.shape[1]), 1.0
        else:
            self.weight_, self.bias_ = (fit_ratio if method == "ratio" else fit_margin)(features, signs)
        return self

    def _features(self, X: Array) -> Array:
        if self.features is not None:
            return self.features(X)
        if X.shape[1] % 2:
            raise InputError(f"ConvERM without features compares two halves of X, so D must be even; got {X.shape[1]}")
        return np.square(X).reshape(len(X), 2, -1).mean(2)

    def _outputs(self, X: NDArray[Any]) -> Array:
        return np.asarray(self._features(np.asarray(X, dtype=np.float64)) @ self.weight_ + self.bias_)


def fit_ratio(features: Array, signs: NDArray[np.int64]) -> tuple[Array, float]:
    """Fewest mistakes of a threshold on feature 0 over feature 1, in the middle of its gap.

    Args:
        features: not negative, shape (n, 2).
        signs: -1 and +1, (n,).

    Returns:
        Weights (2,) and bias 0 of a linear decision.
    """
    angle = np.arctan2(features[:, 0], features[:, 1])  # grows with the ratio, and is finite
    order = np.argsort(angle, kind="stable")
    angle, signs = angle[order], signs[order]
    # mistakes if the first k are answered -1 and the others +1
    mistakes = np.concatenate([[0], np.cumsum(signs)]) + (signs < 0).sum()
    distinct = np.concatenate([[True], angle[1:] > angle[:-1], [True]])
    best = np.flatnonzero(distinct & (mistakes == mistakes[distinct].min()))[0]
    if best == 0:
        return np.array([1.0, 1.0]), 0.0
    if best == len(angle):
        return np.array([-1.0, -1.0]), 0.0
    below, above = np.tan(angle[best - 1]), np.tan(angle[best])
    threshold = (below + above) / 2
    return np.array([1.0, -threshold]) / np.hypot(1.0, threshold), 0.0


def fit_margin(features: Array, signs: NDArray[np.int64]) -> tuple[Array, float]:
    """The plane of largest margin (a linear support vector machine with a large C).

    Args:
        features: shape (n, r).
        signs: -1 and +1, both there, (n,).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import SVC

    centre, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-12 * np.abs(centre), scale, 1.0)
    model = SVC(kernel="linear", C=1e4, max_iter=200_000)  # the limit is for labels that no plane separates
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit((features - centre) / scale, signs)
    weight = model.coef_[0] / scale
    return weight, float(model.intercept_[0] - weight @ centre)
