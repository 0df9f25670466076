"""The executable check: every cell of the table, both modes, and what it refuses."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from rostra.engine.errors import InputError
from rostra.methods.sample_efficiency import QuadraticKernel, check_equivariance, symmetry_report
from rostra.methods.sample_efficiency.claims import _ALL_ALGORITHMS, _TABLE_GROUPS
from rostra.methods.sample_efficiency.equivariance import GROUPS, Group, Network, _same_law, image_flip, image_rotation
from rostra.methods.sample_efficiency.zoo import ALGORITHMS, GROUPS_OF_TABLE, zoo_data


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_cell_of_the_table(name):
    """Rounding where theory has equivariance, a visible deviation elsewhere; in float64."""
    algorithm = ALGORITHMS[name]
    for group, found in symmetry_report(algorithm.algorithm, zoo_data(), GROUPS_OF_TABLE).items():
        assert found.passed == (group in algorithm.equivariant), (group, found)
        assert found.relative < 1e-8 or found.relative > 5e-3, (group, found)


def test_the_claim_covers_the_zoo():
    assert list(_ALL_ALGORITHMS) == list(ALGORITHMS)
    assert tuple(_TABLE_GROUPS) == GROUPS_OF_TABLE


def test_adam_keeps_signed_permutations():
    data = zoo_data()
    assert check_equivariance(ALGORITHMS["adam"].algorithm, "signed_permutation", data).relative < 1e-6
    assert check_equivariance(ALGORITHMS["adam"].algorithm, "orthogonal", data).relative > 1e-2


@pytest.mark.parametrize("name", GROUPS)
def test_group_elements_are_what_they_claim(name):
    g = GROUPS[name].matrix(7, np.random.default_rng(0))
    if GROUPS[name].orthogonal:
        assert np.allclose(g @ g.T, np.eye(7))
    else:
        assert np.abs(g @ g.T - np.eye(7)).max() > 0.1
    if "permutation" in name or name == "cyclic_shift":
        assert (np.count_nonzero(g, axis=0) == 1).all()


def test_image_groups_move_pixels():
    image = (2, 3, 3)
    x = np.arange(18.0)
    flipped = image_flip(image).matrix(18, np.random.default_rng(0)) @ x
    assert np.array_equal(flipped.reshape(image), x.reshape(image)[:, :, ::-1])
    turned = (image_rotation(image).matrix(18, np.random.default_rng(0)) @ x).reshape(image)
    assert any(np.array_equal(turned, np.rot90(x.reshape(image), k, axes=(1, 2))) for k in (1, 2, 3))
    with pytest.raises(InputError, match="square"):
        image_rotation((1, 2, 3))
    with pytest.raises(InputError, match="images of 18"):
        image_flip(image).matrix(5, np.random.default_rng(0))


def test_the_distributional_check_needs_outputs_alone():
    """A net of torch's defaults under a shift of a ring, a ConvNet under rotations, as black boxes."""
    data = zoo_data()
    fc, conv = ALGORITHMS["sgd"].algorithm, ALGORITHMS["conv"].algorithm
    blind = check_equivariance(fc, "orthogonal", data, "distributional", seeds=15)
    assert blind.passed
    assert blind.p_value > 0.01
    seeing = check_equivariance(conv, "orthogonal", data, "distributional", seeds=15)
    assert not seeing.passed


def test_the_two_sample_test_keeps_its_level_and_has_power():
    rng = np.random.default_rng(0)
    same = [_same_law(rng.standard_normal((10, 3)), rng.standard_normal((10, 3)), rng) for _ in range(100)]
    assert 0.01 <= np.mean(np.array(same) < 0.1) <= 0.2
    assert _same_law(rng.standard_normal((10, 3)), 2 + rng.standard_normal((10, 3)), rng) < 0.01
    constant = np.ones((5, 2))
    assert _same_law(constant, constant, rng) == 1.0


def test_users_functions_and_estimators():
    X, y, X_test, _ = zoo_data()

    def nearest_mean(X, y, X_test, seed):
        return X_test @ (X[y > 0].mean(0) - X[y < 0].mean(0))

    for algorithm in (nearest_mean, QuadraticKernel(), make_pipeline(LinearRegression())):
        assert check_equivariance(algorithm, "orthogonal", (X, y, X_test)).passed
    scaled = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-10))
    assert not check_equivariance(scaled, "orthogonal", (X * np.arange(1, 13), y, X_test)).passed
    own = check_equivariance(nearest_mean, lambda D, rng: np.eye(D)[::-1], (X, y, X_test))
    assert own.passed


def test_a_users_network():
    def train(module, X, y, seed):
        optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
        for _ in range(20):
            loss = nn.functional.softplus(-y * module(X)[:, 0]).mean()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()

    class Late(nn.Module):
        """Its first linear layer by definition is not the first by use."""

        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(8, 1), nn.Linear(12, 8)

        def forward(self, x):
            return self.last(torch.tanh(self.first(x)))

    data = zoo_data()
    with pytest.raises(InputError, match=r"reads 8 numbers, the points have 12; .*first_layer"):
        check_equivariance(Network(lambda seed: Late(), train), "orthogonal", data)
    assert check_equivariance(Network(lambda seed: Late(), train, "first"), "orthogonal", data).passed


def test_wrong_input_is_refused():
    X, y, X_test, _ = zoo_data()
    cases = [
        (lambda: check_equivariance(QuadraticKernel(), "rotations", (X, y, X_test)), "there is no group 'rotations'"),
        (lambda: check_equivariance(QuadraticKernel(), "orthogonal", (X, y)), "data must be"),
        (lambda: check_equivariance(QuadraticKernel(), "orthogonal", (X[:5], y, X_test)), "shapes do not fit"),
        (lambda: check_equivariance(QuadraticKernel(), "orthogonal", (X * np.nan, y, X_test)), "finite"),
        (lambda: check_equivariance(QuadraticKernel(), "orthogonal", (X, y, X_test), "both"), "mode must be"),
        (lambda: check_equivariance(3, "orthogonal", (X, y, X_test)), "an algorithm is"),
        (lambda: check_equivariance(lambda X, y: y, "orthogonal", (X, y, X_test)), "takes 2 arguments"),
        (lambda: check_equivariance(lambda X, y, Z, s: Z[:3, 0], "orthogonal", (X, y, X_test)), "gave 3 outputs"),
        (
            lambda: check_equivariance(lambda X, y, Z, s: Z[:, 0] * np.nan, "orthogonal", (X, y, X_test)),
            "not finite",
        ),
        (lambda: check_equivariance(QuadraticKernel(), lambda D, rng: 2 * np.eye(D), (X, y, X_test)), "not orthogonal"),
        (lambda: check_equivariance(QuadraticKernel(), lambda D, rng: np.eye(2), (X, y, X_test)), "12 x 12"),
        (
            lambda: check_equivariance(
                QuadraticKernel(), Group("g", lambda D, rng: np.zeros((D, D)), orthogonal=False), (X, y, X_test)
            ),
            "cannot be inverted",
        ),
    ]
    for make, message in cases:
        with pytest.raises(InputError, match=message):
            make()
    state = np.random.default_rng(0)
    with pytest.raises(InputError, match="other outputs when it runs again"):
        check_equivariance(lambda X, y, Z, s: state.standard_normal(len(Z)), "orthogonal", (X, y, X_test))
