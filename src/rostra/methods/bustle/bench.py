"""Solving sets of tasks: what the paper reports of a search, task by task."""

__all__ = ["Arm", "TaskResult", "run_bench", "solve", "summary", "write_bench"]

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rostra.engine.errors import InputError

from .dsl import OPERATIONS, Operation, weight
from .result import SearchResult
from .scorer import Clock, PremiseScorer, ValueScorer
from .semantics import Dialect, EvaluationError, evaluate
from .tasks import Task, load_tasks


@dataclass(frozen=True)
class Arm:
    """A way to search.

    Attributes:
        heuristics: re-weight texts by their likeness to the outputs.
        scorer: re-weight values by a model; None does not.
        premises: leave out the least likely operations; None leaves none out.
    """

    heuristics: bool = False
    scorer: ValueScorer | None = None
    premises: PremiseScorer | None = None


@dataclass(frozen=True)
class TaskResult:
    """One task, searched.

    Attributes:
        name: of the task.
        solved: whether an expression gives all outputs of the examples.
        generalises: whether it gives all outputs of the held-out rows too; None where there are none, or no solution.
        expression: as text.
        weight: number of inputs, constants and operations.
        tried, unique: expressions tried, and different vectors of results among them.
        seconds: wall time in all.
        seconds_signatures, seconds_model: of it, property signatures and network.
        reason: why the search ended.
    """

    name: str
    solved: bool
    generalises: bool | None
    expression: str | None
    weight: int | None
    tried: int
    unique: int
    seconds: float
    seconds_signatures: float
    seconds_model: float
    reason: str

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def solve(
    search: Callable[..., SearchResult],
    task: Task,
    arm: Arm,
    *,
    max_expressions: int,
    timeout: float | None = None,
    dialect: Dialect = "sheets-bustle",
) -> TaskResult:
    """Search for a task's expression as the paper counts: an input that already is the output does not end it.

    Args:
        search: the compiled search or the reference.
        task: with its examples.
        arm: how to search.
        max_expressions, timeout: budgets.
        dialect: what the operations mean.
    """
    rows, outputs = [row.inputs for row in task.train], [row.output for row in task.train]
    operations: Sequence[Operation] = OPERATIONS
    start = time.perf_counter()
    if arm.premises is not None:
        operations = arm.premises.operations(rows, outputs)
    clock = Clock()
    result = search(
        rows,
        outputs,
        max_expressions=max_expressions,
        timeout=timeout,
        dialect=dialect,
        heuristics=arm.heuristics,
        reweight=None if arm.scorer is None else clock.timed(arm.scorer.reweight(rows, outputs)),
        operations=operations,
        official=True,
    )
    seconds = time.perf_counter() - start
    expression = result.expression
    generalises = None
    if expression is not None and task.test:
        generalises = all(_gives(expression, row.inputs, row.output, dialect) for row in task.test)
    return TaskResult(
        name=task.name,
        solved=expression is not None,
        generalises=generalises,
        expression=None if expression is None else str(expression),
        weight=None if expression is None else weight(expression),
        tried=result.tried,
        unique=result.unique,
        seconds=round(seconds, 4),
        seconds_signatures=round(clock.signatures, 4),
        seconds_model=round(clock.model, 4),
        reason=result.reason,
    )


def _gives(expression: Any, row: Sequence[str], output: str, dialect: Dialect) -> bool:
    try:
        return evaluate(expression, row, dialect) == output
    except EvaluationError:
        return False


def run_bench(
    tasks: Literal["everyday", "bustle38", "sygus"],
    arms: Sequence[str],
    *,
    budget: int,
    timeout: float | None,
    scorer: ValueScorer | None,
) -> dict[str, list[TaskResult]]:
    """Results by arm ("none", "heuristics", "model", "both"), task by task, with progress.

    Raises:
        InputError: if the tasks cannot be had, or a model is needed and there is none.
    """
    from rostra.engine.progress import progress

    from .synthesizer import best_search

    if scorer is None and {"model", "both"} & set(arms):
        raise InputError("the arms 'model' and 'both' need a model; leave out --model none, or name other --arms")
    listed = load_tasks(tasks)
    search = best_search(wait=True)
    results: dict[str, list[TaskResult]] = {}
    for name in arms:
        arm = Arm(heuristics=name in ("heuristics", "both"), scorer=scorer if name in ("model", "both") else None)
        found = (solve(search, task, arm, max_expressions=budget, timeout=timeout) for task in listed)
        results[name] = list(progress(found, name, total=len(listed)))
    return results


def summary(results: Mapping[str, Sequence[TaskResult]]) -> dict[str, dict[str, Any]]:
    """Counts by arm: tasks, solved, of these right on all held-out rows (or without any), tried, seconds by part."""
    return {
        arm: {
            "tasks": len(found),
            "solved": sum(result.solved for result in found),
            "generalises": sum(result.solved and result.generalises is not False for result in found),
            "tried": sum(result.tried for result in found),
            "unique": sum(result.unique for result in found),
            "seconds": round(sum(result.seconds for result in found), 3),
            "seconds_signatures": round(sum(result.seconds_signatures for result in found), 3),
            "seconds_model": round(sum(result.seconds_model for result in found), 3),
        }
        for arm, found in results.items()
    }


def write_bench(results: Mapping[str, Sequence[TaskResult]], folder: Path) -> None:
    """Write ``tasks.jsonl``, a line a task and arm, and plots of tasks solved against expressions and seconds."""
    from rostra.engine.files import write_atomically
    from rostra.engine.plots import save_svg

    from .plots import plot_solved

    lines = [json.dumps({"arm": arm, **result.document()}) for arm, found in results.items() for result in found]
    with write_atomically(folder / "tasks.jsonl") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, unit in (("tried", "expressions tried"), ("seconds", "seconds")):
        solved = {arm: [getattr(r, name) for r in found if r.solved] for arm, found in results.items()}
        figure = plot_solved(solved, unit, of=len(next(iter(results.values()))))
        with write_atomically(folder / f"solved-by-{name}.svg") as temporary:
            save_svg(figure, temporary)
