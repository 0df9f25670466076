"""Environments whose episodes are known beforehand."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def batch():
    """``batch(count, lengths=(1, 100), cut=False)``: environments in the autoreset mode that is used here.

    Episodes have one of the lengths, each with equal probability, and reward 1 a step; they end, or are cut.
    Observation: (a number drawn for the episode, step).
    """
    gymnasium = pytest.importorskip("gymnasium")

    class Lengths(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
        action_space = gymnasium.spaces.Discrete(2)

        def __init__(self, lengths=(1, 100), cut=False):
            self.lengths, self.cut = lengths, cut

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.length = self.lengths[self.np_random.integers(len(self.lengths))]
            self.number, self.time = self.np_random.random(), 0
            return self.observation(), {}

        def observation(self):
            return np.array([self.number, self.time])

        def step(self, action):
            self.time += 1
            over = self.time == self.length
            return self.observation(), 1.0, over and not self.cut, over and self.cut, {}

    def make(count, **options):
        return gymnasium.vector.SyncVectorEnv(
            [lambda: Lengths(**options)] * count, autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP
        )

    return make
