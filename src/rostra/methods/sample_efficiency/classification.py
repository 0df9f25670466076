"""What the classifiers of two classes share: labels, a decision function and its sign."""

__all__ = ["SignOutput", "as_signs"]

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from rostra.engine.errors import InputError

from .objective import sign

Array = NDArray[np.float64]


def as_signs(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The two classes in order, and labels -1 and +1.

    Raises:
        InputError: for one class or more than two (and ValueError for numbers that are no classes).
    """
    check_classification_targets(y)
    classes = np.unique(y)
    if len(classes) > 2:
        raise InputError(
            f"Only binary classification is supported. The type of the target is multiclass: {len(classes)} classes"
        )
    return classes, np.where(y == classes[-1], 1, -1)


class SignOutput(ClassifierMixin, BaseEstimator):
    """What classifiers of two classes share: a decision function and its sign; one class is always answered."""

    classes_: NDArray[Any]

    def decision_function(self, X: Any) -> Array:
        """Outputs, shape (n,); positive for ``classes_[1]``."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=self._input_types())
        if len(self.classes_) == 1:
            return np.ones(len(X))
        return self._outputs(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of each row, shape (n,)."""
        outputs = self.decision_function(X)
        return self.classes_[(np.maximum(sign(outputs), 0)) * (len(self.classes_) - 1)]

    def _input_types(self) -> list[Any]:
        return [np.float64, np.float32]

    def _outputs(self, X: NDArray[Any]) -> Array:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
