"""Plots of dose-response curves."""

__all__ = ["plot_curve"]

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rostra.engine.plots import ACCENTS, new_figure

if TYPE_CHECKING:
    import pandas as pd

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
    figure.patch.set_alpha(1.0)
    figure.patch.set_facecolor("white")
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
    figure.savefig(path, dpi=160)


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last position of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [(int(start), int(stop) - 1) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
