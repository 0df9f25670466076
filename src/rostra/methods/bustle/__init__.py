"""BUSTLE: spreadsheet formulas from a few filled cells.

Odena, Shi, Bieber, Singh, Sutton, Dai, "BUSTLE: Bottom-Up Program Synthesis Through Learning-Guided
Exploration", ICLR 2021.
"""

__all__ = ["METHOD"]

from rostra.engine.methods import Method

METHOD = Method(
    title="BUSTLE",
    field="program synthesis",
    summary="Spreadsheet formulas from a few filled cells of a column.",
    paper="Odena, Shi, Bieber, Singh, Sutton, Dai. BUSTLE: Bottom-Up Program Synthesis Through "
    "Learning-Guided Exploration. ICLR 2021.",
)
