"""What the operations do: the paper's table, row by row, and where spreadsheets differ."""

import pytest

from rostra.methods.bustle.dsl import OPERATIONS
from rostra.methods.bustle.semantics import EvaluationError, apply

NAMED = {(operation.name, len(operation.arguments)): operation for operation in OPERATIONS}
PAPER, EXCEL = "sheets-bustle", "excel"


def call(name, *arguments, dialect=PAPER):
    return apply(NAMED[name, len(arguments)], arguments, dialect)


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("ADD", (2, 3), 5),
        ("MINUS", (2, 3), -1),
        ("CONCATENATE", ("a", "b"), "ab"),
        ("EXACT", ("a", "a"), True),
        ("EXACT", ("a", "A"), False),
        ("GT", (3, 2), True),
        ("GT", (2, 2), False),
        ("GTE", (2, 2), True),
        ("IF", (True, "a", "b"), "a"),
        ("IF", (False, "a", "b"), "b"),
        ("FIND", ("b", "abcb"), 2),
        ("FIND", ("b", "abcb", 1), 2),
        ("FIND", ("b", "abcb", 2), 2),
        ("FIND", ("b", "abcb", 3), 4),
        ("FIND", ("b", "abcb", 4), 4),
        ("FIND", ("", "abc"), 1),
        ("FIND", ("", "abc", 4), 4),
        ("FIND", ("", "abc", 9), 4),
        ("LEFT", ("abc", 2), "ab"),
        ("LEFT", ("abc", 9), "abc"),
        ("LEFT", ("abc", 0), ""),
        ("RIGHT", ("abc", 2), "bc"),
        ("RIGHT", ("abc", 9), "abc"),
        ("RIGHT", ("abc", 0), ""),
        ("LEN", ("abc",), 3),
        ("LOWER", ("AbÉ",), "abÉ"),
        ("UPPER", ("aBé",), "ABé"),
        ("PROPER", ("a 1a a1 a1a1a .a?a",), "A 1A A1 A1A1A .A?A"),
        ("PROPER", ("a1a don't",), "A1A Don'T"),
        ("MID", ("abcd", 2, 2), "bc"),
        ("MID", ("abc", 9, 9), ""),
        ("MID", ("abc", 2, 9), "bc"),
        ("REPLACE", ("abcd", 2, 2, "X"), "aXd"),
        ("REPLACE", ("abc", 9, 9, "XY"), "abcXY"),
        ("REPLACE", ("abc", 1, 0, "X"), "Xabc"),
        ("REPT", ("ab", 3), "ababab"),
        ("REPT", ("ab", 0), ""),
        ("REPT", ("a" * 50, 2), "a" * 100),
        ("SUBSTITUTE", ("aaa", "aa", "b"), "ba"),
        ("SUBSTITUTE", ("abc", "", "x"), "abc"),
        *[
            ("SUBSTITUTE", ("AAAAA", "AA", "X", n), value)
            for n, value in enumerate(["XXA", "XAAA", "AXAA", "AAXA", "AAAX", "AAAAA"])
        ],
        ("SUBSTITUTE", ("abc", "", "x", 1), "abc"),
        ("TO_TEXT", (-12,), "-12"),
        ("TRIM", ("\t a  b   c\n",), "a b c"),
        ("TRIM", ("a \t b",), "a \t b"),
    ],
)
def test_the_papers_table(name, arguments, value):
    """Value and type."""
    found = call(name, *arguments)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("FIND", ("b", "abcb", 0)),
        ("FIND", ("b", "abcb", 5)),
        ("FIND", ("x", "abc")),
        ("FIND", ("", "abc", 0)),
        ("LEFT", ("abc", -1)),
        ("RIGHT", ("abc", -1)),
        ("MID", ("abc", 0, 1)),
        ("MID", ("abc", 1, -1)),
        ("REPLACE", ("abc", 0, 1, "x")),
        ("REPLACE", ("abc", 1, -1, "x")),
        ("REPT", ("ab", -1)),
        ("REPT", ("ab", 51)),
        ("SUBSTITUTE", ("abc", "a", "x", -1)),
        ("SUBSTITUTE", ("abc", "", "x", -1)),
    ],
)
def test_the_papers_errors(name, arguments):
    """No value, in either dialect."""
    for dialect in (PAPER, EXCEL):
        with pytest.raises(EvaluationError):
            call(name, *arguments, dialect=dialect)


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("SUBSTITUTE", ("AAAAA", "AA", "X", 2), "AAXA"),
        ("SUBSTITUTE", ("AAAAA", "AA", "X", 3), "AAAAA"),
        ("TRIM", ("\t a  b ",), "\t a b"),
        ("UPPER", ("zoë",), "ZOË"),
        ("LOWER", ("ÉCOLE",), "école"),
        ("PROPER", ("ÉCOLE élan",), "École Élan"),
        ("LOWER", ("ß",), "ß"),
    ],
)
def test_what_spreadsheets_do(name, arguments, value):
    """Excel and LibreOffice agree here, mostly not with the paper."""
    assert call(name, *arguments, dialect=EXCEL) == value


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("SUBSTITUTE", ("abc", "a", "x", 0)),
        ("FIND", ("", "abc")),
        ("FIND", ("", "abc", 2)),
        ("UPPER", ("straße",)),
        ("LOWER", ("ΟΔΟΣ",)),
        ("PROPER", ("e\u0301a",)),
        ("LEN", ("a😀",)),
        ("LEFT", ("a😀", 1)),
        ("MID", ("a😀", 1, 1)),
        ("REPLACE", ("a😀", 1, 1, "")),
        ("FIND", ("a", "a😀")),
    ],
)
def test_what_spreadsheets_dispute_has_no_value(name, arguments):
    """In the paper's dialect it has one."""
    with pytest.raises(EvaluationError):
        call(name, *arguments, dialect=EXCEL)
    call(name, *arguments)
