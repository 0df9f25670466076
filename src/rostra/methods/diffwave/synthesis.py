"""What a user holds: a vocoder, and a generator of sounds, which also denoises and interpolates."""

__all__ = ["Generator", "Vocoder"]

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rostra.engine.checkpoints import DOCUMENT
from rostra.engine.errors import InputError
from rostra.engine.runtime import available_memory, resolve_device

from .audio import check_samples, normalise
from .checkpoints import SavedModel, load_model
from .fast import PIECE, FastNetwork, Predictor, has_fast_bfloat16
from .features import check_mel, mel_spectrogram, real_tensor
from .model import DiffWave, DiffWaveConfig, check_whole
from .objective import NoiseSchedule, diffuse, interpolate_linearly
from .pretrained import MODELS, pretrained_folder
from .sampler import ItemNoise, Solver, Steps, reverse, schedule_of

Samples = NDArray[np.float32]
_REAL = (int, float, np.integer, np.floating)
BATCH_SAMPLES = 2**20
"""Samples that are generated at a time, so that memory does not grow with the number of sounds."""


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device is fast at bfloat16; older GPUs only imitate it."""
    if device.type != "cuda":
        return has_fast_bfloat16()
    with torch.cuda.device(device):
        return torch.cuda.is_bf16_supported(including_emulation=False)


def _array(values: ArrayLike, name: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError:
        raise InputError(f"{name} has rows of several lengths; give an array of numbers") from None


def _sound(audio: ArrayLike | Tensor, name: str, *, batch: bool = False) -> Tensor:
    """A user's samples, checked: float32, shape (L,), or with ``batch`` also (B, L)."""
    if isinstance(audio, Tensor):
        audio = audio.detach().cpu()
        audio = audio.double() if audio.is_floating_point() else audio  # NumPy has no bfloat16
    samples = check_samples(_array(audio, name), name)
    if not samples.size or samples.ndim not in (1, 1 + batch):
        shapes = "(samples,) or (batch, samples)" if batch else "(samples,)"
        raise InputError(f"{name} has shape {samples.shape}; it must be {shapes}")
    return torch.from_numpy(np.array(samples, np.float32))


class _Synthesiser:
    """A trained network, ready to sample."""

    conditions: tuple[str, ...] = ()

    def __init__(self, model: SavedModel | DiffWave, *, dtype: str = "auto", device: str | None = None) -> None:
        if not isinstance(model, SavedModel | DiffWave):
            raise InputError(
                f"model is a {type(model).__name__}; give a network or what training gave, or use from_pretrained"
            )
        self.model = model if isinstance(model, SavedModel) else SavedModel(model.eval())
        self.network = self.model.network
        self._check_condition(self.config, "this model")
        self.device = resolve_device(device)
        if dtype == "auto":
            dtype = "bfloat16" if _multiplies_bfloat16(self.device) else "float32"
        if dtype not in ("float32", "bfloat16"):
            raise InputError(f"dtype is {dtype!r}; it must be float32, bfloat16 or auto")
        self.dtype = getattr(torch, dtype)
        self._fast = FastNetwork(self.network, self.dtype) if self.device.type == "cpu" else None
        if self._fast is None:
            self.network = self.network.to(self.device)

    @classmethod
    def from_pretrained(cls, place: str | Path, *, dtype: str = "auto", device: str | None = None) -> Self:
        """Load a model.

        Args:
            place: a folder that training wrote, or the name of a model that ships with Rostra ("speech", "digits",
                "digits-unconditional").
            dtype: of the matrix products: "float32", "bfloat16", or "auto": bfloat16 where the machine is fast at it.
            device: name of a torch device; None takes CUDA where there is one.

        Raises:
            InputError: if it is neither, or of another kind.
        """
        folder = Path(place)
        if not (folder / DOCUMENT).exists() and (str(place) in MODELS or not folder.exists()):
            if str(place) not in MODELS:
                raise InputError(
                    f"there is neither a folder '{place}' nor a model of that name; Rostra ships {', '.join(MODELS)}"
                )
            folder = pretrained_folder(str(place))
        model = load_model(folder)
        cls._check_condition(model.network.config, f"the model '{place}'")
        return cls(model, dtype=dtype, device=device)

    @classmethod
    def _check_condition(cls, config: DiffWaveConfig, name: str) -> None:
        if config.condition not in cls.conditions:
            raise InputError(
                f"{name} has the condition '{config.condition}'; a {cls.__name__} needs {' or '.join(cls.conditions)}"
            )

    @property
    def config(self) -> DiffWaveConfig:
        """Of the network."""
        return self.network.config

    def at_training_level(self, audio: ArrayLike | Tensor) -> tuple[Samples, np.float32]:
        """A recording at the level of the training clips (:func:`.normalise`), which is the one that the model knows.

        Args:
            audio: shape (L,), not silent.

        Returns:
            Float32, shape (L,), and the factor that brings it back to the level that it had: 1 for a model that was
            trained on recordings of any level.

        Raises:
            InputError: if it is no sound; for other models also if it is silent, so that it has no level.
        """
        samples = _sound(audio, "audio").numpy()
        if self.config.level is None:
            return samples, np.float32(1.0)
        levelled = normalise(samples, self.config.level)
        return levelled, np.float32(np.abs(samples).max() / np.abs(levelled).max())

    def predictor(self, batch: int, length: int, mel: Tensor | None = None, label: Tensor | None = None) -> Predictor:
        """The network under a condition."""
        if self._fast is not None:
            return self._fast.prepare(batch, length, mel, label)
        network, device = self.network, self.device
        there = [None if value is None else value.to(device) for value in (mel, label)]

        @torch.no_grad()
        def predict(audio: Tensor, step: float) -> Tensor:
            at = torch.full((len(audio),), step, device=device)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16):
                predicted: Tensor = network(audio.to(device), at, *there)
            return predicted.float().to(audio.device)

        return predict

    def _reverse(self, predict: Predictor, start: Tensor, noise: ItemNoise, steps: Steps, **options: Any) -> Tensor:
        schedule = schedule_of(self.config, steps)
        return reverse(predict, start, schedule, noise, clamp=self.config.clamp == "each", **options)


class Vocoder(_Synthesiser):
    """From mel spectrograms to waveforms.

    Args:
        model: what training gave, or a network of condition "mel".
        dtype, device: as for :meth:`from_pretrained`.

    Example:
        >>> vocoder = Vocoder.from_pretrained("speech")
        >>> audio = vocoder.vocode(mel, steps="fast6", seed=0)
    """

    conditions = ("mel",)

    def vocode(
        self,
        mel: ArrayLike | Tensor,
        *,
        steps: Steps = "fast6",
        seed: int = 0,
        solver: Solver = "ddpm",
        match_level: bool = False,
        name: str = "mel",
        watch: Callable[[int, Tensor], None] | None = None,
    ) -> Samples:
        """The waveform of a mel spectrogram.

        Args:
            mel: of the model's front end, shape (n_mels, F) or (B, n_mels, F).
            steps: of sampling: "fast6", "full", another name, or variances.
            seed: of the noise.
            solver: "ddpm" (the paper) or "ddim".
            match_level: scale each result so that its mel is as loud as the one given. Few steps make sounds too quiet.
            name: of the mel, in errors.
            watch: called with the place in the schedule and the waveforms (B, L) after each step.

        Returns:
            Float32, shape (hop * F,) or (B, hop * F); not cut to [-1, 1].

        Raises:
            InputError: for a mel with another number of bands, transposed, or with values that are not numbers; with
                ``match_level`` for one that is too short to be compared with the result's.
        """
        given = real_tensor(mel if isinstance(mel, Tensor) else _array(mel, name), name)
        batch = given if given.ndim == 3 else given[None]
        if given.ndim not in (2, 3) or not len(batch):
            raise InputError(f"{name} has shape {tuple(given.shape)}; it must be ({self.config.n_mels}, frames)")
        for item in batch:
            check_mel(item, self.config.mel, name)
        length = batch.shape[-1] * self.config.hop_samples
        if match_level and length < self.config.mel.shortest:
            raise InputError(
                f"{name} has {batch.shape[-1]} frames, {length} samples; at least {self.config.mel.shortest} are "
                "needed to match its level"
            )
        noise = ItemNoise(seed, range(len(batch)))
        predict = self.predictor(len(batch), length, batch)
        audio = self._reverse(predict, noise.draw(length), noise, steps, solver=solver, stage="vocode", watch=watch)
        if match_level:
            audio = torch.stack([self._levelled(item, target) for item, target in zip(audio, batch, strict=True)])
        return np.asarray((audio if given.ndim == 3 else audio[0]).numpy(), dtype=np.float32)

    def copy_synthesis(
        self, audio: ArrayLike | Tensor, *, steps: Steps = "fast6", seed: int = 0, **options: Any
    ) -> Samples:
        """A recording's mel, vocoded again: how good can this vocoder be?

        Args:
            audio: at the model's rate, shape (L,).
            steps, seed, options: as for :meth:`vocode`.

        Returns:
            Float32, shape (L,).

        Raises:
            InputError: for audio that is not floats of that shape, not finite or not scaled to [-1, 1], or too short
                for a mel.
        """
        samples = _sound(audio, "audio")
        mel = mel_spectrogram(samples, self.config.mel)
        return self.vocode(mel, steps=steps, seed=seed, **options)[: len(samples)]

    def _levelled(self, audio: Tensor, target: Tensor) -> Tensor:
        """``audio``, scaled until the mean square of its mel magnitudes is that of the target."""
        lmnt = self.config.features == "lmnt"
        # lmnt's mel cuts off samples beyond full scale, and bands above 20 dB, which a tone of half of it stays below.
        fitting = audio / (2 * audio.abs().max()).clamp(min=1.0) if lmnt else audio
        own = mel_spectrogram(fitting, self.config.mel)[:, : target.shape[-1]]
        if lmnt:  # decibels over 100
            own, target = own * (100 * np.log(10) / 20), target * (100 * np.log(10) / 20)
        return fitting * ((2 * target).exp().sum() / (2 * own).exp().sum()).sqrt()


class Generator(_Synthesiser):
    """Sounds from noise, with a label or without; denoising and interpolation of given sounds.

    Args:
        model: what training gave, or a network of condition "label" or "none".
        dtype, device: as for :meth:`from_pretrained`.

    Example:
        >>> generator = Generator.from_pretrained("digits")
        >>> three = generator.sample(4, label=3, seed=0)
    """

    conditions = ("label", "none")

    def sample(
        self,
        n: int,
        seconds: float | None = None,
        *,
        label: int | Sequence[int] | NDArray[np.int64] | None = None,
        seed: int = 0,
        steps: Steps = "full",
        solver: Solver = "ddpm",
        watch: Callable[[int, Tensor], None] | None = None,
    ) -> Samples:
        """New sounds. Sound i of a seed is the same, whatever ``n``.

        Args:
            n: how many.
            seconds: length of each; None for that of the training clips.
            label: one for all, or one each; for models of that condition.
            seed: of the noise.
            steps, solver, watch: as for :meth:`Vocoder.vocode`.

        Returns:
            Float32, shape (n, L).

        Raises:
            InputError: for a label out of range, missing, or given to a model without labels; for more sound than
                memory holds.
        """
        length = self.check_memory(n, seconds)
        labels = self._labels(label, n)
        sounds = []
        at_once = max(1, BATCH_SAMPLES // length)
        for begin in range(0, n, at_once):
            items = range(begin, min(begin + at_once, n))
            noise = ItemNoise(seed, items)
            part = None if labels is None else labels[begin : items.stop]
            predict = self.predictor(len(items), length, label=part)
            sounds.append(self._reverse(predict, noise.draw(length), noise, steps, solver=solver, watch=watch))
        return np.asarray(torch.cat(sounds).numpy(), dtype=np.float32)

    def check_memory(self, n: int, seconds: float | None) -> int:
        """Check, before any work, that :meth:`sample` has the memory for n sounds; gives the samples of each.

        Raises:
            InputError: if it has not, or for arguments out of range.
        """
        n, rate = check_whole("n", n, 1), self.config.sample_rate
        if seconds is not None and not (isinstance(seconds, _REAL) and 0.5 < seconds * rate < math.inf):
            raise InputError(f"seconds is {seconds!r}; it must be a number, and hold a sample of {rate} Hz at least")
        length = self.config.clip_samples if seconds is None else round(seconds * rate)
        group = min(n, max(1, BATCH_SAMPLES // length)) * length
        # Activations of one piece (with the samples around it), noise and steps of a group, and the sounds twice.
        activations = 5 * self.config.residual_channels * min(group, PIECE + sum(self.config.dilations) * 2)
        needed, there = 4 * (activations + 5 * group + 2 * n * length), available_memory()
        if needed > there:
            sounds = f"{n} sound{'s' * (n > 1)} of {length / self.config.sample_rate:g} s"
            raise InputError(
                f"{sounds}: this takes about {needed / 1e9:,.1f} GB of memory, and there are {there / 1e9:,.1f} GB; "
                "generate less at a time"
            )
        return length

    def denoise(
        self,
        audio: ArrayLike | Tensor,
        step: int,
        *,
        scale: bool = True,
        label: int | Sequence[int] | None = None,
        seed: int = 0,
        solver: Solver = "ddpm",
    ) -> Samples:
        """Take a noisy recording for x_t and run the reverse process from there (section 5.4); no further training.

        Args:
            audio: shape (L,) or (B, L), at the model's rate.
            step: t of the paper, 1 .. T: how much noise is taken away; the paper uses 25 of 200.
            scale: multiply by sqrt(alpha-bar_t) first, as x_t would be.
            label: for models of that condition.
            seed: of the noise that reverse steps add.
            solver: "ddpm", or "ddim", which adds none.

        Returns:
            Float32, of the audio's shape.

        Raises:
            InputError: for audio that is not floats of that shape, not finite or not scaled to [-1, 1]; for a step or
                label out of range.
        """
        given = _sound(audio, "audio", batch=True)
        schedule = self._checked(step)
        x = given.reshape(-1, given.shape[-1]) * (float(schedule.alpha_bar[step - 1]) ** 0.5 if scale else 1.0)
        predict = self.predictor(len(x), x.shape[1], label=self._labels(label, len(x)))
        noise = ItemNoise(seed, range(len(x)))
        result = self._reverse(predict, x, noise, schedule, begin=step - 1, solver=solver, stage="denoise")
        return np.asarray(result.reshape(given.shape).numpy(), dtype=np.float32)

    def interpolate(
        self,
        a: ArrayLike | Tensor,
        b: ArrayLike | Tensor,
        lam: float,
        step: int | None = None,
        *,
        label: int | Sequence[int] | None = None,
        same_noise: bool = False,
        seed: int = 0,
    ) -> Samples:
        """A sound between two: both diffused to step t, mixed there, and run back (section 5.4).

        Args:
            a, b: shape (L,) or (B, L), at the model's rate, of the same shape.
            lam: lambda, 0 gives a and 1 gives b, each diffused and run back.
            step: t of the paper, 1 .. T; None for a quarter of T, the paper's 50 of 200.
            label: for models of that condition.
            same_noise: diffuse both with the same noise. Independent noises, as in the paper, shrink the variance of
                the mixed noise to (1 - lambda)^2 + lambda^2 of what the step expects.
            seed: of all noise.

        Returns:
            Float32, of the shape of ``a``.

        Raises:
            InputError: for sounds that are not floats of one shape, not finite or not scaled to [-1, 1]; for numbers
                or a label out of range.
        """
        if not (isinstance(lam, _REAL) and 0.0 <= lam <= 1.0):
            raise InputError(f"lam is {lam!r}; it must be a number from 0 to 1")
        first, second = (_sound(sound, name, batch=True) for sound, name in ((a, "a"), (b, "b")))
        shape = first.shape
        if shape != second.shape:
            raise InputError(f"the sounds have shapes {tuple(shape)} and {tuple(second.shape)}; make them equal")
        first, second = first.reshape(-1, shape[-1]), second.reshape(-1, shape[-1])
        step = max(1, self.config.noise_schedule[0] // 4) if step is None else step
        schedule = self._checked(step)
        noise = ItemNoise(seed, range(len(first)))
        level = torch.full((len(first),), float(schedule.alpha_bar[step - 1]))
        noise_a = noise.draw(first.shape[1])
        noise_b = noise_a if same_noise else noise.draw(first.shape[1])
        x = interpolate_linearly(diffuse(first, noise_a, level), diffuse(second, noise_b, level), lam)
        predict = self.predictor(len(x), x.shape[1], label=self._labels(label, len(x)))
        result = self._reverse(predict, x, noise, schedule, begin=step - 1, stage="interpolate")
        return np.asarray(result.reshape(shape).numpy(), dtype=np.float32)

    def _checked(self, step: int) -> NoiseSchedule:
        schedule = self.config.schedule
        if not isinstance(step, int | np.integer):
            raise InputError(f"step is {step!r}; it must be a whole number from 1 to {len(schedule)}")
        if not 1 <= step <= len(schedule):
            raise InputError(f"step is {step}; it must lie between 1 and {len(schedule)}, the model's number of steps")
        return schedule

    def _labels(self, label: int | Sequence[int] | NDArray[np.int64] | None, n: int) -> Tensor | None:
        if self.config.condition == "none":
            if label is not None:
                raise InputError("this model takes no labels; leave the label out")
            return None
        if label is None:
            raise InputError(f"this model needs a label, 0 to {self.config.n_classes - 1}")
        given = np.asarray(label)
        if given.dtype.kind not in "iu" or given.shape not in ((), (n,)):
            raise InputError(f"label is {label!r}; give one whole number, or one for each of {n} sounds")
        labels = torch.from_numpy(np.broadcast_to(given.astype(np.int64), (n,)).copy())
        outside = labels[(labels < 0) | (labels >= self.config.n_classes)]
        if len(outside):
            raise InputError(f"label {int(outside[0])} is out of range; labels are 0 to {self.config.n_classes - 1}")
        return labels
