"""What the operations do, in two dialects, on one row at a time.

"sheets-bustle" is the paper's language as its authors' program runs it. "excel" does what Excel
and LibreOffice Calc both do: where the two differ, or one of them gives an error, the operation
fails, so a formula that was found means the same in either. Positions count Unicode code points
from 1. This module is the oracle: the compiled search is tested against it.
"""

__all__ = ["Dialect", "EvaluationError", "apply", "evaluate"]

from collections.abc import Sequence
from typing import Any, Literal

from .dsl import Call, Constant, Expression, Input, Operation, Value

Dialect = Literal["sheets-bustle", "excel"]

MAX_REPEATED = 100
"""Longest text that REPT makes."""


class EvaluationError(ValueError):
    """An operation has no value for these arguments."""


def evaluate(expression: Expression, row: Sequence[str], dialect: Dialect) -> Value:
    """Value of an expression on one row of inputs.

    Raises:
        EvaluationError: if an operation in it has no value there.
    """
    match expression:
        case Input(index):
            return row[index]
        case Constant(value):
            return value
        case Call(operation, arguments):
            return apply(operation, [evaluate(argument, row, dialect) for argument in arguments], dialect)


def apply(operation: Operation, arguments: Sequence[Any], dialect: Dialect) -> Value:
    """Value of an operation for the values of its arguments.

    Raises:
        EvaluationError: if it has none.
    """
    excel = dialect == "excel"
    match operation.name, *arguments:
        case "ADD", a, b:
            return int(a + b)
        case "MINUS", a, b:
            return int(a - b)
        case "GT", a, b:
            return bool(a > b)
        case "GTE", a, b:
            return bool(a >= b)
        case "IF", condition, a, b:
            return str(a if condition else b)
        case "TO_TEXT", number:
            return str(number)
        case "CONCATENATE", a, b:
            return str(a + b)
        case "EXACT", a, b:
            return bool(a == b)
        case "LEN", text:
            return len(_counted(text, excel))
        case "FIND", find, within:
            return _find(find, within, 1, excel)
        case "FIND", find, within, start:
            return _find(find, within, start, excel)
        case "LEFT", text, count:
            _require(count >= 0)
            return _counted(text, excel)[:count]
        case "RIGHT", text, count:
            _require(count >= 0)
            return _counted(text, excel)[max(0, len(text) - count) :]
        case "MID", text, start, count:
            _require(start > 0 and count >= 0)
            return _counted(text, excel)[start - 1 : start - 1 + count]
        case "REPLACE", text, start, count, new:
            _require(start > 0 and count >= 0)
            _counted(text, excel)
            return str(text[: start - 1] + new + text[start - 1 + count :])
        case "REPT", text, count:
            _require(count >= 0 and len(text) * count <= MAX_REPEATED)
            return str(text * count)
        case "LOWER", text:
            return _lower(text, excel)
        case "UPPER", text:
            return _upper(text, excel)
        case "PROPER", text:
            return _proper(text, excel)
        case "TRIM", text:
            return _trim(text, excel)
        case "SUBSTITUTE", text, old, new:
            return str(text.replace(old, new) if old else text)
        case "SUBSTITUTE", text, old, new, occurrence:
            return _substitute_one(text, old, new, occurrence, excel)
    raise AssertionError(f"no operation {operation.name} with {len(arguments)} arguments")


def _require(condition: bool) -> None:
    if not condition:
        raise EvaluationError


def _counted(text: str, excel: bool) -> str:
    """The text, whose characters are about to be counted.

    Excel counts UTF-16 units and LibreOffice code points, which differ beyond U+FFFF.
    """
    _require(not excel or all(character <= "\uffff" for character in text))
    return text


def _find(find: str, within: str, start: int, excel: bool) -> int:
    _require(start > 0)
    _counted(within, excel)
    if not find:
        if excel:  # LibreOffice fails beyond the end, where Excel does not
            _require(start <= len(within))
        return min(start, len(within) + 1)
    position = within.find(find, start - 1)
    _require(position >= 0)
    return position + 1


def _mapped(character: str, mapped: str, excel: bool) -> str:
    """A character's other case, where it is one character too and a mapping that no engine disputes."""
    if not excel:
        return mapped if len(mapped) == 1 else character
    _require(len(mapped) == 1 and character not in DISPUTED_CASE)
    return mapped


DISPUTED_CASE = frozenset(
    "\u03a3\u03c3\u03c2\u0130\u0131\u00df\u1e9e\u01c4\u01c5\u01c6\u01c7\u01c8\u01c9\u01ca\u01cb\u01cc\u01f1\u01f2\u01f3"
)
"""Final sigma, dotted and dotless i, sharp s, and letter pairs with a title case of their own."""


def _lower(text: str, excel: bool) -> str:
    if excel:
        return "".join(_mapped(character, character.lower(), excel) for character in text)
    return "".join(character.lower() if character.isascii() else character for character in text)


def _upper(text: str, excel: bool) -> str:
    if excel:
        return "".join(_mapped(character, character.upper(), excel) for character in text)
    return "".join(character.upper() if character.isascii() else character for character in text)


def _proper(text: str, excel: bool) -> str:
    """Lower case, then upper case for each letter that does not directly follow a letter."""
    lowered = _lower(text, excel)
    letters = []
    for position, character in enumerate(lowered):
        starts = character.isalpha() and not (position > 0 and lowered[position - 1].isalpha())
        letters.append(_mapped(character, character.upper(), excel) if starts else character)
    return "".join(letters)


def _trim(text: str, excel: bool) -> str:
    """Strip both ends and collapse runs of spaces inside; the paper's also strips control characters."""
    strip = " " if excel else "".join(map(chr, range(0x21)))
    stripped = text.strip(strip)
    while "  " in stripped:
        stripped = stripped.replace("  ", " ")
    return stripped


def _substitute_one(text: str, old: str, new: str, occurrence: int, excel: bool) -> str:
    """Replace one occurrence. The paper counts overlapping ones, and 0 means all; spreadsheets do neither."""
    _require(occurrence >= (1 if excel else 0))
    if not old:
        return text
    if occurrence == 0:
        return text.replace(old, new)
    position = -1
    step = len(old) if excel else 1
    for number in range(occurrence):
        position = text.find(old, position + step if number else 0)
        if position < 0:
            return text
    return text[:position] + new + text[position + len(old) :]
