"""The estimators as their users meet them."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from rostra import DRNetRegressor, TARNetRegressor, TreatmentColumn, VCNetRegressor
from rostra.engine.errors import InputError
from rostra.methods.vcnet import curves
from rostra.methods.vcnet.data import make_confounded, make_simulation
from rostra.methods.vcnet.estimator import refits_needed
from rostra.methods.vcnet.kernel import local_linear, select_bandwidth

KINDS = [VCNetRegressor, DRNetRegressor, TARNetRegressor]
QUICK = {"epochs": 30, "lr": 1e-3, "random_state": 0, "device": "cpu"}
GRID = np.linspace(0.2, 0.8, 7)


@pytest.fixture(scope="module")
def sample():
    return make_simulation(150, 50, seed=0).train


@pytest.fixture(scope="module")
def fitted(sample):
    return VCNetRegressor(**QUICK).fit(sample.X, sample.y, treatment=sample.treatment)


def table(rows=60, seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.standard_normal((rows, 2)), columns=["age", "weight"])
    return X, rng.standard_normal(rows), rng.uniform(size=rows)


# ------------------------------------------------------------------ scikit-learn's conformance

# Small: the suite asks about manners, not about curves. ``min_rows`` lets its tiny tables in.
CONFORMING = {
    "epochs": 100,
    "hidden": (20,),
    "head": (20,),
    "min_rows": 1,
    "random_state": 0,
    "device": "cpu",
}
RATES = {VCNetRegressor: 3e-4, DRNetRegressor: 0.05, TARNetRegressor: 0.05}


@parametrize_with_checks(
    [TreatmentColumn(kind(**CONFORMING, lr=RATES[kind]), column=0) for kind in KINDS],
    expected_failed_checks=lambda estimator: {
        "check_fit2d_1sample": "one row has one dose, and a dose range needs two",
        "check_sample_weight_equivalence_on_dense_data": "asks for 1e-7, and networks train in float32; in float64 "
        "weights equal repeated rows (test_training.py)",
    },
)
@pytest.mark.filterwarnings("ignore:.*doses in treatment were clipped")
def test_scikit_learn_conformance(estimator, check):
    """Through the adapter, since the suite passes X and y only."""
    check(estimator)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_clone(kind):
    """get_params and set_params go round; clone keeps every parameter."""
    model = kind(epochs=7, hidden=(3, 4))
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(epochs=9).epochs == 9


def test_metadata_routing_carries_the_treatment(sample):
    """With routing on, scikit-learn's cross-validation splits the treatment along with X and y."""
    with config_context(enable_metadata_routing=True):
        # A fold may hold doses outside the others' range, so the range is given.
        model = VCNetRegressor(**QUICK, t_range=(0.0, 1.0))
        model.set_fit_request(treatment=True).set_score_request(treatment=True)
        found = cross_validate(
            model, sample.X, sample.y, params={"treatment": sample.treatment}, cv=2, error_score="raise"
        )
    assert np.isfinite(found["test_score"]).all()


@pytest.mark.filterwarnings("ignore:.*doses in treatment were clipped")
def test_the_adapter_serves_tools_that_know_no_treatment(sample):
    """Grid search and a pipeline around it."""
    X = np.column_stack([sample.treatment, sample.X])
    search = GridSearchCV(TreatmentColumn(VCNetRegressor(**QUICK)), {"estimator__lr": [1e-4, 1e-3]}, cv=2)
    search.fit(X, sample.y)
    assert search.best_params_["estimator__lr"] in (1e-4, 1e-3)
    scores = cross_val_score(
        make_pipeline(StandardScaler(), TreatmentColumn(VCNetRegressor(**QUICK))), X, sample.y, cv=2
    )
    assert np.isfinite(scores).all()


def test_the_adapter_finds_a_column_by_name():
    """And says which names there are."""
    X, y, t = table()
    frame = X.assign(dose=t)
    by_name = TreatmentColumn(VCNetRegressor(**QUICK), column="dose").fit(frame, y)
    direct = VCNetRegressor(**QUICK).fit(X.to_numpy(), y, treatment=t)
    np.testing.assert_allclose(by_name.predict(frame), direct.predict(X.to_numpy(), treatment=t))
    with pytest.raises(InputError, match="X has no column 'amount'; it has: age, weight, dose"):
        TreatmentColumn(VCNetRegressor(**QUICK), column="amount").fit(frame, y)


# ------------------------------------------------------------------ what a fit must satisfy


@pytest.mark.parametrize("kind", KINDS)
def test_curves_move_with_the_units(kind, sample):
    """y -> 100 y + 7 and t -> 3 t + 2 give the transformed curve, band and density (same seed)."""
    parameters = QUICK | {"epochs": 60}
    plain = kind(**parameters).fit(sample.X, sample.y, treatment=sample.treatment)
    moved = kind(**parameters).fit(sample.X * 4 - 1, 100 * sample.y + 7, treatment=3 * sample.treatment + 2)
    expected = 100 * plain.dose_response(GRID) + 7
    np.testing.assert_allclose(moved.dose_response(3 * GRID + 2), expected, rtol=2e-3, atol=0.05)
    np.testing.assert_allclose(moved.epsilon(3 * GRID + 2), 100 * plain.epsilon(GRID), rtol=5e-3, atol=0.02)
    first = np.full(len(sample.X), 0.4)
    np.testing.assert_allclose(
        moved.density(sample.X * 4 - 1, 3 * first + 2) * 3, plain.density(sample.X, first), rtol=1e-3
    )


def test_outcomes_in_the_thousands_train(sample):
    """Standardising makes the learning rate fit; without it the same data diverge and the error says so."""
    y = 1e6 * sample.y
    VCNetRegressor(**QUICK).fit(sample.X, y, treatment=sample.treatment)
    with pytest.raises(InputError, match="scale the outcome to order 1"):
        VCNetRegressor(**QUICK, standardize=False, clip_norm=None).fit(sample.X, y, treatment=sample.treatment)


@pytest.mark.parametrize("scale", ["minmax", "rank"])
def test_the_density_integrates_to_one_in_natural_units(scale, sample):
    """For every unit, over the range of the dose."""
    doses = np.exp(3 * sample.treatment)
    model = VCNetRegressor(**QUICK, t_scale=scale).fit(sample.X, sample.y, treatment=doses)
    grid = np.linspace(*model.t_range_, 40_001)
    middle = (grid[1:] + grid[:-1]) / 2
    for unit in sample.X[:3]:
        density = model.density(np.tile(unit, (len(middle), 1)), middle)
        assert density.sum() * (grid[1] - grid[0]) == pytest.approx(1.0, abs=2e-3)


def test_the_density_follows_the_treatment_model():
    """Randomised doses: nearly the same for all. Doses that follow a covariate: high near each unit's own dose."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 3))
    parameters = QUICK | {"epochs": 5}
    randomised = VCNetRegressor(**parameters).fit(X, X[:, 0], treatment=rng.uniform(size=600))
    density = randomised.density(X, np.full(600, 0.5))
    assert np.std(density) < 0.15 * np.mean(density)
    t = 1 / (1 + np.exp(-2 * X[:, 0] - 0.5 * rng.standard_normal(600)))
    confounded = VCNetRegressor(**parameters).fit(X, X[:, 0], treatment=t)
    log_ratio = np.log(confounded.density(X, t) / confounded.density(X, rng.permutation(t)))
    assert np.median(log_ratio) > 1.0


def test_under_randomisation_the_curve_is_the_regression_on_the_dose():
    """T independent of X: all estimators agree with a local regression of Y on T."""
    rng = np.random.default_rng(1)
    X, t = rng.standard_normal((800, 3)), rng.uniform(size=800)
    y = np.sin(3 * t) + 0.5 * X[:, 0] + 0.1 * rng.standard_normal(800)
    local = local_linear(t, y, GRID, select_bandwidth(t, y))
    model = VCNetRegressor(random_state=0, lr=1e-3, device="cpu").fit(X, y, treatment=t)
    for estimator in ("plugin", "tr", "dr"):
        np.testing.assert_allclose(model.dose_response(GRID, estimator=estimator), local, atol=0.12)


def test_a_linear_curve_is_found():
    """Y = 1 + 2 T + X: the curve is 1 + 2 t, confounded as the dose is."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((800, 2))
    t = 1 / (1 + np.exp(-0.8 * X[:, 0] - 0.8 * rng.standard_normal(800)))
    y = 1 + 2 * t + X[:, 0] + 0.1 * rng.standard_normal(800)
    model = VCNetRegressor(random_state=0, lr=1e-3, device="cpu").fit(X, y, treatment=t)
    truth = 1 + 2 * GRID + X[:, 0].mean()
    for estimator in ("plugin", "tr", "dr"):
        np.testing.assert_allclose(model.dose_response(GRID, estimator=estimator), truth, atol=0.3)


def test_confounding_is_removed():
    """A flat curve that a regression of Y on T shows as a steep one: more than 80 % of the slope goes."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 5))
    t = 1 / (1 + np.exp(-X[:, 0] - 0.5 * rng.standard_normal(1000)))
    y = X[:, 0] + 0.3 * rng.standard_normal(1000)
    ends = np.linspace(0.1, 0.9, 9)
    naive = np.ptp(local_linear(t, y, ends, select_bandwidth(t, y)))
    for targeted in (True, False):
        model = VCNetRegressor(random_state=0, targeted=targeted, lr=1e-4, device="cpu").fit(X, y, treatment=t)
        assert np.ptp(model.dose_response(ends)) < 0.2 * naive


def test_the_learning_rate_is_chosen_on_held_out_rows():
    """ "auto" beats a rate that is far too small on data where that matters."""
    data = make_confounded(300, 100, seed=0)
    grid = np.linspace(0.1, 0.9, 17)
    truth = data.dose_response(grid)
    errors = {}
    for lr in ("auto", 1e-7):
        model = VCNetRegressor(lr=lr, epochs=300, random_state=0, device="cpu")
        model.fit(data.train.X, data.train.y, treatment=data.train.treatment)
        errors[lr] = np.mean((model.dose_response(grid, data.test.X) - truth) ** 2)
    assert errors["auto"] < 0.5 * errors[1e-7]
    assert model.learning_rate_ == 1e-7


def test_same_seed_same_fit(sample, fitted):
    """And another seed, another fit."""
    again = VCNetRegressor(**QUICK).fit(sample.X, sample.y, treatment=sample.treatment)
    np.testing.assert_array_equal(again.dose_response(GRID), fitted.dose_response(GRID))
    other = VCNetRegressor(**QUICK | {"random_state": 1}).fit(sample.X, sample.y, treatment=sample.treatment)
    assert not np.array_equal(other.dose_response(GRID), fitted.dose_response(GRID))


def test_presets_scale_nothing(sample):
    """The paper's settings act on raw outcomes and doses in [0, 1]."""
    model = VCNetRegressor.from_preset("simulation", epochs=3, random_state=0).fit(
        sample.X, sample.y, treatment=sample.treatment
    )
    assert model.learning_rate_ == 1e-4
    assert model.t_range_ == (0.0, 1.0)
    assert model.clip_norm is None
    assert DRNetRegressor.from_preset("ihdp").lr == 0.02


def test_a_curve_over_other_covariates(sample, fitted):
    """X names the people whose mean outcome is asked for; the training rows are the default."""
    np.testing.assert_allclose(fitted.dose_response(GRID, sample.X), fitted.dose_response(GRID), rtol=1e-5)
    assert not np.allclose(fitted.dose_response(GRID, sample.X[:20]), fitted.dose_response(GRID))


def test_prediction_agrees_with_the_curve_at_one_dose(sample, fitted):
    """The mean prediction with every row at dose t is the plug-in curve there."""
    predicted = fitted.predict(sample.X, treatment=np.full(len(sample.X), 0.5)).mean()
    assert predicted == pytest.approx(fitted.dose_response([0.5], estimator="plugin")[0], abs=1e-5)
    assert fitted.predict(sample.X[:1], treatment=sample.treatment[:1]).shape == (1,)


# ------------------------------------------------------------------ bands


def test_bands_hold_the_curve_and_widen_with_the_level(sample):
    """Lower below upper, nested in the level; the simultaneous band holds the pointwise one's width."""
    model = VCNetRegressor(**QUICK).fit(sample.X, sample.y, treatment=sample.treatment).fit_bootstrap(39)
    assert model.n_boot_ == 39
    narrow, wide = model.confidence_band(GRID, level=0.5), model.confidence_band(GRID, level=0.95)
    whole = model.confidence_band(GRID, level=0.95, simultaneous=True)
    assert (wide[0] <= narrow[0]).all()
    assert (narrow[0] < narrow[1]).all()
    assert (narrow[1] <= wide[1]).all()
    centre = model.dose_response(GRID)
    np.testing.assert_allclose((whole[0] + whole[1]) / 2, centre, rtol=1e-6)
    assert (whole[1] - whole[0]).mean() > (narrow[1] - narrow[0]).mean()


def test_the_pointwise_band_is_the_range_of_39_refits(sample):
    """At 95 % the tails are at levels 1 / 40: exactly the smallest and the largest of 39 refits."""
    model = VCNetRegressor(**QUICK).fit(sample.X, sample.y, treatment=sample.treatment).fit_bootstrap(39)
    counts, refits = model._bootstrap
    x = model._scaled_x(model._x)
    estimates = curves.dose_response(refits, model._scale(GRID), x, counts, targeted=True) * model._y_sd + model._y_mean
    low, high = model.confidence_band(GRID)
    np.testing.assert_allclose(low, estimates.min(axis=0))
    np.testing.assert_allclose(high, estimates.max(axis=0))


@pytest.mark.parametrize(("level", "refits"), [(0.5, 3), (0.9, 19), (0.95, 39), (0.99, 199)])
def test_refits_that_a_level_needs(level, refits):
    """2 / (1 - level) - 1, whole numbers kept whole."""
    assert refits_needed(level) == refits


def test_too_few_refits_for_the_level_are_said(sample):
    """The band is given, with a warning that names the number that would do."""
    model = VCNetRegressor(**QUICK).fit(sample.X, sample.y, treatment=sample.treatment).fit_bootstrap(3)
    with pytest.warns(UserWarning, match="3 refits are too few for a 95% band, which is too narrow; refit 39 times"):
        model.confidence_band(GRID)


def test_curves_of_many_refits_equal_those_of_each_alone(sample):
    """A copy's curve, targeted or not, does not depend on the copies beside it."""
    model = VCNetRegressor(**QUICK).fit(sample.X, sample.y, treatment=sample.treatment).fit_bootstrap(3)
    counts, refits = model._bootstrap
    x = model._scaled_x(model._x)
    for targeted in (True, False):
        together = curves.dose_response(refits, GRID, x, counts, targeted=targeted)
        for copy in range(3):
            alone = curves.dose_response(refits.select(copy), GRID, x, counts[copy : copy + 1], targeted=targeted)
            np.testing.assert_array_equal(together[copy], alone[0])


def test_the_influence_band_surrounds_the_doubly_robust_curve(sample):
    """Symmetric around it, wider with the level, in natural units; what does not go with it is refused."""
    model = VCNetRegressor(**QUICK).fit(sample.X, 100 * sample.y, treatment=5 * sample.treatment)
    grid = 5 * GRID
    curve = model.dose_response(grid, estimator="dr")
    low, high = model.confidence_band(grid, method="influence")
    np.testing.assert_allclose((low + high) / 2, curve)
    narrow = model.confidence_band(grid, method="influence", level=0.5)
    assert (narrow[1] - narrow[0] < high - low).all()
    assert model.n_boot_ == 0
    with pytest.raises(InputError, match="'bootstrap' or 'influence'"):
        model.confidence_band(grid, method="delta")
    with pytest.raises(InputError, match="the influence band for 'dr'"):
        model.confidence_band(grid, method="influence", estimator="tr")
    with pytest.raises(InputError, match="leave X and simultaneous out"):
        model.confidence_band(grid, method="influence", simultaneous=True)


def test_each_refit_is_a_weighted_fit(sample):
    """Refit b is what a fit with its row counts as weights gives."""
    model = VCNetRegressor(**QUICK).fit(sample.X, sample.y, treatment=sample.treatment).fit_bootstrap(3)
    counts, refits = model._bootstrap
    assert counts.sum(axis=1).tolist() == [150, 150, 150]
    from rostra.methods.vcnet.training import train

    alone = train(model._training_data(counts[2:]), refits.config, [int(refits_seed(model, 3)[2])])
    for a, b in zip(refits.network.parameters(), alone.network.parameters(), strict=True):
        np.testing.assert_allclose(a[2].numpy(), b[0].numpy(), atol=2e-4, rtol=2e-3)


def refits_seed(model, number):
    """The seeds that the bootstrap drew after its counts."""
    rng = np.random.default_rng(model._seed)
    rows = len(model._t)
    rng.multinomial(rows, np.full(rows, 1 / rows), size=number)
    return rng.integers(2**31 - 1, size=number)


# ------------------------------------------------------------------ save and load


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_answers_as_before(kind, sample, tmp_path):
    """Every answer, the band included; no pickle in the folder."""
    X = pd.DataFrame(sample.X, columns=list("abcdef"))
    model = kind(**QUICK, t_scale="rank").fit(X, sample.y, treatment=sample.treatment).fit_bootstrap(3)
    model.save(tmp_path / "model", notes={"who": "me"})
    loaded = VCNetRegressor.load(tmp_path / "model")
    assert type(loaded) is kind
    assert loaded.get_params() == model.get_params()
    assert loaded.notes_ == {"who": "me"}
    np.testing.assert_array_equal(loaded.dose_response(GRID), model.dose_response(GRID))
    np.testing.assert_array_equal(loaded.dose_response(GRID, estimator="dr"), model.dose_response(GRID, estimator="dr"))
    band = {"level": 0.5}  # three refits have no 95 % band
    np.testing.assert_array_equal(loaded.confidence_band(GRID, **band), model.confidence_band(GRID, **band))
    np.testing.assert_array_equal(
        loaded.predict(X, treatment=sample.treatment), model.predict(X, treatment=sample.treatment)
    )
    np.testing.assert_array_equal(loaded.density(X, sample.treatment), model.density(X, sample.treatment))
    np.testing.assert_array_equal(loaded.loss_history_, model.loss_history_)
    assert list(loaded.feature_names_in_) == list("abcdef")
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".json", ".safetensors"}


def test_saving_replaces_a_model_and_nothing_else(sample, fitted, tmp_path):
    """An older model gives way; a folder with other files does not."""
    fitted.save(tmp_path / "model")
    fitted.save(tmp_path / "model")
    assert len(list((tmp_path / "model").iterdir())) == 2
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    with pytest.raises(InputError, match="holds other files"):
        fitted.save(tmp_path / "thesis")


# ------------------------------------------------------------------ bad input


def refused(message, X=None, y=None, t=None, rows=60, weights=None, **parameters):
    default_X, default_y, default_t = table(rows)
    with pytest.raises(ValueError, match=message):
        VCNetRegressor(**QUICK | parameters).fit(
            default_X if X is None else X,
            default_y if y is None else y,
            treatment=default_t if t is None else t,
            sample_weight=weights,
        )


def test_unusable_training_data_are_refused():
    """One line that names the column and the first bad row."""
    X, y, t = table()
    refused("49 rows .* are too few for a curve; at least 50", rows=49)
    refused("treatment takes 1 distinct value;", t=np.ones(60))
    refused("treatment takes 3 distinct values; .* categorical", t=np.arange(60) % 3)
    refused("treatment has 59 rows, X has 60", t=t[:-1])
    refused("inconsistent numbers of samples", y=y[:-1])
    refused("treatment holds NaN in 1 row \\(first in row 3", t=np.where(np.arange(60) == 3, np.nan, t))
    refused("y holds infinity in 1 row", y=np.where(np.arange(60) == 3, np.inf, y))
    refused(
        "column 'age' of X holds NaN in 2 rows \\(first in row 5", X=X.assign(age=X["age"].where(~X.index.isin([5, 8])))
    )
    refused("X holds no numbers in 'city'", X=X.assign(city="Rome"))
    refused("X has several columns named 'age'", X=X.rename(columns={"weight": "age"}))
    refused("column 'dose' of X is the treatment itself", X=X.assign(dose=t))
    refused("treatment must be one column of numbers", t=["low", "high"] * 30)
    refused("treatment must be one column of numbers", t=np.ones((60, 2)))
    refused("sample_weight must hold no negative", weights=-np.ones(60))
    refused("sample_weight has 3 rows", weights=np.ones(3))
    refused("could not convert string to float|must hold numbers|Unknown label", y=np.array(["a"] * 60))


def test_unusable_parameters_are_refused():
    """Before any training."""
    refused("knots must increase", knots=(0.5, 0.2))
    refused("degree must be a whole number", degree=0)
    refused("lr must be 'auto' or a number above 0", lr="fast")
    refused("t_scale must be 'minmax' or 'rank'", t_scale="log")
    refused("t_range must be \\(low, high\\)", t_range=(1.0, 0.0))
    refused("60 of 60 treatments lie outside t_range", t_range=(2.0, 3.0))
    refused("device 'abacus' cannot be used", device="abacus")


def test_unusable_questions_are_refused(sample, fitted):
    """Doses outside the range, never clipped silently; estimators that do not go with the fit."""
    with pytest.raises(InputError, match=r"1 of 2 doses in t_grid lie outside the training range .* extrapolate=True"):
        fitted.dose_response([0.5, 1.5])
    with pytest.warns(UserWarning, match="1 of 2 doses in t_grid were clipped"):
        clipped = fitted.dose_response([0.5, 1.5], extrapolate=True)
    assert clipped[1] == pytest.approx(fitted.dose_response([fitted.t_range_[1]])[0])
    with pytest.raises(InputError, match="lie outside the training range"):
        fitted.predict(sample.X[:1], treatment=[-1.0])
    with pytest.raises(InputError, match="treatment has 1 rows, X has 2"):
        fitted.predict(sample.X[:2], treatment=[0.5])
    with pytest.raises(InputError, match="estimator must be 'tr', 'plugin' or 'dr'"):
        fitted.dose_response(GRID, estimator="best")
    with pytest.raises(InputError, match="leave X out"):
        fitted.dose_response(GRID, sample.X, estimator="dr")
    with pytest.raises(InputError, match="bootstrap band is for"):
        fitted.confidence_band(GRID, estimator="dr")
    with pytest.raises(InputError, match="level must lie between 0 and 1"):
        fitted.confidence_band(GRID, level=95)
    with pytest.raises(InputError, match="n_boot must be at least 2"):
        fitted.confidence_band(GRID, n_boot=1)
    plain = VCNetRegressor(**QUICK, targeted=False).fit(sample.X, sample.y, treatment=sample.treatment)
    with pytest.raises(InputError, match="needs a fit with targeted=True"):
        plain.dose_response(GRID, estimator="tr")


def test_single_units_and_overlap(sample, fitted):
    """The units' curves average to the plug-in; overlap is the density of every row at every dose."""
    units = fitted.individual_curves(GRID, sample.X)
    np.testing.assert_allclose(units.mean(axis=0), fitted.dose_response(GRID, estimator="plugin"), atol=1e-5)
    first = fitted.overlap(GRID)[:, 3]
    np.testing.assert_allclose(first, fitted.density(sample.X, np.full(len(sample.X), GRID[3])))
    np.testing.assert_allclose(fitted.training_density_, fitted.density(sample.X, sample.treatment))


def test_extrapolation_is_marked(sample, fitted):
    """Doses outside the 1 % to 99 % quantiles of the training doses."""
    low, high = np.quantile(sample.treatment, [0.01, 0.99])
    assert fitted.extrapolates([low - 1e-6, low + 1e-6, high - 1e-6, high + 1e-6]).tolist() == [
        True,
        False,
        False,
        True,
    ]
