"""What "excel" means is what LibreOffice does, formula for formula, and what this package's evaluator does."""

import random

import pytest
from expressions import TEXTS, random_expression
from libreoffice import NO_SOFFICE, SOFFICE, calculate

from rostra.methods.bustle.dsl import OPERATIONS, Call, Constant, Input
from rostra.methods.bustle.evaluator import evaluate_formula
from rostra.methods.bustle.formulas import to_excel
from rostra.methods.bustle.semantics import EvaluationError, apply, evaluate

pytestmark = pytest.mark.skipif(SOFFICE is None, reason=NO_SOFFICE)


def value(expression, row):
    try:
        return evaluate(expression, row, "excel")
    except EvaluationError:
        return None


def check(programs, folder):
    """Every program's formula has in LibreOffice and in the evaluator the value that the program has."""
    expected = [value(expression, row) for expression, row in programs]
    assert None not in expected
    formulas = [to_excel(expression, row=number) for number, (expression, _) in enumerate(programs, start=1)]
    found = calculate([(row, formula) for (_, row), formula in zip(programs, formulas, strict=True)], folder)
    for number, (formula, (_, row), want, got) in enumerate(
        zip(formulas, programs, expected, found, strict=True), start=1
    ):
        here = {f"{column}{number}": text for column, text in zip("ABC", row, strict=False)}
        assert (got, type(got)) == (want, type(want)), f"{formula} of {row}"
        assert evaluate_formula(formula, here) == want


def test_random_programs(tmp_path):
    rng = random.Random(2021)
    programs = []
    while len(programs) < 3000:
        kind = rng.choice(("str", "str", "str", "int", "bool"))
        expression = random_expression(rng, kind, rng.choice((1, 2, 2, 3, 4)))
        row = [rng.choice(TEXTS), rng.choice(TEXTS)]
        if value(expression, row) is not None:
            programs.append((expression, row))
    check(programs, tmp_path)


def test_each_operation_on_small_arguments(tmp_path):
    """All operations, on all combinations of a few texts and numbers, the empty text and past the end among them."""
    texts = ("", "a", "aXaXa", "aa aaa ", "é1é")
    numbers = (0, 1, 2, 6, 99)
    programs = []
    for operation in OPERATIONS:
        kinds = operation.arguments
        combinations = [()]
        for kind in kinds:
            options = {"str": texts, "int": numbers, "bool": (True, False)}[kind]
            combinations = [(*combination, option) for combination in combinations for option in options]
        for combination in random.Random(operation.name + str(len(kinds))).sample(
            combinations, min(len(combinations), 200)
        ):
            expression = Call(operation, tuple(map(condition, combination)))
            if value(expression, ["a", ""]) is not None:
                programs.append((expression, ["a", ""]))
    assert {expression.operation for expression, _ in programs} == set(OPERATIONS)
    check(programs, tmp_path)


def condition(argument):
    """A constant; for truth values, which have none, a comparison."""
    if isinstance(argument, bool):
        greater = next(operation for operation in OPERATIONS if operation.name == "GT")
        return Call(greater, (Constant(int(argument)), Constant(0)))
    return Constant(argument)


LETTERS = [chr(code) for code in range(0x20, 0x3000)] + [
    chr(code) for code in (*range(0xA640, 0xA800), *range(0xFF00, 0xFFF0))
]


@pytest.mark.parametrize("name", ["LOWER", "UPPER", "PROPER"])
def test_case_of_every_letter(name, tmp_path):
    """Where the excel dialect gives another case, LibreOffice gives it too: alone, and inside words."""
    operation = next(operation for operation in OPERATIONS if operation.name == name)
    programs = []
    for letter in LETTERS:
        if letter.isprintable():
            for text in (letter, f"x{letter}x", f"-{letter}{letter}"):
                try:
                    apply(operation, [text], "excel")
                except EvaluationError:
                    continue
                programs.append((Call(operation, (Input(0),)), [text]))
    assert {"é", "Ł", "ş", "λ", "Ж", "ệ", "a"} <= {row[0] for _, row in programs}
    check(programs, tmp_path)
