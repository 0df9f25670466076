"""A small WaveGAN, with which DiffWave's sounds without a condition are compared, on a CPU's budget.

Donahue, McAuley, Puckette, "Adversarial Audio Synthesis", ICLR 2019, with the loss of Gulrajani et al., "Improved
Training of Wasserstein GANs", 2017.
"""

__all__ = [
    "WaveGAN",
    "WaveGANConfig",
    "WaveGANCritic",
    "WaveGANGenerator",
    "gradient_penalty",
    "phase_shuffle",
    "train_wavegan",
]

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from rostra.engine.checkpoints import load_checkpoint, rebuilding, save_checkpoint, tuples
from rostra.engine.errors import InputError
from rostra.engine.runtime import keep_freed_memory, resolve_device

from .comparators import (
    TRAINING,
    check_budget,
    check_loss,
    check_positive,
    checked_audio,
    fresh,
    groups_of_draws,
    within_budget,
)
from .model import check_whole

KIND = "diffwave-wavegan"

LATENT = 100
"""Length of the latent vector."""
KERNEL, STRIDE = 25, 4
PADDING = 11
"""With it a convolution of kernel 25 and stride 4 divides a multiple of 4 by 4, and its transpose (with one more sample
of output padding) multiplies by 4."""
SHORTEST = 64
"""Shortest clip: one layer on 16 positions."""


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
            check_whole(name, getattr(self, name), 1)
        check_whole("phase_shuffle", self.phase_shuffle, 0)
        if self.phase_shuffle > 31:  # the shortest layer that is shuffled has 32 positions
            raise InputError(f"phase_shuffle must be at most 31, got {self.phase_shuffle}")
        if not 0 <= self.penalty_weight < math.inf:
            raise InputError(f"penalty_weight must be at least 0 and finite, got {self.penalty_weight!r}")
        check_positive("lr", self.lr)
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
        check_whole("length", length, SHORTEST)
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
        check_whole("length", length, SHORTEST)
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
        check_whole("n", n, 1)
        check_whole("seed", seed, 0)
        device = next(self.generator.parameters()).device
        found = []
        with torch.inference_mode():
            for group in groups_of_draws(n, seed):
                z = np.stack([draws.uniform(-1, 1, LATENT) for draws in group])
                found.append(self.generator(torch.tensor(z, dtype=torch.float32, device=device)).cpu())
        return torch.cat(found).clone()

    def save(self, folder: str | Path) -> None:
        """Write it to a folder (safetensors and JSON), replacing one that is there.

        Raises:
            InputError: if the folder holds other files or cannot be written.
        """
        content = {
            "config": asdict(self.config),
            "length": self.length,
            "steps": self.steps_,
            "cpu_seconds": self.cpu_seconds_,
            "distances": self.distances_,
            "penalties": self.penalties_,
        }
        save_checkpoint(Path(folder), KIND, self.generator.state_dict(), content)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = "cpu") -> Self:
        """Read one back.

        Raises:
            InputError: if the folder is missing, damaged or holds something else, or the device cannot be used.
        """
        tensors, content = load_checkpoint(Path(folder), KIND)
        where = resolve_device(device)
        with rebuilding(folder, "train it again"):
            config, length = WaveGANConfig(**tuples(content["config"])), content["length"]
            generator = fresh(lambda: WaveGANGenerator(length, config.channels), 0)
            generator.load_state_dict(tensors)
            history = content["distances"], content["penalties"]
            model = cls(config, length, generator, content["steps"], content["cpu_seconds"], *history)
        generator.to(where)
        return model


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
    check_budget(cpu_seconds, steps)
    check_whole("seed", seed, 0)
    data = checked_audio(audio, SHORTEST)
    config = WaveGANConfig() if config is None else config
    where = resolve_device(device)
    keep_freed_memory()
    clips = torch.from_numpy(data).to(where)
    length, size = clips.shape[1], config.batch_size
    generator, critic = fresh(
        lambda: (WaveGANGenerator(length, config.channels).to(where), WaveGANCritic(length, config.channels).to(where)),
        seed,
    )
    generator_parameters = list(generator.parameters())
    generator_optimiser = torch.optim.Adam(generator_parameters, lr=config.lr, betas=config.betas)
    critic_optimiser = torch.optim.Adam(critic.parameters(), lr=config.lr, betas=config.betas)
    random = np.random.default_rng([seed, TRAINING])

    def latent() -> Tensor:
        return torch.tensor(random.uniform(-1, 1, (size, LATENT)), dtype=torch.float32, device=where)

    def shifts(batch: int) -> Tensor:
        largest = config.phase_shuffle
        drawn = random.integers(-largest, largest, (critic.shuffled_layers, batch), endpoint=True)
        return torch.tensor(drawn, dtype=torch.int64, device=where)

    distances: list[float] = []
    penalties: list[float] = []
    done = 0
    for step in within_budget(
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
            check_loss(distances[-1] + penalties[-1], step, "WaveGAN", config.lr)
        loss = -critic(generator(latent()), shifts(size)).mean()
        generator_optimiser.zero_grad()
        torch.autograd.backward(loss, inputs=generator_parameters)
        generator_optimiser.step()
        done += 1
    spent = time.process_time() - started
    return WaveGAN(config, length, generator, done, spent, distances, penalties)
