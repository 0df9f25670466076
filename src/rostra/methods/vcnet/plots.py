"""Plots of dose-response curves."""

__all__ = ["plot_curve", "plot_diagnostics"]

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rostra.engine.plots import ACCENTS, new_figure, save_picture

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from .estimator import DRNetRegressor, VCNetRegressor

Array = NDArray[np.float64]


def plot_curve(curve: "pd.DataFrame", doses: Array, path: Path, *, treatment: str, outcome: str, band: str) -> None:
    """Draw a curve with its band, a rug of the observed doses, and the doses without support shaded.

    Args:
        curve: columns t, dose_response, lower, upper (may be NaN), extrapolation.
        doses: observed treatments.
        path: file to write; its ending gives the format.
        treatment, outcome: labels of the axes.
        band: what the band is, for the legend.
    """
    figure, axes = new_figure(7.2, 4.2)
    t = curve["t"].to_numpy()
    blue = ACCENTS[0]
    if curve["lower"].notna().all():
        axes.fill_between(t, curve["lower"], curve["upper"], color=blue, alpha=0.18, linewidth=0, label=band)
    axes.plot(t, curve["dose_response"], color=blue, linewidth=2, label="dose response")
    beyond = curve["extrapolation"].to_numpy(dtype=bool)
    label: str | None = "fewer than 1 % of treatments beyond"
    for start, stop in _runs(beyond):
        # The shade ends half-way to the first dose with support.
        left = t[start] if start == 0 else (t[start - 1] + t[start]) / 2
        right = t[stop] if stop == len(t) - 1 else (t[stop] + t[stop + 1]) / 2
        axes.axvspan(left, right, color="#8a8a8a", alpha=0.16, linewidth=0, label=label)
        label = None
    shown = doses if len(doses) <= 2000 else np.random.default_rng(0).choice(doses, 2000, replace=False)
    axes.plot(
        shown,
        np.full(len(shown), 0.012),
        "|",
        color="#444444",
        alpha=0.35,
        markersize=7,
        transform=axes.get_xaxis_transform(),
    )
    axes.set_xlabel(treatment)
    axes.set_ylabel(f"mean {outcome} if everybody had this dose")
    axes.legend(frameon=False, fontsize=9)
    save_picture(figure, path)


def plot_diagnostics(model: "VCNetRegressor | DRNetRegressor", path: Path, *, treatment: str, outcome: str) -> None:
    """Six panels that tell whether a curve can be trusted: training, epsilon, overlap, support, single units.

    Args:
        model: fitted.
        path: file to write; its ending gives the format.
        treatment, outcome: names with which the axes are labelled.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 6.8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3).ravel()
    grid = np.linspace(*model.t_range_, 101)
    _draw_losses(panels[0], model.loss_history_, targeted=model.targeted)
    panels[1].plot(grid, model.epsilon(grid), color=ACCENTS[1])
    panels[1].axhline(0.0, color="#888888", linewidth=0.8)
    _label(panels[1], "perturbation of targeted regularization", treatment, f"epsilon ({outcome})")
    overlap = model.overlap(grid)
    panels[2].semilogy(grid, np.median(overlap, axis=0), color=ACCENTS[0], label="median unit")
    panels[2].semilogy(grid, np.quantile(overlap, 0.05, axis=0), color=ACCENTS[2], label="5 % of units lie below")
    panels[2].semilogy(grid, np.maximum(overlap.min(axis=0), 1e-12), color=ACCENTS[1], label="least probable unit")
    panels[2].legend(frameon=False, fontsize=8)
    _label(panels[2], "overlap: how probable each dose is", treatment, "density of the dose")
    panels[3].hist(model.training_density_, bins=40, color=ACCENTS[0])
    _label(panels[3], "density of each unit at its own dose", "density", "units")
    panels[4].plot(grid, model.effective_sample_size(grid), color=ACCENTS[0])
    panels[4].set_ylim(bottom=0)
    _label(panels[4], "support: rows that speak for a dose", treatment, "effective sample size")
    shown = model.individual_curves(grid, model.training_covariates_[:60])
    panels[5].plot(grid, shown.T, color=ACCENTS[0], alpha=0.25, linewidth=0.8)
    panels[5].plot(grid, model.dose_response(grid, estimator="plugin"), color="#111111", linewidth=2)
    _label(panels[5], "single units (60) and their mean", treatment, outcome)
    save_picture(figure, path)


def _draw_losses(axes: "Axes", history: Array, *, targeted: bool) -> None:
    """Squared error, density loss and targeted loss by epoch."""
    for column, name in enumerate(("squared error", "density loss", "targeted loss")[: 3 if targeted else 2]):
        axes.plot(history[:, column], color=ACCENTS[column], label=name)
    axes.legend(frameon=False, fontsize=8)
    axes.set_yscale("log")
    _label(axes, "training", "epoch", "loss (scaled units)")


def _label(axes: "Axes", title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last position of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [(int(start), int(stop) - 1) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
