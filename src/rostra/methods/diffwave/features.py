"""Mel spectrograms: the two front ends that public checkpoints were trained with, and the way back.

"tacotron": Tacotron 2 (Shen et al. 2018) as in the authors' DiffWave-Vocoder; natural logarithm of Slaney mel bands.
"lmnt": lmnt-com/diffwave; HTK mel bands in decibels, scaled to [0, 1]. A checkpoint is of no use with other features,
so both are computed from torch.stft and filters of our own, and no other library's defaults matter.
"""

__all__ = ["Features", "MelConfig", "check_mel", "griffin_lim", "mel_filter_bank", "mel_spectrogram", "read_mel"]

import functools
import math
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rostra.engine.errors import InputError

from .audio import type_name

Features = Literal["tacotron", "lmnt"]

FLOOR = 1e-5
"""Smallest magnitude before the logarithm, of both front ends."""
RANGES = {"tacotron": (-11.6, 4.0), "lmnt": (0.0, 1.0)}
"""Where values of sound in [-1, 1] lie; the natural logarithm of the floor is -11.513."""
_MEL_WANTED = "give real numbers of shape (n_mels, frames)"


@dataclass(frozen=True)
class MelConfig:
    """How a mel spectrogram is computed; the defaults are those of the paper's LJ Speech vocoder.

    Lengths are in samples, rates and band edges in Hz. ``win_length`` is that of the Hann window, centred in ``n_fft``.

    Raises:
        InputError: if a number is out of range, a band holds no bin of the FFT, or an "lmnt" window, which is always
            4 * hop, is another or longer than ``n_fft``.
    """

    features: Features = "tacotron"
    sample_rate: int = 22050
    n_fft: int = 1024
    hop_samples: int = 256
    win_length: int = 1024
    n_mels: int = 80
    f_min: float = 0.0
    f_max: float = 8000.0

    def __post_init__(self) -> None:
        if self.features not in get_args(Features):
            raise InputError(f"features={self.features!r}: choose from {', '.join(get_args(Features))}")
        for name in ("sample_rate", "n_fft", "hop_samples", "win_length", "n_mels"):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < 1:
                raise InputError(f"{name}={value!r}: it must be a whole number of at least 1")
            object.__setattr__(self, name, int(value))
        if self.features == "lmnt" and 4 * self.hop_samples > self.n_fft:
            raise InputError(
                f"the window of lmnt features, 4 * hop_samples = {4 * self.hop_samples}, does not fit "
                f"n_fft={self.n_fft}; hop_samples of at most {self.n_fft // 4} would, or a larger n_fft"
            )
        if self.features == "lmnt" and self.win_length != 4 * self.hop_samples:
            raise InputError(
                f"win_length={self.win_length}: lmnt features have a window of 4 * hop_samples = "
                f"{4 * self.hop_samples}; MelConfig.default('lmnt', rate, hop) sets it"
            )
        if self.n_fft % 2 or self.n_fft < 4:
            raise InputError(f"n_fft={self.n_fft}: it must be even and at least 4, so that frames have a centre")
        if self.win_length > self.n_fft:
            raise InputError(f"win_length={self.win_length} is longer than n_fft={self.n_fft}; at most as long")
        if self.hop_samples > self.win_length:
            raise InputError(
                f"hop_samples={self.hop_samples} is longer than win_length={self.win_length}, so that frames miss "
                "samples; a quarter of the window is usual"
            )
        for name in ("f_min", "f_max"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise InputError(
                f"bands from f_min={self.f_min:g} to f_max={self.f_max:g} Hz; they must lie in 0 to "
                f"{self.sample_rate / 2:g} Hz, half the sample rate of {self.sample_rate} Hz"
            )
        if self.n_mels > self.n_fft:
            raise InputError(f"n_mels={self.n_mels} bands of n_fft={self.n_fft} samples; 80 of 1024 are usual")
        edges = _edges(self.features, self.n_mels, self.f_min, self.f_max)
        if (band := _empty_band(edges, self)) is not None:
            raise InputError(_empty_band_message(edges, band, self))

    @property
    def shortest(self) -> int:
        """Samples of the shortest sound that has a mel spectrogram: its ends are reflected."""
        return self.n_fft // 2 + 1

    @classmethod
    def default(cls, features: Features, sample_rate: int, hop_samples: int | None = None) -> Self:
        """The configuration of a front end at a sample rate.

        80 bands; ``n_fft`` 1024 and a hop of 256, or 512 and 128 at up to 12 kHz, where the bands are narrower. For
        "tacotron" a window of ``n_fft`` and bands from 0 to 8 kHz or half the rate; for "lmnt" a window of 4 hops and
        bands from 20 Hz to half the rate.

        Args:
            features: "tacotron" (the paper's) or "lmnt".
            sample_rate: in Hz.
            hop_samples: samples between frames; None takes the default.

        Raises:
            InputError: as :class:`MelConfig` does.
        """
        n_fft = 512 if sample_rate <= 12000 else 1024
        hop = n_fft // 4 if hop_samples is None else hop_samples
        lmnt = features == "lmnt"
        return cls(
            features=features,
            sample_rate=sample_rate,
            n_fft=n_fft,
            hop_samples=hop,
            win_length=4 * hop if lmnt else n_fft,
            f_min=20.0 if lmnt else 0.0,
            f_max=sample_rate / 2 if lmnt else min(8000.0, sample_rate / 2),
        )


def _edges(features: Features, n_mels: int, f_min: float, f_max: float) -> NDArray[np.float64]:
    """Lower edge, centres and upper edge of the triangles in Hz, equidistant in mel; (n_mels + 2,)."""
    if features == "lmnt":  # HTK
        low, high = (2595 * math.log10(1 + f / 700) for f in (f_min, f_max))
        return 700 * np.expm1(np.linspace(low, high, n_mels + 2) / 2595 * math.log(10))
    # Slaney: linear up to 1 kHz, which is 15 mel, then logarithmic.
    step = math.log(6.4) / 27
    low, high = (3 * f / 200 if f < 1000 else 15 + math.log(f / 1000) / step for f in (f_min, f_max))
    mel = np.linspace(low, high, n_mels + 2)
    return np.where(mel < 15, 200 / 3 * mel, 1000 * np.exp(step * (mel - 15)))


def _bins(n_fft: int, sample_rate: int) -> NDArray[np.float64]:
    """Frequencies of the FFT's bins in Hz, (n_fft // 2 + 1,)."""
    return np.linspace(0, sample_rate / 2, n_fft // 2 + 1)


def _empty_band(edges: NDArray[np.float64], config: MelConfig, n_fft: int | None = None) -> int | None:
    """The first band that holds no bin, or None; ``n_fft`` other than the configuration's on request."""
    bins = np.append(_bins(n_fft or config.n_fft, config.sample_rate), np.inf)
    empty = np.flatnonzero(bins[np.searchsorted(bins, edges[:-2], side="right")] >= edges[2:])
    return int(empty[0]) if empty.size else None


def _empty_band_message(edges: NDArray[np.float64], band: int, config: MelConfig) -> str:
    def fits(n_mels: int) -> bool:
        return _empty_band(_edges(config.features, n_mels, config.f_min, config.f_max), config) is None

    longer = (2**power for power in range(17) if 2**power > config.n_fft)
    larger = next((n_fft for n_fft in longer if _empty_band(edges, config, n_fft) is None), None)
    fewer = next((n_mels for n_mels in range(config.n_mels - 1, 0, -1) if fits(n_mels)), None)
    mends = [f"{name}={value}" for name, value in (("n_fft", larger), ("n_mels", fewer)) if value is not None]
    return (
        f"mel band {band + 1} of {config.n_mels} ({edges[band]:.1f} to {edges[band + 2]:.1f} Hz) holds no bin of "
        f"n_fft={config.n_fft} at {config.sample_rate} Hz ({config.sample_rate / config.n_fft:.1f} Hz apart); "
        f"{' or '.join(mends) or 'a wider range of frequencies'} would do"
    )


@functools.cache
def _bank(config: MelConfig) -> NDArray[np.float64]:
    # NumPy, not torch: a tensor made and kept under inference_mode could never be trained through.
    edges = _edges(config.features, config.n_mels, config.f_min, config.f_max)
    frequency = _bins(config.n_fft, config.sample_rate)
    width = np.diff(edges)
    rise = (frequency - edges[:-2, None]) / width[:-1, None]
    fall = (edges[2:, None] - frequency) / width[1:, None]
    bank = np.minimum(rise, fall).clip(min=0)
    return bank if config.features == "lmnt" else bank * (2 / (edges[2:] - edges[:-2]))[:, None]


def mel_filter_bank(config: MelConfig) -> Tensor:
    """Weights of the FFT's bins in the mel bands, float32 (n_mels, n_fft // 2 + 1), not negative.

    Triangles between neighbours' centres: on the Slaney scale and of area 1 for "tacotron" (librosa's default), on the
    HTK scale and of height 1 for "lmnt" (torchaudio's).
    """
    return torch.from_numpy(_bank(config)).float()


@functools.cache
def _window(config: MelConfig) -> NDArray[np.float64]:
    """Periodic Hann window (win_length,)."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(config.win_length) / config.win_length)


def _like(array: NDArray[np.float64], tensor: Tensor) -> Tensor:
    return torch.from_numpy(array).to(tensor)


def mel_spectrogram(audio: Tensor | NDArray[np.floating[Any]], config: MelConfig) -> Tensor:
    """Mel spectrogram of sound.

    Magnitudes of an STFT with a periodic Hann window, frame i centred at sample i * hop, reflected at the ends; then
    mel bands; then ln(max(m, 1e-5)) for "tacotron". "lmnt" clamps the sound to [-1, 1], divides magnitudes by the root
    of the window's energy, and gives (20 log10(max(m, 1e-5)) + 80) / 100 clamped to [0, 1].

    Args:
        audio: samples in [-1, 1], (..., L), a tensor or array of float32 or float64, L > n_fft / 2; gradients flow
            through a tensor.
        config: the front end; the sound must be of its sample rate.

    Returns:
        (..., n_mels, 1 + L // hop_samples), of the type of ``audio``.

    Raises:
        InputError: if ``audio`` is of another type, or shorter than the reflection at its ends.
    """
    if isinstance(audio, np.ndarray) and audio.dtype.kind == "f":
        audio = torch.from_numpy(np.array(audio, audio.dtype.newbyteorder("=")))
    if not isinstance(audio, Tensor):
        found = type_name(audio) if isinstance(audio, np.ndarray) else f"a {type(audio).__name__}"
        raise InputError(f"audio is {found}; give a tensor or an array of float32 or float64 in [-1, 1]")
    if audio.dtype not in (torch.float32, torch.float64):
        raise InputError(f"audio is {str(audio.dtype).removeprefix('torch.')}; give float32 or float64 in [-1, 1]")
    if audio.ndim == 0 or audio.shape[-1] < config.shortest:
        raise InputError(
            f"audio of shape {tuple(audio.shape)} is too short for n_fft={config.n_fft}; "
            f"at least {config.shortest} samples are needed: pad it with zeros"
        )
    lmnt = config.features == "lmnt"
    with torch.autocast(audio.device.type, enabled=False):  # bfloat16 is too coarse for a checkpoint's features
        magnitude = _stft(audio.clamp(-1, 1) if lmnt else audio, config).abs()
        mel = _like(_bank(config), audio) @ magnitude
        if lmnt:
            mel = mel / math.sqrt(float(np.square(_window(config)).sum()))
            return ((20 * mel.clamp(min=FLOOR).log10() + 80) / 100).clamp(0, 1)
        return mel.clamp(min=FLOOR).log()


def _stft(audio: Tensor, config: MelConfig) -> Tensor:
    """Complex (..., n_fft // 2 + 1, 1 + L // hop)."""
    found = torch.stft(
        audio.reshape(-1, audio.shape[-1]),
        config.n_fft,
        config.hop_samples,
        config.win_length,
        _like(_window(config), audio),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    return found.reshape(*audio.shape[:-1], *found.shape[-2:])


def read_mel(path: str | Path, config: MelConfig, *, name: str | None = None) -> Tensor:
    """Mel spectrogram of a file, float32 (n_mels, F), checked by :func:`check_mel`.

    Args:
        path: ``.npy`` without pickled objects, or ``.pt`` with one tensor; (n_mels, F) or (1, n_mels, F).
        config: the front end that it must come from.
        name: what errors call it; by default the path.

    Raises:
        InputError: if there is no such file, it holds something else, or does not fit ``config``.
    """
    path = Path(path)
    name = name or str(path)
    kind = path.suffix.lower()
    if kind not in (".npy", ".pt"):
        raise InputError(f"'{name}' is neither .npy nor .pt; save the mel spectrogram as one of these")
    found: Any
    try:
        with path.open("rb") as file:
            if kind == ".npy":
                # np.load would open archives too
                found = np.lib.format.read_array(file, allow_pickle=False)
            else:
                found = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"cannot read '{name}' ({error.strerror}); give the path of a mel spectrogram") from None
    except pickle.UnpicklingError:
        raise InputError(f"'{name}' is not a file of plain tensors; save the mel with torch.save(mel, path)") from None
    except Exception as error:  # damaged files make torch.load fail in many ways
        if kind == ".pt":
            raise InputError(f"'{name}' is no file of torch.save, or damaged; save the mel with it") from None
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise InputError(f"cannot read '{name}' as {path.suffix} ({reason}); give an array of numbers") from None
    mel = real_tensor(found, name)
    if mel.ndim == 3 and mel.shape[0] == 1:
        mel = mel[0]
    check_mel(mel, config, name)
    return mel.contiguous()


def real_tensor(found: Any, name: str) -> Tensor:
    """Real numbers of an array or a tensor, float32, without gradients.

    Raises:
        InputError: for anything else.
    """
    if isinstance(found, np.ndarray):
        if found.dtype.kind not in "fiu":
            raise InputError(f"'{name}' holds values of type {type_name(found)}; {_MEL_WANTED}")
        found = torch.from_numpy(found.astype(np.float32))
    if not isinstance(found, Tensor):
        raise InputError(f"'{name}' holds a {type(found).__name__}; {_MEL_WANTED}")
    if found.is_complex() or found.is_quantized or found.dtype == torch.bool:
        raise InputError(f"'{name}' holds values of type {str(found.dtype).removeprefix('torch.')}; {_MEL_WANTED}")
    if found.layout != torch.strided:
        raise InputError(f"'{name}' holds a sparse tensor; {_MEL_WANTED}")
    return found.detach().float()


def check_mel(mel: Tensor, config: MelConfig, name: str) -> None:
    """Check that a mel spectrogram may come from a front end.

    Args:
        mel: (n_mels, F), F >= 1.
        config: the front end.
        name: what messages call it.

    Raises:
        InputError: if it has another shape, or values that are NaN or infinite.

    Warns:
        UserWarning: if values lie outside the front end's range, or look like the other one's: the sound would be
            noise.
    """
    shape = tuple(mel.shape)
    if mel.ndim != 2 or 0 in shape:
        raise InputError(f"'{name}' has shape {shape}; a mel spectrogram has shape ({config.n_mels}, frames)")
    if shape[0] != config.n_mels:
        if shape[1] == config.n_mels:
            raise InputError(f"'{name}' has shape {shape}: it is transposed; give its transpose {shape[::-1]}")
        raise InputError(f"'{name}' has {shape[0]} mel bands, but the model needs {config.n_mels}")
    if not bool(mel.isfinite().all()):
        band, frame = (~mel.isfinite()).nonzero()[0].tolist()
        raise InputError(
            f"'{name}' holds NaN or infinite values (first in band {band}, frame {frame}); all must be finite"
        )
    low, high = (float(value) for value in mel.aminmax())
    least, most = RANGES[config.features]
    if config.features == "lmnt":
        outside = low < least - 0.1 or high > most + 0.1  # predicted ones overshoot a little
        hint = "this looks like a mel of natural logarithms, which 'tacotron' features are" if low < -1 else ""
    else:
        # Quiet parts of any sound are far below 0 in natural logarithms.
        scaled = low >= 0 and high <= 1
        outside = low < least or high > most or scaled
        hint = "this looks like a mel scaled to [0, 1], which 'lmnt' features are" if scaled else ""
    if outside:
        warnings.warn(
            f"'{name}' has values from {low:.3g} to {high:.3g}, but '{config.features}' features of sound lie in "
            f"{least:g} to {most:g}; {hint or 'they were computed in another way'}: expect noise",
            stacklevel=2,
        )


def griffin_lim(
    mel: Tensor,
    config: MelConfig,
    *,
    updates: int = 300,
    iterations: int = 60,
    momentum: float = 0.99,
    seed: int = 0,
) -> Tensor:
    """Sound of a mel spectrogram without a model: Griffin & Lim (1984), fast as in Perraudin et al. (2013).

    Magnitudes of the STFT are the non-negative least-squares solution for the mel bands, by multiplicative updates (Lee
    & Seung 2001); then phases that agree with each other are sought from random ones.

    Args:
        mel: as :func:`mel_spectrogram` gives, (n_mels, F), float32 or float64, F >= 1.
        config: its front end.
        updates: of the magnitudes.
        iterations: of the phases.
        momentum: 0 is the plain method.
        seed: of the first phases.

    Returns:
        Samples (hop_samples * F,), of the type of ``mel``; not clipped.

    Raises:
        InputError: if ``mel`` does not fit ``config``, or a number is out of range.
    """
    if updates < 0 or iterations < 0 or not 0 <= momentum < math.inf:
        raise InputError(f"updates={updates}, iterations={iterations}, momentum={momentum}: they must not be negative")
    if mel.dtype not in (torch.float32, torch.float64):
        raise InputError(f"mel is {str(mel.dtype).removeprefix('torch.')}; give float32 or float64")
    if 2 * config.hop_samples > config.win_length:
        raise InputError(
            f"hop_samples={config.hop_samples} is more than half of win_length={config.win_length}: phases of frames "
            "that hardly overlap cannot be found; a quarter of the window is usual"
        )
    check_mel(mel, config, "mel")
    mel = mel.detach()
    frames, hop = mel.shape[1], config.hop_samples
    # hop * F samples have F + 1 frames, and reflection at the ends needs more than n_fft / 2 samples.
    needed = max(frames, config.n_fft // (2 * hop) + 1) + 1
    mel = torch.cat([mel, mel[:, -1:].expand(-1, needed - frames)], dim=1)
    magnitude = _magnitude(mel, config, updates)
    length = hop * (needed - 1)
    window = _like(_window(config), mel)
    generator = torch.Generator().manual_seed(seed)
    phase = 2 * math.pi * torch.rand(magnitude.shape, generator=generator, dtype=torch.float64).to(mel)

    def sound(spectrum: Tensor) -> Tensor:
        return torch.istft(spectrum, config.n_fft, hop, config.win_length, window, center=True, length=length)

    spectrum = torch.polar(magnitude, phase)
    last = torch.zeros_like(spectrum)
    for _ in range(iterations):
        consistent = _stft(sound(spectrum), config)
        spectrum = magnitude * torch.sgn(consistent + momentum * (consistent - last))
        last = consistent
    return sound(spectrum)[: hop * frames]


def _magnitude(mel: Tensor, config: MelConfig, updates: int) -> Tensor:
    """Non-negative magnitudes (n_fft // 2 + 1, F) whose mel bands are nearest to the given ones."""
    if config.features == "lmnt":
        target = 10 ** ((100 * mel - 80) / 20) * math.sqrt(float(np.square(_window(config)).sum()))
    else:
        target = mel.exp()
    bank = _like(_bank(config), mel)
    wanted = bank.T @ target
    gram = bank.T @ bank
    tiny = torch.finfo(mel.dtype).tiny  # bins outside all bands stay 0
    magnitude = wanted / gram.sum(1, keepdim=True).clamp(min=tiny)  # the update of a flat spectrum
    for _ in range(updates):
        magnitude = magnitude * (wanted / (gram @ magnitude).clamp(min=tiny))
    return magnitude
