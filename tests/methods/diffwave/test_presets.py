"""The network for given recordings: the paper's, where they are the paper's, and one that fits them elsewhere."""

import numpy as np
import pytest

from rostra.engine.errors import InputError
from rostra.methods.diffwave.data import Clips
from rostra.methods.diffwave.features import MelConfig
from rostra.methods.diffwave.model import PRESETS, SIZES, DiffWave, DiffWaveConfig
from rostra.methods.diffwave.presets import asks_for_labels, default_sample_rate, network_config
from rostra.methods.diffwave.pretrained import MODELS


def clips_of(rate, length, labels=None):
    names = None if labels is None else tuple(map(str, range(max(labels) + 1)))
    audio = [np.full(length, 0.1, np.float32)] * (1 if labels is None else len(labels))
    return Clips(
        audio, rate, [f"clip{i}" for i in range(len(audio))], None if labels is None else np.array(labels), names
    )


def test_options_give_the_papers_networks():
    speech, digits = clips_of(22050, 40000), clips_of(16000, 16000, list(range(10)))
    assert network_config(speech) == DiffWaveConfig()
    assert network_config(speech, preset="lmnt") == DiffWaveConfig(**PRESETS["lmnt"])
    assert network_config(speech, size="large") == DiffWaveConfig(**SIZES["large"])
    for size in ("sc09", "sc09-label", "sc09-label-thin"):
        assert network_config(digits, size=size, level="none") == DiffWaveConfig(**SIZES[size])
    assert network_config(digits, size="sc09", condition="label", level="none") == DiffWaveConfig(**SIZES["sc09-label"])


def test_options_follow_the_recordings():
    found = network_config(clips_of(8000, 4000, [0, 1, 2]))
    assert (found.condition, found.n_classes, found.sample_rate) == ("label", 3, 8000)
    assert (found.clip_samples, found.level) == (4000, "peak")  # no longer than the longest
    assert network_config(clips_of(8000, 20000, [0, 1])).clip_samples == 8000
    vocoder = network_config(clips_of(8000, 4000))
    assert vocoder.mel == MelConfig.default("tacotron", 8000)
    assert (vocoder.condition, vocoder.level) == ("mel", None)
    changed = network_config(clips_of(22050, 9), n_fft=2048, n_mels=40, f_max=7000.0)
    assert (changed.n_fft, changed.win_length, changed.hop_samples, changed.n_mels) == (2048, 2048, 512, 40)
    lmnt = network_config(clips_of(8000, 9), preset="lmnt")
    assert lmnt.mel == MelConfig.default("lmnt", 8000)
    assert lmnt.clip_samples == 62 * 128


def test_small_is_the_size_of_the_models_that_ship():
    """The weights that ship, of the digits and of the vocoder, have the shapes of small models."""
    shipped = MODELS["digits"].config
    small = network_config(clips_of(8000, 4096, list(range(10))), size="small")
    assert shapes(small) == shapes(shipped)
    assert (small.clip_samples, small.level) == (shipped.clip_samples, shipped.level)
    assert shapes(network_config(clips_of(22050, 9), size="small")) == shapes(MODELS["speech"].config)


def shapes(config):
    return {name: value.shape for name, value in DiffWave(config).state_dict().items()}


def test_settings_go_before_everything_else():
    clips = clips_of(8000, 4000, [0, 1])
    found = network_config(clips, size="small", condition="none", clip_samples=999, residual_layers=3, loss="l1")
    assert (found.clip_samples, found.residual_layers, found.loss, found.n_classes) == (999, 3, "l1", 0)
    assert network_config(clips, condition="mel", level="rms").level == "rms"
    assert network_config(clips, preset="lmnt", loss="mse", weight_norm=True).weight_norm
    assert network_config(clips, condition="mel", hop_samples=64).hop_samples == 64
    before = dict(PRESETS["lmnt"])
    network_config(clips, preset="lmnt", condition="mel", size="large")
    assert PRESETS["lmnt"] == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "authors"}, "preset is 'authors'; it must be one of official, lmnt"),
        ({"size": "huge"}, "size is 'huge'; it must be one of base, large, .*, small"),
        ({"condition": "none", "f_max": 4000.0}, "f_max is of a vocoder's mel; a model of condition none has none"),
        ({"condition": "label"}, "a model with labels needs n_classes of at least 2, got 0"),
        ({"hop_samples": 127}, "no two factors"),
    ],
)
def test_networks_that_there_are_not(options, message):
    with pytest.raises(InputError, match=message):
        network_config(clips_of(8000, 4000), **options)


def test_one_label_makes_no_classes():
    with pytest.raises(InputError, match="all recordings have the label '0'; labels need two classes"):
        network_config(clips_of(8000, 4000, labels=[0, 0]))


def test_what_a_size_says_of_recordings():
    assert [default_sample_rate(size) for size in (None, "small", "large", "sc09-label")] == [22050] * 3 + [16000]
    assert [asks_for_labels(None, size) for size in (None, "small", "sc09", "sc09-label")] == [False] * 3 + [True]
    assert asks_for_labels("label", None)
    assert not asks_for_labels("none", "sc09-label-thin")
