"""Training of many fully-connected nets at once, and of one module at a time.

Copies are batched over data sets (seeds) and learning rates. Two-layer nets without biases have hand-written
gradients: a quadratic one never forms its activations, a ReLU one goes through them in blocks that stay in the
cache. On a CPU with numba, compiled loops make the quadratic one's products and the ReLU one's moments. Everything
else takes autograd on the same batch.
"""

__all__ = ["OPTIMIZERS", "FCConfig", "FCRun", "outputs", "train_fc", "train_module", "train_on_sets"]

import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil, prod
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rostra.engine.ensemble import FlatParameters, seeded_generator
from rostra.engine.errors import InputError
from rostra.engine.progress import Advance
from rostra.engine.runtime import keep_freed_memory

from . import objective
from .model import Activation, FCEnsemble

BLOCK_NUMBERS = 2**18
"""Numbers that a block works on: 1 MB in float32, about what a core's own cache holds."""
BATCH_STREAM = 900

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=1.0),
    "momentum": lambda groups: torch.optim.SGD(groups, lr=1.0, momentum=0.9),
    "nesterov": lambda groups: torch.optim.SGD(groups, lr=1.0, momentum=0.9, nesterov=True),
    "adam": lambda groups: torch.optim.Adam(groups, lr=1.0),
    "adagrad": lambda groups: torch.optim.Adagrad(groups, lr=1.0),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups, lr=1.0),
}
"""Name -> optimiser of parameter groups that carry their own learning rates."""


@dataclass(frozen=True)
class FCConfig:
    """A fully-connected net and its training.

    Attributes:
        hidden: widths of the hidden layers.
        activation: "quadratic", "relu", "tanh", "identity", or a function of a tensor.
        optimizer: a name in ``OPTIMIZERS``, or a function that makes an element-wise torch optimiser of groups.
        steps: of the optimiser.
        batch_size: rows a step; None takes all (gradient descent).
        weight_decay: l2, added to the gradient.
        l1: weight of the sign of the parameters in the gradient.
        clip_norm: largest norm of one net's gradient; None does not clip.
        cosine: let the learning rate fall to 0 along a cosine.
        bias: of the layers.
        init: see :meth:`.FCEnsemble.initialise`.
        loss: "logistic" of labels -1 and +1, or "squared".
        checkpoints: number of times, evenly spread, at which nets are measured.
        stop_loss: a net whose training labels are all right at a mean loss below this is finished.
    """

    hidden: tuple[int, ...] = (128,)
    activation: Activation = "quadratic"
    optimizer: str | Callable[[Any], torch.optim.Optimizer] = "momentum"
    steps: int = 400
    batch_size: int | None = None
    weight_decay: float = 0.0
    l1: float = 0.0
    clip_norm: float | None = 1.0
    cosine: bool = False
    bias: bool = False
    init: str = "gaussian"
    loss: str = "logistic"
    checkpoints: int = 10
    stop_loss: float = 1e-2

    def __post_init__(self) -> None:
        if self.steps < 1 or not 1 <= self.checkpoints <= self.steps:
            raise InputError(f"steps and checkpoints must be 1 or more, checkpoints <= steps; got {self}")
        if self.loss not in ("logistic", "squared"):
            raise InputError(f"loss must be 'logistic' or 'squared', got '{self.loss}'")
        if isinstance(self.optimizer, str) and self.optimizer not in OPTIMIZERS:
            raise InputError(f"optimizer must be one of {', '.join(OPTIMIZERS)}; got '{self.optimizer}'")
        if not self.hidden or min(self.hidden) < 1:
            raise InputError(f"hidden must be widths of 1 or more, got {self.hidden}")


@dataclass
class FCRun:
    """What a training left.

    Attributes:
        ensemble: the nets at the end.
        steps: of the checkpoints.
        train_accuracy, train_loss, test_accuracy: (checkpoints, L, S); a finished net keeps its values. In
            regression the accuracies are those of signs.
        diverged: (L, S), nets whose loss was not finite; their measures are those before, with NaN as training loss.
    """

    ensemble: FCEnsemble
    steps: list[int]
    train_accuracy: NDArray[np.float64]
    train_loss: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    diverged: NDArray[np.bool_]


def train_fc(
    x: Tensor,
    y: Tensor,
    config: FCConfig,
    seeds: Sequence[int],
    learning_rates: Sequence[float],
    *,
    test: tuple[Tensor, Tensor] | None = None,
    ensemble: FCEnsemble | None = None,
    advance: Advance = lambda steps, metric: None,
) -> FCRun:
    """Train a net for every learning rate and data set, all in one batch.

    Args:
        x: points, shape (S, n, D), float32 or float64; its device is used.
        y: labels -1 and +1 (or numbers, with the squared loss), shape (S, n), of the type of x.
        config: of all.
        seeds: one a data set; fixes the weights and the order of minibatches.
        learning_rates: of the L copies of each data set.
        test: points (S, T, D) and labels (S, T) to measure on.
        ensemble: initialised nets to go on from; None makes new ones.
        advance: told of the steps that were done.
    """
    keep_freed_memory()
    sets, n, dimension = x.shape
    copies = (len(learning_rates), sets)
    if ensemble is None:
        ensemble = FCEnsemble(copies, dimension, config.hidden, config.activation, config.bias).to(x)
        ensemble.initialise(seeds, config.init)
    flat = FlatParameters(ensemble)
    make = OPTIMIZERS[config.optimizer] if isinstance(config.optimizer, str) else config.optimizer
    optimizer = make(flat.groups(learning_rates))
    gradient_of = _gradient_function(ensemble, flat, config)
    batches = None if config.batch_size is None or config.batch_size >= n else _batches(seeds, n, config.batch_size)
    due = {round((i + 1) * config.steps / config.checkpoints) for i in range(config.checkpoints)}
    measures = _Measures(ensemble, config, x, y, test)
    for step in range(1, config.steps + 1):
        if config.cosine:
            for group, rate in zip(optimizer.param_groups, learning_rates, strict=True):
                group["lr"] = rate * 0.5 * (1 + np.cos(np.pi * (step - 1) / config.steps))
        rows_x, rows_y = (x, y) if batches is None else _take(x, y, next(batches))
        gradient = gradient_of(rows_x, rows_y)
        with torch.no_grad():
            _regularise(gradient, flat.values, config)
            for group, block in zip(optimizer.param_groups, gradient.chunk(copies[0]), strict=True):
                group["params"][0].grad = block
            optimizer.step()
        if step in due:
            advance(step - (measures.steps[-1] if measures.steps else 0), measures.take(step))
            if measures.finished.all():
                break
    return measures.run()


def train_on_sets(
    sets: Sequence[tuple[Any, Any]],
    tests: Sequence[tuple[Any, Any]],
    config: FCConfig,
    seeds: Sequence[int],
    learning_rates: Sequence[float],
    device: torch.device | str = "cpu",
) -> FCRun:
    """:func:`train_fc` in single precision on arrays, (points, labels) of each data set and of its test set."""

    def stacked(parts: Sequence[tuple[Any, Any]]) -> tuple[Tensor, Tensor]:
        x, y = (np.stack(part) for part in zip(*parts, strict=True))
        return tuple(torch.as_tensor(part, dtype=torch.float32, device=device) for part in (x, y))  # type: ignore[return-value]

    return train_fc(*stacked(sets), config, seeds, learning_rates, test=stacked(tests))


def _regularise(gradient: Tensor, values: Tensor, config: FCConfig) -> None:
    """Clip each net's gradient by its norm, then add weight decay and the sign of l1, in place."""
    if config.clip_norm is not None:
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        gradient.mul_((config.clip_norm / norm).clamp(max=1.0))
    if config.weight_decay:
        gradient.add_(values, alpha=config.weight_decay)
    if config.l1:
        gradient.add_(values.sign(), alpha=config.l1)


def _batches(seeds: Sequence[int], n: int, size: int) -> Iterator[Tensor]:
    """Endless minibatches (S, batch) of row numbers, each data set in its seed's order, shuffled every epoch."""
    generators = [seeded_generator(seed, BATCH_STREAM) for seed in seeds]
    while True:
        orders = torch.stack([torch.randperm(n, generator=generator) for generator in generators])
        for start in range(0, n - size + 1, size):
            yield orders[:, start : start + size]


def _take(x: Tensor, y: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    rows = rows.to(x.device)
    sets = torch.arange(len(x), device=x.device)[:, None]
    return x[sets, rows], y[sets, rows]


def _gradient_function(
    ensemble: FCEnsemble, flat: FlatParameters, config: FCConfig
) -> Callable[[Tensor, Tensor], Tensor]:
    """The gradient of every copy's mean loss, (copies, parameters), as a function of rows and labels."""
    if len(ensemble.hidden) == 1 and not len(ensemble.biases) and config.activation in ("quadratic", "relu"):
        prepared: list[Callable[[], Tensor]] = []

        def by_hand(x: Tensor, y: Tensor) -> Tensor:
            if not prepared or config.batch_size is not None:  # else the same rows in every step
                prepared[:] = [_prepared_gradient(ensemble, config, x, y)]
            return prepared[0]()

        return by_hand

    def by_autograd(x: Tensor, y: Tensor) -> Tensor:
        return flat.gradient(_loss(ensemble(x), y, config.loss).mean(-1).sum())

    return by_autograd


def _prepared_gradient(ensemble: FCEnsemble, config: FCConfig, x: Tensor, y: Tensor) -> Callable[[], Tensor]:
    """The gradient by hand at these rows, which are laid out in memory once for all steps."""
    n = x.shape[1]
    if config.activation == "relu" or not _matrix_pays(n, ensemble):
        blocks = _blocks(x, y, ensemble.hidden[0])
        return functools.partial(_activation_gradient, ensemble, config, blocks, n)
    loops = compiled_loops(x.device)
    if loops is None:
        blocks = _blocks(x, y, ensemble.copies[0] * ensemble.dimension)
        return functools.partial(_matrix_gradient, ensemble, config, blocks, n)
    tiles = loops.tiled(x.contiguous())
    filled_up = torch.nn.functional.pad(y, (0, tiles.shape[1] * tiles.shape[3] - n))
    return functools.partial(_compiled_matrix_gradient, ensemble, config, loops, tiles, filled_up, n)


def compiled_loops(device: torch.device) -> ModuleType | None:
    """The module ``compiled``, where it serves: it is for CPUs, and needs numba."""
    return _compiled() if device.type == "cpu" else None


@functools.cache
def _compiled() -> ModuleType | None:
    try:
        from . import compiled
    except Exception as error:  # a numba that does not fit numpy, or has nowhere to keep what it compiled
        if isinstance(error, ModuleNotFoundError) and error.name == "numba":
            return None
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        warnings.warn(f"nets are trained without numba, which cannot be used here: {reason}", stacklevel=2)
        return None
    return compiled


def _matrix_pays(n: int, ensemble: FCEnsemble) -> bool:
    """Whether a quadratic net's D x D matrix costs less to make and use on n rows than its activations."""
    width, dimension = ensemble.hidden[0], ensemble.dimension
    return (n + width) * dimension < n * width


def _active_loops_pay(rows: int, dimension: int) -> bool:
    """Whether compiled loops sum up a ReLU net's moments faster than products do.

    They add up their registers once for all rows, and read the columns anew for every four units: measured to be up to
    1.8 times as fast with many rows of few numbers, and half as fast with few rows of many.
    """
    return rows > 16 * dimension


def _loss(outputs: Tensor, y: Tensor, loss: str) -> Tensor:
    return objective.logistic_loss(outputs, y) if loss == "logistic" else (outputs - y).square()


def _slope(outputs: Tensor, y: Tensor, loss: str) -> Tensor:
    return objective.logistic_slope(outputs, y) if loss == "logistic" else 2 * (outputs - y)


def _weights(ensemble: FCEnsemble) -> tuple[Tensor, Tensor]:
    """First weights (copies, m, D) and output weights (copies, m) of two-layer nets."""
    first, last = ensemble.weights
    return first.detach(), last.detach()[:, 0]


def _by_rate(values: Tensor, ensemble: FCEnsemble) -> Tensor:
    """(copies, ...) -> (L, S, ...), the same memory."""
    return values.view(*ensemble.copies, *values.shape[1:])


def _by_set(values: Tensor, ensemble: FCEnsemble) -> Tensor:
    """(copies, ...) -> (S, L, ...)."""
    return _by_rate(values, ensemble).transpose(0, 1)


class _Block(NamedTuple):
    """Some rows of some data sets, in both layouts, and memory to work in."""

    sets: slice
    rows: Tensor
    """(sets, rows, D); the gradient's products run along them."""
    columns: Tensor
    """(sets, D, rows), contiguous; the net's products run along them."""
    y: Tensor
    """(sets, 1, rows)."""
    work: Tensor
    """(sets, numbers, rows), contiguous, the same memory for all blocks: it stays in a core's cache."""


def _blocks(x: Tensor, y: Tensor, numbers: int) -> list[_Block]:
    """Rows x (S, n, D) and labels y (S, n) in blocks for about BLOCK_NUMBERS numbers to work on, so many a row.

    The columns are copies, block by block. In the transpose of all rows they would lie n apart, and n is often a power
    of 2: they would all fall on the same few lines of the cache.
    """
    sets, n, _ = x.shape
    together = min(sets, max(1, BLOCK_NUMBERS // (n * numbers)))
    parts = max(1, min(round(together * n * numbers / BLOCK_NUMBERS), n // 64))  # of about equal size
    size = 16 * ceil(n / parts / 16)  # whole lines of the cache
    memory = x.new_empty(together * numbers * min(size, n))
    found = []
    for chosen in (slice(first, first + together) for first in range(0, sets, together)):
        parts_x, parts_y = torch.split(x[chosen], size, dim=1), torch.split(y[chosen, None], size, dim=2)
        for rows, labels in zip(parts_x, parts_y, strict=True):
            shape = (len(rows), numbers, rows.shape[1])
            found.append(_Block(chosen, rows, rows.mT.contiguous(), labels, memory[: prod(shape)].view(shape)))
    return found


def _matrix_gradient(ensemble: FCEnsemble, config: FCConfig, blocks: Sequence[_Block], n: int) -> Tensor:
    """Without activations; blocks of L D numbers a row: the matrices of a data set lie one below the other."""
    weight, output_weight = _weights(ensemble)
    matrices = _by_set(objective.quadratic_matrix(weight, output_weight), ensemble).flatten(1, 2)  # (S, L D, D)
    moments = torch.zeros_like(matrices)
    each = (ensemble.copies[0], ensemble.dimension)
    for sets, rows, columns, y, work in blocks:
        products = torch.bmm(matrices[sets], columns, out=work).view(len(rows), *each, -1)
        fitted = products.mul_(columns[:, None]).sum(2)
        slopes = _slope(fitted, y, config.loss)
        torch.mul(slopes[:, :, None], columns[:, None], out=products)
        moments[sets].baddbmm_(work, rows)
    own_moments = moments.view(-1, *each, ensemble.dimension).transpose(0, 1).flatten(0, 1) / n
    by_weight, by_output = objective.quadratic_gradient(own_moments, weight, output_weight)
    return torch.cat([by_weight.flatten(1), by_output], dim=1)


def _compiled_matrix_gradient(
    ensemble: FCEnsemble, config: FCConfig, loops: ModuleType, tiles: Tensor, y: Tensor, n: int
) -> Tensor:
    """:func:`_matrix_gradient` in compiled loops over one triangle of each matrix."""
    weight, output_weight = _weights(ensemble)
    fitted = loops.quadratic_forms(tiles, objective.quadratic_matrix(weight, output_weight))
    slopes = _slope(_by_rate(fitted, ensemble), y, config.loss).flatten(0, 1)
    moments = loops.weighted_moments(tiles, slopes) / n
    by_weight, by_output = objective.quadratic_gradient(moments, weight, output_weight)
    return torch.cat([by_weight.flatten(1), by_output], dim=1)


def _activation_gradient(ensemble: FCEnsemble, config: FCConfig, blocks: Sequence[_Block], n: int) -> Tensor:
    """By activations, each turned into its derivative in place; blocks of m numbers a row.

    All copies of a data set follow each other on a block, whose rows are in the cache by then.
    """
    relu = config.activation == "relu"
    loops = compiled_loops(blocks[0].rows.device) if relu and _active_loops_pay(*blocks[0].rows.shape[1:]) else None
    weight, output_weight = _weights(ensemble)
    moments = torch.zeros_like(weight)
    by_rate = [_by_rate(values, ensemble) for values in (weight, output_weight[:, None], moments)]
    for sets, rows, columns, y, work in blocks:
        for first, last, of_rate in zip(*(values[:, sets] for values in by_rate), strict=True):
            hidden = torch.bmm(first, columns, out=work)
            active = hidden.relu_() if relu else hidden.square()
            slopes = _slope(torch.bmm(last, active), y, config.loss)
            if loops is not None:
                loops.add_active_moments(active, slopes, columns, of_rate)
                continue
            derivative = hidden.sign_() if relu else hidden.mul_(2.0)
            of_rate.baddbmm_(derivative, rows * slopes.mT)
    by_weight, by_output = objective.activation_gradient(moments / n, weight, output_weight, degree=1 if relu else 2)
    return torch.cat([by_weight.flatten(1), by_output], dim=1)


def _matrices(ensemble: FCEnsemble) -> Tensor:
    """The symmetric matrices of quadratic nets, those of a data set side by side: (S, D, L D)."""
    matrices = objective.quadratic_matrix(*_weights(ensemble))
    return _by_set(matrices, ensemble).permute(0, 2, 1, 3).flatten(2)


@torch.no_grad()
def outputs(ensemble: FCEnsemble, x: Tensor) -> Tensor:
    """Outputs (L, S, n), in blocks of rows; a two-layer quadratic net by its matrix."""
    quadratic = len(ensemble.hidden) == 1 and not len(ensemble.biases) and ensemble.activation == "quadratic"
    quadratic = quadratic and _matrix_pays(x.shape[1], ensemble)
    loops = compiled_loops(x.device) if quadratic else None
    if loops is not None:
        fitted = loops.quadratic_outputs(x.contiguous(), objective.quadratic_matrix(*_weights(ensemble)))
        return _by_rate(fitted, ensemble)
    matrices = _matrices(ensemble) if quadratic else None
    widest = x.shape[2] if quadratic else max(ensemble.hidden)
    size = max(64, BLOCK_NUMBERS // (ensemble.copies[0] * ensemble.copies[1] * widest))
    found = [
        ensemble(rows) if matrices is None else objective.quadratic_form(rows, matrices).permute(2, 0, 1)
        for rows in torch.split(x, size, dim=1)
    ]
    return torch.cat(found, dim=2)


@dataclass
class _Measures:
    """Measures nets at checkpoints; one that is finished, or has diverged, keeps what it had."""

    ensemble: FCEnsemble
    config: FCConfig
    x: Tensor
    y: Tensor
    test: tuple[Tensor, Tensor] | None
    steps: list[int] = field(default_factory=list)
    history: list[NDArray[np.float64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.finished = np.zeros(self.ensemble.copies, dtype=bool)
        self.diverged = np.zeros(self.ensemble.copies, dtype=bool)

    def take(self, step: int) -> str:
        """Measure at a step; returns a short text for the progress display."""
        fitted = outputs(self.ensemble, self.x)
        loss = _loss(fitted, self.y, self.config.loss).mean(-1)
        now = [_accuracy(fitted, self.y), loss.double().cpu().numpy()]
        now.append(_accuracy(outputs(self.ensemble, self.test[0]), self.test[1]) if self.test else now[0] * np.nan)
        found = np.stack(now)
        broken = ~np.isfinite(found[1]) & ~self.finished
        self.diverged |= broken
        before = self.history[-1] if self.history else np.full_like(found, 0.5)
        found = np.where(self.finished | broken, before, found)
        found[1] = np.where(self.diverged, np.nan, found[1])
        self.finished |= broken | ((found[0] == 1) & (found[1] < self.config.stop_loss))
        self.steps.append(step)
        self.history.append(found)
        return f"train {found[0].mean():.3f}"

    def run(self) -> FCRun:
        train_accuracy, train_loss, test_accuracy = np.stack(self.history, axis=1)
        return FCRun(self.ensemble, self.steps, train_accuracy, train_loss, test_accuracy, self.diverged)


def _accuracy(fitted: Tensor, y: Tensor) -> NDArray[np.float64]:
    """Share of right signs, with sign(0) = +1: (L, S)."""
    right = (fitted >= 0) == (y >= 0)
    return right.double().mean(-1).cpu().numpy()


def train_module(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    lr: float,
    steps: int,
    batch_size: int | None,
    seed: int,
    optimizer: str = "momentum",
    weight_decay: float = 0.0,
    clip_norm: float | None = 1.0,
    cosine: bool = True,
    loss: str = "logistic",
) -> float:
    """Train one module (n, D) -> (n, 1) in place; returns the last minibatch's loss, which may be NaN.

    Args:
        module: any network; it is left in evaluation mode.
        x, y: points (n, D) and labels (n,) of the module's type.
        lr, steps, batch_size, optimizer, weight_decay, clip_norm, cosine, loss: as in :class:`FCConfig`.
        seed: of the order of minibatches.
    """
    batches = None if batch_size is None or batch_size >= len(x) else _batches([seed], len(x), batch_size)
    module.train()
    optimiser = OPTIMIZERS[optimizer]([{"params": list(module.parameters()), "lr": lr, "weight_decay": weight_decay}])
    value = torch.zeros(())
    for step in range(steps):
        if cosine:
            optimiser.param_groups[0]["lr"] = lr * 0.5 * (1 + np.cos(np.pi * step / steps))
        rows = slice(None) if batches is None else next(batches)[0]
        value = _loss(module(x[rows])[:, 0], y[rows], loss).mean()
        optimiser.zero_grad()
        torch.autograd.backward(value)
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(module.parameters(), clip_norm)
        optimiser.step()
    module.eval()
    return float(value.detach())
