"""The claims' protocol on a table with a 0/1 label: splits, metrics, arms, measures."""

__all__ = [
    "Predict",
    "Split",
    "fit_arm",
    "fit_reductions",
    "logistic_subspace",
    "make_split",
    "measured",
    "predictor",
    "regularizer_values",
    "scorer",
    "with_changes",
]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rostra.engine.errors import InputError

from . import objective
from .auditor import Distances, worst_cases
from .data import BinaryTable
from .evaluation import balanced_accuracy, consistency, gaps
from .metrics import FairMetric, logistic_directions
from .training import FittedClassifiers, SenSeIConfig, TrainingData, train

Array = NDArray[np.float64]
Predict = Callable[[Array], NDArray[np.int64]]
"""Scaled rows to answers."""

TEST_SHARE = 0.2


@dataclass(frozen=True)
class Split:
    """One split of a table.

    Attributes:
        table: the whole.
        train, test: numbers of rows.
        x: features of all rows, scaled by the training rows.
    """

    table: BinaryTable
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    x: Array


def make_split(table: BinaryTable, seed: int) -> Split:
    """A fifth of the rows, at random, for testing."""
    order = np.random.default_rng(seed).permutation(len(table.y))
    test, kept = np.split(order, [int(TEST_SHARE * len(order))])
    return Split(table, kept, test, table.standardised(kept))


def logistic_subspace(split: Split) -> FairMetric:
    """The directions that tell the first sensitive attribute from all other columns, and the attributes' axes (SenSR).

    As in its released code, one regression: of sex, on the columns without sex.
    """
    x, first = split.x[split.train], split.table.sensitive[0]
    found, _ = logistic_directions(x, columns=[first], penalty="l2", C=0.01, balanced=True)
    axes = np.eye(x.shape[1])[:, list(split.table.sensitive)]
    return FairMetric.subspace(np.concatenate([found, axes], axis=1))


def fit_arm(
    splits: Sequence[Split],
    config: SenSeIConfig,
    seeds: Sequence[int],
    metrics: Sequence[FairMetric],
    *,
    columns: Sequence[int] | None = None,
    rho: Sequence[float] | None = None,
    eps: Sequence[float] | None = None,
    device: str = "cpu",
) -> FittedClassifiers:
    """Train one model a seed, each on its split, in one batched program.

    Args:
        splits, seeds, metrics: one a copy.
        config: of all.
        columns: features to use; None takes all.
        rho, eps: of each copy.
        device: torch device.
    """
    use = list(range(splits[0].x.shape[1])) if columns is None else list(columns)
    distinct = list({id(split): split for split in splits}.values())
    x = np.stack([split.x[split.train][:, use] for split in distinct]).astype(np.float32)
    y = np.stack([split.table.y[split.train] for split in distinct])
    versions = None
    if config.method == "clp":
        versions = np.stack([_counterfactuals(split) for split in distinct]).astype(np.float32)
    numbers = {id(split): number for number, split in enumerate(distinct)}
    sets = [numbers[id(split)] for split in splits]
    data = TrainingData(x, y, 2, versions)
    return train(data, config, seeds, metrics, sets=sets, rho=rho, eps=eps, device=device)


def _counterfactuals(split: Split) -> Array:
    """Every copy that the table's flips make of the training rows: (versions, rows, d)."""
    x = split.x[split.train]
    return np.stack([copy for copies in split.table.flips.values() for copy in copies(x)])


def fit_reductions(split: Split, eps: float, seed: int) -> Predict:
    """Equalised odds by reductions (Agarwal et al. 2018): fairlearn, logistic, without the attributes.

    Its answers are drawn at random; the seed fixes the draws.

    Raises:
        InputError: if fairlearn is not installed.
    """
    try:
        from fairlearn.reductions import EqualizedOdds, ExponentiatedGradient
    except ImportError:
        raise InputError("reductions need fairlearn: pip install 'rostra[fair]'") from None
    from sklearn.linear_model import LogisticRegression

    table = split.table
    kept = [column for column in range(split.x.shape[1]) if column not in table.sensitive]
    groups = split.x[:, list(table.sensitive)] @ (1 << np.arange(len(table.sensitive)))
    model = ExponentiatedGradient(
        LogisticRegression(solver="liblinear", class_weight="balanced"), EqualizedOdds(), eps=eps
    )
    model.fit(split.x[split.train][:, kept], table.y[split.train], sensitive_features=groups[split.train])
    return lambda x: np.asarray(model.predict(x[:, kept], random_state=seed)).astype(np.int64)


def scorer(fitted: FittedClassifiers, number: int, columns: Sequence[int] | None = None) -> Callable[[Array], Array]:
    """Logits of one copy for scaled rows, of which it uses some columns."""
    one = fitted.select(number)
    return lambda x: np.asarray(one.logits((x if columns is None else x[:, list(columns)])[None])[0])


def predictor(fitted: FittedClassifiers, number: int, columns: Sequence[int] | None = None) -> Predict:
    """Answers of one copy."""
    score = scorer(fitted, number, columns)
    return lambda x: score(x).argmax(axis=1)


def measured(split: Split, predict: Predict, names: Mapping[int, str]) -> dict[str, float]:
    """All measures of one model on its test rows.

    Args:
        split: of the table.
        predict: scaled rows -> 0 or 1.
        names: of the sensitive columns, for the gaps.
    """
    x, y = split.x[split.test], split.table.y[split.test]
    predicted = predict(x)
    found = {
        "accuracy": float((predicted == y).mean()),
        "balanced_accuracy": float(balanced_accuracy(y, predicted, (0, 1))[0]),
    }
    for name, copies in split.table.flips.items():
        found[name] = float(consistency([predict(copy) for copy in copies(x)])[0])
    for column, name in names.items():
        gap = gaps(y, predicted, split.x[split.test, column], (0, 1))
        found[f"gap_rms_{name}"], found[f"gap_max_{name}"] = float(gap.rms[0]), float(gap.largest[0])
    return found


def with_changes(config: SenSeIConfig, changes: Mapping[str, Any]) -> SenSeIConfig:
    """A configuration with settings that came through JSON."""
    settings: dict[str, Any] = {**asdict(config), **changes}
    settings["hidden"] = tuple(settings["hidden"])
    return SenSeIConfig(**settings)


@torch.no_grad()
def regularizer_values(fitted: FittedClassifiers, x: Array, metric: FairMetric, *, seed: int) -> Array:
    """What each row adds to R at the trained lambda, lambda eps + d_Y - lambda d_X, by the training's auditor: (rows,).

    Args:
        fitted: one copy, trained by "sensei" with the auditor "noise".
        x: inputs, shape (rows, d).
        metric: of the training.
        seed: of the auditor's noise.
    """
    config, network = fitted.config, fitted.network
    like = next(network.parameters())
    rows = torch.as_tensor(x).to(like).mT[None].contiguous()
    generator = torch.Generator().manual_seed(seed)
    noise = (2 * torch.rand(rows.shape, generator=generator) - 1).to(like) * config.auditor_noise
    clean = network(rows.mT)
    distances = Distances.of([metric], like)
    dual = like.new_tensor(fitted.dual)
    worst = worst_cases(
        network,
        rows,
        noise,
        dual,
        distances,
        objective.invariance_gradient(clean.mT, config.reduction),
        steps=config.auditor_steps,
        learning_rate=config.auditor_lr,
    )
    unfairness = objective.output_distance(clean, network(worst.mT), config.reduction)
    values = dual * config.eps + unfairness[0] - dual * distances(worst - rows)[0]
    return np.asarray(values.double().cpu().numpy())
