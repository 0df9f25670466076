"""The claims: what a run of one arm measures, and that the claims are stated as the paper states them."""

from pathlib import Path

import numpy as np
import pytest

from rostra.engine.claims import Context
from rostra.methods.vcnet import curves
from rostra.methods.vcnet.claims import ARMS, band_coverage, confounding, doubly_robust, draw_curves, simulation
from rostra.methods.vcnet.data import make_simulation
from rostra.methods.vcnet.training import TrainingData, preset, train

SETTINGS = {"n_train": 80, "n_test": 30, "epochs": 20}


def rows_of(arm, seeds):
    return list(simulation(SETTINGS, arm, seeds, Context("cpu", Path("unused"))))


@pytest.mark.parametrize("arm", ARMS)
def test_a_row_measures_its_own_data_set(arm):
    """amse is the mean squared error at the test treatments, by the arm's estimator, without a root."""
    row = rows_of(arm, [3, 4])[1]
    model, _, suffix = arm.partition("_")
    config = preset("simulation", model, targeted=suffix == "tr", epochs=20)
    data = make_simulation(80, 30, seed=4)
    rows = TrainingData(data.train.X[None], data.train.treatment[None], data.train.y[None])
    fitted = train(rows, config, [4])
    t = data.test.treatment
    found = curves.dose_response(fitted, t, data.test.X[None], targeted=suffix == "tr")[0]
    assert row["amse"] == pytest.approx(np.mean((found - data.dose_response(t)) ** 2), rel=1e-3)
    assert row["seed"] == 4
    assert row["restarts"] == 0
    if suffix != "tr":
        assert row["amse"] == row["amse_plugin"]


def test_rows_do_not_depend_on_their_neighbours():
    """A seed's row is the same alone and in a bundle, up to rounding."""
    alone, bundled = rows_of("vcnet_tr", [5])[0], rows_of("vcnet_tr", [4, 5, 6])[1]
    assert alone["amse"] == pytest.approx(bundled["amse"], rel=1e-3)


def test_the_jump_is_that_of_the_bins():
    """DRNet's largest jump lies at an edge of its bins; VCNet has none."""
    assert rows_of("drnet", [0])[0]["max_jump"] > 1e-4
    assert rows_of("vcnet", [0])[0]["max_jump"] < 1e-6


def test_a_claims_figure_is_drawn_from_its_rows():
    """One curve an arm and the truth, with units on both axes."""
    figure = draw_curves({arm: rows_of(arm, [0]) for arm in ("vcnet", "drnet")})
    axes = figure.axes[0]
    assert [line.get_label() for line in axes.lines] == ["true curve", "vcnet", "drnet"]
    assert "dose" in axes.get_xlabel()
    assert "units" in axes.get_ylabel()


@pytest.mark.parametrize("arm", ["naive_spline", "gps"])
def test_classical_arms_are_measured_on_the_same_data(arm):
    """The same test treatments and truth as the networks' arms."""
    row = rows_of(arm, [4])[0]
    data = make_simulation(80, 30, seed=4)
    from rostra.methods.vcnet.baselines import classical_estimator

    model = classical_estimator(arm, 4).fit(data.train.X, data.train.y, treatment=data.train.treatment)
    t = np.clip(data.test.treatment, *model.t_range_)
    error = model.dose_response(t, data.test.X) - data.dose_response(data.test.treatment)
    assert row["amse"] == pytest.approx(np.mean(error**2))


def test_coverage_counts_the_quartiles_that_a_band_holds():
    """Shares of three doses; simultaneous is all or nothing, for the bootstrap only."""
    settings = {"n_train": 80, "epochs": 10, "refits": 39}
    context = Context("cpu", Path("unused"))
    (bootstrap,) = band_coverage(settings, "bootstrap", [0], context)
    (influence,) = band_coverage(settings, "influence", [0], context)
    assert bootstrap["coverage"] * 3 == pytest.approx(round(bootstrap["coverage"] * 3))
    assert influence["coverage"] * 15 == pytest.approx(round(influence["coverage"] * 15))
    assert bootstrap["simultaneous"] in (0.0, 1.0)
    assert "simultaneous" not in influence


def test_other_runs_give_a_row_a_seed():
    """With the metrics that their claims compare."""
    context = Context("cpu", Path("unused"))
    rows = list(confounding({"n_train": 100, "n_test": 50, "epochs": 5}, "linear", [0, 1], context))
    assert [row["seed"] for row in rows] == [0, 1]
    assert rows[0]["mse"] < 0.2
    (row,) = doubly_robust({"n_small": 200, "n_large": 400}, "dr_outcome_wrong", [3], context)
    assert row["log2_ratio"] == pytest.approx(np.log2(row["mse_large"] / row["mse_small"]))
