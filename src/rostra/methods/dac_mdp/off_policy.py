"""Values of policies from the log alone, for choosing among solutions where there is no environment to try them in.

Fitted Q evaluation (Le, Voloshin, Yue, 2019) repeats one regression: of r + gamma (1 - d) Q(s', pi(s')) on (s, a),
starting from Q = 0. The regression here is ridge regression on kernel features, not a network:

* Its Gram matrix depends neither on the policy nor on the repetition. It is factorised once, and a repetition for all
  policies is two matrix products.
* It is deterministic: no learning rate, and no spread between first weights.
* Its sensitivity to every episode is a linear system, which gives standard errors without fitting again.

The limit of the repetitions could be had at once, from a linear system for each policy. But off the log's policy the
repetitions need not converge: on random play of CartPole that system gave values beyond any possible return, unless its
penalty was raised so far that good policies lost most of their lead. So what is fitted is clipped to the returns that
the logged rewards allow. That keeps the repetitions bounded, and ranked policies rightly over a hundredfold range of
penalties. It does not cure a log that lacks what a policy would meet: without failures in it, no policy fails.

It does not look for neighbours as DeepAveragers does, so it does not judge the derived MDP by its own assumptions.
"""

__all__ = ["PolicyEstimates", "fitted_q_evaluation"]

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist, pdist

from rostra.engine.errors import InputError
from rostra.engine.progress import progress_bar
from rostra.fields.rl.transitions import TransitionDataset

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SHARED = 0.5
"""Kernel between equal states with different actions: how far what is learned of one action goes for the others."""
CHUNK = 4096
"""Transitions that go through a matrix product together."""
TOLERANCE = 1e-5
"""Repetitions end when no fitted value moves by more than this share of the range of possible returns."""
RANK_TOLERANCE = 1e-8
"""Directions of the landmarks' kernel below this share of the largest are left out: rounding rules there."""


@dataclass(frozen=True)
class PolicyEstimates:
    """What :func:`fitted_q_evaluation` found for P policies.

    Attributes:
        values: mean over the E episodes' first states of the discounted return, shape (P,). Approximate: one may lie a
            little outside the possible returns.
        standard_errors: over episodes, shape (P,). For differences between policies use ``influences``.
        residuals: root mean square of Q(s, a) - r - gamma (1 - d) Q(s', pi(s')) on episodes that the fit did not see,
            shape (P,). It includes the noise of rewards and next states. One far above the others says that the log
            does not determine that policy's value.
        agreement: share of the logged steps, first ones of episodes apart, in which the policy takes the logged action,
            shape (P,); nan where every episode is one step. Policies that agree little with a log of one narrow
            behaviour lead where it never was, and nothing warns of that but this.
        clipped: share of the logged transitions whose next value had to be clipped, shape (P,). A large share says that
            the policy's value rests on the bound of the returns more than on the log.
        changes: bound on how far the last repetition moved any fitted value, shape (P,): 1e-5 of the range of possible
            returns, or more where the repetitions ran out.
        influences: what each episode contributes to a value's error, shape (P, E). The root of the sum of squares of
            ``influences[a] - influences[b]`` is the standard error of ``values[a] - values[b]``.
    """

    values: Array
    standard_errors: Array
    residuals: Array
    agreement: Array
    clipped: Array
    changes: Array
    influences: Array


@dataclass(frozen=True)
class _Features:
    """Kernel features of (state, action) pairs: k((s, a), (z, b)) = exp(-|s - z|^2 / 2 h^2) (1 if a = b, else SHARED).

    Landmarks (z, b) are logged pairs, sorted by action. ``whiten`` maps their kernel values, and a 1, to features whose
    ridge penalty is that of the kernel's own space; the last feature is 1 and bears no penalty.
    """

    points: Array
    landmarks: Array
    actions: Integers
    action_count: int
    bandwidth: float
    whiten: Array

    def kernel(self, states: Integers) -> Array:
        """Kernel values of states with the landmarks' states, shape (n, landmarks)."""
        squares = cdist(self.points[states], self.landmarks, "sqeuclidean")
        return np.exp(squares / (-2 * self.bandwidth**2))

    def pairs(self, kernel: Array, actions: Integers) -> Array:
        """Kernel values of pairs and a column of 1, shape (n, landmarks + 1)."""
        found = np.ones((len(kernel), len(self.actions) + 1))
        np.multiply(kernel, np.where(actions[:, None] == self.actions, 1.0, SHARED), out=found[:, :-1])
        return found

    def values(self, kernel: Array, actions: Integers, coefficients: Array) -> Array:
        """What :meth:`pairs` times the coefficients is for several policies, without ever forming the pairs.

        Args:
            kernel: shape (n, landmarks).
            actions: shape (n, P).
            coefficients: shape (landmarks + 1, P).

        Returns:
            Shape (n, P).
        """
        parts = np.empty((len(kernel), self.action_count, actions.shape[1]))
        edges = np.searchsorted(self.actions, np.arange(self.action_count + 1))
        for action in range(self.action_count):
            columns = slice(edges[action], edges[action + 1])
            parts[:, action] = kernel[:, columns] @ coefficients[columns]
        own = np.take_along_axis(parts, actions[:, None], axis=1)[:, 0]
        return SHARED * parts.sum(1) + (1 - SHARED) * own + coefficients[-1]


def fitted_q_evaluation(
    dataset: TransitionDataset,
    next_actions: ArrayLike,
    initial_actions: ArrayLike,
    gamma: float = 0.99,
    *,
    encoder: Callable[[NDArray[np.generic]], ArrayLike] | None = None,
    features: int = 200,
    bandwidth: float = 1.0,
    ridge: float = 1e-4,
    repetitions: int | None = None,
    held_out: float = 0.2,
    seed: int = 0,
) -> PolicyEstimates:
    """Estimate the value of several deterministic policies from a log.

    Args:
        dataset: a log with discrete actions and at least 2 episodes.
        next_actions: shape (P, N): the action of each policy at s'_i, such as
            ``policy(dataset.next_observations)``.
        initial_actions: shape (P, E): at ``dataset.states[dataset.initial_states()]``.
        gamma: discount, in [0, 1).
        encoder: observations (n, *shape) -> (n, d); None takes the numbers of an observation as they are. Either is
            brought to standard deviation 1 by column.
        features: most landmarks: time and memory grow with N times this (16 N bytes a landmark).
        bandwidth: of the kernel, as a multiple of the median distance between landmarks.
        ridge: penalty, as a share of the number of transitions.
        repetitions: most of them; None: 10 / (1 - gamma), after which rewards count less than 1e-4.
        held_out: share of the episodes that the residuals are measured on; the values use all.
        seed: of the landmarks and the held-out episodes.

    Returns:
        Values, standard errors, diagnostics. The standard errors are those of the bootstrap over episodes to first
        order (the infinitesimal jackknife): the fit's sensitivity to each episode's weight is computed, not drawn. They
        know nothing of what the features cannot express, nor of what the log does not show.

    Raises:
        InputError: for continuous actions, a wrong shape or action, numbers out of range, or fewer than 2 episodes.
    """
    if dataset.action_count is None:
        raise InputError("fitted Q evaluation needs discrete actions, and this log has continuous ones")
    starts = dataset.initial_states()
    following = _actions("next_actions", next_actions, len(dataset), dataset.action_count)
    first = _actions("initial_actions", initial_actions, len(starts), dataset.action_count)
    if len(following) != len(first):
        raise InputError(
            f"next_actions has {len(following)} policies and initial_actions {len(first)}; give both for all"
        )
    if not 0 <= gamma < 1:
        raise InputError(f"gamma must be at least 0 and below 1, got {gamma!r}")
    if not 0 < held_out < 1:
        raise InputError(f"held_out must be above 0 and below 1, got {held_out!r}")
    repetitions = math.ceil(10 / (1 - gamma)) if repetitions is None else repetitions
    if features < 1 or repetitions < 1:
        raise InputError(f"features and repetitions must be at least 1, got {features} and {repetitions}")
    if not bandwidth > 0 or not ridge > 0:
        raise InputError(f"bandwidth and ridge must be above 0, got {bandwidth} and {ridge}")
    if len(starts) < 2:
        raise InputError("fitted Q evaluation needs at least 2 episodes: errors are measured between them")

    random = np.random.default_rng(seed)
    episode = np.unique(dataset.episodes, return_inverse=True)[1]  # in order, like ``starts``
    unseen = np.zeros(len(starts), dtype=bool)
    unseen[random.permutation(len(starts))[: min(max(1, round(held_out * len(starts))), len(starts) - 1)]] = True
    basis = _make_features(dataset, dataset.action_count, encoder, features, bandwidth, random)
    policies, whiten = len(following), basis.whiten
    now = basis.pairs(basis.kernel(dataset.source), dataset.actions) @ whiten  # (N, r)
    after, chosen = basis.kernel(dataset.successor), np.ascontiguousarray(following.T)  # (N, landmarks), (N, P)
    rewards = dataset.rewards
    discounts = gamma * (1.0 - dataset.terminals)  # a timeout cuts the log, not the task
    lowest, highest = min(rewards.min(), 0.0) / (1 - gamma), max(rewards.max(), 0.0) / (1 - gamma)
    chunks = [slice(start, start + CHUNK) for start in range(0, len(dataset), CHUNK)]
    penalty = np.diag(np.append(np.full(whiten.shape[1] - 1, ridge), 0.0))  # the constant bears none

    weights, changes = np.zeros((whiten.shape[1], policies)), np.zeros(policies)
    residuals, clipped = np.zeros(policies), np.zeros(policies)
    # First without the held-out episodes, to be measured on them; from there on with all.
    for used in (~unseen[episode], np.ones(len(dataset), dtype=bool)):
        system = (now * used[:, None]).T @ now + used.sum() * penalty
        factor = cho_factor(system)
        with progress_bar("fitted Q evaluation", repetitions) as advance:
            for _ in range(repetitions):
                coefficients, moments = whiten @ weights, np.zeros_like(weights)
                for chunk in chunks:
                    value = basis.values(after[chunk], chosen[chunk], coefficients).clip(lowest, highest)
                    target = rewards[chunk, None] + discounts[chunk, None] * value
                    moments += now[chunk].T @ (used[chunk, None] * target)
                last, weights = weights, cho_solve(factor, moments)
                # features of a pair have norm 1 at most, the constant apart: this bounds every value's change
                moved = weights - last
                changes = np.linalg.norm(moved[:-1], axis=0) + np.abs(moved[-1])
                advance(1, f"change {changes.max():.2g}")
                if changes.max() <= TOLERANCE * (highest - lowest):
                    break
        coefficients = whiten @ weights
        following_values = np.concatenate(
            [basis.values(after[chunk], chosen[chunk], coefficients) for chunk in chunks]
        )  # (N, P)
        clipped = ((following_values < lowest) | (following_values > highest)).mean(0)
        errors = rewards[:, None] + discounts[:, None] * following_values.clip(lowest, highest) - now @ weights
        if not used.all():
            residuals = np.sqrt((errors[~used] ** 2).mean(0))

    # How a value moves with the weight of an episode: by u' sum(feature * error) over its transitions, where u solves
    # (system - derivative of the targets)' u = mean feature of the first states; clipped targets do not move.
    kernel, inside = basis.kernel(starts), (following_values >= lowest) & (following_values <= highest)
    values, influences = np.zeros(policies), np.zeros((policies, len(starts)))
    for policy in range(policies):
        at_start = basis.pairs(kernel, first[policy]) @ whiten
        start_values = at_start @ weights[:, policy]
        values[policy] = start_values.mean()
        derivative = np.zeros((len(weights), len(whiten)))
        for chunk in chunks:
            then = basis.pairs(after[chunk], chosen[chunk, policy])
            derivative += (now[chunk] * (discounts[chunk] * inside[chunk, policy])[:, None]).T @ then
        sensitivity = np.linalg.solve((system - derivative @ whiten).T, at_start.mean(0))
        pull = (now @ sensitivity) * errors[:, policy]
        influences[policy] = np.bincount(episode, pull, len(starts)) + (start_values - values[policy]) / len(starts)
    standard_errors = np.sqrt((influences**2).sum(1))

    went_on = np.flatnonzero(episode[1:] == episode[:-1])
    agreement = np.full(policies, np.nan)
    if len(went_on):
        agreement = (following[:, went_on] == dataset.actions[went_on + 1]).mean(1)
    return PolicyEstimates(values, standard_errors, residuals, agreement, clipped, changes, influences)


def _make_features(
    dataset: TransitionDataset,
    action_count: int,
    encoder: Callable[[NDArray[np.generic]], ArrayLike] | None,
    count: int,
    bandwidth: float,
    random: np.random.Generator,
) -> _Features:
    """Features on landmarks drawn from the log."""
    points = np.asarray(dataset.states if encoder is None else encoder(dataset.states), dtype=np.float64)
    if len(points) != len(dataset.states) or not np.isfinite(points).all():
        raise InputError(
            f"the encoder must give one row of finite numbers an observation; it gave shape {points.shape} for "
            f"{len(dataset.states)} observations"
        )
    points = points.reshape(len(points), -1)
    scale = points.std(0)
    points = (points - points.mean(0)) / np.where(scale > 0, scale, 1.0)
    chosen = random.choice(len(dataset), size=min(count, len(dataset)), replace=False)
    # each pair once, and sorted by action: a log of few distinct pairs has few landmarks
    drawn = np.column_stack([dataset.actions[chosen], points[dataset.source[chosen]]])
    _, unlike = np.unique(drawn, axis=0, return_index=True)
    chosen = chosen[unlike]
    landmarks, actions = points[dataset.source[chosen]], dataset.actions[chosen]
    distances = pdist(landmarks)
    distances = distances[distances > 0]
    width = bandwidth * float(np.median(distances)) if len(distances) else 1.0
    basis = _Features(points, landmarks, actions, action_count, width, np.eye(len(actions) + 1))
    among = basis.pairs(basis.kernel(dataset.source[chosen]), actions)[:, :-1]
    sizes, directions = np.linalg.eigh(among)
    kept = sizes > RANK_TOLERANCE * sizes[-1]
    whiten = np.zeros((len(actions) + 1, kept.sum() + 1))
    whiten[:-1, :-1] = directions[:, kept] / np.sqrt(sizes[kept])
    whiten[-1, -1] = 1.0
    return replace(basis, whiten=whiten)


def _actions(name: str, given: ArrayLike, columns: int, count: int) -> Integers:
    """Actions of the policies, checked: shape (P, columns)."""
    actions = np.asarray(given)
    if actions.ndim != 2 or actions.shape[1] != columns or len(actions) == 0:
        raise InputError(f"{name} has shape {actions.shape}; expected (policies, {columns})")
    if not np.issubdtype(actions.dtype, np.integer) or actions.min() < 0 or actions.max() >= count:
        raise InputError(f"{name} must hold whole numbers from 0 to {count - 1}")
    return actions.astype(np.int64)
