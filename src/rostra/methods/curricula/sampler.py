"""Batches of example numbers in curriculum order, for any PyTorch loop.

A step is counted by the batches that the sampler has given out, never by a callback: a loader's workers fetch ahead,
so the trainer's own step lags behind. Every draw depends on the seed and a counter alone, so a run can go on from any
step, and two runs with one seed differ only where their prefixes do.
"""

__all__ = [
    "CurriculumBatchSampler",
    "DistributedCurriculumBatchSampler",
    "Epoch",
    "batch_at",
    "batches_of",
    "dynamic_epochs",
    "shuffled_prefix",
]

import bisect
import functools
import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Sampler

from rostra.engine.errors import InputError

from .ordering import make_order
from .pacing import Pacing, PacingFunction, prefix_sizes

GRANULARITIES = ("epoch", "step")
SHUFFLES, DRAWS = 5, 6
"""Streams of draws of a seed."""


@dataclass(frozen=True)
class Epoch:
    """A dynamic epoch (algorithm 1): one pass, in random order, over the prefix that its first step allows.

    Attributes:
        number: 0, 1, ...
        start: its first batch.
        size: of the prefix.
        batches: that it takes; the last epoch of a run is cut off at the run's end.
    """

    number: int
    start: int
    size: int
    batches: int


def dynamic_epochs(
    sizes: NDArray[np.int64], batch_size: int, accumulate: int = 1, drop_last: bool = False
) -> list[Epoch]:
    """The epochs of a run; ``sizes``: of the prefix at each optimiser step, shape (T,). They end exactly at T."""
    epochs: list[Epoch] = []
    start, end = 0, len(sizes) * accumulate
    while start < end:
        size = int(sizes[start // accumulate])
        batches = min(batches_of(size, batch_size, drop_last), end - start)
        epochs.append(Epoch(len(epochs), start, size, batches))
        start += batches
    return epochs


def batches_of(size: int, batch_size: int, drop_last: bool) -> int:
    """Batches of one pass. A single example that is left over joins the batch before: batch normalisation has no
    variance on it."""
    full, rest = divmod(size, batch_size)
    joins = rest == 1 and batch_size > 1
    return max(1, full + (rest > 0 and not joins and not drop_last))


def shuffled_prefix(order: NDArray[np.int64], epoch: Epoch, seed: int) -> NDArray[np.int64]:
    """The examples of an epoch in the order in which they are drawn, shape (size,)."""
    rng = np.random.Generator(np.random.Philox(key=[seed, SHUFFLES], counter=epoch.number << 64))
    return order[rng.permutation(epoch.size)]


def batch_at(
    shuffled: NDArray[np.int64], number: int, epoch_batches: int, batch_size: int, drop_last: bool
) -> NDArray[np.int64]:
    """The batch of that number, shape (batch,), in a full pass of ``epoch_batches`` batches."""
    start = number * batch_size
    last = number == epoch_batches - 1 and not drop_last
    return shuffled[start:] if last else shuffled[start : start + batch_size]


class CurriculumBatchSampler(Sampler[list[int]]):
    """Batches from a growing prefix of the ordered data: ``DataLoader(data, batch_sampler=...)``.

    One iteration gives all ``total_steps`` batches, one long epoch; with ``epochwise`` it ends with each dynamic
    epoch and the next one goes on. Order and draws are the same whatever the number of workers.

    Args:
        scores: difficulty of each example, higher = harder, shape (n,); or the order itself, with ``order=None``.
        batch_size: examples of a batch; the last of a dynamic epoch is smaller (or, where a single example would be
            left over, larger by one).
        total_steps: T, optimiser steps of the whole training.
        pacing: None for standard training: ordinary epochs over everything.
        order: "curriculum", "anti-curriculum" or "random"; None: ``scores`` is a permutation of 0 to n - 1.
        groups: classes (or any groups) that every prefix holds in equal numbers; see :func:`.make_order`.
        seed: of ties, the random order and the shuffles.
        granularity: "epoch": the prefix is read anew when the last one has been passed over (the paper's); "step":
            at each step, and batches are drawn independently, without repetition inside a batch.
        min_size: least size of a prefix; default two batches. The authors' code has 256.
        drop_last: leave out a dynamic epoch's last, smaller batch.
        start_step: optimiser step to start from.
        accumulate: batches of an optimiser step.
        epochwise: end the iterator with each dynamic epoch.
        direction: "grow" or "shrink"; see :func:`.prefix_sizes`.

    Raises:
        InputError: for scores, order, groups, pacing or sizes that cannot be used.
    """

    def __init__(
        self,
        scores: ArrayLike,
        batch_size: int,
        total_steps: int,
        pacing: Pacing | None = None,
        order: str | None = "curriculum",
        groups: ArrayLike | None = None,
        seed: int = 0,
        *,
        granularity: str = "epoch",
        min_size: int | None = None,
        drop_last: bool = False,
        start_step: int = 0,
        accumulate: int = 1,
        epochwise: bool = False,
        direction: str = "grow",
    ) -> None:
        least_of = {"seed": 0, "batch_size": 1, "total_steps": 1, "accumulate": 1}
        for (name, least), value in zip(least_of.items(), (seed, batch_size, total_steps, accumulate), strict=True):
            if value < least or value != int(value):
                raise InputError(f"{name} must be a whole number of {least} or more, got {value}")
        self.order = _as_permutation(scores) if order is None else make_order(scores, order, groups, seed)
        n = len(self.order)
        if batch_size > n:
            raise InputError(f"batch_size must be from 1 to the number of examples, {n}; got {batch_size}")
        if granularity not in GRANULARITIES:
            raise InputError(f"granularity must be one of {', '.join(GRANULARITIES)}; got '{granularity}'")
        self.batch_size, self.total_steps, self.seed = batch_size, total_steps, seed
        self.granularity, self.drop_last, self.accumulate = granularity, drop_last, accumulate
        self.epochwise = epochwise
        self.sizes = prefix_sizes(pacing, total_steps, n, 2 * batch_size if min_size is None else min_size, direction)
        _warn_of_pacing(pacing, n, batch_size, groups)
        self._epochs = dynamic_epochs(self.sizes, batch_size, accumulate, drop_last) if granularity == "epoch" else []
        self._starts = [epoch.start for epoch in self._epochs]
        self._shuffled: tuple[int, NDArray[np.int64]] | None = None
        self._generator = np.random.Generator(np.random.Philox(key=[seed, DRAWS]))
        self._draws_state: dict[str, Any] = dict(self._generator.bit_generator.state)
        self._batch = 0
        self._left = False  # whether the last iteration was left before its end
        self._go_to(start_step)

    @property
    def total_batches(self) -> int:
        """T times the batches of an optimiser step."""
        return self.total_steps * self.accumulate

    @property
    def epochs(self) -> Sequence[Epoch]:
        """The dynamic epochs of the whole run; none with granularity "step"."""
        return self._epochs

    def __len__(self) -> int:
        """Batches that the next iteration gives."""
        return self._end() - self._batch

    def __iter__(self) -> Iterator[list[int]]:
        if self._batch >= self.total_batches:
            warnings.warn(
                f"all {self.total_steps} steps of the curriculum are done; there are no more batches", stacklevel=2
            )
            return
        if self._left:
            warnings.warn(
                f"the last iteration was left after {self._batch} batches had been given out, those that a loader's "
                "workers had fetched ahead included; this one goes on behind them. "
                "load_state_dict(state_dict(step=...)) goes back to the step that was done",
                stacklevel=2,
            )
        end, self._left = self._end(), True
        while self._batch < end:
            found = self.batch(self._batch).tolist()
            self._batch += 1
            self._left = self._batch < end
            yield found

    def _end(self) -> int:
        """Where the current iteration ends."""
        if not self.epochwise or self._batch >= self.total_batches:
            return self.total_batches
        if self.granularity == "step":
            per_epoch = max(1, int(self.sizes[self._batch // self.accumulate]) // self.batch_size)
            return min(self._batch + per_epoch, self.total_batches)
        epoch = self._epoch_of(self._batch)
        return epoch.start + epoch.batches

    def _epoch_of(self, batch: int) -> Epoch:
        return self._epochs[bisect.bisect_right(self._starts, batch) - 1]

    def batch(self, number: int) -> NDArray[np.int64]:
        """Example numbers, shape (batch,), of a batch of the run, counted from 0; whatever was asked before."""
        if self.granularity == "step":
            return self.order[self._drawn(number, int(self.sizes[number // self.accumulate]))]
        epoch = self._epoch_of(number)
        if self._shuffled is None or self._shuffled[0] != epoch.number:
            self._shuffled = epoch.number, shuffled_prefix(self.order, epoch, self.seed)
        whole = batches_of(epoch.size, self.batch_size, self.drop_last)
        return batch_at(self._shuffled[1], number - epoch.start, whole, self.batch_size, self.drop_last)

    def _drawn(self, number: int, size: int) -> NDArray[np.int64]:
        """Places in the prefix, by the generator's block of that number: setting its counter costs less than a new
        generator."""
        state = self._draws_state
        state["state"]["counter"][:] = (0, number, 0, 0)
        state["buffer_pos"], state["has_uint32"] = 4, 0
        self._generator.bit_generator.state = state
        return self._generator.choice(size, min(self.batch_size, size), replace=False, shuffle=False)

    @functools.cached_property
    def digest(self) -> str:
        """A hash of all that fixes the batches."""
        fixed = (self.batch_size, self.seed, self.granularity, self.drop_last, self.accumulate)
        return hashlib.sha256(repr(fixed).encode() + self.order.tobytes() + self.sizes.tobytes()).hexdigest()[:16]

    def state_dict(self, step: int | None = None) -> dict[str, int | str]:
        """Where the run is, for :meth:`load_state_dict`.

        Args:
            step: optimiser steps that the trainer has finished. Give it whenever a loader has workers: they fetch
                ahead, so that the sampler has given out more than the trainer has used.
        """
        done = self._batch // self.accumulate if step is None else step
        return {"step": done, "seed": self.seed, "digest": self.digest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a step; the remaining batches are those of an uninterrupted run.

        Raises:
            InputError: for a step outside the run, or the state of a sampler with another seed, order, pacing, number
                of steps or batch size.
        """
        if not {"step", "seed", "digest"} <= state.keys():
            raise InputError("a sampler's state holds step, seed and digest, as state_dict() gives them")
        if state["seed"] != self.seed:
            raise InputError(f"the state is of a sampler with seed {state['seed']}; this one has {self.seed}")
        if state["digest"] != self.digest:
            raise InputError(
                "the state is of a sampler with other batches (order, pacing, total_steps, batch_size or granularity)"
            )
        self._go_to(state["step"])

    def _go_to(self, step: int) -> None:
        if not 0 <= step <= self.total_steps:
            raise InputError(f"step must be from 0 to total_steps = {self.total_steps}, got {step}")
        self._batch, self._left = step * self.accumulate, False


class DistributedCurriculumBatchSampler(CurriculumBatchSampler):
    """One process' share of the batches of :class:`CurriculumBatchSampler`: all processes have the same order.

    Args:
        *args: of :class:`CurriculumBatchSampler`; ``batch_size`` is that of all processes together.
        rank: of this process, 0 to world_size - 1.
        world_size: number of processes.
        pad: repeat examples so that all shares of a batch are of one size. Without it they differ by up to 1, and
            only a process that would get nothing repeats an example.
        **options: of :class:`CurriculumBatchSampler`.
    """

    def __init__(self, *args: Any, rank: int, world_size: int, pad: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        if world_size < 1 or not 0 <= rank < world_size:
            raise InputError(f"rank must be from 0 to world_size - 1; got rank {rank} of {world_size}")
        self.rank, self.world_size, self.pad = rank, world_size, pad

    def batch(self, number: int) -> NDArray[np.int64]:
        """This process' share of a batch."""
        whole = super().batch(number)
        if self.pad or len(whole) < self.world_size:
            short = -len(whole) % self.world_size
            whole = np.concatenate([whole, np.resize(whole, short)])
        return whole[self.rank :: self.world_size]


def _as_permutation(order: ArrayLike) -> NDArray[np.int64]:
    found = np.asarray(order)
    if found.ndim != 1 or not np.array_equal(np.sort(found), np.arange(len(found))):
        raise InputError("with order=None the first argument must be a permutation of 0 to n - 1")
    return found.astype(np.int64)


def _warn_of_pacing(pacing: Pacing | None, n: int, batch_size: int, groups: ArrayLike | None) -> None:
    if not isinstance(pacing, PacingFunction):
        return
    if pacing.a > 1:
        warnings.warn(
            f"a = {pacing.a:g} is above 1: some of the data are never shown, as one wants where labels are wrong",
            stacklevel=3,
        )
    least = batch_size if groups is None else max(batch_size, len(np.unique(np.asarray(groups))))
    if pacing.a > 0 and pacing.b * n < least:
        warnings.warn(
            f"b = {pacing.b:g} is {pacing.b * n:.0f} of {n} examples, fewer than a batch or than there are "
            "classes; min_size holds instead",
            stacklevel=3,
        )
