"""Compiled loops against plain products: any shape, both precisions, any number of threads, with and without numba."""

import dataclasses
import itertools
import os
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
    "n": st.one_of(st.integers(1, 40), st.sampled_from([511, 512, 513, 1040, 4200])),
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
    assert torch.equal(compiled.quadratic_outputs(x, matrices), forms[:, :n])
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
    assert not compiled.FAST & {"fast", "nnan", "ninf"}  # which allow a compiler to think that there are none


def test_arrays_of_other_shapes_are_refused():
    x, matrices, weights = drawn(0, torch.float32, (2, 20, 6), (3, 6, 6), (3, 32))
    tiles = compiled.tiled(x)
    for call in (
        lambda: compiled.quadratic_forms(tiles, matrices[:, :5]),
        lambda: compiled.quadratic_outputs(x, matrices[:, :, :5]),
        lambda: compiled.weighted_moments(tiles, weights[:, :20]),
        lambda: compiled.weighted_moments(tiles, weights.flatten()[:64].view(1, 64)),
        lambda: compiled.add_active_moments(x, weights[:2, None], x, torch.zeros(2, 20, 6)),
    ):
        with pytest.raises(ValueError, match=r"shape \(.*\) where \(.*\) was expected"):
            call()


def trained(activation, *, loops=compiled, monkeypatch, dtype=np.float64, sets=(0, 1, 2), rates=(0.03, 0.1), **options):
    monkeypatch.setattr(training, "_compiled", lambda: loops)
    x, y = (
        torch.as_tensor(np.stack(part))
        for part in zip(*(halves(6).sample(150, seed, dtype=dtype) for seed in sets), strict=True)
    )
    config = FCConfig(hidden=(10,), activation=activation, steps=30, checkpoints=3, stop_loss=0.0)
    return train_fc(x, y.to(x), dataclasses.replace(config, **options), sets, rates, test=(x, y.to(x)))


@pytest.mark.parametrize("batch_size", [None, 20])
@pytest.mark.parametrize("activation", ["quadratic", "relu"])
def test_nets_are_the_same_with_numba_and_without(activation, batch_size, monkeypatch):
    runs = [
        trained(activation, loops=loops, monkeypatch=monkeypatch, batch_size=batch_size) for loops in (compiled, None)
    ]
    for ours, theirs in zip(*(run.ensemble.parameters() for run in runs), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-10)
    for measure in ("train_accuracy", "train_loss", "test_accuracy"):
        assert np.allclose(*(getattr(run, measure) for run in runs), atol=1e-10)


def test_a_quadratic_copy_has_the_bits_that_it_has_alone(monkeypatch):
    together = trained("quadratic", monkeypatch=monkeypatch, dtype=np.float32)
    for (number, rate), s in itertools.product(enumerate((0.03, 0.1)), range(3)):
        alone = trained("quadratic", monkeypatch=monkeypatch, dtype=np.float32, sets=[s], rates=[rate])
        assert np.array_equal(together.train_loss[:, number, s], alone.train_loss[:, 0, 0])


# ------------------------------------------------------- where numba serves


@pytest.fixture
def unknown(monkeypatch):
    """As if numba had not been asked for yet."""
    training._compiled.cache_clear()
    yield monkeypatch
    training._compiled.cache_clear()


@pytest.mark.parametrize("activation", ["quadratic", "relu"])
def test_compiled_loops_run_where_numba_is(activation, unknown):
    called = []
    for name in ("weighted_moments", "add_active_moments"):
        loop = getattr(compiled, name)
        unknown.setattr(compiled, name, lambda *parts, name=name, loop=loop: called.append(name) or loop(*parts))
    train_small(activation)
    assert set(called) == {"weighted_moments" if activation == "quadratic" else "add_active_moments"}


def train_small(activation="quadratic"):
    x, y = drawn(0, torch.float32, (1, 150, 6), (1, 150))
    return train_fc(x, y.sign(), FCConfig((10,), activation, steps=2, checkpoints=1), [0], [0.1])


@pytest.mark.parametrize(("rows", "dimension", "pays"), [(1024, 16, True), (100, 6, True), (64, 768, False)])
def test_a_relu_net_has_its_moments_by_the_loops_where_they_pay(rows, dimension, pays, monkeypatch):
    called = []
    loop = compiled.add_active_moments
    monkeypatch.setattr(compiled, "add_active_moments", lambda *parts: called.append(1) or loop(*parts))
    x, y = drawn(0, torch.float32, (1, rows, dimension), (1, rows))
    train_fc(x, y.sign(), FCConfig((8,), "relu", steps=1, checkpoints=1), [0], [0.1])
    assert bool(called) == pays


def test_they_are_for_cpus():
    assert training.compiled_loops(torch.device("cpu")) is compiled
    assert training.compiled_loops(torch.device("cuda")) is None


def forget_compiled(monkeypatch):
    monkeypatch.delattr("rostra.methods.sample_efficiency.compiled")
    monkeypatch.delitem(sys.modules, compiled.__name__)


def test_without_numba_torch_trains(unknown):
    forget_compiled(unknown)
    unknown.setitem(sys.modules, "numba", None)
    assert training.compiled_loops(torch.device("cpu")) is None
    assert np.isfinite(train_small().train_loss).all()


@pytest.mark.parametrize("error", [ImportError("Numba needs another NumPy\nor so"), RuntimeError("cannot cache")])
def test_a_numba_that_cannot_be_used_is_said_and_torch_trains(error, unknown):
    class Refusing:
        def __getattr__(self, name):
            raise error

    forget_compiled(unknown)
    unknown.setitem(sys.modules, "numba", Refusing())
    with pytest.warns(UserWarning, match=f"without numba, which cannot be used here: {str(error).splitlines()[0]}$"):
        assert np.isfinite(train_small().train_loss).all()
    assert np.isfinite(train_small().train_loss).all()  # said once


# ------------------------------------------------------- threads and processes

BITS = """
import hashlib, sys, torch
from rostra.methods.sample_efficiency import compiled
torch.set_num_threads(int(sys.argv[1]))
torch.get_num_threads()  # torch keeps the number to itself until it is asked
generator = torch.Generator().manual_seed(0)
x, matrices = torch.randn(2, 6000, 7, generator=generator), torch.randn(6, 7, 7, generator=generator)
matrices = matrices + matrices.mT
tiles = compiled.tiled(x)
forms = compiled.quadratic_forms(tiles, matrices)
moments = compiled.weighted_moments(tiles, forms)
active, sums = torch.randn(2, 9, 6000, generator=generator), torch.zeros(2, 9, 7)
compiled.add_active_moments(active, forms[:2, None, :6000].contiguous(), x.mT.contiguous(), sums)
bits = b"".join(part.numpy().tobytes() for part in (forms, moments, sums, compiled.quadratic_outputs(x, matrices)))
import numba
print(torch.get_num_threads(), numba.get_num_threads(), hashlib.sha256(bits).hexdigest())
"""


def answers(script, *arguments, **environment):
    found = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


def test_threads_change_no_bit_and_are_those_of_torch():
    """Numba would take three by itself."""
    one, two = (answers(BITS, str(count), NUMBA_NUM_THREADS="3") for count in (1, 2))
    assert one[0] == "1"
    assert two[:2] == ["2", "2"]
    assert one[2] == two[2]


FORKED = """
import multiprocessing, torch
from rostra.methods.sample_efficiency import training
from rostra.methods.sample_efficiency.training import FCConfig, train_fc
torch.set_num_threads(1)
def loss():
    x = torch.randn(1, 50, 6, generator=torch.Generator().manual_seed(0))
    run = train_fc(x, x[..., 0].sign(), FCConfig((10,), steps=2, checkpoints=1), [0], [0.1])
    return float(run.train_loss[-1, 0, 0])
print(loss())
with multiprocessing.get_context("fork").Pool(1) as pool:
    print(pool.apply_async(loss).get(timeout=60))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_process_that_has_trained_on_one_thread_can_be_forked():
    here, there = answers(FORKED, OMP_NUM_THREADS="1")
    assert here == there
