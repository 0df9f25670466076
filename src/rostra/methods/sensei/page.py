"""An audit as one HTML page."""

__all__ = ["write_page"]

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rostra.engine.pages import render_page, svg_text

from .plots import plot_consistency, plot_gaps, plot_score_changes, plot_training


def write_page(document: Mapping[str, Any], path: Path, *, model: str, data: str, history: Any) -> None:
    """Write the page.

    Args:
        document: what :func:`rostra.methods.sensei.audit.audit` gave.
        path: of the page.
        model, data: names for the reader.
        history: of the training, shape (iterations, 3).
    """
    asked = document["flips"] or document["sensitive"]["consistency"]
    attacked = bool(history[:, 1].any())
    render_page(
        "rostra.methods.sensei",
        "audit.html.jinja",
        path,
        audit=document,
        model=model,
        data=data,
        made=time.strftime("%Y-%m-%d %H:%M"),
        consistency=svg_text(plot_consistency(document)) if asked else "",
        changes=svg_text(plot_score_changes(document)) if document["flips"] else "",
        gaps=svg_text(plot_gaps(document)) if document["gaps"] else "",
        training=svg_text(plot_training(history, document["training"]["eps"])) if attacked else "",
    )
