"""DeepAveragers: the mathematics, on NumPy arrays. Section numbers are those of Shrestha et al. (2021).

The derived MDP has the logged next states s'_i as core states. With the k logged pairs nearest to a state s and an
action a, in order, at distances d_m with rewards r_m and next states s'_m:

    Q(s, a) = sum_m w_m (r_m - C d_m) + gamma sum_m w_m V(s'_m),    V(s) = max_a Q(s, a).
"""

__all__ = [
    "WEIGHTS",
    "action_values",
    "error_bound",
    "neighbour_weights",
    "penalised_reward",
    "state_values",
]

import numpy as np
from numpy.typing import NDArray

from rostra.engine.errors import InputError

WEIGHTS = ("uniform", "inverse", "official")
INVERSE_DELTA = 1e-8
"""Added to distances under the weights "inverse", as in the authors' scripts."""
OFFICIAL_DELTA = 1e-4

Array = NDArray[np.floating]


def neighbour_weights(
    distances: Array, kind: str, *, cost: float = 1.0, used: NDArray[np.bool_] | None = None
) -> Array:
    """Weights of neighbours, which sum to 1 along the last axis.

    Args:
        distances: at least 0, shape (..., k).
        kind: "uniform": 1 / k, the paper's definition. "inverse": proportional to 1 / (d + 1e-8), so that an exact hit
            takes practically all. "official": proportional to 1 / (C d + 1e-4), as in the authors' later code; these
            change with the cost, and are uniform at cost 0.
        cost: C, which only "official" looks at.
        used: which entries are neighbours, shape (..., k); None: all. Others get weight 0; a row without any is 0.

    Raises:
        InputError: for another kind.
    """
    if kind == "uniform":
        raw = np.ones_like(distances)
    elif kind == "inverse":
        raw = 1 / (distances + distances.dtype.type(INVERSE_DELTA))
    elif kind == "official":
        raw = 1 / (cost * distances + distances.dtype.type(OFFICIAL_DELTA))
    else:
        raise InputError(f"weights must be one of {', '.join(WEIGHTS)}; got '{kind}'")
    if used is not None:
        raw = np.where(used, raw, 0)
    total = raw.sum(-1, keepdims=True)
    return np.divide(raw, total, out=np.zeros_like(raw), where=total > 0)


def penalised_reward(rewards: Array, distances: Array, weights: Array, cost: float) -> Array:
    """Reward of a pair in the derived MDP, section 3: sum_m w_m (r_m - C d_m); (..., k) each -> (...)."""
    return (weights * (rewards - cost * distances)).sum(-1)


def action_values(penalised: Array, next_values: Array, weights: Array, gamma: float) -> Array:
    """Q of pairs: their penalised rewards (...) and the values of their neighbours' next states (..., k) -> (...)."""
    return penalised + gamma * (weights * next_values).sum(-1)


def state_values(q: Array, slip: float = 0.0) -> Array:
    """V of states from their Q (..., A); -inf marks an action that is not allowed. -> (...).

    With probability ``slip`` a random allowed action happens in place of the best one: the authors' safe operator.
    """
    best: Array = q.max(-1)
    if slip == 0:
        return best
    allowed = np.isfinite(q)
    mean = np.where(allowed, q, 0).sum(-1) / allowed.sum(-1)
    return (1 - slip) * best + slip * mean


def error_bound(change: float, gamma: float, rounding: float = 0.0) -> float:
    """Largest distance to the exact values after a sweep whose largest change was ``change``.

    The operator is a gamma-contraction in the sup norm, in place or not: |V - V*| <= gamma / (1 - gamma) * change. A
    backup that is off by ``rounding`` adds rounding / (1 - gamma).
    """
    return (gamma * change + rounding) / (1 - gamma)
