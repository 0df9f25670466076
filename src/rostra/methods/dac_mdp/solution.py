"""What a solved model answers: values, actions, and why."""

__all__ = ["LOOKUPS", "Allowed", "Solution"]

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rostra.engine.errors import InputError

from . import objective
from .index import NeighbourIndex
from .pairs import LookUp
from .solvers import Problem, policy_values

if TYPE_CHECKING:
    import pandas as pd

    from .agent import DACMDP

LOOKUPS = ("lookahead", "q_average", "nearest_core", "core_average", "soft")
NEAREST_CORES = 5
"""Core states that "core_average" asks, as the authors' later code."""

Array = NDArray[np.floating]
Mask = Callable[[NDArray[Any]], ArrayLike]


@dataclass(frozen=True)
class Allowed:
    """Which actions may be taken; all three must agree.

    Attributes:
        actions: (A,) bool, in all states; None: all.
        core: (N, A) bool, at core states; any other state has those of the nearest core state.
        function: observations (n, ...) -> (n, A) bool.
    """

    actions: NDArray[np.bool_] | None = None
    core: NDArray[np.bool_] | None = None
    function: Mask | None = None

    def at_core(self, observations: Callable[[slice], NDArray[Any]], n: int, count: int) -> NDArray[np.bool_] | None:
        """(N, A); None: everything."""
        if self.actions is None and self.core is None and self.function is None:
            return None
        found = np.ones((n, count), bool)
        if self.actions is not None:
            found &= self.actions
        if self.core is not None:
            found &= self.core
        if self.function is not None:
            for rows in (slice(start, start + 65_536) for start in range(0, n, 65_536)):
                found[rows] &= self._asked(observations(rows), count)
        return found

    def at(self, observations: NDArray[Any], nearest: Callable[[], NDArray[np.int64]], count: int) -> Any:
        """(n, A) of other states, where ``nearest`` gives their nearest core states; None: everything."""
        found = None if self.actions is None else np.broadcast_to(self.actions, (len(observations), count))
        parts = [] if found is None else [found]
        if self.core is not None:
            parts.append(self.core[nearest()])
        if self.function is not None:
            parts.append(self._asked(observations, count))
        return np.logical_and.reduce(parts) if parts else None

    def _asked(self, observations: NDArray[Any], count: int) -> NDArray[np.bool_]:
        assert self.function is not None
        found = np.asarray(self.function(observations))
        if found.shape != (len(observations), count) or found.dtype != bool:
            raise InputError(
                f"the mask gave {found.dtype} of shape {found.shape} for {len(observations)} observations; expected "
                f"bool of shape ({len(observations)}, {count})"
            )
        return found


@dataclass
class Solution:
    """A solved derived MDP. It keeps what was asked, and reads the neighbours from its model.

    Attributes:
        model: whose neighbours these are.
        problem: tables, weights and penalised rewards.
        values: V of the core states, (N,): of the state that transition i leads to; 0 where the episode ended there.
        policy: best candidate of each core state, (N,).
        error_bound: no value is farther from the exact one; see :func:`.objective.error_bound`.
        sweeps: over all states and actions.
        seconds: that setting up and solving took.
        gamma, cost, slip: what was asked.
        rewards: of the logged transitions, (N,), with what was added to them.
        allowed: which actions may be taken.
    """

    model: "DACMDP"
    problem: Problem
    values: Array
    policy: NDArray[np.int32]
    error_bound: float
    sweeps: int
    seconds: float
    gamma: float
    cost: float
    slip: float
    rewards: Array
    allowed: Allowed

    # ------------------------------------------------- of core states

    @cached_property
    def Q(self) -> Array:  # noqa: N802
        """Q of core states and candidates, (N, A); -inf where not allowed, 0 in end states."""
        from .kernels import share_of, sweeps_for

        tables = (self.problem.successors, self.problem.weights)
        found: Array = sweeps_for(*tables).pair_values(self.values, *self.problem, share_of(self.gamma, *tables))
        return found

    @cached_property
    def penalty(self) -> Array:
        """Discounted sum of C d along the policy, (N,): how much of a value's shortfall is distance from the data."""
        paid = self.model._mean_rewards(np.zeros_like(self.rewards), -self.cost, self.problem.weights)
        return policy_values(self.problem._replace(reward=paid), self.policy, self.gamma)

    # ------------------------------------------------- of any state

    def q_values(self, observations: ArrayLike, *, k_pi: int | None = None) -> Array:
        """Q of states by one step of look-ahead, which is exact in the derived MDP of k_pi = k.

        Args:
            observations: a batch (n, *shape), or one observation.
            k_pi: neighbours; None: those of the build.

        Returns:
            (n, A), or (A,) of one observation; -inf where not allowed.

        Raises:
            InputError: for observations of another shape, or that are not finite.
        """
        batch, single = self.model._batch(observations)
        q = self._lookahead(batch, k_pi)[0]
        return cast("Array", q[0]) if single else q

    def act(
        self,
        observations: ArrayLike,
        *,
        lookup: str = "lookahead",
        k_pi: int | None = None,
        temperature: float = 1.0,
        generator: np.random.Generator | None = None,
    ) -> Any:
        """Actions for states.

        Args:
            observations: a batch (n, *shape), or one observation.
            lookup: "lookahead": the best by :meth:`q_values`, the paper's policy. "q_average": the mean Q of the k_pi
                nearest logged pairs of each action (default 1), as the authors' code of 2021. "nearest_core": the
                nearest core state's action. "core_average": the best by the mean Q of the k_pi nearest core states
                (default 5). "soft": drawn with probabilities softmax(Q / temperature) of the look-ahead.
            k_pi: neighbours that a look-up asks.
            temperature: of "soft".
            generator: that draws; None: this solution's own, which starts from seed 0 and goes on from call to call.

        Returns:
            Actions (n,), or (n, m) of continuous ones; one action for one observation.

        Raises:
            InputError: for another look-up or shape, or a state without an allowed action.
        """
        if lookup not in LOOKUPS:
            raise InputError(f"lookup must be one of {', '.join(LOOKUPS)}; got '{lookup}'")
        _check_neighbours(k_pi)
        batch, single = self.model._batch(observations)
        if lookup == "nearest_core":
            core = self._nearest_cores(self.model._features_of(batch), 1)[:, 0]
            found = self._actions_of_core(core)
        elif lookup == "core_average":
            found = self._best(self._core_average(batch, NEAREST_CORES if k_pi is None else k_pi), None)
        else:
            if lookup == "q_average":
                q, candidates = self._q_average(batch, 1 if k_pi is None else k_pi)
            else:
                q, candidates = self._lookahead(batch, k_pi)
            if lookup == "soft":
                q = _gumbel(q, temperature, self._stream if generator is None else generator)
            found = self._best(q, candidates)
        return found[0] if single else found

    def explain(self, observation: ArrayLike, *, k_pi: int | None = None) -> "pd.DataFrame":
        """Where the Q of one observation comes from: a row a neighbour.

        Returns:
            Columns action (or candidate and a0, a1, ... of continuous ones), rank, transition (row of the log),
            episode, distance, weight, reward, penalty (C d), next_value, contribution (weight times reward less penalty
            plus gamma next_value: they sum to q), q, best (whether the action is the policy's). An action that is not
            allowed has q = -inf.
        """
        import pandas as pd

        batch, _ = self.model._batch(observation)
        if len(batch) != 1:
            raise InputError(f"explain takes one observation, got {len(batch)}")
        q, candidates, found, weights = self._lookahead(batch, k_pi, parts=True)
        rows, distances = found.rows[0], found.distances[0].astype(float)
        used = np.ones(rows.shape, bool) if found.used is None else found.used
        action, rank = np.nonzero(used)
        row, distance, weight = rows[used], distances[used], weights[0][used].astype(float)
        reward, after = self.rewards[row].astype(float), self.values[row].astype(float)
        columns: dict[str, Any] = {"action": action}
        if candidates.ndim > 1:
            columns = {"candidate": action}
            columns |= {f"a{i}": candidates[0][action, i] for i in range(candidates.shape[2])}
        columns |= {
            "rank": rank,
            "transition": row,
            "episode": self.model.dataset_.episodes[row],
            "distance": distance,
            "weight": weight,
            "reward": reward,
            "penalty": self.cost * distance,
            "next_value": after,
            "contribution": weight * (reward - self.cost * distance + self.gamma * after),
            "q": q[0][action].astype(float),
            "best": action == int(q[0].argmax()),
        }
        return pd.DataFrame(columns)

    # ------------------------------------------------- parts

    def _lookahead(self, batch: NDArray[Any], k_pi: int | None, parts: bool = False) -> Any:
        _check_neighbours(k_pi)
        features = self.model._features_of(batch)
        found = self.model._pairs.look_up(features, min(len(self.rewards), self.model.k if k_pi is None else k_pi))
        weights = self.model._weights_of(found.distances, found.used, self.cost)
        penalised = objective.penalised_reward(self.rewards[found.rows], found.distances, weights, self.cost)
        q = objective.action_values(penalised, self.values[found.rows], weights, self.gamma)
        q = self._only_allowed(q, found, batch, features)
        return (q, found.actions, found, weights) if parts else (q, found.actions)

    def _q_average(self, batch: NDArray[Any], k_pi: int) -> tuple[Array, NDArray[Any]]:
        features = self.model._features_of(batch)
        found = self.model._pairs.look_up(features, min(len(self.rewards), k_pi))
        weights = objective.neighbour_weights(found.distances, "uniform", used=found.used)
        return self._only_allowed((weights * self._logged_q[found.rows]).sum(-1), found, batch, features), found.actions

    @cached_property
    def _stream(self) -> np.random.Generator:
        return np.random.default_rng(0)

    @cached_property
    def _logged_q(self) -> Array:
        """Q of every logged pair, (N,)."""
        rows, distances, used = self.model._pairs.own_neighbours(self.model.k)
        weights = self.model._weights_of(distances, used, self.cost)
        penalised = objective.penalised_reward(self.rewards[rows], distances, weights, self.cost)
        return objective.action_values(penalised, self.values[rows], weights, self.gamma)

    def _core_average(self, batch: NDArray[Any], k_pi: int) -> Array:
        if self.model.tables_.actions.ndim > 1:
            raise InputError("lookup 'core_average' needs actions that all states share; take 'lookahead'")
        core = self._nearest_cores(self.model._features_of(batch), k_pi)
        q: Array = self.Q[core]
        allowed = np.isfinite(q)
        total, count = np.where(allowed, q, 0).sum(1), allowed.sum(1)
        mean = np.where(count > 0, total / np.maximum(count, 1), -np.inf)
        mask = self.allowed.at(batch, lambda: core[:, 0], mean.shape[1])
        return mean if mask is None else np.where(mask, mean, -np.inf)

    def _only_allowed(self, q: Array, found: LookUp, batch: NDArray[Any], features: Array) -> Array:
        q[:, found.counts == 0] = -np.inf
        mask = self.allowed.at(batch, lambda: self._nearest_cores(features, 1)[:, 0], q.shape[1])
        return q if mask is None else np.where(mask, q, -np.inf)

    @cached_property
    def _core_index(self) -> tuple[NeighbourIndex, NDArray[np.int64]]:
        """An index of the core states that are no end states, and which these are."""
        alive = np.flatnonzero(~self.problem.terminal)
        if not len(alive):
            raise InputError("every transition of the log ends its episode: no core state has an action to look up")
        return NeighbourIndex(self.model._core_features(alive), self.model.index), alive

    def _nearest_cores(self, features: Array, k: int) -> NDArray[np.int64]:
        index, alive = self._core_index
        return alive[index.search(features, k)[0]]

    def _actions_of_core(self, core: NDArray[np.int64]) -> NDArray[Any]:
        actions, chosen = self.model.tables_.actions, self.policy[core]
        return actions[core, chosen] if actions.ndim > 1 else actions[chosen]

    def _best(self, q: Array, candidates: NDArray[Any] | None) -> NDArray[Any]:
        chosen = q.argmax(1)
        nowhere = ~np.isfinite(q[np.arange(len(q)), chosen])
        if nowhere.any():
            raise InputError(f"no action is allowed in observation {int(nowhere.argmax())}; allow one there")
        if candidates is not None and candidates.ndim > 1:
            return cast("NDArray[Any]", candidates[np.arange(len(q)), chosen])
        return chosen


def _check_neighbours(k_pi: int | None) -> None:
    if k_pi is not None and k_pi < 1:
        raise InputError(f"k_pi must be 1 or more, got {k_pi}")


def _gumbel(q: Array, temperature: float, generator: np.random.Generator) -> Array:
    """Scores whose argmax has the probabilities softmax(q / temperature)."""
    if not temperature > 0:
        raise InputError(f"temperature must be above 0, got {temperature}")
    return q / temperature + generator.gumbel(size=q.shape)
