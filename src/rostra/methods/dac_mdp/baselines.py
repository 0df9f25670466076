"""What only the claims need: a network trained by playing, whose logs the offline methods get."""

__all__ = ["train_by_playing"]

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import smooth_l1_loss

from rostra.engine.progress import progress_bar
from rostra.engine.runtime import keep_freed_memory
from rostra.fields.rl.environments import final_observations, make_envs, observations_of

from .encoders import EncoderConfig, TrainedEncoder, targets
from .model import network_for

FIRST_STEPS = 1000
"""Transitions in the buffer before the first update."""


def train_by_playing(
    env_id: str,
    steps: int,
    seed: int,
    config: EncoderConfig,
    *,
    num_envs: int = 8,
    steps_per_update: int = 4,
    buffer_size: int = 100_000,
    exploration: float = 0.3,
    last_epsilon: float = 0.05,
    device: str | None = "cpu",
) -> TrainedEncoder:
    """Double DQN on line (Mnih et al. 2015; van Hasselt et al. 2016): the behaviour that logs are made with.

    Args:
        env_id: an environment with discrete actions.
        steps: transitions to play.
        seed: of everything.
        config: of the network's training; ``steps`` in it is not used.
        num_envs: environments that are played at once.
        steps_per_update: transitions played for each minibatch.
        buffer_size: most recent transitions that minibatches are drawn from.
        exploration: share of the steps in which the chance of a random action falls from 1 to ``last_epsilon``.
        last_epsilon: chance of a random action afterwards.
        device: torch device.
    """
    keep_freed_memory()
    random = np.random.default_rng([seed, 17])
    envs = make_envs(env_id, num_envs)
    try:
        observations = observations_of(envs, envs.reset(seed=seed)[0])
        shape, actions = observations.shape[1:], int(envs.single_action_space.n)  # type: ignore[attr-defined]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network, behind = network_for(shape, actions).to(device), network_for(shape, actions).to(device)
        behind.load_state_dict(network.state_dict())
        optimizer = torch.optim.Adam(network.parameters(), lr=config.lr, eps=config.adam_epsilon)
        size = min(buffer_size, steps)
        states, after = (np.zeros((size, *shape), observations.dtype) for _ in range(2))
        taken, rewards, ends = np.zeros(size, np.int64), np.zeros(size, np.float32), np.zeros(size, np.float32)
        played = updates = 0
        losses: list[float] = []

        def on_device(values: NDArray[Any]) -> torch.Tensor:
            return torch.as_tensor(values, device=device)

        with progress_bar("play", steps) as advance:
            while played < steps:
                epsilon = max(last_epsilon, 1 - (1 - last_epsilon) * played / max(1, exploration * steps))
                with torch.no_grad():
                    greedy = network.q_values(on_device(observations)).argmax(1).cpu().numpy()
                explore = random.random(num_envs) < epsilon
                chosen = np.where(explore, random.integers(0, actions, num_envs), greedy)
                found, reward, ended, cut, infos = envs.step(chosen)
                following = observations_of(envs, found).copy()
                over = np.flatnonzero(ended | cut)
                if len(over):
                    following[over] = final_observations(envs, infos, over)
                rows = np.arange(played, played + num_envs) % size
                states[rows], after[rows] = observations, following
                taken[rows], rewards[rows], ends[rows] = chosen, reward, ended
                observations = observations_of(envs, found)
                played += num_envs
                advance(num_envs, f"loss {losses[-1]:.3g}" if losses else "")
                while played >= FIRST_STEPS and updates < played // steps_per_update:
                    batch = random.integers(0, min(played, size), config.batch_size)
                    following_now = on_device(after[batch])
                    with torch.no_grad():
                        best = network.q_values(following_now).argmax(1)
                        discounts = config.gamma * (1 - on_device(ends[batch]))
                        wanted = targets(on_device(rewards[batch]), discounts, behind.q_values(following_now), best)
                    q = network.q_values(on_device(states[batch])).gather(1, on_device(taken[batch])[:, None])[:, 0]
                    loss = smooth_l1_loss(q, wanted)
                    optimizer.zero_grad()
                    torch.autograd.backward(loss)
                    optimizer.step()
                    updates += 1
                    if updates % config.target_period == 0:
                        with torch.no_grad():
                            for own, other in zip(behind.parameters(), network.parameters(), strict=True):
                                own.lerp_(other, config.tau)
                    if updates % 1000 == 0:
                        losses.append(float(loss.detach()))
    finally:
        envs.close()
    return TrainedEncoder("dqn", config, network, shape, actions, losses)
