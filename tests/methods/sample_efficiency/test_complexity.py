"""n*(D) and its exponent: reading curves, recovering a known law, censoring, resuming."""

import json
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from rostra.engine.errors import InputError
from rostra.methods.sample_efficiency import sample_complexity
from rostra.methods.sample_efficiency.complexity import (
    SampleComplexity,
    crossing,
    fit_exponent,
    grid_size,
    measure_dimension,
)
from rostra.methods.sample_efficiency.learners import FCLearner, Point
from rostra.methods.sample_efficiency.tasks import diag_regression, halves
from rostra.methods.sample_efficiency.training import FCConfig

DIMENSIONS = (8, 16, 32, 64)


class Law:
    """A learner whose error is (c D^power / n) / 10 at n, measured on some coin tosses."""

    def __init__(self, power, c=1.0, tosses=2000):
        self.power, self.c, self.tosses = power, c, tosses

    def guess(self, dimension):
        return 4 * dimension

    def measure(self, task, n, seeds):
        error = min(0.5, 0.1 * self.c * task.dimension**self.power / n)
        rngs = [np.random.default_rng([task.dimension, n, seed, int(100 * self.c)]) for seed in seeds]
        return [Point(1 - rng.binomial(self.tosses, error) / self.tosses, 1.0) for rng in rngs]


def test_a_curve_is_read_between_its_points():
    assert crossing([10, 20, 40], np.array([0.7, 0.8, 0.95]), 0.8) == (pytest.approx(20), "")
    assert crossing([10, 1000], np.array([0.8, 1.0]), 0.9)[0] == pytest.approx(100)  # linear in log n
    assert crossing([10, 20], np.array([0.5, 0.6]), 0.9) == (20.0, "above")
    assert crossing([10, 20], np.array([0.95, 0.99]), 0.9) == (10.0, "below")
    # a dip is pooled away: isotonic regression
    assert crossing([1, 2, 4, 8], np.array([0.6, 0.8, 0.6, 1.0]), 0.7)[0] == pytest.approx(2)


def test_exponents_of_exact_laws():
    x, sd = np.array(DIMENSIONS, dtype=float), np.full(4, 0.1)
    none = np.zeros(4, dtype=bool)
    assert fit_exponent(x, 3 * x**1.7, sd, none) == pytest.approx(1.7)
    # the last is only known to be larger than a lower bound: what the others say stands
    bounded = np.where(x == 64, 1000.0, 3 * x**1.7)
    censored = x == 64
    assert fit_exponent(x, bounded, sd, censored) == pytest.approx(1.7, abs=0.02)
    assert fit_exponent(x, bounded, sd, none) < 1.3


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_exponent_is_recovered_with_its_coverage(power):
    """Binomial noise; the 95 % interval holds the truth nearly always."""
    hits = 0
    for repetition in range(20):
        found = sample_complexity(halves, Law(power, 1 + repetition / 10 + 5 * (power == 0)), DIMENSIONS, seeds=5)
        assert abs(found.exponent - power) < 0.2
        low, high = found.exponent_interval
        hits += low <= power <= high
    assert hits >= 17


def test_a_target_that_is_not_reached_is_censored():
    with pytest.warns(UserWarning, match="says little"):
        found = sample_complexity(halves, Law(2.0), (8, 32), seeds=3, n_max=200)
    rows = found.n_star.set_index("D")
    assert rows.loc[32, "censored"] == "above"
    assert rows.loc[32, "n_star"] == 181  # the last size of the grid
    assert np.isnan(rows.loc[32, "high"])
    assert rows.loc[8, "censored"] == ""
    assert found.exponent > 0.6  # a lower bound of what it would be


def test_sizes_end_on_both_sides_of_the_target():
    records = list(measure_dimension(halves(16), Law(2.0), 0.9, range(4), 2, 65_536))
    table = pd.DataFrame(records).groupby("n")["score"]
    assert (table.max().iloc[0]) < 0.9
    assert (table.min().iloc[-1]) >= 0.9
    assert set(table.groups) <= {grid_size(i) for i in range(40)}
    assert len(records) < 4 * 12


def test_a_saved_study_and_a_resumed_one_are_the_same(tmp_path):
    law = Law(1.0)
    whole = sample_complexity(halves, law, DIMENSIONS, seeds=3, resume=tmp_path / "a.jsonl", name="law")
    lines = (tmp_path / "a.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "b.jsonl").write_text("".join(lines[:8]) + lines[8][:10])  # killed while it wrote
    resumed = sample_complexity(halves, law, DIMENSIONS, seeds=3, resume=tmp_path / "b.jsonl", name="law")
    pd.testing.assert_frame_equal(whole.curves, resumed.curves)
    assert sorted((tmp_path / "b.jsonl").read_text().splitlines()) == sorted(line.strip() for line in lines)
    assert whole.exponent_interval == resumed.exponent_interval

    class Broken(Law):
        def measure(self, task, n, seeds):
            raise AssertionError("nothing is run again")

    again = sample_complexity(halves, Broken(1.0), DIMENSIONS, seeds=3, resume=tmp_path / "a.jsonl", name="law")
    assert again.exponent == whole.exponent
    whole.save(tmp_path / "study.json")
    assert SampleComplexity.load(tmp_path / "study.json").exponent == pytest.approx(whole.exponent)
    with pytest.raises(InputError, match="holds another study"):
        sample_complexity(halves, law, DIMENSIONS, seeds=3, target=0.8, resume=tmp_path / "a.jsonl", name="law")
    (tmp_path / "no.json").write_text(json.dumps({"task": "halves"}))
    with pytest.raises(InputError, match="no saved study"):
        SampleComplexity.load(tmp_path / "no.json")


def test_processes_find_what_one_finds():
    options = {"seeds": 2, "n_max": 2048}
    alone = sample_complexity("halves", "conv", DIMENSIONS, **options)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        pooled = sample_complexity("halves", "conv", DIMENSIONS, executor=pool, **options)
    pd.testing.assert_frame_equal(alone.curves, pooled.curves)


def test_conv_is_flat_and_fc_quadratic():
    """The paper's theorem 5.2 in small: the exponents' intervals hold 0 and 2."""
    conv = sample_complexity("halves", "conv", DIMENSIONS, seeds=3)
    low, high = conv.exponent_interval
    assert low < 0.15
    assert high > -0.15
    assert high < 0.8
    fc = sample_complexity("halves", FCLearner(FCConfig(steps=200)), (6, 8, 12, 24), seeds=3, name="fc")
    assert 1.6 < fc.exponent < 2.4
    assert fc.n_star["n_star"].iloc[-1] > 50 * conv.n_star["n_star"].iloc[-1]


@pytest.mark.filterwarnings("ignore:.*says little")
def test_estimators_and_functions_are_learners():
    by_estimator = sample_complexity("onehot", LogisticRegression(), (4, 8), seeds=2, n_max=64, target=0.95)
    assert by_estimator.learner == "LogisticRegression"
    assert (by_estimator.n_star["censored"] == "").all()

    def means(X, y, X_test, seed):
        return X_test @ (X.T @ y)

    by_function = sample_complexity("onehot", means, (4, 8), seeds=2, n_max=64, target=0.95)
    assert by_function.learner == "means"
    with pytest.raises(InputError, match="must return"):
        sample_complexity("onehot", lambda X, y, X_test, seed: X_test, (4, 8), seeds=1)


@pytest.mark.filterwarnings("ignore:.*says little", "ignore:.*training accuracy near")
def test_failed_trainings_count_and_are_told():
    def fails(X, y, X_test, seed):
        return np.full(len(X_test), np.nan)

    with pytest.warns(UserWarning, match="trainings diverged"):
        found = sample_complexity("halves", fails, (8, 16), seeds=2, n_max=32)
    assert found.curves["diverged"].all()
    assert (found.n_star["censored"] == "above").all()


@pytest.mark.filterwarnings("ignore:.*says little")
def test_regression_is_scored_by_its_relative_error():
    def squares(X, y, X_test, seed):
        weight = np.linalg.lstsq(np.square(X), y, rcond=None)[0]
        return np.square(X_test) @ weight

    found = sample_complexity(diag_regression, squares, (8, 16), seeds=3, target=0.99)
    assert (found.n_star["n_star"] <= [8, 16]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("halves", "fcc", (8,)), "there is no learner 'fcc'"),
        (("halves", 3, (8,)), "a learner is a name"),
        (("halves", "conv", ()), "one seed and one D"),
        (("halves", "conv", (7, 8)), "even D"),
        (("nothing", "conv", (8,)), "no task 'nothing'"),
    ],
)
def test_wrong_studies_are_refused(arguments, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match=message):
            sample_complexity(*arguments)


def test_pictures_have_a_line_for_each_dimension(tmp_path):
    found = sample_complexity(halves, Law(1.0), DIMENSIONS, seeds=2)
    for picture in (found.plot_curves(), found.plot_collapse(1.0)):
        assert len(picture.axes[0].lines) == 4 + 1  # and the target
        picture.savefig(tmp_path / "picture.png")
