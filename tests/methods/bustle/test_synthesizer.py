"""What a user holds: formulas that are right on every example, or one clear line."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra import Bustle, synthesize
from rostra.engine.errors import InputError
from rostra.methods.bustle.evaluator import evaluate_formula
from rostra.methods.bustle.semantics import EvaluationError, evaluate
from rostra.methods.bustle.synthesizer import SynthesisFailure, check_examples

NAMES = ["Ada Lovelace", "Alan Turing"]
TINY = {"max_expressions": 20_000, "timeout": None, "compiled": False}


def test_a_formula_for_a_column():
    """Found, right on new rows, and readable in four languages."""
    program = synthesize(NAMES, ["Lovelace", "Turing"], compiled=False)
    assert program.run(NAMES) == ["Lovelace", "Turing"]
    assert program.run(["Grace Hopper", "Emmy Noether"]) == ["Hopper", "Noether"]
    namespace = {}
    exec(program.to_python(), namespace)
    assert namespace["formula"]("Grace Hopper") == "Hopper"
    formula = program.to_excel(columns=["C"], row=7)
    assert formula.startswith("=")
    assert evaluate_formula(formula, {"C7": "Grace Hopper"}) == "Hopper"
    assert "C7" in program.to_sheets(columns=["C"], row=7)
    assert program.weight <= 9
    assert program.stats.tried > 0
    assert not program.stats.compiled


@pytest.mark.parametrize(
    "inputs",
    [
        [("a", "b"), ("c", "d")],
        np.array([["a", "b"], ["c", "d"]]),
        np.array([["a", "b"], ["c", "d"]], dtype=object),
        pd.DataFrame({"x": ["a", "c"], "y": ["b", "d"]}),
        (["a", "b"], ["c", "d"]),
    ],
)
@pytest.mark.parametrize("outputs", [["ab", "cd"], np.array(["ab", "cd"]), pd.Series(["ab", "cd"])])
def test_tables_of_every_kind(inputs, outputs):
    """Lists, tuples, arrays and frames hold the same examples."""
    program = synthesize(inputs, outputs, model=None, **TINY)
    assert str(program) == "CONCATENATE(var_0, var_1)"


def test_a_polars_frame():
    """Where polars is installed."""
    polars = pytest.importorskip("polars", reason="needs polars")
    frame = polars.DataFrame({"x": ["a", "c"], "y": ["b", "d"]})
    assert str(synthesize(frame, ["ab", "cd"], model=None, **TINY)) == "CONCATENATE(var_0, var_1)"


def test_an_input_that_is_the_output_is_the_formula():
    """Nothing is searched."""
    program = synthesize([("x", "1"), ("y", "2")], ["1", "2"], **TINY)
    assert str(program) == "var_1"
    assert program.stats.tried == 0
    assert evaluate_formula(program.to_excel(), {"A2": "x", "B2": ""}) == ""


def test_missing_cells_leave_their_example_out():
    """None and NaN, in inputs or outputs."""
    rows, outputs = check_examples([("a",), (None,), ("c",), ("d",)], ["A", "B", float("nan"), "D"])
    assert rows == [("a",), ("d",)]
    assert outputs == ["A", "D"]


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([], [], "no complete example"),
        (["a"], [None], "no complete example"),
        (["a", "b"], ["A"], "2 rows of inputs and 1 outputs"),
        ([("a",), ("b", "c")], ["A", "B"], "row 2 of inputs has 2 cells, row 1 has 1"),
        ([("a", 7)], ["A"], "inputs: row 1, column 2 holds 7, no text; write it as text, or pass coerce='text'"),
        (["a"], [True], "outputs: row 1, column 1 holds True"),
        (["a", "b", "a"], ["A", "B", "X"], r"rows 1 and 3 have the same inputs \('a',\) and different outputs"),
        (["a"], ["x" * 99], "the output of row 1 has 99 characters; at most 98 can be made"),
        ([()], ["x"], "inputs have no columns"),
        ("abc", ["x"], "inputs must be a list with one entry for each row, got the text 'abc'"),
        (["a"], [("A", "B")], "outputs have 2 columns; there must be one"),
    ],
)
def test_examples_that_cannot_be_used(inputs, outputs, message):
    """One line that says where, and what would be right."""
    with pytest.raises(InputError, match=message):
        synthesize(inputs, outputs, **TINY)


def test_other_cells_become_text_on_request():
    """coerce="text" writes them as Python does."""
    program = synthesize([(1.5,), (2,)], ["1.5", "2"], coerce="text", **TINY)
    assert str(program) == "var_0"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_expressions": 0}, "max_expressions must be at least 1, got 0"),
        ({"timeout": 0}, "timeout must be above 0 seconds, got 0"),
        ({"dialect": "lotus"}, "dialect must be 'excel' or 'sheets-bustle', got 'lotus'"),
        ({"constants": [1.5]}, "constants must be texts or whole numbers, got 1.5"),
        ({"model": "no/such/folder"}, "does not exist"),
    ],
)
def test_settings_that_cannot_be_used(settings, message):
    """Said before any search."""
    with pytest.raises(InputError, match=message):
        Bustle(**settings)


def test_failure_tells_what_was_tried():
    """By an exception with its counts, or None on request."""
    hopeless = {"inputs": ["a", "b"], "outputs": ["q9", "z7"], "max_expressions": 500, "compiled": False}
    with pytest.raises(SynthesisFailure, match=r"no formula found among 500 expressions in .* was used up") as caught:
        synthesize(**hopeless)
    assert caught.value.stats.tried == 500
    assert synthesize(**hopeless, on_failure="none") is None
    assert synthesize(**hopeless, on_failure="none", n_solutions=3) == []


def test_several_formulas_differ_on_the_unlabelled_rows():
    """Smallest first; those that agree on all further rows are one."""
    found = synthesize(["ab c", "de f"], ["c", "f"], n_solutions=3, unlabelled=["gh ij", "k l"], **TINY)
    behaviours = [tuple(program.run(["gh ij", "k l"])) for program in found]
    assert len(found) >= 2
    assert len(set(behaviours)) == len(found)
    assert all(program.run(["ab c", "de f"]) == ["c", "f"] for program in found)


def test_a_constant_of_the_users_own():
    """A text that no example shows twice is used when it is given."""
    examples = {"inputs": ["a", "b"], "outputs": ["a-x7q", "b-x7q"], "model": None}
    assert "x7q" in str(synthesize(**examples, constants=["x7q"], **TINY))


def test_only_the_operations_that_are_allowed_are_used():
    """Premise selection, or a user's own choice."""
    from rostra.methods.bustle.dsl import OPERATIONS

    few = [operation for operation in OPERATIONS if operation.name != "UPPER"]
    program = synthesize(["ab", "cd"], ["AB", "CD"], operations=few, on_failure="none", model=None, **TINY)
    assert program is None or "UPPER" not in str(program)


def test_a_formula_without_a_value_gives_none_or_raises():
    """On rows that are unlike the examples."""
    program = synthesize(NAMES, ["Lovelace", "Turing"], compiled=False)
    assert program.run(["Plato"]) == [None]
    with pytest.raises(EvaluationError, match="has no value for \\('Plato',\\)"):
        program.run(["Plato"], errors="raise")
    with pytest.raises(InputError, match="row 1, column 1 is empty"):
        program.run([None])


def test_a_formula_that_the_evaluator_refuses_is_no_solution(monkeypatch):
    """With verify, the next one is taken; without, the first."""
    from rostra.methods.bustle import synthesizer

    seen = []

    def refuse_first(expression, rows, outputs):
        seen.append(str(expression))
        return len(seen) > 1

    monkeypatch.setattr(synthesizer, "_verified", refuse_first)
    second = synthesize(["ab c", "de f"], ["c", "f"], **TINY)
    first = synthesize(["ab c", "de f"], ["c", "f"], verify=False, **TINY)
    assert [str(first), str(second)] == seen


def test_more_than_three_inputs_are_searched_with_a_model():
    """The model looks at three of them; the formula may use any."""
    rows = [("p", "q", "r", "ab", "s"), ("t", "u", "v", "cd", "w")]
    program = synthesize(rows, ["AB", "CD"], **TINY)
    assert str(program) == "UPPER(var_3)"


@pytest.mark.parametrize("compiled", [False, True])
def test_time_is_kept(compiled):
    """A search that finds nothing ends with its time, give or take a tenth and the cost of a look at the clock."""
    if compiled:
        from rostra.methods.bustle import core

        core.warm_up()
    start = time.perf_counter()
    with pytest.raises(SynthesisFailure, match="the time was up") as caught:
        synthesize(["a1", "b2"], ["q9x", "z7y"], timeout=1.0, max_expressions=10**9, compiled=compiled)
    assert caught.value.stats.reason == "timeout"
    assert caught.value.stats.seconds < time.perf_counter() - start + 1e-6


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8)


@pytest.mark.parametrize("dialect", ["excel", "sheets-bustle"])
@given(rows=st.lists(st.tuples(texts, texts), min_size=1, max_size=3, unique=True), data=st.data())
def test_every_program_gives_all_examples(dialect, rows, data):
    """On random columns, Unicode and empty texts included, in either dialect."""
    make = data.draw(
        st.sampled_from([lambda a, b: a[:2], lambda a, b: f"{b}-{a}", lambda a, b: a.strip(), lambda a, b: b[-1:]])
    )
    outputs = [make(*row) for row in rows]
    program = synthesize(rows, outputs, dialect=dialect, on_failure="none", max_expressions=3000, compiled=False)
    if program is not None:
        assert [evaluate(program.expression, row, dialect) for row in rows] == outputs
        if dialect == "excel":
            formula = program.to_excel()
            assert [evaluate_formula(formula, {"A2": a, "B2": b}) for a, b in rows] == outputs


def test_an_applicable_formula_is_preferred_on_request():
    """One that rests on a word of the examples has no value elsewhere; a longer one has."""
    examples = {"inputs": ["Ada Lovelace", "Grace Hopper"], "outputs": ["Ada", "Grace"], "model": None}
    others = ["Alan Turing", "Emmy Noether", "José Núñez"]
    first = synthesize(**examples, compiled=False)
    assert first.run(others) == ["Alan", "Emmy", "José"] or None in first.run(others)
    program = synthesize(**examples, unlabelled=others, applicable=True, compiled=False)
    assert program.run(others).count(None) <= 1
    hopeless = synthesize(["a-1", "b-2"], ["a", "b"], unlabelled=["x"] * 3, applicable=True, **TINY)
    assert hopeless.run(["c-3"]) == ["c"]
