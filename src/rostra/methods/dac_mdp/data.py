"""Logs of the claims, functions of a seed, and small problems whose solution is known exactly."""

__all__ = [
    "CHAIN_DISCOUNT",
    "LogKind",
    "balance",
    "cartpole_log",
    "chain_log",
    "chain_optimal_value",
    "chain_return",
    "continuous_cartpole_log",
    "graph_log",
    "graph_optimal_value",
    "heading_room_log",
    "simulate",
]

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rostra.engine.errors import InputError
from rostra.fields.rl.transitions import TransitionDataset

from .environments import CartPole, HeadingRoom, Noise, Simulator

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Behaviour = Callable[[Array, Integers, np.random.Generator], NDArray[Any]]
"""From states (n, S), the numbers of their episodes (n,) and a stream to actions (n,) or (n, A)."""

LogKind = Literal["random", "optimal", "mixed"]
MIXED_EPSILONS = np.array([1.0, 0.8, 0.6, 0.4, 0.2, 0.05])
EPISODES_AT_ONCE = 256
"""Fixed, so that a short log is the beginning of a long one of the same seed."""
CHAIN_MOVE = 0.1
CHAIN_DISCOUNT = 0.9


def cartpole_log(kind: LogKind, n: int, seed: int, noise: Noise = 0.0) -> TransitionDataset:
    """Transitions of CartPole-v1, with episodes of at most 500 steps (Shrestha et al. 2021, CartPole experiments).

    Args:
        kind: "random": both actions with equal probability, about 22 steps an episode. "optimal": a linear controller
            that lasts for 500 steps. "mixed": episodes in turn with a share of 1, .8, .6, .4, .2, .05 random actions
            and otherwise the controller's.
        n: transitions, at least 1; the last episode is cut there (a timeout, if it had not ended).
        seed: of everything; a shorter log of the same seed is the beginning of a longer one.
        noise: standard deviation of normal noise on the logged observations, as for :class:`.SimulatorEnv`. The
            behaviour acts on the true state, so that the same episodes are seen with any noise.

    Returns:
        Observations float32, (n, 4); actions 0 and 1; rewards 1.
    """
    if kind not in get_args(LogKind):
        raise InputError(f"kind is {kind!r}; it must be one of {', '.join(get_args(LogKind))}")
    epsilons = {"random": MIXED_EPSILONS[:1], "optimal": np.zeros(1), "mixed": MIXED_EPSILONS}[kind]

    def behaviour(states: Array, episodes: Integers, rng: np.random.Generator) -> Integers:
        explores = rng.random(len(states)) < epsilons[episodes % len(epsilons)]
        return np.where(explores, rng.integers(0, 2, len(states)), balance(states))

    return simulate(CartPole(), behaviour, n, seed, limit=500, noise=noise)


def continuous_cartpole_log(n: int, seed: int, noise: Noise = 0.0) -> TransitionDataset:
    """Transitions of the authors' cart-pole with continuous actions, drawn uniformly from [-1, 1].

    Args:
        n, seed, noise: as for :func:`cartpole_log`.

    Returns:
        Observations float32, (n, 4); actions float32, (n, 1); rewards 1, 0 on a failing step.
    """

    def behaviour(states: Array, episodes: Integers, rng: np.random.Generator) -> NDArray[np.float32]:
        return rng.uniform(-1.0, 1.0, (len(states), 1)).astype(np.float32)

    return simulate(CartPole(continuous=True), behaviour, n, seed, limit=500, noise=noise)


def heading_room_log(n: int, seed: int) -> TransitionDataset:
    """Transitions of a random walk in the room: a quarter left turns, a quarter right turns, half of them forward.

    An episode starts anywhere and is broken off after each step with probability 0.02 (a timeout, not an end state).

    Args:
        n, seed: as for :func:`cartpole_log`.

    Returns:
        Observations float32, (n, 4); actions 0, 1, 2; rewards 0, 1 (near goal), 10 (far goal).
    """

    def behaviour(states: Array, episodes: Integers, rng: np.random.Generator) -> Integers:
        return np.minimum(rng.integers(0, 4, len(states)), 2)

    return simulate(HeadingRoom(start_width=1.0), behaviour, n, seed, interruption=0.02)


def simulate(
    simulator: Simulator,
    behaviour: Behaviour,
    n: int,
    seed: int,
    *,
    limit: int | None = None,
    interruption: float = 0.0,
    noise: Noise = 0.0,
) -> TransitionDataset:
    """The first n transitions of consecutive episodes of a behaviour.

    Args:
        simulator: physics.
        behaviour: acts on true states.
        n: transitions, at least 1.
        seed: of starts and physics, behaviour, and sensors, which have a stream each.
        limit: steps after which an episode is cut, or None.
        interruption: probability that an episode is cut after a step.
        noise: standard deviation of the sensors' noise, one for all coordinates, or one each. A state is read
            once: as the end of one transition and the source of the next it is the same observation.

    Returns:
        Episodes one after the other, each in the order of time.
    """
    if n < 1:
        raise InputError(f"n is {n}; a log has at least 1 transition")
    physics, choices, sensors = np.random.default_rng(seed).spawn(3)
    scale = np.asarray(noise, dtype=np.float32)

    def read(states: Array) -> NDArray[np.float32]:
        seen = simulator.observe(states)
        # Drawn also where the scale is 0 in some coordinates, so that the others do not depend on it.
        return seen + scale * sensors.standard_normal(seen.shape, dtype=np.float32) if scale.any() else seen

    rounds: list[list[NDArray[Any]]] = []
    collected = 0
    while collected < n:
        episodes = np.arange(EPISODES_AT_ONCE) + EPISODES_AT_ONCE * len(rounds)
        states = simulator.start(EPISODES_AT_ONCE, physics)
        seen = read(states)
        steps: list[tuple[NDArray[Any], ...]] = []
        while len(episodes):
            actions = behaviour(states, episodes, choices)
            normals = physics.standard_normal((len(states), simulator.normals))
            after, rewards, terminals = simulator.step(states, actions, normals)
            seen_after = read(after)
            cut = physics.random(len(states)) < interruption if interruption else np.zeros(len(states), dtype=np.bool_)
            if limit is not None and len(steps) + 1 >= limit:
                cut[:] = True
            steps.append((episodes, seen, actions, rewards, seen_after, terminals, cut & ~terminals))
            goes_on = ~(terminals | cut)
            episodes, states, seen = episodes[goes_on], after[goes_on], seen_after[goes_on]
        columns = [np.concatenate(column) for column in zip(*steps, strict=True)]
        order = np.argsort(columns[0], kind="stable")
        rounds.append([column[order] for column in columns])
        collected += len(order)
    numbers, observations, taken, rewards, next_observations, terminals, timeouts = (
        np.concatenate(column)[:n] for column in zip(*rounds, strict=True)
    )
    timeouts[-1] = not terminals[-1]
    _, action_space = simulator.spaces()
    return TransitionDataset.from_arrays(
        observations,
        taken,
        rewards,
        next_observations,
        terminals,
        timeouts,
        numbers,
        int(action_space.n) if hasattr(action_space, "n") else None,
    )


def chain_log(n: int, seed: int) -> TransitionDataset:
    """Unconnected random pairs on the chain [0, 1]: the moves 0 and 1 go 0.1 to the left and right, clipped to [0, 1].

    The reward is the place arrived at. With the discount 0.9 the optimal values of both moves have Lipschitz constant
    10, and a cost of at least 10 makes the values of a DAC-MDP lower bounds.

    Args:
        n: pairs, at least 1; places uniform, moves by the toss of a coin.
        seed: of both.

    Returns:
        Observations float64, (n, 1); every pair is an episode of one step, cut by a timeout.
    """
    rng = np.random.default_rng(seed)
    places, moves = rng.random(n), rng.integers(0, 2, n)
    after = _chain_step(places, moves)
    return TransitionDataset.from_arrays(
        places[:, None],
        moves,
        after,
        after[:, None],
        np.zeros(n, dtype=np.bool_),
        np.ones(n, dtype=np.bool_),
        np.arange(n),
        2,
    )


def chain_optimal_value(places: ArrayLike) -> Array:
    """Exact optimal values on the chain at discount 0.9, in [0, 10], shape of ``places``.

    The reward grows with the place and a move to the right leads at least as far as any other from every place: going
    right for ever is optimal.
    """
    return chain_return(lambda places: np.ones(len(places), dtype=np.int64), places)


def chain_return(policy: Callable[[Array], NDArray[Any]], places: ArrayLike) -> Array:
    """True discounted return of a deterministic policy on the chain at discount 0.9, to 1e-10.

    Args:
        policy: from observations (m, 1) to moves 0 or 1, (m,).
        places: starts in [0, 1], (m,).

    Returns:
        Returns in [0, 10], (m,).
    """
    now = np.array(places, dtype=np.float64)
    total: Array = np.zeros(now.shape)
    weight = 1.0
    while weight / (1 - CHAIN_DISCOUNT) > 1e-10:
        now = _chain_step(now, policy(now[:, None]))
        total = total + weight * now
        weight *= CHAIN_DISCOUNT
    return total


def graph_log(successors: ArrayLike, rewards: ArrayLike, terminals: ArrayLike | None = None) -> TransitionDataset:
    """Every state and action of a deterministic finite MDP, logged once.

    Args:
        successors: state after each action in each state, 0 to S - 1, (S, A).
        rewards: (S, A).
        terminals: whether the transition ends the episode, (S, A); None: none does.

    Returns:
        Observations: the number of the state, float64, (S A, 1); every pair is an episode of one step.
    """
    after = np.asarray(successors, dtype=np.int64)
    ends = np.zeros(after.shape, dtype=np.bool_) if terminals is None else np.asarray(terminals, dtype=np.bool_)
    states, actions = (index.ravel() for index in np.indices(after.shape))
    return TransitionDataset.from_arrays(
        states[:, None].astype(np.float64),
        actions,
        np.asarray(rewards, dtype=np.float64).ravel(),
        after.reshape(-1, 1).astype(np.float64),
        ends.ravel(),
        ~ends.ravel(),
        np.arange(after.size),
        after.shape[1],
    )


def graph_optimal_value(
    successors: ArrayLike, rewards: ArrayLike, terminals: ArrayLike | None = None, *, gamma: float
) -> Array:
    """Exact optimal values of a deterministic finite MDP by policy iteration (Howard 1960), shape (S,).

    Args:
        successors, rewards, terminals: as for :func:`graph_log`.
        gamma: discount, in [0, 1).
    """
    after, gains = np.asarray(successors, dtype=np.int64), np.asarray(rewards, dtype=np.float64)
    goes_on = np.ones(after.shape) if terminals is None else 1.0 - np.asarray(terminals, dtype=np.float64)
    states = np.arange(len(after))
    policy = np.zeros(len(after), dtype=np.int64)
    while True:
        system = np.eye(len(after))
        np.subtract.at(system, (states, after[states, policy]), gamma * goes_on[states, policy])
        values: Array = np.linalg.solve(system, gains[states, policy]).astype(np.float64)
        q = gains + gamma * goes_on * values[after]
        # Only a real gain changes the policy, or rounding could swap equals for ever.
        better = q.max(axis=1) > q[states, policy] + 1e-12 * (1 + np.abs(values))
        if not better.any():
            return values
        policy = np.where(better, q.argmax(axis=1), policy)


def balance(states: Array) -> Integers:
    """Push to the side to which cart and pole lean: keeps the pole up for 500 steps from every start."""
    return (states @ np.array([0.1, 0.3, 3.0, 1.0]) > 0).astype(np.int64)


def _chain_step(places: Array, moves: NDArray[Any]) -> Array:
    return np.clip(places + np.where(moves == 1, CHAIN_MOVE, -CHAIN_MOVE), 0.0, 1.0)
