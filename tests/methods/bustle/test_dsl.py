"""The language: its operations and their order, and expressions as text."""

from expressions import parse

from rostra.methods.bustle.dsl import OPERATIONS, Call, Constant, Input, renumbered, result_type, weight

NAMED = {(operation.name, len(operation.arguments)): operation for operation in OPERATIONS}


def test_operations_stand_in_the_papers_order():
    """22, by the names of the authors' methods, then by arity."""
    names = [(operation.name, len(operation.arguments)) for operation in OPERATIONS]
    java = {"IF": "iF", "TO_TEXT": "toText"}
    assert len(names) == 22
    assert names == sorted(names, key=lambda name: (java.get(name[0], name[0].lower()).lower(), name[1]))


def test_expressions_as_text():
    """Quotes are doubled; numbers are bare; inputs count from 0."""
    expression = Call(NAMED["REPLACE", 4], (Input(0), Constant(1), Call(NAMED["LEN", 1], (Input(1),)), Constant('"')))
    assert str(expression) == 'REPLACE(var_0, 1, LEN(var_1), """")'
    assert parse(str(expression)) == expression
    assert weight(expression) == 6
    assert result_type(expression) == "str"
    assert result_type(Constant(3)) == "int"
    assert result_type(Input(0)) == "str"
    assert result_type(Call(NAMED["EXACT", 2], (Input(0), Input(1)))) == "bool"


def test_inputs_are_renumbered():
    """Everywhere in an expression, and nothing else."""
    expression = Call(NAMED["CONCATENATE", 2], (Input(1), Call(NAMED["LEFT", 2], (Input(0), Constant(1)))))
    assert str(renumbered(expression, [4, 2])) == "CONCATENATE(var_2, LEFT(var_4, 1))"
