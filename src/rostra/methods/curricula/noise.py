"""Wrong labels, made on purpose (section 4.3 of the paper)."""

__all__ = ["NOISES", "NoisyLabels", "inject_label_noise"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rostra.engine.errors import InputError

NOISES = ("permute", "uniform", "pair")
OFFICIAL_BLOCKS, OFFICIAL_SEED = 4, 111
NOISE = 4
"""Stream of draws of a seed."""


@dataclass(frozen=True)
class NoisyLabels:
    """Labels with noise, what they were, and which are wrong; each of shape (n,)."""

    labels: NDArray[np.int64]
    clean: NDArray[np.int64]
    wrong: NDArray[np.bool_]


def inject_label_noise(
    y: ArrayLike, rho: float, kind: str = "permute", seed: int = 0, *, official_blocks: bool = False
) -> NoisyLabels:
    """Spoil the labels of a share ``rho`` of the examples.

    Args:
        y: labels 0 to C - 1, shape (n,).
        rho: share of the examples, in [0, 1].
        kind: "permute" shuffles their labels among them, so that the counts of the classes stay and some labels stay
            right (the paper's; about rho (1 - 1/C) are wrong); "uniform" gives each another label at random;
            "pair" gives each the next class.
        seed: of the draws.
        official_blocks: as the authors' code: in each quarter of the file, the labels of the first rho n / 4 are
            shuffled, with the seed 111. Only for "permute".

    Raises:
        InputError: for a share outside [0, 1], an unknown kind, or labels that are no whole numbers from 0.
    """
    given = np.asarray(y)
    if given.ndim != 1 or given.dtype.kind not in "iub" or given.min(initial=0) < 0:
        raise InputError("labels must be whole numbers from 0, one an example")
    clean = given.astype(np.int64)
    if kind in ("uniform", "pair") and rho > 0 and clean.max(initial=0) < 1:
        raise InputError(f"noise '{kind}' needs two classes or more")
    if not 0 <= rho <= 1:
        raise InputError(f"the share of noisy labels must lie in [0, 1], got {rho}")
    if kind not in NOISES or (official_blocks and kind != "permute"):
        raise InputError(
            f"noise must be one of {', '.join(NOISES)} (in the official blocks only permute), got '{kind}'"
        )
    labels, n = clean.copy(), len(clean)
    if official_blocks:
        legacy = np.random.RandomState(OFFICIAL_SEED)
        for block in np.array_split(np.arange(n), OFFICIAL_BLOCKS):
            chosen = block[: int(rho * n / OFFICIAL_BLOCKS)]
            labels[chosen] = legacy.permutation(clean[chosen])
        return NoisyLabels(labels, clean, labels != clean)
    rng = np.random.default_rng([seed, NOISE])
    chosen = rng.choice(n, round(rho * n), replace=False)
    classes = int(clean.max()) + 1 if n else 0
    if kind == "permute":
        labels[chosen] = rng.permutation(clean[chosen])
    elif kind == "uniform":
        labels[chosen] = (clean[chosen] + rng.integers(1, classes, len(chosen))) % classes
    else:
        labels[chosen] = (clean[chosen] + 1) % classes
    return NoisyLabels(labels, clean, labels != clean)
