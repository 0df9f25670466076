"""A small autoregressive WaveNet, with which DiffWave's sounds without a condition are compared, on a CPU's budget.

Van den Oord et al., "WaveNet: A Generative Model for Raw Audio", 2016, with the cached generation of Paine et al.,
"Fast Wavenet Generation Algorithm", 2016.
"""

__all__ = [
    "CachedWaveNet",
    "WaveNet",
    "WaveNetConfig",
    "WaveNetNetwork",
    "generate_levels",
    "mu_law_decode",
    "mu_law_encode",
    "train_wavenet",
]

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, pad

from rostra.engine.checkpoints import load_checkpoint, rebuilding, save_checkpoint
from rostra.engine.errors import InputError
from rostra.engine.progress import progress_bar
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

KIND = "diffwave-wavenet"

LEVELS = 256
"""Of 8-bit mu-law."""
SILENCE = 128
"""Level of a sample of 0: what the network is fed before the first sample."""


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
            check_whole(name, getattr(self, name), 1)
        if min(self.layers, self.dilation_cycle) > 20:
            raise InputError(
                f"dilation_cycle {self.dilation_cycle} with {self.layers} layers gives dilations above 2^19; "
                "choose a cycle of at most 20"
            )
        check_positive("lr", self.lr)

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
        check_whole("n", n, 1)
        check_whole("seed", seed, 0)
        device = next(self.network.parameters()).device
        found = []
        with progress_bar("sample WaveNet", n) as advance:
            for group in groups_of_draws(n, seed):
                uniforms = np.stack([draws.random(self.length, np.float32) for draws in group])
                levels = generate_levels(self.network, torch.from_numpy(uniforms).to(device))
                found.append(mu_law_decode(levels.cpu()))
                advance(len(group), "")
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
            "losses": self.losses_,
        }
        save_checkpoint(Path(folder), KIND, self.network.state_dict(), content)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = "cpu") -> Self:
        """Read one back.

        Raises:
            InputError: if the folder is missing, damaged or holds something else, or the device cannot be used.
        """
        tensors, content = load_checkpoint(Path(folder), KIND)
        where = resolve_device(device)
        with rebuilding(folder, "train it again"):
            config, length = WaveNetConfig(**content["config"]), content["length"]
            network = fresh(lambda: WaveNetNetwork(config), 0)
            network.load_state_dict(tensors)
            model = cls(config, length, network, content["steps"], content["cpu_seconds"], content["losses"])
        network.to(where)
        return model


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
    check_budget(cpu_seconds, steps)
    check_whole("seed", seed, 0)
    data = checked_audio(audio, 2)
    config = WaveNetConfig() if config is None else config
    where = resolve_device(device)
    keep_freed_memory()
    levels = mu_law_encode(torch.from_numpy(data)).to(where)
    network = fresh(lambda: WaveNetNetwork(config), seed).to(where)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.lr)
    random = np.random.default_rng([seed, TRAINING])
    losses: list[float] = []
    for step in within_budget(
        "train WaveNet", started, cpu_seconds, steps, lambda: f"loss {losses[-1]:.3g} nats a sample"
    ):
        batch = levels[torch.tensor(random.integers(len(levels), size=config.batch_size), device=where)]
        loss = cross_entropy(network(batch).flatten(0, 1), batch.flatten())
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))
        check_loss(losses[-1], step, "WaveNet", config.lr)
    return WaveNet(config, levels.shape[1], network, len(losses), time.process_time() - started, losses)
