"""Fair metrics: squared distances between people that do not count what should not matter.

d_X(x, x') = (x - x')^T Sigma (x - x') with a symmetric positive semi-definite Sigma. Most of them ignore a *sensitive
subspace* spanned by the columns of A: Sigma = I - A A^T for orthonormal A.
"""

__all__ = ["FairMetric", "logistic_directions", "orthonormal_directions", "svd_directions"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from rostra.engine.checkpoints import load_checkpoint, rebuilding, save_checkpoint
from rostra.engine.errors import InputError
from rostra.engine.progress import progress

Array = NDArray[np.float64]

KIND = "sensei-metric"
SHORTEST_STEP = 1e-6
RANK_TOLERANCE = 1e-6
"""Directions whose singular value is below this share of the largest are dropped."""


class FairMetric(nn.Module):
    """A squared Mahalanobis distance; made by one of the class methods.

    Called as a distance it takes two batches of rows, item by item or all pairs, and so serves as
    ``distance_x`` of :class:`rostra.methods.sensei.SenSeI`.

    Attributes:
        sigma: shape (d, d).
        directions: A, shape (d, k) with orthonormal columns, or None where Sigma is no projection.
    """

    sigma: Tensor
    directions: Tensor | None

    def __init__(self, sigma: ArrayLike, directions: ArrayLike | None = None) -> None:
        super().__init__()
        self.register_buffer("sigma", torch.as_tensor(np.asarray(sigma, dtype=np.float64), dtype=torch.float32))
        found = None if directions is None else np.asarray(directions, dtype=np.float64)
        self.register_buffer("directions", None if found is None else torch.as_tensor(found, dtype=torch.float32))

    # ---------------------------------------------------------------- the metrics

    @classmethod
    def matrix(cls, sigma: ArrayLike) -> Self:
        """Any Sigma of the user's.

        Raises:
            InputError: if it is not square, finite, symmetric and positive semi-definite.
        """
        matrix = _numbers(sigma, "Sigma", 2)
        if matrix.shape[0] != matrix.shape[1]:
            raise InputError(f"Sigma must be a square matrix, got shape {matrix.shape}")
        scale = max(1e-12, float(np.abs(matrix).max()))
        if np.abs(matrix - matrix.T).max() > 1e-6 * scale:
            raise InputError("Sigma must be symmetric; take (Sigma + Sigma.T) / 2 if the difference is rounding")
        least = float(np.linalg.eigvalsh(matrix).min())
        if least < -1e-6 * scale:
            raise InputError(f"Sigma must be positive semi-definite, but has an eigenvalue of {least:.3g}")
        return cls((matrix + matrix.T) / 2)

    @classmethod
    def subspace(cls, directions: ArrayLike, tolerance: float = RANK_TOLERANCE) -> Self:
        """Differences along the given directions do not count; zero and dependent ones do no harm.

        Args:
            directions: a direction a column, shape (d, k).
            tolerance: singular values below this share of the largest are taken for 0.
        """
        basis = orthonormal_directions(directions, tolerance)
        return cls(np.eye(len(basis)) - basis @ basis.T, basis)

    @classmethod
    def svd(cls, groups: Sequence[ArrayLike] | ArrayLike, n_components: int, *, centre: bool = True) -> Self:
        """The subspace in which comparable people differ; see :func:`svd_directions`."""
        return cls.subspace(svd_directions(groups, n_components, centre=centre))

    @classmethod
    def logistic(
        cls,
        X: ArrayLike,
        *,
        columns: Sequence[int] = (),
        attributes: ArrayLike | None = None,
        keep_columns: bool = True,
        penalty: str = "l1",
        C: float = 1.0,
        balanced: bool = False,
    ) -> Self:
        """Directions along which sensitive attributes can be predicted; see :func:`logistic_directions`."""
        found, _ = logistic_directions(
            X,
            columns=columns,
            attributes=attributes,
            keep_columns=keep_columns,
            penalty=penalty,
            C=C,
            balanced=balanced,
        )
        return cls.subspace(found)

    @classmethod
    def euclidean(cls, d: int, *, ignore: Sequence[int] = ()) -> Self:
        """The squared Euclidean distance that gives listed columns no weight."""
        if any(not 0 <= column < d for column in ignore):
            raise InputError(f"ignore must hold columns from 0 to {d - 1}, got {list(ignore)}")
        return cls.subspace(np.eye(d)[:, sorted(set(ignore))])

    @classmethod
    def explore(
        cls,
        first: ArrayLike,
        second: ArrayLike,
        comparable: ArrayLike,
        *,
        iterations: int = 1000,
        batch_size: int = 10_000,
        seed: int = 0,
    ) -> Self:
        """EXPLORE (Mukherjee et al. 2020): Sigma by maximum likelihood from judged pairs.

        P(comparable) = 2 / (1 + exp(d)) with d = v^T Sigma v, v the difference of the pair. Projected stochastic
        gradient descent with step 1 / (1 + floor(iteration / 100)), halved until the minibatch's likelihood does not
        fall, from a random Sigma of Frobenius norm 1.

        Args:
            first, second: the pairs, shape (pairs, d) each.
            comparable: 1 for pairs that should be treated alike, else 0; shape (pairs,).
            iterations, batch_size: of the descent; minibatches are drawn without replacement.
            seed: of the start and of the minibatches.
        """
        difference = _numbers(first, "first", 2) - _numbers(second, "second", 2)
        same = _numbers(comparable, "comparable", 1)
        if len(same) != len(difference) or not set(np.unique(same)) <= {0.0, 1.0}:
            raise InputError(f"comparable must hold 0 or 1 for each of the {len(difference)} pairs")
        rng = np.random.default_rng(seed)
        d, size = difference.shape[1], min(batch_size, len(same))
        start = rng.standard_normal((d, d))
        sigma = start @ start.T
        sigma /= np.linalg.norm(sigma)
        for iteration in progress(range(iterations), "EXPLORE metric", total=iterations):
            batch = rng.choice(len(same), size, replace=False) if size < len(same) else slice(None)
            v, y = difference[batch], same[batch]
            gradient, before = explore_gradient(v, y, sigma), explore_loss(v, y, sigma)
            step = 1.0 / (1 + iteration // 100)
            # A step that is too long for the data ends at Sigma = 0, where incomparable pairs throw it far away.
            while step > SHORTEST_STEP and not explore_loss(v, y, project_psd(sigma - step * gradient)) <= before:
                step /= 2
            sigma = project_psd(sigma - step * gradient)
        return cls(sigma)

    # ---------------------------------------------------------------- use

    @property
    def d(self) -> int:
        """Number of features."""
        return self.sigma.shape[0]

    def forward(self, x1: Tensor, x2: Tensor, itemwise_dist: bool = True) -> Tensor:
        """Distances of rows, (b, d) and (b, d) -> (b, 1), or of all pairs, (b1, d) and (b2, d) -> (b1, b2)."""
        if x1.shape[-1] != self.d:
            raise InputError(f"the metric was made for {self.d} features, the rows have {x1.shape[-1]}")
        if itemwise_dist:
            return self.distance(x1, x2).unsqueeze(-1)
        return self.distance(x1.unsqueeze(-2), x2.unsqueeze(-3))

    def distance(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Distances of rows: (..., d), (..., d) -> (...)."""
        difference = x1 - x2
        if self.directions is None:
            return ((difference @ self.sigma.to(difference)) * difference).sum(-1)
        within = difference @ self.directions.to(difference)
        return (difference.square().sum(-1) - within.square().sum(-1)).clamp_min(0.0)

    def project(self, x: Tensor) -> Tensor:
        """x Sigma: for a subspace metric, the part of the inputs that is not sensitive (comparator Project)."""
        if self.directions is None:
            return x @ self.sigma.to(x)
        basis = self.directions.to(x)
        return x - (x @ basis) @ basis.mT

    def save(self, folder: str | Path) -> None:
        """Write the metric to a folder (safetensors and JSON)."""
        save_checkpoint(Path(folder), KIND, dict(self.state_dict()), {})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a metric back.

        Raises:
            InputError: if the folder is missing, damaged, or of another kind.
        """
        tensors, _ = load_checkpoint(Path(folder), KIND)
        with rebuilding(folder):
            return cls(tensors["sigma"].numpy(), tensors["directions"].numpy() if "directions" in tensors else None)


def orthonormal_directions(directions: ArrayLike, tolerance: float = RANK_TOLERANCE) -> Array:
    """An orthonormal basis of the span of columns: (d, k) -> (d, rank), by singular value decomposition.

    Columns are brought to length 1 before, so that the units of a direction do not decide whether it counts.
    """
    matrix = _numbers(directions, "directions", 2)
    length = np.linalg.norm(matrix, axis=0)
    matrix = matrix[:, length > 0] / length[length > 0]
    if matrix.shape[1] == 0:
        return np.zeros((len(matrix), 0))
    left, singular, _ = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray(left[:, singular > tolerance * singular[0]])


def svd_directions(groups: Sequence[ArrayLike] | ArrayLike, n_components: int, *, centre: bool = True) -> Array:
    """The directions in which comparable people differ most (FACE; Mukherjee et al. 2020): (d, n_components).

    Args:
        groups: each the features of people who should be treated alike, such as one sentence with different names,
            shape (members, d); or one such array.
        n_components: number of directions, at most the rank.
        centre: subtract each group's mean. inFairness does so for a list and not for a single array; without it the
            first direction is the mean of the group, which tells nothing about how its members differ.
    """
    single = isinstance(groups, (np.ndarray, Tensor)) and groups.ndim == 2
    members: Sequence[Any] = [groups] if single else list(groups)  # type: ignore[arg-type]
    arrays = [_numbers(group, "a group", 2) for group in members]
    if len({array.shape[1] for array in arrays}) != 1:
        raise InputError("all groups must have the same number of features")
    stacked = np.concatenate([array - array.mean(axis=0) if centre else array for array in arrays])
    rank = int(np.linalg.matrix_rank(stacked))
    if not 1 <= n_components <= rank:
        raise InputError(f"n_components must be 1 to {rank}, the rank of the differences, got {n_components}")
    return np.asarray(np.linalg.svd(stacked, full_matrices=False)[2][:n_components].T)


def logistic_directions(
    X: ArrayLike,
    *,
    columns: Sequence[int] = (),
    attributes: ArrayLike | None = None,
    regress: Sequence[int] | None = None,
    keep_columns: bool = True,
    penalty: str = "l1",
    C: float = 1.0,
    balanced: bool = False,
) -> tuple[Array, list[float]]:
    """Coefficients of logistic regressions of sensitive attributes on the features.

    Args:
        X: features, shape (rows, d).
        columns: columns of X that hold sensitive attributes, 0 or 1. Each is predicted from the other columns, so its
            direction is 0 there.
        attributes: sensitive attributes that are not in X, 0 or 1, shape (rows, m); instead of ``columns``.
        regress: those of ``columns`` that are predicted; None: all.
        keep_columns: also give the axis of each of ``columns``.
        penalty: "l1" (inFairness) or "l2" (the Adult protocol).
        C: inverse strength of the penalty.
        balanced: weigh both values alike.

    Returns:
        A direction a column, (d, directions), and the area under the ROC curve of each regression on its own rows:
        at .5 the other features tell nothing of the attribute.

    Raises:
        InputError: for attributes that are not 0 and 1, or constant.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    features = _numbers(X, "X", 2)
    if (attributes is None) == (not len(columns)):
        raise InputError("give either the columns of X that are sensitive, or attributes apart from X")
    if penalty not in ("l1", "l2"):
        raise InputError(f"penalty must be 'l1' or 'l2', got {penalty!r}")
    d = features.shape[1]
    free = [column for column in range(d) if column not in set(columns)]
    if not free:
        raise InputError("X has no column besides the sensitive ones, so nothing can tell them")
    chosen = list(columns if regress is None else regress)
    targets = features[:, chosen] if attributes is None else _numbers(attributes, "attributes", 2)
    directions: list[Array] = []
    areas: list[float] = []
    for number, target in enumerate(targets.T):
        if set(np.unique(target)) != {0.0, 1.0}:
            raise InputError(f"sensitive attribute {number} must hold both 0 and 1 and nothing else")
        model = LogisticRegression(
            solver="liblinear",
            l1_ratio=1.0 if penalty == "l1" else 0.0,
            C=C,
            class_weight="balanced" if balanced else None,
            random_state=0,
            max_iter=1000,
        ).fit(features[:, free], target)
        direction = np.zeros(d)
        direction[free] = model.coef_[0]
        directions.append(direction)
        areas.append(float(roc_auc_score(target, model.decision_function(features[:, free]))))
    if attributes is None and keep_columns:
        directions += list(np.eye(d)[list(columns)])
    return np.stack(directions, axis=1), areas


def explore_loss(difference: Array, comparable: Array, sigma: Array) -> float:
    """EXPLORE's mean negative log-likelihood: -log of 2 / (1 + exp(d)), or of (exp(d) - 1) / (exp(d) + 1)."""
    distance = _pair_distances(difference, sigma)
    same = np.logaddexp(0.0, distance) - np.log(2)
    other = -np.log(np.tanh(np.minimum(distance, 700.0) / 2))
    return float((comparable * same + (1 - comparable) * other).mean())


def _pair_distances(difference: Array, sigma: Array) -> Array:
    found: Array = np.einsum("pi,ij,pj->p", difference, sigma, difference, optimize=True)
    return np.maximum(found, 1e-10)


def explore_gradient(difference: Array, comparable: Array, sigma: Array) -> Array:
    """Gradient of EXPLORE's mean negative log-likelihood in Sigma: (d, d).

    With d = v^T Sigma v: d/dd of log(1 + exp(d)) - log 2 is sigmoid(d) for comparable pairs; for the others
    -log(1 - 2 / (1 + exp(d))) has the derivative -2 sigmoid(d) / (exp(d) - 1).

    Args:
        difference: v, shape (pairs, d).
        comparable: 0 or 1, shape (pairs,).
        sigma: shape (d, d).
    """
    from scipy.special import expit

    distance = _pair_distances(difference, sigma)
    # 2 sigmoid(d) / (exp(d) - 1) = 2 / (exp(d) - exp(-d)), which does not overflow where the distance is capped
    other = 1.0 / np.sinh(np.minimum(distance, 700.0))
    slope = comparable * expit(distance) - (1 - comparable) * other
    gradient: Array = (difference * slope[:, None]).T @ difference / len(difference)
    return gradient


def project_psd(sigma: Array) -> Array:
    """The nearest positive semi-definite matrix; eigenvalues below 1e-8 are dropped."""
    values, vectors = np.linalg.eigh((sigma + sigma.T) / 2)
    kept = values >= 1e-8
    return np.asarray((vectors[:, kept] * values[kept]) @ vectors[:, kept].T)


def _numbers(values: Any, name: str, dimensions: int) -> Array:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    try:
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} must hold numbers") from None
    if array.ndim != dimensions:
        raise InputError(f"{name} must have {dimensions} dimension{'s' * (dimensions > 1)}, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds NaN or infinity; fill or drop those rows")
    return array
