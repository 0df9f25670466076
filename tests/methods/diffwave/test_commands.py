"""``rostra diffwave`` as a user runs it: the whole way by the command, the many small cases in this process."""

import json
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from rostra.engine.errors import InputError
from rostra.engine.progress import silence
from rostra.methods.diffwave.audio import read_audio, write_audio
from rostra.methods.diffwave.checkpoints import SavedModel, load_model, save_model
from rostra.methods.diffwave.commands import app
from rostra.methods.diffwave.features import MelConfig, mel_spectrogram
from rostra.methods.diffwave.model import DiffWave, DiffWaveConfig
from rostra.methods.diffwave.sounds import synthetic_sounds
from rostra.methods.diffwave.synthesis import Generator, Vocoder

RATE, LENGTH = 8000, 2048
STEP = 2.0**-15
"""Of 16-bit samples."""
TINY = {"residual_layers": 2, "residual_channels": 4, "dilation_cycle_length": 2, "sample_rate": RATE}
SMALL = ("--layers", "2", "--channels", "4", "--cycle", "2", "--batch-size", "3", "--clip-samples", "1024")
VERBS = ("train", "vocode", "generate", "denoise", "interpolate", "evaluate", "import")


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    """Folder of 12 sounds of two classes, named CLASS_NUMBER.wav."""
    folder = tmp_path_factory.mktemp("sounds")
    clips = synthetic_sounds(12, classes=2, length=LENGTH)
    for name, audio in zip(clips.names, clips.audio, strict=True):
        write_audio(folder / f"{name}.wav", audio, RATE)
    return folder


def saved(folder, *, heads=0.0, names=(), **settings):
    """A network that was not trained; with ``heads`` 0 the noise it predicts is exactly 0."""
    torch.manual_seed(0)
    network = DiffWave(DiffWaveConfig(**TINY, **settings)).eval()
    with torch.no_grad():
        network.output.weight.add_(heads * torch.randn_like(network.output.weight))
    save_model(folder, SavedModel(network, names))
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folders of models by name: "vocoder", "unconditional", "blank" (predicts 0) and "label" (of two classes)."""
    root = tmp_path_factory.mktemp("models")
    mel = asdict(MelConfig.default("tacotron", RATE)) | {"clip_samples": 1024}
    mel.pop("sample_rate")
    return {
        "vocoder": saved(root / "vocoder", heads=0.1, condition="mel", **mel),
        "unconditional": saved(root / "unconditional", heads=0.1, condition="none", clip_samples=LENGTH),
        "blank": saved(root / "blank", condition="none", level="peak"),
        "label": saved(
            root / "label", heads=0.1, names=("falling", "rising"), condition="label", n_classes=2, clip_samples=LENGTH
        ),
    }


@pytest.fixture(scope="session")
def judge(tmp_path_factory, sounds):
    """Folder of a classifier of the two classes."""
    folder = tmp_path_factory.mktemp("judge") / "judge"
    done = CliRunner().invoke(
        app,
        [
            "evaluate",
            *map(str, (sounds, sounds, "--classifier", folder, "--train-classifier", sounds)),
            "--epochs",
            "2",
        ],
    )
    assert done.exit_code == 0, done.exception
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a verb in this process; what it prints as JSON, or its text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)

    def call(*words):
        try:
            done = CliRunner().invoke(app, [str(word) for word in words])
        finally:
            silence(False)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout) if "--json" in words else done.stdout

    return call


def samples(path):
    return read_audio(path)[0]


def weights(folder):
    return load_model(folder).network.state_dict()


def assert_equal_weights(first, second):
    torch.testing.assert_close(weights(first), weights(second), rtol=0, atol=0)


# ---------------------------------------------------------------------- the whole way, by the command


def test_from_recordings_to_copies(rostra, sounds, tmp_path):
    done = rostra("diffwave", "train", sounds, "--out", "voice", *SMALL, "--max-steps", "12", "--plot", "loss.png")
    assert done.returncode == 0, done.stderr
    assert "12 recordings" in done.stderr
    assert done.stdout.startswith("12 steps in")
    assert "next: rostra diffwave vocode IN.wav OUT.wav --model voice" in done.stdout
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in (tmp_path / "voice").iterdir()} >= {"rostra.json", "train_log.csv", "training"}
    source = sounds / "rising_00000.wav"
    done = rostra("diffwave", "vocode", source, "copy.wav", "--model", "voice", "--plot", "both.png")
    assert done.returncode == 0, done.stderr
    assert "real-time factor" in done.stdout
    assert "log-mel error" in done.stdout
    assert "warning: " in done.stderr  # hardly trained: it is far too loud
    assert "were clipped" in done.stderr
    assert len(samples(tmp_path / "copy.wav")) == LENGTH
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")


def test_from_a_model_to_judged_sounds(rostra, sounds, models, tmp_path):
    done = rostra(
        "diffwave", "generate", "--model", models["label"], "-n", "4", "--out", "made", "--plot", "made.png",
        "--plot-reverse", "way.png", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["labels"] == ["falling", "rising", "falling", "rising"]
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == sorted(found["files"])
    for picture in ("made.png", "way.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    done = rostra(
        "diffwave", "evaluate", "made", sounds, "--classifier", "judge", "--train-classifier", sounds, "--epochs", "2"
    )
    assert done.returncode == 0, done.stderr
    for name in ("named rightly", "IS", "mIS", "FID", "FID-class", "AM", "NDB/K"):
        assert f"\n{name}" in done.stdout
    assert "judged by a classifier right on" in done.stdout
    assert "% of 2 recordings that it was not trained on" in done.stdout


def test_ctrl_c_saves_and_resuming_ends_as_if_there_was_none(rostra, run, sounds, tmp_path):
    """Stopped by the signal at whatever step it comes, then gone on with on fewer threads; against one go."""
    command = str(Path(sys.executable).with_name("rostra"))
    words = ["diffwave", "train", str(sounds), "--out", "stopped", *SMALL, "--ema", "0.9", "--max-steps"]
    with subprocess.Popen(
        [command, *words, "1000000", "--threads", "2"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as training:
        try:
            assert training.stderr is not None
            assert "Ctrl-C saves" in training.stderr.readline()
            time.sleep(0.5)  # at whatever step that is
            training.send_signal(signal.SIGINT)
            output, errors = training.communicate(timeout=60)
        finally:
            training.kill()
    assert training.returncode == 1
    assert output == ""
    last = errors.strip().splitlines()[-1]
    assert last.startswith("error: stopped after ")
    assert "--resume goes on" in last
    steps = int(last.split()[3])
    assert 0 < steps < 1_000_000
    total = steps + 5
    found = run(*words[1:], total, "--resume", "--json", "--quiet")
    assert (found["resumed_from"], found["steps"]) == (steps, total)
    run("train", sounds, "--out", "straight", *SMALL, "--ema", "0.9", "--max-steps", total, "--quiet")
    assert_equal_weights(tmp_path / "stopped", tmp_path / "straight")


def test_wrong_input_is_one_line_and_leaves_nothing(rostra, models, tmp_path):
    done = rostra("diffwave", "vocode", "nowhere.wav", "results/out.wav", "--model", models["vocoder"])
    assert done.returncode == 2
    assert done.stdout == ""
    assert (
        done.stderr == "error: cannot read 'nowhere.wav' (No such file or directory); give the path of a sound file\n"
    )
    assert not list(tmp_path.iterdir())


def test_a_mel_of_the_other_front_end_is_warned_of_once(rostra, models, tmp_path):
    np.save(tmp_path / "mel.npy", np.full((80, 5), 0.5, np.float32))
    done = rostra("diffwave", "vocode", "mel.npy", "out.wav", "--model", models["vocoder"], "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["input"] == "mel"
    assert done.stderr.count("this looks like a mel scaled to [0, 1]") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_a_whole_example(verb):
    done = CliRunner().invoke(app, [verb, "--help"], terminal_width=500)
    assert f"Example: rostra diffwave {verb} " in " ".join(done.stdout.replace("│", " ").split())


# ---------------------------------------------------------------------- train


def test_labels_of_a_csv_make_a_model_with_labels(run, sounds, tmp_path):
    table = pd.DataFrame({"path": sorted(str(path) for path in sounds.iterdir())})
    table["label"] = [Path(path).name.split("_")[0] for path in table["path"]]
    table.to_csv(tmp_path / "sounds.csv", index=False)
    found = run("train", "sounds.csv", "--out", "model", *SMALL, "--max-steps", "2", "--json", "--quiet")
    assert found["condition"] == "label"
    assert found["labels"] == ["falling", "rising"]
    assert load_model(tmp_path / "model").label_names == ("falling", "rising")
    # The same from the names of the files, where that is asked for.
    named = run(
        "train", sounds, "--condition", "label", "--out", "named", *SMALL, "--max-steps", "2", "--json", "--quiet"
    )
    assert named["labels"] == found["labels"]
    assert named["loss"] == found["loss"]


def test_labels_of_folders(run, sounds, tmp_path):
    for path in sounds.iterdir():
        target = tmp_path / "tree" / path.name.split("_")[0] / path.name.split("_")[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    found = run("train", "tree", "--condition", "label", "--out", "m", *SMALL, "--max-steps", "1", "--json", "--quiet")
    assert found["labels"] == ["falling", "rising"]


def test_time_ends_a_training_and_the_same_command_goes_on(run, sounds, tmp_path):
    words = ("train", sounds, "--out", "model", *SMALL, "--condition", "none", "--lr", "0.001", "--quiet", "--json")
    found = run(*words, "--max-steps", "30", "--minutes", "1e-6")
    assert found["steps"] < 30
    found = run(*words, "--max-steps", "30", "--resume")
    assert found["steps"] == 30
    run("train", sounds, "--out", "straight", *words[4:], "--max-steps", "30")
    assert_equal_weights(tmp_path / "model", tmp_path / "straight")
    with pytest.raises(InputError, match=r"has lr 0.001, and the options ask for 0.002"):
        run("train", sounds, "--out", "model", "--lr", "0.002", "--max-steps", "31", "--resume")
    with pytest.raises(InputError, match=r"has residual_layers 2, and the options ask for 3"):
        run("train", sounds, "--out", "model", "--layers", "3", "--max-steps", "31", "--resume")
    with pytest.raises(InputError, match="go on with it"):
        run(*words, "--max-steps", "30")
    assert run("train", sounds, "--out", "model", "--max-steps", "31", "--resume", "--json")["steps"] == 31


def test_padding_is_told_and_left_out(run, sounds):
    words = ("train", sounds, *SMALL[:-1], 3000, "--condition", "none", "--max-steps", "1", "--quiet", "--json")
    with_silence, without = run(*words, "--out", "a"), run(*words, "--out", "b", "--no-pad")
    assert with_silence["padded_recordings"] == without["padded_recordings"] == 12
    assert with_silence["loss"] != without["loss"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give DATA"),
        (("nowhere",), "'nowhere' does not exist.*fsdd, ljspeech-sample"),
        (("SOUNDS", "--recipe", "digits", "--lr", "1"), "leave DATA, --lr out"),
        (("SOUNDS", "--minutes", "0"), "--minutes is 0"),
        (("SOUNDS", "--plot", "loss.txt"), "must end in one of"),
        (("SOUNDS", "--sample-rate", "16000"), "16000 Hz is needed; pass --resample"),
        (("SOUNDS", "--ema", "1"), "ema is 1"),
        (("SOUNDS", "--condition", "none", "--n-mels", "40"), "n_mels is of a vocoder's mel"),
        (("SOUNDS", "--hop-samples", "127"), "no two factors"),
        (("SOUNDS", "--condition", "mel", "--clip-samples", "100"), "clip_samples is 100; .* at least 257"),
        (("SOUNDS", "--resume"), "holds no training to resume"),
        (("fsdd:half",), "split is 'half'"),
    ],
)
def test_trainings_that_cannot_begin(run, sounds, tmp_path, words, message):
    with pytest.raises(InputError, match=message):
        run("train", "--out", "model", *(sounds if word == "SOUNDS" else word for word in words))
    assert not list(tmp_path.iterdir())


def test_a_folder_without_labels_cannot_give_them(run, tmp_path):
    for number in range(3):
        write_audio(tmp_path / "sounds" / f"{number}.wav", np.full(2000, 0.1), RATE)
    with pytest.raises(InputError, match="files named LABEL_anything"):
        run("train", "sounds", "--condition", "label", "--out", "model")


# ---------------------------------------------------------------------- vocode


def test_a_recording_and_its_mel_give_what_python_gives(run, sounds, models, tmp_path):
    source = sounds / "rising_00000.wav"
    options = ("--model", models["vocoder"], "--dtype", "float32", "--seed", "3", "--subtype", "FLOAT", "--json")
    found = run("vocode", source, "copy.wav", *options, "--steps", "1e-4,0.01,0.5")
    vocoder = Vocoder.from_pretrained(models["vocoder"], dtype="float32")
    expected = vocoder.copy_synthesis(samples(source), steps=[1e-4, 0.01, 0.5], seed=3)
    assert np.array_equal(samples(tmp_path / "copy.wav"), expected)
    assert (found["steps"], found["clipped_samples"]) == (3, 0)
    assert found["peak"] == float(np.abs(expected).max())
    assert found["audio_seconds"] == LENGTH / RATE
    assert found["log_mel_error"] > 0
    mel = mel_spectrogram(torch.from_numpy(samples(source)), vocoder.config.mel)
    torch.save(mel, tmp_path / "mel.pt")
    np.save(tmp_path / "mel.npy", mel.numpy())
    for name in ("mel.pt", "mel.npy"):
        found = run("vocode", name, "of_mel.wav", *options, "--steps", "1e-4,0.01,0.5", "--plot", "mel.png")
        assert found["log_mel_error"] is None
        of_mel = samples(tmp_path / "of_mel.wav")
        assert len(of_mel) == 128 * mel.shape[1]
        assert np.array_equal(of_mel[:LENGTH], expected)
    np.save(tmp_path / "transposed.npy", mel.numpy().T)
    with pytest.raises(InputError, match="transposed"):
        run("vocode", "transposed.npy", "out.wav", *options)


def test_a_vocoder_of_levelled_recordings_hears_them_levelled(run, sounds, models, tmp_path):
    """Half as loud a recording gives half as loud a copy, though the model knows one level only."""
    network = load_model(models["vocoder"]).network
    levelled = DiffWave(replace(network.config, level="peak"))
    levelled.load_state_dict(network.state_dict())
    save_model(tmp_path / "levelled", SavedModel(levelled.eval()))
    loud = samples(sounds / "rising_00000.wav")
    for name, gain in (("loud", 1.0), ("soft", 0.5)):
        write_audio(tmp_path / f"{name}.wav", gain * loud, RATE, "FLOAT")
        run("vocode", f"{name}.wav", f"{name}_copy.wav", "--model", "levelled", "--subtype", "FLOAT")
    soft = samples(tmp_path / "soft_copy.wav")
    assert soft == pytest.approx(0.5 * samples(tmp_path / "loud_copy.wav"), abs=1e-4)


def test_formats_rates_and_channels(run, models, tmp_path):
    from scipy.io import wavfile

    pytest.importorskip("soundfile")
    rng = np.random.default_rng(0)
    wavfile.write(tmp_path / "stereo.wav", 16000, (3000 * rng.standard_normal((4096, 2))).astype(np.int16))
    vocode = ("vocode", "stereo.wav", "out.flac", "--model", models["vocoder"], "--json")
    with pytest.raises(InputError, match="pass --mix"):
        run(*vocode, "--resample")
    with pytest.raises(InputError, match="pass --resample"):
        run(*vocode, "--mix")
    assert not (tmp_path / "out.flac").exists()
    assert run(*vocode, "--mix", "--resample")["sample_rate"] == RATE
    assert len(samples(tmp_path / "out.flac")) == 2048
    run("vocode", "out.flac", "out.ogg", "--model", models["vocoder"])
    assert len(samples(tmp_path / "out.ogg")) == 2048


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("SOUND", "out.mp3"), "does not end in .wav, .flac, .ogg"),
        (("SOUND", "out.ogg", "--subtype", "FLOAT"), "no subtype FLOAT"),
        (("SOUND", "SOUND"), "is the recording itself"),
        (("SOUND", "out.wav", "--plot", "out.txt"), "must end in one of"),
        (("SOUND", "out.wav", "--steps", "quick"), "neither full, fast6"),
        (("SOUND", "out.wav", "--steps", "0.9"), "alpha-bar 0.1"),
        (("SOUND", "out.wav", "--steps", "50"), "'50' is a number of steps"),
        (("two.npy", "out.wav", "--plot", "out.png"), "'two.npy' has 2 frames, 256 samples; at least 257"),
        (("two.npy", "out.wav", "--match-level"), "two.npy has 2 frames, 256 samples; at least 257"),
        (("SOUND", "out.wav", "--model", "nowhere"), "nowhere.* ships digits"),
        (("SOUND", "out.wav", "--model", "LABEL"), "a Vocoder needs mel"),
        (("short.wav", "out.wav"), "'short.wav' has 100 samples; at least 257"),
        (("mel.csv", "out.wav"), "mel.csv"),
    ],
)
def test_what_cannot_be_vocoded(run, sounds, models, tmp_path, words, message):
    write_audio(tmp_path / "short.wav", np.full(100, 0.1), RATE)
    np.save(tmp_path / "two.npy", np.full((80, 2), -5.0))
    source = sounds / "rising_00000.wav"
    before = source.read_bytes()
    given = [{"SOUND": source, "LABEL": models["label"]}.get(word, word) for word in words]
    model = () if "--model" in words else ("--model", models["vocoder"])
    with pytest.raises(InputError, match=message):
        run("vocode", *given, *model)
    assert source.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["short.wav", "two.npy"]


# ---------------------------------------------------------------------- generate


def test_labels_by_name_or_number_and_sounds_that_do_not_depend_on_their_count(run, models, tmp_path):
    options = ("--model", models["label"], "--subtype", "FLOAT", "--dtype", "float32", "--steps", "fast6")
    found = run("generate", *options, "--label", "rising", "-n", "3", "--out", "three", "--json")
    assert found["files"] == [f"rising_seed0_000{i}.wav" for i in range(3)]
    run("generate", *options, "--label", "1", "-n", "1", "--out", "one")
    expected = Generator.from_pretrained(models["label"], dtype="float32").sample(3, label=1, steps="fast6")
    for i in range(3):
        assert samples(tmp_path / "three" / f"rising_seed0_000{i}.wav") == pytest.approx(expected[i], abs=1e-6)
    one = samples(tmp_path / "one" / "rising_seed0_0000.wav")
    assert one == pytest.approx(expected[0], abs=1e-4)
    run("generate", *options, "--label", "rising, falling", "-n", "3", "--seed", "7", "--out", "seven")
    names = {path.name for path in (tmp_path / "seven").iterdir()}
    assert names == {"rising_seed7_0000.wav", "falling_seed7_0001.wav", "rising_seed7_0002.wav"}


def test_a_folder_holds_the_sounds_of_one_run(run, models, tmp_path):
    """More sounds of the same names replace those that are there; fewer, or others, would be judged with them."""
    options = ("generate", "--model", models["label"], "--label", "rising", "--steps", "fast6", "--out", "made")
    run(*options, "-n", "2")
    (tmp_path / "made" / "notes.txt").write_text("two")
    before = samples(tmp_path / "made" / "rising_seed0_0001.wav")
    run(*options, "-n", "3")
    assert len(list((tmp_path / "made").glob("*.wav"))) == 3
    assert samples(tmp_path / "made" / "rising_seed0_0001.wav") == pytest.approx(before, abs=0.02)
    with pytest.raises(InputError, match=r"'made' holds sounds .* \('rising_seed0_0001.wav' and 1 more\); give a new"):
        run(*options, "-n", "1")
    with pytest.raises(InputError, match=r"'made' holds sounds .* \('rising_seed0_0000.wav' and 2 more\)"):
        run(*options, "-n", "3", "--seed", "1")
    assert len(list((tmp_path / "made").iterdir())) == 4


def test_sounds_without_labels_of_any_length(run, models, tmp_path):
    found = run(
        "generate", "--model", models["unconditional"], "-n", "2", "--seconds", "0.05", "--out", "made", "--json"
    )
    assert found["labels"] is None
    assert found["files"] == ["sound_seed0_0000.wav", "sound_seed0_0001.wav"]
    assert len(samples(tmp_path / "made" / "sound_seed0_0001.wav")) == 400
    for words, message in (
        (("--label", "1"), "takes no labels"),
        (("--seconds", "0"), "seconds is 0"),
        (("--seconds", "inf"), "seconds is inf"),
        (
            ("--seconds", "1e9"),
            r"16 sounds of 1e\+09 s: this takes about [\d,]{9,}\.\d GB of memory, and there",
        ),
        (("-n", str(10**12)), f"{10**12} sounds of 0.256 s: this takes about"),
        (("--plot", "a.png", "--plot-reverse", "a.png"), "both 'a.png'"),
        (("--plot", "a.txt"), "must end in one of"),
    ):
        with pytest.raises(InputError, match=message):
            run("generate", "--model", models["unconditional"], "--out", "other", *words)
    assert not (tmp_path / "other").exists()


# ---------------------------------------------------------------------- denoise, interpolate


@pytest.mark.parametrize(
    ("words", "factor_of"), [((), None), (("--no-scale",), 5), (("--no-scale", "--step", "20"), 19)]
)
def test_denoising_by_a_model_that_finds_no_noise(run, sounds, models, tmp_path, words, factor_of):
    """Without noise to take away, DDIM divides x_t by sqrt(alpha-bar_t): back to the recording, whatever its level,
    or beyond it where the recording was not scaled to be x_t. The paper's 25 of 200 is 6 of 50."""
    source = sounds / "rising_00000.wav"
    write_audio(tmp_path / "soft.wav", 0.25 * samples(source), RATE, "FLOAT")
    run("denoise", "soft.wav", "out.wav", "--model", models["blank"], "--solver", "ddim", "--subtype", "FLOAT", *words)
    factor = 1.0
    if factor_of is not None:
        factor = load_model(models["blank"]).network.config.schedule.alpha_bar[factor_of] ** -0.5
    assert samples(tmp_path / "out.wav") == pytest.approx(factor * 0.25 * samples(source), rel=1e-4, abs=1e-6)


def test_denoising_gives_what_python_gives_and_a_picture(run, sounds, models, tmp_path):
    source = sounds / "falling_00001.wav"
    words = ("--model", models["label"], "--label", "falling", "--seed", "4", "--dtype", "float32", "--json")
    found = run("denoise", source, "out.wav", *words, "--subtype", "FLOAT", "--plot", "both.png")
    assert (found["step"], found["of_steps"], found["scale"]) == (6, 50, True)
    expected = Generator.from_pretrained(models["label"], dtype="float32").denoise(samples(source), 6, label=0, seed=4)
    assert samples(tmp_path / "out.wav") == pytest.approx(expected, abs=1e-6)
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    for options, message in (
        (("--model", models["label"]), "needs --label, one of falling, rising"),
        (("--model", models["unconditional"], "--label", "1"), "takes no labels"),
        (("--model", models["unconditional"], "--step", "51"), "--step is 51; it must lie between 1 and 50"),
    ):
        with pytest.raises(InputError, match=message):
            run("denoise", source, "other.wav", *options)
    assert not (tmp_path / "other.wav").exists()


def test_between_two_sounds_the_shorter_is_padded(run, sounds, models, tmp_path):
    a, b = sounds / "rising_00000.wav", tmp_path / "short.wav"
    write_audio(b, samples(sounds / "falling_00001.wav")[:1600], RATE, "FLOAT")
    words = ("interpolate", a, b, "out.wav", "--model", models["unconditional"], "--lam", "0.25", "--subtype", "FLOAT")
    text = run(*words, "--dtype", "float32", "--plot", "three.png")
    assert "'short.wav' was padded with 0.06 s of silence" in text
    assert "step 12 of 50" in text  # 50 of 200
    generator = Generator.from_pretrained(models["unconditional"], dtype="float32")
    padded = np.pad(samples(b), (0, LENGTH - 1600))
    expected = generator.interpolate(samples(a), padded, 0.25)
    assert samples(tmp_path / "out.wav") == pytest.approx(expected, abs=1e-6)
    assert (tmp_path / "three.png").read_bytes().startswith(b"\x89PNG")
    run(*words, "--dtype", "float32", "--same-noise", "--step", "3")
    expected = generator.interpolate(samples(a), padded, 0.25, step=3, same_noise=True)
    assert samples(tmp_path / "out.wav") == pytest.approx(expected, abs=1e-6)
    with pytest.raises(InputError, match="is the recording itself"):
        run("interpolate", a, b, b, "--model", models["unconditional"])


# ---------------------------------------------------------------------- evaluate


def test_recordings_judged_against_themselves(run, sounds, judge):
    found = run("evaluate", sounds, sounds, "--classifier", judge, "--json")
    assert found["fid"] == pytest.approx(0, abs=1e-6)
    assert found["fid_class"] == pytest.approx(0, abs=1e-6)
    assert found["ndb"] == 0
    assert found["accuracy"] == found["real_accuracy"]
    assert found["inception_score"] == found["real_inception_score"]
    assert found["modified_inception_score"] >= found["inception_score"] >= 1
    low, high = found["accuracy_interval"]
    assert low <= found["accuracy"] <= high
    assert found["classifier_validation_size"] == 2


def test_labels_come_from_a_csv_from_folders_or_from_names(run, sounds, judge, tmp_path):
    """The same sounds under names of all three kinds; and under names that are no classes, which say nothing."""
    files = sorted(sounds.iterdir())
    labels = [path.name.split("_")[0] for path in files]
    for path, label in zip(files, labels, strict=True):
        for name in (f"tree/{label}/x_{path.name.split('_')[1]}", f"flat/a_{path.name}"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(path.read_bytes())
    swapped = ["rising" if label == "falling" else "falling" for label in labels]
    for name, column in (("right", labels), ("wrong", swapped)):
        pd.DataFrame({"path": list(map(str, files)), "label": column}).to_csv(tmp_path / f"{name}.csv", index=False)
    accuracy = {
        given: run("evaluate", given, sounds, "--classifier", judge, "--json")["accuracy"]
        for given in ("right.csv", "wrong.csv", "tree", "flat", str(sounds))
    }
    assert accuracy["right.csv"] == accuracy["tree"] == accuracy[str(sounds)]
    assert accuracy["wrong.csv"] == pytest.approx(1 - accuracy["right.csv"])
    assert accuracy["flat"] is None


def test_one_class_is_unlike_all_and_named_as_one(run, sounds, judge, tmp_path):
    (tmp_path / "one").mkdir()
    for path in sounds.glob("rising_*"):
        (tmp_path / "one" / path.name).write_bytes(path.read_bytes())
    whole = run("evaluate", sounds, sounds, "--classifier", judge, "--json")
    found = run("evaluate", "one", sounds, "--classifier", judge, "--json")
    assert found["fid"] > whole["fid"] + 1e-3
    assert found["generated_sounds"] == 6
    # Within the one class that was generated, the sounds are the recordings.
    assert found["fid_class"] == pytest.approx(0, abs=1e-6)


def test_numbers_that_say_little_are_marked(run, sounds, tmp_path):
    """Too few sounds for NDB/K, and recordings that the classifier was trained on: 10 of the 12."""
    for number in range(3):
        write_audio(tmp_path / "few" / f"rising_{number}.wav", samples(sounds / "rising_00000.wav"), RATE)
    words = ("evaluate", "few", sounds, "--classifier", "judge")
    with pytest.warns(UserWarning, match="3 generated sounds are too few for 2 bins of NDB/K"):
        text = run(*words, "--train-classifier", sounds, "--epochs", "1")
    assert "* 10 of the 12 real sounds are of its training recordings" in text
    with pytest.warns(UserWarning, match="too few") as caught:
        found = run(*words, "--json")
    assert found["warnings"] == [str(warning.message) for warning in caught]
    assert found["real_sounds_trained_on"] is None  # which the classifier does not know any more


def test_means_say_over_how_many_files_they_are(run, sounds, tmp_path):
    """A recording without voice has no pitch to compare."""
    rng = np.random.default_rng(0)
    voice = 0.3 * np.sign(np.sin(2 * np.pi * 150 * np.arange(RATE) / RATE))
    for name, audio in (("voice", voice), ("hiss", 0.1 * rng.standard_normal(RATE))):
        write_audio(tmp_path / "real" / f"{name}.wav", audio, RATE)
        write_audio(tmp_path / "made" / f"{name}.wav", audio + 0.001 * rng.standard_normal(RATE), RATE)
    found = run("evaluate", "made", "real", "--paired", "--json")
    partly = {name for name, count in found["counts"].items() if count < 2}
    assert partly == {name for name in found["means"] if any(row[name] is None for row in found["files"])}
    assert any("pitch" in name or "f0" in name for name in partly), found
    lines = run("evaluate", "made", "real", "--paired").splitlines()
    assert {line.split()[0] for line in lines if line.endswith("over the 1 that have it")} == {
        name for name in partly if found["counts"][name] == 1
    }


def test_pairs_file_by_file(run, sounds, tmp_path):
    (tmp_path / "copies").mkdir()
    for path in sorted(sounds.glob("rising_*"))[:2]:
        audio = samples(path)
        write_audio(
            tmp_path / "copies" / path.name, audio + 0.01 * np.random.default_rng(0).standard_normal(LENGTH), RATE
        )
    found = run("evaluate", "copies", sounds, "--paired", "--out", "pairs.csv", "--json")
    table = pd.read_csv(tmp_path / "pairs.csv")
    assert list(table["file"]) == [row["file"] for row in found["files"]] == ["rising_00000.wav", "rising_00002.wav"]
    assert found["means"]["log_mel_mae"] == pytest.approx(table["log_mel_mae"].mean())
    assert found["means"]["log_mel_mae"] > 0
    assert found["recordings"] == 12
    assert "2 of 12 recordings have a sound of the same name" in run("evaluate", "copies", sounds, "--paired")
    with pytest.raises(InputError, match=r"no recording of the name 'falling_00001.wav' \(and 9 more\)"):
        run("evaluate", sounds, "copies", "--paired")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give --classifier DIR, or --paired"),
        (("--paired", "--classifier", "judge"), "asks no classifier"),
        (("--classifier", "judge", "--out", "a.csv"), "--out is for the table of --paired"),
        (("--classifier", "nowhere"), "'nowhere' does not exist"),
        (("--classifier", "new", "--train-classifier", "one.csv"), "class 'a' of 'one.csv' has 1 recording"),
        (("--classifier", "new", "--train-classifier", "SOUNDS", "NOWHERE"), "'nowhere' does not exist"),
    ],
)
def test_what_cannot_be_judged(run, sounds, tmp_path, words, message):
    rows = [f"{path},{'a' if i == 0 else 'b'}" for i, path in enumerate(sorted(sounds.iterdir()))]
    (tmp_path / "one.csv").write_text("path,label\n" + "\n".join(rows))
    real = "nowhere" if "NOWHERE" in words else sounds  # is looked at before a classifier is trained
    words = [sounds if word == "SOUNDS" else word for word in words if word != "NOWHERE"]
    with pytest.raises(InputError, match=message):
        run("evaluate", sounds, real, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["one.csv"]


# ---------------------------------------------------------------------- import


def official_names(name):
    """Of a tensor of ours in the authors' code."""
    for ours, theirs in (
        ("parametrizations.weight.original0", "weight_g"),
        ("parametrizations.weight.original1", "weight_v"),
        ("embedding.projection", "residual_layer.fc_t"),
        ("layers.", "residual_layer.residual_blocks."),
        (".step.", ".fc_t."),
        (".dilated.", ".dilated_conv_layer.conv."),
        (".residual.", ".res_conv."),
        (".skip.", ".skip_conv."),
    ):
        name = name.replace(ours, theirs)
    for ours, theirs in (
        ("input.", "init_conv.0.conv."),
        ("skip.", "final_conv.0.conv."),
        ("output.", "final_conv.2.conv."),
    ):
        if name.startswith(ours):
            name = name.replace(ours, theirs, 1)
    return name


def test_a_public_checkpoint_becomes_a_model(run, models, tmp_path):
    ours = load_model(models["unconditional"]).network
    state = {official_names(name): value for name, value in ours.state_dict().items()}
    torch.save({"model_state_dict": state, "optimizer_state_dict": {}}, tmp_path / "12.pkl")
    (tmp_path / "config.json").write_text(json.dumps(asdict(ours.config)))
    common = ("--quiet", "--seed", "1", "--device", "cpu")
    found = run("import", "12.pkl", "--out", "model", "--config", "config.json", "--json", *common)
    assert (found["condition"], found["residual_layers"], found["sample_rate"]) == ("none", 2, RATE)
    assert found["history"]["layout"] == "official"
    for name in ("a", "b"):
        model = "model" if name == "a" else models["unconditional"]
        run("generate", "--model", model, "-n", "1", "--out", name, "--subtype", "FLOAT")
    made = [samples(tmp_path / name / "sound_seed0_0000.wav") for name in ("a", "b")]
    assert np.array_equal(*made)
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(InputError, match="must hold settings by name"):
        run("import", "12.pkl", "--out", "other", "--config", "list.json")
    with pytest.raises(InputError, match="nowhere"):
        run("import", "nowhere.pkl", "--out", "other")
    assert not (tmp_path / "other").exists()


# ---------------------------------------------------------------------- public data


def test_public_data_by_name(run, mirror, tmp_path):
    found = run("train", "fsdd", "--out", "digits", *SMALL, "--max-steps", "1", "--json", "--quiet")
    assert (found["recordings"], found["condition"], found["sample_rate"]) == (2700, "label", 8000)
    assert found["labels"] == list("0123456789")
    run("generate", "--model", "digits", "-n", "10", "--out", "made", "--label", "3,4", "--steps", "fast6")
    with pytest.warns(UserWarning, match="10 generated sounds are too few for 30 bins"):
        judged = run(
            "evaluate", "made", "fsdd:test", "--classifier", "judge", "--train-classifier", "fsdd:test",
            "--epochs", "1", "--json",
        )  # fmt: skip
    assert judged["real_sounds"] == 300
    assert judged["classifier_validation_size"] == 30
    assert judged["real_sounds_trained_on"] == 270
    assert judged["ndb_bins"] == 30
    assert judged["accuracy"] is not None


def test_the_vocoders_data_by_name(run, mirror):
    for name in ("ljspeech-sample", "ljspeech_sample"):
        found = run("train", name, "--out", f"{name}-voice", *SMALL, "--max-steps", "1", "--json", "--quiet")
        assert (found["recordings"], found["condition"], found["sample_rate"]) == (26, "mel", 22050)
