"""Compiled loops against plain products: any shape, both precisions, any number of threads, with and without numba."""

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rostra.methods.sample_efficiency import compiled, training
from rostra.methods.sample_efficiency.tasks import halves
from rostra.methods.sample_efficiency.training import FCConfig, train_fc

TOLERANCES = {torch.float32: 2e-5, torch.float64: 1e-12}


def drawn(seed, dtype, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def close(found, expected):
    scale = expected.abs().max().clamp(min=1)
    return bool(((found - expected).abs() <= TOLERANCES[found.dtype] * scale).all())


SHAPES = {
    "sets": st.integers(1, 3),
    "rates": st.integers(1, 3),
    "n": st.one_of(st.integers(1, 40), st.sampled_from([511, 512, 513, 1040])),
    "dimension": st.integers(1, 13),
    "dtype": st.sampled_from(list(TOLERANCES)),
    "seed": st.integers(0, 100),
}


@settings(deadline=None, max_examples=60)
@given(**SHAPES)
def test_forms_and_moments_are_those_of_plain_products(sets, rates, n, dimension, dtype, seed):
    x, matrices, weights = drawn(
        seed, dtype, (sets, n, dimension), (rates * sets, dimension, dimension), (rates * sets, n)
    )
    matrices = matrices + matrices.mT
    of_copy = x.repeat(rates, 1, 1)
    tiles = compiled.tiled(x)
    forms = compiled.quadratic_forms(tiles, matrices)
    assert close(forms[:, :n], torch.einsum("cni,cij,cnj->cn", of_copy, matrices, of_copy))
    assert (forms[:, n:] == 0).all()
    filled_up = torch.nn.functional.pad(weights, (0, forms.shape[1] - n), value=7.0)
    moments = compiled.weighted_moments(tiles, filled_up)
    assert close(moments, torch.einsum("cn,cni,cnj->cij", weights, of_copy, of_copy))
    assert torch.equal(moments, moments.mT)


@settings(deadline=None, max_examples=60)
@given(units=st.integers(1, 9), **{name: shape for name, shape in SHAPES.items() if name != "rates"})
def test_moments_of_active_units_are_those_of_plain_products(units, sets, n, dimension, dtype, seed):
    active, slopes, columns, moments = drawn(
        seed, dtype, (sets, units, n), (sets, 1, n), (sets, dimension, n), (sets, units, dimension)
    )
    active = active.relu()
    expected = moments + torch.einsum("smn,sn,sdn->smd", active.sign(), slopes[:, 0], columns)
    compiled.add_active_moments(active, slopes, columns, moments)
    assert close(moments, expected)


def test_numbers_that_are_not_finite_stay_so():
    """What makes a diverged net known; sums in any order must not lose it."""
    x, matrices, weights = drawn(0, torch.float32, (1, 20, 6), (3, 6, 6), (3, 32))
    tiles = compiled.tiled(x)
    matrices[1, 2, 2], matrices[2] = torch.nan, torch.inf
    forms = compiled.quadratic_forms(tiles, matrices + matrices.mT)[:, :20]
    assert forms.isfinite().all(1).tolist() == [True, False, False]
    weights[1, 3], weights[2, 4] = torch.inf, torch.nan
    moments = compiled.weighted_moments(tiles, weights)
    assert moments.isfinite().flatten(1).all(1).tolist() == [True, False, False]


def trained(activation, *, numba, monkeypatch, dtype=np.float64, sets=(0, 1, 2), rates=(0.03, 0.1), **options):
    monkeypatch.setattr(training, "_has_numba", lambda: numba)
    x, y = (
        torch.as_tensor(np.stack(part))
        for part in zip(*(halves(6).sample(50, seed, dtype=dtype) for seed in sets), strict=True)
    )
    config = FCConfig(hidden=(10,), activation=activation, steps=30, checkpoints=3, stop_loss=0.0)
    return train_fc(x, y.to(x), dataclasses.replace(config, **options), sets, rates, test=(x, y.to(x)))


@pytest.mark.parametrize("batch_size", [None, 20])
@pytest.mark.parametrize("activation", ["quadratic", "relu"])
def test_nets_are_the_same_with_numba_and_without(activation, batch_size, monkeypatch):
    runs = [trained(activation, numba=numba, monkeypatch=monkeypatch, batch_size=batch_size) for numba in (True, False)]
    for ours, theirs in zip(*(run.ensemble.parameters() for run in runs), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-10)
    for measure in ("train_accuracy", "train_loss", "test_accuracy"):
        assert np.allclose(*(getattr(run, measure) for run in runs), atol=1e-10)


@pytest.mark.parametrize("activation", ["quadratic", "relu"])
def test_without_numba_no_compiled_loop_runs(activation, monkeypatch):
    for name in ("quadratic_forms", "weighted_moments", "add_active_moments"):
        monkeypatch.setattr(compiled, name, lambda *_: pytest.fail("compiled loop called"))
    trained(activation, numba=False, monkeypatch=monkeypatch)
    with pytest.raises(pytest.fail.Exception, match="compiled loop called"):
        trained(activation, numba=True, monkeypatch=monkeypatch)


def test_a_quadratic_copy_has_the_bits_that_it_has_alone(monkeypatch):
    options = {"numba": True, "monkeypatch": monkeypatch, "dtype": np.float32}
    together = trained("quadratic", **options)
    for (number, rate), s in itertools.product(enumerate((0.03, 0.1)), range(3)):
        alone = trained("quadratic", sets=[s], rates=[rate], **options)
        assert np.array_equal(together.train_loss[:, number, s], alone.train_loss[:, 0, 0])


BITS = """
import hashlib, sys, torch
from rostra.methods.sample_efficiency import compiled
torch.set_num_threads(int(sys.argv[1]))
generator = torch.Generator().manual_seed(0)
x, matrices = torch.randn(2, 1500, 7, generator=generator), torch.randn(6, 7, 7, generator=generator)
tiles = compiled.tiled(x)
forms = compiled.quadratic_forms(tiles, matrices + matrices.mT)
moments = compiled.weighted_moments(tiles, forms)
active, sums = torch.randn(2, 9, 1500, generator=generator), torch.zeros(2, 9, 7)
compiled.add_active_moments(active, forms[:2, None, :1500].contiguous(), x.mT.contiguous(), sums)
bits = b"".join(part.numpy().tobytes() for part in (forms, moments, sums))
print(torch.get_num_threads(), hashlib.sha256(bits).hexdigest())
"""


def test_threads_change_no_bit_and_are_those_of_torch():
    found = [
        subprocess.run([sys.executable, "-c", BITS, str(count)], capture_output=True, text=True, check=True).stdout
        for count in (1, 2)
    ]
    (one, first), (two, second) = (line.split() for line in found)
    assert (one, two) == ("1", "2")
    assert first == second
