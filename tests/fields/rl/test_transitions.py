"""Logs of transitions: what is stored, what is never paired, and what is said of what cannot be read."""

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.engine.errors import InputError
from rostra.fields.rl.transitions import TransitionDataset, read_log


def log(**changes):
    """Episodes of 3, 1 and 2 steps: terminal, cut, cut. Observation 10 e + t."""
    arrays = {
        "observations": np.array([[0.0], [1.0], [2.0], [10.0], [20.0], [21.0]]),
        "actions": np.array([0, 1, 0, 1, 1, 0]),
        "rewards": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        "next_observations": np.array([[1.0], [2.0], [3.0], [11.0], [21.0], [22.0]]),
        "terminals": np.array([0, 0, 1, 0, 0, 0], dtype=bool),
        "timeouts": np.array([0, 0, 0, 1, 0, 0], dtype=bool),
    }
    return {**arrays, **changes}


@st.composite
def logs(draw):
    """Random episodes as (arrays, episode of each row, last rows), observations drawn from few values."""
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    ended = draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    shape = draw(st.sampled_from([(1,), (2,), (2, 2)]))
    dtype = draw(st.sampled_from([np.float64, np.float32, np.uint8, np.bool_]))
    observations, following, terminals, timeouts = [], [], [], []
    for length, end in zip(lengths, ended, strict=True):
        states = generator.integers(0, 3, (length + 1, *shape)).astype(dtype)
        observations.append(states[:-1])
        following.append(states[1:])
        terminals.append(np.arange(length) == (length - 1 if end else -1))
        timeouts.append(np.arange(length) == (-1 if end else length - 1))
    count = sum(lengths)
    arrays = {
        "observations": np.concatenate(observations),
        "actions": generator.integers(0, 3, count),
        "rewards": generator.normal(size=count),
        "next_observations": np.concatenate(following),
        "terminals": np.concatenate(terminals),
        "timeouts": np.concatenate(timeouts),
    }
    return arrays, np.repeat(np.arange(len(lengths)), lengths)


def assert_same(left, right):
    assert left.digest() == right.digest()
    np.testing.assert_array_equal(left.states, right.states)
    assert left.states.dtype == right.states.dtype


def test_a_small_log_is_stored_once():
    """Rows by hand: one state a step and one more an episode."""
    data = TransitionDataset.from_arrays(**log())
    assert data.states[:, 0].tolist() == [0, 1, 2, 3, 10, 11, 20, 21, 22]
    assert data.source.tolist() == [0, 1, 2, 4, 6, 7]
    assert data.successor.tolist() == [1, 2, 3, 5, 7, 8]
    assert data.episodes.tolist() == [0, 0, 0, 1, 2, 2]
    assert data.terminals.tolist() == [False, False, True, False, False, False]
    assert data.timeouts.tolist() == [False, False, False, True, False, True]  # the end of the log cuts too
    assert data.action_count == 2
    assert data.is_discrete
    assert len(data) == 6
    assert data.observation_shape == (1,)
    assert data.episode_returns().tolist() == [6, 4, 11]
    assert data.states[data.initial_states(), 0].tolist() == [0, 10, 20]
    assert data.actions.dtype == data.source.dtype == data.episodes.dtype == np.int64
    assert data.rewards.dtype == np.float64


def test_without_next_observations_cut_episodes_lose_their_last_step():
    """It has no known successor; a terminal one keeps its own observation in its place."""
    data = TransitionDataset.from_arrays(**log(next_observations=None))
    assert data.observations[:, 0].tolist() == [0, 1, 2, 20]
    assert data.next_observations[:, 0].tolist() == [1, 2, 2, 21]
    assert data.rewards.tolist() == [1, 2, 3, 5]
    assert data.episodes.tolist() == [0, 0, 0, 2]
    assert data.timeouts.tolist() == [False, False, False, True]
    assert data.states[:, 0].tolist() == [0, 1, 2, 20, 21]  # 10 is nobody's


@given(logs())
def test_sharing_rows_changes_no_observation(drawn):
    """Both sides of every transition come back as they were, in their dtype."""
    arrays, episodes = drawn
    data = TransitionDataset.from_arrays(**arrays)
    np.testing.assert_array_equal(data.observations, arrays["observations"])
    np.testing.assert_array_equal(data.next_observations, arrays["next_observations"])
    assert data.states.dtype == arrays["observations"].dtype
    np.testing.assert_array_equal(data.terminals, arrays["terminals"])
    np.testing.assert_array_equal(data.timeouts, arrays["timeouts"])
    np.testing.assert_array_equal(data.episodes, episodes)
    assert len(data.states) == len(episodes) + episodes[-1] + 1
    by_id = TransitionDataset.from_arrays(**{**arrays, "timeouts": None}, episodes=episodes)
    assert_same(by_id, data)


@given(logs())
def test_no_pair_crosses_the_end_of_an_episode(drawn):
    """Without next observations, successors are those that the episode itself logged."""
    arrays, episodes = drawn
    last = np.append(episodes[1:] != episodes[:-1], True)
    known = ~last | arrays["terminals"]
    arguments = {**arrays, "next_observations": None}
    if not known.any():
        with pytest.raises(InputError, match="no step has a known successor"):
            TransitionDataset.from_arrays(**arguments)
        return
    data = TransitionDataset.from_arrays(**arguments)
    np.testing.assert_array_equal(data.observations, arrays["observations"][known])
    np.testing.assert_array_equal(data.rewards, arrays["rewards"][known])
    goes_on = ~data.terminals
    np.testing.assert_array_equal(data.next_observations[goes_on], arrays["next_observations"][known][goes_on])
    assert not (data.terminals & data.timeouts).any()
    ends = np.append(data.episodes[1:] != data.episodes[:-1], True)
    np.testing.assert_array_equal(ends, data.terminals | data.timeouts)


@given(logs(), st.data())
def test_a_selection_holds_those_transitions_and_no_other_state(drawn, data):
    arrays, _ = drawn
    whole = TransitionDataset.from_arrays(**arrays)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole))))
    if not mask.any():
        with pytest.raises(InputError, match="no row is selected"):
            whole.select(mask)
        return
    part = whole.select(mask)
    np.testing.assert_array_equal(part.observations, whole.observations[mask])
    np.testing.assert_array_equal(part.next_observations, whole.next_observations[mask])
    np.testing.assert_array_equal(part.actions, whole.actions[mask])
    assert part.action_count == whole.action_count
    assert set(part.source) | set(part.successor) == set(range(len(part.states)))
    last = np.append(part.episodes[1:] != part.episodes[:-1], True)
    assert (part.terminals | part.timeouts)[last].all()
    assert_same(whole.select(np.flatnonzero(mask)[::-1]), part)


@given(logs())
def test_a_saved_log_comes_back(drawn):
    arrays, _ = drawn
    whole = TransitionDataset.from_arrays(**arrays)
    with tempfile.TemporaryDirectory() as folder:
        whole.save(Path(folder) / "log.npz")
        assert [path.name for path in Path(folder).iterdir()] == ["log.npz"]
        assert_same(TransitionDataset.load(Path(folder) / "log.npz"), whole)


def test_the_digest_tells_contents_apart():
    """One changed number, dtype or count of actions is another log."""
    whole = TransitionDataset.from_arrays(**log())
    digests = {
        TransitionDataset.from_arrays(**log(**changes)).digest()
        for changes in (
            {},
            {"rewards": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.5])},
            {name: log()[name].astype(np.float32) for name in ("observations", "next_observations")},
            {"action_count": 3},
            {"terminals": None},
        )
    }
    assert len(digests) == 5
    assert whole.digest() in digests


def test_the_head_of_a_log_ends_in_a_cut():
    data = TransitionDataset.from_arrays(**log()).head(2)
    assert data.timeouts.tolist() == [False, True]
    assert data.states[:, 0].tolist() == [0, 1, 2]
    assert len(TransitionDataset.from_arrays(**log()).head(100)) == 6
    with pytest.raises(InputError, match="no row is selected"):
        data.head(0)
    with pytest.raises(InputError, match="row 9 is not in the log, which has rows 0 to 1"):
        data.select([0, 9])


def test_terminal_wins_over_timeout():
    data = TransitionDataset.from_arrays(**log(timeouts=np.array([0, 0, 1, 1, 0, 1])))
    assert data.terminals[2]
    assert not data.timeouts[2]


def test_without_marks_an_episode_ends_where_the_log_jumps():
    """Transitions that were drawn at random do not follow each other."""
    data = TransitionDataset.from_arrays(**log(timeouts=None))
    assert data.episodes.tolist() == [0, 0, 0, 1, 2, 2]


def test_given_ids_are_kept_and_texts_are_numbered():
    ids = [4, 4, 4, 7, 9, 9]
    assert TransitionDataset.from_arrays(**log(episodes=ids, timeouts=None)).episodes.tolist() == ids
    ids = ["b", "b", "b", "a", "c", "c"]
    assert TransitionDataset.from_arrays(**log(episodes=ids, timeouts=None)).episodes.tolist() == [0, 0, 0, 1, 2, 2]
    split = TransitionDataset.from_arrays(**log(episodes=[5] * 6))  # two ends inside
    assert split.episodes.tolist() == [0, 0, 0, 1, 2, 2]


def test_continuous_actions_are_float32():
    actions = np.linspace(-1, 1, 12).reshape(6, 2)
    data = TransitionDataset.from_arrays(**log(actions=actions))
    assert data.actions.dtype == np.float32
    assert data.action_count is None
    assert not data.is_discrete
    assert data.summary()["actions"] is None
    one = TransitionDataset.from_arrays(**log(actions=actions[:, :1]))
    assert one.actions.shape == (6, 1)


def test_whole_floats_and_one_column_are_discrete_actions():
    for actions in ([0.0, 1.0, 0.0, 1.0, 1.0, 0.0], np.array([[0], [1], [0], [1], [1], [0]])):
        assert_same(TransitionDataset.from_arrays(**log(actions=actions)), TransitionDataset.from_arrays(**log()))


def test_arrays_are_read_only_and_the_callers_stay_theirs():
    arrays = log()
    data = TransitionDataset.from_arrays(**arrays)
    digest = data.digest()
    for name in ("states", "source", "successor", "actions", "rewards", "terminals", "timeouts", "episodes"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(data, name)[0] = 1
    for column in arrays.values():
        column[0] = 1 - column[0]
    assert data.digest() == digest


def test_the_summary_is_plain():
    summary = TransitionDataset.from_arrays(**log(action_count=3)).summary()
    assert json.loads(json.dumps(summary)) == summary
    assert summary["transitions"] == 6
    assert summary["episodes"] == 3
    assert summary["terminals"] == 1
    assert summary["timeouts"] == 2
    assert summary["mean_return"] == 7
    assert summary["actions"] == [3, 3, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": [1.0, 2, 3, np.nan, 5, np.inf]}, r"rewards\[3\] holds nan; a log must hold finite"),
        ({"observations": [[0.0], [1], [-np.inf], [3], [4], [5]]}, r"observations\[2\] holds -inf"),
        ({"next_observations": [[0.0], [1], [2], [3], [np.nan], [5]]}, r"next_observations\[4\] holds nan"),
        ({"rewards": [1.0] * 5}, "rewards has 5 rows, but observations 6"),
        ({"terminals": [0] * 7}, "terminals has 7 rows, but observations 6"),
        ({"episodes": [0] * 2}, "episodes has 2 rows, but observations 6"),
        ({"next_observations": np.zeros((6, 2))}, r"next_observations have shape \(6, 2\), observations \(6, 1\)"),
        ({"actions": [0, 1, 0.5, 1, 1, 0]}, r"actions\[2\] is 0.5, which is no whole number; give continuous"),
        ({"actions": [0, 1, 0, -1, 1, 0]}, r"actions\[3\] is -1; discrete actions are 0 to 1"),
        ({"actions": [0, 1, 0, 1, 2, 0], "action_count": 2}, r"actions\[4\] is 2; discrete actions are 0 to 1"),
        ({"actions": np.full((6, 2), np.nan)}, r"actions\[0\] holds nan"),
        ({"actions": np.full((6, 2), 1e300)}, r"actions\[0\] holds inf"),
        ({"actions": np.zeros((6, 2), int)}, "number the combinations of discrete actions"),
        ({"actions": np.zeros((6, 2, 2))}, r"shape \(N,\) or \(N, m\), got \(6, 2, 2\)"),
        ({"actions": ["left"] * 6}, "actions must hold numbers, got <U4"),
        ({"terminals": [0, 0, 2, 0, 0, 0]}, r"terminals\[2\] is 2; it must be true or false"),
        ({"observations": [["a"]] * 6}, "observations must hold numbers"),
        ({"observations": [[1.0], [2.0, 3.0]] * 3}, "observations must be one array, with rows of one length"),
        ({"episodes": [0, 0, 0, 1, 0, 0]}, "episode 0 comes back in row 4; sort the log"),
        ({name: [] for name in log()}, "the log is empty"),
    ],
)
def test_wrong_arrays_are_refused(changes, message):
    """By the name of the array and the first row."""
    with pytest.raises(InputError, match=message):
        TransitionDataset.from_arrays(**log(**changes))


def test_a_dataset_checks_its_own_parts():
    data = TransitionDataset.from_arrays(**log())
    parts = {name: getattr(data, name) for name in data.__dataclass_fields__}
    for changes, message in [
        ({"source": parts["source"] + 4}, r"source\[4\] is 10, but there are states 0 to 8"),
        ({"successor": parts["successor"][:-1]}, "successor has 5 rows, but source 6"),
        ({"episodes": parts["episodes"][::-1]}, r"episodes\[2\] is smaller"),
        ({"states": parts["states"][:, 0]}, r"states must have shape \(M, \*observation_shape\)"),
    ]:
        with pytest.raises(InputError, match=message):
            TransitionDataset(**{**parts, **changes})


def test_d4rl_names():
    arrays = {**log(), "infos/qpos": np.zeros(6)}
    assert_same(TransitionDataset.from_d4rl(arrays), TransitionDataset.from_arrays(**log()))
    with pytest.raises(InputError, match="the log has no rewards; it has: observations, actions"):
        TransitionDataset.from_d4rl({name: arrays[name] for name in ("observations", "actions")})


def test_an_npz_of_d4rl_names_is_read(tmp_path):
    np.savez(tmp_path / "log.npz", **log())
    assert_same(read_log(f"{tmp_path}/log.npz"), TransitionDataset.from_arrays(**log()))


def test_files_that_are_no_log_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"absent.npz' does not exist"):
        read_log(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match="is no npz file that can be read without pickle"):
        read_log(tmp_path / "text.npz")
    np.savez(tmp_path / "pickled.npz", observations=np.array([{}], dtype=object), actions=[0], rewards=[0])
    with pytest.raises(InputError, match="without pickle"):
        read_log(tmp_path / "pickled.npz")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(InputError, match=r"other.npz': the log has no observations and no actions"):
        read_log(tmp_path / "other.npz")
    with pytest.raises(InputError, match=r"is no log; give FILE.npz, FILE.csv, FILE.parquet or minari:ID"):
        read_log("log.txt")
    whole = TransitionDataset.from_arrays(**log())
    whole.save(tmp_path / "whole.npz")
    (tmp_path / "torn.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:-200])
    with pytest.raises(InputError, match=r"torn.npz' is no npz file"):
        read_log(tmp_path / "torn.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(InputError, match="one array only"):
        read_log(tmp_path / "one.npz")
    with np.load(tmp_path / "whole.npz") as archive:
        arrays = dict(archive)
    for changes, message in [
        ({"format_version": 99}, "format 99, newer than 1; update Rostra"),
        ({"source": np.full(6, 100)}, r"source\[0\] is 100, but there are states"),
        ({"rewards": np.zeros(3)}, "rewards has 3 rows"),
    ]:
        np.savez(tmp_path / "changed.npz", **{**arrays, **changes})
        with pytest.raises(InputError, match=message):
            read_log(tmp_path / "changed.npz")


def table(**changes):
    """The log as a table."""
    arrays = log()
    columns = {
        "episode": ["a", "a", "a", "b", "c", "c"],
        "obs_x": arrays["observations"][:, 0],
        "obs_y": -arrays["observations"][:, 0],
        "action": arrays["actions"],
        "reward": arrays["rewards"],
        "terminal": arrays["terminals"],
    }
    return pd.DataFrame({**columns, **changes})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_are_read_by_the_usual_names(tmp_path, suffix):
    frame = table(next_obs_x=log()["next_observations"][:, 0], next_obs_y=-log()["next_observations"][:, 0])
    path = tmp_path / f"log{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    data = read_log(path)
    np.testing.assert_array_equal(data.observations, frame[["obs_x", "obs_y"]].to_numpy())
    np.testing.assert_array_equal(data.next_observations, frame[["next_obs_x", "next_obs_y"]].to_numpy())
    assert data.episodes.tolist() == [0, 0, 0, 1, 2, 2]
    assert data.terminals.tolist() == log()["terminals"].tolist()
    assert data.action_count == 2


def test_tables_are_read_by_given_names(tmp_path):
    frame = table().rename(columns={"obs_x": "position", "action": "a0", "reward": "r", "terminal": "done"})
    frame["a1"] = 0.5
    frame.to_csv(tmp_path / "log.csv", index=False)
    data = TransitionDataset.from_csv(
        tmp_path / "log.csv", ["position"], ["a0", "a1"], "r", terminal="done", episode="episode"
    )
    assert data.observations[:, 0].tolist() == [0, 1, 2, 20]  # no next observations
    assert data.actions.tolist() == [[0, 0.5], [1, 0.5], [0, 0.5], [1, 0.5]]
    assert not data.is_discrete


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (table().drop(columns=["obs_x", "obs_y"]), {}, "no column that begins with obs_ or observation_"),
        (table().drop(columns="reward"), {}, "no column named 'reward'"),
        (table().drop(columns="action"), {}, "no column named 'action'"),
        (table(), {"terminal": "done"}, "no column named 'done'"),
        (table(next_obs_x=1.0), {}, "some columns of the next observation, but not 'next_obs_y'"),
        (table(), {"next_observations": ["obs_x"]}, "1 columns of the next observation are named for 2"),
        (table(action=0.5), {}, r"actions\[0\] is 0.5, which is no whole number"),
        (table(reward="a"), {}, "column 'reward' must hold numbers, but row 1 holds 'a'"),
        (table(obs_x=[0, 1, None, 3, 4, 5]), {}, r"column 'obs_x' holds 1 missing value \(first in row 3\)"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, frame, options, message):
    frame.to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(InputError, match=message):
        TransitionDataset.from_csv(tmp_path / "log.csv", **options)


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "log.parquet").write_text("text")
    with pytest.raises(InputError, match="is no Parquet file"):
        read_log(tmp_path / "log.parquet")
    with pytest.raises(InputError, match=r"absent.parquet' does not exist"):
        read_log(tmp_path / "absent.parquet")


@pytest.fixture
def minari(tmp_path, monkeypatch):
    """Minari with an empty folder of data sets."""
    package = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return package


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.bool_])
@pytest.mark.parametrize("continuous", [False, True])
def test_minari_round_trip(minari, dtype, continuous):
    arrays = log()
    arrays["observations"] = arrays["observations"].astype(dtype)
    arrays["next_observations"] = arrays["next_observations"].astype(dtype)
    if continuous:
        arrays["actions"] = np.linspace(-1, 1, 12).reshape(6, 2)
    whole = TransitionDataset.from_arrays(**arrays)
    whole.to_minari("rostra/log-v0")
    assert_same(read_log("minari:rostra/log-v0"), whole)
    with pytest.raises(InputError, match="cannot make the Minari data set 'rostra/log-v0'"):
        whole.to_minari("rostra/log-v0")


def test_minari_images_are_not_compressed_with_loss(minari):
    images = np.random.default_rng(0).integers(0, 256, (7, 40, 40), dtype=np.uint8)
    arrays = log(observations=images[:6], next_observations=images[1:], timeouts=[0] * 6)
    whole = TransitionDataset.from_arrays(**arrays)
    whole.to_minari("images-v0")
    assert_same(read_log("minari:images-v0"), whole)


def test_minari_keeps_very_long_episodes(minari):
    """Its Arrow format does not."""
    count = 140_000
    whole = TransitionDataset.from_arrays(
        np.arange(count) % 2 == 0, np.arange(count) % 3, np.arange(count), np.arange(1, count + 1) % 2 == 0
    )
    whole.to_minari("long-v0")
    assert_same(read_log("minari:long-v0"), whole)
    whole.head(1000).to_minari("short-v0")
    short = minari.load_dataset("short-v0")
    short.storage.update_metadata({"total_steps": 1001})
    with pytest.raises(InputError, match="'short-v0' has 1001 steps, but 1000 could be read"):
        TransitionDataset.from_minari(minari.load_dataset("short-v0"))


def test_minari_observations_that_are_states(minari):
    """Discrete observations become one-hot rows, counted from the space's start, and are written as such."""
    from gymnasium.spaces import Discrete
    from minari.data_collector import EpisodeBuffer

    buffer = EpisodeBuffer(
        observations=np.array([2, 3, 6]),
        actions=np.array([1, 0]),
        rewards=np.array([0.0, 1.0]),
        terminations=np.array([False, False]),
        truncations=np.array([False, False]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no author is named
        dataset = minari.create_dataset_from_buffers(
            "states-v0", [buffer], observation_space=Discrete(5, start=2), action_space=Discrete(3), data_format="arrow"
        )
    data = TransitionDataset.from_minari(dataset)
    assert data.states.tolist() == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1]]
    assert data.states.dtype == np.float32
    assert data.action_count == 3
    assert data.timeouts.tolist() == [False, True]
    data.to_minari("rows-v0")
    assert_same(read_log("minari:rows-v0"), data)


def test_a_log_of_an_environment_with_states_is_written_with_its_id(minari):
    """Its own space is Discrete; the data set's is what the log holds."""
    from gymnasium.spaces import Discrete

    from rostra.fields.rl.collection import collect, random_policy

    data = collect(random_policy(Discrete(4)), "FrozenLake-v1", 40, seed=0)
    data.to_minari("lake-v0", env="FrozenLake-v1")
    assert_same(read_log("minari:lake-v0"), data)


@pytest.mark.parametrize("of", ["observations", "actions"])
def test_minari_spaces_that_are_no_array_are_refused(minari, of):
    from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

    class Stub:
        id = "mixed-v0"
        observation_space = Dict({"a": Box(0, 1)}) if of == "observations" else Box(0, 1)
        action_space = Discrete(2) if of == "observations" else MultiDiscrete([2, 2])

    with pytest.raises(InputError, match=f"'mixed-v0' has {of} "):
        TransitionDataset.from_minari(Stub())
    if of == "observations":
        Stub.observation_space = Discrete(10_001)
        with pytest.raises(InputError, match=r"'mixed-v0' has observations of 10,001 states.*describe a state"):
            TransitionDataset.from_minari(Stub())


def test_an_absent_minari_data_set_is_not_downloaded(minari):
    with pytest.raises(InputError, match="fetch it: minari download mine/absent-v0"):
        read_log("minari:mine/absent-v0")


def test_the_ground_floor_needs_no_extra():
    """Importing it imports neither Gymnasium nor Minari nor torch."""
    code = (
        "import sys, rostra.fields.rl.collection, rostra.fields.rl.transitions;"
        "print([name for name in ('gymnasium', 'minari', 'torch', 'minatar', 'ale_py') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
