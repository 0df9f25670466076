"""Clips are what their source holds, in one order, whichever way they are read; nothing is dropped unsaid."""

import io
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from rostra.engine.datasets import load
from rostra.engine.errors import InputError
from rostra.methods.diffwave import data
from rostra.methods.diffwave.data import (
    DATASETS,
    FSDD,
    LJSPEECH_SAMPLE,
    SC09_WORDS,
    AudioFiles,
    Clips,
    equally_long,
    fixed_length,
    known_labels,
    label_in_file_name,
    load_clips,
    load_folder,
    load_fsdd,
    load_ljspeech,
    load_ljspeech_sample,
    load_sc09,
    split_fsdd,
    with_labels,
)


def wav(rate, length, key):
    """Bytes of a 16-bit WAV file, and its samples."""
    whole = np.random.default_rng(key).integers(-3000, 3000, length).astype(np.int16)
    buffer = io.BytesIO()
    wavfile.write(buffer, rate, whole)
    return buffer.getvalue(), (whole / 32768).astype(np.float32)


def write_wav(path, rate, length, key=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    content, samples = wav(rate, length, key)
    path.write_bytes(content)
    return samples


def assert_equal_clips(found, expected):
    assert found.names == expected.names
    assert found.sample_rate == expected.sample_rate
    assert found.label_names == expected.label_names
    assert (found.labels is None) == (expected.labels is None)
    if found.labels is not None:
        assert np.array_equal(found.labels, expected.labels)
    for ours, theirs in zip(found.audio, expected.audio, strict=True):
        assert ours.dtype == np.float32
        assert np.array_equal(ours, theirs)


def clips_of(*lengths, labels=None, rate=100):
    rng = np.random.default_rng(0)
    audio = [rng.uniform(-0.5, 0.5, length).astype(np.float32) for length in lengths]
    return Clips(audio, rate, [f"clip{i}" for i in range(len(lengths))], labels)


# --- Clips


def test_selecting_keeps_each_clip_with_its_name_and_label():
    clips = clips_of(3, 5, 7, 9, labels=np.array([1, 0, 2, 0]))
    for which, expected in [([2, 0, -1], [2, 0, 3]), (np.array([True, False, False, True]), [0, 3]), ([], [])]:
        found = clips.select(which)
        assert found.names == [f"clip{i}" for i in expected]
        assert found.labels.tolist() == clips.labels[expected].tolist()
        assert all(a is clips.audio[i] for a, i in zip(found.audio, expected, strict=True))
    assert clips.lengths.tolist() == [3, 5, 7, 9]
    assert clips.seconds == pytest.approx(0.24)
    assert clips.select([]).seconds == 0


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ([0, 3], "there is no clip 3; there are 3"),
        ([-4], "there is no clip -4; there are 3"),
        ([True, False], r"mask has shape \(2,\); for these clips it must be \(3,\)"),
        ([0.0, 1.0], "float64"),
        (1, r"shape \(\)"),
    ],
)
def test_selecting_what_is_not_there(which, message):
    with pytest.raises(InputError, match=message):
        clips_of(3, 5, 7).select(which)


def test_clips_that_do_not_fit_together():
    audio = [np.ones(3, np.float32)] * 2
    with pytest.raises(InputError, match="1 names for 2 clips"):
        Clips(audio, 8000, ["a"])
    with pytest.raises(InputError, match="3 labels for 2 clips"):
        Clips(audio, 8000, ["a", "b"], np.zeros(3, np.int64))
    with pytest.raises(InputError, match="clip 'b' has label 2; labels go from 0 to 2 - 1"):
        Clips(audio, 8000, ["a", "b"], np.array([0, 2]), ("x", "y"))
    with pytest.raises(InputError, match="clip 'a' has label -1; labels go from 0"):
        Clips(audio, 8000, ["a", "b"], np.array([-1, 2]))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 30))
def test_fixed_length_keeps_the_beginning_and_says_how_much_is_real(lengths, length):
    clips = clips_of(*lengths)
    audio, real = fixed_length(clips, length)
    assert audio.shape == (len(lengths), length)
    assert audio.dtype == np.float32
    assert real.tolist() == [min(n, length) for n in lengths]
    for row, samples, n in zip(audio, clips.audio, real, strict=True):
        assert np.array_equal(row[:n], samples[:n])
        assert not row[n:].any()
    if max(lengths) >= length:
        whole, again = fixed_length(clips, length, pad=False)
        assert np.array_equal(again, real)
        assert np.array_equal(whole, audio[real == length])


def test_level_is_that_of_the_whole_clip_without_its_padding():
    """Padding does not make a clip louder, nor does the cut; raw levels stay raw (pitfalls 17 and 18)."""
    rng = np.random.default_rng(0)
    quiet = (0.01 * rng.standard_normal(500)).astype(np.float32)
    late = np.concatenate([quiet, [0.5]]).astype(np.float32)
    clips = Clips([quiet, late], 8000, ["quiet", "late"])
    rms = [fixed_length(clips, length, level="rms")[0][0, :500] for length in (500, 5000)]
    assert np.array_equal(rms[0], rms[1])
    assert np.sqrt(np.mean(rms[0] ** 2)) == pytest.approx(0.1, rel=1e-4)
    peak, _ = fixed_length(clips, 500, level="peak")
    assert np.abs(peak[0]).max() == pytest.approx(0.95)
    np.testing.assert_allclose(peak[1], quiet * 0.95 / 0.5, rtol=1e-5)
    assert np.array_equal(fixed_length(clips, 500)[0][0], quiet)


def test_fixed_length_of_nothing():
    with pytest.raises(InputError, match="length is 0"):
        fixed_length(clips_of(3), 0)
    with pytest.raises(InputError, match="there are no clips"):
        fixed_length(clips_of(3).select([]), 4)
    with pytest.raises(InputError, match=r"all 2 clips are shorter than 9 samples \(the longest has 5\)"):
        fixed_length(clips_of(3, 5), 9, pad=False)


# --- Public data sets: the same clips from the mirror, the archive and its folder


@pytest.fixture
def recordings():
    """Name -> (bytes, samples) of a small FSDD, in no order."""
    names = [f"{digit}_{who}_{index}" for index in (10, 4, 5, 0) for who in ("theo", "george") for digit in (7, 0)]
    return {name: wav(8000, 50 + 10 * key, key) for key, name in enumerate(names)}


def fsdd_zip(path, recordings):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("free-spoken-digit-dataset-1.0.10/README.md", "digits")
        file.writestr("free-spoken-digit-dataset-1.0.10/extras/0_theo_0.wav", b"no recording")
        file.writestr("free-spoken-digit-dataset-1.0.10/recordings/._0_theo_0.wav", b"no recording")
        for name, (content, _) in recordings.items():
            file.writestr(f"free-spoken-digit-dataset-1.0.10/recordings/{name}.wav", content)


def parquet(path, recordings):
    rows = [{"bytes": content, "path": f"{name}.wav"} for name, (content, _) in recordings.items()]
    pd.DataFrame({"audio": rows}).to_parquet(path)


def test_fsdd_is_the_same_from_the_mirror_the_archive_and_its_folder(tmp_path, recordings):
    for place in ("mirror", "zipped", "unzipped"):
        (tmp_path / place).mkdir()
    parquet(tmp_path / "mirror" / "recordings.parquet", recordings)
    fsdd_zip(tmp_path / "zipped" / FSDD.original[0].name, recordings)
    with zipfile.ZipFile(tmp_path / "zipped" / FSDD.original[0].name) as file:
        file.extractall(tmp_path / "unzipped")
    clips = FSDD.read_mirror(tmp_path / "mirror")
    assert clips.names[:5] == ["0_george_0", "7_george_0", "0_theo_0", "7_theo_0", "0_george_4"]
    assert clips.names[-1] == "7_theo_10"  # by number, not by text
    assert clips.labels[:4].tolist() == [0, 7, 0, 7]
    assert clips.label_names == tuple("0123456789")
    for name, samples in zip(clips.names, clips.audio, strict=True):
        assert np.array_equal(samples, recordings[name][1])
    assert_equal_clips(FSDD.read_original(tmp_path / "zipped"), clips)
    assert_equal_clips(FSDD.read_original(tmp_path / "unzipped"), clips)
    parts = {part: split_fsdd(clips, part) for part in ("test", "train", "all")}
    assert {name.split("_")[2] for name in parts["test"].names} == {"0", "4"}
    assert {name.split("_")[2] for name in parts["train"].names} == {"5", "10"}
    assert len(parts["all"]) == 16
    with pytest.raises(InputError, match="split is 'valid'; it must be one of train, test, all"):
        split_fsdd(clips, "valid")


def test_fsdd_as_a_user_fetched_it(recordings, own_cache, monkeypatch):
    """An archive in the cache is read, its hash recorded, and said with the clips."""
    monkeypatch.delenv("ROSTRA_DATA", raising=False)
    folder = own_cache / "rostra" / "datasets" / "fsdd"
    folder.mkdir(parents=True)
    fsdd_zip(folder / FSDD.original[0].name, recordings)
    clips = load_fsdd("test")
    assert len(clips) == 8
    assert clips.provenance["source"] == "cache"
    assert clips.provenance["verified"] is False
    assert list(clips.provenance["sha256"]) == [FSDD.original[0].name]


def test_archives_of_fsdd_that_cannot_be_used(tmp_path, recordings):
    archive = tmp_path / FSDD.original[0].name
    with pytest.raises(InputError, match=r"holds neither v1\.0\.10\.zip nor a folder 'recordings'"):
        FSDD.read_original(tmp_path)
    fsdd_zip(archive, recordings)
    content = archive.read_bytes()
    middle = len(content) // 2
    for damaged in (b"", b"<html>", content[:-200], content[:middle] + bytes(9) + content[middle + 9 :]):
        archive.write_bytes(damaged)
        with pytest.raises(InputError, match=r"v1\.0\.10\.zip' is damaged \(.*\); delete it and fetch it again"):
            FSDD.read_original(tmp_path)
    fsdd_zip(archive, {})
    with pytest.raises(InputError, match=r"no recordings/\*\.wav in it"):
        FSDD.read_original(tmp_path)
    fsdd_zip(archive, {"zero": wav(8000, 9, 0)})
    with pytest.raises(InputError, match=r"'zero\.wav' is not named DIGIT_SPEAKER_INDEX\.wav"):
        FSDD.read_original(tmp_path)
    fsdd_zip(archive, {"0_theo_0": wav(16_000, 9, 0)})
    with pytest.raises(InputError, match=r"0_theo_0\.wav.*16000.*8000"):
        FSDD.read_original(tmp_path)


@pytest.fixture
def ljspeech():
    """Name -> (bytes, samples) of clips of LJ Speech."""
    return {f"LJ001-{number:04d}": wav(22_050, 40 + number, number) for number in range(1, 36)}


def ljspeech_tar(path, clips, after=0):
    """An archive with clips in no order, and some incompressible bytes behind them."""
    with tarfile.open(path, "w:bz2") as file:
        names = [f"LJSpeech-1.1/wavs/{name}.wav" for name in sorted(clips, key=lambda name: name[::-1])]
        contents = dict(zip(names, (clips[name.split("/")[-1][:-4]][0] for name in names), strict=True))
        contents = {"LJSpeech-1.1/README": b"clips", "LJSpeech-1.1/old/LJ001-0001.wav": b"no clip"} | contents
        contents["LJSpeech-1.1/rest"] = np.random.default_rng(0).bytes(after)
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))


def test_the_sample_is_the_same_from_the_mirror_and_the_archive(tmp_path, ljspeech):
    sample = {name: ljspeech[name] for name in list(ljspeech)[:32]}
    parquet(tmp_path / "clips.parquet", sample)
    ljspeech_tar(tmp_path / "LJSpeech-1.1.tar.bz2", ljspeech)
    clips = LJSPEECH_SAMPLE.read_mirror(tmp_path)
    assert clips.names == list(sample)
    assert clips.labels is None
    for name, samples in zip(clips.names, clips.audio, strict=True):
        assert np.array_equal(samples, sample[name][1])
    assert_equal_clips(LJSPEECH_SAMPLE.read_original(tmp_path), clips)


def test_the_archive_is_read_no_further_than_the_sample_goes(tmp_path, ljspeech):
    """Of 2.7 GB only the beginning is unpacked: damage behind the last clip is not met."""
    archive = tmp_path / "LJSpeech-1.1.tar.bz2"
    ljspeech_tar(archive, ljspeech, after=4_000_000)
    whole = LJSPEECH_SAMPLE.read_original(tmp_path)
    archive.write_bytes(archive.read_bytes()[:3_000_000])
    assert_equal_clips(LJSPEECH_SAMPLE.read_original(tmp_path), whole)


def test_archives_of_ljspeech_that_cannot_be_used(tmp_path, ljspeech):
    archive = tmp_path / "LJSpeech-1.1.tar.bz2"
    ljspeech_tar(archive, ljspeech)
    for damaged in (b"", b"<html>", archive.read_bytes()[:1000]):
        archive.write_bytes(damaged)
        with pytest.raises(InputError, match=r"bz2' is damaged \(.*\); delete it and fetch it again"):
            LJSPEECH_SAMPLE.read_original(tmp_path)
    del ljspeech["LJ001-0007"]
    ljspeech_tar(archive, ljspeech)
    with pytest.raises(InputError, match=r"no wavs/LJ001-0007\.wav in it"):
        LJSPEECH_SAMPLE.read_original(tmp_path)


def test_the_mirrors_digits(mirror):
    everything, train, test = (load_fsdd(split) for split in ("all", "train", "test"))
    assert (len(everything), len(train), len(test)) == (3000, 2700, 300)
    assert everything.sample_rate == 8000
    assert everything.seconds == pytest.approx(1312.3, abs=0.05)
    assert (everything.lengths.min(), everything.lengths.max()) == (1148, 18_262)
    assert not set(train.names) & set(test.names)
    for clips, each in ((train, 270), (test, 30)):
        assert np.bincount(clips.labels).tolist() == [each] * 10
        assert [int(name[0]) for name in clips.names] == clips.labels.tolist()
    assert len({name.split("_")[1] for name in test.names}) == 6
    assert test.provenance["source"] == "mirror"
    assert test.provenance["verified"] is True
    peaks = [np.abs(samples).max() for samples in everything.audio]
    assert np.median(peaks) == pytest.approx(0.27, abs=0.01)
    levelled, real = fixed_length(test, 4096, level="peak")
    assert np.abs(levelled).max() <= 0.951
    assert 0.1 < 1 - real.sum() / levelled.size < 0.3  # what a model would learn as silence


def test_the_mirrors_readers(mirror):
    everything, train, test = (load_ljspeech_sample(split) for split in ("all", "train", "test"))
    assert (len(everything), len(train), len(test)) == (32, 26, 6)
    assert everything.sample_rate == 22_050
    assert everything.seconds == pytest.approx(221.7, abs=0.05)
    assert test.names == [f"LJ001-000{number}" for number in range(1, 7)]
    assert set(train.names) | set(test.names) == set(everything.names)
    assert all(0.49 < np.abs(samples).max() < 0.98 for samples in everything.audio)
    with pytest.raises(InputError, match="split is 'validation'"):
        load_ljspeech_sample("validation")


def test_data_sets_name_their_files():
    assert [dataset.name for dataset in DATASETS] == ["fsdd", "ljspeech_sample"]
    assert all(len(digest) == 64 for dataset in DATASETS for digest in dataset.mirror.values())


def test_the_mirror_holds_what_the_data_sets_expect(mirror):
    for dataset in DATASETS:
        assert load(dataset).source == "mirror"


# --- Folders of files


@pytest.fixture
def folder(tmp_path):
    """A user's folder, with its samples by name."""
    root = tmp_path / "sounds"
    names = ("b.wav", "a/2.WAV", "a/deep/1.wav")
    samples = {name: write_wav(root / name, 8000, 30 + key, key) for key, name in enumerate(names)}
    (root / "notes.txt").write_text("no sound")
    return root, samples


def test_a_folder_is_read_to_any_depth(folder):
    root, samples = folder
    clips = load_folder(root)
    assert clips.names == sorted(samples)
    assert clips.sample_rate == 8000
    assert clips.labels is None
    for name, found in zip(clips.names, clips.audio, strict=True):
        assert np.array_equal(found, samples[name])


def test_clips_that_do_not_fit_into_memory_are_the_same_clips(folder, monkeypatch):
    """Lengths and selections read no file; what is read is bit-equal."""
    root, _ = folder
    kept = load_folder(root)
    assert isinstance(kept.audio, list)
    monkeypatch.setattr(data, "IN_MEMORY", 4 * 60)  # not all
    lazy = load_folder(root)
    assert isinstance(lazy.audio, AudioFiles)
    assert_equal_clips(lazy, kept)
    assert lazy.lengths.tolist() == kept.lengths.tolist()
    assert lazy.seconds == kept.seconds
    assert_equal_clips(lazy.select([2, 0]), kept.select([2, 0]))
    assert [len(clip) for clip in lazy.audio[1:]] == kept.lengths[1:].tolist()
    for ours, theirs in zip(fixed_length(lazy, 31, level="rms"), fixed_length(kept, 31, level="rms"), strict=True):
        assert np.array_equal(ours, theirs)
    part = lazy.select([True, False, True])
    (root / lazy.names[2]).unlink()
    assert part.lengths.tolist() == kept.lengths[[0, 2]].tolist()
    with pytest.raises(InputError, match=lazy.names[2].replace(".", r"\.")):
        part.audio[1]


def test_rates_must_agree_or_be_resampled(folder):
    root, _ = folder
    write_wav(root / "c.wav", 16_000, 100)
    with pytest.raises(InputError, match=r"c\.wav' has 16000 Hz, but '.*2\.WAV' has 8000 Hz") as caught:
        load_folder(root)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"2\.WAV.*8000.*16000.*\(2 more files cannot be used either\)"):
        load_folder(root, sample_rate=16_000)
    clips = load_folder(root, sample_rate=16_000, resample=True)
    assert clips.sample_rate == 16_000
    assert dict(zip(clips.names, clips.lengths.tolist(), strict=True)) == {
        "a/2.WAV": 62,
        "a/deep/1.wav": 64,
        "b.wav": 60,
        "c.wav": 100,
    }
    with pytest.raises(InputError, match="resample needs a sample rate"):
        load_folder(root, resample=True)


def test_resampling_and_mixing_also_at_each_access(folder, monkeypatch):
    root, _ = folder
    stereo = np.random.default_rng(5).integers(-99, 99, (40, 2)).astype(np.int16)
    wavfile.write(root / "c.wav", 8000, stereo)
    with pytest.raises(InputError, match=r"c\.wav.*2 channels"):
        load_folder(root)
    kept = load_folder(root, sample_rate=16_000, resample=True, mix=True)
    monkeypatch.setattr(data, "IN_MEMORY", 0)
    assert_equal_clips(load_folder(root, sample_rate=16_000, resample=True, mix=True), kept)


def test_files_that_cannot_be_used_are_counted(folder):
    root, _ = folder
    wavfile.write(root / "silent.wav", 8000, np.zeros(30, np.int16))
    with pytest.raises(InputError, match=r"silent\.wav' is silent") as caught:
        load_folder(root)
    assert "either" not in str(caught.value)
    wavfile.write(root / "nan.wav", 8000, np.array([0.1, np.nan], np.float32))
    with pytest.raises(InputError, match=r"nan\.wav.*\(1 more file cannot be used either\)"):
        load_folder(root)
    for number in range(20):
        (root / f"empty{number:02d}.wav").write_bytes(b"")
    with pytest.raises(InputError, match=r"empty00\.wav.*\(at least 9 more files cannot be used either\)"):
        load_folder(root)


def test_places_without_audio(tmp_path):
    with pytest.raises(InputError, match=r"'.*nowhere' does not exist; give a folder"):
        load_folder(tmp_path / "nowhere")
    (tmp_path / "list.txt").write_text("a.wav")
    with pytest.raises(InputError, match=r"list\.txt' is neither a folder .* nor a \.csv file"):
        load_folder(tmp_path / "list.txt")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="nothing"):
        load_folder(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        (("10", "9", "10"), ("9", "10"), [1, 0, 1]),  # by value, not by text
        (("kick", "snare", "hat"), ("hat", "kick", "snare"), [1, 2, 0]),
        (("10", "9", "x"), ("10", "9", "x"), [0, 1, 2]),
    ],
)
def test_a_csv_gives_paths_and_labels(folder, tmp_path, labels, names, expected):
    _, samples = folder
    listing = tmp_path / "list.csv"
    paths = ["sounds/b.wav", str(tmp_path / "sounds" / "a" / "2.WAV"), " sounds/a/deep/1.wav"]
    rows = [f"{path},someone,{label} " for path, label in zip(paths, labels, strict=True)]
    listing.write_text("path,speaker,label\n" + "\n".join(rows))
    clips = load_folder(listing)
    assert clips.names == [path.strip() for path in paths]
    assert clips.label_names == names
    assert clips.labels.tolist() == expected
    assert clips.labels.dtype == np.int64
    for found, original in zip(clips.audio, samples.values(), strict=True):
        assert np.array_equal(found, original)


def test_a_csv_without_labels(folder, tmp_path):
    (tmp_path / "list.csv").write_text("path\nsounds/b.wav\n")
    clips = load_folder(tmp_path / "list.csv")
    assert (clips.names, clips.labels, clips.label_names) == (["sounds/b.wav"], None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\nsounds/b.wav\n", "no column named 'path'; there are: 'file'"),
        ("path,label\nsounds/b.wav,1\n,2\n", "row 2 of '.*' has nothing in column 'path'"),
        ("path,label\nsounds/b.wav,1\nsounds/a/2.WAV, \n", "row 2 of '.*' has nothing in column 'label'"),
        (
            "path\nsounds/b.wav\nsounds/none.wav\n",
            r"row 2 of '.*': column 'path' names 'sounds/none\.wav', which is no",
        ),
        ("path\nsounds\n", "row 1 of '.*': column 'path' names 'sounds', which is no file"),
        ("path\nsounds/b.wav\n./sounds/b.wav\n", "row 2 of '.*': column 'path' repeats './sounds/b.wav' of row 1"),
        ("path,label\nsounds/b.wav,1,2\n", "more fields than its 2 column names"),
        ("path\nsounds/notes.txt\n", r"notes\.txt"),
        ("path\n", "no rows"),
        ("", "is empty"),
    ],
)
def test_a_csv_with_a_bad_row(folder, tmp_path, text, message):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_folder(tmp_path / "list.csv")
    assert "\n" not in str(caught.value)


# --- The full-size layouts


@pytest.fixture
def lj_folder(tmp_path):
    root = tmp_path / "LJSpeech-1.1"
    for key, name in enumerate(("LJ002-0001", "LJ001-0002", "LJ001-0001", "LJ050-0278", "LJ010-0001")):
        write_wav(root / "wavs" / f"{name}.wav", 22_050, 20 + key, key)
    (root / "metadata.csv").write_text("LJ001-0001|Printing|Printing\n")
    return root


def test_ljspeech_holds_out_its_first_chapter(lj_folder):
    assert load_ljspeech(lj_folder, "test").names == ["LJ001-0001", "LJ001-0002"]
    assert load_ljspeech(lj_folder, "train").names == ["LJ002-0001", "LJ010-0001", "LJ050-0278"]
    everything = load_ljspeech(lj_folder, "all")
    assert everything.sample_rate == 22_050
    assert everything.lengths.tolist() == [22, 21, 20, 24, 23]


def test_ljspeech_in_another_layout(lj_folder):
    with pytest.raises(InputError, match="split is 'validation'; it must be one of train, test, all"):
        load_ljspeech(lj_folder, "validation")
    with pytest.raises(InputError, match=r"has no folder 'wavs'; give the folder LJSpeech-1\.1"):
        load_ljspeech(lj_folder.parent, "all")
    stranger = lj_folder / "wavs" / "mine.wav"
    write_wav(stranger, 22_050, 9)
    with pytest.raises(InputError, match=r"mine\.wav' is not named LJ000-0000\.wav"):
        load_ljspeech(lj_folder, "all")
    stranger.rename(stranger.with_name("._LJ001-0001.wav"))  # as macOS leaves them
    assert len(load_ljspeech(lj_folder, "all")) == 5
    for path in (lj_folder / "wavs").glob("LJ001*"):
        path.unlink()
    with pytest.raises(InputError, match=r"no clips of the split 'test' \(3 WAV files in all\)"):
        load_ljspeech(lj_folder, "test")
    write_wav(lj_folder / "wavs" / "LJ003-0001.wav", 44_100, 9)
    with pytest.raises(InputError, match=r"LJ003-0001\.wav.*44100.*22050"):
        load_ljspeech(lj_folder, "train")


@pytest.fixture
def commands(tmp_path):
    """Three recordings of each digit in the layout of Speech Commands, and some of other things."""
    root = tmp_path / "speech_commands"
    for digit, word in enumerate((*SC09_WORDS, "bed")):
        for key, name in enumerate(("aa_nohash_0", "bb_nohash_0", "bb_nohash_1")):
            write_wav(root / word / f"{name}.wav", 16_000, 30 + key, 3 * digit + key)
    write_wav(root / "_background_noise_" / "pink_noise.wav", 16_000, 500)
    (root / "validation_list.txt").write_text("bed/aa_nohash_0.wav\nfour/aa_nohash_0.wav\n")
    (root / "testing_list.txt").write_text("nine/bb_nohash_0.wav\r\nzero/bb_nohash_1.wav\r\nbed/none.wav\r\n")
    return root


def test_sc09_follows_the_lists(commands):
    parts = {split: load_sc09(commands, split) for split in ("train", "validation", "test", "all")}
    assert parts["validation"].names == ["four/aa_nohash_0"]
    assert parts["test"].names == ["zero/bb_nohash_1", "nine/bb_nohash_0"]
    assert parts["test"].labels.tolist() == [0, 9]
    assert len(parts["all"]) == 30
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not set(parts[one].names) & set(parts[other].names)
    assert set().union(*(parts[split].names for split in ("train", "validation", "test"))) == set(parts["all"].names)
    for clips in parts.values():
        assert [name.split("/")[0] for name in clips.names] == [clips.label_names[label] for label in clips.labels]
        assert clips.sample_rate == 16_000
    assert np.array_equal(parts["test"].audio[1], wav(16_000, 31, 28)[1])


def test_sc09_in_another_layout(commands):
    with pytest.raises(InputError, match="split is 'valid'; it must be one of train, validation, test, all"):
        load_sc09(commands, "valid")
    (commands / "testing_list.txt").write_text("zero/bb_nohash_1.wav\nsix/cc_nohash_0.wav\n")
    with pytest.raises(InputError, match=r"line 2 of '.*testing_list\.txt' names six/cc_nohash_0\.wav, which is not"):
        load_sc09(commands, "train")
    (commands / "testing_list.txt").write_text("")
    with pytest.raises(InputError, match="no recordings of the split 'test'"):
        load_sc09(commands, "test")
    (commands / "validation_list.txt").unlink()
    with pytest.raises(InputError, match=r"no readable validation_list\.txt"):
        load_sc09(commands, "train")
    assert len(load_sc09(commands, "all")) == 30
    (commands / "seven").rename(commands / "sieben")
    with pytest.raises(InputError, match="has no folder 'seven'; it must hold the folders zero to nine"):
        load_sc09(commands, "all")


# --- Labels


def named(*names, labels=None, label_names=None):
    return Clips([np.ones(4, np.float32)] * len(names), 8000, list(names), labels, label_names)


def texts(clips):
    return [clips.label_names[label] for label in clips.labels]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("b_1.wav", "a_1.wav", "b_2.wav"), ["b", "a", "b"]),  # file names
        (("x/b/1.wav", "x/a/1_1.wav", "x/b/2.wav"), ["b", "a", "b"]),  # the nearest folder
        (("b/x_1.wav", "a/y_1.wav", "b/z_2.wav"), ["b", "a", "b"]),  # a folder goes before a file name
        (("all/b_1.wav", "all/a_1.wav", "all/b_2.wav"), ["b", "a", "b"]),  # unless it tells nothing apart
        (("p/b_1.wav", "q/a_1.wav", "r/b_2.wav"), ["b", "a", "b"]),  # or everything
        (("b/1.wav", "a_1.wav", "b_2.wav"), None),
        (("b_1.wav", "b_2.wav"), None),
        (("a_1.wav", "b_2.wav"), None),
        (("a.wav", "b.wav", "b_1.wav"), None),
    ],
)
def test_labels_out_of_names(names, expected):
    clips = named(*names)
    if expected is None:
        with pytest.raises(InputError, match=r"'mine' has no labels of several classes; give a CSV .*LABEL_anything"):
            with_labels(clips, "mine")
        return
    found = with_labels(clips)
    assert texts(found) == expected
    assert found.label_names == ("a", "b")
    assert (found.names, found.sample_rate) == (clips.names, clips.sample_rate)
    assert known_labels(clips, ("b", "c", "a")).tolist() == [0, 2, 0]


def test_classes_are_numbered_by_value_where_they_are_numbers():
    assert with_labels(named("10_a", "9_a", "10_b", "9_b")).label_names == ("9", "10")
    assert with_labels(named("10_a", "9a_a", "10_b")).label_names == ("10", "9a")


def test_labels_that_clips_have_go_before_their_names():
    clips = named("a_1", "a_2", "b_1", labels=np.array([2, 0, 2]), label_names=("x", "y", "z"))
    found = with_labels(clips)
    assert texts(found) == ["z", "x", "z"]
    assert found.label_names == ("x", "z")
    assert known_labels(clips, ("z", "x")).tolist() == [0, 1, 0]
    assert known_labels(clips, ("a", "b")) is None  # of the names
    assert known_labels(named("q_1", "q_2", labels=np.array([1, 0])), ("0", "1")).tolist() == [1, 0]


def test_known_labels_are_all_known_or_none():
    """One class is enough, unlike where the classes are looked for."""
    assert known_labels(named("a_1", "a_2"), ("b", "a")).tolist() == [1, 1]
    assert known_labels(named("a_1", "c_2"), ("b", "a")) is None
    assert known_labels(named("one/a_1", "two/b_2"), ("b", "a")).tolist() == [1, 0]  # the folders are no classes
    assert known_labels(named("1", "2"), ("1", "2")) is None


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=4, unique_by=label_in_file_name))
def test_a_label_is_found_again_in_the_name_that_it_makes(labels):
    clips = named(*(f"{label_in_file_name(label)}_seed0_{i:04d}.wav" for i, label in enumerate(labels)))
    assert known_labels(clips, labels).tolist() == list(range(len(labels)))


def test_clips_of_what_a_user_names(tmp_path, monkeypatch):
    expected = write_wav(tmp_path / "mine" / "a.wav", 8000, 30)
    for source in (tmp_path / "mine", str(tmp_path / "mine")):
        assert np.array_equal(load_clips(source).audio[0], expected)
    assert load_clips(str(tmp_path / "mine"), sample_rate=4000, resample=True).lengths.tolist() == [15]
    with pytest.raises(InputError, match=r"'.*none' does not exist; .*; or fsdd, ljspeech-sample$"):
        load_clips(str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"8000 Hz, but 16000 Hz is needed; pass --resample to convert it$"):
        load_clips(str(tmp_path / "mine"), sample_rate=16000)
    with pytest.raises(InputError, match="split is 'half'"):
        load_clips("fsdd:half")
    write_wav(tmp_path / "fsdd" / "b.wav", 8000, 20)
    monkeypatch.chdir(tmp_path)
    assert load_clips("fsdd").names == ["b.wav"]  # a folder of that name goes before


def test_public_clips_by_name(mirror):
    whole = load_fsdd("all")
    assert_equal_clips(load_clips("fsdd:test"), load_fsdd("test"))
    assert len(load_clips("fsdd", sample_rate=8000)) == 2700
    converted = load_clips("fsdd:test", sample_rate=4000, resample=True)
    assert converted.sample_rate == 4000
    assert converted.lengths.tolist() == (-(-load_fsdd("test").lengths // 2)).tolist()
    with pytest.raises(InputError, match="fsdd has 8000 Hz, but 16000 Hz is needed; pass --resample"):
        load_clips("fsdd", sample_rate=16000)
    assert texts(with_labels(whole)) == texts(whole)
    unlabelled = Clips(whole.audio, 8000, whole.names)
    assert np.array_equal(with_labels(unlabelled).labels, whole.labels)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=4))
def test_equally_long_sounds_end_in_silence(lengths):
    sounds = [np.full(length, 0.5, np.float32) for length in lengths]
    for length, sound in zip(lengths, equally_long(sounds), strict=True):
        assert sound.dtype == np.float32
        assert sound.tolist() == [0.5] * length + [0.0] * (max(lengths) - length)
