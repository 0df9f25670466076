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

from typing import TYPE_CHECKING

from rostra.engine.methods import Method, lazy_names

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

__getattr__ = lazy_names(
    __name__,
    {
        "classical": (
            "GPSRegressor",
            "KernelDRRegressor",
            "NaiveSpline",
            "SLearner",
        ),
        "estimator": (
            "DRNetRegressor",
            "TARNetRegressor",
            "TreatmentColumn",
            "VCNetRegressor",
        ),
    },
)
