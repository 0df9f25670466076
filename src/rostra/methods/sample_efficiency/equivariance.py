"""Which symmetries of the inputs can a training algorithm not see? (paper, table 1)

An algorithm A is equivariant under a group if A(gX, y)(gx) has the law of A(X, y)(x) for every g. Two checks:

*coupled*: train on (X, y) from W and on (gX, y) from the same W with its first layer turned along, W_1 g^-1, in the
same order and with the same randomness. Outputs must agree up to rounding.
*distributional*: train with many seeds on each; the outputs must have one law. Needs nothing but outputs.
"""

__all__ = [
    "GROUPS",
    "Equivariance",
    "Group",
    "Network",
    "check_equivariance",
    "image_flip",
    "image_rotation",
    "symmetry_report",
]

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from torch import Tensor, nn

from rostra.engine.errors import InputError

from .tasks import random_rotation

Array = NDArray[np.float64]
Mode = Literal["coupled", "distributional"]
TrainFunction = Callable[[Array, NDArray[Any], Array, int], Any]
"""(X, y, X_test, seed) to the outputs of the trained predictor at X_test: (m,), or (m, k)."""

PERMUTATIONS = 999
SIGNIFICANCE = 0.01


# ------------------------------------------------------- groups


@dataclass(frozen=True)
class Group:
    """A group of matrices acting on inputs.

    Attributes:
        name: for tables.
        sample: (D, generator) to a matrix (D, D).
        orthogonal: whether its matrices are; checked on each.
    """

    name: str
    sample: Callable[[int, np.random.Generator], Array]
    orthogonal: bool = True

    def matrix(self, dimension: int, rng: np.random.Generator) -> Array:
        """A random element.

        Raises:
            InputError: if the sampler gives a matrix of another shape, or one that is not of the group it claims.
        """
        g = np.asarray(self.sample(dimension, rng), dtype=np.float64)
        if g.shape != (dimension, dimension) or not np.isfinite(g).all():
            raise InputError(f"group '{self.name}' must give finite {dimension} x {dimension} matrices, got {g.shape}")
        if self.orthogonal and np.abs(g.T @ g - np.eye(dimension)).max() > 1e-6:
            raise InputError(
                f"group '{self.name}' gave a matrix that is not orthogonal (R^T R differs from I by more than 1e-6); "
                "if that is meant, make the Group with orthogonal=False"
            )
        if not self.orthogonal and np.linalg.cond(g) > 1e8:
            raise InputError(f"group '{self.name}' gave a matrix that cannot be inverted in double precision")
        return g


def _permutation(dimension: int, rng: np.random.Generator) -> Array:
    return np.eye(dimension)[rng.permutation(dimension)]


def _sign_flip(dimension: int, rng: np.random.Generator) -> Array:
    return np.diag(rng.choice([-1.0, 1.0], size=dimension))


def _linear(dimension: int, rng: np.random.Generator) -> Array:
    """Singular values from 1/2 to 2: far from a rotation, and well-conditioned."""
    spread = np.exp(rng.uniform(-np.log(2), np.log(2), size=dimension))
    return (random_rotation(dimension, rng) * spread) @ random_rotation(dimension, rng)


def _cyclic_shift(dimension: int, rng: np.random.Generator) -> Array:
    return np.roll(np.eye(dimension), int(rng.integers(1, max(2, dimension))), axis=0)


GROUPS: dict[str, Group] = {
    group.name: group
    for group in (
        Group("sign_flip", _sign_flip),
        Group("permutation", _permutation),
        Group("signed_permutation", lambda D, rng: _sign_flip(D, rng) @ _permutation(D, rng)),
        Group("orthogonal", random_rotation),
        Group("linear", _linear, orthogonal=False),
        Group("cyclic_shift", _cyclic_shift),
    )
}
"""Name -> group. Those of images need the image's shape: :func:`image_rotation`, :func:`image_flip`."""


def _image_group(
    name: str, image: tuple[int, int, int], act: Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]
) -> Group:
    size = int(np.prod(image))

    def sample(dimension: int, rng: np.random.Generator) -> Array:
        if dimension != size:
            raise InputError(f"group '{name}' was made for images of {size} numbers, the points have {dimension}")
        moved = act(np.arange(size).reshape(image), rng).ravel()
        return np.eye(size)[moved]

    return Group(name, sample)


def image_rotation(image: tuple[int, int, int]) -> Group:
    """Quarter turns of images (channels, height, width), height = width."""
    if image[1] != image[2]:
        raise InputError(f"quarter turns need square images, got {image[1]} x {image[2]}")
    return _image_group("image_rotation", image, lambda x, rng: np.rot90(x, int(rng.integers(1, 4)), axes=(1, 2)))


def image_flip(image: tuple[int, int, int]) -> Group:
    """The mirror image of images (channels, height, width)."""
    return _image_group("image_flip", image, lambda x, rng: x[:, :, ::-1])


def as_group(group: "str | Group | Callable[..., Array]") -> Group:
    """A group by name, a group, or a sampler (D, generator) of orthogonal matrices."""
    if isinstance(group, Group):
        return group
    if isinstance(group, str):
        if group not in GROUPS:
            raise InputError(f"there is no group '{group}'; there are: {', '.join(GROUPS)}")
        return GROUPS[group]
    return Group(getattr(group, "__name__", "given"), group)


# ------------------------------------------------------- algorithms


@dataclass(frozen=True)
class Network:
    """A network and its training, taken apart so that the first layer can be turned along with the data.

    Attributes:
        build: seed to a new module (n, D) -> (n, k).
        train: (module, X, y, seed) trains in place; all randomness must come from the seed.
        first_layer: name of the linear layer that reads the inputs; None takes the module's first linear or
            convolutional layer. The weights of a convolution stay as they are.
    """

    build: Callable[[int], nn.Module]
    train: Callable[[nn.Module, Tensor, Tensor, int], None]
    first_layer: str | None = None

    def outputs(self, X: Array, y: NDArray[Any], X_test: Array, seed: int, turn: Array | None = None) -> Array:
        """Train from the seed's weights, with the first layer times turn^-1; outputs (m,) or (m, k) at X_test."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = copy.deepcopy(self.build(seed)).double()
            if turn is not None:
                self._turn(module, turn)
            self.train(module, torch.as_tensor(X), torch.as_tensor(np.asarray(y, dtype=np.float64)), seed)
        module.eval()
        with torch.no_grad():
            return module(torch.as_tensor(X_test)).numpy()

    @torch.no_grad()
    def _turn(self, module: nn.Module, turn: Array) -> None:
        layer = self._first(module)
        if not isinstance(layer, nn.Linear):
            return
        if layer.in_features != len(turn):
            raise InputError(
                f"the first linear layer reads {layer.in_features} numbers, the points have {len(turn)}; "
                "name the layer that reads them: Network(first_layer=...)"
            )
        layer.weight.copy_(layer.weight @ torch.as_tensor(np.linalg.inv(turn)))

    def _first(self, module: nn.Module) -> nn.Module | None:
        if self.first_layer is not None:
            return module.get_submodule(self.first_layer)
        kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
        return next((layer for layer in module.modules() if isinstance(layer, kinds)), None)


def _as_train_function(algorithm: Any) -> TrainFunction:
    """A user's function, or a scikit-learn estimator's decision function, probability or prediction."""
    if hasattr(algorithm, "fit") and hasattr(algorithm, "predict"):
        from sklearn.base import clone

        def train_estimator(X: Array, y: NDArray[Any], X_test: Array, seed: int) -> Any:
            model = clone(algorithm)
            names = [name for name in model.get_params() if name.split("__")[-1] in ("random_state", "seed")]
            model.set_params(**dict.fromkeys(names, seed)).fit(X, y)
            for name in ("decision_function", "predict_proba"):
                if hasattr(model, name):
                    return getattr(model, name)(X_test)
            return model.predict(X_test)

        return train_estimator
    if not callable(algorithm):
        raise InputError("an algorithm is train_fn(X, y, X_test, seed), a scikit-learn estimator, or a Network")
    taken = len(inspect.signature(algorithm).parameters)
    if taken != 4:
        raise InputError(f"train_fn must take (X, y, X_test, seed), and takes {taken} arguments")
    return algorithm


# ------------------------------------------------------- the checks


@dataclass(frozen=True)
class Equivariance:
    """The outcome of a check.

    Attributes:
        group, mode: of the check.
        max_abs: largest difference of outputs; in mode "distributional" of their means over seeds.
        relative: the same in units of the outputs' root mean square.
        p_value: of one law on both sides (the smaller of outputs' and accuracies', doubled); None if coupled.
        passed: the check found no difference.
    """

    group: str
    mode: str
    max_abs: float
    relative: float
    p_value: float | None
    passed: bool


def check_equivariance(
    algorithm: Any,
    group: "str | Group | Callable[..., Array]",
    data: tuple[Any, Any, Any] | tuple[Any, Any, Any, Any],
    mode: Mode = "coupled",
    *,
    seeds: int | None = None,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> Equivariance:
    """Whether a training algorithm cannot tell data from their image under a group.

    Args:
        algorithm: ``train_fn(X, y, X_test, seed) -> outputs``, a scikit-learn estimator, or a :class:`Network`. In mode
            "coupled" a function or an estimator must be deterministic, given its seed, and draw no weights for the
            inputs; a network whose weights are random goes in as a :class:`Network`.
        group: name, :class:`Group`, or sampler of matrices.
        data: X (n, D), y (n,), X_test (m, D), and, for accuracies in mode "distributional", labels of X_test.
        mode: "coupled", exact, or "distributional", a two-sample test.
        seeds: pairs to check ("coupled": 1 by default, the worst counts), or trainings a side (20).
        tolerance: relative deviation that counts as rounding ("coupled").
        seed: of the group's elements.

    Raises:
        InputError: for data that are not finite or do not fit together, or outputs that are not numbers.
    """
    X, y, X_test, y_test = _checked_data(data)
    chosen = as_group(group)
    rng = np.random.default_rng(seed)
    if mode == "coupled":
        return _coupled(algorithm, chosen, X, y, X_test, seeds or 1, tolerance, rng)
    if mode != "distributional":
        raise InputError(f"mode must be 'coupled' or 'distributional', got '{mode}'")
    return _distributional(algorithm, chosen, X, y, X_test, y_test, seeds or 20, rng)


def _checked_data(data: Sequence[Any]) -> tuple[Array, NDArray[Any], Array, NDArray[Any] | None]:
    if len(data) not in (3, 4):
        raise InputError(f"data must be (X, y, X_test) or (X, y, X_test, y_test), got {len(data)} parts")
    X, X_test = (np.asarray(part, dtype=np.float64) for part in (data[0], data[2]))
    y, y_test = np.asarray(data[1]), None if len(data) == 3 else np.asarray(data[3])
    for name, points in (("X", X), ("X_test", X_test)):
        if points.ndim != 2 or not np.isfinite(points).all():
            raise InputError(f"{name} must be a matrix of finite numbers, got shape {points.shape}")
    if len(X) != len(y) or X.shape[1] != X_test.shape[1] or (y_test is not None and len(y_test) != len(X_test)):
        raise InputError(f"shapes do not fit: X {X.shape}, y {y.shape}, X_test {X_test.shape}")
    return X, y, X_test, y_test


def _run(algorithm: Any, X: Array, y: NDArray[Any], X_test: Array, seed: int, turn: Array | None) -> Array:
    if isinstance(algorithm, Network):
        found = algorithm.outputs(X, y, X_test, seed, turn)
    else:
        found = np.asarray(_as_train_function(algorithm)(X, y, X_test, seed), dtype=np.float64)
    if len(found) != len(X_test):
        raise InputError(f"the algorithm gave {len(found)} outputs for {len(X_test)} points of X_test")
    return found.reshape(len(X_test), -1)


def _coupled(
    algorithm: Any,
    group: Group,
    X: Array,
    y: NDArray[Any],
    X_test: Array,
    pairs: int,
    tolerance: float,
    rng: np.random.Generator,
) -> Equivariance:
    worst, relative = 0.0, 0.0
    for seed in range(pairs):
        g = group.matrix(X.shape[1], rng)
        plain = _run(algorithm, X, y, X_test, seed, None)
        if seed == 0 and not isinstance(algorithm, Network):
            again = _run(algorithm, X, y, X_test, seed, None)
            if not np.array_equal(plain, again, equal_nan=True):
                raise InputError(
                    "the algorithm gives other outputs when it runs again with the same seed; "
                    "use mode='distributional', or hand it over as a Network"
                )
        turned = _run(algorithm, X @ g.T, y, X_test @ g.T, seed, g)
        difference = float(np.abs(plain - turned).max())
        if not np.isfinite(difference):
            raise InputError("the algorithm gave outputs that are not finite: its training diverged")
        scale = max(float(np.sqrt(np.square(plain).mean())), np.finfo(float).tiny)
        worst, relative = max(worst, difference), max(relative, difference / scale)
    return Equivariance(group.name, "coupled", worst, relative, None, relative < tolerance)


def _distributional(
    algorithm: Any,
    group: Group,
    X: Array,
    y: NDArray[Any],
    X_test: Array,
    y_test: NDArray[Any] | None,
    seeds: int,
    rng: np.random.Generator,
) -> Equivariance:
    g = group.matrix(X.shape[1], rng)
    # other seeds on either side: the two samples must be independent
    plain = np.stack([_run(algorithm, X, y, X_test, seed, None).ravel() for seed in range(seeds)])
    turned = np.stack(
        [_run(algorithm, X @ g.T, y, X_test @ g.T, seed, None).ravel() for seed in range(seeds, 2 * seeds)]
    )
    if not (np.isfinite(plain).all() and np.isfinite(turned).all()):
        raise InputError("the algorithm gave outputs that are not finite: its training diverged")
    scale = max(float(np.sqrt(np.square(plain).mean())), np.finfo(float).tiny)
    p_values = [_same_law(plain, turned, rng)]
    if y_test is not None and plain.shape[1] == len(X_test):
        right = [(outputs >= 0) == (y_test > 0) for outputs in (plain, turned)]
        p_values.append(_same_law(right[0].mean(1, keepdims=True), right[1].mean(1, keepdims=True), rng))
    difference = float(np.abs(plain.mean(0) - turned.mean(0)).max())
    p_value = min(1.0, len(p_values) * min(p_values))
    return Equivariance(group.name, "distributional", difference, difference / scale, p_value, p_value >= SIGNIFICANCE)


def _same_law(first: Array, second: Array, rng: np.random.Generator) -> float:
    """Permutation p-value of the energy distance of two samples (rows)."""
    both = np.concatenate([first, second])
    distances = cdist(both, both)
    if not distances.any():
        return 1.0
    side = np.concatenate([np.full(len(first), 1 / len(first)), np.full(len(second), -1 / len(second))])
    weights = np.stack([side, *(rng.permutation(side) for _ in range(PERMUTATIONS))])
    energies = -np.einsum("pi,ij,pj->p", weights, distances, weights, optimize=True)
    return float((1 + (energies[1:] >= energies[0] * (1 - 1e-9)).sum()) / (1 + PERMUTATIONS))


def symmetry_report(
    algorithm: Any,
    data: tuple[Any, Any, Any] | tuple[Any, Any, Any, Any],
    groups: Sequence[Any] = tuple(GROUPS),
    mode: Mode = "coupled",
    **options: Any,
) -> Mapping[str, Equivariance]:
    """:func:`check_equivariance` for several groups, by name of the group."""
    found = [check_equivariance(algorithm, group, data, mode, **options) for group in groups]
    return {check.group: check for check in found}
