"""The mathematics against check values of the paper's schedules, closed forms and properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from rostra.engine.errors import InputError
from rostra.methods.diffwave.objective import (
    FAST_SCHEDULES,
    NoiseSchedule,
    align_steps,
    cumulative_alpha,
    ddim_step,
    diffuse,
    equally_spaced,
    interpolate_linearly,
    linear_betas,
    noise_loss,
    posterior_variance,
    reverse_step,
    stratified_steps,
)

BASE = NoiseSchedule.linear(50, 1e-4, 0.05)
LARGE = NoiseSchedule.linear(200, 1e-4, 0.02)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Schedules


def test_alpha_bar_of_the_papers_schedules():
    np.testing.assert_allclose(BASE.alpha_bar[[0, 49]], [0.9999, 0.2796725], atol=5e-8)
    levels = LARGE.alpha_bar[[0, 24, 49, 99, 199]]
    np.testing.assert_allclose(levels, [0.9999, 0.9679957, 0.8801040, 0.6024803, 0.1321828], atol=5e-8)


def test_sigma_of_the_papers_schedule():
    """Of the posterior variance: at step 1 sqrt(beta) is 0.0141. The authors' float32 gives 0.0081658 there."""
    np.testing.assert_allclose(LARGE.sigma[[0, 1, 24, 199]], [0.01, 0.0081652, 0.0480676, 0.1412014], atol=5e-8)
    assert LARGE.sigma[1] == pytest.approx(math.sqrt(2e-4 * 1e-4 / (1 - 0.9999 * 0.9998)), rel=1e-9)


def test_training_steps_count_from_zero():
    assert BASE.steps == tuple(range(50))
    assert len(BASE) == 50
    assert BASE.betas[0] == 1e-4
    assert BASE.betas[-1] == 0.05


def test_linear_betas_are_evenly_spaced():
    np.testing.assert_allclose(linear_betas(5, 0.1, 0.3), [0.1, 0.15, 0.2, 0.25, 0.3], rtol=1e-15)


def test_products_are_those_of_float64():
    """Float32 loses four digits of 1 - alpha-bar at the first step."""
    assert cumulative_alpha(np.float32([1e-4, 0.5])).dtype == np.float64
    exact = math.exp(math.fsum(math.log1p(-beta) for beta in BASE.betas))
    assert BASE.alpha_bar[-1] == pytest.approx(exact, rel=1e-13)


@given(st.lists(st.floats(1e-5, 0.5), min_size=2, max_size=12))
def test_posterior_variance_is_that_of_two_gaussians(betas):
    """x_{t-1} given x_t and x_0: the precisions of prior q(x_{t-1} | x_0) and likelihood q(x_t | x_{t-1}) add up."""
    levels = cumulative_alpha(betas)
    tilde = posterior_variance(betas)
    assert tilde[0] == betas[0]
    for t in range(1, len(betas)):
        precision = 1 / (1 - levels[t - 1]) + (1 - betas[t]) / betas[t]
        assert tilde[t] == pytest.approx(1 / precision, rel=1e-8)


def test_posterior_variance_leaves_its_input_alone():
    betas = np.array([0.1, 0.2])
    posterior_variance(betas)
    np.testing.assert_array_equal(betas, [0.1, 0.2])


@pytest.mark.parametrize("betas", [(0.1, 0.0), (0.1, 1.0), (0.1, -0.1), (0.1, math.nan), (0.1, math.inf)])
def test_variances_lie_between_0_and_1(betas):
    for make in (NoiseSchedule.of, BASE.fast):
        with pytest.raises(InputError, match=r"variance 1 of the schedule is .*between 0 and 1"):
            make(betas)


def test_schedules_that_are_none():
    with pytest.raises(InputError, match="at least one variance, got none"):
        BASE.fast([])
    with pytest.raises(InputError, match="as many steps as variances, got 1 and 2"):
        NoiseSchedule((0.1, 0.2), (0.0,))
    with pytest.raises(InputError, match="at least 2 steps, got 1"):
        NoiseSchedule.linear(1, 1e-4, 0.05)


# Few steps


@pytest.mark.parametrize(
    ("training", "name", "steps"),
    [
        (BASE, "fast6-base", [0, 0.894134, 4.086654, 10.451817, 22.992493, 42.918643]),
        (LARGE, "fast6-large", [0, 3.200680, 13.430277, 33.820288, 73.982461, 170.605126]),
    ],
)
def test_aligned_steps_of_the_papers_schedules(training, name, steps):
    np.testing.assert_allclose(training.named(name).steps, steps, atol=5e-7)
    assert training.named(name).betas == FAST_SCHEDULES[name]
    assert training.named("fast6") == training.named(name)


def test_aligned_step_by_its_equation():
    """t + (sqrt(abar_t) - sqrt(gbar)) / (sqrt(abar_t) - sqrt(abar_{t+1})), for the t that brackets gbar."""
    levels = LARGE.alpha_bar
    for betas in FAST_SCHEDULES.values():
        schedule = LARGE.fast(betas)
        for level, step in zip(np.cumprod(1 - np.array(betas)), schedule.steps, strict=True):
            t = next(t for t in range(199) if levels[t + 1] <= level <= levels[t])
            share = (math.sqrt(levels[t]) - math.sqrt(level)) / (math.sqrt(levels[t]) - math.sqrt(levels[t + 1]))
            assert step == pytest.approx(t + share, abs=1e-9)


@pytest.mark.parametrize("training", [BASE, LARGE, NoiseSchedule.linear(20, 1e-4, 0.05)])
def test_the_training_schedule_aligns_with_itself(training):
    np.testing.assert_allclose(training.fast(training.betas).steps, np.arange(len(training)), atol=1e-9)
    assert training.named("full") is training


def test_schedules_in_range_of_shorter_trainings():
    assert NoiseSchedule.linear(40, 1e-4, 0.05).named("fast6-base").steps[-1] == pytest.approx(38.210209, abs=5e-7)
    assert len(NoiseSchedule.linear(20, 1e-4, 0.05).fast([1e-3, 1e-2, 0.05, 0.2])) == 4
    assert len(BASE.named("fast12")) == len(LARGE.named("fast12")) == 12


@pytest.mark.parametrize(
    ("training", "betas", "step", "level", "low", "high"),
    [
        (NoiseSchedule.linear(20, 1e-4, 0.05), FAST_SCHEDULES["fast6-base"], 5, "0.3757", "0.6006", "0.9999"),
        (BASE, (1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.9), 5, "0.07515", "0.27967", "0.9999"),
        (BASE, (5e-5, 1e-3), 0, "0.99995", "0.27967", "0.9999"),
    ],
)
def test_noise_levels_outside_the_training(training, betas, step, level, low, high):
    with pytest.raises(InputError) as error:
        training.fast(betas)
    message = str(error.value)
    assert f"step {step} of" in message
    assert level in message
    assert f"between {low}" in message
    assert f"and {high}, the range of the {len(training)} training steps" in message


def test_rounding_at_the_ends_of_the_range_is_forgiven():
    levels = BASE.alpha_bar
    inside = np.array([levels[0] * (1 + 9e-10), levels[-1] * (1 - 9e-10)])
    np.testing.assert_array_equal(align_steps(levels, inside), [0, 49])
    for level in (levels[0] * (1 + 2e-9), levels[-1] * (1 - 2e-9)):
        with pytest.raises(InputError, match="step 0"):
            align_steps(levels, np.array([level]))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_alignment_rises_as_the_level_falls(places):
    levels = LARGE.alpha_bar
    wanted = np.sort(levels[-1] + np.array(places) * (levels[0] - levels[-1]))[::-1]
    steps = align_steps(levels, wanted)
    assert (np.diff(steps) >= 0).all()
    assert steps.min() >= 0
    assert steps.max() <= 199
    below, above = np.floor(steps).astype(int), np.ceil(steps).astype(int)
    assert (wanted <= levels[below] * (1 + 1e-12)).all()
    assert (wanted >= levels[above] * (1 - 1e-12)).all()


@given(st.integers(2, 60), st.floats(1e-4, 0.1), st.floats(1e-4, 0.1))
def test_alignment_is_the_identity_on_any_training_schedule(steps, first, last):
    levels = cumulative_alpha(linear_betas(steps, first, last))
    np.testing.assert_allclose(align_steps(levels, levels), np.arange(steps), atol=1e-9)


def test_unknown_schedules_are_named():
    with pytest.raises(InputError, match="'fast7' is not known; take full, fast6, fast6-base, fast6-large, fast12"):
        BASE.named("fast7")


@given(st.integers(2, 50))
def test_equally_spaced_steps_pass_the_same_noise_levels(count):
    schedule = equally_spaced(BASE, count)
    steps = np.array(schedule.steps, dtype=int)
    assert len(schedule) == count
    assert steps[0] == 0
    assert steps[-1] == 49
    assert (np.diff(steps) > 0).all()
    assert np.abs(steps - 49 * np.arange(count) / (count - 1)).max() <= 0.5
    np.testing.assert_allclose(schedule.alpha_bar, BASE.alpha_bar[steps], rtol=1e-12)


def test_all_steps_equally_spaced_are_the_training_schedule():
    np.testing.assert_allclose(equally_spaced(BASE, 50).betas, BASE.betas, rtol=1e-10)
    for count in (1, 51):
        with pytest.raises(InputError, match=f"count is {count}; it must lie between 2 and the schedule's 50 steps"):
            equally_spaced(BASE, count)


# Forward process, loss


def test_steps_of_the_forward_process_compose_to_diffuse():
    """sqrt(1 - beta) x + sqrt(beta) noise, step by step, has the mean and the variance of equation 6."""
    audio = draw(3, 7)
    mean, variance = audio.clone(), 0.0
    for beta in BASE.betas[:20]:
        mean, variance = mean * math.sqrt(1 - beta), variance * (1 - beta) + beta
    level = torch.full((3,), BASE.alpha_bar[19], dtype=torch.float64)
    torch.testing.assert_close(diffuse(audio, torch.zeros(3, 7, dtype=torch.float64), level), mean)
    ones = torch.ones(3, 7, dtype=torch.float64)
    torch.testing.assert_close(diffuse(torch.zeros_like(ones), ones, level), ones * math.sqrt(variance))


def test_each_item_is_diffused_to_its_own_step():
    audio, noise = draw(2, 5), draw(2, 5, seed=1)
    levels = torch.tensor([1.0, 0.36], dtype=torch.float64)
    x = diffuse(audio, noise, levels)
    torch.testing.assert_close(x[0], audio[0])
    torch.testing.assert_close(x[1], 0.6 * audio[1] + 0.8 * noise[1])


def test_losses_of_each_item():
    predicted, noise = torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, -4.0]])
    assert noise_loss(predicted, noise).tolist() == [2.5, 8.0]
    assert noise_loss(predicted, noise, "l1").tolist() == [1.5, 2.0]


def test_interpolation_ends_at_its_sounds():
    a, b = draw(2, 4), draw(2, 4, seed=1)
    assert torch.equal(interpolate_linearly(a, b, 0.0), a)
    assert torch.equal(interpolate_linearly(a, b, 1.0), b)
    torch.testing.assert_close(interpolate_linearly(a, b, 0.25), a + 0.25 * (b - a))


# Strata


@given(st.integers(1, 16), st.integers(1, 8), st.integers(0, 2**31))
def test_each_stratum_gives_one_step(count, width, seed):
    generator = torch.Generator().manual_seed(seed)
    steps = stratified_steps(count, count * width, generator)
    assert steps.dtype == torch.int64
    assert sorted((steps // width).tolist()) == list(range(count))


@given(st.integers(1, 40), st.integers(1, 200), st.integers(0, 2**31))
def test_strata_of_any_size_stay_in_range_and_in_order(count, steps, seed):
    """The k-th smallest step lies in [k, k + 1) steps / count, also where that is no whole number."""
    drawn = np.sort(stratified_steps(count, steps, torch.Generator().manual_seed(seed)).numpy())
    k = np.arange(count)
    assert (drawn >= np.floor(k * steps / count)).all()
    assert (drawn <= np.floor((k + 1) * steps / count)).all()
    assert drawn.max() < steps


@pytest.mark.parametrize("place", [0, 5])
def test_each_item_draws_uniformly_from_all_steps(place):
    """16 strata of 50 steps: boundaries fall inside steps, and an item must still be uniform."""
    generator = torch.Generator().manual_seed(place)
    drawn = [int(stratified_steps(16, 50, generator)[place]) for _ in range(10_000)]
    assert chisquare(np.bincount(drawn, minlength=50)).pvalue > 0.01


def test_items_of_a_batch_are_in_random_order():
    steps = torch.stack([stratified_steps(8, 64, torch.Generator().manual_seed(seed)) for seed in range(200)])
    correlation = np.corrcoef(steps[:, 0].numpy(), steps[:, 1].numpy())[0, 1]
    assert -0.35 < correlation < 0.1  # -1/7 within three standard errors, for a random order of eight strata


# Reverse steps


@pytest.mark.parametrize("schedule", [BASE, BASE.named("fast6"), LARGE.named("fast6")])
def test_reverse_step_has_the_mean_of_the_posterior(schedule):
    """With the true noise the mean is q(x_{t-1} | x_t, x_0)'s, which equation 7's is derived from."""
    clean, noise, fresh = draw(2, 9), draw(2, 9, seed=1), draw(2, 9, seed=2)
    for step in range(1, len(schedule)):
        beta, level, before = schedule.betas[step], schedule.alpha_bar[step], schedule.alpha_bar[step - 1]
        x = math.sqrt(level) * clean + math.sqrt(1 - level) * noise
        mean = math.sqrt(before) * beta / (1 - level) * clean + math.sqrt(1 - beta) * (1 - before) / (1 - level) * x
        spread = math.sqrt(beta * (1 - before) / (1 - level))
        torch.testing.assert_close(reverse_step(x, noise, fresh, schedule, step), mean + spread * fresh)


def test_the_last_reverse_step_gives_the_clean_sound_and_adds_no_noise():
    clean, noise, fresh = draw(2, 9), draw(2, 9, seed=1), draw(2, 9, seed=2)
    x = math.sqrt(BASE.alpha_bar[0]) * clean + math.sqrt(1 - BASE.alpha_bar[0]) * noise
    for given_noise in (None, fresh):
        torch.testing.assert_close(reverse_step(x, noise, given_noise, BASE, 0), clean)
    with pytest.raises(ValueError, match="needs noise"):
        reverse_step(x, noise, None, BASE, 1)


def test_ddim_stays_on_the_line_from_clean_to_noise():
    """With the true noise, each step gives x at the level before: the same clean sound and the same noise."""
    clean, noise = draw(2, 9), draw(2, 9, seed=1)
    schedule = BASE.named("fast6")
    x = math.sqrt(schedule.alpha_bar[5]) * clean + math.sqrt(1 - schedule.alpha_bar[5]) * noise
    for step in range(5, 0, -1):
        x = ddim_step(x, noise, schedule, step)
        level = schedule.alpha_bar[step - 1]
        torch.testing.assert_close(x, math.sqrt(level) * clean + math.sqrt(1 - level) * noise)
    torch.testing.assert_close(ddim_step(x, noise, schedule, 0), clean)
