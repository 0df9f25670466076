"""DiffWave on a CPU against the popular implementation, lmnt's, on the same work.

    python benchmarks/diffwave.py [--quick] [--json]

Prints rows `name, ours, peer, unit, ratio, note`; a ratio above 1 means that ours is better. Peers:

- a plain module in the layout of lmnt-com/diffwave, written here with care: one upsampler for all layers, sigmoid
  before tanh, one convolution for residual and skip, every layer's condition anew at each step;
- the model of lmnt's package on PyPI (0.1.7, 2021), in an environment of its own that the first run builds from
  `peers/diffwave.txt` (a minute, not part of the time that --quick allows), which measures itself;
- for labels, and for the authors' layout, which neither has: the room's own plain module.

Weights are random. Both layouts read them from one checkpoint, ours by `import_checkpoint`, and results are compared
first: where they differ by more than rounding, the benchmark stops. Measurements alternate between ours and the peer;
a value is a median. Rows on one thread are CPU seconds, so that other work on the machine disturbs them less; those
on two threads are wall time, which other work makes longer; their notes give CPU seconds too.
"""

import contextlib
import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from peer_environment import Peer, peer_python
from rows import Row, parse_arguments, print_rows
from torch import Tensor, nn
from torch.nn import functional

from rostra.engine.progress import silence
from rostra.engine.runtime import keep_freed_memory
from rostra.methods.diffwave.fast import TILE, FastNetwork, Predictor, has_fast_bfloat16, pool_of_threads
from rostra.methods.diffwave.imports import import_checkpoint
from rostra.methods.diffwave.model import PRESETS, DiffWave, DiffWaveConfig
from rostra.methods.diffwave.pretrained import MODELS
from rostra.methods.diffwave.sampler import ItemNoise, Steps, reverse, schedule_of
from rostra.methods.diffwave.sounds import synthetic_sounds
from rostra.methods.diffwave.synthesis import Vocoder
from rostra.methods.diffwave.tiled import tiled_forward
from rostra.methods.diffwave.training import DiffWaveTrainer

SECOND = 86
"""Mel frames of 256 samples in a second at 22,050 Hz, all but 34 samples."""
STEP = 10.451817
"""A step of the paper's six, not a whole one."""
EQUAL, ROUGH = 1e-4, 2e-2
"""How much a result may differ in float32, and in bfloat16, over its size: what the library promises."""
HEAD = 0.1
"""Standard deviation of the last convolution's weights, which a fresh network has at 0."""
BASE = {"residual_layers": 30, "residual_channels": 64}
SMALL = {"residual_layers": 20, "residual_channels": 32}
SHIPPED = {name: getattr(MODELS["speech"].config, name) for name in BASE}
DIGITS = MODELS["digits"].config


class Seconds(NamedTuple):
    """Of one measurement."""

    wall: float
    cpu: float


Work = Callable[[], Any]
Ask = Callable[..., dict[str, Any]]
"""A request to the package's process: name of the work and its settings."""


# ------------------------------------------------------- the plain module


class PlainEmbedding(nn.Module):
    """A table of sines and cosines at whole steps, linear in between."""

    embedding: Tensor

    def __init__(self, steps: int) -> None:
        super().__init__()
        angles = torch.arange(steps)[:, None] * 10.0 ** (torch.arange(64) * 4.0 / 63.0)
        self.register_buffer("embedding", torch.cat([angles.sin(), angles.cos()], dim=1), persistent=False)
        self.projection1 = nn.Linear(128, 512)
        self.projection2 = nn.Linear(512, 512)

    def forward(self, step: Tensor) -> Tensor:
        below = step.floor().long()
        between = (step - below)[:, None]
        waves = torch.lerp(self.embedding[below], self.embedding[step.ceil().long()], between)
        return functional.silu(self.projection2(functional.silu(self.projection1(waves))))


class PlainUpsampler(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(1, 1, (3, 32), stride=(1, 16), padding=(1, 8))
        self.conv2 = nn.ConvTranspose2d(1, 1, (3, 32), stride=(1, 16), padding=(1, 8))

    def forward(self, mel: Tensor) -> Tensor:
        once = functional.leaky_relu(self.conv1(mel[:, None]), 0.4)
        return functional.leaky_relu(self.conv2(once), 0.4)[:, 0]


class PlainLayer(nn.Module):
    def __init__(self, channels: int, dilation: int, bands: int) -> None:
        super().__init__()
        self.dilated_conv = nn.Conv1d(channels, 2 * channels, 3, padding=dilation, dilation=dilation)
        self.diffusion_projection = nn.Linear(512, channels)
        self.conditioner_projection = nn.Conv1d(bands, 2 * channels, 1)
        self.output_projection = nn.Conv1d(channels, 2 * channels, 1)

    def forward(self, h: Tensor, embedded: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        y = self.dilated_conv(h + self.diffusion_projection(embedded)[:, :, None]) + self.conditioner_projection(mel)
        gate, tangent = y.chunk(2, dim=1)
        residual, skip = self.output_projection(gate.sigmoid() * tangent.tanh()).chunk(2, dim=1)
        return (h + residual) * 0.5**0.5, skip


class PlainDiffWave(nn.Module):
    """From audio (B, L), step (B,) and mel (B, 80, F) to the noise (B, L). Weights have the names of lmnt's files."""

    def __init__(self, residual_layers: int, residual_channels: int, bands: int = 80, steps: int = 50) -> None:
        super().__init__()
        channels = residual_channels
        self.input_projection = nn.Conv1d(1, channels, 1)
        self.diffusion_embedding = PlainEmbedding(steps)
        self.spectrogram_upsampler = PlainUpsampler()
        self.residual_layers = nn.ModuleList(
            PlainLayer(channels, 2 ** (layer % 10), bands) for layer in range(residual_layers)
        )
        self.skip_projection = nn.Conv1d(channels, channels, 1)
        self.output_projection = nn.Conv1d(channels, 1, 1)

    def forward(self, audio: Tensor, step: Tensor, mel: Tensor) -> Tensor:
        h = functional.relu(self.input_projection(audio[:, None]))
        embedded = self.diffusion_embedding(step)
        upsampled = self.spectrogram_upsampler(mel)
        total = torch.zeros_like(h)
        for layer in self.residual_layers:
            h, skip = layer(h, embedded, upsampled)
            total = total + skip
        head = functional.relu(self.skip_projection(total * len(self.residual_layers) ** -0.5))
        return self.output_projection(head)[:, 0]

    def conditions(self, mel: Tensor) -> None:
        """What of a step does not depend on the step."""
        upsampled = self.spectrogram_upsampler(mel)
        for layer in self.residual_layers:
            assert isinstance(layer, PlainLayer)
            layer.conditioner_projection(upsampled)


def same_networks(folder: Path, residual_layers: int, residual_channels: int) -> tuple[PlainDiffWave, DiffWave]:
    """The plain module and ours with the same random weights, which ``folder / "weights.pt"`` holds too."""
    torch.manual_seed(0)
    plain = PlainDiffWave(residual_layers, residual_channels)
    for module in plain.modules():
        if isinstance(module, nn.Conv1d):
            nn.init.kaiming_normal_(module.weight)
    nn.init.normal_(plain.output_projection.weight, std=HEAD)
    sizes = {"residual_layers": residual_layers, "residual_channels": residual_channels}
    config = DiffWaveConfig(**{**PRESETS["lmnt"], **sizes})
    file = folder / "weights.pt"
    torch.save({"model": plain.state_dict(), "params": {**sizes, "dilation_cycle_length": 10, "n_mels": 80}}, file)
    network = import_checkpoint(file, layout="lmnt", config=config).network
    return plain.eval(), network


def with_head(network: DiffWave) -> DiffWave:
    """The network with a last convolution as some training leaves it, not 0."""
    nn.init.normal_(network.output.weight, std=HEAD)
    return network.eval()


def inputs(frames: int, batch: int = 1) -> tuple[Tensor, Tensor]:
    """Noise (B, 256 frames) and mel (B, 80, frames) with values as lmnt's front end gives."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 256 * frames, generator=generator), torch.rand(batch, 80, frames, generator=generator)


# ------------------------------------------------------- measuring


def quickest(work: Work, count: int) -> int:
    """On how many threads a work takes less time: those of torch wait badly where others use the machine."""
    needed = {}
    for threads_used in {1, count}:
        with threads(threads_used):
            start = time.perf_counter()
            work()
            needed[threads_used] = time.perf_counter() - start
    return min(needed, key=lambda threads_used: needed[threads_used])


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """That torch uses inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def alternate(works: Mapping[str, Work], rounds: int) -> dict[str, list[Seconds]]:
    """Seconds of several works in turn. A work that measures itself gives its seconds."""
    times: dict[str, list[Seconds]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            result = work()
            seconds = Seconds(time.perf_counter() - wall, time.process_time() - cpu)
            times[name].append(result if isinstance(result, Seconds) else seconds)
    return times


def spread_of(values: Sequence[float], what: str = "") -> str:
    return f"{what}{min(values):.3g} to {max(values):.3g} in {len(values)} rounds" if len(values) > 1 else "one round"


def row(name: str, unit: str, note: str, ours: Sequence[float], peer: Sequence[float]) -> Row:
    """Of times that were measured side by side."""
    ratios = [theirs / own for own, theirs in zip(ours, peer, strict=True)]
    own, theirs, ratio = (statistics.median(found) for found in (ours, peer, ratios))
    return Row(name, own, theirs, unit, ratio, f"{note}; {spread_of(ratios, 'ratio ')}")


def as_rate(found: Row) -> Row:
    """How many a second instead of seconds for one: more is better; the ratio stays."""
    assert found.peer is not None
    return replace(found, ours=1 / found.ours, peer=1 / found.peer)


def cpu(times: Sequence[Seconds], scale: float = 1.0) -> list[float]:
    return [seconds.cpu * scale for seconds in times]


def wall(times: Sequence[Seconds], scale: float = 1.0) -> list[float]:
    return [seconds.wall * scale for seconds in times]


def agree(what: str, own: Tensor, other: Tensor, allowed: float) -> float:
    """The difference over the size (Euclidean norms), if it is small enough.

    Raises:
        SystemExit: if it is not.
    """
    difference = float((own - other).norm() / other.norm())
    if not difference <= allowed:
        raise SystemExit(f"{what}: the peer's result is another one; it differs by {difference:.2g} > {allowed:.2g}")
    return difference


def products() -> dict[torch.dtype, str]:
    """The types of products worth measuring here, and what rows call them."""
    fast = {torch.bfloat16: "bf16"} if has_fast_bfloat16() else {}
    return {torch.float32: "float32", **fast}


def allowed_in(dtype: torch.dtype) -> float:
    return EQUAL if dtype == torch.float32 else ROUGH


def size_of(network: DiffWave) -> str:
    """Residual layers and channels; 30 x 64 is BASE."""
    return f"{network.config.residual_layers} x {network.config.residual_channels}"


def seconds_of(frames: int) -> float:
    return 256 * frames / 22050


# ------------------------------------------------------- a step


def flops(config: DiffWaveConfig, samples: int) -> float:
    """Of one step whose condition is known: the dilated convolutions, residual, skip and head."""
    channels = config.residual_channels
    multiplications = config.residual_layers * 8 * channels**2 + channels**2 + 2 * channels
    return 2.0 * multiplications * samples


def matrix_products(channels: int, dtype: torch.dtype, tiles: int) -> tuple[Work, float]:
    """Some tiles of a layer as products alone, from and to the same memory, and their FLOPs."""
    rows = torch.randn(TILE, channels).to(dtype)
    wide, narrow = torch.randn(channels, 2 * channels).to(dtype), torch.randn(channels, channels).to(dtype)
    gates, out = torch.empty(TILE, 2 * channels, dtype=dtype), torch.empty(TILE, channels, dtype=dtype)

    def work() -> None:
        for _ in range(tiles):
            for _ in range(3):
                torch.mm(rows, wide, out=gates)
            for _ in range(2):
                torch.mm(rows, narrow, out=out)

    return work, 16.0 * tiles * TILE * channels**2


@torch.no_grad()
def one_step(plain: PlainDiffWave, network: DiffWave, ask: Ask, frames: int, rounds: int) -> list[Row]:
    """A reverse step of some audio, one thread, the condition known to ours."""
    audio, mel = inputs(frames)
    step = torch.tensor([STEP])
    channels, count = network.config.residual_channels, flops(network.config, 256 * frames)
    tiles = max(1, -(-network.config.residual_layers * 256 * frames // TILE) // 4)
    with threads(1):
        expected = plain(audio, step, mel)
        theirs = agree("a step of the package", torch.tensor(ask("predict", step=STEP)["noise"]), expected, EQUAL)
        works: dict[str, Work] = {
            "plain": lambda: plain(audio, step, mel),
            "package": lambda: Seconds(**ask("time", step=STEP)),
        }
        differences, multiplied = {}, {}
        for dtype, name in products().items():
            predict = FastNetwork(network, dtype).prepare(1, 256 * frames, mel)
            differences[name] = agree(f"a step, {name}", predict(audio, STEP), expected, allowed_in(dtype))
            alone, multiplied[name] = matrix_products(channels, dtype, tiles)
            works |= {name: partial(predict, audio, STEP), f"products, {name}": alone}
        alternate(works, 1)
        times = alternate(works, rounds)
    rows = []
    for name, difference in differences.items():
        own = cpu(times[name])
        shown = f"step of {seconds_of(frames):.2g} s, {size_of(network)}, {name}"
        note = f"one thread, condition cached; output differs by {difference:.1e} of its size"
        rows.append(row(shown, "CPU s", f"{note}; peer: plain module, float32", own, cpu(times["plain"])))
        note += f"; peer: PyPI diffwave 0.1.7, float32, which differs by {theirs:.1e} from the plain module"
        rows.append(row(f"{shown}, PyPI", "CPU s", note, own, cpu(times["package"])))
    for name in differences:
        own, floor = cpu(times[name], 1e9 / count), cpu(times[f"products, {name}"], 1e9 / multiplied[name])
        over = statistics.median(one / least for one, least in zip(own, floor, strict=True))
        note = (
            f"one thread, {count / 1e9:.3g} GFLOP; peer: torch.mm alone, ({TILE}, {channels}) @ ({channels}, "
            f"{2 * channels}) and ({channels}, {channels}), in cache; time over that floor {over:.3g}"
        )
        rows.append(as_rate(row(f"rate of a step, {size_of(network)}, {name}", "GFLOP/s", note, own, floor)))
    return rows


# ------------------------------------------------------- preparation


def kept_megabytes(network: FastNetwork, frames: int) -> float:
    """Conditions that are kept over the steps, in 10^6 bytes."""
    with pool_of_threads() as pool:
        pieces = list(network._pieces(1, 256 * frames, inputs(frames)[1], pool, keep=True))
    return sum(kept.nbytes for piece in pieces for kept in piece.conditions or []) / 1e6


@torch.no_grad()
def preparation(plain: PlainDiffWave, network: DiffWave, frames: int, rounds: int) -> list[Row]:
    """The condition, once an utterance, one thread: with one upsampler, and with one a layer as the authors have it."""
    mel, length = inputs(frames)[1], 256 * frames
    rows = []
    for dtype, name in products().items():
        shared, official = FastNetwork(network, dtype), FastNetwork(authors_network(network), dtype)
        works: dict[str, Work] = {
            "ours": partial(shared.prepare, 1, length, mel),
            "peer": partial(plain.conditions, mel),
            "official": partial(official.prepare, 1, length, mel),
        }
        with threads(1):
            alternate(works, 1)
            times = alternate(works, rounds)
        shown = f"condition of {seconds_of(frames):.2g} s, {size_of(network)}, {name}"
        note = "one thread; ours: once an utterance, and kept; peer: plain module, float32, at every step"
        rows.append(row(shown, "CPU s", note, cpu(times["ours"]), cpu(times["peer"])))
        per_layer = cpu(times["official"])
        note = f"one thread, once an utterance, with an upsampler a layer; no peer; {spread_of(per_layer)}"
        rows.append(Row(f"{shown}, per layer", statistics.median(per_layer), None, "CPU s", None, note))
        note = "kept over the steps; above the budget of memory it is computed at each step, by tiles; no peer"
        rows.append(Row(f"{shown}, memory", kept_megabytes(shared, frames), None, "MB", None, note))
    return rows


def authors_network(network: DiffWave) -> DiffWave:
    """One of that size in the authors' layout."""
    torch.manual_seed(0)
    sizes = {name: getattr(network.config, name) for name in ("residual_layers", "residual_channels")}
    return with_head(DiffWave(DiffWaveConfig(**sizes, weight_norm=False)))


# ------------------------------------------------------- sampling


def sampled(predict: Predictor, config: DiffWaveConfig, batch: int, length: int, steps: Steps) -> Tensor:
    """The library's sampler with any network: one noise, one set of formulas."""
    noise = ItemNoise(0, range(batch))
    return reverse(predict, noise.draw(length), schedule_of(config, steps), noise, clamp=config.clamp == "each")


@torch.no_grad()
def six_steps(plain: nn.Module, network: DiffWave, frames: int, count: int, rounds: int, layout: str = "") -> list[Row]:
    """Real-time factor of vocoding in six steps with all preparation, wall time on some threads."""
    mel, scale = inputs(frames)[1], 1 / seconds_of(frames)
    if network.config.features == "tacotron":  # natural logarithms
        mel = 12 * mel - 11
    found: dict[str, Tensor] = {}

    def vocoding(name: str, dtype: torch.dtype) -> Work:
        vocoder = Vocoder(network, dtype=str(dtype).removeprefix("torch."), device="cpu")

        def work() -> None:
            found[name] = torch.as_tensor(vocoder.vocode(mel, steps="fast6", seed=0))[None]

        return work

    def predict(audio: Tensor, step: float) -> Tensor:
        predicted: Tensor = plain(audio, torch.full((1,), step), mel)
        return predicted

    best = quickest(lambda: predict(inputs(frames)[0], STEP), count)

    def peer() -> None:
        with threads(best):
            found["peer"] = sampled(predict, network.config, 1, 256 * frames, "fast6")

    works = {name: vocoding(name, dtype) for dtype, name in products().items()}
    with threads(count):
        times = alternate({**works, "peer": peer}, rounds)
    rows = []
    for dtype, name in products().items():
        shown = f"six steps, {size_of(network)}{layout}, {name}"
        difference = agree(shown, found[name], found["peer"], 10 * allowed_in(dtype))
        note = (
            f"real-time factor, {seconds_of(frames):.2g} s of audio, {count} threads, preparation included; "
            f"{statistics.median(cpu(times[name], scale)):.3g} CPU s a second, peer "
            f"{statistics.median(cpu(times['peer'], scale)):.3g}; waveforms differ by {difference:.1e}; peer: plain "
            f"module, float32, same noise, on {best} thread{'s' if best > 1 else ''}, where it is quicker"
        )
        rows.append(row(shown, "wall s/s", note, wall(times[name], scale), wall(times["peer"], scale)))
    return rows


@torch.no_grad()
def digits(n: int, rounds: int) -> list[Row]:
    """Generated sounds a CPU second, all 50 steps, one thread."""
    torch.manual_seed(0)
    network = with_head(DiffWave(replace(DIGITS, weight_norm=False)))
    labels, length = torch.arange(n) % 10, network.config.clip_samples
    found: dict[str, Tensor] = {}

    def generating(name: str, prepare: Callable[[], Predictor]) -> Work:
        def work() -> None:
            found[name] = sampled(prepare(), network.config, n, length, "full")

        return work

    def plain(audio: Tensor, step: float) -> Tensor:
        predicted: Tensor = network(audio, torch.full((n,), step), label=labels)
        return predicted

    works = {
        name: generating(name, partial(FastNetwork(network, dtype).prepare, n, length, label=labels))
        for dtype, name in products().items()
    }
    with threads(1):
        times = alternate({**works, "peer": generating("peer", lambda: plain)}, rounds)
    rows = []
    for dtype, name in products().items():
        difference = agree(f"sounds, {name}", found[name], found["peer"], 10 * allowed_in(dtype))
        note = (
            f"{size_of(network)}, label, {length} samples, 50 steps, {n} at once, one thread; peer: the room's plain "
            f"module without weight norm, same noise; waveforms differ by {difference:.1e}"
        )
        rows.append(
            as_rate(row(f"digits, {name}", "1/CPU s", note, cpu(times[name], 1 / n), cpu(times["peer"], 1 / n)))
        )
    return rows


# ------------------------------------------------------- training


class Training:
    """A network on its way: forward, backward and Adam, on one batch again and again."""

    def __init__(self, module: nn.Module, forward: Callable[..., Tensor], batch: tuple[Tensor, ...]) -> None:
        self.module, self.forward, self.batch = module.train(), forward, batch
        self.optimiser = torch.optim.Adam(module.parameters(), lr=2e-4)

    def loss(self) -> Tensor:
        *given, noise = self.batch
        self.optimiser.zero_grad()
        loss = functional.mse_loss(self.forward(self.module, *given), noise)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def step(self) -> None:
        self.loss()
        self.optimiser.step()


def batch_of(batch: int, length: int, condition: Tensor) -> tuple[Tensor, ...]:
    """Audio, step, condition, and the noise to be found."""
    generator = torch.Generator().manual_seed(1)
    audio, noise = torch.randn(2, batch, length, generator=generator)
    return audio, torch.arange(batch).float() * 6 + 0.5, condition, noise


def by_tiles(network: DiffWave, audio: Tensor, step: Tensor, condition: Tensor, dtype: torch.dtype) -> Tensor:
    mel, label = (condition, None) if network.config.condition == "mel" else (None, condition)
    return tiled_forward(network, audio, step, mel, label, dtype)


def training_rows(
    title: str, own: DiffWave, peers: Mapping[str, Training], batch: tuple[Tensor, ...], rounds: int
) -> list[Row]:
    """A training step by tiles against the same step of other modules, one thread."""
    ours = {}
    for dtype, name in products().items():
        ours[name] = Training(copy.deepcopy(own), partial(by_tiles, dtype=dtype), batch)
    with threads(1):
        expected = {name: peer.loss() for name, peer in peers.items()}
        differences = {}
        for dtype, name in products().items():
            loss = ours[name].loss()
            for peer, other in expected.items():
                agree(f"the loss of a training step, {name}, {peer}", loss, other, allowed_in(dtype))
                own_gradient, gradient = first_gradient(ours[name].module), first_gradient(peers[peer].module)
                what = f"the gradient of a training step, {name}, {peer}"
                differences[name, peer] = agree(what, own_gradient, gradient, 10 * allowed_in(dtype))
        works = {name: one.step for name, one in {**ours, **peers}.items()}
        alternate(works, 1)
        times = alternate(works, rounds)
    rows = []
    for name in ours:
        for peer in peers:
            shown = f"training, {size_of(own)}, {name}, {peer}"
            note = (
                f"{title}; forward, backward and Adam, one thread; the first gradient differs by "
                f"{differences[name, peer]:.1e} of its size; peer: {peer} module, float32"
            )
            rows.append(row(shown, "CPU s", note, cpu(times[name]), cpu(times[peer])))
    return rows


def first_gradient(module: nn.Module) -> Tensor:
    """Of the biases of the first convolution: all layers lie between them and the loss."""
    first = module.input_projection if isinstance(module, PlainDiffWave) else module.input
    assert isinstance(first, nn.Conv1d)
    assert first.bias is not None
    assert first.bias.grad is not None
    return first.bias.grad


def train_vocoder(plain: PlainDiffWave, network: DiffWave, batch: int, length: int, rounds: int) -> list[Row]:
    """A step on clips with their mels."""
    given = batch_of(batch, length, inputs(length // 256, batch)[1])
    peers = {
        "lmnt-like": Training(copy.deepcopy(plain), lambda module, *known: module(*known), given),
        "own plain": Training(copy.deepcopy(network), lambda module, *known: module(*known), given),
    }
    return training_rows(f"vocoder, batch {batch} x {length}, mel", network, peers, given, rounds)


def train_digits(batch: int, rounds: int) -> list[Row]:
    """A step of the model of spoken digits that ships."""
    torch.manual_seed(0)
    network = with_head(DiffWave(DIGITS))
    given = batch_of(batch, network.config.clip_samples, torch.arange(batch) % 10)
    plain = Training(copy.deepcopy(network), lambda module, audio, step, label: module(audio, step, label=label), given)
    title = f"digits, batch {batch} x {network.config.clip_samples}, label, weight norm"
    return training_rows(title, network, {"own plain": plain}, given, rounds)


class PlainTrainer(DiffWaveTrainer):
    """A trainer whose network is called as it is; torch shares its operations among threads."""

    def step(self) -> float:
        return self.step_with(None)

    def gradients(self, executor: Any, noisy: Tensor, t: Tensor, *others: Any) -> tuple[Tensor, list[Tensor]]:
        mel, label, noise, real = others
        losses = self.losses(self.network(noisy, t, mel, label), noise, real)
        parameters = list(self.network.parameters())
        return losses.detach(), list(torch.autograd.grad(losses.mean(), parameters, materialize_grads=True))


def train_on_threads(count: int, rounds: int, **sizes: int) -> list[Row]:
    """Steps as a user's, of the vocoder that ships: clips and mels, gradients, Adam, the average of the weights."""
    recipe = MODELS["speech"]
    config = replace(recipe.config, **sizes)
    sounds = synthetic_sounds(8, sample_rate=config.sample_rate, length=2 * config.clip_samples, seed=0)
    ours, peer = (kind(config, recipe.training, sounds, "cpu") for kind in (DiffWaveTrainer, PlainTrainer))
    with threads(count):
        losses = [torch.tensor([trainer.step() for _ in range(2)]) for trainer in (ours, peer)]
        difference = agree("the losses of two steps on threads", *losses, EQUAL)
    best = quickest(peer.step, count)

    def plain() -> None:
        with threads(best):
            peer.step()

    with threads(count):
        times = alternate({"ours": ours.step, "peer": plain}, rounds)
    note = (
        f"the whole step of the vocoder that ships, {recipe.training.batch_size} x {config.clip_samples}, wall time; "
        f"{statistics.median(cpu(times['ours'])):.3g} CPU s, peer {statistics.median(cpu(times['peer'])):.3g}; the "
        f"losses of two steps differ by {difference:.1e}; peer: the room's plain module in the same trainer, on {best} "
        f"thread{'s' if best > 1 else ''}, where it is quicker"
    )
    name = f"training, {size_of(ours.network)}, float32, {count} threads"
    return [row(name, "wall s", note, wall(times["ours"]), wall(times["peer"]))]


# ------------------------------------------------------- the table


def main() -> None:
    arguments = parse_arguments("DiffWave against the popular implementation, on the same work.")
    quick = arguments.quick
    silence()
    peer_python("diffwave")
    frames = 8 if quick else SECOND
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        plain, network = same_networks(folder, **BASE)
        audio, mel = inputs(frames)
        np.savez(folder / "inputs.npz", audio=audio.numpy(), mel=mel.numpy())
        with Peer("diffwave", folder) as ask:
            rows += one_step(plain, network, ask, frames, 2 if quick else 7)
        rows += preparation(plain, network, frames, 1 if quick else 3)
        rows += six_steps(plain, network, frames, 2, 1 if quick else 3)
        if not quick:
            official = authors_network(network)
            rows += six_steps(official, official, frames, 2, 3, ", authors' layout")
        rows += six_steps(*same_networks(folder, **SHIPPED), frames, 2, 1 if quick else 3)
        if not quick and SMALL != SHIPPED:
            rows += six_steps(*same_networks(folder, **SMALL), frames, 2, 3)
        rows += digits(1 if quick else 50, 1 if quick else 2)
        keep_freed_memory()  # as the trainer does
        if quick:
            shallow = same_networks(folder, residual_layers=6, residual_channels=64)
            rows += train_vocoder(*shallow, 1, 4096, 1)
        else:
            rows += train_vocoder(plain, network, 4, 8192, 4)
        rows += train_digits(2 if quick else 8, 1 if quick else 7)
        rows += train_on_threads(2, 1, clip_samples=768) if quick else train_on_threads(2, 7)
    print_rows(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
