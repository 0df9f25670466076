import numpy as np
import pytest
import torch

from rostra.fields.vision.networks import SmallCNN
from rostra.methods.curricula.ordering import make_order
from rostra.methods.curricula.pacing import FAMILIES, PacingFunction, prefix_sizes
from rostra.methods.curricula.sampler import CurriculumBatchSampler
from rostra.methods.curricula.training import (
    ModuleCopies,
    Plan,
    StackedMLP,
    TrainingConfig,
    plan_batches,
    shared_steps,
    train_plans,
)

CONFIG = TrainingConfig(total_steps=40, batch_size=16, evaluations=4)
N, D, H, C = 145, 12, 9, 3


def data(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, D, generator=generator).to(dtype)
    return x, (x[:, :C] + 0.3 * torch.randn(N, C, generator=generator)).argmax(1)


def plans(families=FAMILIES, seeds=(0, 1)):
    found = []
    for root, seed in enumerate(seeds):
        order = make_order(np.random.default_rng(seed).random(N), seed=seed)
        for family in families:
            for a in (0.3, 0.8, 1.6):
                sizes = prefix_sizes(PacingFunction(family, a, 0.3), 40, N, 32)
                found.append(Plan(seed, order, sizes, root=root))
    return found


def test_batches_of_a_plan_are_those_of_the_sampler():
    for plan in plans():
        made = CurriculumBatchSampler(
            plan.order, 16, 40, lambda t, total, n, s=plan.sizes: int(s[t]), order=None, seed=plan.seed
        )
        assert [batch.tolist() for batch in plan_batches(plan, CONFIG)] == list(made)


def by_autograd(net: StackedMLP, copy: int, plan, x, y, config):
    """The same training, as one would write it in torch."""
    module = torch.nn.Sequential(torch.nn.Linear(D, H), torch.nn.ReLU(), torch.nn.Linear(H, C)).to(x)
    pieces = torch.split(net.values[copy], [D * H, H, H * C, C])
    with torch.no_grad():
        module[0].weight.copy_(pieces[0].view(D, H).T)
        module[0].bias.copy_(pieces[1])
        module[2].weight.copy_(pieces[2].view(H, C).T)
        module[2].bias.copy_(pieces[3])
    optimizer = torch.optim.SGD(module.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay)
    for step, batch in enumerate(plan_batches(plan, config)):
        optimizer.param_groups[0]["lr"] = config.learning_rates[step]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(x[batch]), y[batch]).backward()
        optimizer.step()
    return module


def test_gradients_by_hand_are_those_of_autograd():
    x, y = data(torch.float64)
    chosen = plans(("linear", "step"))

    def copies(seeds):
        made = StackedMLP(seeds, D, H, C, CONFIG)
        made.values, made.velocities = made.values.double(), made.velocities.double()
        return made

    run = train_plans(copies, chosen, x, y[None], CONFIG)
    for number, plan in enumerate(chosen):
        expected = by_autograd(copies([plan.seed]), 0, plan, x, y, CONFIG)(x)
        place = run.copy_of[number]
        assert torch.allclose(run.copies.logits(slice(place, place + 1), x)[0], expected, atol=1e-9)


def test_sharing_changes_no_bit_where_copies_train_one_at_a_time(monkeypatch):
    x, y = data()
    chosen = plans()
    monkeypatch.setattr("rostra.methods.curricula.training.STACK_NUMBERS", 1)

    def copies(seeds):
        return StackedMLP(seeds, D, H, C, CONFIG)

    together = train_plans(copies, chosen, x, y[None], CONFIG)
    assert (together.steps, together.steps_apart) == shared_steps(chosen, CONFIG)
    assert together.steps < 0.9 * together.steps_apart
    for number, plan in enumerate(chosen):
        alone = train_plans(copies, [plan], x, y[None], CONFIG)
        assert torch.equal(together.copies.values[together.copy_of[number]], alone.copies.values[0])


def test_stacked_copies_are_the_single_ones_up_to_rounding():
    x, y = data()
    chosen = plans()

    def copies(seeds):
        return StackedMLP(seeds, D, H, C, CONFIG)

    together = train_plans(copies, chosen, x, y[None], CONFIG)
    for number, plan in enumerate(chosen):
        alone = train_plans(copies, [plan], x, y[None], CONFIG)
        torch.testing.assert_close(
            together.copies.values[together.copy_of[number]], alone.copies.values[0], atol=1e-4, rtol=1e-3
        )


def test_modules_share_what_they_have_in_common_to_the_bit():
    """Batch normalisation, momentum and augmentation fork along."""
    config = TrainingConfig(total_steps=12, batch_size=16, evaluations=3, augment=True)
    images = torch.randn(N, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    y = data()[1]
    chosen = [
        Plan(0, np.arange(N), prefix_sizes(PacingFunction("step", a, 0.5), 12, N, 32)) for a in (0.4, 0.8, 1.0, 1.6)
    ]

    def copies(seeds):
        return ModuleCopies(seeds, lambda: SmallCNN((1, 8, 8), C, (4,)), config)

    together = train_plans(copies, chosen, images, y[None], config)
    assert together.steps < together.steps_apart
    for number, plan in enumerate(chosen):
        alone = train_plans(copies, [plan], images, y[None], config).copies.modules[0].state_dict()
        found = together.copies.modules[together.copy_of[number]].state_dict()
        assert all(torch.equal(found[name], value) for name, value in alone.items())
    assert together.copy_of[2] == together.copy_of[3]  # full data are never reached: one training


def test_dropout_is_shared_and_repeated_like_everything_else():
    """Its draws depend on the seed and the step, not on what else was drawn or trained."""
    config = TrainingConfig(total_steps=10, batch_size=16, evaluations=1)
    x, y = data()
    chosen = [Plan(0, np.arange(N), prefix_sizes(PacingFunction("step", a, 0.5), 10, N, 32)) for a in (0.4, 1.6)]

    def copies(seeds):
        return ModuleCopies(seeds, lambda: torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(D, C)), config)

    together = train_plans(copies, chosen, x, y[None], config)
    before = torch.get_rng_state()
    for number, plan in enumerate(chosen):
        alone = train_plans(copies, [plan], x, y[None], config).copies.modules[0]
        found = together.copies.modules[together.copy_of[number]]
        assert torch.equal(found[1].weight, alone[1].weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_plan_is_measured_equally_often():
    x, y = data()

    def measure(nets, which, numbers):
        return [{"loss": float(logits.mean())} for logits in nets.logits(which, x)]

    run = train_plans(lambda seeds: StackedMLP(seeds, D, H, C, CONFIG), plans(), x, y[None], CONFIG, measure)
    assert {len(found) for found in run.measures} == {4}
    assert CONFIG.evaluation_steps == [10, 20, 30, 40]


def test_the_learning_rate_ends_at_the_end_of_the_cosine():
    rates = TrainingConfig(total_steps=100, lr=0.2).learning_rates
    assert rates[0] == 0.2
    assert rates[-1] == pytest.approx(0.1 * (1 + np.cos(np.pi * 0.99)))
