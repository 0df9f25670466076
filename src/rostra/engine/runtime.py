"""Devices, threads, and what a result must say about where it came from."""

__all__ = [
    "available_memory",
    "commit",
    "cores",
    "keep_freed_memory",
    "one_core_each",
    "peak_memory_mb",
    "resolve_device",
    "set_threads",
    "share_threads_with_numba",
    "versions",
]

import contextlib
import functools
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    import torch

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def resolve_device(name: str | None) -> "torch.device":
    """The torch device of that name; None or "auto" takes CUDA where there is one, else the CPU.

    Raises:
        InputError: if the device is not known, not there, or without float64.
    """
    import torch

    if name is None or name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device, dtype=torch.float64)  # which Apple's MPS lacks, and the methods use
    except Exception as error:  # torch raises RuntimeError or AssertionError, by backend
        reason = str(error).splitlines()[0].split(". ")[0]  # torch adds paragraphs
        raise InputError(f"device '{name}' cannot be used ({reason}); 'cpu' always works") from None
    return device


def cores() -> int:
    """Cores that this process may run on, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_threads(threads: int | None) -> None:
    """Limit the cores that torch and the BLAS libraries of this process use; None leaves them as they are.

    The environment variables act on libraries that are loaded after this call.
    """
    if threads is None:
        return
    if threads < 1:
        raise InputError(f"threads must be at least 1, got {threads}")
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    import torch

    torch.set_num_threads(threads)


def share_threads_with_numba() -> None:
    """Let numba's parallel loops run on as many threads as torch has; to be called before each of them.

    By itself numba takes all cores, and gives torch as many when it first starts its threads: both use one OpenMP.
    """
    import numba
    import torch

    count = torch.get_num_threads()
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    torch.set_num_threads(count)


@contextlib.contextmanager
def one_core_each() -> Iterator[ThreadPoolExecutor | None]:
    """As many threads as torch may use here, with one core for each; None where that is one thread.

    For work in many small operations, which torch cannot share well among cores by itself. Meanwhile torch computes
    on one core in the calling thread too: its own threads wait busily after an operation, and others would lack
    their cores.
    """
    import torch

    threads = torch.get_num_threads()
    if threads == 1:
        yield None
        return
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as executor:
        torch.set_num_threads(1)
        try:
            yield executor
        finally:
            torch.set_num_threads(threads)


@functools.cache
def keep_freed_memory() -> None:
    """Let a training loop on the CPU use the memory of its last step again, instead of asking the system anew.

    glibc hands freed memory above a threshold back to the system, and every step of a loop then
    pays for fresh pages. The threshold follows the largest block that was freed (up to 32 MiB):
    freeing one that is never touched is enough. Without effect on other systems.
    """
    import torch

    torch.empty(31 * 2**20, dtype=torch.uint8)


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python, Rostra and the libraries that results depend on."""
    found = {"python": platform.python_version()}
    for package in ("rostra", "torch", "numpy", "scipy", "scikit-learn", "numba"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


@functools.cache
def commit() -> str | None:
    """Commit of the source tree that Rostra runs from, with "-dirty" if it was changed; None outside git."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB (10^6 bytes); nan where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6, 1)


def available_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or the limit of its control group if that is less."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")] if hasattr(os, "sysconf") else [2**63]
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path(limit).read_text()))
    return min(found)
