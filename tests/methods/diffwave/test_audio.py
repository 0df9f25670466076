"""Sound files: what is read back, what is refused, levels and rates."""

import contextlib
import io
import struct
import sys
import warnings
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.io import wavfile

from rostra.engine.errors import InputError
from rostra.methods.diffwave.audio import check_samples, find_audio, normalise, read_audio, resample, write_audio

RATE = 22050


def tone(seconds=0.1, frequency=440.0, rate=RATE, level=0.5):
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def wav_bytes(samples, rate=RATE):
    file = io.BytesIO()
    wavfile.write(file, rate, samples)
    return file.getvalue()


def riff(*chunks, size=None):
    """A WAV file from (name, bytes) chunks."""
    body = b"WAVE" + b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0"[: len(data) % 2] for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def fmt(tag=1, channels=1, rate=RATE, bits=16):
    width = channels * bits // 8
    return b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * width, width, bits)


# Reading


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (np.array([0, 127, 128, 129, 255], np.uint8), np.array([-128, -1, 0, 1, 127]) / 128),
        (np.array([-32768, -1, 0, 1, 32767], np.int16), np.array([-32768, -1, 0, 1, 32767]) / 32768),
        (np.array([-(2**31), 0, 2**30], np.int32), np.array([-1, 0, 0.5])),
        (np.array([-1, 0.25, 1], np.float32), np.array([-1, 0.25, 1])),
        (np.array([-1, 0.25, 1.5], np.float64), np.array([-1, 0.25, 1.5])),
    ],
)
def test_samples_of_every_type_are_scaled(raw, expected):
    samples, rate = read_audio(wav_bytes(raw, 8000))
    assert (samples.dtype, rate) == (np.float32, 8000)
    assert samples.tolist() == expected.tolist()


def test_samples_of_24_bits():
    values = [-(2**23), -1, 0, 1, 2**23 - 1]
    data = b"".join(value.to_bytes(3, "little", signed=True) for value in values)
    samples, _ = read_audio(riff(fmt(bits=24), (b"data", data)))
    assert (samples * 2**23).tolist() == [*values[:4], 2**23 - 1]


@given(arrays(np.int16, st.integers(1, 50)))
def test_16_bit_files_come_back_as_they_were(tmp_path_factory, whole):
    """Pitfall 16: the scale is 32768 both ways."""
    path = tmp_path_factory.mktemp("sound") / "a.wav"
    assert write_audio(path, whole / np.float32(32768), RATE) == 0
    assert np.array_equal(wavfile.read(path)[1], whole)
    if whole.any():
        samples, _ = read_audio(path)
        assert np.array_equal(samples * 32768, whole)


def test_16_bit_flac_comes_back_as_it_was(tmp_path):
    """All 65,536 numbers: libsndfile scales floats by 32768 here."""
    whole = np.arange(-32768, 32768)
    write_audio(tmp_path / "a.flac", whole / 32768, RATE)
    assert np.array_equal(read_audio(tmp_path / "a.flac")[0] * 32768, whole)
    write_audio(tmp_path / "b.flac", whole / 2**23, RATE, "PCM_24")
    assert np.array_equal(read_audio(tmp_path / "b.flac")[0] * 2**23, whole)


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24), ("PCM_32", 32), ("FLOAT", 25)])
def test_rounding_is_to_the_nearest_step(tmp_path, subtype, bits):
    samples = np.random.default_rng(0).uniform(-1, 0.9999, 1000)
    assert write_audio(tmp_path / "a.wav", samples, 16000, subtype) == 0
    found, rate = read_audio(tmp_path / "a.wav")
    assert rate == 16000
    assert np.abs(found - samples).max() <= 2.0**-bits + 2.0**-25  # half a step, and that of float32
    if subtype != "FLOAT":
        with wave.open(str(tmp_path / "a.wav")) as file:
            assert file.getsampwidth() * 8 == bits


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32"])
def test_integers_clip_and_count_floats_do_not(tmp_path, subtype):
    step = 2.0 ** (1 - int(subtype[4:]))
    samples = np.array([-3, -1 - step, -1, 0.5, 1 - step, 1, 2.5])
    assert write_audio(tmp_path / "a.wav", samples, RATE, subtype) == 4
    _, raw = wavfile.read(tmp_path / "a.wav")
    exact = raw / 2.0 ** (8 * raw.dtype.itemsize - 1)
    assert exact.tolist() == [-1, -1, -1, 0.5, 1 - step, 1 - step, 1 - step]
    assert write_audio(tmp_path / "b.wav", samples, RATE, "FLOAT") == 0
    assert read_audio(tmp_path / "b.wav")[0].tolist() == samples.astype(np.float32).tolist()


def test_ogg_keeps_the_sound(tmp_path):
    samples = tone(3.0)
    assert write_audio(tmp_path / "a.ogg", samples, RATE) == 0
    found, rate = read_audio(tmp_path / "a.ogg")
    assert rate == RATE
    assert abs(len(found) - len(samples)) < 64
    inner = slice(2000, len(samples) - 2000)
    assert np.abs(found[inner] - samples[inner]).max() < 0.05


def test_bytes_and_files_are_the_same(tmp_path):
    for name in ("a.wav", "a.flac"):
        write_audio(tmp_path / name, tone(), RATE)
        of_file, of_bytes = read_audio(tmp_path / name), read_audio((tmp_path / name).read_bytes())
        assert np.array_equal(of_file[0], of_bytes[0])
        assert of_file[1] == of_bytes[1]


def test_chunks_that_are_no_sound_are_passed_over():
    """A file of an editor: notes of odd length before and after the samples."""
    data = struct.pack("<3h", 100, -200, 300)
    given_bytes = riff(fmt(), (b"iXML", b"notes"), (b"LIST", b"INFO"), (b"data", data), (b"bext", b"more"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples, _ = read_audio(given_bytes)
    assert (samples * 32768).tolist() == [100, -200, 300]


def test_a_file_of_unknown_length_is_as_long_as_it_is():
    """A program that writes into a pipe fills in 0xFFFFFFFF; a wrong length of the whole file does not matter."""
    data = struct.pack("<3h", 100, -200, 300)
    streamed = riff(fmt(), (b"data", data), size=0xFFFFFFFF).replace(
        b"data" + struct.pack("<I", len(data)), b"data\xff\xff\xff\xff"
    )
    for given_bytes in (streamed, riff(fmt(), (b"data", data), size=1000)):
        assert (read_audio(given_bytes)[0] * 32768).tolist() == [100, -200, 300]


def test_channels_are_mixed_on_request(tmp_path):
    both = np.stack([np.full(100, 1000), np.full(100, 3000)], axis=1).astype(np.int16)
    wavfile.write(tmp_path / "two.wav", RATE, both)
    with pytest.raises(InputError, match=r"two\.wav' has 2 channels, but 1 is needed; pass --mix"):
        read_audio(tmp_path / "two.wav")
    samples, _ = read_audio(tmp_path / "two.wav", mix=True)
    assert samples.shape == (100,)
    assert np.all(samples * 32768 == 2000)
    opposite = np.stack([tone(), -tone()], axis=1)
    with pytest.raises(InputError, match="is silent"):
        read_audio(wav_bytes(opposite), mix=True)


def test_another_rate_is_refused_or_converted(tmp_path):
    write_audio(tmp_path / "a.wav", tone(rate=16000), 16000)
    with pytest.raises(InputError, match=r"a\.wav' has 16000 Hz, but 22050 Hz is needed; pass --resample"):
        read_audio(tmp_path / "a.wav", sample_rate=22050)
    samples, rate = read_audio(tmp_path / "a.wav", sample_rate=22050, resample=True)
    assert rate == 22050
    assert np.abs(samples - tone())[200:-200].max() < 0.01
    same, _ = read_audio(tmp_path / "a.wav", sample_rate=16000, resample=True)
    assert np.array_equal(same, read_audio(tmp_path / "a.wav")[0])


WAV = wav_bytes((tone() * 32768).astype(np.int16))


@pytest.mark.parametrize(
    ("given_bytes", "message"),
    [
        (b"", "'clip 7' is empty"),
        (b"no sound at all", "'clip 7' is not WAV, FLAC or OGG audio"),
        (WAV[:-100], r"'clip 7' is cut short: its header names 4410 bytes of samples, but 4310 are there"),
        (WAV[:-101], "'clip 7'"),
        (
            riff(fmt(), (b"iXML", b"odd"), (b"data", b"1234" * 9))[:-4],
            "is cut short: .* 36 bytes of samples, but 32 are",
        ),
        (WAV[:30], "cannot read 'clip 7' as WAV"),
        (riff(fmt()), "cannot read 'clip 7' as WAV"),
        (riff(fmt(tag=0x55), (b"data", b"1234")), "cannot read 'clip 7' as WAV .*MPEGLAYER3"),
        (riff(fmt(), (b"data", b"")), "'clip 7' holds no samples"),
        (riff(fmt(rate=0), (b"data", b"1234")), "'clip 7' names a rate of 0 Hz"),
        (wav_bytes(np.zeros(77, np.int16)), "'clip 7' is silent: all 77 samples are 0"),
        (wav_bytes(np.full(5, 128, np.uint8)), "'clip 7' is silent"),
        (wav_bytes(np.array([0.1, 0.2, np.nan], np.float32)), r"'clip 7' holds NaN or infinite samples \(first at 2\)"),
        (wav_bytes(np.array([0.1, -np.inf, np.nan], np.float64)), r"first at 1"),
        (wav_bytes(np.array([100.0, -20000.0], np.float32)), r"'clip 7' reaches 20000, but float samples"),
    ],
)
def test_what_is_no_sound_is_refused(given_bytes, message):
    with pytest.raises(InputError, match=message):
        read_audio(given_bytes, name="clip 7")


def test_samples_are_checked_in_any_shape():
    stereo = np.zeros((5, 2))
    assert check_samples(stereo, "x") is stereo
    assert check_samples(np.array([-32.0, 32.0]), "x").max() == 32  # the loudest
    assert check_samples(np.zeros(0), "x").size == 0
    stereo[3, 1] = np.inf
    for samples, message in (
        (stereo, r"x holds NaN or infinite samples \(first at 3, 1\)"),
        (np.array([0.0, -32.1]), r"x reaches 32\.1, but float samples lie in \[-1, 1\]"),
        (np.zeros(3, np.uint8), "x is uint8; give floats"),
        (np.array([b"a"]), "x is bytes; give an array of floats"),
        (np.array(["2026"], "M8"), "x is datetime64"),
    ):
        with pytest.raises(InputError, match=f"^{message}"):
            check_samples(samples, "x")


def test_compressed_files_that_are_damaged_are_refused(tmp_path):
    write_audio(tmp_path / "a.flac", np.random.default_rng(0).uniform(-0.5, 0.5, 50000), RATE)
    whole = (tmp_path / "a.flac").read_bytes()
    for broken in (whole[: len(whole) // 2], whole[:50], b"fLaC" + bytes(100)):
        with pytest.raises(InputError, match="'song'"):
            read_audio(broken, name="song")
    with pytest.raises(InputError, match="'song'"):
        read_audio(b"OggS" + bytes(100), name="song")


@given(st.integers(0, len(WAV[:60]) - 1), st.integers(0, 255), st.integers(0, 4454))
def test_no_damage_gives_another_error(place, value, end):
    """A byte of the header is changed and the end is cut: sound, or the error for people."""
    damaged = bytearray(WAV[:end] if end % 2 else WAV)
    if place < len(damaged):
        damaged[place] = value
    with contextlib.suppress(InputError):
        samples, rate = read_audio(bytes(damaged), mix=True)
        assert np.isfinite(samples).all()
        assert rate >= 1


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"cannot read '.*none\.wav' \(No such file"):
        read_audio(tmp_path / "none.wav")
    with pytest.raises(InputError, match="Is a directory"):
        read_audio(tmp_path)


def test_compressed_files_need_an_extra(tmp_path, monkeypatch):
    write_audio(tmp_path / "a.flac", tone(), RATE)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    for call in (lambda: read_audio(tmp_path / "a.flac"), lambda: write_audio(tmp_path / "b.ogg", tone(), RATE)):
        with pytest.raises(InputError, match=r"need soundfile: pip install 'rostra\[audio\]'"):
            call()
    write_audio(tmp_path / "c.wav", tone(), RATE)
    assert len(read_audio(tmp_path / "c.wav")[0]) == len(tone())
    assert [path.name for path in find_audio(tmp_path)] == ["a.flac", "c.wav"]


# Writing


@pytest.mark.parametrize(
    ("name", "samples", "options", "message"),
    [
        ("a.mp3", tone(), {}, r"a\.mp3' does not end in \.wav, \.flac, \.ogg"),
        ("a.flac", tone(), {"subtype": "FLOAT"}, r"\.flac files have no subtype 'FLOAT'; choose from PCM_16, PCM_24"),
        ("a.ogg", tone(), {"subtype": "PCM_24"}, r"\.ogg files have no subtype 'PCM_24'"),
        ("a.wav", tone(), {"subtype": "PCM_8"}, "no subtype 'PCM_8'"),
        ("a.wav", np.array([0.0, np.nan]), {}, "sample 1 is nan"),
        ("a.wav", np.array([np.inf]), {"subtype": "FLOAT"}, "sample 0 is inf"),
        ("a.wav", np.array([], np.float32), {}, r"shape \(0,\)"),
        ("a.wav", tone()[None], {}, r"shape \(1, 2205\)"),
        ("a.wav", np.array([1, 2, 3], np.int16), {}, "type int16; give floats"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, samples, options, message):
    with pytest.raises(InputError, match=message):
        write_audio(tmp_path / name, samples, RATE, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "new" / "a.ogg"
    write_audio(path, tone(), RATE)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"the rate is 2000000 Hz; \.ogg files hold 1 to 200000 Hz"):
        write_audio(path, tone(), 2_000_000)
    with pytest.raises(InputError, match="rate is 0 Hz"):
        write_audio(path, tone(), 0)
    monkeypatch.setattr(np, "rint", lambda values: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_audio(path, tone(), RATE)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["a.ogg"]


# Rates and levels


@pytest.mark.parametrize(("source", "target"), [(22050, 16000), (16000, 22050), (8000, 8000), (48000, 22050)])
def test_resampling_keeps_tones(source, target):
    found = resample(tone(0.5, rate=source), source, target)
    expected = tone(0.5, rate=target)
    assert found.dtype == np.float32
    assert abs(len(found) - len(expected)) <= 1
    n = min(len(found), len(expected))
    assert np.abs(found[:n] - expected[:n])[500:-500].max() < 2e-3


def test_resampling_removes_what_the_lower_rate_cannot_hold():
    high = tone(0.5, frequency=7000.0)
    assert np.abs(resample(high, RATE, 8000)[500:-500]).max() < 0.01
    with pytest.raises(InputError, match="from 22050 to 0 Hz"):
        resample(high, RATE, 0)


@given(
    arrays(np.float32, st.integers(1, 30), elements=st.floats(-2, 2, width=32)),
    st.floats(0.01, 20),
)
def test_levels(samples, factor):
    """The level is reached, whatever it was, and the wave form stays."""
    if not samples.any():
        with pytest.raises(InputError, match="have no level"):
            normalise(samples, "peak")
        return
    peak = normalise(samples, "peak")
    assert np.abs(peak).max() == pytest.approx(0.95)
    rms = normalise(samples, "rms")
    power = np.sqrt(np.square(rms, dtype=np.float64).mean())
    assert np.abs(rms).max() <= 0.95 + 1e-6
    assert power == pytest.approx(0.1, rel=1e-5) or (power < 0.1 and np.abs(rms).max() == pytest.approx(0.95))
    assert np.allclose(peak, samples * (0.95 / np.abs(samples).max(initial=0, where=samples != 0)), atol=1e-5)
    for level, found in (("peak", peak), ("rms", rms)):
        assert np.allclose(normalise(samples.astype(np.float64) * factor, level), found, atol=1e-6)
    assert np.array_equal(normalise(samples, None), samples)


def test_levels_that_do_not_exist():
    with pytest.raises(InputError, match="level='loud': choose from peak, rms, or None"):
        normalise(tone(), "loud")
    with pytest.raises(InputError, match="have no level"):
        normalise(np.array([0.1, np.nan]), "rms")


# Folders


def test_sound_files_are_found_in_order(tmp_path):
    for name in ("b/2.wav", "b/10.FLAC", "a.ogg", "notes.txt", "._a.wav", ".trash/c.wav", "c.wav/d.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_audio(tmp_path)]
    assert found == ["a.ogg", "b/10.FLAC", "b/2.wav", "c.wav/d.wav"]
    with pytest.raises(InputError, match=r"is not a folder"):
        find_audio(tmp_path / "a.ogg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty' holds no sound files"):
        find_audio(tmp_path / "empty")


def test_real_clips(mirror):
    """The clips of LJ Speech lie in a table as whole WAV files."""
    import pandas as pd

    clips = mirror / "ljspeech_sample" / "clips.parquet"
    if not clips.is_file():
        pytest.skip("needs ljspeech_sample in the data mirror")
    row = pd.read_parquet(clips, columns=["audio", "id"]).iloc[1]
    samples, rate = read_audio(row["audio"]["bytes"], name=row["id"], sample_rate=22050)
    assert (row["id"], rate, samples.shape) == ("LJ001-0002", 22050, (41885,))
    _, raw = wavfile.read(io.BytesIO(row["audio"]["bytes"]))
    assert np.array_equal(samples * 32768, raw)
