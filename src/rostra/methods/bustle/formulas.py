"""An expression as a formula for a spreadsheet, or as a Python function."""

__all__ = ["column_letters", "to_excel", "to_python", "to_sheets"]

import ast
import builtins
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from keyword import iskeyword

from rostra.engine.errors import InputError

from .dsl import Call, Constant, Expression, Input
from .semantics import Dialect

MAX_CHARACTERS = 8192
"""Longest formula of Excel, with its equals sign."""
MAX_NESTING = 64
"""Deepest nesting of functions in Excel."""
MAX_LITERAL = 255
"""Longest text constant in a formula of Excel."""
MAX_ROW = 1_048_576
MAX_COLUMN = 16_384

CELL_LIMIT_SHEETS = 50_000
"""Most characters in a cell of Google Sheets."""


@dataclass(frozen=True)
class _Text:
    """Part of a formula. ``rank``: 0 comparison, 1 joined texts, 2 sum, 3 anything that needs no parentheses."""

    text: str
    rank: int
    depth: int = 0


@dataclass(frozen=True)
class _Cells:
    """Where the inputs stand, and whose functions are written."""

    columns: Sequence[str]
    row: int
    sheets: bool


def column_letters(index: int) -> str:
    """Letters of a column counted from 0: A, B, ..., Z, AA, ...

    Raises:
        InputError: beyond XFD, a spreadsheet's last column.
    """
    if not 0 <= index < MAX_COLUMN:
        raise InputError(f"column {index + 1} is none of a spreadsheet, whose last is XFD ({MAX_COLUMN})")
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def to_excel(expression: Expression, columns: Sequence[str] | None = None, row: int = 2) -> str:
    """Formula for Excel and LibreOffice Calc: ``=SUBSTITUTE(A2,"-","/")``.

    It is meant for expressions of the "excel" dialect. Input cells must hold texts. A cell that is
    empty counts as an empty text: where a spreadsheet would give 0 for it, ``&""`` is added.
    The formula is as files store it, with English names and commas; programs show it in their language.

    Args:
        expression: what to write.
        columns: letters of the columns of inputs 0, 1, ...; default A, B, ...
        row: row number of the formula's cells.

    Raises:
        InputError: if columns are missing or none of a spreadsheet, if a constant holds characters
            that no cell can hold, or if the formula exceeds a limit of Excel.
    """
    formula = _formula(expression, columns, row, sheets=False)
    text = "=" + formula.text
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"the formula has {len(text)} characters, Excel allows {MAX_CHARACTERS}; use to_python")
    if formula.depth > MAX_NESTING:
        raise InputError(f"the formula nests functions {formula.depth} deep, Excel allows {MAX_NESTING}; use to_python")
    return text


def to_sheets(expression: Expression, columns: Sequence[str] | None = None, row: int = 2) -> str:
    """Formula for Google Sheets, which has ADD, MINUS, GT, GTE and TO_TEXT as functions.

    Args:
        expression: what to write.
        columns: letters of the columns of inputs 0, 1, ...; default A, B, ...
        row: row number of the formula's cells.

    Raises:
        InputError: as for :func:`to_excel`.
    """
    text = "=" + _formula(expression, columns, row, sheets=True).text
    if len(text) > CELL_LIMIT_SHEETS:
        raise InputError(f"the formula has {len(text)} characters, a cell of Google Sheets holds {CELL_LIMIT_SHEETS}")
    return text


def to_python(
    expression: Expression, *, dialect: Dialect = "excel", name: str = "formula", inputs: int | None = None
) -> str:
    """Source of a Python function of the inputs that needs nothing but Python.

    The function takes the texts ``var_0``, ``var_1``, ... and gives the expression's value, or None
    where an operation has no value.

    Args:
        expression: what to write.
        dialect: whose semantics the operations have.
        name: of the function.
        inputs: number of its parameters; default: as many as the expression needs.

    Raises:
        InputError: if ``name`` cannot name a function, or there are fewer inputs than needed.
    """
    helpers = _helpers()
    if not name.isidentifier() or iskeyword(name) or name in helpers or hasattr(builtins, name):
        raise InputError(f"{name!r} cannot name the function; give another Python identifier")
    needed = _count_inputs(expression)
    if inputs is not None and inputs < needed:
        raise InputError(f"the expression has {needed} inputs, got inputs={inputs}")
    body = ast.unparse(ast.parse(_python(expression), mode="eval"))  # has no needless parentheses
    parameters = ", ".join(f"var_{index}" for index in range(needed if inputs is None else inputs))
    used = _needed_helpers(body)
    constants = [f"EXCEL = {dialect == 'excel'}"] if "EXCEL" in used else []
    imports = [helpers[name] for name in used if helpers[name].startswith("import")]
    functions = [helpers[name] for name in used if helpers[name].startswith("def")]
    function = (
        f"def {name}({parameters}):\n"
        "    try:\n"
        f"        return {body}\n"
        "    except ValueError:  # an operation has no value here\n"
        "        return None\n"
    )
    return "\n\n\n".join(["\n".join(part) for part in (imports, constants) if part] + [*functions, function])


def _count_inputs(expression: Expression) -> int:
    match expression:
        case Input(index):
            return index + 1
        case Call(_, arguments):
            return max(map(_count_inputs, arguments))
        case _:
            return 0


def _formula(expression: Expression, columns: Sequence[str] | None, row: int, *, sheets: bool) -> _Text:
    needed = _count_inputs(expression)
    if columns is None:
        columns = [column_letters(index) for index in range(needed)]
    if len(columns) < needed:
        raise InputError(f"the formula needs the columns of {needed} inputs, got {len(columns)}: {', '.join(columns)}")
    for letters in columns:
        if not re.fullmatch(r"\$?[A-Z]{1,3}", letters) or letters.lstrip("$").rjust(3) > "XFD":
            raise InputError(f"{letters!r} is no column of a spreadsheet; give letters from 'A' to 'XFD'")
    if not 1 <= row <= MAX_ROW:
        raise InputError(f"row {row} is none of a spreadsheet; give a number from 1 to {MAX_ROW}")
    return _joined([_shown(expression, _Cells(columns, row, sheets))])


def _shown(expression: Expression, cells: _Cells) -> _Text:
    """An expression whose value is seen, where an empty cell would be shown as 0."""
    written = _written(expression, cells)
    return _Text(written.text + '&""', 1) if isinstance(expression, Input) else written


def _written(expression: Expression, cells: _Cells) -> _Text:
    match expression:
        case Input(index):
            return _Text(f"{cells.columns[index]}{cells.row}", 3)
        case Constant(str(text)):
            return _joined(_literals(text))
        case Constant(number):
            assert isinstance(number, int)
            return _Text(str(number) if number >= 0 else f"({number})", 3)
        case Call(operation, arguments):
            return _call(operation.name, arguments, cells)


def _call(name: str, arguments: tuple[Expression, ...], cells: _Cells) -> _Text:
    match name:
        case "CONCATENATE":
            return _joined([_written(part, cells) for part in _parts(arguments)])
        case "ADD" | "MINUS" | "GT" | "GTE" if not cells.sheets:
            rank, sign = {"ADD": (2, "+"), "MINUS": (2, "-"), "GT": (0, ">"), "GTE": (0, ">=")}[name]
            left, right = (_written(argument, cells) for argument in arguments)
            depth = max(left.depth, right.depth)
            return _Text(_inside(left, rank) + sign + _inside(right, rank + 1), rank, depth)
        case "TO_TEXT" if not cells.sheets:
            return _function("TEXT", [_written(arguments[0], cells), _Text('"0"', 3)])
        case "IF":
            condition, yes, no = arguments
            return _function("IF", [_written(condition, cells), _shown(yes, cells), _shown(no, cells)])
        case "SUBSTITUTE" if arguments[3:] == (Constant(0),):  # the paper's 0 means all
            arguments = arguments[:3]
    return _function(name, [_written(argument, cells) for argument in arguments])


def _parts(arguments: Sequence[Expression]) -> list[Expression]:
    """The texts that nested CONCATENATEs put side by side."""
    parts: list[Expression] = []
    for argument in arguments:
        match argument:
            case Call(operation, inner) if operation.name == "CONCATENATE":
                parts += _parts(inner)
            case _:
                parts.append(argument)
    return parts


def _inside(part: _Text, rank: int) -> str:
    return part.text if part.rank >= rank else f"({part.text})"


def _joined(parts: Sequence[_Text]) -> _Text:
    if len(parts) == 1:
        return parts[0]
    return _Text("&".join(_inside(part, 1) for part in parts), 1, max(part.depth for part in parts))


def _function(name: str, arguments: Sequence[_Text]) -> _Text:
    return _Text(
        f"{name}({','.join(argument.text for argument in arguments)})",
        3,
        1 + max(argument.depth for argument in arguments),
    )


def _literals(text: str) -> list[_Text]:
    """A text as constants that may stand in a formula: control characters by number, long texts in pieces."""
    parts = []
    for piece in re.findall(rf"[\x00-\x1f]|[^\x00-\x1f]{{1,{MAX_LITERAL}}}", text):
        if piece == "\x00" or re.search("[\ud800-\udfff\ufffe\uffff]", piece):
            raise InputError(f"the constant {text!r} holds a character that no spreadsheet stores; leave it out")
        if piece < " ":
            parts.append(_Text(f"CHAR({ord(piece)})", 3, 1))
        else:
            parts.append(_Text('"' + piece.replace('"', '""') + '"', 3))
    return parts or [_Text('""', 3)]


def _python(expression: Expression) -> str:
    match expression:
        case Input(index):
            return f"var_{index}"
        case Constant(value):
            return repr(value)
        case Call(operation, arguments):
            name = operation.name.lower()
            if name == "substitute" and len(arguments) == 4:
                name = "substitute_one"
            if name in ("add", "minus", "gt", "gte", "concatenate", "exact"):
                sign = {"add": "+", "minus": "-", "gt": ">", "gte": ">=", "concatenate": "+", "exact": "=="}[name]
                left, right = map(_python, arguments)
                return f"({left} {sign} {right})"
            helper = {"if": "choose", "len": "length", "to_text": "str"}.get(name, name)
            return f"{helper}({', '.join(map(_python, arguments))})"


@cache
def _helpers() -> dict[str, str]:
    """Name -> source of what ``standalone.py`` defines and imports, in the order of the file."""
    source = resources.files(__package__).joinpath("standalone.py").read_text(encoding="utf-8")
    found = {}
    for node in ast.parse(source).body:
        match node:
            case ast.FunctionDef(name=name) | ast.Import(names=[ast.alias(name=name)]):
                found[name] = ast.get_source_segment(source, node) or ""
            case ast.Assign(targets=[ast.Name(id=name)]):
                found[name] = ast.get_source_segment(source, node) or ""
    return found


def _needed_helpers(body: str) -> list[str]:
    """Imports, and definitions, that an expression needs."""
    helpers = _helpers()
    needed: set[str] = set()
    waiting = [body]
    while waiting:
        names = {node.id for node in ast.walk(ast.parse(waiting.pop())) if isinstance(node, ast.Name)}
        for name in sorted((names & helpers.keys()) - needed):
            needed.add(name)
            waiting.append(helpers[name])
    return [name for name in helpers if name in needed]
