"""A table of texts, and the part of it that a synthesis needs."""

__all__ = ["Column", "CsvStyle", "Examples", "Sheet", "check_header", "take"]

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rostra.engine.errors import InputError

from .formulas import column_letters


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a sheet.

    Attributes:
        name: its header.
        letter: as in a spreadsheet.
        texts: what its cells show, one a row.
        converted: first cell whose text stands for a number, a date or a truth value, such as "B2".
        formulas: rows, counted from 0, whose cell holds a formula of the user's.
        computed: first cell with a formula of the user's that gives no text.
        problem: first cell that cannot be read, and why.
    """

    name: str
    letter: str
    texts: pa.ChunkedArray
    converted: str | None = None
    formulas: frozenset[int] = frozenset()
    computed: str | None = None
    problem: str | None = None

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"'{self.name}' ({self.letter})"

    def filled(self) -> NDArray[np.bool_]:
        """Which cells hold more than spaces, shape (rows,)."""
        trimmed = pc.utf8_trim_whitespace(self.texts)
        return pc.not_equal(trimmed, "").to_numpy(zero_copy_only=False).astype(bool)


@dataclass(frozen=True)
class CsvStyle:
    """How a CSV is written."""

    delimiter: str = ","
    encoding: str = "utf-8"
    newline: str = "\n"


@dataclass(frozen=True, eq=False)
class Sheet:
    """A table of texts with its place in the file.

    Attributes:
        path: where it was read.
        title: the sheet's name in a workbook, else None.
        columns: those with a header, from left to right.
        rows: number of rows below the header.
        first_row: number of the first of these in a spreadsheet.
        merged: ranges of merged cells, such as "A2:B3".
        style: of a CSV, else None.
    """

    path: Path
    title: str | None
    columns: tuple[Column, ...]
    rows: int
    first_row: int = 2
    merged: tuple[str, ...] = ()
    style: CsvStyle | None = None

    def find(self, name: str) -> Column:
        """The column with a header or, if there is none, with a letter.

        Raises:
            InputError: if there is none.
        """
        name = name.strip()
        for column in self.columns:
            if column.name == name:
                return column
        for column in self.columns:
            if column.letter == name.upper():
                return column
        raise InputError(f"'{self.path}' has no column '{name}'; it has: {labels(self.columns)}")


@dataclass(frozen=True, eq=False)
class Examples:
    """What a synthesis needs, and where its results belong. Rows count from 0 below the header.

    Attributes:
        target: the column to fill.
        columns: the input columns.
        inputs, outputs: of the rows whose target is filled.
        rows: these rows.
        unfilled: the inputs of the rows to fill.
        unfilled_rows: these rows.
        notices: sentences that the user should read.
    """

    target: Column
    columns: tuple[Column, ...]
    inputs: list[tuple[str, ...]]
    outputs: list[str]
    rows: list[int]
    unfilled: list[tuple[str, ...]]
    unfilled_rows: list[int]
    notices: tuple[str, ...] = ()

    @property
    def letters(self) -> list[str]:
        """Letters of the input columns, as ``to_excel(columns=...)`` takes them."""
        return [column.letter for column in self.columns]


def labels(columns: Iterable[Column], most: int = 12) -> str:
    """Names of columns for a message."""
    names = [column.label for column in columns if column.name]
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def take(columns: Sequence[Column], rows: NDArray[np.intp]) -> list[tuple[str, ...]]:
    """The texts of some columns in some rows."""
    taken = [column.texts.take(pa.array(rows)).to_pylist() for column in columns]
    return list(zip(*taken, strict=True))


def check_header(path: Path, names: Sequence[str], row: int) -> None:
    """Check the names of all columns; "" stands for a column without a name.

    Raises:
        InputError: if a name repeats.
    """
    for index, name in enumerate(names):
        if name and name in names[:index]:
            cells = " and ".join(f"{column_letters(place)}{row}" for place in (names.index(name), index))
            raise InputError(f"'{path}': cells {cells} both name a column '{name}'; give each column its own name")
