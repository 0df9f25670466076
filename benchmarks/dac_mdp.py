"""DAC-MDP against its authors' operator and against other solvers, on the same work.

    python benchmarks/dac_mdp.py [--quick] [--json]

Prints rows `name, ours, peer, unit, ratio, note`; a ratio above 1 means that ours is better. Peers:

- the authors' operator in torch, restated: a sweep gathers the values of all successors, multiplies them and the
  rewards less the penalties by the weights, sums, and takes the largest over the actions; a solve makes blocks of 250
  sweeps and looks at the change after each. Around it, their example: a KD tree of all pairs, k-means of all actions;
  and the same with what ours takes by default, weights of inverse distances and pairs by the states they lead to;
- the same look-ahead with scikit-learn's NearestNeighbors of each action;
- quantecon and pymdptoolbox, which solve tabular MDPs from explicit matrices, in an environment of their own that the
  first run builds from `peers/dac_mdp.txt` (half a minute, not part of the time that --quick allows).

Results are compared first: where they differ by more than rounding or the certified bounds allow, the benchmark stops.
Measurements alternate between ours and the peer; a value is a median. Rows on one thread are CPU seconds, so that
other work on the machine disturbs them less; rows on all cores are wall time. Compilation is not counted.
"""

import contextlib
import json
import multiprocessing
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from peer_environment import PEERS, peer_python, plain_environment
from rows import Row, parse_arguments, print_rows
from scipy.spatial import cKDTree
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from rostra.engine.runtime import cores, peak_memory_mb
from rostra.fields.rl.transitions import TransitionDataset
from rostra.methods.dac_mdp import DACMDP, DACMDPContinuous, sweep
from rostra.methods.dac_mdp.data import cartpole_log, continuous_cartpole_log
from rostra.methods.dac_mdp.kernels import share_of, sweeps_for
from rostra.methods.dac_mdp.objective import INVERSE_DELTA, error_bound
from rostra.methods.dac_mdp.pairs import Tables
from rostra.methods.dac_mdp.solution import Solution
from rostra.methods.dac_mdp.solvers import TOL, Problem, Solved, solve_many, solve_values

GAMMA, K, COST = 0.99, 5, 1.0
BLOCK = 250
"""Sweeps of the authors' code between two looks at the change."""
CENTRES, NEAREST = 10, 5
"""Candidate actions of the authors' example: k-means centres, and actions at the nearest logged states."""
PAIR_WEIGHTS = (2.0, 1.0)
"""Of states and actions in the space of pairs."""
NEIGHBOURS, COSTS = (1, 5, 20), (0.0, 0.1, 1.0, 10.0, 100.0, 1000.0)
WALK_ACTIONS, WALK_DIMENSION, WALK_STEPS = 4, 8, 1000
TOLERANCE = 1e-4
Array = NDArray[np.floating]
Work = Callable[[], Any]


# ------------------------------------------------------- the authors' operator


@dataclass
class Operator:
    """The tensors of the authors' code: a number a successor, also for rewards and penalties."""

    successors: Tensor
    weights: Tensor
    rewards: Tensor
    penalties: Tensor

    @classmethod
    def of(
        cls, tables: Tables, rewards: Array, cost: float, terminal: NDArray[np.bool_], kind: str = "uniform"
    ) -> Self:
        """With weights of a kind, "uniform" or "inverse"; nothing is paid in end states, and nothing follows."""
        successors = torch.as_tensor(tables.successors.astype(np.int64))
        distances = torch.as_tensor(np.asarray(tables.distances, np.float32))
        weights = torch.ones_like(distances) if kind == "uniform" else 1 / (distances + INVERSE_DELTA)
        weights /= weights.sum(2, keepdim=True)
        found = cls(successors, weights, torch.as_tensor(rewards.astype(np.float32))[successors], cost * distances)
        for part in (found.successors, found.weights, found.rewards, found.penalties):
            part[torch.tensor(terminal)] = 0
        return found

    def sweep(self, values: Tensor, gamma: float = GAMMA) -> tuple[Tensor, Tensor]:
        """(new values, best actions)."""
        rewards = self.rewards - self.penalties
        after = torch.sum(torch.multiply(self.weights, values[self.successors]), dim=2)
        best = torch.max(torch.sum(torch.multiply(rewards, self.weights), dim=2) + gamma * after, dim=1)
        return best.values, best.indices

    def averaged(self) -> Tensor:
        """Rewards less penalties (N, A), which need not be averaged again in every sweep."""
        return torch.sum((self.rewards - self.penalties) * self.weights, dim=2)

    def lean_sweep(self, rewards: Tensor, values: Tensor, gamma: float = GAMMA) -> Tensor:
        """The same from :meth:`averaged`."""
        after = torch.sum(torch.multiply(self.weights, values[self.successors]), dim=2)
        return torch.max(rewards + gamma * after, dim=1).values

    def quickest(self, sweeps: int = 5) -> int:
        """On how many cores a sweep takes less time: the threads of torch wait badly where others use the machine."""
        values = torch.zeros(len(self.successors))
        needed = {}
        for count in {1, torch.get_num_threads()}:
            with threads(count):
                self.sweep(values)
                start = time.perf_counter()
                for _ in range(sweeps):
                    self.sweep(values)
                needed[count] = time.perf_counter() - start
        return min(needed, key=lambda count: needed[count])

    def solve(self, gamma: float = GAMMA, tol: float = TOL) -> tuple[Array, float, int]:
        """(values, last change, sweeps). The change is without a sign here; theirs has one, and stops too early."""
        values = torch.zeros(len(self.successors))
        sweeps, change = 0, float("inf")
        while change > tol:
            for _ in range(BLOCK):
                before, (values, _) = values, self.sweep(values, gamma)
            sweeps += BLOCK
            change = float((values - before).abs().max())
        return values.numpy(), change, sweeps


def rounding_of(values: Array, k: int) -> float:
    """By how much a sweep in single precision may be off, as for ours."""
    return (k + 3) * float(np.finfo(np.float32).eps) * float(np.abs(values).max(initial=1.0))


# ------------------------------------------------------- measuring


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """That torch, the compiled loops and the KD trees use inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def alternate(
    works: Mapping[str, tuple[Work, float]], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Times of several works in turn, each multiplied by its scale."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, (work, scale) in works.items():
            start = clock()
            work()
            times[name].append((clock() - start) * scale)
    return times


def repeated(work: Work, times: int) -> tuple[Work, float]:
    """A work of some repetitions, and the scale to milliseconds of one."""

    def run() -> None:
        for _ in range(times):
            work()

    return run, 1e3 / times


def row(name: str, unit: str, note: str, ours: Sequence[float], peer: Sequence[float]) -> Row:
    """Of times that were measured side by side."""
    ratios = [theirs / own for own, theirs in zip(ours, peer, strict=True)]
    spread = f"ratio {min(ratios):.3g} to {max(ratios):.3g} in {len(ratios)} rounds" if len(ratios) > 1 else "one round"
    own, theirs, ratio = (statistics.median(found) for found in (ours, peer, ratios))
    return Row(name, own, theirs, unit, ratio, f"{note}; {spread}")


def agree(what: str, own: Array, other: Array, allowed: float) -> float:
    """The largest difference, if it is small enough.

    Raises:
        SystemExit: if it is not.
    """
    difference = float(np.abs(np.asarray(own, float) - np.asarray(other, float)).max())
    if not difference <= allowed:
        raise SystemExit(f"{what}: the peer's result is another one; it differs by {difference:.2g} > {allowed:.2g}")
    return difference


def bandwidth(elements: int, rounds: int) -> float:
    """Bytes a second that one thread reads from memory, or reads and writes if that is more."""
    source = torch.ones(elements)
    target = torch.empty_like(source)
    works: dict[str, tuple[Work, float]] = {"read": (source.sum, 1.0), "copy": (lambda: target.copy_(source), 0.5)}
    alternate(works, 1)
    return source.nbytes / min(statistics.median(times) for times in alternate(works, rounds).values())


def size_of(problem: Problem) -> str:
    """As in "100k x 15 x 5": core states, actions, neighbours."""
    n, actions, k = problem.successors.shape
    return f"{n // 1000}k x {actions} x {k}" if n >= 1000 else f"{n} x {actions} x {k}"


# ------------------------------------------------------- sweeps and solves


def example_model() -> DACMDPContinuous:
    """15 candidate actions, 5 neighbours; uniform weights and states beside actions, as in the plain example."""
    return DACMDPContinuous(k=K, cost=COST, weights="uniform", gamma=GAMMA, scale=None, sa_encoder="concat")


def default_model() -> DACMDPContinuous:
    """The same with what is our default: inverse weights, and standardised states that pairs lead to."""
    return DACMDPContinuous(k=K, cost=COST, gamma=GAMMA)


MODELS = (example_model, default_model)


def built_example(n: int) -> tuple[DACMDPContinuous, Solution]:
    """The authors' example on n random transitions of the continuous cart-pole."""
    model = example_model().fit(continuous_cartpole_log(n, 0))
    return model, model.solution_


def with_random_successors(problem: Problem, tables: Tables) -> tuple[Problem, Tables]:
    """The same size, and the worst locality: successors anywhere in the log."""
    shape = problem.successors.shape
    successors = np.random.default_rng(0).integers(0, shape[0], shape).astype(np.int32)
    return problem._replace(successors=successors), tables._replace(successors=successors)


def one_sweep(
    solution: Solution, problem: Problem, tables: Tables, kind: str, speed: float, rounds: int, repeats: int = 10
) -> list[Row]:
    """A sweep over all core states and actions, one thread."""
    start = solution.values
    sweeps, slip = sweeps_for(problem.successors, problem.weights), np.float32(0)
    share = share_of(GAMMA, problem.successors, problem.weights)
    found, place, policy = np.zeros_like(start), start.copy(), np.zeros(len(start), np.int32)
    operator = Operator.of(tables, solution.rewards, COST, problem.terminal)
    rewards = operator.averaged()  # of random successors they are not those of the model
    problem = problem._replace(reward=rewards.numpy())
    before = torch.as_tensor(start)
    with threads(1):
        sweeps.jacobi(start, found, policy, *problem, share, slip)
        sweeps.in_place(place, policy, *problem, share, slip)
        difference = agree(f"a sweep, {kind}", found, operator.sweep(before)[0].numpy(), TOLERANCE)
        agree(f"a lean sweep, {kind}", found, operator.lean_sweep(rewards, before).numpy(), TOLERANCE)
        works = {
            "not in place": repeated(lambda: sweeps.jacobi(start, found, policy, *problem, share, slip), repeats),
            "in place": repeated(lambda: sweeps.in_place(place, policy, *problem, share, slip), repeats),
            "peer": repeated(lambda: operator.sweep(before), 1),
            "lean": repeated(lambda: operator.lean_sweep(rewards, before), 1),
        }
        times = alternate(works, rounds)
    # uniform weights are no array
    floor = 1e3 * (problem.successors.nbytes + problem.reward.nbytes + start.nbytes) / speed
    rows = []
    for name in ("not in place", "in place"):
        own = statistics.median(times[name])
        lean = statistics.median(theirs / mine for mine, theirs in zip(times[name], times["lean"], strict=True))
        note = (
            f"{kind}, one thread; the bytes that must be read take {floor:.2g} ms at the measured {speed / 1e9:.3g} "
            f"GB/s, {floor / own:.0%} of our time; {lean:.3g} times faster than the operator with rewards averaged once"
        )
        note += f"; a sweep not in place agrees to {difference:.0e}" if name == "not in place" else ""
        title = f"one sweep {name}, {size_of(problem)}, {kind}"
        rows.append(row(title, "CPU ms", note, times[name], times["peer"]))
    return rows


def one_solve(solution: Solution, tables: Tables, rounds: int) -> Row:
    """Until no value changes by more than 1e-3, one thread."""
    problem = solution.problem
    operator = Operator.of(tables, solution.rewards, COST, problem.terminal)
    found: dict[str, Any] = {}

    def ours() -> None:
        found["ours"] = solve_values(problem, GAMMA)

    def theirs() -> None:
        found["peer"] = operator.solve()

    with threads(1):
        ours()
        times = alternate({"ours": (ours, 1.0), "peer": (theirs, 1.0)}, rounds)
    own: Solved = found["ours"]
    values, change, sweeps = found["peer"]
    bound = error_bound(change, GAMMA, rounding_of(values, problem.successors.shape[2]))
    difference = agree("a solve", own.values, values, own.error_bound + bound)
    note = (
        f"modified policy iteration, {own.sweeps} sweeps of all actions, against {sweeps} sweeps of the operator, one "
        f"thread; values differ by {difference:.2g}, certified errors are {own.error_bound:.2g} and {bound:.2g}"
    )
    return row(f"solve, {size_of(problem)}", "CPU s", note, times["ours"], times["peer"])


# ------------------------------------------------------- build and solve


def plain_candidates(states: Array, actions: Array, after: Array) -> Array:
    """The example's candidate actions (n, 15, m) of the states ``after``."""
    _, nearest = cKDTree(states).query(after, NEAREST, workers=torch.get_num_threads())
    centres = KMeans(CENTRES, random_state=0).fit(actions).cluster_centers_.astype(actions.dtype)
    return np.concatenate([actions[nearest], np.broadcast_to(centres, (len(after), *centres.shape))], axis=1)


def plain_states(log: TransitionDataset, model: DACMDPContinuous) -> tuple[Array, Array]:
    """(states, states after them) of a log, as the model's setting scales them."""
    scale = 1 if model.scale is None else log.observations.std(0, dtype=np.float64).astype(np.float32)
    return log.observations / scale, log.next_observations / scale


def plain_tables(log: TransitionDataset, model: DACMDPContinuous, candidates: Array) -> Tables:
    """Neighbours among all logged pairs, by an exact KD tree, in the setting of a model, which need not be fitted.

    Pairs are states and actions side by side with their weights; or, with "delta", the state that a pair leads to if it
    moves as the logged pair does that is nearest to it side by side.
    """
    (states, after), actions, workers = plain_states(log, model), log.actions, torch.get_num_threads()
    n, count, size = candidates.shape
    begun = np.repeat(after, count, axis=0)
    logged = np.concatenate([PAIR_WEIGHTS[0] * states, PAIR_WEIGHTS[1] * actions], axis=1)
    asked = np.concatenate([PAIR_WEIGHTS[0] * begun, PAIR_WEIGHTS[1] * candidates.reshape(-1, size)], axis=1)
    if model.sa_encoder == "delta":
        moves = after - states
        asked = begun + moves[cKDTree(logged).query(asked, workers=workers)[1]]
        logged = states + moves
    distances, found = cKDTree(logged).query(asked, K, workers=workers)
    shape = (n, count, K)
    return Tables(found.reshape(shape), distances.reshape(shape), np.full(count, K), candidates)


def plain_example(log: TransitionDataset, model: DACMDPContinuous) -> tuple[Array, float]:
    """The example's values in the setting of a model, and the last change."""
    states, after = plain_states(log, model)
    tables = plain_tables(log, model, plain_candidates(states, log.actions, after))
    operator = Operator.of(tables, log.rewards, COST, log.terminals, model.weights)
    with threads(operator.quickest()):
        return operator.solve()[:2]


def build_and_solve(n: int, rounds: int, make: Callable[[], DACMDPContinuous] = example_model) -> Row:
    """The authors' example, from the log to the values, all cores; in their setting, or in another."""
    make().fit(continuous_cartpole_log(500, 0))  # which compiles
    log = continuous_cartpole_log(n, 0)
    found: dict[str, Any] = {}

    def ours() -> None:
        start = time.process_time()
        found["ours"] = make().fit(log)
        found["cpu"] = time.process_time() - start

    def theirs() -> None:
        found["peer"] = plain_example(log, make())

    with threads(cores()):
        times = alternate({"ours": (ours, 1.0), "peer": (theirs, 1.0)}, rounds, time.perf_counter)
        model = found["ours"]
        again = plain_tables(log, model, model.tables_.actions)
    agree("distances to neighbours", model.tables_.distances, again.distances, TOLERANCE)
    alive = ~log.terminals
    gap = float(np.abs(model.solution_.values - found["peer"][0])[alive].mean())
    mean = float(model.solution_.values[alive].mean())
    note = (
        f"continuous CartPole, {n:,} random transitions, {cores()} cores; ours in the last round: build "
        f"{model.build_seconds_:.2g} s, solve {model.solution_.seconds:.2g} s, {found['cpu']:.2g} CPU s; peer: its "
        f"sweeps on the number of cores on which they were quicker; {model.weights} weights, pairs by "
        f"'{model.sa_encoder}'; from the same candidate actions the same neighbours; k-means on a sample of the "
        f"actions (peer: on all) moves values by {gap:.2g} in the mean, which is {mean:.3g}"
    )
    name = f"build and solve, {size_of(model.solution_.problem)}, {model.weights} weights"
    return row(name, "wall s", note, times["ours"], times["peer"])


def plain_discrete_tables(log: TransitionDataset, k: int) -> Tables:
    """Neighbours among the logged states of each action, standardised, by exact KD trees."""
    scale = log.observations.std(0, dtype=np.float64).astype(np.float32)
    states, after = log.observations / scale, log.next_observations / scale
    assert log.action_count is not None
    distances = np.empty((len(log), log.action_count, k), np.float32)
    successors = np.empty(distances.shape, np.int32)
    for action in range(log.action_count):
        own = np.flatnonzero(log.actions == action)
        asked = np.arange(1, k + 1)  # else one neighbour has no axis of its own
        distances[:, action], found = cKDTree(states[own]).query(after, asked, workers=torch.get_num_threads())
        successors[:, action] = own[found]
    return Tables(successors, distances, np.full(log.action_count, k), np.arange(log.action_count))


def many_settings(n: int, rounds: int, measured_sweeps: int = 10) -> Row:
    """18 models of one log, all cores. The peer's are built alone; a few of its sweeps are measured, and scaled."""
    log = cartpole_log("random", n, 0)
    grid = {"k": NEIGHBOURS, "cost": COSTS}
    sweep(cartpole_log("random", 500, 0), {"k": (1, 2), "cost": (0.0, 1.0)})  # which compiles
    needed: dict[int, int] = {}
    with threads(cores()):
        model = DACMDP(k=max(NEIGHBOURS)).build(log)
        for k in NEIGHBOURS:
            solved = [model.narrowed(k).solve(cost=cost, method="jacobi").sweeps for cost in COSTS]
            needed[k] = sum(-(-sweeps // BLOCK) * BLOCK for sweeps in solved)  # the operator's sweeps are these

        tables: dict[int, Tables] = {}

        def theirs() -> float:
            total = 0.0
            for k in NEIGHBOURS:
                start = time.perf_counter()
                tables[k] = plain_discrete_tables(log, k)
                total += len(COSTS) * (time.perf_counter() - start)
                operator = Operator.of(tables[k], log.rewards, COST, log.terminals)
                with threads(operator.quickest()):
                    values = operator.sweep(torch.zeros(n))[0]
                    start = time.perf_counter()
                    for _ in range(measured_sweeps):
                        values, _ = operator.sweep(values)
                    total += needed[k] / measured_sweeps * (time.perf_counter() - start)
            return total

        ours, peer = [], []
        for _ in range(rounds):
            start = time.perf_counter()
            found = sweep(log, grid)
            ours.append(time.perf_counter() - start)
            peer.append(theirs())
    for k in NEIGHBOURS:
        same = model.narrowed(k).tables_.distances
        agree(f"distances to {k} neighbours", same, tables[k].distances, TOLERANCE)
    note = (
        f"random CartPole log, k in {NEIGHBOURS}, C in {tuple(int(c) if c >= 1 else c for c in COSTS)}, {cores()} "
        f"cores; ours: one build, {found.build_seconds:.2g} s in the last round; peer: 18 builds and "
        f"{sum(needed.values()):,} sweeps (those that it takes, counted), scaled from 3 builds and "
        f"{3 * measured_sweeps} sweeps on the number of cores on which they were quicker; the same neighbours"
    )
    return row(f"{len(COSTS)} x {len(NEIGHBOURS)} sweep, {n // 1000}k rows", "wall s", note, ours, peer)


# ------------------------------------------------------- a large log


def walk_log(n: int, seed: int, pull: float) -> TransitionDataset:
    """Random walks of 1,000 steps in 8 dimensions; the four actions push the first two, and 0 is best.

    Args:
        n: transitions, a multiple of 1,000.
        seed: of starts, actions and noise.
        pull: share by which a state falls back towards 0. With none, walks part, and neighbours lie along one walk;
            with some, all fill one cloud, which is the hardest for a search.
    """
    rng = np.random.default_rng(seed)
    walks = n // WALK_STEPS
    pushes = np.zeros((WALK_ACTIONS, WALK_DIMENSION))
    pushes[(0, 1, 2, 3), (0, 0, 1, 1)] = (0.1, -0.1, 0.1, -0.1)
    states = np.empty((walks, WALK_STEPS + 1, WALK_DIMENSION), np.float32)
    actions = rng.integers(0, WALK_ACTIONS, (walks, WALK_STEPS))
    now = rng.standard_normal((walks, WALK_DIMENSION))
    states[:, 0] = now
    for step in range(WALK_STEPS):
        now = (1 - pull) * now + pushes[actions[:, step]] + 0.1 * rng.standard_normal(now.shape)
        states[:, step + 1] = now
    cut = np.zeros((walks, WALK_STEPS), bool)
    cut[:, -1] = True
    flat = (n, WALK_DIMENSION)
    return TransitionDataset.from_arrays(
        states[:, :-1].reshape(flat),
        actions.ravel(),
        -np.abs(states[:, 1:, :2]).sum(-1).ravel(),
        states[:, 1:].reshape(flat),
        np.zeros(n, bool),
        cut.ravel(),
        np.repeat(np.arange(walks), WALK_STEPS),
        WALK_ACTIONS,
    )


def _large(n: int, pull: float) -> dict[str, float]:
    warnings.simplefilter("ignore")
    DACMDP(k=K).fit(walk_log(WALK_STEPS, 1, pull))  # which compiles
    log = walk_log(n, 0, pull)
    start, cpu = time.perf_counter(), time.process_time()
    model = DACMDP(k=K, cost=COST, gamma=GAMMA).fit(log)
    found = {"wall": time.perf_counter() - start, "cpu": time.process_time() - cpu, "memory": peak_memory_mb()}
    return found | {"solve": model.solution_.seconds, "sweeps": model.solution_.sweeps}


def large_log(n: int, pull: float) -> list[Row]:
    """Build and solve in a process of its own, whose peak of memory counts the log and the libraries."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(_large, n, pull).result()
    shape = "walks that part" if pull == 0 else "one cloud"
    name = f"{n:,} transitions, {shape}"
    note = (
        f"build and solve, {WALK_ACTIONS} actions, k {K}, {WALK_DIMENSION} dimensions, {cores()} cores, "
        f"{found['cpu']:.3g} CPU s; {found['solve']:.2g} s of it to solve; measured once; no peer: the authors' code "
        "needs a GPU"
    )
    memory = "peak of the process, with the log and all libraries; no peer"
    return [
        Row(name, found["wall"], None, "wall s", None, note),
        Row(f"{name}, memory", found["memory"], None, "MB", None, memory),
    ]


# ------------------------------------------------------- acting


class PlainLookAhead:
    """The policy with scikit-learn's neighbours of each action, and NumPy."""

    def __init__(self, solution: Solution) -> None:
        log = solution.model.dataset_
        assert log.action_count is not None
        self.scale, self.rewards, self.values = solution.model.scale_, solution.rewards, solution.values
        self.rows = [np.flatnonzero(log.actions == action) for action in range(log.action_count)]
        states = log.observations / self.scale
        self.indexes = [NearestNeighbors(n_neighbors=K, n_jobs=cores()).fit(states[rows]) for rows in self.rows]

    def q_values(self, observations: Array) -> Array:
        """(n, A)."""
        columns = []
        for rows, index in zip(self.rows, self.indexes, strict=True):
            distances, found = index.kneighbors(observations / self.scale)
            after = rows[found]
            columns.append((self.rewards[after] - COST * distances + GAMMA * self.values[after]).mean(1))
        return np.stack(columns, axis=1)

    def act(self, observations: Array) -> NDArray[np.int64]:
        """(n,)."""
        return self.q_values(observations).argmax(1)


def acting(n: int, batch: int, rounds: int) -> Row:
    """States a second that a policy answers, all cores."""
    solution = DACMDP(k=K, cost=COST, gamma=GAMMA).fit(cartpole_log("random", n, 0)).solution_
    plain = PlainLookAhead(solution)
    asked = cartpole_log("mixed", batch, 1).observations
    with threads(cores()):
        solution.act(asked[:10])
        difference = agree(
            "Q", solution.q_values(asked), plain.q_values(asked), TOLERANCE * (1 + solution.values.max())
        )
        works: dict[str, tuple[Work, float]] = {
            "ours": (lambda: solution.act(asked), 1 / batch),
            "peer": (lambda: plain.act(asked), 1 / batch),
        }
        times = alternate(works, rounds, time.perf_counter)
    note = f"CartPole, batches of {batch:,} states, k {K}, {cores()} cores; Q agrees to {difference:.0e}"
    found = row(f"act(), log of {n // 1000}k", "1/s", note, times["ours"], times["peer"])
    assert found.peer is not None
    found.ours, found.peer = 1 / found.ours, 1 / found.peer  # more is better; the ratio stays
    return found


# ------------------------------------------------------- tabular solvers


def ask_peers(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What quantecon and pymdptoolbox find, and how long that took them, in their own environment."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.npz"
        np.savez(file, **data)
        command = [peer_python("dac_mdp"), PEERS / "dac_mdp.py", file]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=plain_environment())
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it ended without a word"]
        raise SystemExit(f"the peer did not run: {said[-1]}")
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def tabular(
    n: int, rounds: int, ask: Callable[[Mapping[str, Any]], dict[str, dict[str, Any]]] = ask_peers
) -> list[Row]:
    """Solvers of explicit matrices, one thread, at one epsilon."""
    solution = DACMDP(k=K, cost=COST, gamma=GAMMA).fit(cartpole_log("random", n, 0)).solution_
    problem = solution.problem
    # with which quantecon's value iteration stops at our largest change
    epsilon = 2 * GAMMA / (1 - GAMMA) * TOL
    data = {**problem._asdict(), "gamma": GAMMA, "epsilon": epsilon}
    own: list[float] = []
    found: list[dict[str, dict[str, Any]]] = []
    with threads(1):
        solved = solve_values(problem, GAMMA)
        for _ in range(rounds):
            own += alternate({"ours": repeated(lambda: solve_values(problem, GAMMA), 20)}, 1)["ours"]
            found.append(ask(data))
    rows = []
    for name in found[0]:
        allowed = solved.error_bound + epsilon / 2
        difference = agree(name, solved.values, np.array(found[0][name]["values"]), allowed)
        setup = statistics.median(answer[name]["setup"] for answer in found)
        note = (
            f"random CartPole log, {size_of(problem)}, one thread, imports and compilation not counted; peer: sparse "
            f"matrices, which with all checks take it another {1e3 * setup:.3g} CPU ms that are not counted; epsilon "
            f"{epsilon:.3g}, values differ by {difference:.2g}"
        )
        if name.startswith("pymdptoolbox"):
            note += " once the constant that its stop by the span leaves open is added"
        if name == "pymdptoolbox, modified policy iteration":
            note += "; it makes a dense matrix of every policy"
        rows.append(row(name, "CPU ms", note, own, [1e3 * answer[name]["seconds"] for answer in found]))
    return rows


# ------------------------------------------------------- several problems at once


def several_problems(solution: Solution, rounds: int, count: int = 8) -> list[Row]:
    """Several costs in one pass over the neighbours against one after another, one thread."""
    costs = np.geomspace(0.1, 10, count)
    single = []
    for cost in costs:
        rewards = solution.model._mean_rewards(solution.rewards, cost, solution.problem.weights)
        single.append(solution.problem._replace(reward=rewards))
    together = solution.problem._replace(reward=np.stack([problem.reward for problem in single], axis=2))
    found: dict[str, list[Solved]] = {}

    def at_once() -> None:
        found["at once"] = solve_many(together, [GAMMA] * count)

    def alone(method: str) -> Work:
        def run() -> None:
            found[method] = [solve_values(problem, GAMMA, method=method) for problem in single]

        return run

    works: dict[str, tuple[Work, float]] = {
        "at once": (at_once, 1.0),
        "gauss-seidel": (alone("gauss-seidel"), 1.0),
        "modified": (alone("modified"), 1.0),
    }
    with threads(1):
        for work, _ in works.values():
            work()
        times = alternate(works, rounds)
    for method in ("gauss-seidel", "modified"):
        for one, other in zip(found["at once"], found[method], strict=True):
            agree(f"{count} costs, {method}", one.values, other.values, one.error_bound + other.error_bound)
    rows = []
    for method, title in (("gauss-seidel", "sweeps in place"), ("modified", "modified policy iteration")):
        pays = statistics.median(times[method]) > statistics.median(times["at once"])
        note = (
            f"{size_of(solution.problem)}, one thread; ours: all at once, {found['at once'][0].sweeps} sweeps in "
            f"place; peer: one after another, {sum(one.sweeps for one in found[method])} sweeps of all actions: "
            f"{'at once' if pays else 'one after another'} pays; values agree within the certified errors"
        )
        rows.append(row(f"{count} costs at once against {title}", "CPU s", note, times["at once"], times[method]))
    return rows


# ------------------------------------------------------- the table


def main() -> None:
    arguments = parse_arguments("DAC-MDP against its peers, on the same work.")
    warnings.simplefilter("ignore")
    quick = arguments.quick
    peer_python("dac_mdp")
    # first, while this process is small: a new one begins with the peak of memory of the one that started it
    large = large_log(20_000 if quick else 1_000_000, 0.0)
    if not quick:
        large += large_log(1_000_000, 0.02)
    with threads(1):
        speed = bandwidth(1 << 26, 5)
    rows = []
    with threads(cores()):
        model, solution = built_example(20_000 if quick else 100_000)
    rounds = 3 if quick else 9
    rows += one_sweep(solution, solution.problem, model.tables_, "real successors", speed, rounds)
    scattered = with_random_successors(solution.problem, model.tables_)
    rows += one_sweep(solution, *scattered, "random successors", speed, rounds)
    with threads(cores()):
        model, solution = built_example(3_000 if quick else 25_000)
    rows.append(one_solve(solution, model.tables_, 1 if quick else 3))
    rows += [build_and_solve(3_000 if quick else 25_000, 1 if quick else 3, make) for make in MODELS]
    rows.append(many_settings(5_000 if quick else 100_000, 1 if quick else 3))
    rows += large
    rows += [acting(n, 20_000, 3 if quick else 7) for n in ((10_000,) if quick else (10_000, 100_000))]
    rows += tabular(1_000 if quick else 5_000, 1 if quick else 2)
    rows += several_problems(solution, 1 if quick else 5)
    print_rows(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
