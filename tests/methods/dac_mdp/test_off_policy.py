import numpy as np
import pytest

from rostra.engine.errors import InputError
from rostra.fields.rl.transitions import TransitionDataset
from rostra.methods.dac_mdp.off_policy import fitted_q_evaluation

LENGTH, SLIP, GAMMA = 6, 0.2, 0.9
POLICIES = np.array([[0] * LENGTH, [1] * LENGTH, [1, 0, 1, 1, 0, 1]])
"""Action of each policy in each state of the chain."""


def dynamics():
    """Probabilities (action, state, next state) and rewards of next states; state 5 ends."""
    step = np.zeros((2, LENGTH, LENGTH))
    for action, way in enumerate((-1, 1)):
        for state in range(LENGTH - 1):
            for chance, move in ((1 - SLIP, way), (SLIP, -way)):
                step[action, state, min(max(state + move, 0), LENGTH - 1)] += chance
    rewards = np.zeros(LENGTH)
    rewards[0], rewards[-1] = 0.1, 1.0
    return step, rewards


def exact(policy):
    """Values of all states by a linear system."""
    step, rewards = dynamics()
    moves = step[policy, np.arange(LENGTH)]
    return np.linalg.solve(np.eye(LENGTH) - GAMMA * moves, moves @ rewards)


def chain_log(episodes, seed):
    random, (step, rewards), rows = np.random.default_rng(seed), dynamics(), []
    for episode in range(episodes):
        state = int(random.integers(LENGTH - 1))
        for t in range(15):
            action = int(random.integers(2))
            after = int(random.choice(LENGTH, p=step[action, state]))
            end = after == LENGTH - 1
            rows.append((state, action, rewards[after], after, end, t == 14 and not end, episode))
            if end:
                break
            state = after
    state, action, reward, after, end, cut, episode = map(np.array, zip(*rows, strict=True))
    place = np.linspace(0, 1, LENGTH)[:, None]
    log = TransitionDataset.from_arrays(
        observations=place[state],
        actions=action,
        rewards=reward,
        next_observations=place[after],
        terminals=end,
        timeouts=cut,
        episodes=episode,
        action_count=2,
    )
    return log, state_of(log.next_observations), state_of(log.states[log.initial_states()])


def state_of(observations):
    return np.rint(observations[:, 0] * (LENGTH - 1)).astype(int)


def test_values_of_a_chain():
    """An end is worth 0; a timeout is not an end: with it as one, the values would be far too low."""
    log, after, first = chain_log(2000, seed=0)
    found = fitted_q_evaluation(log, POLICIES[:, after], POLICIES[:, first], GAMMA)
    truth = np.array([exact(policy)[first].mean() for policy in POLICIES])
    assert log.timeouts.sum() > 100
    assert (np.abs(found.values - truth) < 3.5 * found.standard_errors + 0.005).all()
    assert (found.standard_errors < 0.03).all()
    assert found.values.argmax() == 1
    np.testing.assert_allclose(found.agreement, 0.5, atol=0.02)  # with random play


def test_standard_errors_are_the_spread_over_logs():
    runs = [
        fitted_q_evaluation(log, POLICIES[:, after], POLICIES[:, first], GAMMA)
        for log, after, first in (chain_log(60, seed) for seed in range(40))
    ]
    spread = np.std([run.values for run in runs], axis=0, ddof=1)
    ratio = np.mean([run.standard_errors for run in runs], axis=0) / spread
    assert (ratio > 0.65).all()
    assert (ratio < 1.5).all()


def test_policies_together_are_policies_alone():
    log, after, first = chain_log(50, seed=1)
    together = fitted_q_evaluation(log, POLICIES[:, after], POLICIES[:, first], GAMMA)
    for number, policy in enumerate(POLICIES):
        alone = fitted_q_evaluation(log, policy[None, after], policy[None, first], GAMMA)
        # together they repeat until the slowest has settled
        np.testing.assert_allclose(alone.values, together.values[number], atol=1e-3)
        np.testing.assert_allclose(alone.standard_errors, together.standard_errors[number], atol=1e-3)
        np.testing.assert_allclose(alone.residuals, together.residuals[number], atol=1e-3)


def test_residual_of_a_deterministic_chain_vanishes():
    """No noise, and every pair is logged: the held-out episodes agree with the fit."""
    states = np.repeat(np.arange(5), 2)
    actions = np.tile([0, 1], 5)
    after = np.clip(states + 2 * actions - 1, 0, 4)
    log = TransitionDataset.from_arrays(
        observations=np.tile(np.eye(5)[states], (20, 1)),
        actions=np.tile(actions, 20),
        rewards=np.tile((after == 4).astype(float), 20),
        next_observations=np.tile(np.eye(5)[after], (20, 1)),
        terminals=np.zeros(200, dtype=bool),
        timeouts=np.ones(200, dtype=bool),
        episodes=np.arange(200),
        action_count=2,
    )
    ones = np.ones((1, 200), dtype=int)
    found = fitted_q_evaluation(log, ones, ones, GAMMA)
    assert found.residuals[0] < 0.01
    assert np.isnan(found.agreement[0])  # episodes of one step
    value = GAMMA ** np.array([3, 2, 1, 0, 0]) / (1 - GAMMA)  # 1 a step from state 4 on
    assert found.values[0] == pytest.approx(value.mean(), rel=0.01)


def test_values_stay_bounded_where_regressions_alone_would_diverge():
    """Of x -> 3 x, a nearly linear fit multiplies values by 3 gamma each time."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (400, 1))
    log = TransitionDataset.from_arrays(
        observations=x,
        actions=np.zeros(400, dtype=int),
        rewards=x[:, 0],
        next_observations=3 * x,
        terminals=np.zeros(400, dtype=bool),
        timeouts=np.ones(400, dtype=bool),
        episodes=np.arange(400),
        action_count=1,
    )
    zeros = np.zeros((1, 400), dtype=int)
    found = fitted_q_evaluation(log, zeros, zeros, 0.99, bandwidth=5.0)
    assert np.abs(found.values).max() < 100  # |x| / (1 - gamma)
    assert found.clipped[0] > 0.3


def test_a_balancing_controller_ranks_above_a_constant_action():
    """From random play alone, which never balances for long."""
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.make("CartPole-v1")
    random, rows = np.random.default_rng(0), []
    for episode in range(200):
        state, _ = env.reset(seed=episode)
        end = cut = False
        while not (end or cut):
            action = int(random.integers(2))
            after, reward, end, cut, _ = env.step(action)
            rows.append((state, action, reward, after, end, cut, episode))
            state = after
    env.close()
    state, action, reward, after, end, cut, episode = map(np.array, zip(*rows, strict=True))
    log = TransitionDataset.from_arrays(
        observations=state,
        actions=action,
        rewards=reward,
        next_observations=after,
        terminals=end,
        timeouts=cut,
        episodes=episode,
        action_count=2,
    )

    def actions(observations):
        balance = (observations @ [0.1, 0.3, 3.0, 1.0] > 0).astype(int)
        return np.stack([np.zeros_like(balance), np.ones_like(balance), balance, 1 - balance])

    found = fitted_q_evaluation(log, actions(log.next_observations), actions(log.states[log.initial_states()]), 0.99)
    assert found.values.argmax() == 2
    margin = found.values[2] - found.values[[0, 1, 3]]
    assert (margin > 4 * np.hypot(found.standard_errors[2], found.standard_errors[[0, 1, 3]])).all()


def test_wrong_input():
    log, after, first = chain_log(10, seed=0)
    good = POLICIES[:, after], POLICIES[:, first]
    with pytest.raises(InputError, match="next_actions has shape"):
        fitted_q_evaluation(log, POLICIES[0, after], good[1])
    with pytest.raises(InputError, match="initial_actions must hold whole numbers from 0 to 1"):
        fitted_q_evaluation(log, good[0], good[1] + 1)
    with pytest.raises(InputError, match="give both for all"):
        fitted_q_evaluation(log, good[0][:2], good[1])
    with pytest.raises(InputError, match="gamma"):
        fitted_q_evaluation(log, *good, 1.0)
    with pytest.raises(InputError, match="one row"):
        fitted_q_evaluation(log, *good, encoder=lambda x: x[:-1])
    one, after, first = chain_log(1, seed=0)
    with pytest.raises(InputError, match="2 episodes"):
        fitted_q_evaluation(one, POLICIES[:, after], POLICIES[:, first])
