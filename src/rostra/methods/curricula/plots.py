"""Pictures: suspicious images, agreement of scores, strategies of a study."""

__all__ = ["draw_agreement", "draw_contact_sheet", "draw_study"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rostra.engine.plots import ACCENTS, INK, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 10


def draw_contact_sheet(images: NDArray[np.uint8], captions: Sequence[str], colours: Sequence[str]) -> "Figure":
    """Images with captions, ten a line.

    Args:
        images: shape (n, C, H, W).
        captions: two short lines each.
        colours: of the captions.
    """
    rows = -(-len(images) // COLUMNS)
    figure, axes = new_figure(COLUMNS * 1.15, rows * 1.55)
    axes.remove()
    cells = np.atleast_1d(figure.subplots(rows, COLUMNS)).ravel()
    for cell in cells:
        cell.axis("off")
    for cell, image, caption, colour in zip(cells, images, captions, colours, strict=False):
        if len(image) == 1:
            cell.imshow(image[0], cmap="gray", vmin=0, vmax=255)
        else:
            cell.imshow(image.transpose(1, 2, 0))
        cell.set_title(caption, fontsize=7, color=colour, pad=2)
    return figure


def draw_agreement(table: pd.DataFrame) -> "Figure":
    """Spearman correlation of every two scores, as :func:`.scorers.agreement` gives them."""
    names = list(dict.fromkeys([*table["first"], *table["second"]]))
    values = np.eye(len(names))
    for row in table.itertuples():
        i, j = names.index(str(row.first)), names.index(str(row.second))
        values[i, j] = values[j, i] = float(row.spearman)  # type: ignore[arg-type]
    figure, axes = new_figure(1.8 + 0.9 * len(names), 1.2 + 0.8 * len(names))
    axes.imshow(values, cmap="RdBu", vmin=-1, vmax=1)
    for i in range(len(names)):
        for j in range(len(names)):
            colour = "white" if abs(values[i, j]) > 0.6 else "black"
            axes.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", fontsize=9, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_title("Spearman correlation of difficulty", fontsize=10, color=INK)
    return figure


def draw_study(table: pd.DataFrame, metric: str = "test_at_best_val") -> "Figure":
    """Every strategy's mean over the seeds by order, and standard runs with their deviation (figure 5's scatter)."""
    figure, axes = new_figure(7.0, 4.0)
    standard = table.loc[table["order"] == "standard", metric]
    axes.axhspan(standard.mean() - standard.std(), standard.mean() + standard.std(), color=ACCENTS[5], alpha=0.2)
    axes.axhline(standard.mean(), color=ACCENTS[5], label=f"standard, mean and deviation of {len(standard)} runs")
    orders = [order for order in table["order"].unique() if order != "standard"]
    for place, order in enumerate(orders):
        part = table[table["order"] == order]
        means = part.groupby(["family", "a", "b"])[metric].mean().sort_values().to_numpy()
        spread = place + np.linspace(-0.3, 0.3, len(means)) if len(means) > 1 else np.array([place])
        axes.plot(spread, means, "o", color=ACCENTS[place], markersize=4, alpha=0.8)
    axes.set_xticks(range(len(orders)), orders)
    axes.set_xlim(-0.6, len(orders) - 0.4)
    axes.set_ylabel("test accuracy at the best validation accuracy")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower right")
    return figure
