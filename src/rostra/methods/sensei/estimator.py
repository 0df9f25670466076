"""A classifier with scikit-learn's manners whose answers do not depend on what should not matter."""

__all__ = ["SenSeIClassifier", "named_by_texts"]

import inspect
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_random_state, column_or_1d, validate_data
from torch import Tensor

from rostra.engine.checkpoints import load_checkpoint, rebuilding, save_checkpoint, tuples
from rostra.engine.errors import InputError
from rostra.engine.runtime import resolve_device
from rostra.fields.tabular.encoding import TableEncoder
from rostra.fields.tabular.tables import quoted

from .flips import parse_flip
from .metrics import FairMetric
from .model import Classifier
from .preparation import (
    Features,
    MetricSettings,
    check_reach,
    counterfactuals,
    fit_metric,
    sensitive_columns,
)
from .training import FittedClassifiers, SenSeIConfig, TrainingData, preset, train

Array = NDArray[np.float64]

KIND = "sensei"
GIVEN = "given"
"""Stands in a saved model's parameters for a metric that was given, and is saved as such."""
LONG_ENOUGH = 100
"""Iterations from which on lambda is expected to settle."""


@dataclass(frozen=True)
class Prepared:
    """A training set, ready for :func:`train`.

    Attributes:
        config: what it is trained with.
        features: how the table became numbers.
        classes: labels, sorted.
        data: inputs and labels 0 to K - 1.
        metric: the fair metric, or None where the method needs none.
        areas: how well other features tell each sensitive attribute (area under the ROC curve).
    """

    config: SenSeIConfig
    features: Features
    classes: NDArray[Any]
    data: TrainingData
    metric: FairMetric | None
    areas: dict[str, float]


class SenSeIClassifier(ClassifierMixin, BaseEstimator):
    """A neural network that is individually fair by sensitive set invariance (Yurochkin, Sun, ICLR 2021).

    Besides the cross-entropy, training lowers the largest change of the logits between a person and those who differ
    in what should not matter, as a fair metric tells. Texts are one-hot encoded, numbers standardised.

    Args:
        sensitive: columns of X that should not matter, by name or position. They stay inputs: that answers do not
            depend on them, nor on what goes with them, is what training is for.
        method: "sensei", or a comparator: "sensr" (worst-case loss), "clp" (counterfactual logit pairing), "project"
            (inputs without their sensitive part), "baseline".
        metric: "logistic" (directions that tell the sensitive attributes), "explore" (learned from pairs), "svd"
            (directions in which comparable rows differ), "euclidean" (no weight on sensitive columns), a
            :class:`FairMetric` over the features, or a matrix Sigma.
        rho: weight of the fair regulariser (sensei, clp).
        eps: transport budget (sensei, sensr): the mean squared fair distance that worst cases may have.
        flips: "column: A<->B", or "column": values of other columns to be treated alike (clp).
        hidden: widths of the hidden layers.
        auditor: how worst cases are found: "noise" (inFairness), or "two_stage" (the released code of SenSR), which
            goes far inside the sensitive subspace: groups come closer to each other, at more cost in accuracy.
        auditor_steps, auditor_lr: of "noise"; together they should reach at least 1, the size of a flip.
        subspace_steps, subspace_lr, full_steps, full_lr: of "two_stage".
        dual_update, dual_lr: how lambda follows the budget; "ratio" is the released code's rule.
        reduction: of the distance of logits over the classes, "sum" or "mean".
        iterations, epochs, batch_size, lr: Adam; epochs, if given, replaces iterations.
        class_balanced: minibatches hold equally many rows of each class.
        metric_penalty, metric_C: of the logistic metric's regressions.
        metric_components: number of directions of metric "svd".
        standardize: scale numbers to mean 0 and standard deviation 1.
        impute: None, or "median" to fill missing numbers and take missing texts as a category.
        one_hot: take sensitive columns of more than two numbers as categories.
        random_state: seed of weights, order and noise.
        device: torch device; None takes CUDA where there is one.

    Attributes:
        classes_: labels, sorted.
        metric_: the fair metric, or None.
        attribute_auc_: how well the other features tell each sensitive attribute (metric "logistic"): near .5 there
            is no proxy, near 1 dropping the column would hide nothing.
        lambda_: the dual variable at the end.
        history_: loss, mean fair distance and lambda by iteration, (iterations, 3).
        features_: names of the network's inputs.
    """

    def __init__(
        self,
        sensitive: Sequence[str | int] | str | None = None,
        method: str = "sensei",
        metric: Any = "logistic",
        rho: float = 5.0,
        eps: float = 0.03,
        flips: Sequence[str] = (),
        hidden: tuple[int, ...] = (100,),
        auditor: str = "noise",
        auditor_steps: int = 20,
        auditor_lr: float = 0.1,
        subspace_steps: int = 20,
        subspace_lr: float = 1.0,
        full_steps: int = 20,
        full_lr: float = 1e-3,
        dual_update: str = "sgd",
        dual_lr: float = 0.1,
        reduction: str = "sum",
        iterations: int = 1500,
        epochs: int | None = None,
        batch_size: int = 500,
        lr: float = 1e-3,
        class_balanced: bool = True,
        metric_penalty: str = "l2",
        metric_C: float = 0.01,
        metric_components: int = 10,
        standardize: bool = True,
        impute: str | None = None,
        one_hot: bool = False,
        random_state: Any = None,
        device: str | None = None,
    ) -> None:
        self.sensitive = sensitive
        self.method = method
        self.metric = metric
        self.rho = rho
        self.eps = eps
        self.flips = flips
        self.hidden = hidden
        self.auditor = auditor
        self.auditor_steps = auditor_steps
        self.auditor_lr = auditor_lr
        self.subspace_steps = subspace_steps
        self.subspace_lr = subspace_lr
        self.full_steps = full_steps
        self.full_lr = full_lr
        self.dual_update = dual_update
        self.dual_lr = dual_lr
        self.reduction = reduction
        self.iterations = iterations
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.class_balanced = class_balanced
        self.metric_penalty = metric_penalty
        self.metric_C = metric_C
        self.metric_components = metric_components
        self.standardize = standardize
        self.impute = impute
        self.one_hot = one_hot
        self.random_state = random_state
        self.device = device

    # ---------------------------------------------------------------- fit

    def fit(self, X: Any, y: ArrayLike, *, sensitive_features: Any = None, comparable: Any = None) -> Self:
        """Train the classifier.

        Args:
            X: rows of numbers, or a DataFrame of numbers, truth values and texts.
            y: labels of any kind, shape (rows,).
            sensitive_features: sensitive attributes that are not in X, shape (rows,) or (rows, m), each value a group;
                or columns of a DataFrame X, which are then taken from there.
            comparable: a group number for each row, equal for people who should be treated alike, negative for none;
                for metric "svd", and "explore" instead of the sensitive columns.

        Returns:
            This estimator, fitted.

        Raises:
            ValueError: for unusable input; the message names the column and the first bad row.
        """
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        prepared = self.prepare(X, y, sensitive_features=sensitive_features, comparable=comparable, seed=seed)
        config = prepared.config
        fitted = train(prepared.data, config, [seed], prepared.metric, device=resolve_device(self.device))
        if config.attacks and config.iterations >= LONG_ENOUGH and not fitted.settled().all():
            warnings.warn(
                "lambda or the mean fair distance still swings by more than 10x in the last half of training; "
                "choose a larger eps, or dual_update='sgd' with a smaller dual_lr",
                UserWarning,
                stacklevel=2,
            )
        return self.adopt(prepared, fitted, seed)

    @classmethod
    def from_preset(cls, name: str, **parameters: Any) -> Self:
        """A classifier with the settings of "paper" (SenSR's Adult protocol) or "infairness" (its Adult example).

        Args:
            name: which.
            **parameters: parameters that shall differ, and ``sensitive``.
        """
        config = preset(name, parameters.get("method", "sensei"))
        accepted = inspect.signature(cls).parameters
        settings = {k: v for k, v in asdict(config).items() if k in accepted}
        return cls(**{**settings, **parameters})

    def config(self, rows: int) -> SenSeIConfig:
        """What a table of so many rows is trained with."""
        known = {field.name for field in fields(SenSeIConfig)}
        given = {name: value for name, value in self.get_params(deep=False).items() if name in known}
        hidden = given["hidden"]
        config = SenSeIConfig(
            **{**given, "hidden": (int(hidden),) if isinstance(hidden, (int, np.integer)) else tuple(hidden)}
        )
        if self.epochs is None:
            return config
        if not isinstance(self.epochs, (int, np.integer)) or self.epochs < 1:
            raise InputError(f"epochs must be a whole number of at least 1, got {self.epochs!r}")
        return replace(config, iterations=self.epochs * max(1, rows // config.batch_size))

    def prepare(
        self,
        X: Any,
        y: Any,
        *,
        sensitive_features: Any = None,
        comparable: Any = None,
        seed: int = 0,
        encoder: TableEncoder | None = None,
    ) -> Prepared:
        """Check a training set and make features, metric and counterfactuals of it; the first half of ``fit``.

        Args:
            X, y, sensitive_features, comparable: see ``fit``.
            seed: of the draws that a metric may need.
            encoder: of a larger table that X is a part of.
        """
        if self.impute not in (None, "median"):
            raise InputError(f"impute must be None or 'median', got {self.impute!r}")
        table, labels = self._checked(X, y)
        config = self.config(len(table))
        names = self.sensitive_names(X, table)
        attributes, attribute_names = None, []
        if sensitive_features is not None:
            own, apart = _divided(sensitive_features, table)
            names = list(dict.fromkeys([*names, *own]))
            if apart is not None:
                _check_not_the_label(apart, labels)
                attributes, encoding = sensitive_columns(apart, len(table))
                attribute_names = encoding.features
        _check_not_the_label(table[names], labels)
        features = Features.fitted(
            table,
            names,
            impute=self.impute is not None,
            standardize=self.standardize,
            one_hot=self.one_hot,
            encoder=encoder,
        )
        classes, y_number = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise InputError(f"y holds one class only ({classes[0]!r}); a classifier needs at least two")
        x = features(table)
        positions = features.sensitive_positions
        check_reach(config, bool(positions))
        metric, areas = self._fair_metric(
            config,
            x,
            y_number,
            positions,
            [*(features.encoder.features[position] for position in positions), *attribute_names],
            attributes,
            comparable,
            seed,
        )
        flips = tuple(parse_flip(text, features.levels) for text in self.flips)
        versions = counterfactuals(table, features, flips)[None] if config.method == "clp" else None
        data = TrainingData(
            x[None].astype(np.float32),
            y_number[None],
            len(classes),
            None if versions is None else versions.astype(np.float32),
        )
        return Prepared(config, features, classes, data, metric, areas)

    def encoding(self, table: pd.DataFrame) -> TableEncoder:
        """How the columns of a whole table become numbers, for models of parts of it."""
        names = self.sensitive_names(table, table)
        return Features.fitted(
            table, names, impute=self.impute is not None, standardize=True, one_hot=self.one_hot
        ).encoder

    def _fair_metric(
        self,
        config: SenSeIConfig,
        x: Array,
        y: NDArray[np.int64],
        positions: list[int],
        names: list[str],
        attributes: Array | None,
        comparable: Any,
        seed: int,
    ) -> tuple[FairMetric | None, dict[str, float]]:
        """The metric given, or learned; also for methods that train without one, since audits need it."""
        if not isinstance(self.metric, str):
            metric = self.metric if isinstance(self.metric, FairMetric) else FairMetric.matrix(self.metric)
            if metric.d != x.shape[1]:
                raise InputError(f"the fair metric was made for {metric.d} features, the table has {x.shape[1]}")
            return metric, {}
        settings = MetricSettings(self.metric, self.metric_penalty, self.metric_C, self.metric_components, seed=seed)
        needed = config.attacks or config.method == "project"
        if not needed and (self.metric == "svd" or not (positions or attributes is not None)):
            return None, {}
        return fit_metric(settings, x, y, columns=positions, names=names, attributes=attributes, groups=comparable)

    def adopt(self, prepared: Prepared, fitted: FittedClassifiers, seed: int) -> Self:
        """Take over a trained network; the second half of ``fit``."""
        self._features, self._fitted, self._seed = prepared.features, fitted, seed
        self.classes_ = prepared.classes
        self.metric_ = prepared.metric
        self.attribute_auc_ = prepared.areas
        self.lambda_ = float(fitted.dual[0])
        self.history_ = fitted.history[:, :, 0]
        self.features_ = prepared.features.encoder.features
        self.notes_: dict[str, Any] = {}
        return self

    def _checked(self, X: Any, y: Any) -> tuple[pd.DataFrame, NDArray[Any]]:
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if _is_table(X):
            table = named_by_texts(X)
            validate_data(self, table, skip_check_array=True)
            labels = column_or_1d(np.asarray(y), warn=True)
            if len(labels) != len(table):
                raise InputError(f"y has {len(labels)} rows, X has {len(table)}; they must be equal")
            if not len(table):
                raise InputError("X has no rows")
        else:
            array, labels = validate_data(self, X, y, dtype=np.float64)
            table = pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])])
        if pd.isna(labels).any():
            missing = np.flatnonzero(pd.isna(labels))
            count = f"{len(missing)} missing label{'s' if len(missing) > 1 else ''}"
            raise InputError(f"y holds {count} (NaN), first in row {missing[0] + 1}; drop those rows")
        try:
            check_classification_targets(labels)
        except ValueError as error:
            raise InputError(f"the labels are no classes: {str(error).splitlines()[0]}") from None
        return table, labels

    def sensitive_names(self, X: Any, table: pd.DataFrame) -> list[str]:
        """Names of the sensitive columns; a column of a DataFrame with that name goes before a position."""
        chosen: list[Any] = [self.sensitive] if isinstance(self.sensitive, (str, int)) else []
        if self.sensitive is not None and not chosen:
            chosen = list(self.sensitive)
        names = []
        for column in chosen:
            position = isinstance(column, (int, np.integer)) and not (_is_table(X) and column in X.columns)
            if position and not 0 <= column < table.shape[1]:
                raise InputError(f"sensitive names column {column}, but X has {table.shape[1]} columns")
            name = str(table.columns[int(column)] if position else column)
            if name not in table.columns:
                raise InputError(f"no sensitive column '{name}'; X has: {quoted(list(map(str, table.columns[:20])))}")
            names.append(name)
        return list(dict.fromkeys(names))

    # ---------------------------------------------------------------- use

    def table(self, X: Any) -> pd.DataFrame:
        """Rows as the table that the network's features are made of; checks names and number of columns."""
        check_is_fitted(self)
        if _is_table(X):
            table = named_by_texts(X)
            validate_data(self, table, skip_check_array=True, reset=False)
            return table
        array = validate_data(self, X, dtype=np.float64, reset=False)
        return pd.DataFrame(array, columns=self._features.encoder.names)

    def inputs(self, X: Any) -> Array:
        """Inputs of the network: (rows, d)."""
        check_is_fitted(self)
        return self._features(self.table(X))

    def logits(self, X: Any) -> Array:
        """Logits: (rows, K)."""
        x = self.inputs(X)
        return np.asarray(self._fitted.logits(x[None])[0])

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class, in the order of ``classes_``: (rows, K)."""
        logits = self.logits(X)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class: (rows,)."""
        logits = self.logits(X)
        return np.asarray(self.classes_[logits.argmax(axis=1)])

    @property
    def levels_(self) -> dict[str, tuple[str, ...]]:
        """Values of each column that is a category."""
        return self._features.levels

    @property
    def sensitive_(self) -> tuple[str, ...]:
        """Names of the sensitive columns."""
        return self._features.sensitive

    @property
    def config_(self) -> SenSeIConfig:
        """What the network was trained with."""
        return self._fitted.config

    @property
    def encoder_(self) -> TableEncoder:
        """How columns became numbers."""
        return self._features.encoder

    @property
    def network_(self) -> Classifier:
        """The trained network: (1, rows, d) -> (1, rows, K)."""
        return self._fitted.network

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.allow_nan = False
        return tags

    # ---------------------------------------------------------------- save and load

    def save(self, folder: str | Path, *, notes: dict[str, Any] | None = None) -> None:
        """Write the fitted classifier to a folder (safetensors and JSON), replacing one that is there.

        Args:
            folder: new, empty, or holding an earlier model.
            notes: kept in the document, for the caller (JSON values).

        Raises:
            ValueError: if the folder holds other files or cannot be written.
        """
        check_is_fitted(self)
        tensors = {f"network.{name}": value for name, value in self._fitted.network.state_dict().items()}
        tensors["history"] = torch.from_numpy(self._fitted.history)
        tensors["features.mean"] = torch.from_numpy(self._features.mean)
        tensors["features.scale"] = torch.from_numpy(self._features.scale)
        if self.metric_ is not None:
            tensors.update({f"metric.{name}": value for name, value in self.metric_.state_dict().items()})
        parameters = self.get_params(deep=False)
        parameters["metric"] = self.metric if isinstance(self.metric, str) else GIVEN
        if not isinstance(parameters["random_state"], (int, type(None))):
            parameters["random_state"] = None  # a generator has no JSON; the seed drawn from it is below
        names = getattr(self, "feature_names_in_", None)
        content = {
            "parameters": parameters,
            "config": asdict(self._fitted.config),
            "seed": self._seed,
            "classes": {"kind": self.classes_.dtype.kind, "values": self.classes_.tolist()},
            "encoder": self._features.encoder.to_json(),
            "sensitive": list(self._features.sensitive),
            "dual": self.lambda_,
            "attribute_auc": self.attribute_auc_,
            "feature_names": None if names is None else [str(name) for name in names],
            "notes": self.notes_ if notes is None else notes,
        }
        save_checkpoint(Path(folder), KIND, tensors, content)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = None) -> Self:
        """Read back a classifier. Its ``notes_`` are those given to save.

        Raises:
            ValueError: if the folder is missing, damaged, or of another method.
        """
        tensors, content = load_checkpoint(Path(folder), KIND)
        with rebuilding(folder):
            return cls._rebuilt(tensors, content, resolve_device(device))

    @classmethod
    def _rebuilt(cls, tensors: dict[str, Tensor], content: dict[str, Any], device: torch.device) -> Self:
        config = SenSeIConfig(**tuples(content["config"]))
        encoder = TableEncoder.from_json(content["encoder"])
        features = Features(
            encoder, tensors["features.mean"].numpy(), tensors["features.scale"].numpy(), tuple(content["sensitive"])
        )
        values = np.array(content["classes"]["values"])
        classes = values.astype(object) if content["classes"]["kind"] == "O" else values
        metric = None
        if "metric.sigma" in tensors:
            directions = tensors.get("metric.directions")
            metric = FairMetric(tensors["metric.sigma"].numpy(), None if directions is None else directions.numpy())
        network = config.network(1, len(encoder.features), len(classes)).requires_grad_(False)
        network.load_state_dict(
            {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
        )
        fitted = FittedClassifiers(config, network.to(device), np.array([content["dual"]]), tensors["history"].numpy())
        parameters = tuples(content["parameters"])
        model = cls(**{**parameters, "metric": metric if parameters["metric"] == GIVEN else parameters["metric"]})
        empty = TrainingData(np.zeros((1, 0, len(encoder.features))), np.zeros((1, 0), dtype=int), len(classes))
        prepared = Prepared(config, features, classes, empty, metric, content["attribute_auc"])
        model.adopt(prepared, fitted, content["seed"])
        model.notes_ = content["notes"]
        model.n_features_in_ = len(encoder.columns)
        if content["feature_names"] is not None:
            model.feature_names_in_ = np.array(content["feature_names"], dtype=object)
        return model


def _is_table(X: Any) -> bool:
    return hasattr(X, "columns") and hasattr(X, "iloc")


def named_by_texts(X: Any) -> pd.DataFrame:
    """A DataFrame with texts for names.

    Raises:
        InputError: if a name stands twice.
    """
    table: pd.DataFrame = X.set_axis([str(name) for name in X.columns], axis=1)
    repeated = sorted(set(table.columns[table.columns.duplicated()]))
    if repeated:
        raise InputError(f"X has several columns named {quoted(repeated)}; names must be unique")
    return table


def _divided(attributes: Any, table: pd.DataFrame) -> tuple[list[str], pd.DataFrame | None]:
    """Names of attributes that are columns of the table, and the others as a table of their own.

    Raises:
        InputError: for other rows, or the name of a column with other values.
    """
    frame = attributes.to_frame() if isinstance(attributes, pd.Series) else pd.DataFrame(attributes)
    if len(frame) != len(table):
        raise InputError(f"sensitive_features has {len(frame)} rows, X has {len(table)}; they must be equal")
    named = hasattr(attributes, "iloc") and not isinstance(frame.columns, pd.RangeIndex)
    own = [name for name in frame.columns if named and str(name) in table.columns]
    for name in own:
        if not (frame[name].astype(str).to_numpy() == table[str(name)].astype(str).to_numpy()).all():
            raise InputError(
                f"sensitive_features has a column '{name}' whose values are not those of column '{name}' of X"
            )
    apart = frame.drop(columns=own)
    return [str(name) for name in own], apart if apart.shape[1] else None


def _check_not_the_label(attributes: pd.DataFrame, labels: NDArray[Any]) -> None:
    """A sensitive attribute that is the label by other names."""
    for name in attributes.columns:
        pairs = pd.DataFrame({"value": attributes[name].to_numpy(), "label": labels}).dropna().drop_duplicates()
        if len(pairs) > 1 and pairs["value"].is_unique and pairs["label"].is_unique:
            raise InputError(f"sensitive column '{name}' says the same as the label; a fair answer cannot depend on it")
