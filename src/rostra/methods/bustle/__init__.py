"""BUSTLE: spreadsheet formulas from a few filled cells.

Odena, Shi, Bieber, Singh, Sutton, Dai, "BUSTLE: Bottom-Up Program Synthesis Through Learning-Guided
Exploration", ICLR 2021.
"""

__all__ = [
    "METHOD",
    "Bustle",
    "BustleTrainer",
    "Program",
    "SynthesisFailure",
    "property_signature",
    "synthesize",
]

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rostra.engine.methods import Method

if TYPE_CHECKING:
    from .signatures import property_signature
    from .synthesizer import Bustle, Program, SynthesisFailure, synthesize
    from .training import BustleTrainer

METHOD = Method(
    title="BUSTLE",
    field="program synthesis",
    summary="Spreadsheet formulas from a few filled cells of a column.",
    paper="Odena, Shi, Bieber, Singh, Sutton, Dai. BUSTLE: Bottom-Up Program Synthesis Through "
    "Learning-Guided Exploration. ICLR 2021.",
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = {"BustleTrainer": "training", "property_signature": "signatures"}.get(name, "synthesizer")
    return getattr(import_module(f"{__name__}.{home}"), name)
