"""Comparators of unconditional generation: a small WaveGAN and a small autoregressive WaveNet, on a CPU's budget.

Neither is DiffWave. Both are trained on the same clips as the diffusion model, for an equal number of CPU seconds or
for a number of steps, and share one interface: ``train_...(audio, config, cpu_seconds=...)`` and ``sample(n, seed)``.

WaveGAN: Donahue, McAuley, Puckette, "Adversarial Audio Synthesis", ICLR 2019, with the loss of Gulrajani et al.,
"Improved Training of Wasserstein GANs", 2017. WaveNet: van den Oord et al., "WaveNet: A Generative Model for Raw
Audio", 2016, with the cached generation of Paine et al., "Fast Wavenet Generation Algorithm", 2016.
"""

__all__ = [
    "CachedWaveNet",
    "WaveGAN",
    "WaveGANConfig",
    "WaveGANCritic",
    "WaveGANGenerator",
    "WaveNet",
    "WaveNetConfig",
    "WaveNetNetwork",
    "generate_levels",
    "gradient_penalty",
    "mu_law_decode",
    "mu_law_encode",
    "phase_shuffle",
    "train_wavegan",
    "train_wavenet",
]

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, leaky_relu, linear, pad

from rostra.engine.checkpoints import load_checkpoint, save_checkpoint
from rostra.engine.errors import InputError
from rostra.engine.progress import progress_bar
from rostra.engine.runtime import keep_freed_memory, resolve_device

WAVEGAN_KIND = "diffwave-wavegan"
WAVENET_KIND = "diffwave-wavenet"

LATENT = 100
"""Length of WaveGAN's latent vector."""
KERNEL, STRIDE = 25, 4
PADDING = 11
"""With it a convolution of kernel 25 and stride 4 divides a multiple of 4 by 4, and its transpose (with one more sample
of output padding) multiplies by 4."""
SHORTEST = 64
"""Shortest clip of WaveGAN: one layer on 16 positions."""
LEVELS = 256
"""Of 8-bit mu-law."""
SILENCE = 128
"""Level of a sample of 0: what WaveNet is fed before the first sample."""
SAMPLES_AT_ONCE = 100
"""Clips that are generated together; bounds the memory of WaveNet's queues."""

# second entry of the seeds, so that no clip is sampled from numbers that the training drew
_TRAINING, _SAMPLING = 1, 2


# ---------------------------------------------------------------------- checks and budget


def _check_whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise InputError(f"{name} must be above 0 and finite, got {value!r}")


def _check_budget(cpu_seconds: float | None, steps: int | None) -> None:
    """Exactly one of the two, and above 0."""
    if (cpu_seconds is None) == (steps is None):
        given = "neither" if steps is None else f"cpu_seconds={cpu_seconds!r} and steps={steps!r}"
        raise InputError(f"the budget is either cpu_seconds or steps, got {given}; give exactly one of them")
    if steps is not None:
        _check_whole("steps", steps, 1)
    elif cpu_seconds is not None:
        _check_positive("cpu_seconds", cpu_seconds)


def _checked_audio(audio: NDArray[np.floating[Any]], shortest: int) -> NDArray[np.float32]:
    """The clips as float32, shape (n, L), after every check."""
    clips = np.asarray(audio)
    if clips.ndim != 2 or not len(clips):
        hint = "; put one clip into a batch: audio[None]" if clips.ndim == 1 and len(clips) else ""
        raise InputError(f"audio has shape {clips.shape}; expected (n, L) with at least one clip{hint}")
    if clips.shape[1] < shortest:
        raise InputError(f"the clips of audio have {clips.shape[1]} samples; expected at least {shortest}")
    if clips.dtype.kind != "f":
        raise InputError(f"audio is {clips.dtype}; expected float32 in [-1, 1] (int16 divided by 32768)")
    bad = ~np.isfinite(clips)
    if bad.any():
        clip, sample = np.argwhere(bad)[0]
        raise InputError(
            f"audio holds {bad.sum()} values that are not finite (first in clip {clip}, sample {sample}); "
            "remove or repair those clips"
        )
    peaks = np.abs(clips).max(1)
    if peaks.max() > 1:
        raise InputError(
            f"clip {peaks.argmax()} of audio reaches {peaks.max():.4g}; expected values in [-1, 1]: divide by the peak"
        )
    return clips.astype(np.float32)


def _within_budget(
    stage: str, started: float, cpu_seconds: float | None, steps: int | None, metric: Callable[[], str]
) -> Iterator[int]:
    """Numbers of the steps that the budget allows, at least one; the last may end after the CPU seconds."""
    total = steps if steps is not None else math.ceil(cpu_seconds or 0)
    shown = done = 0
    with progress_bar(stage, total) as advance:
        while True:
            yield done
            done += 1
            spent = time.process_time() - started
            now = done if steps is not None else min(int(spent), total)
            advance(now - shown, metric())
            shown = now
            if done >= steps if steps is not None else spent >= (cpu_seconds or 0):
                return


def _check_loss(loss: float, step: int, name: str, lr: float) -> None:
    if not math.isfinite(loss):
        raise InputError(f"the loss of {name} is {loss} at step {step}; choose an lr below {lr:g}")


def _new(make: Callable[[], nn.Module], seed: int) -> Any:
    """A network whose first weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


# ---------------------------------------------------------------------- WaveGAN: networks


def _pyramid(length: int) -> tuple[int, int]:
    """(layers, positions at the coarsest): 16 positions where the length is 16 * 4^layers, else 8 to 32."""
    layers = max(1, round(math.log(length / 16, STRIDE)))
    return layers, math.ceil(length / STRIDE**layers)


def _glorot(network: nn.Module) -> None:
    """Glorot uniform weights and zero biases: TensorFlow's default, which the authors' code leaves as it is."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.ConvTranspose1d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@dataclass(frozen=True)
class WaveGANConfig:
    """A WaveGAN; defaults: those of Donahue et al. (2019), table 6, but for the sizes, which are for a CPU.

    Attributes:
        channels: of the layer next to the audio; doubles with every layer towards the latent. The paper's is 64.
        batch_size: clips in a batch; the paper's is 64.
        critic_steps: updates of the critic before each update of the generator.
        phase_shuffle: largest shift n, in [0, 31] samples of a layer; 0: none.
        penalty_weight: of the gradient penalty.
        lr: of Adam, for both networks.
        betas: of Adam.
    """

    channels: int = 32
    batch_size: int = 16
    critic_steps: int = 5
    phase_shuffle: int = 2
    penalty_weight: float = 10.0
    lr: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.9)

    def __post_init__(self) -> None:
        for name in ("channels", "batch_size", "critic_steps"):
            _check_whole(name, getattr(self, name), 1)
        _check_whole("phase_shuffle", self.phase_shuffle, 0)
        if self.phase_shuffle > 31:  # the shortest layer that is shuffled has 32 positions
            raise InputError(f"phase_shuffle must be at most 31, got {self.phase_shuffle}")
        if not 0 <= self.penalty_weight < math.inf:
            raise InputError(f"penalty_weight must be at least 0 and finite, got {self.penalty_weight!r}")
        _check_positive("lr", self.lr)
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"betas must be two numbers in [0, 1), got {self.betas!r}")


class WaveGANGenerator(nn.Module):
    """Latent to audio: a dense layer and transposed convolutions, ReLU between them, tanh at the end (table 3).

    ``forward`` takes z, shape (B, 100), in [-1, 1], and gives clips, shape (B, length), in [-1, 1].

    Args:
        length: of the clips, at least 64. Where it is not 16 * 4^k, longer clips are made and cut at the end.
        channels: as in :class:`WaveGANConfig`.

    Raises:
        InputError: for a shorter length.
    """

    def __init__(self, length: int, channels: int) -> None:
        super().__init__()
        _check_whole("length", length, SHORTEST)
        layers, self.positions = _pyramid(length)
        self.length = length
        widths = [channels * 2**i for i in reversed(range(layers))]
        self.project = nn.Linear(LATENT, widths[0] * self.positions)
        self.upsample = nn.ModuleList(
            nn.ConvTranspose1d(wide, narrow, KERNEL, STRIDE, PADDING, output_padding=1)
            for wide, narrow in zip(widths, [*widths[1:], 1], strict=True)
        )
        _glorot(self)

    def forward(self, z: Tensor) -> Tensor:
        """Clips for latent vectors."""
        h = self.project(z).view(len(z), -1, self.positions)
        for layer in self.upsample:
            h = layer(h.relu())
        return h[:, 0, : self.length].tanh()


class WaveGANCritic(nn.Module):
    """Audio to a score: convolutions with leaky ReLU (0.2), phase shuffle after all but the last, dense (table 4).

    Args:
        length: as in :class:`WaveGANGenerator`. Where it is not 16 * 4^k, zeros are appended.
        channels: as in :class:`WaveGANConfig`.

    Attributes:
        shuffled_layers: layers after which the phase is shuffled.

    Raises:
        InputError: for a length below 64.
    """

    def __init__(self, length: int, channels: int) -> None:
        super().__init__()
        _check_whole("length", length, SHORTEST)
        layers, positions = _pyramid(length)
        self.missing = positions * STRIDE**layers - length
        self.shuffled_layers = layers - 1
        widths = [channels * 2**i for i in range(layers)]
        self.downsample = nn.ModuleList(
            nn.Conv1d(narrow, wide, KERNEL, STRIDE, PADDING)
            for narrow, wide in zip([1, *widths[:-1]], widths, strict=True)
        )
        self.score = nn.Linear(widths[-1] * positions, 1)
        _glorot(self)

    def forward(self, audio: Tensor, shifts: Tensor | None = None) -> Tensor:
        """Scores of clips.

        Args:
            audio: shape (B, length).
            shifts: of the phase shuffles, shape (shuffled_layers, B), int64; None shuffles nothing.

        Returns:
            Scores, shape (B,), higher for what looks real.
        """
        h = pad(audio, (0, self.missing))[:, None]
        for i, layer in enumerate(self.downsample):
            h = leaky_relu(layer(h), 0.2)
            if shifts is not None and i < self.shuffled_layers:
                h = phase_shuffle(h, shifts[i])
        return self.score(h.flatten(1))[:, 0]


def phase_shuffle(x: Tensor, shifts: Tensor) -> Tensor:
    """Shift activations in time by a few samples and fill the gap by reflection (Donahue et al. 2019, section 3.3).

    The authors' code draws one shift for a whole batch; here each clip has its own.

    Args:
        x: shape (B, C, L).
        shifts: shape (B,), int64, each of magnitude below L; above 0 shifts to the right.

    Returns:
        y with y[b, c, t] = x[b, c, t - shifts[b]], indices outside reflected at the edge sample, shape (B, C, L).
    """
    last = x.shape[2] - 1
    source = (torch.arange(x.shape[2], device=x.device) - shifts[:, None]).abs()
    source = torch.where(source > last, 2 * last - source, source)
    return x.gather(2, source[:, None].expand_as(x))


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """How far the critic's slope is from 1 between real and generated clips (Gulrajani et al. 2017, equation 3).

    Args:
        critic: clips (B, L) to scores (B,), each score a function of its clip alone.
        real, fake: shape (B, L).
        mix: shape (B,), in [0, 1]: share of the real clip at the point where the slope is taken.

    Returns:
        Mean over the batch of (|gradient of the score| - 1)^2, scalar, with a graph to the critic's weights.
    """
    between = torch.lerp(fake, real, mix[:, None]).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (torch.linalg.vector_norm(slope, dim=1) - 1).square().mean()


# ---------------------------------------------------------------------- WaveGAN: what a user holds


@dataclass(eq=False)
class WaveGAN:
    """A trained WaveGAN: :func:`train_wavegan` makes it.

    Attributes:
        config: what it was trained with.
        length: samples of a clip.
        generator: on the device that it was trained on or loaded to.
        steps_: updates of the generator.
        cpu_seconds_: process time of the training, all threads, in seconds.
        distances_: mean score of the real less that of the generated clips, at each update of the critic.
        penalties_: gradient penalty at each update of the critic, without its weight.
    """

    config: WaveGANConfig
    length: int
    generator: WaveGANGenerator
    steps_: int
    cpu_seconds_: float
    distances_: list[float] = field(default_factory=list)
    penalties_: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.generator.requires_grad_(False).eval()

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Generate clips.

        Args:
            n: number of clips.
            seed: of the latent vectors. Clip i has its own: it is the same for every n up to rounding.

        Returns:
            Shape (n, length), float32, in [-1, 1], on the CPU; the same for the same n, seed and threads.

        Raises:
            InputError: for n below 1 or a seed below 0.
        """
        _check_whole("n", n, 1)
        _check_whole("seed", seed, 0)
        device = next(self.generator.parameters()).device
        found = []
        with torch.inference_mode():
            for start in range(0, n, SAMPLES_AT_ONCE):
                items = range(start, min(start + SAMPLES_AT_ONCE, n))
                z = np.stack([np.random.default_rng([seed, _SAMPLING, i]).uniform(-1, 1, LATENT) for i in items])
                found.append(self.generator(torch.tensor(z, dtype=torch.float32, device=device)).cpu())
        return torch.cat(found).clone()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights of the generator, and what JSON can hold: all that :meth:`from_state` needs."""
        content = {
            "config": asdict(self.config),
            "length": self.length,
            "steps": self.steps_,
            "cpu_seconds": self.cpu_seconds_,
            "distances": self.distances_,
            "penalties": self.penalties_,
        }
        return self.generator.state_dict(), content

    @classmethod
    def from_state(
        cls, tensors: Mapping[str, Tensor], content: Mapping[str, Any], *, device: str | None = "cpu"
    ) -> Self:
        """The WaveGAN that :meth:`state` describes.

        Raises:
            InputError: if the device cannot be used.
        """
        settings = {**content["config"], "betas": tuple(content["config"]["betas"])}
        config, length = WaveGANConfig(**settings), content["length"]
        generator = WaveGANGenerator(length, config.channels)
        generator.load_state_dict(tensors)
        history = content["distances"], content["penalties"]
        where = resolve_device(device)
        return cls(config, length, generator.to(where), content["steps"], content["cpu_seconds"], *history)

    def save(self, folder: str | Path) -> None:
        """Write it to a folder (safetensors and JSON), replacing one that is there.

        Raises:
            InputError: if the folder holds other files or cannot be written.
        """
        save_checkpoint(Path(folder), WAVEGAN_KIND, *self.state())

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = "cpu") -> Self:
        """Read one back.

        Raises:
            InputError: if the folder is missing, damaged or holds something else, or the device cannot be used.
        """
        return cls.from_state(*load_checkpoint(Path(folder), WAVEGAN_KIND), device=device)


def train_wavegan(
    audio: NDArray[np.floating[Any]],
    config: WaveGANConfig | None = None,
    *,
    cpu_seconds: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
) -> WaveGAN:
    """Train a WaveGAN with the Wasserstein loss and a gradient penalty (Donahue et al. 2019; Gulrajani et al. 2017).

    Each step draws clips with replacement, updates the critic ``critic_steps`` times, then the generator once.

    Args:
        audio: clips, shape (n, L), float32 in [-1, 1], L at least 64.
        config: None: the defaults.
        cpu_seconds: train until this process has spent so many seconds of processor time on it, over all its threads;
            the step in progress is finished. Other work of the process counts too. On an accelerator it is the time
            of the host.
        steps: or: number of updates of the generator.
        seed: of the first weights, the clips, the latent vectors and the shuffles.
        device: a torch device; None takes CUDA where there is one.

    Returns:
        The trained model; for ``steps``, on a CPU, the same for the same seed and number of threads.

    Raises:
        InputError: unless exactly one of ``cpu_seconds`` and ``steps`` is given; for audio of a wrong shape, dtype or
            range; for a device that cannot be used; for a loss that is not finite.
    """
    started = time.process_time()
    _check_budget(cpu_seconds, steps)
    _check_whole("seed", seed, 0)
    data = _checked_audio(audio, SHORTEST)
    config = WaveGANConfig() if config is None else config
    where = resolve_device(device)
    keep_freed_memory()
    clips = torch.from_numpy(data).to(where)
    length, size = clips.shape[1], config.batch_size
    networks = _new(
        lambda: nn.ModuleList(
            [WaveGANGenerator(length, config.channels), WaveGANCritic(length, config.channels)],
        ),
        seed,
    ).to(where)
    generator: WaveGANGenerator = networks[0]
    critic: WaveGANCritic = networks[1]
    generator_parameters = list(generator.parameters())
    generator_optimiser = torch.optim.Adam(generator_parameters, lr=config.lr, betas=config.betas)
    critic_optimiser = torch.optim.Adam(critic.parameters(), lr=config.lr, betas=config.betas)
    random = np.random.default_rng([seed, _TRAINING])

    def latent() -> Tensor:
        return torch.tensor(random.uniform(-1, 1, (size, LATENT)), dtype=torch.float32, device=where)

    def shifts(batch: int) -> Tensor:
        largest = config.phase_shuffle
        drawn = random.integers(-largest, largest, (critic.shuffled_layers, batch), endpoint=True)
        return torch.tensor(drawn, dtype=torch.int64, device=where)

    distances: list[float] = []
    penalties: list[float] = []
    done = 0
    for step in _within_budget(
        "train WaveGAN", started, cpu_seconds, steps, lambda: f"critic distance {distances[-1]:.3g}"
    ):
        for _ in range(config.critic_steps):
            real = clips[torch.tensor(random.integers(len(clips), size=size), device=where)]
            with torch.no_grad():
                fake = generator(latent())
            scores = critic(torch.cat([real, fake]), shifts(2 * size))
            distance = scores[:size].mean() - scores[size:].mean()
            mix = torch.tensor(random.random(size), dtype=torch.float32, device=where)
            own_shifts = shifts(size)
            penalty = gradient_penalty(lambda x, s=own_shifts: critic(x, s), real, fake, mix)  # type: ignore[misc]
            critic_optimiser.zero_grad()
            torch.autograd.backward(config.penalty_weight * penalty - distance)
            critic_optimiser.step()
            distances.append(float(distance.detach()))
            penalties.append(float(penalty.detach()))
            _check_loss(distances[-1] + penalties[-1], step, "WaveGAN", config.lr)
        loss = -critic(generator(latent()), shifts(size)).mean()
        generator_optimiser.zero_grad()
        torch.autograd.backward(loss, inputs=generator_parameters)
        generator_optimiser.step()
        done += 1
    spent = time.process_time() - started
    return WaveGAN(config, length, generator, done, spent, distances, penalties)


# ---------------------------------------------------------------------- WaveNet: networks


def mu_law_encode(audio: Tensor) -> Tensor:
    """Levels of 8-bit mu-law (ITU-T G.711's curve; van den Oord et al. 2016, section 2.2): mu = 255.

    Args:
        audio: in [-1, 1], any shape; values outside are clipped.

    Returns:
        The nearest of 256 levels on the curve, int64 in 0..255, same shape; 0 is level 128.
    """
    mu = LEVELS - 1
    audio = audio.clamp(-1, 1)
    curve = audio.sign() * torch.log1p(mu * audio.abs()) / math.log1p(mu)
    return ((curve + 1) * (mu / 2) + 0.5).floor().long().clamp(0, mu)


def mu_law_decode(levels: Tensor) -> Tensor:
    """Audio of mu-law levels, the inverse of :func:`mu_law_encode` on its levels.

    Args:
        levels: int64 in 0..255, any shape.

    Returns:
        float32 in [-1, 1], same shape.
    """
    mu = LEVELS - 1
    curve = levels.double() * (2 / mu) - 1
    return (curve.sign() * torch.expm1(curve.abs() * math.log1p(mu)) / mu).clamp(-1, 1).float()


@dataclass(frozen=True)
class WaveNetConfig:
    """An autoregressive WaveNet; sizes and training are ours, for minutes of a CPU.

    On spoken digits (4096 samples at 8 kHz), after 60 CPU seconds, the cross entropy of held-out clips was 4.10 nats a
    sample with batches of 8 and lr 1e-3, 3.58 with 4 and 1e-3, and 3.36 with the defaults.

    Attributes:
        layers: residual layers, each a causal convolution of kernel 2.
        dilation_cycle: dilation of layer i is 2^(i mod dilation_cycle). With 12 of 12 a sample depends on the 4096
            before it.
        channels: of the residual path.
        skip_channels: of the sum of all layers, and of the layer after it.
        batch_size: clips in a batch; whole clips are trained on.
        lr: of Adam.
    """

    layers: int = 12
    dilation_cycle: int = 12
    channels: int = 32
    skip_channels: int = 64
    batch_size: int = 4
    lr: float = 3e-3

    def __post_init__(self) -> None:
        for name in ("layers", "dilation_cycle", "channels", "skip_channels", "batch_size"):
            _check_whole(name, getattr(self, name), 1)
        if min(self.layers, self.dilation_cycle) > 20:
            raise InputError(
                f"dilation_cycle {self.dilation_cycle} with {self.layers} layers gives dilations above 2^19; "
                "choose a cycle of at most 20"
            )
        _check_positive("lr", self.lr)

    @property
    def dilations(self) -> list[int]:
        """Of every layer."""
        return [2 ** (i % self.dilation_cycle) for i in range(self.layers)]

    @property
    def receptive_field(self) -> int:
        """Number of samples before it that a sample depends on."""
        return sum(self.dilations) + 1


class WaveNetNetwork(nn.Module):
    """Distribution of each sample's level, given those before it (van den Oord et al. 2016, sections 2.1 to 2.4).

    Layer: z = tanh(a) * sigmoid(b) with (a, b) = W_past h[t - d] + W_now h[t] + bias, then h + W z. The head sees
    every layer's z through one linear map: the sum of their skip connections. Before the first sample h is 0.

    ``forward`` takes levels, shape (B, L), int64, and gives logits, shape (B, L, 256): those at t depend on the levels
    before t only.
    """

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__()
        layers, channels, skip = config.layers, config.channels, config.skip_channels
        self.dilations = config.dilations
        self.embedding = nn.Embedding(LEVELS, channels)
        self.past = nn.Parameter(torch.empty(layers, 2 * channels, channels))
        self.now = nn.Parameter(torch.empty(layers, 2 * channels, channels))
        self.bias = nn.Parameter(torch.zeros(layers, 2 * channels))
        # no bias: the next layer's does the same; no residual after the last layer: nothing reads it
        self.residual = nn.Parameter(torch.empty(layers - 1, channels, channels))
        for weight, inputs in ((self.past, 2 * channels), (self.now, 2 * channels), (self.residual, channels)):
            nn.init.uniform_(weight, -(inputs**-0.5), inputs**-0.5)  # as torch's own layers
        self.skip = nn.Linear(channels * layers, skip)
        self.hidden = nn.Linear(skip, skip)
        self.logits = nn.Linear(skip, LEVELS)

    def forward(self, levels: Tensor) -> Tensor:
        """Logits of every position."""
        length, channels = levels.shape[1], self.embedding.embedding_dim
        h = self.embedding(pad(levels[:, :-1], (1, 0), value=SILENCE))
        total: Tensor = self.skip.bias
        residuals = self.residual.unbind(0)
        layers = zip(self.dilations, self.past.unbind(0), self.now.unbind(0), self.bias.unbind(0), strict=True)
        for i, (dilation, past, now, bias) in enumerate(layers):
            y = linear(h, now, bias)
            if dilation < length:
                y[:, dilation:] += linear(h[:, :-dilation], past)
            z = y[..., :channels].tanh() * y[..., channels:].sigmoid()
            # part by part: the outputs of all layers side by side would be the largest tensor of the training
            total = total + linear(z, self.skip.weight[:, i * channels : (i + 1) * channels])
            if i < len(residuals):
                h = h + linear(z, residuals[i])
        return self.head(total)

    def head(self, total: Tensor) -> Tensor:
        """Logits, shape (..., 256), from the sum of the skip connections, shape (..., skip_channels)."""
        return self.logits(self.hidden(total.relu()).relu())


class CachedWaveNet:
    """A network that is fed one sample of each clip at a time, and keeps what later samples need (Paine et al. 2016).

    Each layer has a queue as long as its dilation, so a step costs the same however far the clip is. All queues are
    rows of one tensor, so that the products with the past are one batched product: a step is bound by the number of
    calls, not by arithmetic.

    Args:
        network: not changed; must not be trained on while this is in use.
        n: number of clips.
    """

    def __init__(self, network: WaveNetNetwork, n: int) -> None:
        layers, channels, device = len(network.dilations), network.embedding.embedding_dim, network.past.device
        self.network = network
        self.channels = channels
        self.past = network.past.detach().transpose(1, 2).contiguous()
        self.now = network.now.detach().transpose(1, 2).contiguous().unbind(0)
        self.bias = network.bias.detach()[:, None]
        self.residuals = network.residual.detach().transpose(1, 2).contiguous().unbind(0)
        self.dilations = torch.tensor(network.dilations, device=device)
        self.starts = self.dilations.cumsum(0) - self.dilations
        self.queues = torch.zeros(sum(network.dilations), n, channels, device=device)
        self.inputs = torch.zeros(layers, n, channels, device=device)
        self.outputs = torch.zeros(n, layers, channels, device=device)
        self.time = 0

    def step(self, previous: Tensor) -> Tensor:
        """Logits of the next sample of every clip, shape (n, 256).

        Args:
            previous: levels of the last sample, shape (n,), int64; 128 (silence) in the first step.
        """
        channels = self.channels
        rows = self.starts + self.time % self.dilations
        with torch.inference_mode():
            pasts = torch.baddbmm(self.bias, self.queues[rows], self.past).unbind(0)
            h = self.network.embedding(previous)
            for i, (past, now, z) in enumerate(zip(pasts, self.now, self.outputs.unbind(1), strict=True)):
                self.inputs[i] = h
                y = torch.addmm(past, h, now)
                torch.mul(y[:, :channels].tanh_(), y[:, channels:].sigmoid_(), out=z)
                if i < len(self.residuals):
                    h = torch.addmm(h, z, self.residuals[i])
            self.queues[rows] = self.inputs
            self.time += 1
            return self.network.head(self.network.skip(self.outputs.flatten(1)))


def generate_levels(network: WaveNetNetwork, uniforms: Tensor) -> Tensor:
    """Sample clips, one level after the other, by inversion of the cumulative distribution.

    Args:
        network: on the device of the uniforms.
        uniforms: shape (n, L), float32 in [0, 1): number t of clip i decides level t of clip i.

    Returns:
        Levels, shape (n, L), int64.
    """
    n, length = uniforms.shape
    levels = torch.empty(length, n, dtype=torch.int64, device=uniforms.device)
    columns = uniforms.T[..., None].contiguous()
    cached = CachedWaveNet(network, n)
    previous = torch.full((n,), SILENCE, device=uniforms.device)
    with torch.inference_mode():
        for t in range(length):
            distribution = cached.step(previous).softmax(1).cumsum(1)
            # rounding can leave the last sum below the number: the last level then
            previous = torch.searchsorted(distribution, columns[t], right=True)[:, 0].clamp(max=LEVELS - 1)
            levels[t] = previous
    return levels.T.contiguous()


# ---------------------------------------------------------------------- WaveNet: what a user holds


@dataclass(eq=False)
class WaveNet:
    """A trained autoregressive WaveNet: :func:`train_wavenet` makes it.

    Attributes:
        config: what it was trained with.
        length: samples of a clip.
        network: on the device that it was trained on or loaded to.
        steps_: minibatches.
        cpu_seconds_: process time of the training, all threads, in seconds.
        losses_: cross entropy of every minibatch, in nats a sample; ln 256 = 5.55 knows nothing.
    """

    config: WaveNetConfig
    length: int
    network: WaveNetNetwork
    steps_: int
    cpu_seconds_: float
    losses_: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.network.requires_grad_(False).eval()

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Generate clips, sample by sample.

        Args:
            n: number of clips.
            seed: of the random numbers. Clip i has its own, whatever n is; but a rounding error that turns one sample
                turns all after it, so clips of another n need not be equal.

        Returns:
            Shape (n, length), float32, in [-1, 1], on the CPU; the same for the same n, seed and threads.

        Raises:
            InputError: for n below 1 or a seed below 0.
        """
        _check_whole("n", n, 1)
        _check_whole("seed", seed, 0)
        device = next(self.network.parameters()).device
        found = []
        with progress_bar("sample WaveNet", n) as advance:
            for start in range(0, n, SAMPLES_AT_ONCE):
                items = range(start, min(start + SAMPLES_AT_ONCE, n))
                draws = [np.random.default_rng([seed, _SAMPLING, i]).random(self.length, np.float32) for i in items]
                levels = generate_levels(self.network, torch.from_numpy(np.stack(draws)).to(device))
                found.append(mu_law_decode(levels.cpu()))
                advance(len(items), "")
        return torch.cat(found).clone()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights, and what JSON can hold: all that :meth:`from_state` needs."""
        content = {
            "config": asdict(self.config),
            "length": self.length,
            "steps": self.steps_,
            "cpu_seconds": self.cpu_seconds_,
            "losses": self.losses_,
        }
        return self.network.state_dict(), content

    @classmethod
    def from_state(
        cls, tensors: Mapping[str, Tensor], content: Mapping[str, Any], *, device: str | None = "cpu"
    ) -> Self:
        """The WaveNet that :meth:`state` describes.

        Raises:
            InputError: if the device cannot be used.
        """
        config = WaveNetConfig(**content["config"])
        network = WaveNetNetwork(config)
        network.load_state_dict(tensors)
        where = resolve_device(device)
        return cls(
            config, content["length"], network.to(where), content["steps"], content["cpu_seconds"], content["losses"]
        )

    def save(self, folder: str | Path) -> None:
        """Write it to a folder (safetensors and JSON), replacing one that is there.

        Raises:
            InputError: if the folder holds other files or cannot be written.
        """
        save_checkpoint(Path(folder), WAVENET_KIND, *self.state())

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = "cpu") -> Self:
        """Read one back.

        Raises:
            InputError: if the folder is missing, damaged or holds something else, or the device cannot be used.
        """
        return cls.from_state(*load_checkpoint(Path(folder), WAVENET_KIND), device=device)


def train_wavenet(
    audio: NDArray[np.floating[Any]],
    config: WaveNetConfig | None = None,
    *,
    cpu_seconds: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | None = None,
) -> WaveNet:
    """Train a WaveNet by maximum likelihood on 8-bit mu-law levels (van den Oord et al. 2016).

    Each step draws whole clips with replacement. Zeros that pad a clip are learned as silence.

    Args:
        audio: clips, shape (n, L), float32 in [-1, 1], L at least 2.
        config: None: the defaults.
        cpu_seconds: train until this process has spent so many seconds of processor time on it, over all its threads;
            the step in progress is finished. Other work of the process counts too. On an accelerator it is the time
            of the host.
        steps: or: number of minibatches.
        seed: of the first weights and the clips.
        device: a torch device; None takes CUDA where there is one.

    Returns:
        The trained model; for ``steps``, on a CPU, the same for the same seed and number of threads.

    Raises:
        InputError: unless exactly one of ``cpu_seconds`` and ``steps`` is given; for audio of a wrong shape, dtype or
            range; for a device that cannot be used; for a loss that is not finite.
    """
    started = time.process_time()
    _check_budget(cpu_seconds, steps)
    _check_whole("seed", seed, 0)
    data = _checked_audio(audio, 2)
    config = WaveNetConfig() if config is None else config
    where = resolve_device(device)
    keep_freed_memory()
    levels = mu_law_encode(torch.from_numpy(data)).to(where)
    network: WaveNetNetwork = _new(lambda: WaveNetNetwork(config), seed).to(where)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.lr)
    random = np.random.default_rng([seed, _TRAINING])
    losses: list[float] = []
    for step in _within_budget(
        "train WaveNet", started, cpu_seconds, steps, lambda: f"loss {losses[-1]:.3g} nats a sample"
    ):
        batch = levels[torch.tensor(random.integers(len(levels), size=config.batch_size), device=where)]
        loss = cross_entropy(network(batch).flatten(0, 1), batch.flatten())
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))
        _check_loss(losses[-1], step, "WaveNet", config.lr)
    return WaveNet(config, levels.shape[1], network, len(losses), time.process_time() - started, losses)
