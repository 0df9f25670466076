"""Training many copies of a network on given batches, and sharing what their trainings have in common.

A training is determined by its first weights and its batches. Two plans whose batches are the same up to a step are
one training up to there: :func:`train_plans` runs it once and forks. Copies are trained by hand-written gradients
(:class:`StackedMLP`) or as ordinary modules (:class:`ModuleCopies`); both have the same four functions.
"""

__all__ = [
    "Copies",
    "ModuleCopies",
    "Plan",
    "PlansRun",
    "StackedMLP",
    "TrainingConfig",
    "plan_batches",
    "shared_steps",
    "train_plans",
]

import copy
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rostra.engine.ensemble import seeded_generator, seeded_normal
from rostra.engine.errors import InputError
from rostra.engine.progress import Advance
from rostra.engine.runtime import keep_freed_memory
from rostra.fields.vision.augmentation import random_crop_flip

from .sampler import Epoch, batch_at, batches_of, dynamic_epochs, shuffled_prefix

STACK_NUMBERS = 2**17
"""Weights of the copies that go through a segment together: 512 KB in float32, which stay in a core's cache."""
EVALUATION_NUMBERS = 2**21
AUGMENTATION = 7
"""Stream of draws of a seed."""


@dataclass(frozen=True)
class TrainingConfig:
    """SGD with momentum, as in the paper's sweeps (section 2.6).

    Attributes:
        total_steps: T.
        batch_size: examples a step.
        lr: at the start.
        momentum, weight_decay: of torch's SGD.
        cosine: let the learning rate fall to 0 along a cosine over the T steps.
        augment: random crops (4 pixels) and flips of image batches.
        evaluations: number of times, evenly spread, at which copies are measured; the same for every order.
    """

    total_steps: int = 500
    batch_size: int = 64
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    cosine: bool = True
    augment: bool = False
    evaluations: int = 10

    def __post_init__(self) -> None:
        for name in ("total_steps", "batch_size", "evaluations"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number of 1 or more, got {value}")
        if self.evaluations > self.total_steps:
            raise InputError(f"{self.evaluations} evaluations need as many steps; total_steps is {self.total_steps}")
        for name, least, below in (("lr", 0.0, math.inf), ("momentum", 0.0, 1.0), ("weight_decay", 0.0, math.inf)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not least <= value < below or (name == "lr" and value == 0):
                raise InputError(f"{name} must be a number from {least:g} (below {below:g}), got {value}")

    @property
    def learning_rates(self) -> NDArray[np.float64]:
        """Of steps 0 to T - 1."""
        steps = np.arange(self.total_steps)
        return self.lr * (0.5 * (1 + np.cos(np.pi * steps / self.total_steps)) if self.cosine else np.ones(len(steps)))

    @property
    def evaluation_steps(self) -> list[int]:
        """Numbers of steps after which copies are measured; the last is T."""
        return [round((i + 1) * self.total_steps / self.evaluations) for i in range(self.evaluations)]


@dataclass(frozen=True, eq=False)
class Plan:
    """One training.

    Attributes:
        seed: of the first weights and of the draws.
        order: example numbers, whose prefixes are shown; need not name all examples.
        sizes: of the prefix at steps 0 to T - 1.
        root: plans with the same number share weights, order and labels: only those can share steps.
        labels: row of the labels that it trains on.
    """

    seed: int
    order: NDArray[np.int64]
    sizes: NDArray[np.int64]
    root: int = 0
    labels: int = 0


class Copies(Protocol):
    """Copies of one network in training."""

    def __len__(self) -> int: ...

    def fork(self, parents: Sequence[int]) -> None:
        """Replace the copies by copies of these, in this order; a number may repeat."""

    def train(self, which: slice, batches: "Batches", labels: Tensor, rates: Sequence[float]) -> None:
        """Take a step with each batch."""

    def logits(self, which: slice, x: Tensor) -> Tensor:
        """In evaluation mode: shape (copies, n, C)."""

    def together(self) -> int:
        """How many copies to train at a time."""


@dataclass(frozen=True)
class Batches:
    """Batches of several copies.

    Attributes:
        x: all examples, (N, ...).
        rows: example numbers, shape (copies, steps, width), padded by 0.
        counts: examples of each batch, shape (copies, steps).
        first_step: number of the first of them.
        seeds: of the copies.
    """

    x: Tensor
    rows: Tensor
    counts: Tensor
    first_step: int
    seeds: Sequence[int]


class StackedMLP:
    """Copies of a network D - H - C with ReLU, trained in one batch with gradients by hand.

    All parameters and velocities of a copy are a row of one matrix. Gradients go straight into the velocities:
    v <- momentum v + gradient is one matrix product. Starts at N(0, 2 / D) and N(0, 1 / H), biases 0.
    """

    def __init__(
        self, seeds: Sequence[int], inputs: int, hidden: int, classes: int, config: TrainingConfig, device: str = "cpu"
    ) -> None:
        self.inputs, self.hidden, self.classes, self.config = inputs, hidden, classes, config
        self.shapes = ((inputs, hidden), (1, hidden), (hidden, classes), (1, classes))
        parts = [
            seeded_normal(seeds, (inputs, hidden), (2 / inputs) ** 0.5, stream=0).flatten(1),
            torch.zeros(len(seeds), hidden),
            seeded_normal(seeds, (hidden, classes), hidden**-0.5, stream=1).flatten(1),
            torch.zeros(len(seeds), classes),
        ]
        self.values = torch.cat([part.float() for part in parts], dim=1).to(device)
        self.velocities = torch.zeros_like(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def fork(self, parents: Sequence[int]) -> None:
        """Replace the copies by copies of these."""
        self.values, self.velocities = self.values[list(parents)], self.velocities[list(parents)]

    def together(self) -> int:
        """How many copies to train at a time."""
        return max(1, STACK_NUMBERS // self.values.shape[1])

    def _parts(self, flat: Tensor) -> list[Tensor]:
        """Views of (copies, P) as (copies, D, H), (copies, 1, H), (copies, H, C), (copies, 1, C)."""
        pieces = torch.split(flat, [rows * columns for rows, columns in self.shapes], dim=1)
        return [piece.view(len(flat), *shape) for piece, shape in zip(pieces, self.shapes, strict=True)]

    @torch.no_grad()
    def train(self, which: slice, batches: Batches, labels: Tensor, rates: Sequence[float]) -> None:
        """Take a step with each batch."""
        # in memory of their own: products may round otherwise at another alignment
        values, velocities = self.values[which].clone(), self.velocities[which].clone()
        first, first_bias, last, last_bias = self._parts(values)
        parts = self._parts(velocities)
        x = batches.x.flatten(1)
        copies = len(batches.rows)
        targets = labels.gather(1, batches.rows.flatten(1)).view(batches.rows.shape)[..., None]
        # the mean over a batch; a padded row counts nothing
        places = torch.arange(batches.rows.shape[2], device=x.device)
        weights = (places < batches.counts[..., None]).to(x) / batches.counts[..., None]
        widths = batches.counts.amax(0).tolist()  # of each step by itself: the parts of a run do not depend on its cuts
        momentum, minus_one = self.config.momentum, x.new_full((copies, len(places), 1), -1.0)
        for step, (rate, width) in enumerate(zip(rates, widths, strict=True)):
            rows = x.index_select(0, batches.rows[:, step, :width].flatten()).view(copies, width, -1)
            hidden = torch.baddbmm(first_bias, rows, first).relu_()
            slopes = torch.softmax(torch.baddbmm(last_bias, hidden, last), -1)
            slopes.scatter_add_(2, targets[:, step, :width], minus_one[:, :width])
            slopes.mul_(weights[:, step, :width, None])
            back = torch.bmm(slopes, last.mT).mul_(hidden > 0)
            parts[0].baddbmm_(rows.mT, back, beta=momentum)
            parts[1].mul_(momentum).add_(back.sum(1, keepdim=True))
            parts[2].baddbmm_(hidden.mT, slopes, beta=momentum)
            parts[3].mul_(momentum).add_(slopes.sum(1, keepdim=True))
            velocities.add_(values, alpha=self.config.weight_decay)
            values.add_(velocities, alpha=-rate)
        self.values[which], self.velocities[which] = values, velocities

    @torch.no_grad()
    def logits(self, which: slice, x: Tensor) -> Tensor:
        """In evaluation mode: shape (copies, n, C)."""
        first, first_bias, last, last_bias = self._parts(self.values[which])
        rows = x.flatten(1)
        found = []
        for part in torch.split(rows, max(256, EVALUATION_NUMBERS // (len(first) * self.hidden))):
            hidden = torch.baddbmm(first_bias, part.expand(len(first), -1, -1), first).relu_()
            found.append(torch.baddbmm(last_bias, hidden, last))
        return torch.cat(found, dim=1)


class ModuleCopies:
    """Copies of any module (B, ...) -> (B, C), trained one after another by torch's SGD.

    Args:
        seeds: one a copy; torch's generator has it when ``make`` is called.
        make: gives a new module.
        config: of the training.
        device: of the modules.
    """

    def __init__(
        self, seeds: Sequence[int], make: Callable[[], nn.Module], config: TrainingConfig, device: str = "cpu"
    ) -> None:
        self.config, self.device = config, device
        self.modules: list[nn.Module] = []
        for seed in seeds:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                self.modules.append(make().to(device))
        self.optimizers = [self._optimizer(module) for module in self.modules]

    def _optimizer(self, module: nn.Module) -> torch.optim.SGD:
        config = self.config
        return torch.optim.SGD(module.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay)

    def __len__(self) -> int:
        return len(self.modules)

    def together(self) -> int:
        """How many copies to train at a time."""
        return 1

    def fork(self, parents: Sequence[int]) -> None:
        """Replace the copies by copies of these."""
        modules, optimizers = [], []
        for number, parent in enumerate(parents):
            module, optimizer = self.modules[parent], self.optimizers[parent]
            if parent in parents[:number]:
                module = copy.deepcopy(module)
                state = copy.deepcopy(optimizer.state_dict())
                optimizer = self._optimizer(module)
                optimizer.load_state_dict(state)
            modules.append(module)
            optimizers.append(optimizer)
        self.modules, self.optimizers = modules, optimizers

    def train(self, which: slice, batches: Batches, labels: Tensor, rates: Sequence[float]) -> None:
        """Take a step with each batch."""
        with torch.random.fork_rng():
            for number, (module, optimizer) in enumerate(zip(self.modules[which], self.optimizers[which], strict=True)):
                module.train()
                for step, rate in enumerate(rates):
                    optimizer.param_groups[0]["lr"] = rate
                    self._step(module, optimizer, batches, labels, number, step)
                module.eval()

    def _step(
        self, module: nn.Module, optimizer: torch.optim.SGD, batches: Batches, labels: Tensor, number: int, step: int
    ) -> None:
        """All draws, also those of dropout, depend on the copy's seed and the step of its training alone."""
        rows = batches.rows[number, step, : int(batches.counts[number, step])]
        x, draws = batches.x[rows], batches.seeds[number] * 1_000_003 + batches.first_step + step
        if self.config.augment:
            x = random_crop_flip(x, generator=seeded_generator(draws, AUGMENTATION))
        if x.device.type == "cpu":
            torch.default_generator.manual_seed(draws)  # a hundredth of the time that all devices' generators take
        else:
            torch.manual_seed(draws)
        loss = nn.functional.cross_entropy(module(x), labels[number, rows])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    @torch.no_grad()
    def logits(self, which: slice, x: Tensor) -> Tensor:
        """In evaluation mode: shape (copies, n, C)."""
        found = []
        for module in self.modules[which]:
            module.eval()
            found.append(torch.cat([module(part) for part in torch.split(x, 1000)]))
        return torch.stack(found)


# ------------------------------------------------------- plans and what they share


@dataclass
class PlansRun:
    """What :func:`train_plans` left.

    Attributes:
        copies: the distinct networks at the end.
        copy_of: of each plan, its number among the copies.
        measures: of each plan, what ``measure`` gave at every evaluation.
        steps: that were taken.
        steps_apart: that the plans would take one by one.
    """

    copies: Copies
    copy_of: list[int]
    measures: list[list[Mapping[str, float]]]
    steps: int
    steps_apart: int


@dataclass
class _Branch:
    """A copy on its way: the plans that it stands for, and where it is in their common epochs."""

    members: list[int]
    epoch: Epoch
    shuffled: NDArray[np.int64]


def _forks(plans: Sequence[Plan], config: TrainingConfig) -> list[tuple[int, list[tuple[int, list[int]]]]]:
    """Steps at which copies part: (step, [(number of the parent copy, plans)]) for all copies from there on.

    The first has every root's plans as one copy each, split by their first prefix.
    """
    roots = dict.fromkeys(plan.root for plan in plans)
    groups = [[number for number, plan in enumerate(plans) if plan.root == root] for root in roots]
    epochs = [dynamic_epochs(plan.sizes, config.batch_size) for plan in plans]
    starts = [{epoch.start: epoch.size for epoch in found} for found in epochs]
    found: list[tuple[int, list[tuple[int, list[int]]]]] = []
    live = groups
    for step in sorted({start for group in groups for number in group for start in starts[number]}):
        split: list[tuple[int, list[int]]] = []
        for parent, members in enumerate(live):
            if len(members) == 1 or step not in starts[members[0]]:
                split.append((parent, members))
                continue
            by_size: dict[int, list[int]] = {}
            for number in members:
                by_size.setdefault(starts[number][step], []).append(number)
            split += [(parent, part) for part in by_size.values()]
        if step == 0 or len(split) > len(live):
            found.append((step, split))
        live = [members for _, members in split]
    return found


def shared_steps(plans: Sequence[Plan], config: TrainingConfig) -> tuple[int, int]:
    """Steps that :func:`train_plans` takes, and those that the plans would take one by one."""
    forks = _forks(plans, config)
    ends = [step for step, _ in forks[1:]] + [config.total_steps]
    steps = sum(len(split) * (end - step) for (step, split), end in zip(forks, ends, strict=True))
    return steps, len(plans) * config.total_steps


def plan_batches(plan: Plan, config: TrainingConfig) -> list[NDArray[np.int64]]:
    """The batches of one plan, step by step; those of :class:`.CurriculumBatchSampler` with the same order and seed."""
    found: list[NDArray[np.int64]] = []
    for epoch in dynamic_epochs(plan.sizes, config.batch_size):
        rows, counts = _rows_of(shuffled_prefix(plan.order, epoch, plan.seed), epoch, 0, epoch.batches, config)
        found += [row[:count] for row, count in zip(rows, counts, strict=True)]
    return found


def _rows_of(
    shuffled: NDArray[np.int64], epoch: Epoch, start: int, end: int, config: TrainingConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Batches ``start`` to ``end`` of an epoch: rows (batches, batch_size + 1), padded by 0, and counts."""
    size = config.batch_size
    whole = batches_of(len(shuffled), size, drop_last=False)
    rows = np.zeros((end - start, size + 1), dtype=np.int64)
    counts = np.full(end - start, size, dtype=np.int64)
    full = min(end, len(shuffled) // size)
    if full > start:
        rows[: full - start, :size] = shuffled[start * size : full * size].reshape(-1, size)
    if end == whole:  # the last batch of the whole pass may be smaller, or larger by one
        last = batch_at(shuffled, whole - 1, whole, size, drop_last=False)
        rows[-1] = 0
        rows[-1, : len(last)] = last
        counts[-1] = len(last)
    return rows, counts


def train_plans(
    copies: Callable[[Sequence[int]], Copies],
    plans: Sequence[Plan],
    x: Tensor,
    labels: Tensor,
    config: TrainingConfig,
    measure: Callable[[Copies, slice, Sequence[int]], Sequence[Mapping[str, float]]] | None = None,
    advance: Advance = lambda steps, metric: None,
) -> PlansRun:
    """Train every plan; what plans have in common is trained once.

    Args:
        copies: makes the networks of the given seeds.
        plans: what to train; all for ``config.total_steps``.
        x: examples (N, ...).
        labels: shape (rows, N): those that a plan's ``labels`` names.
        config: of all.
        measure: called for each evaluation with some copies and, for each of them, one plan that it stands for;
            gives their measures.
        advance: told of the steps.
    """
    keep_freed_memory()
    rates = config.learning_rates
    forks = _forks(plans, config)
    roots = list(dict.fromkeys(plan.root for plan in plans))
    seeds_of = {plan.root: plan.seed for plan in plans}
    nets = copies([seeds_of[root] for root in roots])
    measures: list[list[Mapping[str, float]]] = [[] for _ in plans]
    evaluations = set(config.evaluation_steps)
    epochs = {number: dynamic_epochs(plan.sizes, config.batch_size) for number, plan in enumerate(plans)}
    live: list[_Branch] = []
    steps = 0
    ends = [step for step, _ in forks[1:]] + [config.total_steps]
    for (start, split), end in zip(forks, ends, strict=True):
        nets.fork([parent for parent, _ in split])
        live = [
            _Branch(members, live[parent].epoch, live[parent].shuffled)
            if live
            else _Branch(members, Epoch(-1, 0, 0, 0), np.zeros(0, dtype=np.int64))
            for parent, members in split
        ]
        for first in range(0, len(live), nets.together()):
            which = slice(first, min(first + nets.together(), len(live)))
            block = live[which]
            of_plans = [plans[branch.members[0]] for branch in block]
            own_labels = labels[[plan.labels for plan in of_plans]]
            cuts = sorted({start, end} | {step for step in evaluations if start < step < end})
            for left, right in itertools.pairwise(cuts):
                batches = _block_batches(block, of_plans, epochs, x, left, right, config)
                nets.train(which, batches, own_labels, [float(rate) for rate in rates[left:right]])
                advance((right - left) * len(block), "")
                steps += (right - left) * len(block)
                if right in evaluations and measure is not None:
                    found = measure(nets, which, [branch.members[0] for branch in block])
                    for branch, values in zip(block, found, strict=True):
                        for number in branch.members:
                            measures[number].append(values)
    copy_of = [0] * len(plans)
    for number, branch in enumerate(live):
        for member in branch.members:
            copy_of[member] = number
    return PlansRun(nets, copy_of, measures, steps, len(plans) * config.total_steps)


def _block_batches(
    block: Sequence[_Branch],
    plans: Sequence[Plan],
    epochs: Mapping[int, Sequence[Epoch]],
    x: Tensor,
    left: int,
    right: int,
    config: TrainingConfig,
) -> Batches:
    """Batches of steps ``left`` to ``right`` - 1 of some copies; moves each copy on in its epochs."""
    rows = np.zeros((len(block), right - left, config.batch_size + 1), dtype=np.int64)
    counts = np.empty((len(block), right - left), dtype=np.int64)
    for number, (branch, plan) in enumerate(zip(block, plans, strict=True)):
        step = left
        while step < right:
            if step >= branch.epoch.start + branch.epoch.batches:
                branch.epoch = epochs[branch.members[0]][branch.epoch.number + 1]
                branch.shuffled = shuffled_prefix(plan.order, branch.epoch, plan.seed)
            epoch = branch.epoch
            until = min(right, epoch.start + epoch.batches)
            place = slice(step - left, until - left)
            rows[number, place], counts[number, place] = _rows_of(
                branch.shuffled, epoch, step - epoch.start, until - epoch.start, config
            )
            step = until
    width = int(counts.max())
    return Batches(
        x,
        torch.as_tensor(rows[:, :, :width], device=x.device).contiguous(),
        torch.as_tensor(counts, device=x.device),
        left,
        [plan.seed for plan in plans],
    )
