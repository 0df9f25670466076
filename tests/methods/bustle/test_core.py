"""The compiled search is the plain one: the same candidates, order, counts, values and solutions."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from expressions import TEXTS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rostra.methods.bustle import core, reference
from rostra.methods.bustle.cases import OFFICIAL_CASES
from rostra.methods.bustle.dsl import OPERATIONS, Constant, Input
from rostra.methods.bustle.generation import UNREACHABLE_OUTPUTS, random_rows
from rostra.methods.bustle.result import make_task
from rostra.methods.bustle.semantics import evaluate
from rostra.methods.bustle.signatures import value_signature

DIALECTS = st.sampled_from(["sheets-bustle", "excel"])
FAR = [("ab", "12"), ("cd", "34")], ["q9", "z7"]
DATES = [("2019-11-23",), ("2020-03-07",)], ["2019/11/23", "2020/03/07"]

awkward = st.one_of(st.sampled_from(TEXTS), st.text("abAB 12-./,éßΣσςİıç語😀\u0301\t\n", max_size=7))
MAKERS = {
    "far": lambda rows: list(UNREACHABLE_OUTPUTS[: len(rows)]),
    "part": lambda rows: [row[0][1:3] for row in rows],
    "joined": lambda rows: ["-".join(row)[:98] for row in rows],
    "upper": lambda rows: [row[-1].upper() for row in rows],
    "same": lambda rows: [row[0] for row in rows],
    "long": lambda rows: [(row[0] + "xyz 12.") * 11 for row in rows],  # more than a machine word has bits
    "yes": lambda rows: ["yes" if len(row[0]) > 3 else "no" for row in rows],
}


@st.composite
def tasks(draw):
    """Columns as the paper draws them, or awkward texts; outputs near and far."""
    if draw(st.booleans()):
        rows = random_rows(np.random.default_rng(draw(st.integers(0, 2**32))))
    else:
        width = draw(st.integers(1, 3))
        rows = draw(st.lists(st.tuples(*[awkward] * width), min_size=1, max_size=4))
    return rows, MAKERS[draw(st.sampled_from(sorted(MAKERS)))](rows)


def counts(result):
    solutions = [str(expression) for expression in result.solutions]
    ends = result.tried, result.unique, result.weight, result.reason
    return solutions, result.weights, result.found_at, *ends


def assert_same(compiled, plain):
    """Counts and solutions; values in order, each with its type, results and the expression that gave it first."""
    assert counts(compiled) == counts(plain)
    mine, theirs = compiled.values, plain.values
    np.testing.assert_array_equal(mine.operations, theirs.operations)
    np.testing.assert_array_equal(mine.arguments, theirs.arguments)
    vectors = [[repr(values.vector(i)) for i in range(len(values))] for values in (mine, theirs)]
    assert vectors[0] == vectors[1]
    for number in range(0, len(mine), 97):
        assert str(mine.expression(number)) == str(theirs.expression(number))
        assert mine.type(number) == theirs.type(number)


@settings(max_examples=150)
@given(task=tasks(), budget=st.integers(1, 8000), dialect=DIALECTS, heuristics=st.booleans())
@example(task=([("a\tb",), (" é",)], ["b", "É"]), budget=20_000, dialect="excel", heuristics=True)
@example(task=([("",), ("",)], ["x", "y"]), budget=20_000, dialect="sheets-bustle", heuristics=True)
@example(task=([("x" * 120,), ("y-" * 50,)], ["x" * 98, "y"]), budget=8000, dialect="excel", heuristics=True)
def test_it_is_the_plain_search(task, budget, dialect, heuristics):
    """On random tasks, awkward characters, empty and very long texts included."""
    options = {"max_expressions": budget, "dialect": dialect, "heuristics": heuristics}
    assert_same(core.search(*task, **options), reference.search(*task, **options))


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), dialect=DIALECTS, heuristics=st.booleans())
def test_it_is_the_plain_search_at_length(seed, dialect, heuristics):
    """At 60,000 expressions on the paper's random inputs."""
    rows = random_rows(np.random.default_rng(seed))
    options = {"max_expressions": 60_000, "dialect": dialect, "heuristics": heuristics}
    task = rows, list(UNREACHABLE_OUTPUTS[: len(rows)])
    assert_same(core.search(*task, **options), reference.search(*task, **options))


@settings(max_examples=60)
@given(
    task=tasks(),
    count=st.sampled_from([1, 2, 5, 1000]),
    dialect=DIALECTS,
    official=st.booleans(),
    odd=st.integers(1, 3),
)
def test_solutions_are_the_plain_searchs(task, count, dialect, official, odd):
    """Several, some refused, or inputs that are the output already; with many, those in blocks of known results too."""

    def accept(expression):
        return len(str(expression)) % odd == 0

    options = {"max_expressions": 10_000, "n_solutions": count, "official": official, "accept": accept}
    assert_same(core.search(*task, dialect=dialect, **options), reference.search(*task, dialect=dialect, **options))


@pytest.mark.parametrize(
    ("outputs", "names", "least"),
    [
        (["a-", "d-"], None, 4),  # REPLACE(var_0, 2, k, "-") for k = 2, 3, 99
        (["abc", "def"], ["SUBSTITUTE"], 4),  # var_0, where nothing is replaced
        (["abc", "def"], ["EXACT", "IF"], 4),  # var_0, whatever the condition
        (["abc", "def"], ["MID", "REPLACE"], 4),
    ],
)
def test_solutions_in_blocks_of_known_results(outputs, names, least):
    """Once the output is known, or from the start, no block may be left out: it may hold further solutions."""
    task = [("abc",), ("def",)], outputs
    operations = [operation for operation in OPERATIONS if names is None or operation.name in names]
    options = {"n_solutions": 10**6, "max_expressions": 20_000, "operations": operations}
    found = core.search(*task, **options)
    assert len(found.solutions) >= least
    assert_same(found, reference.search(*task, **options))


@settings(max_examples=40)
@given(
    task=tasks(),
    numbers=st.sets(st.integers(0, len(OPERATIONS) - 1), min_size=1),
    constants=st.lists(st.one_of(st.text("ab-é", max_size=3), st.integers(-130, 130)), max_size=4),
    max_weight=st.integers(1, 8),
)
def test_some_operations_other_constants_and_a_largest_weight(task, numbers, constants, max_weight):
    """Large numbers and texts may be constants, whatever operations may give."""
    options = {
        "operations": [OPERATIONS[number] for number in numbers],
        "constants": constants,
        "max_weight": max_weight,
        "max_expressions": 6000,
    }
    assert_same(core.search(*task, **options), reference.search(*task, **options))


@settings(max_examples=40)
@given(task=tasks(), heuristics=st.booleans(), fraction=st.sampled_from([0.0, 0.3, 1.0]), seed=st.integers(0, 99))
def test_weights_that_a_model_adds(task, heuristics, fraction, seed):
    """The same function of the signatures gives the same search, alone and with heuristics."""
    mix = np.random.default_rng(seed).integers(0, 9, 46)

    def reweight(new):
        codes, which = new.signatures()
        return (codes.astype(np.int64) @ mix % 7 % 4)[which]

    options = {
        "reweight": reweight,
        "reweighting_fraction": fraction,
        "heuristics": heuristics,
        "max_expressions": 6000,
    }
    assert_same(core.search(*task, **options), reference.search(*task, **options))


def test_a_model_is_asked_in_batches(monkeypatch):
    """So that a search ends in time; what it adds is the same."""

    def reweight(new):
        sizes.append(len(new))
        codes, which = new.signatures()
        return (codes.astype(np.int64).sum(axis=1) % 3)[which]

    sizes = []
    options = {"reweight": reweight, "max_expressions": 20_000}
    plain = reference.search(*FAR, **options)
    monkeypatch.setattr(core, "BATCH", 16)
    sizes.clear()
    assert_same(core.search(*FAR, **options), plain)
    assert sizes.count(16) > 20
    assert max(sizes) == 16
    sizes.clear()
    stopped = core.search(*FAR, stop=lambda: len(sizes) == 30, **options)
    assert (stopped.reason, len(sizes)) == ("timeout", 30)


def test_a_model_that_adds_nothing_changes_nothing():
    plain = core.search(*FAR, max_expressions=100_000)
    scored = core.search(*FAR, max_expressions=100_000, reweight=lambda new: np.zeros(len(new)))
    assert counts(plain) == counts(scored)
    np.testing.assert_array_equal(plain.values.arguments, scored.values.arguments)


@settings(max_examples=50)
@given(task=tasks(), dialect=DIALECTS)
@example(task=([("x" * 62 + "A",), ("x" * 63 + "a",)], ["X" * 62 + "a", "x" * 63 + "A"]), dialect="excel")
@example(task=([("x" * 64 + "AB",), ("B" + "x" * 64,)], ["x" * 64, "x" * 65]), dialect="sheets-bustle")
def test_signatures_are_those_of_the_values(task, dialect):
    """Of every new value of every level."""
    rows, outputs = task

    def reweight(new):
        codes, which = new.signatures()
        assert codes.dtype == np.uint8
        assert len(set(map(bytes, codes))) == len(codes)
        assert codes[which].tolist() == [value_signature(new.vector(i), outputs) for i in range(len(new))]
        return np.zeros(len(new), dtype=np.int64)

    core.search(rows, outputs, max_expressions=3000, dialect=dialect, reweight=reweight, official=True)


@settings(max_examples=60)
@given(task=tasks(), budget=st.integers(1, 100_000), dialect=DIALECTS, heuristics=st.booleans())
def test_what_is_left_out_counts_as_tried(task, budget, dialect, heuristics):
    """With and without skipping: the same, wherever the budget ends."""
    options = {"max_expressions": budget, "dialect": dialect, "heuristics": heuristics}
    skipped, whole = (core.search(*task, skipping=skipping, **options) for skipping in (True, False))
    assert counts(skipped) == counts(whole)
    np.testing.assert_array_equal(skipped.values.operations, whole.values.operations)
    np.testing.assert_array_equal(skipped.values.arguments, whole.values.arguments)


@pytest.mark.parametrize("dialect", ["sheets-bustle", "excel"])
def test_every_budget_is_used_exactly(dialect):
    """One by one through many expressions, many of which lie within a block that is left out."""
    whole = core.search(*FAR, max_expressions=1500, skipping=False, dialect=dialect)
    sizes = []
    for budget in range(1, 1501):
        result = core.search(*FAR, max_expressions=budget, dialect=dialect)
        assert (result.tried, result.reason) == (budget, "expressions")
        np.testing.assert_array_equal(result.values.arguments, whole.values.arguments[: len(result.values)])
        sizes.append(result.unique)
    assert sizes == sorted(sizes)
    assert sizes[-1] == whole.unique
    some = [reference.search(*FAR, max_expressions=budget, dialect=dialect) for budget in range(1, 1501, 83)]
    assert sizes[::83] == [result.unique for result in some]


@settings(max_examples=40)
@given(task=tasks(), bits=st.sampled_from([2, 8, 16]), dialect=DIALECTS, heuristics=st.booleans())
def test_colliding_keys_do_no_harm_when_values_are_compared(task, bits, dialect, heuristics):
    """With keys of 8 bits nearly all collide."""
    options = {"max_expressions": 1500, "dialect": dialect, "heuristics": heuristics, "n_solutions": 2}
    exact = core.search(*task, exact=True, key_bits=bits, **options)
    assert counts(exact) == counts(core.search(*task, **options))


@settings(max_examples=50)
@given(task=tasks(), dialect=DIALECTS)
def test_keys_are_those_of_the_results(task, dialect):
    """Each key in the table follows from a vector by its definition, whatever operation made it.

    So the keys that the loops make from keys of arguments are right, for every operation.
    """
    rows, outputs = task
    run = core._Search(make_task(rows, outputs), dialect, exact_mask=0, max_weight=100)
    run.limit, run.timeout, run.heuristics, run.reweight, run.reweighting_fraction = 3000, None, False, None, 1.0
    run.enabled, run.accept, run.stop = np.arange(len(OPERATIONS)), None, None
    run.progress, run.skipping = None, True
    values = run.run(1, official=True).values
    keys = {run.key(values.vector(number)) for number in range(len(values))}
    target = run.key(tuple(outputs))  # is in the table if it was found, and is no value then
    assert set(run.values.table.tolist()) - {0, target} == keys - {target}


@settings(max_examples=4)
@given(seed=st.integers(0, 2**32), heuristics=st.booleans())
def test_a_key_stands_for_one_vector(seed, heuristics):
    """Among 300,000 expressions no two vectors share a key, and no vector has two."""
    rows = random_rows(np.random.default_rng(seed))
    outputs = list(UNREACHABLE_OUTPUTS[: len(rows)])
    result = core.search(rows, outputs, max_expressions=300_000, heuristics=heuristics)
    vectors = [repr(result.values.vector(number)) for number in range(len(result.values))]
    assert len(set(vectors)) == result.unique
    made = vectors[len(result.values.leaves) :]
    assert len(set(made)) == len(made)


def test_values_are_what_their_expressions_give():
    """Of the last level too, whose texts are made on request only."""
    rows, outputs = FAR
    values = core.search(rows, outputs, max_expressions=200_000).values
    for number in [*range(0, len(values), 211), len(values) - 1]:
        expression = values.expression(number)
        assert values.vector(number) == tuple(evaluate(expression, row, "sheets-bustle") for row in rows)
        assert type(values.vector(number)[0]).__name__ == values.type(number)
    assert values.leaves[:3] == (Input(0), Input(1), Constant(""))


@pytest.mark.parametrize("case", OFFICIAL_CASES, ids=lambda case: case.task.name)
def test_the_authors_cases(case):
    """Expression, weight and counts, exactly."""
    result = core.search(case.task.inputs, case.task.outputs, max_expressions=2_000_000, official=True)
    assert (str(result.expression), result.weights, result.reason) == (case.expression, (case.weight,), "solved")
    assert (result.tried, result.unique) == (case.tried, case.unique)


@pytest.mark.parametrize(("name", "tried", "unique"), [("prependMr", 16_551, 1_330), ("dateTransformation2", 744, 92)])
def test_the_authors_cases_with_heuristics(name, tried, unique):
    (task,) = [case.task for case in OFFICIAL_CASES if case.task.name == name]
    result = core.search(task.inputs, task.outputs, heuristics=True, official=True)
    assert (result.reason, result.tried, result.unique) == ("solved", tried, unique)


@pytest.fixture
def paper_tasks(mirror):
    def load(name):
        return json.loads((mirror / "bustle" / f"{name}.json").read_text(encoding="utf-8"))

    return load


def searched(task, **options):
    rows = [tuple(row["inputs"]) for row in task["train"]]
    outputs = [row["output"] for row in task["train"]]
    return core.search(rows, outputs, **{"max_expressions": 1_000_000, "official": True, **options})


@pytest.mark.parametrize(
    ("name", "heuristics", "weight", "tried", "unique"),
    [
        ("twoLetterAcronym", True, 12, 311_145, 13_187),
        ("addDecimal", False, 9, 1_110_027, 88_375),
    ],
)
def test_tasks_of_the_paper(paper_tasks, name, heuristics, weight, tried, unique):
    (task,) = [task for task in paper_tasks("bustle38") if task["name"] == name]
    result = searched(task, heuristics=heuristics, max_expressions=2_000_000)
    assert (result.weights, result.tried, result.unique) == ((weight,), tried, unique)


def test_a_table_that_is_full_to_the_last_place_grows(paper_tasks):
    """This search has 65,024 values when its arrays are full, and once went round for ever."""
    (task,) = [task for task in paper_tasks("bustle38") if task["name"] == "countStringOccurrences"]
    result = searched(task, timeout=60)
    assert (result.reason, result.tried) == ("expressions", 1_000_000)


@pytest.mark.parametrize(
    ("name", "heuristics", "solved", "tried"),
    [
        ("bustle38", False, 17, 23_491_097),
        ("bustle38", True, 22, 19_570_616),
        ("sygus", False, 45, None),
        ("sygus", True, 62, None),
    ],
)
def test_counts_of_the_papers_sets(paper_tasks, name, heuristics, solved, tried):
    """Solved tasks and expressions tried at a million, as independent programs count them."""
    results = [searched(task, heuristics=heuristics) for task in paper_tasks(name)]
    assert sum(result.expression is not None for result in results) == solved
    assert tried is None or sum(result.tried for result in results) == tried


def test_time():
    """The search ends with it, and keeps what it has seen."""
    late = core.search(*FAR, max_expressions=10**9, timeout=0.2)
    assert late.reason == "timeout"
    assert 0 < late.tried < 10**9
    assert late.values.vector(len(late.values) - 1)


def test_stop_and_progress():
    """Asked and told many times, and obeyed at once."""
    asked, told = [], []
    stopped = core.search(
        *FAR, max_expressions=10**9, stop=lambda: asked.append(0) or len(asked) > 12, progress=told.append
    )
    assert (stopped.reason, len(asked)) == ("timeout", 13)
    assert told == sorted(told)
    assert told[-1] == stopped.tried


def test_nothing_to_do():
    """No budget, no weight, no operations: an end, not an error."""
    assert core.search(*FAR, max_expressions=0).reason == "expressions"
    for options in ({"max_weight": 1}, {"operations": []}):
        assert_same(core.search(*FAR, **options), reference.search(*FAR, **options))
        assert core.search(*FAR, **options).reason == "weight"


def test_a_long_search_is_the_plain_one():
    """Through several doublings of the arrays, of values and buckets; with a solution on the way."""
    options = {"max_expressions": 300_000, "n_solutions": 3}
    assert_same(core.search(*DATES, **options), reference.search(*DATES, **options))


def test_the_interpreters_hash_seed_changes_nothing():
    code = (
        "from rostra.methods.bustle import core\n"
        "r = core.search([('Dr. A, b-c',), ('Dr. D, e-f',)], ['b.c', 'e.f'], max_expressions=20000, heuristics=True)\n"
        "print(r.tried, r.unique, list(map(str, r.solutions)), r.values.arguments.sum(), r.values.expression(800))"
    )
    printed = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        printed.add(done.stdout)
    assert len(printed) == 1


def test_too_many_characters():
    """A character is numbered with 16 bits."""
    every = "".join(map(chr, [*range(0x20, 0xD800), *range(0xE000, 0x10000), *range(0x20000, 0x20A00)]))
    with pytest.raises(ValueError, match="different characters; at most 65536 are possible"):
        core.search([(every,)], ["x"], max_expressions=10)
