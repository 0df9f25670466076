"""Logs of a behaviour policy's episodes."""

__all__ = ["BehaviourPolicy", "EpsilonGreedy", "collect", "epsilon_greedy", "random_policy"]

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from rostra.engine.errors import InputError
from rostra.engine.progress import progress_bar

from .environments import actions_for, final_observations, observations_of, open_envs, restart, seeds_for
from .evaluation import Policy
from .transitions import TransitionDataset

if TYPE_CHECKING:
    from gymnasium import Space
    from gymnasium.vector import VectorEnv

BehaviourPolicy = Callable[[NDArray[Any], Generator], Any]
"""A batch of observations, one a sub-environment, and a source of draws, to actions: shape (n,) or (n, m)."""


def random_policy(action_space: "Space[Any]") -> BehaviourPolicy:
    """Draws every action with equal probability, or evenly between the bounds of a Box.

    Args:
        action_space: of one environment.

    Raises:
        InputError: if the space is neither Discrete nor a bounded Box.
    """
    from gymnasium.spaces import Box, Discrete

    if isinstance(action_space, Discrete):
        count, start = int(action_space.n), int(action_space.start)
        return lambda observations, generator: start + generator.integers(count, size=len(observations))
    if not isinstance(action_space, Box) or not action_space.is_bounded():
        raise InputError(f"random actions need a Discrete space or a Box with bounds, got {action_space}")
    low, high = action_space.low, action_space.high
    return lambda observations, generator: generator.uniform(low, high, (len(observations), *low.shape)).astype(
        low.dtype
    )


class EpsilonGreedy:
    """Acts by a policy, but at random with probability epsilon, which may be drawn anew for every episode.

    :func:`collect` says by :meth:`begin` when episodes begin; outside it, each sub-environment keeps one epsilon.
    """

    def __init__(self, policy: Policy, action_space: "Space[Any]", epsilon: float | Sequence[float]) -> None:
        self.epsilons = np.atleast_1d(np.asarray(epsilon, dtype=np.float64))
        if self.epsilons.size == 0 or not ((self.epsilons >= 0) & (self.epsilons <= 1)).all():
            raise InputError(f"epsilon must lie between 0 and 1, got {epsilon}")
        self.policy = policy
        self.random = random_policy(action_space)
        self.current = np.empty(0)

    def begin(self, rows: NDArray[np.int64], num_envs: int, generator: Generator) -> None:
        """Draw the epsilon of the episodes that begin in these of ``num_envs`` sub-environments."""
        if len(self.current) != num_envs:
            self.current = np.empty(num_envs)
            rows = np.arange(num_envs)
        self.current[rows] = generator.choice(self.epsilons, size=len(rows))

    def __call__(self, observations: NDArray[Any], generator: Generator) -> NDArray[Any]:
        """Actions, shape (n,) or (n, m), for observations of shape (n, *observation_shape)."""
        count = len(observations)
        if len(self.current) != count:
            self.begin(np.arange(count), count, generator)
        actions: NDArray[Any] = np.asarray(self.random(observations, generator))
        greedy = generator.random(count) >= self.current
        if greedy.any():
            chosen = np.asarray(self.policy(observations[greedy]))
            if actions.dtype.kind == "i" and chosen.dtype.kind not in "biu":
                raise InputError(f"the policy gave actions of type {chosen.dtype}; discrete actions are whole numbers")
            actions[greedy] = chosen
        return actions


def epsilon_greedy(policy: Policy, action_space: "Space[Any]", epsilon: float | Sequence[float]) -> EpsilonGreedy:
    """A policy for :func:`collect` that acts at random with probability epsilon.

    Args:
        policy: a batch of observations to actions.
        action_space: of one environment.
        epsilon: one number; or several, of which every episode draws one: (1, 0.8, 0.6, 0.4, 0.2, 0.05) makes a
            mixed log, and 0.2 four times beside 0.001 one with 20% random actions in four episodes of five.

    Raises:
        InputError: if epsilon is outside 0 to 1, or there are no random actions in the space.
    """
    return EpsilonGreedy(policy, action_space, epsilon)


def collect(
    policy: BehaviourPolicy,
    environment: "str | VectorEnv[Any, Any, Any]",
    steps: int,
    seed: int,
    *,
    num_envs: int = 8,
    **options: Any,
) -> TransitionDataset:
    """Log exactly ``steps`` transitions, episode after episode, in the order in which episodes began.

    The successor of an episode's last step is the last observation of that episode, never the first of the next.
    An episode that the end of the log cuts counts as a timeout. The same arguments give the same log.

    Args:
        policy: as :data:`BehaviourPolicy`. If it has a method ``begin(rows, num_envs, generator)``, that is called
            whenever episodes begin in sub-environments ``rows``.
        environment: an id for :func:`make_envs`, or environments in autoreset mode SAME_STEP.
        steps: number of transitions, at least 1; shared evenly among the sub-environments.
        seed: of the environments and of the policy's draws, not negative.
        num_envs: sub-environments to make for an id.
        options: of :func:`make_envs`, for an id.

    Raises:
        InputError: if there is no such environment, a number is out of range, or the policy gives actions that
            the environment does not have.
    """
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}")
    if seed < 0:
        raise InputError(f"seed must not be negative, got {seed}")
    generator = np.random.default_rng([seed, 1])
    with open_envs(environment, min(num_envs, steps), **options) as envs, progress_bar("collect", steps) as bar:
        count = envs.num_envs
        rows = np.arange(count)
        # The first sub-environments take one step more where steps cannot be shared evenly.
        quota = steps // count + (rows < steps % count)
        times = int(quota.max())
        observations = restart(envs, rows, seeds_for(seed, count))
        before = np.empty((times, *observations.shape), observations.dtype)
        action_space = envs.single_action_space
        discrete = not action_space.shape
        actions = np.empty((times, count, *(action_space.shape or ())), np.int64 if discrete else np.float32)
        rewards = np.empty((times, count))
        terminals, ends = np.zeros((times, count), dtype=bool), np.zeros((times, count), dtype=bool)
        begins = np.zeros((times, count), dtype=np.int64)  # when the episode of each step began
        last: list[NDArray[Any]] = []
        begin = getattr(policy, "begin", None)
        fresh, since = rows, np.zeros(count, dtype=np.int64)
        for time in range(times):
            if begin is not None and fresh.size:
                begin(fresh, count, generator)
            chosen = actions_for(envs, policy(observations, generator), count)
            before[time], actions[time], begins[time] = observations, chosen, since
            raw, rewards[time], ended, cut, infos = envs.step(chosen)
            observations = observations_of(envs, raw)
            over = ended | cut
            closing = over | (time + 1 == quota)
            terminals[time], ends[time] = ended, closing
            if closing.any():
                after = observations.copy()
                fresh = np.flatnonzero(over)
                if fresh.size:
                    after[fresh] = final_observations(envs, infos, fresh)
                last.append(after[closing])
            else:
                fresh = np.empty(0, dtype=np.int64)
            since = np.where(over, time + 1, since)
            bar(int((time < quota).sum()), "")
        discrete_actions = int(getattr(action_space, "n", 0)) or None
    # Episodes in the order of their beginnings, those of one moment in the order of their environments.
    time_of, env_of = np.nonzero(np.arange(times)[:, None] < quota)
    order = np.lexsort((time_of, env_of, begins[time_of, env_of]))
    rows_of = (time_of[order], env_of[order])
    end = ends[rows_of]
    source = np.arange(steps) + np.cumsum(end) - end  # an episode has one state more than steps
    states = np.empty((steps + int(end.sum()), *before.shape[2:]), before.dtype)
    states[source] = before[rows_of]
    # The last observations lie in the order of time; the episodes, in that of their beginnings.
    place = np.zeros((times, count), dtype=np.int64)
    place[ends] = np.arange(int(ends.sum()))
    states[source[end] + 1] = np.concatenate(last)[place[rows_of][end]]
    terminal = terminals[rows_of]
    return TransitionDataset(
        states,
        source,
        source + 1,
        actions[rows_of],
        rewards[rows_of],
        terminal,
        end & ~terminal,
        np.cumsum(end) - end,
        discrete_actions,
    )
