"""The claims: what a run of one arm measures, and that the claims are stated as the paper states them."""

from pathlib import Path

import numpy as np
import pytest

from rostra.engine.claims import Context
from rostra.methods.vcnet import curves
from rostra.methods.vcnet.claims import ARMS, CLAIMS, draw_curves, simulation
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


def test_every_claim_can_be_judged_at_laptop_scale():
    """Enough seeds for an interval, every compared arm runs, and smoke is smaller than laptop."""
    for claim in CLAIMS:
        laptop, smoke = claim.scales["laptop"], claim.scales["smoke"]
        arms = laptop.arms or claim.arms
        for comparison in claim.comparisons:
            assert comparison.arm in arms
            assert getattr(comparison, "over", comparison.arm) in arms
        assert laptop.seeds >= 5
        assert smoke.seeds < laptop.seeds
        assert set(claim.paper) <= set(claim.arms)
