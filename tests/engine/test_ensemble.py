"""Many models as one: copy i of an ensemble is what training it alone gives."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rostra.engine.ensemble import BatchedLinear, BatchedSGD, FlatParameters, seeded_normal

SEEDS = (3, 0, 11)
RATES = (0.05, 0.01, 0.1)
INPUTS, HIDDEN, ROWS, STEPS = 3, 5, 20, 50


class TwoLayers(nn.Module):
    """A small network of batched layers, each copy drawn from its own seed."""

    def __init__(self, seeds):
        super().__init__()
        self.first = BatchedLinear(len(seeds), INPUTS, HIDDEN)
        self.second = BatchedLinear(len(seeds), HIDDEN, 1)
        self.double()
        with torch.no_grad():
            for stream, parameter in enumerate(self.parameters()):
                parameter.copy_(seeded_normal(seeds, parameter.shape[1:], 0.5, stream=stream))

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


def data(seeds):
    """Each copy's own rows."""
    x = seeded_normal(seeds, (ROWS, INPUTS), 1.0, stream=10)
    return x, torch.sin(x.sum(2, keepdim=True)) + seeded_normal(seeds, (ROWS, 1), 0.1, stream=11)


def train_together(seeds, rates, **options):
    """Gives the parameters after training, a row a copy, and the network."""
    network = TwoLayers(seeds)
    flat = FlatParameters(network)
    optimiser = BatchedSGD(flat, torch.tensor(rates, dtype=torch.float64), **options)
    x, y = data(seeds)
    for _ in range(STEPS):
        loss = (network(x) - y).square().mean(dim=(1, 2)).sum()
        optimiser.step(flat.gradient(loss))
    return flat.values, network


def train_alone(seed, rate, *, clip_norm=None, **options):
    """The same with torch.nn.Linear and torch.optim.SGD; gives the parameters in the ensemble's layout."""
    start = TwoLayers([seed])
    first, second = nn.Linear(INPUTS, HIDDEN).double(), nn.Linear(HIDDEN, 1).double()
    with torch.no_grad():
        for layer, theirs in ((first, start.first), (second, start.second)):
            layer.weight.copy_(theirs.weight[0].T)
            layer.bias.copy_(theirs.bias[0, 0])
    parameters = [*first.parameters(), *second.parameters()]
    optimiser = torch.optim.SGD(parameters, lr=rate, **options)
    (x,), (y,) = data([seed])
    for _ in range(STEPS):
        optimiser.zero_grad()
        (second(torch.tanh(first(x))) - y).square().mean().backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, clip_norm)
        optimiser.step()
    return torch.cat([(p.T if p.ndim == 2 else p).detach().flatten() for p in parameters])


OPTIMISERS = [
    {},
    {"weight_decay": 0.01},
    {"momentum": 0.9},
    {"momentum": 0.9, "weight_decay": 0.01},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
]


@pytest.mark.parametrize("options", OPTIMISERS, ids=lambda options: "-".join(options) or "plain")
def test_each_copy_equals_training_it_alone_with_torch(options):
    """In float64, over 50 steps; own data, seed and learning rate a copy."""
    together, _ = train_together(SEEDS, RATES, **options)
    for copy, (seed, rate) in enumerate(zip(SEEDS, RATES, strict=True)):
        torch.testing.assert_close(together[copy], train_alone(seed, rate, **options), rtol=1e-10, atol=1e-12)


def test_training_moves_the_parameters():
    """Otherwise the comparisons above would show nothing."""
    together, _ = train_together(SEEDS, RATES)
    assert (together - FlatParameters(TwoLayers(SEEDS)).values).abs().amax(dim=1).min() > 0.01


def test_a_copy_does_not_depend_on_its_company():
    together, _ = train_together(SEEDS, RATES, momentum=0.9)
    for copy in range(len(SEEDS)):
        alone, _ = train_together(SEEDS[copy : copy + 1], RATES[copy : copy + 1], momentum=0.9)
        torch.testing.assert_close(together[copy], alone[0], rtol=1e-12, atol=1e-14)


def test_clipped_copies_equal_clipping_alone_with_torch():
    """Up to torch's 1e-6 in the denominator."""
    options = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "clip_norm": 0.1}
    together, _ = train_together(SEEDS, RATES, **options)
    for copy, (seed, rate) in enumerate(zip(SEEDS, RATES, strict=True)):
        torch.testing.assert_close(together[copy], train_alone(seed, rate, **options), rtol=1e-3, atol=1e-4)


def test_gradients_are_clipped_copy_by_copy():
    """Norms 5, 0.5 and 0: only the first is shortened, and the last stays 0."""
    layer = BatchedLinear(3, 1, 1).double()
    flat = FlatParameters(layer)
    gradient = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], dtype=torch.float64)
    BatchedSGD(flat, 1.0, clip_norm=1.0).step(gradient)
    torch.testing.assert_close(flat.values, torch.tensor([[-0.6, -0.8], [-0.3, -0.4], [0.0, 0.0]], dtype=torch.float64))


def test_a_copy_that_explodes_leaves_the_others_alone():
    flat = FlatParameters(BatchedLinear(2, 1, 1).double())
    gradient = torch.tensor([[float("inf"), float("nan")], [1.0, 1.0]], dtype=torch.float64)
    BatchedSGD(flat, 0.5, momentum=0.9, weight_decay=0.1, clip_norm=10.0).step(gradient)
    torch.testing.assert_close(flat.values[1], torch.full((2,), -0.5, dtype=torch.float64))


@pytest.mark.parametrize("rates", [0.1, torch.tensor([0.1, 0.1]), torch.tensor([0.1, 0.2])])
def test_the_learning_rate_is_one_number_or_one_a_copy(rates):
    flat = FlatParameters(BatchedLinear(2, 1, 1).double())
    BatchedSGD(flat, rates).step(torch.ones(2, 2, dtype=torch.float64))
    expected = torch.as_tensor(rates).double().expand(2)
    torch.testing.assert_close(flat.values, -expected[:, None].expand(2, 2))


def test_a_batched_layer_is_a_linear_layer_a_copy():
    network = TwoLayers(SEEDS)
    x, _ = data(SEEDS)
    for copy in range(len(SEEDS)):
        expected = x[copy] @ network.first.weight[copy] + network.first.bias[copy]
        torch.testing.assert_close(network.first(x)[copy], expected)


def test_parameters_are_views_of_one_matrix():
    """What is written to one is read from the other."""
    network = TwoLayers(SEEDS)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    flat = FlatParameters(network)
    assert flat.values.shape == (len(SEEDS), INPUTS * HIDDEN + HIDDEN + HIDDEN + 1)
    for parameter, old in zip(network.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
    flat.values.add_(1.0)
    for parameter, old in zip(network.parameters(), before, strict=True):
        assert torch.equal(parameter, old + 1.0)
    with torch.no_grad():
        network.second.bias.fill_(7.0)
    assert torch.equal(flat.values[:, -1], torch.full((len(SEEDS),), 7.0, dtype=torch.float64))


def test_the_gradient_has_the_layout_of_the_values():
    network = TwoLayers(SEEDS)
    flat = FlatParameters(network)
    x, y = data(SEEDS)
    found = flat.gradient((network(x) - y).square().mean(dim=(1, 2)).sum())
    (network(x) - y).square().mean(dim=(1, 2)).sum().backward()
    assert torch.equal(found, torch.cat([p.grad.flatten(1) for p in network.parameters()], dim=1))


def test_parameters_that_a_loss_does_not_use_get_a_gradient_of_zero():
    network = TwoLayers(SEEDS)
    flat = FlatParameters(network)
    found = flat.gradient(network.second.weight.sum())
    used = INPUTS * HIDDEN + HIDDEN
    assert torch.equal(found[:, :used], torch.zeros(len(SEEDS), used, dtype=torch.float64))
    assert torch.equal(found[:, used:-1], torch.ones(len(SEEDS), HIDDEN, dtype=torch.float64))


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=5), st.integers(0, 999))
def test_draws_depend_on_the_copys_own_seed_only(seeds, stream):
    together = seeded_normal(seeds, (2, 3), 1.5, stream=stream)
    assert together.shape == (len(seeds), 2, 3)
    assert together.dtype == torch.float64
    for copy, seed in enumerate(seeds):
        assert torch.equal(together[copy], seeded_normal([seed], (2, 3), 1.5, stream=stream)[0])


def test_draws_leave_the_global_generator_alone():
    state = torch.random.get_rng_state()
    seeded_normal([1], (3,), 1.0, stream=0)
    assert torch.equal(state, torch.random.get_rng_state())


def test_draws_differ_between_seeds_and_streams():
    first = seeded_normal([1, 2], (4,), 1.0, stream=0)
    second = seeded_normal([1, 2], (4,), 1.0, stream=1)
    rows = torch.cat([first, second])
    assert len({tuple(row.tolist()) for row in rows}) == 4


def test_draws_have_the_standard_deviation_that_was_asked_for():
    draws = seeded_normal(range(50), (1000,), 0.2, stream=0)
    assert draws.mean().abs() < 0.005
    assert draws.std().item() == pytest.approx(0.2, rel=0.02)


def test_any_elementwise_optimiser_steps_copies_at_their_own_rates():
    """Groups of blocks of copies: each block is what the optimiser makes of it alone."""
    module = BatchedLinear(4, 3, 2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter))
    flat = FlatParameters(module)
    start, gradient = flat.values.clone(), torch.randn_like(flat.values)
    optimiser = torch.optim.Adam(flat.groups([0.1, 0.01]))
    for _ in range(3):
        for group, block in zip(optimiser.param_groups, gradient.chunk(2), strict=True):
            group["params"][0].grad = block.clone()
        optimiser.step()
    for rows, rate in ((slice(0, 2), 0.1), (slice(2, 4), 0.01)):
        alone = start[rows].clone().requires_grad_()
        reference = torch.optim.Adam([alone], lr=rate)
        for _ in range(3):
            alone.grad = gradient[rows].clone()
            reference.step()
        assert torch.equal(flat.values[rows], alone.detach())
    assert module.weight.data_ptr() == flat.values.data_ptr()
