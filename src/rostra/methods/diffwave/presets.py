"""The network for given recordings: a published one, or a small one, fitted to their rate, front end and labels."""

__all__ = ["asks_for_labels", "default_sample_rate", "network_config"]

from dataclasses import asdict
from typing import Any, Literal

from rostra.engine.errors import InputError

from .data import Clips
from .features import MelConfig
from .model import PRESETS, SIZES, DiffWaveConfig

Condition = Literal["mel", "label", "none"]

SMALL = "small"
"""Beside the paper's sizes: 32 channels and 10 layers, for a CPU."""
_FRONT_END = ("n_mels", "n_fft", "hop_samples", "f_min", "f_max")


def network_config(
    clips: Clips,
    *,
    preset: str = "official",
    size: str = "base",
    condition: Condition | None = None,
    level: Literal["peak", "rms", "none"] | None = None,
    **settings: Any,
) -> DiffWaveConfig:
    """The network to train on recordings.

    Args:
        clips: recordings; they give the rate and the number of classes.
        preset: one of :data:`.PRESETS`.
        size: one of :data:`.SIZES`, or "small".
        condition: None: the size's, else "label" if the clips have labels and "mel" if they have none.
        level: of the training clips; None: "peak", for vocoders "none".
        settings: of :class:`.DiffWaveConfig`, which go before all others. The front end is
            :meth:`.MelConfig.default` for the rate; the window follows ``n_fft``, and ``hop_samples`` is a quarter of
            it. Training clips have 16,000 samples (lmnt: 62 frames), without a mel one second, but no more than the
            longest recording.

    Raises:
        InputError: for a preset or size that is not known, settings of a front end without a mel, and what
            :class:`.DiffWaveConfig` refuses.
    """
    for what, name, known in (("preset", preset, PRESETS), ("size", size, (*SIZES, SMALL))):
        if name not in known:
            raise InputError(f"{what} is {name!r}; it must be one of {', '.join(known)}")
    values = PRESETS[preset] | SIZES.get(size, {})
    condition = condition or values.get("condition") or ("mel" if clips.labels is None else "label")
    vocoder = condition == "mel"
    if size == SMALL:
        values |= {"residual_layers": 10, "residual_channels": 32, "upsampler": "shared"}
    values |= {"condition": condition, "n_classes": 0, "sample_rate": clips.sample_rate}
    if condition == "label" and clips.labels is not None:
        values["n_classes"] = len(clips.label_names or ()) or int(clips.labels.max()) + 1
        if values["n_classes"] < 2:
            only = clips.label_names[0] if clips.label_names else "0"
            raise InputError(f"all recordings have the label '{only}'; labels need two classes, or take condition none")
    front_end = {name: settings[name] for name in _FRONT_END if name in settings}
    if vocoder:
        lmnt = values.get("features") == "lmnt"
        values |= asdict(MelConfig.default("lmnt" if lmnt else "tacotron", clips.sample_rate)) | front_end
        if "n_fft" in settings and "hop_samples" not in settings:
            values["hop_samples"] = settings["n_fft"] // 4
        values["win_length"] = 4 * values["hop_samples"] if lmnt else values["n_fft"]
        values["clip_samples"] = 62 * values["hop_samples"] if lmnt else 16000
    elif front_end:
        raise InputError(f"{next(iter(front_end))} is of a vocoder's mel; a model of condition {condition} has none")
    else:
        values["clip_samples"] = min(clips.sample_rate, int(clips.lengths.max()))
    level = level or ("none" if vocoder else "peak")
    values["level"] = None if level == "none" else level
    return DiffWaveConfig(**values | settings)


def asks_for_labels(condition: Condition | None, size: str | None) -> bool:
    """Whether a network is one with labels, whatever the recordings are; arguments as for :func:`network_config`."""
    return (condition or SIZES.get(size or "base", {}).get("condition")) == "label"


def default_sample_rate(size: str | None) -> int:
    """Rate in Hz of the paper's recordings for one of :data:`.SIZES`; None and "small" count as "base"."""
    return int(SIZES.get(size or "base", {}).get("sample_rate", DiffWaveConfig.sample_rate))
