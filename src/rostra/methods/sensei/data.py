"""The data sets of the claims: Adult and COMPAS by the published protocols, and a mixture with a known answer."""

__all__ = [
    "ADULT_COLUMNS",
    "DATASETS",
    "BinaryTable",
    "adult_table",
    "compas_table",
    "load_adult",
    "make_mixture",
    "mixture_table",
]

import csv
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rostra.engine.datasets import Dataset, RemoteFile, load

Array = NDArray[np.float64]

ADULT_COLUMNS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
    "income",
)
CONTINUOUS = ("age", "education-num", "capital-gain", "capital-loss", "hours-per-week")
CATEGORIES = ("workclass", "marital-status", "occupation", "relationship")


@dataclass(frozen=True)
class BinaryTable:
    """A table with a 0/1 label as the claims use it.

    Attributes:
        x: features, shape (rows, d); 0/1 columns and unscaled numbers.
        y: labels, shape (rows,).
        features: names of the columns of x.
        continuous: columns of x to standardise.
        sensitive: columns of x that hold the sensitive attributes, each 0 or 1.
        flips: measures of consistency: copies of given rows that should get one answer.
    """

    x: Array
    y: NDArray[np.int64]
    features: tuple[str, ...]
    continuous: tuple[int, ...]
    sensitive: tuple[int, ...]
    flips: Mapping[str, Callable[[Array], list[Array]]]

    def column(self, name: str) -> int:
        """Position of a feature."""
        return self.features.index(name)

    def standardised(self, rows: NDArray[np.int64]) -> Array:
        """x with the continuous columns at mean 0 and standard deviation 1 over some rows (the training rows)."""
        x = self.x.copy()
        for column in self.continuous:
            part = x[rows, column]
            x[:, column] = (x[:, column] - part.mean()) / part.std()
        return x


def adult_table(frame: pd.DataFrame) -> BinaryTable:
    """Adult as SenSR's released code prepares it: 45222 rows, 41 features.

    Both parts joined, rows without occupation or native country dropped. Five standardised numbers; one-hot work
    class (7), marital status (7), occupation (14) and relationship (6); sex (1: male) and race (1: white). Without
    education (a number says it), survey weight and native country.

    Args:
        frame: with the columns of the original, missing values as NaN.
    """
    kept = frame[frame["occupation"].notna() & frame["native-country"].notna()]
    parts: dict[str, Array] = {name: kept[name].to_numpy(dtype=float) for name in CONTINUOUS}
    for name in CATEGORIES:
        for level in sorted(kept[name].unique()):
            parts[f"{name}_{level}"] = (kept[name] == level).to_numpy().astype(float)
    parts["sex_Male"] = (kept["sex"] == "Male").to_numpy().astype(float)
    parts["race_White"] = (kept["race"] == "White").to_numpy().astype(float)
    d = len(parts)
    return BinaryTable(
        x=np.stack(list(parts.values()), axis=1),
        y=(kept["income"] == ">50K").to_numpy().astype(np.int64),
        features=tuple(parts),
        continuous=tuple(range(len(CONTINUOUS))),
        sensitive=(d - 2, d - 1),
        flips=_adult_flips(tuple(parts)),
    )


def _adult_flips(features: Sequence[str]) -> dict[str, Callable[[Array], list[Array]]]:
    relationship = [i for i, name in enumerate(features) if name.startswith("relationship_")]
    husband, wife = features.index("relationship_Husband"), features.index("relationship_Wife")

    def spouses(x: Array) -> list[Array]:
        copies = []
        for column in (husband, wife):
            copy = x.copy()
            copy[:, relationship] = 0.0
            copy[:, column] = 1.0
            copies.append(copy)
        return copies

    def spouse_flip(x: Array) -> list[Array]:
        """inFairness's example: only the column of wives is toggled."""
        copy = x.copy()
        copy[:, wife] = 1.0 - copy[:, wife]
        return [x, copy]

    return {"s_con": spouses, "gr_con": _all_values(len(features) - 2, len(features) - 1), "spouse_flip": spouse_flip}


def _all_values(*columns: int) -> Callable[[Array], list[Array]]:
    """A copy for each combination of 0 and 1 in some columns."""

    def copies(x: Array) -> list[Array]:
        found = []
        for values in itertools.product((0.0, 1.0), repeat=len(columns)):
            copy = x.copy()
            copy[:, list(columns)] = values
            found.append(copy)
        return found

    return copies


def compas_table(frame: pd.DataFrame) -> BinaryTable:
    """COMPAS by the filter of the published analysis, African-American and Caucasian people only: 5278 rows.

    Sex (1: male), race (1: Caucasian), three age groups, prior arrests 0, 1 to 3 and more, charge (1: felony); the
    label is a new arrest within two years.
    """
    kept = frame[
        (frame["days_b_screening_arrest"].abs() <= 30)
        & (frame["is_recid"] != -1)
        & (frame["c_charge_degree"] != "O")
        & frame["score_text"].notna()
        & frame["race"].isin(["African-American", "Caucasian"])
    ]
    priors = kept["priors_count"]
    parts = {
        "sex_Male": kept["sex"] == "Male",
        "race_Caucasian": kept["race"] == "Caucasian",
        **{f"age_{group}": kept["age_cat"] == group for group in ("Less than 25", "25 - 45", "Greater than 45")},
        "priors_0": priors == 0,
        "priors_1-3": (priors >= 1) & (priors <= 3),
        "priors_>3": priors > 3,
        "charge_F": kept["c_charge_degree"] == "F",
    }
    x = np.stack([part.to_numpy().astype(float) for part in parts.values()], axis=1)
    flips = {"sex_flip": _all_values(0), "race_flip": _all_values(1)}
    return BinaryTable(x, kept["two_year_recid"].to_numpy(dtype=np.int64), tuple(parts), (), (0, 1), flips)


def make_mixture(
    rows: int, *, seed: int = 0, minority: float = 0.1
) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """Two groups beside each other whose labels follow different lines (inFairness's synthetic example).

    x ~ N((-1.5, 0), I / 4) for the majority and N((1.5, 0), I / 4) for the minority; the label says whether
    w^T (x - mean) > 0 with w = (-1.5, sqrt(8) / 3) and (1.5, sqrt(8) / 3). Axis 0 is sensitive.

    Returns:
        x of shape (rows, 2), labels and groups (1: minority) of shape (rows,).
    """
    rng = np.random.default_rng(seed)
    group = (rng.uniform(size=rows) < minority).astype(np.int64)
    side = np.where(group == 1, 1.5, -1.5)
    offset = 0.5 * rng.standard_normal((rows, 2))
    x = offset + np.stack([side, np.zeros(rows)], axis=1)
    y = (side * offset[:, 0] + np.sqrt(8) / 3 * offset[:, 1] > 0).astype(np.int64)
    return x, y, group


def mixture_table(rows: int, *, seed: int = 0, measures: tuple[str, str] = ("s_con", "gr_con")) -> BinaryTable:
    """The mixture with its group as a third column; answers should not depend on axis 0 nor on the group.

    Args:
        rows, seed: see :func:`make_mixture`; three rows in ten belong to the minority.
        measures: names of the consistency along axis 0 and of that over groups.
    """
    x, y, group = make_mixture(rows, seed=seed, minority=0.3)

    def moves(x: Array) -> list[Array]:
        return [x + np.array([shift, 0.0, 0.0]) for shift in (-1.5, 0.0, 1.5)]

    return BinaryTable(
        x=np.column_stack([x, group]),
        y=y,
        features=("x0", "x1", "minority"),
        continuous=(),
        sensitive=(2,),
        flips={measures[0]: moves, measures[1]: _all_values(2)},
    )


def _read_adult_mirror(folder: Path) -> pd.DataFrame:
    return pd.concat([_read_adult_file(folder / name) for name in ("adult.data", "adult.test")], ignore_index=True)


def _read_adult_file(path: Path) -> pd.DataFrame:
    """The original files: blanks after commas, '?' for missing, a first line and final full stops in adult.test."""
    frame = pd.read_csv(
        path,
        names=list(ADULT_COLUMNS),
        skipinitialspace=True,
        na_values="?",
        comment="|",
        skip_blank_lines=True,
        keep_default_na=False,
    )
    frame["income"] = frame["income"].str.rstrip(".")
    return frame


COMPAS_COLUMNS = (
    "sex",
    "age_cat",
    "race",
    "priors_count",
    "days_b_screening_arrest",
    "c_charge_degree",
    "is_recid",
    "score_text",
    "two_year_recid",
)
"""What the protocol needs. Names, dates of birth and case numbers of the original are never read."""


def _read_compas(path: Path) -> pd.DataFrame:
    with open(path, encoding="utf-8", newline="") as file:
        header: Sequence[str] = next(csv.reader(file))
    first = {name: header.index(name) for name in COMPAS_COLUMNS}  # two names stand twice in the header
    frame = pd.read_csv(path, header=0, names=list(range(len(header))), usecols=sorted(first.values()))
    return frame.rename(columns={position: name for name, position in first.items()})[list(COMPAS_COLUMNS)]


_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"
_ADULT = {
    "adult.data": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    "adult.test": "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
}

DATASETS = (
    Dataset(
        name="adult",
        title="Adult (census income), UCI Machine Learning Repository",
        licence="none stated in the files (the UCI page gives CC BY 4.0)",
        columns="14 attributes and income, 48842 rows",
        size=5_977_458,
        mirror=_ADULT,
        read_mirror=_read_adult_mirror,
        original=tuple(RemoteFile(_UCI + name, digest) for name, digest in _ADULT.items()),
        read_original=_read_adult_mirror,
    ),
    Dataset(
        name="compas",
        title="COMPAS, two years (ProPublica); without the columns that identify people",
        licence="none stated; research and testing only",
        columns=f"{len(COMPAS_COLUMNS)} of the columns, 7214 rows",
        size=2_546_489,
        mirror={"compas-two-years.csv": "f439bd5e8d1742c9ceacd4dec0d67d1b401f633138d2308955c6ae22f9656f47"},
        read_mirror=lambda folder: _read_compas(folder / "compas-two-years.csv"),
        original=(
            RemoteFile(
                "https://raw.githubusercontent.com/propublica/compas-analysis/master/compas-scores-two-years.csv"
            ),
        ),
        read_original=lambda folder: _read_compas(folder / "compas-scores-two-years.csv"),
    ),
)
"""Where ``rostra datasets`` looks for the data sets of this method."""


def load_adult() -> pd.DataFrame:
    """Adult as people know it: 45222 rows without gaps in occupation and native country, 15 columns.

    Raises:
        InputError: if it is not at hand and cannot be fetched.
    """
    frame: pd.DataFrame = load(DATASETS[0]).value
    return frame.dropna(subset=["occupation", "native-country"]).reset_index(drop=True)
