"""The operations do what the paper's program does, and in the other dialect what spreadsheets agree on."""

import pytest
from expressions import BY_ARITY, cells
from hypothesis import given
from hypothesis import strategies as st

from rostra.methods.bustle.dsl import OPERATIONS, Call, Constant, Input
from rostra.methods.bustle.semantics import EvaluationError, apply, clear_letter, evaluate

PAPER, EXCEL = "sheets-bustle", "excel"
FAILS = EvaluationError


def check(dialect, name, arguments, expected):
    operation = BY_ARITY[name, len(arguments)]
    if expected is FAILS:
        with pytest.raises(EvaluationError):
            apply(operation, arguments, dialect)
    else:
        found = apply(operation, arguments, dialect)
        assert (found, type(found)) == (expected, type(expected))


SHARED = [
    ("ADD", (2, 3), 5),
    ("ADD", (99, 99), 198),
    ("ADD", (-2, 1), -1),
    ("MINUS", (2, 3), -1),
    ("MINUS", (3, -2), 5),
    ("CONCATENATE", ("a", "b"), "ab"),
    ("CONCATENATE", ("", ""), ""),
    ("EXACT", ("a", "a"), True),
    ("EXACT", ("a", "A"), False),
    ("EXACT", ("", ""), True),
    ("FIND", ("b", "abcb"), 2),
    ("FIND", ("B", "abcb"), FAILS),
    ("FIND", ("abcbx", "abcb"), FAILS),
    *[("FIND", ("b", "abcb", start), found) for start, found in enumerate([FAILS, 2, 2, 4, 4, FAILS])],
    ("FIND", ("b", "abcb", -1), FAILS),
    ("FIND", ("b", "abcb", 99), FAILS),
    ("GT", (2, 1), True),
    ("GT", (1, 1), False),
    ("GT", (0, 1), False),
    ("GTE", (2, 1), True),
    ("GTE", (1, 1), True),
    ("GTE", (0, 1), False),
    ("IF", (True, "a", "b"), "a"),
    ("IF", (False, "a", "b"), "b"),
    ("LEFT", ("abc", 0), ""),
    ("LEFT", ("abc", 2), "ab"),
    ("LEFT", ("abc", 9), "abc"),
    ("LEFT", ("abc", -1), FAILS),
    ("RIGHT", ("abc", 0), ""),
    ("RIGHT", ("abc", 2), "bc"),
    ("RIGHT", ("abc", 9), "abc"),
    ("RIGHT", ("abc", -1), FAILS),
    ("LEN", ("",), 0),
    ("LEN", ("abc",), 3),
    ("LOWER", ("A1b-Z",), "a1b-z"),
    ("UPPER", ("A1b-z",), "A1B-Z"),
    ("PROPER", ("a 1a a1 a1a1a .a?a",), "A 1A A1 A1A1A .A?A"),
    ("PROPER", ("a1a don't",), "A1A Don'T"),
    ("PROPER", ("FIX CAPS",), "Fix Caps"),
    ("PROPER", ("",), ""),
    ("MID", ("abcde", 2, 3), "bcd"),
    ("MID", ("abc", 1, 9), "abc"),
    ("MID", ("abc", 3, 1), "c"),
    ("MID", ("abc", 4, 1), ""),
    ("MID", ("abc", 9, 9), ""),
    ("MID", ("abc", 2, 0), ""),
    ("MID", ("abc", 0, 1), FAILS),
    ("MID", ("abc", -1, 1), FAILS),
    ("MID", ("abc", 1, -1), FAILS),
    ("REPLACE", ("abcde", 2, 3, "X"), "aXe"),
    ("REPLACE", ("abc", 1, 0, "X"), "Xabc"),
    ("REPLACE", ("abc", 4, 0, "X"), "abcX"),
    ("REPLACE", ("abc", 2, 99, ""), "a"),
    ("REPLACE", ("abc", 9, 9, "XY"), "abcXY"),
    ("REPLACE", ("", 1, 1, "X"), "X"),
    ("REPLACE", ("abc", 0, 1, "X"), FAILS),
    ("REPLACE", ("abc", 1, -1, "X"), FAILS),
    ("REPT", ("ab", 0), ""),
    ("REPT", ("ab", 3), "ababab"),
    ("REPT", ("ab", 50), "ab" * 50),
    ("REPT", ("ab", 51), FAILS),
    ("REPT", ("abc", 33), "abc" * 33),
    ("REPT", ("abc", 34), FAILS),
    ("REPT", ("", 99), ""),
    ("REPT", ("ab", -1), FAILS),
    ("REPT", ("", -1), FAILS),
    ("SUBSTITUTE", ("abab", "b", "X"), "aXaX"),
    ("SUBSTITUTE", ("aaa", "aa", "X"), "Xa"),
    ("SUBSTITUTE", ("aba", "B", "X"), "aba"),
    ("SUBSTITUTE", ("abc", "b", ""), "ac"),
    ("SUBSTITUTE", ("aa", "a", "aa"), "aaaa"),
    ("SUBSTITUTE", ("abc", "", "X"), "abc"),
    ("SUBSTITUTE", ("", "a", "X"), ""),
    ("SUBSTITUTE", ("abab", "b", "X", 1), "aXab"),
    ("SUBSTITUTE", ("abab", "b", "X", 2), "abaX"),
    ("SUBSTITUTE", ("abab", "b", "X", 3), "abab"),
    ("SUBSTITUTE", ("abab", "b", "X", -1), FAILS),
    ("SUBSTITUTE", ("abc", "", "X", 1), "abc"),
    ("SUBSTITUTE", ("abc", "", "X", -1), FAILS),
    ("TO_TEXT", (0,), "0"),
    ("TO_TEXT", (-12,), "-12"),
    ("TRIM", ("  a   b ",), "a b"),
    ("TRIM", ("a b",), "a b"),
    ("TRIM", ("   ",), ""),
    ("TRIM", ("a \t  b",), "a \t b"),
    ("TRIM", (" \u00a0a",), "\u00a0a"),
]


@pytest.mark.parametrize("dialect", [PAPER, EXCEL])
@pytest.mark.parametrize(("name", "arguments", "expected"), SHARED)
def test_what_both_dialects_do(dialect, name, arguments, expected):
    """Positions count from 1; what goes beyond the end is clipped; what makes no sense has no value."""
    check(dialect, name, arguments, expected)


def test_every_operation_is_among_the_cases():
    assert {(name, len(arguments)) for name, arguments, _ in SHARED} == set(BY_ARITY)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("FIND", ("", "abc"), 1),
        ("FIND", ("", ""), 1),
        ("FIND", ("", "abc", 2), 2),
        ("FIND", ("", "abc", 4), 4),
        ("FIND", ("", "abc", 99), 4),
        ("FIND", ("", "abc", 0), FAILS),
        ("FIND", ("b", "😀b"), 2),
        ("LEN", ("😀b",), 2),
        ("LEFT", ("😀b", 1), "😀"),
        ("MID", ("😀b", 2, 1), "b"),
        ("LOWER", ("ÄA",), "Äa"),
        ("UPPER", ("äa",), "äA"),
        ("PROPER", ("éa ÉA ßa",), "Éa Éa ßa"),
        *[
            ("SUBSTITUTE", ("AAAAA", "AA", "X", occurrence), result)
            for occurrence, result in enumerate(["XXA", "XAAA", "AXAA", "AAXA", "AAAX", "AAAAA"])
        ],
        ("SUBSTITUTE", ("abab", "b", "X", 0), "aXaX"),
        ("SUBSTITUTE", ("abc", "", "X", 0), "abc"),
        ("TRIM", ("\t\n a \x1f\r",), "a"),
        ("TRIM", ("\n  \n",), ""),
    ],
)
def test_what_only_the_papers_language_does(name, arguments, expected):
    """Overlapping occurrences, empty texts that are found, letters of ASCII, control characters that are stripped."""
    check(PAPER, name, arguments, expected)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        *[("FIND", ("", "abc", *start), FAILS) for start in ((), (1,), (4,), (5,))],
        ("SUBSTITUTE", ("AAAAA", "AA", "X", 0), FAILS),
        ("SUBSTITUTE", ("abc", "", "X", 0), FAILS),
        *[
            ("SUBSTITUTE", ("AAAAA", "AA", "X", occurrence), result)
            for occurrence, result in enumerate(["XAAA", "AAXA", "AAAAA"], start=1)
        ],
        ("TRIM", ("\ta  b\n",), "\ta b\n"),
        ("TRIM", (" \t ",), "\t"),
        ("LOWER", ("ÄÉŁ Я",), "äéł я"),
        ("UPPER", ("äéł я",), "ÄÉŁ Я"),
        ("UPPER", ("straße",), FAILS),
        ("LOWER", ("straße",), "straße"),
        ("UPPER", ("ı",), FAILS),
        ("LOWER", ("İ",), FAILS),
        ("PROPER", ("éA élan",), "Éa Élan"),
        ("PROPER", ("ßa",), FAILS),
        ("PROPER", ("aß",), "Aß"),
        ("PROPER", ("e\u0301a",), FAILS),  # an accent of its own: is what follows it the start of a word?
        ("LOWER", ("ΟΔΟΣ",), FAILS),
        ("PROPER", ("ΟΔΟΣ",), FAILS),
        ("LOWER", ("οδος",), "οδος"),
        ("UPPER", ("οδος",), "ΟΔΟΣ"),
    ],
)
def test_what_only_spreadsheets_do(name, arguments, expected):
    """Where Excel and LibreOffice differ there is no value; letters of other alphabets have two cases."""
    check(EXCEL, name, arguments, expected)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("FIND", ("b", "😀b")),
        ("FIND", ("b", "😀b", 1)),
        ("LEFT", ("😀b", 1)),
        ("LEN", ("😀b",)),
        ("MID", ("😀b", 1, 1)),
        ("REPLACE", ("😀b", 1, 1, "x")),
        ("RIGHT", ("😀b", 1)),
    ],
)
def test_spreadsheets_count_other_units_beyond_ffff(name, arguments):
    """Operations that count refuse such a text, and take every other one."""
    check(EXCEL, name, arguments, FAILS)
    countable = [a.replace("😀", "語") if isinstance(a, str) else a for a in arguments]
    apply(BY_ARITY[name, len(arguments)], countable, EXCEL)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("CONCATENATE", ("😀", "b"), "😀b"),
        ("EXACT", ("😀", "😀"), True),
        ("FIND", ("😀", "ab"), FAILS),
        ("REPLACE", ("ab", 1, 1, "😀"), "😀b"),
        ("SUBSTITUTE", ("😀b😀", "😀", "x", 2), "😀bx"),
        ("TRIM", (" 😀 ",), "😀"),
    ],
)
def test_what_does_not_count_takes_all_characters(name, arguments, expected):
    check(EXCEL, name, arguments, expected)


def test_a_clear_letter():
    """Nobody doubts a letter, a digit, a sign or an ideogram; accents of their own and Roman numerals are in doubt."""
    assert all(map(clear_letter, "aZ1 .-éЯ語ß"))
    assert not any(map(clear_letter, "\u0301ʰⅣ😀"))


def test_expressions_are_worked_out_from_the_inside():
    """On one row; an operation without a value leaves the whole without."""
    find = Call(BY_ARITY["FIND", 2], (Constant(" "), Input(1)))
    left = Call(BY_ARITY["LEFT", 2], (Input(1), find))
    assert evaluate(left, ("x", "Ada Lovelace"), PAPER) == "Ada "
    assert evaluate(Constant(3), ("x",), EXCEL) == 3
    with pytest.raises(EvaluationError):
        evaluate(left, ("x", "Plato"), PAPER)


ARGUMENTS = {"str": cells(), "int": st.integers(-3, 99), "bool": st.booleans()}


@given(data=st.data(), operation=st.sampled_from(OPERATIONS), dialect=st.sampled_from([PAPER, EXCEL]))
def test_results_have_the_type_they_should(data, operation, dialect):
    """Whatever the arguments, there is a value of the operation's type or the one error, never another."""
    arguments = [data.draw(ARGUMENTS[kind]) for kind in operation.arguments]
    try:
        result = apply(operation, arguments, dialect)
    except EvaluationError:
        return
    assert type(result).__name__ == operation.result


@given(data=st.data(), operation=st.sampled_from(OPERATIONS))
def test_dialects_agree_on_plain_texts(data, operation):
    """On printable ASCII, where both have a value, they differ in overlapping occurrences only."""
    plain = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=8)
    arguments = [data.draw(plain if kind == "str" else ARGUMENTS[kind]) for kind in operation.arguments]
    try:
        results = {apply(operation, arguments, dialect) for dialect in (PAPER, EXCEL)}
    except EvaluationError:
        return
    if len(results) > 1:
        assert (operation.name, len(arguments)) == ("SUBSTITUTE", 4)
