"""How good generated audio is: of a set of sounds, by a classifier; of one vocoded sound, against its original.

The metrics of sets are those of the paper, section 5.2, and take what a classifier says of the sounds
(:mod:`rostra.methods.diffwave.classifier`): features phi(x), or probabilities p(y | x). Numbers of two classifiers
cannot be compared. The paper judges vocoders by human listening (MOS), which nothing here replaces.

Metrics of a pair take a reference and an estimate of it, two one-dimensional arrays of samples in [-1, 1] at one
rate. Where their lengths differ, both are cut to the shorter; they are not aligned otherwise.
"""

__all__ = [
    "am_score",
    "class_accuracy",
    "frechet_distance",
    "frechet_distance_per_class",
    "inception_score",
    "log_mel_error",
    "mel_cepstral_distortion",
    "mel_cepstrum",
    "modified_inception_score",
    "multi_resolution_stft_distance",
    "ndb",
    "pesq",
    "pitch",
    "pitch_error",
    "si_sdr",
    "stoi",
    "vocoder_metrics",
    "wilson_interval",
]

import importlib
import importlib.util
import math
import warnings

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from rostra.engine.errors import InputError

from .features import MelConfig, mel_spectrogram

Array = NDArray[np.float64]

SUM_TOLERANCE = 1e-3
"""How far the probabilities of a sound may sum from 1: half precision rounds that much."""
FFT_SIZES = (512, 1024, 2048)
MAGNITUDE_FLOOR = 1e-5
"""Below which a spectral magnitude counts as silence, in units of samples summed by a Hann window."""
CEPSTRA = 13
YIN_WINDOW = 0.025
"""Seconds over which differences are summed, the paper's; over a longest period, 1/60 s, octave errors appear."""
YIN_BLOCK = 512
"""Frames whose difference functions are computed together: 3 MB an array at 22,050 Hz."""


# ---------------------------------------------------------------------- sets of sounds


def frechet_distance(real: ArrayLike, generated: ArrayLike) -> float:
    """FID: |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)), the squared Frechet distance of two fitted Gaussians.

    S are sample covariances (divisor n - 1), which may be singular: fewer sounds than features are allowed, though
    the estimate is then far too large for the populations. It is biased for any n: compare sets of equal size.

    Args:
        real: features of real sounds, shape (n, d), n at least 2.
        generated: features of generated sounds, shape (m, d), m at least 2.

    Returns:
        At least 0; 0 for equal moments.

    Raises:
        InputError: for other shapes, or values that are not finite.
    """
    first, second = _feature_pair(real, generated)
    mean_difference = first.mean(0) - second.mean(0)
    one, two = _covariance_root(first), _covariance_root(second)
    # With S1 = A'A and S2 = B'B, S1 S2 has the eigenvalues of (A B')(A B')', so its root has the trace sum of
    # singular values of A B'. Unlike a matrix square root it needs no full rank, and takes no root of a rounding error.
    cross = float(np.linalg.svd(one @ two.T, compute_uv=False).sum())
    distance = float(mean_difference @ mean_difference + (one**2).sum() + (two**2).sum() - 2 * cross)
    return max(0.0, distance)


def frechet_distance_per_class(
    real: ArrayLike, real_labels: ArrayLike, generated: ArrayLike, generated_labels: ArrayLike
) -> tuple[float, float]:
    """FID-class: :func:`frechet_distance` within each class of the real sounds.

    Args:
        real: shape (n, d).
        real_labels: whole numbers, shape (n,).
        generated: shape (m, d).
        generated_labels: the classes that the sounds were generated for, shape (m,).

    Returns:
        Mean and standard deviation (divisor K) over the K classes.

    Raises:
        InputError: as :func:`frechet_distance`; or if a class has fewer than 2 real or generated sounds, or no real
            ones.
    """
    first, second = _feature_pair(real, generated)
    real_classes = _labels(real_labels, len(first), "real_labels")
    generated_classes = _labels(generated_labels, len(second), "generated_labels")
    classes = np.unique(real_classes)
    strangers = np.setdiff1d(generated_classes, classes)
    if len(strangers):
        raise InputError(f"generated_labels hold class {strangers[0]}, of which there are no real sounds")
    distances = []
    for label in classes:
        of_real, of_generated = first[real_classes == label], second[generated_classes == label]
        for name, rows in (("real", of_real), ("generated", of_generated)):
            if len(rows) < 2:
                raise InputError(f"class {label} has {len(rows)} {name} sounds; a covariance needs at least 2")
        distances.append(frechet_distance(of_real, of_generated))
    return float(np.mean(distances)), float(np.std(distances))


def inception_score(probabilities: ArrayLike) -> float:
    """IS: exp(E_x KL(p(. | x) || E_x' p(. | x'))), higher is better.

    Args:
        probabilities: p(y | x) of the generated sounds, shape (n, K); rows sum to 1.

    Returns:
        From 1 (all sounds alike, or the classifier at a loss) to K (sure of each, all classes equally often).

    Raises:
        InputError: if these are no probabilities.
    """
    from scipy.special import rel_entr

    p = _probabilities(probabilities)
    return float(np.exp(rel_entr(p, p.mean(0)).sum(1).mean()))


def modified_inception_score(probabilities: ArrayLike) -> float:
    """mIS: exp(E_{x, x'} KL(p(. | x) || p(. | x'))) over all n^2 pairs; rewards variety within a class too.

    Args:
        probabilities: p(y | x) of the generated sounds, shape (n, K); rows sum to 1.

    Returns:
        At least the inception score. Infinite where a class has probability 0 for one sound but not for all: give the
        probabilities in float64, where a softmax does not underflow.

    Raises:
        InputError: if these are no probabilities.
    """
    from scipy.special import xlogy

    p = _probabilities(probabilities)
    # The mean over pairs of sum_k p_ik (log p_ik - log p_jk) needs the pairs only through the means of p and log p.
    possible = p.max(0) > 0
    with np.errstate(divide="ignore", over="ignore"):
        mean_logarithm = np.log(p[:, possible]).mean(0)
        divergence = xlogy(p, p).sum(1).mean() - p.mean(0)[possible] @ mean_logarithm
        return float(np.exp(max(0.0, divergence)))


def am_score(real_probabilities: ArrayLike, generated_probabilities: ArrayLike) -> float:
    """AM score: KL(E_real p || E_gen p) + E_gen H(p(. | x)), lower is better.

    Args:
        real_probabilities: p(y | x) of real sounds, shape (n, K); rows sum to 1.
        generated_probabilities: of generated sounds, shape (m, K).

    Returns:
        In nats, at least 0: 0 for sure predictions with the real shares of the classes. Infinite where a class of the
        real sounds has probability 0 for all generated ones.

    Raises:
        InputError: if these are no probabilities, or of different classes.
    """
    from scipy.special import entr, rel_entr

    real = _probabilities(real_probabilities, "real_probabilities")
    generated = _probabilities(generated_probabilities, "generated_probabilities")
    if real.shape[1] != generated.shape[1]:
        raise InputError(
            f"real_probabilities have {real.shape[1]} classes and generated_probabilities {generated.shape[1]}; "
            "take both from one classifier"
        )
    divergence = float(rel_entr(real.mean(0), generated.mean(0)).sum())
    return max(0.0, divergence) + float(entr(generated).sum(1).mean())


def ndb(
    real_features: ArrayLike, generated_features: ArrayLike, bins: int = 50, seed: int = 0, significance: float = 0.05
) -> float:
    """NDB/K: the share of k-means bins that real and generated sounds fill differently (Richardson and Weiss, 2018).

    Bins are fitted on the real features as they are, not whitened. A bin differs where the two-proportion z-test
    rejects at the given level, two-sided, without a correction for the number of bins.

    Args:
        real_features: shape (n, d).
        generated_features: shape (m, d).
        bins: K, at most the number of different real rows.
        seed: of k-means.
        significance: in (0, 1).

    Returns:
        In [0, 1]; about ``significance`` for a new sample of the real distribution.

    Raises:
        InputError: for other shapes, values that are not finite, or too few real rows.
    """
    from scipy.stats import norm
    from sklearn.cluster import KMeans

    real, generated = _feature_pair(real_features, generated_features, least=1)
    if not 0 < significance < 1:
        raise InputError(f"significance must be above 0 and below 1, got {significance!r}")
    different = len(np.unique(real, axis=0))
    if not 1 <= bins <= different:
        raise InputError(
            f"bins must be at least 1 and at most {different}, the different rows of real_features; got {bins}"
        )
    means = KMeans(bins, n_init=10, random_state=seed).fit(real)
    counts = np.bincount(means.labels_, minlength=bins)
    found = np.bincount(means.predict(generated), minlength=bins)
    n, m = len(real), len(generated)
    pooled = (counts + found) / (n + m)
    deviation = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    rejected = np.abs(counts / n - found / m) > norm.ppf(1 - significance / 2) * deviation
    return float(rejected.mean())


def class_accuracy(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Share of sounds whose most likely class is the one that they were generated for.

    Args:
        probabilities: p(y | x), shape (n, K); rows sum to 1.
        labels: whole numbers in [0, K - 1], shape (n,).

    Raises:
        InputError: if these are no probabilities, or a label is outside.
    """
    p = _probabilities(probabilities)
    return float((p.argmax(1) == _labels(labels, len(p), "labels", p.shape[1])).mean())


def wilson_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share, without continuity correction.

    Args:
        successes: from 0 to n.
        n: number of trials, at least 1.
        level: of confidence, in (0, 1).

    Raises:
        InputError: for numbers outside these ranges.
    """
    from scipy.stats import binomtest

    if n < 1 or not 0 <= successes <= n:
        raise InputError(f"successes must be from 0 to n, and n at least 1; got {successes} of {n}")
    if not 0 < level < 1:
        raise InputError(f"level must be above 0 and below 1, got {level!r}")
    interval = binomtest(int(successes), int(n)).proportion_ci(confidence_level=level, method="wilson")
    return float(interval.low), float(interval.high)


# ---------------------------------------------------------------------- a sound and its original


def log_mel_error(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Mean absolute difference of the natural-log mel spectrograms, with the features of the official code.

    For comparing variants of one model only: Griffin-Lim, which fits the mel, beats trained models on it.

    Args:
        reference, estimate: shape (L,); the longer is cut.
        sample_rate: of both, in Hz.

    Raises:
        InputError: if these are no sounds, or too short for a frame.
    """
    first, second = _pair(reference, estimate)
    return float(np.abs(_log_mel(first, sample_rate) - _log_mel(second, sample_rate)).mean())


def multi_resolution_stft_distance(
    reference: ArrayLike, estimate: ArrayLike, sample_rate: int, below: float | None = None
) -> float:
    """Mean over FFT sizes 512, 1024, 2048 of spectral convergence + mean absolute natural-log magnitude difference.

    Spectral convergence is |S - S'|_F / |S|_F for magnitudes S of the reference and S' of the estimate. Periodic Hann
    windows as long as the FFT, hops of a quarter, centred frames with reflected edges; magnitudes are floored at 1e-5
    in the logarithm.

    Args:
        reference, estimate: shape (L,), L above 1024; the longer is cut.
        sample_rate: of both, in Hz.
        below: count only frequencies below, in Hz; None counts all. Conditioned on mels up to 8 kHz, a vocoder has no
            say above.

    Raises:
        InputError: if these are no sounds or too short, the reference is silent, or ``below`` is not above 0.
    """
    first, second = _pair(reference, estimate, least=max(FFT_SIZES) // 2 + 1)
    if below is not None and not below > 0:
        raise InputError(f"below must be above 0 Hz or None, got {below!r}")
    distances = []
    for size in FFT_SIZES:
        bins = np.arange(size // 2 + 1) * sample_rate / size < (math.inf if below is None else below)
        magnitude, estimated = _magnitudes(first, size)[bins], _magnitudes(second, size)[bins]
        norm = np.linalg.norm(magnitude)
        if norm == 0:
            raise InputError("the reference is silent; spectral convergence divides by its magnitude")
        logarithms = [np.log(np.maximum(values, MAGNITUDE_FLOOR)) for values in (magnitude, estimated)]
        distances.append(np.linalg.norm(magnitude - estimated) / norm + np.abs(logarithms[0] - logarithms[1]).mean())
    return float(np.mean(distances))


def mel_cepstrum(log_mel: ArrayLike, count: int = CEPSTRA) -> Array:
    """Coefficients c_1 .. c_count of log_mel[m] = c_0 + sum_k c_k cos(pi k (m + 1/2) / M): a DCT-II over the bands.

    Args:
        log_mel: natural-log mel spectrogram, shape (M, F).
        count: below M.

    Returns:
        Shape (count, F).
    """
    from scipy.fft import dct

    bands = np.asarray(log_mel, dtype=np.float64)
    return dct(bands, type=2, axis=0)[1 : count + 1] / len(bands)


def mel_cepstral_distortion(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """MCD: mean over frames of 10 / ln 10 sqrt(2 sum_k (c_k - c'_k)^2), k = 1 .. 13 (Kubichek, 1993).

    With the scale of :func:`mel_cepstrum` it is the root mean square difference, over the bands, of the two smoothed
    mel spectra in dB. Level does not count (c_0 is left out); frames are compared at equal times, without warping.
    Implementations with an orthonormal DCT give sqrt(M / 2) = 6.3 times this: compare within one only.

    Args:
        reference, estimate: shape (L,); the longer is cut.
        sample_rate: of both, in Hz.

    Returns:
        In dB.

    Raises:
        InputError: if these are no sounds, or too short for a frame.
    """
    first, second = _pair(reference, estimate)
    difference = mel_cepstrum(_log_mel(first, sample_rate)) - mel_cepstrum(_log_mel(second, sample_rate))
    return float((10 / math.log(10) * np.sqrt(2 * (difference**2).sum(0))).mean())


def pitch(
    samples: ArrayLike,
    sample_rate: int,
    *,
    least: float = 60.0,
    greatest: float = 500.0,
    hop: float = 0.01,
    threshold: float = 0.1,
) -> Array:
    """Fundamental frequency by YIN (de Cheveigne and Kawahara, 2002), steps 1 to 5.

    The difference function d(tau) (equation 6) over a window of 25 ms, or of the longest period if that is longer,
    divided by its cumulative mean (equation 8); the first dip below the threshold is the period, refined by a parabola
    through its neighbours in d. A frame without such a dip is unvoiced (the paper takes the deepest dip instead).
    Frame i covers the samples from i * hop on: the window and a longest period.

    Args:
        samples: shape (L,).
        sample_rate: in Hz.
        least, greatest: lowest and highest frequency looked for, in Hz; least < greatest <= sample_rate / 4.
        hop: seconds between frames.
        threshold: aperiodic share of a voiced frame's power; 0.1 is the paper's.

    Returns:
        Hz, nan where unvoiced; shape (frames,).

    Raises:
        InputError: if this is no sound, is shorter than a frame, or the frequencies are out of order.
    """
    x = _sound(samples, "samples")
    if not 0 < least < greatest <= sample_rate / 4:
        raise InputError(
            f"least and greatest must be 0 < least < greatest <= {sample_rate / 4:g} Hz, a quarter of the sample rate; "
            f"got {least:g} and {greatest:g}"
        )
    step = round(hop * sample_rate)
    if step < 1:
        raise InputError(f"hop must be at least one sample, {1 / sample_rate:g} s; got {hop!r}")
    longest = math.ceil(sample_rate / least)
    shortest = max(2, math.floor(sample_rate / greatest))
    window = max(longest, round(YIN_WINDOW * sample_rate))
    # one lag more than is searched, so that the last one has a neighbour for the parabola
    if len(x) < window + longest + 1:
        raise InputError(
            f"samples are {len(x)} long; the pitch from {least:g} Hz on needs at least {window + longest + 1}"
        )
    frames = np.lib.stride_tricks.sliding_window_view(x, window + longest + 1)[::step]
    found = np.full(len(frames), np.nan)
    for start in range(0, len(frames), YIN_BLOCK):
        block = slice(start, start + YIN_BLOCK)
        difference = _difference_function(frames[block], window, longest + 1)
        found[block] = sample_rate / _periods(difference, shortest, longest, threshold)
    return found


def pitch_error(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> tuple[float, float]:
    """Root mean square pitch error in cents, and the share of frames with a voicing error, by :func:`pitch`.

    Args:
        reference, estimate: shape (L,); the longer is cut.
        sample_rate: of both, in Hz.

    Returns:
        (RMSE over the frames that are voiced in both, in cents, 1/1200 of an octave, nan without such frames; the
        share of all frames that are voiced in one only).

    Raises:
        InputError: if these are no sounds, or too short for a frame.
    """
    first, second = (pitch(samples, sample_rate) for samples in _pair(reference, estimate))
    voiced, estimated = np.isfinite(first), np.isfinite(second)
    both = voiced & estimated
    cents = 1200 * np.log2(second[both] / first[both])
    rmse = math.sqrt(np.mean(cents**2)) if len(cents) else math.nan
    return rmse, float((voiced != estimated).mean())


def si_sdr(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al., 2019, equation 3), after taking off the means.

    For denoising. A vocoder may choose phases freely, and is punished for them here.

    Args:
        reference, estimate: shape (L,); the longer is cut.

    Returns:
        In dB; for a multiple of the reference infinite, or above 250 by rounding; minus infinite for an estimate that
        has nothing of it.

    Raises:
        InputError: if these are no sounds, or the reference is constant.
    """
    first, second = _pair(reference, estimate)
    first, second = first - first.mean(), second - second.mean()
    power = float(first @ first)
    if power == 0:
        raise InputError("the reference is silent; the signal-to-distortion ratio needs a signal")
    target = (second @ first) / power * first
    signal, distortion = float(target @ target), float(np.sum((second - target) ** 2))
    if signal == 0:
        return -math.inf
    return 10 * math.log10(signal / distortion) if distortion > 0 else math.inf


def stoi(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Short-time objective intelligibility (Taal et al., 2011), by the package ``pystoi``.

    Args:
        reference, estimate: speech, shape (L,); the longer is cut.
        sample_rate: of both, in Hz; resampled to 10 kHz inside.

    Returns:
        About 0 to 1, higher is better; nan where the reference has less than 0.4 s of speech.

    Raises:
        InputError: if these are no sounds, or the package is missing.
    """
    try:
        package = importlib.import_module("pystoi")
    except ImportError:
        raise InputError("STOI needs pystoi: pip install 'rostra[audio]'") from None
    first, second = _pair(reference, estimate)
    if not first.any():
        return math.nan
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
        try:
            return float(package.stoi(first, second, sample_rate))
        except RuntimeWarning:
            return math.nan


def pesq(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """PESQ (ITU-T P.862), by the package ``pesq``: wide band at 16 kHz, or narrow band at 8 kHz for rates below 16 kHz.

    The two scales cannot be compared. Other rates are resampled.

    Args:
        reference, estimate: speech, shape (L,); the longer is cut.
        sample_rate: of both, in Hz.

    Returns:
        Predicted mean opinion score, about 1 to 4.6, higher is better; nan where the package finds no speech in the
        reference or the sounds are shorter than it needs (0.25 s).

    Raises:
        InputError: if these are no sounds, or the package is missing.
    """
    try:
        package = importlib.import_module("pesq")
    except ImportError:
        raise InputError("PESQ needs the package pesq, whose build needs a C compiler: pip install pesq") from None
    first, second = _pair(reference, estimate)
    if not first.any() or not second.any():
        return math.nan
    rate, band = (16_000, "wb") if sample_rate >= 16_000 else (8000, "nb")
    if rate != sample_rate:
        from scipy.signal import resample_poly

        common = math.gcd(rate, sample_rate)
        first, second = (resample_poly(x, rate // common, sample_rate // common) for x in (first, second))
    score = float(package.pesq(rate, first, second, band, on_error=package.PesqError.RETURN_VALUES))
    return score if score >= 0 else math.nan  # negative values are the package's error codes


def vocoder_metrics(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> dict[str, float]:
    """All metrics of a pair that this installation can compute.

    Args:
        reference, estimate: shape (L,), L above 1024 and at least 42 ms; the longer is cut.
        sample_rate: of both, in Hz, at least 2000.

    Returns:
        ``log_mel_mae``; ``mr_stft``, and ``mr_stft_below_8khz`` where the rate reaches beyond; ``mcd_db``;
        ``f0_rmse_cents``, ``voicing_error``; ``si_sdr_db``; ``stoi`` and ``pesq`` where pystoi and pesq are installed.
        Values are nan where the single functions say so.

    Raises:
        InputError: if these are no sounds, too short, or the reference is silent.
    """
    first, second = _pair(reference, estimate)
    found = {
        "log_mel_mae": log_mel_error(first, second, sample_rate),
        "mr_stft": multi_resolution_stft_distance(first, second, sample_rate),
    }
    if sample_rate > 16_000:
        found["mr_stft_below_8khz"] = multi_resolution_stft_distance(first, second, sample_rate, below=8000)
    found["mcd_db"] = mel_cepstral_distortion(first, second, sample_rate)
    found["f0_rmse_cents"], found["voicing_error"] = pitch_error(first, second, sample_rate)
    found["si_sdr_db"] = si_sdr(first, second)
    if importlib.util.find_spec("pystoi"):
        found["stoi"] = stoi(first, second, sample_rate)
    if importlib.util.find_spec("pesq"):
        found["pesq"] = pesq(first, second, sample_rate)
    return found


# ---------------------------------------------------------------------- parts


def _covariance_root(features: Array) -> Array:
    """R with R' R the sample covariance, shape (min(n, d), d)."""
    root: Array = np.asarray(np.linalg.qr((features - features.mean(0)) / math.sqrt(len(features) - 1), mode="r"))
    return root


def _log_mel(samples: Array, sample_rate: int) -> Array:
    """Natural-log mel spectrogram of the official code, shape (M, F)."""
    found = mel_spectrogram(torch.from_numpy(samples), MelConfig.default("tacotron", sample_rate))
    return found.double().numpy()


def _magnitudes(samples: Array, size: int) -> Array:
    """Shape (size / 2 + 1, frames)."""
    window = torch.hann_window(size, dtype=torch.float64)
    spectrum = torch.stft(
        torch.from_numpy(samples), size, size // 4, window=window, center=True, pad_mode="reflect", return_complex=True
    )
    return spectrum.abs().numpy()


def _difference_function(frames: Array, window: int, lags: int) -> Array:
    """YIN's equation 6, d(tau) = sum_{j < window} (x_j - x_{j + tau})^2 for tau = 0 .. lags; shape (frames, lags + 1).

    Frames have window + lags samples.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    width = window + lags
    size = next_fast_len(width, real=True)  # only lags that do not wrap around are read
    spectrum = rfft(frames, size)
    correlation = irfft(np.conj(rfft(frames[:, :window], size)) * spectrum, size)[:, : lags + 1]
    power = np.concatenate((np.zeros((len(frames), 1)), np.cumsum(frames**2, 1)), 1)
    energy = power[:, window : width + 1] - power[:, : lags + 1]
    difference = energy[:, :1] + energy - 2 * correlation
    # what is left of equal samples is rounding, which must not make silence periodic
    return np.where(difference > 1e-12 * (energy[:, :1] + energy), difference, 0.0)


def _periods(difference: Array, shortest: int, longest: int, threshold: float) -> Array:
    """Periods in samples by YIN's steps 3 to 5, nan where unvoiced; shape (frames,)."""
    lags = np.arange(1, difference.shape[1])
    cumulative = np.cumsum(difference[:, 1:], 1)
    normalised = np.ones_like(difference)
    np.divide(difference[:, 1:] * lags, cumulative, out=normalised[:, 1:], where=cumulative > 0)

    inner = normalised[:, shortest : longest + 1]
    before, after = normalised[:, shortest - 1 : longest], normalised[:, shortest + 1 : longest + 2]
    dips = (inner < threshold) & (inner <= before) & (inner < after)
    lag = shortest + dips.argmax(1)
    rows = np.arange(len(difference))
    # the parabola goes through d itself: the normalised function leans towards short periods (paper, step 5)
    left, middle, right = (difference[rows, lag + offset] for offset in (-1, 0, 1))
    curvature = left - 2 * middle + right
    shift = np.zeros(len(rows))
    np.divide(left - right, 2 * curvature, out=shift, where=curvature > 0)
    return np.where(dips.any(1), lag + shift.clip(-1, 1), np.nan)


# ---------------------------------------------------------------------- checks


def _feature_pair(real: ArrayLike, generated: ArrayLike, least: int = 2) -> tuple[Array, Array]:
    """Two feature tables of equal width, checked."""
    tables = []
    for name, values in (("real", real), ("generated", generated)):
        table = np.asarray(values, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] == 0:
            raise InputError(f"{name} features have shape {table.shape}; expected (n, d)")
        if len(table) < least:
            raise InputError(f"there are {len(table)} rows of {name} features; at least {least} are needed")
        if not np.isfinite(table).all():
            row = int(np.argwhere(~np.isfinite(table).all(1))[0, 0])
            raise InputError(f"{name} features are not finite in row {row}")
        tables.append(table)
    first, second = tables
    if first.shape[1] != second.shape[1]:
        raise InputError(
            f"real features have {first.shape[1]} columns and generated features {second.shape[1]}; "
            "take both from one classifier"
        )
    return first, second


def _probabilities(values: ArrayLike, name: str = "probabilities") -> Array:
    """Rows that sum to 1 in float64."""
    p = np.asarray(values, dtype=np.float64)
    if p.ndim != 2 or 0 in p.shape:
        raise InputError(f"{name} have shape {p.shape}; expected (n, K), a row a sound")
    if not (p >= 0).all():
        row = int(np.argwhere(~(p >= 0).all(1))[0, 0])
        raise InputError(f"{name} hold a negative number or nan in row {row}; give the softmax, not the logits")
    sums = p.sum(1)
    if not (np.abs(sums - 1) <= SUM_TOLERANCE).all():
        row = int(np.abs(sums - 1).argmax())
        raise InputError(f"{name} of row {row} sum to {sums[row]:.6g}; they must sum to 1")
    return p / sums[:, None]


def _labels(values: ArrayLike, count: int, name: str, classes: int | None = None) -> NDArray[np.int64]:
    """Whole numbers, one a row, below ``classes`` if given."""
    labels = np.asarray(values)
    if labels.shape != (count,):
        raise InputError(f"{name} have shape {labels.shape}; expected ({count},), one a row")
    if labels.dtype.kind not in "iu":
        raise InputError(f"{name} have type {labels.dtype}; expected whole numbers")
    if classes is not None and len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        row = int(np.argwhere((labels < 0) | (labels >= classes))[0, 0])
        raise InputError(f"{name} hold {labels[row]} in row {row}; expected 0 to {classes - 1}")
    return labels.astype(np.int64)


def _sound(values: ArrayLike, name: str, least: int = 1) -> Array:
    """A one-dimensional, finite array of samples."""
    samples = np.asarray(values, dtype=np.float64)
    if samples.ndim != 1:
        raise InputError(f"{name} has shape {samples.shape}; expected one channel, (L,)")
    if len(samples) < least:
        raise InputError(f"{name} has {len(samples)} samples; at least {least} are needed")
    if not np.isfinite(samples).all():
        raise InputError(f"{name} is not finite at sample {int(np.argmin(np.isfinite(samples)))}")
    return samples


def _pair(reference: ArrayLike, estimate: ArrayLike, least: int = 1) -> tuple[Array, Array]:
    """Both sounds, cut to the shorter."""
    first, second = _sound(reference, "reference", least), _sound(estimate, "estimate", least)
    length = min(len(first), len(second))
    return first[:length], second[:length]
