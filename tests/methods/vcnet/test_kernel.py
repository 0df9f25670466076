"""Local-linear regression and effective sample size."""

import numpy as np
import pytest

from rostra.methods.vcnet.kernel import effective_sample_size, local_linear, select_bandwidth

RNG = np.random.default_rng(0)
T = RNG.uniform(size=200)
GRID = np.linspace(0, 1, 11)


@pytest.mark.parametrize("bandwidth", [0.05, 0.3, 5.0])
def test_a_line_is_reproduced_exactly(bandwidth):
    """Local-linear regression has no bias on a line, at the ends too."""
    np.testing.assert_allclose(local_linear(T, 2 - 3 * T, GRID, bandwidth), 2 - 3 * GRID, atol=1e-9)


def test_a_wide_kernel_is_least_squares():
    """With an infinite bandwidth the fit is the ordinary line."""
    y = np.sin(5 * T) + RNG.standard_normal(200)
    np.testing.assert_allclose(local_linear(T, y, GRID, 1e4), np.polyval(np.polyfit(T, y, 1), GRID), atol=1e-5)


def test_weights_count_rows():
    """A row of weight 2 is two rows."""
    y, weights = np.sin(5 * T), RNG.integers(0, 3, size=200).astype(float)
    repeated = np.repeat(np.arange(200), weights.astype(int))
    np.testing.assert_allclose(
        local_linear(T, y, GRID, 0.1, weights), local_linear(T[repeated], y[repeated], GRID, 0.1), atol=1e-9
    )


def test_cross_validation_finds_a_sensible_bandwidth():
    """Wide for a noisy line, narrow for a clear wave."""
    wave = select_bandwidth(T, np.sin(20 * T) + 0.05 * RNG.standard_normal(200))
    line = select_bandwidth(T, T + RNG.standard_normal(200))
    assert wave < 0.06 < 0.15 < line


def test_effective_sample_size():
    """About the number of rows inside the kernel; smaller where doses are sparse; weights lower it."""
    doses = np.concatenate([RNG.uniform(0, 0.5, 900), RNG.uniform(0.5, 1, 100)])
    size = effective_sample_size(doses, np.array([0.25, 0.75]))
    assert 900 > size[0] > 3 * size[1] > 0
    uneven = effective_sample_size(doses, np.array([0.25]), RNG.exponential(size=1000))
    assert uneven[0] < size[0]


def test_pieces_change_nothing(monkeypatch):
    """Doses are taken in pieces where rows are many; the answers are the same."""
    y = np.sin(5 * T)
    whole = local_linear(T, y, GRID, 0.1), effective_sample_size(T, GRID)
    monkeypatch.setattr("rostra.methods.vcnet.kernel._CHUNK_NUMBERS", 500)
    np.testing.assert_allclose(local_linear(T, y, GRID, 0.1), whole[0], rtol=1e-10)
    np.testing.assert_allclose(effective_sample_size(T, GRID), whole[1], rtol=1e-10)
