"""Models as folders: what is written comes back, and what is not a model is refused in one line."""

import dataclasses
import json

import pytest
import torch

from rostra.engine.checkpoints import save_checkpoint
from rostra.engine.errors import InputError
from rostra.methods.diffwave.checkpoints import (
    KIND,
    SavedModel,
    config_from,
    load_model,
    read_config,
    save_model,
    summary_of,
)
from rostra.methods.diffwave.model import PRESETS, SIZES, DiffWave, DiffWaveConfig

SMALL = {"residual_layers": 3, "residual_channels": 6, "dilation_cycle_length": 2}
CONFIGS = {
    "official": DiffWaveConfig(**SMALL),
    "lmnt": DiffWaveConfig(**PRESETS["lmnt"] | SMALL),
    "label": DiffWaveConfig(**SIZES["sc09-label"] | SMALL, level="rms"),
    "none": DiffWaveConfig(**SIZES["sc09"] | SMALL),
}


def model_of(config=CONFIGS["none"], **more):
    network = DiffWave(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 3)
    return SavedModel(network, **more)


def forward(network):
    generator = torch.Generator().manual_seed(1)
    config = network.config
    audio = torch.randn(2, 512, generator=generator)
    mel = torch.randn(2, 80, 2, generator=generator) if config.condition == "mel" else None
    label = torch.tensor([3, 0]) if config.condition == "label" else None
    with torch.no_grad():
        return network(audio, torch.tensor([1.0, 17.25]), mel, label)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_model_comes_back_as_it_was(tmp_path, config):
    names = tuple("0123456789")  # a model without labels keeps those of its clips
    model = model_of(config, label_names=names, history={"steps": 7, "data": {"name": "x", "of": [1, 2]}})
    save_model(tmp_path / "m", model)
    back = load_model(tmp_path / "m")
    assert back.network.config == config
    assert (back.label_names, back.history) == (model.label_names, model.history)
    assert not back.network.training
    assert torch.equal(forward(back.network), forward(model.network))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_half_the_bytes_are_nearly_the_model(tmp_path, config):
    model = model_of(config)
    sizes = []
    for half in (False, True):
        save_model(tmp_path / "m", model, half=half)
        sizes.append(sum(path.stat().st_size for path in (tmp_path / "m").glob("*.safetensors")))
    assert sizes[1] < 0.6 * sizes[0]
    back = load_model(tmp_path / "m").network
    for name, value in model.network.state_dict().items():
        assert back.state_dict()[name].dtype == torch.float32
        assert torch.equal(back.state_dict()[name], value.half().float()), name
    exact = forward(model.network)
    assert float((forward(back) - exact).norm() / exact.norm()) < 0.02


def test_a_folder_may_be_a_text(tmp_path):
    folder = str(tmp_path / "m")
    save_model(folder, model_of())
    assert load_model(folder).network.config == CONFIGS["none"]
    (tmp_path / "config.json").write_text("{}")
    assert read_config(str(tmp_path / "config.json")) == DiffWaveConfig()


def test_names_that_do_not_fit_the_classes_are_refused(tmp_path):
    message = "label_names has 3 names for 10 classes; give one each, or none at all"
    with pytest.raises(InputError, match=f"^{message}"):
        model_of(CONFIGS["label"], label_names=("a", "b", "c"))
    save_model(tmp_path / "m", model_of(CONFIGS["label"]))
    path = tmp_path / "m" / "rostra.json"
    document = json.loads(path.read_text())
    document["content"]["label_names"] = ["a", "b", "c"]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=f"^'.*m' is damaged: {message}"):
        load_model(tmp_path / "m")


def test_an_older_model_in_the_folder_is_replaced(tmp_path):
    for config in (CONFIGS["none"], CONFIGS["label"]):
        save_model(tmp_path / "m", model_of(config))
    assert load_model(tmp_path / "m").network.config.condition == "label"
    assert len(list((tmp_path / "m").iterdir())) == 2


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist; expected a folder saved by Rostra"):
        load_model(tmp_path / "none")
    with pytest.raises(InputError, match=r"holds no rostra\.json"):
        load_model(tmp_path)
    save_checkpoint(tmp_path / "other", "vcnet", {"a": torch.zeros(1)}, {})
    with pytest.raises(InputError, match=f"holds a 'vcnet' model; expected one of '{KIND}'"):
        load_model(tmp_path / "other")


def test_a_folder_with_other_files_is_not_written_to(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        save_model(tmp_path, model_of())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def cut(folder):
    [path] = folder.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])


def flip(folder):
    [path] = folder.glob("*.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def remove(folder):
    [path] = folder.glob("*.safetensors")
    path.unlink()


def halve(folder):
    text = (folder / "rostra.json").read_text()
    (folder / "rostra.json").write_text(text[: len(text) // 2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [(cut, "truncated or damaged"), (flip, "truncated or damaged"), (remove, "lacks its file"), (halve, "is damaged")],
)
def test_damage_is_noticed(tmp_path, damage, message):
    save_model(tmp_path / "m", model_of())
    damage(tmp_path / "m")
    with pytest.raises(InputError, match=message):
        load_model(tmp_path / "m")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stride": 2}, r"is of another version \(.*'stride'\); train it again"),
        ({"embedding": "learned"}, "embedding is 'learned'; it must be one of smooth, table"),
        ({"residual_layers": 4}, r"is damaged or of another version .*layers\.3"),
        ({"residual_channels": 7}, "is damaged or of another version"),
        ({"weight_norm": False}, "is damaged or of another version"),
        ({"noise_schedule": [1, 0.1, 0.2]}, "at least 2 steps"),
        ({"noise_schedule": [50, 1e-4]}, r"is of another version \(not enough values.*; train it again"),
        ({"condition": "mel", "f_min": "low"}, r"is of another version \(could not convert.*; train it again"),
    ],
)
def test_another_version_of_the_configuration_is_refused_in_one_line(tmp_path, changes, message):
    save_model(tmp_path / "m", model_of())
    path = tmp_path / "m" / "rostra.json"
    document = json.loads(path.read_text())
    document["content"]["config"] |= changes
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=message) as caught:
        load_model(tmp_path / "m")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_configuration_survives_json(config):
    assert config_from(json.loads(json.dumps(dataclasses.asdict(config))), "x") == config


def test_reading_a_model_draws_no_random_numbers(tmp_path):
    save_model(tmp_path / "m", model_of())
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    load_model(tmp_path / "m")
    assert torch.equal(torch.rand(4), expected)


def test_a_configuration_out_of_a_file_of_settings(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"residual_layers": 3, "noise_schedule": [200, 1e-4, 0.02]}')
    assert read_config(path) == DiffWaveConfig(residual_layers=3, noise_schedule=(200, 1e-4, 0.02))
    for text, message in (
        ("[1]", r"must hold settings by name, such as \{\"residual_layers\": 30\}"),
        ("{", r"config\.json' cannot be read as JSON"),
        ('{"layers": 3}', r"config\.json' is of another version \(.*'layers'.*; give settings of DiffWaveConfig"),
        ('{"noise_schedule": [50, 1e-4]}', r"config\.json' is of another version .*; give settings of DiffWaveConfig"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_config(path)
    with pytest.raises(InputError, match=r"none\.json' cannot be read"):
        read_config(tmp_path / "none.json")


def test_classes_have_names_or_numbers():
    """A name goes before the number that it looks like."""
    config = DiffWaveConfig(**SIZES["sc09-label"] | SMALL)
    unnamed = SavedModel(DiffWave(config))
    assert unnamed.class_names == tuple("0123456789")
    backwards = SavedModel(unnamed.network, tuple("9876543210"))
    words = SavedModel(unnamed.network, tuple(f"word{i}" for i in range(10)))
    assert [model.class_number("3") for model in (unnamed, backwards, words)] == [3, 6, 3]
    assert words.class_number("word7") == 7
    for name in ("10", "-1", "word", "1.0", ""):
        with pytest.raises(InputError, match=f"label '{name}' is none of the model's classes: word0, word1"):
            words.class_number(name)
    many = SavedModel(DiffWave(dataclasses.replace(config, n_classes=30)))
    assert many.listed_classes.endswith("8, 9 ... (30 in all)")


def test_a_summary_tells_the_size():
    network = DiffWave(CONFIGS["none"])
    found = summary_of(network)
    assert (found["condition"], found["sample_rate"], found["diffusion_steps"]) == ("none", 16000, 200)
    assert (found["residual_layers"], found["residual_channels"]) == (3, 6)
    assert found["parameters"] == sum(value.numel() for value in network.state_dict().values())
