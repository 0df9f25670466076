"""Data of a study: a user's images or table, or the sets of the claims."""

__all__ = ["DATASETS", "StudyData", "image_data", "load_data", "table_data"]

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rostra.engine.errors import InputError
from rostra.fields.vision.datasets import CIFAR10, MNIST

from .ordering import validation_split

if TYPE_CHECKING:
    from torch import Tensor

    from rostra.engine.claims import Context
    from rostra.fields.vision.images import ImageSet

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


def load_data(described: Mapping[str, Any], context: "Context") -> StudyData:
    """Data by their description.

    Args:
        described: {"set": "digits" | "mnist" | "cifar10"}, the sets of the claims; or {"path": ...} of an NPZ of
            :meth:`.CurriculumStudy.on_arrays`, a folder of images, a parquet file or a CSV; with "label", "side" and
            "scores" (a CSV) where they apply.
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
    scores = None
    if path.is_dir() or path.suffix == ".parquet":
        from rostra.fields.vision.images import read_images

        found = read_images(path, described.get("label") or "label", described.get("side"))
        names, labels, rows = list(found.names), found.labels, image_data(found)
    else:
        names, labels, rows, _ = table_data(path, described.get("label") or "label")
    if described.get("scores"):
        scores = read_scores(Path(described["scores"]), names)
    return _divided(rows, labels, scores)


def image_data(images: "ImageSet") -> "Tensor":
    """Images standardised by channel, float32 (n, C, H, W)."""
    from rostra.fields.vision.augmentation import channel_statistics, standardise

    return standardise(images.images, *channel_statistics(images.images))


def table_data(path: Path, label: str) -> tuple[list[str], NDArray[np.int64], "Tensor", list[str]]:
    """Row numbers, labels, standardised features and class names of a CSV with a label column."""
    import torch

    from rostra.fields.tabular.encoding import TableEncoder
    from rostra.fields.tabular.tables import check_names, read_table

    table = read_table(path)
    check_names(table, [label])
    column = table.pop(label)
    if column.isna().any():
        raise InputError(f"column '{label}' holds missing values (first in row {int(column.isna().argmax()) + 1})")
    classes, labels = np.unique(column.to_numpy(), return_inverse=True)
    if len(classes) < 2 or len(classes) > max(2, len(table) // 2):
        raise InputError(f"column '{label}' has {len(classes)} values in {len(table)} rows; it must name classes")
    features = TableEncoder.fitted(table, impute=False).transform(table).to_numpy(dtype=np.float64)
    scale = features.std(0)
    features = (features - features.mean(0)) / np.where(scale > 0, scale, 1)
    names = [str(row) for row in range(len(table))]
    return names, labels, torch.as_tensor(features, dtype=torch.float32), [str(name) for name in classes]


def read_scores(path: Path, names: list[str]) -> NDArray[np.float64]:
    """Scores from a CSV with columns id and score, in the order of ``names``.

    Raises:
        InputError: if columns are missing, an id repeats, or an example has no score.
    """
    from rostra.fields.tabular.tables import check_names, number_column, read_table

    table = read_table(path)
    check_names(table, ["id", "score"])
    values = dict(zip(table["id"].astype(str), number_column(table["score"], "score"), strict=True))
    if len(values) < len(table):
        raise InputError(f"'{path}' names an id twice; give one score an example")
    missing = [name for name in names if name not in values]
    if missing:
        raise InputError(f"'{path}' has no score for {len(missing)} of {len(names)} examples (first: '{missing[0]}')")
    return np.array([values[name] for name in names])


def _divided(rows: "Tensor", labels: NDArray[np.int64], scores: NDArray[np.float64] | None) -> StudyData:
    """Cut a tenth of each class off for validation and another for the test."""
    rest, test = validation_split(labels, VALIDATION, seed=0)
    train, val = validation_split(labels[rest], VALIDATION / (1 - VALIDATION), seed=1)
    train, val = rest[train], rest[val]
    return StudyData(
        rows[train],
        labels[train],
        rows[val],
        labels[val],
        rows[test],
        labels[test],
        int(labels.max()) + 1,
        None if scores is None else scores[train],
    )


def _from_arrays(path: Path) -> StudyData:
    import torch

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read ({error})") from None
    if not {"X", "y"} <= arrays.keys() or len(arrays["X"]) != len(arrays["y"]):
        raise InputError(f"'{path}' must hold arrays X and y of one length")
    X, y = arrays["X"], _whole(arrays["y"], path)
    if not np.isfinite(X).all():
        raise InputError(f"'{path}': X holds values that are not finite; fill or drop them")
    axes = (0, 2, 3) if X.ndim == 4 else 0
    mean, scale = X.mean(axis=axes, keepdims=True), X.std(axis=axes, keepdims=True)

    def rows(values: ArrayLike) -> "Tensor":
        return torch.as_tensor((np.asarray(values) - mean) / np.where(scale > 0, scale, 1), dtype=torch.float32)

    scores = arrays.get("scores")
    if "X_test" in arrays and "X_val" in arrays:
        y_val, y_test = _whole(arrays["y_val"], path), _whole(arrays["y_test"], path)
        classes = int(max(y.max(), y_val.max(), y_test.max())) + 1
        return StudyData(rows(X), y, rows(arrays["X_val"]), y_val, rows(arrays["X_test"]), y_test, classes, scores)
    if "X_test" in arrays or "X_val" in arrays:
        raise InputError(
            "give both validation and test data, or neither; then a tenth of each class is cut off for each"
        )
    return _divided(rows(X), y, scores)


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
    (images, y), test = files.read("train"), files.read("test")
    train, val = validation_split(y, VALIDATION)
    return _standardised({"train": (images[train], y[train]), "val": (images[val], y[val]), "test": test}, 10)


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
