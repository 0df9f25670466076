"""The paper's claims about VCNet, as runs. Margins and seeds are fixed here, before any run."""

__all__ = ["CLAIMS"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rostra.engine.claims import Claim, Context, Row, Scale
from rostra.engine.stats import Law, Superiority, Threshold

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .data import DoseResponseData

ARMS = ("vcnet_tr", "vcnet", "drnet_tr", "drnet", "tarnet_tr", "tarnet")
CLASSICAL = ("naive_spline", "gps", "forest", "boosting", "kernel_dr")
DOUBLY_ROBUST_ARMS = {
    # estimator, outcome model right, density right
    "tr_outcome_wrong": ("tr", False, True),
    "tr_density_wrong": ("tr", True, False),
    "tr_both_wrong": ("tr", False, False),
    "dr_outcome_wrong": ("dr", False, True),
    "dr_density_wrong": ("dr", True, False),
    "dr_both_wrong": ("dr", False, False),
}
CURVE_DOSES = 101
CURVES_KEPT = 3
"""Data sets whose whole curves are kept, for the figure."""


def simulation(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """One simulated data set a seed; the networks of an arm are trained in one batched program.

    Metrics: ``amse``, the mean squared error of the curve at the test treatments (no root, as in
    the paper), by the arm's own estimator. For networks also ``amse_plugin``, by the plug-in;
    ``max_jump``, the largest jump of the plug-in curve at the edges of the bins; ``density_loss``,
    the mean of -log g on the training rows at the end, ln(11) = 2.398 for a density that learned
    nothing; ``restarts``.
    """
    from .data import make_simulation

    data = [make_simulation(settings["n_train"], settings["n_test"], seed=seed) for seed in seeds]
    return _measure("simulation", data, settings, arm, seeds, context)


def ihdp(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """One split of the IHDP data a seed: real covariates, or generated ones of the same shape. Metrics as above."""
    import numpy as np

    from .data import DATASETS, make_ihdp

    if settings["covariates"] == "generated":
        covariates = np.random.default_rng(0).uniform(0.1, 1.0, size=(747, 25))
    else:
        covariates = context.dataset(next(d for d in DATASETS if d.name == "ihdp"))
    data = [make_ihdp(covariates, seed=seed, redraw=settings["redraw"]) for seed in seeds]
    return _measure("ihdp", data, settings, arm, seeds, context)


def news(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """One draw on the New York Times word counts a seed, or on generated counts. Metrics as above."""
    import numpy as np

    from .data import DATASETS, make_news

    if settings["covariates"] == "generated":
        counts = np.random.default_rng(0).poisson(0.15, size=(600, 100))
        matrix = counts / counts.max(axis=0)
    else:
        matrix = context.dataset(next(d for d in DATASETS if d.name == "news"))
    data = [make_news(matrix, seed=seed, n_train=settings["n_train"]) for seed in seeds]
    return _measure("news", data, settings, arm, seeds, context)


def _measure(
    preset_name: str,
    data: "Sequence[DoseResponseData]",
    settings: Mapping[str, Any],
    arm: str,
    seeds: Sequence[int],
    context: Context,
) -> Iterator[Row]:
    """Rows of one arm, a network or a classical estimator, on given data sets."""
    if arm in CLASSICAL:
        return _measure_classical(data, arm, seeds)
    return _measure_networks(preset_name, data, settings["epochs"], arm, seeds, context)


def _measure_networks(
    preset_name: str,
    data: "Sequence[DoseResponseData]",
    epochs: int,
    arm: str,
    seeds: Sequence[int],
    context: Context,
) -> Iterator[Row]:
    import numpy as np

    from . import curves
    from .training import BIN_EDGES, TrainingData, preset, train

    model, _, suffix = arm.partition("_")
    targeted = suffix == "tr"
    rows = TrainingData(
        np.stack([d.train.X for d in data]),
        np.stack([d.train.treatment for d in data]),
        np.stack([d.train.y for d in data]),
    )
    fitted = train(rows, preset(preset_name, model, targeted=targeted, epochs=epochs), seeds, device=context.device)
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
        yield row | (_curves_of(on_grid[copy], d) if seed < CURVES_KEPT else {})


def _measure_classical(data: "Sequence[DoseResponseData]", arm: str, seeds: Sequence[int]) -> Iterator[Row]:
    import numpy as np

    from .baselines import classical_estimator

    for seed, d in zip(seeds, data, strict=True):
        model = classical_estimator(arm, seed)
        model.fit(d.train.X, d.train.y, treatment=d.train.treatment)
        # Test treatments may lie a little outside the training range; the networks read them too.
        t = np.clip(d.test.treatment, *model.t_range_)
        grid = np.clip(np.linspace(0.0, 1.0, CURVE_DOSES), *model.t_range_)
        both = np.concatenate([t, grid])
        curve = model.dose_response(both) if arm == "kernel_dr" else model.dose_response(both, d.test.X)
        error = curve[: len(t)] - d.dose_response(d.test.treatment)
        row: Row = {"seed": seed, "amse": float(np.mean(error**2))}
        yield row | (_curves_of(curve[len(t) :], d) if seed < CURVES_KEPT else {})


def _curves_of(curve: Any, data: "DoseResponseData") -> Row:
    """The whole curve and the true one, for the figure."""
    import numpy as np

    truth = data.dose_response(np.linspace(0.0, 1.0, CURVE_DOSES))
    return {"curve": [round(float(v), 5) for v in curve], "truth": [round(float(v), 5) for v in truth]}


def confounding(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """The strongly confounded benchmark, with estimators as a user has them (learning rate by held-out rows).

    Metric ``mse``: squared error of the curve on an even grid of doses from 0.1 to 0.9.
    """
    import numpy as np

    from .baselines import classical_estimator, linear_adjusted_spline
    from .data import make_confounded
    from .estimator import VCNetRegressor

    grid = np.linspace(0.1, 0.9, 41)
    for seed in seeds:
        d = make_confounded(settings["n_train"], settings["n_test"], seed=seed)
        model: Any
        if arm == "linear":
            curve = linear_adjusted_spline(d, grid)
        else:
            if arm.startswith("vcnet"):
                model = VCNetRegressor(
                    targeted=arm == "vcnet_tr", epochs=settings["epochs"], random_state=seed, device=context.device
                )
            else:
                model = classical_estimator(arm, seed)
            model.fit(d.train.X, d.train.y, treatment=d.train.treatment)
            curve = model.dose_response(grid) if arm == "kernel_dr" else model.dose_response(grid, d.test.X)
        yield {"seed": seed, "mse": float(np.mean((curve - d.dose_response(grid)) ** 2))}


def doubly_robust(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """The two doubly robust estimators with one part given right and the other given wrong.

    Nothing is trained: the outcome model is the true one or 0, the density the true one or
    uniform, so what is seen is the estimators' own property. Metrics: ``mse_small`` and
    ``mse_large``, squared error of the curve from 0.1 to 0.9 with few and with many rows;
    ``log2_ratio``, log2 of large over small.
    """
    import numpy as np

    from .baselines import pseudo_outcome_curve, targeted_curve
    from .data import make_overlap

    grid = np.linspace(0.1, 0.9, 41)
    kind, outcome_right, density_right = DOUBLY_ROBUST_ARMS[arm]
    for seed in seeds:
        errors = []
        for rows in (settings["n_small"], settings["n_large"]):
            d = make_overlap(rows, seed=seed)
            estimate = targeted_curve if kind == "tr" else pseudo_outcome_curve
            curve = estimate(d, grid, outcome_right=outcome_right, density_right=density_right)
            errors.append(float(np.mean((curve - d.dose_response(grid)) ** 2)))
        yield {
            "seed": seed,
            "mse_small": errors[0],
            "mse_large": errors[1],
            "log2_ratio": float(np.log2(errors[1] / errors[0])),
        }


def band_coverage(settings: Mapping[str, Any], arm: str, seeds: Sequence[int], context: Context) -> Iterator[Row]:
    """How often nominal 95 % bands hold the true curve at the quartiles of the dose, on the simulation.

    Arm "bootstrap": one data set a seed, all refits in one batched program. Arm "influence": five
    data sets a seed. Metrics: ``coverage``, the share of the three doses that the pointwise band
    holds; ``simultaneous``, 1 if the simultaneous band holds all three; ``width``, mean width of
    the pointwise band.
    """
    import numpy as np

    from .classical import KernelDRRegressor
    from .data import make_simulation, simulation_curve
    from .estimator import VCNetRegressor

    for seed in seeds:
        bands: list[tuple[float, float, float]] = []
        for number in (seed,) if arm == "bootstrap" else range(5 * seed, 5 * seed + 5):
            train = make_simulation(settings["n_train"], 1, seed=number).train
            quartiles = np.quantile(train.treatment, [0.25, 0.5, 0.75])
            truth = simulation_curve(quartiles)
            if arm == "influence":
                model = KernelDRRegressor(random_state=number).fit(train.X, train.y, treatment=train.treatment)
                pointwise = whole = model.confidence_band(quartiles)
            else:
                network = VCNetRegressor.from_preset(
                    "simulation", epochs=settings["epochs"], random_state=number, device=context.device
                )
                network.fit(train.X, train.y, treatment=train.treatment).fit_bootstrap(settings["refits"])
                pointwise = network.confidence_band(quartiles)
                whole = network.confidence_band(quartiles, simultaneous=True)
            bands.append(
                (
                    float(np.mean((pointwise[0] <= truth) & (truth <= pointwise[1]))),
                    float(np.all((whole[0] <= truth) & (truth <= whole[1]))),
                    float(np.mean(pointwise[1] - pointwise[0])),
                )
            )
        coverage, simultaneous, width = np.mean(bands, axis=0)
        row: Row = {"seed": seed, "coverage": float(coverage), "width": float(width)}
        if arm == "bootstrap":
            row["simultaneous"] = float(simultaneous)
        yield row


def draw_curves(rows: Mapping[str, Sequence[Row]]) -> "Figure":
    """The curve that each arm learned on data set 0, and the true one."""
    import numpy as np

    from rostra.engine.plots import ACCENTS, INK, new_figure

    figure, axes = new_figure(7.0, 3.4)
    grid = np.linspace(0.0, 1.0, CURVE_DOSES)
    first = {arm: next(row for row in found if row["seed"] == 0) for arm, found in rows.items()}
    axes.plot(grid, next(iter(first.values()))["truth"], color=INK, linewidth=2.2, label="true curve")
    for colour, (arm, row) in zip(ACCENTS, first.items(), strict=False):
        axes.plot(grid, row["curve"], color=colour, linewidth=1.3, label=arm)
    axes.set_xlabel("dose t (scaled to 0 to 1), data set 0")
    axes.set_ylabel("mean outcome (units of y)")
    axes.legend(frameon=False, fontsize=8, ncols=2, labelcolor=INK)
    return figure


_SIZES: dict[str, Any] = {"n_train": 500, "n_test": 200, "epochs": 800}
_SIMULATION = {
    "smoke": Scale({**_SIZES, "epochs": 200}, seeds=2, chunk=2, arms=("vcnet", "drnet", "naive_spline")),
    "laptop": Scale(_SIZES, seeds=100, chunk=10),
    "paper": Scale(_SIZES, seeds=100, chunk=10),
}
_IHDP: dict[str, Any] = {"covariates": "real", "redraw": False, "epochs": 800}
_NEWS: dict[str, Any] = {"covariates": "real", "n_train": 2000, "epochs": 800}
_AGAINST_HEADS = tuple(
    Superiority(f"vcnet{suffix}", over=f"{heads}{suffix}", metric="amse", lower_is_better=True)
    for suffix in ("", "_tr")
    for heads in ("drnet", "tarnet")
)
_RECALLED = "The paper's numbers were recalled, not checked against the publication."


def _arms(scales: Mapping[str, Scale], arms: tuple[str, ...]) -> dict[str, Scale]:
    """The same scales for other arms; smoke runs those of them that are named there."""
    return {
        name: replace(size, arms=tuple(arm for arm in arms if name != "smoke" or arm in (size.arms or arms)) or arms)
        for name, size in scales.items()
    }


CLAIMS = [
    Claim(
        name="beats_heads",
        statement="VCNet estimates the dose-response curve with less error than DRNet and TARNet.",
        source="Nie et al. (2021), table 1, simulation",
        paper={"vcnet": 0.018, "drnet": 0.042, "tarnet": 0.045},
        metric="amse",
        unit="squared units of y",
        arms=(*ARMS, "naive_spline"),
        scales=_SIMULATION,
        comparisons=_AGAINST_HEADS,
        run=simulation,
        note=f"{_RECALLED} naive_spline ignores the covariates: where it is level with a method, the benchmark hardly "
        "tests adjustment for confounding (see vcnet.confounding for one that does).",
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
        scales={**_SIMULATION, "smoke": replace(_SIMULATION["smoke"], arms=("vcnet_tr", "vcnet"))},
        comparisons=(Superiority("vcnet_tr", over="vcnet", metric="amse", lower_is_better=True),),
        run=simulation,
        note=f"{_RECALLED} The density loss of a density that learned nothing is ln(11) = 2.398; where the arms' "
        "density loss is close to it, the gain is that of a smooth correction by dose, not of double robustness.",
        figure=draw_curves,
    ),
    Claim(
        name="continuity",
        statement="VCNet's curve is continuous in the dose; the curves of DRNet and TARNet jump at the bins' edges.",
        source="Nie et al. (2021), figure 1 and section 3.1",
        paper={},
        metric="max_jump",
        unit="units of y",
        arms=("vcnet", "drnet", "tarnet"),
        scales={name: replace(size, arms=("vcnet", "drnet", "tarnet")) for name, size in _SIMULATION.items()},
        comparisons=(
            Law("vcnet", metric="max_jump", value=0.0, tolerance=1e-6),
            Threshold("drnet", metric="max_jump", bound=0.01),
            Threshold("tarnet", metric="max_jump", bound=0.01),
        ),
        run=simulation,
        note="A jump is the difference between the edge and 1e-9 to the left of it, in float64.",
        figure=draw_curves,
    ),
    Claim(
        name="beats_classical",
        statement="VCNet with targeted regularization has less error than classical estimators and trees.",
        source="Nie et al. (2021), table 1, simulation",
        paper={"vcnet_tr": 0.014, "gps": 0.028},
        metric="amse",
        unit="squared units of y",
        arms=("vcnet_tr", *CLASSICAL),
        scales={
            **_arms(_SIMULATION, ("vcnet_tr", *CLASSICAL)),
            "smoke": replace(_SIMULATION["smoke"], arms=("vcnet_tr", "naive_spline", "gps")),
        },
        comparisons=tuple(Superiority("vcnet_tr", over=arm, metric="amse", lower_is_better=True) for arm in CLASSICAL),
        run=simulation,
        note=f"{_RECALLED} The paper compares with GPS, BART (0.040) and a causal forest (0.043); here trees are a "
        "random forest and boosting of the outcome on dose and covariates, so only GPS has a number of the paper.",
        figure=draw_curves,
    ),
    Claim(
        name="ihdp",
        statement="On IHDP, VCNet has less error than DRNet and TARNet, each with and without targeted regularization.",
        source="Nie et al. (2021), table 1, IHDP",
        paper={},
        metric="amse",
        unit="squared units of y",
        arms=(*ARMS, "naive_spline"),
        scales={
            "smoke": Scale(
                {**_IHDP, "covariates": "generated", "epochs": 50},
                seeds=2,
                chunk=2,
                arms=("vcnet", "drnet", "naive_spline"),
            ),
            "laptop": Scale(_IHDP, seeds=10, chunk=10),
            "paper": Scale({**_IHDP, "redraw": True}, seeds=50, chunk=10),
        },
        comparisons=_AGAINST_HEADS,
        run=ihdp,
        note="Seeds split one draw of doses and outcomes, as in the authors' code, so the interval understates the "
        "uncertainty over data sets. A fit that became non-finite starts again from new weights; restarts are counted. "
        "naive_spline ignores the covariates: where it is level or ahead, this benchmark ranks networks, and does not "
        "show what adjustment for confounding is worth (see vcnet.confounding).",
        figure=draw_curves,
    ),
    Claim(
        name="news",
        statement="On newspaper word counts, VCNet has less error than DRNet and TARNet.",
        source="Nie et al. (2021), table 1, News",
        paper={},
        metric="amse",
        unit="squared units of y",
        arms=(*ARMS, "naive_spline"),
        scales={
            "smoke": Scale(
                {**_NEWS, "covariates": "generated", "n_train": 400, "epochs": 20},
                seeds=2,
                chunk=2,
                arms=("vcnet", "drnet", "naive_spline"),
            ),
            "laptop": Scale(_NEWS, seeds=10, chunk=5),
            "paper": Scale(_NEWS, seeds=50, chunk=5),
        },
        comparisons=_AGAINST_HEADS,
        run=news,
        note="Other documents and words than the paper's matrix, which could not be had: no number here stands beside "
        "a published News number. naive_spline ignores the covariates: where it is level or ahead, this benchmark "
        "ranks networks only.",
        figure=draw_curves,
    ),
    Claim(
        name="confounding",
        statement="Where covariates drive dose and outcome alike, VCNet leaves less error than a spline without "
        "adjustment and than classical adjustment.",
        source="not in the paper: its benchmarks hardly test this",
        paper={},
        metric="mse",
        unit="squared units of y",
        arms=("vcnet_tr", "vcnet", "linear", *CLASSICAL),
        scales={
            "smoke": Scale(
                {"n_train": 300, "n_test": 100, "epochs": 50}, seeds=2, arms=("vcnet_tr", "naive_spline", "linear")
            ),
            "laptop": Scale({"n_train": 1000, "n_test": 300, "epochs": 800}, seeds=20),
            "paper": Scale({"n_train": 1000, "n_test": 300, "epochs": 800}, seeds=100),
        },
        comparisons=tuple(
            Superiority("vcnet_tr", over=arm, metric="mse", lower_is_better=True)
            for arm in ("naive_spline", "gps", "forest", "boosting", "kernel_dr")
        ),
        run=confounding,
        note="linear is a spline of the dose plus a line in each covariate: well specified here, the lower reference, "
        "not a comparator. The learning rate of VCNet is chosen on held-out rows.",
    ),
    Claim(
        name="doubly_robust",
        statement="The targeted and the pseudo-outcome estimator find the curve if either the outcome model or the "
        "density is right.",
        source="Nie et al. (2021), theorem 1; Kennedy et al. (2017)",
        paper={},
        metric="log2_ratio",
        unit="log2 of squared error, many rows over few",
        arms=tuple(DOUBLY_ROBUST_ARMS),
        scales={
            "smoke": Scale({"n_small": 500, "n_large": 2000}, seeds=2, chunk=2),
            "laptop": Scale({"n_small": 500, "n_large": 8000}, seeds=40, chunk=10),
            "paper": Scale({"n_small": 500, "n_large": 32000}, seeds=200, chunk=10),
        },
        comparisons=(
            *(
                Threshold(arm, metric="log2_ratio", bound=-1.0, lower_is_better=True)
                for arm in DOUBLY_ROBUST_ARMS
                if "both" not in arm
            ),
            Superiority("tr_outcome_wrong", over="tr_both_wrong", metric="mse_large", lower_is_better=True),
            Superiority("tr_density_wrong", over="tr_both_wrong", metric="mse_large", lower_is_better=True),
            Superiority("dr_outcome_wrong", over="dr_both_wrong", metric="mse_large", lower_is_better=True),
            Superiority("dr_density_wrong", over="dr_both_wrong", metric="mse_large", lower_is_better=True),
        ),
        run=doubly_robust,
        note="Outcome model and density are given, right or wrong, so nothing is learned: this tests the estimators, "
        "not the networks. From few rows to many (see the settings) the squared error must at least halve.",
    ),
    Claim(
        name="band_coverage",
        statement="The nominal 95 % bands hold the true curve at least 90 % of the time at the quartiles of the dose.",
        source="not in the paper, which gives no band",
        paper={},
        metric="coverage",
        unit="share of doses, nominal 0.95",
        arms=("bootstrap", "influence"),
        scales={
            "smoke": Scale({"n_train": 200, "epochs": 30, "refits": 40}, seeds=2, chunk=1),
            "laptop": Scale({"n_train": 500, "epochs": 800, "refits": 40}, seeds=40, chunk=1),
            "paper": Scale({"n_train": 500, "epochs": 800, "refits": 200}, seeds=200, chunk=1),
        },
        comparisons=(
            Threshold("bootstrap", metric="coverage", bound=0.90),
            Threshold("bootstrap", metric="simultaneous", bound=0.90),
            Threshold("influence", metric="coverage", bound=0.90),
        ),
        run=band_coverage,
        note="The simulation, its settings, and the population's curve. Where coverage lies below nominal, the "
        "network's bias is not small beside the band's width: read such a band as the spread of refits, not as a "
        "confidence statement. The influence-function arm has five data sets a seed.",
    ),
]
