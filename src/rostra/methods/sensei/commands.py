"""``rostra sensei``: fair classifiers from a CSV, audits, and fronts of models."""

__all__ = ["app"]

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rostra.engine.commands import Device, JsonOutput, Quiet, Seed, Threads, emit, list_option, number_list, prepare
from rostra.engine.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(help="SenSeI: classifiers whose answers do not flip with what should not matter, and audits.")

Data = Annotated[Path, typer.Argument(help="CSV file; its first line names the columns.")]
Label = Annotated[str, typer.Option(help="Column with the label.")]
Sensitive = Annotated[str, typer.Option(help="Columns that should not matter, a,b,c.")]
Exclude = Annotated[str, typer.Option(help="Columns to leave out, a,b,c.")]
Flips = Annotated[
    list[str] | None, typer.Option("--flip", help="'column: A<->B', or 'column' for all its values; may be repeated.")
]
Metric = Annotated[Literal["logistic", "explore", "euclidean"], typer.Option(help="Fair metric.")]
Auditor = Annotated[
    Literal["noise", "two_stage"],
    typer.Option(help="How worst cases are found; two_stage goes farther, and costs more accuracy."),
]
Steps = Annotated[int, typer.Option(min=0, help="Auditor noise: steps for each minibatch.")]
StepSize = Annotated[float, typer.Option(help="Auditor noise: size of its steps.")]
SubspaceSteps = Annotated[int, typer.Option(min=0, help="Auditor two_stage: steps along sensitive directions.")]
SubspaceStepSize = Annotated[float, typer.Option(help="Auditor two_stage: size of these steps.")]
FullSteps = Annotated[int, typer.Option(min=0, help="Auditor two_stage: steps in all directions after them.")]
FullStepSize = Annotated[float, typer.Option(help="Auditor two_stage: size of these steps.")]
Iterations = Annotated[int, typer.Option(min=1, help="Minibatches.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Rows of a minibatch.")]
Impute = Annotated[str | None, typer.Option(help="'median' fills missing numbers; missing texts are a category.")]
OneHot = Annotated[bool, typer.Option("--one-hot", help="Take sensitive columns of numbers as categories.")]
NoBalance = Annotated[bool, typer.Option("--no-class-balance", help="Minibatches as the classes come.")]


def _table(data: Path, label: str, exclude: list[str]) -> "tuple[pd.DataFrame, pd.Series[Any]]":
    """The columns besides the label, and the label as text or whole numbers."""
    from rostra.fields.tabular.tables import check_names, read_table

    table = read_table(data)
    check_names(table, [label, *exclude])
    labels = table[label]
    if labels.isna().any():
        row = int(labels.isna().to_numpy().argmax())
        raise InputError(f"label '{label}' is missing in {int(labels.isna().sum())} rows (first in row {row + 1})")
    if labels.nunique() > 100:
        raise InputError(f"label '{label}' has {labels.nunique()} values; a classifier is for classes, at most 100")
    return table.drop(columns=list(dict.fromkeys([label, *exclude]))), labels


def _sensitive(text: str, label: str, table: "pd.DataFrame") -> list[str]:
    from rostra.fields.tabular.tables import check_names

    names = list_option(text)
    if not names:
        raise InputError("--sensitive must name at least one column, such as sex,race")
    if label in names:
        raise InputError(f"the label '{label}' is also sensitive; a fair answer cannot depend on it")
    check_names(table, names)
    return names


@app.command()
def fit(
    data: Data,
    label: Label,
    sensitive: Sensitive,
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    exclude: Exclude = "",
    method: Annotated[
        Literal["sensei", "sensr", "clp", "project", "baseline"], typer.Option(help="Training method.")
    ] = "sensei",
    metric: Metric = "logistic",
    rho: Annotated[float, typer.Option(help="Weight of fairness.")] = 5.0,
    eps: Annotated[float, typer.Option(help="Transport budget.")] = 0.03,
    flip: Flips = None,
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers, a,b.")] = "100",
    auditor: Auditor = "noise",
    auditor_steps: Steps = 20,
    auditor_lr: StepSize = 0.1,
    subspace_steps: SubspaceSteps = 20,
    subspace_lr: SubspaceStepSize = 1.0,
    full_steps: FullSteps = 20,
    full_lr: FullStepSize = 1e-3,
    iterations: Iterations = 1500,
    batch_size: BatchSize = 500,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 1e-3,
    no_class_balance: NoBalance = False,
    impute: Impute = None,
    one_hot: OneHot = False,
    device: Device = None,
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Train a classifier on a CSV that does not depend on sensitive columns or what goes with them.

    Example: rostra sensei fit adult.csv --label income --sensitive sex,race --out model
    """
    prepare(quiet=quiet, threads=threads)
    from rostra.engine.checkpoints import check_folder

    from .estimator import SenSeIClassifier

    check_folder(out)
    table, labels = _table(data, label, list_option(exclude))
    model = SenSeIClassifier(
        sensitive=_sensitive(sensitive, label, table),
        method=method,
        metric=metric,
        rho=rho,
        eps=eps,
        flips=tuple(flip or ()),
        hidden=_widths(hidden),
        auditor=auditor,
        auditor_steps=auditor_steps,
        auditor_lr=auditor_lr,
        subspace_steps=subspace_steps,
        subspace_lr=subspace_lr,
        full_steps=full_steps,
        full_lr=full_lr,
        iterations=iterations,
        batch_size=batch_size,
        lr=lr,
        class_balanced=not no_class_balance,
        impute=impute,
        one_hot=one_hot,
        random_state=seed,
        device=device,
    )
    model.fit(table, labels)
    model.save(out, notes={"label": label, "data": data.name})
    found = {
        "model": str(out),
        "method": method,
        "rows": len(table),
        "features": model.features_,
        "classes": model.classes_.tolist(),
        "sensitive": list(model.sensitive_),
        "attribute_auc": model.attribute_auc_,
        "lambda": model.lambda_ if model.config_.attacks else None,
    }
    proxies = ", ".join(f"{name} {area:.2f}" for name, area in model.attribute_auc_.items())
    emit(
        found,
        f"fitted {method} to {len(table)} rows, {len(model.features_)} features; saved to {out}\n"
        + (f"other columns tell the sensitive ones (area under the ROC curve): {proxies}\n" if proxies else "")
        + f"next: rostra sensei audit {shlex.quote(str(out))} DATA.csv --flip {shlex.quote(model.sensitive_[0])}",
        json_output,
    )


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in list_option(text))
    except ValueError:
        raise InputError(f"--hidden must hold whole numbers, such as 100 or 100,50; got '{text}'") from None


@app.command()
def audit(
    model: Annotated[Path, typer.Argument(help="Folder saved by 'rostra sensei fit'.")],
    data: Data,
    flip: Flips = None,
    out: Annotated[Path, typer.Option(help="Folder for audit.json and audit.html.")] = Path(),
    label: Annotated[str | None, typer.Option(help="Column with the label; default: that of the fit.")] = None,
    groups: Annotated[str, typer.Option(help="Further columns to compare groups of, a,b,c.")] = "",
    threshold: Annotated[float, typer.Option(help="Loss ratio up to which the model passes.")] = 1.15,
    resamples: Annotated[int, typer.Option(min=2, help="Bootstrap resamples for the intervals.")] = 1000,
    steps: Annotated[int, typer.Option(min=1, help="Steps towards the worst case.")] = 500,
    step_size: Annotated[float, typer.Option(help="Size of these steps.")] = 0.02,
    dual: Annotated[float, typer.Option("--lambda", help="Price of fair distance.")] = 10.0,
    rows: Annotated[int, typer.Option(min=2, help="Most rows to attack.")] = 10_000,
    device: Device = None,
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Audit a model on a table: declared flips, gaps between groups, worst cases; as JSON and as a page.

    Example: rostra sensei audit model adult.csv --flip "relationship: Husband<->Wife" --flip sex
    """
    prepare(quiet=quiet, threads=threads)
    import json

    from rostra.engine.files import plain, writable, write_atomically
    from rostra.fields.tabular.tables import check_names

    from .audit import AuditSettings
    from .audit import audit as audited
    from .estimator import SenSeIClassifier
    from .flips import parse_flip
    from .page import write_page

    settings = AuditSettings(
        resamples=resamples, steps=steps, lr=step_size, dual=dual, threshold=threshold, rows=rows, seed=seed
    )
    fitted = SenSeIClassifier.load(model, device=device)
    name = label or fitted.notes_.get("label")
    if name is None:
        raise InputError("the model does not say which column is the label; name it with --label")
    compared, labels = _table(data, name, [])
    check_names(compared, [*fitted.encoder_.names, *list_option(groups)])
    table = compared[fitted.encoder_.names]  # columns that were left out of the fit are left out here
    flips = [parse_flip(text, fitted.levels_) for text in flip or ()]
    chosen = list_option(groups)
    apart = compared[chosen] if chosen else None
    document = audited(fitted, table, labels.to_numpy(), flips, settings, sensitive_features=apart)
    paths = writable(out / "audit.json"), writable(out / "audit.html")
    document |= {"model": str(model), "data": data.name, "label": name}
    with write_atomically(paths[0]) as temporary:
        temporary.write_text(json.dumps(document, indent=1, default=plain, allow_nan=False), encoding="utf-8")
    write_page(document, paths[1], model=str(model), data=data.name, history=fitted.history_)
    lines = [
        _line("accuracy", document["accuracy"]),
        _line("balanced accuracy", document["balanced_accuracy"]),
        *(_line(f"one answer for {found['flip']}", found["consistency"]) for found in document["flips"]),
    ]
    if document["sensitive"]["consistency"]:
        columns = ", ".join(document["sensitive"]["columns"])
        lines.append(_line(f"one answer for all of {columns}", document["sensitive"]["consistency"]))
    lines += [_line(f"gap (RMS) {gap['column']} = {gap['group']}", gap["rms"]) for gap in document["gaps"]]
    if document["loss_ratio"]:
        found = document["loss_ratio"]
        lines.append(
            f"worst-case loss ratio {found['mean']:.3f}, at least {found['lower_bound']:.3f}: "
            f"{'within' if found['passes'] else 'above'} {found['threshold']:g}"
        )
    emit(document, "\n".join([*lines, f"page: {paths[1]}"]), json_output)


def _line(name: str, found: dict[str, Any]) -> str:
    interval = found["interval"]
    if found["value"] is None:
        return f"{name}: cannot be told"
    shown = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return f"{name}: {found['value']:.3f}{shown}"


@app.command()
def sweep(
    data: Data,
    label: Label,
    sensitive: Sensitive,
    out: Annotated[Path, typer.Option(help="Folder for front.csv, front.png and front.json.")],
    exclude: Exclude = "",
    methods: Annotated[
        str, typer.Option(help="Of baseline, project, clp, sensr, sensei; a,b,c.")
    ] = "baseline,project,sensei",
    rho: Annotated[str, typer.Option(help="Weights of fairness, a,b,c.")] = "0.5,2,5,20",
    eps: Annotated[str, typer.Option(help="Transport budgets, a,b,c.")] = "0.03",
    seeds: Annotated[int, typer.Option(min=1, help="Splits; a fifth of the rows is held out in each.")] = 3,
    flip: Flips = None,
    metric: Metric = "logistic",
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers, a,b.")] = "100",
    auditor: Auditor = "noise",
    auditor_steps: Steps = 20,
    auditor_lr: StepSize = 0.1,
    subspace_steps: SubspaceSteps = 20,
    subspace_lr: SubspaceStepSize = 1.0,
    full_steps: FullSteps = 20,
    full_lr: FullStepSize = 1e-3,
    iterations: Iterations = 1500,
    batch_size: BatchSize = 500,
    no_class_balance: NoBalance = False,
    impute: Impute = None,
    one_hot: OneHot = False,
    device: Device = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the first split.")] = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Train models over a grid and show what accuracy each step of consistency costs, on held-out rows.

    Example: rostra sensei sweep adult.csv --label income --sensitive sex,race --flip sex --out front
    """
    prepare(quiet=quiet, threads=threads)
    import json

    from rostra.engine.files import writable, write_atomically
    from rostra.engine.plots import save_picture

    from .estimator import SenSeIClassifier
    from .front import front
    from .plots import plot_front
    from .training import METHODS

    chosen = list_option(methods)
    unknown = [name for name in chosen if name not in METHODS]
    if unknown or not chosen:
        raise InputError(f"--methods must name some of {', '.join(METHODS)}; got '{methods}'")
    weights, budgets = number_list("--rho", rho, example="1,5,25"), number_list("--eps", eps, example="0.01,0.1")
    table, labels = _table(data, label, list_option(exclude))
    names = _sensitive(sensitive, label, table)
    estimator = SenSeIClassifier(
        sensitive=names,
        metric=metric,
        flips=tuple(flip or ()),
        hidden=_widths(hidden),
        auditor=auditor,
        auditor_steps=auditor_steps,
        auditor_lr=auditor_lr,
        subspace_steps=subspace_steps,
        subspace_lr=subspace_lr,
        full_steps=full_steps,
        full_lr=full_lr,
        iterations=iterations,
        batch_size=batch_size,
        class_balanced=not no_class_balance,
        impute=impute,
        one_hot=one_hot,
        device=device,
    )
    found = front(
        table,
        labels,
        estimator,
        methods=chosen,
        rho=weights,
        eps=budgets,
        seeds=seeds,
        seed=seed,
        flips=tuple(flip or ()),
    )
    paths = [writable(out / name) for name in ("front.csv", "front.png", "front.json")]
    measures = [name for name in found.columns if name not in ("method", "rho", "eps", "seed")]
    means = found.groupby(["method", "rho", "eps"], dropna=False, sort=False)[measures].mean().reset_index()
    with write_atomically(paths[0]) as temporary:
        found.to_csv(temporary, index=False, float_format="%.6g")
    shown = next((name for name in measures if "<->" in name), "sensitive")
    varied = [name for name, values in (("rho", weights), ("eps", budgets)) if len(values) > 1]
    points = {
        method: [(line["balanced_accuracy"], line[shown], _setting(line, varied)) for _, line in part.iterrows()]
        for method, part in means.groupby("method", sort=False)
    }
    figure = plot_front(
        {str(name): line for name, line in points.items()},
        f"balanced accuracy (held-out rows, mean of {seeds} splits)",
        f"share of rows with one answer\n{shown}",
    )
    save_picture(figure, paths[1])
    document = {"front": json.loads(means.to_json(orient="records")), "seeds": seeds, "files": list(map(str, paths))}
    with write_atomically(paths[2]) as temporary:
        temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
    text = means.to_string(index=False, float_format="%.3f", na_rep="")
    emit(document, f"{text}\npicture: {paths[1]}", json_output)


def _setting(line: Any, varied: list[str]) -> str:
    """What tells a model from others of its method."""
    return ", ".join(f"{name} {line[name]:g}" for name in varied if line[name] == line[name])
