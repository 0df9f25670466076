"""An evaluator of formula text, to check what is handed out. It shares no code with the search.

It knows what the formulas of ``formulas.py`` consist of: texts, whole numbers, cells, ``&``, ``+``,
``-``, comparisons and the language's functions, under their names in Excel and in Google Sheets. It
does what Excel does: an empty cell counts as an empty text in a function and shows as 0, only the
branch of IF that is taken is worked out, and characters beyond U+FFFF count twice.
"""

__all__ = ["FormulaError", "FormulaValue", "evaluate_formula"]

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

FormulaValue = str | int | bool

LONGEST = 32_767
"""Most characters of a text in Excel."""


class FormulaError(ValueError):
    """A formula that has no value: what Excel shows as #VALUE! or #NAME?, or does not accept."""


@dataclass(frozen=True)
class _Empty:
    """What a reference to an empty cell gives."""


_Operand = FormulaValue | _Empty
_Lazy = Callable[[], _Operand]
_Token = tuple[Literal["text", "number", "cell", "name", "sign", "end"], str]

_TOKEN = re.compile(
    r'\s*(?:"(?P<text>(?:[^"]|"")*)"|(?P<number>\d+)|(?P<cell>\$?[A-Z]{1,3}\$?[0-9]+)(?![\w(])'
    r"|(?P<name>[A-Z_]+)|(?P<sign><>|<=|>=|[-+&=<>(),]))"
)


def evaluate_formula(text: str, cells: Mapping[str, str]) -> FormulaValue:
    """Value of a formula such as ``=LEFT(A2,FIND("-",A2)-1)``.

    Args:
        text: the formula, with its equals sign.
        cells: cell, such as "A2", -> its text; a cell that is not there or holds "" is empty.

    Raises:
        FormulaError: if the formula cannot be read or has no value.
    """
    if not text.startswith("="):
        raise FormulaError(f"a formula begins with '=': {text!r}")
    reader = _Reader(text[1:], cells)
    lazy = reader.comparison()
    reader.take("end")
    value = lazy()
    return 0 if isinstance(value, _Empty) else value


def _tokens(text: str) -> Iterator[_Token]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise FormulaError(f"cannot read {text[position:]!r}")
        yield match.lastgroup, match[match.lastgroup]  # type: ignore[misc]
        position = match.end()
    yield "end", ""


class _Reader:
    """Recursive descent; each method reads one level of precedence and gives a value to be worked out later."""

    def __init__(self, text: str, cells: Mapping[str, str]) -> None:
        self.tokens = list(_tokens(text))
        self.cells = cells
        self.position = 0

    def take(self, kind: str, *signs: str) -> str | None:
        """The next token's text if it is of a kind (and one of the signs); an error where none can be missing."""
        found, text = self.tokens[self.position]
        if found != kind or (signs and text not in signs):
            if kind == "end" or signs in ((")",), ("(",)):
                raise FormulaError(f"expected {signs[0] if signs else 'the end'} and found {text or 'the end'!r}")
            return None
        self.position += 1
        return text

    def comparison(self) -> _Lazy:
        left = self.joined()
        while (sign := self.take("sign", "=", "<>", "<", "<=", ">", ">=")) is not None:
            left = _later(_compare, sign, left, self.joined())
        return left

    def joined(self) -> _Lazy:
        left = self.sum()
        while self.take("sign", "&") is not None:
            left = _later(_join, left, self.sum())
        return left

    def sum(self) -> _Lazy:
        left = self.signed()
        while (sign := self.take("sign", "+", "-")) is not None:
            left = _later(_add, 1 if sign == "+" else -1, left, self.signed())
        return left

    def signed(self) -> _Lazy:
        if (sign := self.take("sign", "+", "-")) is not None:
            return _later(_add, 1 if sign == "+" else -1, lambda: 0, self.signed())
        return self.operand()

    def operand(self) -> _Lazy:
        if (text := self.take("text")) is not None:
            constant = text.replace('""', '"')
            return lambda: constant
        if (digits := self.take("number")) is not None:
            number = int(digits)
            return lambda: number
        if (cell := self.take("cell")) is not None:
            content = self.cells.get(cell.replace("$", ""), "")
            return lambda: content or _Empty()
        if (name := self.take("name")) is not None:
            return self.named(name)
        self.take("sign", "(")
        inner = self.comparison()
        self.take("sign", ")")
        return inner

    def named(self, name: str) -> _Lazy:
        if name in ("TRUE", "FALSE") and self.tokens[self.position] != ("sign", "("):
            return lambda: name == "TRUE"
        self.take("sign", "(")
        arguments = [self.comparison()]
        while self.take("sign", ",") is not None:
            arguments.append(self.comparison())
        self.take("sign", ")")
        return lambda: _call(name, arguments)


def _later(function: Callable[..., _Operand], *arguments: object) -> _Lazy:
    return lambda: function(*arguments)


def _call(name: str, arguments: list[_Lazy]) -> _Operand:
    if name == "IF":
        if not 2 <= len(arguments) <= 3:
            raise FormulaError("IF takes 2 or 3 arguments")
        condition = arguments[0]()
        if not isinstance(condition, int):
            raise FormulaError("the condition of IF is no truth value")
        if condition:
            return arguments[1]()
        return arguments[2]() if len(arguments) == 3 else False
    if name == "CONCATENATE":
        return _bounded("".join(_text(argument()) for argument in arguments))
    known = _FUNCTIONS.get((name, len(arguments)))
    if known is None:
        raise FormulaError(f"no function {name} of {len(arguments)} arguments")
    function, kinds = known
    read = {"t": _text, "n": _number}
    return function(*(read[kind](argument()) for kind, argument in zip(kinds, arguments, strict=True)))


def _text(value: _Operand) -> str:
    match value:
        case _Empty():
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case _:
            return str(value)


def _number(value: _Operand) -> int:
    match value:
        case _Empty():
            return 0
        case str():  # Excel would read it as a number or a date, as the country has it
            raise FormulaError(f"#VALUE!: {value!r} stands where a number belongs")
        case _:
            return int(value)


def _bounded(text: str) -> str:
    if _length(text) > LONGEST:
        raise FormulaError(f"#VALUE!: a text of more than {LONGEST} characters")
    return text


def _compare(sign: str, left: _Lazy, right: _Lazy) -> bool:
    a, b = left(), right()
    if isinstance(a, str) or isinstance(b, str):
        raise FormulaError("comparing texts is not supported: it ignores case in Excel")
    x, y = _number(a), _number(b)
    return {"=": x == y, "<>": x != y, "<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y}[sign]


def _join(left: _Lazy, right: _Lazy) -> str:
    return _bounded(_text(left()) + _text(right()))


def _add(sign: int, left: _Lazy, right: _Lazy) -> int:
    return _number(left()) + sign * _number(right())


def _units(text: str) -> list[str]:
    """The characters as Excel counts them: a character beyond U+FFFF is a pair."""
    encoded = text.encode("utf-16-le", "surrogatepass")
    return [encoded[i : i + 2].decode("utf-16-le", "surrogatepass") for i in range(0, len(encoded), 2)]


def _whole(units: list[str]) -> str:
    return "".join(units).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _length(text: str) -> int:
    return len(_units(text))


def _not_below(least: int, *numbers: int) -> None:
    if min(numbers) < least:
        raise FormulaError(f"#VALUE!: {min(numbers)} where at least {least} is needed")


def _left(text: str, count: int = 1) -> str:
    _not_below(0, count)
    return _whole(_units(text)[:count])


def _right(text: str, count: int = 1) -> str:
    _not_below(0, count)
    units = _units(text)
    return _whole(units[max(len(units) - count, 0) :])


def _mid(text: str, start: int, count: int) -> str:
    _not_below(1, start)
    _not_below(0, count)
    return _whole(_units(text)[start - 1 :][:count])


def _replace(text: str, start: int, count: int, new: str) -> str:
    _not_below(1, start)
    _not_below(0, count)
    units = _units(text)
    return _bounded(_whole(units[: start - 1]) + new + _whole(units[start - 1 :][count:]))


def _repeat(text: str, count: int) -> str:
    _not_below(0, count)
    if _length(text) * count > LONGEST:
        raise FormulaError(f"#VALUE!: a text of more than {LONGEST} characters")
    return text * count


def _find(sought: str, within: str, start: int = 1) -> int:
    _not_below(1, start)
    units, wanted = _units(within), _units(sought)
    for position in range(start - 1, len(units) - len(wanted) + 1):
        if units[position : position + len(wanted)] == wanted:
            return position + 1
    raise FormulaError(f"#VALUE!: {sought!r} is not in {within!r} from character {start}")


def _substitute(text: str, old: str, new: str, occurrence: int | None = None) -> str:
    if occurrence is not None:
        _not_below(1, occurrence)
    done, position, count = [], 0, 0
    while old and (found := text.find(old, position)) >= 0:
        count += 1
        replaced = occurrence is None or count == occurrence
        done.append(text[position:found] + (new if replaced else old))
        position = found + len(old)
    return _bounded("".join(done) + text[position:])


def _trim(text: str) -> str:
    return re.sub(" +", " ", text).strip(" ")


def _changed(character: str, other: str) -> str:
    return other if len(other) == 1 else character


def _lower(text: str) -> str:
    return "".join(_changed(character, character.lower()) for character in text)


def _upper(text: str) -> str:
    return "".join(_changed(character, character.upper()) for character in text)


def _proper(text: str) -> str:
    written, in_word = [], False
    for character in text:
        written.append(_lower(character) if in_word or not character.isalpha() else _upper(_lower(character)))
        in_word = character.isalpha()
    return "".join(written)


def _format(number: int, shape: str) -> str:
    if shape != "0":
        raise FormulaError(f'TEXT is supported with the format "0" only, not {shape!r}')
    return str(number)


def _character(code: int) -> str:
    if not 1 <= code <= 126:
        raise FormulaError(f"CHAR({code}) is not supported: beyond 126 it depends on the computer")
    return chr(code)


_FUNCTIONS: dict[tuple[str, int], tuple[Callable[..., FormulaValue], str]] = {
    ("ADD", 2): (lambda a, b: a + b, "nn"),
    ("CHAR", 1): (_character, "n"),
    ("EXACT", 2): (lambda a, b: a == b, "tt"),
    ("FIND", 2): (_find, "tt"),
    ("FIND", 3): (_find, "ttn"),
    ("GT", 2): (lambda a, b: a > b, "nn"),
    ("GTE", 2): (lambda a, b: a >= b, "nn"),
    ("LEFT", 1): (_left, "t"),
    ("LEFT", 2): (_left, "tn"),
    ("LEN", 1): (_length, "t"),
    ("LOWER", 1): (_lower, "t"),
    ("MID", 3): (_mid, "tnn"),
    ("MINUS", 2): (lambda a, b: a - b, "nn"),
    ("PROPER", 1): (_proper, "t"),
    ("REPLACE", 4): (_replace, "tnnt"),
    ("REPT", 2): (_repeat, "tn"),
    ("RIGHT", 1): (_right, "t"),
    ("RIGHT", 2): (_right, "tn"),
    ("SUBSTITUTE", 3): (_substitute, "ttt"),
    ("SUBSTITUTE", 4): (_substitute, "tttn"),
    ("TEXT", 2): (_format, "nt"),
    ("TO_TEXT", 1): (str, "n"),
    ("TRIM", 1): (_trim, "t"),
    ("UPPER", 1): (_upper, "t"),
}
"""(name, number of arguments) -> (function, kinds of its arguments: text or number)."""
