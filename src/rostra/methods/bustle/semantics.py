"""What the operations do, in two dialects, on one row at a time.

"sheets-bustle" is the paper's language as its authors' program runs it. "excel" does what Excel
and LibreOffice Calc both do: where the two differ, or one of them gives an error, the operation
fails, so a formula that was found means the same in either. Positions count Unicode code points
from 1. This module is the oracle: the compiled search is tested against it.
"""

__all__ = ["Dialect", "EvaluationError", "apply", "clear_letter", "evaluate", "function"]

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any, Literal

from .dsl import Call, Constant, Expression, Input, Operation, Value

Dialect = Literal["sheets-bustle", "excel"]

MAX_REPEATED = 100
"""Longest text that REPT makes."""

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

UNCLEAR_LETTERS = frozenset(("Mn", "Mc", "Me", "Lm", "Nl"))
"""Unicode categories on which programs that ask for a letter differ."""


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
    return function(operation, dialect)(*arguments)


@cache
def function(operation: Operation, dialect: Dialect) -> Callable[..., Value]:
    """What an operation computes in a dialect; it raises :class:`EvaluationError` where it has no value."""
    key = operation.name, len(operation.arguments)
    return _EXCEL[key] if dialect == "excel" and key in _EXCEL else _PAPER[key]


def _require(condition: bool) -> None:
    if not condition:
        raise EvaluationError


def _find(find: str, within: str, start: int = 1) -> int:
    if start <= 0:
        raise EvaluationError
    if not find:
        return min(start, len(within) + 1)
    position = within.find(find, start - 1)
    if position < 0:
        raise EvaluationError
    return position + 1


def _left(text: str, count: int) -> str:
    if count < 0:
        raise EvaluationError
    return text[:count]


def _right(text: str, count: int) -> str:
    if count < 0:
        raise EvaluationError
    return text[max(0, len(text) - count) :]


def _mid(text: str, start: int, count: int) -> str:
    if start <= 0 or count < 0:
        raise EvaluationError
    return text[start - 1 : start - 1 + count]


def _replace(text: str, start: int, count: int, new: str) -> str:
    if start <= 0 or count < 0:
        raise EvaluationError
    return text[: start - 1] + new + text[start - 1 + count :]


def _rept(text: str, count: int) -> str:
    if count < 0 or len(text) * count > MAX_REPEATED:
        raise EvaluationError
    return text * count


def _lower(text: str) -> str:
    """Only ASCII letters change, as in the authors' program."""
    return text.lower() if text.isascii() else "".join(c.lower() if c.isascii() else c for c in text)


def _upper(text: str) -> str:
    return text.upper() if text.isascii() else "".join(c.upper() if c.isascii() else c for c in text)


def _proper(text: str) -> str:
    """Lower case, then upper case for each letter that does not directly follow a letter."""
    return _capitalised(_lower(text), lambda c: c.upper() if len(c.upper()) == 1 else c)


def _capitalised(text: str, upper: Callable[[str], str]) -> str:
    after_letter = False
    result = []
    for character in text:
        letter = character.isalpha()
        result.append(upper(character) if letter and not after_letter else character)
        after_letter = letter
    return "".join(result)


def _trim(text: str) -> str:
    """Strip control characters and spaces at both ends; collapse runs of spaces inside."""
    return _collapse(text.strip("".join(map(chr, range(0x21)))))


def _collapse(text: str) -> str:
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def _substitute(text: str, old: str, new: str) -> str:
    return text.replace(old, new) if old else text


def _substitute_one(text: str, old: str, new: str, occurrence: int) -> str:
    """Replace one occurrence, counting overlapping ones; 0 means all."""
    if occurrence < 0:
        raise EvaluationError
    return _substitute_nth(text, old, new, occurrence, step=1) if occurrence else _substitute(text, old, new)


def _substitute_nth(text: str, old: str, new: str, occurrence: int, step: int) -> str:
    if not old:
        return text
    position = text.find(old)
    while occurrence > 1 and position >= 0:
        position = text.find(old, position + step)
        occurrence -= 1
    return text[:position] + new + text[position + len(old) :] if position >= 0 else text


_PAPER: dict[tuple[str, int], Callable[..., Value]] = {
    ("ADD", 2): lambda a, b: a + b,
    ("CONCATENATE", 2): lambda a, b: a + b,
    ("EXACT", 2): lambda a, b: a == b,
    ("FIND", 2): _find,
    ("FIND", 3): _find,
    ("GT", 2): lambda a, b: a > b,
    ("GTE", 2): lambda a, b: a >= b,
    ("IF", 3): lambda condition, a, b: a if condition else b,
    ("LEFT", 2): _left,
    ("LEN", 1): len,
    ("LOWER", 1): _lower,
    ("MID", 3): _mid,
    ("MINUS", 2): lambda a, b: a - b,
    ("PROPER", 1): _proper,
    ("REPLACE", 4): _replace,
    ("REPT", 2): _rept,
    ("RIGHT", 2): _right,
    ("SUBSTITUTE", 3): _substitute,
    ("SUBSTITUTE", 4): _substitute_one,
    ("TO_TEXT", 1): str,
    ("TRIM", 1): _trim,
    ("UPPER", 1): _upper,
}


def _counting(operation: Callable[..., Value], argument: int = 0) -> Callable[..., Value]:
    """The operation, refused where it counts characters that engines count differently.

    Excel counts UTF-16 units and LibreOffice code points, which differ beyond U+FFFF.
    """

    @wraps(operation)
    def counted(*arguments: Any) -> Value:
        text = arguments[argument]
        _require(text.isascii() or all(character <= "\uffff" for character in text))
        return operation(*arguments)

    return counted


def _excel_find(find: str, within: str, start: int = 1) -> int:
    _require(find != "")  # LibreOffice finds no empty text, Excel does
    return _find(find, within, start)


def _undisputed(character: str, mapped: str) -> str:
    """A character's other case, which must be one that all spreadsheets know.

    What is not changed is not disputed: the sharp s has a lower case, and no upper case.
    """
    if mapped == character:
        _require(character not in CASED_SIGNS)
    else:
        _require(len(mapped) == 1 and character in CASED_LETTERS)
    return mapped


def _excel_lower(text: str) -> str:
    if text.isascii():
        return text.lower()
    _require(FINAL_SIGMA not in text)
    return "".join(_undisputed(c, c.lower()) for c in text)


def _excel_upper(text: str) -> str:
    return text.upper() if text.isascii() else "".join(_undisputed(c, c.upper()) for c in text)


def clear_letter(character: str) -> bool:
    """Whether nobody doubts that the character is a letter, or that it is none.

    In doubt are accents that are characters of their own, modifier letters, letters in circles, Roman
    numerals, and all beyond U+FFFF.
    """
    doubtful = unicodedata.category(character) in UNCLEAR_LETTERS or character > "\uffff"
    return not doubtful and (character.isalpha() or character.upper() == character)


def _excel_proper(text: str) -> str:
    _require(text.isascii() or all(map(clear_letter, text)))
    return _capitalised(_excel_lower(text), lambda c: _undisputed(c, c.upper()))


def _excel_substitute_one(text: str, old: str, new: str, occurrence: int) -> str:
    """Replace one occurrence, counting those that do not overlap."""
    _require(occurrence > 0)
    return _substitute_nth(text, old, new, occurrence, step=len(old))


_EXCEL: dict[tuple[str, int], Callable[..., Value]] = {
    ("FIND", 2): _counting(_excel_find, argument=1),
    ("FIND", 3): _counting(_excel_find, argument=1),
    ("LEFT", 2): _counting(_left),
    ("LEN", 1): _counting(len),
    ("LOWER", 1): _excel_lower,
    ("MID", 3): _counting(_mid),
    ("PROPER", 1): _excel_proper,
    ("REPLACE", 4): _counting(_replace),
    ("RIGHT", 2): _counting(_right),
    ("SUBSTITUTE", 4): _excel_substitute_one,
    ("TRIM", 1): lambda text: _collapse(text.strip(" ")),
    ("UPPER", 1): _excel_upper,
}
