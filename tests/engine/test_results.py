"""The result store: what a finished trial wrote is never lost, and nothing half-written is ever read."""

import errno
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.engine.errors import InputError
from rostra.engine.results import ResultStore, row_key

scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1) | st.text(max_size=3)
settings_of_a_trial = st.dictionaries(st.text(max_size=3), scalars | st.dictionaries(st.text(max_size=3), scalars))


def trial(key, *values):
    return [{"key": key, "row": {"seed": 0, "value": value}} for value in values]


def values(folder, *keys):
    """What a new reader of the folder finds under each key."""
    with ResultStore(folder) as store:
        return [[record["row"]["value"] for record in store.rows(key)] for key in keys]


@pytest.fixture
def folder(tmp_path):
    """A store with three finished trials: "a" (one row), "b" (three rows), "c" (one row)."""
    with ResultStore(tmp_path / "out") as store:
        store.append("toy", trial("a", 1))
        store.append("toy", trial("b", 2, 3, 4))
        store.append("toy", trial("c", 5))
    return tmp_path / "out"


@pytest.fixture
def rows_file(folder):
    return folder / "rows" / "toy.jsonl"


def test_rows_are_there_at_once_and_after_opening_again(tmp_path):
    with ResultStore(tmp_path / "deep" / "out") as store:
        store.append("toy", trial("a", 1, 2))
        assert [record["row"]["value"] for record in store.rows("a")] == [1, 2]
    assert values(tmp_path / "deep" / "out", "a", "unknown") == [[1, 2], []]


def test_appending_goes_on_where_the_last_run_stopped(folder, rows_file):
    before = rows_file.read_bytes()
    with ResultStore(folder) as store:
        store.append("toy", trial("d", 6))
        store.append("other", trial("e", 7))
    assert rows_file.read_bytes().startswith(before)
    assert values(folder, "a", "b", "c", "d", "e") == [[1], [2, 3, 4], [5], [6], [7]]


def test_one_line_a_row_and_each_line_is_json(rows_file):
    assert len([json.loads(line) for line in rows_file.read_text().splitlines()]) == 5


def test_a_torn_last_line_is_cut_off_and_nothing_finished_is_lost(folder, rows_file):
    whole = rows_file.read_bytes()
    line = whole.splitlines(keepends=True)[-1]
    for length in range(1, len(line)):
        rows_file.write_bytes(whole + line[:length])
        assert values(folder, "a", "b", "c") == [[1], [2, 3, 4], [5]]
        assert rows_file.read_bytes() == whole


def test_a_half_written_trial_is_cut_off_as_a_whole(folder, rows_file):
    """Two of three rows are on disk: the trial did not finish, so it has no rows."""
    lines = rows_file.read_bytes().splitlines(keepends=True)
    for kept in (2, 3):
        rows_file.write_bytes(b"".join(lines[:kept]))
        assert values(folder, "a", "b") == [[1], []]
        assert rows_file.read_bytes() == lines[0]


def test_a_trial_that_was_cut_off_can_be_written_again(folder, rows_file):
    lines = rows_file.read_bytes().splitlines(keepends=True)
    rows_file.write_bytes(b"".join(lines[:3]) + lines[3][:10])
    with ResultStore(folder) as store:
        store.append("toy", trial("b", 2, 3, 4))
    assert values(folder, "a", "b") == [[1], [2, 3, 4]]


@pytest.mark.parametrize("damage", [b"{\n", b"\x00\x00\n", b"\xff\xfe\n", b"[]\n", b'{"value": 1}\n', b"\n"])
def test_damage_in_the_middle_is_named_and_left_alone(folder, rows_file, damage):
    lines = rows_file.read_bytes().splitlines(keepends=True)
    rows_file.write_bytes(b"".join([*lines[:2], damage, *lines[3:]]))
    before = rows_file.read_bytes()
    with pytest.raises(InputError, match=r"toy\.jsonl' is damaged in line 3") as caught:
        ResultStore(folder)
    assert "\n" not in str(caught.value)
    assert rows_file.read_bytes() == before


def test_a_store_that_did_not_open_does_not_keep_the_folder(folder, rows_file):
    whole = rows_file.read_bytes()
    rows_file.write_bytes(b"x\n" + whole)
    with pytest.raises(InputError, match="damaged in line 1"):
        ResultStore(folder)
    rows_file.write_bytes(whole)
    assert values(folder, "a") == [[1]]


def test_a_second_process_is_told_that_the_folder_is_taken(folder):
    script = (
        "import sys; from pathlib import Path; from rostra.engine.results import ResultStore\n"
        "with ResultStore(Path(sys.argv[1])): print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(InputError, match=r"another run is writing to .*--out"):
            ResultStore(folder)
        with pytest.raises(InputError, match="another run is writing to"):
            ResultStore(folder, fresh=True)
        other.communicate()
    assert values(folder, "a", "b", "c") == [[1], [2, 3, 4], [5]]


def test_a_process_that_was_killed_does_not_keep_the_folder(folder):
    script = (
        "import os, signal, sys; from pathlib import Path; from rostra.engine.results import ResultStore\n"
        "store = ResultStore(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(folder)], timeout=60).returncode != 0
    assert values(folder, "a") == [[1]]


def test_fresh_sets_everything_aside_and_deletes_nothing(folder, rows_file):
    (folder / "results").mkdir()
    (folder / "results" / "toy.claim.smoke.json").write_text("{}")
    (folder / "report.html").write_text("page")
    (folder / "notes.txt").write_text("the user's own")
    before = rows_file.read_bytes()
    for times in (1, 2):
        with ResultStore(folder, fresh=True) as store:
            assert not store.rows("a")
            store.append("toy", trial("a", 9))
        assert values(folder, "a", "b") == [[9], []]
        assert len(list((folder / "previous").iterdir())) == times
    kept = {path.read_bytes() for path in (folder / "previous").rglob("toy.jsonl")}
    assert before in kept
    assert len(kept) == 2
    assert len(list((folder / "previous").rglob("toy.claim.smoke.json"))) == 1
    assert len(list((folder / "previous").rglob("report.html"))) == 1
    assert (folder / "notes.txt").read_text() == "the user's own"


def test_fresh_in_an_empty_folder_leaves_nothing_behind(tmp_path):
    with ResultStore(tmp_path / "out", fresh=True):
        pass
    assert not (tmp_path / "out" / "previous").exists()


@pytest.mark.parametrize("room", [0, 1, 70, 130])
def test_a_full_disk_leaves_whole_rows_only(folder, rows_file, room):
    """The system refuses to let the file grow by more than ``room`` bytes in the midst of a trial of three rows."""
    before = rows_file.read_bytes()
    script = (
        "import resource, signal, sys; from pathlib import Path; from rostra.engine.results import ResultStore\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "folder, limit = Path(sys.argv[1]), int(sys.argv[2])\n"
        "with ResultStore(folder) as store:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
        "    rows = [{'key': 'd', 'row': {'value': v, 'text': 'x' * 20}} for v in range(3)]\n"
        "    try: store.append('toy', rows)\n"
        "    except OSError as error: print(error.errno, len(store.rows('d')))\n"
    )
    command = [sys.executable, "-c", script, str(folder), str(len(before) + room)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.split() == [str(errno.EFBIG), "0"]
    assert found.stderr == ""
    assert rows_file.read_bytes() == before
    assert values(folder, "a", "b", "c", "d") == [[1], [2, 3, 4], [5], []]


def test_a_place_that_cannot_be_written_is_the_users_to_change(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(InputError, match=r"cannot write to .*--out"):
            ResultStore(place)


def test_failures_are_recorded_with_the_time(folder):
    with ResultStore(folder) as store:
        store.append_failure({"arm": "good", "reason": "one\ntwo"})
        store.append_failure({"arm": "bad", "reason": "three"})
    found = [json.loads(line) for line in (folder / "failures.jsonl").read_text().splitlines()]
    assert [(failure["arm"], failure["reason"]) for failure in found] == [("good", "one\ntwo"), ("bad", "three")]
    assert all(failure["time"] for failure in found)


@given(settings_of_a_trial)
def test_the_order_of_the_settings_does_not_change_the_key(settings):
    def turned(value):
        return {k: turned(v) for k, v in reversed(value.items())} if isinstance(value, dict) else value

    assert row_key("toy", "run", "arm", turned(settings), 0) == row_key("toy", "run", "arm", settings, 0)


def test_a_setting_means_the_same_after_a_round_trip_through_json():
    """Tuples come back as lists; the rows must still be found."""
    settings = {"widths": (50, 50), "rate": 0.1, "inner": {"b": None, "a": True}}
    assert row_key("toy", "run", "arm", json.loads(json.dumps(settings)), 0) == row_key(
        "toy", "run", "arm", settings, 0
    )


@pytest.mark.parametrize(
    "other",
    [
        ("other", "run", "arm", {"n": 1}, 0),
        ("toy", "other", "arm", {"n": 1}, 0),
        ("toy", "run", "other", {"n": 1}, 0),
        ("toy", "run", "arm", {"n": 2}, 0),
        ("toy", "run", "arm", {"n": "1"}, 0),
        ("toy", "run", "arm", {"n": 1, "m": None}, 0),
        ("toy", "run", "arm", {}, 0),
        ("toy", "run", "arm", {"n": 1}, 1),
        ("toyr", "un", "arm", {"n": 1}, 0),
    ],
)
def test_the_key_differs_with_each_ingredient(other):
    assert row_key(*other) != row_key("toy", "run", "arm", {"n": 1}, 0)
