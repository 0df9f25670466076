"""CIFAR-10 and MNIST: the mirror and the original files yield the same kind of thing."""

import gzip
import io
import tarfile

import numpy as np
import pytest

from rostra.engine.datasets import load
from rostra.engine.errors import InputError
from rostra.fields.vision.datasets import CIFAR10, MNIST


def random_bytes(*shape):
    return np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)


def archive(path, parts, folder="cifar-10-batches-bin", labels=None):
    """An archive of CIFAR-10's shape; parts: name -> pixels, shape (n, 3072)."""
    with tarfile.open(path, "w:gz") as file:
        for name, pixels in parts.items():
            numbers = np.arange(len(pixels)) % 10 if labels is None else np.array(labels)
            content = np.concatenate([numbers[:, None].astype(np.uint8), pixels], axis=1).tobytes()
            member = tarfile.TarInfo(f"{folder}/{name}.bin")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def cifar(tmp_path):
    """(pixels of the training part, of the test part, folder)"""
    pixels = random_bytes(6, 2, 3072)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    archive(tmp_path / "cifar-10-binary.tar.gz", dict(zip(names, pixels, strict=True)))
    return pixels[:5].reshape(10, 3, 32, 32), pixels[5].reshape(2, 3, 32, 32), tmp_path


def test_the_original_archive_of_cifar10(cifar):
    train, test, folder = cifar
    files = CIFAR10.read_original(folder)
    images, labels = files.read("train")
    assert np.array_equal(images, train)
    assert labels.tolist() == [0, 1] * 5
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert np.array_equal(files.read("test", 1)[0], test[:1])
    assert np.array_equal(files.read("train", 3)[0], train[:3])
    with pytest.raises(InputError, match="count must be between 1 and 10"):
        files.read("train", 11)
    with pytest.raises(InputError, match="part must be 'train' or 'test', got 'valid'"):
        files.read("valid")


def test_damaged_archives_of_cifar10(tmp_path, cifar):
    path = tmp_path / "cifar-10-binary.tar.gz"
    files = CIFAR10.read_original(tmp_path)
    content = path.read_bytes()
    for damaged in (content[:-5000], b"", b"<html>" * 100, content[:2000] + b"\0" * 500 + content[2500:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"tar\.gz' is damaged \(.*\); delete it and fetch it again"):
            files.read("train")
    archive(path, {"data_batch_1": np.zeros((2, 3072), np.uint8)})
    with pytest.raises(InputError, match=r"no data_batch_2\.bin in it"):
        files.read("train")
    archive(path, {"test_batch": np.zeros((2, 3000), np.uint8)})
    with pytest.raises(InputError, match="no whole number of images"):
        files.read("test")
    archive(path, {"test_batch": np.zeros((2, 3072), np.uint8)}, labels=[3, 10])
    with pytest.raises(InputError, match="it has the label 10"):
        files.read("test")


def test_a_single_wrong_pixel_in_an_archive_is_found(tmp_path):
    """Also where compression left the bytes as they are, so that only the check sum can tell."""
    path = archive(tmp_path / "cifar-10-binary.tar.gz", {"test_batch": random_bytes(2, 3072)})
    plain = bytearray(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=0))
    plain[2000] ^= 1
    path.write_bytes(plain)
    with pytest.raises(InputError, match="CRC check failed"):
        CIFAR10.read_original(tmp_path).read("test")


def idx(path, array, magic=None):
    sizes = np.array(array.shape, dtype=">u4").tobytes()
    path.write_bytes(gzip.compress((magic or bytes([0, 0, 8, array.ndim])) + sizes + array.tobytes()))


@pytest.fixture
def mnist(tmp_path):
    images = random_bytes(5, 28, 28)
    for part in ("train", "t10k"):
        idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", np.arange(5, dtype=np.uint8))
    return images, tmp_path


def test_the_original_files_of_mnist(mnist):
    images, folder = mnist
    assert all((folder / remote.name).is_file() for remote in MNIST.original)
    for part in ("train", "test"):
        found, labels = MNIST.read_original(folder).read(part, 4)
        assert np.array_equal(found, images[:4, None])
        assert labels.tolist() == [0, 1, 2, 3]
        assert (found.dtype, labels.dtype) == (np.uint8, np.int64)


def test_damaged_files_of_mnist(mnist):
    images, folder = mnist
    files = MNIST.read_original(folder)
    path = folder / "train-images-idx3-ubyte.gz"
    content = path.read_bytes()
    for damaged in (content[:-100], b"", b"<html>", content[:100] + b"\0" * 50 + content[150:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"idx3-ubyte\.gz' is damaged \(.*\); delete it and fetch it again"):
            files.read("train")
    idx(path, images, magic=b"\0\0\x0d\3")
    with pytest.raises(InputError, match="begins with 00000d03, not with 00000803"):
        files.read("train")
    path.write_bytes(gzip.compress(b"\0\0\x08\3" + np.array([5, 28, 28], dtype=">u4").tobytes() + b"\0" * 7))
    with pytest.raises(InputError, match="holds 7 bytes of data, and its header promises 3920"):
        files.read("train")
    idx(path, images[:4])
    with pytest.raises(InputError, match="4 images, and the file beside it 5 labels"):
        files.read("train")


def test_an_original_that_is_put_into_the_cache(mnist, own_cache, monkeypatch):
    """Its hashes are recorded, not verified."""
    _, folder = mnist
    monkeypatch.delenv("ROSTRA_DATA", raising=False)
    place = own_cache / "rostra" / "datasets" / "mnist"
    place.parent.mkdir(parents=True)
    folder.rename(place)
    loaded = load(MNIST)
    assert (loaded.source, loaded.verified) == ("cache", False)
    assert loaded.value.read("test")[0].shape == (5, 1, 28, 28)


@pytest.mark.parametrize(
    ("dataset", "shape", "first"),
    [(CIFAR10, (3, 32, 32), list(range(10))), (MNIST, (1, 28, 28), [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])],
    ids=["cifar10", "mnist"],
)
def test_the_mirror(mirror, dataset, shape, first):
    loaded = load(dataset)
    assert (loaded.source, loaded.verified) == ("mirror", True)
    images, labels = loaded.value.read("train", 1000)
    assert images.shape == (1000, *shape)
    assert labels[:10].tolist() == first
    assert len(loaded.value.classes) == 10
    everything, labels = loaded.value.read("test")
    assert len(everything) == len(labels) == 10_000
    assert np.bincount(labels).min() >= 892


def test_the_mirrors_mnist_has_the_published_mean(mirror):
    images, labels = MNIST.read_mirror(mirror / "mnist").read("train")
    assert abs(images.mean() / 255 - 0.1307) < 5e-5
    assert abs(images.std() / 255 - 0.3081) < 5e-5
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_a_data_set_of_several_methods_is_listed_once(monkeypatch):
    from types import SimpleNamespace

    from rostra import cli

    monkeypatch.setattr(cli, "submodule", lambda method, name: SimpleNamespace(DATASETS=(CIFAR10, MNIST)))
    assert cli._datasets() == {"cifar10": CIFAR10, "mnist": MNIST}
