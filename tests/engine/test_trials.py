"""Trials: a failure costs its own trial only, and who runs the trials changes nothing."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toy

from rostra.engine.trials import Trial, _default_workers, run_local, run_trial


def make_trials(folder, run=toy.measure_with_trouble, seeds=range(3), **trouble):
    settings = {**toy.SETTINGS, "trouble": trouble}
    return [Trial("toy", run, "good", settings, (seed,), "cpu", 1, folder) for seed in seeds]


def run_all(trials, workers):
    """(rows by seed, failed attempts as (seed, reason), seeds without rows)."""
    attempts, rows, failed = [], {}, []
    for trial, outcome in run_local(trials, workers, lambda trial, reason: attempts.append((trial.seeds[0], reason))):
        if outcome.failure is None:
            rows[trial.seeds[0]] = outcome.rows
        else:
            assert outcome.rows == []
            failed.append(trial.seeds[0])
    return rows, attempts, failed


def expected(*seeds):
    return {seed: [{"seed": seed, "score": toy.score(toy.SETTINGS, "good", seed)}] for seed in seeds}


def test_a_trial_that_raises_is_tried_once_more_and_the_others_go_on(tmp_path):
    """Seed 0 raises once, seed 1 always; both attempts of seed 1 are reported with their traceback."""
    trials = make_trials(tmp_path, **{"good.0": ("raise", 1), "good.1": ("raise", 99)})
    rows, attempts, failed = run_all(trials, workers=1)
    assert rows == expected(0, 2)
    assert failed == [1]
    assert sorted(seed for seed, _ in attempts) == [0, 1, 1]
    for seed, reason in attempts:
        assert reason.startswith("Traceback")
        assert "toy.py" in reason
        assert reason.rstrip().endswith(f"RuntimeError: seed {seed} went wrong")
    assert toy.executions(tmp_path) == {("good", 0): 2, ("good", 1): 2, ("good", 2): 1}


def test_a_killed_worker_costs_its_own_trial_only(tmp_path):
    """Seed 1's worker is killed once, as the system does when memory runs out; the trial is tried again."""
    rows, attempts, failed = run_all(make_trials(tmp_path, **{"good.1": ("kill", 1)}), workers=2)
    assert rows == expected(0, 1, 2)
    assert failed == []
    ((seed, reason),) = attempts
    assert seed == 1
    assert "worker process died" in reason
    assert f"-{signal.SIGKILL.value}" in reason
    assert toy.executions(tmp_path) == {("good", 0): 1, ("good", 1): 2, ("good", 2): 1}


def test_a_trial_that_always_kills_its_worker_is_given_up(tmp_path):
    rows, attempts, failed = run_all(make_trials(tmp_path, seeds=range(2), **{"good.0": ("kill", 99)}), workers=1)
    assert rows == expected(1)
    assert [seed for seed, _ in attempts] == [0, 0]
    assert failed == [0]


def test_rows_do_not_depend_on_the_number_of_workers(tmp_path):
    """Nor on whether there is a worker at all."""
    trials = make_trials(tmp_path, seeds=range(5))
    alone = {trial.seeds[0]: run_trial(trial).rows for trial in trials}
    for workers in (1, 2):
        rows, attempts, _ = run_all(trials, workers)
        assert rows == alone
        assert attempts == []


def test_no_trials_start_no_workers():
    assert run_all([], workers=4) == ({}, [], [])


@pytest.mark.parametrize(
    ("device", "threads", "workers"), [("cpu", 1, 3), ("cpu", 2, 1), ("cpu", 8, 1), ("cuda", 1, 1)]
)
def test_workers_by_default_share_the_cores_that_the_process_may_use(tmp_path, monkeypatch, device, threads, workers):
    """A container or taskset may leave three of 64 cores; one GPU holds one trial."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {4, 5, 9}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    (trial,) = make_trials(tmp_path, seeds=[0])
    assert _default_workers(replace(trial, device=device, threads=threads)) == workers


def test_stopping_early_stops_the_workers(tmp_path):
    """A driver that stops asking (an error, Ctrl-C) leaves no process behind."""
    trials = [
        Trial("toy", toy.measure_up_to_a_gate, "good", {**toy.SETTINGS, "free": 1}, (seed,), "cpu", 1, tmp_path)
        for seed in range(3)
    ]
    running = run_local(trials, 2, lambda trial, reason: None)
    trial, _ = next(running)
    assert trial.seeds == (0,)
    pids = toy.wait_for(lambda: toy.waiting_workers(tmp_path), "a trial at the gate")
    running.close()
    assert not any(map(toy.alive, pids))


def test_workers_die_with_the_driver(tmp_path):
    """kill -9 gives the driver no chance to stop them."""
    driver = (
        "import sys; from pathlib import Path; import toy; from rostra.engine.trials import Trial, run_local\n"
        "settings = {**toy.SETTINGS, 'free': 0}\n"
        "run, out = toy.measure_up_to_a_gate, Path(sys.argv[1])\n"
        "trials = [Trial('toy', run, 'good', settings, (s,), 'cpu', 1, out) for s in (0, 1)]\n"
        "if __name__ == '__main__': list(run_local(trials, 2, print))\n"
    )
    script = tmp_path / "driver.py"
    script.write_text(driver)
    environment = {**os.environ, "PYTHONPATH": str(Path(toy.__file__).parent)}
    with subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=environment) as process:
        try:
            pids = toy.wait_for(lambda: len(p := toy.waiting_workers(tmp_path)) == 2 and p, "two trials at the gate")
            assert all(map(toy.alive, pids))
        finally:
            process.kill()
    toy.wait_for(lambda: not any(map(toy.alive, pids)), "the workers to end", seconds=20)


def test_an_outcome_says_where_it_came_from(tmp_path):
    outcome = run_trial(make_trials(tmp_path)[0])
    assert outcome.failure is None
    assert set(outcome.provenance) >= {
        "wall_seconds", "cpu_seconds", "peak_memory_mb", "device", "threads", "versions", "commit", "data",
    }  # fmt: skip
    assert outcome.provenance["device"] == "cpu"
    assert outcome.provenance["threads"] == 1
    assert {"python", "rostra", "torch", "numpy"} <= set(outcome.provenance["versions"])
    assert outcome.provenance["peak_memory_mb"] > 1


def numpy_rows(settings, arm, seeds, context):
    for seed in np.array(seeds):
        yield {"seed": seed, "score": np.float32(0.5), "count": np.int64(3)}


@pytest.mark.parametrize("what", ["skip", "stray", "nan"])
def test_rows_that_cannot_be_used_are_a_failure_of_their_trial(tmp_path, what):
    """A seed without a row, a row of another seed, a metric that is not finite: nothing to average over."""
    (trial,) = make_trials(tmp_path, seeds=[2], **{"good.2": (what, 99)})
    outcome = run_trial(trial)
    assert outcome.failure is not None
    assert "2" in outcome.failure
    assert outcome.rows == []


def test_rows_of_numpy_numbers_can_be_stored(tmp_path):
    """A claim's author need not convert them: either they are converted, or the trial fails and the sweep goes on."""
    import json

    outcome = run_trial(make_trials(tmp_path, run=numpy_rows, seeds=[2])[0])
    assert outcome.failure is not None or json.loads(json.dumps(outcome.rows)) == [
        {"seed": 2, "score": 0.5, "count": 3}
    ]
