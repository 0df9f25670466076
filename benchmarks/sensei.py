"""SenSeI against inFairness, its authors' own package, on the same work.

    python benchmarks/sensei.py [--quick] [--json]

Prints rows `name, ours, peer, unit, ratio, note`; a ratio above 1 means that ours is better. The peer runs in an
environment of its own that the first run builds from `peers/sensei.txt` (a few minutes, not part of the time that
--quick allows), and measures itself.

A step is one of training: 20 steps of the auditor, then the update of a network 41-100-2, on made-up rows of the
size of Adult's. From the same weights, minibatches and noise both must find the same worst cases, lambda and loss,
or the benchmark stops. Measurements alternate between ours and the peer; a value is a median. All are CPU seconds
of one thread, so that other work on the machine disturbs them less.
"""

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from peer_environment import Peer
from rows import Row, parse_arguments, print_rows

from rostra.engine.runtime import set_threads
from rostra.methods.sensei import FairMetric, training
from rostra.methods.sensei.audit import AuditSettings, loss_ratio
from rostra.methods.sensei.auditor import Distances, worst_cases
from rostra.methods.sensei.metrics import orthonormal_directions
from rostra.methods.sensei.model import Classifier
from rostra.methods.sensei.objective import invariance_gradient
from rostra.methods.sensei.training import SenSeIConfig, TrainingData, train

ROWS, FEATURES, BINARY, CLASSES = 5000, 41, 36, 2
FRONT = 20
AUDITED = 2000
TOLERANCE = 1e-4
CONFIG = SenSeIConfig(
    method="sensei",
    dual_update="ratio",
    auditor_steps=20,
    auditor_lr=0.1,
    eps=0.01,
    rho=5.0,
    class_balanced=False,
)
Ask = Callable[..., dict[str, Any]]
"""A request to the peer: name of the work and its settings."""


# ------------------------------------------------------- the same work


def made_up_rows(seed: int = 0) -> tuple[TrainingData, NDArray[np.float64]]:
    """Rows like those of Adult, five numbers and 0/1 columns, and three sensitive directions (d, 3)."""
    rng = np.random.default_rng(seed)
    numbers = rng.standard_normal((ROWS, FEATURES - BINARY))
    shares = rng.uniform(0.05, 0.7, BINARY)
    x = np.concatenate([numbers, rng.random((ROWS, BINARY)) < shares], axis=1).astype(np.float32)
    weight = rng.standard_normal(FEATURES)
    score = x @ weight
    y = (score + rng.standard_normal(ROWS) > np.quantile(score, 0.75)).astype(np.int64)
    directions = np.zeros((FEATURES, 3))
    directions[-1, 0] = directions[-2, 1] = 1.0  # two sensitive columns, and what tells one of them
    directions[:, 2] = rng.standard_normal(FEATURES) / np.sqrt(FEATURES)
    return TrainingData(x[None], y[None], CLASSES), directions


def weights_of(network: Classifier) -> list[Any]:
    """Of copy 0, in the shapes of ``torch.nn.Linear``."""
    layers = network.linear()
    return [part for layer in layers for part in (layer.weight[0].mT.tolist(), layer.bias[0, 0].tolist())]


def settings_of(config: SenSeIConfig) -> dict[str, Any]:
    return {
        "hidden": config.hidden,
        "eps": config.eps,
        "steps": config.auditor_steps,
        "auditor_lr": config.auditor_lr,
        "lr": config.lr,
    }


def check_equal_work(ask: Ask, batch_size: int = 64, iterations: int = 8) -> float:
    """Largest relative difference of worst cases, lambda and loss of some steps, from the same weights and noise.

    In double precision: Adam divides by the size of the gradient, so that rounding would decide where a coordinate
    whose gradient is all but 0 goes.
    """
    data, directions = made_up_rows()
    config = replace(CONFIG, batch_size=batch_size, iterations=iterations)
    weights: list[Any] = []
    noises, worst = [], []

    def recorded(network: Classifier, x: torch.Tensor, noise: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
        found = worst_cases(network, x, noise, *rest, **options)
        weights.append(weights_of(network))
        noises.append(noise[0].mT.tolist())
        worst.append(found[0].mT.numpy())
        return found

    metric = FairMetric.subspace(directions).double()
    metric.directions = torch.as_tensor(orthonormal_directions(directions))  # which a metric holds in single precision
    with mock.patch.object(training, "worst_cases", recorded):
        fitted = train(data, config, [0], metric, dtype=torch.float64)
    order = training._next_rows(0, data.y[0], CLASSES, config)
    batches = [next(order).tolist() for _ in range(iterations)]
    theirs = ask("check", batches=batches, noises=noises, weights=weights[0], rho=config.rho, **settings_of(config))
    loss, _, dual = fitted.history[:, :, 0].T
    pairs = ((worst, theirs["worst"]), (dual, theirs["dual"]), (loss, theirs["loss"]))
    differences = [relative_difference(np.array(own), np.array(other)) for own, other in pairs]
    if not max(differences) < TOLERANCE:
        said = ", ".join(
            f"{what} {d:.1e}" for what, d in zip(("worst cases", "lambda", "loss"), differences, strict=True)
        )
        raise SystemExit(f"the peer does other work than ours; relative differences: {said}")
    return max(differences)


def relative_difference(own: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The largest, in units of the largest value or of 1."""
    return float(np.max(np.abs(own - other)) / max(1.0, float(np.max(np.abs(own)))))


# ------------------------------------------------------- measuring


def seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(
    name: str,
    unit: str,
    note: str,
    ours: Callable[[], Any],
    peer: Callable[[], dict[str, Any]],
    scales: tuple[float, float],
    rounds: int,
) -> Row:
    """Alternate ours and the peer; CPU seconds are multiplied by `scales` to the row's unit."""
    ours()
    pairs = [(seconds(ours) * scales[0], peer()["seconds"] * scales[1]) for _ in range(rounds)]
    ratios = [theirs / own for own, theirs in pairs]
    return Row(
        name,
        statistics.median(own for own, _ in pairs),
        statistics.median(theirs for _, theirs in pairs),
        unit,
        statistics.median(ratios),
        f"{note}; ratio {min(ratios):.2g} to {max(ratios):.2g} in {rounds} rounds",
    )


def steps(ask: Ask, models: int, batch_size: int, ours: int, peer: int, rounds: int) -> Row:
    """Milliseconds of a training step of a model."""
    data, directions = made_up_rows()
    metric = FairMetric.subspace(directions)
    config = replace(CONFIG, batch_size=batch_size, iterations=ours)
    rhos = [config.rho] if models == 1 else np.geomspace(0.1, 100, models).tolist()
    settings = settings_of(config)
    return compare(
        f"{'one model' if models == 1 else f'front of {models} models'}, batches of {batch_size}",
        "ms",
        "a step of a model, "
        + ("" if models == 1 else "ours: one batched program of models of different rho, peer: one after another, ")
        + f"20 auditor steps, one thread; over {ours} steps of ours and {peer} of the peer",
        lambda: train(data, config, [0] * models, metric, rho=rhos),
        lambda: ask("train", rhos=rhos, iterations=peer, batch_size=batch_size, **settings),
        (1e3 / ours / models, 1e3 / peer / models),
        rounds,
    )


def audit(ask: Ask, audit_steps: int, rounds: int) -> Row:
    """Seconds of the loss ratio of a trained network."""
    data, directions = made_up_rows()
    metric = FairMetric.subspace(directions)
    network = train(data, replace(CONFIG, batch_size=64, iterations=50), [0], metric).network
    x, y = data.x[0, :AUDITED], data.y[0, :AUDITED]
    settings = AuditSettings(steps=audit_steps)
    found = loss_ratio(network, x, y, metric, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    noise = (2 * torch.rand(1, FEATURES, AUDITED, generator=generator) - 1)[0].mT * settings.noise
    request = {
        "rows": AUDITED,
        "hidden": CONFIG.hidden,
        "weights": weights_of(network),
        "steps": audit_steps,
        "lr": settings.lr,
        "dual": settings.dual,
    }
    theirs = ask("audit", noise=noise.tolist(), **request)["mean"]
    difference = abs(theirs / found.mean - 1)
    if not difference < TOLERANCE:
        raise SystemExit(f"the peer audits otherwise than ours: mean loss ratios {found.mean:.6g} and {theirs:.6g}")
    return compare(
        f"audit of {AUDITED} rows, {audit_steps} steps",
        "s",
        "worst-case loss ratio of one model, one thread; the peer's learning rate is times the number of rows, since "
        f"its gradient is that of a mean; from the same noise the mean ratios differ by {difference:.0e}",
        lambda: loss_ratio(network, x, y, metric, settings),
        lambda: ask("audit", **request),
        (1.0, 1.0),
        rounds,
    )


def floor(batch_size: int, rounds: int) -> Row:
    """Which share of an auditor step its matrix products are."""
    data, directions = made_up_rows()
    network = CONFIG.network(1, FEATURES, CLASSES).requires_grad_(False)
    network.initialise([0])
    x = torch.as_tensor(data.x[:, :batch_size]).mT.contiguous()
    noise = torch.empty_like(x).uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(0))
    gradient = invariance_gradient(network(x.mT).mT)
    distances, dual = Distances.of([FairMetric.subspace(directions)], x), torch.ones(1)
    # without operators' dispatch in between: 2-d products into memory at hand
    (first, last), a = (layer.weight[0] for layer in network.linear()), distances.directions[0]
    wide, logits, inside = (torch.empty(size, batch_size) for size in (first.shape[1], CLASSES, a.shape[0]))
    narrow = torch.empty_like(x[0])

    def products(repeats: int) -> None:
        for _ in range(repeats):
            torch.mm(first.mT, x[0], out=wide)
            torch.mm(last.mT, wide, out=logits)
            torch.mm(last, logits, out=wide)
            torch.mm(first, wide, out=narrow)
            torch.mm(a, x[0], out=inside)
            torch.mm(a.mT, inside, out=narrow)

    def attack(repeats: int) -> None:
        for _ in range(repeats // CONFIG.auditor_steps):
            worst_cases(
                network,
                x,
                noise,
                dual,
                distances,
                gradient,
                steps=CONFIG.auditor_steps,
                learning_rate=CONFIG.auditor_lr,
            )

    repeats = 25 * CONFIG.auditor_steps
    products(repeats)
    attack(repeats)
    pairs = [(seconds(lambda: products(repeats)), seconds(lambda: attack(repeats))) for _ in range(rounds)]
    least, whole = (1e6 / repeats * statistics.median(part) for part in zip(*pairs, strict=True))
    return Row(
        f"floor of an auditor step, batches of {batch_size}",
        statistics.median(part / all_ for part, all_ in pairs),
        None,
        "share",
        None,
        f"time of its six matrix products alone, {least:.0f} us, over the measured time of an auditor step of one "
        f"model, {whole:.0f} us; the rest is elementwise work and calls; 1 would be the floor",
    )


# ------------------------------------------------------- the table


def main() -> None:
    arguments = parse_arguments("SenSeI against inFairness, on the same work.")
    warnings.simplefilter("ignore")
    set_threads(1)
    data, directions = made_up_rows()
    sizes = (64,) if arguments.quick else (64, 500)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.npz"
        np.savez(file, x=data.x[0], y=data.y[0], directions=directions)
        with Peer("sensei", file) as ask:
            difference = max(check_equal_work(ask, size) for size in sizes)
            agreement = f"worst cases, lambda and loss of 8 steps from one start agree to {difference:.0e}"
            ask("train", rhos=[1.0], iterations=20, batch_size=64, **settings_of(CONFIG))
            if arguments.quick:
                rows = [steps(ask, 1, 64, 100, 50, 3), steps(ask, FRONT, 64, 20, 10, 3)]
            else:
                rows = [steps(ask, 1, 64, 300, 100, 7), steps(ask, FRONT, 64, 50, 10, 5)]
                rows += [steps(ask, 1, 500, 100, 50, 7), steps(ask, FRONT, 500, 20, 5, 5)]
            for row in rows:
                row.note += f"; {agreement}"
            rows.append(audit(ask, 50 if arguments.quick else 500, 3))
    rows += [floor(size, 5) for size in sizes]
    print_rows(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
