"""The evaluator of formula text agrees with the language, and knows Excel where the language is silent."""

import pytest
from expressions import cells, expressions
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rostra.methods.bustle.evaluator import FormulaError, evaluate_formula
from rostra.methods.bustle.formulas import to_excel, to_sheets
from rostra.methods.bustle.semantics import EvaluationError, evaluate


@pytest.mark.parametrize("written", [to_excel, to_sheets])
@settings(max_examples=400)
@given(expression=expressions(kind=None, depth=4), row=st.tuples(cells(), cells()))
def test_formula_text_means_what_the_expression_means(written, expression, row):
    try:
        expected = evaluate(expression, row, "excel")
    except EvaluationError:
        assume(False)
    found = evaluate_formula(written(expression), {"A2": row[0], "B2": row[1]})
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("=A2", 0),  # an empty cell
        ('=A2&""', ""),
        ("=IF(1>0,A2,1)", 0),
        ("=LEN(A2)", 0),
        ("= 1 + 2 - 4 ", -1),
        ("=7-2-1", 4),
        ("=7-(2-1)", 6),
        ("=-LEN(B2)", -5),
        ('="a"&1+2&"b"', "a3b"),
        ("=1+1=2", True),
        ('=IF(2>=2,"yes",LEFT("a",-1))', "yes"),  # the other branch is not worked out
        ("=TRUE", True),
        ('=CONCATENATE("a",B2,1>2)', "aaXaXaFALSE"),
        ('=LEN("😀")', 2),
        ('=FIND("b","😀b")', 3),
        ('=MID("😀b",1,2)', "😀"),
        ('=FIND("",B2,6)', 6),
        ('=SUBSTITUTE("AAAAA","AA","X",2)', "AAXA"),
        ('=SUBSTITUTE("AAAAA","AA","X",3)', "AAAAA"),
        ('=SUBSTITUTE("abc","","x")', "abc"),
        ('=TRIM("  a   b ")', "a b"),
        ('=PROPER("o\'neil 2b STRASSE")', "O'Neil 2B Strasse"),
        ('=TEXT(-3,"0")', "-3"),
        ('="a"&CHAR(10)&"""b"""', 'a\n"b"'),
        ("=LEFT($B$2)", "a"),
        ("=GTE(ADD(1,1),MINUS(5,3))", True),
    ],
)
def test_what_excel_does(formula, value):
    found = evaluate_formula(formula, {"B2": "aXaXa"})
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("1+1", "begins with '='"),
        ("=1+", "found 'the end'"),
        ("=LEFT(A2,1", "expected \\) and found 'the end'"),
        ("=(1))", "expected the end and found '\\)'"),
        ('="open', "cannot read"),
        ("=A1:B2", "cannot read"),
        ("=NOW(1)", "no function NOW of 1 arguments"),
        ("=LEFT(A2,1,2)", "no function LEFT of 3 arguments"),
        ('=SUBSTITUTE("a","a","b",0)', "0 where at least 1 is needed"),
        ('=FIND("z","abc")', "'z' is not in 'abc'"),
        ('=FIND("","abc",5)', "is not in"),
        ('=MID("abc",0,1)', "#VALUE!"),
        ('=LEFT("abc",-1)', "#VALUE!"),
        ('=REPT("abc",99999)', "more than 32767 characters"),
        ('=LEFT("abc","x")', "'x' stands where a number belongs"),
        ('="a"="A"', "comparing texts is not supported"),
        ('=TEXT(1,"0.00")', "format"),
        ("=CHAR(228)", "CHAR\\(228\\) is not supported"),
        ('=IF("x",1,2)', "no truth value"),
    ],
)
def test_formulas_without_a_value(formula, message):
    with pytest.raises(FormulaError, match=message):
        evaluate_formula(formula, {})
