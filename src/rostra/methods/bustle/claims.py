"""The paper's claims about BUSTLE, as runs. Margins and budgets are fixed here, before any run.

In all claims but ``counts`` a "seed" is the number of a task, so intervals speak of tasks; where
networks are trained, a task has one row for each training seed.
"""

__all__ = ["CLAIMS"]

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rostra.engine.claims import Claim, Context, Row, Scale
from rostra.engine.stats import Equivalence, Law, Superiority, Threshold

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .bench import Arm, TaskResult
    from .dsl import Expression
    from .result import Vector
    from .scorer import PremiseScorer, ValueScorer
    from .tasks import Task

ARMS = ("none", "heuristics", "model", "both")
PREMISE_ARMS = ("none", "premises", "both", "premises_both")
LEARNED = ("model", "both", "premises", "premises_both")

SOLVED = {
    # (tasks, arm): solved within each budget; counted by independent programs for this project
    ("bustle38", "none"): {1_000_000: 17, 10_000_000: 21, 30_000_000: 26},
    ("bustle38", "heuristics"): {1_000_000: 22, 10_000_000: 27, 30_000_000: 29},
    ("sygus", "none"): {1_000_000: 45, 10_000_000: 56, 30_000_000: 64},
    ("sygus", "heuristics"): {1_000_000: 62, 10_000_000: 71},
}
TRIED_38 = {"none": 23_491_097, "heuristics": 19_570_616}
"""Expressions tried on the 38 tasks within a budget of a million each."""


def counts(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """How many counts of a deterministic search differ from those of independent programs.

    Metrics: ``deviations``; ``solved_SET_BUDGET``; ``not_general``, solved tasks whose expression
    fails on a held-out row. At smoke the six cases of the authors' tests stand for the sets: their
    expressions, and how many were tried and unique.
    """
    from .bench import Arm, solve
    from .synthesizer import best_search

    search = best_search(wait=True)
    for seed in seeds:
        row: Row = {"seed": seed, "deviations": 0}
        if settings["tasks"] == "cases":
            from .cases import OFFICIAL_CASES

            for case in OFFICIAL_CASES:
                found = solve(search, case.task, Arm(), max_expressions=settings["budget"])
                wanted = (case.expression, case.weight, case.tried, case.unique)
                row["deviations"] += (found.expression, found.weight, found.tried, found.unique) != wanted
        else:
            row["not_general"] = 0
            for name in ("bustle38", "sygus"):
                results = _solve_all(_tasks(name, context), Arm(heuristics=arm == "heuristics"), settings["budget"])
                row["not_general"] += sum(result.generalises is False for result in results)
                for budget, expected in SOLVED[name, arm].items():
                    if budget <= settings["budget"]:
                        solved = sum(result.solved and result.tried <= budget for result in results)
                        row[f"solved_{name}_{budget // 1_000_000}M"] = solved
                        row["deviations"] += solved != expected
                if name == "bustle38":
                    tried = sum(min(result.tried, 1_000_000) for result in results)
                    row["tried_bustle38_1M"] = tried
                    row["deviations"] += tried != TRIED_38[arm]
        yield row


def _solve_all(tasks: "Sequence[Task]", arm: "Arm", budget: int) -> "list[TaskResult]":
    from .bench import solve
    from .synthesizer import best_search

    search = best_search(wait=True)
    return [solve(search, task, arm, max_expressions=budget) for task in tasks]


def tasks_within_budget(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """One task a seed, within a budget of expressions.

    Metrics: ``log10_tried``, of the expressions tried until the solution, or of the budget where
    there is none; ``solved`` (0 or 1); ``not_general``, 1 if the solution fails on a held-out row.
    """
    import math

    for seed, training_seed, result in _search_tasks(settings, arm, seeds, context, settings["budget"], None):
        tried = result.tried if result.solved else settings["budget"]
        yield {
            "seed": seed,
            "training_seed": training_seed,
            "task": result.name,
            "expression": result.expression or "",
            "log10_tried": math.log10(max(tried, 1)),
            "solved": int(result.solved),
            "not_general": int(result.generalises is False),
            "unique": result.unique,
        }


def tasks_within_time(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """One task a seed, within a time limit, on one thread.

    Metrics: ``log10_seconds`` until the solution, or of the limit where there is none; ``solved``;
    ``seconds_signatures`` and ``seconds_model``, the parts that the model takes.
    """
    import math

    limit = settings["timeout"]
    for seed, training_seed, result in _search_tasks(settings, arm, seeds, context, settings["budget"], limit):
        seconds = result.seconds if result.solved else limit
        yield {
            "seed": seed,
            "training_seed": training_seed,
            "task": result.name,
            "log10_seconds": math.log10(max(seconds, 1e-3)),
            "seconds": seconds,
            "seconds_signatures": result.seconds_signatures,
            "seconds_model": result.seconds_model,
            "solved": int(result.solved),
        }


def _search_tasks(
    settings: Mapping[str, Any],
    arm: str,
    seeds: Sequence[int],
    context: Context,
    budget: int,
    timeout: float | None,
) -> "Iterator[tuple[int, int, TaskResult]]":
    """(task number, training seed, result); one training seed where nothing is learned."""
    from .bench import Arm, solve
    from .synthesizer import best_search

    search = best_search(wait=True)
    tasks = _task_list(settings["tasks"], context)
    for training_seed in range(settings["training_seeds"] if arm in LEARNED else 1):
        scorer, premises = trained(settings, training_seed, context) if arm in LEARNED else (None, None)
        chosen = Arm(
            heuristics=arm in ("heuristics", "both", "premises_both"),
            scorer=scorer if arm in ("model", "both", "premises_both") else None,
            premises=premises if arm.startswith("premises") else None,
        )
        for seed in seeds:
            yield seed, training_seed, solve(search, tasks[seed], chosen, max_expressions=budget, timeout=timeout)


def trained(settings: Mapping[str, Any], seed: int, context: Context) -> "tuple[ValueScorer, PremiseScorer]":
    """The two networks of a training seed, made once for all claims and kept in the run's folder."""
    from .scorer import PremiseScorer, ValueScorer
    from .training import TrainingConfig, generate_many, train_premises, train_values

    recipe = {name: settings[name] for name in ("searches", "search_budget", "lr", "batch_size", "epochs")}
    with context.kept("bustle", [recipe, seed]) as folder:
        if not (folder / "premises" / "rostra.json").exists():
            data = generate_many(settings["searches"], seed=seed, max_expressions=settings["search_budget"], workers=1)
            config = TrainingConfig(lr=settings["lr"], batch_size=settings["batch_size"], epochs=settings["epochs"])
            train_values(data, seed=seed, config=config, device=context.device).save(folder / "values")
            train_premises(data, seed=seed, device=context.device).save(folder / "premises")
        return ValueScorer.load(folder / "values"), PremiseScorer.load(folder / "premises")


def separation(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """How well the model tells parts of a task's solution from the other values that the search met.

    A seed is the number of a task among those that a plain search solves within the budget with at
    least one part that an operation made. Metrics: ``auc``, area under the ROC curve of the
    probabilities; ``parts``, how many there are. The other values are a random sample of 5000.
    """
    import numpy as np
    from sklearn.metrics import roc_auc_score

    from .scorer import nearest_columns
    from .signatures import example_signature, value_signature
    from .synthesizer import best_search

    search = best_search(wait=True)
    scorers = [trained(settings, seed, context)[0] for seed in range(settings["training_seeds"])]
    rng = np.random.default_rng(0)
    number = -1
    for task in _task_list(settings["tasks"], context):
        rows, outputs = [row.inputs for row in task.train], [row.output for row in task.train]
        result = search(rows, outputs, max_expressions=settings["budget"], official=True)
        parts = [] if result.expression is None else _part_vectors(result.expression, rows)
        if not parts:
            continue
        number += 1
        if number not in seeds:
            continue
        made = np.flatnonzero(result.values.operations >= 0)
        sample = [result.values.vector(int(n)) for n in rng.permutation(made)[:5000]]
        known = {_typed(vector) for vector in parts}
        vectors = [*parts, *(vector for vector in sample if _typed(vector) not in known)]
        labels = np.arange(len(vectors)) < len(parts)
        signatures = np.array([value_signature(vector, outputs) for vector in vectors], dtype=np.uint8)
        columns = nearest_columns(rows, outputs)
        examples = np.array(example_signature([[row[c] for c in columns] for row in rows], outputs), dtype=np.uint8)
        for training_seed, scorer in enumerate(scorers):
            auc = float(roc_auc_score(labels, scorer.probabilities(examples, signatures)))
            row: Row = {"seed": number, "training_seed": training_seed, "task": task.name, "auc": auc}
            yield row | {"parts": len(parts)}


def _part_vectors(solution: "Expression", rows: Sequence[Sequence[str]]) -> "list[Vector]":
    """Results of the solution's proper sub-expressions that operations made, each once."""
    from .dsl import Call, Expression
    from .result import Vector
    from .semantics import evaluate

    found: dict[Any, Vector] = {}

    def visit(expression: Expression) -> None:
        if isinstance(expression, Call):
            for argument in expression.arguments:
                if isinstance(argument, Call):
                    vector = tuple(evaluate(argument, row, "sheets-bustle") for row in rows)
                    found[_typed(vector)] = vector
                visit(argument)

    visit(solution)
    return list(found.values())


def _typed(vector: "Vector") -> Any:
    """A key that tells 1 from True."""
    return type(vector[0]), vector


def _task_list(name: str, context: Context) -> "Sequence[Task]":
    """The package's own tasks, or both of the paper's sets, one after the other."""
    if name == "own":
        from .tasks import load_tasks

        return load_tasks("everyday")
    return [*_tasks("bustle38", context), *_tasks("sygus", context)]


def _tasks(name: str, context: Context) -> "Sequence[Task]":
    from .data import DATASETS

    found: Sequence[Task] = context.dataset(DATASETS[0])[name]
    return found


def draw_solved(rows: Mapping[str, Sequence[Row]]) -> "Figure":
    """Tasks solved against expressions tried or seconds spent, by arm; the mean over training seeds."""
    from .plots import plot_solved

    metric, unit = ("log10_tried", "expressions tried")
    if "log10_seconds" in next(iter(rows.values()))[0]:
        metric, unit = ("log10_seconds", "seconds")
    return plot_solved(
        {arm: [10 ** row[metric] for row in found if row["solved"]] for arm, found in rows.items()},
        unit,
        of=len({row["seed"] for row in next(iter(rows.values()))}),
        repeats={arm: len({row["training_seed"] for row in found}) for arm, found in rows.items()},
    )


_TRAINING: dict[str, Any] = {
    "training_seeds": 3,
    "searches": 300,
    "search_budget": 1_000_000,
    "lr": 1e-3,
    "batch_size": 256,
    "epochs": 12,
}
_SMOKE_TRAINING: dict[str, Any] = {
    **_TRAINING,
    "training_seeds": 1,
    "searches": 20,
    "search_budget": 100_000,
    "epochs": 5,
}
_PAPER_TRAINING: dict[str, Any] = {**_TRAINING, "searches": 1000, "lr": 1e-5, "batch_size": 128, "epochs": 1000}
_TASKS = 127
_BUDGETS = {
    "smoke": Scale({"tasks": "own", "budget": 100_000, **_SMOKE_TRAINING}, seeds=40, chunk=40),
    "laptop": Scale({"tasks": "paper", "budget": 30_000_000, **_TRAINING}, seeds=_TASKS, chunk=32),
    "paper": Scale({"tasks": "paper", "budget": 30_000_000, **_PAPER_TRAINING}, seeds=_TASKS, chunk=32),
}
_CENSORED = (
    "A task that is not solved counts with the whole budget. Seeds are tasks: the interval speaks of tasks like "
)
_SETS = f"{_CENSORED}the paper's 38 and the 89 of SyGuS."

CLAIMS = [
    Claim(
        name="counts",
        statement="The search is the paper's: solved tasks and tried expressions are exactly those of other programs.",
        source="Odena et al. (2021), section 2, and the authors' unit tests; counts of independent programs",
        paper={},
        metric="deviations",
        unit="counts that differ",
        arms=("none", "heuristics"),
        scales={
            "smoke": Scale({"tasks": "cases", "budget": 2_000_000}, seeds=1, arms=("none",)),
            "laptop": Scale({"tasks": "paper", "budget": 30_000_000}, seeds=1),
            "paper": Scale({"tasks": "paper", "budget": 30_000_000}, seeds=1),
        },
        comparisons=(
            Law("none", metric="deviations", value=0.0, tolerance=0.0),
            Law("heuristics", metric="deviations", value=0.0, tolerance=0.0),
        ),
        run=counts,
        note="The paper's figures could not be read exactly; the counts are those of independent re-implementations, "
        "and the six cases those of the authors' own tests.",
    ),
    Claim(
        name="heuristics",
        statement="The hand-written heuristics find formulas among fewer expressions than plain enumeration.",
        source="Odena et al. (2021), figure 4",
        paper={},
        metric="log10_tried",
        unit="log10 of expressions tried",
        arms=("heuristics", "none"),
        scales=_BUDGETS,
        comparisons=(Superiority("heuristics", over="none", metric="log10_tried", lower_is_better=True),),
        run=tasks_within_budget,
        index=("seed", "training_seed"),
        note=_SETS,
        figure=draw_solved,
    ),
    Claim(
        name="model",
        statement="The model finds formulas among fewer expressions than no model, and model and heuristics together "
        "among fewer than either alone.",
        source="Odena et al. (2021), figure 4",
        paper={},
        metric="log10_tried",
        unit="log10 of expressions tried",
        arms=("both", "model", "heuristics", "none"),
        scales=_BUDGETS,
        comparisons=(
            Superiority("model", over="none", metric="log10_tried", lower_is_better=True),
            Superiority("both", over="model", metric="log10_tried", lower_is_better=True),
            Superiority("both", over="heuristics", metric="log10_tried", lower_is_better=True),
        ),
        run=tasks_within_budget,
        index=("seed", "training_seed"),
        note=f"{_SETS} Each training seed has searches, data and weights of its own; a task's value is the mean over "
        "them. Laptop scale trains at a rate of 1e-3 for some passes instead of 1e-5 for 1000.",
        figure=draw_solved,
    ),
    Claim(
        name="wall_clock",
        statement="The model pays for itself in time: formulas are found in fewer seconds than without it.",
        source="Odena et al. (2021), figure 5",
        paper={},
        metric="log10_seconds",
        unit="log10 of seconds",
        arms=("both", "model", "heuristics", "none"),
        scales={
            "smoke": Scale({"tasks": "own", "budget": 100_000, "timeout": 1.0, **_SMOKE_TRAINING}, seeds=40, chunk=40),
            "laptop": Scale(
                {"tasks": "paper", "budget": 100_000_000, "timeout": 2.0, **_TRAINING, "training_seeds": 1},
                seeds=_TASKS,
                chunk=32,
            ),
            "paper": Scale(
                {"tasks": "paper", "budget": 1_000_000_000, "timeout": 60.0, **_PAPER_TRAINING}, seeds=_TASKS, chunk=32
            ),
        },
        comparisons=(
            Superiority("model", over="none", metric="log10_seconds", lower_is_better=True),
            Superiority("both", over="heuristics", metric="log10_seconds", lower_is_better=True),
        ),
        run=tasks_within_time,
        index=("seed", "training_seed"),
        note="A task that is not solved counts with the whole limit. Wall time of one thread, other work on the "
        "machine included. The network runs once for each different signature, on the CPU.",
        figure=draw_solved,
    ),
    Claim(
        name="separation",
        statement="The model gives parts of a task's solution higher probabilities than other values.",
        source="Odena et al. (2021), figure 6",
        paper={},
        metric="auc",
        unit="area under the ROC curve",
        arms=("model",),
        scales={
            "smoke": Scale({"tasks": "own", "budget": 100_000, **_SMOKE_TRAINING}, seeds=8, chunk=8),
            "laptop": Scale({"tasks": "paper", "budget": 1_000_000, **_TRAINING}, seeds=44, chunk=44),
            "paper": Scale({"tasks": "paper", "budget": 1_000_000, **_PAPER_TRAINING}, seeds=44, chunk=44),
        },
        comparisons=(Threshold("model", metric="auc", bound=0.5),),
        run=separation,
        index=("seed", "training_seed"),
        note="The 44 tasks that a plain search solves with at least one part. The paper draws histograms of the "
        "probabilities; the area says the same in one number.",
    ),
    Claim(
        name="premises",
        statement="Leaving out the two least likely operations changes little: fewer than 1.6 times more or less "
        "expressions.",
        source="Odena et al. (2021), section 4.4",
        paper={},
        metric="log10_tried",
        unit="log10 of expressions tried",
        arms=PREMISE_ARMS,
        scales=_BUDGETS,
        comparisons=(
            Equivalence("premises", to="none", metric="log10_tried", margin=0.2),
            Equivalence("premises_both", to="both", metric="log10_tried", margin=0.2),
        ),
        run=tasks_within_budget,
        index=("seed", "training_seed"),
        note=f"{_SETS} Labels are the operations of the target expression; the released code has those of its part, "
        "and an error that keeps it from running. An operation that is needed and left out loses the task.",
        figure=draw_solved,
    ),
]
