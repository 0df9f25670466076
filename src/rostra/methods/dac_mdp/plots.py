"""Pictures: returns over k and cost, what a model knows, its policy over a plane, other objectives, scale."""

__all__ = ["draw_heat_map", "draw_model", "draw_policy_map", "draw_scale", "draw_zero_shot"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rostra.engine.plots import ACCENTS, INK, new_figure, new_panels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 4000
"""Points that are drawn; more would hide each other."""


def draw_heat_map(table: "pd.DataFrame", label: str = "mean return") -> "Figure":
    """Mean return over the number of neighbours and the cost, a panel a log; the best cell of each is framed.

    Args:
        table: a row a setting: ``k`` (at least 1), ``cost`` (at least 0), ``mean``, ``standard_error`` (may be
            missing or NaN), and ``log`` (a name), if there are several.
        label: of the colours, with the unit.
    """
    logs = list(dict.fromkeys(table["log"])) if "log" in table else [""]
    ks, costs = sorted(table["k"].unique()), sorted(table["cost"].unique())
    columns = min(len(logs), 3)
    rows = -(-len(logs) // columns)
    width, height = 1.3 + columns * (0.5 + 0.62 * len(costs)), rows * (0.95 + 0.5 * len(ks))
    figure, panels = new_panels(max(width, 4.2), max(height, 2.2), rows, columns)
    lowest, highest = float(table["mean"].min()), float(table["mean"].max())
    shown = None
    for place, (panel, name) in enumerate(zip(panels, logs, strict=False)):
        part = table if name == "" else table[table["log"] == name]
        means = part.pivot(index="k", columns="cost", values="mean").reindex(index=ks, columns=costs).to_numpy(float)
        errors = np.full(means.shape, np.nan)
        if "standard_error" in part:
            found = part.pivot(index="k", columns="cost", values="standard_error")
            errors = found.reindex(index=ks, columns=costs).to_numpy(float)
        shown = panel.imshow(means, aspect="auto", cmap="viridis", vmin=lowest, vmax=max(highest, lowest + 1e-9))
        _write_cells(panel, means, errors, lowest, highest)
        panel.set_xticks(range(len(costs)), [f"{cost:g}" for cost in costs])
        panel.set_yticks(range(len(ks)), [f"{k:g}" for k in ks])
        panel.set_title(str(name), fontsize=10, color=INK)
        if place % columns == 0:
            panel.set_ylabel("neighbours k")
        if place + columns >= len(logs):
            panel.set_xlabel("cost per distance C")
    for panel in panels[len(logs) :]:
        panel.axis("off")
    if shown is not None:
        bar = figure.colorbar(shown, ax=panels, fraction=0.05, pad=0.02)
        bar.set_label(label, color=INK)
        bar.ax.tick_params(colors=INK, labelsize=9)
    return figure


def _write_cells(
    axes: "Axes", means: NDArray[np.float64], errors: NDArray[np.float64], low: float, high: float
) -> None:
    """The numbers of a heat map, in ink that stands out from the cell, and a frame around the best."""
    from matplotlib.patches import Rectangle

    digits = 0 if high - low >= 20 else 2
    for i, j in zip(*np.nonzero(np.isfinite(means)), strict=True):
        # Viridis is dark up to about two thirds of its range.
        colour = "white" if means[i, j] < low + 0.62 * (high - low) else "black"
        text = f"{means[i, j]:.{digits}f}"
        if np.isfinite(errors[i, j]):
            text += f"\n±{errors[i, j]:.{digits}f}"
        axes.text(j, i, text, ha="center", va="center", fontsize=8, color=colour, linespacing=1.05)
    if np.isfinite(means).any():
        i, j = np.unravel_index(np.nanargmax(means), means.shape)
        axes.add_patch(Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False, edgecolor=ACCENTS[1], linewidth=2.2))


def draw_model(
    values: ArrayLike,
    distances_by_action: Sequence[ArrayLike],
    cost_share: ArrayLike,
    *,
    reach: float,
    action_names: Sequence[str] | None = None,
) -> "Figure":
    """Three panels: values, how far each action's data are, and how much of the value is paid as cost.

    Args:
        values: V at the core states, (N,).
        distances_by_action: for each action, distance from every core state to the nearest logged pair with it, (N,);
            empty for an action that was never logged.
        cost_share: discounted cost of the plan, divided by cost plus absolute value, in [0, 1], (N,).
        reach: 99 % quantile of the distances of nearest neighbours within the log: what lies beyond has no support.
        action_names: one each; None: their numbers.
    """
    figure, [first, second, third] = new_panels(11.4, 3.3, 1, 3)
    v, share = np.asarray(values, dtype=np.float64), np.asarray(cost_share, dtype=np.float64)
    first.hist(v, bins=40, color=ACCENTS[0])
    first.axvline(float(np.median(v)), color=INK, linestyle=":", label=f"median {np.median(v):.3g}")
    first.legend(frameon=False, fontsize=8, labelcolor=INK)
    _label(first, "value", "V", "core states")
    _draw_distances(second, distances_by_action, reach, action_names)
    third.hist(share, bins=np.linspace(0, 1, 41).tolist(), color=ACCENTS[3])
    third.axvline(float(np.median(share)), color=INK, linestyle=":", label=f"median {np.median(share):.2f}")
    third.set_xlim(0, 1)
    third.legend(frameon=False, fontsize=8, labelcolor=INK)
    _label(third, "how far from data the plans run", "share of cost in the value", "core states")
    return figure


def _draw_distances(axes: "Axes", distances: Sequence[ArrayLike], reach: float, names: Sequence[str] | None) -> None:
    """Outlines, a line an action. Exact hits would dwarf all other bars: they are counted in the legend."""
    columns = [np.asarray(column, dtype=np.float64) for column in distances]
    labels = [str(action) for action in range(len(columns))] if names is None else list(names)
    positive = np.concatenate([column[column > 0] for column in columns])
    end = max(reach, float(np.quantile(positive, 0.995)) if len(positive) else 0.0) * 1.05
    bins = np.linspace(0, end if end > 0 else 1.0, 41)
    for place, (column, label) in enumerate(zip(columns, labels, strict=True)):
        if not len(column):
            axes.plot([], [], color=ACCENTS[place % len(ACCENTS)], label=f"{label}: never logged")
            continue
        text = f"{label}: {100 * (column == 0).mean():.0f} % exact, {100 * (column > reach).mean():.1f} % beyond"
        heights, _ = np.histogram(np.minimum(column[column > 0], bins[-1]), bins)
        axes.stairs(100 * heights / len(column), bins, color=ACCENTS[place % len(ACCENTS)], label=text, linewidth=1.4)
    top = axes.get_ylim()[1]
    axes.plot([reach, reach], [0, top], color=INK, linestyle="--", linewidth=1, label="99 % quantile within the log")
    # Room for the legend above the curves.
    axes.set_ylim(0, top * (1.12 + 0.1 * (len(columns) + 1)))
    axes.set_xlim(0, bins[-1])
    axes.legend(frameon=False, fontsize=7.5, labelcolor=INK, loc="upper right")
    _label(axes, "how far each action's data are", "distance to the nearest logged pair", "% of core states")


def draw_policy_map(
    points: ArrayLike,
    actions: ArrayLike,
    values: ArrayLike,
    *,
    directions: ArrayLike | None = None,
    action_names: Sequence[str] | None = None,
    axis_names: tuple[str, str] = ("first feature", "second feature"),
) -> "Figure":
    """Left: the action at each point of a plane; right: the value there.

    Args:
        points: shape (n, 2).
        actions: 0 to A - 1, (n,).
        values: (n,).
        directions: arrows instead of dots: where each point heads to, (n, 2), or where each action leads, (A, 2);
            only the angle counts, and (0, 0) is a dot.
        action_names: one each; None: their numbers.
        axis_names: of the plane.
    """
    place, action = np.asarray(points, dtype=np.float64), np.asarray(actions, dtype=np.int64)
    value = np.asarray(values, dtype=np.float64)
    names = [str(number) for number in range(int(action.max()) + 1)] if action_names is None else list(action_names)
    arrows = None if directions is None else np.asarray(directions, dtype=np.float64)
    if arrows is not None and len(arrows) != len(place):
        arrows = arrows[action]
    if len(place) > MOST_POINTS:
        kept = np.sort(np.random.default_rng(0).choice(len(place), MOST_POINTS, replace=False))
        place, action, value = place[kept], action[kept], value[kept]
        arrows = None if arrows is None else arrows[kept]
    figure, [left, right] = new_panels(9.6, 4.6, 1, 2)
    size = float(np.clip(12000 / len(place), 5, 60))
    for number, name in enumerate(names):
        chosen, colour = action == number, ACCENTS[number % len(ACCENTS)]
        label = f"{name} ({100 * chosen.mean():.0f} %)"
        if arrows is None:
            left.scatter(place[chosen, 0], place[chosen, 1], s=size, color=colour, linewidths=0, alpha=0.8)
        else:
            _draw_arrows(left, place[chosen], arrows[chosen], colour, len(place))
        left.scatter([], [], s=30, color=colour, linewidths=0, label=label)
    left.legend(
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=min(len(names), 4),
    )
    shown = right.scatter(place[:, 0], place[:, 1], c=value, s=1.6 * size, cmap="viridis", linewidths=0)
    bar = figure.colorbar(shown, ax=right)
    bar.set_label("value", color=INK)
    bar.ax.tick_params(colors=INK, labelsize=9)
    for panel in (left, right):
        panel.set_xlabel(axis_names[0])
        panel.set_xlim(*_with_margin(place[:, 0]))
        panel.set_ylim(*_with_margin(place[:, 1]))
    left.set_ylabel(axis_names[1])
    return figure


def _draw_arrows(
    axes: "Axes", points: NDArray[np.float64], arrows: NDArray[np.float64], colour: str, count: int
) -> None:
    """Arrows of one length, shorter where there are many; dots where there is no direction."""
    lengths = np.linalg.norm(arrows, axis=1)
    moves = lengths > 0
    unit = arrows[moves] / lengths[moves, None]
    scale = float(np.clip(1.5 * np.sqrt(count), 18, 60))
    axes.quiver(
        *points[moves].T,
        *unit.T,
        color=colour,
        pivot="mid",
        angles="uv",
        scale=scale,
        scale_units="width",
        width=0.0035,
    )
    axes.scatter(points[~moves, 0], points[~moves, 1], s=10, color=colour, linewidths=0)


def draw_zero_shot(table: "pd.DataFrame", label: str = "share of the episodes") -> "Figure":
    """Bars of shares, a group an objective: one model, solved again for each.

    Args:
        table: a row an objective and outcome: ``objective``, ``outcome`` (such as "near goal"), ``share`` in [0, 1],
            and ``standard_error`` (may be missing or NaN).
        label: of the axis of the shares.
    """
    objectives, outcomes = (list(dict.fromkeys(table[name])) for name in ("objective", "outcome"))
    thickness = 0.8 / len(outcomes)
    figure, axes = new_figure(7.0, 1.1 + (0.25 + 0.2 * len(outcomes)) * len(objectives))
    for number, outcome in enumerate(outcomes):
        part = table[table["outcome"] == outcome].set_index("objective").reindex(objectives)
        share = part["share"].to_numpy(float)
        error = part["standard_error"].to_numpy(float) if "standard_error" in part else np.full(len(share), np.nan)
        lines = np.arange(len(objectives)) + (number - (len(outcomes) - 1) / 2) * thickness
        colour = ACCENTS[number % len(ACCENTS)]
        axes.barh(lines, share, height=0.92 * thickness, color=colour, label=outcome)
        known = np.isfinite(error)
        axes.errorbar(share[known], lines[known], xerr=error[known], fmt="none", ecolor=INK, elinewidth=1, capsize=2)
        for line, width, spread in zip(lines, share, np.nan_to_num(error), strict=True):
            if np.isfinite(width):
                axes.annotate(
                    f"{width:.2f}", (width + spread, line), (4, 0), textcoords="offset points", va="center", fontsize=8,
                    color=INK,
                )  # fmt: skip
    axes.set_yticks(range(len(objectives)), objectives)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_xlabel(label)
    axes.legend(
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=min(len(outcomes), 4),
    )
    return figure


def draw_scale(table: "pd.DataFrame") -> "Figure":
    """Seconds of building and of solving over the length of the log, both on logarithmic axes.

    Args:
        table: a row a run: ``n`` (transitions), ``build_seconds``, ``solve_seconds``, all positive.
    """
    figure, axes = new_figure(6.2, 4.0)
    for number, (column, name) in enumerate((("build_seconds", "build"), ("solve_seconds", "solve"))):
        axes.plot(table["n"], table[column], "o", color=ACCENTS[number], markersize=5, alpha=0.6)
        medians = table.groupby("n")[column].median()
        axes.plot(medians.index, medians, color=ACCENTS[number], linewidth=1.8, label=name)
    ends = np.array([table["n"].min(), table["n"].max()], dtype=np.float64)
    total = table.groupby("n")["build_seconds"].median()
    axes.plot(ends, total.iloc[0] * ends / ends[0], color=INK, linestyle=":", linewidth=1, label="in proportion to N")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("transitions in the log, N")
    axes.set_ylabel("seconds")
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return figure


def _label(axes: "Axes", title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _with_margin(column: NDArray[Any]) -> tuple[float, float]:
    low, high = float(column.min()), float(column.max())
    margin = 0.03 * (high - low) or 0.5
    return low - margin, high + margin
