"""Pictures of a study: curves, their collapse, n* against D, and deviations from equivariance."""

__all__ = ["draw_collapse", "draw_curves", "draw_n_star"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rostra.engine.plots import ACCENTS, INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .complexity import SampleComplexity

LINES = ("-", "--", ":", "-.")


def draw_curves(studies: "Sequence[SampleComplexity]") -> "Figure":
    """Score against n; a colour a learner, darker for larger D."""
    return _curves(studies, 0.0)


def draw_collapse(studies: "Sequence[SampleComplexity]", power: float = 2.0) -> "Figure":
    """Score against n / D^power."""
    return _curves(studies, power)


def _curves(studies: "Sequence[SampleComplexity]", power: float) -> "Figure":
    figure, axes = new_figure(7.0, 4.2)
    for number, study in enumerate(studies):
        colour = ACCENTS[number % len(ACCENTS)]
        dimensions = sorted(study.curves["D"].unique())
        for rank, dimension in enumerate(dimensions):
            mean = study.curves[study.curves["D"] == dimension].groupby("n")["score"].mean()
            strength = 0.35 + 0.65 * (rank + 1) / len(dimensions)
            sizes = np.asarray(mean.index, dtype=float) / float(dimension) ** power
            label = f"{study.learner}, D = {dimension}"
            axes.plot(sizes, mean, LINES[rank % 4], marker="o", markersize=3, color=colour, alpha=strength, label=label)
    target = studies[0].target
    axes.axhline(target, color=INK, linewidth=0.8, linestyle=(0, (1, 3)))
    axes.annotate(
        f"target {target:g}", (0.01, target), xycoords=("axes fraction", "data"), fontsize=8, color=INK, va="bottom"
    )
    _finish(axes, "n" if power == 0 else f"n / D^{power:g}", "score on test points")
    return figure


def draw_n_star(studies: "Sequence[SampleComplexity]") -> "Figure":
    """n* against D with intervals; open triangles are lower bounds. Dotted: slopes 0, 1 and 2."""
    figure, axes = new_figure(7.0, 4.2)
    for number, study in enumerate(studies):
        colour, table = ACCENTS[number % len(ACCENTS)], study.n_star
        slope = "" if study.exponent is None else f": β = {study.exponent:.2f}"
        axes.plot(table["D"], table["n_star"], color=colour, label=f"{study.learner}{slope}")
        axes.vlines(table["D"], table["low"], table["high"], color=colour, linewidth=2)
        for open_, part in table.groupby(table["censored"] == "above"):
            face: Any = "none" if open_ else colour
            axes.scatter(part["D"], part["n_star"], s=26, marker="^" if open_ else "o", color=colour, facecolors=face)
    axes.set_yscale("log")
    _finish(axes, "D", f"n*: examples for a score of {studies[0].target:g}")
    return figure


def _finish(axes: "Axes", x: str, y: str) -> None:
    axes.set_xscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.legend(frameon=False, fontsize=7, labelcolor=INK, ncols=2, loc="best")
