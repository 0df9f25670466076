"""A model as a folder: sizes, schedule and front end in JSON, weights in safetensors."""

__all__ = [
    "KIND",
    "TRAINING_KIND",
    "SavedModel",
    "load_model",
    "read_config",
    "save_model",
    "summary_of",
]

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rostra.engine.checkpoints import load_checkpoint, rebuilding, save_checkpoint, tuples
from rostra.engine.errors import InputError

from .model import DiffWave, DiffWaveConfig, new_network

KIND = "diffwave"
TRAINING_KIND = "diffwave-training"


@dataclass(frozen=True)
class SavedModel:
    """A network and what goes with it.

    Attributes:
        network: float32, on the CPU, in evaluation mode.
        label_names: of the classes, or empty.
        history: how it was trained: steps, seconds, data, ...; free-form, for people.

    Raises:
        InputError: if a model with labels has names for another number of classes.
    """

    network: DiffWave
    label_names: tuple[str, ...] = ()
    history: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config, names = self.network.config, self.label_names
        if config.condition == "label" and len(names) not in (0, config.n_classes):
            raise InputError(
                f"label_names has {len(names)} names for {config.n_classes} classes; give one each, or none at all"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name of each class of a model with labels: those that it knows, else their numbers."""
        return self.label_names or tuple(map(str, range(self.network.config.n_classes)))

    @property
    def listed_classes(self) -> str:
        """Names of the classes for a message, not too many."""
        names = self.class_names
        return ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:10])} ... ({len(names)} in all)"

    def class_number(self, name: str) -> int:
        """The class of a name; where there is none, of a number from 0 as text.

        Raises:
            InputError: if there is no such class.
        """
        names = self.class_names
        if name in names:
            return names.index(name)
        if name.isdecimal() and int(name) < len(names):
            return int(name)
        raise InputError(f"label '{name}' is none of the model's classes: {self.listed_classes}")


def summary_of(network: DiffWave) -> dict[str, Any]:
    """What a network is for and how large, in numbers and words that JSON holds."""
    config = network.config
    return {
        "condition": config.condition,
        "sample_rate": config.sample_rate,
        "residual_layers": config.residual_layers,
        "residual_channels": config.residual_channels,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "diffusion_steps": config.noise_schedule[0],
    }


def save_model(folder: str | Path, model: SavedModel, *, half: bool = False) -> None:
    """Write a model; an older one in the folder is replaced at once.

    Args:
        folder: made if it is not there.
        model: what to write.
        half: store weights in 16 bits (float16) to halve the file.

    Raises:
        InputError: if the folder holds other files, or cannot be written.
    """
    tensors = {
        name: value.half() if half and value.is_floating_point() else value
        for name, value in model.network.state_dict().items()
    }
    content = {
        "config": dataclasses.asdict(model.network.config),
        "label_names": model.label_names,
        "history": model.history,
    }
    save_checkpoint(Path(folder), KIND, tensors, content)


def load_model(folder: str | Path) -> SavedModel:
    """Read a model back; torch's own generators are left as they were.

    Raises:
        InputError: if the folder is missing, damaged, or holds something else.
    """
    folder = Path(folder)
    tensors, content = load_checkpoint(folder, KIND)
    with rebuilding(folder, "train it again"):
        network = new_network(config_from(content["config"], str(folder)), 0)
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
        names = tuple(content["label_names"])
        try:
            return SavedModel(network.eval(), names, content["history"])
        except InputError as error:
            raise InputError(f"'{folder}' is damaged: {error}") from None


def config_from(values: dict[str, Any], name: str, mend: str = "train it again") -> DiffWaveConfig:
    """A configuration as JSON holds it; ``mend`` says what helps where settings are of other names or types."""
    try:
        return DiffWaveConfig(**tuples(values))
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the configuration in '{name}' is of another version ({reason}); {mend}") from None


def read_config(path: str | Path) -> DiffWaveConfig:
    """A configuration out of a JSON file of settings by name; those that it leaves out have their defaults.

    Raises:
        InputError: if the file cannot be read, or holds something else.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read as JSON ({error}); give settings by name") from None
    if not isinstance(values, dict):
        raise InputError(f"'{path}' must hold settings by name, such as {{\"residual_layers\": 30}}")
    return config_from(values, str(path), "give settings of DiffWaveConfig")


def clone_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the parameters, detached."""
    return {name: value.detach().clone() for name, value in network.named_parameters()}
