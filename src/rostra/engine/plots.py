"""Plots that read well on light and on dark pages."""

__all__ = ["ACCENTS", "INK", "check_picture", "new_figure", "new_panels", "save_picture", "save_svg", "strip_plot"]

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .files import writable, write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACCENTS = ("#2f7fd1", "#e0762c", "#3f9b5b", "#b8549e", "#8a7a33", "#6d6f7a")
"""Colours of the arms, in order; legible on white and on near-black."""
INK = "#0a0b0c"
"""Axes and text: replaced by the page's own text colour in SVG."""


PICTURES = (".png", ".svg", ".pdf")


def check_picture(path: Path) -> None:
    """Check, before any work, that a picture can be written at ``path``.

    Raises:
        InputError: for another ending, or a place that cannot be written.
    """
    if path.suffix.lower() not in PICTURES:
        raise InputError(f"'{path}' must end in one of {', '.join(PICTURES)}")
    writable(path)


def new_figure(width: float, height: float) -> "tuple[Figure, Axes]":
    """An empty figure in inches, with one pair of axes in the house style; no global state."""
    figure, [axes] = new_panels(width, height, 1, 1)
    return figure, axes


def new_panels(width: float, height: float, rows: int, columns: int) -> "tuple[Figure, list[Axes]]":
    """As :func:`new_figure`, with rows x columns pairs of axes, row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0.0)
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in panels:
        axes.patch.set_alpha(0.0)
        axes.spines[["top", "right"]].set_visible(False)
        for spine in axes.spines.values():
            spine.set_color(INK)
        axes.tick_params(colors=INK, labelsize=9)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
    return figure, panels


def save_picture(figure: "Figure", path: Path) -> None:
    """Write a figure as a PNG, SVG or PDF for people: on white, since its ink is dark, and a viewer may be.

    The file is whole or absent.
    """
    figure.patch.set(facecolor="white", alpha=1.0)
    with write_atomically(path) as temporary:
        figure.savefig(temporary, dpi=150)


def save_svg(figure: "Figure", path: Path | io.StringIO) -> None:
    """Write a figure as SVG whose ink is ``currentColor`` and whose text is text."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "rostra", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    if isinstance(path, io.StringIO):
        path.write(svg)
    else:
        path.write_text(svg, encoding="utf-8")


def strip_plot(arms: Mapping[str, Mapping[str, Any]], label: str, paper: Mapping[str, float]) -> "Figure":
    """Every seed's value, the mean with its interval, and the paper's number, a line an arm.

    Args:
        arms: ``arms`` of an evidence document.
        label: of the axis, with the unit.
        paper: the paper's numbers by arm.
    """
    figure, axes = new_figure(7.0, 0.9 + 0.42 * len(arms))
    names: Sequence[str] = list(arms)
    for line, name in enumerate(names):
        record, colour = arms[name], ACCENTS[line % len(ACCENTS)]
        values = record["values"]
        # Spread the points by their order, so that equal values stay visible.
        offsets = [line + 0.22 * (((7 * i) % 11) / 5 - 1) for i in range(len(values))]
        axes.scatter(values, offsets, s=9, color=colour, alpha=0.35, linewidths=0)
        if record["interval"]:
            axes.plot(record["interval"], [line, line], color=colour, linewidth=3, solid_capstyle="round")
        axes.scatter(
            [record["mean"]], [line], s=46, color=colour, zorder=3, label="mean, 95 % interval" if line == 0 else None
        )
        if name in paper:
            axes.scatter(
                [paper[name]],
                [line],
                s=60,
                marker="|",
                color=INK,
                linewidths=2,
                zorder=4,
                label="paper" if name == next(iter(paper)) else None,
            )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    everything = [value for record in arms.values() for value in record["values"]]
    if min(everything) > 0 and max(everything) > 30 * min(everything):
        axes.set_xscale("log")
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="best")
    return figure
