import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.strategies import integers, lists
from torch import nn

from rostra.engine.errors import InputError
from rostra.methods.diffwave.wavegan import (
    WaveGANConfig,
    WaveGANCritic,
    WaveGANGenerator,
    gradient_penalty,
    phase_shuffle,
    train_wavegan,
)


@given(shifts=lists(integers(-5, 5), min_size=1, max_size=4), length=integers(6, 13))
def test_phase_shuffle_shifts_and_reflects(shifts, length):
    x = np.random.default_rng(length).standard_normal((len(shifts), 3, length))
    shuffled = phase_shuffle(torch.from_numpy(x), torch.tensor(shifts))
    assert shuffled.shape == x.shape
    for clip, shift, found in zip(x, shifts, shuffled.numpy(), strict=True):
        padded = np.pad(clip, ((0, 0), (5, 5)), mode="reflect")
        np.testing.assert_array_equal(found, padded[:, 5 - shift : 5 - shift + length])


def test_gradient_penalty_of_a_linear_critic():
    """The slope of a linear critic is its weight, everywhere: (|w| - 1)^2."""
    random = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 5, 8, generator=random, dtype=torch.float64)
    mix = torch.rand(5, generator=random, dtype=torch.float64)
    weight = torch.randn(8, generator=random, dtype=torch.float64)
    unit = weight / weight.norm()
    assert gradient_penalty(lambda x: x @ unit + 7, real, fake, mix) < 1e-20
    steep = (3 * unit).requires_grad_()
    penalty = gradient_penalty(lambda x: x @ steep, real, fake, mix)
    torch.testing.assert_close(penalty, torch.tensor(4.0, dtype=torch.float64))
    (slope,) = torch.autograd.grad(penalty, steep)
    torch.testing.assert_close(slope, 4 * unit)  # 2 (|w| - 1) w / |w|


def test_gradient_penalty_is_taken_between_real_and_fake():
    """The slope of |x|^2 / 2 is x: the penalty tells where it was taken."""
    real, fake = torch.tensor([[3.0, 0.0], [0.0, 8.0]]), torch.tensor([[-1.0, 0.0], [0.0, 0.0]])
    mix = torch.tensor([1.0, 0.25])
    penalty = gradient_penalty(lambda x: x.square().sum(1) / 2, real, fake, mix)
    torch.testing.assert_close(penalty, torch.tensor(((3 - 1) ** 2 + (2 - 1) ** 2) / 2))


def test_wavegan_has_the_sizes_of_the_paper():
    """Donahue et al. (2019), tables 3 and 4, at 16,384 samples and 64 channels."""
    with torch.device("meta"):
        generator, critic = WaveGANGenerator(16_384, 64), WaveGANCritic(16_384, 64)
    assert tuple(generator.project.weight.shape) == (16_384, 100)
    assert [tuple(layer.weight.shape) for layer in generator.upsample] == [
        (1024, 512, 25),
        (512, 256, 25),
        (256, 128, 25),
        (128, 64, 25),
        (64, 1, 25),
    ]
    assert [tuple(layer.weight.shape) for layer in critic.downsample] == [
        (64, 1, 25),
        (128, 64, 25),
        (256, 128, 25),
        (512, 256, 25),
        (1024, 512, 25),
    ]
    assert tuple(critic.score.weight.shape) == (1, 16_384)
    assert critic.shuffled_layers == 4


@pytest.mark.parametrize("length", [64, 65, 100, 256, 1000, 4096, 5000])
def test_wavegan_makes_and_judges_clips_of_any_length(length):
    generator, critic = WaveGANGenerator(length, 2), WaveGANCritic(length, 2)
    clips = generator(torch.rand(3, 100) * 2 - 1)
    assert clips.shape == (3, length)
    assert clips.abs().max() <= 1
    assert critic(clips).shape == (3,)
    # the critic sees every sample, also the last
    clips = clips.detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(clips).sum(), clips)
    assert (slope[:, [0, length // 2, -1]] != 0).all()


def test_wavegan_layers_divide_and_multiply_the_length_by_four():
    shapes = []

    def note(module, inputs, output):
        shapes.append(output.shape[1:])

    generator, critic = WaveGANGenerator(4096, 2), WaveGANCritic(4096, 2)
    for layer in (*generator.upsample, *critic.downsample):
        layer.register_forward_hook(note)
    critic(generator(torch.zeros(1, 100)))
    assert shapes == [(8, 64), (4, 256), (2, 1024), (1, 4096), (2, 1024), (4, 256), (8, 64), (16, 16)]


def test_critic_scores_each_clip_alone_and_with_its_own_shifts():
    torch.manual_seed(0)
    critic = WaveGANCritic(1024, 4).double()
    clips = torch.rand(4, 1024, dtype=torch.float64)
    plain = critic(clips)
    torch.testing.assert_close(critic(clips, torch.zeros(critic.shuffled_layers, 4, dtype=torch.int64)), plain)
    shifts = torch.zeros(critic.shuffled_layers, 4, dtype=torch.int64)
    shifts[0, 1], shifts[1, 2] = 2, -1
    changed = (critic(clips, shifts) - plain).abs() > 1e-12
    assert changed.tolist() == [False, True, True, False]


def test_training_shuffles_by_at_most_the_configured_shift(monkeypatch):
    """All shifts from -n to n, each clip its own."""
    seen = []

    def note(x, shifts):
        seen.append(shifts)
        return phase_shuffle(x, shifts)

    monkeypatch.setattr("rostra.methods.diffwave.wavegan.phase_shuffle", note)
    noise = np.random.default_rng(0).uniform(-1, 1, (6, 256)).astype(np.float32)
    train_wavegan(noise, WaveGANConfig(channels=2, batch_size=4), steps=5)
    assert torch.cat(seen).unique().tolist() == [-2, -1, 0, 1, 2]
    assert any(len(shifts.unique()) > 1 for shifts in seen)


def test_critic_learns_the_distance_of_the_clips():
    """Real and generated clips d apart: the best slope s has the largest s d - 10 (s - 1)^2, so s = 1 + d / 20."""
    clips = np.full((4, 64), 0.6, np.float32)
    config = WaveGANConfig(channels=4, batch_size=8, critic_steps=150, lr=3e-3)
    model = train_wavegan(clips, config, steps=1)
    assert len(model.distances_) == len(model.penalties_) == 150
    assert abs(model.distances_[0]) < 1
    apart = 0.6 * math.sqrt(64)  # from silence, which an untrained generator is close to
    assert np.mean(model.distances_[-10:]) == pytest.approx(apart * (1 + apart / 20), rel=0.15)
    assert np.mean(model.penalties_[-10:]) == pytest.approx((apart / 20) ** 2, rel=0.3)
    assert model.distances_[-1] > 1 + np.mean(model.distances_[:20])
    free = train_wavegan(clips, replace(config, penalty_weight=0.0), steps=1)
    assert free.distances_[-1] > 10 * apart  # without the penalty the score has no scale


def test_generator_moves_towards_the_data():
    """Clips of constant 0.6: the generated ones start around 0 and approach it."""
    clips = np.full((4, 64), 0.6, np.float32)
    config = WaveGANConfig(channels=4, batch_size=8, lr=1e-3)
    distances = [
        (train_wavegan(clips, config, steps=steps).sample(50) - 0.6).abs().mean().item() for steps in (1, 30, 80)
    ]
    assert distances[0] > 0.5
    assert distances[0] > distances[1] > distances[2]
    assert distances[2] < 0.3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 0}, "channels must be a whole number of at least 1, got 0"),
        ({"critic_steps": True}, "critic_steps must be a whole number of at least 1, got True"),
        ({"phase_shuffle": 32}, "phase_shuffle must be at most 31, got 32"),
        ({"penalty_weight": -1.0}, "penalty_weight must be at least 0 and finite, got -1.0"),
        ({"lr": math.nan}, "lr must be above 0 and finite, got nan"),
        ({"betas": (0.5, 1.0)}, r"betas must be two numbers in \[0, 1\), got \(0.5, 1.0\)"),
    ],
)
def test_configurations_are_checked(settings, message):
    with pytest.raises(InputError, match=message):
        WaveGANConfig(**settings)


@pytest.mark.parametrize("network", [WaveGANGenerator, WaveGANCritic])
def test_wavegan_refuses_clips_shorter_than_a_layer(network):
    with pytest.raises(InputError, match="length must be a whole number of at least 64, got 63"):
        network(63, 2)
    assert isinstance(network(64, 2), nn.Module)
