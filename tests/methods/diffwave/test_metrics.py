import itertools
import math
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats, integers
from scipy.linalg import sqrtm

from rostra.engine.errors import InputError
from rostra.methods.diffwave.audio import read_audio
from rostra.methods.diffwave.features import MelConfig, griffin_lim, mel_spectrogram
from rostra.methods.diffwave.metrics import (
    am_score,
    class_accuracy,
    frechet_distance,
    frechet_distance_per_class,
    inception_score,
    log_mel_error,
    mel_cepstral_distortion,
    mel_cepstrum,
    modified_inception_score,
    multi_resolution_stft_distance,
    ndb,
    pesq,
    pitch,
    pitch_error,
    si_sdr,
    stoi,
    vocoder_metrics,
    wilson_interval,
)

RATE = 22050


def with_moments(n, mean, covariance, seed=0):
    """A sample whose mean and covariance are exactly these."""
    x = np.random.default_rng(seed).normal(size=(n, len(mean)))
    x -= x.mean(0)
    white = np.linalg.solve(np.linalg.cholesky(np.cov(x.T)), x.T).T
    return mean + white @ np.linalg.cholesky(covariance).T


def softmax(n, classes, seed=0, sharpness=3.0):
    p = np.exp(np.random.default_rng(seed).normal(size=(n, classes)) * sharpness)
    return p / p.sum(1, keepdims=True)


def harmonics(f0, seconds=0.6, rate=RATE, amplitude=0.3, count=8):
    """Sum of falling harmonics; f0 is a number or one for every sample."""
    f0 = np.broadcast_to(f0, round(seconds * rate))
    phase = 2 * np.pi * np.cumsum(f0) / rate
    return amplitude * sum(np.sin(k * phase) / k for k in range(1, count + 1))


def noise(seconds=0.6, rate=RATE, level=0.1, seed=0):
    return level * np.random.default_rng(seed).normal(size=round(seconds * rate))


# ---------------------------------------------------------------------- Frechet distance


def test_frechet_distance_of_two_gaussians_in_closed_form():
    """Diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2."""
    first = with_moments(50, np.zeros(3), np.diag([1.0, 4.0, 9.0]))
    second = with_moments(80, np.array([1.0, 0.0, -2.0]), np.diag([4.0, 4.0, 0.25]), seed=1)
    assert frechet_distance(first, second) == pytest.approx(5 + 1 + 0 + 2.5**2, rel=1e-10)


def test_frechet_distance_is_the_textbook_matrix_root_where_that_works():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 6)), random.normal(size=(90, 6)) @ random.normal(size=(6, 6)) + 1
    s1, s2 = np.cov(x.T), np.cov(y.T)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * sqrtm(s1 @ s2).real)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(y, x) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "m", "d"), [(40, 40, 5), (5, 7, 40), (2, 300, 64)])
def test_frechet_distance_of_a_set_from_itself_and_from_its_copy_elsewhere(n, m, d):
    """Also with fewer sounds than features, where covariances are singular."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(n, d)), random.normal(size=(m, d))
    assert frechet_distance(x, x) < 1e-10
    assert frechet_distance(x, np.concatenate((x, x))[::-1]) < d  # another divisor, n - 1
    shift = random.normal(size=d)
    assert frechet_distance(x, x + shift) == pytest.approx(shift @ shift, rel=1e-9)
    turn = np.linalg.qr(random.normal(size=(d, d)))[0]
    assert frechet_distance(x @ turn, y @ turn) == pytest.approx(frechet_distance(x, y), rel=1e-9)


def test_frechet_distance_of_sets_on_two_lines():
    """Rank 1: Tr (S1 S2)^(1/2) = s1 s2 |cos| of the angle between the lines."""
    a, b = np.array([1.0, -1.0, 2.0, -2.0]), np.array([3.0, -3.0, 1.0])
    u, v = np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.6, 0.8, 0.0, 0.0])
    first, second = a - a.mean(), b - b.mean()
    s1, s2 = first.std(ddof=1), second.std(ddof=1)
    found = frechet_distance(np.outer(first, u), np.outer(second, v))
    assert found == pytest.approx(s1**2 + s2**2 - 2 * 0.6 * s1 * s2, rel=1e-12)


@given(arrays(np.float64, (4, 3), elements=floats(-1e3, 1e3)), arrays(np.float64, (5, 3), elements=floats(-1e3, 1e3)))
def test_frechet_distance_is_never_negative(x, y):
    assert frechet_distance(x, y) >= 0


def test_frechet_distance_per_class_is_within_classes():
    """Swapping the classes' sounds leaves the whole distance at 0, and is seen within the classes."""
    random = np.random.default_rng(0)
    x, labels = random.normal(size=(60, 4)), np.repeat([0, 1, 5], 20)
    x[labels == 1] += 3
    swapped = np.choose(labels % 4, [1, 0])  # class 5 counts with class 1 here
    swapped[labels == 5] = 5
    assert frechet_distance(x, x) < 1e-10
    single = [frechet_distance(x[labels == c], x[swapped == c]) for c in (0, 1, 5)]
    assert frechet_distance_per_class(x, labels, x, swapped) == pytest.approx((np.mean(single), np.std(single)))
    assert single[0] > 20
    with pytest.raises(InputError, match="class 7, of which there are no real sounds"):
        frechet_distance_per_class(x, labels, x, np.full(60, 7))
    with pytest.raises(InputError, match="class 1 has 0 generated sounds"):
        frechet_distance_per_class(x, labels, x[:20], labels[:20])


# ---------------------------------------------------------------------- scores of probabilities


def test_scores_of_sure_and_of_clueless_predictions():
    """Pitfall 15: one-hot predictions, equally often, give K and an AM score of 0."""
    sure = np.repeat(np.eye(5), 6, axis=0)
    assert inception_score(sure) == pytest.approx(5)
    assert am_score(sure[::2], sure) == pytest.approx(0, abs=1e-12)
    clueless = np.full((7, 5), 0.2)
    assert inception_score(clueless) == pytest.approx(1)
    assert modified_inception_score(clueless) == pytest.approx(1)
    assert am_score(sure, clueless) == pytest.approx(math.log(5))
    assert am_score(clueless, sure[:6]) == math.inf  # only class 0 was generated
    assert am_score(sure[:6], sure) == pytest.approx(math.log(5))


def test_modified_inception_score_is_that_of_all_pairs():
    p = softmax(13, 4)
    pairs = [(a * np.log(a / b)).sum() for a, b in itertools.product(p, p)]
    assert len(pairs) == 169
    assert modified_inception_score(p) == pytest.approx(math.exp(np.mean(pairs)), rel=1e-12)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [([[1.0, 0, 0], [1, 0, 0]], 1.0), ([[1.0, 0], [0, 1]], math.inf), ([[0.5, 0.5, 0], [0.5, 0.5, 0]], 1.0)],
)
def test_modified_inception_score_with_zeros(rows, expected):
    """A class that no sound can be costs nothing; one that only some cannot be is infinitely far."""
    assert modified_inception_score(rows) == pytest.approx(expected)


@given(integers(1, 40), integers(1, 8), integers(0, 1000), floats(0, 8))
def test_order_of_the_inception_scores(n, classes, seed, sharpness):
    """Pitfall 15: mIS >= IS >= 1, and IS <= K."""
    p = softmax(n, classes, seed, sharpness)
    assert 1 - 1e-12 <= inception_score(p) <= classes * (1 + 1e-12)
    assert modified_inception_score(p) >= inception_score(p) * (1 - 1e-12)


def test_half_precision_probabilities_are_taken():
    p = softmax(20, 10)
    assert inception_score(p.astype(np.float16)) == pytest.approx(inception_score(p), rel=1e-2)


def test_class_accuracy_and_its_interval():
    p = np.eye(4)[[0, 1, 2, 3, 0]]
    assert class_accuracy(p, [0, 1, 2, 0, 1]) == pytest.approx(3 / 5)
    low, high = wilson_interval(0, 10)
    assert (low, high) == pytest.approx((0, 1.96**2 / (10 + 1.96**2)), abs=1e-4)
    assert wilson_interval(11, 50) == pytest.approx((0.1275, 0.3524), abs=1e-4)  # by hand
    assert wilson_interval(11, 50, level=0.5)[0] > wilson_interval(11, 50)[0]


# ---------------------------------------------------------------------- bins


def two_bins(left, right, seed=0):
    """Two tight heaps far apart."""
    return np.random.default_rng(seed).normal(size=(left + right, 2)) * 0.01 + np.repeat(
        [[0.0], [9.0]], [left, right], 0
    )


@pytest.mark.parametrize(("left", "share"), [(50, 0.0), (63, 0.0), (64, 1.0), (36, 1.0), (100, 1.0)])
def test_bins_by_the_two_proportion_test(left, share):
    """50 of 100 against 63 of 100: z = 0.13 / sqrt(0.565 * 0.435 / 50) = 1.85; against 64: 2.0 > 1.96."""
    assert ndb(two_bins(50, 50), two_bins(left, 100 - left, seed=1), bins=2) == share


def test_bins_of_a_set_against_itself_a_fresh_sample_and_one_class():
    random = np.random.default_rng(0)
    centres = 4 * random.normal(size=(10, 6))

    def sounds(classes, n=500):
        return centres[random.integers(classes, size=n)] + random.normal(size=(n, 6))

    real = sounds(10)
    assert ndb(real, real) == 0
    assert ndb(real, sounds(10)) < 0.25  # 5 % are expected, a little more as the bins were fitted to one sample
    assert ndb(real, sounds(1)) > 0.6


def test_bins_are_the_same_for_the_same_seed():
    real, generated = np.random.default_rng(0).normal(size=(2, 200, 3))
    assert len({ndb(real, generated, bins=20, seed=3) for _ in range(3)}) == 1


def test_one_bin_holds_everything():
    assert ndb(two_bins(5, 5), two_bins(9, 1), bins=1) == 0


# ---------------------------------------------------------------------- what a caller can get wrong


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet_distance(np.zeros(3), np.zeros((3, 1))), r"shape \(3,\); expected \(n, d\)"),
        (lambda: frechet_distance(np.zeros((1, 3)), np.zeros((3, 3))), "1 rows of real features; at least 2"),
        (lambda: frechet_distance(np.zeros((3, 2)), np.zeros((3, 4))), "2 columns and generated features 4"),
        (lambda: frechet_distance(np.zeros((3, 2)), [[0.0, 1], [2, math.nan]]), "generated .* not finite in row 1"),
        (lambda: inception_score([[0.5, 0.4]]), "row 0 sum to 0.9"),
        (lambda: inception_score([[0.5, 0.5], [2.0, -1.0]]), "negative number or nan in row 1"),
        (lambda: inception_score(np.zeros((0, 3))), r"shape \(0, 3\)"),
        (lambda: am_score(np.eye(3), np.eye(4)), "3 classes and generated_probabilities 4"),
        (lambda: class_accuracy(np.eye(3), [0, 1, 3]), "hold 3 in row 2; expected 0 to 2"),
        (lambda: class_accuracy(np.eye(3), [0.0, 1.0, 2.0]), "float64; expected whole numbers"),
        (lambda: class_accuracy(np.eye(3), [0, 1]), r"shape \(2,\); expected \(3,\)"),
        (lambda: wilson_interval(3, 2), "got 3 of 2"),
        (lambda: wilson_interval(1, 2, level=1.0), "level must be above 0 and below 1, got 1.0"),
        (lambda: ndb(np.zeros((60, 2)), np.zeros((9, 2))), "at most 1, the different rows .* got 50"),
        (lambda: ndb(two_bins(5, 5), two_bins(5, 5), 2, significance=0.0), "significance must be above 0"),
        (lambda: si_sdr(np.zeros((2, 9)), np.zeros(9)), r"reference has shape \(2, 9\)"),
        (lambda: si_sdr(np.ones(9), np.ones(9)), "the reference is silent"),
        (lambda: si_sdr([0.0, math.inf], [0.0, 1.0]), "reference is not finite at sample 1"),
        (lambda: multi_resolution_stft_distance(np.ones(1024), np.ones(2000), 8000), "1024 samples; at least 1025"),
        (lambda: multi_resolution_stft_distance(np.zeros(2000), np.ones(2000), 8000), "the reference is silent"),
        (lambda: multi_resolution_stft_distance(noise(), noise(), RATE, below=0), "below must be above 0 Hz"),
        (lambda: pitch(np.zeros(100), 8000), "samples are 100 long; .* at least 335"),
        (lambda: pitch(noise(), 8000, least=500, greatest=100), "got 500 and 100"),
        (lambda: pitch(noise(), 8000, hop=0), "hop must be at least one sample"),
        (lambda: log_mel_error(np.zeros(10), np.zeros(10), 8000), "too short"),
    ],
)
def test_errors_say_what_and_where(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize(
    ("package", "metric", "message"),
    [("pystoi", stoi, r"pip install 'rostra\[audio\]'"), ("pesq", pesq, "C compiler: pip install pesq")],
)
def test_missing_packages_are_named_and_left_out(monkeypatch, package, metric, message):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=message):
        metric(noise(), noise(), RATE)
    assert metric.__name__ not in vocoder_metrics(noise(), noise(seed=1), RATE)


# ---------------------------------------------------------------------- a sound and its original


def test_a_sound_against_itself():
    sound = harmonics(150) + noise(level=0.01)
    found = vocoder_metrics(sound, np.append(sound, [0.9, -0.9]), RATE)  # the longer is cut
    assert found.pop("si_sdr_db") == math.inf
    assert found.pop("stoi", 1.0) == pytest.approx(1)
    assert found.pop("pesq", 4.64) == pytest.approx(4.64, abs=0.02)
    assert set(found) == {
        "log_mel_mae", "mr_stft", "mr_stft_below_8khz", "mcd_db", "f0_rmse_cents", "voicing_error"
    }  # fmt: skip
    assert all(value == 0 for value in found.values())


def test_what_the_level_does():
    """Twice as loud: ln 2 in the logarithms, another |1 - 2| in spectral convergence, nothing in the cepstra."""
    sound = noise(level=0.2)
    assert log_mel_error(sound, 2 * sound, RATE) == pytest.approx(math.log(2), rel=1e-6)
    assert multi_resolution_stft_distance(sound, 2 * sound, RATE) == pytest.approx(1 + math.log(2), rel=1e-4)
    assert multi_resolution_stft_distance(2 * sound, sound, RATE) == pytest.approx(0.5 + math.log(2), rel=1e-4)
    assert mel_cepstral_distortion(sound, 2 * sound, RATE) == pytest.approx(0, abs=1e-9)
    assert pitch_error(harmonics(200), 2 * harmonics(200), RATE) == pytest.approx((0, 0), abs=1e-9)


def test_distance_below_a_frequency_does_not_hear_above():
    from scipy.signal import butter, sosfilt

    sound = noise(level=0.2)
    high = sosfilt(butter(12, 9500, "high", fs=RATE, output="sos"), noise(level=0.1, seed=1))
    below = multi_resolution_stft_distance(sound, sound + high, RATE, below=8000)
    assert below < 0.05 * multi_resolution_stft_distance(sound, sound + high, RATE)


def test_cepstral_distortion_is_the_difference_of_the_mel_spectra_in_decibels():
    """Ripples over the bands: within the 13 coefficients the root mean square in dB, above them nothing."""
    bands = (np.arange(80) + 0.5) / 80
    ripple = 0.7 * np.cos(3 * np.pi * bands) - 0.2 * np.cos(13 * np.pi * bands)
    log_mel = 4.0 + ripple + 5 * np.cos(14 * np.pi * bands)
    cepstrum = mel_cepstrum(np.stack([log_mel, np.full(80, -3.0)], axis=1))
    expected = np.zeros((13, 2))
    expected[[2, 12], 0] = 0.7, -0.2
    np.testing.assert_allclose(cepstrum, expected, atol=1e-12)
    decibels = 20 / math.log(10) * ripple
    assert 10 / math.log(10) * math.sqrt(2 * (cepstrum[:, 0] ** 2).sum()) == pytest.approx(
        np.sqrt((decibels**2).mean())
    )


def test_cepstral_distortion_of_a_sound_is_the_mean_over_its_frames():
    first, second = noise(), harmonics(180)
    mels = [mel_spectrogram(torch.from_numpy(x), MelConfig.default("tacotron", RATE)).numpy() for x in (first, second)]
    difference = mel_cepstrum(mels[0]) - mel_cepstrum(mels[1])
    frames = [10 / math.log(10) * math.sqrt(2 * sum(d**2)) for d in difference.T]
    assert mel_cepstral_distortion(first, second, RATE) == pytest.approx(np.mean(frames))


@given(floats(70, 450), integers(0, 100))
def test_pitch_of_harmonic_sounds(f0, seed):
    """Within 3 cents of the truth in quiet, and 25 with noise about 27 dB below."""
    clean = harmonics(f0, seconds=0.2)
    found = pitch(clean, RATE)
    assert len(found) == 1 + (len(clean) - (551 + 368 + 1)) // 220
    np.testing.assert_allclose(1200 * np.log2(found / f0), 0, atol=3)
    noisy = pitch(clean + noise(0.2, level=0.01, seed=seed), RATE)
    np.testing.assert_allclose(1200 * np.log2(noisy / f0), 0, atol=25)


def test_pitch_follows_a_glide_and_does_not_need_the_fundamental():
    glide = np.linspace(120, 240, round(0.6 * RATE))
    found = pitch(harmonics(glide), RATE)
    middle = glide[(np.arange(len(found)) * 220 + 460)]
    np.testing.assert_allclose(found, middle, rtol=0.02)
    phase = 2 * np.pi * 150 * np.arange(RATE // 3) / RATE
    np.testing.assert_allclose(pitch(np.sin(3 * phase) + np.sin(4 * phase), RATE), 150, rtol=1e-3)


@pytest.mark.parametrize("sound", [np.zeros(8000), np.full(8000, 0.3), noise(), noise(level=1e-6)])
def test_silence_and_noise_have_no_pitch(sound):
    assert np.isnan(pitch(sound, RATE)).all()


def test_pitch_and_voicing_errors():
    """A semitone up is 100 cents; what falls silent half way is unvoiced there."""
    sound, higher = harmonics(150), harmonics(150 * 2 ** (1 / 12))
    assert pitch_error(sound, higher, RATE) == pytest.approx((100, 0), abs=0.5)
    half = np.where(np.arange(len(sound)) < len(sound) // 2, higher, 0)
    cents, voicing = pitch_error(sound, half, RATE)
    assert cents == pytest.approx(100, abs=0.5)
    assert voicing == pytest.approx(0.5, abs=0.06)
    nothing = pitch_error(sound, np.zeros_like(sound), RATE)
    assert math.isnan(nothing[0])
    assert nothing[1] == 1


def test_difference_function_is_equation_6():
    from rostra.methods.diffwave.metrics import _difference_function

    frames = np.random.default_rng(0).normal(size=(3, 50))
    direct = [[sum((x[j] - x[j + tau]) ** 2 for j in range(30)) for tau in range(21)] for x in frames]
    np.testing.assert_allclose(_difference_function(frames, 30, 20), direct, atol=1e-10)


@given(floats(-20, 40), floats(0.01, 100), integers(0, 100))
def test_signal_to_distortion_ratio_of_orthogonal_noise(ratio, scale, seed):
    """The ratio of the powers, whatever the level and offset of the estimate."""
    signal, other = np.random.default_rng(seed).normal(size=(2, 300))
    signal -= signal.mean()
    other -= other.mean()
    other -= (other @ signal) / (signal @ signal) * signal
    other *= np.linalg.norm(signal) / np.linalg.norm(other) * 10 ** (-ratio / 20)
    assert si_sdr(signal, scale * (signal + other) + 0.3) == pytest.approx(ratio, abs=1e-6)


def test_signal_to_distortion_ratio_of_nothing():
    assert si_sdr(noise(), np.zeros(round(0.6 * RATE))) == -math.inf


@pytest.mark.parametrize("rate", [8000, 22050])
def test_speech_metrics_fall_with_noise(rate):
    for package, metric in (("pystoi", stoi), ("pesq", pesq)):
        pytest.importorskip(package)
        burst = np.abs(np.sin(2 * np.pi * 2 * np.arange(2 * rate) / rate))  # syllables
        sound = harmonics(140, seconds=2, rate=rate, count=20) * burst
        found = [metric(sound, sound + noise(2, rate, level), rate) for level in (0.0, 0.02, 0.2)]
        assert found[0] > found[1] > found[2], metric.__name__


@pytest.mark.parametrize(("package", "metric"), [("pystoi", stoi), ("pesq", pesq)])
def test_speech_metrics_of_no_speech_are_not_numbers(package, metric):
    """The packages' own answers, 1e-5 and -1, could pass for scores."""
    pytest.importorskip(package)
    short = harmonics(150, seconds=0.15, rate=8000)
    assert math.isnan(metric(short, short, 8000))
    assert math.isnan(metric(np.zeros(8000), noise(1, 8000), 8000))


def test_griffin_lim_on_real_speech_has_the_published_numbers(mirror):
    """The specification's table 4.1, measured independently; it is a mean over five clips, this is the shortest."""
    clips = pd.read_parquet(mirror / "ljspeech_sample" / "clips.parquet")
    clip = clips["audio"][list(clips["id"]).index("LJ001-0002")]
    samples, rate = read_audio(clip["bytes"])
    config = MelConfig()
    made = griffin_lim(mel_spectrogram(torch.from_numpy(samples), config), config).numpy()
    found = vocoder_metrics(samples, made, rate)
    assert found["log_mel_mae"] == pytest.approx(0.100, abs=0.01)
    assert found["mr_stft"] == pytest.approx(2.50, abs=0.3)
    assert found["mr_stft_below_8khz"] == pytest.approx(0.78, abs=0.05)
    assert found.get("stoi", 0.982) == pytest.approx(0.982, abs=0.01)
    assert found.get("pesq", 3.71) == pytest.approx(3.71, abs=0.15)
    assert found["f0_rmse_cents"] < 100
    assert found["voicing_error"] < 0.1
