"""The benchmark's plain loop does the work that it is compared on."""

import pytest


def test_the_plain_loop_trains_what_ours_trains(benchmark_module):
    """From the same weights, with and without targeting."""
    assert benchmark_module.check_equal_work() < 1e-4


def test_a_loop_that_does_other_work_is_refused(benchmark_module, monkeypatch):
    """The benchmark does not print a comparison of unequal work."""
    monkeypatch.setattr(benchmark_module.PlainVCNet, "copy_from", lambda self, network: None)
    with pytest.raises(SystemExit, match="does other work than ours"):
        benchmark_module.check_equal_work()
