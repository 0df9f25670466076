"""The residual layers as tiles of matrix products: the function of :class:`.DiffWave`, faster on a CPU.

Everything is laid out as (time, channel), so that a dilated convolution is three matrix products on shifted views of
one buffer, without a copy. A tile of rows passes through all of a layer's operations while it lies in the cache.
What is linear is folded into the weights beforehand (equalities, not approximations):

- tanh(a) = 2 sigmoid(2a) - 1: a factor 2 in the weights of a's half, and one sigmoid covers both halves of the gate;
- sqrt(1/2) of the residual, and the sign of z, which is computed as -z in one pass;
- the head's first convolution and sqrt(1/N), into the weights of the skips: only the sum of the skips lies between;
- biases and step vectors of residual and skip, into one constant a layer and item.
"""

__all__ = ["LayerWeights", "NetworkWeights", "fold", "residual_layer", "tiled_forward"]

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .model import DiffWave, check_inputs

TILE_ROWS = 2048
ROOT_HALF = 0.5**0.5


@dataclass(frozen=True)
class LayerWeights:
    """One layer, folded. M: bands of the mel, or size of the label's vector; 0 without a condition.

    Attributes:
        dilation: of its convolution.
        taps: of the dilated convolution, past to future, shape (3, C, 2C).
        bias: of the gate's input, shape (2C,), always float32.
        condition: shape (M, 2C), or None.
        residual, skip: shape (C, C).
        step: from the embedded step to the step vector, shape (512, C); ``step_bias`` (C,); always float32.
        residual_bias: of the residual, times sqrt(1/2), shape (C,), always float32.
    """

    dilation: int
    taps: Tensor
    bias: Tensor
    condition: Tensor | None
    residual: Tensor
    skip: Tensor
    step: Tensor
    step_bias: Tensor
    residual_bias: Tensor


@dataclass(frozen=True)
class NetworkWeights:
    """A network, folded.

    Attributes:
        layers: first to last.
        input, input_bias: shape (C,).
        head_bias: of the head's first convolution, with the skips' biases, shape (C,).
        output: shape (C,); ``output_bias`` shape ().
        dtype: of the matrix products.
    """

    layers: tuple[LayerWeights, ...]
    input: Tensor
    input_bias: Tensor
    head_bias: Tensor
    output: Tensor
    output_bias: Tensor
    dtype: torch.dtype


def fold(model: DiffWave, dtype: torch.dtype = torch.float32) -> NetworkWeights:
    """Arrange a model's parameters for :func:`tiled_forward`; gradients flow back to the parameters.

    Args:
        model: with float32 parameters (float64 for tests).
        dtype: of the matrix products: that of the parameters, or bfloat16.
    """
    layers: list[Any] = list(model.layers)  # a module's attributes have no types
    head = _weight(model.skip)[:, :, 0].T * len(layers) ** -0.5
    head_bias = _bias(model.skip)
    channels = model.config.residual_channels
    double = torch.ones(2 * channels, dtype=head.dtype, device=head.device)
    double[:channels] = 2.0
    folded = []
    for layer, dilation in zip(layers, model.config.dilations, strict=True):
        bias = _bias(layer.dilated)
        condition = None
        if model.config.condition != "none":
            condition = (_weight(layer.condition)[:, :, 0].T * double).to(dtype)
            bias = bias + _bias(layer.condition)
        head_bias = head_bias + _bias(layer.skip) @ head
        folded.append(
            LayerWeights(
                dilation=dilation,
                taps=(_weight(layer.dilated).permute(2, 1, 0) * double).to(dtype),
                bias=bias * double,
                condition=condition,
                residual=(_weight(layer.residual)[:, :, 0].T * -ROOT_HALF).to(dtype),
                skip=(_weight(layer.skip)[:, :, 0].T @ -head).to(dtype),
                step=_weight(layer.step).T,
                step_bias=_bias(layer.step),
                residual_bias=_bias(layer.residual) * ROOT_HALF,
            )
        )
    return NetworkWeights(
        layers=tuple(folded),
        input=_weight(model.input)[:, 0, 0],
        input_bias=_bias(model.input),
        head_bias=head_bias,
        output=_weight(model.output)[0, :, 0],
        output_bias=_bias(model.output)[0],
        dtype=dtype,
    )


def _weight(module: nn.Module) -> Tensor:
    return cast(Tensor, module.weight)


def _bias(module: nn.Module) -> Tensor:
    return cast(Tensor, module.bias)


def tiled_forward(
    model: DiffWave,
    audio: Tensor,
    step: Tensor,
    mel: Tensor | None = None,
    label: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """``model(audio, step, mel, label)`` by tiles, for training: gradients reach the model's parameters.

    Args:
        model, audio, step, mel, label: as for :meth:`.DiffWave.forward`.
        dtype: of the matrix products, as for :func:`fold`; sums over layers stay in the audio's dtype.

    Returns:
        Shape (B, L), in the audio's dtype.
    """
    check_inputs(model.config, audio, step, mel, label)
    weights = fold(model, dtype)
    layers: list[Any] = list(model.layers)
    length = audio.shape[-1]
    condition = model.condition(length, mel, label)
    stream = functional.relu(audio[:, :, None] * weights.input + weights.input_bias)
    skips = weights.head_bias.expand(stream.shape).clone(memory_format=torch.contiguous_format)
    embedded = model.embedding(step)
    constant = torch.zeros_like(stream[:, 0])
    shared = None if mel is None or hasattr(layers[0], "upsampler") else _as_rows(cast(Tensor, condition), dtype)
    for layer, folded in zip(layers, weights.layers, strict=True):
        vector = torch.addmm(folded.step_bias, embedded, folded.step)
        constant = constant + vector
        bias = folded.bias.expand(len(audio), -1)
        rows = shared
        if label is not None and folded.condition is not None:
            bias = bias + cast(Tensor, condition)[:, :, 0] @ folded.condition.to(bias.dtype)
        elif mel is not None and shared is None:
            rows = _as_rows(layer.upsampler(mel)[:, :, :length], dtype)
        stream, skips = residual_layer(stream, skips, constant, bias, folded, rows)
        base = constant if model.config.residual_base == "u" else constant - vector
        constant = ROOT_HALF * base + folded.residual_bias
    return functional.relu(skips) @ weights.output + weights.output_bias


def _as_rows(upsampled: Tensor, dtype: torch.dtype) -> Tensor:
    """A mel of shape (B, M, L) as (B, L, M)."""
    return upsampled.transpose(1, 2).to(dtype).contiguous()


def residual_layer(
    stream: Tensor, skips: Tensor, constant: Tensor, bias: Tensor, weights: LayerWeights, rows: Tensor | None
) -> tuple[Tensor, Tensor]:
    """One folded layer with gradients: (stream, skips) of the next. ``skips`` is added to in place.

    Args:
        stream, skips: shape (B, L, C).
        constant: added to the stream for the convolution, not for the residual, shape (B, C).
        bias: of the gate's input, shape (B, 2C).
        weights: of the layer.
        rows: the mel, upsampled, shape (B, L, M), in the dtype of the products; or None.
    """
    condition = weights.condition if rows is not None else None
    return _Layer.apply(  # type: ignore[no-untyped-call]
        stream, skips, constant, bias, weights.taps, weights.residual, weights.skip, rows, condition, weights.dilation
    )


class _Layer(torch.autograd.Function):
    """A layer, and its gradients by hand: both pass over the same tiles."""

    @staticmethod
    def forward(
        ctx: Any,
        stream: Tensor,
        skips: Tensor,
        constant: Tensor,
        bias: Tensor,
        taps: Tensor,
        residual: Tensor,
        skip: Tensor,
        rows: Tensor | None,
        condition: Tensor | None,
        dilation: int,
    ) -> tuple[Tensor, Tensor]:
        batch, length, channels = stream.shape
        padded = padded_input(stream, constant, dilation, taps.dtype)
        gates = torch.empty(batch, length, 2 * channels, dtype=taps.dtype, device=stream.device)
        output = torch.empty_like(stream)
        for item, start, stop in tiles(batch, length):
            tile = gates[item, start:stop]
            convolve(padded, item, start, stop, length, dilation, taps, bias[item].to(taps.dtype), tile)
            if rows is not None and condition is not None:
                tile.addmm_(rows[item, start:stop], condition)
            add_outputs(
                tile.sigmoid_(),
                stream[item, start:stop],
                residual,
                skip,
                output[item, start:stop],
                skips[item, start:stop],
            )
        ctx.mark_dirty(skips)
        ctx.dilation = dilation
        ctx.save_for_backward(padded, gates, taps, residual, skip, rows, condition)
        return output, skips

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        of_stream, of_skips = gradients
        padded, gates, taps, residual, skip, rows, condition = ctx.saved_tensors
        dilation, dtype = ctx.dilation, gates.dtype
        batch, length, channels = of_stream.shape
        of_padded = torch.zeros(padded.shape, dtype=of_stream.dtype, device=padded.device)
        of_bias = torch.zeros(batch, 2 * channels, dtype=of_stream.dtype, device=padded.device)
        of_taps = torch.zeros(taps.shape, dtype=of_stream.dtype, device=padded.device)
        of_residual = torch.zeros(residual.shape, dtype=of_stream.dtype, device=padded.device)
        of_skip = torch.zeros_like(of_residual)
        of_rows = None if rows is None else torch.empty_like(rows)
        of_condition = None
        if condition is not None:
            of_condition = torch.zeros(condition.shape, dtype=of_stream.dtype, device=padded.device)
        exact = dtype == of_stream.dtype
        for item, start, stop in tiles(batch, length):
            tile = gates[item, start:stop]
            left, right = tile[:, :channels], tile[:, channels:]
            z = torch.addcmul(right, left, right, value=-2)
            of_residual_tile = of_stream[item, start:stop]
            from_residual = of_residual_tile.to(dtype)
            from_skip = of_skips[item, start:stop].to(dtype)
            if exact:
                of_residual.addmm_(z.T, from_residual)
                of_skip.addmm_(z.T, from_skip)
            else:
                of_residual.add_(z.T @ from_residual)
                of_skip.add_(z.T @ from_skip)
            of_z = torch.mm(from_residual, residual.T).addmm_(from_skip, skip.T)
            of_gates = torch.empty_like(tile)
            torch.mul(right, of_z, out=of_gates[:, :channels]).mul_(-2)
            torch.addcmul(of_z, left, of_z, value=-2, out=of_gates[:, channels:])
            of_sums = torch.ops.aten.sigmoid_backward(of_gates, tile)
            of_bias[item] += of_sums.sum(0, dtype=of_bias.dtype)
            if of_rows is not None and of_condition is not None:
                torch.mm(of_sums, condition.T, out=of_rows[item, start:stop])
                if exact:
                    of_condition.addmm_(rows[item, start:stop].T, of_sums)
                else:
                    of_condition.add_(rows[item, start:stop].T @ of_sums)
            for tap in range(3):
                begin = row_of(item, start, length, dilation) + (tap - 1) * dilation
                end = begin + stop - start
                if exact:
                    of_taps[tap].addmm_(padded[begin:end].T, of_sums)
                    of_padded[begin:end].addmm_(of_sums, taps[tap].T)
                else:
                    of_taps[tap] += padded[begin:end].T @ of_sums
                    of_padded[begin:end] += of_sums @ taps[tap].T
            del of_gates, of_sums
        of_input = items_of(of_padded, batch, length, dilation)
        of_constant = of_input.sum(1)
        of_input.add_(of_stream, alpha=ROOT_HALF)
        return (
            of_input,
            of_skips,
            of_constant,
            of_bias,
            of_taps.to(dtype),
            of_residual.to(dtype),
            of_skip.to(dtype),
            of_rows,
            None if of_condition is None else of_condition.to(dtype),
            None,
        )


def tiles(batch: int, length: int, rows: int = TILE_ROWS) -> Iterator[tuple[int, int, int]]:
    """(item, start, stop) of every tile; no tile spans two items, so that an item's result is its own."""
    for item in range(batch):
        for start in range(0, length, rows):
            yield item, start, min(start + rows, length)


def row_of(item: int, time: int, length: int, dilation: int) -> int:
    """Row of an item's sample in a padded buffer: ``dilation`` zero rows stand before, between and after items."""
    return dilation + item * (length + dilation) + time


def items_of(padded: Tensor, batch: int, length: int, dilation: int) -> Tensor:
    """The items in a padded buffer of (rows, C), a view of shape (B, L, C)."""
    channels = padded.shape[1]
    strides = ((length + dilation) * channels, channels, 1)
    return padded.as_strided((batch, length, channels), strides, padded.storage_offset() + dilation * channels)


def padded_input(stream: Tensor, constant: Tensor, dilation: int, dtype: torch.dtype) -> Tensor:
    """The layer's input u = stream + constant, between zero rows, shape (B (L + d) + d, C)."""
    batch, length, channels = stream.shape
    buffer = torch.empty(padded_rows(batch, length, dilation) * channels, dtype=dtype, device=stream.device)
    padded = between_zeros(buffer, batch, length, channels, dilation)
    torch.add(stream, constant[:, None], out=items_of(padded, batch, length, dilation))
    return padded


def padded_rows(batch: int, length: int, dilation: int) -> int:
    """Rows of a padded buffer: those of the items, and zeros before, between and after them."""
    return batch * (length + dilation) + dilation


def between_zeros(buffer: Tensor, batch: int, length: int, channels: int, dilation: int) -> Tensor:
    """The beginning of a buffer as a padded one, shape (B (L + d) + d, C), with its zeros but without its items."""
    count = padded_rows(batch, length, dilation)
    padded = buffer[: count * channels].view(count, channels)
    for item in range(batch + 1):
        first = item * (length + dilation)
        padded[first : first + dilation] = 0.0
    return padded


def convolve(
    padded: Tensor,
    item: int,
    start: int,
    stop: int,
    length: int,
    dilation: int,
    taps: Tensor,
    bias: Tensor,
    out: Tensor,
) -> None:
    """out = bias + the dilated convolution, for one tile; bias of shape (2C,) or (rows, 2C)."""
    first = row_of(item, start, length, dilation)
    last = first + stop - start
    torch.addmm(bias, padded[first - dilation : last - dilation], taps[0], out=out)
    out.addmm_(padded[first:last], taps[1])
    out.addmm_(padded[first + dilation : last + dilation], taps[2])


def add_outputs(gates: Tensor, stream: Tensor, residual: Tensor, skip: Tensor, output: Tensor, skips: Tensor) -> None:
    """output = sqrt(1/2) stream + residual(z), skips += skip(z), for one tile; ``output`` may be ``stream``."""
    channels = stream.shape[1]
    left, right = gates[:, :channels], gates[:, channels:]
    z = torch.addcmul(right, left, right, value=-2)
    if z.dtype == stream.dtype:
        torch.addmm(stream, z, residual, beta=ROOT_HALF, out=output)
        skips.addmm_(z, skip)
    else:
        torch.add((z @ residual).to(stream.dtype), stream, alpha=ROOT_HALF, out=output)
        skips.add_((z @ skip).to(skips.dtype))
