import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from rostra.engine.errors import InputError
from rostra.fields.rl.transitions import TransitionDataset
from rostra.methods.dac_mdp.encoders import (
    ATARI,
    SMALL_TASKS,
    EncoderConfig,
    TrainedEncoder,
    allowed_greedy,
    conservative_gap,
    imitation_loss,
    targets,
    train_bc,
    train_bcq,
    train_cql,
    train_dqn,
)
from rostra.methods.dac_mdp.model import network_for

QUICK = EncoderConfig(steps=1200, batch_size=32, lr=2e-3, gamma=0.9, tau=0.05)
TRAININGS = {"dqn": train_dqn, "bcq": train_bcq, "bc": train_bc, "cql": train_cql}


def chain(length=6, episodes=60, seed=0):
    """A log of random walks on one-hot states; the right end is terminal and gives 1; the others are cut."""
    random, rows = np.random.default_rng(seed), []
    for episode in range(episodes):
        place = int(random.integers(length - 1))
        for step in range(12):
            action = int(random.integers(2))
            after = min(max(place + (1 if action else -1), 0), length - 1)
            end = after == length - 1
            rows.append((place, action, float(end), after, end, step == 11 and not end, episode))
            if end:
                break
            place = after
    place, action, reward, after, end, cut, episode = map(np.array, zip(*rows, strict=True))
    states = np.eye(length, dtype=np.float32)
    return TransitionDataset.from_arrays(
        observations=states[place],
        actions=action,
        rewards=reward,
        next_observations=states[after],
        terminals=end,
        timeouts=cut,
        episodes=episode,
        action_count=2,
    )


def fork(rare_reward=0.2, copies=1):
    """From state 0, action 0 leads to state 1, and action 1 gives 0.5, leads to state 1 and is cut there by a timeout.
    In state 1 both actions end: action 0 gives 1, and action 1, taken once in ``copies`` + 1 times, ``rare_reward``."""
    one, two = np.eye(2, dtype=np.float32)
    rows = [(one, 0, 0.0, two, False), (two, 0, 1.0, two, True)] * copies
    rows += [(one, 0, 0.0, two, False), (two, 1, rare_reward, two, True), (one, 1, 0.5, two, False)]
    before, action, reward, after, end = map(np.array, zip(*rows, strict=True))
    cut = np.zeros(len(rows), dtype=bool)
    cut[-1] = True
    return TransitionDataset.from_arrays(
        observations=before,
        actions=action,
        rewards=reward,
        next_observations=after,
        terminals=end,
        timeouts=cut,
        episodes=np.cumsum(end | cut) - (end | cut),
        action_count=2,
    )


def images(shape, dtype, rows=40, actions=3, seed=0):
    random = np.random.default_rng(seed)
    return TransitionDataset.from_arrays(
        observations=random.integers(0, 2 if dtype is bool else 256, size=(rows, *shape)).astype(dtype),
        actions=random.integers(actions, size=rows),
        rewards=random.random(rows),
        next_observations=random.integers(0, 2 if dtype is bool else 256, size=(rows, *shape)).astype(dtype),
        terminals=np.arange(rows) % 10 == 9,
        timeouts=np.zeros(rows, dtype=bool),
        episodes=np.arange(rows) // 10,
        action_count=actions,
    )


# ---------------------------------------------------------------------- the losses, by hand


def test_best_action_is_among_those_over_the_threshold():
    q = torch.tensor([[1.0, 5.0, 3.0], [1.0, 5.0, 3.0], [2.0, 2.0, 0.0]])
    p = torch.tensor([[0.5, 0.1, 0.4], [0.4, 0.5, 0.1], [0.3, 0.3, 0.4]])
    logits = p.log() + 7.0  # softmax does not see a shift
    assert allowed_greedy(q, logits, 0.3).tolist() == [2, 1, 0]
    assert allowed_greedy(q, logits, 0.9).tolist() == [0, 1, 2]
    assert allowed_greedy(q, logits, 0.0).tolist() == [1, 1, 0]


def test_targets_by_hand():
    """An end state counts its reward alone; a timeout goes on."""
    next_q = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    discounts = 0.9 * torch.tensor([1.0, 0.0, 1.0])  # goes on, ended, cut by a timeout
    found = targets(torch.tensor([0.5, 0.5, 0.5]), discounts, next_q, torch.tensor([1, 1, 0]))
    torch.testing.assert_close(found, torch.tensor([9.5, 0.5, 3.2]))


def test_imitation_loss_by_hand():
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]])
    nll = (math.log(2) + math.log(4)) / 2
    found = imitation_loss(logits, torch.tensor([0, 1]), penalty=0.01)
    assert float(found) == pytest.approx(nll + 0.01 * math.log(3) ** 2 / 4)


def test_conservative_gap_by_hand():
    q = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    assert float(conservative_gap(q, q[:, 0])) == pytest.approx(math.log(2))


# ---------------------------------------------------------------------- what trainings find


def test_dqn_finds_the_values_of_a_log_with_an_end_and_a_timeout():
    q = train_dqn(fork(), QUICK).q_values(np.eye(2, dtype=np.float32))
    np.testing.assert_allclose(q, [[0.9, 0.5 + 0.9], [1.0, 0.2]], atol=0.03)


def test_bcq_does_not_count_on_an_action_that_the_log_makes_unlikely():
    log = fork(rare_reward=3.0, copies=9)
    states = np.eye(2, dtype=np.float32)
    bcq, dqn = train_bcq(log, QUICK), train_dqn(log, QUICK)
    assert bcq.q_values(states)[0, 0] == pytest.approx(0.9, abs=0.05)
    assert dqn.q_values(states)[0, 0] == pytest.approx(2.7, abs=0.15)
    assert bcq.q_values(states)[1].argmax() == 1
    assert bcq.act(states)[1] == 0
    assert dqn.act(states)[1] == 1
    open_to_all = replace(bcq, config=replace(bcq.config, threshold=0.0))
    assert open_to_all.act(states)[1] == 1


@pytest.mark.parametrize("method", ["dqn", "bcq"])
def test_a_chain_is_solved_from_random_walks(method):
    encoder = TRAININGS[method](chain(), QUICK)
    states = np.eye(6, dtype=np.float32)[:5]
    assert encoder.act(states).tolist() == [1] * 5
    np.testing.assert_allclose(encoder.q_values(states)[:, 1], 0.9 ** np.arange(4, -1, -1), atol=0.06)


def test_cloning_imitates():
    random = np.random.default_rng(0)
    x = (5 + 100 * random.standard_normal((600, 3))).astype(np.float32)
    log = TransitionDataset.from_arrays(
        observations=x[:-1],
        actions=(x[:-1, 0] > x[:-1, 1]).astype(int),
        rewards=np.zeros(599),
        next_observations=x[1:],
        terminals=np.zeros(599, dtype=bool),
        timeouts=np.arange(599) == 598,
        episodes=np.zeros(599, dtype=int),
        action_count=2,
    )
    fresh = (5 + 100 * random.standard_normal((500, 3))).astype(np.float32)
    acted = train_bc(log, replace(QUICK, steps=500)).act(fresh)
    assert (acted == (fresh[:, 0] > fresh[:, 1])).mean() > 0.93


def test_cql_keeps_rare_actions_below_common_ones():
    states = np.eye(2, dtype=np.float32)
    log = fork(rare_reward=1.5, copies=9)
    free, held = (train_cql(log, QUICK, alpha).q_values(states)[1] for alpha in (0.0, 1.0))
    np.testing.assert_allclose(free, [1.0, 1.5], atol=0.1)
    assert held[0] > held[1]  # logged nine times as often


def test_clipped_rewards():
    q = train_dqn(fork(rare_reward=50.0), replace(QUICK, reward_clip=1.0)).q_values(np.eye(2, dtype=np.float32))
    assert q[1, 1] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("method", TRAININGS)
def test_same_seed_same_encoder(method):
    state = torch.get_rng_state()
    quick = replace(QUICK, steps=30)
    x = np.eye(6, dtype=np.float32)
    first, again, other = (TRAININGS[method](chain(), replace(quick, seed=seed))(x) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    assert torch.equal(torch.get_rng_state(), state)


# ---------------------------------------------------------------------- networks and what is held


@pytest.mark.parametrize(
    ("shape", "dtype", "width"),
    [((4,), np.float32, 256), ((10, 10, 4), bool, 128), ((4, 84, 84), np.uint8, 512)],
)
@pytest.mark.parametrize("method", ["bcq", "bc"])
def test_features_are_what_the_last_layer_sees(shape, dtype, width, method, tmp_path):
    log = images(shape, dtype)
    encoder = TRAININGS[method](log, replace(QUICK, steps=3, batch_size=4))
    x = log.observations[:7]
    found = encoder(x)
    assert found.shape == (7, width)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, encoder.features(x))
    with torch.no_grad():
        q, logits = encoder.network(torch.tensor(x))
        last = encoder.network.imitation_last if method == "bc" else encoder.network.q_last
        torch.testing.assert_close(last(torch.tensor(found)), logits if method == "bc" else q)
    encoder.save(tmp_path / "encoder")
    loaded = TrainedEncoder.load(tmp_path / "encoder")
    np.testing.assert_array_equal(loaded(x), found)
    np.testing.assert_array_equal(loaded.act(x), encoder.act(x))
    assert (loaded.config, loaded.method, loaded.losses) == (encoder.config, method, encoder.losses)


def test_batches_of_any_size_give_the_same():
    log = images((10, 10, 4), bool, rows=30)
    encoder = train_dqn(log, replace(QUICK, steps=3))
    x = np.concatenate([log.observations] * 80)  # more than go through at once
    np.testing.assert_allclose(encoder(x)[:30], np.concatenate([encoder(row[None]) for row in x[:30]]), atol=1e-5)
    assert encoder(x[:0]).shape == (0, 128)
    assert encoder.act(x[:0]).shape == (0,)


def test_epsilon():
    encoder = train_dqn(chain(), replace(QUICK, steps=3))
    x = np.repeat(np.eye(6, dtype=np.float32)[:1], 4000, axis=0)
    greedy = encoder.act(x[:1])[0]
    first = encoder.act(x, 0.4, np.random.default_rng(1))
    assert (first != greedy).mean() == pytest.approx(0.2, abs=0.03)
    np.testing.assert_array_equal(first, encoder.act(x, 0.4, np.random.default_rng(1)))
    assert (encoder.act(x, 1.0) != greedy).mean() == pytest.approx(0.5, abs=0.04)


def test_presets_are_the_authors():
    assert (ATARI.lr, ATARI.batch_size, ATARI.target_period, ATARI.tau) == (6.25e-5, 32, 8000, 1.0)
    assert (SMALL_TASKS.lr, SMALL_TASKS.batch_size, SMALL_TASKS.target_period, SMALL_TASKS.tau) == (3e-4, 64, 1, 0.005)


# ---------------------------------------------------------------------- errors


def test_continuous_actions_are_refused():
    log = TransitionDataset.from_arrays(
        observations=np.zeros((3, 2)),
        actions=np.zeros((3, 1), dtype=np.float32),
        rewards=np.zeros(3),
        next_observations=np.zeros((3, 2)),
        terminals=np.zeros(3, dtype=bool),
        timeouts=np.zeros(3, dtype=bool),
        episodes=np.zeros(3, dtype=int),
    )
    with pytest.raises(InputError, match="discrete"):
        train_dqn(log, QUICK)


def test_wrong_observations_are_refused():
    encoder = train_bc(chain(), replace(QUICK, steps=1))
    with pytest.raises(InputError, match=r"\(3, 5\); expected \(n, 6\)"):
        encoder(np.zeros((3, 5)))
    with pytest.raises(InputError, match=r"observation\[None\]"):
        encoder.act(np.zeros(6))
    with pytest.raises(InputError, match="no Q-values"):
        encoder.q_values(np.zeros((1, 6)))
    with pytest.raises(InputError, match="epsilon"):
        encoder.act(np.zeros((1, 6)), 1.5)
    with pytest.raises(InputError, match="uint8"):
        train_bc(images((4, 84, 84), np.float32), replace(QUICK, steps=1))
    with pytest.raises(InputError, match="no network"):
        network_for((20, 20, 3), 2)


def test_a_loss_that_is_not_finite_says_what_to_do():
    with pytest.raises(InputError, match="lower lr"):
        train_dqn(chain(), replace(QUICK, lr=1e30, steps=20))


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 0), ("lr", 0.0), ("gamma", 1.0), ("threshold", 1.0), ("tau", 0.0), ("reward_clip", -1.0), ("seed", -1)],
)
def test_settings_out_of_range(name, value):
    with pytest.raises(InputError, match=name):
        EncoderConfig(**{name: value})
