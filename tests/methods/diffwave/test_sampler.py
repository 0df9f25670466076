"""Sampling against the exact law of the chain for Gaussian data, closed forms, and the noise of items."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import nn

from rostra.engine.errors import InputError
from rostra.methods.diffwave import sampler
from rostra.methods.diffwave.fast import FastNetwork
from rostra.methods.diffwave.model import DiffWave, DiffWaveConfig
from rostra.methods.diffwave.objective import FAST_SCHEDULES, NoiseSchedule, equally_spaced, reverse_step
from rostra.methods.diffwave.sampler import ItemNoise, chosen_schedule, reverse, schedule_of

BASE = NoiseSchedule.linear(50, 1e-4, 0.05)
LARGE = NoiseSchedule.linear(200, 1e-4, 0.02)
SCHEDULES = {
    "full": BASE,
    "fast6": BASE.named("fast6"),
    "fast12": LARGE.named("fast12"),
    "equally spaced": equally_spaced(BASE, 6),
}
SMALL = DiffWaveConfig(
    residual_layers=6,
    residual_channels=16,
    dilation_cycle_length=3,
    n_classes=4,
    n_mels=5,
    n_fft=64,
    hop_samples=15,
    win_length=60,
    f_max=4000.0,
    sample_rate=8000,
)
ITEMS, LENGTH = 64, 4096


def network(**options):
    torch.manual_seed(0)
    model = DiffWave(DiffWaveConfig(**{**SMALL.__dict__, **options}))
    nn.init.normal_(model.output.weight, std=0.1)
    return FastNetwork(model)


def gaussian_predictor(schedule, s):
    """The best predictor of the noise in data N(0, s^2): sqrt(1 - abar) x / (abar s^2 + 1 - abar)."""
    levels = dict(zip(schedule.steps, np.cumprod(1 - np.array(schedule.betas)).tolist(), strict=True))

    def predict(x, step):
        level = levels[step]
        return math.sqrt(1 - level) / (level * s**2 + 1 - level) * x

    return predict


def variance_of_chain(schedule, s):
    """Of algorithm 2 with that predictor, started from variance 1: each step is linear with added noise."""
    v, levels = 1.0, np.cumprod(1 - np.array(schedule.betas))
    for i in range(len(levels) - 1, -1, -1):
        eta = schedule.betas[i]
        v *= (1 - eta / (levels[i] * s**2 + 1 - levels[i])) ** 2 / (1 - eta)
        if i > 0:
            v += eta * (1 - levels[i - 1]) / (1 - levels[i])
    return v


def standard_errors(schedule, s, **options):
    """By how many standard errors the standard deviation of samples misses that of the chain."""
    noise = ItemNoise(0, range(ITEMS))
    x = reverse(gaussian_predictor(schedule, s), noise.draw(LENGTH), schedule, noise, **options).double()
    expected = math.sqrt(variance_of_chain(schedule, s))
    return (x.square().mean().sqrt().item() / expected - 1) * math.sqrt(2 * x.numel())


# The law of samples


@pytest.mark.parametrize("s", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("name", SCHEDULES)
def test_samples_of_gaussian_data_have_the_variance_of_the_chain(name, s):
    assert abs(standard_errors(SCHEDULES[name], s)) < 3


def test_six_steps_are_too_quiet():
    """What the chain says of few steps: at s = 1 the variance is far below 1, in all steps near it."""
    assert variance_of_chain(SCHEDULES["fast6"], 1.0) < 0.8
    assert variance_of_chain(LARGE, 1.0) == pytest.approx(1.0, abs=0.05)


def step_with_noise_at_the_end(x, predicted, noise, schedule, step):
    mean = reverse_step(x, predicted, noise, schedule, step)
    return mean if step else mean + schedule.sigma[0] * torch.randn(x.shape, generator=torch.Generator().manual_seed(9))


def step_with_sigma_of_beta(x, predicted, noise, schedule, step):
    mean = reverse_step(x, predicted, torch.zeros_like(x), schedule, step)
    return mean + math.sqrt(schedule.betas[step]) * noise if step else mean


def step_with_the_level_before(x, predicted, noise, schedule, step):
    """Alpha-bar off by one."""
    schedule.alpha_bar[step] = schedule.alpha_bar[max(step - 1, 0)]
    return reverse_step(x, predicted, noise, schedule, step)


@pytest.mark.parametrize("wrong", [step_with_noise_at_the_end, step_with_sigma_of_beta, step_with_the_level_before])
@pytest.mark.parametrize("name", SCHEDULES)
def test_wrong_steps_miss_the_variance_of_the_chain(monkeypatch, name, wrong):
    """So the test of the chain tells them."""
    monkeypatch.setattr(sampler, "reverse_step", wrong)
    schedule = NoiseSchedule(SCHEDULES[name].betas, SCHEDULES[name].steps)
    assert abs(standard_errors(schedule, 0.05)) > 6


@pytest.mark.parametrize("name", SCHEDULES)
def test_clamping_inside_the_loop_misses_the_variance_of_the_chain(name):
    assert standard_errors(SCHEDULES[name], 1.0, clamp=True) < -6


@pytest.mark.parametrize("s", [0.05, 1.0, 3.0])
@pytest.mark.parametrize("name", SCHEDULES)
def test_ddim_of_gaussian_data_is_a_product_of_rescalings(name, s):
    """Each step maps x to (sqrt(a a') s^2 + sqrt((1 - a)(1 - a'))) / (a s^2 + 1 - a) x, with a' the level before."""
    schedule = SCHEDULES[name]
    factor, before = 1.0, 1.0
    for level in np.cumprod(1 - np.array(schedule.betas)):
        factor *= math.sqrt(level * before) * s**2 + math.sqrt((1 - level) * (1 - before))
        factor /= level * s**2 + 1 - level
        before = level
    start = torch.linspace(-3, 3, 50).double()[None]
    x = reverse(gaussian_predictor(schedule, s), start, schedule, ItemNoise(0, [0]), solver="ddim")
    torch.testing.assert_close(x, factor * start, rtol=1e-9, atol=1e-12)


def test_ddim_in_many_steps_keeps_gaussian_quantiles():
    """In the limit x_0 / x_T is the ratio of the standard deviations of data and of x_T."""
    schedule, s = NoiseSchedule.linear(4000, 1e-5, 2e-3), 0.5
    start = torch.ones(1, 1, dtype=torch.float64)
    x = reverse(gaussian_predictor(schedule, s), start, schedule, ItemNoise(0, [0]), solver="ddim").item()
    level = schedule.alpha_bar[-1]
    assert x == pytest.approx(s / math.sqrt(level * s**2 + 1 - level), rel=2e-3)


# The loop


def test_the_network_is_told_the_aligned_steps_from_last_to_first():
    for schedule in SCHEDULES.values():
        told, places = [], []

        def predict(x, step, told=told):
            told.append(step)
            return x

        watch = lambda place, x, places=places: places.append(place)  # noqa: E731
        reverse(predict, torch.zeros(1, 3), schedule, ItemNoise(0, [0]), watch=watch)
        assert told == list(schedule.steps)[::-1]
        assert places == list(range(len(schedule)))[::-1]


def test_a_chain_may_begin_on_the_way():
    """From x at place 3, the steps 3, 2, 1, 0 of the whole chain, with the noise that is next."""
    schedule = SCHEDULES["fast6"]
    predict = network(condition="none").prepare(2, 40)
    seen = {}
    noise = ItemNoise(0, range(2))
    whole = reverse(predict, noise.draw(40), schedule, noise, watch=lambda place, x: seen.update({place: x.clone()}))
    again = ItemNoise(0, range(2))
    for _ in range(3):  # the start and the noise of places 5 and 4
        again.draw(40)
    assert torch.equal(reverse(predict, seen[4], schedule, again, begin=3), whole)
    assert torch.equal(seen[0], whole)
    for begin in (-1, 6):
        with pytest.raises(InputError, match=f"begin is {begin}; it must lie between 0 and 5"):
            reverse(predict, seen[4], schedule, again, begin=begin)


def test_noise_is_drawn_once_a_step_above_zero_and_not_at_all_for_ddim():
    for solver, draws in (("ddpm", 5), ("ddim", 0)):
        noise, same = ItemNoise(3, [1]), ItemNoise(3, [1])
        reverse(lambda x, step: x, torch.ones(1, 4), SCHEDULES["fast6"], noise, solver=solver)
        for _ in range(draws):
            same.draw(4)
        assert torch.equal(noise.draw(4), same.draw(4))


def test_clamping_bounds_every_step_and_none_bounds_nothing():
    for clamp, bound in ((True, 1.0), (False, math.inf)):
        largest = []
        watch = lambda place, x, largest=largest: largest.append(x.abs().max().item())  # noqa: E731
        noise = ItemNoise(0, [0])
        reverse(lambda x, step: 0 * x, noise.draw(500), BASE, noise, clamp=clamp, watch=watch)
        assert len(largest) == 50
        assert all(value <= bound for value in largest)
        assert max(largest) == 1.0 if clamp else max(largest) > 2.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_broken_network_is_told(value):
    with pytest.raises(InputError, match="not finite; the model or its schedule is broken"):
        reverse(lambda x, step: x + value, torch.zeros(1, 4), BASE, ItemNoise(0, [0]))


# With a network


def sample(prepared, batch, length, steps, items=None, seed=0, **options):
    noise = ItemNoise(seed, range(batch) if items is None else items)
    return reverse(prepared, noise.draw(length), schedule_of(SMALL, steps), noise, **options)


@pytest.mark.parametrize("condition", ["none", "mel"])
def test_all_steps_through_the_fast_way_are_the_plain_sampler(condition):
    mel = torch.randn(2, 5, 6) if condition == "mel" else None
    predict = network(condition=condition).prepare(2, 77, mel)
    plain, aligned = (sample(predict, 2, 77, steps) for steps in ("full", BASE.betas))
    torch.testing.assert_close(aligned, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("upsampler", ["per_layer", "shared", None])
def test_samples_in_pieces_are_samples_of_the_whole(upsampler):
    options = {"condition": "none"} if upsampler is None else {"upsampler": upsampler}
    mel = None if upsampler is None else torch.randn(1, 5, 40)
    whole = network(**options)
    pieces = FastNetwork(whole.model, piece=130)
    a, b = (sample(fast.prepare(1, 600, mel), 1, 600, "fast6") for fast in (whole, pieces))
    torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-5)


def test_an_item_of_a_batch_is_that_item_alone():
    fast, labels = network(condition="label"), torch.tensor([3, 0, 1])
    together = sample(fast.prepare(3, 90, label=labels), 3, 90, "full")
    for item in range(3):
        alone = sample(fast.prepare(1, 90, label=labels[item : item + 1]), 1, 90, "full", items=[item])
        assert torch.equal(alone[0], together[item])


def test_a_seed_gives_the_same_sample_again_and_another_seed_another():
    predict = network(condition="none").prepare(2, 50)
    first = sample(predict, 2, 50, "fast6")
    assert torch.equal(sample(predict, 2, 50, "fast6"), first)
    assert not torch.isclose(sample(predict, 2, 50, "fast6", seed=1), first).any()
    assert not torch.isclose(first[0], first[1]).any()


# Noise


@given(st.integers(0, 2**40), st.lists(st.integers(0, 2**40), min_size=1, max_size=5))
def test_noise_of_an_item_depends_on_seed_and_item_only(seed, items):
    noise = ItemNoise(seed, items)
    drawn = noise.draw(6), noise.draw(6)
    for place, item in enumerate(items):
        alone = ItemNoise(seed, [item])
        assert torch.equal(alone.draw(6)[0], drawn[0][place])
        assert torch.equal(alone.draw(6)[0], drawn[1][place])


def test_noise_of_items_seeds_and_draws_is_independent_standard_normal():
    pairs = [(seed, item) for seed in range(8) for item in range(8)]
    streams = [ItemNoise(seed, [item]) for seed, item in pairs]
    drawn = torch.cat([torch.cat([stream.draw(1000), stream.draw(1000)], dim=1) for stream in streams])
    assert drawn.dtype == torch.float32
    assert kstest(drawn.flatten().numpy(), "norm").pvalue > 0.01
    rows = drawn.view(128, 1000).numpy()
    correlations = np.corrcoef(rows)[np.triu_indices(128, 1)]
    assert np.abs(correlations).max() < 5 / math.sqrt(1000)
    assert correlations.std() == pytest.approx(1 / math.sqrt(1000), rel=0.05)


@pytest.mark.parametrize("seed", [-1, 1.5, None, "1"])
def test_seeds_are_whole_numbers_and_not_negative(seed):
    with pytest.raises(InputError, match=f"seed must be a whole number of at least 0, got {seed!r}"):
        ItemNoise(seed, [0])
    assert torch.equal(ItemNoise(np.int64(3), [0]).draw(4), ItemNoise(3, [0]).draw(4))


# How to sample, in words


def test_schedules_by_name_by_numbers_and_as_they_are():
    own = (1e-3, 1e-2, 0.05, 0.2)
    config = DiffWaveConfig(**{**SMALL.__dict__, "inference_noise_schedule": own})
    assert schedule_of(config, "fast6").betas == own  # the model's own, whatever their number
    assert schedule_of(config, "fast6-base").betas == FAST_SCHEDULES["fast6-base"]
    assert schedule_of(config, "full") == config.schedule == BASE
    assert schedule_of(config, [1e-3, 0.1]).betas == (1e-3, 0.1)
    spaced = equally_spaced(BASE, 5)
    assert schedule_of(config, spaced) is spaced
    with pytest.raises(InputError, match="'half' is not known"):
        schedule_of(config, "half")
    with pytest.raises(InputError, match="step 1 of the inference schedule reaches alpha-bar"):
        schedule_of(config, [0.1, 0.9])
    for steps in (6, 0.5, None, ["a"], [[0.1, 0.2]]):
        with pytest.raises(InputError, match=r"^steps is .*; name a schedule \(full, .* such as \[1e-4, 1e-3, 1e-2\]"):
            schedule_of(config, steps)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("full", "full"),
        (" fast6 ", "fast6"),
        ("fast6-large", "fast6-large"),
        ("1e-4,1e-3,0.5", [1e-4, 1e-3, 0.5]),
        ("1e-4, 1e-3  0.5", [1e-4, 1e-3, 0.5]),
        ("0.5", [0.5]),
    ],
)
def test_what_a_user_types(text, steps):
    assert chosen_schedule(text) == steps


@pytest.mark.parametrize("text", ["6", "50", " 1.0 "])
def test_a_number_of_steps_is_no_schedule(text):
    with pytest.raises(InputError, match="is a number of steps; name a schedule"):
        chosen_schedule(text)


@pytest.mark.parametrize("text", ["half", "full fast6", "1e-4,x", "1e-4;0.5", "", " , "])
def test_what_a_user_mistypes(text):
    with pytest.raises(InputError, match=r"are neither full, fast6, fast6-base, .*nor numbers such as"):
        chosen_schedule(text)
