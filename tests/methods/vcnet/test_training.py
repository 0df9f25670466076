"""Training: batched equals sequential, one forward pass an epoch equals two, restarts, exact epsilon."""

import numpy as np
import pytest
import torch

from rostra.engine.errors import InputError
from rostra.methods.vcnet import curves, objective
from rostra.methods.vcnet.data import make_simulation
from rostra.methods.vcnet.training import (
    BIN_EDGES,
    TrainingData,
    VCNetConfig,
    _batches,
    _prepare,
    preset,
    train,
)

ARMS = [(model, targeted) for model in ("vcnet", "drnet", "tarnet", "mlp") for targeted in (False, True)]


def simulated(copies, rows=120):
    data = [make_simulation(rows, 20, seed=s).train for s in range(copies)]
    return TrainingData(
        np.stack([d.X for d in data]), np.stack([d.treatment for d in data]), np.stack([d.y for d in data])
    )


def one(data, copy):
    pick = slice(copy, copy + 1)
    weights = None if data.weights is None else data.weights[pick]
    return TrainingData(data.x[pick], data.t[pick], data.y[pick], weights)


def assert_same(fitted, copy, alone, **tolerance):
    for a, b in zip(fitted.network.parameters(), alone.network.parameters(), strict=True):
        torch.testing.assert_close(a[copy], b[0], **tolerance)
    torch.testing.assert_close(fitted.coefficients[copy], alone.coefficients[0], **tolerance)


@pytest.mark.parametrize(("model", "targeted"), ARMS)
def test_batched_fits_equal_single_fits(model, targeted):
    """Copy i of a batched training, with its own rows, seed and learning rate, is copy i trained alone."""
    config = preset("simulation", model, targeted=targeted, epochs=50)
    data, rates = simulated(3), [1e-4, 3e-4, 1e-3]
    together = train(data, config, [7, 8, 9], lr=rates, dtype=torch.float64, chunk=2)
    for copy in range(3):
        alone = train(one(data, copy), config, [7 + copy], lr=rates[copy : copy + 1], dtype=torch.float64)
        assert_same(together, copy, alone, atol=1e-9, rtol=1e-9)
        np.testing.assert_allclose(together.history[:, :, copy], alone.history[:, :, 0], rtol=1e-9)


def test_minibatches_of_a_copy_are_its_own():
    """Shuffled minibatches too: batched equals alone, and every row is used once an epoch."""
    config = preset("news", epochs=10, batch_size=50, lr=1e-4)
    data = simulated(2)
    together = train(data, config, [3, 4], dtype=torch.float64)
    assert_same(together, 1, train(one(data, 1), config, [4], dtype=torch.float64), atol=1e-9, rtol=1e-9)
    rows = _prepare(data, config, [0, 1], 2, torch.device("cpu"), torch.float64)
    epoch = [batch.y for number, batch in _batches(rows, [3, 4], config) if number == 4]
    assert [batch.shape[1] for batch in epoch] == [50, 50, 20]
    torch.testing.assert_close(torch.cat(epoch, 1).sort(1).values, rows.y.sort(1).values)


def test_one_forward_pass_an_epoch_equals_two():
    """The epsilon step's pass is the next model step's: the same as the authors' two alternating steps."""
    config = preset("simulation", epochs=30)
    data = simulated(1)
    fitted = train(data, config, [5], dtype=torch.float64)

    network = config.network(1, 6).double()
    network.initialise([5], config.head_std)
    rows = _prepare(data, config, [0], 1, torch.device("cpu"), torch.float64)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, nesterov=True, weight_decay=5e-3)
    a = torch.zeros(1, rows.spline.shape[2], dtype=torch.float64, requires_grad=True)
    epsilon_optimiser = torch.optim.SGD([a], lr=config.tr_lr, weight_decay=config.tr_weight_decay)

    def losses():
        z = network.features(rows.x)
        g = objective.interpolate_density(network.density_nodes(z), rows.hats)
        mu = network.outcome(z, rows.phi, rows.t)
        r_tr = objective.targeted_loss(rows.y, mu, g, objective.fluctuation(rows.spline, a), rows.weights)
        l0 = objective.squared_error(rows.y, mu, rows.weights) + 0.5 * objective.density_nll(g, rows.weights)
        return l0.sum(), r_tr.sum()

    for _ in range(30):
        optimiser.zero_grad()
        l0, r_tr = losses()
        (l0 + r_tr).backward()
        optimiser.step()
        before = [p.detach().clone() for p in network.parameters()]
        epsilon_optimiser.zero_grad()
        losses()[1].backward()
        epsilon_optimiser.step()
        for old, parameter in zip(before, network.parameters(), strict=True):
            assert torch.equal(old, parameter), "an epsilon step leaves the networks alone"
    torch.testing.assert_close(fitted.coefficients, a.detach(), atol=1e-8, rtol=1e-7)
    for p, q in zip(fitted.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(p, q.detach(), atol=1e-8, rtol=1e-7)


def test_without_beta_targeting_changes_nothing():
    """With beta = 0, epsilon stays 0 and the networks are those of a fit without targeting, exactly."""
    data = simulated(1)
    off = train(data, preset("simulation", targeted=False, epochs=40), [1])
    zero = train(data, preset("simulation", targeted=True, beta=0.0, epochs=40), [1])
    assert_same(off, 0, zero, atol=0, rtol=0)
    assert not zero.coefficients.any()


def test_before_any_epsilon_step_the_targeted_estimate_is_the_plug_in():
    """Epsilon starts at 0."""
    fitted = train(simulated(1), preset("simulation", epochs=2, tr_lr=0.0), [1])
    x, t = simulated(1).x, np.linspace(0, 1, 7)
    np.testing.assert_array_equal(
        curves.dose_response(fitted, t, x, targeted=True), curves.dose_response(fitted, t, x, targeted=False)
    )


def test_weights_count_rows():
    """A fit with integer weights is the fit to repeated rows; a row of weight 0 does not count."""
    data = simulated(1, rows=60)
    weights = np.random.default_rng(0).integers(0, 3, size=(1, 60)).astype(float)
    repeated = np.repeat(np.arange(60), weights[0].astype(int))
    config = preset("simulation", epochs=50)
    weighted = train(TrainingData(data.x, data.t, data.y, weights), config, [2], dtype=torch.float64)
    rows = TrainingData(data.x[:, repeated], data.t[:, repeated], data.y[:, repeated])
    assert_same(weighted, 0, train(rows, config, [2], dtype=torch.float64), atol=1e-8, rtol=1e-8)


def test_exact_epsilon_meets_the_moment_equations():
    """With ``tr_solver="exact"`` and no decay, the moments of the trained fit are 0."""
    data = simulated(1)
    config = preset("simulation", epochs=60, tr_solver="exact", tr_weight_decay=0.0)
    fitted = train(data, config, [1], dtype=torch.float64)
    rows = _prepare(data, config, [0], 1, torch.device("cpu"), torch.float64)
    with torch.no_grad():
        z = fitted.network.features(rows.x)
        g = objective.interpolate_density(fitted.network.density_nodes(z), rows.hats)
        mu = fitted.network.outcome(z, rows.phi, rows.t)
        moments = objective.targeted_gradient(rows.y, mu, g, rows.spline, fitted.coefficients, rows.weights)
    assert moments.abs().max() < 1e-6


def test_detaching_the_density_changes_the_fit():
    """The ablation cuts the gradient of R_TR into g, and only that."""
    data = simulated(1)
    config = preset("simulation", epochs=40, tr_lr=0.005)
    whole = train(data, config, [1], dtype=torch.float64)
    cut = train(data, preset("simulation", epochs=40, tr_lr=0.005, tr_detach_density=True), [1], dtype=torch.float64)
    assert not torch.allclose(whole.network.density.weight, cut.network.density.weight, atol=1e-6)


def test_weight_decay_reaches_the_biases():
    """With the outcome 0 and no density loss, biases shrink by the decay alone."""
    data = simulated(1)
    config = preset("simulation", targeted=False, epochs=1, alpha=0.0, lr=0.1)
    still = TrainingData(data.x, data.t, np.zeros_like(data.y))
    fitted = train(still, config, [1], dtype=torch.float64)
    network = config.network(1, 6).double()
    network.initialise([1], config.head_std)
    # The density head gets no gradient: one Nesterov step from rest moves it by -lr (1 + momentum) decay w.
    expected = network.density.weight * (1 - 0.1 * 1.9 * 5e-3)
    torch.testing.assert_close(fitted.network.density.weight, expected.detach())


def test_a_diverging_copy_restarts_and_is_counted():
    """Its neighbours are what they are without it; where no restart helps, an error says what would."""
    data = simulated(2)
    config = preset("simulation", targeted=False, epochs=30)
    kept = train(data, config, [1, 2], lr=[1e-4, 1e6], allow_divergence=True, dtype=torch.float64)
    assert kept.restarts.tolist() == [0, 1]
    assert_same(kept, 0, train(one(data, 0), config, [1], dtype=torch.float64), atol=1e-9, rtol=1e-9)
    with pytest.raises(InputError, match="non-finite 6 times at learning rate 1e\\+06; lower lr, or scale the outcome"):
        train(data, config, [1, 2], lr=[1e-4, 1e6])


def test_a_restart_takes_new_weights(monkeypatch):
    """A copy that fails once ends as the fit of its next seed."""
    from rostra.methods.vcnet import training

    data, config = simulated(2), preset("simulation", epochs=20)
    original, calls = training._train_chunk, []

    def fails_once(rows, config, seeds, lr, advance):
        network, coefficients, history = original(rows, config, seeds, lr, advance)
        if not calls:
            history[3, 0, 1] = float("nan")
        calls.append(list(seeds))
        return network, coefficients, history

    monkeypatch.setattr(training, "_train_chunk", fails_once)
    fitted = train(data, config, [1, 2], dtype=torch.float64)
    assert fitted.restarts.tolist() == [0, 1]
    assert calls == [[1, 2], [1_000_005]]
    monkeypatch.undo()
    assert_same(fitted, 1, train(one(data, 1), config, [1_000_005], dtype=torch.float64), atol=1e-9, rtol=1e-9)


def test_the_curve_of_vcnet_is_continuous_and_those_of_the_heads_jump():
    """At the edges of the bins and at VCNet's knots."""
    x = simulated(1).x
    at = np.array([*BIN_EDGES, 0.33, 0.66])
    vcnet = train(simulated(1), preset("simulation", epochs=100), [1])
    drnet = train(simulated(1), preset("simulation", "drnet", epochs=100), [1])
    assert curves.jumps(vcnet, at, x).max() < 1e-6
    assert curves.jumps(drnet, at[:4], x).max() > 0.01
    assert curves.jumps(drnet, at[4:], x).max() < 1e-6


def test_unit_curves_average_to_the_plug_in():
    """The mean of the units' curves is the plug-in estimate, with row weights too."""
    fitted, x = train(simulated(2), preset("simulation", epochs=20), [1, 2]), simulated(2).x
    t = np.linspace(0, 1, 5)
    units = curves.unit_curves(fitted, t, x)
    assert units.shape == (2, 5, 120)
    weights = np.random.default_rng(0).uniform(size=(1, 120))
    np.testing.assert_allclose(
        curves.dose_response(fitted, t, x, weights, targeted=False),
        np.average(units, axis=2, weights=np.broadcast_to(weights[:, None], units.shape)),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"knots": (0.0, 0.5)}, "knots must increase and lie strictly between 0 and 1"),
        ({"knots": (0.6, 0.5)}, "knots must increase"),
        ({"tr_knots": (0.5, 1.0)}, "tr_knots must increase"),
        ({"degree": 0}, "degree must be a whole number of at least 1"),
        ({"degree": 1.5}, "degree must be a whole number"),
        ({"model": "dragonnet"}, "model must be one of vcnet, drnet, tarnet, mlp"),
        ({"basis": "fourier"}, "basis must be one of truncated_power, bspline"),
        ({"tr_solver": "adam"}, "tr_solver must be one of sgd, exact"),
        ({"hidden": ()}, "hidden must name at least one layer"),
        ({"head": (0,)}, "head must hold whole numbers"),
        ({"epochs": 0}, "n_grid and epochs must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1 or None"),
        ({"lr": 0.0}, "lr must be above 0"),
    ],
)
def test_a_wrong_configuration_is_refused(change, message):
    """Before any work."""
    with pytest.raises(InputError, match=message):
        VCNetConfig(**change)


def test_presets_are_those_of_the_authors_code():
    """The table of learning rates, weights and knots."""
    assert preset("simulation").lr == 1e-4
    assert preset("ihdp").lr == 1e-3
    assert preset("news").batch_size == 500
    assert preset("news").beta == 0.5
    assert preset("news", "drnet").beta == 1.0
    assert preset("simulation", "drnet").lr == 0.05
    assert preset("ihdp", "tarnet").lr == 0.02
    assert preset("simulation", "drnet", targeted=False).alpha == 1.0
    assert preset("simulation", "drnet").alpha == 0.5
    assert len(preset("ihdp").tr_knots) == 19
    with pytest.raises(InputError, match="preset must be one of simulation, ihdp, news"):
        preset("twins")
