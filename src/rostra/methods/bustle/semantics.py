"""What the operations do, in two dialects, on one row at a time.

"sheets-bustle" is the paper's language as its authors' program runs it. "excel" does what Excel
and LibreOffice Calc both do: where the two differ, or one of them gives an error, the operation
fails, so a formula that was found means the same in either. Positions count Unicode code points
from 1. This module is the oracle: the compiled search is tested against it.
"""

__all__ = ["Dialect", "EvaluationError", "apply", "evaluate"]

import unicodedata
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
        _require(not excel)  # LibreOffice finds no empty text, Excel does
        return min(start, len(within) + 1)
    position = within.find(find, start - 1)
    _require(position >= 0)
    return position + 1


CASED_LETTERS = frozenset(
    chr(code)
    for first, last in (
        (0x41, 0x5A),
        (0x61, 0x7A),
        (0xC0, 0x17E),  # Latin
        (0x1CD, 0x1DC),
        (0x1DE, 0x1EF),
        (0x1F8, 0x21F),
        (0x222, 0x233),
        (0x386, 0x3CE),  # Greek
        (0x400, 0x481),  # Cyrillic
        (0x48C, 0x4BF),
        (0x4D0, 0x4F5),
        (0x531, 0x556),  # Armenian
        (0x561, 0x586),
        (0x1E00, 0x1E95),  # Latin, Vietnamese among it
        (0x1EA0, 0x1EF9),
        (0xFF21, 0xFF3A),  # full width
        (0xFF41, 0xFF5A),
    )
    for code in range(first, last + 1)
    if code != 0x131  # the dotless i, whose capital is another letter's
)
"""Letters with two cases, whose other case every spreadsheet knows if it is one character. Others are too
new, as the capitals of Georgian are, or stand for two letters or for one with another capital."""

FINAL_SIGMA = "\u03a3"
"""Its lower case depends on its place in the word in LibreOffice only."""

CASED_SIGNS = frozenset("\u2ce4\u2ce5\u2ce6\u2ce7\u2ce8\u2ce9\u2cea\u2ceb")
"""Coptic signs that LibreOffice takes for letters with two cases."""


def _mapped(character: str, mapped: str, excel: bool) -> str:
    """A character's other case: the paper's program leaves what has none of one character.

    In "excel", a change must be one that all spreadsheets make. What is not changed is not disputed:
    the sharp s has a lower case, and no upper case.
    """
    if not excel:
        return mapped if len(mapped) == 1 else character
    if mapped == character:
        _require(character not in CASED_SIGNS)
    else:
        _require(len(mapped) == 1 and character in CASED_LETTERS)
    return mapped


def _lower(text: str, excel: bool) -> str:
    if excel:
        _require(FINAL_SIGMA not in text)
        return "".join(_mapped(character, character.lower(), excel) for character in text)
    return "".join(character.lower() if character.isascii() else character for character in text)


def _upper(text: str, excel: bool) -> str:
    if excel:
        return "".join(_mapped(character, character.upper(), excel) for character in text)
    return "".join(character.upper() if character.isascii() else character for character in text)


UNCLEAR_LETTERS = frozenset(("Mn", "Mc", "Me", "Lm", "Nl"))
"""Unicode categories on which programs that ask for a letter differ."""


def _clear(character: str) -> bool:
    """Whether nobody doubts that the character is a letter, or that it is none."""
    doubtful = unicodedata.category(character) in UNCLEAR_LETTERS or character > "\uffff"
    return not doubtful and (character.isalpha() or character.upper() == character)


def _proper(text: str, excel: bool) -> str:
    """Lower case, then upper case for each letter that does not directly follow a letter.

    "excel" fails for what not everybody calls a letter, or none: accents that are characters of their
    own, modifier letters, letters in circles, Roman numerals, and all beyond U+FFFF.
    """
    _require(not excel or all(map(_clear, text)))
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
