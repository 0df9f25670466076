"""Data of a study: a user's images or table, or the sets of the claims."""

__all__ = [
    "DATASETS",
    "SETS",
    "Examples",
    "StudyData",
    "fingerprint",
    "load_data",
    "read_by_id",
    "read_examples",
    "read_scores",
    "standardised",
]

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rostra.engine.errors import InputError
from rostra.fields.vision.datasets import CIFAR10, MNIST

from .ordering import validation_split

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from rostra.engine.claims import Context

DATASETS = (CIFAR10, MNIST)
VALIDATION = 0.1
MNIST_SIZES = {"train": 5000, "val": 1000}
CIFAR_SIZES = {"train": 8000, "val": 1000, "test": 4000}
DIGITS_SIZES = {"train": 1200, "val": 200}


@dataclass(frozen=True, eq=False)
class StudyData:
    """Examples as the networks take them, standardised by the training part.

    Attributes:
        x, x_val, x_test: float32, (n, C, H, W) or (n, D).
        y, y_val, y_test: labels 0 to classes - 1, (n,).
        classes: their number.
        scores: difficulty of the training examples, or None.
    """

    x: "Tensor"
    y: NDArray[np.int64]
    x_val: "Tensor"
    y_val: NDArray[np.int64]
    x_test: "Tensor"
    y_test: NDArray[np.int64]
    classes: int
    scores: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Examples:
    """What a file or folder of a user holds.

    Attributes:
        names: of the examples.
        labels: 0 to len(classes) - 1, (n,).
        classes: their names.
        rows: uint8 images (n, C, H, W), or numbers of any scale (n, D), float64.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    rows: NDArray[Any]

    @property
    def images(self) -> NDArray[np.uint8] | None:
        """The rows, if they are images."""
        return self.rows if self.rows.ndim == 4 else None


def load_data(described: Mapping[str, Any], context: "Context") -> StudyData:
    """Data by their description.

    Args:
        described: {"set": name} of :data:`SETS`; or {"path": ...} of an NPZ of :meth:`.CurriculumStudy.on_arrays`, a
            folder of images, a parquet file or a CSV; with "label", "side", "impute", "exclude" and "scores" (a CSV)
            where they apply.
        context: of the trial; notes where public data came from.

    Raises:
        InputError: for data that cannot be used.
    """
    if "set" in described:
        if described["set"] not in SETS:
            raise InputError(f"there is no data set '{described['set']}'; there are: {', '.join(SETS)}")
        data, provenance = _set_of_claims(described["set"])
        context.data.update(provenance)
        return data
    path = Path(described["path"])
    if path.suffix == ".npz":
        return _from_arrays(path)
    found = read_examples(
        path,
        described.get("label") or "label",
        described.get("side"),
        impute=bool(described.get("impute")),
        exclude=described.get("exclude") or (),
    )
    scores = read_scores(Path(described["scores"]), found.names) if described.get("scores") else None
    return _divided(found.rows, found.labels, np.array(found.classes), scores)


def read_examples(
    path: Path, label: str = "label", side: int | None = None, *, impute: bool = False, exclude: Sequence[str] = ()
) -> Examples:
    """A folder with a sub-folder of images a class, a parquet file with images, or a CSV.

    Args:
        path: of the data.
        label: column with the label (parquet, CSV).
        side: pixels to scale images to.
        impute: fill missing numbers of a CSV by their column's median.
        exclude: columns of a CSV that are no features. A column "id" is none either: it names the examples.

    Raises:
        InputError: for data that cannot be used.
    """
    if path.is_dir() or path.suffix == ".parquet":
        from rostra.fields.vision.images import read_images

        found = read_images(path, label, side)
        return Examples(found.names, found.labels, found.classes, found.images)
    from rostra.fields.tabular.encoding import TableEncoder
    from rostra.fields.tabular.tables import check_names, read_table

    table = read_table(path, texts=("id", label))
    check_names(table, [label, *exclude])
    column = table.pop(label)
    if column.isna().any():
        raise InputError(f"column '{label}' holds missing values (first in row {int(column.isna().argmax()) + 1})")
    classes, labels = np.unique(column.to_numpy(dtype=str), return_inverse=True)
    if len(classes) < 2 or len(classes) > max(2, len(table) // 2):
        raise InputError(f"column '{label}' has {len(classes)} values in {len(table)} rows; it must name classes")
    names = _ids(table.pop("id"), path) if "id" in table else tuple(str(row) for row in range(len(table)))
    table = table.drop(columns=[name for name in exclude if name in table])
    if not len(table.columns):
        raise InputError(f"'{path}' has no column beside the label; a network needs features")
    features = TableEncoder.fitted(table, impute=impute).transform(table).to_numpy(dtype=np.float64)
    return Examples(names, labels, tuple(map(str, classes)), features)


def _ids(column: "pd.Series[Any]", path: Path) -> tuple[str, ...]:
    """Names of examples, each once."""
    if column.isna().any():
        raise InputError(f"'{path}' has a row without id (row {int(column.isna().to_numpy().argmax()) + 1})")
    if column.duplicated().any():
        raise InputError(
            f"'{path}' names the id '{column[column.duplicated()].iloc[0]}' twice; each example has its own"
        )
    return tuple(column.astype(str))


def read_by_id(path: Path, column: str, names: Sequence[str]) -> "pd.Series[Any]":
    """A column of a CSV with a column id, in the order of ``names``. Ids (and labels) are read as texts.

    Raises:
        InputError: if a column is missing, an id repeats, or an example has no row.
    """
    from rostra.fields.tabular.tables import check_names, read_table

    table = read_table(path, texts=("id", "label"))
    check_names(table, ["id", column])
    _ids(table["id"], path)
    found = table.set_index("id")[column]
    missing = [name for name in names if name not in found.index]
    if missing:
        raise InputError(
            f"'{path}' has no {column} for {len(missing)} of {len(names)} examples (first: '{missing[0]}')"
        )
    return found.loc[list(names)]


def read_scores(path: Path, names: Sequence[str]) -> NDArray[np.float64]:
    """Scores from a CSV with columns id and score, in the order of ``names``.

    Raises:
        InputError: as :func:`read_by_id`, and for scores that are no numbers.
    """
    from rostra.fields.tabular.tables import number_column

    return np.asarray(number_column(read_by_id(path, "score", names), "score"), dtype=np.float64)


def fingerprint(path: Path) -> str:
    """A hash of what a file, or all files of a folder with their names, hold."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode())
            with open(file, "rb") as content:
                while part := content.read(2**20):
                    digest.update(part)
    return digest.hexdigest()


def standardised(rows: NDArray[Any], by: NDArray[Any]) -> "Tensor":
    """Rows as the networks take them, float32: each channel of images, or each column, by mean and deviation of
    the rows ``by``; what is constant there is only centred."""
    import torch

    from rostra.fields.vision.augmentation import channel_statistics, standardise

    if rows.dtype == np.uint8 and rows.ndim == 4:
        return standardise(rows, *channel_statistics(by))
    axes = (0, 2, 3) if rows.ndim == 4 else 0
    mean, scale = by.mean(axis=axes, keepdims=True), by.std(axis=axes, keepdims=True)
    return torch.as_tensor((rows - mean) / np.where(scale > 0, scale, 1), dtype=torch.float32)


def _divided(
    rows: NDArray[Any], labels: NDArray[np.int64], classes: NDArray[Any], scores: NDArray[np.float64] | None
) -> StudyData:
    """Cut a tenth of each class off for validation and another for the test."""
    rest, test = validation_split(classes[labels], VALIDATION, seed=0)
    train, val = validation_split(classes[labels[rest]], VALIDATION / (1 - VALIDATION), seed=1)
    train, val = rest[train], rest[val]
    x, x_val, x_test = (standardised(rows[part], rows[train]) for part in (train, val, test))
    kept = None if scores is None else scores[train]
    return StudyData(x, labels[train], x_val, labels[val], x_test, labels[test], len(classes), kept)


def _from_arrays(path: Path) -> StudyData:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read ({error})") from None
    if not {"X", "y"} <= arrays.keys() or len(arrays["X"]) != len(arrays["y"]):
        raise InputError(f"'{path}' must hold arrays X and y of one length")
    X, y, scores = arrays["X"], _whole(arrays["y"], path), arrays.get("scores")
    if not np.isfinite(X).all():
        raise InputError(f"'{path}': X holds values that are not finite; fill or drop them")
    if "X_test" in arrays and "X_val" in arrays:
        y_val, y_test = _whole(arrays["y_val"], path), _whole(arrays["y_test"], path)
        classes = int(max(y.max(), y_val.max(), y_test.max())) + 1
        x, x_val, x_test = (standardised(arrays[name], X) for name in ("X", "X_val", "X_test"))
        return StudyData(x, y, x_val, y_val, x_test, y_test, classes, scores)
    if "X_test" in arrays or "X_val" in arrays:
        raise InputError(
            "give both validation and test data, or neither; then a tenth of each class is cut off for each"
        )
    return _divided(X, y, np.arange(int(y.max()) + 1), scores)


def _whole(y: NDArray[Any], path: Path) -> NDArray[np.int64]:
    if y.ndim != 1 or not np.array_equal(y, np.floor(y)) or y.min() < 0:
        raise InputError(f"'{path}': labels must be whole numbers from 0, one an example")
    return y.astype(np.int64)


# ------------------------------------------------------- the sets of the claims


def _standardised(parts: Mapping[str, tuple[NDArray[Any], NDArray[np.int64]]], classes: int) -> StudyData:
    """One mean and deviation for all pixels, those of the training part."""
    import torch

    mean, scale = parts["train"][0].mean(), parts["train"][0].std()
    rows = {name: torch.as_tensor((images - mean) / scale, dtype=torch.float32) for name, (images, _) in parts.items()}
    labels = {name: y.astype(np.int64) for name, (_, y) in parts.items()}
    return StudyData(rows["train"], labels["train"], rows["val"], labels["val"], rows["test"], labels["test"], classes)


def _digits(context: "Context") -> StudyData:
    """S0: scikit-learn's digits, 1,200 for training."""
    from sklearn.datasets import load_digits

    images, y = load_digits(return_X_y=True)
    images = images.reshape(-1, 1, 8, 8)
    shuffled = np.random.default_rng(0).permutation(len(y))
    cuts = np.split(shuffled, [DIGITS_SIZES["train"], DIGITS_SIZES["train"] + DIGITS_SIZES["val"]])
    return _standardised({name: (images[c], y[c]) for name, c in zip(("train", "val", "test"), cuts, strict=True)}, 10)


def _mnist(context: "Context") -> StudyData:
    """L1: MNIST, 5,000 for training, validation from the rest of the training file, every second test image."""
    files = context.dataset(MNIST)
    images, y = files.read("train")
    test_images, test_y = files.read("test")
    shuffled = np.random.default_rng(0).permutation(len(y))
    train, val, _ = np.split(shuffled, np.cumsum([MNIST_SIZES["train"], MNIST_SIZES["val"]]))
    parts = {"train": (images[train], y[train]), "val": (images[val], y[val])}
    return _standardised({**parts, "test": (test_images[::2], test_y[::2])}, 10)


def _cifar(context: "Context") -> StudyData:
    """L2: CIFAR-10 pooled to 16 x 16, 8,000 for training."""
    files = context.dataset(CIFAR10)
    images, y = files.read("train")
    test_images, test_y = files.read("test")
    shuffled = np.random.default_rng(0).permutation(len(y))
    train, val, _ = np.split(shuffled, np.cumsum([CIFAR_SIZES["train"], CIFAR_SIZES["val"]]))
    test = np.random.default_rng(1).permutation(len(test_y))[: CIFAR_SIZES["test"]]
    return _standardised(
        {
            "train": (_halved(images[train]), y[train]),
            "val": (_halved(images[val]), y[val]),
            "test": (_halved(test_images[test]), test_y[test]),
        },
        10,
    )


def _cifar_whole(context: "Context") -> StudyData:
    """CIFAR-10 as the paper has it: 45,000 for training, 5,000 for validation, all 10,000 for the test."""
    files = context.dataset(CIFAR10)
    (images, y), (test_images, test_y) = files.read("train"), files.read("test")
    train, val = validation_split(y, VALIDATION)
    x, x_val, x_test = (standardised(part, images[train]) for part in (images[train], images[val], test_images))
    return StudyData(x, y[train], x_val, y[val], x_test, test_y, 10)


SETS: Mapping[str, Callable[["Context"], StudyData]] = {
    "digits": _digits,
    "mnist": _mnist,
    "cifar10": _cifar,
    "cifar10-whole": _cifar_whole,
}
"""Name -> the data of the claims."""


@functools.lru_cache(maxsize=2)
def _set_of_claims(name: str) -> tuple[StudyData, Mapping[str, Any]]:
    """A set and where it came from; a worker's trials share what took seconds to decode."""
    from rostra.engine.claims import Context

    own = Context("cpu", Path())
    return SETS[name](own), own.data


def _halved(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.reshape(len(images), 3, 16, 2, 16, 2).mean(axis=(3, 5), dtype=np.float32)
