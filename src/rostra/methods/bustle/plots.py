"""Pictures of searches."""

__all__ = ["plot_solved"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rostra.engine.plots import ACCENTS, INK, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_solved(at: Mapping[str, Sequence[float]], unit: str, *, of: int, repeats: Mapping[str, int] = {}) -> "Figure":
    """Tasks solved against what they took, by arm.

    Args:
        at: what each solved task took, by arm.
        unit: of these numbers, for the axis.
        of: number of tasks.
        repeats: how often each arm searched each task; the plot shows the mean over them.
    """
    figure, axes = new_figure(7.0, 3.4)
    for colour, (arm, found) in zip(ACCENTS, at.items(), strict=False):
        steps = np.sort(np.asarray(found, dtype=float))
        counts = np.arange(1, len(steps) + 1) / repeats.get(arm, 1)
        axes.step(steps, counts, where="post", color=colour, linewidth=1.6, label=arm)
    axes.set_xscale("log")
    axes.set_xlabel(unit)
    axes.set_ylabel(f"tasks solved, of {of}")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure
