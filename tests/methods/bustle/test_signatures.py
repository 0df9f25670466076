"""Every property says what its name says, on examples worked out by hand."""

import numpy as np
import pytest
from expressions import cells
from hypothesis import given
from hypothesis import strategies as st

from rostra.methods.bustle.signatures import (
    ALL_FALSE,
    ALL_TRUE,
    MIXED,
    TYPE_MISMATCH,
    example_signature,
    property_signature,
    value_signature,
)

TEXT, NUMBER, TRUTH = slice(0, 14), slice(14, 21), slice(21, 22)
TEXT_TO_OUTPUT, NUMBER_TO_OUTPUT = slice(22, 39), slice(39, 46)

OF_TEXTS = [
    "empty", "one character", "at most five", "lower", "upper", "space", "comma", "dot", "dash", "slash",
    "has a digit", "only digits", "has a letter", "only letters",
]  # fmt: skip
OF_NUMBERS = ["= 0", "= 1", "= 2", "< 0", "1 to 3", "4 to 9", "> 9"]
OF_TEXTS_AND_OUTPUTS = [
    "part of it", "starts it", "ends it", "has it", "starts with it", "ends with it",
    "part of it, any case", "starts it, any case", "ends it, any case",
    "has it, any case", "starts with it, any case", "ends with it, any case",
    "equal", "equal, any case", "as long", "shorter", "longer",
]  # fmt: skip
OF_NUMBERS_AND_LENGTHS = ["<", "<=", "=", ">=", ">", "within 1", "within 3"]


def true_ones(codes, names):
    assert len(codes) == len(names)
    assert set(codes) <= {ALL_TRUE, ALL_FALSE}
    return [name for code, name in zip(codes, names, strict=True) if code == ALL_TRUE]


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("", "empty, at most five, lower, upper"),
        (" ", "one character, at most five, lower, upper, space"),
        ("7", "one character, at most five, lower, upper, has a digit, only digits"),
        ("12345", "at most five, lower, upper, has a digit, only digits"),
        ("123456", "lower, upper, has a digit, only digits"),
        ("abc", "at most five, lower, has a letter, only letters"),
        ("ABC", "at most five, upper, has a letter, only letters"),
        ("aBc", "at most five, has a letter, only letters"),
        ("a1", "at most five, lower, has a digit, has a letter"),
        ("a, b", "at most five, lower, space, comma, has a letter"),
        ("1.5-2/3", "lower, upper, dot, dash, slash, has a digit"),
        ("É", "one character, at most five, lower, upper"),  # letters are the ASCII ones
        ("١", "one character, at most five, lower, upper"),  # and so are digits
        ("a\n1", "at most five, lower, has a digit, has a letter"),  # also behind a line break
    ],
)
def test_properties_of_texts(text, true):
    codes = value_signature([text], ["whatever"])
    assert ", ".join(true_ones(codes[TEXT], OF_TEXTS)) == true
    assert set(codes[NUMBER] + codes[TRUTH] + codes[NUMBER_TO_OUTPUT]) == {TYPE_MISMATCH}


@pytest.mark.parametrize(
    ("number", "true"),
    [
        (-1, ["< 0"]),
        (0, ["= 0"]),
        (1, ["= 1", "1 to 3"]),
        (2, ["= 2", "1 to 3"]),
        (3, ["1 to 3"]),
        (4, ["4 to 9"]),
        (9, ["4 to 9"]),
        (10, ["> 9"]),
    ],
)
def test_properties_of_numbers(number, true):
    codes = value_signature([number], ["whatever"])
    assert true_ones(codes[NUMBER], OF_NUMBERS) == true
    assert set(codes[TEXT] + codes[TRUTH] + codes[TEXT_TO_OUTPUT]) == {TYPE_MISMATCH}


@pytest.mark.parametrize(
    ("text", "output", "true"),
    [
        ("b", "abc", ["part of it", "part of it, any case", "shorter"]),
        ("a", "abc", ["part of it", "starts it", "part of it, any case", "starts it, any case", "shorter"]),
        ("c", "abc", ["part of it", "ends it", "part of it, any case", "ends it, any case", "shorter"]),
        ("B", "abc", ["part of it, any case", "shorter"]),
        ("A", "abc", ["part of it, any case", "starts it, any case", "shorter"]),
        ("C", "abc", ["part of it, any case", "ends it, any case", "shorter"]),
        ("abc", "b", ["has it", "has it, any case", "longer"]),
        ("abc", "a", ["has it", "starts with it", "has it, any case", "starts with it, any case", "longer"]),
        ("abc", "c", ["has it", "ends with it", "has it, any case", "ends with it, any case", "longer"]),
        ("aBc", "b", ["has it, any case", "longer"]),
        ("abc", "A", ["has it, any case", "starts with it, any case", "longer"]),
        ("abc", "C", ["has it, any case", "ends with it, any case", "longer"]),
        ("abc", "abc", [*OF_TEXTS_AND_OUTPUTS[:15]]),
        ("aBc", "AbC", [*OF_TEXTS_AND_OUTPUTS[6:12], "equal, any case", "as long"]),
        ("é", "É", ["as long"]),  # the case of ASCII letters only is ignored
        ("xyz", "abc", ["as long"]),
        ("", "abc", [name for name in OF_TEXTS_AND_OUTPUTS if "it" in name and "has" not in name and "with" not in name]
            + ["shorter"]),
    ],
)  # fmt: skip
def test_texts_against_the_output(text, output, true):
    assert true_ones(value_signature([text], [output])[TEXT_TO_OUTPUT], OF_TEXTS_AND_OUTPUTS) == true


@pytest.mark.parametrize(
    ("number", "true"),
    [
        (0, ["<", "<="]),
        (1, ["<", "<="]),
        (2, ["<", "<=", "within 3"]),
        (4, ["<", "<=", "within 1", "within 3"]),
        (5, ["<=", "=", ">=", "within 1", "within 3"]),
        (6, [">=", ">", "within 1", "within 3"]),
        (8, [">=", ">", "within 3"]),
        (9, [">=", ">"]),
    ],
)
def test_numbers_against_the_length_of_the_output(number, true):
    assert true_ones(value_signature([number], ["abcde"])[NUMBER_TO_OUTPUT], OF_NUMBERS_AND_LENGTHS) == true


def test_truth_values_are_no_numbers():
    """In Python they are; here they have one property, and nothing against the output."""
    for truth, code in ((True, ALL_TRUE), (False, ALL_FALSE)):
        codes = value_signature([truth, truth], ["a", "b"])
        assert codes[TRUTH] == [code]
        assert set(codes[:21] + codes[22:]) == {TYPE_MISMATCH}
    assert value_signature([True, False], ["a", "b"])[TRUTH] == [MIXED]
    assert value_signature([1], ["a"])[TRUTH] == [TYPE_MISMATCH]


def test_examples_are_summed_up():
    """True on all, false on all, or mixed: number 2 of [1, 1, 2], against outputs of lengths 1, 2, 3."""
    codes = value_signature([1, 1, 2], ["a", "bb", "ccc"])
    assert codes[NUMBER] == [ALL_FALSE, MIXED, MIXED, ALL_FALSE, ALL_TRUE, ALL_FALSE, ALL_FALSE]
    assert codes[NUMBER_TO_OUTPUT] == [MIXED, ALL_TRUE, MIXED, MIXED, ALL_FALSE, ALL_TRUE, ALL_TRUE]


def test_length_and_parts():
    """206 codes: 46 for each of three inputs, 22 for the output, 46 for the value."""
    rows, outputs, vector = [("a", "b"), ("c", "d")], ["x", "y"], (1, 2)
    codes = property_signature(rows, outputs, vector)
    assert len(codes) == 206
    assert codes[:160] == example_signature(rows, outputs)
    assert codes[160:] == value_signature(vector, outputs)
    assert codes[:46] == value_signature(("a", "c"), outputs)
    assert codes[46:92] == value_signature(("b", "d"), outputs)
    assert codes[138:160] == value_signature(outputs, outputs)[:22]


def test_what_is_absent_is_a_mismatch_throughout():
    """An input slot that the task does not use, and the value when there is none."""
    codes = property_signature([("a",)], ["b"], None)
    assert set(codes[46:138]) == {TYPE_MISMATCH}
    assert codes[160:] == [TYPE_MISMATCH] * 46


def test_what_has_no_signature():
    with pytest.raises(ValueError, match="4 input columns; a signature has room for 3"):
        example_signature([("a", "b", "c", "d")], ["x"])
    with pytest.raises(TypeError, match="must be texts"):
        example_signature([(1,)], ["x"])


vectors = st.one_of(
    st.lists(st.tuples(cells(), cells()), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(-99, 99), cells()), min_size=1, max_size=4),
    st.lists(st.tuples(st.booleans(), cells()), min_size=1, max_size=4),
)


@given(pairs=vectors)
def test_a_vectors_codes_follow_from_its_examples(pairs):
    """Mixed where two examples differ, else what every one has."""
    vector, outputs = zip(*pairs, strict=True)
    each = np.array([value_signature([value], [output]) for value, output in pairs])
    wanted = np.where((each == each[0]).all(axis=0), each[0], MIXED)
    assert value_signature(vector, outputs) == wanted.tolist()
