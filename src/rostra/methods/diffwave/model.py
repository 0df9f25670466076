"""The network of DiffWave, as a plain module (Kong et al. 2021, section 3, figure 2, appendix A)."""

__all__ = ["PRESETS", "SIZES", "DiffWave", "DiffWaveConfig", "factors_of_hop", "new_network", "receptive_field"]

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from rostra.engine.errors import InputError

from .features import MelConfig
from .objective import FAST_SCHEDULES, NoiseSchedule

FREQUENCIES = 64
EMBEDDING = 512
LABEL_EMBEDDING = 128
UPSAMPLER_SLOPE = 0.4
LONGEST_CYCLE = 20
"""Its last layer has a dilation of 2^19 samples, 24 s at 22,050 Hz; much longer ones take all memory for padding."""


@dataclass(frozen=True)
class DiffWaveConfig:
    """Sizes, schedule and front end of one model. The defaults are the authors' BASE vocoder.

    Attributes:
        residual_layers, residual_channels: N and C of the paper.
        dilation_cycle_length: layer i has dilation 2^(i mod cycle).
        condition: "mel" spectrogram (a vocoder), "label" (a class or a speaker), or "none".
        n_classes: of labels.
        features, n_mels, n_fft, hop_samples, win_length, f_min, f_max: the mel front end, see :class:`.MelConfig`.
        sample_rate: Hz.
        clip_samples: length of a training clip; for models without a mel also the length of generated clips.
        noise_schedule: training variances (T, first, last), evenly spaced.
        inference_noise_schedule: variances of few-step sampling.
        loss: "mse" (the paper) or "l1" (lmnt).
        embedding: "smooth", frequencies 10^(-4j/63) at any real step (the authors' code); or "table", 10^(4j/63) at
            whole steps, and linear in between (the paper's text; lmnt).
        residual_base: what a layer's residual is added to: "u", its input with the step vector (the authors' code), or
            "h", its input (the paper's figure; lmnt).
        upsampler: "per_layer" (the authors' code) or "shared" by all layers (lmnt).
        weight_norm: weight normalisation of every convolution but the last (the authors' code).
        zero_head_bias: whether the last convolution starts with bias zero as well as weight zero.
        clamp: "final", only when a file of whole numbers is written, or "each" reverse step (lmnt).
        level: how clips are normalised before training: "peak", "rms" or None.
    """

    residual_layers: int = 30
    residual_channels: int = 64
    dilation_cycle_length: int = 10
    condition: Literal["mel", "label", "none"] = "mel"
    n_classes: int = 0
    features: Literal["tacotron", "lmnt"] = "tacotron"
    n_mels: int = 80
    n_fft: int = 1024
    hop_samples: int = 256
    win_length: int = 1024
    f_min: float = 0.0
    f_max: float = 8000.0
    sample_rate: int = 22050
    clip_samples: int = 16000
    noise_schedule: tuple[int, float, float] = (50, 1e-4, 0.05)
    inference_noise_schedule: tuple[float, ...] = FAST_SCHEDULES["fast6-base"]
    loss: Literal["mse", "l1"] = "mse"
    embedding: Literal["smooth", "table"] = "smooth"
    residual_base: Literal["u", "h"] = "u"
    upsampler: Literal["per_layer", "shared"] = "per_layer"
    weight_norm: bool = True
    zero_head_bias: bool = True
    clamp: Literal["final", "each"] = "final"
    level: Literal["peak", "rms"] | None = None

    def __post_init__(self) -> None:
        for name in ("residual_layers", "residual_channels", "dilation_cycle_length", "sample_rate", "clip_samples"):
            check_whole(name, getattr(self, name), 1)
        check_whole("n_classes", self.n_classes, 0)
        if min(self.residual_layers, self.dilation_cycle_length) > LONGEST_CYCLE:
            raise InputError(
                f"dilation_cycle_length is {self.dilation_cycle_length}; it must be at most {LONGEST_CYCLE}, since "
                "dilations double from layer to layer of a cycle"
            )
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(map(str, known))}")
        if self.condition == "label" and self.n_classes < 2:
            raise InputError(f"a model with labels needs n_classes of at least 2, got {self.n_classes}")
        if self.condition == "mel":
            shortest = self.mel.shortest
            if self.clip_samples < shortest:
                raise InputError(
                    f"clip_samples is {self.clip_samples}; a clip whose mel is taken with n_fft {self.n_fft} has at "
                    f"least {shortest}"
                )
            factors_of_hop(self.hop_samples)
        self.schedule.fast(self.inference_noise_schedule)

    @property
    def mel(self) -> MelConfig:
        """The mel front end."""
        return MelConfig(
            features=self.features,
            sample_rate=self.sample_rate,
            n_fft=self.n_fft,
            hop_samples=self.hop_samples,
            win_length=self.win_length,
            n_mels=self.n_mels,
            f_min=self.f_min,
            f_max=self.f_max,
        )

    @property
    def schedule(self) -> NoiseSchedule:
        """The training schedule."""
        steps, first, last = self.noise_schedule
        return NoiseSchedule.linear(steps, first, last)

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of each layer."""
        return tuple(2 ** (layer % self.dilation_cycle_length) for layer in range(self.residual_layers))


_CHOICES: dict[str, tuple[Any, ...]] = {
    "condition": ("mel", "label", "none"),
    "features": ("tacotron", "lmnt"),
    "loss": ("mse", "l1"),
    "embedding": ("smooth", "table"),
    "residual_base": ("u", "h"),
    "upsampler": ("per_layer", "shared"),
    "clamp": ("final", "each"),
    "level": ("peak", "rms", None),
}

PRESETS: dict[str, dict[str, Any]] = {
    "official": {},
    "lmnt": {
        "features": "lmnt",
        "f_min": 20.0,
        "f_max": 11025.0,
        "clip_samples": 62 * 256,
        "loss": "l1",
        "embedding": "table",
        "residual_base": "h",
        "upsampler": "shared",
        "weight_norm": False,
        "zero_head_bias": False,
        "clamp": "each",
    },
}
"""What differs between the authors' code and lmnt-com/diffwave, as arguments of :class:`DiffWaveConfig`."""

_LARGE_SCHEDULE = {
    "noise_schedule": (200, 1e-4, 0.02),
    "inference_noise_schedule": FAST_SCHEDULES["fast6-large"],
}
_SC09 = {
    **_LARGE_SCHEDULE,
    "residual_layers": 36,
    "residual_channels": 256,
    "dilation_cycle_length": 12,
    "condition": "none",
    "sample_rate": 16000,
}
_SC09_LABEL = {**_SC09, "condition": "label", "n_classes": 10}
SIZES: dict[str, dict[str, Any]] = {
    "base": {},
    "large": {**_LARGE_SCHEDULE, "residual_channels": 128},
    "sc09": _SC09,
    "sc09-label": _SC09_LABEL,
    "sc09-label-thin": {**_SC09_LABEL, "residual_layers": 48, "residual_channels": 128},
}
"""The paper's models, as arguments of :class:`DiffWaveConfig` (tables 1 to 3, appendix A)."""


def check_whole(name: str, value: object, least: int) -> int:
    """Check a whole number, and give it as Python's.

    Raises:
        InputError: naming it, for another type and for a number below ``least``.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def receptive_field(dilations: tuple[int, ...]) -> int:
    """Samples of the input that one output sample depends on: 2 * sum of dilations + 1 (section 3.1, kernel 3)."""
    return 2 * sum(dilations) + 1


def factors_of_hop(hop: int) -> tuple[int, int]:
    """The strides of the two stages of upsampling: the factors of the hop nearest to each other, each at least 2.

    Raises:
        InputError: for a prime hop.
    """
    for small in range(int(hop**0.5), 1, -1):
        if hop % small == 0:
            return small, hop // small
    raise InputError(f"hop_samples is {hop}, which has no two factors above 1; take 64, 128, 200, 256, 300, ...")


class DiffWave(nn.Module):
    """Predicts the noise in a noisy waveform (epsilon_theta of the paper).

    ``forward(audio, step, mel=None, label=None)``. The layout is the authors': the first half of the gate is the tanh,
    and residual and skip have a convolution each; checkpoints of other layouts are rearranged when they are read.
    """

    def __init__(self, config: DiffWaveConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.residual_channels
        self.embedding = StepEmbedding(config)
        self.input = convolution(config, 1, channels, 1)
        if config.condition == "label":
            self.label_embedding = nn.Embedding(config.n_classes, LABEL_EMBEDDING)
        if config.condition == "mel" and config.upsampler == "shared":
            self.upsampler = MelUpsampler(config)
        self.layers = nn.ModuleList(ResidualLayer(config, dilation) for dilation in config.dilations)
        self.skip = convolution(config, channels, channels, 1)
        self.output = nn.Conv1d(channels, 1, 1)
        nn.init.zeros_(self.output.weight)
        if config.zero_head_bias and self.output.bias is not None:
            nn.init.zeros_(self.output.bias)

    def forward(
        self, audio: Tensor, step: Tensor | float, mel: Tensor | None = None, label: Tensor | None = None
    ) -> Tensor:
        """The noise in ``audio``.

        Args:
            audio: x_t, shape (B, L).
            step: diffusion step from 0, whole or real, shape (B,), or one for all.
            mel: shape (B, n_mels, F) with hop * F >= L; for models of that condition.
            label: int64, shape (B,); for models of that condition.

        Returns:
            Shape (B, L).

        Raises:
            InputError: for shapes, labels or conditions that do not fit the model.
        """
        if isinstance(step, int | float | np.integer | np.floating) and isinstance(audio, Tensor):
            step = torch.full(audio.shape[:1], float(step), device=audio.device)
        check_inputs(self.config, audio, step, mel, label)
        embedded = self.embedding(step)
        h = functional.relu(self.input(audio[:, None]))
        condition = self.condition(audio.shape[-1], mel, label)
        skips = torch.zeros_like(h)
        for layer in self.layers:
            h, skip = layer(h, embedded, condition)
            skips = skips + skip
        head = functional.relu(self.skip(skips * len(self.layers) ** -0.5))
        return self.output(head)[:, 0]

    def condition(self, length: int, mel: Tensor | None, label: Tensor | None) -> Tensor | None:
        """What every layer's condition is made of: a mel of (B, n_mels, F) or (B, n_mels, L), a label's (B, 128, 1)."""
        if label is not None:
            return self.label_embedding(label)[:, :, None]
        if mel is not None and self.config.upsampler == "shared":
            return self.upsampler(mel)[:, :, :length]
        return mel


def new_network(config: DiffWaveConfig, seed: int) -> DiffWave:
    """A network before training, on the CPU; torch's own generators are left as they were.

    Args:
        config: of the network.
        seed: of its weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the generators of GPUs too
        return DiffWave(config)


class StepEmbedding(nn.Module):
    """Sines and cosines of the step, then two layers shared by all residual layers (section 3.2, equation 8)."""

    frequencies: Tensor

    def __init__(self, config: DiffWaveConfig) -> None:
        super().__init__()
        self.kind = config.embedding
        self.steps = config.noise_schedule[0]
        sign = -4.0 if self.kind == "smooth" else 4.0
        # In this order, as lmnt's: at frequency 10^4 another rounding in float32 is another angle.
        exponents = torch.arange(FREQUENCIES, dtype=torch.float32) * sign / (FREQUENCIES - 1)
        self.register_buffer("frequencies", 10.0**exponents, persistent=False)
        self.projection1 = nn.Linear(2 * FREQUENCIES, EMBEDDING)
        self.projection2 = nn.Linear(EMBEDDING, EMBEDDING)

    def sinusoids(self, step: Tensor) -> Tensor:
        """Shape (B, 128): sines, then cosines, of frequency times step."""
        if self.kind == "smooth":
            return self._waves(step)
        below = step.floor().clamp(0, self.steps - 1)
        above = (below + 1).clamp(max=self.steps - 1)
        return torch.lerp(self._waves(below), self._waves(above), (step - below)[:, None])

    def _waves(self, step: Tensor) -> Tensor:
        angles = step[:, None] * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    def forward(self, step: Tensor) -> Tensor:
        """From steps (B,) to (B, 512)."""
        waves = self.sinusoids(step.to(self.frequencies.dtype))
        return functional.silu(self.projection2(functional.silu(self.projection1(waves))))


class MelUpsampler(nn.Module):
    """From frames to samples by two transposed convolutions over (band, time) (section 3.3, appendix A)."""

    def __init__(self, config: DiffWaveConfig) -> None:
        super().__init__()
        stages = []
        for stride in factors_of_hop(config.hop_samples):
            # An odd stride needs one more row of padding than output for a length of exactly stride * frames.
            stage: nn.Module = nn.ConvTranspose2d(
                1,
                1,
                (3, 2 * stride),
                stride=(1, stride),
                padding=(1, (stride + 1) // 2),
                output_padding=(0, stride % 2),
            )
            if config.weight_norm:
                nn.init.kaiming_normal_(stage.weight)  # type: ignore[arg-type]
                stage = weight_norm(stage)
            stages.append(stage)
        self.stages = nn.ModuleList(stages)

    def forward(self, mel: Tensor) -> Tensor:
        """From (B, n_mels, F) to (B, n_mels, hop * F)."""
        upsampled = mel[:, None]
        for stage in self.stages:
            upsampled = functional.leaky_relu(stage(upsampled), UPSAMPLER_SLOPE)
        return upsampled[:, 0]


class ResidualLayer(nn.Module):
    """One layer: dilated convolution, condition, gate, residual and skip (figure 2)."""

    def __init__(self, config: DiffWaveConfig, dilation: int) -> None:
        super().__init__()
        channels = config.residual_channels
        self.residual_base = config.residual_base
        self.dilated = convolution(config, channels, 2 * channels, 3, dilation)
        self.step = nn.Linear(EMBEDDING, channels)
        if config.condition == "mel":
            if config.upsampler == "per_layer":
                self.upsampler = MelUpsampler(config)
            self.condition = convolution(config, config.n_mels, 2 * channels, 1)
        elif config.condition == "label":
            self.condition = convolution(config, LABEL_EMBEDDING, 2 * channels, 1)
        self.residual = convolution(config, channels, channels, 1)
        self.skip = convolution(config, channels, channels, 1)

    def forward(self, h: Tensor, embedded: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """From (B, C, L), the step's (B, 512) and the condition to the next layer's input and the skip, (B, C, L)."""
        u = h + self.step(embedded)[:, :, None]
        y = self.dilated(u)
        if condition is not None:
            if hasattr(self, "upsampler"):
                condition = self.upsampler(condition)[:, :, : h.shape[-1]]
            y = y + self.condition(condition)
        tangent, gate = y.chunk(2, dim=1)
        z = tangent.tanh() * gate.sigmoid()
        base = u if self.residual_base == "u" else h
        return (base + self.residual(z)) * 0.5**0.5, self.skip(z)


def convolution(config: DiffWaveConfig, inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Module:
    """A convolution that keeps the length, with the authors' initialisation, weight-normalised where configured."""
    layer = nn.Conv1d(inputs, outputs, kernel, padding=dilation * (kernel // 2), dilation=dilation)
    nn.init.kaiming_normal_(layer.weight)
    return weight_norm(layer) if config.weight_norm else layer


def check_inputs(config: DiffWaveConfig, audio: Tensor, step: Tensor, mel: Tensor | None, label: Tensor | None) -> None:
    """Check what a network is given.

    Raises:
        InputError: naming what does not fit, and what would.
    """
    for name, value in {"audio": audio, "step": step, "mel": mel, "label": label}.items():
        if not isinstance(value, Tensor) and (value is not None or name in ("audio", "step")):
            wanted = "a tensor or a number" if name == "step" else "a tensor"
            raise InputError(f"{name} is a {type(value).__name__}; give {wanted}")
    if audio.ndim != 2 or not audio.shape[1]:
        raise InputError(f"audio has shape {tuple(audio.shape)}; it must be (batch, samples)")
    batch, length = audio.shape
    if step.shape != (batch,):
        raise InputError(f"step has shape {tuple(step.shape)}; it must be ({batch},), one step an item")
    if batch and not (float(step.min()) >= 0 and float(step.max()) <= config.noise_schedule[0] - 1):
        raise InputError(
            f"steps lie in {float(step.min()):g} to {float(step.max()):g}; "
            f"they must lie in 0 to {config.noise_schedule[0] - 1}"
        )
    given = {"mel": mel, "label": label}
    for name, value in given.items():
        if (value is not None) != (config.condition == name):
            needed = f"needs a {config.condition}" if config.condition != "none" else "takes no condition"
            raise InputError(f"this model {needed}, and {name} is {'missing' if value is None else 'given'}")
    if mel is not None:
        if mel.ndim != 3 or mel.shape[:2] != (batch, config.n_mels):
            raise InputError(f"mel has shape {tuple(mel.shape)}; it must be ({batch}, {config.n_mels}, frames)")
        if mel.shape[2] * config.hop_samples < length:
            raise InputError(
                f"a mel of {mel.shape[2]} frames covers {mel.shape[2] * config.hop_samples} samples; "
                f"the audio has {length}"
            )
    if label is not None:
        if label.shape != (batch,):
            raise InputError(f"label has shape {tuple(label.shape)}; it must be ({batch},), one label an item")
        if batch and not (int(label.min()) >= 0 and int(label.max()) < config.n_classes):
            worst = int(label.max()) if int(label.max()) >= config.n_classes else int(label.min())
            raise InputError(f"label {worst} is out of range; labels are 0 to {config.n_classes - 1}")
