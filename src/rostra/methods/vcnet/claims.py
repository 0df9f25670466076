"""The paper's claims about VCNet, as runs. Margins and seeds are fixed here, before any run."""

__all__ = ["CLAIMS"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rostra.engine.claims import Claim, Context, Row, Scale
from rostra.engine.stats import Law, Superiority, Threshold

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARMS = ("vcnet_tr", "vcnet", "drnet_tr", "drnet", "tarnet_tr", "tarnet")
CURVE_DOSES = 101
CURVES_KEPT = 3
"""Data sets whose whole curves are kept, for the figure."""


def simulation(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """Train one arm on one simulated data set a seed, all in one batched program, and measure its curve.

    Metrics: ``amse``, the mean squared error of the curve at the test treatments (no root, as in
    the paper), by the arm's own estimator; ``amse_plugin``, by the plug-in; ``max_jump``, the
    largest jump of the plug-in curve at the edges of the bins; ``density_loss``, the mean of
    -log g on the training rows at the end, ln(11) = 2.398 for a density that learned nothing.
    """
    import numpy as np

    from . import curves
    from .data import make_simulation
    from .training import BIN_EDGES, TrainingData, preset, train

    model, _, suffix = arm.partition("_")
    targeted = suffix == "tr"
    config = preset("simulation", model, targeted=targeted, epochs=settings["epochs"])
    data = [make_simulation(settings["n_train"], settings["n_test"], seed=seed) for seed in seeds]
    rows = TrainingData(
        np.stack([d.train.X for d in data]),
        np.stack([d.train.treatment for d in data]),
        np.stack([d.train.y for d in data]),
    )
    fitted = train(rows, config, seeds, device=context.device)
    x = np.stack([d.test.X for d in data])
    grid = np.linspace(0.0, 1.0, CURVE_DOSES)
    on_grid = curves.dose_response(fitted, grid, x, targeted=targeted)
    jumps = curves.jumps(fitted, np.array(BIN_EDGES), x)
    for copy, (seed, d) in enumerate(zip(seeds, data, strict=True)):
        t, truth = d.test.treatment, d.dose_response(d.test.treatment)
        one = fitted.select(copy)
        plug_in = curves.dose_response(one, t, x[copy : copy + 1], targeted=False)[0]
        estimate = curves.dose_response(one, t, x[copy : copy + 1], targeted=True)[0] if targeted else plug_in
        row: Row = {
            "seed": seed,
            "amse": float(np.mean((estimate - truth) ** 2)),
            "amse_plugin": float(np.mean((plug_in - truth) ** 2)),
            "max_jump": float(jumps[copy].max()),
            "density_loss": float(fitted.history[-1, 1, copy]),
            "restarts": int(fitted.restarts[copy]),
        }
        if seed < CURVES_KEPT:
            row["curve"] = [round(float(v), 5) for v in on_grid[copy]]
            row["truth"] = [round(float(v), 5) for v in d.dose_response(grid)]
        yield row


def draw_curves(rows: Mapping[str, Sequence[Row]]) -> "Figure":
    """The curve that each arm learned on data set 0, and the true one."""
    import numpy as np

    from rostra.engine.plots import ACCENTS, new_figure

    figure, axes = new_figure(7.0, 3.4)
    grid = np.linspace(0.0, 1.0, CURVE_DOSES)
    first = {arm: next(row for row in found if row["seed"] == 0) for arm, found in rows.items()}
    axes.plot(grid, next(iter(first.values()))["truth"], color="#0a0b0c", linewidth=2.2, label="true curve")
    for colour, (arm, row) in zip(ACCENTS, first.items(), strict=False):
        axes.plot(grid, row["curve"], color=colour, linewidth=1.3, label=arm)
    axes.set_xlabel("dose t (scaled to 0 to 1), data set 0")
    axes.set_ylabel("mean outcome (units of y)")
    axes.legend(frameon=False, fontsize=8, ncols=2, labelcolor="#0a0b0c")
    return figure


_SIMULATION = {
    "smoke": Scale({"n_train": 500, "n_test": 200, "epochs": 200}, seeds=2, chunk=2, arms=("vcnet", "drnet")),
    "laptop": Scale({"n_train": 500, "n_test": 200, "epochs": 800}, seeds=100, chunk=10),
    "paper": Scale({"n_train": 500, "n_test": 200, "epochs": 800}, seeds=100, chunk=10),
}


def _with_arms(scale: Scale, arms: tuple[str, ...]) -> Scale:
    return replace(scale, arms=arms)


_CONTINUITY_ARMS = ("vcnet", "drnet", "tarnet")
_RECALLED = "The paper's numbers were recalled, not checked against the publication."

CLAIMS = [
    Claim(
        name="beats_heads",
        statement="VCNet estimates the dose-response curve with less error than DRNet and TARNet.",
        source="Nie et al. (2021), table 1, simulation",
        paper={"vcnet": 0.018, "drnet": 0.042, "tarnet": 0.045},
        metric="amse",
        unit="squared units of y",
        arms=ARMS,
        scales=_SIMULATION,
        comparisons=(
            Superiority("vcnet", over="drnet", metric="amse", lower_is_better=True),
            Superiority("vcnet", over="tarnet", metric="amse", lower_is_better=True),
            Superiority("vcnet_tr", over="drnet_tr", metric="amse", lower_is_better=True),
            Superiority("vcnet_tr", over="tarnet_tr", metric="amse", lower_is_better=True),
        ),
        run=simulation,
        note=_RECALLED,
        figure=draw_curves,
    ),
    Claim(
        name="targeted",
        statement="Targeted regularization lowers the error of VCNet's curve.",
        source="Nie et al. (2021), table 1, simulation",
        paper={"vcnet": 0.018, "vcnet_tr": 0.014},
        metric="amse",
        unit="squared units of y",
        arms=("vcnet_tr", "vcnet"),
        scales={**_SIMULATION, "smoke": _with_arms(_SIMULATION["smoke"], ("vcnet_tr", "vcnet"))},
        comparisons=(Superiority("vcnet_tr", over="vcnet", metric="amse", lower_is_better=True),),
        run=simulation,
        note=_RECALLED,
        figure=draw_curves,
    ),
    Claim(
        name="continuity",
        statement="VCNet's curve is continuous in the dose; the curves of DRNet and TARNet jump at the bins' edges.",
        source="Nie et al. (2021), figure 1 and section 3.1",
        paper={},
        metric="max_jump",
        unit="units of y",
        arms=_CONTINUITY_ARMS,
        scales={scale: _with_arms(size, _CONTINUITY_ARMS) for scale, size in _SIMULATION.items()},
        comparisons=(
            Law("vcnet", metric="max_jump", value=0.0, tolerance=1e-6),
            Threshold("drnet", metric="max_jump", bound=0.01),
            Threshold("tarnet", metric="max_jump", bound=0.01),
        ),
        run=simulation,
        note="A jump is the difference between the edge and 1e-9 to the left of it, in float64.",
        figure=draw_curves,
    ),
]
