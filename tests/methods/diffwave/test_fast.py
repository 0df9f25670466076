"""The network by tiles: values, gradients, pieces, threads and batches against the plain module."""

import functools
import threading
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rostra.engine.errors import InputError
from rostra.methods.diffwave import fast, tiled
from rostra.methods.diffwave.fast import FastNetwork, has_fast_bfloat16
from rostra.methods.diffwave.model import PRESETS, DiffWave, DiffWaveConfig
from rostra.methods.diffwave.tiled import LayerWeights, fold, residual_layer, tiled_forward

SMALL = {
    "residual_layers": 6,
    "residual_channels": 16,
    "dilation_cycle_length": 3,
    "n_classes": 4,
    "n_mels": 5,
    "n_fft": 64,
    "hop_samples": 15,
    "win_length": 60,
    "f_max": 4000.0,
    "sample_rate": 8000,
}
CONDITIONS = ("none", "label", "mel")
VARIANTS = [
    (condition, base, upsampler)
    for condition in CONDITIONS
    for base in ("u", "h")
    for upsampler in (("per_layer", "shared") if condition == "mel" else ("per_layer",))
]


def network(**options):
    """A network with a head and biases, as some training leaves it."""
    torch.manual_seed(0)
    model = DiffWave(DiffWaveConfig(**{**SMALL, **options}))
    nn.init.normal_(model.output.weight, std=0.5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def inputs(condition, batch=3, length=53, extra_frames=0, seed=0, bands=5):
    generator = torch.Generator().manual_seed(seed)
    audio = torch.randn(batch, length, generator=generator)
    frames = -(-length // 15) + extra_frames
    mel = torch.randn(batch, bands, frames, generator=generator) if condition == "mel" else None
    label = torch.arange(batch) % 4 if condition == "label" else None
    return audio, mel, label


def one(values, item):
    return [None if value is None else value[item : item + 1] for value in values]


def difference(a, b):
    """Of two outputs, over the size of the second."""
    return float((a - b).norm() / b.norm())


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of 16 rows, so that short audio has several and a remainder."""
    monkeypatch.setattr(tiled, "tiles", functools.partial(tiled.tiles, rows=16))
    monkeypatch.setattr(fast, "TILE", 16)


@pytest.fixture
def two_threads():
    """A way to run something on so many threads."""

    def run(count, function):
        torch.set_num_threads(count)
        result = function()
        assert torch.get_num_threads() == count  # what was set stays set
        return result

    before = torch.get_num_threads()
    yield run
    torch.set_num_threads(before)


# Training by tiles


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("condition", "base", "upsampler"), VARIANTS)
def test_tiles_give_the_modules_values_and_gradients(small_tiles, condition, base, upsampler, preset):
    model = network(
        **{**PRESETS[preset], **SMALL, "condition": condition, "residual_base": base, "upsampler": upsampler}
    ).double()
    audio, mel, label = inputs(condition)
    step, weight = torch.tensor([0.0, 7.25, 49.0]).double(), torch.randn(3, 53).double()
    results = []
    for forward in (model, functools.partial(tiled_forward, model, dtype=torch.float64)):
        given = audio.double().requires_grad_()
        frames = None if mel is None else mel.double().requires_grad_()
        predicted = forward(given, step, frames, label)
        model.zero_grad()
        (predicted * weight).sum().backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        results.append((predicted, given.grad, None if frames is None else frames.grad, gradients))
    (plain, of_audio, of_mel, gradients), (predicted, tiled_audio, tiled_mel, tiled_gradients) = results
    torch.testing.assert_close(predicted, plain, rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(tiled_audio, of_audio, rtol=1e-9, atol=1e-11)
    if of_mel is not None:
        torch.testing.assert_close(tiled_mel, of_mel, rtol=1e-9, atol=1e-11)
    for name, gradient in gradients.items():
        if gradient is None:  # the last residual, which the module does not read
            assert tiled_gradients[name] is None or not tiled_gradients[name].any(), name
        else:
            torch.testing.assert_close(tiled_gradients[name], gradient, rtol=1e-9, atol=1e-11, msg=name)


@pytest.mark.parametrize("length", [1, 2, 5, 2049])
@pytest.mark.parametrize("batch", [1, 2])
def test_audio_shorter_than_the_dilation_and_longer_than_a_tile(length, batch):
    model = network(condition="none")
    audio, step = inputs("none", batch, length)[0], torch.full((batch,), 3.0)
    torch.testing.assert_close(tiled_forward(model, audio, step), model(audio, step), rtol=1e-5, atol=1e-6)
    tiled_forward(model, audio, step).sum().backward()
    assert model.input.bias.grad.abs().sum() > 0


@pytest.mark.parametrize("mel_rows", [True, False])
def test_gradients_of_a_layer_are_those_of_finite_differences(small_tiles, mel_rows):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    batch, length, channels, bands = 2, 19, 2, 3
    fixed = fold(network(condition="none", residual_channels=channels).double(), torch.float64).layers[1]
    rows, condition = (draw(batch, length, bands), draw(bands, 2 * channels)) if mel_rows else (None, None)

    def layer(stream, skips, constant, bias, taps, residual, skip, rows, condition):
        weights = replace(fixed, taps=taps, residual=residual, skip=skip, condition=condition)
        assert weights.dilation == 2
        return residual_layer(stream, 1.0 * skips, constant, bias, weights, rows)  # skips are added to in place

    given = (
        draw(batch, length, channels),
        draw(batch, length, channels),
        draw(batch, channels),
        draw(batch, 2 * channels),
        draw(3, channels, 2 * channels),
        draw(channels, channels),
        draw(channels, channels),
    )
    assert torch.autograd.gradcheck(layer, (*given, rows, condition))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_training_in_bfloat16_is_close(condition):
    model = network(condition=condition)
    audio, mel, label = inputs(condition, length=600)
    step, noise = torch.tensor([0.0, 7.0, 49.0]), torch.randn(3, 600)
    gradients = []
    for forward in (model, functools.partial(tiled_forward, model, dtype=torch.bfloat16)):
        model.zero_grad()
        predicted = forward(audio, step, mel, label)
        assert predicted.dtype == torch.float32
        (predicted - noise).square().mean().backward()
        # Without the last residual, whose gradient one of them leaves None.
        parts = [p.grad.flatten() for name, p in model.named_parameters() if ".5.residual" not in name]
        gradients.append((predicted.detach(), torch.cat(parts)))
    (plain, gradient), (predicted, tiled_gradient) = gradients
    assert 1e-4 < difference(predicted, plain) < 2e-2
    assert difference(tiled_gradient, gradient) < 3e-2


def test_unfit_inputs_are_refused_by_tiles_too():
    with pytest.raises(InputError, match="a mel of 3 frames covers 45 samples; the audio has 53"):
        tiled_forward(network(condition="mel"), torch.zeros(2, 53), torch.zeros(2), torch.zeros(2, 5, 3))


def test_products_take_the_dtype_asked_for_and_biases_stay_float32():
    weights = fold(network(condition="mel"), torch.bfloat16)
    layer: LayerWeights = weights.layers[0]
    products = (layer.taps, layer.condition, layer.residual, layer.skip)
    sums = (layer.bias, layer.step, layer.step_bias, layer.residual_bias, weights.head_bias, weights.input)
    assert {tensor.dtype for tensor in products} == {torch.bfloat16}
    assert {tensor.dtype for tensor in sums} == {torch.float32}


# Sampling


@pytest.mark.parametrize("cache_bytes", [None, 0])
@pytest.mark.parametrize(("condition", "base", "upsampler"), VARIANTS)
def test_the_fast_network_is_the_module(small_tiles, condition, base, upsampler, cache_bytes):
    model = network(condition=condition, residual_base=base, upsampler=upsampler)
    audio, mel, label = inputs(condition, extra_frames=1)
    with torch.no_grad():
        plain = model(audio, torch.full((3,), 7.25), mel, label)
    predicted = FastNetwork(model, cache_bytes=cache_bytes).prepare(3, 53, mel, label)(audio, 7.25)
    assert predicted.dtype == torch.float32
    assert not predicted.requires_grad
    torch.testing.assert_close(predicted, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_layout_of_the_papers_size(preset):
    """30 layers of 64 channels, bands and hop of the paper: 1e-4 in float32, 2 % in bfloat16."""
    torch.manual_seed(1)
    model = DiffWave(DiffWaveConfig(**PRESETS[preset]))
    nn.init.normal_(model.output.weight, std=0.1)
    mel = torch.rand(1, 80, 12) if preset == "lmnt" else torch.randn(1, 80, 12) - 5
    audio = torch.randn(1, 3000)
    with torch.no_grad():
        plain = model(audio, torch.tensor([42.918643]), mel)
    predicted = FastNetwork(model).prepare(1, 3000, mel)(audio, 42.918643)
    torch.testing.assert_close(predicted, plain, rtol=1e-4, atol=1e-4 * float(plain.std()))
    rough = FastNetwork(model, torch.bfloat16).prepare(1, 3000, mel)(audio, 42.918643)
    assert rough.dtype == torch.float32
    assert 1e-4 < difference(rough, plain) < 2e-2


@pytest.mark.parametrize("cache_bytes", [None, 0])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_bfloat16_is_close(condition, cache_bytes):
    model = network(condition=condition, residual_channels=32)
    audio, mel, label = inputs(condition, length=900)
    with torch.no_grad():
        plain = model(audio, torch.full((3,), 7.25), mel, label)
    network16 = FastNetwork(model, torch.bfloat16, cache_bytes=cache_bytes)
    assert 1e-4 < difference(network16.prepare(3, 900, mel, label)(audio, 7.25), plain) < 2e-2


def test_conditions_are_computed_once_where_memory_allows():
    """Bias and condition of 6 layers, 3 items, 53 samples, 32 values of 4 bytes; at one byte less, at each step."""
    model = network(condition="mel")
    audio, mel, _ = inputs("mel")
    calls = []
    for layer in model.layers:
        layer.upsampler.register_forward_hook(lambda *given: calls.append(given[-1].requires_grad))
    size = 6 * 3 * 53 * 32 * 4
    for cache_bytes, prepared, sampled in ((size, 18, 18), (size - 1, 0, 36)):
        calls.clear()
        predict = FastNetwork(model, cache_bytes=cache_bytes).prepare(3, 53, mel)
        assert len(calls) == prepared
        predict(audio, 7.0)
        predict(audio, 6.0)
        assert len(calls) == sampled
        assert not any(calls)  # no graph is kept with them


def test_a_shared_mel_is_upsampled_once_a_step_when_it_is_not_kept():
    model = network(condition="mel", upsampler="shared")
    audio, mel, _ = inputs("mel")
    calls = []
    model.upsampler.register_forward_hook(lambda *_: calls.append(1))
    FastNetwork(model, cache_bytes=0).prepare(3, 53, mel)(audio, 7.0)
    assert len(calls) == 3  # items, not layers


@pytest.mark.parametrize("cache_bytes", [None, 0])
@pytest.mark.parametrize("piece", [10, 97, 150, 1000])
@pytest.mark.parametrize(("condition", "upsampler"), [(c, u) for c, b, u in VARIANTS if b == "u"])
def test_pieces_equal_the_whole(condition, upsampler, piece, cache_bytes):
    """Pieces shorter than their halo of 14, no multiple of the hop, and several items."""
    model = network(condition=condition, upsampler=upsampler)
    audio, mel, label = inputs(condition, batch=2, length=401, extra_frames=2)
    with torch.no_grad():
        plain = model(audio, torch.full((2,), 3.5), mel, label)
    predict = FastNetwork(model, piece=piece, cache_bytes=cache_bytes).prepare(2, 401, mel, label)
    torch.testing.assert_close(predict(audio, 3.5), plain, rtol=1e-5, atol=1e-5)


def test_pieces_of_a_net_that_sees_two_thousand_samples():
    model = network(condition="none", residual_layers=10, dilation_cycle_length=10)
    audio = inputs("none", batch=1, length=9000)[0]
    whole, pieces = (FastNetwork(model, piece=piece).prepare(1, 9000)(audio, 3.5) for piece in (9000, 2500))
    torch.testing.assert_close(pieces, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("missing", ["halo", "frames"])
def test_pieces_need_their_halo_and_their_frames(monkeypatch, missing):
    """The two tests above can fail."""
    model = network(condition="mel")
    audio, mel, _ = inputs("mel", batch=1, length=401)
    if missing == "frames":
        monkeypatch.setattr(fast, "FRAME_MARGIN", 0)
    whole, cut = FastNetwork(model), FastNetwork(model, piece=90)
    cut.halo -= 4 if missing == "halo" else 0
    change = (cut.prepare(1, 401, mel)(audio, 3.5) - whole.prepare(1, 401, mel)(audio, 3.5)).abs().max()
    assert change > 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("upsampler", ["shared", "per_layer"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_neither_threads_nor_memory_change_a_bit(monkeypatch, two_threads, condition, upsampler, dtype):
    monkeypatch.setattr(fast, "TILE", 256)
    monkeypatch.setattr(fast, "UPSAMPLED_TILE", 400)
    model = network(condition=condition, residual_channels=32, upsampler=upsampler)
    audio, mel, label = inputs(condition, batch=2, length=1501)

    def predict(cache_bytes=None):
        return FastNetwork(model, dtype, cache_bytes=cache_bytes).prepare(2, 1501, mel, label)(audio, 7.25)

    found = two_threads(1, predict)
    for count in (2, 3, 5, 8):
        assert torch.equal(two_threads(count, predict), found), count
        assert torch.equal(two_threads(count, lambda: predict(cache_bytes=0)), found), count


def test_threads_share_the_tiles(monkeypatch, two_threads):
    """Every tile is computed once, by both threads; fewer tiles than threads stay in this one."""
    monkeypatch.setattr(fast, "TILE", 16)
    shared = []

    def share(length):
        shared.clear()
        with fast.pool_of_threads() as pool:
            pool.share(lambda tiles: shared.append(tiles), 2, length)
        return sorted(map(len, shared)), sorted(tile for part in shared for tile in part)

    lengths, tiles = two_threads(2, lambda: share(40))
    assert lengths == [3, 3]
    assert tiles == [(item, start, min(start + 16, 40)) for item in range(2) for start in (0, 16, 32)]
    assert two_threads(1, lambda: share(40)) == ([6], tiles)


def test_threads_started_later_have_the_number_that_was_set(two_threads):
    """Each of ours sets its own to one, and PyTorch takes what was set last for new threads."""
    predict = FastNetwork(network(condition="none")).prepare(1, 5000)
    two_threads(2, lambda: predict(torch.zeros(1, 5000), 0.0))
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert found == [2]


def test_an_error_in_a_thread_is_raised(two_threads, monkeypatch):
    monkeypatch.setattr(fast, "TILE", 16)

    def convolve(*arguments):
        raise ArithmeticError("in a tile")

    monkeypatch.setattr(fast, "convolve", convolve)
    predict = FastNetwork(network(condition="none")).prepare(1, 53)
    for threads in (1, 2):
        with pytest.raises(ArithmeticError, match="in a tile"):
            two_threads(threads, lambda: predict(torch.zeros(1, 53), 0.0))
        assert torch.get_num_threads() == threads


@settings(max_examples=12)
@given(
    condition=st.sampled_from(CONDITIONS),
    channels=st.sampled_from((16, 32, 64)),
    batch=st.integers(2, 5),
    length=st.integers(1, 700),
    dtype=st.sampled_from((torch.float32, torch.bfloat16)),
    piece=st.sampled_from((128, 1000, 2**17)),
    cache_bytes=st.sampled_from((None, 0)),
)
def test_an_item_of_a_batch_is_that_item_alone(condition, channels, batch, length, dtype, piece, cache_bytes):
    """To the bit, whatever stands beside it and whatever its label.

    Channels and bands are multiples of 16: otherwise an item's rows begin anywhere in memory, and products round by
    that.
    """
    model = network(condition=condition, residual_channels=channels, n_mels=16, n_fft=512)
    audio, *conditions = inputs(condition, batch=batch, length=length, bands=16)
    fast_network = FastNetwork(model, dtype, piece=piece, cache_bytes=cache_bytes)
    together = fast_network.prepare(batch, length, *conditions)(audio, 3.5)
    for item in range(batch):
        alone = fast_network.prepare(1, length, *one(conditions, item))(audio[item : item + 1], 3.5)
        assert torch.equal(alone[0], together[item])


def test_labels_differ_between_the_items_of_a_batch():
    model = network(condition="label")
    audio = inputs("label", batch=1)[0].expand(4, -1)
    predicted = FastNetwork(model).prepare(4, 53, label=torch.tensor([0, 1, 0, 3]))(audio, 3.5)
    assert torch.equal(predicted[0], predicted[2])
    assert (predicted[0] - predicted[1]).abs().max() > 1e-2
    assert (predicted[0] - predicted[3]).abs().max() > 1e-2


def test_a_predictor_keeps_nothing_of_the_step_before(small_tiles):
    model = network(condition="mel")
    audio, mel, _ = inputs("mel")
    predict = FastNetwork(model, piece=100).prepare(3, 53, mel)
    first = predict(audio, 7.0)
    other = predict(100 * audio, 0.0)
    assert not torch.equal(first, other)
    assert torch.equal(predict(audio, 7.0), first)
    assert not torch.equal(predict(audio, 6.0), first)


def test_inputs_stay_as_they_are():
    model = network(condition="mel")
    audio, mel, _ = inputs("mel")
    before = audio.clone(), mel.clone()
    FastNetwork(model).prepare(3, 53, mel)(audio, 7.0)
    assert torch.equal(audio, before[0])
    assert torch.equal(mel, before[1])


def test_inputs_that_do_not_fit():
    with pytest.raises(InputError, match="a mel of 3 frames covers 45 samples; the audio has 53"):
        FastNetwork(network(condition="mel")).prepare(2, 53, torch.zeros(2, 5, 3))
    with pytest.raises(InputError, match="needs a label, and label is missing"):
        FastNetwork(network(condition="label")).prepare(2, 53)
    with pytest.raises(InputError, match="label 4 is out of range; labels are 0 to 3"):
        FastNetwork(network(condition="label")).prepare(2, 53, label=torch.tensor([0, 4]))
    fast_network = FastNetwork(network(condition="none"))
    with pytest.raises(InputError, match=r"audio has shape \(2, 0\)"):
        fast_network.prepare(2, 0)
    predict = fast_network.prepare(2, 53)
    for shape in ((3, 53), (2, 54), (1, 53), (53,)):
        with pytest.raises(InputError, match=r"audio has shape .*; this was prepared for \(2, 53\)"):
            predict(torch.zeros(shape), 0.0)
    for step in (-0.5, 49.5):
        with pytest.raises(InputError, match="must lie in 0 to 49"):
            predict(torch.zeros(2, 53), step)


def test_whether_bfloat16_is_fast_is_known():
    assert has_fast_bfloat16() in (True, False)
