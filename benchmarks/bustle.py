"""BUSTLE's compiled search against plain Python, on the same work.

    python benchmarks/bustle.py [--quick] [--json]

Prints rows `name, ours, peer, unit, ratio, note`; a ratio above 1 means that ours is better. The peer is the
enumerator in plain Python that the package itself carries as the oracle of its tests: the implementations that
people use (crossbeam's among them) are slower than it, and cannot be installed beside current packages. Tasks are
the paper's 38 where they are at hand, else the package's own 40; all of them with `--quick` a tenth of the budget.

Speeds are expressions tried in a CPU second of one thread. Both must try the same expressions and find the same
solutions, or the benchmark stops. Compilation is not counted; a row of its own states it.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from rows import Row, parse_arguments, print_rows

from rostra.engine.errors import InputError
from rostra.methods.bustle import core, reference
from rostra.methods.bustle.result import SearchResult
from rostra.methods.bustle.synthesizer import load_scorer
from rostra.methods.bustle.tasks import Task, load_tasks

LONG_TASK = "appendAmOrPm"


def tasks() -> tuple[list[Task], str]:
    """The paper's 38 tasks, or the package's own."""
    try:
        return load_tasks("bustle38"), "the paper's 38 tasks"
    except InputError:
        return load_tasks("everyday"), "the package's 40 tasks"


def searched(
    search: Callable[..., SearchResult], task: Task, budget: int, **options: Any
) -> tuple[SearchResult, float]:
    """A result and the CPU seconds it took."""
    rows, outputs = [row.inputs for row in task.train], [row.output for row in task.train]
    start = time.process_time()
    result = search(rows, outputs, max_expressions=budget, official=True, **options)
    return result, time.process_time() - start


def speed(name: str, listed: Sequence[Task], budget: int, peer_budget: int, note: str, **options: Any) -> Row:
    """Expressions a CPU second over a set of tasks, ours and the plain search alternating task by task."""
    ours_tried = ours_seconds = peer_tried = peer_seconds = 0.0
    for task in listed:
        ours, seconds = searched(core.search, task, budget, **options)
        ours_tried, ours_seconds = ours_tried + ours.tried, ours_seconds + seconds
        peer, seconds = searched(reference.search, task, peer_budget, **options)
        peer_tried, peer_seconds = peer_tried + peer.tried, peer_seconds + seconds
        check = ours if peer_budget == budget else searched(core.search, task, peer_budget, **options)[0]
        if (str(check.expression), check.tried, check.unique) != (str(peer.expression), peer.tried, peer.unique):
            raise SystemExit(
                f"{task.name}: the searches differ, {check.tried} and {peer.tried} tried; nothing to compare"
            )
    rates = ours_tried / ours_seconds / 1e6, peer_tried / peer_seconds / 1e6
    if peer_budget != budget:
        note += f"; the peer's speed is that of {peer_budget:,} expressions a task"
    return Row(name, rates[0], rates[1], "M/s", rates[0] / rates[1], note)


def model_overhead(name: str, listed: Sequence[Task], budget: int) -> Row:
    """Seconds of signatures and network over the seconds of the rest of the same searches."""
    from rostra.methods.bustle.bench import Arm, solve

    arm = Arm(scorer=load_scorer("default"))
    results = [solve(core.search, task, arm, max_expressions=budget) for task in listed]
    model = sum(result.seconds_signatures + result.seconds_model for result in results)
    search = sum(result.seconds for result in results) - model
    note = "ours: the rest of the search, peer: signatures and network, wall seconds; the ratio is how often the "
    return Row(name, search, model, "s", search / model, note + "model's part goes into the search's")


FIRST_FILL = """
import time
start = time.perf_counter()
from rostra import synthesize
program = synthesize(["Ada Lovelace", "Alan Turing"], ["AL", "AT"])
print(time.perf_counter() - start)
"""


def first_answer(cold: bool) -> float:
    """Wall seconds of a fresh process from its start to its first formula, with or without a compiled search."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **({"NUMBA_CACHE_DIR": folder} if cold else {})}
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", FIRST_FILL], check=True, capture_output=True, env=environment)
        return time.perf_counter() - start


def memory_at(budget: int) -> float:
    """Peak MB of a process that searches the long task to a budget."""
    code = (
        "from rostra.engine.runtime import peak_memory_mb\n"
        "from rostra.methods.bustle import core\n"
        "import json, sys\n"
        "rows, outputs, budget = json.loads(sys.stdin.read())\n"
        "before = peak_memory_mb()\n"
        "core.search([tuple(row) for row in rows], outputs, max_expressions=budget, official=True)\n"
        "print(peak_memory_mb())\n"
    )
    task = long_task()
    given = json.dumps([[row.inputs for row in task.train], [row.output for row in task.train], budget])
    done = subprocess.run([sys.executable, "-c", code], input=given, check=True, capture_output=True, text=True)
    return float(done.stdout)


def long_task() -> Task:
    """A task that needs more than 30 million expressions, from the paper's set or our own."""
    listed = tasks()[0]
    return next((task for task in listed if task.name == LONG_TASK), listed[0])


def main() -> None:
    arguments = parse_arguments("BUSTLE's compiled search against plain Python, on the same work.")
    listed, which = tasks()
    core.warm_up()
    model_overhead("loads the compiled loops", listed[:1], 1000)
    searched(core.search, listed[0], 20_000, heuristics=True)
    budget = 100_000 if arguments.quick else 1_000_000
    at = f"{budget // 1000}k" if arguments.quick else "1M"
    note = f"{which}, {budget:,} expressions each, one thread"
    some = listed[:8] if arguments.quick else listed
    rows = [
        speed(f"search to {at}", some, budget, budget, note),
        speed(f"search to {at}, heuristics", some, budget, budget, note, heuristics=True),
        model_overhead(f"model's part at {at}", some, budget),
    ]
    if not arguments.quick:
        rows.append(model_overhead("model's part at 3M", listed, 3_000_000))
        note = f"one task, {LONG_TASK}, 30,000,000 expressions, one thread"
        rows.append(speed("search to 30M", [long_task()], 30_000_000, 3_000_000, note))
        rows.append(Row("memory at 30M", memory_at(30_000_000), None, "MB", None, f"whole process, {LONG_TASK}"))
    start = statistics.median(first_answer(cold=False) for _ in range(1 if arguments.quick else 3))
    rows.append(
        Row("first formula, compiled before", start, None, "s", None, "a fresh process, from its start, wall time")
    )
    if not arguments.quick:
        cold = first_answer(cold=True)
        rows.append(Row("first formula ever", cold, None, "s", None, "nothing compiled yet: the plain search answers"))
    print_rows(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
