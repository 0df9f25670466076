"""Users' files are read as people see them, and come back whole, with texts that stay texts."""

import csv
import datetime as dt
import subprocess
import sys
import zipfile

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from libreoffice import NO_SOFFICE, SOFFICE, recalculate
from openpyxl.styles import Font
from openpyxl.worksheet.formula import ArrayFormula

from rostra.engine.errors import InputError
from rostra.methods.bustle import csv_files
from rostra.methods.bustle.cells import UnreadableCellError, decode_text, encode_text, may_be_executed, shown
from rostra.methods.bustle.spreadsheet import check_output, choose_columns, partly_filled, read_sheet, write_filled

DAY = dt.datetime(2021, 3, 4)
NAMES = "name,initial\nAda Lovelace,A\nZoë Krüger,Z\n=HYPERLINK(1),\n-5,\n"


def save(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def workbook(path, rows, title="People", formats=None):
    book = openpyxl.Workbook()
    page = book.active
    page.title = title
    for number, row in enumerate(rows, start=1):
        for column, value in enumerate(row, start=1):
            cell = page.cell(number, column, value)
            if isinstance(value, str) and value.startswith("=") and "!" not in value[:2]:
                cell.data_type = "f"
    for place, number_format in (formats or {}).items():
        page[place].number_format = number_format
    book.save(path)
    return path


def texts(sheet):
    return {column.name: column.texts.to_pylist() for column in sheet.columns}


# --- CSV ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_is_read_as_it_is_written(tmp_path, delimiter, encoding, newline):
    rows = [
        ["name", "price, net;", "note"],
        ["Zoë", "67.0", " padded "],
        ["007", "1e5", 'says "hi"'],
        ["=1+1", "+3", "two\nlines"],
        ["TRUE", "NA", ""],
    ]
    path = tmp_path / "data.csv"
    with open(path, "w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator=newline).writerows(rows)
    sheet = read_sheet(path)
    assert texts(sheet) == {name: [row[place] for row in rows[1:]] for place, name in enumerate(rows[0])}
    assert [column.letter for column in sheet.columns] == ["A", "B", "C"]
    assert (sheet.style.delimiter, sheet.style.encoding, sheet.style.newline) == (delimiter, encoding, newline)


def test_csv_comes_back_byte_for_byte_but_for_the_filled_cells(tmp_path):
    source = '\ufeffname;initial\r\nAda Lovelace;A\r\n"Krüger; Zoë";\r\n007;\r\n'
    sheet = read_sheet(save(tmp_path / "a.csv", source))
    examples = choose_columns(sheet)
    assert write_filled(sheet, examples, tmp_path / "b.csv", ["K", None]) == [
        "1 cells stay empty, for which the program has no value (first in row 4)"
    ]
    assert (tmp_path / "b.csv").read_bytes().decode() == source.replace('Zoë";', 'Zoë";K')


def test_rows_may_lack_cells_at_their_end_and_blank_lines_are_none(tmp_path):
    sheet = read_sheet(save(tmp_path / "a.csv", "\n\na,b,\nx,1,\n\ny\n,,,\n"))
    assert texts(sheet) == {"a": ["x", "y", ""], "b": ["1", "", ""], "": ["", "", ""]}
    assert choose_columns(sheet).unfilled == [("y",)]


def test_long_files_are_read_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_files, "BATCH", 7)
    path = save(tmp_path / "a.csv", "n,out\n" + "".join(f"{i},{i if i < 3 else ''}\n" for i in range(50)))
    sheet = read_sheet(path)
    examples = choose_columns(sheet)
    assert texts(sheet)["n"] == [str(i) for i in range(50)]
    assert examples.unfilled_rows == list(range(3, 50))
    write_filled(sheet, examples, tmp_path / "b.csv", [f"{i}!" for i in range(3, 50)])
    assert texts(read_sheet(tmp_path / "b.csv"))["out"] == ["0", "1", "2"] + [f"{i}!" for i in range(3, 50)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "'data.csv' is empty; the first line must name the columns"),
        (b"\n\n", "is empty"),
        (b"a,b\n", "'data.csv' has a header but no rows"),
        (b"a,b,a\n1,2,3\n", "cells A1 and C1 both name a column 'a'; give each column its own name"),
        (b"a,b\n1,2,3\n", "a row of 'data.csv' has 3 cells, the header 2: ['1', '2', '3']"),
        (b"a,\n1,2\n", "column B of 'data.csv' holds data but the first line does not name it"),
        (b"name\nM\xfcller\n", "'data.csv' is not UTF-8 text (byte 0xfc); save it as CSV in UTF-8"),
        (b'a,b\n"x,1\ny,2\n', "is not well-formed CSV"),
        (b'a,b\n"x"y,1\n', "line 2 of 'data.csv' is not well-formed CSV"),
        (b"a,b\nx\x00,1\n", "'data.csv' holds null bytes and is no CSV"),
        (b"PK\x03\x04...", "'data.csv' is no CSV; if it is a workbook, give it a name that ends in .xlsx"),
    ],
)
def test_broken_csv(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_sheet((tmp_path / "data.csv").relative_to(tmp_path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# --- other files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "does not exist; give a CSV or XLSX file"),
        ("old.xls", b"x", "is a .xls file; save it as .xlsx"),
        ("calc.ods", b"x", "is a .ods file; save it as .xlsx"),
        ("data.json", b"{}", "is neither .csv nor .xlsx"),
        ("locked.xlsx", bytes.fromhex("d0cf11e0a1b11ae1") + "EncryptedPackage".encode("utf-16-le"), "is encrypted"),
        ("old.xlsx", bytes.fromhex("d0cf11e0a1b11ae1") + b"Workbook", "is an old .xls file by another name"),
        ("text.xlsx", b"a,b\n1,2\n", "is no XLSX file"),
        ("torn.xlsx", b"PK\x03\x04torn", "is no XLSX file, or a damaged one"),
    ],
)
def test_files_of_other_kinds(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_sheet(tmp_path / name)


def test_packed_file_that_is_no_workbook(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(InputError, match="is no XLSX file, or a damaged one"):
        read_sheet(tmp_path / "a.xlsx")


def test_missing_openpyxl_is_said_with_its_command(tmp_path, monkeypatch):
    path = workbook(tmp_path / "a.xlsx", [["a"], ["x"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(InputError, match="XLSX files need openpyxl: pip install 'rostra\\[sheets\\]'"):
        read_sheet(path)


def test_openpyxl_is_imported_when_needed_only():
    code = "import sys, rostra.methods.bustle.spreadsheet; sys.exit('openpyxl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- workbooks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (None, "General", ""),
        ("  as is ", "General", "  as is "),
        ("_x000D_", "General", "\r"),
        (True, "General", "TRUE"),
        (67, "General", "67"),
        (67.0, "General", "67"),
        (-0.5, "General", "-0.5"),
        (0.1 + 0.2, "General", "0.3"),
        (123456789012, "General", "123456789012"),
        (67.0, "0.0", "67.0"),
        (2.675, "0.00", "2.68"),
        (-0.004, "0.00", "0.00"),
        (7, "000", "007"),
        (1234567.5, "#,##0.00", "1,234,567.50"),
        (999, "#,##0", "999"),
        (0.256, "0%", "26%"),
        (0.256, "0.0%", "25.6%"),
        (0.5, "#.00", ".50"),
        (12, "@", "12"),
        (DAY, "yyyy-mm-dd", "2021-03-04"),
        (DAY, "yyyy\\-mm\\-dd;@", "2021-03-04"),
        (DAY, "[$-407]d.m.yy", "4.3.21"),
        (dt.date(2021, 3, 4), "DD/MM/YYYY", "04/03/2021"),
        (dt.datetime(2021, 3, 4, 9, 5), "yyyy-mm-dd hh:mm", "2021-03-04 09:05"),
        (dt.time(9, 5, 7), "h:mm:ss", "9:05:07"),
        (dt.time(9, 5, 7), "mm:ss", "05:07"),
    ],
)
def test_what_a_person_sees_in_a_cell(value, number_format, text):
    assert shown(value, number_format) == text


@pytest.mark.parametrize(
    ("value", "number_format"),
    [
        (5, '"$"#,##0_);("$"#,##0)'),
        (5, "0.00E+00"),
        (1e20, "General"),
        (1e-7, "General"),
        (5, "# ?/?"),
        (DAY, "mm-dd-yy"),
        (DAY, "d-mmm-yy"),
        (dt.datetime(2021, 3, 4, 15), "h:mm AM/PM"),
        (dt.time(1, 2), "yyyy-mm-dd"),
        (dt.timedelta(hours=30), "[h]:mm:ss"),
    ],
)
def test_what_nobody_can_tell(value, number_format):
    with pytest.raises(UnreadableCellError):
        shown(value, number_format)


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.just("_x000D_ _x5F"))
def test_texts_survive_the_way_workbooks_store_them(text):
    assert decode_text(encode_text(text)) == text
    assert not any(character < " " and character not in "\t\n" for character in encode_text(text))


def test_workbook_is_read_as_shown(tmp_path):
    rows = [["name", "price", "day"], ["Zoë", 67.0, DAY], ["007", 0.5, dt.datetime(2021, 3, 5)]]
    formats = {"B2": "0.0", "B3": "0%", "C2": "yyyy-mm-dd", "C3": "d.m.yyyy"}
    sheet = read_sheet(workbook(tmp_path / "a.xlsx", rows, formats=formats))
    assert texts(sheet) == {"name": ["Zoë", "007"], "price": ["67.0", "50%"], "day": ["2021-03-04", "5.3.2021"]}
    assert [column.converted for column in sheet.columns] == [None, "B2", "C2"]
    assert (sheet.title, sheet.first_row) == ("People", 2)


def test_header_need_not_be_in_the_first_row(tmp_path):
    path = workbook(tmp_path / "a.xlsx", [[None], [None, "name", "out"], [None, "x", "X"], [], [None, "y", None]])
    sheet = read_sheet(path)
    examples = choose_columns(sheet)
    assert (sheet.first_row, examples.letters, examples.target.letter) == (3, ["B"], "C")
    assert (examples.rows, examples.unfilled_rows, examples.unfilled) == ([0], [2], [("y",)])
    write_filled(sheet, examples, tmp_path / "b.xlsx", ["Y"], lambda row: f"=UPPER(B{row})")
    assert openpyxl.load_workbook(tmp_path / "b.xlsx").active["C5"].value == "=UPPER(B5)"


def test_sheet_is_chosen_by_name(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["a"])
    other = book.create_sheet("Orders 2021")
    other.append(["code"])
    other.append(["X1"])
    book.save(tmp_path / "a.xlsx")
    assert texts(read_sheet(tmp_path / "a.xlsx", "Orders 2021")) == {"code": ["X1"]}
    with pytest.raises(InputError, match="has no sheet 'Orders'; it has: 'Sheet', 'Orders 2021'"):
        read_sheet(tmp_path / "a.xlsx", "Orders")
    with pytest.raises(InputError, match="is a CSV file, which has no sheets; leave out --sheet"):
        read_sheet(save(tmp_path / "a.csv", NAMES), "Orders")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "sheet 'People' of .* is empty"),
        ([["a", "b"]], "has a header but no rows"),
        ([["a", "b", "a"], ["x", "y", "z"]], "cells A1 and C1 both name a column 'a'"),
        ([["a", None], ["x", "y"]], "cell B1 of sheet 'People' is empty, but its column holds data; give it a name"),
        ([[1, 2], [3, 4]], "row 1 of sheet 'People' must name the columns, but holds numbers only"),
    ],
)
def test_broken_workbooks(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read_sheet(workbook(tmp_path / "a.xlsx", rows))


@pytest.mark.parametrize(
    ("cell", "number_format", "message"),
    [
        (5, '"$"0', "cell A3 holds a number in the format '\"\\$\"0'; format it as text as it should be read"),
        (DAY, "mm-dd-yy", "cell A3 holds a date in the format 'mm-dd-yy'"),
        ("=LEFT(B3,1)", "General", "cell A3 holds a formula whose value is not stored; open the file"),
    ],
)
def test_cells_that_cannot_be_read_are_named_if_they_matter(tmp_path, cell, number_format, message):
    rows = [["a", "b", "out"], ["x", "p", "X"], [cell, "q", None]]
    sheet = read_sheet(workbook(tmp_path / "a.xlsx", rows, formats={"A3": number_format}))
    with pytest.raises(InputError, match=message):
        choose_columns(sheet, "out", ["a"])
    assert choose_columns(sheet, "out", ["b"]).unfilled == [("q",)]


def test_errors_in_cells_are_named(tmp_path):
    sheet = read_sheet(workbook(tmp_path / "a.xlsx", [["a", "out"], ["x", "X"], ["#N/A", None]]))
    with pytest.raises(InputError, match="cell A3 holds the error #N/A"):
        choose_columns(sheet, inputs=["a"])


def test_notes_beside_the_table_are_no_columns(tmp_path):
    """An empty column separates them from the table."""
    sheet = read_sheet(workbook(tmp_path / "a.xlsx", [["a", "b"], ["x", "y", None, "call back!"]]))
    assert [column.letter for column in sheet.columns] == ["A", "B"]


@pytest.mark.parametrize(("cells", "inputs"), [("A2:A3", ["a"]), ("B2:C2", ["a"]), ("A1:B1", ["a"])])
def test_merged_cells_in_used_columns(tmp_path, cells, inputs):
    path = workbook(tmp_path / "a.xlsx", [["a", "out", "c"], ["x", "X", "p"], ["y", None, "q"]])
    book = openpyxl.load_workbook(path)
    book.active.merge_cells(cells)
    book.save(path)
    with pytest.raises(InputError, match=f"cells {cells} of sheet 'People' are merged; unmerge them"):
        choose_columns(read_sheet(path), "B", inputs)


# --- choosing -------------------------------------------------------------------------------------


def test_defaults_are_the_partly_filled_column_and_the_filled_ones_left_of_it(tmp_path):
    path = save(tmp_path / "a.csv", "first,note,last,full,tel\nAda,,Lovelace,A. L.,1\nZoë,,Krüger,,2\n,,,,\n")
    examples = choose_columns(read_sheet(path))
    assert (examples.target.name, examples.letters) == ("full", ["A", "C"])
    assert (examples.inputs, examples.outputs) == ([("Ada", "Lovelace")], ["A. L."])
    assert (examples.rows, examples.unfilled_rows, examples.unfilled) == ([0], [1], [("Zoë", "Krüger")])


def test_columns_right_of_the_target_are_the_second_choice(tmp_path):
    examples = choose_columns(read_sheet(save(tmp_path / "a.csv", "out,x,y\nA,a,\n,b,q\n")), target="out")
    assert examples.letters == ["B"]


def test_columns_are_named_by_header_or_letter(tmp_path):
    sheet = read_sheet(save(tmp_path / "a.csv", "B,x,out\na,1,A\nb,2,\n"))
    assert choose_columns(sheet, "c", ["x", "A"]).letters == ["B", "A"]
    assert choose_columns(sheet, "out", ["B"]).letters == ["A"]  # the header wins


def test_columns_that_are_filled_in_the_same_rows_are_all_meant(tmp_path):
    """Others may be inputs with gaps, and must be named."""
    sheet = read_sheet(save(tmp_path / "a.csv", "a,b,c\nx,1,u\ny,2,v\nz,,\n"))
    assert [column.name for column in partly_filled(sheet)] == ["b", "c"]
    assert choose_columns(sheet).target.name == "b"


@pytest.mark.parametrize(
    ("content", "target", "inputs", "message"),
    [
        (
            "a,b,c\nx,1,\ny,,2\n",
            None,
            [],
            r"several columns are partly filled, in different rows: 'b' \(B\), 'c' \(C\); name",
        ),
        ("a,b\nx,1\ny,2\n", None, [], "no column of .* is filled in some rows and empty in others"),
        ("a,b\nx,1\ny,\n", "q", [], r"has no column 'q'; it has: 'a' \(A\), 'b' \(B\)"),
        ("a,b\nx,1\ny,\n", "b", ["q"], "has no column 'q'"),
        ("a,b\nx,1\ny,\n", "b", ["a", "b"], r"column 'b' \(B\) cannot be both target and input"),
        ("a,b\nx,1\n,2\ny,\n", "b", [], r"no column beside 'b' \(B\) is filled in every row; name"),
        ("a,b\nx,\ny, \n", "b", ["a"], r"column 'b' \(B\) has no filled cell; fill in 2 or 3"),
        ("a,b\nx,1\ny,2\n", "b", [], r"column 'b' \(B\) has no empty cell beside filled inputs"),
    ],
)
def test_unclear_choices(tmp_path, content, target, inputs, message):
    with pytest.raises(InputError, match=message):
        choose_columns(read_sheet(save(tmp_path / "a.csv", content)), target, inputs)


def test_numbers_and_dates_are_announced(tmp_path):
    sheet = read_sheet(workbook(tmp_path / "a.xlsx", [["price", "out"], [67.0, 6], [68.0, None]]))
    first, second = choose_columns(sheet).notices
    assert first.startswith(
        "column 'price' (A) holds numbers, dates or truth values (first in A2); they are read as shown"
    )
    assert second.startswith("column 'out' (B) holds numbers, dates or truth values (first in B2)")


# --- writing --------------------------------------------------------------------------------------


def initial(row):
    return f"=LEFT(A{row},1)"


def test_csv_becomes_a_workbook_of_texts_with_formulas(tmp_path):
    sheet = read_sheet(save(tmp_path / "my [data].csv", NAMES + "@x,\n'q,\nbell\x07 _x0041_,\n"))
    examples = choose_columns(sheet)
    assert write_filled(sheet, examples, tmp_path / "b.xlsx", ["=", "-", "@", "'", "b"], initial) == []
    page = openpyxl.load_workbook(tmp_path / "b.xlsx").active
    assert page.title == "my _data_"
    assert [page.cell(row, 2).value for row in range(1, 9)] == ["initial", "A", "Z", *(initial(r) for r in range(4, 9))]
    assert [page.cell(row, 2).data_type for row in range(2, 9)] == ["s", "s", "f", "f", "f", "f", "f"]
    for row, text in enumerate(texts(sheet)["name"], start=2):
        cell = page.cell(row, 1)
        assert (decode_text(cell.value), cell.data_type, cell.number_format) == (text, "s", "@")
        assert bool(cell.quotePrefix) == text.startswith(("=", "-", "@", "'"))


def test_nothing_of_the_users_is_ever_a_formula(tmp_path):
    """Not in the header, not in inputs, not in examples, not in values, and not in other columns."""
    evil = '=cmd|"/C calc"!A1'
    sheet = read_sheet(save(tmp_path / "a.csv", f"=h,in,out,@x\n+1,{evil},{evil},-1\n-1,=b,,+q\n"))
    examples = choose_columns(sheet, "out", ["in"])
    write_filled(sheet, examples, tmp_path / "b.xlsx", ["=b"])
    page = openpyxl.load_workbook(tmp_path / "b.xlsx").active
    assert {cell.data_type for row in page for cell in row} == {"s"}
    assert [cell.value for cell in page[3]] == ["-1", "=b", "=b", "+q"]
    again = read_sheet(tmp_path / "b.xlsx")
    write_filled(again, examples_of(again), tmp_path / "c.xlsx", ["=z"])
    page = openpyxl.load_workbook(tmp_path / "c.xlsx").active
    assert {cell.data_type for row in page for cell in row if cell.value is not None} == {"s"}


def examples_of(sheet):
    """Examples as if the last row's "out" were to be filled again."""
    from dataclasses import replace

    import pyarrow as pa

    out = sheet.find("out")
    emptied = replace(out, texts=pa.chunked_array([[*out.texts.to_pylist()[:-1], ""]]))
    columns = tuple(emptied if column is out else column for column in sheet.columns)
    return choose_columns(replace(sheet, columns=columns), "out", ["in"])


def test_rest_of_a_workbook_is_kept(tmp_path):
    book = openpyxl.Workbook()
    page = book.active
    page.title = "People"
    for row in (
        ["name", "initial", "sum"],
        ["Ada", "A", "=1+1"],
        ["Zoë", None, "=SUM(Other!A1:A2)"],
        [1815, None, None],
    ):
        page.append(row)
    page["A2"].font = Font(bold=True)
    page["A3"].font = Font(italic=True)
    page["A4"].number_format = "0"
    page["B3"].number_format = "@"
    page["D9"] = ArrayFormula("D9:D10", "=A2:A3")
    page.column_dimensions["A"].width = 33
    page.freeze_panes = "A2"
    other = book.create_sheet("Other")
    other["A1"], other["A2"] = 5, "=A1*2"
    book.save(tmp_path / "a.xlsx")

    sheet = read_sheet(tmp_path / "a.xlsx")
    examples = choose_columns(sheet, "initial", ["name"])
    write_filled(sheet, examples, tmp_path / "b.xlsx", ["Z", "1"], initial)
    book = openpyxl.load_workbook(tmp_path / "b.xlsx")
    page = book["People"]
    assert [page[place].value for place in ("B2", "B3", "B4")] == ["A", "=LEFT(A3,1)", "=LEFT(A4,1)"]
    assert page["B3"].number_format == "General"  # in a cell of the format text, it would turn into a text
    assert (page["A4"].value, page["A4"].data_type, page["A4"].number_format) == ("1815", "s", "@")
    assert (page["A2"].number_format, page["A3"].number_format) == ("General", "@")
    assert page["A2"].font.b
    assert page["A3"].font.i
    assert (page["C2"].value, page["C3"].value) == ("=1+1", "=SUM(Other!A1:A2)")
    assert page["D9"].value.text == "=A2:A3"
    assert (page.column_dimensions["A"].width, page.freeze_panes) == (33, "A2")
    assert (book["Other"]["A1"].value, book["Other"]["A2"].value) == (5, "=A1*2")
    assert book.calculation.fullCalcOnLoad


def test_rich_text_is_kept(tmp_path):
    from openpyxl.cell.rich_text import CellRichText, TextBlock
    from openpyxl.cell.text import InlineFont

    rich = CellRichText("Ada ", TextBlock(InlineFont(b=True), "Lovelace"))
    path = workbook(tmp_path / "a.xlsx", [["name", "out"], [rich, "x"], [rich, None]])
    sheet = read_sheet(path)
    examples = choose_columns(sheet)
    assert examples.unfilled == [("Ada Lovelace",)]
    write_filled(sheet, examples, tmp_path / "b.xlsx", ["y"], initial)
    assert openpyxl.load_workbook(tmp_path / "b.xlsx", rich_text=True).active["A3"].value == rich


def test_workbook_becomes_a_csv_of_what_is_shown(tmp_path):
    rows = [["name", "price", "out"], ["=Ada", 67.0, "x"], ["Zoë, K.", 0.5, None]]
    path = workbook(tmp_path / "a.xlsx", rows, formats={"B2": "0.0"})
    book = openpyxl.load_workbook(path)
    book.active["A2"].data_type = "s"
    book.save(path)
    sheet = read_sheet(path)
    write_filled(sheet, choose_columns(sheet), tmp_path / "b.csv", ["y"])
    assert (tmp_path / "b.csv").read_text(encoding="utf-8") == 'name,price,out\n=Ada,67.0,x\n"Zoë, K.",0.5,y\n'
    write_filled(sheet, choose_columns(sheet), tmp_path / "b.tsv", ["y"])
    assert (tmp_path / "b.tsv").read_text(encoding="utf-8").startswith("name\tprice\tout\n")


def test_values_at_risk_in_a_csv_are_announced_or_quoted(tmp_path):
    sheet = read_sheet(save(tmp_path / "a.csv", "x,out\n1,a\n2,\n3,\n4,\n"))
    examples = choose_columns(sheet)
    values = ["-5", "=A1", "+49 30 1234"]
    (notice,) = write_filled(sheet, examples, tmp_path / "b.csv", values)
    assert notice.startswith("2 values begin with =, +, - or @ (first in row 4), which a spreadsheet")
    assert texts(read_sheet(tmp_path / "b.csv"))["out"] == ["a", *values]
    assert write_filled(sheet, examples, tmp_path / "c.csv", values, quote_formulas=True) == []
    assert texts(read_sheet(tmp_path / "c.csv"))["out"] == ["a", "-5", "'=A1", "'+49 30 1234"]


@pytest.mark.parametrize("text", ["=1", "@SUM(A1)", "-1+cmd", "+A1", "\t=1", "\r=1", "-", "+49 30"])
def test_texts_that_a_spreadsheet_may_execute(text):
    assert may_be_executed(text)


@pytest.mark.parametrize("text", ["", "a=1", "-5", "+3.25", "-1,234.50", "-5%", "1-2", "+1e5"])
def test_texts_that_are_harmless(text):
    assert not may_be_executed(text)


def test_formulas_of_the_users_are_no_empty_cells(tmp_path):
    """A formula in the target column is kept, whatever it shows; one that gives a number is no input."""
    path = workbook(
        tmp_path / "a.xlsx", [["name", "out", "n"], ["Ada", "A", "=1+1"], ["Zoë", '=""', "=1+1"], ["Bo", None, "=3"]]
    )
    if SOFFICE is None:
        pytest.skip(NO_SOFFICE)
    path = recalculate(path, tmp_path)
    sheet = read_sheet(path)
    examples = choose_columns(sheet, "out", ["name"])
    assert examples.unfilled == [("Bo",)]
    write_filled(sheet, examples, tmp_path / "b.xlsx", ["B"], initial)
    assert openpyxl.load_workbook(tmp_path / "b.xlsx").active["B3"].value == '=""'
    with pytest.raises(InputError, match="cell C2 holds a formula whose value is no text"):
        choose_columns(sheet, "out", ["n"])


def test_macros_are_kept_or_refused(tmp_path):
    path = workbook(tmp_path / "a.xlsm", [["name", "out"], ["Ada", "A"], ["Bo", None]])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/vbaProject.bin", b"macros")
    sheet = read_sheet(path)
    examples = choose_columns(sheet)
    with pytest.raises(InputError, match="ends in \\.xlsm, or its macros would be lost"):
        write_filled(sheet, examples, tmp_path / "b.xlsx", ["B"], initial)
    write_filled(sheet, examples, tmp_path / "b.xlsm", ["B"], initial)
    with zipfile.ZipFile(tmp_path / "b.xlsm") as archive:
        assert archive.read("xl/vbaProject.bin") == b"macros"
    plain = read_sheet(workbook(tmp_path / "a.xlsx", [["name", "out"], ["Ada", "A"], ["Bo", None]]))
    with pytest.raises(InputError, match="ends in \\.xlsx, for there are no macros"):
        check_output(plain, tmp_path / "c.xlsm")


def test_what_would_be_lost_is_announced(tmp_path):
    path = workbook(tmp_path / "a.xlsx", [["name", "out"], ["Ada", "A"], ["Bo", None]])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/slicers/slicer1.xml", "<slicers/>")
    sheet = read_sheet(path)
    notices = write_filled(sheet, choose_columns(sheet), tmp_path / "b.xlsx", ["B"], initial)
    assert notices == ["not kept, because openpyxl cannot write them: slicers"]


def test_places_that_cannot_be_written(tmp_path):
    sheet = read_sheet(save(tmp_path / "a.csv", NAMES))
    with pytest.raises(InputError, match="give a name that ends in \\.xlsx"):
        check_output(sheet, tmp_path / "b.pdf")
    with pytest.raises(InputError, match="is the input itself; give another name"):
        check_output(sheet, tmp_path / "sub" / ".." / "a.csv")


def test_cells_too_long_for_a_workbook(tmp_path):
    sheet = read_sheet(save(tmp_path / "a.csv", "a,b\nx,1\n" + "y" * 40_000 + ",\n"))
    with pytest.raises(InputError, match="cell A3 would hold 40000 characters, more than 32767"):
        write_filled(sheet, choose_columns(sheet), tmp_path / "b.xlsx", ["v"], initial)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
@pytest.mark.parametrize("source", [".csv", ".xlsx"])
def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch, source, suffix):
    path = tmp_path / f"a{source}"
    if source == ".csv":
        save(path, "name,out\nAda,A\nBo,\n")
    else:
        workbook(path, [["name", "out"], ["Ada", "A"], ["Bo", None]])
    sheet = read_sheet(path)
    examples = choose_columns(sheet)
    target = save(tmp_path / f"b{suffix}", "what was there")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_filled(sheet, examples, target, ["B"], initial)
    assert target.read_text() == "what was there"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(SOFFICE is None, reason=NO_SOFFICE)
@pytest.mark.parametrize("source", [".csv", ".xlsx"])
def test_libreoffice_sees_the_values(tmp_path, source):
    """Formulas in the written workbook give what the texts give, for numbers and formula-like texts too."""
    cells = ["Ada", "=1+1", "-12.5", "@x", "007", "'quoted", "1e5", "2021-03-04", "+3", " x"]
    if source == ".csv":
        lines = [f"{cell},{'' if place else '?'}\n" for place, cell in enumerate(cells)]
        path = save(tmp_path / "a.csv", "in,out\n" + "".join(lines))
    else:
        rows = [["in", "out"], ["Ada", "?"], *([cell, None] for cell in cells[2:]), [67.0, None], [DAY, None]]
        path = workbook(tmp_path / "a.xlsx", rows, formats={"A12": "yyyy-mm-dd"})
    sheet = read_sheet(path)
    examples = choose_columns(sheet)
    values = [f"{text}|{len(text)}" for (text,) in examples.unfilled]
    write_filled(sheet, examples, tmp_path / "b.xlsx", values, lambda row: f'=A{row}&"|"&LEN(A{row})')
    calculated = openpyxl.load_workbook(recalculate(tmp_path / "b.xlsx", tmp_path), data_only=True).active
    assert [calculated.cell(sheet.first_row + row, 2).value for row in examples.unfilled_rows] == values
