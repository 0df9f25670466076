"""The mathematics: gradients, moment equations, weights."""

import numpy as np
import pytest
import torch

from rostra.methods.vcnet import objective
from rostra.methods.vcnet.basis import truncated_power

COPIES, ROWS = 2, 60


@pytest.fixture
def parts():
    """y, mu, g, spline, weights in float64."""
    rng = torch.Generator().manual_seed(3)
    y, mu = (torch.randn(COPIES, ROWS, generator=rng, dtype=torch.float64) for _ in range(2))
    g = torch.rand(COPIES, ROWS, generator=rng, dtype=torch.float64) * 0.3 + 0.02
    t = torch.rand(COPIES, ROWS, generator=rng, dtype=torch.float64).numpy()
    weights = torch.rand(COPIES, ROWS, generator=rng, dtype=torch.float64)
    return y, mu, g, torch.from_numpy(truncated_power(t, 2, (0.3, 0.6))), weights / weights.sum(1, keepdim=True)


def test_gradient_in_epsilon_equals_autograd(parts):
    """The closed form is the derivative of the targeted loss."""
    y, mu, g, spline, weights = parts
    a = torch.randn(COPIES, 5, dtype=torch.float64, requires_grad=True)
    loss = objective.targeted_loss(y, mu, g, objective.fluctuation(spline, a), weights)
    (expected,) = torch.autograd.grad(loss.sum(), a)
    found = objective.targeted_gradient(y, mu, g, spline, a.detach(), weights)
    torch.testing.assert_close(found, expected)


def test_the_targeted_loss_reaches_outcome_and_density(parts):
    """R_TR has a gradient in mu and in g, as finite differences confirm."""
    y, mu, g, spline, weights = parts
    epsilon = objective.fluctuation(spline, torch.ones(COPIES, 5, dtype=torch.float64))
    mu.requires_grad_()
    g.requires_grad_()

    def loss(mu, g):
        return objective.targeted_loss(y, mu, g, epsilon, weights)

    assert torch.autograd.gradcheck(loss, (mu, g))
    into_mu, into_g = torch.autograd.grad(loss(mu, g).sum(), (mu, g))
    assert into_mu.abs().min() > 0
    assert into_g.abs().min() > 0


def test_the_exact_epsilon_satisfies_the_targeted_moment_equations(parts):
    """At the minimiser, the mean of phi_k (y - mu - epsilon / g) / g is 0 for every k."""
    y, mu, g, spline, weights = parts
    a = objective.targeted_coefficients(y, mu, g, spline, weights, penalty=0.0)
    inverse = 1 / (g + objective.EPSILON_FLOOR)
    residual = y - mu - objective.fluctuation(spline, a) * inverse
    moments = torch.einsum("rn,rnk->rk", weights * residual * inverse, spline)
    torch.testing.assert_close(moments, torch.zeros_like(moments), atol=1e-9, rtol=0)


def test_the_penalised_epsilon_is_a_stationary_point(parts):
    """The gradient of loss + penalty / 2 |a|^2 is 0 there."""
    y, mu, g, spline, weights = parts
    a = objective.targeted_coefficients(y, mu, g, spline, weights, penalty=0.7)
    gradient = objective.targeted_gradient(y, mu, g, spline, a, weights) + 0.7 * a
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-9, rtol=0)


def test_equal_weights_are_means(parts):
    """With weights 1/n the losses are the means of the paper's equations."""
    y, mu, g, _, _ = parts
    equal = torch.full((COPIES, ROWS), 1 / ROWS, dtype=torch.float64)
    torch.testing.assert_close(objective.squared_error(y, mu, equal), ((y - mu) ** 2).mean(1))
    torch.testing.assert_close(objective.density_nll(g, equal), -(g + 1e-6).log().mean(1))
    np.testing.assert_allclose(objective.EPSILON_FLOOR, 1e-6)


def test_a_copy_that_diverged_leaves_the_others_alone():
    """NaN in one copy gives NaN there; the other copy's coefficients are those it has alone."""
    torch.manual_seed(0)
    y, mu = torch.randn(2, 30), torch.randn(2, 30)
    g, spline = torch.rand(2, 30) + 0.1, torch.rand(2, 30, 4)
    weights = torch.full((2, 30), 1 / 30)
    alone = objective.targeted_coefficients(y[1:], mu[1:], g[1:], spline[1:], weights[1:], penalty=0.1)
    mu[0, 3] = torch.nan
    both = objective.targeted_coefficients(y, mu, g, spline, weights, penalty=0.1)
    assert both[0].isnan().all()
    torch.testing.assert_close(both[1], alone[0])
