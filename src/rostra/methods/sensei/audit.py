"""An audit of a classifier on a table: what flips change, gaps between groups, and the worst-case loss ratio."""

__all__ = ["AuditSettings", "LossRatio", "audit", "groups_of", "loss_ratio"]

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from rostra.engine.errors import InputError
from rostra.engine.progress import progress_bar

from . import objective
from .auditor import Distances, worst_cases
from .estimator import SenSeIClassifier
from .evaluation import balanced_accuracy, consistency, gaps
from .flips import Flip, combinations
from .metrics import FairMetric
from .model import Classifier
from .preparation import sensitive_columns

Array = NDArray[np.float64]
Measure = Callable[[Array | None], Array]
"""Something measured on the rows with given weights: (resamples, rows) or None -> (resamples,) or (resamples, m)."""

LEVEL = 0.95
RESAMPLED_CELLS = 1 << 22
"""Resamples times rows that are in memory at a time."""
ROWS_AT_ONCE = 4096
HISTOGRAM = np.linspace(0.0, 1.0, 41)


@dataclass(frozen=True)
class AuditSettings:
    """How the audit looks.

    Attributes:
        resamples: bootstrap resamples of the rows for the intervals, at the level .95.
        steps, lr, noise: gradient ascent of the worst cases, row by row, and its start. The steps are shorter where
            lambda and the metric demand it.
        dual: lambda, the price of fair distance.
        threshold: loss ratio up to which a model passes (inFairness's example: 1.15).
        rows: most rows that are attacked, drawn at random.
        seed: of resamples, noise and rows.
    """

    resamples: int = 1000
    steps: int = 500
    lr: float = 0.02
    noise: float = 0.1
    dual: float = 10.0
    threshold: float = 1.15
    rows: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 2 or self.steps < 1 or self.rows < 2:
            raise InputError("an audit needs at least 2 resamples, 1 step and 2 rows")
        if not all(map(math.isfinite, (self.lr, self.noise, self.dual, self.threshold))) or self.noise < 0:
            raise InputError("an audit needs finite numbers for lr, noise, dual and threshold, and noise at least 0")
        if not self.lr > 0 or not self.dual >= 0 or not self.threshold > 0:
            raise InputError("an audit needs lr and threshold above 0, and dual at least 0")


@dataclass(frozen=True)
class LossRatio:
    """The loss of the worst case over the loss of the row (Xue, Yurochkin, Sun 2020).

    Attributes:
        mean, sd: over the rows with a finite ratio.
        lower_bound: one-sided, at .95: mean - z sd / sqrt(n).
        median: less moved by rows whose own loss is near 0.
        p_value: of "the mean is at most the threshold".
        passes: p_value is at least .05.
        flipped: share of rows whose worst case gets another answer.
        rows: rows attacked.
        not_finite: rows left out.
        step: size of the steps that were taken.
        ratios: of each row, shape (rows,).
    """

    mean: float
    sd: float
    lower_bound: float
    median: float
    p_value: float
    passes: bool
    flipped: float
    rows: int
    not_finite: int
    step: float
    ratios: Array


def loss_ratio(
    network: Classifier, x: Array, y: NDArray[np.int64], metric: FairMetric, settings: AuditSettings
) -> LossRatio:
    """Attack rows with the auditor of SenSR, by gradient ascent, and compare losses.

    inFairness's audit divides its gradient by the number of rows of the batch, so that its reach depends on how many
    rows are audited together; here a row's worst case is its own.

    Args:
        network: one copy.
        x, y: inputs (rows, d) and labels 0 to K - 1.
        metric: fair distance of the inputs.
        settings: see there.
    """
    from scipy.stats import norm

    like = next(network.parameters())
    generator = torch.Generator().manual_seed(settings.seed)
    ratios, flipped = [], []
    distances = Distances.of([metric], like)
    dual = like.new_full((1,), settings.dual)
    # along an axis of eigenvalue s the penalty's curvature is 2 lambda s: larger steps would overshoot for ever
    curvature = settings.dual * float(torch.linalg.eigvalsh(metric.sigma.double()).max())
    step = min(settings.lr, 0.5 / max(curvature, 1e-12))
    starts = range(0, len(x), ROWS_AT_ONCE)
    with progress_bar("worst cases", len(starts)) as advance:
        for start in starts:
            rows = torch.as_tensor(x[start : start + ROWS_AT_ONCE]).to(like).mT[None].contiguous()
            labels = torch.as_tensor(y[start : start + ROWS_AT_ONCE], device=like.device)[None]
            noise = (2 * torch.rand(rows.shape, generator=generator) - 1).to(like) * settings.noise
            with torch.no_grad():
                logits = network(rows.mT)
                worst = worst_cases(
                    network,
                    rows,
                    noise,
                    dual,
                    distances,
                    objective.loss_gradient(labels, logits.shape[2]),
                    steps=settings.steps,
                    learning_rate=step,
                    plain=True,
                )
                found = network(worst.mT)
                ratio = objective.cross_entropy(found, labels) / objective.cross_entropy(logits, labels)
            ratios.append(ratio[0].double().cpu().numpy())
            flipped.append((found.argmax(2) != logits.argmax(2))[0].cpu().numpy())
            advance(1, "")
    every = np.concatenate(ratios)
    finite = every[np.isfinite(every)]
    if len(finite) < 2:
        raise InputError("fewer than two rows have a finite loss ratio; the model's losses are 0 or overflow")
    mean, sd = float(finite.mean()), float(finite.std())
    error = max(sd / math.sqrt(len(finite)), 1e-300)
    p_value = float(norm.sf((mean - settings.threshold) / error))
    return LossRatio(
        mean=mean,
        sd=sd,
        lower_bound=mean - float(norm.ppf(LEVEL)) * error,
        median=float(np.median(finite)),
        p_value=p_value,
        passes=p_value >= 1 - LEVEL,
        flipped=float(np.concatenate(flipped).mean()),
        rows=len(every),
        not_finite=len(every) - len(finite),
        step=step,
        ratios=every,
    )


def _resampled(measures: dict[str, Measure], rows: int, settings: AuditSettings) -> dict[str, Any]:
    """Value and percentile interval of each measure, a list where it measures several things; on the same resamples."""
    found: dict[str, list[Array]] = {name: [] for name in measures}
    with progress_bar("intervals", settings.resamples) as advance:
        for weights in _resamples(rows, settings):
            for name, measure in measures.items():
                found[name].append(measure(weights))
            advance(len(weights), "")
    result: dict[str, Any] = {}
    for name, measure in measures.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a gap that cannot be told is said once, with its group
            values = measure(None)[0]
        resampled = np.concatenate(found[name])
        if values.ndim:
            result[name] = [_with_interval(*one) for one in zip(values, resampled.T, strict=True)]
        else:
            result[name] = _with_interval(values, resampled)
    return result


def _with_interval(value: Any, resampled: Array) -> dict[str, Any]:
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    bounds = np.quantile(resampled, tails, method="weibull").tolist() if np.isfinite(resampled).all() else None
    return {"value": float(value) if math.isfinite(value) else None, "interval": bounds}


def _resamples(rows: int, settings: AuditSettings) -> Iterator[Array]:
    rng = np.random.default_rng(settings.seed)
    chunk = max(1, RESAMPLED_CELLS // rows)
    for start in range(0, settings.resamples, chunk):
        count = min(chunk, settings.resamples - start)
        drawn = rng.integers(rows, size=(count, rows))
        offset = drawn + rows * np.arange(count)[:, None]
        yield np.bincount(offset.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float64)


def audit(
    model: SenSeIClassifier,
    table: pd.DataFrame,
    labels: Any,
    flips: Sequence[Flip] = (),
    settings: AuditSettings | None = None,
    *,
    sensitive_features: Any = None,
) -> dict[str, Any]:
    """Audit a fitted classifier on a table that it was not trained on.

    Args:
        model: fitted.
        table: with the columns that it was fitted to.
        labels: of the rows, among the model's classes.
        flips: attributes whose change should not change the answer.
        settings: see there.
        sensitive_features: attributes that are no inputs of the model, shape (rows,) or (rows, m); gaps between their
            groups are reported as well.

    Returns:
        A JSON document, without NaN: what cannot be told is None. It holds accuracy and balanced accuracy; for every
        flip the share of rows that get one answer for all its values, over all rows and over those that hold one of
        them, and the change of probabilities; the same over all combinations of the sensitive columns; gaps between
        groups; the loss ratio. Intervals are bootstrap percentiles over rows.

    Raises:
        InputError: for labels or columns that the model does not know.
    """
    settings = settings or AuditSettings()
    y = np.asarray(labels)
    if len(y) != len(table):
        raise InputError(f"{len(y)} labels for {len(table)} rows; they must be equal")
    if len(y) < 2:
        raise InputError(f"an audit needs at least 2 rows, got {len(y)}")
    unknown = pd.Series(y)[~pd.Series(y).isin(model.classes_)]
    if len(unknown):
        known = ", ".join(repr(value) for value in model.classes_.tolist())
        raise InputError(f"row {unknown.index[0] + 1} has the label {unknown.iloc[0]!r}; the model knows {known}")
    classes = model.classes_.tolist()
    predicted = model.predict(table)
    measures: dict[str, Measure] = {
        "accuracy": lambda w: consistency([y, predicted], w),
        "balanced_accuracy": lambda w: balanced_accuracy(y, predicted, classes, w),
    }
    flip_documents = [_flip(number, flip, model, table, measures) for number, flip in enumerate(flips)]
    own = [Flip(name, model.levels_[name]) for name in model.sensitive_]
    if own:
        answers = [model.predict(copy) for copy in combinations(table, own)]
        measures["sensitive"] = lambda w: consistency(answers, w)
    groups = groups_of(model, table, sensitive_features)
    gap_documents = _gaps(groups, y, predicted, classes, measures)
    values = _resampled(measures, len(table), settings)
    for number, document in enumerate(flip_documents):
        document["consistency"] = values[f"flip {number}"]
        document["consistency_where_held"] = values.get(f"flip {number} held")
    for number, document in enumerate(gap_documents):
        document["rms"], document["largest"] = values[f"gap {number}"]
    return {
        "rows": len(table),
        "classes": classes,
        "method": model.config_.method,
        "level": LEVEL,
        "resamples": settings.resamples,
        "accuracy": values["accuracy"],
        "balanced_accuracy": values["balanced_accuracy"],
        "flips": flip_documents,
        "sensitive": {
            "columns": list(model.sensitive_),
            "combinations": math.prod(len(flip.values) for flip in own) if own else 0,
            "consistency": values.get("sensitive"),
        },
        "gaps": gap_documents,
        "loss_ratio": _loss_ratio(model, table, y, settings),
        "attribute_auc": model.attribute_auc_,
        "training": {
            "rho": model.config_.rho,
            "eps": model.config_.eps,
            "lambda": model.lambda_,
            "iterations": model.config_.iterations,
        },
    }


def _flip(
    number: int, flip: Flip, model: SenSeIClassifier, table: pd.DataFrame, measures: dict[str, Measure]
) -> dict[str, Any]:
    """What can be said of a flip without resampling; adds the shares to the measures."""
    probabilities = [model.predict_proba(copy) for copy in flip.copies(table)]
    answers = [p.argmax(axis=1) for p in probabilities]
    held = flip.holds(table, model.encoder_).to_numpy()
    measures[f"flip {number}"] = lambda w: consistency(answers, w)
    if held.any():
        measures[f"flip {number} held"] = lambda w: consistency(answers, held if w is None else w * held)
    # the largest change of any class's probability between any two copies
    change = np.max([np.abs(a - b).max(axis=1) for a in probabilities for b in probabilities], axis=0)
    counts, edges = np.histogram(change, bins=HISTOGRAM)
    return {
        "flip": str(flip),
        "column": flip.column,
        "values": list(flip.values),
        "rows_that_hold": int(held.sum()),
        "score_change": {
            "mean": float(change.mean()),
            "median": float(np.median(change)),
            "largest": float(change.max()),
            "counts": counts.tolist(),
            "edges": edges.tolist(),
        },
    }


def groups_of(
    model: SenSeIClassifier, table: pd.DataFrame, apart: Any = None
) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Column, level and rows of each group: levels of the sensitive columns; of two levels the second alone."""
    found = []
    for name in model.sensitive_:
        encoding = model.encoder_[name]
        levels = model.encoder_.levels_of(table[name], encoding)
        found += [(name, level, (levels == level).to_numpy()) for level in encoding.shown_levels]
    if apart is not None:
        columns, encoder = sensitive_columns(apart, len(table))
        for column in encoder.columns:
            places = zip(encoder.positions(column.name), column.shown_levels, strict=True)
            found += [(column.name, level, columns[:, place] == 1) for place, level in places]
    return [(name, level, rows) for name, level, rows in found if rows.any() and not rows.all()]


def _gaps(
    groups: Sequence[tuple[str, str, NDArray[np.bool_]]],
    y: NDArray[Any],
    predicted: NDArray[Any],
    classes: Sequence[Any],
    measures: dict[str, Measure],
) -> list[dict[str, Any]]:
    """Each group against all other rows; adds the measures."""
    documents: list[dict[str, Any]] = []
    for number, (name, level, group) in enumerate(groups):

        def both(w: Array | None, group: NDArray[np.bool_] = group) -> Array:
            found = gaps(y, predicted, group, classes, w)
            return np.stack([found.rms, found.largest], axis=1)

        measures[f"gap {number}"] = both
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            recall = gaps(y, predicted, group, classes).recall[0]
        if len(classes) == 2 and np.isnan(recall).any():
            warnings.warn(
                f"a label has no rows inside or outside the group {name} = {level}; its gap cannot be told",
                UserWarning,
                stacklevel=3,
            )
        documents.append(
            {
                "column": name,
                "group": level,
                "rows": int(group.sum()),
                "recall_gaps": {
                    str(c): None if np.isnan(gap) else float(gap) for c, gap in zip(classes, recall, strict=True)
                },
            }
        )
    return documents


def _loss_ratio(
    model: SenSeIClassifier, table: pd.DataFrame, y: NDArray[Any], settings: AuditSettings
) -> dict[str, Any] | None:
    if model.metric_ is None:
        return None
    order = np.random.default_rng(settings.seed).permutation(len(table))[: settings.rows]
    numbers = np.searchsorted(model.classes_, y[order])
    found = loss_ratio(model.network_, model.inputs(table.iloc[order]), numbers, model.metric_, settings)
    return {
        **{name: getattr(found, name) for name in LossRatio.__dataclass_fields__ if name != "ratios"},
        "threshold": settings.threshold,
        "steps": settings.steps,
        "lambda": settings.dual,
    }
