"""Sample efficiency against a careful PyTorch script, on the same work.

    python benchmarks/sample_efficiency.py [--quick] [--json]

Prints rows `name, ours, peer, unit, ratio, note`; a ratio above 1 means that ours is better. No implementation of the
paper is known; what a user would write is a loop over (D, n, seed, learning rate) that trains each net by autograd.
Both sides train from the same weights on the same points, and must end with the same weights, or the benchmark stops.
Measurements alternate; a value is a median. Trainings are CPU seconds of one thread, studies are wall seconds.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rows import Row, parse_arguments, print_rows
from torch import Tensor, nn
from torch.nn.functional import softplus

from rostra.engine.runtime import cores, set_threads
from rostra.methods.sample_efficiency.complexity import crossing, grid_size, sample_complexity
from rostra.methods.sample_efficiency.equivariance import symmetry_report
from rostra.methods.sample_efficiency.kernels import traceless_features
from rostra.methods.sample_efficiency.learners import FCLearner, KernelLearner
from rostra.methods.sample_efficiency.model import FCEnsemble, plain_network
from rostra.methods.sample_efficiency.tasks import halves
from rostra.methods.sample_efficiency.training import FCConfig, train_fc
from rostra.methods.sample_efficiency.zoo import ALGORITHMS, GROUPS_OF_TABLE, zoo_data

RATES = {"quadratic": (0.03, 0.1, 0.3), "relu": (0.1, 0.3, 1.0)}
STEPS, CHECKPOINTS, TEST_POINTS, TARGET = 400, 10, 10_000, 0.9
GRID = 10
"""Sizes of the peer's grid for each D: every step of sqrt(2) from about D^2 / 2 to 11 D^2."""


def points(dimension: int, n: int, seeds: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Points (S, n, D) and labels (S, n)."""
    drawn = [halves(dimension).sample(n, seed, dtype=np.float64) for seed in range(seeds)]
    x, y = (torch.as_tensor(np.stack(part)).to(dtype) for part in zip(*drawn, strict=True))
    return x, y


def train_alone(module: nn.Module, x: Tensor, y: Tensor, lr: float, steps: int, test: Any = None) -> list[float]:
    """The peer: gradient descent with momentum by autograd; test accuracies at ten checkpoints."""
    optimizer = torch.optim.SGD(module.parameters(), lr=lr, momentum=0.9)
    found = []
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss = softplus(-y * module(x)[:, 0]).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        if test is not None and step % (steps // CHECKPOINTS) == 0:
            with torch.no_grad():
                found.append(float(((module(test[0])[:, 0] >= 0) == (test[1] > 0)).double().mean()))
    return found


def fresh_net(dimension: int, activation: str, seed: int, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The net that ours starts from at this seed."""
    ensemble = FCEnsemble((1, 1), dimension, (4 * dimension,), activation).to(dtype)
    ensemble.initialise([seed], "gaussian")
    return plain_network(ensemble, 0)


def seconds(work: Callable[[], Any], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def difference_of_trainings(activation: str) -> float:
    """Largest relative difference of outputs after 20 steps in double precision."""
    x, y = points(8, 256, 2, torch.float64)
    config = FCConfig(hidden=(32,), activation=activation, steps=20, checkpoints=1)
    run = train_fc(x, y, config, [0, 1], RATES[activation])
    worst = 0.0
    for number, rate in enumerate(RATES[activation]):
        for seed in (0, 1):
            module = fresh_net(8, activation, seed, torch.float64)
            train_alone(module, x[seed], y[seed], rate, 20)
            with torch.no_grad():
                own, other = plain_network(run.ensemble, 2 * number + seed)(x[seed]), module(x[seed])
            worst = max(worst, float((own - other).abs().max() / other.abs().max()))
    if not worst < 1e-5:  # torch's clipping adds 1e-6 to the norm
        raise SystemExit(f"the peer trains otherwise than ours: outputs of {activation} nets differ by {worst:.1e}")
    return worst


def trainings(activation: str, dimension: int, seeds: int, steps: int, rounds: int, difference: float) -> Row:
    """The same trainings in one batch and one by one."""
    n = grid_size(round(2 * np.log2(4 * dimension**2)))
    x, y = points(dimension, n, seeds)
    config = FCConfig(hidden=(4 * dimension,), activation=activation, steps=steps, checkpoints=1, stop_loss=0.0)
    rates = RATES[activation]

    def ours() -> None:
        train_fc(x, y, config, range(seeds), rates)

    def peer() -> None:
        for rate in rates:
            train_alone(fresh_net(dimension, activation, 0), x[0], y[0], rate, steps)

    ours()
    clock = time.process_time
    pairs = [(seconds(ours, clock) / seeds, seconds(peer, clock)) for _ in range(rounds)]
    ratios = [theirs / own for own, theirs in pairs]
    models = len(rates) * steps
    own, theirs = (1e3 / models * statistics.median(part) for part in zip(*pairs, strict=True))
    note = f"a step of a net, n = {n}, {seeds} seeds x {len(rates)} learning rates; "
    note += f"ratio {min(ratios):.2g} to {max(ratios):.2g}"
    if activation == "relu":
        flops = 4 * n * dimension * 4 * dimension
        note += f"; {flops / own / 1e6:.0f} GFLOP/s of a plain product's {matmul_rate():.0f}"
    note += f"; outputs of 20 steps in float64 agree to {difference:.0e}"
    return Row(f"{activation} nets, D = {dimension}", own, theirs, "ms", statistics.median(ratios), note)


def matmul_rate(size: int = 512) -> float:
    """GFLOP/s of a square product in single precision."""
    a, b, out = torch.randn(size, size), torch.randn(size, size), torch.empty(size, size)
    torch.mm(a, b, out=out)
    return 20 * 2 * size**3 / seconds(lambda: [torch.mm(a, b, out=out) for _ in range(20)], time.process_time) / 1e9


def learners() -> dict[str, FCLearner]:
    made = {name: FCLearner(FCConfig(activation=name), rates) for name, rates in RATES.items()}
    return {name: replace(learner, device="cpu") for name, learner in made.items()}


def grid(dimension: int) -> list[int]:
    first = round(2 * np.log2(dimension**2 / 2))
    return [grid_size(index) for index in range(first, first + GRID)]


def peer_n_star(dimension: int, seeds: int) -> float:
    """The peer's loop, whole, for the quadratic net: the best of learning rates and checkpoints, the mean of seeds."""
    sizes = grid(dimension)
    scores = np.zeros((seeds, len(sizes)))
    for seed in range(seeds):
        test = [torch.as_tensor(part) for part in halves(dimension).test_set(TEST_POINTS, seed)]
        for column, n in enumerate(sizes):
            x, y = (torch.as_tensor(part) for part in halves(dimension).sample(n, seed))
            found = [
                max(train_alone(fresh_net(dimension, "quadratic", seed), x, y.float(), rate, STEPS, test))
                for rate in RATES["quadratic"]
            ]
            scores[seed, column] = max(found)
    return crossing(sizes, scores.mean(0), TARGET)[0]


def study(dimensions: tuple[int, ...], seeds: int, steps: int) -> Row:
    """n* of both nets over dimensions: ours adaptive and on all cores, the peer's full grid by the loop."""
    checked = dimensions[0]
    theirs_n = peer_n_star(checked, 3)
    with ProcessPoolExecutor(cores(), get_context("spawn"), initializer=set_threads, initargs=(1,)) as pool:
        list(pool.map(abs, range(cores())))  # the processes are up
        found: dict[str, Any] = {}

        def ours() -> None:
            for name, learner in learners().items():
                found[name] = sample_complexity("halves", learner, dimensions, seeds=seeds, executor=pool, name=name)

        own = seconds(ours, time.perf_counter)
    ours_n = sample_complexity("halves", learners()["quadratic"], dimensions[:1] * 1, seeds=3).n_star["n_star"].iloc[0]
    one_step = 0.0
    for activation in RATES:
        for dimension in dimensions:
            for n in grid(dimension):
                x, y = points(dimension, n, 1)
                module = fresh_net(dimension, activation, 0)
                train_alone(module, x[0], y[0], 0.1, 2)
                one_step += seconds(lambda: train_alone(module, x[0], y[0], 0.1, steps), time.process_time) / steps  # noqa: B023
    theirs = one_step * STEPS * seeds * 3
    betas = ", ".join(
        f"beta {value.exponent:.2f} {name}" for name, value in found.items() if value.exponent is not None
    )
    note = (
        f"D = {', '.join(map(str, dimensions))}, {seeds} seeds, 3 learning rates, both activations; ours: adaptive "
        f"search, "
        f"{cores()} processes ({theirs / own / cores():.1f}x a core); peer: {GRID} sizes for each D, one process, "
        f"{steps} "
        f"steps of each training measured and scaled to {STEPS}, tests not counted; {betas}; the loop run whole at "
        f"D = {checked}, 3 seeds: n* {theirs_n:.1f}, ours {ours_n:.1f}"
    )
    if not abs(ours_n / theirs_n - 1) < 0.05:
        raise SystemExit(f"the peer finds another n* than ours at D = {checked}: {theirs_n:.1f} and {ours_n:.1f}")
    return Row("study of n*, both nets", own, theirs, "s", theirs / own, note)


def by_features(x: NDArray[Any], y: NDArray[Any], sizes: Sequence[int]) -> None:
    """The peer's kernel regressions: features, their Gram matrix, a linear system for each size."""
    features = traceless_features(x)
    for n in sizes:
        gram = features[:n].T @ features[:n]
        gram[np.diag_indices(len(gram))] += x.shape[1] ** 2
        np.linalg.solve(gram, features[:n].T @ y[:n])


def kernel_study(dimensions: tuple[int, ...], seeds: int) -> Row:
    """The kernel's study against features, Gram matrix and Cholesky factors on the same sizes."""
    found: list[Any] = []
    own = seconds(
        lambda: found.append(sample_complexity("halves", KernelLearner(), dimensions, seeds=seeds)), time.perf_counter
    )
    theirs = 0.0
    for dimension, part in found[0].curves.groupby("D"):
        x, y = halves(int(str(dimension))).sample(int(part["n"].max()), 0)

        sizes = sorted(part["n"].unique())
        theirs += seconds(lambda: by_features(x, y, sizes), time.perf_counter) * seeds  # noqa: B023
    note = (
        f"D = {', '.join(map(str, dimensions))}, {seeds} seeds, one thread; peer: features and normal equations on "
        f"the same "
        "sizes, one seed measured, tests not counted"
    )
    return Row(f"kernel study to D = {dimensions[-1]}", own, theirs, "s", theirs / own, note)


def table_of_symmetries() -> Row:
    """Every algorithm of the zoo under every group."""
    data = zoo_data()[:3]

    def whole() -> None:
        for algorithm in ALGORITHMS.values():
            symmetry_report(algorithm.algorithm, data, GROUPS_OF_TABLE)

    note = f"{len(ALGORITHMS)} algorithms under {len(GROUPS_OF_TABLE)} groups, coupled"
    return Row("equivariance table", seconds(whole, time.perf_counter), None, "s", None, note)


def main() -> None:
    import warnings

    arguments = parse_arguments("Sample efficiency against a careful PyTorch script.")
    warnings.simplefilter("ignore")
    set_threads(1)
    rows = []
    for activation in RATES:
        difference = difference_of_trainings(activation)
        for dimension in (8, 32) if arguments.quick else (8, 16, 32, 48):
            seeds, steps, rounds = (3, 10, 3) if arguments.quick else (5, 30, 5)
            rows.append(trainings(activation, dimension, seeds, steps, rounds, difference))
    if arguments.quick:
        rows += [study((8, 12), 2, 5), kernel_study((8, 16, 32), 3)]
    else:
        rows += [study((8, 12, 16, 24, 32, 48), 10, 10), kernel_study((8, 16, 32, 64), 10)]
    rows.append(table_of_symmetries())
    print_rows(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
