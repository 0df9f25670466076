"""Training of VCNet, DRNet and TARNet: many fits in one batched program, the loop in plain sight."""

__all__ = ["FittedNetworks", "TrainingData", "VCNetConfig", "preset", "train"]

import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rostra.engine.ensemble import BatchedSGD, FlatParameters, rows_innermost, seeded_generator
from rostra.engine.errors import InputError
from rostra.engine.progress import Advance, progress_bar
from rostra.engine.runtime import keep_freed_memory

from . import basis, objective
from .model import DoseResponseNetwork

Array = NDArray[np.float64]

BIN_EDGES = (0.2, 0.4, 0.6, 0.8)
"""Edges of the five heads of DRNet and TARNet (authors' code)."""
MAX_RESTARTS = 5
"""How often a fit that became non-finite starts again from new weights."""

CHUNK_ROWS = 10_000
"""Most rows, over its copies, that a chunk holds on a CPU: beyond, no step can use the memory of the last one again."""


@dataclass(frozen=True)
class VCNetConfig:
    """Architecture, objective and optimiser of one fit. Defaults: the authors' simulation settings.

    Attributes:
        model: "vcnet"; "drnet" or "tarnet" (five heads over bins of the dose); "mlp" (one head
            with the dose as an input of every layer, an ablation).
        hidden: widths of the trunk.
        head: widths of the outcome head's hidden layers.
        n_grid: B, the intervals of the density estimator.
        degree, knots, basis: VCNet's spline of the dose; basis is "truncated_power" or "bspline".
        alpha: weight of the density's negative log-likelihood.
        targeted: functional targeted regularization on or off.
        beta: weight of targeted regularization.
        tr_knots: inner knots of epsilon(t), a truncated power spline of degree 2.
        tr_lr, tr_weight_decay: optimiser of epsilon.
        tr_solver: "sgd" (one step after each model step) or "exact" (the minimiser).
        tr_detach_density: no gradient of the targeted loss into the density (an ablation).
        lr, momentum, weight_decay, epochs: Nesterov SGD at a constant rate.
        batch_size: rows a step; None takes all.
        clip_norm: largest gradient norm; None does not clip, as the authors' code does not. On the simulation
            a limit of 10 left the curve with more error.
    """

    model: str = "vcnet"
    hidden: tuple[int, ...] = (50, 50)
    head: tuple[int, ...] = (50,)
    n_grid: int = 10
    degree: int = 2
    knots: tuple[float, ...] = (0.33, 0.66)
    basis: str = "truncated_power"
    alpha: float = 0.5
    targeted: bool = True
    beta: float = 1.0
    tr_knots: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    tr_lr: float = 1e-3
    tr_weight_decay: float = 5e-3
    tr_solver: str = "sgd"
    tr_detach_density: bool = False
    lr: float = 1e-4
    momentum: float = 0.9
    weight_decay: float = 5e-3
    epochs: int = 800
    batch_size: int | None = None
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        _one_of("model", self.model, ("vcnet", "drnet", "tarnet", "mlp"))
        _one_of("basis", self.basis, ("truncated_power", "bspline"))
        _one_of("tr_solver", self.tr_solver, ("sgd", "exact"))
        if not isinstance(self.degree, (int, np.integer)) or self.degree < 1:
            raise InputError(f"degree must be a whole number of at least 1, got {self.degree!r}")
        for name in ("knots", "tr_knots"):
            knots = getattr(self, name)
            increasing = all(a < b for a, b in itertools.pairwise(knots))
            if not increasing or any(not 0 < k < 1 for k in knots):
                raise InputError(f"{name} must increase and lie strictly between 0 and 1, got {list(knots)}")
        for name in ("hidden", "head"):
            widths = getattr(self, name)
            if any(not isinstance(w, (int, np.integer)) or w < 1 for w in widths):
                raise InputError(f"{name} must hold whole numbers of at least 1, got {list(widths)}")
        if not self.hidden:
            raise InputError("hidden must name at least one layer, such as (50, 50)")
        if self.n_grid < 1 or self.epochs < 1:
            raise InputError(f"n_grid and epochs must be at least 1, got {self.n_grid} and {self.epochs}")
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"batch_size must be at least 1 or None, got {self.batch_size}")
        if not self.lr > 0:
            raise InputError(f"lr must be above 0, got {self.lr}")

    def dose_basis(self, t: Array) -> Array:
        """Basis phi of the outcome head at doses t in [0, 1]: (...) -> (..., functions)."""
        if self.model == "vcnet":
            spline = basis.bspline if self.basis == "bspline" else basis.truncated_power
            return spline(t, self.degree, self.knots)
        return basis.bin_indicators(t, BIN_EDGES if self.model in ("drnet", "tarnet") else ())

    def epsilon_basis(self, t: Array) -> Array:
        """Basis of epsilon at doses t in [0, 1]: (...) -> (..., functions)."""
        return basis.truncated_power(t, 2, self.tr_knots)

    def network(self, copies: int, covariates: int) -> DoseResponseNetwork:
        """Untrained copies of the network; weights are zero until ``initialise``."""
        layers = len(self.head) + 1
        dose_inputs = {
            "vcnet": [False] * layers,
            "drnet": [True] * layers,
            "tarnet": [True] + [False] * (layers - 1),
            "mlp": [True] * layers,
        }[self.model]
        functions = self.dose_basis(np.zeros(1)).shape[1]
        return DoseResponseNetwork(copies, covariates, self.hidden, self.head, self.n_grid, functions, dose_inputs)

    @property
    def head_std(self) -> float:
        """Standard deviation of the outcome head's initial weights (authors' code)."""
        return 1.0 if self.model == "vcnet" else 0.01


def _one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


_TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_TWENTIETHS = tuple(round(0.05 * k, 2) for k in range(1, 20))
_PRESETS = {
    "simulation": VCNetConfig(tr_knots=_TENTHS),
    "ihdp": VCNetConfig(lr=1e-3, tr_knots=_TWENTIETHS, tr_weight_decay=1e-3),
    "news": VCNetConfig(
        lr=5e-4,
        batch_size=500,
        tr_knots=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9),
        tr_lr=5e-4,
        tr_weight_decay=1e-5,
    ),
}
_HEADS_LR = {"simulation": 0.05, "ihdp": 0.02, "news": 5e-4}


def preset(name: str, model: str = "vcnet", *, targeted: bool = True, **changes: Any) -> VCNetConfig:
    """The settings of the authors' code for "simulation", "ihdp" or "news", with changes."""
    _one_of("preset", name, tuple(_PRESETS))
    config = replace(_PRESETS[name], model=model, targeted=targeted)
    if model != "vcnet":
        config = replace(config, lr=_HEADS_LR[name], alpha=0.5 if targeted else 1.0)
    elif name == "news":
        config = replace(config, beta=0.5)
    return replace(config, **changes)


@dataclass(frozen=True)
class TrainingData:
    """Rows of many fits; a leading axis of 1 means that all copies share the rows.

    Attributes:
        x: covariates, shape (copies or 1, rows, p).
        t: doses in [0, 1], shape (copies or 1, rows).
        y: outcomes, shape (copies or 1, rows).
        weights: non-negative row weights, shape (copies or 1, rows); None weighs all rows alike.
    """

    x: Array
    t: Array
    y: Array
    weights: Array | None = None


@dataclass
class FittedNetworks:
    """Trained copies.

    Attributes:
        config: what they were trained with.
        network: the trained networks.
        coefficients: a of epsilon(t) = a' phi(t), shape (copies, K); zeros without targeting.
        restarts: how often each copy started again from new weights, shape (copies,).
        history: mean squared error, density loss and targeted loss by epoch, (epochs, 3, copies).
    """

    config: VCNetConfig
    network: DoseResponseNetwork
    coefficients: Tensor
    restarts: NDArray[np.int64]
    history: Array

    def select(self, number: int) -> "FittedNetworks":
        """One copy, as an ensemble of one."""
        one = self.config.network(1, self.network.covariates).requires_grad_(False)
        one.load_state_dict({name: value[number : number + 1] for name, value in self.network.state_dict().items()})
        one.to(self.coefficients)
        pick = slice(number, number + 1)
        return FittedNetworks(self.config, one, self.coefficients[pick], self.restarts[pick], self.history[:, :, pick])

    def double(self) -> "FittedNetworks":
        """The same networks in float64."""
        return replace(self, network=copy.deepcopy(self.network).double(), coefficients=self.coefficients.double())


@dataclass
class _Rows:
    """Training rows on the device, with everything that depends on the dose alone worked out once."""

    x: Tensor
    t: Tensor
    y: Tensor
    weights: Tensor
    phi: Tensor
    hats: Tensor
    spline: Tensor

    def take(self, index: Tensor) -> "_Rows":
        """A minibatch: index (copies, rows of the batch) picks the rows of each copy."""

        def pick(values: Tensor) -> Tensor:
            if values.dim() == 2:
                return values.gather(1, index)
            return values.mT.gather(2, index.unsqueeze(1).expand(-1, values.shape[2], -1)).mT

        batch = _Rows(*(pick(v) for v in (self.x, self.t, self.y, self.weights, self.phi, self.hats, self.spline)))
        batch.weights = batch.weights / batch.weights.sum(1, keepdim=True).clamp_min(
            torch.finfo(batch.weights.dtype).tiny
        )
        return batch


def _prepare(
    data: TrainingData, config: VCNetConfig, copies: Sequence[int], total: int, device: torch.device, dtype: torch.dtype
) -> _Rows:
    weights = np.ones(data.t.shape) if data.weights is None else data.weights
    weights = weights / weights.sum(axis=1, keepdims=True)

    def place(values: Array) -> Tensor:
        chosen = values[list(copies)] if len(values) == total and total > 1 else values[:1]
        tensor = torch.as_tensor(np.ascontiguousarray(chosen), dtype=dtype, device=device)
        tensor = rows_innermost(tensor) if tensor.dim() == 3 else tensor
        return tensor.expand(len(copies), *values.shape[1:])

    return _Rows(
        x=place(data.x),
        t=place(data.t[..., None]),
        y=place(data.y),
        weights=place(weights),
        phi=place(config.dose_basis(data.t)),
        hats=place(basis.hat_functions(data.t, config.n_grid)),
        spline=place(config.epsilon_basis(data.t)),
    )


def _batches(rows: _Rows, seeds: Sequence[int], config: VCNetConfig) -> Iterator[tuple[int, _Rows]]:
    """(epoch, batch): the same full batch each epoch, or minibatches in a new order each epoch."""
    n = rows.y.shape[1]
    if config.batch_size is None or config.batch_size >= n:
        for epoch in range(config.epochs):
            yield epoch, rows
        return
    generators = [seeded_generator(seed, 999) for seed in seeds]
    for epoch in range(config.epochs):
        order = torch.stack([torch.randperm(n, generator=g) for g in generators]).to(rows.y.device)
        for index in torch.split(order, config.batch_size, dim=1):
            yield epoch, rows.take(index)


def _train_chunk(
    rows: _Rows, config: VCNetConfig, seeds: Sequence[int], lr: Tensor, advance: Advance
) -> tuple[DoseResponseNetwork, Tensor, Tensor]:
    """Train one chunk of copies. Returns the network, epsilon's coefficients and the loss history."""
    copies = len(seeds)
    network = config.network(copies, rows.x.shape[2])
    network.initialise(seeds, config.head_std)
    network.to(device=rows.x.device, dtype=rows.x.dtype)
    parameters = FlatParameters(network)
    optimiser = BatchedSGD(
        parameters,
        lr,
        momentum=config.momentum,
        nesterov=True,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
    )
    coefficients = rows.y.new_zeros(copies, rows.spline.shape[2])
    history = rows.y.new_zeros(config.epochs, 3, copies)
    full_batch = config.batch_size is None or config.batch_size >= rows.y.shape[1]

    def forward(batch: _Rows) -> tuple[Tensor, Tensor]:
        z = network.features(batch.x)
        g = objective.interpolate_density(network.density_nodes(z), batch.hats)
        return network.outcome(z, batch.phi, batch.t), g

    @torch.no_grad()
    def epsilon_step(batch: _Rows, mu: Tensor, g: Tensor) -> None:
        if config.beta == 0:
            return
        if config.tr_solver == "exact":
            solution = objective.targeted_coefficients(
                batch.y, mu, g, batch.spline, batch.weights, config.tr_weight_decay / config.beta
            )
            coefficients.copy_(solution)
        else:
            gradient = objective.targeted_gradient(batch.y, mu, g, batch.spline, coefficients, batch.weights)
            coefficients.sub_(config.tr_lr * (config.beta * gradient + config.tr_weight_decay * coefficients))

    epsilon_step_due, shown = False, ""
    for step, (epoch, batch) in enumerate(_batches(rows, seeds, config)):
        mu, g = forward(batch)
        if epsilon_step_due:
            # With a full batch the forward pass that the last epsilon step needs (new weights,
            # same rows) is the one that this model step makes anyway: one pass an epoch, not two.
            epsilon_step(batch, mu, g)
        mse = objective.squared_error(batch.y, mu, batch.weights)
        nll = objective.density_nll(g, batch.weights)
        loss = mse + config.alpha * nll
        history[epoch, 0], history[epoch, 1] = mse.detach(), nll.detach()
        if config.targeted:
            epsilon = objective.fluctuation(batch.spline, coefficients)
            divisor = g.detach() if config.tr_detach_density else g
            targeted = objective.targeted_loss(batch.y, mu, divisor, epsilon, batch.weights)
            history[epoch, 2] = targeted.detach()
            loss = loss + config.beta * targeted
        optimiser.step(parameters.gradient(loss.sum()))
        if config.targeted and full_batch:
            epsilon_step_due = True
        elif config.targeted:
            with torch.no_grad():
                epsilon_step(batch, *forward(batch))
        if step % 25 == 24:
            shown = f"loss {loss.detach().mean().item():.3f}"
            if not bool(torch.isfinite(loss).any()):
                break
        advance(1, shown)
    if epsilon_step_due:
        with torch.no_grad():
            epsilon_step(rows, *forward(rows))
    return network, coefficients, history


def train(
    data: TrainingData,
    config: VCNetConfig,
    seeds: Sequence[int],
    *,
    lr: Sequence[float] | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    chunk: int = 10,
    stage: str = "fit",
    allow_divergence: bool = False,
) -> FittedNetworks:
    """Train one network a seed, in chunks of copies that are one batched program each.

    A copy whose loss or weights become non-finite starts again from new weights, up to
    ``MAX_RESTARTS`` times; restarts are counted.

    Args:
        data: rows, shared by all copies or one set a copy.
        config: architecture, objective, optimiser.
        seeds: one a copy; initial weights and the order of minibatches come from it.
        lr: learning rate of each copy; None takes ``config.lr``.
        device, dtype: where and in what precision to compute.
        chunk: most copies trained together; on a CPU fewer if their rows exceed ``CHUNK_ROWS``.
        stage: name for the progress display.
        allow_divergence: leave copies that become non-finite as they are, without restarts.

    Returns:
        The trained networks on ``device``.

    Raises:
        InputError: if a copy is still non-finite after all restarts.
    """
    device = torch.device(device)
    keep_freed_memory()
    if device.type == "cpu":
        rows = data.t.shape[1] if config.batch_size is None else min(config.batch_size, data.t.shape[1])
        chunk = max(1, min(chunk, CHUNK_ROWS // rows))
    copies = len(seeds)
    rates = np.full(copies, config.lr) if lr is None else np.asarray(lr, dtype=float)
    fitted = FittedNetworks(
        config=config,
        network=config.network(copies, data.x.shape[2]).to(device=device, dtype=dtype).requires_grad_(False),
        coefficients=torch.zeros(copies, config.epsilon_basis(np.zeros(1)).shape[1], device=device, dtype=dtype),
        restarts=np.zeros(copies, dtype=np.int64),
        history=np.zeros((config.epochs, 3, copies)),
    )
    pending = list(range(copies))
    for attempt in range(MAX_RESTARTS + 1):
        chunks = [pending[start : start + chunk] for start in range(0, len(pending), chunk)]
        with progress_bar(stage, len(chunks) * config.epochs * _steps_per_epoch(config, data)) as advance:
            finite = [_train_copies(data, fitted, seeds, rates, attempt, members, advance) for members in chunks]
        pending = [i for members, fine in zip(chunks, finite, strict=True) for i in members if i not in fine]
        fitted.restarts[pending] += 1
        if not pending or allow_divergence:
            return fitted
    raise InputError(
        f"training became non-finite {MAX_RESTARTS + 1} times at learning rate {rates[pending[0]]:g}; "
        "lower lr, or scale the outcome to order 1"
    )


def _steps_per_epoch(config: VCNetConfig, data: TrainingData) -> int:
    rows = data.t.shape[1]
    return 1 if config.batch_size is None else -(-rows // min(config.batch_size, rows))


def _train_copies(
    data: TrainingData,
    fitted: FittedNetworks,
    seeds: Sequence[int],
    rates: Array,
    attempt: int,
    members: list[int],
    advance: Advance,
) -> set[int]:
    """Train some of the copies and put them into ``fitted``; returns those that ended finite."""
    device, dtype = fitted.coefficients.device, fitted.coefficients.dtype
    # A restart takes a seed that no first attempt uses.
    chunk_seeds = [seeds[i] + attempt * 1_000_003 for i in members]
    rows = _prepare(data, fitted.config, members, len(seeds), device, dtype)
    rate = torch.as_tensor(rates[members], dtype=dtype, device=device)
    network, coefficients, history = _train_chunk(rows, fitted.config, chunk_seeds, rate, advance)
    finite = torch.isfinite(coefficients).all(1) & torch.isfinite(history).flatten(0, 1).all(0)
    index = torch.as_tensor(members, device=device)
    for target, source in zip(fitted.network.parameters(), network.parameters(), strict=True):
        target.data[index] = source.detach()
        finite &= torch.isfinite(source.detach()).flatten(1).all(1)
    fitted.coefficients[index] = coefficients
    fitted.history[:, :, members] = history.double().cpu().numpy()
    return {i for i, fine in zip(members, finite.tolist(), strict=True) if fine}
