"""The claims' runs measure what they say."""

import math

import pytest

from rostra.engine.claims import Context
from rostra.methods.bustle.claims import (
    counts,
    separation,
    tasks_within_budget,
    tasks_within_time,
    trained,
)
from rostra.methods.bustle.tasks import load_tasks

TRAINING = {
    "training_seeds": 2, "searches": 2, "search_budget": 10_000, "lr": 1e-3, "batch_size": 64, "epochs": 1,
}  # fmt: skip
SETTINGS = {"tasks": "own", "budget": 5_000, **TRAINING}


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    return Context("cpu", tmp_path_factory.mktemp("networks"))


def test_the_official_cases_do_not_deviate(context):
    """Expressions, weights and counts of the authors' six cases, exactly."""
    (row,) = counts({"tasks": "cases", "budget": 2_000_000}, "none", [0], context)
    assert row == {"seed": 0, "deviations": 0}


@pytest.mark.parametrize("arm", ["none", "heuristics"])
def test_counts_of_the_papers_sets(context, mirror, arm):
    """At a million expressions, as the spec's independent programs count."""
    (row,) = counts({"tasks": "paper", "budget": 1_000_000}, arm, [0], context)
    assert row["deviations"] == 0
    assert row["not_general"] == 0


def test_a_task_is_a_seed(context):
    """One row a task where nothing is learned, one more for each training seed where it is."""
    plain = list(tasks_within_budget(SETTINGS, "none", [0, 3], context))
    assert [row["seed"] for row in plain] == [0, 3]
    assert [row["task"] for row in plain] == [load_tasks("everyday")[i].name for i in (0, 3)]
    learned = list(tasks_within_budget(SETTINGS, "both", [0, 3], context))
    assert [(row["seed"], row["training_seed"]) for row in learned] == [(0, 0), (3, 0), (0, 1), (3, 1)]
    for row in plain + learned:
        assert row["log10_tried"] <= math.log10(5_000)
        assert row["solved"] or row["log10_tried"] == math.log10(5_000)


def test_an_unsolved_task_counts_with_the_whole_limit(context):
    """In seconds too."""
    settings = {**SETTINGS, "budget": 10**9, "timeout": 0.2}
    for row in tasks_within_time(settings, "none", range(12), context):
        assert row["seconds"] <= 0.2 * 1.5
        assert row["solved"] or row["seconds"] == 0.2


def test_premises_leave_operations_out(context):
    """The arm searches with 20 of 22 operations, and so tries other numbers."""
    plain = [row["unique"] for row in tasks_within_budget(SETTINGS, "none", range(6), context)]
    left_out = [row["unique"] for row in tasks_within_budget(SETTINGS, "premises", range(6), context)][:6]
    assert plain != left_out


def test_networks_are_made_once(context):
    """A second asking reads them from the folder."""
    first, _ = trained(SETTINGS, 0, context)
    times = {path: path.stat().st_mtime_ns for path in context.folder.rglob("*.safetensors")}
    again, _ = trained(SETTINGS, 0, context)
    assert (again.table == first.table).all()
    assert times == {path: path.stat().st_mtime_ns for path in context.folder.rglob("*.safetensors")}


def test_separation_is_an_area(context):
    """Between 0 and 1, for solved tasks with parts, one row a training seed."""
    rows = list(separation({**SETTINGS, "budget": 50_000}, "model", [0, 1], context))
    assert {row["seed"] for row in rows} == {0, 1}
    assert all(0 <= row["auc"] <= 1 and row["parts"] >= 1 for row in rows)
