"""Learners as the study of sample complexity measures them: many seeds of one size at a time."""

__all__ = [
    "LEARNERS",
    "Averaged",
    "ConvERMLearner",
    "ConvLearner",
    "EstimatorLearner",
    "FCLearner",
    "FunctionLearner",
    "ImageConvLearner",
    "KernelLearner",
    "Learner",
    "Point",
    "as_learner",
]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from rostra.engine.errors import InputError
from rostra.engine.runtime import resolve_device

from .estimator import ConvClassifier, ConvERM
from .kernels import interpolate, kernel_function, kernel_predictions, quadratic_forms, ridge_matrix
from .model import ChannelNet
from .objective import sign
from .tasks import Task
from .training import FCConfig, train_on_sets

TEST_POINTS = 10_000


@dataclass(frozen=True)
class Point:
    """One training, measured.

    Attributes:
        score: accuracy on the test set, or 1 - relative squared error in regression.
        train: the same on the training set; NaN where the learner does not tell.
        diverged: the training failed; its score stands all the same.
    """

    score: float
    train: float
    diverged: bool = False


class Learner(Protocol):
    """What :func:`.sample_complexity` asks of a learner."""

    def guess(self, dimension: int) -> int:
        """A size to start the search from."""
        ...

    def measure(self, task: Task, n: int, seeds: Sequence[int]) -> list[Point]:
        """Train on the first n points of every seed's pool, test on its test set."""
        ...


@dataclass(frozen=True)
class FCLearner:
    """A fully-connected net with every advantage: learning rate and stopping time chosen on the test set.

    What it is said to need is therefore less than what anybody could reach with it.

    Attributes:
        config: of the net.
        learning_rates: to choose from.
        width: of the one hidden layer over D, whatever ``config`` says; None takes its ``hidden``.
        device: torch device.
    """

    config: FCConfig = field(default_factory=FCConfig)
    learning_rates: tuple[float, ...] = (0.03, 0.1, 0.3)
    width: int | None = 4
    device: str = "cpu"

    def guess(self, dimension: int) -> int:
        """Four times D: doubling from there costs little beside the sizes that decide."""
        return 4 * dimension

    def measure(self, task: Task, n: int, seeds: Sequence[int]) -> list[Point]:
        """All seeds and learning rates in one batch."""
        sets = [task.sample(n, seed) for seed in seeds]
        tests = [task.test_set(TEST_POINTS, seed) for seed in seeds]

        config = self.config
        if self.width is not None:
            config = replace(config, hidden=(self.width * task.dimension,))
        run = train_on_sets(sets, tests, config, seeds, self.learning_rates, resolve_device(self.device))
        points = []
        for s in range(len(seeds)):
            scores, train = run.test_accuracy[:, :, s], run.train_accuracy[:, :, s]
            step, rate = np.unravel_index(scores.argmax(), scores.shape)
            points.append(Point(float(scores[step, rate]), float(train[step, rate]), bool(run.diverged[:, s].all())))
        return points


@dataclass(frozen=True)
class KernelLearner:
    """Kernel ridge regression.

    Attributes:
        kernel: "traceless", "quadratic", or a name or function that :func:`.kernels.kernel_function` takes.
        ridge: None takes D^2 for the quadratic kernels, and 1e-3 of the diagonal for others; 0 interpolates.
        depth: layers behind "ntk".
    """

    kernel: Any = "traceless"
    ridge: float | None = None
    depth: int = 2

    def guess(self, dimension: int) -> int:
        """Four times D: doubling from there costs little beside the sizes that decide."""
        return 4 * dimension

    def measure(self, task: Task, n: int, seeds: Sequence[int]) -> list[Point]:
        """One seed after the other."""
        return [self._measure(task, n, seed) for seed in seeds]

    def _measure(self, task: Task, n: int, seed: int) -> Point:
        x, y = task.sample(n, seed)
        test_x, test_y = task.test_set(TEST_POINTS, seed)
        if self.kernel in ("traceless", "quadratic"):
            ridge = task.dimension**2 if self.ridge is None else self.ridge
            traceless = self.kernel == "traceless"
            if ridge > 0:
                matrix = ridge_matrix(x, y.astype(x.dtype), ridge, traceless=traceless)
            else:
                matrix = interpolate(x, y.astype(np.float64), traceless=traceless)
            fitted, found = (quadratic_forms(p, matrix) for p in (x, test_x))
        else:
            kernel = kernel_function(self.kernel, self.depth)
            x, test_x = x.astype(np.float64), test_x.astype(np.float64)
            ridge = self.ridge if self.ridge is not None else 1e-3 * float(np.mean(np.diag(kernel(x[:64], x[:64]))))
            both = kernel_predictions(kernel, x, y, np.concatenate([x, test_x]), [n], ridge)[0]
            fitted, found = both[:n], both[n:]
        return _scored(task, (fitted, y), (found, test_y))


@dataclass(frozen=True)
class ConvERMLearner:
    """The paper's ConvNet by exact risk minimisation; method: see :class:`.ConvERM`."""

    method: str | None = None

    def guess(self, dimension: int) -> int:
        """Eight points."""
        return 8

    def measure(self, task: Task, n: int, seeds: Sequence[int]) -> list[Point]:
        """One seed after the other."""
        return [_measure_estimator(ConvERM(task.conv_features, self.method), task, n, seed) for seed in seeds]


@dataclass(frozen=True)
class ConvLearner:
    """The paper's ConvNet by gradient descent with fixed settings: no tuning."""

    blocks: int = 2
    taps: int = 1
    squared: bool = True
    lr: float = 0.3
    steps: int = 400

    def guess(self, dimension: int) -> int:
        """Eight points."""
        return 8

    def measure(self, task: Task, n: int, seeds: Sequence[int]) -> list[Point]:
        """One seed after the other."""
        points = []
        for seed in seeds:
            model = ConvClassifier(
                self.blocks, self.taps, self.squared, lr=self.lr, steps=self.steps, seed=seed, device="cpu"
            )
            points.append(_measure_estimator(model, task, n, seed))
        return points


@dataclass(frozen=True)
class ImageConvLearner:
    """Figure 1's ConvNet (:class:`.ChannelNet`) on tasks of images, with fixed settings."""

    layers: int = 2
    width: int = 10
    activation: str = "quadratic"
    lr: float = 0.05
    steps: int = 1000
    batch_size: int = 64

    def guess(self, dimension: int) -> int:
        """Sixty-four points."""
        return 64

    def measure(self, task: Task, n: int, seeds: Sequence[int]) -> list[Point]:
        """One seed after the other."""
        image = task.image
        if image is None:
            raise InputError(f"learner 'conv-net' needs images; task '{task.name}' has none (try channels or cifar10)")
        points = []
        for seed in seeds:
            model = ConvClassifier(
                module=lambda _: ChannelNet(image, self.layers, self.width, self.activation),
                lr=self.lr,
                steps=self.steps,
                batch_size=self.batch_size,
                cosine=True,
                seed=seed,
                device="cpu",
            )
            points.append(_measure_estimator(model, task, n, seed))
        return points


@dataclass(frozen=True)
class EstimatorLearner:
    """A scikit-learn estimator, cloned for every training; one with ``random_state`` or ``seed`` gets the seed."""

    estimator: Any

    def guess(self, dimension: int) -> int:
        """Sixteen points."""
        return 16

    def measure(self, task: Task, n: int, seeds: Sequence[int]) -> list[Point]:
        """One seed after the other."""
        points = []
        for seed in seeds:
            model = clone(self.estimator)
            seeded = {name: seed for name in ("random_state", "seed") if name in model.get_params()}
            points.append(_measure_estimator(model.set_params(**seeded), task, n, seed))
        return points


@dataclass(frozen=True)
class FunctionLearner:
    """A user's own training: ``train_fn(X, y, X_test, seed)`` returns outputs whose sign is the answer, or numbers."""

    train_fn: Callable[[NDArray[Any], NDArray[Any], NDArray[Any], int], Any]

    def guess(self, dimension: int) -> int:
        """Sixteen points."""
        return 16

    def measure(self, task: Task, n: int, seeds: Sequence[int]) -> list[Point]:
        """One seed after the other; training points are asked for as well."""
        points = []
        for seed in seeds:
            x, y = task.sample(n, seed)
            test_x, test_y = task.test_set(TEST_POINTS, seed)
            both = np.asarray(self.train_fn(x, y, np.concatenate([x, test_x]), seed), dtype=np.float64)
            if both.shape != (len(x) + len(test_x),):
                raise InputError(f"train_fn must return {len(x) + len(test_x)} numbers, got shape {both.shape}")
            points.append(_scored(task, (both[: len(x)], y), (both[len(x) :], test_y)))
        return points


def _measure_estimator(model: Any, task: Task, n: int, seed: int) -> Point:
    x, y = task.sample(n, seed)
    test_x, test_y = task.test_set(TEST_POINTS, seed)
    if len(np.unique(y)) == 1 and task.kind == "classification" and not isinstance(model, (ConvERM, ConvClassifier)):
        return _scored(task, (y, y), (np.full(len(test_y), y[0]), test_y))  # many estimators refuse one class
    model.fit(x, y)
    return _scored(task, (model.predict(x), y), (model.predict(test_x), test_y))


def _scored(task: Task, train: tuple[Any, Any], test: tuple[Any, Any]) -> Point:
    """Scores of outputs and labels; outputs that are not finite are a failed training."""
    diverged = not all(np.isfinite(outputs).all() for outputs, _ in (train, test))
    scores = [_score(task, np.nan_to_num(np.asarray(outputs, dtype=float)), y) for outputs, y in (test, train)]
    return Point(scores[0], scores[1], diverged)


def _score(task: Task, outputs: NDArray[np.float64], y: NDArray[Any]) -> float:
    if task.kind == "regression":
        return 1.0 - float(np.square(outputs - y).mean() / np.square(y).mean())
    return float((sign(outputs) == y).mean())


@dataclass(frozen=True)
class Averaged:
    """Every seed stands for some seeds of its own, whose scores are averaged."""

    learner: Learner
    draws: int

    def guess(self, dimension: int) -> int:
        """The learner's own."""
        return self.learner.guess(dimension)

    def measure(self, task: Task, n: int, seeds: Sequence[int]) -> list[Point]:
        """Mean scores; one failed training counts as failed."""
        points = self.learner.measure(
            task, n, [seed * self.draws + draw for seed in seeds for draw in range(self.draws)]
        )
        groups = [points[i : i + self.draws] for i in range(0, len(points), self.draws)]
        return [
            Point(
                float(np.mean([point.score for point in group])),
                float(np.mean([point.train for point in group])),
                any(point.diverged for point in group),
            )
            for group in groups
        ]


LEARNERS: dict[str, Callable[[], Learner]] = {
    "fc": FCLearner,
    "fc-relu": lambda: FCLearner(FCConfig(activation="relu"), learning_rates=(0.1, 0.3, 1.0)),
    "fc-adam": lambda: FCLearner(FCConfig(optimizer="adam", clip_norm=None), learning_rates=(0.003, 0.01, 0.03)),
    "kernel": KernelLearner,
    "ntk": lambda: KernelLearner("ntk"),
    "conv": lambda: Averaged(ConvERMLearner(), 20),
    "conv-gd": ConvLearner,
    "conv-net": ImageConvLearner,
}
"""Name -> what makes the learner."""


def as_learner(learner: Any) -> Learner:
    """A learner of that name, a scikit-learn estimator, a function ``train_fn``, or a learner itself.

    Raises:
        InputError: for anything else.
    """
    if isinstance(learner, str):
        if learner not in LEARNERS:
            raise InputError(f"there is no learner '{learner}'; there are: {', '.join(LEARNERS)}")
        return LEARNERS[learner]()
    if hasattr(learner, "measure") and hasattr(learner, "guess"):
        return learner
    if hasattr(learner, "fit") and hasattr(learner, "predict"):
        return EstimatorLearner(learner)
    if callable(learner):
        return FunctionLearner(learner)
    raise InputError("a learner is a name, a scikit-learn estimator, or train_fn(X, y, X_test, seed) -> outputs")
