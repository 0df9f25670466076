"""DAC-MDP with continuous actions."""

import numpy as np
import pytest

from rostra.engine.errors import InputError
from rostra.fields.rl.transitions import TransitionDataset
from rostra.methods.dac_mdp import DACMDP, DACMDPContinuous, KMeansActions, NearestActions
from rostra.methods.dac_mdp.data import cartpole_log, continuous_cartpole_log
from rostra.methods.dac_mdp.environments import CartPole, SimulatorVectorEnv


def line_log(n=400, seed=0):
    """A point on [-1, 1] moves by its action, in [-0.2, 0.2]; the reward is nearness to 0.5."""
    generator = np.random.default_rng(seed)
    place, action = generator.uniform(-1, 1, (n, 1)), generator.uniform(-0.2, 0.2, (n, 1))
    after = np.clip(place + action, -1, 1)
    return TransitionDataset.from_arrays(
        place, action, -np.abs(after[:, 0] - 0.5), after, np.zeros(n), np.ones(n), np.arange(n)
    )


@pytest.mark.parametrize("sa_encoder", ["concat", "delta", lambda states, actions: states + actions])
def test_a_point_is_steered_to_its_goal(sa_encoder):
    model = DACMDPContinuous(k=3, cost=1.0, gamma=0.9, scale=None, sa_encoder=sa_encoder).fit(line_log())
    place = np.linspace(-1, 1, 21)[:, None]
    for _ in range(20):
        place = np.clip(place + model.act(place), -1, 1)
    assert np.abs(place - 0.5).max() < 0.2


def test_actions_come_from_the_candidates():
    log = line_log()
    model = DACMDPContinuous(k=2, scale=None, action_model=NearestActions(4) + KMeansActions(3)).fit(log)
    candidates = model.tables_.actions
    assert candidates.shape == (400, 7, 1)
    centres = candidates[0, 4:]
    assert np.array_equal(candidates[:, 4:], np.broadcast_to(centres, (400, 3, 1)))
    places = log.next_observations[:5]
    nearest = np.argsort(np.abs(places - log.observations.T), axis=1)[:, :4]
    assert np.allclose(candidates[:5, :4, 0], log.actions[nearest, 0])
    assert model.act(places).shape == (5, 1)
    assert model.act(places[0]).shape == (1,)
    for chosen, own in zip(model.act(places), candidates[:5], strict=True):
        assert chosen in own


@pytest.mark.parametrize("lookup", ["lookahead", "nearest_core", "q_average", "soft"])
def test_look_ups(lookup):
    model = DACMDPContinuous(k=2, scale=None).fit(line_log())
    places = np.linspace(-1, 1, 9)[:, None]
    together = model.act(places, lookup=lookup)
    assert together.shape == (9, 1)
    if lookup != "soft":  # which draws
        assert np.allclose(together, [model.act(place, lookup=lookup) for place in places])
    with pytest.raises(InputError, match="needs actions that all states share"):
        model.act(places, lookup="core_average")


def test_an_explanation_names_the_candidates():
    model = DACMDPContinuous(k=2, scale=None).fit(line_log())
    found = model.explain(np.array([0.1]))
    assert len(found) == 15 * 2
    assert np.allclose(found[found.best].a0, model.act(np.array([0.1]))[0])
    assert np.allclose(found.groupby("candidate").contribution.sum(), model.q_values(np.array([0.1])), atol=1e-5)


def test_small_logs_have_fewer_candidates_and_neighbours():
    log = line_log(3)
    model = DACMDPContinuous(k=9, scale=None, dtype="float64").fit(log)
    assert model.tables_.counts.tolist() == [3] * model.tables_.actions.shape[1]
    assert np.isfinite(model.q_values(np.zeros((1, 1)))).all()


def test_a_saved_model_answers_as_before(tmp_path):
    model = DACMDPContinuous(k=2, sa_encoder="delta", pair_weights=(3.0, 1.0)).fit(line_log())
    model.save(tmp_path / "model")
    for kind in (DACMDP, DACMDPContinuous):
        again = kind.load(tmp_path / "model")
        assert isinstance(again, DACMDPContinuous)
        places = np.linspace(-1, 1, 9)[:, None]
        assert np.array_equal(model.act(places), again.act(places))
        assert again.pair_weights == (3.0, 1.0)
    DACMDP(k=1).fit(cartpole_log("random", 200, 0)).save(tmp_path / "discrete")
    with pytest.raises(InputError, match="load it with DACMDP"):
        DACMDPContinuous.load(tmp_path / "discrete")
    by_function = DACMDPContinuous(k=2, sa_encoder=lambda states, actions: states + actions).fit(line_log())
    with pytest.raises(InputError, match="sa_encoder is a function cannot be saved"):
        by_function.save(tmp_path / "other")


def test_what_cannot_be_done():
    with pytest.raises(InputError, match="take DACMDP"):
        DACMDPContinuous().fit(cartpole_log("random", 100, 0))
    with pytest.raises(InputError, match="sa_encoder must be"):
        DACMDPContinuous(sa_encoder="oracle")
    with pytest.raises(InputError, match="sa_encoder gave shape"):
        DACMDPContinuous(sa_encoder=lambda states, actions: states[: len(states) // 2]).fit(line_log())


def test_the_continuous_cart_pole_is_balanced():
    """The authors' example at a small size: 5,000 random transitions, which last for 16 steps on average."""
    log = continuous_cartpole_log(5000, seed=0)
    model = DACMDPContinuous(k=5, cost=1.0, scale=None).fit(log)
    envs = SimulatorVectorEnv(CartPole(continuous=True), 10, 500)
    observations, _ = envs.reset(seed=0)
    alive, steps = np.ones(10, bool), np.zeros(10)
    for _ in range(500):
        observations, _, ended, cut, _ = envs.step(model.act(observations))
        steps += alive
        alive &= ~(ended | cut)
        if not alive.any():
            break
    assert steps.mean() > 150
