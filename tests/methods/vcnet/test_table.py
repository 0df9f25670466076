"""A table as covariates, treatment and outcome, and what is said of columns that cannot be."""

import numpy as np
import pandas as pd
import pytest

from rostra.engine.errors import InputError
from rostra.methods.vcnet.table import split_table


def frame():
    return pd.DataFrame(
        {
            "dose": [1.0, 2.0, 3.0],
            "y": [1, 2, 3],
            "age": [40, 50, None],
            "smokes": [True, False, True],
            "site": ["a", "b", None],
            "group": ["u", "v", "w"],
        }
    )


def test_columns_become_numbers():
    """Numbers stay, two categories are one column, more are one each; the rest is left out."""
    found = split_table(frame(), treatment="dose", outcome="y", exclude=["age", "site"])
    assert list(found.X.columns) == ["smokes=True", "group=u", "group=v", "group=w"]
    assert found.X["smokes=True"].tolist() == [1, 0, 1]
    assert found.X["group=v"].tolist() == [0, 1, 0]
    assert found.treatment.tolist() == [1, 2, 3]


def test_missing_covariates_are_listed_or_imputed():
    """An error that counts them by column; with the median, or their own category."""
    with pytest.raises(InputError, match=r"missing values in 'age' \(1\), 'site' \(1\); .* --impute median"):
        split_table(frame(), treatment="dose", outcome="y")
    found = split_table(frame(), treatment="dose", outcome="y", impute="median")
    assert found.X["age"].tolist() == [40, 50, 45]
    assert found.X["site=missing"].tolist() == [0, 0, 1]
    assert not np.isnan(found.X.to_numpy()).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"treatment": "dosis"}, "no column named 'dosis'; there are: 'dose', 'y'"),
        ({"covariates": ["age", "hight"]}, "no column named 'hight'"),
        ({"exclude": ["id"]}, "no column named 'id'"),
        ({"covariates": ["age", "dose"]}, "the treatment 'dose' is also among the covariates"),
        ({"covariates": ["y"]}, "the outcome 'y' is also among the covariates"),
        ({"outcome": "dose"}, "cannot be both treatment and outcome"),
        ({"outcome": "group"}, "column 'group' must hold numbers, but row 1 holds 'u'"),
        ({"outcome": "age"}, "column 'age' holds 1 missing value \\(first in row 3\\)"),
        ({"exclude": ["age", "smokes", "site", "group"]}, "no covariates are left"),
        ({"impute": "mean"}, "impute must be 'median'"),
    ],
)
def test_wrong_columns_are_refused(change, message):
    """Named as the user named them."""
    with pytest.raises(InputError, match=message):
        split_table(frame(), **{"treatment": "dose", "outcome": "y", **change})


def test_free_text_is_no_category():
    """A column of names is refused with the way out."""
    table = pd.DataFrame({"dose": range(60), "y": range(60), "name": [f"n{i}" for i in range(60)]})
    with pytest.raises(InputError, match=r"column 'name' holds 60 different texts; .* --exclude name"):
        split_table(table, treatment="dose", outcome="y")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1,5", "2", "3,25"], "column 'x' holds numbers with a decimal comma, such as '1,5'; use a point"),
        ([*map(str, range(20)), "?"], r"column 'x' holds numbers, but row 21 holds '\?'; empty that cell"),
        ([f"{i} kg" for i in range(20)], "column 'x' holds numbers with a unit, such as '0 kg'; keep the number alone"),
    ],
)
def test_numbers_that_read_as_text_are_no_category(values, message):
    """One-hot they would be adjusted for as unordered groups, without a word."""
    table = pd.DataFrame({"t": np.arange(len(values)), "y": 1.0, "x": values})
    with pytest.raises(InputError, match=message):
        split_table(table, treatment="t", outcome="y")


@pytest.mark.parametrize("values", [["3+", "1", "2"], ["A1", "B2", "A1"], ["2 rooms", "3 rooms", "2 rooms"]])
def test_short_codes_stay_categories(values):
    """A few texts are groups, whatever they look like."""
    table = pd.DataFrame({"t": np.arange(3), "y": 1.0, "x": values})
    assert split_table(table, treatment="t", outcome="y").X.columns.str.startswith("x=").all()
