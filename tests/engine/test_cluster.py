"""The Ray executor: two nodes on this machine give what one machine gives, and may die."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import toy

from rostra.engine.cluster import run_ray
from rostra.engine.errors import InputError
from rostra.engine.reproduce import load_evidence, reproduce
from rostra.engine.trials import Trial, run_local

pytest.importorskip("ray", reason="needs Ray: pip install 'rostra[cluster]'")

# One cluster serves all tests here, also where tests run in parallel.
pytestmark = pytest.mark.xdist_group("cluster")

# In a process of its own, since Ray leaves the files of the nodes that it starts to the garbage collector.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1)]
print(cluster.address, flush=True)
for line in sys.stdin:
    if line == "kill\\n":
        cluster.remove_node(nodes.pop(), allow_graceful=False)
    if line == "add\\n":
        nodes.append(cluster.add_node(num_cpus=1))
    print("done", flush=True)
cluster.shutdown()
"""


class TwoNodes:
    """A cluster of two nodes with one core each, in a process of its own."""

    def __init__(self, process):
        self.process = process
        self.address = self.answer()

    def answer(self):
        """The next line of the process that is ours; Ray prints there too."""
        for line in self.process.stdout:
            if line == "done\n" or (line.count(":") == 1 and line.strip().rpartition(":")[2].isdecimal()):
                return line.strip()
        raise AssertionError("the cluster did not start")

    def do(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        assert self.answer() == "done"


@pytest.fixture(scope="module")
def cluster():
    """Workers import the toy method, so the nodes have it on their path."""
    path = os.pathsep.join([str(Path(toy.__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as process:
        yield TwoNodes(process)
        process.stdin.close()
        process.wait(timeout=60)


def run(cluster, trials, workers=None):
    """(rows by seed, failed attempts as (seed, reason), seeds without rows)."""
    attempts, rows, failed = [], {}, []
    for trial, outcome in run_ray(
        trials, workers, lambda trial, reason: attempts.append((trial.seeds[0], reason)), address=cluster.address
    ):
        assert trial.seeds[0] not in rows
        if outcome.failure is None:
            rows[trial.seeds[0]] = outcome.rows
        else:
            failed.append(trial.seeds[0])
    return rows, attempts, failed


def make_trials(folder, run=toy.measure_with_trouble, seeds=range(3), threads=1, device="cpu", free=0, **trouble):
    settings = {**toy.SETTINGS, "trouble": trouble, "free": free}
    return [Trial("toy", run, "good", settings, (seed,), device, threads, folder) for seed in seeds]


def expected(*seeds):
    return {seed: [{"seed": seed, "score": toy.score(toy.SETTINGS, "good", seed)}] for seed in seeds}


def stored(out):
    return [json.loads(line) for line in (out / "rows" / "toy.jsonl").read_text().splitlines()]


def comparable(document):
    return {name: document[name] for name in ("arms", "comparisons", "verdict", "settings", "missing_seeds")}


def test_rows_and_verdict_are_those_of_the_local_executor(cluster, tmp_path, capfd):
    """Nor does Ray print anything to the user's terminal."""
    (found,) = reproduce(
        [("toy", toy.make_claim(chunk=2))],
        scale="laptop",
        out=tmp_path / "out",
        executor="ray",
        address=cluster.address,
    )
    assert capfd.readouterr() == ("", "")
    (local,) = reproduce([("toy", toy.make_claim(chunk=2))], scale="laptop", out=tmp_path / "local")
    assert comparable(found) == comparable(local)
    assert found["verdict"] == "holds"
    assert found["threads"] == 1

    def rows(out):
        return sorted((record["key"], json.dumps(record["row"], sort_keys=True)) for record in stored(out))

    assert rows(tmp_path / "out") == rows(tmp_path / "local")


def test_a_trial_that_fails_is_tried_again_and_the_others_go_on(cluster, tmp_path, capfd):
    """Seed 0 raises once and seed 1 always; seed 2 always kills its worker, and is given up after four attempts."""
    trials = make_trials(
        tmp_path, seeds=range(4), **{"good.0": ("raise", 1), "good.1": ("raise", 99), "good.2": ("kill", 99)}
    )
    rows, attempts, failed = run(cluster, trials)
    assert rows == expected(0, 3)
    assert sorted(failed) == [1, 2]
    assert [seed for seed, _ in sorted(attempts)] == [0, 1, 1, 2, 2, 2, 2]
    for seed, reason in attempts:
        assert "worker or its node died" in reason if seed == 2 else f"RuntimeError: seed {seed} went wrong" in reason
    assert toy.executions(tmp_path) == {("good", 0): 2, ("good", 1): 2, ("good", 2): 4, ("good", 3): 1}
    assert capfd.readouterr() == ("", "")


def test_a_node_that_dies_costs_no_trial(cluster, tmp_path):
    """It dies when every core holds a trial; what it ran is run by the other node, without using up the retry."""
    lost = []

    def open_the_gate(trial, reason):
        lost.append(reason)
        (tmp_path / "gate").touch()

    trials = make_trials(tmp_path, toy.measure_up_to_a_gate, seeds=range(6), free=2)
    running = run_ray(trials, None, open_the_gate, address=cluster.address)
    seeds = [next(running)[0].seeds[0] for _ in range(2)]
    toy.wait_for(lambda: len(toy.waiting_workers(tmp_path)) == 2, "two trials at the gate")
    cluster.do("kill")
    try:
        for trial, outcome in running:
            seeds.append(trial.seeds[0])
            assert outcome.failure is None
            assert outcome.rows == expected(*trial.seeds)[trial.seeds[0]]
    finally:
        cluster.do("add")
    assert sorted(seeds) == list(range(6))
    assert len(lost) == 1
    assert "NodeDied" in lost[0]


DRIVER = """
import sys
from pathlib import Path

import toy
from rostra.engine.reproduce import reproduce

if __name__ == "__main__":
    gated = toy.make_claim(run=toy.measure_up_to_a_gate, settings={"free": 3}, seeds=6)
    reproduce([("toy", gated)], scale="laptop", out=Path(sys.argv[1]), executor="ray", address=sys.argv[2])
"""


def test_a_driver_that_was_killed_goes_on_and_repeats_no_finished_trial(cluster, tmp_path):
    """kill -9; its trials end with it, and the next run adds the others."""
    script, out = tmp_path / "driver.py", tmp_path / "out"
    script.write_text(DRIVER)
    command = [sys.executable, str(script), str(out), cluster.address]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(toy.__file__).parent), *sys.path[1:]])}
    networks, rows = out / "networks", out / "rows" / "toy.jsonl"
    with subprocess.Popen(command, env=environment) as process:
        try:
            pids = toy.wait_for(lambda: len(p := toy.waiting_workers(networks)) == 2 and p, "two trials at the gate")
            toy.wait_for(lambda: rows.read_bytes().count(b"\n") == 6, "the free trials' rows")
        finally:
            process.kill()
    toy.wait_for(lambda: not any(map(toy.alive, pids)), "the workers to end", seconds=30)
    before = rows.read_bytes()
    (networks / "gate").touch()
    assert subprocess.run(command, env=environment, timeout=90).returncode == 0
    assert rows.read_bytes().startswith(before)
    records = stored(out)
    pairs = [(record["arm"], record["row"]["seed"]) for record in records]
    assert sorted(pairs) == sorted((arm, seed) for arm in toy.ARMS for seed in range(6))
    assert {toy.executions(networks)[pair] for pair in pairs[:6]} == {1}
    assert load_evidence(out / "results")[0]["verdict"] == "holds"


def test_libraries_use_the_threads_of_the_trial_and_nodes_need_no_shared_folder(cluster, tmp_path):
    """Where the driver's folder is out of reach, a node keeps networks in a folder of its own."""
    folder = tmp_path / "elsewhere" / "networks"
    rows, attempts, _ = run(cluster, make_trials(folder, toy.count_threads, seeds=[0]), workers=1)
    assert attempts == []
    assert rows[0] == [{"seed": 0, "threads": 1}]
    assert not folder.parent.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [({"threads": 3}, "needs 3 cores; the largest node of the cluster has 1"), ({"device": "cuda"}, "has a GPU")],
)
def test_what_no_node_can_run_is_refused(cluster, tmp_path, change, words):
    with pytest.raises(InputError, match=words):
        run(cluster, make_trials(tmp_path, **change))


def test_stopping_early_stops_the_trials(cluster, tmp_path):
    running = run_ray(
        make_trials(tmp_path, toy.measure_up_to_a_gate, free=1), None, lambda *_: None, address=cluster.address
    )
    assert next(running)[0].seeds == (0,)
    pids = toy.wait_for(lambda: toy.waiting_workers(tmp_path), "a trial at the gate")
    running.close()
    toy.wait_for(lambda: not any(map(toy.alive, pids)), "the workers to end", seconds=30)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere", "127.0.0.1:many"])
def test_an_address_that_cannot_be_reached_is_the_users_to_mend(tmp_path, address):
    with pytest.raises(InputError, match=address):
        next(run_ray(make_trials(tmp_path), None, lambda *_: None, address=address))


def test_on_the_command_line_that_is_one_line_and_leaves_nothing_behind(rostra, tmp_path):
    found = rostra("reproduce", "vcnet.targeted", "--executor", "ray", "--address", "127.0.0.1:1", "--quiet")
    assert found.returncode == 2
    assert found.stdout == ""
    (line,) = found.stderr.splitlines()
    assert line.startswith("error: no Ray cluster answers at '127.0.0.1:1'")
    assert list(tmp_path.iterdir()) == []
    refused = rostra("reproduce", "vcnet.targeted", "--address", "127.0.0.1:1")
    assert refused.returncode == 2
    assert "--executor ray" in refused.stderr


def test_without_ray_the_error_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr("rostra.engine.cluster.importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'rostra\[cluster\]'"):
        next(run_ray(make_trials(tmp_path), None, lambda *_: None))


def test_no_trials_start_no_cluster():
    assert list(run_ray([], None, lambda *_: None)) == []
    assert list(run_local([], None, lambda *_: None)) == []
