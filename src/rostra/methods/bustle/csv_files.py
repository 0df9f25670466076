"""CSV files as sheets of texts."""

__all__ = ["read_csv", "write_csv"]

import csv
from collections.abc import Iterator, Mapping
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from rostra.engine.errors import InputError
from rostra.engine.files import write_atomically
from rostra.engine.progress import progress_bar

from .formulas import MAX_COLUMN, column_letters
from .sheet import Column, CsvStyle, Examples, Sheet, check_header

DELIMITERS = ",;\t"
BATCH = 65_536
"""Rows that are Python objects at a time."""
LARGEST_FIELD = 1 << 30


def read_csv(path: Path) -> Sheet:
    """Read a CSV; every cell is the text that is written there. Rows may lack cells at the end.

    Raises:
        InputError: if the file is not UTF-8 or UTF-16 with a mark, is not well-formed, has no header or
            no rows, repeats a header, or has a row with more cells than the header.
    """
    with open(path, "rb") as file:
        start = file.read(1 << 16)
    encoding = "utf-8-sig" if start.startswith(b"\xef\xbb\xbf") else "utf-8"
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif b"\x00" in start:
        raise InputError(f"'{path}' holds null bytes and is no CSV; save it as CSV in UTF-8")
    try:
        with open(path, "rb") as raw, TextIOWrapper(raw, encoding=encoding, newline="") as file:
            return _read(path, raw, file, "\r\n" if "\r\n" in start.decode(encoding, "ignore") else "\n")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02x}"
        raise InputError(f"'{path}' is not UTF-8 text ({byte}); save it as CSV in UTF-8") from None


def _read(path: Path, raw: BinaryIO, file: TextIOWrapper, newline: str) -> Sheet:
    csv.field_size_limit(LARGEST_FIELD)
    delimiter = max(DELIMITERS, key=lambda mark: len(_header(path, file, mark)))
    header = [name.strip() for name in _header(path, file, delimiter)]
    if not header:
        raise InputError(f"'{path}' is empty; the first line must name the columns")
    if len(header) > MAX_COLUMN:
        raise InputError(f"'{path}' has {len(header)} columns; at most {MAX_COLUMN} are allowed")
    check_header(path, header, 1)
    file.seek(0)
    batches = list(_batches(path, raw, csv.reader(file, delimiter=delimiter, strict=True), len(header)))
    if not batches:
        raise InputError(f"'{path}' has a header but no rows")
    texts = [pa.chunked_array(list(chunks)) for chunks in zip(*batches, strict=True)]
    columns = tuple(Column(name, column_letters(index), texts[index]) for index, name in enumerate(header))
    for column in columns:
        if not column.name and column.filled().any():
            raise InputError(f"column {column.letter} of '{path}' holds data but the first line does not name it")
    return Sheet(path, None, columns, len(texts[0]), style=CsvStyle(delimiter, file.encoding, newline))


def _header(path: Path, file: TextIOWrapper, delimiter: str) -> list[str]:
    file.seek(0)
    try:
        return next((row for row in csv.reader(file, delimiter=delimiter, strict=True) if any(row)), [])
    except csv.Error:  # with another delimiter it may be well-formed
        if delimiter == DELIMITERS[0]:
            file.seek(0)
            return next((row for row in csv.reader(file, delimiter=delimiter) if any(row)), [])
        return []


def _batches(path: Path, raw: BinaryIO, reader: Any, width: int) -> Iterator[list[pa.Array]]:
    """The rows below the header, as columns of up to BATCH rows."""
    done, header = 0, True
    with progress_bar("read", path.stat().st_size) as advance:
        while rows := _next_rows(path, reader):
            if any(len(row) != width for row in rows):
                rows = [_fitted(path, row, width) for row in rows if row]  # [] is a blank line
            if header and rows:
                first = next((place for place, row in enumerate(rows) if any(row)), len(rows))
                header, rows = first == len(rows), rows[first + 1 :]
            if rows:
                yield [pa.array(cells, pa.large_string()) for cells in zip(*rows, strict=True)]
            done, before = raw.tell(), done
            advance(done - before, "")


def _next_rows(path: Path, reader: Any) -> list[list[str]]:
    try:
        return list(islice(reader, BATCH))
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} of '{path}' is not well-formed CSV ({error})") from None


def _fitted(path: Path, row: list[str], width: int) -> list[str]:
    """A row with empty cells added or taken away at its end."""
    if any(row[width:]):
        raise InputError(
            f"a row of '{path}' has {len(row)} cells, the header {width}: {row!r:.80}; "
            "put cells that contain the delimiter into double quotes"
        )
    return (row + [""] * width)[:width]


def write_csv(sheet: Sheet, examples: Examples, out: Path, results: Mapping[int, str]) -> None:
    """Write a sheet with results (row -> text) in its target column."""
    style = sheet.style or CsvStyle()
    delimiter = "\t" if out.suffix.lower() == ".tsv" else style.delimiter
    target = sheet.columns.index(examples.target)
    with (
        write_atomically(out) as temporary,
        open(temporary, "w", encoding=style.encoding, newline="") as file,
        progress_bar("write", sheet.rows) as advance,
    ):
        writer = csv.writer(file, delimiter=delimiter, lineterminator=style.newline)
        writer.writerow([column.name for column in sheet.columns])
        for first in range(0, sheet.rows, BATCH):
            cells = [column.texts.slice(first, BATCH).to_pylist() for column in sheet.columns]
            for place, text in enumerate(cells[target]):
                cells[target][place] = results.get(first + place, text)
            writer.writerows(zip(*cells, strict=True))
            advance(len(cells[0]), "")
