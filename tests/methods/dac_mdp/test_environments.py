"""The environments: Gymnasium's contract, and one physics behind all faces."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rostra.fields.rl.environments import make_envs
from rostra.fields.rl.evaluation import evaluate
from rostra.methods.dac_mdp.environments import (
    GOAL_RADIUS,
    GOALS,
    CartPole,
    HeadingRoom,
    SimulatorVectorEnv,
    register_environments,
)

IDS = ["rostra/CartPole-v0", "rostra/ContinuousCartPole-v0", "rostra/HeadingRoom-v0"]
NONE = np.empty((0, 0))  # a cart-pole takes no random numbers
SIMULATORS = [CartPole(), CartPole(continuous=True), HeadingRoom()]


@pytest.fixture(autouse=True)
def _registered():
    register_environments()


def balance(observations):
    return (observations @ np.array([0.1, 0.3, 3.0, 1.0]) > 0).astype(np.int64)


@pytest.mark.parametrize("name", IDS)
def test_environments_keep_the_contract_of_gymnasium(name):
    register_environments()  # again
    env = gymnasium.make(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    envs = gymnasium.make_vec(name, num_envs=3)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert envs.single_observation_space == env.observation_space
    assert envs.single_action_space == env.action_space
    observations, _ = envs.reset(seed=0)
    assert envs.observation_space.contains(observations)


@pytest.mark.parametrize("name", IDS)
def test_actions_that_do_not_exist_are_errors(name):
    env, envs = gymnasium.make(name).unwrapped, gymnasium.make_vec(name, num_envs=2)
    env.reset(seed=0)
    envs.reset(seed=0)
    wrong = np.full((2, 1), np.nan) if "Continuous" in name else np.array([0, 3])
    with pytest.raises(ValueError, match="actions"):
        envs.step(wrong)
    with pytest.raises(ValueError, match="actions"):
        env.step(wrong[1])
    with pytest.raises(ValueError, match="actions must be"):
        envs.step(np.zeros(5))


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("name", IDS)
def test_the_array_of_copies_is_gymnasiums_vector_of_single_environments(name, noise):
    """Number by number, over the ends of episodes and over resets of some copies."""
    n, limit = 5, 40
    options = {"observation_noise": noise, "max_episode_steps": limit}
    ours = gymnasium.make_vec(name, n, **options)
    theirs = gymnasium.make_vec(
        name, n, vectorization_mode="sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP}, **options
    )
    assert isinstance(ours.unwrapped, SimulatorVectorEnv)
    assert isinstance(theirs.unwrapped, SyncVectorEnv)
    ours.action_space.seed(3)
    assert np.array_equal(ours.reset(seed=5)[0], theirs.reset(seed=5)[0])
    ends = 0
    for step in range(200):
        if step % 50 == 20:
            mask, seeds = np.arange(n) % 2 == 0, [7, None, None, 8, 9]
            found, expected = (
                envs.reset(seed=seeds, options={"reset_mask": mask.copy()})[0] for envs in (ours, theirs)
            )
            assert np.array_equal(found, expected)
        actions = ours.action_space.sample()
        *found, infos = ours.step(actions)
        *expected, their_infos = theirs.step(actions)
        for ours_part, theirs_part in zip(found, expected, strict=True):
            assert ours_part.dtype == theirs_part.dtype
            assert np.array_equal(ours_part, theirs_part)
        assert infos.keys() == their_infos.keys()
        if infos:
            ends += int(infos["_final_obs"].sum())
            assert np.array_equal(infos["_final_obs"], their_infos["_final_obs"])
            assert np.array_equal(infos["_final_info"], their_infos["_final_info"])
            for copy in np.flatnonzero(infos["_final_obs"]):
                assert np.array_equal(infos["final_obs"][copy], their_infos["final_obs"][copy])
    assert ends >= 20


def test_results_are_not_changed_by_later_steps():
    envs = gymnasium.make_vec("rostra/HeadingRoom-v0", num_envs=4)
    first, _ = envs.reset(seed=0)
    kept = first.copy()
    second, *_ = envs.step(np.full(4, 2))
    kept_second = second.copy()
    envs.step(np.full(4, 2))
    envs.reset(seed=1)
    assert np.array_equal(first, kept)
    assert np.array_equal(second, kept_second)


def test_reset_comes_before_step_and_seeds_are_one_or_one_a_copy():
    envs = gymnasium.make_vec("rostra/HeadingRoom-v0", num_envs=4)
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(np.zeros(4, dtype=int))
    with pytest.raises(ValueError, match="3 seeds for 4"):
        envs.reset(seed=[1, 2, 3])
    assert not np.array_equal(envs.reset()[0], gymnasium.make_vec("rostra/HeadingRoom-v0", num_envs=4).reset()[0])


@pytest.mark.parametrize("name", ["rostra/CartPole-v0", "rostra/HeadingRoom-v0"])
def test_evaluation_does_not_depend_on_the_number_of_copies_or_their_kind(name):
    def policy(observations):
        return (observations[:, 2] + 0.3 * observations[:, 3] > 0).astype(np.int64) + (observations[:, 1] > 0.7)

    def fair(observations):
        return np.minimum(policy(observations), 1) if "CartPole" in name else 2 - policy(observations)

    few, many = (evaluate(fair, gymnasium.make_vec(name, num_envs=n), 30, 4) for n in (7, 30))
    single = evaluate(fair, make_envs(name, 10), 30, 4)
    for found in (many, single):
        assert np.array_equal(found.returns, few.returns)
        assert np.array_equal(found.lengths, few.lengths)
        assert np.array_equal(found.actions, few.actions)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_row_of_a_batch_does_not_depend_on_the_others(simulator):
    rng = np.random.default_rng(0)
    states, normals = simulator.start(20, rng), rng.standard_normal((20, simulator.normals))
    _, space = simulator.spaces()
    actions = np.stack([space.sample() for _ in range(20)])
    together = simulator.step(states, actions, normals)
    for row in range(20):
        alone = simulator.step(states[[row]], actions[[row]], normals[[row]])
        for ours, expected in zip(alone, together, strict=True):
            np.testing.assert_allclose(ours[0], expected[row], rtol=1e-12, atol=1e-14)


def test_cart_pole_is_gymnasiums():
    theirs = gymnasium.make("CartPole-v1").unwrapped
    first, _ = theirs.reset(seed=1)
    states = theirs.state[None].copy()
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(CartPole().observe(states)[0], first)
    for _ in range(200):
        action = rng.integers(0, 2, 1)
        states, rewards, failed = CartPole().step(states, action, NONE)
        _, reward, terminated, _, _ = theirs.step(int(action[0]))
        np.testing.assert_allclose(states[0], theirs.state, rtol=1e-12, atol=1e-14)
        assert (rewards[0], failed[0]) == (reward, terminated)
        if terminated:
            break
    assert terminated


def test_continuous_cart_pole_pushes_with_thirty_newtons_and_pays_nothing_for_failing():
    discrete, continuous = CartPole(), CartPole(continuous=True)
    rng = np.random.default_rng(0)
    states = discrete.start(50, rng)
    sides = rng.integers(0, 2, 50)
    third = ((2 * sides - 1) / 3)[:, None]
    np.testing.assert_allclose(continuous.step(states, third, NONE)[0], discrete.step(states, sides, NONE)[0])
    np.testing.assert_array_equal(
        continuous.step(states, np.full((50, 1), 7.0), NONE)[0], continuous.step(states, np.ones((50, 1)), NONE)[0]
    )
    states[:25, 2] = 0.209
    states[:25, 3] = 3.0
    _, rewards, failed = continuous.step(states, third, NONE)
    assert failed[:25].all()
    np.testing.assert_array_equal(rewards, np.where(failed, 0.0, 1.0))


def test_a_violent_policy_stays_within_the_declared_bounds():
    """Nobody has to guess a scale: the bounds are finite, and hold."""
    for drive in (np.ones((64, 1)), None):
        envs = SimulatorVectorEnv(CartPole(continuous=True), 64, 500)
        observations, _ = envs.reset(seed=0)
        rng = np.random.default_rng(0)
        for _ in range(300):
            # Holding the pole up by force lets the cart gather speed.
            lean = np.sign(observations @ np.array([0.0, 0.02, 3.0, 0.6]))[:, None]
            actions = np.clip(lean + rng.normal(0, 0.3, (64, 1)), -1, 1) if drive is None else drive
            observations, _, _, _, infos = envs.step(actions)
            for final in infos.get("final_obs", []):
                assert final is None or envs.single_observation_space.contains(final)


def test_optimal_controller_lasts_five_hundred_steps():
    envs = gymnasium.make_vec("rostra/CartPole-v0", num_envs=200)
    observations, _ = envs.reset(seed=0)
    for step in range(500):
        observations, rewards, terminations, truncations, _ = envs.step(balance(observations))
        assert not terminations.any()
        assert (rewards == 1).all()
        assert truncations.all() == (step == 499)


def test_noise_leaves_the_physics_alone():
    """Two seeded copies under the same actions go through the same states, seen with the noise that was asked."""
    spread = (0.0, 0.1, 0.2, 0.3)
    clean = gymnasium.make_vec("rostra/CartPole-v0", num_envs=500)
    noisy = gymnasium.make_vec("rostra/CartPole-v0", num_envs=500, observation_noise=spread)
    differences = [noisy.reset(seed=4)[0] - clean.reset(seed=4)[0]]
    for _ in range(20):
        actions = clean.action_space.sample()
        ours, theirs = clean.step(actions), noisy.step(actions)
        assert np.array_equal(ours[2], theirs[2])
        differences.append(theirs[0] - ours[0])
    found = np.stack(differences)
    np.testing.assert_allclose(found.std((0, 1)), spread, rtol=0.05)
    assert abs(np.corrcoef(found[:-1, :, 1].ravel(), found[1:, :, 1].ravel())[0, 1]) < 0.05
    assert np.isinf(noisy.single_observation_space.high[1:]).all()
    with pytest.raises(ValueError, match="observation_noise"):
        gymnasium.make_vec("rostra/CartPole-v0", observation_noise=-1.0)


def test_room_moves_as_described():
    room = HeadingRoom()
    rng = np.random.default_rng(0)
    states = np.tile([0.2, 0.2, 1.0], (20000, 1))
    for action, turn in enumerate(np.deg2rad([30.0, -30.0, 0.0])):
        after, rewards, ended = room.step(states, np.full(20000, action), rng.standard_normal((20000, 2)))
        heading = after[:, 2] - 1.0
        assert heading.mean() == pytest.approx(turn, abs=0.002)
        assert heading.std() == pytest.approx(0.05, rel=0.03)
        stride = np.linalg.norm(after[:, :2] - 0.2, axis=1)
        assert stride.mean() == pytest.approx(0.06 if action == 2 else 0.0, abs=0.0002)
        assert stride.std() == pytest.approx(0.006 if action == 2 else 0.0, rel=0.03)
        assert not rewards.any()
        assert not ended.any()
    corner, _, _ = room.step(
        np.tile([0.99, 0.01, -np.pi / 4], (100, 1)), np.full(100, 2), rng.standard_normal((100, 2))
    )
    assert (corner[:, 0] == 1.0).all()
    assert (corner[:, 1] == 0.0).all()


def test_room_pays_at_its_goals():
    room = HeadingRoom()
    rng = np.random.default_rng(0)
    states = np.array([[0.35, 0.5, 0.0], [0.9, 0.9, 0.0], [0.6, 0.2, 0.0]])
    _, rewards, ended = room.step(states, np.zeros(3, dtype=int), np.zeros((3, 2)))
    assert rewards.tolist() == [1.0, 10.0, 0.0]
    assert ended.tolist() == [True, True, False]
    starts = HeadingRoom(start_width=1.0).start(50000, rng)
    assert (np.linalg.norm(starts[:, None, :2] - GOALS, axis=2) >= GOAL_RADIUS).all()
    assert room.start(50000, rng)[:, 0].max() < 0.3
    with pytest.raises(ValueError, match="start_width"):
        HeadingRoom(start_width=0.0)


def test_random_walk_finds_a_goal_in_a_minority_of_episodes():
    """The walk of the log: one episode in four comes to the near goal, one in seven to the far one."""
    first = np.random.default_rng(0)
    envs = gymnasium.make_vec("rostra/HeadingRoom-v0", num_envs=1000)
    walk = evaluate(lambda observations: np.minimum(first.integers(0, 4, len(observations)), 2), envs, 4000, 0)
    assert (walk.returns == 1).mean() == pytest.approx(0.25, abs=0.03)
    assert (walk.returns == 10).mean() == pytest.approx(0.145, abs=0.025)
    assert walk.lengths.max() == 150
    assert set(np.unique(walk.returns)) == {0.0, 1.0, 10.0}
