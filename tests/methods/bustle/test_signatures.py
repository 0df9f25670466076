"""Property signatures, property by property."""

import pytest

from rostra import Bustle
from rostra.methods.bustle.signatures import (
    ALL_FALSE,
    ALL_TRUE,
    EXAMPLE_CODES,
    MIXED,
    TYPE_MISMATCH,
    VALUE_CODES,
    example_signature,
    property_signature,
    value_signature,
)

TEXT = (
    "empty", "one", "up to five", "lower", "upper", "space", "comma", "point", "dash", "slash", "digit", "digits",
    "letter", "letters",
)  # fmt: skip
NUMBER = ("0", "1", "2", "negative", "to 3", "to 9", "above 9")
COMPARED = ("in", "starts", "ends", "has", "started", "ended")


def single(value):
    """Which of a single value's own properties hold."""
    codes = value_signature([value], ["out"])[:22]
    names = [*TEXT, *NUMBER, "true"]
    return {name for name, code in zip(names, codes, strict=True) if code == ALL_TRUE}


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        ("", {"empty", "up to five", "lower", "upper"}),
        ("a", {"one", "up to five", "lower", "letter", "letters"}),
        ("AB-12", {"up to five", "upper", "dash", "digit", "letter"}),
        ("12345678", {"lower", "upper", "digit", "digits"}),
        ("a b,c.d/e", {"lower", "space", "comma", "point", "slash", "letter"}),
        ("x\n1", {"up to five", "lower", "digit", "letter"}),
        (0, {"0"}),
        (1, {"1", "to 3"}),
        (2, {"2", "to 3"}),
        (3, {"to 3"}),
        (9, {"to 9"}),
        (10, {"above 9"}),
        (-1, {"negative"}),
        (True, {"true"}),
        (False, set()),
    ],
)
def test_a_values_own_properties(value, holds):
    """By hand; those of other types are a mismatch, and a truth value is no number."""
    assert single(value) == holds
    codes = value_signature([value], ["out"])
    mine = {str: slice(0, 14), int: slice(14, 21), bool: slice(21, 22)}
    for kind, place in mine.items():
        assert (set(codes[place]) == {TYPE_MISMATCH}) == (kind is not type(value))


def test_a_text_against_the_output():
    """Parts, starts and ends, both ways, with and without case; equality; lengths."""
    codes = value_signature(["AB"], ["xab"])[22:39]
    plain, folded, rest = codes[:6], codes[6:12], codes[12:]
    assert plain == [ALL_FALSE] * 6
    assert folded == [ALL_TRUE, ALL_FALSE, ALL_TRUE, ALL_FALSE, ALL_FALSE, ALL_FALSE]
    assert rest == [ALL_FALSE, ALL_FALSE, ALL_FALSE, ALL_TRUE, ALL_FALSE]
    assert value_signature(["ab"], ["ab"])[22:39] == [ALL_TRUE] * 15 + [ALL_FALSE] * 2


@pytest.mark.parametrize(
    ("number", "holds"), [(1, [1, 1, 0, 0, 0, 0, 1]), (3, [1, 1, 0, 0, 0, 1, 1]), (4, [0, 1, 1, 1, 0, 1, 1]),
                          (5, [0, 0, 0, 1, 1, 1, 1]), (8, [0, 0, 0, 1, 1, 0, 0])],
)  # fmt: skip
def test_a_number_against_the_outputs_length(number, holds):
    """Below, at most, equal, at least, above, within 1 and within 3 of 4 characters."""
    codes = value_signature([number], ["abcd"])[39:]
    assert codes == [ALL_TRUE if hold else ALL_FALSE for hold in holds]


def test_outcomes_over_examples():
    """All, none, some."""
    assert value_signature(["a", "b"], ["x", "y"])[1] == ALL_TRUE
    assert value_signature(["ab", "bc"], ["x", "y"])[1] == ALL_FALSE
    assert value_signature(["a", "bc"], ["x", "y"])[1] == MIXED


def test_lengths_and_absent_columns():
    """206 codes; two of three input slots are a mismatch where there is one column; no value is one too."""
    rows, outputs = [("a",), ("b",)], ["A", "B"]
    assert (EXAMPLE_CODES, VALUE_CODES) == (160, 46)
    assert len(property_signature(rows, outputs, ["a", "b"])) == 206
    examples = example_signature(rows, outputs)
    assert set(examples[46:138]) == {TYPE_MISMATCH}
    assert examples[:46] == value_signature(["a", "b"], outputs)
    assert examples[138:] == value_signature(outputs, outputs)[:22]
    assert set(value_signature(None, outputs)) == {TYPE_MISMATCH}


def test_more_than_three_columns_have_no_signature():
    """The caller chooses which three; see nearest_columns."""
    with pytest.raises(ValueError, match="4 input columns"):
        example_signature([("a", "b", "c", "d")], ["x"])
    with pytest.raises(TypeError, match="must be texts"):
        example_signature([(1,)], ["x"])
    assert Bustle(model="default").scorer is not None
