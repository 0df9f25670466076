"""What WaveGAN and WaveNet have in common: trainings, budgets, samples and folders."""

import math
import time

import numpy as np
import pytest
import torch
from torch import nn

from rostra.engine.errors import InputError
from rostra.methods.diffwave.wavegan import WaveGAN, WaveGANConfig, train_wavegan
from rostra.methods.diffwave.wavenet import WaveNet, WaveNetConfig, train_wavenet

TRAININGS = {
    "wavegan": (train_wavegan, WaveGANConfig(channels=2, batch_size=4), WaveGAN),
    "wavenet": (train_wavenet, WaveNetConfig(4, 4, channels=8, skip_channels=8, batch_size=4), WaveNet),
}


def tones(n=6, length=64, seed=0):
    """Sines of random pitch and phase, shape (n, length), float32."""
    random = np.random.default_rng(seed)
    pitch, phase = random.uniform(0.1, 0.5, (n, 1)), random.uniform(0, 6, (n, 1))
    return (0.8 * np.sin(pitch * np.arange(length) + phase)).astype(np.float32)


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
    monkeypatch.setattr("rostra.methods.diffwave.comparators.SAMPLES_AT_ONCE", 2)
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
    assert (loaded.steps_, loaded.cpu_seconds_) == (3, model.cpu_seconds_)
    for name, value in vars(model).items():  # the length and the history too
        assert isinstance(value, nn.Module) or getattr(loaded, name) == value
    other = WaveNet if kind is WaveGAN else WaveGAN
    with pytest.raises(InputError, match=r"holds a 'diffwave-wave(gan|net)' model; expected one of 'diffwave-wave"):
        other.load(tmp_path / "model")


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
