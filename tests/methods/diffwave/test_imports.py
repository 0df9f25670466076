"""Public checkpoints: files of their layouts, and networks of those layouts written out in plain functions."""

import collections
import math
import pickle
import sys
import types
import warnings
import zipfile

import numpy as np
import pytest
import torch
from torch.nn import functional

from rostra.engine.errors import InputError
from rostra.methods.diffwave.audio import write_audio
from rostra.methods.diffwave.checkpoints import load_model, save_model
from rostra.methods.diffwave.imports import import_checkpoint
from rostra.methods.diffwave.model import PRESETS, SIZES, DiffWave, DiffWaveConfig

LAYERS, CHANNELS, CYCLE, BANDS, STEPS = 5, 6, 3, 80, 20
BETAS = np.linspace(1e-4, 0.05, STEPS).tolist()
FEW = (1e-3, 1e-2, 0.05, 0.2)
SMALL = {
    "residual_layers": LAYERS,
    "residual_channels": CHANNELS,
    "dilation_cycle_length": CYCLE,
    "noise_schedule": (STEPS, 1e-4, 0.05),
    "inference_noise_schedule": FEW,
}
PARAMETERS = {
    "batch_size": 16,
    "max_grad_norm": None,
    "sample_rate": 16000,
    "n_mels": BANDS,
    "n_fft": 1024,
    "hop_samples": 256,
    "crop_mel_frames": 20,
    "residual_layers": LAYERS,
    "residual_channels": CHANNELS,
    "dilation_cycle_length": CYCLE,
    "noise_schedule": BETAS,
    "inference_noise_schedule": list(FEW),
}


# Weights in each layout, and what each layout computes


def random_weights(shapes, seed=0):
    """Of a size that saturates no gate, so that the output depends on every one of them."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        scale = 0.3 if name.endswith("bias") else 1.5 / math.prod(shape[1:]) ** 0.5
        weights[name] = 1.0 + values.abs() if name.endswith(("weight_g", "original0")) else scale * values
    return weights


def official_weights(mel, *, new_names=False, layers=LAYERS, c=CHANNELS):
    """philsyn's names; every convolution but the last weight-normalised."""
    g, v = ("parametrizations.weight.original0", "parametrizations.weight.original1")
    g, v = (g, v) if new_names else ("weight_g", "weight_v")
    shapes = {}

    def normed(name, shape, outputs):
        shapes[f"{name}.bias"] = (outputs,)
        shapes[f"{name}.{g}"] = (shape[0], *[1] * (len(shape) - 1))
        shapes[f"{name}.{v}"] = shape

    def linear(name, outputs, inputs):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs), (outputs,)

    normed("init_conv.0.conv", (c, 1, 1), c)
    linear("residual_layer.fc_t1", 512, 128)
    linear("residual_layer.fc_t2", 512, 512)
    for i in range(layers):
        block = f"residual_layer.residual_blocks.{i}"
        linear(f"{block}.fc_t", c, 512)
        normed(f"{block}.dilated_conv_layer.conv", (2 * c, c, 3), 2 * c)
        if mel:
            normed(f"{block}.upsample_conv2d.0", (1, 1, 3, 32), 1)
            normed(f"{block}.upsample_conv2d.1", (1, 1, 3, 32), 1)
            normed(f"{block}.mel_conv.conv", (2 * c, BANDS, 1), 2 * c)
        normed(f"{block}.res_conv", (c, c, 1), c)
        normed(f"{block}.skip_conv", (c, c, 1), c)
    normed("final_conv.0.conv", (c, c, 1), c)
    shapes["final_conv.2.conv.weight"], shapes["final_conv.2.conv.bias"] = (1, c, 1), (1,)
    return random_weights(shapes)


def official_forward(weights, audio, step, mel, layers=LAYERS):
    """The residual stream is changed in place by the step's vector; tanh of the first half."""

    def weight(name):
        if f"{name}.weight" in weights:
            return weights[f"{name}.weight"]
        g, v = weights[f"{name}.weight_g"], weights[f"{name}.weight_v"]
        return g * v / v.reshape(len(v), -1).norm(dim=1).reshape(g.shape)

    def conv(name, x, d=0):
        return functional.conv1d(x, weight(name), weights[f"{name}.bias"], padding=d, dilation=max(d, 1))

    def linear(name, x):
        return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    frequencies = torch.tensor([math.exp(-math.log(10000) / 63 * j) for j in range(64)])
    angles = step[:, None] * frequencies
    e = torch.cat([angles.sin(), angles.cos()], dim=1)
    for name in ("fc_t1", "fc_t2"):
        e = linear(f"residual_layer.{name}", e)
        e = e * e.sigmoid()
    x, skip = conv("init_conv.0.conv", audio[:, None]).relu(), 0
    for i in range(layers):
        block = f"residual_layer.residual_blocks.{i}"
        x += linear(f"{block}.fc_t", e)[:, :, None]
        h = conv(f"{block}.dilated_conv_layer.conv", x, 2 ** (i % CYCLE))
        if mel is not None:
            up = mel[:, None]
            for j in range(2):
                name = f"{block}.upsample_conv2d.{j}"
                up = functional.conv_transpose2d(
                    up, weight(name), weights[f"{name}.bias"], stride=(1, 16), padding=(1, 8)
                )
                up = torch.where(up > 0, up, 0.4 * up)
            h = h + conv(f"{block}.mel_conv.conv", up[:, 0, :, : audio.shape[1]])
        z = torch.tanh(h[:, :CHANNELS]) * torch.sigmoid(h[:, CHANNELS:])
        x, skip = (x + conv(f"{block}.res_conv", z)) * math.sqrt(0.5), skip + conv(f"{block}.skip_conv", z)
    head = conv("final_conv.0.conv", skip * math.sqrt(1 / layers)).relu()
    return conv("final_conv.2.conv", head)[:, 0]


def lmnt_weights(mel, *, layers=LAYERS, c=CHANNELS):
    """lmnt's names; one convolution for residual and skip."""
    shapes = {}

    def layer(name, *shape, outputs=None):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, (outputs or shape[0],)

    layer("input_projection", c, 1, 1)
    layer("diffusion_embedding.projection1", 512, 128)
    layer("diffusion_embedding.projection2", 512, 512)
    if mel:
        layer("spectrogram_upsampler.conv1", 1, 1, 3, 32)
        layer("spectrogram_upsampler.conv2", 1, 1, 3, 32)
    for i in range(layers):
        layer(f"residual_layers.{i}.dilated_conv", 2 * c, c, 3)
        layer(f"residual_layers.{i}.diffusion_projection", c, 512)
        if mel:
            layer(f"residual_layers.{i}.conditioner_projection", 2 * c, BANDS, 1)
        layer(f"residual_layers.{i}.output_projection", 2 * c, c, 1)
    layer("skip_projection", c, c, 1)
    layer("output_projection", 1, c, 1)
    return random_weights(shapes)


def lmnt_table(steps=STEPS):
    angles = torch.arange(steps)[:, None] * 10.0 ** (torch.arange(64)[None] * 4.0 / 63.0)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def lmnt_forward(weights, audio, step, mel, layers=LAYERS):
    """Rows of the table, linear in between; sigmoid of the first half; the stream keeps no step vector."""

    def conv(name, x, d=0):
        return functional.conv1d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=d, dilation=max(d, 1))

    def linear(name, x):
        return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    table = lmnt_table()
    low, high = table[step.floor().long()], table[step.ceil().long()]
    e = low + (high - low) * (step - step.floor())[:, None]
    for name in ("projection1", "projection2"):
        e = linear(f"diffusion_embedding.{name}", e)
        e = e * e.sigmoid()
    up = None
    if mel is not None:
        up = mel[:, None]
        for name in ("spectrogram_upsampler.conv1", "spectrogram_upsampler.conv2"):
            up = functional.conv_transpose2d(
                up, weights[f"{name}.weight"], weights[f"{name}.bias"], stride=(1, 16), padding=(1, 8)
            )
            up = torch.where(up > 0, up, 0.4 * up)
        up = up[:, 0]
    x, skip = conv("input_projection", audio[:, None]).relu(), 0
    for i in range(layers):
        block = f"residual_layers.{i}"
        y = conv(f"{block}.dilated_conv", x + linear(f"{block}.diffusion_projection", e)[:, :, None], 2 ** (i % CYCLE))
        if up is not None:
            y = y + conv(f"{block}.conditioner_projection", up)
        z = torch.sigmoid(y[:, :CHANNELS]) * torch.tanh(y[:, CHANNELS:])
        out = conv(f"{block}.output_projection", z)
        x, skip = (x + out[:, :CHANNELS]) / math.sqrt(2), skip + out[:, CHANNELS:]
    return conv("output_projection", conv("skip_projection", skip / math.sqrt(layers)).relu())[:, 0]


def official_file(path, weights, prefix=""):
    state = {f"{prefix}{name}": value for name, value in weights.items()}
    torch.save({"model_state_dict": state, "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": 2e-4}]}}, path)
    return path


def lmnt_file(path, weights, parameters=PARAMETERS, prefix="", **more):
    state = {f"{prefix}{name}": value for name, value in weights.items()}
    content = {"step": 1234, "model": state, "optimizer": {"state": {}, "param_groups": []}, "scaler": {}}
    torch.save(content | {"params": parameters} | more, path)
    return path


def inputs(mel, seed=0):
    generator = torch.Generator().manual_seed(seed)
    frames = 3
    audio = torch.randn(2, 256 * frames, generator=generator)
    return audio, torch.tensor([3.0, 11.0]), torch.randn(2, BANDS, frames, generator=generator) if mel else None


def official_config(mel):
    return DiffWaveConfig(**SMALL, condition="mel" if mel else "none")


# Equality of what is read


def test_reading_draws_no_random_numbers(tmp_path):
    path = lmnt_file(tmp_path / "weights.pt", lmnt_weights(True))
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    import_checkpoint(path)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("mel", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_official_file_computes_what_the_official_network_does(tmp_path, mel, prefix):
    weights = official_weights(mel)
    model = import_checkpoint(official_file(tmp_path / "7.pkl", weights, prefix), config=official_config(mel))
    audio, step, spectrogram = inputs(mel)
    for at in (step, step + 0.375):
        expected = official_forward(weights, audio.clone(), at, spectrogram)
        assert expected.std() > 0.1
        torch.testing.assert_close(model.network(audio, at, spectrogram), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mel", [True, False])
@pytest.mark.parametrize("fraction", [0.0, 0.375])
def test_lmnt_file_computes_what_the_lmnt_network_does(tmp_path, mel, fraction):
    weights = lmnt_weights(mel)
    model = import_checkpoint(lmnt_file(tmp_path / "weights.pt", weights))
    audio, step, spectrogram = inputs(mel)
    expected = lmnt_forward(weights, audio, step + fraction, spectrogram)
    assert expected.std() > 0.1
    torch.testing.assert_close(model.network(audio, step + fraction, spectrogram), expected, rtol=1e-5, atol=1e-5)


def test_new_names_of_weight_normalisation_are_the_old_ones(tmp_path):
    old = import_checkpoint(official_file(tmp_path / "old.pkl", official_weights(True)), config=official_config(True))
    new = official_weights(True, new_names=True)
    model = import_checkpoint(official_file(tmp_path / "new.pkl", new), config=official_config(True))
    for name, value in old.network.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], value), name


def test_weights_without_weight_normalisation_are_read_too(tmp_path):
    """Official weights that were folded for inference."""
    weights = official_weights(True)
    folded = {}
    for name, value in weights.items():
        if name.endswith("weight_v"):
            g = weights[name.replace("weight_v", "weight_g")]
            value = g * value / value.reshape(len(value), -1).norm(dim=1).reshape(g.shape)
        if not name.endswith("weight_g"):
            folded[name.replace("weight_v", "weight")] = value
    config = DiffWaveConfig(**SMALL, weight_norm=False)
    model = import_checkpoint(official_file(tmp_path / "folded.pkl", folded), config=config)
    audio, step, mel = inputs(True)
    expected = official_forward(weights, audio.clone(), step, mel)
    torch.testing.assert_close(model.network(audio, step, mel), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", ["official", "lmnt"])
def test_bare_weights_are_read_like_wrapped_ones(tmp_path, layout):
    weights = official_weights(True) if layout == "official" else lmnt_weights(True)
    config = official_config(True)
    if layout == "lmnt":
        config = DiffWaveConfig(**PRESETS["lmnt"] | SMALL)
    torch.save(weights, tmp_path / "bare.pt")
    wrapped = (official_file if layout == "official" else lmnt_file)(tmp_path / "wrapped.pt", weights)
    bare = import_checkpoint(tmp_path / "bare.pt", config=config).network
    assert bare.config == config
    for (name, a), b in zip(
        bare.state_dict().items(), import_checkpoint(wrapped, config=config).network.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name


def test_half_precision_and_double_weights_become_float32(tmp_path):
    weights = lmnt_weights(True)
    path = lmnt_file(tmp_path / "w.pt", {name: value.double() for name, value in weights.items()})
    model = import_checkpoint(path)
    assert {value.dtype for value in model.network.state_dict().values()} == {torch.float32}
    audio, step, mel = inputs(True)
    expected = lmnt_forward(weights, audio, step, mel)
    torch.testing.assert_close(model.network(audio, step, mel), expected, rtol=1e-5, atol=1e-5)


def test_what_was_read_survives_our_own_saving(tmp_path):
    model = import_checkpoint(lmnt_file(tmp_path / "weights.pt", lmnt_weights(True)))
    save_model(tmp_path / "model", model)
    back = load_model(tmp_path / "model")
    assert back.network.config == model.network.config
    assert back.history == model.history == {"imported": "weights.pt", "layout": "lmnt", "steps": 1234}
    audio, step, mel = inputs(True)
    assert torch.equal(back.network(audio, step, mel), model.network(audio, step, mel))


# Settings


def test_settings_of_an_lmnt_file_are_its_parameters(tmp_path):
    config = import_checkpoint(lmnt_file(tmp_path / "w.pt", lmnt_weights(True))).network.config
    assert config == DiffWaveConfig(
        **PRESETS["lmnt"] | SMALL | {"sample_rate": 16000, "f_max": 8000.0, "clip_samples": 20 * 256}
    )
    assert np.allclose(config.schedule.betas, BETAS, rtol=1e-12)


def test_the_hop_is_that_of_the_upsampler(tmp_path):
    """Strides are half the kernels'; lmnt's window is four hops."""
    weights = lmnt_weights(True) | {"spectrogram_upsampler.conv1.weight": torch.ones(1, 1, 3, 16)}
    config = import_checkpoint(lmnt_file(tmp_path / "w.pt", weights, PARAMETERS | {"hop_samples": 128})).network.config
    assert (config.hop_samples, config.win_length, config.clip_samples) == (128, 512, 20 * 128)
    with pytest.raises(InputError, match=r"hop_samples .* 128 by its weights, and 256 in its parameters"):
        import_checkpoint(lmnt_file(tmp_path / "w.pt", weights))


def test_settings_of_an_unconditional_lmnt_file(tmp_path):
    parameters = PARAMETERS | {"unconditional": True, "audio_len": 5 * 16000}
    model = import_checkpoint(lmnt_file(tmp_path / "w.pt", lmnt_weights(False), parameters))
    config = model.network.config
    assert (config.condition, config.clip_samples, config.sample_rate) == ("none", 80000, 16000)


@pytest.mark.parametrize(
    ("layers", "channels", "mel", "size"),
    [(30, 64, True, "base"), (30, 128, True, "large"), (36, 256, False, "sc09")],
)
def test_public_official_sizes_bring_their_settings(tmp_path, layers, channels, mel, size):
    """Zeros of the public models' shapes: what the weights do not say is what the paper says."""
    weights = {
        name: torch.zeros(1).expand(value.shape)
        for name, value in official_weights(mel, layers=layers, c=channels).items()
    }
    config = import_checkpoint(official_file(tmp_path / "1000000.pkl", weights)).network.config
    assert config == DiffWaveConfig(**SIZES[size])


def test_bare_lmnt_weights_of_the_public_size_bring_its_settings(tmp_path):
    torch.save(lmnt_weights(True, layers=30, c=64), tmp_path / "w.pt")
    assert import_checkpoint(tmp_path / "w.pt").network.config == DiffWaveConfig(**PRESETS["lmnt"])


def test_unknown_sizes_need_a_config(tmp_path):
    path = official_file(tmp_path / "7.pkl", official_weights(True))
    with pytest.raises(InputError, match=r"7\.pkl.*5 layers of 6 channels.*give a config"):
        import_checkpoint(path)
    without = {name: value for name, value in PARAMETERS.items() if name != "noise_schedule"}
    with pytest.raises(InputError, match=r"noise schedule.*give a config"):
        import_checkpoint(lmnt_file(tmp_path / "w.pt", lmnt_weights(True), without))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"residual_layers": 6}, r"residual_layers .* 5 by its weights, and 6 in config"),
        ({"residual_channels": 8}, r"residual_channels .* 6 by its weights, and 8 in config"),
        ({"condition": "none"}, r"condition .* 'mel' by its weights, and 'none' in config"),
        ({"hop_samples": 64}, r"hop_samples .* 256 by its weights, and 64 in config"),
        ({"embedding": "table"}, r"embedding .* 'smooth' by its weights, and 'table' in config"),
        ({"residual_base": "h"}, r"residual_base .* 'u' by its weights, and 'h' in config"),
        ({"weight_norm": False}, r"weight_norm .* True by its weights, and False in config"),
    ],
)
def test_a_config_that_does_not_fit_the_weights_is_refused(tmp_path, changes, message):
    path = official_file(tmp_path / "7.pkl", official_weights(True))
    with pytest.raises(InputError, match=message):
        import_checkpoint(path, config=DiffWaveConfig(**SMALL | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"residual_channels": 8}, "residual_channels .* 6 by its weights, and 8 in its parameters"),
        ({"noise_schedule": [1e-4, 1e-3, 0.05]}, "3 steps is not evenly spaced from 0.0001 to 0.05"),
        ({"noise_schedule": "linear"}, "its noise_schedule is a str; it must be a list of numbers"),
        ({"inference_noise_schedule": [1e-4, 0.9]}, "step 1 of the inference schedule reaches alpha-bar 0.09999"),
        ({"dilation_cycle_length": 0}, "dilation_cycle_length is 0; it must be a whole number"),
        ({"sample_rate": 30}, "f_max=15"),
    ],
)
def test_parameters_that_make_no_model_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        import_checkpoint(lmnt_file(tmp_path / "w.pt", lmnt_weights(True), PARAMETERS | changes))


def test_early_lmnt_files_hold_parameters_of_their_own_dict_class(tmp_path, monkeypatch):
    """That class is not imported, nor needed: the package diffwave is not there when the file is read."""
    package, module = types.ModuleType("diffwave"), types.ModuleType("diffwave.params")

    class AttrDict(dict):
        def __init__(self, *args):
            super().__init__(*args)
            self.__dict__ = self

    AttrDict.__module__, AttrDict.__qualname__ = "diffwave.params", "AttrDict"
    module.AttrDict = AttrDict
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "diffwave", package)
        patch.setitem(sys.modules, "diffwave.params", module)
        lmnt_file(tmp_path / "old.pt", lmnt_weights(True), AttrDict(PARAMETERS))
    lmnt_file(tmp_path / "new.pt", lmnt_weights(True))
    old, new = (import_checkpoint(tmp_path / name).network.config for name in ("old.pt", "new.pt"))
    assert old == new


def test_the_table_of_steps_in_older_lmnt_files_is_checked(tmp_path):
    weights = lmnt_weights(True)
    import_checkpoint(lmnt_file(tmp_path / "w.pt", weights | {"diffusion_embedding.embedding": lmnt_table()}))
    short = lmnt_file(tmp_path / "short.pt", weights | {"diffusion_embedding.embedding": lmnt_table(19)})
    with pytest.raises(InputError, match="19 rows and its noise schedule 20 steps"):
        import_checkpoint(short)
    other = lmnt_file(tmp_path / "other.pt", weights | {"diffusion_embedding.embedding": lmnt_table() + 0.02})
    with pytest.raises(InputError, match=r"differs by 0\.02 from lmnt's"):
        import_checkpoint(other)


# Files that are refused


class Payload:
    """Writes a file when a pickle of it is executed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("config", [None, official_config(True)])
def test_code_in_a_file_is_not_executed(tmp_path, legacy, config):
    trap = tmp_path / "executed"
    content = {"model_state_dict": official_weights(True), "optimizer_state_dict": Payload(trap)}
    path = tmp_path / "trap.pkl"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        InputError, match=r"trap\.pkl' is not a file of plain tensors.*asks for (_?io|builtins)?\.?open"
    ):
        import_checkpoint(path, config=config)
    assert not trap.exists()
    with path.open("rb"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.load(path, weights_only=False)["optimizer_state_dict"].close()  # the trap itself works
    assert trap.exists()


def write_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no weights")


def write_truncated(path):
    official_file(path, official_weights(True))
    path.write_bytes(path.read_bytes()[:-2000])


def write_script(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))


FILES = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not a checkpoint"),
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(500)),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"model_state_dict": collections.deque()})),
    "zip": write_zip,
    "truncated": write_truncated,
    "script": write_script,
    "folder": lambda path: path.mkdir(),
    "missing": lambda path: None,
    "list": lambda path: torch.save([torch.zeros(2)], path),
    "nothing": lambda path: torch.save({"model_state_dict": {}}, path),
    "optimiser": lambda path: torch.save({"optimizer_state_dict": {}}, path),
    "integers": lambda path: torch.save({"input_projection.weight": torch.arange(3)}, path),
    "other model": lambda path: torch.save(torch.nn.Linear(2, 2).state_dict(), path),
    "numbered": lambda path: torch.save({0: torch.zeros(2)}, path),
}


@pytest.mark.parametrize("kind", FILES)
def test_other_files_are_refused_in_one_line(tmp_path, kind):
    path = tmp_path / "file.pt"
    FILES[kind](path)
    with pytest.raises(InputError, match=r"file\.pt'") as caught:
        import_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_sound_is_no_checkpoint(tmp_path):
    write_audio(tmp_path / "x.wav", np.ones(4096), 8000)
    with pytest.raises(
        InputError, match=r"x\.wav' is no file of torch\.save, or damaged; give an official \.pkl or lmnt"
    ):
        import_checkpoint(str(tmp_path / "x.wav"))


def test_files_of_torch_before_1_6_are_read(tmp_path):
    path = tmp_path / "old.pkl"
    torch.save({"model_state_dict": official_weights(True)}, path, _use_new_zipfile_serialization=False)
    model = import_checkpoint(path, config=official_config(True))
    assert isinstance(model.network, DiffWave)


def test_a_layout_that_is_not_the_files_is_refused(tmp_path):
    path = lmnt_file(tmp_path / "w.pt", lmnt_weights(True))
    assert import_checkpoint(path, layout="lmnt").network.config.embedding == "table"
    with pytest.raises(InputError, match="has the layout lmnt, not official"):
        import_checkpoint(path, layout="official")
    with pytest.raises(InputError, match="layout is 'jax'; it must be auto, official or lmnt"):
        import_checkpoint(path, layout="jax")


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (
            "residual_layer.fc_t1.weight",
            (512, 64),
            r"'embedding\.projection1\.weight' .* has shape \(512, 64\); it must be \(512, 128\)",
        ),
        (
            "residual_layer.residual_blocks.3.dilated_conv_layer.conv.weight_v",
            (12, 6, 2),
            r"'layers\.3\.dilated\..*' .* has shape \(12, 6, 2\); it must be \(12, 6, 3\)",
        ),
        (
            "residual_layer.residual_blocks.0.skip_conv.bias",
            (4,),
            r"'layers\.0\.skip\.bias' .* has shape \(4,\); it must be \(6,\)",
        ),
        ("residual_layer.residual_blocks.0.mel_conv.conv.weight_v", (12, 40, 1), "n_mels .* 40 by its weights, and 80"),
        ("init_conv.0.conv.bias", (6, 1), r"'input\.bias' .* of shape \(6, 1\); it must have 1 axes"),
    ],
)
def test_shapes_that_do_not_fit_are_named(tmp_path, name, shape, message):
    weights = official_weights(True) | {name: torch.zeros(shape)}
    with pytest.raises(InputError, match=message):
        import_checkpoint(official_file(tmp_path / "7.pkl", weights), config=official_config(True))


def test_weights_that_are_missing_too_many_or_broken_are_named(tmp_path):
    weights = official_weights(True)
    lacking = {name: value for name, value in weights.items() if name != "final_conv.0.conv.weight_g"}
    more = weights | {"residual_layer.residual_blocks.0.norm.weight": torch.zeros(6)}
    ahead = weights | {"residual_layer.residual_blocks.70.fc_t.bias": torch.zeros(6)}
    broken = weights | {"final_conv.2.conv.bias": torch.tensor([float("nan")])}
    for state, message in {
        "lacks the weight 'skip.parametrizations.weight.original0' of shape": lacking,
        "'residual_layer.residual_blocks.0.norm.weight' .* is not a weight of the official layout": more,
        "residual_layers .* 6 by its weights, and 5": ahead,
        "'final_conv.2.conv.bias' .* holds NaN": broken,
    }.items():
        with pytest.raises(InputError, match=state):
            import_checkpoint(official_file(tmp_path / "7.pkl", message), config=official_config(True))
