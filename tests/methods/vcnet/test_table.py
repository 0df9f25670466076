"""A user's CSV: what is read, and what is said of what cannot be."""

import numpy as np
import pandas as pd
import pytest

from rostra.engine.errors import InputError
from rostra.methods.vcnet.table import MAX_COLUMNS, read_table, split_table


def written(tmp_path, text, name="data.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_the_usual_dialects_are_read(tmp_path, delimiter, line_end, encoding):
    """Comma, semicolon or tab; any line end; with or without a byte order mark; quoted names."""
    text = line_end.join([delimiter.join(row) for row in (['"dose, mg"', "y"], ["1.5", "2"], ["3", "4"])]) + line_end
    table = read_table(written(tmp_path, text, encoding=encoding))
    pd.testing.assert_frame_equal(table, pd.DataFrame({"dose, mg": [1.5, 3.0], "y": [2, 4]}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; the first line must name the columns"),
        ("\n\n", "is empty"),
        ("a,b\n", "has a header but no rows"),
        ("a,b,a\n1,2,3\n", "has several columns named 'a'; names must be unique"),
        (b"a,b\n1,caf\xe9\n", "is not UTF-8 text \\(byte 0xe9\\); save it as CSV in UTF-8"),
        (b"\xff\xfea\x00", "is not UTF-8 text \\(byte 0xff\\)"),
        (
            ",".join(f"c{i}" for i in range(MAX_COLUMNS + 1)) + "\n",
            f"has {MAX_COLUMNS + 1} columns; at most {MAX_COLUMNS}",
        ),
        ('a,b\n1,"2\n', "not a well-formed CSV"),
        ("a,b\n1,2,3\n4,5\n", "has rows with more fields than its 2 column names"),
        ("a,b\n1,2\n4,5,6\n", "Expected 2 fields in line 3, saw 3"),
    ],
)
def test_files_that_are_no_table_are_refused(tmp_path, content, message):
    """One line that names the file and says what would be right."""
    with pytest.raises(InputError, match=message):
        read_table(written(tmp_path, content))


def test_too_many_columns_are_found_on_the_header_line(tmp_path):
    """The rest of the file, here not even text, is not read."""
    header = ",".join(f"c{i}" for i in range(MAX_COLUMNS + 1)).encode()
    with pytest.raises(InputError, match="columns; at most"):
        read_table(written(tmp_path, header + b"\n" + b"\xff" * 100_000))


def test_missing_files_and_folders_are_refused(tmp_path):
    """Each by its name."""
    with pytest.raises(InputError, match=r"absent.csv' does not exist"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="is a folder; give a CSV file"):
        read_table(tmp_path)


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
        ({"treatment": "dosis"}, "no column named 'dosis'; the file has: 'dose', 'y'"),
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
