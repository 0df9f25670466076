"""Columns as numbers, and other tables encoded alike."""

import json

import numpy as np
import pandas as pd
import pytest

from rostra.engine.errors import InputError
from rostra.fields.tabular.encoding import TableEncoder


def frame():
    return pd.DataFrame(
        {
            "age": [40.0, 50.0, 60.0, 70.0],
            "smokes": [True, False, True, False],
            "site": ["a", "b", "c", "a"],
            "sex": ["m", "w", "m", "w"],
        }
    )


def test_features_and_where_they_came_from():
    """A number is a column, two levels are one column, more are one each."""
    encoder = TableEncoder.fitted(frame())
    assert encoder.features == ["age", "smokes=True", "site=a", "site=b", "site=c", "sex=w"]
    assert encoder.positions("site") == [2, 3, 4]
    assert encoder.transform(frame())["sex=w"].tolist() == [0, 1, 0, 1]
    with pytest.raises(InputError, match="no column named 'height'; there are: 'age'"):
        encoder.positions("height")


def test_another_table_is_encoded_alike():
    """Columns in any order, others ignored, a subset of the levels."""
    encoder = TableEncoder.fitted(frame())
    other = pd.DataFrame({"sex": ["w"], "site": ["c"], "extra": [1], "smokes": [True], "age": [1]})
    assert encoder.transform(other).to_numpy().tolist() == [[1, 1, 0, 0, 1, 1]]


def test_an_encoding_goes_through_json():
    """And gives the same numbers, with medians, missing values and rare levels."""
    table = pd.DataFrame({"x": [1.0, np.nan, 3.0, 4.0], "g": ["a", "a", None, "b"], "s": ["u", "u", "v", "w"]})
    encoder = TableEncoder.fitted(table, impute=True, categories={"s": 2})
    again = TableEncoder.from_json(json.loads(json.dumps(encoder.to_json())))
    assert again == encoder
    pd.testing.assert_frame_equal(again.transform(table), encoder.transform(table))
    assert encoder.transform(table)["x"].tolist() == [1, 3, 3, 4]
    assert encoder["g"].levels == ("a", "b", "missing")
    assert encoder["s"].levels == ("other", "u")
    assert encoder["s"].rare == ("v", "w")


def test_rare_levels_are_merged_only_where_something_is_left_to_tell_apart():
    """Two levels stay, however rare; if all are rare, all stay. Levels that were never seen are refused."""
    two = TableEncoder.fitted(pd.DataFrame({"s": ["a"] * 50 + ["b"]}), categories={"s": 30})
    assert two["s"].rare == ()
    small = TableEncoder.fitted(pd.DataFrame({"s": list("abc")}), categories={"s": 30})
    assert small["s"].levels == ("a", "b", "c")
    merged = TableEncoder.fitted(pd.DataFrame({"s": ["a"] * 50 + ["b"] * 40 + ["c", "d"]}), categories={"s": 30})
    assert merged.transform(pd.DataFrame({"s": ["c"]})).to_dict("list") == {"s=a": [0], "s=b": [0], "s=other": [1]}
    with pytest.raises(InputError, match="holds 'never seen' in row 1, which was not there before"):
        merged.transform(pd.DataFrame({"s": ["never seen"]}))


def test_numbers_may_be_categories():
    """Where the caller says so."""
    table = pd.DataFrame({"group": [0, 1, 2] * 40})
    assert TableEncoder.fitted(table).features == ["group"]
    assert TableEncoder.fitted(table, categories={"group": 1}).features == ["group=0", "group=1", "group=2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"site": ["a", "d", "a", "a"]}, "column 'site' holds 'd' in row 2, which was not there before; known are 'a'"),
        ({"site": ["a", None, "a", "a"]}, r"column 'site' holds 1 missing value \(first in row 2\)"),
        ({"age": [1.0, 2.0, np.nan, np.nan]}, r"column 'age' holds 2 missing values \(first in row 3\)"),
        ({"age": ["1", "2", "x", "4"]}, "column 'age' must hold numbers, but row 3 holds 'x'"),
        ({"age": [1.0, np.inf, 2.0, 3.0]}, "column 'age' must hold numbers, but row 2 holds inf"),
    ],
)
def test_tables_that_do_not_fit_are_refused(change, message):
    encoder = TableEncoder.fitted(frame())
    with pytest.raises(InputError, match=message):
        encoder.transform(frame().assign(**change))
    with pytest.raises(InputError, match="no column named 'site'"):
        encoder.transform(frame().drop(columns="site"))


def test_columns_without_a_value_are_refused():
    """Whether missing values are filled or not."""
    for impute in (False, True):
        with pytest.raises(InputError, match="no value at all in 'empty'; leave it out with --exclude empty"):
            TableEncoder.fitted(frame().assign(empty=None), impute=impute)


def test_numbers_with_gaps_are_the_same_categories():
    """A file with a gap reads 0 and 1 as 0.0 and 1.0."""
    whole, gaps = pd.DataFrame({"g": [0, 1, 0]}), pd.DataFrame({"g": [0.0, 1.0, np.nan]})
    encoder = TableEncoder.fitted(whole, categories={"g": 1})
    assert encoder.transform(gaps.dropna())["g=1"].tolist() == [0, 1]
    assert TableEncoder.fitted(gaps, impute=True, categories={"g": 1})["g"].levels == ("0", "1", "missing")
