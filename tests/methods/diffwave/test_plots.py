"""The pictures show what was asked, and can be written."""

import numpy as np
import pandas as pd
import pytest
import torch

from rostra.engine.errors import InputError
from rostra.engine.plots import save_picture
from rostra.methods.diffwave.features import MelConfig, mel_spectrogram
from rostra.methods.diffwave.plots import MOST_POINTS, plot_loss, plot_mels, plot_reverse, plot_spectrograms
from rostra.methods.diffwave.sounds import synthetic_sounds

RATE = 8000


def tone(hz, seconds=0.5, rate=RATE):
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)


def log(rows, quarters=4):
    table = pd.DataFrame({"step": 10.0 * np.arange(1, rows + 1), "loss": 1 / np.arange(1, rows + 1)})
    for quarter in range(quarters):
        table[f"loss_quarter_{quarter + 1}"] = table["loss"] / (quarter + 1)
    return table


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def test_loss_and_its_quarters_share_a_scale(tmp_path):
    figure = plot_loss(log(20))
    whole, quarters = figure.axes
    assert whole.lines[0].get_xdata() == pytest.approx(10 * np.arange(1, 21))
    assert len(quarters.lines) == 4
    assert quarters.lines[3].get_ydata() == pytest.approx(0.25 * whole.lines[0].get_ydata())
    assert whole.get_ylim() == quarters.get_ylim()
    names = [text.get_text() for text in quarters.get_legend().get_texts()]
    assert names[0] == "quarter 1, least noise"
    assert names[3] == "quarter 4, most noise"
    save_picture(figure, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").stat().st_size > 1000


def test_the_log_of_a_training_is_read_with_its_gaps(tmp_path):
    """Steps of a quarter that no clip fell into are empty in the file."""
    table = log(5)
    table.loc[1, "loss_quarter_2"] = np.nan
    table["loss_quarter_4"] = np.nan
    table.to_csv(tmp_path / "train_log.csv", index=False)
    quarters = plot_loss(tmp_path / "train_log.csv").axes[1]
    assert quarters.lines[1].get_xdata() == pytest.approx([10, 30, 40, 50])
    assert len(quarters.lines[3].get_xdata()) == 0


def test_long_logs_are_averaged_and_short_ones_are_seen():
    table = log(10 * MOST_POINTS)
    line = plot_loss(table).axes[0].lines[0]
    assert len(line.get_xdata()) == MOST_POINTS
    assert line.get_ydata().mean() == pytest.approx(table["loss"].mean())
    assert plot_loss(log(1)).axes[0].lines[0].get_marker() == "o"
    with pytest.raises(InputError, match="no steps"):
        plot_loss(log(0))


def test_a_file_that_is_no_log_is_refused(tmp_path):
    (tmp_path / "log.csv").write_text("step,error\n1,2\n")
    with pytest.raises(InputError, match="loss"):
        plot_loss(tmp_path / "log.csv")


def test_spectrograms_share_colours_and_time(tmp_path):
    figure = plot_spectrograms({"long": tone(1000), "short and quiet": 0.01 * tone(1000, 0.1)}, RATE)
    first, second, bar = figure.axes
    assert titles(figure) == ["long", "short and quiet"]
    assert first.images[0].get_clim() == second.images[0].get_clim()
    assert first.get_xlim() == second.get_xlim() == (0, 0.5)
    assert second.images[0].get_extent()[1] == pytest.approx(0.1)
    # 40 dB between the two stay 40 dB.
    assert first.images[0].get_array().max() - second.images[0].get_array().max() == pytest.approx(40, abs=0.5)
    assert bar.get_ylabel() == "dB"
    save_picture(figure, tmp_path / "sounds.png")


@pytest.mark.parametrize("hz", [500, 1000, 2000])
def test_a_tone_stands_at_its_tick(hz):
    [panel, _] = plot_spectrograms({"": tone(hz)}, RATE).axes
    image = panel.images[0].get_array()
    band = int(image[:, image.shape[1] // 2].argmax())
    ticks = {text.get_text(): place for text, place in zip(panel.get_yticklabels(), panel.get_yticks(), strict=True)}
    assert band == pytest.approx(ticks[f"{hz / 1000:g}"], abs=0.75)


def test_many_sounds_stand_in_rows_of_four():
    clips = synthetic_sounds(6, length=2048)
    figure = plot_spectrograms(dict(zip(clips.names, clips.audio, strict=True)), RATE)
    assert titles(figure) == clips.names
    assert len(figure.axes) == 8 + 1
    assert [axes.axison for axes in figure.axes[6:8]] == [False, False]


def test_a_sound_shorter_than_a_frame_is_shown():
    [panel, _] = plot_spectrograms({"click": np.ones(3)}, RATE).axes
    assert panel.get_xlim() == pytest.approx((0, 3 / RATE))


@pytest.mark.parametrize("sounds", [{}, {"stereo": np.zeros((2, 9))}, {"nothing": np.zeros(0)}])
def test_what_is_no_sound_is_refused(sounds):
    with pytest.raises(InputError):
        plot_spectrograms(sounds, RATE)


@pytest.mark.parametrize("features", ["tacotron", "lmnt"])
def test_mels_of_both_front_ends_are_in_decibels(features):
    config = MelConfig.default(features, 22050)
    mels = {
        name: mel_spectrogram(torch.from_numpy(gain * tone(1000, rate=22050)), config)
        for name, gain in (("loud", 0.5), ("quiet", 0.05))
    }
    loud, quiet, _ = plot_mels(mels, config).axes
    assert loud.images[0].get_array().max() - quiet.images[0].get_array().max() == pytest.approx(20, abs=0.1)
    assert loud.get_xlim()[1] == pytest.approx(0.5, abs=256 / 22050)


def test_the_way_from_noise_ends_with_the_sound(tmp_path):
    rng = np.random.default_rng(0)
    snapshots = [(left, torch.from_numpy(rng.standard_normal((2, 1024)))) for left in range(49, -1, -1)]
    figure = plot_reverse(snapshots, RATE)
    names = titles(figure)
    assert names[0] == "49 steps to go"
    assert names[-1] == "the sound"
    assert len(names) == 6
    numbers = [int(name.split()[0]) for name in names[:-1]]
    assert numbers == sorted(numbers, reverse=True)
    wave = figure.axes[10].lines[0]
    assert wave.get_ydata() == pytest.approx(snapshots[-1][1][0].float().numpy())
    save_picture(figure, tmp_path / "reverse.png")
    assert len(titles(plot_reverse(snapshots[-2:], RATE))) == 2
    with pytest.raises(InputError, match="no snapshots"):
        plot_reverse([], RATE)
