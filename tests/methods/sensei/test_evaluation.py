"""The measures of the Adult protocol on tables made by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.methods.sensei.data import adult_table
from rostra.methods.sensei.evaluation import balanced_accuracy, consistency, gaps, hypervolume, recalls

Y = np.array([1, 1, 1, 1, 0, 0, 0, 0])
PREDICTED = np.array([1, 1, 1, 0, 0, 0, 1, 1])
GROUP = np.array([1, 1, 0, 0, 1, 1, 0, 0])


def test_balanced_accuracy_is_the_mean_of_both_rates():
    """TNR 2 / 4, TPR 3 / 4."""
    np.testing.assert_allclose(recalls(Y, PREDICTED, (0, 1))[0], [0.5, 0.75])
    assert balanced_accuracy(Y, PREDICTED, (0, 1))[0] == pytest.approx(0.625)


def test_consistency_compares_the_copies_with_each_other():
    """Husband copy against wife copy, not against the row as it was; of four copies all must agree."""
    husband, wife = np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0])
    assert consistency([husband, wife])[0] == pytest.approx(0.75)
    assert consistency([husband, wife, np.array([0, 0, 0, 0]), husband])[0] == pytest.approx(0.5)


def test_gaps_have_a_sign_a_mean_square_and_a_largest():
    """TPR 1 inside and .5 outside, TNR 1 inside and 0 outside."""
    found = gaps(Y, PREDICTED, GROUP, (0, 1))
    np.testing.assert_allclose(found.recall[0], [1.0, 0.5])
    assert found.rms[0] == pytest.approx(math.sqrt((1 + 0.25) / 2))
    assert found.largest[0] == pytest.approx(1.0)
    other = gaps(Y, PREDICTED, 1 - GROUP, (0, 1))
    np.testing.assert_allclose(other.recall[0], [-1.0, -0.5])


def test_a_gap_without_rows_is_nan_and_said():
    """Not 0, which would read as fair."""
    with pytest.warns(UserWarning, match="no rows inside or outside the group"):
        found = gaps(Y, PREDICTED, Y, (0, 1))
    assert np.isnan(found.rms[0])


def test_of_many_classes_those_with_few_rows_are_left_out():
    """Nine rows of class 2 in the group: its gap does not count."""
    y = np.repeat([0, 1, 2], [60, 60, 29])
    group = np.concatenate([np.tile([0, 1], 60), np.repeat([1, 0], [9, 20])])
    predicted = np.where(y == 2, 0, y)
    found = gaps(y, predicted, group, (0, 1, 2))
    assert np.isnan(found.recall[0, 2])
    assert found.rms[0] == 0.0


@given(seed=st.integers(0, 1000))
def test_weights_are_repeated_rows(seed):
    """A resample is a set of weights."""
    counts = np.random.default_rng(seed).integers(0, 4, 8)
    drawn = np.repeat(np.arange(8), counts)
    if len(set(zip(Y[drawn], GROUP[drawn], strict=True))) < 4:
        return
    for measure in (
        lambda y, p, g, w: balanced_accuracy(y, p, (0, 1), w),
        lambda y, p, g, w: gaps(y, p, g, (0, 1), w).rms,
        lambda y, p, g, w: consistency([y, p], w),
    ):
        repeated = measure(Y[drawn], PREDICTED[drawn], GROUP[drawn], None)
        np.testing.assert_allclose(measure(Y, PREDICTED, GROUP, counts), repeated)


def test_the_area_under_a_front():
    """Two points that dominate an area of 2 x 1 + 1 x 1; dominated and worse points add nothing."""
    points = [(2.0, 1.0), (1.0, 2.0), (0.5, 0.5), (3.0, -1.0)]
    assert hypervolume(points, (0.0, 0.0)) == pytest.approx(3.0)
    assert hypervolume([(0.0, 5.0)], (0.0, 0.0)) == 0.0


def test_the_protocols_of_adult(mirror):
    """45222 rows, 41 features in the published order, shares as published; two spouses, four combinations."""
    from rostra.engine.datasets import load
    from rostra.methods.sensei.data import DATASETS, compas_table

    assert mirror is not None
    table = adult_table(load(DATASETS[0]).value)
    assert table.x.shape == (45_222, 41)
    assert table.y.mean() == pytest.approx(0.2478, abs=5e-5)
    assert table.x[:, 39].mean() == pytest.approx(0.6750, abs=5e-5)
    assert table.x[:, 40].mean() == pytest.approx(0.8603, abs=5e-5)
    assert table.features[33] == "relationship_Husband"
    assert table.features[38] == "relationship_Wife"
    husbands, wives = table.flips["s_con"](table.x[:5])
    assert (husbands[:, 33:39].sum(axis=1) == 1).all()
    assert (husbands[:, 33] == 1).all()
    assert (wives[:, 38] == 1).all()
    copies = table.flips["gr_con"](table.x[:5])
    assert {tuple(copy[0, 39:]) for copy in copies} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    compas = compas_table(load(DATASETS[1]).value)
    assert compas.x.shape == (5278, 9)
