"""Tasks: labels, balance, nested pools, and the constructions of the proofs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, sampled_from

from rostra.engine.errors import InputError
from rostra.methods.sample_efficiency.tasks import (
    channels,
    diag,
    diag_regression,
    halves,
    image_task,
    make_task,
    onehot,
    orthogonal_pairs,
    patches,
    random_rotation,
    rotate,
    texture,
)

NAMES = ("halves", "diag", "diag_regression", "texture", "onehot", "orthogonal_pairs", "patches")


@given(name=sampled_from(NAMES), n=integers(2, 40), seed=integers(0, 1000))
def test_fewer_points_are_a_prefix_of_more(name, n, seed):
    task = make_task(name, 8)
    X, y = task.sample(n, seed)
    fewer_X, fewer_y = task.sample(n - 1, seed)
    assert np.array_equal(X[: n - 1], fewer_X)
    assert np.array_equal(y[: n - 1], fewer_y)
    assert X.shape == (n, 8)


def test_train_and_test_points_seeds_and_dimensions_draw_apart():
    task = halves(8)
    assert not np.array_equal(task.sample(5, 0)[0], task.sample(5, 1)[0])
    assert not np.array_equal(task.sample(5, 0)[0], task.sample(5, 0, test=True)[0])
    assert not np.array_equal(task.sample(5, 0)[0], diag(8).sample(5, 0)[0])


@pytest.mark.parametrize("task", [halves(16), diag(16), channels(48), patches(12, k=4, layout="interleaved")])
def test_labels_are_balanced(task):
    """A label on D instead of D / 2 coordinates would not be: 0.5 within three standard deviations."""
    y = task.sample(20_000, 0)[1]
    assert abs((y > 0).mean() - 0.5) < 3 * 0.5 / np.sqrt(20_000)


def test_halves_by_hand():
    task = halves(4)
    X = np.array([[1.0, 0, 0, 0], [0, 0, 0, 2.0], [1, 1, 1, 1.0]])
    assert task.bayes(X).tolist() == [1, -1, 1]  # sign(0) = +1
    assert np.allclose(task.conv_features(X), [[0.5, 0], [0, 2], [1, 1]])


def test_patches_generalise_halves_and_diag():
    X = np.random.default_rng(0).standard_normal((200, 8))
    assert np.array_equal(patches(8, k=2).bayes(X), halves(8).bayes(X))
    assert np.array_equal(patches(8, k=8).bayes(X), diag(8).bayes(X))
    interleaved = patches(8, k=2, layout="interleaved").bayes(X)
    assert np.array_equal(interleaved, halves(8).bayes(X[:, [0, 2, 4, 6, 1, 3, 5, 7]]))


def test_regression_is_the_quadratic_form():
    X, y = diag_regression(6).sample(10, 0, dtype=np.float64)
    assert np.allclose(y, np.square(X) @ [1, 1, 1, -1, -1, -1])


def test_texture_has_two_classes_of_d_points():
    X, y = texture(8).test_set(0, 0)
    assert len(np.unique(X, axis=0)) == 16
    assert (y[:8] == 1).all()
    assert (y[8:] == -1).all()


@pytest.mark.parametrize("d", [2, 8, 13])
def test_orthogonal_pairs_are_labelled_by_their_coins(d):
    """The construction of theorem 4.1: an orthogonal map of pairs of axes, labelled by the halves rule."""
    task = orthogonal_pairs(2 * d, draw=3)
    assert len(task.support) == d * (d - 1) // 2
    i, j = np.tril_indices(d, -1)
    pairs = np.zeros((len(i), 2 * d))
    pairs[np.arange(len(i)), i] = pairs[np.arange(len(i)), d + j] = 1
    assert np.allclose(task.support @ task.support.T, pairs @ pairs.T, atol=1e-10)  # so some rotation maps them
    assert np.array_equal(task.rule(task.support), halves(2 * d).bayes(task.support))
    if d == 13:
        assert abs((task.rule(task.support) > 0).mean() - 0.5) < 0.25


def test_a_rotated_task_keeps_its_labels():
    task = halves(8)
    turned = rotate(task, 5)
    X, y = task.sample(100, 0, dtype=np.float64)
    turned_X, turned_y = turned.sample(100, 0, dtype=np.float64)
    assert np.array_equal(y, turned_y)
    assert np.allclose(turned_X, X @ turned.rotation.T)
    assert np.array_equal(turned.bayes(turned_X), y)
    twice = rotate(turned, turned.rotation.T)
    assert np.allclose(twice.sample(10, 0, dtype=np.float64)[0], X[:10])


def test_images_of_ones_own():
    images = np.random.default_rng(0).uniform(size=(50, 3, 4, 4)) * [[[[1.0]], [[2.0]], [[5.0]]]]
    task = image_task(images)
    X, y = task.sample(40, 0, dtype=np.float64)
    assert X.shape == (40, 48)
    assert abs(X.reshape(40, 3, -1).mean(axis=(0, 2))).max() < 1e-9  # standardised by the 40 that are trained on
    energies = np.square(X).reshape(40, 3, -1).sum(2)
    assert np.array_equal(y, np.where(energies[:, 0] >= energies[:, 1], 1, -1))
    with pytest.raises(InputError, match="has 40 images, 41 were asked for"):
        task.sample(41, 0)
    assert len(task.sample(10, 0, test=True)[0]) == 10
    bright = image_task(images, lambda x: np.where(x.mean(axis=(1, 2, 3)) > 0, 1, -1))
    assert set(bright.sample(30, 0)[1]) == {-1, 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: halves(7), "needs an even D"),
        (lambda: texture(3), "needs D of at least 4"),
        (lambda: channels(100), r"needs D = 3 H H"),
        (lambda: patches(8, k=3), "no multiple of 3"),
        (lambda: patches(8, layout="spiral"), "layout must be"),
        (lambda: make_task("halfs", 8), "there is no task 'halfs'; there are: halves"),
        (lambda: make_task("halves", 0), "D must be at least 1"),
        (lambda: halves(8).sample(0), "n must be at least 1"),
        (lambda: onehot(8) and orthogonal_pairs(5), "needs an even D"),
        (lambda: rotate(halves(4), np.diag([1.0, 1, 1, 2])), "not orthogonal"),
        (lambda: rotate(halves(4), np.eye(3)), "must be 4 x 4"),
        (lambda: image_task(np.zeros((4, 4))), "of shape"),
        (lambda: image_task(np.zeros((9, 1, 4, 4))), "rule of their own"),
        (lambda: image_task(np.zeros((9, 3, 4, 4)), lambda x: np.arange(len(x))).sample(5), "must be -1 and"),
    ],
)
def test_wrong_tasks_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_random_rotations_are_orthogonal():
    r = random_rotation(7, np.random.default_rng(0))
    assert np.allclose(r @ r.T, np.eye(7))
