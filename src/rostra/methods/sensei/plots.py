"""Pictures of an audit, of a training and of a front of models."""

__all__ = ["plot_consistency", "plot_front", "plot_gaps", "plot_score_changes", "plot_training"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rostra.engine.plots import ACCENTS, INK, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_consistency(document: Mapping[str, Any]) -> "Figure":
    """Share of rows that get one answer under each flip, with intervals."""
    lines = [(f["flip"], f["consistency"]) for f in document["flips"]]
    if document["sensitive"]["consistency"]:
        lines.append(("all of " + ", ".join(document["sensitive"]["columns"]), document["sensitive"]["consistency"]))
    figure, axes = new_figure(7.0, 0.8 + 0.42 * len(lines))
    lines = [(name, found) for name, found in lines if found["value"] is not None]
    for place, (_, found) in enumerate(lines):
        low, high = found["interval"] or (found["value"], found["value"])
        axes.plot([low, high], [place, place], color=ACCENTS[0], linewidth=3, solid_capstyle="round")
        axes.scatter([found["value"]], [place], s=42, color=ACCENTS[0], zorder=3)
    axes.set_yticks(range(len(lines)), [_short(name) for name, _ in lines])
    axes.invert_yaxis()
    least = min(found["interval"][0] if found["interval"] else found["value"] for _, found in lines)
    axes.set_xlim(max(0.0, least - 0.15 * (1 - least) - 0.01), 1.002)
    axes.axvline(1.0, color=INK, linewidth=0.8, alpha=0.4)
    axes.set_xlabel("share of rows that get one answer whatever the value")
    return figure


def plot_gaps(document: Mapping[str, Any]) -> "Figure":
    """Difference of recall between each group and all others, a point a class."""
    lines = document["gaps"]
    figure, axes = new_figure(7.0, 0.9 + 0.42 * len(lines))
    classes = list(lines[0]["recall_gaps"])
    for number, name in enumerate(classes):
        values = [line["recall_gaps"][name] for line in lines]
        places = [place for place, value in enumerate(values) if value is not None]
        axes.scatter(
            [value for value in values if value is not None],
            places,
            s=42,
            color=ACCENTS[number % len(ACCENTS)],
            label=f"rows labelled {name}",
            zorder=3,
        )
    axes.axvline(0.0, color=INK, linewidth=0.8, alpha=0.4)
    axes.set_yticks(range(len(lines)), [_short(f"{line['column']} = {line['group']}") for line in lines])
    axes.invert_yaxis()
    axes.margins(y=0.3)
    axes.set_xlabel("share of right answers, group minus all others")
    if len(classes) <= len(ACCENTS):
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


def plot_score_changes(document: Mapping[str, Any]) -> "Figure":
    """How much each flip moves the probabilities: the share of rows with at least a given change."""
    figure, axes = new_figure(7.0, 3.0)
    for number, flip in enumerate(document["flips"]):
        counts, edges = np.array(flip["score_change"]["counts"]), np.array(flip["score_change"]["edges"])
        share = counts / counts.sum()
        axes.stairs(share, edges, color=ACCENTS[number % len(ACCENTS)], linewidth=1.6, label=_short(flip["flip"]))
    axes.set_yscale("log")
    axes.set_xlim(0, 1)
    axes.set_xlabel("change of the probability between the copies of a row")
    axes.set_ylabel("share of rows")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


def plot_training(history: Any, eps: float) -> "Figure":
    """Mean fair distance of the worst cases, which should settle near eps, and lambda.

    Args:
        history: loss, mean distance and lambda by iteration, shape (iterations, 3).
        eps: the transport budget.
    """
    figure, axes = new_figure(7.0, 3.0)
    window = max(1, len(history) // 100)
    steps = np.arange(len(history) // window) * window
    smooth = history[: len(steps) * window].reshape(len(steps), window, -1).mean(axis=1)
    axes.plot(steps, smooth[:, 1], color=ACCENTS[0], linewidth=1.5, label="mean fair distance of worst cases")
    axes.plot(steps, smooth[:, 2], color=ACCENTS[1], linewidth=1.5, label="lambda, the price of distance")
    axes.axhline(eps, color=INK, linewidth=0.9, linestyle="--", label=f"budget eps = {eps:g}")
    axes.set_yscale("log")
    axes.set_xlabel("iteration")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


def plot_front(points: Mapping[str, Sequence[tuple[float, float, str]]], x_label: str, y_label: str) -> "Figure":
    """What accuracy each step of consistency costs.

    Args:
        points: for each line its models: accuracy, consistency, a short text.
        x_label, y_label: of the axes.
    """
    figure, axes = new_figure(7.0, 4.2)
    for number, (name, line) in enumerate(points.items()):
        colour = ACCENTS[number % len(ACCENTS)]
        ordered = sorted(line)
        style = "-" if len(ordered) > 1 else ""
        axes.plot(
            [x for x, _, _ in ordered],
            [y for _, y, _ in ordered],
            color=colour,
            linestyle=style,
            linewidth=1.2,
            marker="o",
            markersize=5,
            label=name,
        )
        for x, y, text in ordered:
            if text:
                axes.annotate(text, (x, y), xytext=(4, -9), textcoords="offset points", fontsize=7, color=colour)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


def _short(text: str) -> str:
    return text if len(text) <= 44 else text[:42] + " …"
