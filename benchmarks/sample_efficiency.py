"""Sample efficiency against a careful PyTorch script, on the same work.

    python benchmarks/sample_efficiency.py [--quick] [--json]

Prints rows `name, ours, peer, unit, ratio, note`; a ratio above 1 means that ours is better. No implementation of the
paper is known; the peer is what a careful person would write: a loop over (D, n, seed, learning rate) that trains each
net alone by autograd, with all rows in every step, on a full grid of sizes.

*Nets*: the same trainings, from the same weights on the same points, in one batch with gradients by hand and one after
another by autograd. In double precision both must end with the same outputs, or the benchmark stops. Ours without
numba, in torch alone, stands in the note.
*Study*: n* of both nets over the dimensions. The peer's loop is measured by a few steps of each kind of training and
scaled; where it is small enough it runs whole, and its n* is set against ours.
*Kernel study*: conjugate gradients on D x D matrices against explicit features, a Gram matrix and a Cholesky factor
of every size.
*Equivariance table*: every algorithm of the zoo under every group; there is no peer.

Measurements alternate between ours and the peer; a value is a median. Nets are CPU seconds of one thread, so that
other work on the machine disturbs them less; the others are wall seconds.
"""

import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from numpy.typing import DTypeLike, NDArray
from rows import Row, parse_arguments, print_rows
from scipy import linalg
from torch import Tensor, nn
from torch.nn.functional import softplus

from rostra.engine.runtime import cores, set_threads
from rostra.methods.sample_efficiency import training
from rostra.methods.sample_efficiency.complexity import crossing, grid_size, sample_complexity
from rostra.methods.sample_efficiency.equivariance import symmetry_report
from rostra.methods.sample_efficiency.kernels import traceless_features
from rostra.methods.sample_efficiency.learners import TEST_POINTS, FCLearner, as_learner
from rostra.methods.sample_efficiency.model import FCEnsemble, plain_network
from rostra.methods.sample_efficiency.tasks import halves
from rostra.methods.sample_efficiency.training import FCConfig, train_fc
from rostra.methods.sample_efficiency.zoo import ALGORITHMS, GROUPS_OF_TABLE, zoo_data

WIDTH = 4
"""Hidden width over D."""
STEPS, CHECKPOINTS, TARGET = 400, 10, 0.9
SIZES = 10
"""Of the peer's grid of a D."""
TITLES = {"quadratic": "quadratic nets", "relu": "ReLU nets"}
LEARNER_OF = {"quadratic": "fc", "relu": "fc-relu"}
TOLERANCE, TOLERANCE_N_STAR = 1e-8, 0.03
Clip = Callable[[nn.Module], Any]


def learner_of(activation: str) -> FCLearner:
    """Ours, as the command line takes it."""
    found = as_learner(LEARNER_OF[activation])
    assert isinstance(found, FCLearner)
    return found


def points(dimension: int, n: int, seeds: int, dtype: DTypeLike = np.float32) -> tuple[Tensor, Tensor]:
    """Points (S, n, D) and labels (S, n)."""
    drawn = [halves(dimension).sample(n, seed, dtype=dtype) for seed in range(seeds)]
    x = torch.as_tensor(np.stack([x for x, _ in drawn]))
    return x, torch.as_tensor(np.stack([y for _, y in drawn])).to(x)


def fresh(dimension: int, activation: str, copies: tuple[int, int], like: Tensor) -> FCEnsemble:
    """Nets at their start, N(0, 1 / D) and N(0, 1 / width); set s from seed s."""
    ensemble = FCEnsemble(copies, dimension, (WIDTH * dimension,), activation).to(like)
    ensemble.initialise(range(copies[1]), "gaussian")
    return ensemble


def alone(ensemble: FCEnsemble) -> list[nn.Module]:
    """The same nets as ordinary modules, copy after copy."""
    return [plain_network(ensemble, copy) for copy in range(ensemble.copies[0] * ensemble.copies[1])]


# ------------------------------------------------------- the peer's trainings


def clip(module: nn.Module) -> None:
    nn.utils.clip_grad_norm_(module.parameters(), 1.0)


def clip_exactly(module: nn.Module) -> None:
    """Without the 1e-6 that torch adds to the norm."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    for gradient in gradients:
        gradient.mul_((1 / norm).clamp(max=1.0))


def accuracy(module: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float(((module(x)[:, 0] >= 0) == (y > 0)).double().mean())


def train_alone(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    lr: float,
    steps: int,
    test: tuple[Tensor, Tensor] | None = None,
    clipped: Clip = clip,
) -> list[float]:
    """Gradient descent with momentum by autograd; accuracies on the test points at ten checkpoints."""
    optimizer = torch.optim.SGD(module.parameters(), lr=lr, momentum=0.9)
    found = []
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        torch.autograd.backward(softplus(-y * module(x)[:, 0]).mean())
        clipped(module)
        optimizer.step()
        if test is not None and step % (steps // CHECKPOINTS) == 0:
            found.append(accuracy(module, *test))
    return found


def train_each(modules: Sequence[nn.Module], x: Tensor, y: Tensor, rates: Sequence[float], **options: Any) -> None:
    """Every learning rate and every set, one after another."""
    cells = [(rate, s) for rate in rates for s in range(len(x))]
    for module, (rate, s) in zip(modules, cells, strict=True):
        train_alone(module, x[s], y[s], rate, **options)


# ------------------------------------------------------- measuring


def seconds(work: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    work()
    return clock() - start


def cpu_seconds(work: Callable[[], Any]) -> float:
    return seconds(work, time.process_time)


def product_rate(size: int = 512, repeats: int = 10) -> float:
    """FLOPs in a CPU second of plain square products in single precision."""
    a, b, out = torch.randn(size, size), torch.randn(size, size), torch.empty(size, size)
    torch.mm(a, b, out=out)
    return 2 * size**3 * repeats / cpu_seconds(lambda: [torch.mm(a, b, out=out) for _ in range(repeats)])


def listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


# ------------------------------------------------------- trainings of nets


def size_near(n: float) -> int:
    return grid_size(round(2 * np.log2(n)))


def check_equal_trainings(activation: str, dimension: int, n: int, steps: int = 20) -> float:
    """Largest relative difference of the outputs in double precision.

    The peer clips exactly here: high learning rates let a difference grow a thousandfold and more in these steps, and
    the 1e-6 that torch adds to the norm is one.
    """
    rates = learner_of(activation).learning_rates
    x, y = points(dimension, n, 2, np.float64)
    copies = (len(rates), 2)
    config = FCConfig((WIDTH * dimension,), activation, steps=steps, checkpoints=1, stop_loss=0.0)
    run = train_fc(x, y, config, range(2), rates, ensemble=fresh(dimension, activation, copies, x))
    modules = alone(fresh(dimension, activation, copies, x))
    train_each(modules, x, y, rates, steps=steps, clipped=clip_exactly)
    with torch.no_grad():
        own, theirs = (
            torch.stack([module(x[i % 2])[:, 0] for i, module in enumerate(nets)])
            for nets in (alone(run.ensemble), modules)
        )
    difference = float(((own - theirs).abs().amax(-1) / theirs.abs().amax(-1)).max())
    if not difference < TOLERANCE:
        raise SystemExit(
            f"the peer trains otherwise than ours: outputs of {TITLES[activation]}, D = {dimension}, differ by "
            f"{difference:.1e} after {steps} steps in float64"
        )
    return difference


def no_loops(device: torch.device) -> None:
    """In place of compiled ones."""


def trainings(activation: str, dimension: int, seeds: int, steps: int, rounds: int) -> Row:
    """Milliseconds of a step of one net: all in one batch, and one after another."""
    n = size_near(4 * dimension**2)
    difference = check_equal_trainings(activation, dimension, n)
    rates = learner_of(activation).learning_rates
    x, y = points(dimension, n, seeds)
    copies = (len(rates), seeds)
    config = FCConfig((WIDTH * dimension,), activation, steps=steps, checkpoints=1, stop_loss=0.0)

    def ours(config: FCConfig = config) -> float:
        ensemble = fresh(dimension, activation, copies, x)
        return cpu_seconds(lambda: train_fc(x, y, config, range(seeds), rates, ensemble=ensemble))

    def peer() -> float:
        modules = alone(fresh(dimension, activation, copies, x))
        return cpu_seconds(lambda: train_each(modules, x, y, rates, steps=steps))

    def ours_in_torch() -> float:
        with mock.patch.object(training, "compiled_loops", no_loops):
            return ours()

    ours()
    found = [(ours(), peer(), ours_in_torch(), product_rate()) for _ in range(rounds)]
    own, theirs, in_torch, product_rates = zip(*found, strict=True)
    ratios = [peer / ours for ours, peer in zip(own, theirs, strict=True)]
    scale = 1e3 / (steps * seeds * len(rates))
    note = (
        f"CPU time of a step of a net, one thread; n = {n}, {seeds} seeds x {len(rates)} learning rates, {steps} "
        f"steps; ratio {min(ratios):.2g} to {max(ratios):.2g} in {rounds} rounds"
    )
    if activation == "relu":
        flops = 4 * n * dimension * WIDTH * dimension
        share = statistics.median(flops / r / (o * scale / 1e3) for o, r in zip(own, product_rates, strict=True))
        note += (
            f"; share of the floor {share:.2f}: 4 n D m FLOPs at the measured "
            f"{statistics.median(product_rates) / 1e9:.0f} GFLOP/s of plain products, over our time"
        )
    if importlib.util.find_spec("numba"):
        ratio = statistics.median(peer / ours for ours, peer in zip(in_torch, theirs, strict=True))
        note += f"; without numba {statistics.median(in_torch) * scale:.3g} ms (ratio {ratio:.2g})"
    else:
        note += "; numba is missing"
    note += f"; outputs after 20 steps in float64, clipped exactly, agree to {difference:.0e}"
    medians = [statistics.median(part) * scale for part in (own, theirs)]
    return Row(f"{TITLES[activation]}, D = {dimension}", *medians, "ms", statistics.median(ratios), note)


# ------------------------------------------------------- the study of n*


def grid(dimension: int) -> list[int]:
    """The sizes of a careful person: ten of ours from about D^2 / 2, sqrt(2) apart."""
    first = round(2 * np.log2(dimension**2 / 2))
    return [grid_size(index) for index in range(first, first + SIZES)]


def test_points(dimension: int, seed: int) -> tuple[Tensor, Tensor]:
    x, y = halves(dimension).test_set(TEST_POINTS, seed)
    return torch.as_tensor(x), torch.as_tensor(y)


def peer_n_star(dimension: int, seeds: int) -> float:
    """The loop, whole, for quadratic nets: the best of learning rates and checkpoints, the mean over seeds."""
    sizes = grid(dimension)
    scores = np.zeros((seeds, len(sizes)))
    modules = alone(fresh(dimension, "quadratic", (1, seeds), torch.zeros(1)))
    start = [{name: value.clone() for name, value in module.state_dict().items()} for module in modules]
    x, y = points(dimension, sizes[-1], seeds)
    for seed, module in enumerate(modules):
        test = test_points(dimension, seed)
        for column, n in enumerate(sizes):
            for rate in learner_of("quadratic").learning_rates:
                module.load_state_dict(start[seed])
                found = train_alone(module, x[seed, :n], y[seed, :n], rate, STEPS, test)
                scores[seed, column] = max(scores[seed, column], *found)
    return crossing(sizes, scores.mean(0), TARGET)[0]


def compare_n_star(dimension: int, seeds: int) -> str:
    """n* of quadratic nets by the whole loop and by ours, adaptive and on the loop's grid, in words."""
    learner = learner_of("quadratic")
    theirs = peer_n_star(dimension, seeds)
    own = float(sample_complexity("halves", learner, [dimension], seeds=seeds).n_star["n_star"].iloc[0])
    found = f"n* of quadratic nets at D = {dimension}, {seeds} seeds: {own:.4g}, by the loop run whole {theirs:.4g}"
    if abs(own / theirs - 1) < TOLERANCE_N_STAR:
        return f"{found} ({own / theirs - 1:+.1%})"
    means = [np.mean([p.score for p in learner.measure(halves(dimension), n, range(seeds))]) for n in grid(dimension)]
    on_grid = crossing(grid(dimension), np.array(means), TARGET)[0]
    return f"{found}: THEY DIFFER by {own / theirs - 1:+.1%}; ours on the loop's own sizes {on_grid:.4g}"


def loop_seconds(dimension: int, activation: str, steps: int) -> tuple[float, float]:
    """Of one seed and learning rate on the whole grid, scaled to all steps: the steps', and the tests'."""
    sizes = grid(dimension)
    x, y = points(dimension, sizes[-1], 1)
    rate = learner_of(activation).learning_rates[0]
    module = alone(fresh(dimension, activation, (1, 1), x))[0]
    training = 0.0
    for n in sizes:
        own_x, own_y = x[0, :n].clone(), y[0, :n].clone()
        train_alone(module, own_x, own_y, rate, 2)
        training += seconds(lambda: train_alone(module, own_x, own_y, rate, steps)) * STEPS / steps  # noqa: B023
    test = test_points(dimension, 0)
    accuracy(module, *test)
    testing = seconds(lambda: [accuracy(module, *test) for _ in range(3)]) / 3
    return training, testing * CHECKPOINTS * len(sizes)


def study(dimensions: Sequence[int], seeds: int, steps: int, rounds: int, checked: Sequence[int]) -> Row:
    """n* of both nets: ours adaptive on all cores; the loop over the whole grid on one."""
    agreements = [compare_n_star(dimension, 3) for dimension in checked]
    count = min(cores(), len(dimensions))
    exponents: list[str] = []
    trained: list[pd.DataFrame] = []

    def ours(activation: str, pool: ProcessPoolExecutor) -> None:
        name = LEARNER_OF[activation]
        found = sample_complexity("halves", learner_of(activation), dimensions, seeds=seeds, executor=pool, name=name)
        exponents.append(f"{found.exponent:.2f} ({TITLES[activation]})")
        trained.append(found.curves)

    def loop() -> tuple[float, float]:
        cells = [loop_seconds(dimension, activation, steps) for activation in TITLES for dimension in dimensions]
        return sum(training for training, _ in cells), sum(testing for _, testing in cells)

    loops, own = [loop()], 0.0
    with ProcessPoolExecutor(count, get_context("spawn"), initializer=set_threads, initargs=(1,)) as pool:
        list(pool.map(time.sleep, [0.5] * count))  # all processes are up
        for activation in TITLES:
            own += seconds(lambda: ours(activation, pool))  # noqa: B023
            loops += [loop() for _ in range(rounds)]
    rates = len(learner_of("quadratic").learning_rates)
    totals = [(training + testing) * seeds * rates for training, testing in loops]
    theirs = statistics.median(totals)
    testing_share = statistics.median(testing / (training + testing) for training, testing in loops)
    nets = sum(len(curves) for curves in trained) * rates
    all_nets = len(TITLES) * len(dimensions) * SIZES * seeds * rates
    note = (
        f"wall time; D = {listed(dimensions)}, {seeds} seeds x {rates} learning rates, both activations; ours: "
        f"adaptive sizes, {nets} nets, {count} processes of one thread (their start is not counted); {count} cores "
        f"count for ours, the ratio per core is {theirs / own / count:.2g}; peer: {SIZES} sizes of each D, "
        f"{all_nets} nets, one process, {steps} steps of one seed and rate of each size measured {len(loops)} times "
        f"before, between and after our two studies ({min(totals):.4g} to {max(totals):.4g} s) and scaled to {STEPS} "
        f"steps, tests included ({testing_share:.0%}); beta {'; '.join([', '.join(exponents), *agreements])}"
    )
    return Row("S1 study", own, theirs, "s", theirs / own, note)


# ------------------------------------------------------- the kernel study


def by_features(dimension: int, seed: int, sizes: Sequence[int], dtype: DTypeLike) -> Iterator[float]:
    """Test accuracy of every size: features, the smaller Gram matrix, its Cholesky factor.

    That of features grows by the rows that are new; up to as many rows as features that of rows is taken.
    """
    x, y = halves(dimension).sample(sizes[-1], seed)
    test_x, test_y = halves(dimension).test_set(TEST_POINTS, seed)
    features, test = traceless_features(x).astype(dtype), traceless_features(test_x).astype(dtype)
    labels = y.astype(dtype)
    count, ridge = features.shape[1], dimension**2
    gram, right, seen = np.zeros((count, count), dtype), np.zeros(count, dtype), 0
    for n in sizes:
        if n <= count:
            kernel = features[:n] @ features[:n].T
            kernel[np.diag_indices(n)] += ridge
            weights = features[:n].T @ solved(kernel, labels[:n])
        else:
            new = features[seen:n]
            gram += new.T @ new
            right += new.T @ labels[seen:n]
            seen = n
            ridged = gram.copy()
            ridged[np.diag_indices(count)] += ridge
            weights = solved(ridged, right)
        yield float(((test @ weights >= 0) == (test_y > 0)).mean())


def solved(matrix: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    factor = linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    found: NDArray[Any] = linalg.cho_solve(factor, right, check_finite=False)
    return found


def features_seconds(
    dimension: int, seeds: int, sizes: Sequence[int], curves: pd.DataFrame
) -> tuple[float, str, float]:
    """Seconds of a seed with explicit features, in the faster precision; its name; the largest difference of scores."""
    times: dict[str, list[float]] = {"float64": [], "float32": []}
    worst = 0.0
    for seed in range(seeds):
        own = curves[curves["seed"] == seed].sort_values("n")["score"].to_numpy()
        for kind, taken in times.items():
            start = time.perf_counter()
            found = list(by_features(dimension, seed, sizes, np.dtype(kind)))
            taken.append(time.perf_counter() - start)
            worst = max(worst, float(np.abs(own - found).max()))
    medians = {kind: statistics.median(taken) for kind, taken in times.items()}
    best = min(medians, key=lambda kind: medians[kind])
    return medians[best], best, worst


def kernel_study(dimensions: Sequence[int], seeds: int, rounds: int) -> Row:
    """Wall seconds of the kernel's study, and of explicit features on the sizes that it took."""
    pairs: list[tuple[float, float]] = []
    worst, parts = 0.0, list[str]()
    for _ in range(rounds):
        start = time.perf_counter()
        curves = sample_complexity("halves", as_learner("kernel"), dimensions, seeds=seeds).curves
        own, theirs, parts = time.perf_counter() - start, 0.0, []
        for dimension in dimensions:
            part = curves[curves["D"] == dimension]
            sizes = sorted(int(n) for n in part["n"].unique())
            measured = min(seeds, 3) if dimension < 64 else 1
            one, kind, difference = features_seconds(dimension, measured, sizes, part)
            theirs += one * seeds
            worst = max(worst, difference)
            parts.append(f"{one * seeds:.3g} s at D = {dimension} ({kind}, {measured} of {seeds} seeds measured)")
        pairs.append((own, theirs))
    ratios = [theirs / own for own, theirs in pairs]
    note = (
        f"wall time, one thread; D = {listed(dimensions)}, {seeds} seeds; peer: explicit features, Gram matrices and "
        f"Cholesky factors on the same sizes, tests included, the faster of float64 and float32: {', '.join(parts)}; "
        f"ratio {min(ratios):.2g} to {max(ratios):.2g} in {rounds} rounds; test accuracies differ by at most "
        f"{worst:.1g}"
    )
    own, theirs = (statistics.median(part) for part in zip(*pairs, strict=True))
    return Row(f"kernel study to D = {max(dimensions)}", own, theirs, "s", statistics.median(ratios), note)


# ------------------------------------------------------- the table of symmetries


def table_of_symmetries(rounds: int) -> Row:
    """Wall seconds of every algorithm of the zoo under every group."""
    data = zoo_data()[:3]
    wrong: set[str] = set()

    def whole() -> None:
        for name, row in ALGORITHMS.items():
            for group, check in symmetry_report(row.algorithm, data, GROUPS_OF_TABLE).items():
                if check.passed != (group in row.equivariant):
                    wrong.add(f"{name} under {group}")

    own = [seconds(whole) for _ in range(rounds)]
    note = (
        f"wall time, one thread; {len(ALGORITHMS)} algorithms under {len(GROUPS_OF_TABLE)} groups, coupled; "
        f"{rounds} round(s); "
    )
    note += f"UNLIKE THEORY: {', '.join(sorted(wrong))}" if wrong else "all cells as theory has them"
    return Row("equivariance table", statistics.median(own), None, "s", None, note)


# ------------------------------------------------------- the rows


def main() -> None:
    arguments = parse_arguments("Sample efficiency against a careful PyTorch script, on the same work.")
    warnings.simplefilter("ignore")
    set_threads(1)
    seeds, steps, rounds = (2, 10, 2) if arguments.quick else (5, 40, 5)
    dimensions = (8, 16, 32) if arguments.quick else (8, 16, 32, 48)
    rows = [trainings(name, dimension, seeds, steps, rounds) for name in TITLES for dimension in dimensions]
    if arguments.quick:
        rows.append(study((8, 12, 16), 2, 5, 1, ()))
        rows.append(kernel_study((8, 16, 32), 3, 1))
        rows.append(table_of_symmetries(1))
    else:
        rows.append(study((8, 12, 16, 24, 32, 48), 10, 10, 1, (8, 16)))
        rows.append(kernel_study((8, 16, 32, 64), 10, 3))
        rows.append(table_of_symmetries(3))
    print_rows(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
