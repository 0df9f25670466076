"""Rostra: thirteen methods from one session of ICLR 2021, as dependable software.

Public names are loaded when they are first used; importing ``rostra`` imports no torch.
"""

__all__ = [
    "Bustle",
    "BustleTrainer",
    "ConvClassifier",
    "ConvERM",
    "CurriculumBatchSampler",
    "CurriculumStudy",
    "DACMDP",
    "DACMDPContinuous",
    "DRNetRegressor",
    "DiffWave",
    "DiffWaveConfig",
    "FCClassifier",
    "FairMetric",
    "GPSRegressor",
    "KernelDRRegressor",
    "NTKRegressor",
    "NaiveSpline",
    "PacingFunction",
    "Program",
    "QuadraticKernel",
    "SLearner",
    "SenSR",
    "SenSeI",
    "SenSeIClassifier",
    "StudySpec",
    "SynthesisFailure",
    "TARNetRegressor",
    "TransitionDataset",
    "TreatmentColumn",
    "VCNetRegressor",
    "Vocoder",
    "__version__",
    "check_equivariance",
    "inject_label_noise",
    "make_task",
    "rotated_data_test",
    "sample_complexity",
    "score_cv_loss",
    "symmetry_report",
    "synthesize",
]

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rostra.methods.bustle import Bustle, BustleTrainer, Program, SynthesisFailure, synthesize
    from rostra.methods.curricula import (
        CurriculumBatchSampler,
        CurriculumStudy,
        PacingFunction,
        StudySpec,
        inject_label_noise,
        score_cv_loss,
    )
    from rostra.methods.dac_mdp import DACMDP, DACMDPContinuous, TransitionDataset
    from rostra.methods.diffwave import DiffWave, DiffWaveConfig, Vocoder
    from rostra.methods.sample_efficiency import (
        ConvClassifier,
        ConvERM,
        FCClassifier,
        NTKRegressor,
        QuadraticKernel,
        check_equivariance,
        make_task,
        rotated_data_test,
        sample_complexity,
        symmetry_report,
    )
    from rostra.methods.sensei import FairMetric, SenSeI, SenSeIClassifier, SenSR
    from rostra.methods.vcnet import (
        DRNetRegressor,
        GPSRegressor,
        KernelDRRegressor,
        NaiveSpline,
        SLearner,
        TARNetRegressor,
        TreatmentColumn,
        VCNetRegressor,
    )

_HOMES = {
    "Bustle": "rostra.methods.bustle",
    "BustleTrainer": "rostra.methods.bustle",
    "Program": "rostra.methods.bustle",
    "SynthesisFailure": "rostra.methods.bustle",
    "synthesize": "rostra.methods.bustle",
    "CurriculumBatchSampler": "rostra.methods.curricula",
    "CurriculumStudy": "rostra.methods.curricula",
    "PacingFunction": "rostra.methods.curricula",
    "StudySpec": "rostra.methods.curricula",
    "inject_label_noise": "rostra.methods.curricula",
    "score_cv_loss": "rostra.methods.curricula",
    "DACMDP": "rostra.methods.dac_mdp",
    "DACMDPContinuous": "rostra.methods.dac_mdp",
    "TransitionDataset": "rostra.methods.dac_mdp",
    "DiffWave": "rostra.methods.diffwave",
    "DiffWaveConfig": "rostra.methods.diffwave",
    "Vocoder": "rostra.methods.diffwave",
    "ConvClassifier": "rostra.methods.sample_efficiency",
    "ConvERM": "rostra.methods.sample_efficiency",
    "FCClassifier": "rostra.methods.sample_efficiency",
    "NTKRegressor": "rostra.methods.sample_efficiency",
    "QuadraticKernel": "rostra.methods.sample_efficiency",
    "check_equivariance": "rostra.methods.sample_efficiency",
    "make_task": "rostra.methods.sample_efficiency",
    "rotated_data_test": "rostra.methods.sample_efficiency",
    "sample_complexity": "rostra.methods.sample_efficiency",
    "symmetry_report": "rostra.methods.sample_efficiency",
    "FairMetric": "rostra.methods.sensei",
    "SenSR": "rostra.methods.sensei",
    "SenSeI": "rostra.methods.sensei",
    "SenSeIClassifier": "rostra.methods.sensei",
    "DRNetRegressor": "rostra.methods.vcnet",
    "GPSRegressor": "rostra.methods.vcnet",
    "KernelDRRegressor": "rostra.methods.vcnet",
    "NaiveSpline": "rostra.methods.vcnet",
    "SLearner": "rostra.methods.vcnet",
    "TARNetRegressor": "rostra.methods.vcnet",
    "TreatmentColumn": "rostra.methods.vcnet",
    "VCNetRegressor": "rostra.methods.vcnet",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("rostra")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rostra' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
