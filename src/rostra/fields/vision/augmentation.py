"""Images as a network takes them: standardised, shifted and mirrored, a batch at a time."""

__all__ = ["channel_statistics", "random_crop_flip", "standardise"]

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from rostra.engine.errors import InputError

CHUNK = 1024
"""Images whose values are counted at a time."""


def random_crop_flip(images: Tensor, padding: int = 4, *, flip: bool = True, generator: torch.Generator) -> Tensor:
    """Shift every image by its own offset, with zeros coming in, and mirror it by its own coin.

    Equals padding each side with zeros, cropping at a uniformly drawn place to the old size, and mirroring left and
    right with probability 1/2: the augmentation that is usual for CIFAR (He et al. 2016, section 4.2).

    Args:
        images: any dtype, shape (B, C, H, W).
        padding: most pixels of a shift; offsets are uniform on -padding, ..., padding.
        flip: whether images may be mirrored.
        generator: draws the offsets down, the offsets across, then the coins; on any device.

    Returns:
        Of the images' shape, dtype and device.

    Raises:
        InputError: for images of another shape and a negative padding.
    """
    if images.ndim != 4:
        raise InputError(f"images must have the shape (B, C, H, W), got {tuple(images.shape)}")
    if padding < 0:
        raise InputError(f"padding must be at least 0, got {padding}")
    batch, channels, height, width = images.shape

    def draw(below: int, *shape: int) -> Tensor:
        return torch.randint(below, shape, generator=generator, device=generator.device).to(images.device)

    offset = draw(2 * padding + 1, 2, batch, 1)
    rows = offset[0] + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device).expand(batch, width)
    if flip:
        columns = torch.where(draw(2, batch, 1) == 1, width - 1 - columns, columns)
    columns = columns + offset[1]
    padded = pad(images, (padding,) * 4)
    pixels = rows[:, :, None] * padded.shape[-1] + columns[:, None, :]
    taken = pixels.view(batch, 1, height * width).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, taken).view(images.shape)


def standardise(
    images: Tensor | NDArray[np.uint8], mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor
) -> Tensor:
    """(images / 255 - mean) / std, channel by channel.

    Args:
        images: uint8, shape (B, C, H, W).
        mean, std: of each channel, on the scale of [0, 1], shape (C,); std above 0.

    Returns:
        float32, shape (B, C, H, W), on the images' device.

    Raises:
        InputError: for images of another type or shape, and statistics that do not fit.
    """
    tensor = images if isinstance(images, Tensor) else torch.from_numpy(np.require(images, requirements=["C", "W"]))
    _check_bytes(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
    scales = [torch.as_tensor(values, dtype=torch.float32, device=tensor.device) for values in (mean, std)]
    for name, values in zip(("mean", "std"), scales, strict=True):
        if tuple(values.shape) != (tensor.shape[1],):
            raise InputError(f"{name} must hold {tensor.shape[1]} numbers, one a channel, got {tuple(values.shape)}")
    if not bool((scales[1] > 0).all()):
        raise InputError(f"std must be above 0, got {scales[1].tolist()}")
    return tensor.to(torch.float32).div_(255).sub_(scales[0][:, None, None]).div_(scales[1][:, None, None])


def channel_statistics(images: Tensor | NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all images and pixels, on the scale of [0, 1].

    Exact: computed from how often each of the 256 values occurs. The deviation of a constant channel is given as 1,
    so that :func:`standardise` makes zeros of it.

    Args:
        images: uint8, shape (N, C, H, W), N at least 1.

    Raises:
        InputError: for images of another type or shape, and for none.
    """
    array = images.numpy(force=True) if isinstance(images, Tensor) else images
    _check_bytes(array.shape, str(array.dtype))
    if array.size == 0:
        raise InputError(f"images must hold at least one pixel, got the shape {array.shape}")
    counts = np.zeros((array.shape[1], 256))
    for start in range(0, len(array), CHUNK):
        for channel, row in enumerate(counts):
            row += np.bincount(array[start : start + CHUNK, channel].ravel(), minlength=256)
    shares = counts / counts.sum(axis=1, keepdims=True)
    values = np.arange(256) / 255
    mean = shares @ values
    deviation = np.sqrt((shares * (values - mean[:, None]) ** 2).sum(axis=1))
    deviation[(counts > 0).sum(axis=1) == 1] = 1.0
    return tuple(mean.tolist()), tuple(deviation.tolist())


def _check_bytes(shape: tuple[int, ...], dtype: str) -> None:
    if dtype != "uint8" or len(shape) != 4:
        raise InputError(f"images must be uint8 of the shape (N, C, H, W), got {dtype} of the shape {tuple(shape)}")
