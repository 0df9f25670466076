"""The mathematics against hand-made numbers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rostra.methods.sensei import objective


def test_output_distance_sums_or_averages_over_classes():
    """(3 - 0)^2 + (1 - 2)^2 = 10."""
    a, b = torch.tensor([[3.0, 1.0]]), torch.tensor([[0.0, 2.0]])
    assert objective.output_distance(a, b).tolist() == [10.0]
    assert objective.output_distance(a, b, "mean").tolist() == [5.0]


@given(
    dual=st.floats(0, 1e4),
    distance=st.floats(0, 1e6),
    eps=st.floats(1e-6, 10.0),
)
def test_ratio_rule_moves_towards_the_budget_and_stays_finite(dual, distance, eps):
    """Up where the budget is exceeded, down where it is not, never below 1e-5; also for m = 0 and huge m."""
    before = torch.tensor(dual, dtype=torch.float64)
    m, budget = torch.tensor(distance, dtype=torch.float64), torch.tensor(eps, dtype=torch.float64)
    after = objective.ratio_update(before, m, budget)
    assert torch.isfinite(after)
    assert after >= objective.LAMBDA_FLOOR
    if distance > eps:
        assert after >= before
    elif distance < eps:
        assert after <= max(before, objective.LAMBDA_FLOOR)


def test_ratio_rule_is_the_released_one():
    """lambda + (max / min)(m - eps): 1 + (0.3 / 0.1) 0.2."""
    after = objective.ratio_update(torch.tensor(1.0), torch.tensor(0.3), torch.tensor(0.1))
    assert after.item() == pytest.approx(1.6)


def test_gradient_rule_is_projected():
    """lambda - eta (eps - m), never below 0."""
    rule = objective.gradient_update
    assert rule(torch.tensor(1.0), torch.tensor(0.3), torch.tensor(0.1), 0.5).item() == pytest.approx(1.1)
    assert rule(torch.tensor(0.01), torch.tensor(0.0), torch.tensor(0.1), 0.5).item() == 0.0


def test_gradients_of_the_auditors_are_those_of_autograd():
    """Of d_Y and of the cross-entropy in the logits."""
    generator = torch.Generator().manual_seed(0)
    clean, at = torch.randn(2, 3, 5, generator=generator), torch.randn(2, 3, 5, generator=generator)
    labels = torch.randint(3, (2, 5), generator=generator)
    for reduction in ("sum", "mean"):
        leaf = at.clone().requires_grad_(True)
        (wanted,) = torch.autograd.grad(objective.output_distance(leaf.mT, clean.mT, reduction).sum(), [leaf])
        torch.testing.assert_close(objective.invariance_gradient(clean, reduction)(at.clone()), wanted)
    leaf = at.clone().requires_grad_(True)
    (wanted,) = torch.autograd.grad(objective.cross_entropy(leaf.mT, labels).sum(), [leaf])
    torch.testing.assert_close(objective.loss_gradient(labels, 3)(at.clone()), wanted)
