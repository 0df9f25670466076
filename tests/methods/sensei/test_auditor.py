"""Worst cases: closed forms, and equality with automatic differentiation and with torch's Adam."""

import pytest
import torch
from torch import nn

from rostra.methods.sensei import objective
from rostra.methods.sensei.auditor import Distances, worst_cases, worst_cases_in_two_stages
from rostra.methods.sensei.metrics import FairMetric
from rostra.methods.sensei.model import Classifier


def linear(weight):
    """h(x) = W x as a network of one copy without hidden layers."""
    matrix = torch.tensor(weight, dtype=torch.float64)
    network = Classifier(1, matrix.shape[1], (), matrix.shape[0]).double()
    network.layers[0].weight.data.copy_(matrix.mT[None])
    return network


def attacked(network, x, metric, dual, *, steps=200, lr=0.05, noise=0.1, plain=False):
    """Worst cases of rows (rows, d) by d_Y."""
    rows = torch.tensor(x, dtype=torch.float64).mT[None].contiguous()
    start = torch.full_like(rows, noise)
    clean = network(rows.mT).detach().mT
    distances = Distances.of([metric], rows)
    found = worst_cases(
        network,
        rows,
        start,
        torch.tensor([dual], dtype=torch.float64),
        distances,
        objective.invariance_gradient(clean),
        steps=steps,
        learning_rate=lr,
        plain=plain,
    )
    return found[0].mT - rows[0].mT


def test_a_network_that_uses_the_sensitive_direction_has_no_worst_case():
    """Sigma v = 0 and W v != 0: the supremum is infinite, and the attack grows with the steps."""
    network, metric = linear([[1.0, 0.5], [0.0, 0.0]]), FairMetric.euclidean(2, ignore=[0])
    near = attacked(network, [[0.3, -1.0]], metric, 10.0, steps=50)
    far = attacked(network, [[0.3, -1.0]], metric, 10.0, steps=200)
    assert abs(far[0, 0]) > 2 * abs(near[0, 0]) > 2
    assert abs(far[0, 1]) < 1.0


def test_a_network_without_the_sensitive_direction_has_none_above_the_top_eigenvalue():
    """W^T W = diag(0, 4): with lambda 5 the worst case is the row itself, with lambda 3 it runs away."""
    network, metric = linear([[0.0, 2.0], [0.0, 0.0]]), FairMetric.euclidean(2, ignore=[0])
    assert attacked(network, [[1.0, 1.0]], metric, 5.0, steps=500, lr=0.02, plain=True)[0, 1].abs() < 1e-3
    assert attacked(network, [[1.0, 1.0]], metric, 3.0, steps=500, lr=0.02, plain=True)[0, 1].abs() > 1.0


def test_without_noise_the_attack_never_moves():
    """The gradient of d_Y at x' = x is 0, so the noise is no detail."""
    network, metric = linear([[1.0, 0.5], [0.3, 0.0]]), FairMetric.euclidean(2, ignore=[0])
    assert (attacked(network, [[0.3, -1.0]], metric, 1.0, noise=0.0) == 0).all()
    assert (attacked(network, [[0.3, -1.0]], metric, 1.0, noise=0.01)[0, 0] > 1.0).all()


@pytest.mark.parametrize("hidden", [(), (7,), (7, 5)])
def test_the_input_gradient_is_that_of_autograd(hidden):
    """For any depth and several copies."""
    torch.manual_seed(0)
    network = Classifier(3, 4, hidden, 2).double()
    network.initialise([0, 1, 2])
    x = torch.randn(3, 4, 6, dtype=torch.float64, requires_grad=True)
    clean = torch.randn(3, 2, 6, dtype=torch.float64)
    value = objective.output_distance(network(x.mT), clean.mT).sum()
    (wanted,) = torch.autograd.grad(value, [x])
    found = network.input_gradient(x.detach(), objective.invariance_gradient(clean))
    torch.testing.assert_close(found, wanted)


def test_the_ascent_is_torchs_adam():
    """The same worst cases as torch.optim.Adam on the negative objective, by directions and by Sigma."""
    torch.manual_seed(1)
    network = Classifier(1, 3, (5,), 2).double()
    network.initialise([4])
    x, noise = torch.randn(1, 3, 8, dtype=torch.float64), torch.randn(1, 3, 8, dtype=torch.float64) * 0.1
    clean, dual = network(x.mT).detach(), torch.tensor([0.7], dtype=torch.float64)
    subspace = FairMetric.subspace([[1.0], [1.0], [0.0]])
    delta = noise.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([delta], lr=0.1)
    sigma = subspace.sigma.double()
    for _ in range(12):
        optimiser.zero_grad()
        gain = objective.output_distance(network((x + delta).mT), clean).sum()
        price = (torch.einsum("cdr,de,cer->cr", delta, sigma, delta) * dual[:, None]).sum()
        (price - gain).backward()
        optimiser.step()
    for metric in (subspace, FairMetric.matrix(subspace.sigma.numpy())):
        found = worst_cases(
            network,
            x,
            noise,
            dual,
            Distances.of([metric], x),
            objective.invariance_gradient(clean.mT),
            steps=12,
            learning_rate=0.1,
        )
        torch.testing.assert_close(found, x + delta.detach(), atol=1e-6, rtol=1e-6)


def test_copies_with_different_metrics_attack_alone():
    """A copy's worst case is that of the copy alone, whatever the other metrics."""
    torch.manual_seed(2)
    metrics = [FairMetric.subspace(torch.eye(4)[:, :1].numpy()), FairMetric.subspace(torch.eye(4)[:, 1:4].numpy())]
    network = Classifier(2, 4, (6,), 3).double()
    network.initialise([0, 1])
    x, noise = torch.randn(2, 4, 5, dtype=torch.float64), torch.randn(2, 4, 5, dtype=torch.float64) * 0.1
    labels = torch.randint(3, (2, 5))
    dual = torch.tensor([1.0, 3.0], dtype=torch.float64)

    def found(copies):
        part = Classifier(len(copies), 4, (6,), 3).double()
        for target, source in zip(part.parameters(), network.parameters(), strict=True):
            target.data.copy_(source.data[copies])
        return worst_cases(
            part,
            x[copies],
            noise[copies],
            dual[copies],
            Distances.of([metrics[c] for c in copies], x),
            objective.loss_gradient(labels[copies], 3),
            steps=7,
            learning_rate=0.05,
        )

    both = found([0, 1])
    for copy in (0, 1):
        torch.testing.assert_close(both[copy], found([copy])[0])


def two_stages(network, x, metric, dual, noise, **options):
    clean = network(x.mT).detach().mT
    return worst_cases_in_two_stages(
        network,
        x,
        noise,
        dual,
        Distances.of([metric], x),
        objective.invariance_gradient(clean),
        lambda at: objective.output_distance(at.mT, clean.mT),
        **{"subspace_steps": 20, "subspace_lr": 1.0, "full_steps": 10, "full_lr": 1e-2} | options,
    )


def test_the_first_stage_moves_in_the_subspace_alone():
    """And far: 20 steps of 1 along the direction that the network uses."""
    network = linear([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    metric = FairMetric.euclidean(3, ignore=[0])
    x = torch.randn(1, 3, 4, dtype=torch.float64)
    noise = torch.full((1, 1, 4), 0.1, dtype=torch.float64)
    found = two_stages(network, x, metric, torch.tensor([1.0], dtype=torch.float64), noise, full_steps=0)
    assert (found - x)[0, 0].abs().min() > 10
    assert (found - x)[0, 1:].abs().max() == 0


def test_a_stage_that_lowers_the_objective_is_undone():
    """Huge steps of the second stage cost more distance than they gain: the first stage's result stays."""
    network, metric = linear([[0.1, 0.1], [0.0, 0.0]]), FairMetric.euclidean(2, ignore=[0])
    x = torch.zeros(1, 2, 3, dtype=torch.float64)
    noise = torch.full((1, 1, 3), 0.1, dtype=torch.float64)
    dual = torch.tensor([1e3], dtype=torch.float64)
    wild = two_stages(network, x + 1, metric, dual, noise, full_steps=3, full_lr=100.0)
    calm = two_stages(network, x + 1, metric, dual, noise, full_steps=0)
    torch.testing.assert_close(wild, calm)


def test_the_network_stays_as_it_is():
    """No gradients, no changed weights."""
    network = Classifier(1, 3, (4,), 2)
    network.initialise([0])
    before = [p.clone() for p in network.parameters()]
    x = torch.randn(1, 3, 5)
    worst_cases(
        network,
        x,
        torch.rand_like(x),
        torch.ones(1),
        Distances.of([FairMetric.euclidean(3)], x),
        objective.invariance_gradient(torch.zeros(1, 2, 5)),
        steps=3,
        learning_rate=0.1,
    )
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    for parameter, value in zip(network.parameters(), before, strict=True):
        torch.testing.assert_close(parameter, nn.Parameter(value))
