"""Checkpoints of the authors' code and of lmnt-com/diffwave, read into the layout of :class:`.DiffWave`.

Facts about the layouts (names and shapes of tensors, order of the gate) are those of philsyn/DiffWave-Vocoder and
philsyn/DiffWave-unconditional ("official") and of lmnt-com/diffwave ("lmnt").
"""

__all__ = ["import_checkpoint"]

import math
import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from rostra.engine.errors import InputError

from .checkpoints import SavedModel
from .model import PRESETS, SIZES, DiffWaveConfig, StepEmbedding, new_network
from .objective import FAST_SCHEDULES

Layout = Literal["official", "lmnt"]

WRAPPERS = {"official": "model_state_dict", "lmnt": "model"}
"""Entry of the file that holds the weights."""

_OFFICIAL = {
    r"init_conv\.0\.conv": "input",
    r"residual_layer\.fc_t1": "embedding.projection1",
    r"residual_layer\.fc_t2": "embedding.projection2",
    r"residual_layer\.residual_blocks\.(\d+)\.fc_t": r"layers.\1.step",
    r"residual_layer\.residual_blocks\.(\d+)\.dilated_conv_layer\.conv": r"layers.\1.dilated",
    r"residual_layer\.residual_blocks\.(\d+)\.upsample_conv2d\.(\d+)": r"layers.\1.upsampler.stages.\2",
    r"residual_layer\.residual_blocks\.(\d+)\.mel_conv\.conv": r"layers.\1.condition",
    r"residual_layer\.residual_blocks\.(\d+)\.res_conv": r"layers.\1.residual",
    r"residual_layer\.residual_blocks\.(\d+)\.skip_conv": r"layers.\1.skip",
    r"final_conv\.0\.conv": "skip",
    r"final_conv\.2\.conv": "output",
}
_LMNT = {
    r"input_projection": "input",
    r"diffusion_embedding\.projection([12])": r"embedding.projection\1",
    r"spectrogram_upsampler\.conv1": "upsampler.stages.0",
    r"spectrogram_upsampler\.conv2": "upsampler.stages.1",
    r"residual_layers\.(\d+)\.dilated_conv": r"layers.\1.dilated",
    r"residual_layers\.(\d+)\.diffusion_projection": r"layers.\1.step",
    r"residual_layers\.(\d+)\.conditioner_projection": r"layers.\1.condition",
    r"residual_layers\.(\d+)\.output_projection": r"layers.\1.outputs",
    r"skip_projection": "skip",
    r"output_projection": "output",
}
MODULES = {"official": _OFFICIAL, "lmnt": _LMNT}
"""Modules of each layout, as patterns, and what they are in :class:`.DiffWave`."""

PARTS = {
    "weight": "weight",
    "bias": "bias",
    "weight_g": "parametrizations.weight.original0",
    "weight_v": "parametrizations.weight.original1",
    "parametrizations.weight.original0": "parametrizations.weight.original0",
    "parametrizations.weight.original1": "parametrizations.weight.original1",
}
"""Tensors of a module; weight normalisation has had two sets of names."""

FIRST = {"official": "init_conv.0.conv.", "lmnt": "input_projection."}
TABLE = "diffusion_embedding.embedding"
"""Table of steps that older lmnt files hold, shape (T, 128)."""

KNOWN: dict[tuple[str, int, int, str], dict[str, Any]] = {
    ("official", 30, 64, "mel"): SIZES["base"],
    ("official", 30, 128, "mel"): SIZES["large"],
    ("official", 36, 256, "none"): SIZES["sc09"],
    ("lmnt", 30, 64, "mel"): {},
    ("lmnt", 30, 64, "none"): {"clip_samples": 5 * 22050},
}
"""What a file of that layout, layers, channels and condition does not say: settings of the public models."""

CHOICES = ("embedding", "residual_base", "upsampler")
"""Settings that follow from the layout."""


def import_checkpoint(
    path: str | Path, *, layout: Literal["auto", "official", "lmnt"] = "auto", config: DiffWaveConfig | None = None
) -> SavedModel:
    """Read a public checkpoint. Nothing in the file is executed.

    Sizes are those of the weights. The dilation cycle, the noise schedule and the front end are not in the weights:
    they are taken from ``config``, else from the parameters that an lmnt file holds, else, for the sizes of the public
    models, from what is known of these: official BASE, LARGE and SC09, lmnt's speech model.

    Args:
        path: an official ``.pkl`` ({"model_state_dict", ...}), an lmnt ``weights.pt`` ({"model", "params", ...}), or
            the weights of either alone (a dict of tensors).
        layout: "official" or "lmnt"; "auto" tells them apart by the names of the weights.
        config: of the model. Its sizes and structure must be those of the file; for lmnt start from
            ``PRESETS["lmnt"]``.

    Returns:
        The network, float32, on the CPU, in evaluation mode; the history names the file, the layout and, where the file
        has it, the number of steps trained.

    Raises:
        InputError: if the file cannot be read, needs more than tensors and plain containers, is of another layout, has
            weights of shapes that do not fit together, or does not say what is needed.
    """
    path = Path(path)
    if layout not in ("auto", *WRAPPERS):
        raise InputError(f"layout is {layout!r}; it must be auto, official or lmnt")
    content = _read(path)
    state = _weights(content, path)
    found = _layout(state, path)
    if layout not in ("auto", found):
        raise InputError(f"'{path}' has the layout {found}, not {layout}; leave the layout out")
    tensors = _canonical(state, found, path)
    parameters = content.get("params") if found == "lmnt" else None
    if config is None:
        config = _config(tensors, state, parameters if isinstance(parameters, Mapping) else {}, found, path)
    else:
        _check_structure(config, _structure(tensors, found, path), path, "config")
    network = new_network(config, 0)
    _check_shapes(tensors, network.state_dict(), path)
    network.load_state_dict(tensors)
    _check_table(state, network.embedding, path)
    history: dict[str, Any] = {"imported": path.name, "layout": found}
    if isinstance(content.get("step"), int):
        history["steps"] = content["step"]
    return SavedModel(network.eval(), history=history)


def _read(path: Path) -> dict[str, Any]:
    """What is in the file: a dict of tensors, numbers, texts and containers of these."""
    # Early lmnt parameters are of a dict class of its own; as an ordered dict they are read without that class.
    dict_class: Any = (OrderedDict, "diffwave.params.AttrDict")
    try:
        with path.open("rb") as file, warnings.catch_warnings(), torch.serialization.safe_globals([dict_class]):
            warnings.simplefilter("ignore")  # of archives that are then refused
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"cannot read '{path}' ({error.strerror}); give the path of a checkpoint") from None
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        if named is None:
            raise InputError(
                f"'{path}' is no file of torch.save, or damaged; give an official .pkl or lmnt .pt"
            ) from None
        raise InputError(
            f"'{path}' is not a file of plain tensors and containers (it asks for {named[1]}), and is not read; "
            "save the weights alone: torch.save(model.state_dict(), path)"
        ) from None
    except Exception:  # other and damaged files make torch.load fail in many ways, and say little
        raise InputError(f"'{path}' is no file of torch.save, or damaged; give an official .pkl or lmnt .pt") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(f"'{path}' holds a {type(content).__name__}, not a dict of weights; give a checkpoint")
    return content


def _weights(content: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """The tensors by their names in the file, float32, without what distributed training puts before the names."""
    wrapper = next((name for name in WRAPPERS.values() if isinstance(content.get(name), dict)), None)
    held = content if wrapper is None else content[wrapper]
    if not held or not all(isinstance(name, str) for name in held):
        raise InputError(f"'{path}' holds no weights by name; expected an official or an lmnt checkpoint")
    for name, value in held.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or not value.is_floating_point():
            raise InputError(
                f"'{name}' in '{path}' is a {_kind(value)}, not an array of real numbers; "
                f"expected weights, or a dict with '{WRAPPERS['official']}' or '{WRAPPERS['lmnt']}'"
            )
        if not bool(value.isfinite().all()):
            raise InputError(f"'{name}' in '{path}' holds NaN or infinite values; the checkpoint is of no use")
    prefix = "module." if all(name.startswith("module.") for name in held) else ""
    return {name.removeprefix(prefix): value.detach().float() for name, value in held.items()}


def _kind(value: Any) -> str:
    return str(value.dtype).replace("torch.", "tensor of ") if isinstance(value, Tensor) else type(value).__name__


def _layout(state: dict[str, Tensor], path: Path) -> Layout:
    if any(name.startswith(FIRST["official"]) for name in state):
        return "official"
    if any(name.startswith(FIRST["lmnt"]) for name in state):
        return "lmnt"
    raise InputError(
        f"the weights in '{path}' ({', '.join(list(state)[:3])}, ...) are of neither layout: official ones hold "
        f"{FIRST['official']}weight_v, lmnt ones {FIRST['lmnt']}weight"
    )


def _canonical(state: dict[str, Tensor], layout: Layout, path: Path) -> dict[str, Tensor]:
    """The tensors as :class:`.DiffWave` names and arranges them."""
    tensors = {}
    for name, value in state.items():
        if name == TABLE:
            continue
        module, part = _split(name)
        for pattern, replacement in MODULES[layout].items():
            if part in PARTS and re.fullmatch(pattern, module):
                tensors[f"{re.sub(pattern, replacement, module)}.{PARTS[part]}"] = value
                break
        else:
            raise InputError(f"'{name}' in '{path}' is not a weight of the {layout} layout; this is another model")
    return _rearranged(tensors) if layout == "lmnt" else tensors


def _split(name: str) -> tuple[str, str]:
    """Module and part of a tensor's name."""
    part = next((part for part in PARTS if "." in part and name.endswith(f".{part}")), name.rpartition(".")[2])
    return name.removesuffix(part).removesuffix("."), part


def _rearranged(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """lmnt gates by the first half, and has one convolution for residual and skip."""
    arranged = {}
    for name, value in tensors.items():
        halves = value.chunk(2) if value.ndim and len(value) > 1 else ()
        if re.search(r"^layers\.\d+\.(dilated|condition)\.", name) and len(halves) == 2:
            arranged[name] = torch.cat(halves[::-1])
        elif ".outputs." in name and len(halves) == 2:
            for half, purpose in zip(halves, ("residual", "skip"), strict=True):
                arranged[name.replace(".outputs.", f".{purpose}.")] = half.clone()
        else:
            arranged[name] = value
    return arranged


def _structure(tensors: dict[str, Tensor], layout: Layout, path: Path) -> dict[str, Any]:
    """What the weights say: sizes and structure, as arguments of :class:`.DiffWaveConfig`."""
    channels = len(_one(tensors, "input.bias", path))
    layers = len({name.split(".")[1] for name in tensors if name.startswith("layers.")})
    preset = DiffWaveConfig(**PRESETS[layout])
    structure: dict[str, Any] = {name: getattr(preset, name) for name in CHOICES}
    structure |= {"residual_layers": layers, "residual_channels": channels}
    structure["weight_norm"] = "input.parametrizations.weight.original1" in tensors
    where = "" if layout == "lmnt" else "layers.0."
    structure["condition"] = "mel" if "layers.0.condition.bias" in tensors else "none"
    if structure["condition"] == "mel":
        kind = "parametrizations.weight.original1" if structure["weight_norm"] else "weight"
        structure["n_mels"] = _one(tensors, f"layers.0.condition.{kind}", path, ndim=3).shape[1]
        stages = [_one(tensors, f"{where}upsampler.stages.{stage}.{kind}", path, ndim=4) for stage in range(2)]
        structure["hop_samples"] = math.prod(stage.shape[3] // 2 for stage in stages)
    return structure


def _one(tensors: dict[str, Tensor], name: str, path: Path, ndim: int = 1) -> Tensor:
    if name not in tensors or tensors[name].ndim != ndim:
        found = f"of shape {tuple(tensors[name].shape)}" if name in tensors else "missing"
        raise InputError(f"the weight '{name}' of '{path}' is {found}; it must have {ndim} axes")
    return tensors[name]


def _config(
    tensors: dict[str, Tensor], state: dict[str, Tensor], parameters: Mapping[str, Any], layout: Layout, path: Path
) -> DiffWaveConfig:
    """The configuration of a file without one given."""
    structure = _structure(tensors, layout, path)
    layers, channels = structure["residual_layers"], structure["residual_channels"]
    known = KNOWN.get((layout, layers, channels, structure["condition"]))
    needed = ("dilation_cycle_length", "noise_schedule", "sample_rate")
    if known is None and not all(name in parameters for name in needed):
        raise InputError(
            f"'{path}' does not say its dilation cycle, noise schedule and front end, and no public {layout} model has "
            f"{layers} layers of {channels} channels with condition '{structure['condition']}'; give a config"
        )
    values = PRESETS[layout] | (known or {}) | structure
    try:
        values |= _said(parameters, values)
        table = state.get(TABLE)
        if table is not None and len(table) != values.get("noise_schedule", (50,))[0]:
            raise InputError(
                f"its table of steps has {len(table)} rows and its noise schedule "
                f"{values.get('noise_schedule', (50,))[0]} steps; give a config"
            )
        config = DiffWaveConfig(**values)
    except InputError as error:
        raise InputError(f"the settings of '{path}' do not make a model: {error}") from None
    _check_structure(config, structure, path, "its parameters")
    return config


def _said(parameters: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """What lmnt's parameters say beyond the weights, as arguments of :class:`.DiffWaveConfig`."""
    said: dict[str, Any] = {}
    for name in ("sample_rate", "n_fft", "hop_samples", "n_mels", "residual_layers", "residual_channels"):
        if name in parameters and (values["condition"] == "mel" or name not in ("hop_samples", "n_mels")):
            said[name] = _whole(parameters, name)
    if "dilation_cycle_length" in parameters:
        said["dilation_cycle_length"] = _whole(parameters, "dilation_cycle_length")
    if "noise_schedule" in parameters:
        said["noise_schedule"] = _linear(_numbers(parameters, "noise_schedule"))
        long = said["noise_schedule"][0] >= 100
        said["inference_noise_schedule"] = FAST_SCHEDULES["fast6-large" if long else "fast6-base"]
    if "inference_noise_schedule" in parameters:
        said["inference_noise_schedule"] = tuple(_numbers(parameters, "inference_noise_schedule"))
    hop = said.get("hop_samples", values.get("hop_samples", 256))
    if "sample_rate" in said:
        said["f_max"] = said["sample_rate"] / 2
    said["win_length"] = 4 * hop
    if values["condition"] == "mel" and "crop_mel_frames" in parameters:
        said["clip_samples"] = hop * _whole(parameters, "crop_mel_frames")
    if values["condition"] == "none" and "audio_len" in parameters:
        said["clip_samples"] = _whole(parameters, "audio_len")
    return said


def _whole(parameters: Mapping[str, Any], name: str) -> int:
    value = parameters[name]
    if not isinstance(value, int) or value < 1:
        raise InputError(f"its {name} is {value!r}; it must be a whole number, at least 1")
    return value


def _numbers(parameters: Mapping[str, Any], name: str) -> list[float]:
    value = parameters[name]
    value = value.tolist() if isinstance(value, Tensor) else value
    if not isinstance(value, list | tuple) or not value or not all(isinstance(one, int | float) for one in value):
        raise InputError(f"its {name} is a {type(value).__name__}; it must be a list of numbers")
    return [float(one) for one in value]


def _linear(betas: list[float]) -> tuple[int, float, float]:
    """A schedule's steps, first and last variance."""
    even = np.linspace(betas[0], betas[-1], len(betas))
    if not np.allclose(betas, even, rtol=1e-5, atol=0):
        raise InputError(
            f"its noise schedule of {len(betas)} steps is not evenly spaced from {betas[0]:g} to {betas[-1]:g}; "
            "only such schedules are supported"
        )
    return len(betas), betas[0], betas[-1]


def _check_structure(config: DiffWaveConfig, structure: dict[str, Any], path: Path, where: str) -> None:
    for name, value in structure.items():
        if getattr(config, name) != value:
            raise InputError(
                f"{name} of '{path}' is {value!r} by its weights, and {getattr(config, name)!r} in {where}"
            )


def _check_shapes(tensors: dict[str, Tensor], wanted: dict[str, Tensor], path: Path) -> None:
    for name, value in wanted.items():
        if name not in tensors:
            raise InputError(f"'{path}' lacks the weight '{name}' of shape {tuple(value.shape)}")
        if tensors[name].shape != value.shape:
            raise InputError(
                f"the weight '{name}' of '{path}' has shape {tuple(tensors[name].shape)}; "
                f"it must be {tuple(value.shape)}"
            )
    for name in tensors:
        if name not in wanted:
            raise InputError(f"'{path}' holds the weight '{name}', which a model of its sizes does not have")


def _check_table(state: dict[str, Tensor], embedding: StepEmbedding, path: Path) -> None:
    """Compare a table of steps that the file holds with ours."""
    table = state.get(TABLE)
    if table is None:
        return
    ours = embedding.sinusoids(torch.arange(embedding.steps).float())
    if table.shape != ours.shape:
        raise InputError(
            f"the table of steps in '{path}' has shape {tuple(table.shape)}; it must be {tuple(ours.shape)}"
        )
    # The faster half turns by 10^4 radians a step, where float32 holds little of the angle.
    slow = torch.arange(ours.shape[1]) % (ours.shape[1] // 2) < ours.shape[1] // 4
    worst = float((table - ours)[:, slow].abs().max())
    if worst > 0.01:
        raise InputError(f"the table of steps in '{path}' differs by {worst:.2g} from lmnt's; this is another model")
