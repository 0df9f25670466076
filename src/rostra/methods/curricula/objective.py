"""The mathematics of difficulty: scores of examples from losses, logits and learning histories. Higher = harder."""

__all__ = [
    "cross_entropy",
    "error_norm",
    "entropy",
    "forgetting_counts",
    "learned_iteration",
    "margin",
    "noise_auc",
]

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Scores = NDArray[np.float64]


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Loss of each example: logits (..., n, C), labels (n,) -> (..., n)."""
    return -torch.log_softmax(logits, -1).gather(-1, y.expand(logits.shape[:-1])[..., None])[..., 0]


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """Largest other probability minus that of the label, in [-1, 1]: (n, C), (n,) -> (n,)."""
    probabilities = torch.softmax(logits, -1)
    own = probabilities.gather(-1, y[:, None])[:, 0]
    return probabilities.scatter(-1, y[:, None], -1.0).amax(-1) - own


def entropy(logits: Tensor) -> Tensor:
    """Entropy of the predicted distribution in nats: (n, C) -> (n,)."""
    logs = torch.log_softmax(logits, -1)
    return -(logs.exp() * logs).sum(-1)


def error_norm(logits: Tensor, y: Tensor) -> Tensor:
    """EL2N: the length of softmax(logits) - onehot(y) (Paul et al., 2021): (..., n, C), (n,) -> (..., n)."""
    onehot = torch.nn.functional.one_hot(y, logits.shape[-1])
    return (torch.softmax(logits, -1) - onehot).norm(dim=-1)


def learned_iteration(correct: ArrayLike) -> Scores:
    """The first snapshot from which on an example is always right (section 2.5 of the paper).

    Args:
        correct: whether example i was right at snapshot t, shape (T, n), in order of time.

    Returns:
        1 to T; T + 1 for an example that is wrong at the last snapshot; shape (n,).
    """
    right = np.asarray(correct, dtype=bool)
    run_at_the_end = np.cumprod(right[::-1], axis=0).sum(axis=0)
    return (len(right) + 1 - run_at_the_end).astype(np.float64)


def forgetting_counts(correct: ArrayLike) -> Scores:
    """How often an example goes from right to wrong (Toneva et al., 2019); never right counts as T; shape (n,)."""
    right = np.asarray(correct, dtype=bool)
    forgotten = (right[:-1] & ~right[1:]).sum(axis=0)
    return np.where(right.any(axis=0), forgotten, len(right)).astype(np.float64)


def noise_auc(scores: ArrayLike, wrong: ArrayLike) -> float:
    """The chance that a wrongly labelled example scores above a rightly labelled one; nan without both kinds."""
    from sklearn.metrics import roc_auc_score

    wrong = np.asarray(wrong, dtype=bool)
    if wrong.all() or not wrong.any():
        return float("nan")
    return float(roc_auc_score(wrong, np.asarray(scores)))
