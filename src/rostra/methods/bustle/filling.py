"""From a file with partly filled columns to one with formulas: reading, synthesis and writing in one."""

__all__ = ["FilledColumn", "fill_file"]

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rostra.engine.errors import InputError

from .dsl import renumbered
from .scorer import columns_by_likeness
from .sheet import Examples, Sheet
from .spreadsheet import check_output, choose_columns, partly_filled, read_sheet, write_filled
from .synthesizer import Bustle, Program, SynthesisFailure

SAMPLED_ROWS = 1000
"""Rows to fill on which a formula is tried while it is looked for."""


@dataclass(frozen=True)
class FilledColumn:
    """A column, filled.

    Attributes:
        target, inputs: headers.
        program: the formula.
        formula: as it stands in the first row below the header.
        examples: number of rows that were filled by hand.
        filled: number of cells that the formula filled.
        without_value: numbers of the rows where it has no value; their cells stay empty.
        notices: sentences that the user should read.
    """

    target: str
    inputs: tuple[str, ...]
    program: Program
    formula: str
    examples: int
    filled: int
    without_value: tuple[int, ...]
    notices: tuple[str, ...]


def fill_file(
    data: Path,
    out: Path,
    bustle: Bustle,
    *,
    targets: Sequence[str] = (),
    inputs: Sequence[str] = (),
    sheet: str | None = None,
    quote_formulas: bool = False,
) -> list[FilledColumn]:
    """Find a formula for each target column, and write the filled file; whole or not at all.

    All formulas are found before anything is written. Their inputs are columns of the file as it was.
    A formula of the one column that is most like the target is looked for first, then one of the two
    most like it, then one of all: few formulas need many columns, and every column slows the search. A
    formula that has a value in half of the rows to fill is preferred to one that has not.

    Args:
        data: CSV or XLSX file.
        out: file to write.
        bustle: finds the formulas.
        targets: headers or letters; none: all columns that are partly filled, see ``partly_filled``.
        inputs: headers or letters of the columns that a formula may use; none: see ``choose_columns``.
        sheet: name of the workbook's sheet.
        quote_formulas: see ``write_filled``.

    Raises:
        InputError: for a file or a choice of columns that cannot be used.
        SynthesisFailure: if a formula is not found.
    """
    table = read_sheet(data, sheet)
    check_output(table, out)
    named = list(targets) or [column.name for column in partly_filled(table)]
    chosen = [choose_columns(table, target, inputs) for target in named]
    programs = [_program(examples, bustle) for examples in chosen]
    columns = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (examples, program) in enumerate(zip(chosen, programs, strict=True), start=1):
            last = number == len(chosen)
            part = out if last else Path(folder) / f"{number}{out.suffix}"
            if number > 1:
                names = [column.name for column in examples.columns]
                examples = choose_columns(table, examples.target.name, names)
            columns.append(_fill_column(table, examples, program, part, quote_formulas and last))
            if not last:
                table = read_sheet(part, table.title)
    return columns


def _program(examples: Examples, bustle: Bustle) -> Program:
    """The first formula over one, two, or all columns, each with an equal share of the time."""
    order = columns_by_likeness(examples.inputs, examples.outputs)
    others = examples.unfilled[:: len(examples.unfilled) // SAMPLED_ROWS + 1]
    tries = sorted({min(count, len(order)) for count in (1, 2, len(order))})
    part = bustle if bustle.timeout is None else bustle.within(bustle.timeout / len(tries))
    for count in tries:
        columns = sorted(order[:count])
        rows = [tuple(row[column] for column in columns) for row in examples.inputs]
        try:
            unlabelled = [tuple(row[column] for column in columns) for row in others]
            found = part.synthesize(rows, examples.outputs, unlabelled=unlabelled, applicable=True)[0]
        except InputError:  # rows that differ in other columns only contradict each other in these
            if count == len(order):
                raise
        except SynthesisFailure as failure:
            if count == len(order):
                raise SynthesisFailure(f"column '{examples.target.name}': {failure}", failure.stats) from None
        else:
            return replace(found, expression=renumbered(found.expression, columns))
    raise AssertionError("the last try returns or raises")


def _fill_column(table: Sheet, examples: Examples, program: Program, out: Path, quote_formulas: bool) -> FilledColumn:
    values = program.run(examples.unfilled)
    notices = write_filled(
        table,
        examples,
        out,
        values,
        lambda row: program.to_excel(columns=examples.letters, row=row),
        quote_formulas=quote_formulas,
    )
    empty = [row for row, value in zip(examples.unfilled_rows, values, strict=True) if value is None]
    return FilledColumn(
        target=examples.target.name,
        inputs=tuple(column.name for column in examples.columns),
        program=program,
        formula=program.to_excel(columns=examples.letters, row=table.first_row),
        examples=len(examples.outputs),
        filled=len(values) - len(empty),
        without_value=tuple(table.first_row + row for row in empty),
        notices=tuple(dict.fromkeys([*examples.notices, *notices])),
    )
