"""The compiled search is the plain one: same candidates, order, counts and solutions."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rostra.methods.bustle import core, reference
from rostra.methods.bustle.cases import OFFICIAL_CASES
from rostra.methods.bustle.dsl import OPERATIONS
from rostra.methods.bustle.generation import UNREACHABLE_OUTPUTS, random_rows
from rostra.methods.bustle.signatures import value_signature

DIALECTS = ("sheets-bustle", "excel")
FAR = [("a1",), ("b2",)], ["q9x", "z7y"]
ALPHABET = "abAB 12-./,éÉßΣσç語😀\u0301\t"
texts = st.text(ALPHABET, max_size=6)


@st.composite
def tasks(draw):
    """Random columns, as the paper draws them or of awkward texts, and outputs within or out of reach."""
    if draw(st.booleans()):
        rows = random_rows(np.random.default_rng(draw(st.integers(0, 2**32))))
    else:
        width = draw(st.integers(1, 2))
        rows = draw(st.lists(st.tuples(*[texts] * width), min_size=1, max_size=3))
    make = draw(st.sampled_from(["far", "part", "joined", "upper"]))
    outputs = {
        "far": list(UNREACHABLE_OUTPUTS[: len(rows)]),
        "part": [row[0][1:3] for row in rows],
        "joined": ["-".join(row) for row in rows],
        "upper": [row[-1].upper()[:98] for row in rows],
    }[make]
    return rows, outputs


def summary(result):
    return (
        [str(expression) for expression in result.solutions],
        result.weights,
        result.found_at,
        result.tried,
        result.unique,
        result.weight,
        result.reason,
    )


def assert_same(compiled, plain):
    """Counts and solutions, and every value in order, with the expression that gave it first."""
    assert summary(compiled) == summary(plain)
    mine, theirs = compiled.values, plain.values
    assert len(mine) == len(theirs)
    np.testing.assert_array_equal(mine.operations, theirs.operations)
    np.testing.assert_array_equal(mine.arguments, theirs.arguments)
    for number in range(0, len(mine), max(1, len(mine) // 200)):
        assert repr(mine.vector(number)) == repr(theirs.vector(number))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("heuristics", [False, True])
@settings(max_examples=80)
@given(task=tasks(), budget=st.integers(1, 20_000))
def test_it_is_the_plain_search(dialect, heuristics, task, budget):
    """On random tasks, awkward characters and empty texts included, wherever the budget ends."""
    options = {"max_expressions": budget, "dialect": dialect, "heuristics": heuristics}
    assert_same(core.search(*task, **options), reference.search(*task, **options))


@settings(max_examples=50)
@given(task=tasks(), count=st.integers(2, 6), official=st.booleans())
def test_further_solutions_are_the_plain_searchs(task, count, official):
    """Several, refused ones, and inputs that are the output already."""
    options = {"max_expressions": 5_000, "n_solutions": count, "official": official}
    assert_same(core.search(*task, **options), reference.search(*task, **options))

    def accept(expression):
        return len(str(expression)) % 2 == 0

    assert_same(core.search(*task, accept=accept, **options), reference.search(*task, accept=accept, **options))


@settings(max_examples=40)
@given(task=tasks(), left_out=st.sets(st.integers(0, len(OPERATIONS) - 1), max_size=5))
def test_with_fewer_operations_and_a_model(task, left_out):
    """The same operations left out, the same weights added by signature: the same search."""
    few = [operation for number, operation in enumerate(OPERATIONS) if number not in left_out]

    def reweight(new):
        return new.signatures().astype(np.int64).sum(axis=1) % 3

    options = {"max_expressions": 8_000, "operations": few, "reweight": reweight, "constants": ["zz", 7]}
    assert_same(core.search(*task, **options), reference.search(*task, **options))


@settings(max_examples=40)
@given(task=tasks())
def test_compiled_signatures_are_the_readable_ones(task):
    """Of every new value of every level."""
    rows, outputs = task

    def reweight(new):
        codes = new.signatures()
        for number in range(0, len(new), max(1, len(new) // 40)):
            assert codes[number].tolist() == value_signature(new.vector(number), outputs)
        return np.zeros(len(new), dtype=np.int64)

    core.search(rows, outputs, max_expressions=5_000, reweight=reweight)


@settings(max_examples=40)
@given(task=tasks(), budget=st.integers(1, 30_000), heuristics=st.booleans(), dialect=st.sampled_from(DIALECTS))
def test_skipped_blocks_count_as_if_they_were_tried(task, budget, heuristics, dialect):
    """With and without skipping: the same counts, also where the budget ends inside a block."""
    options = {"max_expressions": budget, "heuristics": heuristics, "dialect": dialect}
    assert summary(core.search(*task, **options)) == summary(core.search(*task, skipping=False, **options))


@settings(max_examples=10)
@given(task=tasks())
def test_colliding_keys_do_no_harm_when_values_are_compared(task):
    """With keys of 8 bits nearly all collide; the comparison of values finds the same."""
    exact = core.search(*task, max_expressions=3_000, exact=True, key_bits=8)
    assert summary(exact) == summary(core.search(*task, max_expressions=3_000))


def test_a_key_stands_for_one_value():
    """The number of keys is that of different vectors, and the definition gives the key that the loops made."""
    rows = random_rows(np.random.default_rng(5))
    result = core.search(rows, UNREACHABLE_OUTPUTS[: len(rows)], max_expressions=50_000)
    vectors = {repr(result.values.vector(number)) for number in range(len(result.values))}
    assert len(vectors) == result.unique


@pytest.mark.parametrize("case", OFFICIAL_CASES, ids=lambda case: case.task.name)
def test_the_authors_cases(case):
    """Expression, weight and counts, exactly."""
    result = core.search(case.task.inputs, case.task.outputs, max_expressions=2_000_000, official=True)
    found = str(result.expression), result.weights[0], result.tried, result.unique
    assert found == (case.expression, case.weight, case.tried, case.unique)


@pytest.fixture
def paper_tasks(mirror):
    def load(name):
        return json.loads((mirror / "bustle" / f"{name}.json").read_text(encoding="utf-8"))

    return load


def searched(task, **options):
    rows = [tuple(example["inputs"]) for example in task["train"]]
    outputs = [example["output"] for example in task["train"]]
    return core.search(rows, outputs, **{"max_expressions": 1_000_000, "official": True, **options})


def test_heuristic_cases(paper_tasks):
    """Two counts of independent programs."""
    by_name = {task["name"]: task for task in paper_tasks("bustle38")}
    mr = searched(by_name["prependMr"], heuristics=True)
    assert (mr.tried, mr.unique) == (16_551, 1_330)
    acronym = searched(by_name["twoLetterAcronym"], heuristics=True)
    assert (acronym.weights[0], acronym.tried, acronym.unique) == (12, 311_145, 13_187)


def test_a_table_that_is_full_to_the_last_place_grows(paper_tasks):
    """This search fills values and table at one time, and once went round for ever."""
    (task,) = [task for task in paper_tasks("bustle38") if task["name"] == "countStringOccurrences"]
    result = searched(task, timeout=60)
    assert (result.tried, result.reason) == (1_000_000, "expressions")


@pytest.mark.parametrize(
    ("heuristics", "name", "solved", "tried"),
    [
        (False, "bustle38", 17, 23_491_097),
        (True, "bustle38", 22, 19_570_616),
        (False, "sygus", 45, None),
        (True, "sygus", 62, None),
    ],
)
def test_counts_of_the_papers_sets(paper_tasks, heuristics, name, solved, tried):
    """Solved tasks and tried expressions at a million, as independent programs count."""
    results = [searched(task, heuristics=heuristics) for task in paper_tasks(name)]
    assert sum(result.expression is not None for result in results) == solved
    assert tried is None or sum(result.tried for result in results) == tried


def test_time_and_stop():
    """Both end a search, whose values so far are there."""
    late = core.search(*FAR, max_expressions=10**9, timeout=0.3)
    assert late.reason == "timeout"
    assert 0 < late.tried < 10**9
    asked = []
    stopped = core.search(*FAR, max_expressions=10**9, stop=lambda: asked.append(0) or len(asked) > 5)
    assert stopped.reason == "timeout"
    assert len(stopped.values) >= stopped.unique


def test_the_interpreters_hash_seed_changes_nothing():
    """Two processes, two seeds, one result."""
    code = (
        "from rostra.methods.bustle import core\n"
        "r = core.search([('a-b c',), ('d-e f',)], ['b.c', 'e.f'], max_expressions=30000, heuristics=True)\n"
        "print(r.tried, r.unique, r.solutions and str(r.solutions[0]))"
    )
    printed = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        printed.add(done.stdout)
    assert len(printed) == 1
