"""The judge of generated sounds: a small convolutional network on log-mel spectrograms, trained on the data at hand.

The paper judges by a ResNeXt on the digits of Speech Commands, which cannot be had; this one takes its place for the
metrics of :mod:`rostra.methods.diffwave.metrics`. Say its accuracy beside every number that rests on it.
"""

__all__ = ["ClassifierConfig", "SoundClassifier", "train_classifier"]

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad, relu

from rostra.engine.checkpoints import load_checkpoint, rebuilding, save_checkpoint, tuples
from rostra.engine.errors import InputError
from rostra.engine.progress import progress_bar
from rostra.engine.runtime import keep_freed_memory, resolve_device

from .features import MelConfig, mel_spectrogram

Array = NDArray[np.float64]
Audio = ArrayLike | Tensor

KIND = "diffwave-classifier"
CLIPS_AT_ONCE = 256
"""Clips that go through a trained network together."""
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""


@dataclass(frozen=True)
class ClassifierConfig:
    """What is judged, the network and its training; the defaults are for spoken digits of half a second at 8 kHz.

    Attributes:
        sample_rate: in Hz.
        length: samples of a clip; longer ones must be cut, and shorter ones padded.
        n_classes: K, at least 2.
        channels: C of the first convolution; the features have 8 C numbers.
        epochs: passes over the data.
        batch_size: clips a step.
        lr: highest learning rate of AdamW; it rises linearly over the first tenth of the steps, then falls to 0 along
            a cosine.
        weight_decay: of AdamW.
        dropout: share of the features that are left out in training, in [0, 1).
        max_shift: longest random shift in time, either way, as a share of the length, in [0, 1).
        max_gain_db: largest random gain in dB, either way, after the normalisation by peak.
        noise_db: lowest and highest signal-to-noise ratio of the white noise that is added, in dB.
        seed: of the first weights, the batches and the augmentation.
    """

    sample_rate: int = 8000
    length: int = 4096
    n_classes: int = 10
    channels: int = 16
    epochs: int = 20
    batch_size: int = 32
    lr: float = 3e-3
    weight_decay: float = 1e-2
    dropout: float = 0.2
    max_shift: float = 0.1
    max_gain_db: float = 6.0
    noise_db: tuple[float, float] = (10.0, 60.0)
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"n_classes": 2, "batch_size": 2}  # batch normalisation needs two
        for name in ("sample_rate", "length", "n_classes", "channels", "epochs", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least.get(name, 1):
                raise InputError(f"{name} must be a whole number of at least {least.get(name, 1)}, got {value!r}")
        if not 0 < self.lr < math.inf:
            raise InputError(f"lr must be above 0, got {self.lr!r}")
        for name in ("weight_decay", "max_gain_db"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must be at least 0, got {getattr(self, name)!r}")
        for name in ("dropout", "max_shift"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 0 and below 1, got {getattr(self, name)!r}")
        if len(self.noise_db) != 2 or not -math.inf < self.noise_db[0] <= self.noise_db[1] < math.inf:
            raise InputError(f"noise_db must be two numbers, the lower first, got {self.noise_db!r}")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(f"seed must be a whole number of at least 0, got {self.seed!r}")
        shortest = self.mel.shortest
        if self.length < shortest:
            raise InputError(
                f"length is {self.length} samples; the spectrogram at {self.sample_rate} Hz needs at least {shortest}"
            )

    @property
    def mel(self) -> MelConfig:
        """The spectrogram that the network sees."""
        return MelConfig.default("tacotron", self.sample_rate)


class _Network(nn.Module):
    """Four convolutions with batch normalisation, mean and maximum over time and frequency, a linear layer.

    Attributes:
        mean, scale: of the log-mel values of the training clips.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        c = config.channels
        widths, strides = (1, c, 2 * c, 2 * c, 4 * c), ((2, 1), (2, 2), (2, 2), (2, 2))
        self.mel = config.mel
        self.convolutions = nn.ModuleList(
            nn.Conv2d(widths[i], widths[i + 1], 3, stride, padding=1, bias=False) for i, stride in enumerate(strides)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        self.dropout = nn.Dropout(config.dropout)
        self.last = nn.Linear(8 * c, config.n_classes)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def features(self, audio: Tensor) -> Tensor:
        """What enters the last layer: audio (n, L) -> (n, 8 C)."""
        x = ((mel_spectrogram(audio, self.mel) - self.mean) / self.scale)[:, None]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = relu(norm(convolution(x)))
        return torch.cat((x.mean((2, 3)), x.amax((2, 3))), 1)

    def forward(self, audio: Tensor) -> Tensor:
        """Logits: audio (n, L) -> (n, K)."""
        return self.last(self.dropout(self.features(audio)))


class SoundClassifier:
    """A trained judge; made by :func:`train_classifier` or :meth:`load`.

    Each clip is normalised by its peak first, so its level does not matter. Silence is allowed, and judged as it is.

    Attributes:
        config: as it was trained.
        network: the torch module, in evaluation mode.
        label_names: K names, in the order of the classes.
        accuracy_: share of the validation clips that it names rightly, None without such clips.
        validation_size_: number of those clips.
    """

    def __init__(
        self,
        config: ClassifierConfig,
        network: _Network,
        label_names: Sequence[str],
        accuracy: float | None = None,
        validation_size: int = 0,
    ) -> None:
        self.config = config
        self.network = network.eval()
        self.label_names = tuple(label_names)
        self.accuracy_ = accuracy
        self.validation_size_ = validation_size

    def features(self, audio: Audio) -> Array:
        """The layer before the last, phi(x): shape (n, 8 C), float64.

        Args:
            audio: clips of the length of the training, shape (n, L).

        Raises:
            InputError: for another shape, or samples that are not finite.
        """
        return self._judge(audio)[0]

    def probabilities(self, audio: Audio) -> Array:
        """p(y | x): shape (n, K), float64; the softmax is taken in float64, so that none underflows to 0.

        Arguments and errors as :meth:`features`.
        """
        return self._judge(audio)[1]

    def predict(self, audio: Audio) -> NDArray[np.int64]:
        """The most likely class of each clip, shape (n,). Arguments and errors as :meth:`features`."""
        return self.probabilities(audio).argmax(1)

    def features_and_probabilities(self, audio: Audio) -> tuple[Array, Array]:
        """Both in one pass. Arguments and errors as :meth:`features`."""
        return self._judge(audio)

    def _judge(self, audio: Audio) -> tuple[Array, Array]:
        clips = _clips(audio, self.config, "audio")
        device = next(self.network.parameters()).device
        last = self.network.last
        features, probabilities = [np.zeros((0, last.in_features))], [np.zeros((0, self.config.n_classes))]
        with torch.inference_mode():
            for start in range(0, len(clips), CLIPS_AT_ONCE):
                phi = self.network.features(_by_peak(clips[start : start + CLIPS_AT_ONCE].to(device)))
                features.append(phi.double().cpu().numpy())
                probabilities.append(last(phi).double().softmax(1).cpu().numpy())
        return np.concatenate(features), np.concatenate(probabilities)

    def save(self, folder: str | Path) -> None:
        """Write the classifier to a folder (safetensors and JSON), replacing one that is there.

        Raises:
            InputError: if the folder holds other files or cannot be written.
        """
        content = {
            "config": asdict(self.config),
            "mel": asdict(self.config.mel),
            "label_names": list(self.label_names),
            "accuracy": self.accuracy_,
            "validation_size": self.validation_size_,
        }
        save_checkpoint(Path(folder), KIND, self.network.state_dict(), content)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = "cpu") -> Self:
        """Read a classifier back; torch's own generators are left as they were.

        Raises:
            InputError: if the folder is missing, damaged or holds something else, or the device cannot be used.
        """
        where = resolve_device(device)
        tensors, content = load_checkpoint(Path(folder), KIND)
        with rebuilding(folder, "train it again"):
            config = ClassifierConfig(**tuples(content["config"]))
            with torch.random.fork_rng(devices=[]):  # of the first weights, which are then replaced
                network = _Network(config)
            network.load_state_dict(tensors)
            judge = cls(config, network, content["label_names"], content["accuracy"], content["validation_size"])
        network.to(where)
        if content.get("mel") != _as_json(asdict(config.mel)):
            raise InputError(f"'{folder}' was trained on other mel features than today's; train the classifier again")
        return judge


def train_classifier(
    audio: Audio,
    labels: ArrayLike,
    config: ClassifierConfig | None = None,
    *,
    validation: tuple[Audio, ArrayLike] | None = None,
    label_names: Sequence[str] | None = None,
    device: str | None = "cpu",
) -> SoundClassifier:
    """Train a judge with AdamW for a fixed number of epochs.

    The validation clips measure the result and choose nothing. Batches are whole: what is left over of an epoch's
    random order is left out. Clips are shifted in time, amplified or damped, and mixed with white noise at random.

    Args:
        audio: clips, float32, shape (n, L), L as the configuration says; any level.
        labels: whole numbers in [0, K - 1], every class at least once, shape (n,).
        config: None: the defaults.
        validation: clips and labels of others, which give ``accuracy_``.
        label_names: K names; None: "0", "1", ...
        device: a torch device; None takes CUDA where there is one.

    Returns:
        The classifier; on a CPU the same for the same seed and number of threads. Torch's own generator is left as it
        was.

    Raises:
        InputError: for other shapes, samples that are not finite, labels outside or missing, or a loss that is not
            finite.
    """
    config = ClassifierConfig() if config is None else config
    where = resolve_device(device)
    clips = _clips(audio, config, "audio")
    classes = _class_numbers(labels, len(clips), config.n_classes, "labels")
    missing = np.setdiff1d(np.arange(config.n_classes), classes)
    if len(missing):
        raise InputError(f"labels hold no clip of class {missing[0]}; each of 0 to {config.n_classes - 1} needs one")
    names = tuple(map(str, range(config.n_classes))) if label_names is None else tuple(label_names)
    if len(names) != config.n_classes:
        raise InputError(f"label_names has {len(names)} names; n_classes is {config.n_classes}")
    if validation is not None:
        held_out = _clips(validation[0], config, "validation audio")
        truth = _class_numbers(validation[1], len(held_out), config.n_classes, "validation labels")
        if len(held_out) == 0:
            raise InputError("validation audio holds no clips; leave validation away or give some")
    keep_freed_memory()
    batch_size = min(config.batch_size, len(clips))
    steps = config.epochs * (len(clips) // batch_size)
    draws = torch.Generator().manual_seed(config.seed)
    normalised, target = _by_peak(clips).to(where), torch.from_numpy(classes).to(where)

    with _own_seed(config.seed, where):
        network = _Network(config).to(where)
        _measure(network, normalised)
        optimiser = torch.optim.AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
        with progress_bar("train classifier", steps) as advance:
            for epoch in range(config.epochs):
                total = torch.zeros((), device=where)
                order = torch.randperm(len(clips), generator=draws)
                batches = [rows for rows in torch.split(order, batch_size) if len(rows) == batch_size]
                for rows in batches:
                    heard = _augment(normalised[rows.to(where)], config, draws)
                    loss = cross_entropy(network(heard), target[rows.to(where)])
                    optimiser.zero_grad()
                    torch.autograd.backward(loss)
                    optimiser.step()
                    schedule.step()
                    total += loss.detach()
                mean = float(total) / len(batches)
                if not math.isfinite(mean):
                    raise InputError(f"the loss is {mean} in epoch {epoch + 1}; try a lower lr than {config.lr:g}")
                advance(len(batches), f"loss {mean:.3f}")

    judge = SoundClassifier(config, network, names)
    if validation is not None:
        judge.accuracy_ = float((judge.predict(held_out) == truth).mean())
        judge.validation_size_ = len(held_out)
    return judge


# ---------------------------------------------------------------------- parts


@contextlib.contextmanager
def _own_seed(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators, which first weights and dropout draw from, and put them back afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _rate(step: int, steps: int) -> float:
    """Share of the highest learning rate at a step, in [0, 1]."""
    rising = max(1.0, WARM_UP * steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1.0, steps - rising)))


def _by_peak(audio: Tensor) -> Tensor:
    """Each clip with its largest absolute sample at 1; silence stays silence. Shape (n, L)."""
    peak = audio.abs().amax(1, keepdim=True)
    return audio / torch.where(peak > 0, peak, 1)


def _measure(network: _Network, audio: Tensor) -> None:
    """Set the network's mean and scale of log-mel values to those of the clips."""
    mels = torch.cat([mel_spectrogram(part, network.mel).flatten() for part in torch.split(audio, CLIPS_AT_ONCE)])
    network.mean.copy_(mels.mean())
    network.scale.copy_(mels.std().clamp(min=1e-3))


def _augment(audio: Tensor, config: ClassifierConfig, draws: torch.Generator) -> Tensor:
    """Random shift in time, noise and gain, drawn on the CPU so that devices agree. Shape (n, L)."""
    n, length = audio.shape
    furthest = int(config.max_shift * length)
    offset = torch.randint(0, 2 * furthest + 1, (n, 1), generator=draws)
    places = (offset + torch.arange(length)).to(audio.device)
    shifted = pad(audio, (furthest, furthest)).gather(1, places)
    low, high = config.noise_db
    ratio = low + (high - low) * torch.rand(n, 1, generator=draws)
    noise = torch.randn(n, length, generator=draws) * 10 ** (-ratio / 20)
    level = audio.square().mean(1, keepdim=True).sqrt()
    gain = 10 ** (config.max_gain_db * (2 * torch.rand(n, 1, generator=draws) - 1) / 20)
    return (shifted + noise.to(audio.device) * level) * gain.to(audio.device)


# ---------------------------------------------------------------------- checks


def _clips(audio: Audio, config: ClassifierConfig, name: str) -> Tensor:
    """Float32 clips on the CPU, shape (n, L)."""
    clips = audio.detach().cpu() if isinstance(audio, Tensor) else torch.from_numpy(np.asarray(audio))
    if not clips.is_floating_point():
        raise InputError(f"{name} has type {str(clips.dtype).removeprefix('torch.')}; expected floats in [-1, 1]")
    if clips.ndim != 2 or clips.shape[1] != config.length:
        raise InputError(
            f"{name} has shape {tuple(clips.shape)}; expected (n, {config.length}): cut or zero-pad the clips"
        )
    clips = clips.float()
    finite = clips.isfinite().all(1)
    if not finite.all():
        raise InputError(f"{name} is not finite in clip {int(finite.int().argmin())}")
    return clips


def _class_numbers(labels: ArrayLike, count: int, classes: int, name: str) -> NDArray[np.int64]:
    """Whole numbers in [0, K - 1], one a clip."""
    found = np.asarray(labels)
    if found.shape != (count,):
        raise InputError(f"{name} have shape {found.shape}; expected ({count},), one for each clip")
    if found.dtype.kind not in "iu":
        raise InputError(f"{name} have type {found.dtype}; expected whole numbers from 0 to {classes - 1}")
    outside = (found < 0) | (found >= classes)
    if outside.any():
        row = int(outside.argmax())
        raise InputError(f"{name} hold {found[row]} in row {row}; expected 0 to {classes - 1}")
    return found.astype(np.int64)


def _as_json(values: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON gives them back: tuples become lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
