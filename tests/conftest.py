"""Fixtures that all tests share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# The same examples in every run, and no deadline: no test asserts a time.
settings.register_profile("rostra", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("rostra")

# Small networks gain nothing from threads that wait for each other; commands that tests start inherit this.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

LONGEST = 180
"""Seconds after which a command counts as hung."""


@pytest.fixture(scope="session")
def plot_cache(tmp_path_factory):
    """One font cache of Matplotlib for the whole session: making it takes seconds."""
    return tmp_path_factory.mktemp("matplotlib")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch, plot_cache):
    """Tests neither read nor write the user's cache; gives the folder that stands in for it."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setenv("MPLCONFIGDIR", str(plot_cache))
    monkeypatch.delenv("ROSTRA_DEBUG", raising=False)
    return folder


@pytest.fixture
def mirror():
    """Folder of the local data mirror; the test is skipped where there is none."""
    folder = os.environ.get("ROSTRA_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the data mirror: set ROSTRA_DATA to its folder")
    return Path(folder)


@pytest.fixture
def rostra(own_cache, tmp_path):
    """Run the installed command as a user does: ``rostra("list", "--json")`` gives the finished process.

    Standard output and standard error are texts. The working folder is the test's own.
    """
    command = Path(sys.executable).with_name("rostra")

    def run(*arguments, timeout=LONGEST, **options):
        return subprocess.run(
            [str(command), *map(str, arguments)],
            **{"capture_output": True, "text": True, "timeout": timeout, "cwd": tmp_path, **options},
        )

    return run
