"""Classical estimators, density models and doubly robust curves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

from rostra import GPSRegressor, KernelDRRegressor, NaiveSpline, SLearner
from rostra.engine.errors import InputError
from rostra.methods.vcnet.baselines import pseudo_outcome_curve, targeted_curve
from rostra.methods.vcnet.data import make_confounded, make_overlap, make_simulation, simulation_curve
from rostra.methods.vcnet.doubly_robust import DoublyRobustCurve, dr_pseudo_outcomes
from rostra.methods.vcnet.propensity import GaussianDensity, GridDensity

KINDS = [
    GPSRegressor(),
    SLearner(LinearRegression()),
    NaiveSpline(),
    KernelDRRegressor(LinearRegression(), density="gaussian"),
]
GRID = np.linspace(0.1, 0.9, 9)


def linear(rows=600, seed=0):
    """Y = 1 + 2 T + X1, the dose confounded by X1, natural units of the dose from 0 to 10."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, 2))
    t = 10 / (1 + np.exp(-0.5 * X[:, 0] - rng.standard_normal(rows)))
    return X, t, 1 + 2 * t + X[:, 0] + 0.1 * rng.standard_normal(rows)


@pytest.mark.parametrize("kind", [KINDS[1], KINDS[3]], ids=["s-learner", "kernel-dr"])
def test_a_linear_curve_is_found_in_natural_units(kind):
    """The curve is 1 + 2 t; the confounder's part is averaged out."""
    X, t, y = linear()
    model = clone(kind).fit(X, y, treatment=t)
    grid = np.linspace(2, 8, 7)
    np.testing.assert_allclose(model.dose_response(grid), 1 + 2 * grid + X[:, 0].mean(), atol=0.25)


def test_gps_is_exact_where_its_polynomial_is():
    """An outcome that is a quadratic in the dose alone: the score's terms drop out."""
    X, t, _ = linear()
    y = 1 + 2 * t - 0.3 * t**2
    grid = np.linspace(2, 8, 7)
    found = GPSRegressor().fit(X, y, treatment=t).dose_response(grid)
    np.testing.assert_allclose(found, 1 + 2 * grid - 0.3 * grid**2, atol=1e-6)


def test_the_naive_spline_is_the_regression_on_the_dose():
    """It recovers a cubic exactly and does not look at X."""
    X, t, _ = linear()
    y = (t / 10) ** 3 - t
    model = NaiveSpline().fit(X, y, treatment=t)
    grid = np.linspace(2, 8, 7)
    np.testing.assert_allclose(model.dose_response(grid), (grid / 10) ** 3 - grid, atol=1e-8)
    np.testing.assert_array_equal(model.dose_response(grid, X[:5]), model.dose_response(grid))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_all_have_the_networks_interface_and_refusals(kind):
    """fit, predict, dose_response; weights count rows; doses outside the range are refused."""
    X, t, y = linear(200)
    grid = np.linspace(2, 8, 5)
    model = clone(kind).fit(X, y, treatment=t)
    assert model.predict(X, treatment=t).shape == (200,)
    assert model.dose_response(grid).shape == (5,)
    with pytest.raises(InputError, match="lie outside the training range"):
        model.dose_response([99.0])
    with pytest.raises(InputError, match="treatment takes 1 distinct value"):
        clone(kind).fit(X, y, treatment=np.ones(200))
    if not isinstance(kind, KernelDRRegressor):  # its folds and bandwidth depend on the rows as they are listed
        doubled = clone(kind).fit(np.tile(X, (2, 1)), np.tile(y, 2), treatment=np.tile(t, 2))
        weighted = clone(kind).fit(X, y, treatment=t, sample_weight=np.full(200, 2.0))
        np.testing.assert_allclose(weighted.dose_response(grid), doubled.dose_response(grid), rtol=1e-6)


def test_s_learners_average_over_the_covariates_they_are_given():
    """X names the people; the training rows are the default."""
    X, t, y = linear(200)
    model = SLearner(LinearRegression()).fit(X, y, treatment=t)
    older = X[X[:, 0] > 1]
    difference = model.dose_response([5.0], older) - model.dose_response([5.0])
    assert difference[0] == pytest.approx(older[:, 0].mean() - X[:, 0].mean(), abs=0.1)


def test_a_wrong_density_name_is_refused():
    """With the right ones."""
    X, t, y = linear(100)
    with pytest.raises(InputError, match="density must be 'grid' or 'gaussian'"):
        KernelDRRegressor(density="beta").fit(X, y, treatment=t)


def test_the_gaussian_density_is_least_squares():
    """Coefficients, variance and values against SciPy's normal density."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 2))
    t = 0.3 + x @ [0.1, -0.2] + 0.05 * rng.standard_normal(500)
    density = GaussianDensity.fitted(x, t, np.ones(500))
    np.testing.assert_allclose(density.coefficients, [0.3, 0.1, -0.2], atol=0.01)
    mean = np.column_stack([np.ones(500), x]) @ density.coefficients
    expected = stats.norm.pdf(t, mean, np.sqrt(density.variance))
    np.testing.assert_allclose(density(x, t), expected)
    np.testing.assert_allclose(np.diag(density.on_grid(x, t)), expected)


def test_the_grid_density_integrates_to_one_and_finds_the_truth():
    """pi(t | x) = 1 + 0.9 x1 (2 t - 1): closer to it than the uniform density is."""
    d = make_overlap(3000, seed=0)
    density = GridDensity.fitted(d.X, d.treatment, np.ones(3000), seed=0)
    fine = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(np.trapezoid(density.on_grid(d.X[:20], fine), fine, axis=1), 1.0, rtol=1e-3)
    np.testing.assert_allclose(
        np.diag(density.on_grid(d.X[:20], d.treatment[:20])), density(d.X[:20], d.treatment[:20])
    )
    truth = d.density(d.treatment, d.X)
    assert np.mean((density(d.X, d.treatment) - truth) ** 2) < 0.5 * np.mean((1 - truth) ** 2)


def test_pseudo_outcomes_clip_and_count():
    """(y - mu) m / pi + psi, with the ratio held within its bounds."""
    y, mu, psi = np.array([1.0, 2.0, 3.0]), np.zeros(3), np.ones(3)
    found, clipped = dr_pseudo_outcomes(y, mu, np.array([0.5, 1e-9, 2.0]), np.ones(3), psi)
    np.testing.assert_allclose(found, [3.0, 201.0, 2.5])
    assert clipped == 1


@pytest.mark.parametrize("estimate", [targeted_curve, pseudo_outcome_curve])
def test_either_part_may_be_wrong_but_not_both(estimate):
    """Double robustness with given parts, on 20,000 rows with full overlap."""
    d = make_overlap(20_000, seed=1)
    truth = d.dose_response(GRID)
    error = {
        (outcome, density): np.abs(estimate(d, GRID, outcome_right=outcome, density_right=density) - truth).max()
        for outcome in (True, False)
        for density in (True, False)
    }
    assert max(error[True, True], error[True, False], error[False, True]) < 0.15
    assert error[False, False] > 0.5


def test_the_overlap_data_follow_their_density():
    """The dose given x has the distribution function (1 - c) t + c t^2."""
    d = make_overlap(5000, seed=2)
    c = 0.9 * d.X[:, 0]
    uniform = (1 - c) * d.treatment + c * d.treatment**2
    assert stats.kstest(uniform, "uniform").pvalue > 0.01


def test_standard_errors_are_those_of_repeated_samples():
    """The influence function's standard error against the spread over 60 data sets, with given parts."""
    at = np.array([0.3, 0.5, 0.7])
    even = np.linspace(0, 1, 51)
    estimates, errors = [], []
    for seed in range(60):
        d = make_overlap(400, seed=seed)
        mu_on_grid = np.stack([d.outcome(t, d.X) for t in even], axis=1)
        pi_on_grid = np.stack([d.density(t, d.X) for t in even], axis=1)
        curve = DoublyRobustCurve.fitted(
            d.treatment,
            d.y,
            np.ones(400),
            d.outcome(d.treatment, d.X),
            d.density(d.treatment, d.X),
            even,
            mu_on_grid,
            pi_on_grid,
        )
        estimates.append(curve(at))
        errors.append(curve.standard_errors(at))
    np.testing.assert_allclose(np.mean(errors, axis=0), np.std(estimates, axis=0), rtol=0.3)
    low, high = curve.band(at, 0.95)
    np.testing.assert_allclose(high - low, 2 * stats.norm.ppf(0.975) * errors[-1])


@given(st.floats(-5, 5), st.floats(0.1, 10))
def test_gps_moves_with_the_outcome(shift, factor):
    """y -> a y + b gives the curve a psi + b."""
    X, t, y = linear(100)
    grid = np.linspace(3, 7, 3)
    plain, moved = (GPSRegressor().fit(X, v, treatment=t).dose_response(grid) for v in (y, factor * y + shift))
    np.testing.assert_allclose(moved, factor * plain + shift, rtol=1e-6, atol=1e-6)


def test_reference_values_of_the_simulation():
    """Five data sets: the errors measured with independent code, within two standard errors."""
    errors = {"naive": [], "gps": []}
    for seed in range(5):
        d = make_simulation(seed=seed)
        for name, model in (("naive", NaiveSpline()), ("gps", GPSRegressor())):
            model.fit(d.train.X, d.train.y, treatment=d.train.treatment)
            t = np.clip(d.test.treatment, *model.t_range_)
            error = model.dose_response(t, d.test.X) - d.dose_response(d.test.treatment)
            errors[name].append(np.mean(error**2))
    assert np.mean(errors["naive"]) == pytest.approx(0.0180, abs=2 * 0.0027)
    assert np.mean(errors["gps"]) == pytest.approx(0.0430, abs=2 * 0.0040)


def test_confounding_is_beyond_the_naive_spline_and_not_beyond_a_learner():
    """On the confounded benchmark adjustment at least halves the error."""
    d = make_confounded(600, 200, seed=0)
    truth = d.dose_response(GRID)
    naive, boosted = (
        np.mean((m.fit(d.train.X, d.train.y, treatment=d.train.treatment).dose_response(GRID, d.test.X) - truth) ** 2)
        for m in (NaiveSpline(), SLearner(random_state=0))
    )
    assert boosted < 0.6 * naive


def test_the_population_curve_is_the_limit_of_the_samples_curves():
    """cos(2 pi (t - 1/2)) (t^2 + 0.496849)."""
    np.testing.assert_allclose(simulation_curve(np.array([0.0, 0.5, 1.0])), [-0.496849, 0.746849, -1.496849], atol=1e-5)
    big = make_simulation(10, 300_000, seed=5)
    np.testing.assert_allclose(big.dose_response(GRID), simulation_curve(GRID), atol=3e-3)
