"""Environments of peers whose packages do not go together with ours."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

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
