"""The tasks: what is drawn, how it is labelled, and what a small ConvNet sees of it (paper, sections 4 and 5)."""

__all__ = [
    "TASKS",
    "Task",
    "channels",
    "diag",
    "diag_regression",
    "halves",
    "image_task",
    "make_task",
    "onehot",
    "orthogonal_pairs",
    "patches",
    "random_rotation",
    "rotate",
    "texture",
]

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rostra.engine.errors import InputError

from .objective import sign

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Array]
Kind = Literal["classification", "regression"]


@dataclass(frozen=True)
class Task:
    """A distribution of labelled points; labels follow exactly from the points.

    Attributes:
        name: for tables, and part of the key of the random draws.
        dimension: D, of the whole input.
        draw: (generator, n) to points (n, D), row after row, so that fewer points are a prefix of more.
        rule: points (n, D) to labels, -1 or +1, or to a number in regression.
        conv_features: points to what the pooled quadratic ConvNet sees of them, (n, r): it is linear in these.
        kind: "classification" or "regression".
        support: all points, (m, D), where they are finitely many; errors are then exact.
        image: (channels, height, width) of a point, where it is an image.
        rotation: what was applied to the points after labelling, (D, D).
    """

    name: str
    dimension: int
    draw: Draw
    rule: Callable[[Array], NDArray[Any]]
    conv_features: Callable[[Array], Array]
    kind: Kind = "classification"
    support: Array | None = None
    image: tuple[int, int, int] | None = None
    rotation: Array | None = None
    test_draw: Draw | None = None

    def sample(
        self, n: int, seed: int = 0, *, dtype: DTypeLike = np.float32, test: bool = False
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """n labelled points; the first m of them are ``sample(m, seed)``.

        Args:
            n: number of points, at least 1.
            seed: of the draws, which depend on the task's name and dimension, too.
            dtype: of the points (and of a regression's labels).
            test: draw from another stream, for testing.

        Returns:
            X, shape (n, D), and y, shape (n,): int64 -1 or +1, or numbers.

        Raises:
            InputError: if n < 1, or more points are asked for than a pool of images holds.
        """
        if n < 1:
            raise InputError(f"n must be at least 1, got {n}")
        key = [zlib.crc32(self.name.encode()), self.dimension, seed, int(test)]
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
        points = (self.test_draw if test and self.test_draw is not None else self.draw)(rng, n)
        y = self.rule(points)
        return self._turned(points).astype(dtype), y.astype(dtype if self.kind == "regression" else np.int64)

    def bayes(self, X: NDArray[Any]) -> NDArray[Any]:
        """The labels of given points, without error; of a rotated task, of rotated points."""
        points = np.asarray(X, dtype=np.float64)
        return self.rule(points if self.rotation is None else points @ self.rotation)

    def test_set(self, n: int, seed: int, *, dtype: DTypeLike = np.float32) -> tuple[NDArray[Any], NDArray[Any]]:
        """All points where they are finitely many, otherwise n fresh ones."""
        if self.support is None:
            return self.sample(n, seed, dtype=dtype, test=True)
        return self._turned(self.support).astype(dtype), self.rule(self.support)

    def _turned(self, points: Array) -> Array:
        return points if self.rotation is None else points @ self.rotation.T


# ------------------------------------------------------- Gaussian points


def _gaussian(dimension: int) -> Draw:
    return lambda rng, n: rng.standard_normal((n, dimension))


def patches(
    D: int = 32,
    *,
    k: int = 2,
    alpha: "NDArray[Any] | None" = None,
    layout: str = "contiguous",
    name: str = "patches",
) -> Task:
    """y = sign(sum over k patches of alpha_j ||x_(j)||^2), x ~ N(0, I); halves is k = 2, diag is k = D.

    Args:
        D: input dimension, a multiple of k.
        k: patches.
        alpha: weights of the patches; None alternates +1 and -1.
        layout: "contiguous", or "interleaved": coordinate i belongs to patch i mod k.
        name: of the task.
    """
    if k < 1 or D % k:
        raise InputError(f"task '{name}' splits D into {k} equal patches; D = {D} is no multiple of {k}")
    if layout not in ("contiguous", "interleaved"):
        raise InputError(f"layout must be 'contiguous' or 'interleaved', got '{layout}'")
    weights = np.where(np.arange(k) % 2, -1.0, 1.0) if alpha is None else np.asarray(alpha, dtype=np.float64)
    if weights.shape != (k,) or not np.isfinite(weights).all():
        raise InputError(f"alpha must be {k} finite numbers, got shape {weights.shape}")
    size = D // k

    def energies(X: Array) -> Array:
        squares = np.square(np.asarray(X, dtype=np.float64))
        if layout == "contiguous":
            return squares.reshape(-1, k, size).sum(2) / size
        return squares.reshape(-1, size, k).sum(1) / size

    return Task(name, D, _gaussian(D), lambda X: sign(energies(X) @ weights), energies)


def halves(D: int = 32) -> Task:
    """y = sign of the difference of the squared norms of the two halves (theorem 5.2)."""
    if D < 2 or D % 2:
        raise InputError(f"task 'halves' needs an even D of at least 2, got {D}")
    return patches(D, k=2, name="halves")


def diag(D: int = 32, *, alpha: "NDArray[Any] | None" = None) -> Task:
    """y = sign(sum_i alpha_i x_i^2) (theorem 5.3); alpha alternates +1 and -1 by default."""
    return patches(D, k=D, alpha=alpha, name="diag")


def diag_regression(D: int = 32, *, alpha: "NDArray[Any] | None" = None) -> Task:
    """y = sum_i alpha_i x_i^2 (theorem 5.4); alpha is +1 on the first half and -1 on the second by default."""
    if alpha is None and D % 2:
        raise InputError(f"task 'diag_regression' needs an even D, or alpha of your own; got {D}")
    weights = np.where(np.arange(D) < D // 2, 1.0, -1.0) if alpha is None else np.asarray(alpha, dtype=np.float64)
    if weights.shape != (D,):
        raise InputError(f"alpha must be {D} numbers, got shape {weights.shape}")
    return Task(
        "diag_regression",
        D,
        _gaussian(D),
        lambda X: np.square(X) @ weights,
        lambda X: np.square(np.asarray(X, dtype=np.float64)),
        kind="regression",
    )


# ------------------------------------------------------- finitely many points


def _uniform(support: Array) -> Draw:
    return lambda rng, n: support[rng.integers(len(support), size=n)]


def _correlations(X: Array) -> Array:
    """Sum of squares and of products of neighbours: a pooled quadratic filter of two taps is linear in them."""
    X = np.asarray(X, dtype=np.float64)
    return np.stack([np.square(X).sum(1), (X * np.roll(X, -1, axis=1)).sum(1)], axis=1)


def texture(D: int = 32) -> Task:
    """Neighbours, t_i = e_i + e_(i+1), against s_i = e_i + e_(i+2): a matter of local texture (theorem 5.5)."""
    if D < 4:
        raise InputError(f"task 'texture' needs D of at least 4 (below, some point is of both classes), got {D}")
    axes = np.eye(D)
    far, near = axes + np.roll(axes, 2, axis=1), axes + np.roll(axes, 1, axis=1)
    support = np.concatenate([far, near])

    def rule(X: Array) -> NDArray[np.int64]:
        return sign(0.5 - _correlations(X)[:, 1])

    return Task("texture", D, _uniform(support), rule, _correlations, support=support)


def onehot(D: int = 32) -> Task:
    """x = y e_i (the paper's warm-up, section 4.1)."""
    support = np.concatenate([np.eye(D), -np.eye(D)])

    def total(X: Array) -> Array:
        return np.asarray(X, dtype=np.float64).sum(1, keepdims=True)

    return Task("onehot", D, _uniform(support), lambda X: sign(total(X)[:, 0]), total, support=support)


def orthogonal_pairs(D: int = 16, *, draw: int = 0) -> Task:
    """Points that the halves rule labels by fair coins, whichever way an equivariant learner looks (theorem 4.1).

    Args:
        D: even, at least 4; there are M = d(d-1)/2 points with d = D/2.
        draw: seed of the coins.
    """
    if D < 4 or D % 2:
        raise InputError(f"task 'orthogonal_pairs' needs an even D of at least 4, got {D}")
    half = D // 2
    coins, rotation = _signed_rotation(half, draw)
    i, j = np.tril_indices(half, -1)
    axes = np.eye(half)
    first, second = axes[i], rotation[:, j].T
    support = np.concatenate([first + second, first - second], axis=1) / np.sqrt(2)
    task = halves(D)
    assert (task.rule(support) == coins[i, j]).all()
    scale = 1 / np.abs(rotation[i, j]).min()  # the norms differ by little; without scaling a margin is lost in rounding

    def features(X: Array) -> Array:
        energies = np.square(np.asarray(X, dtype=np.float64)).reshape(-1, 2, half).sum(2)
        return (energies - 1) * scale

    return Task("orthogonal_pairs", D, _uniform(support), task.rule, features, support=support)


def _signed_rotation(d: int, draw: int) -> tuple[Array, Array]:
    """Antisymmetric coins S and an orthogonal U = exp(t S) whose entries have the signs of S off the diagonal."""
    from scipy.linalg import expm

    rng = np.random.default_rng([zlib.crc32(b"orthogonal_pairs"), d, draw])
    lower = np.tril(rng.choice([-1.0, 1.0], size=(d, d)), -1)
    coins = lower - lower.T
    t = 0.3 / np.sqrt(d)
    off = ~np.eye(d, dtype=bool)
    while True:
        rotation: Array = expm(t * coins)
        if (np.sign(rotation) == coins)[off].all():
            return coins, rotation
        t /= 2


# ------------------------------------------------------- images


def _channel_energies(shape: tuple[int, int, int]) -> Callable[[Array], Array]:
    channels = shape[0]
    return lambda X: np.square(np.asarray(X, dtype=np.float64)).reshape(len(X), channels, -1).mean(2)


def _red_over_green(X: Array, shape: tuple[int, int, int]) -> NDArray[np.int64]:
    energies = _channel_energies(shape)(X)
    return sign(energies[:, 0] - energies[:, 1])


def channels(D: int = 192) -> Task:
    """Gaussian images (3, H, H): is channel 0 or channel 1 larger in norm? Channel 2 is a distractor (figure 1)."""
    side = round(np.sqrt(D / 3))
    if 3 * side * side != D:
        raise InputError(f"task 'channels' needs D = 3 H H, such as 48, 192, 768 or 3072; got {D}")
    shape = (3, side, side)
    return Task("channels", D, _gaussian(D), lambda X: _red_over_green(X, shape), _channel_energies(shape), image=shape)


def image_task(
    images: NDArray[Any],
    rule: Callable[[Array], NDArray[Any]] | None = None,
    *,
    test_images: NDArray[Any] | None = None,
    name: str = "images",
) -> Task:
    """A task on images of your own, standardised per channel; points are drawn without replacement.

    Args:
        images: shape (N, C, H, W).
        rule: standardised images (n, C, H, W) to labels -1 and +1; None compares the norms of channels 0 and 1.
        test_images: what to test on, standardised like ``images``; None keeps a fifth of the images (at most
            10,000, the last ones) for that.
        name: of the task.

    Raises:
        InputError: if the images are not finite or of another shape, or the labels are not -1 and +1.
    """
    pixels = np.asarray(images, dtype=np.float64)
    if pixels.ndim != 4 or not np.isfinite(pixels).all():
        raise InputError(f"images must be finite, of shape (N, C, H, W); got shape {pixels.shape}")
    if rule is None and pixels.shape[1] < 2:
        raise InputError("images of one channel need a rule of their own: there are no two channels to compare")
    if test_images is None:
        kept = min(len(pixels) // 5, 10_000)
        pixels, held_out = pixels[: len(pixels) - kept], pixels[len(pixels) - kept :]
    else:
        held_out = np.asarray(test_images, dtype=np.float64)
    mean = pixels.mean(axis=(0, 2, 3), keepdims=True)
    sd = pixels.std(axis=(0, 2, 3), keepdims=True)
    train, test = ((part - mean) / np.where(sd > 0, sd, 1.0) for part in (pixels, held_out))
    shape = (train.shape[1], train.shape[2], train.shape[3])
    dimension = int(np.prod(shape))

    def label(X: Array) -> NDArray[Any]:
        if rule is None:
            return _red_over_green(X, shape)
        return _checked_labels(rule(X.reshape(-1, *shape)))

    def pool(points: Array) -> Draw:
        def draw(rng: np.random.Generator, n: int) -> Array:
            if n > len(points):
                raise InputError(f"task '{name}' has {len(points)} images, {n} were asked for")
            return points[rng.permutation(len(points))[:n]]

        return draw

    train, test = train.reshape(len(train), -1), test.reshape(len(test), -1)
    features = _channel_energies(shape)
    return Task(name, dimension, pool(train), label, features, image=shape, test_draw=pool(test))


def _checked_labels(labels: NDArray[Any]) -> NDArray[np.int64]:
    found = np.asarray(labels)
    if not np.isin(found, (-1, 1)).all():
        raise InputError(f"a task's labels must be -1 and +1, got {sorted(set(found.ravel().tolist()))[:4]}")
    return found.astype(np.int64)


# ------------------------------------------------------- by name


TASKS: dict[str, Callable[..., Task]] = {
    "halves": halves,
    "channels": channels,
    "diag": diag,
    "diag_regression": diag_regression,
    "texture": texture,
    "onehot": onehot,
    "orthogonal_pairs": orthogonal_pairs,
    "patches": patches,
}
"""Name -> function of D and the task's own options."""


def make_task(name: str, D: int, **options: Any) -> Task:
    """The task of that name in D dimensions.

    Raises:
        InputError: for an unknown name, or a D that the task does not have.
    """
    if name not in TASKS:
        raise InputError(f"there is no task '{name}'; there are: {', '.join(TASKS)}")
    if D < 1:
        raise InputError(f"D must be at least 1, got {D}")
    return TASKS[name](D, **options)


def random_rotation(dimension: int, rng: np.random.Generator) -> Array:
    """A rotation or reflection from the Haar measure, shape (D, D)."""
    from scipy.stats import ortho_group

    return np.asarray(ortho_group.rvs(dimension, random_state=rng)) if dimension > 1 else np.eye(1)


def rotate(task: Task, rotation: Array | int) -> Task:
    """The task with its points turned after labelling, and the labels kept.

    Args:
        task: any task.
        rotation: an orthogonal matrix (D, D), or the seed of a random one.
    """
    if isinstance(rotation, int):
        rotation = random_rotation(task.dimension, np.random.default_rng(rotation))
    if rotation.shape != (task.dimension, task.dimension):
        raise InputError(f"the rotation must be {task.dimension} x {task.dimension}, got shape {rotation.shape}")
    if np.abs(rotation.T @ rotation - np.eye(task.dimension)).max() > 1e-6:
        raise InputError("the rotation is not orthogonal: R^T R differs from I by more than 1e-6")
    turned = rotation if task.rotation is None else rotation @ task.rotation
    return replace(task, rotation=turned)
