"""CIFAR-10, for figure 1: pictures as numbers."""

__all__ = ["DATASETS", "cifar_task"]

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rostra.engine.datasets import Dataset, RemoteFile
from rostra.engine.errors import InputError

from .tasks import Task, image_task

TRAIN, SIDE = 50_000, 32
_RECORD = 1 + 3 * SIDE * SIDE


def _read_mirror(folder: Path) -> dict[str, Path]:
    """The files; pictures are decoded as far as they are needed."""
    return {part: folder / f"{part}.parquet" for part in ("train", "test")}


def _read_original(folder: Path) -> dict[str, Path]:
    return {"archive": folder / "cifar-10-binary.tar.gz"}


def read_pictures(files: dict[str, Path], part: str, count: int) -> NDArray[np.uint8]:
    """The first pictures of a part.

    Args:
        files: what the data set's reader returned.
        part: "train" or "test".
        count: pictures.

    Returns:
        Shape (count, 3, 32, 32).
    """
    if "archive" in files:
        return _from_archive(files["archive"], part, count)
    import pyarrow.parquet
    from PIL import Image

    column = pyarrow.parquet.read_table(files[part], columns=["img"]).column("img").slice(0, count)
    pictures = [np.asarray(Image.open(io.BytesIO(picture["bytes"])).convert("RGB")) for picture in column.to_pylist()]
    return np.stack(pictures).transpose(0, 3, 1, 2)


def _from_archive(path: Path, part: str, count: int) -> NDArray[np.uint8]:
    names = ["test_batch"] if part == "test" else [f"data_batch_{i}" for i in range(1, 6)]
    parts: list[Any] = []
    with tarfile.open(path) as archive:
        for name in names:
            member = archive.extractfile(f"cifar-10-batches-bin/{name}.bin")
            if member is None:
                raise InputError(f"'{path}' holds no {name}.bin; delete it and fetch it again")
            records = np.frombuffer(member.read(), dtype=np.uint8).reshape(-1, _RECORD)
            parts.append(records[:, 1:].reshape(-1, 3, SIDE, SIDE))
    return np.concatenate(parts)[:count]


def cifar_task(files: dict[str, Path], side: int, train: int) -> Task:
    """Figure 1's labels on CIFAR-10, pooled to side x side and standardised per channel; tests on the test part.

    Args:
        files: what the data set's reader returned.
        side: of the pictures, a divisor of 32.
        train: pictures to draw from.
    """
    pooled = [_pool(read_pictures(files, part, count), side) for part, count in (("train", train), ("test", 10_000))]
    return image_task(pooled[0], test_images=pooled[1], name="cifar10")


def _pool(pictures: NDArray[np.uint8], side: int) -> NDArray[np.float64]:
    if side < 1 or SIDE % side:
        raise InputError(f"side must divide {SIDE}, got {side}")
    share = SIDE // side
    return pictures.reshape(len(pictures), 3, side, share, side, share).mean(axis=(3, 5)) / 255


DATASETS = (
    Dataset(
        name="cifar10",
        title="CIFAR-10 (the mirror holds JPEGs of it, not the original pixels)",
        licence="none stated; research and testing only",
        columns="60,000 pictures of 32 x 32, 10 classes",
        size=170_052_171,
        mirror={
            "train.parquet": "ac93c1314c7675f102a47ebf3d4266b21fbbdccc2fb8f67a1cb865f7875b38b4",
            "test.parquet": "0c06f916d9fb64faa1bb12a2ee5148a1145801a5bf0766ee8cc19612fcfd2f29",
        },
        read_mirror=_read_mirror,
        original=(RemoteFile("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"),),
        read_original=_read_original,
    ),
)
