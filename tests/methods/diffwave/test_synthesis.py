"""The vocoder and the generator: what the same seed means, what labels and steps mean, and Gaussian sounds exactly."""

import contextlib
import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rostra.engine.errors import InputError
from rostra.methods.diffwave import synthesis
from rostra.methods.diffwave.checkpoints import SavedModel, save_model
from rostra.methods.diffwave.data import load_ljspeech_sample
from rostra.methods.diffwave.features import mel_spectrogram
from rostra.methods.diffwave.model import DiffWave, DiffWaveConfig
from rostra.methods.diffwave.pretrained import MODELS
from rostra.methods.diffwave.sounds import synthetic_sounds
from rostra.methods.diffwave.synthesis import Generator, Vocoder
from rostra.methods.diffwave.training import TrainConfig, fit

TINY = {
    "residual_layers": 4,
    "residual_channels": 8,
    "dilation_cycle_length": 4,
    "sample_rate": 8000,
    "clip_samples": 1024,
    "noise_schedule": (20, 1e-4, 0.05),
    "inference_noise_schedule": (1e-3, 1e-2, 0.05, 0.2),
}
PLAIN = DiffWaveConfig(**TINY, condition="none")
LABEL = DiffWaveConfig(**TINY, condition="label", n_classes=4)
FRONT = {"n_mels": 20, "n_fft": 256, "win_length": 256, "hop_samples": 64, "f_max": 4000.0}
MEL = DiffWaveConfig(**TINY | {"noise_schedule": (50, 1e-4, 0.05)}, **FRONT)
LMNT = DiffWaveConfig(**TINY, **FRONT, features="lmnt", f_min=20.0, upsampler="shared", embedding="table", clamp="each")

LOUD_LMNT = dataclasses.replace(LMNT, clamp="final")


def mel_error(recording, copy):
    """Mean absolute difference of log-mels, whatever the rate."""
    mels = [mel_spectrogram(torch.from_numpy(np.array(x)), MEL.mel) for x in (recording, copy)]
    return float((mels[0] - mels[1]).abs().mean())


def trained(config, steps=25):
    """Past its first steps, so that all weights take part."""
    training = TrainConfig(batch_size=4, lr=3e-3, stratified=True)
    return fit(synthetic_sounds(8, length=1024), config, training, steps=steps, device="cpu")


@pytest.fixture(scope="module")
def plain():
    return Generator(trained(PLAIN), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def labelled():
    return Generator(trained(LABEL), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def vocoder():
    return Vocoder(trained(MEL, 60), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def sound():
    return synthetic_sounds(1, length=1500, seed=9).audio[0]


# The vocoder


def test_frames_become_hop_times_as_many_samples(vocoder):
    mel = torch.full((20, 5), -5.0)
    single = vocoder.vocode(mel, steps="fast6")
    assert (single.shape, single.dtype) == ((320,), np.float32)
    batch = vocoder.vocode(mel.expand(3, -1, -1).numpy(), steps="fast6")
    assert batch.shape == (3, 320)
    np.testing.assert_allclose(batch[0], single, rtol=0, atol=1e-5)
    assert not np.allclose(batch[0], batch[1], atol=1e-3)  # each has its own noise


@settings(max_examples=8)
@given(st.integers(129, 700))
def test_copy_synthesis_has_the_recordings_length(vocoder, length):
    audio = synthetic_sounds(1, length=700).audio[0][:length]
    assert vocoder.copy_synthesis(audio, steps=[1e-3, 0.2]).shape == (length,)


def test_a_mel_alone_or_among_others_gives_the_same_sound(vocoder):
    """An item's noise does not depend on the batch."""
    mels = torch.stack([mel_spectrogram(torch.from_numpy(c), MEL.mel) for c in synthetic_sounds(3, length=800).audio])
    alone, among = vocoder.vocode(mels[:1], seed=3), vocoder.vocode(mels, seed=3)
    np.testing.assert_allclose(among[0], alone[0], rtol=0, atol=1e-4)


def test_the_mel_matters(vocoder, sound):
    """With the same noise another mel gives another sound."""
    other = synthetic_sounds(4, length=1500, seed=4).audio[1]
    assert not np.allclose(vocoder.copy_synthesis(sound), vocoder.copy_synthesis(other), atol=1e-2)


@pytest.mark.parametrize("solver", ["ddpm", "ddim"])
def test_the_same_seed_is_the_same_sound_bit_for_bit(vocoder, sound, solver):
    first, again = (vocoder.copy_synthesis(sound, seed=5, solver=solver) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, vocoder.copy_synthesis(sound, seed=6, solver=solver), atol=1e-3)


def test_the_fast_path_is_the_network(vocoder, sound):
    """Cached, folded and tiled, against the module as it stands."""
    mel = mel_spectrogram(torch.from_numpy(sound), MEL.mel)[None]
    length = mel.shape[-1] * 64
    audio = torch.randn(1, length, generator=torch.Generator().manual_seed(0))
    predict = vocoder.predictor(1, length, mel)
    for step in (0.0, 7.3, 49.0):
        with torch.no_grad():
            expected = vocoder.network(audio, torch.tensor([step]), mel)
        torch.testing.assert_close(predict(audio, step), expected, rtol=1e-4, atol=1e-4)


def test_bfloat16_hardly_changes_the_log_mel(vocoder, sound):
    """Pitfall 11, idea 4 of section 6: by less than 1 % of the distance to the recording, and so does that distance."""
    exact, rounded = (
        Vocoder(vocoder.model, dtype=dtype, device="cpu").copy_synthesis(sound, steps="full")
        for dtype in ("float32", "bfloat16")
    )
    assert 0 < mel_error(exact, rounded) < 0.01 * mel_error(sound, exact)


@pytest.mark.parametrize("config", [MEL, LMNT, LOUD_LMNT], ids=["tacotron", "lmnt", "lmnt beyond full scale"])
def test_matching_the_level_gives_the_power_of_the_mel(config, sound):
    """An untrained network's noise, scaled; lmnt's features have a floor that quiet bands reach."""
    model = Vocoder(DiffWave(config), dtype="float32", device="cpu")
    mel = mel_spectrogram(torch.from_numpy(sound), config.mel)
    raw, matched = (model.vocode(mel, steps="fast6", match_level=level) for level in (False, True))
    ratio = matched / raw
    assert np.ptp(ratio) < 1e-4 * ratio.mean()

    def power(features):
        if config.features == "lmnt":
            return (10 ** (10 * features[:, :24])).sum()
        return (2 * features[:, :24]).exp().sum()

    again = power(mel_spectrogram(torch.from_numpy(matched), config.mel))
    assert float(again / power(mel)) == pytest.approx(1.0, rel=0.02 if config.features == "lmnt" else 1e-3)
    assert not 0.8 < float(power(mel_spectrogram(torch.from_numpy(raw), config.mel)) / power(mel)) < 1.25


@pytest.mark.parametrize("gain", [0.3, 1.0, 7.0])
def test_the_level_of_a_tone_is_found_whatever_its_own(gain):
    """A tone of full scale is above what lmnt's mel holds, and one of seven times that is cut off before."""
    model = Vocoder(DiffWave(LMNT), dtype="float32", device="cpu")
    tone = 0.2 * torch.sin(2 * torch.pi * 440 / 8000 * torch.arange(1500))
    found = model._levelled(gain / 0.2 * tone, mel_spectrogram(tone, LMNT.mel))
    torch.testing.assert_close(found, tone, rtol=0.005, atol=1e-3)


def test_lmnt_models_stay_in_range_at_every_step():
    model = Vocoder(DiffWave(LMNT), dtype="float32", device="cpu")
    seen = []
    model.vocode(
        torch.full((20, 8), 0.5), steps="full", watch=lambda place, x: seen.append((place, float(x.abs().max())))
    )
    assert [place for place, _ in seen] == list(range(19, -1, -1))
    assert all(peak <= 1.0 for _, peak in seen)
    loose = Vocoder(DiffWave(dataclasses.replace(LMNT, clamp="final")), dtype="float32", device="cpu")
    assert np.abs(loose.vocode(torch.full((20, 8), 0.5), steps="full")).max() > 1.0


@pytest.mark.parametrize(
    ("mel", "message"),
    [
        (torch.zeros(30, 20), r"has shape \(30, 20\): it is transposed"),
        (torch.zeros(80, 5), "'mine' has 80 mel bands, but the model needs 20"),
        (torch.zeros(20), r"mine has shape \(20,\); it must be \(20, frames\)"),
        (torch.full((20, 4), torch.nan), "NaN or infinite"),
        (torch.zeros(20, 0), r"has shape \(20, 0\)"),
        (torch.zeros(0, 20, 4), r"shape \(0, 20, 4\)"),
    ],
)
def test_mels_that_do_not_fit_are_refused(vocoder, mel, message):
    with pytest.raises(InputError, match=message):
        vocoder.vocode(mel, name="mine")


def test_recordings_that_do_not_fit_are_refused(vocoder):
    for audio, message in {
        (128,): "too short for n_fft=256; at least 129 samples",
        (0,): r"audio has shape \(0,\)",
        (2, 500): r"audio has shape \(2, 500\)",
    }.items():
        with pytest.raises(InputError, match=message):
            vocoder.copy_synthesis(np.zeros(audio))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": "slow"}, "schedule 'slow' is not known"),
        ({"steps": [0.1, 1.2]}, r"variance 1 of the schedule is 1\.2"),
        ({"steps": [1e-4, 0.9]}, "step 1 of the inference schedule reaches alpha-bar"),
        ({"solver": "euler"}, "solver is 'euler'; it must be ddpm or ddim"),
        ({"steps": 6}, r"^steps is 6; name a schedule \(full, fast6, .*\) or give each step's variance, such as"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"seed": 1.5}, r"seed must be a whole number of at least 0, got 1\.5"),
    ],
)
def test_options_that_mean_nothing_are_refused(vocoder, options, message):
    with pytest.raises(InputError, match=message):
        vocoder.vocode(torch.full((20, 2), -5.0), **options)


@pytest.mark.parametrize("mel", ["mel.npy", np.ones((20, 4), bool), np.ones((20, 4), complex)])
def test_mels_that_are_no_real_numbers_are_refused(vocoder, mel):
    with pytest.raises(InputError, match=r"'mine' holds values of type \w+; give real numbers of shape"):
        vocoder.vocode(mel, name="mine")


BROKEN = np.linspace(-1, 1, 300)
BROKEN[7] = np.nan


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        ((BROKEN[8:] * 32767).astype(np.int16), r"is int16; give floats in \[-1, 1\]: divide whole numbers of b bits"),
        (torch.zeros(300, dtype=torch.int32), "is int32; give floats"),
        (BROKEN > 0, "is bool; give an array of floats"),
        (BROKEN + 0j, "is complex128; give an array of floats"),
        ("x.wav", "is text; give an array of floats"),
        (None, "is object; give an array of floats"),
        ([[0.1], [0.1, 0.2]], "has rows of several lengths"),
        (BROKEN, r"holds NaN or infinite samples \(first at 7\); all must be finite numbers"),
        (BROKEN[8:] * 1000, r"reaches 1000, but float samples lie in \[-1, 1\]; scale them down"),
        (np.zeros((1, 1, 300)), r"has shape \(1, 1, 300\); it must be \(samples,\)"),
    ],
)
def test_what_is_no_sound_is_refused_by_the_name_of_its_argument(plain, vocoder, audio, message):
    good = np.zeros(300)
    calls = {
        "audio": [
            lambda: plain.denoise(audio, 5),
            lambda: plain.at_training_level(audio),
            lambda: vocoder.copy_synthesis(audio),
        ],
        "a": [lambda: plain.interpolate(audio, good, 0.5)],
        "b": [lambda: plain.interpolate(good, audio, 0.5)],
    }
    for name, every in calls.items():
        for call in every:
            with pytest.raises(InputError, match=f"^{name} {message}") as caught:
                call()
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_sounds_may_be_tensors_of_a_training(plain, vocoder, sound, dtype):
    tensor = torch.from_numpy(sound).to(dtype).requires_grad_()
    array = tensor.detach().float().numpy()
    assert np.array_equal(plain.denoise(tensor, 5), plain.denoise(array, 5))
    assert np.array_equal(plain.interpolate(tensor, tensor, 0.5), plain.interpolate(array, array, 0.5))
    assert np.array_equal(vocoder.copy_synthesis(tensor), vocoder.copy_synthesis(array))


# Samples


def test_sounds_have_their_length(plain):
    assert plain.sample(2, steps="fast6").shape == (2, 1024)
    assert plain.sample(1, 0.05, steps="fast6").shape == (1, 400)
    for options, message in (
        ({"n": 0}, "n must be a whole number of at least 1, got 0"),
        ({"n": 1.5}, r"n must be a whole number of at least 1, got 1\.5"),
        ({"n": "2"}, "n must be a whole number of at least 1, got '2'"),
        ({"n": 1, "seconds": 0.0}, r"seconds is 0\.0; it must be a number, and hold a sample of 8000 Hz"),
        ({"n": 1, "seconds": 0.5 / 8000}, "and hold a sample"),
        ({"n": 1, "seconds": math.inf}, "seconds is inf"),
        ({"n": 1, "seconds": "1"}, "seconds is '1'; it must be a number"),
        ({"n": 1, "steps": ["a"]}, r"steps is \['a'\]; name a schedule"),
    ):
        with pytest.raises(InputError, match=message):
            plain.sample(**options)


def test_a_sound_of_a_seed_is_the_same_in_any_batch(labelled, monkeypatch):
    labels = [0, 1, 2, 3, 1]
    options = {"seconds": 0.05, "steps": "full", "seed": 7}
    five = labelled.sample(5, label=labels, **options)
    assert np.array_equal(five, labelled.sample(5, label=labels, **options))
    np.testing.assert_allclose(labelled.sample(3, label=labels[:3], **options), five[:3], rtol=0, atol=1e-4)
    monkeypatch.setattr(synthesis, "BATCH_SAMPLES", 800)  # two at a time
    np.testing.assert_allclose(labelled.sample(5, label=labels, **options), five, rtol=0, atol=1e-4)
    for i in range(5):
        for j in range(i):
            assert not np.allclose(five[i], five[j], atol=1e-2)


def test_the_label_matters_and_one_serves_all(labelled):
    options = {"seconds": 0.05, "steps": "fast6"}
    twos = labelled.sample(2, label=2, **options)
    assert np.array_equal(twos, labelled.sample(2, label=np.array([2, 2]), **options))
    assert not np.allclose(twos, labelled.sample(2, label=3, **options), atol=1e-5)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, "this model needs a label, 0 to 3"),
        (4, "label 4 is out of range; labels are 0 to 3"),
        (-1, "label -1 is out of range"),
        ([0, 9], "label 9 is out of range"),
        ([0, 1, 2], r"label is \[0, 1, 2\]; give one whole number, or one for each of 2 sounds"),
        (1.5, r"label is 1\.5; give one whole number"),
        ("three", "label is 'three'; give one whole number"),
    ],
)
def test_labels_that_mean_nothing_are_refused(labelled, label, message):
    with pytest.raises(InputError, match=message):
        labelled.sample(2, label=label)


def test_a_model_without_labels_takes_none(plain):
    with pytest.raises(InputError, match="takes no labels; leave the label out"):
        plain.sample(1, label=0)


def test_what_memory_cannot_hold_is_refused_before_any_work(plain, monkeypatch):
    """A long sound, or many short ones: 28 bytes a sample of those in work, 8 of all."""
    monkeypatch.setattr(Generator, "_reverse", lambda *_, **__: pytest.fail("work was begun"))
    for n, seconds in ((1, 1e9), (10**10, None)):
        with pytest.raises(InputError, match=rf"^{n} sounds? of \S+ s: this takes about .* GB of memory, and there"):
            plain.sample(n, seconds=seconds)
    monkeypatch.setattr("rostra.methods.diffwave.synthesis.available_memory", lambda: 10**9)
    assert plain.check_memory(1, 1000.0) == 8_000_000
    assert plain.check_memory(100_000, 0.125) == 1000  # 0.8 GB of sounds
    for n, seconds in ((1, 10_000.0), (130_000, 0.125)):
        with pytest.raises(InputError, match=r"and there are 1\.0 GB; generate less at a time"):
            plain.check_memory(n, seconds)


@pytest.mark.parametrize("supported", [True, False])
def test_bfloat16_is_taken_of_gpus_that_do_more_than_imitate_it(monkeypatch, supported):
    def answer(including_emulation=True):
        return including_emulation or supported

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", answer)
    monkeypatch.setattr(torch.cuda, "device", contextlib.nullcontext)
    assert synthesis._multiplies_bfloat16(torch.device("cuda")) == supported


def test_a_broken_model_is_noticed():
    network = DiffWave(PLAIN)
    with torch.no_grad():
        network.output.bias.fill_(torch.inf)
    with pytest.raises(InputError, match="not finite; the model or its schedule is broken"):
        Generator(network, dtype="float32", device="cpu").sample(1, steps="fast6")


def test_each_class_takes_its_own_condition(plain, vocoder):
    with pytest.raises(InputError, match="this model has the condition 'none'; a Vocoder needs mel"):
        Vocoder(plain.model)
    with pytest.raises(InputError, match="this model has the condition 'mel'; a Generator needs label or none"):
        Generator(vocoder.model)
    with pytest.raises(InputError, match="dtype is 'bf16'; it must be float32, bfloat16 or auto"):
        Generator(plain.model, dtype="bf16")


# Denoising and interpolation, with the best predictor for white Gaussian sounds

DEVIATION = 0.4


def gaussian(steps=20):
    """A generator whose prediction is exact for data N(0, s^2): sqrt(1 - abar) x / (abar s^2 + 1 - abar)."""
    generator = Generator(DiffWave(PLAIN), dtype="float32", device="cpu")
    abar = PLAIN.schedule.alpha_bar

    def predict(audio, step):
        level = abar[int(step)]
        return audio * ((1 - level) ** 0.5 / (level * DEVIATION**2 + 1 - level))

    generator.predictor = lambda *arguments, **options: predict
    return generator, np.asarray(abar), np.asarray(PLAIN.schedule.betas)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("step", [1, 6, 20])
def test_denoising_a_gaussian_without_noise_is_one_factor(scale, step):
    """DDIM's steps from t = step (the paper's count) to 1 multiply by known numbers; ``scale`` by sqrt(abar) first."""
    generator, abar, _ = gaussian()
    factor = abar[step - 1] ** 0.5 if scale else 1.0
    for t in range(step - 1, -1, -1):
        before = abar[t - 1] if t else 1.0
        slope = (1 - abar[t]) ** 0.5 / (abar[t] * DEVIATION**2 + 1 - abar[t])
        factor *= (before / abar[t]) ** 0.5 * (1 - (1 - abar[t]) ** 0.5 * slope) + (1 - before) ** 0.5 * slope
    audio = np.random.default_rng(0).standard_normal((2, 300)).astype(np.float32)
    found = generator.denoise(audio, step, scale=scale, solver="ddim")
    np.testing.assert_allclose(found, factor * audio, rtol=1e-4, atol=1e-6)


def variance_after(variance, step, abar, betas):
    """Of a zero-mean Gaussian at step t (1-based), after the reverse process with the best predictor (pitfall 3)."""
    for t in range(step - 1, -1, -1):
        slope = betas[t] / (abar[t] * DEVIATION**2 + 1 - abar[t])
        variance *= (1 - slope) ** 2 / (1 - betas[t])
        if t:
            variance += betas[t] * (1 - abar[t - 1]) / (1 - abar[t])
    return variance


def assert_deviation(samples, variance):
    """Within three standard errors."""
    expected = variance**0.5
    assert samples.std() == pytest.approx(expected, abs=3 * expected / (2 * samples.size) ** 0.5)


@pytest.mark.parametrize("scale", [True, False])
def test_denoising_a_gaussian_has_the_variance_of_the_recursion(scale):
    generator, abar, betas = gaussian()
    audio = 0.7 * np.random.default_rng(1).standard_normal(400_000).astype(np.float32)
    found = generator.denoise(audio, 12, scale=scale)
    assert_deviation(found, variance_after(audio.var() * (abar[11] if scale else 1), 12, abar, betas))


@pytest.mark.parametrize(("same_noise", "lam"), [(True, 0.5), (False, 0.5), (False, 0.2)])
def test_interpolating_silence_has_the_variance_of_the_mixed_noise(same_noise, lam):
    """Independent noises shrink it to (1 - lambda)^2 + lambda^2 of that of one noise."""
    generator, abar, betas = gaussian()
    silence = np.zeros(400_000, np.float32)
    found = generator.interpolate(silence, silence, lam, 8, same_noise=same_noise)
    shrink = 1 if same_noise else (1 - lam) ** 2 + lam**2
    assert_deviation(found, variance_after(shrink * (1 - abar[7]), 8, abar, betas))


def test_denoising_keeps_shapes_and_seeds(plain, labelled, sound):
    batch = np.stack([sound, 0.5 * sound])
    found = plain.denoise(batch, 5, seed=2)
    assert (found.shape, found.dtype) == (batch.shape, np.float32)
    alone = plain.denoise(sound, 5, seed=2)
    assert alone.shape == sound.shape
    np.testing.assert_allclose(found[0], alone, rtol=0, atol=1e-4)
    assert np.array_equal(alone, plain.denoise(sound, 5, seed=2))
    assert not np.allclose(alone, plain.denoise(sound, 5, seed=3), atol=1e-4)
    assert np.array_equal(*(plain.denoise(sound, 5, seed=seed, solver="ddim") for seed in (2, 3)))
    assert labelled.denoise(sound, 5, label=1).shape == sound.shape


def test_little_noise_taken_away_is_little_change(plain, sound):
    """From step 1 there is one step, without noise, of the size of the schedule's first variance."""
    distances = [float(np.abs(plain.denoise(sound, step) - sound).mean()) for step in (1, 5, 20)]
    assert distances == sorted(distances)
    assert distances[0] < 0.02


@pytest.mark.parametrize("step", [2.5, 6.0, "6", None])
def test_a_step_that_is_no_whole_number_is_refused(plain, sound, step):
    message = f"step is {step!r}; it must be a whole number from 1 to 20"
    with pytest.raises(InputError, match=message):
        plain.denoise(sound, step)
    if step is not None:  # which is a quarter of them
        with pytest.raises(InputError, match=message):
            plain.interpolate(sound, sound, 0.5, step=step)
    assert plain.denoise(sound, np.int64(2)).shape == sound.shape


@pytest.mark.parametrize("step", [0, 21, -1])
def test_a_step_outside_the_schedule_is_refused(plain, sound, step):
    message = f"step is {step}; it must lie between 1 and 20, the model's number of steps"
    with pytest.raises(InputError, match=message):
        plain.denoise(sound, step)
    with pytest.raises(InputError, match=message):
        plain.interpolate(sound, sound, 0.5, step=step)


def test_the_ends_of_an_interpolation_are_each_sounds_own_round_trip(plain, sound):
    """The other sound leaves no trace at lambda 0 and 1; with the same noise each is a sound mixed with itself."""
    other, third = (synthetic_sounds(3, length=1500, seed=5).audio[i] for i in (1, 2))
    for same in (True, False):
        at_0 = plain.interpolate(sound, other, 0.0, step=6, same_noise=same)
        at_1 = plain.interpolate(other, sound, 1.0, step=6, same_noise=same)
        np.testing.assert_allclose(at_0, plain.interpolate(sound, third, 0.0, step=6, same_noise=same), atol=1e-5)
        np.testing.assert_allclose(at_1, plain.interpolate(third, sound, 1.0, step=6, same_noise=same), atol=1e-5)
        assert not np.allclose(at_0, plain.interpolate(sound, other, 1.0, step=6, same_noise=same), atol=1e-2)
    own = plain.interpolate(sound, sound, 0.3, step=6, same_noise=True)
    np.testing.assert_allclose(plain.interpolate(sound, other, 0.0, step=6, same_noise=True), own, atol=1e-5)
    np.testing.assert_allclose(plain.interpolate(other, sound, 1.0, step=6, same_noise=True), own, atol=1e-5)


def test_a_round_trip_from_little_noise_is_the_sound(plain, sound):
    """From step 1 the noise has a hundredth of the largest amplitude."""
    found = plain.interpolate(sound, sound, 0.5, step=1, same_noise=True)
    assert float(np.abs(found - sound).max()) < 0.1
    assert np.corrcoef(found, sound)[0, 1] > 0.99


def test_interpolation_is_symmetric_with_the_same_noise(plain, sound):
    other = synthetic_sounds(2, length=1500, seed=5).audio[1]
    forth = plain.interpolate(sound, other, 0.3, same_noise=True)
    back = plain.interpolate(other, sound, 0.7, same_noise=True)
    np.testing.assert_allclose(forth, back, rtol=0, atol=1e-4)
    assert forth.shape == sound.shape
    quarter = plain.interpolate(sound, other, 0.3, step=5, same_noise=True)  # 20 steps
    assert np.array_equal(forth, quarter)


@pytest.mark.parametrize(
    ("a", "b", "lam", "message"),
    [
        (np.zeros(9), np.zeros(8), 0.5, r"have shapes \(9,\) and \(8,\)"),
        (np.zeros(9), np.zeros(9), 1.01, r"lam is 1\.01; it must be a number from 0 to 1"),
        (np.zeros(9), np.zeros(9), np.nan, "lam is nan"),
        (np.zeros(9), np.zeros(9), "a", "lam is 'a'; it must be a number"),
        (np.zeros(0), np.zeros(0), 0.5, r"a has shape \(0,\)"),
    ],
)
def test_sounds_that_cannot_be_mixed_are_refused(plain, a, b, lam, message):
    with pytest.raises(InputError, match=message):
        plain.interpolate(a, b, lam=lam)


# Saved models


@pytest.mark.parametrize("half", [False, True])
def test_a_saved_generator_gives_the_same_sounds(tmp_path, labelled, half):
    save_model(tmp_path / "m", labelled.model, half=half)
    back = Generator.from_pretrained(tmp_path / "m", dtype="float32", device="cpu")
    options = {"label": 1, "seconds": 0.1, "steps": "fast6"}
    before, after = (one.sample(2, **options) for one in (labelled, back))
    if half:
        assert not np.array_equal(before, after)
        assert np.linalg.norm(after - before) < 0.01 * np.linalg.norm(before)
    else:
        assert np.array_equal(before, after)


def test_a_saved_vocoder_gives_the_same_sound(tmp_path, vocoder, sound):
    save_model(tmp_path / "m", vocoder.model)
    back = Vocoder.from_pretrained(str(tmp_path / "m"), dtype="float32", device="cpu")
    assert np.array_equal(back.copy_synthesis(sound), vocoder.copy_synthesis(sound))


def test_a_mel_too_short_for_another_cannot_be_matched_in_level():
    model = Vocoder(DiffWave(MEL), dtype="float32", device="cpu")
    assert model.vocode(np.full((20, 2), -5.0), steps="fast6").shape == (128,)
    with pytest.raises(InputError, match="mel has 2 frames, 128 samples; at least 129 are needed"):
        model.vocode(np.full((20, 2), -5.0), steps="fast6", match_level=True)
    assert model.vocode(np.full((20, 3), -5.0), steps="fast6", match_level=True).shape == (192,)


@pytest.mark.parametrize("level", [None, "peak", "rms"])
def test_a_recording_goes_to_the_level_of_the_training_clips_and_back(sound, level):
    generator = Generator(DiffWave(dataclasses.replace(PLAIN, level=level)), dtype="float32", device="cpu")
    soft, soft_gain = generator.at_training_level(0.01 * sound)
    loud, loud_gain = generator.at_training_level(2 * sound)
    np.testing.assert_allclose(soft_gain * soft, 0.01 * sound, rtol=1e-5)
    np.testing.assert_allclose(loud_gain * loud, 2 * sound, rtol=1e-5)
    if level is None:
        assert soft_gain == loud_gain == 1
        assert generator.at_training_level(np.zeros(9))[1] == 1
        return
    np.testing.assert_allclose(soft, loud, rtol=1e-5)
    assert {"peak": np.abs(soft).max(), "rms": np.sqrt(np.mean(soft**2))}[level] == pytest.approx(
        {"peak": 0.95, "rms": 0.1}[level], rel=1e-5
    )
    with pytest.raises(InputError, match="no level"):
        generator.at_training_level(np.zeros(9))


def test_a_network_alone_is_a_model(plain, tmp_path):
    alone = Generator(plain.network, dtype="float32", device="cpu")
    assert isinstance(alone.model, SavedModel)
    assert np.array_equal(alone.sample(1, steps="fast6"), plain.sample(1, steps="fast6"))


def test_names_that_are_no_models_are_refused(tmp_path, monkeypatch, vocoder):
    with pytest.raises(InputError, match=r"model is a str; give a network .*, or use from_pretrained"):
        Vocoder("speech")
    with pytest.raises(InputError, match=r"neither a folder 'speach' nor a model .*; Rostra ships digits, .*speech"):
        Vocoder.from_pretrained("speach")
    with pytest.raises(InputError, match=r"holds no rostra\.json"):
        Vocoder.from_pretrained(tmp_path)
    save_model(tmp_path / "m", vocoder.model)
    with pytest.raises(InputError, match=r"the model '.*m' has the condition 'mel'; a Generator needs label or none"):
        Generator.from_pretrained(tmp_path / "m")
    monkeypatch.setattr(synthesis, "pretrained_folder", lambda name: tmp_path / "m")
    with pytest.raises(InputError, match="the model 'digits' has the condition 'mel'"):
        Generator.from_pretrained("digits")


@pytest.mark.parametrize("name", ["digits", "digits-unconditional"])
def test_the_shipped_digits_are_sounds(name):
    generator = Generator.from_pretrained(name, device="cpu")
    assert generator.config == MODELS[name].config
    label = 3 if name == "digits" else None
    sounds = generator.sample(2, label=label, steps="fast6")
    assert sounds.shape == (2, 4096)
    assert 0.05 < np.abs(sounds).max() < 2
    spectrum = np.abs(np.fft.rfft(sounds)) ** 2  # speech is low, noise is flat
    assert spectrum[:, :1024].sum() > 0.7 * spectrum.sum()


def test_the_shipped_vocoder_follows_the_mel(mirror):
    vocoder = Vocoder.from_pretrained("speech", device="cpu")
    assert vocoder.config == MODELS["speech"].config
    clips = load_ljspeech_sample("test")
    recording, other = clips.audio[1][:16384], clips.audio[2][:16384]
    copy, wrong = (vocoder.copy_synthesis(audio, steps="fast6") for audio in (recording, other))
    assert mel_error(recording, copy) < 0.7 * mel_error(recording, wrong)


def test_a_folder_of_sounds_does_not_hide_a_model_that_ships(tmp_path, monkeypatch):
    """``generate --out digits`` makes a folder of that name, which is no model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "0.wav").write_bytes(b"")
    assert Generator.from_pretrained("digits").config.n_classes == 10
