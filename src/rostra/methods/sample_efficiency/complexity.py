"""The least number of examples, n*(D), and how it grows with the dimension D."""

__all__ = [
    "TARGETS",
    "SampleComplexity",
    "TrainingStore",
    "crossing",
    "fit_exponent",
    "grid_size",
    "measure_at",
    "measure_dimension",
    "sample_complexity",
]

import functools
import json
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

from rostra.engine.errors import InputError
from rostra.engine.files import write_atomically
from rostra.engine.progress import progress_bar

from .learners import Learner, Point, as_learner
from .tasks import Task, make_task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

TARGETS = {"texture": 0.75, "diag_regression": 0.5}
"""Scores at which a task counts as learned; 0.9 for all others."""
LEVEL = 0.95
RESAMPLES = 500
LACK_OF_FIT = 0.05
"""Error of log n* that no number of seeds removes: the grid, and the law's being asymptotic."""
JOB_NUMBERS = 2**16
"""Training points times D of a job in a pool; a training that has more is a job of its own."""
MAKE = Callable[[int], Task]


def grid_size(index: int) -> int:
    """The sizes of every study: 2^(index / 2), so that studies share points."""
    return round(2 ** (index / 2))


def _grid_index(n: float) -> int:
    return max(0, round(2 * np.log2(max(n, 1.0))))


def crossing(sizes: Sequence[int], scores: Array, target: float) -> tuple[float, str]:
    """Where a learning curve passes the target.

    The curve is made monotone (isotonic regression) and read between its points linearly in log n.

    Args:
        sizes: n in rising order.
        scores: the mean score at each.
        target: to be passed.

    Returns:
        n*, and "" if it was seen; "above" if the target was not reached (n* is more than the last size), "below" if
        the first size reached it already.
    """
    monotone = optimize.isotonic_regression(scores).x
    reached = np.flatnonzero(monotone >= target)
    if len(reached) == 0:
        return float(sizes[-1]), "above"
    if reached[0] == 0:
        return float(sizes[0]), "below"
    low, high = reached[0] - 1, reached[0]
    share = (target - monotone[low]) / (monotone[high] - monotone[low])
    return float(np.exp((1 - share) * np.log(sizes[low]) + share * np.log(sizes[high]))), ""


def fit_exponent(dimensions: Array, n_star: Array, sd: Array, censored: NDArray[np.bool_]) -> float:
    """beta of n* = c D^beta by weighted least squares of logs; a censored n* is only known to be larger.

    With censored values it is the maximum of the likelihood in which they count as "more than n*".

    Args:
        dimensions, n_star: at least two.
        sd: standard errors of log n*.
        censored: which n* are lower bounds.
    """
    x, y = np.log(dimensions), np.log(n_star)
    centre = np.average(x, weights=1 / sd**2)
    design = np.stack([np.ones_like(x), x - centre], axis=1) / sd[:, None]
    start = np.linalg.lstsq(design, y / sd, rcond=None)[0]
    if not censored.any():
        return float(start[1])

    def loss(parameters: Array) -> float:
        z = (y - parameters[0] - parameters[1] * (x - centre)) / sd
        return float(-np.where(censored, stats.norm.logsf(z), stats.norm.logpdf(z)).sum())

    return float(optimize.minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-6}).x[1])


@dataclass
class SampleComplexity:
    """A study: learning curves over dimensions, n* of each, and the exponent.

    Attributes:
        task, learner: names.
        target: score that counts as learned.
        curves: a row a training: D, n, seed, score, train, diverged.
        n_star: a row a dimension: D, n_star, low, high (95 % interval), censored ("", "above" or "below"), train
            (mean score on the training set at the last size below n*).
        exponent: beta of n* = c D^beta; None for fewer than two dimensions.
        exponent_interval: 95 %, from resampled seeds; None for fewer than two seeds.
    """

    task: str
    learner: str
    target: float
    curves: pd.DataFrame
    n_star: pd.DataFrame
    exponent: float | None
    exponent_interval: tuple[float, float] | None

    @classmethod
    def of(cls, task: str, learner: str, target: float, curves: pd.DataFrame) -> Self:
        """The study of given trainings (see ``curves``)."""
        curves = curves.sort_values(["D", "n", "seed"], ignore_index=True)
        rng = np.random.default_rng(0)
        rows: list[dict[str, Any]] = []
        resampled: list[tuple[Array, NDArray[np.bool_]]] = []
        for dimension, part in curves.groupby("D"):
            table = part.pivot(index="seed", columns="n", values="score").dropna(axis=1)
            sizes, scores = [int(n) for n in table.columns], table.to_numpy()
            count = len(scores)
            value, where = crossing(sizes, scores.mean(0), target)
            draws = rng.integers(count, size=(RESAMPLES, count))
            found = [crossing(sizes, scores[draw].mean(0), target) for draw in draws]
            logs = np.log([n for n, _ in found])
            half = _students(count) * logs.std()
            at = part[part["n"] == min(sizes, key=lambda n: abs(np.log(n / value)))]
            rows.append(
                {
                    "D": int(str(dimension)),
                    "n_star": value,
                    "low": value * float(np.exp(-half)) if count > 1 else np.nan,
                    "high": value * float(np.exp(half)) if count > 1 and where != "above" else np.nan,
                    "censored": where,
                    "train": float(at["train"].mean()),
                }
            )
            resampled.append((np.exp(logs), np.array([w == "above" for _, w in found])))
        n_star = pd.DataFrame(rows)
        exponent, interval = _exponent(n_star, resampled, curves["seed"].nunique())
        return cls(task, learner, target, curves, n_star, exponent, interval)

    def plot_curves(self) -> "Figure":
        """Score against n, a line a dimension."""
        from .plots import draw_curves

        return draw_curves([self])

    def plot_collapse(self, power: float = 2.0) -> "Figure":
        """Score against n / D^power: where n* grows like that, the lines fall on one."""
        from .plots import draw_collapse

        return draw_collapse([self], power)

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        named = {
            name: json.loads(getattr(self, name).to_json(orient="split", double_precision=15))
            for name in ("curves", "n_star")
        }
        return {**asdict(self), **named}

    def save(self, path: Path | str) -> None:
        """Write the study to a JSON file."""
        with write_atomically(Path(path)) as temporary:
            temporary.write_text(json.dumps(self.to_json()))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a study again.

        Raises:
            InputError: if the file is no study.
        """
        try:
            held = json.loads(Path(path).read_text())
            curves = pd.DataFrame(held["curves"]["data"], columns=held["curves"]["columns"])
            return cls.of(held["task"], held["learner"], held["target"], curves)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"'{path}' is no saved study of sample complexity ({error})") from None


def _students(count: int) -> float:
    """Half the width of an interval in standard deviations of the resampled mean of ``count`` values."""
    return float(stats.t.ppf(0.5 + LEVEL / 2, count - 1) * np.sqrt(count / (count - 1))) if count > 1 else np.nan


def _exponent(
    n_star: pd.DataFrame, resampled: Sequence[tuple[Array, NDArray[np.bool_]]], seeds: int
) -> tuple[float | None, tuple[float, float] | None]:
    if len(n_star) < 2:
        return None, None
    dimensions = n_star["D"].to_numpy(dtype=float)
    sd = np.array([np.sqrt(np.log(values).std() ** 2 + LACK_OF_FIT**2) for values, _ in resampled])
    value = fit_exponent(dimensions, n_star["n_star"].to_numpy(), sd, (n_star["censored"] == "above").to_numpy())
    if seeds < 2:
        return value, None
    values, censored = (np.stack(part, axis=1) for part in zip(*resampled, strict=True))
    found = [fit_exponent(dimensions, v, sd, c) for v, c in zip(values, censored, strict=True)]
    # the lack of fit counts as well: it moves the slope by this much
    x = np.log(dimensions)
    weights = 1 / sd**2
    spread = (weights * (x - np.average(x, weights=weights)) ** 2).sum()
    lack = LACK_OF_FIT * np.sqrt(np.square(weights * (x - np.average(x, weights=weights))).sum()) / spread
    half = _students(seeds) * float(np.hypot(np.std(found), lack))
    return value, (value - half, value + half)


def measure_dimension(
    task: Task,
    learner: Learner,
    target: float,
    seeds: Sequence[int],
    n_min: int,
    n_max: int,
    known: Sequence[dict[str, Any]] = (),
    guess: float | None = None,
) -> Iterator[dict[str, Any]]:
    """Trainings around the size at which the target is passed: doubling first, then the sizes in between.

    At the smallest size that is left no seed has passed the target, at the largest all have, unless ``n_min`` or
    ``n_max`` came first.

    Yields:
        A record a training: D, n, seed, score, train, diverged. The first are at ``guess``, or at the learner's own;
        those of ``known`` are not run again.
    """
    last, first = _grid_index(n_max), _grid_index(n_min)
    last -= grid_size(last) > n_max
    first += grid_size(first) < n_min
    if first > last:
        raise InputError(f"no size of the grid lies between n_min = {n_min} and n_max = {n_max}")
    scores: dict[int, Array] = {}
    held = {(row["n"], row["seed"]): row for row in known}

    def measured(index: int) -> Iterator[dict[str, Any]]:
        n = grid_size(index)
        missing = [seed for seed in seeds if (n, seed) not in held]
        if missing:
            for seed, point in zip(missing, learner.measure(task, n, missing), strict=True):
                held[n, seed] = _record(task, n, seed, point)
        scores[index] = np.array([held[n, seed]["score"] for seed in seeds])
        yield from (held[n, seed] for seed in seeds)

    index = min(max(_grid_index(guess or learner.guess(task.dimension)), first), last)
    yield from measured(index)
    top = bottom = index
    while not (scores[top] >= target).all() and top < last:
        top = min(top + 2, last)
        yield from measured(top)
    while not (scores[bottom] < target).all() and bottom > first:
        bottom = max(bottom - 2, first)
        yield from measured(bottom)
    # what lies between the last size below for all and the first size above for all
    below = max((i for i in scores if (scores[i] < target).all()), default=bottom)
    above = min((i for i in scores if i > below and (scores[i] >= target).all()), default=top)
    for between in range(below + 1, above):
        if between not in scores and grid_size(between) not in map(grid_size, scores):
            yield from measured(between)


def measure_at(
    task: Task, learner: Learner, n: int, seeds: Sequence[int], store: "TrainingStore"
) -> list[dict[str, Any]]:
    """A record a seed, as :func:`measure_dimension` yields them, of trainings on n points; the store's are not run
    again."""
    held = {row["seed"]: row for row in store.of(task.dimension) if row["n"] == n}
    missing = [seed for seed in seeds if seed not in held]
    if missing:
        for seed, point in zip(missing, learner.measure(task, n, missing), strict=True):
            held[seed] = store.kept(_record(task, n, seed, point))
    return [held[seed] for seed in seeds]


def _record(task: Task, n: int, seed: int, point: Point) -> dict[str, Any]:
    return {"D": task.dimension, "n": n, "seed": seed, **asdict(point)}


def _measure(make: Callable[[], Task], learner: Learner, n: int, seeds: Sequence[int]) -> list[Point]:
    """What a pool runs."""
    return learner.measure(make(), n, seeds)


@dataclass(frozen=True)
class _Pooled:
    """A learner whose trainings a pool runs, some seeds a job: large ones are spread, small ones stay a batch."""

    learner: Learner
    make: Callable[[], Task]
    executor: Executor

    def guess(self, dimension: int) -> int:
        return self.learner.guess(dimension)

    def measure(self, task: Task, n: int, seeds: Sequence[int]) -> list[Point]:
        size = max(1, JOB_NUMBERS // (n * task.dimension))
        jobs = [
            self.executor.submit(_measure, self.make, self.learner, n, seeds[i : i + size])
            for i in range(0, len(seeds), size)
        ]
        return [point for job in jobs for point in job.result()]


def sample_complexity(
    task: str | MAKE,
    learner: Any,
    Ds: Sequence[int],
    *,
    target: float | None = None,
    seeds: int | Sequence[int] = 10,
    n_min: int = 2,
    n_max: int = 65_536,
    executor: Executor | None = None,
    resume: Path | str | None = None,
    name: str | None = None,
) -> SampleComplexity:
    """Measure n*(D), the least n at which the mean score passes a target, and its exponent.

    Args:
        task: name of a task, or a function of D that makes one.
        learner: name (:data:`.LEARNERS`), scikit-learn estimator, ``train_fn(X, y, X_test, seed) -> outputs``, or an
            object with ``guess`` and ``measure``.
        Ds: dimensions; an exponent wants at least 4 over a factor of 4 or more.
        target: accuracy, or 1 - relative error in regression; None takes the task's own (:data:`TARGETS`).
        seeds: number of seeds, or the seeds.
        n_min, n_max: sizes to look at; a target that n_max does not reach leaves n* censored.
        executor: runs the trainings, such as a ``ProcessPoolExecutor`` (task and learner must then be picklable); None
            runs them here, one dimension after another.
        resume: file of trainings (JSON lines) that is added to, and not run again.
        name: of the learner in plots and files.

    Raises:
        InputError: for an unknown task or learner, a D that the task does not have, or a file of another study.
    """
    named = learner if isinstance(learner, str) else getattr(learner, "__name__", type(learner).__name__)
    chosen, label = as_learner(learner), name or named
    numbers = range(seeds) if isinstance(seeds, int) else seeds
    if not numbers or not Ds:
        raise InputError(
            f"a study needs at least one seed and one D, got {len(numbers)} seeds and {len(Ds)} values of D"
        )
    make: MAKE = functools.partial(make_task, task) if isinstance(task, str) else task
    makers = {D: functools.partial(make, D) for D in sorted(set(Ds))}
    task_name = next(made().name for made in makers.values())  # and every D is checked before any work
    for made in makers.values():
        made()
    goal = TARGETS.get(task_name, 0.9) if target is None else target
    if len(makers) < 4 or max(makers) < 4 * min(makers):
        warnings.warn(
            f"an exponent from {len(makers)} values of D over a factor of {max(makers) / min(makers):.3g} says little; "
            "take at least 4 over a factor of 4",
            stacklevel=2,
        )
    store = TrainingStore(resume, {"task": task_name, "learner": label, "target": goal})

    def study(D: int) -> list[dict[str, Any]]:
        run = chosen if executor is None else _Pooled(chosen, makers[D], executor)
        found = measure_dimension(makers[D](), run, goal, numbers, n_min, n_max, store.of(D))
        return [store.kept(record) for record in found]

    records: list[dict[str, Any]] = []
    # the searches only wait for the pool, each for its own dimension, largest first; without a pool one after another
    with (
        progress_bar("dimensions", len(makers)) as advance,
        ThreadPoolExecutor(1 if executor is None else len(makers)) as searches,
    ):
        running = {searches.submit(study, D): D for D in sorted(makers, reverse=executor is not None)}
        for done in as_completed(running):
            records += done.result()
            advance(1, f"D = {running[done]}")
    found = SampleComplexity.of(task_name, label, goal, pd.DataFrame(records))
    _warn_of(found)
    return found


def _warn_of(found: SampleComplexity) -> None:
    low = found.n_star[(found.n_star["train"] < 0.99) & (found.n_star["censored"] != "below")]
    if len(low) and found.task != "diag_regression":
        where = ", ".join(f"{train:.3f} at D = {D}" for D, train in zip(low["D"], low["train"], strict=True))
        warnings.warn(
            f"{found.learner}: training accuracy near n* is {where}: "
            "this n* may tell of optimisation or regularisation, too",
            stacklevel=3,
        )
    failed = int(found.curves["diverged"].sum())
    if failed:
        warnings.warn(f"{found.learner}: {failed} of {len(found.curves)} trainings diverged; they count", stacklevel=3)


class TrainingStore:
    """Trainings in a file of JSON lines, behind one line that says of what study."""

    def __init__(self, path: Path | str | None, study: dict[str, Any]) -> None:
        self.path = None if path is None else Path(path)
        self.rows: list[dict[str, Any]] = []
        self.held: set[tuple[int, int, int]] = set()
        self.lock = threading.Lock()
        if self.path is None:
            return
        if self.path.exists():
            lines = self.path.read_text().splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]  # a torn last line is left out
            held = [json.loads(line) for line in whole]
            if held and held[0] != study:
                raise InputError(f"'{self.path}' holds another study, {held[0]}; this one is {study}")
            self.rows = held[1:]
            self.held = {(row["D"], row["n"], row["seed"]) for row in self.rows}
            if len(whole) < len(lines):
                self.path.write_text("".join(whole))
            if held:
                return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(study) + "\n")

    def of(self, dimension: int) -> list[dict[str, Any]]:
        """Those that the file held at the start."""
        return [row for row in self.rows if row["D"] == dimension]

    def kept(self, record: dict[str, Any]) -> dict[str, Any]:
        """Add a record to the file, unless it holds it; from any thread."""
        key = (record["D"], record["n"], record["seed"])
        with self.lock:
            if self.path is not None and key not in self.held:
                self.held.add(key)
                with open(self.path, "a") as file:
                    file.write(json.dumps(record) + "\n")
        return record
