"""The search in plain Python, against counts of the paper's program and rules worked out by hand."""

import math

import numpy as np
import pytest
from expressions import cells
from hypothesis import given
from hypothesis import strategies as st

from rostra.methods.bustle.cases import OFFICIAL_CASES
from rostra.methods.bustle.dsl import OPERATIONS, weight
from rostra.methods.bustle.generation import UNREACHABLE_OUTPUTS, random_rows
from rostra.methods.bustle.reference import compositions, heuristic_weight, levenshtein, search
from rostra.methods.bustle.result import make_task
from rostra.methods.bustle.semantics import evaluate
from rostra.methods.bustle.signatures import value_signature

CASES = {case.task.name: case for case in OFFICIAL_CASES}
DATES = CASES["dateTransformation2"].task.inputs, CASES["dateTransformation2"].task.outputs
FAR = [("ab", "12"), ("cd", "34")], ["q9", "z7"]


@pytest.mark.parametrize("name", ["dateTransformation2", "stringLength"])
def test_the_authors_cases(name):
    """Expression, weight and counts, exactly; a wrong order of operations or constants shows at once."""
    case = CASES[name]
    result = search(case.task.inputs, case.task.outputs, official=True)
    assert (str(result.expression), result.weights, result.reason) == (case.expression, (case.weight,), "solved")
    assert (result.tried, result.unique) == (case.tried, case.unique)
    assert result.found_at == (case.tried,)
    assert result.weight == weight(result.expression) == case.weight


def test_heuristics_shorten_the_search():
    """Counts of the paper's program."""
    result = search(*DATES, heuristics=True, official=True)
    assert (str(result.expression), result.tried, result.unique) == ('SUBSTITUTE(var_0, "-", "/")', 744, 92)


def test_ways_to_share_a_weight():
    """In ascending lexicographic order; every part is positive."""
    assert list(compositions(5, 3)) == [(1, 1, 3), (1, 2, 2), (1, 3, 1), (2, 1, 2), (2, 2, 1), (3, 1, 1)]
    assert list(compositions(3, 1)) == [(3,)]
    assert list(compositions(2, 2)) == [(1, 1)]
    assert list(compositions(2, 3)) == list(compositions(0, 1)) == []


@given(total=st.integers(0, 12), parts=st.integers(1, 4))
def test_all_ways_to_share_a_weight(total, parts):
    found = list(compositions(total, parts))
    assert found == sorted(set(found))
    assert all(sum(parts) == total and min(parts) > 0 for parts in found)
    assert len(found) == (math.comb(total - 1, parts - 1) if total else 0)


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("kitten", "sitting", 3), ("ab", "ba", 2), ("é", "e", 1)],
)
def test_edit_distance(a, b, edits):
    assert levenshtein(a, b) == edits


@pytest.mark.parametrize(
    ("results", "outputs", "added"),
    [
        (["abc", "d"], ["abc", "d"], 0),  # 1 - 2, and never below the weight
        (["", ""], ["abc", "d"], 2),  # D = 1: 1 + 3 - 2
        (["xyz"], ["abc"], 3),  # D = 2 * 3 / 9, no part of it: 1 + 2
        (["xxxxxx"], ["a"], 3),  # D = 12 / 13
        (["x"], [""], 4),  # D = 1
        (["abcx"], ["abc"], 1),  # D = 2 / 8
        (["ab"], ["abc"], 0),  # a part of it: 1 + 0 - 2
        (["ab", "xy"], ["abc", "xyz"], 0),
        (["ab", "xx"], ["abc", "xyz"], 2),  # a part of one only; the larger distance counts: 2 * 2 / 7
        ([""], [""], 0),  # two empty texts do not differ
        (["", "a"], ["", "a"], 0),
    ],
)
def test_heuristic_weights(results, outputs, added):
    assert [heuristic_weight(results, outputs, weight) for weight in (2, 9)] == [2 + added, 9 + added]


@given(pairs=st.lists(st.tuples(cells(), cells()), min_size=1, max_size=3), weight=st.integers(2, 99))
def test_the_heuristic_never_lowers_a_weight(pairs, weight):
    """And adds 4 at most."""
    results, outputs = zip(*pairs, strict=True)
    assert weight <= heuristic_weight(results, outputs, weight) <= weight + 4
    assert heuristic_weight(outputs, outputs, weight) == weight


def test_values_of_weight_one():
    """Inputs, the constants of every search, extracted ones, the user's; duplicates among them stay but the user's."""
    task = make_task([("-", "ab-"), ("-", "ab+")], ["x", "y"], ["new", 7, "-", "new", 99])
    assert [str(leaf) for leaf in task.leaves] == (
        ["var_0", "var_1", '""', "0", "1", "2", "3", "99", '"+"', '"-"', '"ab"', '"new"', "7"]
    )
    assert task.vectors[0] == task.vectors[9] == ("-", "-")
    assert task.vectors[-1] == (7, 7)


@pytest.mark.parametrize(("rows", "outputs"), [([], []), ([("a",)], ["b", "c"])])
def test_tasks_that_are_none(rows, outputs):
    with pytest.raises(ValueError, match="give at least one of each, as many"):
        make_task(rows, outputs)


def test_duplicates_count_once():
    """An input that equals a constant is one vector; 1, "1" and truth are three."""
    task = make_task([("-",), ("-",)], ["x", "y"])
    result = search(task.rows, task.outputs, max_expressions=1)
    assert len(task.leaves) == 8
    assert result.unique == 7 + (len(result.values) - 8)
    kinds = {repr(result.values.vector(i)): result.values.type(i) for i in range(len(result.values))}
    assert len(kinds) == result.unique
    longer = search([("1",), ("1",)], ["x", "y"], max_expressions=2000)
    assert {"(1, 1)", "('1', '1')", "(True, True)"} <= {
        repr(longer.values.vector(i)) for i in range(len(longer.values))
    }


@pytest.mark.parametrize("budget", [1, 2, 3, 50, 1066, 1067, 1068])
def test_a_search_ends_with_its_budget(budget):
    """Exactly; the last expression that it pays for may be the solution."""
    result = search(*DATES, max_expressions=budget, official=True)
    solved = budget >= 1067
    assert result.tried == min(budget, 1067)
    assert result.reason == ("solved" if solved else "expressions")
    assert (result.expression is not None) == solved


def test_a_search_ends_with_its_time_or_when_told():
    assert search(*FAR, max_expressions=10**9, timeout=0.05).reason == "timeout"
    asked = []
    told = search(*FAR, max_expressions=10**9, stop=lambda: asked.append(0) or len(asked) > 20)
    assert (told.reason, len(asked)) == ("timeout", 21)
    assert 0 < told.tried < 10**6


def test_a_search_ends_with_the_largest_weight():
    result = search(*FAR, max_weight=4)
    assert (result.reason, result.weight, result.expression) == ("weight", 4, None)
    assert max(weight(result.values.expression(i)) for i in range(len(result.values))) == 4


def test_an_input_that_is_the_output():
    """Is found before anything is tried; the authors' program finds a larger expression."""
    rows, outputs = [("a", "b"), ("c", "d")], ["b", "d"]
    result = search(rows, outputs)
    assert (str(result.expression), result.weights, result.found_at, result.tried) == ("var_1", (1,), (0,), 0)
    official = search(rows, outputs, official=True)
    assert str(official.expression) == "LOWER(var_1)"
    assert official.tried > 0


def test_a_constant_that_is_the_output():
    assert str(search([("a",), ("b",)], ["yes", "yes"]).expression) == '"yes"'
    assert str(search([("a",), ("b",)], ["x7", "x7"], constants=["x7"]).expression) == '"x7"'
    assert str(search([("a",)], [""]).expression) == '""'


def test_several_solutions():
    """Each is right, none is found twice or made of another one, and they come in the order found."""
    rows, outputs = DATES
    result = search(rows, outputs, n_solutions=3, max_expressions=300_000)
    written = [str(expression) for expression in result.solutions]
    assert len(set(written)) == 3
    assert written[0] == 'SUBSTITUTE(var_0, "-", "/")'
    assert list(result.found_at) == sorted(set(result.found_at))
    assert list(result.weights) == sorted(result.weights)
    assert not any(one != other and one in other for one in written for other in written)
    for expression in result.solutions:
        assert [evaluate(expression, row, "sheets-bustle") for row in rows] == outputs


def test_refused_solutions_are_passed_over():
    """Every one is asked about once, and the next one is taken."""
    plain = search(*DATES, n_solutions=3, max_expressions=300_000)
    asked = []

    def third(expression):
        asked.append(expression)
        return len(asked) == 3

    result = search(*DATES, accept=third, max_expressions=300_000)
    assert asked == list(plain.solutions[:3])
    assert result.solutions == plain.solutions[2:3]
    assert result.found_at == plain.found_at[2:3]


def test_operations_may_be_left_out():
    """They come in the language's order, whatever order they are named in."""
    few = [operation for operation in OPERATIONS if operation.name in ("CONCATENATE", "LEN", "LEFT")]
    one, other = (search(*FAR, operations=named, max_expressions=5000) for named in (few, few[::-1]))
    used = {OPERATIONS[number].name for number in one.values.operations if number >= 0}
    assert used == {"CONCATENATE", "LEN", "LEFT"}
    assert one.values.operations.tolist() == other.values.operations.tolist()
    assert (one.tried, one.unique) == (other.tried, other.unique)


@given(seed=st.integers(0, 2**32))
def test_values_are_distinct_and_small_enough(seed):
    """No vector twice, no text of 99 characters, no number of three digits; each has the value that its text says."""
    rows = random_rows(np.random.default_rng(seed))
    result = search(rows, UNREACHABLE_OUTPUTS[: len(rows)], max_expressions=3000)
    values = result.values
    leaves = len(values.leaves)
    vectors = [values.vector(i) for i in range(len(values))]
    assert len({repr(vector) for vector in vectors}) == result.unique
    assert len({repr(vector) for vector in vectors[leaves:]}) == len(vectors) - leaves
    for i in range(leaves, len(values), 7):
        assert all(len(x) < 99 if isinstance(x, str) else abs(x) < 100 for x in vectors[i])
        assert vectors[i] == tuple(evaluate(values.expression(i), row, "sheets-bustle") for row in rows)


def test_a_model_that_adds_nothing_changes_nothing():
    """Bit by bit: counts, values and their order."""
    for heuristics in (False, True):
        plain = search(*FAR, max_expressions=5000, heuristics=heuristics)
        scored = search(*FAR, max_expressions=5000, heuristics=heuristics, reweight=lambda new: np.zeros(len(new), int))
        assert (plain.tried, plain.unique, plain.weight) == (scored.tried, scored.unique, scored.weight)
        np.testing.assert_array_equal(plain.values.operations, scored.values.operations)
        np.testing.assert_array_equal(plain.values.arguments, scored.values.arguments)


def test_the_model_is_asked_about_each_new_value_once():
    """Level by level, with signatures; inputs and constants are not asked about."""
    seen = []

    def reweight(new):
        codes, which = new.signatures()
        assert codes[which].tolist() == [value_signature(new.vector(i), FAR[1]) for i in range(len(new))]
        seen.append((new.level, [new.vector(i) for i in range(len(new))]))
        return np.zeros(len(new), int)

    result = search(*FAR, max_expressions=5000, reweight=reweight)
    assert [level for level, _ in seen] == list(range(2, result.weight))
    vectors = [vector for _, vectors in seen for vector in vectors]
    leaves = len(result.values.leaves)
    assert vectors == [result.values.vector(i) for i in range(leaves, leaves + len(vectors))]


def test_weight_that_the_model_adds_delays():
    """What gets 3 more is not built on before the level that much later."""
    result = search(*FAR, max_expressions=10**6, max_weight=5, reweight=lambda new: np.full(len(new), 3))
    # Level 6 would be the first to use a value of level 2.
    leaves = len(result.values.leaves)
    assert max(result.values.arguments.ravel()) < leaves


def test_a_part_of_the_budget_for_the_model():
    """After it, weights are no longer changed."""
    levels = []

    def reweight(new):
        levels.append(new.level)
        return np.zeros(len(new), int)

    spent = search(*FAR, max_weight=3).tried
    search(*FAR, max_expressions=2 * spent, reweight=reweight, reweighting_fraction=0.5)
    assert levels == [2, 3]
    levels.clear()
    search(*FAR, max_expressions=2 * spent, reweight=reweight, reweighting_fraction=0.49)
    assert levels == [2]
