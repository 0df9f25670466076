"""Image data sets that several methods use."""

__all__ = ["CIFAR10", "MNIST", "ImageFiles"]

import gzip
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rostra.engine.datasets import Dataset, RemoteFile
from rostra.engine.errors import InputError

Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]
Part = Literal["train", "test"]


@dataclass(frozen=True)
class ImageFiles:
    """Files of a data set; images are decoded as far as they are needed.

    Attributes:
        folder: where the files are.
        classes: names of the classes.
        reader: reads the first images of a part: (folder, part, count) -> (images, labels).
    """

    folder: Path
    classes: tuple[str, ...]
    reader: Callable[[Path, Part, int | None], Labelled]

    def read(self, part: Part, count: int | None = None) -> Labelled:
        """The first images of a part, in the order of the files.

        Args:
            part: "train" or "test".
            count: images; None: all.

        Returns:
            Images, uint8, shape (count, C, H, W), and labels, int64, shape (count,).

        Raises:
            InputError: for another part, a count that is not between 1 and what is there, and damaged files.
        """
        if part not in ("train", "test"):
            raise InputError(f"part must be 'train' or 'test', got '{part}'")
        return self.reader(self.folder, part, count)


# --- CIFAR-10

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_RECORD = 1 + 3 * 32 * 32
"""Bytes of an image in the binary files: its label, then rows of red, of green and of blue."""


def _cifar10_mirror(folder: Path) -> ImageFiles:
    return ImageFiles(folder, CIFAR10_CLASSES, _from_parquet)


def _cifar10_original(folder: Path) -> ImageFiles:
    return ImageFiles(folder, CIFAR10_CLASSES, _from_cifar_archive)


def _from_parquet(folder: Path, part: Part, count: int | None, grey: bool = False) -> Labelled:
    from .images import read_image_parquet

    found = read_image_parquet(folder / f"{part}.parquet", grey=grey, count=count)
    return found.images, found.labels


def _from_cifar_archive(folder: Path, part: Part, count: int | None) -> Labelled:
    path = folder / "cifar-10-binary.tar.gz"
    names = ["test_batch"] if part == "test" else [f"data_batch_{i}" for i in range(1, 6)]
    contents: dict[str, bytes] = {}
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = Path(member.name).stem
                if name in names and member.isfile():
                    contents[name] = archive.extractfile(member).read()  # type: ignore[union-attr]
            stream.read()  # to the end, where the check sum stands
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise _damaged(path, str(error)) from None
    for name in names:
        if name not in contents:
            raise _damaged(path, f"no {name}.bin in it")
        if len(contents[name]) % _RECORD:
            raise _damaged(path, f"{name}.bin is no whole number of images")
    records = np.frombuffer(b"".join(contents[name] for name in names), dtype=np.uint8).reshape(-1, _RECORD)
    return _first(records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0], count, path)


CIFAR10 = Dataset(
    name="cifar10",
    # The mirror's row order is not the original's either: ten rows in a row hold one image of each class.
    title="CIFAR-10 (the mirror holds JPEGs of it, not the original pixels)",
    licence="none stated; research and testing only",
    columns="60,000 pictures of 32 x 32, 10 classes",
    size=170_052_171,
    mirror={
        "train.parquet": "ac93c1314c7675f102a47ebf3d4266b21fbbdccc2fb8f67a1cb865f7875b38b4",
        "test.parquet": "0c06f916d9fb64faa1bb12a2ee5148a1145801a5bf0766ee8cc19612fcfd2f29",
    },
    read_mirror=_cifar10_mirror,
    original=(RemoteFile("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"),),
    read_original=_cifar10_original,
)
"""Krizhevsky, "Learning multiple layers of features from tiny images", 2009. Images of shape (3, 32, 32)."""

# --- MNIST

MNIST_CLASSES = tuple("0123456789")
_MNIST_ADDRESS = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_MNIST_FILES = {"train": "train", "test": "t10k"}
_IDX_UINT8 = 8


def _mnist_mirror(folder: Path) -> ImageFiles:
    return ImageFiles(folder, MNIST_CLASSES, _from_grey_parquet)


def _mnist_original(folder: Path) -> ImageFiles:
    return ImageFiles(folder, MNIST_CLASSES, _from_idx)


def _from_grey_parquet(folder: Path, part: Part, count: int | None) -> Labelled:
    return _from_parquet(folder, part, count, grey=True)


def _from_idx(folder: Path, part: Part, count: int | None) -> Labelled:
    path = folder / f"{_MNIST_FILES[part]}-images-idx3-ubyte.gz"
    images = _idx(path, 3)
    labels = _idx(folder / f"{_MNIST_FILES[part]}-labels-idx1-ubyte.gz", 1)
    if len(images) != len(labels):
        raise _damaged(path, f"it holds {len(images)} images, and the file beside it {len(labels)} labels")
    return _first(images[:, None], labels, count, path)


def _idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """An array of bytes in the IDX format: 0, 0, type, number of dimensions; sizes (big endian); elements."""
    try:
        with gzip.open(path) as file:
            content = file.read()
    except (EOFError, zlib.error, OSError) as error:
        raise _damaged(path, str(error)) from None
    magic = bytes([0, 0, _IDX_UINT8, dimensions])
    start = 4 + 4 * dimensions
    if content[:4] != magic or len(content) < start:
        raise _damaged(path, f"it begins with {content[:4].hex()}, not with {magic.hex()}")
    shape = tuple(np.frombuffer(content, dtype=">u4", count=dimensions, offset=4).tolist())
    elements = np.frombuffer(content, dtype=np.uint8, offset=start)
    if elements.size != np.prod(shape):
        raise _damaged(path, f"it holds {elements.size} bytes of data, and its header promises {np.prod(shape)}")
    return elements.reshape(shape)


MNIST = Dataset(
    name="mnist",
    title="MNIST (the mirror holds the same pixels, in the same order, as PNG)",
    licence="none stated by the authors; MIT for the PNG files",
    columns="70,000 grey pictures of 28 x 28, 10 classes",
    size=11_594_722,
    mirror={
        "train.parquet": "de18c183d07ef23bf6d7e3011b572a6ec7fb2a2bf36910a452de306b924bbbfd",
        "test.parquet": "312f8bdc2fc77e776a290236dcf4e4c0e1dbffd6f1a636b646ff2743c997e32f",
    },
    read_mirror=_mnist_mirror,
    original=tuple(
        RemoteFile(f"{_MNIST_ADDRESS}{part}-{kind}-ubyte.gz")
        for part in _MNIST_FILES.values()
        for kind in ("images-idx3", "labels-idx1")
    ),
    read_original=_mnist_original,
)
"""LeCun, Cortes, Burges, "The MNIST database of handwritten digits". Images of shape (1, 28, 28)."""


def _first(images: NDArray[np.uint8], labels: NDArray[Any], count: int | None, path: Path) -> Labelled:
    """The first images, as arrays of their own."""
    from .images import check_count

    check_count(count, len(images), f"'{path}'")
    if labels.max(initial=0) > 9:
        raise _damaged(path, f"it has the label {labels.max()}")
    return images[:count].copy(), labels[:count].astype(np.int64)


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"'{path}' is damaged ({' '.join(reason.split())}); delete it and fetch it again")
