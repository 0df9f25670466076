"""The benchmark's script trains what ours trains, or nothing is printed."""

import numpy as np
import pytest
import torch

from rostra.methods.curricula.training import TrainingConfig


@pytest.fixture
def work(benchmark_module):
    data = benchmark_module.digits()
    config = TrainingConfig(20, 32, 0.1, evaluations=1)
    plans = benchmark_module.strategies(np.random.default_rng(0).random(len(data.y)), data.y, 1, config)
    return plans[:200:40], data.x.flatten(1), torch.as_tensor(data.y), config


def test_the_script_trains_what_ours_trains(benchmark_module, work):
    assert benchmark_module.check_equal_work(*work) < 1e-8


def test_a_script_that_does_other_work_is_refused(benchmark_module, work, monkeypatch):
    plain = benchmark_module.train_by_script
    monkeypatch.setattr(
        benchmark_module, "train_by_script", lambda module, batches, *rest: plain(module, batches[:-1], *rest)
    )
    with pytest.raises(SystemExit, match="the two trainings differ"):
        benchmark_module.check_equal_work(*work)


def test_orders_by_lists_and_by_sorting_are_the_same(benchmark_module):
    row = benchmark_module.ordering(500, 1)
    assert row.ratio == pytest.approx(row.peer / row.ours)
