"""Logs are functions of their seed, and keep episodes apart; the small problems are what they are said to be."""

import numpy as np
import pytest

from rostra.methods.dac_mdp.data import (
    cartpole_log,
    chain_log,
    chain_optimal_value,
    chain_return,
    continuous_cartpole_log,
    graph_log,
    graph_optimal_value,
    heading_room_log,
)

LOGS = {
    "random": lambda n, seed: cartpole_log("random", n, seed),
    "optimal": lambda n, seed: cartpole_log("optimal", n, seed),
    "mixed": lambda n, seed: cartpole_log("mixed", n, seed),
    "noisy": lambda n, seed: cartpole_log("random", n, seed, noise=0.1),
    "continuous": continuous_cartpole_log,
    "room": heading_room_log,
    "chain": chain_log,
}
COLUMNS = ("observations", "actions", "rewards", "next_observations", "terminals", "timeouts", "episodes")


@pytest.mark.parametrize("kind", LOGS)
def test_logs_are_functions_of_the_seed(kind):
    """Equal seeds give equal logs, and a short one is the beginning of a long one but for its cut."""
    long, again, short, other = (LOGS[kind](n, seed) for n, seed in ((7000, 1), (7000, 1), (2500, 1), (7000, 2)))
    assert len(long.rewards) == 7000
    for column in COLUMNS:
        assert np.array_equal(getattr(long, column), getattr(again, column))
        if kind != "chain":  # its pairs are drawn as columns
            assert np.array_equal(getattr(long, column)[:2499], getattr(short, column)[:2499])
    assert not np.array_equal(long.observations, other.observations)


@pytest.mark.parametrize("kind", LOGS)
def test_no_pair_goes_across_episodes(kind):
    """Within an episode the next observation is the source of the next row; every episode has one end, its last row."""
    log = LOGS[kind](6000, 3)
    last = np.append(np.diff(log.episodes) != 0, True)
    assert np.array_equal(log.terminals | log.timeouts, last)
    assert not (log.terminals & log.timeouts).any()
    within = ~last[:-1]
    assert np.array_equal(log.next_observations[:-1][within], log.observations[1:][within])
    if kind != "chain":
        crossing = (log.next_observations[:-1] == log.observations[1:]).all(axis=1) & last[:-1]
        assert not crossing.any()


def episode_lengths(log):
    return np.bincount(log.episodes)[:-1]  # the last is cut


def test_random_log_has_about_twenty_two_steps_an_episode():
    log = cartpole_log("random", 100_000, 0)
    assert episode_lengths(log).mean() == pytest.approx(22.2, abs=0.6)
    assert log.terminals.sum() == pytest.approx(4500, rel=0.04)
    assert log.actions.mean() == pytest.approx(0.5, abs=0.01)
    assert (log.rewards == 1).all()
    assert log.action_count == 2


def test_optimal_log_never_fails():
    log = cartpole_log("optimal", 20_000, 0)
    assert (episode_lengths(log) == 500).all()
    assert not log.terminals.any()
    assert log.timeouts.sum() == 40


def test_mixed_log_lasts_longer_the_less_it_explores():
    log = cartpole_log("mixed", 60_000, 0)
    lengths = episode_lengths(log)
    by_epsilon = [lengths[start::6].mean() for start in range(6)]
    assert by_epsilon == sorted(by_epsilon)
    assert 15 < by_epsilon[0] < 30
    assert by_epsilon[-1] > 480


def test_noise_is_seen_once_a_state_and_leaves_the_episodes_alone():
    spread = np.array([0.0, 0.1, 0.2, 0.3])
    clean, noisy = cartpole_log("random", 20_000, 5), cartpole_log("random", 20_000, 5, noise=tuple(spread))
    assert np.array_equal(clean.actions, noisy.actions)
    assert np.array_equal(clean.episodes, noisy.episodes)
    np.testing.assert_allclose((noisy.observations - clean.observations).std(axis=0), spread, rtol=0.05)
    np.testing.assert_allclose((noisy.next_observations - clean.next_observations).std(axis=0), spread, rtol=0.05)


def test_continuous_log_draws_its_actions_from_the_whole_range():
    log = continuous_cartpole_log(20_000, 0)
    assert log.actions.shape == (20_000, 1)
    assert log.actions.dtype == np.float32
    assert log.actions.std() == pytest.approx(1 / np.sqrt(3), rel=0.02)
    assert np.array_equal(log.rewards == 0, log.terminals)
    assert episode_lengths(log).mean() < 25


def test_room_log_is_a_broken_off_random_walk():
    log = heading_room_log(60_000, 0)
    assert np.bincount(log.actions) / 60_000 == pytest.approx([0.25, 0.25, 0.5], abs=0.01)
    assert np.array_equal(log.rewards > 0, log.terminals)
    assert set(np.unique(log.rewards)) == {0.0, 1.0, 10.0}
    ended = log.terminals | log.timeouts
    # The hazard of a cut, over the steps that no goal ended.
    assert (log.timeouts.sum() - 1) / (~log.terminals).sum() == pytest.approx(0.02, rel=0.1)
    starts = log.observations[np.append(True, ended[:-1])]
    np.testing.assert_allclose(starts[:, :2].mean(axis=0), 0.5, atol=0.05)
    np.testing.assert_allclose(np.linalg.norm(log.observations[:, 2:], axis=1), 0.2, rtol=1e-5)


def test_logs_have_at_least_one_transition_and_a_known_behaviour():
    assert len(cartpole_log("random", 1, 0).rewards) == 1
    with pytest.raises(ValueError, match="at least 1"):
        heading_room_log(0, 0)
    with pytest.raises(ValueError, match="random, optimal, mixed"):
        cartpole_log("expert", 10, 0)


def test_chain_moves_and_pays():
    log = chain_log(1000, 0)
    moved = log.next_observations[:, 0] - log.observations[:, 0]
    inside = (log.next_observations[:, 0] > 0) & (log.next_observations[:, 0] < 1)
    np.testing.assert_allclose(moved[inside], np.where(log.actions == 1, 0.1, -0.1)[inside])
    assert log.next_observations.min() >= 0
    assert log.next_observations.max() <= 1
    assert np.array_equal(log.rewards, log.next_observations[:, 0])


def test_chain_optimal_value_solves_bellmans_equation():
    grid = np.linspace(0, 1, 400)
    left, right = np.clip(grid - 0.1, 0, 1), np.clip(grid + 0.1, 0, 1)
    q = [after + 0.9 * chain_optimal_value(after) for after in (left, right)]
    np.testing.assert_allclose(chain_optimal_value(grid), np.maximum(*q), atol=1e-9)
    assert chain_optimal_value([1.0])[0] == pytest.approx(10.0)
    # Lipschitz constant 10, as the bound on the cost takes it.
    assert np.abs(np.diff(np.stack(q)) / np.diff(grid)).max() <= 10 + 1e-9


def test_chain_return_of_a_policy():
    """From 0 to the left: nothing. To and fro between 0.5 and 0.6: 0.6, 0.5, 0.6, ... discounted."""
    assert chain_return(lambda places: np.zeros(len(places)), [0.0]) == pytest.approx([0.0])
    swing = chain_return(lambda places: (places[:, 0] < 0.55).astype(int), [0.5])
    assert swing == pytest.approx([(0.6 + 0.9 * 0.5) / (1 - 0.81)])


def test_graph_is_logged_once_and_solved_exactly():
    """A walk of five states with +10 at the end: the terminating reward counts, and nothing follows it."""
    successors = np.array([[max(s - 1, 0), min(s + 1, 4)] for s in range(5)])
    rewards, terminals = np.zeros((5, 2)), np.zeros((5, 2), dtype=bool)
    rewards[3, 1], terminals[3, 1] = 10.0, True
    log = graph_log(successors, rewards, terminals)
    assert len(log.rewards) == 10
    assert len({(float(s), int(a)) for s, a in zip(log.observations[:, 0], log.actions, strict=True)}) == 10
    values = graph_optimal_value(successors, rewards, terminals, gamma=0.9)
    np.testing.assert_allclose(values[:4], 10 * 0.9 ** np.arange(3, -1, -1))
    assert values[4] == pytest.approx(9.0)  # back to state 3 and in again


def test_graph_values_agree_with_value_iteration():
    rng = np.random.default_rng(0)
    successors, rewards = rng.integers(0, 30, (30, 4)), rng.normal(size=(30, 4))
    terminals = rng.random((30, 4)) < 0.1
    values = np.zeros(30)
    for _ in range(1500):
        values = (rewards + 0.98 * ~terminals * values[successors]).max(axis=1)
    np.testing.assert_allclose(graph_optimal_value(successors, rewards, terminals, gamma=0.98), values, atol=1e-9)
