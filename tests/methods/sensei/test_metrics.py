"""Fair metrics: what they must ignore, and what they must learn."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rostra.engine.errors import InputError
from rostra.methods.sensei.metrics import (
    FairMetric,
    explore_gradient,
    explore_loss,
    logistic_directions,
    orthonormal_directions,
    project_psd,
    svd_directions,
)

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def same_draws(monkeypatch):
    """Each test draws the same numbers, whatever ran before it."""
    monkeypatch.setitem(globals(), "RNG", np.random.default_rng(0))


@given(matrix=arrays(np.float64, (5, 2), elements=st.floats(-10, 10, width=32)), scale=st.floats(1e-3, 1e3))
def test_a_subspace_metric_is_a_projection_that_ignores_its_directions(matrix, scale):
    """Symmetric, idempotent, of trace d - rank; duplicated, scaled and zero columns change nothing."""
    columns = np.column_stack([matrix, matrix[:, :1] * scale, np.zeros(5)])
    sigma = FairMetric.subspace(columns).sigma.double().numpy()
    rank = orthonormal_directions(columns).shape[1]
    np.testing.assert_allclose(sigma, sigma.T, atol=1e-6)
    np.testing.assert_allclose(sigma @ sigma, sigma, atol=1e-5)
    assert np.trace(sigma) == pytest.approx(5 - rank, abs=1e-5)
    lengths = np.maximum(np.linalg.norm(columns, axis=0), 1e-9)
    assert np.abs(sigma @ (columns / lengths)).max() < 1e-4


@given(shift=arrays(np.float64, 2, elements=st.floats(-5, 5)))
@settings(max_examples=30)
def test_moves_inside_the_subspace_are_free(shift):
    """d(x, x' + A c) = d(x, x')."""
    directions = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [0.5, 0.0]])
    metric = FairMetric.subspace(directions)
    a, b = torch.tensor(RNG.standard_normal((2, 3, 4)))
    moved = b + torch.tensor(directions @ shift)
    torch.testing.assert_close(metric.distance(a, b), metric.distance(a, moved), atol=1e-4, rtol=1e-4)


def test_distances_item_by_item_and_of_all_pairs():
    """(b, 1) is the diagonal of (b, b); by directions and by Sigma alike."""
    metric = FairMetric.subspace(RNG.standard_normal((4, 2)))
    a, b = torch.tensor(RNG.standard_normal((2, 6, 4)), dtype=torch.float32)
    every = metric(a, b, itemwise_dist=False)
    torch.testing.assert_close(every.diagonal()[:, None], metric(a, b))
    plain = FairMetric.matrix(metric.sigma.numpy())
    torch.testing.assert_close(plain(a, b), metric(a, b), atol=1e-5, rtol=1e-4)
    with pytest.raises(InputError, match="made for 4 features, the rows have 3"):
        metric(a[:, :3], b[:, :3])


def test_a_projection_leaves_the_distance():
    """|P x - P x'|^2 = d(x, x')."""
    metric = FairMetric.subspace(RNG.standard_normal((4, 1)))
    a, b = torch.tensor(RNG.standard_normal((2, 6, 4)))
    projected = (metric.project(a) - metric.project(b)).square().sum(-1)
    torch.testing.assert_close(projected, metric.distance(a, b), atol=1e-5, rtol=1e-5)  # directions are float32


def test_the_logistic_direction_is_found():
    """Where sex = sign(w x): |cos| with w above .95, and the AUC says that it is told."""
    w = np.array([1.0, -2.0, 0.5, 0.0])
    features = RNG.standard_normal((4000, 4))
    sex = (features @ w > 0).astype(float)
    table = np.column_stack([features, sex])
    for penalty in ("l1", "l2"):
        directions, areas = logistic_directions(table, columns=[4], penalty=penalty)
        found = directions[:4, 0]
        assert abs(found @ w) / np.linalg.norm(found) / np.linalg.norm(w) > 0.95
        assert directions[4, 0] == 0
        np.testing.assert_array_equal(directions[:, 1], [0, 0, 0, 0, 1])
        assert areas[0] > 0.99
    apart, _ = logistic_directions(features, attributes=sex[:, None])
    assert apart.shape == (4, 1)
    assert logistic_directions(table, columns=[4], keep_columns=False)[0].shape == (5, 1)


@pytest.mark.parametrize("target", [np.zeros(50), np.arange(50) % 3])
def test_attributes_that_are_not_both_0_and_1_are_refused(target):
    with pytest.raises(InputError, match="must hold both 0 and 1 and nothing else"):
        logistic_directions(RNG.standard_normal((50, 2)), attributes=target[:, None])


def test_centring_matters_for_the_directions_of_groups():
    """Groups far from 0 whose members differ along one axis: without centring the first direction is the mean."""
    axis, mean = np.array([0.0, 1.0, 0.0]), np.array([5.0, 0.0, 0.0])
    groups = [mean + RNG.standard_normal((20, 1)) * axis + 0.01 * RNG.standard_normal((20, 3)) for _ in range(3)]
    assert abs(svd_directions(groups, 1)[:, 0] @ axis) > 0.99
    assert abs(svd_directions(groups, 1, centre=False)[:, 0] @ mean / 5) > 0.99
    single = svd_directions(groups[0], 1)
    assert abs(single[:, 0] @ axis) > 0.99
    with pytest.raises(InputError, match="n_components must be 1 to 3"):
        svd_directions(groups, 4)


def test_the_gradient_of_explore_is_that_of_autograd():
    """Of the mean negative log-likelihood, P(comparable) = 2 / (1 + exp(d))."""
    difference, comparable = RNG.standard_normal((30, 3)), (np.arange(30) % 2).astype(float)
    sigma = torch.tensor(np.diag([0.5, 1.0, 0.2]) + 0.1, requires_grad=True)
    v, y = torch.tensor(difference), torch.tensor(comparable)
    d = torch.einsum("pi,ij,pj->p", v, sigma, v)
    p = 2 / (1 + torch.exp(d))
    loss = -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()
    (wanted,) = torch.autograd.grad(loss, [sigma])
    np.testing.assert_allclose(explore_gradient(difference, comparable, sigma.detach().numpy()), wanted, atol=1e-10)


def test_explore_does_not_overflow():
    """Distances of 1e8 and of 0."""
    difference = np.array([[1e4, 0.0], [0.0, 0.0]])
    found = explore_gradient(difference, np.array([0.0, 0.0]), np.eye(2))
    assert np.isfinite(found).all()


def test_explore_learns_the_matrix_that_judged_the_pairs():
    """Correlation of the learned Sigma with the true one above .9; symmetric and positive semi-definite."""
    truth = np.diag([2.0, 0.5, 0.0, 0.0])
    first, second = RNG.standard_normal((2, 20_000, 4))
    d = np.einsum("pi,ij,pj->p", first - second, truth, first - second)
    comparable = (RNG.uniform(size=len(d)) < 2 / (1 + np.exp(d))).astype(float)
    sigma = FairMetric.explore(first, second, comparable, iterations=400, batch_size=2000).sigma.double().numpy()
    assert np.corrcoef(sigma.ravel(), truth.ravel())[0, 1] > 0.9
    np.testing.assert_allclose(sigma, sigma.T, atol=1e-6)
    assert np.linalg.eigvalsh(sigma).min() > -1e-6


@pytest.mark.parametrize("d", [5, 20])
def test_explore_does_not_run_away(d):
    """With many standardised columns: the likelihood rises, and the sensitive axis costs less than the others."""
    x = RNG.standard_normal((2000, d))
    x[:, 0] = RNG.integers(0, 2, 2000)
    label = x[:, 1] + 0.5 * x[:, 0] > 0
    one, other = RNG.integers(2000, size=(2, 20_000))
    alike = (label[one] == label[other]) & (x[one, 0] != x[other, 0])
    unlike = label[one] != label[other]
    first, second = np.concatenate([x[one[alike]], x[one[unlike]]]), np.concatenate([x[other[alike]], x[other[unlike]]])
    comparable = np.repeat([1.0, 0.0], [alike.sum(), unlike.sum()])
    sigma = FairMetric.explore(first, second, comparable, iterations=150, batch_size=2000).sigma.double().numpy()
    assert np.linalg.eigvalsh(sigma).max() < 10
    assert sigma[0, 0] < 0.5 * sigma[1, 1]
    assert explore_loss(first - second, comparable, sigma) < explore_loss(first - second, comparable, np.eye(d))


def test_the_nearest_positive_semi_definite_matrix():
    np.testing.assert_allclose(project_psd(np.diag([2.0, -3.0, 1e-9])), np.diag([2.0, 0.0, 0.0]), atol=1e-12)


def test_protected_columns_count_nothing():
    metric = FairMetric.euclidean(3, ignore=[1])
    difference = torch.tensor([[1.0, 7.0, 2.0]])
    assert metric.distance(difference, torch.zeros(1, 3)).item() == pytest.approx(5.0)
    with pytest.raises(InputError, match="ignore must hold columns from 0 to 2"):
        FairMetric.euclidean(3, ignore=[3])


@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        (np.ones((2, 3)), "square matrix"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), "must be symmetric"),
        (np.diag([1.0, -1.0]), "must be positive semi-definite, but has an eigenvalue of -1"),
        (np.array([[np.nan, 0.0], [0.0, 1.0]]), "NaN or infinity"),
        (np.ones(3), "2 dimensions"),
        ([["a", "b"], ["c", "d"]], "must hold numbers"),
    ],
)
def test_matrices_that_are_no_metric_are_refused(sigma, message):
    with pytest.raises(InputError, match=message):
        FairMetric.matrix(sigma)


def test_a_metric_is_saved_and_read_back(tmp_path):
    """With and without directions."""
    for name, metric in {
        "a": FairMetric.subspace(np.eye(3)[:, :1]),
        "b": FairMetric.matrix(np.diag([1.0, 2.0])),
    }.items():
        metric.save(tmp_path / name)
        again = FairMetric.load(tmp_path / name)
        torch.testing.assert_close(again.sigma, metric.sigma)
        assert (again.directions is None) == (metric.directions is None)
