"""``rostra diffwave``: from recordings to a model, and from a model to sound."""

__all__ = ["app"]

import contextlib
import re
import time
import warnings
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rostra.engine.commands import Device, JsonOutput, Quiet, Seed, Threads, emit, list_option, prepare
from rostra.engine.errors import InputError, JobError
from rostra.engine.numbers import duration, number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .data import Clips
    from .model import DiffWaveConfig
    from .sampler import Steps
    from .training import DiffWaveTrainer

app = typer.Typer(help="DiffWave: sound by diffusion: vocode mel spectrograms, generate, denoise, interpolate.")

PAPER_STEPS = 1_000_000
MOST_PANELS = 12
"""Sounds in a picture."""

Recording = Annotated[Path, typer.Argument(help="Recording: .wav, .flac or .ogg.")]
Result = Annotated[Path, typer.Argument(help="Sound to write: .wav, .flac or .ogg.")]
Schedule = Annotated[str, typer.Option(help="fast6, fast12, full, or variances '1e-4,1e-3,0.01,0.05,0.2,0.5'.")]
Dtype = Annotated[
    Literal["auto", "float32", "bf16"], typer.Option(help="Of matrix products; auto: bf16 where it is fast.")
]
Subtype = Annotated[Literal["PCM_16", "PCM_24", "PCM_32", "FLOAT"], typer.Option(help="FLOAT (.wav) clips nothing.")]
Solver = Annotated[Literal["ddpm", "ddim"], typer.Option(help="ddpm (the paper) or ddim, which adds no noise.")]
Resample = Annotated[bool, typer.Option("--resample", help="Convert files of another sample rate.")]
Mix = Annotated[bool, typer.Option("--mix", help="Take the mean of several channels.")]
Picture = Annotated[Path | None, typer.Option(help="Picture of the spectrograms.")]
Label = Annotated[str | None, typer.Option(help="Class, by name or number from 0; for models with labels.")]


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder for the model and what resuming needs.")],
    data: Annotated[
        str | None,
        typer.Argument(help="Folder of .wav, .flac, .ogg; CSV with path[,label]; or fsdd, ljspeech-sample."),
    ] = None,
    recipe: Annotated[
        Literal["speech", "digits", "digits-unconditional"] | None,
        typer.Option(help="Make a model that ships with Rostra again; without DATA."),
    ] = None,
    preset: Annotated[
        Literal["official", "lmnt"] | None, typer.Option(help="The authors' network (default) or lmnt-com's.")
    ] = None,
    size: Annotated[
        Literal["base", "large", "sc09", "sc09-label", "sc09-label-thin", "small"] | None,
        typer.Option(help="The paper's, default base; small: 32 channels and 10 layers, for a CPU."),
    ] = None,
    condition: Annotated[
        Literal["mel", "label", "none"] | None,
        typer.Option(help="Default: label if a CSV has labels, else mel. Labels: CSV, sub-folders or LABEL_name.wav."),
    ] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Residual layers.")] = None,
    channels: Annotated[int | None, typer.Option(min=1, help="Residual channels.")] = None,
    cycle: Annotated[int | None, typer.Option(min=1, help="Layers after which dilations begin at 1 again.")] = None,
    clip_samples: Annotated[
        int | None, typer.Option(min=1, help="Of a training clip; default 16000, without a mel 1 s or the longest.")
    ] = None,
    n_mels: Annotated[int | None, typer.Option(min=1, help="Mel bands; default 80.")] = None,
    n_fft: Annotated[int | None, typer.Option(min=2, help="Default 1024, up to 12 kHz 512.")] = None,
    hop_samples: Annotated[int | None, typer.Option(min=1, help="Samples a mel frame; default n_fft / 4.")] = None,
    f_min: Annotated[float | None, typer.Option(help="Hz of the lowest mel band.")] = None,
    f_max: Annotated[float | None, typer.Option(help="Hz of the highest mel band.")] = None,
    loss: Annotated[Literal["mse", "l1"] | None, typer.Option(help="Default: the preset's.")] = None,
    level: Annotated[
        Literal["peak", "rms", "none"] | None,
        typer.Option(help="Bring each recording to one level; default peak, for vocoders none."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Clips a step; default 16.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate of Adam; default 2e-4.")] = None,
    lr_decay_steps: Annotated[int | None, typer.Option(min=0, help="Steps of a cosine to lr / 100.")] = None,
    ema: Annotated[float | None, typer.Option(help="Average the weights, such as 0.999; default: no.")] = None,
    max_grad_norm: Annotated[float | None, typer.Option(help="Clip gradients, such as 1; default: no.")] = None,
    stratified: Annotated[bool, typer.Option("--stratified", help="Spread the diffusion steps of a batch.")] = False,
    no_pad: Annotated[bool, typer.Option("--no-pad", help="Do not learn the silence that pads clips.")] = False,
    dtype: Annotated[Literal["float32", "bf16"] | None, typer.Option(help="Default float32.")] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Steps in all; default the paper's 1,000,000.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after that time; --resume goes on.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in --out.")] = False,
    sample_rate: Annotated[
        int | None, typer.Option(min=1, help="Hz; default: that of the files, with --resample the paper's.")
    ] = None,
    resample: Resample = False,
    mix: Mix = False,
    plot: Annotated[Path | None, typer.Option(help="Picture of the loss.")] = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Train a model. It is saved every minute, at the end, and on Ctrl-C; --resume goes on from there.

    A training that was stopped or killed and goes on (the same command with --resume) ends as if it had not been
    stopped; on a CPU bit for bit.

    Example: rostra diffwave train recordings --out voice --size small --minutes 60 --plot loss.png
    """
    prepare(quiet=quiet, threads=threads)
    shape = _given(preset=preset, size=size, condition=condition, loss=loss, level=level, clip_samples=clip_samples)
    shape |= _given(residual_layers=layers, residual_channels=channels, dilation_cycle_length=cycle)
    shape |= _given(n_mels=n_mels, n_fft=n_fft, hop_samples=hop_samples, f_min=f_min, f_max=f_max)
    method = _given(batch_size=batch_size, lr=lr, lr_decay_steps=lr_decay_steps, ema=ema, max_grad_norm=max_grad_norm)
    method |= _given(stratified=stratified or None, pad=False if no_pad else None, seed=seed or None)
    method |= _given(dtype=dtype and _DTYPES[dtype])
    reading = _given(sample_rate=sample_rate, resample=resample or None, mix=mix or None)
    if minutes is not None and not minutes > 0:
        raise InputError(f"--minutes is {minutes:g}; it must be above 0")
    _check_recipe(recipe, data, [*shape, *method, *reading])
    _check_training_files(out, plot, resume=resume)
    if recipe is None:
        trainer = _own_training(str(data), out, shape, method, reading, resume=resume, device=device)
        total = max_steps or PAPER_STEPS
    else:
        trainer, steps = _recipe_training(recipe, out, resume=resume, device=device)
        total = max_steps or steps
    before = trainer.steps
    _run_training(trainer, out, total, minutes, quiet=quiet)
    if plot is not None:
        _plot_training(out, plot)
    found = {"out": str(out), "resumed_from": before, **trainer.summary()}
    emit(found, _training_text(found, total), json_output)


@app.command()
def vocode(
    source: Annotated[Path, typer.Argument(help="Mel spectrogram (n_mels, F): .npy, .pt; or a recording, to copy.")],
    out: Result,
    model: Annotated[str, typer.Option(help="Folder of a vocoder, or speech, which ships with Rostra.")] = "speech",
    steps: Schedule = "fast6",
    solver: Solver = "ddpm",
    match_level: Annotated[
        bool, typer.Option("--match-level", help="As loud as the mel; few steps give less.")
    ] = False,
    dtype: Dtype = "auto",
    subtype: Subtype = "PCM_16",
    resample: Resample = False,
    mix: Mix = False,
    plot: Picture = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Turn a mel spectrogram into sound. A recording is copied: its mel is computed, and vocoded again.

    Example: rostra diffwave vocode speech.wav copy.wav --model speech --steps fast6
    """
    prepare(quiet=quiet, threads=threads)
    from rostra.engine.plots import check_picture, save_picture

    from .features import mel_spectrogram, read_mel
    from .metrics import log_mel_error
    from .plots import plot_mels, plot_spectrograms
    from .synthesis import Vocoder

    vocoder = Vocoder.from_pretrained(model, dtype=_DTYPES[dtype], device=device)
    config = vocoder.config
    schedule, count = _schedule(steps, config)
    options: dict[str, Any] = {"steps": schedule, "seed": seed, "solver": solver, "match_level": match_level}
    recording = None
    if source.suffix.lower() in (".npy", ".pt"):
        mel = read_mel(source, config.mel)
    else:
        recording = _read(source, config, resample=resample, mix=mix, shortest=config.mel.shortest)
    _check_output(out, subtype, source)
    if plot is not None:
        check_picture(plot)
        if recording is None and mel.shape[1] * config.hop_samples < config.mel.shortest:
            raise InputError(
                f"'{source}' has {mel.shape[1]} frames, {mel.shape[1] * config.hop_samples} samples; "
                f"at least {config.mel.shortest} are needed for a picture"
            )
    began = time.perf_counter()
    if recording is None:
        with warnings.catch_warnings():  # of the mel's values, which reading it gave already
            warnings.filterwarnings("ignore", re.escape(f"'{source}'"))
            audio = vocoder.vocode(mel, name=str(source), **options)
    else:
        levelled, gain = vocoder.at_training_level(recording)
        audio = gain * vocoder.copy_synthesis(levelled, **options)
    speed = _speed(began, audio, config.sample_rate)
    distance = None
    if recording is not None:
        with contextlib.suppress(InputError):  # too short for the metric's front end, which need not be the model's
            distance = log_mel_error(recording, audio, config.sample_rate)
    found = {
        "model": model,
        "input": "mel" if recording is None else "recording",
        "schedule": steps,
        "steps": count,
        "dtype": str(vocoder.dtype).removeprefix("torch."),
        **_write(out, audio, config.sample_rate, subtype),
        **speed,
        "log_mel_error": distance,
    }
    if plot is not None:
        import torch

        if recording is not None:
            figure = plot_spectrograms({source.name: recording, out.name: audio}, config.sample_rate)
        else:
            figure = plot_mels(
                {source.name: mel, out.name: mel_spectrogram(torch.from_numpy(audio), config.mel)}, config.mel
            )
        save_picture(figure, plot)
    more = "" if distance is None else f"; log-mel error {number(distance)} against the recording"
    _tell(found, f"{steps} ({count} steps), {found['dtype']}", json_output, more=more)


@app.command()
def generate(
    out: Annotated[Path, typer.Option(help="Folder for the sounds, LABEL_seedS_0000.wav and on.")],
    model: Annotated[
        str, typer.Option(help="Folder of a model, or digits, digits-unconditional, which ship with Rostra.")
    ] = "digits",
    label: Annotated[
        str | None, typer.Option(help="Classes a,b,c, by name or number from 0, taken in turn; default: all.")
    ] = None,
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="Sounds.")] = 16,
    seconds: Annotated[float | None, typer.Option(help="Of each; default: that of the training clips.")] = None,
    steps: Schedule = "full",
    solver: Solver = "ddpm",
    dtype: Dtype = "auto",
    subtype: Subtype = "PCM_16",
    plot: Picture = None,
    plot_reverse: Annotated[Path | None, typer.Option(help="Picture of the first sound on its way.")] = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """New sounds, as WAV files. Sound i of a seed is the same, whatever their number.

    Example: rostra diffwave generate --model digits --label 3 -n 16 --out threes --plot threes.png
    """
    prepare(quiet=quiet, threads=threads)
    from rostra.engine.files import writable
    from rostra.engine.plots import check_picture, save_picture

    from . import plots
    from .data import label_in_file_name
    from .synthesis import Generator

    generator = Generator.from_pretrained(model, dtype=_DTYPES[dtype], device=device)
    config, trained = generator.config, generator.model
    schedule, count = _schedule(steps, config)
    generator.check_memory(n, seconds)
    names = trained.class_names
    chosen = None
    if config.condition == "label":
        asked = range(len(names)) if label is None else [trained.class_number(text) for text in list_option(label)]
        if not asked:
            raise InputError(f"--label is empty; give one or some of {trained.listed_classes}")
        chosen = [asked[i % len(asked)] for i in range(n)]
    elif label is not None:
        raise InputError(f"model '{model}' takes no labels; leave --label out")
    files = [f"{label_in_file_name(names[chosen[i]]) if chosen else 'sound'}_seed{seed}_{i:04d}.wav" for i in range(n)]
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file; the sounds go into a folder")
    _check_no_others(out, files)
    for picture in (plot, plot_reverse):
        if picture is not None:
            check_picture(picture)
    if plot is not None and plot == plot_reverse:
        raise InputError(f"--plot and --plot-reverse are both '{plot}'; give two names")
    writable(out / files[0])
    snapshots: dict[int, Any] = {}
    began = time.perf_counter()
    sounds = generator.sample(
        n,
        seconds=seconds,
        label=chosen,
        seed=seed,
        steps=schedule,
        solver=solver,
        # Sounds go through in groups; the first sound is in the first of them.
        watch=lambda place, audio: snapshots.setdefault(place, audio[0].numpy().copy()) if plot_reverse else None,
    )
    speed = _speed(began, sounds, config.sample_rate)
    written = [
        _write(out / file, audio, config.sample_rate, subtype) for file, audio in zip(files, sounds, strict=True)
    ]
    if plot is not None:
        shown = {PurePath(file).stem: audio for file, audio in zip(files[:MOST_PANELS], sounds, strict=False)}
        save_picture(plots.plot_spectrograms(shown, config.sample_rate), plot)
    if plot_reverse is not None:
        save_picture(plots.plot_reverse(list(snapshots.items()), config.sample_rate), plot_reverse)
    found = {
        "model": model,
        "out": str(out),
        "files": files,
        "labels": None if chosen is None else [names[label] for label in chosen],
        "schedule": steps,
        "steps": count,
        "dtype": str(generator.dtype).removeprefix("torch."),
        "sample_rate": config.sample_rate,
        "peak": max(sound["peak"] for sound in written),
        "clipped_samples": sum(sound["clipped_samples"] for sound in written),
        **speed,
    }
    how = f"{steps} ({count} steps), {found['dtype']}"
    last = f" to {files[-1]}" if n > 1 else ""
    _tell(found, how, json_output, what=f"{n} sound{'s' * (n > 1)}, ", files=f": {files[0]}{last}")


@app.command()
def denoise(
    source: Recording,
    out: Result,
    model: Annotated[
        str, typer.Option(help="Folder of a model without mel, or digits-unconditional.")
    ] = "digits-unconditional",
    step: Annotated[
        int | None, typer.Option(min=1, help="Of T: how much noise to take away; default the paper's 25/200 of T.")
    ] = None,
    no_scale: Annotated[bool, typer.Option("--no-scale", help="Take the recording as x_t without scaling.")] = False,
    label: Label = None,
    solver: Solver = "ddpm",
    dtype: Dtype = "auto",
    subtype: Subtype = "PCM_16",
    resample: Resample = False,
    mix: Mix = False,
    plot: Picture = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Take the noise out of a recording with a model that has seen none: it is one step of the way from noise to sound.

    The recording is brought to the level that the model knows, and back.

    Example: rostra diffwave denoise noisy.wav clean.wav --model digits-unconditional --step 6 --plot both.png
    """
    prepare(quiet=quiet, threads=threads)
    from rostra.engine.plots import check_picture, save_picture

    from .plots import plot_spectrograms
    from .synthesis import Generator

    generator = Generator.from_pretrained(model, dtype=_DTYPES[dtype], device=device)
    config = generator.config
    total = config.noise_schedule[0]
    step = _step(step, total, max(1, round(25 / 200 * total)))
    chosen = _one_class(label, model, generator)
    recording = _read(source, config, resample=resample, mix=mix)
    _check_output(out, subtype, source)
    if plot is not None:
        check_picture(plot)
    levelled, gain = generator.at_training_level(recording)
    began = time.perf_counter()
    audio = gain * generator.denoise(levelled, step, scale=not no_scale, label=chosen, seed=seed, solver=solver)
    found = {
        "model": model,
        "step": step,
        "of_steps": total,
        "scale": not no_scale,
        **_speed(began, audio, config.sample_rate),
        **_write(out, audio, config.sample_rate, subtype),
    }
    if plot is not None:
        save_picture(plot_spectrograms({source.name: recording, out.name: audio}, config.sample_rate), plot)
    _tell(found, f"step {step} of {total}", json_output)


@app.command()
def interpolate(
    first: Annotated[Path, typer.Argument(metavar="A", help="Recording: .wav, .flac or .ogg.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    out: Result,
    model: Annotated[str, typer.Option(help="Folder of a model without mel, or digits, digits-unconditional.")] = (
        "digits"
    ),
    lam: Annotated[float, typer.Option(min=0.0, max=1.0, help="0: A; 1: B.")] = 0.5,
    step: Annotated[
        int | None, typer.Option(min=1, help="Of T, at which they are mixed; default the paper's 50/200 of T.")
    ] = None,
    label: Label = None,
    same_noise: Annotated[bool, typer.Option("--same-noise", help="One noise for both.")] = False,
    dtype: Dtype = "auto",
    subtype: Subtype = "PCM_16",
    resample: Resample = False,
    mix: Mix = False,
    plot: Picture = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """A sound between two, such as one word between two speakers. The shorter is padded with silence.

    Both are brought to the level of the model's training clips, if it has one, and so is what is written.

    Example: rostra diffwave interpolate 3_anna.wav 3_bob.wav between.wav --model digits --label 3 --lam 0.5
    """
    prepare(quiet=quiet, threads=threads)
    from rostra.engine.plots import check_picture, save_picture

    from .data import equally_long
    from .plots import plot_spectrograms
    from .synthesis import Generator

    generator = Generator.from_pretrained(model, dtype=_DTYPES[dtype], device=device)
    config = generator.config
    total = config.noise_schedule[0]
    step = _step(step, total, max(1, total // 4))
    chosen = _one_class(label, model, generator)
    recordings = [_read(path, config, resample=resample, mix=mix) for path in (first, second)]
    for path in (first, second):
        _check_output(out, subtype, path)
    if plot is not None:
        check_picture(plot)
    a, b = (generator.at_training_level(recording)[0] for recording in recordings)
    a, b = equally_long([a, b])
    padded = abs(len(recordings[0]) - len(recordings[1]))
    began = time.perf_counter()
    audio = generator.interpolate(a, b, lam, step=step, label=chosen, same_noise=same_noise, seed=seed)
    found = {
        "model": model,
        "lambda": lam,
        "step": step,
        "of_steps": total,
        "padded_seconds": padded / config.sample_rate,
        **_speed(began, audio, config.sample_rate),
        **_write(out, audio, config.sample_rate, subtype),
    }
    if plot is not None:
        shown = {f"A: {first.name}": a, f"lambda {lam:g}: {out.name}": audio, f"B: {second.name}": b}
        save_picture(plot_spectrograms(shown, config.sample_rate), plot)
    how = f"lambda {lam:g}, step {step} of {total}"
    if padded:
        shorter = first if len(recordings[0]) < len(recordings[1]) else second
        how += f"\n'{shorter.name}' was padded with {found['padded_seconds']:.2f} s of silence"
    _tell(found, how, json_output)


@app.command()
def evaluate(
    generated: Annotated[str, typer.Argument(help="Sounds to judge: a folder, or a CSV with path[,label].")],
    real: Annotated[str, typer.Argument(help="Recordings: the same, or fsdd, fsdd:test, ljspeech-sample ...")],
    classifier: Annotated[Path | None, typer.Option(help="Folder of the classifier that judges.")] = None,
    train_classifier: Annotated[
        str | None, typer.Option(help="Train it first on labelled recordings, and save it to --classifier.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Of that training.")] = 20,
    bins: Annotated[int, typer.Option(min=2, help="Most bins of NDB/K; at least 10 recordings a bin.")] = 50,
    paired: Annotated[bool, typer.Option("--paired", help="Compare files of equal names, as for a vocoder.")] = False,
    out: Annotated[Path | None, typer.Option(help="CSV file for the numbers of each file (--paired).")] = None,
    resample: Resample = False,
    mix: Mix = False,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """How good sounds are: FID, IS, mIS, AM and NDB/K by a classifier; or, --paired, against the recordings one by one.

    Accuracy and FID-class need labels: of the CSV, else the names of sub-folders, else LABEL_anything.wav, if all of
    them are classes of the classifier. Numbers of different classifiers cannot be compared.

    Example: rostra diffwave evaluate sounds fsdd:test --classifier judge --train-classifier fsdd
    """
    prepare(quiet=quiet, threads=threads)
    import numpy as np

    from rostra.engine.checkpoints import check_folder

    from .classifier import SoundClassifier
    from .data import load_clips
    from .evaluation import evaluate_sounds, judge_data, sounds_table, train_judge

    if paired:
        if classifier is not None or train_classifier is not None:
            raise InputError("--paired compares sounds with recordings and asks no classifier; leave it out")
        _evaluate_pairs(generated, real, out, resample=resample, mix=mix, as_json=json_output)
        return
    if out is not None:
        raise InputError("--out is for the table of --paired; --json prints the numbers of a set")
    if classifier is None:
        raise InputError("a set of sounds is judged by a classifier: give --classifier DIR, or --paired")
    judge = trained_on = None
    if train_classifier is None:
        judge = SoundClassifier.load(classifier, device=device)
        sounds = load_clips(generated, sample_rate=judge.config.sample_rate, resample=resample, mix=mix)
    else:
        check_folder(classifier)
        sounds = load_clips(generated, mix=mix)
    recordings = load_clips(real, sample_rate=sounds.sample_rate, resample=resample, mix=mix)
    for name, clips in ((generated, sounds), (real, recordings)):
        if len(clips) < 2:
            raise InputError(f"'{name}' has {len(clips)} sound; a set has at least 2")
    if judge is None:
        trained_on, held_out = judge_data(
            str(train_classifier), sounds.sample_rate, resample=resample, mix=mix, seed=seed
        )
        length = int(np.median(sounds.lengths))
        judge = train_judge(trained_on, held_out, length=length, epochs=epochs, seed=seed, device=device)
        judge.save(classifier)
    found = {
        "generated": generated,
        "real": real,
        "classifier": str(classifier),
        **evaluate_sounds(judge, sounds, recordings, bins=bins, seed=seed, trained_on=trained_on),
    }
    emit(found, sounds_table(found), json_output)


@app.command("import")
def import_model(
    checkpoint: Annotated[Path, typer.Argument(help="The authors' .pkl, or lmnt-com's weights.pt.")],
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    layout: Annotated[Literal["auto", "official", "lmnt"], typer.Option(help="auto: by the names in it.")] = "auto",
    config: Annotated[
        Path | None, typer.Option(help="JSON with the settings of DiffWaveConfig; for sizes that are not public ones.")
    ] = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Turn a public checkpoint into a model of Rostra. Nothing in the file is executed.

    Nothing is drawn or computed here: --seed and --device, which all verbs have, change nothing.

    Example: rostra diffwave import 1000000.pkl --out base
    """
    prepare(quiet=quiet, threads=threads)
    from rostra.engine.checkpoints import check_folder
    from rostra.engine.runtime import resolve_device

    from .checkpoints import read_config, save_model, summary_of
    from .imports import import_checkpoint

    resolve_device(device)
    check_folder(out)
    settings = None if config is None else read_config(config)
    model = import_checkpoint(checkpoint, layout=layout, config=settings)
    save_model(out, model)
    found = {"out": str(out), **summary_of(model.network), "history": model.history}
    emit(
        found,
        f"condition {found['condition']}, {found['residual_layers']} layers of {found['residual_channels']} channels, "
        f"{found['parameters'] / 1e6:.2f} M parameters, {found['diffusion_steps']} steps, {found['sample_rate']} Hz\n"
        f"saved to {out}; next: rostra diffwave {_use(found)} --model {out}",
        json_output,
    )


# ---------------------------------------------------------------------- sounds in and out

_DTYPES = {"auto": "auto", "float32": "float32", "bf16": "bfloat16"}


def _read(
    path: Path, config: "DiffWaveConfig", *, resample: bool, mix: bool, shortest: int = 1
) -> "NDArray[np.float32]":
    from .audio import read_audio

    samples, _ = read_audio(path, sample_rate=config.sample_rate, resample=resample, mix=mix)
    if len(samples) < shortest:
        raise InputError(f"'{path}' has {len(samples)} samples; at least {shortest} are needed for its mel spectrogram")
    return samples


def _check_output(out: Path, subtype: str, source: Path) -> None:
    """Check, before any work, that a sound can be written."""
    import importlib.util

    from rostra.engine.files import writable

    from .audio import SUFFIXES

    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"'{out}' does not end in {', '.join(SUFFIXES)}; its suffix says the format")
    if suffix != ".wav" and not importlib.util.find_spec("soundfile"):
        raise InputError("FLAC and OGG files need soundfile: pip install 'rostra[audio]'")
    held = {".wav": ("PCM_16", "PCM_24", "PCM_32", "FLOAT"), ".flac": ("PCM_16", "PCM_24"), ".ogg": ("PCM_16",)}
    if subtype not in held[suffix]:
        raise InputError(f"'{out}': {suffix} files have no subtype {subtype}; leave --subtype out, or write a .wav")
    if out.exists() and out.samefile(source):
        raise InputError(f"'{out}' is the recording itself; give another name for the result")
    writable(out)


def _write(out: Path, audio: "NDArray[np.float32]", sample_rate: int, subtype: Any) -> dict[str, Any]:
    """Write a sound and say what it is."""
    import numpy as np

    from .audio import write_audio

    clipped = write_audio(out, audio, sample_rate, subtype)
    return {"out": str(out), "sample_rate": sample_rate, "peak": float(np.abs(audio).max()), "clipped_samples": clipped}


def _check_no_others(out: Path, files: Sequence[str]) -> None:
    """Check that a folder will hold the sounds of one run alone, as it is to be judged as a set."""
    from .audio import SUFFIXES

    if not out.is_dir():
        return
    others = sorted({path.name for path in out.iterdir() if path.suffix.lower() in SUFFIXES} - set(files))
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise InputError(
            f"'{out}' holds sounds that these would not replace ('{others[0]}'{more}); give a new or empty folder"
        )


def _speed(began: float, audio: "NDArray[np.float32]", sample_rate: int) -> dict[str, float]:
    seconds, length = time.perf_counter() - began, audio.size / sample_rate
    return {"audio_seconds": length, "seconds": round(seconds, 4), "real_time_factor": seconds / length}


def _tell(found: dict[str, Any], how: str, as_json: bool, *, what: str = "", more: str = "", files: str = "") -> None:
    """Say what was made, how fast and how loud."""
    clipped = found["clipped_samples"]
    if clipped:
        size = round(found["audio_seconds"] * found["sample_rate"])
        typer.echo(
            f"warning: {clipped} of {size} samples lie beyond full scale and were clipped; --subtype FLOAT keeps them",
            err=True,
        )
    emit(
        found,
        f"{what}{found['audio_seconds']:.2f} s of sound in {found['seconds']:.2f} s, real-time factor "
        f"{number(found['real_time_factor'])}; {how}\n"
        f"peak {found['peak']:.3f}, {clipped or 'no'} sample{'' if clipped == 1 else 's'} clipped{more}\n"
        f"written to {found['out']}{files}",
        as_json,
    )


# ---------------------------------------------------------------------- what options name


def _schedule(text: str, config: "DiffWaveConfig") -> "tuple[Steps, int]":
    """What --steps says, and how many steps these are."""
    from .sampler import chosen_schedule, schedule_of

    steps = chosen_schedule(text)
    return steps, len(schedule_of(config, steps))


def _step(step: int | None, total: int, default: int) -> int:
    if step is not None and step > total:
        raise InputError(f"--step is {step}; it must lie between 1 and {total}, the model's number of steps")
    return step or default


def _one_class(label: str | None, model: str, generator: Any) -> int | None:
    if generator.config.condition != "label":
        if label is not None:
            raise InputError(f"model '{model}' takes no labels; leave --label out")
        return None
    if label is None:
        raise InputError(f"model '{model}' needs --label, one of {generator.model.listed_classes}")
    return int(generator.model.class_number(label))


# ---------------------------------------------------------------------- training


_OPTIONS = {
    "residual_layers": "layers",
    "residual_channels": "channels",
    "dilation_cycle_length": "cycle",
    "pad": "no-pad",
}
"""Names of options where they are not those of the settings."""


def _given(**options: Any) -> dict[str, Any]:
    """Those that are not left to a default."""
    return {name: value for name, value in options.items() if value is not None}


def _check_recipe(recipe: str | None, data: str | None, options: Sequence[str]) -> None:
    if recipe is None:
        if data is None:
            raise InputError("give DATA, a folder of recordings, a CSV, fsdd or ljspeech-sample; or --recipe")
        return
    words = ["DATA"] * (data is not None) + [_option(name) for name in options]
    if words:
        raise InputError(f"--recipe {recipe} has data and settings of its own; leave {', '.join(words)} out")


def _option(name: str) -> str:
    return f"--{_OPTIONS.get(name, name).replace('_', '-')}"


def _check_training_files(out: Path, plot: Path | None, *, resume: bool) -> None:
    """Check, before any work, that a training can be written."""
    from rostra.engine.plots import check_picture

    from .training import check_training_folder

    check_training_folder(out, resume=resume)
    if plot is not None:
        check_picture(plot)


def _own_training(
    data: str,
    out: Path,
    shape: dict[str, Any],
    method: dict[str, Any],
    reading: dict[str, Any],
    *,
    resume: bool,
    device: str | None,
) -> "DiffWaveTrainer":
    """A training on a user's recordings, with the options given for its network, its method and reading the files."""
    from .presets import network_config
    from .training import DiffWaveTrainer, TrainConfig

    training = TrainConfig(**method)
    clips = _training_clips(data, shape.get("condition"), shape.get("size"), reading)
    if not resume:
        return DiffWaveTrainer(network_config(clips, **shape), training, clips, device)
    network = network_config(clips, **shape) if shape else None
    trainer = DiffWaveTrainer.resume(out, clips, device)
    trainer.check_unchanged(out, network, method)
    return trainer


def _training_clips(data: str, condition: Any, size: str | None, reading: dict[str, Any]) -> "Clips":
    """The recordings, with labels where the network needs them; those to resample without a rate get the paper's."""
    from .data import load_clips, with_labels
    from .presets import asks_for_labels, default_sample_rate

    if "resample" in reading:
        reading = {"sample_rate": default_sample_rate(size), **reading}
    clips = load_clips(data, **reading)
    if clips.labels is None and asks_for_labels(condition, size):
        return with_labels(clips, data)
    return clips


def _recipe_training(recipe: str, out: Path, *, resume: bool, device: str | None) -> "tuple[DiffWaveTrainer, int]":
    """The training of a model that ships with Rostra, and its number of steps."""
    from .pretrained import MODELS
    from .training import DiffWaveTrainer

    model = MODELS[recipe]
    if not resume:
        return DiffWaveTrainer(model.config, model.training, model.clips(), device), model.steps
    trainer = DiffWaveTrainer.resume(out, model.clips(), device)
    trainer.check_unchanged(out, model.config, vars(model.training))
    return trainer, model.steps


def _run_training(trainer: "DiffWaveTrainer", out: Path, total: int, minutes: float | None, *, quiet: bool) -> None:
    """Train until the steps are done or the time is over, and save; a signal ends it with an error."""
    from .training import stop_on_signals

    seconds = None if minutes is None else 60 * minutes
    with stop_on_signals() as stop:
        if not quiet:
            typer.echo(_announcement(trainer, total), err=True)
        trainer.train(total, seconds=seconds, save=lambda current: current.save(out), stop=stop)
    if stop() and trainer.steps < total:
        raise JobError(
            f"stopped after {trainer.steps} of {total} steps; the model is in '{out}', and the same command with "
            "--resume goes on"
        )


def _plot_training(out: Path, plot: Path) -> None:
    from rostra.engine.plots import save_picture

    from .plots import plot_loss
    from .training import LOG

    save_picture(plot_loss(out / LOG), plot)


def _announcement(trainer: "DiffWaveTrainer", total: int) -> str:
    config, clips, found = trainer.config, trainer.clips, trainer.summary()
    line = (
        f"{len(clips)} recordings, {duration(clips.seconds)} at {clips.sample_rate} Hz; condition {config.condition}, "
        f"{found['parameters'] / 1e6:.2f} M parameters, step {trainer.steps} of {total} on {trainer.device}; "
        "Ctrl-C saves"
    )
    if trainer.short:
        seconds = config.clip_samples / config.sample_rate
        learned = "which is learned too (--no-pad)" if trainer.training.pad else "which does not count"
        line += f"\n{trainer.short} recordings are shorter than {seconds:.2f} s and padded with silence, {learned}"
    return line


def _training_text(found: dict[str, Any], total: int) -> str:
    steps, seconds, out = found["steps"], found["seconds"], found["out"]
    spent = f"{seconds:.1f} s" if seconds < 90 else duration(seconds)
    lines = [
        f"{steps} steps in {spent} ({seconds / max(steps, 1):.3f} s a step), loss {number(found['loss'])} "
        f"(by quarter, least noise first: {', '.join(map(number, found['loss_by_quarter']))})"
    ]
    if steps < total:
        lines.append(f"stopped before step {total}; the same command with --resume goes on")
    return "\n".join([*lines, f"saved to {out}; next: rostra diffwave {_use(found)} --model {out}"])


def _use(found: dict[str, Any]) -> str:
    return "vocode IN.wav OUT.wav" if found["condition"] == "mel" else "generate --out sounds"


# ---------------------------------------------------------------------- evaluation


def _evaluate_pairs(generated: str, real: str, out: Path | None, *, resample: bool, mix: bool, as_json: bool) -> None:
    from rostra.engine.files import writable, write_atomically

    from .data import load_clips
    from .evaluation import evaluate_pairs

    if out is not None:
        writable(out)
    sounds = load_clips(generated, mix=mix)
    recordings = load_clips(real, sample_rate=sounds.sample_rate, resample=resample, mix=mix)
    table = evaluate_pairs(sounds, recordings, generated_name=generated, real_name=real)
    if out is not None:
        with write_atomically(out) as temporary:
            table.to_csv(temporary, index=False, float_format="%.8g")
    numbers = table.drop(columns="file")
    means = {name: float(mean) for name, mean in numbers.mean().items()}
    counts = {name: int(count) for name, count in numbers.count().items()}
    text = [f"{len(table)} of {len(recordings)} recordings have a sound of the same name; means over the files:"]
    for name, value in means.items():
        partly = f"  over the {counts[name]} that have it" if counts[name] < len(table) else ""
        text.append(f"{name:<20}{number(value):>10}{partly}")
    text.append("no number stands alone for quality, and none of them for listeners")
    if out is not None:
        text.append(f"each file's numbers are in {out}")
    found = {"files": table.to_dict("records"), "means": means, "counts": counts, "recordings": len(recordings)}
    emit(found, "\n".join(text), as_json)
