"""The derived MDP against dynamic programming, its laws, and what a user may do wrong."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rostra.engine.errors import InputError
from rostra.fields.rl.transitions import TransitionDataset
from rostra.methods.dac_mdp import DACMDP
from rostra.methods.dac_mdp.data import (
    cartpole_log,
    chain_log,
    chain_optimal_value,
    chain_return,
    graph_log,
    graph_optimal_value,
)
from rostra.methods.dac_mdp.solution import LOOKUPS

TIGHT = {"dtype": "float64", "scale": None}
GRID = np.linspace(0, 1, 400)


def random_log(n, seed, actions=3, dimension=2, length=10):
    generator = np.random.default_rng(seed)
    episodes = np.arange(n) // length
    ends = generator.random(n) < 0.05
    return TransitionDataset.from_arrays(
        generator.normal(size=(n, dimension)),
        generator.integers(0, actions, n),
        generator.normal(size=n),
        generator.normal(size=(n, dimension)),
        ends,
        np.arange(n) % length == length - 1,
        episodes,
        actions,
    )


def by_hand(log, observations, values, *, k, cost, gamma):
    """Q of the definition, by brute force on unscaled observations."""
    q = np.full((len(observations), log.action_count), -np.inf)
    for i, observation in enumerate(observations):
        for action in range(log.action_count):
            rows = np.flatnonzero(log.actions == action)
            distances = np.sqrt(((log.observations[rows] - observation) ** 2).sum(1))
            chosen = np.lexsort((rows, distances))[:k]
            if len(chosen):
                terms = log.rewards[rows[chosen]] - cost * distances[chosen] + gamma * values[rows[chosen]]
                q[i, action] = terms.mean()
    return q


# ------------------------------------------------------- exact cases


def test_a_fully_logged_graph_is_solved_as_by_dynamic_programming():
    """A successor is the state that a transition leads to, not the one that it starts from."""
    generator = np.random.default_rng(0)
    for ends in (None, generator.random((7, 3)) < 0.2):
        successors, rewards = generator.integers(0, 7, (7, 3)), generator.normal(size=(7, 3))
        log = graph_log(successors, rewards, ends)
        model = DACMDP(k=1, cost=0.0, gamma=0.95, **TIGHT).fit(log, tol=1e-10)
        exact = graph_optimal_value(successors, rewards, ends, gamma=0.95)
        expected = exact[successors.ravel()] * (1 if ends is None else ~ends.ravel())
        assert np.allclose(model.solution_.values, expected, atol=1e-6)
        q = model.q_values(np.arange(7.0)[:, None])
        assert np.allclose(q.max(1), exact, atol=1e-6)


def chain_episode(*, terminal):
    """Three steps with reward 1 and the fourth with 10; one action."""
    places = np.arange(5.0)[:, None]
    return TransitionDataset.from_arrays(
        places[:4], np.zeros(4, int), [1.0, 1, 1, 10], places[1:], [0, 0, 0, terminal], [0, 0, 0, not terminal], None, 1
    )


def test_the_last_reward_counts_and_nothing_follows_an_end():
    found = DACMDP(k=1, cost=0.0, gamma=0.5, **TIGHT).fit(chain_episode(terminal=True), tol=1e-12).solution_
    assert np.allclose(found.values, [1 + 0.5 * (1 + 0.5 * 10), 1 + 0.5 * 10, 10, 0])
    assert found.Q[3] == 0


def test_a_cut_episode_goes_on_from_its_nearest_neighbour():
    """State 4 has no logged action: it borrows that of state 3, whose successor it is, for ever."""
    found = DACMDP(k=1, cost=0.0, gamma=0.5, **TIGHT).fit(chain_episode(terminal=False), tol=1e-12).solution_
    assert np.allclose(found.values, [1 + 0.5 * (1 + 0.5 * 20), 1 + 0.5 * 20, 20, 20])
    priced = DACMDP(k=1, cost=3.0, gamma=0.5, **TIGHT).fit(chain_episode(terminal=False), tol=1e-12).solution_
    assert np.allclose(priced.values[3], 14)  # 10 - 3 a step


def test_a_high_cost_keeps_to_the_log():
    """Every state was logged once, with one action: the value is the discounted return to go."""
    generator = np.random.default_rng(1)
    places, rewards = generator.normal(size=(31, 4)), generator.normal(size=30)
    actions = generator.integers(0, 2, 30)
    log = TransitionDataset.from_arrays(
        places[:30], actions, rewards, places[1:], np.arange(30) == 29, None, np.zeros(30, int), 2
    )
    model = DACMDP(k=1, cost=1e9, gamma=0.9, **TIGHT).fit(log, tol=1e-9)
    to_go = np.zeros(31)
    for i in range(29, -1, -1):
        to_go[i] = rewards[i] + 0.9 * to_go[i + 1]
    assert np.allclose(model.solution_.values, to_go[1:])
    assert np.array_equal(model.act(places[:30]), actions)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 12), cost=st.floats(0, 5))
def test_look_ahead_is_the_definition(seed, k, cost):
    """Also with fewer logged pairs than k, whose weights are then 1 / m."""
    log = random_log(25, seed)
    model = DACMDP(k=k, cost=cost, gamma=0.8, **TIGHT).fit(log, tol=1e-10)
    solution = model.solution_
    elsewhere = np.random.default_rng(seed).normal(size=(6, 2))
    expected = by_hand(log, elsewhere, solution.values, k=k, cost=cost, gamma=0.8)
    assert np.allclose(model.q_values(elsewhere), expected, atol=1e-8)
    alive = ~log.terminals
    core = by_hand(log, log.next_observations[alive], solution.values, k=k, cost=cost, gamma=0.8)
    assert np.allclose(solution.values[alive], core.max(1), atol=1e-8)
    assert np.allclose(solution.Q[alive], core, atol=1e-8)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("n", [20, 100, 1000])
def test_a_cost_above_the_lipschitz_constant_gives_lower_bounds(n, k):
    """Of the optimum, for every log; the plan's own return has no such bound."""
    for seed in range(4):
        model = DACMDP(k=k, cost=10.0, gamma=0.9, **TIGHT).fit(chain_log(n, seed), tol=1e-10)
        values = model.q_values(GRID[:, None]).max(1)
        assert (values <= chain_optimal_value(GRID) + 1e-8).all()


def test_without_cost_gaps_are_exploited():
    model = DACMDP(k=5, cost=0.0, gamma=0.9, **TIGHT).fit(chain_log(20, seed=0), tol=1e-10)
    assert (model.q_values(GRID[:, None]).max(1) - chain_return(model.act, GRID)).max() > 1


# ------------------------------------------------------- laws


def test_units_of_features_and_cost_trade_off():
    log = random_log(200, 3)
    plain = DACMDP(k=3, cost=2.0, **TIGHT).fit(log, tol=1e-8)
    scaled = DACMDP(lambda x: 8 * x, k=3, cost=2.0 / 8, **TIGHT).fit(log, tol=1e-8)
    assert np.allclose(plain.solution_.values, scaled.solution_.values)
    assert np.array_equal(plain.solution_.policy, scaled.solution_.policy)
    given_scale = DACMDP(k=3, cost=2.0 / 8, dtype="float64", scale=np.full(2, 1 / 8)).fit(log, tol=1e-8)
    assert np.allclose(plain.solution_.values, given_scale.solution_.values)


def test_standard_scale_makes_units_of_columns_irrelevant():
    log = random_log(200, 4)
    stretched = DACMDP(lambda x: x * [1.0, 1000.0], k=3, dtype="float64").fit(log, tol=1e-8)
    assert np.allclose(DACMDP(k=3, dtype="float64").fit(log, tol=1e-8).solution_.values, stretched.solution_.values)


def test_the_order_of_the_log_and_repeated_rows_change_nothing():
    log = random_log(150, 5)
    generator = np.random.default_rng(0)
    order = generator.permutation(150)

    def again(rows):
        n = len(rows)
        return TransitionDataset.from_arrays(
            log.observations[rows], log.actions[rows], log.rewards[rows], log.next_observations[rows],
            log.terminals[rows], ~log.terminals[rows], np.arange(n), 3,
        )  # fmt: skip

    plain = DACMDP(k=3, **TIGHT).fit(again(np.arange(150)), tol=1e-9).solution_
    shuffled = DACMDP(k=3, **TIGHT).fit(again(order), tol=1e-9).solution_
    assert np.allclose(plain.values[order], shuffled.values)
    doubled = DACMDP(k=6, **TIGHT).fit(again(np.tile(np.arange(150), 2)), tol=1e-9).solution_
    assert np.allclose(np.tile(plain.values, 2), doubled.values)


@pytest.mark.parametrize("kind", ["inverse", "official"])
def test_other_weights_solve_their_own_fixed_point(kind):
    log = random_log(80, 6)
    model = DACMDP(k=4, cost=0.5, weights=kind, gamma=0.9, **TIGHT).fit(log, tol=1e-11)
    alive = ~log.terminals
    q = model.q_values(log.next_observations[alive])
    assert np.allclose(q.max(1), model.solution_.values[alive])
    if kind == "inverse":  # logged states come out as they were logged
        found = model.explain(log.observations[0])
        own = found[(found.action == log.actions[0]) & (found["rank"] == 0)].iloc[0]
        assert own.transition == 0
        assert own.weight > 1 - 1e-6


def test_an_approximate_index_moves_values_within_its_own_bound():
    """The bound: how far its operator moves the exact values, over 1 - gamma."""
    for seed in range(3):
        log = random_log(3000, seed, dimension=10)
        exact = DACMDP(k=5, gamma=0.8, **TIGHT).fit(log, tol=1e-10)
        rough = DACMDP(k=5, gamma=0.8, index="ivf", **TIGHT).fit(log, tol=1e-10)
        assert exact._pairs.recall == 1 > rough._pairs.recall > 0.9
        moved = rough.solve(tol=1e9, method="jacobi", initial=exact.solution_.values, backend="numpy").values
        bound = np.abs(moved - exact.solution_.values).max() / (1 - 0.8)
        assert 0 < np.abs(rough.solution_.values - exact.solution_.values).max() <= bound + 1e-8


def test_fewer_neighbours_are_the_first_of_more():
    log = random_log(100, 7)
    wide, narrow = DACMDP(k=9, **TIGHT).build(log), DACMDP(k=2, **TIGHT).fit(log)
    found = wide.narrowed(2).solve()
    assert np.array_equal(found.values, narrow.solution_.values)
    assert np.array_equal(found.act(log.observations), narrow.act(log.observations))
    with pytest.raises(InputError, match="k must be in 1 to 9"):
        wide.narrowed(10)


# ------------------------------------------------------- other questions, no other build


def test_questions_are_answered_as_a_new_model_would():
    log = random_log(120, 8)
    model = DACMDP(k=3, gamma=0.9, **TIGHT).fit(log, tol=1e-10)
    other = DACMDP(k=3, gamma=0.6, cost=0.2, **TIGHT).fit(log, tol=1e-10)
    assert np.allclose(model.solve(gamma=0.6, cost=0.2, tol=1e-10).values, other.solution_.values)
    warm = model.solve(gamma=0.6, cost=0.2, tol=1e-10, initial=model.solution_)
    assert np.allclose(warm.values, other.solution_.values)

    bonus = np.where(log.actions == 1, -0.3, 0.0)
    changed = TransitionDataset.from_arrays(
        log.observations, log.actions, log.rewards + bonus, log.next_observations,
        log.terminals, log.timeouts, log.episodes, 3,
    )  # fmt: skip
    expected = DACMDP(k=3, gamma=0.9, **TIGHT).fit(changed, tol=1e-10)
    for reward in (bonus, lambda states, actions, after: np.where(actions == 1, -0.3, 0.0)):
        found = model.solve(reward=reward, tol=1e-10)
        assert np.allclose(found.values, expected.solution_.values)
        assert np.allclose(found.q_values(log.observations), expected.q_values(log.observations))


def test_more_end_states():
    log = random_log(120, 9)
    model = DACMDP(k=3, gamma=0.9, **TIGHT).fit(log)
    ended = log.next_observations[:, 0] > 1
    changed = TransitionDataset.from_arrays(
        log.observations, log.actions, log.rewards, log.next_observations,
        log.terminals | ended, log.timeouts, log.episodes, 3,
    )  # fmt: skip
    expected = DACMDP(k=3, gamma=0.9, **TIGHT).fit(changed, tol=1e-10).solution_
    for terminal in (ended, lambda states: states[:, 0] > 1):
        assert np.allclose(model.solve(terminal=terminal, tol=1e-10).values, expected.values)


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_a_forbidden_action_is_neither_planned_with_nor_taken(lookup):
    log = random_log(120, 10)
    model = DACMDP(k=3, gamma=0.9, **TIGHT).fit(log)
    elsewhere = np.random.default_rng(0).normal(size=(200, 2))
    core = np.ones((120, 3), bool)
    core[:, 1] = False
    function = lambda states: np.broadcast_to([True, False, True], (len(states), 3))  # noqa: E731
    found = [
        model.solve(forbid=[1], tol=1e-10),
        model.solve(mask=[True, False, True], tol=1e-10),
        model.solve(mask=core, tol=1e-10),
        model.solve(mask=function, tol=1e-10),
    ]
    for solution in found:
        assert (solution.policy[~log.terminals] != 1).all()
        assert np.array_equal(solution.values, found[0].values)
        actions = solution.act(elsewhere, lookup=lookup)
        assert set(actions) == {0, 2}
        if lookup != "soft":  # which draws
            assert np.array_equal(actions, found[0].act(elsewhere, lookup=lookup))


def test_a_mask_may_differ_from_state_to_state():
    log = random_log(200, 11)
    model = DACMDP(k=3, gamma=0.9, **TIGHT).fit(log)
    right = lambda states: np.stack([states[:, 0] < 0, states[:, 0] >= 0, np.ones(len(states), bool)], 1)  # noqa: E731
    elsewhere = np.random.default_rng(0).normal(size=(300, 2))
    actions = model.solve(mask=right).act(elsewhere)
    assert (elsewhere[actions == 0, 0] < 0).all()
    assert (elsewhere[actions == 1, 0] >= 0).all()
    assert {0, 1} <= set(actions)
    by_core = model.solve(mask=right(log.next_observations))
    assert np.array_equal(by_core.values, model.solve(mask=right).values)


def test_the_penalty_is_what_the_policy_pays():
    log = random_log(100, 12)
    for k in (1, 4):
        model = DACMDP(k=k, cost=0.7, gamma=0.9, **TIGHT).fit(log, tol=1e-11)
        found = model.solution_
        states = np.arange(100)
        paid = 0.7 * model.tables_.distances[states, found.policy].mean(1)
        system = np.eye(100)
        for m in range(k):
            np.subtract.at(system, (states, model.tables_.successors[states, found.policy, m]), 0.9 / k)
        system[log.terminals] = np.eye(100)[log.terminals]
        assert np.allclose(found.penalty, np.linalg.solve(system, np.where(log.terminals, 0, paid)), atol=1e-2)
        assert found.penalty.max() > 0.1


# ------------------------------------------------------- acting


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_a_batch_is_its_observations_one_by_one(lookup):
    log = random_log(100, 13)
    model = DACMDP(k=3, gamma=0.9).fit(log)
    elsewhere = np.random.default_rng(0).normal(size=(50, 2))
    together = model.act(elsewhere, lookup=lookup)
    if lookup != "soft":
        assert np.array_equal(together, [model.act(observation, lookup=lookup) for observation in elsewhere])
        assert np.allclose(model.q_values(elsewhere)[7], model.q_values(elsewhere[7]))
    assert set(together) <= {0, 1, 2}


def test_look_ups_are_what_they_say():
    log = random_log(60, 14)
    model = DACMDP(k=4, gamma=0.9, **TIGHT).fit(log, tol=1e-10)
    solution = model.solution_
    here = np.random.default_rng(0).normal(size=(20, 2))
    own = by_hand(log, log.observations, solution.values, k=4, cost=1.0, gamma=0.9)
    alive = np.flatnonzero(~log.terminals)
    for observation in here:
        logged = np.array(
            [
                own[rows[np.argsort(((log.observations[rows] - observation) ** 2).sum(1))[:3]], action].mean()
                for action, rows in ((a, np.flatnonzero(log.actions == a)) for a in range(3))
            ]
        )
        assert model.act(observation, lookup="q_average", k_pi=3) == logged.argmax()
        order = alive[np.argsort(((log.next_observations[alive] - observation) ** 2).sum(1))]
        assert model.act(observation, lookup="nearest_core") == solution.policy[order[0]]
        assert model.act(observation, lookup="core_average") == solution.Q[order[:5]].mean(0).argmax()
        narrow = by_hand(log, observation[None], solution.values, k=1, cost=1.0, gamma=0.9)
        assert model.act(observation, k_pi=1) == narrow.argmax()
    q = model.q_values(here[0])
    draws = model.act(np.tile(here[0], (20_000, 1)), lookup="soft", temperature=0.5)
    shares = np.exp((q - q.max()) / 0.5) / np.exp((q - q.max()) / 0.5).sum()
    assert np.allclose(np.bincount(draws, minlength=3) / 20_000, shares, atol=0.015)
    one_by_one = [model.act(here[0], lookup="soft", temperature=0.5) for _ in range(1000)]
    assert np.allclose(np.bincount(one_by_one, minlength=3) / 1000, shares, atol=0.06)
    cold = model.act(here, lookup="soft", temperature=1e-9)
    assert np.array_equal(cold, model.act(here))


def test_an_explanation_adds_up():
    log = random_log(60, 15)
    model = DACMDP(k=4, cost=0.5).fit(log)
    observation = np.array([0.3, -0.2])
    found = model.explain(observation)
    q = model.q_values(observation)
    assert len(found) == 12
    assert np.allclose(found.groupby("action").contribution.sum(), q, atol=1e-4)
    assert np.allclose(found.groupby("action").q.first(), q)
    assert (found[found.best].action == model.act(observation)).all()
    assert np.allclose(found.groupby("action").weight.sum(), 1)
    assert (found.groupby("action").distance.is_monotonic_increasing).all()
    assert np.array_equal(found.episode, log.episodes[found.transition])
    with pytest.raises(InputError, match="one observation, got 2"):
        model.explain(np.zeros((2, 2)))


def test_coverage_tells_what_lies_far_from_the_data():
    log = random_log(400, 16)
    model = DACMDP(k=1).fit(log)
    assert model.coverage()["share"] < 0.2
    far = TransitionDataset.from_arrays(
        np.concatenate([log.observations, [[0.0, 0.0]]]), np.append(log.actions, 0), np.append(log.rewards, 0),
        np.concatenate([log.next_observations, [[50.0, 50.0]]]), np.append(log.terminals, False),
        np.append(log.timeouts, True), np.append(log.episodes, 99), 4,
    )  # fmt: skip
    with pytest.warns(UserWarning, match="action 3 was never logged"):
        found = DACMDP(k=1).fit(far).coverage()
    assert found["far"][3] == 1
    assert found["share"] > 0.25


# ------------------------------------------------------- encoders, memory, files


class Doubled(torch.nn.Module):
    def forward(self, x):
        assert not self.training
        return torch.cat([x, x], dim=1) * 2


def test_encoders_may_be_functions_or_modules():
    log = random_log(80, 17)
    plain = DACMDP(k=2, dtype="float64", scale=None, cost=np.sqrt(8)).fit(log, tol=1e-9)
    for encoder in (Doubled(), lambda x: np.concatenate([x, x], 1) * 2):
        found = DACMDP(encoder, k=2, **TIGHT).fit(log, tol=1e-9)
        assert np.allclose(plain.solution_.values, found.solution_.values)
        assert np.array_equal(plain.act(log.observations), found.act(log.observations))


def test_tables_on_disk_are_those_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("rostra.methods.dac_mdp.pairs.BLOCK_PAIRS", 100)  # many blocks
    log = random_log(333, 18)
    plain = DACMDP(k=3).fit(log)
    mapped = DACMDP(k=3, memory_map=tmp_path / "tables").fit(log)
    assert isinstance(mapped.tables_.successors, np.memmap)
    (folder,) = (tmp_path / "tables").iterdir()
    assert {path.name for path in folder.iterdir()} == {"successors.npy", "distances.npy"}
    assert np.array_equal(plain.tables_.successors, mapped.tables_.successors)
    assert np.array_equal(plain.solution_.values, mapped.solution_.values)
    before = mapped.solution_.q_values(log.observations)
    DACMDP(k=3, memory_map=tmp_path / "tables").fit(random_log(333, 19))  # has tables of its own
    assert np.array_equal(mapped.solution_.q_values(log.observations), before)
    mapped.save(tmp_path / "model")
    again = DACMDP.load(tmp_path / "model")
    assert isinstance(again.tables_.successors, np.memmap)
    assert np.array_equal(again.solve(gamma=0.5).values, plain.solve(gamma=0.5).values)
    (folder / "distances.npy").unlink()
    with pytest.raises(InputError, match="is not there or damaged"):
        DACMDP.load(tmp_path / "model")
    with pytest.raises(InputError, match="is a file; give a folder"):
        DACMDP(memory_map=tmp_path / "model" / "rostra.json").fit(log)


def test_a_build_that_cannot_fit_is_refused_before_any_work(tmp_path, monkeypatch):
    log = random_log(100, 19)
    monkeypatch.setattr("rostra.methods.dac_mdp.pairs.available_memory", lambda: 1000)

    def encoder(observations):
        assert len(observations) == 1, "only a probe may be encoded"
        return observations

    with pytest.raises(MemoryError, match=r"needs about .* GiB .* memory_map=FOLDER"):
        DACMDP(encoder, k=3).fit(log)
    monkeypatch.undo()
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 10})())
    with pytest.raises(MemoryError, match="take another folder or a smaller k"):
        DACMDP(k=3, memory_map=tmp_path).fit(log)
    assert not list(tmp_path.iterdir())


QUESTIONS = {
    "plain": {},
    "forbidden": {"forbid": [2], "gamma": 0.7, "slip": 0.1},
    "mask by state": {"mask": np.random.default_rng(0).random((120, 3)) < 0.7},
    "bonus": {"reward": np.linspace(-1, 1, 120)},
    "end states": {"terminal": np.arange(120) % 7 == 0},
}


@pytest.mark.parametrize("settings", [{}, {"dtype": "float64", "scale": None}, {"weights": "official", "cost": 0.0}])
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_saved_model_answers_as_before(name, settings, tmp_path):
    log, question = random_log(120, 20), QUESTIONS[name]
    if name == "mask by state":
        question["mask"][:, 0] = True
    model = DACMDP(**{"k": 3, "cost": 0.3, "weights": "inverse"} | settings).fit(log, **question)
    model.save(tmp_path / "model", notes={"data": "log.npz"})
    again = DACMDP.load(tmp_path / "model")
    elsewhere = np.random.default_rng(0).normal(size=(40, 2))
    assert np.array_equal(model.q_values(elsewhere), again.q_values(elsewhere))
    assert np.array_equal(model.solution_.values, again.solution_.values)
    assert np.array_equal(model.solution_.Q, again.solution_.Q)
    assert np.array_equal(model.solution_.penalty, again.solution_.penalty)
    assert again.solution_.gamma == model.solution_.gamma
    assert again.notes_ == {"data": "log.npz"}
    assert again.scale == model.scale
    assert np.array_equal(model.solve(gamma=0.5).values, again.solve(gamma=0.5).values)
    assert model.coverage() == again.coverage()


def test_an_encoder_of_the_users_is_asked_for_again(tmp_path):
    model = DACMDP(lambda x: 2 * x, k=2).fit(random_log(50, 21))
    model.save(tmp_path / "model")
    with pytest.raises(InputError, match="give encoder="):
        DACMDP.load(tmp_path / "model")
    again = DACMDP.load(tmp_path / "model", encoder=lambda x: 2 * x)
    assert np.array_equal(model.q_values(np.zeros((1, 2))), again.q_values(np.zeros((1, 2))))


# ------------------------------------------------------- what a user may do wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be a whole number of 1 or more, got 0"),
        ({"k": 2.5}, "k must be a whole number"),
        ({"cost": -1.0}, "cost must be 0 or more"),
        ({"cost": float("nan")}, "cost must be 0 or more"),
        ({"gamma": 1.0}, "gamma must be at least 0 and below 1, got 1.0"),
        ({"gamma": -0.1}, "gamma must be"),
        ({"weights": "gauss"}, "weights must be one of"),
        ({"scale": "minmax"}, "scale must be 'standard', None or an array"),
        ({"index": "annoy"}, "index must be one of"),
        ({"dtype": "float16"}, "dtype must be"),
    ],
)
def test_settings_out_of_range(arguments, message):
    with pytest.raises(InputError, match=message):
        DACMDP(**arguments)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"gamma": 1.2}, "gamma must be"),
        ({"cost": -2}, "cost must be"),
        ({"slip": 1.5}, "slip must be in 0 to 1"),
        ({"forbid": [3]}, "cannot forbid action 3; there are 0 to 2"),
        ({"forbid": [0, 1, 2]}, "no action is allowed after transition"),
        ({"mask": [True, False]}, "mask must be bool of shape"),
        ({"mask": np.ones((5, 3))}, "mask must be bool of shape"),
        ({"mask": lambda states: np.ones((len(states), 2), bool)}, "the mask gave"),
        ({"reward": np.zeros(4)}, "one number a transition"),
        ({"reward": lambda s, a, t: np.full(len(a), np.nan)}, "not finite at transition 0"),
        ({"terminal": np.zeros(50)}, "terminal must be bool"),
    ],
)
def test_questions_out_of_range(question, message):
    model = DACMDP(k=2).fit(random_log(50, 22))
    with pytest.raises(InputError, match=message):
        model.solve(**question)


def test_observations_of_another_shape_or_not_finite():
    model = DACMDP(k=2).fit(random_log(50, 23))
    with pytest.raises(InputError, match=r"observations must have shape \(n, 2\), got \(3, 3\)"):
        model.act(np.zeros((3, 3)))
    with pytest.raises(InputError, match="observation 1 is not finite"):
        model.act(np.array([[0.0, 0.0], [np.nan, 0.0]]))
    with pytest.raises(InputError, match="lookup must be one of"):
        model.act(np.zeros(2), lookup="guess")
    with pytest.raises(InputError, match="k_pi must be 1 or more"):
        model.act(np.zeros(2), k_pi=0)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (lambda x: x[:, 0], "the encoder gave shape"),
        (lambda x: np.zeros((len(x), len(x))), "the encoder gave 1 features, then"),
        (lambda x: np.full((len(x), 2), np.inf), "are not finite"),
    ],
)
def test_encoders_that_break_their_word(encoder, message):
    with pytest.raises(InputError, match=message):
        DACMDP(encoder).fit(random_log(50, 24))


def test_small_and_narrow_logs():
    """Fewer rows than k, an action that was logged once, one that never was."""
    log = TransitionDataset.from_arrays(
        [[0.0], [1.0], [2.0]], [0, 0, 1], [1.0, 2.0, 3.0], [[1.0], [2.0], [3.0]], [0, 0, 1], None, None, 3
    )
    with pytest.warns(UserWarning, match="action 2 was never logged"):
        model = DACMDP(k=5, cost=0.0, gamma=0.5, **TIGHT).fit(log, tol=1e-12)
    assert model.tables_.counts.tolist() == [2, 1, 0]
    q = model.q_values([[0.0]])
    assert q[0, 2] == -np.inf
    # action 0 leads to 1 or 2, evenly; action 1 earns 3 and ends
    assert np.allclose(model.solution_.values, [3, 3, 0])
    assert np.allclose(q[0, :2], [1.5 + 0.5 * 3, 3])
    with pytest.raises(InputError, match="DACMDPContinuous"):
        DACMDP().fit(
            TransitionDataset.from_arrays(
                [[0.0], [1.0]], [[0.5], [0.1]], [0.0, 0.0], [[1.0], [0.0]], [0, 0], None, None
            )
        )


def test_a_solution_stays_with_the_log_that_it_solves():
    model = DACMDP(k=3).fit(random_log(100, 25))
    kept, here = model.solution_, np.zeros((5, 2))
    before = kept.q_values(here)
    model.fit(random_log(150, 26))
    assert np.array_equal(kept.q_values(here), before)
    assert not np.array_equal(model.q_values(here), before)


def test_large_rewards_that_cancel_are_within_the_bound():
    log = TransitionDataset.from_arrays(
        np.zeros((2, 1)), [0, 0], [1e6 + 0.03, -1e6], np.zeros((2, 1)), [0, 0], None, None, 1
    )
    found = DACMDP(k=2, cost=0.0).fit(log).solution_
    assert np.abs(found.values - 1.5).max() <= found.error_bound + 1e-5


def test_the_penalty_does_not_look_at_actions_that_are_not_taken():
    """One action was logged far away: its cost is no measure for what the plan pays."""
    log = random_log(100, 27, actions=2)
    far = TransitionDataset.from_arrays(
        np.concatenate([log.observations, [[1e4, 1e4]]]), np.append(log.actions, 2), np.append(log.rewards, 0),
        np.concatenate([log.next_observations, [[0.0, 0.0]]]), np.append(log.terminals, False),
        np.append(log.timeouts, True), np.append(log.episodes, 99), 3,
    )  # fmt: skip
    single, double = (DACMDP(k=3, scale=None, dtype=dtype).fit(far, forbid=[2]) for dtype in ("float32", "float64"))
    assert np.allclose(single.solution_.penalty, double.solution_.penalty, atol=0.02)
    free = DACMDP(k=3, scale=None).fit(far).solution_
    assert np.allclose(free.penalty[free.policy != 2].mean(), single.solution_.penalty.mean(), rtol=0.3)


def test_a_constant_column_is_not_blown_up():
    log = random_log(100, 28)
    with_constant = lambda x: np.concatenate([x, np.full((len(x), 1), 0.1)], 1)  # noqa: E731
    model = DACMDP(with_constant, k=3, dtype="float64").fit(log)
    assert model.scale_[2] == 1


def test_numbers_that_do_not_fit_are_refused():
    log = random_log(100, 29)
    with pytest.raises(InputError, match="too large for float32"):
        DACMDP(k=2).fit(log, cost=1e300)
    with pytest.raises(InputError, match="values are too large for float32"):
        DACMDP(k=2).fit(log, reward=np.full(100, 2e37))
    model = DACMDP(k=2).fit(log)
    with pytest.raises(InputError, match="initial must hold 100 finite values"):
        model.solve(initial=[0.0])
    with pytest.raises(InputError, match="max_sweeps must be at least 1"):
        model.solve(max_sweeps=0)
    with pytest.raises(InputError, match="call fit"):
        DACMDP().act(np.zeros(2))
    with pytest.raises(InputError, match="call fit"):
        DACMDP().solve()
    with pytest.raises(InputError, match="k_pi must be"):
        model.q_values(np.zeros(2), k_pi=0)
    assert model.act(np.zeros((0, 2))).shape == (0,)
    assert np.isfinite(model.q_values(np.zeros(2), k_pi=10**9)).all()


def test_modules_get_their_own_type_of_number():
    model = DACMDP(torch.nn.Linear(2, 3), k=2).fit(random_log(50, 30))
    assert model.features_.shape[1] == 3


def test_a_log_in_which_every_step_ends_has_values_of_0():
    log = TransitionDataset.from_arrays([[0.0], [1.0]], [0, 1], [1.0, 2.0], [[1.0], [2.0]], [1, 1], None, None, 2)
    model = DACMDP(k=1, cost=0.0).fit(log)
    assert not model.solution_.values.any()
    assert np.allclose(model.q_values([[0.0]]), [[1, 2]])
    with pytest.raises(InputError, match="every transition of the log ends its episode"):
        model.act([[0.0]], lookup="nearest_core")


def test_fits_are_repeatable_and_quiet():
    log = cartpole_log("random", 2000, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = (DACMDP(k=5, scale=None).fit(log).solution_ for _ in range(2))
    assert np.array_equal(first.values, second.values)
    assert np.array_equal(first.policy, second.policy)
