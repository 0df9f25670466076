"""Batches of environments: one behaviour at an episode's end, repeatable by seed."""

import importlib.util
import sys

import numpy as np
import pytest

from rostra.engine.errors import InputError
from rostra.fields.rl.environments import (
    actions_for,
    check_envs,
    final_observations,
    make_envs,
    observations_of,
    one_hot,
    open_envs,
    restart,
    seeds_for,
)

pytest.importorskip("gymnasium")
GAMES = ("Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders")


def rolled(envs, seeds, steps=60):
    """Everything that a fixed sequence of actions yields after a seeded restart."""
    generator = np.random.default_rng(0)
    seen = [restart(envs, np.arange(envs.num_envs), seeds)]
    for _ in range(steps):
        actions = generator.integers(envs.single_action_space.n, size=envs.num_envs)
        observations, rewards, ended, cut, _ = envs.step(actions)
        seen += [observations_of(envs, observations), rewards, ended, cut]
    return seen


def assert_same(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


def atari():
    """Skips the test where Atari cannot be played."""
    if importlib.util.find_spec("ale_py") is None:
        pytest.skip("needs ale-py")
    from ale_py import roms

    if "pong" not in roms.get_all_rom_ids():
        pytest.skip("needs the ROMs that come with ale-py")


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "MinAtar/Breakout-v1"])
def test_batches_keep_to_their_spaces(env_id):
    envs = make_envs(env_id, 3)
    try:
        observations, _ = envs.reset(seed=0)
        assert observations in envs.observation_space
        envs.action_space.seed(0)
        for _ in range(30):
            observations, rewards, ended, cut, _ = envs.step(envs.action_space.sample())
            assert observations in envs.observation_space
            assert rewards.shape == ended.shape == cut.shape == (3,)
    finally:
        envs.close()


def test_the_final_observation_is_the_old_episodes():
    """It lies where CartPole ends; the one that comes back lies where it begins."""
    envs = make_envs("CartPole-v1", 2)
    try:
        envs.reset(seed=0)
        for _ in range(200):
            observations, _, ended, _, infos = envs.step(np.array([0, 1]))
            rows = np.flatnonzero(ended)
            if rows.size:
                final = final_observations(envs, infos, rows)
                outside = (np.abs(final[:, 0]) > 2.4) | (np.abs(final[:, 2]) > 12 * np.pi / 180)
                assert outside.all()
                assert (np.abs(observations[rows]) <= 0.05).all()
    finally:
        envs.close()


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("version", [0, 1])
def test_minatar_repeats_by_seed(game, version):
    """In the same batch after other play, and in a fresh one; other seeds play otherwise."""
    env_id = f"MinAtar/{game}-v{version}"
    envs = make_envs(env_id, 2)
    try:
        assert envs.single_observation_space.dtype == bool
        if version == 0:
            assert envs.single_action_space.n == 6
        first = rolled(envs, [5, 6])
        assert_same(rolled(envs, [5, 6]), first)
        other = rolled(envs, [7, 8])
    finally:
        envs.close()
    fresh = make_envs(env_id, 2)
    try:
        assert_same(rolled(fresh, [5, 6]), first)
    finally:
        fresh.close()
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_minatar_forgets_the_sticky_action():
    """Always sticky: the first action of every episode is the first of all, 'do nothing'."""
    envs = make_envs("MinAtar/Breakout-v1", 1, sticky_action_prob=1.0)
    try:
        restart(envs, np.array([0]), [0])
        envs.envs[0].unwrapped.game.last_action = 3
        restart(envs, np.array([0]), [0])
        assert envs.envs[0].unwrapped.game.last_action == 0
    finally:
        envs.close()


def test_some_environments_restart_and_the_others_play_on():
    envs = make_envs("CartPole-v1", 3)
    try:
        restart(envs, np.arange(3), [1, 2, 3])
        played, *_ = envs.step(np.array([0, 1, 0]))
        observations = restart(envs, np.array([1]), [2])
        np.testing.assert_array_equal(observations[[0, 2]], played[[0, 2]])
        again = restart(envs, np.arange(3), [1, 2, 3])
        np.testing.assert_array_equal(observations[1], again[1])
    finally:
        envs.close()


def test_atari_smoke():
    """Shapes, the final observation, and the same play from the same seeds."""
    atari()
    envs = make_envs("ALE/Pong-v5", 2, num_threads=1)
    try:
        assert envs.single_observation_space.shape == (4, 84, 84)
        assert envs.single_observation_space.dtype == np.uint8
        first = rolled(envs, [3, 4], steps=30)
        assert first[0].any()
        assert_same(rolled(envs, [3, 4], steps=30), first)
    finally:
        envs.close()


def test_atari_is_cut_by_frames_and_shows_the_last_observation():
    atari()
    envs = make_envs("ALE/Pong-v5", 2, num_threads=1, max_num_frames_per_episode=400, noop_max=1)
    try:
        before = restart(envs, np.arange(2), [0, 1])
        for step in range(1, 120):
            raw, _, ended, cut, infos = envs.step(np.array([0, 0]))
            observations = observations_of(envs, raw)
            rows = np.flatnonzero(ended | cut)
            if rows.size:
                final = final_observations(envs, infos, rows)
                assert final.shape == (rows.size, 4, 84, 84)
                # A stack of 4: the final one goes on from the one before, the next episode's does not.
                np.testing.assert_array_equal(final[:, :3], before[rows, 1:])
                assert not np.array_equal(observations[rows, :3], before[rows, 1:])
                assert cut[rows].all()
                assert 90 <= step <= 100  # 400 frames, 4 a step
                break
            before = observations
        else:
            pytest.fail("the episode was not cut")
        some = restart(envs, np.array([1]), [7])
        np.testing.assert_array_equal(some[0], observations[0])
    finally:
        envs.close()


def test_atari_rewards_are_whole_unless_asked():
    """Clipping is for training."""
    atari()
    seen = {}
    for clip in (False, True):
        envs = make_envs("ALE/MsPacman-v5", 2, num_threads=1, reward_clipping=clip)
        try:
            restart(envs, np.arange(2), [0, 1])
            generator = np.random.default_rng(0)
            seen[clip] = max(envs.step(generator.integers(9, size=2))[1].max() for _ in range(200))
        finally:
            envs.close()
    assert seen == {False: 10, True: 1}


@pytest.mark.parametrize(
    ("env_id", "options", "message"),
    [
        ("NoSuchThing-v1", {}, "no environment 'NoSuchThing-v1': .*doesn't exist"),
        ("no id at all", {}, "no environment 'no id at all'"),
        ("MinAtar/Tetris-v1", {}, "no environment 'MinAtar/Tetris-v1'"),
        ("absent_package:Thing-v0", {}, "'absent_package:Thing-v0' cannot be imported .*pip install 'rostra\\[rl\\]'"),
        ("CartPole-v1", {"gravity": 3}, "'CartPole-v1' refuses an option: .*gravity"),
        ("Blackjack-v1", {}, "observations of space Tuple cannot be used; they must be Box or Discrete"),
    ],
)
def test_what_cannot_be_made_is_said(env_id, options, message):
    with pytest.raises(InputError, match=message):
        make_envs(env_id, 1, **options)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(InputError, match=r"'ALE/Pong-v5' needs ale_py: pip install 'rostra\[rl\]'"):
        make_envs("ALE/Pong-v5", 1)
    with pytest.raises(InputError, match="num_envs must be at least 1, got 0"):
        make_envs("CartPole-v1", 0)


def test_given_environments_are_checked(monkeypatch):
    import gymnasium
    from gymnasium.spaces import Discrete
    from gymnasium.vector import AutoresetMode, SyncVectorEnv

    with (
        pytest.raises(InputError, match=r"autoreset mode .*NEXT_STEP"),
        open_envs(SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")]), 1),
    ):
        pass
    envs = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")], autoreset_mode=AutoresetMode.SAME_STEP)
    with monkeypatch.context() as patch:
        patch.setattr(envs, "single_observation_space", Discrete(10_001))
        with pytest.raises(InputError, match=r"one of 10,001 states, and at most 10,000 .* wrap the environment"):
            check_envs(envs)
        patch.setattr(envs, "single_observation_space", Discrete(10_000))
        check_envs(envs)
    with pytest.raises(InputError, match="gravity: options are for environments by id"), open_envs(envs, 1, gravity=1):
        pass


def test_states_are_rows_with_a_one():
    """Counted from the space's start; every two are equally far apart."""
    from gymnasium.spaces import Discrete

    rows = one_hot(Discrete(3, start=-1), [[1], [-1], [0]])
    assert rows.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert rows.dtype == np.float32
    assert one_hot(Discrete(3), []).shape == (0, 3)
    for state in (-2, 2):
        with pytest.raises(InputError, match=f"observation {state} is no state of the environment, which has -1 to 1"):
            one_hot(Discrete(3, start=-1), [0, state])


def test_seeds_do_not_depend_on_their_number():
    assert seeds_for(3, 10)[:4] == seeds_for(3, 4)
    assert len(set(seeds_for(3, 1000)) | set(seeds_for(4, 1000))) > 1990
    with pytest.raises(InputError, match="seed must not be negative, got -1"):
        seeds_for(-1, 1)


def test_actions_of_a_policy_are_checked():
    envs = make_envs("CartPole-v1", 2)
    try:
        assert actions_for(envs, [True, False], 2).dtype == np.int64
        for actions, message in [
            ([[0], [1]], r"shape \(2, 1\) for 2 observations, expected \(2,\)"),
            ([0.0, 1.0], "of type float64; discrete actions are whole numbers"),
            ([0, 2], "the policy chose action 2; there are 0 to 1"),
        ]:
            with pytest.raises(InputError, match=message):
                actions_for(envs, actions, 2)
    finally:
        envs.close()


def test_a_batch_of_its_own_is_used_where_it_resets_in_the_same_step():
    """Stepping many copies in one array; Gymnasium's own batch of CartPole resets a step later, and is not used."""
    from rostra.methods.dac_mdp.environments import SimulatorVectorEnv, register_environments

    register_environments()
    together = make_envs("rostra/CartPole-v0", 3, max_episode_steps=7)
    assert isinstance(together.unwrapped, SimulatorVectorEnv)
    assert together.unwrapped.max_episode_steps == 7
    assert not isinstance(make_envs("CartPole-v1", 3).unwrapped, SimulatorVectorEnv)
