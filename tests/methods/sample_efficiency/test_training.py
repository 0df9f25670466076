"""Batched training: gradients by hand, batched = alone, finished and diverged nets."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from rostra.engine.ensemble import FlatParameters
from rostra.engine.errors import InputError
from rostra.methods.sample_efficiency import compiled, training
from rostra.methods.sample_efficiency.model import FCEnsemble, plain_network
from rostra.methods.sample_efficiency.tasks import halves
from rostra.methods.sample_efficiency.training import FCConfig, train_fc


def data(n=50, sets=3, dimension=6, dtype=torch.float64):
    drawn = [halves(dimension).sample(n, seed, dtype=np.float64) for seed in range(sets)]
    x, y = (torch.as_tensor(np.stack(part)).to(dtype) for part in zip(*drawn, strict=True))
    return x, y


@pytest.mark.parametrize("loops", [compiled, None], ids=["compiled", "torch"])
@pytest.mark.parametrize("loss", ["logistic", "squared"])
@pytest.mark.parametrize(("activation", "width"), [("quadratic", 5), ("quadratic", 60), ("relu", 5), ("relu", 60)])
def test_gradients_by_hand_are_those_of_autograd(activation, width, loss, loops, monkeypatch):
    """By the matrix, by activations, in one block and in many, compiled or not."""
    monkeypatch.setattr(training, "_compiled", lambda: loops)
    x, y = data(150)
    config = FCConfig(hidden=(width,), activation=activation, loss=loss)
    ensemble = FCEnsemble((2, 3), 6, (width,), activation).double()
    ensemble.initialise([0, 1, 2], "gaussian")
    with torch.no_grad():
        for weight in ensemble.weights:
            weight.add_(torch.randn_like(weight) * 0.1)  # copies of a set differ
    flat = FlatParameters(ensemble)
    outputs = ensemble(x)
    expected = flat.gradient(training._loss(outputs, y, loss).mean(-1).sum())
    for numbers in (2**17, 2**8):
        monkeypatch.setattr(training, "BLOCK_NUMBERS", numbers)
        found = training._activation_gradient(ensemble, config, training._blocks(x, y, width), 150)
        assert torch.allclose(found, expected, atol=1e-12)
        if activation == "quadratic":
            found = training._matrix_gradient(ensemble, config, training._blocks(x, y, 2 * 6), 150)
            assert torch.allclose(found, expected, atol=1e-12)
        assert torch.allclose(training._prepared_gradient(ensemble, config, x, y)(), expected, atol=1e-12)
        assert torch.allclose(training.outputs(ensemble, x), outputs, atol=1e-12)


CASES = {
    "quadratic": FCConfig(hidden=(8,), activation="quadratic"),
    "relu": FCConfig(hidden=(8,), activation="relu"),
    "three layers of tanh, with biases": FCConfig(hidden=(8, 4), activation="tanh", bias=True),
    "adam": FCConfig(hidden=(8,), optimizer="adam", clip_norm=None),
    "adagrad": FCConfig(hidden=(8,), optimizer="adagrad"),
    "rmsprop": FCConfig(hidden=(8,), optimizer="rmsprop"),
    "nesterov": FCConfig(hidden=(8,), optimizer="nesterov", weight_decay=0.01, l1=1e-3, cosine=True),
    "minibatches": FCConfig(hidden=(8,), optimizer="sgd", batch_size=16),
    "squared": FCConfig(hidden=(8,), activation="identity", loss="squared"),
}


@pytest.mark.parametrize("name", CASES)
def test_batched_training_is_training_alone(name):
    """Copy (l, s) of a batch is the training of set s at rate l by itself, early finish and all."""
    config = dataclasses.replace(CASES[name], steps=60, checkpoints=6, stop_loss=0.2)
    x, y = data()
    test = data(40)
    rates = (0.003, 0.03, 0.1)
    together = train_fc(x, y, config, [0, 1, 2], rates, test=test)
    for (s, seed), (number, rate) in itertools.product(enumerate([0, 1, 2]), enumerate(rates)):
        part = (test[0][s : s + 1], test[1][s : s + 1])
        alone = train_fc(x[s : s + 1], y[s : s + 1], config, [seed], [rate], test=part)
        for measure in ("train_accuracy", "test_accuracy"):
            ours, theirs = getattr(together, measure)[:, number, s], getattr(alone, measure)[:, 0, 0]
            assert np.array_equal(ours[: len(theirs)], theirs), (measure, rate)
            assert (ours[len(theirs) :] == theirs[-1]).all()  # finished early: what it had
        if len(alone.steps) == len(together.steps):
            copy = number * 3 + s
            for ours, theirs in zip(together.ensemble.parameters(), alone.ensemble.parameters(), strict=True):
                assert torch.allclose(ours[copy], theirs[0], atol=1e-10)


@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize(("activation", "optimizer"), [("quadratic", "momentum"), ("relu", "adam")])
def test_training_is_that_of_an_ordinary_torch_loop(activation, optimizer, batch_size):
    x, y = data(sets=1)
    config = FCConfig((8,), activation, optimizer, steps=30, batch_size=batch_size, checkpoints=1, stop_loss=0.0)
    ensemble = FCEnsemble((1, 1), 6, (8,), activation).double()
    ensemble.initialise([0], "gaussian")
    module = plain_network(ensemble, 0)
    run = train_fc(x, y, config, [0], [0.05])
    steps = {
        "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "adam": lambda p: torch.optim.Adam(p, lr=0.05),
    }
    optimiser = steps[optimizer](module.parameters())
    batches = itertools.repeat([slice(None)]) if batch_size is None else training._batches([0], 50, batch_size)
    for _, (rows,) in zip(range(30), batches, strict=False):
        loss = nn.functional.softplus(-y[0, rows] * module(x[0, rows])[:, 0]).mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
    for ours, theirs in zip(plain_network(run.ensemble, 0).parameters(), module.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)  # clip_grad_norm_ adds 1e-6 to the norm


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("activation", "hidden"), [("quadratic", (40,)), ("quadratic", (2,)), ("relu", (5, 3))])
def test_outputs_are_those_of_the_nets(activation, hidden, bias):
    """By the matrix where it pays, without biases alone, by the layers else."""
    ensemble = FCEnsemble((2, 3), 6, hidden, activation, bias).double()
    with torch.no_grad():
        for weight in ensemble.parameters():
            weight.copy_(torch.randn_like(weight))
    x = torch.randn(3, 700, 6, dtype=torch.float64)
    assert torch.allclose(training.outputs(ensemble, x), ensemble(x), rtol=1e-9, atol=1e-9)


def test_a_diverged_net_is_reported_and_harms_no_other():
    x, y = data(dtype=torch.float32)
    config = FCConfig(hidden=(8,), optimizer="sgd", clip_norm=None, steps=40, checkpoints=4)
    run = train_fc(x, y, config, [0, 1, 2], [0.01, 1e6])
    assert run.diverged.tolist() == [[False] * 3, [True] * 3]
    assert np.isfinite(run.train_accuracy).all()
    assert np.isnan(run.train_loss[-1, 1]).all()
    assert np.isfinite(run.train_loss[-1, 0]).all()


def test_wrong_settings_are_refused():
    for options, message in (
        ({"steps": 0}, "steps"),
        ({"loss": "hinge"}, "loss must be"),
        ({"optimizer": "lion"}, "optimizer must be one of sgd"),
        ({"hidden": ()}, "hidden must be"),
    ):
        with pytest.raises(InputError, match=message):
            FCConfig(**options)
    with pytest.raises(InputError, match="activation must be one of quadratic"):
        train_fc(*data(), FCConfig(activation="swish"), [0, 1, 2], [0.1])
    with pytest.raises(InputError, match="init must be"):
        train_fc(*data(), FCConfig(init="zeros"), [0, 1, 2], [0.1])
