"""The plain module does the work that ours is compared on, and unequal work stops the benchmark."""

import importlib.util
import sys
import types
from dataclasses import replace

import numpy as np
import peer_environment
import pytest
import torch

from rostra.methods.diffwave.fast import FastNetwork
from rostra.methods.diffwave.model import SIZES, DiffWave, DiffWaveConfig

TINY = {"residual_layers": 4, "residual_channels": 8}
FRAMES = 3


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def networks(benchmark_module, tmp_path):
    """The plain module and ours, tiny; their weights are in the test's folder."""
    return benchmark_module.same_networks(tmp_path, **TINY)


@pytest.fixture
def small_digits(benchmark_module, monkeypatch):
    sizes = {"residual_layers": 3, "residual_channels": 8, "clip_samples": 300}
    monkeypatch.setattr(benchmark_module, "DIGITS", replace(benchmark_module.DIGITS, **sizes))


@pytest.fixture
def peer_script(benchmark_module):
    """What runs in the peer's environment; the package is not installed here."""
    spec = importlib.util.spec_from_file_location("peer_diffwave", peer_environment.PEERS / "diffwave.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(plain, off=0.0):
    """Answers as the package's process would, by the plain module."""

    def ask(work, step, module=None):
        if work == "time":
            return {"wall": 2.0, "cpu": 1.0}
        audio, mel = module.inputs(FRAMES)
        with torch.no_grad():
            return {"noise": (plain(audio, torch.tensor([step]), mel) + off).tolist()}

    return ask


def answering(benchmark_module, plain, off=0.0):
    ask = package(plain, off)
    return lambda work, step: ask(work, step, benchmark_module)


def is_a_table(rows):
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert row.ours > 0
        assert row.unit
        assert row.note
        assert (row.peer is None) == (row.ratio is None)
        if row.peer is not None:
            assert min(row.peer, row.ratio) > 0
    return True


@pytest.mark.parametrize("sizes", [TINY, {"residual_layers": 12, "residual_channels": 16}])
def test_the_plain_module_is_the_librarys_network(benchmark_module, tmp_path, sizes):
    """From one file of lmnt's layout: each item with its own step, whole or not, over a whole cycle of dilations."""
    plain, network = benchmark_module.same_networks(tmp_path, **sizes)
    audio, mel = benchmark_module.inputs(9, batch=3)
    step = torch.tensor([0.0, 10.451817, 49.0])
    with torch.no_grad():
        expected, found = plain(audio, step, mel), network(audio, step, mel)
        assert float(expected.std()) > 1e-2  # a head of zeros would agree with everything
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.std()))
        for item in range(3):
            alone = FastNetwork(network).prepare(1, audio.shape[1], mel[item : item + 1])
            torch.testing.assert_close(
                alone(audio[item : item + 1], float(step[item])),
                expected[item : item + 1],
                rtol=1e-4,
                atol=1e-4 * float(expected.std()),
            )


def test_halves_in_the_wrong_order_are_noticed(benchmark_module, networks):
    """The comparison can fail: tanh and sigmoid of one layer, or its residual and skip, the other way round."""
    plain, network = networks
    audio, mel = benchmark_module.inputs(FRAMES)
    step = torch.tensor([7.0])
    with torch.no_grad():
        expected = network(audio, step, mel)
        benchmark_module.agree("a step", plain(audio, step, mel), expected, benchmark_module.EQUAL)
        for name in ("dilated_conv", "output_projection"):
            convolution = getattr(plain.residual_layers[1], name)
            convolution.weight.copy_(convolution.weight.roll(len(convolution.weight) // 2, 0))
            with pytest.raises(SystemExit, match="a step: the peer's result is another one; it differs by"):
                benchmark_module.agree("a step", plain(audio, step, mel), expected, benchmark_module.EQUAL)
            convolution.weight.copy_(convolution.weight.roll(len(convolution.weight) // 2, 0))


@pytest.mark.parametrize(
    ("size", "rate", "gigaflops"), [("base", 22050, 43.5), ("large", 22050, 174), ("sc09", 16000, 606)]
)
def test_the_work_of_a_step_is_that_of_the_papers_models(benchmark_module, size, rate, gigaflops):
    """For a second of audio, by hand: 2 (N 8 C^2 + C^2 + 2 C) a sample."""
    count = benchmark_module.flops(DiffWaveConfig(**SIZES[size]), rate)
    assert count / 1e9 == pytest.approx(gigaflops, rel=5e-3)


def test_products_alone_are_counted(benchmark_module):
    """Five products a tile: three of C x 2C and two of C x C, 2 FLOPs a multiplication and addition."""
    work, count = benchmark_module.matrix_products(8, torch.float32, 2)
    work()
    assert count == 2 * 2 * benchmark_module.TILE * (3 * 8 * 16 + 2 * 8 * 8)


def test_steps_get_their_rows(benchmark_module, networks):
    plain, network = networks
    rows = benchmark_module.one_step(plain, network, answering(benchmark_module, plain), FRAMES, 2)
    assert is_a_table(rows)
    packages = [row for row in rows if row.name.endswith("PyPI")]
    assert packages
    for row in packages:
        assert row.peer == 1.0  # the seconds that it measured itself
    for row in rows:
        if row.unit == "GFLOP/s":  # more is better
            assert row.ratio == pytest.approx(row.ours / row.peer, rel=0.5)


def test_bfloat16_is_measured_where_it_is_fast(benchmark_module, networks, monkeypatch):
    plain, network = networks
    for fast, kinds in ((False, {"float32"}), (True, {"float32", "bf16"})):
        monkeypatch.setattr(benchmark_module, "has_fast_bfloat16", lambda fast=fast: fast)
        rows = benchmark_module.preparation(plain, network, FRAMES, 1)
        assert {kind for kind in ("float32", "bf16") if any(kind in row.name for row in rows)} == kinds


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_memory_of_conditions_is_counted(benchmark_module, networks, dtype):
    """2C values a layer and sample."""
    found = benchmark_module.kept_megabytes(FastNetwork(networks[1], dtype), FRAMES)
    assert found * 1e6 == 4 * 2 * 8 * FRAMES * 256 * dtype.itemsize


def test_vocoding_in_six_steps_gets_its_rows(benchmark_module, networks):
    """Also the authors' layout, whose plain module is the room's own."""
    rows = benchmark_module.six_steps(*networks, FRAMES, 2, 2)
    official = benchmark_module.authors_network(networks[1])
    assert official.config.upsampler == "per_layer"
    assert float(official.output.weight.detach().std()) > 0
    rows += benchmark_module.six_steps(official, official, FRAMES, 1, 1, ", authors' layout")
    assert is_a_table(rows)


def test_generating_and_training_get_their_rows(benchmark_module, networks, small_digits):
    rows = benchmark_module.digits(2, 1)
    for row in rows:
        assert row.ratio == pytest.approx(row.ours / row.peer)  # more is better
    rows += benchmark_module.train_vocoder(*networks, 2, 512, 1)
    rows += benchmark_module.train_digits(2, 1)
    rows += benchmark_module.train_on_threads(2, 1, clip_samples=768)
    assert is_a_table(rows)


def test_a_package_that_finds_other_noise_is_refused(benchmark_module, networks):
    """No comparison of unequal work is printed."""
    plain, network = networks
    with pytest.raises(SystemExit, match="a step of the package: the peer's result is another one"):
        benchmark_module.one_step(plain, network, answering(benchmark_module, plain, off=0.01), FRAMES, 1)


def test_a_plain_module_that_does_less_is_refused(benchmark_module, networks):
    plain, network = networks
    del plain.residual_layers[-1]
    for work in (
        lambda: benchmark_module.one_step(plain, network, answering(benchmark_module, plain), FRAMES, 1),
        lambda: benchmark_module.six_steps(plain, network, FRAMES, 1, 1),
        lambda: benchmark_module.train_vocoder(plain, network, 2, 512, 1),
    ):
        with pytest.raises(SystemExit, match="the peer's result is another one"):
            work()


def test_a_trainer_that_learns_something_else_is_refused(benchmark_module, monkeypatch):
    losses = benchmark_module.PlainTrainer.losses
    monkeypatch.setattr(benchmark_module.PlainTrainer, "losses", lambda *given: 1.01 * losses(*given))
    with pytest.raises(SystemExit, match="the losses of two steps on threads: the peer's result is another one"):
        benchmark_module.train_on_threads(2, 1, clip_samples=768)


def test_results_that_are_no_numbers_are_refused(benchmark_module):
    with pytest.raises(SystemExit, match="differs by nan"):
        benchmark_module.agree("a step", torch.full((3,), torch.nan), torch.ones(3), 1.0)


def test_measurements_alternate(benchmark_module):
    """And a work that measures itself is believed."""
    order = []
    own = benchmark_module.Seconds(wall=3.0, cpu=2.0)
    times = benchmark_module.alternate({"a": lambda: order.append("a"), "b": lambda: order.append("b") or own}, 2)
    assert order == ["a", "b", "a", "b"]
    assert times["b"] == [own, own]
    assert benchmark_module.cpu(times["b"], 2) == [4.0, 4.0]
    assert benchmark_module.wall(times["b"]) == [3.0, 3.0]
    assert all(0 <= seconds.wall < 1 for seconds in times["a"])


def test_a_peer_runs_on_as_many_threads_as_suit_it(benchmark_module, monkeypatch):
    now = iter([0.0, 1.0, 10.0, 15.0] * 2)
    monkeypatch.setattr(benchmark_module.time, "perf_counter", lambda: next(now))
    used = []
    assert benchmark_module.quickest(lambda: used.append(torch.get_num_threads()), 2) == used[0]
    assert sorted(used) == [1, 2]
    assert torch.get_num_threads() == 1


def test_a_training_step_trains(benchmark_module, networks):
    """The loss of one batch falls, and the copy that is trained is not the network that others measure."""
    network = networks[1]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    batch = benchmark_module.batch_of(2, 512, benchmark_module.inputs(2, 2)[1])
    training = benchmark_module.Training(
        benchmark_module.copy.deepcopy(network), lambda module, *known: module(*known), batch
    )
    first = float(training.loss())
    for _ in range(30):
        training.step()
    assert float(training.loss()) < first
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class AttrDict(dict):
    __getattr__ = dict.__getitem__


def test_the_process_reads_the_weights_and_gives_the_forwards_arguments_in_order(
    benchmark_module, networks, peer_script, tmp_path, monkeypatch
):
    """A package of the same interface, on the weights and inputs in the folder: forward(audio, mel, step)."""
    plain, _ = networks
    audio, mel = benchmark_module.inputs(FRAMES)
    np.savez(tmp_path / "inputs.npz", audio=audio.numpy(), mel=mel.numpy())

    class Packaged(benchmark_module.PlainDiffWave):
        def __init__(self, params):
            assert params.untouched == "default"
            super().__init__(params.residual_layers, params.residual_channels, params.n_mels)

        def forward(self, audio, spectrogram, diffusion_step):
            assert not torch.is_grad_enabled()
            return super().forward(audio, diffusion_step, spectrogram)[:, None]

    model, params = types.ModuleType("diffwave.model"), types.ModuleType("diffwave.params")
    model.DiffWave, params.AttrDict = Packaged, AttrDict
    params.params = AttrDict(residual_layers=30, residual_channels=64, untouched="default")
    for module in (types.ModuleType("diffwave"), model, params):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    peer = peer_script.Peer(tmp_path)
    with torch.no_grad():
        expected = plain(audio, torch.tensor([10.5]), mel)
    torch.testing.assert_close(torch.tensor(peer.predict(step=10.5)["noise"]), expected)
    seconds = peer.time(step=10.5)
    assert benchmark_module.Seconds(**seconds).wall > 0


def test_a_peer_that_cannot_run_says_why(benchmark_module, networks, tmp_path, monkeypatch):
    """An environment without the package, for one: this one. The script's own name does not stand in for it."""
    monkeypatch.setattr(peer_environment, "peer_python", lambda method: sys.executable)
    with (
        benchmark_module.Peer("diffwave", tmp_path) as ask,
        pytest.raises(SystemExit, match=r"the peer did not run: ModuleNotFoundError: No module named 'diffwave'"),
    ):
        ask("predict", step=1.0)


def test_sizes_are_those_that_rows_speak_of(benchmark_module):
    """BASE is the paper's; generated digits have a label."""
    assert DiffWave(DiffWaveConfig(**benchmark_module.BASE)).config == DiffWaveConfig(**SIZES["base"])
    assert benchmark_module.DIGITS.condition == "label"
    assert len(benchmark_module.DIGITS.schedule) == 50
