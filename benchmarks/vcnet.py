"""VCNet against the peers that a user would pick instead, on the same work.

    python benchmarks/vcnet.py [--quick] [--json]

Prints rows `name, ours, peer, unit, ratio, note`; a ratio above 1 means that ours is better. Peers:

- a plain loop in the manner of the authors' code: one fit after another, a DataLoader over single rows, index
  lists for the density, two forward passes an epoch with targeting, one pass a dose for the curve;
- EconML's CausalForestDML and causal-curve's GPS_Regressor, in an environment of their own that the first run
  builds from `peers/vcnet.txt` (about a minute, not part of the time that --quick allows).

Measurements alternate between ours and the peer; a value is a median. Rows on one core are CPU seconds of one
thread, so that other work on the machine disturbs them less; rows on two cores are wall time.
"""

import json
import multiprocessing
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peer_environment import PEERS, peer_python, plain_environment
from rows import Row, parse_arguments, print_rows
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from rostra.engine.runtime import set_threads
from rostra.methods.vcnet import VCNetRegressor, curves
from rostra.methods.vcnet.data import DoseResponseData, make_simulation
from rostra.methods.vcnet.training import FittedNetworks, TrainingData, VCNetConfig, preset, train

EPOCHS = 800
REFITS = 200
CORES = 2


# ------------------------------------------------------- the plain loop


class PlainRows(Dataset):
    def __init__(self, x: Tensor, t: Tensor, y: Tensor) -> None:
        self.x, self.t, self.y = x, t, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.x[row], self.t[row], self.y[row]


def plain_basis(t: Tensor, degree: int, knots: Sequence[float]) -> Tensor:
    columns = [t**power for power in range(degree + 1)]
    columns += [torch.relu(t - knot) ** degree for knot in knots]
    return torch.stack(columns, dim=1)


class PlainVaryingLinear(nn.Module):
    """Weights (inputs, outputs, basis): one matrix a basis function, then mixed row by row."""

    def __init__(self, inputs: int, outputs: int, config: VCNetConfig) -> None:
        super().__init__()
        self.degree, self.knots = config.degree, config.knots
        functions = config.degree + 1 + len(config.knots)
        self.weight = nn.Parameter(torch.randn(inputs, outputs, functions))
        self.bias = nn.Parameter(torch.zeros(outputs, functions))

    def forward(self, h: Tensor, t: Tensor) -> Tensor:
        phi = plain_basis(t, self.degree, self.knots)
        per_function = torch.matmul(self.weight.permute(2, 1, 0), h.T).permute(2, 1, 0)  # (rows, outputs, basis)
        return torch.matmul(per_function, phi.unsqueeze(2)).squeeze(2) + torch.matmul(phi, self.bias.T)


class PlainVCNet(nn.Module):
    def __init__(self, covariates: int, config: VCNetConfig) -> None:
        super().__init__()
        self.intervals = config.n_grid
        first, second = config.hidden
        self.trunk = nn.Sequential(nn.Linear(covariates, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU())
        self.density = nn.Linear(second, config.n_grid + 1)
        self.inner = PlainVaryingLinear(second, config.head[0], config)
        self.last = PlainVaryingLinear(config.head[0], 1, config)

    def forward(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.trunk(x)
        nodes = torch.softmax(self.density(z), dim=1)
        upper = torch.ceil(t * self.intervals)
        lower = torch.clamp(upper - 1, min=0)
        share = 1 - (upper - t * self.intervals)
        rows = list(range(len(t)))
        low, high = nodes[rows, lower.long().tolist()], nodes[rows, upper.long().tolist()]
        return self.last(torch.relu(self.inner(z, t)), t).squeeze(1), low + (high - low) * share

    def copy_from(self, fitted_network: nn.Module) -> None:
        """The weights of copy 0 of one of our networks."""
        state = {name: value[0].detach() for name, value in fitted_network.state_dict().items()}
        linear = {"trunk.0": self.trunk[0], "trunk.1": self.trunk[2], "density": self.density}
        with torch.no_grad():
            for name, layer in linear.items():
                layer.weight.copy_(state[f"{name}.weight"].T)
                layer.bias.copy_(state[f"{name}.bias"][0])
            for number, layer in enumerate((self.inner, self.last)):
                layer.weight.copy_(state[f"head.{number}.weight"].permute(1, 2, 0))
                layer.bias.copy_(state[f"head.{number}.bias"].T)


def plain_fit(
    x: Tensor, t: Tensor, y: Tensor, config: VCNetConfig, epochs: int, start: nn.Module | None = None
) -> tuple[PlainVCNet, Tensor, list[float]]:
    """The two alternating SGD steps a minibatch of the authors' code. Returns network, epsilon, losses."""
    network = PlainVCNet(x.shape[1], config)
    if start is not None:
        network.copy_from(start)
    optimiser = torch.optim.SGD(
        network.parameters(), lr=config.lr, momentum=config.momentum, nesterov=True, weight_decay=config.weight_decay
    )
    a = torch.zeros(3 + len(config.tr_knots), requires_grad=True)
    epsilon_optimiser = torch.optim.SGD([a], lr=config.tr_lr, weight_decay=config.tr_weight_decay)
    loader = DataLoader(PlainRows(x, t, y), batch_size=len(y), shuffle=True)

    def targeted_loss(mu: Tensor, g: Tensor, doses: Tensor, outcomes: Tensor) -> Tensor:
        epsilon = torch.matmul(plain_basis(doses, 2, config.tr_knots), a)
        return ((outcomes - mu - epsilon / (g + 1e-6)) ** 2).mean()

    losses = []
    for _ in range(epochs):
        for covariates, doses, outcomes in loader:
            optimiser.zero_grad()
            mu, g = network(doses, covariates)
            loss = ((outcomes - mu) ** 2).mean() - config.alpha * torch.log(g + 1e-6).mean()
            if config.targeted:
                loss = loss + config.beta * targeted_loss(mu, g, doses, outcomes)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            if config.targeted:
                epsilon_optimiser.zero_grad()
                mu, g = network(doses, covariates)
                (config.beta * targeted_loss(mu, g, doses, outcomes)).backward()
                epsilon_optimiser.step()
    return network, a.detach(), losses


@torch.no_grad()
def plain_curve(
    network: PlainVCNet, a: Tensor, x: Tensor, doses: Sequence[float], tr_knots: Sequence[float]
) -> list[float]:
    """The targeted curve: a DataLoader and one forward pass of all rows for each dose."""
    curve = []
    for dose in doses:
        loader = DataLoader(PlainRows(x, torch.full((len(x),), float(dose)), torch.zeros(len(x))), batch_size=len(x))
        for covariates, t, _ in loader:
            mu, g = network(t, covariates)
            epsilon = torch.matmul(plain_basis(t, 2, tr_knots), a)
            curve.append(float((mu + epsilon / (g + 1e-6)).mean()))
    return curve


# ------------------------------------------------------- measuring


def rows_of(data: Sequence[DoseResponseData]) -> TrainingData:
    return TrainingData(
        np.stack([d.train.X for d in data]),
        np.stack([d.train.treatment for d in data]),
        np.stack([d.train.y for d in data]),
    )


def tensors_of(data: DoseResponseData) -> tuple[Tensor, Tensor, Tensor]:
    x, t, y = (torch.as_tensor(v, dtype=torch.float32) for v in (data.train.X, data.train.treatment, data.train.y))
    return x, t, y


def seconds(work: Callable[[], Any], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def compare(
    name: str,
    unit: str,
    note: str,
    ours: Callable[[], Any],
    peer: Callable[[], Any],
    scales: tuple[float, float],
    *,
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> Row:
    """Alternate ours and the peer; times are multiplied by `scales` to the row's unit."""
    pairs = [(seconds(ours, clock) * scales[0], seconds(peer, clock) * scales[1]) for _ in range(rounds)]
    ratios = [theirs / own for own, theirs in pairs]
    spread = f"ratio {min(ratios):.2g} to {max(ratios):.2g} in {rounds} rounds" if rounds > 1 else "one round"
    return Row(
        name,
        statistics.median(own for own, _ in pairs),
        statistics.median(theirs for _, theirs in pairs),
        unit,
        statistics.median(ratios),
        f"{note}; {spread}",
    )


def check_equal_work() -> float:
    """Largest relative difference of the losses of ours and of the plain loop, from the same initial weights."""
    worst = 0.0
    data = make_simulation(seed=0)
    for targeted in (True, False):
        config = preset("simulation", targeted=targeted, epochs=8)
        ours = train(rows_of([data]), config, [0]).history[:, :, 0]
        own = ours[:, 0] + config.alpha * ours[:, 1] + config.beta * ours[:, 2]
        start = config.network(1, data.train.X.shape[1])
        start.initialise([0], config.head_std)
        losses = plain_fit(*tensors_of(data), config, config.epochs, start)[2]
        worst = max(worst, float(np.max(np.abs(np.array(losses) / own - 1))))
    if worst > 1e-4:
        raise SystemExit(f"the plain loop does other work than ours: losses differ by {worst:.1e}")
    return worst


def one_fit(quick: bool, targeted: bool) -> Row:
    ours, peer = (100, 20) if quick else (EPOCHS, 200)
    data = make_simulation(seed=0)
    rows, tensors = rows_of([data]), tensors_of(data)
    config = preset("simulation", targeted=targeted, epochs=ours)
    return compare(
        f"one fit, {label(targeted)}",
        "CPU s",
        f"n=500, p=6, {EPOCHS} epochs, one thread; {scaled(ours, peer)} epochs",
        lambda: train(rows, config, [0]),
        lambda: plain_fit(*tensors, config, peer),
        (EPOCHS / ours, EPOCHS / peer),
        rounds=3,
    )


def label(targeted: bool) -> str:
    return "targeted" if targeted else "not targeted"


def scaled(ours: int, peer: int) -> str:
    said = [f"{who} scaled from {epochs}" for who, epochs in (("ours", ours), ("peer", peer)) if epochs < EPOCHS]
    return ", ".join(said) or "not scaled"


def per_replication(quick: bool, targeted: bool) -> Row:
    copies, ours, peer = (10, 40, 20) if quick else (100, 100, 200)
    data = [make_simulation(seed=seed) for seed in range(copies)]
    rows, tensors = rows_of(data), tensors_of(data[0])
    config = preset("simulation", targeted=targeted, epochs=ours)
    return compare(
        f"a replication of {copies if quick else 100}, {label(targeted)}",
        "CPU s",
        f"{copies} simulated data sets in chunks of 10, one thread; {scaled(ours, peer)} epochs",
        lambda: train(rows, config, range(copies)),
        lambda: plain_fit(*tensors, config, peer),
        (EPOCHS / ours / copies, EPOCHS / peer),
        rounds=3,
    )


def _chunk_of_ten(first: int, targeted: bool, epochs: int) -> None:
    data = [make_simulation(seed=seed) for seed in range(first, first + 10)]
    train(rows_of(data), preset("simulation", targeted=targeted, epochs=epochs), range(first, first + 10))


def both_cores(quick: bool, targeted: bool, pool: ProcessPoolExecutor) -> Row:
    chunks, ours, peer = (2, 40, 20) if quick else (10, 100, 200)
    tensors = tensors_of(make_simulation(seed=0))
    config = preset("simulation", targeted=targeted)

    def in_processes() -> None:
        for future in [pool.submit(_chunk_of_ten, 10 * k, targeted, ours) for k in range(chunks)]:
            future.result()

    return compare(
        f"a replication on {CORES} cores, {label(targeted)}",
        "wall s",
        f"ours: {chunks} chunks of 10 over {CORES} processes of one thread, as `rostra reproduce` runs them; "
        f"peer: one fit after another, one thread; {scaled(ours, peer)} epochs",
        in_processes,
        lambda: plain_fit(*tensors, config, peer),
        (EPOCHS / ours / chunks / 10, EPOCHS / peer),
        rounds=3,
        clock=time.perf_counter,
    )


def bootstrap(quick: bool) -> Row:
    refits, ours, peer = (20, 20, 20) if quick else (REFITS, 50, 200)
    data = make_simulation(seed=0)
    tensors, config = tensors_of(data), preset("simulation")
    model = VCNetRegressor.from_preset("simulation", epochs=ours, random_state=0, device="cpu")
    model.fit(data.train.X, data.train.y, treatment=data.train.treatment)

    def refit() -> None:
        model._bootstrap = None  # else the refits at hand are used again
        model.fit_bootstrap(refits)

    return compare(
        f"bootstrap of {REFITS} refits",
        "CPU s",
        f"VCNetRegressor.fit_bootstrap, targeted, one thread, measured on {refits} refits; "
        f"{scaled(ours, peer)} epochs, peer from one fit",
        refit,
        lambda: plain_fit(*tensors, config, peer),
        (EPOCHS / ours * REFITS / refits, EPOCHS / peer * REFITS),
        rounds=3,
    )


def curve(quick: bool) -> Row:
    grid = np.linspace(0.0, 1.0, 101)
    few = grid[::50] if quick else grid
    data = make_simulation(500, 10_000, seed=0)
    config = preset("simulation", epochs=20)
    fitted = train(rows_of([data]), config, [0])
    plain = PlainVCNet(data.train.X.shape[1], config)
    plain.copy_from(fitted.network)
    x = torch.as_tensor(data.test.X, dtype=torch.float32)
    ours = curves.dose_response(fitted, few, data.test.X[None], targeted=True)[0]
    theirs = plain_curve(plain, fitted.coefficients[0], x, few, config.tr_knots)
    difference = float(np.max(np.abs(ours - theirs)))
    if difference > 1e-3:
        raise SystemExit(f"the plain loop's curve is another one: it differs by {difference:.1e}")
    return compare(
        "curve of 101 doses, 10,000 rows",
        "CPU s",
        f"targeted estimate, one thread; same weights, curves differ by {difference:.0e}; "
        + (f"peer scaled from {len(few)} doses" if quick else "not scaled"),
        lambda: curves.dose_response(fitted, grid, data.test.X[None], targeted=True),
        lambda: plain_curve(plain, fitted.coefficients[0], x, few, config.tr_knots),
        (1.0, len(grid) / len(few)),
        rounds=1 if not quick else 3,
    )


# ------------------------------------------------------- other estimators


def amse(data: Sequence[DoseResponseData], estimates: Sequence[Sequence[float]]) -> list[float]:
    """Mean squared error at the test treatments, without a root, as in the paper; one a data set."""
    pairs = zip(data, estimates, strict=True)
    return [float(np.mean((np.array(e) - d.dose_response(d.test.treatment)) ** 2)) for d, e in pairs]


def own_curves(data: Sequence[DoseResponseData]) -> list[Sequence[float]]:
    fitted: FittedNetworks = train(rows_of(data), preset("simulation"), range(len(data)))
    return [
        curves.dose_response(fitted.select(i), d.test.treatment, d.test.X[None], targeted=True)[0]
        for i, d in enumerate(data)
    ]


def estimators(quick: bool) -> list[Row]:
    sets = 3 if quick else 20
    data = [make_simulation(seed=seed) for seed in range(sets)]
    start = time.process_time()
    own = amse(data, own_curves(data))
    own_seconds = (time.process_time() - start) / sets
    rows = []
    about = {
        "forest": ("CausalForestDML", "dose splines as treatment features, level from the outcomes at the median dose"),
        "gps": ("GPS_Regressor", "calculate_CDRC with defaults on the whole dose range, interpolated"),
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.npz"
        np.savez(
            file,
            x=[d.train.X for d in data],
            t=[d.train.treatment for d in data],
            y=[d.train.y for d in data],
            x_new=[d.test.X for d in data],
            doses=[d.test.treatment for d in data],
        )
        for method, (name, how) in about.items():
            try:
                command = [peer_python("vcnet"), PEERS / "vcnet.py", method, file]
                done = subprocess.run(command, check=True, capture_output=True, text=True, env=plain_environment())
                found = json.loads(done.stdout)
            except (subprocess.CalledProcessError, OSError, ValueError) as error:
                reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
                note = f"peer did not run: {reason}"
                rows.append(Row(f"{name}, error of the curve", statistics.mean(own), None, "AMSE", None, note))
                continue
            theirs = amse(data, found["curves"])
            gap = np.subtract(theirs, own)
            error = gap.std(ddof=1) / np.sqrt(sets)
            rows.append(
                Row(
                    f"{name}, error of the curve",
                    statistics.mean(own),
                    statistics.mean(theirs),
                    "AMSE",
                    statistics.mean(theirs) / statistics.mean(own),
                    f"VCNet targeted; mean of {sets} simulated data sets, paired difference {gap.mean():.4f} "
                    f"+- {error:.4f} (standard error); peer: {how}",
                )
            )
            peer_seconds = statistics.median(found["seconds"])
            rows.append(
                Row(
                    f"{name}, fit and curve",
                    own_seconds,
                    peer_seconds,
                    "CPU s",
                    peer_seconds / own_seconds,
                    f"one data set, one thread; ours batched over {sets} sets; peer: median, imports not counted",
                )
            )
    return rows


# ------------------------------------------------------- the table


def main() -> None:
    arguments = parse_arguments("VCNet against its peers, on the same work.")
    warnings.simplefilter("ignore")
    set_threads(1)
    difference = check_equal_work()
    equal = f"the plain loop's losses equal ours to {difference:.0e} over 8 epochs from the same weights"
    rows = []
    for targeted in (True, False):
        rows.append(one_fit(arguments.quick, targeted))
        rows.append(per_replication(arguments.quick, targeted))
    with ProcessPoolExecutor(CORES, multiprocessing.get_context("spawn"), set_threads, (1,)) as pool:
        for future in [pool.submit(_chunk_of_ten, 0, True, 20) for _ in range(2 * CORES)]:
            future.result()
        rows += [both_cores(arguments.quick, targeted, pool) for targeted in (True, False)]
    rows.append(bootstrap(arguments.quick))
    rows.append(curve(arguments.quick))
    for row in rows:
        row.note += f"; {equal}"
    rows += estimators(arguments.quick)
    print_rows(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
