"""Sound files: reading to samples in [-1, 1] and a rate, writing, resampling, levels.

WAV needs nothing beyond SciPy; FLAC and OGG need soundfile. Integers are scaled by 2^(bits - 1) both ways, so that
16-bit samples come back as they were.
"""

__all__ = [
    "SUFFIXES",
    "Level",
    "Subtype",
    "check_samples",
    "find_audio",
    "normalise",
    "read_audio",
    "resample",
    "write_audio",
]

import io
import math
import warnings
import wave
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rostra.engine.errors import InputError
from rostra.engine.files import writable, write_atomically

Subtype = Literal["PCM_16", "PCM_24", "PCM_32", "FLOAT"]
Level = Literal["peak", "rms"]

SUFFIXES = (".wav", ".flac", ".ogg")

PEAK = 0.95
"""Highest level that :func:`normalise` gives: models and Vorbis overshoot a little."""
RMS = 0.1
"""Root mean square of levelled speech, -20 dB of full scale."""
LOUDEST = 32.0
"""Float samples beyond it are integers that somebody forgot to scale, not loud sound."""

FASTEST = {".wav": 2**30 - 1, ".flac": 655350, ".ogg": 200000}
"""Highest rate in Hz of a format; beyond it libsndfile ends the program when it writes OGG."""

_UNKNOWN_SIZE = 0xFFFFFFFF


def read_audio(
    source: str | Path | bytes,
    *,
    name: str | None = None,
    sample_rate: int | None = None,
    resample: bool = False,
    mix: bool = False,
) -> tuple[NDArray[np.float32], int]:
    """Samples and rate of a sound file.

    Args:
        source: a file, or the bytes of one. WAV (integers of 8 to 32 bits, float32, float64), FLAC or OGG, told apart
            by their first bytes.
        name: what errors call it; by default the path.
        sample_rate: the rate that is needed, in Hz; None takes the file's.
        resample: convert a file of another rate; without it, that is an error.
        mix: take the mean of several channels; without it, they are an error.

    Returns:
        Samples, float32 (L,), L >= 1, and their rate in Hz. Integers give [-1, 1); float files and resampled ones keep
        values beyond, as generated sound often has.

    Raises:
        InputError: if there is no such file, it is not whole or not of a known format, holds no sound (no samples, all
            0, NaN or infinite), has another rate or several channels; for FLAC and OGG, if soundfile is missing.
    """
    given, name = (source, name or "the audio") if isinstance(source, bytes) else _bytes(Path(source), name)
    if given[:4] in (b"RIFF", b"RIFX", b"RF64"):
        raw, rate = _read_wav(given, name)
    elif given[:4] in (b"fLaC", b"OggS"):
        raw, rate = _read_compressed(given, name)
    else:
        found = "is empty" if not given else "is not WAV, FLAC or OGG audio"
        raise InputError(f"'{name}' {found}; give a sound file of one of these formats")
    if raw.size == 0:
        raise InputError(f"'{name}' holds no samples; give a sound file of at least one")
    if raw.ndim == 2 and raw.shape[1] > 1 and not mix:
        raise InputError(f"'{name}' has {raw.shape[1]} channels, but 1 is needed; pass --mix to take their mean")
    samples = _scaled(raw, name)
    if sample_rate is not None and rate != sample_rate:
        if not resample:
            raise InputError(f"'{name}' has {rate} Hz, but {sample_rate} Hz is needed; pass --resample to convert it")
        samples, rate = _resample(samples, rate, sample_rate), sample_rate
    return samples, rate


def _bytes(path: Path, name: str | None) -> tuple[bytes, str]:
    name = name or str(path)
    try:
        return path.read_bytes(), name
    except OSError as error:
        raise InputError(f"cannot read '{name}' ({error.strerror}); give the path of a sound file") from None


def _read_wav(given: bytes, name: str) -> tuple[NDArray[Any], int]:
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # chunks that are not sound, sizes that are a little wrong
        try:
            rate, raw = wavfile.read(io.BytesIO(given))
        except Exception as error:  # a broken header makes SciPy fail in many ways
            reason = str(error).split(". ")[0].rstrip(".")
            raise InputError(f"cannot read '{name}' as WAV ({reason}); it is damaged, or not PCM or float") from None
    expected = _data_size(given)
    if expected is not None and expected[1] > len(given) - expected[0]:
        raise InputError(
            f"'{name}' is cut short: its header names {expected[1]} bytes of samples, but {len(given) - expected[0]} "
            "are there; get the whole file"
        )
    if rate < 1:
        raise InputError(f"'{name}' names a rate of {rate} Hz; it must be at least 1 Hz")
    return raw, int(rate)


def _data_size(given: bytes) -> tuple[int, int] | None:
    """(where the samples begin, how many bytes they are by the header); None where the header does not say.

    SciPy gives what is there of a file that is cut short. A program that writes into a pipe does not know the length
    and says so: such a file is as long as it is.
    """
    order: Literal["little", "big"] = "big" if given[:4] == b"RIFX" else "little"
    start = 12
    while start + 8 <= len(given):
        kind, size = given[start : start + 4], int.from_bytes(given[start + 4 : start + 8], order)
        if kind == b"data":
            return (start + 8, size) if size != _UNKNOWN_SIZE else None
        start += 8 + size + size % 2
    return None


def _read_compressed(given: bytes, name: str) -> tuple[NDArray[Any], int]:
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(io.BytesIO(given)) as file:
            raw, rate, expected = file.read(dtype="float32", always_2d=True), file.samplerate, file.frames
    except (soundfile.SoundFileError, MemoryError) as error:
        raise InputError(f"cannot read '{name}' ({str(error).rstrip('.')}); it is damaged") from None
    if len(raw) != expected:
        raise InputError(f"'{name}' is cut short: it holds {len(raw)} of the {expected} samples its header names")
    return raw, int(rate)


def _soundfile() -> ModuleType:
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: without its library
        raise InputError("FLAC and OGG files need soundfile: pip install 'rostra[audio]'") from None
    return soundfile


def _scaled(raw: NDArray[Any], name: str) -> NDArray[np.float32]:
    """One channel of float32 from samples of any type, (L,) or (L, channels)."""
    if raw.dtype.kind == "f":
        samples = check_samples(raw, f"'{name}'")
    elif raw.dtype.kind == "u":  # 8 bits, silence at 128
        samples = (raw.astype(np.float32) - 128) / 128
    else:
        samples = raw / np.float64(2 ** (8 * raw.dtype.itemsize - 1))
    if samples.ndim == 2:
        samples = samples.mean(axis=1, dtype=np.float64)
    samples = samples.astype(np.float32)
    if not samples.any():
        raise InputError(f"'{name}' is silent: all {len(samples)} samples are 0; leave it out")
    return samples


def check_samples(samples: NDArray[Any], name: str) -> NDArray[np.floating[Any]]:
    """Check that an array of any shape holds sound, as float files do.

    Args:
        samples: to check.
        name: what errors call it.

    Returns:
        ``samples``.

    Raises:
        InputError: if they are not floats, not finite, or so large that they were not scaled.
    """
    if samples.dtype.kind in "iu":
        raise InputError(
            f"{name} is {samples.dtype}; give floats in [-1, 1]: divide whole numbers of b bits by 2^(b - 1)"
        )
    if samples.dtype.kind != "f":
        raise InputError(f"{name} is {type_name(samples)}; give an array of floats in [-1, 1]")
    if not np.isfinite(samples).all():
        first = ", ".join(map(str, np.argwhere(~np.isfinite(samples))[0].tolist()))
        raise InputError(f"{name} holds NaN or infinite samples (first at {first}); all must be finite numbers")
    if (peak := float(np.abs(samples).max(initial=0.0))) > LOUDEST:
        raise InputError(f"{name} reaches {peak:g}, but float samples lie in [-1, 1]; scale them down")
    return samples


def type_name(array: NDArray[Any]) -> str:
    """What an array is of, for a message."""
    return {"O": "object", "S": "bytes", "U": "text"}.get(array.dtype.kind, str(array.dtype))


def write_audio(path: str | Path, samples: NDArray[Any], sample_rate: int, subtype: Subtype = "PCM_16") -> int:
    """Write one channel as ``.wav``, ``.flac`` or ``.ogg``; the file is whole or absent.

    Args:
        path: the suffix says the format; folders are created.
        samples: floats, (L,), L >= 1; full scale is [-1, 1].
        sample_rate: in Hz.
        subtype: PCM of b bits rounds to multiples of 2^(1 - b) and clips beyond [-1, 1 - 2^(1 - b)]; FLOAT (WAV only)
            keeps float32 values as they are. FLAC holds PCM_16 and PCM_24. OGG is Vorbis, lossy and without subtypes:
            it takes PCM_16 and clips in the same way.

    Returns:
        The number of samples that were clipped: the caller warns.

    Raises:
        InputError: if samples are not finite floats of that shape, the suffix is unknown or the format has no such
            subtype or rate, or the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise InputError(f"'{path}' does not end in {', '.join(SUFFIXES)}; its suffix says the format")
    allowed = {".wav": get_args(Subtype), ".flac": ("PCM_16", "PCM_24"), ".ogg": ("PCM_16",)}[kind]
    if subtype not in allowed:
        raise InputError(f"'{path}': {kind} files have no subtype {subtype!r}; choose from {', '.join(allowed)}")
    if not 1 <= sample_rate <= FASTEST[kind]:
        raise InputError(f"'{path}': the rate is {sample_rate} Hz; {kind} files hold 1 to {FASTEST[kind]} Hz")
    samples = _checked(samples, f"'{path}'")
    writable(path)
    with write_atomically(path) as temporary:
        if subtype == "FLOAT":
            from scipy.io import wavfile

            wavfile.write(temporary, sample_rate, samples.astype(np.float32))
            return 0
        step = 2.0 ** (1 - int(subtype[4:]))
        exact = samples.astype(np.float64)
        clipped = int(((exact < -1) | (exact > 1 - step)).sum())
        rounded = (np.rint(exact / step) * step).clip(-1, 1 - step)
        if kind == ".wav":
            _write_wav(temporary, rounded, sample_rate, int(subtype[4:]) // 8)
        else:
            _write_compressed(temporary, rounded, sample_rate, subtype if kind == ".flac" else "VORBIS")
    return clipped


def _write_wav(path: Path, samples: NDArray[np.float64], sample_rate: int, width: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(sample_rate)
        # The high bytes of a little-endian integer are the same number in fewer bytes.
        integers = (samples * 2.0**31).astype("<i4")
        file.writeframes(integers.view("u1").reshape(-1, 4)[:, 4 - width :].tobytes())


def _write_compressed(path: Path, samples: NDArray[np.float64], sample_rate: int, subtype: str) -> None:
    with _soundfile().SoundFile(path, "w", sample_rate, channels=1, subtype=subtype) as file:
        for start in range(0, len(samples), sample_rate):  # libsndfile overflows its stack on minutes of Vorbis
            file.write(samples[start : start + sample_rate])


def _checked(samples: NDArray[Any], where: str) -> NDArray[Any]:
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.size == 0 or samples.dtype.kind != "f":
        raise InputError(
            f"{where}: samples have shape {samples.shape} and type {samples.dtype}; give floats of shape (L,), L >= 1"
        )
    if not np.isfinite(samples).all():
        first = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise InputError(f"{where}: sample {first} is {samples[first]}; all must be finite numbers")
    return samples


def resample(samples: NDArray[Any], source_rate: int, target_rate: int) -> NDArray[np.float32]:
    """Polyphase resampling of samples (L,) from one rate to another, in Hz; (ceil(L * target / source),).

    Raises:
        InputError: if a rate is below 1 Hz.
    """
    from scipy.signal import resample_poly

    if min(source_rate, target_rate) < 1:
        raise InputError(f"cannot resample from {source_rate} to {target_rate} Hz; rates are at least 1 Hz")
    common = math.gcd(source_rate, target_rate)
    found = resample_poly(np.asarray(samples, np.float64), target_rate // common, source_rate // common)
    return np.asarray(found, np.float32)


_resample = resample  # where an argument has the name


def normalise(samples: NDArray[Any], level: Level | None) -> NDArray[np.float32]:
    """Samples (L,) brought to one level: "peak" 0.95, "rms" 0.1 but no peak above 0.95; None leaves them.

    Raises:
        InputError: if all are 0 or some are not finite, so that there is no level, or ``level`` is another word.
    """
    if level is None:
        return np.asarray(samples, np.float32)
    if level not in get_args(Level):
        raise InputError(f"level={level!r}: choose from {', '.join(get_args(Level))}, or None")
    exact = np.asarray(samples, np.float64)
    peak = float(np.abs(exact).max(initial=0.0))
    if not 0 < peak < math.inf:
        raise InputError(f"samples with a peak of {peak:g} have no level; leave silent and damaged sound out")
    exact = exact / peak
    factor = PEAK if level == "peak" else min(PEAK, RMS / math.sqrt(float(np.square(exact).mean())))
    return (exact * factor).astype(np.float32)


def find_audio(folder: str | Path) -> list[Path]:
    """Sound files in a folder and the folders below, by suffix, sorted; hidden ones are left out.

    Raises:
        InputError: if it is not a folder, or holds none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"'{folder}' is not a folder; give one with {', '.join(SUFFIXES)} files")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
    if not found:
        raise InputError(f"'{folder}' holds no sound files; give a folder with {', '.join(SUFFIXES)} files")
    return found
