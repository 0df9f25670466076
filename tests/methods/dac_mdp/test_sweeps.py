"""Sweeps: shared builds, the same answers as single models."""

import numpy as np
import pytest

from rostra.engine.errors import InputError
from rostra.fields.rl.transitions import TransitionDataset
from rostra.methods.dac_mdp import DACMDP, sweep
from rostra.methods.dac_mdp.data import cartpole_log, continuous_cartpole_log
from rostra.methods.dac_mdp.sweeps import cost_unit


@pytest.fixture(scope="module")
def log():
    return cartpole_log("random", 1500, seed=0)


def test_every_row_is_its_own_model(log):
    grid = {"k": [1, 4], "cost": [0.0, 1.0, 50.0], "gamma": [0.9, 0.95], "slip": [0.0, 0.1]}
    found = sweep(log, grid, model=DACMDP(scale=None, dtype="float64"))
    assert len(found.table) == found.compared == 24
    assert found.table[list(grid)].drop_duplicates().shape[0] == 24
    for row in found.table.sample(6, random_state=0).itertuples():
        alone = DACMDP(k=row.k, cost=row.cost, gamma=row.gamma, scale=None, dtype="float64")
        values = alone.fit(log, slip=row.slip).solution_.values[~log.terminals]
        assert values.mean() == pytest.approx(row.mean_value, abs=0.05)


def test_the_best_is_the_row_with_the_highest_score(log):
    scores = iter([1.0, 5.0, 5.0, 2.0])
    found = sweep(log, {"k": [1, 2], "cost": [1.0, 2.0]}, lambda solution: next(scores))
    assert found.table["mean"].tolist() == [1.0, 5.0, 5.0, 2.0]
    assert found.best_row == 1
    assert (found.best.model.k, found.best.cost) == (1, 2.0)


def test_an_environment_judges_with_the_same_episodes(log):
    found = sweep(log, {"cost": [0.0, 1.0, 1.0]}, "CartPole-v1", model=DACMDP(k=5, scale=None), episodes=5)
    assert found.table["mean"][1] == found.table["mean"][2] > found.table["mean"][0]
    assert found.best_row == 1
    assert (found.table["standard_error"] > 0).all()


def test_the_log_judges_where_there_is_no_environment(log):
    found = sweep(log, {"k": [5], "cost": [0.0, 1.0]}, "fqe", model=DACMDP(scale=None))
    assert found.table["mean"].notna().all()
    assert found.best.cost == found.table["cost"][found.table["mean"].idxmax()]
    with pytest.raises(InputError, match="give one gamma"):
        sweep(log, {"gamma": [0.5, 0.9]}, "fqe")
    with pytest.raises(InputError, match="takes discrete actions"):
        sweep(continuous_cartpole_log(50, 0), {"k": [1]}, "fqe")


def test_relative_costs_are_the_same_in_any_unit(log):
    rewards = 100 * log.rewards
    scaled = TransitionDataset.from_arrays(
        log.observations, log.actions, rewards, log.next_observations, log.terminals, log.timeouts, log.episodes, 2
    )
    plain, other = (sweep(part, {"relative_cost": [0.0, 0.1, 1.0]}).table for part in (log, scaled))
    assert np.allclose(other["cost"], 100 * plain["cost"])
    assert np.allclose(other["mean_value"], 100 * plain["mean_value"], rtol=0.02)
    model = DACMDP(k=5).build(log)
    assert plain["cost"][2] == pytest.approx(cost_unit(model))
    nearest = model.tables_.distances[~log.terminals][:, :, 0]
    assert cost_unit(model) == pytest.approx(1 / np.median(nearest[nearest > 0]))


def test_a_model_that_is_built_is_used_again(log):
    model = DACMDP(k=6).fit(log)
    found = sweep(log, {"k": [2, 6]}, model=model)
    assert found.build_seconds == model.build_seconds_
    assert found.best.model._pairs is model._pairs


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"lambda": [1]}, "a sweep takes k, cost"),
        ({"k": []}, "no value for 'k'"),
        ({"k": [0]}, "k must be whole numbers of 1 or more, got 0"),
        ({"k": [2.5]}, "k must be whole numbers"),
        ({"k": [float("nan")]}, "k must be whole numbers"),
        ({"cost": [1], "relative_cost": [1]}, "cost or relative_cost, not both"),
        ({"cost": [-1.0]}, "cost must be 0 or more"),
        ({"gamma": [1.0]}, "gamma must be"),
    ],
)
def test_grids_out_of_range(log, grid, message):
    with pytest.raises(InputError, match=message):
        sweep(log, grid)
