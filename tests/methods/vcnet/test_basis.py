"""Bases of the dose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.methods.vcnet.basis import bin_indicators, bspline, hat_functions, truncated_power

DOSES = np.linspace(0.0, 1.0, 201)


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("knots", [(), (0.5,), (0.33, 0.66), (0.1, 0.2, 0.7, 0.95)])
def test_both_spline_bases_span_the_same_space(degree, knots):
    """Every function of one basis is a combination of the other's, with no residual."""
    power, b = truncated_power(DOSES, degree, knots), bspline(DOSES, degree, knots)
    assert power.shape == b.shape == (201, degree + 1 + len(knots))
    for source, target in ((power, b), (b, power)):
        combination = np.linalg.lstsq(source, target, rcond=None)[0]
        np.testing.assert_allclose(source @ combination, target, atol=1e-8)


def test_truncated_power_by_hand():
    """(1, t, t^2, (t - .33)_+^2, (t - .66)_+^2) at t = 0.5; degree 1 has its hinges at the knots too."""
    np.testing.assert_allclose(truncated_power(np.array([0.5]), 2, (0.33, 0.66)), [[1, 0.5, 0.25, 0.17**2, 0]])
    np.testing.assert_allclose(truncated_power(np.array([0.5]), 1, (0.2, 0.6)), [[1, 0.5, 0.3, 0]])


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_splines_have_degree_minus_one_continuous_derivatives_at_a_knot(degree):
    """The (q-1)-th difference quotient is continuous at the knot, the q-th is not."""
    step, knot = 1e-3, 0.4
    offsets = np.arange(degree + 1) * step

    def derivative(order, start):
        values = truncated_power(start + offsets[: order + 1], degree, (knot,))[:, -1]
        return np.diff(values, n=order)[0] / step**order

    left, right = knot - (degree + 1) * step, knot
    assert abs(derivative(degree - 1, right) - derivative(degree - 1, left)) < 20 * degree * step
    assert abs(derivative(degree, right) - derivative(degree, left)) > 0.9


def test_b_splines_sum_to_one():
    """A partition of unity, at both ends too."""
    np.testing.assert_allclose(bspline(DOSES, 2, (0.33, 0.66)).sum(axis=1), 1.0)


@given(st.integers(1, 20), st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_hat_functions_interpolate(intervals, doses):
    """They sum to 1, and are np.interp on the nodes, at 0 and 1 too."""
    t = np.array([0.0, 1.0, *doses])
    hats = hat_functions(t, intervals)
    np.testing.assert_allclose(hats.sum(axis=1), 1.0)
    values = np.sin(np.arange(intervals + 1.0))
    np.testing.assert_allclose(hats @ values, np.interp(t, np.linspace(0, 1, intervals + 1), values), atol=1e-9)


def test_a_dose_on_an_edge_belongs_to_the_bin_on_its_right():
    """[0, .2), [.2, .4), ..., [.8, 1]."""
    t = np.array([0.0, 0.199, 0.2, 0.4, 0.799, 0.8, 1.0])
    assert bin_indicators(t, (0.2, 0.4, 0.6, 0.8)).argmax(axis=1).tolist() == [0, 0, 1, 2, 3, 4, 4]


def test_shapes_follow_the_doses():
    """(copies, rows) doses give (copies, rows, functions)."""
    t = np.random.default_rng(0).uniform(size=(3, 7))
    for values in (
        truncated_power(t, 2, (0.5,)),
        bspline(t, 2, (0.5,)),
        hat_functions(t, 3),
        bin_indicators(t, (0.5, 0.6, 0.7)),
    ):
        assert values.shape == (3, 7, 4)
    np.testing.assert_allclose(bspline(t, 2, (0.5,))[1], bspline(t[1], 2, (0.5,)))
