"""Training: algorithm 1 of Kong et al. (2021), resumed bit for bit where it was stopped."""

__all__ = ["DiffWaveTrainer", "TrainConfig", "check_memory", "check_training_folder", "fit", "stop_on_signals"]

import contextlib
import copy
import csv
import dataclasses
import hashlib
import io
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from rostra.engine.checkpoints import check_folder, load_checkpoint, rebuilding, save_checkpoint
from rostra.engine.errors import InputError
from rostra.engine.files import write_atomically
from rostra.engine.progress import progress_bar
from rostra.engine.runtime import available_memory, keep_freed_memory, one_core_each, resolve_device

from .audio import normalise
from .checkpoints import TRAINING_KIND, SavedModel, clone_state, config_from, save_model, summary_of
from .data import Clips
from .features import mel_spectrogram
from .model import DiffWaveConfig, new_network
from .objective import diffuse, noise_loss, stratified_steps
from .tiled import tiled_forward

TRAINING_FOLDER = "training"
LOG = "train_log.csv"
QUARTERS = 4
LOG_EVERY = 10
ITEMS_OF_A_SHARE = 2
"""Clips that one thread trains on at once: one alone takes up to 18 % more time for each, four leave threads idle."""
KEPT_MELS = 2**30
"""Bytes of mels of whole recordings (lmnt) that are kept; those of further ones are computed at each use."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The defaults are the paper's (section 5.1, appendix C); the options below ``lr`` are off there.

    Attributes:
        batch_size: clips a step.
        lr: of Adam, constant.
        lr_decay_steps: if above 0, the rate falls along a cosine to a hundredth over that many steps.
        ema: decay of an average of the weights, which is then the model that is saved; 0 for none.
        max_grad_norm: gradients above it are scaled down to it; 0 for none.
        stratified: one step t of each stratum in a batch, see :func:`.stratified_steps`.
        dtype: of the matrix products; "bfloat16" needs a CPU or GPU that has it.
        pad: learn the silence that short clips are padded with; if False it does not count.
        seed: of weights, crops, steps and noise.
    """

    batch_size: int = 16
    lr: float = 2e-4
    lr_decay_steps: int = 0
    ema: float = 0.0
    max_grad_norm: float = 0.0
    stratified: bool = False
    dtype: Literal["float32", "bfloat16"] = "float32"
    pad: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; it must be at least 1")
        if not 0.0 < self.lr < math.inf:
            raise InputError(f"lr is {self.lr}; it must be above 0 and finite")
        if not 0.0 <= self.ema < 1.0:
            raise InputError(f"ema is {self.ema}; it must be at least 0 and below 1")
        if not (self.max_grad_norm >= 0 and self.lr_decay_steps >= 0):
            raise InputError("max_grad_norm and lr_decay_steps must be at least 0; 0 switches them off")
        if self.dtype not in ("float32", "bfloat16"):
            raise InputError(f"dtype is {self.dtype!r}; it must be float32 or bfloat16")


class DiffWaveTrainer:
    """A training under way: the network, its optimiser, and the streams of random numbers.

    Args:
        config: of the network.
        training: how to train it.
        clips: recordings at the network's rate; with labels for a model of that condition.
        device: name of a torch device; None takes CUDA where there is one.

    Attributes:
        network: as trained so far (not averaged).
        steps: done so far.
        cpu_seconds: spent in them, over all threads.
        short: number of clips shorter than a training clip, which are padded with silence.

    Raises:
        InputError: if the clips do not fit the network, or the network on a CPU not the memory.
    """

    def __init__(self, config: DiffWaveConfig, training: TrainConfig, clips: Clips, device: str | None = None) -> None:
        keep_freed_memory()
        self.config, self.training, self.clips = config, training, clips
        self.device = resolve_device(device)
        if self.device.type == "cpu":
            check_memory(config, training)
        self.audio = _check_clips(config, clips)
        self.short = int((clips.lengths < config.clip_samples).sum())
        self._mels: dict[int, Tensor] = {}
        self._mel_bytes = 0
        self.network = new_network(config, training.seed).to(self.device)
        self.average = clone_state(self.network) if training.ema else None
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=training.lr)
        self.generator = torch.Generator().manual_seed(training.seed)
        self.alpha_bar = torch.from_numpy(config.schedule.alpha_bar).float()
        self.steps, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        self.log: list[dict[str, float]] = []

    # ---------------------------------------------------------------- one step

    def train(
        self,
        steps: int,
        *,
        seconds: float | None = None,
        save: Callable[["DiffWaveTrainer"], None] | None = None,
        save_every: float = 60.0,
        stop: Callable[[], bool] | None = None,
    ) -> "DiffWaveTrainer":
        """Go on to ``steps`` steps in all.

        Args:
            steps: at which to stop; if they are done already, nothing happens.
            seconds: of wall time in this call after which to stop early.
            save: called with the trainer every ``save_every`` seconds, and at the end.
            save_every: seconds.
            stop: asked after each step; True ends the call there, early.

        Raises:
            InputError: when the loss is no longer a number; what was saved before stays.
        """
        began = saved = time.monotonic()
        with progress_bar("train", max(steps - self.steps, 0)) as advance:
            while self.steps < steps and (seconds is None or time.monotonic() - began < seconds):
                advance(1, f"loss {self.step():.3f}")
                if stop is not None and stop():
                    break
                if save is not None and time.monotonic() - saved > save_every:
                    save(self)
                    saved = time.monotonic()
        if save is not None:
            save(self)
        return self

    def step(self) -> float:
        """One step of algorithm 1; gives the loss. On a CPU it is the same bit for bit on any number of threads."""
        with one_core_each() if self.device.type == "cpu" else contextlib.nullcontext() as executor:
            return self.step_with(executor)

    def step_with(self, executor: ThreadPoolExecutor | None) -> float:
        """The same; the gradients come from the executor's threads, or from this one."""
        wall, cpu = time.monotonic(), time.process_time()
        batch = self.training.batch_size
        audio, real, mel, label = self.batch()
        if self.training.stratified:
            t = stratified_steps(batch, len(self.alpha_bar), self.generator)
        else:
            t = torch.randint(len(self.alpha_bar), (batch,), generator=self.generator)
        noise = torch.randn(audio.shape, generator=self.generator)
        noisy = diffuse(audio, noise, self.alpha_bar[t])
        losses, gradients = self.gradients(executor, noisy, t.float(), mel, label, noise, real)
        value = float(losses.mean())
        if not math.isfinite(value):
            raise InputError(f"the loss is {value} at step {self.steps}; a smaller lr or max_grad_norm 1 may help")
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        for parameter, gradient in zip(self.network.parameters(), gradients, strict=True):
            parameter.grad = gradient
        limit = self.training.max_grad_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        self.optimiser.step()
        if self.average is not None:
            self.update_average(self.average)
        self.steps += 1
        self.seconds += time.monotonic() - wall
        self.cpu_seconds += time.process_time() - cpu
        self.note(value, float(norm), t, losses)
        return value

    def gradients(
        self,
        executor: ThreadPoolExecutor | None,
        noisy: Tensor,
        t: Tensor,
        mel: Tensor | None,
        label: Tensor | None,
        noise: Tensor,
        real: Tensor,
    ) -> tuple[Tensor, list[Tensor]]:
        """Loss of each item, and the gradients of their mean.

        On a CPU a few items pass at once, on as many threads as there are. The shares, and the order in which their
        gradients are added up, do not depend on the number of threads, and neither does the result.
        """
        parameters = list(self.network.parameters())

        def of_items(items: slice) -> tuple[Tensor, tuple[Tensor, ...]]:
            given = [None if value is None else value[items] for value in (mel, label)]
            predicted = self.predict(noisy[items], t[items], *given)
            losses = self.losses(predicted, noise[items].to(self.device), real[items].to(self.device))
            mean = losses.sum() / len(noisy)
            return losses.detach(), torch.autograd.grad(mean, parameters, materialize_grads=True)

        count = _items_of_a_share(len(noisy)) if self.device.type == "cpu" else len(noisy)
        shares = [slice(first, first + count) for first in range(0, len(noisy), count)]
        losses, gradients = [], [torch.zeros_like(parameter) for parameter in parameters]
        for of_share, from_share in (executor.map if executor else map)(of_items, shares):
            losses.append(of_share)
            torch._foreach_add_(gradients, from_share)
        return torch.cat(losses), gradients

    def predict(self, noisy: Tensor, t: Tensor, mel: Tensor | None, label: Tensor | None) -> Tensor:
        """The network's noise: by tiles on a CPU, by convolutions elsewhere."""
        dtype = getattr(torch, self.training.dtype)
        if self.device.type == "cpu":
            return tiled_forward(self.network, noisy, t, mel, label, dtype=dtype)
        given = [None if value is None else value.to(self.device) for value in (noisy, t, mel, label)]
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            predicted: Tensor = self.network(*given)
        return predicted.float()

    def losses(self, predicted: Tensor, noise: Tensor, real: Tensor) -> Tensor:
        """Loss of each item; without ``pad`` over its first ``real`` samples only."""
        if self.training.pad:
            return noise_loss(predicted, noise, self.config.loss)
        counted = torch.arange(noise.shape[1], device=noise.device) < real[:, None]
        share = real.to(predicted.dtype) / noise.shape[1]
        return noise_loss(predicted * counted, noise * counted, self.config.loss) / share

    def rate(self) -> float:
        """Learning rate of the next step."""
        total = self.training.lr_decay_steps
        if not total:
            return self.training.lr
        done = min(self.steps / total, 1.0)
        return self.training.lr * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * done)))

    def update_average(self, average: dict[str, Tensor]) -> None:
        """Exponential moving average of the weights; the first steps, which know little, count less."""
        decay = min(self.training.ema, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            current = dict(self.network.named_parameters())
            torch._foreach_lerp_(list(average.values()), [current[name] for name in average], 1.0 - decay)

    # ---------------------------------------------------------------- batches

    def batch(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Random clips: audio (B, L), real samples of each (B,), mel (B, n_mels, F) or None, labels (B,) or None."""
        length = self.config.clip_samples
        chosen = torch.randint(len(self.clips), (self.training.batch_size,), generator=self.generator).tolist()
        starts = torch.rand(len(chosen), generator=self.generator, dtype=torch.float64).tolist()
        audio = torch.zeros(len(chosen), length)
        real = torch.zeros(len(chosen), dtype=torch.int64)
        mels = []
        for place, (index, share) in enumerate(zip(chosen, starts, strict=True)):
            samples = self.samples(index)
            start = self.start(len(samples), share)
            crop = samples[start : start + length]
            audio[place, : len(crop)] = torch.from_numpy(crop)
            real[place] = len(crop)
            if self.config.condition == "mel" and self.config.features == "lmnt":
                mels.append(self.cropped_mel(index, samples, start))
        mel = label = None
        if self.config.condition == "mel":
            # The authors take the mel of the crop, reflected at its edges; lmnt crops the mel of the whole file.
            mel = torch.stack(mels) if mels else mel_spectrogram(audio, self.config.mel)
        if self.config.condition == "label" and self.clips.labels is not None:
            label = torch.from_numpy(self.clips.labels[chosen])
        return audio, real, mel, label

    def samples(self, index: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """One recording, float32, in [-1, 1]."""
        if isinstance(self.audio, list):
            return self.audio[index]
        return normalise(self.clips.audio[index], self.config.level)

    def start(self, available: int, share: float) -> int:
        """Where a crop begins: anywhere for a vocoder, at a frame's centre for lmnt; else at the clip's own start."""
        if self.config.condition != "mel":
            return 0
        spare = max(available - self.config.clip_samples, 0)
        hop = self.config.hop_samples if self.config.features == "lmnt" else 1
        return int(share * (spare // hop + 1)) * hop

    def cropped_mel(self, index: int, samples: np.ndarray[Any, np.dtype[np.float32]], start: int) -> Tensor:
        """The frames of a crop, from the mel of the whole recording, which is kept as long as there is room."""
        mel = self._mels.get(index)
        if mel is None:
            whole = np.pad(samples, (0, max(self.config.clip_samples - len(samples), 0)))
            mel = mel_spectrogram(torch.from_numpy(whole), self.config.mel)
            if self._mel_bytes + mel.nbytes <= KEPT_MELS:
                self._mels[index] = mel
                self._mel_bytes += mel.nbytes
        first = start // self.config.hop_samples
        frames = -(-self.config.clip_samples // self.config.hop_samples)
        return mel[:, first : first + frames]

    # ---------------------------------------------------------------- what is kept

    def note(self, loss: float, norm: float, t: Tensor, losses: Tensor) -> None:
        """Add to the log: means over LOG_EVERY steps; the loss also by quarter of the schedule, little noise first."""
        quarter = (t * QUARTERS // len(self.alpha_bar)).tolist()
        if not self.log or self.log[-1]["count"] == LOG_EVERY:
            fresh = {"step": 0.0, "loss": 0.0, "grad_norm": 0.0, "seconds": 0.0, "cpu_seconds": 0.0, "count": 0.0}
            fresh |= {f"{kind}{q}": 0.0 for q in range(QUARTERS) for kind in ("sum", "items")}
            self.log.append(fresh)
        row = self.log[-1]
        row["count"] += 1
        row["step"], row["seconds"], row["cpu_seconds"] = float(self.steps), self.seconds, self.cpu_seconds
        row["loss"] += (loss - row["loss"]) / row["count"]
        row["grad_norm"] += (norm - row["grad_norm"]) / row["count"]
        for q, value in zip(quarter, losses.tolist(), strict=True):
            row[f"sum{q}"] += value
            row[f"items{q}"] += 1

    def model(self) -> SavedModel:
        """The model so far: of averaged weights where an average is kept."""
        network = copy.deepcopy(self.network)
        if self.average is not None:
            network.load_state_dict(self.average, strict=False)
        history = {
            "steps": self.steps,
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "training": dataclasses.asdict(self.training),
            "clips": len(self.clips),
            "audio_seconds": round(self.clips.seconds, 1),
            "padded_clips": self.short,
            "data": self.clips.provenance,
        }
        return SavedModel(network.cpu().eval(), self.clips.label_names or (), history)

    def summary(self) -> dict[str, Any]:
        """What is trained on what, how far it is, and the last row of the log: mean loss, also by quarter, and time."""
        last = self.log[-1] if self.log else {}
        quarters = [last[f"sum{q}"] / last[f"items{q}"] if last.get(f"items{q}") else None for q in range(QUARTERS)]
        return {
            **summary_of(self.network),
            "labels": self.clips.label_names if self.config.condition == "label" else None,
            "recordings": len(self.clips),
            "audio_seconds": self.clips.seconds,
            "padded_recordings": self.short,
            "steps": self.steps,
            "loss": last.get("loss"),
            "loss_by_quarter": quarters,
            "seconds": round(self.seconds, 3),
        }

    def save(self, folder: str | Path) -> None:
        """Write the model, the log, and under ``training`` what resuming needs."""
        folder = Path(folder)
        save_model(folder, self.model())
        with write_atomically(folder / LOG) as temporary:
            temporary.write_text(_as_csv(self.log), encoding="utf-8")
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in (self.average or {}).items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value.clone() for name, value in state.items()}
        tensors["generator"] = self.generator.get_state()
        content = {
            "config": dataclasses.asdict(self.config),
            "training": dataclasses.asdict(self.training),
            "steps": self.steps,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "log": self.log,
            "clips": _fingerprint(self.clips, self.config),
        }
        save_checkpoint(folder / TRAINING_FOLDER, TRAINING_KIND, tensors, content)

    @classmethod
    def resume(cls, folder: str | Path, clips: Clips, device: str | None = None) -> "DiffWaveTrainer":
        """Go on where :meth:`save` left off, on the same clips; on a CPU the result is the same bit for bit.

        Raises:
            InputError: if the folder holds no training, or the clips are others.
        """
        folder = Path(folder)
        if not (folder / TRAINING_FOLDER).is_dir():
            raise InputError(f"'{folder}' holds no training to resume; train without --resume")
        tensors, content = load_checkpoint(folder / TRAINING_FOLDER, TRAINING_KIND)
        with rebuilding(folder / TRAINING_FOLDER, "train anew"):
            config, training = config_from(content["config"], str(folder)), TrainConfig(**content["training"])
        trainer = cls(config, training, clips, device)
        with rebuilding(folder / TRAINING_FOLDER, "train anew"):
            trainer._check_clips_are(content["clips"], folder)
            trainer._restore(tensors, content)
        return trainer

    def _check_clips_are(self, then: dict[str, Any], folder: Path) -> None:
        now = _fingerprint(self.clips, self.config)
        differing = [what for what, value in then.items() if now.get(what) != value]
        if differing:
            raise InputError(
                f"the training in '{folder}' was on {then['count']} clips of {then['samples']} samples, these are "
                f"{now['count']} of {now['samples']}, {_DIFFERENCES[differing[0]]}; give the same clips, or train into "
                "a new folder"
            )

    def _restore(self, tensors: dict[str, Tensor], content: dict[str, Any]) -> None:
        self.network.load_state_dict({name: tensors[f"network.{name}"] for name in self.network.state_dict()})
        for name, value in (self.average or {}).items():
            value.copy_(tensors[f"average.{name}"])
        count = len(list(self.network.parameters())) if content["steps"] else 0
        state = {
            index: {name: tensors[f"optimiser.{index}.{name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
            for index in range(count)
        }
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.generator.set_state(tensors["generator"])
        self.steps, self.seconds = content["steps"], content["seconds"]
        self.cpu_seconds, self.log = content["cpu_seconds"], content["log"]

    def check_unchanged(self, folder: Path, config: DiffWaveConfig | None, training: Mapping[str, Any]) -> None:
        """Check that a training that goes on is asked for no other settings than those of its beginning.

        Args:
            folder: where it was saved, for errors.
            config: of the network; None asks for nothing.
            training: those fields of :class:`TrainConfig` that are asked for.

        Raises:
            InputError: for the first setting that differs.
        """
        for own, asked in ((self.config, {} if config is None else vars(config)), (self.training, training)):
            for name, value in asked.items():
                if getattr(own, name) != value:
                    raise InputError(
                        f"the training in '{folder}' has {name} {getattr(own, name)}, and the options ask for {value}; "
                        "leave them out with --resume, or train into another folder"
                    )


def check_memory(config: DiffWaveConfig, training: TrainConfig) -> None:
    """Check, before any work, that a CPU has the memory to train a network; what is counted is the least it takes.

    Raises:
        InputError: if it has not.
    """
    layers, channels, batch_size = config.residual_layers, config.residual_channels, training.batch_size
    weights = layers * channels * (8 * channels + 512)  # those of the convolutions, and of the embedded step
    items = min(batch_size, _items_of_a_share(batch_size) * torch.get_num_threads())
    activations = items * config.clip_samples * channels * (3 * layers + 4)  # a layer keeps its input and both gates
    # Besides: weights, gradients and Adam's two moments; clips and their noise.
    needed = 4 * (4 * weights + 4 * batch_size * config.clip_samples)
    needed += getattr(torch, training.dtype).itemsize * activations
    there = available_memory()
    if needed > there:
        raise InputError(
            f"to train {layers} layers of {channels} channels on clips of {config.clip_samples} samples takes at least "
            f"{needed / 1e9:,.1f} GB of memory, and there are {there / 1e9:,.1f} GB; make clips or network smaller"
        )


def _items_of_a_share(batch_size: int) -> int:
    """A batch has two shares at least, so that two threads have work."""
    return min(ITEMS_OF_A_SHARE, math.ceil(batch_size / 2))


def check_training_folder(folder: Path, *, resume: bool) -> None:
    """Check, before any work, that a training can be written to a folder.

    Raises:
        InputError: if it holds other files, or a training that is not to be gone on with.
    """
    check_folder(folder)
    if not resume and (folder / TRAINING_FOLDER).is_dir():
        raise InputError(
            f"'{folder}' holds a training; go on with it (--resume, in Python resume=True), or choose another folder"
        )


def fit(
    clips: Clips,
    config: DiffWaveConfig,
    training: TrainConfig | None = None,
    *,
    steps: int,
    seconds: float | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    device: str | None = None,
) -> SavedModel:
    """Train a model.

    Args:
        clips: recordings.
        config, training: of the network, and how.
        steps: in all, with those that were done before when resuming.
        seconds: of wall time, after which to stop early; the rest can be done later with ``resume``.
        out: folder that model, log and state are written to, about once a minute and at the end.
        resume: go on with the training in ``out``; ``config`` and ``training`` are then those of its beginning.
        device: name of a torch device.

    Raises:
        InputError: for clips that do not fit, a folder that holds other files or another training, or a loss that is
            not a number.
    """
    if steps < 1:
        raise InputError(f"steps is {steps}; it must be at least 1")
    folder = None if out is None else Path(out)
    if resume:
        if folder is None:
            raise InputError("resume needs the folder of the training in out")
        trainer = DiffWaveTrainer.resume(folder, clips, device)
    else:
        if folder is not None:
            check_training_folder(folder, resume=False)
        trainer = DiffWaveTrainer(config, training or TrainConfig(), clips, device)
    trainer.train(steps, seconds=seconds, save=None if folder is None else lambda current: current.save(folder))
    return trainer.model()


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C and SIGTERM instead of ending at once; gives the ``stop`` of :meth:`DiffWaveTrainer.train`.

    A second one interrupts. Outside the main thread, which alone can do this, signals act as usual.
    """
    asked: list[int] = []

    def note(received: int, _: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(received)
        # Not through sys.stderr, which the program may be writing to.
        os.write(2, b"stopping after this step; once more stops at once\n")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {received: signal.signal(received, note) for received in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for received, handler in before.items():
            signal.signal(received, handler)


def _check_clips(config: DiffWaveConfig, clips: Clips) -> Any:
    """The recordings, normalised once where they are in memory."""
    if not len(clips):
        raise InputError("there are no clips to train on")
    if clips.sample_rate != config.sample_rate:
        raise InputError(
            f"the clips are at {clips.sample_rate} Hz and the model at {config.sample_rate} Hz; resample the clips"
        )
    if config.condition == "label":
        if clips.labels is None:
            raise InputError("a model with labels needs clips with labels: a CSV with the columns path and label")
        if int(clips.labels.max()) >= config.n_classes:
            raise InputError(f"label {int(clips.labels.max())} is out of range; labels are 0 to {config.n_classes - 1}")
        if clips.label_names and len(clips.label_names) != config.n_classes:
            raise InputError(f"the clips have {len(clips.label_names)} labels, and n_classes is {config.n_classes}")
    if isinstance(clips.audio, list):
        return [_usable(samples, name, config) for samples, name in zip(clips.audio, clips.names, strict=True)]
    return clips.audio


def _usable(samples: Any, name: str, config: DiffWaveConfig) -> Any:
    """One recording, normalised."""
    if not len(samples) or not np.isfinite(samples).all():
        raise InputError(f"clip '{name}' is empty or holds values that are not finite; leave it out")
    try:
        return normalise(samples, config.level)
    except InputError as error:
        raise InputError(f"clip '{name}': {error}") from None


_DIFFERENCES = {
    "count": "other ones",
    "samples": "other ones",
    "names": "under other names",
    "labels": "with other labels",
}


def _fingerprint(clips: Clips, config: DiffWaveConfig) -> dict[str, Any]:
    """What tells whether a training is resumed on the same clips."""
    found = {"count": len(clips), "samples": int(clips.lengths.sum()), "names": _hash(clips.names)}
    if config.condition == "label" and clips.labels is not None:
        found["labels"] = _hash([*map(str, clips.labels.tolist()), *(clips.label_names or ())])
    return found


def _hash(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _as_csv(log: list[dict[str, float]]) -> str:
    """Columns step, loss, grad_norm, seconds, cpu_seconds, loss_quarter_1 .. 4 (empty where no item fell)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [f"loss_quarter_{q + 1}" for q in range(QUARTERS)]
    writer.writerow(["step", "loss", "grad_norm", "seconds", "cpu_seconds", *names])
    for row in log:
        means = [f"{row[f'sum{q}'] / row[f'items{q}']:.6g}" if row[f"items{q}"] else "" for q in range(QUARTERS)]
        numbers = [f"{row[name]:.6g}" for name in ("loss", "grad_norm", "seconds", "cpu_seconds")]
        writer.writerow([int(row["step"]), *numbers, *means])
    return text.getvalue()
