"""Kernel learners, exactly equivariant under rotations and free of training noise.

Ridge regression with kernels of inner products and norms. The quadratic ones are solved without their kernel matrix:
their predictor is a symmetric D x D matrix, and conjugate gradients need 4 n D^2 operations a step instead of the
n D^4 / 4 of a Gram matrix of features. Curves take all sizes of a nested pool at once.
"""

__all__ = [
    "KernelClassifier",
    "NTKRegressor",
    "QuadraticKernel",
    "interpolate",
    "kernel_predictions",
    "ntk",
    "polynomial",
    "quadratic_forms",
    "relative_error",
    "ridge_matrix",
    "rbf",
    "traceless_features",
]

import functools
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from rostra.engine.errors import InputError

from .classification import SignOutput, as_signs

Array = NDArray[np.float64]
Kernel = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]
"""Points (n, D) and (m, D) to a matrix (n, m)."""

BLOCK_NUMBERS = 2**17


# ------------------------------------------------------- kernels


def polynomial(a: NDArray[Any], b: NDArray[Any], *, degree: int = 2, offset: float = 0.0) -> NDArray[Any]:
    """(<x, x'> + offset)^degree."""
    return (a @ b.T + offset) ** degree


def rbf(a: NDArray[Any], b: NDArray[Any], *, gamma: float | None = None) -> NDArray[Any]:
    """exp(-gamma ||x - x'||^2); gamma is 1 / D by default."""
    squared = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    return np.exp(-(1 / a.shape[1] if gamma is None else gamma) * np.maximum(squared, 0.0))


def ntk(a: NDArray[Any], b: NDArray[Any], *, depth: int = 2) -> NDArray[Any]:
    """Neural tangent kernel of a wide ReLU net of `depth` layers without biases, first layer N(0, 1 / D).

    The arc-cosine recursion (Cho, Saul 2009; Jacot et al. 2018): weights N(0, 2 / width) above the first layer keep
    the size of the activations. It depends on inner products alone, so it is equivariant under rotations.
    """
    if depth < 2:
        raise InputError(f"depth must be at least 2, got {depth}")
    dimension = a.shape[1]
    norms = np.sqrt(np.square(a).sum(1)[:, None] * np.square(b).sum(1)) / dimension
    covariance = a @ b.T / dimension
    tangent = covariance.copy()
    for _ in range(depth - 1):
        cosine = np.clip(np.divide(covariance, norms, out=np.zeros_like(norms), where=norms > 0), -1.0, 1.0)
        cosine = np.where(1 - np.abs(cosine) < 1e-14, np.sign(cosine), cosine)  # arccos blows rounding up at 1
        angle = np.arccos(cosine)
        slope = 1 - angle / np.pi
        covariance = norms * (np.sqrt(1 - cosine**2) / np.pi + cosine * slope)
        tangent = tangent * slope + covariance
    return tangent


# ------------------------------------------------------- quadratic kernels


def traceless_features(X: NDArray[Any]) -> Array:
    """Coordinates of x x^T - (||x||^2 / D) I in an orthonormal basis of the traceless symmetric matrices.

    Returns:
        Shape (n, (D - 1)(D + 2) / 2); inner products are <x, x'>^2 - ||x||^2 ||x'||^2 / D.
    """
    X = np.asarray(X, dtype=np.float64)
    i, j = np.triu_indices(X.shape[1], 1)
    return np.concatenate([np.sqrt(2) * X[:, i] * X[:, j], np.square(X) @ _helmert(X.shape[1]).T], axis=1)


@functools.lru_cache(maxsize=16)
def _helmert(dimension: int) -> Array:
    return np.asarray(linalg.helmert(dimension))


def _as_matrix(coefficients: Array, dimension: int) -> Array:
    """The traceless matrix of given coordinates."""
    i, j = np.triu_indices(dimension, 1)
    matrix = np.zeros((dimension, dimension))
    matrix[i, j] = coefficients[: len(i)] / np.sqrt(2)
    matrix += matrix.T
    matrix[np.diag_indices(dimension)] = _helmert(dimension).T @ coefficients[len(i) :]
    return matrix


def interpolate(X: NDArray[Any], y: Array, *, traceless: bool = True) -> Array:
    """The symmetric matrix of least norm with x_i^T A x_i = y_i: ridgeless kernel regression.

    Args:
        X: points, (n, D).
        y: numbers, (n,).
        traceless: among the matrices of trace 0. Where none fits, the one of least squares.

    Returns:
        A, shape (D, D), float64.
    """
    X = np.asarray(X, dtype=np.float64)
    dimension = X.shape[1]
    if traceless:
        return _as_matrix(linalg.lstsq(traceless_features(X), y, lapack_driver="gelsy")[0], dimension)
    i, j = np.triu_indices(dimension, 1)
    features = np.concatenate([np.sqrt(2) * X[:, i] * X[:, j], np.square(X)], axis=1)
    coefficients = linalg.lstsq(features, y, lapack_driver="gelsy")[0]
    matrix = np.zeros((dimension, dimension))
    matrix[i, j] = coefficients[: len(i)] / np.sqrt(2)
    matrix += matrix.T
    matrix[np.diag_indices(dimension)] = coefficients[len(i) :]
    return matrix


def quadratic_forms(X: NDArray[Any], matrix: NDArray[Any]) -> NDArray[Any]:
    """x_i^T M x_i of every row: (n, D), (D, D) -> (n,)."""
    size = max(64, BLOCK_NUMBERS // X.shape[1])
    parts = [np.einsum("nd,nd->n", X[i : i + size] @ matrix, X[i : i + size]) for i in range(0, len(X), size)]
    return np.concatenate(parts)


def _moments(X: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Sum of weights_i x_i x_i^T."""
    size = max(64, BLOCK_NUMBERS // X.shape[1])
    total = np.zeros((X.shape[1],) * 2, dtype=X.dtype)
    for i in range(0, len(X), size):
        total += (X[i : i + size] * weights[i : i + size, None]).T @ X[i : i + size]
    return total


def ridge_matrix(
    X: NDArray[Any],
    y: NDArray[Any],
    ridge: float,
    *,
    traceless: bool = True,
    tolerance: float | None = None,
) -> NDArray[Any]:
    """The symmetric matrix A that minimises sum (x_i^T A x_i - y_i)^2 + ridge ||A||^2, by conjugate gradients.

    That is kernel ridge regression with <x, x'>^2, or with its traceless part. The condition number of the normal
    equations stays small for a ridge of the size of D^2, and so does the number of steps, about 15, whatever n.

    Args:
        X, y: points (n, D) and numbers (n,), of one type.
        ridge: above 0.
        traceless: among matrices of trace 0.
        tolerance: of the gradient, relative to the one at 0; None: 1e-5 in float32, 1e-11 in float64.
    """
    limit = tolerance if tolerance is not None else (1e-5 if X.dtype == np.float32 else 1e-11)
    project = _without_trace if traceless else lambda matrix: matrix
    right = project(_moments(X, y))
    matrix = np.zeros_like(right)

    def normal(m: NDArray[Any]) -> NDArray[Any]:
        return project(_moments(X, quadratic_forms(X, m))) + np.asarray(ridge, dtype=m.dtype) * m

    residual, direction = right, right.copy()
    size = float(np.vdot(right, right))
    goal = limit**2 * size
    for _ in range(10 * X.shape[1] ** 2):
        if size <= goal:
            break
        image = normal(direction)
        step = np.asarray(size / float(np.vdot(direction, image)), dtype=right.dtype)
        matrix = matrix + step * direction
        residual = residual - step * image
        before, size = size, float(np.vdot(residual, residual))
        direction = residual + np.asarray(size / before, dtype=right.dtype) * direction
    return matrix


def _without_trace(matrix: NDArray[Any]) -> NDArray[Any]:
    matrix[np.diag_indices(len(matrix))] -= np.trace(matrix) / len(matrix)
    return matrix


def kernel_predictions(
    kernel: Kernel, X: NDArray[Any], y: NDArray[Any], X_test: NDArray[Any], sizes: Sequence[int], ridge: float
) -> Array:
    """Ridge regression with any kernel on the first n points, for every n of ``sizes``, by one factorisation.

    A leading block of a Cholesky factor is the factor of the leading block, and the prediction from n points is the
    sum of the first n terms of V z, with L z = y and L V = K(X, X_test).

    Returns:
        Predictions, shape (len(sizes), m).
    """
    last = max(sizes)
    gram = np.asarray(kernel(X[:last], X[:last]), dtype=np.float64)
    gram[np.diag_indices(last)] += ridge
    factor = linalg.cholesky(gram, lower=True, overwrite_a=True)
    cross = np.asarray(kernel(X[:last], X_test), dtype=np.float64)
    both = linalg.solve_triangular(factor, np.column_stack([np.asarray(y[:last], dtype=np.float64), cross]), lower=True)
    z, v = both[:, 0], both[:, 1:]
    return np.stack([z[:n] @ v[:n] for n in sizes])


# ------------------------------------------------------- estimators


class QuadraticKernel(SignOutput):
    """Ridge regression on labels -1 and +1 with a quadratic kernel: the default learner of the study.

    Args:
        traceless: <x, x'>^2 - ||x||^2 ||x'||^2 / D instead of <x, x'>^2.
        ridge: None takes D^2, which gives curves without double descent; 0 interpolates.

    After ``fit``: ``matrix_``, the symmetric D x D matrix A of the decision x^T A x.
    """

    def __init__(self, traceless: bool = True, ridge: float | None = None) -> None:
        self.traceless = traceless
        self.ridge = ridge

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to points (n, D) and labels of two classes."""
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        if self.ridge is not None and self.ridge < 0:
            raise InputError(f"ridge must not be negative, got {self.ridge}")
        self.classes_, signs = as_signs(y)
        ridge = X.shape[1] ** 2 if self.ridge is None else self.ridge
        if ridge > 0:
            self.matrix_ = ridge_matrix(X, signs.astype(X.dtype), ridge, traceless=self.traceless)
        else:
            self.matrix_ = interpolate(X, signs.astype(np.float64), traceless=self.traceless)
        return self

    def _outputs(self, X: NDArray[Any]) -> Array:
        return quadratic_forms(X, self.matrix_.astype(X.dtype)).astype(np.float64)


class KernelClassifier(SignOutput):
    """Ridge regression on labels -1 and +1 with a kernel of inner products and norms.

    Args:
        kernel: "rbf", "polynomial", "ntk", or a function of points (n, D) and (m, D).
        ridge: above 0, relative to the mean of the kernel's diagonal.
        depth: layers of the net behind "ntk".
    """

    def __init__(self, kernel: "str | Kernel" = "rbf", ridge: float = 1e-3, depth: int = 2) -> None:
        self.kernel = kernel
        self.ridge = ridge
        self.depth = depth

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to points (n, D) and labels of two classes."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        self.classes_, signs = as_signs(y)
        self.X_fit_, self.dual_coef_ = X, _dual(self._kernel(), X, signs.astype(np.float64), self.ridge)
        return self

    def _kernel(self) -> Kernel:
        return kernel_function(self.kernel, self.depth)

    def _outputs(self, X: NDArray[Any]) -> Array:
        return np.asarray(self._kernel()(X, self.X_fit_) @ self.dual_coef_)


class NTKRegressor(RegressorMixin, BaseEstimator):
    """Kernel ridge regression with the tangent kernel of an infinitely wide fully-connected ReLU net.

    Args:
        depth: layers.
        ridge: above 0, relative to the mean of the kernel's diagonal.
    """

    def __init__(self, depth: int = 2, ridge: float = 1e-6) -> None:
        self.depth = depth
        self.ridge = ridge

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to points (n, D) and numbers."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        self.X_fit_ = X
        self.dual_coef_ = _dual(functools.partial(ntk, depth=self.depth), X, np.asarray(y, dtype=float), self.ridge)
        return self

    def predict(self, X: Any) -> Array:
        """Numbers, shape (n,)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray(ntk(X, self.X_fit_, depth=self.depth) @ self.dual_coef_)


def kernel_function(kernel: "str | Kernel", depth: int = 2) -> Kernel:
    """The kernel of that name, or the function itself.

    Raises:
        InputError: for an unknown name.
    """
    if callable(kernel):
        return kernel
    named: dict[str, Kernel] = {"rbf": rbf, "polynomial": polynomial, "ntk": functools.partial(ntk, depth=depth)}
    if kernel not in named:
        raise InputError(f"kernel must be one of {', '.join(named)}, or a function; got '{kernel}'")
    return named[kernel]


def _dual(kernel: Kernel, X: Array, y: Array, ridge: float) -> Array:
    if not ridge > 0:
        raise InputError(f"ridge must be above 0, got {ridge}")
    gram = np.asarray(kernel(X, X), dtype=np.float64)
    gram[np.diag_indices(len(X))] += ridge * max(float(np.trace(gram)) / len(X), np.finfo(float).tiny)
    return np.asarray(linalg.solve(gram, y, assume_a="pos"))


def relative_error(target: Array, found: Array) -> float:
    """E (x^T (A - B) x)^2 / E (x^T A x)^2 over x ~ N(0, I), for traceless A and B: no test set is needed."""
    return float(np.square(target - found).sum() / np.square(target).sum())
