"""The models that ship with Rostra, and how each was trained; ``rostra diffwave train --recipe`` makes one again."""

__all__ = ["MODELS", "Recipe", "pretrained_folder"]

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rostra.engine.errors import InputError

from .data import Clips, load_fsdd, load_ljspeech_sample
from .model import DiffWaveConfig
from .training import TrainConfig

FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Recipe:
    """One model.

    Attributes:
        config, training: of the network, and how it is trained.
        steps: of training.
        clips: loads the recordings.
    """

    config: DiffWaveConfig
    training: TrainConfig
    steps: int
    clips: Callable[[], Clips]


_SMALL = DiffWaveConfig(residual_layers=10, residual_channels=32, upsampler="shared", clip_samples=4096)
_DIGITS = dataclasses.replace(_SMALL, condition="none", sample_rate=8000, f_max=4000.0, level="peak")


def _quick(steps: int) -> TrainConfig:
    return TrainConfig(batch_size=8, lr=2e-3, lr_decay_steps=steps, ema=0.999, max_grad_norm=1.0, stratified=True)


MODELS: dict[str, Recipe] = {
    "digits": Recipe(
        config=dataclasses.replace(_DIGITS, condition="label", n_classes=10),
        training=_quick(8000),
        steps=8000,
        clips=lambda: load_fsdd("train"),
    ),
    "digits-unconditional": Recipe(
        config=_DIGITS,
        training=_quick(3500),
        steps=3500,
        clips=lambda: load_fsdd("train"),
    ),
    "speech": Recipe(
        config=_SMALL,
        training=_quick(6000),
        steps=6000,
        clips=lambda: load_ljspeech_sample("train"),
    ),
}


def pretrained_folder(name: str) -> Path:
    """The folder of a model that ships with Rostra, as :func:`.load_model` reads it.

    Raises:
        InputError: for a name that is not known.
    """
    if name not in MODELS:
        raise InputError(f"there is no model '{name}'; Rostra ships {', '.join(MODELS)}")
    return FOLDER / name
