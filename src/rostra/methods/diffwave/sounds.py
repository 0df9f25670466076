"""Sounds that are made: a generated data set with classes, and noise to add to recordings."""

__all__ = ["CONTOURS", "NoiseKind", "mix_at_snr", "noise", "synthetic_sounds"]

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rostra.engine.errors import InputError

from .data import Clips

Samples = NDArray[np.float32]
NoiseKind = Literal["white", "pink", "babble"]

# --- Generated sounds

CONTOURS: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = MappingProxyType(
    {
        "rising": lambda u: u - 0.5,
        "falling": lambda u: 0.5 - u,
        "steady": lambda u: np.zeros_like(u),
        "dip": lambda u: 0.5 * np.cos(2 * np.pi * u),
        "arch": lambda u: -0.5 * np.cos(2 * np.pi * u),
        "step up": lambda u: 0.5 * np.tanh(20 * (u - 0.5)),
        "step down": lambda u: -0.5 * np.tanh(20 * (u - 0.5)),
        "swing": lambda u: 0.5 * np.sin(2 * np.pi * u),
        "double dip": lambda u: 0.5 * np.cos(4 * np.pi * u),
        "wobble": lambda u: 0.3 * np.sin(8 * np.pi * u),
    }
)
"""Classes of the generated sounds: pitch in octaves around the sound's own, at times u in [0, 1] of the clip."""
PITCHES = (110.0, 330.0)
"""Hz, between which the middle pitch of a generated sound lies."""
HARMONICS = 8
LOWEST_RATE = 1000
"""Hz; the highest pitch of any contour is 330 * sqrt(2) = 467 Hz."""
ATTACK = 0.005
"""Seconds in which a generated sound reaches its loudness."""


def synthetic_sounds(n: int, *, classes: int = 4, sample_rate: int = 8000, length: int = 4096, seed: int = 0) -> Clips:
    """Sums of decaying harmonics with a gliding pitch; the class is the contour of the pitch.

    Middle pitch, decay, brightness, phases, noise and level (peak 0.5 to 0.95) are drawn for each sound. Sound i
    depends on seed and i only, so that fewer sounds of a seed are the first of more. For tests and smoke runs.

    Args:
        n: sounds, at least 1; sound i is of class i modulo ``classes``.
        classes: 1 to 10, the first of :data:`CONTOURS`.
        sample_rate: in Hz, at least 1000; harmonics that do not fit below half of it are left out.
        length: samples of each sound, at least 1; the contour runs over the whole of it.
        seed: not negative.

    Returns:
        n clips in [-1, 1], with labels.

    Raises:
        InputError: for a number out of its range.
    """
    limits = {"n": (n, 1, None), "classes": (classes, 1, len(CONTOURS)), "length": (length, 1, None)}
    limits |= {"sample_rate": (sample_rate, LOWEST_RATE, None), "seed": (seed, 0, None)}
    for name, (value, lowest, highest) in limits.items():
        if value < lowest or (highest is not None and value > highest):
            allowed = f"at least {lowest}" if highest is None else f"from {lowest} to {highest}"
            raise InputError(f"{name} is {value}; it must be {allowed}")
    labels = np.arange(n, dtype=np.int64) % classes
    names = tuple(CONTOURS)[:classes]
    audio = [
        _sound(
            CONTOURS[names[label]],
            sample_rate,
            length,
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,))),
        )
        for index, label in enumerate(labels.tolist())
    ]
    return Clips(
        audio=audio,
        sample_rate=sample_rate,
        names=[f"{names[label].replace(' ', '-')}_{index:05d}" for index, label in enumerate(labels.tolist())],
        labels=labels,
        label_names=names,
    )


def _sound(
    contour: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    sample_rate: int,
    length: int,
    rng: np.random.Generator,
) -> Samples:
    low, high = PITCHES
    middle = low * (high / low) ** rng.random()
    decay, slope, level, hiss = rng.uniform((0.5, 0.5, 0.5, 0.002), (3.0, 1.5, 0.95, 0.01))
    phases = rng.uniform(0, 2 * np.pi, HARMONICS)
    samples = hiss * rng.standard_normal(length)
    u = np.arange(length) / length
    pitch = middle * 2.0 ** contour(u)
    turns = np.cumsum(pitch) / sample_rate
    attack = np.minimum(np.arange(length) / (ATTACK * sample_rate), 1)
    for order in range(1, HARMONICS + 1):
        if order * pitch.max() < sample_rate / 2:
            envelope = attack * np.exp(-decay * (1 + 0.2 * (order - 1)) * u) / order**slope
            samples += envelope * np.sin(2 * np.pi * order * turns + phases[order - 1])
    scaled: Samples = (level * samples / np.abs(samples).max()).astype(np.float32)
    return scaled


# --- Noise

TALKERS = 6
"""Voices in babble."""


def noise(
    kind: NoiseKind, length: int, rng: np.random.Generator, babble_from: Sequence[Samples] | None = None
) -> Samples:
    """Noise with an RMS of 1, for :func:`mix_at_snr`.

    Args:
        kind: "white": normal; "pink": normal with power proportional to 1 / frequency, no constant part; "babble": six
            voices of equal power, each a row of clips that begins somewhere in its first one.
        length: samples, at least 1 (pink: 2).
        rng: stream of random numbers.
        babble_from: clips to make babble of, at least one, none silent. Take others than those that the noise is
            added to.

    Returns:
        float32, shape (length,).

    Raises:
        InputError: for another kind or a length that is too short, and for babble of no clips or of silent ones.
    """
    if kind not in get_args(NoiseKind):
        raise InputError(f"kind is {kind!r}; it must be one of {', '.join(get_args(NoiseKind))}")
    shortest = 2 if kind == "pink" else 1
    if length < shortest:
        raise InputError(f"length is {length}; {kind} noise has at least {shortest} sample{'s' * (shortest > 1)}")
    if kind == "babble":
        samples = _babble(length, rng, babble_from)
    else:
        samples = rng.standard_normal(length)
        if kind == "pink":
            spectrum = np.fft.rfft(samples)
            spectrum[0] = 0
            spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
            samples = np.fft.irfft(spectrum, length)
    return (samples / _rms(samples)).astype(np.float32)


def _babble(length: int, rng: np.random.Generator, babble_from: Sequence[Samples] | None) -> NDArray[np.float64]:
    if babble_from is None or not len(babble_from):
        raise InputError("babble is made of other clips; give some as babble_from")
    total = np.zeros(length)
    for _ in range(TALKERS):
        parts: list[NDArray[np.float64]] = []
        collected = 0
        while collected < length:
            chosen = int(rng.integers(len(babble_from)))
            clip = np.trim_zeros(np.asarray(babble_from[chosen], dtype=np.float64))
            if not len(clip):
                raise InputError(f"clip {chosen} of babble_from is silent; leave it out")
            clip = clip / _rms(clip)
            if not parts:
                clip = clip[int(rng.integers(len(clip))) :]
            parts.append(clip)
            collected += len(clip)
        total += np.concatenate(parts)[:length]
    if not total.any():
        raise InputError(f"the clips of babble_from are silent for {length} samples and more; give some without gaps")
    return total


def mix_at_snr(clean: ArrayLike, noise: ArrayLike, snr_db: float) -> Samples:
    """Clean sound plus noise, scaled so that their powers over the whole clip differ by exactly ``snr_db``.

    The sum may go beyond [-1, 1]; it is not clipped, since that would change the ratio.

    Args:
        clean, noise: shape (L,) each; zeros that pad the clean sound count as part of it.
        snr_db: ten times the decimal logarithm of the power of ``clean`` over that of the scaled noise.

    Returns:
        float32, shape (L,).

    Raises:
        InputError: for different shapes, silent or not finite sounds, and a ratio that is not finite.
    """
    sounds = {"clean": np.asarray(clean, dtype=np.float64), "noise": np.asarray(noise, dtype=np.float64)}
    if sounds["clean"].ndim != 1 or sounds["clean"].shape != sounds["noise"].shape:
        raise InputError(
            f"clean has shape {sounds['clean'].shape} and noise {sounds['noise'].shape}; both must be (L,)"
        )
    for name, samples in sounds.items():
        if not np.isfinite(samples).all():
            raise InputError(f"{name} holds NaN or infinite samples")
        if not samples.any():
            raise InputError(f"{name} is silent, so that no signal-to-noise ratio can be set")
    if not np.isfinite(snr_db):
        raise InputError(f"snr_db is {snr_db}; it must be a finite number of decibels")
    gain = _rms(sounds["clean"]) / _rms(sounds["noise"]) * 10 ** (-snr_db / 20)
    return (sounds["clean"] + gain * sounds["noise"]).astype(np.float32)


def _rms(samples: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(samples**2)))
