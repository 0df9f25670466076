"""Formulas and Python functions say what the expression says."""

import subprocess
import sys

import pytest
from expressions import cells, expressions, parse
from hypothesis import given
from hypothesis import strategies as st

from rostra.engine.errors import InputError
from rostra.methods.bustle.dsl import Constant, Input
from rostra.methods.bustle.formulas import column_letters, to_excel, to_python, to_sheets
from rostra.methods.bustle.semantics import EvaluationError, evaluate

JOINED = 'CONCATENATE(CONCATENATE(LEFT(var_0, 1), ". "), var_1)'


@pytest.mark.parametrize(
    ("expression", "excel", "sheets"),
    [
        ('SUBSTITUTE(var_0, "-", "/")', '=SUBSTITUTE(A2,"-","/")', '=SUBSTITUTE(A2,"-","/")'),
        (JOINED, '=LEFT(A2,1)&". "&B2', '=LEFT(A2,1)&". "&B2'),
        (
            'LEFT(var_0, MINUS(FIND("@", var_0), 1))',
            '=LEFT(A2,FIND("@",A2)-1)',
            '=LEFT(A2,MINUS(FIND("@",A2),1))',
        ),
        ("MINUS(1, ADD(2, 3))", "=1-(2+3)", "=MINUS(1,ADD(2,3))"),
        ("ADD(MINUS(1, 2), 3)", "=1-2+3", "=ADD(MINUS(1,2),3)"),
        (
            'IF(GT(LEN(var_0), 3), var_0, "short")',
            '=IF(LEN(A2)>3,A2&"","short")',
            '=IF(GT(LEN(A2),3),A2&"","short")',
        ),
        ("GTE(LEN(var_0), ADD(1, 2))", "=LEN(A2)>=1+2", "=GTE(LEN(A2),ADD(1,2))"),
        ("TO_TEXT(LEN(var_0))", '=TEXT(LEN(A2),"0")', "=TO_TEXT(LEN(A2))"),
        ('SUBSTITUTE(var_0, "a", "b", 0)', '=SUBSTITUTE(A2,"a","b")', '=SUBSTITUTE(A2,"a","b")'),
        ('SUBSTITUTE(var_0, "a", "b", 2)', '=SUBSTITUTE(A2,"a","b",2)', '=SUBSTITUTE(A2,"a","b",2)'),
        ('CONCATENATE("say ""hi""", var_0)', '="say ""hi"""&A2', '="say ""hi"""&A2'),
        ("var_0", '=A2&""', '=A2&""'),
        ('CONCATENATE(var_0, "")', '=A2&""', '=A2&""'),
    ],
)
def test_how_formulas_are_written(expression, excel, sheets):
    assert to_excel(parse(expression)) == excel
    assert to_sheets(parse(expression)) == sheets


def test_columns_and_row():
    assert to_excel(parse(JOINED), columns=["AA", "$C"], row=17) == '=LEFT(AA17,1)&". "&$C17'


def test_control_characters_are_written_by_number():
    assert to_excel(parse('FIND("a\n\tb", var_0)')) == '=FIND("a"&CHAR(10)&CHAR(9)&"b",A2)'


def test_long_constants_are_written_in_pieces():
    """Excel accepts no text constant of more than 255 characters."""
    assert to_excel(Constant("a" * 256)) == '="' + "a" * 255 + '"&"a"'


def test_column_letters():
    assert [column_letters(index) for index in (0, 25, 26, 701, 702, 16383)] == ["A", "Z", "AA", "ZZ", "AAA", "XFD"]
    with pytest.raises(InputError, match="column 16385 is none of a spreadsheet"):
        column_letters(16384)


def nested(operation, times):
    text = "var_0"
    for _ in range(times):
        text = operation.format(text)
    return parse(text)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: to_excel(parse(JOINED), columns=["A"]), "the formula needs the columns of 2 inputs, got 1: A"),
        (lambda: to_excel(Input(0), columns=["XFE"]), "'XFE' is no column of a spreadsheet"),
        (lambda: to_sheets(Input(0), columns=["name"]), "'name' is no column of a spreadsheet"),
        (lambda: to_excel(Input(0), row=0), "row 0 is none of a spreadsheet; give a number from 1"),
        (lambda: to_excel(Constant("a\x00")), "holds a character that no spreadsheet stores"),
        (lambda: to_excel(nested("TRIM({})", 65)), "nests functions 65 deep, Excel allows 64"),
        (lambda: to_excel(Constant("a" * 8200)), "characters, Excel allows 8192"),
        (lambda: to_sheets(Constant("a" * 50_001)), "a cell of Google Sheets holds 50000"),
        (lambda: to_python(Input(1), inputs=1), "the expression has 2 inputs, got inputs=1"),
        (lambda: to_python(Input(0), name="left"), "'left' cannot name the function"),
        (lambda: to_python(Input(0), name="1st"), "'1st' cannot name the function"),
        (lambda: to_python(Input(0), name="str"), "'str' cannot name the function"),
    ],
)
def test_what_cannot_be_written(call, message):
    with pytest.raises(InputError) as error:
        call()
    assert message in str(error.value)


def test_deepest_nesting_is_allowed():
    to_excel(nested("TRIM({})", 64))
    to_excel(nested('CONCATENATE({}, "x")', 300))  # joined texts do not nest


def run(source, row, name="formula"):
    space = {}
    exec(source, space)
    return space[name](*row)


@pytest.mark.parametrize("dialect", ["excel", "sheets-bustle"])
@given(expression=expressions(kind=None, depth=4), row=st.tuples(cells(), cells()))
def test_python_does_what_the_expression_does(dialect, expression, row):
    try:
        expected = evaluate(expression, row, dialect)
    except EvaluationError:
        expected = None
    found = run(to_python(expression, dialect=dialect, inputs=2), row)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("dialect", ["excel", "sheets-bustle"])
@pytest.mark.parametrize("operation", ["LOWER", "UPPER", "PROPER"])
def test_python_knows_every_letter(dialect, operation):
    expression = parse(f"{operation}(var_0)")
    space = {}
    exec(to_python(expression, dialect=dialect), space)
    for code in (*range(0xD800), *range(0xE000, 0x20000)):
        try:
            expected = evaluate(expression, [chr(code)], dialect)
        except EvaluationError:
            expected = None
        assert space["formula"](chr(code)) == expected, hex(code)


def test_python_source_stands_alone():
    """It runs without this package, and holds only the helpers that it needs."""
    source = to_python(parse('PROPER(LEFT(var_0, MINUS(FIND("@", var_0), 1)))'), name="local_part")
    finished = subprocess.run(
        [sys.executable, "-I", "-c", source + "\nprint(local_part('ada.lovelace@x.org'), local_part('nobody'))"],
        capture_output=True,
        text=True,
    )
    assert finished.stdout == "Ada.Lovelace None\n", finished.stderr
    assert "rostra" not in source
    assert "def rept" not in source
    assert to_python(parse("CONCATENATE(var_0, var_1)")).startswith("def formula(var_0, var_1):")


def test_python_comes_out_the_same_every_time():
    expression = parse('PROPER(SUBSTITUTE(TRIM(var_0), "-", "/", 2))')
    assert to_python(expression) == to_python(expression)
