"""The search in plain Python: what the paper's program does, small enough to read."""

import numpy as np
import pytest

from rostra.methods.bustle.cases import OFFICIAL_CASES
from rostra.methods.bustle.dsl import OPERATIONS
from rostra.methods.bustle.reference import compositions, heuristic_weight, levenshtein, search
from rostra.methods.bustle.semantics import evaluate

FAR = [("ab",), ("cd",)], ["q9", "z7"]
DATES = [("2019-11-23",), ("2020-03-07",)], ["2019/11/23", "2020/03/07"]


@pytest.mark.parametrize("case", OFFICIAL_CASES, ids=lambda case: case.task.name)
def test_the_authors_cases(case):
    """Expression, weight and counts; of the long ones only that nothing is found too early."""
    budget = 20_000
    result = search(case.task.inputs, case.task.outputs, max_expressions=budget, official=True)
    if case.tried <= budget:
        found = str(result.expression), result.weights[0], result.tried, result.unique
        assert found == (case.expression, case.weight, case.tried, case.unique)
    else:
        assert (result.expression, result.tried, result.reason) == (None, budget, "expressions")


def test_heuristics_shorten_the_search():
    """744 tried and 92 unique, by independent count; 1067 and 142 without."""
    result = search(*DATES, heuristics=True, official=True)
    assert (str(result.expression), result.tried, result.unique) == ('SUBSTITUTE(var_0, "-", "/")', 744, 92)


def test_ways_to_share_a_weight():
    """Ascending, all of them, positive parts."""
    assert list(compositions(5, 3)) == [(1, 1, 3), (1, 2, 2), (1, 3, 1), (2, 1, 2), (2, 2, 1), (3, 1, 1)]
    assert list(compositions(2, 3)) == []
    assert list(compositions(3, 1)) == [(3,)]


def test_heuristic_weights():
    """Never below the weight; less for parts of the output; the empty text gains 2; two empty texts differ by 0."""
    assert heuristic_weight(["abc"], ["abc"], 5) == 5
    assert heuristic_weight([""], ["abc"], 5) == 7
    assert heuristic_weight(["xyz"], ["abc"], 5) == 8
    assert heuristic_weight([""], [""], 5) == 5
    assert levenshtein("kitten", "sitting") == 3


def test_a_search_ends_with_its_budget():
    """Exactly, and with nothing found."""
    for budget in (1, 2, 17, 1000):
        result = search(*FAR, max_expressions=budget)
        assert (result.tried, result.reason, result.expression) == (budget, "expressions", None)


def test_a_search_ends_with_its_time_or_when_told():
    """Both count as a time-out."""
    assert search(*FAR, max_expressions=10**9, timeout=0.05).reason == "timeout"
    assert search(*FAR, max_expressions=10**9, stop=lambda: True).reason == "timeout"


def test_an_input_that_is_the_output():
    """Is found at once, except as the authors' program has it."""
    result = search([("a", "b")], ["b"], max_expressions=10_000)
    assert (str(result.expression), result.tried) == ("var_1", 0)
    official = search([("a", "b")], ["b"], max_expressions=10_000, official=True)
    assert official.tried > 0
    assert official.weights[0] > 1


def test_several_solutions_are_distinct_and_right():
    """In the order found, none of which is part of another."""
    result = search(*DATES, n_solutions=5, max_expressions=100_000)
    assert 2 <= len({str(expression) for expression in result.solutions}) == len(result.solutions)
    assert list(result.found_at) == sorted(result.found_at)
    for expression in result.solutions:
        assert [evaluate(expression, row, "sheets-bustle") for row in DATES[0]] == DATES[1]


def test_a_caller_may_refuse_solutions():
    """The next one is taken, and the search is otherwise the same."""
    first, second = search(*DATES, n_solutions=2).solutions
    accepted = search(*DATES, accept=lambda expression: expression != first)
    assert accepted.solutions == (second,)


def test_operations_may_be_left_out():
    """They are in no solution and in no value."""
    few = [operation for operation in OPERATIONS if operation.name != "SUBSTITUTE"]
    result = search(*DATES, operations=few, max_expressions=5000)
    used = {OPERATIONS[operation].name for operation in result.values.operations if operation >= 0}
    assert "SUBSTITUTE" not in used
    assert "REPLACE" in used


def test_new_values_are_reweighted_once_a_level():
    """The hook sees each value of an operation once, at its level, with its signature."""
    seen = []

    def reweight(new):
        assert new.signatures().shape == (len(new), 46)
        seen.extend(new.vector(i) for i in range(len(new)))
        return np.full(len(new), 1)

    result = search(*FAR, max_expressions=3000, reweight=reweight)
    assert len(seen) == len(set(map(repr, seen)))
    assert 0 < len(seen) <= len(result.values)
    plain = search(*FAR, max_expressions=3000)
    assert plain.weight < result.weight
