"""Pictures: how a training went, and what sounds look like."""

__all__ = ["plot_loss", "plot_mels", "plot_reverse", "plot_spectrograms"]

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rostra.engine.errors import InputError
from rostra.engine.plots import ACCENTS, INK, new_panels

from .features import MelConfig, mel_filter_bank, mel_spectrogram

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Array = NDArray[np.float64]

MOST_POINTS = 300
"""Points of a line; longer logs are averaged in as many groups."""
MOST_SNAPSHOTS = 6
LEAST_DB = 80.0
"""Range of colours: what is that much below the loudest is black."""
TICKS_HZ = (250, 500, 1000, 2000, 4000, 8000)


def plot_loss(log: "pd.DataFrame | Path") -> "Figure":
    """How a training went: its loss, and the loss by quarter of the schedule, both over the steps.

    The whole loss falls fast on quiet recordings, whose noisy versions are nearly pure noise; the quarter of the least
    noise says how well the sound itself is known.

    Args:
        log: ``train_log.csv`` of a training's folder, or the same as a table: a row some steps, with ``step``,
            ``loss``, and ``loss_quarter_1`` (the least noise) to ``loss_quarter_4``, which may be missing.

    Raises:
        InputError: if the file cannot be read, or holds no steps.
    """
    import pandas as pd

    if isinstance(log, Path):
        from rostra.fields.tabular.tables import check_names, read_table

        table = read_table(log)
        check_names(table, ["step", "loss"])
    else:
        table = log
    if table.empty:
        raise InputError("the log of the training holds no steps; train first")
    grouped = table.groupby(np.arange(len(table)) * min(len(table), MOST_POINTS) // len(table)).mean()
    figure, [whole, quarters] = new_panels(9.6, 3.4, 1, 2)
    whole.plot(grouped["step"], grouped["loss"], color=ACCENTS[0], linewidth=1.4, marker=_marker(len(grouped)))
    _label(whole, "loss", "steps", "error of the predicted noise")
    names = [name for name in table.columns if str(name).startswith("loss_quarter_")]
    noise = {1: "least noise", len(names): "most noise"}
    for place, name in enumerate(names):
        known = pd.to_numeric(grouped[name]).notna()
        label = f"quarter {place + 1}" + (f", {noise[place + 1]}" if place + 1 in noise else "")
        quarters.plot(
            grouped["step"][known],
            grouped[name][known],
            color=ACCENTS[place],
            linewidth=1.4,
            marker=_marker(int(known.sum())),
            label=label,
        )
    _label(quarters, "by quarter of the schedule", "steps", "")
    _share_log_scale(whole, quarters)
    if names:
        quarters.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


def _share_log_scale(*panels: "Axes") -> None:
    """One logarithmic range, with ticks that read as numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for panel in panels:
        panel.set_yscale("log")
    ranges = [panel.get_ylim() for panel in panels]
    for panel in panels:
        panel.set_ylim(min(low for low, _ in ranges), max(high for _, high in ranges))
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())


def _marker(points: int) -> str:
    """A line of one point is invisible."""
    return "o" if points == 1 else ""


def plot_spectrograms(sounds: Mapping[str, ArrayLike], sample_rate: int, *, columns: int | None = None) -> "Figure":
    """Mel spectrograms of sounds, with one scale of colours and of time.

    Args:
        sounds: by the title of its panel: samples, shape (L,), L >= 1.
        sample_rate: of all, in Hz.
        columns: panels a row; None: one up to three sounds, else four.

    Raises:
        InputError: if there is none, or one is of another shape.
    """
    config = MelConfig.default("tacotron", sample_rate)
    mels, seconds = {}, {}
    for name, samples in sounds.items():
        audio = np.asarray(samples, dtype=np.float32)
        if audio.ndim != 1 or not len(audio):
            raise InputError(f"sound '{name}' has shape {audio.shape}; a sound has shape (L,), L >= 1")
        mels[name], seconds[name] = _mel(audio, config), len(audio) / sample_rate
    return _draw_mels(mels, config, seconds, columns)


def plot_mels(mels: Mapping[str, Tensor], config: MelConfig) -> "Figure":
    """Mel spectrograms of one front end, with one scale of colours and of time.

    Args:
        mels: by the title of its panel: as :func:`.mel_spectrogram` gives, shape (n_mels, F).
        config: their front end.
    """
    frame = config.hop_samples / config.sample_rate
    seconds = {name: mel.shape[1] * frame for name, mel in mels.items()}
    return _draw_mels(mels, config, seconds, None)


def plot_reverse(snapshots: Sequence[tuple[int, ArrayLike]], sample_rate: int) -> "Figure":
    """One sound on its way from noise: waveform and mel spectrogram, a row a snapshot.

    Args:
        snapshots: what ``watch`` of the samplers is told, in that order: the step that was done (0 is the last) and
            the samples after it, (L,) or (B, L), of which the first is shown. Of more than six, six are drawn, the
            first and the last among them, denser towards the end, where the sound comes out of the noise.
        sample_rate: in Hz.

    Raises:
        InputError: if there is none.
    """
    if not snapshots:
        raise InputError("there are no snapshots of the reverse steps to show")
    left = np.geomspace(len(snapshots), 1, min(len(snapshots), MOST_SNAPSHOTS))
    chosen = np.unique(len(snapshots) - np.round(left).astype(int))
    shown = [(snapshots[i][0], np.atleast_2d(np.asarray(snapshots[i][1], dtype=np.float32))[0]) for i in chosen]
    config = MelConfig.default("tacotron", sample_rate)
    decibels = [_decibels(_mel(samples, config), config) for _, samples in shown]
    loudest = max(float(values.max()) for values in decibels)
    figure, panels = new_panels(9.6, 0.6 + 1.35 * len(shown), len(shown), 2)
    image = None
    for row, ((step, samples), values) in enumerate(zip(shown, decibels, strict=True)):
        wave, spectrum = panels[2 * row : 2 * row + 2]
        seconds = len(samples) / sample_rate
        wave.plot(np.arange(len(samples)) / sample_rate, samples, color=ACCENTS[0], linewidth=0.4)
        wave.set_xlim(0, seconds)
        title = "the sound" if step == 0 else f"{step} step{'s' if step > 1 else ''} to go"
        wave.set_title(title, loc="left", fontsize=9, color=INK)
        image = _draw(spectrum, values, config, seconds, loudest)
        for panel in (wave, spectrum):
            panel.tick_params(labelsize=8)
            if row + 1 < len(shown):
                panel.set_xticklabels([])
            else:
                panel.set_xlabel("seconds")
    _colour_bar(figure, image, panels[1::2])
    return figure


# ---------------------------------------------------------------------- parts


def _mel(samples: NDArray[np.float32], config: MelConfig) -> Tensor:
    """Of any sound: one that is too short for the front end is padded with silence."""
    missing = max(0, config.n_fft // 2 + 1 - len(samples))
    return mel_spectrogram(torch.from_numpy(np.pad(samples, (0, missing))), config)


def _decibels(mel: Tensor, config: MelConfig) -> Array:
    """Magnitudes in dB from the values of a front end, up to a constant; shape (n_mels, F)."""
    scale = 20 / math.log(10) if config.features == "tacotron" else 100.0
    return mel.double().numpy() * scale


def _draw_mels(
    mels: Mapping[str, Tensor], config: MelConfig, seconds: Mapping[str, float], columns: int | None
) -> "Figure":
    if not mels:
        raise InputError("there are no sounds to show; give at least one")
    columns = columns or (1 if len(mels) <= 3 else 4)
    rows = -(-len(mels) // columns)
    width = 8.0 if columns == 1 else 1.2 + 2.6 * columns
    figure, panels = new_panels(width, 0.5 + (2.0 if columns == 1 else 1.8) * rows, rows, columns)
    decibels = {name: _decibels(mel, config) for name, mel in mels.items()}
    loudest = max(float(values.max()) for values in decibels.values())
    longest = max(seconds.values())
    image = None
    for place, (panel, (name, values)) in enumerate(zip(panels, decibels.items(), strict=False)):
        image = _draw(panel, values, config, seconds[name], loudest)
        panel.set_xlim(0, longest)
        panel.set_title(name, loc="left", fontsize=9, color=INK)
        if place + columns >= len(mels):
            panel.set_xlabel("seconds")
    for panel in panels[len(mels) :]:
        panel.axis("off")
    _colour_bar(figure, image, panels)
    return figure


def _draw(axes: "Axes", decibels: Array, config: MelConfig, seconds: float, loudest: float) -> "AxesImage":
    """One spectrogram; bands are equally high, and ticks say their frequencies."""
    bands = len(decibels)
    image = axes.imshow(
        decibels,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=loudest - LEAST_DB,
        vmax=loudest,
        extent=(0, seconds, -0.5, bands - 0.5),
        interpolation="nearest",
    )
    weights = mel_filter_bank(config).double().numpy()
    bins = np.linspace(0, config.sample_rate / 2, weights.shape[1])
    centres = weights @ bins / weights.sum(axis=1)
    ticks = [hz for hz in TICKS_HZ if centres[0] < hz < 1.02 * centres[-1]][-4:]
    axes.set_yticks(np.interp(ticks, centres, np.arange(bands)), [f"{hz / 1000:g}" for hz in ticks])
    axes.set_ylabel("kHz", fontsize=9)
    return image


def _colour_bar(figure: "Figure", image: "AxesImage | None", panels: "Sequence[Axes]") -> None:
    if image is None:
        return
    bar = figure.colorbar(image, ax=list(panels), fraction=0.05, pad=0.02)
    bar.set_label("dB", color=INK)
    bar.ax.tick_params(colors=INK, labelsize=8)
    # The front end's constant means nothing: count from the loudest.
    top = image.get_clim()[1]
    marks = np.arange(0, LEAST_DB + 1, 20)
    bar.set_ticks((top - marks).tolist(), labels=[f"{-mark:g}".replace("-", "−") if mark else "0" for mark in marks])


def _label(axes: "Axes", title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
