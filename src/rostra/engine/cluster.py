"""The executor for a Ray cluster: the same trials, on many machines.

Only the driver, the process of ``rostra reproduce``, writes results; rows come back to it over the
network, so the nodes need no shared folder. Every node needs Rostra, since a trial names a function
of an importable module. Ray itself lives in a child process of the driver: it prints to the
terminal from threads of its own and may abort the process that it is in.
"""

__all__ = ["check_cluster", "run_ray"]

import functools
import importlib.util
import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .errors import InputError, JobError
from .progress import silence
from .runtime import set_threads
from .trials import ATTEMPTS, Outcome, Trial, run_trial

LOSSES = 3
"""How often a trial may lose its worker or its node; that is counted apart from failing code."""
KNOCK_SECONDS = 5
CONNECT_SECONDS = 60
REFILL_SECONDS = 5
STOP_SECONDS = 15
DEVICES = ("cpu", "cuda", "auto")


def run_ray(
    trials: Sequence[Trial],
    workers: int | None,
    on_failure: Callable[[Trial, str], None],
    *,
    address: str | None = None,
) -> Generator[tuple[Trial, Outcome]]:
    """Run trials on a Ray cluster; yields each with its outcome as it ends.

    A trial gets as many cores as it has threads, and one GPU if its device is "cuda" ("auto": if
    the cluster has one). A trial that raises is tried once more; one whose worker or node dies is
    started again, up to three times; the others go on.

    Args:
        trials: what to run, in this order; all with the same number of threads and device.
        workers: trials at a time; None keeps the cluster full, as nodes come and go.
        on_failure: called for every attempt that failed or was lost, with the reason.
        address: "HOST:PORT", "ray://HOST:PORT", "auto" (the cluster that this machine is part of),
            or "local" (one of its own); None means $RAY_ADDRESS, or "local" where that is not set.

    Raises:
        InputError: if Ray is not installed, the cluster cannot be reached, or no node is large
            enough for a trial.
        JobError: if the cluster is lost on the way.
    """
    if not trials:
        return
    address = check_cluster(address, trials[0].device)
    context = multiprocessing.get_context("spawn")
    connection, theirs = context.Pipe()
    process = context.Process(target=_drive, args=(theirs, trials, workers, address))
    process.start()
    theirs.close()  # so that the death of the child closes the pipe
    try:
        if not connection.poll(CONNECT_SECONDS):
            process.kill()
            raise InputError(f"no answer from a Ray cluster at '{address}' within {CONNECT_SECONDS} s; is it one?")
        for kind, *details in iter(functools.partial(_receive, connection), ("done",)):
            if kind == "refused":
                raise InputError(details[0])
            if kind == "lost":
                process.join(STOP_SECONDS)
                raise JobError(
                    f"the Ray cluster at '{address}' was lost (exit status {process.exitcode}); "
                    "finished trials are kept, the same command goes on"
                )
            if kind == "failed":
                on_failure(trials[details[0]], details[1])
            if kind == "ended":
                yield trials[details[0]], details[1]
    finally:
        connection.close()
        process.terminate()
        process.join(STOP_SECONDS)
        process.kill()
        process.join()


def _receive(connection: Connection) -> tuple[Any, ...]:
    """The next message of the child; ("lost",) if it died."""
    try:
        message: tuple[Any, ...] = connection.recv()
    except (EOFError, OSError):
        return ("lost",)
    return message


def check_cluster(address: str | None, device: str) -> str:
    """Refuse what cannot work before anything is written; gives the address to use.

    Nothing is asked of Ray, which would try for minutes to reach an address where nothing listens.

    Raises:
        InputError: if Ray is not installed, the device is none that a cluster knows, or nothing
            listens at the address.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError("the executor 'ray' needs Ray: pip install 'rostra[cluster]'")
    if device not in DEVICES:
        raise InputError(f"device '{device}' cannot be asked of a cluster; choose {', '.join(DEVICES)}")
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address in ("auto", "local"):
        return address
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        raise InputError(f"'{address}' is no address of a Ray cluster; give HOST:PORT, ray://HOST:PORT or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"no Ray cluster answers at '{address}' ({error}); 'ray start --head' prints the address of one"
        ) from None
    return address


def _drive(connection: Connection, trials: Sequence[Trial], workers: int | None, address: str) -> None:
    """The child: connect, run the trials, tell the driver what happens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's business
    threading.Thread(target=_follow_the_driver, daemon=True).start()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    try:
        cluster = _connect(address)
        _check_size(cluster, trials[0])
        connection.send(("connected",))
    except Exception as error:
        reason = str(error) or type(error).__name__
        if not isinstance(error, InputError):
            reason = f"cannot use the Ray cluster at '{address}': {reason.strip().splitlines()[0]}"
        connection.send(("refused", reason))
        return
    for message in _run(cluster, trials, workers):
        connection.send(message)
    connection.send(("done",))
    cluster.shutdown()


def _follow_the_driver() -> None:
    """End with the driver, however it ends; a cluster that was started here ends too."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_SECONDS)
        os._exit(1)


def _connect(address: str) -> Any:
    """The module ``ray``, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is started here reports to nobody
    import ray

    options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    if not address.startswith("ray://"):
        options |= {"log_to_driver": False, "logging_level": logging.ERROR}
    ray.init(address=address, **options)
    return ray


def _check_size(cluster: Any, trial: Trial) -> None:
    """Refuse what no node can ever run; Ray would wait for such a node."""
    nodes = [node["Resources"] for node in cluster.nodes() if node["Alive"]]
    cores = int(max((node.get("CPU", 0) for node in nodes), default=0))
    if trial.threads > cores:
        raise InputError(f"a trial needs {trial.threads} cores; the largest node of the cluster has {cores}")
    if trial.device == "cuda" and not any(node.get("GPU") for node in nodes):
        raise InputError("no node of the cluster has a GPU that Ray knows of; --device cpu always works")


def _run(cluster: Any, trials: Sequence[Trial], workers: int | None) -> Iterator[tuple[Any, ...]]:
    """Yields ("failed", index, reason) for every attempt that failed, ("ended", index, outcome) for every trial."""
    device = trials[0].device
    if device == "auto":
        device = "cuda" if cluster.cluster_resources().get("GPU") else "cpu"
    needs = {"CPU": trials[0].threads, "GPU": int(device == "cuda")}
    # Retries are counted here, where failing code and a lost node can be told apart.
    remote = cluster.remote(_work).options(
        num_cpus=needs["CPU"], num_gpus=needs["GPU"], max_retries=0, name=f"rostra {trials[0].method}"
    )
    name = f"rostra-{uuid.uuid4().hex[:12]}"
    waiting = [(index, 0, 0) for index in reversed(range(len(trials)))]
    running: dict[Any, tuple[int, int, int]] = {}
    while waiting or running:
        most = workers or _room(cluster, needs)
        while waiting and len(running) < most:
            index, failures, losses = waiting.pop()
            trial = replace(trials[index], device=device, folder=trials[index].folder.resolve())
            running[remote.remote(trial, name)] = (index, failures, losses)
        done, _ = cluster.wait(list(running), timeout=REFILL_SECONDS)
        for reference in done:
            index, failures, losses = running.pop(reference)
            try:
                outcome = cluster.get(reference)
                failures += outcome.failure is not None
            except cluster.exceptions.RayTaskError as error:  # before the trial began, as where Rostra is missing
                outcome = Outcome([], {}, str(error))
                failures += 1
            except cluster.exceptions.RayError as error:
                first = str(error).strip().splitlines()[0]
                outcome = Outcome([], {}, f"the worker or its node died ({type(error).__name__}: {first})")
                losses += 1
            if outcome.failure is not None:
                yield "failed", index, outcome.failure
                if failures < ATTEMPTS and losses <= LOSSES:
                    waiting.append((index, failures, losses))
                    continue
            yield "ended", index, outcome


def _room(cluster: Any, needs: dict[str, int]) -> int:
    """Trials to have on their way: those that run at a time, and as many again that are next."""
    total = cluster.cluster_resources()
    return 2 * max(1, min(int(total.get(name, 0) // need) for name, need in needs.items() if need))


def _work(trial: Trial, name: str) -> Outcome:
    """What a node does: one trial, with the cores that it asked for.

    Args:
        trial: what to run.
        name: of the run; networks are kept under it where the driver's folder is out of reach.
    """
    from threadpoolctl import threadpool_limits

    silence()
    set_threads(trial.threads)
    threadpool_limits(trial.threads)  # libraries that this worker has loaded already
    if not os.access(trial.folder.parent, os.W_OK):
        trial = replace(trial, folder=Path(tempfile.gettempdir()) / name)
    return run_trial(trial)
