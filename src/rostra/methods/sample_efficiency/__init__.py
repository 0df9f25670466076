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

from typing import TYPE_CHECKING

from rostra.engine.methods import Method, lazy_names

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

__getattr__ = lazy_names(
    __name__,
    {
        "complexity": ("sample_complexity",),
        "equivariance": (
            "check_equivariance",
            "symmetry_report",
        ),
        "estimator": (
            "ConvClassifier",
            "ConvERM",
            "FCClassifier",
        ),
        "kernels": (
            "KernelClassifier",
            "NTKRegressor",
            "QuadraticKernel",
        ),
        "rotation": ("rotated_data_test",),
        "tasks": (
            "Task",
            "make_task",
        ),
    },
)
