"""Fronts: what accuracy each step of consistency costs, all models in one batched program."""

__all__ = ["front"]

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from rostra.engine.errors import InputError
from rostra.engine.runtime import resolve_device

from .audit import groups_of
from .estimator import SenSeIClassifier, named_by_texts
from .evaluation import balanced_accuracy, consistency, gaps
from .flips import Flip, combinations, parse_flip
from .training import train

HELD_OUT = 0.2
FEWEST_ROWS = 10


def front(
    X: pd.DataFrame,
    y: Any,
    estimator: SenSeIClassifier,
    *,
    methods: Sequence[str] = ("baseline", "project", "sensei"),
    rho: Sequence[float] = (1.0, 5.0, 25.0),
    eps: Sequence[float] = (0.03,),
    seeds: int = 3,
    seed: int = 0,
    flips: Sequence[str] = (),
) -> pd.DataFrame:
    """Train models over a grid and measure them on held-out rows.

    Per split a fifth of the rows is held out; scales and metric are those of the other rows. (Levels, and medians that
    fill gaps, are those of the whole table.) All models of a method and a split are copies in one batched program.

    Args:
        X, y: a table and its labels.
        estimator: its parameters are those of all models; method, rho and eps are replaced.
        methods: "sensei" is trained for every rho and eps, "sensr" for every eps, "clp" for every rho, "project" and
            "baseline" once.
        rho, eps: the grid.
        seeds: number of splits.
        seed: of the first split; the others follow.
        flips: measured besides the sensitive columns.

    Returns:
        A row a model: method, rho, eps, seed, accuracy, balanced_accuracy, the consistency of each flip and of
        "sensitive" (all combinations of the sensitive columns), gap_rms of each sensitive column's levels, lambda.
    """
    if not methods or not rho or not eps or seeds < 1:
        raise InputError("a front needs at least one method, one rho, one eps and one seed")
    table, labels = named_by_texts(X), np.asarray(y)
    estimator = clone(estimator).set_params(sensitive=estimator.sensitive_names(X, table))
    encoder = estimator.encoding(table)  # of all rows: a level may be rare, and in the held-out rows alone
    rows: list[dict[str, Any]] = []
    for split in range(seed, seed + seeds):
        test, kept = _split(labels, split)
        for method in methods:
            model = clone(estimator).set_params(method=method, random_state=split)
            prepared = model.prepare(table.iloc[kept], labels[kept], seed=split, encoder=encoder)
            config = prepared.config
            weights = rho if method in ("sensei", "clp") else [None]
            grid = list(itertools.product(weights, eps if config.attacks else [None]))
            fitted = train(
                prepared.data,
                config,
                [split] * len(grid),
                prepared.metric,
                rho=[config.rho if r is None else r for r, _ in grid],
                eps=[config.eps if e is None else e for _, e in grid],
                device=resolve_device(model.device),
                stage=f"{method}, split {split}",
            )
            for number, (r, e) in enumerate(grid):
                model.adopt(prepared, fitted.select(number), split)
                found = _measured(model, table.iloc[test], labels[test], flips)
                dual = model.lambda_ if config.attacks else None
                rows.append({"method": method, "rho": r, "eps": e, "seed": split, **found, "lambda": dual})
    return pd.DataFrame(rows)


def _split(labels: Any, seed: int) -> tuple[Any, Any]:
    """Held-out and kept rows: a fifth of each class."""
    rng, test = np.random.default_rng(seed), []
    for name in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == name))
        if len(members) < FEWEST_ROWS:
            raise InputError(
                f"label {name!r} has {len(members)} rows; a front needs at least {FEWEST_ROWS} of each label"
            )
        test.append(members[: int(HELD_OUT * len(members))])
    held_out = np.sort(np.concatenate(test))
    return held_out, np.setdiff1d(np.arange(len(labels)), held_out)


def _measured(model: SenSeIClassifier, table: pd.DataFrame, y: Any, flips: Sequence[str]) -> dict[str, float]:
    classes = model.classes_.tolist()
    predicted = model.predict(table)
    found = {
        "accuracy": float((predicted == y).mean()),
        "balanced_accuracy": float(balanced_accuracy(y, predicted, classes)[0]),
    }
    for text in flips:
        flip = parse_flip(text, model.levels_)
        found[str(flip)] = float(consistency([model.predict(copy) for copy in flip.copies(table)])[0])
    own = [Flip(name, model.levels_[name]) for name in model.sensitive_]
    if own:
        found["sensitive"] = float(consistency([model.predict(copy) for copy in combinations(table, own)])[0])
    for name, level, group in groups_of(model, table):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a gap that cannot be told is NaN in the table
            found[f"gap_rms {name}={level}"] = float(gaps(y, predicted, group, classes).rms[0])
    return found
