"""CIFAR-10, for figure 1: pictures as numbers."""

__all__ = ["DATASETS", "cifar_task"]

import numpy as np
from numpy.typing import NDArray

from rostra.engine.errors import InputError
from rostra.fields.vision.datasets import CIFAR10, ImageFiles

from .tasks import Task, image_task

SIDE = 32

DATASETS = (CIFAR10,)


def cifar_task(files: ImageFiles, side: int, train: int) -> Task:
    """Figure 1's labels on CIFAR-10, pooled to side x side and standardised per channel; tests on the test part.

    Args:
        files: what the data set's reader returned.
        side: of the pictures, a divisor of 32.
        train: pictures to draw from.
    """
    return image_task(
        _pool(files.read("train", train)[0], side),
        test_images=_pool(files.read("test", 10_000)[0], side),
        name="cifar10",
    )


def _pool(pictures: NDArray[np.uint8], side: int) -> NDArray[np.float64]:
    if side < 1 or SIDE % side:
        raise InputError(f"side must divide {SIDE}, got {side}")
    share = SIDE // side
    return pictures.reshape(len(pictures), 3, side, share, side, share).mean(axis=(3, 5)) / 255
