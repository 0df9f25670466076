"""Training of fair classifiers: many models in one batched program, the loop in plain sight."""

__all__ = ["FittedClassifiers", "SenSeIConfig", "TrainingData", "preset", "train"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rostra.engine.ensemble import seeded_generator
from rostra.engine.errors import InputError
from rostra.engine.progress import Advance, progress_bar
from rostra.engine.runtime import keep_freed_memory

from . import objective
from .auditor import Distances, worst_cases, worst_cases_in_two_stages
from .metrics import FairMetric
from .model import Classifier

METHODS = ("sensei", "sensr", "clp", "project", "baseline")
ORDER, NOISE, COUNTERFACTUAL = 900, 901, 902
"""Streams of a seed's draws: one does not move another, so methods see the same minibatches."""
SWING = 10.0
CHUNK_ROWS = 4096
"""Most rows, over its copies, that a chunk takes at a time on a CPU: about what its caches hold."""


@dataclass(frozen=True)
class SenSeIConfig:
    """One training.

    Attributes:
        method: "sensei"; "sensr" (worst-case loss); "clp" (counterfactual logit pairing); "project" (inputs without
            their sensitive part); "baseline" (cross-entropy alone).
        hidden: widths of the hidden layers.
        rho: weight of the fair regulariser (sensei, clp).
        eps: transport budget, in squared units of the scaled features (sensei, sensr).
        reduction: of d_Y over the classes, "sum" (inFairness) or "mean" (the paper's trainer).
        dual_update: "sgd", projected gradient descent on lambda, or "ratio", the released code's rule.
        dual_lr: learning rate of "sgd".
        dual_start: lambda before the first step.
        auditor: "noise" (inFairness) or "two_stage" (SenSR's released code).
        auditor_steps, auditor_lr, auditor_noise: Adam of "noise", and its start.
        subspace_steps, subspace_lr, full_steps, full_lr: Adam of both stages of "two_stage".
        iterations, batch_size, lr: Adam on the network's weights.
        class_balanced: minibatches hold equally many rows of each class.
    """

    method: str = "sensei"
    hidden: tuple[int, ...] = (100,)
    rho: float = 5.0
    eps: float = 0.03
    reduction: str = "sum"
    dual_update: str = "sgd"
    dual_lr: float = 0.1
    dual_start: float = 1.0
    auditor: str = "noise"
    auditor_steps: int = 20
    auditor_lr: float = 0.1
    auditor_noise: float = 0.1
    subspace_steps: int = 20
    subspace_lr: float = 1.0
    full_steps: int = 20
    full_lr: float = 1e-3
    iterations: int = 1500
    batch_size: int = 500
    lr: float = 1e-3
    class_balanced: bool = True

    def __post_init__(self) -> None:
        _one_of("method", self.method, METHODS)
        _one_of("reduction", self.reduction, ("sum", "mean"))
        _one_of("dual_update", self.dual_update, ("sgd", "ratio"))
        _one_of("auditor", self.auditor, ("noise", "two_stage"))
        if not self.rho >= 0:
            raise InputError(f"rho must be at least 0, got {self.rho}")
        if not self.eps > 0:
            raise InputError(f"eps must be above 0, got {self.eps}")
        if any(not isinstance(width, (int, np.integer)) or width < 1 for width in self.hidden):
            raise InputError(f"hidden must hold whole numbers of at least 1, got {list(self.hidden)}")
        for name, least in (
            ("iterations", 1),
            ("batch_size", 1),
            ("auditor_steps", 0),
            ("subspace_steps", 0),
            ("full_steps", 0),
        ):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or value < least:
                raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
        for name in ("auditor_noise", "dual_start"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name in ("lr", "dual_lr", "auditor_lr", "subspace_lr", "full_lr"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0, got {getattr(self, name)}")

    def network(self, copies: int, inputs: int, classes: int) -> Classifier:
        """Untrained copies of the network; weights are zero until ``initialise``."""
        return Classifier(copies, inputs, self.hidden, classes)

    @property
    def attacks(self) -> bool:
        """Whether training looks for worst cases."""
        return self.method in ("sensei", "sensr")


def _one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


_PRESETS = {
    # SenSR's Adult protocol (released code; number of iterations of SenSR's own run)
    "paper": SenSeIConfig(
        auditor="two_stage",
        subspace_steps=50,
        subspace_lr=10.0,
        full_steps=40,
        full_lr=1e-4,
        dual_update="ratio",
        dual_start=2.0,
        eps=1e-3,
        reduction="mean",
        iterations=12_000,
        batch_size=1000,
        lr=1e-4,
    ),
    # inFairness's Adult example with its logistic metric
    "infairness": SenSeIConfig(
        hidden=(100, 100),
        eps=0.1,
        dual_update="ratio",
        auditor_steps=100,
        auditor_lr=1e-3,
        iterations=5650,
        batch_size=64,
        class_balanced=False,
    ),
}


def preset(name: str, method: str = "sensei", **changes: Any) -> SenSeIConfig:
    """Settings of "paper" (SenSR's Adult protocol) or "infairness" (its Adult example), with changes."""
    _one_of("preset", name, tuple(_PRESETS))
    config = replace(_PRESETS[name], method=method)
    if name == "paper" and method in ("baseline", "project"):
        config = replace(config, lr=1e-5, iterations=60_000)
    return replace(config, **changes)


@dataclass(frozen=True)
class TrainingData:
    """Rows of one or more training sets of equal size.

    Attributes:
        x: features, shape (sets, rows, d).
        y: labels 0 to classes - 1, shape (sets, rows).
        classes: K.
        counterfactuals: versions of x in which the sensitive attributes differ, shape (sets, versions, rows, d);
            for method "clp", which draws a version for each minibatch.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    classes: int
    counterfactuals: NDArray[Any] | None = None


@dataclass
class FittedClassifiers:
    """Trained copies.

    Attributes:
        config: what they were trained with.
        network: the trained networks.
        dual: lambda at the end, shape (copies,).
        history: loss, mean d_X and lambda by iteration, shape (iterations, 3, copies); 0 where there is no attack.
    """

    config: SenSeIConfig
    network: Classifier
    dual: NDArray[np.float64]
    history: NDArray[np.float64]

    def select(self, number: int) -> "FittedClassifiers":
        """One copy, as an ensemble of one."""
        like = next(self.network.parameters())
        layers = self.network.linear()
        one = (
            self.config.network(1, layers[0].weight.shape[1], layers[-1].weight.shape[2]).to(like).requires_grad_(False)
        )
        one.load_state_dict({name: value[number : number + 1] for name, value in self.network.state_dict().items()})
        pick = slice(number, number + 1)
        return FittedClassifiers(self.config, one, self.dual[pick], self.history[:, :, pick])

    @torch.no_grad()
    def logits(self, x: NDArray[Any], chunk: int = 65_536) -> NDArray[np.float64]:
        """Logits of each copy: (copies or 1, rows, d) -> (copies, rows, K)."""
        like = next(self.network.parameters())
        parts = []
        for start in range(0, max(1, x.shape[1]), chunk):
            rows = torch.as_tensor(x[:, start : start + chunk]).to(like)
            parts.append(self.network(rows.expand(len(like), -1, -1)).double().cpu().numpy())
        return np.concatenate(parts, axis=1)

    def settled(self) -> NDArray[np.bool_]:
        """Whether lambda and the mean of d_X stayed within a factor of 10 over the last half: (copies,)."""
        last = self.history[len(self.history) // 2 :, 1:]
        # a median of blocks, so that the noise of single minibatches does not count as a swing
        blocks = np.stack([np.median(part, axis=0) for part in np.array_split(last, min(10, len(last)))])
        low, high = blocks.min(axis=0), blocks.max(axis=0)
        return np.asarray((high <= SWING * np.maximum(low, 1e-12)).all(axis=0))


def _next_rows(seed: int, y: NDArray[Any], classes: int, config: SenSeIConfig) -> Iterator[Tensor]:
    """Row numbers of one minibatch after another; each group of rows is gone through in random orders."""
    generator = seeded_generator(seed, ORDER)
    groups = [np.flatnonzero(y == k) for k in range(classes)] if config.class_balanced else [np.arange(len(y))]
    sizes = [len(part) for part in np.array_split(np.arange(config.batch_size), len(groups))]
    rows = [torch.as_tensor(group) for group in groups]
    waiting = [group[:0] for group in rows]
    while True:
        batch = []
        for number, (group, size) in enumerate(zip(rows, sizes, strict=True)):
            while len(waiting[number]) < size:
                order = torch.randperm(len(group), generator=generator)
                waiting[number] = torch.cat([waiting[number], group[order]])
            batch.append(waiting[number][:size])
            waiting[number] = waiting[number][size:]
        yield torch.cat(batch)


class _Batches:
    """Minibatches of all copies. Copies with one seed and one training set see the same rows and the same noise."""

    def __init__(
        self,
        data: TrainingData,
        config: SenSeIConfig,
        seeds: Sequence[int],
        sets: Sequence[int],
        like: Tensor,
    ) -> None:
        streams = list(dict.fromkeys(zip(seeds, sets, strict=True)))
        self.sets = [number for _, number in streams]
        self.of_copy = torch.as_tensor(
            [streams.index(stream) for stream in zip(seeds, sets, strict=True)], device=like.device
        )
        self.same = len(streams) == len(seeds)
        self.config = config
        self.rows = [_next_rows(seed, data.y[number], data.classes, config) for seed, number in streams]
        self.noise = [seeded_generator(seed, NOISE) for seed, _ in streams]
        self.choice = [seeded_generator(seed, COUNTERFACTUAL) for seed, _ in streams]
        self.x = torch.as_tensor(data.x).to(like)
        self.y = torch.as_tensor(data.y, dtype=torch.long, device=like.device)
        versions = data.counterfactuals if config.method == "clp" else None
        self.versions = None if versions is None else torch.as_tensor(versions).to(like)

    def _for_copies(self, values: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack(list(values))
        return stacked if self.same else stacked[self.of_copy]

    def next(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """x with rows last (copies, d, rows), labels (copies, rows), and counterfactuals like x."""
        chosen = [next(rows).to(self.y.device) for rows in self.rows]
        x = [self.x[number, rows] for number, rows in zip(self.sets, chosen, strict=True)]
        labels = self._for_copies([self.y[number, rows] for number, rows in zip(self.sets, chosen, strict=True)])
        other = None
        if self.versions is not None:
            version = [int(torch.randint(self.versions.shape[1], (1,), generator=g)) for g in self.choice]
            other = self._for_copies(
                [self.versions[n, v, rows].mT for n, v, rows in zip(self.sets, version, chosen, strict=True)]
            )
        return self._for_copies([part.mT for part in x]), labels, other

    def next_noise(self, width: int) -> Tensor:
        """Uniform draws between -1 and 1: (copies, width, rows)."""
        like = self.x
        shape = (width, self.config.batch_size)
        draws = [torch.rand(*shape, generator=g, dtype=torch.float32).mul_(2).sub_(1) for g in self.noise]
        return self._for_copies([draw.to(like) for draw in draws])


def _train_chunk(
    data: TrainingData,
    config: SenSeIConfig,
    seeds: Sequence[int],
    sets: Sequence[int],
    metrics: Sequence[FairMetric],
    rho: Tensor,
    eps: Tensor,
    advance: Advance,
) -> tuple[Classifier, Tensor, Tensor]:
    """Train one chunk of copies. Returns the network, lambda and the history."""
    copies, d = len(seeds), data.x.shape[2]
    network = config.network(copies, d, data.classes)
    network.initialise(seeds)
    network.to(device=rho.device, dtype=rho.dtype)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.lr, fused=True)
    batches = _Batches(data, config, seeds, sets, rho)
    sigma = _stacked(metrics, rho) if config.method == "project" else None
    distances = Distances.of(metrics, rho)
    dual = torch.full_like(rho, config.dual_start)
    history = rho.new_zeros(config.iterations, 3, copies)
    shown = ""
    for step in range(config.iterations):
        x, labels, other = batches.next()
        if sigma is not None:
            x = torch.bmm(sigma, x)
        logits = network(x.mT)
        if config.attacks:
            with torch.no_grad():
                other = _worst(network, x, labels, logits, dual, distances, batches, config)
                distance = distances(other - x).mean(1)
                dual = _next_dual(dual, distance, eps, config)
                history[step, 1], history[step, 2] = distance, dual
        if config.method == "sensr":
            assert other is not None
            loss = objective.cross_entropy(network(other.mT), labels).mean(1)
        else:
            loss = objective.cross_entropy(logits, labels).mean(1)
            if other is not None:  # sensei, clp
                loss = loss + rho * objective.output_distance(logits, network(other.mT), config.reduction).mean(1)
        history[step, 0] = loss.detach()
        optimiser.zero_grad()
        torch.autograd.backward(loss.sum())
        optimiser.step()
        if step % 25 == 24:
            shown = f"loss {loss.detach().mean().item():.3f}"
        advance(1, shown)
    return network, dual, history


def _worst(
    network: Classifier,
    x: Tensor,
    labels: Tensor,
    logits: Tensor,
    dual: Tensor,
    distances: Distances,
    batches: _Batches,
    config: SenSeIConfig,
) -> Tensor:
    clean = logits.detach().mT
    if config.method == "sensei":
        gradient = objective.invariance_gradient(clean, config.reduction)

        def value(at: Tensor) -> Tensor:
            return objective.output_distance(at.mT, clean.mT, config.reduction)
    else:
        gradient = objective.loss_gradient(labels, clean.shape[1])

        def value(at: Tensor) -> Tensor:
            return objective.cross_entropy(at.mT, labels)

    if config.auditor == "noise":
        noise = batches.next_noise(x.shape[1]).mul_(config.auditor_noise)
        return worst_cases(
            network, x, noise, dual, distances, gradient, steps=config.auditor_steps, learning_rate=config.auditor_lr
        )
    width = distances.directions.shape[1]
    # SenSR starts in x itself; SenSeI cannot, since its gradient is 0 there
    noise = batches.next_noise(width).mul_(config.auditor_noise if config.method == "sensei" else 0.0)
    return worst_cases_in_two_stages(
        network,
        x,
        noise,
        dual,
        distances,
        gradient,
        value,
        subspace_steps=config.subspace_steps,
        subspace_lr=config.subspace_lr,
        full_steps=config.full_steps,
        full_lr=config.full_lr,
    )


def _next_dual(dual: Tensor, distance: Tensor, eps: Tensor, config: SenSeIConfig) -> Tensor:
    if config.dual_update == "ratio":
        return objective.ratio_update(dual, distance, eps)
    return objective.gradient_update(dual, distance, eps, config.dual_lr)


def train(
    data: TrainingData,
    config: SenSeIConfig,
    seeds: Sequence[int],
    metrics: FairMetric | Sequence[FairMetric] | None,
    *,
    sets: Sequence[int] | None = None,
    rho: Sequence[float] | None = None,
    eps: Sequence[float] | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    chunk: int | None = None,
    stage: str = "fit",
) -> FittedClassifiers:
    """Train one network a seed; copies are trained in chunks, each one batched program.

    Args:
        data: training sets.
        config: method, network, optimisers.
        seeds: one a copy: weights, order of the minibatches and the auditor's noise come from it.
        metrics: fair metric of all copies, or one a copy; None only where the method needs none.
        sets: training set of each copy; None takes the first.
        rho, eps: of each copy; None takes those of ``config``.
        device, dtype: where and in what precision to compute.
        chunk: most copies trained together; None chooses by the size of a minibatch.
        stage: name for the progress display.

    Returns:
        The trained networks on ``device``. Those of method "project" project their inputs themselves.

    Raises:
        InputError: if data, metric and settings do not go together, or training became non-finite.
    """
    copies, d = len(seeds), data.x.shape[2]
    needs_metric = config.attacks or config.method == "project"
    if metrics is None and needs_metric:
        raise InputError(f"method '{config.method}' needs a fair metric")
    each = (
        [metrics] * copies if isinstance(metrics, FairMetric) else list(metrics or [FairMetric.euclidean(d)] * copies)
    )
    for metric in each if needs_metric else []:
        if metric.d != d:
            raise InputError(f"the fair metric was made for {metric.d} features, the table has {d}")
    without = any(metric.directions is None or not metric.directions.shape[1] for metric in each)
    if config.attacks and config.auditor == "two_stage" and without:
        raise InputError(
            "auditor 'two_stage' needs a metric with sensitive directions, such as 'logistic'; use auditor 'noise'"
        )
    if config.class_balanced and config.batch_size < data.classes:
        raise InputError(f"a class-balanced batch of {config.batch_size} rows cannot hold {data.classes} classes")
    if config.method == "clp" and data.counterfactuals is None:
        raise InputError("method 'clp' needs counterfactuals: versions of the rows with other sensitive attributes")
    keep_freed_memory()
    device = torch.device(device)
    if chunk is None:
        chunk = max(1, CHUNK_ROWS // config.batch_size) if device.type == "cpu" else 64
    sets = [0] * copies if sets is None else sets
    place: dict[str, Any] = {"device": device, "dtype": dtype}
    weights = torch.as_tensor(np.full(copies, config.rho) if rho is None else np.asarray(rho, dtype=float), **place)
    budgets = torch.as_tensor(np.full(copies, config.eps) if eps is None else np.asarray(eps, dtype=float), **place)
    if not bool((weights >= 0).all()) or not bool((budgets > 0).all()):
        raise InputError(f"rho must be at least 0 and eps above 0, got {weights.tolist()} and {budgets.tolist()}")
    network = config.network(copies, d, data.classes).to(**place).requires_grad_(False)
    dual, history = np.zeros(copies), np.zeros((config.iterations, 3, copies))
    chunks = [range(start, min(start + chunk, copies)) for start in range(0, copies, chunk)]
    with progress_bar(stage, len(chunks) * config.iterations) as advance:
        for members in chunks:
            part = slice(members.start, members.stop)
            found, found_dual, found_history = _train_chunk(
                data,
                config,
                [seeds[i] for i in members],
                [sets[i] for i in members],
                each[part],
                weights[part],
                budgets[part],
                advance,
            )
            for target, source in zip(network.parameters(), found.parameters(), strict=True):
                target.data[part] = source.detach()
            dual[part] = found_dual.double().cpu().numpy()
            history[:, :, part] = found_history.double().cpu().numpy()
    finite = np.array([all(bool(torch.isfinite(p[i]).all()) for p in network.parameters()) for i in range(copies)])
    if not finite.all():
        raise InputError(f"training became non-finite at learning rate {config.lr:g}; lower lr, or scale the features")
    if config.method == "project":
        _fold_projections(network, each)
    return FittedClassifiers(config, network, dual, history)


def _fold_projections(network: Classifier, metrics: Sequence[FairMetric]) -> None:
    """W1 <- Sigma W1, so that the networks take rows as they are, and copies of them, and project by themselves."""
    weight = network.linear()[0].weight
    weight.data.copy_(torch.bmm(_stacked(metrics, weight), weight.data))


def _stacked(metrics: Sequence[FairMetric], like: Tensor) -> Tensor:
    """Sigma of each copy: (copies, d, d)."""
    return torch.stack([metric.sigma.to(like) for metric in metrics])
