"""Curricula against the script that a careful person would write, on the same work.

    python benchmarks/curricula.py [--quick] [--json]

Prints rows `name, ours, peer, unit, ratio, note`; a ratio above 1 means that ours is better.

*Study*: orders x 180 pacing functions x seeds on scikit-learn's digits, an MLP, one epoch. The peer trains one
strategy after another by autograd, from the same weights, with a DataLoader over the same batches; a sample of its
trainings is measured, and scaled. In double precision both must end with the same outputs, or the benchmark stops.
*Step*: one step of the network that the claims train on MNIST, against the same script.
*Sampler*: time a batch at a million examples; there is no peer.
*Order*: class balance and validation split at 50,000 examples, against lists with membership tests, as the
authors' script does both.

Values are medians of rounds that alternate between the two; CPU seconds of one thread, so that other work on the
machine disturbs them less.
"""

import itertools
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rows import Row, parse_arguments, print_rows
from torch.utils.data import DataLoader, TensorDataset

from rostra.engine.claims import Context
from rostra.engine.runtime import set_threads
from rostra.methods.curricula.data import StudyData, load_data
from rostra.methods.curricula.ordering import ORDERS, balance_order, make_order, validation_split
from rostra.methods.curricula.pacing import FAMILIES, PAPER_A, PAPER_B, PacingFunction, prefix_sizes
from rostra.methods.curricula.sampler import CurriculumBatchSampler
from rostra.methods.curricula.training import Plan, StackedMLP, TrainingConfig, plan_batches, train_plans

HIDDEN, CLASSES, BATCH, EPOCHS = 64, 10, 32, 1
TOLERANCE = 1e-8


def cpu_seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


# ------------------------------------------------------- a study


def strategies(scores: NDArray[np.float64], y: NDArray[np.int64], seeds: int, config: TrainingConfig) -> list[Plan]:
    """Every order, pacing function and seed."""
    n = len(y)
    plans = []
    for root, (order, seed) in enumerate(itertools.product(ORDERS, range(seeds))):
        permutation = make_order(scores, order, y, seed)
        for family, a, b in itertools.product(FAMILIES, PAPER_A, PAPER_B):
            sizes = prefix_sizes(PacingFunction(family, a, b), config.total_steps, n, 2 * config.batch_size)
            plans.append(Plan(seed, permutation, sizes, root=root))
    return plans


def as_module(nets: StackedMLP, dtype: torch.dtype) -> torch.nn.Module:
    """The first copy as an ordinary module."""
    pieces = torch.split(nets.values[0], [rows * columns for rows, columns in nets.shapes])
    module = torch.nn.Sequential(
        torch.nn.Linear(nets.inputs, nets.hidden), torch.nn.ReLU(), torch.nn.Linear(nets.hidden, nets.classes)
    ).to(dtype)
    with torch.no_grad():
        for parameter, piece, shape in zip(module.parameters(), pieces, nets.shapes, strict=True):
            parameter.copy_(piece.view(shape).T.reshape(parameter.shape))
    return module


def train_by_script(
    module: torch.nn.Module, batches: Sequence[Any], data: TensorDataset, config: TrainingConfig
) -> None:
    optimizer = torch.optim.SGD(module.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay)
    loader = DataLoader(data, batch_sampler=[batch.tolist() for batch in batches])
    for step, (rows, labels) in enumerate(loader):
        optimizer.param_groups[0]["lr"] = config.learning_rates[step]
        optimizer.zero_grad()
        torch.autograd.backward(torch.nn.functional.cross_entropy(module(rows), labels))
        optimizer.step()


def check_equal_work(plans: Sequence[Plan], x: torch.Tensor, y: torch.Tensor, config: TrainingConfig) -> float:
    """Train plans both ways in double precision; the largest difference of their outputs."""
    doubles = train_plans(lambda seeds: fresh(seeds, x.double(), config), plans, x.double(), y[None], config)
    apart = 0.0
    for number, plan in enumerate(plans):
        module = as_module(fresh([plan.seed], x.double(), config), torch.float64)
        train_by_script(module, plan_batches(plan, config), TensorDataset(x.double(), y), config)
        place = doubles.copy_of[number]
        found = doubles.copies.logits(slice(place, place + 1), x.double())[0]
        apart = max(apart, float((module(x.double()) - found).abs().max().detach()))
    if apart > TOLERANCE:
        raise SystemExit(f"the two trainings differ by {apart:.1e}")
    return apart


def fresh(seeds: Sequence[int], x: torch.Tensor, config: TrainingConfig) -> StackedMLP:
    """New copies in the precision of x."""
    made = StackedMLP(seeds, x.shape[1], HIDDEN, CLASSES, config)
    made.values, made.velocities = made.values.to(x), made.velocities.to(x)
    return made


def digits() -> StudyData:
    return load_data({"set": "digits"}, Context("cpu", Path()))


def study(seeds: int, sample: int, rounds: int) -> Row:
    data_set = digits()
    x, y = data_set.x.flatten(1), torch.as_tensor(data_set.y)
    steps = EPOCHS * -(-len(y) // BATCH)
    config = TrainingConfig(steps, BATCH, 0.1, evaluations=1)
    scores = np.random.default_rng(0).random(len(y))
    plans = strategies(scores, data_set.y, seeds, config)
    chosen = [plans[i] for i in np.linspace(0, len(plans) - 1, sample).astype(int)]
    apart = check_equal_work(chosen[:5], x, y, config)
    data = TensorDataset(x, y)
    batches = [plan_batches(plan, config) for plan in chosen]
    own, theirs = [], []
    run = None
    for _ in range(rounds):
        start = time.process_time()
        run = train_plans(lambda seeds: fresh(seeds, x, config), plans, x, y[None], config)
        own.append(time.process_time() - start)
        modules = [as_module(fresh([plan.seed], x, config), torch.float32) for plan in chosen]
        seconds = cpu_seconds(
            lambda modules=modules: [
                train_by_script(module, b, data, config) for module, b in zip(modules, batches, strict=True)
            ]
        )
        theirs.append(seconds * len(plans) / len(chosen))
    assert run is not None
    ratios = sorted(t / o for o, t in zip(own, theirs, strict=True))
    note = (
        f"CPU time, one thread; {len(plans)} trainings of {steps} steps of {BATCH}; {run.steps / run.steps_apart:.0%} "
        f"of the steps are taken, the others are shared; peer measured on {len(chosen)} trainings and scaled; without "
        f"sharing the ratio would be {statistics.median(ratios) * run.steps / run.steps_apart:.1f}; ratio "
        f"{ratios[0]:.2g} to {ratios[-1]:.2g} in {rounds} rounds; outputs in float64 agree to {apart:.0e}"
    )
    return Row(
        "study of digits, one epoch",
        statistics.median(own),
        statistics.median(theirs),
        "s",
        statistics.median(ratios),
        note,
    )


def step(steps: int, rounds: int) -> Row:
    """A step of the claims' network of MNIST; the floor is its matrix products alone."""
    inputs, hidden, batch, n = 784, 128, 64, 5000
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(n, inputs, generator=generator), torch.randint(CLASSES, (n,), generator=generator)
    config = TrainingConfig(steps, batch, 0.1, evaluations=1)
    plan = Plan(0, np.arange(n), np.full(steps, n))
    rows, batches = x[:batch].contiguous(), plan_batches(plan, config)
    first, back, last = torch.randn(inputs, hidden), torch.randn(batch, hidden), torch.randn(hidden, CLASSES)
    out = torch.randn(batch, CLASSES)

    def products() -> None:
        """Two layers forward, two gradients of weights, one of the hidden layer."""
        for _ in range(steps):
            rows @ first, back @ last, rows.T @ back, back.T @ out, out @ last.T

    own, theirs, floor = [], [], []
    for _ in range(rounds):
        made = StackedMLP([0], inputs, hidden, CLASSES, config)
        module = as_module(made, torch.float32)
        own.append(cpu_seconds(lambda made=made: train_plans(lambda seeds: made, [plan], x, y[None], config)))
        theirs.append(cpu_seconds(lambda module=module: train_by_script(module, batches, TensorDataset(x, y), config)))
        floor.append(cpu_seconds(products))
    ratios = sorted(t / o for o, t in zip(own, theirs, strict=True))
    share = statistics.median(f / o for f, o in zip(floor, own, strict=True))
    note = (
        f"CPU time of a step, one thread; {inputs}-{hidden}-{CLASSES}, batch {batch}, one copy; share of the floor "
        f"{share:.2f}: plain matrix products of these sizes; ratio {ratios[0]:.2g} to {ratios[-1]:.2g} in {rounds} "
        "rounds"
    )
    ours, peer = (1e3 * statistics.median(found) / steps for found in (own, theirs))
    return Row("step of the MNIST network", ours, peer, "ms", statistics.median(ratios), note)


# ------------------------------------------------------- the sampler


def sampler(granularity: str, n: int, batches: int) -> Row:
    scores = np.random.default_rng(0).random(n)
    made = CurriculumBatchSampler(scores, 64, batches, PacingFunction("linear", 0.5, 0.2), granularity=granularity)
    seconds = cpu_seconds(lambda: [None for _ in made])
    note = f"CPU time of a batch of 64, n = {n:,}, {batches:,} steps, granularity {granularity}"
    return Row(f"sampler, {granularity}", 1e6 * seconds / batches, None, "us", None, note)


# ------------------------------------------------------- the order


def order_by_lists(ranking: list[int], labels: list[int]) -> tuple[list[int], list[int], list[int]]:
    """Class balance and a validation split by lists and membership tests."""
    classes = sorted(set(labels))
    validation: list[int] = []
    for name in classes:
        members = [i for i in range(len(labels)) if labels[i] == name]
        rng = np.random.default_rng(name)
        validation += rng.choice(members, len(members) // 10, replace=False).tolist()
    held_out = {name: [i for i in validation if labels[i] == name] for name in classes}
    training = [i for i in range(len(labels)) if i not in held_out[labels[i]]]
    queues: dict[int, list[int]] = {name: [] for name in classes}
    for example in ranking:
        queues[labels[example]].append(example)
    place = {example: rank for rank, example in enumerate(ranking)}
    balanced: list[int] = []
    for layer in range(max(map(len, queues.values()))):
        group = [queue[layer] for queue in queues.values() if layer < len(queue)]
        balanced += sorted(group, key=place.__getitem__)
    return balanced, training, validation


def ordering(n: int, rounds: int) -> Row:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 10, n), rng.random(n)
    ranking = np.argsort(scores, kind="stable")
    own, theirs = [], []
    for _ in range(rounds):
        own.append(cpu_seconds(lambda: (balance_order(ranking, labels), validation_split(labels))))
        theirs.append(cpu_seconds(lambda: order_by_lists(ranking.tolist(), labels.tolist())))
    if balance_order(ranking, labels).tolist() != order_by_lists(ranking.tolist(), labels.tolist())[0]:
        raise SystemExit("the two orders differ")
    ratios = sorted(t / o for o, t in zip(own, theirs, strict=True))
    note = (
        f"CPU time; n = {n:,}, 10 classes; the same order; ratio {ratios[0]:.3g} to {ratios[-1]:.3g} in {rounds} rounds"
    )
    return Row(
        "order with balance and validation split",
        1e3 * statistics.median(own),
        1e3 * statistics.median(theirs),
        "ms",
        statistics.median(ratios),
        note,
    )


def main() -> None:
    arguments = parse_arguments("Curricula against a careful script, on the same work.")
    warnings.simplefilter("ignore")
    set_threads(1)
    quick = arguments.quick
    rows = [
        study(1 if quick else 3, 20 if quick else 60, 1 if quick else 3),
        step(200 if quick else 1000, 1 if quick else 5),
        sampler("epoch", 1_000_000, 10_000 if quick else 50_000),
        sampler("step", 1_000_000, 10_000 if quick else 50_000),
        ordering(50_000, 1 if quick else 9),
    ]
    print_rows(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
