"""What must be so of every model that a method saves: a folder that lacks something is refused in one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rostra.engine.checkpoints import load_checkpoint, save_checkpoint
from rostra.engine.errors import InputError
from rostra.methods import bustle, dac_mdp, sensei, vcnet
from rostra.methods.bustle.scorer import ValueScorer
from rostra.methods.dac_mdp.data import cartpole_log
from rostra.methods.dac_mdp.encoders import EncoderConfig, TrainedEncoder, train_dqn
from rostra.methods.diffwave.checkpoints import SavedModel, load_model, save_model
from rostra.methods.diffwave.classifier import ClassifierConfig, SoundClassifier, train_classifier
from rostra.methods.diffwave.model import DiffWaveConfig, new_network
from rostra.methods.diffwave.sounds import synthetic_sounds
from rostra.methods.diffwave.training import DiffWaveTrainer, TrainConfig
from rostra.methods.diffwave.wavegan import WaveGAN, WaveGANConfig, train_wavegan
from rostra.methods.diffwave.wavenet import WaveNet, WaveNetConfig, train_wavenet

NETWORK = DiffWaveConfig(residual_layers=2, residual_channels=4, condition="none", sample_rate=8000, clip_samples=512)
SOUNDS = np.stack(synthetic_sounds(6, classes=2, length=512).audio)


def vcnet_model(folder):
    generator = np.random.default_rng(0)
    X, t = generator.normal(size=(60, 2)), generator.uniform(size=60)
    vcnet.VCNetRegressor(epochs=2, t_range=(0.0, 1.0)).fit(X, X[:, 0] + t, treatment=t).save(folder)
    return lambda: vcnet.VCNetRegressor.load(folder)


def sensei_model(folder):
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"a": generator.normal(size=60), "sex": np.where(np.arange(60) % 2, "f", "m")})
    model = sensei.SenSeIClassifier(sensitive="sex", iterations=2, batch_size=20)
    model.fit(table, (table["a"] > 0).astype(int)).save(folder)
    return lambda: sensei.SenSeIClassifier.load(folder)


def bustle_model(folder):
    shutil.copytree(Path(bustle.__file__).parent / "default_model", folder)
    return lambda: ValueScorer.load(folder)


def dac_mdp_model(folder):
    dac_mdp.DACMDP(k=5).fit(cartpole_log("random", 60, seed=0)).save(folder)
    return lambda: dac_mdp.DACMDP.load(folder)


def dac_mdp_encoder(folder):
    train_dqn(cartpole_log("random", 60, seed=0), EncoderConfig(steps=2)).save(folder)
    return lambda: TrainedEncoder.load(folder)


def diffwave_model(folder):
    save_model(folder, SavedModel(new_network(NETWORK, 0)))
    return lambda: load_model(folder)


def diffwave_training(folder):
    clips = synthetic_sounds(4, classes=2, length=512)
    DiffWaveTrainer(NETWORK, TrainConfig(batch_size=2), clips, "cpu").train(1).save(folder.parent)
    assert folder.name == "training"
    return lambda: DiffWaveTrainer.resume(folder.parent, clips, "cpu")


def diffwave_wavegan(folder):
    train_wavegan(SOUNDS, WaveGANConfig(channels=2, batch_size=2), steps=1, device="cpu").save(folder)
    return lambda: WaveGAN.load(folder)


def diffwave_wavenet(folder):
    train_wavenet(SOUNDS, WaveNetConfig(layers=2, channels=4), steps=1, device="cpu").save(folder)
    return lambda: WaveNet.load(folder)


def diffwave_classifier(folder):
    config = ClassifierConfig(length=512, n_classes=2, channels=4, epochs=1)
    train_classifier(SOUNDS, np.arange(6) % 2, config).save(folder)
    return lambda: SoundClassifier.load(folder)


MODELS = [
    vcnet_model,
    sensei_model,
    bustle_model,
    dac_mdp_model,
    dac_mdp_encoder,
    diffwave_model,
    diffwave_training,
    diffwave_wavegan,
    diffwave_wavenet,
    diffwave_classifier,
]


@pytest.fixture(params=MODELS, ids=lambda make: make.__name__)
def saved(request, tmp_path):
    """The folder of a saved model, and how it is loaded."""
    folder = tmp_path / "training"
    return folder, request.param(folder)


def complaint(load):
    """What is wrong with the folder, as a user is told; "" if it can be loaded."""
    try:
        load()
    except InputError as error:
        return str(error)
    return ""


def test_what_a_folder_lacks_is_said_in_one_line(saved):
    """Each part of the document in turn, and each of the tensors; what is there for people alone may be missing."""
    folder, load = saved
    load()
    document = folder / "rostra.json"
    whole = document.read_text()
    parts = list(json.loads(whole)["content"])
    assert parts
    accepted = []
    for part in parts:
        changed = json.loads(whole)
        del changed["content"][part]
        document.write_text(json.dumps(changed))
        told = complaint(load)
        assert "\n" not in told
        if not told:
            accepted.append(part)
        elif str(folder) not in told:
            pytest.fail(f"without {part}: {told}")
    assert set(accepted) <= {"recipe", "history", "notes", "encoder_content"}
    document.write_text(whole)
    load()


def test_tensors_of_another_model_are_refused_in_one_line(saved):
    folder, load = saved
    tensors, content = load_checkpoint(folder, json.loads((folder / "rostra.json").read_text())["kind"])
    name = max(tensors, key=lambda name: tensors[name].numel())
    del tensors[name]
    save_checkpoint(folder, json.loads((folder / "rostra.json").read_text())["kind"], tensors, content)
    told = complaint(load)
    assert str(folder) in told
    assert "\n" not in told
