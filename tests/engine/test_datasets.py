"""Data sets: where they come from, in which order, and whether they are what they should be."""

import functools
import hashlib
import http.server
import socket
import threading

import pytest

from rostra.engine.claims import Context
from rostra.engine.datasets import Dataset, RemoteFile, cache_folder, fetch, find, load
from rostra.engine.errors import InputError

TEXT = "a,b\n1,2\n"
HASH = hashlib.sha256(TEXT.encode()).hexdigest()
OTHER = "a,b\n3,4\n"
OTHER_HASH = hashlib.sha256(OTHER.encode()).hexdigest()


class Silent(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and counts what was asked for."""

    def log_message(self, *_):
        self.server.asked.append(self.path)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server on this machine; ``server.folder`` is what it serves."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "toy.csv").write_text(TEXT)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=folder)) as found:
        found.folder, found.asked = folder, []
        found.address = f"http://127.0.0.1:{found.server_address[1]}"
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def local_mirror(tmp_path, monkeypatch):
    """An empty mirror."""
    monkeypatch.setenv("ROSTRA_DATA", str(tmp_path / "mirror"))
    return tmp_path / "mirror" / "toy"


def make_dataset(address, sha256=HASH, name="toy.csv"):
    return Dataset(
        name="toy",
        title="Toy",
        licence="CC0",
        columns="a, b",
        size=len(TEXT),
        mirror={"mirrored.csv": HASH},
        read_mirror=lambda folder: (folder / "mirrored.csv").read_text(),
        original=(RemoteFile(f"{address}/{name}", sha256),),
        read_original=lambda folder: (folder / name).read_text(),
    )


def put(folder, name, text=TEXT):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_the_mirror_comes_first(server, local_mirror):
    put(local_mirror, "mirrored.csv")
    put(cache_folder() / "toy", "toy.csv")
    dataset = make_dataset(server.address)
    found = load(dataset)
    assert (found.value, found.source, found.sha256, found.verified) == (TEXT, "mirror", {"mirrored.csv": HASH}, True)
    assert find(dataset) == ("mirror", local_mirror)
    assert server.asked == []


def test_the_cache_comes_second(server):
    put(cache_folder() / "toy", "toy.csv")
    dataset = make_dataset(server.address)
    found = load(dataset)
    assert (found.value, found.source, found.sha256, found.verified) == (TEXT, "cache", {"toy.csv": HASH}, True)
    assert find(dataset) == ("cache", cache_folder() / "toy")
    assert server.asked == []


def test_the_original_comes_last_and_is_fetched_once(server):
    dataset = make_dataset(server.address)
    assert find(dataset) is None
    assert load(dataset).source == "original"
    again = load(dataset)
    assert (again.value, again.source) == (TEXT, "cache")
    assert len([path for path in server.asked if "toy.csv" in path]) == 1


def test_without_a_mirror_the_original_is_fetched(server, monkeypatch):
    monkeypatch.delenv("ROSTRA_DATA")
    assert load(make_dataset(server.address)).source == "original"


def test_a_mirror_that_lacks_a_file_is_passed_over(server, local_mirror):
    local_mirror.mkdir(parents=True)
    assert load(make_dataset(server.address)).source == "original"


def test_the_cache_is_where_the_system_keeps_caches(own_cache):
    assert cache_folder().is_relative_to(own_cache)


@pytest.mark.parametrize("place", ["mirror", "cache"])
def test_a_file_with_the_wrong_hash_is_an_error_that_names_both(server, local_mirror, place):
    put(local_mirror if place == "mirror" else cache_folder() / "toy", "mirrored.csv", OTHER)
    put(cache_folder() / "toy", "toy.csv", OTHER)
    with pytest.raises(InputError, match=f"csv' has SHA-256 {OTHER_HASH}, expected {HASH}") as caught:
        load(make_dataset(server.address))
    assert "\n" not in str(caught.value)


def test_a_download_with_the_wrong_hash_is_an_error_that_names_both_and_is_not_kept(server):
    (server.folder / "toy.csv").write_text(OTHER)
    dataset = make_dataset(server.address)
    with pytest.raises(InputError, match=HASH) as caught:
        load(dataset)
    assert OTHER_HASH in str(caught.value)
    assert "\n" not in str(caught.value)
    assert find(dataset) is None


def test_an_unknown_hash_is_recorded_at_first_use_and_a_change_is_an_error(server):
    dataset = make_dataset(server.address, sha256=None)
    first = load(dataset)
    assert (first.value, first.sha256, first.verified) == (TEXT, {"toy.csv": HASH}, False)
    assert load(dataset).verified is False
    (cache_folder() / "toy" / "toy.csv").write_text(OTHER)
    for _ in range(2):
        with pytest.raises(InputError, match=f"has SHA-256 {OTHER_HASH}, expected {HASH}"):
            load(dataset)


def test_a_recorded_hash_outlives_the_file(server):
    """Whoever deletes the file and fetches another one is told."""
    dataset = make_dataset(server.address, sha256=None)
    load(dataset)
    (cache_folder() / "toy" / "toy.csv").unlink()
    (server.folder / "toy.csv").write_text(OTHER)
    with pytest.raises(InputError, match=f"has SHA-256 {OTHER_HASH}, expected {HASH}"):
        load(dataset)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_record_of_hashes_is_the_users_to_mend(server, text):
    dataset = make_dataset(server.address, sha256=None)
    load(dataset)
    (cache_folder() / "toy" / "recorded.json").write_text(text)
    with pytest.raises(InputError, match=r"recorded\.json"):
        load(dataset)


def test_an_address_that_cannot_be_reached_says_what_to_do():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    dataset = make_dataset(address)
    with pytest.raises(InputError, match=r"'toy' is not at hand and .*cannot be reached.*ROSTRA_DATA") as caught:
        load(dataset)
    assert f"{address}/toy.csv" in str(caught.value)
    assert str(cache_folder() / "toy") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_address_without_the_file_is_an_error(server):
    with pytest.raises(InputError, match=r"gone\.csv cannot be reached"):
        load(make_dataset(server.address, name="gone.csv"))


def test_a_file_that_was_put_there_by_hand_is_not_fetched_again(server):
    """As the message for an unreachable address advises."""
    put(cache_folder() / "toy", "toy.csv")
    assert fetch(make_dataset(server.address)) == cache_folder() / "toy"
    assert server.asked == []


def test_a_trial_notes_where_its_data_came_from(server, tmp_path):
    context = Context("cpu", tmp_path)
    assert context.dataset(make_dataset(server.address)) == TEXT
    assert context.data == {"toy": {"source": "original", "sha256": {"toy.csv": HASH}, "verified": True}}
