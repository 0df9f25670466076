"""Devices: what cannot be used is refused in one line."""

import os

import pytest
import torch

from rostra.engine.errors import InputError
from rostra.engine.runtime import available_memory, resolve_device


def test_a_device_without_float64_is_refused(monkeypatch):
    """As Apple's MPS: it is there and holds tensors, but not those of the curves."""
    empty = torch.empty

    def without_float64(*size, device=None, dtype=None):
        if dtype == torch.float64:
            raise TypeError("the MPS framework doesn't support float64\nmore")
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
