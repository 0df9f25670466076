import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from rostra.engine.errors import InputError
from rostra.methods.diffwave import classifier as module
from rostra.methods.diffwave.audio import read_audio
from rostra.methods.diffwave.classifier import ClassifierConfig, SoundClassifier, train_classifier
from rostra.methods.diffwave.metrics import class_accuracy, inception_score, ndb

CONFIG = ClassifierConfig(length=1024, n_classes=3, channels=4, epochs=20, batch_size=16, lr=1e-2)


def sounds(n=96, seed=0, length=1024):
    """Decaying harmonics of three pitches, at any level, with some noise; shape (n, length)."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    time = np.arange(length) / 8000
    f0 = np.array([150.0, 300.0, 700.0])[labels, None] * random.uniform(0.9, 1.1, (n, 1))
    clips = sum(np.sin(2 * np.pi * k * f0 * time + random.uniform(0, 6, (n, 1))) / k for k in (1, 2, 3))
    clips = clips * np.exp(-10 * time) + 0.02 * random.normal(size=(n, length))
    return (random.uniform(0.01, 0.3, (n, 1)) * clips).astype(np.float32), labels


@pytest.fixture(scope="module")
def judge():
    return train_classifier(*sounds(), CONFIG, validation=sounds(30, seed=1), label_names=("low", "middle", "high"))


def test_it_learns_and_measures_itself_on_the_validation_clips(judge):
    clips, labels = sounds(30, seed=1)
    assert judge.accuracy_ >= 0.9
    assert judge.validation_size_ == 30
    assert class_accuracy(judge.probabilities(clips), labels) == judge.accuracy_
    assert (judge.predict(clips) == labels).mean() == judge.accuracy_


def test_validation_clips_choose_nothing(judge):
    without = train_classifier(*sounds(), CONFIG)
    assert without.accuracy_ is None
    assert without.label_names == ("0", "1", "2")
    clips = sounds(9, seed=2)[0]
    assert np.array_equal(without.probabilities(clips), judge.probabilities(clips))


def test_wrong_labels_are_not_learned():
    """What the accuracy of the other tests rests on is the sound."""
    clips, labels = sounds()
    shuffled = np.random.default_rng(5).permutation(labels)
    other = train_classifier(clips, shuffled, CONFIG, validation=sounds(60, seed=1))
    assert other.accuracy_ < 0.7


def test_what_it_gives(judge):
    clips = sounds(7, seed=3)[0]
    features, probabilities = judge.features(clips), judge.probabilities(clips)
    assert features.shape == (7, 8 * 4)
    assert features.dtype == probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-12)
    last = judge.network.last
    logits = features @ last.weight.detach().double().numpy().T + last.bias.detach().double().numpy()
    np.testing.assert_allclose(np.diff(np.log(probabilities)), np.diff(logits), atol=1e-4)
    for one, both in zip((features, probabilities), judge.features_and_probabilities(clips), strict=True):
        assert np.array_equal(one, both)
    assert np.array_equal(judge.features(torch.from_numpy(clips)), features)
    assert judge.features(clips[:0]).shape == (0, 32)
    assert judge.probabilities(clips[:0]).shape == (0, 3)


def test_the_level_does_not_matter_and_silence_is_judged(judge):
    clips = sounds(6, seed=4)[0]
    expected = judge.probabilities(clips)
    np.testing.assert_allclose(judge.probabilities(clips * 1e-3), expected, atol=1e-5)
    np.testing.assert_allclose(judge.probabilities(-4 * clips.astype(np.float64)), expected, atol=1e-5)
    assert np.isfinite(judge.probabilities(np.zeros((1, 1024)))).all()


def test_a_clip_is_judged_alone(judge, monkeypatch):
    """Neither the others of a batch nor its size matter."""
    clips = sounds(11, seed=4)[0]
    expected = judge.features(clips)
    monkeypatch.setattr(module, "CLIPS_AT_ONCE", 4)
    np.testing.assert_allclose(judge.features(clips), expected, atol=1e-5)
    np.testing.assert_allclose(judge.features(clips[5:6]), expected[5:6], atol=1e-5)


def test_its_scores_tell_a_full_set_from_one_class(judge):
    clips, labels = sounds(120, seed=6)
    one = clips[labels == 0]
    assert inception_score(judge.probabilities(clips)) > 2 > 1.3 > inception_score(judge.probabilities(one))
    assert ndb(judge.features(clips), judge.features(one), bins=6) > 0.6


def test_reading_it_back_draws_no_random_numbers(judge, tmp_path):
    judge.save(tmp_path / "judge")
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    SoundClassifier.load(tmp_path / "judge")
    assert torch.equal(torch.rand(3), expected)


def test_trainings_repeat_to_the_bit_and_leave_torchs_generator_alone(judge):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    again = train_classifier(*sounds(), CONFIG)
    assert torch.equal(torch.rand(3), expected)
    states = again.network.state_dict(), judge.network.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])
    other = train_classifier(*sounds(), replace(CONFIG, seed=1, epochs=1)).network.state_dict()
    assert not torch.equal(other["last.weight"], states[1]["last.weight"])


def test_augmentation_moves_damps_and_mixes():
    """A click: shifted by at most max_shift, its gain within max_gain_db, noise within noise_db of the clip's power."""
    config = replace(CONFIG, max_shift=0.1, max_gain_db=6, noise_db=(20.0, 30.0))
    clips = torch.zeros(400, 1024)
    clips[:, 500] = 1
    made = module._augment(clips, config, torch.Generator().manual_seed(0))
    place, peak = made.argmax(1), made.amax(1)
    assert place.min() >= 500 - 102
    assert place.max() <= 500 + 102
    assert len(place.unique()) > 100
    gain = 20 * peak.log10()
    assert -6.2 < gain.min() < -5
    assert 5 < gain.max() < 6.2
    rest = made.clone()
    rest[torch.arange(400), place] = 0
    ratio = -20 * (rest.square().mean(1).sqrt() / peak * 1024**0.5).log10()
    assert 19 < ratio.min() < 21
    assert 29 < ratio.max() < 31
    still = replace(config, max_shift=0, max_gain_db=0, noise_db=(200.0, 200.0))
    assert torch.allclose(module._augment(clips, still, torch.Generator().manual_seed(0)), clips, atol=1e-6)


def test_a_saved_classifier_gives_equal_output(judge, tmp_path):
    judge.save(tmp_path / "judge")
    loaded = SoundClassifier.load(tmp_path / "judge")
    clips = sounds(9, seed=2)[0]
    for found, expected in zip(
        loaded.features_and_probabilities(clips), judge.features_and_probabilities(clips), strict=True
    ):
        assert np.array_equal(found, expected)
    assert loaded.config == judge.config
    assert loaded.label_names == ("low", "middle", "high")
    assert (loaded.accuracy_, loaded.validation_size_) == (judge.accuracy_, 30)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("mel", {"features": "tacotron"}, "was trained on other mel features"),
        ("config", {}, "damaged or of another version"),
        ("config", {"channels": 8}, "damaged or of another version"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(judge, tmp_path, part, value, message):
    judge.save(tmp_path)
    document = json.loads((tmp_path / "rostra.json").read_text())
    content = document["content"]
    content[part] = {**content[part], **value} if value and part == "config" else value
    (tmp_path / "rostra.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=message):
        SoundClassifier.load(tmp_path)


CLIPS, LABELS = sounds(12)


@pytest.mark.parametrize(
    ("audio", "labels", "message"),
    [
        (CLIPS[:, :1000], LABELS, r"audio has shape \(12, 1000\); expected \(n, 1024\): cut or zero-pad"),
        (CLIPS[0], LABELS, r"audio has shape \(1024,\)"),
        ((CLIPS * 32767).astype(np.int16), LABELS, r"type int16; expected floats"),
        (np.where(np.arange(12)[:, None] == 3, np.nan, CLIPS), LABELS, "audio is not finite in clip 3"),
        (CLIPS, LABELS[:11], r"labels have shape \(11,\); expected \(12,\)"),
        (CLIPS, LABELS + 1, "labels hold 3 in row 2; expected 0 to 2"),
        (CLIPS, -LABELS, "labels hold -1 in row 1; expected 0 to 2"),
        (CLIPS, LABELS.astype(float), "labels have type float64; expected whole numbers from 0 to 2"),
        (CLIPS, LABELS.astype(str), "labels have type <U"),
        (CLIPS, LABELS % 2, "labels hold no clip of class 2; each of 0 to 2"),
        (CLIPS[:0], LABELS[:0], "labels hold no clip of class 0"),
    ],
)
def test_training_checks_its_clips_and_labels(audio, labels, message):
    with pytest.raises(InputError, match=message):
        train_classifier(audio, labels, CONFIG)


def test_training_checks_the_rest():
    with pytest.raises(InputError, match="label_names has 2 names; n_classes is 3"):
        train_classifier(CLIPS, LABELS, CONFIG, label_names=("a", "b"))
    with pytest.raises(InputError, match="validation labels hold 7 in row 0"):
        train_classifier(CLIPS, LABELS, CONFIG, validation=(CLIPS[:1], [7]))
    with pytest.raises(InputError, match="validation audio holds no clips"):
        train_classifier(CLIPS, LABELS, CONFIG, validation=(CLIPS[:0], LABELS[:0]))
    with pytest.raises(InputError, match=r"the loss is .* in epoch 1; try a lower lr"):
        train_classifier(CLIPS, LABELS, replace(CONFIG, lr=1e30, batch_size=4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_classes": 1}, "n_classes must be a whole number of at least 2, got 1"),
        ({"length": 0}, "length must be"),
        ({"epochs": 1.5}, "epochs must be"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        ({"max_gain_db": -1.0}, "max_gain_db must be at least 0"),
        ({"noise_db": (30.0, 10.0)}, "noise_db must be two numbers, the lower first"),
        ({"seed": -1}, "seed must be"),
        ({"length": 256}, "length is 256 samples; the spectrogram at 8000 Hz needs at least 257"),
    ],
)
def test_settings_are_checked(change, message):
    with pytest.raises(InputError, match=message):
        replace(CONFIG, **change)


def test_the_shortest_trainings_run():
    """One step, and as many as put the end of the rise onto a step."""
    for epochs in (1, 10):
        found = train_classifier(CLIPS[:3], LABELS[:3], replace(CONFIG, epochs=epochs))
        assert np.isfinite(found.probabilities(CLIPS)).all()


def test_real_digits_are_told_apart_after_a_short_training(mirror):
    """A third of the recordings for five epochs; the whole training, over 99 % in 40 CPU-seconds, is no matter for a
    test."""
    recordings = pd.read_parquet(mirror / "fsdd" / "recordings.parquet")
    recordings = recordings[recordings["index"] < 20]
    clips = np.zeros((len(recordings), 4096), dtype=np.float32)
    for row, file in zip(clips, recordings["audio"], strict=True):
        samples, rate = read_audio(file["bytes"])
        assert rate == 8000
        row[: len(samples)] = samples[:4096]
    labels, held_out = recordings["label"].to_numpy(), (recordings["index"] < 5).to_numpy()
    validation = clips[held_out], labels[held_out]
    found = train_classifier(clips[~held_out], labels[~held_out], ClassifierConfig(epochs=5), validation=validation)
    assert found.validation_size_ == 300
    assert found.accuracy_ > 0.5  # chance is 0.1
