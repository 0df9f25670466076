"""Sets of sounds by a judge whose answers are known, pairs by their recordings, and what a judge is trained on."""

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from rostra.engine.errors import InputError
from rostra.methods.diffwave import metrics
from rostra.methods.diffwave.audio import write_audio
from rostra.methods.diffwave.data import Clips, load_fsdd
from rostra.methods.diffwave.evaluation import evaluate_pairs, evaluate_sounds, judge_data, sounds_table, train_judge
from rostra.methods.diffwave.sounds import synthetic_sounds

RATE, LENGTH = 8000, 16
NAMES = ("low", "high")


def features_and_probabilities(audio):
    """Features are the first two samples; a sound is "high" with the probability that the third one is."""
    assert audio.shape[1:] == (LENGTH,)
    p = audio[:, 2].astype(np.float64)
    return audio[:, :2].astype(np.float64), np.stack([1 - p, p], axis=1)


JUDGE = SimpleNamespace(
    config=SimpleNamespace(sample_rate=RATE, length=LENGTH),
    label_names=NAMES,
    accuracy_=0.75,
    validation_size_=20,
    features_and_probabilities=features_and_probabilities,
)


def clips_of(features, p, *, labels=None, length=LENGTH, names=None):
    """Sounds of these features and probabilities of "high"."""
    audio = []
    for pair, high in zip(features, p, strict=True):
        samples = np.zeros(length, np.float32)
        samples[:3] = (*pair, high)
        audio.append(samples)
    names = [str(i) for i in range(len(audio))] if names is None else names
    return Clips(audio, RATE, names, labels, None if labels is None else NAMES)


@pytest.fixture
def real():
    """40 recordings, 20 of each class, of which the judge hears 18."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    p = np.where(labels == 1, 0.9, 0.1)
    p[:4] = 1 - p[:4]
    return clips_of(rng.normal(size=(40, 2)) + 5 * labels[:, None], p, labels=labels)


def changed(clips, change):
    """The same clips with other samples."""
    return Clips([change(a.copy()) for a in clips.audio], RATE, clips.names, clips.labels, clips.label_names)


def test_recordings_are_as_good_as_themselves(real):
    found = evaluate_sounds(JUDGE, real, real)
    assert found["fid"] == found["fid_class"] == found["fid_class_deviation"] == pytest.approx(0, abs=1e-6)
    assert found["ndb"] == 0
    assert found["accuracy"] == found["real_accuracy"] == 0.9
    assert found["accuracy_interval"] == metrics.wilson_interval(36, 40)
    for name in ("inception_score", "modified_inception_score"):
        assert found[name] == found[f"real_{name}"] > 1
    assert (found["generated_sounds"], found["real_sounds"]) == (40, 40)
    assert (found["classifier_accuracy"], found["classifier_validation_size"]) == (0.75, 20)


def test_moved_features_are_a_known_distance_away(real):
    """Frechet: the squared length of the move, over all sounds and in each class."""

    def move(samples):
        samples[:2] += (3.0, 4.0)
        return samples

    found = evaluate_sounds(JUDGE, changed(real, move), real)
    assert found["fid"] == pytest.approx(25, rel=1e-5)
    assert found["fid_class"] == pytest.approx(25, rel=1e-5)
    assert found["fid_class_deviation"] == pytest.approx(0, abs=1e-4)
    assert found["ndb"] > 0
    assert found["accuracy"] == 0.9  # which the probabilities decide


def test_generated_and_real_are_not_mixed_up(real):
    """Sounds that the judge is unsure of: their scores are theirs, and AM takes the classes of the recordings."""

    def blur(samples):
        samples[2] = 0.6
        return samples

    found = evaluate_sounds(JUDGE, changed(real, blur), real)
    (_, p), (_, real_p) = (features_and_probabilities(np.stack(clips.audio)) for clips in (changed(real, blur), real))
    assert found["inception_score"] == pytest.approx(1.0)
    assert found["real_inception_score"] == pytest.approx(metrics.inception_score(real_p))
    assert found["am_score"] == pytest.approx(metrics.am_score(real_p, p))
    assert found["am_score"] != pytest.approx(metrics.am_score(p, real_p), rel=0.01)
    assert (found["accuracy"], found["real_accuracy"]) == (0.5, 0.9)


def test_what_needs_labels_is_left_open_without(real):
    unnamed = Clips(real.audio, RATE, real.names)
    for generated, recordings, known in ((unnamed, real, "real_accuracy"), (real, unnamed, "accuracy")):
        found = evaluate_sounds(JUDGE, generated, recordings)
        assert found[known] == 0.9
        assert found["fid"] == pytest.approx(0, abs=1e-6)
        unknown = {"accuracy", "real_accuracy"} - {known}
        assert [found[name] for name in (*unknown, "fid_class", "fid_class_deviation")] == [None] * 3
    strangers = Clips(real.audio, RATE, real.names, real.labels, ("other", "classes"))
    assert evaluate_sounds(JUDGE, strangers, real)["accuracy"] is None


def test_too_few_sounds_for_the_bins_are_warned_of(real):
    """Below two a bin; exactly two are enough."""
    for n, warned in ((7, True), (8, False)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = evaluate_sounds(JUDGE, real.select(range(n)), real)
        assert found["ndb_bins"] == 4
        assert [str(warning.message) for warning in caught] == found["warnings"]
        assert bool(found["warnings"]) == warned
    with pytest.warns(UserWarning, match=r"^7 generated sounds are too few for 4 bins .* give at least 8 sounds"):
        evaluate_sounds(JUDGE, real.select(range(7)), real)


def test_recordings_that_the_classifier_was_trained_on_are_marked(real):
    """By their samples, whatever their names are."""
    trained_on = Clips([real.audio[i].copy() for i in (3, 5, 8)], RATE, ["a", "b", "c"])
    found = evaluate_sounds(JUDGE, real, real, trained_on=trained_on)
    assert found["real_sounds_trained_on"] == 3
    table = sounds_table(found)
    assert table.splitlines()[2].endswith("90.0% *")
    assert "* 3 of the 40 real sounds are of its training recordings" in table
    others = evaluate_sounds(JUDGE, real, real.select(range(10, 40)), trained_on=trained_on)
    assert others["real_sounds_trained_on"] == 0
    assert evaluate_sounds(JUDGE, real, real)["real_sounds_trained_on"] is None
    for found in (others, evaluate_sounds(JUDGE, real, real)):
        assert "*" not in sounds_table(found)


def test_classes_that_were_not_generated_do_not_count(real):
    one = real.select(real.labels == 1)
    found = evaluate_sounds(JUDGE, one, real)
    assert found["fid_class"] == pytest.approx(0, abs=1e-6)
    assert found["fid"] > 1
    lonely = real.select([*np.flatnonzero(real.labels == 1), 0])  # one sound of the other class has no covariance
    found = evaluate_sounds(JUDGE, lonely, real)
    assert found["fid_class"] is None
    assert found["accuracy"] is not None


def test_a_bin_has_ten_recordings(real):
    counts = {n: evaluate_sounds(JUDGE, real, real.select(range(n)))["ndb_bins"] for n in (3, 19, 31, 40)}
    assert counts == {3: 2, 19: 2, 31: 3, 40: 4}
    assert evaluate_sounds(JUDGE, real, real, bins=3)["ndb_bins"] == 3
    same = clips_of([(0, 0), (1, 1)] * 20, [0.5] * 40)
    assert evaluate_sounds(JUDGE, real, same)["ndb_bins"] == 2  # no more than different recordings


@pytest.mark.parametrize("length", [3, 40])
def test_sounds_of_other_lengths_are_cut_or_padded(real, length):
    resized = changed(real, lambda samples: np.resize(samples, length))
    assert evaluate_sounds(JUDGE, resized, real)["fid"] == pytest.approx(0, abs=1e-6)


def test_sounds_at_another_rate_are_refused(real):
    other = Clips(real.audio, 16000, real.names)
    with pytest.raises(InputError, match="the generated sounds are at 16000 Hz and the classifier at 8000 Hz"):
        evaluate_sounds(JUDGE, other, real)
    with pytest.raises(InputError, match="the real sounds are at 16000 Hz"):
        evaluate_sounds(JUDGE, real, other)


def test_the_table_leaves_out_what_is_not_known(real):
    whole = sounds_table(evaluate_sounds(JUDGE, real, real)).splitlines()
    assert whole[0].split() == ["generated", "real"]
    assert whole[1].split() == ["sounds", "40", "40"]
    assert whole[2].split() == ["named", "rightly", "90.0%", "(76.9%", "to", "96.0%)", "90.0%"]
    assert any(line.startswith("FID-class") for line in whole)
    assert whole[-1].startswith("judged by a classifier right on 75.0% of 20 recordings")
    unnamed = Clips(real.audio, RATE, real.names)
    untested = SimpleNamespace(**vars(JUDGE) | {"accuracy_": None})
    rest = sounds_table(evaluate_sounds(untested, unnamed, unnamed)).splitlines()
    assert len(rest) == len(whole) - 1
    assert "labels not known" in rest[2]
    assert not any(line.startswith("FID-class") for line in rest)
    assert "of unknown accuracy" in rest[-1]


# Pairs


@pytest.fixture(scope="module")
def recordings():
    clips = synthetic_sounds(4, length=4096)
    return Clips(clips.audio, RATE, [f"day/{i}.wav" for i in range(4)])


def test_pairs_are_found_by_name_in_the_order_of_the_sounds(recordings):
    rng = np.random.default_rng(0)
    audio = [recordings.audio[i] + 0.01 * rng.standard_normal(4096).astype(np.float32) for i in (2, 0)]
    table = evaluate_pairs(Clips(audio, RATE, ["day/2.flac", "day/0.wav"]), recordings)
    assert list(table["file"]) == ["day/2.flac", "day/0.wav"]
    for (_, row), own, estimate in zip(table.iterrows(), (2, 0), audio, strict=True):
        expected = metrics.vocoder_metrics(recordings.audio[own], estimate, RATE)
        assert row.drop("file").to_dict() == pytest.approx(expected, nan_ok=True)
    wrong = evaluate_pairs(Clips(audio[:1], RATE, ["day/1.wav"]), recordings)
    assert wrong["log_mel_mae"][0] > 1.2 * table["log_mel_mae"].max()


def test_pairs_that_cannot_be_compared(recordings):
    sound = recordings.audio[0]
    with pytest.raises(InputError, match=r"'mine' has no recording of the name 'night/0.wav' \(and 1 more\)"):
        evaluate_pairs(Clips([sound] * 2, RATE, ["night/0.wav", "0.wav"]), recordings, real_name="mine")
    twice = Clips([sound] * 3, RATE, ["day/0.wav", "day/1.wav", "day/0.flac"])
    with pytest.raises(InputError, match=r"'day/0.wav' and 'day/0.flac' of 'mine' have one name"):
        evaluate_pairs(recordings, twice, real_name="mine")
    with pytest.raises(InputError, match=r"'day/0.wav' and 'day/0.flac' of 'yours' have one name"):
        evaluate_pairs(twice, recordings, generated_name="yours")
    with pytest.raises(InputError, match="the sounds are at 16000 Hz and the recordings at 8000 Hz"):
        evaluate_pairs(Clips([sound], 16000, ["day/0.wav"]), recordings)
    with pytest.raises(InputError, match=r"^'day/0.wav': "):
        evaluate_pairs(Clips([sound[:5]], RATE, ["day/0.wav"]), recordings)


# The judge


def test_a_tenth_of_each_class_is_held_out(tmp_path):
    clips = synthetic_sounds(36, classes=2, length=300)
    for label, audio in zip(clips.labels, clips.audio, strict=True):
        number = len(list(tmp_path.glob(f"{label}_*")))
        if label == 0 or number < 5:
            write_audio(tmp_path / f"{label}_{number}.wav", audio, RATE)
    train, test = judge_data(str(tmp_path), RATE)
    assert np.bincount(test.labels).tolist() == [1, 1]  # of 18, and of 5, which has no tenth
    assert np.bincount(train.labels).tolist() == [17, 4]
    assert set(train.names) | set(test.names) == {path.name for path in tmp_path.iterdir()}
    assert train.label_names == test.label_names == ("0", "1")
    assert judge_data(str(tmp_path), RATE)[1].names == test.names
    assert {tuple(judge_data(str(tmp_path), RATE, seed=seed)[1].names) for seed in range(4)} != {tuple(test.names)}


def test_a_class_of_one_recording_cannot_be_measured(tmp_path):
    for i, audio in enumerate(synthetic_sounds(3, length=300).audio):
        write_audio(tmp_path / f"{i}.wav", audio, RATE)
    table = tmp_path / "sounds.csv"
    pd.DataFrame({"path": ["0.wav", "1.wav", "2.wav"], "label": ["a", "b", "b"]}).to_csv(table, index=False)
    with pytest.raises(InputError, match=r"class 'a' of '.*sounds\.csv' has 1 recording; a classifier needs at least"):
        judge_data(str(table), RATE)
    with pytest.raises(InputError, match="has no labels of several classes"):
        judge_data(str(tmp_path), RATE)


def test_the_digits_have_a_test_part_of_their_own(mirror):
    train, test = judge_data("fsdd", 8000)
    assert train.names == load_fsdd("train").names
    assert test.names == load_fsdd("test").names


def test_a_judge_is_measured_on_what_it_was_not_trained_on():
    """Its accuracy is that on the other recordings, cut to its length; the names are those of the recordings."""
    clips = synthetic_sounds(40, classes=2, length=1200)
    train, test = clips.select(range(28)), clips.select(range(28, 40))
    judge = train_judge(train, test, length=1024, level="peak", epochs=3, channels=8, seed=1, device="cpu")
    assert judge.label_names == clips.label_names
    config = judge.config
    assert (config.length, config.epochs, config.channels, config.seed) == (1024, 3, 8, 1)
    assert judge.validation_size_ == 12
    found = evaluate_sounds(judge, test, train)
    assert found["accuracy"] == judge.accuracy_
    assert found["classifier_accuracy"] == judge.accuracy_
    with pytest.raises(InputError, match="needs recordings with labels"):
        train_judge(Clips(train.audio, RATE, train.names), test, length=1024)
    with pytest.raises(InputError, match="have no level"):
        train_judge(changed(train, np.zeros_like), test, length=1024, level="peak")
