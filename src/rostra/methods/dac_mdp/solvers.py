"""Solvers of the derived MDP: value iteration in place or not, modified policy iteration, several problems at once.

All stop when no value changes by more than ``tol`` in a sweep over all actions, and report a bound on the distance to
the exact values that follows from the last change.
"""

__all__ = ["BACKENDS", "METHODS", "Problem", "Solved", "policy_values", "solve_many", "solve_sharded", "solve_values"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rostra.engine.errors import InputError, JobError
from rostra.engine.progress import Advance

from . import objective

METHODS = ("modified", "gauss-seidel", "jacobi")
BACKENDS = ("numba", "numpy", "torch", "torch.distributed")
EVALUATIONS = 20
"""Sweeps of the chosen actions alone between two sweeps of all: modified policy iteration's m."""
MAX_SWEEPS = 100_000
TOL = 1e-3
"""As the authors' code."""
SPACING = 2e-6
"""Of single precision, with room for the rounding of a backup: values of size 1 cannot settle closer."""

Array = NDArray[np.floating]


class Problem(NamedTuple):
    """A derived MDP with its penalised rewards."""

    successors: NDArray[np.int32]
    """(N, A, k), core states of the neighbours."""
    weights: Array
    """(N, A, k), or of size 0: 1 / k each."""
    reward: Array
    """(N, A), -inf where an action is not allowed; (N, A, B) for B problems at once."""
    terminal: NDArray[np.bool_]
    """(N,), core states whose value is 0 for ever."""


@dataclass(frozen=True)
class Solved:
    """Values and what is known about them.

    Attributes:
        values: of core states, (N,); 0 in terminal ones.
        policy: best actions, (N,) int32; of equal actions the first.
        change: largest change in the last sweep.
        sweeps: over all states and actions that were made.
        error_bound: largest possible distance of a value to the exact one, rounding included.
    """

    values: Array
    policy: NDArray[np.int32]
    change: float
    sweeps: int
    error_bound: float


def solve_values(
    problem: Problem,
    gamma: float,
    *,
    slip: float = 0.0,
    tol: float | None = None,
    method: str = "modified",
    backend: str = "numba",
    device: str = "cpu",
    initial: Array | None = None,
    max_sweeps: int = MAX_SWEEPS,
    advance: Advance = lambda steps, metric: None,
) -> Solved:
    """Solve one derived MDP.

    Args:
        problem: reward of shape (N, A).
        gamma: discount, in [0, 1).
        slip: probability of a random allowed action in place of the chosen one.
        tol: largest change of a value in the last sweep; None: 1e-3, or what single precision allows if that is more.
        method: "modified" policy iteration; "gauss-seidel", in place; "jacobi", on all cores. With a slip, which makes
            every action count, "modified" is "gauss-seidel". Backends other than "numba" sweep as "jacobi" in any case.
        backend: "numba", "numpy", "torch" on ``device``, or "torch.distributed": see :func:`solve_sharded`.
        initial: values to start from; None: 0.
        max_sweeps: over all actions; more is an error.
        advance: told of every sweep.

    Raises:
        InputError: for another method or backend, or a tol that single precision cannot reach.
        JobError: if ``max_sweeps`` do not suffice.
    """
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}; got '{method}'")
    if backend not in BACKENDS:
        raise InputError(f"backend must be one of {', '.join(BACKENDS)}; got '{backend}'")
    if max_sweeps < 1:
        raise InputError(f"max_sweeps must be at least 1, got {max_sweeps}")
    kind = problem.reward.dtype.type
    values = np.zeros(len(problem.terminal), kind) if initial is None else np.array(initial, kind)
    if values.shape != problem.terminal.shape or not np.isfinite(values).all():
        raise InputError(f"initial must hold {len(problem.terminal)} finite values, one a core state")
    values[problem.terminal] = 0
    if backend == "torch.distributed":
        return solve_sharded(problem, gamma, slip=slip, tol=tol, initial=values, max_sweeps=max_sweeps, advance=advance)
    if backend == "torch":
        sweep: Any = _TorchSweep(problem, gamma, slip, device)
    elif backend == "numpy":
        sweep = _NumpySweep(problem, gamma, slip)
    else:
        sweep = _CompiledSweep(problem, gamma, slip, "gauss-seidel" if slip and method == "modified" else method)
    policy = np.zeros(len(values), np.int32)
    wanted = _Wanted(kind, tol)
    for done in range(1, max_sweeps + 1):
        values, change = sweep(values, policy)
        advance(1, f"change {change:.2g}")
        limit = wanted(sweep.largest(values))
        if change <= limit:
            values, policy = sweep.found(values, policy)
            return Solved(values, policy, change, done, _bound(problem, values, change, gamma))
        values = sweep.between(values, policy, limit)
    raise JobError(f"values still change by {change:.2g} after {max_sweeps} sweeps; allow more, or a larger tol")


class _Wanted:
    """The change at which a solver may stop, given the values' size."""

    def __init__(self, kind: Any, tol: float | None) -> None:
        if tol is not None and not tol > 0:
            raise InputError(f"tol must be above 0, got {tol}")
        self.single, self.tol = kind is np.float32, tol

    def __call__(self, largest: float) -> float:
        """For values of which the largest is so large.

        Raises:
            InputError: if it is not finite, or tol cannot be reached.
        """
        if not np.isfinite(largest):
            raise InputError('values are too large for float32; take dtype="float64", or rewards of smaller units')
        smallest = SPACING * largest if self.single else 0.0
        if self.tol is None:
            return max(TOL, smallest)
        if self.tol < smallest / 2:  # about 1e-6 of the largest value
            raise InputError(
                f"tol {self.tol:g} is below what float32 can tell at values of {largest:.3g}; take "
                f'{smallest:.1g} or more, or dtype="float64"'
            )
        return self.tol


def _bound(problem: Problem, values: Array, change: float, gamma: float) -> float:
    """The certified error, for the penalised rewards as they are stored."""
    largest = max(float(np.abs(values).max(initial=0)), _largest_reward(problem.reward, problem.terminal))
    return objective.error_bound(change, gamma, _rounding(problem, largest))


def _rounding(problem: Problem, largest: float) -> float:
    """Of a backup whose numbers are at most so large: half a unit for each of the k terms, of their weights, of the
    products with the discount and the slip, of the reward and of the sum with it."""
    return (2 * problem.successors.shape[2] + 6) * float(np.finfo(problem.reward.dtype).eps) * largest


def _largest_reward(reward: Array, terminal: NDArray[np.bool_]) -> float:
    reward = reward[~terminal]
    return float(np.abs(reward, where=np.isfinite(reward), out=np.zeros_like(reward)).max(initial=0))


class _OnTheHost:
    """Values and policy are NumPy arrays all the time."""

    def largest(self, values: Array) -> float:
        return float(np.abs(values).max(initial=0))

    def between(self, values: Array, policy: NDArray[np.int32], tol: float) -> Array:
        return values

    def found(self, values: Array, policy: NDArray[np.int32]) -> tuple[Array, NDArray[np.int32]]:
        return values, policy


class _CompiledSweep(_OnTheHost):
    """One sweep over all actions, and what modified policy iteration does between two of them."""

    def __init__(self, problem: Problem, gamma: float, slip: float, method: str) -> None:
        from .kernels import share_of, sweeps_for

        kind = problem.reward.dtype.type
        self.problem, self.method = problem, method
        self.sweeps = sweeps_for(problem.successors, problem.weights)
        self.share, self.slip = share_of(gamma, problem.successors, problem.weights), kind(slip)
        self.spare = np.zeros(len(problem.terminal), kind) if method == "jacobi" else None

    def __call__(self, values: Array, policy: NDArray[np.int32]) -> tuple[Array, float]:
        question = (*self.problem, self.share, self.slip)
        if self.spare is None:
            return values, float(self.sweeps.in_place(values, policy, *question))
        change = self.sweeps.jacobi(values, self.spare, policy, *question)
        found, self.spare = self.spare, values
        return found, float(change)

    def between(self, values: Array, policy: NDArray[np.int32], tol: float) -> Array:
        from .kernels import chosen_rows

        if self.method == "modified":
            rows = chosen_rows(policy, *self.problem[:3])
            self.sweeps.evaluate(values, *rows, self.problem.terminal, self.share, EVALUATIONS, tol / 10)
        return values


class _NumpySweep(_OnTheHost):
    def __init__(self, problem: Problem, gamma: float, slip: float) -> None:
        self.problem, self.gamma, self.slip = problem, gamma, slip

    def __call__(self, values: Array, policy: NDArray[np.int32]) -> tuple[Array, float]:
        successors, weights, reward, terminal = self.problem
        if not weights.size:
            weights = np.array(1 / successors.shape[2], values.dtype)
        q = objective.action_values(reward, values[successors], weights, self.gamma)
        q[terminal] = 0
        policy[:] = q.argmax(1)
        found = objective.state_values(q, self.slip).astype(values.dtype)
        return found, float(np.abs(found - values).max(initial=0))


class _TorchSweep:
    """Jacobi sweeps on a torch device, in blocks of core states."""

    BLOCK = 1 << 22
    """Successors at a time: their values are gathered into new memory."""

    def __init__(self, problem: Problem, gamma: float, slip: float, device: str, rows: slice = slice(None)) -> None:
        import torch

        successors, weights, reward, terminal = problem
        self.successors = torch.as_tensor(np.ascontiguousarray(successors[rows]), device=device)
        self.weights = torch.as_tensor(np.ascontiguousarray(weights[rows]), device=device) if weights.size else None
        self.reward = torch.as_tensor(np.ascontiguousarray(reward[rows]), device=device)
        self.terminal = torch.as_tensor(np.ascontiguousarray(terminal[rows]), device=device)
        self.gamma, self.slip, self.device, self.torch = gamma, slip, device, torch

    def of_rows(self, values: Any) -> tuple[Any, Any]:
        """(new values, best actions) of this sweep's rows, from the values of all core states, on the device."""
        torch = self.torch
        n, actions, k = self.successors.shape
        found, policy = torch.empty_like(self.reward[:, 0]), torch.empty(n, dtype=torch.int32, device=self.device)
        size = max(1, self.BLOCK // (actions * k))
        for rows in (slice(first, first + size) for first in range(0, n, size)):
            after = values[self.successors[rows]]
            mean = after.mean(-1) if self.weights is None else (after * self.weights[rows]).sum(-1)
            q = self.reward[rows] + self.gamma * mean
            best = top = q.amax(1)
            if self.slip:
                allowed = torch.isfinite(q)
                average = torch.where(allowed, q, 0.0).sum(1) / allowed.sum(1)
                best = (1 - self.slip) * best + self.slip * average
            found[rows] = torch.where(self.terminal[rows], 0.0, best)
            # of equal actions the first, which torch's argmax does not promise of numbers, but is so for 0 and 1
            policy[rows] = (q == top[:, None]).to(torch.uint8).argmax(1).to(torch.int32)
        return found, policy

    def __call__(self, values: Any, policy: Any) -> tuple[Any, float]:
        """Values stay on the device; the policy is that of :meth:`found`."""
        before = self.torch.as_tensor(values, device=self.device)
        found, self.chosen = self.of_rows(before)
        return found, float((found - before).abs().max()) if len(found) else 0.0

    def largest(self, values: Any) -> float:
        return float(values.abs().max()) if len(values) else 0.0

    def between(self, values: Any, policy: Any, tol: float) -> Any:
        return values

    def found(self, values: Any, policy: Any) -> tuple[Array, NDArray[np.int32]]:
        return values.cpu().numpy(), self.chosen.cpu().numpy()


def solve_sharded(
    problem: Problem,
    gamma: float,
    *,
    slip: float = 0.0,
    tol: float | None = None,
    initial: Array | None = None,
    max_sweeps: int = MAX_SWEEPS,
    advance: Advance = lambda steps, metric: None,
) -> Solved:
    """Jacobi sweeps shared by the processes of torch's default group, each of which must call this.

    Every process works on its own block of core states, and all gather the values after each sweep: 4 bytes a core
    state. A process reads its own rows of ``problem`` alone, so that the arrays may be memory-mapped and larger than
    its memory. The result is the same in all, and that of Jacobi sweeps in one process.

    Raises:
        InputError: without a process group.
        JobError: if ``max_sweeps`` do not suffice.
    """
    import torch
    import torch.distributed as distributed

    if not distributed.is_available() or not distributed.is_initialized():
        raise InputError(
            "backend 'torch.distributed' needs torch.distributed.init_process_group in every process (torchrun sets "
            "what it asks for)"
        )
    rank, processes = distributed.get_rank(), distributed.get_world_size()
    n = len(problem.terminal)
    size = math.ceil(n / processes)
    own = slice(min(n, rank * size), min(n, (rank + 1) * size))
    sweep = _TorchSweep(problem, gamma, slip, "cpu", own)
    kind = problem.reward.dtype.type
    values = torch.as_tensor(np.zeros(n, kind) if initial is None else initial.astype(kind))
    wanted = _Wanted(kind, tol)

    def gathered(part: Any) -> Any:
        padded = torch.zeros(size, dtype=part.dtype)
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(processes)]
        distributed.all_gather(parts, padded)
        return torch.cat(parts)[:n]

    for done in range(1, max_sweeps + 1):
        found, policy = sweep.of_rows(values)
        before, values = values, gathered(found)
        change = float((values - before).abs().max())
        advance(1, f"change {change:.2g}")
        if change <= wanted(float(values.abs().max())):
            largest = torch.tensor(_largest_reward(problem.reward[own], problem.terminal[own]))
            distributed.all_reduce(largest, distributed.ReduceOp.MAX)
            size_of = max(float(largest), float(values.abs().max()))
            bound = objective.error_bound(change, gamma, _rounding(problem, size_of))
            return Solved(values.numpy(), gathered(policy).numpy(), change, done, bound)
    raise JobError(f"values still change by {change:.2g} after {max_sweeps} sweeps; allow more, or a larger tol")


def solve_many(
    problem: Problem,
    gamma: Sequence[float],
    *,
    slip: Sequence[float] | None = None,
    tol: float | None = None,
    max_sweeps: int = MAX_SWEEPS,
    advance: Advance = lambda steps, metric: None,
) -> list[Solved]:
    """Solve B problems on the same neighbours together, in place.

    Args:
        problem: reward of shape (N, A, B).
        gamma: of each, in [0, 1).
        slip: of each; None: 0.
        tol: as in :func:`solve_values`, for all.
        max_sweeps: over all actions; more is an error.
        advance: told of every sweep.
    """
    from . import kernels

    sweep: Any = kernels.sweep_many_in_place
    kind = problem.reward.dtype.type
    n, _, count = problem.reward.shape
    values, policy, change = np.zeros((n, count), kind), np.zeros((n, count), np.int32), np.zeros(count, kind)
    discounts, slips = np.asarray(gamma, kind), np.asarray([0.0] * count if slip is None else slip, kind)
    wanted = _Wanted(kind, tol)
    for done in range(1, max_sweeps + 1):
        sweep(values, policy, *problem, discounts, slips, change)
        advance(1, f"change {change.max():.2g}")
        if all(change[b] <= wanted(float(np.abs(values[:, b]).max(initial=0))) for b in range(count)):
            return [
                Solved(
                    values[:, b].copy(),
                    policy[:, b].copy(),
                    float(change[b]),
                    done,
                    _bound(problem._replace(reward=problem.reward[:, :, b]), values[:, b], float(change[b]), gamma[b]),
                )
                for b in range(count)
            ]
    raise JobError(f"values still change by {change.max():.2g} after {max_sweeps} sweeps; allow more, or a larger tol")


def policy_values(problem: Problem, policy: NDArray[np.int32], gamma: float, tol: float = 1e-4) -> Array:
    """Discounted sum of the problem's rewards along a fixed policy, (N,).

    Off by at most gamma / (1 - gamma) times ``tol``, or times what single precision can tell if that is more.
    """
    from .kernels import chosen_rows, share_of, sweeps_for

    kind = problem.reward.dtype.type
    values = np.zeros(len(problem.terminal), kind)
    rows = chosen_rows(policy, *problem[:3])
    own = np.where(problem.terminal, 0, rows[2])
    scale = max(1.0, float(np.abs(own).max(initial=0)) / (1 - gamma))
    smallest = SPACING * scale if kind is np.float32 else 0.0
    evaluate = sweeps_for(problem.successors, problem.weights).evaluate
    share = share_of(gamma, problem.successors, problem.weights)
    evaluate(values, *rows, problem.terminal, share, MAX_SWEEPS, max(tol, smallest))
    return values
