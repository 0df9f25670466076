"""Collected logs: episodes one after the other, each with its own last observation."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rostra.engine.errors import InputError
from rostra.fields.rl.collection import collect, epsilon_greedy, random_policy
from rostra.fields.rl.environments import make_envs
from rostra.fields.rl.evaluation import evaluate

pytest.importorskip("gymnasium")
from gymnasium.spaces import Box, Discrete, MultiDiscrete

anything = random_policy(Discrete(2))


@settings(max_examples=25)
@given(steps=st.integers(1, 60), count=st.integers(1, 5), cut=st.booleans(), seed=st.integers(0, 50))
def test_every_episode_is_whole_and_its_own(batch, steps, count, cut, seed):
    """Observations are (number of the episode, step): all of a row's successors are known beforehand."""
    data = collect(anything, batch(count, lengths=(1, 2, 5, 9), cut=cut), steps, seed)
    assert len(data) == steps
    np.testing.assert_array_equal(data.next_observations[:, 0], data.observations[:, 0])
    np.testing.assert_array_equal(data.next_observations[:, 1], data.observations[:, 1] + 1)
    starts = np.flatnonzero(np.diff(data.episodes, prepend=-1))
    assert (data.observations[starts, 1] == 0).all()
    lasts = np.append(starts[1:], steps) - 1
    inside = np.setdiff1d(np.arange(steps), lasts)
    np.testing.assert_array_equal(data.successor[inside], data.source[inside + 1])
    assert (data.terminals | data.timeouts)[lasts].all()
    assert not (data.terminals | data.timeouts)[inside].any()
    assert len(np.unique(data.observations[starts, 0])) == len(starts)
    assert len(data.states) == steps + len(starts)
    lengths = lasts - starts + 1
    if cut:
        assert not data.terminals.any()
    else:
        assert set(lengths[data.terminals[lasts]]) <= {1, 2, 5, 9}
        assert data.timeouts.sum() <= count  # those that the end of the log cuts
    assert data.action_count == 2


def test_episodes_lie_in_the_order_in_which_they_began(batch):
    """So the head of a log is about what a shorter log would be."""
    data = collect(anything, batch(2, lengths=(3,)), 12, seed=0)
    assert data.episodes.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    alone = collect(anything, batch(2, lengths=(3,)), 6, seed=0)
    np.testing.assert_array_equal(data.states[: len(alone.states)], alone.states)


def test_the_seed_fixes_the_log():
    for env_id in ("CartPole-v1", "MinAtar/Breakout-v1"):
        policy = random_policy(Discrete(2))
        first = collect(policy, env_id, 300, seed=4)
        assert collect(policy, env_id, 300, seed=4).digest() == first.digest()
        assert collect(policy, env_id, 300, seed=5).digest() != first.digest()


def test_cartpole_logs_end_where_the_pole_falls():
    """The successor of a terminal step is the fallen pole, not the next beginning."""
    data = collect(anything, "CartPole-v1", 2000, seed=0)
    fallen = data.next_observations[data.terminals]
    assert len(fallen) > 50
    assert ((np.abs(fallen[:, 2]) > 12 * np.pi / 180) | (np.abs(fallen[:, 0]) > 2.4)).all()
    assert (np.abs(data.states[data.initial_states()]) <= 0.05).all()
    assert 15 < data.episode_returns().mean() < 30
    assert data.states.dtype == np.float32


def test_observations_that_are_states_are_one_hot():
    """FrozenLake's 4 x 4 fields: an episode begins in field 0, and a step leads to the same or to an adjacent one."""
    data = collect(random_policy(Discrete(4)), "FrozenLake-v1", 400, seed=0)
    assert data.observation_shape == (16,)
    assert data.states.dtype == np.float32
    assert data.action_count == 4
    assert (np.sort(data.states)[:, :-1] == 0).all()
    assert (data.states.max(1) == 1).all()
    fields = data.states.argmax(1)
    assert (fields[data.initial_states()] == 0).all()
    row, column = np.abs(np.stack(np.divmod(fields[data.successor], 4)) - np.divmod(fields[data.source], 4))
    assert ((row + column) <= 1).all()
    assert set(fields[data.successor[data.terminals]]) <= {5, 7, 11, 12, 15}  # holes, and the goal
    assert data.terminals.sum() > 10


@pytest.mark.parametrize("broken", [False, True])
def test_environments_made_for_an_id_are_closed(broken, monkeypatch):
    """Also after an error; those of the caller are not."""
    made = []

    def watched(*arguments, **options):
        envs = make_envs(*arguments, **options)
        monkeypatch.setattr(envs, "close", lambda: made.append("closed"))
        made.append("open")
        return envs

    monkeypatch.setattr("rostra.fields.rl.environments.make_envs", watched)
    outcome = pytest.raises(InputError, match="action 2") if broken else contextlib.nullcontext()
    chosen = 2 if broken else 0
    with outcome:
        collect(lambda observations, generator: np.full(len(observations), chosen), "CartPole-v1", 10, seed=0)
    with outcome:
        evaluate(lambda observations: np.full(len(observations), chosen), "CartPole-v1", 2, seed=0)
    assert made == ["open", "closed"] * 2


def test_continuous_actions_are_logged():
    space = Box(-2.0, 2.0, (1,), np.float32)
    data = collect(random_policy(space), "Pendulum-v1", 450, seed=0, num_envs=2)
    assert data.actions.shape == (450, 1)
    assert data.actions.dtype == np.float32
    assert np.abs(data.actions).max() <= 2
    assert data.timeouts.sum() == 4  # two episodes of 200 steps, two that the log cuts
    assert not data.terminals.any()


def test_epsilon_is_the_share_of_random_actions(batch):
    """Of 2 actions, half of the random ones are greedy by chance."""
    policy = epsilon_greedy(lambda observations: np.ones(len(observations), int), Discrete(2), 0.4)
    data = collect(policy, batch(4), 4000, seed=0)
    assert abs((data.actions == 0).mean() - 0.2) < 0.03


def test_an_epsilon_drawn_for_an_episode_holds_for_all_of_it(batch):
    """With 0 and 1, an episode is either all greedy or all random."""
    policy = epsilon_greedy(lambda observations: np.ones(len(observations), int), Discrete(2), (0.0, 1.0))
    data = collect(policy, batch(4, lengths=(50,)), 4000, seed=0)
    shares = np.bincount(data.episodes, data.actions) / np.bincount(data.episodes)
    greedy = shares == 1
    assert (shares[~greedy] < 0.8).all()
    assert 0.25 < greedy.mean() < 0.75
    assert collect(policy, batch(4, lengths=(50,)), 4000, seed=0).digest() == data.digest()


def test_random_actions_cover_the_space():
    generator = np.random.default_rng(0)
    observations = np.zeros((1000, 3))
    assert np.bincount(random_policy(Discrete(3))(observations, generator)).min() > 250
    low, high = np.array([-1.0, 0.0], np.float32), np.array([1.0, 5.0], np.float32)
    drawn = random_policy(Box(low, high))(observations, generator)
    assert drawn.shape == (1000, 2)
    assert (drawn >= low).all()
    assert (drawn <= high).all()
    assert drawn[:, 1].max() > 4.5


def test_wrong_arguments_are_refused():
    for space in (MultiDiscrete([2, 2]), Box(-np.inf, np.inf, (2,))):
        with pytest.raises(InputError, match="random actions need a Discrete space or a Box with bounds"):
            random_policy(space)
    with pytest.raises(InputError, match=r"epsilon must lie between 0 and 1, got \(0.5, 2\)"):
        epsilon_greedy(anything, Discrete(2), (0.5, 2))
    with pytest.raises(InputError, match="steps must be at least 1, got 0"):
        collect(anything, "CartPole-v1", 0, seed=0)
    with pytest.raises(InputError, match="seed must not be negative"):
        collect(anything, "CartPole-v1", 1, seed=-1)
    floats = epsilon_greedy(lambda observations: np.ones(len(observations)), Discrete(2), 0.0)
    with pytest.raises(InputError, match="gave actions of type float64"):
        collect(floats, "CartPole-v1", 1, seed=0)
