"""The operations as plain functions, which ``to_python`` copies into the source that it writes.

They import nothing of this package. Tests compare each with ``semantics.py``.
"""

__all__: list[str] = []

import re
import unicodedata

EXCEL = True
"""Whether operations fail where spreadsheets differ; else they do what the paper's program does."""


def require(condition: bool) -> None:
    """Stop where an operation has no value."""
    if not condition:
        raise ValueError


def counted(text: str) -> str:
    """The text, whose characters are counted; Excel counts those beyond U+FFFF twice."""
    require(not EXCEL or all(character <= "\uffff" for character in text))
    return text


def choose(condition: bool, yes: str, no: str) -> str:
    """IF; both branches have been worked out."""
    return yes if condition else no


def length(text: str) -> int:
    """LEN."""
    return len(counted(text))


def left(text: str, count: int) -> str:
    """LEFT."""
    require(count >= 0)
    return counted(text)[:count]


def right(text: str, count: int) -> str:
    """RIGHT."""
    require(count >= 0)
    return counted(text)[max(0, len(text) - count) :]


def mid(text: str, start: int, count: int) -> str:
    """MID."""
    require(start > 0 and count >= 0)
    return counted(text)[start - 1 : start - 1 + count]


def replace(text: str, start: int, count: int, new: str) -> str:
    """REPLACE."""
    require(start > 0 and count >= 0)
    return counted(text)[: start - 1] + new + text[start - 1 + count :]


def rept(text: str, count: int) -> str:
    """REPT."""
    require(count >= 0 and len(text) * count <= 100)
    return text * count


def find(find: str, within: str, start: int = 1) -> int:
    """FIND; an empty text is nowhere in Excel's dialect, else everywhere and also after the end."""
    require(start > 0 and not (EXCEL and find == ""))
    position = counted(within).find(find, start - 1 if find else min(start - 1, len(within)))
    require(position >= 0)
    return position + 1


def substitute(text: str, old: str, new: str) -> str:
    """SUBSTITUTE, all occurrences."""
    return text.replace(old, new) if old else text


def substitute_one(text: str, old: str, new: str, occurrence: int) -> str:
    """SUBSTITUTE, one occurrence; in the paper they may overlap, and 0 means all."""
    require(occurrence >= (1 if EXCEL else 0))
    if old == "" or occurrence == 0:
        return substitute(text, old, new)
    pattern = re.escape(old) if EXCEL else f"(?={re.escape(old)})"
    places = [match.start() for match in re.finditer(pattern, text)]
    if occurrence > len(places):
        return text
    place = places[occurrence - 1]
    return text[:place] + new + text[place + len(old) :]


def trim(text: str) -> str:
    """TRIM of spaces; in the paper also of line breaks, tabs and other control characters at the ends."""
    return re.sub("  +", " ", text.strip(" " if EXCEL else "".join(map(chr, range(33)))))


def other_case(character: str, other: str) -> str:
    """The character's other case, where spreadsheets agree on it."""
    if not EXCEL:
        return other if len(other) == 1 else character
    if other == character:
        require(not "\u2ce4" <= character <= "\u2ceb")
    else:
        known = (
            "[A-Za-z\u00c0-\u0130\u0132-\u017e\u01cd-\u01dc\u01de-\u01ef\u01f8-\u021f\u0222-\u0233\u0386-\u03ce"
            "\u0400-\u0481\u048c-\u04bf\u04d0-\u04f5\u0531-\u0556\u0561-\u0586\u1e00-\u1e95\u1ea0-\u1ef9"
            "\uff21-\uff3a\uff41-\uff5a]"
        )
        require(len(other) == 1 and re.match(known, character) is not None)
    return other


def lower(text: str) -> str:
    """LOWER; in the paper of A to Z only."""
    require(not (EXCEL and "\u03a3" in text))
    return "".join(other_case(c, c.lower()) if EXCEL or c.isascii() else c for c in text)


def upper(text: str) -> str:
    """UPPER; in the paper of a to z only."""
    return "".join(other_case(c, c.upper()) if EXCEL or c.isascii() else c for c in text)


def clear(character: str) -> bool:
    """Whether nobody doubts that the character is a letter, or that it is none."""
    doubtful = unicodedata.category(character) in ("Mn", "Mc", "Me", "Lm", "Nl") or character > "\uffff"
    return not doubtful and (character.isalpha() or character.upper() == character)


def proper(text: str) -> str:
    """PROPER: upper case for each letter that does not follow a letter."""
    require(not EXCEL or all(map(clear, text)))
    text = lower(text)
    starts = [c.isalpha() and not (i > 0 and text[i - 1].isalpha()) for i, c in enumerate(text)]
    return "".join(other_case(c, c.upper()) if start else c for c, start in zip(text, starts, strict=True))
