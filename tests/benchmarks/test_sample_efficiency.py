"""The benchmark compares equal trainings, or stops."""

import pytest


@pytest.mark.parametrize("activation", ["quadratic", "relu"])
def test_the_loop_trains_what_ours_trains(benchmark_module, activation):
    """From the same weights, in double precision, clipped exactly."""
    assert benchmark_module.check_equal_trainings(activation, 8, 64) < 1e-8


def test_a_loop_that_does_other_work_is_refused(benchmark_module, monkeypatch):
    monkeypatch.setattr(benchmark_module, "clip_exactly", lambda module: None)
    with pytest.raises(SystemExit):
        benchmark_module.check_equal_trainings("quadratic", 8, 64)
