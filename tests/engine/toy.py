"""A toy method: trials that take no time, and trials that go wrong on purpose. Workers import it."""

import os
import signal
import time
import uuid
from pathlib import Path

import numpy as np

from rostra.engine.claims import Claim, Scale
from rostra.engine.trials import ATTEMPTS, Outcome, run_trial

ARMS = ("good", "bad")
SETTINGS = {"means": {"good": 1.0, "bad": 0.0}, "noise": 0.1}


def mark(context, arm, seed):
    """Leave a mark that a seed of an arm was begun; gives the number of its marks."""
    context.folder.mkdir(parents=True, exist_ok=True)
    (context.folder / f"{arm}.{seed}.{uuid.uuid4().hex}.mark").touch()
    return executions(context.folder)[arm, seed]


def executions(folder):
    """How often each (arm, seed) was begun."""
    counts = {}
    for path in Path(folder).glob("*.mark"):
        arm, seed, *_ = path.name.split(".")
        counts[arm, int(seed)] = counts.get((arm, int(seed)), 0) + 1
    return counts


def score(settings, arm, seed):
    noise = np.random.default_rng([seed, ARMS.index(arm)]).normal()
    return float(settings["means"][arm] + settings["noise"] * noise)


def measure(settings, arm, seeds, context):
    """One row a seed."""
    for seed in seeds:
        mark(context, arm, seed)
        yield {"seed": seed, "score": score(settings, arm, seed), "cost": 1.0}


def measure_at_doses(settings, arm, seeds, context):
    """Three rows a seed; their mean is the seed's score."""
    for seed in seeds:
        for dose in (-1, 0, 1):
            yield {"seed": seed, "dose": dose, "score": score(settings, arm, seed) + dose}


def measure_with_trouble(settings, arm, seeds, context):
    """Like ``measure``; settings["trouble"] says what happens to a seed, and at how many attempts."""
    for seed in seeds:
        attempt = mark(context, arm, seed)
        what, times = settings["trouble"].get(f"{arm}.{seed}", ("", 0))
        if attempt <= times:
            if what == "raise":
                raise RuntimeError(f"seed {seed} went wrong")
            if what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if what == "nan":
                yield {"seed": seed, "score": float("nan")}
                continue
            if what == "skip":
                continue
            if what == "stray":
                yield {"seed": seed + 1000, "score": 0.0}
        yield {"seed": seed, "score": score(settings, arm, seed)}


def measure_up_to_a_gate(settings, arm, seeds, context):
    """Like ``measure``, but seeds from settings["free"] on wait until a file "gate" is there."""
    for seed in seeds:
        mark(context, arm, seed)
        if seed >= settings["free"]:
            (context.folder / f"{os.getpid()}.pid").touch()
            wait_for((context.folder / "gate").exists, "the gate")
        yield {"seed": seed, "score": score(settings, arm, seed)}


def count_threads(settings, arm, seeds, context):
    """The most threads that a library of the worker uses."""
    import numpy  # noqa: F401
    import scipy.linalg  # noqa: F401
    import torch
    from threadpoolctl import threadpool_info

    mark(context, arm, seeds[0])
    for seed in seeds:
        yield {"seed": seed, "threads": max([torch.get_num_threads(), *(i["num_threads"] for i in threadpool_info())])}


def wait_for(condition, what, seconds=90):
    """Wait until a condition is true; gives its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise TimeoutError(f"waited {seconds} s for {what}")


def waiting_workers(folder):
    """Process ids of the trials that have come to the gate."""
    return [int(path.stem) for path in Path(folder).glob("*.pid")]


def alive(pid):
    """Whether a process runs; one that ended and was not collected does not."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def run_here(trials, workers, on_failure):
    """An executor that runs trials in this process, one after another."""
    for trial in trials:
        for _ in range(ATTEMPTS):
            outcome = run_trial(trial)
            if outcome.failure is None:
                break
            on_failure(trial, outcome.failure)
        assert isinstance(outcome, Outcome)
        yield trial, outcome


def make_claim(name="better", **changes):
    """A claim that holds: "good" scores 1, "bad" scores 0, with a little noise."""
    from rostra.engine.stats import Superiority  # loads SciPy, for which workers need not wait

    size = {key: changes.pop(key) for key in ("seeds", "chunk", "arms_run") if key in changes}
    settings = {**SETTINGS, **changes.pop("settings", {})}
    scale = Scale(settings, size.get("seeds", 6), size.get("chunk", 1), arms=size.get("arms_run"))
    given = {
        "statement": "The good arm scores more than the bad one.",
        "source": "Doe (2021), table 1",
        "paper": {"good": 0.9},
        "metric": "score",
        "unit": "points",
        "arms": ARMS,
        "scales": {"smoke": scale, "laptop": scale, "paper": scale},
        "comparisons": (Superiority("good", over="bad", metric="score"),),
        "run": measure,
    }
    return Claim(name=name, **{**given, **changes})


if __name__ == "__main__":
    # A driver that a test can kill: python toy.py OUT
    import sys

    # Workers find functions by the name of their module, so they must not belong to __main__.
    import toy

    from rostra.engine.reproduce import reproduce

    gated = toy.make_claim(run=toy.measure_up_to_a_gate, settings={"free": 3}, seeds=6)
    reproduce([("toy", gated)], scale="laptop", out=Path(sys.argv[1]), workers=2)
