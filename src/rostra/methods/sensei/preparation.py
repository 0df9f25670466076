"""From a user's table to what training needs: features, the fair metric, counterfactuals."""

__all__ = [
    "Features",
    "MetricSettings",
    "check_reach",
    "counterfactuals",
    "draw_pairs",
    "fit_metric",
    "sensitive_columns",
]

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rostra.engine.errors import InputError
from rostra.fields.tabular.encoding import MAX_CATEGORIES, TableEncoder
from rostra.fields.tabular.scaling import deviation
from rostra.fields.tabular.tables import check_names, quoted

from .flips import MAX_COMBINATIONS, Flip, combinations
from .metrics import FairMetric, logistic_directions, svd_directions
from .training import SenSeIConfig

Array = NDArray[np.float64]

FEWEST_ROWS = 30
"""A level of a sensitive column with fewer rows is merged into "other"."""
FEWEST_TO_LEARN = 10
"""A level with fewer rows keeps its axis in the fair metric, and no direction is learned from it."""
UNEQUAL_SCALES = 20.0
METRICS = ("logistic", "explore", "svd", "euclidean")
EXPLORE_PAIRS = 10_000


@dataclass(frozen=True)
class Features:
    """How a table becomes the network's inputs.

    Attributes:
        encoder: of the columns.
        mean, scale: of each feature; 0 and 1 for columns of 0 and 1.
        sensitive: columns of the table that are sensitive.
    """

    encoder: TableEncoder
    mean: Array
    scale: Array
    sensitive: tuple[str, ...]

    @classmethod
    def fitted(
        cls,
        table: pd.DataFrame,
        sensitive: Sequence[str],
        *,
        impute: bool,
        standardize: bool,
        one_hot: bool,
        encoder: TableEncoder | None = None,
    ) -> Self:
        """The encoding of a table; numbers are brought to mean 0 and standard deviation 1, columns of 0 and 1 are not.

        Args:
            table: without the label.
            sensitive: columns that should not matter; each is taken as a category.
            impute: fill missing numbers with the median, take missing texts as a category.
            standardize: scale numbers.
            one_hot: take sensitive columns of more than two numbers as categories, too.
            encoder: of a larger table that these rows are from; None makes one of these rows.

        Raises:
            InputError: for sensitive columns that are missing, constant, or numbers of more than two values without
                ``one_hot``; see also :meth:`TableEncoder.fitted`.
        """
        check_names(table, list(sensitive))
        for name in sensitive:
            values = table[name].dropna().nunique()
            if values < 2:
                raise InputError(f"sensitive column '{name}' holds one value only; there is nothing to be fair about")
            if values > MAX_CATEGORIES:
                raise InputError(
                    f"sensitive column '{name}' holds {values} different values; "
                    f"make groups of it, at most {MAX_CATEGORIES}"
                )
            numeric = pd.api.types.is_numeric_dtype(table[name].dtype)
            if numeric and values > 2 and not one_hot:
                raise InputError(
                    f"sensitive column '{name}' holds {values} different numbers; make groups of it, "
                    "or pass one_hot=True (--one-hot) to take every value as a group"
                )
        given = encoder is not None
        if encoder is None:
            encoder = TableEncoder.fitted(table, impute=impute, categories=dict.fromkeys(sensitive, FEWEST_ROWS))
        for name in sensitive:
            if encoder[name].rare and not given:
                warnings.warn(
                    f"column '{name}': levels with fewer than {FEWEST_ROWS} rows are merged into 'other': "
                    f"{quoted(encoder[name].rare)}",
                    UserWarning,
                    stacklevel=3,
                )
        x = encoder.transform(table).to_numpy()
        mean, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
        numbers = ~((x == 0) | (x == 1)).all(axis=0)
        if standardize and numbers.any():
            mean[numbers] = x[:, numbers].mean(axis=0)
            scale[numbers] = deviation(x[:, numbers], mean[numbers])
        else:
            _check_scales(x, encoder.features)
        return cls(encoder, mean, scale, tuple(sensitive))

    def __call__(self, table: pd.DataFrame) -> Array:
        """Inputs of the network: (rows, d)."""
        return np.asarray((self.encoder.transform(table).to_numpy() - self.mean) / self.scale)

    @property
    def sensitive_positions(self) -> list[int]:
        """The 0/1 features that sensitive columns became."""
        return [position for name in self.sensitive for position in self.encoder.positions(name)]

    @property
    def levels(self) -> dict[str, tuple[str, ...]]:
        """Values of each column that is a category."""
        return {column.name: column.levels for column in self.encoder.columns if column.levels is not None}


def _check_scales(x: Array, names: Sequence[str]) -> None:
    spread = x.std(axis=0)
    large = spread > UNEQUAL_SCALES * max(float(np.median(spread)), 1e-12)
    if large.any():
        warnings.warn(
            f"features differ much in scale ({quoted([names[i] for i in np.flatnonzero(large)[:5]])} vary more than "
            f"{UNEQUAL_SCALES:g} times as much as the others); the auditor's steps are in units of the features: "
            "standardise them",
            UserWarning,
            stacklevel=4,
        )


def sensitive_columns(attributes: Any, rows: int) -> tuple[Array, TableEncoder]:
    """Sensitive attributes apart from the table as 0/1 columns, a column a level, (rows, m), and their encoding."""
    table = attributes.to_frame() if isinstance(attributes, pd.Series) else pd.DataFrame(attributes)
    if len(table) != rows:
        raise InputError(f"sensitive_features has {len(table)} rows, X has {rows}; they must be equal")
    table.columns = [str(name) for name in table.columns]
    features = Features.fitted(table, list(table.columns), impute=False, standardize=False, one_hot=True)
    return features(table), features.encoder


@dataclass(frozen=True)
class MetricSettings:
    """How the fair metric is learned.

    Attributes:
        kind: "logistic", "explore", "svd" or "euclidean".
        penalty, C: of the logistic regressions.
        components: number of directions of "svd".
        iterations: of "explore".
        seed: of the draws of pairs.
    """

    kind: str
    penalty: str = "l2"
    C: float = 0.01
    components: int = 10
    iterations: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in METRICS:
            raise InputError(f"metric must be one of {', '.join(METRICS)}, a FairMetric or a matrix, got {self.kind!r}")


def fit_metric(
    settings: MetricSettings,
    x: Array,
    y: NDArray[np.int64],
    *,
    columns: Sequence[int],
    names: Sequence[str],
    attributes: Array | None = None,
    groups: Any = None,
) -> tuple[FairMetric, dict[str, float]]:
    """The fair metric of a training set.

    Args:
        settings: which, and how.
        x, y: features and labels.
        columns: sensitive columns of x, 0 or 1.
        names: of the sensitive columns or attributes.
        attributes: sensitive attributes apart from x, 0 or 1, shape (rows, m).
        groups: for "svd" and "explore": rows with one number are comparable, negative ones belong to none; (rows,).

    Returns:
        The metric, and for "logistic" the area under the ROC curve of each attribute's regression: how well the other
        features tell the attribute.

    Raises:
        InputError: if what the metric needs is not there.
    """
    if groups is not None:
        groups = np.asarray(groups)
        if groups.shape != (len(x),):
            raise InputError(f"comparable must hold a group number for each of the {len(x)} rows")
    if settings.kind == "euclidean":
        return FairMetric.euclidean(x.shape[1], ignore=columns), {}
    if settings.kind == "svd":
        if groups is None:
            raise InputError("metric 'svd' needs comparable: a group number for each row, equal for comparable people")
        members = [x[groups == number] for number in np.unique(groups[groups >= 0])]
        return FairMetric.subspace(svd_directions(members, settings.components)), {}
    if not len(columns) and attributes is None and (settings.kind == "logistic" or groups is None):
        raise InputError(
            f"metric '{settings.kind}' needs sensitive columns; name them with sensitive=[...], "
            "or pass sensitive_features to fit"
        )
    if settings.kind == "explore":
        sensitive = np.column_stack([x[:, list(columns)], *([] if attributes is None else [attributes])])
        first, second, comparable = draw_pairs(x, y, sensitive, groups, settings.seed)
        metric = FairMetric.explore(first, second, comparable, iterations=settings.iterations, seed=settings.seed)
        return metric, {}
    options: dict[str, Any] = {"penalty": settings.penalty, "C": settings.C, "balanced": True}
    directions, areas = [], dict[str, float]()
    if len(columns):
        told = [(column, name) for column, name in zip(columns, names, strict=False) if _can_be_learned(x[:, column])]
        found, each = logistic_directions(x, columns=columns, regress=[column for column, _ in told], **options)
        directions.append(found)
        areas |= dict(zip([name for _, name in told], each, strict=True))
    if attributes is not None:
        kept = [(a, name) for a, name in zip(attributes.T, names[len(columns) :], strict=True) if _can_be_learned(a)]
        if kept:
            found, each = logistic_directions(x, attributes=np.stack([a for a, _ in kept], axis=1), **options)
            directions.append(found)
            areas |= dict(zip([name for _, name in kept], each, strict=True))
    if not directions:
        raise InputError(f"every group of the sensitive attributes has fewer than {FEWEST_TO_LEARN} rows")
    return FairMetric.subspace(np.concatenate(directions, axis=1)), areas


def _can_be_learned(attribute: Array) -> bool:
    """Whether a 0/1 attribute has rows enough of both; a level of a few rows would teach their accidents."""
    ones = int(attribute.sum())
    return min(ones, len(attribute) - ones) >= FEWEST_TO_LEARN


def draw_pairs(
    x: Array, y: NDArray[np.int64], sensitive: Array, groups: Any, seed: int
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Comparable pairs: one label and another sensitive value, or one group; incomparable: different labels."""
    rng = np.random.default_rng(seed)

    def draw(acceptable: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        one, other = rng.integers(len(x), size=(2, 20 * EXPLORE_PAIRS))
        kept = np.flatnonzero(acceptable(one, other))[:EXPLORE_PAIRS]
        return one[kept], other[kept]

    if groups is None:
        same = draw(lambda a, b: (y[a] == y[b]) & (sensitive[a] != sensitive[b]).any(axis=1))
    else:
        same = _within_groups(groups, rng)
    different = draw(lambda a, b: y[a] != y[b])
    if not len(same[0]) or not len(different[0]):
        raise InputError("metric 'explore' found no comparable or no incomparable pairs in the table")
    first = np.concatenate([same[0], different[0]])
    second = np.concatenate([same[1], different[1]])
    return x[first], x[second], np.repeat([1, 0], [len(same[0]), len(different[0])])


def _within_groups(groups: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of different members of one group."""
    members = np.argsort(groups, kind="stable")
    members = members[groups[members] >= 0]
    _, first, size = np.unique(groups[members], return_index=True, return_counts=True)
    first, size = np.repeat(first, size), np.repeat(size, size)  # of the group of each place in members
    places = np.flatnonzero(size > 1)
    if not len(places):
        return places, places
    place = rng.choice(places, EXPLORE_PAIRS)
    step = 1 + rng.integers(size[place] - 1)
    return members[place], members[first[place] + (place - first[place] + step) % size[place]]


def counterfactuals(table: pd.DataFrame, features: Features, flips: Sequence[Flip]) -> Array:
    """The rows with every combination of the sensitive columns' values, with and without each flip's values swapped.

    Returns:
        Shape (versions, rows, d).
    """
    levels: Mapping[str, Sequence[str]] = features.levels
    own = [Flip(name, tuple(levels[name])) for name in features.sensitive]
    others = [flip for flip in flips if flip.column not in features.sensitive]
    versions = combinations(table, own)
    for flip in others:
        versions += [flip.swapped(version, features.encoder) for version in versions]
    if len(versions) > MAX_COMBINATIONS:
        raise InputError(f"flips and sensitive columns make {len(versions)} versions of a row; name fewer flips")
    if not own and not others:
        raise InputError("method 'clp' needs sensitive columns of the table, or flips, to make counterfactuals of")
    return np.stack([features(version) for version in versions])


def check_reach(config: SenSeIConfig, sensitive: bool) -> None:
    """Warn where the auditor cannot flip a 0/1 column."""
    reach = config.auditor_steps * config.auditor_lr
    if config.attacks and config.auditor == "noise" and sensitive and reach < 1:
        warnings.warn(
            f"the auditor reaches {reach:.3g} at most (auditor_steps * auditor_lr), and cannot flip a sensitive column "
            "of 0 and 1; raise auditor_lr or auditor_steps",
            UserWarning,
            stacklevel=4,
        )
