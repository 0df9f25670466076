"""A user's CSV: what is read, and what is said of what cannot be."""

import pandas as pd
import pytest

from rostra.engine.errors import InputError
from rostra.fields.tabular.tables import MAX_COLUMNS, read_table


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
