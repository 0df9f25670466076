"""Curricula: order your data, and find out fairly whether that helps.

Wu, Dyer, Neyshabur, "When Do Curricula Work?", ICLR 2021.
"""

__all__ = [
    "METHOD",
    "CurriculumBatchSampler",
    "CurriculumStudy",
    "DistributedCurriculumBatchSampler",
    "LearnedIterationRecorder",
    "PacingFunction",
    "StudySpec",
    "agreement",
    "inject_label_noise",
    "make_order",
    "matched_baseline",
    "score_cscore",
    "score_cv_loss",
    "score_cv_loss_sklearn",
    "score_el2n",
    "score_histories",
    "score_loss",
    "selection_test",
]

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rostra.engine.methods import Method

if TYPE_CHECKING:
    from .baselines import matched_baseline, selection_test
    from .noise import inject_label_noise
    from .ordering import make_order
    from .pacing import PacingFunction
    from .sampler import CurriculumBatchSampler, DistributedCurriculumBatchSampler
    from .scorers import (
        LearnedIterationRecorder,
        agreement,
        score_cscore,
        score_cv_loss,
        score_cv_loss_sklearn,
        score_el2n,
        score_histories,
        score_loss,
    )
    from .study import CurriculumStudy, StudySpec

METHOD = Method(
    title="Curricula",
    field="supervised learning",
    summary="Order the training data by difficulty, find wrong labels, and test fairly whether an order helps.",
    paper="Wu, Dyer, Neyshabur. When Do Curricula Work? ICLR 2021.",
)

_HOMES = {
    "CurriculumBatchSampler": "sampler",
    "DistributedCurriculumBatchSampler": "sampler",
    "CurriculumStudy": "study",
    "StudySpec": "study",
    "LearnedIterationRecorder": "scorers",
    "PacingFunction": "pacing",
    "agreement": "scorers",
    "inject_label_noise": "noise",
    "make_order": "ordering",
    "matched_baseline": "baselines",
    "selection_test": "baselines",
    "score_cscore": "scorers",
    "score_cv_loss": "scorers",
    "score_cv_loss_sklearn": "scorers",
    "score_el2n": "scorers",
    "score_histories": "scorers",
    "score_loss": "scorers",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
