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
    "standard_baselines",
]

from typing import TYPE_CHECKING

from rostra.engine.methods import Method, lazy_names

if TYPE_CHECKING:
    from .baselines import matched_baseline, selection_test, standard_baselines
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

__getattr__ = lazy_names(
    __name__,
    {
        "baselines": (
            "matched_baseline",
            "selection_test",
            "standard_baselines",
        ),
        "noise": ("inject_label_noise",),
        "ordering": ("make_order",),
        "pacing": ("PacingFunction",),
        "sampler": (
            "CurriculumBatchSampler",
            "DistributedCurriculumBatchSampler",
        ),
        "scorers": (
            "LearnedIterationRecorder",
            "agreement",
            "score_cscore",
            "score_cv_loss",
            "score_cv_loss_sklearn",
            "score_el2n",
            "score_histories",
            "score_loss",
        ),
        "study": (
            "CurriculumStudy",
            "StudySpec",
        ),
    },
)
