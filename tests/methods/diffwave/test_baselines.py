import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.strategies import integers, lists
from torch import nn

from rostra.engine.errors import InputError
from rostra.methods.diffwave.baselines import (
    CachedWaveNet,
    WaveGAN,
    WaveGANConfig,
    WaveGANCritic,
    WaveGANGenerator,
    WaveNet,
    WaveNetConfig,
    WaveNetNetwork,
    generate_levels,
    gradient_penalty,
    mu_law_decode,
    mu_law_encode,
    phase_shuffle,
    train_wavegan,
    train_wavenet,
)

SMALL_GAN = WaveGANConfig(channels=2, batch_size=4)
SMALL_NET = WaveNetConfig(layers=4, dilation_cycle=4, channels=8, skip_channels=8, batch_size=4)
TRAININGS = {
    "wavegan": (train_wavegan, SMALL_GAN, WaveGAN),
    "wavenet": (train_wavenet, SMALL_NET, WaveNet),
}


def tones(n=6, length=64, seed=0):
    """Sines of random pitch and phase, shape (n, length), float32."""
    random = np.random.default_rng(seed)
    pitch, phase = random.uniform(0.1, 0.5, (n, 1)), random.uniform(0, 6, (n, 1))
    return (0.8 * np.sin(pitch * np.arange(length) + phase)).astype(np.float32)


def network_of(seed=0, **settings):
    """A WaveNet with weights large enough that everything matters."""
    torch.manual_seed(seed)
    network = WaveNetNetwork(WaveNetConfig(**{"channels": 8, "skip_channels": 16, **settings}))
    with torch.no_grad():
        network.logits.weight.mul_(10)
        network.bias.normal_()
    return network.requires_grad_(False)


# ---------------------------------------------------------------------- mu-law


def expanded(curve):
    """The mu-law curve backwards, as the standard writes it."""
    return np.sign(curve) * (256.0 ** np.abs(curve) - 1) / 255


def test_mu_law_keeps_every_level():
    levels = torch.arange(256)
    audio = mu_law_decode(levels)
    assert torch.equal(mu_law_encode(audio), levels)
    np.testing.assert_allclose(audio, expanded(np.arange(256) * 2 / 255 - 1), atol=1e-7)
    assert (audio[0], audio[255]) == (-1, 1)
    assert audio.dtype == torch.float32
    assert audio.diff().min() > 0


def test_mu_law_errs_by_at_most_half_a_cell_at_every_level():
    audio = torch.cat([torch.linspace(-1, 1, 200_001), torch.logspace(-6, -2, 2001), -torch.logspace(-6, -2, 2001)])
    levels = mu_law_encode(audio).numpy()
    assert len(np.unique(levels)) == 256
    error = np.abs(mu_law_decode(torch.from_numpy(levels)).numpy() - audio.numpy())
    cells = expanded(np.clip((np.arange(256)[:, None] + [-0.5, 0, 0.5]) * 2 / 255 - 1, -1, 1))
    largest = np.diff(cells, axis=1).max(1)
    for level in range(256):
        worst = error[levels == level].max()
        assert worst <= largest[level] + 1e-6
        assert worst >= 0.5 * largest[level]  # the bound is not an empty one


def test_mu_law_of_silence_and_beyond_the_range():
    assert mu_law_encode(torch.tensor([0.0, 1.0, -1.0, 3.0, -3.0])).tolist() == [128, 255, 0, 255, 0]


# ---------------------------------------------------------------------- WaveNet


@pytest.mark.parametrize(("layers", "cycle"), [(1, 1), (4, 4), (6, 3)])
def test_wavenet_depends_on_exactly_its_receptive_field(layers, cycle):
    """Changing one sample changes the logits of the r samples after it, not its own and none before."""
    network, field, place = network_of(layers=layers, dilation_cycle=cycle).double(), 0, 7
    field = WaveNetConfig(layers=layers, dilation_cycle=cycle).receptive_field
    assert field == 1 + sum(2 ** (i % cycle) for i in range(layers))
    before = torch.randint(256, (1, 60), generator=torch.Generator().manual_seed(1))
    after = before.clone()
    after[0, place] = (before[0, place] + 99) % 256
    changed = (network(before) != network(after)).any(-1)[0].nonzero()[:, 0].tolist()
    assert changed == list(range(place + 1, place + 1 + field))


def test_wavenet_sees_no_future():
    """The logits at t are those of the clip cut after t - 1, whatever follows."""
    network = network_of(layers=6, dilation_cycle=6)
    random = torch.Generator().manual_seed(0)
    levels = torch.randint(256, (2, 50), generator=random)
    logits = network(levels)
    for t in (0, 1, 17, 48):
        other = levels.clone()
        other[:, t:] = torch.randint(256, (2, 50 - t), generator=random)
        torch.testing.assert_close(network(other)[:, : t + 1], logits[:, : t + 1])
    assert not torch.equal(logits[0, 20], logits[1, 20])
    torch.testing.assert_close(logits[0, 0], logits[1, 0])  # nothing is known before the first sample


@pytest.mark.parametrize(("layers", "cycle", "length"), [(1, 1, 5), (5, 3, 40), (7, 7, 20), (7, 7, 150)])
def test_cached_generation_is_the_plain_network_on_what_it_generated(layers, cycle, length):
    network = network_of(layers=layers, dilation_cycle=cycle)
    uniforms = torch.rand(3, length, generator=torch.Generator().manual_seed(2))
    levels = generate_levels(network, uniforms)
    logits = network(levels)

    cached = CachedWaveNet(network, 3)
    fed = torch.cat([torch.full((3, 1), 128), levels[:, :-1]], 1)
    torch.testing.assert_close(
        torch.stack([cached.step(fed[:, t]) for t in range(length)], 1), logits, atol=1e-4, rtol=1e-4
    )

    # each level is where the plain network's cumulative distribution passes its number
    upper = logits.softmax(-1).cumsum(-1)
    reached = upper.gather(2, levels[..., None])[..., 0]
    missed = reached - logits.softmax(-1).gather(2, levels[..., None])[..., 0]
    assert (reached >= uniforms - 1e-4).all()
    assert (missed <= uniforms + 1e-4).all()
    assert len(levels.unique()) > 4


def test_levels_are_drawn_from_the_distribution_of_the_network():
    network = network_of(layers=2, dilation_cycle=2)
    shares = torch.zeros(256)
    shares[[3, 100, 255]] = torch.tensor([0.5, 0.3, 0.2])
    network.logits.weight.zero_()
    network.logits.bias.copy_(shares.log())
    n = 40 * 500
    levels = generate_levels(network, torch.rand(40, 500, generator=torch.Generator().manual_seed(3)))
    for level, share in ((3, 0.5), (100, 0.3), (255, 0.2)):
        assert abs((levels == level).float().mean() - share) < 4 * math.sqrt(share * (1 - share) / n)
    # the ends: a level of probability 0 is never drawn
    ends = torch.tensor([[0.0, 0.4999, 0.5001, 1 - 2**-24]])
    assert generate_levels(network, ends).tolist() == [[3, 3, 100, 255]]


def test_wavenet_starts_from_knowing_nothing_and_learns():
    losses = train_wavenet(tones(), WaveNetConfig(4, 4, 16, 16, 4, 5e-3), steps=60).losses_
    assert len(losses) == 60
    assert abs(losses[0] - math.log(256)) < 0.3
    assert np.mean(losses[-5:]) < losses[0] - 1


def test_wavenet_recites_the_only_clip_it_knows():
    clip = tones(1, 48)
    model = train_wavenet(clip, WaveNetConfig(5, 5, 16, 32, 2, 1e-2), steps=250)
    samples = model.sample(4, seed=1)
    assert (samples - torch.from_numpy(clip)).abs().median() < 0.02  # about a step of the levels
    assert model.losses_[-1] < 0.3


# ---------------------------------------------------------------------- WaveGAN


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

    monkeypatch.setattr("rostra.methods.diffwave.baselines.phase_shuffle", note)
    train_wavegan(tones(length=256), SMALL_GAN, steps=5)
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


# ---------------------------------------------------------------------- what both share


@pytest.fixture(scope="module", params=TRAININGS)
def trained(request):
    """(trained model, its training, its configuration, its class)."""
    train, config, kind = TRAININGS[request.param]
    return train(tones(length=80), config, steps=3, seed=5), train, config, kind


def test_samples_are_clips_of_the_training_length(trained):
    model = trained[0]
    samples = model.sample(7, seed=3)
    assert isinstance(samples, torch.Tensor)
    assert samples.shape == (7, 80)
    assert samples.dtype == torch.float32
    assert samples.abs().max() <= 1
    assert not samples.requires_grad
    assert not torch.equal(samples[0], samples[1])
    samples.add_(1)  # an ordinary tensor, not one of inference mode


def test_samples_depend_on_the_seed_alone(trained):
    model = trained[0]
    torch.manual_seed(1)
    once = model.sample(4, seed=3)
    torch.manual_seed(2)
    assert torch.equal(once, model.sample(4, seed=3))
    assert not torch.equal(once, model.sample(4, seed=4))


def test_a_sample_does_not_depend_on_how_many_are_made(trained, monkeypatch):
    model = trained[0]
    many = model.sample(5, seed=3)
    torch.testing.assert_close(model.sample(2, seed=3), many[:2])
    monkeypatch.setattr("rostra.methods.diffwave.baselines.SAMPLES_AT_ONCE", 2)
    torch.testing.assert_close(model.sample(5, seed=3), many)


def test_training_depends_on_its_seed_alone(trained):
    model, train, config, _ = trained
    state = torch.random.get_rng_state()
    again = train(tones(length=80), config, steps=3, seed=5)
    assert torch.equal(torch.random.get_rng_state(), state)  # and leaves the caller's numbers alone
    assert torch.equal(again.sample(2), model.sample(2))
    other = train(tones(length=80), config, steps=3, seed=6)
    assert not torch.equal(other.sample(2), model.sample(2))


def test_save_and_load_give_the_same_model(trained, tmp_path):
    model, _, config, kind = trained
    model.save(tmp_path / "model")
    loaded = kind.load(tmp_path / "model")
    assert torch.equal(loaded.sample(3, seed=9), model.sample(3, seed=9))
    assert loaded.config == config
    assert loaded.state()[1] == model.state()[1]
    assert (loaded.steps_, loaded.cpu_seconds_) == (3, model.cpu_seconds_)
    other = WaveNet if kind is WaveGAN else WaveGAN
    with pytest.raises(InputError, match=r"holds a 'diffwave-wave(gan|net)' model; expected one of 'diffwave-wave"):
        other.load(tmp_path / "model")


def test_state_goes_through_json_and_back(trained):
    model, _, _, kind = trained
    tensors, content = model.state()
    copy = kind.from_state({name: tensor.clone() for name, tensor in tensors.items()}, content)
    assert torch.equal(copy.sample(2), model.sample(2))


@pytest.mark.parametrize("name", TRAININGS)
def test_training_stops_when_the_cpu_seconds_are_spent(name, monkeypatch):
    """On a clock that gains a second each time that it is read: once at the start, once after every step."""
    train, config, _ = TRAININGS[name]
    seconds = iter(range(1000))
    monkeypatch.setattr(time, "process_time", lambda: float(next(seconds)))
    model = train(tones(), config, cpu_seconds=4)
    assert model.steps_ == 4
    assert model.cpu_seconds_ == 5  # read once more at the end
    assert model.cpu_seconds_ >= 4


@pytest.mark.parametrize("name", TRAININGS)
def test_real_cpu_seconds_are_counted(name):
    train, config, _ = TRAININGS[name]
    before = time.process_time()
    model = train(tones(), config, cpu_seconds=0.2)
    assert 0.2 <= model.cpu_seconds_ <= time.process_time() - before
    assert model.steps_ > 1


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_says_what_is_wrong_with_its_input(name):
    train, config, _ = TRAININGS[name]
    audio = tones()
    hole, loud = audio.copy(), audio.copy()
    hole[2, 5] = np.nan
    loud[1, 7] = 1.5
    for wrong, message in (
        (audio[0], r"audio has shape \(64,\); expected \(n, L\).*audio\[None\]"),
        (audio[None], r"audio has shape \(1, 6, 64\); expected \(n, L\)"),
        (audio[:0], r"audio has shape \(0, 64\).*at least one clip"),
        (audio[:, :1], r"the clips of audio have 1 samples; expected at least (64|2)$"),
        ((audio * 32767).astype(np.int16), r"audio is int16; expected float32 in \[-1, 1\] \(int16 divided by 32768\)"),
        (hole, r"audio holds 1 values that are not finite \(first in clip 2, sample 5\)"),
        (loud, r"clip 1 of audio reaches 1\.5; expected values in \[-1, 1\]"),
    ):
        with pytest.raises(InputError, match=message):
            train(wrong, config, steps=1)


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({}, r"either cpu_seconds or steps, got neither; give exactly one"),
        ({"cpu_seconds": 5.0, "steps": 3}, r"got cpu_seconds=5\.0 and steps=3; give exactly one"),
        ({"steps": 0}, r"steps must be a whole number of at least 1, got 0"),
        ({"steps": 2.5}, r"steps must be a whole number of at least 1, got 2\.5"),
        ({"cpu_seconds": 0}, r"cpu_seconds must be above 0 and finite, got 0"),
        ({"cpu_seconds": math.inf}, r"cpu_seconds must be above 0 and finite, got inf"),
        ({"steps": 1, "seed": -1}, r"seed must be a whole number of at least 0, got -1"),
        ({"steps": 1, "device": "no such"}, r"device 'no such' cannot be used"),
    ],
)
def test_a_training_says_what_is_wrong_with_its_budget(name, budget, message):
    train, config, _ = TRAININGS[name]
    with pytest.raises(InputError, match=message):
        train(tones(), config, **budget)


def test_a_loss_that_is_not_finite_is_an_error():
    with pytest.raises(InputError, match=r"loss of WaveNet is (nan|inf) at step \d+; choose an lr below 1e\+30"):
        train_wavenet(tones(), WaveNetConfig(2, 2, 4, 4, 2, 1e30), steps=20)
    with pytest.raises(InputError, match=r"loss of WaveGAN is (nan|inf) at step \d+; choose an lr below 1e\+30"):
        train_wavegan(tones(), WaveGANConfig(channels=2, batch_size=2, lr=1e30), steps=20)


def test_sampling_says_what_is_wrong(trained):
    with pytest.raises(InputError, match="n must be a whole number of at least 1, got 0"):
        trained[0].sample(0)
    with pytest.raises(InputError, match="seed must be a whole number of at least 0, got -1"):
        trained[0].sample(1, seed=-1)


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (WaveGANConfig, {"channels": 0}, "channels must be a whole number of at least 1, got 0"),
        (WaveGANConfig, {"critic_steps": True}, "critic_steps must be a whole number of at least 1, got True"),
        (WaveGANConfig, {"phase_shuffle": 32}, "phase_shuffle must be at most 31, got 32"),
        (WaveGANConfig, {"penalty_weight": -1.0}, "penalty_weight must be at least 0 and finite, got -1.0"),
        (WaveGANConfig, {"lr": math.nan}, "lr must be above 0 and finite, got nan"),
        (WaveGANConfig, {"betas": (0.5, 1.0)}, r"betas must be two numbers in \[0, 1\), got \(0.5, 1.0\)"),
        (WaveNetConfig, {"layers": 0}, "layers must be a whole number of at least 1, got 0"),
        (WaveNetConfig, {"layers": 30, "dilation_cycle": 30}, "dilation_cycle 30 with 30 layers.*at most 20"),
        (WaveNetConfig, {"lr": 0}, "lr must be above 0 and finite, got 0"),
    ],
)
def test_configurations_are_checked(config, settings, message):
    with pytest.raises(InputError, match=message):
        config(**settings)


@pytest.mark.parametrize("network", [WaveGANGenerator, WaveGANCritic])
def test_wavegan_refuses_clips_shorter_than_a_layer(network):
    with pytest.raises(InputError, match="length must be a whole number of at least 64, got 63"):
        network(63, 2)
    assert isinstance(network(64, 2), nn.Module)
