"""Sampling on a CPU: the network by tiles, with what does not depend on the step computed once.

Three things on top of :mod:`.tiled`, none of which changes the result beyond rounding: the condition of every layer
is kept over all reverse steps, as long as it fits a budget of memory; long audio passes in pieces, each with the
samples around it that its result depends on; tiles of a layer are shared by threads.
"""

__all__ = ["FastNetwork", "Pool", "Predictor", "has_fast_bfloat16", "pool_of_threads"]

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from rostra.engine.errors import InputError
from rostra.engine.runtime import available_memory, one_core_each

from .model import DiffWave, check_inputs, receptive_field
from .tiled import ROOT_HALF, LayerWeights, add_outputs, between_zeros, convolve, fold, items_of, tiles

Predictor = Callable[[Tensor, float], Tensor]
"""From a noisy batch (B, L) and a step, the same for all items, to the noise in it, (B, L)."""

PIECE = 2**17
"""Samples that pass at once."""
TILE = 4096
UPSAMPLED_TILE = 2**14
"""Samples for which a mel is upsampled at once; the margins of frames are computed besides."""
FRAME_MARGIN = 4
"""Mel frames beside a piece: two stages of upsampling reach two frames each."""


def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 faster than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@dataclass(frozen=True)
class _Piece:
    """Some items, some samples of them.

    Attributes:
        items: which.
        start, stop: samples that are asked for.
        first, last: samples that they depend on, within the audio.
        mel: of these items, frames around first .. last, or None.
        frame: of the mel's first column.
        conditions: for each layer bias plus condition, (items, samples, 2C); None where they are computed each time.
    """

    items: slice
    start: int
    stop: int
    first: int
    last: int
    mel: Tensor | None
    frame: int
    conditions: list[Tensor] | None


class FastNetwork:
    """A network ready for sampling on a CPU.

    Args:
        model: whose weights are folded; make another FastNetwork after a change to it.
        dtype: float32 (equal to the model to 1e-4 or better), or bfloat16 (relative error about 1 %), which pays where
            :func:`has_fast_bfloat16`. Sums over layers and the waveform stay float32.
        cache_bytes: memory for conditions kept over the steps; None takes a quarter of what there is, at most 4 GiB.
        piece: samples that pass at once.
    """

    def __init__(
        self,
        model: DiffWave,
        dtype: torch.dtype = torch.float32,
        cache_bytes: int | None = None,
        piece: int = PIECE,
    ) -> None:
        self.model = model
        self.config = model.config
        self.cache_bytes = min(available_memory() // 4, 2**32) if cache_bytes is None else cache_bytes
        self.piece = piece
        with torch.no_grad():
            self.weights = fold(model, dtype)
        self.halo = receptive_field(self.config.dilations) // 2

    @torch.no_grad()
    def prepare(self, batch: int, length: int, mel: Tensor | None = None, label: Tensor | None = None) -> Predictor:
        """The predictor for audio of shape (batch, length) under a condition.

        Args:
            batch, length: of the audio.
            mel: shape (batch, n_mels, F), for a model of that condition.
            label: int64, shape (batch,), for a model of that condition.

        Raises:
            InputError: for a condition that does not fit.
        """
        check_inputs(self.config, torch.empty(batch, length), torch.zeros(batch), mel, label)
        biases = self._biases(batch, label)
        channels = self.config.residual_channels
        size = batch * length * 2 * channels * len(self.weights.layers) * self.weights.dtype.itemsize
        with pool_of_threads() as pool:
            pieces = list(self._pieces(batch, length, mel, pool, keep=mel is not None and size <= self.cache_bytes))
        rows = max((piece.items.stop - piece.items.start) * (piece.last - piece.first) for piece in pieces)
        widest = max(self.config.dilations)
        items = max(piece.items.stop - piece.items.start for piece in pieces)
        buffer = torch.empty((rows + (items + 1) * widest) * channels, dtype=self.weights.dtype)
        stream, skips = torch.empty(rows, channels), torch.empty(rows, channels)

        @torch.no_grad()
        def predict(audio: Tensor, step: float) -> Tensor:
            if audio.shape != (batch, length):
                raise InputError(f"audio has shape {tuple(audio.shape)}; this was prepared for ({batch}, {length})")
            check_inputs(self.config, audio, torch.full((batch,), step), mel, label)
            constants = self._constants(step)
            noise = torch.empty_like(audio)
            with pool_of_threads() as pool:
                for piece in pieces:
                    given = audio[piece.items, piece.first : piece.last]
                    shape = (*given.shape, channels)
                    count = given.numel()
                    result = self._piece(
                        given,
                        piece,
                        constants,
                        biases,
                        buffer,
                        stream[:count].view(shape),
                        skips[:count].view(shape),
                        pool,
                    )
                    noise[piece.items, piece.start : piece.stop] = result[
                        :, piece.start - piece.first : piece.stop - piece.first
                    ]
            return noise

        return predict

    def _pieces(self, batch: int, length: int, mel: Tensor | None, pool: "Pool", keep: bool) -> Iterator[_Piece]:
        """Whole items together as long as they are short, one item in parts where it is long."""
        together = max(1, self.piece // length)
        hop = self.config.hop_samples
        for item in range(0, batch, together):
            items = slice(item, min(item + together, batch))
            for start in range(0, length, self.piece):
                stop = min(start + self.piece, length)
                first, last = max(start - self.halo, 0), min(stop + self.halo, length)
                part, frame = None, 0
                if mel is not None:
                    frame = max(first // hop - FRAME_MARGIN, 0)
                    part = mel[items, :, frame : -(-last // hop) + FRAME_MARGIN]
                piece = _Piece(items, start, stop, first, last, part, frame, None)
                if keep:
                    shared = self._shared(piece, pool)
                    kept = [self._condition(index, piece, shared, pool) for index in range(len(self.weights.layers))]
                    piece = _Piece(items, start, stop, first, last, None, frame, kept)
                yield piece

    def _constants(self, step: float) -> list[Tensor]:
        """What is added to the stream before each layer's convolution, (C,) each."""
        embedded = self.model.embedding(torch.tensor([step]))[0]
        constants, constant = [], torch.zeros(self.config.residual_channels)
        for layer in self.weights.layers:
            vector = layer.step_bias + embedded @ layer.step
            constant = constant + vector
            constants.append(constant)
            base = constant if self.config.residual_base == "u" else constant - vector
            constant = ROOT_HALF * base + layer.residual_bias
        return constants

    def _biases(self, batch: int, label: Tensor | None) -> list[Tensor]:
        """Bias of each layer's gate for each item, with the label's part, (B, 2C) each."""
        embedded = None if label is None else self.model.label_embedding(label)
        biases = []
        for layer in self.weights.layers:
            bias = layer.bias.expand(batch, -1)
            if embedded is not None and layer.condition is not None:
                # One by one: products of another shape round otherwise, and an item's result would not be its own.
                bias = bias + torch.stack([item @ layer.condition.float() for item in embedded])
            biases.append(bias.to(self.weights.dtype))
        return biases

    def _shared(self, piece: _Piece, pool: "Pool") -> Tensor | None:
        """The mel upsampled for all layers, (items, samples, n_mels), where they share it."""
        if piece.mel is None or self.config.upsampler != "shared":
            return None
        return self._rows(cast(torch.nn.Module, self.model.upsampler), piece, pool)

    def _rows(self, upsampler: torch.nn.Module, piece: _Piece, pool: "Pool") -> Tensor:
        """The mel at every sample, (items, samples, n_mels); parts of it, each from the frames that it depends on."""
        mel, hop = cast(Tensor, piece.mel), self.config.hop_samples
        offset = piece.first - piece.frame * hop
        samples = piece.last - piece.first
        found = torch.empty(len(mel), samples, mel.shape[1], dtype=self.weights.dtype)

        @torch.no_grad()
        def work(parts: list[tuple[int, int, int]]) -> None:
            for item, start, stop in parts:
                low = max((offset + start) // hop - FRAME_MARGIN, 0)
                high = -(-(offset + stop) // hop) + FRAME_MARGIN
                upsampled = upsampler(mel[item, None, :, low:high])[0]
                begin = offset + start - low * hop
                found[item, start:stop] = upsampled[:, begin : begin + stop - start].T

        pool.share(work, len(mel), samples, UPSAMPLED_TILE)
        return found

    def _upsampled(self, index: int, piece: _Piece, shared: Tensor | None, pool: "Pool") -> Tensor:
        """The mel at every sample for one layer, (items, samples, n_mels)."""
        if shared is not None:
            return shared
        return self._rows(cast(torch.nn.Module, self.model.layers[index].upsampler), piece, pool)

    def _condition(self, index: int, piece: _Piece, shared: Tensor | None, pool: "Pool") -> Tensor:
        """Bias plus condition of one layer at every sample, (items, samples, 2C)."""
        layer = self.weights.layers[index]
        rows = self._upsampled(index, piece, shared, pool)
        bias = layer.bias.to(rows.dtype)
        found = torch.empty(*rows.shape[:2], len(bias), dtype=rows.dtype)

        @torch.no_grad()
        def work(parts: list[tuple[int, int, int]]) -> None:
            for item, start, stop in parts:
                add_condition(bias, rows[item, start:stop], layer, found[item, start:stop])

        pool.share(work, *rows.shape[:2])
        return found

    def _piece(
        self,
        audio: Tensor,
        piece: _Piece,
        constants: list[Tensor],
        biases: list[Tensor],
        buffer: Tensor,
        stream: Tensor,
        skips: Tensor,
        pool: "Pool",
    ) -> Tensor:
        """The noise in one piece, (items, samples)."""
        weights = self.weights
        batch, length, channels = stream.shape
        noise = torch.empty_like(audio)

        @torch.no_grad()
        def begin(parts: list[tuple[int, int, int]]) -> None:
            for item, start, stop in parts:
                tile = stream[item, start:stop]
                torch.mul(audio[item, start:stop, None], weights.input, out=tile)
                tile.add_(weights.input_bias).relu_()
                skips[item, start:stop] = weights.head_bias

        @torch.no_grad()
        def end(parts: list[tuple[int, int, int]]) -> None:
            for item, start, stop in parts:
                torch.mv(skips[item, start:stop].relu_(), weights.output, out=noise[item, start:stop])

        pool.share(begin, batch, length)
        shared = self._shared(piece, pool)
        for index, layer in enumerate(weights.layers):
            rows = None
            if piece.conditions is not None:
                added = piece.conditions[index]
            else:
                added = biases[index][piece.items]
                if piece.mel is not None:
                    rows = self._upsampled(index, piece, shared, pool)
            padded = between_zeros(buffer, batch, length, channels, layer.dilation)
            pool.share(_input_task(layer, padded, stream, constants[index]), batch, length)
            last = index == len(weights.layers) - 1
            pool.share(_layer_task(layer, padded, stream, skips, added, rows, last), batch, length)
        pool.share(end, batch, length)
        return noise.add_(weights.output_bias)


def _input_task(
    layer: LayerWeights, padded: Tensor, stream: Tensor, constant: Tensor
) -> Callable[[list[tuple[int, int, int]]], None]:
    """What one thread does for one layer first: the layer's input u = stream + constant, in its tiles."""
    batch, length, _ = stream.shape
    items = items_of(padded, batch, length, layer.dilation)

    @torch.no_grad()
    def work(parts: list[tuple[int, int, int]]) -> None:
        for item, start, stop in parts:
            torch.add(stream[item, start:stop], constant, out=items[item, start:stop])

    return work


def _layer_task(
    layer: LayerWeights,
    padded: Tensor,
    stream: Tensor,
    skips: Tensor,
    added: Tensor,
    rows: Tensor | None,
    last: bool,
) -> Callable[[list[tuple[int, int, int]]], None]:
    """What one thread does for one layer: its tiles, one after the other."""
    length, channels = stream.shape[1:]

    @torch.no_grad()
    def work(parts: list[tuple[int, int, int]]) -> None:
        space = torch.empty(TILE, 2 * channels, dtype=padded.dtype)
        for item, start, stop in parts:
            gates = space[: stop - start]
            bias = added[item, start:stop] if added.ndim == 3 else added[item]
            if rows is not None:
                add_condition(bias, rows[item, start:stop], layer, gates)
                bias = gates
            convolve(padded, item, start, stop, length, layer.dilation, layer.taps, bias, gates)
            gates.sigmoid_()
            part = stream[item, start:stop]
            if last:  # nothing reads the last layer's residual
                left, right = gates[:, :channels], gates[:, channels:]
                skips[item, start:stop] += torch.addcmul(right, left, right, value=-2) @ layer.skip
            else:
                add_outputs(gates, part, layer.residual, layer.skip, part, skips[item, start:stop])

    return work


def add_condition(bias: Tensor, rows: Tensor, layer: LayerWeights, out: Tensor) -> None:
    """out = bias + the condition's part of the gate's input, for one tile; kept or not, so that both round alike."""
    torch.addmm(bias, rows, cast(Tensor, layer.condition), out=out)


class Pool:
    """Shares the tiles of a layer among threads, each of which computes on one core.

    The tiles do not depend on the number of threads, and neither does what is computed in them.
    """

    def __init__(self, executor: ThreadPoolExecutor | None, threads: int) -> None:
        self.executor, self.threads = executor, threads

    def share(
        self, work: Callable[[list[tuple[int, int, int]]], None], batch: int, length: int, rows: int | None = None
    ) -> None:
        """Call ``work`` with the tiles (item, start, stop) of ``rows`` samples, by default TILE, a part a thread."""
        parts = list(tiles(batch, length, rows or TILE))
        if self.executor is None or len(parts) < self.threads:
            work(parts)
            return
        bounds = [len(parts) * share // self.threads for share in range(self.threads + 1)]
        list(self.executor.map(work, [parts[low:high] for low, high in itertools.pairwise(bounds)]))


@contextmanager
def pool_of_threads() -> Iterator[Pool]:
    """The threads of torch, with a core for each, as those that tiles are shared among."""
    threads = torch.get_num_threads()
    with one_core_each() as executor:
        yield Pool(executor, threads)
