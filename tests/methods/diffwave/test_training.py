"""Training: what the first step is, what a batch holds, and that a stopped training goes on bit for bit."""

import csv
import dataclasses
import json
import math
import random
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rostra.engine.errors import InputError
from rostra.methods.diffwave.checkpoints import load_model
from rostra.methods.diffwave.data import Clips
from rostra.methods.diffwave.features import mel_spectrogram
from rostra.methods.diffwave.model import DiffWaveConfig
from rostra.methods.diffwave.objective import diffuse
from rostra.methods.diffwave.sounds import synthetic_sounds
from rostra.methods.diffwave.training import (
    LOG,
    TRAINING_FOLDER,
    DiffWaveTrainer,
    TrainConfig,
    check_memory,
    fit,
    stop_on_signals,
)

TINY = {
    "residual_layers": 4,
    "residual_channels": 8,
    "dilation_cycle_length": 4,
    "sample_rate": 8000,
    "clip_samples": 512,
    "noise_schedule": (20, 1e-4, 0.05),
    "inference_noise_schedule": (1e-3, 1e-2, 0.05, 0.2),
}
PLAIN = DiffWaveConfig(**TINY, condition="none")
LABEL = DiffWaveConfig(**TINY, condition="label", n_classes=2)
FRONT = {"n_mels": 10, "n_fft": 256, "win_length": 256, "hop_samples": 64, "f_max": 4000.0}
MEL = DiffWaveConfig(**TINY, **FRONT)
LMNT = DiffWaveConfig(
    **TINY, **FRONT, features="lmnt", f_min=20.0, upsampler="shared", embedding="table", weight_norm=False
)
CONFIGS = {"none": PLAIN, "label": LABEL, "mel": MEL, "lmnt": LMNT}
QUICK = TrainConfig(batch_size=4, lr=3e-3)


def sounds(n=6, length=700, **options):
    return synthetic_sounds(n, classes=2, length=length, **options)


def trainer_of(config, training=QUICK, clips=None):
    return DiffWaveTrainer(config, training, sounds() if clips is None else clips, "cpu")


def weights(trainer):
    return {name: value.clone() for name, value in trainer.network.state_dict().items()}


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


# The first step


@pytest.mark.parametrize(("loss", "expected"), [("mse", 1.0), ("l1", math.sqrt(2 / math.pi))])
def test_an_untrained_official_network_predicts_nothing(loss, expected):
    """Its loss is that of no prediction at all, and the gradient reaches only the zero convolution at its end."""
    config = dataclasses.replace(PLAIN, loss=loss, residual_layers=1, residual_channels=4, clip_samples=16000)
    trainer = trainer_of(config, TrainConfig(batch_size=16))
    assert trainer.step() == pytest.approx(expected, abs=0.01)
    for name, parameter in trainer.network.named_parameters():
        moved = parameter.grad is not None and bool((parameter.grad != 0).any())
        assert moved == (name in ("output.weight", "output.bias")), name


def test_an_untrained_lmnt_network_predicts_a_constant():
    trainer = trainer_of(dataclasses.replace(LMNT, zero_head_bias=False))
    audio, _, mel, _ = trainer.batch()
    predicted = trainer.network(audio, torch.arange(4.0), mel).detach()
    assert torch.equal(predicted, predicted[:1, :1].expand_as(predicted))
    assert float(predicted[0, 0].abs()) > 0


def test_the_loss_falls():
    trainer = trainer_of(PLAIN, TrainConfig(batch_size=8, lr=3e-3, stratified=True))
    losses = [trainer.step() for _ in range(60)]
    assert losses[0] == pytest.approx(1.0, abs=0.1)
    assert np.mean(losses[-10:]) < 0.6


# Threads


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("count", [2, 3, 8])
def test_threads_do_not_change_a_bit(config, count, threads):
    """Items are not a multiple of the shares, shares not one of the threads, and of gradients every bit counts."""
    training = TrainConfig(batch_size=5, lr=3e-3, max_grad_norm=0.1, pad=config.condition == "mel")
    clips = sounds(length=400)
    alone, together = trainer_of(config, training, clips), trainer_of(config, training, clips)
    for _ in range(3):
        threads(1)
        loss = alone.step()
        threads(count)
        assert together.step() == loss
        assert torch.get_num_threads() == count
    assert_equal(weights(alone), weights(together))


def test_large_gradients_have_one_norm_on_any_number_of_threads(threads):
    """PyTorch sums more than 2^15 numbers in another order where it has several threads."""
    config = dataclasses.replace(PLAIN, residual_channels=64)
    assert max(parameter.numel() for parameter in trainer_of(config).network.parameters()) > 2**15
    found = []
    for count in (1, 2):
        threads(count)
        found.append(trainer_of(config, dataclasses.replace(QUICK, max_grad_norm=0.01)).train(3))
    assert_equal(*map(weights, found))


@pytest.mark.parametrize(("count", "shares"), [(2, [1, 1]), (3, [1, 2]), (5, [1, 2, 2])])
def test_threads_share_the_items(threads, monkeypatch, count, shares):
    """Two at a time, or one of two, each by some thread; the gradients are those of all at once."""
    threads(2)
    trainer = trainer_of(MEL, TrainConfig(batch_size=count))
    together = threading.Barrier(2, timeout=30)
    predict, seen = trainer.predict, []

    def watched(noisy, *given):
        seen.append(len(noisy))
        if len(seen) <= 2:
            together.wait()  # passed only if two threads are here at once
        return predict(noisy, *given)

    monkeypatch.setattr(trainer, "predict", watched)
    trainer.step()
    assert sorted(seen) == shares
    whole = trainer_of(MEL, TrainConfig(batch_size=count))
    audio, real, mel, _ = whole.batch()
    t = torch.randint(len(whole.alpha_bar), (count,), generator=whole.generator)
    noise = torch.randn(audio.shape, generator=whole.generator)
    predicted = whole.network(diffuse(audio, noise, whole.alpha_bar[t]), t.float(), mel)
    whole.losses(predicted, noise, real).mean().backward()
    for first, second in zip(trainer.network.parameters(), whole.network.parameters(), strict=True):
        expected = torch.zeros_like(second) if second.grad is None else second.grad
        torch.testing.assert_close(first.grad, expected, rtol=1e-3, atol=1e-6)


# Resuming


THOROUGH = {
    "plain": QUICK,
    "all options": TrainConfig(
        batch_size=4, lr=3e-3, lr_decay_steps=30, ema=0.9, max_grad_norm=0.5, stratified=True, seed=3
    ),
    "without padding": TrainConfig(batch_size=4, lr=3e-3, ema=0.99, pad=False),
}


@pytest.mark.parametrize(
    ("config", "training"),
    [(config, THOROUGH["all options"]) for config in CONFIGS.values()]
    + [(PLAIN, THOROUGH["plain"]), (LABEL, THOROUGH["without padding"])],
    ids=[*CONFIGS, "plain", "without padding"],
)
def test_ten_steps_and_ten_more_are_twenty(tmp_path, config, training):
    clips = sounds(length=400)
    whole = trainer_of(config, training, clips).train(20)
    trainer_of(config, training, clips).train(10, save=lambda trainer: trainer.save(tmp_path / "model"))
    resumed = DiffWaveTrainer.resume(tmp_path / "model", clips, "cpu").train(20)
    assert resumed.steps == whole.steps == 20
    assert_equal(weights(resumed), weights(whole))
    if training.ema:
        assert_equal(resumed.average, whole.average)
        assert not torch.equal(whole.average["input.bias"], whole.network.input.bias)
    assert_equal(weights_of(resumed.model()), weights_of(whole.model()))
    assert torch.equal(resumed.generator.get_state(), whole.generator.get_state())
    for before, after in zip(whole.log, resumed.log, strict=True):
        times = ("seconds", "cpu_seconds")
        assert {k: v for k, v in before.items() if k not in times} == {k: v for k, v in after.items() if k not in times}


def weights_of(model):
    return model.network.state_dict()


def test_fit_resumes_what_it_wrote(tmp_path):
    clips, out = sounds(), str(tmp_path / "model")
    whole = fit(clips, PLAIN, QUICK, steps=8, device="cpu")
    fit(clips, PLAIN, QUICK, steps=3, out=out, device="cpu")
    part = fit(
        clips, LABEL, None, steps=8, out=out, resume=True, device="cpu"
    )  # the settings are those of its beginning
    assert part.network.config == PLAIN
    assert_equal(weights_of(part), weights_of(whole))
    assert_equal(weights_of(load_model(out)), weights_of(whole))
    with pytest.raises(InputError, match=r"model' holds a training; go on with it .*resume=True"):
        fit(clips, PLAIN, QUICK, steps=1, out=out, device="cpu")
    again = fit(clips, PLAIN, steps=8, out=out, resume=True, device="cpu")  # nothing is left to do
    assert_equal(weights_of(again), weights_of(whole))
    assert again.history["steps"] == 8


@pytest.mark.parametrize("survivors", range(6))
def test_a_kill_while_saving_leaves_something_to_go_on_from(tmp_path, monkeypatch, survivors):
    """The second save is cut off before its 1st, 2nd, ... file takes its place, with its temporary file left."""
    clips, out = sounds(), tmp_path / "model"
    trainer = trainer_of(PLAIN, QUICK, clips).train(4)
    trainer.save(out)
    trainer.train(6)
    done, replace = [], Path.replace

    def killed(self, target):
        if len(done) == survivors:
            raise KeyboardInterrupt
        done.append(target)
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        if survivors < 5:
            with pytest.raises(KeyboardInterrupt):
                trainer.save(out)
        else:
            trainer.save(out)  # of five files; the old ones are still there too
    resumed = DiffWaveTrainer.resume(out, clips, "cpu")
    assert resumed.steps == (6 if survivors == 5 else 4)
    model = load_model(out)
    assert model.history["steps"] == (4 if survivors < 2 else 6)
    assert_equal(weights(resumed.train(8)), weights(trainer.train(8)))
    resumed.save(out)
    assert load_model(out).history["steps"] == 8


def test_a_kill_in_the_first_save_leaves_a_folder_to_train_into(tmp_path, monkeypatch):
    trainer = trainer_of(PLAIN).train(1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        with pytest.raises(KeyboardInterrupt):
            trainer.save(tmp_path)
    assert list(tmp_path.iterdir())
    with pytest.raises(InputError, match="holds no training to resume; train without --resume"):
        fit(sounds(), PLAIN, QUICK, steps=2, out=tmp_path, resume=True, device="cpu")
    fit(sounds(), PLAIN, QUICK, steps=2, out=tmp_path, device="cpu")
    assert load_model(tmp_path).history["steps"] == 2


def test_resuming_on_other_clips_is_refused(tmp_path):
    clips = sounds()
    trainer_of(PLAIN, QUICK, clips).train(1).save(tmp_path / "m")
    for others in (clips.select([0, 1]), dataclasses.replace(clips, names=clips.names[::-1]), sounds(length=800)):
        with pytest.raises(InputError, match=r"was on 6 clips of 4200 samples, these are .*; give the same clips"):
            DiffWaveTrainer.resume(tmp_path / "m", others, "cpu")


def test_resuming_with_other_labels_is_refused(tmp_path):
    clips = sounds()
    swapped = dataclasses.replace(clips, labels=1 - clips.labels)
    renamed = dataclasses.replace(clips, label_names=("a", "b"))
    trainer_of(LABEL, QUICK, clips).train(1).save(tmp_path / "label")
    for others in (swapped, renamed):
        with pytest.raises(InputError, match=r"these are 6 of 4200, with other labels; give the same clips"):
            DiffWaveTrainer.resume(tmp_path / "label", others, "cpu")
    assert DiffWaveTrainer.resume(tmp_path / "label", clips, "cpu").steps == 1
    trainer_of(PLAIN, QUICK, clips).train(1).save(tmp_path / "plain")
    for others in (swapped, dataclasses.replace(clips, labels=None)):  # which it does not look at
        assert DiffWaveTrainer.resume(tmp_path / "plain", others, "cpu").steps == 1


def test_a_training_from_before_labels_were_noted_goes_on(tmp_path):
    trainer_of(LABEL).train(1).save(tmp_path / "m")
    document = tmp_path / "m" / TRAINING_FOLDER / "rostra.json"
    content = json.loads(document.read_text())
    del content["content"]["clips"]["labels"]
    document.write_text(json.dumps(content))
    assert DiffWaveTrainer.resume(tmp_path / "m", sounds(), "cpu").steps == 1


def test_a_training_goes_on_with_its_own_settings(tmp_path):
    trainer = trainer_of(PLAIN)
    trainer.check_unchanged(tmp_path, None, {})
    trainer.check_unchanged(tmp_path, PLAIN, {"lr": 3e-3, "batch_size": 4})
    with pytest.raises(InputError, match=r"has lr 0\.003, and the options ask for 0\.002; leave them out"):
        trainer.check_unchanged(tmp_path, PLAIN, {"batch_size": 4, "lr": 2e-3})
    with pytest.raises(InputError, match="has residual_layers 4, and the options ask for 5"):
        trainer.check_unchanged(tmp_path, dataclasses.replace(PLAIN, residual_layers=5), {})


def test_a_training_stops_when_it_is_asked_to_and_ends_the_same(tmp_path):
    """Between two steps, saved as it is; it goes on as if it had not been stopped."""
    clips, saves = sounds(), []

    def save(trainer):
        saves.append(trainer.steps)
        trainer.save(tmp_path / "m")

    trainer = trainer_of(PLAIN, QUICK, clips)
    trainer.train(20, save=save, stop=lambda: trainer.steps == 7)
    assert (trainer.steps, saves) == (7, [7])
    resumed = DiffWaveTrainer.resume(tmp_path / "m", clips, "cpu").train(20, stop=lambda: False)
    assert_equal(weights(resumed), weights(trainer_of(PLAIN, QUICK, clips).train(20)))


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_to_stop_and_a_second_one_interrupts(which, capfd):
    before = signal.getsignal(which)
    with stop_on_signals() as stop:
        assert not stop()
        signal.raise_signal(which)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(which)
    assert stop()
    assert signal.getsignal(which) is before
    assert capfd.readouterr().err == "stopping after this step; once more stops at once\n"


def test_outside_the_main_thread_signals_are_left_alone():
    found = []

    def work():
        with stop_on_signals() as stop:
            found.extend([stop(), signal.getsignal(signal.SIGINT)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False, signal.getsignal(signal.SIGINT)]


def test_a_training_of_another_version_is_refused(tmp_path):
    trainer_of(PLAIN).train(1).save(tmp_path / "m")
    document = tmp_path / "m" / TRAINING_FOLDER / "rostra.json"
    document.write_text(document.read_text().replace('"stratified"', '"stratified_steps"'))
    with pytest.raises(InputError, match=r"of another version .*stratified_steps"):
        DiffWaveTrainer.resume(tmp_path / "m", sounds(), "cpu")


# Options


@given(st.integers(0, 400))
def test_the_learning_rate_falls_along_a_cosine(done):
    trainer = RATE
    trainer.steps = done
    part = min(done / 200, 1)
    assert trainer.rate() == pytest.approx(1e-3 * (0.01 + 0.99 * (1 + math.cos(math.pi * part)) / 2))
    assert 0.99e-5 < trainer.rate() <= 1e-3


RATE = trainer_of(PLAIN, TrainConfig(lr=1e-3, lr_decay_steps=200))


def test_the_learning_rate_is_the_optimisers():
    trainer = trainer_of(PLAIN, TrainConfig(batch_size=2, lr=1e-3, lr_decay_steps=4))
    used = []
    for _ in range(6):
        before = trainer.network.output.bias.detach().clone()
        trainer.step()
        used.append(trainer.optimiser.param_groups[0]["lr"])
        assert not torch.equal(trainer.network.output.bias, before)
    half = 0.505e-3
    assert used == pytest.approx([1e-3, 1e-5 + 0.99e-3 * 0.8535534, half, 1e-5 + 0.99e-3 * 0.1464466, 1e-5, 1e-5])
    constant = trainer_of(PLAIN, TrainConfig(batch_size=2, lr=1e-3)).train(3)
    assert constant.optimiser.param_groups[0]["lr"] == 1e-3


def test_the_average_of_the_weights_is_what_is_saved(tmp_path):
    trainer = trainer_of(PLAIN, dataclasses.replace(QUICK, ema=0.5))
    expected = dict(weights(trainer))
    for step in range(12):
        trainer.step()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = {name: decay * old + (1 - decay) * weights(trainer)[name] for name, old in expected.items()}
    trainer.save(tmp_path / "m")
    saved = weights_of(load_model(tmp_path / "m"))
    for name, value in expected.items():
        torch.testing.assert_close(saved[name], value, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(saved["input.bias"], weights(trainer)["input.bias"], rtol=1e-3)


def test_gradients_are_cut_to_their_norm():
    """One step of gradient descent at rate 1 moves the weights by the gradient: no further than the limit."""
    trainer = trainer_of(PLAIN, dataclasses.replace(QUICK, max_grad_norm=0.01, lr=1.0))
    trainer.optimiser = torch.optim.SGD(trainer.network.parameters(), lr=1.0)
    before = weights(trainer)
    trainer.step()
    moved = math.sqrt(sum(float((value - before[name]).square().sum()) for name, value in weights(trainer).items()))
    assert moved == pytest.approx(0.01, rel=1e-3)
    assert trainer.log[0]["grad_norm"] > 0.01  # the log has it before the cut


@pytest.mark.parametrize("stratified", [False, True])
def test_steps_are_stratified_on_request(stratified, monkeypatch):
    trainer = trainer_of(PLAIN, TrainConfig(batch_size=20, stratified=stratified))
    seen = []
    original = trainer.predict
    monkeypatch.setattr(
        trainer, "predict", lambda noisy, t, *rest: seen.extend(t.tolist()) or original(noisy, t, *rest)
    )
    for _ in range(3):
        seen.clear()
        trainer.step()
        assert len(seen) == 20
        assert (sorted(seen) == list(range(20))) == stratified


# Batches


def ramps(*lengths):
    """Clips whose samples say where they are."""
    audio = [np.arange(length, dtype=np.float32) / 4096 for length in lengths]
    return Clips(audio, 8000, [f"ramp{i}" for i in range(len(lengths))], np.arange(len(lengths)) % 2, ("a", "b"))


def test_a_vocoders_crops_lie_anywhere_and_their_mel_is_that_of_the_crop():
    trainer = trainer_of(MEL, TrainConfig(batch_size=32), ramps(600))
    starts = set()
    for _ in range(20):
        audio, real, mel, label = trainer.batch()
        first = (audio[:, 0] * 4096).round().int()
        assert torch.equal(audio, (first[:, None] + torch.arange(512)) / 4096)
        assert bool((real == 512).all())
        assert label is None
        torch.testing.assert_close(mel, mel_spectrogram(audio, MEL.mel), rtol=0, atol=0)
        starts |= set(first.tolist())
    assert starts == set(range(600 - 512 + 1))  # both ends, and everything between


def test_lmnts_crops_begin_at_a_frame_and_have_the_files_frames():
    """The mel is that of the whole recording: no reflection at the edges of the crop; aligned with its samples."""
    clips = sounds(3, length=1500)
    trainer = trainer_of(LMNT, TrainConfig(batch_size=32), clips)
    frames = 512 // 64
    seen = set()
    for _ in range(10):
        audio, _, mel, _ = trainer.batch()
        assert mel.shape == (32, 10, frames)
        for crop, spectrogram in zip(audio, mel, strict=True):
            [(index, start)] = [
                (index, start)
                for index, samples in enumerate(clips.audio)
                for start in np.flatnonzero(samples[:-511] == float(crop[0])).tolist()
                if np.array_equal(samples[start : start + 512], crop.numpy())
            ]
            assert start % 64 == 0
            whole = mel_spectrogram(torch.from_numpy(clips.audio[index]), LMNT.mel)
            assert torch.equal(spectrogram, whole[:, start // 64 : start // 64 + frames])
            seen.add(start)
    assert seen == set(range(0, 1500 - 511, 64))


@pytest.mark.parametrize(("room", "kept"), [(0, 0), (1, 1), (2, 2), (9, 3)])
def test_mels_are_kept_as_long_as_there_is_room(monkeypatch, room, kept):
    """And those that are not are the same."""
    clips = sounds(3, length=1500)
    size = mel_spectrogram(torch.from_numpy(clips.audio[0]), LMNT.mel).nbytes
    options = (LMNT, TrainConfig(batch_size=16), clips)
    expected = [trainer.batch()[2] for trainer in [trainer_of(*options)] for _ in range(3)]
    monkeypatch.setattr("rostra.methods.diffwave.training.KEPT_MELS", room * size)
    trainer = trainer_of(*options)
    for mel in expected:
        assert torch.equal(trainer.batch()[2], mel)
    assert len(trainer._mels) == kept


def test_sounds_without_a_mel_begin_at_their_beginning():
    trainer = trainer_of(LABEL, TrainConfig(batch_size=16), ramps(600, 700))
    audio, _, mel, label = trainer.batch()
    assert mel is None
    assert torch.equal(audio, (torch.arange(512) / 4096).expand(16, -1))
    assert set(label.tolist()) == {0, 1}


def test_labels_are_those_of_the_clips():
    clips = sounds(8, length=512)
    trainer = trainer_of(LABEL, TrainConfig(batch_size=16), clips)
    audio, _, _, label = trainer.batch()
    for crop, value in zip(audio.numpy(), label.tolist(), strict=True):
        [index] = [i for i, samples in enumerate(clips.audio) if np.array_equal(samples, crop)]
        assert clips.labels[index] == value


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_short_clips_are_padded_and_counted(config, tmp_path):
    clips = ramps(300, 512, 511, 900)
    trainer = trainer_of(config, TrainConfig(batch_size=16), clips)
    assert trainer.short == trainer.model().history["padded_clips"] == 2
    audio, real, _, _ = trainer.batch()
    assert {300, 511, 512} == set(real.tolist())
    for crop, length in zip(audio, real.tolist(), strict=True):
        assert bool((crop[length:] == 0).all())
        assert bool((crop[1:length] != 0).all())


@given(st.integers(1, 64), st.integers(1, 64), st.integers(0, 2**16))
def test_without_padding_only_real_samples_count(first, second, seed):
    real, generator = torch.tensor([first, second]), torch.Generator().manual_seed(seed)
    predicted, noise, other = (torch.randn(2, 64, generator=generator) for _ in range(3))
    masked = NO_PAD.losses(predicted, noise, real)
    expected = [(p[:n] - e[:n]).square().mean() for p, e, n in zip(predicted, noise, real, strict=True)]
    torch.testing.assert_close(masked, torch.stack(expected))
    changed = torch.where(torch.arange(64) < real[:, None], predicted, other)
    assert torch.equal(NO_PAD.losses(changed, noise, real), masked)
    padded = RATE.losses(predicted, noise, real)
    torch.testing.assert_close(padded, (predicted - noise).square().mean(dim=1))


NO_PAD = trainer_of(PLAIN, TrainConfig(pad=False))


def test_padding_is_learnt_as_silence_unless_it_is_masked():
    """Pitfall 17: by default the zeros after a short clip are part of what is learned."""
    clips = ramps(100)
    trainers = [trainer_of(PLAIN, TrainConfig(batch_size=4, pad=pad), clips) for pad in (True, False)]
    for trainer in trainers:
        with torch.no_grad():  # a network whose error depends on where it looks
            trainer.network.output.weight.fill_(1.0)
        audio, real, _, _ = trainer.batch()
        gradient = torch.autograd.grad(
            trainer.losses((shown := torch.zeros_like(audio).requires_grad_()), torch.ones_like(audio), real).sum(),
            shown,
        )[0]
        assert bool((gradient[:, :100] != 0).all())
        assert bool((gradient[:, 100:] != 0).any()) == trainer.training.pad


# The log


def test_the_loss_on_quiet_recordings_says_little(monkeypatch):
    """Pitfall 18: for white noise of deviation s the best prediction's loss is abar s^2 / (abar s^2 + 1 - abar).

    The logged loss of quiet recordings is far below that of the same recordings at a common level, with the same
    predictor's quality; quarters of the schedule show where it comes from; and ``level`` removes the difference.
    """
    rng = np.random.default_rng(0)
    raw = [rng.standard_normal(512).astype(np.float32) for _ in range(8)]
    results = {}
    for name, scale, level in (("loud", 0.1, None), ("quiet", 0.005, None), ("levelled", 0.005, "rms")):
        clips = Clips([scale * samples for samples in raw], 8000, [str(i) for i in range(8)])
        config = dataclasses.replace(PLAIN, level=level)
        trainer = trainer_of(config, TrainConfig(batch_size=40, stratified=True), clips)
        s2 = (0.1 if level else scale) ** 2
        abar = torch.from_numpy(config.schedule.alpha_bar)

        def best(noisy, t, mel, label, abar=abar, s2=s2):
            level = abar[t.long()][:, None]
            return ((1 - level).sqrt() / (level * s2 + 1 - level) * noisy).float().requires_grad_()

        monkeypatch.setattr(trainer, "predict", best)
        monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *arguments: torch.zeros(()))
        for _ in range(10):
            trainer.step()
        [row] = trainer.log
        results[name] = row["loss"]
        expected = (abar * s2 / (abar * s2 + 1 - abar)).reshape(4, 5).mean(1)
        measured = [row[f"sum{q}"] / row[f"items{q}"] for q in range(4)]
        assert measured == pytest.approx(expected.tolist(), rel=0.1)
        assert measured[0] > 3 * measured[3]
    assert results["quiet"] < 0.1 * results["loud"]
    assert results["levelled"] == pytest.approx(results["loud"], rel=0.05)


def test_the_log_has_means_over_ten_steps(tmp_path):
    trainer = trainer_of(PLAIN, dataclasses.replace(QUICK, batch_size=2))
    losses = [trainer.step() for _ in range(25)]
    trainer.save(tmp_path / "m")
    with (tmp_path / "m" / LOG).open() as file:
        rows = list(csv.DictReader(file))
    quarters = [f"loss_quarter_{q}" for q in (1, 2, 3, 4)]
    assert list(rows[0]) == ["step", "loss", "grad_norm", "seconds", "cpu_seconds", *quarters]
    assert [int(row["step"]) for row in rows] == [10, 20, 25]
    means = [np.mean(losses[:10]), np.mean(losses[10:20]), np.mean(losses[20:])]
    assert [float(row["loss"]) for row in rows] == pytest.approx(means, rel=1e-4)
    assert all(float(row["grad_norm"]) > 0 for row in rows)
    seconds = [float(row["seconds"]) for row in rows]
    assert sorted(seconds) == seconds
    assert seconds[-1] > 0
    for row, entry in zip(rows, trainer.log, strict=True):  # the quarters' items together are the batch's
        items = [entry[f"items{q}"] for q in range(4)]
        assert sum(items) == 2 * entry["count"]
        for name, count in zip(quarters, items, strict=True):
            assert (row[name] == "") == (count == 0)
        total = sum(float(row[name]) * count for name, count in zip(quarters, items, strict=True) if count)
        assert total / sum(items) == pytest.approx(float(row["loss"]), rel=1e-4)


def test_a_summary_is_the_last_row_of_the_log():
    trainer = trainer_of(LABEL, dataclasses.replace(QUICK, batch_size=3), sounds(length=400))
    empty = trainer.summary()
    assert (empty["steps"], empty["loss"], empty["loss_by_quarter"]) == (0, None, [None] * 4)
    losses = [trainer.step() for _ in range(12)]
    found = trainer.summary()
    assert (found["steps"], found["recordings"], found["padded_recordings"]) == (12, 6, 6)
    assert found["loss"] == pytest.approx(np.mean(losses[10:]))
    assert found["audio_seconds"] == pytest.approx(6 * 400 / 8000)
    assert (found["condition"], found["labels"]) == ("label", ("rising", "falling"))
    counts = [trainer.log[-1][f"items{q}"] for q in range(4)]
    assert sum(counts) == 6
    parts = [(loss or 0) * count for loss, count in zip(found["loss_by_quarter"], counts, strict=True)]
    assert sum(parts) / 6 == pytest.approx(found["loss"], rel=1e-5)
    assert [loss is None for loss in found["loss_by_quarter"]] == [count == 0 for count in counts]
    assert trainer_of(PLAIN).summary()["labels"] is None


def test_the_history_says_how_it_was_trained(tmp_path):
    model = fit(sounds(), PLAIN, QUICK, steps=3, out=tmp_path / "m", device="cpu")
    history = load_model(tmp_path / "m").history
    assert history["steps"] == model.history["steps"] == 3
    assert history["training"] == dataclasses.asdict(QUICK)
    assert (history["clips"], history["padded_clips"], history["audio_seconds"]) == (6, 0, 0.5)
    assert load_model(tmp_path / "m").label_names == ("rising", "falling")


def test_training_stops_after_its_seconds(tmp_path, monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr("rostra.methods.diffwave.training.time.monotonic", lambda: float(next(clock)))
    saves = []
    trainer = trainer_of(PLAIN).train(1000, seconds=60, save=lambda t: saves.append(t.steps), save_every=12)
    assert 2 < trainer.steps < 60
    assert len(saves) >= 3  # now and then, and at the end
    assert saves[-1] == trainer.steps


# What is refused, and what is left alone


@pytest.mark.parametrize("changes", [{"residual_channels": 10**7}, {"clip_samples": 10**11}])
def test_what_memory_cannot_hold_is_refused_before_any_work(changes):
    with pytest.raises(InputError, match=r"takes at least [\d,.]+ GB of memory, and there are [\d.]+ GB; make clips"):
        trainer_of(dataclasses.replace(PLAIN, **changes))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_memory_that_is_asked_for_is_the_least(monkeypatch, dtype):
    """More than half of the tensors that a step leaves for its gradients, and less than twice as much."""
    config = dataclasses.replace(PLAIN, residual_layers=8, residual_channels=16, clip_samples=4096)
    kept, training = [], TrainConfig(batch_size=2, dtype=dtype)
    trainer = trainer_of(config, training, sounds(length=5000))
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        trainer.predict(torch.randn(1, 4096), torch.zeros(1), None, None)
    taken = sum({tensor.data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}.values())
    monkeypatch.setattr("rostra.methods.diffwave.training.available_memory", lambda: taken // 2)
    with pytest.raises(InputError, match="takes at least"):
        check_memory(config, training)
    monkeypatch.setattr("rostra.methods.diffwave.training.available_memory", lambda: 2 * taken)
    check_memory(config, training)


@pytest.mark.parametrize(
    ("config", "clips", "message"),
    [
        (PLAIN, sounds().select([]), "no clips"),
        (PLAIN, sounds(sample_rate=16000), "the clips are at 16000 Hz and the model at 8000 Hz"),
        (LABEL, dataclasses.replace(sounds(), labels=None), "needs clips with labels"),
        (LABEL, synthetic_sounds(6, classes=4, length=512), "label 3 is out of range; labels are 0 to 1"),
        (dataclasses.replace(LABEL, n_classes=3), sounds(), "the clips have 2 labels, and n_classes is 3"),
        (
            dataclasses.replace(PLAIN, level="peak"),
            Clips([np.ones(9, np.float32), np.zeros(9, np.float32)], 8000, ["one", "mute"]),
            r"clip 'mute': .*no level",
        ),
        (PLAIN, Clips([np.full(9, np.nan, np.float32)], 8000, ["bad"]), "clip 'bad' is empty or .* not finite"),
        (PLAIN, Clips([np.zeros(0, np.float32)], 8000, ["none"]), "clip 'none' is empty"),
    ],
)
def test_clips_that_do_not_fit_are_refused(config, clips, message):
    with pytest.raises(InputError, match=message):
        fit(clips, config, QUICK, steps=1, device="cpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"lr": 0.0}, r"lr is 0\.0; it must be above 0"),
        ({"lr": math.nan}, "lr is nan"),
        ({"lr": math.inf}, "lr is inf"),
        ({"ema": 1.0}, r"ema is 1\.0; it must be at least 0 and below 1"),
        ({"max_grad_norm": -1.0}, "must be at least 0"),
        ({"max_grad_norm": math.nan}, "must be at least 0"),
        ({"lr_decay_steps": -1}, "must be at least 0"),
        ({"dtype": "float16"}, "dtype is 'float16'; it must be float32 or bfloat16"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        TrainConfig(**options)


def test_fit_checks_before_it_works(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        fit(sounds(), PLAIN, steps=1, out=tmp_path, device="cpu")
    with pytest.raises(InputError, match="steps is 0; it must be at least 1"):
        fit(sounds(), PLAIN, steps=0, device="cpu")
    with pytest.raises(InputError, match="resume needs the folder"):
        fit(sounds(), PLAIN, steps=1, resume=True, device="cpu")
    with pytest.raises(InputError, match="holds no training to resume"):
        fit(sounds(), PLAIN, steps=1, out=tmp_path / "none", resume=True, device="cpu")


def test_a_loss_that_is_not_a_number_stops_the_training(tmp_path):
    """The weights are those before that step, and what was saved stays."""
    trainer = trainer_of(PLAIN).train(2)
    trainer.save(tmp_path / "m")
    with torch.no_grad():
        trainer.network.output.bias.fill_(math.inf)
    before = weights(trainer)
    with pytest.raises(InputError, match="the loss is inf at step 2; a smaller lr or max_grad_norm 1 may help"):
        trainer.train(4, save=lambda current: current.save(tmp_path / "m"))
    assert_equal(weights(trainer), before)
    assert DiffWaveTrainer.resume(tmp_path / "m", sounds(), "cpu").train(3).steps == 3


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_global_random_state_is_left_alone(tmp_path, config):
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    trainer = trainer_of(config).train(2)
    trainer.save(tmp_path / "m")
    trainer.model()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def test_the_seed_decides_everything():
    """And the global seed nothing."""
    results = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)
        results.append(weights(trainer_of(PLAIN, dataclasses.replace(QUICK, seed=seed)).train(3)))
    assert_equal(results[0], results[1])
    assert not torch.equal(results[0]["input.bias"], results[2]["input.bias"])


def test_bfloat16_trains_much_like_float32():
    losses = []
    for dtype in ("float32", "bfloat16"):
        trainer = trainer_of(PLAIN, dataclasses.replace(QUICK, dtype=dtype))
        losses.append([trainer.step() for _ in range(10)])
        assert all(value.dtype == torch.float32 for value in weights(trainer).values())
    assert losses[0] != losses[1]
    np.testing.assert_allclose(*losses, rtol=0.02)
