"""Columns of a table as numbers: how a table was encoded, so that other tables can be encoded alike."""

__all__ = ["ColumnEncoding", "TableEncoder"]

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from rostra.engine.checkpoints import tuples
from rostra.engine.errors import InputError

from .tables import check_names, quoted

MAX_CATEGORIES = 50
"""Most distinct texts of a categorical column; more is a name or free text."""
DECIMAL_COMMA = r"[-+]?\d+(,\d+)?"
NUMBER_WITH_UNIT = r"[-+]?\d+([.,]\d+)?\s*([^\W\d_%]{1,6}[%°]?|[%°])"
FEW_VALUES = 10
"""Up to so many distinct texts are taken for a category, even where they look like numbers with a unit."""
MISSING, OTHER = "missing", "other"


@dataclass(frozen=True)
class ColumnEncoding:
    """One column: a number as it is, or a category as a 0/1 column a level.

    Attributes:
        name: of the column.
        levels: texts of a category, sorted; None for a number.
        median: what fills missing numbers; None refuses them.
        fills_missing: whether missing texts are the level "missing"; else they are refused.
        rare: levels that were merged into "other".
    """

    name: str
    levels: tuple[str, ...] | None = None
    median: float | None = None
    fills_missing: bool = False
    rare: tuple[str, ...] = ()

    @property
    def features(self) -> list[str]:
        """Names of the columns that it becomes: "name", or "name=level"; of two levels the second alone."""
        return [self.name] if self.levels is None else [f"{self.name}={level}" for level in self.shown_levels]

    @property
    def shown_levels(self) -> tuple[str, ...]:
        """The levels that have a column."""
        assert self.levels is not None
        return self.levels[1:] if len(self.levels) == 2 else self.levels


@dataclass(frozen=True)
class TableEncoder:
    """How each column of a table becomes numbers.

    Attributes:
        columns: in their order.
    """

    columns: tuple[ColumnEncoding, ...]

    @classmethod
    def fitted(cls, table: pd.DataFrame, *, impute: bool = False, categories: Mapping[str, int] | None = None) -> Self:
        """The encoding of a table's columns.

        Args:
            table: columns of numbers, truth values or texts.
            impute: fill missing numbers with the column's median; missing texts are the category "missing".
            categories: columns to take as categories even if they hold numbers, with the fewest rows of a level:
                rarer ones are merged into "other".

        Raises:
            InputError: for missing values without ``impute``, columns without any value, too many categories, and
                texts that are numbers in disguise.
        """
        missing = table.isna().sum()
        empty = [str(name) for name in table.columns if missing[name] == len(table)]
        if empty:
            raise InputError(f"no value at all in {quoted(empty)}; leave it out with --exclude {','.join(empty)}")
        if not impute and missing.any():
            counts = ", ".join(f"'{name}' ({count})" for name, count in missing[missing > 0].items())
            raise InputError(f"missing values in {counts}; fill or drop them, or pass --impute median")
        wanted = categories or {}
        return cls(tuple(_column_encoding(table[name], impute, wanted.get(str(name))) for name in table.columns))

    @property
    def names(self) -> list[str]:
        """Names of the table's columns."""
        return [column.name for column in self.columns]

    @property
    def features(self) -> list[str]:
        """Names of the columns of numbers."""
        return [feature for column in self.columns for feature in column.features]

    def positions(self, name: str) -> list[int]:
        """Which columns of numbers a column of the table becomes."""
        start = 0
        for column in self.columns:
            if column.name == name:
                return list(range(start, start + len(column.features)))
            start += len(column.features)
        raise InputError(f"no column named '{name}'; there are: {quoted(self.names)}")

    def __getitem__(self, name: str) -> ColumnEncoding:
        """The encoding of one column."""
        return next(column for column in self.columns if column.name == name)

    def transform(self, table: pd.DataFrame) -> pd.DataFrame:
        """Numbers of a table with these columns (others are ignored): float64, with the names of ``features``.

        Raises:
            InputError: for columns that are not there, missing values, texts instead of numbers, and levels that the
                fitted table did not have.
        """
        check_names(table, self.names)
        return pd.concat([_encoded(table[column.name], column) for column in self.columns], axis=1)

    def levels_of(self, column: "pd.Series[Any]", encoding: ColumnEncoding) -> "pd.Series[str]":
        """The level of each row of a category, with rare ones merged.

        Raises:
            InputError: for missing values and levels that the fitted table did not have.
        """
        return _levels(column, encoding)

    def to_json(self) -> list[dict[str, Any]]:
        """For a checkpoint's document."""
        return [asdict(column) for column in self.columns]

    @classmethod
    def from_json(cls, content: Sequence[Mapping[str, Any]]) -> Self:
        """What :meth:`to_json` gave."""

        return cls(tuple(ColumnEncoding(**tuples(column)) for column in content))


def _column_encoding(column: "pd.Series[Any]", impute: bool, least: int | None) -> ColumnEncoding:
    name = str(column.name)
    boolean = pd.api.types.is_bool_dtype(column.dtype)
    category = isinstance(column.dtype, pd.CategoricalDtype)
    if least is None and pd.api.types.is_numeric_dtype(column.dtype) and not boolean:
        return ColumnEncoding(name, median=float(column.median()) if impute else None)
    if least is None and not boolean and not category:
        _check_no_numbers_as_text(column, name)
    counts = _texts(column).value_counts()
    rare = sorted(counts[counts < (least or 0)].index)
    if len(counts) <= 2 or len(counts) == len(rare):  # nothing would be left to tell apart
        rare = []
    levels = sorted({level for level in counts.index if level not in rare} | ({OTHER} if rare else set()))
    if len(levels) > MAX_CATEGORIES:
        raise InputError(
            f"column '{name}' holds {len(levels)} different texts; more than {MAX_CATEGORIES} are "
            f"no category; leave it out with --exclude {name}"
        )
    return ColumnEncoding(name, tuple(levels), fills_missing=impute, rare=tuple(rare))


def _texts(column: "pd.Series[Any]") -> "pd.Series[str]":
    """Texts of a category; whole numbers alike whether a file with gaps made them floats or not."""
    codes, values = pd.factorize(column)
    texts = [
        str(int(value) if isinstance(value, (float, np.floating)) and float(value).is_integer() else value)
        for value in values
    ]
    return pd.Series(np.array([*texts, MISSING], dtype=object)[codes], index=column.index)  # a gap has the code -1


def _encoded(column: "pd.Series[Any]", encoding: ColumnEncoding) -> pd.DataFrame:
    if encoding.levels is None:
        numbers = pd.to_numeric(column, errors="coerce")
        bad = (numbers.isna() & column.notna()) | ~np.isfinite(numbers.fillna(0.0).astype(float))
        if bad.any():
            row = int(bad.to_numpy().argmax())
            value = column.iloc[row]
            shown = repr(value if isinstance(value, str) else float(value))
            raise InputError(f"column '{encoding.name}' must hold numbers, but row {row + 1} holds {shown}")
        if encoding.median is None and numbers.isna().any():
            raise _missing(column, encoding.name)
        return numbers.astype(float).fillna(encoding.median if encoding.median is not None else 0.0).to_frame()
    texts = _levels(column, encoding)
    return pd.DataFrame(
        {f"{encoding.name}={level}": (texts == level).astype(float) for level in encoding.shown_levels},
        index=column.index,
    )


def _levels(column: "pd.Series[Any]", encoding: ColumnEncoding) -> "pd.Series[str]":
    assert encoding.levels is not None
    if not encoding.fills_missing and column.isna().any():
        raise _missing(column, encoding.name)
    texts = _texts(column)
    known = texts.isin(encoding.levels)
    if encoding.rare:
        rare = texts.isin(encoding.rare)
        texts, known = texts.where(~rare, OTHER), known | rare
    if not known.all():
        row = int((~known).to_numpy().argmax())
        raise InputError(
            f"column '{encoding.name}' holds {texts.iloc[row]!r} in row {row + 1}, which was not there before; "
            f"known are {quoted(encoding.levels)}"
        )
    return texts


def _missing(column: "pd.Series[Any]", name: str) -> InputError:
    count, row = int(column.isna().sum()), int(column.isna().to_numpy().argmax())
    return InputError(
        f"column '{name}' holds {count} missing value{'s' if count > 1 else ''} (first in row {row + 1}); "
        "fill or drop those rows"
    )


def _check_no_numbers_as_text(column: "pd.Series[Any]", name: str) -> None:
    """Refuse a column of numbers that reads as text: one-hot, it would be taken for a category."""
    texts = column.dropna().astype(str)
    if texts.str.fullmatch(DECIMAL_COMMA).all() and texts.str.contains(",").any():
        raise InputError(f"column '{name}' holds numbers with a decimal comma, such as {texts.iloc[0]!r}; use a point")
    if texts.nunique() <= FEW_VALUES:
        return
    numeric = pd.to_numeric(texts, errors="coerce").notna()
    if numeric.mean() > 0.5 and not numeric.all():
        row = int((column.notna() & ~pd.to_numeric(column.astype(str), errors="coerce").notna()).to_numpy().argmax())
        raise InputError(
            f"column '{name}' holds numbers, but row {row + 1} holds {column.iloc[row]!r}; "
            f"empty that cell, or leave the column out with --exclude {name}"
        )
    if texts.str.fullmatch(NUMBER_WITH_UNIT).all():
        raise InputError(
            f"column '{name}' holds numbers with a unit, such as {texts.iloc[0]!r}; keep the number alone, "
            f"or leave the column out with --exclude {name}"
        )
