"""Batched augmentation is the augmentation of each image; standardised images are standardised."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rostra.engine.errors import InputError
from rostra.fields.vision.augmentation import channel_statistics, random_crop_flip, standardise


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def one_by_one(images, padding, flip, draws):
    """Pad, crop and mirror each image by itself, with the same draws."""
    batch, _, height, width = images.shape
    down, across = torch.randint(2 * padding + 1, (2, batch, 1), generator=draws)[..., 0].tolist()
    coins = torch.randint(2, (batch, 1), generator=draws)[:, 0].tolist() if flip else [0] * batch
    found = []
    for image, i, j, coin in zip(images, down, across, coins, strict=True):
        padded = image.new_zeros(image.shape[0], height + 2 * padding, width + 2 * padding)
        padded[:, padding : padding + height, padding : padding + width] = image
        crop = padded[:, i : i + height, j : j + width]
        found.append(crop.flip(-1) if coin else crop)
    return torch.stack(found)


@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    padding=st.integers(0, 5),
    flip=st.booleans(),
    dtype=st.sampled_from([torch.uint8, torch.float32, torch.bfloat16, torch.int64, torch.bool]),
    seed=st.integers(0, 1000),
)
def test_a_batch_is_its_images_one_by_one(shape, padding, flip, dtype, seed):
    images = torch.randint(256, shape, generator=generator(seed)).to(dtype)
    found = random_crop_flip(images, padding, flip=flip, generator=generator(seed))
    assert found.dtype == dtype
    assert torch.equal(found, one_by_one(images, padding, flip, generator(seed)))


def test_offsets_and_coins_are_uniform_and_independent():
    """All 9 x 9 x 2 outcomes are about equally frequent (chi-squared with 161 degrees of freedom, seven deviations)."""
    image = torch.zeros(1, 1, 11, 12)
    image[0, 0, 5, 4] = 1  # unlike its mirror
    image[0, 0, 5, 5] = 2
    count = 16_200
    found = random_crop_flip(image.expand(count, -1, -1, -1), 4, generator=generator())
    ones, twos = (found.flatten(1) == 1).int().argmax(1), (found.flatten(1) == 2).int().argmax(1)
    mirrored = twos < ones
    rows = ones // 12 - 1
    columns = torch.where(mirrored, 11 - ones % 12, ones % 12)
    outcomes = torch.bincount((rows * 9 + columns) * 2 + mirrored, minlength=162)
    assert len(outcomes) == 162
    expected = count / 162
    assert ((outcomes - expected) ** 2 / expected).sum() < 161 + 7 * (2 * 161) ** 0.5


def test_nothing_drawn_nothing_changed():
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).view(2, 3, 4, 5)
    assert torch.equal(random_crop_flip(images, 0, flip=False, generator=generator()), images)
    assert random_crop_flip(images[:0], generator=generator()).shape == (0, 3, 4, 5)


def test_images_in_any_memory_order():
    images = torch.rand(4, 3, 8, 8)
    strided = images.to(memory_format=torch.channels_last)
    assert torch.equal(
        random_crop_flip(strided, generator=generator(3)), random_crop_flip(images, generator=generator(3))
    )


def test_wrong_images_are_refused():
    with pytest.raises(InputError, match=r"\(B, C, H, W\), got \(3, 8, 8\)"):
        random_crop_flip(torch.zeros(3, 8, 8), generator=generator())
    with pytest.raises(InputError, match="padding must be at least 0, got -1"):
        random_crop_flip(torch.zeros(1, 3, 8, 8), -1, generator=generator())


def test_statistics_and_standardising_agree_with_the_definition():
    images = np.random.default_rng(0).integers(256, size=(2000, 3, 5, 4), dtype=np.uint8)
    images[:, 1] //= 2
    mean, std = channel_statistics(images)
    assert np.allclose(mean, (images / 255).mean(axis=(0, 2, 3)), atol=1e-12)
    assert np.allclose(std, (images / 255).std(axis=(0, 2, 3)), atol=1e-12)
    assert channel_statistics(torch.from_numpy(images)) == (mean, std)
    found = standardise(images, mean, std)
    assert found.dtype == torch.float32
    assert found.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert (found.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-4
    assert torch.equal(standardise(torch.from_numpy(images), torch.tensor(mean), torch.tensor(std)), found)


def test_images_are_not_changed_and_may_be_read_only():
    images = np.full((2, 1, 3, 3), 51, np.uint8)
    view = images[::-1]
    view.flags.writeable = False
    assert standardise(view, [0.0], [1.0]).unique().tolist() == [np.float32(0.2)]
    assert (images == 51).all()


def test_a_constant_channel_becomes_zeros():
    images = np.full((3, 2, 2, 2), 77, np.uint8)
    images[0, 1, 0, 0] = 0
    mean, std = channel_statistics(images)
    assert std[0] == 1
    assert standardise(images, mean, std)[:, 0].abs().max() < 1e-7


def test_wrong_statistics_are_refused():
    images = np.zeros((2, 3, 4, 4), np.uint8)
    with pytest.raises(InputError, match="mean must hold 3 numbers"):
        standardise(images, [0.0], [1.0, 1.0, 1.0])
    with pytest.raises(InputError, match="std must be above 0"):
        standardise(images, [0.0] * 3, [1.0, 0.0, 1.0])
    with pytest.raises(InputError, match=r"must be uint8 of the shape .* got float64"):
        channel_statistics(images / 255)
    with pytest.raises(InputError, match=r"uint8 of the shape \(N, C, H, W\), got uint8 of the shape \(3, 4, 4\)"):
        standardise(torch.zeros(3, 4, 4, dtype=torch.uint8), [0.0] * 3, [1.0] * 3)
    with pytest.raises(InputError, match="at least one pixel"):
        channel_statistics(images[:0])
