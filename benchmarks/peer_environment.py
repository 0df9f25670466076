"""Environments of peers whose packages do not go together with ours."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import platformdirs

PEERS = Path(__file__).parent / "peers"


def peer_python(method: str) -> Path:
    """The interpreter of a method's peers, its environment built if `peers/METHOD.txt` has changed since."""
    requirements = PEERS / f"{method}.txt"
    wanted = requirements.read_text()
    folder = Path(platformdirs.user_cache_dir("rostra")) / "peers" / method
    stamp = folder / "installed.txt"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (stamp.exists() and stamp.read_text() == wanted):
        print(f"building the peers' environment in {folder} (once)", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--requirement", requirements]
        subprocess.run(install, check=True, stdout=sys.stderr, env=plain_environment())
        stamp.write_text(wanted)
    return python


def plain_environment() -> dict[str, str]:
    """The environment without our own packages, with one thread a library."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    return {**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, **threads}


class Peer:
    """The process of a method's peer, `peers/METHOD.py`, which waits for requests and answers each in JSON."""

    def __init__(self, method: str, *arguments: Path) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        # -P: a script may have the name of the package that it imports, and would hide it
        self.process = subprocess.Popen(
            [peer_python(method), "-P", "-W", "ignore", PEERS / f"{method}.py", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=plain_environment(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def __call__(self, work: str, **settings: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # the reason is among its errors
            print(json.dumps({"work": work, **settings}), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            self.errors.seek(0)
            said = self.errors.read().strip().splitlines() or ["it ended without a word"]
            raise SystemExit(f"the peer did not run: {said[-1]}")
        found: dict[str, Any] = json.loads(answer)
        return found
