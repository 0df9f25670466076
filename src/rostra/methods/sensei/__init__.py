"""SenSeI: classifiers whose answers do not depend on what should not matter, and audits.

Yurochkin, Sun, "SenSeI: Sensitive Set Invariance for Enforcing Individual Fairness", ICLR 2021.
"""

__all__ = ["METHOD", "FairMetric", "SenSR", "SenSeI", "SenSeIClassifier"]

from typing import TYPE_CHECKING

from rostra.engine.methods import Method, lazy_names

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

__getattr__ = lazy_names(
    __name__,
    {
        "estimator": ("SenSeIClassifier",),
        "metrics": ("FairMetric",),
        "modules": (
            "SenSeI",
            "SenSR",
        ),
    },
)
