"""The claims: what they name is there, and their metrics mean what they say, on tiny logs and known returns."""

import json
import math

import numpy as np
import pytest

from rostra.engine.claims import Context
from rostra.fields.rl.evaluation import EpisodeStatistics
from rostra.methods.dac_mdp import baselines, claims, encoders, plots
from rostra.methods.dac_mdp.claims import CLAIMS
from rostra.methods.dac_mdp.data import cartpole_log, heading_room_log
from rostra.methods.dac_mdp.environments import GOAL_REWARDS, CartPole

pytest.importorskip("gymnasium")

BY_NAME = {claim.name: claim for claim in CLAIMS}
NEAR, FAR = GOAL_REWARDS
CARTPOLE = {"n": [40], "k": [1, 5], "costs": [0.0, 1.0, 1000.0], "episodes": 2, "noise": [0.05, 0.05, 0.02, 0.05]}
MINATAR = {
    **BY_NAME["learned_features"].scales["smoke"].settings,
    "playing": 400,
    "n": 400,
    "episodes": 2,
    "max_steps": 30,
}
MINATAR["training"] = {**MINATAR["training"], "steps": 4, "batch_size": 8, "target_period": 2}
TINY = {
    "cost": CARTPOLE,
    "neighbours": CARTPOLE,
    "zero_shot": {"n": 600, "episodes": 4},
    "learned_features": MINATAR,
    "scale": {"n": dict.fromkeys(BY_NAME["scale"].arms, 450)},
    "pessimism": {"n": [20], "k": [1, 5]},
}


def rows_of(name, arm, seeds, folder, **changes):
    """What a claim yields with tiny settings."""
    return list(BY_NAME[name].run({**TINY[name], **changes}, arm, seeds, Context("cpu", folder)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where all arms keep their logs and networks."""
    return tmp_path_factory.mktemp("claims")


@pytest.fixture(scope="module")
def found(folder):
    """Rows of one seed of every claim and arm; "cost" and "neighbours" share theirs."""
    every = {}
    for claim in CLAIMS:
        for arm in claim.arms:
            same = (claim.run, arm, json.dumps(TINY[claim.name]))
            every[same] = every.get(same) or rows_of(claim.name, arm, [0], folder)
    return {
        claim.name: {arm: every[claim.run, arm, json.dumps(TINY[claim.name])] for arm in claim.arms} for claim in CLAIMS
    }


# ------------------------------------------------------- what claims name


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_what_a_claim_names_is_in_its_rows(claim, found):
    """Its own metric in every arm, its comparisons' in theirs, and columns that tell the rows of an arm apart."""
    for arm, rows in found[claim.name].items():
        places = [tuple(row[column] for column in claim.index) for row in rows]
        assert len(set(places)) == len(places) > 0
        for row in rows:
            assert math.isfinite(row[claim.metric])
            assert all(isinstance(value, int | float | str) for value in row.values()), arm
    for comparison in claim.comparisons:
        others = [getattr(comparison, name) for name in ("over", "to") if hasattr(comparison, name)]
        for arm in (comparison.arm, *others):
            assert all(math.isfinite(row[comparison.metric]) for row in found[claim.name][arm])


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_every_scale_has_the_settings_that_a_run_needs(claim):
    for scale in claim.scales.values():
        assert set(scale.settings) == set(TINY[claim.name])
        assert json.loads(json.dumps(scale.settings)) == scale.settings
        arms = scale.arms or claim.arms
        assert set(arms) <= set(claim.arms)
        if claim.name == "scale":
            assert set(arms) <= set(scale.settings["n"])
        if claim.name in ("cost", "neighbours"):
            assert {0.0, claims.MODERATE} < set(scale.settings["costs"])
            assert max(scale.settings["costs"]) > claims.MODERATE
            assert {1, 5} <= set(scale.settings["k"])


def test_games_have_as_many_actions_as_the_settings_say():
    pytest.importorskip("minatar")
    from rostra.fields.rl.environments import make_envs

    for scale in BY_NAME["learned_features"].scales.values():
        for game in scale.settings["games"]:
            envs = make_envs(f"MinAtar/{game}-v1", 1)
            assert envs.single_action_space.n == scale.settings["actions"][game]
            envs.close()


# ------------------------------------------------------- CartPole


def plan_of(policy):
    """(transitions, neighbours, cost) of the plan that a policy follows."""
    solution = policy.__self__
    return len(solution.model.dataset_), solution.model.k, solution.cost


def known_returns(*values):
    return EpisodeStatistics(np.array(values, float), np.full(len(values), 7), None)


RETURNS = {
    (1, 0): 90, (1, 1): 10, (1, 1000): 6,
    (5, 0): 20, (5, 1): 50, (5, 1000): 3,
    (20, 0): 10, (20, 1): 30, (20, 1000): 0,
}  # fmt: skip
SHIFT = {60: -4, 120: 4}


@pytest.mark.parametrize("sign", [1, -1])
def test_differences_over_cost_and_neighbours(monkeypatch, tmp_path, sign):
    """Of known returns: a positive difference says that the cost, or averaging, helps; k = 1 has no part in caution."""

    def play(policy, *arguments, **options):
        n, k, cost = plan_of(policy)
        return known_returns(sign * RETURNS[k, cost] + SHIFT[n] - 1, sign * RETURNS[k, cost] + SHIFT[n] + 1)

    monkeypatch.setattr(claims, "_play", play)
    rows = rows_of("cost", "random", [3, 4], tmp_path, n=[60, 120], k=[1, 5, 20])
    assert [row["seed"] for row in rows] == [3] * 18 + [4] * 18
    for row in rows:
        assert row["return"] == sign * RETURNS[row["k"], row["cost"]] + SHIFT[row["n"]]
        assert row["caution"] == pytest.approx(sign * ((50 + 30) / 2 - (20 + 10) / 2))
        assert row["excess"] == pytest.approx(sign * ((10 + 50 + 30) / 3 - (6 + 3 + 0) / 3))
        assert row["smoothing"] == pytest.approx(sign * (50 - 10))
        assert row["smoothing_wide"] == pytest.approx(sign * (30 - 10))
        own = cartpole_log("random", 120, row["seed"]).episode_returns().mean()
        assert row["lead"] == pytest.approx(sign * (10 + 50 + 30) / 3 - own)


@pytest.mark.parametrize("arm", BY_NAME["neighbours"].arms)
def test_every_plan_of_an_arm_is_of_its_log_and_plays_the_same_episodes(monkeypatch, tmp_path, arm):
    """The noise of a noisy log is met in play too."""
    asked = []

    def play(policy, simulator, episodes, seed, *, limit, noise=0.0):
        asked.append((type(simulator), episodes, seed, limit, noise))
        played.append(policy.__self__.model.dataset_)
        return known_returns(1)

    played = []
    monkeypatch.setattr(claims, "_play", play)
    rows_of("neighbours", arm, [2], tmp_path, n=[40, 80])
    noise = CARTPOLE["noise"] if "noisy" in arm else 0.0
    assert asked == [(CartPole, CARTPOLE["episodes"], 2, 500, noise)] * 12
    whole = cartpole_log(arm.split()[-1], 80, 2, noise)
    assert {log.digest() for log in played} == {whole.digest(), whole.head(40).digest()}


def test_policies_of_a_seed_meet_the_same_beginnings():
    """Whatever they do, and however many steps that takes; another seed has others, and none is one of a log's."""
    begun = []

    def policy(action):
        waiting = [True]

        def act(observations):
            if waiting:
                waiting.clear()
                begun.append(observations.copy())
            return np.full(len(observations), action)

        return act

    lengths = [claims._play(policy(action), CartPole(), 4, seed, limit=9) for action, seed in ((0, 0), (1, 0), (0, 1))]
    np.testing.assert_array_equal(begun[0], begun[1])
    assert not np.isin(begun[0], begun[2]).any()
    assert not np.isin(begun[0], cartpole_log("random", 200, 0).observations).any()
    assert all(episodes.lengths.max() <= 9 for episodes in lengths)


def test_the_heat_map_shows_means_over_seeds_of_means_over_lengths(monkeypatch):
    monkeypatch.setattr(plots, "draw_heat_map", lambda table: table.set_index(["log", "k", "cost"]))
    returns = {0: (1, 3), 1: (5, 7)}
    rows = [
        {"seed": seed, "n": n, "k": 5, "cost": 1.0, "return": value}
        for seed, values in returns.items()
        for n, value in zip((40, 80), values, strict=True)
    ]
    table = claims.draw_returns({"random": rows, "mixed": rows[:2]})
    assert table.loc[("random", 5, 1.0), "mean"] == 4
    assert table.loc[("random", 5, 1.0), "standard_error"] == pytest.approx(2)  # of 2 and 6
    assert table.loc[("mixed", 5, 1.0), "mean"] == 2
    assert math.isnan(table.loc[("mixed", 5, 1.0), "standard_error"])


# ------------------------------------------------------- the room with two goals


def test_shares_are_of_episodes_and_of_actions(monkeypatch, tmp_path):
    """An episode that is cut before a goal counts in neither; what each arm's policy does is its own."""
    asked = heading_room_log(3000, 9).observations
    chosen = {}

    def play(policy, simulator, episodes, seed, *, limit, noise=0.0):
        chosen[arm] = np.asarray(policy(asked))
        return EpisodeStatistics(np.array([FAR, FAR, NEAR, 0.0]), np.array([3, 5, 7, 150]), np.array([5, 2, 3]))

    monkeypatch.setattr(claims, "_play", play)
    for arm in BY_NAME["zero_shot"].arms:
        [row] = rows_of("zero_shot", arm, [1], tmp_path)
        assert (row["far"], row["near"], row["right"], row["steps"]) == (0.5, 0.25, 0.2, 165 / 4)
        assert (row["effort"] == 0) == (arm == "random actions")
        assert row["effort"] >= 0
    shares = {arm: np.bincount(actions, minlength=3) / len(asked) for arm, actions in chosen.items()}
    np.testing.assert_allclose(shares["random actions"], [0.25, 0.25, 0.5], atol=0.04)
    assert shares["no right turns"][1] == 0
    assert shares["right turns cost"][1] < shares["long horizon"][1]
    # a slip is another action two times in three
    slipped = (chosen["long horizon, slipping"] != chosen["long horizon"]).mean()
    assert slipped == pytest.approx(0.1 * 2 / 3, abs=0.02)


def test_the_room_answers_other_objectives(tmp_path):
    """On a small log already."""
    found = {
        arm: rows_of("zero_shot", arm, [0], tmp_path, n=10_000, episodes=40)[0]
        for arm in ("long horizon", "short horizon", "no right turns", "random actions")
    }
    assert found["long horizon"]["far"] > found["random actions"]["far"] + 0.3
    assert found["short horizon"]["near"] > found["long horizon"]["near"] + 0.2
    assert found["no right turns"]["right"] == 0
    assert all(row["far"] + row["near"] <= 1 for row in found.values())


def test_the_bars_are_shares_with_their_standard_errors(monkeypatch):
    monkeypatch.setattr(plots, "draw_zero_shot", lambda table, label: table.set_index(["objective", "outcome"]))
    rows = [{"far": far, "near": 0.0, "right": 0.5} for far in (0.2, 0.6)]
    table = claims.draw_goals({"long horizon": rows, "short horizon": rows[:1]})
    assert table.loc[("long horizon", "far goal (10)"), "share"] == pytest.approx(0.4)
    assert table.loc[("long horizon", "far goal (10)"), "standard_error"] == pytest.approx(0.2)
    assert math.isnan(table.loc[("short horizon", "far goal (10)"), "standard_error"])


# ------------------------------------------------------- learned features


def test_arms_of_a_seed_share_log_and_networks(monkeypatch, tmp_path):
    """Each is made once, by whichever arm comes first, and read again; another seed or log has its own."""
    made = []

    def counted(module, name):
        original = getattr(module, name)

        def count(*arguments, **options):
            made.append(name)
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, count)

    counted(baselines, "train_by_playing")
    for name in ("train_dqn", "train_bcq", "train_cql"):
        counted(encoders, name)
    monkeypatch.setattr(claims, "_score", lambda act, settings, game, seed: 6.0)
    found = {arm: rows_of("learned_features", arm, [0], tmp_path)[0] for arm in BY_NAME["learned_features"].arms}
    assert sorted(made) == ["train_bcq", "train_by_playing", "train_cql", "train_dqn"]
    own = found["behaviour"]["return"]
    assert own > 0
    assert found["behaviour"]["score"] == 1
    for arm in set(found) - {"behaviour"}:
        assert found[arm]["return"] == 6
        assert found[arm]["score"] == pytest.approx(6 / own)
    rows_of("learned_features", "dqn", [1], tmp_path)
    assert made[4:] == ["train_by_playing", "train_dqn"]
    rows_of("learned_features", "behaviour", [0], tmp_path, n=300)
    assert made[6:] == ["train_by_playing"]


def test_a_kept_log_and_network_are_what_was_made(folder, found):
    """The arms above read these files; what they hold does not depend on who made them."""
    context = Context("cpu", folder)
    kept = claims._kept_log(MINATAR, "Breakout", 0, context)
    assert kept.digest() == claims._play_log(MINATAR, "Breakout", 0).digest()
    assert len(kept) == MINATAR["n"]
    network = claims._kept_encoder(MINATAR, "Breakout", "dqn", 0, kept, context)
    config = encoders.EncoderConfig(**MINATAR["training"], seed=0)
    again = encoders.train_dqn(kept, config)
    np.testing.assert_array_equal(network(kept.states[:50]), again(kept.states[:50]))
    assert found["learned_features"]["behaviour"][0]["return"] == kept.episode_returns().mean()


def test_a_training_that_was_stopped_is_made_again(tmp_path):
    """Its folder is there, but no network in it."""
    context = Context("cpu", tmp_path)
    log = claims._kept_log(MINATAR, "Breakout", 0, context)
    before = set((tmp_path / "dac_mdp").iterdir())
    claims._kept_encoder(MINATAR, "Breakout", "dqn", 0, log, context)
    [folder] = [path for path in set((tmp_path / "dac_mdp").iterdir()) - before if path.is_dir()]
    for path in folder.iterdir():
        path.unlink()
    claims._kept_encoder(MINATAR, "Breakout", "dqn", 0, log, context)
    assert any(folder.iterdir())


def test_a_score_is_a_mean_over_games_with_one_random_action_in_a_thousand(monkeypatch):
    """Of three actions, two thirds of the random ones are not the policy's own."""
    asked = []

    def play(policy, env_id, episodes, seed, *, max_steps):
        asked.append((env_id, episodes, seed, max_steps))
        actions = policy(np.zeros((300_000, 1)))
        assert (actions > 0).mean() == pytest.approx(1e-3 * 2 / 3, rel=0.3)
        return known_returns(1, 2, 6)

    monkeypatch.setattr("rostra.fields.rl.evaluation.evaluate", play)
    score = claims._score(lambda observations: np.zeros(len(observations), np.int64), MINATAR, "Breakout", 4)
    assert score == 3
    assert asked == [("MinAtar/Breakout-v1", MINATAR["episodes"], claims.FIRST_GAME + 4, MINATAR["max_steps"])]


# ------------------------------------------------------- scale


def test_seconds_are_of_build_and_solve(found):
    for arm, [row] in found["scale"].items():
        assert row["n"] == TINY["scale"]["n"][arm]
        assert row["seconds"] == row["build"] + row["solve"] > 0
        assert row["memory"] > 50  # MB: the libraries alone take more
        assert 0 <= row["bound"] < 1


def test_the_walk_is_a_log_of_episodes_in_a_box():
    log = claims._walk(450, 3)
    assert len(log) == 450
    assert log.digest() == claims._walk(450, 3).digest()
    assert log.digest() != claims._walk(450, 4).digest()
    assert log.states.min() >= 0
    assert log.states.max() <= 1
    assert np.bincount(log.episodes).tolist() == [200, 200, 50]
    assert np.flatnonzero(log.timeouts).tolist() == [199, 399, 449]
    assert not log.terminals.any()
    np.testing.assert_array_equal(log.successor[:199], log.source[1:200])  # one state after another
    corner = ((log.next_observations - 1) ** 2).sum(1)
    assert corner[log.rewards.argmax()] == corner.min()


# ------------------------------------------------------- pessimism


def test_planned_values_are_lower_bounds_at_the_cost_of_the_lipschitz_constant(tmp_path):
    """Of the optimum for every log; of the plan's own return on average alone, since seed 1 exceeds it with k = 1."""
    cautious, careless = (rows_of("pessimism", f"cost {cost}", [1, 2], tmp_path) for cost in (10, 0))
    for row, free in zip(cautious, careless, strict=True):
        assert row["over_optimum"] <= 1e-6
        assert row["over_optimum"] < free["over_optimum"]
        assert row["over_optimum"] <= row["over_return"] + 1e-9  # no policy earns more than the optimum
        assert free["over_optimum"] <= free["over_return"] + 1e-9
    for seed in (1, 2):
        assert np.mean([row["over_return"] for row in cautious if row["seed"] == seed]) < 0
    assert min(row["over_return"] for row in careless if row["k"] == 1) > 0.1


# ------------------------------------------------------- figures


@pytest.mark.parametrize("name", [claim.name for claim in CLAIMS if claim.figure])
def test_figures_are_drawn_from_rows(name, found):
    """Of one seed, and of some arms alone: as at smoke scale."""
    claim = BY_NAME[name]
    for arms in (claim.arms, claim.scales["smoke"].arms or claim.arms):
        figure = claim.figure({arm: found[name][arm] for arm in arms})
        assert figure.axes
        figure.canvas.draw()
