"""Devices: what cannot be used is refused in one line."""

import os
import threading

import pytest
import torch

from rostra.engine.errors import InputError
from rostra.engine.runtime import available_memory, one_core_each, resolve_device


def test_a_device_without_float64_is_refused(monkeypatch):
    """As Apple's MPS: it is there and holds tensors, but not those of the curves."""
    empty = torch.empty

    def without_float64(*size, device=None, dtype=None):
        if dtype == torch.float64:
            raise TypeError("the MPS framework doesn't support float64. If you work there, read on.\nmore")
        return empty(*size)

    monkeypatch.setattr(torch, "empty", without_float64)
    with pytest.raises(InputError) as caught:
        resolve_device("mps")
    assert str(caught.value) == (
        "device 'mps' cannot be used (the MPS framework doesn't support float64); 'cpu' always works"
    )


def test_the_cpu_can_be_used():
    assert resolve_device("cpu") == torch.device("cpu")


def test_memory_is_what_the_machine_or_its_control_group_allows():
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < available_memory() <= physical


def test_threads_compute_on_one_core_each_and_torch_has_its_own_again_afterwards():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        together = threading.Barrier(3, timeout=30)

        def work(_: int) -> int:
            together.wait()  # passed only if three threads are here at once
            return torch.get_num_threads()

        with one_core_each() as executor:
            assert executor is not None
            assert torch.get_num_threads() == 1
            assert list(executor.map(work, range(3))) == [1, 1, 1]
        assert torch.get_num_threads() == 3
        with pytest.raises(ZeroDivisionError), one_core_each() as executor:
            list(executor.map(lambda x: 1 / x, [0]))
        assert torch.get_num_threads() == 3
        torch.set_num_threads(1)
        with one_core_each() as executor:
            assert executor is None
    finally:
        torch.set_num_threads(before)
