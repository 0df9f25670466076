"""The rotated-data test."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from rostra.engine.errors import InputError
from rostra.methods.sample_efficiency import rotated_data_test
from rostra.methods.sample_efficiency.rotation import Rotation, _verdict


def one_column(n=300, d=12):
    X = np.random.default_rng(0).standard_normal((n, d))
    return X, (X[:, 3] > 0).astype(int)


def test_a_forest_uses_the_basis_and_logistic_regression_does_not():
    X, y = one_column()
    forest = rotated_data_test(RandomForestClassifier(30, random_state=0), X, y, 2)
    assert forest.verdict == "uses the basis"
    assert forest.raw > forest.rotated + 0.1
    assert forest.interval[0] < forest.difference < forest.interval[1]
    logistic = rotated_data_test(LogisticRegression(), X, y, 2)
    assert logistic.verdict == "does not use the basis"
    assert abs(logistic.difference) < 1e-9


def test_verdicts():
    assert _verdict(-0.005, 0.005, 0.01) == "does not use the basis"
    assert _verdict(0.02, 0.3, 0.01) == "uses the basis"
    assert _verdict(-0.3, -0.02, 0.01) == "harmed by the basis"
    assert _verdict(-0.02, 0.3, 0.01) == "inconclusive"


def test_wrong_data_are_refused():
    X, y = one_column(40)
    with pytest.raises(InputError, match="at least 2 features"):
        rotated_data_test(LogisticRegression(), X[:, :1], y)
    with pytest.raises(InputError, match="NaN"):
        rotated_data_test(LogisticRegression(), np.where(X > 1, np.nan, X), y)
    with pytest.raises(InputError, match="n_rotations"):
        rotated_data_test(LogisticRegression(), X, y, 0)


@parametrize_with_checks([Rotation()])
def test_scikit_learns_suite(estimator, check):
    check(estimator)
