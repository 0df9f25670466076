"""Users' files: CSV and XLSX in, examples and rows to fill out of them, and the filled file.

Everything is text as a person sees it. A file's first row that is not empty names the columns; rows
in which the target column is filled are examples, those in which it is empty are to be filled.
"""

__all__ = [
    "Column",
    "Examples",
    "Sheet",
    "check_output",
    "choose_columns",
    "partly_filled",
    "read_sheet",
    "write_filled",
]

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rostra.engine.errors import InputError

from .cells import may_be_executed
from .csv_files import read_csv, write_csv
from .formulas import MAX_ROW
from .sheet import Column, Examples, Sheet, labels, take
from .workbooks import read_workbook, require_openpyxl, write_into_workbook, write_new_workbook

CSV_SUFFIXES = (".csv", ".tsv", ".txt")
XLSX_SUFFIXES = (".xlsx", ".xlsm")
OTHER_SUFFIXES = (".xls", ".xlsb", ".ods", ".numbers")
OLE_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")
ZIP_MAGIC = b"PK\x03\x04"

Mask = NDArray[np.bool_]


def read_sheet(path: Path, sheet: str | None = None) -> Sheet:
    """Read a CSV (comma, semicolon or tab) or an XLSX or XLSM file as texts.

    A CSV's cells are what is written there: "67.0" and "007" stay. A workbook's cells are what a
    person sees, see :func:`rostra.methods.bustle.cells.shown`.

    Args:
        path: the file; its suffix says what it is.
        sheet: name of the workbook's sheet; default: the one that opens.

    Raises:
        InputError: if the file is missing, of another kind, encrypted or damaged, has no header or no
            rows, repeats a header, or has no sheet of this name.
    """
    suffix = path.suffix.lower()
    if path.is_dir() or not path.exists():
        raise InputError(f"'{path}' {'is a folder' if path.is_dir() else 'does not exist'}; give a CSV or XLSX file")
    if suffix in OTHER_SUFFIXES:
        raise InputError(f"'{path}' is a {suffix} file; save it as .xlsx and give that")
    if suffix not in (*CSV_SUFFIXES, *XLSX_SUFFIXES):
        raise InputError(f"'{path}' is neither .csv nor .xlsx; save it as one of these and give that")
    try:
        with open(path, "rb") as file:
            start = file.read(len(OLE_MAGIC))
    except OSError as error:
        raise InputError(f"cannot read '{path}' ({error.strerror})") from None
    if start == OLE_MAGIC:
        if "EncryptedPackage".encode("utf-16-le") in path.read_bytes():
            raise InputError(f"'{path}' is encrypted; save it without a password and give that")
        raise InputError(f"'{path}' is an old .xls file by another name; save it as .xlsx and give that")
    if suffix in XLSX_SUFFIXES:
        if not start.startswith(ZIP_MAGIC):
            raise InputError(f"'{path}' is no XLSX file; open it in a spreadsheet and save it as .xlsx")
        return read_workbook(path, sheet)
    if start.startswith(ZIP_MAGIC):
        raise InputError(f"'{path}' is no CSV; if it is a workbook, give it a name that ends in .xlsx")
    if sheet is not None:
        raise InputError(f"'{path}' is a CSV file, which has no sheets; leave out --sheet")
    return read_csv(path)


def choose_columns(sheet: Sheet, target: str | None = None, inputs: Sequence[str] = ()) -> Examples:
    """Decide which column is to be filled from which, and take examples and rows to fill from the sheet.

    The target is, unless named, the first of :func:`partly_filled`. The
    inputs are, unless named, the columns left of it that are filled in every row, or if there is none,
    the columns right of it that are. Rows in which all inputs are empty are not filled. A cell that
    holds nothing but spaces counts as empty.

    Args:
        sheet: as read.
        target: header or letter of the column to fill; a header wins over a letter.
        inputs: headers or letters of the columns that the formula may refer to.

    Raises:
        InputError: for names that are not there, a choice that is not clear (the candidates are
            listed), no examples, nothing to fill, merged cells, or a cell that cannot be read.
    """
    filled = {column.letter: column.filled() for column in sheet.columns}
    used = np.any(list(filled.values()), axis=0)
    wanted = sheet.find(target) if target is not None else partly_filled(sheet)[0]
    sources = _named(sheet, wanted, inputs) if inputs else _filled_throughout(sheet, wanted, filled, used)
    _check_cells(sheet, [wanted, *sources])
    for column in sources:
        if column.computed is not None:
            raise InputError(
                f"cell {column.computed} holds a formula whose value is no text, and a formula that refers to it "
                "would see it otherwise than it is shown; put TEXT(...) around it or choose other --inputs"
            )
    own = np.zeros(sheet.rows, dtype=bool)
    own[list(wanted.formulas)] = True  # a formula that shows nothing is no empty cell
    some_input = np.any([filled[column.letter] for column in sources], axis=0)
    rows = np.flatnonzero(filled[wanted.letter])
    unfilled = np.flatnonzero(~filled[wanted.letter] & some_input & ~own)
    if not len(rows):
        raise InputError(f"column {wanted.label} has no filled cell; fill in 2 or 3 as examples")
    if not len(unfilled):
        raise InputError(f"column {wanted.label} has no empty cell beside filled inputs, so nothing is to be filled")
    return Examples(
        target=wanted,
        columns=tuple(sources),
        inputs=take(sources, rows),
        outputs=[output for (output,) in take([wanted], rows)],
        rows=rows.tolist(),
        unfilled=take(sources, unfilled),
        unfilled_rows=unfilled.tolist(),
        notices=tuple(_notices(wanted, sources)),
    )


def partly_filled(sheet: Sheet) -> list[Column]:
    """The columns that are filled in some rows and empty in others, if they are filled in the same rows.

    Raises:
        InputError: if there is none, or if they are filled in different rows: which of them are to be filled, and
            which only have gaps, is for the user to say.
    """
    filled = {column.letter: column.filled() for column in sheet.columns}
    used = np.any(list(filled.values()), axis=0)
    candidates = []
    for column in sheet.columns:
        here = filled[column.letter][used]
        if here.any() and not here.all():
            candidates.append(column)
    if not candidates:
        raise InputError(
            f"no column of '{sheet.path}' is filled in some rows and empty in others; "
            "fill in 2 or 3 cells of the column that you want"
        )
    if any((filled[column.letter] != filled[candidates[0].letter]).any() for column in candidates):
        raise InputError(
            f"several columns are partly filled, in different rows: {labels(candidates)}; "
            "name those to fill with --target"
        )
    return candidates


def _named(sheet: Sheet, target: Column, names: Sequence[str]) -> list[Column]:
    columns = list(dict.fromkeys(sheet.find(name) for name in names))
    if target in columns:
        raise InputError(f"column {target.label} cannot be both target and input; take it out of --inputs")
    return columns


def _filled_throughout(sheet: Sheet, target: Column, filled: dict[str, Mask], used: Mask) -> list[Column]:
    place = sheet.columns.index(target)
    for columns in (sheet.columns[:place], sheet.columns[place + 1 :]):
        if chosen := [column for column in columns if filled[column.letter][used].all()]:
            return chosen
    raise InputError(
        f"no column beside {target.label} is filled in every row; "
        "name the columns that the formula may use with --inputs, such as --inputs A,B"
    )


def _check_cells(sheet: Sheet, columns: Sequence[Column]) -> None:
    for column in columns:
        if column.problem is not None:
            raise InputError(column.problem)
    if sheet.merged:
        from openpyxl.utils import column_index_from_string, range_boundaries

        used = {column_index_from_string(column.letter) for column in columns}
        for cells in sheet.merged:
            left, _, right, bottom = range_boundaries(cells)
            if bottom >= sheet.first_row - 1 and used & set(range(left, right + 1)):
                raise InputError(f"cells {cells} of sheet '{sheet.title}' are merged; unmerge them")


def _notices(target: Column, sources: Sequence[Column]) -> list[str]:
    notices = [
        f"column {column.label} holds numbers, dates or truth values (first in {column.converted}); they are read as "
        "shown, and those that a formula refers to are stored as texts in a workbook, since a formula would see "
        "the number"
        for column in sources
        if column.converted is not None
    ]
    if target.converted is not None:
        notices.append(
            f"column {target.label} holds numbers, dates or truth values (first in {target.converted}); "
            "the formulas give texts that look the same"
        )
    return notices


def check_output(sheet: Sheet, out: Path) -> None:
    """Check, before any work, that :func:`write_filled` can write this file from this sheet.

    Raises:
        InputError: if the suffix is of no kind that is written, macros would be lost or invented, the
            file is the input itself, or the rows are too many for a spreadsheet.
    """
    suffix, source = out.suffix.lower(), sheet.path.suffix.lower()
    if suffix not in (*CSV_SUFFIXES, *XLSX_SUFFIXES):
        raise InputError(f"cannot write '{out}'; give a name that ends in .xlsx (formulas) or .csv (values)")
    if out.resolve() == sheet.path.resolve():
        raise InputError(f"'{out}' is the input itself; give another name for the result")
    if suffix not in XLSX_SUFFIXES:
        return
    require_openpyxl()
    if ".xlsm" in (suffix, source) and suffix != source:
        right = ".xlsm, or its macros would be lost" if source == ".xlsm" else ".xlsx, for there are no macros"
        raise InputError(f"cannot write '{sheet.path.name}' as '{out.name}'; give a name that ends in {right}")
    if sheet.first_row + sheet.rows - 1 > MAX_ROW:
        raise InputError(f"{sheet.rows} rows are more than a spreadsheet holds ({MAX_ROW - 1}); write a .csv file")


def write_filled(
    sheet: Sheet,
    examples: Examples,
    out: Path,
    values: Sequence[str | None],
    formula: Callable[[int], str] | None = None,
    *,
    quote_formulas: bool = False,
) -> list[str]:
    """Write the sheet with its target column filled; whole or not at all.

    A workbook gets live formulas in the empty cells of the target column. The cells that they refer to
    become texts in the format "@"; all else of a user's workbook is kept. From a CSV a new workbook is
    made, all of texts. No cell of the user's is ever written as a formula: texts that begin with =, +,
    - or @ are stored as texts, and marked as such for whoever edits the cell.

    A CSV gets the values. It cannot say what is text: a spreadsheet that opens it may take "=A1" for a
    formula. Cells are written as they are, because "-5" and "+49 30 1234" are right for every other
    program; the first cell at risk is named in a sentence returned. With ``quote_formulas`` an
    apostrophe is put before the filled-in values that a spreadsheet may execute.

    Args:
        sheet, examples: as read and chosen.
        out: a .csv, .tsv, .txt, .xlsx or .xlsm file.
        values: of the rows to fill; None leaves the cell empty.
        formula: row number of the spreadsheet -> formula, for a workbook; none writes values as texts.
        quote_formulas: whether to put an apostrophe before values that a spreadsheet may execute.

    Returns:
        Sentences that the user should read.

    Raises:
        InputError: see :func:`check_output`; also for a cell with more characters than a spreadsheet holds.
    """
    check_output(sheet, out)
    if len(values) != len(examples.unfilled_rows):
        raise ValueError(f"{len(examples.unfilled_rows)} rows are to be filled, got {len(values)} values")
    results = {row: value for row, value in zip(examples.unfilled_rows, values, strict=True) if value is not None}
    notices = []
    if empty := len(values) - len(results):
        first = sheet.first_row + next(row for row in examples.unfilled_rows if row not in results)
        notices.append(f"{empty} cells stay empty, for which the program has no value (first in row {first})")
    if out.suffix.lower() in CSV_SUFFIXES:
        risky = [row for row, value in results.items() if may_be_executed(value)]
        if quote_formulas:
            results |= {row: f"'{results[row]}" for row in risky}
        elif risky:
            notices.append(
                f"{len(risky)} values begin with =, +, - or @ (first in row {sheet.first_row + risky[0]}), which a "
                "spreadsheet that opens the CSV may take for formulas; in an .xlsx file they are texts"
            )
        write_csv(sheet, examples, out, results)
    elif sheet.style is None:
        notices += write_into_workbook(sheet, examples, out, results, formula)
    else:
        write_new_workbook(sheet, examples, out, results, formula)
    return notices
