"""Formulas worked out by LibreOffice Calc, which shares no code with this package."""

import shutil
import subprocess
from pathlib import Path

import openpyxl
from openpyxl.utils.escape import unescape

SOFFICE = shutil.which("soffice") or shutil.which("libreoffice")
NO_SOFFICE = "needs LibreOffice Calc: install the package libreoffice-calc-nogui"
SECONDS = 300


def recalculate(workbook: Path, folder: Path) -> Path:
    """The workbook as LibreOffice saves it, with the values of its formulas."""
    out = folder / "calculated"
    command = [SOFFICE, "--headless", f"-env:UserInstallation={(folder / 'profile').as_uri()}"]
    finished = subprocess.run(
        [*command, "--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", str(out), str(workbook)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    result = out / f"{workbook.stem}.xlsx"
    assert result.exists(), finished.stderr
    return result


def calculate(rows, folder):
    """Values of formulas: texts, numbers and truth values; errors as texts such as "#VALUE!".

    Args:
        rows: (texts of the cells A, B, ... of a row, formula for the same row), one a row from row 1.
        folder: for the files.
    """
    book = openpyxl.Workbook()
    sheet = book.active
    width = max(len(texts) for texts, _ in rows)
    for number, (texts, formula) in enumerate(rows, start=1):
        for column, text in enumerate(texts, start=1):
            if text:
                cell = sheet.cell(number, column, text)
                cell.data_type, cell.number_format = "s", "@"
        sheet.cell(number, width + 1, formula)
    path = folder / "formulas.xlsx"
    book.save(path)
    calculated = openpyxl.load_workbook(recalculate(path, folder), data_only=True).active
    values = [calculated.cell(number, width + 1).value for number in range(1, len(rows) + 1)]
    return [unescape(value) if isinstance(value, str) else "" if value is None else value for value in values]
