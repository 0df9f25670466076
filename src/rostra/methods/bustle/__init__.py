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

from typing import TYPE_CHECKING

from rostra.engine.methods import Method, lazy_names

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

__getattr__ = lazy_names(
    __name__,
    {
        "signatures": ("property_signature",),
        "synthesizer": (
            "Bustle",
            "Program",
            "SynthesisFailure",
            "synthesize",
        ),
        "training": ("BustleTrainer",),
    },
)
