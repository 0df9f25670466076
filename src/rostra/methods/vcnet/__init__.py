"""VCNet: dose-response curves of continuous treatments.

Nie, Ye, Liu, Nicolae, "VCNet and Functional Targeted Regularization For Learning Causal Effects of
Continuous Treatments", ICLR 2021.
"""

__all__ = [
    "METHOD",
    "DRNetRegressor",
    "GPSRegressor",
    "KernelDRRegressor",
    "NaiveSpline",
    "SLearner",
    "TARNetRegressor",
    "TreatmentColumn",
    "VCNetRegressor",
]

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rostra.engine.methods import Method

if TYPE_CHECKING:
    from .classical import GPSRegressor, KernelDRRegressor, NaiveSpline, SLearner
    from .estimator import DRNetRegressor, TARNetRegressor, TreatmentColumn, VCNetRegressor

METHOD = Method(
    title="VCNet",
    field="causal inference",
    summary="Dose-response curves of a continuous treatment from observational data.",
    paper="Nie, Ye, Liu, Nicolae. VCNet and Functional Targeted Regularization For Learning Causal Effects "
    "of Continuous Treatments. ICLR 2021.",
)


def __getattr__(name: str) -> Any:
    if name in ("GPSRegressor", "KernelDRRegressor", "NaiveSpline", "SLearner"):
        return getattr(import_module(f"{__name__}.classical"), name)
    if name in __all__:
        return getattr(import_module(f"{__name__}.estimator"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
