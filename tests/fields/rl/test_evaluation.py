"""Evaluation counts every episode that begins, once."""

import json
import math

import numpy as np
import pytest

from rostra.engine.errors import InputError
from rostra.fields.rl.environments import make_envs, restart, seeds_for
from rostra.fields.rl.evaluation import EpisodeStatistics, evaluate

pytest.importorskip("gymnasium")


def nothing(observations):
    return np.zeros(len(observations), dtype=np.int64)


def lean(observations):
    """Pushes the pole to the side to which it leans."""
    return (observations[:, 2] + observations[:, 3] > 0).astype(np.int64)


@pytest.mark.parametrize("count", [1, 7, 64])
def test_short_episodes_weigh_no_more_than_long_ones(count, batch):
    """Of lengths 1 and 100 with equal probability the mean is 50.5, not the 2 of whoever ends first."""
    found = evaluate(nothing, batch(count), 400, seed=0)
    assert set(found.returns) == {1.0, 100.0}
    np.testing.assert_array_equal(found.returns, found.lengths)
    assert abs(found.mean - 50.5) < 3 * found.standard_error
    alone = evaluate(nothing, batch(1), 400, seed=0)
    np.testing.assert_array_equal(found.returns, alone.returns)


def test_an_episode_is_that_of_its_seed():
    """Played alone from the same seed, it gives the same return and length."""
    found = evaluate(lean, "CartPole-v1", 7, seed=3, num_envs=3)
    envs = make_envs("CartPole-v1", 1)
    try:
        for seed, expected in zip(seeds_for(3, 7), found.returns, strict=True):
            observations, total, over = restart(envs, np.array([0]), [seed]), 0.0, False
            while not over:
                observations, rewards, ended, cut, _ = envs.step(lean(observations))
                total += rewards[0]
                over = ended[0] or cut[0]
            assert total == expected
    finally:
        envs.close()


@pytest.mark.parametrize("env_id", ["CartPole-v1", "MinAtar/Breakout-v1", "FrozenLake-v1"])
def test_the_seed_fixes_everything(env_id):
    """The number of environments does not matter; another seed does."""
    found = evaluate(nothing, env_id, 9, seed=1)
    for num_envs in (1, 4, 50):
        again = evaluate(nothing, env_id, 9, seed=1, num_envs=num_envs)
        np.testing.assert_array_equal(again.returns, found.returns)
        np.testing.assert_array_equal(again.lengths, found.lengths)
        np.testing.assert_array_equal(again.actions, found.actions)
    other = evaluate(nothing, env_id, 9, seed=2)
    assert not np.array_equal(other.lengths, found.lengths)


def test_a_policy_sees_states_one_hot():
    """So that one for vectors fits environments with states: this one knows a way over the ice that does not slip."""
    way = np.array([1, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 0, 0, 2, 2, 0])  # 0 - 4 - 8 - 9 - 13 - 14 - 15
    table = np.eye(4)[way]
    found = evaluate(lambda observations: (observations @ table).argmax(1), "FrozenLake-v1", 3, 0, is_slippery=False)
    assert found.returns.tolist() == [1, 1, 1]
    assert found.lengths.tolist() == [6, 6, 6]


def test_given_environments_may_outnumber_the_episodes_and_stay_open(batch):
    envs = batch(8)
    first = evaluate(nothing, envs, 3, seed=0)
    assert len(first.returns) == 3
    np.testing.assert_array_equal(evaluate(nothing, envs, 3, seed=0).returns, first.returns)
    envs.close()


def test_long_episodes_are_cut_where_asked(batch):
    """The environments that were cut begin anew."""
    found = evaluate(nothing, batch(4), 60, seed=0, max_steps=10)
    assert set(found.lengths) == {1, 10}
    whole = evaluate(nothing, batch(4), 60, seed=0)
    np.testing.assert_array_equal(found.lengths == 10, whole.lengths == 100)


def test_the_policy_sees_only_episodes_that_count(batch):
    sizes = []

    def watched(observations):
        sizes.append(len(observations))
        return nothing(observations)

    found = evaluate(watched, batch(4), 6, seed=0)
    assert max(sizes) == 4
    assert sum(sizes) == found.lengths.sum() == found.actions.sum()


def test_actions_are_counted():
    found = evaluate(lean, "CartPole-v1", 4, seed=0)
    assert found.actions.sum() == found.lengths.sum()
    np.testing.assert_allclose(found.action_shares.sum(), 1)
    assert json.loads(json.dumps(found.summary()))["episodes"] == 4
    pendulum = evaluate(lambda observations: np.zeros((len(observations), 1)), "Pendulum-v1", 2, seed=0)
    assert pendulum.actions is None
    assert pendulum.action_shares is None
    assert pendulum.lengths.tolist() == [200, 200]


def test_statistics_by_hand():
    found = EpisodeStatistics(np.array([1.0, 2.0, 6.0]), np.array([1, 1, 2]), np.array([3, 1]))
    assert found.mean == 3
    assert found.standard_error == pytest.approx(math.sqrt(7 / 3))
    assert found.action_shares.tolist() == [0.75, 0.25]
    one = EpisodeStatistics(np.array([1.0]), np.array([1]), None)
    assert math.isnan(one.standard_error)
    assert one.summary()["standard_error"] is None


def test_wrong_arguments_are_refused():
    with pytest.raises(InputError, match="episodes must be at least 1, got 0"):
        evaluate(nothing, "CartPole-v1", 0, seed=0)
    with pytest.raises(InputError, match="max_steps must be at least 1, got 0"):
        evaluate(nothing, "CartPole-v1", 1, seed=0, max_steps=0)
    with pytest.raises(InputError, match=r"the policy gave actions of shape \(1, 1\)"):
        evaluate(lambda observations: np.zeros((1, 1), int), "CartPole-v1", 1, seed=0)
