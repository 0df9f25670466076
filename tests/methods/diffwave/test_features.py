"""Mel spectrograms against float64 references, check values and analytic cases; the way back by Griffin-Lim."""

import dataclasses
import json
import math
import warnings
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from rostra.engine.errors import InputError
from rostra.methods.diffwave.audio import read_audio
from rostra.methods.diffwave.features import (
    MelConfig,
    check_mel,
    griffin_lim,
    mel_filter_bank,
    mel_spectrogram,
    read_mel,
)

TACOTRON = MelConfig()
LMNT = MelConfig.default("lmnt", 22050)
HOPS = (64, 128, 200, 256, 300)
SMALL = MelConfig(sample_rate=8000, n_fft=64, hop_samples=16, win_length=64, n_mels=6, f_max=4000)


def noise(n, seed=0, level=0.1):
    return level * torch.from_numpy(np.random.default_rng(seed).standard_normal(n))


# References, by the formulas of the papers and not by those of the code


def mel_of(frequency, features):
    if features == "lmnt":
        return 1127.01048 * np.log(1 + frequency / 700)
    return frequency / (200 / 3) if frequency < 1000 else 15 + 27 * np.log(frequency / 1000) / np.log(6.4)


def reference_bank(config):
    low, high = (mel_of(f, config.features) for f in (config.f_min, config.f_max))
    points = [
        brentq(lambda f, m=m: mel_of(f, config.features) - m, config.f_min - 1e-6, config.f_max + 1e-6, xtol=1e-10)
        for m in np.linspace(low, high, config.n_mels + 2)
    ]
    bins = np.arange(config.n_fft // 2 + 1) * config.sample_rate / config.n_fft
    bank = []
    for i in range(config.n_mels):
        triangle = np.interp(bins, points[i : i + 3], [0, 1, 0], left=0, right=0)
        area = (points[i + 2] - points[i]) / 2
        bank.append(triangle if config.features == "lmnt" else triangle / area)
    return np.array(bank)


def reference_mel(audio, config):
    n, win = config.n_fft, config.win_length
    audio = np.asarray(audio, np.float64)
    if config.features == "lmnt":
        audio = audio.clip(-1, 1)
    window = np.zeros(n)
    window[(n - win) // 2 : (n - win) // 2 + win] = np.sin(np.pi * np.arange(win) / win) ** 2
    padded = np.pad(audio, n // 2, mode="reflect")
    starts = range(0, len(audio) + 1, config.hop_samples)
    frames = np.stack([padded[start : start + n] * window for start in starts], axis=1)
    dft = np.exp(-2j * np.pi * np.outer(np.arange(n // 2 + 1), np.arange(n)) / n)
    mel = reference_bank(config) @ np.abs(dft @ frames)
    if config.features == "tacotron":
        return np.log(np.maximum(mel, 1e-5))
    decibels = 20 * np.log10(np.maximum(mel / np.sqrt((window**2).sum()), 1e-5)) - 20
    return np.clip((decibels + 100) / 100, 0, 1)


# The filter bank


@pytest.mark.parametrize(
    "config", [TACOTRON, LMNT, MelConfig.default("tacotron", 8000), MelConfig.default("lmnt", 16000)]
)
def test_filters_equal_the_reference(config):
    bank = mel_filter_bank(config)
    assert bank.dtype == torch.float32
    assert bank.shape == (80, config.n_fft // 2 + 1)
    assert np.abs(bank.numpy() - reference_bank(config)).max() < 1e-7 * float(bank.max()) + 1e-8


def test_slaney_edges_are_those_that_librosa_documents():
    """``librosa.mel_frequencies(n_mels=40)``: 40 points are 38 bands and two edges; a band peaks between its bins."""
    points = [0, 85.317, 170.635, 255.952, 341.269, 426.586, 511.904, 597.221, 682.538, 767.855, 853.173, 938.49]
    points += [1024.856, 1119.114, 1222.042, 1334.436]
    config = MelConfig(n_fft=2**15, win_length=2**15, n_mels=38, f_max=11025)
    apart = 22050 / 2**15
    for band, (low, centre, high) in enumerate(zip(points, points[1:], points[2:], strict=False)):
        row = mel_filter_bank(config)[band]
        inside = row.nonzero()[:, 0] * apart
        assert low - 1e-3 < inside[0] <= low + apart + 1e-3
        assert high - apart - 1e-3 <= inside[-1] < high + 1e-3
        assert abs(int(row.argmax()) * apart - centre) < apart


def test_slaney_filters_have_area_one_and_htk_filters_sum_to_one():
    config = MelConfig(n_fft=2**15, win_length=2**15)
    area = mel_filter_bank(config).double().sum(1) * 22050 / 2**15
    assert torch.allclose(area, torch.ones(80, dtype=torch.float64), atol=2e-4)
    # Between the first and the last centre, neighbouring triangles of height 1 add up to 1.
    total = mel_filter_bank(LMNT).sum(0)
    first, last = (int(mel_filter_bank(LMNT)[band].argmax()) for band in (0, -1))
    assert torch.allclose(total[first + 1 : last], torch.ones(last - first - 1), atol=1e-6)


def test_a_bank_is_its_callers_own():
    mel_filter_bank(TACOTRON).zero_()
    assert float(mel_filter_bank(TACOTRON).sum()) > 0


# The spectrogram


@pytest.mark.parametrize("hop", HOPS)
def test_tacotron_mel_equals_the_reference(hop):
    config = MelConfig.default("tacotron", 22050, hop)
    audio = noise(5000)
    expected = reference_mel(audio, config)
    found = mel_spectrogram(audio, config)
    assert found.shape == (80, 1 + 5000 // hop)
    assert found.dtype == torch.float64
    assert np.abs(found.numpy() - expected).max() < 1e-9
    single = mel_spectrogram(audio.float(), config)
    assert single.dtype == torch.float32
    assert np.abs(single.numpy() - expected).max() < 1e-5


@pytest.mark.parametrize(("rate", "hop"), [(22050, 256), (22050, 200), (22050, 64), (16000, 128), (8000, None)])
def test_lmnt_mel_equals_the_reference(rate, hop):
    config = MelConfig.default("lmnt", rate, hop)
    audio = noise(5000, level=0.6)  # a tenth of it is beyond [-1, 1]
    expected = reference_mel(audio, config)
    found = mel_spectrogram(audio, config)
    assert found.shape == (80, 1 + 5000 // config.hop_samples)
    assert np.abs(found.numpy() - expected).max() < 1e-9
    assert np.abs(mel_spectrogram(audio.float(), config).numpy() - expected).max() < 1e-5


def test_a_window_shorter_than_the_fft_lies_in_its_middle():
    config = MelConfig(win_length=600, hop_samples=150)
    assert np.abs(mel_spectrogram(noise(3000), config).numpy() - reference_mel(noise(3000), config)).max() < 1e-9


@given(st.sampled_from(HOPS), st.integers(513, 4000))
def test_number_of_frames(hop, length):
    config = MelConfig.default("tacotron", 22050, hop)
    assert mel_spectrogram(torch.zeros(length), config).shape == (80, 1 + length // hop)


def test_the_floor():
    silent = mel_spectrogram(torch.zeros(2000), TACOTRON)
    assert torch.allclose(silent, torch.tensor(-11.5129), atol=1e-4)
    assert float(silent[0, 0]) == pytest.approx(math.log(1e-5))
    assert not mel_spectrogram(torch.zeros(2000), LMNT).any()


@pytest.mark.parametrize(("features", "hop"), [("tacotron", hop) for hop in HOPS] + [("lmnt", hop) for hop in HOPS[:4]])
def test_a_click_is_in_the_nearest_frame(features, hop):
    """Pitfall 9: frame i is centred at sample i * hop."""
    config = MelConfig.default(features, 22050, hop)
    for sample in (1510, 2048, 2090, 2710):
        audio = torch.zeros(5000, dtype=torch.float64)
        audio[sample] = 1.0
        energy = mel_spectrogram(audio, config).sum(0)
        assert int(energy.argmax()) == round(sample / hop)


@given(st.integers(2, 38))
def test_a_tone_is_in_its_band(k):
    """A sine at the centre of a band, and its level: half the window's sum times the filter's height."""
    bank = mel_filter_bank(TACOTRON).double()
    at = 5 * k
    tone = 0.5 * torch.cos(2 * math.pi * at / 1024 * torch.arange(8192, dtype=torch.float64))
    mel = mel_spectrogram(tone, TACOTRON)[:, 10]
    # The Hann window has bins at +-1 of half the height.
    expected = 0.5 * 512 / 2 * (bank[:, at] + (bank[:, at - 1] + bank[:, at + 1]) / 2)
    loud = expected > 0.01
    assert torch.allclose(mel.exp()[loud], expected[loud], rtol=1e-4)
    assert int(mel.argmax()) == int(expected.argmax())


def test_levels_move_the_mel():
    audio = noise(4000)
    assert torch.allclose(mel_spectrogram(2 * audio, TACOTRON), mel_spectrogram(audio, TACOTRON) + math.log(2))
    moved = mel_spectrogram(2 * audio.clamp(-0.5, 0.5), LMNT) - mel_spectrogram(audio.clamp(-0.5, 0.5), LMNT)
    assert torch.allclose(moved, torch.full_like(moved, 0.2 * math.log10(2)))


def test_a_batch_is_its_rows():
    audio = noise(2 * 3 * 3000).reshape(2, 3, 3000).float()
    for config in (TACOTRON, LMNT):
        together = mel_spectrogram(audio, config)
        assert together.shape == (2, 3, 80, 12)
        alone = torch.stack([torch.stack([mel_spectrogram(clip, config) for clip in row]) for row in audio])
        assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("features", ["tacotron", "lmnt"])
def test_gradients(features):
    config = dataclasses.replace(SMALL, features=features)
    audio = noise(80).requires_grad_()
    assert torch.autograd.gradcheck(lambda audio: mel_spectrogram(audio, config), audio)
    quiet = torch.zeros(80, requires_grad=True)
    mel_spectrogram(quiet, config).sum().backward()
    assert not quiet.grad.any()  # 0 and not NaN at the floor


def test_the_mode_of_the_caller_does_not_matter():
    """Neither bfloat16 regions nor what was cached under inference_mode."""
    config = MelConfig(f_min=10.0)  # which no other test has cached
    audio = noise(3000).float()
    with torch.inference_mode():
        expected = mel_spectrogram(audio, config)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(mel_spectrogram(audio, config), expected)
    mel_spectrogram(audio.requires_grad_(), config).sum().backward()
    assert audio.grad.isfinite().all()


def test_sound_that_has_no_spectrogram():
    assert mel_spectrogram(torch.zeros(513), TACOTRON).shape == (80, 3)
    with pytest.raises(InputError, match=r"shape \(512,\) is too short for n_fft=1024; at least 513 samples"):
        mel_spectrogram(torch.zeros(512), TACOTRON)
    for audio, found in (
        (torch.zeros(2000, dtype=torch.int16), "int16; give float32 or float64"),
        (np.zeros(2000, np.int16), "int16; give a tensor or an array of float32 or float64"),
        (np.zeros(2000, np.float16), "float16; give float32 or float64"),
        (np.array(["x.wav"]), "text; give a tensor or an array"),
        ("x.wav", "a str; give a tensor or an array"),
        ([0.0] * 2000, "a list; give a tensor or an array"),
    ):
        with pytest.raises(InputError, match=f"^audio is {found}"):
            mel_spectrogram(audio, TACOTRON)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4"])
def test_an_array_has_the_mel_of_its_tensor(dtype):
    audio = noise(3000).numpy().astype(dtype)[::-1]  # neither writable nor of usual strides
    audio.flags.writeable = False
    expected = mel_spectrogram(torch.from_numpy(np.array(audio, audio.dtype.newbyteorder("="))), TACOTRON)
    assert torch.equal(mel_spectrogram(audio, TACOTRON), expected)


# The configuration


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize("features", ["tacotron", "lmnt"])
def test_defaults_fit_every_usual_rate(features, rate):
    config = MelConfig.default(features, rate)
    low = rate <= 12000
    assert (config.n_fft, config.hop_samples, config.win_length) == ((512, 128, 512) if low else (1024, 256, 1024))
    assert (config.sample_rate, config.n_mels) == (rate, 80)
    edges = (20, rate / 2) if features == "lmnt" else (0, min(8000, rate / 2))
    assert (config.f_min, config.f_max) == edges
    assert (mel_filter_bank(config) > 0).any(1).all()


def test_defaults_are_the_papers():
    assert MelConfig.default("tacotron", 22050) == MelConfig()
    assert MelConfig.default("lmnt", 22050, 200).win_length == 800
    assert MelConfig.default("tacotron", 22050, 200).win_length == 1024


def test_eight_kilohertz_bands_hold_three_bins():
    bins = (mel_filter_bank(MelConfig.default("tacotron", 8000)) > 0).sum(1)
    assert int(bins.min()) >= 3


def test_a_configuration_is_written_and_read():
    for config in (LMNT, MelConfig(n_mels=np.int64(40), f_max=7000)):
        assert MelConfig(**json.loads(json.dumps(dataclasses.asdict(config)))) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": "mfcc"}, "features='mfcc': choose from tacotron, lmnt"),
        ({"n_mels": 0}, "n_mels=0: it must be a whole number of at least 1"),
        ({"hop_samples": 256.0}, r"hop_samples=256\.0: it must be a whole number"),
        ({"n_fft": 1023, "win_length": 1000}, "n_fft=1023: it must be even"),
        ({"win_length": 2048}, "win_length=2048 is longer than n_fft=1024"),
        ({"hop_samples": 1025}, "hop_samples=1025 is longer than win_length=1024"),
        ({"sample_rate": 8000}, "from f_min=0 to f_max=8000 Hz; they must lie in 0 to 4000 Hz"),
        ({"f_min": 8000.0}, "from f_min=8000 to f_max=8000 Hz"),
        ({"f_max": math.nan}, "f_max=nan"),
        ({"n_mels": 5000}, "n_mels=5000 bands of n_fft=1024 samples"),
        ({"features": "lmnt", "hop_samples": 300}, r"4 \* hop_samples = 1200, does not fit n_fft=1024; .* at most 256"),
        ({"features": "lmnt", "hop_samples": 128}, r"win_length=1024: lmnt features have a window of .* 512"),
    ],
)
def test_configurations_that_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        MelConfig(**options)


def test_an_empty_band_is_named_with_what_would_help():
    options = {"n_fft": 256, "win_length": 256, "hop_samples": 64}
    with pytest.raises(InputError, match=r"mel band 1 of 80 \(0\.0 to 74\.\d Hz\) holds no bin of n_fft=256") as caught:
        MelConfig(**options)
    assert "n_fft=512 or n_mels=" in str(caught.value)
    n_mels = int(str(caught.value).split("n_mels=")[1].split()[0])
    MelConfig(**options, n_mels=n_mels)
    with pytest.raises(InputError, match="holds no bin"):
        MelConfig(**options, n_mels=n_mels + 1)
    MelConfig(**{**options, "n_fft": 512})
    with pytest.raises(InputError, match="a wider range of frequencies would do"):
        MelConfig(f_min=1000.0, f_max=1000.001)


@given(st.sampled_from(["tacotron", "lmnt"]), st.integers(1, 100), st.sampled_from([64, 128, 256, 512]))
def test_a_configuration_stands_exactly_when_no_band_is_empty(features, n_mels, n_fft):
    options = {"features": features, "n_mels": n_mels, "n_fft": n_fft, "win_length": n_fft, "hop_samples": n_fft // 4}
    wanted = SimpleNamespace(**{**dataclasses.asdict(TACOTRON), **options})
    if (reference_bank(wanted) > 0).any(1).all():
        MelConfig(**options)
    else:
        with pytest.raises(InputError, match=r"holds no bin|bands of"):
            MelConfig(**options)


# Files of mel spectrograms


def test_mel_files_are_read(tmp_path):
    mel = mel_spectrogram(noise(3000).float(), TACOTRON)
    np.save(tmp_path / "a.npy", mel.numpy())
    np.save(tmp_path / "b.npy", mel.double().numpy().astype(">f8")[None])
    torch.save(mel, tmp_path / "c.pt")
    torch.save(torch.nn.Parameter(mel[None].double()), tmp_path / "d.pt")
    (tmp_path / "a.npy").rename(tmp_path / "a.NPY")
    for name in ("a.NPY", "b.npy", "c.pt", "d.pt"):
        found = read_mel(str(tmp_path / name), TACOTRON)
        assert torch.equal(found, mel)
        assert (found.dtype, found.requires_grad) == (torch.float32, False)


def test_files_that_hold_no_mel(tmp_path):
    class Stranger:
        def __reduce__(self):
            return print, ("code of a stranger runs",)

    contents = {"a.npy": b"", "b.npy": b"\x93NUMPY\x01\x00", "c.pt": b"", "d.pt": b"no tensor", "e.txt": b"1 2"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    np.save(tmp_path / "f.npy", np.array([Stranger()], object), allow_pickle=True)
    np.save(tmp_path / "g.npy", np.array(["a", "b"]))
    np.save(tmp_path / "h.npy", np.ones((80, 5), complex))
    np.save(tmp_path / "l.npy", np.ones((80, 5), bool))
    torch.save(torch.ones(80, 5, dtype=torch.bool), tmp_path / "m.pt")
    torch.save(torch.ones(80, 5).to_sparse(), tmp_path / "n.pt")
    (tmp_path / "o.pt").write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt ")
    torch.save(Stranger(), tmp_path / "i.pt")
    torch.save({"mel": torch.zeros(80, 5)}, tmp_path / "j.pt")
    with zipfile.ZipFile(tmp_path / "k.pt", "w") as archive:
        archive.writestr("a/data.pkl", b"junk")
    for name, message in {
        "a.npy": r"a\.npy' as \.npy",
        "b.npy": r"b\.npy' as \.npy",
        "c.pt": r"c\.pt'",
        "d.pt": r"d\.pt' is not a file of plain tensors",
        "e.txt": r"e\.txt' is neither \.npy nor \.pt",
        "f.npy": r"f\.npy' as \.npy \(Object arrays cannot be loaded",
        "g.npy": r"g\.npy' holds values of type text; give real numbers",
        "h.npy": r"h\.npy' holds values of type complex128; give real numbers",
        "l.npy": r"l\.npy' holds values of type bool; give real numbers",
        "m.pt": r"m\.pt' holds values of type bool; give real numbers",
        "n.pt": r"n\.pt' holds a sparse tensor",
        "o.pt": r"o\.pt' is no file of torch\.save, or damaged; save the mel with it",
        "i.pt": r"i\.pt' is not a file of plain tensors",
        "j.pt": r"j\.pt' holds a dict",
        "k.pt": r"k\.pt'",
        "none.npy": r"cannot read '.*none\.npy' \(No such file",
    }.items():
        with pytest.raises(InputError, match=message) as caught:
            read_mel(tmp_path / name, TACOTRON)
        assert "\n" not in str(caught.value)


def test_mels_of_another_shape_are_refused(tmp_path):
    torch.save(torch.zeros(7, 80), tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"'mel 3' has shape \(7, 80\): it is transposed; give its .* \(80, 7\)"):
        read_mel(tmp_path / "a.pt", TACOTRON, name="mel 3")
    for shape, message in {
        (64, 7): "has 64 mel bands, but the model needs 80",
        (80,): r"has shape \(80,\)",
        (2, 80, 7): r"has shape \(2, 80, 7\)",
        (80, 0): r"has shape \(80, 0\)",
    }.items():
        with pytest.raises(InputError, match=message):
            check_mel(torch.zeros(shape), TACOTRON, "mel")
    broken = torch.zeros(80, 7)
    broken[3, 5] = math.nan
    with pytest.raises(InputError, match=r"NaN or infinite values \(first in band 3, frame 5\)"):
        check_mel(broken, TACOTRON, "mel")


def test_mels_of_the_other_front_end_warn():
    audio = torch.cat([noise(3000).float(), torch.zeros(2000)])
    natural, scaled = mel_spectrogram(audio, TACOTRON), mel_spectrogram(audio, LMNT)
    with pytest.warns(UserWarning, match=r"-11\.5 to .*'lmnt' features of sound lie in 0 to 1; .*natural logarithms"):
        check_mel(natural, LMNT, "mel")
    with pytest.warns(UserWarning, match=r"0 to 0\.\d+, but 'tacotron' .* lie in -11\.6 to 4; .*scaled to \[0, 1\]"):
        check_mel(scaled, TACOTRON, "mel")
    with pytest.warns(UserWarning, match="-80 to 0, .* computed in another way"):
        check_mel(torch.linspace(-80, 0, 160).reshape(80, 2), TACOTRON, "mel")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_mel(natural, TACOTRON, "mel")
        check_mel(scaled, LMNT, "mel")
        check_mel(scaled - 0.05, LMNT, "mel")  # a predicted one
        for loud in (torch.ones(4000), torch.sign(noise(4000)).float()):
            check_mel(mel_spectrogram(loud, TACOTRON), TACOTRON, "mel")


# Griffin-Lim


def chord(n=16384):
    """Three gliding tones that swell and fade, in a little noise."""
    time = torch.arange(n, dtype=torch.float64) / 22050
    tones = sum(torch.sin(2 * math.pi * (f * time + 60 * time**2)) / 8 for f in (200, 520, 1700))
    return (tones * (0.6 + 0.4 * torch.sin(9 * time)) + noise(n, level=0.003)).float()


def distance(sound, mel, config):
    """Mean absolute difference of the frames that both have."""
    return float((mel_spectrogram(sound, config)[:, : mel.shape[1]] - mel).abs().mean())


@settings(max_examples=10)
@given(st.sampled_from(HOPS), st.sampled_from([1, 2, 5, 20]))
def test_griffin_lim_gives_a_hop_a_frame(hop, frames):
    config = MelConfig.default("tacotron", 22050, hop)
    mel = torch.full((80, frames), -4.0)
    sound = griffin_lim(mel, config, updates=5, iterations=2)
    assert sound.shape == (hop * frames,)
    assert sound.isfinite().all()


@pytest.mark.parametrize(("features", "bound"), [("tacotron", 0.2), ("lmnt", 0.02)])
def test_griffin_lim_gives_sound_of_that_mel(features, bound):
    config = MelConfig.default(features, 22050)
    mel = mel_spectrogram(chord(), config)
    found = distance(griffin_lim(mel, config), mel, config)
    assert found < bound
    assert found < 0.5 * distance(griffin_lim(mel, config, iterations=0), mel, config)
    assert found < 0.7 * distance(griffin_lim(mel, config, updates=0), mel, config)


def test_momentum_helps():
    mel = mel_spectrogram(chord(), TACOTRON)
    fast, plain = (distance(griffin_lim(mel, TACOTRON, momentum=value), mel, TACOTRON) for value in (0.99, 0.0))
    assert fast < 0.95 * plain


def test_griffin_lim_is_drawn_from_its_seed():
    mel = mel_spectrogram(chord(4096), TACOTRON)
    first, again, other = (griffin_lim(mel, TACOTRON, updates=20, iterations=5, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)
    precise = griffin_lim(mel.double(), TACOTRON, updates=20, iterations=5, seed=1)
    assert precise.dtype == torch.float64
    assert torch.allclose(precise.float(), first, atol=1e-3)


def test_griffin_lim_of_silence_is_silent():
    assert float(griffin_lim(torch.full((80, 20), math.log(1e-5)), TACOTRON).abs().max()) < 1e-4


@pytest.mark.parametrize(
    ("mel", "config", "options", "message"),
    [
        (torch.zeros(70, 5), TACOTRON, {}, "has 70 mel bands"),
        (torch.zeros(80, 5), TACOTRON, {"iterations": -1}, "iterations=-1, .* must not be negative"),
        (torch.zeros(80, 5), TACOTRON, {"momentum": math.nan}, "momentum=nan"),
        (torch.zeros(80, 5).half(), TACOTRON, {}, "mel is float16"),
        (torch.zeros(80, 5), MelConfig(hop_samples=600), {}, "hop_samples=600 is more than half of win_length=1024"),
    ],
)
def test_griffin_lim_refuses(mel, config, options, message):
    with pytest.raises(InputError, match=message):
        griffin_lim(mel, config, **options)


# Real speech


@pytest.fixture
def clips(mirror):
    """Clips LJ001-0001 and LJ001-0002."""
    import pandas as pd

    path = mirror / "ljspeech_sample" / "clips.parquet"
    if not path.is_file():
        pytest.skip("needs ljspeech_sample in the data mirror")
    table = pd.read_parquet(path, columns=["audio", "id"]).iloc[:2]
    return [torch.from_numpy(read_audio(audio["bytes"], name=name)[0]) for audio, name in table.itertuples(index=False)]


def test_mels_of_ljspeech(clips):
    """Check values of the mels published with the authors' code: range and number of frames."""
    mel = mel_spectrogram(clips[0], TACOTRON)
    assert mel.shape == (80, 832)
    assert float(mel.min()) == pytest.approx(-11.5129, abs=1e-4)
    assert float(mel.max()) == pytest.approx(1.4659, abs=1e-4)
    part = clips[1][:6000]
    for config in (TACOTRON, LMNT):
        assert np.abs(mel_spectrogram(part.double(), config).numpy() - reference_mel(part, config)).max() < 1e-8


def test_griffin_lim_of_ljspeech(clips):
    """The project's reference number, a mean of 0.100 over five clips."""
    mel = mel_spectrogram(clips[1], TACOTRON)
    assert 0.05 < distance(griffin_lim(mel, TACOTRON), mel, TACOTRON) < 0.12
