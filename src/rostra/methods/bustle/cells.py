"""What a person sees in a workbook's cell, and how texts are stored in one."""

__all__ = ["MAX_TEXT", "UnreadableCellError", "decode_text", "encode_text", "may_be_executed", "shown"]

import datetime as dt
import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

MAX_TEXT = 32_767
"""Most characters of a cell."""

_NUMBER_FORMAT = re.compile(r"(?P<thousands>#,##)?(?P<whole>0+|#(?=\.))(?:\.(?P<decimals>0+))?(?P<percent>%)?")
_DATE_PART = re.compile(r"[a-z]+|[-./: T,]")
_DATE_FIELDS = ("yyyy", "yy", "mm", "m", "dd", "d", "hh", "h", "ss", "s")
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?%?")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_TO_ESCAPE = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


class UnreadableCellError(ValueError):
    """A cell of which it is not known what a person sees in it. The message says what it holds."""


def shown(value: Any, number_format: str) -> str:
    """What a person sees in a cell.

    Numbers in the formats General, 0, 0.00, #,##0.00, 00000, 0% and their like, and dates and times of
    digits in a fixed order (such as yyyy-mm-dd or d.m.yyyy hh:mm) are known.

    Args:
        value: as openpyxl gives it.
        number_format: the cell's.

    Raises:
        UnreadableCellError: for other formats: currencies, names of months, the date format that
            follows the country of the computer; for numbers that General shows with an exponent.
    """
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            return decode_text(value)
        case int() | float():
            return _number(value, number_format)
        case dt.datetime() | dt.date() | dt.time():
            return _date(value, number_format)
        case _:
            raise UnreadableCellError(f"a {type(value).__name__} in the format '{number_format}'")


def _number(value: float, number_format: str) -> str:
    if number_format in ("General", "@"):
        if value != 0 and not 1e-4 <= abs(value) < 1e15:
            raise UnreadableCellError(f"the number {value!r}, shown with an exponent")
        return str(int(value)) if value == int(value) else format(value, ".15g")
    match = _NUMBER_FORMAT.fullmatch(number_format)
    if match is None:
        raise UnreadableCellError(f"a number in the format '{number_format}'")
    number = Decimal(repr(value)) * (100 if match["percent"] else 1)
    rounded = number.quantize(Decimal(1).scaleb(-len(match["decimals"] or "")), ROUND_HALF_UP)
    sign = "-" if rounded < 0 else ""
    text = f"{abs(rounded):{',' if match['thousands'] else ''}f}"
    whole, point, decimals = text.partition(".")
    whole = whole.lstrip("0") if match["whole"] == "#" else whole.rjust(len(match["whole"]), "0")
    return sign + whole + point + decimals + (match["percent"] or "")


def _date(value: dt.datetime | dt.date | dt.time, number_format: str) -> str:
    # Excel writes yyyy\-mm\-dd;@ and [$-409]... for what a person chose as a plain date.
    plain = re.sub(r"^\[\$[^]]*\]|;@$|\\", "", number_format).lower().replace("t", "T")
    parts = _DATE_PART.findall(plain)
    fields = [part for part in parts if part.isalpha() and part != "T"]
    known = "".join(parts) == plain and set(fields) <= set(_DATE_FIELDS)
    if not known or number_format == "mm-dd-yy":  # number 14 of Excel, shown as the country has it
        raise UnreadableCellError(f"a date in the format '{number_format}'")
    attributes = {"y": "year", "m": "month", "d": "day", "h": "hour", "s": "second"}
    written, place = [], 0
    for part in parts:
        if part not in _DATE_FIELDS:
            written.append(part)
            continue
        attribute = attributes[part[0]]
        around = (fields[place - 1] if place else "", fields[place + 1] if place + 1 < len(fields) else "")
        if part[0] == "m" and (around[0].startswith("h") or around[1].startswith("s")):
            attribute = "minute"
        place += 1
        number = getattr(value, attribute, None)
        if number is None:
            raise UnreadableCellError(f"a time or date without {attribute} in the format '{number_format}'")
        written.append(f"{number % 100 if part == 'yy' else number:0{len(part)}d}")
    return "".join(written)


def encode_text(text: str) -> str:
    """A text as workbooks store it: control characters as _x0007_, and what only looks so escaped too."""
    return _TO_ESCAPE.sub(lambda match: f"_x{ord(match[0]):04X}_", text)


def decode_text(text: str) -> str:
    """The inverse of :func:`encode_text`."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


def may_be_executed(text: str) -> bool:
    """Whether a spreadsheet that opens a CSV may take a value for a formula; numbers such as -5 are harmless."""
    return text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _PLAIN_NUMBER.fullmatch(text)
