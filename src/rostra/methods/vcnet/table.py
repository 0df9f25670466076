"""A user's CSV as covariates, treatment and outcome, with every problem said in one line."""

__all__ = ["MAX_COLUMNS", "Table", "read_table", "split_table"]

import csv
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from rostra.engine.errors import InputError

MAX_COLUMNS = 5000
"""Most columns of a CSV; found on the header line, before the rest is read."""
MAX_CATEGORIES = 50
"""Most distinct texts of a categorical column; more is a name or free text."""
DECIMAL_COMMA = r"[-+]?\d+(,\d+)?"
NUMBER_WITH_UNIT = r"[-+]?\d+([.,]\d+)?\s*[^\W\d_%]{0,6}[%°]?"
FEW_VALUES = 10
"""Up to so many distinct texts are taken for a category, even where they look like numbers with a unit."""
HEADER_BYTES = 10_000_000
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Table:
    """What a fit needs.

    Attributes:
        X: numeric covariates with their names; categories one-hot as "column=value".
        treatment: doses.
        y: outcomes.
    """

    X: pd.DataFrame
    treatment: "pd.Series[float]"
    y: "pd.Series[float]"


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV (comma, semicolon or tab) whose first line names the columns.

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
        raise InputError(f"'{path}' has several columns named {_quoted(repeated)}; names must be unique")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # says that fields were dropped
            table = pd.read_csv(
                path, sep=delimiter, encoding="utf-8-sig", skipinitialspace=True, index_col=False, header=0, names=names
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


def split_table(
    table: pd.DataFrame,
    *,
    treatment: str,
    outcome: str,
    covariates: Sequence[str] = (),
    exclude: Sequence[str] = (),
    impute: str | None = None,
) -> Table:
    """Take a table apart into covariates, treatment and outcome.

    Args:
        table: as read.
        treatment, outcome: names of columns of numbers.
        covariates: names of the covariates; none means all other columns.
        exclude: names of columns to leave out.
        impute: None, or "median": fills missing covariates with the column's median, or the
            category "missing".

    Raises:
        InputError: for names that are not there or used twice, columns that are not numbers, too
            many categories, or missing values.
    """
    if impute not in (None, "median"):
        raise InputError(f"impute must be 'median', got {impute!r}")
    _check_names(table, [treatment, outcome, *covariates, *exclude])
    if treatment == outcome:
        raise InputError(f"column '{treatment}' cannot be both treatment and outcome")
    for role, name in (("treatment", treatment), ("outcome", outcome)):
        if name in covariates:
            raise InputError(f"the {role} '{name}' is also among the covariates; take it out of --covariates")
    left_out = {treatment, outcome, *exclude}
    chosen = list(covariates) or [name for name in table.columns if name not in left_out]
    if not chosen:
        raise InputError("no covariates are left; a curve is adjusted for at least one")
    doses, y = (_numbers(table[name], name) for name in (treatment, outcome))
    columns = table[chosen]
    missing = columns.isna().sum()
    if impute is None and missing.any():
        counts = ", ".join(f"'{name}' ({count})" for name, count in missing[missing > 0].items())
        raise InputError(f"missing values in {counts}; fill or drop them, or pass --impute median")
    return Table(pd.concat([_encode(columns[name]) for name in chosen], axis=1), doses, y)


def _check_names(table: pd.DataFrame, names: Sequence[str]) -> None:
    unknown = sorted({name for name in names if name not in table.columns})
    if unknown:
        there = _quoted(list(table.columns[:20])) + (", ..." if len(table.columns) > 20 else "")
        raise InputError(f"no column named {_quoted(unknown)}; the file has: {there}")


def _numbers(column: "pd.Series[float]", name: str) -> "pd.Series[float]":
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


def _encode(column: "pd.Series[float]") -> pd.DataFrame:
    """Numbers as they are, missing ones by the median; texts one-hot."""
    name = column.name
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return column.fillna(column.median()).astype(float).to_frame()
    if not pd.api.types.is_bool_dtype(column.dtype):
        _check_no_numbers_as_text(column.dropna(), str(name))
    texts = column.astype(object).where(column.notna(), "missing").astype(str)
    values = sorted(texts.unique())
    if len(values) > MAX_CATEGORIES:
        raise InputError(
            f"column '{name}' holds {len(values)} different texts; more than {MAX_CATEGORIES} are "
            f"no category; leave it out with --exclude {name}"
        )
    if len(values) == 2:
        values = values[1:]
    return pd.DataFrame({f"{name}={value}": (texts == value).astype(float) for value in values}, index=column.index)


def _check_no_numbers_as_text(column: "pd.Series[float]", name: str) -> None:
    """Refuse a column of numbers that reads as text: one-hot, it would be taken for a category."""
    texts = column.astype(str)
    if texts.str.fullmatch(DECIMAL_COMMA).all() and texts.str.contains(",").any():
        raise InputError(f"column '{name}' holds numbers with a decimal comma, such as {texts.iloc[0]!r}; use a point")
    if texts.nunique() <= FEW_VALUES:
        return
    numeric = pd.to_numeric(texts, errors="coerce").notna()
    if numeric.mean() > 0.5 and not numeric.all():
        row = int((~numeric).to_numpy().argmax())
        raise InputError(
            f"column '{name}' holds numbers, but row {column.index[row] + 1} holds {texts.iloc[row]!r}; "
            f"empty that cell, or leave the column out with --exclude {name}"
        )
    if texts.str.fullmatch(NUMBER_WITH_UNIT).all():
        raise InputError(
            f"column '{name}' holds numbers with a unit, such as {texts.iloc[0]!r}; keep the number alone, "
            f"or leave the column out with --exclude {name}"
        )


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
