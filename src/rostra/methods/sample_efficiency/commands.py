"""``rostra sample-efficiency``: learning curves, exponents, symmetries, and the rotated-data test."""

__all__ = ["app"]

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rostra.engine.commands import Device, JsonOutput, Quiet, Seed, Threads, emit, list_option, number_list, prepare
from rostra.engine.errors import InputError

if TYPE_CHECKING:
    from .complexity import SampleComplexity

app = typer.Typer(help="Sample efficiency: how many examples a learner needs, and which symmetries it cannot see.")

DIMENSIONS = {"texture": "32,48,64,96,128", "channels": "12,48,108,192", "patches": "8,16,24,32"}
"""Default dimensions of a task; 8,12,16,24,32 for all others."""
Task = Annotated[str, typer.Option(help="halves, channels, cifar10, diag, texture, onehot, orthogonal_pairs, patches.")]
Learners = Annotated[
    str, typer.Option("--learner", help="fc, fc-relu, fc-adam, kernel, ntk, conv, conv-gd, conv-net; or FILE.py:NAME.")
]
Out = Annotated[Path | None, typer.Option(help="Folder for tables and pictures.")]
Seeds = Annotated[int, typer.Option(min=1, help="Trainings of each size.")]


@app.command()
def curves(
    task: Task = "halves",
    learner: Learners = "fc,conv",
    d: Annotated[str, typer.Option("--d", help="Dimensions of the input; for images 3 H H.")] = "32",
    n: Annotated[str, typer.Option("--n", help="Numbers of training points.")] = "16,64,256,1024,4096",
    seeds: Seeds = 3,
    out: Out = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Score on test points against the number of training points; figure 1 of the paper is --task channels.

    Writes curves.csv and curves.png; a run that was stopped goes on in the same folder.

    Example: rostra sample-efficiency curves --task channels --d 192 --learner fc,conv-net --n 200,1600 --out figure1
    """
    prepare(quiet=quiet, threads=threads)
    import pandas as pd

    from rostra.engine.progress import progress

    from .complexity import TARGETS, SampleComplexity, TrainingStore, measure_at
    from .learners import as_learner

    dimensions, sizes = _sizes("--d", d), sorted(_sizes("--n", n))
    make = _task_maker(task)
    tasks = {D: make(D) for D in dimensions}
    chosen = {name: as_learner(_learner(name, device)) for name in list_option(learner)}
    _check_out(out)
    target = TARGETS.get(task, 0.9)
    stores = {
        name: TrainingStore(
            None if out is None else out / f"{_file_name(name)}.curves.jsonl", {"task": task, "learner": name}
        )
        for name in chosen
    }
    work = [(name, D, size) for name in chosen for D in dimensions for size in sizes]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    for name, D, size in progress(work, "curves", total=len(work)):
        rows[name] += measure_at(tasks[D], chosen[name], size, range(seed, seed + seeds), stores[name])
    studies = [SampleComplexity.of(task, name, target, pd.DataFrame(found)) for name, found in rows.items()]
    lines = [f"{'learner':12s} {'D':>5s} {'n':>8s} {'score':>7s} {'train':>7s}  failed trainings"]
    for study in studies:
        for (dimension, count), part in study.curves.groupby(["D", "n"]):
            mean = part[["score", "train"]].mean()
            lines.append(
                f"{study.learner:12s} {dimension!s:>5s} {count!s:>8s} {mean['score']:7.3f} {mean['train']:7.3f}  "
                f"{part['diverged'].sum()}"
            )
    if out is not None:
        _write_studies(studies, out, ["curves"])
        lines.append(f"table and picture: {out / 'curves.csv'}, {out / 'curves.png'}")
    emit({study.learner: study.to_json()["curves"] for study in studies}, "\n".join(lines), json_output)


@app.command()
def exponent(
    task: Task = "halves",
    learner: Learners = "fc,conv",
    d: Annotated[str, typer.Option("--d", help="Dimensions; 4 or more over a factor of 4 or more.")] = "",
    target: Annotated[float | None, typer.Option(help="Score that counts as learned; default: the task's.")] = None,
    seeds: Seeds = 5,
    n_max: Annotated[int, typer.Option(min=2, help="Most training points.")] = 65_536,
    power: Annotated[float, typer.Option(help="The collapse is drawn over n / D^power.")] = 2.0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for tables and pictures; a run that was stopped goes on.")] = Path(
        "exponent"
    ),
    seed: Seed = 0,
    device: Device = None,
    threads: Annotated[int, typer.Option(min=1, help="Cores of each process.")] = 1,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """How n*, the least number of examples that is enough, grows with the dimension D: beta in n* = c D^beta.

    Writes, for each learner, LEARNER.json; n_star.csv, curves.csv; curves.png, collapse.png, n_star.png.

    Example: rostra sample-efficiency exponent --task halves --learner fc,conv --out halves
    """
    prepare(quiet=quiet, threads=threads)
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from rostra.engine.runtime import cores, set_threads

    from .complexity import sample_complexity
    from .learners import as_learner
    from .tasks import TASKS

    dimensions = _sizes("--d", d or DIMENSIONS.get(task, "8,12,16,24,32"))
    names = list_option(learner)
    chosen = {name: as_learner(_learner(name, device)) for name in names}
    make = _task_maker(task)
    for D in dimensions:
        make(D)
    _check_out(out)
    studies = []
    count = workers or cores()
    with ProcessPoolExecutor(count, get_context("spawn"), initializer=set_threads, initargs=(threads,)) as pool:
        for name in names:
            here = ":" in name or task not in TASKS  # what a user's file holds, and images, other processes lack
            studies.append(
                sample_complexity(
                    make if here else task,
                    chosen[name],
                    dimensions,
                    target=target,
                    seeds=range(seed, seed + seeds),
                    n_max=n_max,
                    executor=None if here or count == 1 else pool,
                    resume=out / f"{_file_name(name)}.trainings.jsonl",
                    name=name,
                )
            )
    _write_studies(studies, out, ["curves", "collapse", "n_star"], power)
    lines = []
    for study in studies:
        beta = "none (one D)" if study.exponent is None else f"{study.exponent:.2f}"
        if study.exponent_interval is not None:
            beta += f" ({study.exponent_interval[0]:.2f} to {study.exponent_interval[1]:.2f})"
        lines.append(f"{study.learner}: beta = {beta}")
        for row in study.n_star.itertuples():
            bound = {"above": "> ", "below": "<= "}.get(str(row.censored), "")
            lines.append(
                f"  D = {row.D:<4d} n* = {bound}{row.n_star:.4g} ({row.low:.4g} to {row.high:.4g}), "
                f"training score {row.train:.3f}"
            )
    first = studies[0].n_star.set_index("D")["n_star"]
    for study in studies[1:]:
        ratio = first / study.n_star.set_index("D")["n_star"]
        shown = ", ".join(f"{value:.3g} at D = {D}" for D, value in ratio.items())
        lines.append(f"n* of {studies[0].learner} over {study.learner}: {shown}")
    lines.append(f"pictures: {out / 'curves.png'}, {out / 'collapse.png'}, {out / 'n_star.png'}")
    emit([study.to_json() for study in studies], "\n".join(lines), json_output)


@app.command()
def equivariance(
    algorithm: Annotated[str, typer.Option(help="Names of the zoo, or FILE.py:NAME of your own; default: all.")] = "",
    group: Annotated[str, typer.Option(help="Groups; default: those of the paper's table, and shifts.")] = "",
    mode: Annotated[Literal["coupled", "distributional"], typer.Option(help="Exact, or by outputs alone.")] = "coupled",
    seeds: Annotated[int | None, typer.Option(min=1, help="Pairs, or trainings a side.")] = None,
    out: Out = None,
    seed: Seed = 0,
    device: Annotated[str | None, typer.Option(help="Only cpu: the check runs in double precision.")] = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Which symmetries of the inputs a training algorithm cannot see: the paper's table 1, every cell measured.

    A plus marks a group that changes nothing; numbers are deviations over the outputs' size, or p-values. Your own
    FILE.py:NAME is train_fn(X, y, X_test, seed) -> outputs, a scikit-learn estimator, or a Network. With --out writes
    equivariance.csv and equivariance.png.

    Example: rostra sample-efficiency equivariance
    """
    prepare(quiet=quiet, threads=threads)
    if device not in (None, "cpu"):
        raise InputError(f"the check runs on the cpu, in double precision; got --device {device}")
    import pandas as pd

    from rostra.engine.files import write_atomically
    from rostra.engine.progress import progress

    from .equivariance import symmetry_report
    from .zoo import ALGORITHMS, GROUPS_OF_TABLE, zoo_data

    names = list_option(algorithm) or list(ALGORITHMS)
    groups = list_option(group) or list(GROUPS_OF_TABLE)
    unknown = [name for name in names if name not in ALGORITHMS and ":" not in name]
    if unknown:
        raise InputError(
            f"there is no algorithm '{unknown[0]}'; there are: {', '.join(ALGORITHMS)}; or give FILE.py:NAME"
        )
    algorithms = {name: ALGORITHMS[name].algorithm if name in ALGORITHMS else _from_file(name) for name in names}
    _check_out(out)
    data = zoo_data(seed) if mode == "distributional" else zoo_data(seed)[:3]
    rows: list[dict[str, Any]] = []
    for name in progress(names, "equivariance", total=len(names)):
        report = symmetry_report(algorithms[name], data, groups, mode, seeds=seeds, seed=seed)
        rows += [{"algorithm": name, **found.__dict__} for found in report.values()]
    table = pd.DataFrame(rows)
    shown = "relative" if mode == "coupled" else "p_value"
    lines = [f"{'':44s}" + "".join(f"{name:>20s}" for name in groups)]
    for given, part in table.groupby("algorithm", sort=False):
        title = ALGORITHMS[str(given)].title if given in ALGORITHMS else str(given)
        cells = [
            f"{'+' if row.passed else '-'} {getattr(row, shown):.0e}"
            if mode == "coupled"
            else f"{'+' if row.passed else '-'} p {getattr(row, shown):.3f}"
            for row in part.itertuples()
        ]
        lines.append(f"{title:44s}" + "".join(f"{cell:>20s}" for cell in cells))
    if out is not None:
        from rostra.engine.plots import save_picture

        from .plots import draw_equivariance

        with write_atomically(out / "equivariance.csv") as temporary:
            table.to_csv(temporary, index=False)
        save_picture(draw_equivariance(table, shown), out / "equivariance.png")
        lines.append(f"table and picture: {out / 'equivariance.csv'}, {out / 'equivariance.png'}")
    emit(rows, "\n".join(lines), json_output)


MODELS = ("fc", "logistic", "svm", "neighbours", "forest", "boosting")


@app.command()
def rotate(
    data: Annotated[Path, typer.Argument(help="CSV with a header, or NPZ with arrays X and y.")],
    label: Annotated[str, typer.Option(help="Column with the label (CSV).")] = "",
    model: Annotated[str, typer.Option(help=f"{', '.join(MODELS)}; or FILE.py:NAME.")] = ",".join(MODELS),
    rotations: Annotated[int, typer.Option(min=1, help="Random rotations.")] = 5,
    folds: Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")] = 5,
    margin: Annotated[float, typer.Option(min=0.0, help="Difference of scores that counts as none.")] = 0.01,
    impute: Annotated[str | None, typer.Option(help="'median' fills missing values.")] = None,
    out: Annotated[Path | None, typer.Option(help="CSV for the results.")] = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Does a model use the coordinates of your data, or would any rotation of the features do?

    Models are scored on standardised features and on random rotations of them, by the same folds. Where the score
    does not change, the model ignores the coordinates, and pays for that in examples.

    Example: rostra sample-efficiency rotate patients.csv --label outcome
    """
    prepare(quiet=quiet, threads=threads)
    import pandas as pd

    from rostra.engine.files import writable, write_atomically
    from rostra.engine.progress import progress
    from rostra.fields.tabular.tables import imputes

    from .rotation import rotated_data_test

    X, y = _read_labelled(data, label, imputes(impute))
    names = list_option(model)
    models = {name: _model(name, seed, device) for name in names}
    if out is not None:
        writable(out)
    rows = []
    for name in progress(names, "rotate", total=len(names)):
        found = rotated_data_test(models[name], X, y, rotations, folds, margin=margin, seed=seed)
        rows.append({"model": name, **found.__dict__})
    lines = [f"{len(y)} rows, {X.shape[1]} features, {rotations} rotations, {folds} folds; score: accuracy"]
    lines += [
        f"{row['model']:12s} raw {row['raw']:.3f}  rotated {row['rotated']:.3f}  difference {row['difference']:+.3f} "
        f"({row['interval'][0]:+.3f} to {row['interval'][1]:+.3f})  {row['verdict']}"
        for row in rows
    ]
    if out is not None:
        with write_atomically(out) as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False)
        lines.append(f"table: {out}")
    emit(rows, "\n".join(lines), json_output)


# ------------------------------------------------------- what options name


def _sizes(option: str, text: str) -> list[int]:
    return number_list(option, text, whole=True, low=1, example="8,16,32")


def _task_maker(task: str) -> Any:
    """A function of D."""
    import functools

    from .tasks import TASKS, make_task

    if task == "cifar10":
        from rostra.engine.datasets import load

        from .data import DATASETS, cifar_task

        files = load(DATASETS[0]).value

        def make_cifar(D: int) -> Any:
            side = round((D / 3) ** 0.5)
            if 3 * side * side != D:
                raise InputError(f"task 'cifar10' needs D = 3 H H with H a divisor of 32, such as 48 or 192; got {D}")
            return cifar_task(files, side, 50_000)

        return make_cifar
    if task not in TASKS:
        raise InputError(f"there is no task '{task}'; there are: {', '.join([*TASKS, 'cifar10'])}")
    return functools.partial(make_task, task)


def _learner(name: str, device: str | None) -> Any:
    from dataclasses import replace

    from .learners import FCLearner, as_learner

    if ":" in name:
        return _from_file(name)
    found = as_learner(name)
    return replace(found, device=device or "cpu") if isinstance(found, FCLearner) else found


def _model(name: str, seed: int, device: str | None) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    from .estimator import FCClassifier

    made: dict[str, Any] = {
        "fc": lambda: FCClassifier((128,), "relu", steps=200, lr=0.3, bias=True, seed=seed, device=device),
        "logistic": lambda: LogisticRegression(max_iter=1000),
        "svm": SVC,
        "neighbours": KNeighborsClassifier,
        "forest": lambda: RandomForestClassifier(random_state=seed),
        "boosting": lambda: HistGradientBoostingClassifier(random_state=seed),
    }
    if ":" in name:
        return _from_file(name)
    if name not in made:
        raise InputError(f"there is no model '{name}'; there are: {', '.join(MODELS)}; or give FILE.py:NAME")
    return made[name]()


def _from_file(place: str) -> Any:
    """NAME of a Python file, from "FILE.py:NAME"."""
    import importlib.util

    file, _, name = place.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise InputError(f"'{file}' does not exist; give FILE.py:NAME")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"'{file}' is no Python file; give FILE.py:NAME")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"'{file}' does not run ({type(error).__name__}: {error})") from error
    if not hasattr(module, name):
        raise InputError(f"'{file}' has no '{name}'")
    return getattr(module, name)


def _read_labelled(data: Path, label: str, impute: bool) -> tuple[Any, Any]:
    """Features and labels of a CSV or NPZ."""
    import numpy as np

    from rostra.fields.tabular.encoding import TableEncoder
    from rostra.fields.tabular.tables import check_names, read_table

    if data.suffix == ".npz":
        try:
            with np.load(data, allow_pickle=False) as arrays:
                X, y = arrays["X"], arrays["y"]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"'{data}' is no NPZ with arrays X and y of plain numbers ({error})") from None
        if X.ndim != 2 or len(X) != len(y):
            raise InputError(f"'{data}': X must be a matrix with a row for each of y; got {X.shape} and {y.shape}")
    else:
        table = read_table(data)
        if not label:
            raise InputError("--label must name the column with the label")
        check_names(table, [label])
        y = table.pop(label).to_numpy()
        X = TableEncoder.fitted(table, impute=impute).transform(table).to_numpy()
    if any(value is None or value != value for value in y.tolist()):
        raise InputError(f"'{data}' has rows without a label")
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) != 2:
        raise InputError(f"the label must have two values, got {len(classes)}")
    if counts.min() < 2:
        raise InputError(f"each label needs rows in several folds; '{classes[counts.argmin()]}' has {counts.min()}")
    return X, (y == classes[1]).astype(int)


def _check_out(out: Path | None) -> None:
    from rostra.engine.files import writable

    if out is not None:
        writable(out / "curves.csv")


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)


def _write_studies(
    studies: "Sequence[SampleComplexity]", out: Path, pictures: Sequence[str], power: float = 2.0
) -> None:
    import pandas as pd

    from rostra.engine.files import write_atomically
    from rostra.engine.plots import save_picture

    from .plots import draw_collapse, draw_curves, draw_n_star

    for table in ("curves", "n_star") if "n_star" in pictures else ("curves",):
        parts = [getattr(study, table).assign(learner=study.learner) for study in studies]
        with write_atomically(out / f"{table}.csv") as temporary:
            pd.concat(parts).to_csv(temporary, index=False)
    draw = {
        "curves": lambda: draw_curves(studies),
        "collapse": lambda: draw_collapse(studies, power),
        "n_star": lambda: draw_n_star(studies),
    }
    for picture in pictures:
        save_picture(draw[picture](), out / f"{picture}.png")
    if "n_star" in pictures:
        for study in studies:
            study.save(out / f"{_file_name(study.learner)}.json")
