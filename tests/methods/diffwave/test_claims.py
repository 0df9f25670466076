"""The runs behind the claims: what they measure is what they say."""

import numpy as np
import pytest

from rostra.engine.claims import Context
from rostra.engine.errors import JobError
from rostra.methods.diffwave import claims
from rostra.methods.diffwave.sounds import synthetic_sounds

SETTINGS = {claim.name: claim.scales["smoke"].settings for claim in claims.CLAIMS}
RUNS = {claim.name: claim.run for claim in claims.CLAIMS}


@pytest.fixture
def context(tmp_path):
    return Context(device="cpu", folder=tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Networks of the smoke scale, trained once for the tests that only look at them."""
    return Context(device="cpu", folder=tmp_path_factory.mktemp("networks"))


def rows(name, arm, seeds, context, **changes):
    return list(RUNS[name]({**SETTINGS[name], **changes}, arm, seeds, context))


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.name)
def test_settings_are_json_and_name_real_arguments(claim):
    """A typo in a scale that no test runs would be found after days of training."""
    import json

    from rostra.methods.diffwave.checkpoints import config_from
    from rostra.methods.diffwave.pretrained import MODELS
    from rostra.methods.diffwave.training import TrainConfig
    from rostra.methods.diffwave.wavegan import WaveGANConfig
    from rostra.methods.diffwave.wavenet import WaveNetConfig

    for scale in claim.scales.values():
        settings = scale.settings
        assert json.loads(json.dumps(settings)) == settings
        if "network" in settings:
            config_from(settings["network"], claim.name)
        if "training" in settings:
            TrainConfig(**settings["training"])
        if "wavegan" in settings:
            WaveGANConfig(**settings["wavegan"])
            WaveNetConfig(**settings["wavenet"])
        assert settings.get("pretrained", "speech") in MODELS
        assert claim.name == "speed" or ("pretrained" in settings) != ("network" in settings)


def test_a_network_is_trained_once_for_all_arms_and_claims(context, monkeypatch):
    from rostra.methods.diffwave import training

    trained = []
    original = training.fit
    monkeypatch.setattr(training, "fit", lambda *given, **options: trained.append(1) or original(*given, **options))
    settings = {**SETTINGS["vocoder"], "steps": 2}
    first = claims._trained(settings, 0, context)
    again = claims._trained(settings, 0, context)
    assert len(trained) == 1
    for name, value in first.network.state_dict().items():
        assert value.equal(again.network.state_dict()[name])
    claims._trained(settings, 1, context)
    claims._trained({**settings, "steps": 3}, 0, context)
    claims._trained(settings, 0, context, residual_channels=8)
    assert len(trained) == 4


def test_pieces_are_of_one_length_and_lie_in_held_out_recordings(context):
    settings = {**SETTINGS["vocoder"], "seconds": 0.2}
    recordings = claims._pieces(settings, context)
    held_out = claims._clips(settings, "test", context)
    assert len(recordings) == len(held_out)
    for pieces, whole in zip(recordings, held_out.audio, strict=True):
        assert {len(piece) for piece in pieces} == {1600}
        np.testing.assert_array_equal(np.concatenate(pieces), whole[:3200])
    training = claims._clips(settings, "train", context)
    assert not any(np.array_equal(a, b) for a in held_out.audio for b in training.audio)


def test_a_recording_shorter_than_a_piece_is_no_unit(context):
    assert claims._pieces({**SETTINGS["vocoder"], "seconds": 1.0}, context) == []


def test_pairs_are_of_one_label_and_two_speakers():
    labels = np.repeat(np.arange(3), 6)
    speakers = ["a", "b", "a", "b", "a", "c"] * 3
    first, second = claims._pairs(labels, speakers, 200, 0)
    assert (labels[first] == labels[second]).all()
    assert all(speakers[a] != speakers[b] for a, b in zip(first, second, strict=True))
    assert len({*zip(first.tolist(), second.tolist(), strict=True)}) > 30
    other, _ = claims._pairs(labels, speakers, 200, 1)
    assert not np.array_equal(first, other)


def test_griffin_lim_from_the_right_mel_is_nearest(shared):
    """The order of the arms that is known beforehand; a network of 30 steps proves nothing."""
    error = {
        arm: rows("vocoder", arm, [0], shared)[0]["log_mel_mae"] for arm in ("griffin-lim", "diffwave", "untrained")
    }
    assert error["griffin-lim"] < 0.5 < error["diffwave"] < error["untrained"]


def test_fast_sampling_arms_share_their_noise_and_differ_in_their_steps(shared, monkeypatch):
    from rostra.methods.diffwave import sampler, synthesis

    asked = {}
    original = sampler.reverse

    def spy(predict, start, schedule, noise, **options):
        asked.setdefault(current, []).append((schedule, start))
        return original(predict, start, schedule, noise, **options)

    monkeypatch.setattr(synthesis, "reverse", spy)
    for current in ("full", "fast", "rounded", "spaced"):
        assert [row["draw"] for row in rows("fast_sampling", current, [0], shared, draws=2)] == [0, 1]
    assert [len(asked[arm][0][0]) for arm in asked] == [50, 6, 6, 6]
    fast, rounded, spaced = (asked[arm][0][0] for arm in ("fast", "rounded", "spaced"))
    assert rounded.betas == fast.betas
    assert rounded.steps == tuple(map(round, fast.steps)) != fast.steps
    assert (spaced.steps[0], spaced.steps[-1]) == (0.0, 49.0)
    for calls in asked.values():
        assert calls[0][1].equal(asked["full"][0][1])
        assert not calls[0][1].equal(calls[1][1])


def test_noise_of_the_named_level_is_what_is_taken_away(shared):
    """The arm "noisy" has the SNR of its rows: SI-SDR is the SNR where noise and voice are uncorrelated."""
    found = rows("denoising", "noisy", [0, 1], shared, noises=["white"], snrs=[0, 10])
    assert [(row["noise"], row["snr"]) for row in found] == [("white", 0), ("white", 10)] * 2
    for row in found:
        assert row["si_sdr"] == pytest.approx(row["snr"], abs=1.0)
    at_0_db, at_10_db = (row["log_mel_mae"] for row in found[:2])
    assert at_0_db > at_10_db
    scaled = rows("denoising", "t = 25", [0], shared, noises=["white"], snrs=[0, 10])
    unscaled = rows("denoising", "t = 25, unscaled", [0], shared, noises=["white"], snrs=[0, 10])
    assert [row["si_sdr"] for row in scaled] != [row["si_sdr"] for row in unscaled]


def test_what_interpolation_is_compared_with(shared):
    """The share of real recordings that the judge hears as their label, and of the plain means of two."""
    settings = {**SETTINGS["interpolation"], "pairs": 20}
    audio, labels = claims._labelled(claims._clips(settings, "test", shared), settings["length"])
    first, second = claims._pairs(labels, [str(i) for i in range(len(labels))], 20, 0)
    judge = claims._judge(settings, shared)
    for arm, sounds in (("recordings", audio[first]), ("averaged", (audio[first] + audio[second]) / 2)):
        [found] = rows("interpolation", arm, [0], shared, pairs=20)
        assert found["kept"] == np.mean(judge.predict(sounds) == labels[first])


def test_denoising_is_scored_at_the_recordings_own_length_and_level(shared, monkeypatch):
    """Silence that pads, and turning a sound down, win nothing."""
    from rostra.methods.diffwave import synthesis

    heard = []
    monkeypatch.setattr(
        synthesis.Generator, "denoise", lambda self, audio, step, **options: heard.append(audio) or 0.01 * audio
    )
    noisy, turned_down = (rows("denoising", arm, [0, 1, 2], shared) for arm in ("noisy", "t = 25"))
    clips = claims._clips(SETTINGS["denoising"], "test", shared)
    order = np.random.default_rng(0).permutation(len(clips))
    assert [audio.shape[1] for audio in heard] == [clips.lengths[order[seed]] for seed in (0, 1, 2)]
    for before, after in zip(noisy, turned_down, strict=True):
        assert after["si_sdr"] == pytest.approx(before["si_sdr"], abs=1e-4)
        assert after["log_mel_mae"] == pytest.approx(before["log_mel_mae"], abs=1e-3)


def test_baselines_get_the_time_of_the_diffusion_model(shared):
    [ours] = rows("unconditional", "diffwave", [0], shared)
    [theirs] = rows("unconditional", "wavegan", [0], shared)
    assert ours["cpu_seconds"] == theirs["cpu_seconds"] > 0
    baseline = claims._baseline("wavegan", SETTINGS["unconditional"], ours["cpu_seconds"], shared)
    assert baseline.cpu_seconds_ >= ours["cpu_seconds"]  # the step under way is finished
    assert ours.keys() == theirs.keys()


def test_an_unconditional_network_is_heard_at_chance(shared):
    [found] = rows("class_conditional", "none", [0], shared, n=40)
    assert found["accuracy"] == pytest.approx(0.25, abs=0.15)


def test_speed_is_the_ratio_of_two_measured_times(context):
    [found] = rows("speed", "six steps, float32", [0], context)
    assert found["speedup"] > 1.5
    assert found["times_real_time"] > 0


def test_paper_scale_says_where_its_data_go(context, monkeypatch, tmp_path):
    monkeypatch.setenv("ROSTRA_DATA", str(tmp_path))
    with pytest.raises(JobError, match=r"put it at .*sc09"):
        claims._clips({"data": "sc09"}, "train", context)


def test_training_and_held_out_sounds_differ(context):
    settings = {"data": "generated", "sounds": 8, "length": 1024}
    train, test = (claims._clips(settings, split, context) for split in ("train", "test"))
    assert np.array_equal(train.audio[0], synthetic_sounds(8, length=1024, seed=0).audio[0])
    assert not any(np.array_equal(a, b) for a in train.audio for b in test.audio)
