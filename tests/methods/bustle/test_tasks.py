"""The tasks are what they say, and the everyday ones can be solved."""

import json

import pytest
from expressions import parse
from libreoffice import NO_SOFFICE, SOFFICE, calculate

from rostra.engine.datasets import cache_folder, load
from rostra.engine.errors import InputError
from rostra.methods.bustle.dsl import CONSTANTS, Call, Constant, Input, weight
from rostra.methods.bustle.evaluator import evaluate_formula
from rostra.methods.bustle.formulas import to_excel
from rostra.methods.bustle.semantics import evaluate
from rostra.methods.bustle.tasks import DATASETS, load_tasks

EVERYDAY = load_tasks("everyday")


def test_forty_everyday_tasks():
    assert len({task.name for task in EVERYDAY}) == 40
    assert sum(not row.inputs[0].isascii() for task in EVERYDAY for row in task.test) >= 20
    for task in EVERYDAY:
        assert task.description
        assert 2 <= len(task.train) <= 4, task.name
        assert len(task.test) >= 4, task.name
        assert len({len(row.inputs) for row in task.train + task.test}) == 1, task.name
        outputs = {row.inputs: row.output for row in task.train + task.test}
        assert all(outputs[row.inputs] == row.output for row in task.train + task.test), task.name


@pytest.mark.parametrize("task", EVERYDAY, ids=lambda task: task.name)
def test_everyday_tasks_have_a_short_program(task):
    """It is right in every row, by the language and by the evaluator of its formula."""
    program = parse(task.reference)
    assert str(program) == task.reference
    assert weight(program) <= 9
    formula = to_excel(program)
    for row in task.train + task.test:
        assert evaluate(program, row.inputs, "excel") == row.output
        assert evaluate_formula(formula, dict(zip(("A2", "B2"), row.inputs, strict=False))) == row.output


def constants(expression):
    match expression:
        case Constant(value):
            yield value
        case Call(_, arguments):
            for argument in arguments:
                yield from constants(argument)


@pytest.mark.parametrize("task", EVERYDAY, ids=lambda task: task.name)
def test_constants_of_everyday_programs_stand_in_the_examples(task):
    """Single signs once, longer texts in two rows of a column, from which a search takes them."""
    columns = [*zip(*task.inputs, strict=True), tuple(task.outputs)]
    for value in constants(parse(task.reference)):
        if value not in CONSTANTS:
            most = max(sum(value in text for text in column) for column in columns)
            assert most >= (1 if len(value) == 1 else 2), value


def used(expression):
    match expression:
        case Input(index):
            return {index}
        case Call(_, arguments):
            return set().union(*map(used, arguments))
        case _:
            return set()


def test_every_input_is_used():
    for task in EVERYDAY:
        assert used(parse(task.reference)) == set(range(len(task.inputs[0]))), task.name


@pytest.mark.skipif(SOFFICE is None, reason=NO_SOFFICE)
def test_libreoffice_solves_the_everyday_tasks(tmp_path):
    rows = [(task, row) for task in EVERYDAY for row in task.train + task.test]
    cells = [
        (row.inputs, to_excel(parse(task.reference), row=number)) for number, (task, row) in enumerate(rows, start=1)
    ]
    assert calculate(cells, tmp_path) == [row.output for _, row in rows]


def test_papers_sets(mirror):
    own, sygus = load_tasks("bustle38"), load_tasks("sygus")
    assert (len(own), len(sygus)) == (38, 89)
    assert sum(len(task.test) for task in own) == 275
    assert [sum(len(task.inputs[0]) == width for task in own) for width in (1, 2, 3)] == [22, 15, 1]
    assert [sum(len(task.inputs[0]) == width for task in sygus) for width in (1, 2, 3)] == [66, 18, 5]
    assert not any(task.test for task in sygus)
    add_decimal = own[0]
    assert (add_decimal.name, add_decimal.inputs[1], add_decimal.outputs[1]) == ("addDecimal", ("45",), "45.0")


def test_papers_sets_in_their_original_form(mirror, monkeypatch):
    """CrossBeam's files give the same tasks as the mirror."""
    expected = load(DATASETS[0]).value

    def original(tasks, suffix):
        form = [
            {
                "name": task.name + suffix,
                "description": task.description or "SyGuS benchmark",
                "trainExamples": [{"inputs": list(row.inputs), "output": row.output} for row in task.train],
                "testExamples": [{"inputs": list(row.inputs), "output": row.output} for row in task.test or task.train],
                "tables": [],
                "expectedProgram": "",
                "tags": [],
            }
            for task in tasks
        ]
        return json.dumps(form)

    folder = cache_folder() / "bustle"
    folder.mkdir(parents=True)
    (folder / "new_benchmarks.json").write_text(original(expected["bustle38"], ""), encoding="utf-8")
    (folder / "sygus_benchmarks.json").write_text(original(expected["sygus"], ".sl"), encoding="utf-8")
    monkeypatch.delenv("ROSTRA_DATA")
    loaded = load(DATASETS[0])
    assert (loaded.source, loaded.verified) == ("cache", False)
    assert loaded.value == expected


def test_unknown_set():
    with pytest.raises(InputError, match="no set of tasks 'euphony'; choose everyday, bustle38, sygus"):
        load_tasks("euphony")
