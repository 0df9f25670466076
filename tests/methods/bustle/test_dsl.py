"""What can be written in the language, and how."""

import pytest
from expressions import BY_ARITY, expressions, parse
from hypothesis import given

from rostra.methods.bustle.dsl import CONSTANTS, OPERATIONS, Call, Constant, Input, renumbered, result_type, weight

JAVA_NAMES = {"IF": "iF", "TO_TEXT": "toText"}
"""Names of the authors' methods; the others are the spreadsheet's in lower case."""


def test_order_of_the_operations():
    """Alphabetical by the name of the authors' Java method, then by the number of arguments."""
    names = [(JAVA_NAMES.get(o.name, o.name.lower()), len(o.arguments)) for o in OPERATIONS]
    assert len(set(names)) == len(OPERATIONS) == 22
    assert names == sorted(names, key=lambda name: (name[0].lower(), name[1]))
    assert " ".join(o.name for o in OPERATIONS) == (
        "ADD CONCATENATE EXACT FIND FIND GT GTE IF LEFT LEN LOWER MID MINUS PROPER REPLACE REPT RIGHT "
        "SUBSTITUTE SUBSTITUTE TO_TEXT TRIM UPPER"
    )


def test_constants_of_every_search():
    assert CONSTANTS == ("", 0, 1, 2, 3, 99)
    assert [type(constant) for constant in CONSTANTS] == [str, int, int, int, int, int]


@pytest.mark.parametrize(
    ("expression", "text", "size", "kind"),
    [
        (Input(0), "var_0", 1, "str"),
        (Input(12), "var_12", 1, "str"),
        (Constant(""), '""', 1, "str"),
        (Constant('say "hi"'), '"say ""hi"""', 1, "str"),
        (Constant('"'), '""""', 1, "str"),
        (Constant("a\nb"), '"a\nb"', 1, "str"),
        (Constant(99), "99", 1, "int"),
        (Constant("99"), '"99"', 1, "str"),
        (Call(BY_ARITY["LEN", 1], (Input(0),)), "LEN(var_0)", 2, "int"),
        (Call(BY_ARITY["GT", 2], (Constant(1), Constant(2))), "GT(1, 2)", 3, "bool"),
        (
            Call(BY_ARITY["IF", 3], (Call(BY_ARITY["EXACT", 2], (Input(0), Input(1))), Constant("yes"), Constant(""))),
            'IF(EXACT(var_0, var_1), "yes", "")',
            6,
            "str",
        ),
    ],
)
def test_text_weight_and_type(expression, text, size, kind):
    """Quotes within a constant are doubled; every input, constant and operation weighs 1."""
    assert str(expression) == text
    assert weight(expression) == size
    assert result_type(expression) == kind


@given(expression=expressions(kind=None, depth=4))
def test_the_text_can_be_read_again(expression):
    """It is the whole expression, and its weight is one for each name, number and constant in it."""
    again = parse(str(expression))
    assert again == expression
    assert weight(again) == weight(expression)


def test_inputs_are_renumbered():
    """Everywhere in an expression, and nothing else."""
    expression = Call(BY_ARITY["CONCATENATE", 2], (Input(1), Call(BY_ARITY["LEFT", 2], (Input(0), Constant(1)))))
    assert str(renumbered(expression, [4, 2])) == "CONCATENATE(var_2, LEFT(var_4, 1))"
