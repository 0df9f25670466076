"""A user's CSV as a table, with every problem said in one line."""

__all__ = ["MAX_COLUMNS", "check_names", "imputes", "number_column", "quoted", "read_table"]

import csv
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rostra.engine.errors import InputError

MAX_COLUMNS = 5000
"""Most columns of a CSV; found on the header line, before the rest is read."""
HEADER_BYTES = 10_000_000
DELIMITERS = ",;\t"


def read_table(path: Path, texts: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV (comma, semicolon or tab) whose first line names the columns.

    Args:
        path: of the file.
        texts: columns whose values stay as they stand in the file ("007" is no number), if they are there.

    Raises:
        InputError: if the file is missing, empty, has no rows, is not UTF-8, repeats a column name,
            has too many columns, or lines of unequal length.
    """
    if path.is_dir() or not path.exists():
        raise InputError(f"'{path}' {'is a folder' if path.is_dir() else 'does not exist'}; give a CSV file")
    try:
        with open(path, "rb") as file:
            # Lines may end in CR, LF or both; a file that is no text may have no line at all.
            header = re.split(rb"[\r\n]", file.read(HEADER_BYTES), maxsplit=1)[0].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from None
    except PermissionError as error:
        raise InputError(f"cannot read '{path}' ({error.strerror})") from None
    if not header.strip():
        raise InputError(f"'{path}' is empty; the first line must name the columns")
    by_delimiter = {mark: next(csv.reader([header], delimiter=mark)) for mark in DELIMITERS}
    delimiter = max(by_delimiter, key=lambda mark: len(by_delimiter[mark]))
    names = [name.strip() for name in by_delimiter[delimiter]]
    if len(names) > MAX_COLUMNS:
        raise InputError(f"'{path}' has {len(names)} columns; at most {MAX_COLUMNS} are allowed")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"'{path}' has several columns named {quoted(repeated)}; names must be unique")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # says that fields were dropped
            table = pd.read_csv(
                path,
                sep=delimiter,
                encoding="utf-8-sig",
                skipinitialspace=True,
                index_col=False,
                header=0,
                names=names,
                dtype={name: str for name in texts if name in names},
            )
    except pd.errors.ParserWarning:
        raise InputError(f"'{path}' has rows with more fields than its {len(names)} column names") from None
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from None
    except pd.errors.ParserError as error:
        raise InputError(f"'{path}' is not a well-formed CSV: {str(error).splitlines()[0]}") from None
    if table.empty:
        raise InputError(f"'{path}' has a header but no rows")
    return table


def _not_utf8(path: Path, error: UnicodeDecodeError) -> InputError:
    return InputError(f"'{path}' is not UTF-8 text (byte 0x{error.object[error.start]:02x}); save it as CSV in UTF-8")


def check_names(table: pd.DataFrame, names: Sequence[str]) -> None:
    """Check that columns are there.

    Raises:
        InputError: that names those that are not, and some that are.
    """
    unknown = sorted({name for name in names if name not in table.columns})
    if unknown:
        there = quoted(list(table.columns[:20])) + (", ..." if len(table.columns) > 20 else "")
        raise InputError(f"no column named {quoted(unknown)}; there are: {there}")


def number_column(column: "pd.Series[float]", name: str) -> "pd.Series[float]":
    """A column as floats.

    Raises:
        InputError: for texts and for missing values, with the first row that holds one.
    """
    numbers = pd.to_numeric(column, errors="coerce")
    bad = numbers.isna() & column.notna()
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise InputError(f"column '{name}' must hold numbers, but row {row + 1} holds {column.iloc[row]!r}")
    if numbers.isna().any():
        count, row = int(numbers.isna().sum()), int(numbers.isna().to_numpy().argmax())
        raise InputError(
            f"column '{name}' holds {count} missing value{'s' if count > 1 else ''} "
            f"(first in row {row + 1}); drop those rows"
        )
    return numbers.astype(float)


def imputes(option: str | None) -> bool:
    """Whether the option --impute asks for medians in place of missing numbers.

    Raises:
        InputError: if it asks for anything else.
    """
    if option not in (None, "median"):
        raise InputError(f"--impute must be median, got '{option}'")
    return option is not None


def quoted(names: Sequence[str]) -> str:
    """'a', 'b' for messages."""
    return ", ".join(f"'{name}'" for name in names)
