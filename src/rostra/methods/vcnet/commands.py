"""``rostra vcnet``: curves from a CSV."""

__all__ = ["app"]

import functools
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rostra.engine.commands import Device, JsonOutput, Quiet, Seed, Threads, emit, list_option, prepare
from rostra.engine.errors import InputError

app = typer.Typer(help="VCNet: dose-response curves of a continuous treatment from observational data.")

Estimator = Literal["vcnet-tr", "vcnet", "drnet-tr", "drnet", "tarnet-tr", "tarnet"]
Preset = Literal["simulation", "ihdp", "news"]


@app.command()
def fit(
    data: Annotated[Path, typer.Argument(help="CSV file; its first line names the columns.")],
    treatment: Annotated[str, typer.Option(help="Column with the dose.")],
    outcome: Annotated[str, typer.Option(help="Column with the outcome.")],
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    covariates: Annotated[str, typer.Option(help="Columns to adjust for, a,b,c; default: all others.")] = "",
    exclude: Annotated[str, typer.Option(help="Columns to leave out, a,b,c.")] = "",
    estimator: Annotated[Estimator, typer.Option(help="Network; -tr: with targeted regularization.")] = "vcnet-tr",
    bootstrap: Annotated[int, typer.Option(min=0, help="Refits for the band; 0: none.")] = 50,
    impute: Annotated[str | None, typer.Option(help="'median' fills missing covariates.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the rows; default: 800.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate; default: chosen on held-out rows.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Rows a step; default: all.")] = None,
    t_range: Annotated[str | None, typer.Option(help="LOW,HIGH of the dose; default: observed.")] = None,
    t_scale: Annotated[Literal["minmax", "rank"] | None, typer.Option(help="'rank' suits skewed doses.")] = None,
    preset: Annotated[Preset | None, typer.Option(help="The paper's settings; doses must be in 0 to 1.")] = None,
    device: Device = None,
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Fit a dose-response curve to a CSV and save the model.

    Example: rostra vcnet fit trial.csv --treatment dose --outcome relief --out model
    """
    prepare(quiet=quiet, threads=threads)
    from rostra.engine.checkpoints import check_folder
    from rostra.fields.tabular.tables import read_table

    from . import estimator as estimators
    from .inputs import parse_range
    from .table import split_table

    if bootstrap == 1:
        raise InputError("--bootstrap must be 0 (no band) or at least 2, got 1")
    fixed = [name for name, value in (("--t-range", t_range), ("--t-scale", t_scale)) if preset and value is not None]
    if fixed:
        raise InputError(f"--preset {preset} takes doses as they are, in 0 to 1; leave {fixed[0]} out")
    check_folder(out)
    table = split_table(
        read_table(data),
        treatment=treatment,
        outcome=outcome,
        covariates=list_option(covariates),
        exclude=list_option(exclude),
        impute=impute,
    )
    name, _, suffix = estimator.partition("-")
    kinds: dict[str, Any] = {
        "vcnet": estimators.VCNetRegressor,
        "drnet": estimators.DRNetRegressor,
        "tarnet": estimators.TARNetRegressor,
    }
    given = {
        "epochs": epochs,
        "lr": lr,
        "batch_size": batch_size,
        "t_range": None if t_range is None else parse_range(t_range),
        "t_scale": t_scale,
        "device": device,
    }
    settings: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    make = functools.partial(kinds[name].from_preset, preset) if preset else kinds[name]
    model = make(targeted=suffix == "tr", random_state=seed, **settings)
    model.fit(table.X, table.y, treatment=table.treatment)
    if bootstrap:
        model.fit_bootstrap(bootstrap)
    model.save(out, notes={"treatment": treatment, "outcome": outcome, "estimator": estimator, "data": data.name})
    found = {
        "model": str(out),
        "rows": len(table.y),
        "covariates": list(map(str, table.X.columns)),
        "learning_rate": model.learning_rate_,
        "restarts": model.restarts_,
        "bootstrap": bootstrap,
        "treatment_range": list(model.t_range_),
    }
    emit(
        found,
        f"fitted {estimator} to {len(table.y)} rows, {table.X.shape[1]} covariates (learning rate "
        f"{model.learning_rate_:g}); saved to {out}\nnext: rostra vcnet curve {out} --out curve.csv --plot curve.png",
        json_output,
    )


@app.command()
def curve(
    model: Annotated[Path, typer.Argument(help="Folder saved by 'rostra vcnet fit'.")],
    out: Annotated[Path, typer.Option(help="CSV file for the curve.")],
    plot: Annotated[Path | None, typer.Option(help="Picture of the curve: .png, .svg or .pdf.")] = None,
    diagnostics: Annotated[Path | None, typer.Option(help="Picture of training, overlap and support.")] = None,
    grid: Annotated[int, typer.Option(min=2, max=10_001, help="Number of doses.")] = 101,
    level: Annotated[float, typer.Option(help="Level of the band.")] = 0.95,
    simultaneous: Annotated[bool, typer.Option("--simultaneous", help="Band for the whole curve at once.")] = False,
    estimator: Annotated[Literal["tr", "plugin"] | None, typer.Option(help="Default: tr for a -tr model.")] = None,
    device: Device = None,
    seed: Annotated[int, typer.Option(help="Changes nothing: a saved model draws nothing at random.")] = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: JsonOutput = False,
) -> None:
    """Read the dose-response curve of a saved model, with its band, as a table and a picture.

    Columns: t, dose_response, lower, upper, n_eff (rows that speak for the dose), extrapolation.

    Example: rostra vcnet curve model --out curve.csv --plot curve.png
    """
    prepare(quiet=quiet, threads=threads)
    import numpy as np
    import pandas as pd

    from rostra.engine.files import writable, write_atomically
    from rostra.engine.plots import check_picture

    from .estimator import VCNetRegressor, check_level
    from .plots import plot_curve, plot_diagnostics

    check_level(level)
    fitted = VCNetRegressor.load(model, device=device)
    writable(out)
    for picture in (plot, diagnostics):
        if picture is not None:
            check_picture(picture)
    t = np.linspace(*fitted.t_range_, grid)
    labels = {name: fitted.notes_.get(name, name) for name in ("treatment", "outcome")}
    lower = upper = np.full(grid, np.nan)
    if fitted.n_boot_:
        lower, upper = fitted.confidence_band(t, estimator=estimator, level=level, simultaneous=simultaneous)
    table = pd.DataFrame(
        {
            "t": t,
            "dose_response": fitted.dose_response(t, estimator=estimator),
            "lower": lower,
            "upper": upper,
            "n_eff": fitted.effective_sample_size(t),
            "extrapolation": fitted.extrapolates(t),
        }
    )
    with write_atomically(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.8g")
    if plot is not None:
        kind = "simultaneous" if simultaneous else "pointwise"
        band = f"{level:.0%} {kind} bootstrap band ({fitted.n_boot_} refits)"
        plot_curve(table, fitted.training_doses_, plot, **labels, band=band)
    if diagnostics is not None:
        plot_diagnostics(fitted, diagnostics, **labels)
    found = {"curve": str(out), "plot": plot and str(plot), "doses": grid, "bootstrap": fitted.n_boot_}
    emit(found, f"curve at {grid} doses written to {out}" + (f"; picture: {plot}" if plot else ""), json_output)
