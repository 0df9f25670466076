"""Generated sounds are what their class says, and noise has the power and colour that it is named by."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import welch

from rostra.engine.errors import InputError
from rostra.methods.diffwave.sounds import CONTOURS, mix_at_snr, noise, synthetic_sounds

# --- Generated sounds


def test_fewer_sounds_of_a_seed_are_the_first_of_more():
    many, few, other = (synthetic_sounds(n, length=512, seed=seed) for n, seed in ((12, 3), (5, 3), (5, 4)))
    assert (many.names[:5], many.label_names, many.sample_rate) == (few.names, few.label_names, few.sample_rate)
    assert np.array_equal(many.labels[:5], few.labels)
    assert all(np.array_equal(a, b) for a, b in zip(many.audio[:5], few.audio, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(few.audio, other.audio, strict=True))
    assert len({samples.tobytes() for samples in many.audio}) == 12
    assert many.labels.tolist() == [0, 1, 2, 3] * 3
    assert few.label_names == ("rising", "falling", "steady", "dip")


@given(st.integers(1, 10), st.sampled_from([1000, 8000, 22_050]), st.integers(1, 3000))
def test_sounds_are_in_range_at_any_rate_and_length(classes, rate, length):
    clips = synthetic_sounds(2, classes=classes, sample_rate=rate, length=length)
    assert clips.sample_rate == rate
    for samples in clips.audio:
        assert samples.shape == (length,)
        assert np.isfinite(samples).all()
        assert 0.5 <= np.abs(samples).max() < 0.9501


def test_the_class_can_be_heard():
    """The contour under which a sound's fundamental is strongest, at any middle pitch, is that of its class."""
    length, rate = 4096, 8000
    clips = synthetic_sounds(60, classes=10, sample_rate=rate, length=length, seed=1)
    sounds = np.stack(clips.audio).astype(np.complex64)
    u = np.arange(length) / length
    middles = np.arange(108, 333)[:, None]
    strength = []
    for contour in CONTOURS.values():
        turns = np.cumsum(2 ** contour(u)) / rate
        strength.append(np.abs(sounds @ np.exp(-2j * np.pi * middles * turns).astype(np.complex64).T).max(axis=1))
    assert (np.argmax(strength, axis=0) == clips.labels).mean() > 0.98


def test_contours_are_what_they_are_called():
    u = np.linspace(0, 1, 1001)
    glide = {name: contour(u) for name, contour in CONTOURS.items()}
    assert (np.diff(glide["rising"]) > 0).all()
    assert glide["rising"][-1] - glide["rising"][0] == 1  # one octave
    assert (np.diff(glide["falling"]) < 0).all()
    assert not glide["steady"].any()
    assert glide["dip"].argmin() == 500
    assert glide["arch"].argmax() == 500
    assert np.abs(np.diff(glide["step up"])).argmax() in (499, 500)
    assert max(np.abs(line).max() for line in glide.values()) <= 0.5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 0}, "n is 0; it must be at least 1"),
        ({"classes": 11}, "classes is 11; it must be from 1 to 10"),
        ({"sample_rate": 500}, "sample_rate is 500; it must be at least 1000"),
        ({"length": 0}, "length is 0"),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
    ],
)
def test_sounds_that_cannot_be_made(wrong, message):
    with pytest.raises(InputError, match=message):
        synthetic_sounds(**{"n": 2, **wrong})


# --- Noise


@pytest.mark.parametrize(("kind", "slope"), [("white", 0.0), ("pink", -1.0)])
def test_the_colour_of_noise(kind, slope):
    """Power falls with frequency to the power of the slope, on a log-log scale."""
    samples = noise(kind, 2**17, np.random.default_rng(0))
    assert samples.dtype == np.float32
    frequency, power = welch(samples.astype(np.float64), nperseg=4096)
    inside = slice(8, -1)
    found = np.polyfit(np.log(frequency[inside]), np.log(power[inside]), 1)[0]
    assert found == pytest.approx(slope, abs=0.05)


@given(st.sampled_from(["white", "pink", "babble"]), st.integers(2, 500), st.integers(0, 99))
def test_noise_has_power_one_and_is_a_function_of_its_stream(kind, length, seed):
    clips = synthetic_sounds(3, length=64).audio
    one, again = (noise(kind, length, np.random.default_rng(seed), clips) for _ in range(2))
    assert one.shape == (length,)
    assert np.mean(one.astype(np.float64) ** 2) == pytest.approx(1, rel=1e-5)
    assert np.array_equal(one, again)


def test_babble_is_made_of_all_clips_with_equal_power():
    """How loud or long a clip is does not decide how much of it is heard; the voices do not begin together."""
    t = np.arange(4000)
    tones = [np.sin(2 * np.pi * t * frequency) for frequency in (0.05, 0.11, 0.23)]
    clips = [(gain * tone).astype(np.float32) for gain, tone in zip((1e-3, 1.0, 0.1), tones, strict=True)]
    babble = noise("babble", 100_000, np.random.default_rng(0), clips)
    louder = noise("babble", 100_000, np.random.default_rng(0), [1000 * clip for clip in clips])
    np.testing.assert_allclose(babble, louder, atol=1e-5)
    frequency, power = welch(babble, nperseg=1024)
    shares = [power[np.abs(frequency - tone) < 0.01].sum() / power.sum() for tone in (0.05, 0.11, 0.23)]
    assert sum(shares) > 0.97
    assert min(shares) > 0.2
    ramp = [np.linspace(0.1, 1, 4000).astype(np.float32)]
    assert np.std(noise("babble", 4000, np.random.default_rng(0), ramp)[:100]) > 0
    starts = {float(noise("babble", 1000, np.random.default_rng(seed), ramp)[0]) for seed in range(5)}
    assert len(starts) == 5


def test_babble_of_padded_clips_is_heard():
    clip = np.zeros(1000, np.float32)
    clip[100:110] = 1
    assert np.isfinite(noise("babble", 5, np.random.default_rng(0), [clip])).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("brown", 9), "kind is 'brown'; it must be one of white, pink, babble"),
        (("white", 0), "length is 0; white noise has at least 1 sample$"),
        (("pink", 1), "length is 1; pink noise has at least 2 samples"),
        (("babble", 9), "give some as babble_from"),
        (("babble", 9, []), "give some as babble_from"),
        (("babble", 9, [np.zeros(5, np.float32)]), "clip 0 of babble_from is silent"),
        (("babble", 3, [np.r_[1.0, np.zeros(10**6), 1.0]]), "silent for 3 samples and more"),
    ],
)
def test_noise_that_cannot_be_made(arguments, message):
    kind, length, *rest = arguments
    with pytest.raises(InputError, match=message):
        noise(kind, length, np.random.default_rng(0), *rest)


@given(st.floats(-40, 60), st.floats(1e-4, 1), st.floats(1e-4, 1), st.integers(0, 99))
def test_the_ratio_is_exact_whatever_the_levels(snr, loud, quiet, seed):
    rng = np.random.default_rng(seed)
    clean = loud * rng.standard_normal(400)
    added = quiet * rng.uniform(-1, 1, 400)
    noisy = mix_at_snr(clean, added, snr)
    assert noisy.dtype == np.float32
    rest = noisy - clean
    assert 10 * np.log10(np.mean(clean**2) / np.mean(rest**2)) == pytest.approx(snr, abs=0.01)
    assert np.corrcoef(rest, added)[0, 1] > 0.999


@pytest.mark.parametrize(
    ("clean", "added", "snr", "message"),
    [
        ([1.0, 2.0], [1.0], 0, r"clean has shape \(2,\) and noise \(1,\)"),
        ([[1.0]], [[1.0]], 0, r"both must be \(L,\)"),
        ([0.0, 0.0], [1.0, 1.0], 0, "clean is silent"),
        ([1.0, 0.0], [0.0, 0.0], 0, "noise is silent"),
        ([1.0, np.nan], [1.0, 1.0], 0, "clean holds NaN"),
        ([1.0, 1.0], [1.0, np.inf], 0, "noise holds NaN or infinite"),
        ([1.0, 1.0], [1.0, 1.0], np.inf, "snr_db is inf"),
    ],
)
def test_sounds_that_cannot_be_mixed(clean, added, snr, message):
    with pytest.raises(InputError, match=message):
        mix_at_snr(clean, added, snr)
