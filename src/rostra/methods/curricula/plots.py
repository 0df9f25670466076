"""Pictures: suspicious images, agreement of scores, strategies of a study."""

__all__ = ["draw_agreement", "draw_contact_sheet", "draw_pacing", "draw_studies"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rostra.engine.plots import ACCENTS, INK, new_panels

from .ordering import ORDERS
from .pacing import PacingFunction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 10
FAR_BELOW = 0.15
"""Accuracy by which a strategy is below standard training to be counted, not drawn."""


def draw_contact_sheet(images: NDArray[np.uint8], captions: Sequence[str], colours: Sequence[str]) -> "Figure":
    """Images with captions, ten a line.

    Args:
        images: shape (n, C, H, W).
        captions: two short lines each.
        colours: of the captions.
    """
    rows = -(-len(images) // COLUMNS)
    figure, cells = new_panels(COLUMNS * 1.15, rows * 1.55, rows, COLUMNS)
    for cell in cells:
        cell.axis("off")
    for cell, image, caption, colour in zip(cells, images, captions, colours, strict=False):
        if len(image) == 1:
            cell.imshow(image[0], cmap="gray", vmin=0, vmax=255)
        else:
            cell.imshow(image.transpose(1, 2, 0))
        cell.set_title(caption, fontsize=7, color=colour, pad=2)
    return figure


def draw_agreement(table: pd.DataFrame, scores: Mapping[str, NDArray[np.float64]]) -> "Figure":
    """Left: Spearman correlation of every two scores. Right: what each of them finds hard (figures 2 and 3).

    Args:
        table: as :func:`.scorers.agreement` gives it for these scores.
        scores: by name, shape (n,).
    """
    names = list(scores)
    values = np.eye(len(names))
    for row in table.itertuples():
        i, j = names.index(str(row.first)), names.index(str(row.second))
        values[i, j] = values[j, i] = float(row.spearman)  # type: ignore[arg-type]
    size = 1.4 + 0.8 * len(names)
    figure, [matrix, image] = new_panels(2 * size + 0.8, size, 1, 2)
    matrix.imshow(values, cmap="RdBu", vmin=-1, vmax=1)
    for i in range(len(names)):
        for j in range(len(names)):
            colour = "white" if abs(values[i, j]) > 0.6 else "black"
            matrix.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", fontsize=9, color=colour)
    matrix.set_yticks(range(len(names)), names)
    matrix.set_title("Spearman correlation of difficulty", fontsize=10, color=INK)
    ranks = np.stack([pd.Series(found).rank(pct=True).to_numpy() for found in scores.values()], axis=1)
    by_difficulty = ranks[np.argsort(ranks.mean(1), kind="stable")]
    shown = image.imshow(by_difficulty, aspect="auto", cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
    bar = figure.colorbar(shown, ax=image)
    bar.set_label("rank of difficulty", color=INK)
    bar.ax.tick_params(colors=INK, labelsize=9)
    image.set_ylabel("examples, by mean rank")
    image.set_title("what each finds hard", fontsize=10, color=INK)
    for axes in (matrix, image):
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    return figure


def draw_studies(
    tables: Mapping[str, pd.DataFrame],
    metric: str = "test_at_best_val",
    reports: Mapping[str, pd.DataFrame] | None = None,
) -> "Figure":
    """Every strategy's mean over the seeds by order, and standard runs with their deviation (figure 5's scatter).

    Args:
        tables: by the title of its panel: a row a training, as :class:`.study.StudyResult` has them.
        metric: on the vertical axis.
        reports: by title: what :func:`.study.judge_study` says; draws the line that the best of an order must beat.
    """
    figure, panels = new_panels(7.0, 0.4 + 3.0 * len(tables), len(tables), 1)
    for panel, (title, table) in zip(panels, tables.items(), strict=True):
        panel.set_title(title, loc="left", fontsize=10, color=INK)
        for place, row in enumerate([] if reports is None else reports[title].itertuples()):
            label = "the best of as many standard searches" if place == 0 else None
            panel.hlines(float(row.matched), place - 0.4, place + 0.4, color=INK, linestyle=":", label=label)  # type: ignore[arg-type]
        _scatter_study(panel, table, metric)
        panel.set_ylabel("test accuracy" if metric == "test_at_best_val" else metric)
    panels[0].legend(
        frameon=False, fontsize=8, labelcolor=INK, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2
    )
    return figure


def _scatter_study(axes: "Axes", table: pd.DataFrame, metric: str) -> None:
    """Strategies that are far below standard training are counted at the lower edge, or the others would not be seen
    apart."""
    standard = table.loc[table["order"] == "standard", metric]
    axes.axhspan(standard.mean() - standard.std(), standard.mean() + standard.std(), color=ACCENTS[5], alpha=0.2)
    axes.axhline(standard.mean(), color=ACCENTS[5], label=f"standard: mean, deviation of {len(standard)} runs")
    orders = [order for order in ORDERS if (table["order"] == order).any()]
    everything = table.groupby(["order", "family", "a", "b"])[metric].mean()
    floor = max(everything.min() - 0.01, standard.mean() - FAR_BELOW)
    for place, order in enumerate(orders):
        means = everything[order].sort_values().to_numpy()
        spread = place + np.linspace(-0.3, 0.3, len(means)) if len(means) > 1 else np.array([place])
        axes.plot(spread, means, "o", color=ACCENTS[place], markersize=4, alpha=0.8)
        if lower := int((means < floor).sum()):
            axes.annotate(f"{lower} lower", (place, floor), (0, 3), textcoords="offset points", fontsize=8, ha="center")
    axes.set_ylim(bottom=floor)
    axes.set_xticks(range(len(orders)), orders)
    axes.set_xlim(-0.6, len(orders) - 0.4)


def draw_pacing(pacings: Sequence[PacingFunction]) -> "Figure":
    """Share of the data that may be drawn over the share of the training (figure 4), a panel a family."""
    families = list(dict.fromkeys(pacing.family for pacing in pacings))
    figure, panels = new_panels(max(4.5, 2.9 * len(families)), 2.8, 1, len(families))
    steps, n = 1000, 100_000
    for panel, family in zip(panels, families, strict=True):
        for pacing in (pacing for pacing in pacings if pacing.family == family):
            panel.plot(
                np.arange(steps + 1) / steps, pacing.sizes(steps, n) / n, color=ACCENTS[0], alpha=0.6, linewidth=1
            )
        panel.set_title(family, loc="left", fontsize=10, color=INK)
        panel.set_xlabel("share of the steps")
        panel.set_ylim(0, 1.03)
    panels[0].set_ylabel("share of the data")
    return figure
