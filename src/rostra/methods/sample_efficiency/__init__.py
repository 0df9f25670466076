"""Sample efficiency: why convolutional nets need fewer examples than fully-connected ones, measured.

Li, Zhang, Arora, "Why Are Convolutional Nets More Sample-Efficient than Fully-Connected Nets?", ICLR 2021.
"""

__all__ = [
    "METHOD",
    "ConvClassifier",
    "ConvERM",
    "FCClassifier",
    "KernelClassifier",
    "NTKRegressor",
    "QuadraticKernel",
    "Task",
    "check_equivariance",
    "make_task",
    "rotated_data_test",
    "sample_complexity",
    "symmetry_report",
]

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rostra.engine.methods import Method

if TYPE_CHECKING:
    from .complexity import sample_complexity
    from .equivariance import check_equivariance, symmetry_report
    from .estimator import ConvClassifier, ConvERM, FCClassifier
    from .kernels import KernelClassifier, NTKRegressor, QuadraticKernel
    from .rotation import rotated_data_test
    from .tasks import Task, make_task

METHOD = Method(
    title="Sample efficiency",
    field="learning theory",
    summary="How many examples a learner needs as the dimension grows, and which symmetries it cannot see.",
    paper="Li, Zhang, Arora. Why Are Convolutional Nets More Sample-Efficient than Fully-Connected Nets? ICLR 2021.",
)

_HOMES = {
    "Task": "tasks",
    "make_task": "tasks",
    "ConvClassifier": "estimator",
    "ConvERM": "estimator",
    "FCClassifier": "estimator",
    "KernelClassifier": "kernels",
    "NTKRegressor": "kernels",
    "QuadraticKernel": "kernels",
    "check_equivariance": "equivariance",
    "symmetry_report": "equivariance",
    "sample_complexity": "complexity",
    "rotated_data_test": "rotation",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
