"""Trials and who runs them.

An executor is a generator: it takes trials and yields, in the order in which they end, each trial
with its outcome. ``run_local`` spawns one process a worker; a cluster's executor has the same shape.
"""

__all__ = ["Outcome", "Trial", "run_local", "run_trial"]

import contextlib
import json
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from .claims import Context, Row
from .files import plain
from .progress import silence
from .runtime import commit, cores, peak_memory_mb, set_threads, versions

ATTEMPTS = 2


@dataclass(frozen=True)
class Trial:
    """What one worker does at a time: some seeds of one arm.

    Attributes:
        method, arm, settings, seeds: what to run.
        run: a claim's ``run``.
        device, threads: where, and with how many cores.
        folder: where shared networks are kept.
    """

    method: str
    run: Callable[[Mapping[str, Any], str, Sequence[int], Context], Any]
    arm: str
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]
    device: str
    threads: int
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: its rows and what they cost, or the reason why there are none."""

    rows: list[Row]
    provenance: dict[str, Any]
    failure: str | None = None


def run_trial(trial: Trial) -> Outcome:
    """Run a trial in this process. An exception becomes the outcome's ``failure``."""
    context = Context(trial.device, trial.folder)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        found = [dict(row) for row in trial.run(trial.settings, trial.arm, trial.seeds, context)]
        # What is stored is JSON; a value that it cannot hold, NaN included, is a failure of this trial.
        rows: list[Row] = json.loads(json.dumps(found, default=plain, allow_nan=False))
        seeds = {row["seed"] for row in rows}
        if seeds != set(trial.seeds):
            raise ValueError(f"rows of the seeds {sorted(seeds)}, expected {list(trial.seeds)}")
    except Exception:
        return Outcome([], {}, traceback.format_exc())
    provenance = {
        "wall_seconds": round(time.perf_counter() - wall, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "peak_memory_mb": peak_memory_mb(),
        "device": trial.device,
        "threads": trial.threads,
        "versions": versions(),
        "commit": commit(),
        "data": context.data,
    }
    return Outcome(rows, provenance)


def _work(connection: Connection, threads: int) -> None:
    """A worker: trials in, outcomes out, until the driver hangs up or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's business

    def follow_the_driver() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow_the_driver, daemon=True).start()
    silence()
    set_threads(threads)
    while True:
        try:
            trial = connection.recv()
        except EOFError:
            return
        connection.send(run_trial(trial))


class _Worker:
    """A spawned process and the driver's end of its pipe."""

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, threads))
        self.process.start()
        theirs.close()  # so that the death of the worker closes the pipe

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def _default_workers(trial: Trial) -> int:
    """As many as keep the cores busy; one where the trials would share a GPU and its memory."""
    return 1 if trial.device.startswith("cuda") else max(1, cores() // trial.threads)


def run_local(
    trials: Sequence[Trial], workers: int | None, on_failure: Callable[[Trial, str], None]
) -> Generator[tuple[Trial, Outcome]]:
    """Run trials on this machine; yields each with its outcome as it ends.

    Every worker computes with the cores that its trial asks for. A trial that raises or whose
    worker dies is tried once more; the others go on.

    Args:
        trials: what to run, in this order; all with the same number of threads.
        workers: processes at a time; None means one a core (over the trial's threads), and one on a GPU.
        on_failure: called for every attempt that failed, with the reason.
    """
    if not trials:
        return
    workers = workers or _default_workers(trials[0])
    waiting = [(trial, 1) for trial in reversed(trials)]
    idle = [_Worker(trials[0].threads) for _ in range(min(workers, len(trials)))]
    busy: dict[Connection, tuple[_Worker, Trial, int]] = {}
    try:
        while waiting or busy:
            while waiting and idle:
                worker, (trial, attempt) = idle.pop(), waiting.pop()
                busy[worker.connection] = (worker, trial, attempt)
                # A worker that died while idle shows as a closed pipe below.
                with contextlib.suppress(OSError):
                    worker.connection.send(trial)
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                worker, trial, attempt = busy.pop(connection)
                try:
                    outcome = connection.recv()
                    idle.append(worker)
                except (EOFError, OSError):
                    worker.stop()
                    reason = f"the worker process died (exit status {worker.process.exitcode})"
                    outcome = Outcome([], {}, reason)
                    idle.append(_Worker(trial.threads))
                if outcome.failure is not None:
                    on_failure(trial, outcome.failure)
                    if attempt < ATTEMPTS:
                        waiting.append((trial, attempt + 1))
                        continue
                yield trial, outcome
    finally:
        for worker in [*idle, *(worker for worker, _, _ in busy.values())]:
            worker.stop()
