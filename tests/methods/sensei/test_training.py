"""Batched training: copies alone, separate draws, the dual variable, every method."""

import numpy as np
import pytest
import torch

from rostra.engine.errors import InputError
from rostra.methods.sensei.data import make_mixture
from rostra.methods.sensei.metrics import FairMetric
from rostra.methods.sensei.training import SenSeIConfig, TrainingData, preset, train

QUICK = {"hidden": (8,), "iterations": 50, "batch_size": 40, "auditor_steps": 5}
METRIC = FairMetric.euclidean(2, ignore=[0])
METHODS = ("sensei", "sensr", "clp", "project", "baseline")


def mixture(seed=0, rows=300):
    x, y, _ = make_mixture(rows, seed=seed)
    moved = np.stack([x + np.array([1.0, 0.0]), x - np.array([1.0, 0.0])])
    return x.astype(np.float32), y, moved.astype(np.float32)


@pytest.fixture(scope="module")
def data():
    x, y, moved = mixture()
    return TrainingData(x[None], y[None], 2, moved[None])


def weights(fitted, copy=0):
    return torch.cat([p[copy].flatten() for p in fitted.network.parameters()])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("auditor", ["noise", "two_stage"])
def test_a_copy_is_what_training_it_alone_gives(data, method, auditor):
    """In float64 over 50 steps, with another rho and another budget for each copy."""
    if auditor == "two_stage" and method not in ("sensei", "sensr"):
        pytest.skip("this method has no auditor")
    config = SenSeIConfig(method=method, auditor=auditor, subspace_steps=4, full_steps=4, **QUICK)
    options = {"rho": [1.0, 4.0, 9.0], "eps": [0.05, 0.1, 0.2]}
    together = train(data, config, [0, 1, 0], METRIC, dtype=torch.float64, **options)
    for copy, seed in enumerate([0, 1, 0]):
        picked = {name: [values[copy]] for name, values in options.items()}
        alone = train(data, config, [seed], METRIC, dtype=torch.float64, **picked)
        torch.testing.assert_close(weights(together, copy), weights(alone), atol=1e-9, rtol=1e-7)
        np.testing.assert_allclose(together.dual[copy], alone.dual[0], rtol=1e-7)


def test_chunks_and_sets_change_nothing():
    """Copies on different training sets, in chunks of one or all at once."""
    parts = [mixture(seed) for seed in (0, 1)]
    data = TrainingData(np.stack([x for x, _, _ in parts]), np.stack([y for _, y, _ in parts]), 2)
    config = SenSeIConfig(**QUICK)
    options = {"sets": [0, 1, 1], "dtype": torch.float64}
    whole = train(data, config, [3, 3, 4], METRIC, chunk=3, **options)
    single = train(data, config, [3, 3, 4], METRIC, chunk=1, **options)
    for copy in range(3):
        torch.testing.assert_close(weights(whole, copy), weights(single, copy), atol=1e-9, rtol=1e-7)
    assert not torch.equal(weights(whole, 0), weights(whole, 1))


def test_copies_of_one_stream_project_by_their_own_metrics(data):
    """Two metrics, one seed, one training set: each as if alone."""
    config = SenSeIConfig(method="project", **QUICK)
    metrics = [METRIC, FairMetric.euclidean(2, ignore=[1])]
    both = train(data, config, [0, 0], metrics, dtype=torch.float64)
    for copy, metric in enumerate(metrics):
        alone = train(data, config, [0], metric, dtype=torch.float64)
        torch.testing.assert_close(weights(both, copy), weights(alone), atol=1e-9, rtol=1e-7)


def test_without_fairness_the_path_is_the_baselines(data):
    """rho 0 gives the baseline's weights to the bit: the auditor's noise does not move the order of the rows."""
    sensei = train(data, SenSeIConfig(rho=0.0, **QUICK), [5], METRIC)
    baseline = train(data, SenSeIConfig(method="baseline", **QUICK), [5], None)
    torch.testing.assert_close(weights(sensei), weights(baseline), atol=0, rtol=0)


def test_the_baseline_is_plain_training():
    """The same weights as torch's own modules and Adam on the same minibatches (all rows)."""
    x, y, _ = mixture(rows=40)
    config = SenSeIConfig(method="baseline", hidden=(6,), iterations=30, batch_size=40, class_balanced=False)
    fitted = train(TrainingData(x[None], y[None], 2), config, [2], None, dtype=torch.float64)
    start = config.network(1, 2, 2).double()
    start.initialise([2])
    plain = torch.nn.Sequential(torch.nn.Linear(2, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2)).double()
    for layer, batched in zip((plain[0], plain[2]), start.layers, strict=True):
        layer.weight.data.copy_(batched.weight[0].mT)
        layer.bias.data.copy_(batched.bias[0, 0])
    optimiser = torch.optim.Adam(plain.parameters(), lr=config.lr)
    for _ in range(30):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(plain(torch.tensor(x).double()), torch.tensor(y)).backward()
        optimiser.step()
    torch.testing.assert_close(fitted.network.layers[0].weight[0].mT, plain[0].weight.data, atol=1e-9, rtol=1e-7)


def test_minibatches_hold_equally_many_rows_of_each_class():
    """And every row of a class comes once before one comes twice."""
    from rostra.methods.sensei.training import _next_rows

    y = np.array([0] * 30 + [1] * 6)
    batches = _next_rows(0, y, 2, SenSeIConfig(batch_size=12))
    seen = [next(batches).numpy() for _ in range(5)]
    assert all((y[rows] == 1).sum() == 6 for rows in seen)
    assert sorted(np.concatenate(seen)[y[np.concatenate(seen)] == 0]) == list(range(30))
    plain = _next_rows(0, y, 2, SenSeIConfig(batch_size=12, class_balanced=False))
    assert sorted(np.concatenate([next(plain).numpy() for _ in range(3)])) == list(range(36))


def test_sensei_makes_answers_indifferent_to_the_sensitive_axis(data):
    """A move along axis 0 changes the logits far less than those of the baseline, as do CLP and Project."""
    config = {**QUICK, "iterations": 300, "auditor_steps": 10, "lr": 1e-2}

    def effect(method, **changes):
        fitted = train(data, SenSeIConfig(method=method, **{**config, **changes}), [0], METRIC)
        x = data.x[0].astype(np.float64)
        moved = x + np.array([1.0, 0.0])
        return float(np.abs(fitted.logits(moved[None]) - fitted.logits(x[None])).mean())

    baseline = effect("baseline")
    assert effect("sensei") < 0.2 * baseline
    assert effect("sensei", auditor="two_stage", subspace_lr=0.5) < 0.2 * baseline
    assert effect("clp") < 0.2 * baseline
    assert effect("project") < 1e-6


def test_lambda_reaches_its_optimum_in_one_dimension():
    """d_X = (x - x')^2, h(x) = a x, |x' - x| <= r: lambda settles at a^2 by "sgd" (spec 7.2); the ratio rule jumps.

    The worst case is x +- r below a^2 and x above it, so the rules can be run on their own.
    """
    from rostra.methods.sensei import objective

    a, r, eps = 2.0, 1.0, torch.tensor(0.1)

    def path(rule):
        dual, seen = torch.tensor(1.0), []
        for _ in range(600):
            distance = torch.tensor(r**2 if dual < a**2 else 0.0)
            dual = rule(dual, distance)
            seen.append(dual.item())
        return np.array(seen[-200:])

    eta = 0.05
    settled = path(lambda dual, m: objective.gradient_update(dual, m, eps, eta))
    assert np.abs(settled - a**2).max() <= eta * max(0.1, r**2) + 1e-6
    jumping = path(lambda dual, m: objective.ratio_update(dual, m, eps))
    assert jumping.max() > 10 * max(jumping.min(), 1e-6)


def test_the_budget_is_kept(data):
    """With the gradient rule the mean distance of the worst cases ends near eps."""
    config = SenSeIConfig(
        **{**QUICK, "iterations": 600, "auditor_steps": 20, "batch_size": 100}, eps=0.1, dual_lr=0.1, rho=1.0
    )
    fitted = train(data, config, [0], METRIC)
    assert fitted.history[-200:, 1, 0].mean() == pytest.approx(0.1, rel=0.5)
    assert fitted.settled().all()


def test_swings_are_seen():
    """A history that jumps by more than 10x between blocks is not settled; noise within blocks is no swing."""
    from rostra.methods.sensei.training import FittedClassifiers

    rng = np.random.default_rng(0)
    calm = np.exp(rng.normal(0, 0.5, (400, 3, 1)))
    jumping = calm.copy()
    jumping[300:, 2] *= 100
    config = SenSeIConfig()
    for history, settled in ((calm, True), (jumping, False)):
        fitted = FittedClassifiers(config, config.network(1, 2, 2), np.ones(1), history)
        assert fitted.settled()[0] == settled


def test_three_classes_train():
    """Labels 0 to 2, d_Y over three logits."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 2)).astype(np.float32)
    y = np.digitize(x[:, 1], [-0.5, 0.5])
    config = SenSeIConfig(**{**QUICK, "iterations": 300}, lr=1e-2)
    fitted = train(TrainingData(x[None], y[None], 3), config, [0], METRIC)
    assert (fitted.logits(x[None])[0].argmax(1) == y).mean() > 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "fair"}, "method must be one of sensei, sensr"),
        ({"rho": -1.0}, "rho must be at least 0, got -1.0"),
        ({"rho": float("nan")}, "rho must be at least 0, got nan"),
        ({"eps": 0.0}, "eps must be above 0, got 0.0"),
        ({"hidden": (0,)}, "hidden must hold whole numbers of at least 1"),
        ({"iterations": 0}, "iterations must be a whole number of at least 1, got 0"),
        ({"iterations": 5.0}, "iterations must be a whole number of at least 1, got 5.0"),
        ({"auditor_lr": 0.0}, "auditor_lr must be above 0"),
        ({"auditor_steps": -1}, "auditor_steps must be a whole number of at least 0"),
        ({"dual_update": "newton"}, "dual_update must be one of sgd, ratio"),
        ({"reduction": "max"}, "reduction must be one of sum, mean"),
        ({"auditor": "random"}, "auditor must be one of noise, two_stage"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        SenSeIConfig(**changes)


def test_data_that_do_not_fit_are_refused(data):
    with pytest.raises(InputError, match="needs a fair metric"):
        train(data, SenSeIConfig(), [0], None)
    with pytest.raises(InputError, match="made for 3 features, the table has 2"):
        train(data, SenSeIConfig(), [0], FairMetric.euclidean(3))
    with pytest.raises(InputError, match="needs counterfactuals"):
        train(TrainingData(data.x, data.y, 2), SenSeIConfig(method="clp"), [0], None)
    with pytest.raises(InputError, match="auditor 'two_stage' needs a metric with sensitive directions"):
        train(data, SenSeIConfig(auditor="two_stage"), [0], FairMetric.matrix(np.eye(2)))
    with pytest.raises(InputError, match="a class-balanced batch of 1 rows cannot hold 2 classes"):
        train(data, SenSeIConfig(batch_size=1), [0], METRIC)
    for wrong in ({"rho": [-1.0]}, {"eps": [0.0]}, {"rho": [float("nan")]}):
        with pytest.raises(InputError, match="rho must be at least 0 and eps above 0"):
            train(data, SenSeIConfig(), [0], METRIC, **wrong)
    with pytest.raises(InputError, match="training became non-finite at learning rate"):
        train(TrainingData(data.x * np.float32(np.inf), data.y, 2), SenSeIConfig(method="baseline", **QUICK), [0], None)


def test_presets_are_the_published_settings():
    """SenSR's released code, and inFairness's example."""
    paper = preset("paper")
    assert (paper.subspace_steps, paper.subspace_lr, paper.full_steps, paper.full_lr) == (50, 10.0, 40, 1e-4)
    assert (paper.iterations, paper.batch_size, paper.lr, paper.dual_start) == (12_000, 1000, 1e-4, 2.0)
    assert preset("paper", "baseline").iterations == 60_000
    example = preset("infairness", eps=0.2)
    assert (example.hidden, example.auditor_steps, example.auditor_lr, example.eps) == ((100, 100), 100, 1e-3, 0.2)
    with pytest.raises(InputError, match="preset must be one of paper, infairness"):
        preset("adult")
