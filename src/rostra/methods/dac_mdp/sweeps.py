"""Many settings of one log: neighbours are searched once, and every setting is solved and judged on the same terms."""

__all__ = ["DEFAULT_COSTS", "DEFAULT_NEIGHBOURS", "SweepResult", "actions_on_log", "cost_unit", "sweep"]

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rostra.engine.errors import InputError
from rostra.engine.progress import progress
from rostra.fields.rl.transitions import TransitionDataset

from .agent import DACMDP
from .solution import Solution

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

DEFAULT_NEIGHBOURS = (1, 5, 20)
DEFAULT_COSTS = (0.0, 0.01, 0.1, 1.0, 10.0)
"""In units of :func:`cost_unit`."""
GRID = ("k", "cost", "relative_cost", "gamma", "slip")


@dataclass
class SweepResult:
    """What a sweep found.

    Attributes:
        table: a row a setting: k, cost, gamma, slip; ``mean`` and ``standard_error`` of the evaluator's measure (NaN
            without one); ``mean_value``, of core states; ``penalty``, the mean discounted cost paid along the policy;
            ``error_bound``, ``sweeps``, ``seconds`` of the solve; ``residual`` of a fitted Q evaluation.
        best: the solution of the highest mean; of equal ones the first.
        best_row: its row of the table.
        build_seconds: of the one build, at the largest k.
        compared: number of settings that the best one was chosen from: its mean is optimistic by that choice.
    """

    table: pd.DataFrame
    best: Solution
    best_row: int
    build_seconds: float
    compared: int


def cost_unit(model: DACMDP) -> float:
    """The cost at which the median neighbour takes a mean reward away: a scale for C that features and rewards share.

    Mean absolute reward over the median distance of a core state to its nearest neighbour of an action; distances of 0,
    which cost nothing at any C, are left out. 1 if no reward or no distance is above 0.
    """
    alive = ~model.dataset_.terminals
    distances = model.tables_.distances[:, :, 0][alive][:, model.tables_.counts > 0]
    reward = float(np.abs(model.dataset_.rewards).mean())
    positive = distances[distances > 0]
    return reward / float(np.median(positive)) if reward > 0 and len(positive) else 1.0


def sweep(
    dataset: TransitionDataset,
    grid: Mapping[str, Sequence[float]] | None = None,
    evaluator: "str | VectorEnv[Any, Any, Any] | Callable[[Solution], float] | None" = None,
    *,
    model: DACMDP | None = None,
    episodes: int = 20,
    seed: int = 0,
    lookup: str = "lookahead",
    max_steps: int | None = None,
) -> SweepResult:
    """Build once, and solve and judge every setting of a grid.

    Args:
        dataset: the log.
        grid: values by name: "k", "cost" (or "relative_cost", in units of :func:`cost_unit`), "gamma", "slip"; those
            left out are the model's. None: k in 1, 5, 20 and relative costs 0, 0.01, 0.1, 1, 10.
        evaluator: a Gymnasium id or vector environment, played for ``episodes`` episodes with the same seeds for every
            setting; "fqe": fitted Q evaluation on the log, where there is no environment; a function of a solution;
            None: none, and the best is the setting of the highest mean planned value, which favours low costs.
        model: whose encoder, scale, weights and index are used; None: :class:`.DACMDP` as it comes.
        episodes: that an environment is played for, a setting.
        seed: of the episodes, and of the fitted Q evaluation.
        lookup: of the policies that are played.
        max_steps: cuts longer episodes; some environments have no end of their own.

    Raises:
        InputError: for another name in the grid, an empty list, or values out of range.
    """
    model = DACMDP() if model is None else model
    settings = _settings(grid, model)
    if evaluator == "fqe":
        _check_fqe(dataset, settings)
    largest = max(int(own["k"]) for own in settings)
    if hasattr(model, "tables_") and model.k >= largest and model.dataset_ is dataset:
        built = model
    else:
        built = _with_neighbours(model, largest).build(dataset)
    unit = cost_unit(built)
    for own in settings:
        if "relative_cost" in own:
            own["cost"] = own.pop("relative_cost") * unit
    order = sorted(
        range(len(settings)), key=lambda i: tuple(settings[i][name] for name in ("k", "gamma", "slip", "cost"))
    )
    rows: dict[int, dict[str, float]] = {}
    policies: dict[int, tuple[Any, Any]] = {}
    best: tuple[float, int, Solution] | None = None
    narrow, before = built, None
    for i in progress(order, "sweep", total=len(order)):
        own = settings[i]
        if narrow.k != own["k"]:
            narrow, before = built.narrowed(int(own["k"])), None
        solution = narrow.solve(gamma=own["gamma"], cost=own["cost"], slip=own["slip"], initial=before)
        before = solution  # of the next lower cost: close to the next one's values
        row = own | {
            "mean": np.nan,
            "standard_error": np.nan,
            "mean_value": _mean(solution.values, solution),
            "penalty": _mean(solution.penalty, solution),
            "error_bound": solution.error_bound,
            "sweeps": solution.sweeps,
            "seconds": solution.seconds,
        }
        if evaluator == "fqe":
            policies[i] = actions_on_log(solution, lookup)
        elif evaluator is not None:
            row |= _judged(solution, evaluator, episodes, seed, lookup, max_steps)
        rows[i] = row
        score = row["mean"] if evaluator not in (None, "fqe") else row["mean_value"]
        if evaluator != "fqe" and (best is None or (score, -i) > (best[0], -best[1])):
            best = (score, i, solution)
    if evaluator == "fqe":
        best = _judge_by_log(dataset, built, settings, rows, policies, seed)
    assert best is not None
    table = pd.DataFrame([rows[i] for i in range(len(settings))])
    return SweepResult(table, best[2], best[1], built.build_seconds_, len(settings))


def _settings(grid: Mapping[str, Sequence[float]] | None, model: DACMDP) -> list[dict[str, float]]:
    """Every combination, in the order of the grid's values."""
    grid = {"k": DEFAULT_NEIGHBOURS, "relative_cost": DEFAULT_COSTS} if grid is None else dict(grid)
    for name, values in grid.items():
        if name not in GRID:
            raise InputError(f"a sweep takes {', '.join(GRID)}; got '{name}'")
        if not len(values):
            raise InputError(f"the sweep has no value for '{name}'")
    if "cost" in grid and "relative_cost" in grid:
        raise InputError("give cost or relative_cost, not both")
    for value in grid.get("k", ()):
        if not 1 <= value < np.inf or value != int(value):
            raise InputError(f"k must be whole numbers of 1 or more, got {value}")
    settings: list[dict[str, float]] = [{"gamma": model.gamma, "slip": 0.0, "k": model.k}]
    if "relative_cost" not in grid:
        settings[0]["cost"] = model.cost
    for name, values in grid.items():
        settings = [own | {name: value} for own in settings for value in values]
    return [{**own, "k": int(own["k"])} for own in settings]


def _with_neighbours(model: DACMDP, k: int) -> DACMDP:
    """The same settings, not built, with another k."""
    other = copy.copy(model)
    for name in [name for name in vars(model) if name.endswith("_")]:
        delattr(other, name)
    other.k = k
    return other


def _mean(values: NDArray[np.floating], solution: Solution) -> float:
    """Over the core states that are no end states; 0 if there is none."""
    alive = ~solution.problem.terminal
    return float(values[alive].mean()) if alive.any() else 0.0


def _check_fqe(dataset: TransitionDataset, settings: Sequence[Mapping[str, float]]) -> None:
    if not dataset.is_discrete:
        raise InputError("fitted Q evaluation takes discrete actions; judge by an environment or a function")
    if len({own["gamma"] for own in settings}) > 1:
        raise InputError("fitted Q evaluation compares policies of one discount; give one gamma")


def _judged(
    solution: Solution, evaluator: Any, episodes: int, seed: int, lookup: str, max_steps: int | None
) -> dict[str, float]:
    if callable(evaluator):
        return {"mean": float(evaluator(solution))}
    from rostra.fields.rl.evaluation import evaluate

    def policy(observations: NDArray[Any]) -> Any:
        return solution.act(observations, lookup=lookup)

    found = evaluate(policy, evaluator, episodes, seed, max_steps=max_steps)
    return {"mean": found.mean, "standard_error": found.standard_error}


def actions_on_log(
    solution: Solution, lookup: str = "lookahead", k_pi: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A policy's actions at the log's next states, (N,), and at its first states, (episodes,).

    Where an episode ended no action matters, and none may be allowed: it is 0 there.

    Raises:
        InputError: for continuous actions, or the look-up "soft", which draws.
    """
    dataset = solution.model.dataset_
    if not dataset.is_discrete:
        raise InputError("fitted Q evaluation takes discrete actions; play the policy in an environment")
    if lookup == "soft":
        raise InputError("fitted Q evaluation judges policies that do not draw; 'soft' does")
    actions = np.zeros(len(dataset), np.int64)
    alive = np.flatnonzero(~dataset.terminals)
    for part in np.array_split(alive, max(1, len(alive) // 65_536)):
        if len(part):
            actions[part] = solution.act(dataset.states[dataset.successor[part]], lookup=lookup, k_pi=k_pi)
    return actions, solution.act(dataset.states[dataset.initial_states()], lookup=lookup, k_pi=k_pi)


def _judge_by_log(
    dataset: TransitionDataset,
    built: DACMDP,
    settings: Sequence[Mapping[str, float]],
    rows: dict[int, dict[str, float]],
    policies: Mapping[int, tuple[Any, Any]],
    seed: int,
) -> tuple[float, int, Solution]:
    """Fitted Q evaluation, of all policies of one discount at once; the best by its value is solved again."""
    from .off_policy import fitted_q_evaluation

    chosen = sorted(policies)
    found = fitted_q_evaluation(
        dataset,
        np.stack([policies[i][0] for i in chosen]),
        np.stack([policies[i][1] for i in chosen]),
        settings[0]["gamma"],
        encoder=None if built.encoder is None else built.features_of,
        seed=seed,
    )
    for place, i in enumerate(chosen):
        rows[i]["mean"] = float(found.values[place])
        rows[i]["standard_error"] = float(found.standard_errors[place])
        rows[i]["residual"] = float(found.residuals[place])
    best = max(chosen, key=lambda i: (rows[i]["mean"], -i))
    own = settings[best]
    solution = built.narrowed(int(own["k"])).solve(gamma=own["gamma"], cost=own["cost"], slip=own["slip"])
    return rows[best]["mean"], best, solution
