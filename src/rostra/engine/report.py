"""The report: one self-contained HTML page that opens from disk with no network."""

__all__ = ["render_report"]

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .claims import find_claims
from .errors import InputError
from .methods import command_name, installed
from .pages import render_page, svg_text
from .plots import strip_plot
from .reproduce import Evidence, load_evidence, shipped_evidence

SCALE_ORDER = {"paper": 0, "laptop": 1, "smoke": 2}


def render_report(folder: Path) -> Path:
    """Render ``folder/report.html`` from the evidence in ``folder/results``; returns its path.

    Evidence that came with this version is shown beside it, marked as such.

    Raises:
        InputError: if the folder holds no evidence.
    """
    own = load_evidence(folder / "results")
    if not own:
        raise InputError(f"'{folder}' holds no results; run 'rostra reproduce --out {folder}' first")
    known = {_identity(document) for document in own}
    shipped = [document for document in shipped_evidence() if _identity(document) not in known]
    entries = [_entry(document, folder, shipped=False) for document in own]
    entries += [_entry(document, folder, shipped=True) for document in shipped]
    stated = {(method, claim.name): place for place, (method, claim) in enumerate(find_claims([]))}
    entries.sort(
        key=lambda entry: (
            entry["method"],
            SCALE_ORDER[entry["scale"]],
            stated.get((entry["method"], entry["claim"]), len(stated)),
            entry["shipped"],
        )
    )
    methods: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        methods.setdefault(entry["method"], []).append(entry)
    path = folder / "report.html"
    render_page(
        "rostra.engine",
        "report.html.jinja",
        path,
        methods=methods,
        about={name: getattr(module, "METHOD", None) for name, module in installed().items()},
        command_name=command_name,
        folder=folder,
        made=time.strftime("%Y-%m-%d %H:%M"),
    )
    return path


def _identity(document: Evidence) -> tuple[str, str, str]:
    return document["method"], document["claim"], document["scale"]


def _entry(document: Evidence, folder: Path, *, shipped: bool) -> dict[str, Any]:
    """A document with what the page draws from it."""
    name = ".".join(_identity(document))
    figure = folder / "figures" / f"{name}.svg"
    strip = ""
    if document["arms"]:
        label = f"{document['metric']} ({document['unit']})" if document["unit"] else document["metric"]
        strip = svg_text(strip_plot(document["arms"], label, document["paper"]))
    return {
        **document,
        "anchor": name,
        "shipped": shipped,
        "strip": strip,
        "figure": figure.read_text(encoding="utf-8") if figure.is_file() and not shipped else "",
        "other_metrics": sorted(
            {name for record in document["arms"].values() for name in record.get("other_means", {})}
        ),
        "sentences": [_sentence(comparison) for comparison in document["comparisons"]],
        "again": f"rostra reproduce {command_name(document['method'])}.{document['claim']} --scale {document['scale']}",
    }


def _sentence(comparison: Mapping[str, Any]) -> str:
    """What a comparison asks, in words."""
    arm, against, metric = comparison["arm"], comparison["against"], comparison["metric"]
    direction = "lower" if comparison["lower_is_better"] else "higher"
    match comparison["kind"]:
        case "Superiority":
            return f"{metric} of {arm} is {direction} than that of {against}"
        case "NonInferiority":
            return f"{metric} of {arm} is worse than that of {against} by less than {comparison['margin']:g}"
        case "Equivalence":
            return f"{metric} of {arm} and {against} differ by less than {comparison['margin']:g}"
        case "Threshold":
            side = "below" if comparison["lower_is_better"] else "above"
            return f"{metric} of {arm} lies {side} {comparison['bound']:g}"
        case _:
            return f"{metric} of {arm} is {comparison['bound']:g} to within {comparison['margin']:g}"
