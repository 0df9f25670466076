"""The plain network against a NumPy reference, the paper's sizes, and what its structure promises."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rostra.engine.errors import InputError
from rostra.methods.diffwave.model import (
    PRESETS,
    SIZES,
    DiffWave,
    DiffWaveConfig,
    MelUpsampler,
    StepEmbedding,
    factors_of_hop,
    new_network,
    receptive_field,
)
from rostra.methods.diffwave.objective import noise_loss

SMALL = {
    "residual_layers": 6,
    "residual_channels": 8,
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
MELLESS = {"condition": "none"}


def network(preset="official", seed=0, **options):
    """A network with no parameter at rest, in float64."""
    torch.manual_seed(seed)
    model = DiffWave(DiffWaveConfig(**{**PRESETS[preset], **SMALL, **options})).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def fresh_network(**options):
    """A network as training finds it, in float64, but with a head: no gate is saturated."""
    torch.manual_seed(0)
    model = DiffWave(DiffWaveConfig(**{**SMALL, **MELLESS, **options})).double()
    torch.nn.init.normal_(model.output.weight)
    return model


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def inputs(condition, batch=3, frames=4, length=53, seed=0):
    audio, step = draw(batch, length, seed=seed), torch.tensor([0.0, 7.25, 49.0, 3.0], dtype=torch.float64)[:batch]
    mel = draw(batch, 5, frames, seed=seed + 1) if condition == "mel" else None
    label = torch.tensor([2, 0, 3, 1])[:batch] if condition == "label" else None
    return audio, step, mel, label


# The reference: one item at a time, by the formulas of section 2.5, from the bare parameters.


def parameters(module):
    """Weight and bias; weight normalisation by its definition: g v / |v|, a norm for each first index."""
    bias = module.bias.detach().numpy()
    if not hasattr(module, "parametrizations"):
        return module.weight.detach().numpy(), bias
    g, v = (p.detach().numpy() for p in module.parametrizations.weight.parameters())
    return g * v / np.sqrt((v**2).sum(axis=tuple(range(1, v.ndim)), keepdims=True)), bias


def conv(module, x, dilation=1):
    weight, bias = parameters(module)
    reach = weight.shape[2] // 2 * dilation
    padded = np.pad(x, ((0, 0), (reach, reach)))
    taps = [weight[:, :, k] @ padded[:, k * dilation : k * dilation + x.shape[1]] for k in range(weight.shape[2])]
    return sum(taps) + bias[:, None]


def upsample(module, mel):
    for stage in module.stages:
        weight, bias = parameters(stage)
        stride, frames = weight.shape[3] // 2, mel.shape[1]
        full = np.zeros((len(mel) + 2, (frames + 1) * stride))
        for frame, band in itertools.product(range(frames), range(3)):
            full[band : band + len(mel), frame * stride : (frame + 2) * stride] += mel[:, [frame]] * weight[0, 0, band]
        cut = full[1:-1, (stride + 1) // 2 :][:, : frames * stride] + bias
        mel = np.where(cut > 0, cut, 0.4 * cut)
    return mel


def sinusoids(kind, step):
    j = np.arange(64)
    if kind == "smooth":
        angles = step * 10.0 ** (-4 * j / 63)
        return np.concatenate([np.sin(angles), np.cos(angles)])
    frequencies = (10.0 ** (torch.arange(64) * 4.0 / 63.0)).numpy()  # float32, as lmnt's
    low, high = np.outer([math.floor(step), math.ceil(step)], frequencies.astype(np.float64))
    low, high = (np.concatenate([np.sin(angles), np.cos(angles)]) for angles in (low, high))
    return low + (high - low) * (step - math.floor(step))


def reference(model, audio, step, mel, label):
    """Noise in one waveform (L,)."""

    def linear(module, x):
        return module.weight.detach().numpy() @ x + module.bias.detach().numpy()

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    config, channels = model.config, model.config.residual_channels
    embedded = sinusoids(config.embedding, step)
    for layer in (model.embedding.projection1, model.embedding.projection2):
        embedded = linear(layer, embedded)
        embedded = embedded * sigmoid(embedded)
    h, total = np.maximum(conv(model.input, audio[None]), 0), 0.0
    for i, layer in enumerate(model.layers):
        u = h + linear(layer.step, embedded)[:, None]
        y = conv(layer.dilated, u, 2 ** (i % config.dilation_cycle_length))
        if mel is not None:
            upsampler = model.upsampler if config.upsampler == "shared" else layer.upsampler
            y = y + conv(layer.condition, upsample(upsampler, mel)[:, : len(audio)])
        if label is not None:
            y = y + conv(layer.condition, model.label_embedding.weight.detach().numpy()[label][:, None])
        z = np.tanh(y[:channels]) * sigmoid(y[channels:])
        h = ((u if config.residual_base == "u" else h) + conv(layer.residual, z)) / math.sqrt(2)
        total = total + conv(layer.skip, z)
    head = np.maximum(conv(model.skip, total / math.sqrt(config.residual_layers)), 0)
    return conv(model.output, head)[0]


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("preset", PRESETS)
def test_the_network_is_the_papers(preset, condition):
    """Embedding, gate order, residual base, upsampler, normalisation, scales of both presets."""
    model = network(preset, condition=condition)
    given = inputs(condition)
    predicted = model(*given).detach().numpy()
    assert predicted.std() > 0.1
    for i in range(3):
        item = [None if value is None else value[i].numpy() for value in given]
        np.testing.assert_allclose(predicted[i], reference(model, *item), rtol=0, atol=1e-5)


@pytest.mark.parametrize("hop", [15, 16, 21])
@pytest.mark.parametrize("upsampler", ["per_layer", "shared"])
def test_upsamplers_of_odd_and_even_strides_are_transposed_convolutions(upsampler, hop):
    model = network(condition="mel", upsampler=upsampler, hop_samples=hop, win_length=64)
    given = inputs("mel", batch=1, frames=3, length=3 * hop)
    item = [None if value is None else value[0].numpy() for value in given]
    np.testing.assert_allclose(model(*given)[0].detach().numpy(), reference(model, *item), rtol=0, atol=1e-5)


# Sizes


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ("base", 2_637_305),
        ("large", 6_914_297),
        ("sc09", 24_071_681),
        ("sc09-label", 26_469_121),
        ("sc09-label-thin", 11_437_057),
    ],
)
def test_parameters_of_the_papers_models(size, count):
    with torch.device("meta"):
        model = DiffWave(DiffWaveConfig(**SIZES[size]))
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_schedules_and_rates_of_the_papers_models():
    sizes = {name: DiffWaveConfig(**options) for name, options in SIZES.items()}
    assert {name: config.noise_schedule for name, config in sizes.items()} == {
        "base": (50, 1e-4, 0.05),
        **dict.fromkeys(("large", "sc09", "sc09-label", "sc09-label-thin"), (200, 1e-4, 0.02)),
    }
    assert [config.sample_rate for config in sizes.values()] == [22050, 22050, 16000, 16000, 16000]
    assert {config.clip_samples for config in sizes.values()} == {16000}
    assert sizes["large"].schedule.fast(sizes["large"].inference_noise_schedule).betas[-1] == 0.7


@pytest.mark.parametrize(
    ("size", "field"), [("base", 6139), ("large", 6139), ("sc09", 24571), ("sc09-label-thin", 32761)]
)
def test_receptive_fields_of_the_papers_models(size, field):
    assert receptive_field(DiffWaveConfig(**SIZES[size]).dilations) == field


def test_dilations_double_within_a_cycle():
    assert DiffWaveConfig(**{**SMALL, **MELLESS, "residual_layers": 7}).dilations == (1, 2, 4, 1, 2, 4, 1)


# Initialisation


@pytest.mark.parametrize("condition", CONDITIONS)
def test_an_untrained_network_predicts_zero(condition):
    model = DiffWave(DiffWaveConfig(**SMALL, condition=condition)).double()
    assert not model(*inputs(condition)).any()


def test_a_new_network_is_that_of_its_seed():
    """Torch's own generator neither decides nor is moved."""
    config = DiffWaveConfig(residual_layers=2, residual_channels=4)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = new_network(config, 7).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(7)
    expected = DiffWave(config).state_dict()
    other = new_network(config, 8).state_dict()
    assert all(torch.equal(first[name], value) for name, value in expected.items())
    assert not torch.equal(first["input.bias"], other["input.bias"])


def test_an_untrained_lmnt_network_predicts_one_constant():
    model = DiffWave(DiffWaveConfig(**{**PRESETS["lmnt"], **SMALL})).double()
    predicted = model(*inputs("mel"))
    assert model.output.bias.item() != 0
    assert torch.equal(predicted, model.output.bias.expand_as(predicted))


def test_loss_of_an_untrained_network_and_where_its_gradient_goes():
    """The loss is that of predicting zero, and only the last convolution can learn from it."""
    model = DiffWave(DiffWaveConfig(**SMALL, condition="none"))
    noise = draw(2, 100_000).float()
    predicted = model(0.5 * noise, torch.tensor([3.0, 40.0]))
    assert noise_loss(predicted, noise, "l1").mean().item() == pytest.approx(math.sqrt(2 / math.pi), abs=0.01)
    loss = noise_loss(predicted, noise).mean()
    assert loss.item() == pytest.approx(1.0, abs=0.01)
    loss.backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {"output.weight", "output.bias"}


def test_every_parameter_learns_once_the_head_is_not_zero():
    """But the last layer's residual, which nothing reads."""
    for preset, condition in itertools.product(PRESETS, CONDITIONS):
        model = network(preset, condition=condition)
        model(*inputs(condition, batch=4)).square().sum().backward()
        still = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
        assert all(name.startswith("layers.5.residual.") for name in still), still


def test_weights_start_as_kaiming_normal_under_weight_normalisation():
    """Normalisation keeps the initial weight: standard deviation sqrt(2 / fan in) = sqrt(2 / (3 * 64))."""
    torch.manual_seed(0)
    layer = DiffWave(DiffWaveConfig(**{**SMALL, **MELLESS, "residual_channels": 64})).layers[0].dilated
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (3 * 64)), rel=0.03)
    assert "weight" in layer.parametrizations
    plain = DiffWave(DiffWaveConfig(**{**PRESETS["lmnt"], **SMALL}))
    assert not [name for name, _ in plain.named_parameters() if "parametrizations" in name]


# Step embedding


def embedding(kind, steps=200):
    return StepEmbedding(DiffWaveConfig(**SMALL, embedding=kind, noise_schedule=(steps, 1e-4, 0.02)))


def test_table_is_lmnts_to_the_bit():
    """At frequency 10^4 and step 199 another rounding of the exponent in float32 is another angle."""
    frequencies = 10.0 ** (torch.arange(64)[None] * 4.0 / 63.0)
    angles = torch.arange(200)[:, None] * frequencies
    table = torch.cat([angles.sin(), angles.cos()], dim=1)
    assert torch.equal(embedding("table").sinusoids(torch.arange(200.0)), table)


@given(st.floats(0, 199, width=32))
def test_table_is_linear_between_whole_steps(step):
    layer = embedding("table")
    rows = layer.sinusoids(torch.tensor([math.floor(step), min(math.floor(step) + 1.0, 199.0)]))
    share = step - math.floor(step)
    expected = (1 - share) * rows[0] + share * rows[1]
    torch.testing.assert_close(layer.sinusoids(torch.tensor([step]))[0], expected, atol=1e-5, rtol=0)


def test_smooth_embedding_is_the_authors():
    step = torch.tensor([0.0, 0.894134, 42.918643, 199.0])
    rows = np.array([sinusoids("smooth", value) for value in step.tolist()])
    np.testing.assert_allclose(embedding("smooth").sinusoids(step).numpy(), rows, atol=3e-5)


@pytest.mark.parametrize(("kind", "slope"), [("smooth", 1.0), ("table", 2.0)])
def test_embedding_is_continuous_in_the_step(kind, slope):
    """Frequencies of at most 1, or lines between table rows at most 2 apart, as steep as that and no steeper."""
    layer = embedding(kind).double()
    step = torch.rand(500, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 198.9
    step = torch.cat([step, torch.arange(1.0, 199.0, dtype=torch.float64) - 5e-4])
    change = (layer.sinusoids(step + 1e-3) - layer.sinusoids(step)).abs().max().item()
    assert 0.5e-3 * slope < change <= 1e-3 * slope + 1e-12


@pytest.mark.parametrize("kind", ["smooth", "table"])
def test_whole_steps_may_be_integers(kind):
    layer = embedding(kind)
    assert torch.equal(layer(torch.tensor([0, 7, 199])), layer(torch.tensor([0.0, 7.0, 199.0])))


@pytest.mark.parametrize("step", [7, 7.0, np.int64(7), np.float32(7)])
def test_one_step_serves_all_items(step):
    model, (audio, _, mel, _) = network(), inputs("mel")
    assert torch.equal(model(audio, step, mel), model(audio, torch.full((len(audio),), 7.0), mel))


# Structure


def change_by_one_sample(model, length, at):
    audio, step = draw(1, length), torch.tensor([7.0], dtype=torch.float64)
    moved = audio.clone()
    moved[0, at] += 1.0
    with torch.no_grad():
        return (model(moved, step) != model(audio, step))[0].nonzero()[:, 0].numpy()


@pytest.mark.parametrize(("layers", "cycle", "field"), [(6, 3, 29), (12, 6, 253)])
def test_one_sample_changes_exactly_the_receptive_field(layers, cycle, field):
    model = fresh_network(residual_layers=layers, dilation_cycle_length=cycle, residual_channels=16)
    assert receptive_field(model.config.dilations) == field
    changed = change_by_one_sample(model, 2 * field, field)
    np.testing.assert_array_equal(changed, np.arange(field - field // 2, field + field // 2 + 1))


def test_nothing_beyond_the_receptive_field_of_the_papers_base_model_changes():
    model = fresh_network(residual_layers=30, dilation_cycle_length=10)
    changed = change_by_one_sample(model, 6700, 3350)
    assert changed.min() >= 3350 - 3069
    assert changed.max() <= 3350 + 3069
    assert len(changed) > 3000


def test_a_shifted_input_gives_a_shifted_output():
    model, halo = network(condition="none"), 14
    audio, step = draw(1, 200), torch.tensor([7.0], dtype=torch.float64)
    whole, part = model(audio, step), model(audio[:, 23:], step)
    torch.testing.assert_close(part[:, halo:], whole[:, 23 + halo :], atol=1e-12, rtol=0)
    assert (part[:, :halo] - whole[:, 23 : 23 + halo]).abs().max() > 1e-3  # the edge is felt up to there


@pytest.mark.parametrize("upsampler", ["per_layer", "shared"])
def test_a_shift_with_the_mel_gives_a_shifted_output(upsampler):
    """By whole frames; the one beside the edge feels that its neighbour is missing."""
    model, halo, hop = network(condition="mel", upsampler=upsampler), 14, 15
    audio, step, mel, _ = inputs("mel", batch=1, frames=20, length=300)
    whole, part = model(audio, step, mel), model(audio[:, 3 * hop :], step, mel[:, :, 3:])
    margin = hop + halo
    torch.testing.assert_close(part[:, margin:], whole[:, 3 * hop + margin :], atol=1e-12, rtol=0)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_items_do_not_see_each_other(condition):
    model = network(condition=condition)
    audio, step, mel, label = inputs(condition)
    together = model(audio, step, mel, label)
    for i in range(3):
        alone = model(*(None if value is None else value[i : i + 1] for value in (audio, step, mel, label)))
        torch.testing.assert_close(together[i], alone[0], atol=1e-12, rtol=0)


# Upsampling


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("hop", [64, 128, 200, 256, 300, 15, 6, 4])
def test_upsampling_gives_hop_samples_a_frame(hop, normalised):
    config = DiffWaveConfig(**{**SMALL, "hop_samples": hop, "n_fft": 1024, "win_length": 1024}, weight_norm=normalised)
    for frames in (1, 2, 7):
        assert MelUpsampler(config)(torch.zeros(2, 5, frames)).shape == (2, 5, hop * frames)


@given(st.integers(4, 2000))
def test_hops_factor_or_are_refused(hop):
    prime = all(hop % divisor for divisor in range(2, hop))
    if prime:
        with pytest.raises(InputError, match=f"hop_samples is {hop}, which has no two factors above 1"):
            factors_of_hop(hop)
        return
    small, large = factors_of_hop(hop)
    assert 2 <= small <= large
    assert small * large == hop
    assert not [d for d in range(small + 1, math.isqrt(hop) + 1) if hop % d == 0]  # none nearer to each other


def test_the_papers_hop_is_16_times_16():
    assert factors_of_hop(256) == (16, 16)


@pytest.mark.parametrize("hop", [16, 15])
def test_a_frame_reaches_its_own_samples_and_those_of_one_frame_beside(hop):
    torch.manual_seed(0)
    upsampler = MelUpsampler(DiffWaveConfig(**{**SMALL, "hop_samples": hop, "win_length": 64})).double()
    mel = draw(1, 5, 9)
    moved = mel.clone()
    moved[:, :, 4] += 1
    changed = (upsampler(moved) != upsampler(mel))[0].any(dim=0).nonzero()[:, 0]
    assert set(range(4 * hop, 5 * hop)) <= set(changed.tolist())
    assert 3 * hop <= changed.min() < 4 * hop
    assert 5 * hop < changed.max() < 6 * hop


def test_frames_beyond_the_audio_count_only_as_neighbours():
    """The network cuts the upsampled mel to the audio: at the front it stays aligned."""
    model = network(condition="mel")
    audio, step, mel, _ = inputs("mel", batch=1, frames=8, length=60)
    moved = mel.clone()
    moved[:, :, 7] += 5
    assert torch.equal(model(audio, step, mel), model(audio, step, moved))
    moved[:, :, 0] += 5
    assert not torch.equal(model(audio, step, mel), model(audio, step, moved))


# What does not fit


@pytest.mark.parametrize(
    ("condition", "change", "message"),
    [
        ("none", {"audio": draw(3)}, r"audio has shape \(3,\); it must be \(batch, samples\)"),
        ("none", {"audio": draw(3, 1, 53)}, r"audio has shape \(3, 1, 53\); it must be \(batch, samples\)"),
        ("none", {"audio": draw(3, 0)}, r"audio has shape \(3, 0\)"),
        ("none", {"step": draw(2)}, r"step has shape \(2,\); it must be \(3,\)"),
        ("none", {"step": torch.tensor([0.0, 50.0, 1.0])}, "steps lie in 0 to 50; they must lie in 0 to 49"),
        ("none", {"step": torch.tensor([0.0, -1.0, 1.0])}, "steps lie in -1 to 1; they must lie in 0 to 49"),
        ("none", {"step": torch.tensor([0.0, math.nan, 1.0])}, "steps lie in nan to nan"),
        ("none", {"step": 50}, "steps lie in 50 to 50; they must lie in 0 to 49"),
        ("none", {"step": "7"}, "step is a str; give a tensor or a number"),
        ("none", {"step": [0, 1, 2]}, "step is a list; give a tensor or a number"),
        ("none", {"audio": np.zeros((3, 53))}, "audio is a ndarray; give a tensor"),
        ("none", {"audio": np.zeros((3, 53)), "step": 7}, "audio is a ndarray; give a tensor"),
        ("mel", {"mel": np.zeros((3, 5, 4))}, "mel is a ndarray; give a tensor"),
        ("label", {"label": 1}, "label is a int; give a tensor"),
        ("none", {"mel": draw(3, 5, 4)}, "takes no condition, and mel is given"),
        ("none", {"label": torch.tensor([0, 1, 2])}, "takes no condition, and label is given"),
        ("mel", {"mel": None}, "needs a mel, and mel is missing"),
        ("mel", {"mel": None, "label": torch.tensor([0, 1, 2])}, "needs a mel, and mel is missing"),
        ("mel", {"label": torch.tensor([0, 1, 2])}, "needs a mel, and label is given"),
        ("mel", {"mel": draw(3, 4, 5)}, r"mel has shape \(3, 4, 5\); it must be \(3, 5, frames\)"),
        ("mel", {"mel": draw(2, 5, 4)}, r"mel has shape \(2, 5, 4\); it must be \(3, 5, frames\)"),
        ("mel", {"mel": draw(5, 4)}, r"mel has shape \(5, 4\); it must be \(3, 5, frames\)"),
        ("mel", {"mel": draw(3, 5, 3)}, "a mel of 3 frames covers 45 samples; the audio has 53"),
        ("label", {"label": None}, "needs a label, and label is missing"),
        ("label", {"mel": draw(3, 5, 4)}, "needs a label, and mel is given"),
        ("label", {"label": torch.tensor([0, 1])}, r"label has shape \(2,\); it must be \(3,\)"),
        ("label", {"label": torch.tensor([0, 4, 1])}, "label 4 is out of range; labels are 0 to 3"),
        ("label", {"label": torch.tensor([0, -1, 1])}, "label -1 is out of range; labels are 0 to 3"),
    ],
)
def test_inputs_that_do_not_fit(condition, change, message):
    given = dict(zip(("audio", "step", "mel", "label"), inputs(condition), strict=True))
    with pytest.raises(InputError, match=message):
        network(condition=condition)(**{**given, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"residual_layers": 0}, "residual_layers must be a whole number of at least 1, got 0"),
        ({"residual_channels": 2.5}, "residual_channels must be a whole number of at least 1, got 2.5"),
        ({"condition": "midi"}, "condition is 'midi'; it must be one of mel, label, none"),
        ({"embedding": "rough"}, "embedding is 'rough'; it must be one of smooth, table"),
        ({"residual_base": "x"}, "residual_base is 'x'; it must be one of u, h"),
        ({"upsampler": "none"}, "upsampler is 'none'; it must be one of per_layer, shared"),
        ({"level": "loud"}, "level is 'loud'; it must be one of peak, rms, None"),
        ({"residual_layers": 40, "dilation_cycle_length": 40}, "dilation_cycle_length is 40; it must be at most 20,"),
        ({"n_classes": 2.5}, r"n_classes must be a whole number of at least 0, got 2\.5"),
        ({"condition": "label", "n_classes": 1}, "n_classes of at least 2, got 1"),
        ({"hop_samples": 13}, "hop_samples is 13, which has no two factors above 1"),
        ({"noise_schedule": (20, 1e-4, 0.05)}, "step 5 of the inference schedule reaches alpha-bar 0.3757"),
        ({"noise_schedule": (50, 1e-4, 1.5)}, "variance 33 of the schedule is .*between 0 and 1"),
        ({"f_max": 5000.0}, "4000"),
    ],
)
def test_configurations_that_make_no_sense(change, message):
    with pytest.raises(InputError, match=message):
        DiffWaveConfig(**{**SMALL, **change})
