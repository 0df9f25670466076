"""Compiled loops over the derived MDP: sweeps of value iteration, evaluation of a policy, mean rewards, neighbours.

Arrays: ``successors`` (N, A, k), the core states of the neighbours; ``weights`` (N, A, k), or an empty array for 1 / k
each; ``reward`` (N, A), penalised and averaged, -inf where an action is not allowed; ``values`` (N,). A terminal core
state keeps its value 0. Sweeps run from the last core state to the first: a log has its rewards' causes before them,
so that one pass carries a reward back through its episode.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rostra.engine.errors import InputError
from rostra.engine.runtime import share_threads_with_numba

try:
    from numba import njit, prange
except ImportError:
    raise InputError("DAC-MDP needs numba: pip install 'rostra[rl]'") from None


class Sweeps(NamedTuple):
    """The loops over all core states, compiled for a number of neighbours and for uniform or other weights.

    ``share``: what the values of neighbours count: gamma, or gamma / k where weights are uniform and not stored.
    """

    in_place: Any
    """(values, policy, successors, weights, reward, terminal, share, slip): Gauss-Seidel, every state sees the values
    that the sweep has found so far; returns the largest change."""
    jacobi: Any
    """(values, found, policy, ...): every state sees the values of the last sweep; ``found`` gets the new ones."""
    evaluate: Any
    """(values, successors, weights, reward, terminal, share, sweeps, tol): sweeps in place of a fixed policy, whose
    rows :func:`chosen_rows` gives; (sweeps done, last change)."""
    pair_values: Any
    """(values, successors, weights, reward, terminal, share): Q of all pairs, (N, A); 0 in terminal states."""


COMPILED_FOR = (1, 5, 20)
"""Numbers of neighbours with loops of their own, whose inner loop is unrolled: twice as fast. Others share one."""


def share_of(gamma: float, successors: NDArray[np.int32], weights: NDArray[Any]) -> Any:
    """``share`` of the loops, in the type of the weights: another type would be compiled anew."""
    return weights.dtype.type(gamma if weights.size else gamma / successors.shape[-1])


def sweeps_for(successors: NDArray[np.int32], weights: NDArray[Any]) -> Sweeps:
    """The loops for these tables, on the threads of torch."""
    share_threads_with_numba()
    k = successors.shape[-1]
    return _compiled(k if k in COMPILED_FOR else 0, weights.size == 0)


@functools.cache
def _compiled(fixed, uniform):
    """``fixed`` neighbours (0: as many as the tables have); constants of the closures, so that they are compiled in.

    Indexes are read as unsigned: a signed one may be negative, which costs a comparison each.
    """

    @njit(nogil=True, inline="always")
    def continuation(values, successors, weights, state, action):
        """The mean value of the next states of a pair, times k where weights are uniform."""
        total = values.dtype.type(0)
        for m in range(fixed if fixed else successors.shape[2]):
            value = values[np.uint32(successors[state, action, m])]
            total += value if uniform else weights[state, action, m] * value
        return total

    @njit(nogil=True, inline="always")
    def backup(values, successors, weights, reward, share, slip, state):
        """(value, best action) of a state; of equal actions the first."""
        best, chosen = values.dtype.type(-math.inf), 0
        for action in range(reward.shape[1]):
            q = reward[state, action] + share * continuation(values, successors, weights, state, action)
            if q > best:
                best, chosen = q, action
        if slip > 0:
            total, allowed = 0.0, 0
            for action in range(reward.shape[1]):
                if reward[state, action] > -math.inf:
                    total += reward[state, action] + share * continuation(values, successors, weights, state, action)
                    allowed += 1
            best = values.dtype.type((1 - slip) * best + slip * total / allowed)
        return best, chosen

    @njit(cache=True, nogil=True)
    def in_place(values, policy, successors, weights, reward, terminal, share, slip):
        change = values.dtype.type(0)
        for state in range(values.size - 1, -1, -1):
            if terminal[state]:
                continue
            found, policy[state] = backup(values, successors, weights, reward, share, slip, state)
            change = max(change, abs(found - values[state]))
            values[state] = found
        return change

    @njit(cache=True, nogil=True, parallel=True)
    def jacobi(values, found, policy, successors, weights, reward, terminal, share, slip):
        change = values.dtype.type(0)
        for state in prange(values.size):
            if terminal[state]:
                found[state] = 0
                continue
            own, chosen = backup(values, successors, weights, reward, share, slip, state)
            policy[state] = chosen
            found[state] = own
            change = max(change, abs(own - values[state]))
        return change

    @njit(cache=True, nogil=True)
    def evaluate(values, successors, weights, reward, terminal, share, sweeps, tol):
        change = math.inf
        done = 0
        while done < sweeps and change > tol:
            change = 0.0
            for state in range(values.size - 1, -1, -1):
                if terminal[state]:
                    continue
                total = values.dtype.type(0)
                for m in range(fixed if fixed else successors.shape[1]):
                    value = values[np.uint32(successors[state, m])]
                    total += value if uniform else weights[state, m] * value
                found = reward[state] + share * total
                change = max(change, abs(found - values[state]))
                values[state] = found
            done += 1
        return done, change

    @njit(cache=True, nogil=True, parallel=True)
    def pair_values(values, successors, weights, reward, terminal, share):
        found = np.empty_like(reward)
        for state in prange(reward.shape[0]):
            for action in range(reward.shape[1]):
                own = reward[state, action]
                found[state, action] = own + share * continuation(values, successors, weights, state, action)
                if terminal[state]:
                    found[state, action] = 0
        return found

    return Sweeps(in_place, jacobi, evaluate, pair_values)


@njit(cache=True, nogil=True)
def chosen_rows(policy, successors, weights, reward):
    """What a policy needs: successors (N, k), weights (N, k) or none, and rewards (N,) of its actions."""
    n, _, k = successors.shape
    own = np.empty((n, k), successors.dtype)
    own_reward = np.empty(n, reward.dtype)
    own_weights = np.empty((n if weights.shape[0] else 0, k), weights.dtype)
    for state in range(n):
        action = policy[state]
        own_reward[state] = reward[state, action]
        for m in range(k):
            own[state, m] = successors[state, action, m]
        if weights.shape[0]:
            for m in range(k):
                own_weights[state, m] = weights[state, action, m]
    return own, own_weights, own_reward


@njit(cache=True, nogil=True)
def sweep_many_in_place(values, policy, successors, weights, reward, terminal, gamma, slip, change):
    """B problems at once on the same neighbours: values (N, B), reward (N, A, B), gamma, slip and change (B,).

    A next state's B values lie side by side, so that fetching them costs little more than fetching one.
    """
    n, actions, problems = reward.shape
    k = successors.shape[2]
    uniform = weights.shape[0] == 0
    total = np.empty(problems, values.dtype)
    best, mean = np.empty(problems, values.dtype), np.empty(problems, values.dtype)
    chosen, allowed = np.empty(problems, policy.dtype), np.empty(problems, values.dtype)
    change[:] = 0
    for state in range(n - 1, -1, -1):
        if terminal[state]:
            continue
        best[:] = -math.inf
        mean[:] = 0
        allowed[:] = 0
        chosen[:] = 0
        for action in range(actions):
            total[:] = 0
            for m in range(k):
                other = successors[state, action, m]
                share = values.dtype.type(1.0 / k) if uniform else weights[state, action, m]
                for b in range(problems):
                    total[b] += share * values[other, b]
            for b in range(problems):
                own = reward[state, action, b]
                if own == -math.inf:
                    continue
                q = own + gamma[b] * total[b]
                mean[b] += q
                allowed[b] += 1
                if q > best[b]:
                    best[b] = q
                    chosen[b] = action
        for b in range(problems):
            found = best[b]
            if slip[b] > 0:
                found = (1 - slip[b]) * found + slip[b] * mean[b] / allowed[b]
            change[b] = max(change[b], abs(found - values[state, b]))
            values[state, b] = found
            policy[state, b] = chosen[b]


@njit(cache=True, nogil=True, parallel=True)
def mean_rewards(rewards, successors, distances, weights, cost, found):
    """sum_m w_m (r_m - C d_m) of all pairs into ``found`` (N, A), from the rewards (N,) of the logged transitions.

    Rewards and cost are float64: what large rewards and costs leave of each other is rounded once, at the end.
    """
    n, actions, k = successors.shape
    for state in prange(n):
        for action in range(actions):
            total = 0.0
            for m in range(k):
                own = rewards[successors[state, action, m]] - cost * np.float64(distances[state, action, m])
                total += own * weights[state, action, m] if weights.shape[0] else own
            found[state, action] = total if weights.shape[0] else total / k


@njit(cache=True, nogil=True)
def expand_neighbours(found, distances, starts, members, k):
    """Logged rows behind distinct points: each query's k nearest, of equal distance those of lower row first.

    Args:
        found: distinct points, nearest first, shape (Q, c).
        distances: theirs, shape (Q, c).
        starts: where a distinct point's rows begin in ``members``, shape (U + 1,).
        members: rows, ascending within a point.
        k: at most as many as there are rows.
    """
    queries, candidates = found.shape
    rows = np.empty((queries, k), np.int64)
    nearest = np.empty((queries, k), distances.dtype)
    for query in range(queries):
        filled = 0
        for c in range(candidates):
            distance = distances[query, c]
            if filled == k and distance > nearest[query, k - 1]:
                break
            first = starts[found[query, c]]
            for position in range(first, min(starts[found[query, c] + 1], first + k)):
                row = members[position]
                place = filled
                while place > 0 and (
                    nearest[query, place - 1] > distance
                    or (nearest[query, place - 1] == distance and rows[query, place - 1] > row)
                ):
                    place -= 1
                if place == k:
                    break
                last = filled if filled < k else k - 1
                for other in range(last, place, -1):
                    rows[query, other] = rows[query, other - 1]
                    nearest[query, other] = nearest[query, other - 1]
                rows[query, place] = row
                nearest[query, place] = distance
                filled = min(filled + 1, k)
    return rows, nearest
