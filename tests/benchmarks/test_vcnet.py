"""The benchmark's plain loop does the work that it is compared on."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def benchmark_module():
    path = Path(__file__).parents[2] / "benchmarks" / "vcnet.py"
    spec = importlib.util.spec_from_file_location("benchmark_vcnet", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_plain_loop_trains_what_ours_trains(benchmark_module):
    """From the same weights, with and without targeting."""
    assert benchmark_module.check_equal_work() < 1e-4


def test_a_loop_that_does_other_work_is_refused(benchmark_module, monkeypatch):
    """The benchmark does not print a comparison of unequal work."""
    monkeypatch.setattr(benchmark_module.PlainVCNet, "copy_from", lambda self, network: None)
    with pytest.raises(SystemExit, match="does other work than ours"):
        benchmark_module.check_equal_work()
