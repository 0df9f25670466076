"""What a policy earns: whole episodes, counted without bias."""

__all__ = ["EpisodeStatistics", "Policy", "evaluate"]

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rostra.engine.errors import InputError
from rostra.engine.progress import progress_bar

from .environments import actions_for, observations_of, open_envs, restart, seeds_for

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

Policy = Callable[[NDArray[Any]], Any]
"""A batch of observations, shape (n, *observation_shape), to actions: shape (n,) or (n, m). n may change."""


@dataclass(frozen=True, eq=False)
class EpisodeStatistics:
    """Episodes of one policy, in the order of their seeds.

    Attributes:
        returns: undiscounted sums of rewards, shape (episodes,), float64.
        lengths: steps, shape (episodes,), int64.
        actions: how often each discrete action was taken, shape (actions,), int64; None for continuous ones.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    actions: NDArray[np.int64] | None

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean return, over episodes; nan for one episode."""
        count = len(self.returns)
        return float(self.returns.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan

    @property
    def action_shares(self) -> NDArray[np.float64] | None:
        """Share of each discrete action among all steps, shape (actions,); None for continuous ones."""
        return None if self.actions is None else self.actions / self.actions.sum()

    def summary(self) -> dict[str, Any]:
        """In plain numbers, for people and JSON; the standard error of one episode is None."""
        shares = self.action_shares
        return {
            "episodes": len(self.returns),
            "mean_return": self.mean,
            "standard_error": None if math.isnan(self.standard_error) else self.standard_error,
            "min_return": float(self.returns.min()),
            "max_return": float(self.returns.max()),
            "mean_length": float(self.lengths.mean()),
            "action_shares": None if shares is None else shares.tolist(),
        }


def evaluate(
    policy: Policy,
    environment: "str | VectorEnv[Any, Any, Any]",
    episodes: int,
    seed: int,
    *,
    num_envs: int = 16,
    max_steps: int | None = None,
    **options: Any,
) -> EpisodeStatistics:
    """Play a fixed set of episodes, each from a seed of its own.

    Episode i begins with the i-th seed drawn from ``seed``, in whichever sub-environment is free, and every episode
    that begins is counted. So short episodes weigh no more than long ones, two policies meet the same beginnings,
    and a policy that does not draw gets the same statistics from any number of environments.

    Args:
        policy: gets the observations of the episodes that are being played, at most ``num_envs``.
        environment: an id for :func:`make_envs`; or environments in autoreset mode SAME_STEP whose ``reset``
            knows Gymnasium's ``reset_mask``.
        episodes: number of episodes, at least 1.
        seed: of the episodes, not negative.
        num_envs: sub-environments to make for an id.
        max_steps: cuts longer episodes; None lets each run to its end, which must come.
        options: of :func:`make_envs`, for an id.

    Raises:
        InputError: if there is no such environment, a number is out of range, or the policy gives actions that
            the environment does not have.
    """
    if episodes < 1:
        raise InputError(f"episodes must be at least 1, got {episodes}")
    if max_steps is not None and max_steps < 1:
        raise InputError(f"max_steps must be at least 1, got {max_steps}")
    returns, lengths = np.zeros(episodes), np.zeros(episodes, dtype=np.int64)
    with open_envs(environment, min(num_envs, episodes), **options) as envs, progress_bar("evaluate", episodes) as bar:
        seeds = seeds_for(seed, max(episodes, envs.num_envs))
        playing = np.arange(min(envs.num_envs, episodes))  # sub-environments whose episode counts
        episode = np.arange(envs.num_envs)  # which one each of them plays
        begun, finished, total = len(playing), 0, 0.0
        observations = restart(envs, episode, seeds[: envs.num_envs])
        every_action = np.zeros(envs.action_space.shape or (), dtype=envs.action_space.dtype)
        counts = np.zeros(int(getattr(envs.single_action_space, "n", 0)), dtype=np.int64)
        while playing.size:
            all_play = len(playing) == envs.num_envs
            actions = actions_for(envs, policy(observations if all_play else observations[playing]), len(playing))
            every_action[playing] = actions
            observations, rewards, ended, cut, _ = envs.step(every_action)
            observations = observations_of(envs, observations)
            if counts.size:
                counts += np.bincount(actions, minlength=counts.size)
            current = episode[playing]
            returns[current] += rewards[playing]
            lengths[current] += 1
            over = (ended | cut)[playing]
            if max_steps is not None:
                over |= lengths[current] >= max_steps
            if not over.any():
                continue
            free = playing[over]
            fresh = free[: episodes - begun]
            episode[fresh] = begun + np.arange(len(fresh))
            if fresh.size:
                observations = restart(envs, fresh, [seeds[i] for i in episode[fresh].tolist()])
            begun += len(fresh)
            playing = np.setdiff1d(playing, free[len(fresh) :])
            finished += len(free)
            total += float(returns[current[over]].sum())
            bar(len(free), f"mean return {total / finished:.4g}")
    return EpisodeStatistics(returns, lengths, counts if counts.size else None)
