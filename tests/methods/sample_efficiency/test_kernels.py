"""Kernel learners: exact laws, equal solutions by different ways, invariance."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from rostra.engine.errors import InputError
from rostra.methods.sample_efficiency.kernels import (
    KernelClassifier,
    NTKRegressor,
    QuadraticKernel,
    interpolate,
    kernel_predictions,
    ntk,
    rbf,
    relative_error,
    ridge_matrix,
    traceless_features,
)
from rostra.methods.sample_efficiency.objective import regression_law, traceless_dimension
from rostra.methods.sample_efficiency.protocol import regression_errors
from rostra.methods.sample_efficiency.tasks import diag, halves, random_rotation


def traceless_kernel(a, b):
    return (a @ b.T) ** 2 - np.outer(np.square(a).sum(1), np.square(b).sum(1)) / a.shape[1]


def forms(X, matrix):
    return np.einsum("nd,de,ne->n", X, matrix, X)


@pytest.mark.parametrize("dimension", [2, 4, 9])
def test_traceless_features_have_the_kernels_inner_products(dimension):
    X = np.random.default_rng(0).standard_normal((12, dimension))
    features = traceless_features(X)
    assert features.shape == (12, traceless_dimension(dimension))
    assert np.allclose(features @ features.T, traceless_kernel(X, X))


@pytest.mark.parametrize("target", ["halves", "random", "rank2"])
@pytest.mark.parametrize("dimension", [4, 8, 16])
def test_regression_follows_the_exact_law(dimension, target):
    """Mean relative error 1 - n / p, whatever the target; exactly 0 from n = p on."""
    fractions = (0.1, 0.5, 0.9, 1.0)
    runs = [regression_errors(dimension, fractions, target, 1, seed) for seed in range(80)]
    p = traceless_dimension(dimension)
    for fraction in fractions[:3]:
        errors = np.array([run[fraction] for run in runs])
        law = regression_law(max(1, round(fraction * p)), dimension)
        assert abs(errors.mean() - law) < 4 * errors.std(ddof=1) / np.sqrt(len(errors)), (fraction, law)
    assert max(run[1.0] for run in runs) < 1e-8


def test_the_submissions_constant_cannot_hold():
    """<x, x'>^2 is equivariant, and recovers every form from D(D + 1)/2 < D(D + 3)/2 - 1 examples."""
    dimension = 8
    n = dimension * (dimension + 1) // 2
    printed = 1 - (n + 1) / (dimension * (dimension + 3) / 2)
    assert printed > 0.1
    rng = np.random.default_rng(0)
    target = np.diag(rng.standard_normal(dimension))
    X = rng.standard_normal((n, dimension))
    assert np.allclose(interpolate(X, forms(X, target), traceless=False), target, atol=1e-6)


def test_the_trace_of_a_target_is_never_learned():
    target = np.diag([3.0, 1, 0, 0])
    X = np.random.default_rng(0).standard_normal((200, 4))
    found = interpolate(X, forms(X, target))
    assert np.trace(found) == pytest.approx(0)
    assert relative_error(target, found) > 0.3


@pytest.mark.parametrize("n", [40, 300])
def test_conjugate_gradients_kernel_and_features_agree(n):
    """The same ridge regression by three ways, with fewer and with more points than features."""
    dimension, ridge = 12, 144.0
    X, y = halves(dimension).sample(n, 0, dtype=np.float64)
    X_test = halves(dimension).sample(30, 1, dtype=np.float64)[0]
    matrix = ridge_matrix(X, y.astype(float), ridge)
    by_kernel = kernel_predictions(traceless_kernel, X, y, X_test, [n], ridge)[0]
    features = traceless_features(X)
    weight = np.linalg.solve(features.T @ features + ridge * np.eye(features.shape[1]), features.T @ y)
    by_features = traceless_features(X_test) @ weight
    assert np.allclose(forms(X_test, matrix), by_features, atol=1e-8)
    assert np.allclose(by_kernel, by_features, atol=1e-8)


def test_curves_take_all_sizes_at_once():
    X, y = halves(8).sample(200, 0, dtype=np.float64)
    X_test = halves(8).sample(20, 1, dtype=np.float64)[0]
    sizes = [20, 90, 200]
    predictions = kernel_predictions(rbf, X, y, X_test, sizes, 0.1)
    for n, predicted in zip(sizes, predictions, strict=True):
        dual = np.linalg.solve(rbf(X[:n], X[:n]) + 0.1 * np.eye(n), y[:n])
        assert np.allclose(predicted, rbf(X_test, X[:n]) @ dual)


def test_single_precision_is_close():
    X, y = halves(16).sample(700, 0)
    single = ridge_matrix(X, y.astype(np.float32), 256.0)
    double = ridge_matrix(X.astype(np.float64), y.astype(np.float64), 256.0)
    assert single.dtype == np.float32
    assert np.abs(single - double).max() < 1e-4 * np.abs(double).max()


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_tangent_kernel_sees_inner_products_alone(depth):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 10, 6))
    rotation = random_rotation(6, rng)
    assert np.allclose(ntk(a, b, depth=depth), ntk(a @ rotation.T, b @ rotation.T, depth=depth))
    assert np.linalg.eigvalsh(ntk(a, a, depth=depth)).min() > 0


def test_tangent_kernel_of_two_layers_by_monte_carlo():
    """f = sqrt(2 / m) sum_j a_j relu(w_j x / sqrt(D)): the mean product of gradients over many units."""
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((2, 5))
    w = rng.standard_normal((400_000, 5))
    u, v = w @ x / np.sqrt(5), w @ z / np.sqrt(5)
    top = 2 * np.mean(np.maximum(u, 0) * np.maximum(v, 0))
    bottom = 2 * np.mean((u > 0) & (v > 0)) * (x @ z) / 5
    assert ntk(x[None], z[None])[0, 0] == pytest.approx(top + bottom, rel=0.02)


def test_quadratic_kernel_learns_halves_and_ntk_regresses():
    X, y = halves(8).sample(400, 0)
    X_test, y_test = halves(8).sample(2000, 0, test=True)
    assert QuadraticKernel().fit(X, y).score(X_test, y_test) > 0.92
    assert KernelClassifier("ntk").fit(X, y).score(X_test, y_test) > 0.75
    model = NTKRegressor(depth=3, ridge=1e-8).fit(X[:50], y[:50])
    assert np.allclose(model.predict(X[:50]), y[:50], atol=1e-3)


def test_ridgeless_labels_dip_where_features_run_out():
    """Double descent: accuracy is not monotone in n, so nothing may assume it."""
    task = halves(8)
    X_test, y_test = task.sample(4000, 0, test=True)

    def accuracy(n):
        return np.mean([QuadraticKernel(ridge=0).fit(*task.sample(n, s)).score(X_test, y_test) for s in range(10)])

    few, critical, many = (accuracy(n) for n in (16, 35, 120))
    assert critical < few - 0.02
    assert many > critical + 0.1


@pytest.mark.parametrize("kernel", ["rbf", "polynomial", traceless_kernel])
def test_kernels_by_name_and_by_function(kernel):
    X, y = diag(4).sample(120, 0)
    assert KernelClassifier(kernel).fit(X, y).score(X, y) > 0.6


def test_wrong_settings_are_refused():
    X, y = halves(4).sample(20, 0)
    for model, message in (
        (KernelClassifier("sigmoid"), "kernel must be one of rbf"),
        (KernelClassifier(ridge=0.0), "ridge must be above 0"),
        (QuadraticKernel(ridge=-1.0), "must not be negative"),
        (KernelClassifier("ntk", depth=1), "depth must be at least 2"),
    ):
        with pytest.raises(InputError, match=message):
            model.fit(X, y)


@parametrize_with_checks(
    [QuadraticKernel(), KernelClassifier(), NTKRegressor()],
    expected_failed_checks=lambda estimator: (
        {"check_classifiers_train": "x and -x have one answer: two blobs on either side of 0 cannot be told apart"}
        if isinstance(estimator, QuadraticKernel)
        else {}
    ),
)
def test_scikit_learns_suite(estimator, check):
    check(estimator)
