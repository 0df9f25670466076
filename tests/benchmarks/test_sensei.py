"""The benchmark compares equal work, or stops. The peer is not installed here; a plain loop answers for it."""

import sys

import numpy as np
import peer_environment
import pytest
import torch
from torch import nn


def plain_steps(benchmark_module, *, batches, noises, weights, rho, eps, steps, auditor_lr, lr, **_):
    """SenSeI's step by automatic differentiation, as inFairness takes it."""
    data, directions = benchmark_module.made_up_rows()
    x, y = torch.as_tensor(data.x[0]).double(), torch.as_tensor(data.y[0])
    basis = torch.linalg.qr(torch.as_tensor(directions))[0]
    sigma = torch.eye(len(basis), dtype=torch.float64) - basis @ basis.T
    parameters = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in weights]
    optimiser = torch.optim.Adam(parameters, lr=lr)

    def logits(at):
        first, first_bias, last, last_bias = parameters
        return nn.functional.linear(torch.relu(nn.functional.linear(at, first, first_bias)), last, last_bias)

    def distance(one, other):
        return ((one - other) @ sigma * (one - other)).sum(1)

    dual = torch.tensor(1.0, dtype=torch.float64)
    found = {"worst": [], "dual": [], "loss": []}
    for rows, noise in zip(batches, noises, strict=True):
        clean = logits(x[rows])
        delta = torch.tensor(noise, dtype=torch.float64, requires_grad=True)
        attacker = torch.optim.Adam([delta], lr=auditor_lr, maximize=True)
        for _ in range(steps):
            attacker.zero_grad()
            moved = (logits(x[rows] + delta) - clean.detach()).square().sum(1)
            (moved - dual * distance(x[rows], x[rows] + delta)).sum().backward(inputs=[delta])
            attacker.step()
        worst = x[rows] + delta.detach()
        mean = distance(x[rows], worst).mean()
        dual = (dual + max(mean, eps) / min(mean, eps) * (mean - eps)).clamp_min(1e-5)
        unfair = (logits(worst) - clean).square().sum(1).mean()
        loss = nn.functional.cross_entropy(clean, y[rows]) + rho * unfair
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found["worst"].append(worst.tolist())
        found["dual"].append(dual.item())
        found["loss"].append(loss.item())
    return found


def test_a_peer_that_takes_the_same_steps_is_accepted(benchmark_module):
    """Worst cases, lambda and loss of all steps are compared."""

    def ask(work, **settings):
        assert work == "check"
        return plain_steps(benchmark_module, **settings)

    assert benchmark_module.check_equal_work(ask, 16, 4) < 1e-9


@pytest.mark.parametrize("changed", [{"rho": 4.0}, {"steps": 19}, {"eps": 0.011}, {"lr": 2e-3}])
def test_a_peer_that_does_other_work_is_refused(benchmark_module, changed):
    """No comparison of unequal work is printed."""

    def ask(work, **settings):
        return plain_steps(benchmark_module, **{**settings, **changed})

    with pytest.raises(SystemExit, match="does other work than ours"):
        benchmark_module.check_equal_work(ask, 16, 3)


def test_an_audit_of_another_outcome_is_refused(benchmark_module):
    with pytest.raises(SystemExit, match="audits otherwise than ours"):
        benchmark_module.audit(lambda work, **settings: {"mean": 1.0, "seconds": 1.0}, 2, 1)


def test_a_peer_that_cannot_run_says_why(benchmark_module, tmp_path, monkeypatch):
    """An environment without inFairness, for one: this one."""
    data, directions = benchmark_module.made_up_rows()
    file = tmp_path / "data.npz"
    np.savez(file, x=data.x[0], y=data.y[0], directions=directions)
    monkeypatch.setattr(peer_environment, "peer_python", lambda method: sys.executable)
    with (
        benchmark_module.Peer("sensei", file) as ask,
        pytest.raises(SystemExit, match=r"the peer did not run: ModuleNotFoundError.*inFairness"),
    ):
        ask("train", rhos=[1.0], iterations=1, batch_size=8, lr=1e-3)


def test_the_floor_is_a_share_of_the_step(benchmark_module):
    row = benchmark_module.floor(16, 1)
    assert row.ours > 0
    assert row.peer is None
    assert row.ratio is None
