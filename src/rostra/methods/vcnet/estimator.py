"""Estimators with scikit-learn's manners: dose-response curves of a continuous treatment from a table."""

__all__ = ["DRNetRegressor", "TARNetRegressor", "TreatmentColumn", "VCNetRegressor"]

import inspect
import math
import warnings
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.metrics import r2_score
from sklearn.utils.validation import (
    _check_feature_names,
    check_is_fitted,
    check_random_state,
    validate_data,
)

from rostra.engine.checkpoints import load_checkpoint, rebuilding, save_checkpoint, tuples
from rostra.engine.errors import InputError
from rostra.engine.runtime import resolve_device
from rostra.fields.tabular.scaling import deviation

from . import curves
from .doubly_robust import DoublyRobustCurve
from .inputs import (
    TreatmentScale,
    check_covariates,
    check_doses,
    check_new_rows,
    check_training_data,
    numeric_column,
)
from .kernel import effective_sample_size
from .propensity import GridDensity
from .training import FittedNetworks, TrainingData, VCNetConfig, preset, train

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

EXTRAPOLATION_QUANTILES = (0.01, 0.99)
GRID_DOSES = 101


def refits_needed(level: float) -> int:
    """Fewest refits whose extremes reach the tails of a band of this level: 39 at 0.95.

    Of n draws from a distribution, the smallest has the expected level 1 / (n + 1) (Weibull's plotting position).
    """
    return math.ceil(round(2 / (1 - level) - 1, 6))


def check_level(level: float) -> None:
    """Check the level of a band.

    Raises:
        InputError: if it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1, such as 0.95, got {level}")


class _DoseResponseRegressor(RegressorMixin, BaseEstimator):
    """What the three estimators share: everything but their parameters."""

    _model: str
    _lr_candidates: tuple[float, ...]

    @classmethod
    def from_preset(cls, name: str, *, targeted: bool = True, **parameters: Any) -> Self:
        """An estimator with the paper's settings for "simulation", "ihdp" or "news".

        Fixes the learning rate and scales neither outcome nor covariates. Treatments are taken to
        be in [0, 1] already.

        Args:
            name: which experiment of the paper.
            targeted: with targeted regularization or without.
            **parameters: parameters that shall differ.
        """
        config = preset(name, cls._model, targeted=targeted)
        accepted = inspect.signature(cls).parameters
        settings = {k: v for k, v in asdict(config).items() if k in accepted}
        return cls(**{**settings, "standardize": False, "t_range": (0.0, 1.0), **parameters})

    def _config(self) -> VCNetConfig:
        known = {field.name for field in fields(VCNetConfig)}
        settings = {k: v for k, v in self.get_params(deep=False).items() if k in known}
        for name, value in settings.items():
            if isinstance(value, list):
                settings[name] = tuple(value)
        lr = settings.pop("lr")
        if lr == "auto":
            lr = self._lr_candidates[0]
        elif isinstance(lr, str):
            raise InputError(f"lr must be 'auto' or a number above 0, got {lr!r}")
        return VCNetConfig(model=self._model, lr=lr, **settings)

    # ---------------------------------------------------------------- fit

    def fit(self, X: ArrayLike, y: ArrayLike, *, treatment: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn mu(t, x), the treatment's density given x, and epsilon(t).

        Args:
            X: covariates, shape (rows, p), numbers.
            y: outcomes, shape (rows,).
            treatment: doses, shape (rows,), in any unit.
            sample_weight: non-negative weights, shape (rows,). A row of weight 0 counts as absent,
                one of weight 2 as two rows.

        Returns:
            This estimator, fitted.

        Raises:
            ValueError: for unusable input; the message names the column and the first bad row.
        """
        config = self._config()
        device = resolve_device(self.device)
        X, y, t, weights = check_training_data(self, X, y, treatment, sample_weight, min_rows=self.min_rows)
        self._scale = TreatmentScale.fitted(t, self.t_scale, self.t_range)
        self._set_scaling(X, y, weights)
        # A RandomState is advanced by its own draw, so two fits with one generator differ, as they should.
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._x, self._t, self._y, self._weights = X, t, y, weights
        data = self._training_data(weights[None])
        if self.lr == "auto":
            config = replace(config, lr=self._search_learning_rate(data, config, seed, device))
        self._seed = seed
        self._bootstrap: tuple[Array, FittedNetworks] | None = None
        self._density: GridDensity | None = None
        self._fitted = train(data, config, [seed], device=device, stage="fit")
        self.learning_rate_ = config.lr
        self.loss_history_ = self._fitted.history[:, :, 0]
        self.restarts_ = int(self._fitted.restarts[0])
        self.t_range_ = self._scale.range
        return self

    def _set_scaling(self, X: Array, y: Array, weights: Array) -> None:
        """Means and standard deviations over the weighted rows; a constant column keeps its unit."""
        columns, outcome = X.shape[1], 1.0
        self._x_mean, self._x_sd = np.zeros(columns), np.ones(columns)
        self._y_mean = 0.0
        if self.standardize:
            self._x_mean = np.average(X, axis=0, weights=weights)
            self._x_sd = deviation(X, self._x_mean, weights)
            self._y_mean = float(np.average(y, weights=weights))
            outcome = float(deviation(y[:, None], np.array([self._y_mean]), weights)[0])
        self._y_sd = outcome

    def _scaled_x(self, X: Array) -> Array:
        return ((X - self._x_mean) / self._x_sd)[None]

    def _training_data(self, weights: Array) -> TrainingData:
        return TrainingData(
            self._scaled_x(self._x), self._scale(self._t)[None], ((self._y - self._y_mean) / self._y_sd)[None], weights
        )

    def _search_learning_rate(self, data: TrainingData, config: VCNetConfig, seed: int, device: torch.device) -> float:
        """The smallest candidate whose held-out squared error is within one standard error of the least.

        All candidates are trained together on four fifths of the rows, from the same weights. The
        density loss is left out: it keeps falling at rates at which the outcome already overfits.
        Of rates that predict alike, the smaller one gives the smoother curve (the one-standard-error
        rule, Breiman et al. 1984, with the standard error of the paired difference).
        """
        order = np.random.default_rng(seed).permutation(data.t.shape[1])
        held_out, kept = np.split(order, [max(1, len(order) // 5)])
        assert data.weights is not None
        part = TrainingData(data.x[:, kept], data.t[:, kept], data.y[:, kept], data.weights[:, kept])
        rates = self._lr_candidates
        fitted = train(
            part, config, [seed] * len(rates), lr=rates, device=device, stage="learning rate", allow_divergence=True
        )
        squares = (data.y[:, held_out] - curves.outcomes(fitted, data.t[:, held_out], data.x[:, held_out])) ** 2
        error = np.average(squares, axis=1, weights=np.broadcast_to(data.weights[:, held_out], squares.shape))
        if not np.isfinite(error).any():
            raise InputError("training became non-finite at every learning rate; scale the outcome to order 1")
        excess = squares - squares[int(np.argmin(np.where(np.isfinite(error), error, np.inf)))]
        share = data.weights[0, held_out] / data.weights[0, held_out].sum()
        mean = excess @ share
        standard_error = np.sqrt((excess - mean[:, None]) ** 2 @ share**2)
        # A diverged candidate has no finite excess and compares as false.
        as_good = mean <= standard_error
        return float(min(rate for rate, good in zip(rates, as_good, strict=True) if good))

    # ---------------------------------------------------------------- use

    def predict(self, X: ArrayLike, *, treatment: ArrayLike, extrapolate: bool = False) -> Array:
        """mu(t, x) of each row at its own dose, in units of the outcome.

        Args:
            X: covariates, shape (rows, p).
            treatment: doses, shape (rows,), in natural units.
            extrapolate: clip doses outside the training range to it, with a warning.

        Returns:
            Shape (rows,).

        Raises:
            ValueError: for unusable input, or doses outside the range without ``extrapolate``.
        """
        x, t = self._check_new_rows(X, treatment, extrapolate)
        return self._from_scaled(curves.outcomes(self._fitted, t[None], x)[0])

    def score(
        self, X: ArrayLike, y: ArrayLike, *, treatment: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """R^2 of :meth:`predict` on rows with observed outcomes (it does not measure the curve's error)."""
        return float(r2_score(y, self.predict(X, treatment=treatment), sample_weight=sample_weight))

    def dose_response(
        self, t_grid: ArrayLike, X: ArrayLike | None = None, *, estimator: str | None = None, extrapolate: bool = False
    ) -> Array:
        """The average dose-response curve psi(t): the mean outcome if everybody received dose t.

        Args:
            t_grid: doses in natural units, shape (doses,).
            X: covariates to average over; None takes the training rows.
            estimator: "plugin" (mean of mu), "tr" (mean of mu + epsilon / g, the default of a
                targeted fit), or "dr" (kernel regression of doubly robust pseudo-outcomes of the
                training rows, Kennedy et al. 2017).
            extrapolate: clip doses outside the training range to it, with a warning.

        Returns:
            Shape (doses,), in units of the outcome.

        Raises:
            ValueError: for unusable input; "tr" without targeting; "dr" with other covariates.
        """
        check_is_fitted(self)
        t = self._check_doses(t_grid, "t_grid", extrapolate)
        kind = self._check_estimator(estimator)
        if kind == "dr":
            if X is not None:
                raise InputError("estimator='dr' uses the outcomes of the training rows; leave X out")
            found = self._doubly_robust()
            self.clipped_ratios_ = found.clipped
            return self._from_scaled(found(t))
        x, weights = self._sample(X)
        return self._from_scaled(curves.dose_response(self._fitted, t, x, weights, targeted=kind == "tr")[0])

    def individual_curves(self, t_grid: ArrayLike, X: ArrayLike, *, extrapolate: bool = False) -> Array:
        """mu(t, x) of every row at every dose, in units of the outcome: (rows, doses). Their mean is the plug-in."""
        x, t = self._check_covariates(X), self._check_doses(t_grid, "t_grid", extrapolate)
        return self._from_scaled(curves.unit_curves(self._fitted, t, x)[0].T)

    def overlap(self, t_grid: ArrayLike) -> Array:
        """Density of each dose for the training rows, per unit of the treatment: (rows, doses).

        Where a dose is improbable for some rows, the curve there rests on the network's form.
        """
        check_is_fitted(self)
        t = self._check_doses(t_grid, "t_grid", extrapolate=False)
        found = self._propensity().on_grid(self._scaled_x(self._x)[0], t)
        return found * self._scale.slope(np.asarray(t_grid, dtype=float))

    def density(self, X: ArrayLike, treatment: ArrayLike, *, extrapolate: bool = False) -> Array:
        """Conditional density of the treatment given the covariates, per unit of the treatment: (rows,).

        By a density network of its own (:class:`GridDensity`), fitted at first use. The outcome
        network's density head shapes training but is no estimate of the density: with the paper's
        learning rates it stays close to uniform.
        """
        x, t = self._check_new_rows(X, treatment, extrapolate)
        return self._propensity()(x[0], t) * self._scale.slope(
            np.clip(numeric_column(treatment, "treatment"), *self.t_range_)
        )

    def epsilon(self, t_grid: ArrayLike, *, extrapolate: bool = False) -> Array:
        """The perturbation epsilon(t) of targeted regularization, in units of the outcome: (doses,)."""
        check_is_fitted(self)
        return curves.epsilon(self._fitted, self._check_doses(t_grid, "t_grid", extrapolate))[0] * self._y_sd

    def effective_sample_size(self, t_grid: ArrayLike) -> Array:
        """How many training rows speak for each dose (Gaussian kernel, Silverman's bandwidth): (doses,)."""
        check_is_fitted(self)
        t = self._check_doses(t_grid, "t_grid", extrapolate=False)
        return effective_sample_size(self._scale(self._t), t, self._weights)

    def extrapolates(self, t_grid: ArrayLike) -> NDArray[np.bool_]:
        """Whether each dose lies outside the 1 % to 99 % quantiles of the training doses: (doses,)."""
        check_is_fitted(self)
        low, high = np.quantile(self._t, EXTRAPOLATION_QUANTILES)
        grid = np.asarray(t_grid, dtype=float)
        return (grid < low) | (grid > high)

    def confidence_band(
        self,
        t_grid: ArrayLike,
        X: ArrayLike | None = None,
        *,
        method: str = "bootstrap",
        estimator: str | None = None,
        n_boot: int | None = None,
        level: float = 0.95,
        simultaneous: bool = False,
        extrapolate: bool = False,
    ) -> tuple[Array, Array]:
        """Band of the curve, by bootstrap or by influence function (the paper gives none).

        Rows are drawn with replacement and the network is refitted, all refits in one batched
        program; the first call trains them, later calls use them. The band speaks of sampling and
        of training noise. It says nothing about unmeasured confounding, and little where few
        treatments lie.

        Args:
            t_grid: doses in natural units, shape (doses,).
            X: covariates to average over; None takes the training rows, redrawn with each refit.
            method: "bootstrap", or "influence": the pointwise normal band of estimator "dr", by its
                influence function, without refits.
            estimator: "tr" or "plugin" for the bootstrap, "dr" for the influence function; None
                takes the one that goes with the method.
            n_boot: number of refits; None takes those at hand, or else 50.
            level: of the band, between 0 and 1.
            simultaneous: cover the whole curve at once (sup-t) instead of each dose by itself
                (percentiles).
            extrapolate: clip doses outside the training range to it, with a warning.

        Returns:
            Lower and upper bounds, each of shape (doses,).

        Raises:
            ValueError: for unusable input.
        """
        check_is_fitted(self)
        check_level(level)
        if method not in ("bootstrap", "influence"):
            raise InputError(f"method must be 'bootstrap' or 'influence', got {method!r}")
        kind = self._check_estimator(estimator or ("dr" if method == "influence" else None))
        if (kind == "dr") != (method == "influence"):
            raise InputError("the bootstrap band is for estimator 'tr' or 'plugin', the influence band for 'dr'")
        t = self._check_doses(t_grid, "t_grid", extrapolate)
        if method == "influence":
            if X is not None or simultaneous:
                raise InputError(
                    "the influence band is pointwise and over the training rows; leave X and simultaneous out"
                )
            lower, upper = self._doubly_robust().band(t, level)
            return self._from_scaled(lower), self._from_scaled(upper)
        counts, refits = self._refits(n_boot)
        needed = refits_needed(level)
        if len(counts) < needed:
            warnings.warn(
                f"{len(counts)} refits are too few for a {level:.0%} band, which is too narrow; refit {needed} times",
                stacklevel=2,
            )
        x, weights = self._sample(X)
        per_refit = counts if X is None else weights
        estimates = self._from_scaled(curves.dose_response(refits, t, x, per_refit, targeted=kind == "tr"))
        tail = (1 - level) / 2
        if not simultaneous:
            low, high = np.quantile(estimates, [tail, 1 - tail], axis=0, method="weibull")
            return low, high
        centre = self._from_scaled(curves.dose_response(self._fitted, t, x, weights, targeted=kind == "tr")[0])
        spread = estimates.std(axis=0, ddof=1)
        distance = np.abs(estimates - estimates.mean(axis=0)) / np.maximum(spread, np.finfo(float).tiny)
        critical = np.quantile(distance.max(axis=1), level, method="weibull")
        return centre - critical * spread, centre + critical * spread

    @property
    def n_boot_(self) -> int:
        """Number of bootstrap refits at hand."""
        return 0 if self._bootstrap is None else len(self._bootstrap[0])

    @property
    def training_doses_(self) -> Array:
        """The training rows' treatments, in natural units: (rows,)."""
        return self._t

    @property
    def training_covariates_(self) -> "Array | pd.DataFrame":
        """The training rows' covariates, in natural units: (rows, p), with the names that they had."""
        if not hasattr(self, "feature_names_in_"):
            return self._x
        import pandas as pd

        return pd.DataFrame(self._x, columns=self.feature_names_in_)

    @property
    def training_density_(self) -> Array:
        """Density of each training row at its own dose, per unit of the treatment: (rows,)."""
        scaled = self._propensity()(self._scaled_x(self._x)[0], self._scale(self._t))
        return scaled * self._scale.slope(self._t)

    def fit_bootstrap(self, n_boot: int = 50) -> Self:
        """Train the refits of :meth:`confidence_band` now; :meth:`save` keeps them."""
        check_is_fitted(self)
        self._refits(n_boot)
        return self

    def _refits(self, n_boot: int | None) -> tuple[Array, FittedNetworks]:
        """Bootstrap counts of the rows (refits, rows), times the rows' weights, and the refitted networks."""
        if self._bootstrap is not None and n_boot in (None, self.n_boot_):
            return self._bootstrap
        number = 50 if n_boot is None else n_boot
        if number < 2:
            raise InputError(f"n_boot must be at least 2, got {number}")
        rng = np.random.default_rng(self._seed)
        rows = len(self._t)
        counts = rng.multinomial(rows, np.full(rows, 1 / rows), size=number) * self._weights
        seeds = [int(seed) for seed in rng.integers(2**31 - 1, size=number)]
        device = self._fitted.coefficients.device
        self._bootstrap = (
            counts,
            train(self._training_data(counts), self._fitted.config, seeds, device=device, stage="bootstrap"),
        )
        return self._bootstrap

    def _doubly_robust(self) -> DoublyRobustCurve:
        x, own = self._scaled_x(self._x), self._scale(self._t)
        grid = np.linspace(0.0, 1.0, GRID_DOSES)
        return DoublyRobustCurve.fitted(
            own,
            (self._y - self._y_mean) / self._y_sd,
            self._weights,
            curves.outcomes(self._fitted, own[None], x)[0],
            self._propensity()(x[0], own),
            grid,
            curves.unit_curves(self._fitted, grid, x)[0].T,
            self._propensity().on_grid(x[0], grid),
        )

    def _propensity(self) -> GridDensity:
        """The density model, fitted at first use; its draws come from the fit's own seed."""
        if self._density is None:
            x, own = self._scaled_x(self._x)[0], self._scale(self._t)
            self._density = GridDensity.fitted(x, own, self._weights, seed=self._seed, intervals=self.n_grid)
        return self._density

    def _from_scaled(self, y: Array) -> Array:
        return y * self._y_sd + self._y_mean

    def _sample(self, X: ArrayLike | None) -> tuple[Array, Array | None]:
        if X is None:
            return self._scaled_x(self._x), self._weights[None]
        return self._check_covariates(X), None

    def _check_covariates(self, X: Any) -> Array:
        return self._scaled_x(check_covariates(self, X))

    def _check_new_rows(self, X: Any, treatment: Any, extrapolate: bool) -> tuple[Array, Array]:
        check_is_fitted(self)
        x, t = check_new_rows(self, X, treatment, self._scale, extrapolate=extrapolate)
        return self._scaled_x(x), t

    def _check_doses(self, doses: Any, name: str, extrapolate: bool) -> Array:
        return check_doses(doses, name, self._scale, extrapolate=extrapolate)

    def _check_estimator(self, estimator: str | None) -> str:
        targeted = self._fitted.config.targeted
        kind = estimator or ("tr" if targeted else "plugin")
        if kind not in ("tr", "plugin", "dr"):
            raise InputError(f"estimator must be 'tr', 'plugin' or 'dr', got {kind!r}")
        if kind == "tr" and not targeted:
            raise InputError("estimator='tr' needs a fit with targeted=True; use 'plugin' or 'dr'")
        return kind

    # ---------------------------------------------------------------- save and load

    def save(self, folder: str | Path, *, notes: dict[str, Any] | None = None) -> None:
        """Write the fitted estimator to a folder (safetensors and JSON), replacing one that is there.

        The folder holds the training rows too, since curves average over their covariates: treat
        it with the care that the data need.

        Args:
            folder: new, empty, or holding an earlier model.
            notes: kept in the document, for the caller (JSON values).

        Raises:
            ValueError: if the folder holds other files or cannot be written.
        """
        check_is_fitted(self)
        tensors = {f"network.{name}": value for name, value in self._fitted.network.state_dict().items()}
        tensors["epsilon"] = self._fitted.coefficients
        for name in ("_x", "_t", "_y", "_weights", "_x_mean", "_x_sd"):
            tensors[f"rows.{name}"] = torch.from_numpy(getattr(self, name))
        tensors["history"] = torch.from_numpy(self._fitted.history)
        tensors["scale.natural"] = torch.from_numpy(self._scale.natural)
        tensors["scale.scaled"] = torch.from_numpy(self._scale.scaled)
        if self._bootstrap is not None:
            counts, refits = self._bootstrap
            tensors["bootstrap.counts"] = torch.from_numpy(counts)
            tensors["bootstrap.epsilon"] = refits.coefficients
            for name, value in refits.network.state_dict().items():
                tensors[f"bootstrap.network.{name}"] = value
        parameters = self.get_params(deep=False)
        if not isinstance(parameters["random_state"], (int, type(None))):
            parameters["random_state"] = None  # a generator has no JSON; the seed drawn from it is below
        names = getattr(self, "feature_names_in_", None)
        content = {
            "estimator": type(self).__name__,
            "parameters": parameters,
            "config": asdict(self._fitted.config),
            "seed": self._seed,
            "restarts": self.restarts_,
            "outcome": [self._y_mean, self._y_sd],
            "feature_names": None if names is None else list(names),
            "notes": notes or {},
        }
        save_checkpoint(Path(folder), "vcnet", tensors, content)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = None) -> "VCNetRegressor | DRNetRegressor":
        """Read back an estimator saved by any of the three classes. Its ``notes_`` are those given to save.

        Raises:
            ValueError: if the folder is missing, damaged, or of another method.
        """
        tensors, content = load_checkpoint(Path(folder), "vcnet")
        with rebuilding(folder):
            return cls._rebuilt(tensors, content, resolve_device(device or "cpu"))

    @classmethod
    def _rebuilt(
        cls, tensors: dict[str, torch.Tensor], content: dict[str, Any], place: torch.device
    ) -> "VCNetRegressor | DRNetRegressor":
        classes: dict[str, type[Any]] = {
            kind.__name__: kind for kind in (VCNetRegressor, DRNetRegressor, TARNetRegressor)
        }
        model = classes[content["estimator"]](**tuples(content["parameters"]))
        config = VCNetConfig(**tuples(content["config"]))
        for name in ("_x", "_t", "_y", "_weights", "_x_mean", "_x_sd"):
            setattr(model, name, tensors[f"rows.{name}"].numpy())
        model._scale = TreatmentScale(tensors["scale.natural"].numpy(), tensors["scale.scaled"].numpy())
        model._y_mean, model._y_sd = content["outcome"]
        model._seed, model.restarts_, model.notes_ = content["seed"], content["restarts"], content["notes"]
        model.t_range_ = model._scale.range
        model.learning_rate_ = config.lr
        model.n_features_in_ = model._x.shape[1]
        if content["feature_names"] is not None:
            model.feature_names_in_ = np.array(content["feature_names"], dtype=object)

        def networks(prefix: str, history: Array, restarts: int) -> FittedNetworks:
            coefficients = tensors[f"{prefix}epsilon"].to(place)
            network = config.network(len(coefficients), model._x.shape[1]).requires_grad_(False)
            start = f"{prefix}network."
            network.load_state_dict({k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)})
            network.to(place)
            return FittedNetworks(config, network, coefficients, np.full(len(coefficients), restarts), history)

        model._fitted = networks("", tensors["history"].numpy(), model.restarts_)
        model.loss_history_ = model._fitted.history[:, :, 0]
        model._bootstrap = model._density = None
        if "bootstrap.counts" in tensors:
            counts = tensors["bootstrap.counts"].numpy()
            model._bootstrap = counts, networks("bootstrap.", np.zeros((0, 3, len(counts))), 0)
        return model

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")


class VCNetRegressor(_DoseResponseRegressor):
    """Dose-response curves by a varying-coefficient network (Nie et al., ICLR 2021).

    The outcome head's weights are splines of the dose, so the curve is continuous; a density head
    learns the treatment given the covariates; functional targeted regularization corrects the
    curve, in theory to a doubly robust one (the docs' limits say what was found in practice).
    Assumes no unmeasured confounding, overlap where the curve is read, and no interference between
    units.

    Args:
        n_grid: intervals of the density estimator.
        degree, knots: the dose spline's degree and inner knots, in the scaled dose.
        basis: "truncated_power" (the paper's) or "bspline" (the same span, better conditioned).
        hidden, head: widths of the trunk's and of the outcome head's hidden layers.
        alpha: weight of the density loss.
        targeted, beta, tr_knots, tr_lr, tr_weight_decay: targeted regularization.
        tr_solver: "sgd" (the paper's) or "exact".
        lr: learning rate, or "auto" to choose it on a held-out fifth of the rows.
        momentum, weight_decay, epochs, batch_size: Nesterov SGD; batch_size None takes all rows.
        clip_norm: largest gradient norm; None does not clip.
        t_range: (low, high) of the dose; None takes the training range.
        t_scale: "minmax", or "rank" for skewed doses.
        standardize: scale outcome and covariates to mean 0 and standard deviation 1.
        min_rows: fewest rows that are accepted.
        random_state: seed of weights, splits, minibatches and bootstrap.
        device: torch device; None takes CUDA where there is one.

    Attributes:
        learning_rate_: the rate used.
        loss_history_: squared error, density and targeted loss by epoch, (epochs, 3), scaled units.
        restarts_: how often training became non-finite and started again.
        t_range_: doses between which the curve can be read.
    """

    _model = "vcnet"
    _lr_candidates = (1e-5, 3.2e-5, 1e-4, 3.2e-4, 1e-3, 3.2e-3, 1e-2)

    def __init__(
        self,
        n_grid: int = 10,
        degree: int = 2,
        knots: tuple[float, ...] = (0.33, 0.66),
        basis: str = "truncated_power",
        hidden: tuple[int, ...] = (50, 50),
        head: tuple[int, ...] = (50,),
        alpha: float = 0.5,
        targeted: bool = True,
        beta: float = 1.0,
        tr_knots: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        tr_lr: float = 1e-3,
        tr_weight_decay: float = 5e-3,
        tr_solver: str = "sgd",
        lr: float | str = "auto",
        momentum: float = 0.9,
        weight_decay: float = 5e-3,
        epochs: int = 800,
        batch_size: int | None = None,
        clip_norm: float | None = None,
        t_range: tuple[float, float] | None = None,
        t_scale: str = "minmax",
        standardize: bool = True,
        min_rows: int = 50,
        random_state: Any = None,
        device: str | None = None,
    ) -> None:
        self.n_grid = n_grid
        self.degree = degree
        self.knots = knots
        self.basis = basis
        self.hidden = hidden
        self.head = head
        self.alpha = alpha
        self.targeted = targeted
        self.beta = beta
        self.tr_knots = tr_knots
        self.tr_lr = tr_lr
        self.tr_weight_decay = tr_weight_decay
        self.tr_solver = tr_solver
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.clip_norm = clip_norm
        self.t_range = t_range
        self.t_scale = t_scale
        self.standardize = standardize
        self.min_rows = min_rows
        self.random_state = random_state
        self.device = device


class DRNetRegressor(_DoseResponseRegressor):
    """Dose-response curves by DRNet (Schwab et al. 2020): five heads over bins of the dose.

    Every layer of a head has the dose as an input. The curve may jump between bins. Parameters and
    attributes are those of :class:`VCNetRegressor` without the spline's.
    """

    _model = "drnet"
    _lr_candidates = (1e-4, 3.2e-4, 1e-3, 3.2e-3, 1e-2, 3.2e-2, 1e-1)

    def __init__(
        self,
        n_grid: int = 10,
        hidden: tuple[int, ...] = (50, 50),
        head: tuple[int, ...] = (50,),
        alpha: float = 0.5,
        targeted: bool = True,
        beta: float = 1.0,
        tr_knots: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        tr_lr: float = 1e-3,
        tr_weight_decay: float = 5e-3,
        tr_solver: str = "sgd",
        lr: float | str = "auto",
        momentum: float = 0.9,
        weight_decay: float = 5e-3,
        epochs: int = 800,
        batch_size: int | None = None,
        clip_norm: float | None = None,
        t_range: tuple[float, float] | None = None,
        t_scale: str = "minmax",
        standardize: bool = True,
        min_rows: int = 50,
        random_state: Any = None,
        device: str | None = None,
    ) -> None:
        self.n_grid = n_grid
        self.hidden = hidden
        self.head = head
        self.alpha = alpha
        self.targeted = targeted
        self.beta = beta
        self.tr_knots = tr_knots
        self.tr_lr = tr_lr
        self.tr_weight_decay = tr_weight_decay
        self.tr_solver = tr_solver
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.clip_norm = clip_norm
        self.t_range = t_range
        self.t_scale = t_scale
        self.standardize = standardize
        self.min_rows = min_rows
        self.random_state = random_state
        self.device = device


class TARNetRegressor(DRNetRegressor):
    """DRNet with the dose as an input of each head's first layer only (the paper's table: Dragonnet)."""

    _model = "tarnet"


class TreatmentColumn(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Adapter for tools that pass only X and y: one column of X is the treatment.

    Cross-validation, grid search and pipelines then need no metadata routing.

    Args:
        estimator: an estimator with ``fit(X, y, treatment=...)``.
        column: position of the treatment in X, or its name where X is a DataFrame.

    Attributes:
        estimator_: the fitted estimator.
    """

    def __init__(self, estimator: Any, column: int | str = 0) -> None:
        self.estimator = estimator
        self.column = column

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the estimator to the other columns, with this one as treatment."""
        _check_feature_names(self, X, reset=True)
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_features=2, y_numeric=True)
        position = self._position()
        covariates = np.delete(X, position, axis=1)
        self.estimator_ = clone(self.estimator).fit(
            covariates, y, treatment=X[:, position], sample_weight=sample_weight
        )
        return self

    def predict(self, X: Any) -> Array:
        """mu(t, x) of each row; doses outside the training range are clipped to it, with a warning."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        position = self._position()
        predicted: Array = self.estimator_.predict(
            np.delete(X, position, axis=1), treatment=X[:, position], extrapolate=True
        )
        return predicted

    def _position(self) -> int:
        if isinstance(self.column, str):
            names = list(getattr(self, "feature_names_in_", []))
            if self.column not in names:
                raise InputError(f"X has no column '{self.column}'; it has: {', '.join(map(str, names)) or 'no names'}")
            return names.index(self.column)
        return self.column
