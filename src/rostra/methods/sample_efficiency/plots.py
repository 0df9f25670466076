"""Pictures of a study: curves, their collapse, n* against D, and deviations from equivariance."""

__all__ = ["draw_collapse", "draw_curves", "draw_equivariance", "draw_n_star", "draw_table"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rostra.engine.plots import ACCENTS, INK, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .complexity import SampleComplexity

LINES = ("-", "--", ":", "-.")
SUPERSCRIPTS = {1.0: "", 2.0: "²", 3.0: "³"}


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
    _finish(axes, "n" if power == 0 else f"n / D{SUPERSCRIPTS.get(power, f'^{power:g}')}", "score on test points")
    return figure


def draw_n_star(studies: "Sequence[SampleComplexity]") -> "Figure":
    """n* against D with intervals; open triangles are lower bounds."""
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


def draw_equivariance(table: "pd.DataFrame", value: str) -> "Figure":
    """The table of a check: algorithms by groups, shaded where the algorithm tells the data from their image.

    Args:
        table: columns algorithm, group, passed and ``value``.
        value: "relative", shown by its order of magnitude, or "p_value".
    """
    algorithms, groups = list(dict.fromkeys(table["algorithm"])), list(dict.fromkeys(table["group"]))
    cells = {(row.algorithm, row.group): row for row in table.itertuples()}
    texts = [
        [
            f"{number:.3f}" if value == "p_value" else ("0" if number == 0 else f"{number:.0e}")
            for number in (getattr(cells[a, g], value) for g in groups)
        ]
        for a in algorithms
    ]
    seen = np.array([[not cells[a, g].passed for g in groups] for a in algorithms])
    return draw_table(algorithms, groups, texts, seen)


def draw_table(rows: Sequence[str], columns: Sequence[str], texts: Sequence[Sequence[str]], shaded: Any) -> "Figure":
    """A table of texts; some cells are shaded."""
    figure, axes = new_figure(7.0, 0.9 + 0.27 * len(rows))
    axes.imshow(np.asarray(shaded, dtype=float), cmap="Blues", vmin=0, vmax=2, aspect="auto", alpha=0.7)
    for i, line in enumerate(texts):
        for j, text in enumerate(line):
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color=INK)
    axes.set_xticks(range(len(columns)), [name.replace("_", " ") for name in columns])
    axes.set_yticks(range(len(rows)), list(rows))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _finish(axes: "Axes", x: str, y: str) -> None:
    axes.set_xscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.legend(frameon=False, fontsize=7, labelcolor=INK, ncols=2, loc="best")
