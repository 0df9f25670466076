import math

import numpy as np
import pytest
import torch

from rostra.engine.errors import InputError
from rostra.methods.diffwave.wavenet import (
    CachedWaveNet,
    WaveNetConfig,
    WaveNetNetwork,
    generate_levels,
    mu_law_decode,
    mu_law_encode,
    train_wavenet,
)


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


# ---------------------------------------------------------------------- the network


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": 0}, "layers must be a whole number of at least 1, got 0"),
        ({"layers": 30, "dilation_cycle": 30}, "dilation_cycle 30 with 30 layers.*at most 20"),
        ({"lr": 0}, "lr must be above 0 and finite, got 0"),
    ],
)
def test_configurations_are_checked(settings, message):
    with pytest.raises(InputError, match=message):
        WaveNetConfig(**settings)
