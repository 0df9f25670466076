"""SenSeI: classifiers whose answers do not depend on what should not matter, and audits.

Yurochkin, Sun, "SenSeI: Sensitive Set Invariance for Enforcing Individual Fairness", ICLR 2021.
"""

__all__ = ["METHOD", "FairMetric", "SenSR", "SenSeI", "SenSeIClassifier"]

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rostra.engine.methods import Method

if TYPE_CHECKING:
    from .estimator import SenSeIClassifier
    from .metrics import FairMetric
    from .modules import SenSeI, SenSR

METHOD = Method(
    title="SenSeI",
    field="fairness",
    summary="Classifiers whose answers do not flip with what should not matter, and audits of them.",
    paper="Yurochkin, Sun. SenSeI: Sensitive Set Invariance for Enforcing Individual Fairness. ICLR 2021.",
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        module = {"FairMetric": "metrics", "SenSR": "modules", "SenSeI": "modules"}.get(name, "estimator")
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
