"""Workbooks (XLSX, XLSM) as sheets of texts, and formulas in them."""

__all__ = ["read_workbook", "require_openpyxl", "write_into_workbook", "write_new_workbook"]

import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from rostra.engine.errors import InputError
from rostra.engine.files import write_atomically
from rostra.engine.progress import progress_bar

from .cells import MAX_TEXT, UnreadableCellError, encode_text, shown
from .formulas import column_letters
from .sheet import Column, Examples, Sheet, check_header

BATCH = 65_536
TEXT_FORMAT = "@"
RISKY = ("=", "+", "-", "@", "'")
"""Beginnings that a spreadsheet takes for a formula, or for its own mark, when the cell is edited."""
LOST_PARTS = {
    "xl/slicers/": "slicers",
    "xl/timelines/": "timelines",
    "xl/ctrlProps/": "form controls",
    "xl/activeX/": "form controls",
    "xl/threadedComments/": "threads of comments",
    "xl/richData/": "linked data types",
    "xl/model/": "a data model",
}
"""Parts of a workbook that openpyxl does not write again -> what they are."""

Formula = Callable[[int], str]


def require_openpyxl() -> ModuleType:
    """The module openpyxl.

    Raises:
        InputError: if it is not installed, with the command that does it.
    """
    try:
        import openpyxl
    except ImportError:
        raise InputError("XLSX files need openpyxl: pip install 'rostra[sheets]'") from None
    return openpyxl


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say in one line that a workbook cannot be read."""
    try:
        with warnings.catch_warnings():  # openpyxl's, on extensions that it does not know
            warnings.simplefilter("ignore")
            yield
    except (
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        OSError,
        zipfile.BadZipFile,
        SyntaxError,
    ) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"'{path}' is no XLSX file, or a damaged one ({type(error).__name__}); "
            "open it in a spreadsheet and save it again"
        ) from None


def read_workbook(path: Path, sheet: str | None) -> Sheet:
    """Read a sheet of a workbook as a person sees it.

    Args:
        path: the file.
        sheet: its name; default: the sheet that opens.

    Raises:
        InputError: if the file is damaged, there is no such sheet, or its header or its rows are missing,
            or two columns have the same name.
    """
    openpyxl = require_openpyxl()
    with _readable(path):
        book = openpyxl.load_workbook(path)
        page = _page(path, book, sheet)
        table = [list(row) for row in page.iter_rows()]
        formulas = any(cell.data_type == "f" for row in table for cell in row)
        values = openpyxl.load_workbook(path, data_only=True)[page.title] if formulas else page
    filled_rows = [place for place, row in enumerate(table) if any(cell.value is not None for cell in row)]
    if not filled_rows:
        raise InputError(f"sheet '{page.title}' of '{path}' is empty; its first row must name the columns")
    top, last = filled_rows[0], filled_rows[-1]
    if top == last:
        raise InputError(f"sheet '{page.title}' of '{path}' has a header but no rows")
    first = table[top][0].row + 1
    header, body = table[top], table[top + 1 : last + 1]
    if all(isinstance(cell.value, (int, float)) for cell in header if cell.value is not None):
        raise InputError(f"row {first - 1} of sheet '{page.title}' must name the columns, but holds numbers only")
    names = [_name(cell) for cell in header]
    check_header(path, names, first - 1)
    merged = tuple(map(str, page.merged_cells.ranges))
    table_ends = max(place for place, name in enumerate(names) if name) + 1
    columns = []
    for index, name in enumerate(names):
        column = _column(name, column_letters(index), [row[index] for row in body], values)
        if name:
            columns.append(column)
        elif column.filled().any():
            place = f"{column.letter}{first - 1}"
            for cells in page.merged_cells.ranges:
                if place in cells:
                    raise InputError(f"cells {cells} of sheet '{page.title}' are merged; unmerge them")
            raise InputError(
                f"cell {place} of sheet '{page.title}' is empty, but its column holds data; give it a name"
            )
        elif index == table_ends:  # an empty column separates notes from the table
            break
    return Sheet(path, page.title, tuple(columns), len(body), first, merged)


def _page(path: Path, book: Any, name: str | None) -> Any:
    pages = {page.title: page for page in book.worksheets}
    if name is None:
        return book.active if book.active in book.worksheets else book.worksheets[0]
    if name not in pages:
        raise InputError(f"'{path}' has no sheet '{name}'; it has: {', '.join(map(repr, pages))}")
    return pages[name]


def _name(cell: Any) -> str:
    try:
        return shown(cell.value, cell.number_format).strip()
    except UnreadableCellError:
        return str(cell.value)


def _column(name: str, letter: str, cells: list[Any], values: Any) -> Column:
    texts, formulas = [], []
    converted = computed = problem = None
    for row, cell in enumerate(cells):
        value, place, text = cell.value, f"{letter}{cell.row}", ""
        if cell.data_type == "f":
            formulas.append(row)
            value = values[place].value
            if value is None and values[place].data_type not in ("s", "str"):  # the latter: an empty text
                problem = problem or f"cell {place} holds a formula whose value is not stored; {_SAVE}"
        try:
            if cell.data_type == "e" or (isinstance(value, str) and values[place].data_type == "e"):
                raise UnreadableCellError(f"the error {value}")
            text = shown(value, cell.number_format)
        except UnreadableCellError as error:
            text = str(value)
            problem = problem or f"cell {place} holds {error}; format it as text as it should be read, or clear it"
        if value is not None and not isinstance(value, str):
            converted = converted or place
            if cell.data_type == "f":
                computed = computed or place
        texts.append(text)
    chunks = [pa.array(texts, pa.large_string())]
    return Column(name, letter, pa.chunked_array(chunks), converted, frozenset(formulas), computed, problem)


_SAVE = "open the file in a spreadsheet, save it, and give that"


def write_into_workbook(
    sheet: Sheet, examples: Examples, out: Path, results: Mapping[int, str], formula: Formula | None
) -> list[str]:
    """Write a workbook again with formulas (or results as texts) in the target's empty cells.

    Returns:
        Sentences that the user should read.
    """
    openpyxl = require_openpyxl()
    with _readable(sheet.path):
        keep_vba = sheet.path.suffix.lower() == ".xlsm"
        book = openpyxl.load_workbook(sheet.path, keep_vba=keep_vba, rich_text=True)
        lost = _lost_parts(sheet.path)
    page = book[sheet.title]
    target = examples.target.letter
    place = {row: number for number, row in enumerate(examples.unfilled_rows)}
    with progress_bar("write", len(results)) as advance:
        for row, text in results.items():
            number = sheet.first_row + row
            for column, shown_text in zip(examples.columns, examples.unfilled[place[row]], strict=True):
                source = page[f"{column.letter}{number}"]
                if formula is not None and source.data_type != "f" and shown_text:
                    if source.data_type != "s":
                        source.value = encode_text(shown_text)
                    source.data_type = "s"
                    source.number_format = TEXT_FORMAT
                    source.quotePrefix = shown_text.startswith(RISKY)
            cell = page[f"{target}{number}"]
            if formula is None:
                _set_text(cell, text)
            else:
                cell.value = formula(number)
                if cell.number_format == TEXT_FORMAT:  # else the formula would turn into a text when it is edited
                    cell.number_format = "General"
            advance(1, "")
    book.calculation.fullCalcOnLoad = True
    with write_atomically(out) as temporary:
        book.save(temporary)
    return [f"not kept, because openpyxl cannot write them: {', '.join(lost)}"] if lost else []


def _set_text(cell: Any, text: str) -> None:
    """Store a text that is never a formula."""
    cell.value = encode_text(text)
    cell.data_type = "s"
    cell.number_format = TEXT_FORMAT
    cell.quotePrefix = text.startswith(RISKY)


def _lost_parts(path: Path) -> list[str]:
    found = set()
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            found |= {what for part, what in LOST_PARTS.items() if name.startswith(part)}
            if re.fullmatch(r"xl/drawings/drawing\d+\.xml", name) and re.search(
                rb"<xdr:(?:sp|cxnSp|grpSp)\b", archive.read(name)
            ):
                found.add("shapes and text boxes")
            if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", name) and b"<extLst" in archive.read(name):
                found.add("extensions such as sparklines and newer conditional formats")
    return sorted(found)


def write_new_workbook(
    sheet: Sheet, examples: Examples, out: Path, results: Mapping[int, str], formula: Formula | None
) -> None:
    """Make a workbook of texts from a CSV's rows, with formulas (or results as texts) in the target column.

    Raises:
        InputError: for a cell with more characters than a spreadsheet holds.
    """
    openpyxl = require_openpyxl()
    from openpyxl.cell import WriteOnlyCell

    book = openpyxl.Workbook(write_only=True)
    page = book.create_sheet(re.sub(r"[][:*?/\\\x00-\x1f]", "_", sheet.path.stem).strip("'")[:31] or "Sheet")
    plain, quoted, live = WriteOnlyCell(page), WriteOnlyCell(page), WriteOnlyCell(page)
    for cell in (plain, quoted):
        cell.number_format = TEXT_FORMAT
    quoted.quotePrefix = True

    def stored(text: str, place: tuple[str, int]) -> Any:
        if not text:
            return None
        if len(text) > MAX_TEXT:
            where = f"cell {place[0]}{place[1]}"
            raise InputError(f"{where} would hold {len(text)} characters, more than {MAX_TEXT}; write a .csv file")
        cell = WriteOnlyCell(page, encode_text(text))
        cell._style = (quoted if text.startswith(RISKY) else plain)._style
        cell.data_type = "s"
        return cell

    target = sheet.columns.index(examples.target)
    letters = [column.letter for column in sheet.columns]
    with write_atomically(out) as temporary, progress_bar("write", sheet.rows) as advance:
        try:
            page.append([stored(column.name, (column.letter, 1)) for column in sheet.columns])
            for first in range(0, sheet.rows, BATCH):
                cells = [column.texts.slice(first, BATCH).to_pylist() for column in sheet.columns]
                for row, texts in enumerate(zip(*cells, strict=True), start=first):
                    number = sheet.first_row + row
                    written = [stored(text, (letter, number)) for letter, text in zip(letters, texts, strict=True)]
                    if row in results:
                        if formula is None:
                            written[target] = stored(results[row], (letters[target], number))
                        else:
                            live.value = formula(number)
                            written[target] = live
                    page.append(written)
                advance(len(cells[0]), "")
        finally:
            page.close()
        book.save(temporary)
